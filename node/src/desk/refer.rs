//! Referring an incident to a service, and its answer. Whatever it answers, the owner stays the owner.

use protocol::ids::{DocId, EnvelopeId, MemberId};
use protocol::kind::Service;
use protocol::operation::{Operation, ReferralAnswer};
use protocol::roster::Role as MemberRole;

use super::answer::Scene;
use super::{ActError, Desk, Viewer};
use crate::views::IncidentDetailView;

impl Desk {
    /// Asks a service to answer an incident of ours. One with a node of its own sees it in full from then
    /// on and answers itself. Asking again while the answer is awaited is no error.
    pub async fn refer(
        &self,
        viewer: Viewer,
        doc: DocId,
        service: Service,
        to: Option<MemberId>,
    ) -> Result<IncidentDetailView, ActError> {
        self.operate(viewer, doc, None, move |scene| {
            scene.owner_of_open()?;
            to.map_or(Ok(()), |to| check_service(scene, to))?;
            let same = |asked: &protocol::fold::Referral| asked.service == service && asked.to == to;
            let waits = scene.fold.referrals.values().any(|asked| same(asked) && asked.answer.is_none());
            Ok(if waits { Vec::new() } else { vec![Operation::Refer { service, to, by: scene.by }] })
        })
        .await
    }

    /// Answers a referral: the service's own node, or, for a service without one, the owner, who notes what
    /// it was told. The same answer again is no error.
    pub async fn answer_referral(
        &self,
        viewer: Viewer,
        doc: DocId,
        referral: EnvelopeId,
        answer: ReferralAnswer,
    ) -> Result<IncidentDetailView, ActError> {
        self.operate(viewer, doc, None, move |scene| {
            let asked = scene.fold.referrals.get(&referral).ok_or(ActError::Field("referral"))?;
            let for_us = may_answer(scene.us, scene.row.owner, asked.to);
            match asked.answer {
                _ if !for_us => Err(ActError::NotNow),
                Some(given) if given == answer => Ok(Vec::new()),
                Some(_) => Err(ActError::NotNow),
                // Whoever answers has answered.
                None if asked.to.is_some() && answer == ReferralAnswer::NoAnswer => {
                    Err(ActError::Field("answer"))
                }
                None => Ok(vec![Operation::AnswerReferral { referral, answer, by: scene.by }]),
            }
        })
        .await
    }
}

/// True if this node gives the answer: it was asked, or it owns the incident and the service has no node.
pub(super) fn may_answer(us: MemberId, owner: MemberId, asked: Option<MemberId>) -> bool {
    asked.map_or(owner == us, |asked| asked == us)
}

fn check_service(scene: &Scene<'_>, to: MemberId) -> Result<(), ActError> {
    let rosters = scene.tx.rosters();
    let roster = rosters.head();
    let serves = to != scene.us && roster.good(&to) && roster.has_role(&to, MemberRole::Service);
    if serves { Ok(()) } else { Err(ActError::Field("node")) }
}

#[cfg(test)]
mod tests;
