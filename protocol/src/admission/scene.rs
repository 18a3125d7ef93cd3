//! An envelope that continues a document, against everything that its author had seen.

use super::{Refusal, judge_figures, judge_notice};
use crate::audience::Audience;
use crate::document::{Document, EnvelopeSet};
use crate::envelope::{AdmittedEnvelope, BlobClass, Header};
use crate::fold::authority;
use crate::ids::{BlobId, EnvelopeId, MemberId};
use crate::kind::Kind;
use crate::limits::{SEQ_MAX, SEQ_RESERVED};
use crate::operation::{Class, Notice, Operation, Relocate, Summary};
use crate::roster::{Role, Roster, RosterChain};

/// The envelope, its document, and its ancestors.
pub(super) struct Scene<'a> {
    pub header: &'a Header,
    pub document: &'a Document,
    pub roster: &'a Roster,
    pub rosters: &'a RosterChain,
    pub seen: EnvelopeSet,
}

fn allowed(allowed: bool, refusal: Refusal) -> Result<(), Refusal> {
    if allowed { Ok(()) } else { Err(refusal) }
}

impl Scene<'_> {
    /// The last places of a chain are kept for ending things.
    pub fn check_room(&self, operation: &Operation) -> Result<(), Refusal> {
        let seq = self.header.seq.0;
        let ends = matches!(
            operation,
            Operation::Close { .. }
                | Operation::Reopen { .. }
                | Operation::Offer { .. }
                | Operation::Commit { .. }
                | Operation::Seal { .. }
        );
        let room = seq <= SEQ_MAX - SEQ_RESERVED || (seq <= SEQ_MAX && ends && self.is_owner());
        allowed(room, Refusal::SeqMax)
    }

    pub fn judge(&self, operation: &Operation) -> Result<(), Refusal> {
        if self.members().any(|e| matches!(e.operation(), Operation::Retire)) {
            return Err(Refusal::Retired);
        }
        match self.class() {
            Some(Class::Incident) => self.judge_incident(operation),
            Some(Class::Notice) => self.judge_in_notice(operation),
            Some(Class::Summary) => self.judge_summary(operation),
            None => Err(Refusal::OtherDocument),
        }
    }

    fn judge_incident(&self, operation: &Operation) -> Result<(), Refusal> {
        match operation {
            Operation::Step { .. }
            | Operation::Close { .. }
            | Operation::Reopen { .. }
            | Operation::Reclassify { .. }
            | Operation::Absorb { .. }
            | Operation::Link { .. }
            | Operation::Unlink { .. } => {
                self.owner_only()?;
                self.judge_named_document(operation)
            }
            Operation::Invite { member } | Operation::Offer { to: member, .. } => {
                self.owner_only()?;
                allowed(self.is_other_member(member), Refusal::NotAMember)
            }
            Operation::Relocate(relocate) => self.judge_relocate(relocate),
            Operation::Refer { to, .. } => {
                self.owner_only()?;
                let service = |to: &MemberId| self.roster.has_role(to, Role::Service);
                allowed(to.is_none_or(|to| self.is_other_member(&to) && service(&to)), Refusal::NotAMember)
            }
            Operation::AnswerReferral { referral, .. } => self.judge_referral_answer(referral),
            Operation::Respond { .. }
            | Operation::Note { .. }
            | Operation::Media { .. }
            | Operation::Dispute { .. }
            | Operation::Contribution { .. } => self.involved_only(operation),
            Operation::Accept { offer } | Operation::Decline { offer, .. } => self.judge_answer(offer),
            Operation::Commit { accept } => {
                self.owner_only()?;
                let winner = self.document.winner(&self.seen);
                self.judge_commit(accept, self.document.last_offer(&self.seen, winner))
            }
            Operation::TakeoverOffer { to } => self.judge_takeover_offer(to),
            Operation::TakeoverCommit { accept } => {
                self.authority_only()?;
                self.judge_commit(accept, self.last_takeover_offer())
            }
            Operation::Seal { node, last } => self.judge_seal(node, last),
            Operation::Release { blobs } => {
                self.owner_only()?;
                let named = |blob: &BlobId| self.author_of(blob, Some(BlobClass::Responders)).is_some();
                allowed(blobs.iter().all(named), Refusal::Names)
            }
            Operation::Redact { blobs } => self.judge_redact(blobs),
            Operation::Erased { blobs } => self.judge_erased(blobs),
            Operation::Retire => {
                self.owner_only()?;
                allowed(self.closed(), Refusal::Names)
            }
            Operation::Open(_)
            | Operation::NoticeOpen(_)
            | Operation::NoticeUpdate(_)
            | Operation::NoticeCancel { .. }
            | Operation::Summary(_) => Err(Refusal::Genesis),
        }
    }

    fn members(&self) -> impl Iterator<Item = &AdmittedEnvelope> {
        self.document.members(&self.seen).map(|(_, envelope)| envelope)
    }

    fn genesis(&self) -> Result<&AdmittedEnvelope, Refusal> {
        self.document.genesis().ok_or(Refusal::OtherDocument)
    }

    fn class(&self) -> Option<Class> {
        self.document.genesis().and_then(|genesis| genesis.operation().genesis_class())
    }

    /// An envelope that the author had seen.
    fn saw(&self, id: &EnvelopeId) -> Option<&AdmittedEnvelope> {
        let place = self.document.place(id).filter(|place| self.seen.contains(*place))?;
        self.document.at(place)
    }

    fn is_other_member(&self, member: &MemberId) -> bool {
        *member != self.header.author && self.roster.member(member).is_some()
    }

    fn owner(&self) -> Option<MemberId> {
        self.document.owner_by(self.document.winner(&self.seen))
    }

    fn is_owner(&self) -> bool {
        self.class() == Some(Class::Incident) && self.owner() == Some(self.header.author)
    }

    fn owner_only(&self) -> Result<(), Refusal> {
        allowed(self.is_owner(), Refusal::NotOwner)
    }

    /// Who may take over from the owner: the nearest good authority above it, else the good aggregator
    /// with the smallest id.
    fn authority(&self) -> Option<MemberId> {
        authority(self.owner()?, self.roster)
    }

    fn authority_only(&self) -> Result<(), Refusal> {
        allowed(self.authority() == Some(self.header.author), Refusal::NotAuthority)
    }

    fn involved(&self) -> bool {
        self.is_owner()
            || Audience::over(self.document, &self.seen, self.rosters).involved.contains(&self.header.author)
    }

    fn involved_only(&self, operation: &Operation) -> Result<(), Refusal> {
        allowed(self.involved(), Refusal::NotInvolved)?;
        // Only the owner speaks to everybody; what people contribute waits for an operator.
        let shared = self.header.blobs.iter().any(|blob| blob.class == BlobClass::Shared);
        let may_share = self.is_owner()
            && !matches!(operation, Operation::Contribution { .. } | Operation::Dispute { .. });
        allowed(!shared || may_share, Refusal::Blobs)
    }

    /// A document is never its own duplicate.
    fn judge_named_document(&self, operation: &Operation) -> Result<(), Refusal> {
        let (Operation::Absorb { document: named, .. }
        | Operation::Link { target: named, .. }
        | Operation::Unlink { target: named, .. }) = operation
        else {
            return Ok(());
        };
        allowed(*named != self.header.doc, Refusal::Names)
    }

    fn judge_relocate(&self, relocate: &Relocate) -> Result<(), Refusal> {
        self.owner_only()?;
        // The exact place of a person is for the responders alone.
        let shared = self.header.blobs.iter().any(|blob| blob.class == BlobClass::Shared);
        allowed(!shared, Refusal::Blobs)?;
        allowed(relocate.involved.iter().all(|member| self.is_other_member(member)), Refusal::NotAMember)?;
        let Operation::Open(open) = self.genesis()?.operation() else { return Err(Refusal::Operation) };
        let place = Kind::by_number(open.kind).is_some_and(|kind| kind.place);
        allowed(relocate.point.is_none() || place, Refusal::Operation)
    }

    /// The service that was asked, or the owner in its stead; once.
    fn judge_referral_answer(&self, referral: &EnvelopeId) -> Result<(), Refusal> {
        let asked = self.saw(referral).ok_or(Refusal::Names)?;
        let Operation::Refer { to, .. } = asked.operation() else { return Err(Refusal::Names) };
        let may = to.map_or_else(|| self.is_owner(), |to| to == self.header.author);
        allowed(may, Refusal::NotInvolved)?;
        let answered = self.members().any(
            |e| matches!(e.operation(), Operation::AnswerReferral { referral: other, .. } if other == referral),
        );
        allowed(!answered, Refusal::Names)
    }

    fn last_takeover_offer(&self) -> Option<(&AdmittedEnvelope, MemberId)> {
        let winner = self.document.winner(&self.seen);
        self.document.last_takeover_offer(&self.seen, winner, self.authority()?)
    }

    fn judge_takeover_offer(&self, to: &MemberId) -> Result<(), Refusal> {
        self.authority_only()?;
        let owner = self.owner().ok_or(Refusal::NotAuthority)?;
        let near = self.roster.neighbours(owner).contains(to) || self.roster.has_role(to, Role::Aggregator);
        allowed(near && *to != owner && self.roster.good(to), Refusal::NotAMember)
    }

    /// An accept or a decline: of the last offer (the owner's, or its authority's), made to its author,
    /// not answered yet.
    fn judge_answer(&self, offer: &EnvelopeId) -> Result<(), Refusal> {
        let winner = self.document.winner(&self.seen);
        let offers = [self.document.last_offer(&self.seen, winner), self.last_takeover_offer()];
        let to_author =
            |(last, to): &(&AdmittedEnvelope, MemberId)| last.id() == *offer && *to == self.header.author;
        let open = offers.iter().flatten().any(to_author);
        let answered = self.members().any(|e| e.operation().answered_offer() == Some(*offer));
        allowed(open && !answered, Refusal::NoOffer)
    }

    /// A commit: of an accept of the last offer, once.
    fn judge_commit(
        &self,
        accept: &EnvelopeId,
        last: Option<(&AdmittedEnvelope, MemberId)>,
    ) -> Result<(), Refusal> {
        let accepted = self.saw(accept).ok_or(Refusal::NoAccept)?;
        let Operation::Accept { offer } = accepted.operation() else { return Err(Refusal::NoAccept) };
        let committed = self.members().any(|e| {
            matches!(e.operation(), Operation::Commit { accept: earlier }
                | Operation::TakeoverCommit { accept: earlier } if earlier == accept)
        });
        let of_last = last.is_some_and(|(last, _)| last.id() == *offer);
        allowed(of_last && !committed, Refusal::NoAccept)
    }

    /// By the owner, or by the authority that took the incident over; of its own word by whoever wrote
    /// it, so that a member goes on under a new key where its old one was revoked.
    fn judge_seal(&self, node: &MemberId, last: &EnvelopeId) -> Result<(), Refusal> {
        let own = *node == self.header.author;
        let took_over = self.members().any(|e| {
            e.header().author == self.header.author
                && matches!(e.operation(), Operation::TakeoverCommit { .. })
        });
        allowed(self.is_owner() || took_over || own, Refusal::NotOwner)?;
        let theirs = self.saw(last).is_some_and(|e| e.header().author == *node);
        allowed(theirs, Refusal::Names)
    }

    /// Who named a blob in what the author had seen.
    fn author_of(&self, blob: &BlobId, class: Option<BlobClass>) -> Option<MemberId> {
        let names = |e: &&AdmittedEnvelope| {
            e.header()
                .blobs
                .iter()
                .any(|named| named.id == *blob && class.is_none_or(|class| named.class == class))
        };
        self.members().find(names).map(|e| e.header().author)
    }

    fn judge_redact(&self, blobs: &[BlobId]) -> Result<(), Refusal> {
        let may = |blob: &BlobId| {
            self.author_of(blob, None).is_some_and(|author| author == self.header.author || self.is_owner())
        };
        allowed(blobs.iter().all(may), Refusal::Names)
    }

    /// A holder's receipt for what was redacted.
    fn judge_erased(&self, blobs: &[BlobId]) -> Result<(), Refusal> {
        let audience = Audience::over(self.document, &self.seen, self.rosters);
        allowed(audience.entitled(&self.header.author), Refusal::NotInvolved)?;
        let redacted = |blob: &BlobId| {
            self.members()
                .any(|e| matches!(e.operation(), Operation::Redact { blobs } if blobs.contains(blob)))
        };
        allowed(blobs.iter().all(redacted), Refusal::Names)
    }

    /// The owner's last word on it, as the author had seen it, is that it is closed.
    fn closed(&self) -> bool {
        let mut own: Vec<_> = self.members().filter(|e| e.header().author == self.header.author).collect();
        own.sort_by_key(|e| (e.chain_place(), e.id()));
        own.iter().fold(false, |closed, e| {
            let reopened = matches!(e.operation(), Operation::Reopen { .. });
            matches!(e.operation(), Operation::Close { .. }) || (closed && !reopened)
        })
    }

    fn judge_in_notice(&self, operation: &Operation) -> Result<(), Refusal> {
        let genesis = self.genesis()?;
        let same_author = genesis.header().author == self.header.author;
        allowed(same_author, Refusal::NotItsNotice)?;
        if let Operation::NoticeCancel { .. } = operation {
            return Ok(());
        }
        let (Operation::NoticeUpdate(notice), Operation::NoticeOpen(first)) =
            (operation, genesis.operation())
        else {
            return Err(Refusal::Operation);
        };
        let same = |a: &Notice, b: &Notice| a.code == b.code && a.mode == b.mode && a.nonce == b.nonce;
        allowed(same(notice, first), Refusal::NotItsNotice)?;
        judge_notice(self.header, notice, self.roster)
    }

    fn judge_summary(&self, operation: &Operation) -> Result<(), Refusal> {
        let Operation::Summary(summary) = operation else { return Err(Refusal::NotOwner) };
        let genesis = self.genesis()?;
        let Operation::Summary(first) = genesis.operation() else { return Err(Refusal::Operation) };
        let same = |a: &Summary, b: &Summary| a.code == b.code && a.day == b.day;
        let own = genesis.header().author == self.header.author;
        allowed(own && same(first, summary), Refusal::NotItsFigures)?;
        judge_figures(self.header, summary, self.roster)
    }
}
