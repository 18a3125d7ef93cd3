//! The typed operations that an envelope carries, and their bytes.
//!
//! An operation holds codes, numbers, ids and cells only. Words, exact private points, photos and
//! videos are blobs, which the envelope names beside its operation.

use crate::ids::{BlobId, Cell, Code, DocId, EnvelopeId, MemberId, Millis, Nonce, Pseudonym};
use crate::kind::{Kind, Urgency};
use crate::limits::{INVOLVED_MAX, OPERATION_BYTES_MAX, SUMMARY_VALUES_MAX};
use crate::wire::{Reader, WireError, Writer};

mod values;

pub use values::{
    Class, ContributionKind, HandoffReason, Measure, Outcome, Point, ReopenReason, Response, Source, Step,
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
    /// A node's figures; opens its summary document of the day or adds to it.
    Summary(Summary),
}

/// Numbers of the operations on the wire. Those without a rule yet keep their place: rules version 1
/// rejects them.
pub mod op_type {
    /// `open`
    pub const OPEN: u16 = 1;
    /// `step`
    pub const STEP: u16 = 2;
    /// `invite`
    pub const INVITE: u16 = 5;
    /// `close`
    pub const CLOSE: u16 = 7;
    /// `reopen`
    pub const REOPEN: u16 = 8;
    /// `respond`
    pub const RESPOND: u16 = 11;
    /// `note`
    pub const NOTE: u16 = 12;
    /// `media`
    pub const MEDIA: u16 = 13;
    /// `contribution`
    pub const CONTRIBUTION: u16 = 14;
    /// `offer`
    pub const OFFER: u16 = 18;
    /// `accept`
    pub const ACCEPT: u16 = 19;
    /// `commit`
    pub const COMMIT: u16 = 20;
    /// `decline`
    pub const DECLINE: u16 = 21;
    /// `summary`
    pub const SUMMARY: u16 = 32;

    /// Name and number of every operation in the table; the ones without a rule in version 1 are kept
    /// for reclassify, relocate, refer and what follows.
    pub const TABLE: [(&str, u16, bool); 32] = [
        ("open", OPEN, true),
        ("step", STEP, true),
        ("reclassify", 3, false),
        ("relocate", 4, false),
        ("invite", INVITE, true),
        ("refer", 6, false),
        ("close", CLOSE, true),
        ("reopen", REOPEN, true),
        ("absorb", 9, false),
        ("answer referral", 10, false),
        ("respond", RESPOND, true),
        ("note", NOTE, true),
        ("media", MEDIA, true),
        ("contribution", CONTRIBUTION, true),
        ("dispute", 15, false),
        ("link", 16, false),
        ("unlink", 17, false),
        ("offer", OFFER, true),
        ("accept", ACCEPT, true),
        ("commit", COMMIT, true),
        ("decline", DECLINE, true),
        ("takeover offer", 22, false),
        ("takeover commit", 23, false),
        ("seal", 24, false),
        ("release", 25, false),
        ("redact", 26, false),
        ("erased", 27, false),
        ("retire", 28, false),
        ("notice open", 29, false),
        ("notice update", 30, false),
        ("notice cancel", 31, false),
        ("summary", SUMMARY, true),
    ];
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
        if let Operation::Commit { accept } = self {
            return vec![*accept];
        }
        self.answered_offer().into_iter().collect()
    }

    /// What may begin a document of its class.
    #[must_use]
    pub fn genesis_class(&self) -> Option<Class> {
        if matches!(self, Operation::Open(_)) {
            Some(Class::Incident)
        } else if matches!(self, Operation::Summary(_)) {
            Some(Class::Summary)
        } else {
            None
        }
    }

    /// Its bytes, as they are signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Operation::Open(open) => encode_open(&mut w, open),
            Operation::Summary(summary) => encode_summary(&mut w, summary),
            Operation::Step { step, by } => _ = w.u8(*step as u8).raw(&by.0),
            Operation::Invite { member } => _ = w.raw(&member.0),
            Operation::Close { outcome, by } => _ = w.u8(*outcome as u8).raw(&by.0),
            Operation::Reopen { reason, by } => _ = w.u8(*reason as u8).raw(&by.0),
            Operation::Respond { response, crew } => _ = w.u8(*response as u8).raw(&crew.0),
            Operation::Note { by } | Operation::Media { by } => _ = w.raw(&by.0),
            Operation::Contribution { what, by } => _ = w.u8(*what as u8).raw(&by.0),
            Operation::Offer { to, reason } => _ = w.raw(&to.0).u8(*reason as u8),
            Operation::Accept { offer } => _ = w.raw(&offer.0),
            Operation::Commit { accept } => _ = w.raw(&accept.0),
            Operation::Decline { offer, reason } => _ = w.raw(&offer.0).u8(*reason as u8),
        }
        w.into_bytes()
    }

    /// Parses the bytes of an operation of number `op_type`.
    pub fn decode(op_type: u16, bytes: &[u8]) -> Result<Operation, WireError> {
        if bytes.len() > OPERATION_BYTES_MAX {
            return Err(WireError::TooLong);
        }
        let mut r = Reader::new(bytes);
        let operation = match op_type {
            op_type::OPEN => Operation::Open(decode_open(&mut r)?),
            op_type::SUMMARY => Operation::Summary(decode_summary(&mut r)?),
            op_type::STEP => Operation::Step { step: Step::read(&mut r)?, by: pseudonym(&mut r)? },
            op_type::INVITE => Operation::Invite { member: r.member_id()? },
            op_type::CLOSE => Operation::Close { outcome: Outcome::read(&mut r)?, by: pseudonym(&mut r)? },
            op_type::REOPEN => {
                Operation::Reopen { reason: ReopenReason::read(&mut r)?, by: pseudonym(&mut r)? }
            }
            op_type::RESPOND => {
                Operation::Respond { response: Response::read(&mut r)?, crew: pseudonym(&mut r)? }
            }
            op_type::NOTE => Operation::Note { by: pseudonym(&mut r)? },
            op_type::MEDIA => Operation::Media { by: pseudonym(&mut r)? },
            op_type::CONTRIBUTION => {
                Operation::Contribution { what: ContributionKind::read(&mut r)?, by: pseudonym(&mut r)? }
            }
            op_type::OFFER => Operation::Offer { to: r.member_id()?, reason: HandoffReason::read(&mut r)? },
            op_type::ACCEPT => Operation::Accept { offer: r.envelope_id()? },
            op_type::COMMIT => Operation::Commit { accept: r.envelope_id()? },
            op_type::DECLINE => {
                Operation::Decline { offer: r.envelope_id()?, reason: HandoffReason::read(&mut r)? }
            }
            _ => return Err(WireError::Value),
        };
        r.end()?;
        Ok(operation)
    }
}

fn pseudonym(reader: &mut Reader<'_>) -> Result<Pseudonym, WireError> {
    Ok(Pseudonym(reader.array()?))
}

/// Every genesis starts with these, in every rules version, so that an older node can still ring.
fn encode_genesis(w: &mut Writer, class: Class, urgency: Urgency, code: Code, cell: Cell) {
    w.u8(class as u8).u8(urgency as u8).code(code).u64(cell.0);
}

fn encode_open(w: &mut Writer, open: &Open) {
    encode_genesis(w, Class::Incident, open.urgency, open.code, open.cell);
    w.u16(open.kind).u16(open.local_kind).raw(&open.nonce.0).u8(open.source as u8).u64(open.opened.0);
    w.raw(&open.offered_to.map_or([0; 32], |member| member.0));
    w.list(&open.involved, |w, member| _ = w.raw(&member.0));
    let point = open.point.unwrap_or(Point { lat_e7: 0, lon_e7: 0 });
    w.u8(u8::from(open.point.is_some())).raw(&point.lat_e7.to_be_bytes()).raw(&point.lon_e7.to_be_bytes());
}

fn decode_genesis(r: &mut Reader<'_>, class: Class) -> Result<(Urgency, Code, Cell), WireError> {
    if Class::read(r)? != class {
        return Err(WireError::Value);
    }
    Ok((Urgency::from_byte(r.u8()?).ok_or(WireError::Value)?, r.code()?, r.cell()?))
}

fn decode_open(r: &mut Reader<'_>) -> Result<Open, WireError> {
    let (urgency, code, cell) = decode_genesis(r, Class::Incident)?;
    let kind = r.u16()?;
    let known = Kind::by_number(kind).ok_or(WireError::Value)?;
    let local_kind = r.u16()?;
    let nonce = Nonce(r.array()?);
    let source = Source::read(r)?;
    let opened = Millis(r.integer()?);
    let offered = r.member_id()?;
    let involved = r.sorted(INVOLVED_MAX, Reader::member_id)?;
    let has_point = r.flag()?;
    let (lat_e7, lon_e7) = (i32::from_be_bytes(r.array()?), i32::from_be_bytes(r.array()?));
    let in_range =
        (-900_000_000..=900_000_000).contains(&lat_e7) && (-1_800_000_000..=1_800_000_000).contains(&lon_e7);
    let empty = lat_e7 == 0 && lon_e7 == 0;
    if !in_range || (!has_point && !empty) || (has_point && !known.place) {
        return Err(WireError::Value);
    }
    Ok(Open {
        urgency,
        code,
        cell,
        kind,
        local_kind,
        nonce,
        source,
        opened,
        offered_to: (offered.0 != [0; 32]).then_some(offered),
        involved,
        point: has_point.then_some(Point { lat_e7, lon_e7 }),
    })
}

fn encode_summary(w: &mut Writer, summary: &Summary) {
    encode_genesis(w, Class::Summary, Urgency::Low, summary.code, Cell(0));
    w.u32(summary.day).u32(summary.period);
    w.list(&summary.values, |w, value| _ = w.u8(value.measure as u8).u16(value.kind).u64(value.value));
}

fn decode_summary(r: &mut Reader<'_>) -> Result<Summary, WireError> {
    let (urgency, code, cell) = decode_genesis(r, Class::Summary)?;
    if urgency != Urgency::Low || cell != Cell(0) {
        return Err(WireError::Value);
    }
    let (day, period) = (r.u32()?, r.u32()?);
    if !(20_000_101..=99_991_231).contains(&day) || !(200_001..=999_912).contains(&period) {
        return Err(WireError::Value);
    }
    let values = r.list(SUMMARY_VALUES_MAX, |r| {
        Ok(SummaryValue { measure: Measure::read(r)?, kind: r.u16()?, value: r.integer()? })
    })?;
    if !values.is_sorted_by(|a, b| (a.measure, a.kind) < (b.measure, b.kind)) {
        return Err(WireError::Order);
    }
    Ok(Summary { code: summary_code(code)?, day, period, values })
}

fn summary_code(code: Code) -> Result<Code, WireError> {
    if code == Code::OUTSIDE { Err(WireError::Value) } else { Ok(code) }
}

/// The document and blob an id list may name; kept here so that every wire list has one reader.
pub(crate) fn read_blob_ref(r: &mut Reader<'_>) -> Result<(u8, BlobId), WireError> {
    Ok((r.u8()?, r.blob_id()?))
}

/// What a node one release behind can still read of a genesis: enough to ring.
pub fn peek_genesis(op_bytes: &[u8]) -> Result<(Class, Urgency, Code, Cell), WireError> {
    let mut r = Reader::new(op_bytes);
    let class = Class::read(&mut r)?;
    Ok((class, Urgency::from_byte(r.u8()?).ok_or(WireError::Value)?, r.code()?, r.cell()?))
}

/// A document's id, from the signed bytes of its genesis with the document's place zeroed.
#[must_use]
pub fn doc_id_of(genesis_sig_input: &[u8]) -> DocId {
    DocId(crate::ids::sha256(&[b"cuadra/doc/v1\0", genesis_sig_input]))
}
