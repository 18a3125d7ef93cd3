//! What an open page hears, and what it hears again after it was away.

use serde_json::json;
use tests::cluster::Cluster;
use tests::cluster::places::{BORDER_OF_SAN_MIGUEL, MIDDLE_OF_SAN_MIGUEL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_was_away_hears_what_it_missed_and_nothing_twice() {
    let cluster = Cluster::start(&[SAN_MIGUEL]).await;
    let resident = cluster[SAN_MIGUEL].resident("Ana").await;
    let operator = cluster[SAN_MIGUEL].operator().await;
    let mut stream = operator.events(None).await;
    let first = resident.raise("noise", MIDDLE_OF_SAN_MIGUEL, "One").await;
    let heard = stream.until(|event| event.name == "incident" && event.data["id"] == first["id"]).await;
    let number = heard.id.expect("every event has its number");
    drop(stream);

    let second = resident.raise("noise", MIDDLE_OF_SAN_MIGUEL, "Two").await;
    let third = resident.raise("noise", MIDDLE_OF_SAN_MIGUEL, "Three").await;
    let mut again = operator.events(Some(number)).await;
    let mut last = number;
    let mut incidents = Vec::new();
    while !incidents.contains(&third["id"]) {
        let event = again.until(|event| event.name == "incident").await;
        let number = event.id.expect("every event has its number");
        assert!(number > last, "{number} came after {last}");
        last = number;
        incidents.push(event.data["id"].clone());
    }
    assert!(incidents.contains(&second["id"]), "{incidents:?}");
    assert!(!incidents.contains(&first["id"]), "what was heard came again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desk_next_door_and_the_page_above_hear_of_an_alert_by_themselves() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT]).await;
    let resident = cluster[SAN_MIGUEL].resident("Ana").await;
    let desk = cluster[SAN_JOAQUIN].operator().await;
    let mut next_door = desk.events(None).await;
    let mut above = cluster[PRECINCT].stranger().events(None).await;
    let raised = resident.raise("fire", BORDER_OF_SAN_MIGUEL, "Smoke").await;
    next_door.until(|event| event.name == "incident" && event.data["id"] == raised["id"]).await;
    // Where everybody may look, an incident is a figure that changed.
    let told = above.until(|event| event.name == "figures").await;
    assert_eq!(told.data, json!({}), "the public stream names an incident");
    let own = cluster[SAN_MIGUEL].operator().await;
    own.act(raised["id"].as_str().expect("an id"), "claim", &json!({})).await;
    next_door.until(|event| event.name == "incident" && event.data["id"] == raised["id"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_hears_nothing() {
    let cluster = Cluster::start(&[SAN_MIGUEL]).await;
    let operator = cluster[SAN_MIGUEL].operator().await;
    let url = format!("{}/api/v1/events", operator.base);
    let crossed = reqwest::Client::new()
        .get(url)
        .header("Cookie", operator.cookie.clone().expect("signed in"))
        .header("Origin", "https://evil.example")
        .header("Sec-Fetch-Site", "cross-site");
    assert_eq!(operator.send(crossed).await.problem(403), "other_site");
}
