//! TLS of the scripted peer: its own raw key, and whatever key the node shows.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// DER in front of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const ED25519_INFO_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The settings to dial with.
pub fn client(key: &SigningKey) -> quinn::ClientConfig {
    client_of(key, federation::keys::ALPN)
}

/// The settings to dial with another protocol name.
pub fn client_of(key: &SigningKey, protocol: &[u8]) -> quinn::ClientConfig {
    quic(settings(key, protocol))
}

/// The settings of somebody who keeps every ticket and speaks before the handshake is done, if a node lets it.
pub fn eager_client(key: &SigningKey) -> quinn::ClientConfig {
    let mut tls = settings(key, federation::keys::ALPN);
    tls.enable_early_data = true;
    quic(tls)
}

fn quic(tls: rustls::ClientConfig) -> quinn::ClientConfig {
    let tls = QuicClientConfig::try_from(tls).expect("the settings have the cipher that QUIC starts with");
    quinn::ClientConfig::new(Arc::new(tls))
}

fn settings(key: &SigningKey, protocol: &[u8]) -> rustls::ClientConfig {
    let secret = key.to_pkcs8_der().expect("a key has a form");
    let secret = PrivatePkcs8KeyDer::from(secret.as_bytes());
    let signing = ring::sign::any_eddsa_type(&secret).expect("an Ed25519 key");
    let info = [ED25519_INFO_PREFIX.as_slice(), key.verifying_key().as_bytes()].concat();
    let certified = CertifiedKey::new(vec![CertificateDer::from(info)], signing);
    let provider = Arc::new(ring::default_provider());
    let anybody = Anybody(provider.signature_verification_algorithms);
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3 is there")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(anybody))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::new(certified))));
    tls.alpn_protocols = vec![protocol.to_vec()];
    tls.enable_sni = false;
    tls
}

/// Takes any key whose owner holds it: the scenario knows whom it dialled.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _key: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3".to_owned()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let info = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &info, signed, &self.0)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
