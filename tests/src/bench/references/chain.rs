//! The parts of W1 one after another as two programs would do them that do nothing else: a byte comes in over TCP,
//! one end signs, makes a document, commits and sends; the other verifies, makes the document, commits and writes to
//! whoever listens. What this takes beyond the sum of its parts is threads that are woken, and the kernel.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

use ed25519_dalek::{Signature, Signer as _, SigningKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::sqlite::Rows;
use super::{automerge, quic};

/// Alerts in one run.
const ALERTS: usize = 400;
/// Bytes that are signed, and those that are sent: the same and the signature.
const SIGNED_BYTES: usize = 396;
const SENT_BYTES: usize = SIGNED_BYTES + 64;

/// Time of each, from the byte at one end to the byte that the other end's listener reads, µs.
pub fn run(rows: Rows) -> anyhow::Result<Vec<f64>> {
    let folder = tempfile::tempdir()?;
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key();
    let (began, entered) = mpsc::channel::<Instant>();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    let (mut ask, asked) = pair()?;
    let (told, mut listen) = pair()?;

    let client = std::thread::spawn(move || -> anyhow::Result<Vec<f64>> {
        let mut times = Vec::with_capacity(ALERTS);
        for _ in 0..ALERTS {
            ask.write_all(&[1])?;
            listen.read_exact(&mut [0])?;
            times.push((Instant::now() - entered.recv()?).as_secs_f64() * 1e6);
        }
        Ok(times)
    });
    quic::one_way(
        async move |mut send| {
            let mut asked = from_std(asked)?;
            let mut store = Store::open(&here, rows)?;
            for number in 0..ALERTS {
                asked.read_exact(&mut [0]).await?;
                began.send(Instant::now())?;
                let mut message = [7; SENT_BYTES];
                let (signed, signature) = message.split_at_mut(SIGNED_BYTES);
                signature.copy_from_slice(&key.sign(signed).to_bytes());
                store.keep(number)?;
                send.write_all(&message).await?;
            }
            send.finish()?;
            Ok(())
        },
        async move |mut receive| {
            let mut told = from_std(told)?;
            let mut store = Store::open(&there, rows)?;
            for number in 0..ALERTS {
                let mut message = [0; SENT_BYTES];
                receive.read_exact(&mut message).await?;
                let (signed, signature) = message.split_at(SIGNED_BYTES);
                public.verify_strict(signed, &Signature::from_slice(signature)?)?;
                store.keep(number)?;
                told.write_all(&[1]).await?;
            }
            receive.read_to_end(1).await?;
            Ok(())
        },
    )?;
    client.join().map_err(|_| anyhow::anyhow!("the client panicked"))?
}

/// What one end keeps: the document, and its rows.
struct Store {
    db: rusqlite::Connection,
    rows: Rows,
}

impl Store {
    /// With a log that is as long already as it will be, and is not moved while somebody waits.
    fn open(folder: &Path, rows: Rows) -> anyhow::Result<Store> {
        std::fs::create_dir_all(folder)?;
        let mut db = rows.lay(folder)?;
        db.pragma_update(None, "wal_autocheckpoint", 0)?;
        (0..ALERTS).try_for_each(|_| rows.commit(&mut db))?;
        db.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?;
        Ok(Store { db, rows })
    }

    fn keep(&mut self, number: usize) -> anyhow::Result<()> {
        automerge::document(u32::try_from(number)?)?;
        self.rows.commit(&mut self.db)
    }
}

/// Both ends of a connection over TCP.
fn pair() -> anyhow::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address: SocketAddr = listener.local_addr()?;
    let one = TcpStream::connect(address)?;
    let (other, _) = listener.accept()?;
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    Ok((one, other))
}

fn from_std(stream: TcpStream) -> anyhow::Result<tokio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    Ok(tokio::net::TcpStream::from_std(stream)?)
}
