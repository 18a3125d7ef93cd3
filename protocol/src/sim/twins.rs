//! Backups that are put back, in the place of a disk or beside it, with the mark of generations or without,
//! and the person who comes when a node says that somebody else signs as it.

use super::disk::Disk;
use super::node::Node;
use super::world::{Event, World};
use crate::author::Lock;
use crate::fold::Fold;
use crate::ids::{DocId, EnvelopeId};

/// Times out of 1,000 that the mark is lost with the disk.
const MARK_LOST_PER_MILLE: u64 = 250;

/// The same for a node that was restored before.
const MARK_LOST_AGAIN_PER_MILLE: u64 = 700;

/// Copies that may run beside their originals in one run.
const TWINS_EVER: usize = 2;

impl World {
    /// A copy of a disk made ready to start: with a new generation, and with what lies outside the
    /// backup set as it is now. With the mark lost, the seconds of the restore stand in for it, and the
    /// copy knows only those generations that it knew then.
    fn made_ready(&mut self, n: usize, mark_lost: bool) -> Option<Disk> {
        let backups = self.node(n).backups.clone();
        // Whoever lost the mark has an old copy rather than a new one.
        let picked = if mark_lost { backups.first() } else { self.dice.pick(&backups) };
        let mut disk = picked.cloned()?;
        let random = u32::try_from(self.dice.draw() >> 32).unwrap_or(7);
        disk.rosters = self.node(n).disk.rosters.clone();
        disk.rules = self.node(n).disk.rules;
        if mark_lost {
            let seconds = self.node(n).wall(self.now).0 / 1_000;
            disk.restore(u32::try_from(seconds).unwrap_or(u32::MAX).saturating_sub(1), random);
        } else {
            disk.drawn = self.node(n).disk.drawn.clone();
            disk.restore(self.node(n).disk.mark, random);
        }
        disk.set_rosters(disk.rosters.clone());
        Some(disk)
    }

    fn count_lost_mark(&mut self, mark_lost: bool) {
        if mark_lost {
            self.report.count("restore without its mark");
        }
    }

    /// Puts a backup in the place of a node's disk.
    pub fn restore(&mut self, n: usize) -> Result<(), String> {
        // Only what was said since an earlier restore can be forgotten altogether.
        let again = self.node(n).restored;
        let mark_lost = self.dice.chance(if again { MARK_LOST_AGAIN_PER_MILLE } else { MARK_LOST_PER_MILLE });
        self.restore_with(n, mark_lost)
    }

    /// As [`World::restore`], with the mark of generations or without. A node that holds the last copy of what
    /// a twin told people is left as it is.
    pub fn restore_with(&mut self, n: usize, mark_lost: bool) -> Result<(), String> {
        let node = self.node(n);
        if !node.up || node.hostile || node.closing {
            return Ok(());
        }
        let Some(disk) = self.made_ready(n, mark_lost) else { return Ok(()) };
        if self.spares_last_copy("last copy: not restored", &[n], Some(&disk)) {
            return Ok(());
        }
        self.report.count("restore");
        self.count_lost_mark(mark_lost);
        for what in self.amid(n, &disk) {
            self.report.count(what);
        }
        self.crash(n, 500, 4_000)?;
        let lost = self
            .node(n)
            .disk
            .documents
            .iter()
            .filter(|(doc, now)| disk.filed(doc).is_none_or(|then| then.set != now.set));
        let dropped = self.node(n).disk.kept.dropped.keys();
        let lost: Vec<DocId> = lost.map(|(doc, _)| doc).chain(dropped).copied().collect();
        self.checks.forgotten.extend(lost.into_iter().map(|doc| (n, doc)));
        self.forget_drops(n);
        let node = self.node_mut(n);
        node.disk = disk;
        node.restored = true;
        node.mark_lost |= mark_lost;
        let disk = &node.disk;
        let kept =
            |doc: &DocId, id: &EnvelopeId| disk.filed(doc).is_some_and(|filed| filed.document.contains(id));
        node.acknowledged.retain(|id, doc| kept(doc, id));
        Ok(())
    }

    /// What a node is in the middle of, by what it holds or by what is put in its place.
    fn amid(&self, n: usize, copy: &Disk) -> Vec<&'static str> {
        let me = copy.me;
        let handing = |fold: &Fold| fold.offer.is_some_and(|offer| fold.owner == me || offer.to == me);
        let taking =
            |fold: &Fold| fold.takeover.is_some_and(|offer| fold.authority == Some(me) || offer.to == me);
        let disks = [&self.node(n).disk, copy];
        let any = |is: &dyn Fn(&Fold) -> bool| {
            disks.iter().flat_map(|disk| disk.documents.values()).any(|filed| is(&filed.fold))
        };
        let mut amid = Vec::new();
        amid.extend(any(&handing).then_some("restore amid a handoff"));
        amid.extend(any(&taking).then_some("restore amid a takeover"));
        amid
    }

    // ---- twins

    /// Another node of the same member that was not switched off for good.
    pub fn twin_of(&self, n: usize) -> Option<usize> {
        let me = self.node(n).disk.me;
        let mut others = self.nodes.iter().enumerate();
        others
            .find(|(other, node)| *other != n && node.disk.me == me && !node.ended && !self.node(n).ended)
            .map(|(other, _)| other)
    }

    /// Starts a restored copy beside its original: on another machine, so without its mark, or beside it
    /// in another folder.
    pub fn start_twin(&mut self, n: usize) {
        let node = self.node(n);
        let twins = self.nodes.iter().filter(|node| node.copy).count();
        let may = node.up && !node.hostile && !node.ended && !node.closing;
        if !may || twins >= TWINS_EVER || self.twin_of(n).is_some() {
            return;
        }
        let mark_lost = self.dice.chance(500);
        let Some(disk) = self.made_ready(n, mark_lost) else { return };
        self.report.count("copy beside its original");
        self.count_lost_mark(mark_lost);
        let mut copy = Node::new(self.node(n).member, disk, false);
        (copy.restored, copy.mark_lost, copy.copy) = (true, mark_lost, true);
        let copy = self.settle_in(copy);
        self.forget_drops(copy);
    }

    /// A node says that somebody else signs as it: it writes in nothing older until a person has come.
    pub fn notice_twin(&mut self, n: usize, evidence: EnvelopeId) -> Result<(), String> {
        let me = self.node(n).disk.me;
        let of_me = |node: &&Node| node.disk.me == me;
        let copied = self.nodes.iter().filter(of_me).count() > 1;
        if !copied && !self.node(n).mark_lost {
            return Err(format!("node {n} takes {evidence} for a twin's and has none"));
        }
        self.report.count(if copied { "twin noticed" } else { "forgotten word taken for a twin's" });
        let node = self.node_mut(n);
        node.evidence.insert(evidence);
        node.disk.lock_all(Lock::Twin);
        self.call_person(n);
        Ok(())
    }

    pub fn call_person(&mut self, n: usize) {
        if !self.node(n).person_called {
            self.node_mut(n).person_called = true;
            self.after(5_000, 60_000, Event::Person(n));
        }
    }

    /// Whatever a node takes in that it never wrote was noticed.
    pub fn check_noticed(&self, n: usize, doc: &DocId, new: &[EnvelopeId]) -> Result<(), String> {
        let node = self.node(n);
        let Some(filed) = node.disk.filed(doc).filter(|_| !node.hostile) else { return Ok(()) };
        let strange = |id: &&EnvelopeId| {
            filed.document.envelope(id).is_some_and(|envelope| {
                let header = envelope.header();
                header.author == node.disk.me
                    && !node.disk.drawn.contains(&header.incarnation)
                    && !node.evidence.contains(id)
            })
        };
        match new.iter().find(strange) {
            None => Ok(()),
            Some(id) => Err(format!("node {n} did not notice that a twin wrote {id}")),
        }
    }

    /// A person finds out who else signs as this node. Of two copies one is switched off for good, once
    /// nothing would be lost with it, and the other goes on.
    pub fn person_comes(&mut self, n: usize) -> Result<(), String> {
        self.node_mut(n).person_called = false;
        if self.node(n).ended {
            return Ok(());
        }
        let Some(other) = self.twin_of(n) else {
            self.unlock(n);
            return Ok(());
        };
        let closing = [n, other].into_iter().find(|n| self.node(*n).closing);
        let off = closing.unwrap_or(if self.dice.chance(500) { n } else { other });
        let on = if off == n { other } else { n };
        self.node_mut(off).closing = true;
        let busy = !self.node(off).up || !self.node(off).queue.is_empty() || self.would_lose(off);
        if busy || self.spares_last_copy("last copy: not switched off", &[off], None) {
            self.node_mut(n).person_called = true;
            self.after(3_000, 5_000, Event::Person(n));
            return Ok(());
        }
        self.report.count("twin stopped");
        self.node_mut(off).ended = true;
        self.node_mut(off).crash();
        for (a, b) in self.pairs_of(off) {
            self.cut(a, b)?;
        }
        let mut left = std::mem::take(&mut self.node_mut(off).acknowledged);
        left.append(&mut self.node_mut(off).inherited);
        // Where it was retired meanwhile, nobody takes a word in any more: that one ends with its twin.
        let told = |(id, doc): &(EnvelopeId, DocId)| {
            let holds = |node: &Node| node.disk.filed(doc).is_some_and(|filed| filed.document.contains(id));
            self.others_of(off, doc).any(|node| holds(node) || node.disk.kept.dropped.contains_key(doc))
        };
        let shared = left.into_iter().filter(told);
        let shared: Vec<(EnvelopeId, DocId)> = shared.collect();
        self.node_mut(on).inherited.extend(shared);
        self.unlock(on);
        Ok(())
    }

    fn unlock(&mut self, n: usize) {
        if !self.node(n).disk.locks.is_empty() {
            self.report.count("unlocked by a person");
            let random = u32::try_from(self.dice.draw() >> 32).unwrap_or(7);
            self.node_mut(n).disk.unlock_all(random);
        }
    }

    /// Nodes of other members that follow the rules, run, and may hold a document.
    fn others_of<'a>(&'a self, n: usize, doc: &'a DocId) -> impl Iterator<Item = &'a Node> + 'a {
        let head = self.league.chain.head();
        let audience = self.node(n).disk.filed(doc).map(|filed| &filed.fold.audience);
        self.nodes.iter().filter(move |node| {
            let may = audience.is_some_and(|audience| audience.entitled(&node.disk.me));
            may && node.disk.me != self.node(n).disk.me
                && !node.hostile
                && !node.ended
                && head.good(&node.disk.me)
        })
    }

    /// True while a node holds something of its own, or of a twin's before it, that nobody else holds who could
    /// pass it on.
    fn would_lose(&self, n: usize) -> bool {
        let node = self.node(n);
        node.acknowledged.iter().chain(&node.inherited).any(|word| {
            let mut others = self.others_of(n, word.1).peekable();
            others.peek().is_some() && !others.any(|node| saves(&node.disk, word))
        })
    }

    /// Whatever takes a disk away (a restore, a person who switches a node off, an expulsion) asks this first:
    /// true, and counted, if the last copy of what a stopped twin told people would go with it.
    pub fn spares_last_copy(&mut self, what: &'static str, going: &[usize], left: Option<&Disk>) -> bool {
        let last = self.would_end(going, left);
        if last {
            self.report.count(what);
            self.remarks.push(format!("{what}: nodes {going:?}"));
        }
        last
    }

    /// True if what a stopped twin told people would be nowhere any more from where it can turn up, once these
    /// nodes are gone, or hold no more than what is `left`.
    fn would_end(&self, going: &[usize], left: Option<&Disk>) -> bool {
        // Whoever goes for good has nothing to come to it any more.
        let stays = |n: usize| left.is_some() || !going.contains(&n);
        let heirs = self.counted().filter(|(heir, _)| stays(*heir));
        let mut owed = heirs.flat_map(|(heir, node)| node.inherited.iter().map(move |word| (heir, word)));
        owed.any(|(heir, word)| {
            let keeps = |n: usize, disk: &Disk| saves(disk, word) && (n == heir || tells(disk, word.1));
            let loses =
                |n: &usize| keeps(*n, &self.node(*n).disk) && !left.is_some_and(|left| keeps(*n, left));
            let mut others = self.counted().filter(|(other, _)| !going.contains(other));
            going.iter().any(loses) && !others.any(|(other, node)| keeps(other, &node.disk))
        })
    }

    /// At the end, what a twin told people is saved is at the one that went on.
    pub fn check_inherited(&self, n: usize) -> Result<(), String> {
        let node = self.node(n);
        let turned_up =
            |word: (&EnvelopeId, &DocId)| saves(&node.disk, word) || self.heard_of_gone(n, word.1);
        if node.inherited.iter().all(turned_up) {
            return Ok(());
        }
        Err(format!("node {n} lacks what its twin told people is saved"))
    }
}

/// True if a word is on a disk, or what ends it: its document was retired, or dropped after that.
fn saves(disk: &Disk, (id, doc): (&EnvelopeId, &DocId)) -> bool {
    disk.filed(doc).is_some_and(|filed| filed.document.contains(id) || filed.fold.retired.is_some())
        || disk.kept.dropped.contains_key(doc)
}

/// False for a disk whose node is out of a document by what it holds of it: such a node tells nobody.
fn tells(disk: &Disk, doc: &DocId) -> bool {
    disk.filed(doc).is_none_or(|filed| filed.fold.audience.entitled(&disk.me))
}
