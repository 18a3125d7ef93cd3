//! How a node that was killed tells its peers that it knows their connections no more (stateless reset, RFC 9000,
//! section 10.3). Without it they would go on for seconds as if it were there.
//!
//! The token that ends a connection follows from the connection's id and a secret of the node's. The secret follows
//! from the node's TLS key, so that it is the same after a restart; ids are random, so that none comes twice.

use std::sync::Arc;
use std::time::Duration;

use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes of a connection's id, by which a datagram finds its connection.
const CONNECTION_ID_BYTES: usize = 8;
/// What the secret is made for; nothing else of the node's is made from the same words.
const PURPOSE: &[u8] = b"cuadra stateless reset";

/// The secret from which the tokens follow.
#[derive(Clone)]
pub(crate) struct ResetSecret(Arc<hmac::Key>);

impl std::fmt::Debug for ResetSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResetSecret(not shown)")
    }
}

impl ResetSecret {
    /// From the 32 secret bytes of the node's TLS key.
    pub fn of_seed(seed: &[u8; 32]) -> Self {
        let secret = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, seed), PURPOSE);
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref())))
    }

    /// The settings of an endpoint whose resets are believed after a restart.
    pub fn endpoint_config(&self) -> EndpointConfig {
        let mut config = EndpointConfig::new(self.0.clone());
        config.cid_generator(|| Box::new(RandomIds(SystemRandom::new())));
        config
    }
}

/// The library's own ids carry a mark of their process, and it says nothing to a datagram without the mark.
struct RandomIds(SystemRandom);

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; CONNECTION_ID_BYTES];
        self.0.fill(&mut id).expect("the system has random bytes");
        ConnectionId::new(&id)
    }
    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }
    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
