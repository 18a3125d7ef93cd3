//! The one place that picks status codes. A person gets a short sentence in their language: what
//! happened, what it means for their alert, what to do now. The log gets the whole chain of causes.

use protocol::admission::Refusal;
use protocol::author::SealError;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::Front;
use super::{error_words, lang};
use crate::desk::{ActError, MediaError, PictureFault, SignInError};
use crate::pages::{self, Chrome, Lang};
use crate::store::WriteError;

/// What went wrong, as programs tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The body is not what its content type says.
    Malformed,
    /// One field is missing or wrong; `field` names it.
    Field,
    /// A content type that this route does not read.
    MediaType,
    /// The body is larger than the route's limit.
    TooLarge,
    /// Nobody is signed in, or the session is over.
    NotSignedIn,
    /// The request came from a page of another site.
    OtherSite,
    /// Signed in, but this is for somebody else's role.
    NotForYou,
    /// The invitation or sign-in code is unknown, spent or too old.
    CodeUnusable,
    /// It does not exist, or not for this viewer: the two are never told apart.
    NotFound,
    /// The address exists, but not for this method.
    Method,
    /// The request or its handling took too long.
    Timeout,
    /// It cannot be done in the state that the incident is in now.
    NotNow,
    /// Whoever drafted it may not send it too.
    SecondPerson,
    /// This node does not write in that incident for now: it was restored, or has a twin.
    Locked,
    /// The file is not a picture that we can read, or has too many pixels.
    Picture,
    /// Too many open event streams.
    TooManyStreams,
    /// The store has no room; nothing was kept.
    StoreFull,
    /// The store cannot write now; nothing was kept.
    StoreFailed,
    /// A mistake of ours.
    Internal,
}

impl Code {
    /// Every code.
    pub const ALL: [Code; 19] = [
        Code::Malformed,
        Code::Field,
        Code::MediaType,
        Code::TooLarge,
        Code::NotSignedIn,
        Code::OtherSite,
        Code::NotForYou,
        Code::CodeUnusable,
        Code::NotFound,
        Code::Method,
        Code::Timeout,
        Code::NotNow,
        Code::SecondPerson,
        Code::Locked,
        Code::Picture,
        Code::TooManyStreams,
        Code::StoreFull,
        Code::StoreFailed,
        Code::Internal,
    ];

    /// Its HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Code::Malformed => StatusCode::BAD_REQUEST,
            Code::Field | Code::Picture => StatusCode::UNPROCESSABLE_ENTITY,
            Code::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::NotSignedIn => StatusCode::UNAUTHORIZED,
            Code::OtherSite | Code::NotForYou | Code::CodeUnusable => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Method => StatusCode::METHOD_NOT_ALLOWED,
            Code::Timeout => StatusCode::REQUEST_TIMEOUT,
            Code::NotNow | Code::SecondPerson | Code::Locked => StatusCode::CONFLICT,
            Code::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
            Code::StoreFull => StatusCode::INSUFFICIENT_STORAGE,
            Code::StoreFailed => StatusCode::SERVICE_UNAVAILABLE,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What an answer of axum or tower itself stands for.
    fn of_status(status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            400 => Some(Code::Malformed),
            404 => Some(Code::NotFound),
            405 => Some(Code::Method),
            408 => Some(Code::Timeout),
            413 => Some(Code::TooLarge),
            415 => Some(Code::MediaType),
            500.. => Some(Code::Internal),
            _ => None,
        }
    }

    /// Its name in the answer.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Code::Malformed => "malformed",
            Code::Field => "field",
            Code::MediaType => "media_type",
            Code::TooLarge => "too_large",
            Code::NotSignedIn => "not_signed_in",
            Code::OtherSite => "other_site",
            Code::NotForYou => "not_for_you",
            Code::CodeUnusable => "code_unusable",
            Code::NotFound => "not_found",
            Code::Method => "method",
            Code::Timeout => "timeout",
            Code::NotNow => "not_now",
            Code::SecondPerson => "second_person",
            Code::Locked => "locked",
            Code::Picture => "picture",
            Code::TooManyStreams => "too_many_streams",
            Code::StoreFull => "store_full",
            Code::StoreFailed => "store_failed",
            Code::Internal => "internal",
        }
    }
}

/// Why one field was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is required and not there.
    Missing,
    /// It is there and not what the field takes.
    Wrong,
    /// It is longer than the field takes.
    TooLong,
}

/// A field that was not taken, by its name in the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which.
    pub field: &'static str,
    /// Why.
    pub why: Why,
}

/// An answer that is not what was asked for. `IntoResponse` leaves it bare; `answer` gives it its
/// words, in the language and the form that the request asked for.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    fault: Option<Fault>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem without a cause worth logging.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self { code, fault: None, cause: None }
    }

    /// A problem with what caused it, for the log.
    pub fn because(code: Code, cause: impl Error + Send + Sync + 'static) -> Self {
        Self { code, fault: None, cause: Some(Arc::new(cause)) }
    }

    /// True if the person can put it right in the form that they sent.
    pub(super) fn is_in_the_form(&self) -> bool {
        matches!(self.code, Code::Field | Code::CodeUnusable)
    }

    /// The form again, with what is wrong in it.
    pub(super) fn form(&self, page: String) -> Response {
        (self.code.status(), Html(page)).into_response()
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self { code: Code::Field, fault: Some(fault), cause: None }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        let code = match error {
            WriteError::Full => Code::StoreFull,
            WriteError::Io | WriteError::Stopped => Code::StoreFailed,
            WriteError::Broken(_) => Code::Internal,
        };
        Self::because(code, error)
    }
}

impl From<ActError> for Problem {
    fn from(error: ActError) -> Self {
        match error {
            ActError::NotFound => Self::new(Code::NotFound),
            ActError::NotForYou => Self::new(Code::NotForYou),
            ActError::NotNow => Self::new(Code::NotNow),
            ActError::SecondPerson => Self::new(Code::SecondPerson),
            ActError::Field(field) => Fault { field, why: Why::Wrong }.into(),
            ActError::Rules(
                SealError::Locked(_)
                | SealError::Proven
                | SealError::Behind
                | SealError::Generations
                | SealError::Refused(Refusal::Key),
            ) => Self::because(Code::Locked, error),
            ActError::Rules(SealError::Refused(_) | SealError::TooLarge | SealError::NoDocument) => {
                Self::because(Code::NotNow, error)
            }
            ActError::Store(error) => error.into(),
        }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::CodeUnusable => Self::new(Code::CodeUnusable),
            SignInError::Field(field) => Fault { field, why: Why::Wrong }.into(),
            SignInError::NoResidents => Self::new(Code::NotFound),
            SignInError::Store(error) => error.into(),
        }
    }
}

impl From<MediaError> for Problem {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::Picture(PictureFault::TooLarge) => Self::new(Code::TooLarge),
            MediaError::Picture(PictureFault::TooManyPixels | PictureFault::NotAPicture) => {
                Self::new(Code::Picture)
            }
            MediaError::NoRoom => Self::new(Code::StoreFull),
            MediaError::Act(error) => error.into(),
            MediaError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The body of every answer that is not what was asked for (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProblemView {
    /// `urn:cuadra:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, in a few words of the person's language.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What it means for their alert and what to do now.
    pub detail: String,
    /// For programs.
    pub code: Code,
    /// The field that was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Whom to call, where the alert was not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emergency_number: Option<String>,
}

/// Layer that writes the words of every [`Problem`], and of the bare refusals of axum and tower.
pub(super) async fn answer(State(front): State<Front>, request: Request, next: Next) -> Response {
    let lang = lang::of(request.headers(), front.settings.language);
    let html = wants_page(request.uri().path(), request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // The pattern, never the path: a path can hold an id and a query a code.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    let bare =
        || Code::of_status(response.status()).filter(|_| !response.headers().contains_key("x-problem"));
    let found = response.extensions().get::<Problem>().cloned();
    let Some(problem) = found.or_else(|| bare().map(Problem::new)) else {
        front.counts.answered(response.status());
        return response;
    };
    let code = problem.code;
    let route = route.as_deref().unwrap_or("none");
    match &problem.cause {
        Some(cause) => {
            tracing::error!(%method, route, code = code.name(), cause = chain(cause.as_ref()), "refused")
        }
        None => tracing::debug!(%method, route, code = code.name(), field = problem.field(), "refused"),
    }
    let allow = response.headers_mut().remove(ALLOW);
    let answer = if html { problem.page(&front, lang, &path) } else { problem.json(&front, lang) };
    front.counts.answered(answer.status());
    with_headers(answer, code, allow)
}

impl Problem {
    fn field(&self) -> &'static str {
        self.fault.as_ref().map_or("", |fault| fault.field)
    }

    /// The words for a person.
    pub(super) fn words(&self, front: &Front, lang: Lang) -> pages::Problem {
        let mut words = pages::problem(lang, self.code.name(), &front.settings.emergency_number);
        if let Some(fault) = &self.fault {
            words.title = error_words::fault(fault, lang);
        }
        words
    }

    fn json(&self, front: &Front, lang: Lang) -> Response {
        let words = self.words(front, lang);
        let lost = matches!(self.code, Code::StoreFull | Code::StoreFailed | Code::Internal);
        let view = ProblemView {
            kind: format!("urn:cuadra:problem:{}", self.code.name()),
            title: words.title,
            status: self.code.status().as_u16(),
            detail: words.detail,
            code: self.code,
            field: self.fault.as_ref().map(|fault| fault.field.to_owned()),
            emergency_number: lost.then(|| front.settings.emergency_number.clone()),
        };
        let body = serde_json::to_vec(&view).expect("strings and numbers become JSON");
        (self.code.status(), [(CONTENT_TYPE, "application/problem+json")], Body::from(body)).into_response()
    }

    fn page(&self, front: &Front, lang: Lang, path: &str) -> Response {
        let chrome = Chrome {
            lang,
            node: front.node(),
            who: None,
            path: path.to_owned(),
            now_ms: now_ms(),
            notices: Vec::new(),
            fresh: hex::encode(super::fresh_id()),
        };
        (self.code.status(), Html(pages::error(&chrome, self.code.name()))).into_response()
    }
}

fn with_headers(mut response: Response, code: Code, allow: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    if let Some(allow) = allow {
        headers.insert(ALLOW, allow);
    }
    if matches!(code, Code::StoreFailed | Code::TooManyStreams | Code::StoreFull) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// A browser that posts a form or opens a page; programs and scripts get JSON.
fn wants_page(path: &str, headers: &HeaderMap) -> bool {
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    !path.starts_with("/api/") && accepts.contains("text/html")
}

/// An error and all its causes on one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(line, ": {inner}");
        cause = inner.source();
    }
    line
}

/// What time it is, for a page that could not ask the store.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What a panic in a handler becomes.
pub(super) fn on_panic(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::new(Code::Internal).into_response()
}
