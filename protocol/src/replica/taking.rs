//! How envelopes come in: each is judged once what it names is here, what that lets be judged is woken, and
//! the document is stored if it names this node.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::exchange::Pending;
use super::loaded::View;
use super::parking::{Need, Parked, Stage};
use super::{Arrival, Replica, Shelf};
use crate::admission::{Ground, Missing, Verdict, admit};
use crate::audience::grows_by;
use crate::document::Document;
use crate::ids::{DocId, EnvelopeId};

/// What became of envelopes on their way in.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// True if any will be stored.
    pub stores: bool,
    /// True if any is parked that was not before.
    pub parks: bool,
}

impl Replica {
    /// Judges what came and what that wakes of the parked, until nothing more can be judged; then stores
    /// what was admitted if the document names this node, and parks the rest.
    pub(super) fn take_in(&mut self, doc: DocId, fresh: Vec<Parked>, shelf: &dyn Shelf) -> Intake {
        let base = self.loaded.ahead(&doc, shelf, &self.rosters);
        let mut ahead = self.parking.ground(&doc, &base);
        let aside = !Arc::ptr_eq(&base, &ahead);
        let first_new = self.parking.next_turn();
        // Without anything new it is asked whether the document names this node by now.
        let mut names = fresh.is_empty();
        let mut work = VecDeque::from(self.parking.take_woken(&doc));
        work.extend(fresh.into_iter().map(|parked| self.parking.with_turn(parked)));
        let mut admitted: Vec<Pending> = Vec::new();
        let mut left: BTreeMap<Need, Vec<Parked>> = BTreeMap::new();
        while let Some(parked) = work.pop_front() {
            let here = Need::Parent(parked.id);
            match self.judge(parked, &mut ahead, shelf) {
                Judged::Admitted(pair) => {
                    names |=
                        !aside || grows_by(pair.1.envelope.operation()) || ahead.proofs().next().is_some();
                    admitted.push(*pair);
                }
                Judged::Waits(parked, need) => {
                    left.entry(need).or_default().push(*parked);
                    continue;
                }
                Judged::Done => {}
            }
            self.parking.wake(&here);
            work.extend(self.parking.take_woken(&doc));
            work.extend(left.remove(&here).into_iter().flatten());
        }
        names &= aside || !admitted.is_empty();
        let view = if names { View::of(Arc::clone(&ahead), &self.rosters) } else { None };
        let stores = view.and_then(|view| self.take_named(doc, view, &base, &mut admitted, shelf));
        if stores.is_none() {
            // It does not name us: kept aside, not shown, not advertised, never due.
            let admitted = admitted.into_iter().map(|(parked, _)| parked);
            left.entry(Need::Naming(doc)).or_default().extend(admitted);
        }
        let parks = self.park_all(left, first_new);
        if stores.is_none() {
            self.parking.set_aside(doc, base, ahead);
        }
        Intake { stores: stores.unwrap_or_default(), parks }
    }

    /// Stores what was admitted just now and before, if the document names this node or puts it out; none,
    /// and all of it given back, if it must wait for that.
    fn take_named(
        &mut self,
        doc: DocId,
        view: View,
        base: &Document,
        admitted: &mut Vec<Pending>,
        shelf: &dyn Shelf,
    ) -> Option<bool> {
        let entitled = view.entitled(&self.me);
        if !entitled && !self.named_by_held(&view, &self.me) {
            return None;
        }
        let ahead = Arc::clone(&view.document);
        let aside = self.parking.take_named(&doc);
        admitted.extend(aside.into_iter().filter_map(|parked| self.arrival(parked, &ahead)));
        admitted.sort_by_key(|(parked, _)| ahead.place(&parked.id));
        let all = std::mem::take(admitted);
        if entitled {
            return Some(self.queue_agreed(doc, view, base, all, shelf));
        }
        let left = self.take_leave(doc, &view, base, all, shelf);
        left.map_err(|wait| *admitted = wait).ok()
    }

    /// Parks by turns; true if any was not parked before.
    fn park_all(&mut self, left: BTreeMap<Need, Vec<Parked>>, first_new: u64) -> bool {
        let left = left.into_iter().flat_map(|(need, some)| some.into_iter().map(move |one| (one, need)));
        let mut left: Vec<(Parked, Need)> = left.collect();
        left.sort_by_key(|(parked, _)| parked.turn);
        let mut parks = false;
        for (parked, need) in left {
            parks |= parked.turn >= Some(first_new) && !self.parking.holds(&parked);
            for (peer, doc) in self.parking.park(parked, need) {
                if let Some(state) = self.peers.get_mut(&peer) {
                    state.forget_sent(&doc);
                }
            }
        }
        parks
    }

    /// A parked envelope that was admitted; how long it lay here counts to its age.
    fn arrival(&self, parked: Parked, ahead: &Document) -> Option<Pending> {
        let envelope = ahead.envelope(&parked.id)?.clone();
        let age = parked.age.plus(self.now.since(parked.arrived));
        let arrival = Arrival { envelope, from: parked.peer, age };
        Some((parked, arrival))
    }

    /// One step of one envelope: through admission if all that it names is here.
    fn judge(&mut self, parked: Parked, ahead: &mut Arc<Document>, shelf: &dyn Shelf) -> Judged {
        #[cfg(test)]
        {
            self.judged += 1;
        }
        let Stage::Verified(envelope) = &parked.stage else {
            let need = Need::Roster(parked.roster());
            return Judged::Waits(Box::new(parked), need);
        };
        // The same one twice in one message is refused once.
        if self.refusals.contains(&parked.id) {
            return Judged::Done;
        }
        if let Some(held) = ahead.envelope(&parked.id) {
            self.note_sent(&parked, held.header().parents.as_slice());
            return Judged::Done;
        }
        // Signatures are verified elsewhere, maybe under a newer chain than the one told here: an unknown
        // roster is no reason to refuse.
        let header = envelope.header();
        let strange = self.rosters.get(&header.roster).is_none();
        let waits = |id: &&EnvelopeId| !ahead.contains(id) && !self.is_refused(id, shelf);
        let lacks = strange.then_some(Need::Roster(header.roster));
        // What cannot be judged for its rules waits for no parent.
        let known = header.rules_version <= self.rules;
        let lacks =
            lacks.or_else(|| header.parents.iter().find(|id| known && waits(id)).map(|id| Need::Parent(*id)));
        if let Some(need) = lacks {
            return Judged::Waits(Box::new(parked), need);
        }
        // What is held was admitted.
        let rejected = |id: &EnvelopeId| !ahead.contains(id) && self.is_refused(id, shelf);
        let document = (!ahead.is_empty()).then_some(&**ahead);
        let ground = Ground { rosters: &self.rosters, document, rules: self.rules, rejected: &rejected };
        match admit(envelope.clone(), &ground) {
            Verdict::Admitted(envelope) => {
                self.note_sent(&parked, envelope.header().parents.as_slice());
                self.meet_own(&envelope, shelf);
                Arc::make_mut(ahead).insert(envelope.clone()).expect("its parents were looked for");
                // How long it lay here counts to its age.
                let age = parked.age.plus(self.now.since(parked.arrived));
                let arrival = Arrival { envelope, from: parked.peer, age };
                Judged::Admitted(Box::new((parked, arrival)))
            }
            Verdict::Rejected(refusal) => {
                self.refuse(&parked, refusal);
                Judged::Done
            }
            Verdict::Parked(missing) => {
                let need = match missing {
                    Missing::Roster(hash) => Need::Roster(hash),
                    Missing::Parents(parents) => {
                        parents.first().map_or(Need::Naming(parked.doc), |p| Need::Parent(*p))
                    }
                };
                Judged::Waits(Box::new(parked), need)
            }
            Verdict::Held => {
                self.hold(parked, shelf);
                Judged::Done
            }
        }
    }
}

/// What became of one envelope in one round.
enum Judged {
    Admitted(Box<Pending>),
    Waits(Box<Parked>, Need),
    Done,
}
