//! W9: a node that has much and does nothing: how soon it serves, what it holds in memory, how large it is.

use std::time::{Duration, Instant};

use tests::cluster::Cluster;
use tests::cluster::places::{MIDDLE_OF_SAN_MIGUEL, SAN_MIGUEL};
use tests::cluster::process::cuadra_binary;

use super::fill;
use super::inside::usage;
use super::report::{Against, Growth, Report, Target};
use super::statistics::{Spread, count};

/// How long a node is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// Fills a node to each of these sizes, one after the other, and starts it `runs` times at each.
pub async fn run(report: &mut Report, sizes: &[usize], runs: usize) -> anyhow::Result<()> {
    let binary = count(usize::try_from(std::fs::metadata(cuadra_binary())?.len())?) / 1_048_576.0;
    report.add("W9", "size of the program", "MiB", &[binary], target("30 MB", 28.6));
    let mut cluster = Cluster::start(&[SAN_MIGUEL]).await;
    cluster.kill(SAN_MIGUEL).await;
    let (mut held, mut starts, mut memories) = (0, Vec::new(), Vec::new());
    for size in sizes {
        let folder = cluster[SAN_MIGUEL].folder.clone();
        fill::incidents(&folder, MIDDLE_OF_SAN_MIGUEL, size.saturating_sub(held)).await?;
        held = *size;
        let (mut start, mut memory, mut peak) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..runs {
            let began = Instant::now();
            cluster.restart(SAN_MIGUEL).await;
            cluster[SAN_MIGUEL].stranger().get("/health").await.expect(200);
            start.push(began.elapsed().as_secs_f64() * 1_000.0);
            tokio::time::sleep(SETTLE).await;
            let used = usage(cluster[SAN_MIGUEL].process_number())?;
            memory.push(used.memory_mib);
            peak.push(used.memory_peak_mib);
            cluster.kill(SAN_MIGUEL).await;
        }
        let what = |part: &str| format!("{size} incidents, {part}");
        report.add("W9", what("start to serving"), "ms", &start, target("150 ms", 150.0));
        report.add("W9", what("memory, idle"), "MiB", &memory, target("40 MB", 38.1));
        report.add("W9", what("memory, peak"), "MiB", &peak, None);
        starts.push((count(*size), Spread::of(&start).median));
        memories.push((count(*size), Spread::of(&memory).median));
    }
    let grew =
        |what: &str, unit, points| Growth { work: "W9", what: what.into(), unit, points, exponent_max: 0.2 };
    report.grew(grew("start to serving over incidents held", "ms", starts));
    report.grew(grew("memory over incidents held", "MiB", memories));
    Ok(())
}

fn target(what: &str, value: f64) -> Option<Against> {
    Some(Against { what: what.to_owned(), value, target: Some(Target::AtMost(1.0)) })
}
