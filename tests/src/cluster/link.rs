//! The wires between nodes: one UDP relay on loopback in front of every node, which can cut and
//! mend the way to it from any other node.
//!
//! A node dials from the socket it listens on, so the relay knows who sends by the port.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// Larger than any datagram that QUIC sends.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// Which ports belong to which node, and which pairs are cut. Shared by all relays of a cluster.
#[derive(Debug, Default)]
pub struct Wiring {
    /// Listening port now → node.
    ports: BTreeMap<u16, usize>,
    /// Pairs that hear nothing of each other, smaller first.
    cut: BTreeSet<(usize, usize)>,
    /// Bytes of all datagrams that a relay carried.
    carried: Arc<AtomicU64>,
}

/// The wiring, shared.
pub type SharedWiring = Arc<Mutex<Wiring>>;

impl Wiring {
    /// The node listens (and dials) here from now on.
    pub fn listens(&mut self, node: usize, port: u16) {
        self.ports.retain(|_, owner| *owner != node);
        self.ports.insert(port, node);
    }
    /// Cuts both ways between two nodes.
    pub fn cut(&mut self, one: usize, other: usize) {
        self.cut.insert((one.min(other), one.max(other)));
    }
    /// Mends both ways.
    pub fn mend(&mut self, one: usize, other: usize) {
        self.cut.remove(&(one.min(other), one.max(other)));
    }
    /// Bytes of all datagrams that the relays have carried, both ways.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }
    fn count(&self, bytes: usize) {
        self.carried.fetch_add(bytes as u64, Ordering::Relaxed);
    }
    fn target(&self, node: usize) -> Option<u16> {
        self.ports.iter().find(|(_, owner)| **owner == node).map(|(port, _)| *port)
    }
    /// True if a datagram from `port` may reach `node`. A port that belongs to nobody may.
    fn passes(&self, port: u16, node: usize) -> bool {
        self.ports.get(&port).is_none_or(|from| !self.cut.contains(&(node.min(*from), node.max(*from))))
    }
}

/// The relay in front of one node.
#[derive(Debug)]
pub struct Relay {
    /// The address that others are told.
    pub address: SocketAddr,
    /// Ends with the relay.
    _task: JoinSet<()>,
}

impl Relay {
    /// Starts relaying to `node`, wherever the wiring says that it listens.
    pub async fn start(node: usize, wiring: SharedWiring) -> Relay {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a port on loopback"));
        let address = front.local_addr().expect("it is bound");
        let mut task = JoinSet::new();
        task.spawn(forward(front, node, wiring));
        Relay { address, _task: task }
    }
}

async fn forward(front: Arc<UdpSocket>, node: usize, wiring: SharedWiring) {
    let mut backs: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    let mut answers = JoinSet::new();
    let mut datagram = [0; DATAGRAM_BYTES_MAX];
    loop {
        // A refused datagram (the node is down) shows up as an error of a later call: not ours.
        let Ok((length, from)) = front.recv_from(&mut datagram).await else { continue };
        let target = {
            let wiring = wiring.lock().expect("no relay panics");
            if !wiring.passes(from.port(), node) {
                continue;
            }
            wiring.count(length);
            wiring.target(node)
        };
        let Some(target) = target else { continue };
        let back = match backs.get(&from) {
            Some(back) => back.clone(),
            None => {
                let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a port on loopback"));
                answers.spawn(answer(front.clone(), back.clone(), from, node, wiring.clone()));
                backs.insert(from, back.clone());
                back
            }
        };
        let _down_is_loss = back.send_to(&datagram[..length], ("127.0.0.1", target)).await;
    }
}

/// Carries what the node answers back to the one that dialled.
async fn answer(
    front: Arc<UdpSocket>,
    back: Arc<UdpSocket>,
    dialler: SocketAddr,
    node: usize,
    wiring: SharedWiring,
) {
    let mut datagram = [0; DATAGRAM_BYTES_MAX];
    loop {
        let Ok((length, _)) = back.recv_from(&mut datagram).await else { continue };
        let passed = {
            let wiring = wiring.lock().expect("no relay panics");
            wiring.passes(dialler.port(), node).then(|| wiring.count(length))
        };
        if passed.is_some() {
            let _down_is_loss = front.send_to(&datagram[..length], dialler).await;
        }
    }
}
