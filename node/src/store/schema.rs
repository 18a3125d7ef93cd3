//! The tables, as numbered steps that only go forward. What is derived from the log can be dropped
//! and built again; the rest is the log itself and what only this node knows.

use protocol::ids::MemberId;
use rusqlite::{Connection, params};

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
    include_str!("schema/node_0016.sql"),
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

/// Turns the rows by which older releases noted what is for this node itself into the numbers of step 16.
pub(super) fn number_what_is_ours(db: &mut Connection, us: MemberId) -> Result<(), OpenError> {
    let noted = "SELECT 1 FROM audience WHERE member = ?1";
    if !db.prepare(noted)?.exists(params![us.0])? {
        return Ok(());
    }
    let tx = db.transaction()?;
    for step in [
        "UPDATE document SET ours = 1 + full FROM audience WHERE member = ?1 AND audience.doc = document.id",
        "UPDATE incident SET ours = iif(owner = ?1, 3, 1 + full) FROM audience
         WHERE member = ?1 AND audience.doc = incident.doc",
        "UPDATE document SET ours = 3 FROM incident WHERE incident.doc = document.id AND owner = ?1 AND document.ours > 0",
        "DELETE FROM audience WHERE member = ?1",
    ] {
        tx.execute(step, params![us.0])?;
    }
    tx.commit()?;
    Ok(())
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
        // Of what was raised here in time there is nothing to say; what has no envelope any more counts no more.
        let came = read("SELECT number || ' ' || ifnull(came, '-') FROM envelope ORDER BY number");
        assert_eq!(came, ["1 -", "2 1", "3 -"]);
        let twice = "INSERT INTO envelope (id, doc, author, bytes, received_ms, written_ms)
                     VALUES (x'0a', x'd1', x'aa', x'01', 40, 39)";
        assert!(db.execute(twice, []).is_err(), "an envelope is stored once");
    }

    #[test]
    fn what_is_ours_how_it_came_and_whose_blobs_are_here_is_kept_of_an_older_store() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, &NODE_STEPS[..15]).unwrap();
        // Owned, seen in full, in part, and not at all; the last two documents are no incidents.
        db.execute_batch(
            "INSERT INTO document (id, class, fingerprint, heads, urgent) VALUES
                 (x'd1', 1, x'00', x'00', 1), (x'd2', 1, x'00', x'00', 1), (x'd3', 1, x'00', x'00', 1),
                 (x'd4', 1, x'00', x'00', 1), (x'd5', 2, x'00', x'00', 1), (x'd6', 3, x'00', x'00', 1);
             INSERT INTO incident (doc, envelope, kind, urgency, code, cell, exact, source, opened_ms, period, day, author,
                 owner, answering, step, touched, saw_it_too, crews, changed_ms)
             SELECT id, id, 1, 1, 'CL-13130', 1, 0, 1, 1, 1, 1, x'bb',
                 iif(id = x'd1', zeroblob(32), x'bb'), x'bb', 0, 0, 0, 0, 1 FROM document WHERE class = 1;
             INSERT INTO audience (doc, member, full) VALUES (x'd1', zeroblob(32), 1), (x'd2', zeroblob(32), 1),
                 (x'd3', zeroblob(32), 0), (x'd5', zeroblob(32), 0), (x'd1', x'bb', 1), (x'd6', x'bb', 0);
             INSERT INTO arrival (doc, peer, received_ms, late, bulk) VALUES
                 (x'd1', x'bb', 1, 1, 0), (x'd2', x'bb', 1, 0, 1), (x'd3', x'bb', 1, 0, 0);
             INSERT INTO envelope (number, id, doc, author, bytes, received_ms, written_ms) VALUES
                 (1, x'01', x'd1', x'bb', x'00', 1, 1), (2, x'02', x'd1', x'bb', x'00', 1, 1),
                 (3, x'03', x'd2', x'bb', x'00', 1, 1), (4, x'04', x'd3', x'bb', x'00', 1, 1);
             INSERT INTO blob (id, bytes, doc, key) VALUES (x'b1', 1, x'd1', x'00'), (x'b2', 1, x'd2', x'00');
             INSERT INTO blob_use (blob, doc, class) VALUES (x'b1', x'd1', 1), (x'b1', x'd2', 2), (x'b3', x'd3', 1);",
        )
        .unwrap();
        migrate_node(&mut db).unwrap();
        for _ in 0..2 {
            number_what_is_ours(&mut db, MemberId([0; 32])).unwrap();
            let read = |sql: &str| -> Vec<String> {
                let mut select = db.prepare(sql).unwrap();
                select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
            };
            let documents = read("SELECT hex(id) || ours FROM document ORDER BY id");
            assert_eq!(documents, ["D13", "D22", "D31", "D40", "D51", "D60"]);
            let incidents = read("SELECT hex(doc) || ours || late || bulk FROM incident ORDER BY doc");
            assert_eq!(incidents, ["D1310", "D2201", "D3100", "D4000"]);
            assert_eq!(read("SELECT hex(member) || hex(doc) || full FROM audience"), ["BBD11", "BBD60"]);
            let came = read("SELECT number || ifnull(came, '-') FROM envelope ORDER BY number");
            assert_eq!(came, ["11", "2-", "32", "40"]);
            assert_eq!(read("SELECT hex(id) || ifnull(class, '-') FROM blob ORDER BY id"), ["B11", "B2-"]);
            assert_eq!(read("SELECT hex(blob) || hex(doc) || class FROM blob_use"), ["B1D22", "B3D31"]);
        }
    }
}
