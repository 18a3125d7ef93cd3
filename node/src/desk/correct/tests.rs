//! Corrections on real files: what changes, what is kept from whom, who may not.

use protocol::fixture::Federation;

use super::*;
use crate::desk::tests::*;
use crate::desk::{Fix, NewAlert};

fn kind(name: &str) -> &'static Kind {
    Kind::by_name(name).unwrap()
}

fn report(name: &str, secret: u8, point: Point) -> NewAlert {
    NewAlert { kind: kind(name), fix: Some(Fix { point, accuracy_m: Some(5) }), ..sos(secret, None) }
}

#[tokio::test]
async fn a_corrected_kind_brings_its_own_urgency_and_the_same_again_writes_nothing() {
    let federation = Federation::new(2);
    let town = node(&federation, 0);
    let (ana, rosa) = (town.operator("Ana").await, town.resident("Rosa", Some(inside(0))).await);
    let doc = doc_of(&town.desk.raise_alert(rosa, report("noise", 1, inside(0))).await.unwrap().id);
    let shown = town.desk.reclassify(ana, doc, kind("shots"), None).await.unwrap();
    assert_eq!((shown.incident.kind.as_str(), shown.incident.urgency.as_str()), ("shots", "emergency"));
    assert!(shown.incident.point_exact, "responders keep the exact place");
    let again = town.desk.reclassify(ana, doc, kind("shots"), Some(Urgency::Emergency)).await.unwrap();
    assert_eq!(again.heads, shown.heads);
    let refused = town.desk.reclassify(rosa, doc, kind("noise"), None).await;
    assert!(matches!(refused, Err(ActError::NotForYou)), "{refused:?}");
    assert_eq!(town.show(rosa, doc).await.incident.kind, "shots");
}

#[tokio::test]
async fn a_street_lamp_that_turns_out_to_be_somebody_in_need_stops_sharing_its_exact_point() {
    let federation = Federation::new(2);
    let (town, above) = (node(&federation, 0), node(&federation, federation.precinct()));
    let (ana, rosa) = (town.operator("Ana").await, town.resident("Rosa", Some(inside(0))).await);
    let doc = doc_of(&town.desk.raise_alert(rosa, report("street_light", 1, inside(0))).await.unwrap().id);
    let row = |node: &Node| node.desk.store().read_here(|r| r.incident(doc)).unwrap().unwrap();
    town.send(doc, &above).await;
    assert!(row(&above).exact);
    let shown = town.desk.reclassify(ana, doc, kind("domestic_violence"), None).await.unwrap();
    assert!(shown.incident.point_exact, "its own responders still know where");
    town.send(doc, &above).await;
    assert!(!row(&above).exact && row(&above).cell == row(&town).cell);
}

#[tokio::test]
async fn a_moved_incident_is_where_it_was_moved_to_for_responders_and_in_that_cell_for_all() {
    let federation = Federation::new(2);
    let (town, next) = (node(&federation, 0), node(&federation, 1));
    let (ana, rosa) = (town.operator("Ana").await, town.resident("Rosa", Some(inside(0))).await);
    let doc = doc_of(&town.desk.raise_alert(rosa, sos(1, Some(inside(0)))).await.unwrap().id);
    let before = town.show(ana, doc).await.incident;
    let there = inside(1);
    let shown = town.desk.relocate(ana, doc, there, " Los Olmos 12 ").await.unwrap();
    let (lat, lon) = there.degrees();
    let point = shown.incident.point.unwrap();
    assert!(shown.incident.point_exact && (point.lat, point.lon) == (lat, lon), "{point:?}");
    assert_ne!((&shown.incident.code, &shown.incident.cell), (&before.code, &before.cell));
    assert!(shown.incident.ours, "another's place is ours until a handoff");
    let line = shown.timeline.last().unwrap();
    assert_eq!((line.what.as_str(), line.text.as_deref()), ("relocate", Some("Los Olmos 12")));
    assert!(
        town.show(rosa, doc).await.timeline.iter().all(|line| line.text.as_deref() != Some("Los Olmos 12"))
    );
    // The other node is near the new place, so it was brought in; it does not have the exact place yet.
    town.send(doc, &next).await;
    let beto = next.operator("Beto").await;
    let seen = next.show(beto, doc).await;
    assert!(!seen.incident.point_exact && seen.incident.cell == shown.incident.cell, "{:?}", seen.incident);

    let long = town.desk.relocate(ana, doc, there, &"x".repeat(FIELD_BYTES_MAX + 1)).await;
    assert!(matches!(long, Err(ActError::Field("address"))), "{long:?}");
    for refused in [
        next.desk.relocate(beto, doc, there, "").await,
        next.desk.reclassify(beto, doc, kind("noise"), None).await,
    ] {
        assert!(matches!(refused, Err(ActError::NotNow)), "{refused:?}");
    }
}

#[tokio::test]
async fn an_involved_node_disputes_with_a_reason_and_both_desks_are_shown_it() {
    let federation = Federation::new(2);
    let (town, next) = (node(&federation, 0), node(&federation, 1));
    let (ana, beto) = (town.operator("Ana").await, next.operator("Beto").await);
    let rosa = town.resident("Rosa", Some(inside(0))).await;
    let doc = doc_of(&town.desk.raise_alert(rosa, sos(1, Some(inside(0)))).await.unwrap().id);
    town.desk.invite_node(ana, doc, federation.id(1)).await.unwrap();
    town.send(doc, &next).await;
    let empty = next.desk.dispute(beto, doc, Disputed::Place, " ").await;
    assert!(matches!(empty, Err(ActError::Field("text"))), "{empty:?}");
    let own = town.desk.dispute(ana, doc, Disputed::Place, "no").await;
    assert!(matches!(own, Err(ActError::NotNow)), "the owner corrects: {own:?}");
    let shown = next.desk.dispute(beto, doc, Disputed::Place, "It is on our side").await.unwrap();
    assert_eq!(shown.disputes[0].text.as_deref(), Some("It is on our side"));
    next.send(doc, &town).await;
    let seen = town.show(ana, doc).await;
    assert_eq!((seen.disputes[0].what.as_str(), seen.disputes[0].node.as_str()), ("place", "node 1"));
    assert!(town.show(rosa, doc).await.disputes.is_empty());
}
