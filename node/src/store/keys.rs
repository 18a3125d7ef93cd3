//! The key store, `keys.db`: one key per person and per blob, and the node's own secrets.
//!
//! It is a file of its own so that a backup of the data never holds the keys, and so that erasing a
//! key makes what it protected unreadable in every copy, old ones too.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::store::WriteError;
use crate::store::seal::Key;

/// The keys, seen through one connection to `keys.db`.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    db: &'a Connection,
}

impl<'a> Keys<'a> {
    pub(super) fn new(db: &'a Connection) -> Self {
        Self { db }
    }

    /// The key of a person; absent once erased.
    pub fn person(self, person: i64) -> Result<Option<Key>, WriteError> {
        self.one("SELECT key FROM person_key WHERE person = ?1", params![person])
    }

    /// The key of a blob by its own name, as the blob's row has it; absent once erased.
    pub fn blob(self, name: &[u8; 32]) -> Result<Option<Key>, WriteError> {
        self.one("SELECT key FROM blob_key WHERE blob = ?1", params![name])
    }

    /// The node's secret of this name.
    pub(super) fn secret(self, name: &str) -> Result<Option<Key>, WriteError> {
        self.one("SELECT value FROM secret WHERE name = ?1", params![name])
    }

    pub(super) fn add_person(self, person: i64, key: &Key) -> Result<(), WriteError> {
        let mut insert =
            self.db.prepare_cached("INSERT OR REPLACE INTO person_key (person, key) VALUES (?1, ?2)")?;
        insert.execute(params![person, key.as_bytes()])?;
        Ok(())
    }

    pub(super) fn add_blob(self, name: &[u8; 32], key: &Key) -> Result<(), WriteError> {
        let mut insert =
            self.db.prepare_cached("INSERT OR REPLACE INTO blob_key (blob, key) VALUES (?1, ?2)")?;
        insert.execute(params![name, key.as_bytes()])?;
        Ok(())
    }

    pub(super) fn erase_blob(self, name: &[u8; 32]) -> Result<(), WriteError> {
        self.db.prepare_cached("DELETE FROM blob_key WHERE blob = ?1")?.execute(params![name])?;
        Ok(())
    }

    pub(super) fn erase_person(self, person: i64) -> Result<(), WriteError> {
        self.db.execute("DELETE FROM person_key WHERE person = ?1", params![person])?;
        Ok(())
    }

    /// The node's secret of this name, made on first use. Called while the store opens, before the
    /// writer runs.
    pub(super) fn secret_or_fresh(self, name: &str) -> Result<Key, WriteError> {
        if let Some(key) = self.secret(name)? {
            return Ok(key);
        }
        let key = Key::fresh();
        self.db.execute("INSERT INTO secret (name, value) VALUES (?1, ?2)", params![name, key.as_bytes()])?;
        Ok(key)
    }

    fn one(self, sql: &str, values: impl rusqlite::Params) -> Result<Option<Key>, WriteError> {
        let mut select = self.db.prepare_cached(sql)?;
        let bytes: Option<Vec<u8>> = select.query_row(values, |row| row.get(0)).optional()?;
        Ok(bytes.as_deref().and_then(Key::from_slice))
    }
}
