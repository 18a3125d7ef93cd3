//! The event stream on a real desk.

use std::sync::Arc;
use std::time::Duration;

use axum::body::BodyDataStream;
use futures_util::StreamExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use super::node::{Node, Who};
use super::request;
use crate::http::limits::{BULK_TOLD_MAX, EVENT_STREAMS_PER_SESSION_MAX};
use crate::http::{events, router};
use crate::store::{Queue, Tx, What, WriteError};

/// Opens the stream and starts feeding it.
async fn open(node: &Node, who: Who<'_>, after: Option<u64>) -> BodyDataStream {
    let after = after.map(|number| number.to_string());
    let mut headers = Vec::new();
    headers.extend(who.map(|cookie| ("cookie", cookie)));
    headers.extend(after.as_deref().map(|number| ("last-event-id", number)));
    let response =
        router(node.app.clone()).oneshot(request("GET", "/api/v1/events", &headers, "")).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().into_data_stream()
}

fn feeding(node: &Node) {
    tokio::spawn(events::feed(node.desk.clone(), Arc::clone(&node.app.hub)));
}

/// Reads until a frame says this.
async fn until(stream: &mut BodyDataStream, said: &str) -> String {
    let reading = async {
        loop {
            let bytes = stream.next().await.expect("the stream goes on").unwrap();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            if text.contains(said) {
                return text;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .unwrap_or_else(|_| panic!("never said {said}"))
}

fn number(frame: &str) -> u64 {
    let line = frame.lines().find_map(|line| line.strip_prefix("id: ")).expect("every frame has a number");
    line.parse().unwrap()
}

#[tokio::test]
async fn a_new_alert_reaches_the_desk_at_once_and_is_resumed_from_any_number() {
    let node = Node::town();
    feeding(&node);
    let (rosa, desk) = (node.resident("Rosa").await, node.operator("Turno").await);
    let mut live = open(&node, Some(&desk), None).await;
    let before = number(&until(&mut live, "retry").await);
    let id = node.raise(Some(&rosa), "robbery", 1).await;
    let said = until(&mut live, "event: incident").await;
    assert!(said.contains(&format!("data: {{\"id\":\"{id}\"}}")) && number(&said) > before, "{said}");
    let mut resumed = open(&node, Some(&desk), Some(before)).await;
    assert_eq!(until(&mut resumed, "event: incident").await, said, "the very same frame");
    let mut late = open(&node, Some(&desk), Some(number(&said))).await;
    let second = node.raise(Some(&rosa), "robbery", 2).await;
    assert!(until(&mut late, "event: incident").await.contains(&second), "what was seen is not said again");
}

#[tokio::test]
async fn an_alerts_event_waits_behind_nothing_that_catches_up_and_that_is_not_lost() {
    let node = Node::town();
    feeding(&node);
    let (rosa, desk) = (node.resident("Rosa").await, node.operator("Turno").await);
    let mut live = open(&node, Some(&desk), None).await;
    let before = number(&until(&mut live, "retry").await);
    let catches_up = |tx: &mut Tx<'_>| -> Result<(), WriteError> {
        (0..=BULK_TOLD_MAX).try_for_each(|_| tx.event(What::Figures, None))
    };
    node.desk.store().write(Queue::Bulk, catches_up).await.unwrap();
    let id = node.raise(Some(&rosa), "robbery", 1).await;
    let said = until(&mut live, "event: ").await;
    assert!(said.contains(&id), "the first that is told: {said}");
    assert_eq!(number(&said), before, "whoever comes back with it has missed the others");
    let told = number(&until(&mut live, "event: reload").await);
    assert!(told > before + BULK_TOLD_MAX as u64);
    let mut resumed = open(&node, Some(&desk), Some(number(&said))).await;
    until(&mut resumed, "event: figures").await;
    assert!(until(&mut resumed, "event: incident").await.contains(&id));
    node.desk.store().write(Queue::Bulk, |tx| tx.event(What::Figures, None)).await.unwrap();
    until(&mut live, "event: figures").await;
}

#[tokio::test]
async fn history_that_is_gone_says_reload() {
    let node = Node::town();
    let desk = node.operator("Turno").await;
    let mut stream = open(&node, Some(&desk), Some(1 << 40)).await;
    until(&mut stream, "event: reload").await;
}

#[tokio::test]
async fn a_resident_is_told_only_of_what_they_may_see_and_the_public_only_of_figures() {
    let node = Node::town();
    feeding(&node);
    let (rosa, luis) = (node.resident("Rosa").await, node.resident("Luis").await);
    let (mut hers, mut his) = (open(&node, Some(&rosa), None).await, open(&node, Some(&luis), None).await);
    let private = node.raise(Some(&rosa), "domestic_violence", 1).await;
    let open_to_all = node.raise(Some(&rosa), "robbery", 2).await;
    assert!(until(&mut hers, "event: incident").await.contains(&private));
    assert!(until(&mut his, "event: incident").await.contains(&open_to_all), "the first that he hears of");
    assert_eq!(node.get("/api/v1/events", None).await.status, 401);

    let precinct = Node::precinct();
    feeding(&precinct);
    let mut public = open(&precinct, None, None).await;
    until(&mut public, "retry").await;
    let id = precinct.raise(None, "sos", 3).await;
    let said = until(&mut public, "event:").await;
    assert!(said.contains("event: figures") && !said.contains(&id), "{said}");
}

#[tokio::test]
async fn streams_of_a_session_are_bounded_and_end_when_it_ends() {
    let node = Node::town();
    feeding(&node);
    let desk = node.operator("Turno").await;
    let mut streams = Vec::new();
    for _ in 0..EVENT_STREAMS_PER_SESSION_MAX {
        streams.push(open(&node, Some(&desk), None).await);
    }
    let refused = node.get("/api/v1/events", Some(&desk)).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "too_many_streams"));
    assert_eq!(node.post("/api/v1/leave", Some(&desk), &json!({})).await.status, 204);
    let mut first = streams.pop().unwrap();
    until(&mut first, "retry").await;
    let ended = tokio::time::timeout(Duration::from_secs(10), first.next()).await.expect("it ends");
    assert!(ended.is_none());
}
