//! Takes connections that others dial: address first, then key, then welcome, each within its time and
//! within bounded places.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::connection::{self, Side};
use crate::context::Context;
use crate::handlers::Decode;
use crate::limits::{HANDSHAKE_MAX, HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX};

/// Accepts until the node stops, and returns once every accepted connection has ended.
pub(crate) async fn accept_all<D: Decode>(context: Arc<Context<D>>) {
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let by_address = Arc::new(ByAddress::default());
    let mut stopping = context.stopping.clone();
    let mut tasks = JoinSet::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((place, context.endpoint.quinn.accept().await?))
        };
        let (place, incoming) = tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            Some(_) = tasks.join_next() => continue,
            next = next => match next {
                Some(next) => next,
                None => break,
            },
        };
        if !incoming.remote_address_validated() {
            // Costs us nothing to remember; whoever forged the address never sees it.
            _ = incoming.retry();
            continue;
        }
        let Some(place) = by_address.enter(incoming.remote_address().ip(), place) else {
            context.door.turn_away();
            incoming.refuse();
            continue;
        };
        tasks.spawn(handshake(context.clone(), incoming, place));
    }
    while tasks.join_next().await.is_some() {}
}

async fn handshake<D: Decode>(context: Arc<Context<D>>, incoming: quinn::Incoming, place: Place) {
    let address = incoming.remote_address();
    // What its first packet says may be enough to refuse it.
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => {
            context.door.refuse();
            tracing::info!(%address, %error, "a connection was refused");
            return;
        }
    };
    match timeout(HANDSHAKE_MAX, connecting).await {
        Ok(Ok(connection)) => _ = connection::run(context, connection, Side::Accepted, place).await,
        Ok(Err(error)) => {
            context.door.refuse();
            tracing::info!(%address, %error, "a connection was refused");
        }
        Err(_) => {
            context.door.refuse();
            tracing::info!(%address, "a connection was refused: the handshake took too long");
        }
    }
}

/// How many connections of each address have no welcome yet.
#[derive(Debug, Default)]
struct ByAddress(Mutex<BTreeMap<IpAddr, usize>>);

/// A place among the connections that have no welcome yet, given back when dropped.
struct Place {
    address: IpAddr,
    by_address: Arc<ByAddress>,
    _permit: OwnedSemaphorePermit,
}

impl ByAddress {
    fn enter(self: &Arc<Self>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let address = subscriber(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count == HANDSHAKES_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Place { address, by_address: self.clone(), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.by_address.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// An IPv6 subscriber has 2^64 addresses; they count as one.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place() {
        let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let by_address = Arc::new(ByAddress::default());
        let enter = |address: &str| {
            by_address.enter(address.parse().unwrap(), places.clone().try_acquire_owned().unwrap())
        };
        let mut held: Vec<_> =
            (0..HANDSHAKES_PER_ADDRESS_MAX).map(|_| enter("2001:db8::1").unwrap()).collect();
        assert!(enter("2001:db8::2").is_none(), "the same /64");
        assert!(enter("2001:db8:0:1::2").is_some());
        assert!(enter("192.0.2.1").is_some());
        held.pop();
        assert!(enter("2001:db8::2").is_some());
        drop(held);
        assert_eq!(places.available_permits(), HANDSHAKES_MAX);
        assert!(by_address.0.lock().unwrap().is_empty());
    }
}
