//! The day on which a town's node is lost: its precinct finds somebody who answers, and when the node
//! comes back it agrees.

use serde_json::{Value, json};

use tests::cluster::places::{BORDER_OF_SAN_MIGUEL, MIDDLE_OF_SAN_MIGUEL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Person, Town, wait_for};

/// Waits until the desk of the precinct has lost sight of San Miguel, and gives what it is shown of it.
async fn lost(cluster: &Cluster, desk: &Person, open: u64) -> Value {
    let path = format!("/api/v1/takeovers/{}", cluster[SAN_MIGUEL].member);
    wait_for("the precinct loses sight of San Miguel", async || {
        let answer = desk.get(&path).await;
        let shown = (answer.status == 200).then(|| answer.json())?;
        (shown["why"] == "silent" && shown["open"] == open).then_some(shown)
    })
    .await
}

async fn take_over(cluster: &Cluster, desk: &Person, to: Town) -> Value {
    let asked = json!({
        "node": cluster[SAN_MIGUEL].member, "to": cluster[to].member, "reason": "no power, told by phone",
    });
    desk.post("/api/v1/takeovers", &asked).await.expect(200)
}

/// Waits until these desks name one owner for every incident, this one.
async fn owned_everywhere(desks: &[&Person], incidents: &[String], owner: &str) {
    for desk in desks {
        for id in incidents {
            wait_for(&format!("{owner} answers for it at {desk:?}"), async || {
                (desk.incident(id).await?["incident"]["owner"] == owner).then_some(())
            })
            .await;
        }
    }
    for id in incidents {
        wait_for("all hold the same, and name the same owner", async || {
            let mut seen = Vec::new();
            for desk in desks {
                let shown = desk.the(id).await;
                seen.push((shown["heads"].clone(), shown["incident"]["owner"].clone()));
            }
            seen.dedup();
            (seen.len() == 1 && seen[0].1 == owner).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_towns_incidents_go_to_its_neighbour_and_it_agrees_when_it_is_back() {
    let mut cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT]).await;
    let neighbour = cluster[SAN_MIGUEL].resident("Ana").await;
    let mut incidents = Vec::new();
    for (kind, place) in [("robbery", BORDER_OF_SAN_MIGUEL), ("noise", MIDDLE_OF_SAN_MIGUEL)] {
        let raised = neighbour.raise(kind, place, "On the corner").await;
        incidents.push(raised["id"].as_str().expect("an id").to_owned());
    }
    let ours = cluster[SAN_MIGUEL].operator().await;
    ours.act(&incidents[0], "claim", &json!({})).await;
    let above = cluster[PRECINCT].operator().await;
    for id in &incidents {
        above.wait_for_incident(id).await;
    }
    cluster.in_step(SAN_MIGUEL, PRECINCT).await;
    let early = json!({
        "node": cluster[SAN_MIGUEL].member, "to": cluster[SAN_JOAQUIN].member, "reason": "no reason",
    });
    assert_eq!(
        above.post("/api/v1/takeovers", &early).await.status,
        409,
        "nobody takes from a node that is there"
    );

    cluster.kill(SAN_MIGUEL).await;
    lost(&cluster, &above, 2).await;
    assert_eq!(take_over(&cluster, &above, SAN_JOAQUIN).await["done"], 2, "one action for both");
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    let offered = wait_for("both are offered next door", async || {
        let offered =
            theirs.get("/api/v1/takeovers").await.expect(200)["offered"].as_array()?.first()?.clone();
        (offered["count"] == 2).then_some(offered)
    })
    .await;
    assert_eq!(
        theirs.the(&incidents[1]).await["incident"]["owner"],
        "San Miguel",
        "an offer changes nothing"
    );
    let answer = json!({ "node": offered["id"] });
    assert_eq!(theirs.post("/api/v1/takeovers/answers", &answer).await.expect(200)["done"], 2);
    owned_everywhere(&[&theirs, &above], &incidents, "San Joaquín").await;
    theirs.act(&incidents[0], "steps", &json!({ "step": "on_the_way" })).await;

    cluster.restart(SAN_MIGUEL).await;
    let ours = cluster[SAN_MIGUEL].operator().await;
    owned_everywhere(&[&ours, &theirs, &above], &incidents, "San Joaquín").await;
    let late =
        ours.post(&format!("/api/v1/incidents/{}/steps", incidents[1]), &json!({ "step": "called" })).await;
    assert_eq!(late.status, 409, "it is not San Miguel's any more");
    let shown = ours.the(&incidents[0]).await;
    assert_eq!(shown["incident"]["status"], "on_the_way", "its neighbours see who comes: {shown}");
    let gone = above.get(&format!("/api/v1/takeovers/{}", cluster[SAN_MIGUEL].member)).await;
    assert!(gone.status == 404 || gone.json()["open"] == 0, "{}", gone.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_lost_between_accept_and_commit_is_taken_over_and_has_one_owner_when_it_is_back() {
    let mut cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT]).await;
    let neighbour = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = neighbour.raise("noise", MIDDLE_OF_SAN_MIGUEL, "Since midnight").await;
    let id = raised["id"].as_str().expect("an id").to_owned();
    let ours = cluster[SAN_MIGUEL].operator().await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    let above = cluster[PRECINCT].operator().await;
    let offer = json!({ "node": cluster[SAN_JOAQUIN].member, "reason": "means" });
    ours.act(&id, "offers", &offer).await;
    theirs.wait_for_incident(&id).await;
    above.wait_for_incident(&id).await;
    cluster.in_step(SAN_MIGUEL, SAN_JOAQUIN).await;
    cluster.in_step(SAN_MIGUEL, PRECINCT).await;

    // The acceptance never reaches the owner.
    cluster.cut(SAN_MIGUEL, SAN_JOAQUIN);
    cluster.cut(SAN_MIGUEL, PRECINCT);
    theirs.act(&id, "offers/accept", &json!({})).await;
    cluster.kill(SAN_MIGUEL).await;
    lost(&cluster, &above, 1).await;
    assert_eq!(above.the(&id).await["incident"]["owner"], "San Miguel", "an accept is no commit");
    assert_eq!(take_over(&cluster, &above, PRECINCT).await["done"], 1, "it takes it itself");
    let incidents = [id.clone()];
    owned_everywhere(&[&theirs, &above], &incidents, "South Precinct").await;
    above.act(&id, "claim", &json!({})).await;

    cluster.mend(SAN_MIGUEL, SAN_JOAQUIN);
    cluster.mend(SAN_MIGUEL, PRECINCT);
    cluster.restart(SAN_MIGUEL).await;
    let ours = cluster[SAN_MIGUEL].operator().await;
    owned_everywhere(&[&ours, &theirs, &above], &incidents, "South Precinct").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_expelled_town_wrote_counts_again_once_its_precinct_vouches_for_it() {
    let mut cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT]).await;
    let neighbour = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = neighbour.raise("noise", MIDDLE_OF_SAN_MIGUEL, "Since midnight").await;
    let id = raised["id"].as_str().expect("an id").to_owned();
    let ours = cluster[SAN_MIGUEL].operator().await;
    ours.act(&id, "steps", &json!({ "step": "called" })).await;
    cluster.in_step(SAN_MIGUEL, PRECINCT).await;
    let above = cluster[PRECINCT].operator().await;
    let shown = above.wait_for_incident(&id).await;
    assert_eq!(shown["incident"]["status"], "called");

    cluster.kill(PRECINCT).await;
    cluster.expel(SAN_MIGUEL, PRECINCT);
    cluster.restart(PRECINCT).await;
    let above = cluster[PRECINCT].same(&above);
    let path = format!("/api/v1/takeovers/{}", cluster[SAN_MIGUEL].member);
    wait_for("the precinct knows that San Miguel is expelled", async || {
        let answer = above.get(&path).await;
        (answer.status == 200 && answer.json()["why"] == "expelled").then_some(())
    })
    .await;
    let doubted = above.the(&id).await;
    assert_eq!(doubted["incident"]["status"], "open", "what it wrote does not count by itself");
    assert_eq!(take_over(&cluster, &above, PRECINCT).await["done"], 1);
    assert_eq!(above.get(&path).await.expect(200)["to_vouch"], 1);
    let seal = json!({
        "node": cluster[SAN_MIGUEL].member, "until_ms": u64::MAX >> 11, "reason": "its people were at their desk",
    });
    assert_eq!(above.post("/api/v1/takeovers/seals", &seal).await.expect(200)["done"], 1);
    let believed = above.the(&id).await;
    assert_eq!(believed["incident"]["status"], "called");
    assert!(
        believed["timeline"].as_array().expect("a timeline").iter().all(|line| line["confirmed"] == true)
    );
    assert_eq!(above.get(&path).await.expect(200)["to_vouch"], 0);
}
