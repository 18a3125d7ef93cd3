//! What members, copies and networks try on the worst day, one script for each: what must happen then.

use super::league::Change;
use super::scenarios::Stage;
use crate::author::{Draft, SealError, seal};
use crate::document::Document;
use crate::fixture::{code, open, somebody};
use crate::ids::{DocId, EnvelopeId, Incarnation, Millis};
use crate::kind::KINDS;
use crate::limits::INCARNATIONS_MAX;
use crate::operation::{HandoffReason, Operation, Outcome, Step};

const TEN_YEARS_MS: i64 = 10 * 365 * 24 * 60 * 60 * 1_000;

fn note() -> Operation {
    Operation::Note { by: somebody(2) }
}

impl Stage {
    /// Of `Stage::new(towns)`.
    fn precinct(&self) -> usize {
        self.world.league.hub()
    }

    fn backs_up(&mut self, n: usize) {
        let copy = self.world.node(n).disk.clone();
        self.world.node_mut(n).backups = vec![copy];
    }

    fn restores(&mut self, n: usize, mark_lost: bool) {
        self.world.restore_with(n, mark_lost).expect("the invariants hold");
        self.pass(10_000);
    }

    fn times(&self, what: &str) -> u64 {
        self.world.report.times(what)
    }

    /// What member `n` would have written, had it held only this.
    fn on(&self, n: usize, held: &Document, operation: Operation) -> crate::envelope::AdmittedEnvelope {
        let node = self.world.node(n);
        let hand = self.world.league.hand(node.member, &node.disk.rosters, node.disk.incarnation);
        let answers = operation.answers();
        let draft = Draft { operation, blobs: Vec::new(), answers, written_at: Millis(1) };
        let written = seal(&draft, Some(held), &hand.expect("its key is good"), &node.disk.rosters);
        written.expect("it may write that")
    }

    /// The commits of an accept that a node holds.
    fn commits(&self, n: usize, doc: &DocId, accept: EnvelopeId) -> usize {
        let document = &self.filed(n, doc).document;
        document.held().filter(|e| super::checks::committed(e.operation()) == Some(accept)).count()
    }

    fn others(&self, n: usize) -> Vec<usize> {
        (0..self.world.nodes.len()).filter(|other| *other != n).collect()
    }

    /// Node 1 accepts what `giver` offers; that commits it, and nobody hears of the commit. Gives the accept.
    fn commits_unheard(&mut self, giver: usize, doc: DocId, offer: EnvelopeId) -> EnvelopeId {
        // Before the accept is written: a fast network brings the commit to others in no time.
        self.others(giver).into_iter().for_each(|other| self.cut_way(giver, other));
        let accept = self.writes(1, doc, Operation::Accept { offer });
        self.until(1_000, "it commits", |stage| stage.commits(giver, &doc, accept) == 1);
        self.pass(500);
        assert!(self.others(giver).into_iter().all(|other| self.commits(other, &doc, accept) == 0));
        accept
    }

    fn never_proven(&self, doc: &DocId) {
        for n in 0..self.world.nodes.len() {
            let proven =
                self.world.node(n).disk.filed(doc).is_some_and(|f| f.document.proofs().next().is_some());
            assert!(!proven, "node {n} holds a proof against somebody who is honest");
        }
    }
}

#[test]
fn copy_beside_its_original_is_noticed_and_stopped_and_nothing_that_either_said_is_lost() {
    let mut stage = Stage::new(2);
    let doc = stage.opens(0, &[1]);
    stage.comes_into_step();
    stage.backs_up(0);
    let before = stage.steps(0, doc, Step::Called);
    stage.comes_into_step();
    stage.world.start_twin(0);
    let copy = stage.world.nodes.len() - 1;
    // Peers show the copy what it forgot, and it goes on.
    for _ in 0..60 {
        stage.pass(1_000);
        if stage.world.node(copy).disk.locks.is_empty() {
            break;
        }
    }
    let theirs = stage.writes(copy, doc, Operation::Step { step: Step::OnTheWay, by: somebody(1) });
    for _ in 0..30 {
        stage.pass(1_000);
        if !stage.world.node(0).evidence.is_empty() {
            break;
        }
    }
    assert_eq!(stage.tries(0, doc, note()), None, "the original stops in what is older");
    let fresh = stage.opens(0, &[1]);
    let ours = stage.filed(0, &fresh).document.genesis().expect("no alert waits").id();
    stage.pass(180_000);
    let ended: Vec<usize> = [0, copy].into_iter().filter(|n| stage.world.node(*n).ended).collect();
    assert_eq!((ended.len(), stage.times("twin stopped")), (1, 1), "one of the two is switched off");
    let goes_on = if ended == [0] { copy } else { 0 };
    stage.comes_into_step();
    let after = stage.steps(goes_on, doc, Step::OnSite);
    stage.comes_into_step();
    for n in [1, goes_on] {
        assert!(
            [before, theirs, ours, after].iter().all(|id| stage.holds(n, id)),
            "node {n} lacks something"
        );
    }
    stage.never_proven(&doc);
    assert_eq!(stage.fold(1, &doc).step, Some(Step::OnSite));
}

#[test]
fn last_copy_of_what_a_stopped_copy_told_people_is_left_alone_until_its_original_has_it() {
    let mut stage = Stage::new(2);
    let doc = stage.opens(0, &[1]);
    stage.comes_into_step();
    [0, 1].into_iter().for_each(|n| stage.backs_up(n));
    stage.world.start_twin(0);
    let copy = stage.world.nodes.len() - 1;
    let goes_on = |stage: &Stage| stage.world.node(copy).disk.locks.is_empty();
    stage.until(60_000, "peers show the copy that it forgot nothing", goes_on);
    // Only node 1 hears of what the copy says, and nobody hears it from there.
    let cut = [(0, 1), (1, 2), (1, 3), (2, copy), (3, copy)];
    cut.into_iter().for_each(|(a, b)| stage.cut(a, b));
    let word = stage.steps(copy, doc, Step::Called);
    stage.until(30_000, "node 1 takes it in", |stage| stage.holds(1, &word));
    stage.pass(2_000);
    stage.world.node_mut(copy).closing = true;
    stage.world.person_comes(0).expect("the invariants hold");
    stage.until(30_000, "the copy is switched off", |stage| stage.world.node(copy).ended);
    let last = |stage: &mut Stage| stage.world.spares_last_copy("last copy: not expelled", &[1], None);
    assert!(last(&mut stage) && !stage.holds(0, &word), "it is the last one");
    stage.restores(1, false);
    assert!(stage.holds(1, &word) && stage.times("restore") == 0, "a backup without it was put back");
    cut.into_iter().for_each(|(a, b)| stage.heal(a, b));
    stage.comes_into_step();
    assert!(stage.holds(0, &word) && !last(&mut stage), "others have it");
    stage.restores(1, false);
    assert_eq!(stage.times("restore"), 1, "it may be restored like any other");
    stage.comes_into_step();
    assert!(stage.holds(1, &word));
}

#[test]
fn node_that_lost_its_mark_twice_and_its_clock_too_waits_for_a_person_and_writes_again() {
    let mut stage = Stage::new(2);
    let doc = stage.opens(0, &[1]);
    stage.comes_into_step();
    stage.backs_up(0);
    let mut drawn = Vec::new();
    for (round, clock) in [0, -TEN_YEARS_MS].into_iter().enumerate() {
        // Under a generation that the copy knows nothing of.
        stage.restores(0, false);
        stage.pass(120_000);
        stage.comes_into_step();
        stage.steps(0, doc, Step::Called);
        stage.comes_into_step();
        stage.world.node_mut(0).wall_ms = clock;
        stage.world.restore_with(0, true).expect("the invariants hold");
        let seconds = stage.world.node(0).disk.incarnation.counter();
        assert!(seconds > 1_000_000_000, "the seconds of the restore stand in for the mark: {seconds}");
        drawn.push(seconds);
        stage.pass(130_000);
        assert!(stage.times("forgotten word taken for a twin's") > u64::try_from(round).unwrap_or(9));
        stage.comes_into_step();
        stage.steps(0, doc, Step::OnTheWay);
        stage.comes_into_step();
    }
    assert!(drawn[1] < drawn[0], "the clock went back: {drawn:?}");
    stage.never_proven(&doc);
}

#[test]
fn restore_amid_a_handoff_or_a_takeover_completes_it_once() {
    for takeover in [false, true] {
        for seen in [false, true] {
            let mut stage = Stage::new(2);
            let doc = stage.opens(0, &[1]);
            stage.comes_into_step();
            let (giver, to) = (if takeover { stage.precinct() } else { 0 }, stage.id(1));
            let offer = if takeover {
                Operation::TakeoverOffer { to }
            } else {
                Operation::Offer { to, reason: HandoffReason::Means }
            };
            let offer = stage.writes(giver, doc, offer);
            stage.comes_into_step();
            stage.backs_up(giver);
            let accept = if seen {
                let accept = stage.writes(1, doc, Operation::Accept { offer });
                stage.comes_into_step();
                assert_eq!(stage.commits(1, &doc, accept), 1);
                accept
            } else {
                stage.commits_unheard(giver, doc, offer)
            };
            stage.restores(giver, false);
            stage.others(giver).into_iter().for_each(|other| stage.heal(giver, other));
            stage.comes_into_step();
            stage.pass(60_000);
            let fold = stage.fold(0, &doc);
            assert_eq!((fold.owner, fold.answering), (to, to), "takeover {takeover}, seen {seen}");
            assert_eq!(stage.commits(1, &doc, accept), 1, "takeover {takeover}, seen {seen}");
            assert_eq!(
                stage.times(if takeover { "restore amid a takeover" } else { "restore amid a handoff" }),
                1
            );
            stage.never_proven(&doc);
        }
    }
}

#[test]
fn key_replaced_after_a_commit_that_nobody_saw_does_not_leave_the_handoff_open() {
    for takeover in [false, true] {
        let mut stage = Stage::new(2);
        let doc = stage.opens(0, &[1]);
        stage.comes_into_step();
        let (giver, to) = (if takeover { stage.precinct() } else { 0 }, stage.id(1));
        let offer = if takeover {
            Operation::TakeoverOffer { to }
        } else {
            Operation::Offer { to, reason: HandoffReason::Means }
        };
        let offer = stage.writes(giver, doc, offer);
        stage.comes_into_step();
        let accept = stage.commits_unheard(giver, doc, offer);
        stage.publish(&Change::ReplaceKey(giver));
        assert_eq!(stage.commits(1, &doc, accept), 0);
        stage.others(giver).into_iter().for_each(|other| stage.heal(giver, other));
        stage.comes_into_step();
        for n in 0..stage.world.nodes.len() {
            let fold = stage.fold(n, &doc);
            assert_eq!((fold.owner, fold.unconfirmed.len()), (to, 0), "node {n}, takeover {takeover}");
        }
        assert_eq!(stage.commits(1, &doc, accept), 1);
        assert_eq!(stage.times("seal"), 1, "it stood by its word by itself");
    }
}

#[test]
fn node_restored_more_often_than_it_may_is_refused_by_itself_and_never_proven() {
    let mut stage = Stage::new(2);
    let doc = stage.opens(0, &[1]);
    for round in 1..=INCARNATIONS_MAX {
        let node = stage.world.node_mut(0);
        node.disk.restore(node.disk.mark, u32::try_from(round).unwrap_or(1));
        node.disk.locks.clear();
        let written = stage.tries(0, doc, note());
        assert_eq!(written.is_some(), round < INCARNATIONS_MAX, "generation {}", round + 1);
    }
    let draft = Draft { operation: note(), blobs: Vec::new(), answers: Vec::new(), written_at: Millis(1) };
    let (node, league) = (stage.world.node(0), &stage.world.league);
    let hand = league.hand(0, &node.disk.rosters, node.disk.incarnation).expect("its key is good");
    let held = &stage.filed(0, &doc).document;
    let refused = seal(&draft, Some(held), &hand, &node.disk.rosters);
    assert_eq!(refused.err(), Some(SealError::Generations));
    stage.comes_into_step();
    stage.never_proven(&doc);
    // Its authority takes over what it cannot write in any more.
    let (precinct, to) = (stage.precinct(), stage.id(1));
    let offer = stage.writes(precinct, doc, Operation::TakeoverOffer { to });
    stage.pass(2_000);
    stage.writes(1, doc, Operation::Accept { offer });
    stage.comes_into_step();
    assert_eq!(stage.fold(0, &doc).owner, to);
}

#[test]
fn sixty_five_generations_of_one_author_are_proven_to_everybody() {
    let mut stage = Stage::new(3);
    let doc = stage.opens(0, &[1, 2]);
    stage.comes_into_step();
    stage.world.node_mut(1).hostile = true;
    let held = stage.filed(1, &doc).document.clone();
    let mut written = Vec::new();
    for counter in 1..=u32::try_from(INCARNATIONS_MAX).unwrap_or(0) + 1 {
        stage.world.node_mut(1).disk.incarnation = Incarnation::new(counter, 5);
        written.push(stage.on(1, &held, note()));
    }
    stage.world.slip_in(1, doc, written).expect("the invariants hold");
    stage.comes_into_step();
    let liar = stage.id(1);
    for n in [0, 2, 3, 4] {
        assert!(stage.fold(n, &doc).equivocators.contains(&liar), "node {n}");
    }
}

#[test]
fn owner_that_says_two_things_is_proven_everywhere_and_its_authority_answers() {
    let mut stage = Stage::new(3);
    let doc = stage.opens(1, &[0, 2]);
    stage.steps(1, doc, Step::Called);
    stage.comes_into_step();
    stage.world.node_mut(1).hostile = true;
    let past = stage.filed(1, &doc).document.envelopes().take(1).cloned().collect::<Vec<_>>();
    let past = Document::from_log(past).expect("a genesis stands alone");
    let fork = stage.on(1, &past, Operation::Close { outcome: Outcome::FalseAlarm, by: somebody(1) });
    stage.world.slip_in(1, doc, vec![fork]).expect("the invariants hold");
    stage.comes_into_step();
    let (liar, precinct) = (stage.id(1), stage.id(stage.precinct()));
    for n in [0, 2, 3, 4] {
        let fold = stage.fold(n, &doc);
        assert_eq!((fold.owner, fold.answering), (liar, precinct), "node {n}");
        assert!(fold.equivocators.contains(&liar) && fold.closed.is_none(), "node {n}");
    }
}

#[test]
fn withheld_envelope_shows_as_a_gap_and_comes_another_way_within_a_minute() {
    let mut stage = Stage::new(3);
    let (precinct, national) = (stage.precinct(), stage.world.league.national());
    let doc = stage.opens(0, &[1, 2]);
    stage.comes_into_step();
    stage.world.node_mut(1).hostile = true;
    [0, 1, precinct, national].into_iter().for_each(|n| stage.cut(n, 2));
    let withheld = stage.steps(0, doc, Step::Called);
    stage.world.withheld.insert((1, withheld));
    stage.heal(1, 2);
    stage.pass(2_000);
    stage.writes(1, doc, note());
    stage.pass(10_000);
    assert!(stage.world.node(2).replica.parked().0 > 0, "what was built on it shows the gap");
    assert!(!stage.holds(2, &withheld));
    stage.heal(precinct, 2);
    stage.pass(60_000);
    assert!(stage.holds(2, &withheld), "the other route did not fill it");
    assert_eq!(stage.world.node(2).replica.parked().0, 0);
}

#[test]
fn forged_incident_stays_at_home_and_goes_with_its_author_in_one_roster_version() {
    let mut stage = Stage::new(2);
    let honest = stage.opens(0, &[1]);
    stage.world.node_mut(1).hostile = true;
    let count = stage.world.report.refused;
    let elsewhere = open(code(0), &KINDS[0], &[], None, 99);
    stage.world.queue_local(1, None, elsewhere, Vec::new());
    stage.pass(1_000);
    assert_eq!(stage.world.report.refused, count + 1, "another's territory is offered to who receives there");
    let forged = stage.opens(1, &[0]);
    stage.comes_into_step();
    let (town, liar, precinct) = (stage.id(0), stage.id(1), stage.id(stage.precinct()));
    assert_eq!((stage.fold(0, &forged).owner, stage.fold(0, &honest).owner), (liar, town));
    stage.publish(&Change::Expel(1));
    for n in [0, 2, 3] {
        let fold = stage.fold(n, &forged);
        assert_eq!((fold.owner, fold.answering, fold.unconfirmed.len()), (liar, precinct, 1), "node {n}");
        assert_eq!(stage.fold(n, &honest).answering, town);
    }
}

#[test]
fn accomplices_that_hand_an_incident_to_and_fro_do_not_outrun_a_takeover() {
    let mut stage = Stage::new(3);
    let doc = stage.opens(1, &[0, 2]);
    stage.comes_into_step();
    let (precinct, to) = (stage.precinct(), stage.id(0));
    [1, 2].into_iter().for_each(|n| stage.world.node_mut(n).hostile = true);
    let mut past = (*stage.filed(1, &doc).document).clone();
    let offer = stage.writes(precinct, doc, Operation::TakeoverOffer { to });
    stage.pass(2_000);
    stage.writes(0, doc, Operation::Accept { offer });
    stage.comes_into_step();
    assert_eq!(stage.fold(0, &doc).owner, to);
    let mut chain = Vec::new();
    for round in 0..10 {
        let (from, other) = if round % 2 == 0 { (1, 2) } else { (2, 1) };
        let to = stage.id(other);
        let mut next = |n: usize, operation: Operation| {
            let written = stage.on(n, &past, operation);
            past.insert(written.clone()).expect("it follows the one before");
            chain.push(written.clone());
            written.id()
        };
        let offer = next(from, Operation::Offer { to, reason: HandoffReason::Means });
        let accept = next(other, Operation::Accept { offer });
        next(from, Operation::Commit { accept });
    }
    stage.world.slip_in(1, doc, chain).expect("the invariants hold");
    stage.comes_into_step();
    for n in [0, 3, 4] {
        let fold = stage.fold(n, &doc);
        assert_eq!((fold.owner, stage.filed(n, &doc).document.len()), (to, 34), "node {n}");
    }
}

#[test]
fn clocks_ten_years_off_and_a_roster_that_is_kept_back_stop_no_incident() {
    let mut stage = Stage::new(3);
    for (n, off) in [TEN_YEARS_MS, -TEN_YEARS_MS, 0, TEN_YEARS_MS, -TEN_YEARS_MS].into_iter().enumerate() {
        stage.world.node_mut(n).wall_ms = off;
        stage.world.crash(n, 100, 200).expect("the invariants hold");
    }
    stage.pass(10_000);
    let (precinct, national) = (stage.precinct(), stage.world.league.national());
    stage.world.node_mut(1).hostile = true;
    stage.world.freezers.insert(1);
    [0, precinct, national].into_iter().for_each(|n| stage.cut(n, 2));
    stage.publish(&Change::AddKey(0));
    stage.publish(&Change::Longer(5));
    assert_eq!(stage.world.node(2).disk.rosters.head().version, 1, "nobody tells it");
    let doc = stage.opens(2, &[0, 1]);
    stage.pass(30_000);
    assert!(stage.world.node(0).disk.filed(&doc).is_some(), "an incident under a stale roster still flows");
    let answered = stage.writes(0, doc, note());
    stage.pass(10_000);
    assert!(!stage.holds(2, &answered), "it names a roster that is kept back");
    [0, precinct, national].into_iter().for_each(|n| stage.heal(n, 2));
    stage.comes_into_step();
    assert!(stage.holds(2, &answered));
    stage.hands_over(2, 0, doc);
    stage.comes_into_step();
    assert_eq!(stage.fold(2, &doc).owner, stage.id(0));
}

super::scripts::scripts! {
    copy_beside_its_original_is_noticed_and_stopped_and_nothing_that_either_said_is_lost
    last_copy_of_what_a_stopped_copy_told_people_is_left_alone_until_its_original_has_it
    node_that_lost_its_mark_twice_and_its_clock_too_waits_for_a_person_and_writes_again
    restore_amid_a_handoff_or_a_takeover_completes_it_once
    key_replaced_after_a_commit_that_nobody_saw_does_not_leave_the_handoff_open
    node_restored_more_often_than_it_may_is_refused_by_itself_and_never_proven
    sixty_five_generations_of_one_author_are_proven_to_everybody
    owner_that_says_two_things_is_proven_everywhere_and_its_authority_answers
    withheld_envelope_shows_as_a_gap_and_comes_another_way_within_a_minute
    forged_incident_stays_at_home_and_goes_with_its_author_in_one_roster_version
    accomplices_that_hand_an_incident_to_and_fro_do_not_outrun_a_takeover
    clocks_ten_years_off_and_a_roster_that_is_kept_back_stop_no_incident
}
