//! Retired documents whose contents are dropped after a while, at some nodes sooner, at some never: who
//! lacks something of them is answered `gone`.

use super::settings::NEVER_MS;
use super::world::{Event, World};
use crate::ids::{DocId, EnvelopeId, MemberId, Millis};
use crate::message::Message;
use crate::replica::Input;

/// Time between two looks at what is over its retention, in ms.
const LOOK_EVERY_MS: u64 = 1_000;

/// How long after the faults nodes go on dropping, in ms.
const DROPPED_AFTER_CALM_MS: u64 = 60_000;

/// Nodes that keep what is retired for longer than a run, of 1,000.
const KEEPERS_PER_MILLE: u64 = 400;

/// Stores that a replica may still ask for once it was told that a document was dropped: of what was
/// waiting when it was.
const STORES_AFTER_DROP_MAX: u32 = 1;

/// What a run knows of dropped documents.
#[derive(Debug, Default)]
pub(super) struct Retention {
    keepers: std::collections::BTreeSet<usize>,
    /// When a node drops a document.
    drops_at: std::collections::BTreeMap<(usize, DocId), Millis>,
    /// What a node dropped, with the stores that it asked for since it was told; none before.
    dropped: std::collections::BTreeMap<(usize, DocId), Option<u32>>,
}

impl World {
    pub fn begin_retention(&mut self) {
        if self.settings.retention_ms < NEVER_MS {
            self.at(LOOK_EVERY_MS, Event::Retention);
        }
    }

    /// A node takes its place: some keep everything.
    pub fn draw_keeper(&mut self, n: usize) {
        if self.late_dice.chance(KEEPERS_PER_MILLE) {
            self.retention.keepers.insert(n);
        }
    }

    /// Every node drops what has come to the end of its retention.
    pub fn drop_retired(&mut self) -> Result<(), String> {
        for n in 0..self.nodes.len() {
            let node = self.node(n);
            if !node.up || node.hostile || node.closing || self.retention.keepers.contains(&n) {
                continue;
            }
            let retired = node.disk.documents.iter().filter(|(_, filed)| filed.fold.retired.is_some());
            let retired: Vec<DocId> = retired.map(|(doc, _)| *doc).collect();
            for doc in retired {
                let wait = Millis(self.late_dice.between(0, self.settings.retention_ms));
                let at = self.now.plus(wait);
                if *self.retention.drops_at.entry((n, doc)).or_insert(at) <= self.now {
                    self.drop_contents(n, doc);
                }
            }
        }
        if self.calm_for().is_none_or(|calm| calm.0 < DROPPED_AFTER_CALM_MS) {
            self.at(LOOK_EVERY_MS, Event::Retention);
        }
        Ok(())
    }

    pub fn drop_contents(&mut self, n: usize, doc: DocId) {
        self.report.count("contents dropped");
        let node = self.node_mut(n);
        node.disk.drop_contents(&doc);
        let life = node.life;
        self.retention.dropped.insert((n, doc), None);
        let told = self.late_dice.between(0, 5);
        self.at(told, Event::Tell { node: n, life, input: Input::Dropped { doc } });
    }

    /// A replica was told that a document was dropped.
    pub fn note_told_dropped(&mut self, n: usize, input: &Input) {
        if let Input::Dropped { doc } = input {
            self.retention.dropped.insert((n, *doc), Some(0));
        }
    }

    /// A node came back with another disk: it may hold what it had dropped, and drops it anew. Or it came
    /// back with the same, and its replica has seen what is on it.
    pub fn forget_drops(&mut self, n: usize) {
        self.retention.drops_at.retain(|(other, _), _| *other != n);
        self.retention.dropped.retain(|(other, _), _| *other != n);
        let dropped: Vec<DocId> = self.node(n).disk.kept.dropped.keys().copied().collect();
        self.retention.dropped.extend(dropped.into_iter().map(|doc| ((n, doc), Some(0))));
    }

    /// What was dropped does not come back: it is not asked for, and not taken in.
    pub fn check_store_wanted(&mut self, n: usize, doc: &DocId) -> Result<(), String> {
        if let Some(Some(asked)) = self.retention.dropped.get_mut(&(n, *doc)) {
            *asked += 1;
            if *asked > STORES_AFTER_DROP_MAX {
                return Err(format!("node {n} takes in {doc}, which it has dropped"));
            }
        }
        Ok(())
    }

    /// Of what is dropped the retire is told and nothing else, and nobody but whom it was for. None if the
    /// document is not dropped at this node.
    pub fn check_told_of_dropped(
        &self,
        n: usize,
        peer: &MemberId,
        doc: &DocId,
        message: &Message,
    ) -> Option<Result<(), String>> {
        let node = self.node(n);
        let dropped = node.disk.kept.dropped.get(doc)?;
        let ours = |ids: &[EnvelopeId]| ids == [dropped.retire.id()];
        let says = if let Message::Have(have) = message {
            ours(&have.heads)
        } else {
            matches!(message, Message::Gone(gone) if ours(&[gone.retire.id()]))
        };
        let told = self.retention.dropped.get(&(n, *doc)).is_none_or(Option::is_some);
        let may = dropped.audience.contains(peer) && dropped.audience.contains(&node.disk.me);
        let what = message.name();
        Some(if told && !(says && may) {
            Err(format!(
                "node {n} sent a {what} of what it has dropped, more than its retire or to a stranger"
            ))
        } else {
            Ok(())
        })
    }

    /// True for a document of which a node that counts has dropped the contents.
    pub fn dropped_somewhere(&self, doc: &DocId) -> bool {
        self.counted().any(|(_, node)| node.disk.kept.dropped.contains_key(doc))
    }

    /// True if one of two nodes was told by the other that it has dropped a document.
    pub fn gone_between(&self, a: usize, b: usize, doc: &DocId) -> bool {
        let noted = |n: usize, peer: usize| {
            self.node(n).disk.kept.gone.contains_key(&(self.node(peer).disk.me, *doc))
        };
        noted(a, b) || noted(b, a)
    }

    /// True if a node was told by anybody that a document is gone.
    pub fn heard_of_gone(&self, n: usize, doc: &DocId) -> bool {
        self.node(n).disk.kept.gone.keys().any(|(_, other)| other == doc)
    }
}
