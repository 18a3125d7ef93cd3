//! The typed operations that an envelope carries, and their bytes.
//!
//! An operation holds codes, numbers, ids and cells only. Words, exact private points, photos and
//! videos are blobs, which the envelope names beside its operation.

use crate::ids::{BlobId, Cell, Code, DocId, EnvelopeId, MemberId, Millis, Nonce, Pseudonym};
use crate::kind::{Service, Urgency};

mod codec;
pub mod op_type;
mod values;

pub(crate) use codec::read_blob_ref;
pub use codec::{doc_id_of, peek_genesis};
pub use values::{
    Class, ContributionKind, Disputed, HandoffReason, Measure, NoticeMode, Outcome, Point, ReferralAnswer,
    ReopenReason, Response, Source, Step,
};

/// The genesis of an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// How pressing.
    pub urgency: Urgency,
    /// The jurisdiction of the place.
    pub code: Code,
    /// The cell of the place.
    pub cell: Cell,
    /// The federation's kind.
    pub kind: u16,
    /// The municipality's own kind, 0 for none.
    pub local_kind: u16,
    /// Hash of the alert's secret id.
    pub nonce: Nonce,
    /// How it came in.
    pub source: Source,
    /// When it was opened, as the author's clock said.
    pub opened: Millis,
    /// For another's code: that code's receiving node.
    pub offered_to: Option<MemberId>,
    /// Nodes whose territory lies within the kind's buffer, sorted.
    pub involved: Vec<MemberId>,
    /// The exact point, for place-bound kinds only.
    pub point: Option<Point>,
}

/// Where an incident is, corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocate {
    /// The jurisdiction of the place. Another's stays ours until a handoff.
    pub code: Code,
    /// The cell of the place.
    pub cell: Cell,
    /// Further nodes whose territory lies within the kind's buffer, sorted.
    pub involved: Vec<MemberId>,
    /// The exact point, for place-bound kinds only.
    pub point: Option<Point>,
    /// Who, as a pseudonym in this document.
    pub by: Pseudonym,
}

/// A mass message. Its words are shared blobs, one a language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How pressing.
    pub urgency: Urgency,
    /// The jurisdiction that it is for; number 0 is the whole country.
    pub code: Code,
    /// Makes two equal notices two.
    pub nonce: Nonce,
    /// Real or a drill; it cannot change later.
    pub mode: NoticeMode,
    /// When it was made.
    pub opened: Millis,
    /// From when it says nothing any more.
    pub expires: Millis,
    /// The cells that it is for, sorted; none for all of the jurisdiction.
    pub cells: Vec<Cell>,
}

/// One figure of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SummaryValue {
    /// Which figure.
    pub measure: Measure,
    /// For which kind; 0 for all.
    pub kind: u16,
    /// The figure.
    pub value: u64,
}

/// A node's figures of a month, as they stood on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The jurisdiction they are about.
    pub code: Code,
    /// The day they are from, `yyyymmdd`.
    pub day: u32,
    /// The month they are about, `yyyymm`.
    pub period: u32,
    /// The figures, sorted by measure and kind.
    pub values: Vec<SummaryValue>,
}

/// Everything an envelope can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Opens an incident.
    Open(Open),
    /// The owner takes the next step.
    Step {
        /// Which.
        step: Step,
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// The owner brings another node in.
    Invite {
        /// Whom.
        member: MemberId,
    },
    /// The owner closes.
    Close {
        /// How it ended.
        outcome: Outcome,
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// The owner opens it again.
    Reopen {
        /// Why.
        reason: ReopenReason,
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// A crew of the owner or of an involved node moves.
    Respond {
        /// What it does.
        response: Response,
        /// Which crew, as a pseudonym in this document.
        crew: Pseudonym,
    },
    /// Words for the desks; the words are a blob.
    Note {
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// Photos or videos; they are blobs.
    Media {
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// A neighbour adds what they know.
    Contribution {
        /// What.
        what: ContributionKind,
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// The owner offers the incident to another node.
    Offer {
        /// To whom.
        to: MemberId,
        /// Why.
        reason: HandoffReason,
    },
    /// The offered node accepts.
    Accept {
        /// The offer (or the genesis that carries one).
        offer: EnvelopeId,
    },
    /// The owner completes the handoff.
    Commit {
        /// The accept.
        accept: EnvelopeId,
    },
    /// The offered node declines.
    Decline {
        /// The offer (or the genesis that carries one).
        offer: EnvelopeId,
        /// Why.
        reason: HandoffReason,
    },
    /// The owner corrects what it is.
    Reclassify {
        /// The federation's kind.
        kind: u16,
        /// The municipality's own kind, 0 for none.
        local_kind: u16,
        /// How pressing.
        urgency: Urgency,
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// The owner corrects where it is.
    Relocate(Relocate),
    /// The owner asks a service to answer.
    Refer {
        /// Which service.
        service: Service,
        /// Its node, if it has one; it becomes involved.
        to: Option<MemberId>,
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// The service answers, or the owner notes its answer.
    AnswerReferral {
        /// The referral.
        referral: EnvelopeId,
        /// What it answers.
        answer: ReferralAnswer,
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// The owner of the target takes a linked duplicate in; that one is then shown below this one.
    Absorb {
        /// The duplicate.
        document: DocId,
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// Somebody who sees it in full says that something about it is not so.
    Dispute {
        /// What.
        what: Disputed,
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// The owner says that this is a duplicate of another document.
    Link {
        /// The other.
        target: DocId,
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// The owner takes that back.
    Unlink {
        /// The other.
        target: DocId,
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// The owner's authority offers the incident of an owner that does not answer.
    TakeoverOffer {
        /// To whom: a neighbour of the owner, or an aggregator.
        to: MemberId,
    },
    /// The owner's authority completes the takeover.
    TakeoverCommit {
        /// The accept.
        accept: EnvelopeId,
    },
    /// The owner, or the authority that took over, vouches for what another node wrote here.
    Seal {
        /// The other node.
        node: MemberId,
        /// Its last envelope that is vouched for, with everything before it on its chain.
        last: EnvelopeId,
    },
    /// The owner lets everybody who holds the document see these blobs.
    Release {
        /// Responders' blobs named here earlier, sorted.
        blobs: Vec<BlobId>,
    },
    /// These blobs are to be erased everywhere and never served again.
    Redact {
        /// Blobs named here earlier, sorted.
        blobs: Vec<BlobId>,
    },
    /// A holder's receipt: these redacted blobs are gone here.
    Erased {
        /// The blobs, sorted.
        blobs: Vec<BlobId>,
    },
    /// The owner ends a closed document: nothing later is taken in, holders may drop its contents.
    Retire,
    /// Opens a mass message.
    NoticeOpen(Notice),
    /// Replaces what a mass message says.
    NoticeUpdate(Notice),
    /// Takes a mass message back.
    NoticeCancel {
        /// Who, as a pseudonym in this document.
        by: Pseudonym,
    },
    /// A node's figures; opens its summary document of the day or adds to it.
    Summary(Summary),
}

impl Operation {
    /// Its number on the wire.
    #[must_use]
    pub fn op_type(&self) -> u16 {
        match self {
            Operation::Open(_) => op_type::OPEN,
            Operation::Step { .. } => op_type::STEP,
            Operation::Invite { .. } => op_type::INVITE,
            Operation::Close { .. } => op_type::CLOSE,
            Operation::Reopen { .. } => op_type::REOPEN,
            Operation::Respond { .. } => op_type::RESPOND,
            Operation::Note { .. } => op_type::NOTE,
            Operation::Media { .. } => op_type::MEDIA,
            Operation::Contribution { .. } => op_type::CONTRIBUTION,
            Operation::Offer { .. } => op_type::OFFER,
            Operation::Accept { .. } => op_type::ACCEPT,
            Operation::Commit { .. } => op_type::COMMIT,
            Operation::Decline { .. } => op_type::DECLINE,
            Operation::Reclassify { .. } => op_type::RECLASSIFY,
            Operation::Relocate(_) => op_type::RELOCATE,
            Operation::Refer { .. } => op_type::REFER,
            Operation::AnswerReferral { .. } => op_type::ANSWER_REFERRAL,
            Operation::Absorb { .. } => op_type::ABSORB,
            Operation::Dispute { .. } => op_type::DISPUTE,
            Operation::Link { .. } => op_type::LINK,
            Operation::Unlink { .. } => op_type::UNLINK,
            Operation::TakeoverOffer { .. } => op_type::TAKEOVER_OFFER,
            Operation::TakeoverCommit { .. } => op_type::TAKEOVER_COMMIT,
            Operation::Seal { .. } => op_type::SEAL,
            Operation::Release { .. } => op_type::RELEASE,
            Operation::Redact { .. } => op_type::REDACT,
            Operation::Erased { .. } => op_type::ERASED,
            Operation::Retire => op_type::RETIRE,
            Operation::NoticeOpen(_) => op_type::NOTICE_OPEN,
            Operation::NoticeUpdate(_) => op_type::NOTICE_UPDATE,
            Operation::NoticeCancel { .. } => op_type::NOTICE_CANCEL,
            Operation::Summary(_) => op_type::SUMMARY,
        }
    }

    /// Its name in the table of operations.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let number = self.op_type();
        op_type::TABLE.iter().find(|row| row.1 == number).map_or("unknown", |row| row.0)
    }

    /// The offer that it accepts or declines.
    #[must_use]
    pub fn answered_offer(&self) -> Option<EnvelopeId> {
        if let Operation::Accept { offer } | Operation::Decline { offer, .. } = self {
            Some(*offer)
        } else {
            None
        }
    }

    /// Envelopes that it answers; its author must have seen them.
    #[must_use]
    pub fn answers(&self) -> Vec<EnvelopeId> {
        if let Operation::Commit { accept } | Operation::TakeoverCommit { accept } = self {
            return vec![*accept];
        }
        if let Operation::AnswerReferral { referral, .. } = self {
            return vec![*referral];
        }
        if let Operation::Seal { last, .. } = self {
            return vec![*last];
        }
        self.answered_offer().into_iter().collect()
    }

    /// The other member that it names: invited, offered to, asked, taken from.
    #[must_use]
    pub fn other_member(&self) -> Option<MemberId> {
        if let Operation::Open(Open { offered_to: to, .. }) | Operation::Refer { to, .. } = self {
            return *to;
        }
        if let Operation::Invite { member: named }
        | Operation::Offer { to: named, .. }
        | Operation::TakeoverOffer { to: named }
        | Operation::Seal { node: named, .. } = self
        {
            return Some(*named);
        }
        None
    }

    /// What may begin a document of its class.
    #[must_use]
    pub fn genesis_class(&self) -> Option<Class> {
        if matches!(self, Operation::Open(_)) {
            Some(Class::Incident)
        } else if matches!(self, Operation::NoticeOpen(_)) {
            Some(Class::Notice)
        } else if matches!(self, Operation::Summary(_)) {
            Some(Class::Summary)
        } else {
            None
        }
    }
}
