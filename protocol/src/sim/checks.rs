//! What must hold after every event, on whatever that event touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::disk::Filed;
use super::world::World;
use crate::audience::Audience;
use crate::fold::Fold;
use crate::ids::{DocId, EnvelopeId, MemberId};
use crate::message::Message;
use crate::operation::Operation;

/// What the checks remember.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// What every set of envelopes was read as, the first time that anybody held it.
    readings: BTreeMap<Held, Arc<Fold>>,
    /// Documents that a node held more of before a backup was put back.
    pub forgotten: BTreeSet<(usize, DocId)>,
}

/// A document, the set of its envelopes, and the newest roster.
type Held = (DocId, [u8; 32], [u8; 32]);

impl World {
    /// Nothing is sent that is not on the sender's disk, or that is not the receiver's.
    pub fn check_sent(&self, n: usize, peer: &MemberId, message: &Message) -> Result<(), String> {
        if self.node(n).hostile {
            return Ok(());
        }
        self.check_held_not_told(n, peer, message)?;
        let disk = &self.node(n).disk;
        let (doc, ids): (DocId, Vec<EnvelopeId>) = match message {
            Message::Have(have) => (have.doc, have.heads.clone()),
            Message::Body(items) | Message::Answer(items) => {
                (items.doc, items.items.iter().map(|item| item.envelope.id()).collect())
            }
            Message::Gone(gone) => (gone.doc, vec![gone.retire.id()]),
            Message::Welcome(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Contact(_)
            | Message::RosterWant(_)
            | Message::Roster(_)
            | Message::Want(_)
            | Message::Proof(_)
            | Message::DigestRoot(_)
            | Message::DigestChildren(_)
            | Message::DigestLeaf(_)
            | Message::BlobWant(_)
            | Message::BlobPiece(_)
            | Message::BlobNone(_) => return Ok(()),
        };
        if ids.is_empty() {
            return Ok(());
        }
        if let Some(checked) = self.check_told_of_dropped(n, peer, &doc, message) {
            return checked;
        }
        if let Message::Gone(_) = message {
            return Err(format!("node {n} said of {doc} that it is gone, and has not dropped it"));
        }
        let filed = disk.filed(&doc).ok_or("told of a document that is not on the disk")?;
        // A proof may have been replaced by an earlier one since the replica last looked.
        let proven = filed.document.proofs().next().is_some();
        if !proven && !ids.iter().all(|id| filed.document.contains(id)) {
            return Err(format!("node {n} sent a {} of what is not on its disk", message.name()));
        }
        // What only an equivocator had given may go while a message about it is on its way.
        let audience = filed.audience_of_held(&disk.rosters);
        let theirs = audience.entitled(peer) || self.shows_retire_to_holder(&doc, filed, peer, message);
        if !theirs || !audience.entitled(&disk.me) {
            return Err(format!(
                "node {n} sent a {} that is not its own or not the receiver's",
                message.name()
            ));
        }
        self.check_blobs_sent(n, filed, &audience, peer, message)
    }

    /// Whoever was let in by an envelope that a retire leaves out holds it, and is shown that retire.
    fn shows_retire_to_holder(&self, doc: &DocId, filed: &Filed, peer: &MemberId, message: &Message) -> bool {
        let holds = |node: &super::node::Node| {
            node.disk.me == *peer
                && node
                    .disk
                    .filed(doc)
                    .is_some_and(|theirs| theirs.audience_of_held(&node.disk.rosters).entitled(peer))
        };
        let shows = matches!(message, Message::Body(_)) && filed.fold.retired.is_some();
        shows && self.nodes.iter().any(holds)
    }

    fn check_blobs_sent(
        &self,
        n: usize,
        filed: &Filed,
        audience: &Audience,
        peer: &MemberId,
        message: &Message,
    ) -> Result<(), String> {
        let (Message::Body(items) | Message::Answer(items)) = message else { return Ok(()) };
        for item in &items.items {
            for blob in &item.blobs {
                let named = item.envelope.header().blobs.iter().find(|named| named.id == blob.id);
                // What a release or an equivocator had given may go while a message is on its way.
                if !named.is_some_and(|named| filed.may_keep_blob(audience, peer, named)) {
                    return Err(format!("node {n} sent a blob to a node that may not have it"));
                }
            }
        }
        Ok(())
    }

    /// After a document changed on a disk.
    pub fn check_document(&mut self, n: usize, doc: &DocId, new: &[EnvelopeId]) -> Result<(), String> {
        if self.node(n).hostile {
            return Ok(());
        }
        let disk = &self.node(n).disk;
        let filed = disk.filed(doc).cloned().ok_or("a document that was stored is not there")?;
        let fold = &filed.fold;
        if !filed.audience_of_held(&disk.rosters).entitled(&disk.me) {
            return Err(format!("node {n} holds a document that does not name it"));
        }
        if let Some(id) = new.iter().find(|id| !filed.document.contains(id)) {
            return Err(format!("node {n} was told that {id} is stored, and it is not on its disk"));
        }
        self.check_owner(n, fold)?;
        if let Some(member) = fold.equivocators.iter().find(|member| !self.is_hostile_member(member)) {
            let number = self.numbers.get(member);
            return Err(format!("node {n} holds a proof that an honest node, {number:?}, said two things"));
        }
        self.check_commits(n, &filed, new)?;
        self.check_ghosts(n, &filed)?;
        // The fold also reads the highest roster: nodes may differ for as long as that does.
        let key = (*doc, filed.set, self.node(n).disk.rosters.head().hash().0);
        let first = self.checks.readings.entry(key).or_insert_with(|| Arc::clone(fold));
        if *first != *fold {
            return Err(format!("equal envelopes of {doc} were read differently: {}", apart(first, fold)));
        }
        self.check_due(n, doc)
    }

    /// An incident is owned by one member, and answered for by one in good standing if there is any.
    fn check_owner(&self, n: usize, fold: &Fold) -> Result<(), String> {
        let head = self.node(n).disk.rosters.head();
        let good = |member: &MemberId| head.good(member) && !fold.equivocators.contains(member);
        if head.member(&fold.owner).is_none() {
            return Err(format!("node {n}: the owner of an incident is not a member"));
        }
        let as_it_should =
            if good(&fold.owner) { fold.answering == fold.owner } else { good(&fold.answering) };
        // The national node is never hostile and never expelled, so somebody good is always above.
        if as_it_should { Ok(()) } else { Err(format!("node {n}: nobody good answers for an incident")) }
    }

    /// An accept is committed once; by an honest author, who never lost what it wrote, once anywhere.
    fn check_commits(&self, n: usize, filed: &Filed, new: &[EnvelopeId]) -> Result<(), String> {
        for id in new {
            let Some(envelope) = filed.document.envelope(id) else { continue };
            let Some(accept) = committed(envelope.operation()) else { continue };
            let author = envelope.header().author;
            let again = filed.document.envelopes().any(|other| {
                other.id() != *id
                    && committed(other.operation()) == Some(accept)
                    && other.header().author == author
            });
            let lost = self.nodes.iter().any(|node| node.disk.me == author && node.restored);
            if again && !lost && !self.is_hostile_member(&author) {
                return Err(format!("node {n} holds an accept that an honest node committed twice"));
            }
        }
        Ok(())
    }

    /// What was backdated after everybody knew has no effect, unless somebody vouches for it.
    fn check_ghosts(&self, n: usize, filed: &Filed) -> Result<(), String> {
        if self.ghosts.is_empty() {
            return Ok(());
        }
        let document = &filed.document;
        for ghost in document.envelopes().map(|e| e.id()).filter(|id| self.ghosts.contains(id)) {
            let author = document.envelope(&ghost).map(|e| e.header().author);
            let sealed = document.envelopes().any(|e| {
                let others = Some(e.header().author) != author;
                matches!(e.operation(), Operation::Seal { node, .. } if Some(*node) == author && others)
            });
            let place = document.place(&ghost);
            let all = document.all();
            let vouched = document.members(&all).any(|(at, e)| {
                let saw = document.ancestors(at).zip(place).is_some_and(|(seen, place)| seen.contains(place));
                saw && Some(e.header().author) != author && self.is_hostile_member(&e.header().author)
            });
            if !sealed && !vouched && !filed.fold.unconfirmed.contains(&ghost) {
                return Err(format!("node {n}: a backdated envelope of an expelled node has effect"));
            }
        }
        Ok(())
    }

    /// Whoever lacks something of a document is due it.
    pub fn check_due(&self, n: usize, doc: &DocId) -> Result<(), String> {
        let disk = &self.node(n).disk;
        let Some(filed) = disk.filed(doc).filter(|_| !self.node(n).hostile) else { return Ok(()) };
        // Whom only an equivocator had let in keeps what it holds, and tells nobody.
        if !filed.fold.audience.entitled(&disk.me) {
            return Ok(());
        }
        let head = disk.rosters.head();
        for member in filed.fold.audience.members() {
            if member == disk.me || disk.is_due(&member, doc) || !head.good(&member) {
                continue;
            }
            let holds_all = |node: &super::node::Node| {
                node.disk.kept.dropped.contains_key(doc)
                    || node.disk.filed(doc).is_some_and(|theirs| {
                        theirs.set == filed.set
                            || theirs.fold.retired.is_some()
                            || (filed.document.envelopes().all(|e| theirs.document.contains(&e.id()))
                                && filed.document.proofs().all(|proof| theirs.document.knows_proof(proof)))
                    })
            };
            let mut theirs = self.nodes.iter().enumerate().filter(|(_, node)| node.disk.me == member);
            // A peer cannot tell a node from its twin: whichever of them answered may hold it.
            let copied = self.nodes.iter().filter(|node| node.disk.me == member).count() > 1;
            let excused = |other: usize, node: &super::node::Node| {
                node.hostile || copied || self.checks.forgotten.contains(&(other, *doc))
            };
            if !theirs.all(|(other, node)| excused(other, node) || holds_all(node)) {
                return Err(format!("node {n} forgot that a member lacks something of {doc}"));
            }
        }
        Ok(())
    }

    /// What a person was told is saved is there after a crash.
    pub fn check_acknowledged(&self, n: usize) -> Result<(), String> {
        let node = self.node(n);
        let kept = |(id, doc): (&EnvelopeId, &DocId)| {
            node.disk.filed(doc).is_some_and(|filed| filed.document.contains(id))
                || node.disk.kept.dropped.contains_key(doc)
        };
        if node.acknowledged.iter().all(kept) {
            return Ok(());
        }
        Err(format!("node {n} lost what a person was told is saved"))
    }
}

/// Where two readings begin to differ.
fn apart(one: &Fold, other: &Fold) -> String {
    let [one, other] = [one, other].map(|fold| format!("{fold:?}"));
    let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let from = |text: &str| text.chars().skip(same.saturating_sub(60)).take(160).collect::<String>();
    format!("…{}… and …{}…", from(&one), from(&other))
}

/// The accept that an operation commits.
pub(super) fn committed(operation: &Operation) -> Option<EnvelopeId> {
    if let Operation::Commit { accept } | Operation::TakeoverCommit { accept } = operation {
        Some(*accept)
    } else {
        None
    }
}
