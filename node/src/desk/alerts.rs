//! Raising an alert: from a phone, from a call that an operator takes, or from a local fill.

use protocol::author::Draft;
use protocol::envelope::{BlobClass, BlobRef};
use protocol::ids::{Millis, Nonce, alert_nonce};
use protocol::kind::{Kind, Urgency};
use protocol::operation::{Open, Operation, Point, Source};

use super::place::Place;
use super::{ActError, Desk, Viewer};
use crate::store::limits::{FIELD_BYTES_MAX, TEXT_BYTES_MAX};
use crate::store::{
    AlertRow, AuditEntry, BlobNotes, NewPerson, PersonId, Profile, Queue, Role, StagedBlob, Tx, Visibility,
    WriteError,
};
use crate::views::RaisedView;

/// A position and how exact it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fix {
    /// Where.
    pub point: Point,
    /// How far off it may be, in metres.
    pub accuracy_m: Option<u32>,
}

/// An alert as a phone sends it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAlert {
    /// The alert's own secret id, made by the phone: the same one twice makes one incident.
    pub secret: [u8; 32],
    /// What it is about.
    pub kind: &'static Kind,
    /// How pressing, if not as its kind says.
    pub urgency: Option<Urgency>,
    /// Where, if the phone knows.
    pub fix: Option<Fix>,
    /// Words; may be empty.
    pub text: String,
    /// True if nothing may make a sound at the reporter's end.
    pub silent: bool,
    /// Who may know who reported.
    pub visibility: Visibility,
}

/// A phone call, as an operator takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCall {
    /// The call's own secret id, made by the form: the same one twice makes one incident.
    pub secret: [u8; 32],
    /// What it is about.
    pub kind: &'static Kind,
    /// How pressing, if not as its kind says.
    pub urgency: Option<Urgency>,
    /// The place in words.
    pub address: String,
    /// The place on the map, if the operator set it.
    pub point: Option<Point>,
    /// What the caller says.
    pub text: String,
    /// Where to call back.
    pub phone: Option<String>,
}

/// An alert to be filled in, with when it was raised.
#[derive(Debug, Clone, PartialEq)]
pub struct FilledAlert {
    /// Who raised it.
    pub reporter: Option<PersonId>,
    /// The alert.
    pub alert: NewAlert,
    /// When.
    pub opened: Millis,
}

/// An alert that is ready to be stored.
#[derive(Clone)]
struct Ready {
    nonce: Nonce,
    open: Open,
    place: Place,
    words: Option<StagedBlob>,
    written: Millis,
    row: AlertParts,
}

#[derive(Clone)]
struct AlertParts {
    reporter: Option<PersonId>,
    by: Viewer,
    phone: Option<String>,
    visibility: Visibility,
}

impl Desk {
    /// Raises an alert and answers once it is stored. An SOS is never refused for what is wrong or
    /// missing in it, nor without a session; other kinds want a resident and a place.
    pub async fn raise_alert(&self, viewer: Viewer, alert: NewAlert) -> Result<RaisedView, ActError> {
        // The bench measures from here; written only where it is asked for.
        tracing::debug!(target: "cuadra::timing", "an alert enters the desk");
        let sos = is_sos(alert.kind);
        if !sos && viewer == Viewer::Nobody {
            return Err(ActError::NotForYou);
        }
        if !sos && !self.config().kind(alert.kind).enabled {
            return Err(ActError::Field("kind"));
        }
        let opened = self.store().now();
        let ready = self.ready(viewer, alert, opened).await?;
        self.store_alert(Queue::Urgent, ready).await
    }

    /// Takes a phone call: the same queue, the same incident.
    pub async fn take_call(&self, viewer: Viewer, call: NewCall) -> Result<RaisedView, ActError> {
        let Viewer::Operator(_) = viewer else { return Err(ActError::NotForYou) };
        if call.address.len() > FIELD_BYTES_MAX {
            return Err(ActError::Field("address"));
        }
        let (nonce, now) = (alert_nonce(&call.secret), self.store().now());
        let notes = BlobNotes {
            text: clipped(&call.text, is_sos(call.kind))?,
            point: call.point.map(|point| (point.lat_e7, point.lon_e7)),
            address: call.address,
            ..BlobNotes::default()
        };
        let place = self.place(call.point, call.kind);
        let words = Some(self.store().stage_blob(notes.encode()).await?);
        let open = self.open(call.kind, call.urgency, nonce, Source::PhoneCall, now, &place, call.point);
        let phone = call.phone.filter(|phone| !phone.trim().is_empty());
        let row = AlertParts { reporter: None, by: viewer, phone, visibility: Visibility::Operator };
        self.store_alert(Queue::Urgent, Ready { nonce, open, place, words, written: now, row }).await
    }

    /// Stores many alerts of the past at once, through the same path as [`Desk::raise_alert`]. For a
    /// local fill only.
    pub async fn fill_alerts(&self, list: Vec<FilledAlert>) -> Result<Vec<RaisedView>, ActError> {
        let mut ready = Vec::with_capacity(list.len());
        for filled in list {
            let viewer = filled.reporter.map_or(Viewer::Nobody, Viewer::Resident);
            ready.push(self.ready(viewer, filled.alert, filled.opened).await?);
        }
        let desk = self.clone();
        let work = move |tx: &mut Tx<'_>| -> Result<Vec<RaisedView>, ActError> {
            ready.iter().map(|ready| desk.keep_alert(tx, ready)).collect()
        };
        self.store().write(Queue::Bulk, work).await
    }

    async fn ready(&self, viewer: Viewer, alert: NewAlert, opened: Millis) -> Result<Ready, ActError> {
        let sos = is_sos(alert.kind);
        let home = match (alert.fix, viewer) {
            (None, Viewer::Resident(person)) => self.home_of(person).await?,
            _ => None,
        };
        let point = alert.fix.map(|fix| fix.point).or(home);
        // A phone without JavaScript gives no position, and an address may have none: the desk knows the
        // reporter's address and asks.
        if point.is_none() && !sos && !matches!(viewer, Viewer::Resident(_)) {
            return Err(ActError::Field("point"));
        }
        let notes = BlobNotes {
            text: clipped(&alert.text, sos)?,
            point: point.map(|point| (point.lat_e7, point.lon_e7)),
            accuracy_m: alert.fix.and_then(|fix| fix.accuracy_m),
            address: String::new(),
            silent: alert.silent,
        };
        let nonce = alert_nonce(&alert.secret);
        let place = self.place(point, alert.kind);
        let words = if notes == BlobNotes::default() {
            None
        } else {
            Some(self.store().stage_blob(notes.encode()).await?)
        };
        let open = self.open(alert.kind, alert.urgency, nonce, Source::App, opened, &place, point);
        let reporter = match viewer {
            Viewer::Resident(person) => Some(person),
            Viewer::Nobody | Viewer::Operator(_) => None,
        };
        let row = AlertParts { reporter, by: viewer, phone: None, visibility: alert.visibility };
        Ok(Ready { nonce, open, place, words, written: opened, row })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one operation, each from somewhere else")]
    fn open(
        &self,
        kind: &'static Kind,
        urgency: Option<Urgency>,
        nonce: Nonce,
        source: Source,
        opened: Millis,
        place: &Place,
        point: Option<Point>,
    ) -> Open {
        let urgency = if is_sos(kind) { kind.urgency } else { urgency.unwrap_or(kind.urgency) };
        Open {
            urgency,
            code: place.code,
            cell: place.cell,
            kind: kind.number,
            local_kind: 0,
            nonce,
            source,
            opened,
            offered_to: place.offered_to,
            involved: place.involved.clone(),
            point: point.filter(|_| kind.place && !self.config().kind(kind).private),
        }
    }

    async fn store_alert(&self, queue: Queue, ready: Ready) -> Result<RaisedView, ActError> {
        let desk = self.clone();
        self.store().write(queue, move |tx| desk.keep_alert(tx, &ready)).await
    }

    /// One alert in a job of the writer: found again by its nonce, or opened.
    fn keep_alert(&self, tx: &mut Tx<'_>, ready: &Ready) -> Result<RaisedView, ActError> {
        let offered_to = ready.place.offered_to.map(|member| self.member_name(&member));
        if let Some(known) = tx.reader().alert(ready.nonce)? {
            return Ok(RaisedView {
                id: known.doc.to_string(),
                short: super::show::short(known.doc),
                stored_ms: known.stored.0,
                already: true,
                offered_to,
                outside: known.outside,
            });
        }
        let blobs = match &ready.words {
            Some(words) => {
                tx.keep_blob(words, None)?;
                vec![BlobRef { class: BlobClass::Responders, id: words.id() }]
            }
            None => Vec::new(),
        };
        let draft = Draft {
            operation: Operation::Open(ready.open.clone()),
            blobs,
            answers: Vec::new(),
            written_at: ready.written,
        };
        let envelope = tx.append(None, &draft, ready.row.by.person())?;
        let (doc, stored) = (envelope.header().doc, tx.now());
        let AlertParts { reporter, by, phone, visibility } = ready.row.clone();
        let reporter = match phone {
            Some(phone) => Some(tx.add_person(&caller(phone, stored))?),
            None => reporter,
        };
        let outside = ready.place.outside;
        // The order of a person's own alerts is by when they were raised.
        let raised = if ready.written < stored { ready.written } else { stored };
        tx.add_alert(ready.nonce, &AlertRow { doc, reporter, visibility, outside, stored: raised })?;
        let entry =
            AuditEntry { who: by.audit_name(), what: "open".into(), on: doc.to_string(), why: String::new() };
        tx.audit(reporter, &entry)?;
        Ok(RaisedView {
            id: doc.to_string(),
            short: super::show::short(doc),
            stored_ms: stored.0,
            already: false,
            offered_to,
            outside,
        })
    }

    async fn home_of(&self, person: PersonId) -> Result<Option<Point>, WriteError> {
        let row = self.store().read(move |r| r.person(person)).await?;
        let home = row.filter(|row| row.role == Role::Resident).and_then(|row| row.profile.home);
        Ok(home.and_then(|(lat, lon)| Point::from_degrees(lat, lon)))
    }
}

/// Whoever calls is a person of this node like a resident, so that they can be erased like one; without an
/// address they count in no figure.
fn caller(phone: String, created: Millis) -> NewPerson {
    let profile = Profile { phone: Some(phone), ..Profile::default() };
    NewPerson { role: Role::Resident, household: None, profile, created }
}

/// An SOS of whatever service.
fn is_sos(kind: &Kind) -> bool {
    kind.name == "sos" || kind.name == "medical"
}

/// The words as they are kept: too long is an error, except in an SOS, where the rest is cut off.
pub(super) fn clipped(text: &str, cut: bool) -> Result<String, ActError> {
    let text = text.trim();
    if text.len() <= TEXT_BYTES_MAX {
        return Ok(text.to_owned());
    }
    if !cut {
        return Err(ActError::Field("text"));
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    Ok(text.get(..end).unwrap_or_default().to_owned())
}
