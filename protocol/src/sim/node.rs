//! One simulated node: a disk, a replica above it, and a writer whose queue a crash forgets.

use std::collections::VecDeque;

use super::disk::Disk;
use crate::admission::Refusal;
use crate::author::Draft;
use crate::digest::Fingerprint;
use crate::ids::{DocId, EnvelopeId, MemberId, Millis};
use crate::message::InlineBlob;
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
    /// When it is next woken.
    pub wake_at: Option<Millis>,
}

impl Node {
    /// Starts with an empty disk.
    #[must_use]
    pub fn new(disk: Disk) -> Node {
        let replica = Replica::new(disk.me, disk.rosters.clone());
        Node { disk, replica, queue: VecDeque::new(), life: 0, up: true, wake_at: None }
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
        self.replica = Replica::new(self.disk.me, self.disk.rosters.clone());
        self.up = true;
    }
}
