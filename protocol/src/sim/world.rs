//! The event loop of a run: virtual time and the network.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::Checks;
use super::dice::Dice;
use super::disk::Disk;
use super::league::League;
use super::node::Node;
use super::retention::Retention;
use super::signatures::Signatures;
use super::{Report, Settings, Shape};
use crate::ids::{EnvelopeId, MemberId, Millis};
use crate::message::{InlineBlob, Lane, Message};
use crate::replica::Input;

/// When every run begins, in Unix time: clocks may be ten years off in both directions.
const BEGINNING: Millis = Millis(1_800_000_000_000);

/// Events between two looks at whether everybody is in step.
const EVENTS_BETWEEN_LOOKS: u64 = 128;

/// Something that happens at its time.
#[derive(Debug)]
pub(super) enum Event {
    Deliver { connection: u64, from: usize, to: usize, lane: Lane, bytes: Vec<u8> },
    Connected { connection: u64, node: usize, peer: usize, roster_version: u64 },
    Idle { connection: u64, a: usize, b: usize },
    Write { node: usize, life: u64 },
    Tell { node: usize, life: u64, input: Input },
    BlobCame { node: usize, life: u64, blob: InlineBlob },
    Wake(usize),
    Tick(usize),
    Act,
    Weather,
    Restart(usize),
    Reconnect(usize, usize),
    Backup,
    Person(usize),
    Roster,
    Activate,
    Upgrade(usize),
    Retention,
    Calm,
}

/// A way between two nodes, the lower number first.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// True while nothing gets from the lower number to the higher.
    pub cut_up: bool,
    /// True while nothing gets from the higher number to the lower.
    pub cut_down: bool,
    /// The connection, while there is one.
    pub connection: Option<u64>,
    dialling: bool,
}

impl Link {
    /// True if both directions work.
    pub fn whole(&self) -> bool {
        !self.cut_up && !self.cut_down
    }
}

/// One run.
pub(super) struct World {
    pub settings: Settings,
    pub dice: Dice,
    /// Of what not every run plays, so that the others play as they did before it was made.
    pub late_dice: Dice,
    /// Of ticks that nobody asked for, so that whatever else happens by chance is the same with them or without.
    pub tick_dice: Dice,
    pub now: Millis,
    pub league: League,
    pub nodes: Vec<Node>,
    /// Members by their number.
    pub numbers: BTreeMap<MemberId, usize>,
    pub report: Report,
    pub checks: Checks,
    pub retention: Retention,
    pub signatures: Signatures,
    pub links: BTreeMap<(usize, usize), Link>,
    /// Envelopes written when every honest node knew already that their author was expelled.
    pub ghosts: BTreeSet<EnvelopeId>,
    /// False where a script says what hostile members do.
    pub lies: bool,
    /// Hostile members that never pass on a roster version.
    pub freezers: BTreeSet<usize>,
    /// What a hostile member never passes on.
    pub withheld: BTreeSet<(usize, EnvelopeId)>,
    /// True once a hostile member wrote under more generations than one may have.
    pub swarmed: bool,
    /// Messages sent, by who sent them and by their name.
    pub sent: BTreeMap<(usize, &'static str), u64>,
    /// What whoever replays this run should know beside its events.
    pub remarks: Vec<String>,
    /// With which node a node talks when it talks with a member, and over which connection.
    sessions: BTreeMap<(usize, MemberId), (usize, u64)>,
    events: BTreeMap<(Millis, u64), Event>,
    order: u64,
    connections: u64,
    calm_since: Option<Millis>,
}

pub(super) const fn pair(a: usize, b: usize) -> (usize, usize) {
    if a < b { (a, b) } else { (b, a) }
}

impl World {
    pub fn new(seed: u64, settings: Settings) -> World {
        let league = League::new(settings.size);
        let numbers = league.members.iter().enumerate().map(|(n, id)| (*id, n)).collect();
        let mut world = World {
            settings,
            dice: Dice::new(seed),
            late_dice: Dice::new(seed ^ 0x1a7e),
            tick_dice: Dice::new(seed ^ 0x71c4),
            now: BEGINNING,
            league,
            nodes: Vec::new(),
            numbers,
            report: Report::default(),
            checks: Checks::default(),
            retention: Retention::default(),
            signatures: Signatures::default(),
            links: BTreeMap::new(),
            ghosts: BTreeSet::new(),
            lies: true,
            freezers: BTreeSet::new(),
            withheld: BTreeSet::new(),
            swarmed: false,
            sent: BTreeMap::new(),
            remarks: Vec::new(),
            sessions: BTreeMap::new(),
            events: BTreeMap::new(),
            order: 0,
            connections: 0,
            calm_since: None,
        };
        let hostile = world.draw_hostile();
        for n in 0..settings.size.nodes() {
            let random = u32::try_from(world.dice.draw() >> 32).unwrap_or(7);
            let disk = Disk::new(world.league.id(n), world.league.chain.clone()).begun_with(random);
            world.settle_in(Node::new(n, disk, hostile.contains(&n)));
        }
        world
    }

    /// The members that do not follow the rules: never the one at the top, never the hub of a star.
    fn draw_hostile(&mut self) -> BTreeSet<usize> {
        let spared = [self.league.national(), self.league.hub()];
        let mut may: Vec<usize> = (0..self.settings.size.nodes()).filter(|n| !spared.contains(n)).collect();
        let mut hostile = BTreeSet::new();
        while hostile.len() < self.settings.hostile && may.len() > 1 {
            let n = may.swap_remove(self.dice.below(may.len()));
            hostile.insert(n);
            if self.dice.chance(300) {
                self.freezers.insert(n);
            }
        }
        self.report.hostile = u64::try_from(hostile.len()).unwrap_or(0);
        if hostile.len() == 5 {
            self.report.count("five hostile");
        }
        if self.settings.size.nodes() == 16 {
            self.report.count("sixteen nodes");
        }
        hostile
    }

    /// A node takes its place: with a clock and a disk of its own, and with its links.
    pub fn settle_in(&mut self, mut node: Node) -> usize {
        let n = self.nodes.len();
        let hub = self.league.hub();
        let inland = |member: usize| member == hub || member == self.league.national();
        for (other, beside) in self.nodes.iter().enumerate() {
            let linked = match self.settings.shape {
                Shape::Mesh => true,
                Shape::Star => [node.member, beside.member].contains(&self.league.national()),
                Shape::Tree => inland(node.member) || inland(beside.member),
            };
            if linked && beside.member != node.member {
                self.links.insert((other, n), Link::default());
            }
        }
        if self.settings.clocks_off_ms > 0 && self.dice.chance(500) {
            self.report.count("clock off");
            node.wall_ms = self.any_offset();
            node.clock_ms = node.wall_ms;
        }
        if self.dice.chance(self.settings.slow_disks_per_mille) {
            self.report.count("slow disk");
            node.commit_ms = self.dice.between(50, 1_500);
        }
        self.nodes.push(node);
        self.draw_keeper(n);
        for (a, b) in self.pairs_of(n) {
            self.redial(a, b, 0, 500);
        }
        n
    }

    /// How far off a clock is, in ms.
    pub fn any_offset(&mut self) -> i64 {
        let most = self.settings.clocks_off_ms;
        let off = i64::try_from(self.dice.between(0, most * 2)).unwrap_or(0);
        off - i64::try_from(most).unwrap_or(0)
    }

    pub fn play(&mut self, mut tell: Option<&mut dyn FnMut(&str)>) -> Result<(), String> {
        let (busy, settings) = (self.settings.busy_ms, self.settings);
        self.after(0, 100, Event::Act);
        self.after(settings.weather_every_ms / 2, settings.weather_every_ms, Event::Weather);
        self.after(settings.roster_every_ms / 2, settings.roster_every_ms, Event::Roster);
        self.after(busy / 8, busy / 4, Event::Backup);
        self.after(busy, busy, Event::Calm);
        self.begin_retention();
        self.begin_releases();
        while self.play_one(&mut tell)? {
            let Some(since) = self.calm_since else { continue };
            let waited = self.now.since(since);
            let late = waited.0 > settings.settle_ms;
            if (late || self.report.events.is_multiple_of(EVENTS_BETWEEN_LOOKS)) && self.in_step(late)? {
                self.report.settled_ms = waited.0;
                return self.check_end();
            }
        }
        Err("the world stood still".into())
    }

    /// The next event; false if there is none.
    fn play_one(&mut self, tell: &mut Option<&mut dyn FnMut(&str)>) -> Result<bool, String> {
        let Some(((at, _), event)) = self.events.pop_first() else { return Ok(false) };
        self.now = at;
        self.report.events += 1;
        if let Some(tell) = tell {
            tell(&format!("{:>9} {:?}", at.since(BEGINNING).0, Told(&event)));
        }
        let result = self.step(event);
        for remark in self.remarks.drain(..) {
            if let Some(tell) = tell {
                tell(&format!("          {remark}"));
            }
        }
        result.map(|()| true)
    }

    /// Plays whatever happens until then.
    #[cfg(test)]
    pub fn play_until(&mut self, until: Millis) -> Result<(), String> {
        while self.events.first_key_value().is_some_and(|((at, _), _)| *at <= until) {
            self.play_one(&mut None)?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// Puts an event between `low` and `high` ms from now.
    pub fn after(&mut self, low: u64, high: u64, event: Event) {
        self.order += 1;
        let at = self.now.plus(Millis(self.dice.between(low, high)));
        self.events.insert((at, self.order), event);
    }

    /// Puts an event so many ms from now.
    pub fn at(&mut self, ms: u64, event: Event) {
        self.order += 1;
        self.events.insert((self.now.plus(Millis(ms)), self.order), event);
    }

    /// How long ago the faults have stopped, if they have.
    pub fn calm_for(&self) -> Option<Millis> {
        self.calm_since.map(|since| self.now.since(since))
    }

    pub fn calm(&self) -> bool {
        self.calm_since.is_some()
    }

    pub fn begin_calm(&mut self) {
        self.calm_since = Some(self.now);
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

    /// Those of them that a node belongs to.
    pub fn pairs_of(&self, n: usize) -> Vec<(usize, usize)> {
        self.links.keys().copied().filter(|(a, b)| *a == n || *b == n).collect()
    }

    /// True for a member that does not follow the rules.
    pub fn is_hostile_member(&self, member: &MemberId) -> bool {
        self.nodes.iter().any(|node| node.hostile && node.disk.me == *member)
    }

    fn step(&mut self, event: Event) -> Result<(), String> {
        match event {
            // A node reads nothing before its own end of the connection is up.
            Event::Deliver { connection, from, to, .. } if self.opens(connection, from, to) => {
                self.at(1, event);
            }
            Event::Deliver { connection, from, to, lane, bytes } => {
                self.deliver(connection, from, to, lane, &bytes)?;
            }
            Event::Connected { connection, node, peer, roster_version } => {
                if self.live(node, peer) == Some(connection) {
                    let peer = self.node(peer).disk.me;
                    self.handle(node, Input::Connected { peer, roster_version })?;
                }
            }
            Event::Idle { connection, a, b } => {
                let whole = self.links.get(&pair(a, b)).is_none_or(Link::whole);
                if self.live(a, b) == Some(connection) && !whole {
                    self.cut(a, b)?;
                }
            }
            Event::Write { node, life } if self.node(node).life == life => self.write(node)?,
            Event::Tell { node, life, input } if self.node(node).life == life => {
                self.note_told_dropped(node, &input);
                self.handle(node, input)?;
            }
            Event::BlobCame { node, life, blob } if self.node(node).life == life => {
                self.queue(node, super::node::Write::Blob(blob));
            }
            Event::Write { .. } | Event::Tell { .. } | Event::BlobCame { .. } => {}
            Event::Wake(node) => self.wake(node)?,
            Event::Tick(node) => self.handle(node, Input::Tick)?,
            Event::Act => self.act()?,
            Event::Weather => self.weather()?,
            Event::Restart(node) => self.restart(node)?,
            Event::Reconnect(a, b) => self.reconnect(a, b)?,
            Event::Backup => self.back_up(),
            Event::Person(node) => self.person_comes(node)?,
            Event::Roster => self.change_roster()?,
            Event::Activate => self.activate(),
            Event::Upgrade(node) => self.upgrade(node)?,
            Event::Retention => self.drop_retired()?,
            Event::Calm => self.become_calm()?,
        }
        Ok(())
    }

    // ---- the network

    pub fn live(&self, a: usize, b: usize) -> Option<u64> {
        self.links.get(&pair(a, b)).and_then(|link| link.connection)
    }

    /// Dials in a while, unless that is so already.
    pub fn redial(&mut self, a: usize, b: usize, low: u64, high: u64) {
        let Some(link) = self.links.get_mut(&pair(a, b)) else { return };
        if !link.dialling {
            link.dialling = true;
            self.after(low, high, Event::Reconnect(a, b));
        }
    }

    fn reconnect(&mut self, a: usize, b: usize) -> Result<(), String> {
        let both_up = self.node(a).up && self.node(b).up;
        let versions = [self.node(a).disk.rosters.head().version, self.node(b).disk.rosters.head().version];
        let Some(link) = self.links.get_mut(&pair(a, b)) else { return Ok(()) };
        link.dialling = false;
        if !link.whole() || link.connection.is_some() || !both_up {
            return Ok(());
        }
        // Of two connections with one member the newer replaces the older.
        for (node, peer) in [(a, b), (b, a)] {
            let member = self.node(peer).disk.me;
            if let Some((other, _)) = self.sessions.get(&(node, member)).copied() {
                self.cut(node, other)?;
            }
        }
        self.connections += 1;
        let connection = self.connections;
        let (of_a, of_b) = (self.node(a).disk.me, self.node(b).disk.me);
        self.sessions.insert((a, of_b), (b, connection));
        self.sessions.insert((b, of_a), (a, connection));
        if let Some(link) = self.links.get_mut(&pair(a, b)) {
            link.connection = Some(connection);
        }
        let [version_a, version_b] = versions;
        self.after(1, 40, Event::Connected { connection, node: a, peer: b, roster_version: version_b });
        self.after(1, 40, Event::Connected { connection, node: b, peer: a, roster_version: version_a });
        Ok(())
    }

    /// Ends a connection; whoever still lives is told, and dials again if that can help.
    pub fn cut(&mut self, a: usize, b: usize) -> Result<(), String> {
        let Some(link) = self.links.get_mut(&pair(a, b)) else { return Ok(()) };
        if link.connection.take().is_none() {
            return Ok(());
        }
        let whole = link.whole();
        for (node, peer) in [(a, b), (b, a)] {
            let peer = self.node(peer).disk.me;
            self.sessions.remove(&(node, peer));
            if self.node(node).up {
                self.handle(node, Input::Disconnected { peer })?;
            }
        }
        let head = self.league.chain.head();
        let wanted = [a, b].iter().all(|n| head.good(&self.node(*n).disk.me));
        if whole && wanted && self.node(a).up && self.node(b).up {
            self.redial(a, b, 1_000, 8_000);
        }
        Ok(())
    }

    /// The node that a node talks with when it talks with this member.
    pub fn session(&self, n: usize, member: &MemberId) -> Option<usize> {
        self.sessions.get(&(n, *member)).map(|(node, _)| *node)
    }

    pub fn send(&mut self, from: usize, member: &MemberId, lane: Lane, message: &Message) {
        self.report.messages += 1;
        *self.sent.entry((from, message.name())).or_insert(0) += 1;
        let Some((to, connection)) = self.sessions.get(&(from, *member)).copied() else {
            self.report.lost += 1;
            return;
        };
        let cut = self
            .links
            .get(&pair(from, to))
            .is_none_or(|link| if from < to { link.cut_up } else { link.cut_down });
        if cut || (!self.calm() && self.dice.chance(self.settings.loss_per_mille)) {
            self.report.lost += 1;
            self.report.count(if cut { "message into a cut" } else { "message lost" });
            return;
        }
        let twice = !self.calm() && self.dice.chance(self.settings.duplicates_per_mille);
        if twice {
            self.report.count("message twice");
        }
        for _ in 0..1 + usize::from(twice) {
            let late = !self.calm() && self.dice.chance(self.settings.late_per_mille);
            if late {
                self.report.count("message late");
            }
            let bytes = message.encode();
            self.after(
                1,
                if late { 5_000 } else { 60 },
                Event::Deliver { connection, from, to, lane, bytes },
            );
        }
    }

    /// True while a connection stands and a node does not know of it yet.
    fn opens(&self, connection: u64, from: usize, to: usize) -> bool {
        let (node, peer) = (self.node(to), self.node(from).disk.me);
        node.up
            && self.live(from, to) == Some(connection)
            && node.replica.connected().all(|known| known != peer)
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
        let rosters = self.node(to).disk.rosters.clone();
        let message = self.signatures.check(message, &rosters);
        let peer = self.node(from).disk.me;
        self.handle(to, Input::Arrived { peer, lane, message })
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
