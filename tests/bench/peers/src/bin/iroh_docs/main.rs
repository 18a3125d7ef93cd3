//! iroh-docs: one shared namespace of signed entries, reconciled by ranges, their values as blobs. A
//! change of a document is an entry `document/change`. No relay, no discovery: loopback alone.

mod heard;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use iroh::endpoint::{RelayMode, presets};
use iroh::protocol::Router;
use iroh::{Endpoint, EndpointAddr, SecretKey};
use iroh_blobs::BlobsProtocol;
use iroh_blobs::api::blobs::BlobStatus;
use iroh_blobs::store::fs::FsStore;
use iroh_docs::actor::SyncHandle;
use iroh_docs::api::{Doc, DocsApi};
use iroh_docs::engine::{DefaultAuthorStorage, Engine};
use iroh_docs::protocol::Docs;
use iroh_docs::store::{Query, Store};
use iroh_docs::{AuthorId, Capability, DocTicket};
use iroh_gossip::net::Gossip;
use tests_peers::heard::Heard;
use tests_peers::node::{About, Node, Setup, Side, hash, part};
use tests_peers::{content, measure};

/// Entries that are written at the same time.
const TOGETHER: usize = 64;

fn main() -> anyhow::Result<()> {
    measure::main::<Iroh>()
}

struct Iroh {
    endpoint: Endpoint,
    router: Router,
    docs: DocsApi,
    disk: Disk,
    author: AuthorId,
    doc: Mutex<Option<Doc>>,
    heard: Heard,
    lazy: bool,
}

/// Both stores of an end, which commit by themselves within half a second.
#[derive(Clone)]
pub struct Disk {
    entries: SyncHandle,
    blobs: FsStore,
}

impl Disk {
    /// Returns when everything that was written before is on the disk.
    pub async fn flush(&self) -> anyhow::Result<()> {
        let blobs = async { self.blobs.sync_db().await.context("flushing blobs") };
        tokio::try_join!(self.entries.flush_store(), blobs)?;
        Ok(())
    }
}

impl Node for Iroh {
    const ABOUT: About = About {
        system: "iroh-docs",
        crates: &["iroh-docs", "iroh-blobs", "iroh-gossip", "iroh"],
        transport: "QUIC, its own count of UDP bytes",
        store: "redb of its own (entries, blobs), flushed before anything is called stored",
        lazy_as_shipped: true,
    };

    async fn open(setup: &Setup, heard: Heard) -> anyhow::Result<Self> {
        let secret = if setup.side == Side::A { [1; 32] } else { [2; 32] };
        let endpoint = Endpoint::builder(presets::Minimal)
            .secret_key(SecretKey::from_bytes(&secret))
            .relay_mode(RelayMode::Disabled)
            .clear_address_lookup()
            .clear_ip_transports()
            .bind_addr("127.0.0.1:0")?
            .bind()
            .await?;
        let blobs = FsStore::load(part(&setup.folder, "blobs")?).await?;
        let gossip = Gossip::builder().spawn(endpoint.clone());
        let folder = part(&setup.folder, "docs")?;
        let engine = Engine::spawn(
            endpoint.clone(),
            gossip.clone(),
            Store::persistent(folder.join("docs.redb"))?,
            (*blobs).clone(),
            blobs.downloader(&endpoint),
            DefaultAuthorStorage::Persistent(folder.join("default-author")),
            None,
        )
        .await?;
        let disk = Disk { entries: engine.sync.clone(), blobs: blobs.clone() };
        let docs = Docs::new(engine);
        let router = Router::builder(endpoint.clone())
            .accept(iroh_blobs::ALPN, BlobsProtocol::new(&blobs, None))
            .accept(iroh_gossip::ALPN, gossip)
            .accept(iroh_docs::ALPN, docs.clone())
            .spawn();
        let docs = docs.api().clone();
        let author = docs.author_default().await?;
        let known = docs.list().await?.try_next().await?;
        let doc = match known {
            Some((id, _)) => docs.open(id).await?,
            None if setup.side == Side::A => Some(docs.create().await?),
            None => None,
        };
        let doc = Mutex::new(doc);
        Ok(Iroh { endpoint, router, docs, disk, author, doc, heard, lazy: setup.lazy })
    }

    async fn address(&self) -> anyhow::Result<String> {
        let doc = self.doc()?;
        doc.start_sync(Vec::new()).await?;
        let secret = self.disk.entries.export_secret_key(doc.id()).await?;
        let own = |address: SocketAddr| EndpointAddr::new(self.endpoint.id()).with_ip_addr(address);
        let nodes = self.endpoint.bound_sockets().into_iter().map(own).collect();
        Ok(DocTicket::new(Capability::Write(secret), nodes).to_string())
    }

    async fn connect(&self, address: &str) -> anyhow::Result<()> {
        let ticket: DocTicket = address.parse().map_err(|error| anyhow::anyhow!("no ticket: {error:?}"))?;
        let (doc, events) = self.docs.import_and_subscribe(ticket).await?;
        *self.doc.lock().unwrap_or_else(PoisonError::into_inner) = Some(doc);
        let disk = (!self.lazy).then(|| self.disk.clone());
        heard::listen(Box::pin(events), disk, self.heard.clone()).await
    }

    async fn make(&self, documents: Range<u32>, changes: u32) -> anyhow::Result<()> {
        let doc = self.doc()?;
        let every = documents.flat_map(|document| (0..changes).map(move |change| (document, change)));
        let write = async |(document, change)| self.write(&doc, document, change).await;
        stream::iter(every).map(Ok).try_for_each_concurrent(TOGETHER, write).await?;
        self.disk.flush().await
    }

    async fn raise(&self, document: u32) -> anyhow::Result<String> {
        self.write(&self.doc()?, document, 0).await?;
        if !self.lazy {
            self.disk.flush().await?;
        }
        Ok(name(document))
    }

    async fn change(&self, documents: Range<u32>, change: u32) -> anyhow::Result<()> {
        let doc = self.doc()?;
        let write = async |document| self.write(&doc, document, change).await;
        stream::iter(documents).map(Ok).try_for_each_concurrent(TOGETHER, write).await?;
        self.disk.flush().await
    }

    async fn carried_bytes(&self) -> anyhow::Result<u64> {
        let socket = &self.endpoint.metrics().socket;
        let bytes = [&socket.send_ipv4, &socket.send_ipv6, &socket.recv_data_ipv4, &socket.recv_data_ipv6];
        Ok(bytes.into_iter().map(|counter| counter.get()).sum())
    }

    async fn digest(&self) -> anyhow::Result<(usize, String)> {
        self.disk.flush().await?;
        let entries = self.doc()?.get_many(Query::all()).await?;
        let mut entries = std::pin::pin!(entries);
        let mut documents: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        while let Some(entry) = entries.try_next().await? {
            let status = self.disk.blobs.blobs().status(entry.content_hash()).await?;
            anyhow::ensure!(matches!(status, BlobStatus::Complete { .. }), "an entry without its value");
            let document = documents.entry(heard::document(entry.key()).as_bytes().to_vec()).or_default();
            document.extend_from_slice(entry.key());
            document.extend_from_slice(entry.content_hash().as_bytes());
        }
        Ok(hash(documents.into_iter().collect()))
    }

    async fn close(self) -> anyhow::Result<()> {
        self.disk.flush().await?;
        self.router.shutdown().await?;
        Ok(())
    }
}

impl Iroh {
    fn doc(&self) -> anyhow::Result<Doc> {
        let doc = self.doc.lock().unwrap_or_else(PoisonError::into_inner);
        doc.clone().context("there is no namespace yet")
    }

    async fn write(&self, doc: &Doc, document: u32, change: u32) -> anyhow::Result<()> {
        let key = format!("{}/{change}", name(document));
        doc.set_bytes(self.author, key, content::bytes(document, change)).await?;
        Ok(())
    }
}

/// The first part of a document's keys, as scattered as an id.
fn name(document: u32) -> String {
    format!("{:032x}", u128::from_be_bytes(content::key(document)))
}
