//! What a node answers to what it cannot use: clearly, in the person's language, with nothing half
//! written. An SOS is kept all the same.

use reqwest::header::{ACCEPT_LANGUAGE, CONTENT_TYPE, ORIGIN};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use tests::cluster::places::{AT_SEA, MIDDLE_OF_SAN_MIGUEL, SAN_MIGUEL};
use tests::cluster::{Cluster, Person};

/// The id of the `number`th alert of a test.
fn id(number: u64) -> String {
    format!("{number:064x}")
}

fn report(number: u64) -> Value {
    json!({ "alert": id(number), "kind": "noise", "point": MIDDLE_OF_SAN_MIGUEL.json(), "text": "Loud" })
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

/// Reports that cannot be used, and the status that each is refused with.
fn unusable(ana: &Person) -> Vec<(&'static str, RequestBuilder, u16)> {
    let post = || ana.request(Method::POST, "/api/v1/alerts");
    let raw = |body: &str| post().header(CONTENT_TYPE, "application/json").body(body.to_owned());
    let wrong = |field: &str, value: Value| post().json(&with(report(1), field, value));
    vec![
        ("no JSON", raw("{\"alert\": "), 400),
        ("empty", raw(""), 400),
        ("not an object", raw("[1, 2, 3]"), 400),
        ("too deep", raw(&"[".repeat(20_000)), 400),
        ("not a text", raw("{\"alert\":\"\\ud800\"}"), 400),
        ("too large", raw(&format!("{{\"text\":\"{}\"}}", "x".repeat(200_000))), 413),
        ("not JSON by its type", raw("kind=noise").header(CONTENT_TYPE, "text/plain"), 415),
        ("no alert id", wrong("alert", Value::Null), 422),
        ("a short alert id", wrong("alert", json!("abc")), 422),
        ("an unknown kind", wrong("kind", json!("dragon")), 422),
        ("a kind that is no text", wrong("kind", json!(7)), 422),
        ("an unknown urgency", wrong("urgency", json!("now")), 422),
        ("a place off the Earth", wrong("point", json!({ "lat": 91, "lon": 0 })), 422),
        ("half a place", wrong("point", json!({ "lat": -33.5 })), 422),
        ("too many words", wrong("text", json!("x".repeat(20_000))), 422),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_used_is_refused_clearly_and_leaves_nothing() {
    let cluster = Cluster::start(&[SAN_MIGUEL]).await;
    let ana = cluster[SAN_MIGUEL].resident("Ana").await;
    let operator = cluster[SAN_MIGUEL].operator().await;
    for (what, request, status) in unusable(&ana) {
        let answer = ana.send(request).await;
        assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        assert_eq!(answer.media_type, "application/problem+json", "{what}: {}", answer.text());
        // Which of these a bad body or field is, is no promise.
        let field = |status| matches!(status, 400 | 415 | 422);
        let same = answer.status == status || (field(status) && field(answer.status));
        assert!(same, "{what}: {} instead of {status}", answer.status);
        answer.problem(answer.status);
    }
    assert!(operator.queue().await.is_empty(), "something that was refused was kept");
    assert_eq!(ana.get("/api/v1/alerts").await.expect(200), json!([]));
    ana.post("/api/v1/alerts", &report(2)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_speaks_the_persons_language() {
    let cluster = Cluster::start(&[SAN_MIGUEL]).await;
    let ana = cluster[SAN_MIGUEL].resident("Ana").await;
    let mut details = Vec::new();
    for language in ["es-CL,es;q=0.9", "en-GB,en;q=0.8"] {
        let request = ana.request(Method::POST, "/api/v1/alerts").header(ACCEPT_LANGUAGE, language);
        let answer = ana.send(request.json(&with(report(1), "kind", json!("dragon")))).await;
        answer.problem(answer.status);
        details.push(answer.json()["detail"].as_str().expect("a detail").to_owned());
    }
    assert_ne!(details[0], details[1], "both languages say the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_outside_every_territory_is_kept_here_and_marked() {
    let cluster = Cluster::start(&[SAN_MIGUEL]).await;
    let ana = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = ana.post("/api/v1/alerts", &with(report(1), "point", AT_SEA.json())).await.expect(201);
    assert_eq!(raised["outside"], true);
    let operator = cluster[SAN_MIGUEL].operator().await;
    let detail = operator.wait_for_incident(raised["id"].as_str().expect("an id")).await;
    assert_eq!(detail["incident"]["code"], "outside");
    assert_eq!(detail["incident"]["ours"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sos_is_kept_whatever_is_wrong_with_it() {
    let cluster = Cluster::start(&[SAN_MIGUEL]).await;
    let ana = cluster[SAN_MIGUEL].resident("Ana").await;
    let nobody = cluster[SAN_MIGUEL].stranger();
    let stale = nobody.with_cookie(format!("cuadra={}", "ab".repeat(32)));
    let operator = cluster[SAN_MIGUEL].operator().await;
    let sos = |number| json!({ "alert": id(number), "kind": "sos" });
    let here = MIDDLE_OF_SAN_MIGUEL.json();
    let kept = [
        ("no position", &nobody, sos(1)),
        ("signed out", &nobody, with(sos(2), "point", here.clone())),
        ("a stale session", &stale, with(sos(3), "point", here.clone())),
        ("at sea", &ana, with(sos(4), "point", AT_SEA.json())),
        ("a place off the Earth", &nobody, with(sos(5), "point", json!({"lat": 4000, "lon": 0}))),
        ("too many words", &nobody, with(sos(6), "text", json!("x".repeat(10_000)))),
        ("an unknown urgency", &nobody, with(sos(7), "urgency", json!("now"))),
        ("an unknown visibility", &nobody, with(sos(8), "visibility", json!("martians"))),
        ("no alert id", &nobody, json!({ "kind": "sos", "point": here })),
    ];
    for (what, person, body) in &kept {
        let raised = person.post("/api/v1/alerts", body).await;
        assert_eq!(raised.status, 201, "{what}: {}", raised.text());
        let id = raised.json()["id"].as_str().expect("an id").to_owned();
        let detail = operator.wait_for_incident(&id).await;
        assert_eq!(detail["incident"]["kind"], "sos", "{what}");
        assert_eq!(detail["incident"]["urgency"], "emergency", "{what}");
    }
    // The plain form of a browser without JavaScript, from a session that is over.
    let form = stale.request(Method::POST, "/sos").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = stale.send(form.body(format!("kind=sos&alert={}", id(90)))).await;
    assert!(answer.status < 400, "{} {}", answer.status, answer.text());
    // And many at once: an SOS is never told that there are too many.
    for number in 100..140 {
        let raised = nobody.post("/api/v1/alerts", &sos(number)).await;
        assert_eq!(raised.status, 201, "{}", raised.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_session_refuses_a_stale_one_and_another_sites_page() {
    let cluster = Cluster::start(&[SAN_MIGUEL]).await;
    let ana = cluster[SAN_MIGUEL].resident("Ana").await;
    let stale = ana.with_cookie(format!("cuadra={}", "cd".repeat(32)));
    assert_eq!(stale.post("/api/v1/alerts", &report(1)).await.problem(401), "not_signed_in");
    assert_eq!(stale.get("/api/v1/me").await.problem(401), "not_signed_in");
    assert_eq!(ana.get("/api/v1/incidents").await.problem(403), "not_for_you");

    let plain = reqwest::Client::new().post(format!("{}/api/v1/alerts", ana.base));
    let cookie = ana.cookie.clone().expect("signed in");
    let crossed = plain
        .header("Cookie", cookie)
        .header(ORIGIN, "https://evil.example")
        .header("Sec-Fetch-Site", "cross-site");
    assert_eq!(ana.send(crossed.json(&report(2))).await.problem(403), "other_site");
    assert_eq!(ana.get("/api/v1/alerts").await.expect(200), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_is_none_is_refused_and_the_alert_stands() {
    let cluster = Cluster::start(&[SAN_MIGUEL]).await;
    let ana = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = ana.post("/api/v1/alerts", &report(1)).await.expect(201);
    let incident = raised["id"].as_str().expect("an id");
    let path = format!("/api/v1/alerts/{incident}/media");
    let huge_png_header: Vec<u8> = [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(),
        &100_000u32.to_be_bytes(),
        &100_000u32.to_be_bytes(),
        b"\x08\x02\0\0\0\0\0\0\0",
    ]
    .concat();
    for (what, name, bytes) in [
        ("words", "photo.jpg", b"this is no picture at all".to_vec()),
        ("markup", "photo.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>".to_vec()),
        ("nothing", "photo.png", Vec::new()),
        ("a bomb", "photo.png", huge_png_header),
        ("half a JPEG", "photo.jpg", vec![0xff, 0xd8, 0xff, 0xe0, 0, 16, b'J', b'F', b'I', b'F']),
    ] {
        let part = reqwest::multipart::Part::bytes(bytes).file_name(name);
        let form = reqwest::multipart::Form::new().part("file", part);
        let answer = ana.send(ana.request(Method::POST, &path).multipart(form)).await;
        assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        answer.problem(answer.status);
    }
    let own = ana.get("/api/v1/alerts").await.expect(200);
    let lines = own[0]["timeline"].as_array().expect("a timeline").len();
    assert_eq!(lines, 1, "only the report itself: {own}");
}
