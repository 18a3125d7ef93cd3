//! The use cases. Everything a person or the command line may ask of this node is a method of
//! [`Desk`]; it alone decides who may do what. It knows no HTTP and no SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use config::settings::Config;
use config::territory::Territory;
use federation::close::CloseCode;
use federation::peers::{DoorCounters, PeerCounters};
use protocol::author::SealError;
use protocol::ids::{Code, DocId, MemberId, Millis};
use protocol::replica::Fault;
use protocol::roster::{Role as MemberRole, RosterChain};
use tokio::sync::broadcast;

use crate::store::{AppendError, Committed, Missed, PersonId, Store, WriteError};

mod above;
mod alerts;
mod answer;
mod correct;
mod duplicates;
mod erase;
mod media;
mod notices;
mod people;
mod place;
mod reach;
mod refer;
mod release;
mod retire;
mod show;
mod takeover;

pub use alerts::{FilledAlert, Fix, NewAlert, NewCall};
pub use answer::Solved;
pub use media::{Media, MediaError, PictureFault};
pub use notices::{NewNotice, NewWords};
pub use people::{FilledHousehold, JoinForm, SignInError, SignedIn};
pub use reach::Reach;
pub use takeover::{TakeOver, Vouch};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// Nobody is signed in.
    Nobody,
    /// A registered neighbour.
    Resident(PersonId),
    /// Somebody at the desk.
    Operator(PersonId),
}

impl Viewer {
    /// The person, if one is signed in.
    #[must_use]
    pub fn person(self) -> Option<PersonId> {
        match self {
            Viewer::Nobody => None,
            Viewer::Resident(person) | Viewer::Operator(person) => Some(person),
        }
    }

    /// As the audit names them.
    fn audit_name(self) -> String {
        match self {
            Viewer::Nobody => "nobody".into(),
            Viewer::Resident(person) => format!("resident {}", person.0),
            Viewer::Operator(person) => format!("operator {}", person.0),
        }
    }
}

/// Why something was not done. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// It does not exist, or not for this viewer: the two are never told apart.
    #[error("it does not exist, or not for this viewer")]
    NotFound,
    /// This is for somebody else's role.
    #[error("this is for somebody else's role")]
    NotForYou,
    /// The incident is not in a state in which this can be done, or not by this node.
    #[error("it cannot be done in the state that the incident is in")]
    NotNow,
    /// Whoever drafted it may not send it too.
    #[error("a second person has to do this")]
    SecondPerson,
    /// A field is missing or wrong.
    #[error("the field {0} is missing or wrong")]
    Field(&'static str),
    /// The rules of the federation do not allow it here and now.
    #[error("the rules do not allow it now")]
    Rules(#[source] SealError),
    /// The store failed.
    #[error("it could not be stored")]
    Store(#[from] WriteError),
}

impl From<AppendError> for ActError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Seal(error) => ActError::Rules(error),
            AppendError::Store(error) => ActError::Store(error),
        }
    }
}

/// State of the link to a peer, as the federation's driver tells it.
#[derive(Debug, Clone, Default)]
pub struct Link {
    /// `connected`, `connecting` or `away`.
    pub state: LinkState,
    /// Since when.
    pub since: Millis,
    /// When an equal digest last proved both in step.
    pub in_step: Option<Millis>,
    /// Documents that the digest covers.
    pub shared_documents: u64,
    /// Copies of it that proved nothing, since this node started: forged or spoiled on the way.
    pub faults: BTreeMap<Fault, u64>,
    /// What was wrong with the last of them.
    pub last_fault: Option<Fault>,
    /// What the transport counts of it.
    pub counters: Arc<PeerCounters>,
}

impl Link {
    /// Copies of it that proved nothing, and connections that it made this node close.
    #[must_use]
    pub fn offences(&self) -> u64 {
        let accusing = CloseCode::ALL.into_iter().filter(|code| code.accuses());
        self.faults.values().sum::<u64>() + accusing.map(|code| self.counters.closed(code)).sum::<u64>()
    }

    /// What was wrong last, or why its connections were closed.
    #[must_use]
    pub fn last_offence(&self) -> Option<String> {
        let closed = |code: &CloseCode| code.accuses() && self.counters.closed(*code) > 0;
        let code = || CloseCode::ALL.into_iter().find(closed).map(|code| format!("{code:?}"));
        self.last_fault.map(|fault| fault.to_string()).or_else(code)
    }
}

/// What replication counts over all peers, for its gauges.
#[derive(Debug, Default)]
pub struct ReplicationGauges {
    /// Envelopes parked now.
    pub parked: AtomicUsize,
    /// Their bytes.
    pub parked_bytes: AtomicUsize,
    /// What never became a connection of a known peer.
    pub door: OnceLock<Arc<DoorCounters>>,
}

/// Whether a peer can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkState {
    /// A connection is up and welcomed.
    Connected,
    /// Being dialled.
    Connecting,
    /// No connection.
    #[default]
    Away,
}

/// The use cases of this node; cheap to clone.
#[derive(Clone)]
pub struct Desk {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    config: Config,
    territory: Territory,
    links: RwLock<BTreeMap<MemberId, Link>>,
    gauges: Arc<ReplicationGauges>,
    /// Who has read which reporter since the start, so that a page that refreshes itself is one read.
    read: Mutex<BTreeSet<(PersonId, DocId)>>,
}

impl Desk {
    /// Over an open store.
    #[must_use]
    pub fn new(store: Store, config: Config, territory: Territory) -> Desk {
        let (links, gauges, read) = (RwLock::default(), Arc::default(), Mutex::default());
        let inner = Inner { store, config, territory, links, gauges, read };
        Desk { inner: Arc::new(inner) }
    }

    /// What replication counts over all peers.
    #[must_use]
    pub fn gauges(&self) -> &Arc<ReplicationGauges> {
        &self.inner.gauges
    }

    /// The link to every peer as the federation's driver told it last.
    #[must_use]
    pub fn links(&self) -> BTreeMap<MemberId, Link> {
        self.inner.links.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The node's configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The territories that this node knows.
    #[must_use]
    pub fn territory(&self) -> &Territory {
        &self.inner.territory
    }

    /// Told by the federation's driver: the state of the link to a peer.
    pub fn set_link(&self, peer: MemberId, link: Link) {
        self.inner.links.write().unwrap_or_else(PoisonError::into_inner).insert(peer, link);
    }

    /// Events after a number, for a page that was away.
    pub async fn events_after(&self, number: u64) -> Result<Missed, WriteError> {
        self.store().read(move |r| r.events_after(number)).await
    }

    /// Number of the newest event.
    pub async fn last_event(&self) -> Result<u64, WriteError> {
        self.store().read(|r| r.last_event()).await
    }

    /// Every commit from now on.
    #[must_use]
    pub fn commits(&self) -> broadcast::Receiver<Committed> {
        self.store().commits()
    }

    fn us(&self) -> MemberId {
        self.store().member()
    }

    fn rosters(&self) -> Arc<RosterChain> {
        self.store().rosters()
    }

    /// Codes that this node answers for, as the roster says.
    fn own_codes(&self) -> Vec<Code> {
        let rosters = self.rosters();
        rosters.head().member(&self.us()).map(|member| member.codes.clone()).unwrap_or_default()
    }

    /// True if this node takes residents and alerts.
    fn is_municipal(&self) -> bool {
        self.rosters().head().has_role(&self.us(), MemberRole::Municipal)
    }

    /// Name of a member; its id's first digits if it is unknown.
    fn member_name(&self, id: &MemberId) -> String {
        let name = self.rosters().head().member(id).map(|member| member.name.clone());
        name.unwrap_or_else(|| id.to_string().get(..8).unwrap_or_default().to_owned())
    }

    /// Name of a jurisdiction: the node's own word for its own, else the official one.
    fn place_name(&self, code: Code) -> String {
        let own = self.config().node.jurisdictions.iter().find(|own| own.code == code);
        let own = own.map(|own| own.name.as_str().to_owned());
        own.or_else(|| self.territory().name(code).map(str::to_owned)).unwrap_or_else(|| code.to_string())
    }
}

#[cfg(test)]
mod tests;
