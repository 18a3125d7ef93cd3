//! A node's disk: what is on it survives a crash, and nothing else does. Every method that changes it is
//! one transaction.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::admission::Refusal;
use crate::audience::Audience;
use crate::author::{Draft, Hand, Lock, SealError, seal_under};
use crate::contact::SignedContact;
use crate::digest::{Digest, Fingerprint, Place};
use crate::document::{Document, retired_fingerprint};
use crate::envelope::{AdmittedEnvelope, BlobClass, BlobRef, RULES_VERSION};
use crate::fold::Fold;
use crate::ids::{BlobId, DocId, EnvelopeId, Incarnation, MemberId, Millis, RosterHash};
use crate::limits::BLOB_INLINE_BYTES_MAX;
use crate::message::{InlineBlob, Prefix};
use crate::operation::Operation;
use crate::proof::Proof;
use crate::replica::{Arrival, Dropped, DueOrder, DueRow, Held, Shelf, due_peers};
use crate::roster::RosterChain;
use crate::sim::kept::Kept;

/// A document as it lies on a disk, with what it says under the roster of that disk.
#[derive(Debug, Clone)]
pub struct Filed {
    /// Its envelopes.
    pub document: Arc<Document>,
    /// What it says.
    pub fold: Arc<Fold>,
    /// Its fingerprint: equal for equal sets of envelopes and proofs, whatever their order.
    pub set: [u8; 32],
}

impl std::ops::Deref for Filed {
    type Target = Document;
    fn deref(&self) -> &Document {
        &self.document
    }
}

impl Filed {
    /// True if the member may hold a blob that an envelope of this document names.
    #[must_use]
    pub fn entitled_to_blob(&self, member: &MemberId, blob: &BlobRef) -> bool {
        self.entitled_by(&self.fold.audience, member, blob)
    }

    /// As [`Filed::entitled_to_blob`], by another audience.
    #[must_use]
    pub fn entitled_by(&self, audience: &Audience, member: &MemberId, blob: &BlobRef) -> bool {
        let class = if self.fold.released.contains(&blob.id) { BlobClass::Shared } else { blob.class };
        audience.entitled_to_blob(member, class) && !self.fold.redacted.contains_key(&blob.id)
    }

    /// True if the member may keep a blob that an envelope names: by this audience, or because it was
    /// released once. Nobody can be made to un-see that, also where the release has no effect any more.
    #[must_use]
    pub fn may_keep_blob(&self, audience: &Audience, member: &MemberId, blob: &BlobRef) -> bool {
        let releases = |envelope: &AdmittedEnvelope| {
            let Operation::Release { blobs } = envelope.operation() else { return false };
            blobs.contains(&blob.id)
        };
        let kept = || audience.entitled(member) && self.document.held().any(releases);
        self.entitled_by(audience, member, blob) || (!self.fold.redacted.contains_key(&blob.id) && kept())
    }

    /// The audience over everything held: whom an equivocator had let in keeps what it took in.
    #[must_use]
    pub fn audience_of_held(&self, rosters: &RosterChain) -> Audience {
        if self.document.proofs().next().is_none() && self.fold.retired.is_none() {
            return self.fold.audience.clone();
        }
        Audience::over(&self.document, &self.document.all_held(), rosters)
    }
}

/// What a node has stored. A clone is a backup.
#[derive(Debug, Clone)]
pub struct Disk {
    /// Whose disk this is.
    pub me: MemberId,
    /// The roster chain; outside the backup set.
    pub rosters: RosterChain,
    /// The newest rules that the release knows that runs on it.
    pub rules: u16,
    /// The generation that this store writes under.
    pub incarnation: Incarnation,
    /// The highest counter of a generation ever drawn here; outside the backup set.
    pub mark: u32,
    /// Every generation drawn here; outside the backup set.
    pub drawn: BTreeSet<Incarnation>,
    /// Documents in which this node does not write for now.
    pub locks: BTreeMap<DocId, Lock>,
    /// Contents of blobs with their salts.
    pub blobs: BTreeMap<BlobId, InlineBlob>,
    /// The document that a blob came for; it is given out for no other.
    came_for: BTreeMap<BlobId, DocId>,
    /// What is due, by peer.
    pub due: BTreeMap<MemberId, BTreeMap<DocId, DueRow>>,
    /// Rejected envelopes.
    pub refused: BTreeMap<EnvelopeId, Refusal>,
    /// The documents.
    pub documents: BTreeMap<DocId, Filed>,
    /// What lies beside the documents.
    pub kept: Kept,
    written: BTreeMap<EnvelopeId, Millis>,
    /// When each envelope was stored, in the order of storing.
    added: BTreeMap<DocId, Vec<(EnvelopeId, Millis)>>,
    /// How many times from now on a digest is still being hashed when it is asked for.
    pub unhashed: Cell<u32>,
}

impl Disk {
    /// Empty but for the roster.
    #[must_use]
    pub fn new(me: MemberId, rosters: RosterChain) -> Disk {
        Disk {
            me,
            rosters,
            rules: RULES_VERSION,
            incarnation: Incarnation::new(0, 7),
            mark: 0,
            drawn: [Incarnation::new(0, 7)].into(),
            locks: BTreeMap::new(),
            blobs: BTreeMap::new(),
            came_for: BTreeMap::new(),
            due: BTreeMap::new(),
            refused: BTreeMap::new(),
            documents: BTreeMap::new(),
            kept: Kept::default(),
            written: BTreeMap::new(),
            added: BTreeMap::new(),
            unhashed: Cell::new(0),
        }
    }

    /// With the random part of its first generation.
    #[must_use]
    pub fn begun_with(self, random: u32) -> Disk {
        let incarnation = Incarnation::new(0, random);
        Disk { incarnation, drawn: [incarnation].into(), ..self }
    }

    /// What a restore does before anything is signed: it draws a new generation above every one that was
    /// ever drawn here, and raises the mark that lies outside the backup set.
    pub fn restore(&mut self, mark: u32, random: u32) {
        let counter = self.incarnation.counter().max(mark).saturating_add(1);
        self.incarnation = Incarnation::new(counter, random);
        self.mark = counter;
        self.drawn.insert(self.incarnation);
        self.lock_all(Lock::Restored);
    }

    /// What a person does who has made sure that no other copy runs: a new generation above every one that
    /// signed as this node in anything held, and no lock any more.
    pub fn unlock_all(&mut self, random: u32) {
        let own = |filed: &Filed| {
            let mine = filed.document.held().filter(|e| e.header().author == self.me);
            mine.map(|e| e.header().incarnation.counter()).max()
        };
        let most = self.documents.values().filter_map(own).max().unwrap_or(0);
        self.restore(most.max(self.mark), random);
        self.locks.clear();
    }

    /// Writes no more in any document that is here and somebody else may hold too.
    pub fn lock_all(&mut self, lock: Lock) {
        let shared = |filed: &Filed| filed.fold.audience.members().any(|member| member != self.me);
        let docs = self.documents.iter().filter(|(_, filed)| shared(filed)).map(|(doc, _)| *doc);
        for doc in docs.collect::<Vec<_>>() {
            let held = self.locks.entry(doc).or_insert(lock);
            *held = lock.max(*held);
        }
    }

    /// Lifts a restore's lock.
    pub fn unlock(&mut self, doc: &DocId) {
        if self.locks.get(doc) == Some(&Lock::Restored) {
            self.locks.remove(doc);
        }
    }

    /// Lifts the locks of a restore on everything shared with a peer.
    pub fn unlock_shared(&mut self, peer: &MemberId) {
        for (doc, _) in self.digest_below(peer, &Prefix::default(), usize::MAX) {
            self.unlock(&doc);
        }
    }

    /// A document and what it says.
    #[must_use]
    pub fn filed(&self, doc: &DocId) -> Option<&Filed> {
        self.documents.get(doc)
    }

    /// Takes a grown roster chain and reads every document anew under it.
    pub fn set_rosters(&mut self, rosters: RosterChain) {
        self.rosters = rosters;
        let docs: Vec<DocId> = self.documents.keys().copied().collect();
        for doc in docs {
            let Some(filed) = self.documents.get_mut(&doc) else { continue };
            if let Some(fold) = Fold::of(&filed.document, &self.rosters) {
                self.blobs.retain(|blob, _| !fold.redacted.contains_key(blob));
                filed.fold = Arc::new(fold);
            }
        }
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
        let named =
            if doc.is_some() { self.rosters.head() } else { self.rosters.newest_under(self.rules) }.hash();
        self.write_under(now, doc, draft, blobs, (hand, &named))
    }

    /// As [`Disk::write`], with the roster that it names.
    pub fn write_under(
        &mut self,
        now: Millis,
        doc: Option<DocId>,
        draft: &Draft,
        blobs: Vec<InlineBlob>,
        (hand, named): (&Hand, &RosterHash),
    ) -> Result<AdmittedEnvelope, SealError> {
        let document = doc.and_then(|doc| self.documents.get(&doc)).map(|filed| Arc::clone(&filed.document));
        if doc.is_some() && document.is_none() {
            return Err(SealError::NoDocument);
        }
        if let Some(lock) = doc.and_then(|doc| self.locks.get(&doc)) {
            return Err(SealError::Locked(*lock));
        }
        let named = self.rosters.get(named).unwrap_or(self.rosters.head());
        let envelope = seal_under(draft, document.as_deref(), hand, &self.rosters, named, self.rules)?;
        self.insert(now, envelope.header().doc, vec![(envelope.clone(), now)], blobs);
        Ok(envelope)
    }

    /// Stores what a replica asked to store.
    pub fn store(&mut self, now: Millis, doc: DocId, arrivals: &[Arrival], blobs: Vec<InlineBlob>) {
        let written = |arrival: &Arrival| Millis(now.0.saturating_sub(arrival.age.0));
        let envelopes = arrivals.iter().map(|arrival| (arrival.envelope.clone(), written(arrival)));
        self.insert(now, doc, envelopes.collect(), blobs);
    }

    /// Stores admitted envelopes, parents first, with `due` for whoever lacks them.
    pub fn insert(
        &mut self,
        now: Millis,
        doc: DocId,
        envelopes: Vec<(AdmittedEnvelope, Millis)>,
        blobs: Vec<InlineBlob>,
    ) {
        if self.kept.dropped.contains_key(&doc) {
            // Asked for before its contents were dropped.
            return;
        }
        let before = self.documents.get(&doc);
        let mut document = before.map(|filed| (*filed.document).clone()).unwrap_or_default();
        for (envelope, written) in envelopes {
            let id = envelope.id();
            if document.insert(envelope) == Ok(true) {
                self.written.entry(id).or_insert(written);
                self.added.entry(doc).or_default().push((id, now));
            }
            self.kept.let_go(|held| *held == id);
        }
        for blob in blobs {
            self.came_for.entry(blob.id).or_insert(doc);
            self.blobs.insert(blob.id, blob);
        }
        self.file(now, doc, document);
    }

    /// Keeps proofs of equivocation.
    pub fn keep_proofs(&mut self, now: Millis, doc: DocId, proofs: Vec<Proof>) {
        let Some(filed) = self.documents.get(&doc) else { return };
        let mut document = (*filed.document).clone();
        let count = proofs.len();
        let known = proofs.into_iter().filter(|proof| !document.add_proof(proof.clone())).count();
        if known < count {
            self.file(now, doc, document);
        }
    }

    /// Files a document that changed, with exactly the rows of `due` that it asks for now.
    fn file(&mut self, now: Millis, doc: DocId, document: Document) {
        let Some(fold) = Fold::of(&document, &self.rosters) else { return };
        self.blobs.retain(|blob, _| !fold.redacted.contains_key(blob));
        if document.retired().is_some() && fold.audience.entitled(&self.me) {
            // What it is for peers that dropped it is now what it is here.
            self.kept.gone.retain(|(_, other), _| *other != doc);
        }
        let (set, document) = (document.fingerprint(), Arc::new(document));
        let lacking = due_peers(&document, &fold.audience, &self.rosters, &self.me);
        let lacking: BTreeSet<MemberId> = lacking.into_iter().collect();
        let before = self.documents.insert(doc, Filed { document, fold: Arc::new(fold), set });
        if before.is_some_and(|before| before.set == set) {
            return;
        }
        for (peer, rows) in &mut self.due {
            if !lacking.contains(peer) {
                rows.remove(&doc);
            }
        }
        for peer in lacking {
            self.set_due(now, peer, doc);
        }
    }

    /// Stores a blob, unless it is to be erased or what it came for was dropped.
    pub fn store_blob(&mut self, blob: InlineBlob) {
        let redacted = self.documents.values().any(|filed| filed.fold.redacted.contains_key(&blob.id));
        let dropped = !self.kept.dropped.is_empty() && !self.names_blob(&blob.id);
        if !redacted && !dropped {
            self.blobs.insert(blob.id, blob);
        }
    }

    /// Drops the contents of a retired document; its retire and whom it is for stay.
    pub fn drop_contents(&mut self, doc: &DocId) {
        let Some(filed) = self.documents.get(doc) else { return };
        let retired = filed.document.retired();
        let Some(retire) = retired.and_then(|id| filed.document.envelope(&id).cloned()) else { return };
        let audience = filed.fold.audience.members().collect();
        let blobs: BTreeSet<BlobId> =
            filed.document.held().flat_map(|e| &e.header().blobs).map(|blob| blob.id).collect();
        self.kept.dropped.insert(*doc, Dropped { retire: retire.signed().clone(), audience });
        self.documents.remove(doc);
        self.locks.remove(doc);
        for blob in blobs {
            if !self.names_blob(&blob) {
                self.blobs.remove(&blob);
            }
        }
    }

    /// True if anything held names a blob.
    fn names_blob(&self, blob: &BlobId) -> bool {
        let mut held = self.documents.values().flat_map(|filed| filed.document.held());
        held.any(|envelope| envelope.header().blobs.iter().any(|named| named.id == *blob))
    }

    /// Takes a peer's word that it has dropped the contents of a document.
    pub fn note_gone(&mut self, peer: MemberId, doc: DocId, retired: EnvelopeId) {
        self.kept.gone.insert((peer, doc), retired);
        if let Some(rows) = self.due.get_mut(&peer) {
            rows.remove(&doc);
        }
    }

    /// A peer has shown that it holds what was dropped here.
    pub fn note_holder(&mut self, peer: MemberId, doc: DocId) {
        if let Some(dropped) = self.kept.dropped.get_mut(&doc) {
            dropped.audience.insert(peer);
        }
    }

    /// Forgets that it was said.
    pub fn forget_gone(&mut self, peer: MemberId, doc: DocId) {
        self.kept.gone.remove(&(peer, doc));
    }

    /// What is shared with a peer by now, as the digest with that peer has it.
    fn shared(&self, peer: &MemberId) -> BTreeMap<DocId, Fingerprint> {
        let may = |filed: &Filed| {
            let audience = &filed.fold.audience;
            audience.entitled(peer) && audience.entitled(&self.me)
        };
        let of_retired = |doc: &DocId, id: &EnvelopeId| Fingerprint(retired_fingerprint(doc, id));
        let filed = self.documents.iter().filter(|(_, filed)| may(filed));
        let mut shared: BTreeMap<DocId, Fingerprint> =
            filed.map(|(doc, filed)| (*doc, Fingerprint(filed.document.fingerprint()))).collect();
        let dropped = self.kept.dropped.iter();
        let dropped = dropped.filter(|(_, d)| d.audience.contains(peer) && d.audience.contains(&self.me));
        shared.extend(dropped.map(|(doc, d)| (*doc, of_retired(doc, &d.retire.id()))));
        let gone = self.kept.gone.iter().filter(|((other, _), _)| other == peer);
        shared.extend(gone.map(|((_, doc), retired)| (*doc, of_retired(doc, retired))));
        shared
    }

    /// Sets `due` of a document that is here, or of which the retire is.
    pub fn set_due(&mut self, now: Millis, peer: MemberId, doc: DocId) {
        if !self.documents.contains_key(&doc) && !self.kept.dropped.contains_key(&doc) {
            return;
        }
        let rings = self.documents.get(&doc).and_then(|filed| filed.document.genesis()).is_some_and(rings);
        let row = DueRow { doc, rings, since: now };
        self.due.entry(peer).or_default().entry(doc).or_insert(row);
    }

    /// Clears `due` if the document is still what the peer confirmed.
    pub fn clear_due(&mut self, peer: MemberId, doc: DocId, at: Fingerprint) {
        let dropped = self.kept.dropped.get(&doc).map(|d| retired_fingerprint(&doc, &d.retire.id()));
        let same = self.documents.get(&doc).is_some_and(|filed| filed.document.fingerprint() == at.0);
        if (same || dropped == Some(at.0))
            && let Some(rows) = self.due.get_mut(&peer)
        {
            rows.remove(&doc);
        }
    }

    /// True if a document is due to a peer.
    #[must_use]
    pub fn is_due(&self, peer: &MemberId, doc: &DocId) -> bool {
        self.due.get(peer).is_some_and(|rows| rows.contains_key(doc))
    }
}

fn rings(genesis: &AdmittedEnvelope) -> bool {
    matches!(genesis.operation(), Operation::Open(open) if open.urgency.rings())
}

impl Shelf for Disk {
    fn document(&self, doc: &DocId) -> Option<Arc<Document>> {
        self.documents.get(doc).map(|filed| Arc::clone(&filed.document))
    }
    fn refused(&self, id: &EnvelopeId) -> bool {
        self.refused.contains_key(id)
    }
    fn held(&self, id: &EnvelopeId) -> bool {
        self.kept.holds(id)
    }
    fn held_from(&self, peer: &MemberId, doc: &DocId, limit: usize) -> Vec<EnvelopeId> {
        let theirs = |held: &Held| held.from == *peer && held.envelope.header().doc == *doc;
        self.kept.held(Millis(0)).filter(theirs).map(|held| held.envelope.id()).take(limit).collect()
    }
    fn held_ready(&self, rules: u16, limit: usize) -> Vec<Held> {
        let ready = |held: &Held| held.envelope.header().rules_version <= rules;
        self.kept.held(Millis(0)).filter(ready).take(limit).collect()
    }
    fn dropped(&self, doc: &DocId) -> Option<Dropped> {
        self.kept.dropped.get(doc).cloned()
    }
    fn gone(&self, peer: &MemberId, doc: &DocId) -> bool {
        self.kept.gone.contains_key(&(*peer, *doc))
    }
    fn written(&self, _doc: &DocId, id: &EnvelopeId) -> Option<Millis> {
        self.written.get(id).copied()
    }
    fn added(&self, doc: &DocId, since: Millis) -> Vec<EnvelopeId> {
        let added = self.added.get(doc).into_iter().flatten();
        added.filter(|(_, at)| *at >= since).map(|(id, _)| *id).collect()
    }
    fn due(&self, peer: &MemberId, after: Option<DueOrder>, limit: usize) -> Vec<DueRow> {
        let mut rows: Vec<DueRow> =
            self.due.get(peer).into_iter().flat_map(BTreeMap::values).copied().collect();
        rows.retain(|row| after.is_none_or(|after| row.order() > after));
        rows.sort_by_key(DueRow::order);
        rows.truncate(limit);
        rows
    }
    fn digest_place(&self, peer: &MemberId, prefix: &Prefix) -> Option<Place> {
        let left = self.unhashed.get();
        self.unhashed.set(left.saturating_sub(1));
        (left == 0).then(|| Digest::of(self.digest_below(peer, prefix, usize::MAX)).place(prefix))
    }
    fn digest_below(&self, peer: &MemberId, prefix: &Prefix, limit: usize) -> Vec<(DocId, Fingerprint)> {
        let Some((first, last)) = prefix.bounds() else { return Vec::new() };
        if !(self.kept.gone.is_empty() && self.kept.dropped.is_empty()) {
            let shared = self.shared(peer).into_iter();
            return shared.filter(|(doc, _)| (first..=last).contains(doc)).take(limit).collect();
        }
        let may = |filed: &Filed| {
            let audience = &filed.fold.audience;
            audience.entitled(peer) && audience.entitled(&self.me)
        };
        let shared = self.documents.range(first..=last).filter(|(_, filed)| may(filed));
        shared.take(limit).map(|(doc, filed)| (*doc, Fingerprint(filed.document.fingerprint()))).collect()
    }
    fn holds_blob(&self, doc: &DocId, blob: &BlobId) -> bool {
        self.blobs.contains_key(blob) && self.came_for.get(blob).is_none_or(|of| of == doc)
    }
    fn small_blob(&self, doc: &DocId, blob: &BlobId) -> Option<InlineBlob> {
        let blob = self.blobs.get(blob).filter(|blob| self.holds_blob(doc, &blob.id))?;
        (blob.content.len() <= BLOB_INLINE_BYTES_MAX).then(|| blob.clone())
    }
    fn missing_blobs(&self, limit: usize) -> Vec<(DocId, BlobRef)> {
        let mut missing = Vec::new();
        for (doc, filed) in &self.documents {
            let named = filed.document.envelopes().flat_map(|e| e.header().blobs.iter());
            let lacks = |blob: &&BlobRef| {
                let released = filed.fold.released.contains(&blob.id);
                let class = if released { BlobClass::Shared } else { blob.class };
                let may = filed.fold.audience.entitled_to_blob(&self.me, class);
                !self.blobs.contains_key(&blob.id) && may
            };
            missing.extend(named.filter(lacks).map(|blob| (*doc, *blob)));
            if missing.len() >= limit {
                break;
            }
        }
        missing.truncate(limit);
        missing
    }
    fn accepted_offers(&self) -> Vec<DocId> {
        let accepted = |(_, filed): &(&DocId, &Filed)| filed.fold.commits(self.me).is_some();
        self.documents.iter().filter(accepted).map(|(doc, _)| *doc).collect()
    }
    fn contacts(&self) -> Vec<SignedContact> {
        Vec::new()
    }
    fn lock(&self, doc: &DocId) -> Option<Lock> {
        self.locks.get(doc).copied()
    }
    fn locks(&self) -> bool {
        !self.locks.is_empty()
    }
    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
    fn drew(&self, incarnation: Incarnation) -> bool {
        self.drawn.contains(&incarnation)
    }
}
