//! Two running nodes with relays between them, seen from outside: what a return costs, and when an equal
//! digest has proven that both hold the same.

use std::path::Path;
use std::time::Duration;

use tests::cluster::places::{SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Node, Person};

use super::inside::{Database, equal, until};
use super::laid::{self, Held, Wires};
use super::opened::equals_a_rebuild;
use super::statistics::count;

/// Longest wait for a node to have caught up, or to be proven in step.
pub const WITHIN: Duration = Duration::from_secs(600);
/// How often a node is asked how it sees the other, which takes a little of its processor.
const ASKED_EVERY: Duration = Duration::from_millis(100);
/// How often a database is looked into while bytes are counted, so that few are that came after the last envelope.
const LOOKED_EVERY: Duration = Duration::from_millis(5);

/// Two nodes; the first one runs always, somebody is at its desk.
pub struct Two {
    /// Both.
    pub cluster: Cluster,
    /// At the first one's desk.
    pub operator: Person,
    /// When the connection was made that ended last, in ms: the first one notices late that the other was killed,
    /// and would go on telling of that connection.
    ended_ms: u64,
    counts_bytes: bool,
}

/// What a return cost.
#[derive(Debug, Clone, Copy)]
pub struct Returned {
    /// ms from the connection until the last of what was missing was stored.
    pub stored_ms: f64,
    /// Bytes on the wire until then, both ways, handshake included; 0 without relays.
    pub bytes: f64,
}

impl Two {
    /// The pair in this folder, the first one started, the other one away. Without relays no bytes are counted.
    pub async fn in_folder(folder: &Path, wires: Wires) -> anyhow::Result<Two> {
        let mut cluster = laid::found(folder, Held::ByBoth, wires).await;
        cluster.restart(SAN_MIGUEL).await;
        let operator = cluster[SAN_MIGUEL].operator().await;
        Ok(Two { cluster, operator, ended_ms: 0, counts_bytes: wires == Wires::Relayed })
    }

    /// A running pair.
    pub async fn of(cluster: Cluster) -> Two {
        let operator = cluster[SAN_MIGUEL].operator().await;
        Two { cluster, operator, ended_ms: 0, counts_bytes: false }
    }

    /// Ends both and fails unless an equal digest has proven both in step, both hold so many incidents
    /// with the same heads, and the tables of each are what a rebuild makes of its log.
    pub async fn end_equal(mut self, incidents: usize) -> anyhow::Result<()> {
        self.prove_equal(incidents).await?;
        for town in laid::PAIR {
            self.cluster.kill(town).await;
            equals_a_rebuild(&self.cluster[town].folder).await?;
        }
        Ok(())
    }

    /// Fails unless an equal digest proves both in step and both hold so many incidents with the same heads.
    pub async fn prove_equal(&self, incidents: usize) -> anyhow::Result<()> {
        self.proven(incidents).await?;
        let (ours, theirs) = self.databases()?;
        equal(&ours, &theirs, incidents)
    }

    /// Both databases: the one that wrote, the one that was away.
    pub fn databases(&self) -> anyhow::Result<(Database, Database)> {
        let open = |node: &Node| Database::open(&node.data());
        Ok((open(&self.cluster[SAN_MIGUEL])?, open(&self.cluster[SAN_JOAQUIN])?))
    }

    /// Starts the first one again; its operator stays signed in.
    pub async fn restart_first(&mut self) {
        self.cluster.restart(SAN_MIGUEL).await;
        self.operator = self.cluster[SAN_MIGUEL].same(&self.operator);
    }

    /// Kills the other one.
    pub async fn send_away(&mut self) -> anyhow::Result<()> {
        self.ended_ms = self.peer().await?.connected_ms;
        self.cluster.kill(SAN_JOAQUIN).await;
        Ok(())
    }

    /// Starts the node that was away and waits until it has stored so many envelopes of incidents more
    /// than it had. Its database says when that was; it is looked into rarely where no bytes are counted.
    pub async fn come_back(&mut self, missing: u64) -> anyhow::Result<Returned> {
        let bytes = self.cluster.carried_bytes();
        let data = self.cluster[SAN_JOAQUIN].data();
        // One that never ran has no database yet.
        let before = Database::open(&data).map_or(Ok(0), |theirs| theirs.newest())?;
        self.cluster.restart(SAN_JOAQUIN).await;
        let theirs = Database::open(&data)?;
        let mut looked = tokio::time::interval(if self.counts_bytes { LOOKED_EVERY } else { ASKED_EVERY });
        until("the node that was away has everything", WITHIN, async || {
            looked.tick().await;
            let enough = theirs.newest()? >= before + missing && theirs.envelopes_after(before)? >= missing;
            Ok(enough.then_some(()))
        })
        .await?;
        let bytes = self.cluster.carried_bytes() - bytes;
        let connected = self.peer().await?.connected_ms;
        let stored_ms = theirs.last_stored_ms(before)?.saturating_sub(connected);
        Ok(Returned { stored_ms: count(usize::try_from(stored_ms)?), bytes: count(usize::try_from(bytes)?) })
    }

    /// Waits until an equal digest over so many incidents has proven both in step; ms from the
    /// connection until then.
    pub async fn proven(&self, incidents: usize) -> anyhow::Result<f64> {
        let mut asked = tokio::time::interval(ASKED_EVERY);
        until("an equal digest", WITHIN, async || {
            asked.tick().await;
            let peer = self.peer().await?;
            let proven = peer.proven_ms.filter(|proven| peer.connected && *proven >= peer.connected_ms);
            let proven = proven.filter(|_| peer.due == 0 && peer.shared >= incidents as u64);
            proven.map(|proven| Ok(count(usize::try_from(proven - peer.connected_ms)?))).transpose()
        })
        .await
    }

    /// The other node as this one sees it.
    async fn peer(&self) -> anyhow::Result<Peer> {
        let peers = self.operator.get("/api/v1/peers").await.expect(200);
        let name = &self.cluster[SAN_JOAQUIN].member;
        let peers = peers.as_array().map(Vec::as_slice).unwrap_or_default();
        let peer = peers.iter().find(|peer| peer.get("id").and_then(|id| id.as_str()) == Some(name));
        let number = |field: &str| peer?.get(field)?.as_u64();
        let connected_ms = number("since_ms").ok_or_else(|| anyhow::anyhow!("the peer is not listed"))?;
        let connected = peer.and_then(|peer| peer.get("state")?.as_str()) == Some("connected");
        Ok(Peer {
            connected: connected && connected_ms > self.ended_ms,
            connected_ms,
            proven_ms: number("in_step_ms"),
            due: number("due").unwrap_or_default(),
            shared: number("shared_documents").unwrap_or_default(),
        })
    }
}

/// What a node says of a peer.
struct Peer {
    connected: bool,
    connected_ms: u64,
    proven_ms: Option<u64>,
    due: u64,
    shared: u64,
}
