//! Referrals on real files, between a town and a service with its own node.

use protocol::fixture::Federation;
use protocol::operation::ReferralAnswer::{Accepted, Declined, NoAnswer};
use protocol::roster::{Role, Roles};

use super::*;
use crate::desk::tests::*;
use crate::store::IncidentQuery;

/// Two towns; the third member is a fire brigade.
fn with_brigade() -> Federation {
    let mut federation = Federation::new(3);
    let brigade = federation.id(2);
    federation.publish(|body| {
        for member in body.members.iter_mut().filter(|member| member.id == brigade) {
            member.roles = Roles::of(&[Role::Service]);
            member.codes.clear();
        }
    });
    federation
}

#[tokio::test]
async fn a_service_with_a_node_is_brought_in_rings_and_answers_and_the_incident_stays_ours() {
    let federation = with_brigade();
    let (town, brigade) = (node(&federation, 0), node(&federation, 2));
    let (ana, beto) = (town.operator("Ana").await, brigade.operator("Beto").await);
    let doc = doc_of(&town.desk.raise_alert(Viewer::Nobody, sos(1, Some(inside(0)))).await.unwrap().id);
    town.desk.step(ana, doc, protocol::operation::Step::Called).await.unwrap();
    let to = Some(federation.id(2));

    let asked = town.desk.refer(ana, doc, Service::Fire, to).await.unwrap();
    assert_eq!((asked.referrals.len(), asked.referrals[0].state.as_str()), (1, "waiting"));
    assert!(asked.referrals[0].may.is_empty(), "its own desk answers");
    assert!(asked.incident.ours && asked.involved.len() == 2);
    assert_eq!(asked.services.len(), 1, "only services are offered: {:?}", asked.services);
    let again = town.desk.refer(ana, doc, Service::Fire, to).await.unwrap();
    assert_eq!(again.heads, asked.heads, "asking twice is asking once");
    let referral = asked.referrals[0].id.parse().unwrap();
    let ours = town.desk.answer_referral(ana, doc, referral, Accepted).await;
    assert!(matches!(ours, Err(ActError::NotNow)), "{ours:?}");

    town.send(doc, &brigade).await;
    let row = brigade.desk.queue(beto, IncidentQuery::Open).await.unwrap().remove(0);
    assert!(row.referred_to_us && row.ringing && !row.ours, "{row:?}");
    let silent = brigade.desk.answer_referral(beto, doc, referral, NoAnswer).await;
    assert!(matches!(silent, Err(ActError::Field("answer"))), "{silent:?}");
    let unknown = brigade.desk.answer_referral(beto, doc, EnvelopeId([1; 32]), Accepted).await;
    assert!(matches!(unknown, Err(ActError::Field("referral"))), "{unknown:?}");
    let answered = brigade.desk.answer_referral(beto, doc, referral, Accepted).await.unwrap();
    assert!(!answered.incident.ringing && !answered.incident.referred_to_us);
    let again = brigade.desk.answer_referral(beto, doc, referral, Accepted).await.unwrap();
    assert_eq!(again.heads, answered.heads, "the same answer again is no error");
    let other = brigade.desk.answer_referral(beto, doc, referral, Declined).await;
    assert!(matches!(other, Err(ActError::NotNow)), "{other:?}");

    brigade.send(doc, &town).await;
    let seen = town.show(ana, doc).await;
    assert_eq!(seen.referrals[0].state, "accepted");
    assert!(seen.referrals[0].answered_ms.is_some());
    assert!(seen.incident.ours, "an accepted referral hands nothing over");
}

#[tokio::test]
async fn the_answer_of_a_service_without_a_node_is_noted_by_the_owner_and_it_can_be_asked_again() {
    let federation = with_brigade();
    let town = node(&federation, 0);
    let ana = town.operator("Ana").await;
    let doc = doc_of(&town.desk.raise_alert(Viewer::Nobody, sos(1, Some(inside(0)))).await.unwrap().id);
    let asked = town.desk.refer(ana, doc, Service::Ambulance, None).await.unwrap();
    assert_eq!(asked.referrals[0].may, ["accepted", "declined", "no_answer"]);
    let referral = asked.referrals[0].id.parse().unwrap();
    let noted = town.desk.answer_referral(ana, doc, referral, NoAnswer).await.unwrap();
    assert_eq!(noted.referrals[0].state, "no_answer");
    let again = town.desk.refer(ana, doc, Service::Ambulance, None).await.unwrap();
    let states: Vec<&str> = again.referrals.iter().map(|asked| asked.state.as_str()).collect();
    assert_eq!(states, ["no_answer", "waiting"]);
}

#[tokio::test]
async fn only_the_owner_refers_only_to_services_and_only_what_is_open() {
    let federation = with_brigade();
    let (town, next) = (node(&federation, 0), node(&federation, 1));
    let (ana, beto) = (town.operator("Ana").await, next.operator("Beto").await);
    let rosa = town.resident("Rosa", None).await;
    let doc = doc_of(&town.desk.raise_alert(rosa, sos(1, Some(inside(0)))).await.unwrap().id);
    for to in [federation.id(0), federation.id(1), MemberId([9; 32])] {
        let refused = town.desk.refer(ana, doc, Service::Fire, Some(to)).await;
        assert!(matches!(refused, Err(ActError::Field("node"))), "{refused:?}");
    }
    let refused = town.desk.refer(rosa, doc, Service::Fire, None).await;
    assert!(matches!(refused, Err(ActError::NotForYou)), "{refused:?}");
    town.desk.invite_node(ana, doc, federation.id(1)).await.unwrap();
    town.send(doc, &next).await;
    let refused = next.desk.refer(beto, doc, Service::Fire, None).await;
    assert!(matches!(refused, Err(ActError::NotNow)), "{refused:?}");
    town.desk.close(ana, doc, protocol::operation::Outcome::Helped).await.unwrap();
    let refused = town.desk.refer(ana, doc, Service::Fire, None).await;
    assert!(matches!(refused, Err(ActError::NotNow)), "{refused:?}");
    assert!(town.show(rosa, doc).await.referrals.is_empty(), "residents are not told whom the desk asked");
}
