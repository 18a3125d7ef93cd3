//! The control stream: the two welcomes, roster versions, and pings.
//!
//! The accepting end opens it, because the dialling end believes itself connected before its key is
//! judged: it sends nothing until the other end's welcome has come. Roster versions that one end lacks
//! are handed over before either end reads a lane.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::ids::MemberId;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use crate::close::CloseCode;
use crate::context::{Identity, Timing};
use crate::frame;
use crate::handlers::{RosterHead, Rosters};
use crate::lane::{CONTROL_PRIORITY, CONTROL_STREAM, Lane, index};
use crate::limits::{
    CONTROL_WRITE_MAX, LANES, PING_MISSES_MAX, PONGS_MAX, ROSTER_BYTES_MAX, ROSTER_PIECE_BYTES,
    ROSTERS_PER_CONNECTION_MAX, ROSTERS_WAITING_MAX, SOFTWARE_BYTES_MAX, STALL_MIN,
};
use crate::peers::PeerCounters;
use protocol::message::{Message, PROTOCOL_VERSION, RosterPiece, Welcome};

/// The control stream after both welcomes.
pub(crate) struct Control {
    pub send: quinn::SendStream,
    pub receive: quinn::RecvStream,
    pub theirs: Welcome,
}

/// Exchanges the welcomes. `dialled`: we dialled, so we speak second.
pub(crate) async fn welcome(
    identity: &Identity,
    head: RosterHead,
    connection: &quinn::Connection,
    peer: MemberId,
    dialled: bool,
) -> Result<Control, CloseCode> {
    let ours = Message::Welcome(our_welcome(identity, head));
    if dialled {
        let (mut send, mut receive) = connection.accept_bi().await.map_err(|_| CloseCode::Goodbye)?;
        let mut first = [0];
        receive.read_exact(&mut first).await.map_err(|_| CloseCode::OutOfOrder)?;
        if first != [CONTROL_STREAM] {
            return Err(CloseCode::OutOfOrder);
        }
        let theirs = read_welcome(identity, &mut receive, peer).await?;
        _ = send.set_priority(CONTROL_PRIORITY);
        write(&mut send, &ours).await?;
        Ok(Control { send, receive, theirs })
    } else {
        let (mut send, mut receive) = connection.open_bi().await.map_err(|_| CloseCode::Goodbye)?;
        _ = send.set_priority(CONTROL_PRIORITY);
        send.write_all(&[CONTROL_STREAM]).await.map_err(|_| CloseCode::Goodbye)?;
        write(&mut send, &ours).await?;
        let theirs = read_welcome(identity, &mut receive, peer).await?;
        Ok(Control { send, receive, theirs })
    }
}

fn our_welcome(identity: &Identity, head: RosterHead) -> Welcome {
    let mut software = identity.software.clone();
    software.truncate(software.floor_char_boundary(SOFTWARE_BYTES_MAX));
    Welcome {
        protocol: PROTOCOL_VERSION,
        federation: identity.federation,
        member: identity.member,
        roster_version: head.version,
        roster: head.hash,
        rules: identity.rules,
        software,
    }
}

async fn read_welcome(
    identity: &Identity,
    receive: &mut quinn::RecvStream,
    peer: MemberId,
) -> Result<Welcome, CloseCode> {
    let frame = frame::read(receive).await.map_err(frame::ReadEnd::code)?;
    let Ok(Message::Welcome(theirs)) = Message::decode(&frame) else {
        return Err(CloseCode::WelcomeRefused);
    };
    // The member is known from its key; the welcome only has to agree with it.
    let agrees = theirs.protocol == PROTOCOL_VERSION
        && theirs.federation == identity.federation
        && theirs.member == peer;
    if agrees { Ok(theirs) } else { Err(CloseCode::WelcomeRefused) }
}

async fn write(send: &mut quinn::SendStream, message: &Message) -> Result<(), CloseCode> {
    match timeout(CONTROL_WRITE_MAX, frame::write(send, message.encode())).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(CloseCode::Goodbye),
        Err(_) => Err(CloseCode::Backlog),
    }
}

/// What the control stream's tasks of one connection share.
pub(crate) struct ControlState {
    /// Asks for a ping now.
    pub ping_now: Notify,
    /// Counts the pongs.
    pub pongs: watch::Sender<u64>,
    /// True once we hold every roster version that the peer named in its welcome.
    pub caught_up: watch::Sender<bool>,
    /// When the peer was last heard, in ms since `started`.
    heard_ms: AtomicU64,
    /// What the loop has charged the peer for and its lanes have not paid, by lane, in ns.
    charged_ns: [AtomicU64; LANES],
    started: Instant,
    requests: mpsc::Sender<Request>,
    judged: mpsc::Sender<(u64, Vec<u8>)>,
}

/// What the reader asks the writer to write.
pub(crate) enum Request {
    /// Answer a ping.
    Pong(u64),
    /// Hand over what comes after a version.
    Rosters { after: u64 },
    /// Ask the peer for everything: its chain leaves ours before our head.
    AskAll,
}

/// The receiving ends that the tasks take.
pub(crate) struct ControlQueues {
    requests: mpsc::Receiver<Request>,
    rosters: mpsc::Receiver<(u64, Vec<u8>)>,
}

impl ControlState {
    pub fn new() -> (Arc<Self>, ControlQueues) {
        let (requests, requested) = mpsc::channel(PONGS_MAX);
        let (judged, rosters) = mpsc::channel(ROSTERS_WAITING_MAX);
        let state = Self {
            ping_now: Notify::new(),
            pongs: watch::Sender::new(0),
            caught_up: watch::Sender::new(false),
            heard_ms: AtomicU64::new(0),
            charged_ns: Default::default(),
            started: Instant::now(),
            requests,
            judged,
        };
        (Arc::new(state), ControlQueues { requests: requested, rosters })
    }

    /// Notes that the peer was heard.
    pub fn heard(&self) {
        self.heard_ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    /// Charges one of the peer's lanes.
    pub fn charge(&self, lane: Lane, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(charged) = self.charged_ns.get(index(lane)) {
            charged.fetch_add(ns, Ordering::Relaxed);
        }
    }

    /// What a lane was charged since it was last asked.
    pub fn take_charge(&self, lane: Lane) -> Duration {
        let charged = self.charged_ns.get(index(lane));
        Duration::from_nanos(charged.map_or(0, |charged| charged.swap(0, Ordering::Relaxed)))
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Reads the control stream until the connection ends or the peer breaks a rule.
pub(crate) async fn read_all(
    mut receive: quinn::RecvStream,
    state: Arc<ControlState>,
    connection: quinn::Connection,
    counters: Arc<PeerCounters>,
) -> CloseCode {
    let mut assembly = RosterAssembly::default();
    loop {
        let frame = match frame::read(&mut receive).await {
            Ok(frame) => frame,
            Err(end) => return end.code(),
        };
        state.heard();
        let Ok(message) = Message::decode(&frame) else { return CloseCode::FrameRefused };
        match message {
            // A peer that asks faster than it reads our answers goes without some of them.
            Message::Ping(nonce) => _ = state.requests.try_send(Request::Pong(nonce)),
            Message::RosterWant(after) => _ = state.requests.try_send(Request::Rosters { after }),
            Message::Pong(_) => {
                counters.round_trip(connection.rtt());
                state.pongs.send_modify(|count| *count += 1);
            }
            Message::Roster(piece) => {
                let version = piece.version;
                let Ok(whole) = assembly.add(piece) else { return CloseCode::OutOfOrder };
                if let Some(signed) = whole
                    && state.judged.send((version, signed)).await.is_err()
                {
                    return CloseCode::Goodbye;
                }
            }
            Message::Welcome(_)
            | Message::Contact(_)
            | Message::Body(_)
            | Message::Have(_)
            | Message::Want(_)
            | Message::Answer(_)
            | Message::Gone(_)
            | Message::Proof(_)
            | Message::DigestRoot(_)
            | Message::DigestChildren(_)
            | Message::DigestLeaf(_)
            | Message::BlobWant(_)
            | Message::BlobPiece(_)
            | Message::BlobNone(_) => return CloseCode::OutOfOrder,
        }
    }
}

/// Writes the control stream: pings, pongs, and the roster versions that the peer asks for.
pub(crate) async fn write_all(
    mut send: quinn::SendStream,
    state: Arc<ControlState>,
    mut requests: mpsc::Receiver<Request>,
    rosters: Arc<dyn Rosters>,
    theirs: Welcome,
    timing: Timing,
) -> Result<(), CloseCode> {
    let ours = *rosters.head().borrow();
    if let Some(after) = wanted_after(ours, &theirs) {
        write(&mut send, &Message::RosterWant(after)).await?;
    }
    let mut ticks = interval_at(Instant::now() + timing.ping_every, timing.ping_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pings = Pings::new(timing.ping_answer_max);
    loop {
        let contested = tokio::select! {
            () = sleep_until(pings.answer_by()), if pings.waits() => {
                match pings.judge(state.heard_ms.load(Ordering::Relaxed), Instant::now()) {
                    Answer::Heard | Answer::AskedTooLate => continue,
                    Answer::MayBeSlow => false,
                    Answer::Dead => return Err(CloseCode::NoPong),
                }
            }
            _ = ticks.tick(), if !pings.waits() => false,
            () = state.ping_now.notified(), if !pings.waits() => true,
            request = requests.recv() => {
                match request {
                    Some(Request::Pong(nonce)) => write(&mut send, &Message::Pong(nonce)).await?,
                    Some(Request::Rosters { after }) => hand_over(&mut send, &rosters, after).await?,
                    Some(Request::AskAll) => write(&mut send, &Message::RosterWant(0)).await?,
                    None => return Ok(()),
                }
                continue;
            }
        };
        let nonce = pings.send(contested, state.elapsed_ms(), Instant::now());
        write(&mut send, &Message::Ping(nonce)).await?;
    }
}

/// What became of a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The peer was heard since.
    Heard,
    /// We looked much too late; the answer is waited for anew.
    AskedTooLate,
    /// Not heard yet; it is pinged again.
    MayBeSlow,
    /// Not heard, and no patience is left.
    Dead,
}

/// The ping that is on its way, and how many went unanswered before it.
#[derive(Debug)]
struct Pings {
    answer_max: Duration,
    waiting: Option<Ping>,
    misses: u32,
    nonce: u64,
}

#[derive(Debug, Clone, Copy)]
struct Ping {
    answer_by: Instant,
    sent_ms: u64,
    contested: bool,
}

impl Pings {
    fn new(answer_max: Duration) -> Self {
        Self { answer_max, waiting: None, misses: 0, nonce: 0 }
    }
    fn waits(&self) -> bool {
        self.waiting.is_some()
    }
    fn answer_by(&self) -> Instant {
        self.waiting.map_or_else(Instant::now, |ping| ping.answer_by)
    }
    fn send(&mut self, contested: bool, sent_ms: u64, now: Instant) -> u64 {
        self.waiting = Some(Ping { answer_by: now + self.answer_max, sent_ms, contested });
        self.nonce += 1;
        self.nonce
    }
    fn judge(&mut self, heard_ms: u64, now: Instant) -> Answer {
        let Some(ping) = self.waiting.take() else { return Answer::Heard };
        if heard_ms >= ping.sent_ms {
            self.misses = 0;
            return Answer::Heard;
        }
        if now.saturating_duration_since(ping.answer_by) >= STALL_MIN {
            self.waiting = Some(Ping { answer_by: now + self.answer_max, ..ping });
            return Answer::AskedTooLate;
        }
        self.misses += 1;
        if ping.contested || self.misses >= PING_MISSES_MAX { Answer::Dead } else { Answer::MayBeSlow }
    }
}

impl ControlQueues {
    /// One end for the writer, one for the judge.
    pub fn split(self) -> (mpsc::Receiver<Request>, mpsc::Receiver<(u64, Vec<u8>)>) {
        (self.requests, self.rosters)
    }
}

/// Judges the peer's rosters one by one, and says when those of its welcome are all here.
pub(crate) async fn judge_rosters(
    mut queue: mpsc::Receiver<(u64, Vec<u8>)>,
    state: Arc<ControlState>,
    rosters: Arc<dyn Rosters>,
    peer: MemberId,
    theirs: Welcome,
    counters: Arc<PeerCounters>,
) -> CloseCode {
    let mut taken = 0;
    let mut asked_all = false;
    if wanted_after(*rosters.head().borrow(), &theirs).is_none() {
        state.caught_up.send_replace(true);
    }
    loop {
        let Some((version, signed)) = queue.recv().await else { return CloseCode::Goodbye };
        taken += 1;
        if taken > ROSTERS_PER_CONNECTION_MAX {
            return CloseCode::OutOfOrder;
        }
        if let Err(refusal) = rosters.take(peer, signed).await {
            counters.refuse();
            tracing::warn!(%peer, error = &refusal as &dyn std::error::Error, "a roster version was refused");
            return CloseCode::RosterRefused;
        }
        if version < theirs.roster_version || *state.caught_up.borrow() {
            continue;
        }
        // All that the welcome named was told. Where the chains forked before our head, what was told
        // may not connect to it; then the whole chain does. Whatever comes of that, incidents flow.
        if rosters.head().borrow().version < version && !asked_all {
            asked_all = true;
            _ = state.requests.send(Request::AskAll).await;
        } else {
            state.caught_up.send_replace(true);
        }
    }
}

/// After which version to ask a peer for rosters, given its welcome; `None` if it has nothing for us.
fn wanted_after(ours: RosterHead, theirs: &Welcome) -> Option<u64> {
    if theirs.roster_version > ours.version {
        Some(ours.version)
    } else if theirs.roster_version == ours.version && theirs.roster != ours.hash {
        Some(ours.version.saturating_sub(1))
    } else {
        None
    }
}

async fn hand_over(
    send: &mut quinn::SendStream,
    rosters: &Arc<dyn Rosters>,
    after: u64,
) -> Result<(), CloseCode> {
    for (version, signed) in rosters.after(after) {
        let pieces = signed.chunks(ROSTER_PIECE_BYTES);
        let count = u16::try_from(pieces.len()).expect("a roster has at most ROSTER_PIECES_MAX pieces");
        for (bytes, piece) in pieces.zip(0..) {
            let piece = RosterPiece { version, piece, pieces: count, bytes: bytes.to_vec() };
            write(send, &Message::Roster(piece)).await?;
        }
    }
    Ok(())
}

/// Puts the pieces of one roster version after another together.
#[derive(Debug, Default)]
struct RosterAssembly {
    version: u64,
    next: u16,
    bytes: Vec<u8>,
}

/// A piece that does not follow the one before it.
#[derive(Debug, PartialEq, Eq)]
struct PieceOutOfOrder;

impl RosterAssembly {
    fn add(&mut self, piece: RosterPiece) -> Result<Option<Vec<u8>>, PieceOutOfOrder> {
        if piece.piece == 0 && self.next == 0 {
            self.version = piece.version;
        }
        let follows = piece.version == self.version && piece.piece == self.next;
        if !follows || self.bytes.len() + piece.bytes.len() > ROSTER_BYTES_MAX {
            return Err(PieceOutOfOrder);
        }
        self.bytes.extend_from_slice(&piece.bytes);
        self.next += 1;
        if self.next < piece.pieces {
            return Ok(None);
        }
        self.next = 0;
        Ok(Some(std::mem::take(&mut self.bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(version: u64, piece: u16, pieces: u16, bytes: &[u8]) -> RosterPiece {
        RosterPiece { version, piece, pieces, bytes: bytes.to_vec() }
    }

    #[test]
    fn roster_pieces_join_in_order_only() {
        let mut assembly = RosterAssembly::default();
        assert_eq!(assembly.add(piece(4, 0, 2, b"ab")), Ok(None));
        assert_eq!(assembly.add(piece(4, 1, 2, b"c")), Ok(Some(b"abc".to_vec())));
        assert_eq!(assembly.add(piece(5, 0, 1, b"d")), Ok(Some(b"d".to_vec())));
        assert_eq!(assembly.add(piece(6, 1, 2, b"e")), Err(PieceOutOfOrder));
        assert_eq!(RosterAssembly::default().add(piece(6, 0, 2, b"e")), Ok(None));
        let mut mixed = RosterAssembly::default();
        assert_eq!(mixed.add(piece(6, 0, 2, b"e")), Ok(None));
        assert_eq!(mixed.add(piece(7, 1, 2, b"f")), Err(PieceOutOfOrder));
    }

    #[test]
    fn silence_is_death_at_once_only_where_the_connection_is_contested() {
        let now = Instant::now();
        let late = Duration::from_secs(2);
        let mut pings = Pings::new(late);
        pings.send(false, 10, now);
        assert_eq!(pings.judge(9, now + late), Answer::MayBeSlow);
        pings.send(false, 20, now);
        assert_eq!(pings.judge(9, now + late), Answer::Dead);
        pings.send(true, 30, now);
        assert_eq!(pings.judge(30, now + late), Answer::Heard);
        pings.send(false, 40, now);
        assert_eq!(pings.judge(30, now + late), Answer::MayBeSlow, "being heard restores patience");
        pings.send(true, 50, now);
        assert_eq!(pings.judge(30, now + late), Answer::Dead);
    }

    #[test]
    fn who_stood_still_itself_waits_for_the_answer_anew() {
        let now = Instant::now();
        let mut pings = Pings::new(Duration::from_secs(2));
        pings.send(true, 10, now);
        assert_eq!(pings.judge(9, now + Duration::from_secs(3)), Answer::AskedTooLate);
        assert_eq!(pings.answer_by(), now + Duration::from_secs(5));
        assert_eq!(pings.judge(9, now + Duration::from_secs(5)), Answer::Dead);
    }

    #[test]
    fn roster_above_its_limit_is_refused_while_it_comes() {
        let mut assembly = RosterAssembly::default();
        let bytes = vec![0; ROSTER_PIECE_BYTES];
        let fits = u16::try_from(ROSTER_BYTES_MAX / ROSTER_PIECE_BYTES).unwrap();
        for index in 0..fits {
            assert_eq!(assembly.add(piece(1, index, fits + 1, &bytes)), Ok(None));
        }
        assert_eq!(assembly.add(piece(1, fits, fits + 1, b"x")), Err(PieceOutOfOrder));
    }
}
