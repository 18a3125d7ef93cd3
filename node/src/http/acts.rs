//! What the desk does to an incident less often, on a page of its own with plain forms.

use axum::Json;
use axum::extract::State;
use axum::response::Redirect;
use protocol::ids::DocId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::asked::acts::{
    NewDispute, NewErasure, NewKind, NewLink, NewPlace, NewRedaction, NewReferral, NewReferralAnswer,
    NewRelease,
};
use super::error::{Code, Problem, ProblemView};
use super::fields::Fields;
use super::forms::{DeskForm, Page};
use super::incidents::Doc;
use super::session::{Session, Signed};
use crate::views::IncidentDetailView;

/// The JSON routes.
pub(super) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(redact))
        .routes(routes!(erase_reporter))
        .routes(routes!(refer))
        .routes(routes!(answer_referral))
        .routes(routes!(reclassify))
        .routes(routes!(relocate))
        .routes(routes!(link))
        .routes(routes!(unlink))
        .routes(routes!(absorb))
        .routes(routes!(dispute))
        .routes(routes!(release))
}

/// The routes of forms.
pub(super) fn forms() -> axum::Router<App> {
    axum::Router::new().route("/incidents/{id}/acts/{action}", axum::routing::post(act_form))
}

/// What the desk does less often.
enum Action {
    EraseReporter(NewErasure),
    Redact(NewRedaction),
    Refer(NewReferral),
    AnswerReferral(NewReferralAnswer),
    Reclassify(NewKind),
    Relocate(NewPlace),
    Link(NewLink),
    Unlink(NewLink),
    Absorb(NewLink),
    Dispute(NewDispute),
    Release(NewRelease),
}

impl Action {
    /// By the last part of a form's path.
    fn parse(name: &str, fields: &Fields) -> Result<Self, Problem> {
        Ok(match name {
            "erase-reporter" => Self::EraseReporter(NewErasure::parse(fields)?),
            "redactions" => Self::Redact(NewRedaction::parse(fields)?),
            "referrals" => Self::Refer(NewReferral::parse(fields)?),
            "answers" => Self::AnswerReferral(NewReferralAnswer::parse(fields)?),
            "kind" => Self::Reclassify(NewKind::parse(fields)?),
            "place" => Self::Relocate(NewPlace::parse(fields)?),
            "link" => Self::Link(NewLink::parse(fields)?),
            "unlink" => Self::Unlink(NewLink::parse(fields)?),
            "absorb" => Self::Absorb(NewLink::parse(fields)?),
            "disputes" => Self::Dispute(NewDispute::parse(fields)?),
            "releases" => Self::Release(NewRelease::parse(fields)?),
            _ => return Err(Problem::new(Code::NotFound)),
        })
    }

    /// Where its form is filled in.
    fn page(&self) -> Page {
        match self {
            Self::EraseReporter(_) | Self::Redact(_) | Self::Release(_) => Page::More,
            Self::Refer(_)
            | Self::AnswerReferral(_)
            | Self::Reclassify(_)
            | Self::Relocate(_)
            | Self::Link(_)
            | Self::Unlink(_)
            | Self::Absorb(_)
            | Self::Dispute(_) => Page::Incident,
        }
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
        Action::EraseReporter(asked) => {
            desk.erase_reporter(viewer, doc, &asked.reason).await?;
            desk.incident(viewer, doc).await?
        }
        Action::Redact(asked) => desk.redact(viewer, doc, asked.blobs, &asked.reason).await?,
        Action::Refer(asked) => desk.refer(viewer, doc, asked.service, asked.node).await?,
        Action::AnswerReferral(asked) => {
            desk.answer_referral(viewer, doc, asked.referral, asked.answer).await?
        }
        Action::Reclassify(asked) => desk.reclassify(viewer, doc, asked.kind, asked.urgency).await?,
        Action::Relocate(asked) => {
            let address = asked.address.as_deref().unwrap_or_default();
            desk.relocate(viewer, doc, asked.for_desk()?, address).await?
        }
        Action::Link(asked) => desk.link(viewer, doc, other(app, session, &asked).await?).await?,
        Action::Unlink(asked) => desk.unlink(viewer, doc, other(app, session, &asked).await?).await?,
        Action::Absorb(asked) => desk.absorb(viewer, doc, other(app, session, &asked).await?).await?,
        Action::Dispute(asked) => desk.dispute(viewer, doc, asked.what, &asked.text).await?,
        Action::Release(asked) => desk.release(viewer, doc, asked.blobs).await?,
    })
}

/// The incident that is named by its id or its short number.
async fn other(app: &App, session: &Session, named: &NewLink) -> Result<DocId, Problem> {
    match named.target.parse() {
        Ok(doc) => Ok(doc),
        Err(_) => Ok(app.desk.by_short(session.viewer, &named.target).await?),
    }
}

async fn act_form(form: DeskForm) -> Result<Redirect, Problem> {
    let action = Action::parse(&form.action, &form.fields)?;
    let back = form.done(action.page());
    act(&form.app, &form.session, form.doc, action).await?;
    Ok(back)
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
    Ok(Json(act(&app, &session, doc, Action::Redact(NewRedaction::parse(&fields)?)).await?))
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
    Ok(Json(act(&app, &session, doc, Action::EraseReporter(NewErasure::parse(&fields)?)).await?))
}

/// Asks a service to answer; whatever it answers, the incident stays ours.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/referrals", tag = "desk", request_body = NewReferral,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not ours, or closed"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn refer(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Refer(NewReferral::parse(&fields)?)).await?))
}

/// Answers a referral: at the node of the service that was asked, or, for one without a node, at the owner.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/referrals/answer", tag = "desk", request_body = NewReferralAnswer,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not ours to answer, or answered"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn answer_referral(
    State(app): State<App>,
    Signed(session): Signed,
    Doc(doc): Doc,
    fields: Fields,
) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::AnswerReferral(NewReferralAnswer::parse(&fields)?)).await?))
}

/// Corrects what the incident is.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/kind", tag = "desk", request_body = NewKind,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not ours"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn reclassify(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Reclassify(NewKind::parse(&fields)?)).await?))
}

/// Corrects where the incident is. The exact place is for responders alone.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/place", tag = "desk", request_body = NewPlace,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not ours, or closed"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn relocate(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Relocate(NewPlace::parse(&fields)?)).await?))
}

/// Says that the incident is the same as another one, which stays.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/links", tag = "desk", request_body = NewLink,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not ours"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn link(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Link(NewLink::parse(&fields)?)).await?))
}

/// Takes back that it is the same as another one.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/links/remove", tag = "desk", request_body = NewLink,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not ours"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn unlink(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Unlink(NewLink::parse(&fields)?)).await?))
}

/// Takes an incident in whose owner says that it is the same as this one; it is then shown below this one.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/absorptions", tag = "desk", request_body = NewLink,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not ours, or not linked"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn absorb(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Absorb(NewLink::parse(&fields)?)).await?))
}

/// Says that something about a neighbour's incident is not so, and why.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/disputes", tag = "desk", request_body = NewDispute,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "It is ours"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn dispute(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Dispute(NewDispute::parse(&fields)?)).await?))
}

/// Lets everybody who holds the incident see words or photos. It cannot be taken back.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/releases", tag = "desk", request_body = NewRelease,
    params(("id" = String, Path, description = "The incident's document")), responses(
    (status = 200, body = IncidentDetailView, description = "The incident as it is now"),
    (status = 404, body = ProblemView, description = "No such incident for this viewer"),
    (status = 409, body = ProblemView, description = "Not ours"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn release(State(app): State<App>, Signed(session): Signed, Doc(doc): Doc, fields: Fields) -> Acted {
    Ok(Json(act(&app, &session, doc, Action::Release(NewRelease::parse(&fields)?)).await?))
}
