//! What the desk does to an incident less often, on a page of its own with plain forms.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Redirect;
use protocol::ids::DocId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::asked::acts::{NewErasure, NewRedaction};
use super::error::{Code, Problem, ProblemView};
use super::fields::Fields;
use super::incidents::Doc;
use super::session::{Session, Signed};
use crate::views::IncidentDetailView;

/// The JSON routes.
pub(super) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(redact)).routes(routes!(erase_reporter))
}

/// The routes of forms.
pub(super) fn forms() -> axum::Router<App> {
    axum::Router::new().route("/incidents/{id}/acts/{action}", axum::routing::post(act_form))
}

/// The one place where an action is read and carried out.
async fn act(
    app: &App,
    session: &Session,
    doc: DocId,
    name: &str,
    fields: &Fields,
) -> Result<IncidentDetailView, Problem> {
    let (desk, viewer) = (&app.desk, session.viewer);
    Ok(match name {
        "erase-reporter" => {
            let asked = NewErasure::parse(fields)?;
            desk.erase_reporter(viewer, doc, &asked.reason).await?;
            desk.incident(viewer, doc).await?
        }
        "redactions" => {
            let asked = NewRedaction::parse(fields)?;
            desk.redact(viewer, doc, asked.blobs, &asked.reason).await?
        }
        _ => return Err(Problem::new(Code::NotFound)),
    })
}

async fn act_form(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(doc): Doc,
    Path(path): Path<Vec<(String, String)>>,
    fields: Fields,
) -> Result<Redirect, Problem> {
    let name = path.iter().find(|(name, _)| name == "action").map_or("", |(_, action)| action);
    act(&app, &session, doc, name, &fields).await?;
    Ok(Redirect::to(&format!("/console/incidents/{}/more", hex::encode(doc.0))))
}

/// An incident after an action.
type Acted = Result<Json<IncidentDetailView>, Problem>;

/// Erases words or photos of the incident at every node that holds them. It cannot be taken back.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/redactions", tag = "desk", request_body = NewRedaction,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not this node's to erase"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn redact(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, "redactions", &fields).await?))
}

/// Erases the resident who reported it, with everything that this node knows of them. It cannot be taken
/// back; what they told in incidents goes once each is closed.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/reporter/erasure", tag = "desk", request_body = NewErasure,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident, or no resident of this node reported it"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn erase_reporter(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(doc): Doc,
    fields: Fields,
) -> Acted {
    Ok(Json(act(&app, &session, doc, "erase-reporter", &fields).await?))
}
