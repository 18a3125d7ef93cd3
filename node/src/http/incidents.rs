//! What the desk does: its queue, calls, and every action on an incident. Each action is read once,
//! from JSON or from a form, and carried out in one place.

use axum::Json;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use protocol::ids::DocId;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::{Close, Decline, NewCall, NewInvitation, NewNote, NewOffer, NewResponse, NewStep, Reopen};
use super::error::{Code, Fault, Problem, ProblemView, Why};
use super::fields::Fields;
use super::forms::{DeskForm, Page};
use super::screens::Frame;
use super::session::{Session, Signed};
use super::{App, fresh_id};
use crate::pages;
use crate::store::IncidentQuery;
use crate::views::{IncidentDetailView, IncidentView, RaisedView};

/// The document in a path. What is no id names nothing: 404, as for an id that is not there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doc(pub DocId);

impl<S: Send + Sync> FromRequestParts<S> for Doc {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let missing = |_| Problem::new(Code::NotFound);
        let Path(params) = Path::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(Code::NotFound))?;
        let id = params.into_iter().find(|(name, _)| name == "id").map(|(_, id)| id).unwrap_or_default();
        let bytes = hex::decode(id).map_err(missing)?;
        bytes.try_into().map(|id| Self(DocId(id))).map_err(|_| Problem::new(Code::NotFound))
    }
}

/// The JSON routes.
pub(super) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(queue))
        .routes(routes!(incident))
        .routes(routes!(take_call))
        .routes(routes!(claim))
        .routes(routes!(step))
        .routes(routes!(respond))
        .routes(routes!(note))
        .routes(routes!(invite))
        .routes(routes!(offer))
        .routes(routes!(accept))
        .routes(routes!(decline))
        .routes(routes!(close))
        .routes(routes!(reopen))
}

/// The routes of forms.
pub(super) fn forms() -> axum::Router<App> {
    use axum::routing::post;
    let act = post(act_form);
    axum::Router::new()
        .route("/calls", post(call_form))
        .route("/incidents/{id}/{action}", act.clone())
        .route("/incidents/{id}/offers/{action}", act)
}

/// What the desk does to an incident.
enum Action {
    Claim,
    Step(NewStep),
    Respond(NewResponse),
    Note(NewNote),
    Invite(NewInvitation),
    Offer(NewOffer),
    Accept,
    Decline(Decline),
    Close(Close),
    Reopen(Reopen),
}

impl Action {
    /// By the last part of a form's path.
    fn parse(name: &str, fields: &Fields) -> Result<Self, Problem> {
        Ok(match name {
            "claim" => Self::Claim,
            "steps" => Self::Step(NewStep::parse(fields)?),
            "responses" => Self::Respond(NewResponse::parse(fields)?),
            "notes" => Self::Note(NewNote::parse(fields)?),
            "invitations" => Self::Invite(NewInvitation::parse(fields)?),
            "offers" => Self::Offer(NewOffer::parse(fields)?),
            "accept" => Self::Accept,
            "decline" => Self::Decline(Decline::parse(fields)?),
            "close" => Self::Close(Close::parse(fields)?),
            "reopen" => Self::Reopen(Reopen::parse(fields)?),
            _ => return Err(Problem::new(Code::NotFound)),
        })
    }
}

/// The one place where an action is carried out.
async fn act(
    app: &App,
    session: &Session,
    doc: DocId,
    action: Action,
) -> Result<IncidentDetailView, Problem> {
    let (desk, viewer) = (&app.desk, session.viewer);
    Ok(match action {
        Action::Claim => desk.claim(viewer, doc).await?,
        Action::Step(asked) => desk.step(viewer, doc, asked.step).await?,
        Action::Respond(asked) => desk.respond(viewer, doc, asked.response, &asked.crew).await?,
        Action::Note(asked) => desk.note(viewer, doc, &asked.text, asked.shared).await?,
        Action::Invite(asked) => desk.invite_node(viewer, doc, asked.node).await?,
        Action::Offer(asked) => desk.offer(viewer, doc, asked.node, asked.reason).await?,
        Action::Accept => desk.accept(viewer, doc).await?,
        Action::Decline(asked) => desk.decline(viewer, doc, asked.reason).await?,
        Action::Close(asked) => desk.close(viewer, doc, asked.outcome).await?,
        Action::Reopen(asked) => desk.reopen(viewer, doc, asked.reason).await?,
    })
}

async fn act_form(form: DeskForm) -> Result<Redirect, Problem> {
    act(&form.app, &form.session, form.doc, Action::parse(&form.action, &form.fields)?).await?;
    Ok(form.done(Page::Incident))
}

/// Which incidents of the queue.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// `open` (the default), `closed` or `all`.
    status: Option<String>,
}

/// The queue: what rings first, then by urgency and time.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "desk", params(Which), responses(
    (status = 200, body = Vec<IncidentView>, description = "The queue"),
    (status = 403, body = ProblemView, description = "Not at the desk"),
))]
async fn queue(
    State(app): State<App>,
    Signed(session): Signed,
    Query(which): Query<Which>,
) -> Result<Json<Vec<IncidentView>>, Problem> {
    let which = match which.status.as_deref() {
        None | Some("open") => IncidentQuery::Open,
        Some("closed") => IncidentQuery::Closed,
        Some("all") => IncidentQuery::All,
        Some(_) => return Err(Fault { field: "status", why: Why::Wrong }.into()),
    };
    Ok(Json(app.desk.queue(session.viewer, which).await?))
}

/// One incident, as far as the viewer may see it.
#[utoipa::path(get, path = "/api/v1/incidents/{id}", tag = "desk",
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
))]
async fn incident(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(doc): Doc,
) -> Result<Json<IncidentDetailView>, Problem> {
    Ok(Json(app.desk.incident(session.viewer, doc).await?))
}

/// Takes a phone call: an incident is opened in the caller's stead.
#[utoipa::path(post, path = "/api/v1/calls", tag = "desk", request_body = NewCall, responses(
    (status = 201, body = RaisedView, description = "Stored"),
    (status = 403, body = ProblemView, description = "Not at the desk"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn take_call(
    State(app): State<App>,
    Signed(session): Signed,
    fields: Fields,
) -> Result<Response, Problem> {
    let raised = called(&app, &session, &fields).await?;
    Ok((StatusCode::CREATED, Json(raised)).into_response())
}

async fn call_form(
    State(app): State<App>,
    Signed(session): Signed,
    Frame { chrome, .. }: Frame,
    fields: Fields,
) -> Result<Response, Problem> {
    match called(&app, &session, &fields).await {
        Ok(raised) => Ok(Redirect::to(&format!("/console/incidents/{}", raised.id)).into_response()),
        Err(problem) if problem.is_in_the_form() => {
            let words = problem.words(&app.front, chrome.lang);
            Ok(problem.form(pages::call(&chrome, &fields.typed(), Some(&words))))
        }
        Err(problem) => Err(problem),
    }
}

async fn called(app: &App, session: &Session, fields: &Fields) -> Result<RaisedView, Problem> {
    Ok(app.desk.take_call(session.viewer, NewCall::parse(fields, fresh_id())?.for_desk()).await?)
}

/// An incident after an action.
type Acted = Result<Json<IncidentDetailView>, Problem>;

/// Takes the incident on: it stops ringing.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/claim", tag = "desk",
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not in the state that it is in"),
))]
async fn claim(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Claim).await?))
}

/// Takes the next step of the answer.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/steps", tag = "desk", request_body = NewStep,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not in the state that it is in"),
))]
async fn step(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Step(NewStep::parse(&fields)?)).await?))
}

/// Says what a crew of this node does.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/responses", tag = "desk", request_body = NewResponse,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not in the state that it is in"),
))]
async fn respond(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Respond(NewResponse::parse(&fields)?)).await?))
}

/// Writes a note.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/notes", tag = "desk", request_body = NewNote,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not in the state that it is in"),
))]
async fn note(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Note(NewNote::parse(&fields)?)).await?))
}

/// Brings another node in.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/invitations", tag = "desk", request_body = NewInvitation,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not in the state that it is in"),
))]
async fn invite(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Invite(NewInvitation::parse(&fields)?)).await?))
}

/// Offers the incident to another node; until it accepts, it is still ours.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/offers", tag = "desk", request_body = NewOffer,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not in the state that it is in"),
))]
async fn offer(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Offer(NewOffer::parse(&fields)?)).await?))
}

/// Accepts an incident that another node offers.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/offers/accept", tag = "desk",
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not in the state that it is in"),
))]
async fn accept(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Accept).await?))
}

/// Declines an incident that another node offers.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/offers/decline", tag = "desk", request_body = Decline,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not in the state that it is in"),
))]
async fn decline(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Decline(Decline::parse(&fields)?)).await?))
}

/// Closes the incident and names the outcome.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/close", tag = "desk", request_body = Close,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not in the state that it is in"),
))]
async fn close(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Close(Close::parse(&fields)?)).await?))
}

/// Opens a closed incident again.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/reopen", tag = "desk", request_body = Reopen,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not in the state that it is in"),
))]
async fn reopen(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Reopen(Reopen::parse(&fields)?)).await?))
}
