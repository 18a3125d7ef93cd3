//! The replication state machine: what this node tells its peers, asks of them and takes from them.
//!
//! Replication is state, not history. For every peer and document the store keeps one bit, `due`: "this
//! peer may hold it and has not confirmed what we hold". It is set in the transaction that adds an
//! envelope ([`due_peers`] says for whom) and cleared by the peer's `have`, by an equal digest, or by an
//! envelope of the peer's own that had seen everything here. Live traffic, catching up, invitations,
//! relays through a third node and lost records are all this one mechanism.
//!
//! # Contract
//!
//! The caller owns time, the disk and the network; [`Replica`] owns what happens next.
//!
//! 1. Every event goes in through [`Replica::handle`], one at a time, with the caller's monotonic `now`.
//! 2. After each, the caller takes [`Replica::poll_output`] until it is empty and carries every output
//!    out. Outputs of one peer's lane keep their order. None is optional, none needs a decision.
//! 3. By [`Replica::next_wake`] at the latest it hands in [`Input::Tick`]. More of them change nothing.
//! 4. [`Shelf`] shows what is committed and nothing else. It may be ahead of the events handed in, never
//!    behind one of them.
//! 5. Every [`Output::Store`] is answered by one [`Input::Stored`] or [`Input::StoreFailed`] of that
//!    document. Until then no other `Store` of the same document is asked for.
//! 6. The caller need not keep anything else: a replica that is dropped and started anew misses nothing.
//!
//! Nothing is acknowledged, forwarded or shown before its commit: a `have` is only ever built from what
//! the shelf holds.

mod arrival;
mod blobs;
mod compare;
mod exchange;
mod gone;
mod held;
mod leaving;
mod loaded;
mod parking;
mod peer;
mod proofs;
mod settle;
mod standing;
mod taking;
mod timed;
mod twin;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod gone_tests;
#[cfg(test)]
mod held_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod leaving_tests;
#[cfg(test)]
mod parking_tests;
#[cfg(test)]
mod proof_tests;
#[cfg(test)]
mod pushing_tests;
#[cfg(test)]
mod restore_tests;
#[cfg(test)]
mod standing_tests;
#[cfg(test)]
mod taking_tests;
#[cfg(test)]
mod telling_tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub use arrival::{Arrived, ArrivedItem, ArrivedItems, ArrivedProof, Checked, Fault};
pub use gone::Dropped;
pub use held::{Glimpse, Held};
pub use settle::due_peers;

use crate::admission::Refusal;
use crate::author::Lock;
use crate::contact::SignedContact;
use crate::digest::{Fingerprint, Place};
use crate::document::Document;
use crate::envelope::{AdmittedEnvelope, BlobRef, RULES_VERSION};
use crate::ids::{BlobId, DocId, EnvelopeId, Incarnation, MemberId, Millis};
use crate::limits::{STORES_IN_FLIGHT_MAX, URGENT_STORES_IN_FLIGHT_MAX};
use crate::message::{InlineBlob, Lane, Message, Prefix};
use crate::operation::Operation;
use crate::proof::Proof;
use crate::roster::RosterChain;
use loaded::Loaded;
use parking::Parking;
use peer::Peer;

/// What is committed on this node, read synchronously and never written.
pub trait Shelf {
    /// A document; none if nothing of it is stored.
    fn document(&self, doc: &DocId) -> Option<Arc<Document>>;
    /// True if a rejection of this envelope is recorded.
    fn refused(&self, id: &EnvelopeId) -> bool;
    /// True for an envelope that is held without a verdict.
    fn held(&self, id: &EnvelopeId) -> bool;
    /// Those of a document that this peer sent and that are held so, at most `limit`.
    fn held_from(&self, peer: &MemberId, doc: &DocId, limit: usize) -> Vec<EnvelopeId>;
    /// Those held under rules up to this version, oldest first, at most `limit`.
    fn held_ready(&self, rules: u16, limit: usize) -> Vec<Held>;
    /// What is left of a document whose contents were dropped after their retention.
    fn dropped(&self, doc: &DocId) -> Option<Dropped>;
    /// True if a peer has said that it has dropped the contents of a document, and this was noted.
    fn gone(&self, peer: &MemberId, doc: &DocId) -> bool;
    /// When an envelope that is here was written, on this node's own clock: its arrival less the age
    /// that came with it.
    fn written(&self, doc: &DocId, id: &EnvelopeId) -> Option<Millis>;
    /// Envelopes of a document that were stored at this time of this node's clock or later, in that order.
    fn added(&self, doc: &DocId, since: Millis) -> Vec<EnvelopeId>;
    /// Rows of `due` for a peer that come after `after` in the order of [`DueRow::order`], at most `limit`.
    fn due(&self, peer: &MemberId, after: Option<DueOrder>, limit: usize) -> Vec<DueRow>;
    /// What lies below some digits in the digest of the documents that both this node and `peer` may hold; none while
    /// so much of it would have to be hashed that it is done elsewhere: [`Input::DigestsMade`] says when it was.
    fn digest_place(&self, peer: &MemberId, prefix: &Prefix) -> Option<Place>;
    /// Those documents with their fingerprints, ascending, at most `limit`.
    fn digest_below(&self, peer: &MemberId, prefix: &Prefix, limit: usize) -> Vec<(DocId, Fingerprint)>;
    /// True if a blob is here and came for this document. Whoever knows a commitment can name it in a
    /// document of their own; what came for another one is not given out for theirs.
    fn holds_blob(&self, doc: &DocId, blob: &BlobId) -> bool;
    /// A blob of at most [`crate::limits::BLOB_INLINE_BYTES_MAX`], to ride along; none if it is larger
    /// or not here for this document.
    fn small_blob(&self, doc: &DocId, blob: &BlobId) -> Option<InlineBlob>;
    /// Blobs that stored envelopes name, that this node may hold and that are not here; at most `limit`.
    fn missing_blobs(&self, limit: usize) -> Vec<(DocId, BlobRef)>;
    /// Documents in which an offer of this node's, as the owner or as its authority, was accepted and not
    /// committed yet.
    fn accepted_offers(&self) -> Vec<DocId>;
    /// The newest contact record of each member.
    fn contacts(&self) -> Vec<SignedContact>;
    /// Why this node does not write in a document for now; none if it may.
    fn lock(&self, doc: &DocId) -> Option<Lock>;
    /// False if no document is locked. Asked often.
    fn locks(&self) -> bool;
    /// The generation under which this node signs.
    fn incarnation(&self) -> Incarnation;
    /// True for a generation that this node drew itself, now or earlier.
    fn drew(&self, incarnation: Incarnation) -> bool;
}

/// One row of `due`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueRow {
    /// The document.
    pub doc: DocId,
    /// True if its urgency rings.
    pub rings: bool,
    /// When it became due, on this node's clock: when the first envelope was stored that the peer has not confirmed.
    pub since: Millis,
}

/// Place of a row of `due` in the order in which rows are offered: what rings first, then the newest,
/// then by document.
pub type DueOrder = (std::cmp::Reverse<bool>, std::cmp::Reverse<Millis>, DocId);

impl DueRow {
    /// Its place in the order in which rows are offered.
    #[must_use]
    pub fn order(&self) -> DueOrder {
        (std::cmp::Reverse(self.rings), std::cmp::Reverse(self.since), self.doc)
    }
}

/// Everything that can happen to a replica.
#[derive(Debug)]
pub enum Input {
    /// A connection is up and both welcomes are exchanged.
    Connected {
        /// With whom.
        peer: MemberId,
        /// The newest roster version that the peer's welcome names.
        roster_version: u64,
    },
    /// The connection to a peer is gone, with everything that was on its way.
    Disconnected {
        /// To whom.
        peer: MemberId,
    },
    /// A message came, decoded and its signatures verified (see [`Arrived::check`]).
    Arrived {
        /// From whom.
        peer: MemberId,
        /// On which lane.
        lane: Lane,
        /// The message.
        message: Arrived,
    },
    /// This node wrote envelopes, and they are committed.
    Wrote {
        /// The document.
        doc: DocId,
        /// What was written, in order.
        envelopes: Vec<AdmittedEnvelope>,
    },
    /// What an [`Output::Store`] asked for is committed.
    Stored {
        /// The document.
        doc: DocId,
    },
    /// What an [`Output::Store`] asked for is not stored and will not be.
    StoreFailed {
        /// The document.
        doc: DocId,
    },
    /// The contents of a retired document were dropped after their retention.
    Dropped {
        /// The document.
        doc: DocId,
    },
    /// The roster chain has grown.
    RosterChanged(RosterChain),
    /// What had to be hashed of digests was, since [`Shelf::digest_place`] said that it is too much.
    DigestsMade,
    /// A blob was stored, by fetching or by a person of this node.
    BlobStored {
        /// Which.
        blob: BlobId,
    },
    /// A fetch ended without the blob.
    FetchFailed {
        /// Which.
        blob: BlobId,
    },
    /// Time has passed.
    Tick,
}

/// An envelope on its way into the store.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The envelope.
    pub envelope: AdmittedEnvelope,
    /// Who sent it; not always who wrote it.
    pub from: MemberId,
    /// How long before now it was written, as the nodes on the way counted.
    pub age: Millis,
}

/// Everything that a replica asks of its caller.
#[derive(Debug)]
pub enum Output {
    /// Put a message on a lane to a peer. Dropped if the peer is not connected any more.
    Send {
        /// To whom.
        peer: MemberId,
        /// On which lane.
        lane: Lane,
        /// What.
        message: Message,
    },
    /// Store envelopes, blobs and proofs of one document in one transaction, with [`due_peers`] of the
    /// result.
    Store {
        /// The document.
        doc: DocId,
        /// The envelopes, parents first.
        envelopes: Vec<Arrival>,
        /// Small blobs that came along; their commitments hold.
        blobs: Vec<InlineBlob>,
        /// Proofs that an author of the document equivocated; kept for as long as the document is, and a
        /// person is warned.
        proofs: Vec<Proof>,
        /// How pressing: [`Lane::Backfill`] is catching up and rings nobody.
        lane: Lane,
    },
    /// Keep a rejected envelope with its code, so that nobody asks for it again.
    RecordRefusal {
        /// Who sent it.
        peer: MemberId,
        /// Its document, as it says itself.
        doc: DocId,
        /// Which.
        id: EnvelopeId,
        /// Why.
        refusal: Refusal,
        /// Its bytes, for people to look at.
        bytes: Vec<u8>,
    },
    /// Keep an envelope without a verdict, within bounds and without an age at which it goes: a later
    /// release will judge it.
    Hold(Held),
    /// Forget held envelopes that were looked at by a release that knows their rules: they wait among the
    /// parked, or are worth nothing.
    LetGo {
        /// Which.
        ids: Vec<EnvelopeId>,
    },
    /// A peer has dropped the contents of a retired document and can be given and asked nothing of it:
    /// clear `due`, and let the document be in the digest with that peer, and with no other, what it is
    /// for whoever dropped it.
    NoteGone {
        /// The peer.
        peer: MemberId,
        /// The document.
        doc: DocId,
        /// Its smallest retire, as the peer says.
        retired: EnvelopeId,
    },
    /// A peer holds a document whose contents were dropped here, and nothing that is left says that it may:
    /// let it be told of the retire, and let the document be in the digest with it.
    NoteHolder {
        /// The peer.
        peer: MemberId,
        /// The document.
        doc: DocId,
    },
    /// A peer that had dropped the contents of a document has it otherwise than it said, so it was restored:
    /// let the document be in the digest with it as with any other.
    ForgetGone {
        /// The peer.
        peer: MemberId,
        /// The document.
        doc: DocId,
    },
    /// A peer passed on a copy that is no proof of anything. The envelope's id keeps no verdict.
    Blame {
        /// The peer.
        peer: MemberId,
        /// The id of the copy.
        id: EnvelopeId,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The peer has confirmed a document: clear `due` if the document's fingerprint is still this one.
    ClearDue {
        /// The peer.
        peer: MemberId,
        /// The document.
        doc: DocId,
        /// What the peer confirmed.
        at: Fingerprint,
    },
    /// The hashes kept of what is shared with a peer may be wrong: drop them, so that they are made anew.
    ForgetDigest {
        /// The peer.
        peer: MemberId,
    },
    /// The peer lacks something of these documents after all: set `due`.
    SetDue {
        /// The peer.
        peer: MemberId,
        /// The documents.
        docs: Vec<DocId>,
    },
    /// Both nodes were shown to hold the same of everything that both may hold.
    InStep {
        /// The peer.
        peer: MemberId,
        /// When.
        at: Millis,
        /// How many documents that are.
        documents: usize,
    },
    /// Fetch a blob from one of these peers, in this order.
    FetchBlob {
        /// A document that names it.
        doc: DocId,
        /// Which blob.
        blob: BlobRef,
        /// Connected peers that may hold it.
        candidates: Vec<MemberId>,
    },
    /// Send a blob that this peer may hold, from this piece on, on [`Lane::Blobs`].
    ServeBlob {
        /// To whom.
        peer: MemberId,
        /// Which.
        blob: BlobId,
        /// The first piece.
        from_piece: u32,
    },
    /// Hand a signed roster version to the roster chain, and [`Input::RosterChanged`] back if it was taken.
    OfferRoster {
        /// Who sent it.
        peer: MemberId,
        /// The version as signed.
        bytes: Vec<u8>,
    },
    /// Keep a member's newest contact record. Its signature holds.
    StoreContact(SignedContact),
    /// The accept of this node's last offer is stored: write the commit.
    AutoCommit {
        /// The document.
        doc: DocId,
        /// The commit, of a handoff or of a takeover.
        operation: Operation,
    },
    /// A peer has shown what it holds of a document that is locked after a restore, and all of it is here:
    /// lift that lock.
    Unlock {
        /// The document.
        doc: DocId,
    },
    /// A peer was shown to hold the same of everything that both may hold: lift the locks after a restore
    /// of all of that.
    UnlockShared {
        /// The peer.
        peer: MemberId,
    },
    /// This store has forgotten what this node signed under the generation that it runs under: it was
    /// rolled back. Draw a new generation, write its mark, lock every document that is here as after a
    /// restore, and only then sign anything more.
    Raise {
        /// The generation that must not be used any more.
        forgotten: Incarnation,
    },
    /// Somebody else signs as this node. Lock every document that is here, warn people, and leave it so
    /// until a person decides.
    Twin {
        /// Where.
        doc: DocId,
        /// What this node never wrote, or the proof that it said two things.
        evidence: EnvelopeId,
    },
    /// Close the connection to a peer.
    Disconnect {
        /// Which.
        peer: MemberId,
        /// Why.
        why: Parting,
    },
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Parting {
    /// The roster does not list the peer with an active key any more.
    #[error("the roster does not list the peer with an active key any more")]
    Expelled,
}

/// The replication state machine of one node. See the module for its contract.
#[derive(Debug)]
pub struct Replica {
    me: MemberId,
    rosters: RosterChain,
    /// The newest rules that this release knows.
    rules: u16,
    now: Millis,
    peers: BTreeMap<MemberId, Peer>,
    loaded: Loaded,
    parking: Parking,
    /// Of every peer that was connected since the roster last changed: a short cut of a link costs nothing.
    fetching: BTreeMap<BlobId, Millis>,
    /// Rejected just now; the shelf may not show it yet.
    refusals: VecDeque<EnvelopeId>,
    /// Held just now; the shelf may not show it yet.
    holding: VecDeque<EnvelopeId>,
    /// How many envelopes the last event put on their way into the store.
    taken: usize,
    /// How many envelopes were judged.
    #[cfg(test)]
    judged: usize,
    /// What was said of a twin just now; the shelf may not show it yet.
    alarmed: VecDeque<EnvelopeId>,
    /// The generation that was asked to be raised.
    raised: Option<Incarnation>,
    house_at: Millis,
    out: VecDeque<Output>,
}

impl Replica {
    /// Starts without peers.
    #[must_use]
    pub fn new(me: MemberId, rosters: RosterChain) -> Replica {
        Replica {
            me,
            rosters,
            rules: RULES_VERSION,
            now: Millis(0),
            peers: BTreeMap::new(),
            loaded: Loaded::default(),
            parking: Parking::default(),
            fetching: BTreeMap::new(),
            refusals: VecDeque::new(),
            holding: VecDeque::new(),
            taken: 0,
            #[cfg(test)]
            judged: 0,
            alarmed: VecDeque::new(),
            raised: None,
            house_at: Millis(0),
            out: VecDeque::new(),
        }
    }

    /// Of a release whose newest rules are these.
    #[must_use]
    pub fn knowing(self, rules: u16) -> Replica {
        Replica { rules, ..self }
    }

    /// Takes one event.
    pub fn handle(&mut self, now: Millis, input: Input, shelf: &dyn Shelf) {
        (self.now, self.taken) = (self.now.max(now), 0);
        match input {
            Input::Connected { peer, roster_version } => self.handle_connected(peer, roster_version, shelf),
            Input::Disconnected { peer } => self.handle_disconnected(peer),
            Input::Arrived { peer, lane, message } => self.handle_message(peer, lane, message, shelf),
            Input::Wrote { doc, envelopes } => self.handle_wrote(doc, &envelopes, shelf),
            Input::Stored { doc } => self.handle_stored(doc, shelf),
            Input::StoreFailed { doc } => self.handle_store_failed(doc),
            Input::Dropped { doc } => self.loaded.refresh(&doc, shelf, &self.rosters),
            Input::RosterChanged(rosters) => self.handle_roster_changed(rosters, shelf),
            Input::BlobStored { blob } => _ = self.fetching.remove(&blob),
            Input::FetchFailed { blob } => self.handle_fetch_failed(blob),
            Input::DigestsMade => self.handle_digests_made(),
            Input::Tick => {}
        }
        self.handle_time(shelf);
        self.loaded.trim();
    }

    /// The next thing to do; none until the next event.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Input::Tick`] is wanted at the latest.
    #[must_use]
    pub fn next_wake(&self) -> Millis {
        let peers = self.peers.values().map(Peer::next_wake);
        peers.chain([self.house_at]).min().unwrap_or(self.house_at)
    }

    /// True while so much waits for the store that the caller should take no more messages from peers on this
    /// lane. An alarm does not wait for what catches up, nor can alarms keep that from coming.
    #[must_use]
    pub fn congested(&self, lane: Lane) -> bool {
        let most = if lane == Lane::Urgent { URGENT_STORES_IN_FLIGHT_MAX } else { STORES_IN_FLIGHT_MAX };
        self.loaded.storing(lane) >= most
    }

    /// How many envelopes the last event put on their way into the store, those included that wait there for others
    /// of their document.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Envelopes parked, and their bytes.
    #[must_use]
    pub fn parked(&self) -> (usize, usize) {
        self.parking.size()
    }

    /// The peers that are connected.
    pub fn connected(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.peers.keys().copied()
    }

    fn send(&mut self, peer: MemberId, lane: Lane, message: Message) {
        self.out.push_back(Output::Send { peer, lane, message });
    }

    fn handle_message(&mut self, peer: MemberId, lane: Lane, message: Arrived, shelf: &dyn Shelf) {
        if !self.peers.contains_key(&peer) {
            return;
        }
        match message {
            Arrived::Items(items) => self.handle_items(peer, lane, items, shelf),
            Arrived::Proof(proof) => self.handle_proof(peer, lane, proof, shelf),
            Arrived::Gone(doc, retire) => self.handle_gone(peer, lane, doc, *retire, shelf),
            Arrived::Plain(Message::Have(have)) => self.handle_have(peer, lane, have, shelf),
            Arrived::Plain(Message::Want(want)) => self.handle_want(peer, lane, &want, shelf),
            Arrived::Plain(Message::DigestRoot(root)) => self.handle_digest_root(peer, &root, shelf),
            Arrived::Plain(Message::DigestChildren(m)) => self.handle_digest_children(peer, &m, shelf),
            Arrived::Plain(Message::DigestLeaf(leaf)) => self.handle_digest_leaf(peer, &leaf, shelf),
            Arrived::Plain(Message::RosterWant(after)) => self.handle_roster_want(peer, after),
            Arrived::Plain(Message::Roster(piece)) => self.handle_roster_piece(peer, piece),
            Arrived::Plain(Message::Contact(bytes)) => self.handle_contact(peer, &bytes, shelf),
            Arrived::Plain(Message::BlobWant(want)) => self.handle_blob_want(peer, &want, shelf),
            // The connection's own: it opens, keeps and measures itself, and moves blobs.
            Arrived::Plain(
                Message::Welcome(_)
                | Message::Ping(_)
                | Message::Pong(_)
                | Message::BlobPiece(_)
                | Message::BlobNone(_),
            ) => {}
            // Checked into variants of `Arrived` of their own before they come here.
            Arrived::Plain(Message::Body(_) | Message::Answer(_) | Message::Gone(_) | Message::Proof(_)) => {}
        }
    }
}
