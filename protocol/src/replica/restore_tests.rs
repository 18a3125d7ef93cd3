//! A node after a restore, after a rollback that nobody told it of, and beside a twin.

use std::sync::Arc;

use super::bench::*;
use super::*;
use crate::author::{Draft, Hand, SealError, seal};
use crate::fixture::{Federation, Scribe, somebody};
use crate::message::{DigestRoot, Prefix};
use crate::operation::HandoffReason;

fn note() -> Operation {
    Operation::Note { by: somebody(1) }
}

/// Member 0's incident with one step, and what member 0 went on to say under a generation.
struct Past {
    federation: Arc<Federation>,
    doc: DocId,
    kept: Vec<AdmittedEnvelope>,
    forgotten: AdmittedEnvelope,
}

fn past(generation: Incarnation) -> Past {
    let federation = Arc::new(Federation::new(3));
    let kept = document(&federation, 0, &[1], 1);
    let held = Document::from_log(kept.clone()).unwrap();
    let hand = Hand { incarnation: generation, ..federation.hand(0) };
    let draft = Draft { operation: note(), blobs: Vec::new(), answers: Vec::new(), written_at: Millis(9) };
    let forgotten = seal(&draft, Some(&held), &hand, &federation.rosters).unwrap();
    Past { doc: kept[0].header().doc, federation, kept, forgotten }
}

impl Past {
    /// Member 0 with what it kept.
    fn bench(&self) -> Bench {
        let mut bench = Bench::new(&self.federation, 0);
        let kept = self.kept.iter().map(|envelope| (envelope.clone(), Millis(5)));
        bench.disk.insert(Millis(5), self.doc, kept.collect(), Vec::new());
        bench
    }

    fn restored(&self) -> Bench {
        let mut bench = self.bench();
        bench.disk.restore(0, 99);
        bench
    }

    fn write(&self, bench: &mut Bench) -> Result<AdmittedEnvelope, SealError> {
        let hand = Hand { incarnation: bench.disk.incarnation, ..self.federation.hand(0) };
        let draft =
            Draft { operation: step(), blobs: Vec::new(), answers: Vec::new(), written_at: Millis(9) };
        bench.disk.write(bench.now, Some(self.doc), &draft, Vec::new(), &hand)
    }
}

const FIRST: Incarnation = Incarnation(7);

fn locked<T>() -> Result<T, SealError> {
    Err(SealError::Locked(Lock::Restored))
}

#[test]
fn restored_node_writes_in_an_old_document_once_a_peer_has_shown_it_there() {
    let past = past(FIRST);
    let mut bench = past.restored();
    bench.connect(1);
    assert_eq!(past.write(&mut bench), locked());
    let other = bench.write(None, incident(&past.federation, 0, &[1], 9)).0;
    assert!(other.header().is_genesis(), "a new document is never locked");
    bench.say(1, have(past.doc, &[past.forgotten.id()], true));
    assert_eq!(past.write(&mut bench), locked(), "it knows now that it forgot something");
    bench.say(1, answer(std::slice::from_ref(&past.forgotten)));
    assert_eq!(bench.heads(&past.doc), [past.forgotten.id()], "what it forgot is taken in");
    let written = past.write(&mut bench).unwrap();
    assert_eq!(written.header().prev(), Some(past.forgotten.id()));
    assert_eq!((written.header().seq.0, written.header().incarnation), (4, Incarnation::new(1, 99)));
}

#[test]
fn peer_that_lacks_the_document_shows_nothing_until_it_has_taken_it() {
    let past = past(FIRST);
    let mut bench = past.restored();
    bench.connect(1);
    bench.say(1, have(past.doc, &[], true));
    assert_eq!(past.write(&mut bench), locked());
    bench.say(2, have(past.doc, &[past.kept[1].id()], true));
    assert_eq!(past.write(&mut bench), locked(), "nor does one that may not hold it");
    bench.say(1, have(past.doc, &[past.kept[1].id()], false));
    assert!(past.write(&mut bench).is_ok());
}

#[test]
fn equal_digest_shows_every_document_under_it() {
    let past = past(FIRST);
    let mut bench = past.restored();
    bench.connect(1);
    let ours = bench.disk.digest_place(&bench.id(1), &Prefix::default()).unwrap();
    let root = |hash| Message::DigestRoot(DigestRoot { hash, documents: 1, asks: false });
    bench.say(1, root(Fingerprint([3; 32])));
    assert_eq!(past.write(&mut bench), locked());
    bench.say(1, root(ours.hash));
    assert!(past.write(&mut bench).is_ok());
}

#[test]
fn automatic_commit_waits_for_the_lock() {
    let federation = Arc::new(Federation::new(3));
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let offer = Operation::Offer { to: federation.id(1), reason: HandoffReason::Means };
    let offer = scribe.write(0, offer).unwrap().id();
    let accept = scribe.write(1, Operation::Accept { offer }).unwrap();
    let doc = accept.header().doc;
    let mut bench = Bench::new(&federation, 0);
    let envelopes = scribe.document.envelopes().map(|e| (e.clone(), Millis(5))).collect();
    bench.disk.insert(Millis(5), doc, envelopes, Vec::new());
    bench.disk.restore(0, 99);
    bench.connect(1);
    let commits = |outputs: &[Output]| outputs.iter().any(|o| matches!(o, Output::AutoCommit { .. }));
    bench.now = bench.now.plus(Millis(60_000));
    let outputs = bench.hand(Input::Tick);
    assert!(!commits(&outputs), "{outputs:?}");
    bench.say(1, have(doc, &[accept.id()], true));
    bench.now = bench.now.plus(Millis(60_000));
    assert!(commits(&bench.hand(Input::Tick)));
}

/// What comes of a peer's showing what this node signed and does not hold.
fn shown(bench: &mut Bench, past: &Past) -> Vec<Output> {
    bench.connect(1);
    let mut all = Vec::new();
    for _ in 0..2 {
        let input = bench.message(1, body(std::slice::from_ref(&past.forgotten)));
        all.extend(bench.hand(input));
    }
    all.retain(|output| matches!(output, Output::Raise { .. } | Output::Twin { .. }));
    all
}

#[test]
fn rolled_back_node_raises_its_generation_once() {
    let past = past(FIRST);
    let outputs = shown(&mut past.bench(), &past);
    assert!(matches!(outputs[..], [Output::Raise { forgotten: FIRST }]), "{outputs:?}");
    assert!(shown(&mut past.restored(), &past).is_empty(), "what a restore forgot is no rollback");
    let mut whole = past.bench();
    whole.disk.insert(Millis(5), past.doc, vec![(past.forgotten.clone(), Millis(5))], Vec::new());
    assert!(shown(&mut whole, &past).is_empty(), "what it wrote itself comes back now and then");
}

#[test]
fn envelope_under_a_random_part_that_it_never_drew_is_a_twins() {
    let past = past(Incarnation::new(1, 1_234));
    for mut bench in [past.bench(), past.restored()] {
        let outputs = shown(&mut bench, &past);
        let id = past.forgotten.id();
        let alarm =
            |o: &Output| matches!(o, Output::Twin { doc, evidence } if (*doc, *evidence) == (past.doc, id));
        assert!(outputs.len() == 1 && outputs.iter().all(alarm), "{outputs:?}");
    }
    let mut bench = past.bench();
    bench.disk.lock_all(Lock::Twin);
    bench.connect(1);
    bench.say(1, have(past.doc, &[past.kept[1].id()], true));
    assert_eq!(past.write(&mut bench), Err(SealError::Locked(Lock::Twin)), "no peer lifts that");
    bench.disk.locks.clear();
    bench.say(1, body(std::slice::from_ref(&past.forgotten)));
    assert_eq!(past.write(&mut bench), Err(SealError::Behind), "nor does it go on under a twin's generation");
}

#[test]
fn proof_about_itself_is_a_twins_work_and_ends_its_writing_there() {
    let federation = Arc::new(Federation::new(3));
    let mut scribe = Scribe::new(&federation);
    let genesis = scribe.open(0, &[1]);
    let seen = scribe.document.clone();
    let branches = [(), ()].map(|()| scribe.write_on(&seen, 0, step()).unwrap());
    let mut bench = Bench::new(&federation, 0);
    let kept = [&genesis, &branches[0]].map(|envelope| (envelope.clone(), Millis(5)));
    bench.disk.insert(Millis(5), genesis.header().doc, kept.to_vec(), Vec::new());
    bench.connect(1);
    let input = bench.message(1, body(&branches[1..]));
    let outputs = bench.hand(input);
    bench.carry_out(outputs);
    let doc = genesis.header().doc;
    let outputs = bench.hand(Input::Stored { doc });
    assert!(bench.disk.documents[&doc].proven(&federation.id(0)), "{outputs:?}");
    let draft = Draft { operation: step(), blobs: Vec::new(), answers: Vec::new(), written_at: Millis(9) };
    let written = bench.disk.write(bench.now, Some(doc), &draft, Vec::new(), &federation.hand(0));
    assert_eq!(written, Err(SealError::Proven));
}

#[test]
fn authority_completes_a_takeover_by_itself() {
    let federation = Arc::new(Federation::new(3));
    let precinct = federation.precinct();
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let offer = scribe.write(precinct, Operation::TakeoverOffer { to: federation.id(1) }).unwrap().id();
    let before: Vec<_> = scribe.document.envelopes().cloned().collect();
    let accept = scribe.write(1, Operation::Accept { offer }).unwrap();
    for (n, commits) in [(precinct, true), (0, false), (1, false)] {
        let mut bench = Bench::new(&federation, n);
        bench.connect(if n == 1 { 0 } else { 1 });
        bench.say(if n == 1 { 0 } else { 1 }, body(&before));
        let input = bench.message(if n == 1 { 0 } else { 1 }, body(std::slice::from_ref(&accept)));
        let stores = bench.hand(input);
        let Some(Output::Store { doc, envelopes, blobs, .. }) = stores.into_iter().next() else { continue };
        bench.disk.store(bench.now, doc, &envelopes, blobs);
        let outputs = bench.hand(Input::Stored { doc });
        let commit = Operation::TakeoverCommit { accept: accept.id() };
        let taken = |o: &Output| matches!(o, Output::AutoCommit { operation, .. } if *operation == commit);
        assert_eq!(outputs.iter().any(taken), commits, "member {n}: {outputs:?}");
    }
}
