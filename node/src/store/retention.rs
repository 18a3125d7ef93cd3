//! Retired documents after their retention: the contents are dropped, and what is derived of the document
//! stays as it was, so that figures do not change. What peers have dropped is noted too, so that a digest
//! with them can be equal.

use std::collections::BTreeSet;

use protocol::digest::Fingerprint;
use protocol::document::{Document, retired_fingerprint};
use protocol::envelope::SignedEnvelope;
use protocol::ids::{BlobId, DocId, EnvelopeId, MemberId, Millis};
use protocol::limits::GONE_PER_PEER_MAX;
use protocol::message::Prefix;
use protocol::replica::Dropped;
use rusqlite::{OptionalExtension as _, params};

use crate::store::events::What;
use crate::store::limits::RETIRED_DROPPED_AT_ONCE;
use crate::store::people::millis;
use crate::store::reader::Reader;
use crate::store::tx::Tx;
use crate::store::{AuditEntry, Queue, Store, WriteError};

impl Store {
    /// Drops the contents of documents that were retired longer than `retention` ago, a few in a job
    /// behind everything else. Gives which.
    pub async fn drop_retired(&self, retention: Millis) -> Result<Vec<DocId>, WriteError> {
        let mut dropped = Vec::new();
        loop {
            let some = self.write(Queue::Bulk, move |tx| tx.drop_some(retention)).await?;
            let last = some.len() < RETIRED_DROPPED_AT_ONCE;
            dropped.extend(some);
            if last {
                return Ok(dropped);
            }
        }
    }
}

impl Tx<'_> {
    /// Remembers since when a document is known to be retired. Where it is `ours` still, what it is for peers
    /// that dropped it is now what it is here.
    pub(super) fn note_retired(&mut self, doc: DocId, ours: bool) -> Result<(), WriteError> {
        self.db()
            .prepare_cached("INSERT OR IGNORE INTO retired (doc, since_ms) VALUES (?1, ?2)")?
            .execute(params![doc.0, millis(self.now())])?;
        if !ours {
            return Ok(());
        }
        let peers = self.reader().gone_at(doc)?;
        self.db().prepare_cached("DELETE FROM gone WHERE doc = ?1")?.execute(params![doc.0])?;
        self.drop_digests(&doc, peers.into_iter())
    }

    fn drop_some(&mut self, retention: Millis) -> Result<Vec<DocId>, WriteError> {
        let before = millis(self.now().since(retention));
        let docs: Vec<DocId> = {
            let mut select = self.db().prepare_cached(
                "SELECT doc FROM retired WHERE retire IS NULL AND since_ms <= ?1 ORDER BY since_ms, doc LIMIT ?2",
            )?;
            let limit = i64::try_from(RETIRED_DROPPED_AT_ONCE).unwrap_or(i64::MAX);
            let rows = select.query_map(params![before, limit], |row| row.get(0).map(DocId))?;
            rows.collect::<Result<_, _>>()?
        };
        for doc in &docs {
            self.drop_contents(*doc)?;
        }
        Ok(docs)
    }

    fn drop_contents(&mut self, doc: DocId) -> Result<(), WriteError> {
        self.touch(doc);
        let document = self.take_document(doc)?.unwrap_or_default();
        let retire = document.retired().and_then(|id| document.envelope(&id)).map(|e| e.bytes().to_vec());
        let Some(retire) = retire else {
            // Derived from a log that holds no retire: nothing is dropped.
            self.db().prepare_cached("DELETE FROM retired WHERE doc = ?1")?.execute(params![doc.0])?;
            return Ok(());
        };
        for blob in blobs_of(&document) {
            self.erase_blob(doc, blob)?;
        }
        let keep = "UPDATE retired SET retire = ?2 WHERE doc = ?1";
        self.db().prepare_cached(keep)?.execute(params![doc.0, retire])?;
        for sql in [
            "DELETE FROM actor WHERE envelope IN (SELECT number FROM envelope WHERE doc = ?1)",
            "DELETE FROM envelope WHERE doc = ?1",
            "DELETE FROM proof WHERE doc = ?1",
            "DELETE FROM erase_wanted WHERE doc = ?1",
            "DELETE FROM lock WHERE doc = ?1",
        ] {
            self.db().prepare_cached(sql)?.execute(params![doc.0])?;
        }
        let entry = AuditEntry {
            who: "node".into(),
            what: "drop".into(),
            on: doc.to_string(),
            why: "it was retired, and its retention is over".into(),
        };
        self.audit(None, &entry)?;
        self.event(What::Incident, Some(doc))
    }

    /// A peer says that it has dropped the contents of a document: it is due nothing of it any more, and
    /// the digest with that peer, and with no other, has it as the peer has it.
    pub fn note_gone(&mut self, peer: MemberId, doc: DocId, retired: EnvelopeId) -> Result<(), WriteError> {
        let count: i64 = self
            .db()
            .prepare_cached("SELECT count(*) FROM gone WHERE peer = ?1")?
            .query_row(params![peer.0], |row| row.get(0))?;
        if usize::try_from(count).is_ok_and(|count| count < GONE_PER_PEER_MAX) {
            let at = retired_fingerprint(&doc, &retired);
            self.db()
                .prepare_cached("INSERT OR REPLACE INTO gone (peer, doc, fingerprint) VALUES (?1, ?2, ?3)")?
                .execute(params![peer.0, doc.0, at])?;
        }
        let due = "DELETE FROM due WHERE peer = ?1 AND doc = ?2";
        self.db().prepare_cached(due)?.execute(params![peer.0, doc.0])?;
        self.drop_digests(&doc, std::iter::once(peer))?;
        self.event(What::Incident, Some(doc))
    }

    /// A peer has shown that it holds a document whose contents were dropped here.
    pub fn note_holder(&mut self, peer: MemberId, doc: DocId) -> Result<(), WriteError> {
        if self.reader().is_dropped(doc)? {
            let note = "INSERT OR IGNORE INTO audience (doc, member) VALUES (?1, ?2)";
            self.db().prepare_cached(note)?.execute(params![doc.0, peer.0])?;
            self.drop_digests(&doc, std::iter::once(peer))?;
        }
        Ok(())
    }

    /// A peer that had said so holds the document again: it was restored.
    pub fn forget_gone(&mut self, peer: MemberId, doc: DocId) -> Result<(), WriteError> {
        let forget = "DELETE FROM gone WHERE peer = ?1 AND doc = ?2";
        self.db().prepare_cached(forget)?.execute(params![peer.0, doc.0])?;
        self.drop_digests(&doc, std::iter::once(peer))?;
        self.event(What::Incident, Some(doc))
    }
}

fn blobs_of(document: &Document) -> BTreeSet<BlobId> {
    document.held().flat_map(|envelope| envelope.header().blobs.iter().map(|blob| blob.id)).collect()
}

impl Reader<'_> {
    /// True for a retired document whose contents were dropped here.
    pub fn is_dropped(&self, doc: DocId) -> Result<bool, WriteError> {
        let mut select =
            self.db().prepare_cached("SELECT 1 FROM retired WHERE doc = ?1 AND retire IS NOT NULL")?;
        Ok(select.exists(params![doc.0])?)
    }

    /// What is left of it.
    pub fn dropped(&self, doc: DocId) -> Result<Option<Dropped>, WriteError> {
        let bytes: Option<Vec<u8>> = self
            .db()
            .prepare_cached("SELECT retire FROM retired WHERE doc = ?1 AND retire IS NOT NULL")?
            .query_row(params![doc.0], |row| row.get(0))
            .optional()?;
        let Some(bytes) = bytes else { return Ok(None) };
        let retire = SignedEnvelope::decode(&bytes)
            .map_err(|error| WriteError::Broken(format!("a kept retire does not parse: {error}")))?;
        Ok(Some(Dropped { retire, audience: self.may_hold(doc)?.into_iter().collect() }))
    }

    /// True if a peer has said that it dropped the contents of a document.
    pub fn is_gone(&self, peer: &MemberId, doc: &DocId) -> Result<bool, WriteError> {
        let mut select = self.db().prepare_cached("SELECT 1 FROM gone WHERE peer = ?1 AND doc = ?2")?;
        Ok(select.exists(params![peer.0, doc.0])?)
    }

    /// Peers that have said that they dropped the contents of a document.
    pub fn gone_at(&self, doc: DocId) -> Result<Vec<MemberId>, WriteError> {
        let mut select = self.db().prepare_cached("SELECT peer FROM gone WHERE doc = ?1 ORDER BY peer")?;
        let rows = select.query_map(params![doc.0], |row| row.get(0).map(MemberId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Puts what a peer has dropped over what is shared with it below some digits.
    pub(super) fn with_gone(
        &self,
        peer: &MemberId,
        prefix: &Prefix,
        limit: usize,
        shared: Vec<(DocId, Fingerprint)>,
    ) -> Result<Vec<(DocId, Fingerprint)>, WriteError> {
        let Some((first, last)) = prefix.bounds() else { return Ok(shared) };
        let mut select = self.db().prepare_cached(
            "SELECT doc, fingerprint FROM gone WHERE peer = ?1 AND doc >= ?2 AND doc <= ?3 ORDER BY doc LIMIT ?4",
        )?;
        let limit_sql = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(params![peer.0, first.0, last.0, limit_sql], |row| {
            Ok((DocId(row.get(0)?), Fingerprint(row.get(1)?)))
        })?;
        let gone: Vec<(DocId, Fingerprint)> = rows.collect::<Result<_, _>>()?;
        if gone.is_empty() {
            return Ok(shared);
        }
        let mut both: std::collections::BTreeMap<DocId, Fingerprint> = shared.into_iter().collect();
        both.extend(gone);
        Ok(both.into_iter().take(limit).collect())
    }
}

#[cfg(test)]
mod tests;
