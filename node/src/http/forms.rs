//! A form of the desk about one incident, as a page without JavaScript sends it: who, which incident,
//! which action, its fields; and the page to go back to once it is done.

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::Redirect;
use protocol::ids::DocId;

use super::App;
use super::error::{Code, Problem};
use super::fields::Fields;
use super::incidents::Doc;
use super::session::{Session, Signed};

/// A form that was sent.
pub(super) struct DeskForm {
    pub app: App,
    pub session: Session,
    pub doc: DocId,
    /// The last part of its path.
    pub action: String,
    pub fields: Fields,
}

/// Where a form was filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// The incident in the console.
    Incident,
    /// What is done to it less often.
    More,
}

impl DeskForm {
    /// Back to the page that it was filled in on.
    pub fn done(&self, page: Page) -> Redirect {
        let more = match page {
            Page::Incident => "",
            Page::More => "/more",
        };
        Redirect::to(&format!("/console/incidents/{}{more}", hex::encode(self.doc.0)))
    }
}

impl FromRequest<App> for DeskForm {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Signed(session) = Signed::from_request_parts(&mut parts, app).await?;
        let Doc(doc) = Doc::from_request_parts(&mut parts, app).await?;
        let path = Path::<Vec<(String, String)>>::from_request_parts(&mut parts, app).await;
        let Path(path) = path.map_err(|_| Problem::new(Code::NotFound))?;
        let action = path.into_iter().find(|(name, _)| name == "action").map(|(_, action)| action);
        let fields = Fields::from_request(Request::from_parts(parts, body), app).await?;
        Ok(Self { app: app.clone(), session, doc, action: action.unwrap_or_default(), fields })
    }
}
