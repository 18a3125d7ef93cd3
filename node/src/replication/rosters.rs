//! The node's roster chain while it runs: versions come from peers and from `cuadra join`, go to the
//! disk first, and are then in force everywhere at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use federation::handlers::{Later, Refusal, RosterHead, Rosters as RostersHandler};
use federation::keys::AcceptedKeys;
use protocol::ids::MemberId;
use protocol::roster::{Added, KeyPurpose, KeyState, Roster, RosterChain, RosterError, SignedRoster};
use tokio::sync::{Mutex, watch};

use super::OwnSide;
use crate::home::{HomeError, Rosters};
use crate::store::{Store, WriteError};

/// The chain, its files, and everything that changes with it.
#[derive(Clone)]
pub struct NodeRosters {
    files: Arc<Mutex<Rosters>>,
    store: Store,
    keys: AcceptedKeys,
    own: OwnSide,
    head: watch::Sender<RosterHead>,
}

/// Why a version was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// Its bytes do not parse.
    #[error("the roster does not parse")]
    Layout(#[from] protocol::wire::WireError),
    /// It breaks a rule.
    #[error("the roster was refused")]
    Refused(#[from] RosterError),
    /// It could not be kept.
    #[error("the roster could not be kept")]
    Home(#[from] HomeError),
    /// What hangs on it could not be brought up to date.
    #[error("the roster could not be put in force")]
    Store(#[from] WriteError),
}

impl NodeRosters {
    /// Over the files and the store, which hold the same chain.
    #[must_use]
    pub fn new(files: Rosters, store: Store, own: OwnSide) -> Self {
        let rosters = store.rosters();
        let keys = AcceptedKeys::new(accepted(rosters.head()));
        let head = watch::Sender::new(head_of(&rosters));
        Self { files: Arc::new(Mutex::new(files)), store, keys, own, head }
    }

    /// The TLS keys that the newest version accepts.
    #[must_use]
    pub fn keys(&self) -> AcceptedKeys {
        self.keys.clone()
    }

    /// Takes one signed version; true if the chain grew.
    pub async fn take_signed(&self, signed: &[u8]) -> Result<bool, TakeError> {
        let signed = SignedRoster::decode(signed)?;
        let mut files = self.files.lock().await;
        match files.add(signed)?? {
            Added::AlreadyHeld => Ok(false),
            added @ (Added::Head | Added::Fork) => {
                if added == Added::Fork {
                    tracing::error!("the federation's root keys signed two different rosters");
                }
                self.put_in_force(&files).await?;
                Ok(true)
            }
        }
    }

    /// Takes versions that were put into the folder beside this process, and keys of this node; true if
    /// there were any versions.
    pub async fn read_files(&self) -> Result<bool, TakeError> {
        let mut files = self.files.lock().await;
        if let Err(error) = self.own.look() {
            tracing::error!(%error, "the node's own keys could not be read again");
        }
        let grown = files.read_new()?;
        if grown {
            self.put_in_force(&files).await?;
        }
        Ok(grown)
    }

    async fn put_in_force(&self, files: &Rosters) -> Result<(), TakeError> {
        let Some(chain) = files.chain() else { return Ok(()) };
        // Before anything is signed under it: it may name a new key of this node, or retire the old one.
        if let Err(error) = self.own.follow(chain) {
            tracing::error!(%error, "the node's own keys could not be read again");
        }
        // Doors first: a revoked key's connections close while the rest is still being brought up to date.
        self.keys.replace(accepted(chain.head()));
        self.store.set_rosters(chain.clone()).await?;
        if let Err(error) = self.own.sign_contact() {
            tracing::error!(%error, "where this node is reached could not be signed again");
        }
        self.head.send_replace(head_of(chain));
        tracing::info!(version = chain.head().version, "a newer roster is in force");
        Ok(())
    }
}

impl RostersHandler for NodeRosters {
    fn head(&self) -> watch::Receiver<RosterHead> {
        self.head.subscribe()
    }

    fn after(&self, version: u64) -> Vec<(u64, Vec<u8>)> {
        let chain = self.store.rosters();
        // Where the chain forks, a peer at this version may lack the other one of the same number.
        let from = if chain.forks().is_empty() { version } else { version.saturating_sub(1) };
        let numbered = |signed: &&SignedRoster| chain.get(&signed.hash()).map(|roster| roster.version);
        let versions = chain.versions_after(from);
        versions.iter().filter_map(|signed| Some((numbered(signed)?, signed.encode()))).collect()
    }

    fn take(&self, from: MemberId, signed: Vec<u8>) -> Later<'_, Result<(), Refusal>> {
        Box::pin(async move {
            match self.take_signed(&signed).await {
                Ok(_) => Ok(()),
                // Honest: this peer follows a branch of which we lack the beginning.
                Err(TakeError::Refused(RosterError::UnknownPrevious | RosterError::TooManyForks)) => {
                    tracing::warn!(peer = %from, "a peer's roster follows one that is not here");
                    Ok(())
                }
                Err(error @ (TakeError::Layout(_) | TakeError::Refused(_))) => Err(Refusal::new(error)),
                Err(error @ (TakeError::Home(_) | TakeError::Store(_))) => {
                    tracing::error!(%error, "a newer roster could not be kept");
                    Ok(())
                }
            }
        })
    }
}

fn head_of(chain: &RosterChain) -> RosterHead {
    RosterHead { version: chain.head().version, hash: chain.head().hash() }
}

fn accepted(roster: &Roster) -> BTreeMap<[u8; 32], MemberId> {
    let mut accepted = BTreeMap::new();
    for member in roster.members().iter().filter(|member| member.is_good()) {
        let tls = member.keys.iter().filter(|key| key.purpose == KeyPurpose::Tls);
        accepted.extend(tls.filter(|key| key.state == KeyState::Active).map(|key| (key.public, member.id)));
    }
    accepted
}
