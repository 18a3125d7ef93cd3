//! Opening a node from its folder: configuration, keys, roster, territory, store and use cases. The
//! running node and the commands that look into it go through here.

use std::path::Path;

use config::territory::TerritoryError;
use config::{Config, Territory};
use protocol::author::Hand;
use protocol::ids::KeyIndex;
use protocol::roster::{KeyPurpose, Member, RosterChain};

use crate::desk::Desk;
use crate::home::{Home, HomeError, NodeKeys};
use crate::store::{Clock, OpenError, Opening, Store, machine_clock};

/// A node whose store is open.
pub struct Opened {
    /// Its folder of data.
    pub home: Home,
    /// Its keys.
    pub keys: NodeKeys,
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
        let keys = home.keys()?;
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
        Ok(Opened { home, keys, desk: Desk::new(store, config, territory) })
    }

    /// With what the node signs: for the store's writer, and for its own contact record.
    ///
    /// # Errors
    /// [`NodeError::NotListed`] if the roster does not list this node's key.
    pub fn hand(&self) -> Result<Hand, NodeError> {
        hand(&self.desk.store().rosters(), &self.keys, &self.home)
    }
}

/// The member of the newest roster that has this envelope key.
#[must_use]
pub fn own_member<'a>(chain: &'a RosterChain, envelope: &[u8; 32]) -> Option<&'a Member> {
    let has = |member: &&Member| member.keys.iter().any(|key| key.public == *envelope);
    chain.head().members().iter().find(has)
}

/// With what the node signs.
fn hand(chain: &RosterChain, keys: &NodeKeys, home: &Home) -> Result<Hand, NodeError> {
    let public = keys.envelope.verifying_key().to_bytes();
    let member = own_member(chain, &public).ok_or(NodeError::NotListed)?;
    let own = member.keys.iter().find(|key| key.public == public && key.purpose == KeyPurpose::Envelope);
    let key_index: KeyIndex = own.ok_or(NodeError::NotListed)?.index;
    Ok(Hand { member: member.id, key_index, key: keys.envelope.clone(), incarnation: home.incarnation()? })
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
