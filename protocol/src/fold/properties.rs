//! Any graph that admission lets through reads the same in every order of arrival.

use super::*;
use crate::derive;
use crate::fixture::{Federation, Scribe, somebody};
use crate::ids::sha256;
use crate::operation::HandoffReason;
use arbtest::arbitrary::{Result, Unstructured};

const MEMBERS: usize = 4;
/// Graphs tried; a failing one is named by its number.
const CASES: u64 = 200;

/// Some operation that might be allowed.
fn any_operation(u: &mut Unstructured<'_>, federation: &Federation, seen: &Document) -> Result<Operation> {
    let by = somebody(u.int_in_range(0..=2)?);
    let place = u.choose_index(seen.len().max(1))?;
    let envelope = seen.at(place).map_or(EnvelopeId([0; 32]), AdmittedEnvelope::id);
    let member = federation.id(u.choose_index(MEMBERS)?);
    let reason = HandoffReason::Means;
    // Half of the time something that every involved node may say, so that chains grow and fork early.
    Ok(match u.int_in_range(0..=26)? {
        0 => Operation::Step { step: *u.choose(Step::ALL)?, by },
        1 => Operation::Note { by },
        2 => Operation::Invite { member },
        3 => Operation::Close { outcome: Outcome::Helped, by },
        4 => Operation::Respond { response: *u.choose(Response::ALL)?, crew: by },
        5 => Operation::Offer { to: member, reason },
        6 => Operation::Accept { offer: envelope },
        7 => Operation::Commit { accept: envelope },
        8 => Operation::Decline { offer: envelope, reason },
        9 => Operation::TakeoverOffer { to: member },
        10 => Operation::TakeoverCommit { accept: envelope },
        11 => Operation::Seal { node: member, last: envelope },
        12 => Operation::Reclassify { kind: 12, local_kind: 0, urgency: Urgency::Low, by },
        13 => Operation::Dispute { what: Disputed::Kind, by },
        14..=15 => Operation::Offer { to: member, reason },
        16..=19 => Operation::Media { by },
        _ => Operation::Respond { response: *u.choose(Response::ALL)?, crew: by },
    })
}

/// The answer that a waiting offer or accept asks for, so that handoffs do happen.
fn next_of_handoff(fold: &Fold) -> Option<(MemberId, Operation)> {
    let offer = fold.offer?;
    Some(offer.accept.map_or((offer.to, Operation::Accept { offer: offer.envelope }), |accept| {
        (fold.owner, Operation::Commit { accept })
    }))
}

/// A few members write in copies that meet now and then; one of them also writes from stale copies,
/// which makes it an equivocator.
fn grow(u: &mut Unstructured<'_>, federation: &Federation) -> Result<Document> {
    let mut scribe = Scribe::new(federation);
    scribe.open(0, &[1, 2, 3]);
    let mut copies = vec![scribe.document.clone(); MEMBERS];
    let mut stale = scribe.document.clone();
    for _ in 0..u.int_in_range(4..=40)? {
        let who = u.choose_index(MEMBERS)?;
        let other = u.choose_index(MEMBERS)?;
        if u.ratio(1, 2)? {
            meet(&mut copies, who, other);
        }
        let seen = copies.get(who).expect("who is below MEMBERS").clone();
        let fold = Fold::of(&seen, &federation.rosters).expect("it has a genesis");
        let answer = next_of_handoff(&fold).filter(|(member, _)| *member == federation.id(who));
        let operation = match answer {
            Some((_, operation)) if u.ratio(7, 8)? => operation,
            _ => any_operation(u, federation, &seen)?,
        };
        let base = if who == 3 && u.ratio(1, 2)? { &stale } else { &seen };
        if let Ok(written) = scribe.write_on(base, who, operation) {
            let copy = copies.get_mut(who).expect("who is below MEMBERS");
            copy.insert(written).expect("its parents are in the copy it was written on");
        }
        if u.ratio(1, 6)? {
            stale = copies.get(3).expect("there are four").clone();
        }
    }
    for other in 1..MEMBERS {
        meet(&mut copies, 0, other);
    }
    Ok(copies.swap_remove(0))
}

fn meet(copies: &mut [Document], a: usize, b: usize) {
    let all: Vec<_> = copies[a].held().chain(copies[b].held()).cloned().collect();
    for envelope in all {
        for copy in [a, b] {
            copies[copy].insert(envelope.clone()).expect("each copy had its parents first");
        }
    }
}

/// The same envelopes in another order that has parents first.
fn shuffled(u: &mut Unstructured<'_>, document: &Document) -> Result<Document> {
    let mut left: Vec<_> = document.held().cloned().collect();
    let mut built = Document::default();
    while !left.is_empty() {
        let ready: Vec<usize> = left
            .iter()
            .enumerate()
            .filter(|(_, e)| e.header().parents.iter().all(|parent| built.contains(parent)))
            .map(|(place, _)| place)
            .collect();
        let next = left.remove(*u.choose(&ready)?);
        built.insert(next).expect("only ready ones were chosen");
    }
    Ok(built)
}

#[test]
fn any_admitted_graph_reads_the_same_in_every_order() {
    let federation = Federation::new(MEMBERS);
    let (mut handed_over, mut forked) = (0, 0);
    for seed in 0..CASES {
        let bytes: Vec<u8> =
            (0..128u64).flat_map(|block| sha256(&[&seed.to_be_bytes(), &block.to_be_bytes()])).collect();
        let mut u = Unstructured::new(&bytes);
        let document = grow(&mut u, &federation).expect("there are bytes enough");
        let again = shuffled(&mut u, &document).expect("there are bytes enough");
        let fold = Fold::of(&document, &federation.rosters).expect("it has a genesis");
        assert_eq!(document.fingerprint(), again.fingerprint(), "seed {seed}");
        assert_eq!(Some(&fold), Fold::of(&again, &federation.rosters).as_ref(), "seed {seed}");
        let (ours, theirs) = (derive::heads(&document), derive::heads(&again));
        assert_eq!(ours.expect("changes apply"), theirs.expect("changes apply"), "seed {seed}");
        assert!(fold.audience.entitled(&fold.owner), "seed {seed}: the owner is not in the audience");
        let honest = fold.equivocators.iter().find(|member| **member != federation.id(3));
        assert_eq!(honest, None, "seed {seed}: an honest node was blamed");
        handed_over += u32::from(fold.owner != federation.id(0));
        forked += u32::from(!fold.equivocators.is_empty());
    }
    assert!(handed_over > 5 && forked > 5, "no handoff ({handed_over}) or no fork ({forked}) was tried");
}
