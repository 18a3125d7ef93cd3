//! samod, the repository of Automerge documents that speaks automerge-repo's protocol, over its own TCP
//! transport, with a storage of ours in SQLite. Nothing is signed.

mod counted;
mod storage;

use std::collections::HashMap;
use std::ops::Range;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use counted::{Counted, TcpDialer};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use samod::{BackoffConfig, DocHandle, DocumentId, PeerId, Repo, Transport, Url};
use storage::Sqlite;
use tests_peers::disk::SQLITE;
use tests_peers::heard::Heard;
use tests_peers::node::{About, Node, Setup, Side};
use tests_peers::{content, measure};

/// Documents that are made or opened at the same time.
const TOGETHER: usize = 64;

fn main() -> anyhow::Result<()> {
    measure::main::<Samod>()
}

struct Samod {
    repo: Repo,
    storage: Sqlite,
    /// Documents by the number that they were made with. A document that nobody holds may be closed.
    handles: Mutex<HashMap<u32, DocHandle>>,
    carried: Arc<AtomicU64>,
}

impl Node for Samod {
    const ABOUT: About = About {
        system: "samod",
        crates: &["samod", "automerge", "rusqlite"],
        transport: "TCP, bytes of the streams",
        store: SQLITE,
        lazy_as_shipped: false,
    };

    async fn open(setup: &Setup, heard: Heard) -> anyhow::Result<Self> {
        let storage = Sqlite::open(&setup.folder, heard)?;
        let name = if setup.side == Side::A { "a" } else { "b" };
        let builder = Repo::build_tokio().with_peer_id(PeerId::from(name)).with_storage(storage.clone());
        Ok(Samod { repo: builder.load().await, storage, handles: Mutex::default(), carried: Arc::default() })
    }

    async fn address(&self) -> anyhow::Result<String> {
        self.open_all().await?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let acceptor = self.repo.make_acceptor(Url::parse(&format!("tcp://{address}"))?)?;
        let carried = self.carried.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = stream.set_nodelay(true).map(|()| Counted::new(stream, carried.clone()));
                let accepted = stream.map(|stream| acceptor.accept(Transport::from_tokio_io(stream)));
                if !matches!(accepted, Ok(Ok(_))) {
                    return;
                }
            }
        });
        Ok(address.to_string())
    }

    async fn connect(&self, address: &str) -> anyhow::Result<()> {
        let dialer = TcpDialer { address: address.parse()?, carried: self.carried.clone() };
        let dialled = self.repo.dial(BackoffConfig::default(), Arc::new(dialer))?;
        dialled.established().await.map_err(|error| anyhow::anyhow!("no link: {error:?}"))?;
        Ok(())
    }

    async fn make(&self, documents: Range<u32>, changes: u32) -> anyhow::Result<()> {
        let durable = self.storage.changes_after(documents.len() * changes as usize);
        let make = async |document| self.create(document, changes).await.map(|_| ());
        stream::iter(documents).map(Ok).try_for_each_concurrent(TOGETHER, make).await?;
        durable.await
    }

    async fn raise(&self, document: u32) -> anyhow::Result<String> {
        // What creates a document returns before the storage has answered.
        let durable = self.storage.changes_after(1);
        let id = self.create(document, 1).await?;
        durable.await?;
        Ok(id)
    }

    async fn change(&self, documents: Range<u32>, change: u32) -> anyhow::Result<()> {
        let durable = self.storage.changes_after(documents.len());
        for document in documents {
            let handle = self.handles().get(&document).cloned().context("the document is not open")?;
            let changed = handle.with_document_async(move |held| content::change(held, document, change));
            changed.await??;
        }
        durable.await
    }

    async fn carried_bytes(&self) -> anyhow::Result<u64> {
        Ok(self.carried.load(Ordering::SeqCst))
    }

    async fn digest(&self) -> anyhow::Result<(usize, String)> {
        self.storage.digest()
    }

    async fn close(self) -> anyhow::Result<()> {
        self.repo.stop().await;
        Ok(())
    }
}

impl Samod {
    async fn create(&self, document: u32, changes: u32) -> anyhow::Result<String> {
        let handle = self.repo.create(content::automerge(document, changes)?).await?;
        let id = handle.document_id().to_string();
        self.handles().insert(document, handle);
        Ok(id)
    }

    /// A repository offers only documents that are open.
    async fn open_all(&self) -> anyhow::Result<()> {
        let ids = self.storage.documents()?;
        let find = async |(number, id): (u32, String)| {
            let id = DocumentId::from_str(&id)?;
            let handle = self.repo.find(id).await?.context("a document is gone")?;
            self.handles().insert(number, handle);
            anyhow::Ok(())
        };
        stream::iter((0..).zip(ids)).map(Ok).try_for_each_concurrent(TOGETHER, find).await
    }

    fn handles(&self) -> std::sync::MutexGuard<'_, HashMap<u32, DocHandle>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
