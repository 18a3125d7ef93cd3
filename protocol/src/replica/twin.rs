//! A node that meets what it signed itself and does not hold: it was restored and forgot, it was rolled
//! back without anybody telling it, or somebody else signs with its key.

use super::loaded::View;
use super::{Output, Replica, Shelf};
use crate::author::Lock;
use crate::envelope::AdmittedEnvelope;
use crate::ids::{DocId, EnvelopeId, MemberId};
use crate::limits::REFUSALS_KEPT_MAX;

impl Replica {
    /// An admitted envelope of this node's own came from a peer. Of an older generation that this node
    /// drew, it was forgotten in a restore, and is only taken in.
    pub(super) fn meet_own(&mut self, envelope: &AdmittedEnvelope, shelf: &dyn Shelf) {
        let (doc, id, generation) = (envelope.header().doc, envelope.id(), envelope.header().incarnation);
        // What is in memory may be behind what is committed.
        let here = || shelf.document(&doc).is_some_and(|document| document.contains(&id));
        if envelope.header().author != self.me || here() {
            return;
        }
        if !shelf.drew(generation) {
            self.alarm(doc, id);
        } else if generation == shelf.incarnation() && self.raised != Some(generation) {
            self.raised = Some(generation);
            self.out.push_back(Output::Raise { forgotten: generation });
        }
    }

    /// A proof about this node itself: it never says two things, so somebody else did.
    pub(super) fn meet_own_proofs(&mut self, doc: DocId, view: &View) {
        let own = view.document.proofs().find(|proof| proof.author() == self.me).map(|proof| proof.id());
        if let Some(id) = own {
            self.alarm(doc, id);
        }
    }

    fn alarm(&mut self, doc: DocId, evidence: EnvelopeId) {
        if self.alarmed.contains(&evidence) {
            return;
        }
        self.alarmed.push_back(evidence);
        if self.alarmed.len() > REFUSALS_KEPT_MAX {
            self.alarmed.pop_front();
        }
        self.out.push_back(Output::Twin { doc, evidence });
    }

    /// Lifts a restore's lock once this peer has told what it holds of the document and all of that is
    /// committed here.
    pub(super) fn note_shown(&mut self, peer: &MemberId, doc: DocId, view: &View, shelf: &dyn Shelf) {
        if !shelf.locks() || shelf.lock(&doc) != Some(Lock::Restored) {
            return;
        }
        let told = self.peers.get(peer).and_then(|state| state.known_talk(&doc)?.told.as_ref());
        let Some(told) = told.filter(|told| !told.is_empty()) else { return };
        let here = |id: &EnvelopeId| view.document.contains(id) || view.document.proof(id).is_some();
        if told.iter().all(|id| here(id) || self.is_refused(id, shelf)) {
            self.out.push_back(Output::Unlock { doc });
        }
    }
}
