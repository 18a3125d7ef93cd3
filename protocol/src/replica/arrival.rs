//! What came from a peer, after the work that needs no state: signatures, operation hashes and blob
//! commitments are checked here, in the connection's own task and so on all cores.

use crate::envelope::{SignedEnvelope, Verdicts, VerifiedEnvelope, VerifyError, strictly, verify_all};
use crate::ids::{DocId, EnvelopeId, Millis, commitment};
use crate::message::{InlineBlob, Items, Message, ProofPage, Spoiled};
use crate::operation::op_type::RETIRE;
use crate::proof::{StatementError, VerifiedStatement};
use crate::roster::RosterChain;

/// What is wrong with a copy that proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    /// It does not parse.
    #[error("it does not parse")]
    Malformed,
    /// The roster that it names has no such author or key.
    #[error("the roster that it names has no such author or key")]
    UnknownKey,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    BadSignature,
    /// The operation's bytes are not the ones that were signed.
    #[error("the operation's bytes are not the ones that were signed")]
    OperationHash,
    /// The frame says that it is of another document than it says itself.
    #[error("the message says another document than the envelope")]
    OtherDocument,
    /// A blob's content is not what its commitment says.
    #[error("a blob's content is not what its commitment says")]
    Commitment,
    /// What it sends as a proof of equivocation proves none.
    #[error("what it sends as a proof of equivocation proves none")]
    NoProof,
    /// What it sends as the end of a document is none.
    #[error("what it sends as the end of a document is none")]
    NoRetire,
    /// A roster version that breaks a rule of rosters.
    #[error("a roster version breaks a rule of rosters")]
    Roster,
    /// A contact record that nobody signed, or that does not parse.
    #[error("a contact record that nobody signed")]
    Contact,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 10] = [
        Fault::Malformed,
        Fault::UnknownKey,
        Fault::BadSignature,
        Fault::OperationHash,
        Fault::OtherDocument,
        Fault::Commitment,
        Fault::NoProof,
        Fault::NoRetire,
        Fault::Roster,
        Fault::Contact,
    ];
    /// Its name in counters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::Malformed => "malformed",
            Fault::UnknownKey => "unknown_key",
            Fault::BadSignature => "bad_signature",
            Fault::OperationHash => "operation_hash",
            Fault::OtherDocument => "other_document",
            Fault::Commitment => "commitment",
            Fault::NoProof => "no_proof",
            Fault::NoRetire => "no_retire",
            Fault::Roster => "roster",
            Fault::Contact => "contact",
        }
    }
}

/// An envelope after its signature was looked at.
#[derive(Debug, Clone)]
pub enum Checked {
    /// Its signature and operation hash hold.
    Verified(VerifiedEnvelope),
    /// The roster version that it names is not here.
    UnknownRoster(SignedEnvelope),
    /// The copy is worthless.
    Faulty(EnvelopeId, Fault),
}

/// One envelope of a message.
#[derive(Debug, Clone)]
pub struct ArrivedItem {
    /// How long ago it was written.
    pub age: Millis,
    /// The envelope.
    pub envelope: Checked,
    /// Small blobs that came along; their commitments hold.
    pub blobs: Vec<InlineBlob>,
    /// True if a blob's commitment did not hold; that blob is not in `blobs`.
    pub spoiled_blob: bool,
}

/// The envelopes of a `body` or an `answer`.
#[derive(Debug, Clone)]
pub struct ArrivedItems {
    /// The document that the message names.
    pub doc: DocId,
    /// True for an `answer`.
    pub answer: bool,
    /// The envelopes.
    pub items: Vec<ArrivedItem>,
}

/// A page of a proof after its signatures were looked at.
#[derive(Debug, Clone)]
pub struct ArrivedProof {
    /// The document that the message names.
    pub doc: DocId,
    /// Which page.
    pub page: u8,
    /// True for the last one.
    pub last: bool,
    /// The statements; none if one of them names a roster version that is not here.
    pub statements: Option<Vec<VerifiedStatement>>,
    /// The first statement that is worth nothing, and why.
    pub fault: Option<(EnvelopeId, Fault)>,
}

/// A message ready for [`super::Replica::handle`].
#[derive(Debug, Clone)]
pub enum Arrived {
    /// A `body` or an `answer`.
    Items(ArrivedItems),
    /// A `proof`.
    Proof(ArrivedProof),
    /// A `gone`, with its retire.
    Gone(DocId, Box<Checked>),
    /// Any other message.
    Plain(Message),
}

impl Arrived {
    /// Adds what did not parse of the message, so that whoever sent it is blamed.
    #[must_use]
    pub fn with_spoiled(mut self, spoiled: &[Spoiled]) -> Arrived {
        if let Arrived::Items(arrived) = &mut self {
            arrived.items.extend(spoiled.iter().map(|Spoiled(hash, _)| ArrivedItem {
                age: Millis(0),
                envelope: Checked::Faulty(EnvelopeId(*hash), Fault::Malformed),
                blobs: Vec::new(),
                spoiled_blob: false,
            }));
        }
        self
    }
    /// Verifies whatever is signed in a message. Costs one Ed25519 verification per envelope.
    #[must_use]
    pub fn check(message: Message, rosters: &RosterChain) -> Arrived {
        Self::check_by(message, rosters, &strictly)
    }

    /// As [`Arrived::check`], with the verdicts on the signatures from `verdicts`.
    pub(crate) fn check_by(message: Message, rosters: &RosterChain, verdicts: &Verdicts<'_>) -> Arrived {
        let answer = matches!(message, Message::Answer(_));
        match message {
            Message::Body(items) | Message::Answer(items) => {
                Arrived::Items(check_items(items, answer, rosters, verdicts))
            }
            Message::Gone(gone) => {
                let (doc, id) = (gone.doc, gone.retire.id());
                let retires = gone.retire.header().op_type == RETIRE;
                let checked = check_one(gone.retire, &doc, rosters, verdicts);
                let faulty = matches!(checked, Checked::Faulty(..));
                let none = Checked::Faulty(id, Fault::NoRetire);
                Arrived::Gone(doc, Box::new(if retires || faulty { checked } else { none }))
            }
            Message::Proof(page) => Arrived::Proof(check_proof(page, rosters, verdicts)),
            plain @ (Message::Welcome(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Contact(_)
            | Message::RosterWant(_)
            | Message::Roster(_)
            | Message::Have(_)
            | Message::Want(_)
            | Message::DigestRoot(_)
            | Message::DigestChildren(_)
            | Message::DigestLeaf(_)
            | Message::BlobWant(_)
            | Message::BlobPiece(_)
            | Message::BlobNone(_)) => Arrived::Plain(plain),
        }
    }
}

fn check_items(items: Items, answer: bool, rosters: &RosterChain, verdicts: &Verdicts<'_>) -> ArrivedItems {
    let Items { doc, items } = items;
    let (mut envelopes, mut blobs) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for item in items {
        let (named, count) = (&item.envelope.header().blobs, item.blobs.len());
        let kept = |blob: &InlineBlob| {
            commitment(&blob.salt, &blob.content) == blob.id && named.iter().any(|named| named.id == blob.id)
        };
        let kept: Vec<InlineBlob> = item.blobs.into_iter().filter(kept).collect();
        blobs.push((item.age, kept.len() < count, kept));
        envelopes.push(item.envelope);
    }
    let checked = check_all(envelopes, &doc, rosters, verdicts);
    let items = checked.into_iter().zip(blobs).map(|(envelope, (age, spoiled_blob, blobs))| ArrivedItem {
        age,
        envelope,
        blobs,
        spoiled_blob,
    });
    ArrivedItems { doc, answer, items: items.collect() }
}

fn check_proof(page: ProofPage, rosters: &RosterChain, verdicts: &Verdicts<'_>) -> ArrivedProof {
    let ProofPage { doc, page, last, statements } = page;
    let mut arrived = ArrivedProof { doc, page, last, statements: None, fault: None };
    let mut verified = Vec::with_capacity(statements.len());
    for statement in statements {
        let id = statement.id();
        if statement.header().doc != doc {
            arrived.fault = Some((id, Fault::OtherDocument));
            return arrived;
        }
        match statement.verify_by(rosters, verdicts) {
            Ok(statement) => verified.push(statement),
            Err(StatementError::UnknownRoster) => return arrived,
            Err(StatementError::Key) => arrived.fault = Some((id, Fault::UnknownKey)),
            Err(StatementError::BadSignature) => arrived.fault = Some((id, Fault::BadSignature)),
        }
        if arrived.fault.is_some() {
            return arrived;
        }
    }
    arrived.statements = Some(verified);
    arrived
}

pub(super) fn check_envelope(envelope: SignedEnvelope, doc: &DocId, rosters: &RosterChain) -> Checked {
    check_one(envelope, doc, rosters, &strictly)
}

fn check_one(
    envelope: SignedEnvelope,
    doc: &DocId,
    rosters: &RosterChain,
    verdicts: &Verdicts<'_>,
) -> Checked {
    let id = envelope.id();
    let checked = check_all(vec![envelope], doc, rosters, verdicts).pop();
    checked.unwrap_or(Checked::Faulty(id, Fault::BadSignature))
}

/// The verdict on each, in order. Signatures are verified together; one of another document is not looked at.
fn check_all(
    envelopes: Vec<SignedEnvelope>,
    doc: &DocId,
    rosters: &RosterChain,
    verdicts: &Verdicts<'_>,
) -> Vec<Checked> {
    let foreign = |envelope: &SignedEnvelope| envelope.header().doc != *doc;
    let seen: Vec<(EnvelopeId, bool)> = envelopes.iter().map(|one| (one.id(), foreign(one))).collect();
    let own: Vec<SignedEnvelope> = envelopes.into_iter().filter(|envelope| !foreign(envelope)).collect();
    let mut verified = verify_all(own, rosters, verdicts).into_iter();
    let checked = seen.into_iter().map(|(id, foreign)| {
        if foreign {
            return Checked::Faulty(id, Fault::OtherDocument);
        }
        match verified.next().unwrap_or(Err(VerifyError::BadSignature)) {
            Ok(verified) => Checked::Verified(verified),
            Err(VerifyError::UnknownRoster(envelope)) => Checked::UnknownRoster(envelope),
            Err(VerifyError::UnknownKey) => Checked::Faulty(id, Fault::UnknownKey),
            Err(VerifyError::BadSignature) => Checked::Faulty(id, Fault::BadSignature),
            Err(VerifyError::OperationHash) => Checked::Faulty(id, Fault::OperationHash),
        }
    });
    checked.collect()
}
