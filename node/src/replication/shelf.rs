//! What the replica reads: the store and the contact records, as they are committed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::author::Lock;
use protocol::contact::SignedContact;
use protocol::digest::{Fingerprint, Place};
use protocol::document::Document;
use protocol::envelope::BlobRef;
use protocol::ids::{BlobId, DocId, EnvelopeId, Incarnation, MemberId, Millis};
use protocol::limits::BLOB_INLINE_BYTES_MAX;
use protocol::message::{InlineBlob, Prefix};
use protocol::replica::{Dropped, DueOrder, DueRow, Held, Shelf};

use super::contacts::Contacts;
use crate::store::limits::DIGEST_PLACES_SOON;
use crate::store::{Reader, Snapshot, Store, WriteError};

/// The node's shelf.
pub struct NodeShelf {
    store: Store,
    contacts: Contacts,
}

/// The shelf for one event: what it reads of the store is one snapshot, begun at the first read.
pub struct OpenShelf<'a> {
    shelf: &'a NodeShelf,
    snapshot: RefCell<Option<Snapshot>>,
    /// When envelopes of the documents that were read were written.
    written: RefCell<BTreeMap<EnvelopeId, Millis>>,
    /// The document that was looked for last and is not in the snapshot: one event asks for it several times.
    absent: Cell<Option<DocId>>,
}

impl NodeShelf {
    /// Over this store and these contact records.
    #[must_use]
    pub fn new(store: Store, contacts: Contacts) -> Self {
        Self { store, contacts }
    }

    /// For one event. Blocks while it reads.
    #[must_use]
    pub fn open(&self) -> OpenShelf<'_> {
        OpenShelf {
            shelf: self,
            snapshot: RefCell::default(),
            written: RefCell::default(),
            absent: Cell::default(),
        }
    }
}

impl OpenShelf<'_> {
    fn try_read<T>(&self, work: impl FnOnce(&Reader<'_>) -> Result<T, WriteError>) -> Result<T, WriteError> {
        self.snapshot.borrow_mut().get_or_insert_with(|| self.shelf.store.snapshot()).read(work)
    }

    /// Reads on this thread. A store that cannot be read holds nothing for now: the writer meets the
    /// same fault and ends the node.
    fn read<T: Default>(&self, work: impl FnOnce(&Reader<'_>) -> Result<T, WriteError>) -> T {
        self.try_read(work).unwrap_or_else(|error| {
            tracing::error!(%error, "the store could not be read for replication");
            T::default()
        })
    }
}

impl Shelf for OpenShelf<'_> {
    fn document(&self, doc: &DocId) -> Option<Arc<Document>> {
        // What the writer has just stored is here, parsed; it may be newer than the snapshot.
        if let Some(recent) = self.shelf.store.recent(*doc) {
            return Some(recent);
        }
        if self.absent.get() == Some(*doc) {
            return None;
        }
        let mut written = self.written.borrow_mut();
        let read = self.read(|r| r.document_telling(*doc, |id, at| _ = written.insert(id, at)));
        if read.is_none() {
            self.absent.set(Some(*doc));
        }
        read.map(Arc::new)
    }
    fn refused(&self, id: &EnvelopeId) -> bool {
        self.read(|r| r.refused(id))
    }
    fn held(&self, id: &EnvelopeId) -> bool {
        self.read(|r| r.holds_back(id))
    }
    fn held_from(&self, peer: &MemberId, doc: &DocId, limit: usize) -> Vec<EnvelopeId> {
        self.read(|r| r.held_from(peer, doc, limit))
    }
    fn held_ready(&self, rules: u16, limit: usize) -> Vec<Held> {
        let now = self.shelf.store.now();
        self.read(|r| r.held_ready(rules, limit, now))
    }
    fn dropped(&self, doc: &DocId) -> Option<Dropped> {
        self.read(|r| r.dropped(*doc))
    }
    fn gone(&self, peer: &MemberId, doc: &DocId) -> bool {
        self.read(|r| r.is_gone(peer, doc))
    }
    fn written(&self, doc: &DocId, id: &EnvelopeId) -> Option<Millis> {
        let read = self.written.borrow().get(id).copied();
        let known = read.or_else(|| self.shelf.store.written_lately(id));
        known.or_else(|| self.read(|r| r.written(doc, id)))
    }
    fn added(&self, doc: &DocId, since: Millis) -> Vec<EnvelopeId> {
        self.read(|r| r.added(doc, since))
    }
    fn due(&self, peer: &MemberId, after: Option<DueOrder>, limit: usize) -> Vec<DueRow> {
        self.read(|r| r.due_rows(*peer, after, limit))
    }
    fn digest_place(&self, peer: &MemberId, prefix: &Prefix) -> Option<Place> {
        let place = self.read(|r| r.digest_place_soon(peer, prefix, DIGEST_PLACES_SOON));
        if place.is_none() {
            self.shelf.store.ask_digests();
        }
        place
    }
    fn digest_below(&self, peer: &MemberId, prefix: &Prefix, limit: usize) -> Vec<(DocId, Fingerprint)> {
        self.read(|r| r.digest_below(peer, prefix, limit))
    }
    fn holds_blob(&self, doc: &DocId, blob: &BlobId) -> bool {
        self.read(|r| r.has_blob_for(doc, blob))
    }
    fn small_blob(&self, doc: &DocId, blob: &BlobId) -> Option<InlineBlob> {
        let found = self.read(|r| r.small_blob_for(doc, blob, BLOB_INLINE_BYTES_MAX))?;
        Some(InlineBlob { id: *blob, salt: found.salt, content: found.content })
    }
    fn missing_blobs(&self, limit: usize) -> Vec<(DocId, BlobRef)> {
        self.read(|r| r.missing_blobs(limit))
    }
    fn accepted_offers(&self) -> Vec<DocId> {
        self.read(|r| r.accepted_offers())
    }
    fn contacts(&self) -> Vec<SignedContact> {
        self.shelf.contacts.all()
    }
    fn lock(&self, doc: &DocId) -> Option<Lock> {
        self.read(|r| r.lock(*doc))
    }
    fn locks(&self) -> bool {
        self.shelf.store.locked().is_some()
    }
    fn incarnation(&self) -> Incarnation {
        self.read(|r| r.incarnation()).unwrap_or_default()
    }
    fn drew(&self, incarnation: Incarnation) -> bool {
        // Not known is no reason for an alarm that a person has to end.
        self.try_read(|r| r.drew(incarnation)).unwrap_or_else(|error| {
            tracing::error!(%error, "the store could not be read for replication");
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use protocol::author::Draft;
    use protocol::fixture::{Federation, code, open};
    use protocol::kind::Kind;
    use protocol::limits::DIGEST_LEAF_MAX;

    use super::*;
    use crate::store::tests::open_as;
    use crate::store::{AppendError, Queue, Tx};

    #[tokio::test]
    async fn a_digest_that_takes_long_to_hash_is_asked_for_and_not_waited_for() {
        let (federation, folder) = (Federation::new(2), tempfile::tempdir().unwrap());
        let store = open_as(folder.path(), &federation, 0, None);
        let peer = federation.id(1);
        let kind = Kind::by_name("noise").unwrap();
        // More than fit below the first digits alone, so that there are places below each of those.
        let many = 2 * 16 * u64::try_from(DIGEST_LEAF_MAX).unwrap();
        let write = move |tx: &mut Tx<'_>| -> Result<(), AppendError> {
            for seed in 0..many {
                let operation = open(code(0), kind, &[peer], None, seed);
                let (blobs, answers) = (Vec::new(), Vec::new());
                tx.append(None, &Draft { operation, blobs, answers, written_at: Millis(1_000) }, None)?;
            }
            Ok(())
        };
        store.write(Queue::Normal, write).await.unwrap();
        let shelf = NodeShelf::new(store.clone(), Contacts::open(folder.path()).unwrap());
        let root = || shelf.open().digest_place(&peer, &Prefix::default());
        assert_eq!(root(), None, "the loop does not wait for so many hashes");
        store.digests_asked().await;
        store.refresh_digests().await.unwrap();
        assert!(root().is_some(), "it is read once it was hashed");
    }
}
