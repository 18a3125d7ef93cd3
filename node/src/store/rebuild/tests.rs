//! A new roster, and what is derived under it.

use protocol::author::Draft;
use protocol::fixture::{Federation, code, open as opening};
use protocol::ids::{DocId, MemberId, Millis};
use protocol::kind::Kind;

use crate::store::limits::DERIVED_AT_ONCE;
use crate::store::tests::open_as;
use crate::store::{AppendError, Queue, Store, Tx, WriteError};

/// Raises so many incidents at once; answers with the last.
async fn raise(store: &Store, count: u64) -> DocId {
    let kind = Kind::by_name("sos").unwrap();
    let write = move |tx: &mut Tx<'_>| -> Result<DocId, AppendError> {
        let mut last = None;
        for seed in 0..count {
            let operation = opening(code(0), kind, &[], None, seed);
            let draft = Draft { operation, blobs: vec![], answers: vec![], written_at: Millis(1_000) };
            last = Some(tx.append(None, &draft, None)?.header().doc);
        }
        Ok(last.unwrap())
    };
    store.write(Queue::Normal, write).await.unwrap()
}

#[tokio::test]
async fn a_new_roster_reaches_every_document_however_many_there_are() {
    let (folder, mut federation) = (tempfile::tempdir().unwrap(), Federation::new(2));
    let store = open_as(folder.path(), &federation, 0, None);
    // Neither a whole number of steps nor one.
    let count = 2 * u64::try_from(DERIVED_AT_ONCE).unwrap() + 1;
    raise(&store, count).await;
    let answered_by = |member: MemberId| -> u64 {
        let sql = "SELECT count(*) FROM incident WHERE answering = ?1";
        let count = store.read_here(|r| -> Result<i64, WriteError> {
            Ok(r.db().query_row(sql, [member.0], |row| row.get(0))?)
        });
        count.unwrap().try_into().unwrap()
    };
    assert_eq!(answered_by(federation.id(0)), count);
    federation.revoke(0);
    store.set_rosters(federation.rosters.clone()).await.unwrap();
    assert_eq!(answered_by(federation.id(federation.precinct())), count);
}

#[tokio::test]
async fn a_roster_that_changed_while_the_node_was_away_is_in_force_after_opening() {
    let (folder, mut federation) = (tempfile::tempdir().unwrap(), Federation::new(2));
    let store = open_as(folder.path(), &federation, 0, None);
    let doc = raise(&store, 1).await;
    let answering = |store: &Store| store.read_here(|r| r.incident(doc)).unwrap().unwrap().answering;
    assert_eq!(answering(&store), federation.id(0));
    store.stop();
    federation.revoke(0);
    let store = open_as(folder.path(), &federation, 0, None);
    assert_eq!(answering(&store), federation.id(federation.precinct()));
}

#[tokio::test]
async fn pages_are_told_of_a_new_roster() {
    let (folder, mut federation) = (tempfile::tempdir().unwrap(), Federation::new(2));
    federation.publish(|_| {});
    let store = open_as(folder.path(), &federation, 0, None);
    let last = || store.read_here(|r| r.last_event()).unwrap();
    let before = last();
    federation.publish(|_| {});
    store.set_rosters(federation.rosters.clone()).await.unwrap();
    assert_eq!(last(), before + 1);
}
