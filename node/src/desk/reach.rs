//! Who may know that something happened, found once an event however many people listen.

use protocol::ids::DocId;

use super::{ActError, Desk, Viewer};
use crate::store::{Event, PersonId, What, WriteError};

/// Who may know of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Operators of this node.
    Desk,
    /// Operators, and the person here who reported it.
    Reporter(PersonId),
    /// Everybody who is signed in here.
    SignedIn,
}

impl Reach {
    /// True if this viewer may know.
    #[must_use]
    pub fn includes(self, viewer: Viewer) -> bool {
        match viewer {
            Viewer::Nobody => false,
            Viewer::Operator(_) => true,
            Viewer::Resident(person) => match self {
                Reach::Desk => false,
                Reach::Reporter(reporter) => reporter == person,
                Reach::SignedIn => true,
            },
        }
    }
}

impl Desk {
    /// Who may know of this event: the same people as may see the incident itself.
    pub async fn reach(&self, event: &Event) -> Result<Reach, ActError> {
        match (event.what, event.doc) {
            (What::Incident, Some(doc)) => Ok(self.reach_of_incident(doc, event.kind).await?),
            // A mass message is for everybody here.
            (What::Notice, Some(_)) => Ok(Reach::SignedIn),
            (What::Incident | What::Notice, None) | (What::Figures | What::Peers, _) => Ok(Reach::Desk),
        }
    }

    async fn reach_of_incident(&self, doc: DocId, kind: Option<u16>) -> Result<Reach, WriteError> {
        let desk = self.clone();
        let is_public = move |kind| !desk.is_private(kind);
        if kind.is_some_and(&is_public) {
            return Ok(Reach::SignedIn);
        }
        self.store()
            .look_up(move |r| {
                if r.incident_kind(doc)?.is_some_and(is_public) {
                    return Ok(Reach::SignedIn);
                }
                let reporter = r.alert_of(doc)?.and_then(|alert| alert.reporter);
                Ok(reporter.map_or(Reach::Desk, Reach::Reporter))
            })
            .await
    }
}
