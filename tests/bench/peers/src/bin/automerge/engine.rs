//! One thread that holds all documents in memory and their saved form in SQLite. What came in together
//! is committed together; then the subscriber is told, and then what follows is sent.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use automerge::sync::{Message, State, SyncDoc as _};
use automerge::{Automerge, ChangeHash};
use rusqlite::{Connection, params};
use tests_peers::heard::Heard;
use tests_peers::node::{Side, hash};
use tests_peers::{content, disk};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// Most inputs of one commit.
const TOGETHER_MAX: usize = 512;
/// Most documents of one commit where many are made.
const MADE_TOGETHER_MAX: usize = 1_000;
const TABLES: &str = "CREATE TABLE IF NOT EXISTS document (id BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT;";

/// Sixteen bytes that name a document.
pub type Key = [u8; 16];

/// What the engine is told.
pub enum Input {
    Make { documents: Range<u32>, changes: u32, answer: oneshot::Sender<()> },
    Raise { document: u32, answer: oneshot::Sender<String> },
    Change { documents: Range<u32>, change: u32, answer: oneshot::Sender<()> },
    Linked(UnboundedSender<(Key, Vec<u8>)>),
    Message(Key, Vec<u8>),
    Digest(oneshot::Sender<(usize, String)>),
    Close,
}

/// What is to be done once everything is on the disk.
enum After {
    Made(oneshot::Sender<()>),
    Raised(oneshot::Sender<String>, String),
}

#[derive(Default)]
struct Held {
    automerge: Automerge,
    state: State,
}

/// The documents.
pub struct Engine {
    folder: PathBuf,
    side: Side,
    db: Connection,
    documents: HashMap<Key, Held>,
    heard: Heard,
    link: Option<UnboundedSender<(Key, Vec<u8>)>>,
}

/// What one commit is about.
#[derive(Default)]
struct Batch {
    changed: Vec<Key>,
    touched: Vec<Key>,
    heard: Vec<(Key, usize)>,
    after: Vec<After>,
}

impl Engine {
    /// Reads all documents of the folder.
    pub fn open(folder: &Path, side: Side, heard: Heard) -> anyhow::Result<Engine> {
        let db = disk::open(folder, TABLES)?;
        let load = |(key, automerge)| (key, Held { automerge, state: State::new() });
        let documents = saved(&db)?.into_iter().map(load).collect();
        Ok(Engine { folder: folder.to_owned(), side, db, documents, heard, link: None })
    }

    /// Takes inputs until it is closed.
    pub fn run(mut self, inputs: &Receiver<Input>) -> anyhow::Result<()> {
        while let Ok(first) = inputs.recv() {
            let mut batch = Batch::default();
            let more = std::iter::from_fn(|| inputs.try_recv().ok());
            for input in std::iter::once(first).chain(more).take(TOGETHER_MAX) {
                match input {
                    Input::Close => return Ok(()),
                    Input::Digest(answer) => {
                        self.commit(std::mem::take(&mut batch))?;
                        let _gone = answer.send(digest(&self.folder)?);
                    }
                    Input::Linked(link) => {
                        self.link = Some(link);
                        // One end opens the exchange of a document, the other answers.
                        if self.side == Side::A {
                            batch.touched.extend(self.documents.keys());
                        }
                    }
                    Input::Message(key, bytes) => self.take(key, &bytes, &mut batch)?,
                    Input::Make { documents, changes, answer } => {
                        self.make(documents, changes)?;
                        batch.after.push(After::Made(answer));
                    }
                    Input::Raise { document, answer } => {
                        let key = content::key(document);
                        let automerge = content::automerge(document, 1)?;
                        self.documents.insert(key, Held { automerge, state: State::new() });
                        batch.changed.push(key);
                        batch.touched.push(key);
                        batch.after.push(After::Raised(answer, name(&key)));
                    }
                    Input::Change { documents, change, answer } => {
                        for document in documents {
                            let key = content::key(document);
                            let held = self.documents.entry(key).or_default();
                            content::change(&mut held.automerge, document, change)?;
                            batch.changed.push(key);
                            batch.touched.push(key);
                        }
                        batch.after.push(After::Made(answer));
                    }
                }
            }
            self.commit(batch)?;
        }
        Ok(())
    }

    fn take(&mut self, key: Key, bytes: &[u8], batch: &mut Batch) -> anyhow::Result<()> {
        let held = self.documents.entry(key).or_default();
        let before: Vec<ChangeHash> = held.automerge.get_heads();
        held.automerge.receive_sync_message(&mut held.state, Message::decode(bytes)?)?;
        batch.touched.push(key);
        if held.automerge.get_heads() != before {
            batch.changed.push(key);
            batch.heard.push((key, held.automerge.get_changes(&before).len()));
        }
        Ok(())
    }

    fn make(&mut self, documents: Range<u32>, changes: u32) -> anyhow::Result<()> {
        let mut left = documents;
        while !left.is_empty() {
            let mut batch = Batch::default();
            for document in left.by_ref().take(MADE_TOGETHER_MAX) {
                let automerge = content::automerge(document, changes)?;
                let key = content::key(document);
                self.documents.insert(key, Held { automerge, state: State::new() });
                batch.changed.push(key);
            }
            self.commit(batch)?;
        }
        Ok(())
    }

    fn commit(&mut self, batch: Batch) -> anyhow::Result<()> {
        if !batch.changed.is_empty() {
            let transaction = self.db.transaction()?;
            {
                let mut write = transaction
                    .prepare_cached("INSERT OR REPLACE INTO document (id, body) VALUES (?1, ?2)")?;
                for key in &batch.changed {
                    if let Some(held) = self.documents.get(key) {
                        write.execute(params![key, held.automerge.save()])?;
                    }
                }
            }
            transaction.commit()?;
        }
        for (key, changes) in batch.heard {
            self.heard.stored(&name(&key), u32::try_from(changes)?);
        }
        // Who asked may have gone; what was asked is done all the same.
        for after in batch.after {
            match after {
                After::Made(answer) => drop(answer.send(())),
                After::Raised(answer, name) => drop(answer.send(name)),
            }
        }
        let Some(link) = &self.link else { return Ok(()) };
        for key in batch.touched {
            if let Some(held) = self.documents.get_mut(&key)
                && let Some(message) = held.automerge.generate_sync_message(&mut held.state)
            {
                let _closed = link.send((key, message.encode()));
            }
        }
        Ok(())
    }
}

fn saved(db: &Connection) -> anyhow::Result<Vec<(Key, Automerge)>> {
    let mut select = db.prepare("SELECT id, body FROM document")?;
    let rows = select.query_map([], |row| Ok((row.get::<_, Key>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut documents = Vec::new();
    for row in rows {
        let (key, body) = row?;
        documents.push((key, Automerge::load(&body)?));
    }
    Ok(documents)
}

/// Of what another connection reads.
fn digest(folder: &Path) -> anyhow::Result<(usize, String)> {
    let documents = saved(&disk::open(folder, TABLES)?)?;
    let heads = |automerge: &Automerge| automerge.get_heads().iter().flat_map(|head| head.0).collect();
    Ok(hash(documents.iter().map(|(key, automerge)| (key.to_vec(), heads(automerge))).collect()))
}

fn name(key: &Key) -> String {
    format!("{:032x}", u128::from_be_bytes(*key))
}
