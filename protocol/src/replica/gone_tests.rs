//! Retired documents of which somebody has dropped the contents.

use std::sync::Arc;

use super::bench::*;
use super::*;
use crate::fixture::{Federation, Scribe, somebody};
use crate::message::Gone;
use crate::operation::Outcome;

/// A document of member 0 that involves member 1 and is retired.
fn retired(federation: &Federation) -> Vec<AdmittedEnvelope> {
    let mut scribe = Scribe::new(federation);
    let mut all = vec![scribe.open(0, &[1])];
    all.push(scribe.write(0, step()).unwrap());
    all.push(scribe.write(0, Operation::Close { outcome: Outcome::Helped, by: somebody(1) }).unwrap());
    all.push(scribe.write(0, Operation::Retire).unwrap());
    all
}

fn file(bench: &mut Bench, envelopes: &[AdmittedEnvelope]) {
    let doc = envelopes[0].header().doc;
    let envelopes = envelopes.iter().map(|e| (e.clone(), bench.now)).collect();
    bench.disk.insert(bench.now, doc, envelopes, Vec::new());
}

/// A node that held all of it and has dropped the contents.
fn dropper(federation: &Arc<Federation>, all: &[AdmittedEnvelope]) -> Bench {
    let mut bench = Bench::new(federation, 0);
    file(&mut bench, all);
    bench.disk.drop_contents(&all[0].header().doc);
    bench
}

fn gone(envelope: &AdmittedEnvelope) -> Message {
    Message::Gone(Gone { doc: envelope.header().doc, retire: envelope.signed().clone() })
}

/// Lets member 0 (`a`) and member 1 (`b`) talk until neither has anything to say, after each has sent
/// what it has to say first; gives what was said.
fn talk(a: &mut Bench, b: &mut Bench, [from_a, from_b]: [Vec<Sent>; 2]) -> Vec<&'static str> {
    let mut names = Vec::new();
    let to = |to: usize, sent: Vec<Sent>| {
        sent.into_iter().map(move |(_, lane, message)| (to, lane, message)).collect::<Vec<_>>()
    };
    let mut waiting = [to(1, from_a), to(0, from_b)].concat();
    while !waiting.is_empty() {
        let (at, lane, message) = waiting.remove(0);
        names.push(message.name());
        assert!(names.len() < 200, "they talk for ever: {names:?}");
        let (bench, other) = if at == 1 { (&mut *b, 0) } else { (&mut *a, 1) };
        let message = Arrived::check(message, &bench.disk.rosters);
        let sent = bench.settle(Input::Arrived { peer: bench.id(other), lane, message });
        waiting.extend(to(other, sent));
    }
    names
}

/// Time passes for both.
fn pass(a: &mut Bench, b: &mut Bench, ms: u64) -> Vec<&'static str> {
    let first = [a.pass(ms), b.pass(ms)];
    talk(a, b, first)
}

fn digest(bench: &Bench, n: usize) -> Fingerprint {
    bench.disk.digest_place(&bench.id(n), &Prefix::default()).unwrap().hash
}

#[test]
fn who_lacks_what_was_dropped_is_answered_gone_and_the_two_are_in_step() {
    let federation = Arc::new(Federation::new(3));
    let all = retired(&federation);
    for held in 0..=4 {
        let (mut a, mut b) = (dropper(&federation, &all), Bench::new(&federation, 1));
        if held > 0 {
            file(&mut b, &all[..held]);
        }
        let first = [a.connect(1), b.connect(0)];
        let mut names = talk(&mut a, &mut b, first);
        for _ in 0..4 {
            names.extend(pass(&mut a, &mut b, crate::limits::DIGEST_INTERVAL_MS));
        }
        assert_eq!(names.contains(&"gone"), held < 4, "with {held} held: {names:?}");
        assert_eq!(digest(&a, 1), digest(&b, 0), "with {held} held: {names:?}");
        let doc = all[0].header().doc;
        assert!(!a.is_due(1, &doc) && !b.is_due(0, &doc), "with {held} held");
        let here = b.disk.documents.get(&doc).map_or(0, |filed| filed.document.all_held().len());
        // Who has all that the retire had seen takes it in; the others keep what they have.
        assert_eq!(here, if held == 3 { 4 } else { held }, "with {held} held");
        let names = pass(&mut a, &mut b, crate::limits::DIGEST_INTERVAL_MS);
        let quiet = |name: &&str| ["digest root", "roster want"].contains(name);
        assert!(names.iter().all(quiet), "with {held} held they go on: {names:?}");
    }
}

#[test]
fn who_is_restored_after_it_said_gone_is_believed_again_and_given_what_it_lacks() {
    let federation = Arc::new(Federation::new(3));
    let all = retired(&federation);
    let doc = all[0].header().doc;
    for (before, held) in [(0, 0), (0, 2), (1, 0), (2, 2), (3, 1)] {
        let (mut a, mut b) = (dropper(&federation, &all), Bench::new(&federation, 1));
        if held > 0 {
            file(&mut b, &all[..held]);
        }
        let first = [a.connect(1), b.connect(0)];
        talk(&mut a, &mut b, first);
        assert_eq!(b.disk.kept.gone.len(), 1);
        // What member 0 had before it took in the rest.
        let mut a = Bench::new(&federation, 0);
        if before > 0 {
            file(&mut a, &all[..before]);
        }
        let first = [a.connect(1), b.connect(0)];
        talk(&mut a, &mut b, first);
        for _ in 0..4 {
            pass(&mut a, &mut b, crate::limits::DIGEST_INTERVAL_MS);
        }
        let here = |bench: &Bench| bench.disk.documents.get(&doc).map_or(0, |f| f.document.all_held().len());
        // Where all is here that the retire had seen, that comes out of the parking.
        let most = if before.max(held) == 3 { 4 } else { before.max(held) };
        assert_eq!((here(&a), here(&b)), (most, most), "{before} and {held}");
        assert_eq!(digest(&a, 1), digest(&b, 0), "{before} and {held}");
        assert!(b.disk.kept.gone.is_empty() && !a.is_due(1, &doc) && !b.is_due(0, &doc));
    }
}

#[test]
fn who_was_let_in_by_what_a_retire_leaves_out_is_told_of_the_retire_by_those_who_dropped_the_contents() {
    let federation = Arc::new(Federation::new(3));
    let mut scribe = Scribe::new(&federation);
    let genesis = scribe.open(0, &[]);
    let let_in = Operation::TakeoverOffer { to: federation.id(1) };
    let seen = scribe.document.clone();
    let let_in = scribe.write_on(&seen, federation.precinct(), let_in).unwrap();
    let close = scribe.write(0, Operation::Close { outcome: Outcome::Helped, by: somebody(1) }).unwrap();
    let retire = scribe.write(0, Operation::Retire).unwrap();
    let doc = genesis.header().doc;
    let believes = [genesis.clone(), let_in, close.clone()];
    for (held, whole) in [(2, false), (3, true)] {
        let mut a = dropper(&federation, &[genesis.clone(), close.clone(), retire.clone()]);
        let mut b = Bench::new(&federation, 1);
        file(&mut b, &believes[..held]);
        assert!(b.is_due(0, &doc));
        let first = [a.connect(1), b.connect(0)];
        talk(&mut a, &mut b, first);
        for _ in 0..4 {
            pass(&mut a, &mut b, crate::limits::DIGEST_INTERVAL_MS);
        }
        let retired = b.disk.documents.get(&doc).and_then(|filed| filed.document.retired());
        assert_eq!(retired.is_some(), whole, "it takes the retire in where it has what that had seen");
        assert!(!b.is_due(0, &doc) && !a.is_due(1, &doc));
        assert_eq!(digest(&a, 1), digest(&b, 0));
        let names = pass(&mut a, &mut b, crate::limits::DIGEST_INTERVAL_MS);
        assert!(names.iter().all(|name| ["digest root", "roster want"].contains(name)), "{names:?}");
    }
}

#[test]
fn who_has_dropped_a_document_takes_nothing_of_it_in_and_asks_for_nothing() {
    let federation = Arc::new(Federation::new(3));
    let all = retired(&federation);
    let mut bench = dropper(&federation, &all);
    bench.connect(1);
    bench.connect(2);
    let doc = all[0].header().doc;
    let told = (federation.id(1), Lane::Urgent, have(doc, &[all[3].id()], false));
    assert_eq!(bench.say(1, body(&all)), std::slice::from_ref(&told));
    assert_eq!(bench.say(1, have(doc, &[all[1].id()], true)), [told]);
    assert_eq!(bench.say(2, body(&all[1..])), [], "a stranger is told nothing");
    let nothing = have(doc, &[], false);
    assert_eq!(bench.say(2, have(doc, &[all[1].id()], true))[0].2, want(doc, &[all[1].id()], &[]));
    assert_eq!(bench.say(2, have(doc, &[], true)), [(federation.id(2), Lane::Urgent, nothing)]);
    let empty = Message::Answer(crate::message::Items { doc, items: Vec::new() });
    assert_eq!(
        bench.say(2, want(doc, &[all[0].id()], &[]))[0].2,
        empty,
        "not here and not yours are the same"
    );
    assert!(bench.disk.documents.is_empty());
    assert_eq!(bench.replica.parked(), (0, 0));
}

#[test]
fn gone_that_nobody_asked_for_says_nothing() {
    let federation = Arc::new(Federation::new(3));
    let all = retired(&federation);
    let mut bench = Bench::new(&federation, 1);
    file(&mut bench, &all[..3]);
    bench.connect(0);
    assert_eq!(bench.say(0, gone(&all[3])), [], "nobody asked: it is not taken in, so not confirmed either");
    assert_eq!(bench.heads(&all[0].header().doc), [all[2].id()], "nobody asked: what is here stays as it is");
    assert!(bench.disk.kept.gone.is_empty());
}

#[test]
fn liars_gone_stops_nobody_but_the_liar() {
    let federation = Arc::new(Federation::new(3));
    let all = retired(&federation);
    let doc = all[0].header().doc;
    // Member 2 signs a retire of its own under a parent that nobody has.
    let hand = federation.hand(2);
    let mut header = all[3].header().clone();
    (header.author, header.parents, header.prev_at) = (hand.member, vec![EnvelopeId([7; 32])], 0);
    header.seq = crate::ids::Seq(1);
    let signature = ed25519_dalek::Signer::sign(&hand.key, &header.sig_input()).to_bytes().to_vec();
    let forged = crate::envelope::SignedEnvelope::assemble(header, &[], &signature);
    let mut bench = Bench::new(&federation, 1);
    bench.connect(3);
    bench.connect(0);
    bench.say(0, body(&all[..1]));
    assert_eq!(bench.say(3, have(doc, &[all[1].id()], true)).len(), 1, "the precinct is asked");
    bench.say(3, Message::Gone(Gone { doc, retire: forged }));
    assert_eq!(bench.disk.kept.gone.len(), 1, "it is taken at its word about itself");
    assert_eq!(
        bench.say(3, have(doc, &[EnvelopeId([8; 32])], true)).len(),
        1,
        "until it tells of something else"
    );
    // Everybody else is asked, told and believed as before.
    bench.say(0, body(&all[1..2]));
    assert_eq!(bench.heads(&doc), [all[1].id()]);
    assert!(bench.disk.documents.get(&doc).is_some_and(|filed| filed.document.retired().is_none()));
    let sent = bench.say(0, have(doc, &[all[2].id()], true));
    assert_eq!(sent[0].2, want(doc, &[all[2].id()], &[all[1].id()]));
    bench.say(0, answer(&all[2..]));
    assert_eq!(bench.disk.documents.get(&doc).and_then(|filed| filed.document.retired()), Some(all[3].id()));
}

#[test]
fn gone_with_something_else_than_a_retire_is_blamed() {
    let federation = Arc::new(Federation::new(3));
    let all = retired(&federation);
    let doc = all[0].header().doc;
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    bench.say(0, have(doc, &[all[3].id()], true));
    let input = bench.message(0, gone(&all[1]));
    let outputs = bench.hand(input);
    assert!(matches!(outputs[..], [Output::Blame { fault: Fault::NoRetire, .. }]), "{outputs:?}");
    assert!(bench.disk.kept.gone.is_empty());
}
