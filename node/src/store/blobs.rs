//! Blobs: words, exact points and photos, each under a key of its own in the key store.
//!
//! A blob is named by its commitment. What is kept is `salt 32 | content`, sealed; small ones beside
//! the log, large ones as files, written and synced before the transaction that names them. A file
//! that no transaction came to name is harmless.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use protocol::envelope::BlobClass;
use protocol::ids::{BlobId, DocId, commitment};
use protocol::limits::BLOB_INLINE_BYTES_MAX;
use protocol::operation::Point;
use rusqlite::{OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use crate::store::reader::Reader;
use crate::store::seal::random;
use crate::store::spare::NamedKey;
use crate::store::tx::Tx;
use crate::store::{Store, WriteError};

/// A blob ready to be named by an envelope of the next transaction.
#[derive(Clone)]
pub struct StagedBlob {
    id: BlobId,
    key: NamedKey,
    bytes: usize,
    /// What is kept beside the log; none for one in the folder.
    sealed: Option<Vec<u8>>,
}

impl StagedBlob {
    /// Its commitment.
    #[must_use]
    pub fn id(&self) -> BlobId {
        self.id
    }
}

/// A blob, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The salt of its commitment.
    pub salt: [u8; 32],
    /// What it holds.
    pub content: Vec<u8>,
}

/// The words and the exact place of a report or a note, as a blob's content.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BlobNotes {
    /// The words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The exact point: latitude and longitude × 10^7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<(i32, i32)>,
    /// How exact it is, in metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_m: Option<u32>,
    /// The address, where one was told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// True for an SOS that must make no sound at the other end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
}

impl BlobNotes {
    /// As a blob's content.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }
    /// From a blob's content; none for a picture and for what no node writes.
    #[must_use]
    pub fn decode(content: &[u8]) -> Option<BlobNotes> {
        serde_json::from_slice(content).ok()
    }
    /// The exact point.
    #[must_use]
    pub fn place(&self) -> Option<Point> {
        self.point.map(|(lat_e7, lon_e7)| Point { lat_e7, lon_e7 })
    }
}

impl Store {
    /// Seals new content. A large one is on the disk when this answers.
    pub async fn stage_blob(&self, content: Vec<u8>) -> Result<StagedBlob, WriteError> {
        self.stage(random(), content).await
    }

    /// Seals content that came along with its envelope, and so is small: kept beside the log.
    #[must_use]
    pub fn stage_small(&self, salt: [u8; 32], content: &[u8]) -> StagedBlob {
        stage(self.inner.beside.spare.take(), salt, content, usize::MAX).0
    }

    /// Seals content that another node sent; the caller compares [`StagedBlob::id`] with what was asked.
    pub async fn stage(&self, salt: [u8; 32], content: Vec<u8>) -> Result<StagedBlob, WriteError> {
        let (blob, sealed) = stage(self.inner.beside.spare.take(), salt, &content, BLOB_INLINE_BYTES_MAX);
        let Some(sealed) = sealed else { return Ok(blob) };
        let path = file_of(&self.inner.shared.blobs, blob.id);
        let written = tokio::task::spawn_blocking(move || write_file(&path, &sealed)).await;
        match written {
            Ok(Ok(())) => Ok(blob),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(WriteError::Broken("writing a blob panicked".into())),
        }
    }
}

impl Tx<'_> {
    /// Keeps a staged blob for a document that names it; none for one of this node's own making, which
    /// belongs to the document of the envelope that names it in the same job. What that document says is
    /// to be erased is not kept.
    pub fn keep_blob(&mut self, blob: &StagedBlob, doc: Option<DocId>) -> Result<(), WriteError> {
        if doc.map_or(Ok(false), |doc| self.is_gone(doc, blob.id))? {
            return Ok(());
        }
        let bytes = i64::try_from(blob.bytes).unwrap_or(i64::MAX);
        let new = self
            .db()
            .prepare_cached(
                "INSERT OR IGNORE INTO blob (id, bytes, sealed, doc, key) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![blob.id.0, bytes, blob.sealed, doc.map(|doc| doc.0), blob.key.name])?;
        if new == 0 {
            return Ok(());
        }
        if !blob.key.stored {
            self.keys().add_blob(&blob.key.name, &blob.key.key)?;
        }
        self.db().prepare_cached("DELETE FROM blob_missing WHERE blob = ?1")?.execute(params![blob.id.0])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// True if the blob's content is here.
    pub fn has_blob(&self, id: &BlobId) -> Result<bool, WriteError> {
        let mut select = self.db().prepare_cached("SELECT 1 FROM blob WHERE id = ?1")?;
        Ok(select.exists(params![id.0])?)
    }

    /// True if the blob's content is here and came for this document.
    pub fn has_blob_for(&self, doc: &DocId, id: &BlobId) -> Result<bool, WriteError> {
        let mut select = self.db().prepare_cached("SELECT 1 FROM blob WHERE id = ?1 AND doc = ?2")?;
        Ok(select.exists(params![id.0, doc.0])?)
    }

    /// A blob, if it is here and its key was not erased.
    pub fn blob(&self, id: &BlobId) -> Result<Option<Blob>, WriteError> {
        let row = self
            .db()
            .prepare_cached("SELECT sealed, key FROM blob WHERE id = ?1")?
            .query_row(params![id.0], sealed_row)
            .optional()?;
        row.map_or(Ok(None), |row| self.opened(id, row))
    }

    /// The same of at most so many bytes, that came for this document. A larger one is not even read.
    pub fn small_blob_for(
        &self,
        doc: &DocId,
        id: &BlobId,
        bytes_max: usize,
    ) -> Result<Option<Blob>, WriteError> {
        let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
        let row = self
            .db()
            .prepare_cached("SELECT sealed, key FROM blob WHERE id = ?1 AND doc = ?2 AND bytes <= ?3")?
            .query_row(params![id.0, doc.0, bytes_max], sealed_row)
            .optional()?;
        row.map_or(Ok(None), |row| self.opened(id, row))
    }

    fn opened(&self, id: &BlobId, (sealed, name): SealedRow) -> Result<Option<Blob>, WriteError> {
        let Some(key) = self.keys().blob(&name)? else { return Ok(None) };
        let sealed = match sealed {
            Some(sealed) => sealed,
            None => match std::fs::read(file_of(&self.shared().blobs, *id)) {
                Ok(sealed) => sealed,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            },
        };
        let Ok(plain) = key.open(&id.0, &sealed) else { return Ok(None) };
        let Some((salt, content)) = plain.split_first_chunk::<32>() else { return Ok(None) };
        Ok(Some(Blob { salt: *salt, content: content.to_vec() }))
    }

    /// The words of a blob, if it is here and holds words.
    pub fn words(&self, id: &BlobId) -> Result<Option<BlobNotes>, WriteError> {
        Ok(self.blob(id)?.and_then(|blob| BlobNotes::decode(&blob.content)))
    }

    /// The documents that name a blob, and the class under which they do.
    pub fn blob_uses(&self, id: &BlobId) -> Result<Vec<(DocId, BlobClass)>, WriteError> {
        let mut select = self.db().prepare_cached(
            "SELECT doc, class FROM blob WHERE id = ?1 AND class IS NOT NULL
             UNION ALL SELECT doc, class FROM blob_use WHERE blob = ?1",
        )?;
        let rows = select.query_map(params![id.0], |row| {
            let class: u8 = row.get(1)?;
            let shared = class == BlobClass::Shared as u8;
            Ok((DocId(row.get(0)?), if shared { BlobClass::Shared } else { BlobClass::Responders }))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// What a row holds of a blob, as long as it is not in a file of its own, and its key's name.
type SealedRow = (Option<Vec<u8>>, [u8; 32]);

fn sealed_row(row: &Row<'_>) -> rusqlite::Result<SealedRow> {
    Ok((row.get(0)?, row.get(1)?))
}

/// The blob, and for one above `small` what its file is to hold.
fn stage(key: NamedKey, salt: [u8; 32], content: &[u8], small: usize) -> (StagedBlob, Option<Vec<u8>>) {
    let (id, bytes) = (commitment(&salt, content), content.len());
    let sealed = key.key.seal(&id.0, &[&salt, content].concat());
    if bytes <= small {
        (StagedBlob { id, key, bytes, sealed: Some(sealed) }, None)
    } else {
        (StagedBlob { id, key, bytes, sealed: None }, Some(sealed))
    }
}

pub(super) fn file_of(folder: &Path, id: BlobId) -> PathBuf {
    let name = id.to_string();
    folder.join(name.get(..2).unwrap_or_default()).join(name)
}

/// A file that is whole or not there: temporary name, sync, rename, sync of the folder.
fn write_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(folder)?;
    let part = path.with_extension(format!("{}.part", hex::encode(&random()[..4])));
    let written = (|| {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        std::fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}
