//! Proofs of equivocation: kept beside the log, since they hold where the branches are not, and shown to
//! people, since somebody has to ask that node what happened.

use std::sync::Arc;

use protocol::audience::Audience;
use protocol::document::Document;
use protocol::ids::{DocId, EnvelopeId, MemberId};
use protocol::proof::Proof;
use rusqlite::params;

use crate::store::WriteError;
use crate::store::events::What;
use crate::store::people::millis;
use crate::store::reader::Reader;
use crate::store::tx::Tx;

impl Tx<'_> {
    /// Keeps a proof that a peer sent about a document that is here; false if it says nothing new.
    pub fn take_proof(&mut self, proof: &Proof) -> Result<bool, WriteError> {
        let doc = proof.doc();
        let Some(mut document) = self.take_document(doc)? else { return Ok(false) };
        let known = names(&document);
        self.touch(doc);
        let new = document.add_proof(proof.clone());
        if new {
            self.keep_proofs(&document, &known)?;
            self.bring_up_to_date(doc, &document, None)?;
        }
        self.put_document(doc, document);
        Ok(new)
    }

    /// Stores those of a document's proofs that were not known, and tells people.
    pub(super) fn keep_proofs(
        &mut self,
        document: &Document,
        known: &[EnvelopeId],
    ) -> Result<(), WriteError> {
        let new: Vec<Arc<Proof>> =
            document.proofs().filter(|proof| !known.contains(&proof.id())).cloned().collect();
        for proof in new {
            let (doc, author) = (proof.doc(), proof.author());
            tracing::error!(%author, %doc, "a node said two things in one place of its chain: ask who runs it");
            self.db()
                .prepare_cached(
                    "INSERT OR REPLACE INTO proof (doc, author, bytes, found_ms) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![doc.0, author.0, proof.encode(), millis(self.now())])?;
            self.event(What::Peers, None)?;
        }
        Ok(())
    }

    /// Takes out of the audience whom only an equivocator had let in. Without a proof it only grows.
    pub(super) fn narrow_audience(&mut self, doc: DocId, audience: &Audience) -> Result<(), WriteError> {
        let (db, members) = (self.db(), self.reader().may_hold(doc)?);
        for member in members.iter().filter(|member| !audience.entitled(member)) {
            let values = params![doc.0, member.0];
            db.prepare_cached("DELETE FROM audience WHERE doc = ?1 AND member = ?2")?.execute(values)?;
            db.prepare_cached("DELETE FROM due WHERE doc = ?1 AND peer = ?2")?.execute(values)?;
        }
        self.drop_digests(&doc, members.iter().copied())?;
        for member in members.iter().filter(|member| !audience.involved.contains(member)) {
            db.prepare_cached("UPDATE audience SET full = 0 WHERE doc = ?1 AND member = ?2")?
                .execute(params![doc.0, member.0])?;
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// The proofs about a document.
    pub(super) fn proofs(&self, doc: DocId) -> Result<Vec<Proof>, WriteError> {
        let mut select = self.db().prepare_cached("SELECT bytes FROM proof WHERE doc = ?1")?;
        let rows = select.query_map(params![doc.0], |row| row.get::<_, Vec<u8>>(0))?;
        let parse = |bytes: Vec<u8>| {
            Proof::from_store(&bytes)
                .map_err(|error| WriteError::Broken(format!("a kept proof does not parse: {error}")))
        };
        rows.map(|bytes| parse(bytes?)).collect()
    }

    /// In how many documents an author is proven to equivocate.
    pub fn equivocations_of(&self, author: MemberId) -> Result<u64, WriteError> {
        let count: i64 = self
            .db()
            .prepare_cached("SELECT count(*) FROM proof WHERE author = ?1")?
            .query_row(params![author.0], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

/// The names of a document's proofs.
pub(super) fn names(document: &Document) -> Vec<EnvelopeId> {
    document.proofs().map(|proof| proof.id()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::documents::Arrival;
    use crate::store::{Opening, Queue, Store};
    use protocol::envelope::AdmittedEnvelope;
    use protocol::fixture::{Federation, Scribe, somebody};
    use protocol::ids::Millis;
    use protocol::message::Prefix;
    use protocol::operation::{Operation, Step};
    use protocol::proof::{Statement, VerifiedStatement};

    fn open(folder: &std::path::Path, federation: &Federation) -> Store {
        Store::open(Opening {
            folder: folder.to_owned(),
            clock: Arc::new(|| Millis(1_000)),
            hand: federation.hand(1),
            rosters: federation.rosters.clone(),
            time_zone: jiff::tz::TimeZone::UTC,
            ballast_bytes: 0,
            pages_max: None,
        })
        .unwrap()
    }

    async fn take(store: &Store, federation: &Federation, envelope: &AdmittedEnvelope) {
        let (envelope, from) = (envelope.clone(), federation.id(0));
        let how = Arrival { from, age: Millis(0) };
        store.write(Queue::Normal, move |tx| tx.take_in(&envelope, how)).await.unwrap();
    }

    #[tokio::test]
    async fn proof_is_kept_without_its_branches_and_read_with_the_document_ever_after() {
        let federation = Federation::new(3);
        let mut scribe = Scribe::new(&federation);
        let genesis = scribe.open(0, &[1]);
        let seen = scribe.document.clone();
        let step = || Operation::Step { step: Step::Called, by: somebody(1) };
        let branches = [(), ()].map(|()| scribe.write_on(&seen, 0, step()).unwrap());
        scribe.document.insert(branches[0].clone()).unwrap();
        let invited = scribe.write(0, Operation::Invite { member: federation.id(2) }).unwrap();
        let statements = branches.iter().map(|e| Statement::of(e.signed()).verify(&federation.rosters));
        let statements: Vec<VerifiedStatement> = statements.collect::<Result<_, _>>().unwrap();
        let proof = Proof::of(statements).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), &federation);
        let doc = proof.doc();
        for envelope in [&genesis, &branches[0], &invited] {
            take(&store, &federation, envelope).await;
        }
        let stranger = federation.id(2);
        let due = |store: &Store| store.read_here(|r| r.due_of(stranger)).unwrap().0;
        let shared = |store: &Store| {
            store.read_here(|r| r.digest_below(&stranger, &Prefix::default(), usize::MAX)).unwrap().len()
        };
        assert_eq!((due(&store), shared(&store)), (1, 1));
        let kept = proof.clone();
        assert!(store.write(Queue::Normal, move |tx| tx.take_proof(&kept)).await.unwrap());
        let kept = proof.clone();
        assert!(!store.write(Queue::Normal, move |tx| tx.take_proof(&kept)).await.unwrap(), "it is known");
        assert_eq!((due(&store), shared(&store)), (0, 0), "whom only the equivocator let in is told no more");
        let count = |store: &Store| store.read_here(|r| r.equivocations_of(federation.id(0))).unwrap();
        assert_eq!(count(&store), 1);
        let before = store.dump_derived().await.unwrap();
        store.rebuild().await.unwrap();
        assert_eq!(store.dump_derived().await.unwrap(), before);
        store.stop();
        let store = open(folder.path(), &federation);
        let document = store.read_here(|r| r.document(doc)).unwrap().unwrap();
        assert_eq!(names(&document), [proof.id()]);
        assert_eq!((document.heads(), count(&store)), (vec![genesis.id()], 1));
        // The other branch, held here from before or not, proves the same.
        take(&store, &federation, &branches[1]).await;
        assert_eq!(count(&store), 1);
    }

    #[tokio::test]
    async fn fork_that_lands_in_the_log_leaves_its_proof() {
        let federation = Federation::new(3);
        let mut scribe = Scribe::new(&federation);
        let genesis = scribe.open(0, &[1]);
        let seen = scribe.document.clone();
        let step = || Operation::Step { step: Step::Called, by: somebody(1) };
        let branches = [(), ()].map(|()| scribe.write_on(&seen, 0, step()).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), &federation);
        for envelope in [&genesis, &branches[0], &branches[1]] {
            take(&store, &federation, envelope).await;
        }
        assert_eq!(store.read_here(|r| r.equivocations_of(federation.id(0))).unwrap(), 1);
    }
}
