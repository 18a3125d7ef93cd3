//! What people do in a run: they open incidents, take steps, invite, hand over and add what they know.

use super::node::Write;
use super::world::{Event, World};
use crate::author::Draft;
use crate::envelope::{BlobClass, BlobRef};
use crate::fixture::{code, open, somebody};
use crate::fold::Fold;
use crate::ids::{DocId, MemberId, commitment, sha256};
use crate::kind::KINDS;
use crate::message::InlineBlob;
use crate::operation::{
    ContributionKind, HandoffReason, Measure, Operation, Outcome, ReopenReason, Response, Step, Summary,
    SummaryValue,
};

impl World {
    /// Somebody does something somewhere.
    pub(super) fn act(&mut self) -> Result<(), String> {
        if self.calm() {
            return Ok(());
        }
        let n = self.dice.below(self.nodes.len());
        if self.node(n).up {
            let documents: Vec<DocId> = self.node(n).disk.documents.keys().copied().collect();
            let begins = n < self.settings.municipal && (documents.is_empty() || self.dice.chance(180));
            if begins {
                self.begin(n);
            } else if let Some(doc) = self.dice.pick(&documents).copied() {
                if self.is_hostile(n) && self.dice.chance(400) {
                    self.act_hostile(n, doc)?;
                } else {
                    self.go_on(n, doc);
                }
            }
        }
        let every = self.settings.action_every_ms;
        self.after(every / 4, every * 2, Event::Act);
        Ok(())
    }

    fn begin(&mut self, n: usize) {
        if self.dice.chance(150) {
            let operation = self.figures(n);
            self.queue_local(n, None, operation, Vec::new());
            return;
        }
        let place = if self.dice.chance(700) { n } else { self.dice.below(self.settings.municipal) };
        let mut involved: Vec<MemberId> = Vec::new();
        for other in 0..self.settings.municipal {
            if other != n && self.dice.chance(350) {
                involved.push(self.federation.id(other));
            }
        }
        let offered_to = (place != n).then(|| self.federation.id(place));
        let seed = self.dice.draw();
        let kind = self.dice.pick(&KINDS).copied().filter(|kind| !kind.place);
        let Some(kind) = kind else { return };
        let operation = open(code(place), &kind, &involved, offered_to, seed);
        let blobs = self.words(n);
        self.queue_local(n, None, operation, blobs);
    }

    fn figures(&mut self, n: usize) -> Operation {
        let value = self.dice.between(0, 10_000);
        let values = vec![SummaryValue { measure: Measure::RegisteredAddresses, kind: 0, value }];
        Operation::Summary(Summary { code: code(n), day: 20_261_123, period: 202_611, values })
    }

    fn go_on(&mut self, n: usize, doc: DocId) {
        let Some(document) = self.node(n).disk.documents.get(&doc).cloned() else { return };
        let Some(fold) = Fold::of(&document, &self.node(n).disk.rosters) else { return };
        let me = self.federation.id(n);
        let summary = document.genesis().is_some_and(|g| matches!(g.operation(), Operation::Summary(_)));
        let operation = if summary {
            (fold.owner == me).then(|| self.figures(n))
        } else if fold.offer.is_some_and(|offer| offer.to == me && offer.accept.is_none()) {
            fold.offer.map(|offer| self.answer(offer.envelope))
        } else if fold.owner == me {
            Some(self.owner_acts(n, &fold))
        } else if fold.audience.involved.contains(&me) {
            Some(self.neighbour_acts())
        } else {
            None
        };
        let Some(operation) = operation else { return };
        let carries = matches!(operation, Operation::Note { .. } | Operation::Media { .. });
        let blobs = if carries { self.words(n) } else { Vec::new() };
        self.queue_local(n, Some(doc), operation, blobs);
    }

    fn answer(&mut self, offer: crate::ids::EnvelopeId) -> Operation {
        if self.dice.chance(750) {
            Operation::Accept { offer }
        } else {
            Operation::Decline { offer, reason: HandoffReason::NoCrew }
        }
    }

    fn owner_acts(&mut self, n: usize, fold: &Fold) -> Operation {
        let other = (n + 1 + self.dice.below(self.settings.municipal.max(2) - 1)) % self.settings.municipal;
        let to = self.federation.id(if other == n { self.federation.precinct() } else { other });
        let by = somebody(1);
        match (self.dice.below(10), fold.closed) {
            (0..=3, _) => {
                let step = self.dice.pick(Step::ALL).copied().unwrap_or(Step::Received);
                Operation::Step { step, by }
            }
            (4, _) => Operation::Invite { member: to },
            (5..=7, _) => Operation::Offer { to, reason: HandoffReason::Means },
            (_, None) => Operation::Close { outcome: Outcome::Helped, by },
            (_, Some(_)) => Operation::Reopen { reason: ReopenReason::Again, by },
        }
    }

    fn neighbour_acts(&mut self) -> Operation {
        match self.dice.below(4) {
            0 => Operation::Note { by: somebody(2) },
            1 => Operation::Media { by: somebody(3) },
            2 => Operation::Respond { response: Response::OnTheWay, crew: somebody(4) },
            _ => Operation::Contribution { what: ContributionKind::SawItToo, by: somebody(5) },
        }
    }

    /// Sometimes words, small enough to ride along.
    fn words(&mut self, n: usize) -> Vec<InlineBlob> {
        if self.dice.chance(500) {
            return Vec::new();
        }
        let salt = sha256(&[&self.dice.draw().to_be_bytes(), &n.to_be_bytes()]);
        let content = vec![b'x'; self.dice.below(300)];
        vec![InlineBlob { id: commitment(&salt, &content), salt, content }]
    }

    /// Hands an operation to a node's writer.
    pub(super) fn queue_local(
        &mut self,
        n: usize,
        doc: Option<DocId>,
        operation: Operation,
        blobs: Vec<InlineBlob>,
    ) {
        let named = blobs.iter().map(|blob| BlobRef { class: BlobClass::Responders, id: blob.id });
        let (answers, written_at) = (operation.answers(), self.now);
        let draft = Draft { operation, blobs: named.collect(), answers, written_at };
        self.queue(n, Write::Local { doc, draft, blobs });
    }
}
