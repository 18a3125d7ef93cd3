//! A node's own machinery: its replica is handed what happens, what that asks for is carried out, and
//! its writer commits one thing after another.

use super::node::Write;
use super::world::{Event, World};
use crate::author::Draft;
use crate::envelope::{AdmittedEnvelope, SignedEnvelope};
use crate::ids::{BlobId, DocId, EnvelopeId, MemberId, Millis};
use crate::limits::PARKED_BYTES_MAX;
use crate::message::{BlobWant, InlineBlob, Lane, Message};
use crate::operation::Operation;
use crate::replica::{Input, Output};
use crate::roster::{Added, RosterChain, SignedRoster};

impl World {
    pub fn handle(&mut self, n: usize, input: Input) -> Result<(), String> {
        let now = self.now;
        let node = self.node_mut(n);
        if !node.up {
            return Ok(());
        }
        let clock = node.clock(now);
        let unasked = matches!(input, Input::Tick) && clock < node.replica.next_wake();
        node.replica.handle(clock, input, &node.disk);
        let (count, bytes) = node.replica.parked();
        if bytes > PARKED_BYTES_MAX {
            return Err(format!("node {n} has parked {count} envelopes of {bytes} bytes"));
        }
        self.report.parked = self.report.parked.max(u64::try_from(count).unwrap_or(u64::MAX));
        while let Some(output) = self.node_mut(n).replica.poll_output() {
            if unasked {
                check_unasked(n, &output)?;
            }
            self.carry_out(n, output)?;
        }
        let wait = self.node(n).replica.next_wake().since(clock).0.max(1);
        let wake = now.plus(Millis(wait));
        if self.node(n).wake_at.is_none_or(|at| wake < at || at <= now) {
            self.node_mut(n).wake_at = Some(wake);
            self.at(wait, Event::Wake(n));
        }
        self.tick_unasked(n);
        Ok(())
    }

    /// `next_wake` is when a tick is wanted at the latest: now and then another one comes before it.
    fn tick_unasked(&mut self, n: usize) {
        if self.tick_dice.chance(self.settings.ticks_per_mille) {
            self.report.count("tick that nobody asked for");
            let latest = *self.tick_dice.pick(&[0, 5, 100, 2_000]).unwrap_or(&0);
            let wait = self.tick_dice.between(0, latest);
            self.at(wait, Event::Tick(n));
        }
    }

    pub fn wake(&mut self, n: usize) -> Result<(), String> {
        if self.node(n).wake_at.is_none_or(|at| at > self.now) {
            return Ok(());
        }
        self.node_mut(n).wake_at = None;
        self.handle(n, Input::Tick)
    }

    fn carry_out(&mut self, n: usize, output: Output) -> Result<(), String> {
        match output {
            Output::Send { peer, lane, message } => {
                self.check_sent(n, &peer, &message)?;
                if let Message::Gone(_) = message {
                    self.report.count("answered gone");
                }
                let twisted = if self.node(n).hostile { self.twist(n, message) } else { Some(message) };
                if let Some(message) = twisted {
                    self.send(n, &peer, lane, &message);
                }
            }
            Output::Store { doc, envelopes, blobs, proofs, .. } => {
                self.check_store_wanted(n, &doc)?;
                self.queue(n, Write::Store { doc, envelopes, blobs, proofs });
            }
            Output::RecordRefusal { id, refusal, bytes, .. } => {
                self.report.rejected += 1;
                let author = SignedEnvelope::decode(&bytes).map(|envelope| envelope.header().author);
                if !author.is_ok_and(|author| self.is_hostile_member(&author)) && !self.node(n).hostile {
                    return Err(format!("node {n} refused an honest envelope: {refusal}"));
                }
                self.queue(n, Write::Refusal(id, refusal));
            }
            Output::Hold(held) => self.hold(n, held)?,
            Output::LetGo { ids } => self.node_mut(n).disk.kept.let_go(|held| ids.contains(held)),
            Output::NoteGone { peer, doc, retired } => {
                self.report.count("kept without what is gone");
                self.node_mut(n).disk.note_gone(peer, doc, retired);
            }
            Output::NoteHolder { peer, doc } => {
                self.report.count("dropped under a holder that was let in");
                self.node_mut(n).disk.note_holder(peer, doc);
            }
            Output::ForgetGone { peer, doc } => self.node_mut(n).disk.forget_gone(peer, doc),
            Output::Blame { peer, .. } if self.is_hostile_member(&peer) => self.report.blamed += 1,
            Output::Blame { fault, .. } => return Err(format!("an honest node was blamed: {fault}")),
            Output::ClearDue { peer, doc, at } => self.queue(n, Write::ClearDue(peer, doc, at)),
            Output::SetDue { peer, docs } => self.queue(n, Write::SetDue(peer, docs)),
            // The simulator's disks keep no hashes.
            Output::ForgetDigest { .. } => {}
            Output::InStep { .. } => self.report.in_step += 1,
            Output::FetchBlob { doc, blob, candidates } => self.fetch_blob(n, doc, blob.id, &candidates),
            Output::ServeBlob { peer, blob, .. } => self.serve_blob(n, &peer, &blob)?,
            Output::OfferRoster { bytes, .. } => self.offer_roster(n, &bytes)?,
            Output::StoreContact(_) => {}
            Output::AutoCommit { doc, operation } => {
                if let Operation::Seal { .. } = operation {
                    self.report.count("own word sealed under a new key");
                }
                self.queue_local(n, Some(doc), operation, Vec::new());
            }
            Output::Unlock { doc } => self.node_mut(n).disk.unlock(&doc),
            Output::UnlockShared { peer } => self.node_mut(n).disk.unlock_shared(&peer),
            Output::Raise { .. } => {
                let random = u32::try_from(self.dice.draw() >> 32).unwrap_or(7);
                let disk = &mut self.node_mut(n).disk;
                disk.restore(disk.mark, random);
                self.report.count("rolled back and raised");
            }
            Output::Twin { .. } if self.node(n).hostile => {}
            Output::Twin { evidence, .. } => self.notice_twin(n, evidence)?,
            Output::Disconnect { peer, .. } => {
                if let Some(other) = self.session(n, &peer) {
                    self.cut(n, other)?;
                }
            }
        }
        Ok(())
    }

    fn fetch_blob(&mut self, n: usize, doc: DocId, blob: BlobId, from: &[MemberId]) {
        if let Some(holder) = self.dice.pick(from).copied() {
            let want = Message::BlobWant(BlobWant { doc, blob, from_piece: 0 });
            self.send(n, &holder, Lane::Blobs, &want);
        }
    }

    fn serve_blob(&mut self, n: usize, peer: &MemberId, id: &BlobId) -> Result<(), String> {
        let blob = self.node(n).disk.blobs.get(id).cloned().ok_or("a blob was served that is not here")?;
        if let Some(node) = self.session(n, peer) {
            let life = self.node(node).life;
            self.after(5, 200, Event::BlobCame { node, life, blob });
        }
        Ok(())
    }

    fn offer_roster(&mut self, n: usize, bytes: &[u8]) -> Result<(), String> {
        let signed =
            SignedRoster::decode(bytes).map_err(|e| format!("a roster of ours does not parse: {e}"))?;
        let mut chain = self.node(n).disk.rosters.clone();
        if let Ok(Added::Head | Added::Fork) = chain.add(signed) {
            self.take_rosters(n, chain);
        }
        Ok(())
    }

    /// A node keeps a grown chain, and its replica is told.
    pub fn take_rosters(&mut self, n: usize, rosters: RosterChain) {
        let slept = rosters.head().version.saturating_sub(self.node(n).disk.rosters.head().version);
        if slept >= 3 {
            self.report.count("roster: three versions at once");
        }
        self.node_mut(n).disk.set_rosters(rosters.clone());
        let life = self.node(n).life;
        // All take as long: the replica is never told of an older chain after a newer one.
        self.after(1, 1, Event::Tell { node: n, life, input: Input::RosterChanged(rosters) });
    }

    // ---- the writer

    /// Puts a write in the queue; every write has its own turn.
    pub fn queue(&mut self, n: usize, write: Write) {
        let (life, most) = (self.node(n).life, self.node(n).commit_ms);
        self.node_mut(n).queue.push_back(write);
        self.after(1, most, Event::Write { node: n, life });
    }

    pub fn write(&mut self, n: usize) -> Result<(), String> {
        let (now, life, stuck) = (self.now, self.node(n).life, self.node(n).stuck_until);
        if stuck > now && !self.calm() {
            let wait = stuck.since(now).0;
            self.after(wait, wait + 5, Event::Write { node: n, life });
            return Ok(());
        }
        let Some(write) = self.node_mut(n).queue.pop_front() else { return Ok(()) };
        let wall = self.node(n).wall(now);
        match write {
            Write::Local { doc, draft, blobs } => self.write_local(n, doc, &draft, blobs)?,
            Write::Store { doc, envelopes, blobs, proofs } => {
                let fails = !self.calm() && self.dice.chance(self.settings.store_failures_per_mille);
                let input = if fails { Input::StoreFailed { doc } } else { Input::Stored { doc } };
                if fails {
                    self.report.count("store failed");
                } else {
                    self.note_judged(n, &envelopes);
                    self.node_mut(n).disk.store(wall, doc, &envelopes, blobs);
                    self.node_mut(n).disk.keep_proofs(wall, doc, proofs);
                    let new: Vec<EnvelopeId> = envelopes.iter().map(|e| e.envelope.id()).collect();
                    self.changed(n, &doc, &new)?;
                }
                self.after(0, 5, Event::Tell { node: n, life, input });
            }
            Write::Blob(blob) => {
                let input = Input::BlobStored { blob: blob.id };
                self.node_mut(n).disk.store_blob(blob);
                self.after(0, 5, Event::Tell { node: n, life, input });
            }
            Write::Refusal(id, refusal) => {
                let disk = &mut self.node_mut(n).disk;
                disk.refused.insert(id, refusal);
                disk.kept.let_go(|held| *held == id);
            }
            Write::ClearDue(peer, doc, at) => {
                self.node_mut(n).disk.clear_due(peer, doc, at);
                self.check_due(n, &doc)?;
            }
            Write::SetDue(peer, docs) => {
                for doc in docs {
                    self.node_mut(n).disk.set_due(wall, peer, doc);
                }
            }
        }
        Ok(())
    }

    fn write_local(
        &mut self,
        n: usize,
        doc: Option<DocId>,
        draft: &Draft,
        blobs: Vec<InlineBlob>,
    ) -> Result<(), String> {
        let (wall, node) = (self.node(n).wall(self.now), self.node(n));
        let (disk, begins) = (&node.disk, doc.is_none());
        let knows = (disk.rules, disk.incarnation);
        let Some((hand, named)) = self.league.hand_and_roster(node.member, begins, &disk.rosters, knows)
        else {
            self.report.refuse(&draft.operation);
            return Ok(());
        };
        if begins && self.league.hand(node.member, &disk.rosters, disk.incarnation).is_none() {
            self.report.count("opened without a valid key");
        }
        match self.node_mut(n).disk.write_under(wall, doc, draft, blobs, (&hand, &named)) {
            Ok(envelope) => self.wrote(n, vec![envelope])?,
            Err(error) => {
                self.remarks.push(format!("node {n} may not write {}: {error:?}", draft.operation.name()));
                self.report.refuse(&draft.operation);
            }
        }
        Ok(())
    }

    /// Envelopes of one document that a node has written and stored.
    pub fn wrote(&mut self, n: usize, envelopes: Vec<AdmittedEnvelope>) -> Result<(), String> {
        let Some(doc) = envelopes.first().map(|envelope| envelope.header().doc) else { return Ok(()) };
        let life = self.node(n).life;
        for envelope in &envelopes {
            self.report.wrote(envelope.operation());
            self.note_ghost(n, envelope);
            self.node_mut(n).acknowledged.insert(envelope.id(), doc);
        }
        let new: Vec<EnvelopeId> = envelopes.iter().map(AdmittedEnvelope::id).collect();
        self.changed(n, &doc, &new)?;
        self.after(0, 5, Event::Tell { node: n, life, input: Input::Wrote { doc, envelopes } });
        Ok(())
    }

    /// A document on a node's disk has grown: it is checked, and the node does what it does by itself.
    fn changed(&mut self, n: usize, doc: &DocId, new: &[EnvelopeId]) -> Result<(), String> {
        if self.node(n).disk.kept.dropped.contains_key(doc) {
            return Ok(());
        }
        self.check_document(n, doc, new)?;
        self.check_noticed(n, doc, new)?;
        self.give_receipts(n, doc);
        Ok(())
    }
}

/// A tick before its time tells peers what is committed by then, and concludes nothing.
fn check_unasked(n: usize, output: &Output) -> Result<(), String> {
    if let Output::Send { .. } | Output::ClearDue { .. } | Output::ForgetDigest { .. } = output {
        return Ok(());
    }
    Err(format!("node {n} does {output:?} because of a tick that nobody asked for"))
}
