//! Mass messages: the table of what they say now, and the drafts that wait for a second person.

use protocol::document::Document;
use protocol::envelope::AdmittedEnvelope;
use protocol::fold::Fold;
use protocol::ids::{BlobId, Cell, Code, DocId, EnvelopeId, MemberId, Millis};
use protocol::kind::Urgency;
use protocol::operation::{NoticeMode, Operation};
use rusqlite::{OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use crate::store::WriteError;
use crate::store::limits::{NOTICE_WORDS_BYTES_MAX, NOTICES_READ_MAX};
use crate::store::people::{PersonId, millis};
use crate::store::reader::Reader;
use crate::store::tx::Tx;

/// The words of a mass message in one language, as a blob's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeWords {
    /// `es` or `en`.
    pub lang: String,
    /// What happened, in one line.
    pub headline: String,
    /// What it means and what to do; may be empty.
    #[serde(default)]
    pub text: String,
}

impl NoticeWords {
    /// As a blob's content.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts are JSON")
    }
}

/// What a draft is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DraftFor {
    /// A new message.
    Open,
    /// Other words, another end.
    Update,
    /// Taking it back.
    Cancel,
}

/// A mass message that nobody but its desk has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeDraft {
    /// What it is for.
    pub what: DraftFor,
    /// True for a drill.
    pub drill: bool,
    /// The jurisdiction; number 0 is the country.
    pub code: String,
    /// How pressing, by its number.
    pub urgency: u8,
    /// For how many hours it says something, from when it is sent. Nothing for a cancel.
    pub hours: u32,
    /// Its words, one a language.
    pub words: Vec<NoticeWords>,
}

/// A draft that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftRow {
    /// Its number here.
    pub number: i64,
    /// The message that it changes or takes back.
    pub doc: Option<DocId>,
    /// Who wrote it.
    pub drafted_by: PersonId,
    /// When.
    pub drafted: Millis,
    /// What it says.
    pub draft: NoticeDraft,
}

/// A mass message as its document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// The document.
    pub doc: DocId,
    /// Who speaks.
    pub author: MemberId,
    /// For which jurisdiction; number 0 is the country.
    pub code: Code,
    /// How pressing.
    pub urgency: Urgency,
    /// True for a drill.
    pub drill: bool,
    /// When it was opened or last changed, as its author's clock said.
    pub opened: Millis,
    /// From when it says nothing any more.
    pub expires: Millis,
    /// True once it was taken back.
    pub cancelled: bool,
    /// False for one of an expelled node that nobody confirmed.
    pub confirmed: bool,
    /// True if its words were changed since it was opened.
    pub changed: bool,
    /// The cells that it is for; none for all of the jurisdiction.
    pub cells: Vec<Cell>,
    /// The envelope that says what it says now.
    pub said: EnvelopeId,
    /// Blobs with its words.
    pub words: Vec<BlobId>,
    /// Blobs that say why it was taken back.
    pub cancel_words: Vec<BlobId>,
}

const COLUMNS: &str =
    "doc, author, code, urgency, drill, opened_ms, expires_ms, cancelled, confirmed, changed,
    cells, said, words, cancel_words";

impl Tx<'_> {
    pub(super) fn derive_notice(
        &mut self,
        doc: DocId,
        document: &Document,
        fold: &Fold,
    ) -> Result<(), WriteError> {
        let Some(genesis) = document.genesis() else { return Ok(()) };
        let Some((notice, cancelled)) = &fold.notice else { return Ok(()) };
        let author = genesis.header().author;
        let counts =
            |e: &&AdmittedEnvelope| e.header().author == author && !fold.unconfirmed.contains(&e.id());
        let last = |says: &dyn Fn(&Operation) -> bool| {
            let said = document.envelopes().filter(counts).filter(|e| says(e.operation()));
            said.max_by_key(|e| (e.chain_place(), e.id()))
        };
        let said = last(
            &|operation| matches!(operation, Operation::NoticeOpen(n) | Operation::NoticeUpdate(n) if n == notice),
        );
        let said = said.unwrap_or(genesis);
        let cancel = last(&|operation| matches!(operation, Operation::NoticeCancel { .. }));
        let cells: Vec<u8> = notice.cells.iter().flat_map(|cell| cell.0.to_be_bytes()).collect();
        self.db()
            .prepare_cached(&format!(
                "INSERT OR REPLACE INTO notice ({COLUMNS})
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
            ))?
            .execute(params![
                doc.0,
                author.0,
                notice.code.to_string(),
                notice.urgency as u8,
                notice.mode == NoticeMode::Drill,
                millis(notice.opened),
                millis(notice.expires),
                *cancelled,
                !fold.unconfirmed.contains(&genesis.id()),
                said.id() != genesis.id(),
                cells,
                said.id().0,
                blobs_of(said),
                cancel.filter(|_| *cancelled).map(blobs_of).unwrap_or_default(),
            ])?;
        Ok(())
    }

    /// Keeps a draft; its number.
    pub fn add_draft(
        &mut self,
        doc: Option<DocId>,
        by: PersonId,
        draft: &NoticeDraft,
    ) -> Result<i64, WriteError> {
        let now = millis(self.now());
        self.db()
            .prepare_cached(
                "INSERT INTO notice_draft (doc, drafted_by, drafted_ms, sealed) VALUES (?1, ?2, ?3, x'')",
            )?
            .execute(params![doc.map(|doc| doc.0), by.0, now])?;
        let number = self.db().last_insert_rowid();
        let words = serde_json::to_vec(draft).expect("texts and numbers are JSON");
        let sealed = self.shared().audit.seal(&row_name(number), &words);
        self.db()
            .prepare_cached("UPDATE notice_draft SET sealed = ?2 WHERE number = ?1")?
            .execute(params![number, sealed])?;
        Ok(number)
    }

    /// Drops a draft that was sent or discarded; false if it was gone.
    pub fn drop_draft(&mut self, number: i64) -> Result<bool, WriteError> {
        let sql = "DELETE FROM notice_draft WHERE number = ?1";
        Ok(self.db().prepare_cached(sql)?.execute(params![number])? > 0)
    }

    /// Remembers the two people behind something that was sent.
    pub fn keep_hands(
        &mut self,
        envelope: EnvelopeId,
        drafted: PersonId,
        approved: PersonId,
    ) -> Result<(), WriteError> {
        self.db()
            .prepare_cached(
                "INSERT INTO notice_hands (envelope, drafted_by, approved_by) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![envelope.0, drafted.0, approved.0])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// Mass messages that say something after `now`, the pressing ones first.
    pub fn notices_after(&self, now: Millis) -> Result<Vec<NoticeRow>, WriteError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM notice WHERE expires_ms > ?1
             ORDER BY cancelled, drill, urgency DESC, opened_ms DESC LIMIT ?2"
        );
        self.notices(&sql, params![millis(now), read_max()])
    }

    /// Those that are over, newest first.
    pub fn notices_before(&self, now: Millis) -> Result<Vec<NoticeRow>, WriteError> {
        let sql =
            format!("SELECT {COLUMNS} FROM notice WHERE expires_ms <= ?1 ORDER BY expires_ms DESC LIMIT ?2");
        self.notices(&sql, params![millis(now), read_max()])
    }

    /// One of them.
    pub fn notice(&self, doc: DocId) -> Result<Option<NoticeRow>, WriteError> {
        let sql = format!("SELECT {COLUMNS} FROM notice WHERE doc = ?1");
        Ok(self.notices(&sql, params![doc.0])?.pop())
    }

    /// Drafts that wait for a second person, oldest first.
    pub fn drafts(&self) -> Result<Vec<DraftRow>, WriteError> {
        self.drafts_by(
            "SELECT number, doc, drafted_by, drafted_ms, sealed FROM notice_draft ORDER BY number",
            params![],
        )
    }

    /// One of them.
    pub fn draft(&self, number: i64) -> Result<Option<DraftRow>, WriteError> {
        let sql = "SELECT number, doc, drafted_by, drafted_ms, sealed FROM notice_draft WHERE number = ?1";
        Ok(self.drafts_by(sql, params![number])?.pop())
    }

    /// Who drafted and who approved something that this node sent.
    pub fn hands(&self, envelope: &EnvelopeId) -> Result<Option<(PersonId, PersonId)>, WriteError> {
        let sql = "SELECT drafted_by, approved_by FROM notice_hands WHERE envelope = ?1";
        let hands = self
            .db()
            .prepare_cached(sql)?
            .query_row(params![envelope.0], |row| Ok((PersonId(row.get(0)?), PersonId(row.get(1)?))))
            .optional()?;
        Ok(hands)
    }

    /// The words of a mass message, if they are here; in the order of its blobs.
    pub fn notice_words(&self, blobs: &[BlobId]) -> Result<Vec<NoticeWords>, WriteError> {
        let mut words = Vec::new();
        for blob in blobs {
            let bytes: Option<i64> = self
                .db()
                .prepare_cached("SELECT bytes FROM blob WHERE id = ?1")?
                .query_row(params![blob.0], |row| row.get(0))
                .optional()?;
            if bytes.is_none_or(|bytes| bytes > NOTICE_WORDS_BYTES_MAX) {
                continue;
            }
            let content = self.blob(blob)?;
            words.extend(content.and_then(|blob| serde_json::from_slice(&blob.content).ok()));
        }
        Ok(words)
    }

    fn notices(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<NoticeRow>, WriteError> {
        let mut select = self.db().prepare_cached(sql)?;
        let rows = select.query_map(values, notice_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn drafts_by(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<DraftRow>, WriteError> {
        let mut select = self.db().prepare_cached(sql)?;
        let mut rows = select.query(values)?;
        let mut drafts = Vec::new();
        while let Some(row) = rows.next()? {
            let (number, doc): (i64, Option<[u8; 32]>) = (row.get(0)?, row.get(1)?);
            let sealed: Vec<u8> = row.get(4)?;
            let opened = self.shared().audit.open(&row_name(number), &sealed).ok();
            let Some(draft) = opened.and_then(|words| serde_json::from_slice(&words).ok()) else { continue };
            let drafted = Millis(u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default());
            let drafted_by = PersonId(row.get(2)?);
            drafts.push(DraftRow { number, doc: doc.map(DocId), drafted_by, drafted, draft });
        }
        Ok(drafts)
    }
}

fn notice_row(row: &Row<'_>) -> rusqlite::Result<NoticeRow> {
    let at = |index: usize| -> rusqlite::Result<Millis> {
        Ok(Millis(u64::try_from(row.get::<_, i64>(index)?).unwrap_or_default()))
    };
    let code: String = row.get(2)?;
    let cells: Vec<u8> = row.get(10)?;
    let cells = cells.chunks_exact(8).filter_map(|cell| cell.try_into().ok().map(u64::from_be_bytes));
    Ok(NoticeRow {
        doc: DocId(row.get(0)?),
        author: MemberId(row.get(1)?),
        code: code.parse().unwrap_or(Code::OUTSIDE),
        urgency: Urgency::from_byte(row.get(3)?).unwrap_or(Urgency::Emergency),
        drill: row.get(4)?,
        opened: at(5)?,
        expires: at(6)?,
        cancelled: row.get(7)?,
        confirmed: row.get(8)?,
        changed: row.get(9)?,
        cells: cells.map(Cell).collect(),
        said: EnvelopeId(row.get(11)?),
        words: blobs_in(&row.get::<_, Vec<u8>>(12)?),
        cancel_words: blobs_in(&row.get::<_, Vec<u8>>(13)?),
    })
}

fn blobs_of(envelope: &AdmittedEnvelope) -> Vec<u8> {
    envelope.header().blobs.iter().flat_map(|blob| blob.id.0).collect()
}

fn blobs_in(bytes: &[u8]) -> Vec<BlobId> {
    bytes.chunks_exact(32).filter_map(|id| id.try_into().ok().map(BlobId)).collect()
}

fn row_name(number: i64) -> Vec<u8> {
    format!("notice draft/{number}").into_bytes()
}

fn read_max() -> i64 {
    i64::try_from(NOTICES_READ_MAX).expect("a small limit")
}
