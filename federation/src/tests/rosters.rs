//! Missing roster versions go before everything else.

use protocol::message::{Message, RosterPiece, Welcome};

use super::kit::*;
use crate::Lane;
use crate::close::CloseCode;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_rosters_come_before_the_connection_is_up() {
    for (older, newer) in [(1, 2), (2, 1)] {
        let listen = "127.0.0.1:0".parse().unwrap();
        let older = Node::start_with(older, listen, timing(), 1);
        let newer = Node::start_with(newer, listen, timing(), 4);
        older.dials(newer.member, newer.address());
        newer.until_event(Event::Connected(older.member, 1)).await;
        newer.send(older.member, Lane::Urgent, b"under roster 4").await;
        older.until_event(Event::Frame(newer.member, Lane::Urgent, b"under roster 4".to_vec())).await;
        let took = |version: u8| Event::TookRoster(vec![version; ROSTER_BYTES]);
        let expected = [
            took(2),
            took(3),
            took(4),
            Event::Connected(newer.member, 4),
            Event::Frame(newer.member, Lane::Urgent, b"under roster 4".to_vec()),
        ];
        assert!(older.events() == expected, "another order of {} events", older.events().len());
        older.federation.stop().await;
        newer.federation.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_are_not_read_until_the_named_rosters_are_here() {
    let node = Node::start(1);
    let raw = Raw::new(2);
    let connection = raw.dial_silently(&node).await;
    let (send, receive) = soon("the control stream", connection.accept_bi()).await.unwrap();
    let mut link = RawLink { connection, send, receive };
    let ahead = Welcome { roster_version: 2, roster: head(2).hash, ..welcome(member(2)) };
    link.write(&Message::Welcome(ahead)).await;
    let mut lane = link.open_lane(Lane::Urgent).await;
    lane.write_all(b"\0\0\0\x05early").await.unwrap();
    let mut first = [0];
    link.receive.read_exact(&mut first).await.unwrap();
    loop {
        let message = link.read().await.unwrap();
        if let Message::RosterWant(after) = message {
            assert_eq!(after, 1);
            break;
        }
        assert!(matches!(message, Message::Welcome(_) | Message::Ping(_)), "{message:?}");
    }
    assert!(node.events().is_empty(), "nothing is taken before the roster");
    link.write(&Message::Roster(RosterPiece { version: 2, piece: 0, pieces: 1, bytes: vec![2; 9] })).await;
    node.until_event(Event::Frame(member(2), Lane::Urgent, b"early".to_vec())).await;
    let expected = [
        Event::TookRoster(vec![2; 9]),
        Event::Connected(member(2), 2),
        Event::Frame(member(2), Lane::Urgent, b"early".to_vec()),
    ];
    assert_eq!(node.events(), expected);
    node.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_whose_chain_does_not_connect_to_ours_is_asked_for_all_and_taken_all_the_same() {
    let node = Node::start(1);
    let raw = Raw::new(2);
    let connection = raw.dial_silently(&node).await;
    let (send, receive) = soon("the control stream", connection.accept_bi()).await.unwrap();
    let mut link = RawLink { connection, send, receive };
    let mut first = [0];
    link.receive.read_exact(&mut first).await.unwrap();
    let ahead = Welcome { roster_version: 5, roster: head(5).hash, ..welcome(member(2)) };
    link.write(&Message::Welcome(ahead)).await;
    let fifth = Message::Roster(RosterPiece { version: 5, piece: 0, pieces: 1, bytes: vec![5; 9] });
    let mut asked = Vec::new();
    while asked.len() < 2 {
        if let Message::RosterWant(after) = link.read().await.unwrap() {
            asked.push(after);
            link.write(&fifth).await;
        }
    }
    assert_eq!(asked, [1, 0]);
    node.until_event(Event::Connected(member(2), 5)).await;
    node.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_roster_closes_the_connection() {
    let node = Node::start(1);
    let mut link = Raw::new(2).dial(&node).await;
    link.write(&Message::Roster(RosterPiece { version: 13, piece: 0, pieces: 1, bytes: vec![13; 9] })).await;
    assert_eq!(link.closed().await, code(CloseCode::RosterRefused));
    let mut link = Raw::new(2).dial(&node).await;
    link.write(&Message::Roster(RosterPiece { version: 2, piece: 1, pieces: 2, bytes: vec![2; 9] })).await;
    assert_eq!(link.closed().await, code(CloseCode::OutOfOrder));
    node.federation.stop().await;
}
