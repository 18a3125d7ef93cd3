//! What operators are shown beside an incident's own story: services that were asked, disputes, and what
//! may be shown to everybody.

use protocol::envelope::{BlobClass, BlobRef};
use protocol::fold::Fold;
use protocol::kind::Kind;
use protocol::operation::{Operation, ReferralAnswer};
use protocol::roster::Role;

use super::detail::Told;
use super::{Showing, name_of};
use crate::desk::refer::may_answer;
use crate::store::{BlobNotes, IncidentRow};
use crate::views::{DisputeView, NodeNameView, ReferralView, TimelineView};

impl Showing<'_> {
    /// Services that were asked, oldest first.
    pub(super) fn referrals(&self, told: &Told<'_>) -> Vec<ReferralView> {
        if !self.is_operator() {
            return Vec::new();
        }
        let written = |id| told.document.envelope(id).map_or(0, |e| e.header().written_at.0);
        let answered = |id| {
            let answers = told.document.envelopes().filter(
                |e| matches!(e.operation(), Operation::AnswerReferral { referral, .. } if *referral == id),
            );
            answers.map(|e| e.header().written_at.0).min()
        };
        let us = self.desk.us();
        let mut views: Vec<ReferralView> = Vec::new();
        for (id, asked) in &told.fold.referrals {
            let may_now = asked.answer.is_none() && !told.row.retired;
            let answers = ReferralAnswer::ALL.iter().filter(|answer| {
                may_now
                    && may_answer(us, told.row.owner, asked.to)
                    && (asked.to.is_none() || **answer != ReferralAnswer::NoAnswer)
            });
            views.push(ReferralView {
                id: id.to_string(),
                service: name_of(&asked.service),
                node: asked.to.map(|node| self.node(&node)),
                state: asked.answer.map_or_else(|| "waiting".to_owned(), |answer| name_of(&answer)),
                asked_ms: written(id),
                answered_ms: asked.answer.and_then(|_| answered(*id)),
                may: answers.map(name_of).collect(),
            });
        }
        views.sort_by(|a, b| (a.asked_ms, &a.id).cmp(&(b.asked_ms, &b.id)));
        views
    }

    /// Nodes of services that are still good, by name.
    pub(super) fn services(&self) -> Vec<NodeNameView> {
        if !self.is_operator() {
            return Vec::new();
        }
        let rosters = self.desk.rosters();
        let (roster, us) = (rosters.head(), self.desk.us());
        let serves =
            roster.members().iter().filter(|m| m.roles.has(Role::Service) && m.is_good() && m.id != us);
        let mut nodes: Vec<NodeNameView> = serves.map(|member| self.node(&member.id)).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes
    }

    /// The service that answers a kind first.
    pub(super) fn service_of(&self, kind: u16) -> String {
        Kind::by_number(kind).map(|kind| name_of(&self.desk.config().kind(kind).service)).unwrap_or_default()
    }

    /// Disputes that count, with the words that came with each; for operators.
    pub(super) fn disputes(&self, timeline: &[TimelineView], fold: &Fold) -> Vec<DisputeView> {
        if !self.is_operator() {
            return Vec::new();
        }
        let counts: Vec<(String, String)> =
            fold.disputes.iter().map(|(what, by)| (name_of(what), self.desk.member_name(by))).collect();
        let lines = timeline.iter().filter(|line| line.what == "dispute");
        let said = lines.filter_map(|line| {
            let what = line.detail.clone()?;
            let stands = counts.iter().any(|(counted, node)| *counted == what && *node == line.node);
            stands.then(|| DisputeView {
                what,
                node: line.node.clone(),
                text: line.text.clone(),
                at_ms: line.written_ms,
            })
        });
        said.collect()
    }

    /// True if an operator here may let everybody see it; a photo comes without notes.
    pub(super) fn is_releasable(&self, row: &IncidentRow, blob: &BlobRef, notes: Option<&BlobNotes>) -> bool {
        let ours = self.is_operator() && row.owner == self.desk.us() && !row.retired;
        ours && blob.class == BlobClass::Responders && self.desk.may_release(row.kind, notes)
    }
}
