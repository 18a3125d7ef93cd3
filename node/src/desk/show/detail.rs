//! One incident in full: its steps, its timeline, and what this viewer may do with it now.

use std::collections::{BTreeMap, BTreeSet};

use protocol::derive;
use protocol::document::Document;
use protocol::envelope::{AdmittedEnvelope, BlobClass, BlobRef};
use protocol::fold::Fold;
use protocol::ids::{BlobId, DocId, EnvelopeId, MemberId, Millis};
use protocol::operation::{Operation, Step};

use super::{Showing, name_of, status_of, step_name};
use crate::desk::{ActError, Viewer};
use crate::store::{BlobNotes, IncidentRow, PersonId};
use crate::views::{DuplicatesView, ErasedView, IncidentDetailView, IncidentView, StepView, TimelineView};

type Traces = BTreeMap<EnvelopeId, (Millis, Option<PersonId>)>;

/// A document with what is known of it here.
pub(super) struct Told<'a> {
    pub(super) row: &'a IncidentRow,
    pub(super) document: &'a Document,
    pub(super) fold: &'a Fold,
    pub(super) traces: Traces,
    /// What is erased here because whoever told it asked to be erased.
    on_request: BTreeSet<BlobId>,
}

/// True for what says how far the answer is, and nothing else.
fn tells_how_far(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Step { .. }
            | Operation::Respond { .. }
            | Operation::Close { .. }
            | Operation::Reopen { .. }
    )
}

impl Showing<'_> {
    pub(in crate::desk) fn detail(&self, doc: DocId) -> Result<IncidentDetailView, ActError> {
        if let Some(beyond) = self.beyond(doc)? {
            return Ok(beyond);
        }
        let (row, document, fold) = self.load(doc)?;
        #[cfg(any(debug_assertions, feature = "planted-faults"))]
        crate::planted::show(document.envelopes());
        let told = self.told(&row, &document, &fold)?;
        let own = self.is_own(doc)?;
        let mut timeline = Vec::new();
        for envelope in in_order(&document) {
            timeline.extend(self.line(envelope, &told, own)?);
        }
        let (kept, merged) = self.merged(doc)?.unzip();
        let mut incident = self.as_complete_as_it_is(self.incident(&row, None)?, doc)?;
        let mut steps = self.steps(&told, &timeline);
        let mut may = self.may(&row, &fold, own);
        if let Some(kept) = kept.filter(|_| own) {
            may = self.follow(kept, &mut incident, &mut steps, &mut timeline)?.unwrap_or(may);
        }
        let involved = fold.audience.involved.iter().map(|member| self.node(member)).collect();
        let heads = derive::heads(&document).unwrap_or_else(|error| {
            tracing::error!(%error, %doc, "a document could not be derived");
            Vec::new()
        });
        let operator = matches!(self.viewer, Viewer::Operator(_));
        Ok(IncidentDetailView {
            incident,
            steps,
            involved,
            reachable: self.reachable(&row),
            heads,
            may,
            referrals: self.referrals(&told),
            services: self.services(),
            service: self.service_of(row.kind),
            duplicates: if operator { self.duplicates(&row, &fold)? } else { DuplicatesView::default() },
            merged,
            disputes: self.disputes(&timeline, &fold),
            retired: row.retired,
            timeline,
            reporter: self.reporter(doc)?,
        })
    }

    fn told<'b>(
        &self,
        row: &'b IncidentRow,
        document: &'b Document,
        fold: &'b Fold,
    ) -> Result<Told<'b>, ActError> {
        let (traces, on_request) = (self.r.traces(row.doc)?, self.r.gone_on_request(row.doc)?);
        Ok(Told { row, document, fold, traces, on_request })
    }

    /// What a reporter is shown of the incident that stays: how far it is, never what others told.
    fn follow(
        &self,
        kept: DocId,
        incident: &mut IncidentView,
        steps: &mut Vec<StepView>,
        timeline: &mut Vec<TimelineView>,
    ) -> Result<Option<Vec<String>>, ActError> {
        let row = self.r.incident(kept)?.ok_or(ActError::NotFound)?;
        let Some(document) = self.r.document(kept)? else { return Ok(None) };
        let Some(fold) = Fold::of(&document, &self.desk.rosters()) else { return Ok(None) };
        let told = self.told(&row, &document, &fold)?;
        steps.truncate(1);
        steps.extend(self.steps(&told, &[]).into_iter().skip(1));
        incident.status = status_of(&row).to_owned();
        incident.outcome = row.outcome.map(|outcome| name_of(&outcome));
        incident.owner = self.desk.member_name(&row.owner);
        incident.owner_id = row.owner.to_string();
        incident.ours = row.owner == self.desk.us();
        for envelope in in_order(&document).into_iter().filter(|e| tells_how_far(e.operation())) {
            let line = self.line(envelope, &told, false)?;
            timeline.extend(line.map(|line| TimelineView { text: None, photos: Vec::new(), ..line }));
        }
        timeline.sort_by_key(|line| line.written_ms);
        Ok(Some(self.may(&row, &fold, true)))
    }

    /// The steps in order; each reached one with the first time that it was taken.
    fn steps(&self, told: &Told<'_>, timeline: &[TimelineView]) -> Vec<StepView> {
        let Told { document, fold, traces, .. } = told;
        let stored = document.genesis().and_then(|genesis| traces.get(&genesis.id()));
        let author = document.genesis().map(|genesis| self.desk.member_name(&genesis.header().author));
        let mut steps = vec![StepView {
            step: "stored".into(),
            at_ms: stored.map(|(received, _)| received.0),
            node: author,
            photos: Vec::new(),
        }];
        for step in Step::ALL {
            let taken = fold.steps.iter().find(|taken| taken.step == *step);
            let photos =
                taken.map(|taken| photos_after(document, &taken.envelope, timeline)).unwrap_or_default();
            steps.push(StepView {
                step: if *step == Step::Received { "seen" } else { step_name(*step) }.into(),
                at_ms: taken.map(|taken| taken.written_at.0),
                node: taken.map(|taken| self.desk.member_name(&taken.author)),
                photos,
            });
        }
        steps
    }

    /// One line of the timeline; none for what this viewer is not shown.
    fn line(
        &self,
        envelope: &AdmittedEnvelope,
        told: &Told<'_>,
        own: bool,
    ) -> Result<Option<TimelineView>, ActError> {
        let Told { row, fold, traces, .. } = told;
        let class = |blob: &BlobRef| {
            if fold.released.contains(&blob.id) { BlobClass::Shared } else { blob.class }
        };
        let (header, operation) = (envelope.header(), envelope.operation());
        let operator = matches!(self.viewer, Viewer::Operator(_));
        let only_for_desks = matches!(operation, Operation::Note { .. } | Operation::Media { .. })
            && header.blobs.iter().all(|blob| class(blob) != BlobClass::Shared);
        let photo_for_reporter = own && matches!(operation, Operation::Media { .. });
        if only_for_desks && !operator && !photo_for_reporter {
            return Ok(None);
        }
        let (mut text, mut photos, mut pending, mut words_id) = (None, Vec::new(), false, None);
        let (mut erased, mut releasable, mut released) = (Vec::new(), Vec::new(), Vec::new());
        for blob in &header.blobs {
            let on_request = told.on_request.contains(&blob.id);
            if on_request || fold.redacted.contains_key(&blob.id) {
                erased.push(self.erased(blob, fold, on_request));
                continue;
            }
            // A neighbour reads their own words, never what others told the desk.
            let words_of_others = !operator && class(blob) != BlobClass::Shared && !header.is_genesis();
            let photo = matches!(operation, Operation::Media { .. });
            if !self.desk.may_see_blob(self.r, self.viewer, header.doc, class(blob))?
                || (words_of_others && !photo)
            {
                continue;
            }
            if fold.released.contains(&blob.id) {
                released.push(blob.id.to_string());
            }
            let notes = if photo { None } else { self.r.words(&blob.id)? };
            let held = notes.is_some() || (photo && self.r.has_blob(&blob.id)?);
            pending |= !held;
            if held && !fold.released.contains(&blob.id) && self.is_releasable(row, blob, notes.as_ref()) {
                releasable.push(blob.id.to_string());
            }
            if photo {
                photos.push(blob.id.to_string());
            } else {
                words_id = Some(blob.id.to_string()).filter(|_| operator);
                text = notes.as_ref().map(whole_text).filter(|text| !text.is_empty()).or(text);
            }
        }
        let trace = traces.get(&envelope.id());
        let by = trace.and_then(|(_, person)| *person).filter(|_| operator);
        Ok(Some(TimelineView {
            id: envelope.id().to_string(),
            what: operation.name().replace(' ', "_"),
            detail: detail_of(operation),
            node: self.desk.member_name(&header.author),
            by: by.and_then(|person| self.operator_by_id(person)),
            written_ms: header.written_at.0,
            received_ms: trace.map_or(header.written_at.0, |(received, _)| received.0),
            text,
            detail_pending: pending,
            photos,
            words: words_id,
            releasable,
            released,
            erased,
            other_node: operation.other_member().map(|member| self.desk.member_name(&member)),
            confirmed: !fold.unconfirmed.contains(&envelope.id()),
        }))
    }

    /// Something that is erased, and who has said that it is gone there.
    fn erased(&self, blob: &BlobRef, fold: &Fold, on_request: bool) -> ErasedView {
        let id = blob.id.to_string();
        let Viewer::Operator(_) = self.viewer else {
            return ErasedView { id, gone_at: Vec::new(), waiting_for: Vec::new(), on_request };
        };
        let gone = fold.redacted.get(&blob.id).cloned().unwrap_or_default();
        let class = if fold.released.contains(&blob.id) { BlobClass::Shared } else { blob.class };
        let rosters = self.desk.rosters();
        let holds =
            |member: &MemberId| fold.audience.entitled_to_blob(member, class) && rosters.head().good(member);
        let waiting = fold.audience.members().filter(|member| holds(member) && !gone.contains(member));
        let name = |member: MemberId| self.desk.member_name(&member);
        ErasedView {
            id,
            waiting_for: waiting.map(name).collect(),
            gone_at: gone.into_iter().map(name).collect(),
            on_request,
        }
    }

    /// Where an operator may send it: neighbours and services that are still good.
    fn reachable(&self, row: &IncidentRow) -> Vec<crate::views::NodeNameView> {
        let Viewer::Operator(_) = self.viewer else { return Vec::new() };
        let rosters = self.desk.rosters();
        let (roster, us) = (rosters.head(), self.desk.us());
        let mut reachable = roster.neighbours(us);
        let services = roster.members().iter().filter(|member| {
            member.roles.has(protocol::roster::Role::Service)
                || roster.receiving_node(row.code) == Some(member.id)
        });
        reachable.extend(services.map(|member| member.id));
        reachable.sort_unstable();
        reachable.dedup();
        let good = reachable.iter().filter(|member| **member != us && roster.good(member));
        let mut nodes: Vec<_> = good.map(|member| self.node(member)).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes
    }

    /// What this viewer may do now, by the names of the API.
    fn may(&self, row: &IncidentRow, fold: &Fold, own: bool) -> Vec<String> {
        if row.retired {
            return Vec::new();
        }
        let us = self.desk.us();
        let involved = fold.audience.involved.contains(&us);
        let (ours, open) = (row.owner == us, row.outcome.is_none());
        let mut may: Vec<String> = Vec::new();
        match self.viewer {
            Viewer::Nobody => {}
            Viewer::Resident(_) => {
                let ended = !open || row.step == Some(Step::Resolved);
                if own {
                    may.push("media".into());
                }
                if own && ended {
                    may.push("solved".into());
                }
                if open && (own || involved) {
                    may.push("contribute".into());
                }
            }
            Viewer::Operator(_) if !involved => {}
            Viewer::Operator(_) => {
                if ours && open {
                    if row.step.is_none_or(|step| step == Step::Received) {
                        may.push("claim".into());
                    }
                    let next = Step::ALL.iter().filter(|step| row.step.is_none_or(|now| **step > now));
                    may.extend(next.map(|step| format!("step:{}", step_name(*step))));
                    may.extend(["invite", "offer", "close", "refer", "relocate"].map(str::to_owned));
                }
                let of_owner: &[&str] = if ours { &["reclassify", "link", "release"] } else { &["dispute"] };
                may.extend(of_owner.iter().map(|act| (*act).to_owned()));
                if ours && !open {
                    may.push("reopen".into());
                }
                let mut offers = [fold.takeover, fold.offer].into_iter().flatten();
                if offers.any(|offer| offer.to == us && offer.accept.is_none()) {
                    may.extend(["accept", "decline"].map(str::to_owned));
                }
                if open {
                    may.extend(["on_the_way", "on_site"].map(|response| format!("respond:{response}")));
                }
                may.extend(["respond:clear", "note", "redact"].map(str::to_owned));
            }
        }
        may
    }
}

/// The envelopes as every node lists them: parents before children, and between those that nothing
/// orders, the one that says it was written first, then the smaller id.
fn in_order(document: &Document) -> Vec<&AdmittedEnvelope> {
    let mut waits: BTreeMap<EnvelopeId, usize> = BTreeMap::new();
    let mut children: BTreeMap<EnvelopeId, Vec<&AdmittedEnvelope>> = BTreeMap::new();
    let mut ready = BTreeMap::new();
    let place = |envelope: &AdmittedEnvelope| (envelope.header().written_at, envelope.id());
    for envelope in document.envelopes() {
        let parents = &envelope.header().parents;
        waits.insert(envelope.id(), parents.len());
        for parent in parents {
            children.entry(*parent).or_default().push(envelope);
        }
        if parents.is_empty() {
            ready.insert(place(envelope), envelope);
        }
    }
    let mut ordered = Vec::new();
    while let Some((_, envelope)) = ready.pop_first() {
        ordered.push(envelope);
        for child in children.remove(&envelope.id()).unwrap_or_default() {
            let left = waits.get_mut(&child.id()).expect("every envelope was counted above");
            *left -= 1;
            if *left == 0 {
                ready.insert(place(child), child);
            }
        }
    }
    ordered
}

/// Photos that the same node added after taking a step and before taking its next one.
fn photos_after(document: &Document, step: &EnvelopeId, timeline: &[TimelineView]) -> Vec<String> {
    let Some(taken) = document.envelope(step) else { return Vec::new() };
    let author = taken.header().author;
    let mut after = document
        .envelopes()
        .filter(|e| e.header().author == author && e.chain_place() > taken.chain_place())
        .collect::<Vec<_>>();
    after.sort_by_key(|e| e.chain_place());
    let until_next = after.into_iter().take_while(|e| !matches!(e.operation(), Operation::Step { .. }));
    let ids: Vec<String> = until_next
        .filter(|e| matches!(e.operation(), Operation::Media { .. }))
        .map(|e| e.id().to_string())
        .collect();
    let lines = timeline.iter().filter(|line| ids.contains(&line.id));
    lines.flat_map(|line| line.photos.iter().cloned()).collect()
}

/// The words with the address that was told, as one text.
fn whole_text(words: &BlobNotes) -> String {
    match (words.address.is_empty(), words.text.is_empty()) {
        (true, _) => words.text.clone(),
        (false, true) => words.address.clone(),
        (false, false) => format!("{}\n{}", words.address, words.text),
    }
}

fn detail_of(operation: &Operation) -> Option<String> {
    match operation {
        Operation::Open(open) => Some(name_of(&open.source)),
        Operation::Step { step, .. } => Some(name_of(step)),
        Operation::Close { outcome, .. } => Some(name_of(outcome)),
        Operation::Reopen { reason, .. } => Some(name_of(reason)),
        Operation::Respond { response, .. } => Some(name_of(response)),
        Operation::Contribution { what, .. } => Some(name_of(what)),
        Operation::Offer { reason, .. } | Operation::Decline { reason, .. } => Some(name_of(reason)),
        Operation::AnswerReferral { answer, .. } => Some(name_of(answer)),
        Operation::Dispute { what, .. } => Some(name_of(what)),
        Operation::Refer { service, .. } => Some(name_of(service)),
        Operation::Reclassify { .. }
        | Operation::Relocate(_)
        | Operation::Absorb { .. }
        | Operation::Link { .. }
        | Operation::Unlink { .. }
        | Operation::TakeoverOffer { .. }
        | Operation::TakeoverCommit { .. }
        | Operation::Seal { .. }
        | Operation::Release { .. }
        | Operation::Redact { .. }
        | Operation::Erased { .. }
        | Operation::Retire
        | Operation::NoticeOpen(_)
        | Operation::NoticeUpdate(_)
        | Operation::NoticeCancel { .. }
        | Operation::Invite { .. }
        | Operation::Note { .. }
        | Operation::Media { .. }
        | Operation::Accept { .. }
        | Operation::Commit { .. }
        | Operation::Summary(_) => None,
    }
}
