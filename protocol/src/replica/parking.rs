//! Envelopes that cannot be judged or kept yet: a parent, a roster version, or the envelope that names
//! this node is not here. In memory only, bounded, keyed by who sent them, so that nobody can push out
//! what another peer sent. Expiry is no verdict: what is still due comes again.

use std::collections::{BTreeMap, BTreeSet};

use crate::envelope::{SignedEnvelope, VerifiedEnvelope};
use crate::ids::{DocId, EnvelopeId, MemberId, Millis};
use crate::limits::{PARKED_AGE_MS_MAX, PARKED_BYTES_MAX, PARKED_PER_DOCUMENT_MAX, PARKED_PER_PEER_MAX};
use crate::message::{InlineBlob, Lane};

/// How far an envelope got.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Its roster version is not here, so its signature is not judged.
    Signed(Box<SignedEnvelope>),
    /// Its signature holds.
    Verified(Box<VerifiedEnvelope>),
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
}

impl Parked {
    fn bytes(&self) -> usize {
        let envelope = match &self.stage {
            Stage::Signed(envelope) => envelope.encode().len(),
            Stage::Verified(envelope) => envelope.encode().len(),
        };
        envelope + self.blobs.iter().map(|blob| 64 + blob.content.len()).sum::<usize>()
    }
}

#[derive(Debug)]
struct Slot {
    parked: Parked,
    bytes: usize,
    order: u64,
}

type Key = (MemberId, EnvelopeId);

/// The parking lot.
#[derive(Debug, Default)]
pub(super) struct Parking {
    slots: BTreeMap<Key, Slot>,
    documents: BTreeMap<DocId, BTreeSet<Key>>,
    bytes: usize,
    next: u64,
}

impl Parking {
    /// Parks one; gives the peer and document of whatever had to go for it.
    pub fn park(&mut self, parked: Parked) -> Vec<(MemberId, DocId)> {
        let (key, doc) = ((parked.peer, parked.id), parked.doc);
        if self.slots.contains_key(&key) {
            return Vec::new();
        }
        let bytes = parked.bytes();
        self.next += 1;
        self.bytes += bytes;
        self.documents.entry(doc).or_default().insert(key);
        self.slots.insert(key, Slot { parked, bytes, order: self.next });
        let mut gone = Vec::new();
        if let Some(pushed) = self.pushed_past_limit(key.0) {
            gone.extend(self.evict_oldest(&pushed));
        }
        if self.documents.get(&doc).is_some_and(|keys| keys.len() > PARKED_PER_DOCUMENT_MAX) {
            let keys: Vec<Key> = self.documents.get(&doc).into_iter().flatten().copied().collect();
            gone.extend(self.evict_largest_user(&keys, |_| 1));
        }
        while self.bytes > PARKED_BYTES_MAX {
            let keys: Vec<Key> = self.slots.keys().copied().collect();
            let evicted = self.evict_largest_user(&keys, |slot| slot.bytes);
            if evicted.is_none() {
                break;
            }
            gone.extend(evicted);
        }
        gone
    }

    /// The documents that anything is parked of.
    pub fn documents(&self) -> impl Iterator<Item = &DocId> {
        self.documents.keys()
    }

    /// Takes out everything of a document, oldest first.
    pub fn take_document(&mut self, doc: &DocId) -> Vec<Parked> {
        let keys: Vec<Key> = self.documents.get(doc).into_iter().flatten().copied().collect();
        self.take(&keys)
    }

    /// Takes out everything that waits for a roster version, oldest first.
    pub fn take_unverified(&mut self) -> Vec<Parked> {
        let unverified = |slot: &Slot| matches!(slot.parked.stage, Stage::Signed(_));
        let keys: Vec<Key> =
            self.slots.iter().filter(|(_, slot)| unverified(slot)).map(|(key, _)| *key).collect();
        self.take(&keys)
    }

    /// Drops what has been here for too long.
    pub fn expire(&mut self, now: Millis) {
        let old = |slot: &Slot| now.since(slot.parked.arrived).0 > PARKED_AGE_MS_MAX;
        let keys: Vec<Key> = self.slots.iter().filter(|(_, slot)| old(slot)).map(|(key, _)| *key).collect();
        self.take(&keys);
    }

    /// How many are parked, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.slots.len(), self.bytes)
    }

    /// What a peer sent unasked, if that is more than its share.
    fn pushed_past_limit(&self, peer: MemberId) -> Option<Vec<Key>> {
        let theirs = self.slots.range((peer, EnvelopeId([0; 32]))..=(peer, EnvelopeId([255; 32])));
        let pushed: Vec<Key> = theirs.filter(|(_, slot)| !slot.parked.asked).map(|(key, _)| *key).collect();
        (pushed.len() > PARKED_PER_PEER_MAX).then_some(pushed)
    }

    fn take(&mut self, keys: &[Key]) -> Vec<Parked> {
        let mut taken: Vec<Slot> = keys.iter().filter_map(|key| self.remove(key)).collect();
        taken.sort_by_key(|slot| slot.order);
        taken.into_iter().map(|slot| slot.parked).collect()
    }

    fn remove(&mut self, key: &Key) -> Option<Slot> {
        let slot = self.slots.remove(key)?;
        self.bytes -= slot.bytes;
        if let Some(keys) = self.documents.get_mut(&slot.parked.doc) {
            keys.remove(key);
            if keys.is_empty() {
                self.documents.remove(&slot.parked.doc);
            }
        }
        Some(slot)
    }

    fn evict_oldest(&mut self, keys: &[Key]) -> Option<(MemberId, DocId)> {
        let order = |key: &&Key| self.slots.get(key).map(|slot| slot.order);
        let oldest = *keys.iter().min_by_key(order)?;
        self.remove(&oldest).map(|slot| (slot.parked.peer, slot.parked.doc))
    }

    fn evict_largest_user(
        &mut self,
        keys: &[Key],
        weight: impl Fn(&Slot) -> usize,
    ) -> Option<(MemberId, DocId)> {
        let mut users: BTreeMap<MemberId, usize> = BTreeMap::new();
        for key in keys {
            *users.entry(key.0).or_default() += self.slots.get(key).map_or(0, &weight);
        }
        let (largest, _) = users.into_iter().max_by_key(|(_, weight)| *weight)?;
        let theirs: Vec<Key> = keys.iter().filter(|key| key.0 == largest).copied().collect();
        self.evict_oldest(&theirs)
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
                    stage: Stage::Signed(Box::new(envelope.signed().clone())),
                    blobs: Vec::new(),
                    age: Millis(0),
                    arrived: Millis(1_000),
                    lane: Lane::Normal,
                    asked: false,
                }
            })
            .collect()
    }

    fn ids(parking: &mut Parking, doc: &DocId) -> Vec<EnvelopeId> {
        parking.take_document(doc).into_iter().map(|parked| parked.id).collect()
    }

    #[test]
    fn peer_past_its_share_pushes_out_its_own_oldest_and_nobody_elses() {
        let all = items(PARKED_PER_PEER_MAX + 1);
        let doc = all[0].doc;
        let mut parking = Parking::default();
        let other = Parked { peer: member(2), ..all[0].clone() };
        assert!(parking.park(other).is_empty());
        let mut gone = Vec::new();
        for parked in &all {
            gone.extend(parking.park(parked.clone()));
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
        parking.park(small);
        let blob = |n: usize| InlineBlob {
            id: crate::ids::BlobId([u8::try_from(n % 250).unwrap(); 32]),
            salt: [0; 32],
            content: vec![0; crate::limits::BLOB_INLINE_BYTES_MAX],
        };
        for parked in &all {
            let blobs = (0..8).map(blob).collect();
            parking.park(Parked { blobs, ..parked.clone() });
            assert!(parking.size().1 <= PARKED_BYTES_MAX);
        }
        let left = parking.take_document(&all[0].doc);
        assert!(left.len() < all.len(), "some had to go");
        assert_eq!(left[0].peer, member(2), "the small user keeps its place");
        assert_eq!(left.last().unwrap().id, all.last().unwrap().id, "the newest stays");
    }

    #[test]
    fn document_is_bounded_even_for_what_was_asked_for() {
        let all = items(PARKED_PER_DOCUMENT_MAX + 3);
        let mut parking = Parking::default();
        for parked in &all {
            parking.park(Parked { asked: true, ..parked.clone() });
        }
        assert_eq!(parking.size().0, PARKED_PER_DOCUMENT_MAX);
    }

    #[test]
    fn parked_envelope_expires_without_a_trace() {
        let all = items(1);
        let mut parking = Parking::default();
        parking.park(all[0].clone());
        parking.expire(Millis(1_000 + PARKED_AGE_MS_MAX));
        assert_eq!(parking.size().0, 1);
        parking.expire(Millis(1_001 + PARKED_AGE_MS_MAX));
        assert_eq!(parking.size(), (0, 0));
    }
}
