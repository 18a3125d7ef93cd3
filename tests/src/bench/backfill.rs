//! W4: alerts while the same link catches up: one node was away while the other wrote much, and comes
//! back while people raise alerts.

use std::path::Path;

use tests::cluster::places::{SAN_JOAQUIN, SAN_MIGUEL};

use super::desk_log::LOGGED;
use super::fill::{OPERATIONS, Story};
use super::inside::{Database, until};
use super::laid::{self, Held, Kept, Wires};
use super::live::{Ends, Times};
use super::report::{Against, Report, Target};
use super::statistics::{Spread, count, percentile};
use super::two::{Two, WITHIN};

/// Fewest alerts of which a 99th percentile says something.
const ALERTS_MIN: usize = 100;

/// One run.
struct Figures {
    during: Times,
    after: Times,
    catch_up_ms: f64,
}

/// Runs it with so many envelopes to catch up with.
pub async fn run(report: &mut Report, kept: &Kept, envelopes: usize, runs: usize) -> anyhow::Result<()> {
    let incidents = envelopes.div_ceil(OPERATIONS);
    let story = Story { incidents, operations: OPERATIONS, words: false, past: true };
    let folder = kept.laid(report, Held::ByOne, story).await?;
    let mut figures = Vec::new();
    for _ in 0..runs {
        figures.push(once(&folder, incidents).await?);
    }
    let of = |part: fn(&Figures) -> &Vec<f64>, percent| -> Vec<f64> {
        figures.iter().map(|run| percentile(part(run), percent)).collect()
    };
    let what = |part: &str| format!("while {envelopes} envelopes are caught up, {part}");
    let alerts: Vec<f64> = figures.iter().map(|run| count(run.during.heard.len())).collect();
    report.add("W4", what("alerts raised"), "", &alerts, None);
    let caught_up: Vec<f64> = figures.iter().map(|run| run.catch_up_ms).collect();
    report.add("W4", what("all caught up after"), "ms", &caught_up, None);
    let against = |percent, target| {
        let same = Spread::of(&of(|run| &run.after.from_desk, percent)).median;
        Some(Against { what: "the same of this pair at rest (W1)".into(), value: same, target })
    };
    let median = of(|run| &run.during.from_desk, 50.0);
    report.add("W4", what("desk to event, median"), "ms", &median, against(50.0, None));
    let tail = of(|run| &run.during.from_desk, 99.0);
    report.add("W4", what("desk to event, p99"), "ms", &tail, against(99.0, Some(Target::AtMost(2.0))));
    let worst = of(|run| &run.during.from_desk, 100.0);
    report.add("W4", what("desk to event, slowest"), "ms", &worst, None);
    Ok(())
}

async fn once(folder: &Path, incidents: usize) -> anyhow::Result<Figures> {
    let copy = laid::copy(folder)?;
    let mut cluster = laid::found_under(copy.path(), Held::ByOne, Wires::Direct, &LOGGED).await;
    let backlog = u64::try_from(incidents * OPERATIONS)?;
    cluster.restart(SAN_MIGUEL).await;
    cluster.restart(SAN_JOAQUIN).await;
    let began = std::time::Instant::now();
    let mut ends = Ends::of(&cluster).await?;
    let theirs = Database::open(&cluster[SAN_JOAQUIN].data())?;
    // An alert before that would wait for the connection, which is not what is measured.
    until("it begins to catch up", WITHIN, async || Ok((theirs.envelopes()? > 0).then_some(()))).await?;
    let during =
        ends.raise(|raised| Ok(raised == 0 || theirs.newest()? < backlog + u64::try_from(raised)?)).await?;
    let catch_up_ms = began.elapsed().as_secs_f64() * 1_000.0;
    let raised = during.heard.len();
    let all = backlog + u64::try_from(raised)?;
    until("all is caught up with", WITHIN, async || Ok((theirs.envelopes()? >= all).then_some(()))).await?;
    let two = Two::of(cluster).await;
    two.proven(incidents + raised).await?;
    let after = ends.raise(|again| Ok(again < raised.max(ALERTS_MIN))).await?;
    let held = incidents + raised + after.heard.len();
    two.end_equal(held).await?;
    Ok(Figures { during, after, catch_up_ms })
}
