//! W5: alerts POSTed by many people at a steady rate, whether or not the node keeps up.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tests::cluster::places::{MIDDLE_OF_SAN_MIGUEL, SAN_MIGUEL};
use tests::cluster::{Cluster, Node, Person};

use super::inside::Database;
use super::load::open_loop;
use super::references::References;
use super::report::{Against, Report, Target};
use super::statistics::{count, percentile};

/// Steady rates, alerts a second.
const RATES: [u32; 2] = [500, 1_000];
/// The slowest good 99th percentile where commits are fast, ms.
const P99_MS: f64 = 25.0;

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Intake {
    /// People with a session of their own.
    pub accounts: usize,
    /// How long each rate lasts.
    pub lasting: Duration,
    /// Runs of each rate.
    pub runs: usize,
}

/// Runs it on one node.
pub async fn run(report: &mut Report, references: &References, intake: Intake) -> anyhow::Result<()> {
    let cluster = Cluster::start(&[SAN_MIGUEL]).await;
    let people = Arc::new(accounts(&cluster[SAN_MIGUEL], intake.accounts).await?);
    let database = Database::open(&cluster[SAN_MIGUEL].data())?;
    for rate in RATES {
        let (mut medians, mut tails, mut not_taken) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..intake.runs {
            let before = database.alerts()?;
            let sender = people.clone();
            let outcome = open_loop(rate, intake.lasting, move |number| post(sender.clone(), number)).await;
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
        let seconds = intake.lasting.as_secs();
        let what = |part: &str| format!("{rate}/s for {seconds} s, {} accounts, {part}", people.len());
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
    Ok(())
}

async fn post(people: Arc<Vec<Person>>, number: u32) -> bool {
    let mut secret = [0; 32];
    let place = usize::try_from(number).unwrap_or_default() % people.len().max(1);
    let (Ok(()), Some(person)) = (getrandom::fill(&mut secret), people.get(place)) else { return false };
    let alert = json!({
        "alert": hex::encode(secret), "kind": "robbery", "point": MIDDLE_OF_SAN_MIGUEL.json(),
        "text": "Two people on a motorbike took a bag and left to the south",
    });
    let request = person.request(reqwest::Method::POST, "/api/v1/alerts").json(&alert);
    person.try_send(request).await.is_some_and(|answer| answer.status == 201)
}

/// Registers so many people, who share one client's connections as phones behind one proxy do.
async fn accounts(node: &Node, accounts: usize) -> anyhow::Result<Vec<Person>> {
    let code = node.community_code(accounts);
    let first = node.stranger();
    let mut people = Vec::with_capacity(accounts);
    for number in 0..accounts {
        let mut person = first.clone();
        let (name, address) = (format!("Vecina {number}"), format!("Pasaje {number}"));
        let form = json!({ "code": code, "name": name, "address": address, "lang": "es" });
        person.sign_in("/api/v1/join", &form).await;
        people.push(person);
    }
    Ok(people)
}
