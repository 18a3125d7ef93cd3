//! One replica under test: it is handed messages of made-up peers, and says what it would do.

use std::sync::Arc;

use super::{Arrived, Input, Output, Replica, Shelf};
use crate::author::{Draft, Hand};
use crate::envelope::{AdmittedEnvelope, BlobClass, BlobRef};
use crate::fixture::{Federation, Scribe, code, open, somebody};
use crate::ids::{DocId, EnvelopeId, MemberId, Millis, commitment};
use crate::kind::Kind;
use crate::message::{Have, InlineBlob, Item, Items, Lane, Message, Want};
use crate::operation::{Operation, Step};
use crate::sim::disk::Disk;

/// A replica of one member, its disk, and the time.
pub struct Bench {
    pub federation: Arc<Federation>,
    pub replica: Replica,
    pub disk: Disk,
    pub now: Millis,
}

/// A message that the replica sent.
pub type Sent = (MemberId, Lane, Message);

impl Bench {
    /// The replica of member `n`.
    pub fn new(federation: &Arc<Federation>, n: usize) -> Bench {
        let (me, rosters) = (federation.id(n), federation.rosters.clone());
        let replica = Replica::new(me, rosters.clone());
        Bench {
            federation: Arc::clone(federation),
            replica,
            disk: Disk::new(me, rosters),
            now: Millis(1_000_000),
        }
    }

    pub fn id(&self, n: usize) -> MemberId {
        self.federation.id(n)
    }

    /// Hands in one input; carries nothing out.
    pub fn hand(&mut self, input: Input) -> Vec<Output> {
        self.replica.handle(self.now, input, &self.disk);
        std::iter::from_fn(|| self.replica.poll_output()).collect()
    }

    /// Hands in one input and does what a node would do with the outputs, until there are none; gives
    /// what was sent.
    pub fn settle(&mut self, input: Input) -> Vec<Sent> {
        let outputs = self.hand(input);
        self.carry_out(outputs)
    }

    pub fn carry_out(&mut self, outputs: Vec<Output>) -> Vec<Sent> {
        let mut sent = Vec::new();
        for output in outputs {
            match output {
                Output::Send { peer, lane, message } => sent.push((peer, lane, message)),
                Output::Store { doc, envelopes, blobs, proofs, .. } => {
                    self.disk.store(self.now, doc, &envelopes, blobs);
                    self.disk.keep_proofs(self.now, doc, proofs);
                    sent.extend(self.settle(Input::Stored { doc }));
                }
                Output::RecordRefusal { id, refusal, .. } => {
                    self.disk.refused.insert(id, refusal);
                    self.disk.kept.let_go(|held| *held == id);
                }
                Output::Hold(held) => self.disk.kept.hold(self.now, held),
                Output::LetGo { ids } => self.disk.kept.let_go(|held| ids.contains(held)),
                Output::NoteGone { peer, doc, retired } => self.disk.note_gone(peer, doc, retired),
                Output::NoteHolder { peer, doc } => self.disk.note_holder(peer, doc),
                Output::ForgetGone { peer, doc } => self.disk.forget_gone(peer, doc),
                Output::ClearDue { peer, doc, at } => self.disk.clear_due(peer, doc, at),
                Output::SetDue { peer, docs } => {
                    docs.into_iter().for_each(|doc| self.disk.set_due(self.now, peer, doc));
                }
                Output::Unlock { doc } => self.disk.unlock(&doc),
                Output::UnlockShared { peer } => self.disk.unlock_shared(&peer),
                Output::Blame { .. }
                | Output::InStep { .. }
                | Output::ForgetDigest { .. }
                | Output::FetchBlob { .. }
                | Output::ServeBlob { .. }
                | Output::OfferRoster { .. }
                | Output::StoreContact(_)
                | Output::AutoCommit { .. }
                | Output::Raise { .. }
                | Output::Twin { .. }
                | Output::Disconnect { .. } => {}
            }
        }
        sent
    }

    /// Connects member `n` and gives what was sent, the opening digest left out.
    pub fn connect(&mut self, n: usize) -> Vec<Sent> {
        let input = Input::Connected { peer: self.id(n), roster_version: 1 };
        without_standing(self.settle(input))
    }

    /// A message of member `n`.
    pub fn message(&self, n: usize, message: Message) -> Input {
        let message = Arrived::check(message, &self.federation.rosters);
        Input::Arrived { peer: self.id(n), lane: Lane::Urgent, message }
    }

    /// Member `n` says something, and everything that follows is done.
    pub fn say(&mut self, n: usize, message: Message) -> Vec<Sent> {
        let input = self.message(n, message);
        self.settle(input)
    }

    /// Time passes.
    pub fn pass(&mut self, ms: u64) -> Vec<Sent> {
        self.now = self.now.plus(Millis(ms));
        self.settle(Input::Tick)
    }

    /// This node writes, and the replica is told.
    pub fn write(&mut self, doc: Option<DocId>, operation: Operation) -> (AdmittedEnvelope, Vec<Sent>) {
        self.write_with(doc, operation, Vec::new())
    }

    /// This node writes with blobs, and the replica is told.
    pub fn write_with(
        &mut self,
        doc: Option<DocId>,
        operation: Operation,
        blobs: Vec<InlineBlob>,
    ) -> (AdmittedEnvelope, Vec<Sent>) {
        let envelope = self.store_own(doc, operation, blobs);
        let doc = envelope.header().doc;
        let sent = self.settle(Input::Wrote { doc, envelopes: vec![envelope.clone()] });
        (envelope, sent)
    }

    /// This node writes, and the replica is told nothing: as if it started afterwards.
    pub fn store_own(
        &mut self,
        doc: Option<DocId>,
        operation: Operation,
        blobs: Vec<InlineBlob>,
    ) -> AdmittedEnvelope {
        let n = (0..9).find(|n| self.federation.id(*n) == self.disk.me).unwrap();
        let named = blobs.iter().map(|blob| BlobRef { class: BlobClass::Responders, id: blob.id }).collect();
        let answers = operation.answers();
        let draft = Draft { operation, blobs: named, answers, written_at: self.now };
        let hand = Hand { incarnation: self.disk.incarnation, ..self.federation.hand(n) };
        self.disk.write(self.now, doc, &draft, blobs, &hand).unwrap()
    }

    pub fn heads(&self, doc: &DocId) -> Vec<EnvelopeId> {
        self.disk.documents.get(doc).map(|document| document.heads()).unwrap_or_default()
    }

    pub fn is_due(&self, n: usize, doc: &DocId) -> bool {
        self.disk.due(&self.id(n), None, 1_000).iter().any(|row| row.doc == *doc)
    }
}

/// Without what is said on every connection, whatever is on it.
pub fn without_standing(sent: Vec<Sent>) -> Vec<Sent> {
    let standing = |m: &Message| matches!(m, Message::DigestRoot(_) | Message::RosterWant(_));
    sent.into_iter().filter(|(_, _, message)| !standing(message)).collect()
}

/// An incident at home that involves some.
pub fn incident(federation: &Federation, home: usize, involved: &[usize], seed: u64) -> Operation {
    let involved: Vec<MemberId> = involved.iter().map(|n| federation.id(*n)).collect();
    open(code(home), Kind::by_name("sos").unwrap(), &involved, None, seed)
}

/// One that does not ring.
pub fn quiet_incident(federation: &Federation, home: usize, involved: &[usize], seed: u64) -> Operation {
    let mut operation = incident(federation, home, involved, seed);
    if let Operation::Open(open) = &mut operation {
        open.urgency = crate::kind::Urgency::Low;
    }
    operation
}

/// The owner takes a step.
pub fn step() -> Operation {
    Operation::Step { step: Step::Called, by: somebody(1) }
}

/// A document that member `home` wrote: an incident and `steps` steps.
pub fn document(
    federation: &Federation,
    home: usize,
    involved: &[usize],
    steps: usize,
) -> Vec<AdmittedEnvelope> {
    let mut scribe = Scribe::new(federation);
    let mut all = vec![scribe.open(home, involved)];
    all.extend((0..steps).map(|_| scribe.write(home, step()).unwrap()));
    all
}

pub fn item(envelope: &AdmittedEnvelope) -> Item {
    Item { age: Millis(500), envelope: envelope.signed().clone(), blobs: Vec::new() }
}

pub fn body(envelopes: &[AdmittedEnvelope]) -> Message {
    Message::Body(items(envelopes))
}

pub fn answer(envelopes: &[AdmittedEnvelope]) -> Message {
    Message::Answer(items(envelopes))
}

fn items(envelopes: &[AdmittedEnvelope]) -> Items {
    let doc = envelopes.first().unwrap().header().doc;
    Items { doc, items: envelopes.iter().map(item).collect() }
}

pub fn have(doc: DocId, heads: &[EnvelopeId], asks: bool) -> Message {
    let mut heads = heads.to_vec();
    heads.sort_unstable();
    Message::Have(Have { doc, page: 0, last: true, asks, heads })
}

pub fn want(doc: DocId, ids: &[EnvelopeId], held: &[EnvelopeId]) -> Message {
    let (mut ids, mut held) = (ids.to_vec(), held.to_vec());
    ids.sort_unstable();
    held.sort_unstable();
    Message::Want(Want { doc, ids, held })
}

pub fn small_blob(seed: u8) -> InlineBlob {
    let (salt, content) = ([seed; 32], vec![seed; 100]);
    InlineBlob { id: commitment(&salt, &content), salt, content }
}

/// The ids in a body or an answer.
pub fn ids_of(message: &Message) -> Vec<EnvelopeId> {
    let (Message::Body(items) | Message::Answer(items)) = message else {
        panic!("no envelopes in a {}", message.name());
    };
    items.items.iter().map(|item| item.envelope.id()).collect()
}
