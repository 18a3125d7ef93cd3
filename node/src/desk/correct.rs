//! Correcting an incident: what it is, where it is; and saying, from next door, that something is not so.

use protocol::envelope::BlobClass;
use protocol::fold::Matter;
use protocol::ids::DocId;
use protocol::kind::{Kind, Urgency};
use protocol::limits::INVOLVED_MAX;
use protocol::operation::{Disputed, Operation, Point, Relocate};

use super::answer::Scene;
use super::{ActError, Desk, Viewer};
use crate::store::limits::FIELD_BYTES_MAX;
use crate::store::{BlobNotes, IncidentRow, Reader, WriteError};
use crate::views::IncidentDetailView;

impl Desk {
    /// Corrects what an incident of ours is; without an urgency, that of the new kind. Nodes that the new
    /// kind concerns are brought in, and a shared exact point goes if the new kind does not share it.
    pub async fn reclassify(
        &self,
        viewer: Viewer,
        doc: DocId,
        kind: &'static Kind,
        urgency: Option<Urgency>,
    ) -> Result<IncidentDetailView, ActError> {
        if !self.config().kind(kind).enabled && kind.name != "sos" {
            return Err(ActError::Field("kind"));
        }
        let urgency = urgency.unwrap_or(kind.urgency);
        let desk = self.clone();
        self.operate(viewer, doc, None, move |scene| {
            scene.owner_only()?;
            let matter = matter(scene)?;
            if (matter.kind, matter.urgency) == (kind.number, urgency) {
                return Ok(Vec::new());
            }
            let (number, by) = (kind.number, scene.by);
            let mut written = vec![Operation::Reclassify { kind: number, local_kind: 0, urgency, by }];
            written.extend(desk.follow_kind(scene, matter, kind)?);
            Ok(written)
        })
        .await
    }

    /// Corrects where an incident of ours is. The exact place and the address are for responders alone,
    /// unless its kind is about a place; the place may be another's, and is ours until a handoff.
    pub async fn relocate(
        &self,
        viewer: Viewer,
        doc: DocId,
        point: Point,
        address: &str,
    ) -> Result<IncidentDetailView, ActError> {
        let address = address.trim();
        if address.len() > FIELD_BYTES_MAX {
            return Err(ActError::Field("address"));
        }
        let notes = BlobNotes {
            point: Some((point.lat_e7, point.lon_e7)),
            address: address.to_owned(),
            ..BlobNotes::default()
        };
        let words = self.store().stage_blob(notes.encode()).await?;
        let desk = self.clone();
        self.operate(viewer, doc, Some((BlobClass::Responders, words)), move |scene| {
            scene.owner_of_open()?;
            let matter = matter(scene)?;
            let kind = Kind::by_number(matter.kind).ok_or(ActError::NotNow)?;
            let place = desk.place(Some(point), kind);
            let shared = Some(point).filter(|_| desk.shares_point(scene, kind));
            let involved =
                place.involved.into_iter().filter(|near| !scene.fold.audience.involved.contains(near));
            Ok(vec![Operation::Relocate(Relocate {
                code: place.code,
                cell: place.cell,
                involved: involved.collect(),
                point: shared,
                by: scene.by,
            })])
        })
        .await
    }

    /// Says that something about a neighbour's incident is not so, and why; both desks are shown it.
    pub async fn dispute(
        &self,
        viewer: Viewer,
        doc: DocId,
        what: Disputed,
        why: &str,
    ) -> Result<IncidentDetailView, ActError> {
        let words = self.stage_words(why).await?.ok_or(ActError::Field("text"))?;
        self.operate(viewer, doc, Some((BlobClass::Responders, words)), move |scene| {
            // The owner corrects.
            if scene.ours() {
                Err(ActError::NotNow)
            } else {
                Ok(vec![Operation::Dispute { what, by: scene.by }])
            }
        })
        .await
    }

    /// What the place says under another kind: further nodes near it, no shared point where there may be none.
    fn follow_kind(
        &self,
        scene: &Scene<'_>,
        matter: Matter,
        kind: &'static Kind,
    ) -> Result<Option<Operation>, ActError> {
        let exact = match matter.point {
            Some(point) => Some(point),
            None => exact_place(&scene.tx.reader(), &scene.row)?,
        };
        let near = self.place(exact, kind).involved;
        let known = &scene.fold.audience.involved;
        let involved: Vec<_> =
            near.into_iter().filter(|near| !known.contains(near)).take(INVOLVED_MAX).collect();
        let point = matter.point.filter(|_| self.shares_point(scene, kind));
        if involved.is_empty() && point == matter.point {
            return Ok(None);
        }
        let (code, cell, by) = (matter.code, matter.cell, scene.by);
        Ok(Some(Operation::Relocate(Relocate { code, cell, involved, point, by })))
    }

    /// True if everybody who holds the document may know the exact point: a kind about places, not private
    /// here, in a document that was opened as one.
    fn shares_point(&self, scene: &Scene<'_>, kind: &'static Kind) -> bool {
        let opened = scene.opened_as.is_some_and(|kind| kind.place);
        opened && kind.place && !self.config().kind(kind).private
    }
}

fn matter(scene: &Scene<'_>) -> Result<Matter, ActError> {
    scene.fold.matter.ok_or(ActError::NotFound)
}

/// The exact place as responders know it: as it was corrected last, else as it was reported.
fn exact_place(r: &Reader<'_>, row: &IncidentRow) -> Result<Option<Point>, WriteError> {
    let notes = row.place_words.map_or(Ok(None), |words| r.words(&words))?;
    Ok(notes.and_then(|notes| notes.place()))
}

#[cfg(test)]
mod tests;
