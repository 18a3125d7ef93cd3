//! Members with good keys that do not follow the rules, and know of each other: they spoil and withhold
//! what they pass on, show documents to nodes that they are not for, tell lies about what they hold,
//! write what they may not, write in the past and so say two things in one place of their chains, hand
//! incidents to and fro among themselves, and backdate once they are expelled.

use super::releases::LATER_RULES;
use super::world::World;
use crate::author::{Draft, Hand, seal_knowing};
use crate::document::Document;
use crate::envelope::{AdmittedEnvelope, SignedEnvelope};
use crate::fixture::somebody;
use crate::fold::Fold;
use crate::ids::{DocId, EnvelopeId, Incarnation, Millis, sha256};
use crate::limits::INCARNATIONS_MAX;
use crate::message::{Have, Item, Items, Lane, Message};
use crate::operation::{HandoffReason, Operation, Outcome};
use crate::roster::RosterChain;

impl World {
    /// What a hostile member makes of a message before it sends it; none if it keeps it back.
    pub fn twist(&mut self, n: usize, message: Message) -> Option<Message> {
        if self.lies && self.dice.chance(100) {
            self.report.count("hostile: withheld");
            return None;
        }
        if matches!(message, Message::Roster(_)) && self.freezers.contains(&n) {
            self.report.count("hostile: roster kept back");
            return None;
        }
        Some(match message {
            Message::Body(items) => Message::Body(self.twist_items(n, items)),
            Message::Answer(items) => Message::Answer(self.twist_items(n, items)),
            Message::Have(have) if self.lies && self.dice.chance(100) => Message::Have(self.lie(have)),
            honest @ (Message::Welcome(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Contact(_)
            | Message::RosterWant(_)
            | Message::Roster(_)
            | Message::Have(_)
            | Message::Want(_)
            | Message::Gone(_)
            | Message::Proof(_)
            | Message::DigestRoot(_)
            | Message::DigestChildren(_)
            | Message::DigestLeaf(_)
            | Message::BlobWant(_)
            | Message::BlobPiece(_)
            | Message::BlobNone(_)) => honest,
        })
    }

    fn twist_items(&mut self, n: usize, items: Items) -> Items {
        let mut twisted = Vec::new();
        for mut item in items.items {
            let id = item.envelope.id();
            if self.lies && self.dice.chance(20) {
                self.withheld.insert((n, id));
            }
            if self.withheld.contains(&(n, id)) {
                self.report.count("hostile: withheld for good");
                continue;
            }
            if !self.lies {
                twisted.push(item);
                continue;
            }
            if self.dice.chance(150) {
                self.report.count("hostile: withheld");
                continue;
            }
            if self.dice.chance(150) {
                self.report.count("hostile: spoiled copy");
                item.envelope = spoil(&item.envelope);
            }
            if self.dice.chance(100) {
                self.report.count("hostile: forged");
                twisted.extend(self.forge(n, &item.envelope));
            }
            twisted.push(item);
        }
        Items { doc: items.doc, items: twisted }
    }

    fn hand_of(&self, n: usize) -> Option<Hand> {
        let node = self.node(n);
        self.league.hand(node.member, &node.disk.rosters, node.disk.incarnation)
    }

    /// An envelope that the hostile member may not write, under its own good key.
    fn forge(&mut self, n: usize, after: &SignedEnvelope) -> Option<Item> {
        let hand = self.hand_of(n)?;
        let by = somebody(9);
        let operation = match self.dice.below(3) {
            0 => Operation::Close { outcome: Outcome::FalseAlarm, by },
            1 => Operation::TakeoverCommit { accept: after.id() },
            _ => Operation::Seal { node: hand.member, last: after.id() },
        };
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
        let envelope = SignedEnvelope::assemble(header, &op_bytes, &signature);
        Some(Item { age: Millis(0), envelope, blobs: Vec::new() })
    }

    fn lie(&mut self, have: Have) -> Have {
        self.report.count("hostile: lied about heads");
        let invented = EnvelopeId(sha256(&[&self.dice.draw().to_be_bytes()]));
        let mut heads = have.heads;
        heads.push(invented);
        heads.sort_unstable();
        heads.truncate(crate::limits::HEADS_MAX);
        Have { heads, ..have }
    }

    /// A hostile member acts.
    pub fn act_hostile(&mut self, n: usize, doc: DocId) -> Result<(), String> {
        match self.dice.below(10) {
            0 if self.dice.chance(150) => self.swarm(n, doc)?,
            0 => self.show_to_strangers(n, doc),
            1..=3 => self.hand_to_and_fro(n, doc)?,
            4 | 5 => self.backdate(n, doc)?,
            _ => self.write_in_the_past(n, doc)?,
        }
        Ok(())
    }

    fn show_to_strangers(&mut self, n: usize, doc: DocId) {
        let Some(filed) = self.node(n).disk.filed(&doc).cloned() else { return };
        let to = self.dice.below(self.nodes.len());
        let member = self.node(to).disk.me;
        if self.session(n, &member).is_none() || filed.fold.audience.entitled(&member) {
            return;
        }
        self.report.count("hostile: shown to a stranger");
        if let Some(message) = self.whole_document(n, doc) {
            self.send(n, &member, Lane::Urgent, &message);
        }
    }

    /// Everything that a node holds of a document, as far as one message goes.
    pub fn whole_document(&self, n: usize, doc: DocId) -> Option<Message> {
        let filed = self.node(n).disk.filed(&doc)?;
        let item = |envelope: &AdmittedEnvelope| Item {
            age: Millis(0),
            envelope: envelope.signed().clone(),
            blobs: Vec::new(),
        };
        let mut items = filed.document.envelopes().map(item).collect();
        Some(Message::Body(Items::fill(doc, &mut items)))
    }

    /// Writes on what it held some time ago, as if it had seen nothing since: two things in one place
    /// of its chain. A commit is among what it may do then, so owners equivocate too.
    fn write_in_the_past(&mut self, n: usize, doc: DocId) -> Result<(), String> {
        let Some(filed) = self.node(n).disk.filed(&doc).cloned() else { return Ok(()) };
        let Some(hand) = self.hand_of(n) else { return Ok(()) };
        let rosters = self.node(n).disk.rosters.clone();
        let length = 1 + self.dice.below(filed.document.len());
        let Ok(past) = Document::from_log(filed.document.envelopes().take(length).cloned()) else {
            return Ok(());
        };
        let Some(fold) = Fold::of(&past, &rosters) else { return Ok(()) };
        let owner = fold.owner == hand.member;
        let Some(operation) = self.in_incident(n, &past, &fold) else { return Ok(()) };
        let written = self.seal_on(&past, operation, &hand, &rosters);
        let forked = written.iter().any(|new| {
            filed
                .document
                .envelopes()
                .any(|old| old.header().author == hand.member && old.chain_place() == new.chain_place())
        });
        if forked {
            self.report.count("hostile: equivocated");
            if owner {
                self.report.count("hostile: equivocating owner");
            }
        }
        self.slip_in(n, doc, written)
    }

    /// Writes under one generation more than an author may have in one document.
    fn swarm(&mut self, n: usize, doc: DocId) -> Result<(), String> {
        let Some(filed) = self.node(n).disk.filed(&doc).cloned() else { return Ok(()) };
        let Some(mut hand) = self.hand_of(n).filter(|_| !self.swarmed) else { return Ok(()) };
        let rosters = self.node(n).disk.rosters.clone();
        let mut written = Vec::new();
        for _ in 0..=INCARNATIONS_MAX {
            hand.incarnation = Incarnation::new(hand.incarnation.counter() + 1, 1);
            let note = Operation::Note { by: somebody(9) };
            written.extend(self.seal_on(&filed.document, note, &hand, &rosters));
        }
        if written.len() > INCARNATIONS_MAX {
            self.swarmed = true;
            self.report.count("hostile: 65 generations");
        }
        self.slip_in(n, doc, written)
    }

    fn seal_on(
        &self,
        document: &Document,
        operation: Operation,
        hand: &Hand,
        rosters: &RosterChain,
    ) -> Vec<AdmittedEnvelope> {
        let answers = operation.answers();
        let draft = Draft { operation, blobs: Vec::new(), answers, written_at: self.now };
        seal_knowing(&draft, Some(document), hand, rosters, LATER_RULES).into_iter().collect()
    }

    /// What was written behind the back of the own node: its disk takes it, and some of the others'
    /// that it works with.
    pub fn slip_in(&mut self, n: usize, doc: DocId, written: Vec<AdmittedEnvelope>) -> Result<(), String> {
        if written.is_empty() {
            return Ok(());
        }
        let now = self.now;
        let accomplices: Vec<usize> = (0..self.nodes.len())
            .filter(|other| *other != n && self.node(*other).hostile && self.node(*other).up)
            .collect();
        for other in accomplices {
            if self.dice.chance(500) && self.node(other).disk.filed(&doc).is_some() {
                let copies = written.iter().map(|envelope| (envelope.clone(), now)).collect();
                self.node_mut(other).disk.insert(now, doc, copies, Vec::new());
            }
        }
        let copies = written.iter().map(|envelope| (envelope.clone(), now)).collect();
        self.node_mut(n).disk.insert(now, doc, copies, Vec::new());
        self.wrote(n, written)
    }

    /// An owner and its accomplice hand an incident to and fro, to outrun a takeover.
    fn hand_to_and_fro(&mut self, n: usize, doc: DocId) -> Result<(), String> {
        let Some(filed) = self.node(n).disk.filed(&doc).cloned() else { return Ok(()) };
        let others: Vec<usize> =
            (0..self.nodes.len()).filter(|other| *other != n && self.node(*other).hostile).collect();
        let Some(other) = self.dice.pick(&others).copied() else { return Ok(()) };
        let (Some(ours), Some(theirs)) = (self.hand_of(n), self.hand_of(other)) else { return Ok(()) };
        if filed.fold.owner != ours.member {
            return Ok(());
        }
        let rosters = self.node(n).disk.rosters.clone();
        let mut document = (*filed.document).clone();
        let mut written = Vec::new();
        let (mut from, mut to) = (&ours, &theirs);
        for _ in 0..self.dice.between(1, 3) {
            let offer = Operation::Offer { to: to.member, reason: HandoffReason::Means };
            let Some(offer) = self.chain_on(&mut document, offer, from, &rosters, &mut written) else {
                break;
            };
            let accept = Operation::Accept { offer };
            let Some(accept) = self.chain_on(&mut document, accept, to, &rosters, &mut written) else {
                break;
            };
            let commit = Operation::Commit { accept };
            if self.chain_on(&mut document, commit, from, &rosters, &mut written).is_none() {
                break;
            }
            (from, to) = (to, from);
        }
        if written.len() >= 3 {
            self.report.count("hostile: accomplice chain");
        }
        self.slip_in(n, doc, written)
    }

    fn chain_on(
        &self,
        document: &mut Document,
        operation: Operation,
        hand: &Hand,
        rosters: &RosterChain,
        written: &mut Vec<AdmittedEnvelope>,
    ) -> Option<EnvelopeId> {
        let envelope = self.seal_on(document, operation, hand, rosters).pop()?;
        document.insert(envelope.clone()).ok()?;
        written.push(envelope.clone());
        Some(envelope.id())
    }

    /// Once its keys are revoked it writes under the roster of before, with a key that was good then.
    fn backdate(&mut self, n: usize, doc: DocId) -> Result<(), String> {
        let member = self.node(n).disk.me;
        if self.league.chain.head().good(&member) {
            return self.write_in_the_past(n, doc);
        }
        let good = |chain: &&RosterChain| chain.head().good(&member);
        let Some(then) = self.league.past.iter().rev().find(good).cloned() else { return Ok(()) };
        let Some(filed) = self.node(n).disk.filed(&doc).cloned() else { return Ok(()) };
        let Some(past) = before(&filed.document, &then) else { return Ok(()) };
        let Some(fold) = Fold::of(&past, &then) else { return Ok(()) };
        let Some(operation) = self.in_incident(n, &past, &fold) else { return Ok(()) };
        let written = self.backdated(n, doc, operation, &then);
        if written.is_some() {
            self.report.count("hostile: backdated");
        }
        self.slip_in(n, doc, written.into_iter().collect())
    }

    /// An envelope under the roster of before, with a key that was good then.
    pub fn backdated(
        &self,
        n: usize,
        doc: DocId,
        operation: Operation,
        then: &RosterChain,
    ) -> Option<AdmittedEnvelope> {
        let hand = self.league.hand(self.node(n).member, then, self.node(n).disk.incarnation)?;
        let past = before(&self.node(n).disk.filed(&doc)?.document, then)?;
        self.seal_on(&past, operation, &hand, then).pop()
    }

    /// Notes what was written when every honest node knew already that its author is expelled.
    pub fn note_ghost(&mut self, n: usize, envelope: &AdmittedEnvelope) {
        if !self.node(n).hostile {
            return;
        }
        let author = envelope.header().author;
        let mut honest = self.nodes.iter().filter(|node| !node.hostile && !node.ended);
        if honest.all(|node| !node.disk.rosters.head().good(&author)) {
            self.ghosts.insert(envelope.id());
        }
    }
}

/// The beginning of a document up to the first envelope that names a later roster, which cannot be the
/// parent of one under this.
fn before(document: &Document, then: &RosterChain) -> Option<Document> {
    let known = document.envelopes().take_while(|e| then.get(&e.header().roster).is_some());
    Document::from_log(known.cloned()).ok()
}

/// A copy with the same id and a signature that does not hold.
fn spoil(envelope: &SignedEnvelope) -> SignedEnvelope {
    let mut bytes = envelope.bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    SignedEnvelope::decode(&bytes).unwrap_or_else(|_| envelope.clone())
}
