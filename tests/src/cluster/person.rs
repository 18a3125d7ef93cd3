//! A person with a browser of their own: requests with cookies, and answers that can be looked at.

use reqwest::header::{ACCEPT, CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::time::Duration;

use super::events::Events;
use super::places::Place;
use super::waiting::wait_for;

/// Longest wait for one answer: past this the node hangs, which is a finding.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A person at one node.
#[derive(Debug, Clone)]
pub struct Person {
    client: Client,
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub base: String,
    /// The session's cookie, once there is one; a node that restarts at another port knows it still.
    pub cookie: Option<String>,
}

/// What a node answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Where it was asked.
    pub asked: String,
    /// Status.
    pub status: u16,
    /// The media type, without parameters.
    pub media_type: String,
    /// The cookie that was set, name and value.
    pub cookie: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    async fn read(response: Response) -> Answer {
        let status = response.status().as_u16();
        let asked = response.url().to_string();
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let first = |value: &str| value.split(';').next().unwrap_or("").trim().to_owned();
        let media_type = text(CONTENT_TYPE).map(first).unwrap_or_default();
        let cookie = text(SET_COOKIE).map(first);
        let body = response.bytes().await.expect("the answer arrives whole").to_vec();
        Answer { asked, status, media_type, cookie, body }
    }
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text()))
    }
    /// The body as JSON, if the request succeeded with exactly this status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
    /// The problem's code, if the request was refused with this status in the agreed form.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.media_type, "application/problem+json", "{}", self.text());
        let problem = self.json();
        for field in ["type", "title", "detail", "code"] {
            let value = problem[field].as_str().unwrap_or_default();
            assert!(!value.is_empty(), "a problem without {field}: {problem}");
        }
        assert_eq!(problem["status"], json!(status));
        problem["code"].as_str().expect("looked at above").to_owned()
    }
}

impl Person {
    /// Somebody who is not signed in, at the node that serves `base`.
    pub fn stranger(base: &str) -> Person {
        // Proxies of the environment have nothing to do with loopback; a connection that the node closed
        // after refusing a body is not used again.
        let client = Client::builder()
            .no_proxy()
            .timeout(ANSWER_WITHIN)
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client");
        Person { client, base: base.to_owned(), cookie: None }
    }

    /// The same person where the node's pages are now.
    #[must_use]
    pub fn at(&self, base: &str) -> Person {
        Person { base: base.to_owned(), ..self.clone() }
    }

    /// The same person with this cookie.
    #[must_use]
    pub fn with_cookie(&self, cookie: String) -> Person {
        Person { cookie: Some(cookie), ..self.clone() }
    }

    /// A request as the node's own pages send it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .header(ORIGIN, &self.base)
            .header("Sec-Fetch-Site", "same-origin");
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    /// Sends a request and reads the answer; `None` if the node went away meanwhile.
    pub async fn try_send(&self, request: RequestBuilder) -> Option<Answer> {
        let response = request.send().await.ok()?;
        Some(Answer::read(response).await)
    }

    /// Sends a request and reads the answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::read(request.send().await.expect("the node answers")).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).header(ACCEPT, "application/json")).await
    }

    /// POST of a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Spends a code and keeps the session that it opens.
    pub async fn sign_in(&mut self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        let who = answer.expect(200);
        self.cookie = answer.cookie;
        assert!(self.cookie.is_some(), "a sign-in without a cookie");
        who
    }

    /// Raises an alert and gives what the node acknowledged.
    pub async fn raise(&self, kind: &str, place: Place, text: &str) -> Value {
        let mut id = [0; 32];
        getrandom::fill(&mut id).expect("random bytes");
        let mut alert = json!({ "alert": hex::encode(id), "kind": kind, "point": place.json() });
        if !text.is_empty() {
            alert["text"] = json!(text);
        }
        self.post("/api/v1/alerts", &alert).await.expect(201)
    }

    /// The operator's queue.
    pub async fn queue(&self) -> Vec<Value> {
        let queue = self.get("/api/v1/incidents").await.expect(200);
        queue.as_array().expect("a list").clone()
    }

    /// An incident with everything that this person may see; none if there is none for them.
    pub async fn incident(&self, id: &str) -> Option<Value> {
        let answer = self.get(&format!("/api/v1/incidents/{id}")).await;
        if answer.status == 404 { None } else { Some(answer.expect(200)) }
    }

    /// The same, where it must be there.
    pub async fn the(&self, id: &str) -> Value {
        self.incident(id).await.unwrap_or_else(|| panic!("incident {id} is not at {}", self.base))
    }

    /// Waits until the incident is here.
    pub async fn wait_for_incident(&self, id: &str) -> Value {
        wait_for(&format!("incident {id} at {}", self.base), async || self.incident(id).await).await
    }

    /// Does something with an incident, as an operator.
    pub async fn act(&self, id: &str, what: &str, body: &Value) -> Value {
        let answer = self.post(&format!("/api/v1/incidents/{id}/{what}"), body).await;
        assert_eq!(answer.status, 200, "{what} {body}: {}", answer.text());
        answer.json()
    }

    /// The person's event stream, from this number on.
    pub async fn events(&self, after: Option<u64>) -> Events {
        // A stream has no end, so it is not under the limit of one answer.
        let client = Client::builder().no_proxy().build().expect("a client");
        let mut request = client
            .get(format!("{}/api/v1/events", self.base))
            .header("Sec-Fetch-Site", "same-origin")
            .header(ACCEPT, "text/event-stream");
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        if let Some(number) = after {
            request = request.header("Last-Event-ID", number.to_string());
        }
        let response = request.send().await.expect("the node answers");
        assert_eq!(response.status().as_u16(), 200, "no event stream");
        Events::read(response)
    }
}

/// The first line of an incident's timeline with this operation.
#[must_use]
pub fn timeline<'a>(detail: &'a Value, what: &str) -> &'a Value {
    let lines = detail["timeline"].as_array().expect("a timeline");
    lines.iter().find(|line| line["what"] == what).unwrap_or_else(|| panic!("no {what} in {detail}"))
}
