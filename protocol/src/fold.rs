//! Reading a document: who answers for it, how far the answer is, what was said. Deterministic over
//! the set of envelopes held, the highest roster and nothing else; nothing is ever un-applied.
//!
//! No field depends on the order between authors. Where one author's word counts, it is the last on
//! that author's own chain.

mod owned;

use std::collections::{BTreeMap, BTreeSet};

use crate::audience::Audience;
use crate::document::{Document, EnvelopeSet, is_transfer};
use crate::envelope::AdmittedEnvelope;
use crate::ids::{BlobId, Cell, Code, DocId, EnvelopeId, KeyIndex, MemberId, Millis, Pseudonym};
use crate::kind::{Service, Urgency};
use crate::operation::{
    ContributionKind, Disputed, Notice, Operation, Outcome, Point, ReferralAnswer, Response, Step,
};
use crate::proof::{ChainPlace, Proof, Statement};
use crate::roster::{KeyState, Role, Roster, RosterChain};

/// One step taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepTaken {
    /// Which.
    pub step: Step,
    /// The envelope that says so.
    pub envelope: EnvelopeId,
    /// Who wrote it.
    pub author: MemberId,
    /// When, as the author's clock said.
    pub written_at: Millis,
}

/// An offer that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingOffer {
    /// The envelope that offers.
    pub envelope: EnvelopeId,
    /// To whom.
    pub to: MemberId,
    /// The accept, if it came and is not committed yet.
    pub accept: Option<EnvelopeId>,
    /// A commit of that accept by whoever offered, which has no effect: its key was revoked since.
    pub commit: Option<EnvelopeId>,
}

/// A service that was asked to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Referral {
    /// Which service.
    pub service: Service,
    /// Its node, if it has one.
    pub to: Option<MemberId>,
    /// What it answered.
    pub answer: Option<ReferralAnswer>,
}

/// What an incident is and where, as last corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matter {
    /// The federation's kind.
    pub kind: u16,
    /// The municipality's own kind, 0 for none.
    pub local_kind: u16,
    /// How pressing.
    pub urgency: Urgency,
    /// The jurisdiction of the place.
    pub code: Code,
    /// The cell of the place.
    pub cell: Cell,
    /// The exact point, where it is shared.
    pub point: Option<Point>,
    /// The envelope that says where, once that is not the genesis any more. Its blob has the exact place.
    pub relocated: Option<EnvelopeId>,
}

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// The node that owns it.
    pub owner: MemberId,
    /// The node that answers for it: the owner, or the first good authority above.
    pub answering: MemberId,
    /// The transfer that made the owner; the genesis if there was none.
    pub winner: EnvelopeId,
    /// The last step that counts.
    pub step: Option<Step>,
    /// Every step that counts, by owner and in the order of their chains.
    pub steps: Vec<StepTaken>,
    /// How it ended, while it is closed.
    pub closed: Option<Outcome>,
    /// The owner's last offer, while it is neither committed nor declined.
    pub offer: Option<PendingOffer>,
    /// Who may take it over: the first good authority above the owner.
    pub authority: Option<MemberId>,
    /// That authority's last takeover offer, while it is neither committed nor declined.
    pub takeover: Option<PendingOffer>,
    /// What each crew did last.
    pub crews: BTreeMap<(MemberId, Pseudonym), Response>,
    /// How many people said what, each counted once per node and pseudonym.
    pub contributions: BTreeMap<ContributionKind, u32>,
    /// Who it is for.
    pub audience: Audience,
    /// What it is and where; none for a notice or a day of figures.
    pub matter: Option<Matter>,
    /// Services that were asked, by the envelope that asks.
    pub referrals: BTreeMap<EnvelopeId, Referral>,
    /// Documents of which the owner says that this one is a duplicate.
    pub links: BTreeSet<DocId>,
    /// Duplicates that the owner took in below this one.
    pub absorbed: BTreeSet<DocId>,
    /// What somebody disputes, and who.
    pub disputes: BTreeSet<(Disputed, MemberId)>,
    /// Responders' blobs that everybody who holds the document may see.
    pub released: BTreeSet<BlobId>,
    /// Blobs that are to be erased, each with the holders that said they did.
    pub redacted: BTreeMap<BlobId, BTreeSet<MemberId>>,
    /// The retire with the smallest id, once there is one.
    pub retired: Option<EnvelopeId>,
    /// What a mass message says last, and whether it was taken back.
    pub notice: Option<(Notice, bool)>,
    /// Authors proven to equivocate: what they wrote from that point on has no effect.
    pub equivocators: BTreeSet<MemberId>,
    /// Envelopes without effect: of an expelled node and unconfirmed.
    pub unconfirmed: BTreeSet<EnvelopeId>,
}

impl Fold {
    /// Reads a document; none while it is empty.
    #[must_use]
    pub fn of(document: &Document, rosters: &RosterChain) -> Option<Fold> {
        let genesis = document.genesis()?;
        let counting = counting(document, rosters);
        let chains = Chains::of(document, &counting, &cuts(document, &counting, rosters));
        let mut transfers = EnvelopeSet::default();
        for (place, _) in document.members(&counting).filter(|(_, e)| is_transfer(e)) {
            transfers.insert(place);
        }
        let winner = document.winner(&transfers);
        let owner = document.owner_by(winner).unwrap_or(genesis.header().author);
        let reigns = reigns(document, &chains, &transfers, winner);
        let steps: Vec<StepTaken> = reigns.iter().flatten().filter_map(|e| step_of(e)).collect();
        let (all, authority) = (document.all(), authority(owner, rosters.head()));
        let unconfirmed = document.members(&all).filter(|(place, _)| !counting.contains(*place));
        Some(Fold {
            owner,
            answering: answering(owner, &chains.equivocators, rosters),
            winner: document.at(winner)?.id(),
            step: steps.last().map(|taken| taken.step),
            closed: closed(reigns.last().map_or(&[], Vec::as_slice)),
            offer: pending(document, document.last_offer(&all, winner)),
            authority,
            takeover: authority.and_then(|authority| {
                pending(document, document.last_takeover_offer(&all, winner, authority))
            }),
            crews: chains.crews(),
            contributions: chains.contributions(),
            audience: Audience::of(document, rosters),
            matter: owned::matter(genesis, &reigns),
            referrals: owned::referrals(&reigns, &chains),
            links: owned::links(&reigns),
            absorbed: owned::absorbed(&reigns),
            disputes: chains.disputes(),
            released: owned::released(&reigns),
            redacted: owned::redacted(&chains),
            retired: document.retired(),
            notice: owned::notice(genesis, &chains),
            unconfirmed: unconfirmed.map(|(_, e)| e.id()).collect(),
            equivocators: chains.equivocators,
            steps,
        })
    }

    /// What a node writes by itself: the commit of an accept of its last offer, as the owner that still
    /// answers, or as the authority that takes over. If it committed that before its key was revoked and
    /// replaced, it cannot do so again: it seals its own word under the new key, and that counts.
    #[must_use]
    pub fn commits(&self, member: MemberId) -> Option<Operation> {
        if self.retired.is_some() {
            return None;
        }
        let sealed = |offer: PendingOffer| offer.commit.map(|last| Operation::Seal { node: member, last });
        let handed = self.offer.filter(|_| self.owner == member && self.answering == member);
        let taken = self.takeover.filter(|_| self.authority == Some(member));
        let taken = taken.filter(|_| !self.equivocators.contains(&member));
        let handed = handed.and_then(|offer| {
            sealed(offer).or_else(|| offer.accept.map(|accept| Operation::Commit { accept }))
        });
        handed.or_else(|| {
            let offer = taken?;
            sealed(offer).or_else(|| offer.accept.map(|accept| Operation::TakeoverCommit { accept }))
        })
    }

    /// Crews on the way or on site.
    #[must_use]
    pub fn crews_out(&self) -> usize {
        self.crews.values().filter(|response| **response != Response::Clear).count()
    }
}

/// The counting envelopes of each author, by chain place; those of an equivocator up to the fork.
struct Chains<'a> {
    by_author: BTreeMap<MemberId, Vec<(usize, &'a AdmittedEnvelope)>>,
    equivocators: BTreeSet<MemberId>,
}

impl<'a> Chains<'a> {
    fn of(document: &'a Document, counting: &'a EnvelopeSet, cuts: &BTreeMap<MemberId, ChainPlace>) -> Self {
        let mut by_author: BTreeMap<MemberId, Vec<(usize, &AdmittedEnvelope)>> = BTreeMap::new();
        for (place, envelope) in document.members(counting) {
            by_author.entry(envelope.header().author).or_default().push((place, envelope));
        }
        for (author, chain) in &mut by_author {
            chain.sort_by_key(|(_, e)| (e.chain_place(), e.id()));
            if let Some(cut) = cuts.get(author) {
                chain.retain(|(_, e)| e.chain_place() < *cut);
            }
        }
        Self { by_author, equivocators: cuts.keys().copied().collect() }
    }

    fn of_author(&self, author: &MemberId) -> &[(usize, &'a AdmittedEnvelope)] {
        self.by_author.get(author).map_or(&[], Vec::as_slice)
    }

    fn all(&self) -> impl Iterator<Item = &'a AdmittedEnvelope> + '_ {
        self.by_author.values().flatten().map(|(_, envelope)| *envelope)
    }

    fn crews(&self) -> BTreeMap<(MemberId, Pseudonym), Response> {
        let responses = self.all().filter_map(|e| {
            let Operation::Respond { response, crew } = e.operation() else { return None };
            Some(((e.header().author, *crew), *response))
        });
        responses.collect()
    }

    fn disputes(&self) -> BTreeSet<(Disputed, MemberId)> {
        let disputes = self.all().filter_map(|e| {
            let Operation::Dispute { what, .. } = e.operation() else { return None };
            Some((*what, e.header().author))
        });
        disputes.collect()
    }

    fn contributions(&self) -> BTreeMap<ContributionKind, u32> {
        let said: BTreeSet<_> = self
            .all()
            .filter_map(|e| {
                let Operation::Contribution { what, by } = e.operation() else { return None };
                Some((*what, e.header().author, *by))
            })
            .collect();
        let mut counts = BTreeMap::new();
        for (what, _, _) in said {
            *counts.entry(what).or_insert(0) += 1;
        }
        counts
    }
}

/// From which place of its chain on an author proven to equivocate is not believed. What a revoked key
/// signed proves nothing by itself: who stole it could unmake everything that its owner ever said.
fn cuts(
    document: &Document,
    counting: &EnvelopeSet,
    rosters: &RosterChain,
) -> BTreeMap<MemberId, ChainPlace> {
    let stands = |statement: &Statement| {
        let header = statement.header();
        let counts = document.place(&statement.id()).is_some_and(|place| counting.contains(place));
        counts || key_state(&header.author, header.key_index, rosters) != KeyState::Revoked
    };
    // Nobody is told of a proof about a document that is retired: what its retire had seen decides.
    let retired = document.retired().is_some();
    let within = |proof: &Proof| proof.statements().iter().all(|s| document.agrees_on(&s.id()));
    let proofs = document.proofs().filter(|proof| !retired || within(proof));
    let standing = proofs.filter(|proof| proof.statements().iter().all(stands));
    standing.map(|proof| (proof.author(), proof.from())).collect()
}

/// Envelopes that have effect. What a key that is still good or was retired signed counts. What a
/// revoked key signed counts if a counting envelope of another author, under a roster from before the
/// revocation, had seen it, or if it lies on the author's own good chain.
fn counting(document: &Document, rosters: &RosterChain) -> EnvelopeSet {
    let mut set = EnvelopeSet::default();
    let all = document.all();
    let envelopes: Vec<_> = document.members(&all).collect();
    for (place, envelope) in envelopes.into_iter().rev() {
        let header = envelope.header();
        let good = key_state(&header.author, header.key_index, rosters) != KeyState::Revoked;
        if !good && !set.contains(place) {
            continue;
        }
        set.insert(place);
        if good {
            let mut prev = envelope.header().prev();
            while let Some(place) = prev.and_then(|id| document.place(&id)) {
                set.insert(place);
                prev = document.at(place).and_then(|e| e.header().prev());
            }
        }
        confirm_seen(document, rosters, &mut set, place, envelope);
    }
    confirm_sealed(document, &mut set);
    set
}

/// The place of the transfer that made the owner, of those that have effect.
pub(crate) fn winner(document: &Document, rosters: &RosterChain) -> usize {
    let revoked = |e: &AdmittedEnvelope| {
        key_state(&e.header().author, e.header().key_index, rosters) == KeyState::Revoked
    };
    if document.envelopes().any(revoked) {
        document.winner(&counting(document, rosters))
    } else {
        document.winner(&document.all())
    }
}

/// A counting seal confirms the envelope that it names and everything before it on its chain.
fn confirm_sealed(document: &Document, set: &mut EnvelopeSet) {
    let sealed: Vec<EnvelopeId> = document
        .members(set)
        .filter_map(
            |(_, e)| if let Operation::Seal { last, .. } = e.operation() { Some(*last) } else { None },
        )
        .collect();
    for last in sealed {
        let mut next = Some(last);
        while let Some(place) = next.and_then(|id| document.place(&id)) {
            set.insert(place);
            next = document.at(place).and_then(|e| e.header().prev());
        }
    }
}

fn confirm_seen(
    document: &Document,
    rosters: &RosterChain,
    set: &mut EnvelopeSet,
    place: usize,
    by: &AdmittedEnvelope,
) {
    let Some(seen) = document.ancestors(place) else { return };
    let version = rosters.get(&by.header().roster).map_or(0, |roster| roster.version);
    for (place, envelope) in document.members(seen) {
        if set.contains(place) || envelope.header().author == by.header().author {
            continue;
        }
        let revoked_at = rosters.revoked_since(&envelope.header().author, envelope.header().key_index);
        if revoked_at.is_some_and(|revoked| version < revoked) {
            set.insert(place);
        }
    }
}

/// The state of a key in the highest roster; revoked if the member is listed no more.
fn key_state(member: &MemberId, key: KeyIndex, rosters: &RosterChain) -> KeyState {
    let key = rosters.head().member(member).and_then(|member| member.key(key));
    key.map_or(KeyState::Revoked, |key| key.state)
}

/// The owner, or the first good authority above it, or the good aggregator with the smallest id.
fn answering(owner: MemberId, equivocators: &BTreeSet<MemberId>, rosters: &RosterChain) -> MemberId {
    let head = rosters.head();
    let good = |member: &MemberId| head.good(member) && !equivocators.contains(member);
    if good(&owner) {
        return owner;
    }
    let above = head.above(owner).into_iter().find(&good);
    let aggregators = head.members().iter().filter(|member| member.roles.has(Role::Aggregator));
    above.or_else(|| aggregators.map(|member| member.id).find(&good)).unwrap_or(owner)
}

/// Who may take over from an owner under a roster: the nearest good authority above it, else the good
/// aggregator with the smallest id. Admission asks the same of the roster that an envelope names.
#[must_use]
pub fn authority(owner: MemberId, roster: &Roster) -> Option<MemberId> {
    let above = roster.above(owner).into_iter().find(|id| roster.good(id));
    above.or_else(|| {
        let aggregators = roster.members().iter().filter(|m| m.roles.has(Role::Aggregator));
        aggregators.filter(|m| m.is_good() && m.id != owner).map(|m| m.id).next()
    })
}

/// What each owner wrote while it was that, oldest owner first: the present one's after the winning
/// transfer; the one's before among that transfer's ancestors, and so on back.
fn reigns<'a>(
    document: &Document,
    chains: &Chains<'a>,
    transfers: &EnvelopeSet,
    winner: usize,
) -> Vec<Vec<&'a AdmittedEnvelope>> {
    let mut reigns: Vec<Vec<&AdmittedEnvelope>> = Vec::new();
    let mut within = document.all();
    let mut transfer = winner;
    loop {
        let owner = document.owner_by(transfer);
        let chain = owner.map_or(&[][..], |owner| chains.of_author(&owner));
        let during = |place: usize| {
            within.contains(place) && document.ancestors(place).is_some_and(|seen| seen.contains(transfer))
        };
        reigns.push(chain.iter().filter(|(place, _)| during(*place)).map(|(_, e)| *e).collect());
        if transfer == 0 {
            break;
        }
        within = document.ancestors(transfer).cloned().unwrap_or_default();
        let mut earlier = EnvelopeSet::default();
        for place in transfers.iter().filter(|place| within.contains(*place)) {
            earlier.insert(place);
        }
        transfer = document.winner(&earlier);
    }
    reigns.reverse();
    reigns
}

fn step_of(envelope: &AdmittedEnvelope) -> Option<StepTaken> {
    let Operation::Step { step, .. } = envelope.operation() else { return None };
    let header = envelope.header();
    Some(StepTaken {
        step: *step,
        envelope: envelope.id(),
        author: header.author,
        written_at: header.written_at,
    })
}

/// The last close or reopen of the present owner since it became that; a handoff hands over an open
/// incident, so an earlier owner's word does not close it.
fn closed(reign: &[&AdmittedEnvelope]) -> Option<Outcome> {
    let mut outcome = None;
    for envelope in reign {
        if let Operation::Close { outcome: ended, .. } = envelope.operation() {
            outcome = Some(*ended);
        } else if let Operation::Reopen { .. } = envelope.operation() {
            outcome = None;
        }
    }
    outcome
}

fn pending(document: &Document, last: Option<(&AdmittedEnvelope, MemberId)>) -> Option<PendingOffer> {
    let (offer, to) = last?;
    let answers =
        |e: &&AdmittedEnvelope| e.header().author == to && e.operation().answered_offer() == Some(offer.id());
    // Whoever forks its chain may answer twice: the first on its chain is its answer, whichever came first.
    let answer = document.envelopes().filter(answers).min_by_key(|e| (e.chain_place(), e.id()));
    let accept =
        answer.filter(|e| matches!(e.operation(), Operation::Accept { .. })).map(AdmittedEnvelope::id);
    if answer.is_some() && accept.is_none() {
        return None;
    }
    // One that counts would have made another owner, and this would be no pending offer.
    let commits = |e: &&AdmittedEnvelope| {
        e.header().author == offer.header().author
            && matches!(e.operation(), Operation::Commit { accept: named }
                | Operation::TakeoverCommit { accept: named } if Some(*named) == accept)
    };
    let commit = document.envelopes().filter(commits).min_by_key(|e| (e.chain_place(), e.id()));
    Some(PendingOffer { envelope: offer.id(), to, accept, commit: commit.map(AdmittedEnvelope::id) })
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod worst_day;
