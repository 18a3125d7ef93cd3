//! As much as a member can send of what is allowed: every store of it has a bound, and at the bound the
//! flooding member pays.

use std::time::Instant;

use protocol::digest::{Fingerprint, Mark};
use protocol::ids::{DocId, EnvelopeId, Millis};
use protocol::limits::{
    DIGEST_INTERVAL_MS, DIGEST_WALK_MAX, PAGING_INCIDENTS_PER_HOUR_MAX, PARKED_BYTES_MAX,
    PARKED_PER_DOCUMENT_MAX, PARKED_PER_PEER_MAX, WANT_RETRY_MS, WANTS_IN_FLIGHT_MAX,
};
use protocol::message::{DigestChildren, DigestLeaf, Have, InlineBlob, Message, Prefix, Want};
use protocol::operation::Operation;
use tests::cluster::wait_for;
use tests::peer::{Knock, NORMAL, URGENT};

use super::stage::Stage;
use super::story::{Bad, Fate, Story, open, open_operation, respond};
use super::{Case, deed, frame};

/// The most memory that a node under attack may take, in KiB.
const MEMORY_KIB_MAX: u64 = 512 * 1024;

pub fn cases() -> Vec<Case> {
    vec![
        deed("flood", "a peer keeps at most 256 envelopes parked, its own oldest go", |stage| {
            Box::pin(async move { parked(stage).await })
        }),
        deed("flood", "parked envelopes have at most 4 MiB", |stage| {
            Box::pin(async move { parked_bytes(stage).await })
        }),
        deed("flood", "a document has at most 1,000 parked envelopes", |stage| {
            Box::pin(async move { parked_document(stage).await })
        }),
        deed(
            "flood",
            "a peer that tells of documents that nobody knows is asked for a bounded number",
            |stage| Box::pin(async move { haves(stage).await }),
        ),
        deed("flood", "wants for nothing are answered with nothing", |stage| {
            Box::pin(async move { wants(stage).await })
        }),
        deed("flood", "digests of nothing lead to bounded walks", |stage| {
            Box::pin(async move { digests(stage).await })
        }),
        deed("flood", "a peer that asks for all rosters and reads none is disconnected", |stage| {
            Box::pin(async move { rosters(stage).await })
        }),
        deed("flood", "incidents past 60 an hour are kept and ring nobody", |stage| {
            Box::pin(async move { incidents(stage).await })
        }),
        deed("flood", "the same envelope twice in a frame is refused once and the record stays", |stage| {
            Box::pin(async move { twice(stage).await })
        }),
        deed("flood", "worthless copies by the thousand are counted and cost nobody else", |stage| {
            Box::pin(async move { worthless(stage).await })
        }),
        deed("flood", "connections without a welcome from one address have 24 places", |stage| {
            Box::pin(async move { doors(stage).await })
        }),
        deed("flood", "a flood of all of this leaves the node below 512 MB", |stage| {
            Box::pin(async move {
                let kib = memory_kib(stage.node().process_number());
                assert!(kib < MEMORY_KIB_MAX, "{kib} KiB at its most");
                format!("{} MiB at its most", kib / 1024)
            })
        }),
    ]
}

/// The most memory that a process has had.
pub fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells");
    line.split_whitespace().nth(1).expect("a number").parse().expect("in KiB")
}

fn id(number: u64) -> [u8; 32] {
    let mut id = [0xee; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id
}

/// An envelope of the hostile member whose parent nobody has.
fn orphan(stage: &Stage, doc: DocId, number: u64) -> Bad {
    let who = &stage.cast.hostile;
    let mut header = who.header(doc, &[EnvelopeId(id(number))], &respond());
    header.written_at = Millis(number);
    Bad::of(&who.sign(&header, &respond()), Fate::Parked)
}

/// How often something that happens every so many milliseconds may have happened since then, the first
/// time included.
fn times_within(since: Instant, every_ms: u64) -> usize {
    let gone_ms = u64::try_from(since.elapsed().as_millis()).expect("not that long");
    usize::try_from(1 + gone_ms / every_ms).expect("small")
}

async fn gauge(stage: &Stage, name: &str) -> u64 {
    stage.gauges().await.get(name).copied().unwrap_or_default()
}

/// Waits until an honest alert went through behind what was sent, and gives how much is parked then.
async fn settled(stage: &Stage) -> (u64, u64) {
    let story = Story::ours(&stage.cast, 90);
    let items: Vec<Bad> = story.before.iter().map(|e| Bad::of(e, Fate::Admitted)).collect();
    // Behind the rest on the same lane.
    stage.peer.send_bytes(URGENT, &frame(story.doc, &items)).await;
    wait_for("what follows a flood", async || (!stage.ids(story.doc).is_empty()).then_some(())).await;
    (gauge(stage, "cuadra_parked").await, gauge(stage, "cuadra_parked_bytes").await)
}

async fn parked(stage: &Stage) -> String {
    // What was asked for in an earlier case is bounded by its document, not by its sender.
    let before = gauge(stage, "cuadra_parked").await;
    for document in 0..20 {
        let doc = DocId(id(document));
        let orphans: Vec<Bad> = (0..40).map(|n| orphan(stage, doc, document * 40 + n)).collect();
        stage.peer.send_bytes(URGENT, &frame(doc, &orphans)).await;
    }
    let (count, _) = settled(stage).await;
    let max = u64::try_from(PARKED_PER_PEER_MAX).expect("small");
    assert!(count <= max + before, "{count} envelopes are parked, {before} were before");
    assert!(count > max / 2, "{count} are parked: the flood did not come");
    format!("{count} of 800 parked")
}

async fn parked_bytes(stage: &Stage) -> String {
    let salt = [1; 32];
    for number in 0..150 {
        let doc = DocId(id(5_000 + number));
        let mut bad = orphan(stage, doc, 5_000 + number);
        let who = &stage.cast.hostile;
        let mut header =
            who.header(doc, &[EnvelopeId(id(number))], &Operation::Note { by: super::story::somebody(1) });
        let blob = |n: u8| {
            let content = vec![n; 4_000];
            InlineBlob { id: protocol::ids::commitment(&salt, &content), salt, content }
        };
        let blobs: Vec<InlineBlob> = (0..8).map(blob).collect();
        let class = protocol::envelope::BlobClass::Responders;
        header.blobs = blobs.iter().map(|blob| protocol::envelope::BlobRef { class, id: blob.id }).collect();
        let note = who.sign(&header, &Operation::Note { by: super::story::somebody(1) });
        bad = Bad { blobs, ..Bad { bytes: note.bytes().to_vec(), ..bad } };
        stage.peer.send_bytes(URGENT, &frame(doc, &[bad])).await;
    }
    let (count, bytes) = settled(stage).await;
    let max = u64::try_from(PARKED_BYTES_MAX).expect("small");
    assert!(bytes <= max, "{bytes} bytes are parked");
    assert!(bytes > max / 2, "{bytes} bytes are parked: the flood did not come");
    format!("{bytes} bytes in {count} envelopes parked")
}

async fn parked_document(stage: &Stage) -> String {
    let doc = DocId(id(9_000));
    // As answers, so that the bound of what is pushed does not come first.
    for part in 0..30 {
        let orphans: Vec<Bad> = (0..50).map(|n| orphan(stage, doc, 9_000 + part * 50 + n)).collect();
        let mut bytes = frame(doc, &orphans);
        bytes[0] = 13;
        stage.peer.send_bytes(URGENT, &bytes).await;
    }
    let (count, _) = settled(stage).await;
    let max = u64::try_from(PARKED_PER_DOCUMENT_MAX + PARKED_PER_PEER_MAX).expect("small");
    assert!(count <= max, "{count} envelopes are parked");
    format!("{count} of 1,500 parked")
}

async fn haves(stage: &Stage) -> String {
    let (began, before) = (Instant::now(), stage.peer.frames().len());
    for number in 0..4_000 {
        let (doc, heads) = (DocId(id(20_000 + number)), vec![EnvelopeId(id(number))]);
        let have = Have { doc, page: 0, last: true, asks: true, heads };
        stage.peer.send(URGENT, &Message::Have(have)).await;
    }
    settled(stage).await;
    let messages = stage.peer.frames().len() - before;
    let wants = stage.peer.messages().into_iter().skip(before);
    let wants = wants.filter(|message| matches!(message, Message::Want(_))).count();
    // Each place is one want, and another one each time the first was not answered in its time.
    let limit = WANTS_IN_FLIGHT_MAX * times_within(began, WANT_RETRY_MS);
    assert!(wants <= limit, "{wants} wants of at most {limit} for documents that do not exist");
    format!("{wants} wants in {messages} messages")
}

async fn wants(stage: &Stage) -> String {
    let before = stage.peer.frames().len();
    for number in 0..1_000 {
        let ids = vec![EnvelopeId(id(number))];
        let want = Want { doc: DocId(id(40_000 + number)), ids, held: Vec::new() };
        stage.peer.send(NORMAL, &Message::Want(want)).await;
    }
    wait_for("the answers", async || (stage.peer.frames().len() >= before + 1_000).then_some(())).await;
    let messages = stage.peer.messages();
    let full = messages.iter().filter(|message| matches!(message, Message::Answer(a) if !a.items.is_empty()));
    let of_flood = full.filter(|message| matches!(message, Message::Answer(a) if a.doc.0[8..] == [0xee; 24]));
    assert_eq!(of_flood.count(), 0, "an answer out of nothing");
    "1,000 empty answers".to_owned()
}

async fn digests(stage: &Stage) -> String {
    let (began, before) = (Instant::now(), stage.peer.frames().len());
    for number in 0..2_000u64 {
        let prefix = Prefix(vec![number.to_be_bytes()[7] % 16]);
        let hash = Fingerprint(id(number));
        let marks = Box::new([Mark::of(number, &hash); 16]);
        let children = DigestChildren { prefix: prefix.clone(), salt: number, marks };
        stage.peer.send(NORMAL, &Message::DigestChildren(children)).await;
        let leaf = DigestLeaf::of(prefix, number, false, &[(DocId(id(60_000 + number)), hash)]);
        stage.peer.send(NORMAL, &Message::DigestLeaf(leaf)).await;
    }
    // Behind them on the same lane.
    let want = Want { doc: DocId(id(61_000)), ids: Vec::new(), held: Vec::new() };
    let last = want.doc;
    stage.peer.send(NORMAL, &Message::Want(want)).await;
    wait_for("the answer behind the digests", async || {
        let answers = stage.peer.messages().into_iter().skip(before);
        answers.into_iter().find(|message| matches!(message, Message::Answer(a) if a.doc == last)).map(|_| ())
    })
    .await;
    let messages = stage.peer.messages();
    let walked = |m: &&Message| matches!(m, Message::DigestChildren(_) | Message::DigestLeaf(_));
    let asked = |m: &&Message| matches!(m, Message::Have(have) if have.heads.is_empty() && have.asks);
    let walks = messages.iter().skip(before).filter(walked).count();
    let haves = messages.iter().skip(before).filter(asked).count();
    // A comparison may have begun before the first of them.
    let comparisons = 1 + times_within(began, DIGEST_INTERVAL_MS);
    let max = usize::try_from(DIGEST_WALK_MAX).expect("small") * comparisons;
    assert!(walks <= max && haves <= max, "{walks} walks, {haves} haves, at most {max} of each");
    format!("{walks} walks and {haves} haves for 4,000 messages")
}

async fn rosters(stage: &Stage) -> String {
    let peer = Knock::at(&stage.cast.hostile, stage.node()).await.enter_deaf(&stage.cast.hostile).await;
    let want = Message::RosterWant(0);
    let before = stage.gauge("cuadra_peer_closed_total", "code=\"Backlog\"").await;
    let flood = async {
        while peer.connected() {
            peer.send(NORMAL, &want).await;
        }
    };
    flood.await;
    wait_for("a connection closed over its backlog", async || {
        (stage.gauge("cuadra_peer_closed_total", "code=\"Backlog\"").await > before).then_some(())
    })
    .await;
    "closed: Backlog".to_owned()
}

async fn incidents(stage: &Stage) -> String {
    let max = usize::try_from(PAGING_INCIDENTS_PER_HOUR_MAX).expect("small");
    let mut last = DocId([0; 32]);
    for _ in 0..max + 20 {
        let genesis = open(&stage.cast.hostile, &open_operation(&stage.cast, 95));
        last = genesis.header().doc;
        stage.peer.send_bytes(URGENT, &frame(last, &[Bad::of(&genesis, Fate::Admitted)])).await;
    }
    wait_for("the last incident", async || (!stage.ids(last).is_empty()).then_some(())).await;
    let peer = stage.cast.hostile.member;
    let ring = stage.count_of("SELECT count(*) FROM envelope WHERE author = ?1 AND came = 0", &peer.0);
    let bulk = stage.count_of("SELECT count(*) FROM envelope WHERE author = ?1 AND came = 2", &peer.0);
    assert!(ring <= i64::from(PAGING_INCIDENTS_PER_HOUR_MAX), "{ring} may page people");
    assert!(bulk >= 20, "{bulk} are kept as bulk");
    // The desk has the last one, and it rings for nobody until a person there takes it up.
    let shown = stage.desk.the(&last.to_string()).await;
    assert_eq!(
        (&shown["incident"]["ringing"], &shown["incident"]["status"]),
        (&false.into(), &"open".into())
    );
    format!("{ring} may page people, {bulk} kept as bulk")
}

async fn twice(stage: &Stage) -> String {
    let genesis = stage.raise().await;
    let story = Story::theirs(&stage.cast, &genesis);
    let bad = story.tries(&stage.cast.hostile, &Operation::Retire, protocol::admission::Refusal::NotOwner);
    let kept = stage.count_of("SELECT count(*) FROM refusal WHERE peer = ?1", &stage.cast.hostile.member.0);
    let copies = vec![bad.clone(); 60];
    let before = stage.gauges().await;
    stage.peer.send_bytes(URGENT, &frame(story.doc, &copies)).await;
    let outcome = stage.met_its_fate("one of many copies", &bad, story.doc, &before).await;
    settled(stage).await;
    let now = stage.count_of("SELECT count(*) FROM refusal WHERE peer = ?1", &stage.cast.hostile.member.0);
    assert_eq!(now, kept + 1, "the record of refusals");
    outcome
}

async fn worthless(stage: &Stage) -> String {
    let label = "fault=\"malformed\"";
    let before = stage.gauge("cuadra_peer_faults_total", label).await;
    let copies = vec![Bad::malformed(vec![7; 40]); 256];
    let bytes = frame(DocId(id(70_000)), &copies);
    for _ in 0..20 {
        stage.peer.send_bytes(NORMAL, &bytes).await;
    }
    wait_for("5,120 faults", async || {
        (stage.gauge("cuadra_peer_faults_total", label).await >= before + 5_120).then_some(())
    })
    .await;
    let lines = stage.log_text().matches("a peer passed on a copy").count();
    assert!(lines < 400, "{lines} lines in the log");
    format!("5,120 counted, {lines} lines in the log")
}

async fn doors(stage: &Stage) -> String {
    let before = gauge(stage, "cuadra_turned_away_total").await;
    let mut kept = Vec::new();
    for _ in 0..40 {
        let key = &stage.cast.hostile.tls_key;
        match Knock::strange(key, federation::keys::ALPN, stage.node()).await {
            Ok(knock) => kept.push(knock),
            Err(_) => break,
        }
    }
    assert!(kept.len() <= 24, "{} places without a welcome", kept.len());
    let turned = gauge(stage, "cuadra_turned_away_total").await;
    assert!(turned > before, "nobody was turned away");
    let said = format!("{} kept, {} turned away", kept.len(), turned - before);
    for knock in kept {
        knock.connection.close(quinn::VarInt::from_u32(0), b"");
    }
    said
}
