//! One SQLite writer, as durable as a node's: WAL, synchronous=FULL. The tables and indexes are the
//! node's own; the rows have the shape and the random keys of what one envelope leaves behind.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, params};

/// Commits in one run.
const COMMITS: usize = 300;
/// Documents in one run of inserts, of six envelopes each.
const DOCUMENTS: usize = 1_000;
/// Envelopes in one commit, as many as a node puts in one.
const ENVELOPES_PER_COMMIT: usize = 128;
/// Bytes of an envelope.
const ENVELOPE_BYTES: usize = 460;

/// What a small commit is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// One row as long as an envelope.
    One,
    /// The rows of an envelope that begins a document, in the node's own tables.
    Envelope,
}

impl Rows {
    /// Tables for them in a new database.
    pub fn lay(self, folder: &Path) -> anyhow::Result<Connection> {
        let mut db = open(folder)?;
        match self {
            Rows::One => {
                db.execute_batch("CREATE TABLE one (id BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT")?;
            }
            Rows::Envelope => node::store::lay_tables(&mut db)?,
        }
        db.set_prepared_statement_cache_capacity(64);
        Ok(db)
    }

    /// Stores them, durably.
    pub fn commit(self, db: &mut Connection) -> anyhow::Result<()> {
        match self {
            Rows::One => {
                let mut insert = db.prepare_cached("INSERT INTO one (id, body) VALUES (?1, ?2)")?;
                insert.execute(params![random()?, [0_u8; ENVELOPE_BYTES]])?;
            }
            Rows::Envelope => {
                let commit = db.transaction()?;
                envelope(&commit, &random()?, &random()?, 0, &[[1; 32], [2; 32]])?;
                commit.commit()?;
            }
        }
        Ok(())
    }
}

/// Time of each of many small commits, µs.
pub fn commits() -> anyhow::Result<Vec<f64>> {
    let folder = tempfile::tempdir()?;
    let mut db = Rows::One.lay(folder.path())?;
    let mut times = Vec::with_capacity(COMMITS);
    for _ in 0..COMMITS {
        let began = Instant::now();
        Rows::One.commit(&mut db)?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

/// One run of inserts.
pub struct Run {
    /// All rows of one envelope, µs.
    pub envelope_us: f64,
    /// Rows a second.
    pub rows_per_second: f64,
}

/// Inserts the rows of many documents in large commits.
pub fn inserts() -> anyhow::Result<Run> {
    inserts_of(DOCUMENTS)
}

fn inserts_of(documents: usize) -> anyhow::Result<Run> {
    let folder = tempfile::tempdir()?;
    let mut db = open(folder.path())?;
    node::store::lay_tables(&mut db)?;
    db.set_prepared_statement_cache_capacity(64);
    let members = [random()?, random()?];
    let mut queue = Vec::with_capacity(documents * 6);
    for _ in 0..documents {
        let doc = random()?;
        for place in 0..6 {
            queue.push((random()?, doc, place));
        }
    }
    let mut rows = 0;
    let began = Instant::now();
    for batch in queue.chunks(ENVELOPES_PER_COMMIT) {
        let commit = db.transaction()?;
        for (id, doc, place) in batch {
            rows += envelope(&commit, id, doc, *place, &members)?;
        }
        commit.commit()?;
    }
    let took = began.elapsed().as_secs_f64();
    let envelopes = super::super::statistics::count(queue.len());
    Ok(Run { envelope_us: took * 1e6 / envelopes, rows_per_second: f64::from(rows) / took })
}

/// The rows of one envelope: its log entry, its document, its incident, who sees it, what is due, an event.
fn envelope(
    db: &Connection,
    id: &[u8; 32],
    doc: &[u8; 32],
    place: i64,
    members: &[[u8; 32]; 2],
) -> rusqlite::Result<u32> {
    let [us, peer] = members;
    db.prepare_cached(
        "INSERT INTO envelope (id, doc, author, bytes, received_ms, written_ms, came) VALUES (?1, ?2, ?3, ?4, 1, 1, ?5)",
    )?
    .execute(params![id, doc, us, [0_u8; ENVELOPE_BYTES], (place == 0).then_some(0)])?;
    db.prepare_cached("INSERT INTO event (what, doc) VALUES ('incident', ?1)")?.execute(params![doc])?;
    db.prepare_cached(
        "INSERT INTO document (id, class, fingerprint, heads, urgent, ours) VALUES (?1, 1, ?2, ?2, 1, 2)
         ON CONFLICT (id) DO UPDATE SET fingerprint = ?2, heads = ?2",
    )?
    .execute(params![doc, id])?;
    if place > 0 {
        db.prepare_cached("UPDATE incident SET envelope = ?2, step = ?3, changed_ms = ?3 WHERE doc = ?1")?
            .execute(params![doc, id, place])?;
        return Ok(4);
    }
    db.prepare_cached(
        "INSERT INTO incident (doc, envelope, kind, urgency, code, cell, lat, lon, exact, source, opened_ms, period,
         day, author, owner, answering, step, touched, saw_it_too, crews, changed_ms, ours)
         VALUES (?1, ?2, 4, 1, 'CL-13130', 7, -33.5, -70.6, 0, 1, ?3, 1, 1, ?4, ?4, ?4, 0, 0, 0, 0, 1, 2)",
    )?
    .execute(params![doc, id, i64::from(u32::from_be_bytes([0, id[0], id[1], id[2]])), us])?;
    db.prepare_cached("INSERT INTO audience (doc, member, full) VALUES (?1, ?2, 1)")?
        .execute(params![doc, peer])?;
    db.prepare_cached("INSERT INTO due (peer, doc, since_ms, urgent) VALUES (?1, ?2, 1, 1)")?
        .execute(params![peer, doc])?;
    Ok(6)
}

fn open(folder: &Path) -> anyhow::Result<Connection> {
    let db = Connection::open(folder.join("reference.db"))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    Ok(db)
}

fn random() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_fills_the_tables_that_a_node_has_today() {
        let run = super::inserts_of(3).unwrap();
        assert!(run.rows_per_second > 0.0 && run.envelope_us > 0.0);
    }
}
