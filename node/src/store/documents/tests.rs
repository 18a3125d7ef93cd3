use protocol::fixture::{Federation, Scribe};

use super::*;
use crate::store::Queue;
use crate::store::tests::open_as;

#[tokio::test]
async fn what_was_refused_is_known_at_once_and_after_reopening() {
    let (folder, federation) = (tempfile::tempdir().unwrap(), Federation::new(2));
    let store = open_as(folder.path(), &federation, 0, None);
    let envelope = Scribe::new(&federation).open(1, &[0]).signed().clone();
    let (id, peer) = (envelope.id(), federation.id(1));
    assert!(!store.read_here(|r| r.refused(&id)).unwrap());
    let refuse = move |tx: &mut Tx<'_>| tx.refuse(&envelope, peer, Refusal::Names);
    store.write(Queue::Normal, refuse).await.unwrap();
    assert!(store.read_here(|r| r.refused(&id)).unwrap());
    drop(store);
    let store = open_as(folder.path(), &federation, 0, None);
    assert!(store.read_here(|r| r.refused(&id)).unwrap());
}
