//! Whether a request comes from a page of this node. Checked on everything that changes something
//! and on the event stream; together with `SameSite=Strict` cookies it is what keeps another site
//! from acting as the person who visits it.

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Front;
use super::error::{Code, Problem};

/// What the headers prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A page of this node, or the address bar.
    Ours,
    /// A page of another site.
    Foreign,
    /// Neither header was sent: a program, or a browser older than both.
    Unknown,
}

impl Origin {
    /// Judges `Sec-Fetch-Site`, which pages cannot set, then `Origin` against the host asked for.
    pub(super) fn of(headers: &HeaderMap, uri: &Uri, https: bool) -> Self {
        if let Some(site) = headers.get("sec-fetch-site") {
            // `same-site` is another node's name beside ours, or another port: not us.
            return if site == "same-origin" || site == "none" { Self::Ours } else { Self::Foreign };
        }
        let Some(origin) = headers.get(ORIGIN) else { return Self::Unknown };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = uri.authority().map(|authority| authority.as_str()).or(host).unwrap_or_default();
        let scheme = if https { "https" } else { "http" };
        let ours =
            !host.is_empty() && origin.to_str().is_ok_and(|origin| origin == format!("{scheme}://{host}"));
        if ours { Self::Ours } else { Self::Foreign }
    }
}

/// Marks a request whose session must not be believed: it may have been sent by another site.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionInDoubt;

/// Layer that refuses what another site sent. Without either header, a session is not believed,
/// except that an SOS goes on without it.
pub(super) async fn check(State(front): State<Front>, mut request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let stream = request.uri().path() == "/api/v1/events";
    if reads && !stream {
        return next.run(request).await;
    }
    let origin = Origin::of(request.headers(), request.uri(), front.settings.https());
    match origin {
        Origin::Ours => {}
        Origin::Foreign => return Problem::new(Code::OtherSite).into_response(),
        // A page of another site always sends one of the two when it reads a stream.
        Origin::Unknown if reads => {}
        Origin::Unknown if !request.headers().contains_key(COOKIE) => {}
        Origin::Unknown => {
            request.extensions_mut().insert(SessionInDoubt);
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(site: Option<&str>, origin: Option<&str>, https: bool, expected: Origin) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "sanmiguel.localhost:8443".parse().unwrap());
        if let Some(site) = site {
            headers.insert("sec-fetch-site", site.parse().unwrap());
        }
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        let uri = Uri::from_static("/alerts");
        assert_eq!(Origin::of(&headers, &uri, https), expected, "{site:?} {origin:?}");
    }

    #[test]
    fn only_the_same_scheme_host_and_port_is_ours() {
        check(None, None, true, Origin::Unknown);
        check(Some("same-origin"), None, true, Origin::Ours);
        check(Some("none"), None, true, Origin::Ours);
        check(Some("same-site"), Some("https://sanmiguel.localhost:8443"), true, Origin::Foreign);
        check(Some("cross-site"), None, true, Origin::Foreign);
        check(None, Some("https://sanmiguel.localhost:8443"), true, Origin::Ours);
        check(None, Some("http://sanmiguel.localhost:8443"), true, Origin::Foreign);
        check(None, Some("http://sanmiguel.localhost:8443"), false, Origin::Ours);
        check(None, Some("https://sanmiguel.localhost"), true, Origin::Foreign);
        check(None, Some("https://lacisterna.localhost:8443"), true, Origin::Foreign);
        check(None, Some("null"), true, Origin::Foreign);
    }
}
