//! What must hold after every event, and what must hold once the faults have stopped.

use std::collections::{BTreeMap, BTreeSet};

use super::node::Node;
use super::world::World;
use crate::audience::Audience;
use crate::derive;
use crate::digest::Digest;
use crate::document::Document;
use crate::fold::Fold;
use crate::ids::{DocId, EnvelopeId, MemberId, sha256};
use crate::message::Message;
use crate::replica::Shelf;

/// What every set of envelopes was read as, the first time that anybody held it.
#[derive(Debug, Default)]
pub(super) struct Checks {
    readings: BTreeMap<Held, Reading>,
}

/// A document, the set of its envelopes, and the newest roster.
type Held = (DocId, [u8; 32], [u8; 32]);

/// The fold's hash and the heads of the Automerge document.
type Reading = ([u8; 32], Vec<String>);

impl World {
    /// Nothing is sent that is not on the sender's disk, or that is not the receiver's.
    pub(super) fn check_sent(&self, n: usize, peer: &MemberId, message: &Message) -> Result<(), String> {
        let disk = &self.node(n).disk;
        let (doc, ids): (DocId, Vec<EnvelopeId>) = match message {
            Message::Have(have) => (have.doc, have.heads.clone()),
            Message::Body(items) | Message::Answer(items) => {
                (items.doc, items.items.iter().map(|item| item.envelope.id()).collect())
            }
            Message::Welcome(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Contact(_)
            | Message::RosterWant(_)
            | Message::Roster(_)
            | Message::Want(_)
            | Message::DigestRoot(_)
            | Message::DigestChildren(_)
            | Message::DigestLeaf(_)
            | Message::BlobWant(_)
            | Message::BlobPiece(_)
            | Message::BlobNone(_) => return Ok(()),
        };
        if ids.is_empty() || self.is_hostile(n) {
            return Ok(());
        }
        let document = disk.documents.get(&doc).ok_or("told of a document that is not on the disk")?;
        if !ids.iter().all(|id| document.contains(id)) {
            return Err(format!("node {n} sent a {} of what is not on its disk", message.name()));
        }
        if !Audience::of(document, &disk.rosters).entitled(peer) {
            return Err(format!("node {n} sent a {} to a node that may not have it", message.name()));
        }
        Ok(())
    }

    /// After a document changed on a disk.
    pub(super) fn check_document(&mut self, n: usize, doc: &DocId) -> Result<(), String> {
        let disk = &self.node(n).disk;
        let document = disk.documents.get(doc).cloned().ok_or("a document that was stored is not there")?;
        if !Audience::of(&document, &disk.rosters).entitled(&disk.me) {
            return Err(format!("node {n} holds a document that does not name it"));
        }
        let fold = Fold::of(&document, &disk.rosters).ok_or("a document without a genesis")?;
        let good = fold.answering == fold.owner || fold.equivocators.contains(&fold.owner);
        if !good || ![fold.owner, fold.answering].iter().all(|member| self.numbers.contains_key(member)) {
            return Err("an incident is not owned by a member in good standing".into());
        }
        if fold.equivocators.iter().any(|member| !self.is_hostile_member(member)) {
            return Err("an honest node was proven to say two things".into());
        }
        let reading = sha256(&[format!("{fold:?}").as_bytes()]);
        let heads = derive::heads(&document).map_err(|e| format!("a document does not derive: {e}"))?;
        // The fold also reads the highest roster: nodes may differ for as long as that does.
        let key = (*doc, set_of(&document), disk.rosters.head().hash().0);
        let first = self.checks.readings.entry(key).or_insert_with(|| (reading, heads.clone()));
        if *first != (reading, heads) {
            return Err("equal envelopes were read differently by two nodes".into());
        }
        self.check_due(n, doc)
    }

    /// Whoever lacks something of a document is due it.
    pub(super) fn check_due(&self, n: usize, doc: &DocId) -> Result<(), String> {
        let disk = &self.node(n).disk;
        let Some(document) = disk.documents.get(doc) else { return Ok(()) };
        for member in Audience::of(document, &disk.rosters).members() {
            let Some(other) = self.numbers.get(&member).filter(|other| **other != n) else { continue };
            if self.is_hostile(n) || self.is_hostile(*other) {
                continue;
            }
            let theirs = self.node(*other).disk.documents.get(doc);
            let has_all = theirs.is_some_and(|theirs| document.envelopes().all(|e| theirs.contains(&e.id())));
            let due = disk.due.get(&member).is_some_and(|rows| rows.contains_key(doc));
            if !has_all && !due {
                return Err(format!("node {n} forgot that node {other} lacks a document"));
            }
        }
        Ok(())
    }

    /// True once everybody holds the same and nothing is due. `late` makes it an error that they do not.
    pub(super) fn in_step(&self, late: bool) -> Result<bool, String> {
        match self.what_differs() {
            None => Ok(true),
            Some(what) if late => Err(format!("not in step in time: {what}")),
            Some(_) => Ok(false),
        }
    }

    fn what_differs(&self) -> Option<String> {
        let head = self.federation.rosters.head().version;
        for (n, node) in self.nodes.iter().enumerate() {
            if node.disk.rosters.head().version != head {
                return Some(format!("node {n} has an old roster"));
            }
            if !node.queue.is_empty() {
                return Some(format!("node {n} still writes"));
            }
            for (peer, rows) in &node.disk.due {
                if self.is_hostile(n) || self.is_hostile_member(peer) {
                    continue;
                }
                let reachable = self.numbers.get(peer).is_some_and(|other| self.reach(n, *other));
                if reachable && !rows.is_empty() {
                    return Some(format!("node {n} has {} documents due to a peer", rows.len()));
                }
            }
        }
        for (doc, union) in self.unions() {
            let audience = Audience::of(&union, &self.federation.rosters);
            for member in audience.members() {
                let Some(n) = self.numbers.get(&member).filter(|n| !self.is_hostile(**n)) else { continue };
                let theirs = self.node(*n).disk.documents.get(&doc);
                if theirs.is_none_or(|theirs| theirs.len() != union.len()) {
                    let count = theirs.map_or(0, |theirs| theirs.len());
                    return Some(format!("node {n} holds {count} of {} envelopes of {doc}", union.len()));
                }
            }
        }
        let mut honest = (0..self.nodes.len()).filter(|n| !self.is_hostile(*n));
        let lacking = honest.find(|n| self.lacks_blob_in_reach(*n));
        lacking.map(|n| format!("node {n} lacks a blob that an involved node in reach holds"))
    }

    /// Through an aggregator only documents travel: a responders' blob needs a link to one who holds it.
    fn lacks_blob_in_reach(&self, n: usize) -> bool {
        let missing = self.node(n).disk.missing_blobs(usize::MAX);
        missing.into_iter().any(|(_, blob)| {
            let holds = |(other, node): (usize, &Node)| {
                !self.is_hostile(other) && node.disk.holds_blob(&blob.id) && self.reach(n, other)
            };
            self.nodes.iter().enumerate().any(holds)
        })
    }

    fn reach(&self, a: usize, b: usize) -> bool {
        self.pairs().contains(&(a.min(b), a.max(b)))
    }

    /// Every document with everything that anybody holds of it.
    fn unions(&self) -> BTreeMap<DocId, Document> {
        let mut unions: BTreeMap<DocId, Document> = BTreeMap::new();
        let honest = self.nodes.iter().enumerate().filter(|(n, _)| !self.is_hostile(*n));
        for (doc, document) in honest.flat_map(|(_, node)| &node.disk.documents) {
            let union = unions.entry(*doc).or_default();
            for envelope in document.envelopes() {
                _ = union.insert(envelope.clone());
            }
        }
        unions
    }

    /// At the end, beside being in step: digests agree, blobs lie only where they may, handoffs that were
    /// accepted are complete.
    pub(super) fn check_end(&mut self) -> Result<(), String> {
        let unions = self.unions();
        self.report.documents = unions.len();
        for (a, b) in self.pairs() {
            let digest = |n: usize, peer: usize| {
                Digest::of(self.node(n).disk.shared(&self.federation.id(peer))).root()
            };
            let honest = !self.is_hostile(a) && !self.is_hostile(b);
            if honest && digest(a, b) != digest(b, a) {
                return Err(format!("nodes {a} and {b} hold the same and their digests differ"));
            }
        }
        for (n, node) in self.nodes.iter().enumerate().filter(|(n, _)| !self.is_hostile(*n)) {
            let mut may: BTreeSet<_> = BTreeSet::new();
            for document in unions.values() {
                let audience = Audience::of(document, &self.federation.rosters);
                let named = document.envelopes().flat_map(|e| &e.header().blobs);
                may.extend(named.filter(|b| audience.entitled_to_blob(&node.disk.me, b.class)).map(|b| b.id));
            }
            if node.disk.blobs.keys().any(|blob| !may.contains(blob)) {
                return Err(format!("node {n} holds a blob that is not for it"));
            }
            if !node.disk.accepted_offers().is_empty() {
                return Err(format!("node {n} never completed a handoff that was accepted"));
            }
        }
        Ok(())
    }
}

fn set_of(document: &Document) -> [u8; 32] {
    let ids: BTreeSet<EnvelopeId> = document.envelopes().map(|e| e.id()).collect();
    sha256(&ids.iter().map(|id| id.0.as_slice()).collect::<Vec<_>>())
}
