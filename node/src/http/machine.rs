//! For machines: is the node well, its numbers, and the description of its API.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::error::{Problem, ProblemView};
use crate::store::{Queue, WriteError};
use crate::views::PeerView;

/// The JSON routes.
pub(super) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(metrics))
}

/// That the node can store what it is sent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthView {
    /// Always true; a node that cannot store answers 503 or 507.
    pub writes: bool,
    /// Number of the newest event.
    pub last_event: u64,
}

/// 200 only if the writer has just answered.
#[utoipa::path(get, path = "/health", tag = "machine", responses(
    (status = 200, body = HealthView, description = "The writer answers"),
    (status = 503, body = ProblemView, description = "It does not"),
))]
async fn health(State(app): State<App>) -> Result<Json<HealthView>, Problem> {
    // An empty job goes the way of every write: through the queue and a commit.
    app.desk.store().write(Queue::Urgent, |_| Ok::<(), WriteError>(())).await?;
    Ok(Json(HealthView { writes: true, last_event: app.desk.last_event().await? }))
}

/// The node's numbers, in Prometheus' text form. No person and no incident is in them.
#[utoipa::path(get, path = "/metrics", tag = "machine", responses(
    (status = 200, body = String, description = "Prometheus text format", content_type = "text/plain"),
))]
async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let mut text = String::new();
    app.front.counts.write(&mut text);
    let last = app.desk.last_event().await?;
    let room = u8::from(app.desk.has_room().await?);
    let _ = writeln!(text, "# HELP cuadra_events_total Events stored.\n# TYPE cuadra_events_total counter");
    let _ = writeln!(text, "cuadra_events_total {last}");
    let _ = writeln!(
        text,
        "# HELP cuadra_store_room 1 while there is room for photos.\n# TYPE cuadra_store_room gauge"
    );
    let _ = writeln!(text, "cuadra_store_room {room}");
    let _ = writeln!(
        text,
        "# HELP cuadra_store_jobs Jobs that wait for the writer.\n# TYPE cuadra_store_jobs gauge"
    );
    for (queue, jobs) in ["urgent", "normal", "bulk"].iter().zip(app.desk.store().waiting()) {
        let _ = writeln!(text, "cuadra_store_jobs{{queue=\"{queue}\"}} {jobs}");
    }
    write_peers(&mut text, &app.desk.peers().await?);
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// One figure of a peer.
type Figure = (&'static str, &'static str, &'static str, fn(&PeerView) -> u64);

fn write_peers(text: &mut String, peers: &[PeerView]) {
    let figures: [Figure; 4] = [
        ("cuadra_peer_connected", "gauge", "1 while connected.", |peer| u64::from(peer.state == "connected")),
        ("cuadra_peer_due", "gauge", "Documents that it has not confirmed.", |peer| peer.due),
        ("cuadra_peer_lag_ms", "gauge", "Age of the oldest of those.", |peer| peer.lag_ms),
        ("cuadra_peer_refused_total", "counter", "Envelopes refused from it.", |peer| peer.refused),
    ];
    for (name, kind, help, figure) in figures {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for peer in peers {
            // Ids are hex: nothing to escape, and a renamed peer stays one series.
            let _ = writeln!(text, "{name}{{peer=\"{}\"}} {}", peer.id, figure(peer));
        }
    }
}
