//! Feeds the event streams: every commit becomes one encoded message, with who may know it; a reader
//! who comes back is sent what it missed.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::error::{Code, Problem, ProblemView};
use super::hub::{Choose, Hub, Told, frame, opening, reload};
use super::limits::{BULK_TOLD_EVERY, BULK_TOLD_MAX, EVENTS_RESUMED_MAX};
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
                    first.extend(chosen(&told(desk, event, last).await?, viewer));
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

/// `resumes`: the number that a reader comes back with.
async fn told(desk: &Desk, event: Event, resumes: u64) -> Result<Told<Reach>, Problem> {
    let Event { number, what, doc, .. } = event;
    let reach = desk.reach(&event).await?;
    let data = doc.map_or_else(|| "{}".to_owned(), |doc| format!("{{\"id\":\"{doc}\"}}"));
    let public = match what {
        // Where figures are public, an incident is a figure that changed: its id says nothing there.
        What::Incident | What::Figures => Some(frame(resumes, What::Figures.name(), "{}")),
        What::Notice => doc.map(|_| frame(resumes, What::Notice.name(), "{}")),
        What::Peers => None,
    };
    Ok(Told { number, full: frame(resumes, what.name(), &data), public, reach })
}

/// How events of catching up are told: one by one while they are few, and of many only that there were some, so
/// that an alarm's event waits behind none of them.
struct Pace {
    /// How many more are told one by one until `again_at`.
    left: usize,
    again_at: Instant,
    /// Those of which readers have not been told yet.
    untold: Option<Untold>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Untold {
    /// Everything up to this number was told.
    after: u64,
    newest: u64,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { left: BULK_TOLD_MAX, again_at: now + BULK_TOLD_EVERY, untold: None }
    }

    /// True if these are told one by one; otherwise readers are told of them at `again_at`.
    fn tells(&mut self, now: Instant, bulk: &[Event], last: u64) -> bool {
        if now >= self.again_at && self.untold.is_none() {
            *self = Self::new(now);
        }
        if self.untold.is_none() && bulk.len() <= self.left {
            self.left -= bulk.len();
            return true;
        }
        let untold = self.untold.get_or_insert(Untold { after: last, newest: last });
        untold.newest = bulk.iter().map(|event| event.number).fold(untold.newest, u64::max);
        false
    }

    /// The newest of those that were not told, once it is time to tell that there were some.
    async fn over(&mut self) -> u64 {
        let Some(untold) = self.untold else { return pending().await };
        sleep_until(self.again_at).await;
        *self = Self::new(Instant::now());
        untold.newest
    }
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
    let mut pace = Pace::new(Instant::now());
    loop {
        let committed = tokio::select! {
            committed = commits.recv() => committed,
            newest = pace.over() => {
                hub.reload(newest);
                continue;
            }
        };
        let mut events = match committed {
            Ok(committed) => {
                hub.count_commit();
                let mut events = committed.events.to_vec();
                if pace.tells(Instant::now(), &committed.bulk, last) {
                    events.extend_from_slice(&committed.bulk);
                }
                last = committed.bulk.iter().map(|event| event.number).fold(last, u64::max);
                events
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
        events.sort_unstable_by_key(|event| event.number);
        for event in events {
            // Also one that was written while `last` was read: a stream leaves out by itself what it has said.
            last = last.max(event.number);
            if !hub.heard() {
                continue;
            }
            // Whoever comes back with this number is told what was not told before it.
            let resumes = pace.untold.map_or(event.number, |untold| untold.after.min(event.number));
            match told(&desk, event, resumes).await {
                Ok(told) => hub.tell(Arc::new(told)),
                Err(_) => hub.reload(event.number),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(numbers: std::ops::Range<u64>) -> Vec<Event> {
        numbers.map(|number| Event { number, what: What::Incident, doc: None, kind: None }).collect()
    }

    #[tokio::test]
    async fn few_events_of_catching_up_are_told_one_by_one_and_many_once_in_a_while() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let few = BULK_TOLD_MAX as u64;
        assert!(pace.tells(start, &bulk(1..few), 0));
        assert!(!pace.tells(start, &bulk(few..few + 3), few - 1), "too many in this time");
        assert!(!pace.tells(start, &bulk(few + 3..few + 4), few + 2), "none before those");
        assert_eq!(pace.untold, Some(Untold { after: few - 1, newest: few + 3 }));
        assert!(!pace.tells(start + 9 * BULK_TOLD_EVERY, &[], few + 3), "they are told first");
        pace.again_at = start;
        assert_eq!(pace.over().await, few + 3);
        assert!(pace.again_at >= start + BULK_TOLD_EVERY, "and not again before that");
        assert!(pace.tells(Instant::now(), &bulk(few + 4..few + 6), few + 3), "and then one by one again");
        let later = Instant::now() + BULK_TOLD_EVERY;
        assert!(pace.tells(later, &bulk(50..50 + few), 49), "as many as in any time");
    }
}
