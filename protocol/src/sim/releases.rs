//! A later release: the roster activates its rules while some nodes do not know them, and one node after
//! another is upgraded, the last ones after the faults have stopped.

use super::league::Change;
use super::node::Node;
use super::world::{Event, World};
use crate::envelope::RULES_VERSION;
use crate::ids::{EnvelopeId, MemberId};
use crate::message::Message;
use crate::replica::{Arrival, Held};

/// The rules that the later release knows.
pub(super) const LATER_RULES: u16 = RULES_VERSION + 1;

impl World {
    pub fn begin_releases(&mut self) {
        if self.settings.upgrades {
            let busy = self.settings.busy_ms;
            let at = self.late_dice.between(busy / 8, busy / 2);
            self.at(at, Event::Activate);
        }
    }

    /// The roster activates the rules of the later release, and the upgrades begin.
    pub fn activate(&mut self) {
        if self.league.forked() {
            self.at(1_000, Event::Activate);
            return;
        }
        self.publish(&Change::Rules(LATER_RULES));
        for n in 0..self.nodes.len() {
            let wait = self.late_dice.between(0, self.settings.busy_ms);
            self.at(wait, Event::Upgrade(n));
        }
    }

    /// The newest rules that any release knows by now.
    pub fn newest_rules(&self) -> u16 {
        self.league.chain.head().rules_version
    }

    /// Every node of a member is upgraded: stopped, and started as the later release.
    pub fn upgrade(&mut self, n: usize) -> Result<(), String> {
        let me = self.node(n).disk.me;
        for n in 0..self.nodes.len() {
            let node = self.node_mut(n);
            if node.disk.me != me || node.disk.rules == LATER_RULES || node.ended {
                continue;
            }
            node.disk.rules = LATER_RULES;
            self.report.count("upgraded");
            self.crash(n, 100, 2_000)?;
        }
        Ok(())
    }

    /// An envelope without a verdict is kept by whoever cannot judge it, and by nobody else.
    pub fn hold(&mut self, n: usize, held: Held) -> Result<(), String> {
        let wall = self.node(n).wall(self.now);
        let node = self.node_mut(n);
        if held.envelope.header().rules_version <= node.disk.rules {
            return Err(format!("node {n} holds what it could judge"));
        }
        node.disk.kept.hold(wall, held);
        self.report.count("held without a verdict");
        Ok(())
    }

    /// What was held comes into the store.
    pub fn note_judged(&mut self, n: usize, arrivals: &[Arrival]) {
        let kept = &self.node(n).disk.kept;
        if arrivals.iter().any(|arrival| kept.holds(&arrival.envelope.id())) {
            self.report.count("held and judged later");
        }
    }

    /// Nobody is told of what is held but who holds it too, and that only as what it need not send again.
    pub fn check_held_not_told(&self, n: usize, peer: &MemberId, message: &Message) -> Result<(), String> {
        let kept = &self.node(n).disk.kept;
        let mut ids: Vec<&EnvelopeId> = Vec::new();
        if let Message::Have(have) = message {
            ids.extend(&have.heads);
        } else if let Message::Want(want) = message {
            let has = |id: &EnvelopeId, node: &Node| {
                let held = || node.disk.documents.values().any(|filed| filed.document.contains(id));
                node.hostile || node.restored || node.disk.kept.holds(id) || held()
            };
            let theirs = |id: &EnvelopeId| {
                self.nodes.iter().filter(|node| node.disk.me == *peer).any(|node| has(id, node))
            };
            ids.extend(want.ids.iter().chain(want.held.iter().filter(|id| !theirs(id))));
        }
        // What it could judge is on its way into the store, or was and failed.
        match ids.into_iter().find(|id| kept.waits(id, self.node(n).disk.rules)) {
            None => Ok(()),
            Some(id) => Err(format!("node {n} told of {id} in a {}, which it only holds", message.name())),
        }
    }

    /// A node of an older release than the others', or one that has not judged what it can.
    pub fn not_upgraded(&self, n: usize, node: &Node) -> Option<String> {
        if node.disk.rules < self.newest_rules() {
            return Some(format!("node {n} runs an older release"));
        }
        let left = node.disk.kept.ready(node.disk.rules).next()?;
        Some(format!("node {n} knows the rules of {} and still holds it", left.envelope.id()))
    }
}
