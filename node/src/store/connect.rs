//! Connections to a node's two databases, and how one of them waits for another process.

use std::path::Path;
use std::time::Duration;

use protocol::ids::MemberId;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::store::limits::{BUSY_MS_MAX, BUSY_TRY_MS, WAL_PAGES, WRITER_CACHE_KIB};
use crate::store::reader::Pair;
use crate::store::{OpenError, schema};

/// To both databases of a node.
pub(super) fn connect(folder: &Path) -> Result<Pair, OpenError> {
    Ok(Pair { db: connect_one(folder, "node.db")?, keys: connect_one(folder, "keys.db")? })
}

/// To one of them, with what every connection is set to.
pub(super) fn connect_one(folder: &Path, name: &str) -> Result<Connection, OpenError> {
    let mut db = Connection::open(folder.join(name))?;
    db.busy_handler(Some(wait_for_others))?;
    db.set_prepared_statement_cache_capacity(128);
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    // What undoes a job lies in memory; as a file it would be written twice over for every alert.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    // Plans do not follow bound values, so that statements are never prepared again for them.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(db)
}

/// Waits a moment while another process writes; false once that takes too long. SQLite's own waiting looks ten
/// times a second at last, and a node that is busy with bulk is between two transactions for much less than that.
pub(super) fn wait_for_others(tries: i32) -> bool {
    std::thread::sleep(Duration::from_millis(BUSY_TRY_MS));
    u64::try_from(tries).is_ok_and(|tries| tries * BUSY_TRY_MS < BUSY_MS_MAX)
}

/// The writer's connections, at the newest step, at this member's node.
pub(super) fn connect_writer(folder: &Path, us: MemberId) -> Result<Pair, OpenError> {
    let mut pair = connect(folder)?;
    pair.db.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    schema::migrate_node(&mut pair.db)?;
    schema::number_what_is_ours(&mut pair.db, us)?;
    schema::migrate_keys(&mut pair.keys)?;
    Ok(pair)
}

/// Connections that change nothing.
pub(super) fn connect_reader(folder: &Path) -> Result<Pair, OpenError> {
    let pair = connect(folder)?;
    for db in [&pair.db, &pair.keys] {
        db.pragma_update(None, "query_only", true)?;
    }
    Ok(pair)
}
