//! Digests: two nodes compare one hash over everything both may hold, and walk down to what differs.

use std::collections::BTreeMap;

use super::peer::{Peer, Sweep};
use super::{Output, Replica, Shelf};
use crate::digest::{Digest, Fingerprint};
use crate::ids::{DocId, MemberId, Millis};
use crate::limits::{
    DIGEST_LEAF_MAX, DIGEST_WALK_MAX, DIGESTS_UNEQUAL_MAX, DUE_CLEARED_MAX, HAVE_GATHER_MS,
    OFFERS_IN_FLIGHT_MAX,
};
use crate::message::{DigestChildren, DigestLeaf, DigestRoot, Have, Lane, Message, Prefix};

impl Replica {
    /// Starts a comparison when its time has come; of the rosters too, since that costs eight bytes.
    pub(super) fn compare(&mut self, peer: MemberId, shelf: &dyn Shelf) {
        let now = self.now;
        let Some(state) = self.peers.get_mut(&peer).filter(|state| state.digest_at <= now) else { return };
        state.digest_at = Peer::next_digest(now);
        state.walk_left = DIGEST_WALK_MAX;
        state.unequal += 1;
        // Never equal for so long: perhaps it is our own tree that is wrong. It is read anew.
        if state.unequal.is_multiple_of(DIGESTS_UNEQUAL_MAX) {
            self.digests.remove(&peer);
        }
        self.ask_roster(peer);
        self.send_root(peer, true, shelf);
    }

    fn digest(&mut self, peer: MemberId, shelf: &dyn Shelf) -> Option<&Digest> {
        self.peers.get(&peer)?;
        Some(self.digests.entry(peer).or_insert_with(|| Digest::of(shelf.shared(&peer))))
    }

    fn send_root(&mut self, peer: MemberId, asks: bool, shelf: &dyn Shelf) {
        let Some(digest) = self.digest(peer, shelf) else { return };
        let documents = u64::try_from(digest.len()).unwrap_or(u64::MAX);
        let root = DigestRoot { hash: digest.root(), documents, asks };
        self.send(peer, Lane::Normal, Message::DigestRoot(root));
    }

    pub(super) fn handle_digest_root(&mut self, peer: MemberId, root: &DigestRoot, shelf: &dyn Shelf) {
        let Some(digest) = self.digest(peer, shelf) else { return };
        if digest.root() == root.hash {
            self.in_step(peer, shelf);
            if root.asks {
                self.send_root(peer, false, shelf);
            }
        } else if root.asks {
            self.walk(peer, Prefix::default(), shelf);
        }
    }

    /// Sends what lies below a place that differs: its documents if they are few, else its hashes.
    fn walk(&mut self, peer: MemberId, prefix: Prefix, shelf: &dyn Shelf) {
        let left = self.peers.get_mut(&peer).is_some_and(|state| {
            let left = state.walk_left > 0;
            state.walk_left = state.walk_left.saturating_sub(1);
            left
        });
        let Some(digest) = self.digest(peer, shelf).filter(|_| left) else { return };
        let message = if digest.is_leaf(&prefix) {
            let documents = digest.below(&prefix).take(DIGEST_LEAF_MAX).collect();
            Message::DigestLeaf(DigestLeaf { prefix, documents })
        } else {
            let hashes = Box::new(digest.children(&prefix));
            Message::DigestChildren(DigestChildren { prefix, hashes })
        };
        self.send(peer, Lane::Normal, message);
    }

    pub(super) fn handle_digest_children(
        &mut self,
        peer: MemberId,
        theirs: &DigestChildren,
        shelf: &dyn Shelf,
    ) {
        let Some(digest) = self.digest(peer, shelf) else { return };
        let ours = digest.children(&theirs.prefix);
        for (digit, (ours, theirs_hash)) in ours.iter().zip(theirs.hashes.iter()).enumerate() {
            if ours != theirs_hash {
                self.walk(peer, theirs.prefix.child(digit), shelf);
            }
        }
    }

    /// Every document that differs becomes a `have`, and `due` until the peer has confirmed it.
    pub(super) fn handle_digest_leaf(&mut self, peer: MemberId, leaf: &DigestLeaf, shelf: &dyn Shelf) {
        let Some(digest) = self.digest(peer, shelf) else { return };
        let theirs: BTreeMap<DocId, Fingerprint> = leaf.documents.iter().copied().collect();
        let lacking: Vec<DocId> = digest
            .below(&leaf.prefix)
            .filter(|(doc, ours)| theirs.get(doc) != Some(ours))
            .map(|(doc, _)| doc)
            .collect();
        let unknown: Vec<DocId> =
            theirs.keys().filter(|doc| digest.fingerprint(doc).is_none()).copied().collect();
        for doc in unknown {
            let nothing = Have { doc, page: 0, last: true, asks: true, heads: Vec::new() };
            self.send(peer, Lane::Backfill, Message::Have(nothing));
        }
        if lacking.is_empty() {
            return;
        }
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
    fn in_step(&mut self, peer: MemberId, shelf: &dyn Shelf) {
        let rows = shelf.due(&peer, None, DUE_CLEARED_MAX);
        let Some(digest) = self.digest(peer, shelf) else { return };
        let documents = digest.len();
        let confirmed: Vec<(DocId, Fingerprint)> =
            rows.iter().filter_map(|row| Some((row.doc, digest.fingerprint(&row.doc)?))).collect();
        if let Some(state) = self.peers.get_mut(&peer) {
            state.unequal = 0;
        }
        self.out.push_back(Output::InStep { peer, at: self.now, documents });
        for (doc, at) in confirmed {
            self.out.push_back(Output::ClearDue { peer, doc, at });
        }
    }
}
