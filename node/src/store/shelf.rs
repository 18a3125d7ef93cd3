//! What replication reads: what is due to whom, what is shared with whom, what is missing.

use protocol::envelope::{BlobClass, BlobRef};
use protocol::ids::{BlobId, DocId, EnvelopeId, MemberId, Millis};
use protocol::replica::{DueOrder, DueRow};
use rusqlite::{OptionalExtension as _, params};

use crate::store::WriteError;
use crate::store::people::millis;
use crate::store::reader::Reader;

/// What is due after something that is due, in its order: descending in the first two and ascending in the document.
/// One query for each place where they may differ first, so that each goes on in the index where the last one ended.
pub(super) const DUE_AFTER: &str =
    "SELECT doc, urgent, since_ms FROM due WHERE peer = ?1 AND urgent = ?2 AND since_ms = ?3 AND doc > ?4
     UNION ALL SELECT doc, urgent, since_ms FROM due WHERE peer = ?1 AND urgent = ?2 AND since_ms < ?3
     UNION ALL SELECT doc, urgent, since_ms FROM due WHERE peer = ?1 AND urgent < ?2
     ORDER BY urgent DESC, since_ms DESC, doc LIMIT ?5";

impl Reader<'_> {
    /// When an envelope that is held was written, on this node's own clock.
    pub fn written(&self, doc: &DocId, id: &EnvelopeId) -> Result<Option<Millis>, WriteError> {
        let at: Option<i64> = self
            .db()
            .prepare_cached("SELECT written_ms FROM envelope WHERE doc = ?1 AND id = ?2")?
            .query_row(params![doc.0, id.0], |row| row.get(0))
            .optional()?;
        Ok(at.map(|at| Millis(u64::try_from(at).unwrap_or_default())))
    }

    /// Envelopes of a document that were stored at this time or later, in that order.
    pub fn added(&self, doc: &DocId, since: Millis) -> Result<Vec<EnvelopeId>, WriteError> {
        let mut select = self
            .db()
            .prepare_cached("SELECT id FROM envelope WHERE doc = ?1 AND received_ms >= ?2 ORDER BY number")?;
        let rows = select.query_map(params![doc.0, millis(since)], |row| row.get(0).map(EnvelopeId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What is due to a peer: what rings first, then the newest, then by document, after `after`.
    pub fn due_rows(
        &self,
        peer: MemberId,
        after: Option<DueOrder>,
        limit: usize,
    ) -> Result<Vec<DueRow>, WriteError> {
        let mut select = self.db().prepare_cached(DUE_AFTER)?;
        let (rings, since, doc) = match &after {
            Some((rings, since, doc)) => (u8::from(rings.0), millis(since.0), &doc.0[..]),
            // Before everything: more urgent than anything is.
            None => (2, 0, &[][..]),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = params![peer.0, rings, since, doc, limit];
        let rows = select.query_map(values, |row| {
            let since: i64 = row.get(2)?;
            let since = Millis(u64::try_from(since).unwrap_or_default());
            Ok(DueRow { doc: DocId(row.get(0)?), rings: row.get(1)?, since })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Blobs that stored envelopes name, that this node may hold and that are not here.
    pub fn missing_blobs(&self, limit: usize) -> Result<Vec<(DocId, BlobRef)>, WriteError> {
        let mut select = self.db().prepare_cached(
            "SELECT doc, blob, class FROM blob_missing AS missing
             WHERE EXISTS (SELECT 1 FROM document WHERE document.id = missing.doc
                AND (ours >= 2 OR (ours = 1 AND missing.class = ?1)))
             LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = params![BlobClass::Shared as u8, limit];
        let rows = select.query_map(values, |row| {
            let class: u8 = row.get(2)?;
            let shared = class == BlobClass::Shared as u8;
            let class = if shared { BlobClass::Shared } else { BlobClass::Responders };
            Ok((DocId(row.get(0)?), BlobRef { class, id: BlobId(row.get(1)?) }))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Documents in which an offer of this node's, as the owner or as its authority, was accepted and not
    /// committed yet.
    pub fn accepted_offers(&self) -> Result<Vec<DocId>, WriteError> {
        let mut select = self.db().prepare_cached(
            "SELECT doc FROM incident WHERE (owner = ?1 AND accepted IS NOT NULL) OR takes_over = ?1",
        )?;
        let rows = select.query_map(params![self.shared().member.0], |row| row.get(0).map(DocId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many documents are due to a peer, and since when the oldest.
    pub fn due_of(&self, peer: MemberId) -> Result<(u64, Option<Millis>), WriteError> {
        let (count, since): (i64, Option<i64>) = self
            .db()
            .prepare_cached("SELECT count(*), min(since_ms) FROM due WHERE peer = ?1")?
            .query_row(params![peer.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let since = since.map(|since| Millis(u64::try_from(since).unwrap_or_default()));
        Ok((u64::try_from(count).unwrap_or_default(), since))
    }

    /// How many envelopes of a peer were refused, and why the last one.
    pub fn refusals_of(&self, peer: MemberId) -> Result<(u64, Option<String>), WriteError> {
        let count: i64 = self
            .db()
            .prepare_cached("SELECT count(*) FROM refusal WHERE peer = ?1")?
            .query_row(params![peer.0], |row| row.get(0))?;
        let last = self
            .db()
            .prepare_cached("SELECT reason FROM refusal WHERE peer = ?1 ORDER BY number DESC LIMIT 1")?
            .query_row(params![peer.0], |row| row.get(0))
            .optional()?;
        Ok((u64::try_from(count).unwrap_or_default(), last))
    }
}
