//! What a peer that was away is sent without asking for it, and when it is only told.

use std::collections::VecDeque;
use std::sync::Arc;

use super::bench::*;
use super::*;
use crate::fixture::Federation;
use crate::limits::{
    DIGEST_INTERVAL_MS, OFFER_TIMEOUT_MS, OFFERS_IN_FLIGHT_MAX, PUSHED_BYTES_MAX, PUSHED_DOCUMENTS_MAX,
    PUSHED_PER_ASKED, RING_AGE_MS_MAX,
};

/// Two municipal nodes (0, 1), a third (2), the precinct (3), the national node (4).
fn federation() -> Arc<Federation> {
    Arc::new(Federation::new(3))
}

/// Member 0, an incident that member 1 has confirmed, and some time after that.
fn confirmed(federation: &Arc<Federation>, involved: &[usize]) -> (Bench, DocId) {
    let mut bench = Bench::new(federation, 0);
    let doc = bench.store_own(None, incident(federation, 0, involved, 1), Vec::new()).header().doc;
    let at = Fingerprint(bench.disk.documents[&doc].document.fingerprint());
    bench.disk.clear_due(federation.id(1), doc, at);
    bench.now = bench.now.plus(Millis(5));
    (bench, doc)
}

fn said(sent: Vec<Sent>) -> Vec<Message> {
    sent.into_iter().map(|(_, _, message)| message).collect()
}

#[test]
fn who_was_away_is_sent_what_it_lacks_without_asking_and_confirms_it() {
    let federation = federation();
    let (mut bench, doc) = confirmed(&federation, &[1]);
    let steps = [step(), step()].map(|step| bench.store_own(Some(doc), step, Vec::new()));
    let sent = bench.connect(1);
    let [(_, Lane::Urgent, message)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(ids_of(message), steps.each_ref().map(AdmittedEnvelope::id), "and not what it has confirmed");
    let mut away = Bench::new(&federation, 1);
    let genesis = bench.disk.documents[&doc].document.genesis().unwrap().clone();
    away.disk.store(
        away.now,
        doc,
        &[Arrival { envelope: genesis, from: bench.id(0), age: Millis(9) }],
        vec![],
    );
    away.connect(0);
    let heads = bench.heads(&doc);
    let receipt = away.say(0, message.clone());
    assert_eq!(receipt, [(bench.id(0), Lane::Urgent, have(doc, &heads, false))], "a receipt and no question");
    assert_eq!(bench.say(1, receipt[0].2.clone()), []);
    assert!(!bench.is_due(1, &doc));
}

#[test]
fn what_is_old_goes_behind_alarms_also_if_it_is_due_since_just_now() {
    let federation = federation();
    for (old, lane) in [(RING_AGE_MS_MAX - 5, Lane::Urgent), (RING_AGE_MS_MAX - 4, Lane::Backfill)] {
        let (mut bench, doc) = confirmed(&federation, &[1]);
        bench.now = bench.now.plus(Millis(old));
        bench.disk.set_due(bench.now, federation.id(1), doc);
        let sent = bench.connect(1);
        assert_eq!(sent, [(federation.id(1), lane, have(doc, &bench.heads(&doc), true))]);
    }
}

#[test]
fn what_a_peer_never_had_is_sent_from_its_beginning() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    let genesis = bench.store_own(None, incident(&federation, 0, &[1], 1), Vec::new());
    bench.now = bench.now.plus(Millis(5));
    let step = bench.store_own(Some(genesis.header().doc), step(), Vec::new());
    let sent = said(bench.connect(1));
    assert_eq!(sent.iter().map(ids_of).collect::<Vec<_>>(), [[genesis.id(), step.id()]]);
}

#[test]
fn what_was_sent_and_not_confirmed_is_told_of_the_next_time() {
    let federation = federation();
    let (mut bench, doc) = confirmed(&federation, &[1]);
    bench.store_own(Some(doc), step(), Vec::new());
    assert_eq!(bench.connect(1).len(), 1);
    bench.pass(OFFER_TIMEOUT_MS);
    let again = said(without_standing(bench.pass(DIGEST_INTERVAL_MS)));
    assert_eq!(again, [have(doc, &bench.heads(&doc), true)], "it may have refused it");
}

#[test]
fn who_may_lack_more_or_have_it_from_somebody_else_is_told_and_asks() {
    let federation = federation();
    let told = |mut bench: Bench, doc: DocId, why: &str| {
        let heads = bench.heads(&doc);
        assert_eq!(said(bench.connect(1)), [have(doc, &heads, true)], "{why}");
    };

    let (mut bench, doc) = confirmed(&federation, &[1]);
    bench.disk.set_due(bench.now, federation.id(1), doc);
    told(bench, doc, "a comparison says that it differs, and not in what");

    let (mut bench, doc) = confirmed(&federation, &[1, 2]);
    let mut other = Bench::new(&federation, 2);
    let document = bench.disk.documents[&doc].document.clone();
    let genesis = document.genesis().unwrap().clone();
    let from = bench.id(0);
    other.disk.store(other.now, doc, &[Arrival { envelope: genesis, from, age: Millis(9) }], vec![]);
    let note = other.store_own(Some(doc), Operation::Note { by: crate::fixture::somebody(1) }, Vec::new());
    let arrival = Arrival { envelope: note, from: other.id(2), age: Millis(1) };
    bench.disk.store(bench.now, doc, &[arrival], vec![]);
    told(bench, doc, "who wrote it tells it too");

    let mut bench = Bench::new(&federation, 0);
    let doc = bench.store_own(None, incident(&federation, 0, &[2], 1), Vec::new()).header().doc;
    bench.now = bench.now.plus(Millis(5));
    bench.store_own(Some(doc), Operation::Invite { member: federation.id(1) }, Vec::new());
    told(bench, doc, "it holds nothing of what came before it was let in");

    let (mut bench, doc) = confirmed(&federation, &[1]);
    let steps = PUSHED_BYTES_MAX / 200;
    (0..steps).for_each(|_| _ = bench.store_own(Some(doc), step(), Vec::new()));
    told(bench, doc, "it is much");
}

/// The document of which something is sent without being asked for.
fn pushed_of(message: &Message) -> Option<DocId> {
    if let Message::Body(items) = message { Some(items.doc) } else { None }
}

/// Documents that were sent unasked to a peer that confirms each, and those that it was told of. `lacks` them:
/// it asks for what it is told of before it confirms it.
fn sent_of(documents: usize, lacks: bool) -> (usize, usize) {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    let many = (0..documents as u64).map(|n| incident(&federation, 0, &[1], n));
    many.for_each(|operation| _ = bench.store_own(None, operation, Vec::new()));
    let (mut pushed, mut told) = (0, 0);
    let mut sent = VecDeque::from(said(bench.connect(1)));
    assert_eq!(sent.len(), OFFERS_IN_FLIGHT_MAX, "as many as are offered at once");
    while let Some(message) = sent.pop_front() {
        let (sends, tells) =
            if let Message::Have(have) = &message { (None, Some(have)) } else { (pushed_of(&message), None) };
        let Some(doc) = sends.or(tells.filter(|have| have.asks).map(|have| have.doc)) else { continue };
        let tells = tells.is_some();
        let heads = bench.heads(&doc);
        if tells {
            told += 1;
        } else {
            pushed += 1;
        }
        if tells && lacks {
            sent.extend(said(bench.say(1, want(doc, &heads, &[]))));
        }
        sent.extend(said(bench.say(1, have(doc, &heads, false))));
    }
    assert!(bench.disk.due(&bench.id(1), None, 1).is_empty());
    (pushed, told)
}

#[test]
fn who_lacks_many_documents_is_sent_them_and_told_of_one_now_and_then() {
    let (pushed, told) = sent_of(4 * PUSHED_DOCUMENTS_MAX, true);
    assert_eq!(pushed + told, 4 * PUSHED_DOCUMENTS_MAX);
    let least = 3 * PUSHED_DOCUMENTS_MAX / PUSHED_PER_ASKED;
    assert!((least..=2 * least).contains(&told), "told of {told}");
}

#[test]
fn who_has_many_documents_from_somebody_else_is_told_of_them_after_a_while() {
    let (pushed, told) = sent_of(4 * PUSHED_DOCUMENTS_MAX, false);
    assert_eq!(pushed, PUSHED_DOCUMENTS_MAX, "sent to one that has them");
    assert_eq!(told, 3 * PUSHED_DOCUMENTS_MAX);
}

#[test]
fn comparison_that_waited_for_what_is_due_begins_as_soon_as_that_is_confirmed() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 0);
    let docs =
        [1, 2].map(|n| bench.store_own(None, incident(&federation, 0, &[1], n), Vec::new()).header().doc);
    assert_eq!(bench.connect(1).len(), docs.len());
    let compares =
        |sent: &[Sent]| sent.iter().any(|(_, _, m)| matches!(m, Message::DigestRoot(root) if root.asks));
    assert!(!compares(&bench.pass(2)), "what differs is on its way");
    let confirm = docs.map(|doc| have(doc, &bench.heads(&doc), false));
    assert!(!compares(&bench.say(1, confirm[0].clone())), "and some of it still is");
    assert!(compares(&bench.say(1, confirm[1].clone())), "now it proves something");
    assert!(!compares(&bench.pass(2)), "once");
}
