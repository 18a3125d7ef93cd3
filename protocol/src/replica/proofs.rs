//! Proofs of equivocation on their way: told of by name among the heads, wanted by that name, and kept
//! like everything else before anybody is told.

use super::arrival::{ArrivedProof, Fault};
use super::loaded::{Batch, View};
use super::{Output, Replica, Shelf};
use crate::ids::{DocId, EnvelopeId, MemberId};
use crate::message::{Lane, Message, ProofPage};
use crate::proof::Proof;

impl Replica {
    /// Sends those of the wanted ids that are proofs.
    pub(super) fn send_proofs(&mut self, peer: MemberId, lane: Lane, view: &View, wanted: &[EnvelopeId]) {
        if view.document.retired().is_some() {
            return;
        }
        let proofs = view.document.proofs().filter(|proof| wanted.binary_search(&proof.id()).is_ok());
        let pages: Vec<ProofPage> = proofs.flat_map(|proof| ProofPage::pages(proof)).collect();
        for page in pages {
            self.send(peer, lane, Message::Proof(page));
        }
    }

    /// Takes a page of a proof; with the last one, the proof, if it says more than is known.
    pub(super) fn handle_proof(
        &mut self,
        peer: MemberId,
        lane: Lane,
        arrived: ArrivedProof,
        shelf: &dyn Shelf,
    ) {
        let doc = arrived.doc;
        if self.loaded.view(&doc, shelf, &self.rosters).is_none() {
            return;
        }
        let mine = self.view_for(&peer, &doc, shelf).is_some();
        if let Some((id, fault)) = arrived.fault {
            self.out.push_back(Output::Blame { peer, id, fault });
            return;
        }
        let Some(statements) = arrived.statements else {
            // The peer tells of it again; by then the roster is here.
            self.ask_roster(peer);
            return;
        };
        let Some(talk) = self.peers.get_mut(&peer).map(|state| state.talk(doc)) else { return };
        let Some(statements) = talk.take_page(arrived.page, arrived.last, statements) else { return };
        let first = statements.first().map_or(EnvelopeId([0; 32]), |first| first.statement().id());
        match Proof::of(statements) {
            Some(proof) => {
                // By itself a proof does not show that a stranger holds the document.
                if !mine && talk.sent.is_empty() {
                    return;
                }
                talk.note_sent(proof.id(), &[]);
                self.keep_proof(peer, doc, lane, proof, shelf);
                let knows_why = self.has_shown_why(&peer, &doc, shelf);
                if !mine && !knows_why && self.unknown_of(peer, &doc, shelf).is_empty() {
                    self.explain(peer, doc, lane, shelf);
                }
            }
            None => self.out.push_back(Output::Blame { peer, id: first, fault: Fault::NoProof }),
        }
    }

    /// True for a peer that has shown every proof that is here. Told of them all the same, it would tell of
    /// its own again, and so without end.
    fn has_shown_why(&mut self, peer: &MemberId, doc: &DocId, shelf: &dyn Shelf) -> bool {
        let Some(view) = self.loaded.view(doc, shelf, &self.rosters) else { return false };
        let talk = self.peers.get(peer).and_then(|state| state.known_talk(doc));
        let shown = |proof: &std::sync::Arc<Proof>| talk.is_some_and(|talk| talk.sent.contains(&proof.id()));
        view.document.retired().is_none() && view.document.proofs().all(shown)
    }

    fn keep_proof(&mut self, peer: MemberId, doc: DocId, lane: Lane, proof: Proof, shelf: &dyn Shelf) {
        let mut ahead = self.loaded.ahead(&doc, shelf, &self.rosters);
        if ahead.retired().is_some() || !std::sync::Arc::make_mut(&mut ahead).add_proof(proof.clone()) {
            return;
        }
        let owed = [(peer, lane)].into();
        let batch = Batch { proofs: vec![proof], lane: Some(lane), owed, ..Batch::default() };
        self.loaded.queue(doc, ahead, None, batch);
        self.start_store(doc);
    }
}
