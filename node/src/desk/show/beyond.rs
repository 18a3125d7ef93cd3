//! Incidents of which this node cannot show everything: written by a newer version of the program, or with
//! their contents dropped after their retention, here or elsewhere.

use config::cells::cell_center;
use protocol::ids::{Code, DocId};
use protocol::operation::Source;

use super::{Showing, name_of, point_view, short, urgency_name};
use crate::desk::{ActError, Desk, Viewer};
use crate::store::{AuditEntry, HeldIncident, IncidentQuery, Queue, Tx, WriteError};
use crate::views::{DuplicatesView, IncidentDetailView, IncidentView};

impl Desk {
    /// How many envelopes of newer versions are held without a verdict, and their bytes.
    pub async fn held_size(&self) -> Result<(u64, u64), WriteError> {
        self.store().read(|r| r.held_size()).await
    }

    /// An operator has seen an incident of a newer version: it rings no more. False if it is none.
    pub(in crate::desk) async fn see_held(&self, viewer: Viewer, doc: DocId) -> Result<bool, ActError> {
        let Viewer::Operator(person) = viewer else { return Ok(false) };
        if self.store().read(move |r| r.held_incident(doc)).await?.is_none() {
            return Ok(false);
        }
        let see = move |tx: &mut Tx<'_>| -> Result<bool, ActError> {
            let seen = tx.mark_held_seen(doc)?;
            if seen {
                let entry = AuditEntry {
                    who: viewer.audit_name(),
                    what: "seen".into(),
                    on: doc.to_string(),
                    why: "a newer version of the program wrote it".into(),
                };
                tx.audit(Some(person), &entry)?;
            }
            Ok(seen)
        };
        self.store().write(Queue::Urgent, see).await
    }
}

impl Showing<'_> {
    /// The queue with what newer versions wrote: on top what rings, below what does not.
    pub(super) fn with_held(
        &self,
        which: IncidentQuery,
        rows: Vec<IncidentView>,
    ) -> Result<Vec<IncidentView>, ActError> {
        if which == IncidentQuery::Closed {
            return Ok(rows);
        }
        let held = self.r.held_incidents()?.into_iter();
        let (ringing, quiet): (Vec<_>, Vec<_>) = held.partition(HeldIncident::rings);
        let views = |held: Vec<HeldIncident>| held.into_iter().map(|held| self.held(&held));
        Ok(views(ringing).chain(rows).chain(views(quiet)).collect())
    }

    /// What is shown of an incident whose contents are not here to be read; none if they are.
    pub(super) fn beyond(&self, doc: DocId) -> Result<Option<IncidentDetailView>, ActError> {
        if let Some(held) = self.r.held_incident(doc)?.filter(|_| self.is_operator()) {
            let may = if held.seen { Vec::new() } else { vec!["claim".to_owned()] };
            return Ok(Some(bare(self.held(&held), may)));
        }
        if !self.r.is_dropped(doc)? {
            return Ok(None);
        }
        let row = self.r.incident(doc)?.ok_or(ActError::NotFound)?;
        if !self.may_see(&row)? {
            return Err(ActError::NotFound);
        }
        let incident = IncidentView { contents: "dropped".to_owned(), ..self.incident(&row, None)? };
        Ok(Some(bare(incident, Vec::new())))
    }

    /// A row that says so where another node has dropped contents that may not all be here.
    pub(super) fn as_complete_as_it_is(
        &self,
        incident: IncidentView,
        doc: DocId,
    ) -> Result<IncidentView, ActError> {
        let gone = !self.r.gone_at(doc)?.is_empty();
        let contents = if gone { "incomplete".to_owned() } else { incident.contents };
        Ok(IncidentView { contents, ..incident })
    }

    fn held(&self, held: &HeldIncident) -> IncidentView {
        let (desk, glimpse) = (self.desk, held.glimpse);
        IncidentView {
            id: held.doc.to_string(),
            short: short(held.doc),
            kind: "unknown".to_owned(),
            contents: "newer".to_owned(),
            urgency: urgency_name(glimpse.urgency).to_owned(),
            code: glimpse.code.to_string(),
            place: if glimpse.code == Code::OUTSIDE { String::new() } else { desk.place_name(glimpse.code) },
            cell: if glimpse.cell.0 == 0 { String::new() } else { format!("{:x}", glimpse.cell.0) },
            point: cell_center(glimpse.cell).map(point_view),
            point_exact: false,
            source: name_of(&Source::Node),
            status: if held.seen { "received" } else { "open" }.to_owned(),
            outcome: None,
            owner: desk.member_name(&held.author),
            owner_id: held.author.to_string(),
            ours: false,
            offered_to: None,
            offered_to_us: false,
            referred_to_us: false,
            opened_ms: held.written.0,
            changed_ms: held.received.0,
            late: held.late,
            ringing: held.rings(),
            claimed_by: None,
            alerts: 0,
            saw_it_too: 0,
            crews: 0,
            distance_m: None,
            text: None,
        }
    }
}

fn bare(incident: IncidentView, may: Vec<String>) -> IncidentDetailView {
    let retired = incident.contents == "dropped";
    IncidentDetailView {
        incident,
        steps: Vec::new(),
        timeline: Vec::new(),
        involved: Vec::new(),
        reachable: Vec::new(),
        heads: Vec::new(),
        may,
        referrals: Vec::new(),
        services: Vec::new(),
        service: String::new(),
        duplicates: DuplicatesView::default(),
        merged: None,
        disputes: Vec::new(),
        retired,
        reporter: None,
    }
}

#[cfg(test)]
mod tests {
    use protocol::envelope::RULES_VERSION;
    use protocol::fixture::{Federation, Scribe};
    use protocol::ids::Millis;
    use protocol::replica::Held;

    use super::*;
    use crate::desk::tests::{inside, node, sos};

    #[tokio::test]
    async fn incident_of_a_newer_version_rings_in_the_queue_until_an_operator_has_seen_it() {
        let mut federation = Federation::new(2);
        federation.publish(|body| body.rules_version = RULES_VERSION + 1);
        let mut scribe = Scribe::new(&federation);
        scribe.rules = RULES_VERSION + 1;
        let genesis = scribe.open(1, &[0]);
        let doc = genesis.header().doc;
        let home = node(&federation, 0);
        let held = Held { from: federation.id(1), envelope: genesis.signed().clone(), age: Millis(5) };
        let hold = move |tx: &mut Tx<'_>| -> Result<bool, WriteError> { tx.hold(&held) };
        assert!(home.desk.store().write(Queue::Normal, hold).await.unwrap());
        let rosa = home.resident("Rosa", Some(inside(0))).await;
        home.desk.raise_alert(rosa, sos(1, Some(inside(0)))).await.unwrap();
        let operator = home.operator("Elena").await;
        let queue = home.desk.queue(operator, IncidentQuery::Open).await.unwrap();
        let seen: Vec<_> = queue.iter().map(|i| (i.kind.as_str(), i.contents.as_str(), i.ringing)).collect();
        assert_eq!(seen, [("unknown", "newer", true), ("sos", "here", true)]);
        assert_eq!((queue[0].urgency.as_str(), queue[0].code.as_str()), ("emergency", "CL-13102"));
        assert!(!queue[0].cell.is_empty() && !queue[0].ours);
        assert!(home.desk.incident(rosa, doc).await.is_err(), "neighbours are shown nothing of it");
        let shown = home.desk.incident(operator, doc).await.unwrap();
        assert_eq!((shown.may.as_slice(), shown.timeline.len()), (["claim".to_owned()].as_slice(), 0));
        let shown = home.desk.claim(operator, doc).await.unwrap();
        assert!(shown.may.is_empty() && !shown.incident.ringing);
        let queue = home.desk.queue(operator, IncidentQuery::Open).await.unwrap();
        let seen: Vec<_> = queue.iter().map(|i| (i.contents.as_str(), i.ringing)).collect();
        assert_eq!(seen, [("here", true), ("newer", false)], "it stays, below what rings");
        assert_eq!(home.desk.queue(operator, IncidentQuery::Closed).await.unwrap(), []);
    }
}
