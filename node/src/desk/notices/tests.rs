//! Mass messages on real files: the two people, the areas, the ends, and who is told.

use protocol::fixture::{Federation, Scribe, code};
use protocol::ids::{Code, DocId, Millis, Nonce};
use protocol::kind::Urgency;
use protocol::operation::{Notice, NoticeMode, Operation};

use super::{NewNotice, NewWords};
use crate::desk::tests::*;
use crate::desk::*;
use crate::store::limits::{NOTICE_DRAFTS_MAX, NOTICE_HOURS_MAX};
use crate::store::{Arrival, Event, NoticeWords, Queue, Tx, What};
use crate::views::NoticeView;

const COUNTRY: Code = Code { country: *b"CL", number: 0 };
const HOUR_MS: u64 = 60 * 60 * 1_000;

fn words(headline: &str) -> Vec<NoticeWords> {
    let text = "Junte agua para hoy".to_owned();
    vec![NoticeWords { lang: "es".into(), headline: headline.into(), text }]
}

fn about(code: Code, headline: &str) -> NewNotice {
    let (mode, urgency) = (NoticeMode::Live, Urgency::High);
    NewNotice { mode, code, urgency, hours: 6, words: words(headline) }
}

/// A node with two people at its desk.
async fn desk(federation: &Federation, n: usize) -> (Node, Viewer, Viewer) {
    let node = node(federation, n);
    let (ana, luis) = (node.operator("Ana").await, node.operator("Luis").await);
    (node, ana, luis)
}

/// Drafted by the first and sent by the second.
async fn sent(node: &Node, (ana, luis): (Viewer, Viewer), notice: NewNotice) -> NoticeView {
    let mode = notice.mode;
    let draft = node.desk.draft_notice(ana, notice).await.unwrap();
    node.desk.approve_notice(luis, draft.number, mode).await.unwrap()
}

/// As replication does: everything of the document, its words too.
async fn send_all(from: &Node, doc: DocId, to: &Node) {
    from.send(doc, to).await;
    let store = from.desk.store();
    let document = store.read_here(|r| r.document(doc)).unwrap().unwrap();
    for named in document.envelopes().flat_map(|e| e.header().blobs.clone()) {
        let blob = store.read_here(|r| r.blob(&named.id)).unwrap().unwrap();
        let staged = to.desk.store().stage(blob.salt, blob.content).await.unwrap();
        let keep = move |tx: &mut Tx<'_>| tx.keep_blob(&staged, Some(doc));
        to.desk.store().write(Queue::Normal, keep).await.unwrap();
    }
}

async fn headlines(node: &Node, viewer: Viewer) -> Vec<String> {
    let told = node.desk.active_notices(viewer).await.unwrap();
    told.into_iter().flat_map(|notice| notice.words).map(|words| words.headline).collect()
}

#[tokio::test]
async fn a_national_notice_of_two_people_reaches_neighbours_below() {
    let federation = Federation::new(2);
    let (national, ana, luis) = desk(&federation, 3).await;
    let town = node(&federation, 0);
    let rosa = town.resident("Rosa", Some(inside(0))).await;
    let draft = national.desk.draft_notice(ana, about(COUNTRY, "Alerta de tsunami")).await.unwrap();
    assert!(draft.yours && draft.reach.households == 0, "no figures have come: {draft:?}");
    assert_eq!(draft.reach.unknown.len(), 2);
    assert_eq!(national.desk.notices(Viewer::Nobody).await.unwrap().active, [], "it reaches nobody yet");

    let alone = national.desk.approve_notice(ana, draft.number, NoticeMode::Live).await;
    assert!(matches!(alone, Err(ActError::SecondPerson)), "{alone:?}");
    let seen = national.desk.notice_draft(luis, draft.number).await.unwrap();
    assert!(!seen.yours && seen.drafted_by.as_deref() == Some("Ana"));
    let told = national.desk.approve_notice(luis, draft.number, NoticeMode::Live).await.unwrap();
    assert_eq!((told.drafted_by.as_deref(), told.approved_by.as_deref()), (Some("Ana"), Some("Luis")));
    let twice = national.desk.approve_notice(luis, draft.number, NoticeMode::Live).await;
    assert!(matches!(twice, Err(ActError::NotFound)), "once: {twice:?}");

    let doc = doc_of(&told.id);
    send_all(&national, doc, &town).await;
    assert_eq!(headlines(&town, rosa).await, ["Alerta de tsunami"]);
    let event = Event { number: 1, what: What::Notice, doc: Some(doc), kind: None };
    assert!(town.desk.reach(&event).await.unwrap().includes(rosa));
    let shown = town.desk.notice(rosa, doc).await.unwrap();
    assert_eq!((shown.node.as_str(), shown.drafted_by), ("node 3", None), "who wrote it stays there");
    let turno = town.operator("Turno").await;
    let change = town.desk.draft_cancel(turno, doc, words("Es falso")).await;
    assert!(matches!(change, Err(ActError::NotForYou)), "it is the national node's: {change:?}");
    let operator = luis.person().unwrap();
    let audit = national.desk.store().read_here(|r| r.audit_of(operator, 9)).unwrap();
    let entry = audit.into_iter().filter_map(|row| row.entry).find(|entry| entry.what == "notice open");
    assert_eq!(entry.unwrap().why, format!("draft 1 of operator {}", ana.person().unwrap().0));
}

#[tokio::test]
async fn a_node_speaks_for_its_own_areas_and_no_other() {
    let federation = Federation::new(2);
    for (n, may) in [(0, vec![code(0)]), (2, vec![code(0), code(1)]), (3, vec![COUNTRY, code(0), code(1)])] {
        let (node, ana, _) = desk(&federation, n).await;
        assert_eq!(node.desk.areas(), may, "member {n}");
        for area in [COUNTRY, code(0), code(1), code(7)] {
            let drafted = node.desk.draft_notice(ana, about(area, "Corte de agua")).await;
            match may.contains(&area) {
                true => assert!(drafted.is_ok(), "member {n}, {area}: {drafted:?}"),
                false => assert!(matches!(drafted, Err(ActError::Field("code"))), "member {n}, {area}"),
            }
        }
    }
}

#[tokio::test]
async fn a_draft_wants_an_operator_an_end_and_words_that_fit() {
    let federation = Federation::new(2);
    let (town, ana, luis) = desk(&federation, 0).await;
    let rosa = town.resident("Rosa", None).await;
    let refused = town.desk.draft_notice(rosa, about(code(0), "Fiesta")).await;
    assert!(matches!(refused, Err(ActError::NotForYou)), "{refused:?}");
    let check = async |notice: NewNotice, field: &str| {
        let refused = town.desk.draft_notice(ana, notice).await;
        assert!(matches!(&refused, Err(ActError::Field(name)) if *name == field), "{field}: {refused:?}");
    };
    let with = |headline: &str| about(code(0), headline);
    check(NewNotice { hours: 0, ..with("Corte") }, "hours").await;
    check(NewNotice { hours: NOTICE_HOURS_MAX + 1, ..with("Corte") }, "hours").await;
    check(NewNotice { words: Vec::new(), ..with("") }, "headline").await;
    check(with(" "), "headline").await;
    check(with("Dos\nlíneas"), "headline").await;
    check(with(&"ñ".repeat(91)), "headline").await;
    let mut long = with("Corte");
    long.words[0].text = "ñ".repeat(1_001);
    check(long, "text").await;
    let draft = town.desk.draft_notice(ana, with(&"ñ".repeat(90))).await.unwrap();
    assert_eq!(draft.reach.households, 1, "Rosa's");
    for what in [NoticeMode::Drill, NoticeMode::Live] {
        let by_resident = town.desk.approve_notice(rosa, draft.number, what).await;
        assert!(matches!(by_resident, Err(ActError::NotForYou)), "{by_resident:?}");
    }
    for _ in 1..NOTICE_DRAFTS_MAX {
        town.desk.draft_notice(ana, with("Corte")).await.unwrap();
    }
    let full = town.desk.draft_notice(luis, with("Corte")).await;
    assert!(matches!(full, Err(ActError::NotNow)), "{full:?}");
    town.desk.discard_notice(luis, draft.number).await.unwrap();
    let gone = town.desk.discard_notice(luis, draft.number).await;
    assert!(matches!(gone, Err(ActError::NotFound)), "{gone:?}");
    town.desk.draft_notice(luis, with("Corte")).await.unwrap();
}

#[tokio::test]
async fn a_drill_is_sent_as_a_drill_and_never_becomes_real() {
    let federation = Federation::new(2);
    let (town, ana, luis) = desk(&federation, 0).await;
    let drill = NewNotice { mode: NoticeMode::Drill, ..about(code(0), "Evacuación") };
    let draft = town.desk.draft_notice(ana, drill).await.unwrap();
    let as_real = town.desk.approve_notice(luis, draft.number, NoticeMode::Live).await;
    assert!(matches!(as_real, Err(ActError::Field("mode"))), "{as_real:?}");
    let told = town.desk.approve_notice(luis, draft.number, NoticeMode::Drill).await.unwrap();
    assert!(told.drill);
    let change = NewWords { urgency: Urgency::High, hours: 1, words: words("Terminó el ejercicio") };
    let draft = town.desk.draft_update(luis, doc_of(&told.id), change).await.unwrap();
    assert!(draft.drill);
    let told = town.desk.approve_notice(ana, draft.number, NoticeMode::Drill).await.unwrap();
    assert!(told.drill && told.changed);
}

#[tokio::test]
async fn correcting_and_taking_back_want_two_people_too_and_neighbours_learn_why() {
    let federation = Federation::new(2);
    let (town, ana, luis) = desk(&federation, 0).await;
    let rosa = town.resident("Rosa", None).await;
    let told = sent(&town, (ana, luis), about(code(0), "Corte de agua")).await;
    let doc = doc_of(&told.id);
    let change = NewWords { urgency: Urgency::Low, hours: 12, words: words("Corte hasta las 18") };
    let draft = town.desk.draft_update(luis, doc, change).await.unwrap();
    assert_eq!(headlines(&town, rosa).await, ["Corte de agua"], "a draft changes nothing");
    let alone = town.desk.approve_notice(luis, draft.number, NoticeMode::Live).await;
    assert!(matches!(alone, Err(ActError::SecondPerson)), "{alone:?}");
    let changed = town.desk.approve_notice(ana, draft.number, NoticeMode::Live).await.unwrap();
    assert!(changed.expires_ms > told.expires_ms && changed.urgency == "low");
    assert_eq!(headlines(&town, rosa).await, ["Corte hasta las 18"]);

    let draft = town.desk.draft_cancel(ana, doc, words("El agua volvió")).await.unwrap();
    let late = town.desk.draft_cancel(luis, doc, words("Ya está")).await.unwrap();
    let alone = town.desk.approve_notice(ana, draft.number, NoticeMode::Live).await;
    assert!(matches!(alone, Err(ActError::SecondPerson)), "{alone:?}");
    town.desk.approve_notice(luis, draft.number, NoticeMode::Live).await.unwrap();
    let shown = town.desk.notice(rosa, doc).await.unwrap();
    assert!(shown.cancelled && !shown.active);
    assert_eq!(shown.cancel_words[0].headline, "El agua volvió");
    let again = town.desk.approve_notice(ana, late.number, NoticeMode::Live).await;
    assert!(matches!(again, Err(ActError::NotNow)), "it is taken back: {again:?}");
    let again = town.desk.draft_cancel(ana, doc, words("Otra vez")).await;
    assert!(matches!(again, Err(ActError::NotNow)), "{again:?}");
    let store = town.desk.store();
    let before = store.dump_derived().await.unwrap();
    store.rebuild().await.unwrap();
    assert_eq!(store.dump_derived().await.unwrap(), before);
}

#[tokio::test]
async fn one_of_two_who_send_at_once_sends_and_a_notice_ends_by_itself() {
    let federation = Federation::new(2);
    let (town, ana, luis) = desk(&federation, 0).await;
    let (eva, rosa) = (town.operator("Eva").await, town.resident("Rosa", None).await);
    let draft = town.desk.draft_notice(ana, about(code(0), "Corte de agua")).await.unwrap().number;
    let (one, other) = tokio::join!(
        town.desk.approve_notice(luis, draft, NoticeMode::Live),
        town.desk.approve_notice(eva, draft, NoticeMode::Live)
    );
    assert_eq!([&one, &other].iter().filter(|sent| sent.is_ok()).count(), 1, "{one:?} {other:?}");
    assert_eq!(headlines(&town, rosa).await.len(), 1);
    let doc = doc_of(&one.or(other).unwrap().id);
    town.clock.fetch_add(6 * HOUR_MS, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(headlines(&town, rosa).await, [""; 0]);
    let over = town.desk.notice(rosa, doc).await;
    assert!(matches!(over, Err(ActError::NotFound)), "{over:?}");
    assert_eq!(town.desk.notices(ana).await.unwrap().over.len(), 1);
    let late = town.desk.draft_cancel(ana, doc, words("Ya")).await;
    assert!(matches!(late, Err(ActError::NotNow)), "{late:?}");
}

/// A notice of a member as it could be made by hand.
fn by_hand(
    federation: &Federation,
    n: usize,
    cells: Vec<protocol::ids::Cell>,
) -> protocol::envelope::AdmittedEnvelope {
    let notice = Notice {
        urgency: Urgency::Emergency,
        code: code(0),
        nonce: Nonce([4; 32]),
        mode: NoticeMode::Live,
        opened: Millis(START),
        expires: Millis(START + 10 * HOUR_MS),
        cells,
    };
    Scribe::new(federation).write(n, Operation::NoticeOpen(notice)).unwrap()
}

async fn take_in(
    node: &Node,
    federation: &Federation,
    envelope: protocol::envelope::AdmittedEnvelope,
) -> DocId {
    let doc = envelope.header().doc;
    let how = Arrival { from: federation.id(3), age: Millis(5) };
    node.desk.store().write(Queue::Normal, move |tx| tx.take_in(&envelope, how)).await.unwrap();
    doc
}

#[tokio::test]
async fn what_an_expelled_node_backdates_is_told_to_no_neighbour() {
    let mut federation = Federation::new(2);
    let forged = by_hand(&federation, 2, Vec::new());
    let (town, ana, _) = desk(&federation, 0).await;
    let rosa = town.resident("Rosa", None).await;
    federation.revoke(2);
    town.desk.store().set_rosters(federation.rosters.clone()).await.unwrap();
    let doc = take_in(&town, &federation, forged).await;
    assert_eq!(town.desk.active_notices(rosa).await.unwrap(), [], "no neighbour is told");
    assert!(matches!(town.desk.notice(rosa, doc).await, Err(ActError::NotFound)));
    assert!(!town.desk.notice(ana, doc).await.unwrap().confirmed, "the desk sees it, and what it is");
}

#[tokio::test]
async fn a_notice_for_some_cells_is_for_who_lives_there_and_for_who_may() {
    let federation = Federation::new(2);
    let town = node(&federation, 0);
    let at_home = town.resident("Rosa", Some(inside(0))).await;
    let elsewhere = town.resident("Hugo", Some(inside(1))).await;
    let unknown = town.resident("Ana", None).await;
    let cell = config::cells::cell_of(inside(0), 100_000, 10.0);
    take_in(&town, &federation, by_hand(&federation, 2, vec![cell])).await;
    for (viewer, told) in [(at_home, 1), (elsewhere, 0), (unknown, 1), (Viewer::Nobody, 1)] {
        assert_eq!(town.desk.active_notices(viewer).await.unwrap().len(), told, "{viewer:?}");
    }
}
