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

    /// Brings every document's derived rows up to date.
    pub(super) fn derive_all(&mut self) -> Result<u64, WriteError> {
        let taken = self.derive_some(0, usize::MAX)?;
        Ok(u64::try_from(taken).unwrap_or(u64::MAX))
    }

    /// As [`Tx::derive_all`], for `count` documents after the first `skip`; answers with how many there
    /// were. Documents that come later are derived as they come.
    pub(super) fn derive_some(&mut self, skip: usize, count: usize) -> Result<usize, WriteError> {
        let docs = self.reader().all_documents(skip, count)?;
        for doc in &docs {
            if let Some(document) = self.reader().document(*doc)? {
                self.derive(*doc, &document, None)?;
            }
        }
        Ok(docs.len())
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

impl Reader<'_> {
    /// Documents of the log in the order in which they came.
    fn all_documents(&self, skip: usize, count: usize) -> Result<Vec<DocId>, WriteError> {
        let mut select = self
            .db()
            .prepare("SELECT doc FROM envelope GROUP BY doc ORDER BY min(number) LIMIT ?2 OFFSET ?1")?;
        let number = |value| i64::try_from(value).unwrap_or(i64::MAX);
        let rows = select.query_map(params![number(skip), number(count)], |row| row.get(0).map(DocId))?;
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
