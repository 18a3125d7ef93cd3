//! What was acknowledged is there, exactly once, whatever happens to the process, the link or the disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use tests::cluster::places::{BORDER_OF_SAN_MIGUEL, MIDDLE_OF_SAN_MIGUEL, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Person, wait_for};

/// Times that the process is killed.
const KILLS: usize = 5;
/// Residents who post at the same time.
const POSTERS: usize = 4;
/// Alerts of one resident in one round, at most.
const ALERTS_A_ROUND: usize = 12;

/// The id that a phone gives its alert.
fn alert_id(round: usize, poster: usize, number: usize) -> String {
    format!("{round:08x}{poster:08x}{number:048x}")
}

fn alert(id: &str) -> Value {
    json!({ "alert": id, "kind": "rubbish", "point": MIDDLE_OF_SAN_MIGUEL.json(), "text": format!("heap {id}") })
}

/// Posts alert after alert until the node is gone; gives the acknowledged ones and their incidents.
async fn post_until_gone(
    person: Person,
    round: usize,
    poster: usize,
    acknowledged: &AtomicUsize,
) -> Vec<(String, String)> {
    let mut stored = Vec::new();
    for number in 0..ALERTS_A_ROUND {
        let id = alert_id(round, poster, number);
        let request = person.request(reqwest::Method::POST, "/api/v1/alerts").json(&alert(&id));
        let Some(answer) = person.try_send(request).await else { break };
        let raised = answer.expect(201);
        acknowledged.fetch_add(1, Ordering::SeqCst);
        stored.push((id, raised["id"].as_str().expect("an id").to_owned()));
    }
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_alert_is_there_exactly_once_after_kill_9() {
    let mut cluster = Cluster::start(&[SAN_MIGUEL]).await;
    let mut people = Vec::new();
    for poster in 0..POSTERS {
        people.push(cluster[SAN_MIGUEL].resident(&format!("Vecina {poster}")).await);
    }
    let mut acknowledged: BTreeMap<String, String> = BTreeMap::new();
    let mut interrupted = 0;
    for round in 0..KILLS {
        let count = AtomicUsize::new(0);
        // A different point each round: after so many acknowledgements, with others on their way.
        let kill_after = 1 + (round * 7) % (POSTERS * ALERTS_A_ROUND / 2);
        let base = cluster[SAN_MIGUEL].base();
        let posting = async {
            let posters = people.iter().enumerate().map(|(poster, person)| {
                let person = person.at(&base);
                post_until_gone(person, round, poster, &count)
            });
            futures_util::future::join_all(posters).await
        };
        let killing = async {
            wait_for("some acknowledgements", async || {
                (count.load(Ordering::SeqCst) >= kill_after).then_some(())
            })
            .await;
            cluster.kill(SAN_MIGUEL).await;
        };
        let (stored, ()) = tokio::join!(posting, killing);
        let stored: Vec<_> = stored.into_iter().flatten().collect();
        interrupted += usize::from(stored.len() < POSTERS * ALERTS_A_ROUND);
        acknowledged.extend(stored);
        cluster.restart(SAN_MIGUEL).await;
    }
    assert!(interrupted > 0, "no kill came while alerts were on their way");

    let operator = cluster[SAN_MIGUEL].operator().await;
    let queue = operator.queue().await;
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &queue {
        *times.entry(row["id"].as_str().expect("an id")).or_default() += 1;
    }
    for (alert, incident) in &acknowledged {
        assert_eq!(times.get(incident.as_str()), Some(&1), "alert {alert} of {}", acknowledged.len());
    }
    let distinct: std::collections::BTreeSet<_> = acknowledged.values().collect();
    assert_eq!(distinct.len(), acknowledged.len(), "two alerts became one incident");

    // The phone that never heard an answer sends the same alert again: it is the same incident.
    for (poster, person) in people.iter().enumerate() {
        let person = cluster[SAN_MIGUEL].same(person);
        for round in 0..KILLS {
            let id = alert_id(round, poster, 0);
            let again = person.post("/api/v1/alerts", &alert(&id)).await.expect(201);
            if let Some(incident) = acknowledged.get(&id) {
                assert_eq!(again["id"], *incident);
                assert_eq!(again["already"], true);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_down_catches_up_and_rings_for_nothing_that_is_over() {
    let mut cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let neighbour = cluster[SAN_MIGUEL].resident("Ana").await;
    let ours = cluster[SAN_MIGUEL].operator().await;
    cluster.kill(SAN_JOAQUIN).await;

    let mut over = Vec::new();
    for number in 0..6 {
        let raised = neighbour.raise("robbery", BORDER_OF_SAN_MIGUEL, &format!("Number {number}")).await;
        let id = raised["id"].as_str().expect("an id").to_owned();
        ours.act(&id, "claim", &json!({})).await;
        ours.act(&id, "steps", &json!({ "step": "resolved" })).await;
        ours.act(&id, "close", &json!({ "outcome": "nothing_found" })).await;
        over.push(id);
    }
    let still = neighbour.raise("robbery", BORDER_OF_SAN_MIGUEL, "Still going on").await;
    let still = still["id"].as_str().expect("an id").to_owned();

    cluster.restart(SAN_JOAQUIN).await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    let caught_up = theirs.wait_for_incident(&still).await;
    assert_eq!(caught_up["incident"]["ringing"], true, "it is happening now");
    for id in &over {
        let detail = wait_for("the whole story", async || {
            let detail = theirs.incident(id).await?;
            (detail["heads"] == ours.the(id).await["heads"]).then_some(detail)
        })
        .await;
        assert_eq!(detail["incident"]["status"], "closed");
        assert_eq!(detail["incident"]["ringing"], false, "{id} rings though it is over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_with_507_and_never_with_a_false_201() {
    let mut cluster = Cluster::laid_out(&[SAN_MIGUEL]);
    let full = cluster.small_disk(SAN_MIGUEL);
    let mut cluster = cluster.run().await;
    let person = cluster[SAN_MIGUEL].resident("Ana").await;
    let operator = cluster[SAN_MIGUEL].operator().await;
    let mut acknowledged = vec![person.raise("noise", MIDDLE_OF_SAN_MIGUEL, "Before").await];

    full.fill();
    let mut refused = 0;
    for number in 0..400 {
        let answer = person.post("/api/v1/alerts", &alert(&alert_id(9, 9, number))).await;
        if answer.status == 201 {
            acknowledged.push(answer.json());
            full.fill();
            continue;
        }
        assert_eq!(answer.problem(507), "store_full");
        assert!(answer.text().contains("133"), "the emergency number is missing: {}", answer.text());
        refused += 1;
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "the disk was never full");
    assert_eq!(operator.get("/health").await.status, 200, "the node is up: it can still be read");
    holds_all(&operator.queue().await, &acknowledged);

    full.free();
    acknowledged.push(person.raise("noise", MIDDLE_OF_SAN_MIGUEL, "After").await);
    let queue = operator.queue().await;
    holds_all(&queue, &acknowledged);
    assert_eq!(queue.len(), acknowledged.len(), "something that was refused was kept");
    cluster.kill(SAN_MIGUEL).await;
}

fn holds_all(queue: &[Value], raised: &[Value]) {
    for one in raised {
        assert!(queue.iter().any(|row| row["id"] == one["id"]), "acknowledged and not there: {one}");
    }
}
