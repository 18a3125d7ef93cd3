//! Opening a node from its folder: configuration, keys, roster, territory, store and use cases. The
//! running node and the commands that look into it go through here.

use std::path::Path;

use config::territory::TerritoryError;
use config::{Config, Territory};
use ed25519_dalek::SigningKey;
use protocol::author::Hand;
use protocol::roster::RosterChain;

use crate::desk::Desk;
use crate::home::{Home, HomeError, Keyring};
use crate::rotation::own_member;
use crate::store::{Clock, OpenError, Opening, Store, machine_clock};

/// A node whose store is open.
pub struct Opened {
    /// Its folder of data.
    pub home: Home,
    /// Its keys.
    pub keys: Keyring,
    /// Its use cases, and below them its store.
    pub desk: Desk,
}

/// Why a node could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its keys, its incarnation or its roster.
    #[error("the node's keys or its roster cannot be used")]
    Home(#[from] HomeError),
    /// It has not joined a federation.
    #[error("this node has no roster yet; take one with `cuadra join ROSTER-FILE`")]
    NoRoster,
    /// The roster does not list its key.
    #[error("the roster does not list this node; send member-request.json to the holders of the root keys")]
    NotListed,
    /// The time zone is not known to this machine.
    #[error("the time zone {0} is not known to this machine")]
    TimeZone(String, #[source] jiff::Error),
    /// An official boundary.
    #[error("the territory cannot be read")]
    Territory(#[from] TerritoryError),
    /// The databases.
    #[error("the database cannot be opened")]
    Store(#[from] OpenError),
}

impl Opened {
    /// Opens the node that `config` describes. Blocks.
    ///
    /// # Errors
    /// As [`NodeError`] says; nothing runs then.
    pub fn open(config: Config) -> Result<Opened, NodeError> {
        Self::open_at(config, machine_clock())
    }

    /// As [`Opened::open`], by another clock.
    ///
    /// # Errors
    /// As [`NodeError`] says; nothing runs then.
    pub fn open_at(config: Config, clock: Clock) -> Result<Opened, NodeError> {
        let home = Home::at(&config.storage.folder);
        let keys = home.keyring()?;
        let rosters = home.rosters()?;
        let chain = rosters.chain().ok_or(NodeError::NoRoster)?;
        let hand = hand(chain, &keys, &home)?;
        let zone = config.node.time_zone.as_str();
        let time_zone = jiff::tz::TimeZone::get(zone);
        let time_zone = time_zone.map_err(|error| NodeError::TimeZone(zone.to_owned(), error))?;
        let territory = Territory::from_config(&config)?;
        let store = Store::open(Opening {
            folder: home.folder().to_owned(),
            clock,
            hand,
            rosters: chain.clone(),
            time_zone,
            ballast_bytes: config.storage.ballast_bytes,
            pages_max: None,
        })?;
        store.set_own_keys(keys.envelope_keys());
        Ok(Opened { home, keys, desk: Desk::new(store, config, territory) })
    }
}

/// With what the node signs. A node whose keys were all revoked opens too: it shows what it holds.
fn hand(chain: &RosterChain, ring: &Keyring, home: &Home) -> Result<Hand, NodeError> {
    let member = own_member(chain, ring).ok_or(NodeError::NotListed)?;
    let (held, incarnation) = (ring.envelope_keys(), home.incarnation()?);
    if let Some(hand) = Hand::under(chain.head(), member.id, &held, incarnation) {
        return Ok(hand);
    }
    let known = |key: &SigningKey| {
        let public = key.verifying_key().to_bytes();
        member.keys.iter().find(|listed| listed.public == public).map(|listed| listed.index)
    };
    let (key_index, key) =
        held.into_iter().rev().find_map(|key| Some((known(&key)?, key))).ok_or(NodeError::NotListed)?;
    Ok(Hand { member: member.id, key_index, key, incarnation })
}

/// Where people find the node: its configured origin, with the port that was really taken if the
/// configuration leaves it to the system.
#[must_use]
pub fn base_url(config: &Config, port: u16) -> String {
    let origin = config.http.origin.as_str();
    if config.http.listen.port() != 0 {
        return origin.to_owned();
    }
    let scheme = if config.http.origin.is_https() { "https" } else { "http" };
    let host = config.http.origin.host();
    // Port 0 is known only while the node runs.
    if port == 0 { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") }
}

/// The file in which a running node says where it is, for commands beside it.
#[must_use]
pub fn address_file(folder: &Path) -> std::path::PathBuf {
    folder.join("running.json")
}
