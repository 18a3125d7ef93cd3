//! Starts the endpoint and its tasks, and stops them again.

use std::net::SocketAddr;
use std::sync::Arc;

use protocol::ids::{BlobId, DocId, MemberId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::accept::accept_all;
use crate::blob::{self, FetchError};
use crate::close::CloseCode;
use crate::context::{Context, Identity, Timing};
use crate::dial::{Contacts, dial_all};
use crate::driver::{Core, Driver};
use crate::endpoint::{Endpoint, StartError};
use crate::handlers::{Blob, BlobShelf, Decode, Rosters};
use crate::keys::{AcceptedKeys, OwnKeys};
use crate::limits::{BLOB_ASKS_MAX, COMMANDS_MAX, EVENTS_MAX, FETCH_TIME_MAX, FETCHES_MAX, GOODBYE_MAX};
use crate::links::{Connections, Links};
use crate::peers::{DoorCounters, PeerBoard, Peers};

/// How this node takes part.
#[derive(Debug, Clone)]
pub struct Settings {
    /// UDP address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Who this node is.
    pub identity: Identity,
    /// Its TLS key.
    pub own_keys: OwnKeys,
    /// How long things take.
    pub timing: Timing,
    /// Spreads this node's waits from other nodes'.
    pub seed: u64,
}

/// What the node around provides.
pub struct Handlers<D> {
    /// Its chain of rosters.
    pub rosters: Arc<dyn Rosters>,
    /// Decodes frames.
    pub decode: D,
    /// Its blobs.
    pub blobs: Arc<dyn BlobShelf>,
}

/// The running federation. Dropping it leaves the tasks running; call [`Federation::stop`].
pub struct Federation<C: Core> {
    handle: Handle<C>,
    endpoint: Endpoint,
    stopping: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the node around asks of the running federation; cheap to clone.
pub struct Handle<C: Core> {
    commands: mpsc::Sender<C::Command>,
    connections: watch::Receiver<Connections>,
    contacts: watch::Sender<Contacts>,
    fetches: Arc<Semaphore>,
    board: PeerBoard,
    door: Arc<DoorCounters>,
    local: SocketAddr,
}

impl<C: Core> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            connections: self.connections.clone(),
            contacts: self.contacts.clone(),
            fetches: self.fetches.clone(),
            board: self.board.clone(),
            door: self.door.clone(),
            local: self.local,
        }
    }
}

impl<C: Core> Federation<C> {
    /// Binds the socket and starts the loop, the acceptor and the dialler. Needs a tokio runtime with
    /// more than one thread.
    pub fn start<D: Decode<Frame = C::Frame>>(
        settings: Settings,
        keys: AcceptedKeys,
        handlers: Handlers<D>,
        mut core: C,
    ) -> Result<Self, StartError> {
        let Settings { listen, identity, own_keys, timing, seed } = settings;
        let endpoint = Endpoint::bind(listen, own_keys, keys.clone(), identity.member)?;
        let local =
            endpoint.quinn.local_addr().map_err(|cause| StartError::Bind { address: listen, cause })?;
        let (stopping, stop) = watch::channel(false);
        let (events, events_taken) = mpsc::channel(EVENTS_MAX);
        let (commands, commands_taken) = mpsc::channel(COMMANDS_MAX);
        let (blob_asks, blob_asks_taken) = mpsc::channel(BLOB_ASKS_MAX);
        let (connections, connected) = watch::channel(Connections::new());
        let (contacts, contacts_read) = watch::channel(Contacts::new());
        let Handlers { rosters, decode, blobs } = handlers;
        let context = Arc::new(Context::new(
            identity,
            timing,
            endpoint.clone(),
            keys,
            rosters,
            decode,
            blobs,
            events,
            blob_asks,
            stop,
        ));
        let handle = Handle {
            commands,
            connections: connected,
            contacts,
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
            board: context.board.clone(),
            door: context.door.clone(),
            local,
        };
        core.begin(handle.clone());
        let links = Links::new(context.board.clone(), connections, context.clock);
        let driver = Driver {
            context: context.clone(),
            links,
            events: events_taken,
            commands: commands_taken,
            blob_asks: blob_asks_taken,
            core,
            alarm_at: None,
        };
        let runtime = tokio::runtime::Handle::current();
        let tasks = vec![
            tokio::task::spawn_blocking(move || runtime.block_on(driver.run())),
            tokio::spawn(accept_all(context.clone())),
            tokio::spawn(dial_all(context.clone(), contacts_read, seed)),
        ];
        Ok(Self { handle, endpoint, stopping, tasks })
    }

    /// A handle for the node around.
    #[must_use]
    pub fn handle(&self) -> Handle<C> {
        self.handle.clone()
    }

    /// Connections that are open right now, those that are still being judged included.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.endpoint.quinn.open_connections()
    }

    /// Says goodbye to every peer and returns once every task has ended and the address is free.
    pub async fn stop(self) {
        self.stopping.send_replace(true);
        let code = quinn::VarInt::from_u32(CloseCode::Goodbye.number());
        self.endpoint.quinn.close(code, b"Goodbye");
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the federation failed");
            }
        }
        _ = timeout(GOODBYE_MAX, self.endpoint.free()).await;
    }
}

/// The federation has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the federation has stopped")]
pub struct Stopped;

impl<C: Core> Handle<C> {
    /// Gives the core a command, waiting for room among those before it.
    pub async fn command(&self, command: C::Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }

    /// The same without waiting; gives the command back where there is no room, or the loop has ended.
    pub fn try_command(&self, command: C::Command) -> Result<(), C::Command> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(command) | TrySendError::Closed(command) => command,
        })
    }

    /// Replaces the list of whom to keep a connection with. Those no longer on it are not dialled any
    /// more; a connection that is up stays.
    pub fn set_contacts(&self, contacts: Contacts) {
        self.contacts.send_replace(contacts);
    }

    /// What is known of every peer now, and a signal when that changes.
    #[must_use]
    pub fn peers(&self) -> watch::Receiver<Peers> {
        self.board.watch()
    }

    /// Counts of what never became a connection of a known peer.
    #[must_use]
    pub fn door(&self) -> Arc<DoorCounters> {
        self.door.clone()
    }

    /// The UDP address listened on.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Fetches a blob that `doc` names from whichever of `holders` is or becomes connected. What is
    /// handed over matches its commitment.
    pub async fn fetch(&self, doc: DocId, blob: BlobId, holders: &[MemberId]) -> Result<Blob, FetchError> {
        let Ok(_place) = self.fetches.acquire().await else { return Err(FetchError::Unreachable) };
        blob::fetch(&mut self.connections.clone(), doc, blob, holders, FETCH_TIME_MAX).await
    }
}
