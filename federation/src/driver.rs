//! The one loop: a closed set of inputs goes into the core, and what the core puts out is carried out.
//!
//! Nothing is decided here and no peer is ever waited for. The loop has a thread of its own, because
//! the core may read from disk.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::ids::{MemberId, Millis};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

use protocol::message::BlobWant;

use crate::blob::BlobAsk;
use crate::close::CloseCode;
use crate::context::Context;
use crate::handlers::Decode;
use crate::lane::Lane;
use crate::limits::{BULK_YIELDS, COMMANDS_RUN_MAX, PUSH_FACTOR, WASTE_FACTOR, YIELD_FACTOR};
use crate::links::{Change, LinkEvent, Links, Read};
use crate::node::Handle;

/// Everything that can happen to the core.
#[derive(Debug)]
pub enum Input<F, C> {
    /// A peer's connection is through the welcome; both ends hold the same rosters.
    Connected {
        /// Whose.
        peer: MemberId,
        /// The newest roster version that its welcome named.
        roster_version: u64,
    },
    /// A peer's connection ended, and what was queued for it is gone.
    Disconnected(MemberId),
    /// A frame of a peer, decoded and its signatures verified.
    Frame {
        /// Whose key the connection was made with.
        peer: MemberId,
        /// The lane it came on.
        lane: Lane,
        /// What it says.
        frame: F,
    },
    /// Something from the node around: written, stored, changed.
    Command(C),
    /// The time that the core asked to be woken at has come.
    Woken,
}

/// What the core can ask of the loop.
#[derive(Debug)]
pub enum Output {
    /// Queue a frame for a peer. A full queue disconnects it; without a connection it is dropped.
    Send {
        /// To whom.
        peer: MemberId,
        /// On which lane.
        lane: Lane,
        /// 1 to `FRAME_BYTES_MAX` bytes.
        frame: Bytes,
    },
    /// Close a peer's connection.
    Disconnect {
        /// Whose.
        peer: MemberId,
        /// Why.
        code: CloseCode,
    },
}

/// What came of a frame: a peer pays with its own time for what took the loop's and was good for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Fruit {
    /// Nothing.
    #[default]
    Nothing,
    /// Words: it was answered, asked or noted.
    Words,
    /// Something that this node wanted.
    Deeds,
}

impl Fruit {
    /// What a peer pays for a frame that took the loop so long, and so long to read without being asked for.
    fn price(self, unasked: Duration, took: Duration) -> Duration {
        match self {
            Fruit::Nothing => unasked * PUSH_FACTOR + took * WASTE_FACTOR,
            Fruit::Words => (unasked + took) * PUSH_FACTOR,
            Fruit::Deeds => Duration::ZERO,
        }
    }
}

/// What decides. It never waits.
pub trait Core: Send + 'static {
    /// A decoded frame.
    type Frame: Send + 'static;
    /// What the node around tells it.
    type Command: Send + 'static;
    /// Told once, before anything else: how the node around reaches the loop.
    fn begin(&mut self, handle: Handle<Self>)
    where
        Self: Sized,
    {
        drop(handle);
    }
    /// Takes one input in.
    fn handle(&mut self, now: Millis, input: Input<Self::Frame, Self::Command>);
    /// What came of the last frame.
    fn fruit(&self) -> Fruit {
        Fruit::Deeds
    }
    /// Whether a peer may have a blob by a document that names it.
    fn may_have_blob(&mut self, now: Millis, peer: MemberId, want: &BlobWant) -> bool;
    /// True while no more frames of peers should be taken from this lane. What holds for [`Lane::Backfill`]
    /// holds for every lane but the urgent one.
    fn congested(&self, lane: Lane) -> bool;
    /// The next thing to carry out; called until there is none.
    fn poll_output(&mut self) -> Option<Output>;
    /// Starts anew, with nothing known of any peer: something went wrong inside it. Peers that stay
    /// connected are announced again.
    fn restart(&mut self);
    /// When it wants to be woken.
    fn wake_at(&self) -> Option<Millis>;
}

/// The loop.
pub(crate) struct Driver<D: Decode, C: Core<Frame = D::Frame>> {
    pub context: Arc<Context<D>>,
    pub links: Links<D::Frame>,
    pub events: mpsc::Receiver<LinkEvent<D::Frame>>,
    pub commands: mpsc::Receiver<C::Command>,
    pub blob_asks: mpsc::Receiver<BlobAsk>,
    pub core: C,
    /// When something last came or went on the urgent lane.
    pub alarm_at: Option<Instant>,
}

impl<D: Decode, C: Core<Frame = D::Frame>> Driver<D, C> {
    /// Runs until the node stops, then closes every connection.
    pub async fn run(mut self) {
        let mut stopping = self.context.stopping.clone();
        while !*stopping.borrow() {
            let worked = self.take_what_is_there();
            if !worked && !self.wait(&mut stopping).await {
                break;
            }
        }
        self.links.close_all();
    }

    /// One turn: comings and goings, commands, one frame, the clock. False if there was nothing.
    fn take_what_is_there(&mut self) -> bool {
        let mut worked = false;
        for _ in 0..COMMANDS_RUN_MAX {
            let Ok(event) = self.events.try_recv() else { break };
            self.link_event(event);
            worked = true;
        }
        for _ in 0..COMMANDS_RUN_MAX {
            let Ok(command) = self.commands.try_recv() else { break };
            self.input(Input::Command(command));
            worked = true;
        }
        if let Ok(ask) = self.blob_asks.try_recv() {
            self.blob_ask(ask);
            worked = true;
        }
        let (urgent, others) = (self.core.congested(Lane::Urgent), self.core.congested(Lane::Backfill));
        if let Some((peer, lane, Read { frame, cost, unasked })) = self.links.next_frame(!urgent, !others) {
            let began = Instant::now();
            self.input(Input::Frame { peer, lane, frame });
            let took = began.elapsed();
            let mut price = self.core.fruit().price(if unasked { cost } else { Duration::ZERO }, took);
            if lane == Lane::Backfill && self.alarm_at.is_some_and(|at| at.elapsed() < BULK_YIELDS) {
                price += (cost + took) * YIELD_FACTOR;
            }
            self.links.charge(peer, lane, price);
            self.note_alarm(lane);
            worked = true;
        }
        if self.core.wake_at().is_some_and(|at| at <= self.context.clock.now()) {
            self.input(Input::Woken);
            worked = true;
        }
        worked
    }

    /// Notes that something pressing came or goes.
    fn note_alarm(&mut self, lane: Lane) {
        if lane == Lane::Urgent {
            self.alarm_at = Some(Instant::now());
        }
    }

    /// Waits for anything; false once the node stops.
    async fn wait(&mut self, stopping: &mut watch::Receiver<bool>) -> bool {
        let wake_at = self.core.wake_at().into_iter().chain(self.links.heard_again()).min();
        let wake_at = wake_at.map(|at| self.context.clock.instant(at));
        let sleep = async {
            match wake_at {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return false,
            Some(event) = self.events.recv() => self.link_event(event),
            Some(command) = self.commands.recv() => self.input(Input::Command(command)),
            Some(ask) = self.blob_asks.recv() => self.blob_ask(ask),
            () = self.context.inbox_ready.notified() => {}
            () = sleep => {}
        }
        true
    }

    fn link_event(&mut self, event: LinkEvent<D::Frame>) {
        for change in self.links.handle(event) {
            self.input(change.into());
        }
    }

    fn blob_ask(&mut self, ask: BlobAsk) {
        let now = self.context.clock.now();
        let may = guarded(|| self.core.may_have_blob(now, ask.peer, &ask.want));
        // Whoever asked may be gone.
        _ = ask.answer.send(may.unwrap_or(false));
        let inputs = if may.is_none() { self.begin_anew(Some(ask.peer)) } else { VecDeque::new() };
        self.carry_out(inputs);
    }

    /// Hands one input to the core and carries out all that it puts out, a disconnection that follows
    /// from it included.
    fn input(&mut self, input: Input<D::Frame, C::Command>) {
        self.carry_out(VecDeque::from([input]));
    }

    /// After a panic of the core: it starts anew, without the peer whose frame it was.
    fn begin_anew(&mut self, culprit: Option<MemberId>) -> VecDeque<Input<D::Frame, C::Command>> {
        tracing::error!(?culprit, "replication failed inside and starts anew");
        self.core.restart();
        if let Some(peer) = culprit {
            // The core knows of nobody; there is nothing to tell it.
            _ = self.links.disconnect(peer, CloseCode::Internal);
            self.links.mute(peer);
        }
        let connected = self.links.connected().into_iter();
        connected.map(|(peer, roster_version)| Input::Connected { peer, roster_version }).collect()
    }

    fn carry_out(&mut self, mut inputs: VecDeque<Input<D::Frame, C::Command>>) {
        loop {
            if let Some(input) = inputs.pop_front() {
                let from = match &input {
                    Input::Frame { peer, .. } => Some(*peer),
                    Input::Connected { .. } | Input::Disconnected(_) | Input::Command(_) | Input::Woken => {
                        None
                    }
                };
                let now = self.context.clock.now();
                if guarded(|| self.core.handle(now, input)).is_none() {
                    inputs = self.begin_anew(from);
                }
            }
            while let Some(output) = self.core.poll_output() {
                let changes = match output {
                    Output::Send { peer, lane, frame } => {
                        self.note_alarm(lane);
                        self.links.send(peer, lane, frame)
                    }
                    Output::Disconnect { peer, code } => self.links.disconnect(peer, code),
                };
                inputs.extend(changes.into_iter().map(Input::from));
            }
            if inputs.is_empty() {
                return;
            }
        }
    }
}

/// Runs a piece of the core; `None` if it panicked.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    // What the panic left behind is thrown away by `begin_anew`.
    std::panic::catch_unwind(AssertUnwindSafe(work)).ok()
}

impl<F, C> From<Change> for Input<F, C> {
    fn from(change: Change) -> Self {
        match change {
            Change::Connected { peer, roster_version } => Input::Connected { peer, roster_version },
            Change::Disconnected(peer) => Input::Disconnected(peer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wanted_costs_its_sender_nothing_and_the_rest_its_reading_and_the_loop() {
        let (read, took) = (Duration::from_micros(30), Duration::from_micros(10));
        assert_eq!(Fruit::Deeds.price(read, took), Duration::ZERO);
        assert_eq!(Fruit::Words.price(read, took), (read + took) * PUSH_FACTOR);
        assert_eq!(Fruit::Nothing.price(read, took), read * PUSH_FACTOR + took * WASTE_FACTOR);
    }
}
