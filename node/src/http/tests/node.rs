//! A node with a real store on a folder of its own, and the people of the tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use config::territory::Territory;
use protocol::fixture::{Federation, code};
use protocol::ids::Millis;
use serde_json::Value;
use tempfile::TempDir;

use super::{FORM, HERE, JSON, ask, request, settings};
use crate::desk::Desk;
use crate::http::serve::Transport;
use crate::http::{App, router};
use crate::store::{Opening, Store};

const START: u64 = 1_790_000_000_000;

/// One node of a federation of two towns, a precinct and the country.
pub(super) struct Node {
    pub app: App,
    pub desk: Desk,
    _folder: TempDir,
}

/// An answer, as far as tests look at it.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(super) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// `name=value` of the session's cookie.
    pub(super) fn cookie(&self) -> String {
        let lines = self.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
        let line = lines.into_iter().find(|line| line.contains("cuadra=")).expect("a session was begun");
        line.split(';').next().unwrap().to_owned()
    }
}

/// Who asks: nobody, or the holder of a cookie.
pub(super) type Who<'a> = Option<&'a str>;

impl Node {
    /// A town.
    pub(super) fn town() -> Self {
        Self::member(0, None)
    }

    /// A town whose store is full after so many pages.
    pub(super) fn town_with_pages(pages_max: u32) -> Self {
        Self::member(0, Some(pages_max))
    }

    /// The precinct above the towns.
    pub(super) fn precinct() -> Self {
        Self::member(2, None)
    }

    fn member(n: usize, pages_max: Option<u32>) -> Self {
        let federation = Federation::new(2);
        let folder = tempfile::tempdir().unwrap();
        let clock = AtomicU64::new(START);
        let store = Store::open(Opening {
            folder: folder.path().to_owned(),
            clock: Arc::new(move || Millis(clock.fetch_add(1, Ordering::SeqCst))),
            hand: federation.hand(n),
            rosters: federation.rosters.clone(),
            time_zone: jiff::tz::TimeZone::UTC,
            ballast_bytes: 4_096,
            pages_max,
        });
        let mut config = config::Config::default();
        config.node.jurisdictions = vec![config::Jurisdiction {
            code: code(0),
            name: config::values::Name::parse("Town").unwrap(),
            population: 100_000,
            target_percent: config::values::Percent::default(),
        }];
        let desk = Desk::new(store.unwrap(), config, Territory::built_in());
        Self { app: App::new(settings(Transport::Plain), desk.clone()), desk, _folder: folder }
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let (status, headers, text) =
            ask(router(self.app.clone()), request(method, path, headers, body)).await;
        let status: StatusCode = status;
        Answer { status: status.as_u16(), headers, text }
    }

    pub(super) async fn get(&self, path: &str, who: Who<'_>) -> Answer {
        let cookie = who.map(|cookie| ("cookie", cookie));
        self.send("GET", path, cookie.as_slice(), "").await
    }

    pub(super) async fn post(&self, path: &str, who: Who<'_>, body: &Value) -> Answer {
        let mut headers = vec![JSON, HERE];
        headers.extend(who.map(|cookie| ("cookie", cookie)));
        self.send("POST", path, &headers, body.to_string()).await
    }

    pub(super) async fn post_form(&self, path: &str, who: Who<'_>, body: &str) -> Answer {
        let mut headers = vec![FORM, HERE, super::HTML];
        headers.extend(who.map(|cookie| ("cookie", cookie)));
        self.send("POST", path, &headers, body.to_owned()).await
    }

    pub(super) async fn invitation(&self) -> String {
        self.desk.create_invitation(1, Millis(60_000_000)).await.unwrap()
    }

    /// Joins over HTTP; the cookie.
    pub(super) async fn resident(&self, name: &str) -> String {
        let (lat, lon) = inside();
        let body = serde_json::json!({
            "code": self.invitation().await, "name": name, "address": format!("{name} street 1"),
            "lang": "es", "point": {"lat": lat, "lon": lon},
        });
        let answer = self.post("/api/v1/join", None, &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.cookie()
    }

    /// Signs in over HTTP; the cookie.
    pub(super) async fn operator(&self, name: &str) -> String {
        let person = self.desk.add_operator(name).await.unwrap();
        let code = self.desk.sign_in_code(person, Millis(60_000_000)).await.unwrap();
        let answer = self.post("/api/v1/enter", None, &serde_json::json!({ "code": code })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.cookie()
    }

    /// Raises an alert of this kind over HTTP; its document.
    pub(super) async fn raise(&self, who: Who<'_>, kind: &str, alert: u8) -> String {
        let answer = self.post("/api/v1/alerts", who, &alert_body(kind, alert)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }
}

/// A place inside the town.
pub(super) fn inside() -> (f64, f64) {
    Territory::built_in().invented_point(code(0), 7).unwrap().degrees()
}

pub(super) fn alert_body(kind: &str, alert: u8) -> Value {
    let (lat, lon) = inside();
    serde_json::json!({
        "alert": hex::encode([alert; 32]), "kind": kind, "point": {"lat": lat, "lon": lon, "accuracy_m": 12},
        "text": "Canary words",
    })
}
