//! Erasing: a blob that should not be kept, everywhere that it is.

use std::time::Duration;

use protocol::ids::{BlobId, DocId};
use protocol::limits::BLOBS_NAMED_MAX;
use protocol::operation::Operation;
use tokio::sync::watch;

use super::{ActError, Desk, Viewer};
use crate::store::limits::{ERASURE_LOOK_MS, ERASURE_RETRY_MS, FIELD_BYTES_MAX};
use crate::store::{AuditEntry, PersonId, Queue, Role};
use crate::views::IncidentDetailView;

impl Desk {
    /// Has words or photos of an incident erased at every node that holds them. `why` is kept in this
    /// node's audit alone.
    pub async fn redact(
        &self,
        viewer: Viewer,
        doc: DocId,
        mut blobs: Vec<BlobId>,
        why: &str,
    ) -> Result<IncidentDetailView, ActError> {
        blobs.sort_unstable();
        blobs.dedup();
        if blobs.is_empty() || blobs.len() > BLOBS_NAMED_MAX {
            return Err(ActError::Field("blobs"));
        }
        let why = reason(why)?;
        self.operate_because(viewer, doc, why, move |scene| {
            let left = |blob: &&BlobId| !scene.fold.redacted.contains_key(*blob);
            let blobs: Vec<BlobId> = blobs.iter().filter(left).copied().collect();
            Ok(if blobs.is_empty() { Vec::new() } else { vec![Operation::Redact { blobs }] })
        })
        .await
    }

    /// A resident has everything erased that this node knows of them, and what they told in incidents,
    /// open ones too. Unreadable here at once, in old backups too, and at the other nodes as soon as
    /// they hear of it; the incidents themselves stay.
    pub async fn erase_me(&self, viewer: Viewer) -> Result<(), ActError> {
        let Viewer::Resident(person) = viewer else { return Err(ActError::NotForYou) };
        self.erase_person(viewer.audit_name(), person, "asked for it".into()).await
    }

    /// An operator has whoever reported an incident here erased, a resident or somebody who called.
    pub async fn erase_reporter(&self, viewer: Viewer, doc: DocId, why: &str) -> Result<(), ActError> {
        let Viewer::Operator(_) = viewer else { return Err(ActError::NotForYou) };
        let why = reason(why)?;
        let alert = self.store().read(move |r| r.alert_of(doc)).await?;
        let person = alert.and_then(|alert| alert.reporter).ok_or(ActError::NotFound)?;
        self.erase_person(viewer.audit_name(), person, why).await
    }

    /// The residents who gave this phone number, for the command line.
    pub async fn residents_by_phone(&self, phone: &str) -> Result<Vec<PersonId>, ActError> {
        let phone = phone.to_owned();
        let found = self.store().read(move |r| r.residents_by_phone(&phone)).await?;
        Ok(found.into_iter().map(|row| row.id).collect())
    }

    /// Erases a resident; `who` asked for it. Writes no envelope, so that it can be done beside a running
    /// node.
    pub async fn erase_person(&self, who: String, person: PersonId, why: String) -> Result<(), ActError> {
        let row = self.store().read(move |r| r.person(person)).await?;
        if row.is_none_or(|row| row.role != Role::Resident) {
            return Err(ActError::NotFound);
        }
        let entry = AuditEntry { who, what: "erase person".into(), on: format!("person {}", person.0), why };
        self.store().write(Queue::Normal, move |tx| tx.audit(None, &entry)).await?;
        Ok(self.store().erase_person(person).await?)
    }

    /// Finishes what is being erased, as soon as it is asked for and at every start, until `stop`.
    pub async fn keep_erasing(self, mut stop: watch::Receiver<bool>) {
        loop {
            if let Err(error) = self.store().erase_wanted().await {
                tracing::warn!(%error, "what erased people told was not looked for");
            }
            let retry = match self.store().finish_erasures().await {
                Ok(true) => Duration::from_millis(ERASURE_LOOK_MS),
                Ok(false) => Duration::from_millis(ERASURE_RETRY_MS),
                Err(error) => {
                    tracing::warn!(%error, "an erasure was not finished yet");
                    Duration::from_millis(ERASURE_RETRY_MS)
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.store().erasure_asked() => {}
                () = tokio::time::sleep(retry) => {}
            }
        }
    }
}

/// A purpose in words: asked for, and kept in the audit.
pub(super) fn reason(why: &str) -> Result<String, ActError> {
    let why = why.trim();
    if why.is_empty() || why.len() > FIELD_BYTES_MAX {
        Err(ActError::Field("reason"))
    } else {
        Ok(why.to_owned())
    }
}

#[cfg(test)]
mod tests;
