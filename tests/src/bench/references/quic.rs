//! QUIC over loopback with quinn: one thread an end, TLS 1.3, nothing else.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;

/// Exchanges in one run.
const EXCHANGES: usize = 2_000;
/// Bytes of the message there: an envelope. One byte comes back.
const MESSAGE_BYTES: usize = 460;
/// Bytes of the long stream.
const STREAM_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of one write and one read.
const PIECE_BYTES: usize = 64 * 1024;

/// Time of each of many exchanges on one stream, µs.
pub fn exchanges() -> anyhow::Result<Vec<f64>> {
    between(async |connection| {
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
pub fn bytes() -> anyhow::Result<f64> {
    between(async |connection| {
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

/// Runs the client here and a server on a thread of its own.
fn between<T>(client: impl AsyncFnOnce(Connection) -> anyhow::Result<T>) -> anyhow::Result<T> {
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
    let client_config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));

    let (told, address) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || runtime()?.block_on(serve(server_config, &told)));
    let result = runtime()?.block_on(async {
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        let connection = endpoint.connect_with(client_config, address.recv()?, "localhost")?.await?;
        let result = client(connection.clone()).await;
        connection.close(0_u8.into(), b"");
        endpoint.wait_idle().await;
        result
    });
    server.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    result
}

async fn serve(config: ServerConfig, told: &std::sync::mpsc::Sender<SocketAddr>) -> anyhow::Result<()> {
    let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into())?;
    told.send(endpoint.local_addr()?)?;
    let Some(incoming) = endpoint.accept().await else { return Ok(()) };
    let connection = incoming.await?;
    let (mut send, mut receive) = connection.accept_bi().await?;
    let mut buffer = vec![0; PIECE_BYTES];
    // Messages are answered one byte each; of a long stream, one each piece that was read.
    let mut unanswered = 0;
    while let Some(read) = receive.read(&mut buffer).await? {
        unanswered += read;
        while unanswered >= MESSAGE_BYTES {
            unanswered = if read == MESSAGE_BYTES { unanswered - MESSAGE_BYTES } else { 0 };
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
