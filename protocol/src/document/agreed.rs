//! Which of the envelopes held everybody comes to agree on, and what proves that an author may not be
//! believed.
//!
//! An author that says two things in one place of its chain could go on to say any number of them. So
//! after a proof what it wrote belongs to the document only where somebody else built on it, and once a
//! document is retired, only what its smallest retire had seen belongs to it. The rest may lie in one
//! node's log and not in another's: it is in no head and no reading.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Document, EnvelopeSet};
use crate::envelope::AdmittedEnvelope;
use crate::ids::{EnvelopeId, Incarnation, MemberId};
use crate::limits::INCARNATIONS_MAX;
use crate::operation::Operation;
use crate::proof::{ChainPlace, Proof, VerifiedStatement};

/// The first envelope held in each place of each chain, and of each generation.
#[derive(Debug, Clone, Default)]
pub(super) struct Chains {
    firsts: BTreeMap<(MemberId, ChainPlace), usize>,
    generations: BTreeMap<MemberId, BTreeMap<Incarnation, usize>>,
}

impl Document {
    /// Adds one to the chains, the heads and the agreed part; `place` is its own.
    pub(super) fn settle_in(&mut self, envelope: &AdmittedEnvelope, place: usize, ancestors: &EnvelopeSet) {
        let retires = matches!(envelope.operation(), Operation::Retire) && {
            let first = self.retired();
            self.retires.insert(envelope.id());
            self.retired() != first
        };
        if self.find_proof(envelope, place) || retires {
            self.settle_anew();
        } else if self.retires.is_empty() && !self.proven(&envelope.header().author) {
            if !self.proofs.is_empty() {
                // Built on by an author without a proof: part of the document now.
                self.agreed.union(ancestors);
            }
            self.agreed.insert(place);
            let mut heads = std::mem::take(&mut self.heads);
            heads.retain(|id| self.place(id).is_none_or(|place| !ancestors.contains(place)));
            heads.insert(envelope.id());
            self.heads = heads;
        }
    }

    /// True if this envelope proves something that was not known.
    fn find_proof(&mut self, envelope: &AdmittedEnvelope, place: usize) -> bool {
        let author = envelope.header().author;
        let first = *self.chains.firsts.entry((author, envelope.chain_place())).or_insert(place);
        let generations = self.chains.generations.entry(author).or_default();
        generations.entry(envelope.header().incarnation).or_insert(place);
        let forks = (first != place).then(|| vec![first, place]);
        let swarms = (generations.len() > INCARNATIONS_MAX)
            .then(|| generations.values().copied().take(INCARNATIONS_MAX + 1).collect());
        let found = [swarms, forks].into_iter().flatten().next();
        let proof = found.and_then(|places: Vec<usize>| {
            let envelopes = places.into_iter().filter_map(|place| self.at(place));
            Proof::of(envelopes.map(|e| VerifiedStatement::of_verified(e.signed())).collect())
        });
        proof.is_some_and(|proof| self.keep_proof(proof))
    }

    /// Takes a proof; false if one from the same place on or an earlier one was known, or if it is of
    /// another document.
    pub fn add_proof(&mut self, proof: Proof) -> bool {
        let new = self.id() == Some(proof.doc()) && self.keep_proof(proof);
        if new {
            self.settle_anew();
        }
        new
    }

    fn keep_proof(&mut self, proof: Proof) -> bool {
        let known = self.proofs.get(&proof.author());
        let new = known.is_none_or(|known| proof.from() < known.from());
        if new {
            self.proofs.insert(proof.author(), Arc::new(proof));
        }
        new
    }

    /// Finds the agreed part and its heads from the beginning.
    fn settle_anew(&mut self) {
        let mut agreed = EnvelopeSet::default();
        if let Some(retired) = self.retired() {
            agreed = self.closure_of_held(&[retired]);
        } else {
            for (place, entry) in self.entries.iter().enumerate() {
                if place == 0 || !self.proven(&entry.envelope.header().author) {
                    agreed.union(&entry.ancestors);
                    agreed.insert(place);
                }
            }
        }
        self.agreed = agreed;
        let mut heads = std::mem::take(&mut self.heads);
        heads.clear();
        for envelope in self.envelopes() {
            for parent in &envelope.header().parents {
                heads.remove(parent);
            }
            heads.insert(envelope.id());
        }
        self.heads = heads;
    }

    /// True if an author's equivocation is proven here.
    #[must_use]
    pub fn proven(&self, author: &MemberId) -> bool {
        self.proofs.contains_key(author)
    }

    /// Under how many generations an author has written here, with one more written under this one.
    #[must_use]
    pub fn generations(&self, author: &MemberId, next: Incarnation) -> usize {
        let held = self.chains.generations.get(author);
        held.map_or(1, |held| held.len() + usize::from(!held.contains_key(&next)))
    }

    /// The proof from the earliest place on, for each author that has one.
    pub fn proofs(&self) -> impl Iterator<Item = &Arc<Proof>> {
        self.proofs.values()
    }

    /// A proof by the name under which peers tell of it.
    #[must_use]
    pub fn proof(&self, id: &EnvelopeId) -> Option<&Arc<Proof>> {
        self.proofs().find(|proof| proof.id() == *id)
    }

    /// True if a proof is known that is worth at least as much.
    #[must_use]
    pub fn knows_proof(&self, proof: &Proof) -> bool {
        self.proofs.get(&proof.author()).is_some_and(|known| known.from() <= proof.from())
    }

    /// True for an envelope that belongs to what everybody agrees on.
    #[must_use]
    pub fn agrees_on(&self, id: &EnvelopeId) -> bool {
        self.place(id).is_some_and(|place| self.agreed.contains(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Federation, Scribe, somebody};
    use crate::operation::{Outcome, Step};

    fn note() -> Operation {
        Operation::Note { by: somebody(1) }
    }

    /// A document of member 0 in which member 1 wrote twice in one place, with both branches.
    fn forked<'a>(federation: &'a Federation) -> (Scribe<'a>, [AdmittedEnvelope; 2]) {
        let mut scribe = Scribe::new(federation);
        scribe.open(0, &[1, 2]);
        let seen = scribe.document.clone();
        let branches = [(), ()].map(|()| scribe.write_on(&seen, 1, note()).expect("an involved node notes"));
        (scribe, branches)
    }

    #[test]
    fn who_holds_one_branch_or_none_agrees_with_who_holds_both() {
        let federation = Federation::new(3);
        let (scribe, [a, b]) = forked(&federation);
        let mut both = scribe.document.clone();
        both.insert(a.clone()).unwrap();
        assert_eq!(both.proofs().count(), 0);
        both.insert(b.clone()).unwrap();
        let proof = both.proofs().next().expect("two in one place").as_ref().clone();
        let mut views = vec![both];
        for held in [vec![], vec![&a], vec![&b]] {
            let mut document = scribe.document.clone();
            held.into_iter().for_each(|e| _ = document.insert(e.clone()).unwrap());
            assert!(document.add_proof(proof.clone()), "it is new there");
            assert!(!document.add_proof(proof.clone()), "and then it is known");
            views.push(document);
        }
        for document in &views {
            assert_eq!(document.heads(), scribe.document.heads(), "neither branch is a head");
            assert_eq!(document.standing().len(), 2, "a head and a proof are told of");
            assert_eq!(document.fingerprint(), views[0].fingerprint());
            assert_eq!(document.len(), 1);
        }
    }

    #[test]
    fn what_an_honest_author_built_on_stays_and_comes_back() {
        let federation = Federation::new(3);
        let (mut scribe, [a, b]) = forked(&federation);
        scribe.document.insert(a.clone()).unwrap();
        let before = scribe.document.clone();
        let named = scribe.write_on(&before, 2, note()).unwrap();
        scribe.document.insert(b.clone()).unwrap();
        assert!(!scribe.document.agrees_on(&a.id()) && scribe.document.contains(&a.id()));
        scribe.document.insert(named.clone()).unwrap();
        assert!(scribe.document.agrees_on(&a.id()) && !scribe.document.agrees_on(&b.id()));
        assert_eq!(scribe.document.heads(), [named.id()]);
        // In the other order it is the same document.
        let mut other = before;
        other.insert(named).unwrap();
        other.insert(b).unwrap();
        assert_eq!(other.fingerprint(), scribe.document.fingerprint());
    }

    #[test]
    fn proof_from_an_earlier_place_replaces_a_later_one() {
        let federation = Federation::new(3);
        let (mut scribe, [a, b]) = forked(&federation);
        scribe.document.insert(a.clone()).unwrap();
        let seen = scribe.document.clone();
        for _ in 0..2 {
            let later = scribe.write_on(&seen, 1, note()).unwrap();
            scribe.document.insert(later).unwrap();
        }
        let from = |document: &Document| document.proofs().map(|proof| proof.from()).collect::<Vec<_>>();
        let later = scribe.document.proofs().next().expect("a fork at the second place").clone();
        assert_eq!(from(&scribe.document)[0].1.0, 2);
        scribe.document.insert(b).unwrap();
        assert_eq!(from(&scribe.document), [a.chain_place()]);
        assert!(scribe.document.knows_proof(&later) && scribe.document.proof(&later.id()).is_none());
    }

    #[test]
    fn what_came_beside_a_retire_is_no_part_of_the_document() {
        let federation = Federation::new(3);
        let mut scribe = Scribe::new(&federation);
        scribe.open(0, &[1, 2]);
        scribe.write(0, Operation::Step { step: Step::Called, by: somebody(1) }).unwrap();
        let before = scribe.document.clone();
        let late = scribe.write_on(&before, 1, note()).unwrap();
        let fork = scribe.write_on(&before, 1, note()).unwrap();
        scribe.write(0, Operation::Close { outcome: Outcome::Helped, by: somebody(1) }).unwrap();
        let retire = scribe.write(0, Operation::Retire).unwrap();
        let whole = scribe.document.clone();
        for envelope in [late, fork] {
            scribe.document.insert(envelope).unwrap();
        }
        assert_eq!(scribe.document.standing(), [retire.id()]);
        assert_eq!(scribe.document.fingerprint(), whole.fingerprint());
        let read = |document| crate::fold::Fold::of(document, &federation.rosters);
        assert_eq!(read(&scribe.document), read(&whole));
    }
}
