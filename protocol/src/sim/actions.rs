//! What people do in a run: whoever may do something at that moment does one of the things that they
//! may, whichever of all operations that is.

use super::disk::{Disk, Filed};
use super::node::Write;
use super::world::{Event, World};
use crate::author::Draft;
use crate::document::{Document, offered_to};
use crate::envelope::{BlobClass, BlobRef};
use crate::fixture::{code, open, somebody};
use crate::fold::Fold;
use crate::ids::{BlobId, Cell, DocId, EnvelopeId, MemberId, Millis, Nonce, commitment, sha256};
use crate::kind::{KINDS, Service, Urgency};
use crate::message::InlineBlob;
use crate::operation::{
    Class, ContributionKind, Disputed, HandoffReason, Measure, Notice, NoticeMode, Operation, Outcome,
    ReferralAnswer, Relocate, ReopenReason, Response, Step, Summary, SummaryValue,
};

/// The cell of every place in a run: no rule looks at where it is.
const CELL: Cell = Cell(0x089b_2c54_0cff_ffff);

/// Somebody before a document, with what they see of it.
pub(super) struct Desk<'a> {
    pub me: MemberId,
    pub disk: &'a Disk,
    pub document: &'a Document,
    pub fold: &'a Fold,
}

impl World {
    /// Somebody does something somewhere.
    pub fn act(&mut self) -> Result<(), String> {
        if self.calm() {
            return Ok(());
        }
        let n = self.dice.below(self.nodes.len());
        if self.node(n).up && !self.node(n).closing {
            let documents: Vec<DocId> = self.node(n).disk.documents.keys().copied().collect();
            let few = documents.len() < self.settings.documents && self.dice.chance(180);
            let begins = self.league.is_town(self.node(n).member) && (documents.is_empty() || few);
            if begins || (documents.is_empty() && self.dice.chance(100)) {
                self.begin(n);
            } else if let Some(doc) = self.dice.pick(&documents).copied() {
                if self.node(n).hostile && self.dice.chance(500) {
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
        let member = self.node(n).member;
        let town = self.league.is_town(member);
        let roll = self.dice.below(1_000);
        if roll < 120 || !town {
            let notice = self.notice(member);
            let blobs = self.words(n);
            self.queue_with(n, None, Operation::NoticeOpen(notice), blobs, BlobClass::Shared);
        } else if roll < 240 {
            let operation = self.figures(member);
            self.queue_local(n, None, operation, Vec::new());
        } else {
            let operation = self.incident(n);
            let blobs = self.words(n);
            self.queue_local(n, None, operation, blobs);
        }
    }

    /// In its own territory as a rule; in another's it is offered to whoever receives there.
    fn incident(&mut self, n: usize) -> Operation {
        let member = self.node(n).member;
        let towns: Vec<usize> = self.league.towns().collect();
        let place =
            if self.dice.chance(700) { member } else { self.dice.pick(&towns).copied().unwrap_or(member) };
        let me = self.league.id(member);
        let receiver = self.node(n).disk.rosters.head().receiving_node(code(place));
        let mut involved: Vec<MemberId> = Vec::new();
        let most = if towns.len() > 6 { 150 } else { 350 };
        for other in towns {
            let listed = self.node(n).disk.rosters.head().member(&self.league.id(other)).is_some();
            if other != member && listed && self.dice.chance(most) {
                involved.push(self.league.id(other));
            }
        }
        let seed = self.dice.draw();
        let [first, ..] = &KINDS;
        let ordinary: Vec<_> = KINDS.iter().filter(|kind| !kind.place).collect();
        let kind = self.dice.pick(&ordinary).copied().unwrap_or(first);
        open(code(place), kind, &involved, receiver.filter(|receiver| *receiver != me), seed)
    }

    fn figures(&mut self, member: usize) -> Operation {
        let value = self.dice.between(0, 10_000);
        let values = vec![SummaryValue { measure: Measure::RegisteredAddresses, kind: 0, value }];
        Operation::Summary(Summary { code: code(member), day: 20_261_123, period: 202_611, values })
    }

    /// For its own town, for a town below it, or for the country.
    fn notice(&mut self, member: usize) -> Notice {
        let towns: Vec<usize> = self.league.towns().collect();
        let town = self.dice.pick(&towns).copied().unwrap_or(0);
        let country = member == self.league.national() && self.dice.chance(500);
        let mut area = code(if self.league.is_town(member) { member } else { town });
        if country {
            area.number = 0;
        }
        let seed = self.dice.draw().to_be_bytes();
        Notice {
            urgency: Urgency::High,
            code: area,
            nonce: Nonce(sha256(&[b"notice", &seed])),
            mode: if self.dice.chance(500) { NoticeMode::Live } else { NoticeMode::Drill },
            opened: Millis(1_000),
            expires: Millis(2_000),
            cells: Vec::new(),
        }
    }

    fn go_on(&mut self, n: usize, doc: DocId) {
        let filed = self.node(n).disk.filed(&doc).cloned();
        let Some(Filed { document, fold, .. }) = filed else { return };
        let member = self.node(n).member;
        let class = document.genesis().and_then(|genesis| genesis.operation().genesis_class());
        let operation = match class {
            Some(Class::Summary) => (fold.owner == self.league.id(member)).then(|| self.figures(member)),
            Some(Class::Notice) => self.in_notice(n, &fold),
            Some(Class::Incident) => self.in_incident(n, &document, &fold),
            None => None,
        };
        let Some(operation) = operation else { return };
        if matches!(operation, Operation::TakeoverOffer { .. }) && self.lives(&fold.owner) {
            self.report.count("takeover against an owner that lives");
        }
        let to_all = matches!(operation, Operation::Close { .. } | Operation::NoticeUpdate(_));
        let to_some =
            matches!(operation, Operation::Note { .. } | Operation::Media { .. } | Operation::Dispute { .. });
        let blobs = if to_all || to_some { self.words(n) } else { Vec::new() };
        let class = if to_all { BlobClass::Shared } else { BlobClass::Responders };
        self.queue_with(n, Some(doc), operation, blobs, class);
    }

    fn lives(&self, member: &MemberId) -> bool {
        self.nodes.iter().any(|node| node.disk.me == *member && node.up && !node.hostile)
    }

    fn in_notice(&mut self, n: usize, fold: &Fold) -> Option<Operation> {
        let (notice, cancelled) = fold.notice.clone()?;
        if fold.owner != self.node(n).disk.me || cancelled {
            return None;
        }
        let ends = self.dice.chance(400);
        Some(if ends {
            Operation::NoticeCancel { by: somebody(1) }
        } else {
            Operation::NoticeUpdate(Notice { expires: Millis(notice.expires.0 + 1_000), ..notice })
        })
    }

    /// One of the things that this node may do now.
    pub fn in_incident(&mut self, n: usize, document: &Document, fold: &Fold) -> Option<Operation> {
        let node = self.nodes.get(n)?;
        let desk = Desk { me: node.disk.me, disk: &node.disk, document, fold };
        let mut may = Vec::new();
        desk.answers(&mut may);
        if may.is_empty() || self.dice.chance(300) {
            let mut dice = self.dice.clone();
            desk.may(&mut dice, &mut may);
            self.dice = dice;
        }
        self.dice.pick(&may).cloned()
    }

    /// Sometimes words, small enough to ride along.
    fn words(&mut self, n: usize) -> Vec<InlineBlob> {
        if self.dice.chance(400) {
            return Vec::new();
        }
        let salt = sha256(&[&self.dice.draw().to_be_bytes(), &n.to_be_bytes()]);
        let content = vec![b'x'; self.dice.below(300)];
        vec![InlineBlob { id: commitment(&salt, &content), salt, content }]
    }

    /// Hands an operation to a node's writer, with blobs for the responders.
    pub fn queue_local(
        &mut self,
        n: usize,
        doc: Option<DocId>,
        operation: Operation,
        blobs: Vec<InlineBlob>,
    ) {
        self.queue_with(n, doc, operation, blobs, BlobClass::Responders);
    }

    fn queue_with(
        &mut self,
        n: usize,
        doc: Option<DocId>,
        operation: Operation,
        blobs: Vec<InlineBlob>,
        class: BlobClass,
    ) {
        let named = blobs.iter().map(|blob| BlobRef { class, id: blob.id });
        let (answers, written_at) = (operation.answers(), self.node(n).wall(self.now));
        let draft = Draft { operation, blobs: named.collect(), answers, written_at };
        self.queue(n, Write::Local { doc, draft, blobs });
    }

    /// A node that was told to erase blobs says that it did.
    pub fn give_receipts(&mut self, n: usize, doc: &DocId) {
        let node = self.node(n);
        let Some(filed) = node.disk.filed(doc) else { return };
        let me = node.disk.me;
        let owed = filed.fold.redacted.iter().filter(|(_, gone_at)| !gone_at.contains(&me));
        let blobs: Vec<BlobId> = owed.map(|(blob, _)| *blob).collect();
        let may = filed.fold.audience.involved.contains(&me) && filed.fold.retired.is_none();
        let waits = node.queue.iter().any(|write| {
            matches!(write, Write::Local { doc: Some(other), draft, .. }
                if other == doc && matches!(draft.operation, Operation::Erased { .. }))
        });
        if !blobs.is_empty() && may && !waits && node.up && !node.hostile {
            self.queue_local(n, Some(*doc), Operation::Erased { blobs }, Vec::new());
        }
    }
}

impl Desk<'_> {
    /// What waits for this node: an offer, an accept, a referral.
    pub fn answers(&self, may: &mut Vec<Operation>) {
        for envelope in self.document.envelopes() {
            let id = envelope.id();
            let answered = || self.document.envelopes().any(|e| e.operation().answered_offer() == Some(id));
            let taken_to =
                if let Operation::TakeoverOffer { to } = envelope.operation() { Some(*to) } else { None };
            let offered = offered_to(envelope).or(taken_to);
            if offered == Some(self.me) && !answered() {
                may.extend([
                    Operation::Accept { offer: id },
                    Operation::Accept { offer: id },
                    Operation::Accept { offer: id },
                    Operation::Decline { offer: id, reason: HandoffReason::NoCrew },
                ]);
            }
            if let Operation::Accept { offer } = envelope.operation()
                && let Some(asked) = self.document.envelope(offer)
                && matches!(asked.operation(), Operation::TakeoverOffer { .. })
                && asked.header().author == self.me
            {
                may.push(Operation::TakeoverCommit { accept: id });
            }
            self.referral(envelope.operation(), id, may);
        }
    }

    fn referral(&self, asked: &Operation, id: EnvelopeId, may: &mut Vec<Operation>) {
        let Operation::Refer { to, .. } = asked else { return };
        let mine = to.map_or(self.fold.owner == self.me, |to| to == self.me);
        let open = self.fold.referrals.get(&id).is_some_and(|referral| referral.answer.is_none());
        if mine && open {
            let by = somebody(8);
            let answer = ReferralAnswer::Accepted;
            may.push(Operation::AnswerReferral { referral: id, answer, by });
        }
    }

    /// Everything else that this node may do, each drawn once.
    pub fn may(&self, dice: &mut super::dice::Dice, may: &mut Vec<Operation>) {
        let owner = self.fold.owner == self.me;
        if owner && self.fold.answering == self.me {
            self.owner_may(dice, may);
        }
        if self.fold.audience.involved.contains(&self.me) {
            let by = somebody(4);
            may.extend([
                Operation::Note { by },
                Operation::Media { by },
                Operation::Respond {
                    response: *dice.pick(Response::ALL).unwrap_or(&Response::Clear),
                    crew: by,
                },
                Operation::Contribution { what: ContributionKind::SawItToo, by },
                Operation::Dispute { what: Disputed::Place, by },
            ]);
        }
        self.authority_may(dice, may);
        let mine = self.document.envelopes().filter(|e| owner || e.header().author == self.me);
        let named: Vec<BlobId> = mine.flat_map(|e| &e.header().blobs).map(|blob| blob.id).collect();
        if let Some(blob) = dice.pick(&named).filter(|_| dice.clone().chance(300)) {
            may.push(Operation::Redact { blobs: vec![*blob] });
        }
    }

    fn owner_may(&self, dice: &mut super::dice::Dice, may: &mut Vec<Operation>) {
        let by = somebody(1);
        let head = self.disk.rosters.head();
        let others: Vec<MemberId> =
            head.members().iter().map(|member| member.id).filter(|id| *id != self.me).collect();
        let Some(to) = dice.pick(&others).copied() else { return };
        let step = dice.pick(Step::ALL).copied().unwrap_or(Step::Received);
        let urgency = if dice.chance(500) { Urgency::Low } else { Urgency::High };
        may.extend([
            Operation::Step { step, by },
            Operation::Step { step, by },
            Operation::Invite { member: to },
            Operation::Offer { to, reason: HandoffReason::Means },
            Operation::Offer { to, reason: HandoffReason::Hours },
            Operation::Reclassify { kind: 12, local_kind: 0, urgency, by },
        ]);
        let place = Relocate { code: code(0), cell: CELL, involved: vec![to], point: None, by };
        may.push(Operation::Relocate(place));
        let services = |id: &&MemberId| head.has_role(id, crate::roster::Role::Service);
        let service = others.iter().find(services).copied().filter(|_| dice.chance(700));
        may.push(Operation::Refer { service: Service::Police, to: service, by });
        if self.fold.closed.is_some() {
            may.push(Operation::Reopen { reason: ReopenReason::Again, by });
            if dice.chance(600) {
                may.push(Operation::Retire);
            }
        } else {
            may.extend(
                [Outcome::Helped, Outcome::NothingFound].map(|outcome| Operation::Close { outcome, by }),
            );
        }
        self.duplicates(dice, may);
        self.seals(dice, may);
        let responders = self.document.envelopes().flat_map(|e| &e.header().blobs);
        let closed: Vec<BlobId> =
            responders.filter(|blob| blob.class == BlobClass::Responders).map(|blob| blob.id).collect();
        if let Some(blob) = dice.pick(&closed) {
            may.push(Operation::Release { blobs: vec![*blob] });
        }
    }

    /// Links of this document, and documents that are linked to it.
    fn duplicates(&self, dice: &mut super::dice::Dice, may: &mut Vec<Operation>) {
        let (by, mine) = (somebody(2), self.document.id());
        let others: Vec<DocId> =
            self.disk.documents.keys().copied().filter(|doc| Some(*doc) != mine).collect();
        if let Some(target) = dice.pick(&others) {
            may.push(Operation::Link { target: *target, by });
        }
        if let Some(target) = self.fold.links.first() {
            may.push(Operation::Unlink { target: *target, by });
        }
        let linked = |filed: &Filed| mine.is_some_and(|mine| filed.fold.links.contains(&mine));
        let linked = self.disk.documents.iter().find(|(_, filed)| linked(filed));
        if let Some((document, _)) = linked {
            may.push(Operation::Absorb { document: *document, by });
        }
    }

    /// Seals what does not count first, else anybody's last word.
    fn seals(&self, dice: &mut super::dice::Dice, may: &mut Vec<Operation>) {
        let theirs: Vec<(MemberId, EnvelopeId)> = self
            .document
            .envelopes()
            .filter(|e| e.header().author != self.me)
            .map(|e| (e.header().author, e.id()))
            .collect();
        let open = theirs.iter().find(|(_, id)| self.fold.unconfirmed.contains(id)).copied();
        let any = dice.pick(&theirs).copied();
        if let Some((node, last)) = open.or(any) {
            may.push(Operation::Seal { node, last });
        }
    }

    /// Whoever stands above the owner may take the incident over, and does so where the owner is gone
    /// rather than where it is not.
    fn authority_may(&self, dice: &mut super::dice::Dice, may: &mut Vec<Operation>) {
        let head = self.disk.rosters.head();
        let owner = self.fold.owner;
        let above = head.above(owner).into_iter().find(|id| head.good(id));
        if above != Some(self.me) {
            return;
        }
        let gone = self.fold.answering != owner;
        let mut near: Vec<MemberId> = head.neighbours(owner);
        near.extend(
            head.members()
                .iter()
                .map(|m| m.id)
                .filter(|id| head.has_role(id, crate::roster::Role::Aggregator)),
        );
        near.retain(|id| *id != owner && head.good(id));
        if let Some(to) = dice.pick(&near).copied()
            && (gone || dice.chance(150))
        {
            may.push(Operation::TakeoverOffer { to });
        }
    }
}
