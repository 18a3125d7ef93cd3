//! Lost nodes and mass messages over HTTP: the API, and the forms without JavaScript.

use serde_json::{Value, json};

use super::node::Node;

fn notice(extra: &Value) -> Value {
    let mut body = json!({
        "mode": "live", "code": "CL-13101", "urgency": "high", "hours": 6,
        "headline": "Corte de agua", "text": "Junte agua",
    });
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn one_person_drafts_a_notice_another_sends_it_and_everybody_is_told() {
    let node = Node::town();
    let (ana, luis) = (node.operator("Ana").await, node.operator("Luis").await);
    let rosa = node.resident("Rosa").await;
    let drafts = "/api/v1/notices/drafts";
    for (who, extra, status, field) in [
        (None, json!({}), 401, None),
        (Some(&rosa), json!({}), 403, None),
        (Some(&ana), json!({"hours": null}), 422, Some("hours")),
        (Some(&ana), json!({"headline": "a".repeat(91)}), 422, Some("headline")),
        (Some(&ana), json!({"code": "CL-13102"}), 422, Some("code")),
        (Some(&ana), json!({"mode": "maybe"}), 422, Some("mode")),
    ] {
        let answer = node.post(drafts, who.map(String::as_str), &notice(&extra)).await;
        assert_eq!(answer.status, status, "{extra}: {answer:?}");
        assert_eq!(answer.json()["field"].as_str(), field, "{extra}");
    }
    let draft = node.post(drafts, Some(&ana), &notice(&json!({}))).await;
    assert_eq!((draft.status, draft.json()["reach"]["households"].as_u64()), (201, Some(1)));
    let approve = format!("{drafts}/{}/approve", draft.json()["number"]);
    let sure = json!({"mode": "live", "confirmed": true});
    let alone = node.post(&approve, Some(&ana), &sure).await;
    assert_eq!((alone.status, alone.code().as_str()), (409, "second_person"));
    let unsure = node.post(&approve, Some(&luis), &json!({"mode": "live"})).await;
    assert_eq!((unsure.status, unsure.json()["field"].as_str()), (422, Some("confirmed")));
    assert_eq!(node.post(&approve, Some(&rosa), &sure).await.status, 403);
    let sent = node.post(&approve, Some(&luis), &sure).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    assert_eq!(node.post(&approve, Some(&luis), &sure).await.status, 404, "it is decided");
    let told = node.get("/api/v1/notices", None).await.json();
    assert_eq!(told["active"][0]["words"][0]["headline"], "Corte de agua");
    assert_eq!((&told["drafts"], &told["active"][0]["approved_by"]), (&json!([]), &Value::Null));
    for (who, path) in [(None, "/"), (Some(rosa.as_str()), "/"), (Some(luis.as_str()), "/console")] {
        let page = node.get(path, who).await;
        assert!(page.text.contains("Corte de agua"), "{path} as {who:?}");
    }
}

#[tokio::test]
async fn a_drill_goes_through_its_own_forms_and_says_what_it_is_everywhere() {
    let node = Node::town();
    let (ana, luis) = (node.operator("Ana").await, node.operator("Luis").await);
    let rosa = node.resident("Rosa").await;
    let form = node.get("/notices/drill", Some(&ana)).await;
    assert!(form.text.contains("name=\"mode\" value=\"drill\"") && form.text.contains("SIMULACRO"));
    assert_eq!(node.get("/notices/drill", Some(&rosa)).await.status, 403);
    let wrong =
        node.post_form("/notices", Some(&ana), "mode=drill&code=CL-13101&urgency=high&headline=Sismo").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("value=\"Sismo\"") && wrong.text.contains("is-drill"), "the form again");
    let body = "mode=drill&code=CL-13101&urgency=high&hours=2&headline=Sismo";
    let drafted = node.post_form("/notices", Some(&ana), body).await;
    let place = |answer: &super::node::Answer| answer.headers["location"].to_str().unwrap().to_owned();
    assert_eq!((drafted.status, place(&drafted).as_str()), (303, "/notices/drafts/1"));
    let own = node.get("/notices/drafts/1", Some(&ana)).await;
    assert!(!own.text.contains("/approve") && own.text.contains("otra persona"), "not to be sent alone");
    let preview = node.get("/notices/drafts/1", Some(&luis)).await;
    assert!(preview.text.contains("hogares: 1") && preview.text.contains("SIMULACRO"));
    let as_real = node.post_form("/notices/drafts/1/approve", Some(&luis), "mode=live&confirmed=true").await;
    assert_eq!(as_real.status, 422, "what is sent must be what was read");
    let sent = node.post_form("/notices/drafts/1/approve", Some(&luis), "mode=drill&confirmed=true").await;
    assert_eq!(sent.status, 303, "{sent:?}");
    let page = node.get(&place(&sent), Some(&luis)).await;
    assert!(
        page.text.contains("value=\"cancel\"") && page.text.contains("value=\"update\""),
        "both are ready"
    );
    let home = node.get("/", Some(&rosa)).await;
    let strip = home.text.split("<main").next().unwrap();
    assert!(strip.contains("SIMULACRO") && strip.contains("Sismo"), "{strip}");
    let neighbour = node.get(&place(&sent), Some(&rosa)).await;
    assert!(neighbour.text.contains("No ha ocurrido nada") && !neighbour.text.contains("value=\"cancel\""));
    // Taking it back, from the same page, by two people.
    let cancel =
        node.post_form(&format!("{}/drafts", place(&sent)), Some(&luis), "what=cancel&headline=Fin").await;
    assert_eq!(place(&cancel), "/notices/drafts/2");
    let done = node.post_form("/notices/drafts/2/approve", Some(&ana), "mode=drill&confirmed=true").await;
    assert_eq!(done.status, 303);
    let home = node.get("/", Some(&rosa)).await;
    assert!(home.text.contains("ANULADO"));
    let draft = node.post_form("/notices", Some(&ana), body).await;
    let discard = format!("{}/discard", place(&draft));
    assert_eq!(place(&node.post_form(&discard, Some(&luis), "").await), "/notices");
}

#[tokio::test]
async fn lost_nodes_are_listed_for_the_desk_of_their_authority() {
    let node = Node::precinct();
    let desk = node.operator("Marta").await;
    assert_eq!(node.get("/api/v1/takeovers", None).await.status, 401);
    let listed = node.get("/api/v1/takeovers", Some(&desk)).await.json();
    let lost = listed["lost"].as_array().unwrap();
    assert_eq!(lost.len(), 3, "nobody has a link: {listed}");
    let (id, other) = (lost[0]["id"].as_str().unwrap(), lost[1]["id"].as_str().unwrap());
    let one = node.get(&format!("/api/v1/takeovers/{id}"), Some(&desk)).await.json();
    assert_eq!((one["why"].as_str(), one["open"].as_u64()), (Some("silent"), Some(0)));
    let unknown = format!("/api/v1/takeovers/{}", "ab".repeat(32));
    assert_eq!(node.get(&unknown, Some(&desk)).await.status, 404);
    let ask = |extra: &Value| {
        let mut body = json!({"node": id, "to": other, "reason": "no power"});
        for (name, value) in extra.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    for (extra, status) in [
        (json!({}), 200),
        (json!({"reason": " "}), 422),
        (json!({"to": id}), 422),
        (json!({"node": "ab".repeat(32)}), 403),
        (json!({"incident": "ab".repeat(32)}), 409),
    ] {
        let answer = node.post("/api/v1/takeovers", Some(&desk), &ask(&extra)).await;
        assert_eq!(answer.status, status, "{extra}: {answer:?}");
    }
    let seal = json!({"node": id, "until_ms": 5, "reason": "told by phone"});
    assert_eq!(node.post("/api/v1/takeovers/seals", Some(&desk), &seal).await.status, 409, "not expelled");
    let nothing = json!({"node": id});
    assert_eq!(node.post("/api/v1/takeovers/answers", Some(&desk), &nothing).await.status, 409);
    let page = node.get("/takeovers", Some(&desk)).await;
    assert!(page.text.contains(&format!("/takeovers/{id}")), "{page:?}");
    let form = format!("node={id}&to={other}&reason=sin+luz");
    let done = node.post_form("/takeovers", Some(&desk), &form).await;
    let back = done.headers["location"].to_str().unwrap();
    assert_eq!(back, format!("/takeovers/{id}?done=0&refused=0&left=0"));
    assert!(node.get(back, Some(&desk)).await.text.contains("Listo. Incidentes: 0"));
}
