//! Stores what the replica admitted: straight into the writer's queue, and from the writer's thread the
//! answer to the loop, so that an alarm waits for no other thread to wake on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use federation::Handle;
use protocol::ids::DocId;
use protocol::message::{InlineBlob, Lane};
use protocol::proof::Proof;
use protocol::replica::{Arrival, Input as ReplicaInput};

use super::Bridge;
use crate::store::{self, Queue, StagedBlob, Store, Tx, WriteError};

/// What is stored of a document in one transaction.
pub(super) struct Coming {
    pub envelopes: Vec<Arrival>,
    pub blobs: Vec<InlineBlob>,
    pub proofs: Vec<Proof>,
}

/// What storing needs.
pub(super) struct Taking {
    store: Store,
    handle: Handle<Bridge>,
    runtime: tokio::runtime::Handle,
    in_flight: Arc<AtomicUsize>,
}

impl Taking {
    /// For a running loop. Needs a tokio runtime.
    pub fn new(store: Store, handle: Handle<Bridge>, in_flight: Arc<AtomicUsize>) -> Self {
        Self { store, handle, runtime: tokio::runtime::Handle::current(), in_flight }
    }

    /// Queues it and does not wait; the loop is told once it is committed, or not.
    pub fn take_in(&self, doc: DocId, coming: Coming, lane: Lane) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let queue = match lane {
            Lane::Urgent => Queue::Urgent,
            Lane::Normal => Queue::Normal,
            Lane::Backfill | Lane::Blobs => Queue::Bulk,
        };
        let told = self.tell(doc);
        let full = self.store.write_then(queue, coming.job(doc, &self.store), told);
        if let Err((work, told)) = full {
            // Behind a full queue it waits for room; so many can be on their way, and no more.
            let store = self.store.clone();
            self.runtime.spawn(async move { told(store.write(queue, work).await) });
        }
    }

    /// Tells the loop what came of it.
    fn tell(&self, doc: DocId) -> impl FnOnce(Result<(), WriteError>) + Send + 'static {
        let (handle, runtime) = (self.handle.clone(), self.runtime.clone());
        let in_flight = self.in_flight.clone();
        move |stored| {
            in_flight.fetch_sub(1, Ordering::Relaxed);
            let input = match stored {
                Ok(()) => ReplicaInput::Stored { doc },
                Err(error) => {
                    tracing::warn!(%doc, %error, "what a peer sent could not be stored");
                    ReplicaInput::StoreFailed { doc }
                }
            };
            if let Err(input) = handle.try_command(input) {
                // Without room it waits beside the writer; without a loop there is nobody to tell.
                runtime.spawn(async move { handle.command(input).await });
            }
        }
    }
}

impl Coming {
    fn job(self, doc: DocId, store: &Store) -> impl FnMut(&mut Tx<'_>) -> Result<(), WriteError> + 'static {
        let Coming { envelopes, blobs, proofs } = self;
        let staged = blobs.into_iter().map(|blob| store.stage_small(blob.salt, &blob.content));
        let staged: Vec<StagedBlob> = staged.collect();
        move |tx| {
            for blob in &staged {
                tx.keep_blob(blob, Some(doc))?;
            }
            let how = |one: &Arrival| store::Arrival { from: one.from, age: one.age };
            let all: Vec<_> = envelopes.iter().map(|one| (&one.envelope, how(one))).collect();
            tx.take_in_all(doc, &all)?;
            proofs.iter().try_for_each(|proof| tx.take_proof(proof).map(drop))
        }
    }
}
