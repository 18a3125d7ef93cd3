//! The layers that every route has, tried on routes made for it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::Value;

use super::{FORM, JSON, ask, front, request, settings};
use crate::http::error::{Fault, Why};
use crate::http::fields::{Fields, Salvaged};
use crate::http::serve::{Certificate, Listening, ServeError, Transport};
use crate::http::*;

fn tried() -> Router {
    let routes = Router::new()
        .route("/fields", post(async |fields: Fields| format!("{:?}", fields.text("text"))))
        .route("/salvaged", post(async |salvaged: Salvaged| format!("{}", salvaged.problem.is_some())))
        .route("/api/v1/fault", post(async || Problem::from(Fault { field: "name", why: Why::Missing })))
        .route("/panic", get(async || -> Response { panic!("a mistake of ours") }))
        .route("/full", get(async || Problem::new(Code::StoreFull)))
        .route("/page", get(async || "page"));
    let quick = bounded(routes, QUICK);
    let slow = Router::new().route("/slow", get(async || std::future::pending::<Response>().await));
    let slow = bounded(slow, (BODY_BYTES_MAX, Duration::from_millis(20)));
    guarded(quick.merge(slow), &front(Transport::Plain))
}

async fn check(request: Request<Body>, status: u16, code: &str) -> Value {
    let what = format!("{} {}", request.method(), request.uri());
    let (got, headers, body) = ask(tried(), request).await;
    assert_eq!(got.as_u16(), status, "{what}: {body}");
    assert_eq!(headers["content-type"], "application/problem+json", "{what}");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((problem["status"].as_u64(), problem["code"].as_str()), (Some(u64::from(status)), Some(code)));
    problem
}

#[tokio::test]
async fn every_refusal_of_the_layers_is_a_problem_in_the_persons_words() {
    check(request("GET", "/nowhere", &[], ""), 404, "not_found").await;
    check(request("DELETE", "/page", &[], ""), 405, "method").await;
    check(request("POST", "/fields", &[("content-type", "text/plain")], "x"), 415, "media_type").await;
    check(request("POST", "/fields", &[JSON], "{\"text\":"), 400, "malformed").await;
    check(request("POST", "/fields", &[JSON], "[1]"), 400, "malformed").await;
    check(request("POST", "/fields", &[JSON], vec![b' '; BODY_BYTES_MAX + 1]), 413, "too_large").await;
    check(request("GET", "/panic", &[], ""), 500, "internal").await;
    let full = check(request("GET", "/full", &[], ""), 507, "store_full").await;
    assert_eq!(full["emergency_number"], "133");
    let spanish = check(request("POST", "/api/v1/fault", &[], ""), 422, "field").await;
    assert_eq!((spanish["field"].as_str(), spanish["title"].as_str()), (Some("name"), Some("Falta: nombre")));
    let english =
        check(request("POST", "/api/v1/fault", &[("accept-language", "en")], ""), 422, "field").await;
    assert_eq!(english["title"], "Missing: name");
}

#[tokio::test]
async fn a_request_that_hangs_is_answered_408() {
    check(request("GET", "/slow", &[], ""), 408, "timeout").await;
}

#[tokio::test]
async fn a_browser_gets_a_page_and_a_program_json() {
    let html = [("accept", "text/html,*/*;q=0.8")];
    let (status, headers, body) = ask(tried(), request("GET", "/full", &html, "")).await;
    assert_eq!(
        (status.as_u16(), headers["content-type"].to_str().unwrap()),
        (507, "text/html; charset=utf-8")
    );
    assert!(body.contains("133"));
    check(request("POST", "/api/v1/fault", &html, ""), 422, "field").await;
}

#[tokio::test]
async fn every_answer_tells_the_browser_what_it_may_do() {
    for path in ["/page", "/nowhere", "/panic"] {
        let (_, headers, _) = ask(tried(), request("GET", path, &[], "")).await;
        assert_eq!(headers["content-security-policy"], headers::POLICY, "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(headers.contains_key("permissions-policy"), "{path}");
        assert!(!headers.contains_key("strict-transport-security"), "{path}: plain HTTP promises no HTTPS");
    }
    let front = front(Transport::Proxied(vec![]));
    let routes = Router::new().route("/console/incidents/1", get(async || "page"));
    let (_, headers, _) = ask(guarded(routes, &front), request("GET", "/console/incidents/1", &[], "")).await;
    assert!(headers.contains_key("strict-transport-security"));
    assert_eq!(headers["content-security-policy"], headers::MAP_POLICY);
}

#[tokio::test]
async fn what_another_site_sends_is_refused() {
    let host = ("host", "here.localhost:1");
    let foreign = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.example"),
    ];
    for header in foreign {
        check(request("POST", "/fields", &[host, header, FORM], "text=x"), 403, "other_site").await;
        check(request("GET", "/api/v1/events", &[host, header], ""), 403, "other_site").await;
        let (status, _, _) = ask(tried(), request("GET", "/page", &[host, header], "")).await;
        assert_eq!(status, StatusCode::OK, "a link from another site opens a page");
    }
    for header in [("sec-fetch-site", "same-origin"), ("origin", "http://here.localhost:1")] {
        let (status, _, body) =
            ask(tried(), request("POST", "/fields", &[host, header, FORM], "text=x")).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "Ok(Some(\"x\"))"));
    }
}

#[tokio::test]
async fn reading_a_body_that_may_be_an_sos_never_fails() {
    let bodies: [(&str, Vec<u8>); 5] = [
        ("application/json", b"{\"kind\":\"sos\",".to_vec()),
        ("text/plain", b"help".to_vec()),
        ("application/json", vec![b'x'; BODY_BYTES_MAX + 1]),
        ("application/x-www-form-urlencoded", vec![0xff, 0xfe]),
        ("multipart/form-data", vec![]),
    ];
    for (kind, body) in bodies {
        let (status, _, _) =
            ask(tried(), request("POST", "/salvaged", &[("content-type", kind)], body)).await;
        assert_eq!(status, StatusCode::OK, "{kind}");
    }
}

#[test]
fn fields_are_read_alike_from_json_and_from_a_form() {
    let json = Fields::from_json(
        br#"{"text":" a\r\nb ","silent":true,"point":{"lat":-33.5,"lon":-70.6,"accuracy_m":8}}"#,
    );
    let form = Fields::from_form(b"text=+a%0D%0Ab+&silent=on&lat=-33,5&lon=-70.6&accuracy_m=8&name=+");
    for fields in [json.unwrap(), form.unwrap()] {
        assert_eq!(fields.text("text"), Ok(Some("a\nb".to_owned())));
        assert_eq!(fields.flag("silent"), Ok(true));
        let (point, accuracy) = fields.point().unwrap().unwrap();
        assert_eq!((point.lat, point.lon, accuracy), (-33.5, -70.6, Some(8.0)));
        assert_eq!(fields.line("name"), Ok(None));
    }
    let wrong = [
        r#"{"point":{"lat":-33}}"#,
        r#"{"lat":91,"lon":0}"#,
        r#"{"point":[1,2]}"#,
        r#"{"lat":"x","lon":"1"}"#,
    ];
    for body in wrong {
        let fault = Fields::from_json(body.as_bytes()).unwrap().point().unwrap_err();
        assert_eq!(fault, Fault { field: "point", why: Why::Wrong }, "{body}");
    }
    let long = Fields::from_json(format!("{{\"name\":\"{}\"}}", "n".repeat(201)).as_bytes()).unwrap();
    assert_eq!(long.line("name"), Err(Fault { field: "name", why: Why::TooLong }));
}

#[test]
fn plain_http_is_served_on_loopback_only() {
    let mut public = settings(Transport::Plain);
    public.listen = SocketAddr::from(([0, 0, 0, 0], 0));
    assert!(matches!(Listening::start(&public), Err(ServeError::PlainOnPublicAddress(_))));
    public.transport = Transport::Proxied(vec![]);
    assert!(Listening::start(&public).is_ok());
    assert!(Listening::start(&settings(Transport::Plain)).is_ok());
}

#[test]
fn the_nodes_own_certificate_is_made_once_and_its_key_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let names = vec!["here.localhost".to_owned()];
    let certificate = Certificate::SelfSigned { folder: folder.path().join("secrets"), names };
    let https = settings(Transport::Https(certificate));
    Listening::start(&https).unwrap();
    let chain = folder.path().join("secrets/https-cert.pem");
    let first = std::fs::read(&chain).unwrap();
    Listening::start(&https).unwrap();
    assert_eq!(std::fs::read(&chain).unwrap(), first);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let key = std::fs::metadata(folder.path().join("secrets/https-key.pem")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }
    std::fs::write(&chain, "not PEM").unwrap();
    assert!(Listening::start(&https).is_err());
}
