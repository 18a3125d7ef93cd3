//! Operations as bytes.

use super::op_type;
use super::*;
use crate::ids::{BlobId, Cell, Code, DocId, Millis, Nonce, Pseudonym};
use crate::kind::{Kind, Urgency};
use crate::limits::{
    BLOBS_NAMED_MAX, INVOLVED_MAX, NOTICE_CELLS_MAX, OPERATION_BYTES_MAX, SUMMARY_VALUES_MAX,
};
use crate::wire::{Reader, WireError, Writer};

impl Operation {
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
            Operation::Reclassify { kind, local_kind, urgency, by } => {
                _ = w.u16(*kind).u16(*local_kind).u8(*urgency as u8).raw(&by.0);
            }
            Operation::Relocate(relocate) => encode_relocate(&mut w, relocate),
            Operation::Refer { service, to, by } => {
                _ = w.u8(*service as u8).raw(&to.map_or([0; 32], |member| member.0)).raw(&by.0);
            }
            Operation::AnswerReferral { referral, answer, by } => {
                _ = w.raw(&referral.0).u8(*answer as u8).raw(&by.0);
            }
            Operation::Absorb { document, by } => _ = w.raw(&document.0).raw(&by.0),
            Operation::Dispute { what, by } => _ = w.u8(*what as u8).raw(&by.0),
            Operation::Link { target, by } | Operation::Unlink { target, by } => {
                _ = w.raw(&target.0).raw(&by.0);
            }
            Operation::TakeoverOffer { to } => _ = w.raw(&to.0),
            Operation::TakeoverCommit { accept } => _ = w.raw(&accept.0),
            Operation::Seal { node, last } => _ = w.raw(&node.0).raw(&last.0),
            Operation::Release { blobs } | Operation::Redact { blobs } | Operation::Erased { blobs } => {
                w.list(blobs, |w, blob| _ = w.raw(&blob.0));
            }
            Operation::Retire => {}
            Operation::NoticeOpen(notice) | Operation::NoticeUpdate(notice) => encode_notice(&mut w, notice),
            Operation::NoticeCancel { by } => _ = w.raw(&by.0),
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
            later => decode_later(later, &mut r)?,
        };
        r.end()?;
        Ok(operation)
    }
}

/// The operations that correct, refer, link, take over, erase and announce.
fn decode_later(op_type: u16, r: &mut Reader<'_>) -> Result<Operation, WireError> {
    Ok(match op_type {
        op_type::RECLASSIFY => Operation::Reclassify {
            kind: Kind::by_number(r.u16()?).ok_or(WireError::Value)?.number,
            local_kind: r.u16()?,
            urgency: Urgency::from_byte(r.u8()?).ok_or(WireError::Value)?,
            by: pseudonym(r)?,
        },
        op_type::RELOCATE => Operation::Relocate(decode_relocate(r)?),
        op_type::REFER => Operation::Refer {
            service: Service::from_byte(r.u8()?).ok_or(WireError::Value)?,
            to: somebody(r)?,
            by: pseudonym(r)?,
        },
        op_type::ANSWER_REFERRAL => Operation::AnswerReferral {
            referral: r.envelope_id()?,
            answer: ReferralAnswer::read(r)?,
            by: pseudonym(r)?,
        },
        op_type::ABSORB => Operation::Absorb { document: r.doc_id()?, by: pseudonym(r)? },
        op_type::DISPUTE => Operation::Dispute { what: Disputed::read(r)?, by: pseudonym(r)? },
        op_type::LINK => Operation::Link { target: r.doc_id()?, by: pseudonym(r)? },
        op_type::UNLINK => Operation::Unlink { target: r.doc_id()?, by: pseudonym(r)? },
        op_type::TAKEOVER_OFFER => Operation::TakeoverOffer { to: r.member_id()? },
        op_type::TAKEOVER_COMMIT => Operation::TakeoverCommit { accept: r.envelope_id()? },
        op_type::SEAL => Operation::Seal { node: r.member_id()?, last: r.envelope_id()? },
        op_type::RELEASE => Operation::Release { blobs: blobs(r)? },
        op_type::REDACT => Operation::Redact { blobs: blobs(r)? },
        op_type::ERASED => Operation::Erased { blobs: blobs(r)? },
        op_type::RETIRE => Operation::Retire,
        op_type::NOTICE_OPEN => Operation::NoticeOpen(decode_notice(r)?),
        op_type::NOTICE_UPDATE => Operation::NoticeUpdate(decode_notice(r)?),
        op_type::NOTICE_CANCEL => Operation::NoticeCancel { by: pseudonym(r)? },
        _ => return Err(WireError::Value),
    })
}

/// A member, or nobody where all is zero.
fn somebody(r: &mut Reader<'_>) -> Result<Option<MemberId>, WireError> {
    let member = r.member_id()?;
    Ok((member.0 != [0; 32]).then_some(member))
}

/// Commitments: at least one, sorted.
fn blobs(r: &mut Reader<'_>) -> Result<Vec<BlobId>, WireError> {
    let blobs = r.sorted(BLOBS_NAMED_MAX, Reader::blob_id)?;
    if blobs.is_empty() { Err(WireError::Short) } else { Ok(blobs) }
}

fn encode_point(w: &mut Writer, point: Option<Point>) {
    let written = point.unwrap_or(Point { lat_e7: 0, lon_e7: 0 });
    w.u8(u8::from(point.is_some())).raw(&written.lat_e7.to_be_bytes()).raw(&written.lon_e7.to_be_bytes());
}

fn decode_point(r: &mut Reader<'_>) -> Result<Option<Point>, WireError> {
    let has_point = r.flag()?;
    let (lat_e7, lon_e7) = (i32::from_be_bytes(r.array()?), i32::from_be_bytes(r.array()?));
    let in_range =
        (-900_000_000..=900_000_000).contains(&lat_e7) && (-1_800_000_000..=1_800_000_000).contains(&lon_e7);
    let empty = lat_e7 == 0 && lon_e7 == 0;
    if !in_range || (!has_point && !empty) {
        return Err(WireError::Value);
    }
    Ok(has_point.then_some(Point { lat_e7, lon_e7 }))
}

fn encode_relocate(w: &mut Writer, relocate: &Relocate) {
    w.code(relocate.code).u64(relocate.cell.0);
    w.list(&relocate.involved, |w, member| _ = w.raw(&member.0));
    encode_point(w, relocate.point);
    w.raw(&relocate.by.0);
}

fn decode_relocate(r: &mut Reader<'_>) -> Result<Relocate, WireError> {
    Ok(Relocate {
        code: r.code()?,
        cell: r.cell()?,
        involved: r.sorted(INVOLVED_MAX, Reader::member_id)?,
        point: decode_point(r)?,
        by: pseudonym(r)?,
    })
}

fn encode_notice(w: &mut Writer, notice: &Notice) {
    encode_genesis(w, Class::Notice, notice.urgency, notice.code, Cell(0));
    w.raw(&notice.nonce.0).u8(notice.mode as u8).u64(notice.opened.0).u64(notice.expires.0);
    w.list(&notice.cells, |w, cell| _ = w.u64(cell.0));
}

fn decode_notice(r: &mut Reader<'_>) -> Result<Notice, WireError> {
    let (urgency, code, cell) = decode_genesis(r, Class::Notice)?;
    let notice = Notice {
        urgency,
        code,
        nonce: Nonce(r.array()?),
        mode: NoticeMode::read(r)?,
        opened: Millis(r.integer()?),
        expires: Millis(r.integer()?),
        cells: r.sorted(NOTICE_CELLS_MAX, Reader::cell)?,
    };
    let sound = cell == Cell(0) && code != Code::OUTSIDE && notice.expires > notice.opened;
    if sound { Ok(notice) } else { Err(WireError::Value) }
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
    encode_point(w, open.point);
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
    let offered_to = somebody(r)?;
    let involved = r.sorted(INVOLVED_MAX, Reader::member_id)?;
    let point = decode_point(r)?;
    if point.is_some() && !known.place {
        return Err(WireError::Value);
    }
    Ok(Open { urgency, code, cell, kind, local_kind, nonce, source, opened, offered_to, involved, point })
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
