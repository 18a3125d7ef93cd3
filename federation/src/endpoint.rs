//! The QUIC endpoint's settings: every window, buffer and timeout set, nothing left to a default that
//! could grow.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use protocol::ids::MemberId;
use quinn::{
    AsyncUdpSocket, IdleTimeout, MtuDiscoveryConfig, Runtime as _, TransportConfig, ValidationTokenConfig,
    VarInt,
};

use crate::keys::{AcceptedKeys, OwnKeys, TlsError, client_tls, server_tls};
use crate::limits::{
    BLOB_STREAMS_MAX, CRYPTO_BUFFER_BYTES, IDLE_MAX, INCOMING_BUFFER_BYTES, INCOMING_BUFFER_BYTES_TOTAL,
    INCOMING_MAX, KEEP_ALIVE, LANES, MTU_CHANGE_MIN_BYTES, RECEIVE_WINDOW_BYTES, SEND_WINDOW_BYTES,
    STREAM_WINDOW_BYTES,
};

/// Name given to the TLS library; it is not sent and not checked, keys are.
const SERVER_NAME: &str = "cuadra";

/// How often to look whether the socket is free at shutdown.
const SOCKET_LOOK_EVERY: Duration = Duration::from_millis(1);

/// Why the endpoint did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key or the TLS settings were refused.
    #[error("the federation's TLS could not be set up")]
    Tls(#[from] TlsError),
    /// The UDP socket could not be bound.
    #[error("cannot listen for other nodes on UDP {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// Our own end: accepts and dials with our own keys.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub quinn: quinn::Endpoint,
    socket: Weak<dyn AsyncUdpSocket>,
    own_keys: OwnKeys,
    keys: AcceptedKeys,
    own: MemberId,
}

impl Endpoint {
    /// Binds the socket and starts to accept.
    pub fn bind(
        address: SocketAddr,
        own_keys: OwnKeys,
        keys: AcceptedKeys,
        own: MemberId,
    ) -> Result<Self, StartError> {
        let tls = server_tls(&own_keys, keys.clone(), own)?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
        let mut no_tokens = ValidationTokenConfig::default();
        no_tokens.sent(0);
        server
            .migration(false)
            .max_incoming(INCOMING_MAX)
            .incoming_buffer_size(INCOMING_BUFFER_BYTES)
            .incoming_buffer_size_total(INCOMING_BUFFER_BYTES_TOTAL)
            .validation_token_config(no_tokens)
            .transport_config(Arc::new(transport()));
        let bind_error = |cause| StartError::Bind { address, cause };
        let runtime = Arc::new(quinn::TokioRuntime);
        let socket = std::net::UdpSocket::bind(address)
            .and_then(|socket| runtime.wrap_udp_socket(socket))
            .map_err(bind_error)?;
        let freed = Arc::downgrade(&socket);
        let config = own_keys.turn(0).resets().endpoint_config();
        let quinn = quinn::Endpoint::new_with_abstract_socket(config, Some(server), socket, runtime)
            .map_err(bind_error)?;
        Ok(Self { quinn, socket: freed, own_keys, keys, own })
    }

    /// Sends the goodbyes that are on their way and lets go of the socket, so that its address is free
    /// again. Connections must have been closed before.
    pub async fn free(self) {
        let Self { quinn, socket, .. } = self;
        quinn.wait_idle().await;
        drop(quinn);
        // The last part of the endpoint ends in a task of the QUIC library that cannot be joined.
        let mut ticks = tokio::time::interval(SOCKET_LOOK_EVERY);
        while socket.strong_count() > 0 {
            ticks.tick().await;
        }
    }

    /// Starts to dial `expected`; only its keys will be accepted at the other end. After so many dials that
    /// the other end refused, with the next of our own keys: it may know us by another one.
    pub fn dial(
        &self,
        expected: MemberId,
        address: SocketAddr,
        refused: usize,
    ) -> Result<quinn::Connecting, DialError> {
        let tls = client_tls(&self.own_keys.turn(refused), self.keys.clone(), self.own, expected)?;
        let mut client = quinn::ClientConfig::new(Arc::new(tls));
        client.transport_config(Arc::new(transport()));
        Ok(self.quinn.connect_with(client, address, SERVER_NAME)?)
    }
}

/// Why a dial did not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("the TLS settings were refused")]
    Tls(#[from] TlsError),
    #[error("the address cannot be dialled")]
    Connect(#[from] quinn::ConnectError),
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = u32::try_from(IDLE_MAX.as_millis()).expect("half a minute fits");
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.minimum_change(MTU_CHANGE_MIN_BYTES);
    let lanes = u32::try_from(LANES).expect("a handful of lanes fits");
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(lanes))
        // Beside the blob requests there is the control stream, which the accepting end opens.
        .max_concurrent_bidi_streams(VarInt::from_u32(BLOB_STREAMS_MAX + 1))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle))))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .mtu_discovery_config(Some(mtu))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .crypto_buffer_size(CRYPTO_BUFFER_BYTES)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .allow_spin(false);
    transport
}
