//! Any graph of envelopes that admission lets through reads the same in every order of arrival.

use super::{FEDERATION, Result, Unstructured, any_operation};
use crate::derive;
use crate::document::Document;
use crate::envelope::AdmittedEnvelope;
use crate::fixture::{Federation, Scribe};
use crate::fold::Fold;
use crate::operation::Operation;

/// Members that write: the municipal nodes and the precinct above them.
const WRITERS: usize = super::MUNICIPAL + 1;
/// The one that also writes from stale copies, as no honest node does.
const STALE: usize = super::MUNICIPAL - 1;

/// What a graph had in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grown {
    /// It ended with another owner than it began with.
    pub handed_over: bool,
    /// The owner was taken from, by the authority above.
    pub taken_over: bool,
    /// Somebody said two things in one place of its chain.
    pub forked: bool,
}

/// The target of this file's name.
pub fn graph(u: &mut Unstructured<'_>) -> Result<()> {
    read_in_two_orders(u).map(|_| ())
}

/// Grows a graph, takes it in twice in different orders, and compares everything that is read from it.
pub fn read_in_two_orders(u: &mut Unstructured<'_>) -> Result<Grown> {
    let federation = &*FEDERATION;
    let document = grow(u, federation, 40)?;
    let again = shuffled(u, &document)?;
    let fold = Fold::of(&document, &federation.rosters).expect("it has a genesis");
    assert_eq!(document.fingerprint(), again.fingerprint(), "equal envelopes, unequal fingerprints");
    let other = Fold::of(&again, &federation.rosters);
    assert_eq!(Some(&fold), other.as_ref(), "equal envelopes, read differently");
    let (ours, theirs) = (derive::heads(&document), derive::heads(&again));
    assert_eq!(ours.expect("changes apply"), theirs.expect("changes apply"), "unequal Automerge heads");
    assert!(fold.audience.entitled(&fold.owner), "the owner is not in the audience");
    // Only the writer of stale copies ever says two things in one place.
    let honest = fold.equivocators.iter().find(|member| **member != federation.id(STALE));
    assert_eq!(honest, None, "an honest node was blamed");
    let taken = |e: &AdmittedEnvelope| matches!(e.operation(), Operation::TakeoverCommit { .. });
    Ok(Grown {
        handed_over: fold.owner != federation.id(0),
        taken_over: document.envelopes().any(taken),
        forked: !fold.equivocators.is_empty(),
    })
}

/// What a waiting offer or accept asks of this member, so that handoffs and takeovers do happen.
fn awaited(seen: &Document, federation: &Federation, who: usize) -> Option<Operation> {
    let me = federation.id(who);
    let fold = Fold::of(seen, &federation.rosters)?;
    if let Some(offer) = fold.offer {
        let accept = Operation::Accept { offer: offer.envelope };
        let next =
            offer.accept.map_or((offer.to, accept), |accept| (fold.owner, Operation::Commit { accept }));
        if next.0 == me {
            return Some(next.1);
        }
    }
    let to_take = |offer: &AdmittedEnvelope| {
        if let Operation::TakeoverOffer { to } = offer.operation() { Some(*to) } else { None }
    };
    seen.envelopes().rev().find_map(|envelope| match envelope.operation().answered_offer() {
        Some(offer) if who == federation.precinct() => {
            let taken = seen.envelope(&offer).and_then(to_take);
            taken.map(|_| Operation::TakeoverCommit { accept: envelope.id() })
        }
        Some(_) => None,
        None => (to_take(envelope) == Some(me)).then(|| Operation::Accept { offer: envelope.id() }),
    })
}

/// A few members write in copies that meet now and then; one of them also writes from stale copies,
/// which makes it an equivocator.
pub(crate) fn grow(u: &mut Unstructured<'_>, federation: &Federation, most: usize) -> Result<Document> {
    let mut scribe = Scribe::new(federation);
    scribe.open(0, &[1, 2, 3]);
    let mut copies = vec![scribe.document.clone(); WRITERS];
    let mut stale = scribe.document.clone();
    for _ in 0..u.int_in_range(4..=most)? {
        let (who, other) = (u.choose_index(WRITERS)?, u.choose_index(WRITERS)?);
        if u.ratio(1, 2)? {
            meet(&mut copies, who, other);
        }
        let seen = copies.get(who).cloned().unwrap_or_default();
        let operation = match awaited(&seen, federation, who) {
            Some(operation) if u.ratio(7, 8)? => operation,
            _ if who == federation.precinct() && u.ratio(1, 2)? => {
                Operation::TakeoverOffer { to: *u.choose(&federation.members)? }
            }
            _ => {
                let ids: Vec<_> = seen.envelopes().map(AdmittedEnvelope::id).collect();
                any_operation(u, &ids, &federation.members)?
            }
        };
        let base = if who == STALE && u.ratio(1, 2)? { &stale } else { &seen };
        if let Ok(written) = scribe.write_on(base, who, operation)
            && let Some(copy) = copies.get_mut(who)
        {
            copy.insert(written).expect("its parents are in the copy it was written on");
        }
        if u.ratio(1, 6)? {
            stale = copies.get(STALE).cloned().unwrap_or_default();
        }
    }
    for other in 1..WRITERS {
        meet(&mut copies, 0, other);
    }
    Ok(copies.swap_remove(0))
}

fn meet(copies: &mut [Document], a: usize, b: usize) {
    let both = [a, b].into_iter().filter_map(|n| copies.get(n));
    let all: Vec<_> = both.flat_map(Document::held).cloned().collect();
    for envelope in all {
        for n in [a, b] {
            if let Some(copy) = copies.get_mut(n) {
                copy.insert(envelope.clone()).expect("each copy had its parents first");
            }
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
