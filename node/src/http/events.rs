//! Feeds the event streams: every commit becomes one encoded message, with who may know it; a reader
//! who comes back is sent what it missed.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::error::{Code, Problem, ProblemView};
use super::hub::{Choose, Hub, Told, frame, opening, reload};
use super::limits::EVENTS_RESUMED_MAX;
use super::session::Maybe;
use crate::desk::{Desk, Reach, Viewer};
use crate::store::{Event, Missed, What};

/// The JSON routes.
pub(super) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// From where to go on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct After {
    /// Number of the last event that the page knows; `Last-Event-ID` wins over it.
    after: Option<u64>,
}

/// The event stream (`text/event-stream`): `incident` and `notice` with `{"id"}`, `figures`, `peers`, and `reload`
/// when too much was missed. The id of each is its number; any number can be gone on from.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(After,
    ("Last-Event-ID" = Option<u64>, Header, description = "Number of the last event that was received")), responses(
    (status = 200, body = String, description = "The stream", content_type = "text/event-stream"),
    (status = 401, body = ProblemView, description = "Nobody is signed in, and the figures are not public here"),
    (status = 429, body = ProblemView, description = "Too many streams of this session"),
))]
async fn events(
    State(app): State<App>,
    maybe: Maybe,
    Query(after): Query<After>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let viewer = maybe.viewer();
    if viewer == Viewer::Nobody && !app.figures_are_public() {
        return Err(Problem::new(Code::NotSignedIn));
    }
    // Everything from here on is heard, so that nothing falls between what was missed and what comes.
    let seat = app.hub.enter(maybe.0.as_ref().map(|session| session.key()));
    let seat = seat.ok_or(Problem::new(Code::TooManyStreams))?;
    let last_id = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let mut first = VecDeque::new();
    let last = match last_id.or(after.after) {
        None => {
            let last = app.desk.last_event().await?;
            first.push_back(opening(last));
            last
        }
        Some(number) => resume(&app.desk, viewer, number, &mut first).await?,
    };
    let choose: Choose<Reach> = Box::new(move |told| chosen(told, viewer));
    Ok(seat.read(last, first, choose))
}

/// Adds what was missed since `number`, and says up to which number that goes.
async fn resume(
    desk: &Desk,
    viewer: Viewer,
    number: u64,
    first: &mut VecDeque<Bytes>,
) -> Result<u64, Problem> {
    first.push_back(opening(number));
    let mut last = number;
    while first.len() < EVENTS_RESUMED_MAX {
        match desk.events_after(last).await? {
            Missed::Reload(newest) => return Ok(only_reload(first, newest)),
            Missed::Events(events) if events.is_empty() => return Ok(last),
            Missed::Events(events) => {
                for event in events {
                    last = event.number;
                    first.extend(chosen(&told(desk, event).await?, viewer));
                }
            }
        }
    }
    Ok(only_reload(first, desk.last_event().await?))
}

fn only_reload(first: &mut VecDeque<Bytes>, newest: u64) -> u64 {
    first.clear();
    first.push_back(reload(newest));
    newest
}

/// What this viewer is sent of an event.
fn chosen(told: &Told<Reach>, viewer: Viewer) -> Option<Bytes> {
    match viewer {
        Viewer::Nobody => told.public.clone(),
        Viewer::Resident(_) | Viewer::Operator(_) => told.reach.includes(viewer).then(|| told.full.clone()),
    }
}

async fn told(desk: &Desk, event: Event) -> Result<Told<Reach>, Problem> {
    let Event { number, what, doc } = event;
    let reach = desk.reach(&event).await?;
    let data = doc.map_or_else(|| "{}".to_owned(), |doc| format!("{{\"id\":\"{doc}\"}}"));
    let public = match what {
        // Where figures are public, an incident is a figure that changed: its id says nothing there.
        What::Incident | What::Figures => Some(frame(number, What::Figures.name(), "{}")),
        What::Notice => doc.map(|_| frame(number, What::Notice.name(), "{}")),
        What::Peers => None,
    };
    Ok(Told { number, full: frame(number, what.name(), &data), public, reach })
}

/// Passes every commit on to the streams until the store stops. Joined at shutdown.
pub(super) async fn feed(desk: Desk, hub: Arc<Hub<Reach>>) {
    let mut commits = desk.commits();
    let mut last = match desk.last_event().await {
        Ok(last) => last,
        Err(error) => {
            tracing::error!(%error, "event streams cannot start");
            return hub.stop();
        }
    };
    loop {
        let events = match commits.recv().await {
            Ok(committed) => {
                hub.count_commit();
                committed.events.to_vec()
            }
            Err(RecvError::Lagged(_)) => match desk.events_after(last).await {
                Ok(Missed::Events(events)) => events,
                Ok(Missed::Reload(newest)) => {
                    last = newest;
                    hub.reload(newest);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "event streams miss events");
                    continue;
                }
            },
            Err(RecvError::Closed) => return hub.stop(),
        };
        for event in events {
            // Also one that was written while `last` was read: a stream leaves out by itself what it has said.
            last = last.max(event.number);
            if !hub.heard() {
                continue;
            }
            match told(&desk, event).await {
                Ok(told) => hub.tell(Arc::new(told)),
                Err(_) => hub.reload(event.number),
            }
        }
    }
}
