//! The listening side: plain HTTP on loopback or behind a named proxy, HTTPS by itself otherwise;
//! how many connections, how long a handshake and the headers of a request may take.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use config::settings::Tls;
use config::{Config, Secret, SecretError};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::counts::Counts;
use super::limits::{
    CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, EVENT_STREAMS_MAX, HEADER_BYTES_MAX, HEADER_READ_TIMEOUT,
    HEADERS_MAX, PICTURE_BYTES_MAX, SHUTDOWN_GRACE, STREAMS_PER_CONNECTION_MAX, TLS_HANDSHAKE_TIMEOUT,
};
use crate::pages::Lang;

/// Where the node serves its pages, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Plain, proxied or HTTPS.
    pub transport: Transport,
    /// Whom to call when nothing else works.
    pub emergency_number: String,
    /// Language of people who have not chosen one and whose browser asks for none that we speak.
    pub language: Lang,
    /// Largest picture that is taken in, in bytes; at most [`PICTURE_BYTES_MAX`] counts.
    pub picture_bytes_max: usize,
    /// Event streams at one time; at most [`EVENT_STREAMS_MAX`] counts.
    pub streams_max: usize,
}

/// How bytes come in.
#[derive(Debug, Clone)]
pub enum Transport {
    /// Plain HTTP; only on a loopback address.
    Plain,
    /// Plain HTTP from these addresses only, which do the HTTPS.
    Proxied(Vec<IpAddr>),
    /// HTTPS by this process.
    Https(Certificate),
}

/// Where the certificate comes from.
#[derive(Debug, Clone)]
pub enum Certificate {
    /// Made by the node itself and kept in this folder: `https-cert.pem` and `https-key.pem`.
    SelfSigned {
        /// The folder of the node's secrets.
        folder: PathBuf,
        /// Names and addresses that it is for.
        names: Vec<String>,
    },
    /// PEM files of somebody else's making.
    Files {
        /// The chain, leaf first.
        chain: PathBuf,
        /// Where its key comes from.
        key: Secret,
    },
}

impl Settings {
    /// For a node that is configured so and keeps its secrets in this folder.
    #[must_use]
    pub fn from_config(config: &Config, secrets: &Path) -> Self {
        let http = &config.http;
        let transport = match &http.tls {
            Tls::Off if http.trusted_proxies.is_empty() => Transport::Plain,
            Tls::Off => Transport::Proxied(http.trusted_proxies.clone()),
            Tls::SelfSigned => {
                let mut names = vec![http.origin.host().to_owned(), "localhost".to_owned()];
                names.dedup();
                Transport::Https(Certificate::SelfSigned { folder: secrets.to_owned(), names })
            }
            Tls::Files(files) => {
                Transport::Https(Certificate::Files { chain: files.cert.clone(), key: files.key.clone() })
            }
        };
        let bytes_max = usize::try_from(config.limits.photo_bytes_max.get()).unwrap_or(PICTURE_BYTES_MAX);
        let streams_max = usize::try_from(config.limits.live_pages_max.get()).unwrap_or(EVENT_STREAMS_MAX);
        Self {
            listen: http.listen,
            transport,
            emergency_number: config.node.emergency_number.as_str().to_owned(),
            language: Lang::from_tag(config.node.language.as_str()).unwrap_or_default(),
            picture_bytes_max: bytes_max.min(PICTURE_BYTES_MAX),
            streams_max: streams_max.min(EVENT_STREAMS_MAX),
        }
    }

    /// True if people reach this node over HTTPS.
    #[must_use]
    pub fn https(&self) -> bool {
        match self.transport {
            Transport::Plain => false,
            Transport::Proxied(_) | Transport::Https(_) => true,
        }
    }
}

/// Why pages could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Anybody on the network could read sessions.
    #[error("plain HTTP is only served on a loopback address: {0} needs HTTPS or a named proxy")]
    PlainOnPublicAddress(SocketAddr),
    /// The port is taken, or not ours to take.
    #[error("listening on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// A certificate or key file.
    #[error("reading or writing {0}")]
    File(PathBuf, #[source] io::Error),
    /// What the files hold is not PEM.
    #[error("reading the certificate in {0}")]
    Pem(PathBuf, #[source] rustls::pki_types::pem::Error),
    /// What should be a private key is not.
    #[error("reading the private key of the certificate")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// The private key is not where it should be.
    #[error("looking for the private key of the certificate")]
    Secret(#[from] SecretError),
    /// The certificate and key do not fit.
    #[error("setting up HTTPS")]
    Tls(#[from] rustls::Error),
    /// The certificate could not be made.
    #[error("making a certificate")]
    Make(#[from] rcgen::Error),
    /// The listener stopped.
    #[error("serving pages")]
    Serve(#[source] io::Error),
}

/// A listening socket, bound before anything is started so that a taken port is told at once.
#[derive(Debug)]
pub struct Listening {
    socket: TcpListener,
    transport: Ready,
}

#[derive(Debug)]
enum Ready {
    Plain,
    Proxied(Vec<IpAddr>),
    Https(Arc<ServerConfig>),
}

impl Listening {
    /// Takes the address and reads or makes the certificate.
    ///
    /// # Errors
    /// As [`ServeError`] says.
    pub fn start(settings: &Settings) -> Result<Self, ServeError> {
        let transport = match &settings.transport {
            Transport::Plain if !settings.listen.ip().is_loopback() => {
                return Err(ServeError::PlainOnPublicAddress(settings.listen));
            }
            Transport::Plain => Ready::Plain,
            Transport::Proxied(proxies) => Ready::Proxied(proxies.clone()),
            Transport::Https(certificate) => Ready::Https(Arc::new(tls(certificate)?)),
        };
        let bound = TcpListener::bind(settings.listen).and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        let socket = bound.map_err(|error| ServeError::Listen(settings.listen, error))?;
        Ok(Self { socket, transport })
    }

    /// The address that was taken.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `stop` is ready, then lets running requests end.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(
        self,
        router: Router,
        counts: Arc<Counts>,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let handle = Handle::new();
        let (proxies, tls) = match self.transport {
            Ready::Plain => (None, None),
            Ready::Proxied(proxies) => (Some(proxies), None),
            Ready::Https(config) => (None, Some(config)),
        };
        let door = Door(Arc::new(Doors { counts, proxies, addresses: Mutex::new(BTreeMap::new()) }));
        let mut server =
            axum_server::from_tcp(self.socket).map_err(ServeError::Serve)?.handle(handle.clone());
        let builder = server.http_builder();
        builder
            .http1()
            .header_read_timeout(HEADER_READ_TIMEOUT)
            .max_buf_size(HEADER_BYTES_MAX)
            .max_headers(HEADERS_MAX);
        builder
            .http2()
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .max_header_list_size(HEADER_BYTES_MAX as u32)
            .keep_alive_interval(HEADER_READ_TIMEOUT)
            .keep_alive_timeout(HEADER_READ_TIMEOUT);
        let server = server.first_request_timeout(HEADER_READ_TIMEOUT);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let stopper = handle.clone();
        let serving = async move {
            match tls {
                None => server.acceptor(door).serve(service).await,
                Some(config) => {
                    let tls = RustlsAcceptor::new(RustlsConfig::from_config(config));
                    server
                        .acceptor(tls.handshake_timeout(TLS_HANDSHAKE_TIMEOUT).acceptor(door))
                        .serve(service)
                        .await
                }
            }
        };
        tokio::pin!(serving);
        tokio::select! {
            ended = &mut serving => return ended.map_err(ServeError::Serve),
            () = stop => stopper.graceful_shutdown(Some(SHUTDOWN_GRACE)),
        }
        serving.await.map_err(ServeError::Serve)
    }
}

/// Lets connections in, one by one, up to the limits.
#[derive(Clone)]
struct Door(Arc<Doors>);

struct Doors {
    counts: Arc<Counts>,
    /// If set, nobody else may connect.
    proxies: Option<Vec<IpAddr>>,
    /// Connections by address; loopback and proxies are not counted.
    addresses: Mutex<BTreeMap<IpAddr, usize>>,
}

impl Doors {
    /// A place for a connection from there; `None` at a limit.
    fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        if self.proxies.as_ref().is_some_and(|proxies| !proxies.contains(&from)) {
            self.counts.refuse_connection();
            return None;
        }
        let counted = self.proxies.is_none() && !from.is_loopback();
        if counted {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let open = addresses.entry(from).or_insert(0);
            if *open >= CONNECTIONS_PER_ADDRESS_MAX {
                self.counts.refuse_connection();
                return None;
            }
            *open += 1;
        }
        let mut place = Place { doors: Arc::clone(self), counted: counted.then_some(from), entered: false };
        // If there is no place, dropping it gives the address back.
        place.entered = self.counts.connect(CONNECTIONS_MAX);
        place.entered.then_some(place)
    }
}

/// A taken place, given back when the connection ends.
struct Place {
    doors: Arc<Doors>,
    counted: Option<IpAddr>,
    entered: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.entered {
            self.doors.counts.disconnect();
        }
        let Some(address) = self.counted else { return };
        let mut addresses = self.doors.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = addresses.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                addresses.remove(&address);
            }
        }
    }
}

impl<S> Accept<TcpStream, S> for Door {
    type Stream = Placed;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Placed, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let placed = stream.peer_addr().and_then(|from| {
            stream.set_nodelay(true)?;
            let place = self.0.enter(from.ip()).ok_or(io::ErrorKind::ConnectionRefused)?;
            Ok((Placed { stream, _place: place }, service))
        });
        std::future::ready(placed)
    }
}

/// A connection that holds its place.
struct Placed {
    stream: TcpStream,
    _place: Place,
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn tls(certificate: &Certificate) -> Result<ServerConfig, ServeError> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| ServeError::File(path.to_owned(), error));
    let (chain_path, key) = match certificate {
        Certificate::SelfSigned { folder, names } => {
            let (chain, key) = self_signed(folder, names)?;
            (chain, Zeroizing::new(read(&key)?))
        }
        Certificate::Files { chain, key } => {
            (chain.clone(), Zeroizing::new(key.read()?.reveal().as_bytes().to_vec()))
        }
    };
    let chain = CertificateDer::pem_slice_iter(&read(&chain_path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ServeError::Pem(chain_path.clone(), error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(ServeError::Key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The node's own certificate: made once, then the same for as long as its files are there, so that
/// a browser that was told to trust it goes on doing so.
fn self_signed(folder: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), ServeError> {
    let (chain, key) = (folder.join("https-cert.pem"), folder.join("https-key.pem"));
    if chain.exists() && key.exists() {
        return Ok((chain, key));
    }
    let made = rcgen::generate_simple_self_signed(names.to_vec())?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| ServeError::File(path, error)
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    private_file(&key, made.signing_key.serialize_pem().as_bytes()).map_err(failed(&key))?;
    std::fs::write(&chain, made.cert.pem()).map_err(failed(&chain))?;
    Ok((chain, key))
}

/// Writes a file that only its owner may read.
fn private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use axum::routing::get;
    use tokio::sync::oneshot;

    fn doors(proxies: Option<Vec<IpAddr>>) -> Arc<Doors> {
        Arc::new(Doors { counts: Arc::default(), proxies, addresses: Mutex::default() })
    }

    #[test]
    fn one_address_cannot_take_every_place_and_places_are_given_back() {
        let doors = doors(None);
        let (one, other) = (IpAddr::from([203, 0, 113, 1]), IpAddr::from([203, 0, 113, 2]));
        let mut held: Vec<_> =
            (0..CONNECTIONS_PER_ADDRESS_MAX).map(|_| doors.enter(one).expect("below the limit")).collect();
        assert!(doors.enter(one).is_none(), "the limit of one address");
        assert!(doors.enter(other).is_some(), "another address still enters");
        held.pop();
        assert!(doors.enter(one).is_some(), "a place that was left is free again");
        drop(held);
        assert!(doors.addresses.lock().unwrap().is_empty());
    }

    #[test]
    fn the_places_of_all_together_are_bounded() {
        let doors = doors(None);
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let held: Vec<_> =
            (0..CONNECTIONS_MAX).map(|_| doors.enter(loopback).expect("below the limit")).collect();
        assert!(doors.enter(loopback).is_none());
        drop(held);
        assert!(doors.enter(loopback).is_some());
    }

    #[test]
    fn behind_a_proxy_nobody_else_enters() {
        let proxy = IpAddr::from([10, 0, 0, 1]);
        let doors = doors(Some(vec![proxy]));
        assert!(doors.enter(proxy).is_some());
        assert!(doors.enter(IpAddr::from([10, 0, 0, 2])).is_none());
    }

    /// Serves a small router, asks it something on a thread of its own, then stops it.
    async fn served(transport: Transport, ask: impl FnOnce(SocketAddr) -> String + Send + 'static) -> String {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings =
            Settings { listen, transport, ..Settings::from_config(&Config::default(), Path::new("")) };
        let listening = Listening::start(&settings).unwrap();
        let address = listening.address().unwrap();
        let router = Router::new().route("/", get(async || "served"));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(listening.serve(router, Arc::default(), async {
            let _ = stopped.await;
        }));
        let answer = tokio::task::spawn_blocking(move || ask(address)).await.unwrap();
        stop.send(()).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(10), serving).await.expect("it stops");
        ended.unwrap().unwrap();
        answer
    }

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";

    fn said(mut stream: impl io::Read + io::Write) -> String {
        let mut answer = String::new();
        // A refused connection shows as an error or as an end, whichever comes first.
        let _ = stream.write_all(ASK);
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[tokio::test]
    async fn plain_http_is_answered_and_stops_when_told() {
        let answer =
            served(Transport::Plain, |address| said(std::net::TcpStream::connect(address).unwrap())).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("served"), "{answer}");
    }

    #[tokio::test]
    async fn who_is_not_the_proxy_gets_no_answer() {
        let proxied = Transport::Proxied(vec![IpAddr::from([10, 0, 0, 1])]);
        let answer = served(proxied, |address| said(std::net::TcpStream::connect(address).unwrap())).await;
        assert_eq!(answer, "");
    }

    #[tokio::test]
    async fn https_is_served_with_the_nodes_own_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().to_owned();
        let names = vec!["here.localhost".to_owned()];
        let transport = Transport::Https(Certificate::SelfSigned { folder: secrets.clone(), names });
        let answer = served(transport, move |address| {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(secrets.join("https-cert.pem")).unwrap()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = "here.localhost".try_into().unwrap();
            let client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
            said(rustls::StreamOwned::new(client, std::net::TcpStream::connect(address).unwrap()))
        });
        let answer = answer.await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("served"), "{answer}");
    }
}
