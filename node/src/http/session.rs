//! Who is asking: the session cookie, and the extractors that turn it into a person.

use axum::extract::FromRequestParts;
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};

use super::App;
use super::error::{Code, Problem};
use super::hub::SessionKey;
use super::lang::cookie;
use super::origin::SessionInDoubt;
use crate::desk::{SignedIn, Viewer};
use crate::pages::Lang;

/// Over HTTPS the name itself makes browsers insist on `Secure`, this host alone and path `/`.
const COOKIE_HTTPS: &str = "__Host-cuadra";

/// Over plain HTTP on loopback, where a browser would refuse the other.
const COOKIE_PLAIN: &str = "cuadra";

/// How long a browser keeps the chosen language: the longest that any keeps a cookie.
const LANG_AGE_S: u32 = 400 * 24 * 60 * 60;

/// A session that was just begun, as its cookie holds it.
#[derive(Debug)]
pub(super) struct Cookie {
    token: String,
    age_s: u64,
}

impl Cookie {
    pub(super) fn of(signed_in: &SignedIn) -> Self {
        Self { token: signed_in.token.clone(), age_s: signed_in.lifetime.0 / 1_000 }
    }
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// The cookie's value.
    pub token: String,
    /// Who it is, for `desk`.
    pub viewer: Viewer,
}

impl Session {
    pub(super) fn key(&self) -> SessionKey {
        SessionKey(Sha256::digest(self.token.as_bytes()).into())
    }
}

/// The cookie's name where pages come over HTTPS, and where they do not.
pub(super) fn cookie_name(https: bool) -> &'static str {
    if https { COOKIE_HTTPS } else { COOKIE_PLAIN }
}

/// Sets the session's cookie, or takes it away.
pub(super) fn set_session(headers: &mut HeaderMap, https: bool, cookie: Option<Cookie>) {
    let (name, secure) = (cookie_name(https), if https { "; Secure" } else { "" });
    let Cookie { token: value, age_s: age } = cookie.unwrap_or(Cookie { token: String::new(), age_s: 0 });
    let line = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    let mut line = HeaderValue::try_from(line).expect("tokens are hex digits");
    line.set_sensitive(true);
    headers.append(SET_COOKIE, line);
}

/// Remembers the chosen language.
pub(super) fn set_lang(headers: &mut HeaderMap, https: bool, lang: Lang) {
    let secure = if https { "; Secure" } else { "" };
    let line = format!("lang={}; Path=/; Max-Age={LANG_AGE_S}; SameSite=Lax{secure}", lang.tag());
    headers.append(SET_COOKIE, HeaderValue::try_from(line).expect("language tags are plain"));
}

/// Somebody signed in, or nobody.
#[derive(Debug, Clone)]
pub(super) struct Maybe(pub Option<Session>);

impl Maybe {
    /// Who it is, for `desk`.
    pub(super) fn viewer(&self) -> Viewer {
        self.0.as_ref().map_or(Viewer::Nobody, |session| session.viewer)
    }
}

impl FromRequestParts<App> for Maybe {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let https = app.front.settings.https();
        let Some(token) = cookie(&parts.headers, cookie_name(https)) else { return Ok(Self(None)) };
        if parts.extensions.get::<SessionInDoubt>().is_some() {
            return Ok(Self(None));
        }
        match app.desk.session(token).await? {
            Viewer::Nobody => Ok(Self(None)),
            viewer @ (Viewer::Resident(_) | Viewer::Operator(_)) => {
                Ok(Self(Some(Session { token: token.to_owned(), viewer })))
            }
        }
    }
}

/// Somebody signed in.
#[derive(Debug, Clone)]
pub(super) struct Signed(pub Session);

impl FromRequestParts<App> for Signed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Maybe(session) = Maybe::from_request_parts(parts, app).await?;
        session.map(Self).ok_or(Problem::new(Code::NotSignedIn))
    }
}
