//! A member with a good key that does not follow the rules: it spoils and withholds what it passes on,
//! shows documents to nodes that they are not for, tells lies about what it holds, writes what it may
//! not, and says two things in one place of its chain.

use super::world::World;
use crate::author::Draft;
use crate::envelope::SignedEnvelope;
use crate::fixture::somebody;
use crate::ids::{DocId, EnvelopeId, MemberId, Millis, sha256};
use crate::message::{Have, Item, Items, Lane, Message};
use crate::operation::{Operation, Outcome, Step};
use crate::replica::Input;

impl World {
    /// True for the member that does not follow the rules.
    pub(super) fn is_hostile(&self, n: usize) -> bool {
        self.settings.hostile && n + 1 == self.settings.municipal
    }

    /// What the hostile member makes of a message before it sends it; none if it keeps it back.
    pub(super) fn twist(&mut self, message: Message) -> Option<Message> {
        if self.dice.chance(100) {
            return None;
        }
        Some(match message {
            Message::Body(items) => Message::Body(self.twist_items(items)),
            Message::Answer(items) => Message::Answer(self.twist_items(items)),
            Message::Have(have) if self.dice.chance(100) => Message::Have(self.lie(have)),
            honest @ (Message::Welcome(_)
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
            | Message::BlobNone(_)) => honest,
        })
    }

    fn twist_items(&mut self, items: Items) -> Items {
        let mut twisted = Vec::new();
        for mut item in items.items {
            if self.dice.chance(150) {
                continue;
            }
            if self.dice.chance(150) {
                item.envelope = self.spoil(&item.envelope);
            }
            if self.dice.chance(100) {
                twisted.extend(self.forge(&item.envelope));
            }
            twisted.push(item);
        }
        Items { doc: items.doc, items: twisted }
    }

    /// A copy with the same id and a signature that does not hold.
    fn spoil(&mut self, envelope: &SignedEnvelope) -> SignedEnvelope {
        let mut bytes = envelope.encode();
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        SignedEnvelope::decode(&bytes).unwrap_or_else(|_| envelope.clone())
    }

    /// An envelope that the hostile member may not write, under its own good key.
    fn forge(&mut self, after: &SignedEnvelope) -> Option<Item> {
        let n = self.settings.municipal - 1;
        let hand = self.federation.hand(n);
        let operation = Operation::Close { outcome: Outcome::FalseAlarm, by: somebody(9) };
        let op_bytes = operation.encode();
        let mut header = after.header().clone();
        header.author = hand.member;
        header.key_index = hand.key_index;
        header.parents = vec![after.id()];
        header.prev_at = 0;
        header.seq.0 = u32::try_from(self.dice.between(1, 3)).unwrap_or(1);
        header.op_type = operation.op_type();
        header.op_len = u32::try_from(op_bytes.len()).ok()?;
        header.op_hash = sha256(&[&op_bytes]);
        header.blobs = Vec::new();
        header.written_at = Millis(self.dice.between(1, 1_000));
        let signature = ed25519_dalek::Signer::sign(&hand.key, &header.sig_input()).to_bytes().to_vec();
        let envelope = SignedEnvelope::assemble(header, op_bytes, signature);
        Some(Item { age: Millis(0), envelope, blobs: Vec::new() })
    }

    fn lie(&mut self, have: Have) -> Have {
        let invented = EnvelopeId(sha256(&[&self.dice.draw().to_be_bytes()]));
        let mut heads = have.heads;
        heads.push(invented);
        heads.sort_unstable();
        heads.truncate(crate::limits::HEADS_MAX);
        Have { heads, ..have }
    }

    /// The hostile member acts: it forks its chain, or shows a document to whom it is not for.
    pub(super) fn act_hostile(&mut self, n: usize, doc: DocId) -> Result<(), String> {
        if self.dice.chance(500) {
            return self.fork(n, doc);
        }
        let Some(document) = self.node(n).disk.documents.get(&doc).cloned() else { return Ok(()) };
        let to = self.dice.below(self.nodes.len());
        let item = |envelope: &crate::envelope::AdmittedEnvelope| Item {
            age: Millis(0),
            envelope: envelope.signed().clone(),
            blobs: Vec::new(),
        };
        let mut items = document.envelopes().map(item).collect();
        let message = Message::Body(Items::fill(doc, &mut items));
        self.send(n, to, Lane::Urgent, &message);
        Ok(())
    }

    /// Two operations in one place of its own chain, each told to whoever comes.
    fn fork(&mut self, n: usize, doc: DocId) -> Result<(), String> {
        let (now, hand) = (self.now, self.federation.hand(n));
        let draft = |operation| Draft { operation, blobs: Vec::new(), answers: Vec::new(), written_at: now };
        let owner = [Step::Called, Step::OnSite].map(|step| Operation::Step { step, by: somebody(6) });
        let neighbour = [Operation::Note { by: somebody(7) }, Operation::Media { by: somebody(8) }];
        for operations in [owner, neighbour] {
            let drafts = operations.map(draft);
            let written = self.node_mut(n).disk.fork(now, doc, &drafts, &hand);
            if !written.is_empty() {
                self.report.forks += 1;
                return self.handle(n, Input::Wrote { doc, envelopes: written });
            }
        }
        Ok(())
    }

    /// True if nothing that this member holds, lacks or says counts for the invariants.
    pub(super) fn is_hostile_member(&self, member: &MemberId) -> bool {
        self.numbers.get(member).is_some_and(|n| self.is_hostile(*n))
    }
}
