//! One alert and the nodes that it concerns: who sees it, who answers it, and what a cut link changes.

use serde_json::{Value, json};

use tests::cluster::places::{
    BORDER_OF_SAN_MIGUEL, EL_BOSQUE, LA_PINTANA, MIDDLE_OF_LA_PINTANA, MIDDLE_OF_SAN_MIGUEL,
    MIDDLE_OF_SAN_RAMON, NATIONAL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL, SAN_RAMON,
};
use tests::cluster::{Cluster, timeline, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_beside_the_border_is_next_door_and_on_the_country_page() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN, LA_PINTANA, PRECINCT, NATIONAL]).await;
    let neighbour = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = neighbour.raise("robbery", BORDER_OF_SAN_MIGUEL, "Two men with a knife").await;
    let id = raised["id"].as_str().expect("an id");

    let next_door = cluster[SAN_JOAQUIN].operator().await;
    let seen = next_door.wait_for_incident(id).await;
    assert_eq!(seen["incident"]["kind"], "robbery");
    assert_eq!(seen["incident"]["ours"], false, "San Miguel answers for it");
    assert_eq!(seen["incident"]["owner"], "San Miguel");
    wait_for("the words of the report at the involved node", async || {
        let detail = next_door.incident(id).await?;
        (timeline(&detail, "open")["text"] == "Two men with a knife").then_some(())
    })
    .await;

    for above in [PRECINCT, NATIONAL] {
        let public = cluster[above].stranger();
        wait_for("the ticker of the node above", async || {
            let country = public.get("/api/v1/country").await.expect(200);
            let ticker = country["ticker"].as_array()?.clone();
            ticker.into_iter().find(|line| line["id"] == id)
        })
        .await;
    }

    let far = cluster[LA_PINTANA].operator().await;
    assert!(far.incident(id).await.is_none(), "La Pintana has nothing to do with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_in_the_middle_of_la_pintana_is_not_in_san_miguel() {
    let cluster = Cluster::start(&[LA_PINTANA, SAN_MIGUEL, PRECINCT]).await;
    let neighbour = cluster[LA_PINTANA].resident("Ana").await;
    let raised = neighbour.raise("robbery", MIDDLE_OF_LA_PINTANA, "In the square").await;
    let id = raised["id"].as_str().expect("an id");

    let above = cluster[PRECINCT].stranger();
    wait_for("the incident above", async || {
        let country = above.get("/api/v1/country").await.expect(200);
        country["ticker"].as_array()?.iter().any(|line| line["id"] == id).then_some(())
    })
    .await;
    // A later border alert of the same node arrives in San Miguel: so the earlier one had its time.
    cluster.in_step(PRECINCT, SAN_MIGUEL).await;
    let elsewhere = cluster[SAN_MIGUEL].operator().await;
    let queue = elsewhere.queue().await;
    assert!(queue.iter().all(|row| row["id"] != id), "{queue:?}");
    // What is not theirs and what does not exist are the same answer.
    let theirs = elsewhere.get(&format!("/api/v1/incidents/{id}")).await;
    let nobodys = elsewhere.get(&format!("/api/v1/incidents/{}", "ab".repeat(32))).await;
    assert_eq!(theirs.problem(404), nobodys.problem(404));
    assert_eq!(theirs.body, nobodys.body);
    cluster[SAN_MIGUEL].holds_no(id);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_desks_work_while_the_link_is_cut_and_agree_once_it_heals() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let neighbour = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = neighbour.raise("fire", BORDER_OF_SAN_MIGUEL, "Smoke from the roof").await;
    let id = raised["id"].as_str().expect("an id");
    let ours = cluster[SAN_MIGUEL].operator().await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    theirs.wait_for_incident(id).await;

    cluster.cut(SAN_MIGUEL, SAN_JOAQUIN);
    ours.act(id, "claim", &json!({})).await;
    ours.act(id, "steps", &json!({ "step": "called" })).await;
    ours.act(id, "notes", &json!({ "text": "Two engines asked for" })).await;
    theirs.act(id, "responses", &json!({ "response": "on_the_way", "crew": "SJ-3" })).await;
    theirs.act(id, "notes", &json!({ "text": "Street closed on our side" })).await;
    let (here, there) = (ours.the(id).await, theirs.the(id).await);
    assert_ne!(here["heads"], there["heads"], "the cut link did not keep them apart");
    assert!(!texts(&there).contains(&"Two engines asked for".to_owned()));
    assert!(!texts(&here).contains(&"Street closed on our side".to_owned()));

    cluster.mend(SAN_MIGUEL, SAN_JOAQUIN);
    let (here, there) = wait_for("equal heads on both desks", async || {
        let (here, there) = (ours.the(id).await, theirs.the(id).await);
        let whole = |detail: &Value| texts(detail).len() >= 3;
        (here["heads"] == there["heads"] && whole(&here) && whole(&there)).then_some((here, there))
    })
    .await;
    assert_eq!(shared_timeline(&here), shared_timeline(&there));
    assert!(texts(&there).contains(&"Two engines asked for".to_owned()), "{there}");
    assert!(texts(&here).contains(&"Street closed on our side".to_owned()), "{here}");
    assert_eq!(here["incident"]["status"], "called", "the owner's step stands");
    assert_eq!(here["incident"]["status"], there["incident"]["status"]);
    assert_eq!(there["incident"]["crews"], 1);
}

/// What both nodes must show alike: the order, who wrote what, the words.
fn shared_timeline(detail: &Value) -> Vec<Value> {
    let lines = detail["timeline"].as_array().expect("a timeline");
    let alike = ["id", "what", "detail", "node", "written_ms", "text", "confirmed"];
    lines.iter().map(|line| alike.iter().map(|field| line[field].clone()).collect()).collect()
}

fn texts(detail: &Value) -> Vec<String> {
    let lines = detail["timeline"].as_array().expect("a timeline");
    lines.iter().filter_map(|line| line["text"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handoff_is_the_old_owners_until_it_is_committed() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let neighbour = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = neighbour.raise("noise", MIDDLE_OF_SAN_MIGUEL, "Since midnight").await;
    let id = raised["id"].as_str().expect("an id");
    let ours = cluster[SAN_MIGUEL].operator().await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;

    let san_joaquin = cluster[SAN_JOAQUIN].member.clone();
    ours.act(id, "offers", &json!({ "node": san_joaquin, "reason": "means" })).await;
    let offered = theirs.wait_for_incident(id).await;
    assert_eq!(offered["incident"]["offered_to_us"], true);
    assert_eq!(offered["incident"]["owner"], "San Miguel", "an offer changes nothing yet");

    // The acceptance cannot reach the owner: it is the owner's still, on both screens.
    cluster.cut(SAN_MIGUEL, SAN_JOAQUIN);
    theirs.act(id, "offers/accept", &json!({})).await;
    assert_eq!(theirs.the(id).await["incident"]["owner"], "San Miguel");
    ours.act(id, "steps", &json!({ "step": "called" })).await;
    assert_eq!(ours.the(id).await["incident"]["owner"], "San Miguel");

    cluster.mend(SAN_MIGUEL, SAN_JOAQUIN);
    for desk in [&ours, &theirs] {
        wait_for("San Joaquín answers for it", async || {
            let detail = desk.the(id).await;
            (detail["incident"]["owner"] == "San Joaquín").then_some(())
        })
        .await;
    }
    let detail = theirs.the(id).await;
    let done: Vec<_> = detail["timeline"]
        .as_array()
        .expect("a timeline")
        .iter()
        .filter_map(|line| line["what"].as_str())
        .filter(|what| ["offer", "accept", "commit"].contains(what))
        .map(str::to_owned)
        .collect();
    assert_eq!(done, ["offer", "accept", "commit"]);
    assert_eq!(detail["incident"]["status"], "called", "the old owner's last step stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_offer_leaves_the_incident_with_its_owner() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let neighbour = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = neighbour.raise("noise", BORDER_OF_SAN_MIGUEL, "Since midnight").await;
    let id = raised["id"].as_str().expect("an id");
    let ours = cluster[SAN_MIGUEL].operator().await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    let san_joaquin = cluster[SAN_JOAQUIN].member.clone();
    ours.act(id, "offers", &json!({ "node": san_joaquin, "reason": "means" })).await;
    wait_for("the offer", async || {
        (theirs.incident(id).await?["incident"]["offered_to_us"] == true).then_some(())
    })
    .await;
    theirs.act(id, "offers/decline", &json!({ "reason": "no_crew" })).await;
    let after = wait_for("the answer", async || {
        let detail = ours.the(id).await;
        detail["incident"]["offered_to"].is_null().then_some(detail)
    })
    .await;
    assert_eq!(after["incident"]["owner"], "San Miguel");
    assert_eq!(timeline(&after, "decline")["detail"], "no_crew");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sos_pressed_away_from_home_is_answered_there_by_a_node_that_never_learns_who() {
    let name = "Rosalba Quintremil Huenchuman";
    let address = "Pasaje Cincuenta y Tres 8841";
    let phone = "+56 9 7714 2093";
    let cluster = Cluster::start(&[EL_BOSQUE, SAN_RAMON]).await;
    let person = cluster[EL_BOSQUE].resident_with(name, address, Some(phone)).await;
    let raised = person.raise("sos", MIDDLE_OF_SAN_RAMON, "").await;
    let id = raised["id"].as_str().expect("an id");
    assert_eq!(raised["offered_to"], "San Ramón");

    let there = cluster[SAN_RAMON].operator().await;
    let seen = there.wait_for_incident(id).await;
    assert_eq!(seen["incident"]["offered_to_us"], true);
    assert!(seen["reporter"].is_null(), "{seen}");
    there.act(id, "offers/accept", &json!({})).await;
    wait_for("San Ramón answers for it", async || {
        (there.the(id).await["incident"]["ours"] == true).then_some(())
    })
    .await;
    there.act(id, "claim", &json!({})).await;
    there.act(id, "steps", &json!({ "step": "on_the_way" })).await;

    // The phone at home sees that somebody comes.
    wait_for("the step on the resident's own page", async || {
        let own = person.get("/api/v1/alerts").await.expect(200);
        let mine = own.as_array()?.iter().find(|mine| mine["incident"]["id"] == id)?.clone();
        (mine["incident"]["status"] == "on_the_way").then_some(())
    })
    .await;

    let exported = cluster[SAN_RAMON].export(id);
    let answers = [there.get(&format!("/api/v1/incidents/{id}")).await.body, exported];
    for secret in [name, address, phone, "Quintremil", "56977142093", "7714 2093"] {
        cluster[SAN_RAMON].never_saw(secret);
        for answer in &answers {
            tests::canaries::absent(answer, secret, "an answer of San Ramón");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_towns_that_reach_only_the_precinct_get_each_others_border_documents() {
    let cluster = Cluster::laid_out(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT]);
    cluster.cut(SAN_MIGUEL, SAN_JOAQUIN);
    let cluster = cluster.run().await;
    let neighbour = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = neighbour.raise("robbery", BORDER_OF_SAN_MIGUEL, "Behind the market").await;
    let id = raised["id"].as_str().expect("an id");
    let ours = cluster[SAN_MIGUEL].operator().await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;

    let there = theirs.wait_for_incident(id).await;
    assert_eq!(timeline(&there, "open")["detail_pending"], true, "words never travel through the precinct");
    theirs.act(id, "responses", &json!({ "response": "on_the_way", "crew": "SJ-1" })).await;
    wait_for("the crew of San Joaquín on San Miguel's desk", async || {
        (ours.the(id).await["incident"]["crews"] == 1).then_some(())
    })
    .await;
    let (here, there) = (ours.the(id).await, theirs.the(id).await);
    assert_eq!(here["heads"], there["heads"]);

    cluster.mend(SAN_MIGUEL, SAN_JOAQUIN);
    wait_for("the words, from the owner itself", async || {
        let detail = theirs.the(id).await;
        (timeline(&detail, "open")["text"] == "Behind the market").then_some(())
    })
    .await;
    cluster[PRECINCT].never_saw("Behind the market");
}
