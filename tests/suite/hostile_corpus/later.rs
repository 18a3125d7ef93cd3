//! What is under rules of a later release, and retired documents that somebody says are gone: kept within
//! bounds, believed about nobody but the speaker.

use protocol::envelope::SignedEnvelope;
use protocol::ids::{DocId, EnvelopeId, Millis};
use protocol::limits::{HELD_PER_DOCUMENT_MAX, HELD_PER_PEER_MAX};
use protocol::message::{Gone, Have, Message, Want};
use protocol::operation::Operation;
use tests::cluster::wait_for;
use tests::peer::{NORMAL, URGENT, body};

use super::stage::Stage;
use super::story::{Bad, Fate, Story, open_operation, respond};
use super::{Case, deed, frame};

pub fn cases() -> Vec<Case> {
    vec![
        deed(
            "later",
            "rules that this release does not know are held, not judged and not confirmed",
            |stage| Box::pin(async move { held(stage).await }),
        ),
        deed("later", "later rules with a bad signature are held by nobody", |stage| {
            Box::pin(async move { spoiled(stage).await })
        }),
        deed("later", "a flood under later rules has at most 4,096 places, and 1,000 a document", |stage| {
            Box::pin(async move { flood(stage).await })
        }),
        deed("later", "a gone that nobody asked for says nothing", |stage| {
            Box::pin(async move { unasked(stage).await })
        }),
        deed("later", "a forged gone is believed about nobody but who says it", |stage| {
            Box::pin(async move { forged(stage).await })
        }),
        deed("later", "a gone names a retire", |stage| Box::pin(async move { no_retire(stage).await })),
    ]
}

/// A genesis of the hostile member under the rules of a later release.
fn genesis(stage: &Stage, number: u8) -> SignedEnvelope {
    let who = &stage.cast.hostile;
    let operation = open_operation(&stage.cast, number);
    let mut header = who.header(DocId([0; 32]), &[], &operation);
    header.rules_version = 2;
    header.doc = header.genesis_doc_id();
    who.sign(&header, &operation)
}

fn held_of_hostile(stage: &Stage) -> i64 {
    stage.count_of("SELECT count(*) FROM held WHERE peer = ?1", &stage.cast.hostile.member.0)
}

/// Waits until an honest alert went through behind what was sent on the same lane.
async fn settled(stage: &Stage, number: u8) {
    let story = Story::ours(&stage.cast, number);
    let items: Vec<Bad> = story.before.iter().map(|e| Bad::of(e, Fate::Admitted)).collect();
    stage.peer.send_bytes(URGENT, &frame(story.doc, &items)).await;
    wait_for("what follows", async || (!stage.ids(story.doc).is_empty()).then_some(())).await;
}

async fn held(stage: &Stage) -> String {
    let before = stage.peer.frames().len();
    let genesis = genesis(stage, 120);
    let doc = genesis.header().doc;
    stage.peer.send(URGENT, &body(doc, std::slice::from_ref(&genesis))).await;
    wait_for("a held envelope", async || {
        (stage.count_of("SELECT count(*) FROM held WHERE doc = ?1", &doc.0) == 1).then_some(())
    })
    .await;
    // It rings as far as it can be read, and is no incident.
    let queue = stage.desk.get("/api/v1/incidents").await.expect(200);
    let row = queue.as_array().into_iter().flatten().find(|row| row["id"] == doc.to_string().as_str());
    let row = row.expect("a row in the queue");
    assert_eq!((row["contents"].as_str(), row["ringing"].as_bool()), (Some("newer"), Some(true)), "{row}");
    assert!(stage.ids(doc).is_empty());
    let have = Have { doc, page: 0, last: true, asks: true, heads: vec![genesis.id()] };
    stage.peer.send(URGENT, &Message::Have(have)).await;
    settled(stage, 121).await;
    let about = |message: &Message| {
        matches!(message, Message::Have(have) if have.doc == doc && !have.heads.is_empty())
            || matches!(message, Message::Want(want) if want.doc == doc)
    };
    let said = stage.peer.messages().into_iter().skip(before).filter(about).count();
    assert_eq!(said, 0, "it was confirmed, or asked for again");
    assert_eq!(stage.refusal(genesis.id()), None);
    "held, rings".to_owned()
}

async fn spoiled(stage: &Stage) -> String {
    let genesis = tests::peer::spoil_signature(&genesis(stage, 122));
    let doc = genesis.header().doc;
    stage.peer.send(URGENT, &body(doc, &[genesis])).await;
    settled(stage, 123).await;
    assert_eq!(stage.count_of("SELECT count(*) FROM held WHERE doc = ?1", &doc.0), 0);
    "blamed, not held".to_owned()
}

async fn flood(stage: &Stage) -> String {
    let who = &stage.cast.hostile;
    let doc_of = |number: u8| DocId([number; 32]);
    for document in 0..6_u8 {
        for part in 0..26_u64 {
            let some = (0..46).map(|n| {
                let mut header = who.header(doc_of(200 + document), &[EnvelopeId([7; 32])], &respond());
                (header.rules_version, header.written_at) = (2, Millis(part * 100 + n));
                who.sign(&header, &respond())
            });
            let some: Vec<SignedEnvelope> = some.collect();
            stage.peer.send(URGENT, &body(doc_of(200 + document), &some)).await;
        }
    }
    settled(stage, 124).await;
    let most = i64::try_from(HELD_PER_PEER_MAX).expect("small");
    let count = wait_for("a flood that is held", async || {
        let count = held_of_hostile(stage);
        (count > most / 2).then_some(count)
    })
    .await;
    settled(stage, 125).await;
    let first = stage.count_of("SELECT count(*) FROM held WHERE doc = ?1", &doc_of(200).0);
    assert!(held_of_hostile(stage) <= most, "{count} envelopes are held");
    assert_eq!(first, i64::try_from(HELD_PER_DOCUMENT_MAX).expect("small"), "of one document");
    format!("{} of 7,176 held", held_of_hostile(stage))
}

/// A retire of the hostile member for a document that is not its own, after a parent that nobody has.
fn retire_of(stage: &Stage, doc: DocId) -> SignedEnvelope {
    let who = &stage.cast.hostile;
    who.sign(&who.header(doc, &[EnvelopeId([7; 32])], &Operation::Retire), &Operation::Retire)
}

fn gone_rows(stage: &Stage) -> i64 {
    stage.count_of("SELECT count(*) FROM gone WHERE peer = ?1", &stage.cast.hostile.member.0)
}

async fn unasked(stage: &Stage) -> String {
    let genesis = stage.raise().await;
    let doc = genesis.header().doc;
    let before = (stage.ids(doc), gone_rows(stage));
    stage.peer.send(URGENT, &Message::Gone(Gone { doc, retire: retire_of(stage, doc) })).await;
    settled(stage, 126).await;
    assert_eq!((stage.ids(doc), gone_rows(stage)), before);
    "ignored".to_owned()
}

/// Tells of something that the node lacks, and waits until it asks.
async fn be_asked(stage: &Stage, doc: DocId) {
    let before = stage.peer.frames().len();
    let heads = vec![EnvelopeId([7; 32])];
    stage.peer.send(URGENT, &Message::Have(Have { doc, page: 0, last: true, asks: true, heads })).await;
    wait_for("a want", async || {
        let asked = |message: &Message| matches!(message, Message::Want(Want { doc: of, .. }) if *of == doc);
        stage.peer.messages().iter().skip(before).any(asked).then_some(())
    })
    .await;
}

async fn forged(stage: &Stage) -> String {
    let genesis = stage.raise().await;
    let doc = genesis.header().doc;
    let (ids, rows) = (stage.ids(doc), gone_rows(stage));
    let others = "SELECT count(*) FROM audience WHERE doc = ?1";
    let audience = stage.count_of(others, &doc.0);
    be_asked(stage, doc).await;
    stage.peer.send(URGENT, &Message::Gone(Gone { doc, retire: retire_of(stage, doc) })).await;
    wait_for("the note about the liar", async || (gone_rows(stage) == rows + 1).then_some(())).await;
    assert_eq!(stage.ids(doc), ids, "nothing of it is lost");
    assert_eq!(stage.count_of(others, &doc.0), audience, "nobody is left out");
    let (stored, computed) = stage.fingerprints(doc);
    assert_eq!(stored, Some(computed), "it is not retired");
    assert_eq!(stage.count_of("SELECT count(*) FROM retired WHERE doc = ?1", &doc.0), 0);
    let queue = stage.desk.get("/api/v1/incidents").await.expect(200);
    let shown = queue.as_array().into_iter().flatten().any(|row| row["id"] == doc.to_string().as_str());
    assert!(shown, "it is shown as before");
    "noted about the liar alone".to_owned()
}

async fn no_retire(stage: &Stage) -> String {
    let genesis = stage.raise().await;
    let doc = genesis.header().doc;
    be_asked(stage, doc).await;
    let label = "fault=\"no_retire\"";
    let before = stage.gauge("cuadra_peer_faults_total", label).await;
    let rows = gone_rows(stage);
    let story = Story::theirs(&stage.cast, &genesis);
    let retire = story.honest(&stage.cast.hostile);
    stage.peer.send(NORMAL, &Message::Gone(Gone { doc, retire })).await;
    wait_for("the blame", async || {
        (stage.gauge("cuadra_peer_faults_total", label).await > before).then_some(())
    })
    .await;
    assert_eq!(gone_rows(stage), rows);
    "blamed: NoRetire".to_owned()
}
