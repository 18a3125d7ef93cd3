//! What a connection brings with it whatever is on it: its start and end, rosters, contact records, the
//! round through everything due, and the passing of time.

use super::loaded::View;
use super::peer::{Assembly, Peer, Sweep};
use super::{DueRow, Fault, Output, Parting, Replica, Shelf};
use crate::contact::{ContactError, SignedContact};
use crate::digest::Fingerprint;
use crate::document::retired_fingerprint;
use crate::ids::{DocId, EnvelopeId, MemberId, Millis, sha256};
use crate::limits::{
    DIGEST_INTERVAL_MS, FETCH_RETRY_MS, HAVE_GATHER_MS, OFFER_TIMEOUT_MS, OFFERS_AT_ONCE,
    OFFERS_IN_FLIGHT_MAX, RING_AGE_MS_MAX, ROSTER_PIECE_BYTES, WANT_RETRY_MS,
};
use crate::message::{Lane, Message, RosterPiece};
use crate::roster::{RosterChain, RosterError, SignedRoster};

impl Replica {
    pub(super) fn handle_connected(&mut self, peer: MemberId, roster_version: u64, shelf: &dyn Shelf) {
        self.peers.insert(peer, Peer::new(roster_version, self.now));
        if !self.rosters.head().good(&peer) {
            self.part(peer);
            return;
        }
        self.send_newer_rosters(peer);
        self.send_forks(peer);
        if roster_version > self.rosters.head().version {
            self.ask_roster(peer);
        }
        for contact in shelf.contacts() {
            self.send(peer, Lane::Normal, Message::Contact(contact.encode()));
        }
        self.fetch_missing(shelf);
    }

    pub(super) fn handle_disconnected(&mut self, peer: MemberId) {
        self.peers.remove(&peer);
    }

    fn part(&mut self, peer: MemberId) {
        self.peers.remove(&peer);
        self.out.push_back(Output::Disconnect { peer, why: Parting::Expelled });
    }

    pub(super) fn handle_roster_changed(&mut self, rosters: RosterChain, shelf: &dyn Shelf) {
        let forks = self.rosters.forks();
        self.rosters = rosters;
        let forked = self.rosters.forks().iter().any(|fork| !forks.contains(fork));
        self.loaded.forget_views();
        let connected: Vec<MemberId> = self.peers.keys().copied().collect();
        for peer in connected {
            if !self.rosters.head().good(&peer) {
                self.part(peer);
                continue;
            }
            self.send_newer_rosters(peer);
            if forked {
                self.send_forks(peer);
            }
            if let Some(state) = self.peers.get_mut(&peer) {
                state.roster_asked_at = None;
                (state.roster_back, state.roster_lacks) = (0, false);
            }
        }
        self.reverify(shelf);
    }

    /// Sends a peer the versions that it does not hold yet.
    fn send_newer_rosters(&mut self, peer: MemberId) {
        let head = self.rosters.head().version;
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let after = state.roster_version;
        state.roster_version = head.max(after);
        self.send_rosters(peer, after);
    }

    /// Two rosters of one version are an alarm everywhere: who knows both says so at once, since a peer that
    /// holds one of them has no reason to ask.
    fn send_forks(&mut self, peer: MemberId) {
        let forks = self.rosters.forks();
        let first = forks.iter().filter_map(|hash| self.rosters.get(hash)).map(|fork| fork.version).min();
        if let Some(first) = first {
            self.send_rosters(peer, first.saturating_sub(1));
        }
    }

    fn send_rosters(&mut self, peer: MemberId, after: u64) {
        let versions: Vec<(u64, Vec<u8>)> = self
            .rosters
            .versions_after(after)
            .into_iter()
            .filter_map(|signed| Some((self.rosters.get(&signed.hash())?.version, signed.encode())))
            .collect();
        for (version, bytes) in versions {
            let pieces = u16::try_from(bytes.len().div_ceil(ROSTER_PIECE_BYTES)).unwrap_or(u16::MAX);
            for (piece, bytes) in (0..).zip(bytes.chunks(ROSTER_PIECE_BYTES)) {
                let piece = RosterPiece { version, piece, pieces, bytes: bytes.to_vec() };
                self.send(peer, Lane::Normal, Message::Roster(piece));
            }
        }
    }

    /// Asks a peer for newer roster versions, once in a while.
    pub(super) fn ask_roster(&mut self, peer: MemberId) {
        let (now, head) = (self.now, self.rosters.head().version);
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.roster_asked_at.is_none_or(|at| now.since(at).0 >= WANT_RETRY_MS) {
            state.roster_asked_at = Some(now);
            if std::mem::take(&mut state.roster_lacks) {
                state.roster_back = (state.roster_back * 2).clamp(1, head);
            }
            let after = head.saturating_sub(state.roster_back);
            self.send(peer, Lane::Normal, Message::RosterWant(after));
        }
    }

    /// A version that is not newer than ours may be lacking: the root keys signed two of one number, and
    /// this node knows of one. The next question goes further back than the one before.
    pub(super) fn ask_roster_further_back(&mut self, peer: MemberId) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.roster_lacks = true;
        }
    }

    /// The same, without waiting: the peer that sent the version that joins both may be gone before the time
    /// for another question has come, and whoever is reached next begins anew. As often as it takes to
    /// come to the first version, and no more until the chain has grown.
    fn ask_roster_at_once_further_back(&mut self, peer: MemberId) {
        let head = self.rosters.head().version;
        self.ask_roster_further_back(peer);
        if let Some(state) = self.peers.get_mut(&peer).filter(|state| state.roster_back < head) {
            state.roster_asked_at = None;
        }
        self.ask_roster(peer);
    }

    /// True for the next version if it follows one that is not here, so one beside our newest.
    fn joins_unknown(&self, version: u64, bytes: &[u8]) -> bool {
        version == self.rosters.head().version + 1
            && SignedRoster::decode(bytes)
                .is_ok_and(|signed| self.rosters.clone().add(signed) == Err(RosterError::UnknownPrevious))
    }

    pub(super) fn handle_roster_want(&mut self, peer: MemberId, after: u64) {
        self.send_rosters(peer, after);
    }

    /// Puts a roster version together from its pieces, which come in order on one lane.
    pub(super) fn handle_roster_piece(&mut self, peer: MemberId, piece: RosterPiece) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let assembly = &mut state.assembly;
        if piece.piece == 0 {
            *assembly = Assembly { version: piece.version, next: 0, bytes: Vec::new() };
        }
        if (assembly.version, assembly.next) != (piece.version, piece.piece) {
            return;
        }
        assembly.next += 1;
        assembly.bytes.extend(piece.bytes);
        if assembly.next == piece.pieces {
            let bytes = std::mem::take(assembly).bytes;
            state.roster_version = state.roster_version.max(piece.version);
            if self.joins_unknown(piece.version, &bytes) {
                self.ask_roster_at_once_further_back(peer);
            }
            self.out.push_back(Output::OfferRoster { peer, bytes });
        }
    }

    /// Keeps a newer contact record and passes it on.
    pub(super) fn handle_contact(&mut self, peer: MemberId, bytes: &[u8], shelf: &dyn Shelf) {
        let id = EnvelopeId(sha256(&[bytes]));
        let blame = Output::Blame { peer, id, fault: Fault::Contact };
        let Ok(signed) = SignedContact::decode(bytes) else { return self.out.push_back(blame) };
        let contact = match signed.verify(self.rosters.federation(), self.rosters.head()) {
            Ok(contact) => contact,
            // Its key may have been good when the peer took it.
            Err(ContactError::Key) => return,
            Err(ContactError::Federation | ContactError::Signature) => return self.out.push_back(blame),
        };
        let member = contact.member;
        let held = shelf.contacts().into_iter().find(|held| held.unverified().member == member);
        if member == self.me || held.is_some_and(|held| held.unverified().version >= contact.version) {
            return;
        }
        let others: Vec<MemberId> =
            self.peers.keys().copied().filter(|other| *other != peer && *other != member).collect();
        for other in others {
            self.send(other, Lane::Normal, Message::Contact(bytes.to_vec()));
        }
        self.out.push_back(Output::StoreContact(signed));
    }

    /// Offers what is due, a few documents at a time, urgent and newest first.
    pub(super) fn sweep(&mut self, peer: MemberId, shelf: &dyn Shelf) {
        let now = self.now;
        loop {
            let Some(state) = self.peers.get_mut(&peer) else { return };
            let room = OFFERS_IN_FLIGHT_MAX.saturating_sub(state.offers.len());
            let after = match state.sweep {
                Sweep::RestsUntil(until) if now < until => return,
                Sweep::RestsUntil(_) => None,
                Sweep::After(after) => after,
            };
            if room < OFFERS_AT_ONCE {
                state.sweep = Sweep::After(after);
                return;
            }
            let rows = shelf.due(&peer, after, room);
            let Some(last) = rows.last() else {
                state.sweep = Sweep::RestsUntil(now.plus(Millis(DIGEST_INTERVAL_MS)));
                return;
            };
            state.sweep = Sweep::After(Some(last.order()));
            for row in rows {
                let Some(view) = self.view_for(&peer, &row.doc, shelf) else {
                    if !self.offer_dropped(peer, row.doc, shelf) {
                        self.forget_due(peer, row.doc, shelf);
                    }
                    continue;
                };
                let Some(state) = self.peers.get_mut(&peer) else { return };
                state.offers.begin(row.doc, now, ());
                let lane = if self.is_fresh(&row, &view, shelf) { Lane::Urgent } else { Lane::Backfill };
                if self.push_due(peer, &row, &view, lane, shelf) {
                    continue;
                }
                self.send_have(peer, row.doc, &view, true, lane);
                if let Some(state) = self.peers.get_mut(&peer) {
                    state.note_told();
                }
            }
        }
    }

    /// True if what is due can still ring at the peer. Something old can be due since just now, after a comparison
    /// that found it: that is catching up, however pressing it once was.
    fn is_fresh(&self, row: &DueRow, view: &View, shelf: &dyn Shelf) -> bool {
        let recent = |at: Millis| self.now.since(at).0 <= RING_AGE_MS_MAX;
        let written = |id: &EnvelopeId| shelf.written(&row.doc, id);
        row.rings && recent(row.since) && view.document.standing().iter().filter_map(written).any(recent)
    }

    /// A document is due that is not the peer's any more, or not ours: it was set after a comparison that
    /// was made before that was known, and nothing else would ever clear it.
    fn forget_due(&mut self, peer: MemberId, doc: DocId, shelf: &dyn Shelf) {
        let view = self.loaded.view(&doc, shelf, &self.rosters);
        let dropped = || shelf.dropped(&doc).map(|left| retired_fingerprint(&doc, &left.retire.id()));
        if let Some(at) = view.map(|view| view.document.fingerprint()).or_else(dropped) {
            self.out.push_back(Output::ClearDue { peer, doc, at: Fingerprint(at) });
        }
    }

    /// Everything whose time has come.
    pub(super) fn handle_time(&mut self, shelf: &dyn Shelf) {
        let now = self.now;
        let connected: Vec<MemberId> = self.peers.keys().copied().collect();
        for peer in connected {
            self.flush_gathered(peer, shelf);
            self.retry_wants(peer, shelf);
            if let Some(state) = self.peers.get_mut(&peer) {
                state.offers.end_late(now, OFFER_TIMEOUT_MS);
            }
            self.sweep(peer, shelf);
            self.compare(peer, shelf);
        }
        if self.house_at <= now {
            let soon = if self.judge_held(shelf) { HAVE_GATHER_MS } else { FETCH_RETRY_MS };
            self.house_at = now.plus(Millis(soon));
            self.parking.expire(now);
            self.fetching.retain(|_, at| now.since(*at).0 < FETCH_RETRY_MS);
            self.fetch_missing(shelf);
            for doc in shelf.accepted_offers() {
                if let Some(view) = self.loaded.view(&doc, shelf, &self.rosters) {
                    self.commit_handoff(doc, &view, shelf);
                }
            }
        }
    }
}
