//! Retired documents after their retention, on real files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::author::Draft;
use protocol::envelope::AdmittedEnvelope;
use protocol::fixture::{Federation, Scribe, code, open, somebody};
use protocol::kind::Kind;
use protocol::operation::{Measure, Operation, Outcome};

use super::*;
use crate::store::documents::Arrival;
use crate::store::tests::{open_as, opening};
use crate::store::{Opening, WriteError};

const DAY: u64 = 24 * 60 * 60 * 1_000;

async fn write(store: &Store, doc: Option<DocId>, operation: Operation) -> AdmittedEnvelope {
    let draft = Draft { operation, blobs: Vec::new(), answers: Vec::new(), written_at: store.now() };
    store.write(Queue::Normal, move |tx| tx.append(doc, &draft, None)).await.unwrap()
}

/// A store of member 0 with a clock that tests move.
fn with_clock(folder: &std::path::Path, federation: &Federation) -> (Store, Arc<AtomicU64>) {
    let clock = Arc::new(AtomicU64::new(1_000));
    let read = Arc::clone(&clock);
    let clocked: crate::store::Clock = Arc::new(move || Millis(read.load(Ordering::Relaxed)));
    let store = Store::open(Opening { clock: clocked, ..opening(folder, federation, 0) }).unwrap();
    (store, clock)
}

/// An incident of member 0 with a report, closed and retired.
async fn retire(store: &Store, federation: &Federation, seed: u64) -> (DocId, BlobId) {
    let operation = open(code(0), Kind::by_name("noise").unwrap(), &[federation.id(1)], None, seed);
    let staged = store.stage_blob(format!("words of {seed}").into_bytes()).await.unwrap();
    let blob = staged.id();
    let opened = store
        .write(Queue::Normal, move |tx| -> Result<AdmittedEnvelope, crate::store::AppendError> {
            tx.keep_blob(&staged, None)?;
            let class = protocol::envelope::BlobClass::Responders;
            let blobs = vec![protocol::envelope::BlobRef { class, id: blob }];
            let draft =
                Draft { operation: operation.clone(), blobs, answers: Vec::new(), written_at: tx.now() };
            tx.append(None, &draft, None)
        })
        .await
        .unwrap();
    let doc = opened.header().doc;
    write(store, Some(doc), Operation::Close { outcome: Outcome::Helped, by: somebody(1) }).await;
    write(store, Some(doc), Operation::Retire).await;
    (doc, blob)
}

#[tokio::test]
async fn contents_of_a_retired_document_go_after_its_retention_and_its_row_and_figures_stay() {
    let federation = Federation::new(3);
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = with_clock(folder.path(), &federation);
    let near = federation.id(1);
    let (doc, blob) = retire(&store, &federation, 1).await;
    let other = write(&store, None, open(code(0), Kind::by_name("sos").unwrap(), &[near], None, 2)).await;
    let facts = |store: &Store| {
        store
            .read_here(|r| {
                let root = r.digest_place(&near, &Prefix::default())?;
                Ok::<_, WriteError>((
                    r.own_counts(Measure::Reports)?,
                    r.own_counts(Measure::Closed)?,
                    root,
                    r.incident(doc)?,
                ))
            })
            .unwrap()
    };
    let before = facts(&store);
    clock.fetch_add(29 * DAY, Ordering::Relaxed);
    assert_eq!(store.drop_retired(Millis(30 * DAY)).await.unwrap(), [], "its time is not over");
    clock.fetch_add(2 * DAY, Ordering::Relaxed);
    let untouched = store.dump_derived().await.unwrap();
    assert_eq!(store.drop_retired(Millis(30 * DAY)).await.unwrap(), [doc]);
    assert_eq!(store.drop_retired(Millis(30 * DAY)).await.unwrap(), [], "once");
    let (document, blob_here, dropped) = store
        .read_here(|r| Ok::<_, WriteError>((r.document(doc)?, r.has_blob(&blob)?, r.dropped(doc)?)))
        .unwrap();
    assert!(document.is_none() && !blob_here, "contents and words are gone");
    let dropped = dropped.unwrap();
    assert!(dropped.audience.contains(&near) && dropped.retire.header().doc == doc);
    assert_eq!(facts(&store), before, "row, figures and digest are what they were");
    assert_eq!(store.dump_derived().await.unwrap(), untouched);
    assert_eq!(store.rebuild().await.unwrap(), 1, "the other document");
    assert_eq!(store.dump_derived().await.unwrap(), untouched, "and after a rebuild too");
    let draft = Draft {
        operation: Operation::Note { by: somebody(1) },
        blobs: Vec::new(),
        answers: Vec::new(),
        written_at: Millis(1_000),
    };
    let after = store.write(Queue::Normal, move |tx| tx.append(Some(doc), &draft, None)).await;
    assert!(after.is_err(), "nothing more is written in it");
    assert!(store.read_here(|r| r.document(other.header().doc)).unwrap().is_some());
}

#[tokio::test]
async fn what_was_dropped_is_not_taken_in_again() {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    let mut all = vec![scribe.open(1, &[0])];
    all.push(scribe.write(1, Operation::Close { outcome: Outcome::Helped, by: somebody(1) }).unwrap());
    all.push(scribe.write(1, Operation::Retire).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let store = open_as(folder.path(), &federation, 0, None);
    let doc = all[0].header().doc;
    let (from, age) = (federation.id(1), Millis(0));
    let take = move |tx: &mut Tx<'_>| {
        let all: Vec<_> = all.iter().map(|envelope| (envelope, Arrival { from, age })).collect();
        tx.take_in_all(doc, &all)
    };
    assert_eq!(store.write(Queue::Normal, take.clone()).await.unwrap(), 3);
    assert_eq!(store.drop_retired(Millis(0)).await.unwrap(), [doc]);
    assert_eq!(store.write(Queue::Normal, take).await.unwrap(), 0);
    assert!(store.read_here(|r| r.document(doc)).unwrap().is_none());
    // A proof comes without envelopes, and must not find an empty document where there is none.
    let leaves_none = move |tx: &mut Tx<'_>| -> Result<bool, WriteError> {
        tx.take_in_all(doc, &[])?;
        Ok(tx.take_document(doc)?.is_none())
    };
    assert!(store.write(Queue::Normal, leaves_none).await.unwrap());
}

#[tokio::test]
async fn many_are_dropped_a_few_at_a_time() {
    let federation = Federation::new(3);
    let folder = tempfile::tempdir().unwrap();
    let store = open_as(folder.path(), &federation, 0, None);
    let count = RETIRED_DROPPED_AT_ONCE + 3;
    for seed in 0..count {
        retire(&store, &federation, u64::try_from(seed).unwrap()).await;
    }
    let one_job = store.write(Queue::Bulk, |tx| tx.drop_some(Millis(0))).await.unwrap();
    assert_eq!(one_job.len(), RETIRED_DROPPED_AT_ONCE);
    assert_eq!(store.drop_retired(Millis(0)).await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_a_peer_has_dropped_is_so_in_the_digest_with_that_peer_and_with_no_other() {
    let federation = Federation::new(3);
    let folder = tempfile::tempdir().unwrap();
    let store = open_as(folder.path(), &federation, 0, None);
    let (near, above) = (federation.id(1), federation.id(3));
    let operation = open(code(0), Kind::by_name("sos").unwrap(), &[near], None, 1);
    let doc = write(&store, None, operation).await.header().doc;
    let unheard = DocId([7; 32]);
    let shared =
        |store: &Store, peer| store.read_here(|r| r.digest_below(&peer, &Prefix::default(), 9)).unwrap();
    let before = (shared(&store, near), shared(&store, above));
    store.refresh_digests().await.unwrap();
    let retired = EnvelopeId([5; 32]);
    store
        .write(Queue::Normal, move |tx| {
            tx.note_gone(near, doc, retired)?;
            tx.note_gone(near, unheard, retired)
        })
        .await
        .unwrap();
    let at = |doc: DocId| (doc, Fingerprint(retired_fingerprint(&doc, &retired)));
    let mut expected = vec![at(doc), at(unheard)];
    expected.sort_unstable();
    assert_eq!(shared(&store, near), expected);
    assert_eq!(shared(&store, above), before.1, "nobody else's digest changes");
    let place = store.read_here(|r| r.digest_place(&near, &Prefix::default())).unwrap();
    assert_eq!(place, protocol::digest::Place::leaf(&expected), "nor is an old hash kept");
    assert_eq!(store.read_here(|r| r.due_of(near)).unwrap().0, 0);
    assert_eq!(store.read_here(|r| r.due_of(above)).unwrap().0, 1);
    // A peer that was restored has it otherwise: its word is forgotten, there alone.
    assert!(store.read_here(|r| r.is_gone(&near, &unheard)).unwrap());
    assert!(!store.read_here(|r| r.is_gone(&above, &unheard)).unwrap());
    store.write(Queue::Normal, move |tx| tx.forget_gone(near, unheard)).await.unwrap();
    assert!(!store.read_here(|r| r.is_gone(&near, &unheard)).unwrap());
    assert_eq!(shared(&store, near), [at(doc)]);
    let place = store.read_here(|r| r.digest_place(&near, &Prefix::default())).unwrap();
    assert_eq!(place, protocol::digest::Place::leaf(&[at(doc)]), "nor is that hash kept");
    // Once it is retired here as well, it is what it is.
    write(&store, Some(doc), Operation::Close { outcome: Outcome::Helped, by: somebody(1) }).await;
    let retire = write(&store, Some(doc), Operation::Retire).await.id();
    let own = (doc, Fingerprint(retired_fingerprint(&doc, &retire)));
    assert!(shared(&store, near).contains(&own));
    assert!(store.read_here(|r| r.gone_at(doc)).unwrap().is_empty());
}
