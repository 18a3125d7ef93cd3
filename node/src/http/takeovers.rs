//! What becomes of the incidents of a lost node: pages, forms and the API.

use axum::extract::{Query, State};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::ids::MemberId;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::asked::takeovers::{NewTakeover, NewVouch, TakeoverAnswer};
use super::error::{Problem, ProblemView};
use super::fields::Fields;
use super::incidents::Doc;
use super::screens::Frame;
use super::session::{Session, Signed};
use crate::pages;
use crate::views::{BatchView, LostNodeView, TakeoversView};

/// The JSON routes.
pub(super) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(takeovers, take_over))
        .routes(routes!(lost_node))
        .routes(routes!(answer))
        .routes(routes!(vouch))
}

/// The pages and the forms in them.
pub(super) fn forms() -> Router<App> {
    Router::new()
        .route("/takeovers", get(list_page).post(take_over_form))
        .route("/takeovers/{id}", get(lost_page))
        .route("/takeovers/answers", post(answer_form))
        .route("/takeovers/seals", post(vouch_form))
}

/// Lost nodes that concern this one, and what is offered to it of them.
#[utoipa::path(get, path = "/api/v1/takeovers", tag = "takeovers", responses(
    (status = 200, body = TakeoversView, description = "Lost nodes, and what is offered to this one"),
    (status = 403, body = ProblemView, description = "Not at the desk"),
))]
async fn takeovers(State(app): State<App>, Signed(session): Signed) -> Result<Json<TakeoversView>, Problem> {
    Ok(Json(app.desk.lost_nodes(session.viewer).await?))
}

/// Offers what a lost node has open, or takes it; a bounded number in one request, `left` says how many
/// are for the next.
#[utoipa::path(post, path = "/api/v1/takeovers", tag = "takeovers", request_body = NewTakeover, responses(
    (status = 200, body = BatchView, description = "What was done"),
    (status = 403, body = ProblemView, description = "Not at the desk, or not this node's to take"),
    (status = 409, body = ProblemView, description = "That node answers, or nothing is open there"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn take_over(
    State(app): State<App>,
    Signed(session): Signed,
    fields: Fields,
) -> Result<Json<BatchView>, Problem> {
    let asked = NewTakeover::parse(&fields)?;
    Ok(Json(app.desk.take_over(session.viewer, asked.for_desk()).await?))
}

/// One lost node with its first open incidents.
#[utoipa::path(get, path = "/api/v1/takeovers/{id}", tag = "takeovers",
    params(("id" = String, Path, description = "The node's member id")), responses(
    (status = 200, body = LostNodeView, description = "The lost node"),
    (status = 404, body = ProblemView, description = "It is not lost, or not this node's to answer for"),
))]
async fn lost_node(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(node): Doc,
) -> Result<Json<LostNodeView>, Problem> {
    Ok(Json(app.desk.lost_node(session.viewer, MemberId(node.0)).await?))
}

/// Accepts, or with a reason declines, everything of a lost node that is offered to this one.
#[utoipa::path(post, path = "/api/v1/takeovers/answers", tag = "takeovers", request_body = TakeoverAnswer, responses(
    (status = 200, body = BatchView, description = "What was done"),
    (status = 403, body = ProblemView, description = "Not at the desk"),
    (status = 409, body = ProblemView, description = "Nothing of it waits for an answer"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn answer(
    State(app): State<App>,
    Signed(session): Signed,
    fields: Fields,
) -> Result<Json<BatchView>, Problem> {
    let asked = TakeoverAnswer::parse(&fields)?;
    Ok(Json(app.desk.answer_takeovers(session.viewer, asked.node, asked.declined).await?))
}

/// Vouches for what an expelled node wrote, as far as it had arrived here by an instant.
#[utoipa::path(post, path = "/api/v1/takeovers/seals", tag = "takeovers", request_body = NewVouch, responses(
    (status = 200, body = BatchView, description = "What was done"),
    (status = 403, body = ProblemView, description = "Not at the desk"),
    (status = 409, body = ProblemView, description = "That node is not expelled"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn vouch(
    State(app): State<App>,
    Signed(session): Signed,
    fields: Fields,
) -> Result<Json<BatchView>, Problem> {
    Ok(Json(app.desk.vouch(session.viewer, NewVouch::parse(&fields)?.for_desk()).await?))
}

/// What the form before did, carried in the address: numbers only.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Done {
    done: Option<u64>,
    refused: Option<u64>,
    left: Option<u64>,
}

impl Done {
    fn view(self) -> Option<BatchView> {
        let Done { done, refused, left } = self;
        let (refused, left) = (refused.unwrap_or_default(), left.unwrap_or_default());
        done.map(|done| BatchView { done, refused, left })
    }
}

fn back(to: &str, done: BatchView) -> Redirect {
    let BatchView { done, refused, left } = done;
    Redirect::to(&format!("{to}?done={done}&refused={refused}&left={left}"))
}

async fn list_page(
    State(app): State<App>,
    Signed(session): Signed,
    frame: Frame,
    Query(done): Query<Done>,
) -> Result<Html<String>, Problem> {
    let view = app.desk.lost_nodes(session.viewer).await?;
    Ok(Html(pages::takeovers(&frame.chrome, &view, done.view())))
}

async fn lost_page(
    State(app): State<App>,
    Signed(session): Signed,
    frame: Frame,
    Doc(node): Doc,
    Query(done): Query<Done>,
) -> Result<Html<String>, Problem> {
    let view = app.desk.lost_node(session.viewer, MemberId(node.0)).await?;
    Ok(Html(pages::lost(&frame.chrome, &view, done.view())))
}

/// The page of the node, or the list where the node is not on it any more.
async fn page_of(app: &App, session: &Session, node: MemberId) -> String {
    let still = app.desk.lost_node(session.viewer, node).await.is_ok();
    if still { format!("/takeovers/{node}") } else { "/takeovers".to_owned() }
}

async fn take_over_form(
    State(app): State<App>,
    Signed(session): Signed,
    fields: Fields,
) -> Result<Redirect, Problem> {
    let asked = NewTakeover::parse(&fields)?;
    let node = asked.node;
    let done = app.desk.take_over(session.viewer, asked.for_desk()).await?;
    Ok(back(&page_of(&app, &session, node).await, done))
}

async fn answer_form(
    State(app): State<App>,
    Signed(session): Signed,
    fields: Fields,
) -> Result<Redirect, Problem> {
    let asked = TakeoverAnswer::parse(&fields)?;
    let done = app.desk.answer_takeovers(session.viewer, asked.node, asked.declined).await?;
    Ok(back("/takeovers", done))
}

async fn vouch_form(
    State(app): State<App>,
    Signed(session): Signed,
    fields: Fields,
) -> Result<Redirect, Problem> {
    let asked = NewVouch::parse(&fields)?;
    let node = asked.node;
    let done = app.desk.vouch(session.viewer, asked.for_desk()).await?;
    Ok(back(&page_of(&app, &session, node).await, done))
}
