//! The roster's bad days, with real processes: it expires, the root keys contradict themselves, somebody
//! offers an older one, a peer keeps newer ones back, or no link brings it at all.

use protocol::ids::Millis;
use tests::cluster::places::{
    BORDER_OF_SAN_JOAQUIN, BORDER_OF_SAN_MIGUEL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL, Town,
};
use tests::cluster::{Cluster, Person, wait_for};
use tests::peer::{Identity, Peer};

use super::roster::{all_have, figure, public_root, state_of};

/// What the page of nodes says.
async fn page(operator: &Person) -> String {
    operator.get("/nodes").await.text()
}

/// An alert on one side of the border that the desk on the other side sees.
async fn crosses(cluster: &Cluster, from: Town, to: Town) {
    let place = if from == SAN_MIGUEL { BORDER_OF_SAN_MIGUEL } else { BORDER_OF_SAN_JOAQUIN };
    let raised = cluster[from].resident("Ana").await.raise("robbery", place, "At the corner").await;
    cluster[to].operator().await.wait_for_incident(raised["id"].as_str().expect("an id")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_roster_warns_everywhere_and_alerts_cross_the_border_all_the_same() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let office = cluster.office();
    let both = [SAN_MIGUEL, SAN_JOAQUIN];
    let desk = cluster[SAN_MIGUEL].operator().await;
    assert_eq!(figure(&cluster[SAN_MIGUEL], "cuadra_roster_expired").await, 0);
    assert!(!page(&desk).await.contains("La lista de nodos venció"));
    office.publish_body(|body| (body.issued, body.expires) = (Millis(1), Millis(2)));
    let _said = cluster[SAN_MIGUEL].cuadra(&["join", office.file()]);
    all_have(&cluster, &both, 2).await;
    for town in both {
        assert_eq!(figure(&cluster[town], "cuadra_roster_expired").await, 1);
        let doctor = cluster[town].cuadra(&["doctor"]);
        assert!(doctor.contains("WARNING  version 2 of the roster has expired"), "{doctor}");
    }
    let shown = page(&desk).await;
    assert!(shown.contains("La lista de nodos venció. Todo sigue funcionando"), "{shown}");
    crosses(&cluster, SAN_MIGUEL, SAN_JOAQUIN).await;
    crosses(&cluster, SAN_JOAQUIN, SAN_MIGUEL).await;

    office.publish(&["renew"], &[1, 3]);
    let _said = cluster[SAN_JOAQUIN].cuadra(&["join", office.file()]);
    all_have(&cluster, &both, 3).await;
    assert_eq!(figure(&cluster[SAN_MIGUEL], "cuadra_roster_expired").await, 0);
    assert!(!page(&desk).await.contains("La lista de nodos venció"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_valid_rosters_of_one_version_are_an_alarm_until_a_later_one_joins_them() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let (office, other) = (cluster.office(), cluster.office().apart("other"));
    let both = [SAN_MIGUEL, SAN_JOAQUIN];
    cluster.cut(SAN_MIGUEL, SAN_JOAQUIN);
    office.publish(&["renew", "--days", "100"], &[1, 2]);
    other.publish(&["renew", "--days", "200"], &[2, 3]);
    let _said = cluster[SAN_MIGUEL].cuadra(&["join", office.file()]);
    let _said = cluster[SAN_JOAQUIN].cuadra(&["join", other.file()]);
    all_have(&cluster, &both, 2).await;
    cluster.mend(SAN_MIGUEL, SAN_JOAQUIN);
    for town in both {
        wait_for("the alarm", async || {
            (figure(&cluster[town], "cuadra_roster_forks").await == 1).then_some(())
        })
        .await;
        let shown = page(&cluster[town].operator().await).await;
        assert!(shown.contains("Las llaves raíz firmaron dos listas"), "{shown}");
        let said = cluster[town].cuadra_refused(&["doctor"]);
        assert!(said.contains("root keys signed two different rosters"), "{said}");
    }
    crosses(&cluster, SAN_MIGUEL, SAN_JOAQUIN).await;
    crosses(&cluster, SAN_JOAQUIN, SAN_MIGUEL).await;

    // The holders of the keys put both into one file and sign what joins them.
    let said = office.run(&["add", other.file()]);
    assert!(said.contains("cuadra roster renew"), "{said}");
    let said = office.publish(&["renew"], &[1, 3]);
    assert!(said.contains("follows 2 versions"), "{said}");
    assert_eq!(office.chain().head().previous.len(), 2);
    let _said = cluster[SAN_JOAQUIN].cuadra(&["join", office.file()]);
    all_have(&cluster, &both, 3).await;
    for town in both {
        wait_for("the end of the alarm", async || {
            (figure(&cluster[town], "cuadra_roster_forks").await == 0).then_some(())
        })
        .await;
        assert!(!page(&cluster[town].operator().await).await.contains("Las llaves raíz firmaron dos listas"));
    }
    crosses(&cluster, SAN_MIGUEL, SAN_JOAQUIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_rolls_a_roster_back_neither_a_file_nor_root_keys_that_were_replaced_nor_a_restore() {
    let mut cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let (office, first, thief) =
        (cluster.office(), cluster.office().apart("first"), cluster.office().apart("thief"));
    let backup = cluster.folder().join("before.backup");
    let backup = backup.to_str().expect("a path in ASCII");
    let _said = cluster[SAN_MIGUEL].cuadra(&["backup", backup, "--unsealed"]);

    // Two of three root keys are replaced, one of them because it was stolen.
    let removed = [2, 3].map(|number| public_root(&office, number));
    let added = [4, 5].map(|number| {
        let said = tests::cluster::process::cuadra(cluster.folder(), &["roster", "key", &office.key(number)]);
        said.split_whitespace().last().expect("the public half").to_owned()
    });
    let words =
        ["root", "--add", &added[0], "--add", &added[1], "--remove", &removed[0], "--remove", &removed[1]];
    office.publish(&words, &[1, 2, 4]);
    let _said = cluster[SAN_MIGUEL].cuadra(&["join", office.file()]);
    all_have(&cluster, &[SAN_MIGUEL, SAN_JOAQUIN], 2).await;
    let head = office.chain().head().hash();

    // An older file, and a longer branch that the replaced keys signed.
    let said = cluster[SAN_MIGUEL].cuadra(&["join", first.file()]);
    assert!(said.contains("0 new version(s) taken; version 2 is in force"), "{said}");
    for days in ["40", "50", "60"] {
        thief.publish(&["renew", "--days", days], &[2, 3]);
    }
    let said = cluster[SAN_MIGUEL].cuadra(&["join", thief.file()]);
    assert!(said.contains("Warning: the file has versions that contradict"), "{said}");
    wait_for("the alarm", async || {
        (figure(&cluster[SAN_MIGUEL], "cuadra_roster_forks").await == 3).then_some(())
    })
    .await;
    assert_eq!(figure(&cluster[SAN_MIGUEL], "cuadra_roster_version").await, 2);

    // A restore of the time before any of it: the chain lies outside the backup and is as it was.
    cluster.kill(SAN_MIGUEL).await;
    let _said = cluster[SAN_MIGUEL].cuadra(&["restore", backup, "--replace"]);
    let said = cluster[SAN_MIGUEL].cuadra(&["join", first.file()]);
    assert!(said.contains("version 2 is in force"), "{said}");
    cluster.restart(SAN_MIGUEL).await;
    assert_eq!(figure(&cluster[SAN_MIGUEL], "cuadra_roster_version").await, 2);
    let home = node::home::Home::at(&cluster[SAN_MIGUEL].data());
    let rosters = home.rosters().expect("the roster folder");
    assert_eq!(rosters.chain().map(|chain| chain.head().hash()), Some(head));
    crosses(&cluster, SAN_MIGUEL, SAN_JOAQUIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_keeps_newer_rosters_back_is_got_round_by_another_route_and_expiry_warns_meanwhile() {
    let mut plan = Cluster::laid_out(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT]);
    plan.scripted(SAN_JOAQUIN);
    plan.cut(SAN_MIGUEL, PRECINCT);
    let cluster = plan.run().await;
    let office = cluster.office();
    // The roster that San Miguel holds has run out.
    office.publish_body(|body| (body.issued, body.expires) = (Millis(1), Millis(2)));
    let _said = cluster[SAN_MIGUEL].cuadra(&["join", office.file()]);
    all_have(&cluster, &[SAN_MIGUEL], 2).await;
    // Its only peer is connected, and says that the first one is the newest that there is.
    let withholding = Identity::of(&cluster[SAN_JOAQUIN].folder);
    let peer = Peer::connect(&withholding, &cluster[SAN_MIGUEL]).await;
    office.publish(&["renew"], &[1, 2]);
    let _said = cluster[PRECINCT].cuadra(&["join", office.file()]);
    all_have(&cluster, &[PRECINCT], 3).await;
    let desk = cluster[SAN_MIGUEL].operator().await;
    wait_for("the peer that keeps it back", async || {
        (state_of(&desk, &withholding.member.to_string()).await == "connected").then_some(())
    })
    .await;
    // An alert reaches the peer: it was given every chance, and its silence costs no alert.
    let resident = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "At the corner").await;
    peer.wait_for_envelopes(raised["id"].as_str().expect("an id").parse().expect("64 digits")).await;
    assert_eq!(figure(&cluster[SAN_MIGUEL], "cuadra_roster_version").await, 2);
    assert_eq!(figure(&cluster[SAN_MIGUEL], "cuadra_roster_expired").await, 1, "the freeze shows");
    let doctor = cluster[SAN_MIGUEL].cuadra(&["doctor"]);
    assert!(doctor.contains("version 2 of the roster has expired"), "{doctor}");

    cluster.mend(SAN_MIGUEL, PRECINCT);
    all_have(&cluster, &[SAN_MIGUEL], 3).await;
    assert_eq!(figure(&cluster[SAN_MIGUEL], "cuadra_roster_expired").await, 0);
    assert!(peer.connected(), "by the other route, not in its place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_comes_as_a_file_or_over_plain_http_where_no_link_brings_it() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let office = cluster.office();
    cluster.cut(SAN_MIGUEL, SAN_JOAQUIN);
    office.publish(&["renew", "--days", "100"], &[1, 2]);
    let said = cluster[SAN_JOAQUIN].cuadra(&["join", office.file()]);
    assert!(said.contains("1 new version(s) taken; version 2 is in force"), "{said}");
    all_have(&cluster, &[SAN_JOAQUIN], 2).await;
    assert_eq!(figure(&cluster[SAN_MIGUEL], "cuadra_roster_version").await, 1, "no link brings it");
    let said = cluster[SAN_MIGUEL].cuadra(&["join", &cluster[SAN_JOAQUIN].base()]);
    assert!(said.contains("1 new version(s) taken; version 2 is in force"), "{said}");
    all_have(&cluster, &[SAN_MIGUEL], 2).await;
    // The way is not trusted, only signatures: rubbish from there changes nothing.
    let rubbish = format!("{}/metrics", cluster[SAN_JOAQUIN].base());
    let said = cluster[SAN_MIGUEL].cuadra_refused(&["join", &rubbish]);
    assert!(said.contains("is not a roster file"), "{said}");
    assert_eq!(figure(&cluster[SAN_MIGUEL], "cuadra_roster_version").await, 2);
}
