//! Requests to the web port that no page of the node sends, and to the wrong port.

use reqwest::header::{CONTENT_TYPE, COOKIE, ORIGIN};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tests::cluster::Person;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::stage::Stage;
use super::{Case, deed};

/// A case of one request that a client library can send.
macro_rules! request {
    ($rule:literal, $status:literal, |$stage:ident| $make:expr) => {
        deed("web", $rule, |$stage| {
            Box::pin(async move {
                let request: RequestBuilder = $make;
                let answer = $stage.resident.send(request).await;
                assert_eq!(answer.status, $status, "{}", answer.text());
                format!("answered {}", answer.status)
            })
        })
    };
}

/// A case of bytes that no client library sends; the statuses that may answer them, none for silence.
macro_rules! raw {
    ($rule:literal, [$($status:literal),*], $bytes:expr) => {
        deed("web", $rule, |stage| {
            Box::pin(async move {
                let bytes: Vec<u8> = $bytes;
                let status = answered(stage, &bytes).await;
                let allowed: &[Option<u16>] = &[$(Some($status),)* None];
                assert!(allowed.contains(&status), "answered {status:?}");
                status.map_or("connection closed".to_owned(), |status| format!("answered {status}"))
            })
        })
    };
}

pub fn cases() -> Vec<Case> {
    let mut cases = sites();
    cases.extend(limits());
    cases.extend(bytes());
    cases
}

/// A request with the resident's session, as another site's page would send it.
fn foreign(person: &Person, method: Method, path: &str) -> RequestBuilder {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = client.request(method, format!("{}{path}", person.base));
    request.header(COOKIE, person.cookie.clone().expect("signed in"))
}

fn sites() -> Vec<Case> {
    vec![
        request!("another site's page changes nothing", 403, |stage| {
            foreign(&stage.desk, Method::POST, "/api/v1/leave")
                .header(ORIGIN, "https://elsewhere.example")
                .json(&json!({}))
        }),
        request!("a page of another port of this machine is another site", 403, |stage| {
            foreign(&stage.desk, Method::POST, "/api/v1/leave")
                .header("Sec-Fetch-Site", "same-site")
                .json(&json!({}))
        }),
        request!("another site does not listen to events", 403, |stage| {
            foreign(&stage.desk, Method::GET, "/api/v1/events").header("Sec-Fetch-Site", "cross-site")
        }),
        request!("a form of another site signs nobody in", 403, |stage| {
            foreign(&stage.desk, Method::POST, "/enter")
                .header("Sec-Fetch-Site", "cross-site")
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body("code=AAAA")
        }),
        deed("web", "a session without a word of where it comes from changes nothing", |stage| {
            Box::pin(async move {
                let request = foreign(&stage.desk, Method::POST, "/api/v1/leave").json(&json!({}));
                let answer = stage.desk.send(request).await;
                let still = stage.desk.get("/api/v1/me").await.status;
                assert_eq!(still, 200, "the session was ended from elsewhere");
                format!("answered {}, the session lives", answer.status)
            })
        }),
        deed("web", "a link that is fetched spends no code", |stage| {
            Box::pin(async move {
                let code = stage.node().operator_code("Otra");
                let path = format!("/enter?code={code}");
                let _page = stage.node().stranger().get(&path).await;
                let mut person = stage.node().stranger();
                person.sign_in("/api/v1/enter", &json!({ "code": code })).await;
                "the code is good after it".to_owned()
            })
        }),
        request!("a resident does not sit at the desk", 403, |stage| {
            stage.resident.request(Method::GET, "/api/v1/incidents")
        }),
        request!("nobody acts without a session", 401, |stage| {
            stage.node().stranger().request(Method::GET, "/api/v1/incidents")
        }),
    ]
}

fn limits() -> Vec<Case> {
    vec![
        request!("a body has at most 64 KiB", 413, |stage| {
            stage
                .resident
                .request(Method::POST, "/api/v1/alerts")
                .json(&json!({ "text": "x".repeat(100_000) }))
        }),
        request!("headers have at most 16 KiB", 431, |stage| {
            stage.resident.request(Method::GET, "/").header("X-Long", "x".repeat(40_000))
        }),
        request!("a method that a path does not know is refused", 405, |stage| {
            stage.resident.request(Method::DELETE, "/api/v1/alerts")
        }),
        request!("a path does not lead out of the assets", 404, |stage| {
            stage.resident.request(Method::GET, "/assets/%2e%2e/%2e%2e/secrets/tls.key")
        }),
        request!("the database is not an asset", 404, |stage| {
            stage.resident.request(Method::GET, "/data/node.db")
        }),
    ]
}

fn bytes() -> Vec<Case> {
    vec![
        raw!(
            "a request is HTTP",
            [400, 408],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03rubbish\r\n\r\n".to_vec()
        ),
        raw!("a request does not have two lengths", [400], {
            let head = "POST /api/v1/leave HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 9\r\n\r\n{}{}";
            head.as_bytes().to_vec()
        }),
        raw!("a request is not chunked and long at once", [400, 403, 401, 415], {
            let head = "POST /api/v1/leave HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n";
            format!("{head}Origin: http://elsewhere\r\nConnection: close\r\n\r\n0\r\n\r\n").into_bytes()
        }),
        raw!("a request has at most 64 headers", [431], {
            let headers: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
            format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n").into_bytes()
        }),
        raw!("a request line has an end", [400, 414, 431], {
            [b"GET /".to_vec(), vec![b'a'; 100_000]].concat()
        }),
        raw!("a header has no line break in it", [400], {
            b"GET / HTTP/1.1\r\nHost: x\r\nX: a\nb\x00c\r\n\r\n".to_vec()
        }),
    ]
}

/// The status that raw bytes are answered with; none if the connection is closed without one.
async fn answered(stage: &Stage, bytes: &[u8]) -> Option<u16> {
    let base = stage.node().base();
    let address = base.strip_prefix("http://").expect("plain on loopback");
    let mut stream = TcpStream::connect(address).await.expect("the node listens");
    let _the_node_may_have_closed = stream.write_all(bytes).await;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.ok()?;
    String::from_utf8_lossy(&head).split(' ').nth(1)?.parse().ok()
}
