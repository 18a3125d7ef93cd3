//! A relay on loopback that counts the bytes between a subscriber and its publisher.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of one read.
const PIECE_BYTES: usize = 64 * 1024;

/// A running relay; it ends with the program.
pub struct Relay {
    /// Where it listens.
    pub port: u16,
    carried: Arc<AtomicU64>,
}

impl Relay {
    /// Carries everything that comes to this port of loopback.
    pub async fn start(to: u16) -> anyhow::Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let carried = Arc::new(AtomicU64::new(0));
        let counted = carried.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(between(near, to, counted.clone()));
            }
        });
        Ok(Relay { port, carried })
    }

    /// Bytes so far, both ways.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::SeqCst)
    }
}

async fn between(near: TcpStream, to: u16, carried: Arc<AtomicU64>) -> std::io::Result<()> {
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::try_join!(carry(near_read, far_write, &carried), carry(far_read, near_write, &carried))?;
    Ok(())
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    carried: &AtomicU64,
) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece).await?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return to.shutdown().await;
        };
        to.write_all(bytes).await?;
        carried.fetch_add(u64::try_from(read).unwrap_or_default(), Ordering::SeqCst);
    }
}
