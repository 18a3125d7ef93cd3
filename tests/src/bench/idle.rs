//! W9: a node that has much and does nothing: how soon it serves, what it holds in memory, how large it is, and how
//! soon its desk has the queue.

use std::time::{Duration, Instant};

use tests::cluster::Person;
use tests::cluster::places::SAN_MIGUEL;
use tests::cluster::process::cuadra_binary;

use super::fill::Story;
use super::inside::usage;
use super::laid::{self, Held, Kept, Wires};
use super::opened::equals_a_rebuild;
use super::report::{Against, Growth, Report, Target};
use super::statistics::{Spread, count};

/// How long a node is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// How often the desk asks for its queue.
const ASKED: usize = 20;

/// What the node holds: closed incidents of the past.
fn held(incidents: usize) -> Story {
    Story { incidents, operations: 3, words: false, past: true }
}

/// Starts a node that holds so much `runs` times, at each size.
pub async fn run(report: &mut Report, kept: &Kept, sizes: &[usize], runs: usize) -> anyhow::Result<()> {
    let binary = count(usize::try_from(std::fs::metadata(cuadra_binary())?.len())?) / 1e6;
    report.add("W9", "size of the program", "MB", &[binary], target("30 MB", 30.0));
    let (mut starts, mut memories, mut queues) = (Vec::new(), Vec::new(), Vec::new());
    for size in sizes {
        let folder = kept.laid(report, Held::Alone, held(*size)).await?;
        let mut cluster = laid::found(&folder, Held::Alone, Wires::Direct).await;
        let (mut start, mut memory, mut peak, mut queue) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..runs {
            let began = Instant::now();
            cluster.restart(SAN_MIGUEL).await;
            cluster[SAN_MIGUEL].stranger().get("/health").await.expect(200);
            start.push(began.elapsed().as_secs_f64() * 1_000.0);
            tokio::time::sleep(SETTLE).await;
            let used = usage(cluster[SAN_MIGUEL].process_number())?;
            memory.push(used.memory_mib);
            peak.push(used.memory_peak_mib);
            queue.push(queue_ms(&cluster[SAN_MIGUEL].operator().await).await);
            cluster.kill(SAN_MIGUEL).await;
        }
        equals_a_rebuild(&cluster[SAN_MIGUEL].folder).await?;
        let what = |part: &str| format!("{size} incidents, {part}");
        report.add("W9", what("start to serving"), "ms", &start, target("150 ms", 150.0));
        report.add("W9", what("memory, idle"), "MiB", &memory, target("40 MB", 38.1));
        report.add("W9", what("memory, peak"), "MiB", &peak, None);
        report.add("W9", what("the desk's queue, open and closed"), "ms", &queue, None);
        starts.push((count(*size), Spread::of(&start).median));
        queues.push((count(*size), Spread::of(&queue).median));
        memories.push((count(*size), Spread::of(&memory).median));
    }
    let grew =
        |what: &str, unit, points| Growth { work: "W9", what: what.into(), unit, points, exponent_max: 0.2 };
    report.grew(grew("start to serving over incidents held", "ms", starts));
    report.grew(grew("memory over incidents held", "MiB", memories));
    report.grew(grew("the desk's queue over incidents held", "ms", queues));
    Ok(())
}

/// How long both lists take of somebody who asks again and again, in the middle.
async fn queue_ms(operator: &Person) -> f64 {
    let mut times = Vec::new();
    for _ in 0..ASKED {
        let began = Instant::now();
        operator.get("/api/v1/incidents?status=open").await.expect(200);
        operator.get("/api/v1/incidents?status=closed").await.expect(200);
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    Spread::of(&times).median
}

fn target(what: &str, value: f64) -> Option<Against> {
    Some(Against { what: what.to_owned(), value, target: Some(Target::AtMost(1.0)) })
}
