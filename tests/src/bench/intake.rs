//! W5: alerts POSTed by many people at a steady rate, whether or not the node keeps up.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;
use tests::cluster::places::{MIDDLE_OF_SAN_MIGUEL, SAN_MIGUEL};
use tests::cluster::{Cluster, Node};

use super::inside::Database;
use super::load::open_loop;
use super::opened::equals_a_rebuild;
use super::references::References;
use super::report::{Against, Report, Target};
use super::sizes::Sizes;
use super::statistics::{count, percentile};
use super::wire::{Poster, Wire};

/// The slowest good 99th percentile where commits are fast, ms.
const P99_MS: f64 = 25.0;

/// People who register at the same time.
const JOINING: usize = 16;

/// Runs it on one node; everything acknowledged is stored, and its tables are what its log says.
pub async fn run(report: &mut Report, references: &References, sizes: &Sizes) -> anyhow::Result<()> {
    let lasting = Duration::from_secs(sizes.seconds);
    let mut cluster = Cluster::start(&[SAN_MIGUEL]).await;
    let senders = Arc::new(accounts(&cluster[SAN_MIGUEL], sizes.accounts).await?);
    let database = Database::open(&cluster[SAN_MIGUEL].data())?;
    for rate in sizes.rates.iter().copied() {
        let (mut medians, mut tails, mut not_taken) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..sizes.runs {
            let before = database.alerts()?;
            let sender = senders.clone();
            let outcome = open_loop(rate, lasting, move |number| post(sender.clone(), number)).await;
            let stored = database.alerts()? - before;
            let taken = outcome.latencies_ms.len();
            anyhow::ensure!(
                stored >= taken as u64,
                "{taken} alerts were acknowledged and {stored} are stored"
            );
            medians.push(percentile(&outcome.latencies_ms, 50.0));
            tails.push(percentile(&outcome.latencies_ms, 99.0));
            not_taken.push(count(outcome.refused + outcome.never_sent));
        }
        let what =
            |part: &str| format!("{rate}/s for {} s, {} accounts, {part}", sizes.seconds, sizes.accounts);
        report.add("W5", what("median"), "ms", &medians, None);
        let commit_ms = references.commit_p99_us / 1_000.0;
        let against = Against {
            what: "the larger of 10 commits' p99 and 25 ms".into(),
            value: (10.0 * commit_ms).max(P99_MS),
            target: Some(Target::AtMost(1.0)),
        };
        report.add("W5", what("p99"), "ms", &tails, Some(against));
        let none = Against { what: "one".into(), value: 1.0, target: Some(Target::AtMost(0.0)) };
        report.add("W5", what("refused or never sent"), "", &not_taken, Some(none));
    }
    cluster.kill(SAN_MIGUEL).await;
    equals_a_rebuild(&cluster[SAN_MIGUEL].folder).await
}

/// Everybody who posts, and the connections that all share.
struct Senders {
    posters: Vec<Poster>,
    wire: Wire,
}

async fn post(senders: Arc<Senders>, number: u32) -> bool {
    let place = usize::try_from(number).unwrap_or_default() % senders.posters.len().max(1);
    let Some(poster) = senders.posters.get(place) else { return false };
    poster.post(&senders.wire, MIDDLE_OF_SAN_MIGUEL).await.is_ok_and(|status| status == 201)
}

/// Registers so many people, each with a session of their own.
async fn accounts(node: &Node, accounts: usize) -> anyhow::Result<Senders> {
    let code = node.community_code(accounts);
    let first = node.stranger();
    let joined = (0..accounts).map(|number| {
        let (mut person, code) = (first.clone(), code.clone());
        async move {
            let (name, address) = (format!("Vecina {number}"), format!("Pasaje {number}"));
            let form = json!({ "code": code, "name": name, "address": address, "lang": "es" });
            person.sign_in("/api/v1/join", &form).await;
            Poster::of(&person)
        }
    });
    let posters = stream::iter(joined).buffered(JOINING).collect().await;
    Ok(Senders { posters, wire: Wire::to(&node.base())? })
}
