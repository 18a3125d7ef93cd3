//! Proofs of equivocation: how they travel, and what is taken of their authors afterwards.

use std::sync::Arc;

use super::bench::*;
use super::*;
use crate::fixture::{Federation, Scribe, somebody};
use crate::message::ProofPage;
use crate::operation::Operation;
use crate::proof::{Statement, VerifiedStatement};

/// An incident of member 0 that involves 1, 2 and 3, and two notes of member 1 in one place of its chain.
struct Forked {
    federation: Arc<Federation>,
    genesis: AdmittedEnvelope,
    branches: [AdmittedEnvelope; 2],
    proof: Proof,
}

fn note() -> Operation {
    Operation::Note { by: somebody(1) }
}

fn forked() -> Forked {
    let federation = Arc::new(Federation::new(4));
    let mut scribe = Scribe::new(&federation);
    let genesis = scribe.open(0, &[1, 2, 3]);
    let seen = scribe.document.clone();
    let branches = [(), ()].map(|()| scribe.write_on(&seen, 1, note()).unwrap());
    let proof = proof_of(&branches, &federation);
    Forked { federation, genesis, branches, proof }
}

fn proof_of(branches: &[AdmittedEnvelope], federation: &Federation) -> Proof {
    let statements = branches.iter().map(|e| Statement::of(e.signed()).verify(&federation.rosters).unwrap());
    Proof::of(statements.collect::<Vec<VerifiedStatement>>()).unwrap()
}

fn told(proof: &Proof) -> Message {
    Message::Proof(ProofPage::pages(proof).remove(0))
}

fn nothing(doc: DocId) -> Message {
    Message::Answer(crate::message::Items { doc, items: Vec::new() })
}

impl Forked {
    fn doc(&self) -> DocId {
        self.genesis.header().doc
    }

    /// What is told of a document with the genesis as its only head, and the proof.
    fn standing(&self, asks: bool) -> Message {
        have(self.doc(), &[self.genesis.id(), self.proof.id()], asks)
    }

    fn bench(&self, n: usize, envelopes: &[&AdmittedEnvelope]) -> Bench {
        let mut bench = Bench::new(&self.federation, n);
        for peer in (0..4).filter(|peer| *peer != n) {
            bench.connect(peer);
        }
        for envelope in envelopes {
            bench.say(0, body(&[(*envelope).clone()]));
        }
        bench
    }
}

fn proofs(bench: &Bench, doc: &DocId) -> Vec<EnvelopeId> {
    bench.disk.documents.get(doc).map(|d| d.proofs().map(|p| p.id()).collect()).unwrap_or_default()
}

fn wanted(sent: &[Sent]) -> Vec<EnvelopeId> {
    let wants =
        sent.iter().filter_map(|(_, _, m)| if let Message::Want(want) = m { Some(want) } else { None });
    wants.flat_map(|want| want.ids.clone()).collect()
}

#[test]
fn second_branch_proves_and_is_told_of_and_is_not_kept_itself() {
    let forked = forked();
    let (doc, [a, b]) = (forked.doc(), &forked.branches);
    let mut bench = forked.bench(2, &[&forked.genesis, a]);
    let sent = bench.say(3, body(std::slice::from_ref(b)));
    let document = Arc::clone(&bench.disk.documents[&doc].document);
    assert_eq!(proofs(&bench, &doc), [forked.proof.id()]);
    assert!(document.contains(&a.id()) && !document.contains(&b.id()));
    assert_eq!(document.heads(), [forked.genesis.id()]);
    let to: Vec<MemberId> =
        sent.iter().filter(|(_, _, m)| *m == forked.standing(true)).map(|s| s.0).collect();
    assert_eq!(to.len(), 3, "everybody who is connected and does not know it: {sent:?}");
    assert!((0..4).filter(|n| *n != 2).all(|n| bench.is_due(n, &doc)));
}

#[test]
fn proof_reaches_who_holds_one_branch_or_none_and_all_read_the_same() {
    let forked = forked();
    let doc = forked.doc();
    let mut readings = Vec::new();
    for held in [vec![], vec![&forked.branches[0]], vec![&forked.branches[1]]] {
        let envelopes: Vec<_> = [&forked.genesis].into_iter().chain(held).collect();
        let mut bench = forked.bench(2, &envelopes);
        let sent = bench.say(3, forked.standing(true));
        assert_eq!(wanted(&sent), [forked.proof.id()]);
        bench.say(3, told(&forked.proof));
        bench.say(3, nothing(doc));
        assert_eq!(proofs(&bench, &doc), [forked.proof.id()]);
        assert!(!bench.is_due(3, &doc), "who told of it is known to have it");
        let document = Arc::clone(&bench.disk.documents[&doc].document);
        let fold = crate::fold::Fold::of(&document, &forked.federation.rosters).unwrap();
        assert_eq!(fold.equivocators, [forked.federation.id(1)].into());
        readings.push((document.fingerprint(), fold, crate::derive::heads(&document).unwrap()));
    }
    assert!(readings.iter().all(|reading| *reading == readings[0]));
}

#[test]
fn after_a_proof_its_author_is_kept_only_where_somebody_else_built_on_it() {
    let forked = forked();
    let (doc, [a, b]) = (forked.doc(), &forked.branches);
    let mut bench = forked.bench(2, &[&forked.genesis, a, b]);
    let mut scribe = Scribe::new(&forked.federation);
    scribe.document = Document::from_log([forked.genesis.clone(), b.clone()]).unwrap();
    let more = scribe.write(1, note()).unwrap();
    let named = scribe.write(3, note()).unwrap();
    bench.say(1, body(&[b.clone(), more.clone()]));
    bench.say(1, body(std::slice::from_ref(&more)));
    assert!(!bench.disk.documents[&doc].contains(&more.id()));
    let sent = bench.say(1, have(doc, &[more.id()], true));
    assert_eq!(wanted(&sent), [], "what was judged and let go is not asked for again");
    let sent = bench.say(3, body(std::slice::from_ref(&named)));
    assert_eq!(wanted(&sent), [more.id()]);
    bench.say(3, answer(&[b.clone(), more.clone(), named.clone()]));
    assert_eq!(bench.heads(&doc), [named.id()]);
    assert!(bench.disk.documents[&doc].agrees_on(&more.id()));
    assert!(!bench.disk.documents[&doc].agrees_on(&a.id()));
}

#[test]
fn what_was_let_go_is_not_said_to_be_held_when_an_honest_author_has_built_on_part_of_it() {
    let forked = forked();
    let (doc, [a, b]) = (forked.doc(), &forked.branches);
    let mut bench = forked.bench(2, &[&forked.genesis, a, b]);
    let mut scribe = Scribe::new(&forked.federation);
    scribe.document = Document::from_log([forked.genesis.clone(), b.clone()]).unwrap();
    let seen = scribe.document.clone();
    let [named, more] = [3, 1].map(|n| scribe.write_on(&seen, n, note()).unwrap());
    bench.say(3, body(&[b.clone(), more.clone()]));
    assert!(![b, &more].into_iter().any(|gone| bench.disk.documents[&doc].contains(&gone.id())));
    let heads = [named.id(), forked.proof.id()];
    let sent = bench.say(3, have(doc, &heads, true));
    let asked = want(doc, &[named.id()], &[forked.genesis.id(), a.id()]);
    assert_eq!(sent, [(forked.federation.id(3), Lane::Urgent, asked)], "so it is given what it lacks");
    bench.say(3, answer(&[b.clone(), named.clone()]));
    assert_eq!(bench.heads(&doc), [named.id()]);
}

#[test]
fn proof_is_sent_to_who_asks_for_it_by_name_and_may_hold_the_document() {
    let forked = forked();
    let doc = forked.doc();
    let mut bench = forked.bench(2, &[&forked.genesis, &forked.branches[0], &forked.branches[1]]);
    let sent = bench.say(3, want(doc, &[forked.proof.id()], &[]));
    let messages: Vec<Message> = sent.into_iter().map(|(_, _, message)| message).collect();
    assert_eq!(messages, [told(&forked.proof), nothing(doc)]);
    let federation = Arc::new(Federation::new(5));
    let mut scribe = Scribe::new(&federation);
    let genesis = scribe.open(0, &[1, 2]);
    let seen = scribe.document.clone();
    let branches = [(), ()].map(|()| scribe.write_on(&seen, 1, note()).unwrap());
    let mut bench = Bench::new(&federation, 2);
    [0, 4].into_iter().for_each(|n| _ = bench.connect(n));
    bench.say(0, body(&[&[genesis][..], &branches].concat()));
    let proof = proof_of(&branches, &federation);
    assert_eq!(proofs(&bench, &proof.doc()), [proof.id()]);
    let sent = bench.say(4, want(proof.doc(), &[proof.id()], &[]));
    assert_eq!(sent.into_iter().map(|s| s.2).collect::<Vec<_>>(), [nothing(proof.doc())]);
    // Nor is one taken about a document that is not the sender's.
    let mut other = Bench::new(&federation, 2);
    [0, 4].into_iter().for_each(|n| _ = other.connect(n));
    other.say(0, body(&[scribe.document.genesis().unwrap().clone()]));
    other.say(4, told(&proof));
    assert_eq!(proofs(&other, &proof.doc()), []);
}

#[test]
fn proof_of_nothing_is_blamed_on_who_sends_it() {
    let forked = forked();
    let mut bench = forked.bench(2, &[&forked.genesis, &forked.branches[0]]);
    let honest = Statement::of(forked.genesis.signed());
    let lone = Statement::of(forked.branches[0].signed());
    let mut bytes = Statement::of(forked.branches[1].signed()).encode();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    let spoiled = Statement::decode(&bytes).unwrap();
    for (statements, fault) in [
        (vec![lone.clone(), honest], Fault::NoProof),
        (vec![lone.clone(), lone.clone()], Fault::NoProof),
        (vec![lone, spoiled], Fault::BadSignature),
    ] {
        let page = ProofPage { doc: forked.doc(), page: 0, last: true, statements };
        let input = bench.message(3, Message::Proof(page));
        let outputs = bench.hand(input);
        let blames = (forked.federation.id(3), fault);
        let blamed = |o: &Output| {
            let Output::Blame { peer, fault, .. } = o else { return false };
            (*peer, *fault) == blames
        };
        assert!(outputs.len() == 1 && outputs.iter().all(blamed), "{outputs:?}");
    }
    assert_eq!(proofs(&bench, &forked.doc()), []);
}

#[test]
fn proof_that_says_less_than_is_known_is_taken_once_and_not_wanted_again() {
    let forked = forked();
    let (doc, [a, b]) = (forked.doc(), &forked.branches);
    let mut scribe = Scribe::new(&forked.federation);
    scribe.document = Document::from_log([forked.genesis.clone(), a.clone()]).unwrap();
    let seen = scribe.document.clone();
    let later = [(), ()].map(|()| scribe.write_on(&seen, 1, note()).unwrap());
    let weaker = proof_of(&later, &forked.federation);
    let mut bench = forked.bench(2, &[&forked.genesis, a, b]);
    let lesser = have(doc, &[forked.genesis.id(), weaker.id()], true);
    assert_eq!(wanted(&bench.say(3, lesser.clone())), [weaker.id()]);
    bench.say(3, told(&weaker));
    bench.say(3, nothing(doc));
    assert_eq!(proofs(&bench, &doc), [forked.proof.id()]);
    let sent = bench.say(3, lesser);
    assert_eq!(wanted(&sent), []);
    assert!(sent.iter().any(|s| s.2 == forked.standing(true)), "it is told what is known here: {sent:?}");
}

#[test]
fn who_was_let_in_by_an_equivocator_alone_is_shown_the_proof() {
    let federation = Arc::new(Federation::new(4));
    let mut scribe = Scribe::new(&federation);
    let genesis = scribe.open(0, &[1]);
    let seen = scribe.document.clone();
    let branches = [(), ()].map(|()| scribe.write_on(&seen, 0, step()).unwrap());
    let proof = proof_of(&branches, &federation);
    scribe.document.insert(branches[0].clone()).unwrap();
    let invited = scribe.write(0, Operation::Invite { member: federation.id(2) }).unwrap();
    let mut knows = Bench::new(&federation, 1);
    [0, 2].into_iter().for_each(|n| _ = knows.connect(n));
    knows.say(0, body(&[&[genesis.clone()][..], &branches].concat()));
    assert_eq!(proofs(&knows, &proof.doc()), [proof.id()]);
    let believes = [genesis, branches[0].clone(), invited.clone()];
    assert_eq!(wanted(&knows.say(2, have(proof.doc(), &[invited.id()], true))), [invited.id()]);
    let sent = knows.say(2, answer(&believes));
    assert_eq!(sent, [(federation.id(2), Lane::Urgent, told(&proof))]);
    let mut let_in = Bench::new(&federation, 2);
    [0, 1].into_iter().for_each(|n| _ = let_in.connect(n));
    let_in.say(0, body(&believes));
    assert!(let_in.is_due(1, &proof.doc()));
    let_in.say(1, told(&proof));
    assert!(!let_in.is_due(1, &proof.doc()), "it keeps what it was given and speaks of it no more");
    assert_eq!(
        let_in.say(1, want(proof.doc(), &[proof.id()], &[])),
        [(federation.id(1), Lane::Urgent, nothing(proof.doc()))]
    );
}
