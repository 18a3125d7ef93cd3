//! Rosters, contact records and expulsion, as a replica handles them.

use std::sync::Arc;

use super::bench::*;
use super::*;
use crate::contact::SignedContact;
use crate::fixture::{Federation, Scribe};
use crate::limits::ROSTER_PIECE_BYTES;
use crate::message::RosterPiece;

#[test]
fn peer_with_an_older_roster_is_sent_what_it_lacks_and_asked_for_what_we_lack() {
    let mut newer = Federation::new(3);
    newer.publish(|body| body.expires = Millis(body.expires.0 + 1));
    let newer = Arc::new(newer);
    let mut bench = Bench::new(&newer, 0);
    let connected = |n: usize, roster_version| Input::Connected { peer: newer.id(n), roster_version };
    let sent = without_standing(bench.settle(connected(1, 1)));
    let Message::Roster(piece) = &sent[0].2 else { panic!("{sent:?}") };
    assert_eq!((piece.version, piece.piece, piece.pieces), (2, 0, 1));
    assert_eq!(without_standing(bench.settle(connected(2, 2))), [], "it has everything");
    let sent = bench.settle(connected(3, 7));
    assert!(sent.contains(&(newer.id(3), Lane::Normal, Message::RosterWant(2))), "{sent:?}");
    let sent = bench.say(3, Message::RosterWant(0));
    assert_eq!(sent.len(), 2, "both versions");
}

#[test]
fn roster_version_in_pieces_is_put_together_and_handed_on_once() {
    let federation = Arc::new(Federation::new(2));
    let mut bench = Bench::new(&federation, 0);
    bench.connect(1);
    let piece = |version, piece, pieces, byte| {
        let bytes = vec![byte; ROSTER_PIECE_BYTES];
        Message::Roster(RosterPiece { version, piece, pieces, bytes })
    };
    let offered = |bench: &mut Bench, message| {
        let input = bench.message(1, message);
        let outputs = bench.hand(input);
        outputs.into_iter().find_map(|output| {
            if let Output::OfferRoster { bytes, .. } = output { Some(bytes) } else { None }
        })
    };
    assert_eq!(offered(&mut bench, piece(2, 0, 3, 1)), None);
    assert_eq!(offered(&mut bench, piece(2, 2, 3, 3)), None, "out of order");
    assert_eq!(offered(&mut bench, piece(9, 1, 3, 9)), None, "of another version");
    assert_eq!(offered(&mut bench, piece(2, 1, 3, 2)), None);
    let whole: Vec<u8> = [1, 2, 3].into_iter().flat_map(|byte| vec![byte; ROSTER_PIECE_BYTES]).collect();
    assert_eq!(offered(&mut bench, piece(2, 2, 3, 3)), Some(whole));
    assert_eq!(offered(&mut bench, piece(2, 2, 3, 3)), None);
}

#[test]
fn version_that_joins_one_that_is_not_here_is_asked_for_again_at_once_from_further_back() {
    let at = |ms: u64| {
        let mut federation = Federation::new(3);
        federation.publish(|body| body.expires = Millis(body.expires.0 + ms));
        federation
    };
    let (here, mut joined) = (at(1), at(2));
    joined.join(here.rosters.signed(&here.rosters.head().hash()).unwrap());
    let newest = joined.rosters.signed(&joined.rosters.head().hash()).unwrap().encode();
    let piece = RosterPiece { version: 3, piece: 0, pieces: 1, bytes: newest };
    let asked = |sent: &[Sent]| {
        let after = |(_, _, message): &Sent| {
            if let Message::RosterWant(after) = message { Some(*after) } else { None }
        };
        sent.iter().filter_map(after).collect::<Vec<u64>>()
    };
    let here = Arc::new(here);
    let mut bench = Bench::new(&here, 0);
    // Each connection begins anew, and none need live for longer than a question and its answer.
    for _ in 0..2 {
        let connected = Input::Connected { peer: here.id(1), roster_version: 3 };
        assert_eq!(asked(&bench.settle(connected)), [2]);
        for expected in [vec![1], vec![0], vec![], vec![]] {
            let sent = bench.say(1, Message::Roster(piece.clone()));
            assert_eq!(asked(&sent), expected, "it comes to the first version, and then it waits");
        }
    }
}

#[test]
fn two_rosters_of_one_version_are_told_at_once_to_who_may_know_one_of_them() {
    let at = |ms: u64| {
        let mut federation = Federation::new(2);
        federation.publish(|body| body.expires = Millis(body.expires.0 + ms));
        federation
    };
    let (mut here, there) = (at(1), at(2));
    let told = |sent: &[Sent]| sent.iter().filter(|(_, _, m)| matches!(m, Message::Roster(_))).count();
    let mut bench = Bench::new(&Arc::new(at(1)), 0);
    let connected = Input::Connected { peer: here.id(1), roster_version: 2 };
    assert_eq!(told(&bench.settle(connected)), 0, "nothing is wrong");
    let beside = there.rosters.signed(&there.rosters.head().hash()).unwrap();
    here.rosters.add(beside.clone()).unwrap();
    assert_eq!(told(&bench.settle(Input::RosterChanged(here.rosters.clone()))), 2, "to whom is connected");
    assert_eq!(told(&bench.settle(Input::RosterChanged(here.rosters.clone()))), 0, "once");
    let connected = Input::Connected { peer: here.id(1), roster_version: 2 };
    assert_eq!(told(&bench.settle(connected)), 2, "and to whom connects");
}

#[test]
fn expelled_peer_is_disconnected_and_told_nothing_more() {
    let mut federation = Federation::new(3);
    let before = Arc::new(Federation::new(3));
    let mut bench = Bench::new(&before, 0);
    for n in [1, 2] {
        bench.connect(n);
    }
    let (opened, _) = bench.write(None, incident(&before, 0, &[1], 1));
    federation.revoke(1);
    bench.disk.rosters = federation.rosters.clone();
    let outputs = bench.hand(Input::RosterChanged(federation.rosters.clone()));
    let parted: Vec<MemberId> = outputs
        .iter()
        .filter_map(|output| {
            if let Output::Disconnect { peer, why: Parting::Expelled } = output { Some(*peer) } else { None }
        })
        .collect();
    assert_eq!(parted, [before.id(1)]);
    assert!(outputs.iter().any(
        |o| matches!(o, Output::Send { peer, message: Message::Roster(_), .. } if *peer == before.id(2))
    ));
    let doc = opened.header().doc;
    assert_eq!(bench.say(1, want(doc, &[opened.id()], &[])), [], "it is not heard any more");
    let back = bench.hand(Input::Connected { peer: before.id(1), roster_version: 1 });
    assert!(matches!(back[..], [Output::Disconnect { .. }, ..]), "nor let in again");
    let (_, sent) = bench.write(Some(doc), step());
    assert_eq!(sent, [], "nor told");
}

#[test]
fn newer_contact_record_is_kept_and_passed_on_and_a_forged_one_is_not() {
    let federation = Arc::new(Federation::new(3));
    let mut bench = Bench::new(&federation, 0);
    for n in [1, 2] {
        bench.connect(n);
    }
    let addresses = vec!["node2.example:7443".to_owned()];
    let record = SignedContact::seal(federation.rosters.federation(), 1, addresses, &federation.hand(2));
    let input = bench.message(1, Message::Contact(record.encode()));
    let outputs = bench.hand(input);
    assert!(matches!(&outputs[..], [Output::StoreContact(kept)] if *kept == record), "{outputs:?}");
    let mut forged = record.encode();
    forged[40] ^= 1;
    let input = bench.message(1, Message::Contact(forged));
    assert!(bench.hand(input).is_empty());
    let of_three = SignedContact::seal(federation.rosters.federation(), 1, Vec::new(), &federation.hand(3));
    let sent = bench.say(1, Message::Contact(of_three.encode()));
    assert_eq!(sent, [(federation.id(2), Lane::Normal, Message::Contact(of_three.encode()))]);
}

/// `next_wake` is when a tick is wanted at the latest: what a replica does, and when, does not hang on how many
/// more come before.
#[test]
fn ticks_before_their_time_change_nothing() {
    let federation = Arc::new(Federation::new(3));
    let wanted = minutes_with_silent_peers(&federation, u64::MAX);
    let named = |name: &str| wanted.iter().filter(|(_, (_, _, message))| message.name() == name).count();
    assert!(["want", "have", "digest root", "roster want"].iter().all(|name| named(name) > 2), "{wanted:?}");
    for every_ms in [1, 7, 250, 999] {
        assert_eq!(minutes_with_silent_peers(&federation, every_ms), wanted, "a tick every {every_ms} ms");
    }
}

/// What a replica says in two minutes of which document to peers that answer nothing, and when. Beside the ticks
/// that it asks for it is handed one every so many ms.
fn minutes_with_silent_peers(federation: &Arc<Federation>, every_ms: u64) -> Vec<(Millis, Sent)> {
    let mut bench = Bench::new(federation, 0);
    bench.connect(1);
    let (own, _) = bench.write(None, incident(federation, 0, &[1, 2], 1));
    bench.connect(2);
    let quiet = Scribe::new(federation).write(1, quiet_incident(federation, 1, &[0, 2], 2)).unwrap();
    bench.say(1, body(&[quiet]));
    let mut sent = Vec::new();
    let (end, mut peer_says) = (bench.now.plus(Millis(120_000)), bench.now);
    for round in 1.. {
        // Before the last question is given up: something is on its way all the time.
        peer_says = peer_says.plus(Millis(4_000));
        while bench.now < peer_says {
            let tick = bench.replica.next_wake().max(bench.now.plus(Millis(1)));
            let next = tick.min(Millis(bench.now.0.saturating_add(every_ms))).min(peer_says);
            let ms = next.since(bench.now).0;
            sent.extend(bench.pass(ms).into_iter().map(|sent| (next, sent)));
        }
        if peer_says > end {
            return sent;
        }
        let doc = if round % 2 == 0 { own.header().doc } else { DocId([round; 32]) };
        let said = bench.say(2, have(doc, &[EnvelopeId([round; 32])], false));
        sent.extend(said.into_iter().map(|sent| (peer_says, sent)));
    }
    unreachable!("it ends once the time is over")
}
