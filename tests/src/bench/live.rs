//! W1: from a person's alert at one town's node until the desk next door has the event.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tests::cluster::events::Events;
use tests::cluster::places::{BORDER_OF_SAN_MIGUEL, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Person};

use super::desk_log::{self, DeskLog, LOGGED};
use super::inside::{Database, until};
use super::references::References;
use super::report::{Against, Report, Target};
use super::statistics::{count, percentile};
use super::two::Two;
use super::wire::{Poster, Wire};

/// Requests that are on their way at the same time where as many as possible are wanted.
const TOGETHER: usize = 32;
/// Longest wait for the neighbour to hold everything.
const WITHIN: Duration = Duration::from_secs(120);

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    /// Alerts in a run, one after another.
    pub alerts: usize,
    /// Alerts in a run with many on their way.
    pub sustained: usize,
    /// Runs of each.
    pub runs: usize,
}

/// How long alerts took, ms, in the order in which they were raised.
#[derive(Debug, Default)]
pub struct Times {
    /// From the request until its own 201.
    pub acknowledged: Vec<f64>,
    /// From the request until the event next door.
    pub heard: Vec<f64>,
    /// From entering `desk` until the event next door.
    pub from_desk: Vec<f64>,
}

/// Somebody with an alert, and the desk next door that listens.
pub struct Ends {
    resident: Person,
    events: Events,
    log: DeskLog,
}

impl Ends {
    /// At a running pair.
    pub async fn of(cluster: &Cluster) -> anyhow::Result<Ends> {
        let resident = cluster[SAN_MIGUEL].resident("Ana").await;
        let events = cluster[SAN_JOAQUIN].operator().await.events(None).await;
        Ok(Ends { resident, events, log: DeskLog::from_now(&cluster[SAN_MIGUEL].folder)? })
    }

    /// Raises alerts one after another, while `more` says so before each.
    pub async fn raise(
        &mut self,
        mut more: impl FnMut(usize) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Times> {
        let (mut times, mut heard_at) = (Times::default(), Vec::new());
        while more(heard_at.len())? {
            let began = Instant::now();
            let raised = self.resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "A bag was taken").await;
            times.acknowledged.push(began.elapsed().as_secs_f64() * 1_000.0);
            let fits = |data: &Value| data.get("id") == raised.get("id");
            self.events.until(|event| event.name == "incident" && fits(&event.data)).await;
            heard_at.push(desk_log::now());
            times.heard.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        let entered = self.log.entered()?;
        anyhow::ensure!(entered.len() == heard_at.len(), "the node logged {} alerts", entered.len());
        let both = entered.iter().zip(&heard_at);
        times.from_desk = both.map(|(entered, heard)| desk_log::between(*entered, *heard)).collect();
        Ok(times)
    }
}

/// Runs both on one pair of nodes.
pub async fn run(report: &mut Report, references: &References, live: Live) -> anyhow::Result<()> {
    let mut plan = Cluster::laid_out(&[SAN_MIGUEL, SAN_JOAQUIN]);
    plan.direct();
    plan.run_under(&LOGGED);
    let cluster = plan.run().await;
    cluster.in_step(SAN_MIGUEL, SAN_JOAQUIN).await;
    let mut ends = Ends::of(&cluster).await?;
    let theirs = Database::open(&cluster[SAN_JOAQUIN].data())?;

    one_after_another(report, references, live, &mut ends).await?;
    let mut held = live.alerts * live.runs;
    let mut rates = Vec::new();
    for _ in 0..live.runs {
        let (began, before) = (Instant::now(), theirs.newest()?);
        post_together(&ends.resident, live.sustained).await?;
        held += live.sustained;
        let missing = u64::try_from(live.sustained)?;
        until("the neighbour has all alerts", WITHIN, async || {
            let enough = theirs.newest()? >= before + missing && theirs.envelopes_after(before)? >= missing;
            Ok(enough.then_some(()))
        })
        .await?;
        rates.push(count(live.sustained) / began.elapsed().as_secs_f64());
    }
    let against = Against {
        what: "two cores ÷ (sign + verify + 2 documents + 2 batched inserts)".into(),
        value: references.sustained_per_second(),
        target: Some(Target::AtLeast(0.6)),
    };
    report.add("W1", format!("sustained, {TOGETHER} at a time, HTTP included"), "/s", &rates, Some(against));
    Two::of(cluster).await.end_equal(held).await
}

async fn one_after_another(
    report: &mut Report,
    references: &References,
    live: Live,
    ends: &mut Ends,
) -> anyhow::Result<()> {
    let mut runs = Vec::new();
    for _ in 0..live.runs {
        runs.push(ends.raise(|raised| Ok(raised < live.alerts)).await?);
    }
    let alerts = live.alerts;
    let of = |part: fn(&Times) -> &Vec<f64>, percent| -> Vec<f64> {
        runs.iter().map(|run| percentile(part(run), percent)).collect()
    };
    let against = |what: &str, value, target| Some(Against { what: what.to_owned(), value, target });
    let (parts, tails) = ("sign + verify + 2 documents + 2 commits + exchange", "the same parts' p99");
    let (least, least_p99) = (references.live_ms(), references.live_p99_ms());
    let what = |part: &str| format!("{alerts} one after another, {part}");
    report.add("W1", what("own 201, median"), "ms", &of(|run| &run.acknowledged, 50.0), None);
    let held = against(parts, least, Some(Target::AtMost(1.5)));
    report.add("W1", what("desk at A to event at B, median"), "ms", &of(|run| &run.from_desk, 50.0), held);
    let held = against(tails, least_p99, Some(Target::AtMost(2.0)));
    report.add("W1", what("desk at A to event at B, p99"), "ms", &of(|run| &run.from_desk, 99.0), held);
    let held = against(parts, least, None);
    report.add("W1", what("request at A to event at B, median"), "ms", &of(|run| &run.heard, 50.0), held);
    let held = against(tails, least_p99, None);
    report.add("W1", what("request at A to event at B, p99"), "ms", &of(|run| &run.heard, 99.0), held);
    Ok(())
}

async fn post_together(resident: &Person, alerts: usize) -> anyhow::Result<()> {
    let left = AtomicUsize::new(alerts);
    let (wire, poster) = (Wire::to(&resident.base)?, Poster::of(resident));
    let senders = (0..TOGETHER).map(async |_| {
        while take_one(&left) {
            let status = poster.post(&wire, BORDER_OF_SAN_MIGUEL).await?;
            anyhow::ensure!(status == 201, "an alert was answered {status}");
        }
        Ok(())
    });
    try_join_all(senders).await?;
    // A slice of what is stored must be readable at once, not only counted.
    let own = resident.get("/api/v1/alerts").await;
    anyhow::ensure!(own.status == 200 && own.json() != json!([]), "own alerts cannot be read");
    Ok(())
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}
