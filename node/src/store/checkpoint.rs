//! Moves pages of the write-ahead log into the database on a thread of its own, so that no alert pays for
//! the pages of those before it. The writer does that itself only where this falls behind.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::store::limits::{CHECKPOINT_BULK_PAGES, CHECKPOINT_PAGES, WAL_PAGES};
use crate::store::{OpenError, connect_one, start_thread};

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
    /// True while only bulk is written and no alert is near.
    bulk_alone: bool,
    stopping: bool,
}

impl State {
    fn is_due(&self) -> bool {
        let pages = if self.bulk_alone { CHECKPOINT_BULK_PAGES } else { CHECKPOINT_PAGES };
        self.pages >= self.moved.saturating_add(pages)
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

    fn committed(&self, pages: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pages = pages;
        if pages < state.moved {
            // All of it was in the database, and the log begins anew.
            state.moved = 0;
        }
        if state.is_due() {
            self.wake.notify_one();
        }
    }

    /// Says of the commits from now on whether they are of bulk alone, with no alert near.
    pub(super) fn set_bulk_alone(&self, bulk_alone: bool) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).bulk_alone = bulk_alone;
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

    /// False once stopped.
    fn wait_until_due(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.is_due() && !state.stopping {
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
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
    fn the_log_of_bulk_may_grow_longer() {
        let mut state = State { pages: CHECKPOINT_PAGES, ..State::default() };
        assert!(state.is_due());
        state.bulk_alone = true;
        assert!(!state.is_due());
        state.pages = CHECKPOINT_BULK_PAGES;
        assert!(state.is_due());
    }

    /// Called while somebody has the log to itself and waits for the writer's transaction to end.
    fn wait_for_the_writer(tries: i32) -> bool {
        if tries == 0 {
            MOVING.wait();
            MOVING.wait();
        }
        true
    }

    /// Met once somebody else has the log to itself, and again when it may go on.
    static BEGUN: Barrier = Barrier::new(2);

    fn wait_to_be_met(tries: i32) -> bool {
        if tries == 0 {
            BEGUN.wait();
            BEGUN.wait();
        }
        true
    }

    #[test]
    fn emptying_the_log_waits_for_whoever_is_moving_it() {
        let folder = tempfile::tempdir().unwrap();
        let writer = connect_one(folder.path(), "node.db").unwrap();
        writer.execute_batch("CREATE TABLE pages (body BLOB NOT NULL); BEGIN IMMEDIATE").unwrap();
        let mut other = connect_one(folder.path(), "node.db").unwrap();
        other.busy_handler(Some(wait_to_be_met)).unwrap();
        let moved = std::thread::spawn(move || {
            other.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get::<_, i64>(0)).unwrap()
        });
        BEGUN.wait();
        let (mut writer, mut moved) = (Some(writer), Some(moved));
        let emptied = crate::store::empty_logs(folder.path(), |tries| {
            if let (Some(writer), Some(moved)) = (writer.take(), moved.take()) {
                assert_eq!(tries, 0);
                writer.execute_batch("COMMIT").unwrap();
                BEGUN.wait();
                assert_eq!(moved.join().unwrap(), 0, "it had the log to itself");
            }
            true
        });
        emptied.expect("it waits, and no person is told that nothing was erased");
        assert!(writer.is_none(), "the two have met");
        assert_eq!(std::fs::metadata(folder.path().join("node.db-wal")).map_or(0, |file| file.len()), 0);
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
