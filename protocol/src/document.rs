//! A document: the admitted envelopes of one incident, notice or day of figures, with what each of
//! them had seen. Everything that is read from a document (owner, audience, fold, Automerge) is
//! computed over sets of its envelopes.

mod agreed;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::envelope::AdmittedEnvelope;
use crate::ids::{DocId, EnvelopeId, MemberId, sha256};
use crate::operation::Operation;
use crate::proof::Proof;

/// A set of a document's envelopes, by their place in it. Up to 128 need no memory of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvelopeSet(SmallVec<[u64; 2]>);

impl EnvelopeSet {
    /// Adds one place; true if it was new.
    pub fn insert(&mut self, place: usize) -> bool {
        let (word, bit) = (place / 64, 1u64 << (place % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let Some(slot) = self.0.get_mut(word) else { return false };
        let new = *slot & bit == 0;
        *slot |= bit;
        new
    }
    /// Takes one place out.
    pub fn remove(&mut self, place: usize) {
        if let Some(slot) = self.0.get_mut(place / 64) {
            *slot &= !(1u64 << (place % 64));
        }
    }
    /// True if the place is in the set.
    #[must_use]
    pub fn contains(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|slot| slot & (1u64 << (place % 64)) != 0)
    }
    /// Adds all of another set.
    pub fn union(&mut self, other: &EnvelopeSet) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (slot, more) in self.0.iter_mut().zip(&other.0) {
            *slot |= more;
        }
    }
    /// How many places there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|slot| slot.count_ones()).sum::<u32>().try_into().unwrap_or(usize::MAX)
    }
    /// True without any place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|slot| *slot == 0)
    }
    /// The places, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(word, slot)| {
            (0..64).filter(move |bit| slot & (1u64 << bit) != 0).map(move |bit| word * 64 + bit)
        })
    }
    /// The first `count` places.
    #[must_use]
    pub fn first(count: usize) -> Self {
        let mut set = Self::default();
        for place in 0..count {
            set.insert(place);
        }
        set
    }
}

/// An envelope and everything it had seen.
#[derive(Debug, Clone)]
struct Entry {
    envelope: AdmittedEnvelope,
    ancestors: EnvelopeSet,
}

/// The admitted envelopes of one document, parents before children, and what proves that an author of it
/// equivocated.
///
/// Without such a proof and before a retire all that is held belongs to it. Otherwise only the agreed
/// part does: heads, fingerprint, length and every reading are of that. An envelope outside of it may
/// still be named, as a parent too.
#[derive(Debug, Clone, Default)]
pub struct Document {
    entries: Vec<Entry>,
    places: BTreeMap<EnvelopeId, usize>,
    agreed: EnvelopeSet,
    heads: BTreeSet<EnvelopeId>,
    retires: BTreeSet<EnvelopeId>,
    chains: agreed::Chains,
    proofs: BTreeMap<MemberId, Arc<Proof>>,
}

/// An envelope whose parents are not in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an envelope's parents are not in the document")]
pub struct ParentsMissing;

impl Document {
    /// From envelopes in an order that puts parents first, such as the order of the log.
    pub fn from_log(envelopes: impl IntoIterator<Item = AdmittedEnvelope>) -> Result<Self, ParentsMissing> {
        let mut document = Self::default();
        for envelope in envelopes {
            document.insert(envelope)?;
        }
        Ok(document)
    }

    /// Adds one; false if it was here. Its parents must be here.
    pub fn insert(&mut self, envelope: AdmittedEnvelope) -> Result<bool, ParentsMissing> {
        let id = envelope.id();
        if self.places.contains_key(&id) {
            return Ok(false);
        }
        let ancestors = self.closure(&envelope.header().parents).ok_or(ParentsMissing)?;
        let place = self.entries.len();
        self.places.insert(id, place);
        self.entries.push(Entry { envelope: envelope.clone(), ancestors: ancestors.clone() });
        self.settle_in(&envelope, place, &ancestors);
        Ok(true)
    }

    /// The first envelope; none in a document that is still empty.
    #[must_use]
    pub fn genesis(&self) -> Option<&AdmittedEnvelope> {
        self.entries.first().map(|entry| &entry.envelope)
    }
    /// The document's id; none while it is empty.
    #[must_use]
    pub fn id(&self) -> Option<DocId> {
        self.genesis().map(|genesis| genesis.header().doc)
    }
    /// How many envelopes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.agreed.len()
    }
    /// True before the genesis.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// The envelopes, parents before children.
    pub fn envelopes(&self) -> impl DoubleEndedIterator<Item = &AdmittedEnvelope> {
        let placed = self.entries.iter().enumerate();
        placed.filter(|(place, _)| self.agreed.contains(*place)).map(|(_, entry)| &entry.envelope)
    }
    /// Everything held, the agreed part or not, parents before children.
    pub fn held(&self) -> impl DoubleEndedIterator<Item = &AdmittedEnvelope> {
        self.entries.iter().map(|entry| &entry.envelope)
    }
    /// One envelope by its id.
    #[must_use]
    pub fn envelope(&self, id: &EnvelopeId) -> Option<&AdmittedEnvelope> {
        self.at(*self.places.get(id)?)
    }
    /// One envelope by its place.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<&AdmittedEnvelope> {
        self.entries.get(place).map(|entry| &entry.envelope)
    }
    /// The place of an envelope.
    #[must_use]
    pub fn place(&self, id: &EnvelopeId) -> Option<usize> {
        self.places.get(id).copied()
    }
    /// True if it is here.
    #[must_use]
    pub fn contains(&self, id: &EnvelopeId) -> bool {
        self.places.contains_key(id)
    }
    /// Envelopes that no other names as a parent, ascending.
    #[must_use]
    pub fn heads(&self) -> Vec<EnvelopeId> {
        self.heads.iter().copied().collect()
    }
    /// What peers are told of it, ascending: its heads and the names of its proofs; of a retired document
    /// its smallest retire alone.
    #[must_use]
    pub fn standing(&self) -> Vec<EnvelopeId> {
        if let Some(retired) = self.retired() {
            return vec![retired];
        }
        let mut standing = self.heads();
        standing.extend(self.proofs().map(|proof| proof.id()));
        standing.sort_unstable();
        standing
    }
    /// Hash of what peers are told: equal fingerprints, equal documents. Of a retired document it is a
    /// hash of the smallest retire, so that holders who dropped its contents agree with those who did not.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        if let (Some(retired), Some(doc)) = (self.retired(), self.id()) {
            return retired_fingerprint(&doc, &retired);
        }
        fingerprint(&self.standing())
    }
    /// All its envelopes.
    #[must_use]
    pub fn all(&self) -> EnvelopeSet {
        self.agreed.clone()
    }
    /// Everything held, the agreed part or not.
    #[must_use]
    pub fn all_held(&self) -> EnvelopeSet {
        EnvelopeSet::first(self.entries.len())
    }
    /// What the envelope at `place` had seen, itself left out.
    #[must_use]
    pub fn ancestors(&self, place: usize) -> Option<&EnvelopeSet> {
        self.entries.get(place).map(|entry| &entry.ancestors)
    }
    /// The given envelopes and everything they had seen; none if one of them is not here.
    #[must_use]
    pub fn closure(&self, ids: &[EnvelopeId]) -> Option<EnvelopeSet> {
        let mut set = EnvelopeSet::default();
        for id in ids {
            let place = *self.places.get(id)?;
            set.union(self.ancestors(place)?);
            set.insert(place);
        }
        Some(set)
    }
    /// As [`Document::closure`], passing over what is not here.
    #[must_use]
    pub fn closure_of_held(&self, ids: &[EnvelopeId]) -> EnvelopeSet {
        let held: Vec<_> = ids.iter().copied().filter(|id| self.contains(id)).collect();
        self.closure(&held).unwrap_or_default()
    }
    /// The envelopes of a set, parents before children.
    pub fn members<'a>(
        &'a self,
        set: &'a EnvelopeSet,
    ) -> impl Iterator<Item = (usize, &'a AdmittedEnvelope)> + 'a {
        set.iter().filter_map(|place| self.at(place).map(|envelope| (place, envelope)))
    }
    /// The author's envelope with the greatest chain place of all that is held.
    #[must_use]
    pub fn last_of(&self, author: &MemberId) -> Option<&AdmittedEnvelope> {
        self.held().filter(|e| e.header().author == *author).max_by_key(|e| (e.chain_place(), e.id()))
    }
    /// The last envelope held of each author, by id.
    #[must_use]
    pub fn tips(&self) -> Vec<EnvelopeId> {
        let authors: BTreeSet<_> = self.held().map(|e| e.header().author).collect();
        authors.iter().filter_map(|author| self.last_of(author)).map(AdmittedEnvelope::id).collect()
    }

    /// The transfer that decides who owns a set: greatest by (takeovers, handoffs) in its ancestry,
    /// itself included, then the smaller id; the genesis if there is none.
    #[must_use]
    pub fn winner(&self, set: &EnvelopeSet) -> usize {
        self.members(set)
            .filter(|(_, envelope)| is_transfer(envelope))
            .max_by_key(|(place, envelope)| (self.rank(*place), Reverse(envelope.id())))
            .map_or(0, |(place, _)| place)
    }

    /// Takeovers and handoffs in the ancestry of a place, itself included.
    fn rank(&self, place: usize) -> (usize, usize) {
        let mut seen = self.ancestors(place).cloned().unwrap_or_default();
        seen.insert(place);
        let count = |takeover: bool| {
            let wanted = |e: &AdmittedEnvelope| is_transfer(e) && is_takeover(e) == takeover;
            self.members(&seen).filter(|(_, e)| wanted(e)).count()
        };
        (count(true), count(false))
    }

    /// The owner that a transfer (or the genesis) makes.
    #[must_use]
    pub fn owner_by(&self, winner: usize) -> Option<MemberId> {
        let envelope = self.at(winner)?;
        if let Operation::Commit { accept } | Operation::TakeoverCommit { accept } = envelope.operation() {
            return self.envelope(accept).map(|accept| accept.header().author);
        }
        Some(envelope.header().author)
    }

    /// The owner's last offer in a set that counts: one that has the winning transfer as its ancestor,
    /// or is the genesis.
    #[must_use]
    pub fn last_offer(&self, set: &EnvelopeSet, winner: usize) -> Option<(&AdmittedEnvelope, MemberId)> {
        let owner = self.owner_by(winner)?;
        self.last_since(set, winner, owner, offered_to)
    }

    /// The last takeover offer of `authority` in a set that has the winning transfer as its ancestor.
    #[must_use]
    pub fn last_takeover_offer(
        &self,
        set: &EnvelopeSet,
        winner: usize,
        authority: MemberId,
    ) -> Option<(&AdmittedEnvelope, MemberId)> {
        self.last_since(set, winner, authority, |e| {
            if let Operation::TakeoverOffer { to } = e.operation() { Some(*to) } else { None }
        })
    }

    fn last_since(
        &self,
        set: &EnvelopeSet,
        winner: usize,
        author: MemberId,
        to: impl Fn(&AdmittedEnvelope) -> Option<MemberId>,
    ) -> Option<(&AdmittedEnvelope, MemberId)> {
        set.iter()
            .filter_map(|place| self.at(place).map(|envelope| (place, envelope)))
            .filter(|(place, e)| {
                let after = self.ancestors(*place).is_some_and(|seen| seen.contains(winner));
                e.header().author == author && (after || *place == winner)
            })
            .filter_map(|(_, e)| to(e).map(|to| (e, to)))
            .max_by_key(|(e, _)| (e.chain_place(), e.id()))
    }

    /// True if this one and another are known to hold the same envelopes and no proofs: without proofs and retires
    /// the heads name everything held. False says nothing.
    #[must_use]
    pub fn same_as(&self, other: &Document) -> bool {
        let plain = |document: &Document| document.proofs.is_empty() && document.retires.is_empty();
        plain(self) && plain(other) && self.heads == other.heads
    }

    /// The `retire` with the smallest id: nothing after it is taken in.
    #[must_use]
    pub fn retired(&self) -> Option<EnvelopeId> {
        self.retires.first().copied()
    }
}

/// The fingerprint of a retired document, whoever still holds how much of it.
#[must_use]
pub fn retired_fingerprint(doc: &DocId, retired: &EnvelopeId) -> [u8; 32] {
    sha256(&[b"cuadra/retired/v1\0", &doc.0, &retired.0])
}

/// Hash of what is told of a document.
#[must_use]
pub fn fingerprint(sorted_heads: &[EnvelopeId]) -> [u8; 32] {
    let parts: Vec<&[u8]> = std::iter::once(b"cuadra/heads/v1\0".as_slice())
        .chain(sorted_heads.iter().map(|id| id.0.as_slice()))
        .collect();
    sha256(&parts)
}

/// True for what can change the owner.
pub(crate) fn is_transfer(envelope: &AdmittedEnvelope) -> bool {
    matches!(envelope.operation(), Operation::Commit { .. }) || is_takeover(envelope)
}

fn is_takeover(envelope: &AdmittedEnvelope) -> bool {
    matches!(envelope.operation(), Operation::TakeoverCommit { .. })
}

/// To whom an envelope offers its document.
#[must_use]
pub fn offered_to(envelope: &AdmittedEnvelope) -> Option<MemberId> {
    if let Operation::Offer { to, .. } = envelope.operation() {
        return Some(*to);
    }
    if let Operation::Open(open) = envelope.operation() { open.offered_to } else { None }
}
