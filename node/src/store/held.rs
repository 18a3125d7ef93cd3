//! Envelopes under rules that this release does not know: kept within bounds, shown to nobody, and handed
//! to the replica of a release that knows them. A restart and an upgrade find them here.

use protocol::envelope::SignedEnvelope;
use protocol::ids::{Cell, Code, DocId, EnvelopeId, MemberId, Millis};
use protocol::kind::Urgency;
use protocol::limits::{
    HELD_BYTES_MAX, HELD_PER_DOCUMENT_MAX, HELD_PER_PEER_MAX, PAGING_INCIDENTS_PER_HOUR_MAX, RING_AGE_MS_MAX,
};
use protocol::replica::{Glimpse, Held};
use rusqlite::{OptionalExtension as _, Row, params};

use crate::store::events::What;
use crate::store::limits::INCIDENTS_ANSWER_MAX;
use crate::store::people::millis;
use crate::store::reader::Reader;
use crate::store::tx::Tx;
use crate::store::{Store, WriteError};

/// An incident that was written by a later release: what of it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldIncident {
    /// The document.
    pub doc: DocId,
    /// Who opened it.
    pub author: MemberId,
    /// How pressing, where, and in which cell.
    pub glimpse: Glimpse,
    /// When it was written, on this node's own clock.
    pub written: Millis,
    /// When it came.
    pub received: Millis,
    /// True if it came too late to ring.
    pub late: bool,
    /// True if its author had opened more than may page people.
    pub bulk: bool,
    /// True once somebody at this desk has said that they saw it.
    pub seen: bool,
}

impl HeldIncident {
    /// True while it rings at the desk.
    #[must_use]
    pub fn rings(&self) -> bool {
        self.glimpse.urgency.rings() && !self.seen && !self.late && !self.bulk
    }
}

const COLUMNS: &str = "doc, author, urgency, code, cell, written_ms, received_ms, late, bulk, seen";

impl Store {
    /// The newest rules that this release knows.
    #[must_use]
    pub fn rules(&self) -> u16 {
        self.inner.shared.rules
    }
}

impl Tx<'_> {
    /// Keeps an envelope without a verdict. False if it is here already, or if its sender or its document
    /// has its share: then it stays due where it is.
    pub fn hold(&mut self, held: &Held) -> Result<bool, WriteError> {
        let (id, header) = (held.envelope.id(), held.envelope.header());
        let (doc, now) = (header.doc, self.now());
        let reader = self.reader();
        if reader.holds_back(&id)? || reader.holds(&doc, &id)? || !reader.has_room_to_hold(held.from, doc)? {
            return Ok(false);
        }
        self.db()
            .prepare_cached(
                "INSERT INTO held (id, doc, peer, rules, bytes, written_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                id.0,
                doc.0,
                held.from.0,
                header.rules_version,
                held.envelope.bytes(),
                millis(now.since(held.age))
            ])?;
        if let Some(glimpse) = held.glimpse(self.member(), &self.rosters()) {
            self.show_held(held, glimpse)?;
        }
        self.drop_past_bytes()?;
        Ok(true)
    }

    /// Puts what can be read of a genesis on the desk, ringing as any other would.
    fn show_held(&mut self, held: &Held, glimpse: Glimpse) -> Result<(), WriteError> {
        let (header, now) = (held.envelope.header(), self.now());
        let hour_ago = millis(now.since(Millis(60 * 60 * 1_000)));
        let recent: u32 = self
            .db()
            .prepare_cached(
                "SELECT (SELECT count(*) FROM envelope WHERE author = ?1 AND received_ms > ?2 AND came = 0)
                    + (SELECT count(*) FROM held_incident WHERE author = ?1 AND received_ms > ?2 AND NOT late AND NOT bulk)",
            )?
            .query_row(params![header.author.0, hour_ago], |row| row.get(0))?;
        let late = held.age.0 > RING_AGE_MS_MAX;
        let bulk = !late && recent >= PAGING_INCIDENTS_PER_HOUR_MAX;
        self.db()
            .prepare_cached(
                "INSERT OR IGNORE INTO held_incident
                    (doc, envelope, author, urgency, code, cell, written_ms, received_ms, late, bulk, seen)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0)",
            )?
            .execute(params![
                header.doc.0,
                held.envelope.id().0,
                header.author.0,
                glimpse.urgency as u8,
                glimpse.code.to_string(),
                glimpse.cell.0.cast_signed(),
                millis(now.since(held.age)),
                millis(now),
                late,
                bulk
            ])?;
        self.event(What::Incident, Some(header.doc))
    }

    /// The newest of whoever has most goes until all fits.
    fn drop_past_bytes(&mut self) -> Result<(), WriteError> {
        let most = i64::try_from(HELD_BYTES_MAX).unwrap_or(i64::MAX);
        let db = self.db();
        let mut all = db.prepare_cached("SELECT coalesce(sum(bytes), 0) FROM held_share")?;
        let mut drop = db.prepare_cached(
            "DELETE FROM held WHERE number = (SELECT max(number) FROM held WHERE peer =
                (SELECT peer FROM held_share ORDER BY bytes DESC, peer LIMIT 1))",
        )?;
        while all.query_row([], |row| row.get::<_, i64>(0))? > most {
            if drop.execute([])? == 0 {
                return Err(WriteError::Broken("what is held is counted wrongly".into()));
            }
        }
        Ok(())
    }

    /// Forgets one that was judged, or looked at by a release that knows its rules.
    pub fn let_go(&mut self, id: &EnvelopeId) -> Result<(), WriteError> {
        let gone = self
            .db()
            .prepare_cached("DELETE FROM held WHERE id = ?1 RETURNING doc")?
            .query_row(params![id.0], |row| row.get(0).map(DocId));
        if let Some(doc) = gone.optional()? {
            self.event(What::Incident, Some(doc))?;
        }
        Ok(())
    }

    /// Somebody at this desk has seen an incident of a later release; false if there is none such.
    pub fn mark_held_seen(&mut self, doc: DocId) -> Result<bool, WriteError> {
        let rows = self
            .db()
            .prepare_cached("UPDATE held_incident SET seen = 1 WHERE doc = ?1")?
            .execute(params![doc.0])?;
        if rows > 0 {
            self.event(What::Incident, Some(doc))?;
        }
        Ok(rows > 0)
    }
}

impl Reader<'_> {
    /// True for an envelope that is held without a verdict.
    pub fn holds_back(&self, id: &EnvelopeId) -> Result<bool, WriteError> {
        Ok(self.db().prepare_cached("SELECT 1 FROM held WHERE id = ?1")?.exists(params![id.0])?)
    }

    /// True if any of a document is held so.
    pub fn holds_back_of(&self, doc: DocId) -> Result<bool, WriteError> {
        Ok(self.db().prepare_cached("SELECT 1 FROM held WHERE doc = ?1")?.exists(params![doc.0])?)
    }

    /// Those of a document that a peer sent and that are held.
    pub fn held_from(
        &self,
        peer: &MemberId,
        doc: &DocId,
        limit: usize,
    ) -> Result<Vec<EnvelopeId>, WriteError> {
        let mut select =
            self.db().prepare_cached("SELECT id FROM held WHERE doc = ?1 AND peer = ?2 LIMIT ?3")?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(params![doc.0, peer.0, limit], |row| row.get(0).map(EnvelopeId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Those held under rules up to this version, oldest first, as they are at `now`.
    pub fn held_ready(&self, rules: u16, limit: usize, now: Millis) -> Result<Vec<Held>, WriteError> {
        let mut select = self.db().prepare_cached(
            "SELECT peer, bytes, written_ms FROM held WHERE rules <= ?1 ORDER BY number LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(params![rules, limit], |row| {
            let written: i64 = row.get(2)?;
            Ok((MemberId(row.get(0)?), row.get::<_, Vec<u8>>(1)?, written))
        })?;
        let mut ready = Vec::new();
        for row in rows {
            let (from, bytes, written) = row?;
            let envelope = SignedEnvelope::decode(&bytes)
                .map_err(|error| WriteError::Broken(format!("a held envelope does not parse: {error}")))?;
            let age = now.since(Millis(u64::try_from(written).unwrap_or_default()));
            ready.push(Held { from, envelope, age });
        }
        Ok(ready)
    }

    /// Incidents of later releases that this desk may see, what rings first.
    pub fn held_incidents(&self) -> Result<Vec<HeldIncident>, WriteError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM held_incident
             ORDER BY (urgency >= 3 AND NOT seen AND NOT late AND NOT bulk) DESC, urgency DESC, written_ms
             LIMIT ?1"
        );
        let mut select = self.db().prepare_cached(&sql)?;
        let limit = i64::try_from(INCIDENTS_ANSWER_MAX).unwrap_or(i64::MAX);
        let rows = select.query_map(params![limit], held_incident)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One of them.
    pub fn held_incident(&self, doc: DocId) -> Result<Option<HeldIncident>, WriteError> {
        let sql = format!("SELECT {COLUMNS} FROM held_incident WHERE doc = ?1");
        Ok(self.db().prepare_cached(&sql)?.query_row(params![doc.0], held_incident).optional()?)
    }

    /// How many envelopes are held without a verdict, and their bytes.
    pub fn held_size(&self) -> Result<(u64, u64), WriteError> {
        let (count, bytes): (i64, i64) = self
            .db()
            .prepare_cached("SELECT coalesce(sum(envelopes), 0), coalesce(sum(bytes), 0) FROM held_share")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((u64::try_from(count).unwrap_or_default(), u64::try_from(bytes).unwrap_or_default()))
    }

    fn has_room_to_hold(&self, peer: MemberId, doc: DocId) -> Result<bool, WriteError> {
        let of_peer: Option<i64> = self
            .db()
            .prepare_cached("SELECT envelopes FROM held_share WHERE peer = ?1")?
            .query_row(params![peer.0], |row| row.get(0))
            .optional()?;
        let of_doc: i64 = self
            .db()
            .prepare_cached("SELECT count(*) FROM held WHERE doc = ?1")?
            .query_row(params![doc.0], |row| row.get(0))?;
        let below = |count: i64, most: usize| usize::try_from(count).is_ok_and(|count| count < most);
        Ok(below(of_peer.unwrap_or_default(), HELD_PER_PEER_MAX) && below(of_doc, HELD_PER_DOCUMENT_MAX))
    }
}

fn held_incident(row: &Row<'_>) -> rusqlite::Result<HeldIncident> {
    let at = |index: usize| -> rusqlite::Result<Millis> {
        Ok(Millis(u64::try_from(row.get::<_, i64>(index)?).unwrap_or_default()))
    };
    let code: String = row.get(3)?;
    Ok(HeldIncident {
        doc: DocId(row.get(0)?),
        author: MemberId(row.get(1)?),
        glimpse: Glimpse {
            urgency: Urgency::from_byte(row.get(2)?).unwrap_or(Urgency::Emergency),
            code: code.parse().unwrap_or(Code::OUTSIDE),
            cell: Cell(row.get::<_, i64>(4)?.cast_unsigned()),
        },
        written: at(5)?,
        received: at(6)?,
        late: row.get(7)?,
        bulk: row.get(8)?,
        seen: row.get(9)?,
    })
}

#[cfg(test)]
mod tests;
