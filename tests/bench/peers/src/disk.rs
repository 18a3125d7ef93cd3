//! SQLite as durable as a node's own: WAL, a commit waits for the disk.

use std::path::Path;

use rusqlite::Connection;

/// How what is opened here is kept.
pub const SQLITE: &str = "SQLite, WAL, synchronous=FULL";

/// Opens or makes the database of this folder.
pub fn open(folder: &Path, tables: &str) -> anyhow::Result<Connection> {
    let db = Connection::open(folder.join("peer.db"))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.execute_batch(tables)?;
    Ok(db)
}

/// Copies a folder of a process that has ended.
pub fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
