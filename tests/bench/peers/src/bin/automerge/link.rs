//! The one QUIC stream between both ends: frames of a length, a document's key and a sync message.
//! What waits to be sent has no bound: both ends send as much as they receive, and a bench has two ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use anyhow::Context as _;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc;

use super::engine::{Input, Key};

/// Longest sync message that is taken, in bytes.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Frames of one write.
const TOGETHER_MAX: usize = 256;
/// What both ends say first.
const HELLO: &[u8; 5] = b"hello";

/// Listens on loopback; where, and with which certificate, as one word.
pub fn listen() -> anyhow::Result<(Endpoint, String)> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let certificate = made.cert.der();
    let tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    let config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into())?;
    let hex: String = certificate.iter().map(|byte| format!("{byte:02x}")).collect();
    let address = format!("{}/{hex}", endpoint.local_addr()?);
    Ok((endpoint, address))
}

/// Takes the one connection that comes.
pub async fn accept(endpoint: &Endpoint, inputs: &Sender<Input>) -> anyhow::Result<Connection> {
    let connection = endpoint.accept().await.context("the endpoint was closed")?.await?;
    let (mut send, mut receive) = connection.accept_bi().await?;
    receive.read_exact(&mut [0; HELLO.len()]).await?;
    send.write_all(HELLO).await?;
    carry(send, receive, inputs)?;
    Ok(connection)
}

/// Connects with who listens there.
pub async fn dial(address: &str, inputs: &Sender<Input>) -> anyhow::Result<(Endpoint, Connection)> {
    let (address, hex) = address.split_once('/').context("an address and a certificate")?;
    let byte = |at: usize| Some(u8::from_str_radix(hex.get(at..at + 2)?, 16));
    let certificate: Vec<u8> = (0..hex.len()).step_by(2).filter_map(byte).collect::<Result<_, _>>()?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate))?;
    let tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    let connection = endpoint.connect_with(config, address.parse::<SocketAddr>()?, "localhost")?.await?;
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(HELLO).await?;
    receive.read_exact(&mut [0; HELLO.len()]).await?;
    carry(send, receive, inputs)?;
    Ok((endpoint, connection))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Moves frames both ways until the connection ends.
fn carry(send: SendStream, receive: RecvStream, inputs: &Sender<Input>) -> anyhow::Result<()> {
    let (out, outgoing) = mpsc::unbounded_channel();
    inputs.send(Input::Linked(out))?;
    let inputs = inputs.clone();
    tokio::spawn(write(send, outgoing));
    tokio::spawn(async move {
        // An end of the connection is how every run ends.
        let _closed = read(receive, &inputs).await;
    });
    Ok(())
}

async fn write(mut send: SendStream, mut outgoing: mpsc::UnboundedReceiver<(Key, Vec<u8>)>) {
    let (mut frames, mut bytes) = (Vec::new(), Vec::new());
    while outgoing.recv_many(&mut frames, TOGETHER_MAX).await > 0 {
        bytes.clear();
        for (key, message) in frames.drain(..) {
            bytes.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(&key);
            bytes.extend_from_slice(&message);
        }
        if send.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn read(mut receive: RecvStream, inputs: &Sender<Input>) -> anyhow::Result<()> {
    let mut buffered = tokio::io::BufReader::with_capacity(256 * 1024, &mut receive);
    loop {
        use tokio::io::AsyncReadExt as _;
        let length = usize::try_from(buffered.read_u32().await?)?;
        anyhow::ensure!(length <= MESSAGE_BYTES_MAX, "a message of {length} bytes");
        let (mut key, mut message) = ([0; 16], vec![0; length]);
        buffered.read_exact(&mut key).await?;
        buffered.read_exact(&mut message).await?;
        inputs.send(Input::Message(key, message))?;
    }
}
