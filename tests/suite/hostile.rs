//! A member with a valid key who does not play by the rules, over real QUIC. After everything it
//! does the node is up, the document is as it was, the reason is on record, and what was honest in
//! the same frame was taken.

use protocol::ids::{BlobId, Code, DocId, EnvelopeId, MemberId, Pseudonym};
use protocol::message::{BlobWant, Message, Want};
use protocol::operation::{HandoffReason, Operation, Outcome, Response, Step};
use serde_json::Value;
use tests::canaries;
use tests::cluster::places::{BORDER_OF_SAN_MIGUEL, MIDDLE_OF_SAN_MIGUEL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Person, wait_for};
use tests::peer::{Identity, NORMAL, Peer, URGENT, assemble, body, spoil_signature};

/// San Miguel with one border incident, and San Joaquín, which this test plays.
struct Stage {
    cluster: Cluster,
    desk: Person,
    resident: Person,
    hostile: Identity,
    peer: Peer,
    id: String,
    doc: DocId,
}

impl Stage {
    async fn set() -> Stage {
        let mut plan = Cluster::laid_out(&[SAN_MIGUEL, SAN_JOAQUIN]);
        plan.scripted(SAN_JOAQUIN);
        let cluster = plan.run().await;
        let hostile = Identity::of(&cluster[SAN_JOAQUIN].folder);
        let peer = Peer::connect(&hostile, &cluster[SAN_MIGUEL]).await;
        let resident = cluster[SAN_MIGUEL].resident("Ana").await;
        let desk = cluster[SAN_MIGUEL].operator().await;
        let raised = resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "At the corner").await;
        let id = raised["id"].as_str().expect("an id").to_owned();
        let doc: DocId = id.parse().expect("an id is 64 digits");
        peer.wait_for_envelopes(doc).await;
        Stage { cluster, desk, resident, hostile, peer, id, doc }
    }

    async fn heads(&self) -> Vec<EnvelopeId> {
        envelopes_of(&self.desk.the(&self.id).await)
    }

    /// A deed that San Joaquín may do, to see that the same frame's honest part is taken.
    fn honest_deed(&self, heads: &[EnvelopeId]) -> Operation {
        assert!(!heads.is_empty());
        Operation::Respond { response: Response::OnTheWay, crew: Pseudonym([9; 32]) }
    }

    /// What the desk knows of San Joaquín as a peer.
    async fn peer_row(&self) -> Value {
        let peers = self.desk.get("/api/v1/peers").await.expect(200);
        let rows = peers.as_array().expect("a list");
        let name = SAN_JOAQUIN.name;
        rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {peers}")).clone()
    }

    async fn refused(&self) -> u64 {
        self.peer_row().await["refused"].as_u64().expect("a count")
    }

    /// A new connection, if the node closed the old one over what it was sent.
    async fn reconnect(&mut self) {
        if !self.peer.connected() {
            self.peer = Peer::connect(&self.hostile, &self.cluster[SAN_MIGUEL]).await;
        }
    }
}

/// The envelopes of an incident, as its desk lists them.
fn envelopes_of(detail: &Value) -> Vec<EnvelopeId> {
    let lines = detail["timeline"].as_array().expect("a timeline");
    lines.iter().map(|line| line["id"].as_str().expect("hex").parse().expect("64 digits")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_may_not_write_is_refused_and_the_honest_rest_of_the_frame_is_taken() {
    let mut stage = Stage::set().await;
    let heads = stage.heads().await;
    let by = Pseudonym([8; 32]);
    let own = stage.hostile.member;
    let not_theirs = [
        Operation::Step { step: Step::Resolved, by },
        Operation::Close { outcome: Outcome::FalseAlarm, by },
        Operation::Offer { to: own, reason: HandoffReason::Means },
        Operation::Invite { member: own },
        Operation::Accept { offer: heads[0] },
        Operation::Commit { accept: heads[0] },
    ];
    let before = stage.refused().await;
    let mut frame: Vec<_> =
        not_theirs.iter().map(|operation| stage.hostile.honest(stage.doc, &heads, operation)).collect();
    let honest = stage.hostile.honest(stage.doc, &heads, &stage.honest_deed(&heads));
    frame.insert(3, honest.clone());
    stage.peer.send(URGENT, &body(stage.doc, &frame)).await;

    let after = wait_for("the honest envelope of the frame", async || {
        let detail = stage.desk.the(&stage.id).await;
        envelopes_of(&detail).contains(&honest.id()).then_some(detail)
    })
    .await;
    assert_eq!(after["incident"]["owner"], "San Miguel");
    assert_eq!(after["incident"]["status"], "open");
    assert_eq!(after["incident"]["crews"], 1);
    assert_eq!(after["timeline"].as_array().expect("a timeline").len(), 2, "{after}");
    wait_for("the reasons on record", async || {
        let row = stage.peer_row().await;
        let refused = row["refused"].as_u64()? - before;
        (refused >= not_theirs.len() as u64 && row["last_refusal"].is_string()).then_some(())
    })
    .await;
    stage.reconnect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_envelope_is_nobodys_word() {
    let mut stage = Stage::set().await;
    let heads = stage.heads().await;
    let owner: MemberId = stage.cluster[SAN_MIGUEL].member.parse().expect("an id");
    let step = Operation::Step { step: Step::Resolved, by: Pseudonym([8; 32]) };
    let mut header = stage.hostile.header(stage.doc, &heads, &step);
    header.author = owner;
    let in_anothers_name = stage.hostile.sign(&header, &step);
    let deed = stage.honest_deed(&heads);
    let mut elsewhere = stage.hostile.header(stage.doc, &heads, &deed);
    elsewhere.federation.0[0] ^= 1;
    let of_another_federation = stage.hostile.sign(&elsewhere, &deed);
    let other_doc = DocId([3; 32]);
    let of_another_document = stage.hostile.honest(other_doc, &heads, &deed);
    let mut unsigned = stage.hostile.header(stage.doc, &heads, &deed);
    unsigned.key_index.0 += 5;
    let under_no_key = stage.hostile.sign(&unsigned, &deed);
    let header = stage.hostile.header(stage.doc, &heads, &deed);
    let signature = [0; 64];
    let with_no_signature = assemble(&header, &deed.encode(), &signature);

    let before = stage.desk.the(&stage.id).await;
    let forged =
        [in_anothers_name, of_another_federation, of_another_document, under_no_key, with_no_signature];
    for envelope in forged {
        stage.reconnect().await;
        stage.peer.send(URGENT, &body(stage.doc, &[envelope])).await;
    }
    // An honest envelope after them: once it is there, they had their turn.
    stage.reconnect().await;
    let honest = stage.hostile.honest(stage.doc, &heads, &deed);
    stage.peer.send(URGENT, &body(stage.doc, std::slice::from_ref(&honest))).await;
    let after = wait_for("the honest envelope", async || {
        stage.reconnect().await;
        let detail = stage.desk.the(&stage.id).await;
        if envelopes_of(&detail).contains(&honest.id()) {
            return Some(detail);
        }
        stage.peer.send(URGENT, &body(stage.doc, std::slice::from_ref(&honest))).await;
        None
    })
    .await;
    assert_eq!(envelopes_of(&after), [heads[0], honest.id()], "something forged counts");
    assert_eq!(
        after["timeline"].as_array().map(Vec::len),
        before["timeline"].as_array().map(|l| l.len() + 1)
    );
    assert!(stage.refused().await > 0, "nothing is on record");
    assert!(stage.cluster[SAN_MIGUEL].stranger().get("/health").await.status == 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_envelope_changes_nothing() {
    let mut stage = Stage::set().await;
    let heads = stage.heads().await;
    let honest = stage.hostile.honest(stage.doc, &heads, &stage.honest_deed(&heads));
    stage.peer.send(URGENT, &body(stage.doc, std::slice::from_ref(&honest))).await;
    let once = wait_for("the envelope", async || {
        let detail = stage.desk.the(&stage.id).await;
        envelopes_of(&detail).contains(&honest.id()).then_some(detail)
    })
    .await;
    let theirs = stage.peer.envelopes(stage.doc);
    for _ in 0..30 {
        stage.peer.send(URGENT, &body(stage.doc, std::slice::from_ref(&honest))).await;
        stage.peer.send(NORMAL, &body(stage.doc, &theirs)).await;
    }
    // Into another document of the same owner: both ids are signed.
    let raised = stage.resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "Another").await;
    let other: DocId = raised["id"].as_str().expect("an id").parse().expect("64 digits");
    stage.peer.wait_for_envelopes(other).await;
    stage.peer.send(URGENT, &body(other, std::slice::from_ref(&honest))).await;
    stage.reconnect().await;
    let other_heads = envelopes_of(&stage.desk.the(&other.to_string()).await);
    let deed = stage.hostile.honest(other, &other_heads, &stage.honest_deed(&other_heads));
    let arrived = wait_for("an honest envelope in the other document", async || {
        stage.reconnect().await;
        stage.peer.send(URGENT, &body(other, std::slice::from_ref(&deed))).await;
        let detail = stage.desk.the(&other.to_string()).await;
        envelopes_of(&detail).contains(&deed.id()).then_some(detail)
    })
    .await;
    assert_eq!(arrived["timeline"].as_array().map(Vec::len), Some(2), "{arrived}");
    let again = stage.desk.the(&stage.id).await;
    assert_eq!(again["heads"], once["heads"]);
    assert_eq!(again["timeline"], once["timeline"]);
    assert_eq!(again["incident"]["crews"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoiled_copy_does_not_keep_the_honest_one_out() {
    let mut plan = Cluster::laid_out(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT]);
    plan.scripted(SAN_JOAQUIN);
    plan.cut(SAN_MIGUEL, PRECINCT);
    let cluster = plan.run().await;
    let hostile = Identity::of(&cluster[SAN_JOAQUIN].folder);
    let at_owner = Peer::connect(&hostile, &cluster[SAN_MIGUEL]).await;
    let resident = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "At the corner").await;
    let doc: DocId = raised["id"].as_str().expect("an id").parse().expect("64 digits");
    let honest = at_owner.wait_for_envelopes(doc).await.remove(0);

    // The copy arrives before the honest one can: with a changed signature, and with other contents.
    let relay = Peer::connect(&hostile, &cluster[PRECINCT]).await;
    relay.send(URGENT, &body(doc, &[spoil_signature(&honest)])).await;
    let mut contents = honest.op_bytes().to_vec();
    contents[1] ^= 1;
    let relay = Peer::connect(&hostile, &cluster[PRECINCT]).await;
    relay.send(URGENT, &body(doc, &[assemble(honest.header(), &contents, &[7; 64])])).await;
    let operator = cluster[PRECINCT].operator().await;
    wait_for("the blame on the relay", async || {
        let peers = operator.get("/api/v1/peers").await.expect(200);
        let row = peers.as_array()?.iter().find(|row| row["name"] == SAN_JOAQUIN.name)?.clone();
        (row["refused"].as_u64()? > 0).then_some(())
    })
    .await;

    cluster.mend(SAN_MIGUEL, PRECINCT);
    let public = cluster[PRECINCT].stranger();
    wait_for("the honest incident at the precinct", async || {
        let country = public.get("/api/v1/country").await.expect(200);
        country["ticker"].as_array()?.iter().any(|line| line["id"] == raised["id"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_its_own_and_what_does_not_exist_are_the_same_answer() {
    let stage = Stage::set().await;
    let raised =
        stage.resident.raise("robbery", MIDDLE_OF_SAN_MIGUEL, "Nothing to do with San Joaquín").await;
    let theirs: DocId = raised["id"].as_str().expect("an id").parse().expect("64 digits");
    let nobodys = DocId([0x5a; 32]);
    let private = envelopes_of(&stage.desk.the(&theirs.to_string()).await);
    let mut answers = Vec::new();
    for doc in [theirs, nobodys] {
        let want = Want { doc, ids: private.clone(), held: Vec::new() };
        stage.peer.send(URGENT, &Message::Want(want)).await;
        let answer = wait_for("an answer", async || {
            stage
                .peer
                .messages()
                .into_iter()
                .find(|message| matches!(message, Message::Answer(items) if items.doc == doc))
        })
        .await;
        let Message::Answer(items) = answer else { panic!("looked for an answer") };
        answers.push(items.items.len());
    }
    assert_eq!(answers, [0, 0]);

    let blob = stage.peer.envelopes(stage.doc)[0].header().blobs.first().expect("the words are a blob").id;
    let mut blobs = Vec::new();
    for (doc, blob) in [(theirs, blob), (nobodys, blob), (stage.doc, BlobId([1; 32]))] {
        let want = Message::BlobWant(BlobWant { doc, blob, from_piece: 0 });
        let mut answer = stage.peer.ask_blob(&want).await;
        let id = blob.as_bytes();
        let at = answer.windows(32).position(|window| window == id).expect("the answer names the blob");
        answer.splice(at..at + 32, [0; 32]);
        blobs.push(answer);
    }
    assert_eq!(blobs[0], blobs[1]);
    assert_eq!(blobs[0], blobs[2]);
    for frame in stage.peer.frames() {
        canaries::absent(&frame, "Nothing to do with San Joaquín", "a frame to San Joaquín");
        assert!(!canaries::contains(&frame, private[0].as_bytes()), "a private envelope in a frame");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_costs_only_the_connection_that_sent_it() {
    let stage = Stage::set().await;
    let before = stage.desk.the(&stage.id).await;
    let node = &stage.cluster[SAN_MIGUEL];
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |length: usize| -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..length {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            bytes.push(noise.to_be_bytes()[3]);
        }
        bytes
    };
    for number in 0..40 {
        let peer = Peer::connect(&stage.hostile, node).await;
        match number % 5 {
            0 => peer.send_bytes(URGENT, &random(200)).await,
            1 => peer.send_raw(NORMAL, &u32::MAX.to_be_bytes()).await,
            2 => peer.send_raw(17, &random(64)).await,
            3 => {
                // A true message, with one byte changed.
                let mut bytes = body(stage.doc, &stage.peer.envelopes(stage.doc)).encode();
                let at = usize::from(random(1)[0]) * 7 % bytes.len();
                bytes[at] = !bytes[at];
                peer.send_bytes(URGENT, &bytes).await;
            }
            _ => peer.send_raw(URGENT, &[0; 4]).await,
        }
        if number % 5 != 3 {
            assert!(peer.closed().await.is_some(), "rubbish {number} was taken");
        }
    }
    let after = stage.desk.the(&stage.id).await;
    assert_eq!(after["heads"], before["heads"]);
    assert_eq!(after["timeline"], before["timeline"]);
    // Who behaves is served as before.
    let raised = stage.resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "Still here").await;
    let doc: DocId = raised["id"].as_str().expect("an id").parse().expect("64 digits");
    let peer = Peer::connect(&stage.hostile, node).await;
    peer.wait_for_envelopes(doc).await;
    assert!(Code::chile(13_129) != Code::OUTSIDE);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_frame_holds_what_is_personal_before_it_is_encrypted() {
    let name = "Eduviges Llancapichun";
    let address = "Pasaje Los Quillayes 40771";
    let phone = "+56 9 4417 0982";
    let mut plan = Cluster::laid_out(&[SAN_MIGUEL, SAN_JOAQUIN]);
    plan.scripted(SAN_JOAQUIN);
    let cluster = plan.run().await;
    let hostile = Identity::of(&cluster[SAN_JOAQUIN].folder);
    let peer = Peer::connect(&hostile, &cluster[SAN_MIGUEL]).await;
    let resident = cluster[SAN_MIGUEL].resident_with(name, address, Some(phone)).await;
    let raised = resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "A man with a green parka").await;
    let doc: DocId = raised["id"].as_str().expect("an id").parse().expect("64 digits");
    peer.wait_for_envelopes(doc).await;
    let desk = cluster[SAN_MIGUEL].operator().await;
    let id = doc.to_string();
    desk.act(&id, "claim", &serde_json::json!({})).await;
    desk.act(&id, "responses", &serde_json::json!({ "response": "on_the_way", "crew": "Furgon-Quilpue-7" }))
        .await;
    desk.act(&id, "steps", &serde_json::json!({ "step": "called" })).await;
    wait_for("the later steps", async || (peer.envelopes(doc).len() >= 3).then_some(())).await;
    let frames = peer.frames();
    for frame in &frames {
        for secret in [name, address, phone, "56944170982", "Furgon-Quilpue-7", "Operadora"] {
            canaries::absent(frame, secret, "a frame");
        }
    }
    let words = "A man with a green parka";
    assert!(frames.iter().any(|frame| canaries::found(frame, words).is_some()), "the test cannot see words");
}
