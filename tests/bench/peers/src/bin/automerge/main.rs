//! Automerge's own sync protocol, document by document over one QUIC stream, its documents in SQLite.
//! Nothing is signed.

mod engine;
mod link;

use std::ops::Range;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use engine::{Engine, Input};
use quinn::Connection;
use tests_peers::disk::SQLITE;
use tests_peers::heard::Heard;
use tests_peers::measure;
use tests_peers::node::{About, Node, Setup};
use tokio::sync::oneshot;

fn main() -> anyhow::Result<()> {
    measure::main::<Automerge>()
}

struct Automerge {
    inputs: Sender<Input>,
    engine: std::thread::JoinHandle<anyhow::Result<()>>,
    connection: Arc<Mutex<Option<Connection>>>,
    listening: Mutex<Option<quinn::Endpoint>>,
}

impl Node for Automerge {
    const ABOUT: About = About {
        system: "raw automerge",
        crates: &["automerge", "quinn", "rusqlite"],
        transport: "QUIC, its own count of UDP bytes",
        store: SQLITE,
        lazy_as_shipped: false,
    };

    async fn open(setup: &Setup, heard: Heard) -> anyhow::Result<Self> {
        let (inputs, taken) = std::sync::mpsc::channel();
        let engine = Engine::open(&setup.folder, setup.side, heard)?;
        let engine = std::thread::spawn(move || engine.run(&taken));
        Ok(Automerge { inputs, engine, connection: Arc::default(), listening: Mutex::default() })
    }

    async fn address(&self) -> anyhow::Result<String> {
        let (endpoint, address) = link::listen()?;
        *lock(&self.listening) = Some(endpoint.clone());
        let (inputs, connection) = (self.inputs.clone(), self.connection.clone());
        tokio::spawn(async move {
            let accepted = link::accept(&endpoint, &inputs).await;
            match accepted {
                Ok(accepted) => *lock(&connection) = Some(accepted),
                Err(error) => eprintln!("no link: {error:#}"),
            }
        });
        Ok(address)
    }

    async fn connect(&self, address: &str) -> anyhow::Result<()> {
        let (endpoint, connection) = link::dial(address, &self.inputs).await?;
        *lock(&self.listening) = Some(endpoint);
        *lock(&self.connection) = Some(connection);
        Ok(())
    }

    async fn make(&self, documents: Range<u32>, changes: u32) -> anyhow::Result<()> {
        self.ask(|answer| Input::Make { documents, changes, answer }).await
    }

    async fn raise(&self, document: u32) -> anyhow::Result<String> {
        self.ask(|answer| Input::Raise { document, answer }).await
    }

    async fn change(&self, documents: Range<u32>, change: u32) -> anyhow::Result<()> {
        self.ask(|answer| Input::Change { documents, change, answer }).await
    }

    async fn carried_bytes(&self) -> anyhow::Result<u64> {
        let stats = lock(&self.connection).as_ref().map(Connection::stats);
        Ok(stats.map_or(0, |stats| stats.udp_tx.bytes + stats.udp_rx.bytes))
    }

    async fn digest(&self) -> anyhow::Result<(usize, String)> {
        self.ask(Input::Digest).await
    }

    async fn close(self) -> anyhow::Result<()> {
        let connection = lock(&self.connection).take();
        if let Some(connection) = connection {
            connection.close(0_u8.into(), b"");
        }
        self.inputs.send(Input::Close)?;
        self.engine.join().map_err(|_| anyhow::anyhow!("the engine panicked"))?
    }
}

impl Automerge {
    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> anyhow::Result<T> {
        let (answer, answered) = oneshot::channel();
        self.inputs.send(input(answer))?;
        answered.await.context("the engine has stopped")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
