//! Incidents of nodes that do not answer any more: which are open, to whom they are offered, and which
//! hold envelopes of an expelled node that nobody has vouched for.

use protocol::ids::{DocId, MemberId};
use rusqlite::params;

use crate::store::WriteError;
use crate::store::incidents::{COLUMNS, FROM, IncidentRow};
use crate::store::limits::TAKEOVERS_LISTED_MAX;
use crate::store::reader::Reader;

/// The open incidents of one owner, by how far a takeover of them is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakeoverCounts {
    /// All of them.
    pub open: u64,
    /// Offered to nobody.
    pub unoffered: u64,
    /// Offered and not answered, by the node that was asked.
    pub waiting: Vec<(MemberId, u64)>,
    /// Accepted, and not committed yet.
    pub accepted: u64,
    /// Those in which this node does not write for now.
    pub locked: u64,
}

/// The few that are unconfirmed, and not all that the member takes part in.
pub(super) const SEALABLE: &str = "FROM incident CROSS JOIN audience AS part
        ON part.doc = incident.doc AND part.member = ?1 AND part.full
    WHERE unconfirmed > 0 AND (owner = ?2 OR took_over)";

impl Reader<'_> {
    /// How far a takeover of everything open of `owner` is.
    pub fn takeover_counts(&self, owner: MemberId) -> Result<TakeoverCounts, WriteError> {
        let mut counts: TakeoverCounts = self
            .db()
            .prepare_cached(
                "SELECT count(*), count(takes_over), count(lock.doc),
                    coalesce(sum(takes_over IS NULL AND takeover_to IS NULL), 0)
                 FROM incident LEFT JOIN lock ON lock.doc = incident.doc
                 WHERE owner = ?1 AND outcome IS NULL",
            )?
            .query_row(params![owner.0], |row| {
                let count = |at: usize| -> rusqlite::Result<u64> {
                    Ok(u64::try_from(row.get::<_, i64>(at)?).unwrap_or_default())
                };
                let (open, accepted, locked, unoffered) = (count(0)?, count(1)?, count(2)?, count(3)?);
                Ok(TakeoverCounts { open, unoffered, waiting: Vec::new(), accepted, locked })
            })?;
        let waiting: Vec<([u8; 32], u64)> = self.pairs(
            "SELECT takeover_to, count(*) FROM incident
             WHERE owner = ?1 AND outcome IS NULL AND takeover_to IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1",
            params![owner.0],
        )?;
        counts.waiting = waiting.into_iter().map(|(member, count)| (MemberId(member), count)).collect();
        Ok(counts)
    }

    /// Open incidents of `owner` that may be offered to `to` now: neither accepted by anybody nor offered
    /// to that node, and not where this node waits. The most urgent first, then the oldest.
    pub fn takeover_candidates(
        &self,
        owner: MemberId,
        to: MemberId,
        count: usize,
    ) -> Result<Vec<DocId>, WriteError> {
        // What this node offered to itself and did not finish is begun anew.
        self.docs(
            "SELECT doc FROM incident WHERE owner = ?1 AND outcome IS NULL AND takes_over IS NULL
                AND (takeover_to IS NOT ?2 OR ?2 = ?3)
                AND NOT EXISTS (SELECT 1 FROM lock WHERE lock.doc = incident.doc)
             ORDER BY urgency DESC, opened_ms, doc LIMIT ?4",
            params![owner.0, to.0, self.member().0, limit(count)],
        )
    }

    /// The first open incidents of `owner`, as a list for people.
    pub fn open_incidents_of(&self, owner: MemberId) -> Result<Vec<IncidentRow>, WriteError> {
        let sql = format!(
            "SELECT {COLUMNS} {FROM} WHERE owner = ?1 AND outcome IS NULL
             ORDER BY urgency DESC, opened_ms LIMIT ?2"
        );
        self.incidents(&sql, params![owner.0, limit(TAKEOVERS_LISTED_MAX)])
    }

    /// How many incidents wait for this node's answer to a takeover, by whose they are.
    pub fn takeovers_offered_here(&self) -> Result<Vec<(MemberId, u64)>, WriteError> {
        let rows: Vec<([u8; 32], u64)> = self.pairs(
            "SELECT owner, count(*) FROM incident WHERE takeover_to = ?1 AND outcome IS NULL
             GROUP BY owner ORDER BY 2 DESC, 1",
            params![self.member().0],
        )?;
        Ok(rows.into_iter().map(|(member, count)| (MemberId(member), count)).collect())
    }

    /// Those of one owner.
    pub fn takeovers_to_answer(&self, owner: MemberId, count: usize) -> Result<Vec<DocId>, WriteError> {
        self.docs(
            "SELECT doc FROM incident WHERE takeover_to = ?1 AND owner = ?2 AND outcome IS NULL
                AND NOT EXISTS (SELECT 1 FROM lock WHERE lock.doc = incident.doc)
             ORDER BY urgency DESC, opened_ms, doc LIMIT ?3",
            params![self.member().0, owner.0, limit(count)],
        )
    }

    /// Incidents in which this node may vouch for what `author` wrote, after `after` by id: it owns them
    /// or took them over, that node took part, and somebody's envelopes there are unconfirmed.
    pub fn sealable(
        &self,
        author: MemberId,
        after: Option<DocId>,
        count: usize,
    ) -> Result<Vec<DocId>, WriteError> {
        self.docs(
            &format!(
                "SELECT incident.doc {SEALABLE} AND incident.doc > ?3
                    AND NOT EXISTS (SELECT 1 FROM lock WHERE lock.doc = incident.doc)
                 ORDER BY incident.doc LIMIT ?4"
            ),
            params![author.0, self.member().0, after.map_or(vec![], |doc| doc.0.to_vec()), limit(count)],
        )
    }

    /// In how many that is so now.
    pub fn sealable_count(&self, author: MemberId) -> Result<u64, WriteError> {
        let count: i64 = self
            .db()
            .prepare_cached(&format!("SELECT count(*) {SEALABLE}"))?
            .query_row(params![author.0, self.member().0], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    fn docs(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<DocId>, WriteError> {
        let mut select = self.db().prepare_cached(sql)?;
        let rows = select.query_map(values, |row| row.get(0).map(DocId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
