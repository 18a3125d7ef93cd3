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
    include_str!("schema/node_0013.sql"),
    include_str!("schema/node_0014.sql"),
    include_str!("schema/node_0015.sql"),
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

    #[test]
    fn log_writers_dues_and_audiences_of_an_older_store_are_kept() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, &NODE_STEPS[..12]).unwrap();
        db.execute_batch(
            "INSERT INTO envelope (number, id, doc, author, bytes, received_ms, written_ms) VALUES
                 (1, x'0a', x'd1', x'aa', x'01', 10, 9), (3, x'0c', x'd1', x'aa', x'03', 30, 29),
                 (2, x'0b', x'd2', x'bb', x'02', 20, 19);
             INSERT INTO actor (envelope, person) VALUES (x'0c', 7);
             INSERT INTO due (peer, doc, since_ms, urgent) VALUES
                 (x'f1', x'd1', 10, 0), (x'f1', x'd2', 20, 0), (x'f2', x'd2', 20, 0), (x'f1', x'd3', 5, 1);
             INSERT INTO audience (doc, member, full) VALUES (x'd1', x'f1', 1), (x'd1', x'f2', 0), (x'd2', x'f1', 0);
             INSERT INTO arrival (doc, peer, received_ms, late, bulk) VALUES
                 (x'd1', NULL, 10, 0, 0), (x'd2', NULL, 20, 1, 0), (x'd3', x'f1', 30, 0, 0);",
        )
        .unwrap();
        migrate_node(&mut db).unwrap();
        let read = |sql: &str| -> Vec<String> {
            let mut select = db.prepare(sql).unwrap();
            select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        let log = read("SELECT number || hex(id) || hex(doc) || received_ms || written_ms FROM envelope");
        assert_eq!(log, ["10AD1109", "20BD22019", "30CD13029"]);
        assert_eq!(read("SELECT envelope || ' ' || person FROM actor"), ["3 7"]);
        let due = "SELECT hex(doc) FROM due WHERE peer = x'f1' ORDER BY urgent DESC, since_ms DESC, doc";
        assert_eq!(read(due), ["D3", "D2", "D1"]);
        let audience = read("SELECT hex(member) || hex(doc) || full FROM audience");
        assert_eq!(audience, ["F1D11", "F1D20", "F2D10"]);
        assert_eq!(
            read("SELECT hex(doc) FROM arrival ORDER BY doc"),
            ["D2", "D3"],
            "of what there is to say"
        );
        let twice = "INSERT INTO envelope (id, doc, author, bytes, received_ms, written_ms)
                     VALUES (x'0a', x'd1', x'aa', x'01', 40, 39)";
        assert!(db.execute(twice, []).is_err(), "an envelope is stored once");
    }
}
