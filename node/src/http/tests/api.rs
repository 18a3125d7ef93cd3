//! The routes on a real desk.

use std::collections::BTreeSet;

use protocol::kind::KINDS;
use serde_json::{Value, json};

use super::node::{Node, Who, alert_body, inside};
use super::{FORM, HERE, HTML, JSON};
use crate::http::limits::BODY_BYTES_MAX;
use crate::http::openapi;

/// Every entry of the description: method and path, with an id in place of each parameter.
fn described() -> Vec<(String, String)> {
    let mut list = Vec::new();
    let value: Value = serde_json::from_str(&crate::http::openapi_json()).unwrap();
    for (path, item) in value["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            list.push((method.to_uppercase(), path.replace("{id}", &"ab".repeat(32))));
        }
    }
    list
}

#[tokio::test]
async fn every_described_operation_has_a_route_and_no_other_method_has() {
    let node = Node::town();
    let described = described();
    assert!(described.len() > 25, "{described:?}");
    let paths: BTreeSet<&String> = described.iter().map(|(_, path)| path).collect();
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let answer = node.send(method, path, &[JSON, HERE], "{}").await;
            let known = described.iter().any(|entry| entry == &(method.to_owned(), path.clone()));
            // An id that names nothing is also 404; then the problem is about the incident, and asking
            // with no session is refused before that.
            let routed = answer.status != 405 && answer.status != 404;
            assert_eq!(routed, known, "{method} {path}: {answer:?}");
        }
    }
}

#[test]
fn every_route_of_the_plan_is_described() {
    let described = described();
    let id = "ab".repeat(32);
    for line in [
        "GET /api/v1/node",
        "POST /api/v1/join",
        "POST /api/v1/enter",
        "POST /api/v1/leave",
        "GET /api/v1/me",
        "POST /api/v1/alerts",
        "GET /api/v1/alerts",
        "POST /api/v1/alerts/ID/media",
        "GET /api/v1/near",
        "GET /api/v1/incidents",
        "GET /api/v1/incidents/ID",
        "POST /api/v1/incidents/ID/contributions",
        "POST /api/v1/incidents/ID/solved",
        "POST /api/v1/calls",
        "POST /api/v1/incidents/ID/claim",
        "POST /api/v1/incidents/ID/steps",
        "POST /api/v1/incidents/ID/responses",
        "POST /api/v1/incidents/ID/notes",
        "POST /api/v1/incidents/ID/invitations",
        "POST /api/v1/incidents/ID/offers",
        "POST /api/v1/incidents/ID/offers/accept",
        "POST /api/v1/incidents/ID/offers/decline",
        "POST /api/v1/incidents/ID/close",
        "POST /api/v1/incidents/ID/reopen",
        "POST /api/v1/incidents/ID/referrals",
        "POST /api/v1/incidents/ID/referrals/answer",
        "POST /api/v1/incidents/ID/kind",
        "POST /api/v1/incidents/ID/place",
        "POST /api/v1/incidents/ID/links",
        "POST /api/v1/incidents/ID/links/remove",
        "POST /api/v1/incidents/ID/absorptions",
        "POST /api/v1/incidents/ID/disputes",
        "POST /api/v1/incidents/ID/releases",
        "GET /api/v1/coverage",
        "GET /api/v1/country",
        "GET /api/v1/peers",
        "GET /api/v1/territory",
        "GET /api/v1/kinds",
        "GET /api/v1/events",
        "GET /health",
        "GET /metrics",
        "GET /federation.roster",
        "GET /api/v1/openapi.json",
    ] {
        let (method, path) = line.split_once(' ').unwrap();
        let entry = (method.to_owned(), path.replace("ID", &id));
        assert!(described.contains(&entry), "{line} is not described");
    }
    for (_, response) in
        openapi().paths.paths.values().flat_map(|item| &item.post).flat_map(|post| &post.responses.responses)
    {
        assert!(
            serde_json::to_value(response).unwrap()["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    }
}

#[tokio::test]
async fn a_neighbour_joins_raises_an_alert_and_sees_it_answered_step_by_step() {
    let node = Node::town();
    let (rosa, desk) = (node.resident("Rosa").await, node.operator("Turno").await);
    let me = node.get("/api/v1/me", Some(&rosa)).await.json();
    assert_eq!((me["role"].as_str(), me["name"].as_str()), (Some("resident"), Some("Rosa")));
    let id = node.raise(Some(&rosa), "robbery", 1).await;
    let again = node.post("/api/v1/alerts", Some(&rosa), &alert_body("robbery", 1)).await.json();
    assert_eq!((again["id"].as_str(), again["already"].as_bool()), (Some(id.as_str()), Some(true)));
    let queue = node.get("/api/v1/incidents", Some(&desk)).await.json();
    assert_eq!((queue[0]["id"].as_str(), queue[0]["ringing"].as_bool()), (Some(id.as_str()), Some(true)));
    let acts = [
        ("claim", json!({}), "received"),
        ("steps", json!({"step": "called"}), "called"),
        ("steps", json!({"step": "on_the_way"}), "on_the_way"),
        ("notes", json!({"text": "Avisado"}), "on_the_way"),
        ("responses", json!({"response": "on_site", "crew": "Móvil 4"}), "on_the_way"),
        ("close", json!({"outcome": "helped"}), "closed"),
        ("reopen", json!({"reason": "again"}), ""),
    ];
    for (act, body, status) in acts {
        let answer = node.post(&format!("/api/v1/incidents/{id}/{act}"), Some(&desk), &body).await;
        assert_eq!(answer.status, 200, "{act}: {answer:?}");
        let shown = answer.json();
        assert!(status.is_empty() || shown["incident"]["status"] == status, "{act}: {shown}");
    }
    let mine = node.get("/api/v1/alerts", Some(&rosa)).await.json();
    assert_eq!(mine[0]["incident"]["id"].as_str(), Some(id.as_str()));
    assert!(mine[0]["reporter"].is_null());
    let seen = node.get(&format!("/api/v1/incidents/{id}"), Some(&desk)).await.json();
    assert_eq!(seen["reporter"]["name"], "Rosa");
    let near = node.get("/api/v1/near", Some(&rosa)).await.json();
    assert_eq!(near[0]["id"].as_str(), Some(id.as_str()));
}

#[tokio::test]
async fn an_sos_is_kept_with_a_broken_body_without_a_session_and_outside_every_place() {
    let node = Node::town();
    let desk = node.operator("Turno").await;
    let broken: [(&str, (&str, &str), Vec<u8>); 7] = [
        ("/sos", FORM, b"".to_vec()),
        ("/sos", FORM, b"lat=abc&alert=zz&text=%00help".to_vec()),
        ("/sos", ("content-type", "text/plain"), b"help".to_vec()),
        ("/sos", JSON, vec![b'{'; BODY_BYTES_MAX + 1]),
        ("/api/v1/alerts", JSON, br#"{"kind":"sos","point":{"lat":0.0,"lon":0.0}}"#.to_vec()),
        ("/api/v1/alerts", JSON, br#"{"kind":"sos","point":{"#.to_vec()),
        ("/report/sos", FORM, b"visibility=moon".to_vec()),
    ];
    for (count, (path, kind, body)) in broken.into_iter().enumerate() {
        let answer = node.send("POST", path, &[kind, HERE], body).await;
        assert_eq!(answer.status, 201, "{path}: {answer:?}");
        let queue = node.get("/api/v1/incidents", Some(&desk)).await.json();
        assert_eq!(queue.as_array().unwrap().len(), count + 1, "{path}: every one is kept");
    }
    // A cookie that is no longer good, and a browser too old to say where the form came from.
    for headers in [vec![FORM, HERE, ("cookie", "cuadra=gone")], vec![FORM, ("cookie", "cuadra=gone")]] {
        let kept = node.send("POST", "/sos", &headers, "").await;
        assert!(kept.status == 201 && kept.text.contains("<html"), "{kept:?}");
    }
    let foreign = node.send("POST", "/sos", &[FORM, ("sec-fetch-site", "cross-site")], "").await;
    assert_eq!(foreign.status, 403, "another site's page cannot raise one");
}

#[tokio::test]
async fn other_kinds_want_a_session_and_right_fields() {
    let node = Node::town();
    let rosa = node.resident("Rosa").await;
    let check = async |who: Who<'_>, body: Value, status: u16, code: &str| {
        let answer = node.post("/api/v1/alerts", who, &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}: {answer:?}");
        answer.json()
    };
    check(None, alert_body("fire", 1), 401, "not_signed_in").await;
    check(Some("cuadra=gone"), alert_body("fire", 1), 401, "not_signed_in").await;
    let field = check(Some(&rosa), alert_body("dragon", 1), 422, "field").await;
    assert_eq!(field["field"], "kind");
    let mut body = alert_body("noise", 1);
    body["text"] = "x".repeat(5_000).into();
    assert_eq!(check(Some(&rosa), body, 422, "field").await["field"], "text");
    check(Some(&rosa), json!([]), 400, "malformed").await;
    let sent = [
        (JSON, vec![b' '; BODY_BYTES_MAX + 1], "too_large"),
        (("content-type", "text/plain"), b"x".to_vec(), "media_type"),
    ];
    for (kind, body, code) in sent {
        let answer = node.send("POST", "/api/v1/alerts", &[kind, HERE, ("cookie", &rosa)], body).await;
        assert_eq!(answer.code(), code);
    }
    assert_eq!(node.get("/api/v1/alerts", Some(&rosa)).await.json(), json!([]), "nothing was half-written");
}

#[tokio::test]
async fn cookies_are_kept_from_scripts_and_other_sites_and_codes_are_spent_once() {
    let node = Node::town();
    let code = node.invitation().await;
    let body = json!({"code": code, "name": "Rosa", "address": "Calle 1"});
    let joined = node.post("/api/v1/join", None, &body).await;
    let line = joined.headers["set-cookie"].to_str().unwrap();
    assert!(line.starts_with("cuadra=") && line.contains("HttpOnly; SameSite=Strict"), "{line}");
    assert!(line.contains("Path=/") && !line.contains("Secure") && !line.contains("Domain"), "{line}");
    let again = node.post("/api/v1/join", None, &body).await;
    assert_eq!((again.status, again.code().as_str()), (403, "code_unusable"));
    for path in ["/enter?code=x", &format!("/join?code={code}")] {
        assert_eq!(node.get(path, None).await.status, 200, "a link only opens a page");
    }
    let rosa = joined.cookie();
    let left = node.post("/api/v1/leave", Some(&rosa), &json!({})).await;
    assert_eq!(left.status, 204);
    assert!(left.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(node.get("/api/v1/me", Some(&rosa)).await.status, 401);
}

#[tokio::test]
async fn a_session_that_another_site_may_have_sent_is_not_believed() {
    let node = Node::town();
    let rosa = node.resident("Rosa").await;
    let cookie = ("cookie", rosa.as_str());
    let unknown = node.send("POST", "/api/v1/leave", &[cookie], "").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (401, "not_signed_in"));
    let foreign = node.send("POST", "/api/v1/leave", &[cookie, ("origin", "http://evil.example")], "").await;
    assert_eq!((foreign.status, foreign.code().as_str()), (403, "other_site"));
    assert_eq!(node.get("/api/v1/me", Some(&rosa)).await.status, 200, "still signed in");
    let ours = [cookie, ("host", "here:1"), ("origin", "http://here:1")];
    assert_eq!(node.send("POST", "/api/v1/leave", &ours, "").await.status, 204);
}

#[tokio::test]
async fn not_yours_and_does_not_exist_are_the_same_bytes() {
    let node = Node::town();
    let (rosa, luis) = (node.resident("Rosa").await, node.resident("Luis").await);
    let id = node.raise(Some(&rosa), "domestic_violence", 1).await;
    let ghost = "00".repeat(32);
    for path in ["/api/v1/incidents/ID", "/alerts/ID", "/media/ID"] {
        let theirs = node.get(&path.replace("ID", &id), Some(&luis)).await;
        let missing = node.get(&path.replace("ID", &ghost), Some(&luis)).await;
        let garbled = node.get(&path.replace("ID", "xyz"), Some(&luis)).await;
        assert_eq!((theirs.status, &theirs.text), (404, &missing.text), "{path}");
        assert_eq!((missing.status, &garbled.text), (404, &missing.text), "{path}");
    }
    let add = json!({"what": "saw_it_too"});
    let theirs = node.post(&format!("/api/v1/incidents/{id}/contributions"), Some(&luis), &add).await;
    let missing = node.post(&format!("/api/v1/incidents/{ghost}/contributions"), Some(&luis), &add).await;
    assert_eq!((theirs.status, &theirs.text), (404, &missing.text));
    assert_eq!(node.get(&format!("/api/v1/incidents/{id}"), Some(&rosa)).await.status, 200);
}

#[tokio::test]
async fn residents_cannot_do_what_the_desk_does_and_nobody_can_without_a_session() {
    let node = Node::town();
    let rosa = node.resident("Rosa").await;
    let id = node.raise(Some(&rosa), "robbery", 1).await;
    for path in ["/api/v1/incidents", "/api/v1/coverage", "/api/v1/country", "/api/v1/peers"] {
        assert_eq!(node.get(path, Some(&rosa)).await.status, 403, "{path}");
        assert_eq!(node.get(path, None).await.status, 401, "{path}");
    }
    let acts =
        [("claim", json!({})), ("steps", json!({"step": "called"})), ("close", json!({"outcome": "helped"}))];
    for (act, body) in acts {
        let path = format!("/api/v1/incidents/{id}/{act}");
        assert_eq!(node.post(&path, Some(&rosa), &body).await.status, 403, "{act}");
        assert_eq!(node.post(&path, None, &body).await.status, 401, "{act}");
    }
    let call = json!({"kind": "fire", "address": "Calle 2", "text": "humo"});
    assert_eq!(node.post("/api/v1/calls", Some(&rosa), &call).await.status, 403);
    let desk = node.operator("Turno").await;
    let raised = node.post("/api/v1/calls", Some(&desk), &call).await;
    assert_eq!(raised.status, 201, "{raised:?}");
    let early =
        node.post(&format!("/api/v1/incidents/{id}/reopen"), Some(&desk), &json!({"reason": "again"})).await;
    assert_eq!((early.status, early.code().as_str()), (409, "not_now"));
}

#[tokio::test]
async fn every_form_works_without_javascript_and_answers_with_a_page_to_go_to() {
    let node = Node::town();
    let code = node.invitation().await;
    let (lat, lon) = inside();
    let join = format!("code={code}&name=Rosa&address=Calle+1&phone=&lang=es&lat={lat}&lon={lon}");
    let joined = node.post_form("/join", None, &join).await;
    assert_eq!((joined.status, joined.headers["location"].to_str().unwrap()), (303, "/"), "{joined:?}");
    let (rosa, desk) = (joined.cookie(), node.operator("Turno").await);
    let alert = format!("alert={}&kind=robbery&lat={lat}&lon={lon}&text=a", "07".repeat(32));
    let raised = node.post_form("/alerts", Some(&rosa), &alert).await;
    let to = raised.headers["location"].to_str().unwrap().to_owned();
    assert_eq!((raised.status, to.starts_with("/alerts/")), (303, true));
    let id = to.trim_start_matches("/alerts/").to_owned();
    let acts = [("claim", ""), ("steps", "step=called"), ("notes", "text=x&shared=on")];
    for (act, body) in acts {
        let answer = node.post_form(&format!("/incidents/{id}/{act}"), Some(&desk), body).await;
        let place = answer.headers.get("location").map(|to| to.to_str().unwrap().to_owned());
        assert_eq!(
            (answer.status, place),
            (303, Some(format!("/console/incidents/{id}"))),
            "{act}: {answer:?}"
        );
    }
    let close = node.post_form(&format!("/incidents/{id}/close"), Some(&desk), "outcome=helped").await;
    assert_eq!(close.status, 303);
    let answers = [("solved", "answer=no"), ("contributions", "what=information&text=b")];
    for (act, body) in answers {
        let answer = node.post_form(&format!("/incidents/{id}/{act}"), Some(&rosa), body).await;
        assert_eq!(answer.status, 303, "{act}: {answer:?}");
    }
    assert_eq!(node.post_form(&format!("/incidents/{id}/dance"), Some(&desk), "").await.status, 404);
    let lang = node.post_form("/lang", None, "lang=en&back=//evil.example").await;
    assert_eq!((lang.status, lang.headers["location"].to_str().unwrap()), (303, "/"));
    let sos = node.post_form("/sos", Some(&rosa), "").await;
    assert_eq!((sos.status, sos.headers["location"].to_str().unwrap().starts_with("/alerts/")), (303, true));
    assert_eq!(node.post_form("/leave", Some(&rosa), "").await.status, 303);
    let expired = node.post_form("/alerts", Some(&rosa), &alert).await;
    assert_eq!((expired.status, expired.text.contains("<html")), (401, true));
}

#[tokio::test]
async fn a_form_with_a_mistake_comes_back_with_what_was_typed() {
    let node = Node::town();
    let (rosa, desk) = (node.resident("Rosa").await, node.operator("Turno").await);
    let check = async |path: &str, who: Who<'_>, body: &str, status: u16, shown: [&str; 2]| {
        let answer = node.post_form(path, who, body).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        for words in shown {
            assert!(answer.text.contains(words), "{path} does not show {words}: {}", answer.text);
        }
    };
    check("/join", None, "code=abc&name=Ana+Mar%C3%ADa", 422, ["Falta: dirección", "Ana María"]).await;
    check("/enter", None, "code=spent", 403, ["ya se usó", "spent"]).await;
    let report = format!("alert={}&kind=noise&text=fiesta&visibility=moon", "07".repeat(32));
    check("/alerts", Some(&rosa), &report, 422, ["No es válido: quién me ve", "fiesta"]).await;
    check("/calls", Some(&desk), "kind=fire&address=Calle+9", 422, ["Falta: texto", "Calle 9"]).await;
}

#[test]
fn every_problem_has_words_of_its_own_in_every_language() {
    let list = crate::http::error::Code::ALL;
    for lang in crate::pages::Lang::ALL {
        for code in list {
            for part in ["title", "detail"] {
                let key = format!("problem.{}.{part}", code.name());
                let words = lang.find(&key).unwrap_or_else(|| panic!("{key} in {lang:?}"));
                assert!(!words.contains(['!', '¡']), "{key}: no exclamation marks");
            }
        }
        let full = lang.find("problem.store_full.detail").unwrap();
        assert!(full.contains("{number}"), "a full store names whom to call");
    }
}

#[tokio::test]
async fn every_page_opens_for_those_it_is_for() {
    let node = Node::town();
    let (rosa, desk) = (node.resident("Rosa").await, node.operator("Turno").await);
    let id = node.raise(Some(&rosa), "robbery", 1).await;
    let alert = format!("/alerts/{id}");
    let console = format!("/console/incidents/{id}");
    let pages: [(&str, Who<'_>, u16); 16] = [
        ("/", None, 200),
        ("/", Some(&rosa), 200),
        ("/", Some(&desk), 303),
        ("/join", None, 200),
        ("/enter", None, 200),
        (&alert, Some(&rosa), 200),
        ("/report/noise", Some(&rosa), 200),
        ("/report/dragon", Some(&rosa), 404),
        ("/me", Some(&rosa), 200),
        ("/console", Some(&desk), 200),
        ("/console", Some(&rosa), 403),
        ("/console", None, 401),
        ("/console/call", Some(&desk), 200),
        (&console, Some(&desk), 200),
        ("/coverage", Some(&desk), 200),
        ("/nodes", Some(&desk), 200),
    ];
    for (path, who, status) in pages {
        let mut headers = vec![HTML];
        headers.extend(who.map(|cookie| ("cookie", cookie)));
        let answer = node.send("GET", path, &headers, "").await;
        assert_eq!(answer.status, status, "{path}");
        assert!(status == 303 || answer.text.contains("<html"), "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
    }
    let precinct = Node::precinct();
    assert_eq!(precinct.get("/", None).await.status, 303);
    for path in ["/country", "/coverage", "/api/v1/country", "/api/v1/coverage"] {
        assert_eq!(precinct.get(path, None).await.status, 200, "{path} is public where figures are gathered");
    }
    assert_eq!(precinct.get("/api/v1/peers", None).await.status, 401);
}

#[tokio::test]
async fn a_photo_is_taken_from_its_reporter_and_shown_to_those_who_may_see_it() {
    let node = Node::town();
    let (rosa, luis) = (node.resident("Rosa").await, node.resident("Luis").await);
    let id = node.raise(Some(&rosa), "robbery", 1).await;
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let part = |name: &str, bytes: &[u8]| {
        let head = format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"a\"\r\n\r\n");
        [head.as_bytes(), bytes, b"\r\n--x--\r\n"].concat()
    };
    let path = format!("/api/v1/alerts/{id}/media");
    let send = async |who: &str, body: Vec<u8>| {
        let kind = ("content-type", "multipart/form-data; boundary=x");
        node.send("POST", &path, &[kind, HERE, ("cookie", who)], body).await
    };
    let added = send(&rosa, part("file", png.get_ref())).await;
    assert_eq!(added.status, 201, "{added:?}");
    let photo = format!("/media/{}", added.json()["photo"].as_str().unwrap());
    let shown = node.get(&photo, Some(&rosa)).await;
    assert_eq!((shown.status, shown.headers["content-type"].to_str().unwrap()), (200, "image/jpeg"));
    assert!(shown.headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
    assert_eq!(node.get(&photo, Some(&luis)).await.status, 404);
    assert_eq!(node.get(&photo, None).await.status, 404);
    let check = async |who: &str, body: Vec<u8>, status: u16, code: &str| {
        let answer = send(who, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    };
    check(&rosa, part("file", b"GIF89a not a picture"), 422, "picture").await;
    check(&rosa, part("file", b""), 422, "field").await;
    check(&rosa, part("other", b"x"), 422, "field").await;
    check(&rosa, b"rubbish".to_vec(), 400, "malformed").await;
    check(&luis, part("file", png.get_ref()), 404, "not_found").await;
    check(&rosa, part("file", &vec![0; 13 * 1024 * 1024]), 413, "too_large").await;
    let text = node.send("POST", &path, &[JSON, HERE, ("cookie", &rosa)], "{}").await;
    assert_eq!((text.status, text.code().as_str()), (415, "media_type"));
}

#[tokio::test]
async fn a_full_store_answers_507_with_the_number_to_call_and_never_a_false_201() {
    let node = Node::town_with_pages(140);
    let mut stored = 0_usize;
    let mut answer = node.post("/api/v1/alerts", None, &alert_body("sos", 0)).await;
    for count in 1_u8..=250 {
        if answer.status != 201 {
            break;
        }
        stored += 1;
        let mut body = alert_body("sos", count);
        body["text"] = "y".repeat(3_000).into();
        answer = node.post("/api/v1/alerts", None, &body).await;
    }
    assert_eq!((answer.status, answer.code().as_str()), (507, "store_full"), "{answer:?}");
    assert_eq!(answer.json()["emergency_number"], "133");
    assert!(answer.json()["detail"].as_str().unwrap().contains("133"));
    let held = node.desk.store().read_here(|r| r.queue(crate::store::IncidentQuery::All)).unwrap();
    assert_eq!(held.len(), stored, "what was answered 201 is there, and nothing else");
}

#[tokio::test]
async fn machines_learn_the_nodes_health_numbers_kinds_and_borders() {
    let node = Node::town();
    assert_eq!(node.get("/health", None).await.json()["writes"], true);
    node.raise(None, "sos", 1).await;
    let metrics = node.get("/metrics", None).await.text;
    for line in [
        "cuadra_http_answers_total{class=\"2xx\"} 2",
        "cuadra_alerts_stored_total 1",
        "cuadra_store_jobs{queue=\"urgent\"} 0",
        "cuadra_events_total ",
        "cuadra_peer_lag_ms{peer=",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("Canary"));
    let kinds = node.get("/api/v1/kinds?lang=en", None).await.json();
    assert_eq!(kinds.as_array().unwrap().len(), KINDS.len());
    let borders = node.get("/api/v1/territory", None).await;
    assert_eq!(borders.headers["content-type"], "application/geo+json");
    assert_eq!(borders.json()["features"].as_array().unwrap().len(), 2, "the towns of the roster");
    assert_eq!(node.get("/api/v1/node", None).await.json()["emergency_number"], "133");
    assert_eq!(node.get("/api/v1/openapi.json", None).await.json()["openapi"], "3.1.0");
    node.desk.store().stop();
    assert_eq!(node.get("/health", None).await.status, 503);
}

#[tokio::test]
async fn built_files_are_kept_by_browsers_as_long_as_their_names_say() {
    let node = Node::town();
    for asset in crate::pages::assets::all() {
        let answer = node.get(asset.path, None).await;
        assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (200, asset.mime));
        let cache = answer.headers["cache-control"].to_str().unwrap();
        assert_eq!(cache.contains("immutable"), asset.immutable, "{}", asset.path);
    }
    assert_eq!(node.get("/assets/../secrets", None).await.status, 404);
}
