//! One connection a pair, however both ends dial, and a new one when it is gone.

use std::time::Duration;

use protocol::message::Message;

use super::kit::*;
use crate::close::CloseCode;
use crate::peers::PeerState;
use crate::{Lane, Timing};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_dial_each_other_at_once_end_with_one_connection() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let at_once = || Timing { larger_waits: Duration::ZERO, ..timing() };
    let one = Node::start_with(1, listen, at_once(), 1);
    let two = Node::start_with(2, listen, at_once(), 1);
    two.dials(one.member, one.address());
    one.dials(two.member, two.address());
    one.until_connected(two.member).await;
    two.until_connected(one.member).await;
    let settled = |node: &Node| node.federation.open_connections() == 1;
    until("one connection is left", || settled(&one) && settled(&two)).await;
    one.until_connected(two.member).await;
    two.until_connected(one.member).await;
    one.send(two.member, Lane::Urgent, b"from one").await;
    two.send(one.member, Lane::Urgent, b"from two").await;
    two.until_event(Event::Frame(one.member, Lane::Urgent, b"from one".to_vec())).await;
    one.until_event(Event::Frame(two.member, Lane::Urgent, b"from two".to_vec())).await;
    one.federation.stop().await;
    two.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newer_connection_of_one_dialler_replaces_its_older() {
    for number in [1, 3] {
        let node = Node::start(2);
        let raw = Raw::new(number);
        let older = raw.dial(&node).await;
        node.until_connected(member(number)).await;
        let newer = raw.dial(&node).await;
        assert_eq!(older.closed().await, code(CloseCode::Duplicate));
        let again = [
            Event::Connected(member(number), 1),
            Event::Disconnected(member(number)),
            Event::Connected(member(number), 1),
        ];
        node.until("the change", |events| events == again).await;
        assert!(newer.connection.close_reason().is_none());
        node.federation.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_dialled_by_the_smaller_replaces_the_other() {
    let node = Node::start(2);
    let raw = Raw::new(1);
    node.dials(member(1), raw.address());
    let dialled_by_the_larger = raw.accept().await;
    node.until_connected(member(1)).await;
    let dialled_by_the_smaller = raw.dial(&node).await;
    assert_eq!(dialled_by_the_larger.closed().await, code(CloseCode::Duplicate));
    node.until_event(Event::Disconnected(member(1))).await;
    node.until_connected(member(1)).await;
    assert!(dialled_by_the_smaller.connection.close_reason().is_none());
    node.federation.stop().await;
}

async fn answer_pings(mut link: RawLink) {
    while let Some(message) = link.read().await {
        if let Message::Ping(nonce) = message {
            link.write(&Message::Pong(nonce)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_connection_that_answers_its_ping_stays() {
    let node = Node::start(2);
    let raw = Raw::new(3);
    node.dials(member(3), raw.address());
    let kept = raw.accept().await;
    node.until_connected(member(3)).await;
    let contender = raw.dial(&node).await;
    let answering = tokio::spawn(answer_pings(kept));
    assert_eq!(contender.closed().await, code(CloseCode::Duplicate));
    assert!(!node.events().contains(&Event::Disconnected(member(3))));
    node.federation.stop().await;
    soon("the kept one ends with the node", answering).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_connection_that_is_silent_gives_way_to_the_one_that_waits() {
    let node = Node::start_with(2, "127.0.0.1:0".parse().unwrap(), timing(), 1);
    let raw = Raw::new(3);
    node.dials(member(3), raw.address());
    let silent = raw.accept().await;
    node.until_connected(member(3)).await;
    let contender = raw.dial(&node).await;
    let connection = contender.connection.clone();
    let answering = tokio::spawn(answer_pings(contender));
    assert_eq!(silent.closed().await, code(CloseCode::NoPong));
    let handed_over =
        [Event::Connected(member(3), 1), Event::Disconnected(member(3)), Event::Connected(member(3), 1)];
    node.until("the one that waited", |events| events == handed_over).await;
    assert!(connection.close_reason().is_none());
    node.federation.stop().await;
    soon("the one that waited ends with the node", answering).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted_peer_is_connected_again() {
    for (stays, restarts) in [(1, 2), (2, 1)] {
        let stays = Node::start(stays);
        let first = Node::start(restarts);
        let address = first.address();
        stays.dials(member(restarts), address);
        stays.until_connected(member(restarts)).await;
        first.federation.stop().await;
        stays.until_peer(member(restarts), |status| status.state != PeerState::Connected).await;
        let second = Node::start_with(restarts, address, timing(), 1);
        stays.until_connected(member(restarts)).await;
        second.until_connected(stays.member).await;
        stays.send(member(restarts), Lane::Normal, b"welcome back").await;
        second.until_event(Event::Frame(stays.member, Lane::Normal, b"welcome back".to_vec())).await;
        stays.federation.stop().await;
        second.federation.stop().await;
    }
}

/// Everything that nodes do by the clock comes too late for the test.
fn patient() -> Timing {
    let never = Duration::from_secs(3_600);
    Timing { larger_waits: never, ping_every: never, ping_answer_max: never, ..timing() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_peer_that_is_back_is_known_to_have_ended_by_its_first_answer() {
    let stays = Node::start_with(1, "127.0.0.1:0".parse().unwrap(), patient(), 1);
    let elsewhere =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let killed = elsewhere.spawn(async { Raw::new(2) }).await.unwrap();
    let address = killed.address();
    stays.dials(member(2), address);
    let link = elsewhere.spawn(async move { (killed.accept().await, killed) }).await.unwrap();
    stays.until_connected(member(2)).await;
    // Without a goodbye, as a process ends.
    tokio::task::spawn_blocking(move || elsewhere.shutdown_timeout(DEADLINE)).await.unwrap();
    drop(link);
    assert!(!stays.events().contains(&Event::Disconnected(member(2))), "nobody told");
    let back = Raw::at(2, address);
    stays.send(member(2), Lane::Normal, b"are you there").await;
    stays.until_event(Event::Disconnected(member(2))).await;
    let _again = back.accept().await;
    stays.until_connected(member(2)).await;
    stays.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_that_moved_is_dialled_at_its_new_address() {
    let node = Node::start(1);
    let gone = Raw::new(2);
    node.dials(member(2), gone.address());
    drop(gone);
    node.until_peer(member(2), |status| status.state == PeerState::Connecting).await;
    let moved = Node::start(2);
    node.dials(member(2), moved.address());
    node.until_connected(member(2)).await;
    node.federation.stop().await;
    moved.federation.stop().await;
}
