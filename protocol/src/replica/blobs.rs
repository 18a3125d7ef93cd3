//! Blobs that did not ride along: whom to ask for one, and who may have one.

use super::loaded::View;
use super::{Output, Replica, Shelf};
use crate::envelope::BlobRef;
use crate::ids::{BlobId, DocId, EnvelopeId, MemberId};
use crate::limits::FETCHES_MAX;
use crate::message::{BlobWant, Lane, Message};

impl Replica {
    /// Fetches whatever these envelopes name, this node may hold, and neither is here nor `came` along.
    pub(super) fn fetch_named_blobs(
        &mut self,
        doc: DocId,
        view: &View,
        ids: &[EnvelopeId],
        came: &[BlobId],
        shelf: &dyn Shelf,
    ) {
        let envelopes = ids.iter().filter_map(|id| view.document.envelope(id));
        let named: Vec<BlobRef> = envelopes.flat_map(|e| e.header().blobs.iter().copied()).collect();
        for blob in named {
            let here = || came.contains(&blob.id) || shelf.holds_blob(&doc, &blob.id);
            if view.entitled_to_blob(&self.me, &blob) && !here() {
                self.fetch(doc, blob, view);
            }
        }
    }

    /// Fetches what is still missing, as far as there is room.
    pub(super) fn fetch_missing(&mut self, shelf: &dyn Shelf) {
        let room = FETCHES_MAX.saturating_sub(self.fetching.len());
        if room == 0 || self.peers.is_empty() {
            return;
        }
        for (doc, blob) in shelf.missing_blobs(FETCHES_MAX) {
            if let Some(view) = self.loaded.view(&doc, shelf, &self.rosters) {
                self.fetch(doc, blob, &view);
            }
        }
    }

    fn fetch(&mut self, doc: DocId, blob: BlobRef, view: &View) {
        if !view.entitled_to_blob(&self.me, &blob)
            || self.fetching.contains_key(&blob.id)
            || self.fetching.len() >= FETCHES_MAX
        {
            return;
        }
        let head = self.rosters.head();
        let may = |peer: &MemberId| view.entitled_to_blob(peer, &blob) && head.good(peer);
        let candidates: Vec<MemberId> = self.peers.keys().copied().filter(may).collect();
        if candidates.is_empty() {
            return;
        }
        self.fetching.insert(blob.id, self.now);
        self.out.push_back(Output::FetchBlob { doc, blob, candidates });
    }

    pub(super) fn handle_fetch_failed(&mut self, blob: BlobId) {
        // Tried again with the next round of the house, not at once: the peers were just asked.
        self.fetching.remove(&blob);
    }

    /// Serves a blob to a peer that may hold it. "Not here" and "not yours" are the same bytes.
    pub(super) fn handle_blob_want(&mut self, peer: MemberId, want: &BlobWant, shelf: &dyn Shelf) {
        let blob = want.blob;
        let served = self.view_for(&peer, &want.doc, shelf).is_some_and(|view| {
            let mut named =
                view.document.envelopes().flat_map(|e| &e.header().blobs).filter(|b| b.id == blob);
            named.any(|named| view.entitled_to_blob(&peer, named)) && shelf.holds_blob(&want.doc, &blob)
        });
        if served {
            self.out.push_back(Output::ServeBlob { peer, blob, from_piece: want.from_piece });
        } else {
            self.send(peer, Lane::Blobs, Message::BlobNone(blob));
        }
    }
}
