//! The door for people and programs: the JSON API under `/api/v1`, the pages, the forms that work
//! without JavaScript, and the event stream. It parses, asks `desk`, and words the answer. It holds
//! no rule about incidents and no SQL; `http/error.rs` alone picks status codes.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::{InfoBuilder, License, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

mod acts;
mod alerts;
pub mod asked;
mod assets;
pub mod counts;
pub mod error;
mod error_words;
mod events;
pub mod fields;
mod figures;
mod forms;
pub mod headers;
mod hub;
mod incidents;
mod lang;
pub mod limits;
mod machine;
mod notices;
mod origin;
mod people;
mod screens;
pub mod serve;
mod session;
mod takeovers;

use counts::Counts;
use error::{Code, Problem};
use hub::Hub;
use limits::{
    BODY_BYTES_MAX, MULTIPART_EXTRA_BYTES_MAX, PICTURE_BYTES_MAX, PICTURE_TIMEOUT, REQUEST_TIMEOUT,
};
pub use serve::{Certificate, Listening, ServeError, Settings, Transport};

use crate::desk::{Desk, Reach};
use crate::views::NodeView;

/// What the layers need to know.
#[derive(Debug, Clone)]
pub struct Front {
    settings: Arc<Settings>,
    counts: Arc<Counts>,
    /// This node as it was last shown, for pages that say what did not work.
    node: Arc<RwLock<NodeView>>,
}

impl Front {
    fn new(settings: Settings, node: NodeView) -> Self {
        Self { settings: Arc::new(settings), counts: Arc::default(), node: Arc::new(RwLock::new(node)) }
    }

    fn show(&self, node: &NodeView) {
        self.node.write().unwrap_or_else(PoisonError::into_inner).clone_from(node);
    }

    fn node(&self) -> NodeView {
        self.node.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the routes need.
#[derive(Clone)]
struct App {
    front: Front,
    desk: Desk,
    hub: Arc<Hub<Reach>>,
    boundaries: Arc<figures::Boundaries>,
}

impl App {
    fn new(settings: Settings, desk: Desk) -> Self {
        let front = Front::new(settings, desk.node());
        let hub = Arc::new(Hub::new(Arc::clone(&front.counts), front.settings.streams_max));
        Self { front, desk, hub, boundaries: Arc::default() }
    }

    /// Figures are public on nodes that gather those of others.
    fn figures_are_public(&self) -> bool {
        self.desk.node().roles.iter().any(|role| role == "aggregator")
    }
}

/// 32 random bytes.
fn fresh_id() -> [u8; 32] {
    let mut id = [0; 32];
    getrandom::fill(&mut id).expect("the system gives random bytes");
    id
}

/// The routes of the API and their description.
fn api() -> (OpenApiRouter<App>, OpenApiRouter<App>) {
    let info = InfoBuilder::new()
        .title("cuadra")
        .description(Some("The HTTP API of one node. Errors are application/problem+json."))
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(License::new("AGPL-3.0-or-later")));
    let described = OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info.build()).build());
    let quick = described
        .merge(figures::api())
        .merge(people::api())
        .merge(alerts::api())
        .merge(incidents::api())
        .merge(acts::api())
        .merge(takeovers::api())
        .merge(notices::api())
        .merge(events::api())
        .merge(machine::api())
        .routes(routes!(describe));
    (quick, alerts::media_api())
}

/// The description of the API.
fn openapi() -> OpenApi {
    let (quick, heavy) = api();
    let mut described = quick.into_openapi();
    described.merge(heavy.into_openapi());
    described
}

/// The description of the API as JSON, for `/api/v1/openapi.json` and for generated clients.
#[must_use]
pub fn openapi_json() -> String {
    openapi().to_pretty_json().expect("a description becomes JSON")
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "machine", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object),
))]
async fn describe() -> Response {
    static DESCRIBED: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(openapi_json()));
    ([(CONTENT_TYPE, "application/json")], DESCRIBED.clone()).into_response()
}

/// Every route with its layers.
fn router(app: App) -> Router {
    let (quick, heavy) = api();
    let quick = Router::from(quick)
        .merge(people::forms())
        .merge(alerts::forms())
        .merge(incidents::forms())
        .merge(acts::forms())
        .merge(takeovers::forms())
        .merge(notices::forms())
        .merge(screens::routes())
        .merge(assets::routes());
    let heavy = Router::from(heavy).merge(alerts::media_forms());
    let front = app.front.clone();
    let routes = bounded(quick, QUICK).merge(bounded(heavy, HEAVY));
    guarded(routes.with_state(app), &front)
}

/// Serves the pages and the API until `stop` is ready.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listening: Listening,
    settings: Settings,
    desk: Desk,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let app = App::new(settings, desk.clone());
    let (hub, counts) = (Arc::clone(&app.hub), Arc::clone(&app.front.counts));
    let mut feeding = tokio::spawn(events::feed(desk, Arc::clone(&hub)));
    let stop = async {
        stop.await;
        // Streams never end by themselves: they would use up the grace of all others.
        hub.stop();
    };
    let served = listening.serve(router(app), counts, stop).await;
    feeding.abort();
    let _ = (&mut feeding).await;
    served
}

/// The limits of forms and pages.
const QUICK: (usize, Duration) = (BODY_BYTES_MAX, REQUEST_TIMEOUT);

/// The limits of pictures.
const HEAVY: (usize, Duration) = (PICTURE_BYTES_MAX + MULTIPART_EXTRA_BYTES_MAX, PICTURE_TIMEOUT);

/// Bounds the bodies of these routes, and the time that they may take.
fn bounded<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    (bytes_max, timeout): (usize, Duration),
) -> Router<S> {
    routes
        .layer(DefaultBodyLimit::max(bytes_max))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, timeout))
}

/// Puts the layers that every route has around a router: who sent it, what went wrong, what a
/// browser may do with the answer.
fn guarded(routes: Router, front: &Front) -> Router {
    routes
        .fallback(async || Problem::new(Code::NotFound))
        .layer(from_fn_with_state(front.clone(), origin::check))
        .layer(CatchPanicLayer::custom(error::on_panic))
        .layer(from_fn_with_state(front.clone(), error::answer))
        .layer(from_fn_with_state(front.clone(), headers::add))
}

#[cfg(test)]
mod tests;
