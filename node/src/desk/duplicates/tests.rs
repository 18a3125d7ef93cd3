//! Merging on real files: who may, what is hidden when, what reporters go on seeing.

use protocol::fixture::Federation;
use protocol::operation::{ContributionKind, Outcome, Step};

use super::*;
use crate::desk::tests::*;
use crate::desk::{Fix, NewAlert, Solved};
use crate::store::IncidentQuery;

async fn raise(town: &Node, who: Viewer, secret: u8, kind: &str) -> DocId {
    let fix = Some(Fix { point: inside(0), accuracy_m: Some(10) });
    let alert = NewAlert { kind: Kind::by_name(kind).unwrap(), fix, ..sos(secret, None) };
    doc_of(&town.desk.raise_alert(who, alert).await.unwrap().id)
}

async fn listed(town: &Node, who: Viewer, which: IncidentQuery) -> Vec<DocId> {
    let rows = town.desk.queue(who, which).await.unwrap();
    rows.iter().map(|row| doc_of(&row.id)).collect()
}

#[tokio::test]
async fn two_of_ours_are_merged_with_one_act_and_each_reporter_sees_the_steps() {
    let federation = Federation::new(2);
    let town = node(&federation, 0);
    let ana = town.operator("Ana").await;
    let (rosa, luis) =
        (town.resident("Rosa", Some(inside(0))).await, town.resident("Luis", Some(inside(0))).await);
    let (kept, again) = (raise(&town, rosa, 1, "robbery").await, raise(&town, luis, 2, "robbery").await);
    let suggested = town.show(ana, again).await.duplicates.suggested;
    assert_eq!(suggested.iter().map(|other| &other.id).collect::<Vec<_>>(), [&kept.to_string()]);

    let merged = town.desk.link(ana, again, kept).await.unwrap();
    assert_eq!(merged.merged.as_ref().and_then(|kept| kept.id.clone()), Some(kept.to_string()));
    assert!(merged.duplicates.links[0].absorbed && !merged.incident.ringing);
    assert_eq!(listed(&town, ana, IncidentQuery::All).await, [kept]);
    assert_eq!(town.desk.near(rosa).await.unwrap().len(), 1);
    assert!(town.show(ana, kept).await.duplicates.here[0].absorbed);
    let twice = town.desk.link(ana, again, kept).await.unwrap();
    assert_eq!(twice.heads, merged.heads);

    town.desk.step(ana, kept, Step::OnTheWay).await.unwrap();
    let mine = town.show(luis, again).await;
    assert_eq!(mine.incident.status, "on_the_way");
    assert!(mine.steps.iter().any(|step| step.step == "on_the_way" && step.at_ms.is_some()));
    assert!(mine.timeline.iter().any(|line| line.detail.as_deref() == Some("on_the_way")));
    let opened =
        |shown: &IncidentDetailView| shown.timeline.iter().filter(|line| line.what == "open").count();
    assert_eq!(opened(&mine), 1, "never what the other one told");

    // What the reporter adds is seen where the desk looks.
    town.desk.contribute(luis, again, ContributionKind::Information, "he fled north").await.unwrap();
    let seen = town.show(ana, kept).await;
    assert!(seen.timeline.iter().any(|line| line.text.as_deref() == Some("he fled north")));
    town.desk.close(ana, kept, Outcome::Arrest).await.unwrap();
    assert_eq!(town.show(luis, again).await.incident.status, "closed");
    let answered = town.desk.answer_solved(luis, again, Solved::No).await.unwrap();
    assert_eq!(answered.incident.status, "on_the_way", "a no opens the one that stays again");
    assert!(town.show(ana, kept).await.incident.outcome.is_none());
}

#[tokio::test]
async fn unmerging_gives_each_back_its_own_place_in_the_queue() {
    let federation = Federation::new(2);
    let town = node(&federation, 0);
    let (ana, rosa) = (town.operator("Ana").await, town.resident("Rosa", None).await);
    let (kept, again) = (raise(&town, rosa, 1, "fire").await, raise(&town, rosa, 2, "fire").await);
    town.desk.link(ana, again, kept).await.unwrap();
    town.desk.step(ana, kept, Step::OnSite).await.unwrap();
    let apart = town.desk.unlink(ana, again, kept).await.unwrap();
    assert!(apart.merged.is_none());
    assert_eq!(listed(&town, ana, IncidentQuery::Open).await.len(), 2);
    assert_eq!(town.show(rosa, again).await.incident.status, "open");
    let nothing = town.desk.unlink(ana, again, kept).await.unwrap();
    assert_eq!(nothing.heads, apart.heads);
}

#[tokio::test]
async fn a_duplicate_of_anothers_is_hidden_only_once_that_node_took_it_in() {
    let federation = Federation::new(2);
    let (town, next) = (node(&federation, 0), node(&federation, 1));
    let (ana, beto) = (town.operator("Ana").await, next.operator("Beto").await);
    let theirs = doc_of(&next.desk.raise_alert(Viewer::Nobody, sos(1, Some(inside(1)))).await.unwrap().id);
    next.desk.invite_node(beto, theirs, federation.id(0)).await.unwrap();
    next.send(theirs, &town).await;
    let ours = raise(&town, Viewer::Nobody, 2, "sos").await;

    let linked = town.desk.link(ana, ours, theirs).await.unwrap();
    assert!(linked.merged.is_none() && !linked.duplicates.links[0].absorbed);
    assert!(
        linked.involved.iter().any(|node| node.id == federation.id(1).to_string()),
        "its owner is brought in"
    );
    assert_eq!(listed(&town, ana, IncidentQuery::Open).await.len(), 2, "a link alone hides nothing");
    let refused = town.desk.absorb(ana, theirs, ours).await;
    assert!(matches!(refused, Err(ActError::NotNow)), "only its owner takes in: {refused:?}");

    town.send(ours, &next).await;
    let asked = next.show(beto, theirs).await.duplicates.here;
    assert!(asked[0].may && !asked[0].absorbed, "{asked:?}");
    next.desk.absorb(beto, theirs, ours).await.unwrap();
    assert_eq!(listed(&next, beto, IncidentQuery::All).await, [theirs]);
    next.send(theirs, &town).await;
    assert_eq!(listed(&town, ana, IncidentQuery::All).await, [theirs]);

    // It ends with the one that stays, at its own owner's, without anybody's hand.
    next.desk.close(beto, theirs, Outcome::FalseAlarm).await.unwrap();
    next.send(theirs, &town).await;
    assert_eq!(town.desk.close_merged().await.unwrap(), 1);
    assert_eq!(town.show(ana, ours).await.incident.outcome.as_deref(), Some("false_alarm"));
    assert_eq!(town.desk.close_merged().await.unwrap(), 0);
    for node in [&town, &next] {
        let store = node.desk.store();
        let before = store.dump_derived().await.unwrap();
        store.rebuild().await.unwrap();
        assert_eq!(store.dump_derived().await.unwrap(), before);
    }
}

#[tokio::test]
async fn of_a_circle_the_smallest_stays_visible_and_a_chain_ends_at_the_last() {
    let federation = Federation::new(2);
    let town = node(&federation, 0);
    let ana = town.operator("Ana").await;
    let mut docs = Vec::new();
    for secret in 1..=4 {
        docs.push(raise(&town, Viewer::Nobody, secret, "sos").await);
    }
    docs.sort_unstable();
    let [a, b, c, d] = docs[..] else { panic!("four") };
    // The desk follows links to their end, so it makes no circle; two nodes at once can.
    let merge = async |doc: DocId, target: DocId| {
        let by = protocol::fixture::somebody(1);
        let draft = |operation| protocol::author::Draft {
            operation,
            blobs: Vec::new(),
            answers: Vec::new(),
            written_at: Millis(START),
        };
        let (link, absorb) =
            (draft(Operation::Link { target, by }), draft(Operation::Absorb { document: doc, by }));
        let both = move |tx: &mut Tx<'_>| {
            tx.append(Some(doc), &link, None)?;
            tx.append(Some(target), &absorb, None).map(|_| ())
        };
        town.desk.store().write(crate::store::Queue::Bulk, both).await.unwrap();
    };
    merge(a, b).await;
    merge(b, c).await;
    assert_eq!(listed(&town, ana, IncidentQuery::Open).await.len(), 2);
    let kept = |doc| town.desk.store().read_here(move |r| r.merged_into(doc)).unwrap();
    assert_eq!((kept(a), kept(b), kept(c)), (Some(c), Some(c), None));
    merge(d, a).await;
    merge(c, a).await;
    assert_eq!((kept(a), kept(b), kept(c), kept(d)), (None, Some(a), Some(a), Some(a)));
    assert_eq!(listed(&town, ana, IncidentQuery::Open).await, [a]);
}

#[tokio::test]
async fn a_chain_that_is_too_long_is_shown_rather_than_lost() {
    let federation = Federation::new(2);
    let town = node(&federation, 0);
    let ana = town.operator("Ana").await;
    let mut docs = Vec::new();
    for secret in 0..=u8::try_from(crate::store::limits::MERGES_DEPTH_MAX).unwrap() + 1 {
        docs.push(raise(&town, Viewer::Nobody, secret, "sos").await);
    }
    // From the end backwards, so that each is named while it is still visible.
    for pair in docs.windows(2).rev() {
        let [doc, target] = *pair else { panic!("two") };
        let draft = |operation| protocol::author::Draft {
            operation,
            blobs: Vec::new(),
            answers: Vec::new(),
            written_at: Millis(START),
        };
        let by = protocol::fixture::somebody(1);
        let (link, absorb) =
            (draft(Operation::Link { target, by }), draft(Operation::Absorb { document: doc, by }));
        let both = move |tx: &mut Tx<'_>| {
            tx.append(Some(doc), &link, None)?;
            tx.append(Some(target), &absorb, None).map(|_| ())
        };
        town.desk.store().write(crate::store::Queue::Bulk, both).await.unwrap();
    }
    let (first, last) = (docs[0], *docs.last().unwrap());
    let shown = listed(&town, ana, IncidentQuery::Open).await;
    assert!(shown.contains(&first) && shown.contains(&last) && shown.len() < 5, "{}", shown.len());
    assert_eq!(town.desk.store().read_here(move |r| r.merged_into(first)).unwrap(), None);
}

#[tokio::test]
async fn what_is_far_late_or_of_another_sort_is_not_suggested_and_the_same_alert_always_is() {
    let federation = Federation::new(2);
    let (town, next) = (node(&federation, 0), node(&federation, 1));
    let ana = town.operator("Ana").await;
    let first = raise(&town, Viewer::Nobody, 1, "sos").await;
    let lamp = town.resident("Rosa", None).await;
    raise(&town, lamp, 2, "street_light").await;
    // The same alert, sent to another node too.
    let twin = doc_of(&next.desk.raise_alert(Viewer::Nobody, sos(1, Some(inside(0)))).await.unwrap().id);
    next.send(twin, &town).await;
    let suggested = town.show(ana, first).await.duplicates.suggested;
    assert_eq!(suggested.len(), 1, "{suggested:?}");
    assert!(suggested[0].same_alert && suggested[0].id == twin.to_string());
    town.clock.fetch_add(DUPLICATES_APART_MS + 60_000, std::sync::atomic::Ordering::SeqCst);
    let late = raise(&town, Viewer::Nobody, 3, "sos").await;
    assert!(town.show(ana, late).await.duplicates.suggested.is_empty());
    for secret in 10..10 + u8::try_from(DUPLICATES_OFFERED_MAX).unwrap() + 2 {
        raise(&town, Viewer::Nobody, secret, "sos").await;
    }
    assert_eq!(town.show(ana, late).await.duplicates.suggested.len(), DUPLICATES_OFFERED_MAX);
}

#[tokio::test]
async fn nobody_merges_what_is_not_theirs_unknown_or_itself() {
    let federation = Federation::new(2);
    let (town, next) = (node(&federation, 0), node(&federation, 1));
    let (ana, rosa) = (town.operator("Ana").await, town.resident("Rosa", None).await);
    let doc = raise(&town, rosa, 1, "robbery").await;
    let theirs = doc_of(&next.desk.raise_alert(Viewer::Nobody, sos(5, Some(inside(0)))).await.unwrap().id);
    next.send(theirs, &town).await;
    for target in [doc, DocId([9; 32])] {
        let refused = town.desk.link(ana, doc, target).await;
        assert!(matches!(refused, Err(ActError::Field("target"))), "{refused:?}");
    }
    let theirs_first = town.desk.link(ana, theirs, doc).await;
    assert!(matches!(theirs_first, Err(ActError::NotNow)), "{theirs_first:?}");
    let by_rosa = town.desk.link(rosa, doc, theirs).await;
    assert!(matches!(by_rosa, Err(ActError::NotForYou)), "{by_rosa:?}");
    let unlinked = town.desk.absorb(ana, doc, theirs).await;
    assert!(matches!(unlinked, Err(ActError::NotNow)), "{unlinked:?}");
    let named = town.desk.by_short(ana, &short(theirs).to_lowercase()).await.unwrap();
    assert_eq!(named, theirs);
    let unknown = town.desk.by_short(ana, "????").await;
    assert!(matches!(unknown, Err(ActError::Field("target"))), "{unknown:?}");
}
