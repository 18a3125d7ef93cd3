use super::*;
use crate::derive;
use crate::fixture::{Federation, Scribe, somebody};
use crate::operation::HandoffReason;

fn by() -> Pseudonym {
    somebody(1)
}

fn step(step: Step) -> Operation {
    Operation::Step { step, by: by() }
}

fn fold(scribe: &Scribe<'_>) -> Fold {
    Fold::of(&scribe.document, &scribe.federation.rosters).unwrap()
}

#[test]
fn steps_and_close_are_read_in_order() {
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    assert_eq!(fold(&scribe).step, None);
    for taken in [Step::Received, Step::Called, Step::OnTheWay] {
        scribe.write(0, step(taken)).unwrap();
        assert_eq!(fold(&scribe).step, Some(taken));
    }
    scribe.write(0, Operation::Close { outcome: Outcome::Helped, by: by() }).unwrap();
    assert_eq!(fold(&scribe).closed, Some(Outcome::Helped));
    let reopened = Operation::Reopen { reason: crate::operation::ReopenReason::NotSolved, by: by() };
    scribe.write(0, reopened).unwrap();
    assert_eq!(fold(&scribe).closed, None);
    assert_eq!(fold(&scribe).steps.len(), 3);
}

#[test]
fn the_step_survives_a_handoff() {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[]);
    scribe.write(0, step(Step::Called)).unwrap();
    scribe.hand_over(0, 1);
    let after = fold(&scribe);
    assert_eq!((after.owner, after.step), (federation.id(1), Some(Step::Called)));
    scribe.write(1, step(Step::OnSite)).unwrap();
    assert_eq!(fold(&scribe).step, Some(Step::OnSite));
    assert_eq!(fold(&scribe).offer, None);
}

#[test]
fn an_offer_waits_until_it_is_answered() {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[]);
    let offer = Operation::Offer { to: federation.id(2), reason: HandoffReason::Hours };
    let offer = scribe.write(0, offer).unwrap().id();
    let pending = fold(&scribe).offer.unwrap();
    assert_eq!((pending.envelope, pending.to, pending.accept), (offer, federation.id(2), None));
    scribe.write(2, Operation::Decline { offer, reason: HandoffReason::NoCrew }).unwrap();
    assert_eq!(fold(&scribe).offer, None);
    assert_eq!(fold(&scribe).owner, federation.id(0));
}

#[test]
fn every_order_of_arrival_folds_and_derives_to_the_same() {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let root = scribe.document.clone();
    let first = scribe.write_on(&root, 0, step(Step::Received)).unwrap();
    let second = scribe.write_on(&root, 1, Operation::Note { by: by() }).unwrap();
    let mut with_first = root.clone();
    with_first.insert(first.clone()).unwrap();
    let third = scribe.write_on(&with_first, 1, Operation::Media { by: by() }).unwrap();
    let orders = [[&first, &second, &third], [&second, &first, &third], [&first, &third, &second]];
    let read = |order: [&AdmittedEnvelope; 3]| {
        let mut document = root.clone();
        for envelope in order {
            document.insert(envelope.clone()).unwrap();
        }
        let fold = Fold::of(&document, &federation.rosters).unwrap();
        (document.fingerprint(), fold, derive::heads(&document).unwrap())
    };
    let [a, b, c] = orders.map(read);
    assert_eq!(a, b);
    assert_eq!(b, c);
    // The second and the third share author, generation and place: a fork, seen by everybody alike.
    assert_eq!(a.1.equivocators, BTreeSet::from([federation.id(1)]));
}

#[test]
fn what_an_expelled_node_wrote_counts_only_where_others_saw_it_before() {
    let mut federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let seen = scribe.write(1, Operation::Note { by: by() }).unwrap();
    scribe.write(0, step(Step::Received)).unwrap();
    let unseen = scribe.write(1, Operation::Media { by: by() }).unwrap();
    let document = scribe.document.clone();
    assert!(fold(&scribe).unconfirmed.is_empty());
    federation.revoke(1);
    let after = Fold::of(&document, &federation.rosters).unwrap();
    assert_eq!(after.unconfirmed, BTreeSet::from([unseen.id()]));
    assert!(!after.unconfirmed.contains(&seen.id()));
}

#[test]
fn an_expelled_owner_is_answered_for_by_its_authority() {
    let mut federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let document = scribe.document.clone();
    federation.revoke(0);
    let after = Fold::of(&document, &federation.rosters).unwrap();
    assert_eq!(after.owner, federation.id(0));
    assert_eq!(after.answering, federation.id(federation.precinct()));
}

#[test]
fn an_owner_that_says_two_things_is_answered_for_by_its_authority() {
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let root = scribe.document.clone();
    for taken in [Step::Called, Step::OnSite] {
        let said = scribe.write_on(&root, 0, step(taken)).unwrap();
        scribe.document.insert(said).unwrap();
    }
    let after = fold(&scribe);
    assert_eq!((after.owner, after.step), (federation.id(0), None), "neither counts");
    assert_eq!(after.answering, federation.id(federation.precinct()), "the authority answers");
}

#[test]
fn the_audience_is_owner_involved_invited_offered_and_those_above() {
    let federation = Federation::new(4);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let above = [federation.precinct(), federation.precinct() + 1];
    let check = |scribe: &Scribe<'_>, involved: &[usize]| {
        let audience = fold(scribe).audience;
        assert_eq!(audience.involved, involved.iter().map(|n| federation.id(*n)).collect());
        assert_eq!(audience.above, above.iter().map(|n| federation.id(*n)).collect());
    };
    check(&scribe, &[0, 1]);
    scribe.write(0, Operation::Invite { member: federation.id(2) }).unwrap();
    check(&scribe, &[0, 1, 2]);
    let offer = Operation::Offer { to: federation.id(3), reason: HandoffReason::Means };
    scribe.write(0, offer).unwrap();
    check(&scribe, &[0, 1, 2, 3]);
}

#[test]
fn the_automerge_file_opens_and_says_what_the_log_says() {
    use automerge::ReadDoc as _;
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    let genesis = scribe.open(0, &[1]);
    scribe.write(0, step(Step::OnSite)).unwrap();
    let saved = derive::automerge(&scribe.document).unwrap().save();
    let opened = automerge::AutoCommit::load(&saved).unwrap();
    let (_, entries) = opened.get(automerge::ROOT, "entries").unwrap().unwrap();
    assert_eq!(opened.length(&entries), 2);
    let key = hex::encode(&genesis.id().0[..16]);
    let (_, entry) = opened.get(&entries, key).unwrap().unwrap();
    let (what, _) = opened.get(&entry, "what").unwrap().unwrap();
    assert_eq!(what.as_str(), Some("open"));
}
