//! Promises of this crate over arbitrary input: one function a target, which panics where a promise does
//! not hold. Property tests call them with chosen bytes, the fuzzers of `tests/fuzz` with found ones.
//! Never part of a node.

pub mod admission;
pub mod bytes;
pub mod graph;
pub mod replica;
pub mod roster;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::LazyLock;

pub use arbitrary::{Result, Unstructured};

use crate::fixture::{Federation, somebody};
use crate::ids::{BlobId, Cell, DocId, EnvelopeId, MemberId, Millis, Nonce, sha256};
use crate::kind::{Service, Urgency};
use crate::operation::{
    ContributionKind, Disputed, HandoffReason, Measure, Notice, NoticeMode, Operation, Outcome,
    ReferralAnswer, Relocate, ReopenReason, Response, Step, Summary, SummaryValue,
};

/// A promise over arbitrary input. An error is an input that is too short, and nothing else.
pub type Target = fn(&mut Unstructured<'_>) -> Result<()>;

/// Every target by its name, which is also its corpus's and its fuzzer's.
pub const TARGETS: [(&str, Target); 7] = [
    ("frames", bytes::frames),
    ("envelope", bytes::envelope),
    ("operations", bytes::operations),
    ("roster", roster::roster),
    ("replica", replica::replica),
    ("graph", graph::graph),
    ("admission", admission::admission),
];

/// Municipal nodes of the federation that targets play in; a precinct and a national node come on top.
pub const MUNICIPAL: usize = 4;

/// That federation, made once.
pub(crate) static FEDERATION: LazyLock<Federation> = LazyLock::new(|| Federation::new(MUNICIPAL));

/// Bytes that look random and follow from a seed: what a property test chooses from.
#[must_use]
pub fn bytes_of_seed(seed: u64, blocks: u64) -> Vec<u8> {
    (0..blocks).flat_map(|block| sha256(&[&seed.to_be_bytes(), &block.to_be_bytes()])).collect()
}

/// One operation of every number, ascending.
#[must_use]
pub fn one_of_each() -> Vec<Operation> {
    let federation = &*FEDERATION;
    let kind = crate::kind::Kind::by_name("sos").expect("the federation has it");
    let mut found = BTreeMap::from([(1, crate::fixture::open(crate::fixture::code(0), kind, &[], None, 1))]);
    for seed in 0..10_000 {
        let bytes = bytes_of_seed(seed, 4);
        let one = any_operation(&mut Unstructured::new(&bytes), &[EnvelopeId([7; 32])], &federation.members);
        if let Ok(operation) = one {
            found.entry(operation.op_type()).or_insert(operation);
        }
        if found.len() == crate::operation::op_type::TABLE.len() {
            break;
        }
    }
    found.into_values().collect()
}

/// Any operation, about these envelopes and these members.
pub(crate) fn any_operation(
    u: &mut Unstructured<'_>,
    envelopes: &[EnvelopeId],
    members: &[MemberId],
) -> Result<Operation> {
    let by = somebody(u.int_in_range(0..=2)?);
    let one = |u: &mut Unstructured<'_>| {
        Ok::<_, arbitrary::Error>(if envelopes.is_empty() {
            EnvelopeId([0; 32])
        } else {
            *u.choose(envelopes)?
        })
    };
    let member = *u.choose(members)?;
    let reason = *u.choose(HandoffReason::ALL)?;
    let blobs = vec![BlobId([u.int_in_range(1..=3)?; 32])];
    let elsewhere = DocId([u.int_in_range(1..=3)?; 32]);
    // Half of the time something that every involved node may say, so that chains grow and fork early.
    Ok(match u.int_in_range(0..=44)? {
        0 => Operation::Step { step: *u.choose(Step::ALL)?, by },
        1 => Operation::Note { by },
        2 => Operation::Invite { member },
        3 => Operation::Close { outcome: *u.choose(Outcome::ALL)?, by },
        4 => Operation::Reopen { reason: *u.choose(ReopenReason::ALL)?, by },
        5 => Operation::Accept { offer: one(u)? },
        6 => Operation::Commit { accept: one(u)? },
        7 => Operation::Decline { offer: one(u)?, reason },
        8 => Operation::TakeoverOffer { to: member },
        9 => Operation::TakeoverCommit { accept: one(u)? },
        10 => Operation::Seal { node: member, last: one(u)? },
        11 => Operation::Reclassify { kind: 12, local_kind: 0, urgency: Urgency::Low, by },
        12 => Operation::Refer { service: Service::Police, to: u.arbitrary::<bool>()?.then_some(member), by },
        13 => Operation::AnswerReferral { referral: one(u)?, answer: *u.choose(ReferralAnswer::ALL)?, by },
        14 => Operation::Absorb { document: elsewhere, by },
        15 => Operation::Link { target: elsewhere, by },
        16 => Operation::Unlink { target: elsewhere, by },
        17 => Operation::Release { blobs },
        18 => Operation::Redact { blobs },
        19 => Operation::Erased { blobs },
        20 => Operation::Retire,
        21 => any_place(u, member)?,
        22 => any_notice(u)?,
        23 => any_summary(u)?,
        24..=27 => Operation::Offer { to: member, reason },
        28..=31 => Operation::Media { by },
        32 => Operation::Dispute { what: *u.choose(Disputed::ALL)?, by },
        33 => Operation::Contribution { what: *u.choose(ContributionKind::ALL)?, by },
        _ => Operation::Respond { response: *u.choose(Response::ALL)?, crew: by },
    })
}

fn any_place(u: &mut Unstructured<'_>, involved: MemberId) -> Result<Operation> {
    let code = crate::fixture::code(u.int_in_range(0..=MUNICIPAL)?);
    let cell = Cell(u.arbitrary()?);
    Ok(Operation::Relocate(Relocate { code, cell, involved: vec![involved], point: None, by: somebody(0) }))
}

fn any_notice(u: &mut Unstructured<'_>) -> Result<Operation> {
    let notice = Notice {
        urgency: Urgency::High,
        code: crate::fixture::code(u.int_in_range(0..=1)?),
        nonce: Nonce([u.int_in_range(0..=1)?; 32]),
        mode: *u.choose(NoticeMode::ALL)?,
        opened: Millis(1),
        expires: Millis(u.int_in_range(2..=9)?),
        cells: Vec::new(),
    };
    Ok(match u.int_in_range(0..=2)? {
        0 => Operation::NoticeOpen(notice),
        1 => Operation::NoticeUpdate(notice),
        _ => Operation::NoticeCancel { by: somebody(0) },
    })
}

fn any_summary(u: &mut Unstructured<'_>) -> Result<Operation> {
    let value =
        SummaryValue { measure: *u.choose(Measure::ALL)?, kind: 0, value: u.int_in_range(0..=1 << 53)? };
    let code = crate::fixture::code(u.int_in_range(0..=1)?);
    Ok(Operation::Summary(Summary { code, day: 20_261_031, period: 202_610, values: vec![value] }))
}
