//! Looking at the databases without opening the store: for `cuadra doctor`, beside a running node.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::store::OpenError;

/// True if both databases in a node's folder open and are whole. Blocks for as long as reading all of
/// them takes.
pub fn check_files(folder: &Path) -> Result<bool, OpenError> {
    let mut whole = true;
    for name in ["node.db", "keys.db"] {
        let path = folder.join(name);
        if !path.exists() {
            // Made at the first start.
            continue;
        }
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let said: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        whole &= said == "ok";
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_database_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_files(folder.path()).unwrap(), "a node that never ran is whole");
        let path = folder.path().join("node.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "CREATE TABLE t (x); INSERT INTO t SELECT randomblob(3000) FROM json_each('[1,2,3,4,5,6]')",
        )
        .unwrap();
        drop(db);
        assert!(check_files(folder.path()).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..8192].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        assert!(!check_files(folder.path()).unwrap_or(false));
    }
}
