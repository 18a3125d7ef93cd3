//! W2: one node was away while the other wrote incidents, each with its whole story and its words. What it
//! costs to catch up, at several sizes of what is missing. The times are those of nodes that reach each other directly;
//! the bytes are counted in a run of their own, by relays, which would take some of the processor.

use std::path::Path;

use tests::cluster::places::{SAN_JOAQUIN, SAN_MIGUEL};

use super::fill::{OPERATIONS, Story};
use super::inside::usage;
use super::laid::{self, Held, Kept, Wires};
use super::references::References;
use super::report::{Against, Growth, Report, Target};
use super::statistics::{Spread, count};
use super::two::Two;

fn missing(incidents: usize) -> Story {
    Story { incidents, operations: OPERATIONS, words: true, past: false }
}

/// The figures of one run.
struct Figures {
    catch_up_ms: f64,
    bytes: f64,
    envelope_bytes: f64,
    word_bytes: f64,
    peak_a_mib: f64,
    peak_b_mib: f64,
}

/// The runs at one size.
struct Runs {
    direct: Vec<Figures>,
    /// The one whose bytes were counted.
    relayed: Figures,
}

impl Runs {
    fn of(&self, part: fn(&Figures) -> f64) -> Vec<f64> {
        self.direct.iter().map(part).collect()
    }
}

/// Runs it at every size.
pub async fn run(
    report: &mut Report,
    references: &References,
    kept: &Kept,
    sizes: &[usize],
    runs: usize,
) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for size in sizes {
        let folder = kept.laid(report, Held::ByOne, missing(*size)).await?;
        let mut direct = Vec::new();
        for _ in 0..runs {
            direct.push(once(&folder, *size, Wires::Direct).await?);
        }
        let runs = Runs { direct, relayed: once(&folder, *size, Wires::Relayed).await? };
        tell(report, references, *size, &runs);
        all.push((count(*size), runs));
    }
    grow(report, &all);
    Ok(())
}

async fn once(folder: &Path, size: usize, wires: Wires) -> anyhow::Result<Figures> {
    let copy = laid::copy(folder)?;
    let mut two = Two::in_folder(copy.path(), wires).await?;
    let wanted = size * OPERATIONS;
    let returned = two.come_back(u64::try_from(wanted)?).await?;
    let usage = |town| usage(two.cluster[town].process_number());
    let (peak_a, peak_b) = (usage(SAN_MIGUEL)?, usage(SAN_JOAQUIN)?);
    let (ours, _) = two.databases()?;
    anyhow::ensure!(ours.envelopes()? == u64::try_from(wanted)?, "the fill wrote something else");
    let (envelope_bytes, word_bytes) = (ours.envelope_bytes_after(0)?, ours.word_bytes()?);
    two.end_equal(size).await?;
    Ok(Figures {
        catch_up_ms: returned.stored_ms,
        bytes: returned.bytes,
        envelope_bytes,
        word_bytes,
        peak_a_mib: peak_a.memory_peak_mib,
        peak_b_mib: peak_b.memory_peak_mib,
    })
}

fn tell(report: &mut Report, references: &References, size: usize, runs: &Runs) {
    let relayed = &runs.relayed;
    let against = |what: &str, value: f64, most: f64| {
        Some(Against { what: what.to_owned(), value, target: Some(Target::AtMost(most)) })
    };
    let what = |part: &str| format!("{size} incidents × {OPERATIONS}, {part}");
    let least = references.catch_up_ms(count(size), relayed.bytes);
    let held = against("the largest of inserts, processor ÷ 2, bytes", least, 1.5);
    report.add("W2", what("time"), "ms", &runs.of(|one| one.catch_up_ms), held);
    let all = references.catch_up_processor_ms(count(size));
    let held = Some(Against { what: "(processor + inserts) ÷ 2".to_owned(), value: all, target: None });
    report.add("W2", what("the same time"), "ms", &runs.of(|one| one.catch_up_ms), held);
    let held = Some(Against { what: "the least above".to_owned(), value: least, target: None });
    report.add("W2", what("time through the relays"), "ms", &[relayed.catch_up_ms], held);
    let held = against("the envelopes, without the words", relayed.envelope_bytes, 1.3);
    report.add("W2", what("bytes"), "B", &[relayed.bytes], held);
    let whole = relayed.envelope_bytes + relayed.word_bytes;
    let held = Some(Against { what: "the envelopes and the words".into(), value: whole, target: None });
    report.add("W2", what("the same bytes"), "B", &[relayed.bytes], held);
    report.add("W2", what("memory of the sender, peak"), "MiB", &runs.of(|one| one.peak_a_mib), None);
    report.add("W2", what("memory of the receiver, peak"), "MiB", &runs.of(|one| one.peak_b_mib), None);
}

fn grow(report: &mut Report, all: &[(f64, Runs)]) {
    let mut add = |what: &str, unit, part: fn(&Runs) -> Vec<f64>, exponent_max| {
        let point = |(size, runs): &(f64, Runs)| (*size, Spread::of(&part(runs)).median);
        let points = all.iter().map(point).collect();
        report.grew(Growth { work: "W2", what: what.to_owned(), unit, points, exponent_max });
    };
    add("time over incidents missing", "ms", |runs| runs.of(|one| one.catch_up_ms), 1.1);
    add("bytes over incidents missing", "B", |runs| vec![runs.relayed.bytes], 1.05);
    add("memory of the receiver over incidents missing", "MiB", |runs| runs.of(|one| one.peak_b_mib), 0.2);
    add("memory of the sender over incidents missing", "MiB", |runs| runs.of(|one| one.peak_a_mib), 0.2);
}
