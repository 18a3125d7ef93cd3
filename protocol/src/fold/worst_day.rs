//! Ownership, expulsion and erasure when things go wrong.

use super::*;
use crate::admission::Refusal;
use crate::author::{Draft, SealError, seal};
use crate::envelope::{BlobClass, BlobRef};
use crate::fixture::{Federation, Scribe, code, somebody};
use crate::operation::{Class, HandoffReason, NoticeMode, Relocate, ReopenReason};

fn by() -> Pseudonym {
    somebody(1)
}

fn refused<T>(refusal: Refusal) -> Result<T, SealError> {
    Err(SealError::Refused(refusal))
}

fn read(scribe: &Scribe<'_>) -> Fold {
    Fold::of(&scribe.document, &scribe.federation.rosters).expect("it has a genesis")
}

/// Offer, accept and commit of a takeover by the precinct, towards `to`.
fn take_over(scribe: &mut Scribe<'_>, to: usize) -> AdmittedEnvelope {
    let precinct = scribe.federation.precinct();
    let offer = Operation::TakeoverOffer { to: scribe.federation.id(to) };
    let offer = scribe.write(precinct, offer).expect("the authority offers").id();
    let accept = scribe.write(to, Operation::Accept { offer }).expect("the offered node accepts").id();
    scribe.write(precinct, Operation::TakeoverCommit { accept }).expect("the authority commits")
}

#[test]
fn a_takeover_makes_a_neighbour_the_owner() {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[]);
    scribe.write(0, Operation::Step { step: Step::Called, by: by() }).unwrap();
    let offer = Operation::TakeoverOffer { to: federation.id(1) };
    for who in [0, 1, 2, federation.precinct() + 1] {
        assert_eq!(scribe.write(who, offer.clone()), refused(Refusal::NotAuthority), "member {who}");
    }
    take_over(&mut scribe, 1);
    let after = read(&scribe);
    assert_eq!((after.owner, after.step), (federation.id(1), Some(Step::Called)));
    let step = Operation::Step { step: Step::OnSite, by: by() };
    assert_eq!(scribe.write(0, step.clone()), refused(Refusal::NotOwner));
    scribe.write(1, step).unwrap();
}

#[test]
fn more_takeovers_beat_any_chain_of_handoffs() {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1, 2]);
    let before = scribe.document.clone();
    take_over(&mut scribe, 2);
    let taken = scribe.document.clone();
    // Meanwhile the old owner and an accomplice hand the incident to and fro, unaware or unwilling.
    scribe.document = before;
    for _ in 0..4 {
        scribe.hand_over(0, 1);
        scribe.hand_over(1, 0);
    }
    for envelope in taken.envelopes() {
        scribe.document.insert(envelope.clone()).unwrap();
    }
    assert_eq!(read(&scribe).owner, federation.id(2), "the takeover counts more than eight handoffs");
    let mut otherwise = taken;
    for envelope in scribe.document.envelopes() {
        otherwise.insert(envelope.clone()).unwrap();
    }
    let otherwise = Fold::of(&otherwise, &federation.rosters).unwrap();
    assert_eq!(otherwise.owner, federation.id(2), "in whatever order the two came");
    assert!(read(&scribe).equivocators.is_empty());
}

#[test]
fn an_accept_meant_for_the_old_owner_is_worth_nothing_to_the_authority() {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[]);
    let offer = Operation::Offer { to: federation.id(1), reason: HandoffReason::Means };
    let offer = scribe.write(0, offer).unwrap().id();
    let accept = scribe.write(1, Operation::Accept { offer }).unwrap().id();
    let precinct = federation.precinct();
    assert_eq!(scribe.write(precinct, Operation::TakeoverCommit { accept }), refused(Refusal::NoAccept));
    take_over(&mut scribe, 2);
    assert_eq!(scribe.write(0, Operation::Commit { accept }), refused(Refusal::NotOwner));
}

#[test]
fn the_authority_above_takes_over_where_the_nearest_is_expelled() {
    let mut federation = Federation::new(2);
    let opened = {
        let mut scribe = Scribe::new(&federation);
        scribe.open(0, &[1]);
        scribe.document
    };
    let precinct = federation.precinct();
    federation.revoke(precinct);
    federation.revoke(0);
    let mut scribe = Scribe::new(&federation);
    scribe.document = opened;
    assert_eq!(read(&scribe).answering, federation.id(precinct + 1));
    let offer = Operation::TakeoverOffer { to: federation.id(1) };
    scribe.write(precinct + 1, offer).unwrap();
}

#[test]
fn a_seal_vouches_for_what_an_expelled_node_wrote() {
    let mut federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let first = scribe.write(1, Operation::Note { by: by() }).unwrap();
    let second = scribe.write(1, Operation::Media { by: by() }).unwrap();
    let third = scribe.write(1, Operation::Note { by: by() }).unwrap();
    let document = scribe.document.clone();
    federation.revoke(1);
    let mut scribe = Scribe::new(&federation);
    scribe.document = document;
    assert_eq!(read(&scribe).unconfirmed, BTreeSet::from([first.id(), second.id(), third.id()]));
    let seal = Operation::Seal { node: federation.id(1), last: second.id() };
    scribe.write(0, seal).unwrap();
    assert_eq!(read(&scribe).unconfirmed, BTreeSet::from([third.id()]));
    let wrong = Operation::Seal { node: federation.id(0), last: second.id() };
    assert_eq!(scribe.write(0, wrong), refused(Refusal::Names));
}

#[test]
fn a_correction_survives_a_handoff_and_the_new_owner_may_correct_again() {
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let reclassify = |kind| Operation::Reclassify { kind, local_kind: 0, urgency: Urgency::High, by: by() };
    scribe.write(0, reclassify(4)).unwrap();
    scribe.hand_over(0, 1);
    assert_eq!(read(&scribe).matter.unwrap().kind, 4);
    scribe.write(1, reclassify(12)).unwrap();
    assert_eq!(read(&scribe).matter.unwrap().kind, 12);
    assert_eq!(scribe.write(0, reclassify(5)), refused(Refusal::NotOwner));
}

#[test]
fn the_exact_place_is_where_it_was_moved_last_and_bringing_nodes_in_moves_nothing() {
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[]);
    let place = read(&scribe).matter.unwrap();
    assert_eq!(place.relocated, None);
    let to = |cell, involved| {
        let (code, by) = (place.code, by());
        Operation::Relocate(Relocate { code, cell, involved, point: None, by })
    };
    scribe.write(0, to(place.cell, vec![federation.id(1)])).unwrap();
    assert_eq!(read(&scribe).matter.unwrap(), place, "the same place again");
    assert!(read(&scribe).audience.involved.contains(&federation.id(1)));
    let moved = scribe.write(0, to(Cell(0), Vec::new())).unwrap().id();
    assert_eq!(read(&scribe).matter.unwrap().relocated, Some(moved));
    scribe.write(0, to(Cell(0), Vec::new())).unwrap();
    assert_eq!(read(&scribe).matter.unwrap().relocated, Some(moved));
}

#[test]
fn a_referral_is_answered_once_by_its_service_or_by_the_owner_for_one_without_a_node() {
    let mut federation = Federation::new(2);
    let service = federation.id(federation.precinct());
    federation.publish(|body| {
        for member in body.members.iter_mut().filter(|member| member.id == service) {
            member.roles = crate::roster::Roles::of(&[Role::Service, Role::Aggregator]);
        }
    });
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[]);
    let refer = |to| Operation::Refer { service: Service::Police, to, by: by() };
    assert_eq!(scribe.write(0, refer(Some(federation.id(1)))), refused(Refusal::NotAMember));
    let asked = scribe.write(0, refer(Some(service))).unwrap().id();
    let alone = scribe.write(0, refer(None)).unwrap().id();
    let answer =
        |referral| Operation::AnswerReferral { referral, answer: ReferralAnswer::Accepted, by: by() };
    assert_eq!(scribe.write(0, answer(asked)), refused(Refusal::NotInvolved));
    scribe.write(federation.precinct(), answer(asked)).unwrap();
    scribe.write(0, answer(alone)).unwrap();
    assert_eq!(scribe.write(0, answer(alone)), refused(Refusal::Names));
    let read = read(&scribe);
    assert!(read.referrals.values().all(|referral| referral.answer == Some(ReferralAnswer::Accepted)));
    assert!(read.audience.involved.contains(&service));
}

#[test]
fn a_duplicate_is_linked_unlinked_and_absorbed() {
    let federation = Federation::new(2);
    let mut other = Scribe::new(&federation);
    other.open(0, &[]);
    let target = other.document.id().unwrap();
    let mut scribe = Scribe::new(&federation);
    let own = scribe.open(0, &[1]).header().doc;
    let itself = Operation::Link { target: own, by: by() };
    assert_eq!(scribe.write(0, itself), refused(Refusal::Names));
    let elsewhere = DocId([3; 32]);
    scribe.write(0, Operation::Link { target: elsewhere, by: by() }).unwrap();
    assert_eq!(read(&scribe).links, BTreeSet::from([elsewhere]));
    scribe.write(0, Operation::Absorb { document: target, by: by() }).unwrap();
    scribe.write(0, Operation::Absorb { document: elsewhere, by: by() }).unwrap();
    assert!(read(&scribe).absorbed.contains(&elsewhere));
    scribe.write(0, Operation::Unlink { target: elsewhere, by: by() }).unwrap();
    assert_eq!(read(&scribe).links, BTreeSet::new());
}

/// A note of member `n` that names a blob.
fn note_with(scribe: &mut Scribe<'_>, n: usize, blob: BlobId) -> AdmittedEnvelope {
    let draft = Draft {
        operation: Operation::Note { by: by() },
        blobs: vec![BlobRef { class: BlobClass::Responders, id: blob }],
        answers: Vec::new(),
        written_at: Millis(9),
    };
    let (hand, rosters) = (scribe.federation.hand(n), &scribe.federation.rosters);
    let written = seal(&draft, Some(&scribe.document), &hand, rosters).expect("an involved node notes");
    scribe.document.insert(written.clone()).expect("its parents are here");
    written
}

#[test]
fn a_blob_is_redacted_by_its_author_or_the_owner_and_every_holder_gives_a_receipt() {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let (theirs, ours) = (BlobId([5; 32]), BlobId([6; 32]));
    note_with(&mut scribe, 1, theirs);
    note_with(&mut scribe, 0, ours);
    let redact = |blob| Operation::Redact { blobs: vec![blob] };
    let erased = |blob| Operation::Erased { blobs: vec![blob] };
    assert_eq!(scribe.write(1, redact(ours)), refused(Refusal::Names));
    assert_eq!(scribe.write(1, erased(theirs)), refused(Refusal::Names), "nothing is redacted yet");
    assert_eq!(scribe.write(0, redact(BlobId([9; 32]))), refused(Refusal::Names));
    scribe.write(1, redact(theirs)).unwrap();
    scribe.write(0, erased(theirs)).unwrap();
    scribe.write(federation.precinct(), erased(theirs)).unwrap();
    assert_eq!(scribe.write(2, erased(theirs)), refused(Refusal::NotInvolved));
    let holders = BTreeSet::from([federation.id(0), federation.id(federation.precinct())]);
    assert_eq!(read(&scribe).redacted, BTreeMap::from([(theirs, holders)]));
    scribe.write(0, Operation::Release { blobs: vec![ours] }).unwrap();
    assert_eq!(read(&scribe).released, BTreeSet::from([ours]));
}

#[test]
fn nothing_follows_a_retire_and_holders_agree_without_its_contents() {
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    assert_eq!(scribe.write(0, Operation::Retire), refused(Refusal::Names), "it is not closed");
    scribe.write(0, Operation::Close { outcome: Outcome::Helped, by: by() }).unwrap();
    let closed = scribe.document.clone();
    let retired = scribe.write(0, Operation::Retire).unwrap();
    let reopen = Operation::Reopen { reason: ReopenReason::Again, by: by() };
    assert_eq!(scribe.write(0, reopen), refused(Refusal::Retired));
    let fingerprint = scribe.document.fingerprint();
    // A late note from before the retire changes nothing that is compared.
    let late = scribe.write_on(&closed, 1, Operation::Note { by: by() }).unwrap();
    scribe.document.insert(late).unwrap();
    assert_eq!(scribe.document.fingerprint(), fingerprint);
    assert_eq!(read(&scribe).retired, Some(retired.id()));
}

fn notice(code: Code, mode: NoticeMode) -> Notice {
    Notice {
        urgency: Urgency::High,
        code,
        nonce: crate::ids::Nonce([4; 32]),
        mode,
        opened: Millis(1_000),
        expires: Millis(9_000),
        cells: Vec::new(),
    }
}

#[test]
fn a_notice_is_given_changed_and_taken_back_by_its_author_for_its_area_only() {
    let federation = Federation::new(2);
    let (precinct, national) = (federation.precinct(), federation.precinct() + 1);
    let country = Code { country: *b"CL", number: 0 };
    let cases = [
        (0, code(0), true),
        (0, code(1), false),
        (0, country, false),
        (precinct, code(1), true),
        (precinct, country, false),
        (national, code(1), true),
        (national, country, true),
    ];
    for (who, area, may) in cases {
        let opened =
            Scribe::new(&federation).write(who, Operation::NoticeOpen(notice(area, NoticeMode::Live)));
        assert_eq!(opened.is_ok(), may, "member {who} for {area}: {opened:?}");
    }
    let mut scribe = Scribe::new(&federation);
    let drill = notice(country, NoticeMode::Drill);
    scribe.write(national, Operation::NoticeOpen(drill.clone())).unwrap();
    let live = Operation::NoticeUpdate(notice(country, NoticeMode::Live));
    assert_eq!(scribe.write(national, live), refused(Refusal::NotItsNotice), "a drill became real");
    let longer = Notice { expires: Millis(20_000), ..drill };
    scribe.write(national, Operation::NoticeUpdate(longer.clone())).unwrap();
    assert_eq!(scribe.write(0, Operation::NoticeCancel { by: by() }), refused(Refusal::NotItsNotice));
    assert_eq!(read(&scribe).notice, Some((longer.clone(), false)));
    scribe.write(national, Operation::NoticeCancel { by: by() }).unwrap();
    assert_eq!(read(&scribe).notice, Some((longer, true)));
    let everybody: BTreeSet<_> = federation.members.iter().copied().collect();
    assert_eq!(read(&scribe).audience.members().collect::<BTreeSet<_>>(), everybody);
    assert_eq!(scribe.document.genesis().unwrap().operation().genesis_class(), Some(Class::Notice));
}
