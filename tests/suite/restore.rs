//! A node that is put back from an older backup: it gets back what it forgot, and nobody takes it for two.

use serde_json::json;
use tests::canaries;
use tests::cluster::places::{BORDER_OF_SAN_MIGUEL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, timeline, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_put_back_from_an_older_backup_gets_back_what_it_forgot_and_goes_on() {
    let mut cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT]).await;
    let resident = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "Before the backup").await;
    let before = raised["id"].as_str().expect("an id").to_owned();
    let ours = cluster[SAN_MIGUEL].operator().await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    ours.act(&before, "claim", &json!({})).await;

    let stick = cluster.folder().join("stick");
    let (key, backup) = (stick.join("offline.key"), cluster.folder().join("old.backup"));
    let text = |path: &std::path::Path| path.to_str().expect("a path in ASCII").to_owned();
    let _said = cluster[SAN_MIGUEL].cuadra(&["keys", "offline", &text(&stick)]);
    let _said = cluster[SAN_MIGUEL].cuadra(&["backup", &text(&backup)]);
    let sealed = std::fs::read(&backup).expect("the backup");
    for word in ["SQLite format", "[federation]", "San Miguel"] {
        canaries::absent(&sealed, word, "the sealed backup");
    }

    // What the backup does not know: more of the first incident, and a second one.
    ours.act(&before, "steps", &json!({ "step": "called" })).await;
    ours.act(&before, "notes", &json!({ "text": "Said after the backup", "shared": false })).await;
    let raised = resident.raise("fire", BORDER_OF_SAN_MIGUEL, "After the backup").await;
    let after = raised["id"].as_str().expect("an id").to_owned();
    wait_for("all of it next door", async || {
        let first = theirs.incident(&before).await?.to_string().contains("Said after the backup");
        (first && theirs.incident(&after).await?.to_string().contains("After the backup")).then_some(())
    })
    .await;

    cluster.kill(SAN_MIGUEL).await;
    let said = cluster[SAN_MIGUEL].cuadra(&["restore", &text(&backup), "--key", &text(&key), "--replace"]);
    assert!(said.contains("new incarnation (2)"), "{said}");
    cluster.restart(SAN_MIGUEL).await;
    // Everybody was signed out: who held a session then may not hold it now.
    let ours = cluster[SAN_MIGUEL].same(&ours);
    assert_eq!(ours.get("/api/v1/me").await.status, 401);
    let ours = cluster[SAN_MIGUEL].operator().await;
    wait_for("what was forgotten, words too", async || {
        let first = ours.incident(&before).await?;
        let second = ours.incident(&after).await?;
        let words = second.to_string().contains("After the backup");
        (first.to_string().contains("Said after the backup") && words).then_some(())
    })
    .await;
    let first = ours.the(&before).await;
    assert_eq!(first["incident"]["status"], "called");
    assert_eq!(first["incident"]["ours"], true);

    // It goes on, in the old incident and with new ones, and next door they agree.
    wait_for("the next step of the old incident", async || {
        let step = json!({ "step": "on_the_way" });
        let answer = ours.post(&format!("/api/v1/incidents/{before}/steps"), &step).await;
        (answer.status == 200).then_some(())
    })
    .await;
    let raised = ours
        .post(
            "/api/v1/calls",
            &json!({ "kind": "robbery", "address": "Gran Avenida 1", "text": "Call", "point": BORDER_OF_SAN_MIGUEL.json() }),
        )
        .await
        .expect(201);
    let new = raised["id"].as_str().expect("an id").to_owned();
    theirs.wait_for_incident(&new).await;
    let detail = wait_for("both in agreement", async || {
        let (here, there) = (ours.the(&before).await, theirs.the(&before).await);
        (here["heads"] == there["heads"] && there["incident"]["status"] == "on_the_way").then_some(there)
    })
    .await;
    assert_eq!(detail["incident"]["owner"], "San Miguel", "an equivocator would answer for nothing");
    assert_eq!(timeline(&detail, "step")["confirmed"], true);
    for node in [SAN_JOAQUIN, PRECINCT] {
        cluster[node].never_logged("equivoc");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_is_gone_comes_back_on_another_machine_from_backup_and_key_copy() {
    let mut cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let resident = cluster[SAN_MIGUEL].resident_with("Rosa Quilaqueo", "Calle Uno 77", None).await;
    let raised = resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "Two men").await;
    let id = raised["id"].as_str().expect("an id").to_owned();
    let text = |path: &std::path::Path| path.to_str().expect("a path in ASCII").to_owned();
    let stick = cluster.folder().join("stick");
    let (key, keys) = (stick.join("offline.key"), cluster.folder().join("keys.copy"));
    let backup = cluster.folder().join("old.backup");
    let node = &cluster[SAN_MIGUEL];
    let _said = node.cuadra(&["keys", "offline", &text(&stick)]);
    let _said = node.cuadra(&["keys", "copy", &text(&keys)]);
    let _said = node.cuadra(&["backup", &text(&backup)]);
    let folder = node.folder.clone();

    cluster.kill(SAN_MIGUEL).await;
    std::fs::remove_dir_all(&folder).expect("the disk is gone");
    std::fs::create_dir_all(&folder).expect("a new disk");
    let node = &cluster[SAN_MIGUEL];
    let _said = node.cuadra(&["keys", "put-back", &text(&keys), "--key", &text(&key)]);
    let said = node.cuadra(&["restore", &text(&backup), "--key", &text(&key)]);
    assert!(said.contains("as it was on"), "{said}");
    cluster.restart(SAN_MIGUEL).await;
    let ours = cluster[SAN_MIGUEL].operator().await;
    let shown = ours.the(&id).await;
    assert_eq!(shown["reporter"]["name"], "Rosa Quilaqueo", "with the keys, everything is readable again");
    assert_eq!(shown["timeline"][0]["text"], "Two men");
    cluster.in_step(SAN_MIGUEL, SAN_JOAQUIN).await;
}
