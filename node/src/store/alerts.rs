//! Alerts: which incident a person's alert opened, and, sealed, who sent it. Local for ever.

use protocol::ids::{DocId, Millis, Nonce};
use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use crate::store::WriteError;
use crate::store::people::{PersonId, millis, reporter_mark};
use crate::store::reader::Reader;
use crate::store::seal::DoesNotOpen;
use crate::store::tx::Tx;

/// Who may know who reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody who sees the incident.
    Public,
    /// Neighbours.
    Neighbours,
    /// The operators of the reporter's own node.
    #[default]
    Operator,
    /// Nobody: the reporter is sealed.
    Nobody,
}

impl Visibility {
    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Visibility::Public => "public",
            Visibility::Neighbours => "neighbours",
            Visibility::Operator => "operator",
            Visibility::Nobody => "nobody",
        }
    }
    /// From its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Visibility> {
        [Self::Public, Self::Neighbours, Self::Operator, Self::Nobody].into_iter().find(|v| v.name() == name)
    }
}

/// What this node knows of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// The incident that it opened.
    pub doc: DocId,
    /// Who sent it, or called; none without a session or number, or once they were erased.
    pub reporter: Option<PersonId>,
    /// Who may know.
    pub visibility: Visibility,
    /// True if its place lies in no known territory or was missing.
    pub outside: bool,
    /// When it was stored.
    pub stored: Millis,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    reporter: Option<PersonId>,
    visibility: Visibility,
}

impl Tx<'_> {
    /// Keeps which incident an alert opened. The nonce is the idempotency key: a second alert with
    /// the same one is a broken promise of the caller.
    pub fn add_alert(&mut self, nonce: Nonce, alert: &AlertRow) -> Result<(), WriteError> {
        let key = match alert.reporter {
            Some(person) => self.keys().person(person.0)?,
            None => None,
        };
        let sealed = Sealed { reporter: alert.reporter, visibility: alert.visibility };
        let sealed = serde_json::to_vec(&sealed).expect("a small struct is JSON");
        let sealed = self.shared().reporter.seal(&nonce.0, &sealed);
        self.db()
            .prepare_cached(
                "INSERT INTO alert (nonce, doc, reporter_mark, sealed, outside, stored_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                nonce.0,
                alert.doc.0,
                key.as_ref().map(reporter_mark),
                sealed,
                alert.outside,
                millis(alert.stored)
            ])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// The alert of a nonce.
    pub fn alert(&self, nonce: Nonce) -> Result<Option<AlertRow>, WriteError> {
        self.alert_where("nonce = ?1", nonce.0)
    }

    /// The first alert that opened a document here.
    pub fn alert_of(&self, doc: DocId) -> Result<Option<AlertRow>, WriteError> {
        self.alert_where("doc = ?1", doc.0)
    }

    /// Incidents that a person here reported, newest first.
    pub fn incidents_of(&self, person: PersonId, rows_max: u32) -> Result<Vec<DocId>, WriteError> {
        let Some(key) = self.keys().person(person.0)? else { return Ok(Vec::new()) };
        let mut select = self.db().prepare_cached(
            "SELECT doc FROM alert WHERE reporter_mark = ?1 ORDER BY stored_ms DESC, doc LIMIT ?2",
        )?;
        let rows = select.query_map(params![reporter_mark(&key), rows_max], |row| row.get(0).map(DocId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn alert_where(&self, filter: &str, id: [u8; 32]) -> Result<Option<AlertRow>, WriteError> {
        let sql = format!(
            "SELECT nonce, doc, sealed, outside, stored_ms FROM alert WHERE {filter} ORDER BY stored_ms LIMIT 1"
        );
        let row = self
            .db()
            .prepare_cached(&sql)?
            .query_row(params![id], |row| {
                let (nonce, doc): ([u8; 32], [u8; 32]) = (row.get(0)?, row.get(1)?);
                let (sealed, stored): (Vec<u8>, i64) = (row.get(2)?, row.get(4)?);
                Ok((nonce, DocId(doc), sealed, row.get::<_, bool>(3)?, stored))
            })
            .optional()?;
        let Some((nonce, doc, sealed, outside, stored)) = row else { return Ok(None) };
        let opened = self.shared().reporter.open(&nonce, &sealed);
        let sealed =
            opened.and_then(|bytes| serde_json::from_slice::<Sealed>(&bytes).map_err(|_| DoesNotOpen));
        let sealed = sealed.unwrap_or(Sealed { reporter: None, visibility: Visibility::Nobody });
        Ok(Some(AlertRow {
            doc,
            reporter: sealed.reporter,
            visibility: sealed.visibility,
            outside,
            stored: Millis(u64::try_from(stored).unwrap_or_default()),
        }))
    }
}
