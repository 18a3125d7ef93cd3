//! Desks of different nodes over one incident: a service that is asked, and two incidents that are one.

use serde_json::json;

use tests::cluster::places::{
    BORDER_OF_SAN_JOAQUIN, BRIGADE, MIDDLE_OF_SAN_MIGUEL, Place, SAN_JOAQUIN, SAN_MIGUEL,
};
use tests::cluster::{Cluster, wait_for};

/// In San Miguel, 450 m from `BORDER_OF_SAN_JOAQUIN`.
const ACROSS_THE_BORDER: Place = Place(-33.498_677, -70.640_711);

#[tokio::test(flavor = "multi_thread")]
async fn a_brigade_that_is_asked_answers_by_itself_and_the_incident_stays_with_its_town() {
    let cluster = Cluster::start(&[SAN_MIGUEL, BRIGADE]).await;
    let neighbour = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = neighbour.raise("fire", MIDDLE_OF_SAN_MIGUEL, "Smoke from the roof").await;
    let id = raised["id"].as_str().expect("an id");
    let town = cluster[SAN_MIGUEL].operator().await;
    let brigade = cluster[BRIGADE].operator().await;
    assert!(brigade.incident(id).await.is_none(), "nobody asked yet");

    let node = cluster[BRIGADE].member.clone();
    let asked = town.act(id, "referrals", &json!({ "service": "fire", "node": node })).await;
    assert_eq!(asked["referrals"][0]["state"], "waiting");
    let there = brigade.wait_for_incident(id).await;
    assert_eq!(there["incident"]["referred_to_us"], true);
    assert_eq!(there["incident"]["ringing"], true, "it rings at the service");
    assert_eq!(there["incident"]["owner"], "San Miguel");
    wait_for("the words of the report at the service", async || {
        let detail = brigade.the(id).await;
        detail["timeline"].as_array()?.iter().any(|line| line["text"] == "Smoke from the roof").then_some(())
    })
    .await;

    cluster.cut(SAN_MIGUEL, BRIGADE);
    let referral = there["referrals"][0]["id"].clone();
    brigade.act(id, "referrals/answer", &json!({ "referral": referral, "answer": "accepted" })).await;
    let here = town.the(id).await;
    assert_eq!(here["referrals"][0]["state"], "waiting", "the answer has not come yet");
    assert_eq!(here["incident"]["ours"], true);
    cluster.mend(SAN_MIGUEL, BRIGADE);
    let answered = wait_for("the answer of the service", async || {
        let here = town.the(id).await;
        (here["referrals"][0]["state"] == "accepted").then_some(here)
    })
    .await;
    assert_eq!(answered["incident"]["owner"], "San Miguel", "a referral hands nothing over");
    let other = json!({ "referral": referral, "answer": "declined" });
    let late = town.post(&format!("/api/v1/incidents/{id}/referrals/answer"), &other).await;
    assert_eq!(late.problem(409), "not_now");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_towns_that_heard_of_one_thing_make_it_one_and_both_reporters_see_it_answered() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let ana = cluster[SAN_MIGUEL].resident("Ana").await;
    let beto = cluster[SAN_JOAQUIN].resident("Beto").await;
    let first = ana.raise("robbery", ACROSS_THE_BORDER, "Two men with a knife").await;
    let second = beto.raise("assault", BORDER_OF_SAN_JOAQUIN, "They are fighting").await;
    let (kept, again) = (first["id"].as_str().expect("an id"), second["id"].as_str().expect("an id"));
    let owner = cluster[SAN_MIGUEL].operator().await;
    let linker = cluster[SAN_JOAQUIN].operator().await;
    linker.wait_for_incident(kept).await;
    owner.wait_for_incident(again).await;

    let open = linker.the(again).await;
    let suggested = open["duplicates"]["suggested"].as_array().expect("a list").clone();
    assert!(suggested.iter().any(|other| other["id"] == kept), "{open}");
    linker.act(again, "links", &json!({ "target": kept })).await;
    assert_eq!(linker.queue().await.len(), 2, "a link alone hides nothing");
    let asked = wait_for("the link at the other town", async || {
        let here = owner.the(kept).await;
        here["duplicates"]["here"].as_array()?.iter().any(|other| other["id"] == again).then_some(here)
    })
    .await;
    assert_eq!(asked["duplicates"]["here"][0]["absorbed"], false);
    owner.act(kept, "absorptions", &json!({ "target": again })).await;
    assert_eq!(owner.queue().await.len(), 1);
    wait_for("one row at the town that linked", async || (linker.queue().await.len() == 1).then_some(()))
        .await;

    owner.act(kept, "steps", &json!({ "step": "on_the_way" })).await;
    wait_for("the step on the page of the other reporter", async || {
        let mine = beto.the(again).await;
        (mine["incident"]["status"] == "on_the_way" && !mine["merged"].is_null()).then_some(())
    })
    .await;
    linker.act(again, "links/remove", &json!({ "target": kept })).await;
    wait_for("both apart again at the other town", async || (owner.queue().await.len() == 2).then_some(()))
        .await;
    assert_eq!(beto.the(again).await["incident"]["status"], "open");
}
