//! What a viewer is shown of incidents: only what is true, and only what they may see.

use std::sync::PoisonError;

use config::cells::{cell_center, distance_band};
use protocol::document::Document;
use protocol::fold::Fold;
use protocol::ids::{Code, DocId, MemberId, Millis, Pseudonym};
use protocol::kind::{Kind, Urgency};
use protocol::operation::{Point, Step};

use super::{ActError, Desk, Viewer};
use crate::store::limits::READS_REMEMBERED_MAX;
use crate::store::{
    Asked, AuditEntry, BlobNotes, IncidentQuery, IncidentRow, PersonId, PersonRow, Profile, Queue, Reader,
    Tx, Visibility, WriteError,
};
use crate::views::{IncidentDetailView, IncidentView, NodeNameView, PointView, ReporterView};

mod asked;
mod beyond;
mod detail;

/// How far around home a neighbour is shown what happens, in metres.
const NEAR_M: f64 = 1_000.0;
/// For how long a neighbour is shown what happened near home, in ms.
const NEAR_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// Own alerts in one answer. More: the oldest are left out.
const OWN_ALERTS_MAX: u32 = 100;
/// First words of a report, in characters.
const FIRST_WORDS: usize = 160;

/// What does not change from row to row while one answer is made.
pub(super) struct Showing<'a> {
    pub(super) desk: &'a Desk,
    pub(super) r: &'a Reader<'a>,
    pub(super) viewer: Viewer,
    operators: Vec<PersonRow>,
}

impl Desk {
    /// The operators' queue: what rings first, then by urgency and age.
    pub async fn queue(&self, viewer: Viewer, which: IncidentQuery) -> Result<Vec<IncidentView>, ActError> {
        let Viewer::Operator(_) = viewer else { return Err(ActError::NotForYou) };
        self.show(viewer, move |showing| {
            let rows = showing.r.queue(which)?;
            let rows = rows.iter().map(|row| Ok(showing.incident(row, None)?));
            showing.with_held(which, rows.collect::<Result<_, ActError>>()?)
        })
        .await
    }

    /// What happens near a neighbour's home: places are cells, private kinds are left out.
    pub async fn near(&self, viewer: Viewer) -> Result<Vec<IncidentView>, ActError> {
        let Viewer::Resident(person) = viewer else { return Err(ActError::NotForYou) };
        let since = self.store().now().since(Millis(NEAR_MS));
        self.show(viewer, move |showing| {
            let home = showing.r.person(person)?.and_then(|row| row.profile.home);
            let Some(home) = home.and_then(|(lat, lon)| Point::from_degrees(lat, lon)) else {
                return Ok(Vec::new());
            };
            let mut near = Vec::new();
            for row in showing.r.incidents_around(home, NEAR_M, since)? {
                let distance_m = row.place.map_or(f64::INFINITY, |place| metres(home, place));
                if distance_m <= NEAR_M && !showing.desk.is_private(row.kind) {
                    near.push(showing.incident(&row, Some(distance_m))?);
                }
            }
            Ok(near)
        })
        .await
    }

    /// A resident's own alerts, newest first.
    pub async fn my_alerts(&self, viewer: Viewer) -> Result<Vec<IncidentDetailView>, ActError> {
        let Viewer::Resident(person) = viewer else { return Err(ActError::NotForYou) };
        self.show(viewer, move |showing| {
            let docs = showing.r.incidents_of(person, OWN_ALERTS_MAX)?;
            let shown = docs.into_iter().map(|doc| showing.detail(doc));
            shown.filter(|shown| !matches!(shown, Err(ActError::NotFound))).collect()
        })
        .await
    }

    /// One incident with everything that the viewer may see of it.
    pub async fn incident(&self, viewer: Viewer, doc: DocId) -> Result<IncidentDetailView, ActError> {
        let shown = self.show(viewer, move |showing| showing.detail(doc)).await?;
        if let (Viewer::Operator(person), Some(_)) = (viewer, &shown.reporter) {
            self.log_read(person, doc).await?;
        }
        Ok(shown)
    }

    pub(super) async fn check_visible(&self, viewer: Viewer, doc: DocId) -> Result<(), ActError> {
        self.show(viewer, move |showing| {
            let row = showing.r.incident(doc)?.ok_or(ActError::NotFound)?;
            if showing.may_see(&row)? { Ok(()) } else { Err(ActError::NotFound) }
        })
        .await
    }

    pub(super) async fn show<T: Send + 'static>(
        &self,
        viewer: Viewer,
        work: impl FnOnce(&Showing<'_>) -> Result<T, ActError> + Send + 'static,
    ) -> Result<T, ActError> {
        let desk = self.clone();
        self.store()
            .read(move |r| {
                let operators = match viewer {
                    Viewer::Operator(_) => r.operators()?,
                    Viewer::Resident(_) | Viewer::Nobody => Vec::new(),
                };
                work(&Showing { desk: &desk, r, viewer, operators })
            })
            .await
    }

    /// A private kind, by the federation's rule or this municipality's tighter one.
    pub(super) fn is_private(&self, kind: u16) -> bool {
        Kind::by_number(kind).is_none_or(|kind| self.config().kind(kind).private)
    }

    /// An operator reads who reported: logged once for each incident, and seen by the resident.
    async fn log_read(&self, operator: PersonId, doc: DocId) -> Result<(), ActError> {
        if !self.reads_first(operator, doc) {
            return Ok(());
        }
        let logged = self.store().write(Queue::Normal, move |tx| audit_read(tx, operator, doc)).await;
        if logged.is_err() {
            self.forget_read(operator, doc);
        }
        Ok(logged?)
    }

    /// True the first time that this operator reads who reported this incident.
    pub(super) fn reads_first(&self, operator: PersonId, doc: DocId) -> bool {
        let mut read = self.inner.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= READS_REMEMBERED_MAX {
            read.clear();
        }
        read.insert((operator, doc))
    }

    pub(super) fn forget_read(&self, operator: PersonId, doc: DocId) {
        self.inner.read.lock().unwrap_or_else(PoisonError::into_inner).remove(&(operator, doc));
    }
}

/// The audit row of an operator who reads who reported, if anybody did.
pub(super) fn audit_read(tx: &mut Tx<'_>, operator: PersonId, doc: DocId) -> Result<(), WriteError> {
    let Some(alert) = tx.reader().alert_of(doc)? else { return Ok(()) };
    let entry = AuditEntry {
        who: Viewer::Operator(operator).audit_name(),
        what: "read reporter".into(),
        on: doc.to_string(),
        why: "answering the incident".into(),
    };
    tx.audit(alert.reporter, &entry)
}

impl Showing<'_> {
    /// One row for this viewer. `distance_m` is from their home.
    pub(super) fn incident(
        &self,
        row: &IncidentRow,
        distance_m: Option<f64>,
    ) -> Result<IncidentView, WriteError> {
        let (desk, us) = (self.desk, self.desk.us());
        let involved = self.is_operator() && self.r.is_involved(row.doc)?;
        let own = self.is_own(row.doc)?;
        let words = if involved || own { self.words(row)? } else { None };
        let exact = if involved || own { self.exact(row)? } else { None };
        let exact = exact.or(row.place.filter(|_| row.exact));
        // Of a private kind others learn that it is, never where.
        let hidden = desk.is_private(row.kind) && !involved && !own;
        let place = exact.or(row.place).or_else(|| cell_center(row.cell)).filter(|_| !hidden);
        let offered_to_us = row.offered_to == Some(us);
        Ok(IncidentView {
            id: row.doc.to_string(),
            short: short(row.doc),
            kind: Kind::by_number(row.kind).map_or("unknown", |kind| kind.name).to_owned(),
            contents: "here".to_owned(),
            urgency: urgency_name(row.urgency).to_owned(),
            code: row.code.to_string(),
            place: if row.code == Code::OUTSIDE { String::new() } else { desk.place_name(row.code) },
            cell: if row.cell.0 == 0 || hidden { String::new() } else { format!("{:x}", row.cell.0) },
            point: place.map(point_view),
            point_exact: exact.is_some() && !hidden,
            source: name_of(&row.source),
            status: status_of(row).to_owned(),
            outcome: row.outcome.map(|outcome| name_of(&outcome)),
            owner: desk.member_name(&row.owner),
            owner_id: row.owner.to_string(),
            ours: row.owner == us,
            offered_to: row.offered_to.map(|member| desk.member_name(&member)),
            offered_to_us,
            referred_to_us: row.asked != Asked::No && row.outcome.is_none(),
            opened_ms: row.opened.0,
            changed_ms: row.changed.0,
            late: row.late,
            ringing: involved && row.rings(),
            claimed_by: row
                .claimed
                .filter(|_| row.owner == us)
                .and_then(|by| self.operator_name(by, row.doc)),
            alerts: row.alerts,
            saw_it_too: row.saw_it_too,
            crews: row.crews,
            distance_m: distance_m.and_then(|metres| self.shown_distance(row, metres)),
            text: words.map(|words| first_words(&words)).filter(|text| !text.is_empty()),
        })
    }

    pub(super) fn is_operator(&self) -> bool {
        matches!(self.viewer, Viewer::Operator(_))
    }

    /// True if the viewer reported it.
    pub(super) fn is_own(&self, doc: DocId) -> Result<bool, WriteError> {
        let Viewer::Resident(person) = self.viewer else { return Ok(false) };
        Ok(self.r.alert_of(doc)?.is_some_and(|alert| alert.reporter == Some(person)))
    }

    /// Operators see what their node holds; residents their own and what is not private; everybody else
    /// sees lists only.
    pub(super) fn may_see(&self, row: &IncidentRow) -> Result<bool, WriteError> {
        match self.viewer {
            Viewer::Operator(_) => Ok(true),
            Viewer::Resident(_) => Ok(!self.desk.is_private(row.kind) || self.is_own(row.doc)?),
            Viewer::Nobody => Ok(false),
        }
    }

    /// The exact place as responders know it: as it was corrected last, else as it was reported.
    pub(super) fn exact(&self, row: &IncidentRow) -> Result<Option<Point>, WriteError> {
        let notes = row.place_words.map_or(Ok(None), |words| self.r.words(&words))?;
        Ok(notes.and_then(|notes| notes.place()))
    }

    fn words(&self, row: &IncidentRow) -> Result<Option<BlobNotes>, WriteError> {
        row.words.map_or(Ok(None), |words| self.r.words(&words))
    }

    /// The name of the operator here behind a pseudonym.
    fn operator_name(&self, by: Pseudonym, doc: DocId) -> Option<String> {
        let is = |row: &&PersonRow| self.r.pseudonym(row.id, doc).ok().flatten() == Some(by);
        self.operators.iter().find(is).map(|row| row.profile.name.clone())
    }

    pub(super) fn operator_by_id(&self, person: PersonId) -> Option<String> {
        self.operators.iter().find(|row| row.id == person).map(|row| row.profile.name.clone())
    }

    /// Bands where a figure would give the place away.
    fn shown_distance(&self, row: &IncidentRow, metres: f64) -> Option<u32> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1,000 metres")]
        let metres = metres.round().clamp(0.0, 1e9) as u32;
        if row.exact { Some(metres) } else { distance_band(metres) }
    }

    pub(super) fn node(&self, id: &MemberId) -> NodeNameView {
        NodeNameView { id: id.to_string(), name: self.desk.member_name(id) }
    }

    /// The reporter, for operators of the node that they told.
    pub(super) fn reporter(&self, doc: DocId) -> Result<Option<ReporterView>, WriteError> {
        if !self.is_operator() {
            return Ok(None);
        }
        let Some(alert) = self.r.alert_of(doc)? else { return Ok(None) };
        let row = alert.reporter.map_or(Ok(None), |person| self.r.person(person))?;
        let visibility = alert.visibility.name().to_owned();
        let Some(row) = row else { return Ok(None) };
        if alert.visibility == Visibility::Nobody {
            return Ok(Some(ReporterView { name: None, phone: None, address: None, visibility }));
        }
        // Of somebody who called there is the number alone.
        let told = |text: String| Some(text).filter(|text| !text.is_empty());
        let Profile { name, address, phone, .. } = row.profile;
        Ok(Some(ReporterView { name: told(name), phone, address: told(address), visibility }))
    }

    pub(super) fn load(&self, doc: DocId) -> Result<(IncidentRow, Document, Fold), ActError> {
        let row = self.r.incident(doc)?.ok_or(ActError::NotFound)?;
        if !self.may_see(&row)? {
            return Err(ActError::NotFound);
        }
        let document = self.r.document(doc)?.ok_or(ActError::NotFound)?;
        let fold = Fold::of(&document, &self.desk.rosters()).ok_or(ActError::NotFound)?;
        Ok((row, document, fold))
    }
}

/// Four letters or digits for speech, from the id.
pub(super) fn short(doc: DocId) -> String {
    const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let letter = |byte: &u8| LETTERS.get(usize::from(byte % 32)).copied().map_or('0', char::from);
    doc.0.iter().take(4).map(letter).collect()
}

pub(super) fn status_of(row: &IncidentRow) -> &'static str {
    if row.outcome.is_some() { "closed" } else { row.step.map_or("open", step_name) }
}

pub(super) fn step_name(step: Step) -> &'static str {
    match step {
        Step::Received => "received",
        Step::Called => "called",
        Step::OnTheWay => "on_the_way",
        Step::OnSite => "on_site",
        Step::Resolved => "resolved",
    }
}

pub(super) fn urgency_name(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Low => "low",
        Urgency::Normal => "normal",
        Urgency::High => "high",
        Urgency::Emergency => "emergency",
    }
}

/// The name of one of the protocol's closed lists, as the API writes it.
pub(super) fn name_of(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn point_view(point: Point) -> PointView {
    let (lat, lon) = point.degrees();
    PointView { lat, lon }
}

fn first_words(words: &BlobNotes) -> String {
    let text = if words.text.is_empty() { &words.address } else { &words.text };
    text.chars().take(FIRST_WORDS).collect()
}

/// Great-circle metres between two points.
pub(super) fn metres(a: Point, b: Point) -> f64 {
    let ((lat_a, lon_a), (lat_b, lon_b)) = (a.degrees(), b.degrees());
    let (lat_a, lat_b) = (lat_a.to_radians(), lat_b.to_radians());
    let (high, wide) = ((lat_b - lat_a) / 2.0, (lon_b - lon_a).to_radians() / 2.0);
    let part = high.sin().powi(2) + lat_a.cos() * lat_b.cos() * wide.sin().powi(2);
    2.0 * 6_371_000.0 * part.sqrt().asin()
}
