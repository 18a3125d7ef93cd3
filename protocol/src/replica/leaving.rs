//! A document that stops being somebody's: whom only an equivocator had let in is out once that is proven,
//! and so is whom only an envelope had let in that a retire leaves out. Both keep what they hold.
//!
//! Nobody tells them of the proof or the retire by itself, since by those the document is not theirs any
//! more. So whoever tells of a document that is not its own by what is known here, or that is not ours, is
//! shown why; and whoever is shown why stores that, whatever order it came in, and speaks of it no more.

use std::sync::Arc;

use super::exchange::Pending;
use super::loaded::View;
use super::{Replica, Shelf};
use crate::audience::Audience;
use crate::document::{Document, EnvelopeSet};
use crate::ids::{DocId, EnvelopeId, MemberId};
use crate::message::{Items, Lane, Message};
use crate::proof::Proof;

impl Replica {
    /// True if anything held of a document names the member, also what belongs to it no more.
    pub(super) fn named_by_held(&self, view: &View, member: &MemberId) -> bool {
        view.entitled(member)
            || Audience::over(&view.document, &view.document.all_held(), &self.rosters).entitled(member)
    }

    /// A peer sent what is let go here, and holds the document by that alone. `sent` has that too.
    pub(super) fn disabuse(&mut self, peer: MemberId, sent: &Document, lane: Lane, shelf: &dyn Shelf) {
        let Some(doc) = sent.id() else { return };
        self.show_why(peer, sent, lane, shelf);
        if let Some(state) = self.peers.get_mut(&peer) {
            // Should this be lost, what it holds is asked for again, and answered so again.
            state.forget_sent(&doc);
        }
    }

    /// A peer tells of a document and has shown that it holds it, and by what is known here it is not the
    /// peer's, or not ours: it is shown why. Whom nothing held names learns nothing. True if it was.
    pub(super) fn explain(&mut self, peer: MemberId, doc: DocId, lane: Lane, shelf: &dyn Shelf) -> bool {
        let told = self.peers.get(&peer).and_then(|state| state.known_talk(&doc)?.told.as_ref());
        if told.is_none_or(|told| told.is_empty()) {
            return false;
        }
        let Some(view) = self.loaded.view(&doc, shelf, &self.rosters) else { return false };
        let named = self.named_by_held(&view, &peer);
        if named {
            self.show_why(peer, &view.document, lane, shelf);
        }
        named
    }

    /// Sends what puts somebody out of a document: its retire with whatever the peer lacks of what that had
    /// seen, or its proofs. `sent` has all that the peer is known to hold.
    fn show_why(&mut self, peer: MemberId, sent: &Document, lane: Lane, shelf: &dyn Shelf) {
        let Some(doc) = sent.id() else { return };
        let Some(view) = self.loaded.view(&doc, shelf, &self.rosters) else { return };
        let document = &view.document;
        let Some(retired) = document.retired() else {
            let mut proofs: Vec<EnvelopeId> = document.proofs().map(|proof| proof.id()).collect();
            proofs.sort_unstable();
            return self.send_proofs(peer, lane, &view, &proofs);
        };
        let talk = self.peers.get(&peer).and_then(|state| state.known_talk(&doc));
        let known: Vec<EnvelopeId> =
            talk.into_iter().flat_map(|talk| talk.told.iter().flatten().chain(&talk.sent)).copied().collect();
        let (seen, whole) = (sent.closure_of_held(&known), document.closure_of_held(&[retired]));
        let lacks = |id: &EnvelopeId| sent.place(id).is_none_or(|place| !seen.contains(place));
        let whole = document.members(&whole).map(|(_, envelope)| envelope.id());
        let lacking: Vec<EnvelopeId> = whole.filter(lacks).collect();
        let mut items = self.items(&peer, &view, &lacking, shelf);
        while !items.is_empty() {
            let message = Message::Body(Items::fill(doc, &mut items));
            self.send(peer, lane, message);
        }
    }

    /// What came puts this node out of a document that names it. It is kept as if it had come in the order
    /// in which each can be taken: what names this node with what that had seen, then only what puts it
    /// out. Gives back what must wait: everything, if nothing names this node without putting it out.
    pub(super) fn take_leave(
        &mut self,
        doc: DocId,
        view: &View,
        before: &Document,
        mut admitted: Vec<Pending>,
        shelf: &dyn Shelf,
    ) -> Result<bool, Vec<Pending>> {
        let mut stays = before.clone();
        if before.is_empty() {
            let Some(named) = self.before_leaving(&view.document) else { return Err(admitted) };
            let Some(first) = View::of(Arc::new(named.clone()), &self.rosters) else { return Err(admitted) };
            let (first_come, rest) =
                admitted.into_iter().partition(|(_, arrival)| named.contains(&arrival.envelope.id()));
            self.queue_agreed(doc, first, before, first_come, shelf);
            (stays, admitted) = (named, rest);
        }
        let new = view.document.proofs().filter(|proof| !stays.knows_proof(proof));
        let proofs: Vec<Proof> = new.map(|proof| proof.as_ref().clone()).collect();
        let retires = view.document.retired() != stays.retired();
        admitted.retain(|(_, arrival)| retires && view.document.agrees_on(&arrival.envelope.id()));
        for (_, arrival) in &admitted {
            stays.insert(arrival.envelope.clone()).expect("what a retire had seen holds its parents");
        }
        for proof in &proofs {
            stays.add_proof(proof.clone());
        }
        let Some(view) = View::of(Arc::new(stays), &self.rosters) else { return Ok(false) };
        Ok(self.queue(doc, view, admitted, proofs) || before.is_empty())
    }

    /// An envelope that names this node, with all that it had seen, if by that alone the document is ours.
    fn before_leaving(&self, document: &Document) -> Option<Document> {
        let names = |place: usize| {
            let mut alone = EnvelopeSet::default();
            alone.insert(place);
            Audience::over(document, &alone, &self.rosters).entitled(&self.me)
        };
        let held = document.all_held();
        let mut naming = held.iter().filter(|place| names(*place)).filter_map(|place| {
            let seen = document.closure(&[document.at(place)?.id()])?;
            Document::from_log(document.members(&seen).map(|(_, envelope)| envelope.clone())).ok()
        });
        naming.find(|named| Audience::of(named, &self.rosters).entitled(&self.me))
    }
}
