//! Lost nodes on real files: who may take what, what the neighbour answers, and what counts in the end.

use protocol::author::{Draft, Lock, SealError, seal};
use protocol::fixture::{Federation, code, open};
use protocol::fold::Fold;
use protocol::ids::{DocId, Incarnation, MemberId, Millis};
use protocol::kind::Kind;
use protocol::operation::HandoffReason;

use super::{TakeOver, Vouch};
use crate::desk::tests::*;
use crate::desk::*;
use crate::store::limits::TAKEOVERS_PER_REQUEST_MAX;
use crate::store::{Arrival, Queue};
use crate::views::{BatchView, LostNodeView};

/// Two towns, the precinct above them, and the incident of the first that all of them hold.
struct League {
    federation: Federation,
    town: Node,
    next_door: Node,
    precinct: Node,
    marta: Viewer,
    luis: Viewer,
    doc: DocId,
}

impl League {
    async fn new() -> League {
        let federation = Federation::new(2);
        let (town, next_door) = (node(&federation, 0), node(&federation, 1));
        let precinct = node(&federation, 2);
        let rosa = town.resident("Rosa", Some(inside(0))).await;
        let raised = town.desk.raise_alert(rosa, sos(1, Some(inside(0)))).await.unwrap();
        let doc = doc_of(&raised.id);
        town.send(doc, &precinct).await;
        let (marta, luis) = (precinct.operator("Marta").await, next_door.operator("Luis").await);
        League { federation, town, next_door, precinct, marta, luis, doc }
    }

    fn ask(&self, to: MemberId) -> TakeOver {
        TakeOver { node: self.federation.id(0), to, incident: None, why: "no power, told by phone".into() }
    }

    async fn take(&self, to: MemberId) -> Result<BatchView, ActError> {
        self.precinct.desk.take_over(self.marta, self.ask(to)).await
    }

    async fn lost(&self) -> LostNodeView {
        self.precinct.desk.lost_node(self.marta, self.federation.id(0)).await.unwrap()
    }
}

fn fold_at(node: &Node, doc: DocId) -> Fold {
    let document = node.desk.store().read_here(|r| r.document(doc)).unwrap().unwrap();
    Fold::of(&document, &node.desk.store().rosters()).unwrap()
}

/// As the replica asks for it once the accept is here; false if there is nothing to commit.
async fn commit(node: &Node, doc: DocId) -> Result<bool, ActError> {
    match fold_at(node, doc).commits(node.desk.store().member()) {
        Some(commit) => node.desk.auto_commit(doc, commit).await,
        None => Ok(false),
    }
}

#[tokio::test]
async fn a_lost_nodes_incidents_go_to_the_neighbour_that_accepts_and_everybody_agrees() {
    let league = League::new().await;
    let (lost, neighbour) = (league.federation.id(0), league.federation.id(1));
    let listed = league.precinct.desk.lost_nodes(league.marta).await.unwrap().lost;
    assert_eq!(listed.len(), 3, "both towns, and the country, above which nobody is: {listed:?}");
    let view = league.lost().await;
    assert_eq!((view.why.as_str(), view.open, view.unoffered), ("silent", 1, 1));
    let targets: Vec<_> = view.targets.iter().map(|target| target.state.as_str()).collect();
    assert_eq!(targets.iter().filter(|state| **state == "here").count(), 1);
    assert_eq!(view.incidents.len(), 1);

    assert_eq!(league.take(neighbour).await.unwrap(), BatchView { done: 1, refused: 0, left: 0 });
    let view = league.lost().await;
    assert_eq!((view.unoffered, view.waiting[0].count, view.accepted), (0, 1, 0));
    assert_eq!(league.take(neighbour).await.unwrap().done, 0, "it is offered already");

    league.precinct.send(league.doc, &league.next_door).await;
    let desk = &league.next_door.desk;
    let offered = desk.lost_nodes(league.luis).await.unwrap().offered;
    assert_eq!((offered[0].id.as_str(), offered[0].count), (lost.to_string().as_str(), 1));
    let shown = league.next_door.show(league.luis, league.doc).await;
    assert!(shown.incident.offered_to_us && shown.may.contains(&"accept".to_owned()), "{shown:?}");
    assert!(!shown.incident.ours, "an offer changes nothing yet");
    assert_eq!(desk.answer_takeovers(league.luis, lost, None).await.unwrap().done, 1);
    let again = desk.answer_takeovers(league.luis, lost, None).await;
    assert!(matches!(again, Err(ActError::NotNow)), "{again:?}");

    league.next_door.send(league.doc, &league.precinct).await;
    assert_eq!(league.lost().await.accepted, 1);
    assert!(commit(&league.precinct, league.doc).await.unwrap());
    assert!(!commit(&league.precinct, league.doc).await.unwrap(), "once");
    league.precinct.send(league.doc, &league.next_door).await;
    league.precinct.send(league.doc, &league.town).await;
    for node in [&league.town, &league.next_door, &league.precinct] {
        assert_eq!(fold_at(node, league.doc).owner, neighbour, "one owner, and the same everywhere");
    }
    assert_eq!(league.lost().await.open, 0);
    league.next_door.desk.claim(league.luis, league.doc).await.unwrap();
}

#[tokio::test]
async fn the_authority_takes_at_once_what_it_offers_to_itself_and_its_desk_answers() {
    let league = League::new().await;
    let us = league.precinct.desk.store().member();
    assert_eq!(league.take(us).await.unwrap().done, 1);
    assert_eq!(fold_at(&league.precinct, league.doc).owner, us);
    let shown = league.precinct.desk.claim(league.marta, league.doc).await.unwrap();
    assert!(shown.incident.ours);
    let queue = league.precinct.desk.queue(league.marta, crate::store::IncidentQuery::Open).await.unwrap();
    assert_eq!(queue.len(), 1);
}

#[tokio::test]
async fn one_incident_alone_can_be_offered_and_one_that_is_not_there_cannot() {
    let league = League::new().await;
    let one = |incident| TakeOver { incident: Some(incident), ..league.ask(league.federation.id(1)) };
    let other = league.precinct.desk.take_over(league.marta, one(DocId([9; 32]))).await;
    assert!(matches!(other, Err(ActError::NotNow)), "{other:?}");
    let done = league.precinct.desk.take_over(league.marta, one(league.doc)).await.unwrap();
    assert_eq!(done.done, 1);
}

#[tokio::test]
async fn a_takeover_wants_a_lost_node_its_authority_an_operator_a_reason_and_somebody_near() {
    let mut league = League::new().await;
    let (lost, neighbour) = (league.federation.id(0), league.federation.id(1));
    let by_nobody = league.precinct.desk.take_over(Viewer::Nobody, league.ask(neighbour)).await;
    assert!(matches!(by_nobody, Err(ActError::NotForYou)), "{by_nobody:?}");
    let not_authority = league.next_door.desk.take_over(league.luis, league.ask(neighbour)).await;
    assert!(matches!(not_authority, Err(ActError::NotForYou)), "{not_authority:?}");
    let silent = TakeOver { why: " ".into(), ..league.ask(neighbour) };
    let silent = league.precinct.desk.take_over(league.marta, silent).await;
    assert!(matches!(silent, Err(ActError::Field("reason"))), "{silent:?}");
    for to in [lost, MemberId([7; 32])] {
        let wrong = league.take(to).await;
        assert!(matches!(wrong, Err(ActError::Field("to"))), "{wrong:?}");
    }
    let link = Link { state: LinkState::Connected, ..Link::default() };
    league.precinct.desk.set_link(lost, link);
    let answers = league.take(neighbour).await;
    assert!(matches!(answers, Err(ActError::NotNow)), "it is there: {answers:?}");
    let gone = league.precinct.desk.lost_node(league.marta, lost).await;
    assert!(matches!(gone, Err(ActError::NotFound)), "{gone:?}");
    // Expelled while its link still stands: lost all the same.
    league.federation.revoke(0);
    league.precinct.desk.store().set_rosters(league.federation.rosters.clone()).await.unwrap();
    assert_eq!(league.lost().await.why, "expelled");
    assert_eq!(league.take(neighbour).await.unwrap().done, 1);
}

#[tokio::test]
async fn a_declined_or_unanswered_takeover_can_be_offered_to_another() {
    let league = League::new().await;
    let (lost, neighbour) = (league.federation.id(0), league.federation.id(1));
    league.take(neighbour).await.unwrap();
    league.precinct.send(league.doc, &league.next_door).await;
    let declined = Some(HandoffReason::NoCrew);
    assert_eq!(league.next_door.desk.answer_takeovers(league.luis, lost, declined).await.unwrap().done, 1);
    league.next_door.send(league.doc, &league.precinct).await;
    assert_eq!(league.lost().await.unoffered, 1);
    assert_eq!(league.take(neighbour).await.unwrap().done, 1, "asked again");
    let us = league.precinct.desk.store().member();
    assert_eq!(league.take(us).await.unwrap().done, 1, "it does not wait for the answer for ever");
    assert_eq!(fold_at(&league.precinct, league.doc).owner, us);
}

#[tokio::test]
async fn one_action_takes_everything_in_batches_and_says_what_is_left() {
    let league = League::new().await;
    let extra = 4;
    let robbery = Kind::by_name("robbery").unwrap();
    let drafts = (0..TAKEOVERS_PER_REQUEST_MAX as u64 + extra - 1).map(|seed| Draft {
        operation: open(code(0), robbery, &[], None, 100 + seed),
        blobs: Vec::new(),
        answers: Vec::new(),
        written_at: Millis(9),
    });
    let (hand, rosters) = (league.federation.hand(0), &league.federation.rosters);
    let opened: Vec<_> = drafts.map(|draft| seal(&draft, None, &hand, rosters).unwrap()).collect();
    let from = league.federation.id(0);
    let store = league.precinct.desk.store();
    let take_in = move |tx: &mut crate::store::Tx<'_>| {
        opened.iter().try_for_each(|e| tx.take_in(e, Arrival { from, age: Millis(5) }).map(drop))
    };
    store.write(Queue::Urgent, take_in).await.unwrap();
    let neighbour = league.federation.id(1);
    let first = league.take(neighbour).await.unwrap();
    assert_eq!((first.done, first.left), (TAKEOVERS_PER_REQUEST_MAX as u64, extra));
    let view = league.lost().await;
    assert_eq!((view.unoffered, view.waiting[0].count), (extra, TAKEOVERS_PER_REQUEST_MAX as u64));
    assert_eq!(view.incidents.len(), 100, "the page lists the first of them");
    assert_eq!(league.take(neighbour).await.unwrap(), BatchView { done: extra, refused: 0, left: 0 });
}

#[tokio::test]
async fn after_a_restore_the_authority_waits_with_takeovers_as_with_everything_else() {
    let league = League::new().await;
    let (neighbour, store) = (league.federation.id(1), league.precinct.desk.store());
    league.take(neighbour).await.unwrap();
    league.precinct.send(league.doc, &league.next_door).await;
    league.next_door.desk.answer_takeovers(league.luis, league.federation.id(0), None).await.unwrap();
    store.raise(Incarnation::new(9, 9)).await.unwrap();
    league.next_door.send(league.doc, &league.precinct).await;
    let early = commit(&league.precinct, league.doc).await;
    let locked = |error: &ActError| matches!(error, ActError::Rules(SealError::Locked(Lock::Restored)));
    assert!(early.as_ref().is_err_and(locked), "{early:?}");
    assert_eq!(league.lost().await.locked, 1);
    assert_eq!(fold_at(&league.precinct, league.doc).owner, league.federation.id(0));
    let doc = league.doc;
    store.write(Queue::Normal, move |tx| tx.unlock(doc)).await.unwrap();
    assert!(commit(&league.precinct, league.doc).await.unwrap());
}

#[tokio::test]
async fn what_an_expelled_node_wrote_in_time_counts_once_whoever_took_over_vouches_for_it() {
    let mut league = League::new().await;
    let (lost, us) = (league.federation.id(0), league.precinct.desk.store().member());
    let ana = league.town.operator("Ana").await;
    league.town.desk.claim(ana, league.doc).await.unwrap();
    league.town.send(league.doc, &league.precinct).await;
    let vouch = |node, until| Vouch { node, until, why: "seen by phone until noon".into() };
    let early = league.precinct.desk.vouch(league.marta, vouch(lost, Millis(u64::MAX))).await;
    assert!(matches!(early, Err(ActError::NotNow)), "it is not expelled: {early:?}");

    let in_time = league.precinct.desk.store().now();
    league.town.desk.step(ana, league.doc, protocol::operation::Step::OnSite).await.unwrap();
    league.federation.revoke(0);
    league.precinct.desk.store().set_rosters(league.federation.rosters.clone()).await.unwrap();
    league.town.send(league.doc, &league.precinct).await;
    assert_eq!(league.lost().await.to_vouch, 0, "it has not taken over yet");
    league.take(us).await.unwrap();
    assert_eq!(league.lost().await.to_vouch, 1);
    assert_eq!(fold_at(&league.precinct, league.doc).step, None, "nothing of it counts");

    let by_nobody = league.precinct.desk.vouch(Viewer::Nobody, vouch(lost, in_time)).await;
    assert!(matches!(by_nobody, Err(ActError::NotForYou)), "{by_nobody:?}");
    let mute = Vouch { why: String::new(), ..vouch(lost, in_time) };
    let mute = league.precinct.desk.vouch(league.marta, mute).await;
    assert!(matches!(mute, Err(ActError::Field("reason"))), "{mute:?}");
    assert_eq!(league.precinct.desk.vouch(league.marta, vouch(lost, in_time)).await.unwrap().done, 1);
    let fold = fold_at(&league.precinct, league.doc);
    assert_eq!(fold.step, Some(protocol::operation::Step::Received), "what came later does not count");
    assert_eq!(fold.unconfirmed.len(), 1);
    let again = league.precinct.desk.vouch(league.marta, vouch(lost, in_time)).await.unwrap();
    assert_eq!(again, BatchView::default(), "nothing more had arrived by then");
    assert_eq!(league.lost().await.to_vouch, 1, "the later step is still in sight");
    let store = league.precinct.desk.store();
    let before = store.dump_derived().await.unwrap();
    store.rebuild().await.unwrap();
    assert_eq!(store.dump_derived().await.unwrap(), before);
}
