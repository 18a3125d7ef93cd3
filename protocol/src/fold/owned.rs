//! Fields that the owners of a document decide, each owner while it was that, and erasure, which
//! authors and holders decide.

use std::collections::{BTreeMap, BTreeSet};

use super::{Chains, Matter, Referral};
use crate::envelope::AdmittedEnvelope;
use crate::ids::{BlobId, DocId, EnvelopeId, MemberId};
use crate::operation::{Notice, Operation};

type Reigns<'a> = [Vec<&'a AdmittedEnvelope>];

/// What the owners wrote, oldest first.
fn wrote<'a>(reigns: &'a Reigns<'a>) -> impl Iterator<Item = &'a AdmittedEnvelope> {
    reigns.iter().flatten().copied()
}

/// What the owners said, oldest first.
fn said<'a>(reigns: &'a Reigns<'a>) -> impl Iterator<Item = &'a Operation> {
    wrote(reigns).map(AdmittedEnvelope::operation)
}

pub(super) fn matter(genesis: &AdmittedEnvelope, reigns: &Reigns<'_>) -> Option<Matter> {
    let Operation::Open(open) = genesis.operation() else { return None };
    let mut matter = Matter {
        kind: open.kind,
        local_kind: open.local_kind,
        urgency: open.urgency,
        code: open.code,
        cell: open.cell,
        point: open.point,
        relocated: None,
    };
    for envelope in wrote(reigns) {
        if let Operation::Reclassify { kind, local_kind, urgency, .. } = envelope.operation() {
            matter = Matter { kind: *kind, local_kind: *local_kind, urgency: *urgency, ..matter };
        } else if let Operation::Relocate(place) = envelope.operation() {
            // One that says the same place again, to bring further nodes in, moves nothing.
            let same = (place.code, place.cell) == (matter.code, matter.cell);
            let stays = same && envelope.header().blobs.is_empty();
            let relocated = if stays { matter.relocated } else { Some(envelope.id()) };
            matter = Matter { code: place.code, cell: place.cell, point: place.point, relocated, ..matter };
        }
    }
    Some(matter)
}

pub(super) fn referrals(reigns: &Reigns<'_>, chains: &Chains<'_>) -> BTreeMap<EnvelopeId, Referral> {
    let mut referrals = BTreeMap::new();
    for envelope in reigns.iter().flatten() {
        if let Operation::Refer { service, to, .. } = envelope.operation() {
            referrals.insert(envelope.id(), Referral { service: *service, to: *to, answer: None });
        }
    }
    // Admission lets each be answered once, by one member; a fork of that member is cut off its chain.
    for envelope in chains.all() {
        if let Operation::AnswerReferral { referral, answer, .. } = envelope.operation()
            && let Some(asked) = referrals.get_mut(referral)
        {
            asked.answer = asked.answer.or(Some(*answer));
        }
    }
    referrals
}

pub(super) fn links(reigns: &Reigns<'_>) -> BTreeSet<DocId> {
    let mut links = BTreeSet::new();
    for operation in said(reigns) {
        if let Operation::Link { target, .. } = operation {
            links.insert(*target);
        } else if let Operation::Unlink { target, .. } = operation {
            links.remove(target);
        }
    }
    links
}

pub(super) fn absorbed(reigns: &Reigns<'_>) -> BTreeSet<DocId> {
    let absorbed = said(reigns).filter_map(|operation| {
        if let Operation::Absorb { document, .. } = operation { Some(*document) } else { None }
    });
    absorbed.collect()
}

pub(super) fn released(reigns: &Reigns<'_>) -> BTreeSet<BlobId> {
    let released = said(reigns).filter_map(|operation| {
        if let Operation::Release { blobs } = operation { Some(blobs) } else { None }
    });
    released.flatten().copied().collect()
}

pub(super) fn redacted(chains: &Chains<'_>) -> BTreeMap<BlobId, BTreeSet<MemberId>> {
    let mut redacted: BTreeMap<BlobId, BTreeSet<MemberId>> = BTreeMap::new();
    for envelope in chains.all() {
        if let Operation::Redact { blobs } = envelope.operation() {
            for blob in blobs {
                redacted.entry(*blob).or_default();
            }
        }
    }
    for envelope in chains.all() {
        if let Operation::Erased { blobs } = envelope.operation() {
            for blob in blobs {
                redacted.entry(*blob).or_default().insert(envelope.header().author);
            }
        }
    }
    redacted
}

/// The author's last word, and whether it took the message back.
pub(super) fn notice(genesis: &AdmittedEnvelope, chains: &Chains<'_>) -> Option<(Notice, bool)> {
    let Operation::NoticeOpen(first) = genesis.operation() else { return None };
    let mut says = (first.clone(), false);
    for (_, envelope) in chains.of_author(&genesis.header().author) {
        if let Operation::NoticeUpdate(notice) = envelope.operation() {
            says = (notice.clone(), says.1);
        } else if let Operation::NoticeCancel { .. } = envelope.operation() {
            says.1 = true;
        }
    }
    Some(says)
}
