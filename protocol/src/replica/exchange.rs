//! `have`, `want` and the envelopes between them: what is asked of a peer, what it is told, and how what
//! it sends comes in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::arrival::{ArrivedItem, ArrivedItems, Checked};
use super::loaded::{Batch, View};
use super::parking::{Parked, Stage};
use super::peer::{Asked, Talk};
use super::{Arrival, Output, Replica, Shelf};
use crate::admission::Refusal;
use crate::digest::Fingerprint;
use crate::document::Document;
use crate::ids::{DocId, EnvelopeId, MemberId};
use crate::limits::{HEADS_MAX, HELD_IDS_MAX, REFUSALS_KEPT_MAX, WANT_IDS_MAX, WANTS_IN_FLIGHT_MAX};
use crate::message::{Have, InlineBlob, Item, Items, Lane, Message, Want};
use crate::proof::Proof;

/// An admitted envelope on its way in, before and after.
pub(super) type Pending = (Parked, Arrival);

impl Replica {
    /// A document as this peer may see it; none if it is not here, or not the peer's, or not ours. The
    /// three look the same from outside.
    pub(super) fn view_for(&mut self, peer: &MemberId, doc: &DocId, shelf: &dyn Shelf) -> Option<View> {
        let view = self.loaded.view(doc, shelf, &self.rosters)?;
        let both = view.entitled(peer) && view.entitled(&self.me) && self.rosters.head().good(peer);
        both.then_some(view)
    }

    /// Tells a peer our heads.
    pub(super) fn send_have(&mut self, peer: MemberId, doc: DocId, view: &View, asks: bool, lane: Lane) {
        for page in Have::pages(doc, &view.document.standing(), asks) {
            self.send(peer, lane, Message::Have(page));
        }
    }

    pub(super) fn handle_have(&mut self, peer: MemberId, lane: Lane, have: Have, shelf: &dyn Shelf) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let (doc, asks) = (have.doc, have.asks);
        let talk = state.talk(doc);
        if have.page == 0 {
            talk.pages.clear();
        }
        talk.pages.extend(have.heads);
        if !have.last {
            return;
        }
        talk.told = Some(std::mem::take(&mut talk.pages));
        state.offers.end(&doc);
        if self.view_for(&peer, &doc, shelf).is_none() && self.hear_of_dropped(peer, lane, doc, asks, shelf) {
            return self.sweep(peer, shelf);
        }
        if !self.unknown_of(peer, &doc, shelf).is_empty() {
            self.want(peer, doc, BTreeSet::new(), lane, shelf);
        } else if let Some(view) = self.view_for(&peer, &doc, shelf) {
            self.note_shown(&peer, doc, &view, shelf);
            self.answer_have(peer, doc, &view, asks, lane);
        } else if self.explain(peer, doc, lane, shelf) || asks {
            let nothing = Have { doc, page: 0, last: true, asks: false, heads: Vec::new() };
            self.send(peer, lane, Message::Have(nothing));
        }
        self.sweep(peer, shelf);
    }

    /// The peer's heads are all known here: either it has what we have, or it is told what it lacks.
    fn answer_have(&mut self, peer: MemberId, doc: DocId, view: &View, asks: bool, lane: Lane) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let at = Fingerprint(view.document.fingerprint());
        let talk = state.talk(doc);
        if talk.covers(&view.document) {
            state.end_talk(&doc);
            self.out.push_back(Output::ClearDue { peer, doc, at });
            if asks {
                self.send_have(peer, doc, view, false, lane);
            }
            return;
        }
        let urged = (at, talk.told.clone().unwrap_or_default());
        let again = talk.urged.as_ref() == Some(&urged);
        talk.urged = Some(urged);
        if asks && again {
            self.send_have(peer, doc, view, false, lane);
        } else if !again && !self.loaded.owe(&doc, peer, lane) {
            self.send_have(peer, doc, view, true, lane);
        }
    }

    /// Heads that the peer named last and that are neither here, nor on their way in, nor refused.
    pub(super) fn unknown_of(
        &mut self,
        peer: MemberId,
        doc: &DocId,
        shelf: &dyn Shelf,
    ) -> BTreeSet<EnvelopeId> {
        let mine = self.view_for(&peer, doc, shelf).is_some();
        let ahead = self.loaded.ahead(doc, shelf, &self.rosters);
        let Some(talk) = self.peers.get(&peer).and_then(|state| state.known_talk(doc)) else {
            return BTreeSet::new();
        };
        let told = talk.told.iter().flatten().copied();
        // To a peer that may not see it, a document that is here looks like one that is not.
        let known = |id: &EnvelopeId| mine && (ahead.contains(id) || ahead.proof(id).is_some());
        // What the peer sent and this node judged is not asked for again, also if it was not kept.
        let here = |id: &EnvelopeId| known(id) || talk.sent.contains(id) || talk.has_dropped();
        told.filter(|id| !here(id) && !self.is_refused(id, shelf) && !self.is_held(id, shelf)).collect()
    }

    /// Asks a peer for what it named and for `more`, unless it still owes an answer about this document.
    fn want(
        &mut self,
        peer: MemberId,
        doc: DocId,
        more: BTreeSet<EnvelopeId>,
        lane: Lane,
        shelf: &dyn Shelf,
    ) {
        let mut ids = self.unknown_of(peer, &doc, shelf);
        ids.extend(more);
        self.want_ids(peer, doc, ids, lane, shelf);
    }

    fn want_ids(
        &mut self,
        peer: MemberId,
        doc: DocId,
        ids: BTreeSet<EnvelopeId>,
        lane: Lane,
        shelf: &dyn Shelf,
    ) {
        let held = self.held_for(peer, &doc, shelf);
        let now = self.now;
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let dropped = state.known_talk(&doc).is_some_and(Talk::has_dropped);
        let busy = state.asked.contains(&doc) || state.asked.len() >= WANTS_IN_FLIGHT_MAX;
        if ids.is_empty() || dropped || busy {
            return;
        }
        state.asked.begin(doc, now, Asked { lane, tries: 0 });
        let ids = ids.into_iter().take(WANT_IDS_MAX).collect();
        self.send(peer, lane, Message::Want(Want { doc, ids, held }));
    }

    /// What a peer need not send: our heads, the last envelope of each author, and heads of what it sent
    /// on this connection. To a peer that may not see the document only the last.
    fn held_for(&mut self, peer: MemberId, doc: &DocId, shelf: &dyn Shelf) -> Vec<EnvelopeId> {
        let mine = self.view_for(&peer, doc, shelf).is_some();
        let ahead = self.loaded.ahead(doc, shelf, &self.rosters);
        let talk = self.peers.get(&peer).and_then(|state| state.known_talk(doc));
        let mut held: BTreeSet<EnvelopeId> = talk.map(|talk| talk.sent.clone()).unwrap_or_default();
        // What was let go is not here: an honest author may have built on part of it since.
        let waits = |id: &EnvelopeId| !mine && self.parking.has(peer, id);
        held.retain(|id| ahead.contains(id) || ahead.proof(id).is_some() || waits(id));
        if mine {
            held.extend(ahead.heads().into_iter().take(HEADS_MAX / 2));
            let room = HELD_IDS_MAX.saturating_sub(held.len());
            held.extend(ahead.tips().into_iter().take(room));
        }
        // What this very peer sent and waits here for a later release.
        let room = HELD_IDS_MAX.saturating_sub(held.len());
        held.extend(shelf.held_from(&peer, doc, room));
        held.into_iter().take(HELD_IDS_MAX).collect()
    }

    pub(super) fn handle_want(&mut self, peer: MemberId, lane: Lane, want: &Want, shelf: &dyn Shelf) {
        let doc = want.doc;
        let Some(view) = self.view_for(&peer, &doc, shelf) else {
            if !self.answer_gone(peer, lane, doc, shelf) {
                self.send(peer, lane, Message::Answer(Items { doc, items: Vec::new() }));
            }
            return;
        };
        if let Some(state) = self.peers.get_mut(&peer) {
            state.note_asked(&doc);
        }
        let document = &view.document;
        let held = document.closure_of_held(&want.held);
        let wanted = document.closure_of_held(&want.ids);
        let lacking: Vec<EnvelopeId> = document
            .members(&wanted)
            .filter(|(place, _)| !held.contains(*place))
            .map(|(_, e)| e.id())
            .collect();
        let mut items = self.items(&peer, &view, &lacking, shelf);
        self.send_proofs(peer, lane, &view, &want.ids);
        self.send(peer, lane, Message::Answer(Items::fill(doc, &mut items)));
    }

    /// Envelopes of a document as this peer gets them, each with its age and its small blobs.
    pub(super) fn items(
        &self,
        peer: &MemberId,
        view: &View,
        ids: &[EnvelopeId],
        shelf: &dyn Shelf,
    ) -> VecDeque<Item> {
        let envelopes = ids.iter().filter_map(|id| view.document.envelope(id));
        let items = envelopes.map(|envelope| {
            let doc = envelope.header().doc;
            let theirs = envelope
                .header()
                .blobs
                .iter()
                .filter(|blob| view.entitled_to_blob(peer, blob))
                .filter_map(|blob| shelf.small_blob(&doc, &blob.id));
            let written = shelf.written(&doc, &envelope.id()).unwrap_or(self.now);
            Item {
                age: self.now.since(written),
                envelope: envelope.signed().clone(),
                blobs: theirs.collect(),
            }
        });
        items.collect()
    }

    pub(super) fn handle_items(
        &mut self,
        peer: MemberId,
        lane: Lane,
        arrived: ArrivedItems,
        shelf: &dyn Shelf,
    ) {
        let doc = arrived.doc;
        if arrived.answer
            && let Some(state) = self.peers.get_mut(&peer)
        {
            state.asked.end(&doc);
        }
        let empty = arrived.items.is_empty();
        if !empty && self.turn_away(peer, lane, doc, &arrived.items, shelf) {
            return;
        }
        let mut fresh = Vec::new();
        for item in arrived.items {
            fresh.extend(self.sort_item(peer, doc, lane, arrived.answer, item, shelf));
        }
        let brought = self.take_in(doc, fresh, shelf);
        if brought.stores {
            self.loaded.owe(&doc, peer, lane);
        }
        if empty {
            return;
        }
        if brought.stores || brought.parks {
            let lacked = self.parking.lacked(peer, &doc);
            self.want(peer, doc, lacked, lane, shelf);
        } else if self.unknown_of(peer, &doc, shelf).is_empty() {
            self.receipt(peer, doc, lane, shelf);
        }
    }

    /// Everything that a peer sent was here already: it is told so again.
    fn receipt(&mut self, peer: MemberId, doc: DocId, lane: Lane, shelf: &dyn Shelf) {
        if self.loaded.owe(&doc, peer, lane) {
            return;
        }
        if let Some(view) = self.view_for(&peer, &doc, shelf) {
            self.send_have(peer, doc, &view, false, lane);
        } else {
            self.explain(peer, doc, lane, shelf);
        }
    }

    /// Drops worthless copies, blames whoever sent them, and asks for unknown roster versions.
    fn sort_item(
        &mut self,
        peer: MemberId,
        doc: DocId,
        lane: Lane,
        asked: bool,
        item: ArrivedItem,
        shelf: &dyn Shelf,
    ) -> Option<Parked> {
        let blame = |id, fault| Output::Blame { peer, id, fault };
        let (id, stage) = match item.envelope {
            Checked::Faulty(id, fault) => {
                self.out.push_back(blame(id, fault));
                return None;
            }
            Checked::UnknownRoster(envelope) => {
                self.ask_roster(peer);
                self.ask_roster_further_back(peer);
                (envelope.id(), Stage::Signed(envelope))
            }
            Checked::Verified(envelope) => (envelope.id(), Stage::Verified(envelope)),
        };
        if item.spoiled_blob {
            self.out.push_back(blame(id, super::Fault::Commitment));
        }
        if self.is_refused(&id, shelf) {
            return None;
        }
        let (age, arrived, blobs) = (item.age, self.now, item.blobs);
        Some(Parked { peer, doc, id, stage, blobs, age, arrived, lane, asked, turn: None })
    }

    pub(super) fn note_sent(&mut self, parked: &Parked, parents: &[EnvelopeId]) {
        if let Some(state) = self.peers.get_mut(&parked.peer) {
            state.talk(parked.doc).note_sent(parked.id, parents);
        }
    }

    pub(super) fn refuse(&mut self, parked: &Parked, refusal: Refusal) {
        let bytes = match &parked.stage {
            Stage::Signed(envelope) => envelope.bytes().to_vec(),
            Stage::Verified(envelope) => envelope.bytes().to_vec(),
        };
        let (peer, doc, id) = (parked.peer, parked.doc, parked.id);
        self.refusals.push_back(id);
        if self.refusals.len() > REFUSALS_KEPT_MAX {
            self.refusals.pop_front();
        }
        self.out.push_back(Output::RecordRefusal { peer, doc, id, refusal, bytes });
    }

    pub(super) fn is_refused(&self, id: &EnvelopeId, shelf: &dyn Shelf) -> bool {
        self.refusals.contains(id) || shelf.refused(id)
    }

    /// Queues what belongs to the document, with what it proves. What an author proven to equivocate says
    /// and nobody else built on is let go, and so is what comes beside a retire: they could be any number.
    pub(super) fn queue_agreed(
        &mut self,
        doc: DocId,
        mut view: View,
        before: &Document,
        mut admitted: Vec<Pending>,
        shelf: &dyn Shelf,
    ) -> bool {
        let new = view.document.proofs().filter(|proof| !before.knows_proof(proof));
        let proofs: Vec<Proof> = new.map(|proof| proof.as_ref().clone()).collect();
        let (kept, loose): (Vec<_>, Vec<_>) =
            admitted.into_iter().partition(|(_, arrival)| view.document.agrees_on(&arrival.envelope.id()));
        admitted = kept;
        if !loose.is_empty() {
            let let_in = view.clone();
            let mut document = before.clone();
            for (_, arrival) in &admitted {
                document.insert(arrival.envelope.clone()).expect("what is agreed on holds its parents");
            }
            for proof in &proofs {
                document.add_proof(proof.clone());
            }
            let Some(smaller) = View::of(Arc::new(document), &self.rosters) else { return false };
            view = smaller;
            let senders: BTreeMap<MemberId, Lane> = loose.iter().map(|(p, _)| (p.peer, p.lane)).collect();
            for (peer, lane) in senders.into_iter().filter(|(peer, _)| !view.entitled(peer)) {
                if self.named_by_held(&let_in, &peer) {
                    self.disabuse(peer, &let_in.document, lane, shelf);
                }
            }
        }
        self.queue(doc, view, admitted, proofs)
    }

    /// False if there is nothing to store.
    pub(super) fn queue(
        &mut self,
        doc: DocId,
        view: View,
        admitted: Vec<Pending>,
        proofs: Vec<Proof>,
    ) -> bool {
        if admitted.is_empty() && proofs.is_empty() {
            return false;
        }
        self.taken += admitted.len();
        let mut batch = Batch { proofs, ..Batch::default() };
        for (parked, arrival) in admitted {
            // A lane is the peer's word; the document's own urgency caps it.
            let lane = view.lane(parked.lane != Lane::Backfill).max(parked.lane);
            batch.lane = Some(batch.lane.map_or(lane, |first| first.min(lane)));
            batch.came_urgent |= parked.lane == Lane::Urgent;
            batch.owed.insert(parked.peer, parked.lane);
            batch.blobs.extend(self.wanted_blobs(&view, &arrival, parked.blobs));
            batch.envelopes.push(arrival);
        }
        self.loaded.queue(doc, Arc::clone(&view.document), Some(view), batch);
        self.start_store(doc);
        true
    }

    /// Those of the blobs that came along that this node may hold.
    fn wanted_blobs(&self, view: &View, arrival: &Arrival, blobs: Vec<InlineBlob>) -> Vec<InlineBlob> {
        let named = &arrival.envelope.header().blobs;
        let ours = |blob: &InlineBlob| {
            named.iter().any(|named| named.id == blob.id && view.entitled_to_blob(&self.me, named))
        };
        blobs.into_iter().filter(ours).collect()
    }

    pub(super) fn start_store(&mut self, doc: DocId) {
        if let Some(batch) = self.loaded.next_batch(&doc) {
            let (envelopes, blobs) = (batch.envelopes.clone(), batch.blobs.clone());
            let (proofs, lane) = (batch.proofs.clone(), batch.lane.unwrap_or(Lane::Normal));
            self.out.push_back(Output::Store { doc, envelopes, blobs, proofs, lane });
        }
    }

    /// Judges what the roster that came lets be judged, and asks whether what is aside names us under it.
    pub(super) fn reverify(&mut self, shelf: &dyn Shelf) {
        let mut fresh: BTreeMap<DocId, Vec<Parked>> = BTreeMap::new();
        let rosters = &self.rosters;
        for mut parked in self.parking.take_rostered(|hash| rosters.get(hash).is_some()) {
            if let Stage::Signed(envelope) = parked.stage {
                match super::arrival::check_envelope(envelope, &parked.doc, rosters) {
                    Checked::Verified(envelope) => parked.stage = Stage::Verified(envelope),
                    Checked::UnknownRoster(envelope) => parked.stage = Stage::Signed(envelope),
                    Checked::Faulty(id, fault) => {
                        self.out.push_back(Output::Blame { peer: parked.peer, id, fault });
                        continue;
                    }
                }
            }
            fresh.entry(parked.doc).or_default().push(parked);
        }
        for (doc, fresh) in fresh {
            let senders: BTreeMap<MemberId, Lane> = fresh.iter().map(|p| (p.peer, p.lane)).collect();
            self.take_in(doc, fresh, shelf);
            for (peer, lane) in senders {
                let lacked = self.parking.lacked(peer, &doc);
                self.want(peer, doc, lacked, lane, shelf);
            }
        }
        for doc in self.parking.documents_aside() {
            self.take_in(doc, Vec::new(), shelf);
        }
    }

    /// Asks again what was not answered in time.
    pub(super) fn retry_wants(&mut self, peer: MemberId, shelf: &dyn Shelf) {
        let now = self.now;
        let late: Vec<(DocId, Asked)> =
            self.peers.get(&peer).map_or_else(Vec::new, |state| state.late_wants(now));
        for (doc, asked) in late {
            let unknown = self.unknown_of(peer, &doc, shelf);
            if let Some(state) = self.peers.get_mut(&peer) {
                state.asked.end(&doc);
            }
            if asked.tries < super::peer::WANT_TRIES_MAX {
                self.want_ids(peer, doc, unknown, asked.lane, shelf);
                if let Some(again) = self.peers.get_mut(&peer).and_then(|state| state.asked.get_mut(&doc)) {
                    again.tries = asked.tries + 1;
                }
            }
        }
    }
}
