//! Envelopes under rules that this release does not know: kept without a verdict, for as long as it
//! takes, and judged once the release knows the rules. Until then they are nobody's: not shown, not told
//! of, not confirmed, so that whoever sent them keeps them due; and not asked for again.

use std::collections::BTreeMap;

use super::arrival::{Checked, check_envelope};
use super::parking::{Parked, Stage};
use super::{Output, Replica, Shelf};
use crate::envelope::SignedEnvelope;
use crate::ids::{Cell, Code, DocId, EnvelopeId, MemberId, Millis};
use crate::kind::Urgency;
use crate::limits::{HELD_JUDGED_AT_ONCE, REFUSALS_KEPT_MAX};
use crate::message::Lane;
use crate::operation::{Class, peek_genesis};
use crate::roster::RosterChain;

/// An envelope without a verdict. Its signature and its operation's hash hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who sent it; not always who wrote it.
    pub from: MemberId,
    /// The envelope.
    pub envelope: SignedEnvelope,
    /// How long before now it was written, as the nodes on the way counted.
    pub age: Millis,
}

/// What can be read of an incident's genesis under any rules: enough to ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glimpse {
    /// How pressing.
    pub urgency: Urgency,
    /// The jurisdiction of the place.
    pub code: Code,
    /// The cell of the place.
    pub cell: Cell,
}

impl Held {
    /// What a desk may see of it: of a genesis alone, and only if the incident is this node's to see as
    /// far as can be told. That is so if the place is in its territory, if it stands above the author, or
    /// if the author itself sent it here. Whom else it is for is written in words of a later release.
    #[must_use]
    pub fn glimpse(&self, me: MemberId, rosters: &RosterChain) -> Option<Glimpse> {
        let header = self.envelope.header();
        let (class, urgency, code, cell) = peek_genesis(self.envelope.op_bytes()).ok()?;
        let begins = header.is_genesis() && header.doc == header.genesis_doc_id();
        if !begins || class != Class::Incident || !rosters.head().good(&header.author) {
            return None;
        }
        let named = rosters.get(&header.roster)?;
        let here = code != Code::OUTSIDE && named.receiving_node(code) == Some(me);
        let ours = here || self.from == header.author || named.above(header.author).contains(&me);
        ours.then_some(Glimpse { urgency, code, cell })
    }
}

impl Replica {
    /// Has an envelope kept that cannot be judged yet.
    pub(super) fn hold(&mut self, parked: Parked, shelf: &dyn Shelf) {
        let Stage::Verified(envelope) = &parked.stage else { return };
        self.note_sent(&parked, envelope.header().parents.as_slice());
        if self.is_held(&parked.id, shelf) {
            return;
        }
        self.holding.push_back(parked.id);
        if self.holding.len() > REFUSALS_KEPT_MAX {
            self.holding.pop_front();
        }
        let age = parked.age.plus(self.now.since(parked.arrived));
        let envelope = envelope.signed().clone();
        self.out.push_back(Output::Hold(Held { from: parked.peer, envelope, age }));
    }

    /// True for what is kept without a verdict: it is not asked for again.
    pub(super) fn is_held(&self, id: &EnvelopeId, shelf: &dyn Shelf) -> bool {
        self.holding.contains(id) || shelf.held(id)
    }

    /// Judges some of what was held under rules that this release knows. True if more is left.
    pub(super) fn judge_held(&mut self, shelf: &dyn Shelf) -> bool {
        // By now the shelf shows what is kept, and what is not may come again.
        self.holding.clear();
        let ready = shelf.held_ready(self.rules, HELD_JUDGED_AT_ONCE);
        let more = ready.len() == HELD_JUDGED_AT_ONCE;
        let mut documents: BTreeMap<DocId, Vec<Parked>> = BTreeMap::new();
        let mut done: Vec<EnvelopeId> = Vec::new();
        for Held { from, envelope, age } in ready {
            let (doc, id) = (envelope.header().doc, envelope.id());
            let stage = match check_envelope(envelope, &doc, &self.rosters) {
                Checked::Verified(envelope) => Stage::Verified(envelope),
                Checked::UnknownRoster(envelope) => Stage::Signed(envelope),
                Checked::Faulty(id, _) => {
                    done.push(id);
                    continue;
                }
            };
            let (arrived, lane) = (self.now, Lane::Backfill);
            documents.entry(doc).or_default().push(Parked {
                peer: from,
                doc,
                id,
                stage,
                blobs: Vec::new(),
                age,
                arrived,
                lane,
                asked: true,
                turn: None,
            });
        }
        for (doc, parked) in documents {
            let ids: Vec<EnvelopeId> = parked.iter().map(|parked| parked.id).collect();
            self.take_in(doc, parked, shelf);
            // What is on its way into the store is let go in that transaction, and so is what is refused.
            let ahead = self.loaded.ahead(&doc, shelf, &self.rosters);
            done.extend(ids.into_iter().filter(|id| !ahead.contains(id) && !self.is_refused(id, shelf)));
        }
        if !done.is_empty() {
            self.out.push_back(Output::LetGo { ids: done });
        }
        more
    }
}
