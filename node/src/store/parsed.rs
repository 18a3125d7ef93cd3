//! Documents kept parsed: those that the writer is at, and as they were committed last.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::document::Document;
use protocol::ids::{DocId, EnvelopeId, Millis};

use crate::store::limits::{DOCUMENTS_CACHED_MAX, WRITTEN_KEPT_MAX};
use crate::store::tx::Effects;

/// Documents that the writer keeps parsed, so that each is read once.
#[derive(Default)]
pub(super) struct Cache {
    held: BTreeMap<DocId, (u64, Arc<Document>)>,
    /// The same by when they were put, the one unused longest first.
    by_tick: BTreeMap<u64, DocId>,
    tick: u64,
}

impl Cache {
    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.by_tick.clear();
    }
    pub(super) fn forget(&mut self, doc: DocId) {
        self.remove(doc);
    }
    /// A document that is to be changed. Whoever reads it as committed keeps a copy of their own.
    pub(super) fn take(&mut self, doc: DocId) -> Option<Document> {
        self.remove(doc).map(Arc::unwrap_or_clone)
    }
    fn remove(&mut self, doc: DocId) -> Option<Arc<Document>> {
        let (tick, document) = self.held.remove(&doc)?;
        self.by_tick.remove(&tick);
        Some(document)
    }
    pub(super) fn put(&mut self, doc: DocId, document: Document) {
        self.put_shared(doc, Arc::new(document));
    }
    fn put_shared(&mut self, doc: DocId, document: Arc<Document>) {
        self.tick += 1;
        if let Some((before, _)) = self.held.insert(doc, (self.tick, document)) {
            self.by_tick.remove(&before);
        }
        self.by_tick.insert(self.tick, doc);
        if self.held.len() > DOCUMENTS_CACHED_MAX
            && let Some((_, oldest)) = self.by_tick.pop_first()
        {
            self.held.remove(&oldest);
        }
    }
}

/// Documents as they were committed last, so that the replica need not read and parse again what the writer
/// has just stored. Only the writer changes it, after each commit.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Committed>);

#[derive(Default)]
struct Committed {
    documents: Cache,
    /// When envelopes were written, on this node's own clock, the newest last.
    written: VecDeque<(EnvelopeId, Millis)>,
}

impl Recent {
    /// A document as committed; none says nothing.
    pub(super) fn get(&self, doc: DocId) -> Option<Arc<Document>> {
        let committed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        committed.documents.held.get(&doc).map(|(_, document)| document.clone())
    }

    /// When an envelope was written that was committed lately; none says nothing.
    pub(super) fn written(&self, id: &EnvelopeId) -> Option<Millis> {
        let committed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        committed.written.iter().rev().find(|(known, _)| known == id).map(|(_, at)| *at)
    }

    /// Takes over what a commit changed.
    pub(super) fn committed(&self, effects: &Effects, documents: &Cache) {
        let mut committed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for doc in &effects.touched {
            match documents.held.get(doc) {
                Some((_, document)) => committed.documents.put_shared(*doc, document.clone()),
                // Dropped, or pushed out by others since: whoever asks reads the log.
                None => committed.documents.forget(*doc),
            }
        }
        committed.written.extend(&effects.written);
        let past = committed.written.len().saturating_sub(WRITTEN_KEPT_MAX);
        committed.written.drain(..past);
    }
}
