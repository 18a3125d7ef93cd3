//! What must hold once the faults have stopped: everybody who may holds the same, and knows it.

use std::collections::{BTreeMap, BTreeSet};

use super::disk::Filed;
use super::node::Node;
use super::world::{World, pair};
use crate::audience::Audience;
use crate::derive;
use crate::document::Document;
use crate::envelope::BlobRef;
use crate::fold::Fold;
use crate::ids::DocId;
use crate::message::Prefix;
use crate::replica::Shelf;

/// Nodes whose Automerge documents are built at the end, of each document: those that took it in first
/// and last differ most in the order in which they did.
const DERIVED_PER_DOCUMENT: usize = 3;

impl World {
    /// True for a node that follows the rules and is not expelled: what the end is about.
    fn counts(&self, node: &Node) -> bool {
        !node.hostile && !node.ended && self.league.chain.head().good(&node.disk.me)
    }

    /// The nodes that the end is about.
    pub fn counted(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate().filter(|(_, node)| self.counts(node))
    }

    /// True once everybody holds the same and nothing is due. `late` makes it an error that they do not.
    pub fn in_step(&self, late: bool) -> Result<bool, String> {
        match self.what_differs() {
            None => Ok(true),
            Some(what) if late => Err(format!("not in step in time: {what}")),
            Some(_) => Ok(false),
        }
    }

    fn what_differs(&self) -> Option<String> {
        let head = self.league.chain.head().hash();
        for (n, node) in self.counted() {
            if let Some(twin) = self.twin_of(n) {
                return Some(format!("node {n} still runs beside {twin}, its twin"));
            }
            if node.disk.rosters.head().hash() != head {
                return Some(format!("node {n} has roster {}", node.disk.rosters.head().version));
            }
            if let Some(what) = self.not_upgraded(n, node) {
                return Some(what);
            }
            if !node.queue.is_empty() {
                return Some(format!("node {n} still writes"));
            }
            if let Some((doc, other)) = self.due_in_reach(n, node) {
                return Some(format!("node {n} has {doc} due to node {other}"));
            }
            if let Some(doc) = self.accepted_and_mine(node) {
                return Some(format!("node {n} never completed the accepted handoff of {doc}"));
            }
        }
        let blob = || {
            let lacking = self.counted().find(|(n, node)| self.lacks_blob_in_reach(*n, node));
            lacking.map(|(n, _)| format!("node {n} lacks a blob that an involved node in reach holds"))
        };
        self.what_lacks().or_else(blob).or_else(|| self.not_shown_in_reach())
    }

    /// A document that one of two nodes in reach of each other has in the digest with the other, and the
    /// other not or not so.
    fn digests_apart(&self) -> impl Iterator<Item = (usize, usize, DocId)> {
        let counted = |(a, b): &(usize, usize)| [*a, *b].into_iter().all(|n| self.counts(self.node(n)));
        self.pairs().into_iter().filter(counted).flat_map(|(a, b)| {
            let shared = |n: usize, peer: usize| {
                let (disk, peer) = (&self.node(n).disk, &self.node(peer).disk.me);
                disk.digest_below(peer, &Prefix::default(), usize::MAX).into_iter().collect::<BTreeSet<_>>()
            };
            let (ours, theirs) = (shared(a, b), shared(b, a));
            let apart: Vec<DocId> = ours.symmetric_difference(&theirs).map(|(doc, _)| *doc).collect();
            apart.into_iter().map(move |doc| (a, b, doc))
        })
    }

    /// Whom all that is known together puts out of a document, and who was not shown so yet: the digest
    /// has the document until a comparison finds that. Where both may hold it, two that hold the same have
    /// one digest at once, and time is no excuse.
    fn not_shown_in_reach(&self) -> Option<String> {
        let holders = self.holders();
        let meant = |n: &usize, doc: &DocId| {
            holders.get(doc).is_some_and(|theirs| theirs.iter().any(|(holder, _)| holder == n))
        };
        let apart: Vec<(usize, usize, DocId)> = self.digests_apart().collect();
        let (a, b, doc) = apart.first()?;
        if apart.iter().any(|(a, b, doc)| meant(a, doc) && meant(b, doc)) {
            return None;
        }
        Some(format!("nodes {a} and {b} share {doc} as one alone has it: who is out was not shown why"))
    }

    /// A document that is due to somebody in reach.
    fn due_in_reach(&self, n: usize, node: &Node) -> Option<(DocId, usize)> {
        for (peer, rows) in &node.disk.due {
            let Some((doc, _)) = rows.first_key_value() else { continue };
            let reached = |(other, there): &(usize, &Node)| {
                there.disk.me == *peer && self.links.contains_key(&pair(n, *other))
            };
            if let Some((other, _)) = self.counted().find(reached) {
                return Some((*doc, other));
            }
        }
        None
    }

    /// Handoffs and takeovers that were accepted and that it is for this node to commit.
    fn accepted_and_mine(&self, node: &Node) -> Option<DocId> {
        node.disk.accepted_offers().into_iter().next()
    }

    fn what_lacks(&self) -> Option<String> {
        for (doc, holders) in self.holders() {
            let Some((first, one)) = holders.first().copied() else { continue };
            let Some(theirs) = one.disk.filed(&doc) else { continue };
            if self.dropped_somewhere(&doc) {
                if let Some(what) = self.holders_apart(&doc, &holders) {
                    return Some(what);
                }
                continue;
            }
            for (n, node) in &holders {
                let Some(ours) = node.disk.filed(&doc) else { continue };
                let same = ours.document.fingerprint() == theirs.document.fingerprint();
                if !same || (ours.set != theirs.set && ours.fold.retired.is_none()) {
                    let counts = (theirs.document.len(), ours.document.len());
                    return Some(format!("nodes {first} and {n} hold {counts:?} envelopes of {doc}"));
                }
            }
            let entitled = |node: &Node| theirs.fold.audience.entitled(&node.disk.me);
            let lacks = |node: &Node| entitled(node) && node.disk.filed(&doc).is_none();
            if let Some((n, _)) = self.counted().find(|(_, node)| lacks(node)) {
                return Some(format!("node {n} holds nothing of {doc}"));
            }
        }
        None
    }

    /// Of a document that somebody has dropped, two that hold it and reach each other hold the same, unless
    /// one was told by the other that it is gone there. Who could hold it and does not was told that by
    /// somebody.
    fn holders_apart(&self, doc: &DocId, holders: &[(usize, &Node)]) -> Option<String> {
        let at = |n: usize| self.node(n).disk.filed(doc).map(|filed| filed.document.fingerprint());
        let among = |n: &usize| holders.iter().any(|(holder, _)| holder == n);
        let reach = self.pairs().into_iter().filter(|(a, b)| among(a) && among(b));
        for (a, b) in reach.filter(|(a, b)| !self.gone_between(*a, *b, doc)) {
            if at(a) != at(b) {
                return Some(format!("nodes {a} and {b} hold {doc} differently, which others have dropped"));
            }
        }
        let entitled = |node: &Node| {
            holders.iter().any(|(_, holder)| {
                holder.disk.filed(doc).is_some_and(|theirs| theirs.fold.audience.entitled(&node.disk.me))
            })
        };
        let heard = |n: usize, node: &Node| {
            node.disk.filed(doc).is_some()
                || node.disk.kept.dropped.contains_key(doc)
                || self.heard_of_gone(n, doc)
        };
        let (n, _) = self.counted().find(|(n, node)| entitled(node) && !heard(*n, node))?;
        Some(format!("node {n} holds nothing of {doc} and was not told that it is gone"))
    }

    /// Every document with whoever holds it and is meant to, as all that is known of it together says.
    fn holders(&self) -> BTreeMap<DocId, Vec<(usize, &Node)>> {
        let mut holders: BTreeMap<DocId, Vec<(usize, &Node)>> = BTreeMap::new();
        for (n, node) in self.counted() {
            for doc in node.disk.documents.keys() {
                holders.entry(*doc).or_default().push((n, node));
            }
        }
        for (doc, theirs) in &mut holders {
            let narrowed = |(_, node): &(usize, &Node)| {
                node.disk.filed(doc).is_some_and(|filed| {
                    filed.fold.retired.is_some() || filed.document.proofs().next().is_some()
                })
            };
            if theirs.iter().any(narrowed) {
                let audience = Audience::of(&together(doc, theirs), &self.league.chain);
                theirs.retain(|(_, node)| audience.entitled(&node.disk.me));
            }
            for (_, node) in self.counted() {
                if let Some(dropped) = node.disk.kept.dropped.get(doc) {
                    theirs.retain(|(_, node)| dropped.audience.contains(&node.disk.me));
                }
            }
        }
        holders.retain(|_, theirs| !theirs.is_empty());
        holders
    }

    /// Through an aggregator only documents travel: a responders' blob needs a link to one who holds it.
    fn lacks_blob_in_reach(&self, n: usize, node: &Node) -> bool {
        node.disk.missing_blobs(usize::MAX).into_iter().any(|(doc, blob)| {
            let redacted = |filed: &Filed| filed.fold.redacted.contains_key(&blob.id);
            if node.disk.filed(&doc).is_some_and(redacted) {
                return false;
            }
            let holds = |(other, there): (usize, &Node)| {
                let serves = there.disk.filed(&doc).is_some_and(|theirs| {
                    let both = [&there.disk.me, &node.disk.me];
                    both.into_iter().all(|member| theirs.entitled_to_blob(member, &blob))
                });
                serves && there.disk.holds_blob(&doc, &blob.id) && self.links.contains_key(&pair(n, other))
            };
            self.counted().any(holds)
        })
    }

    /// At the end, beside being in step: digests agree, what is derived is equal, blobs lie only where
    /// they may, and what people were told is saved is saved.
    pub fn check_end(&mut self) -> Result<(), String> {
        if let Some((a, b, doc)) = self.digests_apart().next() {
            return Err(format!("nodes {a} and {b} hold the same and their digests differ about {doc}"));
        }
        for (n, node) in self.counted() {
            self.check_blobs(n, node)?;
            self.check_acknowledged(n)?;
            self.check_inherited(n)?;
        }
        let mut counts = (0, 0, 0);
        for (doc, holders) in self.holders() {
            self.check_read_anew(&doc, &holders)?;
            let Some(filed) = holders.first().and_then(|(_, node)| node.disk.filed(&doc)) else { continue };
            counts.0 += 1;
            counts.1 += u64::try_from(filed.document.len()).unwrap_or(0);
            counts.2 += u64::try_from(filed.fold.equivocators.len()).unwrap_or(0);
        }
        (self.report.documents, self.report.envelopes, self.report.proofs) = counts;
        if counts.2 > 0 {
            self.report.count("proof held");
        }
        Ok(())
    }

    /// Whatever was read while things happened reads the same now, and so does Automerge.
    fn check_read_anew(&self, doc: &DocId, holders: &[(usize, &Node)]) -> Result<(), String> {
        let mut first: Option<(&Fold, Vec<String>)> = None;
        let dropped = self.dropped_somewhere(doc);
        for (place, (n, node)) in holders.iter().enumerate() {
            let Some(filed) = node.disk.filed(doc) else { continue };
            let anew = Fold::of(&filed.document, &node.disk.rosters);
            if anew.as_ref() != Some(&*filed.fold) {
                return Err(format!("node {n} reads {doc} anew and finds something else"));
            }
            if filed.fold.retired.is_some() || dropped {
                continue;
            }
            let derives = place < DERIVED_PER_DOCUMENT - 1 || place + 1 == holders.len();
            let heads = if derives { automerge_heads(&filed.document)? } else { Vec::new() };
            let Some((fold, theirs)) = &first else {
                first = Some((&filed.fold, heads));
                continue;
            };
            if **fold != *filed.fold {
                return Err(format!("node {n} reads {doc} in another way than the others"));
            }
            if derives && *theirs != heads {
                return Err(format!("node {n} has other Automerge heads of {doc} than the others"));
            }
        }
        Ok(())
    }

    fn check_blobs(&self, n: usize, node: &Node) -> Result<(), String> {
        let mut may = BTreeSet::new();
        for (_, filed) in node.disk.documents.iter() {
            let audience = filed.audience_of_held(&node.disk.rosters);
            let named = filed.document.held().flat_map(|e| &e.header().blobs);
            let ours = |blob: &&BlobRef| filed.may_keep_blob(&audience, &node.disk.me, blob);
            may.extend(named.filter(ours).map(|blob| blob.id));
        }
        match node.disk.blobs.keys().find(|blob| !may.contains(blob)) {
            None => Ok(()),
            Some(blob) => Err(format!("node {n} holds blob {blob}, which is not for it")),
        }
    }
}

/// Everything that anybody holds of a document.
fn together(doc: &DocId, holders: &[(usize, &Node)]) -> Document {
    let mut all = Document::default();
    for filed in holders.iter().filter_map(|(_, node)| node.disk.filed(doc)) {
        for envelope in filed.document.held() {
            _ = all.insert(envelope.clone());
        }
        for proof in filed.document.proofs() {
            all.add_proof(proof.as_ref().clone());
        }
    }
    all
}

fn automerge_heads(document: &Document) -> Result<Vec<String>, String> {
    derive::heads(document).map_err(|e| format!("a document does not derive: {e}"))
}
