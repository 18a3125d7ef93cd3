//! Who a document is for: counted over all its admitted envelopes, so that it only grows and all who
//! hold the same envelopes agree.

use std::collections::BTreeSet;

use crate::document::{Document, EnvelopeSet};
use crate::envelope::{AdmittedEnvelope, BlobClass};
use crate::ids::MemberId;
use crate::operation::Operation;
use crate::roster::RosterChain;

/// The members that a document is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audience {
    /// Owner, bordering, offered and invited nodes: documents and all blobs.
    pub involved: BTreeSet<MemberId>,
    /// The aggregators above those who answer for it: documents and shared blobs.
    pub above: BTreeSet<MemberId>,
}

impl Audience {
    /// Over everything held of a document.
    #[must_use]
    pub fn of(document: &Document, rosters: &RosterChain) -> Audience {
        Self::over(document, &document.all(), rosters)
    }

    /// Over a set of a document's envelopes.
    #[must_use]
    pub fn over(document: &Document, set: &EnvelopeSet, rosters: &RosterChain) -> Audience {
        let mut audience = Audience::default();
        for (_, envelope) in document.members(set) {
            audience.add(document, envelope, rosters);
        }
        audience
    }

    /// True if the member may hold the document.
    #[must_use]
    pub fn entitled(&self, member: &MemberId) -> bool {
        self.involved.contains(member) || self.above.contains(member)
    }

    /// True if the member may hold a blob of this class.
    #[must_use]
    pub fn entitled_to_blob(&self, member: &MemberId, class: BlobClass) -> bool {
        self.involved.contains(member) || (class == BlobClass::Shared && self.above.contains(member))
    }

    /// Everybody in it.
    pub fn members(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.involved.union(&self.above).copied()
    }

    /// A notice goes to every member below its author.
    fn add_below(&mut self, envelope: &AdmittedEnvelope, rosters: &RosterChain) {
        let Some(roster) = rosters.get(&envelope.header().roster) else { return };
        let below = |id: MemberId| roster.above(id).contains(&envelope.header().author);
        self.involved.extend(roster.members().iter().map(|member| member.id).filter(|id| below(*id)));
    }

    fn add(&mut self, document: &Document, envelope: &AdmittedEnvelope, rosters: &RosterChain) {
        if !grows_by(envelope.operation()) {
            return;
        }
        let mut answerable = Vec::new();
        if let Operation::Open(open) = envelope.operation() {
            answerable.push(envelope.header().author);
            answerable.extend(open.offered_to);
            self.involved.extend(open.involved.iter().copied());
        } else if let Operation::Summary(_) = envelope.operation() {
            answerable.push(envelope.header().author);
        } else if let Operation::Invite { member } = envelope.operation() {
            self.involved.insert(*member);
        } else if let Operation::Offer { to, .. } = envelope.operation() {
            answerable.push(*to);
        } else if let Operation::Relocate(relocate) = envelope.operation() {
            self.involved.extend(relocate.involved.iter().copied());
        } else if let Operation::Refer { to, .. } = envelope.operation() {
            self.involved.extend(*to);
        } else if let Operation::TakeoverOffer { to } = envelope.operation() {
            answerable.push(*to);
        } else if let Operation::NoticeOpen(_) = envelope.operation() {
            answerable.push(envelope.header().author);
            self.add_below(envelope, rosters);
        } else if let Operation::Commit { accept } | Operation::TakeoverCommit { accept } =
            envelope.operation()
        {
            answerable.extend(document.envelope(accept).map(|accept| accept.header().author));
        }
        // Under the envelope's own roster, not today's: a reorganisation never takes a holder away and
        // never lets two nodes disagree.
        let Some(roster) = rosters.get(&envelope.header().roster) else { return };
        for member in answerable {
            self.involved.insert(member);
            self.above.extend(roster.above(member));
        }
    }
}

/// True for what may let somebody into a document.
#[must_use]
pub fn grows_by(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Open(_)
            | Operation::Summary(_)
            | Operation::Invite { .. }
            | Operation::Offer { .. }
            | Operation::Relocate(_)
            | Operation::Refer { .. }
            | Operation::TakeoverOffer { .. }
            | Operation::NoticeOpen(_)
            | Operation::Commit { .. }
            | Operation::TakeoverCommit { .. }
    )
}
