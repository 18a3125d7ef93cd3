//! Answering an incident: what operators do with it, and what neighbours add to it.

use protocol::author::Draft;
use protocol::document::Document;
use protocol::envelope::{AdmittedEnvelope, BlobClass, BlobRef};
use protocol::fold::Fold;
use protocol::ids::{DocId, EnvelopeId, MemberId, Pseudonym};
use protocol::kind::Kind;
use protocol::operation::{
    ContributionKind, HandoffReason, Operation, Outcome, ReopenReason, Response, Step,
};

use super::alerts::clipped;
use super::show::audit_read;
use super::{ActError, Desk, Viewer};
use crate::store::limits::FIELD_BYTES_MAX;
use crate::store::{AuditEntry, BlobNotes, IncidentRow, PersonId, Queue, StagedBlob, Tx};
use crate::views::IncidentDetailView;

/// "Was it solved?"
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solved {
    /// Yes.
    Yes,
    /// Partly.
    Partly,
    /// No: the incident is opened again if it was closed.
    No,
}

/// What an act sees of the incident, inside the transaction.
pub(super) struct Scene<'a> {
    pub(super) row: IncidentRow,
    pub(super) fold: Fold,
    pub(super) us: MemberId,
    /// Who acts, as this document knows them.
    pub(super) by: Pseudonym,
    /// The kind that it was opened as.
    pub(super) opened_as: Option<&'static Kind>,
    pub(super) tx: &'a Tx<'a>,
}

impl Scene<'_> {
    pub(super) fn ours(&self) -> bool {
        self.row.owner == self.us
    }

    /// Only the owner may, open or closed.
    pub(super) fn owner_only(&self) -> Result<(), ActError> {
        if self.ours() { Ok(()) } else { Err(ActError::NotNow) }
    }

    /// Only the owner may, and only while it is open.
    pub(super) fn owner_of_open(&self) -> Result<(), ActError> {
        if self.row.outcome.is_none() { self.owner_only() } else { Err(ActError::NotNow) }
    }

    /// The offer that waits for this node's answer: of the authority of a lost owner, or of the owner.
    fn offer_to_us(&self) -> Result<EnvelopeId, ActError> {
        let offers = [self.fold.takeover, self.fold.offer].into_iter().flatten();
        let mut to_us = offers.filter(|offer| offer.to == self.us && offer.accept.is_none());
        to_us.next().map(|offer| offer.envelope).ok_or(ActError::NotNow)
    }

    fn other_member(&self, member: MemberId) -> Result<(), ActError> {
        let rosters = self.tx.rosters();
        let known = member != self.us && rosters.head().good(&member);
        if known { Ok(()) } else { Err(ActError::Field("node")) }
    }
}

/// What an act writes: nothing if it is done already.
pub(super) type Made = Result<Vec<Operation>, ActError>;

impl Desk {
    /// Takes an incident of ours on. Claiming one's own again is no error.
    pub async fn claim(&self, viewer: Viewer, doc: DocId) -> Result<IncidentDetailView, ActError> {
        if self.see_held(viewer, doc).await? {
            return self.incident(viewer, doc).await;
        }
        self.operate(viewer, doc, None, |scene| {
            scene.owner_of_open()?;
            match (scene.row.step, scene.row.claimed) {
                (None, _) => Ok(vec![Operation::Step { step: Step::Received, by: scene.by }]),
                (Some(_), Some(by)) if by == scene.by => Ok(Vec::new()),
                (Some(Step::Received), _) => Ok(vec![Operation::Step { step: Step::Received, by: scene.by }]),
                (Some(_), _) => Err(ActError::NotNow),
            }
        })
        .await
    }

    /// Takes the next step of an incident of ours. Steps only go forward; the same one again is no error.
    pub async fn step(&self, viewer: Viewer, doc: DocId, step: Step) -> Result<IncidentDetailView, ActError> {
        self.operate(viewer, doc, None, move |scene| {
            scene.owner_of_open()?;
            match scene.row.step {
                Some(current) if current == step => Ok(Vec::new()),
                Some(current) if current > step => Err(ActError::NotNow),
                Some(_) => Ok(vec![Operation::Step { step, by: scene.by }]),
                None if step == Step::Received => Ok(vec![Operation::Step { step, by: scene.by }]),
                // Whoever calls or sends somebody has seen it.
                None => Ok(vec![
                    Operation::Step { step: Step::Received, by: scene.by },
                    Operation::Step { step, by: scene.by },
                ]),
            }
        })
        .await
    }

    /// A crew of this node moves, on an incident of ours or of a neighbour.
    pub async fn respond(
        &self,
        viewer: Viewer,
        doc: DocId,
        response: Response,
        crew: &str,
    ) -> Result<IncidentDetailView, ActError> {
        let crew = crew.trim().to_owned();
        if crew.is_empty() || crew.len() > FIELD_BYTES_MAX {
            return Err(ActError::Field("crew"));
        }
        self.operate(viewer, doc, None, move |scene| {
            let crew = scene.tx.crew_pseudonym(&crew, doc);
            if scene.row.outcome.is_some() && response != Response::Clear {
                return Err(ActError::NotNow);
            }
            Ok(vec![Operation::Respond { response, crew }])
        })
        .await
    }

    /// Words for the desks, or, `shared`, for everybody who holds the incident.
    pub async fn note(
        &self,
        viewer: Viewer,
        doc: DocId,
        text: &str,
        shared: bool,
    ) -> Result<IncidentDetailView, ActError> {
        let class = if shared { BlobClass::Shared } else { BlobClass::Responders };
        let words = self.stage_words(text).await?.ok_or(ActError::Field("text"))?;
        self.operate(viewer, doc, Some((class, words)), move |scene| {
            if shared && !scene.ours() {
                return Err(ActError::NotNow);
            }
            Ok(vec![Operation::Note { by: scene.by }])
        })
        .await
    }

    /// Brings another node in.
    pub async fn invite_node(
        &self,
        viewer: Viewer,
        doc: DocId,
        node: MemberId,
    ) -> Result<IncidentDetailView, ActError> {
        self.operate(viewer, doc, None, move |scene| {
            scene.owner_of_open()?;
            scene.other_member(node)?;
            let known = scene.fold.audience.involved.contains(&node);
            Ok(if known { Vec::new() } else { vec![Operation::Invite { member: node }] })
        })
        .await
    }

    /// Offers an incident of ours to another node; it stays ours until that is accepted and committed.
    pub async fn offer(
        &self,
        viewer: Viewer,
        doc: DocId,
        to: MemberId,
        reason: HandoffReason,
    ) -> Result<IncidentDetailView, ActError> {
        self.operate(viewer, doc, None, move |scene| {
            scene.owner_of_open()?;
            scene.other_member(to)?;
            match scene.fold.offer {
                Some(offer) if offer.to == to && offer.accept.is_none() => Ok(Vec::new()),
                Some(_) | None => Ok(vec![Operation::Offer { to, reason }]),
            }
        })
        .await
    }

    /// Accepts the offer that waits for this node.
    pub async fn accept(&self, viewer: Viewer, doc: DocId) -> Result<IncidentDetailView, ActError> {
        self.operate(viewer, doc, None, |scene| Ok(vec![Operation::Accept { offer: scene.offer_to_us()? }]))
            .await
    }

    /// Declines the offer that waits for this node.
    pub async fn decline(
        &self,
        viewer: Viewer,
        doc: DocId,
        reason: HandoffReason,
    ) -> Result<IncidentDetailView, ActError> {
        self.operate(viewer, doc, None, move |scene| {
            Ok(vec![Operation::Decline { offer: scene.offer_to_us()?, reason }])
        })
        .await
    }

    /// Closes an incident of ours.
    pub async fn close(
        &self,
        viewer: Viewer,
        doc: DocId,
        outcome: Outcome,
    ) -> Result<IncidentDetailView, ActError> {
        self.operate(viewer, doc, None, move |scene| {
            if scene.ours() && scene.row.outcome == Some(outcome) {
                return Ok(Vec::new());
            }
            scene.owner_of_open()?;
            Ok(vec![Operation::Close { outcome, by: scene.by }])
        })
        .await
    }

    /// Opens a closed incident of ours again.
    pub async fn reopen(
        &self,
        viewer: Viewer,
        doc: DocId,
        reason: ReopenReason,
    ) -> Result<IncidentDetailView, ActError> {
        self.operate(viewer, doc, None, move |scene| {
            if !scene.ours() || scene.row.outcome.is_none() {
                return Err(ActError::NotNow);
            }
            Ok(vec![Operation::Reopen { reason, by: scene.by }])
        })
        .await
    }

    /// A neighbour adds what they know to an incident that is not private.
    pub async fn contribute(
        &self,
        viewer: Viewer,
        doc: DocId,
        what: ContributionKind,
        text: &str,
    ) -> Result<IncidentDetailView, ActError> {
        let Viewer::Resident(person) = viewer else { return Err(ActError::NotForYou) };
        let about_end = matches!(
            what,
            ContributionKind::SolvedYes | ContributionKind::SolvedPartly | ContributionKind::SolvedNo
        );
        if about_end {
            return Err(ActError::Field("what"));
        }
        let words = self.stage_words(text).await?;
        if what == ContributionKind::Information && words.is_none() {
            return Err(ActError::Field("text"));
        }
        self.check_visible(viewer, doc).await?;
        let words = words.map(|words| (BlobClass::Responders, words));
        let thread = self.thread_of(viewer, doc).await?;
        self.write_act(viewer, person, thread, words, String::new(), move |scene| {
            if scene.row.outcome.is_some() {
                return Err(ActError::NotNow);
            }
            Ok(vec![Operation::Contribution { what, by: scene.by }])
        })
        .await?;
        self.incident(viewer, doc).await
    }

    /// The reporter answers "was it solved?". A no opens a closed incident of ours again.
    pub async fn answer_solved(
        &self,
        viewer: Viewer,
        doc: DocId,
        answer: Solved,
    ) -> Result<IncidentDetailView, ActError> {
        let Viewer::Resident(person) = viewer else { return Err(ActError::NotForYou) };
        let alert = self.store().read(move |r| r.alert_of(doc)).await?;
        if alert.is_none_or(|alert| alert.reporter != Some(person)) {
            return Err(ActError::NotFound);
        }
        let what = match answer {
            Solved::Yes => ContributionKind::SolvedYes,
            Solved::Partly => ContributionKind::SolvedPartly,
            Solved::No => ContributionKind::SolvedNo,
        };
        let thread = self.thread_of(viewer, doc).await?;
        self.write_act(viewer, person, thread, None, String::new(), move |scene| {
            let mut operations = vec![Operation::Contribution { what, by: scene.by }];
            if answer == Solved::No && scene.ours() && scene.row.outcome.is_some() {
                operations.push(Operation::Reopen { reason: ReopenReason::NotSolved, by: scene.by });
            }
            Ok(operations)
        })
        .await?;
        self.incident(viewer, doc).await
    }

    /// Completes a handoff or a takeover: asked for by the node itself when the accept of our last offer is
    /// here. False if there is nothing to complete.
    pub async fn auto_commit(&self, doc: DocId, commit: Operation) -> Result<bool, ActError> {
        let work = move |tx: &mut Tx<'_>| -> Result<bool, ActError> { commit_handoff(tx, doc, &commit) };
        self.store().write(Queue::Urgent, work).await
    }

    /// As [`Desk::act`], for operators.
    pub(super) async fn operate(
        &self,
        viewer: Viewer,
        doc: DocId,
        blob: Option<(BlobClass, StagedBlob)>,
        make: impl Fn(&Scene<'_>) -> Made + Send + Sync + 'static,
    ) -> Result<IncidentDetailView, ActError> {
        let Viewer::Operator(person) = viewer else { return Err(ActError::NotForYou) };
        self.act(viewer, person, doc, blob, make).await
    }

    /// As [`Desk::operate`], for what asks for a purpose: it is kept in the audit.
    pub(super) async fn operate_because(
        &self,
        viewer: Viewer,
        doc: DocId,
        why: String,
        make: impl Fn(&Scene<'_>) -> Made + Send + Sync + 'static,
    ) -> Result<IncidentDetailView, ActError> {
        let Viewer::Operator(person) = viewer else { return Err(ActError::NotForYou) };
        self.act_because(viewer, person, doc, None, why, make).await
    }

    /// One act: what `make` says is written, audited and shown, in one transaction. The blob belongs to
    /// the first operation.
    pub(super) async fn act(
        &self,
        viewer: Viewer,
        person: PersonId,
        doc: DocId,
        blob: Option<(BlobClass, StagedBlob)>,
        make: impl Fn(&Scene<'_>) -> Made + Send + Sync + 'static,
    ) -> Result<IncidentDetailView, ActError> {
        self.act_because(viewer, person, doc, blob, String::new(), make).await
    }

    async fn act_because(
        &self,
        viewer: Viewer,
        person: PersonId,
        doc: DocId,
        blob: Option<(BlobClass, StagedBlob)>,
        why: String,
        make: impl Fn(&Scene<'_>) -> Made + Send + Sync + 'static,
    ) -> Result<IncidentDetailView, ActError> {
        self.write_act(viewer, person, doc, blob, why, make).await?;
        self.incident(viewer, doc).await
    }

    /// As [`Desk::act`], without showing what became of it.
    async fn write_act(
        &self,
        viewer: Viewer,
        person: PersonId,
        doc: DocId,
        blob: Option<(BlobClass, StagedBlob)>,
        why: String,
        make: impl Fn(&Scene<'_>) -> Made + Send + Sync + 'static,
    ) -> Result<(), ActError> {
        self.write_in(viewer, person, doc, move |tx| {
            let operations = make(&scene(tx, person, doc)?)?;
            let mut blob = blob.clone();
            for operation in operations {
                write_one(tx, viewer, doc, operation, blob.take(), &why)?;
            }
            Ok(())
        })
        .await
    }

    /// One transaction of somebody about an incident.
    pub(super) async fn write_in(
        &self,
        viewer: Viewer,
        person: PersonId,
        doc: DocId,
        write: impl Fn(&mut Tx<'_>) -> Result<(), ActError> + Send + Sync + 'static,
    ) -> Result<(), ActError> {
        // The answer shows an operator who reported: that is logged in the same transaction.
        let reads = matches!(viewer, Viewer::Operator(_)) && self.reads_first(person, doc);
        let work = move |tx: &mut Tx<'_>| -> Result<(), ActError> {
            write(tx)?;
            if reads { audit_read(tx, person, doc).map_err(ActError::Store) } else { Ok(()) }
        };
        let done = self.store().write(Queue::Urgent, work).await;
        if done.is_err() && reads {
            self.forget_read(person, doc);
        }
        done
    }

    /// Words as a blob; none if there are none.
    pub(super) async fn stage_words(&self, text: &str) -> Result<Option<StagedBlob>, ActError> {
        let text = clipped(text, false)?;
        if text.is_empty() {
            return Ok(None);
        }
        let notes = BlobNotes { text, ..BlobNotes::default() };
        Ok(Some(self.store().stage_blob(notes.encode()).await?))
    }
}

pub(super) fn scene<'a>(tx: &'a Tx<'a>, person: PersonId, doc: DocId) -> Result<Scene<'a>, ActError> {
    let reader = tx.reader();
    let row = reader.incident(doc)?.ok_or(ActError::NotFound)?;
    let document = reader.document(doc)?.ok_or(ActError::NotFound)?;
    let fold = fold_of(tx, &document)?;
    let us = tx.member();
    if !fold.audience.involved.contains(&us) {
        return Err(ActError::NotFound);
    }
    let by = reader.pseudonym(person, doc)?.ok_or(ActError::NotForYou)?;
    let opening = document.genesis().map(AdmittedEnvelope::operation);
    let opened_as = opening.and_then(|operation| {
        if let Operation::Open(open) = operation { Kind::by_number(open.kind) } else { None }
    });
    Ok(Scene { row, fold, us, by, opened_as, tx })
}

pub(super) fn fold_of(tx: &Tx<'_>, document: &Document) -> Result<Fold, ActError> {
    Fold::of(document, &tx.rosters()).ok_or(ActError::NotFound)
}

/// Writes one operation with its audit row; the envelope.
pub(super) fn write_one(
    tx: &mut Tx<'_>,
    viewer: Viewer,
    doc: DocId,
    operation: Operation,
    blob: Option<(BlobClass, StagedBlob)>,
    why: &str,
) -> Result<EnvelopeId, ActError> {
    let mut blobs = Vec::new();
    if let Some((class, staged)) = blob {
        tx.keep_blob(&staged, None)?;
        blobs.push(BlobRef { class, id: staged.id() });
    }
    let entry = AuditEntry {
        who: viewer.audit_name(),
        what: operation.name().into(),
        on: doc.to_string(),
        why: why.to_owned(),
    };
    let answers = operation.answers();
    let draft = Draft { operation, blobs, answers, written_at: tx.now() };
    let id = tx.append(Some(doc), &draft, viewer.person())?.id();
    tx.audit(viewer.person(), &entry)?;
    Ok(id)
}

/// Commits the accept of our last offer, if it is one; as the owner, or as the authority of a lost one.
pub(crate) fn commit_handoff(tx: &mut Tx<'_>, doc: DocId, commit: &Operation) -> Result<bool, ActError> {
    let document = tx.reader().document(doc)?.ok_or(ActError::NotFound)?;
    let fold = fold_of(tx, &document)?;
    if fold.commits(tx.member()).as_ref() != Some(commit) {
        return Ok(false);
    }
    let (operation, answers) = (commit.clone(), commit.answers());
    let draft = Draft { operation, blobs: Vec::new(), answers, written_at: tx.now() };
    tx.append(Some(doc), &draft, None)?;
    let entry = AuditEntry {
        who: "node".into(),
        what: commit.name().into(),
        on: doc.to_string(),
        why: "the other node accepted".into(),
    };
    tx.audit(None, &entry)?;
    Ok(true)
}
