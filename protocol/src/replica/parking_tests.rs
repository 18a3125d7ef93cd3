//! Parked envelopes lie under what they wait for: that comes to the same as judging all of them again for
//! each message, and costs no more judgements than there are envelopes and parents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bench::*;
use super::*;
use crate::admission::{Ground, Verdict, admit};
use crate::audience::Audience;
use crate::envelope::SignedEnvelope;
use crate::fixture::{Federation, Scribe, somebody};
use crate::limits::PARKED_PER_PEER_MAX;
use crate::roster::RosterChain;

/// Everything is judged again for each message, until nothing more can be.
struct Naive {
    me: MemberId,
    rosters: RosterChain,
    documents: BTreeMap<DocId, Document>,
    refused: BTreeSet<EnvelopeId>,
    parked: Vec<(MemberId, SignedEnvelope)>,
}

impl Naive {
    fn take(&mut self, peer: MemberId, doc: DocId, envelopes: &[SignedEnvelope]) {
        for envelope in envelopes {
            let here =
                |(other, held): &(MemberId, SignedEnvelope)| (*other, held.id()) == (peer, envelope.id());
            if !self.refused.contains(&envelope.id()) && !self.parked.iter().any(here) {
                self.parked.push((peer, envelope.clone()));
            }
        }
        self.judge(doc);
    }

    fn judge(&mut self, doc: DocId) {
        let mut document = self.documents.get(&doc).cloned().unwrap_or_default();
        let all = std::mem::take(&mut self.parked);
        let (mut work, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, e)| e.header().doc == doc);
        let mut admitted = Vec::new();
        loop {
            let before = work.len();
            let mut left = Vec::new();
            for (peer, envelope) in work {
                let Ok(verified) = envelope.clone().verify(&self.rosters) else {
                    left.push((peer, envelope));
                    continue;
                };
                if self.refused.contains(&envelope.id()) || document.contains(&envelope.id()) {
                    continue;
                }
                let refused = |id: &EnvelopeId| self.refused.contains(id);
                let held = (!document.is_empty()).then_some(&document);
                let ground = Ground {
                    rosters: &self.rosters,
                    document: held,
                    rules: RULES_VERSION,
                    rejected: &refused,
                };
                match admit(verified, &ground) {
                    Verdict::Admitted(admitted_one) => {
                        document.insert(admitted_one).unwrap();
                        admitted.push((peer, envelope));
                    }
                    Verdict::Rejected(_) => _ = self.refused.insert(envelope.id()),
                    Verdict::Parked(_) => left.push((peer, envelope)),
                    Verdict::Held => panic!("all rules are known here"),
                }
            }
            work = left;
            if work.len() == before {
                break;
            }
        }
        self.parked = others;
        self.parked.extend(work);
        if !document.is_empty() && Audience::of(&document, &self.rosters).entitled(&self.me) {
            self.documents.insert(doc, document);
        } else {
            self.parked.extend(admitted);
        }
    }

    fn keys(&self) -> BTreeSet<(MemberId, EnvelopeId)> {
        self.parked.iter().map(|(peer, envelope)| (*peer, envelope.id())).collect()
    }
}

/// Documents of members 0 and 3 of which some come to name member 1, some do not, with envelopes that
/// break a rule, children of those, and some under a roster that comes later.
fn documents(federation: &Federation, seed: u64) -> Vec<Vec<SignedEnvelope>> {
    let note = || Operation::Note { by: somebody(1) };
    (0..3)
        .map(|n| {
            let mut scribe = Scribe::new(federation);
            let involved: &[usize] = if n == 0 { &[1, 2] } else { &[2] };
            scribe.document = Document::default();
            let mut all = vec![scribe.write(0, incident(federation, 0, involved, seed * 3 + n)).unwrap()];
            for _ in 0..3 {
                let seen = scribe.document.clone();
                let beside = [0, 2].map(|who| scribe.write_on(&seen, who, note()).unwrap());
                for envelope in beside {
                    scribe.document.insert(envelope.clone()).unwrap();
                    all.push(envelope);
                }
            }
            if n < 2 {
                all.push(scribe.write(0, Operation::Invite { member: federation.id(1) }).unwrap());
            }
            all.push(scribe.write(2, note()).unwrap());
            let mut all: Vec<SignedEnvelope> = all.iter().map(|e| e.signed().clone()).collect();
            // Only the owner may close it, and nothing may follow what was refused.
            let stolen = forged(federation, &all[1], Operation::Retire, 2);
            all.push(forged(federation, &stolen, note(), 2));
            all.push(stolen);
            all
        })
        .collect()
}

fn forged(
    federation: &Federation,
    parent: &SignedEnvelope,
    operation: Operation,
    n: usize,
) -> SignedEnvelope {
    let hand = federation.hand(n);
    let op_bytes = operation.encode();
    let mut header = parent.header().clone();
    (header.author, header.parents, header.prev_at) = (hand.member, vec![parent.id()], 0);
    header.seq = crate::ids::Seq(1);
    header.roster = federation.rosters.head().hash();
    (header.op_type, header.op_hash) = (operation.op_type(), crate::ids::sha256(&[&op_bytes]));
    header.op_len = u32::try_from(op_bytes.len()).unwrap();
    let signature = ed25519_dalek::Signer::sign(&hand.key, &header.sig_input()).to_bytes().to_vec();
    SignedEnvelope::assemble(header, &op_bytes, &signature)
}

fn body_of(doc: DocId, envelopes: &[SignedEnvelope]) -> Message {
    let item = |envelope: &SignedEnvelope| crate::message::Item {
        age: Millis(0),
        envelope: envelope.clone(),
        blobs: Vec::new(),
    };
    Message::Body(crate::message::Items { doc, items: envelopes.iter().map(item).collect() })
}

#[test]
fn parking_under_what_is_missing_comes_to_the_same_as_judging_everything_each_time() {
    let older = Arc::new(Federation::new(3));
    let mut newer = Federation::new(3);
    newer.publish(|body| body.expires = Millis(body.expires.0 + 1));
    arbtest::arbtest(|u| {
        let seed = u.int_in_range(0..=1_000u64)?;
        let mut stories = documents(&older, seed);
        // One more document that is under the later roster altogether.
        stories.extend(documents(&newer, seed + 5_000).into_iter().take(2));
        let mut bench = Bench::new(&older, 1);
        [0, 2, 3].into_iter().for_each(|n| _ = bench.connect(n));
        let mut naive = Naive {
            me: older.id(1),
            rosters: older.rosters.clone(),
            documents: BTreeMap::new(),
            refused: BTreeSet::new(),
            parked: Vec::new(),
        };
        for step in 0..u.int_in_range(5..=40)? {
            if step == 20 {
                naive.rosters = newer.rosters.clone();
                stories.iter().for_each(|story| naive.judge(story[0].header().doc));
                bench.disk.rosters = newer.rosters.clone();
                bench.settle(Input::RosterChanged(newer.rosters.clone()));
            } else {
                let story = u.choose(&stories)?;
                let doc = story[0].header().doc;
                let mut some = Vec::new();
                for _ in 0..u.int_in_range(1..=4)? {
                    some.push(u.choose(story)?.clone());
                }
                let n = *u.choose(&[0, 2, 3])?;
                let rosters = if step > 20 { &newer.rosters } else { &older.rosters };
                let message = Arrived::check(body_of(doc, &some), rosters);
                bench.settle(Input::Arrived { peer: older.id(n), lane: Lane::Normal, message });
                naive.take(older.id(n), doc, &some);
            }
            let stored: BTreeMap<DocId, BTreeSet<EnvelopeId>> = (bench.disk.documents.iter())
                .map(|(doc, filed)| (*doc, filed.document.held().map(AdmittedEnvelope::id).collect()))
                .collect();
            let expected: BTreeMap<DocId, BTreeSet<EnvelopeId>> = (naive.documents.iter())
                .map(|(doc, document)| (*doc, document.held().map(AdmittedEnvelope::id).collect()))
                .collect();
            assert_eq!(stored, expected, "what is stored after step {step}");
            let refused: BTreeSet<_> = bench.disk.refused.keys().copied().collect();
            assert_eq!(refused, naive.refused, "what is refused after step {step}");
            // Of two equal copies the one that is judged first stays: whose that is, is not promised.
            let ids = |keys: BTreeSet<(MemberId, EnvelopeId)>| keys.into_iter().map(|(_, id)| id).collect();
            let (parked, expected): (BTreeSet<_>, BTreeSet<_>) =
                (ids(bench.replica.parking.keys()), ids(naive.keys()));
            assert_eq!(parked, expected, "what is parked after step {step}");
            assert_eq!(bench.replica.parked().0, naive.parked.len(), "how many after step {step}");
        }
        Ok(())
    })
    .budget_ms(4_000);
}

/// How many judgements it takes to take these in, one message each.
fn judgements(federation: &Arc<Federation>, member: usize, envelopes: &[AdmittedEnvelope]) -> usize {
    let mut bench = Bench::new(federation, member);
    bench.connect(0);
    for envelope in envelopes {
        // As answers, so that the bound of what is pushed does not come first.
        bench.say(0, answer(std::slice::from_ref(envelope)));
    }
    bench.replica.judged
}

#[test]
fn judgements_grow_with_what_came_and_not_with_what_is_parked() {
    let federation = Arc::new(Federation::new(3));
    for count in [100, 400] {
        let mut all = document(&federation, 0, &[1], count);
        let most = all.len() + all.iter().map(|e| e.header().parents.len()).sum::<usize>();
        let strangers = judgements(&federation, 2, &all);
        assert!(strangers <= most, "{strangers} judgements of {count} that do not name us");
        all.reverse();
        let backwards = judgements(&federation, 1, &all);
        assert!(backwards <= most, "{backwards} judgements of {count} that came backwards");
    }
}

#[test]
fn flood_of_children_under_a_document_of_others_costs_one_judgement_each() {
    let federation = Arc::new(Federation::new(3));
    let mut scribe = Scribe::new(&federation);
    let genesis = scribe.open(0, &[2]);
    let mut bench = Bench::new(&federation, 1);
    [0, 2].into_iter().for_each(|n| _ = bench.connect(n));
    bench.say(0, answer(&[genesis]));
    let flood = 3 * PARKED_PER_PEER_MAX;
    for _ in 0..flood {
        let one = scribe.write(0, Operation::Note { by: somebody(1) }).unwrap();
        bench.say(2, body(&[one]));
    }
    assert_eq!(bench.replica.parked().0, PARKED_PER_PEER_MAX + 1, "its own oldest go");
    assert!(bench.replica.judged <= flood + 1, "{} judgements", bench.replica.judged);
}

#[test]
fn what_had_to_go_is_waited_for_again_by_whatever_had_seen_it() {
    let federation = Arc::new(Federation::new(3));
    let all = document(&federation, 0, &[2], PARKED_PER_PEER_MAX);
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    for envelope in &all {
        bench.say(0, body(std::slice::from_ref(envelope)));
    }
    assert_eq!(bench.replica.parked().0, PARKED_PER_PEER_MAX, "the genesis had to go");
    let mut scribe = Scribe::new(&federation);
    scribe.document = Document::from_log(all.iter().cloned()).unwrap();
    let invited = scribe.write(0, Operation::Invite { member: federation.id(1) }).unwrap();
    bench.say(0, body(std::slice::from_ref(&invited)));
    assert!(bench.disk.documents.is_empty(), "nothing is stored without what it had seen");
    let sent = bench.say(0, answer(&all[..2]));
    assert_eq!(bench.heads(&invited.header().doc), [invited.id()], "{sent:?}");
    assert_eq!(bench.replica.parked(), (0, 0));
}
