//! The audit: who did what and why, as a hash chain over salted commitments.
//!
//! The chain holds commitments only; the words lie beside it under the key of the person concerned.
//! Erasing that person makes the words unreadable and leaves the chain whole.

use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use protocol::ids::{Millis, sha256};

use crate::store::WriteError;
use crate::store::people::PersonId;
use crate::store::reader::Reader;
use crate::store::seal::random;
use crate::store::tx::Tx;

/// One entry as it is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Who acted: `operator 3`, `resident 12`, `local`, `node`.
    pub who: String,
    /// What: `read resident`, `step called`, …
    pub what: String,
    /// On what: a document, a person.
    pub on: String,
    /// Why, where a purpose is asked.
    pub why: String,
}

/// One row, opened as far as its key is still here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Position in the chain, from 1.
    pub number: u64,
    /// When.
    pub at: Millis,
    /// The words; absent once the person concerned was erased.
    pub entry: Option<AuditEntry>,
}

/// The chain does not hold from this row on: a row was changed, removed or put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit's chain is broken at row {0}")]
pub struct BrokenChain(pub u64);

const CHAIN: &[u8] = b"cuadra/audit/v1\0";

impl Tx<'_> {
    /// Adds a row. `concerned` is the person under whose key the words are kept, if there is one.
    pub fn audit(&mut self, concerned: Option<PersonId>, entry: &AuditEntry) -> Result<(), WriteError> {
        let last: Option<(i64, [u8; 32])> = self
            .db()
            .prepare_cached("SELECT number, chain FROM audit ORDER BY number DESC LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (number, previous) = last.map_or((1, [0; 32]), |(number, chain)| (number + 1, chain));
        let at = self.now();
        let salt = random();
        let words = serde_json::to_vec(entry).expect("four texts are JSON");
        let commitment = sha256(&[&salt, &words]);
        let chain = link(previous, number, at, commitment);
        let key = match concerned {
            Some(person) => self.keys().person(person.0)?,
            None => None,
        };
        let concerned = concerned.filter(|_| key.is_some());
        let key = key.unwrap_or_else(|| self.shared().audit.clone());
        let sealed = key.seal(&row_name(number), &[&salt[..], &words].concat());
        self.db()
            .prepare_cached(
                "INSERT INTO audit (number, at_ms, commitment, chain, person, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                number,
                i64::try_from(at.0).unwrap_or(i64::MAX),
                commitment,
                chain,
                concerned.map(|person| person.0),
                sealed
            ])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// Checks the whole chain and gives the head; the inner error names the first bad row.
    pub fn check_audit(&self) -> Result<Result<u64, BrokenChain>, WriteError> {
        let mut select =
            self.db().prepare("SELECT number, at_ms, commitment, chain FROM audit ORDER BY number")?;
        let mut rows = select.query([])?;
        let (mut expected, mut previous) = (1_i64, [0; 32]);
        while let Some(row) = rows.next()? {
            let (number, at): (i64, i64) = (row.get(0)?, row.get(1)?);
            let at = Millis(u64::try_from(at).unwrap_or_default());
            let chain: [u8; 32] = row.get(3)?;
            if number != expected || chain != link(previous, number, at, row.get(2)?) {
                return Ok(Err(BrokenChain(u64::try_from(expected).unwrap_or_default())));
            }
            (expected, previous) = (expected + 1, chain);
        }
        Ok(Ok(u64::try_from(expected - 1).unwrap_or_default()))
    }

    /// The newest rows that concern a person, newest first: what that person may see.
    pub fn audit_of(&self, person: PersonId, rows_max: u32) -> Result<Vec<AuditRow>, WriteError> {
        let key = self.keys().person(person.0)?;
        let mut select = self.db().prepare_cached(
            "SELECT number, at_ms, sealed FROM audit WHERE person = ?1 ORDER BY number DESC LIMIT ?2",
        )?;
        let rows = select.query_map(params![person.0, rows_max], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
        })?;
        let mut found = Vec::new();
        for row in rows {
            let (number, at, sealed) = row?;
            let opened = key.as_ref().and_then(|key| key.open(&row_name(number), &sealed).ok());
            let entry = opened.and_then(|bytes| serde_json::from_slice(bytes.get(32..)?).ok());
            found.push(AuditRow {
                number: u64::try_from(number).unwrap_or_default(),
                at: Millis(u64::try_from(at).unwrap_or_default()),
                entry,
            });
        }
        Ok(found)
    }
}

fn link(previous: [u8; 32], number: i64, at: Millis, commitment: [u8; 32]) -> [u8; 32] {
    sha256(&[CHAIN, &previous, &number.to_be_bytes(), &at.0.to_be_bytes(), &commitment])
}

fn row_name(number: i64) -> Vec<u8> {
    format!("audit/{number}").into_bytes()
}
