//! What one bad node costs the others: nothing that people would notice. How much it costs in time is
//! measured by `cargo dev blast`; here it must only stay a matter of time.

use std::path::Path;

use tests::blast::{Attack, MEMORY_MIB_MAX, Scene};

/// Alerts raised while an attack goes on.
const ALERTS: usize = 12;

async fn survives(attack: Attack) {
    let mut scene = Scene::set(Path::new(env!("CARGO_BIN_EXE_dev"))).await;
    let quiet = scene.alerts(ALERTS).await;
    let running = scene.begin(attack).await;
    let attacked = scene.alerts(ALERTS).await;
    running.end().await;
    // And afterwards as before.
    let after = scene.alerts(3).await;
    assert_eq!((quiet.len(), attacked.len(), after.len()), (ALERTS, ALERTS, 3), "{attack:?}");
    let memory = scene.memory_mib();
    println!("{attack:?}: {memory} MiB at most");
    assert!(memory < MEMORY_MIB_MAX, "{attack:?}: {memory} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_floods_on_every_lane_keeps_no_alert_from_the_desk_next_door() {
    survives(Attack::Flood).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stands_still_keeps_no_alert_from_the_others() {
    survives(Attack::Stuck).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_never_reads_keeps_no_alert_from_the_others() {
    survives(Attack::Deaf).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_over_which_the_program_panics_costs_its_sender_and_nobody_else() {
    survives(Attack::Panic).await;
}
