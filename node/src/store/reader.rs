//! Reading: a pool of connections beside the writer, each read inside one snapshot.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use protocol::ids::MemberId;
use rusqlite::Connection;

use crate::store::calendar::Calendar;
use crate::store::keys::Keys;
use crate::store::tx::step;
use crate::store::{Shared, WriteError};

/// One consistent view of what is stored.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    db: &'a Connection,
    keys: &'a Connection,
    shared: &'a Shared,
}

impl<'a> Reader<'a> {
    pub(super) fn new(db: &'a Connection, keys: &'a Connection, shared: &'a Shared) -> Self {
        Self { db, keys, shared }
    }
    pub(super) fn db(&self) -> &'a Connection {
        self.db
    }
    pub(super) fn shared(&self) -> &'a Shared {
        self.shared
    }
    /// This node.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.shared.member
    }
    /// Days and months where this node is.
    #[must_use]
    pub fn calendar(&self) -> &'a Calendar {
        &self.shared.calendar
    }
    /// The keys.
    #[must_use]
    pub fn keys(&self) -> Keys<'a> {
        Keys::new(self.keys)
    }
}

/// A reader's two connections.
pub(super) struct Pair {
    pub(super) db: Connection,
    pub(super) keys: Connection,
}

/// The pool.
pub(super) struct Readers {
    idle: Mutex<Vec<Pair>>,
    back: Condvar,
    shared: Arc<Shared>,
}

impl Readers {
    pub(super) fn new(pairs: Vec<Pair>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { idle: Mutex::new(pairs), back: Condvar::new(), shared })
    }

    /// Runs `work` on one of the connections, on a thread that may block.
    pub(super) async fn read<T, E, F>(self: &Arc<Self>, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<WriteError> + Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, E> + Send + 'static,
    {
        let readers = self.clone();
        let outcome = tokio::task::spawn_blocking(move || readers.run(work)).await;
        outcome.unwrap_or_else(|_| Err(WriteError::Broken("a read panicked".into()).into()))
    }

    /// Runs `work` on this thread. For callers that may block, such as the replica's shelf.
    pub(super) fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        E: From<WriteError>,
        F: FnOnce(&Reader<'_>) -> Result<T, E>,
    {
        self.run_on(self.lease(), work)
    }

    fn run_on<T, E, F>(&self, lease: Lease<'_>, work: F) -> Result<T, E>
    where
        E: From<WriteError>,
        F: FnOnce(&Reader<'_>) -> Result<T, E>,
    {
        step(&lease.db, "BEGIN").map_err(WriteError::from)?;
        work(&Reader::new(&lease.db, &lease.keys, &self.shared))
    }

    /// One snapshot for several reads. Waits for an idle pair.
    pub(super) fn snapshot(self: &Arc<Self>) -> Snapshot {
        Snapshot { readers: self.clone(), pair: self.lease().pair.take(), begun: false }
    }

    /// As [`Readers::read`], for a look-up of a few rows by key: on the calling thread if a connection is
    /// idle, because waking another one takes longer than the look-up.
    pub(super) async fn look_up<T, E, F>(self: &Arc<Self>, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<WriteError> + Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, E> + Send + 'static,
    {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(pair) => self.run_on(Lease { readers: self, pair: Some(pair) }, work),
            None => self.read(work).await,
        }
    }

    /// Ends what a pair was reading and lets others have it.
    fn give_back(&self, pair: Pair) {
        if !pair.db.is_autocommit()
            && let Err(error) = step(&pair.db, "ROLLBACK")
        {
            tracing::error!(%error, "a read could not be ended");
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(pair);
        self.back.notify_one();
    }

    /// Waits for an idle pair; reads are short.
    fn lease(&self) -> Lease<'_> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(pair) = idle.pop() {
                return Lease { readers: self, pair: Some(pair) };
            }
            idle = self.back.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Puts a pair back when the read ends, however it ends.
struct Lease<'a> {
    readers: &'a Readers,
    pair: Option<Pair>,
}

impl std::ops::Deref for Lease<'_> {
    type Target = Pair;
    fn deref(&self) -> &Pair {
        self.pair.as_ref().expect("taken only when dropped")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(pair) = self.pair.take() {
            self.readers.give_back(pair);
        }
    }
}

/// What is committed, as at its first read, until it is dropped.
pub struct Snapshot {
    readers: Arc<Readers>,
    pair: Option<Pair>,
    begun: bool,
}

impl Snapshot {
    /// Reads on this thread.
    pub fn read<T, E, F>(&mut self, work: F) -> Result<T, E>
    where
        E: From<WriteError>,
        F: FnOnce(&Reader<'_>) -> Result<T, E>,
    {
        let pair = self.pair.as_ref().expect("taken only when dropped");
        if !self.begun {
            step(&pair.db, "BEGIN").map_err(WriteError::from)?;
            self.begun = true;
        }
        work(&Reader::new(&pair.db, &pair.keys, &self.readers.shared))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Some(pair) = self.pair.take() {
            self.readers.give_back(pair);
        }
    }
}
