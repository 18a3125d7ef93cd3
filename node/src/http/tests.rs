//! The HTTP side, tried without a socket: its layers on made-up routes, its routes on a real desk.

use std::net::SocketAddr;
use std::path::Path;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::pages::Lang;

mod above;
mod acts;
mod api;
mod layers;
mod node;
mod streams;

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const HERE: (&str, &str) = ("sec-fetch-site", "same-origin");
const HTML: (&str, &str) = ("accept", "text/html,*/*;q=0.8");

fn settings(transport: Transport) -> Settings {
    let settings = Settings::from_config(&config::Config::default(), Path::new(""));
    Settings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), transport, language: Lang::EsCl, ..settings }
}

fn front(transport: Transport) -> Front {
    let node = NodeView {
        id: String::new(),
        name: "La Pintana".into(),
        roles: vec!["municipal".into()],
        codes: vec![],
        emergency_number: "133".into(),
        version: "0".into(),
        roster_version: 1,
        roster_expired: false,
        roster_expires_ms: 1 << 50,
        roster_forked: false,
        invented_places: true,
        writes: "everywhere".into(),
    };
    Front::new(settings(transport), node)
}

async fn ask(router: Router, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response = router.oneshot(request).await.into_response();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8_lossy(&bytes).into_owned())
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}
