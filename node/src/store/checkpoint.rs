//! Moves pages of the write-ahead log into the database on a thread of its own, so that no alert pays for
//! the pages of those before it. The writer does that itself only where this falls behind.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use crate::store::limits::{CHECKPOINT_PAGES, CHECKPOINT_PAGES_IN_BULK, CHECKPOINT_QUIET_MS, WAL_PAGES};
use crate::store::{OpenError, connect_one, start_thread};

/// Commits that are remembered for whether they held bulk.
const BULK_COMMITS: u32 = 16;

/// How much of the log is not in the database yet.
#[derive(Default)]
pub(super) struct Checkpoints {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// Pages in the log when the writer last committed.
    pages: u32,
    /// Of those, as many as there were when the thread last began.
    moved: u32,
    /// Commits so far: none within a while means that nobody waits for the disk.
    commits: u64,
    /// How many more of the last ones held bulk than did not, within [`BULK_COMMITS`].
    bulk: u32,
    stopping: bool,
}

impl State {
    fn is_due(&self) -> bool {
        let in_bulk = self.bulk > BULK_COMMITS / 2;
        let most = if in_bulk { CHECKPOINT_PAGES_IN_BULK } else { CHECKPOINT_PAGES };
        self.pages >= self.moved.saturating_add(most)
    }
}

impl Checkpoints {
    /// Starts the thread for `node.db` in this folder, and has the writer's connection tell it of every
    /// commit.
    pub(super) fn start(
        folder: &Path,
        writer: &mut Connection,
    ) -> Result<(Arc<Checkpoints>, JoinHandle<()>), OpenError> {
        let db = connect_one(folder, "node.db")?;
        let checkpoints = Arc::new(Checkpoints::default());
        let told = checkpoints.clone();
        writer.wal_hook(Some(move |wal: &mut rusqlite::hooks::Wal, pages: i32| {
            let pages = u32::try_from(pages).unwrap_or_default();
            told.committed(pages);
            // What the thread has moved already is not moved again. A failure here must not look like one of
            // the commit, which is durable: the log only grows, and the next commit tries again.
            if pages >= WAL_PAGES
                && let Err(error) = wal.checkpoint()
            {
                tracing::debug!(%error, "the write-ahead log was not moved into the database");
            }
            Ok(())
        }))?;
        let kept = checkpoints.clone();
        let thread = start_thread("store-log", folder, move || kept.run(&db))?;
        Ok((checkpoints, thread))
    }

    /// What the next commit holds. One of bulk between alerts, for some receipts, is not bulk yet.
    pub(super) fn expect(&self, bulk: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bulk = if bulk { BULK_COMMITS.min(state.bulk + 1) } else { state.bulk.saturating_sub(1) };
    }

    fn committed(&self, pages: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let first = state.pages == state.moved;
        state.pages = pages;
        state.commits += 1;
        if pages < state.moved {
            // All of it was in the database, and the log begins anew.
            state.moved = 0;
        }
        // The first one has the thread wait for quiet.
        if state.is_due() || first {
            self.wake.notify_one();
        }
    }

    /// Lets the thread end.
    pub(super) fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopping = true;
        self.wake.notify_all();
    }

    fn run(&self, db: &Connection) {
        while self.wait_until_due() {
            // Waits for nobody: what a reader still needs stays, and comes with the next.
            if let Err(error) = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
                // The writer meets the same fault and decides; nothing is lost, the log only grows.
                tracing::warn!(%error, "the write-ahead log was not moved into the database");
            }
        }
    }

    /// Waits until the log is long, or there is one and nothing was added to it for a while. False once
    /// stopped.
    fn wait_until_due(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.is_due() && !state.stopping {
            if state.pages == state.moved {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let before = state.commits;
            let quiet = Duration::from_millis(CHECKPOINT_QUIET_MS);
            let waited = self.wake.wait_timeout(state, quiet).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            if waited.1.timed_out() && state.commits == before {
                break;
            }
        }
        state.moved = state.pages;
        !state.stopping
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::time::{Duration, Instant};

    /// Met once somebody else moves the log and waits for the writer, and again after the writer's commit.
    static MOVING: Barrier = Barrier::new(2);

    #[test]
    fn a_long_log_is_moved_into_the_database_beside_the_writer() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = connect_one(folder.path(), "node.db").unwrap();
        writer.execute_batch("CREATE TABLE pages (body BLOB NOT NULL)").unwrap();
        let (checkpoints, thread) = Checkpoints::start(folder.path(), &mut writer).unwrap();
        let file = folder.path().join("node.db");
        let began = Instant::now();
        let moved = || std::fs::metadata(&file).unwrap().len() > u64::from(CHECKPOINT_PAGES) * 2_048;
        // Fewer pages than those at which the writer does it itself.
        let body = vec![7_u8; 40_960];
        for _ in 0..CHECKPOINT_PAGES / 10 + 10 {
            writer.execute("INSERT INTO pages (body) VALUES (?1)", [&body]).unwrap();
        }
        while !moved() {
            assert!(began.elapsed() < Duration::from_secs(10), "nothing was moved");
            std::thread::yield_now();
        }
        checkpoints.stop();
        thread.join().unwrap();
    }

    #[test]
    fn a_log_is_moved_sooner_while_bulk_is_written() {
        let checkpoints = Checkpoints::default();
        let due = |pages, bulk| {
            checkpoints.expect(bulk);
            checkpoints.committed(pages);
            checkpoints.state.lock().unwrap().is_due()
        };
        for commit in 0..3 * BULK_COMMITS {
            assert!(!due(CHECKPOINT_PAGES - 1, commit % 3 == 0), "receipts between alerts");
        }
        (0..BULK_COMMITS).for_each(|_| _ = due(1, true));
        assert!(!due(CHECKPOINT_PAGES_IN_BULK - 1, true));
        assert!(due(CHECKPOINT_PAGES_IN_BULK, true));
        assert!(due(CHECKPOINT_PAGES_IN_BULK, false), "an alert in between");
        (0..BULK_COMMITS).for_each(|_| _ = due(1, false));
        assert!(!due(CHECKPOINT_PAGES - 1, false), "bulk is over");
        assert!(due(CHECKPOINT_PAGES, false));
    }

    #[test]
    fn a_short_log_is_moved_once_nothing_is_written_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = connect_one(folder.path(), "node.db").unwrap();
        let (checkpoints, thread) = Checkpoints::start(folder.path(), &mut writer).unwrap();
        writer.execute_batch("CREATE TABLE pages (body BLOB NOT NULL)").unwrap();
        let (file, began) = (folder.path().join("node.db"), Instant::now());
        // The page that every database has, and the one of the table.
        while std::fs::metadata(&file).unwrap().len() < 2 * 4_096 {
            assert!(began.elapsed() < Duration::from_secs(60), "nothing was moved");
            std::thread::yield_now();
        }
        assert!(began.elapsed() >= Duration::from_millis(CHECKPOINT_QUIET_MS), "not at once");
        checkpoints.stop();
        thread.join().unwrap();
    }

    /// Called while somebody has the log to itself and waits for the writer's transaction to end.
    fn wait_for_the_writer(tries: i32) -> bool {
        if tries == 0 {
            MOVING.wait();
            MOVING.wait();
        }
        true
    }

    #[test]
    fn a_log_that_somebody_else_is_moving_fails_no_commit() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = connect_one(folder.path(), "node.db").unwrap();
        writer.execute_batch("CREATE TABLE pages (body BLOB NOT NULL)").unwrap();
        let (checkpoints, thread) = Checkpoints::start(folder.path(), &mut writer).unwrap();
        // So much at once that the writer itself is to move the log.
        let body = vec![7_u8; 4_096 * WAL_PAGES as usize];
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        writer.execute("INSERT INTO pages (body) VALUES (?1)", [&body]).unwrap();
        let mut other = connect_one(folder.path(), "node.db").unwrap();
        other.busy_handler(Some(wait_for_the_writer)).unwrap();
        let moved = std::thread::spawn(move || {
            other.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get::<_, i64>(0)).unwrap()
        });
        MOVING.wait();
        let committed = writer.execute_batch("COMMIT");
        MOVING.wait();
        committed.expect("what is durable is not called a failure");
        assert_eq!(moved.join().unwrap(), 0, "it had the log to itself");
        checkpoints.stop();
        thread.join().unwrap();
    }
}
