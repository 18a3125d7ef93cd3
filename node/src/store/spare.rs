//! Keys of blobs, made and stored ahead of need: an alert with words then waits for the disk once, for
//! its own transaction, and not first for its key.
//!
//! A spare key is durable before anything is sealed under it. One that is taken and then not used (the
//! job was undone, the process ended) stays in the key store and protects nothing.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, params};

use crate::store::limits::{SPARE_KEYS, SPARE_KEYS_LOW};
use crate::store::seal::{Key, random};
use crate::store::{OpenError, WriteError, connect_one, start_thread};

/// A blob's key and the name under which the key store has it.
#[derive(Clone)]
pub(super) struct NamedKey {
    pub(super) name: [u8; 32],
    pub(super) key: Key,
    /// True if the key store has it already.
    pub(super) stored: bool,
}

/// The keys that are ready.
#[derive(Default)]
pub(super) struct SpareKeys {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    ready: Vec<NamedKey>,
    /// True once a key was taken of the last few. After a failure nothing is tried until the next.
    wanted: bool,
    stopping: bool,
}

impl SpareKeys {
    /// A key for one blob. When all are used up, one that the blob's own transaction has to store.
    pub(super) fn take(&self) -> NamedKey {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = state.ready.pop();
        if state.ready.len() < SPARE_KEYS_LOW {
            state.wanted = true;
            self.wake.notify_one();
        }
        drop(state);
        taken.unwrap_or_else(|| NamedKey { stored: false, ..fresh() })
    }

    /// Lets the thread end, after what it is storing.
    pub(super) fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopping = true;
        self.wake.notify_all();
    }

    /// Stores the first keys of this folder and starts the thread that keeps some ready. Blocks.
    pub(super) fn start(folder: &Path) -> Result<(Arc<SpareKeys>, JoinHandle<()>), OpenError> {
        let mut db = connect_one(folder, "keys.db")?;
        let spare = Arc::new(SpareKeys::default());
        spare.add(&mut db)?;
        let kept = spare.clone();
        let thread = start_thread("store-keys", folder, move || kept.run(&mut db))?;
        Ok((spare, thread))
    }

    fn run(&self, db: &mut Connection) {
        while self.wait_until_low() {
            if let Err(error) = self.add(db) {
                // Until there is room again, each blob stores its own key and meets the fault itself.
                tracing::warn!(%error, "keys could not be made ahead");
            }
        }
    }

    /// False once stopped.
    fn wait_until_low(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.wanted && !state.stopping {
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.wanted = false;
        !state.stopping
    }

    /// Stores new keys and only then makes them ready.
    fn add(&self, db: &mut Connection) -> Result<(), WriteError> {
        let new: Vec<NamedKey> = (0..SPARE_KEYS).map(|_| fresh()).collect();
        let tx = db.transaction()?;
        {
            let mut insert = tx.prepare_cached("INSERT INTO blob_key (blob, key) VALUES (?1, ?2)")?;
            for key in &new {
                insert.execute(params![key.name, key.key.as_bytes()])?;
            }
        }
        tx.commit()?;
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ready.extend(new);
        Ok(())
    }
}

fn fresh() -> NamedKey {
    NamedKey { name: random(), key: Key::fresh(), stored: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::migrate_keys;

    fn stored(folder: &Path, key: &NamedKey) -> bool {
        let db = connect_one(folder, "keys.db").unwrap();
        let found = db.query_row("SELECT key FROM blob_key WHERE blob = ?1", params![key.name], |row| {
            row.get::<_, Vec<u8>>(0)
        });
        found.is_ok_and(|found| found == key.key.as_bytes())
    }

    #[test]
    fn a_key_is_in_the_key_store_before_it_is_given_and_is_given_once() {
        let folder = tempfile::tempdir().unwrap();
        migrate_keys(&mut connect_one(folder.path(), "keys.db").unwrap()).unwrap();
        let (spare, thread) = SpareKeys::start(folder.path()).unwrap();
        let mut names = std::collections::BTreeSet::new();
        let mut made_late = 0;
        // More than are ever ready at once, so that the thread makes more meanwhile.
        for _ in 0..3 * SPARE_KEYS {
            let key = spare.take();
            assert!(names.insert(key.name), "given twice");
            if !key.stored {
                made_late += 1;
            } else if names.len() % 64 == 0 {
                assert!(stored(folder.path(), &key));
            }
        }
        assert!(made_late < 3 * SPARE_KEYS, "none was ready");
        spare.stop();
        thread.join().unwrap();
    }

    #[test]
    fn when_none_can_be_made_ahead_a_blob_stores_its_own() {
        let spare = SpareKeys::default();
        let key = spare.take();
        assert!(!key.stored);
        assert_ne!(spare.take().name, key.name);
    }

    #[tokio::test]
    async fn a_key_that_was_read_is_followed_by_one_that_is_written_whoever_makes_keys_meanwhile() {
        use protocol::fixture::Federation;

        let (federation, folder) = (Federation::new(1), tempfile::tempdir().unwrap());
        let store = crate::store::tests::open_as(folder.path(), &federation, 0, None);
        let other = connect_one(folder.path(), "keys.db").unwrap();
        other.busy_timeout(std::time::Duration::ZERO).unwrap();
        let written = store.write(crate::store::Queue::Normal, move |tx| {
            tx.keys().person(1)?;
            // In between, or not before this is done: both are well.
            let _ = other.execute("INSERT INTO blob_key (blob, key) VALUES (?1, ?1)", params![random()]);
            tx.keys().add_blob(&random(), &Key::fresh())
        });
        written.await.unwrap();
    }
}
