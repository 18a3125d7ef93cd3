//! Documents in memory: what is committed, what is admitted and on its way into the store, and nothing
//! that neither is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Arrival, Shelf};
use crate::document::Document;
use crate::envelope::{BlobClass, BlobRef};
use crate::fold::Fold;
use crate::ids::{DocId, MemberId};
use crate::limits::{DOCUMENTS_LOADED_MAX, ENVELOPES_LOADED_MAX};
use crate::message::{InlineBlob, Lane};
use crate::operation::peek_genesis;
use crate::proof::Proof;
use crate::roster::RosterChain;

/// A document and what it says.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub document: Arc<Document>,
    pub fold: Arc<Fold>,
}

impl View {
    /// Reads a document; none while it is empty.
    pub fn of(document: Arc<Document>, rosters: &RosterChain) -> Option<View> {
        let fold = Arc::new(Fold::of(&document, rosters)?);
        Some(View { document, fold })
    }

    /// True if the member may hold the document.
    pub fn entitled(&self, member: &MemberId) -> bool {
        self.fold.audience.entitled(member)
    }

    /// True if the member may hold a blob that an envelope names: by its class, or because the owner
    /// released it; and nobody any more once it is to be erased.
    pub fn entitled_to_blob(&self, member: &MemberId, blob: &BlobRef) -> bool {
        let class = if self.fold.released.contains(&blob.id) { BlobClass::Shared } else { blob.class };
        self.fold.audience.entitled_to_blob(member, class) && !self.fold.redacted.contains_key(&blob.id)
    }

    /// The lane for it, live or catching up.
    pub fn lane(&self, live: bool) -> Lane {
        let rings = self.document.genesis().is_some_and(|genesis| {
            peek_genesis(genesis.signed().op_bytes()).is_ok_and(|(_, urgency, _, _)| urgency.rings())
        });
        match (live, rings) {
            (true, true) => Lane::Urgent,
            (true, false) => Lane::Normal,
            (false, true | false) => Lane::Backfill,
        }
    }
}

/// Admitted envelopes that are not committed yet.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub envelopes: Vec<Arrival>,
    pub blobs: Vec<InlineBlob>,
    pub proofs: Vec<Proof>,
    /// The most pressing lane that any of them came on, as far as the document itself is as pressing.
    pub lane: Option<Lane>,
    /// True if any of them came on the urgent lane, which is the peer's word alone.
    pub came_urgent: bool,
    /// Who is owed a receipt, and on which lane.
    pub owed: BTreeMap<MemberId, Lane>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.envelopes.is_empty() && self.proofs.is_empty()
    }
}

#[derive(Debug, Default)]
struct Entry {
    view: Option<View>,
    /// Committed, being stored and waiting, all in one; only while anything is not committed.
    ahead: Option<Arc<Document>>,
    /// What all of that together says, where it was read already: it will be what is committed.
    foreseen: Option<View>,
    storing: Option<Batch>,
    waiting: Batch,
    used: u64,
}

impl Entry {
    fn idle(&self) -> bool {
        self.storing.is_none() && self.waiting.is_empty()
    }

    /// True if anything that came on the urgent lane waits for the store.
    fn came_urgent(&self) -> bool {
        self.storing.iter().chain([&self.waiting]).any(|batch| batch.came_urgent)
    }

    /// What it adds to the sums.
    fn sums(&self) -> Sums {
        let (busy, urgent) = (!self.idle(), self.came_urgent());
        Sums { envelopes: self.weight(), urgent: usize::from(urgent), others: usize::from(busy && !urgent) }
    }

    /// Envelopes in memory for it.
    fn weight(&self) -> usize {
        self.view.as_ref().map_or(0, |view| view.document.len())
    }

    /// Rebuilds `ahead` from what is committed and what is not.
    fn look_ahead(&mut self) {
        if self.idle() {
            (self.ahead, self.foreseen) = (None, None);
            return;
        }
        let mut document = self.view.as_ref().map_or_else(Document::default, |view| (*view.document).clone());
        for batch in self.storing.iter().chain([&self.waiting]) {
            for arrival in &batch.envelopes {
                // A parent that failed to be stored takes its children along; they come again.
                _ = document.insert(arrival.envelope.clone());
            }
            for proof in &batch.proofs {
                document.add_proof(proof.clone());
            }
        }
        self.ahead = Some(Arc::new(document));
    }
}

/// Sums over all entries, kept with every change, because every event asks for them.
#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    /// Envelopes, as committed.
    envelopes: usize,
    /// Documents of which something that came on the urgent lane waits for the store.
    urgent: usize,
    /// Documents of which only something else does.
    others: usize,
}

impl Sums {
    fn change(&mut self, before: Sums, after: Sums) {
        self.envelopes = self.envelopes + after.envelopes - before.envelopes;
        self.urgent = self.urgent + after.urgent - before.urgent;
        self.others = self.others + after.others - before.others;
    }
}

/// The documents in memory. Bounded: what is idle longest goes first.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    entries: BTreeMap<DocId, Entry>,
    /// The same by when they were last used.
    by_used: BTreeMap<u64, DocId>,
    sums: Sums,
    clock: u64,
}

impl Loaded {
    /// Changes an entry, begun if there is none, and keeps the sums.
    fn change<T>(&mut self, doc: DocId, change: impl FnOnce(&mut Entry) -> T) -> T {
        self.clock += 1;
        let entry = self.entries.entry(doc).or_default();
        let before = entry.sums();
        let changed = change(entry);
        self.sums.change(before, entry.sums());
        self.by_used.remove(&entry.used);
        self.by_used.insert(self.clock, doc);
        entry.used = self.clock;
        changed
    }

    fn remove(&mut self, doc: &DocId) {
        if let Some(entry) = self.entries.remove(doc) {
            self.by_used.remove(&entry.used);
            self.sums.change(entry.sums(), Sums::default());
        }
    }

    /// What is committed of a document; none if nothing is.
    pub fn view(&mut self, doc: &DocId, shelf: &dyn Shelf, rosters: &RosterChain) -> Option<View> {
        if self.has(doc) {
            return self.change(*doc, |entry| entry.view.clone());
        }
        let view = load(doc, shelf, rosters)?;
        self.change(*doc, |entry| entry.view = Some(view.clone()));
        Some(view)
    }

    /// True if what is committed of a document is in memory.
    pub fn has(&self, doc: &DocId) -> bool {
        self.entries.get(doc).is_some_and(|entry| entry.view.is_some())
    }

    /// What is committed and what is on its way into the store.
    pub fn ahead(&mut self, doc: &DocId, shelf: &dyn Shelf, rosters: &RosterChain) -> Arc<Document> {
        let ahead = self.entries.get(doc).and_then(|entry| entry.ahead.clone());
        let committed = |this: &mut Self| this.view(doc, shelf, rosters).map(|view| view.document);
        ahead.or_else(|| committed(self)).unwrap_or_default()
    }

    /// Reads a document anew after a commit.
    pub fn refresh(&mut self, doc: &DocId, shelf: &dyn Shelf, rosters: &RosterChain) {
        let document = shelf.document(doc).filter(|document| !document.is_empty());
        let foreseen = self.entries.get(doc).and_then(|entry| entry.foreseen.as_ref());
        let view = document.and_then(|document| match foreseen {
            Some(view) if view.document.same_as(&document) => {
                Some(View { document, fold: Arc::clone(&view.fold) })
            }
            _ => View::of(document, rosters),
        });
        self.change(*doc, |entry| {
            entry.view = view;
            entry.look_ahead();
        });
    }

    /// Puts admitted envelopes in the queue to the store; `foreseen` is what the document says with them, where
    /// it was read.
    pub fn queue(&mut self, doc: DocId, ahead: Arc<Document>, foreseen: Option<View>, batch: Batch) {
        self.change(doc, |entry| {
            (entry.ahead, entry.foreseen) = (Some(ahead), foreseen);
            entry.waiting.envelopes.extend(batch.envelopes);
            entry.waiting.blobs.extend(batch.blobs);
            entry.waiting.proofs.extend(batch.proofs);
            entry.waiting.lane = [entry.waiting.lane, batch.lane].into_iter().flatten().min();
            entry.waiting.came_urgent |= batch.came_urgent;
            for (peer, lane) in batch.owed {
                let owed = entry.waiting.owed.entry(peer).or_insert(lane);
                *owed = lane.min(*owed);
            }
        });
    }

    /// Owes a peer a receipt for what is on its way into the store; false if nothing is.
    pub fn owe(&mut self, doc: &DocId, peer: MemberId, lane: Lane) -> bool {
        let Some(entry) = self.entries.get_mut(doc).filter(|entry| !entry.idle()) else { return false };
        let batch = if entry.waiting.is_empty() { entry.storing.as_mut() } else { Some(&mut entry.waiting) };
        batch.is_some_and(|batch| {
            batch.owed.insert(peer, lane);
            true
        })
    }

    /// The next batch to store, unless one of this document is being stored.
    pub fn next_batch(&mut self, doc: &DocId) -> Option<&Batch> {
        let entry = self.entries.get_mut(doc)?;
        if entry.storing.is_some() || entry.waiting.is_empty() {
            return None;
        }
        // It waits for the store before and after.
        entry.storing = Some(std::mem::take(&mut entry.waiting));
        entry.storing.as_ref()
    }

    /// The batch that was being stored, now committed; the document is read anew.
    pub fn stored(&mut self, doc: &DocId, shelf: &dyn Shelf, rosters: &RosterChain) -> Option<Batch> {
        let batch = if self.entries.contains_key(doc) {
            self.change(*doc, |entry| entry.storing.take())
        } else {
            None
        };
        self.refresh(doc, shelf, rosters);
        batch
    }

    /// Forgets what was to be stored.
    pub fn failed(&mut self, doc: &DocId) {
        self.remove(doc);
    }

    /// Forgets what documents say, after the roster changed.
    pub fn forget_views(&mut self) {
        for entry in self.entries.values_mut() {
            (entry.view, entry.foreseen) = (None, None);
        }
        self.sums.envelopes = 0;
    }

    /// Documents that wait for the store: those of which something came on the urgent lane, and all others, are
    /// counted apart.
    pub fn storing(&self, lane: Lane) -> usize {
        if lane == Lane::Urgent { self.sums.urgent } else { self.sums.others }
    }

    /// Drops what was idle longest until the limits hold.
    pub fn trim(&mut self) {
        while self.entries.len() > DOCUMENTS_LOADED_MAX || self.sums.envelopes > ENVELOPES_LOADED_MAX {
            let idle = |doc: &&DocId| self.entries.get(doc).is_some_and(Entry::idle);
            let Some(oldest) = self.by_used.values().find(idle).copied() else { return };
            self.remove(&oldest);
        }
    }
}

fn load(doc: &DocId, shelf: &dyn Shelf, rosters: &RosterChain) -> Option<View> {
    let document = shelf.document(doc).filter(|document| !document.is_empty())?;
    View::of(document, rosters)
}
