//! Joining, signing in and out, and who I am.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::acts::EraseMe;
use super::asked::{Enter, Join};
use super::error::{Code, Problem, ProblemView};
use super::fields::Fields;
use super::screens::Frame;
use super::session::{Cookie, Maybe, Session, Signed, set_lang, set_session};
use super::{App, lang};
use crate::desk::SignedIn;
use crate::pages::{self, Lang};
use crate::views::WhoView;

/// The JSON routes.
pub(super) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(join))
        .routes(routes!(enter))
        .routes(routes!(leave))
        .routes(routes!(me))
        .routes(routes!(erase_me))
}

/// The routes of forms.
pub(super) fn forms() -> axum::Router<App> {
    use axum::routing::post;
    axum::Router::new()
        .route("/join", post(join_form))
        .route("/enter", post(enter_form))
        .route("/leave", post(leave_form))
        .route("/me/erasure", post(erase_me_form))
        .route("/lang", post(lang_form))
}

/// Joins with an invitation's code; the code is spent. Sets the session's cookie.
#[utoipa::path(post, path = "/api/v1/join", tag = "people", request_body = Join, responses(
    (status = 200, body = WhoView, description = "Joined and signed in"),
    (status = 403, body = ProblemView, description = "The code is unknown, spent or too old"),
    (status = 422, body = ProblemView, description = "A field is missing or wrong"),
))]
async fn join(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Result<Response, Problem> {
    Ok(signed_in_api(&app, joined(&app, &headers, &fields).await?))
}

async fn join_form(
    State(app): State<App>,
    Frame { chrome, .. }: Frame,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    match joined(&app, &headers, &fields).await {
        Ok(signed_in) => Ok(signed_in_page(&app, &signed_in)),
        Err(problem) if problem.is_in_the_form() => {
            let (words, filled) = (problem.words(&app.front, chrome.lang), fields.typed());
            Ok(problem.form(pages::join(&chrome, filled.get("code"), &filled, Some(&words))))
        }
        Err(problem) => Err(problem),
    }
}

async fn joined(app: &App, headers: &HeaderMap, fields: &Fields) -> Result<SignedIn, Problem> {
    let asked = Join::parse(fields)?;
    let lang = asked.lang.unwrap_or_else(|| lang::of(headers, app.front.settings.language));
    Ok(app.desk.join(asked.for_desk(lang)).await?)
}

/// Signs in with a one-use code; the code is spent. Sets the session's cookie.
#[utoipa::path(post, path = "/api/v1/enter", tag = "people", request_body = Enter, responses(
    (status = 200, body = WhoView, description = "Signed in"),
    (status = 403, body = ProblemView, description = "The code is unknown, spent or too old"),
))]
async fn enter(State(app): State<App>, fields: Fields) -> Result<Response, Problem> {
    Ok(signed_in_api(&app, entered(&app, &fields).await?))
}

async fn enter_form(
    State(app): State<App>,
    Frame { chrome, .. }: Frame,
    fields: Fields,
) -> Result<Response, Problem> {
    match entered(&app, &fields).await {
        Ok(signed_in) => Ok(signed_in_page(&app, &signed_in)),
        Err(problem) if problem.is_in_the_form() => {
            let (words, filled) = (problem.words(&app.front, chrome.lang), fields.typed());
            let code = Some(filled.get("code")).filter(|code| !code.is_empty());
            Ok(problem.form(pages::enter(&chrome, code, Some(&words))))
        }
        Err(problem) => Err(problem),
    }
}

async fn entered(app: &App, fields: &Fields) -> Result<SignedIn, Problem> {
    Ok(app.desk.sign_in(&Enter::parse(fields)?.code).await?)
}

/// Where somebody begins.
fn home(who: &WhoView) -> &'static str {
    match who {
        WhoView::Resident { .. } => "/",
        WhoView::Operator { .. } => "/console",
    }
}

fn signed_in_api(app: &App, signed_in: SignedIn) -> Response {
    let cookie = Cookie::of(&signed_in);
    with_session(app, Json(signed_in.who), Some(cookie))
}

fn signed_in_page(app: &App, signed_in: &SignedIn) -> Response {
    with_session(app, Redirect::to(home(&signed_in.who)), Some(Cookie::of(signed_in)))
}

fn with_session(app: &App, answer: impl IntoResponse, cookie: Option<Cookie>) -> Response {
    let mut answer = answer.into_response();
    set_session(answer.headers_mut(), app.front.settings.https(), cookie);
    answer
}

/// Signs out: the session ends here, and its event streams with it.
#[utoipa::path(post, path = "/api/v1/leave", tag = "people", responses(
    (status = 204, description = "Signed out"),
    (status = 401, body = ProblemView, description = "Nobody was signed in"),
))]
async fn leave(State(app): State<App>, Signed(session): Signed) -> Result<Response, Problem> {
    left(&app, session).await?;
    Ok(with_session(&app, StatusCode::NO_CONTENT, None))
}

async fn leave_form(State(app): State<App>, Maybe(session): Maybe) -> Result<Response, Problem> {
    if let Some(session) = session {
        left(&app, session).await?;
    }
    Ok(with_session(&app, Redirect::to("/"), None))
}

async fn left(app: &App, session: Session) -> Result<(), Problem> {
    app.desk.sign_out(&session.token).await?;
    app.hub.end(session.key());
    Ok(())
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/me", tag = "people", responses(
    (status = 200, body = WhoView, description = "Who is signed in"),
    (status = 401, body = ProblemView, description = "Nobody is"),
))]
async fn me(State(app): State<App>, Signed(session): Signed) -> Result<Json<WhoView>, Problem> {
    let who = app.desk.me(session.viewer).await?;
    Ok(Json(who.ok_or(Problem::new(Code::NotSignedIn))?))
}

/// Erases me: unreadable here at once, and in every older backup. It cannot be taken back.
#[utoipa::path(post, path = "/api/v1/me/erasure", tag = "people", request_body = EraseMe, responses(
    (status = 204, description = "Erased, and signed out"),
    (status = 401, body = ProblemView, description = "Nobody is signed in"),
    (status = 422, body = ProblemView, description = "It was not confirmed"),
))]
async fn erase_me(
    State(app): State<App>,
    Signed(session): Signed,
    fields: Fields,
) -> Result<Response, Problem> {
    erased(&app, session, &fields).await?;
    Ok(with_session(&app, StatusCode::NO_CONTENT, None))
}

async fn erase_me_form(
    State(app): State<App>,
    Signed(session): Signed,
    fields: Fields,
) -> Result<Response, Problem> {
    erased(&app, session, &fields).await?;
    Ok(with_session(&app, Redirect::to("/"), None))
}

async fn erased(app: &App, session: Session, fields: &Fields) -> Result<(), Problem> {
    EraseMe::parse(fields)?;
    app.desk.erase_me(session.viewer).await?;
    app.hub.end(session.key());
    Ok(())
}

/// Remembers the language and goes back to the page.
async fn lang_form(State(app): State<App>, fields: Fields) -> Result<Response, Problem> {
    let lang =
        fields.line("lang")?.and_then(|tag| Lang::from_tag(&tag)).unwrap_or(app.front.settings.language);
    let back = fields.line("back")?.filter(|path| is_path(path)).unwrap_or_else(|| "/".to_owned());
    let mut answer = Redirect::to(&back).into_response();
    set_lang(answer.headers_mut(), app.front.settings.https(), lang);
    Ok(answer)
}

/// True for a path of this node: never `//host` or `/\host`, which browsers take for another site.
fn is_path(path: &str) -> bool {
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    plain && path.starts_with('/') && !path.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::is_path;

    #[test]
    fn going_back_never_leads_to_another_site() {
        for path in ["/", "/console/incidents/a?x=1"] {
            assert!(is_path(path), "{path}");
        }
        for path in ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a\r\nb", "evil"] {
            assert!(!is_path(path), "{path}");
        }
    }
}
