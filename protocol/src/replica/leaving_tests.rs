//! Whoever is let in only by what a proof or a retire takes back is told so, in whichever order it came.

use std::sync::Arc;

use super::bench::*;
use super::*;
use crate::fixture::{Federation, Scribe, somebody};
use crate::message::ProofPage;
use crate::operation::Outcome;
use crate::proof::{Statement, VerifiedStatement};

/// An incident of member 0 that involves 1, two steps in one place of its chain, and an invitation of 2
/// that follows the first.
struct LetIn {
    federation: Arc<Federation>,
    believes: [AdmittedEnvelope; 3],
    fork: AdmittedEnvelope,
    proof: Proof,
}

fn let_in() -> LetIn {
    let federation = Arc::new(Federation::new(4));
    let mut scribe = Scribe::new(&federation);
    let genesis = scribe.open(0, &[1]);
    let seen = scribe.document.clone();
    let [first, fork] = [(), ()].map(|()| scribe.write_on(&seen, 0, step()).unwrap());
    let statements = [&first, &fork].map(|e| Statement::of(e.signed()).verify(&federation.rosters).unwrap());
    let proof = Proof::of(statements.to_vec() as Vec<VerifiedStatement>).unwrap();
    scribe.document.insert(first.clone()).unwrap();
    let invited = scribe.write(0, Operation::Invite { member: federation.id(2) }).unwrap();
    LetIn { federation, believes: [genesis, first, invited], fork, proof }
}

impl LetIn {
    fn doc(&self) -> DocId {
        self.fork.header().doc
    }

    fn bench(&self, n: usize, peers: &[usize]) -> Bench {
        let mut bench = Bench::new(&self.federation, n);
        peers.iter().for_each(|peer| _ = bench.connect(*peer));
        bench
    }

    fn told(&self) -> Message {
        Message::Proof(ProofPage::pages(&self.proof).remove(0))
    }
}

fn told_to(sent: &[Sent], n: MemberId, message: &Message) -> bool {
    sent.iter().any(|(to, _, said)| *to == n && said == message)
}

#[test]
fn who_is_out_by_a_proof_is_shown_it_also_by_those_who_hold_all_that_it_holds() {
    let case = let_in();
    let mut knows = case.bench(1, &[0, 2, 3]);
    knows.say(0, body(&case.believes));
    knows.say(0, body(std::slice::from_ref(&case.fork)));
    let (doc, [.., invited]) = (case.doc(), &case.believes);
    assert!(knows.disk.documents[&doc].contains(&invited.id()));
    assert!(!knows.disk.documents[&doc].agrees_on(&invited.id()));
    let offer = have(doc, &[invited.id()], true);
    knows.say(2, offer.clone());
    let mut sent = knows.say(2, answer(&case.believes));
    sent.extend(knows.say(2, offer.clone()));
    assert!(told_to(&sent, case.federation.id(2), &case.told()), "it is shown why: {sent:?}");
    let again = knows.say(2, offer);
    assert!(told_to(&again, case.federation.id(2), &case.told()), "and again should that be lost");
    let stranger = knows.say(3, have(doc, &[invited.id()], true));
    assert!(!told_to(&stranger, case.federation.id(3), &case.told()), "nobody else is");
}

#[test]
fn stranger_that_sees_a_fork_first_takes_the_document_and_tells_who_offers_it_of_the_proof() {
    let case = let_in();
    let (doc, [genesis, first, invited]) = (case.doc(), case.believes.clone());
    let mut stranger = case.bench(2, &[0, 1]);
    stranger.say(0, body(&[genesis, first, case.fork.clone()]));
    assert!(stranger.disk.documents.is_empty(), "nothing names it yet");
    stranger.say(1, have(doc, &[invited.id()], true));
    stranger.say(1, answer(&case.believes));
    let document =
        Arc::clone(&stranger.disk.documents.get(&doc).expect("as if the fork had come last").document);
    assert!(document.contains(&invited.id()) && document.knows_proof(&case.proof));
    assert!(!stranger.is_due(1, &doc), "it is out of it, and tells nobody by itself");
    // It may not ask whether it holds that already, so it is given it once more.
    let offer = have(doc, &[invited.id()], true);
    let mut sent = stranger.say(1, offer.clone());
    sent.extend(stranger.say(1, answer(&case.believes)));
    sent.extend(stranger.say(1, offer));
    assert!(told_to(&sent, case.federation.id(1), &case.told()), "who offers it is shown why: {sent:?}");
    let mut offers = case.bench(1, &[0, 2]);
    offers.say(0, body(&case.believes));
    assert!(offers.is_due(2, &doc));
    offers.say(2, case.told());
    assert!(!offers.is_due(2, &doc), "and offers it no more");
}

#[test]
fn document_that_a_comparison_made_due_after_a_proof_put_this_node_out_of_it_does_not_stay_due() {
    let case = let_in();
    let doc = case.doc();
    let mut out = case.bench(2, &[0, 1]);
    out.say(0, body(&case.believes));
    // Compared before the proof comes, and written after it.
    let nothing = crate::message::DigestLeaf::of(Prefix::default(), 1, false, &[]);
    let nothing = Message::DigestLeaf(nothing);
    let compared = out.message(1, nothing);
    let mut late = out.hand(compared);
    late.retain(|output| matches!(output, Output::SetDue { .. }));
    assert_eq!(late.len(), 1);
    out.say(1, case.told());
    out.carry_out(late);
    assert!(out.is_due(1, &doc));
    out.pass(crate::limits::DIGEST_INTERVAL_MS);
    assert!(!out.is_due(1, &doc), "it is not the peer's to be told of any more");
}

#[test]
fn who_is_out_by_a_proof_and_tells_of_another_is_shown_the_one_that_it_lacks() {
    let case = let_in();
    let (doc, [genesis, _, invited]) = (case.doc(), &case.believes);
    let mut scribe = Scribe::new(&case.federation);
    let seen = Document::from_log([genesis.clone()]).unwrap();
    let note = |scribe: &mut Scribe| scribe.write_on(&seen, 1, Operation::Note { by: somebody(1) }).unwrap();
    let forks = [note(&mut scribe), note(&mut scribe)];
    let statements = forks.each_ref().map(|e| VerifiedStatement::of_verified(e.signed()));
    let other = Proof::of(statements.to_vec()).unwrap();
    let shown = Message::Proof(ProofPage::pages(&other).remove(0));
    let precinct = case.federation.precinct();
    let mut knows = case.bench(precinct, &[0, 2]);
    knows.say(0, body(&case.believes));
    knows.say(0, body(std::slice::from_ref(&case.fork)));
    let told = |sent: &[Sent]| told_to(sent, case.federation.id(2), &case.told());
    let mut sent = knows.say(2, have(doc, &[other.id()], true));
    sent.extend(knows.say(2, shown.clone()));
    sent.extend(knows.say(2, have(doc, &[other.id()], true)));
    assert!(!told(&sent), "a proof alone does not show who holds the document: {sent:?}");
    assert!(!knows.disk.documents[&doc].knows_proof(&other), "and is not taken of a stranger");
    let offer = have(doc, &[invited.id(), other.id()], true);
    let mut sent = knows.say(2, offer.clone());
    sent.extend(knows.say(2, answer(&case.believes)));
    assert!(!told(&sent), "something that it tells of has not come: {sent:?}");
    sent = knows.say(2, shown);
    assert!(told(&sent), "now all has: {sent:?}");
    assert!(told(&knows.say(2, offer)), "and again should that be lost");
    // Two that are both out would tell each other without end.
    let held = &knows.disk.documents[&doc];
    let pages: Vec<ProofPage> = held.proofs().flat_map(|proof| ProofPage::pages(proof)).collect();
    for page in &pages {
        knows.say(2, Message::Proof(page.clone()));
    }
    for page in pages {
        let sent = knows.say(2, Message::Proof(page));
        assert!(!told(&sent), "it has shown every proof that is here: {sent:?}");
    }
}

#[test]
fn who_is_out_by_a_proof_asks_again_for_what_it_let_go_once_an_honest_author_has_built_on_it() {
    let case = let_in();
    let doc = case.doc();
    let mut scribe = Scribe::new(&case.federation);
    scribe.document = Document::from_log(case.believes.clone()).unwrap();
    let later = scribe.write(0, step()).unwrap();
    let honest = scribe.write(1, Operation::Note { by: somebody(1) }).unwrap();
    let mut out = case.bench(2, &[0, 1]);
    out.say(0, body(&case.believes));
    out.say(0, body(std::slice::from_ref(&case.fork)));
    // Member 1, which knows of no proof, tells of one more word of the equivocator: that is let go.
    out.say(1, have(doc, &[later.id()], true));
    out.say(1, answer(std::slice::from_ref(&later)));
    assert!(!out.disk.documents[&doc].contains(&later.id()));
    let sent = out.say(1, have(doc, &[honest.id()], true));
    let asked = sent.iter().find_map(|(_, _, m)| if let Message::Want(want) = m { Some(want) } else { None });
    let asked = asked.expect("it asks for what is new");
    assert!(!asked.held.contains(&later.id()), "what it let go is not here: {asked:?}");
}

#[test]
fn who_is_out_by_a_retire_is_shown_it_with_what_it_had_seen_and_stores_it() {
    let federation = Arc::new(Federation::new(3));
    let precinct = federation.precinct();
    let mut scribe = Scribe::new(&federation);
    let genesis = scribe.open(0, &[]);
    let seen = scribe.document.clone();
    let offered =
        scribe.write_on(&seen, precinct, Operation::TakeoverOffer { to: federation.id(1) }).unwrap();
    let close = scribe.write(0, Operation::Close { outcome: Outcome::Helped, by: somebody(1) }).unwrap();
    let retire = scribe.write(0, Operation::Retire).unwrap();
    let (doc, ended) = (genesis.header().doc, [close, retire]);
    let mut knows = Bench::new(&federation, precinct);
    [0, 1].into_iter().for_each(|n| _ = knows.connect(n));
    knows.say(0, body(&[&[genesis.clone()][..], &ended].concat()));
    let believes = [genesis, offered.clone()];
    knows.say(1, have(doc, &[offered.id()], true));
    let sent = knows.say(1, answer(&believes));
    let shown: Vec<_> = sent.iter().filter(|(_, _, m)| matches!(m, Message::Body(_))).collect();
    let ids: Vec<EnvelopeId> = ended.iter().map(AdmittedEnvelope::id).collect();
    assert_eq!(
        shown.iter().map(|(to, _, m)| (*to, ids_of(m))).collect::<Vec<_>>(),
        [(federation.id(1), ids)]
    );
    let mut let_in = Bench::new(&federation, 1);
    let_in.connect(precinct);
    let_in.say(precinct, body(&believes));
    assert!(let_in.is_due(0, &doc));
    let_in.say(precinct, body(&ended));
    assert_eq!(let_in.disk.documents[&doc].retired(), Some(ended[1].id()));
    assert!(!let_in.is_due(0, &doc), "it keeps what it was given and speaks of it no more");
}
