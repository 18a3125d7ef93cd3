//! A mass message from the national desk to a neighbour's page, by two people.

use serde_json::{Value, json};

use tests::cluster::places::{NATIONAL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Person, wait_for};

fn notice(mode: &str, headline: &str) -> Value {
    json!({
        "mode": mode, "code": "CL-00000", "urgency": "emergency", "hours": 3,
        "headline": headline, "text": "Suba a pie a los cerros",
    })
}

async fn approve(desk: &Person, draft: &Value, mode: &str) -> Value {
    let path = format!("/api/v1/notices/drafts/{}/approve", draft["number"]);
    desk.post(&path, &json!({ "mode": mode, "confirmed": true })).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_national_notice_of_two_people_is_on_a_neighbours_page_live_and_is_taken_back_there() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT, NATIONAL]).await;
    let neighbour = cluster[SAN_MIGUEL].resident("Ana").await;
    let mut stream = neighbour.events(None).await;
    let one = cluster[NATIONAL].operator().await;
    let other = cluster[NATIONAL].operator().await;
    let drafts = "/api/v1/notices/drafts";
    let draft = one.post(drafts, &notice("live", "Alerta de tsunami")).await.expect(201);
    let alone = one
        .post(&format!("{drafts}/{}/approve", draft["number"]), &json!({ "mode": "live", "confirmed": true }))
        .await;
    assert_eq!(alone.problem(409), "second_person");
    let sent = approve(&other, &draft, "live").await;

    // Live: the event comes before the page is asked again.
    let event = loop {
        let event = stream.next().await.expect("the stream goes on");
        if event.name == "notice" {
            break event;
        }
    };
    assert_eq!(event.data["id"], sent["id"]);
    wait_for("the words on the neighbour's page", async || {
        let page = neighbour.get("/").await;
        let text = page.text();
        (text.contains("Alerta de tsunami") && !text.contains("SIMULACRO")).then_some(())
    })
    .await;
    let desk = cluster[SAN_JOAQUIN].operator().await;
    wait_for("the desk of the other town", async || {
        let told = desk.get("/api/v1/notices").await.expect(200);
        (told["active"][0]["words"][0]["text"] == "Suba a pie a los cerros").then_some(())
    })
    .await;
    let foreign = json!({ "what": "cancel", "headline": "Nada" });
    let path = format!("/api/v1/notices/{}/drafts", sent["id"].as_str().expect("an id"));
    assert_eq!(desk.post(&path, &foreign).await.status, 403, "a town takes no national notice back");

    let cancel = json!({ "what": "cancel", "headline": "Se descarta el tsunami" });
    let draft = other.post(&path, &cancel).await.expect(201);
    approve(&one, &draft, "live").await;
    wait_for("that it is taken back", async || {
        let told = neighbour.get("/api/v1/notices").await.expect(200)["active"][0].clone();
        let why = &told["cancel_words"][0]["headline"];
        (told["cancelled"] == true && *why == "Se descarta el tsunami").then_some(())
    })
    .await;

    let draft = one.post(drafts, &notice("drill", "Ejercicio de evacuación")).await.expect(201);
    approve(&other, &draft, "drill").await;
    wait_for("a drill that says so", async || {
        let page = neighbour.get("/").await;
        let text = page.text();
        (text.contains("SIMULACRO") && text.contains("Ejercicio de evacuación")).then_some(())
    })
    .await;
}
