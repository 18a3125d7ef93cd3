//! The log and its documents: the one way in for what this node writes and for what it was sent.
//!
//! Both end in the same function, which stores the envelope as signed and brings everything that is
//! derived from its document up to date, in the transaction of the job.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use protocol::admission::Refusal;
use protocol::audience::Audience;
use protocol::author::{Draft, SealError, seal_under};
use protocol::digest::Fingerprint;
use protocol::document::Document;
use protocol::envelope::{AdmittedEnvelope, Header, SignedEnvelope};
use protocol::fold::Fold;
use protocol::ids::{DocId, EnvelopeId, MemberId, Millis};
use protocol::kind::Urgency;
use protocol::operation::{Class, Open, Operation};
use protocol::replica::due_peers;
use rusqlite::{OptionalExtension as _, params};

use crate::store::WriteError;
use crate::store::arrivals::Came;
use crate::store::events::What;
use crate::store::limits::REFUSALS_KEPT_MAX;
use crate::store::people::{PersonId, millis};
use crate::store::proofs::names;
use crate::store::reader::Reader;
use crate::store::tx::Tx;
use crate::store::writer::Queue;

/// Why an operation of our own was not written. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The rules do not allow it, or the document is not here.
    #[error("the operation was not written")]
    Seal(#[from] SealError),
    /// The store failed.
    #[error("the operation was not stored")]
    Store(#[from] WriteError),
}

/// How an envelope of another node came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Who sent it, author or relay.
    pub from: MemberId,
    /// How long ago it was written, summed over its hops; clocks are not believed.
    pub age: Millis,
}

/// What became of an envelope of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Stored now.
    New,
    /// It was here.
    Known,
}

/// What of a document this node may see, as a number in its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ours {
    /// It is not for this node.
    No = 0,
    /// It is, without what is for those involved.
    Part = 1,
    /// An incident in which it is involved.
    Full = 2,
    /// An incident that it owns.
    Own = 3,
}

impl Ours {
    fn of(fold: &Fold, class: Class, us: &MemberId) -> Self {
        match class {
            Class::Incident if fold.owner == *us => Self::Own,
            Class::Incident if fold.audience.involved.contains(us) => Self::Full,
            Class::Incident | Class::Notice | Class::Summary if fold.audience.entitled(us) => Self::Part,
            Class::Incident | Class::Notice | Class::Summary => Self::No,
        }
    }
}

impl Tx<'_> {
    /// Writes an operation of this node: picks its place, signs, admits and stores it. `doc` is none
    /// for one that begins a document. `by` is the person here who asked for it.
    pub fn append(
        &mut self,
        doc: Option<DocId>,
        draft: &Draft,
        by: Option<PersonId>,
    ) -> Result<AdmittedEnvelope, AppendError> {
        if let Some(lock) = doc.map(|doc| self.reader().lock(doc)).transpose()?.flatten() {
            return Err(SealError::Locked(lock).into());
        }
        let document = match doc {
            Some(doc) => Some(self.take_document(doc)?.ok_or(SealError::NoDocument)?),
            None => None,
        };
        let rosters = self.shared().rosters();
        let rules = self.shared().rules;
        // Under the same roster that the envelope names: a key that it retires signs nothing any more.
        let hand = match doc {
            Some(_) => {
                self.shared().hand(rosters.head(), self.writing.incarnation).map(|h| (h, rosters.head()))
            }
            None => self.shared().hand_to_begin(&rosters, self.writing.incarnation),
        };
        let sealed = hand
            .ok_or(SealError::Refused(Refusal::Key))
            .and_then(|(hand, named)| seal_under(draft, document.as_ref(), &hand, &rosters, named, rules));
        let envelope = match sealed {
            Ok(envelope) => envelope,
            Err(error) => {
                // The document is as it was; keep it for the next try.
                if let (Some(doc), Some(document)) = (doc, document) {
                    self.put_document(doc, document);
                }
                return Err(error.into());
            }
        };
        self.keep(&envelope, document.unwrap_or_default(), None)?;
        self.keep_actor(&envelope, by)?;
        self.writing.job.wrote.push(envelope.clone());
        Ok(envelope)
    }

    fn keep_actor(&mut self, envelope: &AdmittedEnvelope, by: Option<PersonId>) -> Result<(), WriteError> {
        let Some(by) = by else { return Ok(()) };
        self.db()
            .prepare_cached(
                "INSERT INTO actor (envelope, person) SELECT number, ?3 FROM envelope WHERE doc = ?1 AND id = ?2",
            )?
            .execute(params![envelope.header().doc.0, envelope.id().0, by.0])?;
        Ok(())
    }

    /// Stores an admitted envelope of another node. Its parents must be here.
    pub fn take_in(&mut self, envelope: &AdmittedEnvelope, arrival: Arrival) -> Result<Taken, WriteError> {
        let new = self.take_in_all(envelope.header().doc, &[(envelope, arrival)])?;
        Ok(if new == 0 { Taken::Known } else { Taken::New })
    }

    /// As [`Tx::take_in`], for several of one document, parents first: what is derived from it is
    /// brought up to date once. Answers with how many were new.
    pub fn take_in_all(
        &mut self,
        doc: DocId,
        envelopes: &[(&AdmittedEnvelope, Arrival)],
    ) -> Result<usize, WriteError> {
        let mut document = self.take_document(doc)?.unwrap_or_default();
        let new: Vec<_> =
            envelopes.iter().filter(|(envelope, _)| !document.contains(&envelope.id())).collect();
        if new.is_empty() {
            self.put_document(doc, document);
            return Ok(0);
        }
        if document.is_empty() && self.reader().is_dropped(doc)? {
            // Asked for before its contents were dropped.
            return Ok(0);
        }
        let (proofs, mut begun) = (names(&document), None);
        self.touch(doc);
        for (envelope, arrival) in &new {
            #[cfg(any(debug_assertions, feature = "planted-faults"))]
            crate::planted::store(envelope);
            begun = begun.or(self.add(envelope, &mut document, Some(*arrival))?);
        }
        if self.reader().holds_back_of(doc)? {
            new.iter().try_for_each(|(envelope, _)| self.let_go(&envelope.id()))?;
        }
        self.keep_changed(doc, document, &proofs, begun)?;
        Ok(new.len())
    }

    /// Remembers that an envelope breaks a rule, so that it is not fetched again and people see why.
    pub fn refuse(
        &mut self,
        envelope: &SignedEnvelope,
        from: MemberId,
        why: Refusal,
    ) -> Result<(), WriteError> {
        let (db, header) = (self.db(), envelope.header());
        self.shared().refusals.store(true, Ordering::Relaxed);
        let rows = db.prepare_cached(
            "INSERT OR IGNORE INTO refusal (id, doc, author, peer, reason, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            envelope.id().0,
            header.doc.0,
            header.author.0,
            from.0,
            why.to_string(),
            millis(self.now())
        ])?;
        if rows == 0 {
            // Known: the last row number is some other table's.
            return self.let_go(&envelope.id());
        }
        let oldest = db.last_insert_rowid() - i64::try_from(REFUSALS_KEPT_MAX).expect("a small limit");
        db.prepare_cached("DELETE FROM refusal WHERE number <= ?1")?.execute(params![oldest])?;
        self.let_go(&envelope.id())
    }

    /// A peer has confirmed a document: nothing of it is due any more, if it is still what was confirmed.
    pub fn clear_due_at(&mut self, peer: MemberId, doc: DocId, at: &Fingerprint) -> Result<(), WriteError> {
        self.db()
            .prepare_cached(
                "DELETE FROM due WHERE peer = ?1 AND doc = ?2
                 AND (SELECT fingerprint FROM document WHERE id = ?2) = ?3",
            )?
            .execute(params![peer.0, doc.0, at.0])?;
        Ok(())
    }

    /// A peer lacks something of a document after all.
    pub fn set_due_to(&mut self, peer: MemberId, doc: DocId) -> Result<(), WriteError> {
        self.db()
            .prepare_cached(
                "INSERT INTO due (peer, doc, since_ms, urgent) SELECT ?1, id, ?3, urgent FROM document WHERE id = ?2
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![peer.0, doc.0, millis(self.now())])?;
        Ok(())
    }

    /// The parsed document, out of the cache or the log. Put back by `keep`, or read anew.
    pub(super) fn take_document(&mut self, doc: DocId) -> Result<Option<Document>, WriteError> {
        match self.writing.documents.take(doc) {
            Some(document) => Ok(Some(document)),
            None => self.reader().document(doc),
        }
    }

    fn keep(
        &mut self,
        envelope: &AdmittedEnvelope,
        mut document: Document,
        arrival: Option<Arrival>,
    ) -> Result<(), WriteError> {
        let (doc, proofs) = (envelope.header().doc, names(&document));
        self.touch(doc);
        let begun = self.add(envelope, &mut document, arrival)?;
        self.keep_changed(doc, document, &proofs, begun)
    }

    /// Stores an envelope, bytes as signed. Answers for one that begins its document whether that may ring.
    fn add(
        &mut self,
        envelope: &AdmittedEnvelope,
        document: &mut Document,
        arrival: Option<Arrival>,
    ) -> Result<Option<Came>, WriteError> {
        let new = document
            .insert(envelope.clone())
            .map_err(|_| WriteError::Broken("an envelope came before its parents".into()))?;
        if !new {
            return Err(WriteError::Broken("an envelope was stored twice".into()));
        }
        self.failpoint("envelope")?;
        let begun = envelope.header().is_genesis();
        let came = begun.then(|| self.came(envelope, arrival)).transpose()?;
        self.keep_bytes(envelope, arrival, came)?;
        Ok(came)
    }

    /// Keeps what a document that has grown says. `proofs` are those that were known of it, `begun` says how it came if
    /// nothing of it was here.
    fn keep_changed(
        &mut self,
        doc: DocId,
        document: Document,
        proofs: &[EnvelopeId],
        begun: Option<Came>,
    ) -> Result<(), WriteError> {
        self.keep_proofs(&document, proofs)?;
        self.failpoint("derive")?;
        self.bring_up_to_date(doc, &document, begun)?;
        self.put_document(doc, document);
        Ok(())
    }

    /// What hangs on a document that changed; how it came if nothing of it was here before this job.
    pub(super) fn bring_up_to_date(
        &mut self,
        doc: DocId,
        document: &Document,
        begun: Option<Came>,
    ) -> Result<(), WriteError> {
        let (audience, kind) = self.derive(doc, document, begun)?;
        self.set_due(doc, document, &audience)?;
        self.failpoint("event")?;
        let what = match class_of(document) {
            Class::Incident => What::Incident,
            Class::Notice => What::Notice,
            Class::Summary => What::Figures,
        };
        self.event_of_kind(what, Some(doc), kind)
    }

    /// The document is forgotten by the cache if the job is undone.
    pub(super) fn touch(&mut self, doc: DocId) {
        self.writing.job.touched.push(doc);
    }

    /// Gives a document back to the cache. One without envelopes is none.
    pub(super) fn put_document(&mut self, doc: DocId, document: Document) {
        if !document.is_empty() {
            self.writing.documents.put(doc, document);
        }
    }

    fn keep_bytes(
        &mut self,
        envelope: &AdmittedEnvelope,
        arrival: Option<Arrival>,
        came: Option<Came>,
    ) -> Result<(), WriteError> {
        let (header, now) = (envelope.header(), self.now());
        let written = arrival.map_or(header.written_at.min(now), |arrival| now.since(arrival.age));
        if self.writing.queue != Queue::Bulk {
            self.writing.job.written.push((envelope.id(), written));
        }
        self.db()
            .prepare_cached(
                "INSERT INTO envelope (id, doc, author, bytes, received_ms, written_ms, came)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                envelope.id().0,
                header.doc.0,
                header.author.0,
                envelope.bytes(),
                millis(now),
                millis(written),
                came.and_then(|came| came.kept(arrival))
            ])?;
        if !header.blobs.is_empty() {
            self.use_blobs(header)?;
        }
        Ok(())
    }

    /// Notes which blobs an envelope names, and which of them are not here.
    fn use_blobs(&self, header: &Header) -> Result<(), WriteError> {
        let db = self.db();
        // What came for this document says so itself. A blob of this node's own making belongs to the document that
        // names it first.
        let mut here = db.prepare_cached(
            "UPDATE blob SET doc = ?2, class = ?3 WHERE id = ?1 AND (doc = ?2 OR doc IS NULL) AND class IS NULL
                AND NOT EXISTS (SELECT 1 FROM blob_use WHERE blob = ?1 AND doc = ?2)",
        )?;
        let mut used = db.prepare_cached(
            "INSERT OR IGNORE INTO blob_use (blob, doc, class)
             SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM blob_gone WHERE blob = ?1 AND doc = ?2)
                AND NOT EXISTS (SELECT 1 FROM blob WHERE id = ?1 AND doc = ?2 AND class IS NOT NULL)",
        )?;
        let mut missing = db.prepare_cached(
            "INSERT OR IGNORE INTO blob_missing (blob, doc, class)
             SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM blob WHERE id = ?1)
                AND NOT EXISTS (SELECT 1 FROM blob_gone WHERE blob = ?1 AND doc = ?2)",
        )?;
        for blob in &header.blobs {
            if here.execute(params![blob.id.0, header.doc.0, blob.class as u8])? > 0 {
                continue;
            }
            used.execute(params![blob.id.0, header.doc.0, blob.class as u8])?;
            missing.execute(params![blob.id.0, header.doc.0, blob.class as u8])?;
        }
        Ok(())
    }

    /// Brings all that is derived from a document up to date; `begun` as in [`Tx::bring_up_to_date`]. Answers with
    /// who it is for, and of an incident with its kind.
    pub(super) fn derive(
        &mut self,
        doc: DocId,
        document: &Document,
        begun: Option<Came>,
    ) -> Result<(Audience, Option<u16>), WriteError> {
        let rosters = self.shared().rosters();
        let Some(fold) = Fold::of(document, &rosters) else { return Ok(Default::default()) };
        let (audience, us) = (&fold.audience, self.shared().member);
        let class = class_of(document);
        let ours = Ours::of(&fold, class, &us);
        let heads: Vec<u8> = document.heads().iter().flat_map(|head| head.0).collect();
        let db = self.db();
        db.prepare_cached(
            "INSERT INTO document (id, class, fingerprint, heads, urgent, ours) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET fingerprint = ?3, heads = ?4, ours = ?6",
        )?
        .execute(params![
            doc.0,
            class as u8,
            document.fingerprint(),
            heads,
            is_urgent(document),
            ours as u8
        ])?;
        let mut member = db.prepare_cached(
            "INSERT INTO audience (doc, member, full) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET full = 1 WHERE excluded.full AND NOT full",
        )?;
        let others = || audience.members().filter(|id| *id != us);
        for id in others() {
            let full = class == Class::Incident && audience.involved.contains(&id);
            member.execute(params![doc.0, id.0, full])?;
        }
        drop(member);
        self.drop_digests(&doc, others())?;
        if document.proofs().next().is_some() || document.retired().is_some() {
            self.narrow_audience(doc, audience)?;
        }
        if document.retired().is_some() {
            self.note_retired(doc, ours != Ours::No)?;
        }
        match class {
            Class::Incident => self.derive_incident(doc, document, &fold, ours, begun)?,
            Class::Summary => self.derive_figures(document, &rosters)?,
            Class::Notice => self.derive_notice(doc, document, &fold)?,
        }
        Ok((fold.audience, fold.matter.map(|matter| matter.kind)))
    }

    /// Makes exactly the rows of `due` that this state of the document asks for.
    fn set_due(&mut self, doc: DocId, document: &Document, audience: &Audience) -> Result<(), WriteError> {
        let shared = self.shared();
        let lacking = due_peers(document, audience, &shared.rosters(), &shared.member);
        let (db, now, urgent) = (self.db(), millis(self.now()), is_urgent(document));
        let mut rows = db.prepare_cached("SELECT peer FROM due WHERE doc = ?1")?;
        let rows = rows.query_map(params![doc.0], |row| row.get(0).map(MemberId))?;
        let set: Vec<MemberId> = rows.collect::<Result<_, _>>()?;
        for peer in set.iter().filter(|peer| !lacking.contains(peer)) {
            db.prepare_cached("DELETE FROM due WHERE peer = ?1 AND doc = ?2")?
                .execute(params![peer.0, doc.0])?;
        }
        for peer in lacking.iter().filter(|peer| !set.contains(peer)) {
            db.prepare_cached("INSERT INTO due (peer, doc, since_ms, urgent) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![peer.0, doc.0, now, urgent])?;
        }
        Ok(())
    }

    /// Where tests may make a transaction fail half-way.
    fn failpoint(&mut self, _place: &str) -> Result<(), WriteError> {
        #[cfg(test)]
        if self.writing.fail_at.as_deref() == Some(_place) {
            return Err(WriteError::Broken(format!("asked to fail at {_place}")));
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// A document as held; none if nothing of it is here.
    pub fn document(&self, doc: DocId) -> Result<Option<Document>, WriteError> {
        self.document_telling(doc, |_, _| {})
    }

    /// The same, telling of each envelope when it was written, on this node's own clock.
    pub fn document_telling(
        &self,
        doc: DocId,
        mut tell: impl FnMut(EnvelopeId, Millis),
    ) -> Result<Option<Document>, WriteError> {
        let mut select = self
            .db()
            .prepare_cached("SELECT bytes, written_ms FROM envelope WHERE doc = ?1 ORDER BY number")?;
        let mut rows = select.query(params![doc.0])?;
        let mut document = Document::default();
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
            let envelope = AdmittedEnvelope::from_log(bytes)
                .map_err(|error| WriteError::Broken(format!("the log holds what does not parse: {error}")))?;
            let written: i64 = row.get(1)?;
            tell(envelope.id(), Millis(u64::try_from(written).unwrap_or_default()));
            document
                .insert(envelope)
                .map_err(|_| WriteError::Broken("the log holds a child before its parents".into()))?;
        }
        for proof in self.proofs(doc)? {
            document.add_proof(proof);
        }
        Ok((!document.is_empty()).then_some(document))
    }

    /// True if a document is for this node, or was when its contents were dropped.
    fn is_ours(&self, doc: DocId) -> Result<bool, WriteError> {
        Ok(self
            .db()
            .prepare_cached("SELECT 1 FROM document WHERE id = ?1 AND ours > 0")?
            .exists(params![doc.0])?)
    }

    /// Who may hold a document, this node among them.
    pub(super) fn may_hold(&self, doc: DocId) -> Result<Vec<MemberId>, WriteError> {
        // Each member in turn, one step through the key for each.
        let mut select = self.db().prepare_cached(
            "WITH RECURSIVE known (member) AS (
                SELECT min(member) FROM audience
                UNION ALL SELECT (SELECT min(member) FROM audience WHERE member > known.member)
                FROM known WHERE known.member IS NOT NULL
             )
             SELECT audience.member FROM known
             CROSS JOIN audience ON audience.member = known.member AND audience.doc = ?1",
        )?;
        let others = select.query_map(params![doc.0], |row| row.get(0).map(MemberId))?;
        let us = self.is_ours(doc)?.then(|| Ok(self.member()));
        Ok(others.chain(us).collect::<Result<_, _>>()?)
    }

    /// True if this envelope is in the log.
    pub fn holds(&self, doc: &DocId, id: &EnvelopeId) -> Result<bool, WriteError> {
        let mut select = self.db().prepare_cached("SELECT 1 FROM envelope WHERE doc = ?1 AND id = ?2")?;
        Ok(select.exists(params![doc.0, id.0])?)
    }

    /// True if this envelope was refused.
    pub fn refused(&self, id: &EnvelopeId) -> Result<bool, WriteError> {
        if !self.shared().refusals.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut select = self.db().prepare_cached("SELECT 1 FROM refusal WHERE id = ?1")?;
        Ok(select.exists(params![id.0])?)
    }

    /// Heads of a document, ascending; none if nothing of it is here.
    pub fn heads(&self, doc: DocId) -> Result<Option<Vec<EnvelopeId>>, WriteError> {
        let heads: Option<Vec<u8>> = self
            .db()
            .prepare_cached("SELECT heads FROM document WHERE id = ?1")?
            .query_row(params![doc.0], |row| row.get(0))
            .optional()?;
        let parse = |bytes: Vec<u8>| bytes.chunks_exact(32).filter_map(EnvelopeId::from_slice).collect();
        Ok(heads.map(parse))
    }

    /// When each envelope of a document was stored here, and which person of this node wrote it.
    pub fn traces(&self, doc: DocId) -> Result<BTreeMap<EnvelopeId, (Millis, Option<PersonId>)>, WriteError> {
        let mut select = self.db().prepare_cached(
            "SELECT envelope.id, envelope.received_ms, actor.person FROM envelope
             LEFT JOIN actor ON actor.envelope = envelope.number WHERE envelope.doc = ?1",
        )?;
        let rows = select.query_map(params![doc.0], |row| {
            let received: i64 = row.get(1)?;
            let person: Option<i64> = row.get(2)?;
            let received = Millis(u64::try_from(received).unwrap_or_default());
            Ok((EnvelopeId(row.get(0)?), (received, person.map(PersonId))))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// What a document is about.
pub(super) fn class_of(document: &Document) -> Class {
    document.genesis().and_then(|genesis| genesis.operation().genesis_class()).unwrap_or(Class::Incident)
}

fn is_urgent(document: &Document) -> bool {
    let genesis = document.genesis();
    let of_notice = genesis.and_then(|genesis| {
        if let Operation::NoticeOpen(notice) = genesis.operation() { Some(notice.urgency) } else { None }
    });
    let of_incident = genesis.and_then(opening).map(|open| open.urgency);
    of_notice.or(of_incident).is_some_and(Urgency::rings)
}

pub(super) fn opening(envelope: &AdmittedEnvelope) -> Option<&Open> {
    if let Operation::Open(open) = envelope.operation() { Some(open) } else { None }
}

#[cfg(test)]
mod tests;
