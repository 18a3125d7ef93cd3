//! What every connection of this node shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::ids::{FederationId, MemberId, Millis};
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::blob::BlobAsk;
use crate::endpoint::Endpoint;
use crate::handlers::{BlobShelf, Decode, Rosters};
use crate::keys::AcceptedKeys;
use crate::limits;
use crate::links::LinkEvent;
use crate::peers::{DoorCounters, PeerBoard};

/// Who this node is to its peers.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its member id in the roster.
    pub member: MemberId,
    /// The federation that its connections are about.
    pub federation: FederationId,
    /// Name and version of its software, told to peers; cut at `SOFTWARE_BYTES_MAX`.
    pub software: String,
    /// Newest rules version that it knows.
    pub rules: u16,
}

/// How long things take. The defaults are the limits of the same names.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Time between pings.
    pub ping_every: Duration,
    /// Time for anything to be heard after a ping.
    pub ping_answer_max: Duration,
    /// How long the member with the larger id waits before it dials.
    pub larger_waits: Duration,
    /// First wait after a failed dial.
    pub redial_first: Duration,
    /// Longest wait after a failed dial.
    pub redial_cap: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ping_every: limits::PING_EVERY,
            ping_answer_max: limits::PING_ANSWER_MAX,
            larger_waits: limits::LARGER_WAITS,
            redial_first: limits::REDIAL_FIRST,
            redial_cap: limits::REDIAL_CAP,
        }
    }
}

/// Unix time that does not jump while the process runs: read once, then counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    started_unix: Millis,
}

impl Clock {
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_unix: millis(unix) }
    }
    pub fn now(&self) -> Millis {
        self.started_unix.plus(millis(self.started.elapsed()))
    }
    /// The instant of a time that this clock told or will tell.
    pub fn instant(&self, at: Millis) -> Instant {
        self.started + Duration::from_millis(at.since(self.started_unix).0)
    }
}

fn millis(span: Duration) -> Millis {
    Millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// What every connection of this node shares.
pub(crate) struct Context<D: Decode> {
    pub identity: Identity,
    pub timing: Timing,
    pub clock: Clock,
    pub endpoint: Endpoint,
    pub keys: AcceptedKeys,
    pub rosters: Arc<dyn Rosters>,
    pub decode: D,
    pub blobs: Arc<dyn BlobShelf>,
    pub board: PeerBoard,
    pub door: Arc<DoorCounters>,
    /// Comings and goings of connections, for the loop.
    pub events: mpsc::Sender<LinkEvent<D::Frame>>,
    /// Tells the loop that a peer's inbox has something.
    pub inbox_ready: Notify,
    /// Whether a peer may have a blob, for the loop to answer.
    pub blob_asks: mpsc::Sender<BlobAsk>,
    /// Blobs served at once.
    pub serves: Semaphore,
    /// True once the node stops.
    pub stopping: watch::Receiver<bool>,
    numbers: AtomicU64,
}

impl<D: Decode> Context<D> {
    #[expect(clippy::too_many_arguments, reason = "called once, each argument is one field")]
    pub fn new(
        identity: Identity,
        timing: Timing,
        endpoint: Endpoint,
        keys: AcceptedKeys,
        rosters: Arc<dyn Rosters>,
        decode: D,
        blobs: Arc<dyn BlobShelf>,
        events: mpsc::Sender<LinkEvent<D::Frame>>,
        blob_asks: mpsc::Sender<BlobAsk>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            identity,
            timing,
            clock: Clock::start(),
            endpoint,
            keys,
            rosters,
            decode,
            blobs,
            board: PeerBoard::new(),
            door: Arc::default(),
            events,
            blob_asks,
            inbox_ready: Notify::new(),
            serves: Semaphore::new(limits::SERVES_MAX),
            stopping,
            numbers: AtomicU64::new(1),
        }
    }

    /// A number for a new connection; later ones are larger.
    pub fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}
