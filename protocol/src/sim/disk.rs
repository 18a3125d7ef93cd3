//! A node's disk: what is on it survives a crash, and nothing else does. Every method that changes it is
//! one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::admission::Refusal;
use crate::audience::Audience;
use crate::author::{Draft, Hand, SealError, seal};
use crate::contact::SignedContact;
use crate::digest::Fingerprint;
use crate::document::Document;
use crate::envelope::{AdmittedEnvelope, BlobRef};
use crate::fold::Fold;
use crate::ids::{BlobId, DocId, EnvelopeId, MemberId, Millis};
use crate::limits::BLOB_INLINE_BYTES_MAX;
use crate::message::InlineBlob;
use crate::operation::Operation;
use crate::replica::{Arrival, DueOrder, DueRow, Shelf, due_peers};
use crate::roster::RosterChain;

/// What a node has stored.
#[derive(Debug)]
pub struct Disk {
    /// Whose disk this is.
    pub me: MemberId,
    /// The roster chain.
    pub rosters: RosterChain,
    /// The documents.
    pub documents: BTreeMap<DocId, Arc<Document>>,
    /// Contents of blobs with their salts.
    pub blobs: BTreeMap<BlobId, InlineBlob>,
    /// What is due, by peer.
    pub due: BTreeMap<MemberId, BTreeMap<DocId, DueRow>>,
    /// Rejected envelopes.
    pub refused: BTreeMap<EnvelopeId, Refusal>,
    written: BTreeMap<EnvelopeId, Millis>,
}

impl Disk {
    /// Empty but for the roster.
    #[must_use]
    pub fn new(me: MemberId, rosters: RosterChain) -> Disk {
        let (documents, blobs, due) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Disk { me, rosters, documents, blobs, due, refused: BTreeMap::new(), written: BTreeMap::new() }
    }

    /// Seals an operation of this node's own and stores it with its blobs.
    pub fn write(
        &mut self,
        now: Millis,
        doc: Option<DocId>,
        draft: &Draft,
        blobs: Vec<InlineBlob>,
        hand: &Hand,
    ) -> Result<AdmittedEnvelope, SealError> {
        let document = doc.and_then(|doc| self.documents.get(&doc)).cloned();
        if doc.is_some() && document.is_none() {
            return Err(SealError::NoDocument);
        }
        let envelope = seal(draft, document.as_deref(), hand, &self.rosters)?;
        self.insert(now, envelope.header().doc, vec![(envelope.clone(), now)], blobs);
        Ok(envelope)
    }

    /// Seals several operations on the same state, which no honest writer does, and stores them.
    pub fn fork(&mut self, now: Millis, doc: DocId, drafts: &[Draft], hand: &Hand) -> Vec<AdmittedEnvelope> {
        let Some(document) = self.documents.get(&doc).cloned() else { return Vec::new() };
        let sealed = drafts.iter().filter_map(|draft| seal(draft, Some(&document), hand, &self.rosters).ok());
        let sealed: Vec<AdmittedEnvelope> = sealed.collect();
        self.insert(now, doc, sealed.iter().map(|envelope| (envelope.clone(), now)).collect(), Vec::new());
        sealed
    }

    /// Stores what a replica asked to store.
    pub fn store(&mut self, now: Millis, doc: DocId, arrivals: &[Arrival], blobs: Vec<InlineBlob>) {
        let written = |arrival: &Arrival| Millis(now.0.saturating_sub(arrival.age.0));
        let envelopes = arrivals.iter().map(|arrival| (arrival.envelope.clone(), written(arrival)));
        self.insert(now, doc, envelopes.collect(), blobs);
    }

    fn insert(
        &mut self,
        now: Millis,
        doc: DocId,
        envelopes: Vec<(AdmittedEnvelope, Millis)>,
        blobs: Vec<InlineBlob>,
    ) {
        let entry = self.documents.entry(doc).or_default();
        let document = Arc::make_mut(entry);
        let before = document.len();
        for (envelope, written) in envelopes {
            let id = envelope.id();
            if document.insert(envelope).is_ok() {
                self.written.entry(id).or_insert(written);
            }
        }
        for blob in blobs {
            self.blobs.insert(blob.id, blob);
        }
        if document.len() == before {
            return;
        }
        let document = Arc::clone(entry);
        let lacking: BTreeSet<MemberId> = due_peers(&document, &self.rosters, &self.me).into_iter().collect();
        for (peer, rows) in &mut self.due {
            if !lacking.contains(peer) {
                rows.remove(&doc);
            }
        }
        for peer in lacking {
            self.set_due(now, peer, doc);
        }
    }

    /// Sets `due`.
    pub fn set_due(&mut self, now: Millis, peer: MemberId, doc: DocId) {
        let rings = self.documents.get(&doc).and_then(|d| d.genesis()).is_some_and(rings);
        let row = DueRow { doc, rings, since: now };
        self.due.entry(peer).or_default().entry(doc).or_insert(row);
    }

    /// Clears `due` if the document is still what the peer confirmed.
    pub fn clear_due(&mut self, peer: MemberId, doc: DocId, at: Fingerprint) {
        let same = self.documents.get(&doc).is_some_and(|document| document.fingerprint() == at.0);
        if same && let Some(rows) = self.due.get_mut(&peer) {
            rows.remove(&doc);
        }
    }

    /// Every document with the digest's view of it that both this node and `peer` may hold.
    fn both(&self, peer: &MemberId) -> Vec<(DocId, Fingerprint)> {
        let may = |document: &Document| {
            let audience = Audience::of(document, &self.rosters);
            audience.entitled(peer) && audience.entitled(&self.me)
        };
        let shared = self.documents.iter().filter(|(_, document)| may(document));
        shared.map(|(doc, document)| (*doc, Fingerprint(document.fingerprint()))).collect()
    }
}

fn rings(genesis: &AdmittedEnvelope) -> bool {
    matches!(genesis.operation(), Operation::Open(open) if open.urgency.rings())
}

impl Shelf for Disk {
    fn document(&self, doc: &DocId) -> Option<Arc<Document>> {
        self.documents.get(doc).cloned()
    }
    fn refused(&self, id: &EnvelopeId) -> bool {
        self.refused.contains_key(id)
    }
    fn written(&self, id: &EnvelopeId) -> Option<Millis> {
        self.written.get(id).copied()
    }
    fn due(&self, peer: &MemberId, after: Option<DueOrder>, limit: usize) -> Vec<DueRow> {
        let mut rows: Vec<DueRow> =
            self.due.get(peer).into_iter().flat_map(BTreeMap::values).copied().collect();
        rows.sort_by_key(DueRow::order);
        rows.retain(|row| after.is_none_or(|after| row.order() > after));
        rows.truncate(limit);
        rows
    }
    fn shared(&self, peer: &MemberId) -> Vec<(DocId, Fingerprint)> {
        self.both(peer)
    }
    fn holds_blob(&self, blob: &BlobId) -> bool {
        self.blobs.contains_key(blob)
    }
    fn small_blob(&self, blob: &BlobId) -> Option<InlineBlob> {
        self.blobs.get(blob).filter(|blob| blob.content.len() <= BLOB_INLINE_BYTES_MAX).cloned()
    }
    fn missing_blobs(&self, limit: usize) -> Vec<(DocId, BlobRef)> {
        let mut missing = Vec::new();
        for (doc, document) in &self.documents {
            let audience = Audience::of(document, &self.rosters);
            let named = document.envelopes().flat_map(|e| e.header().blobs.iter().copied());
            let lacks = |blob: &BlobRef| {
                audience.entitled_to_blob(&self.me, blob.class) && !self.blobs.contains_key(&blob.id)
            };
            missing.extend(named.filter(lacks).map(|blob| (*doc, blob)));
        }
        missing.truncate(limit);
        missing
    }
    fn accepted_offers(&self) -> Vec<DocId> {
        let accepted = |document: &Document| {
            let fold = Fold::of(document, &self.rosters);
            fold.is_some_and(|fold| {
                fold.owner == self.me && fold.offer.is_some_and(|offer| offer.accept.is_some())
            })
        };
        self.documents.iter().filter(|(_, document)| accepted(document)).map(|(doc, _)| *doc).collect()
    }
    fn contacts(&self) -> Vec<SignedContact> {
        Vec::new()
    }
}
