//! Letting everybody who holds an incident see words or a photo that came for responders alone.

use protocol::ids::{BlobId, DocId};
use protocol::kind::Kind;
use protocol::limits::BLOBS_NAMED_MAX;
use protocol::operation::Operation;

use super::answer::Scene;
use super::{ActError, Desk, Viewer};
use crate::store::BlobNotes;
use crate::views::IncidentDetailView;

impl Desk {
    /// Lets everybody who holds an incident of ours see these words and photos. It cannot be taken back.
    pub async fn release(
        &self,
        viewer: Viewer,
        doc: DocId,
        mut blobs: Vec<BlobId>,
    ) -> Result<IncidentDetailView, ActError> {
        blobs.sort_unstable();
        blobs.dedup();
        if blobs.is_empty() || blobs.len() > BLOBS_NAMED_MAX {
            return Err(ActError::Field("blobs"));
        }
        let desk = self.clone();
        self.operate(viewer, doc, None, move |scene| {
            scene.owner_only()?;
            let left = |blob: &&BlobId| !scene.fold.released.contains(*blob);
            let blobs: Vec<BlobId> = blobs.iter().filter(left).copied().collect();
            for blob in &blobs {
                desk.check_releasable(scene, blob)?;
            }
            Ok(if blobs.is_empty() { Vec::new() } else { vec![Operation::Release { blobs }] })
        })
        .await
    }

    /// What is not here cannot be looked at first.
    fn check_releasable(&self, scene: &Scene<'_>, blob: &BlobId) -> Result<(), ActError> {
        let held = scene.tx.reader().blob(blob)?.filter(|_| !scene.fold.redacted.contains_key(blob));
        let held = held.ok_or(ActError::Field("blobs"))?;
        let notes = BlobNotes::decode(&held.content);
        if self.may_release(scene.row.kind, notes.as_ref()) { Ok(()) } else { Err(ActError::Field("blobs")) }
    }

    /// Nothing of a private kind, and no words that hold an exact place or an address, unless the kind is
    /// about a place. A photo comes without notes.
    pub(super) fn may_release(&self, kind: u16, notes: Option<&BlobNotes>) -> bool {
        let says_where = notes.is_some_and(|notes| notes.point.is_some() || !notes.address.is_empty());
        let kind = Kind::by_number(kind).filter(|_| !self.is_private(kind));
        kind.is_some_and(|kind| kind.place || !says_where)
    }
}

#[cfg(test)]
mod tests;
