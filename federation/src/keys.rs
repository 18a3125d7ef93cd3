//! Who may connect: the node's own TLS key, the keys of the roster, and the TLS 1.3 settings that
//! check them (raw public keys, RFC 7250).
//!
//! A peer is the member that owns the key it proved to hold. Nothing it says can change that.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use protocol::ids::MemberId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use tokio::sync::watch;

use crate::resets::ResetSecret;

/// Protocol name in the TLS handshake; another major version has another name.
pub const ALPN: &[u8] = b"cuadra/1";

/// An Ed25519 public key as in the roster.
pub type TlsKey = [u8; 32];

/// The TLS keys that the newest roster accepts, and who owns each. Clones share one snapshot;
/// `replace` swaps it, and connections whose key is no longer its owner's close at once.
#[derive(Debug, Clone)]
pub struct AcceptedKeys(watch::Sender<Arc<BTreeMap<TlsKey, MemberId>>>);

impl AcceptedKeys {
    /// Starts with these keys.
    #[must_use]
    pub fn new(keys: BTreeMap<TlsKey, MemberId>) -> Self {
        Self(watch::Sender::new(Arc::new(keys)))
    }
    /// Swaps the snapshot.
    pub fn replace(&self, keys: BTreeMap<TlsKey, MemberId>) {
        self.0.send_replace(Arc::new(keys));
    }
    /// The member that owns `key` now.
    #[must_use]
    pub fn owner(&self, key: &TlsKey) -> Option<MemberId> {
        self.0.borrow().get(key).copied()
    }
    /// The keys that `member` owns now.
    fn of(&self, member: &MemberId) -> Vec<TlsKey> {
        let keys = self.0.borrow();
        keys.iter().filter(|(_, owner)| *owner == member).map(|(key, _)| *key).collect()
    }
    /// Resolves once `key` no longer belongs to `member`.
    pub(crate) async fn lost(&self, key: TlsKey, member: MemberId) {
        let mut changes = self.0.subscribe();
        let gone = changes.wait_for(|keys| keys.get(&key) != Some(&member)).await;
        gone.expect("the sender lives in self");
    }
}

/// This node's own TLS key.
#[derive(Debug, Clone)]
pub struct NodeKey {
    public: TlsKey,
    certified: Arc<CertifiedKey>,
    resets: ResetSecret,
}

/// Every TLS key that this node may show: the one that it likes best first, then those that a peer with
/// an older or newer roster may know it by. Clones share them; `replace` swaps them for what comes.
#[derive(Debug, Clone)]
pub struct OwnKeys(Arc<RwLock<Arc<[NodeKey]>>>);

impl OwnKeys {
    /// With this key alone.
    #[must_use]
    pub fn one(key: NodeKey) -> Self {
        Self(Arc::new(RwLock::new(Arc::new([key]))))
    }
    /// Swaps them. A list of none changes nothing: without a key there is no door.
    pub fn replace(&self, keys: Vec<NodeKey>) {
        if !keys.is_empty() {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
        }
    }
    fn all(&self) -> Arc<[NodeKey]> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// The key for one more try, after so many that were refused.
    pub(crate) fn turn(&self, refused: usize) -> NodeKey {
        let keys = self.all();
        let place = refused % keys.len();
        keys.get(place).expect("the remainder is below the length").clone()
    }
}

/// Shows whoever dials the key that it says it knows us by, else the one that we like best.
#[derive(Debug)]
struct KnownKey(OwnKeys);

impl rustls::server::ResolvesServerCert for KnownKey {
    fn resolve(&self, hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = self.0.all();
        let hints = hello.certificate_authorities().unwrap_or_default();
        let named = |key: &&NodeKey| {
            let own = hint(&key.public);
            hints.iter().any(|known| known.as_ref() == own.as_ref())
        };
        let known = keys.iter().find(named);
        known.or(keys.first()).map(|key| key.certified.clone())
    }
    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

/// A key in the list by which a dialling node says whom it expects (RFC 8446, section 4.2.4).
fn hint(key: &TlsKey) -> DistinguishedName {
    DistinguishedName::in_sequence(key)
}

/// The TLS library refused our own key or settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The signing key could not be encoded for the TLS library.
    #[error("the node's TLS key cannot be encoded")]
    Encode(#[source] ed25519_dalek::pkcs8::Error),
    /// The TLS library refused the settings.
    #[error("the TLS library refused the node's settings")]
    Settings(#[source] rustls::Error),
    /// The settings lack the cipher that QUIC starts with.
    #[error("the TLS settings lack the cipher that QUIC starts with")]
    InitialCipher(#[source] quinn::crypto::rustls::NoInitialCipherSuite),
}

impl NodeKey {
    /// From the 32 secret bytes of an Ed25519 key.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, TlsError> {
        let signing = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = signing.verifying_key().to_bytes();
        let secret = signing.to_pkcs8_der().map_err(TlsError::Encode)?;
        let secret = PrivatePkcs8KeyDer::from(secret.as_bytes());
        let key = rustls::crypto::ring::sign::any_eddsa_type(&secret).map_err(TlsError::Settings)?;
        let certified = CertifiedKey::new(vec![CertificateDer::from(public_key_info(&public))], key);
        Ok(Self { public, certified: Arc::new(certified), resets: ResetSecret::of_seed(seed) })
    }
    /// The public key, as it stands in the roster.
    #[must_use]
    pub fn public(&self) -> TlsKey {
        self.public
    }
    /// By what peers know that a process with this key has ended.
    pub(crate) fn resets(&self) -> &ResetSecret {
        &self.resets
    }
}

/// DER in front of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const ED25519_INFO_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

fn public_key_info(key: &TlsKey) -> Vec<u8> {
    [ED25519_INFO_PREFIX.as_slice(), key].concat()
}

fn key_of_info(info: &[u8]) -> Option<TlsKey> {
    info.strip_prefix(&ED25519_INFO_PREFIX)?.try_into().ok()
}

/// The key that the peer of a finished handshake proved to hold.
pub(crate) fn peer_key(connection: &quinn::Connection) -> Option<TlsKey> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let [only] = identity.as_slice() else { return None };
    key_of_info(only)
}

/// Accepts one raw key: of the expected member when dialling, of any other member when accepting.
#[derive(Debug)]
struct RosterVerifier {
    keys: AcceptedKeys,
    own: MemberId,
    expected: Option<MemberId>,
    /// The keys of the expected member, for it to know which of its own to show.
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl RosterVerifier {
    fn judge(&self, key: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let refused =
            || rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure);
        if !chain.is_empty() {
            return Err(refused());
        }
        let owner = key_of_info(key).and_then(|key| self.keys.owner(&key)).ok_or_else(refused)?;
        let wanted = self.expected.is_none_or(|expected| expected == owner);
        if wanted && owner != self.own { Ok(()) } else { Err(refused()) }
    }

    fn signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let info = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &info, signed, &self.algorithms)
    }
}

fn only_tls13<T>() -> Result<T, rustls::Error> {
    Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls13RequiredForQuic))
}

impl ServerCertVerifier for RosterVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        only_tls13()
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, cert, dss)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(self.hints.as_slice()).filter(|hints| !hints.is_empty())
    }
}

impl ClientCertVerifier for RosterVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.judge(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        only_tls13()
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, cert, dss)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// TLS of connections that we accept: any member's key but our own.
pub(crate) fn server_tls(
    own_keys: &OwnKeys,
    keys: AcceptedKeys,
    own: MemberId,
) -> Result<quinn::crypto::rustls::QuicServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier = RosterVerifier { keys, own, expected: None, hints: Vec::new(), algorithms };
    let resolver = KnownKey(own_keys.clone());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Settings)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(resolver));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would skip the key check, and with it revocation.
    tls.send_tls13_tickets = 0;
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    tls.max_early_data_size = 0;
    tls.try_into().map_err(TlsError::InitialCipher)
}

/// TLS of a connection that we dial: only a key of `expected` will do.
pub(crate) fn client_tls(
    key: &NodeKey,
    keys: AcceptedKeys,
    own: MemberId,
    expected: MemberId,
) -> Result<quinn::crypto::rustls::QuicClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let hints = keys.of(&expected).iter().map(hint).collect();
    let verifier = RosterVerifier { keys, own, expected: Some(expected), hints, algorithms };
    let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(key.certified.clone());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Settings)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(resolver));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_sni = false;
    tls.enable_early_data = false;
    tls.resumption = rustls::client::Resumption::disabled();
    tls.try_into().map_err(TlsError::InitialCipher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_survives_its_der_form() {
        let key = NodeKey::from_seed(&[3; 32]).unwrap().public();
        let info = public_key_info(&key);
        assert_eq!(key_of_info(&info), Some(key));
        assert_eq!(key_of_info(&info[1..]), None);
        assert_eq!(key_of_info(&[info, vec![0]].concat()), None);
    }
}
