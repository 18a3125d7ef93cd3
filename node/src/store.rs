//! The store: the node's log and everything derived from it, in SQLite. The only place with SQL.
//!
//! One thread writes ([`Store::write`]), a few connections read ([`Store::read`]). A write is answered
//! only after its commit; nothing is shown, sent or acknowledged before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use ed25519_dalek::SigningKey;
use protocol::author::Hand;
use protocol::document::Document;
use protocol::envelope::{AdmittedEnvelope, RULES_VERSION};
use protocol::ids::{DocId, EnvelopeId, MemberId, Millis};
use protocol::roster::RosterChain;
use rusqlite::Connection;
use tokio::sync::{broadcast, watch};

mod alerts;
mod arrivals;
mod audit;
mod ballast;
mod blobs;
mod calendar;
mod check;
mod checkpoint;
mod connect;
mod copy;
mod digests;
mod documents;
mod duplicates;
mod erasure;
mod events;
mod fault;
mod figures;
mod hand;
mod held;
mod incidents;
mod keys;
pub mod limits;
mod locks;
mod notices;
mod parsed;
mod people;
mod proofs;
mod queue;
mod reader;
mod rebuild;
mod retention;
mod retire;
mod schema;
pub mod seal;
mod shelf;
mod spare;
mod takeovers;
mod tx;
mod writer;

pub use alerts::{AlertRow, Visibility};
pub use audit::{AuditEntry, AuditRow, BrokenChain};
pub use blobs::{Blob, BlobNotes, StagedBlob};
pub use calendar::Calendar;
pub use check::check_files;
pub use copy::{copy_database, forget_unreadable, large_blobs};
pub use documents::{AppendError, Arrival, Taken};
pub use events::{Committed, Event, Missed, What};
pub use fault::{OpenError, WriteError};
pub use figures::{Figures, FiguresKey, sorted_values};
pub use held::HeldIncident;
pub use incidents::{Asked, IncidentRow};
pub use notices::{DraftFor, DraftRow, NoticeDraft, NoticeRow, NoticeWords};
pub use people::{CodeFor, HouseholdId, NewPerson, PersonId, PersonRow, Profile, Role, SessionRow};
pub use queue::IncidentQuery;
pub use reader::{Reader, Snapshot};
pub use retire::RetireCursor;
pub use takeovers::TakeoverCounts;
pub use tx::Tx;
pub use writer::Queue;

use ballast::{BALLAST, free_bytes, lay_ballast};
use checkpoint::Checkpoints;
use connect::{connect, connect_one, connect_reader, connect_writer, wait_for_others};
use limits::{BUSY_MS_MAX, COMMITS_LAG_MAX, DERIVED_AT_ONCE, READERS_MAX, RED_LINE_BYTES, RED_LINE_PAGES};
use reader::Readers;
use seal::Key;
use spare::SpareKeys;
use writer::Queues;

/// What time it is; handed in so that tests and fills can say.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// The machine's clock.
#[must_use]
pub fn machine_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    })
}

/// Gives a node a quota of database pages where its opening has none.
pub const PAGES_MAX_VARIABLE: &str = "CUADRA_DATABASE_PAGES_MAX";

fn pages_max_given() -> Option<u32> {
    std::env::var(PAGES_MAX_VARIABLE).ok()?.parse().ok()
}

/// How to open a store.
pub struct Opening {
    /// The node's folder; `node.db`, `keys.db` and `blobs/` live in it.
    pub folder: PathBuf,
    /// What time it is.
    pub clock: Clock,
    /// Who this node is and with what it signs.
    pub hand: Hand,
    /// The roster chain that it holds.
    pub rosters: RosterChain,
    /// Where its days and months begin.
    pub time_zone: jiff::tz::TimeZone,
    /// Size of the file that is deleted when the disk is full, so that alerts still find room; 0 for none.
    pub ballast_bytes: u64,
    /// Most pages that `node.db` may have, for nodes with a quota and to show what a full disk does.
    /// Without one, the number in the environment variable `CUADRA_DATABASE_PAGES_MAX` if it is set.
    pub pages_max: Option<u32>,
}

/// Takes an envelope of this node's own, or gives it back; never waits.
pub type TellWrote = Box<dyn Fn(AdmittedEnvelope) -> Option<AdmittedEnvelope> + Send + Sync>;

/// What the writer and the readers have in common.
pub(crate) struct Shared {
    /// For look-ups by address and phone.
    pub(crate) lookup: Key,
    /// Seals who reported an alert.
    pub(crate) reporter: Key,
    /// Seals audit rows that concern nobody in particular.
    pub(crate) audit: Key,
    /// This node.
    pub(crate) member: MemberId,
    /// The newest rules that this release knows.
    pub(crate) rules: u16,
    /// The roster chain in force.
    pub(crate) rosters: RwLock<Arc<RosterChain>>,
    /// Every envelope key that this node holds; the roster says which of them signs.
    pub(crate) own_keys: RwLock<Arc<[SigningKey]>>,
    /// The gravest reason for which this node does not write somewhere.
    pub(crate) gravest: locks::Gravest,
    /// Where days and months begin.
    pub(crate) calendar: Calendar,
    /// Large blobs.
    pub(crate) blobs: PathBuf,
    /// What was committed last, parsed.
    pub(crate) recent: parsed::Recent,
    /// Takes each envelope that this node wrote, right after its commit.
    pub(crate) tell_wrote: OnceLock<TellWrote>,
    /// False as long as nothing that a peer sent was ever refused, so that nothing needs to be looked for.
    pub(crate) refusals: AtomicBool,
    /// Told when a commit asked for something to be erased.
    pub(crate) erasure: tokio::sync::Notify,
    /// Hashes are asked for that are too many to be made on the way.
    pub(crate) hashing: tokio::sync::Notify,
}

impl Shared {
    pub(crate) fn rosters(&self) -> Arc<RosterChain> {
        self.rosters.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The store; cheap to clone. The last clone dropped stops the writer after what is queued.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    queues: Arc<Queues>,
    readers: Arc<Readers>,
    commits: broadcast::Sender<Committed>,
    fatal: watch::Receiver<bool>,
    clock: Clock,
    folder: PathBuf,
    pages_max: Option<u32>,
    has_ballast: bool,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Ends after the writer: fields are dropped in their order.
    beside: Beside,
}

/// What works beside the writer, so that no alert waits for it. Dropped, it is stopped and joined.
struct Beside {
    spare: Arc<SpareKeys>,
    checkpoints: Arc<Checkpoints>,
    threads: Vec<JoinHandle<()>>,
}

impl Beside {
    fn start(folder: &Path, writer: &mut Connection) -> Result<Beside, OpenError> {
        let mut threads = Vec::new();
        let (spare, thread) = SpareKeys::start(folder)?;
        threads.push(thread);
        let (checkpoints, thread) = Checkpoints::start(folder, writer)?;
        threads.push(thread);
        Ok(Beside { spare, checkpoints, threads })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.spare.stop();
        self.checkpoints.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }
}

impl Store {
    /// Opens the folder, takes missing migrations and starts the writer. Blocks.
    pub fn open(opening: Opening) -> Result<Store, OpenError> {
        Self::open_knowing(opening, RULES_VERSION)
    }

    /// As [`Store::open`], by a release whose newest rules are `rules`.
    pub fn open_knowing(opening: Opening, rules: u16) -> Result<Store, OpenError> {
        check_sqlite_version(rusqlite::version())?;
        let Opening { folder, clock, hand, rosters, time_zone, ballast_bytes, pages_max } = opening;
        let pages_max = pages_max.or_else(pages_max_given);
        let blobs = folder.join("blobs");
        make_folders(&[&folder, &blobs])?;
        let mut pair = connect_writer(&folder, hand.member)?;
        let beside = Beside::start(&folder, &mut pair.db)?;
        pages_max.map(|most| pair.db.pragma_update(None, "max_page_count", most)).transpose()?;
        let keys = keys::Keys::new(&pair.keys);
        let shared = Arc::new(Shared {
            lookup: keys.secret_or_fresh("lookup")?,
            reporter: keys.secret_or_fresh("reporter")?,
            audit: keys.secret_or_fresh("audit")?,
            member: hand.member,
            rules,
            rosters: RwLock::new(Arc::new(rosters)),
            own_keys: RwLock::new(Arc::new([hand.key])),
            gravest: locks::Gravest::default(),
            calendar: Calendar::new(time_zone),
            blobs,
            recent: parsed::Recent::default(),
            tell_wrote: OnceLock::new(),
            refusals: AtomicBool::new(any_refusal(&pair.db)?),
            erasure: tokio::sync::Notify::new(),
            hashing: tokio::sync::Notify::new(),
        });
        let ballast = folder.join(BALLAST);
        lay_ballast(&ballast, ballast_bytes);
        let readers = (0..READERS_MAX).map(|_| connect_reader(&folder)).collect::<Result<_, _>>()?;
        let (commits, _) = broadcast::channel(COMMITS_LAG_MAX);
        let (fatal_tx, fatal) = watch::channel(false);
        let queues = Queues::new();
        let mut writing = tx::Writing {
            db: pair.db,
            keys: pair.keys,
            shared: shared.clone(),
            incarnation: hand.incarnation,
            documents: parsed::Cache::default(),
            shares_end: BTreeMap::new(),
            clock: clock.clone(),
            commits: commits.clone(),
            fatal: fatal_tx,
            checkpoints: beside.checkpoints.clone(),
            ballast,
            group: tx::Effects::default(),
            job: tx::Effects::default(),
            queue: Queue::Normal,
            #[cfg(test)]
            fail_at: None,
        };
        catch_up_with_rosters(&mut writing)?;
        let served = queues.clone();
        let thread = start_thread("store-writer", &folder, move || writer::run(&served, &mut writing))?;
        let thread = Mutex::new(Some(thread));
        let readers = Readers::new(readers, shared.clone());
        let has_ballast = ballast_bytes > 0;
        let inner = Inner {
            shared,
            queues,
            readers,
            commits,
            fatal,
            clock,
            folder,
            pages_max,
            has_ballast,
            thread,
            beside,
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Runs `work` in one transaction and answers after its commit. An `Err` undoes all of it and
    /// nothing else. `work` may be run a second time, after everything it did was undone.
    pub async fn write<T, E, F>(&self, queue: Queue, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: std::error::Error + From<WriteError> + Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.inner.queues.write(queue, work).await
    }

    /// Runs `work` on one snapshot of what is committed.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<WriteError> + Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, E> + Send + 'static,
    {
        self.inner.readers.read(work).await
    }

    /// As [`Store::read`], for a look-up of a few rows by key that somebody waits for.
    pub async fn look_up<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<WriteError> + Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, E> + Send + 'static,
    {
        self.inner.readers.look_up(work).await
    }

    /// One snapshot for several reads on the calling thread, which it may block.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.inner.readers.snapshot()
    }

    /// As [`Store::write`], without waiting: `then` is told on the writer's thread what came of it, after
    /// the commit. It must not wait. Both are given back where there is no room in the queue.
    pub fn write_then<T, E, F, D>(&self, queue: Queue, work: F, then: D) -> Result<(), (F, D)>
    where
        T: Send + 'static,
        E: std::error::Error + From<WriteError> + Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        D: FnOnce(Result<T, E>) + Send + 'static,
    {
        self.inner.queues.write_then(queue, work, then)
    }

    /// As [`Store::read`], on the calling thread, which it may block.
    pub fn read_here<T, E, F>(&self, work: F) -> Result<T, E>
    where
        E: From<WriteError>,
        F: FnOnce(&Reader<'_>) -> Result<T, E>,
    {
        self.inner.readers.run(work)
    }

    /// Every commit from now on. A listener that lags continues with [`Reader::events_after`].
    #[must_use]
    pub fn commits(&self) -> broadcast::Receiver<Committed> {
        self.inner.commits.subscribe()
    }

    /// Tells of each envelope that this node writes on the writer's own thread, right after its commit:
    /// an alert is on its way to the neighbours without another thread having to wake first. What is
    /// given back is told with [`Store::commits`]. Set once.
    pub fn tell_wrote(&self, tell: TellWrote) {
        // A second one would be the same federation's.
        let _ = self.inner.shared.tell_wrote.set(tell);
    }

    /// Becomes true when the disk failed: the process must end.
    #[must_use]
    pub fn fatal(&self) -> watch::Receiver<bool> {
        self.inner.fatal.clone()
    }

    /// This node.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.inner.shared.member
    }

    /// The roster chain in force.
    #[must_use]
    pub fn rosters(&self) -> Arc<RosterChain> {
        self.inner.shared.rosters()
    }

    /// Days and months where this node is.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.inner.shared.calendar
    }

    /// Puts a newer roster chain in force and brings everything that hangs on it up to date, a few
    /// documents at a time, so that no alert waits for it. Cut short, it is done at the next opening.
    pub async fn set_rosters(&self, rosters: RosterChain) -> Result<(), WriteError> {
        *self.inner.shared.rosters.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rosters);
        let mut last = None;
        loop {
            let done = self.write(Queue::Bulk, move |tx| tx.derive_some(last, DERIVED_AT_ONCE)).await?;
            if done.is_none() {
                break;
            }
            last = done;
        }
        self.write(Queue::Normal, |tx| {
            tx.mark_derived()?;
            tx.event(What::Peers, None)
        })
        .await
    }

    /// A document as it was committed last, if the writer still has it parsed; none says nothing.
    #[must_use]
    pub fn recent(&self, doc: DocId) -> Option<Arc<Document>> {
        self.inner.shared.recent.get(doc)
    }

    /// When an envelope was written, on this node's own clock, if it was committed lately; none says nothing.
    #[must_use]
    pub fn written_lately(&self, id: &EnvelopeId) -> Option<Millis> {
        self.inner.shared.recent.written(id)
    }

    /// The node's time.
    #[must_use]
    pub fn now(&self) -> Millis {
        (self.inner.clock)()
    }

    /// The node's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// False below the red line, where photos are refused so that alerts still find room.
    pub async fn has_room(&self) -> Result<bool, WriteError> {
        let Some(pages_max) = self.inner.pages_max else {
            // The ballast is freed when the disk was full, and laid again at the next start with room.
            let intact = !self.inner.has_ballast || self.inner.folder.join(BALLAST).exists();
            return Ok(intact && free_bytes(&self.inner.folder)? > RED_LINE_BYTES);
        };
        self.read(move |r| {
            let used: i64 = r.db().query_row("PRAGMA page_count", [], |row| row.get(0))?;
            let free: i64 = r.db().query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
            let used = u64::try_from(used.saturating_sub(free)).unwrap_or_default();
            Ok(used + RED_LINE_PAGES < u64::from(pages_max))
        })
        .await
    }

    /// Erases a person and answers once nothing of their key is left in this node's files, the
    /// write-ahead log included. Other copies of the data stay unreadable without it.
    pub async fn erase_person(&self, person: PersonId) -> Result<(), WriteError> {
        self.write(Queue::Normal, move |tx| tx.erase_person(person)).await?;
        let folder = self.inner.folder.clone();
        let emptied = tokio::task::spawn_blocking(move || empty_logs(&folder, wait_for_others)).await;
        emptied.unwrap_or_else(|_| Err(WriteError::Broken("emptying the log panicked".into())))
    }

    /// How many jobs wait for the writer or are being done: urgent, normal, bulk.
    #[must_use]
    pub fn waiting(&self) -> [usize; 3] {
        self.inner.queues.waiting()
    }

    /// Finishes what is queued, then stops the writer. Later writes are refused. Blocks.
    pub fn stop(&self) {
        self.inner.stop();
    }
}

impl Inner {
    fn stop(&self) {
        self.queues.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A job may hold the last clone; the thread then ends by itself once the queues are empty.
        let others = thread.filter(|thread| thread.thread().id() != std::thread::current().id());
        if let Some(thread) = others
            && thread.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

fn make_folders(folders: &[&Path]) -> Result<(), OpenError> {
    for folder in folders {
        std::fs::create_dir_all(folder)
            .map_err(|source| OpenError::Path { path: (*folder).to_owned(), source })?;
    }
    Ok(())
}

/// A thread of the store in this folder.
fn start_thread(
    name: &str,
    folder: &Path,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let started = std::thread::Builder::new().name(name.into()).spawn(work);
    started.map_err(|source| OpenError::Path { path: folder.to_owned(), source })
}

fn any_refusal(db: &Connection) -> Result<bool, OpenError> {
    Ok(db.query_row("SELECT EXISTS (SELECT 1 FROM refusal)", [], |row| row.get(0))?)
}

/// What hangs on the roster is made anew if the roster changed while that was not finished.
fn catch_up_with_rosters(writing: &mut tx::Writing) -> Result<(), WriteError> {
    writing.begin()?;
    let done = writing.with_tx(|tx| {
        if !tx.is_derived()? {
            tx.derive_all()?;
            tx.mark_derived()?;
        }
        tx.open_generation()
    });
    match done {
        Ok(()) => writing.commit(),
        Err(fault) => {
            writing.roll_back();
            Err(fault)
        }
    }
}

/// Gives an empty database the tables and indexes of a node, for a reference to hold the node against.
pub fn lay_tables(db: &mut Connection) -> Result<(), OpenError> {
    schema::migrate_node(db)
}

/// Moves everything into the databases and cuts their write-ahead logs to nothing. A reader in the
/// middle of a long read, or whoever is moving the log already, makes it wait, each at most [`limits::BUSY_MS_MAX`].
fn empty_logs(folder: &Path, mut wait: impl FnMut(i32) -> bool) -> Result<(), WriteError> {
    let pair = connect(folder).map_err(|error| WriteError::Broken(error.to_string()))?;
    let began = Instant::now();
    for db in [&pair.keys, &pair.db] {
        // SQLite waits for readers by itself, but not for the thread that moves the log beside the writer.
        let mut tries = 0;
        while db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))? {
            if began.elapsed() >= Duration::from_millis(BUSY_MS_MAX) || !wait(tries) {
                return Err(WriteError::Broken("a long read keeps the old log".into()));
            }
            tries += 1;
        }
    }
    Ok(())
}

/// SQLite before 3.51.3 could lose committed pages when a WAL was reset; 3.52.0 again.
fn check_sqlite_version(version: &str) -> Result<(), OpenError> {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    let version_parts = (next(), next(), next());
    if version_parts >= (3, 51, 3) && version_parts != (3, 52, 0) {
        Ok(())
    } else {
        Err(OpenError::Sqlite(version.to_owned()))
    }
}

#[cfg(test)]
mod plans;
#[cfg(test)]
pub(crate) mod tests;
