//! What screens and gauges are told about every peer: its state, since when, its address and counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::ids::{MemberId, Millis};
use tokio::sync::watch;

use crate::close::{CloseCode, Ended};

/// How a peer is reached right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// The welcomes are exchanged and frames flow.
    Connected,
    /// It is being dialled.
    Connecting,
    /// Neither; it is dialled again after a while if its address is known.
    Away,
}

/// One peer as of now.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// How it is reached.
    pub state: PeerState,
    /// Since when it is connected, or since when it is not, in Unix time.
    pub since: Millis,
    /// The address of the connection, or of the last dial.
    pub address: Option<SocketAddr>,
    /// What its last welcome called its software.
    pub software: Option<String>,
    /// Why the last connection ended.
    pub ended: Option<Ended>,
    /// Counts since this node started.
    pub counters: Arc<PeerCounters>,
}

/// Counts of one peer since this node started. They only grow, except `queued_bytes`.
#[derive(Debug, Default)]
pub struct PeerCounters {
    frames_sent: AtomicU64,
    bytes_sent: AtomicU64,
    frames_received: AtomicU64,
    bytes_received: AtomicU64,
    refused: AtomicU64,
    connections: AtomicU64,
    queued_bytes: AtomicU64,
    round_trip_micros: AtomicU64,
    /// By the number of the code.
    closed: [AtomicU64; CloseCode::ALL.len()],
}

/// Counts of what never became a connection of a known peer.
#[derive(Debug, Default)]
pub struct DoorCounters {
    handshakes_refused: AtomicU64,
    turned_away: AtomicU64,
}

impl DoorCounters {
    /// Handshakes that failed: a stranger's key, another protocol, rubbish, or too slow.
    #[must_use]
    pub fn handshakes_refused(&self) -> u64 {
        self.handshakes_refused.load(Ordering::Relaxed)
    }
    /// Attempts refused before a handshake because their address had too many.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }
    pub(crate) fn refuse(&self) {
        self.handshakes_refused.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn turn_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }
}

impl PeerCounters {
    /// Frames written to its lanes.
    #[must_use]
    pub fn frames_sent(&self) -> u64 {
        self.frames_sent.load(Ordering::Relaxed)
    }
    /// Bytes of those frames.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed)
    }
    /// Frames read from its lanes.
    #[must_use]
    pub fn frames_received(&self) -> u64 {
        self.frames_received.load(Ordering::Relaxed)
    }
    /// Bytes of those frames.
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.bytes_received.load(Ordering::Relaxed)
    }
    /// Frames, rosters and blobs of it that were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
    /// Connections that this node closed with a code.
    #[must_use]
    pub fn closed(&self, code: CloseCode) -> u64 {
        self.closed.get(code as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
    pub(crate) fn close(&self, code: CloseCode) {
        if let Some(count) = self.closed.get(code as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    /// Connections that were kept.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
    /// Bytes that waited to be sent to it when last looked at.
    #[must_use]
    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes.load(Ordering::Relaxed)
    }
    /// Time from a ping to its answer, in microseconds; 0 before the first.
    #[must_use]
    pub fn round_trip_micros(&self) -> u64 {
        self.round_trip_micros.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self, frames: usize, bytes: usize) {
        self.frames_sent.fetch_add(frames as u64, Ordering::Relaxed);
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
    pub(crate) fn received(&self, bytes: usize) {
        self.frames_received.fetch_add(1, Ordering::Relaxed);
        self.bytes_received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn connect(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn queue(&self, bytes: usize) {
        self.queued_bytes.store(bytes as u64, Ordering::Relaxed);
    }
    pub(crate) fn round_trip(&self, took: std::time::Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.round_trip_micros.store(micros.max(1), Ordering::Relaxed);
    }
}

/// All peers seen or dialled since this node started. At most one entry a member of the federation.
pub type Peers = BTreeMap<MemberId, PeerStatus>;

/// The board that the loop and the dialler write on, and screens watch.
#[derive(Debug, Clone)]
pub(crate) struct PeerBoard(Arc<watch::Sender<Peers>>);

impl PeerBoard {
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Peers::new())))
    }

    pub fn watch(&self) -> watch::Receiver<Peers> {
        self.0.subscribe()
    }

    /// The counters of `peer`, from its first connection on.
    pub fn counters(&self, peer: MemberId, now: Millis) -> Arc<PeerCounters> {
        let mut counters = None;
        self.0.send_if_modified(|peers| {
            let known = peers.len();
            counters = Some(peers.entry(peer).or_insert_with(|| PeerStatus::new(now)).counters.clone());
            peers.len() > known
        });
        counters.expect("the closure above always runs")
    }

    /// Sets the state of `peer`; `change` adds what else is known.
    pub fn set(&self, peer: MemberId, state: PeerState, now: Millis, change: impl FnOnce(&mut PeerStatus)) {
        self.0.send_modify(|peers| {
            let status = peers.entry(peer).or_insert_with(|| PeerStatus::new(now));
            if (status.state == PeerState::Connected) != (state == PeerState::Connected) {
                status.since = now;
            }
            status.state = state;
            change(status);
        });
    }

    /// Marks that `peer` is being dialled or no longer is, unless it is connected already.
    pub fn dialling(&self, peer: MemberId, dialling: bool, address: Option<SocketAddr>, now: Millis) {
        self.0.send_if_modified(|peers| {
            let status = peers.entry(peer).or_insert_with(|| PeerStatus::new(now));
            let state = if dialling { PeerState::Connecting } else { PeerState::Away };
            if status.state == PeerState::Connected || status.state == state {
                return false;
            }
            status.state = state;
            status.address = address.or(status.address);
            true
        });
    }

    pub fn connected(&self, peer: MemberId) -> bool {
        self.0.borrow().get(&peer).is_some_and(|status| status.state == PeerState::Connected)
    }
}

impl PeerStatus {
    fn new(now: Millis) -> Self {
        Self {
            state: PeerState::Away,
            since: now,
            address: None,
            software: None,
            ended: None,
            counters: Arc::new(PeerCounters::default()),
        }
    }
}
