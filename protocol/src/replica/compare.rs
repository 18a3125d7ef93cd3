//! Digests: two nodes compare one hash over everything both may hold, and walk down to what differs.

use std::collections::BTreeSet;

use super::peer::Sweep;
use super::{Output, Replica, Shelf};
use crate::digest::{DocMark, Mark, Place};
use crate::ids::{MemberId, Millis};
use crate::limits::{
    DIGEST_LEAF_MAX, DIGEST_PREFIX_NIBBLES_MAX, DIGESTS_UNEQUAL_MAX, DUE_CLEARED_MAX, HAVE_GATHER_MS,
    OFFERS_IN_FLIGHT_MAX,
};
use crate::message::{DigestChildren, DigestLeaf, DigestRoot, Lane, Message, Prefix};

impl Replica {
    /// Starts a comparison when its time has come; of the rosters too, since that costs eight bytes.
    pub(super) fn compare(&mut self, peer: MemberId, shelf: &dyn Shelf) {
        let now = self.now;
        let Some(state) = self.peers.get_mut(&peer).filter(|state| state.compares(now)) else { return };
        if state.busy(now) {
            state.wait_to_compare(now);
            return;
        }
        let ours = self.place_of(peer, &Prefix::default(), shelf);
        if let Some(state) = self.peers.get_mut(&peer).filter(|_| ours.is_some()) {
            state.begin_comparison(now);
            // Never equal for so long: perhaps it is our own tree that is wrong. It is hashed anew.
            if state.differs_for(DIGESTS_UNEQUAL_MAX) {
                self.out.push_back(Output::ForgetDigest { peer });
            }
        }
        self.ask_roster(peer);
        if let Some(ours) = ours {
            self.send_root(peer, true, ours);
        }
    }

    /// What is here below some digits; none while that is being hashed, and then a comparison begins as soon as
    /// it was.
    fn place_of(&mut self, peer: MemberId, prefix: &Prefix, shelf: &dyn Shelf) -> Option<Place> {
        let place = shelf.digest_place(&peer, prefix);
        if let Some(state) = self.peers.get_mut(&peer).filter(|_| place.is_none()) {
            state.wait_for_hashes(self.now);
        }
        place
    }

    /// What was to be hashed was.
    pub(super) fn handle_digests_made(&mut self) {
        let now = self.now;
        self.peers.values_mut().for_each(|state| state.hashes_made(now));
    }

    fn send_root(&mut self, peer: MemberId, asks: bool, ours: Place) {
        let root = DigestRoot { hash: ours.hash, documents: ours.documents, asks };
        self.send(peer, Lane::Normal, Message::DigestRoot(root));
    }

    fn note_difference(&mut self, peer: &MemberId) {
        if let Some(state) = self.peers.get_mut(peer) {
            state.differs = true;
        }
    }

    pub(super) fn handle_digest_root(&mut self, peer: MemberId, root: &DigestRoot, shelf: &dyn Shelf) {
        let Some(ours) = self.place_of(peer, &Prefix::default(), shelf) else { return };
        if ours.hash == root.hash {
            self.in_step(peer, ours.documents, shelf);
            if root.asks {
                self.send_root(peer, false, ours);
            }
            return;
        }
        self.note_difference(&peer);
        if root.asks && self.walks(&peer) {
            self.walk(peer, Prefix::default(), false, shelf);
        }
    }

    /// Whether this end begins the walk to what differs. Where both have asked, one walk finds it for both:
    /// the smaller member's first, every other time the other one's, so that a peer which never walks hides
    /// nothing for long.
    fn walks(&self, peer: &MemberId) -> bool {
        let Some(state) = self.peers.get(peer) else { return false };
        let has_asked = state.unequal > 0;
        let others_turn = (state.unequal % 2 == 1) == (*peer < self.me);
        !(state.busy(self.now) || has_asked && others_turn)
    }

    /// Sends what lies below a place that differs: its documents if they are few, else its hashes.
    fn walk(&mut self, peer: MemberId, prefix: Prefix, answers: bool, shelf: &dyn Shelf) {
        let left = self.peers.get_mut(&peer).is_some_and(|state| {
            let left = state.walk_left > 0;
            state.walk_left = state.walk_left.saturating_sub(1);
            left
        });
        if !left {
            return;
        }
        // Another one each time, and known to nobody while documents could still be made for it.
        let salt = self.now.0;
        let mut few = shelf.digest_below(&peer, &prefix, DIGEST_LEAF_MAX + 1);
        let message = if few.len() <= DIGEST_LEAF_MAX || prefix.0.len() >= DIGEST_PREFIX_NIBBLES_MAX {
            few.truncate(DIGEST_LEAF_MAX);
            Message::DigestLeaf(DigestLeaf::of(prefix, salt, answers, &few))
        } else {
            let Some(marks) = self.children(peer, &prefix, salt, shelf) else { return };
            Message::DigestChildren(DigestChildren { prefix, salt, marks: Box::new(marks) })
        };
        self.send(peer, Lane::Normal, message);
    }

    pub(super) fn handle_digest_children(
        &mut self,
        peer: MemberId,
        theirs: &DigestChildren,
        shelf: &dyn Shelf,
    ) {
        // Nothing is hashed for a peer that has used up what it may ask until the next comparison.
        if self.peers.get(&peer).is_none_or(|state| state.walk_left == 0) {
            return;
        }
        self.note_difference(&peer);
        let Some(ours) = self.children(peer, &theirs.prefix, theirs.salt, shelf) else { return };
        for (digit, (ours, mark)) in ours.iter().zip(theirs.marks.iter()).enumerate() {
            if ours != mark {
                self.walk(peer, theirs.prefix.child(digit), false, shelf);
            }
        }
    }

    /// Every document that differs becomes a `have`, and `due` until the peer has confirmed it. The peer is told
    /// what is here where it has one that is not: it then does the same.
    pub(super) fn handle_digest_leaf(&mut self, peer: MemberId, leaf: &DigestLeaf, shelf: &dyn Shelf) {
        // Three bytes can ask for many answers: no more of them than an honest walk has.
        let Some(state) = self.peers.get_mut(&peer).filter(|state| state.leaves_left > 0) else { return };
        state.leaves_left -= 1;
        state.differs = true;
        let ours = shelf.digest_below(&peer, &leaf.prefix, DUE_CLEARED_MAX);
        if ours.len() == DUE_CLEARED_MAX {
            // Too much at once: what lies below is compared in parts.
            self.walk(peer, leaf.prefix.clone(), false, shelf);
            return;
        }
        let mut theirs: BTreeSet<(DocMark, Mark)> = leaf.documents.iter().copied().collect();
        let mut lacking = Vec::new();
        for (doc, held) in ours {
            if !theirs.remove(&(DocMark::of(&doc), Mark::of(leaf.salt, &held))) {
                lacking.push(doc);
            }
        }
        let known: BTreeSet<DocMark> = lacking.iter().map(DocMark::of).collect();
        if !leaf.answers && theirs.iter().any(|(doc, _)| !known.contains(doc)) {
            self.walk(peer, leaf.prefix.clone(), true, shelf);
        }
        if lacking.is_empty() {
            return;
        }
        self.doubt_gone(peer, &lacking, shelf);
        for doc in lacking.iter().take(OFFERS_IN_FLIGHT_MAX) {
            if let Some(view) = self.view_for(&peer, doc, shelf) {
                self.send_have(peer, *doc, &view, true, Lane::Backfill);
            }
        }
        // The rest goes the way of everything due, a few at a time.
        let soon = self.now.plus(Millis(HAVE_GATHER_MS));
        if let Some(state) = self.peers.get_mut(&peer).filter(|_| lacking.len() > OFFERS_IN_FLIGHT_MAX) {
            state.sweep = Sweep::RestsUntil(soon);
        }
        self.out.push_back(Output::SetDue { peer, docs: lacking });
    }

    /// Equal hashes: whatever is still due is confirmed.
    fn in_step(&mut self, peer: MemberId, documents: u64, shelf: &dyn Shelf) {
        let rows = shelf.due(&peer, None, DUE_CLEARED_MAX);
        let now = self.now;
        if let Some(state) = self.peers.get_mut(&peer) {
            state.found_equal(now);
        }
        let documents = usize::try_from(documents).unwrap_or(usize::MAX);
        self.out.push_back(Output::InStep { peer, at: self.now, documents });
        if shelf.locks() {
            self.out.push_back(Output::UnlockShared { peer });
        }
        for row in rows {
            let whole = Prefix::of(&row.doc);
            let held = shelf.digest_below(&peer, &whole, DIGEST_LEAF_MAX);
            if let Some((doc, at)) = held.into_iter().find(|(doc, _)| *doc == row.doc) {
                self.out.push_back(Output::ClearDue { peer, doc, at });
            }
        }
    }

    /// The marks of the sixteen places below a place.
    fn children(
        &mut self,
        peer: MemberId,
        prefix: &Prefix,
        salt: u64,
        shelf: &dyn Shelf,
    ) -> Option<[Mark; 16]> {
        let mut marks = [Mark([0; 8]); 16];
        for (digit, mark) in marks.iter_mut().enumerate() {
            *mark = Mark::of(salt, &self.place_of(peer, &prefix.child(digit), shelf)?.hash);
        }
        Some(marks)
    }
}
