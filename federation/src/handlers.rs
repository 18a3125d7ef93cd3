//! What the transport asks of the node around it: rosters, frames and blobs.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use protocol::ids::{BlobId, MemberId, RosterHash};
use tokio::sync::watch;

use crate::lane::Lane;

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A peer's bytes that no honest node sends. Its connection is closed, and the reason kept for people.
#[derive(Debug, thiserror::Error)]
#[error("what a peer sent is refused")]
pub struct Refusal(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Refusal {
    /// Refused because of `cause`.
    pub fn new(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Box::new(cause))
    }
}

/// Which roster a node holds as its newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RosterHead {
    /// Its version.
    pub version: u64,
    /// Its hash.
    pub hash: RosterHash,
}

/// The node's chain of rosters. The transport carries the signed versions and never looks inside.
pub trait Rosters: Send + Sync + 'static {
    /// The newest roster held; changes as versions are added, from wherever they came.
    fn head(&self) -> watch::Receiver<RosterHead>;
    /// The signed versions after `version`, oldest first, each at most `ROSTER_BYTES_MAX`.
    fn after(&self, version: u64) -> Vec<(u64, Vec<u8>)>;
    /// Judges and keeps a signed version. Also right for one that is held already. A refusal closes
    /// the connection, so it is only for bytes that no honest node sends.
    fn take(&self, from: MemberId, signed: Vec<u8>) -> Later<'_, Result<(), Refusal>>;
}

/// Turns a peer's frames into what the loop works on: parses them and verifies signatures. It is called
/// from many tasks at once, so that this work spreads over the cores.
pub trait Decode: Send + Sync + 'static {
    /// What a frame becomes.
    type Frame: Send + 'static;
    /// Decodes one frame of `peer`.
    fn decode(&self, peer: MemberId, lane: Lane, bytes: &[u8]) -> Result<Self::Frame, Refusal>;
    /// What a frame was worth reading.
    fn worth(&self, frame: &Self::Frame) -> Worth {
        let _ = frame;
        Worth::Asked
    }
}

/// What a frame was worth reading: a peer pays for the rest with its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// It was asked for, or cost next to nothing.
    Asked,
    /// Envelopes that nobody asked for, good as far as can be told: free if something comes of them.
    Pushed,
    /// Something in it proves nothing.
    Worthless,
}

/// A blob's salt and content, as its commitment was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The salt.
    pub salt: [u8; 32],
    /// The content.
    pub content: Bytes,
}

/// The node's blobs.
pub trait BlobShelf: Send + Sync + 'static {
    /// The blob, if it is here. Whether a peer may have it was asked before.
    fn read(&self, blob: BlobId) -> Later<'_, Option<Blob>>;
}
