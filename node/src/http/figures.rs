//! Figures and facts: coverage, the country, the other nodes, this node, kinds and territories.

use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use protocol::ids::Code as Jurisdiction;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{Code, Problem, ProblemView};
use super::session::Maybe;
use super::{App, asked, lang};
use crate::desk::{Desk, Viewer};
use crate::pages::{self, KindView, Lang};
use crate::views::{CountryView, CoverageView, NodeView, PeerView};

/// The JSON routes.
pub(super) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(node))
        .routes(routes!(coverage))
        .routes(routes!(country))
        .routes(routes!(peers))
        .routes(routes!(kinds))
        .routes(routes!(territory))
}

/// A month.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Month {
    /// `yyyymm`; absent for the newest that has figures.
    pub period: Option<String>,
}

/// What this node is.
#[utoipa::path(get, path = "/api/v1/node", tag = "figures", responses(
    (status = 200, body = NodeView, description = "This node"),
))]
async fn node(State(app): State<App>) -> Json<NodeView> {
    Json(app.desk.node())
}

/// The coverage table of a month. Public on aggregators, for the desk elsewhere.
#[utoipa::path(get, path = "/api/v1/coverage", tag = "figures", params(Month), responses(
    (status = 200, body = CoverageView, description = "The table"),
    (status = 403, body = ProblemView, description = "Not public on this node"),
))]
async fn coverage(
    State(app): State<App>,
    maybe: Maybe,
    Query(month): Query<Month>,
) -> Result<Json<CoverageView>, Problem> {
    check_figures(&app, maybe.viewer())?;
    let period = asked::period(month.period.as_deref())?;
    Ok(Json(app.desk.coverage(period).await?))
}

/// The page of a precinct or of the country. Public on aggregators, for the desk elsewhere.
#[utoipa::path(get, path = "/api/v1/country", tag = "figures", params(Month), responses(
    (status = 200, body = CountryView, description = "The figures"),
    (status = 403, body = ProblemView, description = "Not public on this node"),
))]
async fn country(
    State(app): State<App>,
    maybe: Maybe,
    Query(month): Query<Month>,
) -> Result<Json<CountryView>, Problem> {
    check_figures(&app, maybe.viewer())?;
    let period = asked::period(month.period.as_deref())?;
    Ok(Json(app.desk.country(period).await?))
}

/// The other nodes, with their lag and the proof of being in step.
#[utoipa::path(get, path = "/api/v1/peers", tag = "figures", responses(
    (status = 200, body = Vec<PeerView>, description = "The other nodes"),
    (status = 403, body = ProblemView, description = "Not at the desk"),
))]
async fn peers(State(app): State<App>, maybe: Maybe) -> Result<Json<Vec<PeerView>>, Problem> {
    check_operator(maybe.viewer())?;
    Ok(Json(app.desk.peers().await?))
}

/// In which language.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct InLang {
    /// `es` or `en`; absent for the person's.
    lang: Option<String>,
}

/// Every kind of incident, with its words.
#[utoipa::path(get, path = "/api/v1/kinds", tag = "figures", params(InLang), responses(
    (status = 200, body = Vec<KindView>, description = "The kinds, by number"),
))]
async fn kinds(
    State(app): State<App>,
    headers: HeaderMap,
    Query(chosen): Query<InLang>,
) -> Json<Vec<KindView>> {
    let chosen = chosen.lang.as_deref().and_then(Lang::from_tag);
    Json(pages::kinds(chosen.unwrap_or_else(|| lang::of(&headers, app.front.settings.language))))
}

/// The public boundaries of the territories that this node shows, as GeoJSON.
#[utoipa::path(get, path = "/api/v1/territory", tag = "figures", responses(
    (status = 200, description = "A feature collection (RFC 7946)", body = Object, content_type = "application/geo+json"),
))]
async fn territory(State(app): State<App>) -> Response {
    let headers = [(CONTENT_TYPE, "application/geo+json"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, app.boundaries.of(&app.desk)).into_response()
}

/// Figures are public where they are gathered, and for the desk elsewhere.
pub(super) fn check_figures(app: &App, viewer: Viewer) -> Result<(), Problem> {
    if app.figures_are_public() { Ok(()) } else { check_operator(viewer) }
}

/// Only somebody at the desk.
pub(super) fn check_operator(viewer: Viewer) -> Result<(), Problem> {
    match viewer {
        Viewer::Operator(_) => Ok(()),
        Viewer::Resident(_) => Err(Problem::new(Code::NotForYou)),
        Viewer::Nobody => Err(Problem::new(Code::NotSignedIn)),
    }
}

/// The boundaries of the roster's jurisdictions, drawn when they change and shared by all who ask.
#[derive(Debug, Default)]
pub(super) struct Boundaries(Mutex<Option<(Vec<Jurisdiction>, Bytes)>>);

impl Boundaries {
    fn of(&self, desk: &Desk) -> Bytes {
        let mut codes: Vec<Jurisdiction> =
            desk.config().node.jurisdictions.iter().map(|own| own.code).collect();
        codes.extend(
            desk.store().rosters().head().members().iter().flat_map(|member| member.codes.iter().copied()),
        );
        codes.sort_unstable();
        codes.dedup();
        let mut drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*drawn {
            Some((of, bytes)) if *of == codes => bytes.clone(),
            Some(_) | None => {
                let bytes = Bytes::from(desk.territory().geojson(&codes));
                *drawn = Some((codes, bytes.clone()));
                bytes
            }
        }
    }
}
