//! Dials every member whose address is known and that is not connected, with a capped back-off.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::ids::MemberId;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::close::Ended;
use crate::connection::{self, Side};
use crate::context::{Context, Timing};
use crate::handlers::Decode;
use crate::limits::{ADDRESSES_PER_PEER_MAX, HANDSHAKE_MAX};
use crate::peers::{PeerState, Peers};

/// Whom to keep a connection with, and their addresses (`host:port`) in the order to try them.
pub type Contacts = BTreeMap<MemberId, Vec<String>>;

/// Dials until the node stops, and returns once every dialled connection has ended.
pub(crate) async fn dial_all<D: Decode>(
    context: Arc<Context<D>>,
    mut contacts: watch::Receiver<Contacts>,
    seed: u64,
) {
    let mut stopping = context.stopping.clone();
    let mut tasks: JoinSet<MemberId> = JoinSet::new();
    let mut dialled = BTreeSet::new();
    loop {
        let known: Vec<MemberId> = contacts.borrow_and_update().keys().copied().collect();
        for peer in known {
            if peer != context.identity.member && dialled.insert(peer) {
                let dialler = Dialler {
                    context: context.clone(),
                    peer,
                    contacts: contacts.clone(),
                    jitter: Jitter::new(seed, &peer),
                    failures: 0,
                    refused: 0,
                };
                tasks.spawn(dialler.run());
            }
        }
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            Ok(()) = contacts.changed() => {}
            Some(ended) = tasks.join_next() => match ended {
                Ok(peer) => _ = dialled.remove(&peer),
                Err(error) => tracing::error!(%error, "a dialling task failed"),
            },
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Dials one member for as long as it is a contact.
struct Dialler<D: Decode> {
    context: Arc<Context<D>>,
    peer: MemberId,
    contacts: watch::Receiver<Contacts>,
    jitter: Jitter,
    /// Dials in a row that came to nothing.
    failures: u32,
    /// Connections in a row that the peer ended before a word, as it does with a key that it does not know.
    refused: usize,
}

impl<D: Decode> Dialler<D> {
    async fn run(mut self) -> MemberId {
        let mut stopping = self.context.stopping.clone();
        loop {
            // Only waits are broken off at shutdown; a connection that is up ends by itself then.
            let connected = tokio::select! {
                connected = self.connect() => connected,
                _ = stopping.wait_for(|stopping| *stopping) => return self.peer,
            };
            let Some(connection) = connected else { return self.peer };
            let began = Instant::now();
            let ended = connection::run(self.context.clone(), connection, Side::Dialled(self.peer), ()).await;
            self.refused = if ended == Ended::Refused { self.refused + 1 } else { 0 };
            let lasted = began.elapsed() >= self.context.timing.redial_cap;
            self.failures = if lasted { 0 } else { self.failures + 1 };
            let addresses = self.addresses();
            tokio::select! {
                () = self.back_off(addresses) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return self.peer,
            }
        }
    }

    /// Waits until the peer is away and dials until a handshake succeeds; `None` once the peer is no
    /// contact any more.
    async fn connect(&mut self) -> Option<quinn::Connection> {
        let mut board = self.context.board.watch();
        loop {
            board.wait_for(|peers| is_away(peers, self.peer)).await.ok()?;
            if self.context.identity.member > self.peer {
                sleep(self.context.timing.larger_waits).await;
                if self.context.board.connected(self.peer) {
                    continue;
                }
            }
            let addresses = self.addresses()?;
            for address in &addresses {
                if let Some(connection) = self.dial(address).await {
                    return Some(connection);
                }
            }
            self.failures += 1;
            self.back_off(Some(addresses)).await;
        }
    }

    fn addresses(&mut self) -> Option<Vec<String>> {
        let contacts = self.contacts.borrow_and_update();
        let addresses = contacts.get(&self.peer)?;
        Some(addresses.iter().take(ADDRESSES_PER_PEER_MAX).cloned().collect())
    }

    async fn dial(&self, address: &str) -> Option<quinn::Connection> {
        let (context, peer) = (&self.context, self.peer);
        let connection = timeout(HANDSHAKE_MAX, async {
            let resolved = resolve(address).await?;
            context.board.dialling(peer, true, Some(resolved), context.clock.now());
            match context.endpoint.dial(peer, resolved, self.refused) {
                Ok(connecting) => connecting
                    .await
                    .inspect_err(|error| tracing::debug!(%peer, %resolved, %error, "a dial failed"))
                    .ok(),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%peer, %resolved, error, "a dial could not begin");
                    None
                }
            }
        });
        let connection = connection.await.ok().flatten();
        if connection.is_none() {
            context.board.dialling(peer, false, None, context.clock.now());
        }
        connection
    }

    /// Waits longer after every failure, but not after the peer's addresses changed.
    async fn back_off(&mut self, addresses: Option<Vec<String>>) {
        let wait = self.jitter.back_off(&self.context.timing, self.failures);
        let peer = self.peer;
        let moved = self.contacts.wait_for(|contacts| contacts.get(&peer) != addresses.as_ref());
        _ = timeout(wait, moved).await;
    }
}

fn is_away(peers: &Peers, peer: MemberId) -> bool {
    peers.get(&peer).is_none_or(|status| status.state != PeerState::Connected)
}

async fn resolve(address: &str) -> Option<SocketAddr> {
    match tokio::net::lookup_host(address).await {
        Ok(mut found) => found.next(),
        Err(error) => {
            tracing::warn!(address, %error, "an address of a peer cannot be resolved");
            None
        }
    }
}

/// Spreads the waits of many nodes, from a seed (splitmix64).
#[derive(Debug, Clone)]
struct Jitter(u64);

impl Jitter {
    fn new(seed: u64, peer: &MemberId) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *peer.as_bytes();
        Self(seed ^ u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between half of the wait and all of it, doubling with every failure up to the cap.
    fn back_off(&mut self, timing: &Timing, failures: u32) -> Duration {
        let doubled = timing.redial_first.saturating_mul(1 << failures.min(16));
        let longest = doubled.min(timing.redial_cap);
        longest.mul_f64(0.5 + (self.next() % 1_000) as f64 / 2_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_to_its_cap_and_never_passes_it() {
        let timing = Timing::default();
        let mut jitter = Jitter::new(7, &MemberId([9; 32]));
        for failures in 0..40 {
            let wait = jitter.back_off(&timing, failures);
            let longest = timing.redial_first.saturating_mul(1 << failures.min(16)).min(timing.redial_cap);
            assert!(wait <= longest && wait >= longest / 2, "{failures}: {wait:?}");
        }
    }

    #[test]
    fn jitter_differs_by_seed_and_repeats_with_it() {
        let waits = |seed| {
            let mut jitter = Jitter::new(seed, &MemberId([9; 32]));
            std::array::from_fn::<_, 8, _>(|_| jitter.back_off(&Timing::default(), 9))
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
