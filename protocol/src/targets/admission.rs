//! Whatever a member with a good key signs gets one verdict, in every order of arrival.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::Signer as _;

use super::graph::grow;
use super::{FEDERATION, MUNICIPAL, Result, Unstructured, any_operation};
use crate::admission::{Ground, Refusal, Verdict, admit};
use crate::document::Document;
use crate::envelope::{AdmittedEnvelope, BlobClass, BlobRef, Header, SignedEnvelope, VerifiedEnvelope};
use crate::ids::{BlobId, DocId, EnvelopeId, Incarnation, Millis, Seq, sha256};
use crate::limits::SEQ_MAX;

/// What became of a pile of envelopes.
#[derive(Debug, PartialEq, Eq)]
pub struct Judged {
    /// The admitted ones.
    pub admitted: BTreeSet<EnvelopeId>,
    /// The rejected ones, each with its rule.
    pub rejected: BTreeMap<EnvelopeId, Refusal>,
    /// Written under rules that this release does not know.
    pub held: BTreeSet<EnvelopeId>,
    /// Those that name something that never came.
    pub parked: BTreeSet<EnvelopeId>,
}

/// The target of this file's name.
pub fn admission(u: &mut Unstructured<'_>) -> Result<()> {
    judge_in_two_orders(u).map(|_| ())
}

/// Grows a graph, adds what no honest writer would write, and judges all of it in two orders.
pub fn judge_in_two_orders(u: &mut Unstructured<'_>) -> Result<Judged> {
    let document = grow(u, &FEDERATION, 12)?;
    let mut pile: Vec<SignedEnvelope> = document.held().map(|e| e.signed().clone()).collect();
    for _ in 0..u.int_in_range(1..=10)? {
        let forged = forge(u, &pile)?;
        pile.push(forged);
    }
    let doc = document.id();
    let (first, document) = judge_all(doc, pile.clone());
    for place in (1..pile.len()).rev() {
        pile.swap(place, u.choose_index(place + 1)?);
    }
    let (second, again) = judge_all(doc, pile);
    assert_eq!(first, second, "the order of arrival changed a verdict");
    assert_eq!(document.fingerprint(), again.fingerprint());
    Ok(first)
}

/// Anything that a member can sign: a header made up from what is there, and any operation.
fn forge(u: &mut Unstructured<'_>, pile: &[SignedEnvelope]) -> Result<SignedEnvelope> {
    let federation = &*FEDERATION;
    let ids: Vec<EnvelopeId> = pile.iter().map(SignedEnvelope::id).collect();
    let like = u.choose(pile)?.header().clone();
    let hand = federation.hand(u.int_in_range(0..=MUNICIPAL + 1)?);
    let mut parents: Vec<EnvelopeId> = Vec::new();
    for _ in 0..u.int_in_range(0..=3)? {
        parents.push(if u.ratio(1, 20)? { EnvelopeId([9; 32]) } else { *u.choose(&ids)? });
    }
    // Mostly a place on its own chain that fits, so that the deeper rules are met too.
    let prev = pile.iter().rfind(|e| e.header().author == hand.member);
    let prev = if u.ratio(2, 3)? { prev } else { None };
    parents.extend(prev.map(SignedEnvelope::id));
    parents.sort_unstable();
    parents.dedup();
    let prev_at = prev.and_then(|prev| parents.iter().position(|parent| *parent == prev.id()));
    let operation = any_operation(u, &ids, &federation.members)?;
    let op_bytes = operation.encode();
    let mut header = Header {
        author: hand.member,
        key_index: hand.key_index,
        incarnation: if u.ratio(1, 8)? {
            Incarnation::new(u.int_in_range(0..=2)?, 7)
        } else {
            hand.incarnation
        },
        seq: match prev {
            Some(prev) => Seq(prev.header().seq.0.saturating_add(1)),
            None if u.ratio(1, 20)? => Seq(SEQ_MAX + 1),
            None => Seq(u.int_in_range(1..=5)?),
        },
        prev_at: match prev_at {
            Some(place) => u8::try_from(place + 1).unwrap_or(0),
            None => u8::try_from(u.int_in_range(0..=parents.len())?).unwrap_or(0),
        },
        parents,
        op_type: operation.op_type(),
        op_len: u32::try_from(op_bytes.len()).unwrap_or(0),
        op_hash: sha256(&[&op_bytes]),
        blobs: Vec::new(),
        written_at: Millis(u.arbitrary()?),
        ..like
    };
    if u.ratio(1, 4)? {
        let class = if u.arbitrary()? { BlobClass::Shared } else { BlobClass::Responders };
        header.blobs.push(BlobRef { class, id: BlobId([u.int_in_range(1..=3)?; 32]) });
    }
    if u.ratio(1, 20)? {
        header.rules_version = u.int_in_range(0..=3)?;
    }
    if header.parents.is_empty() && u.arbitrary()? {
        header.doc = header.genesis_doc_id();
    }
    let signature = hand.key.sign(&header.sig_input()).to_bytes().to_vec();
    Ok(SignedEnvelope::assemble(header, &op_bytes, &signature))
}

/// Judges again and again what waits, as a replica does, until nothing more can be judged.
fn judge_all(doc: Option<DocId>, pile: Vec<SignedEnvelope>) -> (Judged, Document) {
    let rosters = &FEDERATION.rosters;
    let mut document = Document::default();
    let mut judged = Judged {
        admitted: BTreeSet::new(),
        rejected: BTreeMap::new(),
        held: BTreeSet::new(),
        parked: BTreeSet::new(),
    };
    // A frame is of one document; what says another is dropped before it comes here.
    let mut waiting: Vec<_> = pile.into_iter().filter(|e| Some(e.header().doc) == doc).collect();
    loop {
        let before = waiting.len();
        let mut left = Vec::new();
        judged.held.clear();
        for signed in waiting {
            let rejected = |id: &EnvelopeId| judged.rejected.contains_key(id);
            let held = (!document.is_empty()).then_some(&document);
            let ground = Ground {
                rosters,
                document: held,
                rules: crate::envelope::RULES_VERSION,
                rejected: &rejected,
            };
            match admit(VerifiedEnvelope::just_signed(signed.clone()), &ground) {
                Verdict::Admitted(envelope) => take(&mut judged, &mut document, envelope),
                Verdict::Rejected(refusal) => _ = judged.rejected.insert(signed.id(), refusal),
                // Held is no verdict: once the genesis is here, it is judged by the genesis's rules.
                Verdict::Held => {
                    judged.held.insert(signed.id());
                    left.push(signed);
                }
                Verdict::Parked(_) => left.push(signed),
            }
        }
        waiting = left;
        if waiting.len() == before {
            break;
        }
    }
    judged.parked = waiting.iter().map(SignedEnvelope::id).filter(|id| !judged.held.contains(id)).collect();
    (judged, document)
}

fn take(judged: &mut Judged, document: &mut Document, envelope: AdmittedEnvelope) {
    judged.admitted.insert(envelope.id());
    document.insert(envelope).expect("admission found its parents here");
}
