//! For machines: is the node well, its numbers, and the description of its API.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use federation::close::CloseCode;
use protocol::roster::SignedRoster;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::error::{Problem, ProblemView};
use super::limits::ROSTER_ANSWER_BYTES_MAX;
use crate::home::encode_chain_file;
use crate::store::{Queue, WriteError};
use crate::views::PeerView;

/// The JSON routes.
pub(super) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(metrics)).routes(routes!(roster))
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

/// Which versions are asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// Only versions above this one; all without it.
    #[serde(default)]
    pub after: u64,
}

/// The roster as a file, as `cuadra join` takes it. Whoever takes it verifies every version by itself, so
/// it may travel over anything. Cut after a whole version where it grows long: ask again for what follows.
#[utoipa::path(get, path = "/federation.roster", tag = "machine", params(Since), responses(
    (status = 200, body = Vec<u8>, description = "Signed versions, oldest first",
        content_type = "application/octet-stream"),
))]
async fn roster(State(app): State<App>, Query(since): Query<Since>) -> Response {
    let rosters = app.desk.store().rosters();
    let versions = within(rosters.versions_after(since.after), ROSTER_ANSWER_BYTES_MAX);
    ([(CONTENT_TYPE, "application/octet-stream")], encode_chain_file(versions)).into_response()
}

/// As many versions from the beginning as stay within so many bytes, but one at least.
fn within(versions: Vec<&SignedRoster>, bytes_max: usize) -> Vec<&SignedRoster> {
    let mut bytes = 0;
    let fits = |signed: &&SignedRoster| {
        let first = bytes == 0;
        bytes += signed.encode().len();
        first || bytes <= bytes_max
    };
    versions.into_iter().take_while(fits).collect()
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
    write_roster(&mut text, &app);
    let (held, held_bytes) = app.desk.held_size().await?;
    let _ = writeln!(
        text,
        "# HELP cuadra_held Envelopes that a newer version wrote and this one cannot judge.\n# TYPE cuadra_held gauge\n\
         cuadra_held {held}\n\
         # HELP cuadra_held_bytes Their bytes.\n# TYPE cuadra_held_bytes gauge\ncuadra_held_bytes {held_bytes}"
    );
    write_peers(&mut text, &app.desk.peers().await?);
    write_offences(&mut text, &app);
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn write_roster(text: &mut String, app: &App) {
    let rosters = app.desk.store().rosters();
    let (head, forks) = (rosters.head(), rosters.forks().len());
    let expired = u8::from(head.expired(app.desk.store().now()));
    let figures = [
        ("cuadra_roster_version", "Version of the roster in force.", head.version),
        ("cuadra_roster_expires_seconds", "Unix time at which it expires.", head.expires.0 / 1000),
        ("cuadra_roster_expired", "1 once it has expired: a reminder, nothing stops.", u64::from(expired)),
        ("cuadra_roster_forks", "Versions that the root keys signed beside it.", forks as u64),
    ];
    for (name, help, figure) in figures {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {figure}");
    }
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

/// What peers did that no honest one does, by name, and what waits because something of it is missing.
fn write_offences(text: &mut String, app: &App) {
    let gauges = app.desk.gauges();
    let door = gauges.door.get();
    let (parked, bytes) = (gauges.parked.load(Relaxed), gauges.parked_bytes.load(Relaxed));
    let _ = writeln!(
        text,
        "# HELP cuadra_parked Envelopes that name what is not here yet.\n# TYPE cuadra_parked gauge\n\
         cuadra_parked {parked}\n\
         # HELP cuadra_parked_bytes Their bytes.\n# TYPE cuadra_parked_bytes gauge\ncuadra_parked_bytes {bytes}\n\
         # HELP cuadra_handshakes_refused_total Handshakes that failed: strangers, other protocols, rubbish.\n\
         # TYPE cuadra_handshakes_refused_total counter\ncuadra_handshakes_refused_total {}\n\
         # HELP cuadra_turned_away_total Attempts refused because their address had too many.\n\
         # TYPE cuadra_turned_away_total counter\ncuadra_turned_away_total {}",
        door.map_or(0, |door| door.handshakes_refused()),
        door.map_or(0, |door| door.turned_away()),
    );
    let links = app.desk.links();
    let _ = writeln!(
        text,
        "# HELP cuadra_peer_faults_total Copies of it that proved nothing.\n# TYPE cuadra_peer_faults_total counter"
    );
    for (peer, link) in &links {
        for (fault, count) in &link.faults {
            let fault = fault.name();
            let _ = writeln!(text, "cuadra_peer_faults_total{{peer=\"{peer}\",fault=\"{fault}\"}} {count}");
        }
    }
    let _ = writeln!(
        text,
        "# HELP cuadra_peer_closed_total Connections of it closed by this node.\n# TYPE cuadra_peer_closed_total counter"
    );
    for (peer, link) in &links {
        let closed = CloseCode::ALL.into_iter().map(|code| (code, link.counters.closed(code)));
        for (code, count) in closed.filter(|(_, count)| *count > 0) {
            let _ = writeln!(text, "cuadra_peer_closed_total{{peer=\"{peer}\",code=\"{code:?}\"}} {count}");
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::fixture::Federation;

    use super::*;

    #[test]
    fn long_chain_is_cut_after_a_whole_version_and_never_to_nothing() {
        let mut federation = Federation::new(1);
        federation.publish(|_| {});
        federation.publish(|body| body.expires.0 += 1);
        let all = federation.rosters.versions_after(0);
        let one = all[0].encode().len();
        let count = |bytes| within(federation.rosters.versions_after(0), bytes).len();
        assert_eq!([count(0), count(one * 2), count(ROSTER_ANSWER_BYTES_MAX)], [1, 1, 3]);
        assert_eq!(within(federation.rosters.versions_after(1), usize::MAX), all[1..]);
    }
}
