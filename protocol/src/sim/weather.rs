//! What goes wrong in a run: links, processes, disks, clocks, backups, and the roster that changes
//! meanwhile.

use super::disk::Disk;
use super::league::{Change, ROOTS_EVER};
use super::node::Node;
use super::world::{Event, World, pair};
use crate::ids::Millis;
use crate::replica::Input;

/// Copies of one disk that are kept; the oldest goes first.
const BACKUPS_KEPT: usize = 3;

/// Towns that may join one run.
const NODES_EVER: usize = 16;

impl World {
    pub fn weather(&mut self) -> Result<(), String> {
        if self.calm() {
            return Ok(());
        }
        let n = self.dice.below(self.nodes.len());
        match self.dice.below(1_000) as u64 {
            roll if roll < self.settings.crashes_per_mille => self.crash(n, 500, 8_000)?,
            roll if roll < 700 => {
                let pairs = self.pairs();
                if let Some((a, b)) = self.dice.pick(&pairs).copied() {
                    self.toggle(a, b)?;
                }
            }
            700..750 => self.island(n)?,
            750..800 => {
                let away = self.settings.busy_ms / 2;
                self.report.count("long sleep");
                self.crash(n, away / 2, away)?;
            }
            800..850 if self.settings.slow_disks_per_mille > 0 => {
                self.report.count("stuck disk");
                let stuck = self.dice.between(2_000, 20_000);
                self.node_mut(n).stuck_until = self.now.plus(Millis(stuck));
            }
            850..900 if self.settings.clocks_off_ms > 0 => {
                self.report.count("clock jumped");
                self.node_mut(n).wall_ms = self.any_offset();
            }
            900..970 if self.settings.restores => self.restore(n)?,
            970..990 if self.settings.restores => self.start_twin(n),
            _ => {}
        }
        let every = self.settings.weather_every_ms;
        self.after(every / 2, every + every / 2, Event::Weather);
        Ok(())
    }

    // ---- links

    /// A whole link is cut, in one direction or both; any other heals.
    fn toggle(&mut self, a: usize, b: usize) -> Result<(), String> {
        let whole = self.links.get(&pair(a, b)).is_none_or(|link| link.whole());
        if !whole {
            self.heal(a, b);
            return Ok(());
        }
        let ways = self.dice.below(4);
        self.report.count(if ways < 2 { "link cut" } else { "link cut one way" });
        self.break_link(a, b, ways != 2, ways != 3)
    }

    fn break_link(&mut self, a: usize, b: usize, up: bool, down: bool) -> Result<(), String> {
        let Some(link) = self.links.get_mut(&pair(a, b)) else { return Ok(()) };
        (link.cut_up, link.cut_down) = (up, down);
        let Some(connection) = link.connection else { return Ok(()) };
        if up && down && self.dice.chance(500) {
            return self.cut(a, b);
        }
        self.after(2_000, 30_000, Event::Idle { connection, a, b });
        Ok(())
    }

    fn heal(&mut self, a: usize, b: usize) {
        if let Some(link) = self.links.get_mut(&pair(a, b)) {
            (link.cut_up, link.cut_down) = (false, false);
        }
        self.redial(a, b, 10, 2_000);
    }

    /// Every link of a node is cut, or every one heals.
    fn island(&mut self, n: usize) -> Result<(), String> {
        let pairs = self.pairs_of(n);
        let any_cut = pairs.iter().any(|pair| self.links.get(pair).is_some_and(|link| !link.whole()));
        if !any_cut {
            self.report.count("island");
        }
        for (a, b) in pairs {
            if any_cut { self.heal(a, b) } else { self.break_link(a, b, true, true)? }
        }
        Ok(())
    }

    // ---- processes

    pub fn crash(&mut self, n: usize, soonest: u64, latest: u64) -> Result<(), String> {
        if !self.node(n).up {
            return Ok(());
        }
        self.report.count("crash");
        if !self.node(n).queue.is_empty() {
            self.report.count("crash with unsynced writes");
        }
        self.node_mut(n).crash();
        for (a, b) in self.pairs_of(n) {
            self.cut(a, b)?;
        }
        self.after(soonest, latest, Event::Restart(n));
        Ok(())
    }

    pub fn restart(&mut self, n: usize) -> Result<(), String> {
        if self.node(n).up || self.node(n).ended {
            return Ok(());
        }
        self.node_mut(n).restart();
        self.forget_drops(n);
        self.check_acknowledged(n)?;
        let life = self.node(n).life;
        for (a, b) in self.pairs_of(n) {
            self.redial(a, b, 500, 3_000);
        }
        self.after(0, 1, Event::Tell { node: n, life, input: Input::Tick });
        Ok(())
    }

    // ---- backups

    /// Somebody's backup runs.
    pub fn back_up(&mut self) {
        if self.calm() {
            return;
        }
        let n = self.dice.below(self.nodes.len());
        let node = self.node_mut(n);
        if node.up && !node.hostile {
            let copy = node.disk.clone();
            node.backups.push(copy);
            if node.backups.len() > BACKUPS_KEPT {
                node.backups.remove(0);
            }
        }
        let every = self.settings.busy_ms / 20;
        self.after(every / 2, every, Event::Backup);
    }

    // ---- the roster

    pub fn change_roster(&mut self) -> Result<(), String> {
        if self.calm() {
            return Ok(());
        }
        if self.league.forked() {
            self.join_fork();
        } else if let Some(change) = self.any_change() {
            let second = self.any_change().filter(|second| *second != change);
            let harmless = |change: &Change| {
                matches!(
                    change,
                    Change::Longer(_) | Change::AddKey(_) | Change::ReplaceKey(_) | Change::Border(..)
                )
            };
            match second.filter(|second| harmless(second) && harmless(&change) && self.dice.chance(250)) {
                Some(second) => self.publish_two(&change, &second),
                None => self.publish(&change),
            }
        }
        let every = self.settings.roster_every_ms;
        self.after(every / 2, every + every / 2, Event::Roster);
        Ok(())
    }

    fn join_fork(&mut self) {
        self.report.count("roster: fork joined");
        self.publish(&Change::Longer(1));
    }

    fn any_change(&mut self) -> Option<Change> {
        let members = self.league.members.len();
        let n = self.dice.below(members);
        let town = self.dice.below(self.league.size.towns);
        let other = self.dice.below(self.league.size.towns);
        let hub = self.league.hub();
        let above = if self.dice.chance(500) { hub } else { self.league.national() };
        let good = |n: usize| self.league.chain.head().good(&self.league.id(n));
        Some(match self.dice.below(12) {
            0 => Change::Longer(self.now.0 % 1_000 + 1),
            1..=3 if good(n) => Change::AddKey(n),
            4 | 5 if good(n) => Change::RetireKey(n),
            6 if good(n) => Change::ReplaceKey(n),
            7 | 8 => Change::Expel(self.somebody_to_expel()?),
            9 if self.nodes.len() < NODES_EVER => Change::Join(members),
            10 if town != other => Change::Border(town, other),
            10 | 11 if self.dice.chance(500) => Change::Move(town, above),
            _ => {
                let first = u8::try_from(self.dice.below(usize::from(ROOTS_EVER) - 3)).unwrap_or(0);
                Change::Roots(first)
            }
        })
    }

    /// Mostly one that breaks the rules; an honest one now and then, as long as enough are left and nothing that
    /// people were told is saved goes with it.
    fn somebody_to_expel(&mut self) -> Option<usize> {
        let head = self.league.chain.head();
        let good: Vec<usize> =
            (0..self.league.members.len()).filter(|n| head.good(&self.league.id(*n))).collect();
        let hostile: Vec<usize> =
            good.iter().copied().filter(|n| self.is_hostile_member(&self.league.id(*n))).collect();
        let towns = good.iter().filter(|n| self.league.is_town(**n) && !hostile.contains(n)).count();
        if !hostile.is_empty() && self.dice.chance(850) {
            return self.dice.pick(&hostile).copied();
        }
        let town = self.dice.below(self.league.size.towns);
        let may = towns > 2 && good.contains(&town) && self.dice.chance(300);
        let theirs: Vec<usize> = (0..self.nodes.len()).filter(|n| self.node(*n).member == town).collect();
        (may && !self.spares_last_copy("last copy: not expelled", &theirs, None)).then_some(town)
    }

    /// One version is published, and somebody's node is handed it with everything before it.
    pub fn publish(&mut self, change: &Change) {
        self.report.count(change.name());
        if let Change::Join(_) = change {
            self.league.enrol();
        }
        self.league.publish(change);
        if let Change::Join(n) = change {
            self.welcome(*n);
        }
        let chain = self.league.chain.clone();
        self.hand_out(&chain);
        // Nobody connects to whoever was expelled: a person hands it the version.
        if let Change::Expel(n) = change {
            let theirs = |node: &Node| node.member == *n && node.up && !node.hostile;
            let told: Vec<usize> = (0..self.nodes.len()).filter(|n| theirs(self.node(*n))).collect();
            told.into_iter().for_each(|n| self.take_rosters(n, chain.clone()));
        }
    }

    fn welcome(&mut self, n: usize) {
        self.numbers.insert(self.league.id(n), n);
        let random = u32::try_from(self.dice.draw() >> 32).unwrap_or(7);
        let mut disk = Disk::new(self.league.id(n), self.league.chain.clone()).begun_with(random);
        // Whoever joins installs the newest release.
        disk.rules = self.newest_rules();
        self.settle_in(Node::new(n, disk, false));
    }

    /// Two valid versions of one number, each handed to somebody.
    fn publish_two(&mut self, first: &Change, second: &Change) {
        self.report.count(first.name());
        self.report.count(second.name());
        self.report.count("roster: two of one version");
        let before = self.league.chain.clone();
        let beside = self.league.publish_two(first, second);
        let mut line = before;
        for signed in self.league.chain.versions_after(line.head().version) {
            if signed.hash() == self.league.chain.head().hash() {
                _ = line.add(signed.clone());
            }
        }
        self.hand_out(&line);
        self.hand_out(&beside);
    }

    /// Somebody puts every version of a chain into a node by hand, in their order.
    fn hand_out(&mut self, chain: &crate::roster::RosterChain) {
        let head = self.league.chain.head();
        // A town that has just joined is let in by nobody who was not told of it by others.
        let old = self.league.size.nodes();
        let stands = |node: &Node| node.up && !node.hostile && node.member < old && head.good(&node.disk.me);
        let may: Vec<usize> = (0..self.nodes.len()).filter(|n| stands(self.node(*n))).collect();
        let Some(n) = self.dice.pick(&may).copied() else { return };
        let mut held = self.node(n).disk.rosters.clone();
        for signed in chain.versions_after(0) {
            _ = held.add(signed.clone());
        }
        self.take_rosters(n, held);
    }

    // ---- the end of it

    /// The faults stop: every link heals, every node comes back, every fork of the roster is joined.
    pub fn become_calm(&mut self) -> Result<(), String> {
        self.begin_calm();
        for n in 0..self.nodes.len() {
            self.restart(n)?;
            self.node_mut(n).stuck_until = self.now;
            // Whoever started a copy beside the original is asked about it by now at the latest.
            if self.twin_of(n).is_some() {
                self.call_person(n);
            }
        }
        for (a, b) in self.pairs() {
            self.heal(a, b);
        }
        if self.league.forked() {
            self.join_fork();
        } else {
            let chain = self.league.chain.clone();
            self.hand_out(&chain);
        }
        Ok(())
    }
}
