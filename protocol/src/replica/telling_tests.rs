//! What a replica tells its peers, and when a document stops being due to them.

use std::sync::Arc;

use super::bench::*;
use super::*;
use crate::audience::Audience;
use crate::digest::Mark;
use crate::fixture::Federation;
use crate::limits::{
    DIGEST_INTERVAL_MS, HAVE_GATHER_MS, HEADS_MAX, OFFER_TIMEOUT_MS, OFFERS_AT_ONCE, OFFERS_IN_FLIGHT_MAX,
};
use crate::message::{BlobWant, DigestLeaf, DigestRoot, Have, Prefix};
use crate::operation::Operation;

/// Two municipal nodes (0, 1), a third (2), the precinct (3), the national node (4).
fn federation() -> Arc<Federation> {
    Arc::new(Federation::new(3))
}

#[test]
fn author_pushes_a_new_alarm_at_once_on_the_urgent_lane_to_everybody_entitled() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    for n in 1..=4 {
        bench.connect(n);
    }
    let (envelope, sent) = bench.write(None, incident(&federation, 0, &[1], 1));
    let to: Vec<MemberId> = sent.iter().map(|(peer, _, _)| *peer).collect();
    let mut expected = vec![federation.id(1), federation.id(3), federation.id(4)];
    expected.sort_unstable();
    assert_eq!(to, expected, "not to the neighbour that it does not concern");
    for (_, lane, message) in &sent {
        assert_eq!((*lane, ids_of(message)), (Lane::Urgent, vec![envelope.id()]));
    }
    assert!(bench.is_due(1, &envelope.header().doc));
}

#[test]
fn receipt_that_covers_our_heads_clears_due_and_a_stale_one_does_not() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    bench.connect(1);
    let (first, _) = bench.write(None, incident(&federation, 0, &[1], 1));
    let doc = first.header().doc;
    let (second, _) = bench.write(Some(doc), step());
    bench.say(1, have(doc, &[first.id()], false));
    assert!(bench.is_due(1, &doc), "it has not confirmed the second envelope");
    assert!(bench.say(1, have(doc, &[second.id()], false)).is_empty(), "a receipt is not answered");
    assert!(!bench.is_due(1, &doc));
}

#[test]
fn due_is_not_cleared_by_a_confirmation_that_a_new_envelope_overtook() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    bench.connect(1);
    let (first, _) = bench.write(None, incident(&federation, 0, &[1], 1));
    let doc = first.header().doc;
    let receipt = bench.message(1, have(doc, &[first.id()], false));
    let outputs = bench.hand(receipt);
    bench.store_own(Some(doc), step(), Vec::new());
    bench.carry_out(outputs);
    assert!(bench.is_due(1, &doc), "what was confirmed is not what is held by now");
}

#[test]
fn have_that_asks_is_always_answered_and_one_that_does_not_only_if_it_lacks_something() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    bench.connect(1);
    let (first, _) = bench.write(None, incident(&federation, 0, &[1], 1));
    let doc = first.header().doc;
    let heads = bench.heads(&doc);
    let told = |asks| vec![(federation.id(1), Lane::Urgent, have(doc, &heads, asks))];
    assert_eq!(bench.say(1, have(doc, &heads, true)), told(false));
    assert_eq!(bench.say(1, have(doc, &heads, true)), told(false), "every time");
    assert_eq!(bench.say(1, have(doc, &heads, false)), []);
    assert_eq!(bench.say(1, have(doc, &[], false)), told(true), "it lacks what we have");
}

#[test]
fn peer_that_never_takes_what_we_hold_is_not_urged_for_ever() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    bench.connect(1);
    let (first, _) = bench.write(None, incident(&federation, 0, &[1], 1));
    let doc = first.header().doc;
    bench.write(Some(doc), step());
    assert_eq!(bench.say(1, have(doc, &[first.id()], false)).len(), 1);
    assert_eq!(bench.say(1, have(doc, &[first.id()], false)), [], "it said the same again");
    let answered = bench.say(1, have(doc, &[first.id()], true));
    assert_eq!(answered, [(federation.id(1), Lane::Urgent, have(doc, &bench.heads(&doc), false))]);
    assert!(bench.is_due(1, &doc), "it stays due, for the next round");
}

#[test]
fn not_yours_and_not_here_are_the_same_bytes() {
    let federation = federation();
    let doc = document(&federation, 0, &[1], 2);
    let (id, head) = (doc[0].header().doc, doc[2].id());
    let blob = small_blob(1);
    let mut holder = Bench::new(&federation, 0);
    let mut stranger = Bench::new(&federation, 0);
    for bench in [&mut holder, &mut stranger] {
        bench.connect(1);
        bench.connect(2);
    }
    holder.disk.blobs.insert(blob.id, blob.clone());
    holder.say(1, body(&doc));
    assert_eq!(holder.heads(&id), [head], "the holder holds it");
    let ask_blob = Message::BlobWant(BlobWant { doc: id, blob: blob.id, from_piece: 0 });
    for question in [
        want(id, &[head], &[]),
        have(id, &[], true),
        have(id, &[], false),
        have(id, &[head], true),
        have(id, &[doc[1].id()], false),
        ask_blob,
    ] {
        let told = holder.say(2, question.clone());
        assert_eq!(told, stranger.say(2, question.clone()), "asked with {question:?}");
        let bytes = |sent: &[Sent]| sent.iter().map(|(_, _, m)| m.encode()).collect::<Vec<_>>();
        assert!(
            !bytes(&told).concat().windows(32).any(|w| w == doc[1].id().0)
                || question == have(id, &[doc[1].id()], false)
        );
    }
}

#[test]
fn want_is_answered_without_what_the_peer_holds_and_ancestors_first() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    bench.connect(1);
    let (first, _) = bench.write(None, incident(&federation, 0, &[1], 1));
    let doc = first.header().doc;
    let steps: Vec<EnvelopeId> = (0..3).map(|_| bench.write(Some(doc), step()).0.id()).collect();
    let all = bench.say(1, want(doc, &[steps[2]], &[]));
    assert_eq!(ids_of(&all[0].2), [first.id(), steps[0], steps[1], steps[2]]);
    let rest = bench.say(1, want(doc, &[steps[2]], &[steps[0]]));
    assert_eq!(ids_of(&rest[0].2), [steps[1], steps[2]]);
    let strange = bench.say(1, want(doc, &[EnvelopeId([9; 32])], &[EnvelopeId([8; 32])]));
    assert_eq!(ids_of(&strange[0].2), []);
}

#[test]
fn relay_tells_entitled_peers_an_alarm_at_once_and_gathers_the_rest_for_a_second() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 3);
    for n in [0, 1, 2] {
        bench.connect(n);
    }
    let alarm = document(&federation, 0, &[1], 0);
    let sent = bench.say(0, body(&alarm));
    let told: Vec<_> = sent.iter().map(|(peer, lane, m)| (*peer, *lane, m.name())).collect();
    assert_eq!(told.len(), 2, "a receipt and one relay, nothing to the node that it does not concern");
    assert!(told.contains(&(federation.id(0), Lane::Urgent, "have")), "the receipt");
    assert!(told.contains(&(federation.id(1), Lane::Urgent, "have")), "the relay");
    let quiet = quiet_incident(&federation, 0, &[1], 7);
    let quiet = crate::fixture::Scribe::new(&federation).write(0, quiet).unwrap();
    let doc = quiet.header().doc;
    let sent = bench.say(0, body(std::slice::from_ref(&quiet)));
    assert_eq!(sent.iter().map(|(peer, _, _)| *peer).collect::<Vec<_>>(), [federation.id(0)]);
    assert_eq!(without_standing(bench.pass(HAVE_GATHER_MS - 1)), []);
    assert_eq!(bench.pass(1), [(federation.id(1), Lane::Normal, have(doc, &[quiet.id()], true))]);
}

#[test]
fn everything_due_is_offered_on_connect_urgent_and_newest_first_a_bounded_number_at_a_time() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    let count = OFFERS_IN_FLIGHT_MAX + OFFERS_AT_ONCE + 2;
    let quiet = bench.store_own(None, quiet_incident(&federation, 0, &[1], 500), Vec::new()).header().doc;
    let docs: Vec<DocId> = (0..count)
        .map(|n| {
            bench.now = bench.now.plus(Millis(1));
            bench.store_own(None, incident(&federation, 0, &[1], n as u64), Vec::new()).header().doc
        })
        .collect();
    let offered: Vec<DocId> = bench.connect(1).iter().map(|(_, _, message)| doc_of(message)).collect();
    let newest_first: Vec<DocId> = docs.iter().rev().copied().collect();
    assert_eq!(offered, newest_first[..OFFERS_IN_FLIGHT_MAX]);
    let mut next: Vec<DocId> = Vec::new();
    for confirmed in &offered[..OFFERS_AT_ONCE] {
        assert_eq!(next, [], "too few places became free to read what is due for them");
        let confirm = have(*confirmed, &bench.heads(confirmed), false);
        next.extend(bench.say(1, confirm).iter().map(|(_, _, message)| doc_of(message)));
    }
    assert_eq!(next, newest_first[OFFERS_IN_FLIGHT_MAX..][..OFFERS_AT_ONCE], "places became free");
    let rest = without_standing(bench.pass(OFFER_TIMEOUT_MS));
    let rest: Vec<DocId> = rest.iter().map(|(_, _, message)| doc_of(message)).collect();
    assert_eq!(rest, [docs[1], docs[0], quiet], "those that were not confirmed in time gave their places");
    let again = without_standing(bench.pass(DIGEST_INTERVAL_MS));
    assert!(again.iter().any(|(_, _, m)| doc_of(m) == docs[5]), "what is still due comes again");
    assert!(!again.iter().any(|(_, _, m)| doc_of(m) == offered[0]), "what was confirmed does not");
}

fn doc_of(message: &Message) -> DocId {
    let told = if let Message::Have(have) = message { Some(have.doc) } else { None };
    let sent = if let Message::Body(items) = message { Some(items.doc) } else { None };
    told.or(sent).expect("it tells of a document")
}

#[test]
fn equal_digest_is_answered_and_clears_what_is_due() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    let doc = bench.store_own(None, incident(&federation, 0, &[1], 1), Vec::new()).header().doc;
    bench.connect(1);
    let hash = bench.disk.digest_place(&federation.id(1), &Prefix::default()).unwrap().hash;
    let root = |hash, asks| Message::DigestRoot(DigestRoot { hash, documents: 1, asks });
    let input = bench.message(1, root(hash, true));
    let outputs = bench.hand(input);
    let in_step = |output: &Output| matches!(output, Output::InStep { documents: 1, .. });
    assert!(outputs.iter().any(in_step), "shown to people as proven");
    let sent = bench.carry_out(outputs);
    assert_eq!(sent, [(federation.id(1), Lane::Normal, root(hash, false))]);
    assert!(!bench.is_due(1, &doc));
}

#[test]
fn unequal_digest_is_walked_down_to_the_documents_that_differ() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    let doc = bench.store_own(None, incident(&federation, 0, &[1], 1), Vec::new()).header().doc;
    bench.connect(1);
    bench.disk.due.clear();
    // Not while what is missing is on its way anyhow.
    let root = DigestRoot { hash: Fingerprint([9; 32]), documents: 7, asks: true };
    assert_eq!(bench.say(1, Message::DigestRoot(root)), []);
    bench.now = bench.now.plus(Millis(DIGEST_INTERVAL_MS));
    let root = DigestRoot { hash: Fingerprint([9; 32]), documents: 7, asks: true };
    let sent = bench.say(1, Message::DigestRoot(root));
    let Message::DigestLeaf(leaf) = &sent[0].2 else { panic!("{sent:?}") };
    let held = bench.disk.digest_below(&bench.id(1), &Prefix::default(), 2);
    assert_eq!(*leaf, DigestLeaf::of(Prefix::default(), bench.now.0, false, &held));
    let theirs = [(DocId([7; 32]), Fingerprint([1; 32]))];
    let leaf = |answers, told: &[_]| DigestLeaf::of(Prefix::default(), 5, answers, told);
    let sent = bench.say(1, Message::DigestLeaf(leaf(false, &theirs)));
    let told: Vec<Message> = sent.into_iter().map(|(_, _, message)| message).collect();
    let ours = DigestLeaf::of(Prefix::default(), bench.now.0, true, &held);
    assert!(told.contains(&Message::DigestLeaf(ours)), "tells what is here, for one of theirs is not");
    assert!(told.contains(&have(doc, &bench.heads(&doc), true)), "offers what is not there");
    assert!(bench.is_due(1, &doc), "lost records of what is due come back");
    let sent = bench.say(1, Message::DigestLeaf(leaf(true, &theirs)));
    let answered = sent.iter().any(|(_, _, message)| matches!(message, Message::DigestLeaf(_)));
    assert!(!answered, "an answer is not answered");
    let mut more = [held[0], theirs[0]];
    more.sort_unstable();
    let sent = bench.say(1, Message::DigestLeaf(leaf(false, &more)));
    assert!(matches!(&sent[..], [(_, _, Message::DigestLeaf(_))]), "what is alike is not told of: {sent:?}");
    assert_eq!(bench.say(1, Message::DigestLeaf(leaf(false, &held))), [], "nothing differs");
}

#[test]
fn where_both_have_asked_one_of_them_walks_and_the_other_one_the_next_time() {
    let federation = federation();
    let (smaller, larger) = if federation.id(0) < federation.id(1) { (0, 1) } else { (1, 0) };
    let walks = |n: usize, comparisons: u32| {
        let mut bench = Bench::new(&federation, n);
        let peer = 1 - n;
        bench.store_own(None, incident(&federation, n, &[peer], 1), Vec::new());
        bench.connect(peer);
        bench.now = bench.now.plus(Millis(DIGEST_INTERVAL_MS));
        bench.replica.peers.get_mut(&federation.id(peer)).unwrap().unequal = comparisons;
        let root = DigestRoot { hash: Fingerprint([9; 32]), documents: 7, asks: true };
        let sent = bench.say(peer, Message::DigestRoot(root));
        sent.iter().any(|(_, _, message)| matches!(message, Message::DigestLeaf(_)))
    };
    for comparisons in [1, 2, 3, 4] {
        let both = (walks(smaller, comparisons), walks(larger, comparisons));
        assert_eq!(both, (comparisons % 2 == 1, comparisons % 2 == 0), "at {comparisons}");
    }
    assert!(walks(smaller, 0) && walks(larger, 0), "who has not asked walks");
}

#[test]
fn after_many_unequal_comparisons_kept_hashes_are_made_anew() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    bench.store_own(None, incident(&federation, 0, &[1], 1), Vec::new());
    bench.connect(1);
    let mut forgotten = Vec::new();
    for answers in [false, true] {
        forgotten.clear();
        for _ in 0..=2 * crate::limits::DIGESTS_UNEQUAL_MAX {
            bench.now = bench.now.plus(Millis(DIGEST_INTERVAL_MS));
            let outputs = bench.hand(Input::Tick);
            forgotten.push(outputs.iter().any(|output| matches!(output, Output::ForgetDigest { .. })));
            if answers {
                let root = DigestRoot { hash: Fingerprint([9; 32]), documents: 7, asks: false };
                bench.say(1, Message::DigestRoot(root));
            }
        }
        // Who says nothing may be hashing, and shows nothing about what is here.
        let times = if answers { 2 } else { 0 };
        assert_eq!(
            forgotten.iter().filter(|forgot| **forgot).count(),
            times,
            "every fourth time: {forgotten:?}"
        );
    }
}

#[test]
fn nothing_is_hashed_in_the_loop_and_a_comparison_begins_once_it_was_elsewhere() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    bench.store_own(None, incident(&federation, 0, &[1], 1), Vec::new());
    bench.connect(1);
    bench.disk.due.clear();
    bench.disk.unhashed.set(u32::MAX);
    let roots = |sent: &[Sent]| {
        sent.iter().filter(|(_, _, message)| matches!(message, Message::DigestRoot(_))).count()
    };
    let mut tried = 0;
    for _ in 0..10 {
        let before = bench.disk.unhashed.get();
        assert_eq!(roots(&bench.pass(DIGEST_INTERVAL_MS)), 0, "nothing can be said yet");
        let root = DigestRoot { hash: Fingerprint([9; 32]), documents: 7, asks: true };
        assert_eq!(bench.say(1, Message::DigestRoot(root)), [], "nor answered");
        tried += before - bench.disk.unhashed.get();
    }
    assert_eq!(tried, 20, "looked at once each time");
    bench.disk.unhashed.set(0);
    assert_eq!(roots(&bench.settle(Input::DigestsMade)), 1);
    assert_eq!(roots(&bench.settle(Input::DigestsMade)), 0, "nothing waits any more");
}

#[test]
fn a_peer_that_has_lost_everything_is_told_in_parts() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    let numbers = 0..=crate::limits::DUE_CLEARED_MAX as u64;
    let docs: Vec<DocId> = numbers
        .map(|n| bench.store_own(None, incident(&federation, 0, &[1], n), Vec::new()).header().doc)
        .collect();
    bench.connect(1);
    bench.disk.due.clear();
    let empty = DigestLeaf::of(Prefix::default(), 1, false, &[]);
    let sent = bench.say(1, Message::DigestLeaf(empty));
    let [(_, _, Message::DigestChildren(children))] = sent.as_slice() else { panic!("{}", sent.len()) };
    for digit in 0..16 {
        let empty = DigestLeaf::of(children.prefix.child(digit), 1, false, &[]);
        bench.say(1, Message::DigestLeaf(empty));
    }
    let lacking = docs.iter().filter(|doc| !bench.disk.is_due(&bench.id(1), doc)).count();
    assert_eq!(lacking, 0, "all of it is due again");
}

#[test]
fn digest_walk_is_bounded_between_two_comparisons() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    bench.connect(1);
    let all_differ = crate::message::DigestChildren {
        prefix: Prefix::default(),
        salt: 1,
        marks: Box::new([Mark([1; 8]); 16]),
    };
    let rounds = crate::limits::DIGEST_WALK_MAX / 16 + 5;
    let mut sent = 0;
    for _ in 0..rounds {
        sent += bench.say(1, Message::DigestChildren(all_differ.clone())).len();
    }
    assert_eq!(sent, crate::limits::DIGEST_WALK_MAX as usize);
    bench.pass(DIGEST_INTERVAL_MS);
    assert_eq!(bench.say(1, Message::DigestChildren(all_differ)).len(), 16);
}

#[test]
fn small_blob_rides_along_to_who_may_hold_it_and_to_nobody_above() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    for n in [1, 3] {
        bench.connect(n);
    }
    let (_, sent) = bench.write_with(None, incident(&federation, 0, &[1], 1), vec![small_blob(5)]);
    for (peer, _, message) in sent {
        let Message::Body(items) = message else { panic!("not a push") };
        let expected = if peer == federation.id(1) { vec![small_blob(5)] } else { Vec::new() };
        assert_eq!(items.items[0].blobs, expected);
    }
}

#[test]
fn blob_is_served_to_the_involved_only() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    for n in 1..=4 {
        bench.connect(n);
    }
    let blob = small_blob(5);
    let (opened, _) = bench.write_with(None, incident(&federation, 0, &[1], 1), vec![blob.clone()]);
    let doc = opened.header().doc;
    let ask = |doc| Message::BlobWant(BlobWant { doc, blob: blob.id, from_piece: 3 });
    let input = bench.message(1, ask(doc));
    let served = bench.hand(input);
    assert!(
        matches!(served[..], [Output::ServeBlob { peer, from_piece: 3, .. }] if peer == federation.id(1))
    );
    for n in [2, 3, 4] {
        let none = vec![(federation.id(n), Lane::Blobs, Message::BlobNone(blob.id))];
        assert_eq!(bench.say(n, ask(doc)), none, "node {n} is not involved");
    }
    assert_eq!(bench.say(1, ask(DocId([3; 32]))).len(), 1, "nor by a document that does not name it");
}

#[test]
fn blob_that_somebody_names_in_a_document_of_their_own_is_not_given_out_for_it() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    for n in [1, 2] {
        bench.connect(n);
    }
    let blob = small_blob(5);
    bench.write_with(None, incident(&federation, 0, &[1], 1), vec![blob.clone()]);
    // Node 2 is not involved there, but has learned the commitment, and involves node 0 in its own.
    let mut thief = Bench::new(&federation, 2);
    let bait = thief.store_own(None, incident(&federation, 2, &[0], 2), vec![blob.clone()]);
    let doc = bait.header().doc;
    bench.say(2, body(std::slice::from_ref(&bait)));
    assert!(bench.disk.documents.contains_key(&doc));
    let stolen = bench.say(2, Message::BlobWant(BlobWant { doc, blob: blob.id, from_piece: 0 }));
    assert_eq!(stolen, vec![(federation.id(2), Lane::Blobs, Message::BlobNone(blob.id))]);
    let along = bench.say(2, want(doc, &[bait.id()], &[]));
    let Message::Answer(items) = &along[0].2 else { panic!("{along:?}") };
    assert!(items.items[0].blobs.is_empty(), "nor does it ride along");
}

#[test]
fn released_blob_goes_to_who_is_above_and_a_redacted_one_to_nobody() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    for n in [1, 3] {
        bench.connect(n);
    }
    let blob = small_blob(5);
    let (opened, _) = bench.write_with(None, incident(&federation, 0, &[1], 1), vec![blob.clone()]);
    let doc = opened.header().doc;
    let served = |bench: &mut Bench, n: usize| {
        let input = bench.message(n, Message::BlobWant(BlobWant { doc, blob: blob.id, from_piece: 0 }));
        let outputs = bench.hand(input);
        let along = bench.say(n, want(doc, &[opened.id()], &[]));
        let Message::Answer(items) = &along[0].2 else { panic!("{along:?}") };
        let both =
            (matches!(outputs[..], [Output::ServeBlob { .. }]), items.items[0].blobs == [blob.clone()]);
        assert_eq!(both.0, both.1, "asked for or riding along, the rule is one");
        both.0
    };
    assert!(served(&mut bench, 1) && !served(&mut bench, 3));
    bench.write(Some(doc), Operation::Release { blobs: vec![blob.id] });
    assert!(served(&mut bench, 1) && served(&mut bench, 3), "the owner released it");
    bench.write(Some(doc), Operation::Redact { blobs: vec![blob.id] });
    // Also a disk that did not erase it yet gives it to nobody.
    bench.disk.blobs.insert(blob.id, blob.clone());
    assert!(!served(&mut bench, 1) && !served(&mut bench, 3), "it is to be erased");
    bench.disk.blobs.clear();
    assert_eq!(bench.disk.missing_blobs(9).len(), 1, "the disk of this test forgets that it was redacted");
    bench.now = bench.now.plus(Millis(crate::limits::FETCH_RETRY_MS));
    let outputs = bench.hand(Input::Tick);
    assert!(!outputs.iter().any(|o| matches!(o, Output::FetchBlob { .. })), "nobody brings it back");
}

#[test]
fn age_counts_what_every_node_on_the_way_held_it() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 3);
    bench.connect(0);
    let alarm = document(&federation, 0, &[1], 0);
    bench.say(0, body(&alarm));
    bench.now = bench.now.plus(Millis(2_500));
    bench.connect(1);
    let sent = bench.say(1, want(alarm[0].header().doc, &[alarm[0].id()], &[]));
    let Message::Answer(items) = &sent[0].2 else { panic!("{sent:?}") };
    assert_eq!(items.items[0].age, Millis(500 + 2_500));
}

#[test]
fn paged_have_counts_once_it_is_whole() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    bench.connect(1);
    let (first, _) = bench.write(None, incident(&federation, 0, &[1], 1));
    let doc = first.header().doc;
    let page = |page, last, heads| Message::Have(Have { doc, page, last, asks: true, heads });
    assert_eq!(bench.say(1, page(0, false, vec![first.id()])), []);
    let many: Vec<EnvelopeId> = (0..HEADS_MAX).map(|n| EnvelopeId([n as u8; 32])).collect();
    let sent = bench.say(1, page(1, true, many));
    let Message::Want(asked) = &sent[0].2 else { panic!("{sent:?}") };
    assert_eq!(asked.ids.len(), HEADS_MAX);
    assert!(asked.held.contains(&first.id()));
}

#[test]
fn owner_commits_by_itself_once_its_last_offer_is_accepted() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    bench.connect(1);
    let (first, _) = bench.write(None, incident(&federation, 0, &[1], 1));
    let doc = first.header().doc;
    let reason = crate::operation::HandoffReason::Means;
    let (offer, _) = bench.write(Some(doc), Operation::Offer { to: federation.id(1), reason });
    let mut other = Bench::new(&federation, 1);
    other.connect(0);
    other.say(0, body(&[first, offer.clone()]));
    let (accept, _) = other.write(Some(doc), Operation::Accept { offer: offer.id() });
    let input = bench.message(1, body(std::slice::from_ref(&accept)));
    let outputs = bench.hand(input);
    let commit = Operation::Commit { accept: accept.id() };
    let commits = |outputs: &[Output]| {
        outputs
            .iter()
            .filter(|o| matches!(o, Output::AutoCommit { operation, .. } if *operation == commit))
            .count()
    };
    assert_eq!(commits(&outputs), 0, "not before the accept is stored");
    for output in outputs {
        if let Output::Store { doc, envelopes, blobs, .. } = output {
            bench.disk.store(bench.now, doc, &envelopes, blobs);
        }
    }
    assert_eq!(commits(&bench.hand(Input::Stored { doc })), 1);
    let mut restarted = Replica::new(federation.id(0), federation.rosters.clone());
    restarted.handle(bench.now, Input::Tick, &bench.disk);
    let outputs: Vec<Output> = std::iter::from_fn(|| restarted.poll_output()).collect();
    assert_eq!(commits(&outputs), 1, "nor is it forgotten by a crash");
}

#[test]
fn only_who_lacks_something_is_due() {
    let federation = federation();
    let all = document(&federation, 0, &[1], 0);
    let held = Document::from_log(all).unwrap();
    let due = |me: usize| {
        let audience = Audience::of(&held, &federation.rosters);
        let peers = due_peers(&held, &audience, &federation.rosters, &federation.id(me));
        let mut numbers: Vec<usize> = (0..5).filter(|n| peers.contains(&federation.id(*n))).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(due(0), [1, 3, 4]);
    assert_eq!(due(1), [3, 4], "the author of the only head has seen everything");
    assert_eq!(due(2), [] as [usize; 0], "whom it does not name tells nobody");
}
