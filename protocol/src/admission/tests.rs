use super::*;
use crate::author::{Draft, SealError, seal};
use crate::envelope::BlobRef;
use crate::envelope::RULES_VERSION;
use crate::fixture::{Federation, Scribe, code, open, somebody};
use crate::ids::{BlobId, Cell, Millis, Seq};
use crate::kind::Kind;
use crate::operation::{
    ContributionKind, HandoffReason, Measure, Outcome, Relocate, ReopenReason, Response, Step, SummaryValue,
};

const OWNER: usize = 0;
const INVOLVED: usize = 1;
const STRANGER: usize = 2;
const PRECINCT: usize = 3;

fn sos() -> &'static Kind {
    Kind::by_name("sos").unwrap()
}

fn by() -> crate::ids::Pseudonym {
    somebody(1)
}

/// Written by hand from the rules: who may do what to an open incident of OWNER that involves
/// INVOLVED. Columns: owner, involved, a stranger, the aggregator above.
/// What this release knows, and nothing rejected before.
fn ground<'a>(rosters: &'a RosterChain, document: Option<&'a Document>) -> Ground<'a> {
    Ground { rosters, document, rules: RULES_VERSION, rejected: &|_| false }
}

#[test]
fn the_table_of_who_may_holds() {
    let federation = Federation::new(3);
    let invite = Operation::Invite { member: federation.id(STRANGER) };
    let offer = Operation::Offer { to: federation.id(STRANGER), reason: HandoffReason::Means };
    let rows: [(Operation, [bool; 4]); 9] = [
        (Operation::Step { step: Step::Called, by: by() }, [true, false, false, false]),
        (Operation::Close { outcome: Outcome::Helped, by: by() }, [true, false, false, false]),
        (Operation::Reopen { reason: ReopenReason::Again, by: by() }, [true, false, false, false]),
        (invite, [true, false, false, false]),
        (offer, [true, false, false, false]),
        (Operation::Respond { response: Response::OnTheWay, crew: by() }, [true, true, false, false]),
        (Operation::Note { by: by() }, [true, true, false, false]),
        (Operation::Media { by: by() }, [true, true, false, false]),
        (Operation::Contribution { what: ContributionKind::SawItToo, by: by() }, [true, true, false, false]),
    ];
    for (operation, may) in rows {
        for (who, expected) in [OWNER, INVOLVED, STRANGER, PRECINCT].into_iter().zip(may) {
            let mut scribe = Scribe::new(&federation);
            scribe.open(OWNER, &[INVOLVED]);
            let name = operation.name();
            let written = scribe.write(who, operation.clone());
            assert_eq!(written.is_ok(), expected, "{name} by member {who}: {written:?}");
        }
    }
}

#[test]
fn a_place_of_another_must_be_offered_to_its_node() {
    let federation = Federation::new(3);
    let cases = [
        (code(0), None, Ok(())),
        (code(1), Some(1), Ok(())),
        (code(1), None, Err(Refusal::OfferedTo)),
        (code(1), Some(2), Err(Refusal::OfferedTo)),
        (code(0), Some(1), Err(Refusal::OfferedTo)),
        (Code::OUTSIDE, None, Ok(())),
        (Code::OUTSIDE, Some(1), Err(Refusal::OfferedTo)),
        (Code::chile(99_999), None, Ok(())),
    ];
    for (place, offered, expected) in cases {
        let offered = offered.map(|n| federation.id(n));
        let written = Scribe::new(&federation).write(0, open(place, sos(), &[], offered, 1));
        let expected = expected.map_err(SealError::Refused);
        assert_eq!(written.map(|_| ()), expected, "{place} offered to {offered:?}");
    }
}

#[test]
fn involved_nodes_are_other_members() {
    let federation = Federation::new(2);
    for named in [federation.id(0), MemberId([9; 32])] {
        let written = Scribe::new(&federation).write(0, open(code(0), sos(), &[named], None, 1));
        assert_eq!(written, Err(SealError::Refused(Refusal::NotAMember)));
    }
}

#[test]
fn a_handoff_is_the_old_owners_until_the_commit() {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    scribe.open(OWNER, &[]);
    let step = || Operation::Step { step: Step::Called, by: by() };
    let offer = Operation::Offer { to: federation.id(STRANGER), reason: HandoffReason::Territory };
    let offer = scribe.write(OWNER, offer).unwrap().id();
    assert_eq!(scribe.write(STRANGER, step()), Err(SealError::Refused(Refusal::NotOwner)));
    assert_eq!(
        scribe.write(INVOLVED, Operation::Accept { offer }),
        Err(SealError::Refused(Refusal::NoOffer)),
        "not offered to it",
    );
    let accept = scribe.write(STRANGER, Operation::Accept { offer }).unwrap().id();
    assert_eq!(scribe.write(STRANGER, step()), Err(SealError::Refused(Refusal::NotOwner)));
    scribe.write(OWNER, step()).unwrap();
    assert_eq!(
        scribe.write(STRANGER, Operation::Commit { accept }),
        Err(SealError::Refused(Refusal::NotOwner))
    );
    scribe.write(OWNER, Operation::Commit { accept }).unwrap();
    scribe.write(STRANGER, step()).unwrap();
    assert_eq!(scribe.write(OWNER, step()), Err(SealError::Refused(Refusal::NotOwner)));
}

#[test]
fn an_accept_is_committed_once_and_an_offer_answered_once() {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[]);
    let offer = Operation::Offer { to: federation.id(1), reason: HandoffReason::Means };
    let offer = scribe.write(0, offer).unwrap().id();
    let accept = scribe.write(1, Operation::Accept { offer }).unwrap().id();
    let again = scribe.write(1, Operation::Accept { offer });
    assert_eq!(again, Err(SealError::Refused(Refusal::NoOffer)));
    let before = scribe.document.clone();
    scribe.write(0, Operation::Commit { accept }).unwrap();
    // Back with the old owner, the old accept is worth nothing.
    scribe.hand_over(1, 0);
    let again = scribe.write(0, Operation::Commit { accept });
    assert_eq!(again, Err(SealError::Refused(Refusal::NoAccept)));
    let declined = Operation::Decline { offer, reason: HandoffReason::NoCrew };
    assert_eq!(scribe.write_on(&before, 1, declined), Err(SealError::Refused(Refusal::NoOffer)));
}

#[test]
fn a_newer_offer_replaces_an_older() {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[]);
    let offer = |to| Operation::Offer { to: federation.id(to), reason: HandoffReason::Means };
    let first = scribe.write(0, offer(1)).unwrap().id();
    let second = scribe.write(0, offer(2)).unwrap().id();
    assert_eq!(
        scribe.write(1, Operation::Accept { offer: first }),
        Err(SealError::Refused(Refusal::NoOffer))
    );
    scribe.write(2, Operation::Accept { offer: second }).unwrap();
}

#[test]
fn figures_are_given_by_their_own_node() {
    let federation = Federation::new(2);
    let figures = |n: usize, day| {
        let value = SummaryValue { measure: Measure::RegisteredAddresses, kind: 0, value: 7 };
        Operation::Summary(Summary { code: code(n), day, period: 202_610, values: vec![value] })
    };
    let mut scribe = Scribe::new(&federation);
    scribe.write(0, figures(0, 20_261_031)).unwrap();
    scribe.write(0, figures(0, 20_261_031)).unwrap();
    let refused = Err(SealError::Refused(Refusal::NotItsFigures));
    assert_eq!(scribe.write(1, figures(0, 20_261_031)), refused);
    assert_eq!(scribe.write(0, figures(0, 20_261_101)), refused);
    assert_eq!(Scribe::new(&federation).write(0, figures(1, 20_261_031)), refused);
    let step = Operation::Step { step: Step::Called, by: by() };
    assert_eq!(scribe.write(0, step), Err(SealError::Refused(Refusal::NotOwner)));
}

#[test]
fn only_the_owner_shares_blobs_and_only_where_words_belong() {
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let blob = |class| BlobRef { class, id: BlobId([7; 32]) };
    let draft = |operation, class| Draft {
        operation,
        blobs: vec![blob(class)],
        answers: Vec::new(),
        written_at: Millis(5),
    };
    let seal = |n: usize, operation, class| {
        let (hand, rosters) = (federation.hand(n), &federation.rosters);
        seal(&draft(operation, class), Some(&scribe.document), &hand, rosters).map(|_| ())
    };
    let note = || Operation::Note { by: by() };
    assert_eq!(seal(0, note(), BlobClass::Shared), Ok(()));
    assert_eq!(seal(1, note(), BlobClass::Responders), Ok(()));
    assert_eq!(seal(1, note(), BlobClass::Shared), Err(SealError::Refused(Refusal::Blobs)));
    let invite = Operation::Invite { member: federation.id(1) };
    assert_eq!(seal(0, invite, BlobClass::Responders), Err(SealError::Refused(Refusal::Blobs)));
    let (code, cell) = (code(0), Cell(0));
    let relocate =
        || Operation::Relocate(Relocate { code, cell, involved: Vec::new(), point: None, by: by() });
    assert_eq!(seal(0, relocate(), BlobClass::Responders), Ok(()), "the exact place is for responders");
    assert_eq!(seal(0, relocate(), BlobClass::Shared), Err(SealError::Refused(Refusal::Blobs)));
}

/// Signs what no honest node would, with a member's real key.
fn forge(federation: &Federation, n: usize, spoil: impl FnOnce(&mut Header), document: &Document) -> Verdict {
    let operation = Operation::Note { by: by() };
    let honest = Draft { operation, blobs: Vec::new(), answers: Vec::new(), written_at: Millis(5) };
    let hand = federation.hand(n);
    let sealed = seal(&honest, Some(document), &hand, &federation.rosters).unwrap();
    let mut header = sealed.header().clone();
    spoil(&mut header);
    let signature = ed25519_dalek::Signer::sign(&hand.key, &header.sig_input()).to_bytes().to_vec();
    let signed = crate::envelope::SignedEnvelope::assemble(header, sealed.signed().op_bytes(), &signature);
    let verified = signed.verify(&federation.rosters).unwrap();
    let ground = ground(&federation.rosters, Some(document));
    admit(verified, &Ground { rejected: &|id| id.0 == [8; 32], ..ground })
}

#[test]
fn forged_headers_are_rejected_each_for_its_reason() {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    scribe.write(0, Operation::Note { by: by() }).unwrap();
    scribe.write(1, Operation::Note { by: by() }).unwrap();
    let check = |expected: Verdict, n: usize, spoil: &dyn Fn(&mut Header)| {
        assert_eq!(forge(&federation, n, spoil, &scribe.document), expected);
    };
    let rejected = Verdict::Rejected;
    check(rejected(Refusal::Federation), 0, &|h| h.federation.0 = [1; 32]);
    check(rejected(Refusal::OtherDocument), 0, &|h| h.doc.0 = [1; 32]);
    check(rejected(Refusal::RulesVersion), 0, &|h| h.rules_version = 0);
    // The genesis is here, and an envelope has the rules of its document's genesis whatever they say.
    check(rejected(Refusal::RulesVersion), 0, &|h| h.rules_version = RULES_VERSION + 1);
    check(rejected(Refusal::Chain), 0, &|h| h.seq = Seq(h.seq.0 + 1));
    check(rejected(Refusal::Chain), 0, &|h| h.prev_at = 0);
    check(rejected(Refusal::Chain), 0, &|h| h.incarnation.0 = 0);
    check(rejected(Refusal::Chain), 0, &|h| {
        // The other parent is member 1's first envelope.
        h.prev_at = 3 - h.prev_at;
        h.seq = Seq(2);
    });
    check(rejected(Refusal::Operation), 0, &|h| h.op_type = 99);
    check(rejected(Refusal::RejectedParent), 0, &|h| h.parents = vec![EnvelopeId([8; 32])]);
    check(rejected(Refusal::Genesis), 0, &|h| {
        h.parents.clear();
        h.prev_at = 0;
        h.seq = Seq(1);
    });
    let missing = EnvelopeId([9; 32]);
    check(Verdict::Parked(Missing::Parents(vec![missing])), 0, &|h| {
        h.parents = vec![missing];
        h.prev_at = 0;
    });
}

#[test]
fn later_rules_are_held_until_a_release_knows_them_and_then_judged_as_any() {
    let mut federation = Federation::new(2);
    federation.publish(|body| body.rules_version = RULES_VERSION + 1);
    let mut scribe = Scribe::new(&federation);
    scribe.rules = RULES_VERSION + 1;
    let genesis = scribe.open(0, &[1]);
    let note = scribe.write(0, Operation::Note { by: by() }).unwrap();
    assert_eq!(note.header().rules_version, RULES_VERSION + 1);
    let verified = |e: &AdmittedEnvelope| e.signed().clone().verify(&federation.rosters).unwrap();
    let unknown = ground(&federation.rosters, None);
    for envelope in [&genesis, &note] {
        assert_eq!(admit(verified(envelope), &unknown), Verdict::Held, "with its parents here or not");
    }
    let known = Ground { rules: RULES_VERSION + 1, ..unknown };
    assert_eq!(admit(verified(&genesis), &known), Verdict::Admitted(genesis.clone()));
    let missing = Missing::Parents(vec![genesis.id()]);
    assert_eq!(admit(verified(&note), &known), Verdict::Parked(missing));
}

#[test]
fn new_document_is_begun_under_rules_that_are_known_whatever_the_roster_activates() {
    let mut federation = Federation::new(2);
    let first = federation.rosters.head().hash();
    let mut scribe = Scribe::new(&federation);
    let old = scribe.open(0, &[1]);
    federation.publish(|body| body.rules_version = RULES_VERSION + 1);
    let mut scribe = Scribe::new(&federation);
    let genesis = scribe.open(0, &[1]);
    assert_eq!((genesis.header().rules_version, genesis.header().roster), (RULES_VERSION, first));
    let document = Document::from_log([old]).unwrap();
    let note = scribe.write_on(&document, 0, Operation::Note { by: by() }).unwrap();
    assert_eq!(note.header().roster, federation.rosters.head().hash(), "an old one goes on under the newest");
}

#[test]
fn an_unknown_roster_is_missing_and_no_reason_to_refuse() {
    let older = Federation::new(2);
    let mut newer = Federation::new(2);
    newer.publish(|body| body.expires = Millis(body.expires.0 + 1));
    let genesis = Scribe::new(&newer).open(0, &[1]);
    let verified = || genesis.signed().clone().verify(&newer.rosters).unwrap();
    let judged = |rosters| admit(verified(), &ground(rosters, None));
    assert_eq!(judged(&older.rosters), Verdict::Parked(Missing::Roster(newer.rosters.head().hash())));
    assert_eq!(judged(&newer.rosters), Verdict::Admitted(genesis.clone()));
}

#[test]
fn a_revoked_key_signs_nothing_under_the_roster_that_revokes_it() {
    let mut federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let document = scribe.document.clone();
    federation.revoke(1);
    let written = Scribe::new(&federation).write_on(&document, 1, Operation::Note { by: by() });
    assert_eq!(written, Err(SealError::Refused(Refusal::Key)));
}

#[test]
fn a_retired_key_signs_nothing_under_later_rosters() {
    let mut federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let before = scribe.write(1, Operation::Note { by: by() }).unwrap();
    let document = scribe.document.clone();
    let id = federation.id(1);
    federation.publish(|body| {
        for member in body.members.iter_mut().filter(|member| member.id == id) {
            member.keys.iter_mut().for_each(|key| key.state = KeyState::Retired);
        }
    });
    let written = Scribe::new(&federation).write_on(&document, 1, Operation::Note { by: by() });
    assert_eq!(written, Err(SealError::Refused(Refusal::Key)));
    let fold = crate::fold::Fold::of(&document, &federation.rosters).unwrap();
    assert!(!fold.unconfirmed.contains(&before.id()), "what it signed in its time counts");
}

#[test]
fn an_older_roster_than_a_parents_is_rejected() {
    let mut federation = Federation::new(2);
    let old = federation.rosters.head().hash();
    federation.publish(|body| body.issued = Millis(2_000));
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let verdict = forge(&federation, 0, |h| h.roster = old, &scribe.document);
    assert_eq!(verdict, Verdict::Rejected(Refusal::OlderRoster));
}
