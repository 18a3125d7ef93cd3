//! Envelopes that cannot be judged or kept yet: a parent, a roster version, or the envelope that names
//! this node is not here. In memory only, bounded, keyed by who sent them, so that nobody can push out
//! what another peer sent. Expiry is no verdict: what is still due comes again.
//!
//! Each lies under the one thing that it waits for, so that an arrival wakes those and no others. What is
//! admitted and waits only for the envelope that names this node is kept as a document aside: it is not
//! judged again either.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::document::Document;
use crate::envelope::{SignedEnvelope, VerifiedEnvelope};
use crate::ids::{DocId, EnvelopeId, MemberId, Millis, RosterHash};
use crate::limits::{
    PARKED_AGE_MS_MAX, PARKED_BYTES_MAX, PARKED_PER_DOCUMENT_MAX, PARKED_PER_PEER_MAX, WANT_IDS_MAX,
};
use crate::message::{InlineBlob, Lane};

/// How far an envelope got.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Its roster version is not here, so its signature is not judged.
    Signed(SignedEnvelope),
    /// Its signature holds.
    Verified(VerifiedEnvelope),
}

/// What an envelope waits for first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// The roster version that its author acted under.
    Roster(RosterHash),
    /// A parent: here, or refused.
    Parent(EnvelopeId),
    /// An envelope of the document that names this node. It is admitted itself.
    Naming(DocId),
}

/// An envelope on the way in, with who sent it.
#[derive(Debug, Clone)]
pub(super) struct Parked {
    pub peer: MemberId,
    pub doc: DocId,
    pub id: EnvelopeId,
    pub stage: Stage,
    pub blobs: Vec<InlineBlob>,
    pub age: Millis,
    pub arrived: Millis,
    pub lane: Lane,
    /// True if this node asked for it: bounded per document and in bytes, not per peer, so that a long
    /// document can be taken in before the envelope that names this node.
    pub asked: bool,
    /// Its turn among the parked; none before it was judged for the first time.
    pub turn: Option<u64>,
}

impl Parked {
    /// The roster version that it names.
    pub fn roster(&self) -> RosterHash {
        match &self.stage {
            Stage::Signed(envelope) => envelope.header().roster,
            Stage::Verified(envelope) => envelope.header().roster,
        }
    }

    fn bytes(&self) -> usize {
        let envelope = match &self.stage {
            Stage::Signed(envelope) => envelope.bytes().len(),
            Stage::Verified(envelope) => envelope.bytes().len(),
        };
        envelope + self.blobs.iter().map(|blob| 64 + blob.content.len()).sum::<usize>()
    }
}

#[derive(Debug)]
struct Slot {
    parked: Parked,
    bytes: usize,
    turn: u64,
    /// None once what it waited for is here.
    need: Option<Need>,
}

type Key = (MemberId, EnvelopeId);

/// Envelopes of one user by their turn, the oldest first.
type Turns = BTreeMap<u64, EnvelopeId>;

/// What one peer has here.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    all: Turns,
    /// Those that nobody had asked for.
    pushed: Turns,
}

/// Admitted envelopes of a document that does not name this node yet.
#[derive(Debug)]
struct Aside {
    /// What was on its way into the store when they were judged.
    base: Arc<Document>,
    /// That, and they.
    whole: Arc<Document>,
    /// True once one of them had to go.
    lacks: bool,
}

/// The parking lot.
#[derive(Debug, Default)]
pub(super) struct Parking {
    slots: BTreeMap<Key, Slot>,
    peers: BTreeMap<MemberId, Share>,
    documents: BTreeMap<DocId, BTreeMap<MemberId, Turns>>,
    waiting: BTreeMap<Need, BTreeSet<Key>>,
    /// What can be judged again, by document.
    woken: BTreeMap<DocId, BTreeSet<Key>>,
    aside: BTreeMap<DocId, Aside>,
    bytes: usize,
    next: u64,
}

impl Parking {
    /// Parks one under what it waits for; gives the peer and document of whatever had to go for it.
    pub fn park(&mut self, parked: Parked, need: Need) -> Vec<(MemberId, DocId)> {
        let (key, doc) = ((parked.peer, parked.id), parked.doc);
        if self.slots.contains_key(&key) {
            return Vec::new();
        }
        self.insert(key, parked, need);
        let mut gone = Vec::new();
        let pushed = self.peers.get(&key.0).map(|share| &share.pushed);
        if let Some(oldest) = pushed.filter(|pushed| pushed.len() > PARKED_PER_PEER_MAX).and_then(oldest) {
            gone.extend(self.evict((key.0, oldest)));
        }
        let users = self.documents.get(&doc);
        let count = users.map_or(0, |users| users.values().map(Turns::len).sum::<usize>());
        if count > PARKED_PER_DOCUMENT_MAX {
            let largest = users.and_then(|users| users.iter().max_by_key(|(_, turns)| turns.len()));
            let oldest = largest.and_then(|(user, turns)| Some((*user, oldest(turns)?)));
            gone.extend(oldest.and_then(|oldest| self.evict(oldest)));
        }
        while self.bytes > PARKED_BYTES_MAX {
            let largest = self.peers.iter().max_by_key(|(_, share)| share.bytes);
            let oldest = largest.and_then(|(user, share)| Some((*user, oldest(&share.all)?)));
            let Some(evicted) = oldest.and_then(|oldest| self.evict(oldest)) else { break };
            gone.push(evicted);
        }
        gone
    }

    /// The turn of whatever comes next.
    pub fn next_turn(&self) -> u64 {
        self.next
    }

    /// Gives something new its turn; what was parked before keeps its own.
    pub fn with_turn(&mut self, parked: Parked) -> Parked {
        let turn = parked.turn.unwrap_or(self.next);
        self.next = self.next.max(turn + 1);
        Parked { turn: Some(turn), ..parked }
    }

    /// Something is here, or refused: whoever waits for it can be judged again.
    pub fn wake(&mut self, need: &Need) {
        for key in self.waiting.remove(need).unwrap_or_default() {
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.need = None;
                self.woken.entry(slot.parked.doc).or_default().insert(key);
            }
        }
    }

    /// Takes out what can be judged again of a document, oldest first.
    pub fn take_woken(&mut self, doc: &DocId) -> Vec<Parked> {
        let keys = self.woken.remove(doc).unwrap_or_default();
        self.take(&keys)
    }

    /// Takes out everything admitted of a document that has come to name this node, oldest first.
    pub fn take_named(&mut self, doc: &DocId) -> Vec<Parked> {
        self.aside.remove(doc);
        let keys = self.waiting.remove(&Need::Naming(*doc)).unwrap_or_default();
        self.take(&keys)
    }

    /// Takes out everything that waits for one of these roster versions, oldest first.
    pub fn take_rostered(&mut self, known: impl Fn(&RosterHash) -> bool) -> Vec<Parked> {
        let held = |need: &Need| matches!(need, Need::Roster(hash) if known(hash));
        let needs: Vec<Need> = self.waiting.keys().filter(|need| held(need)).copied().collect();
        let keys: BTreeSet<Key> =
            needs.iter().filter_map(|need| self.waiting.remove(need)).flatten().collect();
        self.take(&keys)
    }

    /// The documents that have something aside.
    pub fn documents_aside(&self) -> Vec<DocId> {
        self.aside.keys().copied().collect()
    }

    /// What an envelope of this document is to be judged on: what is on its way into the store, and what
    /// is aside.
    pub fn ground(&mut self, doc: &DocId, base: &Arc<Document>) -> Arc<Document> {
        let Some(aside) = self.aside.remove(doc) else { return Arc::clone(base) };
        let same = Arc::ptr_eq(&aside.base, base) || (aside.base.is_empty() && base.is_empty());
        if !same {
            self.wake(&Need::Naming(*doc));
            return Arc::clone(base);
        }
        if aside.lacks { self.without_gone(doc, base, &aside.whole) } else { aside.whole }
    }

    /// Keeps what [`Parking::ground`] gave, grown by what was admitted on it and parked since.
    pub fn set_aside(&mut self, doc: DocId, base: Arc<Document>, whole: Arc<Document>) {
        let parked = self.waiting.get(&Need::Naming(doc)).map_or(0, BTreeSet::len);
        let lacks = whole.all_held().len() != base.all_held().len() + parked;
        if parked > 0 {
            self.aside.insert(doc, Aside { base, whole, lacks });
        }
    }

    /// What is aside without what had to go. Whatever had seen that waits for it again; the rest was
    /// judged on its own ancestors, and those are all here.
    fn without_gone(&mut self, doc: &DocId, base: &Arc<Document>, whole: &Document) -> Arc<Document> {
        let keys = self.waiting.remove(&Need::Naming(*doc)).unwrap_or_default();
        let here: BTreeMap<EnvelopeId, Key> = keys.into_iter().map(|key| (key.1, key)).collect();
        let mut left = Arc::clone(base);
        for envelope in whole.held() {
            let Some(key) = here.get(&envelope.id()) else { continue };
            let gone = envelope.header().parents.iter().find(|parent| !left.contains(parent)).copied();
            let need = gone.map_or(Need::Naming(*doc), Need::Parent);
            if gone.is_none() {
                Arc::make_mut(&mut left).insert(envelope.clone()).expect("its parents were looked for");
            }
            self.wait_for(*key, need);
        }
        left
    }

    /// Parents that a peer's envelopes of a document wait for and that the peer did not send, at most as
    /// many as one question holds.
    pub fn lacked(&self, peer: MemberId, doc: &DocId) -> BTreeSet<EnvelopeId> {
        let turns = self.documents.get(doc).and_then(|users| users.get(&peer));
        let slots = turns.into_iter().flatten().filter_map(|(_, id)| self.slots.get(&(peer, *id)));
        let parents = slots
            .filter_map(|slot| if let Some(Need::Parent(parent)) = slot.need { Some(parent) } else { None });
        parents.filter(|parent| !self.slots.contains_key(&(peer, *parent))).take(WANT_IDS_MAX).collect()
    }

    /// Drops what has been here for too long.
    pub fn expire(&mut self, now: Millis) {
        let old = |slot: &Slot| now.since(slot.parked.arrived).0 > PARKED_AGE_MS_MAX;
        let keys: Vec<Key> = self.slots.iter().filter(|(_, slot)| old(slot)).map(|(key, _)| *key).collect();
        for key in keys {
            self.evict(key);
        }
    }

    /// True if the same is parked that the same peer sent.
    pub fn holds(&self, parked: &Parked) -> bool {
        self.has(parked.peer, &parked.id)
    }

    /// True if an envelope is parked that this peer sent.
    pub fn has(&self, peer: MemberId, id: &EnvelopeId) -> bool {
        self.slots.contains_key(&(peer, *id))
    }

    /// How many are parked, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.slots.len(), self.bytes)
    }

    fn insert(&mut self, key: Key, parked: Parked, need: Need) {
        let (peer, id) = key;
        let bytes = parked.bytes();
        let parked = self.with_turn(parked);
        let turn = parked.turn.unwrap_or_default();
        self.bytes += bytes;
        let share = self.peers.entry(peer).or_default();
        share.bytes += bytes;
        share.all.insert(turn, id);
        if !parked.asked {
            share.pushed.insert(turn, id);
        }
        self.documents.entry(parked.doc).or_default().entry(peer).or_default().insert(turn, id);
        self.slots.insert(key, Slot { parked, bytes, turn, need: None });
        self.wait_for(key, need);
    }

    fn wait_for(&mut self, key: Key, need: Need) {
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.need = Some(need);
            self.waiting.entry(need).or_default().insert(key);
        }
    }

    fn take(&mut self, keys: &BTreeSet<Key>) -> Vec<Parked> {
        let mut taken: Vec<Slot> = keys.iter().filter_map(|key| self.remove(key)).collect();
        taken.sort_by_key(|slot| slot.turn);
        taken.into_iter().map(|slot| slot.parked).collect()
    }

    fn evict(&mut self, key: Key) -> Option<(MemberId, DocId)> {
        let slot = self.remove(&key)?;
        if let Some(Need::Naming(doc)) = slot.need
            && let Some(aside) = self.aside.get_mut(&doc)
        {
            aside.lacks = true;
            if !self.waiting.contains_key(&Need::Naming(doc)) {
                self.aside.remove(&doc);
            }
        }
        Some((slot.parked.peer, slot.parked.doc))
    }

    fn remove(&mut self, key: &Key) -> Option<Slot> {
        let slot = self.slots.remove(key)?;
        let doc = slot.parked.doc;
        self.bytes -= slot.bytes;
        if let Some(share) = self.peers.get_mut(&key.0) {
            share.bytes -= slot.bytes;
            share.all.remove(&slot.turn);
            share.pushed.remove(&slot.turn);
            if share.all.is_empty() {
                self.peers.remove(&key.0);
            }
        }
        if let Some(users) = self.documents.get_mut(&doc) {
            if let Some(turns) = users.get_mut(&key.0) {
                turns.remove(&slot.turn);
            }
            users.retain(|_, turns| !turns.is_empty());
            if users.is_empty() {
                self.documents.remove(&doc);
            }
        }
        match slot.need {
            Some(need) => leave(&mut self.waiting, &need, key),
            None => leave(&mut self.woken, &doc, key),
        }
        Some(slot)
    }

    /// Who sent what of that which is parked.
    #[cfg(test)]
    pub fn keys(&self) -> BTreeSet<(MemberId, EnvelopeId)> {
        self.slots.keys().copied().collect()
    }
}

fn oldest(turns: &Turns) -> Option<EnvelopeId> {
    turns.first_key_value().map(|(_, id)| *id)
}

fn leave<K: Ord>(lists: &mut BTreeMap<K, BTreeSet<Key>>, list: &K, key: &Key) {
    if let Some(keys) = lists.get_mut(list) {
        keys.remove(key);
        if keys.is_empty() {
            lists.remove(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Federation, Scribe, somebody};
    use crate::operation::{Operation, Step};

    fn member(n: u8) -> MemberId {
        MemberId([n; 32])
    }

    fn items(count: usize) -> Vec<Parked> {
        let federation = Federation::new(2);
        let mut scribe = Scribe::new(&federation);
        scribe.open(0, &[]);
        (0..count)
            .map(|_| {
                let step = Operation::Step { step: Step::Called, by: somebody(1) };
                let envelope = scribe.write(0, step).unwrap();
                Parked {
                    peer: member(1),
                    doc: envelope.header().doc,
                    id: envelope.id(),
                    stage: Stage::Signed(envelope.signed().clone()),
                    blobs: Vec::new(),
                    age: Millis(0),
                    arrived: Millis(1_000),
                    lane: Lane::Normal,
                    asked: false,
                    turn: None,
                }
            })
            .collect()
    }

    /// Every test's envelopes wait for the same parent.
    const NEED: Need = Need::Parent(EnvelopeId([9; 32]));

    fn taken(parking: &mut Parking, doc: &DocId) -> Vec<Parked> {
        parking.wake(&NEED);
        parking.take_woken(doc)
    }

    fn ids(parking: &mut Parking, doc: &DocId) -> Vec<EnvelopeId> {
        taken(parking, doc).into_iter().map(|parked| parked.id).collect()
    }

    #[test]
    fn peer_past_its_share_pushes_out_its_own_oldest_and_nobody_elses() {
        let all = items(PARKED_PER_PEER_MAX + 1);
        let doc = all[0].doc;
        let mut parking = Parking::default();
        let other = Parked { peer: member(2), ..all[0].clone() };
        assert!(parking.park(other, NEED).is_empty());
        let mut gone = Vec::new();
        for parked in &all {
            gone.extend(parking.park(parked.clone(), NEED));
        }
        assert_eq!(gone, [(member(1), doc)]);
        assert_eq!(parking.size().0, PARKED_PER_PEER_MAX + 1);
        let left = ids(&mut parking, &doc);
        assert_eq!(left[0], all[0].id, "the other peer's copy stayed");
        assert_eq!(left[1..], all[1..].iter().map(|parked| parked.id).collect::<Vec<_>>());
        assert_eq!(parking.size(), (0, 0));
    }

    #[test]
    fn bytes_in_all_are_bounded_at_the_largest_users_cost() {
        let all = items(200);
        let mut parking = Parking::default();
        let small = Parked { peer: member(2), ..all[0].clone() };
        parking.park(small, NEED);
        let blob = |n: usize| InlineBlob {
            id: crate::ids::BlobId([u8::try_from(n % 250).unwrap(); 32]),
            salt: [0; 32],
            content: vec![0; crate::limits::BLOB_INLINE_BYTES_MAX],
        };
        for parked in &all {
            let blobs = (0..8).map(blob).collect();
            parking.park(Parked { blobs, ..parked.clone() }, NEED);
            assert!(parking.size().1 <= PARKED_BYTES_MAX);
        }
        let left = taken(&mut parking, &all[0].doc);
        assert!(left.len() < all.len(), "some had to go");
        assert_eq!(left[0].peer, member(2), "the small user keeps its place");
        assert_eq!(left.last().unwrap().id, all.last().unwrap().id, "the newest stays");
    }

    #[test]
    fn document_is_bounded_even_for_what_was_asked_for() {
        let all = items(PARKED_PER_DOCUMENT_MAX + 3);
        let mut parking = Parking::default();
        for parked in &all {
            parking.park(Parked { asked: true, ..parked.clone() }, NEED);
        }
        assert_eq!(parking.size().0, PARKED_PER_DOCUMENT_MAX);
    }

    #[test]
    fn parked_envelope_expires_without_a_trace() {
        let all = items(1);
        let mut parking = Parking::default();
        parking.park(all[0].clone(), NEED);
        parking.expire(Millis(1_000 + PARKED_AGE_MS_MAX));
        assert_eq!(parking.size().0, 1);
        parking.expire(Millis(1_001 + PARKED_AGE_MS_MAX));
        assert_eq!(parking.size(), (0, 0));
    }
}
