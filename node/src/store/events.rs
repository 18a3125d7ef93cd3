//! Events: every commit that somebody may want to see gets growing numbers, so that a page which was
//! away continues from the last number it saw.

use std::sync::Arc;

use protocol::envelope::AdmittedEnvelope;
use protocol::ids::DocId;
use rusqlite::params;

use crate::store::WriteError;
use crate::store::limits::EVENTS_ANSWER_MAX;
use crate::store::reader::Reader;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// An incident was opened or changed.
    Incident,
    /// Households or figures changed.
    Figures,
    /// The roster changed.
    Peers,
    /// A mass message was sent, changed or taken back; without a document, a draft of one.
    Notice,
}

impl What {
    /// Its name in the event stream.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            What::Incident => "incident",
            What::Figures => "figures",
            What::Peers => "peers",
            What::Notice => "notice",
        }
    }

    fn by_name(name: &str) -> Option<What> {
        [What::Incident, What::Figures, What::Peers, What::Notice]
            .into_iter()
            .find(|what| what.name() == name)
    }
}

/// One numbered event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Grows with every event of this node, with gaps.
    pub number: u64,
    /// What happened.
    pub what: What,
    /// To which document.
    pub doc: Option<DocId>,
    /// Number of an incident's kind, where the commit that told of it knew that.
    pub kind: Option<u16>,
}

/// What one commit changed, in order.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its events, in order, without those in `bulk`.
    pub events: Arc<[Event]>,
    /// Events of catching up and filling, in order: nobody waits for one of them.
    pub bulk: Arc<[Event]>,
    /// Envelopes that this node itself wrote and that [`super::Store::tell_wrote`] did not take.
    pub wrote: Arc<[AdmittedEnvelope]>,
}

/// What a page that was away missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missed {
    /// These, in order, at most [`EVENTS_ANSWER_MAX`]; ask again from the last one for more.
    Events(Vec<Event>),
    /// More than is kept: load the page anew and continue from this number.
    Reload(u64),
}

impl Reader<'_> {
    /// Number of the newest event; 0 before the first.
    pub fn last_event(&self) -> Result<u64, WriteError> {
        let mut select = self.db().prepare_cached("SELECT max(number) FROM event")?;
        let last: Option<i64> = select.query_row([], |row| row.get(0))?;
        Ok(last.and_then(|number| u64::try_from(number).ok()).unwrap_or_default())
    }

    /// The events after `number`.
    pub fn events_after(&self, number: u64) -> Result<Missed, WriteError> {
        let last = self.last_event()?;
        let oldest: Option<i64> =
            self.db().query_row("SELECT min(number) FROM event", [], |row| row.get(0))?;
        let oldest = oldest.and_then(|number| u64::try_from(number).ok()).unwrap_or(last + 1);
        if number > last || number.saturating_add(1) < oldest {
            return Ok(Missed::Reload(last));
        }
        let mut select = self.db().prepare_cached(
            "SELECT number, what, doc FROM event WHERE number > ?1 ORDER BY number LIMIT ?2",
        )?;
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let limit = i64::try_from(EVENTS_ANSWER_MAX).expect("a small limit");
        let rows = select.query_map(params![number, limit], |row| {
            let doc: Option<[u8; 32]> = row.get(2)?;
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, doc.map(DocId)))
        })?;
        let mut events = Vec::new();
        for row in rows {
            let (number, what, doc) = row?;
            // A kind of event that a newer release wrote says nothing to this one.
            if let Some(what) = What::by_name(&what) {
                events.push(Event {
                    number: u64::try_from(number).unwrap_or_default(),
                    what,
                    doc,
                    kind: None,
                });
            }
        }
        Ok(Missed::Events(events))
    }
}
