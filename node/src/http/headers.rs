//! The headers that every answer carries: what a page may load, that nothing is sniffed, framed or
//! told to other sites, and how long something may be kept.

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::Next;
use axum::response::Response;

use super::Front;

/// What pages may load: only from this node; pictures also from memory; no inline script, no frame.
pub const POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; \
     base-uri 'none'; frame-ancestors 'none'; form-action 'self'; worker-src 'self'";

/// The same for pages with the drawn map, whose library starts its worker from memory.
pub const MAP_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; \
     base-uri 'none'; frame-ancestors 'none'; form-action 'self'; worker-src 'self' blob:";

/// Position and nothing else that a phone could be asked for.
const PERMISSIONS: &str = "geolocation=(self), camera=(), microphone=(), payment=(), usb=(), serial=(), \
     accelerometer=(), gyroscope=(), magnetometer=(), display-capture=(), browsing-topics=()";

/// A year: a node that has once served HTTPS goes on doing so.
const TRANSPORT: &str = "max-age=31536000";

/// For files whose name holds the hash of their content.
pub const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Pages under these paths have the drawn map.
const MAP_PAGES: [&str; 3] = ["/console", "/country", "/coverage"];

/// Layer that adds them. What a handler already set stays.
pub(super) async fn add(State(front): State<Front>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let map = MAP_PAGES
        .iter()
        .any(|page| path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(CONTENT_SECURITY_POLICY, if map { MAP_POLICY } else { POLICY });
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(X_FRAME_OPTIONS, "DENY");
    set(REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("permissions-policy"), PERMISSIONS);
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(VARY, "Cookie, Accept-Language, Accept");
    set(CACHE_CONTROL, "no-store");
    if front.settings.https() {
        set(STRICT_TRANSPORT_SECURITY, TRANSPORT);
    }
    response
}
