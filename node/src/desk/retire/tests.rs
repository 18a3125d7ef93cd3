//! What ends by itself, and what does not.

use std::sync::atomic::Ordering;

use protocol::fixture::Federation;
use protocol::operation::{Outcome, ReopenReason};

use super::*;
use crate::desk::Viewer;
use crate::desk::tests::*;

async fn closed(town: &Node, ana: Viewer, secret: u8) -> DocId {
    let doc = doc_of(&town.desk.raise_alert(Viewer::Nobody, sos(secret, Some(inside(0)))).await.unwrap().id);
    town.desk.close(ana, doc, Outcome::Helped).await.unwrap();
    doc
}

#[tokio::test]
async fn a_closed_incident_is_retired_once_it_was_kept_long_enough_and_never_before() {
    let federation = Federation::new(2);
    let town = node(&federation, 0);
    let ana = town.operator("Ana").await;
    let (old, reopened) = (closed(&town, ana, 1).await, closed(&town, ana, 2).await);
    let open = town.desk.raise_alert(Viewer::Nobody, sos(3, Some(inside(0)))).await.unwrap();
    let days = u64::from(town.desk.config().storage.retention_days.get());
    town.clock.fetch_add((days - 1) * DAY_MS, Ordering::SeqCst);
    assert_eq!(town.desk.retire_some(None).await.unwrap(), None);
    assert!(!town.desk.incident(ana, old).await.unwrap().retired, "a day too early");
    town.desk.reopen(ana, reopened, ReopenReason::Again).await.unwrap();
    let young = closed(&town, ana, 4).await;
    town.clock.fetch_add(DAY_MS + 1, Ordering::SeqCst);
    assert_eq!(town.desk.retire_some(None).await.unwrap(), None);
    let shown = town.desk.incident(ana, old).await.unwrap();
    assert!(shown.retired && shown.may.is_empty(), "{:?}", shown.may);
    for doc in [reopened, young, doc_of(&open.id)] {
        assert!(!town.desk.incident(ana, doc).await.unwrap().retired);
    }
    let late = town.desk.note(ana, old, "too late", false).await;
    assert!(matches!(late, Err(ActError::Rules(_))), "{late:?}");
    let heads = shown.heads;
    town.desk.retire_some(None).await.unwrap();
    assert_eq!(town.desk.incident(ana, old).await.unwrap().heads, heads, "once");
}

#[tokio::test]
async fn more_than_a_round_is_retired_round_by_round() {
    let federation = Federation::new(2);
    let town = node(&federation, 0);
    let ana = town.operator("Ana").await;
    for secret in 0..=u8::try_from(RETIRED_AT_ONCE).unwrap() {
        closed(&town, ana, secret).await;
    }
    let days = u64::from(town.desk.config().storage.retention_days.get());
    town.clock.fetch_add(days * DAY_MS + DAY_MS, Ordering::SeqCst);
    let next = town.desk.retire_some(None).await.unwrap();
    let left = |r: &crate::store::Reader<'_>| r.to_retire(Millis(u64::MAX / 4), None);
    assert_eq!(town.desk.store().read_here(left).unwrap().len(), 1, "no more than a round at once");
    assert!(next.is_some());
    assert_eq!(town.desk.retire_some(next).await.unwrap(), None);
    assert!(town.desk.store().read_here(left).unwrap().is_empty());
}
