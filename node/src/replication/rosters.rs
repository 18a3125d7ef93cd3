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
    held: Arc<Mutex<Held>>,
    store: Store,
    keys: AcceptedKeys,
    own: OwnSide,
    head: watch::Sender<RosterHead>,
}

/// The chain on the disk.
struct Held {
    files: Rosters,
    /// True while it says more than what is in force.
    ahead: bool,
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
    /// The process is stopping.
    #[error("the node is stopping")]
    Stopping,
}

impl NodeRosters {
    /// Over the files and the store, which hold the same chain.
    #[must_use]
    pub fn new(files: Rosters, store: Store, own: OwnSide) -> Self {
        let rosters = store.rosters();
        let keys = AcceptedKeys::new(accepted(rosters.head()));
        let head = watch::Sender::new(head_of(&rosters));
        Self { held: Arc::new(Mutex::new(Held { files, ahead: false })), store, keys, own, head }
    }

    /// The TLS keys that the newest version accepts.
    #[must_use]
    pub fn keys(&self) -> AcceptedKeys {
        self.keys.clone()
    }

    /// Takes one signed version; true if the chain grew. Whoever stops waiting stops nothing: a version
    /// may close the connection that it came over, and is put in force all the same.
    pub async fn take_signed(&self, signed: &[u8]) -> Result<bool, TakeError> {
        let signed = SignedRoster::decode(signed)?;
        let rosters = self.clone();
        in_full(async move {
            let mut held = rosters.held.lock().await;
            let added = held.files.add(signed)??;
            if added == Added::Fork {
                tracing::error!("the federation's root keys signed two different rosters");
            }
            held.ahead |= added != Added::AlreadyHeld;
            rosters.put_in_force(&mut held).await?;
            Ok(added != Added::AlreadyHeld)
        })
        .await
    }

    /// Takes versions that were put into the folder beside this process, and keys of this node; true if
    /// there were any versions. What could not be put in force before is tried again.
    pub async fn read_files(&self) -> Result<bool, TakeError> {
        let rosters = self.clone();
        in_full(async move {
            let mut held = rosters.held.lock().await;
            if let Err(error) = rosters.own.look() {
                tracing::error!(%error, "the node's own keys could not be read again");
            }
            let grown = held.files.read_new()?;
            held.ahead |= grown;
            rosters.put_in_force(&mut held).await?;
            Ok(grown)
        })
        .await
    }

    /// Brings everything to the chain that the files make; does nothing where it is there already.
    async fn put_in_force(&self, held: &mut Held) -> Result<(), TakeError> {
        let Some(chain) = held.files.chain().filter(|_| held.ahead) else { return Ok(()) };
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
        held.ahead = false;
        Ok(())
    }
}

/// Runs to its end whether or not somebody waits for it.
async fn in_full<T: Send + 'static>(
    work: impl Future<Output = Result<T, TakeError>> + Send + 'static,
) -> Result<T, TakeError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(TakeError::Stopping),
        },
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
                Err(error @ (TakeError::Home(_) | TakeError::Store(_) | TakeError::Stopping)) => {
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use protocol::fixture::Federation;
    use protocol::ids::Millis;

    use super::*;
    use crate::home::Home;
    use crate::store::Opening;

    /// Node 0's rosters over a folder with keys of its own.
    fn open(folder: &std::path::Path, federation: &Federation) -> NodeRosters {
        let home = Home::at(folder);
        home.make_folders().unwrap();
        home.make_keys().unwrap();
        let opening = Opening {
            folder: folder.to_owned(),
            clock: Arc::new(|| Millis(1_000)),
            hand: federation.hand(0),
            rosters: federation.rosters.clone(),
            time_zone: jiff::tz::TimeZone::UTC,
            ballast_bytes: 4_096,
            pages_max: None,
        };
        let store = Store::open(opening).unwrap();
        let mut files = home.rosters().unwrap();
        for version in federation.rosters.versions_after(0) {
            files.add(version.clone()).unwrap().unwrap();
        }
        let own = OwnSide::start(home.clone(), store.clone(), &home.keyring().unwrap()).unwrap();
        NodeRosters::new(files, store, own)
    }

    #[tokio::test]
    async fn a_roster_that_ends_the_connection_it_came_over_is_put_in_force_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut federation = Federation::new(2);
        let rosters = open(folder.path(), &federation);
        federation.revoke(1);
        let head = federation.rosters.head();
        let signed = federation.rosters.signed(&head.hash()).unwrap().encode();
        let mut in_force = rosters.head();
        // The connection's tasks are stopped as soon as its key is no longer accepted.
        assert!(rosters.take_signed(&signed).now_or_never().is_none(), "it waits for the disk");
        let placed = in_force.wait_for(|now| now.hash == head.hash());
        tokio::time::timeout(std::time::Duration::from_secs(20), placed).await.expect("in force").unwrap();
        assert_eq!(rosters.store.rosters().head().hash(), head.hash());
    }
}
