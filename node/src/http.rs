//! The door for people and programs: the JSON API under `/api/v1`, the pages, the forms that work
//! without JavaScript, and the event stream. It parses, asks `desk`, and words the answer. It holds
//! no rule about incidents and no SQL; `http/error.rs` alone picks status codes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

pub mod asked;
pub mod counts;
pub mod error;
mod error_words;
pub mod fields;
pub mod headers;
mod hub;
pub mod lang;
pub mod limits;
mod origin;
pub mod serve;

use counts::Counts;
use error::{Code, Problem};
use limits::{
    BODY_BYTES_MAX, MULTIPART_EXTRA_BYTES_MAX, PICTURE_BYTES_MAX, PICTURE_TIMEOUT, REQUEST_TIMEOUT,
};
use serve::Settings;

/// What the layers need to know.
#[derive(Debug, Clone)]
pub struct Front {
    settings: Arc<Settings>,
    counts: Arc<Counts>,
}

impl Front {
    /// For these settings, with counters at zero.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), counts: Arc::default() }
    }
}

/// The limits of forms and pages.
const QUICK: (usize, Duration) = (BODY_BYTES_MAX, REQUEST_TIMEOUT);

/// The limits of pictures.
const HEAVY: (usize, Duration) = (PICTURE_BYTES_MAX + MULTIPART_EXTRA_BYTES_MAX, PICTURE_TIMEOUT);

/// Bounds the bodies of these routes, and the time that they may take.
fn bounded(routes: Router, (bytes_max, timeout): (usize, Duration)) -> Router {
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
