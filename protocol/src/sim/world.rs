//! The event loop of a run: time, the network, the writers, the weather.

use std::collections::BTreeMap;

use super::checks::Checks;
use super::dice::Dice;
use super::disk::Disk;
use super::node::{Node, Write};
use super::{Report, Settings};
use crate::fixture::{Federation, member_key};
use crate::ids::{MemberId, Millis};
use crate::message::{InlineBlob, Lane, Message};
use crate::operation::Operation;
use crate::replica::{Arrived, Input, Output};
use crate::roster::{Added, RosterChain, SignedRoster};

/// Something that happens at its time.
#[derive(Debug)]
pub(super) enum Event {
    Deliver { connection: u64, from: usize, to: usize, lane: Lane, bytes: Vec<u8> },
    Connected { connection: u64, node: usize, peer: usize, roster_version: u64 },
    Write { node: usize, life: u64 },
    Tell { node: usize, life: u64, input: Input },
    BlobCame { node: usize, life: u64, blob: InlineBlob },
    Wake(usize),
    Act,
    Weather,
    Restart(usize),
    Reconnect(usize, usize),
    NewRoster,
    Calm,
}

#[derive(Debug)]
struct Link {
    up: bool,
    connection: Option<u64>,
}

/// One run.
pub(super) struct World {
    pub settings: Settings,
    pub dice: Dice,
    pub now: Millis,
    pub federation: Federation,
    pub nodes: Vec<Node>,
    pub numbers: BTreeMap<MemberId, usize>,
    pub report: Report,
    pub checks: Checks,
    events: BTreeMap<(Millis, u64), Event>,
    links: BTreeMap<(usize, usize), Link>,
    order: u64,
    connections: u64,
    calm_since: Option<Millis>,
    genesis_roster: RosterChain,
}

const fn pair(a: usize, b: usize) -> (usize, usize) {
    if a < b { (a, b) } else { (b, a) }
}

impl World {
    pub fn new(seed: u64, settings: Settings) -> World {
        let federation = Federation::new(settings.municipal);
        let count = federation.members.len();
        let nodes: Vec<Node> = federation
            .members
            .iter()
            .map(|id| Node::new(Disk::new(*id, federation.rosters.clone())))
            .collect();
        let numbers = federation.members.iter().enumerate().map(|(n, id)| (*id, n)).collect();
        let precinct = federation.precinct();
        let mut links = BTreeMap::new();
        for a in 0..count {
            for b in a + 1..count {
                if !settings.star || a == precinct || b == precinct {
                    links.insert((a, b), Link { up: true, connection: None });
                }
            }
        }
        let genesis_roster = federation.rosters.clone();
        World {
            settings,
            dice: Dice::new(seed),
            now: Millis(1_000_000),
            federation,
            nodes,
            numbers,
            report: Report::default(),
            checks: Checks::default(),
            events: BTreeMap::new(),
            links,
            order: 0,
            connections: 0,
            calm_since: None,
            genesis_roster,
        }
    }

    pub fn play(&mut self, tell: &mut dyn FnMut(&str)) -> Result<(), String> {
        let pairs: Vec<(usize, usize)> = self.links.keys().copied().collect();
        for (a, b) in pairs {
            self.after(0, 500, Event::Reconnect(a, b));
        }
        let busy = self.settings.busy_ms;
        self.after(0, 100, Event::Act);
        self.after(self.settings.weather_every_ms, self.settings.weather_every_ms, Event::Weather);
        self.after(busy / 2, busy / 2, Event::NewRoster);
        self.after(busy, busy, Event::Calm);
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            self.report.events += 1;
            tell(&format!("{} {:?}", at.0, Told(&event)));
            self.step(event)?;
            let Some(since) = self.calm_since else { continue };
            let waited = self.now.since(since);
            let late = waited.0 > self.settings.settle_ms;
            if (late || self.report.events.is_multiple_of(64)) && self.in_step(late)? {
                self.report.settled_ms = waited.0;
                return self.check_end();
            }
        }
        Err("the world stood still".into())
    }

    /// Puts an event between `low` and `high` ms from now.
    pub fn after(&mut self, low: u64, high: u64, event: Event) {
        self.order += 1;
        let at = self.now.plus(Millis(self.dice.between(low, high)));
        self.events.insert((at, self.order), event);
    }

    pub fn calm(&self) -> bool {
        self.calm_since.is_some()
    }

    pub fn node(&self, n: usize) -> &Node {
        self.nodes.get(n).expect("nodes are numbered by the world itself")
    }

    pub fn node_mut(&mut self, n: usize) -> &mut Node {
        self.nodes.get_mut(n).expect("nodes are numbered by the world itself")
    }

    /// The pairs that may talk, when nothing is broken.
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        self.links.keys().copied().collect()
    }

    fn step(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Deliver { connection, from, to, lane, bytes } => {
                self.deliver(connection, from, to, lane, &bytes)?;
            }
            Event::Connected { connection, node, peer, roster_version } => {
                if self.live(node, peer) == Some(connection) {
                    let peer = self.federation.id(peer);
                    self.handle(node, Input::Connected { peer, roster_version })?;
                }
            }
            Event::Write { node, life } if self.node(node).life == life => self.write(node)?,
            Event::Tell { node, life, input } if self.node(node).life == life => self.handle(node, input)?,
            Event::BlobCame { node, life, blob } if self.node(node).life == life => {
                self.queue(node, Write::Blob(blob));
            }
            Event::Write { .. } | Event::Tell { .. } | Event::BlobCame { .. } => {}
            Event::Wake(node) => self.wake(node)?,
            Event::Act => self.act()?,
            Event::Weather => self.weather()?,
            Event::Restart(node) => self.restart(node),
            Event::Reconnect(a, b) => self.reconnect(a, b),
            Event::NewRoster => self.new_roster()?,
            Event::Calm => self.become_calm()?,
        }
        Ok(())
    }

    // ---- the network

    fn live(&self, a: usize, b: usize) -> Option<u64> {
        self.links.get(&pair(a, b)).and_then(|link| link.connection)
    }

    fn reconnect(&mut self, a: usize, b: usize) {
        let both_up = self.node(a).up && self.node(b).up;
        self.connections += 1;
        let connection = self.connections;
        let versions = [self.node(a).disk.rosters.head().version, self.node(b).disk.rosters.head().version];
        let Some(link) = self.links.get_mut(&pair(a, b)) else { return };
        if !link.up || link.connection.is_some() {
            return;
        }
        if !both_up {
            self.after(1_000, 3_000, Event::Reconnect(a, b));
            return;
        }
        link.connection = Some(connection);
        let [of_a, of_b] = versions;
        self.after(1, 40, Event::Connected { connection, node: a, peer: b, roster_version: of_b });
        self.after(1, 40, Event::Connected { connection, node: b, peer: a, roster_version: of_a });
    }

    /// Ends a connection; whoever still lives is told.
    fn cut(&mut self, a: usize, b: usize) -> Result<(), String> {
        let Some(link) = self.links.get_mut(&pair(a, b)) else { return Ok(()) };
        if link.connection.take().is_none() {
            return Ok(());
        }
        for (node, peer) in [(a, b), (b, a)] {
            if self.node(node).up {
                let peer = self.federation.id(peer);
                self.handle(node, Input::Disconnected { peer })?;
            }
        }
        Ok(())
    }

    pub fn send(&mut self, from: usize, to: usize, lane: Lane, message: &Message) {
        self.report.messages += 1;
        let Some(connection) = self.live(from, to) else {
            self.report.lost += 1;
            return;
        };
        if !self.calm() && self.dice.chance(self.settings.loss_per_mille) {
            self.report.lost += 1;
            return;
        }
        let times = 1 + usize::from(!self.calm() && self.dice.chance(self.settings.duplicates_per_mille));
        for _ in 0..times {
            let slow = if self.dice.chance(50) { 2_000 } else { 60 };
            let bytes = message.encode();
            self.after(1, slow, Event::Deliver { connection, from, to, lane, bytes });
        }
    }

    fn deliver(
        &mut self,
        connection: u64,
        from: usize,
        to: usize,
        lane: Lane,
        bytes: &[u8],
    ) -> Result<(), String> {
        if self.live(from, to) != Some(connection) || !self.node(to).up {
            self.report.lost += 1;
            return Ok(());
        }
        let message = Message::decode(bytes).map_err(|e| format!("a message of ours does not parse: {e}"))?;
        if let Message::BlobNone(blob) = message {
            return self.handle(to, Input::FetchFailed { blob });
        }
        let message = Arrived::check(message, &self.node(to).disk.rosters);
        let peer = self.federation.id(from);
        self.handle(to, Input::Arrived { peer, lane, message })
    }

    // ---- a node's own machinery

    pub fn handle(&mut self, n: usize, input: Input) -> Result<(), String> {
        let now = self.now;
        let node = self.node_mut(n);
        if !node.up {
            return Ok(());
        }
        node.replica.handle(now, input, &node.disk);
        while let Some(output) = self.node_mut(n).replica.poll_output() {
            self.carry_out(n, output)?;
        }
        let wake = self.node(n).replica.next_wake().max(now.plus(Millis(1)));
        if self.node(n).wake_at.is_none_or(|at| wake < at || at <= now) {
            self.node_mut(n).wake_at = Some(wake);
            let wait = wake.since(now).0;
            self.after(wait, wait, Event::Wake(n));
        }
        Ok(())
    }

    fn wake(&mut self, n: usize) -> Result<(), String> {
        if self.node(n).wake_at.is_none_or(|at| at > self.now) {
            return Ok(());
        }
        self.node_mut(n).wake_at = None;
        self.handle(n, Input::Tick)
    }

    fn carry_out(&mut self, n: usize, output: Output) -> Result<(), String> {
        match output {
            Output::Send { peer, lane, message } => {
                self.check_sent(n, &peer, &message)?;
                let Some(to) = self.numbers.get(&peer).copied() else { return Ok(()) };
                let twisted = if self.is_hostile(n) { self.twist(message) } else { Some(message) };
                if let Some(message) = twisted {
                    self.send(n, to, lane, &message);
                }
            }
            Output::Store { doc, envelopes, blobs, .. } => {
                self.queue(n, Write::Store { doc, envelopes, blobs })
            }
            Output::RecordRefusal { id, refusal, .. } => {
                self.report.rejected += 1;
                self.queue(n, Write::Refusal(id, refusal));
            }
            Output::Blame { peer, .. } if self.is_hostile_member(&peer) => self.report.blamed += 1,
            Output::Blame { fault, .. } => return Err(format!("an honest node was blamed: {fault}")),
            Output::ClearDue { peer, doc, at } => self.queue(n, Write::ClearDue(peer, doc, at)),
            Output::SetDue { peer, docs } => self.queue(n, Write::SetDue(peer, docs)),
            Output::InStep { .. } => self.report.in_step += 1,
            Output::FetchBlob { doc, blob, candidates } => self.fetch_blob(n, doc, blob.id, &candidates),
            Output::ServeBlob { peer, blob, .. } => self.serve_blob(n, &peer, &blob)?,
            Output::OfferRoster { bytes, .. } => self.offer_roster(n, &bytes)?,
            Output::StoreContact(_) => {}
            Output::AutoCommit { doc, accept } => {
                let operation = Operation::Commit { accept };
                self.queue_local(n, Some(doc), operation, Vec::new());
            }
            Output::Disconnect { peer, .. } => {
                let other = self.numbers.get(&peer).copied().unwrap_or(n);
                self.cut(n, other)?;
            }
        }
        Ok(())
    }

    fn fetch_blob(&mut self, n: usize, doc: crate::ids::DocId, blob: crate::ids::BlobId, from: &[MemberId]) {
        let holder = self.dice.pick(from).and_then(|member| self.numbers.get(member)).copied();
        if let Some(holder) = holder {
            let want = Message::BlobWant(crate::message::BlobWant { doc, blob, from_piece: 0 });
            self.send(n, holder, Lane::Blobs, &want);
        }
    }

    fn serve_blob(&mut self, n: usize, peer: &MemberId, id: &crate::ids::BlobId) -> Result<(), String> {
        let blob = self.node(n).disk.blobs.get(id).cloned().ok_or("a blob was served that is not here")?;
        if let Some(node) = self.numbers.get(peer).copied() {
            let life = self.node(node).life;
            self.after(5, 200, Event::BlobCame { node, life, blob });
        }
        Ok(())
    }

    fn offer_roster(&mut self, n: usize, bytes: &[u8]) -> Result<(), String> {
        let signed =
            SignedRoster::decode(bytes).map_err(|e| format!("a roster of ours does not parse: {e}"))?;
        let chain = &mut self.node_mut(n).disk.rosters;
        if chain.add(signed) == Ok(Added::Head) {
            let (life, rosters) = (self.node(n).life, self.node(n).disk.rosters.clone());
            self.after(0, 5, Event::Tell { node: n, life, input: Input::RosterChanged(rosters) });
        }
        Ok(())
    }

    fn new_roster(&mut self) -> Result<(), String> {
        self.federation.publish(|body| body.expires = Millis(body.expires.0 + 1));
        let head = self.federation.rosters.head().hash();
        let signed = self.federation.rosters.signed(&head).cloned().ok_or("the head is held")?;
        let first = self.dice.below(self.nodes.len());
        self.offer_roster(first, &signed.encode())
    }

    // ---- the writer

    /// Puts a write in the queue; every write has its own turn.
    pub fn queue(&mut self, n: usize, write: Write) {
        let life = self.node(n).life;
        self.node_mut(n).queue.push_back(write);
        self.after(1, 15, Event::Write { node: n, life });
    }

    fn write(&mut self, n: usize) -> Result<(), String> {
        let (now, life) = (self.now, self.node(n).life);
        let Some(write) = self.node_mut(n).queue.pop_front() else { return Ok(()) };
        match write {
            Write::Local { doc, draft, blobs } => self.write_local(n, doc, &draft, blobs)?,
            Write::Store { doc, envelopes, blobs } => {
                let fails = !self.calm() && self.dice.chance(self.settings.store_failures_per_mille);
                let input = if fails { Input::StoreFailed { doc } } else { Input::Stored { doc } };
                if !fails {
                    self.node_mut(n).disk.store(now, doc, &envelopes, blobs);
                    self.check_document(n, &doc)?;
                }
                self.after(0, 5, Event::Tell { node: n, life, input });
            }
            Write::Blob(blob) => {
                let input = Input::BlobStored { blob: blob.id };
                self.node_mut(n).disk.blobs.insert(blob.id, blob);
                self.after(0, 5, Event::Tell { node: n, life, input });
            }
            Write::Refusal(id, refusal) => {
                self.node_mut(n).disk.refused.insert(id, refusal);
                if !self.settings.hostile {
                    return Err(format!("an honest envelope was refused: {refusal}"));
                }
            }
            Write::ClearDue(peer, doc, at) => {
                self.node_mut(n).disk.clear_due(peer, doc, at);
                self.check_due(n, &doc)?;
            }
            Write::SetDue(peer, docs) => {
                for doc in docs {
                    self.node_mut(n).disk.set_due(now, peer, doc);
                }
            }
        }
        Ok(())
    }

    fn write_local(
        &mut self,
        n: usize,
        doc: Option<crate::ids::DocId>,
        draft: &crate::author::Draft,
        blobs: Vec<InlineBlob>,
    ) -> Result<(), String> {
        let hand = self.federation.hand(n);
        debug_assert_eq!(hand.key.to_bytes(), member_key(n, 0).to_bytes());
        let (now, life) = (self.now, self.node(n).life);
        match self.node_mut(n).disk.write(now, doc, draft, blobs, &hand) {
            Ok(envelope) => {
                self.report.written += 1;
                self.report.handoffs += u64::from(matches!(draft.operation, Operation::Commit { .. }));
                let doc = envelope.header().doc;
                self.check_document(n, &doc)?;
                let input = Input::Wrote { doc, envelopes: vec![envelope] };
                self.after(0, 5, Event::Tell { node: n, life, input });
            }
            Err(_) => self.report.refused += 1,
        }
        Ok(())
    }

    // ---- the weather

    fn weather(&mut self) -> Result<(), String> {
        if self.calm() {
            return Ok(());
        }
        if self.dice.chance(self.settings.crashes_per_mille) {
            let n = self.dice.below(self.nodes.len());
            self.crash(n)?;
        } else {
            let pairs = self.pairs();
            if let Some((a, b)) = self.dice.pick(&pairs).copied() {
                self.toggle(a, b)?;
            }
        }
        let every = self.settings.weather_every_ms;
        self.after(every / 2, every + every / 2, Event::Weather);
        Ok(())
    }

    fn toggle(&mut self, a: usize, b: usize) -> Result<(), String> {
        let Some(link) = self.links.get_mut(&pair(a, b)) else { return Ok(()) };
        link.up = !link.up;
        if link.up {
            self.after(10, 2_000, Event::Reconnect(a, b));
            return Ok(());
        }
        self.cut(a, b)
    }

    fn crash(&mut self, n: usize) -> Result<(), String> {
        if !self.node(n).up {
            return Ok(());
        }
        self.report.crashes += 1;
        self.node_mut(n).crash();
        for (a, b) in self.pairs() {
            if a == n || b == n {
                self.cut(a, b)?;
                self.after(1_000, 3_000, Event::Reconnect(a, b));
            }
        }
        self.after(500, 8_000, Event::Restart(n));
        Ok(())
    }

    fn restart(&mut self, n: usize) {
        let node = self.node_mut(n);
        if node.up {
            return;
        }
        node.restart();
        let life = node.life;
        self.after(0, 1, Event::Tell { node: n, life, input: Input::Tick });
    }

    /// The faults stop: every link heals, every node comes back.
    fn become_calm(&mut self) -> Result<(), String> {
        self.calm_since = Some(self.now);
        for n in 0..self.nodes.len() {
            if !self.node(n).up {
                self.restart(n);
            }
        }
        for (a, b) in self.pairs() {
            if let Some(link) = self.links.get_mut(&(a, b)) {
                link.up = true;
            }
            self.after(10, 2_000, Event::Reconnect(a, b));
        }
        debug_assert!(self.genesis_roster.head().version == 1);
        Ok(())
    }
}

/// An event without its bytes.
struct Told<'a>(&'a Event);

impl std::fmt::Debug for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Event::Deliver { from, to, lane, bytes, .. } = self.0 {
            let message = Message::decode(bytes);
            return write!(f, "{from} → {to} {lane:?} {message:?}");
        }
        write!(f, "{:?}", self.0)
    }
}
