//! After a commit: who is told, who is sent what, and what this node owes its own documents.

use std::collections::BTreeMap;

use super::loaded::View;
use super::parking::Need;
use super::{DueRow, Output, Replica, Shelf};
use crate::audience::Audience;
use crate::digest::Fingerprint;
use crate::document::Document;
use crate::envelope::AdmittedEnvelope;
use crate::ids::{BlobId, DocId, EnvelopeId, MemberId, Millis};
use crate::limits::{HAVE_GATHER_MS, PUSHED_BYTES_MAX};
use crate::message::{Item, Items, Lane, Message};
use crate::roster::RosterChain;

/// The peers for which a document is due once it holds what it holds now: everybody in its audience, who may hold it,
/// and has not confirmed it. The author of its only head had seen everything here. The store makes exactly
/// these rows of `due` in each transaction that adds an envelope to the document.
#[must_use]
pub fn due_peers(
    document: &Document,
    audience: &Audience,
    rosters: &RosterChain,
    me: &MemberId,
) -> Vec<MemberId> {
    if !audience.entitled(me) {
        return Vec::new();
    }
    let confirmed = match document.standing().as_slice() {
        [head] => document.envelope(head).map(|head| head.header().author),
        _several => None,
    };
    let lacks = |member: &MemberId| member != me && Some(*member) != confirmed;
    audience.members().filter(|member| lacks(member) && rosters.head().good(member)).collect()
}

/// What a commit was about.
struct Commit<'a> {
    /// Envelopes that this node wrote itself.
    wrote: &'a [AdmittedEnvelope],
    /// Who is owed a receipt, and on which lane.
    owed: &'a BTreeMap<MemberId, Lane>,
    /// True unless it was catching up.
    live: bool,
}

impl Replica {
    pub(super) fn handle_wrote(&mut self, doc: DocId, envelopes: &[AdmittedEnvelope], shelf: &dyn Shelf) {
        self.loaded.refresh(&doc, shelf, &self.rosters);
        envelopes.iter().for_each(|envelope| self.parking.wake(&Need::Parent(envelope.id())));
        let commit = Commit { wrote: envelopes, owed: &BTreeMap::new(), live: true };
        self.settle(doc, &commit, shelf);
    }

    pub(super) fn handle_stored(&mut self, doc: DocId, shelf: &dyn Shelf) {
        let Some(batch) = self.loaded.stored(&doc, shelf, &self.rosters) else { return };
        let live = batch.lane != Some(Lane::Backfill);
        let commit = Commit { wrote: &[], owed: &batch.owed, live };
        self.settle(doc, &commit, shelf);
        if let Some(view) = self.loaded.view(&doc, shelf, &self.rosters) {
            let stored: Vec<EnvelopeId> =
                batch.envelopes.iter().map(|arrival| arrival.envelope.id()).collect();
            let came: Vec<BlobId> = batch.blobs.iter().map(|blob| blob.id).collect();
            self.fetch_named_blobs(doc, &view, &stored, &came, shelf);
        }
        self.start_store(doc);
    }

    pub(super) fn handle_store_failed(&mut self, doc: DocId) {
        self.loaded.failed(&doc);
        // Of everybody: what several had sent is stored for the first of them.
        self.peers.values_mut().for_each(|state| state.forget_sent(&doc));
    }

    fn settle(&mut self, doc: DocId, commit: &Commit<'_>, shelf: &dyn Shelf) {
        let Some(view) = self.loaded.view(&doc, shelf, &self.rosters) else { return };
        if !view.entitled(&self.me) {
            return;
        }
        let at = Fingerprint(view.document.fingerprint());
        let connected: Vec<MemberId> = self.peers.keys().copied().collect();
        for peer in connected {
            if !view.entitled(&peer) || !self.rosters.head().good(&peer) {
                continue;
            }
            self.note_shown(&peer, doc, &view, shelf);
            let Some(state) = self.peers.get_mut(&peer) else { continue };
            let owed = commit.owed.get(&peer).copied();
            if state.covers(&doc, &view.document) {
                self.out.push_back(Output::ClearDue { peer, doc, at });
                if let Some(lane) = owed {
                    self.send_have(peer, doc, &view, false, lane);
                }
                self.end_talk_if_agreed(peer, doc, shelf);
            } else if commit.wrote.is_empty() {
                self.tell(peer, doc, &view, owed, commit.live);
            } else {
                self.push(peer, doc, &view, commit.wrote, shelf);
            }
        }
        self.meet_own_proofs(doc, &view);
        self.commit_handoff(doc, &view, shelf);
    }

    /// Both know that both hold the same: nothing of what was said need be kept.
    fn end_talk_if_agreed(&mut self, peer: MemberId, doc: DocId, shelf: &dyn Shelf) {
        let agreed = self.unknown_of(peer, &doc, shelf).is_empty();
        if let Some(state) = self.peers.get_mut(&peer).filter(|_| agreed) {
            state.end_talk(&doc);
        }
    }

    /// The author sends its new envelopes at once.
    fn push(
        &mut self,
        peer: MemberId,
        doc: DocId,
        view: &View,
        wrote: &[AdmittedEnvelope],
        shelf: &dyn Shelf,
    ) {
        let ids: Vec<EnvelopeId> = wrote.iter().map(AdmittedEnvelope::id).collect();
        let mut items = self.items(&peer, view, &ids, shelf);
        while !items.is_empty() {
            let message = Message::Body(Items::fill(doc, &mut items));
            self.send(peer, view.lane(true), message);
        }
    }

    /// To a peer that was away: what this node itself wrote since the peer had confirmed all of the document, and
    /// which the peer therefore lacks and need not ask for. False if it is not known what the peer lacks, if
    /// somebody else wrote of it, if it is much or there was much before it, or if the peer was sent it on this
    /// connection and did not confirm.
    pub(super) fn push_due(
        &mut self,
        peer: MemberId,
        row: &DueRow,
        view: &View,
        lane: Lane,
        shelf: &dyn Shelf,
    ) -> bool {
        let Some(state) = self.peers.get(&peer) else { return false };
        let before = state.known_talk(&row.doc).is_some_and(|talk| talk.pushed);
        if before || !state.may_push() {
            return false;
        }
        let ids = shelf.added(&row.doc, row.since);
        if !self.lacks_just_these(&peer, &view.document, &ids) {
            return false;
        }
        let mut items = self.items(&peer, view, &ids, shelf);
        if items.iter().map(Item::wire_bytes).sum::<usize>() > PUSHED_BYTES_MAX {
            return false;
        }
        if let Some(state) = self.peers.get_mut(&peer) {
            state.talk(row.doc).pushed = true;
            state.note_pushed();
        }
        while !items.is_empty() {
            self.send(peer, lane, Message::Body(Items::fill(row.doc, &mut items)));
        }
        true
    }

    /// True if all of these are this node's own and the peer could hold the document without them.
    fn lacks_just_these(&self, peer: &MemberId, document: &Document, ids: &[EnvelopeId]) -> bool {
        let own = |id| document.envelope(id).is_some_and(|envelope| envelope.header().author == self.me);
        let plain = document.proofs().next().is_none() && document.retired().is_none();
        if ids.is_empty() || !plain || !ids.iter().all(own) {
            return false;
        }
        let mut before = Document::default();
        let rest = document.envelopes().filter(|envelope| !ids.contains(&envelope.id()));
        let whole = rest.cloned().try_for_each(|envelope| before.insert(envelope).map(drop)).is_ok();
        whole && (before.is_empty() || Audience::of(&before, &self.rosters).entitled(peer))
    }

    /// Everybody else says what it has: to whom it is owed and what rings at once, the rest gathered.
    fn tell(&mut self, peer: MemberId, doc: DocId, view: &View, owed: Option<Lane>, live: bool) {
        let lane = owed.unwrap_or(view.lane(live));
        if owed.is_some() || lane == Lane::Urgent {
            self.send_have(peer, doc, view, true, lane);
            return;
        }
        let until = self.now.plus(Millis(HAVE_GATHER_MS));
        if let Some(state) = self.peers.get_mut(&peer) {
            state.gathered.insert(doc);
            state.gathered_until.get_or_insert(until);
        }
    }

    /// Sends what was gathered.
    pub(super) fn flush_gathered(&mut self, peer: MemberId, shelf: &dyn Shelf) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.gathered_until.is_none_or(|until| until > self.now) {
            return;
        }
        state.gathered_until = None;
        for doc in std::mem::take(&mut state.gathered) {
            let Some(view) = self.view_for(&peer, &doc, shelf) else { continue };
            let covered = self.peers.get(&peer).is_some_and(|state| state.covers(&doc, &view.document));
            if !covered {
                self.send_have(peer, doc, &view, true, view.lane(true));
            }
        }
    }

    /// The owner's node completes a handoff by itself once its last offer is accepted, and the authority's
    /// a takeover; not while it may not write there.
    pub(super) fn commit_handoff(&mut self, doc: DocId, view: &View, shelf: &dyn Shelf) {
        let Some(operation) = view.fold.commits(self.me) else { return };
        if !shelf.locks() || shelf.lock(&doc).is_none() {
            self.out.push_back(Output::AutoCommit { doc, operation });
        }
    }
}
