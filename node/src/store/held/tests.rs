//! What is held without a verdict, on real files.

use protocol::author::Draft;
use protocol::envelope::{AdmittedEnvelope, RULES_VERSION};
use protocol::fixture::{Federation, Scribe, somebody};
use protocol::operation::{Operation, Step};
use protocol::replica::{Input, Output, Replica};

use super::*;
use crate::replication::{Contacts, NodeShelf};
use crate::store::Queue;
use crate::store::tests::{open_as, opening};

/// A federation whose roster activates rules of a later release, and what member 0 wrote under them.
fn later() -> (Federation, Vec<AdmittedEnvelope>) {
    let mut federation = Federation::new(3);
    federation.publish(|body| body.rules_version = RULES_VERSION + 1);
    let mut scribe = Scribe::new(&federation);
    scribe.rules = RULES_VERSION + 1;
    let genesis = scribe.open(0, &[1]);
    let step = scribe.write(0, Operation::Step { step: Step::Called, by: somebody(1) }).unwrap();
    (federation, vec![genesis, step])
}

fn held(from: MemberId, envelope: &AdmittedEnvelope) -> Held {
    Held { from, envelope: envelope.signed().clone(), age: Millis(500) }
}

async fn hold(store: &Store, held: Held) -> bool {
    store.write(Queue::Normal, move |tx| tx.hold(&held)).await.unwrap()
}

#[tokio::test]
async fn what_a_later_release_wrote_survives_a_restart_and_is_judged_after_the_upgrade() {
    let (federation, all) = later();
    let folder = tempfile::tempdir().unwrap();
    let from = federation.id(0);
    let store = open_as(folder.path(), &federation, 1, None);
    for envelope in &all {
        assert!(hold(&store, held(from, envelope)).await);
        assert!(!hold(&store, held(from, envelope)).await, "it is kept once");
    }
    let doc = all[0].header().doc;
    let rings = |store: &Store| store.read_here(|r| r.held_incident(doc)).unwrap().is_some_and(|h| h.rings());
    assert!(rings(&store), "an emergency of the neighbour rings though it cannot be read");
    assert!(store.read_here(|r| r.incident(doc)).unwrap().is_none(), "and is no incident");
    store.stop();
    let older = open_as(folder.path(), &federation, 1, None);
    assert_eq!(older.read_here(|r| r.held_size()).unwrap().0, 2, "a restart finds them");
    assert_eq!(older.read_here(|r| r.held_ready(older.rules(), 9, Millis(1_000))).unwrap(), []);
    older.stop();
    let newer = Store::open_knowing(opening(folder.path(), &federation, 1), RULES_VERSION + 1).unwrap();
    assert!(rings(&newer));
    // The replica of the release that knows the rules judges them and has them stored.
    let contacts = Contacts::open(&folder.path().join("contacts")).unwrap();
    let shelf = NodeShelf::new(newer.clone(), contacts);
    let rosters = newer.rosters().as_ref().clone();
    let mut replica = Replica::new(newer.member(), rosters).knowing(newer.rules());
    replica.handle(Millis(1), Input::Tick, &shelf.open());
    let mut stored = 0;
    while let Some(output) = replica.poll_output() {
        if let Output::Store { doc, envelopes, .. } = output {
            stored += envelopes.len();
            let take = move |tx: &mut Tx<'_>| {
                let how = crate::store::Arrival { from, age: Millis(500) };
                let all: Vec<_> = envelopes.iter().map(|one| (&one.envelope, how)).collect();
                tx.take_in_all(doc, &all)
            };
            newer.write(Queue::Normal, take).await.unwrap();
        }
    }
    assert_eq!(stored, 2);
    assert_eq!(newer.read_here(|r| r.held_size()).unwrap(), (0, 0), "nothing is held any more");
    assert!(!rings(&newer), "the row of which little could be read is gone");
    let row = newer.read_here(|r| r.incident(doc)).unwrap().unwrap();
    assert_eq!((row.author, row.step), (from, Some(Step::Called)));
}

#[tokio::test]
async fn what_an_operator_has_seen_rings_no_more() {
    let (federation, all) = later();
    let folder = tempfile::tempdir().unwrap();
    let store = open_as(folder.path(), &federation, 1, None);
    hold(&store, held(federation.id(0), &all[0])).await;
    let doc = all[0].header().doc;
    assert!(store.write(Queue::Urgent, move |tx| tx.mark_held_seen(doc)).await.unwrap());
    let row = store.read_here(|r| r.held_incident(doc)).unwrap().unwrap();
    assert!(row.seen && !row.rings());
    assert_eq!(store.read_here(|r| r.held_incidents()).unwrap(), [row], "it stays in the queue");
    let other = all[1].header().doc;
    assert_eq!(doc, other);
    let none = DocId([1; 32]);
    assert!(!store.write(Queue::Urgent, move |tx| tx.mark_held_seen(none)).await.unwrap());
}

#[tokio::test]
async fn each_sender_has_its_share_and_at_the_bound_the_newest_of_the_largest_goes() {
    let (federation, all) = later();
    let folder = tempfile::tempdir().unwrap();
    let store = open_as(folder.path(), &federation, 1, None);
    let from = federation.id(0);
    hold(&store, held(from, &all[0])).await;
    // As if so many had come: the bounds look at nothing but who sent how much.
    let fill = move |tx: &mut Tx<'_>| -> Result<(), WriteError> {
        let mut insert = tx.db().prepare_cached(
            "INSERT INTO held (id, doc, peer, rules, bytes, written_ms) VALUES (randomblob(32), randomblob(32), ?1, 9, zeroblob(?2), 0)",
        )?;
        for _ in 1..HELD_PER_PEER_MAX {
            insert.execute(params![from.0, 100])?;
        }
        Ok(())
    };
    store.write(Queue::Normal, fill).await.unwrap();
    assert!(!hold(&store, held(from, &all[1])).await, "its share is full");
    assert!(hold(&store, held(federation.id(2), &all[1])).await, "another's is not");
    let size = |store: &Store| store.read_here(|r| r.held_size()).unwrap();
    let before = size(&store).0;
    let large = move |tx: &mut Tx<'_>| -> Result<(), WriteError> {
        let bytes = i64::try_from(HELD_BYTES_MAX / HELD_PER_PEER_MAX + 100).unwrap();
        let sql = "UPDATE held SET bytes = zeroblob(?1) WHERE peer = ?2 AND rules = 9";
        tx.db().execute(sql, params![bytes, from.0])?;
        let sql = "UPDATE held_share SET bytes = (SELECT sum(length(bytes)) FROM held WHERE peer = ?1) WHERE peer = ?1";
        tx.db().execute(sql, params![from.0])?;
        tx.drop_past_bytes()
    };
    store.write(Queue::Normal, large).await.unwrap();
    let after = size(&store);
    assert!(after.1 <= u64::try_from(HELD_BYTES_MAX).unwrap() && after.0 < before, "{after:?}");
    let holds = |n: usize| store.read_here(|r| r.holds_back(&all[n].id())).unwrap();
    assert!(holds(0), "the oldest of the largest stays: it begins a document");
    assert!(holds(1), "and so does what another sent");
}

#[tokio::test]
async fn node_behind_the_rules_of_the_roster_still_opens_incidents() {
    let (federation, _) = later();
    let folder = tempfile::tempdir().unwrap();
    let store = open_as(folder.path(), &federation, 1, None);
    let kind = protocol::kind::Kind::by_name("sos").unwrap();
    let operation = protocol::fixture::open(protocol::fixture::code(1), kind, &[], None, 1);
    let draft = Draft { operation, blobs: Vec::new(), answers: Vec::new(), written_at: Millis(1_000) };
    let written = store.write(Queue::Urgent, move |tx| tx.append(None, &draft, None)).await.unwrap();
    assert_eq!(written.header().rules_version, RULES_VERSION);
}
