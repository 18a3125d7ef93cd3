//! A key that is being replaced: each end shows the other the key that it is known by there.

use super::kit::*;
use crate::keys::NodeKey;

/// Not in anybody's roster yet.
fn new_key() -> NodeKey {
    NodeKey::from_seed(&[101; 32]).unwrap()
}

/// A node that likes its new key best and still holds the old one.
fn rotating() -> Node {
    let node = Node::start(1);
    node.own_keys.replace(vec![new_key(), key(1)]);
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_is_dialled_shows_the_key_that_the_dialler_knows() {
    let (one, two) = (rotating(), Node::start(2));
    two.dials(one.member, one.address());
    two.until_connected(one.member).await;
    // Whoever has the newer roster knows the new key alone, and meets the same node.
    let three = Node::start(3);
    let mut newer = keys_without(1);
    newer.insert(new_key().public(), one.member);
    three.keys.replace(newer);
    three.dials(one.member, one.address());
    three.until_connected(one.member).await;
    for node in [one, two, three] {
        node.federation.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialler_whose_new_key_is_refused_comes_in_with_the_old_one() {
    let (one, two) = (rotating(), Node::start(2));
    one.dials(two.member, two.address());
    one.until_connected(two.member).await;
    two.until_connected(one.member).await;
    // Once the old key is retired there, the connection that it opened ends and the new one takes over.
    let mut newer = keys_without(1);
    newer.insert(new_key().public(), one.member);
    two.keys.replace(newer);
    two.until_event(Event::Disconnected(one.member)).await;
    one.until_event(Event::Disconnected(two.member)).await;
    let connected = Event::Connected(one.member, 1);
    two.until("a second connection", |events| events.iter().filter(|e| **e == connected).count() == 2).await;
    one.federation.stop().await;
    two.federation.stop().await;
}
