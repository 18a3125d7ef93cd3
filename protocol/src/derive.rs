//! The Automerge document of a document: every change is made here, from admitted operations, and is
//! the same at every node. No peer's bytes reach Automerge.
//!
//! One envelope, one change: actor = the first 16 bytes of its id, seq 1, dependencies = the changes of
//! its parents, start_op = 1 + the parents' highest, time 0, one map `entries[actor]` with the fields.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, AutoCommit, Change, ExpandedChange, ObjType, ScalarValue};

use crate::document::Document;
use crate::envelope::AdmittedEnvelope;
use crate::ids::EnvelopeId;
use crate::limits::AUTOMERGE_OPERATIONS_MAX;
use crate::operation::{Operation, Summary};

/// Why a document did not become an Automerge document. The log is untouched by this.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// An envelope's parent is not in the document.
    #[error("an envelope's parent is not in the document")]
    ParentMissing,
    /// Automerge did not take a derived change.
    #[error("Automerge did not take a derived change")]
    Automerge(#[source] automerge::AutomergeError),
}

/// Builds the whole Automerge document.
pub fn automerge(document: &Document) -> Result<AutoCommit, DeriveError> {
    let mut built = AutoCommit::new();
    built.apply_changes(changes(document)?).map_err(DeriveError::Automerge)?;
    Ok(built)
}

/// Heads of the Automerge document, as lowercase hex, sorted: equal on two nodes that hold the same.
pub fn heads(document: &Document) -> Result<Vec<String>, DeriveError> {
    let mut heads: Vec<String> = automerge(document)?.get_heads().iter().map(ToString::to_string).collect();
    heads.sort_unstable();
    Ok(heads)
}

/// The changes, parents before children.
pub fn changes(document: &Document) -> Result<Vec<Change>, DeriveError> {
    let mut made: BTreeMap<EnvelopeId, usize> = BTreeMap::new();
    let mut list: Vec<Change> = Vec::with_capacity(document.len());
    let Some(genesis) = document.genesis() else { return Ok(list) };
    let entries = OpId::new(1, &actor(&genesis.id()));
    for envelope in document.envelopes() {
        let mut parents = Vec::new();
        for parent in &envelope.header().parents {
            let change = made.get(parent).and_then(|place| list.get(*place));
            parents.push(change.ok_or(DeriveError::ParentMissing)?);
        }
        let change = change_of(envelope, &parents, &entries);
        made.insert(envelope.id(), list.len());
        list.push(change);
    }
    Ok(list)
}

fn actor(id: &EnvelopeId) -> ActorId {
    ActorId::from(id.0.get(..16).unwrap_or_default())
}

fn change_of(envelope: &AdmittedEnvelope, parents: &[&Change], entries: &OpId) -> Change {
    let actor = actor(&envelope.id());
    let start = 1 + parents.iter().map(|parent| parent.max_op()).max().unwrap_or(0);
    let mut operations = Vec::new();
    if parents.is_empty() {
        operations.push(operation(OpType::Make(ObjType::Map), ObjectId::Root, "entries".into()));
    }
    let entry = OpId::new(start + u64::from(parents.is_empty()), &actor);
    operations.push(operation(
        OpType::Make(ObjType::Map),
        ObjectId::Id(entries.clone()),
        actor.to_hex_string(),
    ));
    for (key, value) in fields(envelope) {
        operations.push(operation(OpType::Put(value), ObjectId::Id(entry.clone()), key.to_owned()));
    }
    operations.truncate(AUTOMERGE_OPERATIONS_MAX);
    ExpandedChange {
        operations,
        actor_id: actor,
        hash: None,
        seq: 1,
        start_op: NonZeroU64::new(start).unwrap_or(NonZeroU64::MIN),
        time: 0,
        message: None,
        deps: parents.iter().map(|parent| parent.hash()).collect(),
        extra_bytes: Vec::new(),
        author: None,
    }
    .into()
}

fn operation(action: OpType, obj: ObjectId, key: String) -> Op {
    Op { action, obj, key: Key::Map(key.into()), pred: std::iter::empty::<OpId>().collect(), insert: false }
}

fn text(value: impl ToString) -> ScalarValue {
    ScalarValue::Str(value.to_string().into())
}

fn number(value: u64) -> ScalarValue {
    ScalarValue::Uint(value)
}

/// The fields of an entry: who, when, what. Their order and types are part of the rules version.
fn fields(envelope: &AdmittedEnvelope) -> Vec<(&'static str, ScalarValue)> {
    let header = envelope.header();
    let mut list = vec![
        ("what", text(envelope.operation().name())),
        ("author", text(header.author)),
        ("seq", number(u64::from(header.seq.0))),
        ("incarnation", text(format!("{:016x}", header.incarnation.0))),
        ("written_at", number(header.written_at.0)),
    ];
    if !header.blobs.is_empty() {
        let blobs: Vec<String> = header.blobs.iter().map(|blob| blob.id.to_string()).collect();
        list.push(("blobs", text(blobs.join(" "))));
    }
    match envelope.operation() {
        Operation::Open(open) => {
            list.push(("kind", number(u64::from(open.kind))));
            list.push(("urgency", number(open.urgency as u64)));
            list.push(("code", text(open.code)));
            list.push(("cell", text(format!("{:x}", open.cell.0))));
            list.push(("source", number(open.source as u64)));
            list.push(("opened", number(open.opened.0)));
            list.extend(open.offered_to.map(|member| ("offered_to", text(member))));
        }
        Operation::Step { step, by } => list.extend([("step", number(*step as u64)), ("by", text(by))]),
        Operation::Invite { member } => list.push(("member", text(member))),
        Operation::Close { outcome, by } => {
            list.extend([("outcome", number(*outcome as u64)), ("by", text(by))]);
        }
        Operation::Reopen { reason, by } => {
            list.extend([("reason", number(*reason as u64)), ("by", text(by))])
        }
        Operation::Respond { response, crew } => {
            list.extend([("response", number(*response as u64)), ("crew", text(crew))]);
        }
        Operation::Note { by } | Operation::Media { by } => list.push(("by", text(by))),
        Operation::Contribution { what, by } => {
            list.extend([("contribution", number(*what as u64)), ("by", text(by))]);
        }
        Operation::Offer { to, reason } => {
            list.extend([("to", text(to)), ("reason", number(*reason as u64))]);
        }
        Operation::Accept { offer } => list.push(("offer", text(offer))),
        Operation::Commit { accept } => list.push(("accept", text(accept))),
        Operation::Decline { offer, reason } => {
            list.extend([("offer", text(offer)), ("reason", number(*reason as u64))]);
        }
        Operation::Summary(summary) => list.extend(summary_fields(summary)),
        Operation::Reclassify { .. }
        | Operation::Relocate(_)
        | Operation::Refer { .. }
        | Operation::AnswerReferral { .. }
        | Operation::Absorb { .. }
        | Operation::Dispute { .. }
        | Operation::Link { .. }
        | Operation::Unlink { .. }
        | Operation::TakeoverOffer { .. }
        | Operation::TakeoverCommit { .. }
        | Operation::Seal { .. }
        | Operation::Release { .. }
        | Operation::Redact { .. }
        | Operation::Erased { .. }
        | Operation::Retire
        | Operation::NoticeOpen(_)
        | Operation::NoticeUpdate(_)
        | Operation::NoticeCancel { .. } => {
            // Said in one field, as it is signed: views read these through the fold.
            list.push(("says", ScalarValue::Bytes(envelope.operation().encode())));
        }
    }
    list
}

/// Figures go into one text each document, so that an entry stays within its operations.
fn summary_fields(summary: &Summary) -> [(&'static str, ScalarValue); 4] {
    let values: Vec<String> = summary
        .values
        .iter()
        .map(|value| format!("{}:{}={}", value.measure as u8, value.kind, value.value))
        .collect();
    [
        ("code", text(summary.code)),
        ("day", number(u64::from(summary.day))),
        ("period", number(u64::from(summary.period))),
        ("values", text(values.join(" "))),
    ]
}
