//! A replica that is told anything by anybody: it never panics, never sends what is not on its disk or
//! not the receiver's, and keeps within its bounds.

use std::sync::LazyLock;

use super::{FEDERATION, MUNICIPAL, Result, Unstructured};
use crate::audience::Audience;
use crate::envelope::{AdmittedEnvelope, SignedEnvelope};
use crate::fixture::{Scribe, somebody};
use crate::ids::{DocId, EnvelopeId, MemberId, Millis};
use crate::limits::{PARKED_BYTES_MAX, PARKED_PER_DOCUMENT_MAX};
use crate::message::{BlobWant, Have, Item, Items, Lane, Message, Want};
use crate::operation::{Operation, Step};
use crate::replica::{Arrived, Input, Output, Replica, Shelf};
use crate::sim::disk::Disk;

/// The member whose replica is tried.
const ME: usize = 1;
/// Documents of others and of its own that it hears of.
const DOCUMENTS: usize = 3;

/// Documents that are talked about: one of its own, two that involve it; one of them is a stranger's
/// until its last envelope invites it.
static DOCS: LazyLock<Vec<Vec<AdmittedEnvelope>>> = LazyLock::new(|| {
    (0..DOCUMENTS)
        .map(|home| {
            let mut scribe = Scribe::new(&FEDERATION);
            let involved = if home == 2 { 3 } else { (home + 1) % 3 };
            let mut all = vec![scribe.open(home, &[involved])];
            let step = || Operation::Step { step: Step::Called, by: somebody(1) };
            all.extend((0..3).filter_map(|_| scribe.write(home, step()).ok()));
            all.extend(scribe.write(home, Operation::Invite { member: FEDERATION.id(0) }).ok());
            all.extend(scribe.write(home, Operation::Invite { member: FEDERATION.id(ME) }).ok());
            all
        })
        .collect()
});

struct Stage {
    replica: Replica,
    disk: Disk,
    now: Millis,
}

/// The target of this file's name.
pub fn replica(u: &mut Unstructured<'_>) -> Result<()> {
    let rosters = FEDERATION.rosters.clone();
    let me = FEDERATION.id(ME);
    let mut stage = Stage {
        replica: Replica::new(me, rosters.clone()),
        disk: Disk::new(me, rosters),
        now: Millis(1_000_000),
    };
    for _ in 0..u.int_in_range(1..=40)? {
        let input = any_input(u)?;
        stage.now = stage.now.plus(Millis(u.int_in_range(0..=20_000)?));
        // Sometimes the disk is slow: what was asked for is carried out later, or never.
        let carries_out = u.ratio(3, 4)?;
        stage.hand(input, carries_out);
    }
    Ok(())
}

impl Stage {
    fn hand(&mut self, input: Input, carries_out: bool) {
        self.replica.handle(self.now, input, &self.disk);
        let outputs: Vec<Output> = std::iter::from_fn(|| self.replica.poll_output()).collect();
        let (parked, bytes) = self.replica.parked();
        assert!(
            parked <= DOCUMENTS * PARKED_PER_DOCUMENT_MAX && bytes <= PARKED_BYTES_MAX,
            "too much is parked"
        );
        for output in outputs {
            if let Output::Send { peer, message, .. } = &output {
                self.check_sent(peer, message);
            }
            if carries_out {
                self.carry_out(output);
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        if let Output::Store { doc, envelopes, blobs, proofs, .. } = output {
            self.disk.store(self.now, doc, &envelopes, blobs);
            self.disk.keep_proofs(self.now, doc, proofs);
            self.hand(Input::Stored { doc }, true);
        } else if let Output::RecordRefusal { id, refusal, .. } = output {
            self.disk.refused.insert(id, refusal);
        } else if let Output::ClearDue { peer, doc, at } = output {
            self.disk.clear_due(peer, doc, at);
        } else if let Output::SetDue { peer, docs } = output {
            docs.into_iter().for_each(|doc| self.disk.set_due(self.now, peer, doc));
        }
    }

    /// Only what is on the disk is told, and only to those whom it is for.
    fn check_sent(&self, peer: &MemberId, message: &Message) {
        let (doc, ids): (DocId, Vec<EnvelopeId>) = if let Message::Have(have) = message {
            (have.doc, have.heads.clone())
        } else if let Message::Body(items) | Message::Answer(items) = message {
            (items.doc, items.items.iter().map(|item| item.envelope.id()).collect())
        } else {
            return;
        };
        if ids.is_empty() {
            return;
        }
        let document = self.disk.document(&doc).expect("a replica tells of what is on its disk");
        let stored = |id: &EnvelopeId| document.contains(id) || document.proof(id).is_some();
        assert!(ids.iter().all(stored), "it told of an envelope that is not stored");
        let audience = Audience::of(&document, &FEDERATION.rosters);
        assert!(audience.entitled(peer), "it told somebody whom the document is not for");
    }
}

fn some(u: &mut Unstructured<'_>, doc: &[AdmittedEnvelope]) -> Result<Vec<AdmittedEnvelope>> {
    let mut chosen = Vec::new();
    for envelope in doc {
        if u.ratio(1, 2)? {
            chosen.push(envelope.clone());
        }
    }
    Ok(chosen)
}

fn any_input(u: &mut Unstructured<'_>) -> Result<Input> {
    let doc = u.choose(&DOCS)?;
    let id = doc.first().map_or(DocId([0; 32]), |genesis| genesis.header().doc);
    let peer = FEDERATION.id(u.int_in_range(0..=MUNICIPAL + 1)?);
    Ok(match u.int_in_range(0..=11)? {
        0 | 1 => Input::Connected { peer, roster_version: u.int_in_range(0..=3)? },
        2 => Input::Disconnected { peer },
        3 => Input::Stored { doc: id },
        4 => Input::StoreFailed { doc: id },
        5 => Input::Tick,
        _ => {
            let message = any_message(u, id, doc)?;
            let lane = *u.choose(&Lane::ALL)?;
            Input::Arrived { peer, lane, message: Arrived::check(message, &FEDERATION.rosters) }
        }
    })
}

fn any_message(u: &mut Unstructured<'_>, id: DocId, doc: &[AdmittedEnvelope]) -> Result<Message> {
    let ids = |u: &mut Unstructured<'_>| {
        let mut ids: Vec<_> = some(u, doc)?.iter().map(AdmittedEnvelope::id).collect();
        if u.ratio(1, 8)? {
            ids.push(EnvelopeId([u.arbitrary()?; 32]));
        }
        ids.sort_unstable();
        Ok::<_, arbitrary::Error>(ids)
    };
    Ok(match u.int_in_range(0..=8)? {
        0..=2 => {
            let mut items = Vec::new();
            for envelope in some(u, doc)? {
                items.push(Item {
                    age: Millis(u.int_in_range(0..=9_000)?),
                    envelope: copy(u, &envelope)?,
                    blobs: Vec::new(),
                });
            }
            // A frame may say another document than its envelopes do.
            let doc = if u.ratio(1, 8)? { DocId([1; 32]) } else { id };
            let items = Items { doc, items };
            if u.arbitrary()? { Message::Body(items) } else { Message::Answer(items) }
        }
        3 | 4 => {
            let (asks, last) = (u.arbitrary()?, u.ratio(7, 8)?);
            Message::Have(Have { doc: id, page: u.int_in_range(0..=1)?, last, asks, heads: ids(u)? })
        }
        5 | 6 => Message::Want(Want { doc: id, ids: ids(u)?, held: ids(u)? }),
        7 => Message::BlobWant(BlobWant { doc: id, blob: crate::ids::BlobId([1; 32]), from_piece: 0 }),
        _ => {
            let length = u.int_in_range(0..=u.len().min(300))?;
            Message::decode(u.bytes(length)?).unwrap_or(Message::RosterWant(0))
        }
    })
}

/// A copy of an envelope, now and then a spoiled one.
fn copy(u: &mut Unstructured<'_>, envelope: &AdmittedEnvelope) -> Result<SignedEnvelope> {
    let mut bytes = envelope.bytes().to_vec();
    if u.ratio(1, 6)? {
        let at = u.choose_index(bytes.len())?;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
    }
    Ok(SignedEnvelope::decode(&bytes).unwrap_or_else(|_| envelope.signed().clone()))
}
