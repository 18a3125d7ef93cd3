//! The built web app and the pictures of incidents.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use protocol::ids::BlobId;

use super::App;
use super::error::{Code, Problem};
use super::headers::IMMUTABLE;
use super::session::Maybe;
use crate::pages::assets;

/// The routes of files.
pub(super) fn routes() -> Router<App> {
    let files = assets::all().iter().fold(Router::new(), |router, asset| router.route(asset.path, get(file)));
    files.route("/media/{blob}", get(media))
}

async fn file(headers: HeaderMap, uri: Uri) -> Result<Response, Problem> {
    let asset = assets::find(uri.path()).ok_or(Problem::new(Code::NotFound))?;
    let accepts = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let zipped = asset.gzip.filter(|_| accepts.contains("gzip"));
    let mut response = zipped.unwrap_or(asset.bytes).into_response();
    let answer = response.headers_mut();
    answer.insert(CONTENT_TYPE, HeaderValue::from_static(asset.mime));
    answer.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    let cache = if asset.immutable { IMMUTABLE } else { HeaderValue::from_static("no-cache") };
    answer.insert(CACHE_CONTROL, cache);
    if zipped.is_some() {
        answer.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// A picture, for those who may see it; to all others it does not exist.
async fn media(State(app): State<App>, maybe: Maybe, Path(blob): Path<String>) -> Result<Response, Problem> {
    let bytes = hex::decode(blob).ok().and_then(|bytes| bytes.try_into().ok());
    let blob = BlobId(bytes.ok_or(Problem::new(Code::NotFound))?);
    let media = app.desk.media(maybe.viewer(), blob).await?;
    let mut response = media.bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media.content_type));
    // Nothing in a picture may run, whatever a browser takes it for.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}
