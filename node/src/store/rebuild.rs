//! Rebuilding: everything derived is dropped and made again from the log.

use protocol::ids::{DocId, sha256};
use rusqlite::params;
use rusqlite::types::ValueRef;

use crate::store::reader::Reader;
use crate::store::schema::DERIVED;
use crate::store::tx::Tx;
use crate::store::{Queue, Store, WriteError};

impl Store {
    /// Drops documents and read tables and makes them again from the log, in one transaction. Answers
    /// with the number of documents.
    pub async fn rebuild(&self) -> Result<u64, WriteError> {
        self.write(Queue::Bulk, |tx| tx.rebuild()).await
    }

    /// A hash over every derived table, row by row: equal before and after a rebuild.
    pub async fn dump_derived(&self) -> Result<String, WriteError> {
        self.read(|r| r.dump_derived()).await
    }
}

impl Tx<'_> {
    fn rebuild(&mut self) -> Result<u64, WriteError> {
        for (table, doc) in DERIVED {
            // What was derived of a document whose contents were dropped is all that there is of it.
            let kept = "SELECT doc FROM retired WHERE retire IS NOT NULL";
            let sql = match doc {
                Some(doc) => format!("DELETE FROM {table} WHERE {doc} NOT IN ({kept})"),
                None => format!("DELETE FROM {table}"),
            };
            self.db().execute(&sql, [])?;
        }
        self.db().execute("DELETE FROM digest", [])?;
        self.derive_all()
    }

    /// Makes the derived rows of every document in the log, or brings them up to date.
    pub(super) fn derive_all(&mut self) -> Result<u64, WriteError> {
        let docs = self.reader().logged_documents()?;
        self.derive_these(&docs)?;
        Ok(u64::try_from(docs.len()).unwrap_or(u64::MAX))
    }

    /// Brings those of the next documents after this one up to date, at most so many; answers with the last of them.
    /// Documents that come later are derived as they come.
    pub(super) fn derive_some(
        &mut self,
        after: Option<DocId>,
        most: usize,
    ) -> Result<Option<DocId>, WriteError> {
        let docs = self.reader().derived_documents(after, most)?;
        self.derive_these(&docs)?;
        Ok(docs.last().copied())
    }

    fn derive_these(&mut self, docs: &[DocId]) -> Result<(), WriteError> {
        for doc in docs {
            // Of one whose contents were dropped nothing is derived any more.
            if let Some(document) = self.reader().document(*doc)? {
                self.derive(*doc, &document, None)?;
            }
        }
        Ok(())
    }

    /// True if everything derived was made under the roster in force.
    pub(super) fn is_derived(&self) -> Result<bool, WriteError> {
        let mut select =
            self.db().prepare("SELECT 1 FROM meta WHERE name = 'derived_under' AND value = ?1")?;
        Ok(select.exists(params![self.rosters().head().hash().0])?)
    }

    /// Remembers that everything derived was made under the roster in force.
    pub(super) fn mark_derived(&mut self) -> Result<(), WriteError> {
        let hash = self.rosters().head().hash().0;
        let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES ('derived_under', ?1)";
        self.db().execute(sql, params![hash])?;
        Ok(())
    }
}

/// One step through the documents that were derived before, from wherever it went on.
pub(super) const NEXT_DERIVED: &str = "SELECT id FROM document WHERE id > ?1 ORDER BY id LIMIT ?2";

impl Reader<'_> {
    /// Documents of the log in the order in which they came. Goes through all of it.
    fn logged_documents(&self) -> Result<Vec<DocId>, WriteError> {
        let mut select = self.db().prepare("SELECT doc FROM envelope GROUP BY doc ORDER BY min(number)")?;
        let rows = select.query_map([], |row| row.get(0).map(DocId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The next documents after this one, at most so many.
    fn derived_documents(&self, after: Option<DocId>, most: usize) -> Result<Vec<DocId>, WriteError> {
        let mut select = self.db().prepare_cached(NEXT_DERIVED)?;
        let after = after.as_ref().map_or(&[][..], |doc| &doc.0);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = select.query_map(params![after, most], |row| row.get(0).map(DocId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn dump_derived(&self) -> Result<String, WriteError> {
        let mut hash = [0; 32];
        for (table, _) in DERIVED {
            let mut columns = self.db().prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
            let names: Vec<String> =
                columns.query_map(params![table], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let list = names.join(", ");
            let mut select = self.db().prepare(&format!("SELECT {list} FROM {table} ORDER BY {list}"))?;
            let mut rows = select.query([])?;
            hash = sha256(&[&hash, table.as_bytes()]);
            while let Some(row) = rows.next()? {
                for index in 0..names.len() {
                    let value = match row.get_ref(index)? {
                        ValueRef::Null => vec![0],
                        ValueRef::Integer(value) => value.to_be_bytes().to_vec(),
                        ValueRef::Real(value) => value.to_be_bytes().to_vec(),
                        ValueRef::Text(value) | ValueRef::Blob(value) => value.to_vec(),
                    };
                    let length = u64::try_from(value.len()).unwrap_or(u64::MAX).to_be_bytes();
                    hash = sha256(&[&hash, &length, &value]);
                }
            }
        }
        Ok(hex::encode(hash))
    }
}

#[cfg(test)]
mod tests;
