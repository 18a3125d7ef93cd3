//! samod's storage in SQLite: one writer thread, what came together is committed together, and a write
//! returns when the disk has it. samod stores one change a key, or a snapshot of many.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use automerge::Automerge;
use rusqlite::{Connection, OptionalExtension as _, params};
use samod::storage::{Storage, StorageKey};
use tests_peers::disk;
use tests_peers::heard::Heard;
use tests_peers::node::hash;
use tokio::sync::{oneshot, watch};

/// Most writes of one commit.
const TOGETHER_MAX: usize = 512;
const TABLES: &str = "CREATE TABLE IF NOT EXISTS part (key TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;";

/// The storage.
#[derive(Clone)]
pub struct Sqlite {
    folder: PathBuf,
    writes: Sender<Write>,
    reader: Arc<Mutex<Connection>>,
    /// Changes that were ever made durable.
    changes: watch::Receiver<usize>,
}

struct Write {
    key: String,
    /// None removes.
    body: Option<Vec<u8>>,
    done: oneshot::Sender<()>,
}

impl Sqlite {
    /// Opens or makes it in a folder; `heard` is told of changes once they are durable.
    pub fn open(folder: &Path, heard: Heard) -> anyhow::Result<Sqlite> {
        let db = disk::open(folder, TABLES)?;
        let reader = Arc::new(Mutex::new(disk::open(folder, TABLES)?));
        let (writes, taken) = channel();
        let (count, changes) = watch::channel(0);
        std::thread::spawn(move || {
            if let Err(error) = write(db, &taken, &heard, &count) {
                eprintln!("the storage stopped: {error:#}");
            }
        });
        Ok(Sqlite { folder: folder.to_owned(), writes, reader, changes })
    }

    /// Waits for so many more changes than there are now.
    pub fn changes_after(&self, more: usize) -> impl Future<Output = anyhow::Result<()>> + use<> {
        let mut changes = self.changes.clone();
        let wanted = *changes.borrow() + more;
        async move {
            changes.wait_for(|count| *count >= wanted).await.context("the storage stopped")?;
            Ok(())
        }
    }

    /// The ids of all documents.
    pub fn documents(&self) -> anyhow::Result<Vec<String>> {
        Ok(parts(&self.folder)?.into_keys().collect())
    }

    /// Of what another connection reads.
    pub fn digest(&self) -> anyhow::Result<(usize, String)> {
        let mut documents = Vec::new();
        for (id, bodies) in parts(&self.folder)? {
            let mut automerge = Automerge::new();
            for body in bodies {
                automerge.load_incremental(&body)?;
            }
            let heads = automerge.get_heads().iter().flat_map(|head| head.0).collect();
            documents.push((id.into_bytes(), heads));
        }
        Ok(hash(documents))
    }

    async fn written(&self, key: &StorageKey, body: Option<Vec<u8>>) {
        let (done, wait) = oneshot::channel();
        let write = Write { key: text(key), body, done };
        // samod's storage cannot fail. A change that is not answered is missing from the digest.
        if self.writes.send(write).is_ok() {
            let _stopped = wait.await;
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> T {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        read(&reader).expect("samod has no way to hear of a storage that cannot be read")
    }
}

impl Storage for Sqlite {
    async fn load(&self, key: StorageKey) -> Option<Vec<u8>> {
        let sql = "SELECT body FROM part WHERE key = ?1";
        self.read(|db| db.prepare_cached(sql)?.query_row([text(&key)], |row| row.get(0)).optional())
    }

    async fn load_range(&self, prefix: StorageKey) -> HashMap<StorageKey, Vec<u8>> {
        let (from, until) = (format!("{}/", text(&prefix)), format!("{}0", text(&prefix)));
        let sql = "SELECT key, body FROM part WHERE key >= ?1 AND key < ?2";
        let rows: Vec<(String, Vec<u8>)> = self.read(|db| {
            let mut select = db.prepare_cached(sql)?;
            let rows = select.query_map([from, until], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        });
        let key = |(key, body): (String, Vec<u8>)| Some((StorageKey::from_parts(key.split('/')).ok()?, body));
        rows.into_iter().filter_map(key).collect()
    }

    async fn put(&self, key: StorageKey, data: Vec<u8>) {
        self.written(&key, Some(data)).await;
    }

    async fn delete(&self, key: StorageKey) {
        self.written(&key, None).await;
    }
}

fn write(
    mut db: Connection,
    writes: &Receiver<Write>,
    heard: &Heard,
    count: &watch::Sender<usize>,
) -> anyhow::Result<()> {
    while let Ok(first) = writes.recv() {
        let more = std::iter::from_fn(|| writes.try_recv().ok());
        let batch: Vec<Write> = std::iter::once(first).chain(more).take(TOGETHER_MAX).collect();
        let transaction = db.transaction()?;
        for Write { key, body, .. } in &batch {
            if let Some(body) = body {
                let sql = "INSERT OR REPLACE INTO part (key, body) VALUES (?1, ?2)";
                transaction.prepare_cached(sql)?.execute(params![key, body])?;
            } else {
                transaction.prepare_cached("DELETE FROM part WHERE key = ?1")?.execute([key])?;
            }
        }
        transaction.commit()?;
        for Write { key, body, done } in batch {
            if body.is_some()
                && let Some((document, "incremental")) = document(&key)
            {
                heard.stored(document, 1);
                count.send_modify(|count| *count += 1);
            }
            let _gone = done.send(());
        }
    }
    Ok(())
}

/// Everything of every document.
fn parts(folder: &Path) -> anyhow::Result<HashMap<String, Vec<Vec<u8>>>> {
    let db = disk::open(folder, TABLES)?;
    let mut select = db.prepare("SELECT key, body FROM part")?;
    let mut rows = select.query([])?;
    let mut parts: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        if let Some((id, _)) = document(&key) {
            parts.entry(id.to_owned()).or_default().push(row.get(1)?);
        }
    }
    Ok(parts)
}

/// The document and the kind of a key of a document.
fn document(key: &str) -> Option<(&str, &str)> {
    let mut parts = key.split('/');
    let (document, kind) = (parts.next()?, parts.next()?);
    parts.next().map(|_| (document, kind))
}

fn text(key: &StorageKey) -> String {
    key.clone().into_iter().collect::<Vec<String>>().join("/")
}
