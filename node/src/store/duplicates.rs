//! Incidents that are one: which are linked, which were taken in below another, which may be the same.
//!
//! A duplicate is shown below another only if its owner says so, the other's owner took it in, and the
//! other is held here. In a circle the smallest id stays visible.

use std::collections::BTreeSet;

use protocol::fold::Fold;
use protocol::ids::{DocId, Millis};
use rusqlite::{OptionalExtension as _, params};

use crate::store::incidents::{COLUMNS, FROM};
use crate::store::limits::{
    DUPLICATES_LOOKED_AT_MAX, DUPLICATES_OFFERED_MAX, DUPLICATES_SHOWN_MAX, MERGES_DEPTH_MAX, RETIRED_AT_ONCE,
};
use crate::store::people::millis;
use crate::store::reader::Reader;
use crate::store::tx::Tx;
use crate::store::{IncidentRow, WriteError};

/// True for an incident that is shown below another and nowhere else. A row that leads on too long is
/// shown rather than lost; its bound is [`MERGES_DEPTH_MAX`].
macro_rules! hidden {
    () => {
        "EXISTS (SELECT 1 FROM incident_under AS below WHERE below.doc = incident.doc AND (
            WITH RECURSIVE walk(at) AS (
                SELECT below.target
                UNION SELECT further.target FROM walk JOIN incident_under AS further ON further.doc = walk.at
                LIMIT 64)
            SELECT count(*) < 64 AND NOT (max(at = below.doc) AND min(at) = below.doc) FROM walk))"
    };
}
pub(super) use hidden;
/// As [`hidden`], for queries that are put together.
pub(super) const HIDDEN: &str = hidden!();
const _: () = assert!(MERGES_DEPTH_MAX == 64, "the bound is written into the query");

/// In this order, because few incidents are shown below another one, and many are open.
pub(super) const LEFT_OPEN_BELOW: &str = concat!(
    "SELECT incident.doc FROM incident_under
        CROSS JOIN incident ON incident.doc = incident_under.doc
        CROSS JOIN incident AS kept ON kept.doc = incident_under.target
     WHERE incident.owner = ?1 AND incident.outcome IS NULL AND NOT incident.retired AND kept.outcome IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM lock WHERE lock.doc = incident.doc) AND ",
    hidden!(),
    " ORDER BY incident.doc LIMIT ?2"
);

impl Tx<'_> {
    /// Keeps what a document says about duplicates, and what follows from it for others.
    pub(super) fn derive_merges(&mut self, doc: DocId, fold: &Fold, first: bool) -> Result<(), WriteError> {
        let db = self.db();
        let known = !first
            && db
                .prepare_cached(
                    "SELECT 1 FROM incident_link WHERE doc = ?1 UNION ALL SELECT 1 FROM incident_absorbed WHERE doc = ?1",
                )?
                .exists(params![doc.0])?;
        if !known && fold.links.is_empty() && fold.absorbed.is_empty() {
            return Ok(());
        }
        let mut touched = self.under_directly(doc)?;
        touched.insert(doc);
        touched.extend(fold.absorbed.iter().copied());
        db.prepare_cached("DELETE FROM incident_link WHERE doc = ?1")?.execute(params![doc.0])?;
        db.prepare_cached("DELETE FROM incident_absorbed WHERE doc = ?1")?.execute(params![doc.0])?;
        let mut link = db.prepare_cached("INSERT INTO incident_link (doc, target) VALUES (?1, ?2)")?;
        for target in &fold.links {
            link.execute(params![doc.0, target.0])?;
        }
        let mut absorb =
            db.prepare_cached("INSERT INTO incident_absorbed (doc, duplicate) VALUES (?1, ?2)")?;
        for duplicate in &fold.absorbed {
            absorb.execute(params![doc.0, duplicate.0])?;
        }
        let mut clear = db.prepare_cached("DELETE FROM incident_under WHERE doc = ?1")?;
        let mut set = db.prepare_cached(
            "INSERT INTO incident_under (doc, target)
             SELECT ?1, min(incident_link.target) FROM incident_link
             JOIN incident_absorbed ON incident_absorbed.doc = incident_link.target
                AND incident_absorbed.duplicate = ?1
             JOIN incident ON incident.doc = incident_link.target
             WHERE incident_link.doc = ?1 HAVING count(*) > 0",
        )?;
        for touched in touched {
            clear.execute(params![touched.0])?;
            set.execute(params![touched.0])?;
        }
        Ok(())
    }

    fn under_directly(&self, doc: DocId) -> Result<BTreeSet<DocId>, WriteError> {
        let mut select = self.db().prepare_cached("SELECT doc FROM incident_under WHERE target = ?1")?;
        let rows = select.query_map(params![doc.0], |row| row.get(0).map(DocId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Reader<'_> {
    /// The incident below which this one is shown; none if it is shown by itself.
    pub fn merged_into(&self, doc: DocId) -> Result<Option<DocId>, WriteError> {
        let mut next = self.db().prepare_cached("SELECT target FROM incident_under WHERE doc = ?1")?;
        let mut path = vec![doc];
        while path.len() <= MERGES_DEPTH_MAX {
            let last = path.last().copied().unwrap_or(doc);
            let Some(target) = next.query_row(params![last.0], |row| row.get(0).map(DocId)).optional()?
            else {
                return Ok(Some(last).filter(|last| *last != doc));
            };
            if let Some(place) = path.iter().position(|seen| *seen == target) {
                let smallest = path.get(place..).and_then(|circle| circle.iter().min().copied());
                return Ok(smallest.filter(|smallest| *smallest != doc));
            }
            path.push(target);
        }
        Ok(None)
    }

    /// Incidents whose owner says that they are the same as this one, and that are held here: each with
    /// whether this one took it in.
    pub fn linked_to(&self, doc: DocId) -> Result<Vec<(IncidentRow, bool)>, WriteError> {
        let absorbed = "EXISTS (SELECT 1 FROM incident_absorbed
            WHERE incident_absorbed.doc = ?1 AND incident_absorbed.duplicate = incident.doc)";
        let sql = format!(
            "SELECT {COLUMNS}, {absorbed} {FROM} JOIN incident_link ON incident_link.doc = incident.doc
             WHERE incident_link.target = ?1 ORDER BY opened_ms, incident.doc LIMIT ?2"
        );
        self.with_flag(&sql, params![doc.0, limit(DUPLICATES_SHOWN_MAX)])
    }

    /// Incidents of which this one's owner says that it is the same, and that are held here: each with
    /// whether it took this one in.
    pub fn links_of(&self, doc: DocId) -> Result<Vec<(IncidentRow, bool)>, WriteError> {
        let absorbed = "EXISTS (SELECT 1 FROM incident_absorbed
            WHERE incident_absorbed.doc = incident.doc AND incident_absorbed.duplicate = ?1)";
        let sql = format!(
            "SELECT {COLUMNS}, {absorbed} {FROM} JOIN incident_link ON incident_link.target = incident.doc
             WHERE incident_link.doc = ?1 ORDER BY opened_ms, incident.doc LIMIT ?2"
        );
        self.with_flag(&sql, params![doc.0, limit(DUPLICATES_SHOWN_MAX)])
    }

    /// Incidents that this node sees in full and that may be the same as this one: the same alert that
    /// reached another node, or opened at about the same time within a box of `near_m`. Looks at the
    /// incidents opened just before and just after, never at more; the caller measures and chooses.
    pub fn may_be_the_same(
        &self,
        row: &IncidentRow,
        within: Millis,
        near_m: f64,
    ) -> Result<Vec<IncidentRow>, WriteError> {
        let mut found = self.with_nonce_of(row.doc)?;
        let Some((lat, lon)) = row.place.map(protocol::operation::Point::degrees) else { return Ok(found) };
        let high = near_m / 111_000.0;
        let wide = high / lat.to_radians().cos().abs().max(0.01);
        // A cross join is done in the order that is written: the index by place would go through everything that
        // was ever reported around there.
        let sql = format!(
            "SELECT {COLUMNS} FROM (
                SELECT doc FROM (SELECT doc FROM incident WHERE opened_ms BETWEEN ?1 AND ?2
                    ORDER BY opened_ms DESC LIMIT ?8)
                UNION SELECT doc FROM (SELECT doc FROM incident WHERE opened_ms BETWEEN ?2 AND ?3
                    ORDER BY opened_ms LIMIT ?8)
             ) AS near CROSS JOIN incident ON incident.doc = near.doc
             WHERE incident.doc <> ?9 AND ours >= 2 AND incident.lat BETWEEN ?4 AND ?5 AND incident.lon BETWEEN ?6 AND ?7
                AND NOT retired AND NOT {HIDDEN}
             ORDER BY abs(opened_ms - ?2), incident.doc LIMIT ?10"
        );
        let values = params![
            millis(row.opened.since(within)),
            millis(row.opened),
            millis(row.opened.plus(within)),
            lat - high,
            lat + high,
            lon - wide,
            lon + wide,
            limit(DUPLICATES_LOOKED_AT_MAX),
            row.doc.0,
            limit(DUPLICATES_OFFERED_MAX * 4),
        ];
        let near = self.incidents(&sql, values)?;
        for other in near {
            if found.iter().all(|known| known.doc != other.doc) {
                found.push(other);
            }
        }
        Ok(found)
    }

    /// The same alert at other nodes.
    fn with_nonce_of(&self, doc: DocId) -> Result<Vec<IncidentRow>, WriteError> {
        let sql = format!(
            "SELECT {COLUMNS} {FROM}
             WHERE incident.nonce = (SELECT nonce FROM incident WHERE doc = ?1) AND incident.doc <> ?1
                AND ours >= 2 AND NOT retired AND NOT {HIDDEN}
             ORDER BY incident.doc LIMIT ?2"
        );
        self.incidents(&sql, params![doc.0, limit(DUPLICATES_OFFERED_MAX)])
    }

    /// True if two incidents were opened by the same alert.
    pub fn same_alert(&self, one: DocId, other: DocId) -> Result<bool, WriteError> {
        let mut select = self.db().prepare_cached(
            "SELECT 1 FROM incident WHERE doc = ?1 AND nonce = (SELECT nonce FROM incident WHERE doc = ?2)",
        )?;
        Ok(select.exists(params![one.0, other.0])?)
    }

    /// Own open incidents that are shown below one that is closed: they end with it.
    pub fn left_open_below(&self) -> Result<Vec<DocId>, WriteError> {
        let mut select = self.db().prepare_cached(LEFT_OPEN_BELOW)?;
        let values = params![self.member().0, limit(RETIRED_AT_ONCE)];
        let rows = select.query_map(values, |row| row.get(0).map(DocId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).expect("a small limit")
}
