//! Mass messages: what everybody is told, and the two people behind each.

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::ids::DocId;
use protocol::operation::NoticeMode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::asked::notices::{Approval, Change, NewNotice, NoticeChange};
use super::error::{Code, Problem, ProblemView};
use super::fields::Fields;
use super::figures::check_operator;
use super::incidents::Doc;
use super::screens::Frame;
use super::session::{Maybe, Session, Signed};
use crate::pages::{self, Filled};
use crate::views::{DraftView, NoticeView, NoticesView};

/// The number of a draft in a path. What is no number names nothing: 404.
#[derive(Debug, Clone, Copy)]
struct DraftNumber(i64);

impl<S: Send + Sync> FromRequestParts<S> for DraftNumber {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let number = Path::<i64>::from_request_parts(parts, state).await;
        number.map(|Path(number)| Self(number)).map_err(|_| Problem::new(Code::NotFound))
    }
}

/// The JSON routes.
pub(super) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(notices))
        .routes(routes!(notice))
        .routes(routes!(draft))
        .routes(routes!(change))
        .routes(routes!(approve))
        .routes(routes!(discard))
}

/// The pages and the forms in them.
pub(super) fn forms() -> Router<App> {
    Router::new()
        .route("/notices", get(list_page).post(draft_form))
        .route("/notices/new", get(new_page))
        .route("/notices/drill", get(drill_page))
        .route("/notices/{id}", get(notice_page))
        .route("/notices/{id}/drafts", post(change_form))
        .route("/notices/drafts/{id}", get(draft_page))
        .route("/notices/drafts/{id}/approve", post(approve_form))
        .route("/notices/drafts/{id}/discard", post(discard_form))
}

/// What people are told at this node, for everybody. For the desk also what is over and what waits for a
/// second person.
#[utoipa::path(get, path = "/api/v1/notices", tag = "notices", responses(
    (status = 200, body = NoticesView, description = "The notices"),
))]
async fn notices(State(app): State<App>, maybe: Maybe) -> Result<Json<NoticesView>, Problem> {
    Ok(Json(app.desk.notices(maybe.viewer()).await?))
}

/// One notice.
#[utoipa::path(get, path = "/api/v1/notices/{id}", tag = "notices",
    params(("id" = String, Path, description = "The notice's document")), responses(
    (status = 200, body = NoticeView, description = "The notice"),
    (status = 404, body = ProblemView, description = "No such notice for this viewer"),
))]
async fn notice(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(doc): Doc,
) -> Result<Json<NoticeView>, Problem> {
    Ok(Json(app.desk.notice(session.viewer, doc).await?))
}

/// Drafts a new notice; another operator sends it.
#[utoipa::path(post, path = "/api/v1/notices/drafts", tag = "notices", request_body = NewNotice, responses(
    (status = 201, body = DraftView, description = "Waits for a second person"),
    (status = 403, body = ProblemView, description = "Not at the desk"),
    (status = 409, body = ProblemView, description = "Too many drafts wait already"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong, or the area is not this node's"),
))]
async fn draft(State(app): State<App>, Signed(session): Signed, fields: Fields) -> Result<Response, Problem> {
    let draft = drafted(&app, &session, &fields).await?;
    Ok((StatusCode::CREATED, Json(draft)).into_response())
}

/// Drafts a change of a notice of this node, or that it is taken back; another operator sends it.
#[utoipa::path(post, path = "/api/v1/notices/{id}/drafts", tag = "notices", request_body = NoticeChange,
    params(("id" = String, Path, description = "The notice's document")), responses(
    (status = 201, body = DraftView, description = "Waits for a second person"),
    (status = 403, body = ProblemView, description = "Not at the desk, or not this node's notice"),
    (status = 404, body = ProblemView, description = "No such notice"),
    (status = 409, body = ProblemView, description = "It is over or was taken back"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn change(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(doc): Doc,
    fields: Fields,
) -> Result<Response, Problem> {
    let draft = changed(&app, &session, doc, &fields).await?;
    Ok((StatusCode::CREATED, Json(draft)).into_response())
}

/// Sends what another operator drafted: everybody in the area is told.
#[utoipa::path(post, path = "/api/v1/notices/drafts/{id}/approve", tag = "notices", request_body = Approval,
    params(("id" = String, Path, description = "The draft's number")), responses(
    (status = 200, body = NoticeView, description = "Sent"),
    (status = 404, body = ProblemView, description = "No such draft, or it was decided"),
    (status = 409, body = ProblemView, description = "Whoever drafted it may not send it, or the notice is over"),
    (status = 422, body = ProblemView, description = "It is not of this mode, or was not confirmed"),
))]
async fn approve(
    State(app): State<App>,
    Signed(session): Signed,
    DraftNumber(number): DraftNumber,
    fields: Fields,
) -> Result<Json<NoticeView>, Problem> {
    let asked = Approval::parse(&fields)?;
    Ok(Json(app.desk.approve_notice(session.viewer, number, asked.mode).await?))
}

/// Drops a draft.
#[utoipa::path(post, path = "/api/v1/notices/drafts/{id}/discard", tag = "notices",
    params(("id" = String, Path, description = "The draft's number")), responses(
    (status = 204, description = "Gone"),
    (status = 404, body = ProblemView, description = "No such draft, or it was decided"),
))]
async fn discard(
    State(app): State<App>,
    Signed(session): Signed,
    DraftNumber(number): DraftNumber,
) -> Result<StatusCode, Problem> {
    app.desk.discard_notice(session.viewer, number).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn drafted(app: &App, session: &Session, fields: &Fields) -> Result<DraftView, Problem> {
    Ok(app.desk.draft_notice(session.viewer, NewNotice::parse(fields)?.for_desk()).await?)
}

async fn changed(app: &App, session: &Session, doc: DocId, fields: &Fields) -> Result<DraftView, Problem> {
    Ok(match NoticeChange::parse(fields)? {
        Change::Update(words) => app.desk.draft_update(session.viewer, doc, words).await?,
        Change::Cancel(why) => app.desk.draft_cancel(session.viewer, doc, why).await?,
    })
}

type Page = Result<Html<String>, Problem>;

async fn list_page(State(app): State<App>, frame: Frame) -> Page {
    let view = app.desk.notices(frame.viewer).await?;
    Ok(Html(pages::notices(&frame.chrome, &view)))
}

async fn new_page(State(app): State<App>, _signed: Signed, frame: Frame) -> Page {
    empty_form(&app, frame, NoticeMode::Live).await
}

async fn drill_page(State(app): State<App>, _signed: Signed, frame: Frame) -> Page {
    empty_form(&app, frame, NoticeMode::Drill).await
}

async fn empty_form(app: &App, frame: Frame, mode: NoticeMode) -> Page {
    check_operator(frame.viewer)?;
    let view = app.desk.notices(frame.viewer).await?;
    Ok(Html(pages::notice_form(&frame.chrome, mode, &view.areas, &Filled::default(), None)))
}

async fn notice_page(State(app): State<App>, frame: Frame, Doc(doc): Doc) -> Page {
    let view = app.desk.notice(frame.viewer, doc).await?;
    Ok(Html(pages::notice(&frame.chrome, &view, &Filled::default(), None)))
}

async fn draft_page(
    State(app): State<App>,
    Signed(session): Signed,
    frame: Frame,
    DraftNumber(number): DraftNumber,
) -> Page {
    let draft = app.desk.notice_draft(session.viewer, number).await?;
    Ok(Html(pages::notice_draft(&frame.chrome, &draft)))
}

async fn draft_form(
    State(app): State<App>,
    Signed(session): Signed,
    Frame { chrome, .. }: Frame,
    fields: Fields,
) -> Result<Response, Problem> {
    match drafted(&app, &session, &fields).await {
        Ok(draft) => Ok(Redirect::to(&format!("/notices/drafts/{}", draft.number)).into_response()),
        Err(problem) if problem.is_in_the_form() => {
            let (words, typed) = (problem.words(&app.front, chrome.lang), fields.typed());
            let mode = if typed.is("mode", "drill") { NoticeMode::Drill } else { NoticeMode::Live };
            let areas = app.desk.notices(session.viewer).await?.areas;
            Ok(problem.form(pages::notice_form(&chrome, mode, &areas, &typed, Some(&words))))
        }
        Err(problem) => Err(problem),
    }
}

async fn change_form(
    State(app): State<App>,
    Signed(session): Signed,
    Frame { chrome, .. }: Frame,
    Doc(doc): Doc,
    fields: Fields,
) -> Result<Response, Problem> {
    match changed(&app, &session, doc, &fields).await {
        Ok(draft) => Ok(Redirect::to(&format!("/notices/drafts/{}", draft.number)).into_response()),
        Err(problem) if problem.is_in_the_form() => {
            let words = problem.words(&app.front, chrome.lang);
            let view = app.desk.notice(session.viewer, doc).await?;
            Ok(problem.form(pages::notice(&chrome, &view, &fields.typed(), Some(&words))))
        }
        Err(problem) => Err(problem),
    }
}

async fn approve_form(
    State(app): State<App>,
    Signed(session): Signed,
    DraftNumber(number): DraftNumber,
    fields: Fields,
) -> Result<Redirect, Problem> {
    let asked = Approval::parse(&fields)?;
    let sent = app.desk.approve_notice(session.viewer, number, asked.mode).await?;
    // The page of the notice has the forms to correct it and to take it back.
    Ok(Redirect::to(&format!("/notices/{}", sent.id)))
}

async fn discard_form(
    State(app): State<App>,
    Signed(session): Signed,
    DraftNumber(number): DraftNumber,
) -> Result<Redirect, Problem> {
    app.desk.discard_notice(session.viewer, number).await?;
    Ok(Redirect::to("/notices"))
}
