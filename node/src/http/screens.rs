//! The pages: each asks `desk` for its views and lets `pages` render them.

use axum::Router;
use axum::extract::{FromRequestParts, OriginalUri, Path, Query, State};
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

use super::error::{Code, Problem};
use super::figures::{Month, check_figures, check_operator};
use super::incidents::Doc;
use super::session::{Maybe, Signed};
use super::{App, asked, fresh_id, lang};
use crate::desk::Viewer;
use crate::pages::{self, Chrome, Filled};
use crate::store::IncidentQuery;

/// The routes of pages.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(home))
        .route("/join", get(join))
        .route("/enter", get(enter))
        .route("/alerts/{id}", get(alert))
        .route("/report/{kind}", get(report))
        .route("/me", get(me))
        .route("/console", get(console))
        .route("/console/call", get(call))
        .route("/console/incidents/{id}", get(console_incident))
        .route("/console/incidents/{id}/more", get(more))
        .route("/country", get(country))
        .route("/coverage", get(coverage))
        .route("/nodes", get(nodes))
}

/// The frame of a page for who asks, and who that is.
pub(super) struct Frame {
    pub chrome: Chrome,
    pub viewer: Viewer,
}

impl FromRequestParts<App> for Frame {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let viewer = Maybe::from_request_parts(parts, app).await?.viewer();
        let node = app.desk.node();
        // A page that cannot say what everybody is told still has its SOS.
        let notices = app.desk.active_notices(viewer).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "notices could not be read for a page");
            Vec::new()
        });
        app.front.show(&node);
        let path = parts.extensions.get::<OriginalUri>().map_or(parts.uri.path(), |uri| uri.path());
        let chrome = Chrome {
            lang: lang::of(&parts.headers, app.front.settings.language),
            node,
            who: app.desk.me(viewer).await?,
            // Without the query, which may hold a code.
            path: path.to_owned(),
            now_ms: app.desk.store().now().0,
            notices,
            fresh: hex::encode(fresh_id()),
        };
        Ok(Self { chrome, viewer })
    }
}

type Page = Result<Html<String>, Problem>;

/// The first page: a neighbour's, the desk's for an operator, the figures where there are no residents.
async fn home(State(app): State<App>, frame: Frame) -> Result<Response, Problem> {
    let Frame { chrome, viewer } = frame;
    match viewer {
        Viewer::Resident(_) => {
            let (mine, near) = tokio::try_join!(app.desk.my_alerts(viewer), app.desk.near(viewer))?;
            Ok(Html(pages::home(&chrome, &mine, &near)).into_response())
        }
        Viewer::Operator(_) if chrome.answers() => Ok(Redirect::to("/console").into_response()),
        Viewer::Operator(_) => Ok(Redirect::to("/country").into_response()),
        Viewer::Nobody if chrome.aggregates() && !chrome.answers() => {
            Ok(Redirect::to("/country").into_response())
        }
        Viewer::Nobody => Ok(Html(pages::welcome(&chrome)).into_response()),
    }
}

/// A code in a link; opening the page never spends it.
#[derive(Deserialize)]
struct WithCode {
    code: Option<String>,
}

async fn join(frame: Frame, Query(with): Query<WithCode>) -> Html<String> {
    Html(pages::join(&frame.chrome, with.code.as_deref().unwrap_or_default(), &Filled::default(), None))
}

async fn enter(frame: Frame, Query(with): Query<WithCode>) -> Html<String> {
    Html(pages::enter(&frame.chrome, with.code.as_deref(), None))
}

async fn alert(State(app): State<App>, frame: Frame, Doc(doc): Doc) -> Page {
    let detail = app.desk.incident(frame.viewer, doc).await?;
    Ok(Html(pages::alert(&frame.chrome, &detail, None)))
}

async fn report(frame: Frame, Path(kind): Path<String>) -> Page {
    let kind = protocol::kind::Kind::by_name(&kind).ok_or(Problem::new(Code::NotFound))?;
    Ok(Html(pages::report(&frame.chrome, kind.name, &Filled::default(), None)))
}

async fn me(State(app): State<App>, _signed: Signed, frame: Frame) -> Page {
    let mine = match frame.viewer {
        Viewer::Resident(_) => app.desk.my_alerts(frame.viewer).await?,
        Viewer::Operator(_) | Viewer::Nobody => Vec::new(),
    };
    Ok(Html(pages::me(&frame.chrome, &mine)))
}

async fn console(State(app): State<App>, _signed: Signed, frame: Frame) -> Page {
    let queue = app.desk.queue(frame.viewer, IncidentQuery::Open).await?;
    Ok(Html(pages::console(&frame.chrome, &queue, None, None)))
}

async fn console_incident(State(app): State<App>, _signed: Signed, frame: Frame, Doc(doc): Doc) -> Page {
    let queue = app.desk.queue(frame.viewer, IncidentQuery::Open).await?;
    let detail = app.desk.incident(frame.viewer, doc).await?;
    Ok(Html(pages::console(&frame.chrome, &queue, Some(&detail), None)))
}

async fn more(State(app): State<App>, _signed: Signed, frame: Frame, Doc(doc): Doc) -> Page {
    check_operator(frame.viewer)?;
    let detail = app.desk.incident(frame.viewer, doc).await?;
    Ok(Html(pages::more(&frame.chrome, &detail)))
}

async fn call(Signed(session): Signed, frame: Frame) -> Page {
    match session.viewer {
        Viewer::Operator(_) => Ok(Html(pages::call(&frame.chrome, &Filled::default(), None))),
        Viewer::Resident(_) | Viewer::Nobody => Err(Problem::new(Code::NotForYou)),
    }
}

async fn country(State(app): State<App>, frame: Frame, Query(month): Query<Month>) -> Page {
    check_figures(&app, frame.viewer)?;
    let period = asked::period(month.period.as_deref())?;
    let view = app.desk.country(period).await?;
    Ok(Html(pages::country(&frame.chrome, &view)))
}

async fn coverage(State(app): State<App>, frame: Frame, Query(month): Query<Month>) -> Page {
    check_figures(&app, frame.viewer)?;
    let period = asked::period(month.period.as_deref())?;
    let view = app.desk.coverage(period).await?;
    Ok(Html(pages::coverage(&frame.chrome, &view)))
}

async fn nodes(State(app): State<App>, frame: Frame) -> Page {
    check_operator(frame.viewer)?;
    let peers = app.desk.peers().await?;
    Ok(Html(pages::nodes(&frame.chrome, &peers)))
}
