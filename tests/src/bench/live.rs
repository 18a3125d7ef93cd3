//! W1: from a person's request at one town's node until the desk next door has the event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::cluster::places::{BORDER_OF_SAN_MIGUEL, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Person};

use super::inside::{Database, equal, until};
use super::references::References;
use super::report::{Against, Report, Target};
use super::statistics::{count, percentile};

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

/// Runs both on one pair of nodes.
pub async fn run(report: &mut Report, references: &References, live: Live) -> anyhow::Result<()> {
    let mut plan = Cluster::laid_out(&[SAN_MIGUEL, SAN_JOAQUIN]);
    plan.direct();
    let cluster = plan.run().await;
    cluster.in_step(SAN_MIGUEL, SAN_JOAQUIN).await;
    let resident = cluster[SAN_MIGUEL].resident("Ana").await;
    let ours = Database::open(&cluster[SAN_MIGUEL].data())?;
    let theirs = Database::open(&cluster[SAN_JOAQUIN].data())?;

    one_after_another(report, references, live, &cluster, &resident).await?;
    let mut held = live.alerts * live.runs;
    let mut rates = Vec::new();
    for _ in 0..live.runs {
        let began = Instant::now();
        post_together(&resident, live.sustained).await?;
        held += live.sustained;
        let all = 2 * u64::try_from(held)?;
        until("the neighbour has all alerts", WITHIN, async || {
            let enough = theirs.newest()? >= all / 2 && theirs.envelopes()? >= all / 2;
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
    equal(&ours, &theirs, held)
}

async fn one_after_another(
    report: &mut Report,
    references: &References,
    live: Live,
    cluster: &Cluster,
    resident: &Person,
) -> anyhow::Result<()> {
    let desk = cluster[SAN_JOAQUIN].operator().await;
    let mut events = desk.events(None).await;
    let (mut answered, mut medians, mut tails) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..live.runs {
        let (mut acknowledged_ms, mut heard_ms) = (Vec::new(), Vec::new());
        for _ in 0..live.alerts {
            let began = Instant::now();
            let raised = resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "A bag was taken").await;
            acknowledged_ms.push(began.elapsed().as_secs_f64() * 1_000.0);
            let fits = |data: &Value| data.get("id") == raised.get("id");
            events.until(|event| event.name == "incident" && fits(&event.data)).await;
            heard_ms.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        answered.push(percentile(&acknowledged_ms, 50.0));
        medians.push(percentile(&heard_ms, 50.0));
        tails.push(percentile(&heard_ms, 99.0));
    }
    let alerts = live.alerts;
    let against = |what: &str, value, most| {
        Some(Against { what: what.to_owned(), value, target: Some(Target::AtMost(most)) })
    };
    let parts = "sign + verify + 2 documents + 2 commits + exchange";
    report.add("W1", format!("{alerts} one after another, own 201, median"), "ms", &answered, None);
    let held = against(parts, references.live_ms(), 1.5);
    report.add("W1", "request at A to event at B, median", "ms", &medians, held);
    let held = against("the same parts' p99", references.live_p99_ms(), 2.0);
    report.add("W1", "request at A to event at B, p99", "ms", &tails, held);
    Ok(())
}

async fn post_together(resident: &Person, alerts: usize) -> anyhow::Result<()> {
    let left = Arc::new(std::sync::atomic::AtomicUsize::new(alerts));
    let senders = (0..TOGETHER).map(|_| {
        let (left, person) = (left.clone(), resident.clone());
        async move {
            while take_one(&left) {
                person.raise("robbery", BORDER_OF_SAN_MIGUEL, "A bag was taken").await;
            }
        }
    });
    join_all(senders).await;
    // A slice of what is stored must be readable at once, not only counted.
    let own = resident.get("/api/v1/alerts").await;
    anyhow::ensure!(own.status == 200 && own.json() != json!([]), "own alerts cannot be read");
    Ok(())
}

fn take_one(left: &std::sync::atomic::AtomicUsize) -> bool {
    use std::sync::atomic::Ordering::SeqCst;
    left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}
