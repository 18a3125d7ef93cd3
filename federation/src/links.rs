//! The loop's side of connections: one kept link a pair, its lanes' queues, and whose turn it is.
//!
//! Of two connections between a pair the one dialled by the smaller member is kept; the same dialler's
//! newer one replaces its older. A kept one that is contested is pinged, and dropped if silent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::ids::{MemberId, Millis};
use protocol::message::Welcome;
use tokio::sync::{mpsc, watch};

use crate::close::{CloseCode, Ended};
use crate::context::Clock;
use crate::control::ControlState;
use crate::lane::{Lane, LaneQueue, index};
use crate::limits::{LANES, MUTED, URGENT_RUN_MAX};
use crate::peers::{PeerBoard, PeerCounters, PeerState};

/// A connection that is through the welcome: all that the loop needs of it.
pub(crate) struct Link<F> {
    /// Later connections have larger numbers.
    pub number: u64,
    pub peer: MemberId,
    pub dialled_by: MemberId,
    pub address: SocketAddr,
    pub theirs: Welcome,
    pub connection: quinn::Connection,
    pub control: Arc<ControlState>,
    pub counters: Arc<PeerCounters>,
    /// By lane.
    pub queues: [LaneQueue; LANES],
    /// By lane.
    pub inbox: [mpsc::Receiver<Read<F>>; LANES],
}

/// A frame after it was decoded and judged by itself.
pub(crate) struct Read<F> {
    pub frame: F,
    /// What reading it cost.
    pub cost: Duration,
    /// True if nobody asked for it: its peer pays for that unless it was good for something.
    pub unasked: bool,
}

/// What a connection's tasks tell the loop.
pub(crate) enum LinkEvent<F> {
    /// It is through the welcome, and both ends hold the same rosters.
    Up(Box<Link<F>>),
    /// It answered a ping.
    Alive { peer: MemberId, number: u64 },
    /// It ended.
    Down { peer: MemberId, number: u64, ended: Ended },
}

/// What a link event changed for everybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Connected { peer: MemberId, roster_version: u64 },
    Disconnected(MemberId),
}

/// Live connections by peer, for blob fetches.
pub(crate) type Connections = BTreeMap<MemberId, quinn::Connection>;

impl<F> Link<F> {
    fn take(&mut self, lane: Lane) -> Option<Read<F>> {
        self.inbox.get_mut(index(lane))?.try_recv().ok()
    }
}

/// The first peer that has something, beginning after `last` and going round once.
fn in_turn<F, T>(
    pairs: &mut BTreeMap<MemberId, Pair<F>>,
    last: Option<MemberId>,
    mut find: impl FnMut(&mut Link<F>) -> Option<T>,
) -> Option<(MemberId, T)> {
    let after = (last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
    let mut found = |(peer, pair): (&MemberId, &mut Pair<F>)| Some((*peer, find(&mut pair.kept)?));
    if let Some(found) = pairs.range_mut(after).find_map(&mut found) {
        return Some(found);
    }
    pairs.range_mut(..=last?).find_map(found)
}

struct Pair<F> {
    kept: Link<F>,
    waiting: Option<Link<F>>,
}

/// All links of this node.
pub(crate) struct Links<F> {
    pairs: BTreeMap<MemberId, Pair<F>>,
    board: PeerBoard,
    connections: watch::Sender<Connections>,
    clock: Clock,
    urgent_run: usize,
    urgent_last: Option<MemberId>,
    others_last: Option<MemberId>,
    /// The lanes that the peer whose turn it is has still to offer.
    others_rest: &'static [Lane],
    /// Peers of whom nothing is taken until then: what they sent broke the core.
    muted: BTreeMap<MemberId, Millis>,
}

/// Lanes that share turns among the peers, in the order that one turn offers them.
const OTHER_LANES: &[Lane] = &[Lane::Normal, Lane::Backfill, Lane::Blobs];

impl<F> Links<F> {
    pub fn new(board: PeerBoard, connections: watch::Sender<Connections>, clock: Clock) -> Self {
        Self {
            pairs: BTreeMap::new(),
            board,
            connections,
            clock,
            urgent_run: 0,
            urgent_last: None,
            others_last: None,
            others_rest: &[],
            muted: BTreeMap::new(),
        }
    }

    /// Takes an event in, and tells what it changed, in order.
    pub fn handle(&mut self, event: LinkEvent<F>) -> Vec<Change> {
        match event {
            LinkEvent::Up(link) => self.arrive(*link),
            LinkEvent::Alive { peer, number } => {
                if let Some(pair) = self.pairs.get_mut(&peer)
                    && pair.kept.number == number
                    && let Some(loser) = pair.waiting.take()
                {
                    CloseCode::Duplicate.close(&loser.connection, &loser.counters);
                }
                Vec::new()
            }
            LinkEvent::Down { peer, number, ended } => self.leave(peer, number, ended),
        }
    }

    fn arrive(&mut self, link: Link<F>) -> Vec<Change> {
        let peer = link.peer;
        let Some(pair) = self.pairs.get_mut(&peer) else { return self.keep(link, Vec::new()) };
        match contest(
            Contender { dialled_by: pair.kept.dialled_by, number: pair.kept.number },
            Contender { dialled_by: link.dialled_by, number: link.number },
        ) {
            Verdict::Replace => {
                let gone = self.remove(peer, Ended::ByUs(CloseCode::Duplicate));
                self.keep(link, gone)
            }
            Verdict::Older => {
                CloseCode::Duplicate.close(&link.connection, &link.counters);
                Vec::new()
            }
            Verdict::KeepIfAlive => {
                pair.kept.control.ping_now.notify_one();
                if let Some(loser) = pair.waiting.replace(link) {
                    CloseCode::Duplicate.close(&loser.connection, &loser.counters);
                }
                Vec::new()
            }
        }
    }

    fn keep(&mut self, link: Link<F>, mut changes: Vec<Change>) -> Vec<Change> {
        let (peer, roster_version) = (link.peer, link.theirs.roster_version);
        link.counters.connect();
        self.board.set(peer, PeerState::Connected, self.clock.now(), |status| {
            status.address = Some(link.address);
            status.software = Some(link.theirs.software.clone());
        });
        self.connections.send_modify(|all| _ = all.insert(peer, link.connection.clone()));
        self.pairs.insert(peer, Pair { kept: link, waiting: None });
        changes.push(Change::Connected { peer, roster_version });
        changes
    }

    /// Closes and forgets the kept link and what waited behind it.
    fn remove(&mut self, peer: MemberId, ended: Ended) -> Vec<Change> {
        let Some(pair) = self.pairs.remove(&peer) else { return Vec::new() };
        let code = match ended {
            Ended::ByUs(code) => code,
            Ended::ByPeer(_) | Ended::Lost | Ended::Refused => CloseCode::Goodbye,
        };
        code.close(&pair.kept.connection, &pair.kept.counters);
        if let Some(waiting) = &pair.waiting {
            code.close(&waiting.connection, &waiting.counters);
        }
        self.connections.send_modify(|all| _ = all.remove(&peer));
        self.board.set(peer, PeerState::Away, self.clock.now(), |status| status.ended = Some(ended));
        vec![Change::Disconnected(peer)]
    }

    fn leave(&mut self, peer: MemberId, number: u64, ended: Ended) -> Vec<Change> {
        let Some(pair) = self.pairs.get_mut(&peer) else { return Vec::new() };
        if pair.waiting.as_ref().is_some_and(|waiting| waiting.number == number) {
            pair.waiting = None;
            return Vec::new();
        }
        if pair.kept.number != number {
            return Vec::new();
        }
        let heir = pair.waiting.take();
        let gone = self.remove(peer, ended);
        match heir {
            Some(heir) => self.keep(heir, gone),
            None => gone,
        }
    }

    /// Queues a frame for a peer. A peer that is not connected gets nothing, one whose queue is full is
    /// disconnected: either way have and want find what it lacks when it is back.
    pub fn send(&mut self, peer: MemberId, lane: Lane, frame: Bytes) -> Vec<Change> {
        let Some(pair) = self.pairs.get(&peer) else { return Vec::new() };
        let Some(queue) = pair.kept.queues.get(index(lane)) else { return Vec::new() };
        let pushed = queue.push(frame);
        pair.kept.counters.queue(pair.kept.queues.iter().map(LaneQueue::queued_bytes).sum());
        match pushed {
            Ok(()) => Vec::new(),
            Err(full) => {
                tracing::warn!(%peer, ?lane, "{full}; the peer is disconnected");
                self.disconnect(peer, CloseCode::Backlog)
            }
        }
    }

    /// Has a peer pay for the time that a frame of it took.
    pub fn charge(&self, peer: MemberId, lane: Lane, time: Duration) {
        if let Some(pair) = self.pairs.get(&peer) {
            pair.kept.control.charge(lane, time);
        }
    }

    /// Closes a peer's connection.
    pub fn disconnect(&mut self, peer: MemberId, code: CloseCode) -> Vec<Change> {
        self.remove(peer, Ended::ByUs(code))
    }

    /// Takes nothing of a peer for a while, over whatever connection.
    pub fn mute(&mut self, peer: MemberId) {
        self.muted.insert(peer, self.clock.now().plus(MUTED));
    }

    /// When a peer is heard again; none while nobody is muted.
    pub fn heard_again(&self) -> Option<Millis> {
        self.muted.values().min().copied()
    }

    /// The next frame in turn: urgent ones first, peer by peer; after a run of them one turn of the
    /// other lanes, again peer by peer.
    /// Only urgent ones, or only others, where the core has no room for both.
    pub fn next_frame(&mut self, urgent: bool, others: bool) -> Option<(MemberId, Lane, Read<F>)> {
        if !self.muted.is_empty() {
            let now = self.clock.now();
            self.muted.retain(|_, until| *until > now);
        }
        if urgent
            && (self.urgent_run < URGENT_RUN_MAX || !others)
            && let Some(found) = self.next_urgent()
        {
            self.urgent_run += 1;
            return Some(found);
        }
        self.urgent_run = 0;
        let other = if others { self.next_other() } else { None };
        if urgent { other.or_else(|| self.next_urgent()) } else { other }
    }

    fn next_urgent(&mut self) -> Option<(MemberId, Lane, Read<F>)> {
        let (peer, frame) = in_turn(&mut self.pairs, self.urgent_last, |link| {
            (!self.muted.contains_key(&link.peer)).then(|| link.take(Lane::Urgent)).flatten()
        })?;
        self.urgent_last = Some(peer);
        Some((peer, Lane::Urgent, frame))
    }

    fn next_other(&mut self) -> Option<(MemberId, Lane, Read<F>)> {
        // The rest of the turn that was begun: one frame of each lane.
        while let (Some(peer), Some((lane, rest))) = (self.others_last, self.others_rest.split_first()) {
            self.others_rest = rest;
            if self.muted.contains_key(&peer) {
                break;
            }
            if let Some(frame) = self.pairs.get_mut(&peer).and_then(|pair| pair.kept.take(*lane)) {
                return Some((peer, *lane, frame));
            }
        }
        let (peer, (rest, lane, frame)) = in_turn(&mut self.pairs, self.others_last, |link| {
            let mut rest = if self.muted.contains_key(&link.peer) { &[] } else { OTHER_LANES };
            while let Some((lane, later)) = rest.split_first() {
                rest = later;
                if let Some(frame) = link.take(*lane) {
                    return Some((rest, *lane, frame));
                }
            }
            None
        })?;
        self.others_last = Some(peer);
        self.others_rest = rest;
        Some((peer, lane, frame))
    }

    /// Every peer that is connected now, with the roster version that its welcome named.
    pub fn connected(&self) -> Vec<(MemberId, u64)> {
        self.pairs.iter().map(|(peer, pair)| (*peer, pair.kept.theirs.roster_version)).collect()
    }

    /// Closes everything, at shutdown.
    pub fn close_all(&mut self) {
        let peers: Vec<MemberId> = self.pairs.keys().copied().collect();
        for peer in peers {
            self.disconnect(peer, CloseCode::Goodbye);
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Contender {
    dialled_by: MemberId,
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The new one is kept instead.
    Replace,
    /// The new one is an older one that came late.
    Older,
    /// The kept one stays if it answers a ping.
    KeepIfAlive,
}

fn contest(kept: Contender, new: Contender) -> Verdict {
    if kept.dialled_by == new.dialled_by {
        if new.number > kept.number { Verdict::Replace } else { Verdict::Older }
    } else if new.dialled_by < kept.dialled_by {
        Verdict::Replace
    } else {
        Verdict::KeepIfAlive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_the_smaller_dialler_is_kept_and_its_newer_replaces_its_older() {
        let small = |number| Contender { dialled_by: MemberId([1; 32]), number };
        let large = |number| Contender { dialled_by: MemberId([2; 32]), number };
        assert_eq!(contest(small(1), small(2)), Verdict::Replace);
        assert_eq!(contest(small(2), small(1)), Verdict::Older);
        assert_eq!(contest(large(2), small(1)), Verdict::Replace);
        assert_eq!(contest(small(1), large(2)), Verdict::KeepIfAlive);
    }
}
