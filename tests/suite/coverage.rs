//! The coverage table of the precinct: the real formulae, from nothing but the towns' summaries.

use serde_json::{Value, json};
use tests::cluster::places::{MIDDLE_OF_SAN_MIGUEL, NATIONAL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Town, wait_for};

/// The row of a town in the table of the node above it.
fn row(table: &Value, town: Town) -> Option<Value> {
    let rows = table["rows"].as_array()?;
    rows.iter().find(|row| row["code"] == town.code.unwrap_or_default()).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_above_follows_every_household_and_report_below() {
    let plan = Cluster::laid_out(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT, NATIONAL]);
    plan.cut(SAN_MIGUEL, NATIONAL);
    let cluster = plan.run().await;
    let mut people = Vec::new();
    for number in 0..3 {
        people.push(cluster[SAN_MIGUEL].resident(&format!("Vecina {number}")).await);
    }
    // Two people of one address are one household.
    cluster[SAN_MIGUEL].resident_with("Hija", "Calle de Vecina 0 100", None).await;
    cluster[SAN_JOAQUIN].resident("Pedro").await;
    for person in people.iter().take(2) {
        person.raise("noise", MIDDLE_OF_SAN_MIGUEL, "Loud").await;
    }

    for above in [PRECINCT, NATIONAL] {
        let public = cluster[above].stranger();
        let table = wait_for("the figures of both towns", async || {
            let table = public.get("/api/v1/coverage").await.expect(200);
            let (here, there) = (row(&table, SAN_MIGUEL)?, row(&table, SAN_JOAQUIN)?);
            let whole = here["registered_addresses"] == 3 && here["reports"] == 2;
            (whole && there["registered_addresses"] == 1).then_some(table)
        })
        .await;
        let expected = json!({
            "population": 107_954, "target": 10_796, "missing": 10_793, "compliance_percent": 0.0,
            "registered_addresses": 3, "reports": 2,
        });
        let here = row(&table, SAN_MIGUEL).expect("waited for above");
        for (field, value) in expected.as_object().expect("an object") {
            assert_eq!(&here[field], value, "{field} of {here}");
        }
        let totals = &table["totals"];
        // The sum of the targets, not the target of the sum.
        assert_eq!(totals["target"], 10_796 + 9_450);
        assert_eq!(totals["population"], 107_954 + 94_492);
        assert_eq!((&totals["registered_addresses"], &totals["reports"]), (&json!(4), &json!(2)));
    }

    cluster[SAN_JOAQUIN].resident("Juana").await;
    let public = cluster[PRECINCT].stranger();
    wait_for("one more household in the table", async || {
        let table = public.get("/api/v1/coverage").await.expect(200);
        (row(&table, SAN_JOAQUIN)?["registered_addresses"] == 2).then_some(())
    })
    .await;
}
