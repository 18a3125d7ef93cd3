//! Envelopes under rules that this release does not know.

use std::sync::Arc;

use super::bench::*;
use super::*;
use crate::fixture::{Federation, Scribe, somebody};
use crate::limits::{HELD_PER_DOCUMENT_MAX, PARKED_AGE_MS_MAX, WANT_RETRY_MS};

/// A federation whose roster activates rules of a later release, and an incident of member 0 under them.
fn later(involved: &[usize]) -> (Arc<Federation>, Vec<AdmittedEnvelope>) {
    let mut federation = Federation::new(3);
    federation.publish(|body| body.rules_version = RULES_VERSION + 1);
    let mut scribe = Scribe::new(&federation);
    scribe.rules = RULES_VERSION + 1;
    let mut all = vec![scribe.open(0, involved)];
    all.extend([(), ()].map(|()| scribe.write(0, step()).unwrap()));
    (Arc::new(federation), all)
}

fn held(bench: &Bench) -> Vec<EnvelopeId> {
    bench.disk.held_ready(u16::MAX, usize::MAX).iter().map(|held| held.envelope.id()).collect()
}

fn upgrade(bench: &mut Bench) -> Vec<Sent> {
    bench.replica = Replica::new(bench.disk.me, bench.disk.rosters.clone()).knowing(RULES_VERSION + 1);
    bench.settle(Input::Tick)
}

#[test]
fn later_rules_are_held_without_a_receipt_and_not_asked_for_again() {
    let (federation, all) = later(&[1]);
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = all[0].header().doc;
    let sent = bench.say(0, body(&all));
    assert_eq!(sent, [], "nothing is confirmed, nothing is asked for");
    assert_eq!(held(&bench), all.iter().map(AdmittedEnvelope::id).collect::<Vec<_>>());
    assert!(bench.disk.documents.is_empty() && bench.disk.due.is_empty());
    assert_eq!(bench.replica.parked(), (0, 0));
    // Told of it again, on this connection and on the next, and by somebody else.
    let nothing = have(doc, &[], false);
    for n in [0, 3] {
        bench.connect(n);
        let sent = bench.say(n, have(doc, &[all[2].id()], true));
        assert_eq!(sent, [(federation.id(n), Lane::Urgent, nothing.clone())], "as if it were not here");
    }
    let sent = bench.say(0, want(doc, &[all[0].id()], &[]));
    let empty = Message::Answer(crate::message::Items { doc, items: Vec::new() });
    assert_eq!(sent, [(federation.id(0), Lane::Urgent, empty)], "it is not passed on");
}

#[test]
fn want_for_what_follows_tells_the_sender_and_nobody_else_what_is_held() {
    let (federation, all) = later(&[1]);
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    bench.say(0, body(&all[..2]));
    let doc = all[0].header().doc;
    for (n, expected) in [(0, vec![all[0].id(), all[1].id()]), (3, vec![])] {
        bench.connect(n);
        let sent = bench.say(n, have(doc, &[all[2].id()], true));
        let Message::Want(want) = &sent[0].2 else { panic!("{sent:?}") };
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!((want.ids.clone(), want.held.clone()), (vec![all[2].id()], expected));
    }
}

#[test]
fn held_envelope_does_not_expire_and_is_judged_by_the_release_that_knows_its_rules() {
    let (federation, all) = later(&[1]);
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    // Children first: it makes no difference.
    for envelope in all.iter().rev() {
        bench.say(0, body(std::slice::from_ref(envelope)));
    }
    bench.pass(2 * PARKED_AGE_MS_MAX);
    assert_eq!(held(&bench).len(), 3, "it does not expire");
    // A restart of the same release changes nothing.
    bench.replica = Replica::new(bench.disk.me, bench.disk.rosters.clone());
    bench.settle(Input::Tick);
    assert_eq!(held(&bench).len(), 3);
    assert!(bench.disk.documents.is_empty());
    upgrade(&mut bench);
    assert_eq!(bench.heads(&all[0].header().doc), [all[2].id()]);
    assert_eq!(held(&bench), []);
    assert!(bench.is_due(3, &all[0].header().doc), "and told to whom it is for");
}

#[test]
fn what_was_held_and_does_not_name_us_is_parked_after_the_upgrade_like_any_other() {
    let (federation, all) = later(&[2]);
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    bench.say(0, body(&all));
    assert_eq!(held(&bench).len(), 3);
    upgrade(&mut bench);
    assert_eq!((held(&bench), bench.replica.parked().0), (vec![], 3));
    assert!(bench.disk.documents.is_empty());
}

#[test]
fn what_was_held_and_breaks_a_rule_is_refused_after_the_upgrade() {
    let (federation, all) = later(&[1]);
    let hand = federation.hand(2);
    let mut header = all[1].header().clone();
    (header.author, header.parents, header.prev_at) = (hand.member, vec![all[0].id()], 0);
    header.seq = crate::ids::Seq(1);
    let signature = ed25519_dalek::Signer::sign(&hand.key, &header.sig_input()).to_bytes().to_vec();
    let op_bytes = all[1].signed().op_bytes().to_vec();
    let stolen = crate::envelope::SignedEnvelope::assemble(header, &op_bytes, &signature);
    let id = stolen.id();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = all[0].header().doc;
    let items = vec![crate::message::Item { age: Millis(0), envelope: stolen, blobs: Vec::new() }];
    bench.say(0, Message::Body(crate::message::Items { doc, items }));
    bench.say(0, body(&all));
    assert_eq!(held(&bench).len(), 4);
    upgrade(&mut bench);
    assert_eq!(bench.disk.refused.get(&id), Some(&Refusal::NotOwner));
    assert_eq!((held(&bench), bench.heads(&doc)), (vec![], vec![all[2].id()]));
}

#[test]
fn copy_with_a_bad_signature_is_blamed_and_not_held() {
    let (federation, all) = later(&[1]);
    let mut bytes = all[0].bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let envelope = crate::envelope::SignedEnvelope::decode(&bytes).unwrap();
    let doc = all[0].header().doc;
    let items = vec![crate::message::Item { age: Millis(0), envelope, blobs: Vec::new() }];
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let input = bench.message(0, Message::Body(crate::message::Items { doc, items }));
    let outputs = bench.hand(input);
    assert!(matches!(outputs[..], [Output::Blame { fault: Fault::BadSignature, .. }]), "{outputs:?}");
}

#[test]
fn document_has_its_share_of_what_is_held_and_no_more() {
    let (federation, all) = later(&[1]);
    let mut scribe = Scribe::new(&federation);
    scribe.rules = RULES_VERSION + 1;
    let seen = Document::from_log(all.iter().cloned()).unwrap();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    bench.say(0, body(&all));
    for _ in 0..HELD_PER_DOCUMENT_MAX {
        let one = scribe.write_on(&seen, 0, Operation::Note { by: somebody(1) }).unwrap();
        bench.say(0, body(&[one]));
    }
    assert_eq!(held(&bench).len(), HELD_PER_DOCUMENT_MAX);
    assert_eq!(
        held(&bench)[..3],
        all.iter().map(AdmittedEnvelope::id).collect::<Vec<_>>(),
        "what came first stays"
    );
}

#[test]
fn glimpse_of_a_genesis_is_for_who_owns_the_place_stands_above_or_was_sent_it_by_its_author() {
    let (federation, all) = later(&[1]);
    let glimpse = |from: usize, me: usize, envelope: &AdmittedEnvelope| {
        let held = Held { from: federation.id(from), envelope: envelope.signed().clone(), age: Millis(0) };
        held.glimpse(federation.id(me), &federation.rosters).map(|seen| seen.code)
    };
    let code = Some(crate::fixture::code(0));
    let precinct = federation.precinct();
    for (from, me, expected) in
        [(0, 1, code), (precinct, 1, None), (1, precinct, code), (precinct, 0, code), (2, 1, None)]
    {
        assert_eq!(glimpse(from, me, &all[0]), expected, "from {from} to {me}");
        assert_eq!(glimpse(from, me, &all[1]), None, "only a genesis begins with these fields");
    }
}

#[test]
fn peer_that_never_learns_a_receipt_is_asked_nothing_and_keeps_it_due() {
    let (federation, all) = later(&[1]);
    let mut older = Bench::new(&federation, 1);
    let mut newer = Bench::new(&federation, 0);
    newer.replica = Replica::new(federation.id(0), federation.rosters.clone()).knowing(RULES_VERSION + 1);
    newer.disk.insert(
        newer.now,
        all[0].header().doc,
        all.iter().map(|e| (e.clone(), newer.now)).collect(),
        vec![],
    );
    older.connect(0);
    newer.connect(1);
    older.say(0, body(&all));
    // Both go on as long as they like: nothing goes to and fro but the question and its answer.
    let mut said = 0;
    for _ in 0..20 {
        for (peer, lane, message) in newer.pass(WANT_RETRY_MS) {
            assert_eq!(peer, federation.id(1));
            let input = Input::Arrived {
                peer: federation.id(0),
                lane,
                message: Arrived::check(message, &federation.rosters),
            };
            for (_, _, answer) in without_standing(older.settle(input)) {
                said += 1;
                newer.say(1, answer);
            }
        }
    }
    assert!(said <= 60, "{said} messages");
    assert!(newer.is_due(1, &all[0].header().doc), "it stays due where it is");
}
