//! W3, W3a and W3b: two nodes share much, one was away. What it costs to find the few documents that
//! differ, to prove that none does, and to find them when both have forgotten what was due.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;
use tests::cluster::node::data_of;
use tests::cluster::places::{SAN_JOAQUIN, SAN_MIGUEL};

use super::fill::Story;
use super::inside::usage;
use super::laid::{self, Held, Kept, Wires};
use super::opened::equals_a_rebuild;
use super::prove;
use super::report::{Against, Growth, Report, Target};
use super::statistics::{Spread, count};
use super::two::Two;

/// Documents that change while the other node is away.
const CHANGED: usize = 100;
/// Fewest runs of a work that is over in a moment.
const WORK_RUNS: usize = 5;

/// What both hold: incidents of the past, an envelope each.
fn shared(incidents: usize) -> Story {
    Story { incidents, operations: 1, words: false, past: true }
}

/// The figures of one run at one size.
struct Figures {
    small_ms: f64,
    small_bytes: f64,
    small_envelope_bytes: f64,
    equal_ms: f64,
    equal_bytes: f64,
    equal_processor_ms: f64,
    lost_ms: f64,
    lost_bytes: f64,
    lost_envelope_bytes: f64,
}

/// Runs all of them at every size.
pub async fn run(report: &mut Report, kept: &Kept, sizes: &[usize], runs: usize) -> anyhow::Result<()> {
    let (mut all, mut works) = (Vec::new(), Vec::new());
    for size in sizes {
        let folder = kept.laid(report, Held::ByBoth, shared(*size)).await?;
        let mut figures = Vec::new();
        for _ in 0..runs {
            figures.push(once(&folder, *size).await?);
        }
        let work = prove::work_ms(&folder, runs.max(WORK_RUNS)).await?;
        equal_a_rebuild(&folder).await?;
        tell(report, *size, &figures, &work);
        works.push((count(*size), Spread::of(&work).median));
        all.push((count(*size), figures));
    }
    grow(report, &all);
    let what = "work of one end over documents shared".to_owned();
    report.grew(Growth { work: "W3a", what, unit: "ms", points: works, exponent_max: 0.2 });
    Ok(())
}

async fn once(folder: &Path, size: usize) -> anyhow::Result<Figures> {
    let mut two = Two::in_folder(folder, Wires::Relayed).await?;
    two.cluster.restart(SAN_JOAQUIN).await;
    two.proven(size).await?;
    two.send_away().await?;

    // W3: what is due is known.
    let (changed, small_envelope_bytes) = change(&two, size).await?;
    let small = two.come_back(changed).await?;
    two.proven(size).await?;
    two.send_away().await?;

    // W3a: nothing differs.
    let (bytes, work) = (two.cluster.carried_bytes(), usage(two.cluster[SAN_MIGUEL].process_number())?);
    two.cluster.restart(SAN_JOAQUIN).await;
    let equal_ms = two.proven(size).await?;
    let after = usage(two.cluster[SAN_MIGUEL].process_number())?;
    let equal_bytes = count(usize::try_from(two.cluster.carried_bytes() - bytes)?);
    two.send_away().await?;

    // W3b: what is due is forgotten at both ends.
    let (changed, lost_envelope_bytes) = change(&two, size).await?;
    two.cluster.kill(SAN_MIGUEL).await;
    for town in [SAN_MIGUEL, SAN_JOAQUIN] {
        forget_due(&two.cluster[town].folder)?;
    }
    two.restart_first().await;
    let lost = two.come_back(changed).await?;
    two.prove_equal(size).await?;
    // Ended before the next run begins in the same folder.
    two.send_away().await?;
    two.cluster.kill(SAN_MIGUEL).await;
    Ok(Figures {
        small_ms: small.stored_ms,
        small_bytes: small.bytes,
        small_envelope_bytes,
        equal_ms,
        equal_bytes,
        equal_processor_ms: after.processor_ms - work.processor_ms,
        lost_ms: lost.stored_ms,
        lost_bytes: lost.bytes,
        lost_envelope_bytes,
    })
}

/// Both nodes of a pair that does not run, after all runs at this size.
async fn equal_a_rebuild(folder: &Path) -> anyhow::Result<()> {
    let pair = laid::found(folder, Held::ByBoth, Wires::Direct).await;
    for node in pair.nodes() {
        equals_a_rebuild(&node.folder).await?;
    }
    Ok(())
}

/// The first node's desk sends crews to incidents. How many envelopes that makes, and their bytes.
async fn change(two: &Two, size: usize) -> anyhow::Result<(u64, f64)> {
    let (ours, _) = two.databases()?;
    let before = ours.newest()?;
    let wanted = CHANGED.min(size);
    for id in ours.spread(wanted)? {
        let response = json!({ "response": "on_the_way", "crew": "Patrol 3" });
        two.operator.act(&id, "responses", &response).await;
    }
    let changed = ours.envelopes_after(before)?;
    anyhow::ensure!(changed == wanted as u64, "{changed} envelopes instead of {wanted}");
    Ok((changed, ours.envelope_bytes_after(before)?))
}

/// As a node is that was restored: what its peers lack is not known any more.
fn forget_due(folder: &Path) -> anyhow::Result<()> {
    let db = Connection::open(data_of(folder).join("node.db"))?;
    db.execute("DELETE FROM due", [])?;
    Ok(())
}

fn tell(report: &mut Report, size: usize, figures: &[Figures], work: &[f64]) {
    let of = |part: fn(&Figures) -> f64| figures.iter().map(part).collect::<Vec<f64>>();
    let middle = |part: fn(&Figures) -> f64| Spread::of(&of(part)).median;
    let against = |what: &str, value: f64, most: f64| {
        Some(Against { what: what.to_owned(), value, target: Some(Target::AtMost(most)) })
    };
    let what = |part: &str| format!("{} of {size} differ, {part}", CHANGED.min(size));
    let held = against("the target at 1,000,000", 100.0, 1.0);
    report.add("W3", what("time"), "ms", &of(|one| one.small_ms), held);
    let held = against("the missing envelopes", middle(|one| one.small_envelope_bytes), 2.0);
    report.add("W3", what("bytes"), "B", &of(|one| one.small_bytes), held);
    let what = |part: &str| format!("nothing of {size} differs, {part}");
    let held = against("the target at 1,000,000", 2.0, 1.0);
    report.add("W3a", what("work of one end, welcome to proof"), "ms", work, held);
    report.add("W3a", what("proven after"), "ms", &of(|one| one.equal_ms), None);
    report.add("W3a", what("bytes, handshake included"), "B", &of(|one| one.equal_bytes), None);
    let what_work = what("processor of one end, TLS and asking it included");
    report.add("W3a", what_work, "ms", &of(|one| one.equal_processor_ms), None);
    let what = |part: &str| format!("{} of {size} differ, due forgotten, {part}", CHANGED.min(size));
    let held = against("the target at 1,000,000", 500.0, 1.0);
    report.add("W3b", what("time"), "ms", &of(|one| one.lost_ms), held);
    let allowed = 3.0 * middle(|one| one.lost_envelope_bytes) + 65_536.0;
    let held = against("3 × the missing envelopes + 64 KiB", allowed, 1.0);
    report.add("W3b", what("bytes"), "B", &of(|one| one.lost_bytes), held);
}

fn grow(report: &mut Report, all: &[(f64, Vec<Figures>)]) {
    let mut add = |work, what: &str, unit, part: fn(&Figures) -> f64| {
        let point = |(size, figures): &(f64, Vec<Figures>)| {
            (*size, Spread::of(&figures.iter().map(part).collect::<Vec<f64>>()).median)
        };
        let points = all.iter().map(point).collect();
        report.grew(Growth { work, what: what.to_owned(), unit, points, exponent_max: 0.2 });
    };
    add("W3", "time over documents shared", "ms", |one| one.small_ms);
    add("W3", "bytes over documents shared", "B", |one| one.small_bytes);
    add("W3a", "time over documents shared", "ms", |one| one.equal_ms);
    add("W3a", "bytes over documents shared", "B", |one| one.equal_bytes);
    add("W3a", "processor time over documents shared", "ms", |one| one.equal_processor_ms);
    add("W3b", "time over documents shared", "ms", |one| one.lost_ms);
    add("W3b", "bytes over documents shared", "B", |one| one.lost_bytes);
}
