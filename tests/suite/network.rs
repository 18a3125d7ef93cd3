//! The network between nodes: forged addresses, replays, and a member on the way that keeps for itself what
//! it should pass on.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use protocol::ids::{DocId, EnvelopeId};
use protocol::message::{Have, Items, Message};
use serde_json::json;
use tests::cluster::places::{BORDER_OF_SAN_MIGUEL, NATIONAL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Node, wait_for};
use tests::peer::{Identity, Knock, Peer, URGENT, body};

/// Addresses that nobody answers at, and first packets from each.
const FORGED_ADDRESSES: u8 = 40;
const PACKETS_EACH: usize = 100;
/// How long another route may take to bring what one withholds.
const FILLED_WITHIN: Duration = Duration::from_secs(60);

async fn gauge(node: &Node, name: &str) -> u64 {
    let text = node.stranger().get("/metrics").await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    line.unwrap_or_else(|| panic!("no gauge {name}"))
}

/// The first packet of an honest connection, as anybody on the way could see and send again.
async fn first_packet(identity: &Identity) -> Vec<u8> {
    let nowhere = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = nowhere.local_addr().expect("it is bound");
    let mut packet = vec![0; 2_048];
    tokio::select! {
        _ = Knock::reach(identity, address) => panic!("nobody answers there"),
        received = nowhere.recv(&mut packet) => packet.truncate(received.expect("a packet")),
    }
    assert!(packet.len() >= 1_200 && packet[0] & 0xf0 == 0xc0, "the first packet of a QUIC handshake");
    packet
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_forged_addresses_gets_small_retries_takes_no_place_and_keeps_nobody_out() {
    let mut plan = Cluster::laid_out(&[SAN_MIGUEL, SAN_JOAQUIN, NATIONAL]);
    plan.scripted(NATIONAL);
    let cluster = plan.run().await;
    let node = &cluster[SAN_MIGUEL];
    let office = Identity::of(&cluster[NATIONAL].folder);
    let first = first_packet(&office).await;
    let turned_away = gauge(node, "cuadra_turned_away_total").await;
    let refused = gauge(node, "cuadra_handshakes_refused_total").await;

    let (mut sent, mut answers, mut answer_bytes) = (0, 0, 0);
    for number in 1..=FORGED_ADDRESSES {
        let address = SocketAddr::from((Ipv4Addr::new(127, 9, 9, number), 0));
        let socket = UdpSocket::bind(address).expect("all of 127.0.0.0/8 is loopback");
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a limit");
        let mut buffer = [0; 2_048];
        for _ in 0..PACKETS_EACH {
            socket.send_to(&first, node.listens()).expect("it can be sent");
            sent += 1;
            // One at a time: what is looked at is the answer, not the size of a socket's queue.
            if let Ok(length) = socket.recv(&mut buffer) {
                assert_eq!(buffer[0] & 0xf0, 0xf0, "an answer to a forged address that is no retry");
                assert!(length < first.len() / 4, "an answer of {length} bytes");
                (answers, answer_bytes) = (answers + 1, answer_bytes + length);
            }
        }
    }
    assert!(answers > sent / 2, "{answers} answers to {sent} packets: the flood did not come");
    println!(
        "{sent} first packets of {} bytes, {answers} retries of {answer_bytes} bytes",
        sent * first.len()
    );
    assert_eq!(gauge(node, "cuadra_turned_away_total").await, turned_away, "a forged address took a place");
    assert_eq!(gauge(node, "cuadra_handshakes_refused_total").await, refused, "or began a handshake");

    let honest = Peer::connect(&office, node).await;
    assert!(honest.connected());
    let raised = node.resident("Ana").await.raise("robbery", BORDER_OF_SAN_MIGUEL, "").await;
    let next_door = cluster[SAN_JOAQUIN].operator().await;
    next_door.wait_for_incident(raised["id"].as_str().expect("an id")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_before_the_handshake_is_done_so_nothing_can_be_replayed_there() {
    let mut plan = Cluster::laid_out(&[SAN_MIGUEL, NATIONAL]);
    plan.scripted(NATIONAL);
    let cluster = plan.run().await;
    let office = Identity::of(&cluster[NATIONAL].folder);
    assert!(!Knock::early(&office, &cluster[SAN_MIGUEL]).await, "the node gave a ticket for early data");
}

/// San Miguel's envelopes of a document, as the office above was sent them.
async fn sent_to(office: &Peer, doc: DocId, count: usize) -> BTreeMap<EnvelopeId, Vec<u8>> {
    wait_for("every envelope at the office", async || {
        let held =
            office.envelopes(doc).into_iter().map(|envelope| (envelope.id(), envelope.bytes().to_vec()));
        Some(held.collect::<BTreeMap<_, _>>()).filter(|held| held.len() >= count)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_on_the_way_withholds_shows_as_a_gap_and_comes_by_another_route_within_a_minute() {
    let mut plan = Cluster::laid_out(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT, NATIONAL]);
    plan.scripted(NATIONAL);
    plan.cut(SAN_MIGUEL, SAN_JOAQUIN);
    plan.cut(PRECINCT, SAN_JOAQUIN);
    let cluster = plan.run().await;
    let office = Identity::of(&cluster[NATIONAL].folder);
    let hears = Peer::connect(&office, &cluster[SAN_MIGUEL]).await;
    let ours = cluster[SAN_MIGUEL].operator().await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    let raised = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = raised.raise("robbery", BORDER_OF_SAN_MIGUEL, "Behind the market").await;
    let id = raised["id"].as_str().expect("an id");
    let doc: DocId = id.parse().expect("64 digits");
    ours.act(id, "claim", &json!({})).await;
    ours.act(id, "steps", &json!({ "step": "called" })).await;
    sent_to(&hears, doc, 3).await;
    let mut chain = hears.envelopes(doc);
    chain.sort_by_key(|envelope| envelope.header().seq);
    chain.dedup_by_key(|envelope| envelope.id());
    let [genesis, _claim, step] = chain.as_slice() else { panic!("{} envelopes", chain.len()) };

    // The office passes on the first and the last, says that it has all, and hands over nothing that is
    // asked for.
    let tells = Peer::connect(&office, &cluster[SAN_JOAQUIN]).await;
    tells.send(URGENT, &body(doc, &[genesis.clone(), step.clone()])).await;
    let seen = theirs.wait_for_incident(id).await;
    assert_eq!(seen["incident"]["status"], "open", "nothing is shown whose ancestors are not here");
    assert_eq!(gauge(&cluster[SAN_JOAQUIN], "cuadra_parked").await, 1, "the gap shows");
    let boast = Have { doc, page: 0, last: true, asks: false, heads: vec![step.id()] };
    tells.send(URGENT, &Message::Have(boast.clone())).await;
    wait_for("the office to be asked for what is missing", async || {
        let asked = |message: &Message| matches!(message, Message::Want(want) if want.doc == doc);
        tells.messages().iter().any(asked).then_some(())
    })
    .await;
    tells.send(URGENT, &Message::Answer(Items { doc, items: Vec::new() })).await;
    tells.send(URGENT, &Message::Have(boast)).await;

    let began = Instant::now();
    cluster.mend(PRECINCT, SAN_JOAQUIN);
    wait_for("the step that was withheld", async || {
        (theirs.the(id).await["incident"]["status"] == "called").then_some(())
    })
    .await;
    assert!(began.elapsed() < FILLED_WITHIN, "it took {:?}", began.elapsed());
    assert_eq!(theirs.the(id).await["heads"], ours.the(id).await["heads"]);
    assert_eq!(gauge(&cluster[SAN_JOAQUIN], "cuadra_parked").await, 0, "the gap is closed");
}
