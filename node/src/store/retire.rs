//! Which closed incidents of this node have been kept for as long as they are to be.

use protocol::ids::{DocId, Millis};
use rusqlite::params;

use crate::store::WriteError;
use crate::store::limits::RETIRED_AT_ONCE;
use crate::store::people::millis;
use crate::store::reader::Reader;

/// Where a look at what is to be retired goes on: behind this one.
pub type RetireCursor = (Millis, DocId);

impl Reader<'_> {
    /// Own incidents that were closed before an instant, oldest first, behind `after`; those in which
    /// this node does not write for now are left out.
    pub fn to_retire(
        &self,
        before: Millis,
        after: Option<RetireCursor>,
    ) -> Result<Vec<RetireCursor>, WriteError> {
        let (after_ms, after_doc) = after.unwrap_or((Millis(0), DocId([0; 32])));
        let mut select = self.db().prepare_cached(
            "SELECT closed_ms, doc FROM incident
             WHERE ours = 3 AND closed_ms IS NOT NULL AND NOT retired AND closed_ms < ?1
                AND (closed_ms, doc) > (?2, ?3)
                AND NOT EXISTS (SELECT 1 FROM lock WHERE lock.doc = incident.doc)
             ORDER BY closed_ms, doc LIMIT ?4",
        )?;
        let limit = i64::try_from(RETIRED_AT_ONCE).expect("a small limit");
        let rows =
            select.query_map(params![millis(before), millis(after_ms), after_doc.0, limit], |row| {
                let closed: i64 = row.get(0)?;
                Ok((Millis(u64::try_from(closed).unwrap_or_default()), DocId(row.get(1)?)))
            })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// True if this one is ours and closed since before an instant.
    pub fn is_to_retire(&self, doc: DocId, before: Millis) -> Result<bool, WriteError> {
        let mut select = self.db().prepare_cached(
            "SELECT 1 FROM incident WHERE doc = ?1 AND ours = 3 AND closed_ms < ?2 AND NOT retired",
        )?;
        Ok(select.exists(params![doc.0, millis(before)])?)
    }
}
