//! What this node is to its peers under the newest roster: the keys that it signs and connects with, and
//! its own contact record. Followed at the start and with every roster that comes into force.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use federation::keys::{NodeKey, OwnKeys, TlsError};
use protocol::contact::SignedContact;
use protocol::roster::{KeyPurpose, RosterChain};

use super::Contacts;
use crate::home::{HeldKey, Home, HomeError, Keyring};
use crate::rotation::{own_member, to_show};
use crate::store::Store;

/// Follows the rosters with this node's own keys. Clones share everything.
#[derive(Clone)]
pub struct OwnSide {
    home: Home,
    store: Store,
    link: OwnKeys,
    /// Names of the key files that were read.
    seen: Arc<Mutex<Vec<OsString>>>,
    contact: Arc<OnceLock<OwnContact>>,
}

/// Where this node is reached.
struct OwnContact {
    contacts: Contacts,
    addresses: Vec<String>,
}

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OwnKeyError {
    /// Reading or writing them.
    #[error("the node's keys cannot be read")]
    Home(#[from] HomeError),
    /// The TLS library.
    #[error("the node's TLS key cannot be used")]
    Tls(#[from] TlsError),
}

impl OwnSide {
    /// With the keys that are in the folder now.
    pub fn start(home: Home, store: Store, ring: &Keyring) -> Result<Self, OwnKeyError> {
        let newest = ring.of(KeyPurpose::Tls).next_back().and_then(HeldKey::signing);
        let newest = newest.expect("a keyring has a TLS key");
        // For a node that was expelled: its peers refuse it, its people go on.
        let link = OwnKeys::one(NodeKey::from_seed(newest.as_bytes())?);
        let side = Self { home, store, link, seen: Arc::default(), contact: Arc::default() };
        side.follow(&side.store.rosters())?;
        Ok(side)
    }

    /// The TLS keys to show, for the link to other nodes.
    #[must_use]
    pub fn link_keys(&self) -> OwnKeys {
        self.link.clone()
    }

    /// Reads the keys again if others lie in the folder than before: a peer with a newer roster may know
    /// this node by a new key alone, and hand that roster over only to it.
    pub fn look(&self) -> Result<(), OwnKeyError> {
        if *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == self.home.secret_names()? {
            return Ok(());
        }
        self.follow(&self.store.rosters())
    }

    /// Takes up the keys that a roster names, before it is put in force: new ones may lie in the folder
    /// since `cuadra keys rotate`.
    pub fn follow(&self, chain: &RosterChain) -> Result<(), OwnKeyError> {
        // Names first: a key that comes in between is seen as new the next time.
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = self.home.secret_names()?;
        let ring = self.home.keyring()?;
        self.store.set_own_keys(ring.envelope_keys());
        self.link.replace(shown(chain, &ring)?);
        Ok(())
    }

    /// Keeps the node's own contact record: signs it now, if it is not what the record says already, and
    /// again whenever another key signs.
    pub fn keep_contact(&self, contacts: &Contacts, addresses: Vec<String>) -> Result<(), HomeError> {
        // Set once, at the only start.
        let _ = self.contact.set(OwnContact { contacts: contacts.clone(), addresses });
        self.sign_contact()
    }

    /// Signs where this node is reached, if its record says something else or another key signed it.
    pub fn sign_contact(&self) -> Result<(), HomeError> {
        let Some(OwnContact { contacts, addresses }) = self.contact.get() else { return Ok(()) };
        let Some(hand) = self.store.hand(self.home.incarnation()?) else { return Ok(()) };
        let held = contacts.of(&self.store.member());
        let current = |record: &SignedContact| {
            let held = record.unverified();
            held.addresses == *addresses && held.key_index == hand.key_index
        };
        if addresses.is_empty() || held.as_ref().is_some_and(current) {
            return Ok(());
        }
        // Milliseconds grow from start to start, whatever became of the older record.
        let version = held.map_or(0, |held| held.unverified().version + 1).max(self.store.now().0);
        let federation = self.store.rosters().federation();
        contacts.keep(SignedContact::seal(federation, version, addresses.clone(), &hand))
    }
}

/// The keys to show as the link takes them; none where the roster does not list this node.
fn shown(chain: &RosterChain, ring: &Keyring) -> Result<Vec<NodeKey>, TlsError> {
    let member = own_member(chain, ring);
    let keys = member.map(|member| to_show(member, ring)).unwrap_or_default();
    keys.iter().map(|key| NodeKey::from_seed(key.as_bytes())).collect()
}
