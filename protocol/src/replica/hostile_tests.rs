//! What a peer that keeps no rule brings about, beyond what one bad envelope does.

use std::sync::Arc;

use super::bench::*;
use super::*;
use crate::envelope::SignedEnvelope;
use crate::fixture::Federation;
use crate::ids::sha256;
use crate::limits::{DIGEST_WALK_MAX, WANTS_IN_FLIGHT_MAX};
use crate::message::{DigestLeaf, Prefix};
use crate::wire::Writer;

fn federation() -> Arc<Federation> {
    Arc::new(Federation::new(3))
}

/// A `body` of these envelopes' bytes, whatever they are.
fn raw_body(doc: DocId, envelopes: &[Vec<u8>]) -> Vec<u8> {
    let mut w = Writer::new();
    w.u8(10).raw(&doc.0).list(envelopes, |w, bytes| {
        w.u64(0).bytes(bytes).u16(0);
    });
    w.into_bytes()
}

fn arrived(federation: &Federation, bytes: &[u8]) -> Arrived {
    let (message, spoiled) = Message::decode_sparing(bytes).unwrap();
    Arrived::check(message, &federation.rosters).with_spoiled(&spoiled)
}

#[test]
fn envelope_that_does_not_parse_costs_its_sender_and_not_its_neighbours() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = document(&federation, 0, &[1], 1);
    let id = doc[0].header().doc;
    let cut = doc[1].bytes()[..100].to_vec();
    let bytes = raw_body(id, &[cut.clone(), doc[0].bytes().to_vec(), Vec::new(), doc[1].bytes().to_vec()]);
    assert!(Message::decode(&bytes).is_err(), "strictly, it is no message");
    let peer = federation.id(0);
    let message = arrived(&federation, &bytes);
    let outputs = bench.hand(Input::Arrived { peer, lane: Lane::Urgent, message });
    let blamed: Vec<EnvelopeId> = outputs
        .iter()
        .filter_map(|output| {
            if let Output::Blame { id, fault: Fault::Malformed, .. } = output { Some(*id) } else { None }
        })
        .collect();
    assert_eq!(blamed, [EnvelopeId(sha256(&[&cut])), EnvelopeId(sha256(&[&[]]))]);
    bench.carry_out(outputs);
    assert_eq!(bench.heads(&id), [doc[1].id()]);
}

#[test]
fn same_bad_envelope_many_times_in_a_message_is_refused_once() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let doc = document(&federation, 0, &[1], 1);
    let id = doc[0].header().doc;
    bench.say(0, body(&doc));
    // A chain that does not begin at 1, rightly signed.
    let hand = federation.hand(0);
    let mut header = doc[1].header().clone();
    (header.seq, header.prev_at) = (crate::ids::Seq(9), 0);
    let signature = ed25519_dalek::Signer::sign(&hand.key, &header.sig_input()).to_bytes().to_vec();
    let bad = SignedEnvelope::assemble(header, doc[1].signed().op_bytes(), &signature);
    let bytes = raw_body(id, &vec![bad.bytes().to_vec(); 5]);
    let message = arrived(&federation, &bytes);
    let outputs = bench.hand(Input::Arrived { peer: federation.id(0), lane: Lane::Urgent, message });
    let refused = outputs.iter().filter(|output| matches!(output, Output::RecordRefusal { .. }));
    assert_eq!(refused.count(), 1, "{outputs:?}");
}

#[test]
fn peer_that_tells_of_ever_more_documents_is_asked_for_a_bounded_number() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let mut asked = 0;
    for number in 0..WANTS_IN_FLIGHT_MAX as u64 + 50 {
        let doc = DocId(sha256(&[&number.to_be_bytes()]));
        let sent = bench.say(0, have(doc, &[EnvelopeId(doc.0)], true));
        asked += sent.iter().filter(|(_, _, message)| matches!(message, Message::Want(_))).count();
    }
    assert_eq!(asked, WANTS_IN_FLIGHT_MAX);
}

#[test]
fn leaves_of_a_digest_are_looked_at_as_often_as_an_honest_walk_has_them() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let unknown = [(DocId([7; 32]), Fingerprint::EMPTY)];
    let leaf = DigestLeaf::of(Prefix::default(), 1, false, &unknown);
    let mut answers = 0;
    for _ in 0..DIGEST_WALK_MAX + 100 {
        answers += bench.say(0, Message::DigestLeaf(leaf.clone())).len();
    }
    assert_eq!(answers, DIGEST_WALK_MAX as usize);
}

#[test]
fn contact_record_that_nobody_signed_is_blamed_on_who_sent_it() {
    let federation = federation();
    let mut bench = Bench::new(&federation, 1);
    bench.connect(0);
    let hand = federation.hand(2);
    let mut bytes =
        SignedContact::seal(federation.rosters.federation(), 7, vec!["a:1".to_owned()], &hand).encode();
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    for bytes in [bytes, vec![1, 2, 3]] {
        let outputs = bench.hand(bench.message(0, Message::Contact(bytes)));
        assert!(matches!(outputs[..], [Output::Blame { fault: Fault::Contact, .. }]), "{outputs:?}");
    }
}
