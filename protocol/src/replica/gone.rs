//! Retired documents of which somebody has dropped the contents after their retention. Who dropped them
//! takes nothing of them in any more and answers `gone` to whoever lacks something; who is answered so
//! stops asking that peer and keeps what it has. It believes the peer about nothing but the peer itself.

use std::collections::BTreeSet;

use super::arrival::{ArrivedItem, Checked};
use super::parking::{Parked, Stage};
use super::{Output, Replica, Shelf};
use crate::audience::Audience;
use crate::digest::Fingerprint;
use crate::document::retired_fingerprint;
use crate::envelope::SignedEnvelope;
use crate::ids::{DocId, EnvelopeId, MemberId, Millis};
use crate::message::{Gone, Have, Lane, Message};

/// What is left of a retired document whose contents were dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its smallest retire, as signed.
    pub retire: SignedEnvelope,
    /// Who may hold the document, and who has shown since that it does.
    pub audience: BTreeSet<MemberId>,
}

/// True for the envelope with which a document begins: its id is made of that, so nobody else can make it.
fn begins(envelope: &Checked, doc: &DocId) -> bool {
    let Checked::Verified(envelope) = envelope else { return false };
    envelope.header().is_genesis() && envelope.header().genesis_doc_id() == *doc
}

impl Replica {
    /// A document whose contents were dropped here, if it is this peer's and ours.
    fn dropped_for(&self, peer: &MemberId, doc: &DocId, shelf: &dyn Shelf) -> Option<Dropped> {
        let may = |member: &MemberId, dropped: &Dropped| dropped.audience.contains(member);
        let dropped = shelf.dropped(doc).filter(|dropped| may(peer, dropped) && may(&self.me, dropped));
        dropped.filter(|_| self.rosters.head().good(peer))
    }

    /// A peer wants something of a document that is not here for it. True if it was dropped and the peer
    /// was told so.
    pub(super) fn answer_gone(&mut self, peer: MemberId, lane: Lane, doc: DocId, shelf: &dyn Shelf) -> bool {
        let Some(dropped) = self.dropped_for(&peer, &doc, shelf) else { return false };
        let at = Fingerprint(retired_fingerprint(&doc, &dropped.retire.id()));
        self.send(peer, lane, Message::Gone(Gone { doc, retire: dropped.retire }));
        if let Some(state) = self.peers.get_mut(&peer) {
            state.offers.end(&doc);
        }
        // There is nothing more that it could be given.
        self.out.push_back(Output::ClearDue { peer, doc, at });
        true
    }

    /// A peer has told what it holds of a document. True if the contents were dropped here: then nothing
    /// is asked for, and the peer is told of the retire unless it holds just that.
    pub(super) fn hear_of_dropped(
        &mut self,
        peer: MemberId,
        lane: Lane,
        doc: DocId,
        asks: bool,
        shelf: &dyn Shelf,
    ) -> bool {
        let Some(dropped) = self.dropped_for(&peer, &doc, shelf) else { return false };
        let retired = dropped.retire.id();
        let told = self.peers.get(&peer).and_then(|state| state.known_talk(&doc)?.told.as_ref());
        let agrees = told.is_some_and(|told| told.iter().eq([&retired]));
        if agrees {
            let at = Fingerprint(retired_fingerprint(&doc, &retired));
            self.out.push_back(Output::ClearDue { peer, doc, at });
        }
        let known = told.cloned().unwrap_or_default();
        let again = self.peers.get(&peer).and_then(|state| state.known_talk(&doc)?.urged.clone());
        let urged = (Fingerprint(retired.0), known);
        if asks || (!agrees && again.as_ref() != Some(&urged)) {
            self.tell_of_dropped(peer, lane, doc, &dropped, false);
        }
        if let Some(state) = self.peers.get_mut(&peer) {
            state.talk(doc).urged = Some(urged);
        }
        true
    }

    /// Envelopes of a document whose contents were dropped here are not taken in; whoever sent them is
    /// told why, if it may know. That is so too if it was let in by what the retire leaves out, and nobody
    /// can tell any more: by the genesis it shows that it holds the document. True if it is such a document.
    pub(super) fn turn_away(
        &mut self,
        peer: MemberId,
        lane: Lane,
        doc: DocId,
        items: &[ArrivedItem],
        shelf: &dyn Shelf,
    ) -> bool {
        if self.loaded.has(&doc) {
            return false;
        }
        let Some(dropped) = shelf.dropped(&doc) else { return false };
        let ours = dropped.audience.contains(&self.me) && self.rosters.head().good(&peer);
        let named = dropped.audience.contains(&peer);
        if ours && (named || items.iter().any(|item| begins(&item.envelope, &doc))) {
            if !named {
                self.out.push_back(Output::NoteHolder { peer, doc });
            }
            self.tell_of_dropped(peer, lane, doc, &dropped, false);
        }
        true
    }

    /// Offers a document whose contents were dropped here and that a peer has not confirmed. False if it
    /// is no such document.
    pub(super) fn offer_dropped(&mut self, peer: MemberId, doc: DocId, shelf: &dyn Shelf) -> bool {
        let Some(dropped) = self.dropped_for(&peer, &doc, shelf) else { return false };
        self.tell_of_dropped(peer, Lane::Backfill, doc, &dropped, true);
        if let Some(state) = self.peers.get_mut(&peer) {
            state.offers.begin(doc, self.now, ());
        }
        true
    }

    fn tell_of_dropped(&mut self, peer: MemberId, lane: Lane, doc: DocId, dropped: &Dropped, asks: bool) {
        let heads = vec![dropped.retire.id()];
        self.send(peer, lane, Message::Have(Have { doc, page: 0, last: true, asks, heads }));
    }

    /// A peer has dropped what was asked of it. The retire that it names goes through admission like any
    /// other; where what it had seen is not here, that peer alone is asked no more.
    pub(super) fn handle_gone(
        &mut self,
        peer: MemberId,
        lane: Lane,
        doc: DocId,
        retire: Checked,
        shelf: &dyn Shelf,
    ) {
        let asked = self.peers.get_mut(&peer).and_then(|state| state.asked.end(&doc));
        if asked.is_none() {
            // Nobody asked: it says nothing.
            return;
        }
        let envelope = match retire {
            Checked::Verified(envelope) => envelope,
            Checked::UnknownRoster(_) => {
                self.ask_roster(peer);
                self.ask_roster_further_back(peer);
                return;
            }
            Checked::Faulty(id, fault) => return self.out.push_back(Output::Blame { peer, id, fault }),
        };
        let retired = envelope.id();
        if !self.is_refused(&retired, shelf) {
            let (stage, arrived) = (Stage::Verified(envelope), self.now);
            let parked = Parked {
                peer,
                doc,
                id: retired,
                stage,
                blobs: Vec::new(),
                age: Millis(0),
                arrived,
                lane,
                asked: true,
                turn: None,
            };
            self.take_in(doc, vec![parked], shelf);
        }
        let ahead = self.loaded.ahead(&doc, shelf, &self.rosters);
        // Whom it puts out of the document shares that with nobody else.
        if ahead.contains(&retired) && Audience::of(&ahead, &self.rosters).entitled(&self.me) {
            return;
        }
        self.note_gone(peer, doc, retired);
    }

    /// A comparison shows these otherwise than this node has them. Where that was by the peer's own word that
    /// it has dropped the contents, it was restored since.
    pub(super) fn doubt_gone(&mut self, peer: MemberId, docs: &[DocId], shelf: &dyn Shelf) {
        let noted = docs.iter().copied().filter(|doc| shelf.gone(&peer, doc));
        self.out.extend(noted.map(|doc| Output::ForgetGone { peer, doc }));
    }

    fn note_gone(&mut self, peer: MemberId, doc: DocId, retired: EnvelopeId) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.offers.end(&doc);
        let talk = state.talk(doc);
        (talk.gone, talk.told) = (Some(retired), Some([retired].into()));
        self.out.push_back(Output::NoteGone { peer, doc, retired });
    }
}
