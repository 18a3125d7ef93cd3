//! What a neighbour sends and sees: alerts, photos, what is near, what they add.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{FromRequest as _, Multipart, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use protocol::kind::Kind;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::{NewAlert, NewContribution, SOS, Solved};
use super::error::{Code, Fault, Problem, ProblemView, Why};
use super::fields::{Fields, Salvaged};
use super::incidents::Doc;
use super::screens::Frame;
use super::session::{Maybe, Session, Signed};
use super::{App, fresh_id};
use crate::desk::Viewer;
use crate::pages;
use crate::views::{IncidentDetailView, IncidentView, RaisedView};

/// The JSON routes with small bodies.
pub(super) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(raise, mine))
        .routes(routes!(near))
        .routes(routes!(contribute))
        .routes(routes!(solved))
}

/// The JSON route that takes pictures.
pub(super) fn media_api() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(add_media))
}

/// The forms with small bodies.
pub(super) fn forms() -> axum::Router<App> {
    use axum::routing::post;
    axum::Router::new()
        .route("/sos", post(sos_form))
        .route("/alerts", post(raise_form))
        .route("/report/{kind}", post(report_form))
        .route("/incidents/{id}/contributions", post(contribute_form))
        .route("/incidents/{id}/solved", post(solved_form))
}

/// The form that takes pictures.
pub(super) fn media_forms() -> axum::Router<App> {
    axum::Router::new().route("/alerts/{id}/media", axum::routing::post(media_form))
}

/// Raises an alert. Answered only once it is stored; the same `alert` again makes nothing new. An SOS
/// is kept whatever its body holds, and without a session too.
#[utoipa::path(post, path = "/api/v1/alerts", tag = "alerts", request_body = NewAlert, responses(
    (status = 201, body = RaisedView, description = "Stored"),
    (status = 401, body = ProblemView, description = "Nobody is signed in, and it is no SOS"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong, and it is no SOS"),
    (status = 507, body = ProblemView, description = "Not stored: call the emergency number"),
))]
async fn raise(State(app): State<App>, maybe: Maybe, body: Salvaged) -> Result<Response, Problem> {
    let raised = raised(&app, maybe, read_alert(body)?).await?;
    Ok((StatusCode::CREATED, Json(raised)).into_response())
}

async fn raise_form(
    State(app): State<App>,
    maybe: Maybe,
    frame: Framed,
    body: Salvaged,
) -> Result<Response, Problem> {
    report(&app, maybe, frame, body).await
}

async fn report_form(
    State(app): State<App>,
    Path(kind): Path<String>,
    maybe: Maybe,
    frame: Framed,
    mut body: Salvaged,
) -> Result<Response, Problem> {
    body.names_sos |= kind == SOS;
    body.fields.set("kind", kind);
    report(&app, maybe, frame, body).await
}

/// The frame of the form, if it can be shown again; an SOS goes on without.
type Framed = Result<Frame, Problem>;

async fn report(app: &App, maybe: Maybe, frame: Framed, body: Salvaged) -> Result<Response, Problem> {
    let (filled, viewer) = (body.fields.typed(), maybe.viewer());
    let raised = match read_alert(body) {
        Ok(alert) => raised(app, maybe, alert).await,
        Err(problem) => Err(problem),
    };
    match (raised, frame) {
        (Ok(raised), frame) => Ok(go_on(viewer, frame, &raised)),
        (Err(problem), Ok(Frame { chrome, .. })) if problem.is_in_the_form() => {
            // Without a kind there is no form of its own to show.
            let Some(kind) = Kind::by_name(filled.get("kind")) else { return Err(problem) };
            let words = problem.words(&app.front, chrome.lang);
            Ok(problem.form(pages::report(&chrome, kind.name, &filled, Some(&words))))
        }
        (Err(problem), _) => Err(problem),
    }
}

/// The button: always an SOS, whatever else came.
async fn sos_form(
    State(app): State<App>,
    maybe: Maybe,
    frame: Framed,
    body: Salvaged,
) -> Result<Response, Problem> {
    let alert = note_drops(NewAlert::sos(&body.fields, fresh_id()), body.problem.is_some());
    let viewer = maybe.viewer();
    Ok(go_on(viewer, frame, &raised(&app, maybe, alert).await?))
}

/// Where a person goes from a stored alert: to its page, if they may see it; without a session they are
/// told here and now that it is kept.
fn go_on(viewer: Viewer, frame: Framed, raised: &RaisedView) -> Response {
    match (viewer, frame) {
        (Viewer::Nobody, Ok(Frame { chrome, .. })) => {
            (StatusCode::CREATED, Html(pages::kept(&chrome, raised))).into_response()
        }
        (Viewer::Nobody, Err(_)) => Redirect::to("/").into_response(),
        (Viewer::Resident(_) | Viewer::Operator(_), _) => {
            Redirect::to(&format!("/alerts/{}", raised.id)).into_response()
        }
    }
}

/// A body that cannot be read is refused, unless it may be an SOS.
fn read_alert(body: Salvaged) -> Result<NewAlert, Problem> {
    let fresh = fresh_id();
    let Some(problem) = body.problem else { return Ok(NewAlert::parse(&body.fields, fresh)?) };
    let says_sos = body.fields.line("kind").is_ok_and(|kind| kind.as_deref() == Some(SOS));
    if body.names_sos || says_sos {
        return Ok(note_drops(NewAlert::sos(&body.fields, fresh), true));
    }
    Err(problem)
}

fn note_drops(mut alert: NewAlert, body: bool) -> NewAlert {
    if body {
        alert.dropped.push("body");
    }
    if !alert.dropped.is_empty() {
        tracing::warn!(dropped = ?alert.dropped, "an SOS came broken and is kept");
    }
    alert
}

async fn raised(app: &App, maybe: Maybe, alert: NewAlert) -> Result<RaisedView, Problem> {
    if maybe.0.is_none() && alert.kind.name != SOS {
        return Err(Problem::new(Code::NotSignedIn));
    }
    let raised = app.desk.raise_alert(maybe.viewer(), alert.for_desk()).await?;
    if !raised.already {
        app.front.counts.alerts.fetch_add(1, Ordering::Relaxed);
    }
    Ok(raised)
}

/// Own alerts, newest first.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", responses(
    (status = 200, body = Vec<IncidentDetailView>, description = "Own alerts, newest first"),
    (status = 401, body = ProblemView, description = "Nobody is signed in"),
))]
async fn mine(
    State(app): State<App>,
    Signed(session): Signed,
) -> Result<Json<Vec<IncidentDetailView>>, Problem> {
    Ok(Json(app.desk.my_alerts(session.viewer).await?))
}

/// What is near home, newest first.
#[utoipa::path(get, path = "/api/v1/near", tag = "alerts", responses(
    (status = 200, body = Vec<IncidentView>, description = "What is near home, newest first"),
    (status = 401, body = ProblemView, description = "Nobody is signed in"),
))]
async fn near(State(app): State<App>, Signed(session): Signed) -> Result<Json<Vec<IncidentView>>, Problem> {
    Ok(Json(app.desk.near(session.viewer).await?))
}

/// Adds to an incident: "I saw it too", information, "I am going", "I can help".
#[utoipa::path(post, path = "/api/v1/incidents/{id}/contributions", tag = "alerts",
    params(("id" = String, Path, description = "The incident's document")), request_body = NewContribution, responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this person"),
))]
async fn contribute(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(doc): Doc,
    fields: Fields,
) -> Result<Json<IncidentDetailView>, Problem> {
    let asked = NewContribution::parse(&fields)?;
    Ok(Json(
        app.desk
            .contribute(session.viewer, doc, asked.what, asked.text.as_deref().unwrap_or_default())
            .await?,
    ))
}

async fn contribute_form(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(doc): Doc,
    fields: Fields,
) -> Result<Redirect, Problem> {
    let asked = NewContribution::parse(&fields)?;
    app.desk.contribute(session.viewer, doc, asked.what, asked.text.as_deref().unwrap_or_default()).await?;
    Ok(Redirect::to(&format!("/alerts/{}", hex::encode(doc.0))))
}

/// The reporter says if it was solved; "no" opens the incident again.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/solved", tag = "alerts",
    params(("id" = String, Path, description = "The incident's document")), request_body = Solved, responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such alert of this person"),
))]
async fn solved(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(doc): Doc,
    fields: Fields,
) -> Result<Json<IncidentDetailView>, Problem> {
    let answer = Solved::parse(&fields)?.answer;
    Ok(Json(app.desk.answer_solved(session.viewer, doc, answer).await?))
}

async fn solved_form(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(doc): Doc,
    fields: Fields,
) -> Result<Redirect, Problem> {
    let answer = Solved::parse(&fields)?.answer;
    app.desk.answer_solved(session.viewer, doc, answer).await?;
    Ok(Redirect::to(&format!("/alerts/{}", hex::encode(doc.0))))
}

/// A photo that was stored.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct AddedPhoto {
    /// Its id: `/media/` and this.
    pub photo: String,
}

/// A picture as a form sends it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the multipart body; the body itself is read part by part")]
pub(super) struct PictureForm {
    /// JPEG, PNG or WebP.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// Adds a photo to one's own alert, or as an operator to an incident. It is made again from its
/// pixels, so nothing else that the file held is kept.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/media", tag = "alerts",
    params(("id" = String, Path, description = "The incident's document")),
    request_body(content = PictureForm, content_type = "multipart/form-data"), responses(
    (status = 201, body = AddedPhoto, description = "Stored"),
    (status = 413, body = ProblemView, description = "Too large"),
    (status = 422, body = ProblemView, description = "Not a picture that can be read"),
))]
async fn add_media(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(doc): Doc,
    request: Request,
) -> Result<Response, Problem> {
    let photo = added(&app, session, doc, request).await?;
    Ok((StatusCode::CREATED, Json(AddedPhoto { photo })).into_response())
}

async fn media_form(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(doc): Doc,
    request: Request,
) -> Result<Redirect, Problem> {
    added(&app, session, doc, request).await?;
    Ok(Redirect::to(&format!("/alerts/{}", hex::encode(doc.0))))
}

async fn added(
    app: &App,
    session: Session,
    doc: protocol::ids::DocId,
    request: Request,
) -> Result<String, Problem> {
    let bytes = picture(app, request).await?;
    let photo = app.desk.add_media(session.viewer, doc, bytes).await?;
    Ok(hex::encode(photo.0))
}

/// The part `file` of a multipart body.
async fn picture(app: &App, request: Request) -> Result<Vec<u8>, Problem> {
    let mut parts = Multipart::from_request(request, app).await.map_err(|_| Problem::new(Code::MediaType))?;
    let missing = || Problem::from(Fault { field: "file", why: Why::Missing });
    loop {
        let part = parts.next_field().await.map_err(refused)?.ok_or_else(missing)?;
        if part.name() != Some("file") {
            continue;
        }
        let bytes = part.bytes().await.map_err(refused)?;
        if bytes.is_empty() {
            return Err(missing());
        }
        if bytes.len() > app.front.settings.picture_bytes_max {
            return Err(Problem::new(Code::TooLarge));
        }
        return Ok(bytes.into());
    }
}

fn refused(error: axum::extract::multipart::MultipartError) -> Problem {
    let too_large = error.status() == StatusCode::PAYLOAD_TOO_LARGE;
    Problem::new(if too_large { Code::TooLarge } else { Code::Malformed })
}
