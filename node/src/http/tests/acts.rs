//! Referring, merging, correcting, disputing and sharing over HTTP: by JSON and by plain forms.

use serde_json::{Value, json};

use super::node::{Node, inside};
use super::{HTML, node::Who};

async fn page(node: &Node, path: &str, who: Who<'_>) -> String {
    let mut headers = vec![HTML];
    headers.extend(who.map(|cookie| ("cookie", cookie)));
    let answer = node.send("GET", path, &headers, "").await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.text
}

#[tokio::test]
async fn every_act_is_done_by_json_and_refused_with_its_reason() {
    let node = Node::town();
    let (rosa, desk) = (node.resident("Rosa").await, node.operator("Turno").await);
    let (first, second) =
        (node.raise(Some(&rosa), "noise", 1).await, node.raise(Some(&rosa), "noise", 2).await);
    let (lat, lon) = inside();
    let act = async |who: Who<'_>, id: &str, what: &str, body: Value| {
        node.post(&format!("/api/v1/incidents/{id}/{what}"), who, &body).await
    };
    let asked = act(Some(&desk), &first, "referrals", json!({"service": "fire"})).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    let referral = asked.json()["referrals"][0]["id"].clone();
    let answer = json!({"referral": referral, "answer": "accepted"});
    let answered = act(Some(&desk), &first, "referrals/answer", answer).await.json();
    assert_eq!(answered["referrals"][0]["state"], "accepted");
    let kind = json!({"kind": "fire", "urgency": "high"});
    let corrected = act(Some(&desk), &first, "kind", kind).await.json();
    assert_eq!(
        (&corrected["incident"]["kind"], &corrected["incident"]["urgency"]),
        (&json!("fire"), &json!("high"))
    );
    let place = json!({"point": {"lat": lat, "lon": lon}, "address": "Los Olmos 12"});
    let moved = act(Some(&desk), &first, "place", place).await.json();
    assert_eq!(moved["timeline"].as_array().unwrap().last().unwrap()["text"], "Los Olmos 12");
    let short = corrected["incident"]["short"].clone();
    let linked = act(Some(&desk), &second, "links", json!({"target": short})).await.json();
    assert_eq!(linked["merged"]["id"], json!(first));
    let rows = node.get("/api/v1/incidents", Some(&desk)).await.json();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    let apart = act(Some(&desk), &second, "links/remove", json!({"target": first})).await.json();
    assert!(apart["merged"].is_null());
    let note = act(Some(&desk), &first, "notes", json!({"text": "for all"})).await.json();
    let words = note["timeline"].as_array().unwrap().last().unwrap()["words"].clone();
    let release = json!({"blobs": [words], "confirmed": true});
    let shared = act(Some(&desk), &first, "releases", release).await.json();
    let lines = shared["timeline"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["released"] == json!([words])), "{shared}");

    for (what, body, status, code) in [
        ("referrals", json!({}), 422, "field"),
        ("referrals", json!({"service": "army"}), 422, "field"),
        ("referrals/answer", json!({"referral": "00", "answer": "accepted"}), 422, "field"),
        ("kind", json!({"kind": "dragon"}), 422, "field"),
        ("place", json!({"address": "somewhere"}), 422, "field"),
        ("links", json!({"target": "????"}), 422, "field"),
        ("links", json!({}), 422, "field"),
        ("absorptions", json!({"target": second}), 409, "not_now"),
        ("disputes", json!({"what": "place", "text": "ours"}), 409, "not_now"),
        ("disputes", json!({"what": "place"}), 422, "field"),
        ("releases", json!({"blobs": []}), 422, "field"),
        ("releases", json!({"blobs": [], "confirmed": true}), 422, "field"),
    ] {
        let refused = act(Some(&desk), &first, what, body.clone()).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{what} {body}: {refused:?}");
        let refused = act(Some(&rosa), &first, what, body.clone()).await;
        assert!([403, 422].contains(&refused.status), "{what} {body} by a resident: {refused:?}");
        assert_eq!(act(None, &first, what, body).await.status, 401, "{what}");
    }
}

#[tokio::test]
async fn the_forms_of_the_incident_work_without_javascript_and_come_back_to_their_page() {
    let node = Node::town();
    let (rosa, desk) = (node.resident("Rosa").await, node.operator("Turno").await);
    let (first, second) =
        (node.raise(Some(&rosa), "noise", 1).await, node.raise(Some(&rosa), "noise", 2).await);
    let (lat, lon) = inside();
    let console = format!("/console/incidents/{second}");
    let shown = page(&node, &console, Some(&desk)).await;
    for action in ["referrals", "link", "kind", "place"] {
        let form = format!("action=\"/incidents/{second}/acts/{action}\"");
        assert!(shown.contains(&form), "no form for {action}");
    }
    assert!(shown.contains(&format!("<option value=\"{first}\">")), "the other one is suggested");
    let more = format!("{console}/more");
    let send = async |action: &str, body: String, back: &str| {
        let answer = node.post_form(&format!("/incidents/{second}/acts/{action}"), Some(&desk), &body).await;
        let to = answer.headers.get("location").map(|to| to.to_str().unwrap());
        assert_eq!((answer.status, to), (303, Some(back)), "{action} {body}: {answer:?}");
    };
    send("referrals", "service=police&node=".into(), &console).await;
    let referral = node.get(&format!("/api/v1/incidents/{second}"), Some(&desk)).await.json();
    let referral = referral["referrals"][0]["id"].as_str().unwrap().to_owned();
    let shown = page(&node, &console, Some(&desk)).await;
    assert!(shown.contains("esperando respuesta") && shown.contains("sigue siendo nuestra"), "{shown}");
    send("answers", format!("referral={referral}&answer=declined"), &console).await;
    send("kind", "kind=suspicious&urgency=".into(), &console).await;
    send("place", format!("address=Esquina&lat={lat}&lon={lon}"), &console).await;
    send("link", format!("target={first}&number="), &console).await;
    let shown = page(&node, &console, Some(&desk)).await;
    assert!(shown.contains("Se muestra unida a"), "{shown}");
    let shown = page(&node, &format!("/alerts/{second}"), Some(&rosa)).await;
    assert!(shown.contains("Otra persona avisó de lo mismo"), "{shown}");
    send("unlink", format!("target={first}"), &console).await;
    let note = json!({"text": "para todos"});
    let noted = node.post(&format!("/api/v1/incidents/{second}/notes"), Some(&desk), &note).await.json();
    let words = noted["timeline"].as_array().unwrap().last().unwrap()["words"].as_str().unwrap().to_owned();
    assert!(page(&node, &more, Some(&desk)).await.contains("acts/releases"));
    send("releases", format!("blobs={words}&confirmed=true"), &more).await;
    assert_eq!(node.post_form(&format!("/incidents/{second}/acts/dance"), Some(&desk), "").await.status, 404);
    let unsure = node.post_form(&format!("/incidents/{second}/acts/releases"), Some(&desk), "blobs=x").await;
    assert_eq!((unsure.status, unsure.text.contains("<html")), (422, true));
}
