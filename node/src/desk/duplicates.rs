//! Incidents that are one. The owner of the duplicate links it; it is hidden only once the owner of the
//! one that stays took it in. Taking the link back undoes both. Reporters keep their own threads.

use std::cmp::Reverse;

use protocol::fold::Fold;
use protocol::ids::{DocId, Millis};
use protocol::kind::Kind;
use protocol::operation::Operation;

use super::answer::{Scene, fold_of, scene, write_one};
use super::show::{Showing, metres, short, status_of};
use super::{ActError, Desk, Viewer};
use crate::store::limits::{DUPLICATES_APART_MS, DUPLICATES_OFFERED_MAX};
use crate::store::{IncidentQuery, IncidentRow, Reader, Tx, WriteError};
use crate::views::{DuplicatesView, IncidentDetailView, MergedView, RelatedView};

/// Two reports of the same thing are at most so far apart, in metres: a place may be known as a cell.
const SAME_PLACE_M: f64 = 500.0;

impl Desk {
    /// Says that an incident of ours is the same as another one, which stays. If that one is ours too, it
    /// takes this one in at once; otherwise its node is brought in and asked to.
    pub async fn link(
        &self,
        viewer: Viewer,
        doc: DocId,
        target: DocId,
    ) -> Result<IncidentDetailView, ActError> {
        let Viewer::Operator(person) = viewer else { return Err(ActError::NotForYou) };
        self.write_in(viewer, person, doc, move |tx| {
            let here = scene(tx, person, doc)?;
            here.owner_only()?;
            let target = kept_one(&tx.reader(), target)?;
            let (written, both_ours) = link_to(&here, target)?;
            for operation in written {
                write_one(tx, viewer, doc, operation, None, "")?;
            }
            if both_ours { absorb_in(tx, viewer, person, target, doc) } else { Ok(()) }
        })
        .await?;
        self.incident(viewer, doc).await
    }

    /// Takes back that an incident of ours is the same as another one.
    pub async fn unlink(
        &self,
        viewer: Viewer,
        doc: DocId,
        target: DocId,
    ) -> Result<IncidentDetailView, ActError> {
        self.operate(viewer, doc, None, move |scene| {
            scene.owner_only()?;
            let linked = scene.fold.links.contains(&target);
            Ok(if linked { vec![Operation::Unlink { target, by: scene.by }] } else { Vec::new() })
        })
        .await
    }

    /// Takes a duplicate in below an incident of ours, if its owner says that it is one.
    pub async fn absorb(
        &self,
        viewer: Viewer,
        doc: DocId,
        duplicate: DocId,
    ) -> Result<IncidentDetailView, ActError> {
        let Viewer::Operator(person) = viewer else { return Err(ActError::NotForYou) };
        self.write_in(viewer, person, doc, move |tx| absorb_in(tx, viewer, person, doc, duplicate)).await?;
        self.incident(viewer, doc).await
    }

    /// The incident of the desk with this short number, as people say it.
    pub async fn by_short(&self, viewer: Viewer, number: &str) -> Result<DocId, ActError> {
        let Viewer::Operator(_) = viewer else { return Err(ActError::NotForYou) };
        let number = number.trim().to_ascii_uppercase();
        let rows = self.store().read(|r| r.queue(IncidentQuery::All)).await?;
        let mut named = rows.iter().filter(|row| short(row.doc) == number);
        match (named.next(), named.next()) {
            (Some(row), None) => Ok(row.doc),
            _ => Err(ActError::Field("target")),
        }
    }

    /// Where what a neighbour adds belongs: in the incident below which this one is shown.
    pub(super) async fn thread_of(&self, viewer: Viewer, doc: DocId) -> Result<DocId, ActError> {
        self.show(viewer, move |showing| {
            let thread = showing.r.merged_into(doc)?;
            let involved = thread.map_or(Ok(false), |thread| showing.r.is_involved(thread))?;
            Ok(thread.filter(|_| involved).unwrap_or(doc))
        })
        .await
    }
}

/// The one that stays in the end, if the one that was named is itself shown below another.
fn kept_one(r: &Reader<'_>, named: DocId) -> Result<DocId, ActError> {
    Ok(r.merged_into(named)?.unwrap_or(named))
}

/// What is written in the duplicate, and whether the one that stays is ours too.
fn link_to(here: &Scene<'_>, target: DocId) -> Result<(Vec<Operation>, bool), ActError> {
    let reader = here.tx.reader();
    let row = reader.incident(target)?.filter(|row| row.doc != here.row.doc);
    let row = row.ok_or(ActError::Field("target"))?;
    if !reader.is_involved(target)? {
        return Err(ActError::Field("target"));
    }
    let mut written = Vec::new();
    if !here.fold.links.contains(&target) {
        written.push(Operation::Link { target, by: here.by });
    }
    if row.owner != here.us && !here.fold.audience.involved.contains(&row.owner) {
        written.push(Operation::Invite { member: row.owner });
    }
    Ok((written, row.owner == here.us))
}

fn absorb_in(
    tx: &mut Tx<'_>,
    viewer: Viewer,
    person: crate::store::PersonId,
    doc: DocId,
    duplicate: DocId,
) -> Result<(), ActError> {
    let by = {
        let here = scene(tx, person, doc)?;
        here.owner_only()?;
        let linked = match tx.reader().document(duplicate)? {
            Some(document) => fold_of(tx, &document)?.links.contains(&doc),
            None => false,
        };
        if !linked {
            return Err(ActError::NotNow);
        }
        (!here.fold.absorbed.contains(&duplicate)).then_some(here.by)
    };
    let Some(by) = by else { return Ok(()) };
    write_one(tx, viewer, doc, Operation::Absorb { document: duplicate, by }, None, "")?;
    Ok(())
}

impl Showing<'_> {
    /// What an incident is the same as, for operators.
    pub(super) fn duplicates(&self, row: &IncidentRow, fold: &Fold) -> Result<DuplicatesView, WriteError> {
        let us = self.desk.us();
        let ours = row.owner == us && !row.retired;
        let mut view = DuplicatesView::default();
        for (other, absorbed) in self.r.links_of(row.doc)? {
            view.links.push(RelatedView { absorbed, may: ours, ..self.related(row, &other)? });
        }
        for (other, absorbed) in self.r.linked_to(row.doc)? {
            view.here.push(RelatedView { absorbed, may: ours && !absorbed, ..self.related(row, &other)? });
        }
        if ours && fold.links.is_empty() && self.r.is_involved(row.doc)? {
            view.suggested = self.suggested(row)?;
        }
        Ok(view)
    }

    /// Those that may be the same, the likeliest first: the same alert, then the same kind, then the nearer.
    fn suggested(&self, row: &IncidentRow) -> Result<Vec<RelatedView>, WriteError> {
        let mut found = Vec::new();
        for other in self.r.may_be_the_same(row, Millis(DUPLICATES_APART_MS), SAME_PLACE_M)? {
            let related = self.related(row, &other)?;
            let near = related.distance_m.is_none_or(|metres| f64::from(metres) <= SAME_PLACE_M);
            if related.same_alert || (near && alike(row.kind, other.kind)) {
                found.push((related, other.kind == row.kind));
            }
        }
        found.sort_by_key(|(related, same_kind)| {
            let apart = related.opened_ms.abs_diff(row.opened.0);
            (Reverse((related.same_alert, *same_kind)), related.distance_m.unwrap_or(u32::MAX), apart)
        });
        found.truncate(DUPLICATES_OFFERED_MAX);
        Ok(found.into_iter().map(|(related, _)| related).collect())
    }

    fn related(&self, row: &IncidentRow, other: &IncidentRow) -> Result<RelatedView, WriteError> {
        let shown = self.incident(other, None)?;
        let here = self.exact(row)?.or(row.place);
        let distance = here.zip(self.exact(other)?.or(other.place)).map(|(a, b)| metres(a, b));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most half the Earth")]
        let distance_m = distance.map(|metres| metres.round() as u32);
        Ok(RelatedView {
            same_alert: self.r.same_alert(row.doc, other.doc)?,
            id: shown.id,
            short: shown.short,
            kind: shown.kind,
            status: status_of(other).to_owned(),
            owner: shown.owner,
            opened_ms: shown.opened_ms,
            distance_m,
            text: shown.text,
            absorbed: false,
            may: false,
        })
    }

    /// The incident below which one is shown, as far as this viewer may know.
    pub(super) fn merged(&self, doc: DocId) -> Result<Option<(DocId, MergedView)>, ActError> {
        let Some(kept) = self.r.merged_into(doc)? else { return Ok(None) };
        let Some(row) = self.r.incident(kept)? else { return Ok(None) };
        let id = if self.may_see(&row)? { Some(kept.to_string()) } else { None };
        Ok(Some((kept, MergedView { id, short: short(kept) })))
    }
}

/// Kinds that two people may use for the same thing: the same service answers both, or one is a plain SOS
/// and the other rings too.
fn alike(one: u16, other: u16) -> bool {
    let (Some(one), Some(other)) = (Kind::by_number(one), Kind::by_number(other)) else { return false };
    let plain_sos = one.name == "sos" || other.name == "sos";
    one.service == other.service || (plain_sos && one.urgency.rings() && other.urgency.rings())
}

#[cfg(test)]
mod tests;
