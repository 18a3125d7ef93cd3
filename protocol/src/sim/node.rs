//! One simulated node: a disk, a replica above it, a writer whose queue a crash forgets, and a clock
//! that need not be right.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::disk::Disk;
use crate::admission::Refusal;
use crate::author::Draft;
use crate::digest::Fingerprint;
use crate::ids::{DocId, EnvelopeId, MemberId, Millis};
use crate::message::InlineBlob;
use crate::proof::Proof;
use crate::replica::{Arrival, Replica};

/// Something that waits for the writer.
#[derive(Debug)]
pub enum Write {
    /// An operation of this node's own.
    Local {
        /// The document; none for a genesis.
        doc: Option<DocId>,
        /// What to say.
        draft: Draft,
        /// Its blobs.
        blobs: Vec<InlineBlob>,
    },
    /// What came from peers.
    Store {
        /// The document.
        doc: DocId,
        /// The envelopes.
        envelopes: Vec<Arrival>,
        /// Small blobs.
        blobs: Vec<InlineBlob>,
        /// Proofs of equivocation.
        proofs: Vec<Proof>,
    },
    /// A blob that was fetched.
    Blob(InlineBlob),
    /// A rejection.
    Refusal(EnvelopeId, Refusal),
    /// A peer confirmed a document.
    ClearDue(MemberId, DocId, Fingerprint),
    /// A peer lacks documents.
    SetDue(MemberId, Vec<DocId>),
}

/// One node.
#[derive(Debug)]
pub struct Node {
    /// Whose node this is, by the member's number.
    pub member: usize,
    /// What survives.
    pub disk: Disk,
    /// What a crash forgets.
    pub replica: Replica,
    /// What waits to be written.
    pub queue: VecDeque<Write>,
    /// Lives lived: what was meant for an earlier one is lost.
    pub life: u64,
    /// False between a crash and the restart.
    pub up: bool,
    /// When it is next woken, in the world's time.
    pub wake_at: Option<Millis>,
    /// How far its wall clock is from the world's time, in ms.
    pub wall_ms: i64,
    /// The same for the clock that its replica is handed: the wall's at the start of this life.
    pub clock_ms: i64,
    /// How long a commit takes at most, in ms.
    pub commit_ms: u64,
    /// Until when its disk is stuck.
    pub stuck_until: Millis,
    /// Copies of its disk, oldest first.
    pub backups: Vec<Disk>,
    /// Own envelopes that a person was told are saved, with their documents.
    pub acknowledged: BTreeMap<EnvelopeId, DocId>,
    /// True once a backup was put back in the place of a newer state.
    pub restored: bool,
    /// True if it does not follow the rules, although its key is good.
    pub hostile: bool,
    /// True if it was started beside its original.
    pub copy: bool,
    /// True once it was put back without the mark that lies outside the backup set.
    pub mark_lost: bool,
    /// What it took for a twin's.
    pub evidence: BTreeSet<EnvelopeId>,
    /// True while a person is on the way to find out who else signs as this node.
    pub person_called: bool,
    /// True from when a person wants it switched off: nobody works at it any more.
    pub closing: bool,
    /// True once it was switched off for good.
    pub ended: bool,
    /// What a person was told is saved at a twin that was switched off: it has to turn up here.
    pub inherited: BTreeMap<EnvelopeId, DocId>,
}

/// A time as a clock says that is so far from the world's.
fn told(now: Millis, off_ms: i64) -> Millis {
    Millis(now.0.saturating_add_signed(off_ms))
}

impl Node {
    /// Starts with this disk.
    #[must_use]
    pub fn new(member: usize, disk: Disk, hostile: bool) -> Node {
        let replica = Replica::new(disk.me, disk.rosters.clone()).knowing(disk.rules);
        Node {
            member,
            disk,
            replica,
            queue: VecDeque::new(),
            life: 0,
            up: true,
            wake_at: None,
            wall_ms: 0,
            clock_ms: 0,
            commit_ms: 10,
            stuck_until: Millis(0),
            backups: Vec::new(),
            acknowledged: BTreeMap::new(),
            restored: false,
            hostile,
            copy: false,
            mark_lost: false,
            evidence: BTreeSet::new(),
            person_called: false,
            closing: false,
            ended: false,
            inherited: BTreeMap::new(),
        }
    }

    /// What its wall clock says.
    #[must_use]
    pub fn wall(&self, now: Millis) -> Millis {
        told(now, self.wall_ms)
    }

    /// What its replica is told that the time is.
    #[must_use]
    pub fn clock(&self, now: Millis) -> Millis {
        told(now, self.clock_ms)
    }

    /// Loses everything but the disk.
    pub fn crash(&mut self) {
        self.queue.clear();
        self.life += 1;
        self.up = false;
        self.wake_at = None;
    }

    /// Comes back with what is on the disk.
    pub fn restart(&mut self) {
        self.replica = Replica::new(self.disk.me, self.disk.rosters.clone()).knowing(self.disk.rules);
        self.clock_ms = self.wall_ms;
        // What a crash left unhashed is hashed while it runs.
        self.disk.unhashed.set(3);
        self.up = true;
    }
}
