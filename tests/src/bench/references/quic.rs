//! QUIC over loopback with quinn, TLS 1.3, nothing else: both ends on one thread, or a thread each. Which
//! of the two is faster depends on what it costs this machine to wake a thread on another core, so both
//! are measured, and beside them what there is without QUIC.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;

/// Where the two ends run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// On one thread, which never has to be woken.
    OneThread,
    /// On a thread each.
    TwoThreads,
}

/// What the called end answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// A byte for each message.
    EachMessage,
    /// Nothing, until the stream has ended.
    TheEnd,
}

/// Exchanges in one run.
const EXCHANGES: usize = 2_000;
/// Bytes of the message there: an envelope. One byte comes back.
const MESSAGE_BYTES: usize = 460;
/// Bytes of the long stream.
const STREAM_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of one write and one read.
const PIECE_BYTES: usize = 64 * 1024;

/// Time of each of many exchanges on one stream, µs.
pub fn exchanges(ends: Ends) -> anyhow::Result<Vec<f64>> {
    between(ends, Answers::EachMessage, async |connection| {
        let (mut send, mut receive) = connection.open_bi().await?;
        let mut times = Vec::with_capacity(EXCHANGES);
        for _ in 0..EXCHANGES {
            let began = Instant::now();
            send.write_all(&[7; MESSAGE_BYTES]).await?;
            receive.read_exact(&mut [0]).await?;
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        send.finish()?;
        // Not closed before the other end has seen the end of the stream.
        receive.read_to_end(1).await?;
        Ok(times)
    })
}

/// Bytes a second of one long stream.
pub fn bytes(ends: Ends) -> anyhow::Result<f64> {
    between(ends, Answers::TheEnd, async |connection| {
        let (mut send, mut receive) = connection.open_bi().await?;
        let piece = vec![0; PIECE_BYTES];
        let began = Instant::now();
        for _ in 0..STREAM_BYTES / PIECE_BYTES {
            send.write_all(&piece).await?;
        }
        send.finish()?;
        // The other end answers the end of the stream, once it has read all of it.
        receive.read_to_end(1 << 20).await?;
        Ok(super::super::statistics::count(STREAM_BYTES) / began.elapsed().as_secs_f64())
    })
}

/// One stream from the end that calls to the end that is called, each on a thread of its own.
pub fn one_way(
    sends: impl AsyncFnOnce(SendStream) -> anyhow::Result<()>,
    receives: impl AsyncFnOnce(RecvStream) -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    let (server_config, client_config) = configurations()?;
    let (told, address) = tokio::sync::oneshot::channel();
    let server = std::thread::spawn(move || {
        runtime()?.block_on(async {
            let endpoint = Endpoint::server(server_config, (Ipv4Addr::LOCALHOST, 0).into())?;
            told.send(endpoint.local_addr()?).map_err(|_| anyhow::anyhow!("nobody calls"))?;
            let Some(incoming) = endpoint.accept().await else { return Ok(()) };
            let connection = incoming.await?;
            let received = receives(connection.accept_uni().await?).await;
            connection.close(0_u8.into(), b"");
            endpoint.wait_idle().await;
            received
        })
    });
    let sent = runtime()?.block_on(call(client_config, address, async |connection| {
        sends(connection.open_uni().await?).await?;
        // Until the other end has read everything.
        connection.closed().await;
        Ok(())
    }));
    let received = server.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))?;
    sent.and(received)
}

/// Time of each of many exchanges of datagrams between two threads that block: what the kernel needs to
/// carry one there and back and to wake who waits for it, µs.
pub fn datagrams() -> anyhow::Result<Vec<f64>> {
    let (ours, theirs) =
        (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
    ours.connect(theirs.local_addr()?)?;
    theirs.connect(ours.local_addr()?)?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let mut datagram = [0; MESSAGE_BYTES];
        for _ in 0..EXCHANGES {
            theirs.recv(&mut datagram)?;
            theirs.send(&[1])?;
        }
        Ok(())
    });
    let mut times = Vec::with_capacity(EXCHANGES);
    for _ in 0..EXCHANGES {
        let began = Instant::now();
        ours.send(&[7; MESSAGE_BYTES])?;
        ours.recv(&mut [0])?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    echo.join().map_err(|_| anyhow::anyhow!("the echo panicked"))??;
    Ok(times)
}

fn between<T>(
    ends: Ends,
    answers: Answers,
    client: impl AsyncFnOnce(Connection) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (server_config, client_config) = configurations()?;
    let (told, address) = tokio::sync::oneshot::channel();
    let serving = serve(server_config, told, answers);
    let calling = call(client_config, address, client);
    match ends {
        Ends::OneThread => runtime()?.block_on(async {
            let (served, called) = tokio::join!(serving, calling);
            served?;
            called
        }),
        Ends::TwoThreads => {
            let server = std::thread::spawn(move || runtime()?.block_on(serving));
            let called = runtime()?.block_on(calling);
            server.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
            called
        }
    }
}

async fn call<T>(
    config: ClientConfig,
    address: tokio::sync::oneshot::Receiver<SocketAddr>,
    client: impl AsyncFnOnce(Connection) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    let connection = endpoint.connect_with(config, address.await?, "localhost")?.await?;
    let result = client(connection.clone()).await;
    connection.close(0_u8.into(), b"");
    endpoint.wait_idle().await;
    result
}

fn configurations() -> anyhow::Result<(ServerConfig, ClientConfig)> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (certificate, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.clone()],
            PrivateKeyDer::try_from(key).map_err(|why| anyhow::anyhow!("the key does not parse: {why}"))?,
        )?;
    let server_config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((server_config, ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?))))
}

async fn serve(
    config: ServerConfig,
    told: tokio::sync::oneshot::Sender<SocketAddr>,
    answers: Answers,
) -> anyhow::Result<()> {
    let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into())?;
    let address = endpoint.local_addr()?;
    told.send(address).map_err(|_| anyhow::anyhow!("nobody calls"))?;
    let Some(incoming) = endpoint.accept().await else { return Ok(()) };
    let connection = incoming.await?;
    let (mut send, mut receive) = connection.accept_bi().await?;
    let mut buffer = vec![0; PIECE_BYTES];
    let mut unanswered = 0;
    while let Some(read) = receive.read(&mut buffer).await? {
        unanswered += read;
        if answers == Answers::EachMessage && unanswered >= MESSAGE_BYTES {
            unanswered -= MESSAGE_BYTES;
            send.write_all(&[1]).await?;
        }
    }
    send.finish()?;
    connection.closed().await;
    Ok(())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
