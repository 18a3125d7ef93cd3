//! Writing: how a node's own operation becomes an envelope. Only the store's writer calls this, inside
//! the transaction that stores the result, so that two clicks at once never fork the node's chain.

use ed25519_dalek::{Signer as _, SigningKey};

use crate::admission::{Ground, Refusal, Verdict, admit};
use crate::document::Document;
use crate::envelope::{AdmittedEnvelope, BlobRef, Header, RULES_VERSION, SignedEnvelope, VerifiedEnvelope};
use crate::fold::winner;
use crate::ids::{DocId, EnvelopeId, Incarnation, KeyIndex, MemberId, Millis, Seq, sha256};
use crate::limits::{INCARNATIONS_MAX, OPERATION_BYTES_MAX, PARENTS_MAX};
use crate::operation::{Class, Operation};
use crate::roster::{KeyPurpose, KeyState, MemberKey, Roster, RosterChain};

/// What a use case asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What to say.
    pub operation: Operation,
    /// Blobs that belong to it, at most [`crate::limits::BLOBS_MAX`].
    pub blobs: Vec<BlobRef>,
    /// Envelopes that it answers (the offer, the accept); they become parents before other heads do.
    pub answers: Vec<EnvelopeId>,
    /// The node's clock, for people.
    pub written_at: Millis,
}

/// The node's own hand: who it is and with what it signs. Prints no key.
pub struct Hand {
    /// The node.
    pub member: MemberId,
    /// Which of its keys this is.
    pub key_index: KeyIndex,
    /// The key.
    pub key: SigningKey,
    /// Its generation.
    pub incarnation: Incarnation,
}

impl std::fmt::Debug for Hand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hand").field("member", &self.member).field("key_index", &self.key_index).finish()
    }
}

impl Hand {
    /// The hand that a member signs with under this roster: of the keys that it holds, the newest that the
    /// roster lists as active. None if it holds no such key. Asked anew for every signature: a key that
    /// was just retired signs nothing more, and one that the roster does not name yet signs nothing yet.
    #[must_use]
    pub fn under(
        roster: &Roster,
        member: MemberId,
        held: &[SigningKey],
        incarnation: Incarnation,
    ) -> Option<Hand> {
        let listed = &roster.member(&member)?.keys;
        let usable = |key: &&MemberKey| key.purpose == KeyPurpose::Envelope && key.state == KeyState::Active;
        listed.iter().rev().filter(usable).find_map(|listed| {
            let key = held.iter().find(|key| key.verifying_key().to_bytes() == listed.public)?;
            Some(Hand { member, key_index: listed.index, key: key.clone(), incarnation })
        })
    }

    /// What a document is begun with, and the roster that its genesis names: the newest one with rules up to
    /// `rules` that lists a key that is held as active. No alert waits for new keys of a node whose own were
    /// all revoked.
    #[must_use]
    pub fn to_begin<'a>(
        rosters: &'a RosterChain,
        member: MemberId,
        held: &[SigningKey],
        incarnation: Incarnation,
        rules: u16,
    ) -> Option<(Hand, &'a Roster)> {
        let under = |roster: &Roster| Hand::under(roster, member, held, incarnation);
        let fits = |roster: &Roster| roster.rules_version <= rules && under(roster).is_some();
        let named = rosters.newest_that(fits)?;
        Some((under(named)?, named))
    }
}

/// Why a node does not write in a document for now. A document that it opens itself is never locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[repr(u8)]
pub enum Lock {
    /// It was restored from a copy, and no peer has shown yet what it had said in this document.
    #[error("the node was restored, and no peer has shown yet what it had said here")]
    Restored = 1,
    /// Somebody else signs with its key: a person must find out who.
    #[error("somebody else signs as this node; a person has to find out who")]
    Twin = 2,
}

/// Why a draft did not become an envelope. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The rules do not allow it here and now.
    #[error("the rules do not allow it")]
    Refused(#[source] Refusal),
    /// The operation is larger than [`OPERATION_BYTES_MAX`].
    #[error("the operation is larger than one envelope holds")]
    TooLarge,
    /// The document that it continues is not here.
    #[error("the document that it continues is not here")]
    NoDocument,
    /// The node does not write in this document for now.
    #[error("this node does not write there for now")]
    Locked(#[source] Lock),
    /// The node is proven to have said two things in one place of its chain there.
    #[error("this node is proven to have said two things there: its word does not count any more")]
    Proven,
    /// A newer generation of this node has written there than the one that it runs under.
    #[error("a newer generation of this node has written there")]
    Behind,
    /// It wrote there under as many generations as one author may: one more would be a proof against it.
    #[error("this node was restored so often that its word in this document would not count any more")]
    Generations,
}

/// Picks parents, chain place and roster, signs, and admits the result by the same rules that
/// everybody else will apply. `document` is none for a genesis.
pub fn seal(
    draft: &Draft,
    document: Option<&Document>,
    hand: &Hand,
    rosters: &RosterChain,
) -> Result<AdmittedEnvelope, SealError> {
    seal_knowing(draft, document, hand, rosters, RULES_VERSION)
}

/// As [`seal`], for a release whose newest rules are `rules`. Where the roster activates later ones, a new
/// document is begun under the newest roster whose rules are known: no alert waits for an upgrade.
pub fn seal_knowing(
    draft: &Draft,
    document: Option<&Document>,
    hand: &Hand,
    rosters: &RosterChain,
    rules: u16,
) -> Result<AdmittedEnvelope, SealError> {
    let named = if document.is_some() { rosters.head() } else { rosters.newest_under(rules) };
    seal_under(draft, document, hand, rosters, named, rules)
}

/// As [`seal_knowing`], with the roster that the envelope names, one of `rosters`.
pub fn seal_under(
    draft: &Draft,
    document: Option<&Document>,
    hand: &Hand,
    rosters: &RosterChain,
    named: &Roster,
    rules: u16,
) -> Result<AdmittedEnvelope, SealError> {
    let op_bytes = draft.operation.encode();
    if op_bytes.len() > OPERATION_BYTES_MAX {
        return Err(SealError::TooLarge);
    }
    if document.is_some_and(|document| document.proven(&hand.member)) {
        return Err(SealError::Proven);
    }
    let prev = document.and_then(|document| document.last_of(&hand.member));
    // Going on under a generation that this node did not draw could say two things in one place.
    if prev.is_some_and(|prev| prev.header().incarnation > hand.incarnation) {
        return Err(SealError::Behind);
    }
    if document
        .is_some_and(|document| document.generations(&hand.member, hand.incarnation) > INCARNATIONS_MAX)
    {
        return Err(SealError::Generations);
    }
    let parents =
        document.map_or_else(Vec::new, |document| choose_parents(document, prev, &draft.answers, rosters));
    if document.is_some() && parents.is_empty() {
        return Err(SealError::NoDocument);
    }
    let prev_id = prev.map(AdmittedEnvelope::id);
    let prev_place = parents.iter().position(|parent| Some(*parent) == prev_id).map_or(0, |place| place + 1);
    let mut header = Header {
        federation: rosters.federation(),
        doc: document.and_then(Document::id).unwrap_or(DocId([0; 32])),
        rules_version: document
            .and_then(Document::genesis)
            .map_or_else(|| named.rules_version, |genesis| genesis.header().rules_version),
        roster: named.hash(),
        author: hand.member,
        key_index: hand.key_index,
        incarnation: hand.incarnation,
        seq: Seq(prev.map_or(1, |prev| prev.header().seq.0.saturating_add(1))),
        parents,
        prev_at: u8::try_from(prev_place).expect("parents are at most PARENTS_MAX"),
        op_type: draft.operation.op_type(),
        op_len: u32::try_from(op_bytes.len()).expect("bounded by OPERATION_BYTES_MAX above"),
        op_hash: sha256(&[&op_bytes]),
        blobs: draft.blobs.clone(),
        written_at: draft.written_at,
    };
    if document.is_none() {
        header.doc = header.genesis_doc_id();
    }
    let signature = hand.key.sign(&header.sig_input()).to_bytes().to_vec();
    let signed = VerifiedEnvelope::just_signed(SignedEnvelope::assemble(header, &op_bytes, &signature));
    match admit(signed, &Ground { rosters, document, rules, rejected: &|_| false }) {
        Verdict::Admitted(envelope) => Ok(envelope),
        Verdict::Rejected(refusal) => Err(SealError::Refused(refusal)),
        Verdict::Parked(_) | Verdict::Held => Err(SealError::NoDocument),
    }
}

/// The node's previous envelope, what the operation answers, the winning transfer, then other heads,
/// as many as fit; what another parent had seen already is left out, save the previous one.
///
/// Admission counts every transfer among the ancestors, a reading only those that have effect. So a head
/// that would bring another owner with it, by a transfer of an expelled node that counts for nothing, is
/// left out: otherwise whoever reads as the owner could never write as the owner.
fn choose_parents(
    document: &Document,
    prev: Option<&AdmittedEnvelope>,
    answers: &[EnvelopeId],
    rosters: &RosterChain,
) -> Vec<EnvelopeId> {
    let prev = prev.map(AdmittedEnvelope::id);
    // A day of figures has no owner: its chain is its author's alone.
    let incident = document.genesis().and_then(|g| g.operation().genesis_class()) == Some(Class::Incident);
    let place = if incident { winner(document, rosters) } else { 0 };
    let misled = incident && document.winner(&document.all()) != place;
    let needed = document.at(place).filter(|_| incident).map(AdmittedEnvelope::id);
    let mut chosen: Vec<EnvelopeId> = Vec::new();
    for id in prev.into_iter().chain(answers.iter().copied()).chain(needed) {
        add_parent(document, &mut chosen, id);
    }
    for id in document.heads() {
        let before = chosen.clone();
        add_parent(document, &mut chosen, id);
        let seen = document.closure(&chosen).unwrap_or_default();
        if misled && document.winner(&seen) != place {
            chosen = before;
        }
    }
    chosen.sort_unstable();
    chosen
}

fn add_parent(document: &Document, chosen: &mut Vec<EnvelopeId>, id: EnvelopeId) {
    let seen = document.closure(chosen).unwrap_or_default();
    let covered = document.place(&id).is_none_or(|place| seen.contains(place));
    if !covered && chosen.len() < PARENTS_MAX {
        chosen.push(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Federation, active_key, code, member_key, open};
    use crate::kind;

    #[test]
    fn the_hand_is_the_newest_active_key_that_is_held_and_never_a_retired_one() {
        let mut federation = Federation::new(1);
        let id = federation.id(0);
        let (old, new) = (member_key(0, 0), member_key(0, 1));
        let index = |federation: &Federation, held: &[SigningKey]| {
            let hand = Hand::under(federation.rosters.head(), id, held, Incarnation::new(0, 7));
            hand.map(|hand| hand.key_index)
        };
        let both = [old.clone(), new];
        assert_eq!(index(&federation, &both), Some(KeyIndex(0)), "the roster does not name the new one yet");
        federation.publish(|body| own(body, id).push(active_key(0, 1)));
        assert_eq!(index(&federation, &both), Some(KeyIndex(1)), "both are active");
        assert_eq!(index(&federation, std::slice::from_ref(&old)), Some(KeyIndex(0)), "only the old is held");
        federation.publish(|body| own(body, id)[0].state = KeyState::Retired);
        assert_eq!(index(&federation, &both), Some(KeyIndex(1)));
        assert_eq!(index(&federation, std::slice::from_ref(&old)), None, "a retired key signs nothing");

        // And whoever signs with it all the same is refused by the rules.
        let hand = Hand { key_index: KeyIndex(0), key: old, ..federation.hand(0) };
        let operation = open(code(0), &kind::KINDS[0], &[], None, 1);
        let draft = Draft { operation, blobs: vec![], answers: vec![], written_at: Millis(1) };
        let refused = seal(&draft, None, &hand, &federation.rosters).unwrap_err();
        assert_eq!(refused, SealError::Refused(Refusal::Key));
    }

    fn own(body: &mut crate::roster::RosterBody, id: MemberId) -> &mut Vec<MemberKey> {
        &mut body.members.iter_mut().find(|member| member.id == id).expect("it is listed").keys
    }
}
