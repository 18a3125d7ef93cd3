//! What lies on a disk beside its documents: envelopes without a verdict, and what is left of documents
//! whose contents were dropped.

use std::collections::BTreeMap;

use crate::ids::{DocId, EnvelopeId, MemberId, Millis};
use crate::limits::{HELD_PER_DOCUMENT_MAX, HELD_PER_PEER_MAX};
use crate::replica::{Dropped, Held};

/// What is kept beside the documents.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Envelopes without a verdict, in the order in which they came, each with when it was written.
    held: Vec<(Held, Millis)>,
    /// Retired documents whose contents were dropped here.
    pub dropped: BTreeMap<DocId, Dropped>,
    /// Retired documents of which a peer has dropped the contents, with the retire that it named.
    pub gone: BTreeMap<(MemberId, DocId), EnvelopeId>,
}

impl Kept {
    /// Holds one, unless it is held or its sender or its document has its share.
    pub fn hold(&mut self, now: Millis, held: Held) {
        let doc = held.envelope.header().doc;
        let of_peer = self.held.iter().filter(|(other, _)| other.from == held.from).count();
        let of_doc = self.held.iter().filter(|(other, _)| other.envelope.header().doc == doc).count();
        let room = of_peer < HELD_PER_PEER_MAX && of_doc < HELD_PER_DOCUMENT_MAX;
        if room && !self.holds(&held.envelope.id()) {
            let written = Millis(now.0.saturating_sub(held.age.0));
            self.held.push((held, written));
        }
    }

    /// Forgets those that were looked at.
    pub fn let_go(&mut self, done: impl Fn(&EnvelopeId) -> bool) {
        self.held.retain(|(held, _)| !done(&held.envelope.id()));
    }

    /// True for one that is held under later rules than these.
    pub fn waits(&self, id: &EnvelopeId, rules: u16) -> bool {
        let later = |held: &Held| held.envelope.header().rules_version > rules;
        self.held.iter().any(|(held, _)| held.envelope.id() == *id && later(held))
    }

    /// True for one that is held.
    #[must_use]
    pub fn holds(&self, id: &EnvelopeId) -> bool {
        self.held.iter().any(|(held, _)| held.envelope.id() == *id)
    }

    /// Those held under rules up to this version.
    pub fn ready(&self, rules: u16) -> impl Iterator<Item = &Held> {
        self.held
            .iter()
            .map(|(held, _)| held)
            .filter(move |held| held.envelope.header().rules_version <= rules)
    }

    /// Everything held, oldest first, as at `now`.
    pub fn held(&self, now: Millis) -> impl Iterator<Item = Held> + '_ {
        self.held.iter().map(move |(held, written)| Held { age: now.since(*written), ..held.clone() })
    }
}
