//! The desk's queue. A town holds years of closed incidents and works on a few open ones: what is asked for at every
//! change never goes through all of them.

use rusqlite::params;

use crate::store::WriteError;
use crate::store::duplicates::HIDDEN;
use crate::store::incidents::{COLUMNS, IncidentRow};
use crate::store::limits::INCIDENTS_ANSWER_MAX;
use crate::store::reader::Reader;

/// Which incidents of this node's desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncidentQuery {
    /// Not closed.
    Open,
    /// Closed.
    Closed,
    /// All.
    All,
}

/// As [`IncidentRow::rings`], for the order of the queue.
const RINGS: &str = "(outcome IS NULL AND urgency >= 3 AND NOT bulk
    AND (asked = 2 OR (step = 0 AND NOT touched AND NOT late)))";
/// Of the open ones.
const OPEN_ORDER: &str = "urgency DESC, opened_ms";

impl Reader<'_> {
    /// The desk's incidents: this node owns them, is offered them or is involved. What rings comes
    /// first, then by urgency, then the oldest; after the open ones the closed ones, the newest first. At most
    /// [`INCIDENTS_ANSWER_MAX`].
    pub fn queue(&self, which: IncidentQuery) -> Result<Vec<IncidentRow>, WriteError> {
        let mut rows = Vec::new();
        if which != IncidentQuery::Closed {
            rows = self.of_queue(&open_sql(), INCIDENTS_ANSWER_MAX)?;
        }
        let room = INCIDENTS_ANSWER_MAX.saturating_sub(rows.len());
        if which != IncidentQuery::Open && room > 0 {
            rows.append(&mut self.of_queue(&closed_sql(), room)?);
        }
        Ok(rows)
    }

    fn of_queue(&self, sql: &str, most: usize) -> Result<Vec<IncidentRow>, WriteError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.incidents(sql, params![most])
    }
}

/// Which come first is found out before any is read whole.
pub(super) fn open_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM (
             SELECT incident.doc AS id FROM incident
             WHERE outcome IS NULL AND ours >= 2 AND NOT {HIDDEN} ORDER BY {RINGS} DESC, {OPEN_ORDER} LIMIT ?1)
         CROSS JOIN incident ON incident.doc = id
         ORDER BY {RINGS} DESC, {OPEN_ORDER}"
    )
}

pub(super) fn closed_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM incident
         WHERE outcome IS NOT NULL AND ours >= 2 AND NOT {HIDDEN} ORDER BY opened_ms DESC LIMIT ?1"
    )
}

#[cfg(test)]
mod tests {
    use protocol::author::Draft;
    use protocol::fixture::{Federation, code, open, somebody};
    use protocol::ids::{DocId, Millis};
    use protocol::kind::{Kind, Urgency};
    use protocol::operation::{Operation, Outcome, Step};

    use super::*;
    use crate::store::tests::open_as;
    use crate::store::{Queue, Store};

    async fn write(store: &Store, doc: Option<DocId>, operation: Operation) -> DocId {
        let (blobs, answers) = (Vec::new(), Vec::new());
        let draft = Draft { operation, blobs, answers, written_at: Millis(1_000) };
        store.write(Queue::Normal, move |tx| tx.append(doc, &draft, None)).await.unwrap().header().doc
    }

    #[tokio::test]
    async fn what_rings_is_first_then_the_urgent_and_the_closed_ones_are_last() {
        let (federation, folder) = (Federation::new(2), tempfile::tempdir().unwrap());
        let store = open_as(folder.path(), &federation, 0, None);
        let incident = |name: &str, at: u64| {
            let operation = open(code(0), Kind::by_name(name).unwrap(), &[], None, at);
            let Operation::Open(mut begun) = operation else { panic!("it opens") };
            begun.opened = Millis(at);
            begun.urgency = if name == "sos" { Urgency::Emergency } else { Urgency::Low };
            Operation::Open(begun)
        };
        let mut docs = Vec::new();
        for (name, at) in [("noise", 1), ("noise", 2), ("sos", 3), ("sos", 4), ("noise", 5), ("noise", 6)] {
            docs.push(write(&store, None, incident(name, at)).await);
        }
        // The first SOS rings no more; the two newest noises are over.
        write(&store, Some(docs[2]), Operation::Step { step: Step::Received, by: somebody(1) }).await;
        for over in [docs[4], docs[5]] {
            write(&store, Some(over), Operation::Close { outcome: Outcome::Helped, by: somebody(1) }).await;
        }
        let queue = |which| -> Vec<usize> {
            let rows = store.read_here(|r| r.queue(which)).unwrap();
            rows.iter().map(|row| docs.iter().position(|doc| *doc == row.doc).unwrap()).collect()
        };
        assert_eq!(queue(IncidentQuery::Open), [3, 2, 0, 1]);
        assert_eq!(queue(IncidentQuery::Closed), [5, 4]);
        assert_eq!(queue(IncidentQuery::All), [3, 2, 0, 1, 5, 4]);
    }
}
