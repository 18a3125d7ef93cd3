//! What a run did: figures, and how often each kind of operation and of trouble was really played.

use std::collections::BTreeMap;

use crate::operation::{Operation, op_type};

/// Every kind of trouble that runs can play, by its name in the table.
pub const TROUBLE: &[&str] = &[
    "message lost",
    "message twice",
    "message late",
    "message into a cut",
    "link cut",
    "link cut one way",
    "island",
    "crash",
    "crash with unsynced writes",
    "long sleep",
    "store failed",
    "slow disk",
    "stuck disk",
    "clock off",
    "clock jumped",
    "tick that nobody asked for",
    "restore",
    "restore amid a handoff",
    "restore amid a takeover",
    "restore without its mark",
    "copy beside its original",
    "twin noticed",
    "twin stopped",
    "unlocked by a person",
    "own word sealed under a new key",
    "opened without a valid key",
    "roster: longer",
    "roster: key added",
    "roster: key retired",
    "roster: key revoked and replaced",
    "roster: expelled",
    "roster: joined",
    "roster: neighbours changed",
    "roster: authority changed",
    "roster: root keys changed",
    "roster: two of one version",
    "roster: fork joined",
    "roster: three versions at once",
    "hostile: spoiled copy",
    "hostile: withheld",
    "hostile: withheld for good",
    "hostile: roster kept back",
    "hostile: 65 generations",
    "hostile: forged",
    "hostile: lied about heads",
    "hostile: shown to a stranger",
    "hostile: equivocated",
    "hostile: equivocating owner",
    "hostile: backdated",
    "hostile: accomplice chain",
    "proof held",
    "contents dropped",
    "answered gone",
    "kept without what is gone",
    "roster: later rules",
    "upgraded",
    "held without a verdict",
    "held and judged later",
    "takeover against an owner that lives",
    "sixteen nodes",
    "five hostile",
];

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events played.
    pub events: u64,
    /// Messages sent.
    pub messages: u64,
    /// Messages lost, with connections or without.
    pub lost: u64,
    /// Operations that were sealed and stored.
    pub written: u64,
    /// Operations that the rules refused when their turn came.
    pub refused: u64,
    /// Documents at the end.
    pub documents: u64,
    /// Envelopes at the end.
    pub envelopes: u64,
    /// Envelopes rejected by a receiver.
    pub rejected: u64,
    /// Copies that were dropped and blamed on a hostile member.
    pub blamed: u64,
    /// Equal digests.
    pub in_step: u64,
    /// Members that did not follow the rules.
    pub hostile: u64,
    /// Members proven to say two things in one place of their chain, per document, at the end.
    pub proofs: u64,
    /// Most envelopes that any node had parked.
    pub parked: u64,
    /// Virtual time from the end of the faults until everybody held the same, in ms.
    pub settled_ms: u64,
    /// How often each operation was written and each kind of trouble was played.
    pub played: BTreeMap<&'static str, u64>,
    /// How often each operation was refused when its turn came.
    pub skipped: BTreeMap<&'static str, u64>,
}

impl Report {
    /// Notes that something was played.
    pub(super) fn count(&mut self, what: &'static str) {
        *self.played.entry(what).or_insert(0) += 1;
    }

    pub(super) fn wrote(&mut self, operation: &Operation) {
        self.written += 1;
        self.count(operation.name());
    }

    pub(super) fn refuse(&mut self, operation: &Operation) {
        self.refused += 1;
        *self.skipped.entry(operation.name()).or_insert(0) += 1;
    }

    /// How often something was played, by its name in the table.
    #[must_use]
    pub fn times(&self, what: &str) -> u64 {
        self.played.get(what).copied().unwrap_or(0)
    }

    /// Everything that runs can play: every operation, then every kind of trouble.
    pub fn everything() -> impl Iterator<Item = &'static str> {
        op_type::TABLE.iter().map(|row| row.0).chain(TROUBLE.iter().copied())
    }

    /// Adds another run to the sum. Of what is a largest value, the larger one stays.
    pub fn add(&mut self, other: &Report) {
        self.events += other.events;
        self.messages += other.messages;
        self.lost += other.lost;
        self.written += other.written;
        self.refused += other.refused;
        self.documents += other.documents;
        self.envelopes += other.envelopes;
        self.rejected += other.rejected;
        self.blamed += other.blamed;
        self.in_step += other.in_step;
        self.hostile += other.hostile;
        self.proofs += other.proofs;
        self.parked = self.parked.max(other.parked);
        self.settled_ms = self.settled_ms.max(other.settled_ms);
        for (what, count) in &other.played {
            *self.played.entry(what).or_insert(0) += count;
        }
        for (what, count) in &other.skipped {
            *self.skipped.entry(what).or_insert(0) += count;
        }
    }
}
