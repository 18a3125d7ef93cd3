//! Databases as files: copying one while it is used, and what is looked at after a copy was put back.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use crate::store::blobs::file_of;
use crate::store::keys::Keys;
use crate::store::{WriteError, connect, schema};
use protocol::ids::BlobId;

/// Copies one consistent state of a database of this folder to a new file. Nodes go on writing meanwhile.
pub fn copy_database(folder: &Path, name: &str, to: &Path) -> Result<(), WriteError> {
    let db = Connection::open_with_flags(folder.join(name), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let to = to.to_str().ok_or_else(|| WriteError::Broken("a path that is no text".into()))?;
    db.execute("VACUUM INTO ?1", params![to])?;
    std::fs::File::open(to)?.sync_all()?;
    Ok(())
}

/// The names of the blobs that lie in files beside this copy of `node.db`.
pub fn large_blobs(copy: &Path) -> Result<Vec<String>, WriteError> {
    let db = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut select = db.prepare("SELECT id FROM blob WHERE sealed IS NULL")?;
    let rows = select.query_map([], |row| row.get(0).map(|id| BlobId(id).to_string()))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// After a copy of `node.db` was put back: forgets blobs that cannot be read with the keys that are here,
/// so that they are asked for again, and every session. Gives how many blobs that were.
pub fn forget_unreadable(folder: &Path) -> Result<u64, WriteError> {
    let mut pair = connect(folder).map_err(|error| WriteError::Broken(error.to_string()))?;
    schema::migrate_node(&mut pair.db).map_err(|error| WriteError::Broken(error.to_string()))?;
    let (keys, files) = (Keys::new(&pair.keys), folder.join("blobs"));
    let tx = pair.db.transaction()?;
    let mut lost: Vec<[u8; 32]> = Vec::new();
    {
        let mut select = tx.prepare("SELECT id, sealed, key FROM blob")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (id, sealed): ([u8; 32], Option<Vec<u8>>) = (row.get(0)?, row.get(1)?);
            let name: [u8; 32] = row.get(2)?;
            let sealed = sealed.or_else(|| std::fs::read(file_of(&files, BlobId(id))).ok());
            let key = keys.blob(&name)?;
            if key.zip(sealed).is_none_or(|(key, sealed)| key.open(&id, &sealed).is_err()) {
                lost.push(id);
            }
        }
    }
    for id in &lost {
        tx.execute(
            "INSERT OR IGNORE INTO blob_use (blob, doc, class)
             SELECT id, doc, class FROM blob WHERE id = ?1 AND class IS NOT NULL",
            params![id],
        )?;
        tx.execute("DELETE FROM blob WHERE id = ?1", params![id])?;
        tx.execute(
            "INSERT OR IGNORE INTO blob_missing (blob, doc, class)
             SELECT blob, doc, class FROM blob_use WHERE blob = ?1",
            params![id],
        )?;
    }
    tx.execute_batch("DELETE FROM session; DELETE FROM code;")?;
    tx.commit()?;
    Ok(u64::try_from(lost.len()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use protocol::author::Draft;
    use protocol::envelope::{BlobClass, BlobRef};
    use protocol::fixture::{Federation, code, open};
    use protocol::ids::Millis;
    use protocol::kind::Kind;

    use super::*;
    use crate::store::tests::open_as;
    use crate::store::{AppendError, Queue};

    #[tokio::test]
    async fn a_blob_whose_key_is_lost_is_asked_for_again_as_it_was_named() {
        let (federation, folder) = (Federation::new(2), tempfile::tempdir().unwrap());
        let store = open_as(folder.path(), &federation, 0, None);
        let staged = store.stage_blob(b"words".to_vec()).await.unwrap();
        let blob = BlobRef { class: BlobClass::Responders, id: staged.id() };
        let operation = open(code(0), Kind::by_name("noise").unwrap(), &[], None, 1);
        let draft = Draft { operation, blobs: vec![blob], answers: Vec::new(), written_at: Millis(1_000) };
        let written = store.write(Queue::Normal, move |tx| {
            tx.keep_blob(&staged, None)?;
            Ok::<_, AppendError>(tx.append(None, &draft, None)?.header().doc)
        });
        let doc = written.await.unwrap();
        let seen = |store: &crate::store::Store| {
            store.read_here(|r| Ok::<_, WriteError>((r.missing_blobs(10)?, r.blob_uses(&blob.id)?))).unwrap()
        };
        let used = vec![(doc, BlobClass::Responders)];
        assert_eq!(seen(&store), (Vec::new(), used.clone()));
        store.stop();
        drop(store);
        let keys = Connection::open(folder.path().join("keys.db")).unwrap();
        assert!(keys.execute("DELETE FROM blob_key", []).unwrap() > 0);
        drop(keys);
        assert_eq!(forget_unreadable(folder.path()).unwrap(), 1);
        let store = open_as(folder.path(), &federation, 0, None);
        assert_eq!(seen(&store), (vec![(doc, blob)], used));
    }
}
