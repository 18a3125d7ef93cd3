//! The tables, as numbered steps that only go forward. What is derived from the log can be dropped
//! and built again; the rest is the log itself and what only this node knows.

use rusqlite::Connection;

use crate::store::OpenError;

/// Steps of `node.db`; `user_version` says how many were taken. Never edited once released.
const NODE_STEPS: &[&str] = &[
    include_str!("schema/node_0001.sql"),
    include_str!("schema/node_0002.sql"),
    include_str!("schema/node_0003.sql"),
    include_str!("schema/node_0004.sql"),
    include_str!("schema/node_0005.sql"),
    include_str!("schema/node_0006.sql"),
    include_str!("schema/node_0007.sql"),
    include_str!("schema/node_0008.sql"),
    include_str!("schema/node_0009.sql"),
    include_str!("schema/node_0010.sql"),
    include_str!("schema/node_0011.sql"),
    include_str!("schema/node_0012.sql"),
];
/// Steps of `keys.db`.
const KEYS_STEPS: &[&str] = &[include_str!("schema/keys_0001.sql")];
/// The derived tables of `node.db`, in the order in which they may be emptied, with the column that names
/// the document where a row is of one.
pub(super) const DERIVED: &[(&str, Option<&str>)] = &[
    ("figure", None),
    ("figure_head", None),
    ("figure_day", None),
    ("notice", Some("doc")),
    ("incident_under", Some("doc")),
    ("incident_absorbed", Some("doc")),
    ("incident_link", Some("doc")),
    ("incident", Some("doc")),
    ("audience", Some("doc")),
    ("document", Some("id")),
];

/// Brings `node.db` to the newest step.
pub(super) fn migrate_node(db: &mut Connection) -> Result<(), OpenError> {
    migrate(db, NODE_STEPS)
}

/// Brings `keys.db` to the newest step.
pub(super) fn migrate_keys(db: &mut Connection) -> Result<(), OpenError> {
    migrate(db, KEYS_STEPS)
}

fn migrate(db: &mut Connection, steps: &[&str]) -> Result<(), OpenError> {
    let taken: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let taken = usize::try_from(taken).unwrap_or(usize::MAX);
    if taken > steps.len() {
        return Err(OpenError::Newer { found: taken, known: steps.len() });
    }
    for (index, step) in steps.iter().enumerate().skip(taken) {
        let tx = db.transaction()?;
        tx.execute_batch(step)?;
        tx.pragma_update(None, "user_version", i64::try_from(index + 1).expect("a short list of steps"))?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_taken_once_and_a_newer_file_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate_node(&mut db).unwrap();
        migrate_node(&mut db).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(migrate_node(&mut db), Err(OpenError::Newer { found: 99, .. })));
    }

    #[test]
    fn every_derived_table_exists() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate_node(&mut db).unwrap();
        for (table, doc) in DERIVED {
            let column = doc.unwrap_or("rowid").replace("rowid", "1");
            db.execute(&format!("DELETE FROM {table} WHERE {column} IS NOT NULL"), []).unwrap();
        }
    }
}
