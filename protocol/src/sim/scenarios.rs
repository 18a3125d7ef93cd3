//! Nine readings of the rules that look right and are not. A small model of this federation, written
//! before the program, failed on each; here each is a script that fails if the rule is read that way.

use super::disk::Filed;
use super::league::{Change, Size};
use super::world::{World, pair};
use super::{Settings, Shape, scripts};
use crate::fixture::{code, open, somebody};
use crate::fold::Fold;
use crate::ids::{DocId, EnvelopeId, MemberId, Millis};
use crate::kind::KINDS;
use crate::operation::{HandoffReason, Operation, Outcome, Step};

/// A federation in which nothing happens by itself.
pub(super) struct Stage {
    pub world: World,
}

impl Stage {
    /// `towns` in a mesh with a precinct and a national node above them, connected.
    pub fn new(towns: usize) -> Stage {
        let never = 1 << 40;
        let settings = Settings {
            size: Size { towns, services: 0, precincts: 1 },
            shape: Shape::Mesh,
            busy_ms: never,
            action_every_ms: never,
            loss_per_mille: 0,
            duplicates_per_mille: 0,
            late_per_mille: 0,
            weather_every_ms: never,
            store_failures_per_mille: 0,
            slow_disks_per_mille: 0,
            clocks_off_ms: 0,
            roster_every_ms: never,
            hostile: 0,
            retention_ms: never,
            upgrades: false,
            ticks_per_mille: 200,
            ..Settings::of_seed(0)
        };
        let mut stage = Stage { world: World::new(scripts::seed(), settings) };
        stage.world.lies = false;
        stage.pass(2_000);
        stage
    }

    /// Time passes; whatever must never be ends the test.
    pub fn pass(&mut self, ms: u64) {
        let until = self.world.now.plus(Millis(ms));
        self.world.play_until(until).expect("the invariants hold");
    }

    pub fn id(&self, n: usize) -> MemberId {
        self.world.league.id(n)
    }

    /// Node `n` opens an incident that involves `others`.
    pub fn opens(&mut self, n: usize, others: &[usize]) -> DocId {
        let before: Vec<DocId> = self.world.node(n).disk.documents.keys().copied().collect();
        let involved: Vec<MemberId> = others.iter().map(|other| self.id(*other)).collect();
        let seed = self.world.dice.draw();
        let operation = open(code(n), &KINDS[0], &involved, None, seed);
        self.world.queue_local(n, None, operation, Vec::new());
        self.pass(50);
        let new = self.world.node(n).disk.documents.keys().find(|doc| !before.contains(doc));
        *new.expect("it may open at home")
    }

    /// Node `n` writes; none if it may not.
    pub fn tries(&mut self, n: usize, doc: DocId, operation: Operation) -> Option<EnvelopeId> {
        let count = self.world.report.refused;
        self.world.queue_local(n, Some(doc), operation, Vec::new());
        self.pass(50);
        let me = self.world.node(n).disk.me;
        let last = self.filed(n, &doc).document.last_of(&me).map(|envelope| envelope.id());
        last.filter(|_| self.world.report.refused == count)
    }

    pub fn writes(&mut self, n: usize, doc: DocId, operation: Operation) -> EnvelopeId {
        let written = self.tries(n, doc, operation);
        written.unwrap_or_else(|| panic!("it may write that: locks {:?}", self.world.node(n).disk.locks))
    }

    pub fn steps(&mut self, n: usize, doc: DocId, step: Step) -> EnvelopeId {
        self.writes(n, doc, Operation::Step { step, by: somebody(1) })
    }

    /// Offer and accept; the commit follows by itself. Gives the accept.
    pub fn hands_over(&mut self, from: usize, to: usize, doc: DocId) -> EnvelopeId {
        let to_member = self.id(to);
        let offer = self.writes(from, doc, Operation::Offer { to: to_member, reason: HandoffReason::Means });
        self.pass(500);
        let accept = self.writes(to, doc, Operation::Accept { offer });
        self.pass(500);
        accept
    }

    pub fn filed(&self, n: usize, doc: &DocId) -> &Filed {
        self.world.node(n).disk.filed(doc).expect("it holds the document")
    }

    pub fn fold(&self, n: usize, doc: &DocId) -> &Fold {
        &self.filed(n, doc).fold
    }

    pub fn holds(&self, n: usize, id: &EnvelopeId) -> bool {
        self.world.node(n).disk.documents.values().any(|filed| filed.document.contains(id))
    }

    /// Cuts the way from one node to another, and leaves the way back.
    pub fn cut_way(&mut self, from: usize, to: usize) {
        let link = self.world.links.get_mut(&pair(from, to)).expect("a mesh");
        if from < to { link.cut_up = true } else { link.cut_down = true }
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut_way(a, b);
        self.cut_way(b, a);
        self.world.cut(a, b).expect("the invariants hold");
    }

    pub fn heal(&mut self, a: usize, b: usize) {
        let link = self.world.links.get_mut(&pair(a, b)).expect("a mesh");
        (link.cut_up, link.cut_down) = (false, false);
        self.world.redial(a, b, 1, 100);
    }

    pub fn publish(&mut self, change: &Change) {
        self.world.league.publish(change);
        let chain = self.world.league.chain.clone();
        let national = self.world.league.national();
        self.world.take_rosters(national, chain);
        self.pass(3_000);
    }

    /// Messages of this name that anybody sent.
    pub fn sent(&self, name: &str) -> u64 {
        self.world.sent.iter().filter(|((_, sent), _)| *sent == name).map(|(_, count)| count).sum()
    }

    /// Those of them that node `n` sent.
    pub fn sent_by(&self, n: usize, name: &'static str) -> u64 {
        self.world.sent.get(&(n, name)).copied().unwrap_or(0)
    }

    /// Time passes until this holds, within so many ms.
    pub fn until(&mut self, ms: u64, what: &str, holds: impl Fn(&Stage) -> bool) {
        let latest = self.world.now.plus(Millis(ms));
        while !holds(self) {
            assert!(self.world.now < latest, "not within {ms} ms: {what}");
            self.pass(1);
        }
    }

    /// Everybody comes into step within two minutes.
    pub fn comes_into_step(&mut self) {
        for _ in 0..120 {
            self.pass(1_000);
            if self.world.in_step(false) == Ok(true) {
                return self.world.check_end().expect("the invariants hold");
            }
        }
        self.world.in_step(true).expect("they come into step");
    }
}

/// Wrong: `held` names only what is stored. What was sent and waits for the envelope that names this
/// node is then asked for again from its beginning, for ever.
#[test]
fn want_goes_on_where_the_last_answer_ended() {
    let mut stage = Stage::new(3);
    let doc = stage.opens(0, &[1]);
    stage.comes_into_step();
    // Nobody takes each of them in by itself, which would cost much.
    (1..5).for_each(|n| stage.cut(0, n));
    for _ in 0..300 {
        stage.steps(0, doc, Step::Called);
    }
    (1..5).for_each(|n| stage.heal(0, n));
    stage.comes_into_step();
    let stranger = stage.id(2);
    assert!(stage.world.node(2).disk.documents.is_empty());
    let before = stage.sent_by(2, "want");
    let last = stage.writes(0, doc, Operation::Invite { member: stranger });
    stage.pass(20_000);
    assert!(stage.holds(2, &last), "it never got to the envelope that names it");
    assert_eq!(stage.filed(2, &doc).document.len(), 302);
    let wants = stage.sent_by(2, "want") - before;
    assert!(wants <= 8, "{wants} questions to four peers for what fits two answers of each");
}

/// Wrong: every `have` is answered by one that asks. Two nodes that hold the same then confirm it to
/// each other for ever.
#[test]
fn receipts_end_once_both_hold_the_same() {
    let mut stage = Stage::new(2);
    let doc = stage.opens(0, &[1]);
    stage.comes_into_step();
    stage.cut(0, 1);
    for _ in 0..3 {
        stage.steps(0, doc, Step::OnTheWay);
        stage.writes(1, doc, Operation::Note { by: somebody(2) });
    }
    stage.heal(0, 1);
    stage.comes_into_step();
    stage.pass(2_000);
    let before = stage.sent("have");
    stage.pass(20_000);
    assert_eq!(stage.sent("have"), before, "they still talk about what both hold");
}

/// Wrong: a restore counts from the backup's own generation. Two restores of one backup then write
/// under one generation, and an honest node is proven to say two things.
#[test]
fn two_restores_of_one_backup_never_share_an_incarnation() {
    let mut stage = Stage::new(2);
    let doc = stage.opens(0, &[1]);
    stage.comes_into_step();
    let backup = stage.world.node(0).disk.clone();
    stage.world.node_mut(0).backups = vec![backup];
    let (mut written, mut drawn) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        // A node that lost its mark takes what it forgot for a twin's, and waits for a person.
        stage.world.restore_with(0, false).expect("the invariants hold");
        drawn.push(stage.world.node(0).disk.incarnation.counter());
        stage.pass(10_000);
        stage.comes_into_step();
        stage.cut(0, 1);
        written.push(stage.steps(0, doc, Step::Called));
        stage.heal(0, 1);
        stage.comes_into_step();
    }
    let fold = stage.fold(1, &doc);
    assert!(fold.equivocators.is_empty(), "a restored node was proven to say two things");
    assert!(written.iter().all(|id| stage.holds(1, id)));
    // The random part is a second line of defence: the counter alone must not come back.
    assert_ne!(drawn[0], drawn[1]);
}

/// Wrong: any accept of an own offer is committed. An owner that gets an incident back then commits the
/// accept of its first handoff again, and the incident goes to and fro for ever.
#[test]
fn accept_is_committed_once_though_the_incident_comes_back() {
    let mut stage = Stage::new(2);
    let doc = stage.opens(0, &[1]);
    let first = stage.hands_over(0, 1, doc);
    assert_eq!(stage.fold(0, &doc).owner, stage.id(1));
    stage.hands_over(1, 0, doc);
    stage.pass(60_000);
    assert_eq!(stage.fold(1, &doc).owner, stage.id(0));
    assert_eq!(stage.tries(0, doc, Operation::Commit { accept: first }), None, "it was committed before");
    assert_eq!(stage.world.report.times("commit"), 2);
    stage.comes_into_step();
}

/// Wrong: the step is the last one of the present owner. What the one before did is then lost with the
/// handoff.
#[test]
fn step_taken_before_a_handoff_is_still_there_after_it() {
    let mut stage = Stage::new(2);
    let doc = stage.opens(0, &[1]);
    stage.steps(0, doc, Step::OnTheWay);
    stage.hands_over(0, 1, doc);
    stage.comes_into_step();
    let fold = stage.fold(1, &doc);
    assert_eq!((fold.owner, fold.step), (stage.id(1), Some(Step::OnTheWay)));
}

/// Wrong: whoever is sent a document may keep it. A liar then makes strangers hold it, and they pass it on.
#[test]
fn stranger_that_is_shown_a_document_neither_keeps_it_nor_tells_of_it() {
    let mut stage = Stage::new(3);
    let doc = stage.opens(0, &[1]);
    stage.comes_into_step();
    stage.world.node_mut(1).hostile = true;
    let message = stage.world.whole_document(1, doc).expect("it holds the document");
    let stranger = stage.id(2);
    stage.world.send(1, &stranger, crate::message::Lane::Urgent, &message);
    stage.pass(100);
    assert!(stage.world.node(2).replica.parked().0 > 0, "it was shown");
    stage.pass(60_000);
    assert!(stage.world.node(2).disk.documents.is_empty() && stage.world.node(2).disk.due.is_empty());
}

/// Wrong: whatever an honest node had seen counts. An expelled node then backdates, waits for somebody
/// to write on top of it, and has effect after all.
#[test]
fn honest_merge_does_not_confirm_what_an_expelled_node_backdated() {
    let mut stage = Stage::new(3);
    let doc = stage.opens(1, &[0, 2]);
    stage.comes_into_step();
    let then = stage.world.league.chain.clone();
    stage.publish(&Change::Expel(1));
    stage.world.node_mut(1).hostile = true;
    stage.world.node_mut(2).hostile = true;
    let close = Operation::Close { outcome: Outcome::FalseAlarm, by: somebody(1) };
    let written = stage.world.backdated(1, doc, close, &then).expect("the key was good then");
    let ghost = written.id();
    stage.world.ghosts.insert(ghost);
    stage.world.slip_in(2, doc, vec![written]).expect("the invariants hold");
    stage.pass(2_000);
    assert!(stage.holds(0, &ghost), "it is kept and shown");
    let merged = stage.writes(0, doc, Operation::Note { by: somebody(2) });
    let document = &stage.filed(0, &doc).document;
    let place = document.place(&ghost).expect("it is here");
    let seen = document.place(&merged).and_then(|place| document.ancestors(place)).expect("it is here");
    assert!(seen.contains(place), "the merge had seen it");
    let fold = stage.fold(0, &doc);
    assert!(fold.unconfirmed.contains(&ghost) && fold.closed.is_none());
}

/// Wrong: a key that is not active any more is a bad one. Routine rotation then unmakes all that a node
/// ever did.
#[test]
fn what_was_signed_before_a_routine_rotation_still_counts() {
    let mut stage = Stage::new(2);
    let doc = stage.opens(0, &[1]);
    stage.steps(0, doc, Step::OnSite);
    stage.comes_into_step();
    stage.publish(&Change::AddKey(0));
    stage.publish(&Change::RetireKey(0));
    for n in 0..2 {
        let fold = stage.fold(n, &doc);
        assert_eq!((fold.answering, fold.step), (stage.id(0), Some(Step::OnSite)));
        assert!(fold.unconfirmed.is_empty());
    }
    stage.steps(0, doc, Step::Resolved);
    stage.comes_into_step();
    assert_eq!(stage.fold(1, &doc).step, Some(Step::Resolved));
}

/// Wrong: an envelope that was asked of one peer is not asked of another. A peer that never answers then
/// keeps it from everybody.
#[test]
fn second_peer_that_tells_of_a_head_is_asked_while_the_first_one_stalls() {
    let mut stage = Stage::new(4);
    // Node 2 too, until all is ready: what it tells in no time is answered in no time.
    for n in [0, 2, 4, 5] {
        stage.cut(n, 1);
    }
    for n in [0, 2, 4, 5] {
        stage.cut(n, 3);
    }
    let before = stage.sent_by(1, "want");
    let doc = stage.opens(0, &[1, 2, 3]);
    stage.until(1_000, "node 2 holds it", |stage| stage.world.node(2).disk.filed(&doc).is_some());
    stage.heal(1, 2);
    stage.until(1_000, "node 2 tells node 1", |stage| stage.sent_by(1, "want") > before);
    // Node 2 told node 1, was asked, and its answer never comes.
    stage.cut_way(2, 1);
    assert!(stage.world.node(1).disk.documents.is_empty());
    stage.heal(0, 3);
    // Long before node 1 gives node 2 up.
    stage.until(4_000, "one peer that stalls keeps it from node 1", |stage| {
        stage.world.node(1).disk.filed(&doc).is_some()
    });
}

super::scripts::scripts! {
    want_goes_on_where_the_last_answer_ended
    receipts_end_once_both_hold_the_same
    two_restores_of_one_backup_never_share_an_incarnation
    accept_is_committed_once_though_the_incident_comes_back
    step_taken_before_a_handoff_is_still_there_after_it
    stranger_that_is_shown_a_document_neither_keeps_it_nor_tells_of_it
    honest_merge_does_not_confirm_what_an_expelled_node_backdated
    what_was_signed_before_a_routine_rotation_still_counts
    second_peer_that_tells_of_a_head_is_asked_while_the_first_one_stalls
}
