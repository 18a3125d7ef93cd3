//! What a replica takes from its peers, what it asks for, and what it drops.

use std::sync::Arc;

use super::bench::*;
use super::*;
use crate::fixture::{Federation, Scribe, somebody};
use crate::limits::WANT_RETRY_MS;
use crate::operation::Operation;

fn federation() -> Arc<Federation> {
    Arc::new(Federation::new(3))
}

fn wants(sent: &[Sent]) -> Vec<(MemberId, Vec<EnvelopeId>, Vec<EnvelopeId>)> {
    sent.iter()
        .filter_map(|(peer, _, message)| {
            if let Message::Want(want) = message {
                Some((*peer, want.ids.clone(), want.held.clone()))
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn nothing_is_receipted_before_it_is_stored() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = document(&federation, 0, &[1], 0);
    let input = bench.message(0, body(&doc));
    let outputs = bench.hand(input);
    assert!(matches!(outputs[..], [Output::Store { lane: Lane::Urgent, .. }]), "{outputs:?}");
    let sent = bench.carry_out(outputs);
    let id = doc[0].header().doc;
    assert_eq!(sent, [(federation.id(0), Lane::Urgent, have(id, &[doc[0].id()], false))]);
}

#[test]
fn duplicate_envelope_is_receipted_again_and_not_stored_again() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = document(&federation, 0, &[1], 0);
    bench.say(0, body(&doc));
    let input = bench.message(0, body(&doc));
    let outputs = bench.hand(input);
    assert!(matches!(outputs[..], [Output::Send { message: Message::Have(_), .. }]), "{outputs:?}");
}

#[test]
fn one_store_of_a_document_at_a_time_and_the_rest_follows() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = document(&federation, 0, &[1], 3);
    let id = doc[0].header().doc;
    let stores = |outputs: &[Output]| {
        let sizes = outputs.iter().filter_map(|o| {
            if let Output::Store { envelopes, .. } = o { Some(envelopes.len()) } else { None }
        });
        sizes.collect::<Vec<_>>()
    };
    let first = bench.message(0, body(&doc[..1]));
    let first = bench.hand(first);
    assert_eq!((stores(&first), bench.replica.taken()), (vec![1], 1));
    for envelope in &doc[1..] {
        for taken in [1, 0] {
            let input = bench.message(0, body(std::slice::from_ref(envelope)));
            assert_eq!((stores(&bench.hand(input)), bench.replica.taken()), (vec![], taken), "once each");
        }
    }
    if let Some(Output::Store { envelopes, blobs, .. }) = first.into_iter().next() {
        bench.disk.store(bench.now, id, &envelopes, blobs);
    }
    assert_eq!(stores(&bench.hand(Input::Stored { doc: id })), [3]);
}

#[test]
fn who_is_named_by_what_is_not_stored_yet_is_told_once_it_is() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    [0, 2].into_iter().for_each(|n| _ = bench.connect(n));
    let mut scribe = Scribe::new(&federation);
    let genesis = scribe.open(0, &[1]);
    let invite = scribe.write(0, Operation::Invite { member: federation.id(2) }).unwrap();
    let doc = genesis.header().doc;
    let store = |bench: &mut Bench, outputs: Vec<Output>| {
        for output in outputs {
            if let Output::Store { envelopes, blobs, .. } = output {
                bench.disk.store(bench.now, doc, &envelopes, blobs);
            }
        }
        bench.hand(Input::Stored { doc })
    };
    let told = |outputs: &[Output]| {
        let invited = federation.id(2);
        outputs.iter().any(|output| matches!(output, Output::Send { peer, .. } if *peer == invited))
    };
    let first = bench.message(0, body(&[genesis]));
    let first = bench.hand(first);
    let second = bench.message(0, body(&[invite]));
    assert!(!told(&bench.hand(second)));
    let then = store(&mut bench, first);
    assert!(!told(&then), "what names it waits for the store");
    assert!(told(&store(&mut bench, then)));
}

#[test]
fn store_that_failed_is_forgotten_and_taken_again() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = document(&federation, 0, &[1], 1);
    let id = doc[0].header().doc;
    let input = bench.message(0, body(&doc));
    assert_eq!(bench.hand(input).len(), 1);
    assert!(bench.hand(Input::StoreFailed { doc: id }).is_empty(), "nothing is confirmed");
    let sent = bench.say(0, have(id, &[doc[1].id()], true));
    assert_eq!(wants(&sent), [(federation.id(0), vec![doc[1].id()], vec![])]);
    bench.say(0, answer(&doc));
    assert_eq!(bench.heads(&id), [doc[1].id()]);
}

#[test]
fn store_that_failed_is_taken_again_also_of_whoever_had_sent_the_same_second() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    [0, 3].into_iter().for_each(|n| _ = bench.connect(n));
    let doc = document(&federation, 0, &[1], 1);
    let id = doc[0].header().doc;
    for from in [0, 3] {
        let input = bench.message(from, body(&doc));
        bench.hand(input);
    }
    bench.hand(Input::StoreFailed { doc: id });
    let sent = bench.say(3, have(id, &[doc[1].id()], true));
    assert_eq!(wants(&sent), [(federation.id(3), vec![doc[1].id()], vec![])]);
}

#[test]
fn unknown_heads_are_wanted_once_a_peer_with_what_is_held() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    bench.connect(3);
    let doc = document(&federation, 0, &[1], 3);
    let id = doc[0].header().doc;
    bench.say(0, body(&doc[..2]));
    let ask = have(id, &[doc[3].id()], true);
    let expected = |n: usize| (federation.id(n), vec![doc[3].id()], vec![doc[1].id()]);
    assert_eq!(wants(&bench.say(0, ask.clone())), [expected(0)]);
    assert_eq!(wants(&bench.say(0, ask.clone())), [], "an answer is owed already");
    assert_eq!(wants(&bench.say(3, ask)), [expected(3)], "another peer is asked at once");
}

#[test]
fn want_goes_on_until_the_peers_last_have_is_covered() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = document(&federation, 0, &[1], 5);
    let id = doc[0].header().doc;
    bench.say(0, have(id, &[doc[5].id()], true));
    let sent = bench.say(0, answer(&doc[..3]));
    assert_eq!(wants(&sent), [(federation.id(0), vec![doc[5].id()], vec![doc[2].id()])]);
    let sent = bench.say(0, answer(&doc[3..]));
    assert_eq!(wants(&sent), []);
    assert_eq!(sent, [(federation.id(0), Lane::Urgent, have(id, &[doc[5].id()], false))], "the receipt");
}

#[test]
fn empty_or_useless_answer_ends_the_asking_until_something_changes() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = document(&federation, 0, &[1], 2);
    let id = doc[0].header().doc;
    bench.say(0, body(&doc[..1]));
    assert_eq!(wants(&bench.say(0, have(id, &[doc[2].id()], false))).len(), 1);
    let nothing = Message::Answer(crate::message::Items { doc: id, items: Vec::new() });
    assert_eq!(bench.say(0, nothing), []);
    assert_eq!(wants(&bench.say(0, have(id, &[doc[2].id()], false))).len(), 1, "a new have asks anew");
    assert_eq!(wants(&bench.say(0, answer(&doc[..1]))), [], "it sent what is here already");
}

#[test]
fn want_without_an_answer_is_asked_again() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = document(&federation, 0, &[1], 1);
    bench.say(0, have(doc[0].header().doc, &[doc[1].id()], true));
    assert_eq!(wants(&bench.pass(WANT_RETRY_MS - 1)), []);
    for _ in 0..3 {
        assert_eq!(wants(&bench.pass(WANT_RETRY_MS)).len(), 1);
    }
    assert_eq!(wants(&bench.pass(WANT_RETRY_MS)), [], "then it is the digest's turn");
}

#[test]
fn child_before_its_parent_is_parked_and_the_parent_wanted() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = document(&federation, 0, &[1], 3);
    let sent = bench.say(0, body(&doc[2..3]));
    assert_eq!(wants(&sent), [(federation.id(0), vec![doc[1].id()], vec![])]);
    assert_eq!(bench.replica.parked().0, 1);
    assert!(bench.disk.documents.is_empty());
    bench.say(0, answer(&doc[..2]));
    assert_eq!(bench.heads(&doc[0].header().doc), [doc[2].id()]);
    assert_eq!(bench.replica.parked(), (0, 0));
}

#[test]
fn spoiled_copy_is_dropped_and_blamed_and_the_honest_one_still_comes_in() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    bench.connect(3);
    let doc = document(&federation, 0, &[1], 0);
    let bytes = doc[0].bytes().to_vec();
    let mut faults = Vec::new();
    for at in [bytes.len() - 1, bytes.len() - 70] {
        let mut spoiled = bytes.clone();
        spoiled[at] ^= 1;
        let envelope = crate::envelope::SignedEnvelope::decode(&spoiled).unwrap();
        assert_eq!(envelope.id(), doc[0].id(), "a copy of the same envelope");
        let items = vec![crate::message::Item { age: Millis(0), envelope, blobs: Vec::new() }];
        let spoiled = Message::Body(crate::message::Items { doc: doc[0].header().doc, items });
        let input = bench.message(3, spoiled);
        for output in bench.hand(input) {
            let Output::Blame { peer, id, fault } = output else { panic!("{output:?}") };
            assert_eq!((peer, id), (federation.id(3), doc[0].id()));
            faults.push(fault);
        }
    }
    assert_eq!(faults, [Fault::BadSignature, Fault::OperationHash]);
    bench.say(0, body(&doc));
    assert_eq!(bench.heads(&doc[0].header().doc), [doc[0].id()]);
}

#[test]
fn envelope_of_another_document_than_the_message_says_is_dropped() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = document(&federation, 0, &[1], 0);
    let items = doc.iter().map(item).collect();
    let input = bench.message(0, Message::Body(crate::message::Items { doc: DocId([1; 32]), items }));
    let outputs = bench.hand(input);
    assert!(matches!(outputs[..], [Output::Blame { fault: Fault::OtherDocument, .. }]), "{outputs:?}");
}

#[test]
fn rejected_envelope_is_recorded_with_its_code_and_its_neighbours_come_in() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let mut scribe = Scribe::new(&federation);
    let first = scribe.open(0, &[1]);
    let offered = Operation::Offer { to: federation.id(1), reason: crate::operation::HandoffReason::Means };
    let note = scribe.write(0, Operation::Note { by: somebody(1) }).unwrap();
    // The neighbour hands over what is not its own, by its own rules.
    let forged = forged(&federation, &scribe.document, offered);
    let doc = first.header().doc;
    let items = vec![item(&first), forged.1, item(&note)];
    let input = bench.message(0, Message::Body(crate::message::Items { doc, items }));
    let outputs = bench.hand(input);
    let refusal = outputs.iter().find_map(|output| {
        if let Output::RecordRefusal { id, refusal, .. } = output { Some((*id, *refusal)) } else { None }
    });
    assert_eq!(refusal, Some((forged.0, Refusal::NotOwner)));
    bench.carry_out(outputs);
    assert_eq!(bench.heads(&doc), [note.id()], "the honest items of the same message are in");
    let sent = bench.say(0, have(doc, &[forged.0, note.id()], true));
    assert_eq!(wants(&sent), [], "what was rejected is not asked for again");
}

/// An operation of member 2 that only the owner may do, signed with its own good key.
fn forged(
    federation: &Federation,
    document: &Document,
    operation: Operation,
) -> (EnvelopeId, crate::message::Item) {
    let genesis = document.genesis().unwrap();
    let hand = federation.hand(2);
    let op_bytes = operation.encode();
    let mut header = genesis.header().clone();
    header.author = hand.member;
    header.parents = vec![genesis.id()];
    header.op_type = operation.op_type();
    header.op_len = u32::try_from(op_bytes.len()).unwrap();
    header.op_hash = crate::ids::sha256(&[&op_bytes]);
    header.blobs = Vec::new();
    let signature = ed25519_dalek::Signer::sign(&hand.key, &header.sig_input()).to_bytes().to_vec();
    let envelope = crate::envelope::SignedEnvelope::assemble(header, &op_bytes, &signature);
    let id = envelope.id();
    (id, crate::message::Item { age: Millis(0), envelope, blobs: Vec::new() })
}

#[test]
fn document_that_does_not_name_us_stays_aside_until_an_invitation_does() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 2);
    bench.connect(0);
    let mut scribe = Scribe::new(&federation);
    let opened = scribe.open(0, &[1]);
    let noted = scribe.write(0, Operation::Note { by: somebody(1) }).unwrap();
    let invited = scribe.write(0, Operation::Invite { member: federation.id(2) }).unwrap();
    let doc = opened.header().doc;
    let sent = bench.say(0, body(&[opened, noted.clone()]));
    assert_eq!(sent, [], "nothing is confirmed");
    assert!(bench.disk.documents.is_empty() && bench.disk.due.is_empty());
    assert_eq!(bench.replica.parked().0, 2);
    assert_eq!(bench.say(0, have(doc, &[noted.id()], true)).len(), 1, "it looks like one that is not here");
    bench.say(0, body(std::slice::from_ref(&invited)));
    assert_eq!(bench.heads(&doc), [invited.id()]);
    assert_eq!(bench.replica.parked(), (0, 0));
}

#[test]
fn unknown_roster_parks_an_envelope_and_is_asked_for() {
    let mut newer = Federation::new(3);
    newer.publish(|body| body.expires = Millis(body.expires.0 + 1));
    let older = federation();
    let mut bench = Bench::new(&older, 1);
    bench.connect(0);
    let doc = document(&newer, 0, &[1], 1);
    let id = doc[0].header().doc;
    let sent = bench.say(0, body(&doc));
    assert!(sent.contains(&(older.id(0), Lane::Normal, Message::RosterWant(1))), "{sent:?}");
    assert_eq!(bench.replica.parked().0, 2);
    // The same again brings nothing, and so nothing is asked for again.
    assert_eq!(wants(&bench.say(0, answer(&doc))), []);
    bench.disk.rosters = newer.rosters.clone();
    bench.settle(Input::RosterChanged(newer.rosters.clone()));
    assert_eq!(bench.heads(&id), [doc[1].id()]);
}

#[test]
fn envelope_verified_under_a_roster_that_the_replica_was_not_told_of_waits() {
    let mut newer = Federation::new(3);
    newer.publish(|body| body.expires = Millis(body.expires.0 + 1));
    let mut bench = Bench::new(&federation(), 1);
    bench.connect(0);
    let doc = document(&newer, 0, &[1], 0);
    let message = Arrived::check(body(&doc), &newer.rosters);
    let outputs = bench.hand(Input::Arrived { peer: newer.id(0), lane: Lane::Urgent, message });
    assert!(!outputs.iter().any(|o| matches!(o, Output::RecordRefusal { .. })), "{outputs:?}");
    bench.disk.rosters = newer.rosters.clone();
    bench.settle(Input::RosterChanged(newer.rosters.clone()));
    assert_eq!(bench.heads(&doc[0].header().doc), [doc[0].id()]);
}

#[test]
fn catching_up_is_stored_as_catching_up_whatever_the_peer_sends_it_on() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let quiet = Scribe::new(&federation).write(0, quiet_incident(&federation, 0, &[1], 3)).unwrap();
    let lane = |bench: &mut Bench, lane, envelope: &AdmittedEnvelope| {
        let message = Arrived::check(body(std::slice::from_ref(envelope)), &bench.federation.rosters);
        let outputs = bench.hand(Input::Arrived { peer: bench.id(0), lane, message });
        outputs.into_iter().find_map(|o| if let Output::Store { lane, .. } = o { Some(lane) } else { None })
    };
    assert_eq!(lane(&mut bench, Lane::Urgent, &quiet), Some(Lane::Normal), "it does not ring");
    let alarm = &document(&federation, 0, &[1], 0)[0];
    assert_eq!(lane(&mut bench, Lane::Backfill, alarm), Some(Lane::Backfill));
}

#[test]
fn blob_that_came_along_is_kept_if_it_is_named_and_ours_and_fetched_otherwise() {
    let federation = federation();
    let mut owner = Bench::new(&federation, 0);
    owner.connect(1);
    let (opened, sent) = owner.write_with(None, incident(&federation, 0, &[1], 1), vec![small_blob(5)]);
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    bench.say(0, sent[0].2.clone());
    assert!(bench.disk.holds_blob(&opened.header().doc, &small_blob(5).id));
    let mut later = Bench::new(&federation, 1);
    for n in [0, 3] {
        later.connect(n);
    }
    let input = later.message(3, body(std::slice::from_ref(&opened)));
    let outputs = later.hand(input);
    for output in outputs {
        if let Output::Store { doc, envelopes, blobs, .. } = output {
            later.disk.store(later.now, doc, &envelopes, blobs);
        }
    }
    let outputs = later.hand(Input::Stored { doc: opened.header().doc });
    let fetch = outputs.iter().find_map(|output| {
        if let Output::FetchBlob { blob, candidates, .. } = output {
            Some((blob.id, candidates.clone()))
        } else {
            None
        }
    });
    assert_eq!(fetch, Some((small_blob(5).id, vec![federation.id(0)])), "not from the precinct");
    later.hand(Input::FetchFailed { blob: small_blob(5).id });
    later.now = later.now.plus(Millis(crate::limits::FETCH_RETRY_MS));
    let again = later.hand(Input::Tick);
    assert!(again.iter().any(|o| matches!(o, Output::FetchBlob { .. })), "tried again later");
}

#[test]
fn responders_blob_that_a_peer_sends_to_an_aggregator_is_not_kept() {
    let federation = federation();
    let mut owner = Bench::new(&federation, 0);
    owner.connect(1);
    let (_, sent) = owner.write_with(None, incident(&federation, 0, &[1], 1), vec![small_blob(5)]);
    let mut precinct = Bench::new(&federation, 3);
    precinct.connect(0);
    precinct.say(0, sent[0].2.clone());
    assert_eq!(precinct.disk.documents.len(), 1);
    assert!(precinct.disk.blobs.is_empty(), "what it never should have been sent");
}

#[test]
fn blob_that_does_not_match_its_commitment_is_dropped_and_blamed() {
    let federation = federation();
    let mut owner = Bench::new(&federation, 0);
    owner.connect(1);
    let (_, sent) = owner.write_with(None, incident(&federation, 0, &[1], 1), vec![small_blob(5)]);
    let Message::Body(mut items) = sent[0].2.clone() else { panic!("{sent:?}") };
    items.items[0].blobs[0].content.push(1);
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let input = bench.message(0, Message::Body(items));
    let outputs = bench.hand(input);
    assert!(outputs.iter().any(|o| matches!(o, Output::Blame { fault: Fault::Commitment, .. })));
    bench.carry_out(outputs);
    assert_eq!(bench.disk.documents.len(), 1, "the envelope is good all the same");
    assert!(bench.disk.blobs.is_empty());
}

#[test]
fn replica_asks_for_no_more_than_the_store_can_take_and_alarms_do_not_wait_for_the_rest() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let mut scribe = Scribe::new(&federation);
    let mut seed = 0;
    let mut fill = |bench: &mut Bench, lane: Lane, most: usize| {
        for _ in 0..most {
            assert!(!bench.replica.congested(lane));
            (scribe.document, seed) = (Document::default(), seed + 1);
            // The lane is the peer's word: what is called urgent and rings nobody counts there all the same.
            let rings = seed % 2 == 0;
            let raise = if rings { incident } else { quiet_incident };
            let opened = scribe.write(0, raise(&federation, 0, &[1], seed)).unwrap();
            let message = Arrived::check(body(std::slice::from_ref(&opened)), &federation.rosters);
            bench.hand(Input::Arrived { peer: federation.id(0), lane, message });
        }
        assert!(bench.replica.congested(lane));
    };
    fill(&mut bench, Lane::Backfill, STORES_IN_FLIGHT_MAX);
    fill(&mut bench, Lane::Urgent, URGENT_STORES_IN_FLIGHT_MAX);
    assert!(bench.replica.congested(Lane::Backfill));
}
