//! W2, W3 and W3a: one node was away. What it costs to catch up, to find a few differences, and to
//! prove that there are none, at several sizes of what the two share.

use std::time::Duration;

use serde_json::json;
use tests::cluster::places::{BORDER_OF_SAN_MIGUEL, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Node, Person};

use super::fill::{self, OPERATIONS};
use super::inside::{Database, Usage, equal, until, usage};
use super::references::References;
use super::report::{Against, Growth, Report, Target};
use super::statistics::{Spread, count};

/// Longest wait for a node to have caught up.
const WITHIN: Duration = Duration::from_secs(300);
/// Documents that change while the other node is away.
const CHANGED: usize = 100;

/// The figures of one run at one size.
struct Figures {
    catch_up_ms: f64,
    catch_up_bytes: f64,
    envelope_bytes: f64,
    peak_a_mib: f64,
    peak_b_mib: f64,
    small_ms: f64,
    small_bytes: f64,
    small_envelope_bytes: f64,
    equal_ms: f64,
    equal_bytes: f64,
    equal_processor_ms: f64,
}

/// Two nodes with relays between them, which count bytes.
struct Two {
    cluster: Cluster,
    operator: Person,
    incidents: usize,
}

/// Runs every work at every size.
pub async fn run(
    report: &mut Report,
    references: &References,
    sizes: &[usize],
    runs: usize,
) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for size in sizes {
        let mut figures = Vec::new();
        for _ in 0..runs {
            figures.push(once(*size).await?);
        }
        tell(report, references, *size, &figures);
        all.push((count(*size), figures));
    }
    grow(report, &all);
    Ok(())
}

async fn once(size: usize) -> anyhow::Result<Figures> {
    let mut cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    cluster.in_step(SAN_MIGUEL, SAN_JOAQUIN).await;
    cluster.kill(SAN_JOAQUIN).await;
    cluster.kill(SAN_MIGUEL).await;
    let folder = cluster[SAN_MIGUEL].folder.clone();
    fill::incidents(&folder, BORDER_OF_SAN_MIGUEL, size).await?;
    cluster.restart(SAN_MIGUEL).await;
    let operator = cluster[SAN_MIGUEL].operator().await;
    let mut two = Two { cluster, operator, incidents: size };

    let (catch_up_ms, catch_up_bytes) = two.come_back().await?;
    let (ours, theirs) = two.databases()?;
    anyhow::ensure!(ours.envelopes()? == u64::try_from(size * OPERATIONS)?, "the fill wrote something else");
    equal(&ours, &theirs, size)?;
    let (peak_a, peak_b) = (two.usage(&two.cluster[SAN_MIGUEL])?, two.usage(&two.cluster[SAN_JOAQUIN])?);
    let envelope_bytes = ours.envelope_bytes_after(0)?;

    two.proven().await?;
    two.cluster.kill(SAN_JOAQUIN).await;
    let before = ours.newest()?;
    for id in ours.incidents(CHANGED.min(size))? {
        two.operator.act(&id, "reopen", &json!({ "reason": "again" })).await;
    }
    let (small_ms, small_bytes) = two.come_back().await?;
    equal(&ours, &two.databases()?.1, size)?;
    let small_envelope_bytes = ours.envelope_bytes_after(before)?;

    two.proven().await?;
    two.cluster.kill(SAN_JOAQUIN).await;
    let (bytes, work) = (two.cluster.carried_bytes(), two.usage(&two.cluster[SAN_MIGUEL])?);
    two.cluster.restart(SAN_JOAQUIN).await;
    let equal_ms = two.proven().await?;
    let after = two.usage(&two.cluster[SAN_MIGUEL])?;
    Ok(Figures {
        catch_up_ms,
        catch_up_bytes,
        envelope_bytes,
        peak_a_mib: peak_a.memory_peak_mib,
        peak_b_mib: peak_b.memory_peak_mib,
        small_ms,
        small_bytes,
        small_envelope_bytes,
        equal_ms,
        equal_bytes: count(usize::try_from(two.cluster.carried_bytes() - bytes)?),
        equal_processor_ms: after.processor_ms - work.processor_ms,
    })
}

impl Two {
    fn databases(&self) -> anyhow::Result<(Database, Database)> {
        let open = |node: &Node| Database::open(&node.data());
        Ok((open(&self.cluster[SAN_MIGUEL])?, open(&self.cluster[SAN_JOAQUIN])?))
    }

    fn usage(&self, node: &Node) -> anyhow::Result<Usage> {
        usage(node.process_number())
    }

    /// Starts the node that was away; ms from the connection until it had stored everything, and the
    /// bytes that this took, both ways.
    async fn come_back(&mut self) -> anyhow::Result<(f64, f64)> {
        let bytes = self.cluster.carried_bytes();
        self.cluster.restart(SAN_JOAQUIN).await;
        let (ours, theirs) = self.databases()?;
        let wanted = ours.envelopes()?;
        until("the node that was away has everything", WITHIN, async || {
            let enough = theirs.newest()? >= wanted && theirs.envelopes()? >= wanted;
            Ok(enough.then_some(()))
        })
        .await?;
        let bytes = self.cluster.carried_bytes() - bytes;
        let connected = self.peer().await?.connected_ms;
        let took = theirs.last_stored_ms()?.saturating_sub(connected);
        Ok((count(usize::try_from(took)?), count(usize::try_from(bytes)?)))
    }

    /// Waits until an equal digest has proven both in step; ms from the connection until then.
    async fn proven(&self) -> anyhow::Result<f64> {
        until("an equal digest", WITHIN, async || {
            let peer = self.peer().await?;
            let proven = peer.proven_ms.filter(|proven| peer.connected && *proven >= peer.connected_ms);
            let proven = proven.filter(|_| peer.due == 0 && peer.shared >= self.incidents as u64);
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
        Ok(Peer {
            connected: peer.and_then(|peer| peer.get("state")?.as_str()) == Some("connected"),
            connected_ms: number("since_ms").ok_or_else(|| anyhow::anyhow!("the peer is not listed"))?,
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

fn tell(report: &mut Report, references: &References, size: usize, figures: &[Figures]) {
    let of = |part: fn(&Figures) -> f64| figures.iter().map(part).collect::<Vec<f64>>();
    let middle = |part: fn(&Figures) -> f64| Spread::of(&of(part)).median;
    let against = |what: &str, value: f64, most: f64| {
        Some(Against { what: what.to_owned(), value, target: Some(Target::AtMost(most)) })
    };
    let documents = count(size);
    let what = |part: &str| format!("{size} incidents × {OPERATIONS}, {part}");
    let least = references.catch_up_ms(documents, middle(|one| one.catch_up_bytes));
    let held = against("the largest of inserts, processor ÷ 2, bytes", least, 1.5);
    report.add("W2", what("time"), "ms", &of(|one| one.catch_up_ms), held);
    let held = against("the envelopes", middle(|one| one.envelope_bytes), 1.3);
    report.add("W2", what("bytes"), "B", &of(|one| one.catch_up_bytes), held);
    report.add("W2", what("memory of the sender, peak"), "MiB", &of(|one| one.peak_a_mib), None);
    report.add("W2", what("memory of the receiver, peak"), "MiB", &of(|one| one.peak_b_mib), None);
    let what = |part: &str| format!("{} of {size} differ, {part}", CHANGED.min(size));
    let held = against("the target at 1,000,000", 100.0, 1.0);
    report.add("W3", what("time"), "ms", &of(|one| one.small_ms), held);
    let held = against("the missing envelopes", middle(|one| one.small_envelope_bytes), 2.0);
    report.add("W3", what("bytes"), "B", &of(|one| one.small_bytes), held);
    let what = |part: &str| format!("nothing of {size} differs, {part}");
    report.add("W3a", what("proven after"), "ms", &of(|one| one.equal_ms), None);
    report.add("W3a", what("bytes, handshake included"), "B", &of(|one| one.equal_bytes), None);
    report.add("W3a", what("processor time of one end"), "ms", &of(|one| one.equal_processor_ms), None);
}

fn grow(report: &mut Report, all: &[(f64, Vec<Figures>)]) {
    let mut add = |work, what: &str, unit, part: fn(&Figures) -> f64, exponent_max| {
        let point = |(size, figures): &(f64, Vec<Figures>)| {
            (*size, Spread::of(&figures.iter().map(part).collect::<Vec<f64>>()).median)
        };
        report.grew(Growth {
            work,
            what: what.to_owned(),
            unit,
            points: all.iter().map(point).collect(),
            exponent_max,
        });
    };
    add("W2", "time over incidents missing", "ms", |one| one.catch_up_ms, 1.1);
    add("W2", "bytes over incidents missing", "B", |one| one.catch_up_bytes, 1.05);
    add("W2", "memory of the receiver over incidents missing", "MiB", |one| one.peak_b_mib, 0.2);
    add("W2", "memory of the sender over incidents missing", "MiB", |one| one.peak_a_mib, 0.2);
    add("W3", "time over documents shared", "ms", |one| one.small_ms, 0.2);
    add("W3", "bytes over documents shared", "B", |one| one.small_bytes, 0.2);
    add("W3a", "time over documents shared", "ms", |one| one.equal_ms, 0.2);
    add("W3a", "bytes over documents shared", "B", |one| one.equal_bytes, 0.2);
}
