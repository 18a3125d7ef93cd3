//! One connection from its handshake to its end: the key check, the welcome, and the tasks of its
//! streams. Whatever goes wrong here, a panic included, ends this connection and no other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::ids::MemberId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::blob;
use crate::close::{CloseCode, Ended};
use crate::context::Context;
use crate::control::{self, Control, ControlQueues, ControlState};
use crate::frame;
use crate::handlers::{Decode, Worth};
use crate::keys::{TlsKey, peer_key};
use crate::lane::{BLOB_STREAM, Lane, LaneOutlet, LaneQueue, index, of_number};
use crate::limits::{
    BLOB_STREAMS_MAX, HANDSHAKE_MAX, INBOX_FRAMES_MAX, LANES, OWED_MIN, ROSTERS_TIME_MAX, WASTE_FACTOR,
};
use crate::links::{Link, LinkEvent, Read};
use crate::peers::PeerCounters;
use protocol::message::Welcome;

/// How a connection came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// We dialled it, to this member.
    Dialled(MemberId),
    /// It was dialled to us.
    Accepted,
}

/// Runs a connection whose handshake has finished until it ends, and tells why it did. `welcomed` is
/// dropped once the connection is up.
pub(crate) async fn run<D: Decode, P: Send + 'static>(
    context: Arc<Context<D>>,
    connection: quinn::Connection,
    side: Side,
    welcomed: P,
) -> Ended {
    let number = context.next_number();
    let owner = peer_key(&connection).and_then(|key| Some((key, context.keys.owner(&key)?)));
    let expected = |member: MemberId| match side {
        Side::Dialled(expected) => member == expected,
        Side::Accepted => member != context.identity.member,
    };
    // The roster may have changed since the handshake judged the key.
    let Some((key, peer)) = owner.filter(|(_, member)| expected(*member)) else {
        context.door.refuse();
        CloseCode::KeyNotAccepted.close(&connection, &PeerCounters::default());
        return Ended::ByUs(CloseCode::KeyNotAccepted);
    };
    let mut task = JoinSet::new();
    let proven = Proven { key, peer, number, dialled: side != Side::Accepted };
    task.spawn(live(context.clone(), connection.clone(), proven, welcomed));
    let code = match task.join_next().await {
        Some(Ok(code)) => code,
        Some(Err(_)) | None => CloseCode::Internal,
    };
    code.close(&connection, &context.board.counters(peer, context.clock.now()));
    let ended = Ended::from_error(&connection.closed().await, code);
    let carried = connection.stats();
    tracing::trace!(%peer, number, ?carried, "what a connection has carried");
    tracing::debug!(%peer, number, ?ended, "a connection ended");
    _ = context.events.send(LinkEvent::Down { peer, number, ended }).await;
    ended
}

/// What is certain about a connection after its handshake.
#[derive(Debug, Clone, Copy)]
struct Proven {
    key: TlsKey,
    /// The owner of that key.
    peer: MemberId,
    /// Later connections have larger numbers.
    number: u64,
    /// We dialled it.
    dialled: bool,
}

async fn live<D: Decode, P: Send + 'static>(
    context: Arc<Context<D>>,
    connection: quinn::Connection,
    proven: Proven,
    welcomed: P,
) -> CloseCode {
    let Proven { key, peer, number, dialled } = proven;
    let head = *context.rosters.head().borrow();
    let welcome = control::welcome(&context.identity, head, &connection, peer, dialled);
    let control = tokio::select! {
        () = context.keys.lost(key, peer) => return CloseCode::KeyNotAccepted,
        control = timeout(HANDSHAKE_MAX, welcome) => match control {
            Ok(Ok(control)) => control,
            Ok(Err(code)) => return code,
            Err(_) => return CloseCode::WelcomeLate,
        },
    };
    let counters = context.board.counters(peer, context.clock.now());
    let mut tasks = JoinSet::new();
    let watched = (context.clone(), connection.clone());
    tasks.spawn(async move {
        let (context, connection) = watched;
        tokio::select! {
            () = context.keys.lost(key, peer) => CloseCode::KeyNotAccepted,
            _ = connection.closed() => CloseCode::Goodbye,
        }
    });
    let theirs = control.theirs.clone();
    let (state, rosters) = ControlState::new();
    let paying = tokio::sync::Mutex::default();
    let reading = Arc::new(Reading { context, connection, peer, number, state, counters, paying });
    reading.start_control(&mut tasks, control, rosters);
    let (queues, outlets) = lane_queues();
    let (senders, inbox) = lane_inboxes();
    reading.start_streams(&mut tasks, outlets, senders);
    let link = reading.link(dialled, theirs, queues, inbox);
    tasks.spawn(reading.clone().announce(link, welcomed));
    let code = match tasks.join_next().await {
        Some(Ok(code)) => code,
        Some(Err(_)) | None => CloseCode::Internal,
    };
    code.close(&reading.connection, &reading.counters);
    tasks.shutdown().await;
    code
}

/// What the tasks of one connection share.
struct Reading<D: Decode> {
    context: Arc<Context<D>>,
    connection: quinn::Connection,
    peer: MemberId,
    number: u64,
    state: Arc<ControlState>,
    counters: Arc<PeerCounters>,
    paying: tokio::sync::Mutex<()>,
}

/// The lanes whose stream has not been opened by the peer yet.
/// The ends of the lanes' inboxes into which frames are put, by lane.
type Inlets<F> = [mpsc::Sender<Read<F>>; LANES];
type Unopened<F> = Mutex<[Option<mpsc::Sender<Read<F>>>; LANES]>;

impl<D: Decode> Reading<D> {
    fn link(
        &self,
        dialled: bool,
        theirs: Welcome,
        queues: [LaneQueue; LANES],
        inbox: [mpsc::Receiver<Read<D::Frame>>; LANES],
    ) -> Link<D::Frame> {
        Link {
            number: self.number,
            peer: self.peer,
            dialled_by: if dialled { self.context.identity.member } else { self.peer },
            address: self.connection.remote_address(),
            theirs,
            connection: self.connection.clone(),
            control: self.state.clone(),
            counters: self.counters.clone(),
            queues,
            inbox,
        }
    }

    fn start_control(&self, tasks: &mut JoinSet<CloseCode>, control: Control, queues: ControlQueues) {
        let Control { send, receive, theirs } = control;
        let (requests, rosters) = queues.split();
        let context = &self.context;
        let (state, counters) = (self.state.clone(), self.counters.clone());
        tasks.spawn(control::read_all(receive, state.clone(), self.connection.clone(), counters.clone()));
        let chain = context.rosters.clone();
        tasks.spawn(control::judge_rosters(
            rosters,
            state.clone(),
            chain.clone(),
            self.peer,
            theirs.clone(),
            counters,
        ));
        let writer = control::write_all(send, state, requests, chain, theirs, context.timing.clone());
        tasks.spawn(async move { writer.await.err().unwrap_or(CloseCode::Goodbye) });
    }

    fn start_streams(
        self: &Arc<Self>,
        tasks: &mut JoinSet<CloseCode>,
        outlets: [LaneOutlet; LANES],
        senders: Inlets<D::Frame>,
    ) {
        for (lane, outlet) in Lane::ALL.into_iter().zip(outlets) {
            let writer = outlet.write_all(lane, self.connection.clone(), self.counters.clone());
            tasks.spawn(async move {
                _ = writer.await;
                CloseCode::Goodbye
            });
        }
        let unopened: Arc<Unopened<D::Frame>> = Arc::new(Mutex::new(senders.map(Some)));
        for _ in 0..LANES {
            tasks.spawn(self.clone().read_lane(unopened.clone()));
        }
        for _ in 0..BLOB_STREAMS_MAX {
            tasks.spawn(self.clone().serve_blobs());
        }
    }

    /// Resolves once the rosters of the peer's welcome are here; nothing else is read before.
    async fn caught_up(&self) -> Result<(), CloseCode> {
        let mut caught_up = self.state.caught_up.subscribe();
        match timeout(ROSTERS_TIME_MAX, caught_up.wait_for(|caught_up| *caught_up)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(CloseCode::Goodbye),
            Err(_) => Err(CloseCode::WelcomeLate),
        }
    }

    /// Tells the loop that the connection is up, and later each time it proves to be alive.
    async fn announce<P>(self: Arc<Self>, link: Link<D::Frame>, welcomed: P) -> CloseCode {
        if let Err(code) = self.caught_up().await {
            return code;
        }
        drop(welcomed);
        let mut pongs = self.state.pongs.subscribe();
        let (peer, number) = (self.peer, self.number);
        let mut event = LinkEvent::Up(Box::new(link));
        while self.context.events.send(event).await.is_ok() && pongs.changed().await.is_ok() {
            event = LinkEvent::Alive { peer, number };
        }
        CloseCode::Goodbye
    }

    /// Takes one of the peer's lanes and reads it to its end.
    async fn read_lane(self: Arc<Self>, unopened: Arc<Unopened<D::Frame>>) -> CloseCode {
        if let Err(code) = self.caught_up().await {
            return code;
        }
        let Ok(mut stream) = self.connection.accept_uni().await else { return CloseCode::Goodbye };
        let mut first = [0];
        if stream.read_exact(&mut first).await.is_err() {
            return CloseCode::OutOfOrder;
        }
        let [first] = first;
        let Some(lane) = of_number(first) else { return CloseCode::UnknownLane };
        let sender = {
            let mut unopened = unopened.lock().unwrap_or_else(PoisonError::into_inner);
            unopened.get_mut(index(lane)).and_then(Option::take)
        };
        let Some(sender) = sender else { return CloseCode::OutOfOrder };
        let mut owed = Duration::ZERO;
        loop {
            let bytes = match frame::read(&mut stream).await {
                Ok(bytes) => bytes,
                Err(end) => return end.code(),
            };
            self.state.heard();
            self.counters.received(bytes.len());
            let began = Instant::now();
            let decoded = match self.context.decode.decode(self.peer, lane, &bytes) {
                Ok(decoded) => decoded,
                Err(refusal) => {
                    self.counters.refuse();
                    let error = &refusal as &dyn std::error::Error;
                    tracing::warn!(peer = %self.peer, ?lane, error, "a frame was refused");
                    return CloseCode::FrameRefused;
                }
            };
            let cost = began.elapsed();
            let worth = self.context.decode.worth(&decoded);
            if worth == Worth::Worthless {
                owed += cost * WASTE_FACTOR;
            }
            owed += self.state.take_charge(lane);
            if sender.send(Read { frame: decoded, cost, unasked: worth == Worth::Pushed }).await.is_err() {
                return CloseCode::Goodbye;
            }
            self.context.inbox_ready.notify_one();
            // Verifying is long work; the other connections of this thread get their turn.
            if owed < OWED_MIN {
                tokio::task::yield_now().await;
            } else {
                // All lanes of the peer pay one after another; other connections do not.
                let _turn = self.paying.lock().await;
                sleep(owed).await;
                owed = Duration::ZERO;
            }
        }
    }

    /// Serves one blob request of the peer after another.
    async fn serve_blobs(self: Arc<Self>) -> CloseCode {
        if let Err(code) = self.caught_up().await {
            return code;
        }
        loop {
            let Ok((send, mut receive)) = self.connection.accept_bi().await else {
                return CloseCode::Goodbye;
            };
            let mut first = [0];
            if receive.read_exact(&mut first).await.is_err() {
                return CloseCode::OutOfOrder;
            }
            if first != [BLOB_STREAM] {
                return CloseCode::UnknownLane;
            }
            let context = &self.context;
            let served = blob::serve(&**context, self.peer, send, receive).await;
            if let Err(code) = served {
                self.counters.refuse();
                return code;
            }
        }
    }
}

fn lane_queues() -> ([LaneQueue; LANES], [LaneOutlet; LANES]) {
    let [(a, p), (b, q), (c, r), (d, s)] = std::array::from_fn(|_| LaneQueue::new());
    ([a, b, c, d], [p, q, r, s])
}

fn lane_inboxes<F>() -> (Inlets<F>, [mpsc::Receiver<Read<F>>; LANES]) {
    let [(a, p), (b, q), (c, r), (d, s)] = std::array::from_fn(|_| mpsc::channel(INBOX_FRAMES_MAX));
    ([a, b, c, d], [p, q, r, s])
}
