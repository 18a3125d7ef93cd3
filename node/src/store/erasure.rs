//! Erasing blobs: what a document says is to be erased goes at once with its key, in the transaction
//! that stores the word; then its file and the old pages of the databases; and only then this node says
//! that it has none. Cut short anywhere, it goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use protocol::author::Draft;
use protocol::document::Document;
use protocol::envelope::{AdmittedEnvelope, BlobClass};
use protocol::fold::Fold;
use protocol::ids::{BlobId, DocId};
use protocol::limits::BLOBS_NAMED_MAX;
use protocol::operation::Operation;
use rusqlite::{OptionalExtension as _, params};

use crate::store::blobs::file_of;
use crate::store::connect::wait_for_others;
use crate::store::limits::ERASURES_AT_ONCE;
use crate::store::people::reporter_mark;
use crate::store::reader::Reader;
use crate::store::tx::Tx;
use crate::store::{AppendError, AuditEntry, PersonId, Queue, Store, WriteError, empty_logs};

impl Tx<'_> {
    /// Does what a document says about blobs: those to be erased are gone with this transaction, those
    /// that the owner released are for everybody who holds the document.
    pub(super) fn heed_blobs(&mut self, doc: DocId, fold: &Fold) -> Result<(), WriteError> {
        for blob in &fold.released {
            for sql in [
                "UPDATE blob SET class = ?3 WHERE id = ?1 AND doc = ?2 AND class IS NOT NULL",
                "UPDATE blob_use SET class = ?3 WHERE blob = ?1 AND doc = ?2",
                "UPDATE blob_missing SET class = ?3 WHERE blob = ?1 AND doc = ?2",
            ] {
                self.db().prepare_cached(sql)?.execute(params![blob.0, doc.0, BlobClass::Shared as u8])?;
            }
        }
        for blob in fold.redacted.keys() {
            self.erase_blob(doc, *blob)?;
        }
        Ok(())
    }

    pub(super) fn erase_blob(&mut self, doc: DocId, blob: BlobId) -> Result<(), WriteError> {
        let db = self.db();
        let key: Option<[u8; 32]> = db
            .prepare_cached("DELETE FROM blob WHERE id = ?1 AND doc = ?2 RETURNING key")?
            .query_row(params![blob.0, doc.0], |row| row.get(0))
            .optional()?;
        for table in ["blob_use", "blob_missing"] {
            let sql = format!("DELETE FROM {table} WHERE blob = ?1 AND doc = ?2");
            db.prepare_cached(&sql)?.execute(params![blob.0, doc.0])?;
        }
        let new = db
            .prepare_cached("INSERT OR IGNORE INTO blob_gone (blob, doc, done) VALUES (?1, ?2, 0)")?
            .execute(params![blob.0, doc.0])?;
        if let Some(key) = &key {
            self.keys().erase_blob(key)?;
            // Another document that names it may still have it from somebody else.
            self.db()
                .prepare_cached(
                    "INSERT OR IGNORE INTO blob_missing (blob, doc, class)
                     SELECT blob, doc, class FROM blob_use WHERE blob = ?1",
                )?
                .execute(params![blob.0])?;
            self.mark_erased(doc, blob, false)?;
        }
        self.writing.job.erased |= new > 0 || key.is_some();
        Ok(())
    }

    /// True if this document says that the blob is to be erased.
    pub(super) fn is_gone(&self, doc: DocId, blob: BlobId) -> Result<bool, WriteError> {
        let mut select = self.db().prepare_cached("SELECT 1 FROM blob_gone WHERE blob = ?1 AND doc = ?2")?;
        Ok(select.exists(params![blob.0, doc.0])?)
    }

    /// Writes this node's receipt where the document lacks it, and remembers that all is done.
    fn confirm_erased(&mut self, doc: DocId, blobs: &BTreeSet<BlobId>) -> Result<(), AppendError> {
        let document = self.reader().document(doc)?;
        let lacking = document.map_or(Vec::new(), |document| self.receipts_lacking(&document, blobs));
        for some in lacking.chunks(BLOBS_NAMED_MAX) {
            let operation = Operation::Erased { blobs: some.to_vec() };
            let (answers, written_at) = (operation.answers(), self.now());
            let draft = Draft { operation, blobs: Vec::new(), answers, written_at };
            self.append(Some(doc), &draft, None)?;
            let entry = AuditEntry {
                who: "node".into(),
                what: "erased".into(),
                on: doc.to_string(),
                why: "the document says that these are to be erased".into(),
            };
            self.audit(None, &entry)?;
        }
        for blob in blobs {
            self.mark_erased(doc, *blob, true)?;
        }
        Ok(())
    }

    fn mark_erased(&self, doc: DocId, blob: BlobId, done: bool) -> Result<(), WriteError> {
        let sql = "UPDATE blob_gone SET done = ?3 WHERE blob = ?1 AND doc = ?2";
        self.db().prepare_cached(sql)?.execute(params![blob.0, doc.0, done])?;
        Ok(())
    }

    /// Erases here what a person told in incidents, open ones too, and remembers to have it erased
    /// everywhere. Which envelopes were theirs is forgotten.
    ///
    /// What somebody said in a call was written down by an operator: there it is the opening of the alert.
    pub(super) fn want_erased(&mut self, person: PersonId) -> Result<(), WriteError> {
        let mark = self.keys().person(person.0)?.as_ref().map(reporter_mark);
        let mut told: Vec<(DocId, BlobId)> = Vec::new();
        {
            let mut select = self.db().prepare(
                "SELECT envelope.bytes FROM actor JOIN envelope ON envelope.number = actor.envelope
                 WHERE actor.person = ?1
                 UNION SELECT envelope.bytes FROM alert JOIN envelope ON envelope.doc = alert.doc
                 WHERE alert.reporter_mark = ?2 AND envelope.number =
                    (SELECT min(number) FROM envelope AS opening WHERE opening.doc = alert.doc)",
            )?;
            let mut rows = select.query(params![person.0, mark])?;
            while let Some(row) = rows.next()? {
                let bytes = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
                let Ok(envelope) = AdmittedEnvelope::from_log(bytes) else { continue };
                let header = envelope.header();
                told.extend(header.blobs.iter().map(|blob| (header.doc, blob.id)));
            }
        }
        for (doc, blob) in told {
            let sql = "INSERT OR IGNORE INTO erase_wanted (blob, doc) VALUES (?1, ?2)";
            self.db().prepare_cached(sql)?.execute(params![blob.0, doc.0])?;
            // At once, whether or not the document takes the word for it: it may be locked or retired.
            self.erase_blob(doc, blob)?;
            let asked = "UPDATE blob_gone SET asked = 1 WHERE blob = ?1 AND doc = ?2";
            self.db().prepare_cached(asked)?.execute(params![blob.0, doc.0])?;
        }
        self.db().execute("DELETE FROM actor WHERE person = ?1", params![person.0])?;
        self.writing.job.erased = true;
        Ok(())
    }

    /// Asks everybody who holds a document for the erasure of what an erased person told in it. One that
    /// is retired takes no more words: who holds it drops it after its own time.
    fn redact_wanted(&mut self, doc: DocId, blobs: &BTreeSet<BlobId>) -> Result<(), AppendError> {
        let document = self.reader().document(doc)?;
        let fold = document.and_then(|document| Fold::of(&document, &self.rosters()));
        let open = fold.filter(|fold| fold.retired.is_none());
        let lacks = |blob: &&BlobId| open.as_ref().is_some_and(|fold| !fold.redacted.contains_key(*blob));
        let left: Vec<BlobId> = blobs.iter().filter(lacks).copied().collect();
        for some in left.chunks(BLOBS_NAMED_MAX) {
            let operation = Operation::Redact { blobs: some.to_vec() };
            let draft = Draft { operation, blobs: Vec::new(), answers: Vec::new(), written_at: self.now() };
            self.append(Some(doc), &draft, None)?;
            let entry = AuditEntry {
                who: "node".into(),
                what: "redact".into(),
                on: doc.to_string(),
                why: "whoever told it was erased".into(),
            };
            self.audit(None, &entry)?;
            // It is gone here since; the document lacks our word for that.
            for blob in some {
                self.mark_erased(doc, *blob, false)?;
            }
        }
        self.forget_wanted(doc, blobs)?;
        Ok(())
    }

    fn forget_wanted(&self, doc: DocId, blobs: &BTreeSet<BlobId>) -> Result<(), WriteError> {
        for blob in blobs {
            let sql = "DELETE FROM erase_wanted WHERE blob = ?1 AND doc = ?2";
            self.db().prepare_cached(sql)?.execute(params![blob.0, doc.0])?;
        }
        Ok(())
    }

    /// Of these, the ones of which the document does not say yet that they are gone here. A document that
    /// is retired or not ours takes no receipt.
    fn receipts_lacking(&self, document: &Document, blobs: &BTreeSet<BlobId>) -> Vec<BlobId> {
        let Some(fold) = Fold::of(document, &self.rosters()) else { return Vec::new() };
        let us = self.member();
        if fold.retired.is_some() {
            return Vec::new();
        }
        let held = |blob: &BlobId| {
            let named = document.envelopes().flat_map(|e| &e.header().blobs).find(|named| named.id == *blob);
            let class = named.map_or(BlobClass::Responders, |named| named.class);
            let class = if fold.released.contains(blob) { BlobClass::Shared } else { class };
            fold.audience.entitled_to_blob(&us, class)
        };
        let lacks =
            |blob: &&BlobId| held(blob) && fold.redacted.get(*blob).is_some_and(|gone| !gone.contains(&us));
        blobs.iter().filter(lacks).copied().collect()
    }
}

impl Reader<'_> {
    /// What erased people told and what its document does not say is to be erased yet, by document. One
    /// that nothing is written in for now comes after the others.
    fn wanted_erasures(&self) -> Result<BTreeMap<DocId, BTreeSet<BlobId>>, WriteError> {
        self.by_document(
            "SELECT doc, blob FROM erase_wanted ORDER BY doc IN (SELECT doc FROM lock), doc LIMIT ?1",
        )
    }

    /// Of a document's blobs, those that are gone here because whoever told them asked for it.
    pub fn gone_on_request(&self, doc: DocId) -> Result<BTreeSet<BlobId>, WriteError> {
        let mut select = self.db().prepare_cached("SELECT blob FROM blob_gone WHERE doc = ?1 AND asked")?;
        let rows = select.query_map(params![doc.0], |row| row.get(0).map(BlobId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Blobs that are to be erased and of which something may be left, by document.
    fn erasures(&self) -> Result<BTreeMap<DocId, BTreeSet<BlobId>>, WriteError> {
        self.by_document("SELECT doc, blob FROM blob_gone WHERE NOT done ORDER BY doc LIMIT ?1")
    }

    fn by_document(&self, sql: &str) -> Result<BTreeMap<DocId, BTreeSet<BlobId>>, WriteError> {
        let mut select = self.db().prepare_cached(sql)?;
        let limit = i64::try_from(ERASURES_AT_ONCE).unwrap_or(i64::MAX);
        let rows = select.query_map(params![limit], |row| Ok((DocId(row.get(0)?), BlobId(row.get(1)?))))?;
        let mut waiting: BTreeMap<DocId, BTreeSet<BlobId>> = BTreeMap::new();
        for row in rows {
            let (doc, blob) = row?;
            waiting.entry(doc).or_default().insert(blob);
        }
        Ok(waiting)
    }
}

impl Store {
    /// Finishes what is being erased: files, old pages, receipts. True if nothing is left to do.
    pub async fn finish_erasures(&self) -> Result<bool, WriteError> {
        let (waiting, kept) = self
            .read(|r| {
                let waiting = r.erasures()?;
                let mut kept = BTreeSet::new();
                for blob in waiting.values().flatten() {
                    if r.has_blob(blob)? {
                        kept.insert(*blob);
                    }
                }
                Ok::<_, WriteError>((waiting, kept))
            })
            .await?;
        if waiting.is_empty() {
            return Ok(true);
        }
        let all: Vec<BlobId> =
            waiting.values().flatten().filter(|blob| !kept.contains(blob)).copied().collect();
        let (files, folder) = (self.inner.shared.blobs.clone(), self.folder().to_owned());
        let cleaned = tokio::task::spawn_blocking(move || {
            remove_files(&files, &all)?;
            empty_logs(&folder, wait_for_others)
        });
        cleaned.await.unwrap_or_else(|_| Err(WriteError::Broken("erasing files panicked".into())))?;
        let mut done = true;
        for (doc, blobs) in waiting {
            let confirmed = self.write(Queue::Normal, move |tx| tx.confirm_erased(doc, &blobs)).await;
            if let Err(error) = confirmed {
                tracing::warn!(%doc, %error, "the receipt of an erasure was not written yet");
                done = false;
            }
        }
        Ok(done)
    }

    /// Has erased everywhere what erased people told.
    pub async fn erase_wanted(&self) -> Result<(), WriteError> {
        for (doc, blobs) in self.read(|r| r.wanted_erasures()).await? {
            let asked = self.write(Queue::Normal, move |tx| tx.redact_wanted(doc, &blobs)).await;
            if let Err(error) = asked {
                tracing::warn!(%doc, %error, "what an erased person told was not erased yet");
            }
        }
        Ok(())
    }

    /// Waits until a commit has asked for something to be erased.
    pub async fn erasure_asked(&self) {
        self.inner.shared.erasure.notified().await;
    }
}

/// Deletes the files of these blobs, drafts of them too, and waits until the folders are on the disk.
fn remove_files(folder: &Path, blobs: &[BlobId]) -> Result<(), WriteError> {
    for blob in blobs {
        let path = file_of(folder, *blob);
        let Some(parent) = path.parent() else { continue };
        let names = match std::fs::read_dir(parent) {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let name = blob.to_string();
        for entry in names {
            let found: PathBuf = entry?.path();
            let is = found
                .file_name()
                .and_then(|found| found.to_str())
                .is_some_and(|found| found.starts_with(&name));
            if is {
                std::fs::remove_file(&found)?;
            }
        }
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}
