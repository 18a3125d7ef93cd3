//! Who and what is not let in, and that it costs nobody else anything.

use protocol::limits::FRAME_BYTES_MAX;
use protocol::message::{Message, Welcome};

use super::kit::*;
use crate::Lane;
use crate::close::{CloseCode, Ended};
use crate::frame;
use crate::keys::NodeKey;
use crate::lane::{BLOB_STREAM, CONTROL_STREAM};
use crate::peers::PeerState;

fn stranger() -> NodeKey {
    NodeKey::from_seed(&[200; 32]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stranger_that_dials_is_refused_and_hears_no_welcome() {
    // A key outside the roster, and the node's own key in other hands.
    for wrong in [stranger(), key(1)] {
        let node = Node::start(1);
        let stranger = Raw::with_key(9, wrong);
        let connecting = stranger.endpoint.dial(node.member, node.address(), 0).unwrap();
        // The dialling end believes itself connected until the other end has judged its key.
        if let Ok(connection) = soon("the handshake", connecting).await {
            assert!(soon("a stream or the end", connection.accept_bi()).await.is_err());
            let error = soon("the end", connection.closed()).await;
            assert!(matches!(error, quinn::ConnectionError::ConnectionClosed(_)), "{error}");
        }
        assert!(node.events().is_empty());
        assert!(node.handle.peers().borrow().is_empty());
        node.federation.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_with_another_key_is_refused_by_the_dialler() {
    for wrong in [stranger(), key(3)] {
        let node = Node::start(1);
        let raw = Raw::with_key(2, wrong);
        node.dials(member(2), raw.address());
        let refused = soon("two refused dials", async {
            let mut refused = 0;
            while refused < 2 {
                let incoming = raw.endpoint.quinn.accept().await.unwrap();
                if !incoming.remote_address_validated() {
                    incoming.retry().unwrap();
                } else if let Err(error) = incoming.accept().unwrap().await {
                    assert!(matches!(error, quinn::ConnectionError::ConnectionClosed(_)), "{error}");
                    refused += 1;
                } else {
                    panic!("the node accepted another member's key");
                }
            }
            refused
        });
        assert_eq!(refused.await, 2);
        assert!(node.events().is_empty());
        node.federation.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_connection_of_a_revoked_key_is_closed() {
    let (one, two) = (Node::start(1), Node::start(2));
    one.dials(two.member, two.address());
    one.until_connected(two.member).await;
    two.until_connected(one.member).await;
    two.keys.replace(keys_without(1));
    two.until_event(Event::Disconnected(one.member)).await;
    one.until_event(Event::Disconnected(two.member)).await;
    let status = two.until_peer(one.member, |status| status.state == PeerState::Away).await;
    assert_eq!(status.ended, Some(Ended::ByUs(CloseCode::KeyNotAccepted)));
    let by_peer = Some(Ended::ByPeer(Some(CloseCode::KeyNotAccepted)));
    one.until_peer(two.member, |status| status.ended == by_peer).await;
    one.federation.stop().await;
    two.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialler_sends_nothing_before_the_welcome() {
    let node = Node::start(1);
    let raw = Raw::new(2);
    node.dials(member(2), raw.address());
    let connection = raw.accept_silently().await;
    tokio::select! {
        stream = connection.accept_uni() => assert!(stream.is_err(), "a lane before the welcome"),
        stream = connection.accept_bi() => assert!(stream.is_err(), "a stream before the welcome"),
        _ = connection.closed() => {}
    }
    assert_eq!(closed(&connection).await, code(CloseCode::WelcomeLate));
    assert!(node.events().is_empty());
    node.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn welcome_of_another_protocol_federation_or_member_is_refused() {
    let node = Node::start(1);
    let good = welcome(member(2));
    let bad = [
        Message::Welcome(Welcome { protocol: 2, ..good.clone() }),
        Message::Welcome(Welcome { federation: protocol::ids::FederationId([1; 32]), ..good.clone() }),
        Message::Welcome(Welcome { member: member(3), ..good }),
        Message::Ping(1),
    ];
    for message in bad {
        let raw = Raw::new(2);
        let connection = raw.dial_silently(&node).await;
        let (mut send, _receive) = soon("the control stream", connection.accept_bi()).await.unwrap();
        frame::write(&mut send, message.encode()).await.unwrap();
        assert_eq!(closed(&connection).await, code(CloseCode::WelcomeRefused), "{message:?}");
    }
    assert!(node.events().is_empty());
    node.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_rule_closes_that_connection_and_no_other() {
    let node = Node::start(1);
    let honest = Node::start(3);
    honest.dials(node.member, node.address());
    node.until_connected(honest.member).await;
    let over = u32::try_from(FRAME_BYTES_MAX).unwrap() + 1;
    let on_a_lane: [(&[u8], CloseCode); 5] = [
        (&over.to_be_bytes(), CloseCode::FrameTooLarge),
        (&u32::MAX.to_be_bytes(), CloseCode::FrameTooLarge),
        (&0u32.to_be_bytes(), CloseCode::FrameTooLarge),
        (b"\0\0\0\x06refuse", CloseCode::FrameRefused),
        (b"\0\0\0\x05panic", CloseCode::Internal),
    ];
    for (bytes, expected) in on_a_lane {
        let link = Raw::new(2).dial(&node).await;
        let mut lane = link.open_lane(Lane::Normal).await;
        lane.write_all(bytes).await.unwrap();
        assert_eq!(link.closed().await, code(expected), "{bytes:?}");
    }
    for (first, expected) in [
        (9, CloseCode::UnknownLane),
        (CONTROL_STREAM, CloseCode::UnknownLane),
        (BLOB_STREAM, CloseCode::UnknownLane),
    ] {
        let link = Raw::new(2).dial(&node).await;
        let mut stream = link.connection.open_uni().await.unwrap();
        stream.write_all(&[first]).await.unwrap();
        assert_eq!(link.closed().await, code(expected), "first byte {first}");
    }
    let link = Raw::new(2).dial(&node).await;
    let _first = link.open_lane(Lane::Urgent).await;
    let _second = link.open_lane(Lane::Urgent).await;
    assert_eq!(link.closed().await, code(CloseCode::OutOfOrder), "one lane twice");
    let link = Raw::new(2).dial(&node).await;
    link.open_lane(Lane::Urgent).await.finish().unwrap();
    assert_eq!(link.closed().await, code(CloseCode::OutOfOrder), "a lane ended");
    let mut link = Raw::new(2).dial(&node).await;
    link.write(&Message::Welcome(welcome(member(2)))).await;
    assert_eq!(link.closed().await, code(CloseCode::OutOfOrder), "a second welcome");

    honest.send(node.member, Lane::Urgent, b"still here").await;
    node.until_event(Event::Frame(honest.member, Lane::Urgent, b"still here".to_vec())).await;
    assert!(!node.events().contains(&Event::Disconnected(honest.member)));
    honest.federation.stop().await;
    node.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frame_that_breaks_the_core_costs_its_sender_only() {
    let node = Node::start(1);
    let honest = Node::start(3);
    honest.dials(node.member, node.address());
    node.until_connected(honest.member).await;
    let link = Raw::new(2).dial(&node).await;
    node.until_connected(member(2)).await;
    let mut lane = link.open_lane(Lane::Urgent).await;
    frame::write(&mut lane, b"core panics".to_vec()).await.unwrap();
    assert_eq!(link.closed().await, code(CloseCode::Internal));
    honest.send(node.member, Lane::Urgent, b"still here").await;
    let expected = [
        Event::Restarted,
        Event::Connected(honest.member, 1),
        Event::Frame(honest.member, Lane::Urgent, b"still here".to_vec()),
    ];
    node.until("the core begins anew", |events| events.ends_with(&expected)).await;
    // Its sender may come back, and is not heard for a while.
    let link = Raw::new(2).dial(&node).await;
    node.until_connected(member(2)).await;
    // Kept open: a lane that ends closes the connection.
    let mut lanes = [link.open_lane(Lane::Urgent).await, link.open_lane(Lane::Normal).await];
    for lane in &mut lanes {
        frame::write(lane, b"heard?".to_vec()).await.unwrap();
    }
    for lane in [Lane::Urgent, Lane::Normal] {
        honest.send(node.member, lane, b"heard").await;
        node.until_event(Event::Frame(honest.member, lane, b"heard".to_vec())).await;
    }
    let heard = |event: &Event| matches!(event, Event::Frame(peer, ..) if *peer == member(2));
    assert!(!node.events().iter().any(heard), "who broke the core is heard again at once");
    honest.federation.stop().await;
    node.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_that_does_not_answer_a_ping_is_dropped() {
    let node = Node::start_with(1, "127.0.0.1:0".parse().unwrap(), quick_pings(), 1);
    let silent = Raw::new(2).dial(&node).await;
    node.until_connected(member(2)).await;
    assert_eq!(silent.closed().await, code(CloseCode::NoPong));
    node.until_event(Event::Disconnected(member(2))).await;
    node.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_node_says_goodbye_and_leaves_nothing_running() {
    let (one, two) = (Node::start(1), Node::start(2));
    one.dials(two.member, two.address());
    one.until_connected(two.member).await;
    two.until_connected(one.member).await;
    let handle = two.handle.clone();
    soon("the node stops", two.federation.stop()).await;
    assert!(handle.command(Command::Congest(&[])).await.is_err(), "the loop has ended");
    let goodbye = Some(Ended::ByPeer(Some(CloseCode::Goodbye)));
    one.until_peer(member(2), |status| status.ended == goodbye).await;
    one.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_that_is_closed_over_what_came_is_counted_by_its_code() {
    let node = Node::start(1);
    let counters = async || node.until_peer(member(2), |_| true).await.counters;
    for (bytes, expected) in
        [(&b"\0\0\0\0"[..], CloseCode::FrameTooLarge), (b"\0\0\0\x06refuse", CloseCode::FrameRefused)]
    {
        let link = Raw::new(2).dial(&node).await;
        node.until_connected(member(2)).await;
        let mut lane = link.open_lane(Lane::Normal).await;
        lane.write_all(bytes).await.unwrap();
        assert_eq!(link.closed().await, code(expected));
        let counted = counters().await;
        until("the close is counted", || counted.closed(expected) == 1).await;
    }
    // Before a connection is kept, too.
    let raw = Raw::new(2);
    let connection = raw.dial_silently(&node).await;
    let (mut send, _receive) = soon("the control stream", connection.accept_bi()).await.unwrap();
    frame::write(&mut send, Message::Ping(1).encode()).await.unwrap();
    assert_eq!(closed(&connection).await, code(CloseCode::WelcomeRefused));
    let counted = counters().await;
    until("the close is counted", || counted.closed(CloseCode::WelcomeRefused) == 1).await;
    let door = node.handle.door();
    let strange = Raw::with_key(9, stranger());
    if let Ok(connection) =
        soon("the handshake", strange.endpoint.dial(node.member, node.address(), 0).unwrap()).await
    {
        soon("the end", connection.closed()).await;
    }
    until("the handshake is counted", || door.handshakes_refused() == 1).await;
    node.federation.stop().await;
}
