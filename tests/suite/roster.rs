//! Keys that change while the federation works: a node's own, stolen ones, the root's; with real
//! processes, and with alerts on their way all the time.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use protocol::envelope::SignedEnvelope;
use protocol::ids::{KeyIndex, MemberId};
use protocol::roster::{KeyPurpose, KeyState};
use serde_json::Value;
use tests::cluster::places::{
    BORDER_OF_SAN_JOAQUIN, BORDER_OF_SAN_MIGUEL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL, Town,
};
use tests::cluster::{Cluster, Node, Person, wait_for, within};
use tests::peer::{Identity, Knock, Peer};

/// From a person's command to the end of the last connection of a revoked key.
const REVOKED_CLOSED_IN: Duration = Duration::from_secs(5);

/// The figures of a node's `/metrics` by name and labels.
pub async fn figure(node: &Node, name: &str) -> u64 {
    let text = node.stranger().get("/metrics").await.text();
    let line = text.lines().find(|line| line.split(' ').next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("{} has no {name}", node.town.name));
    line.rsplit(' ').next().and_then(|figure| figure.parse().ok()).expect("a whole number")
}

/// Waits until each of these nodes has this version in force.
pub async fn all_have(cluster: &Cluster, towns: &[Town], version: u64) {
    for town in towns {
        wait_for(&format!("version {version} at {}", town.name), async || {
            (figure(&cluster[*town], "cuadra_roster_version").await == version).then_some(())
        })
        .await;
    }
}

/// What the screens of a node say about its connection to another.
pub async fn state_of(operator: &Person, member: &str) -> String {
    let peers = operator.get("/api/v1/peers").await.expect(200);
    let row = peers.as_array().expect("a list").iter().find(|row| row["id"] == member).cloned();
    row.expect("it is listed")["state"].as_str().expect("a state").to_owned()
}

/// Under which of its author's keys each envelope of an incident was signed.
fn signed_with(node: &Node, incident: &str) -> Vec<(MemberId, KeyIndex)> {
    let exported: Value = serde_json::from_slice(&node.export(incident)).expect("JSON");
    let envelopes = exported["envelopes"].as_array().expect("a list");
    let parse = |row: &Value| {
        let bytes = hex::decode(row["signed"].as_str().expect("hex")).expect("hex");
        let envelope = SignedEnvelope::decode(&bytes).expect("an envelope");
        (envelope.header().author, envelope.header().key_index)
    };
    envelopes.iter().map(parse).collect()
}

/// Makes new keys at a running node and hands the request to the office; gives the words of the command.
fn ask_for_new_keys(cluster: &Cluster, town: Town) -> String {
    let node = &cluster[town];
    let said = node.cuadra(&["keys", "rotate"]);
    assert!(said.contains("cuadra roster rotate"), "{said}");
    node.folder.join("rotation-request.json").to_str().expect("a path in ASCII").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_up_new_keys_beside_the_old_ones_and_never_signs_with_a_retired_one() {
    let mut cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let office = cluster.office();
    let resident = cluster[SAN_MIGUEL].resident("Ana").await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    let member: MemberId = cluster[SAN_MIGUEL].member.parse().expect("an id");
    let old = Identity::of(&cluster[SAN_MIGUEL].folder);
    let both = [SAN_MIGUEL, SAN_JOAQUIN];
    let raise = async |text: &str| {
        let raised = resident.raise("robbery", BORDER_OF_SAN_MIGUEL, text).await;
        let id = raised["id"].as_str().expect("an id").to_owned();
        theirs.wait_for_incident(&id).await;
        id
    };

    // Asked for: nothing changes yet, and a person is told what comes next.
    let request = ask_for_new_keys(&cluster, SAN_MIGUEL);
    let again = ask_for_new_keys(&cluster, SAN_MIGUEL);
    assert_eq!(std::fs::read(&request).expect("it is there"), std::fs::read(&again).expect("it is there"));
    let doctor = cluster[SAN_MIGUEL].cuadra(&["doctor"]);
    assert!(doctor.contains("a new one is here that the roster does not list yet"), "{doctor}");
    let first = raise("With the first key").await;
    assert_eq!(signed_with(&cluster[SAN_MIGUEL], &first), [(member, KeyIndex(1))]);

    // The overlap: the roster comes over the link, and from its version on the new key signs.
    let said = office.publish(&["rotate", &request], &[1, 2]);
    assert!(said.contains("Before you sign, call San Miguel"), "{said}");
    let _said = cluster[SAN_JOAQUIN].cuadra(&["join", office.file()]);
    all_have(&cluster, &both, 2).await;
    let second = raise("In the overlap").await;
    assert_eq!(signed_with(&cluster[SAN_MIGUEL], &second), [(member, KeyIndex(3))]);
    let doctor = cluster[SAN_MIGUEL].cuadra(&["doctor"]);
    assert!(doctor.contains("cuadra roster retire \"San Miguel\""), "{doctor}");
    for key in [&old.tls_key, &new_tls_key(&cluster[SAN_MIGUEL])] {
        assert!(let_in(key, &cluster[SAN_JOAQUIN]).await, "both keys open the door in the overlap");
    }

    // The old ones are retired: the door is shut to them, and the incident goes on under the new one.
    office.publish(&["retire", "San Miguel"], &[2, 3]);
    let _said = cluster[SAN_MIGUEL].cuadra(&["join", office.file()]);
    all_have(&cluster, &both, 3).await;
    let ours = cluster[SAN_MIGUEL].operator().await;
    ours.act(&first, "claim", &serde_json::json!({})).await;
    let third = raise("With the new key alone").await;
    let signed = signed_with(&cluster[SAN_MIGUEL], &first);
    assert_eq!(
        signed,
        [(member, KeyIndex(1)), (member, KeyIndex(3))],
        "what the old key signed still counts"
    );
    assert_eq!(signed_with(&cluster[SAN_MIGUEL], &third), [(member, KeyIndex(3))]);
    assert!(!let_in(&old.tls_key, &cluster[SAN_JOAQUIN]).await, "a retired key opens no door");
    cluster.in_step(SAN_MIGUEL, SAN_JOAQUIN).await;
    let doctor = cluster[SAN_MIGUEL].cuadra(&["doctor"]);
    assert!(doctor.contains("envelope key replaced: envelope.key"), "{doctor}");

    // Killed and started again without the old signing key: it is the same node.
    let _said = cluster[SAN_MIGUEL].cuadra(&["keys", "tidy"]);
    assert!(!cluster[SAN_MIGUEL].data().join("secrets/envelope.key").exists());
    cluster.kill(SAN_MIGUEL).await;
    cluster.restart(SAN_MIGUEL).await;
    assert_eq!(cluster[SAN_MIGUEL].member, member.to_string());
    let resident = cluster[SAN_MIGUEL].same(&resident);
    let raised = resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "After a restart").await;
    theirs.wait_for_incident(raised["id"].as_str().expect("an id")).await;
}

fn new_tls_key(node: &Node) -> SigningKey {
    let path = node.data().join("secrets/tls-2.key");
    node::home::read_signing_key(&path).expect("the new key")
}

/// True if a node shakes hands with this key and says its welcome.
async fn let_in(key: &SigningKey, node: &Node) -> bool {
    let Ok(knock) = Knock::strange(key, b"cuadra/1", node).await else { return false };
    // Whoever dials believes itself connected until the other end has judged its key.
    knock.connection.accept_bi().await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_stolen_keys_are_closed_within_five_seconds_and_their_owner_goes_on() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT]).await;
    let office = cluster.office();
    let resident = cluster[SAN_JOAQUIN].resident("Ana").await;
    let ours = cluster[SAN_MIGUEL].operator().await;
    let stolen = Identity::of(&cluster[SAN_JOAQUIN].folder);
    cluster.in_step(SAN_JOAQUIN, SAN_MIGUEL).await;
    // A thief with the key of San Joaquín takes its place at San Miguel while the link to it is cut.
    cluster.cut(SAN_MIGUEL, SAN_JOAQUIN);
    let town = cluster[SAN_JOAQUIN].member.clone();
    wait_for("San Joaquín is away", async || (state_of(&ours, &town).await != "connected").then_some(()))
        .await;
    let thief = Peer::connect(&stolen, &cluster[SAN_MIGUEL]).await;
    wait_for("the thief is in", async || (state_of(&ours, &town).await == "connected").then_some(())).await;
    let request = ask_for_new_keys(&cluster, SAN_JOAQUIN);
    office.publish(&["rotate", "--stolen", &request], &[1, 3]);

    // Told at the precinct alone: San Miguel hears of it from there, and all of it has five seconds.
    let _said = cluster[PRECINCT].cuadra(&["join", office.file()]);
    within(REVOKED_CLOSED_IN, "the thief's connection is closed", async || {
        (!thief.connected()).then_some(())
    })
    .await;
    assert_eq!(thief.closed().await, Some(2), "KeyNotAccepted");
    assert!(!let_in(&stolen.tls_key, &cluster[SAN_MIGUEL]).await, "nor does it come in again");

    // The town itself is connected again by its new key, and answers for its alerts.
    cluster.mend(SAN_MIGUEL, SAN_JOAQUIN);
    cluster.in_step(SAN_JOAQUIN, SAN_MIGUEL).await;
    let raised = resident.raise("robbery", BORDER_OF_SAN_JOAQUIN, "After the theft").await;
    let id = raised["id"].as_str().expect("an id");
    ours.wait_for_incident(id).await;
    let member: MemberId = cluster[SAN_JOAQUIN].member.parse().expect("an id");
    assert_eq!(signed_with(&cluster[SAN_MIGUEL], id), [(member, KeyIndex(3))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expelled_members_connections_are_closed_within_five_seconds_everywhere() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT]).await;
    let office = cluster.office();
    let expelled = cluster[SAN_JOAQUIN].member.clone();
    let resident = cluster[SAN_JOAQUIN].resident("Ana").await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    let desks = [cluster[SAN_MIGUEL].operator().await, cluster[PRECINCT].operator().await];
    for town in [SAN_MIGUEL, PRECINCT] {
        cluster.in_step(town, SAN_JOAQUIN).await;
    }
    let refused_before = figure(&cluster[SAN_MIGUEL], "cuadra_handshakes_refused_total").await;
    office.publish(&["expel", "San Joaquín"], &[1, 2]);
    let _said = cluster[PRECINCT].cuadra(&["join", office.file()]);
    within(REVOKED_CLOSED_IN, "nobody is connected to who was expelled", async || {
        let mut away = true;
        for desk in &desks {
            away &= state_of(desk, &expelled).await != "connected";
        }
        away.then_some(())
    })
    .await;
    // It knocks again and is not let in.
    wait_for("a refused knock", async || {
        let refused = figure(&cluster[SAN_MIGUEL], "cuadra_handshakes_refused_total").await;
        (refused > refused_before).then_some(())
    })
    .await;
    assert_ne!(state_of(&desks[0], &expelled).await, "connected");
    // Its own people are not left alone by that, though a person hands it the version that revokes its keys.
    let _said = cluster[SAN_JOAQUIN].cuadra(&["join", office.file()]);
    all_have(&cluster, &[SAN_JOAQUIN], 2).await;
    let raised = resident.raise("robbery", BORDER_OF_SAN_JOAQUIN, "After it was expelled").await;
    let id = raised["id"].as_str().expect("an id");
    theirs.wait_for_incident(id).await;
    // Nobody was faster: the desk is told that its node waits.
    let claim = theirs.post(&format!("/api/v1/incidents/{id}/claim"), &serde_json::json!({})).await;
    assert_eq!((claim.status, claim.json()["code"].as_str()), (409, Some("locked")), "{}", claim.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_slept_through_the_rotation_of_every_key_comes_back_and_nothing_is_lost() {
    let mut cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT]).await;
    let office = cluster.office();
    let here = cluster[SAN_MIGUEL].resident("Ana").await;
    let there = cluster[SAN_JOAQUIN].resident("Rosa").await;
    for town in [SAN_MIGUEL, PRECINCT] {
        cluster.in_step(SAN_JOAQUIN, town).await;
    }
    // San Joaquín asks for new keys, takes one more alert that nobody hears of, and falls asleep.
    let request = ask_for_new_keys(&cluster, SAN_JOAQUIN);
    cluster.cut(SAN_JOAQUIN, SAN_MIGUEL);
    cluster.cut(SAN_JOAQUIN, PRECINCT);
    let raised = there.raise("robbery", BORDER_OF_SAN_JOAQUIN, "Before it fell asleep").await;
    let told_by_nobody = raised["id"].as_str().expect("an id").to_owned();
    cluster.kill(SAN_JOAQUIN).await;

    // Meanwhile every key there is changes: its own, its neighbour's, the precinct's, two of the root's.
    let awake = [SAN_MIGUEL, PRECINCT];
    let publish = async |words: &[&str], signers: &[u8], version: u64| {
        office.publish(words, signers);
        let _said = cluster[PRECINCT].cuadra(&["join", office.file()]);
        all_have(&cluster, &awake, version).await;
    };
    publish(&["rotate", &request], &[1, 2], 2).await;
    publish(&["retire", "San Joaquín"], &[1, 2], 3).await;
    let request = ask_for_new_keys(&cluster, SAN_MIGUEL);
    publish(&["rotate", &request], &[1, 2], 4).await;
    publish(&["retire", "San Miguel"], &[1, 3], 5).await;
    let removed = [2, 3].map(|number| public_root(&office, number));
    let added = [4, 5].map(|number| {
        let said = tests::cluster::process::cuadra(cluster.folder(), &["roster", "key", &office.key(number)]);
        said.split_whitespace().last().expect("the public half").to_owned()
    });
    let words =
        ["root", "--add", &added[0], "--add", &added[1], "--remove", &removed[0], "--remove", &removed[1]];
    publish(&words, &[1, 2, 4], 6).await;
    let request = ask_for_new_keys(&cluster, PRECINCT);
    publish(&["rotate", &request], &[4, 5], 7).await;
    publish(&["retire", "South Precinct"], &[1, 5], 8).await;
    let raised = here.raise("fire", BORDER_OF_SAN_MIGUEL, "While it slept").await;
    let while_it_slept = raised["id"].as_str().expect("an id").to_owned();

    // It wakes with the first version in its folder, and reaches its peers by the keys that it had asked for.
    cluster.mend(SAN_JOAQUIN, SAN_MIGUEL);
    cluster.mend(SAN_JOAQUIN, PRECINCT);
    cluster.restart(SAN_JOAQUIN).await;
    all_have(&cluster, &[SAN_JOAQUIN], 8).await;
    let (ours, theirs) = (cluster[SAN_MIGUEL].operator().await, cluster[SAN_JOAQUIN].operator().await);
    wait_for("what happened while it slept, words too", async || {
        theirs.incident(&while_it_slept).await?.to_string().contains("While it slept").then_some(())
    })
    .await;
    wait_for("what only it knew, words too", async || {
        ours.incident(&told_by_nobody).await?.to_string().contains("Before it fell asleep").then_some(())
    })
    .await;
    for town in awake {
        cluster.in_step(SAN_JOAQUIN, town).await;
        cluster.in_step(town, SAN_JOAQUIN).await;
    }
    let member: MemberId = cluster[SAN_JOAQUIN].member.parse().expect("an id");
    assert_eq!(signed_with(&cluster[SAN_MIGUEL], &told_by_nobody), [(member, KeyIndex(1))]);
    theirs.act(&told_by_nobody, "claim", &serde_json::json!({})).await;
    wait_for("the next step of its old incident, by its new key", async || {
        signed_with(&cluster[SAN_MIGUEL], &told_by_nobody).contains(&(member, KeyIndex(3))).then_some(())
    })
    .await;
    let chain = office.chain();
    let of = chain.head().member(&member).expect("it is listed");
    let retired = of.keys.iter().filter(|key| key.state == KeyState::Retired).count();
    assert_eq!((retired, of.active_key(KeyPurpose::Tls).map(|key| key.index)), (2, Some(KeyIndex(4))));
}

/// The public half of a root key, as the office knows it.
pub fn public_root(office: &tests::cluster::roster::Office, number: u8) -> String {
    let key = node::home::read_signing_key(std::path::Path::new(&office.key(number))).expect("a root key");
    hex::encode(key.verifying_key().to_bytes())
}
