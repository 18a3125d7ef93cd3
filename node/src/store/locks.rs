//! Where this node does not write for now, and under which generations it ever wrote.
//!
//! After a restore it waits in every older document until a peer has shown what it had said there; beside
//! a twin until a person decides. A document that it opens itself is never locked, so no alert ever waits.

use std::sync::atomic::{AtomicU8, Ordering};

use protocol::author::Lock;
use protocol::envelope::AdmittedEnvelope;
use protocol::ids::{DocId, EnvelopeId, Incarnation, MemberId};
use rusqlite::{OptionalExtension as _, params};

use crate::store::events::What;
use crate::store::reader::Reader;
use crate::store::tx::Tx;
use crate::store::{Queue, Store, WriteError};

/// The gravest lock that there may be, for those who ask often. Only ever too grave.
#[derive(Debug, Default)]
pub(crate) struct Gravest(AtomicU8);

impl Gravest {
    fn raise(&self, lock: Lock) {
        self.0.fetch_max(lock as u8, Ordering::Relaxed);
    }
    fn set(&self, lock: Option<Lock>) {
        self.0.store(lock.map_or(0, |lock| lock as u8), Ordering::Relaxed);
    }
    fn get(&self) -> Option<Lock> {
        lock_of(self.0.load(Ordering::Relaxed))
    }
}

fn lock_of(number: u8) -> Option<Lock> {
    [Lock::Restored, Lock::Twin].into_iter().find(|lock| *lock as u8 == number)
}

impl Store {
    /// The gravest reason for which this node does not write somewhere; none if it writes everywhere.
    #[must_use]
    pub fn locked(&self) -> Option<Lock> {
        self.inner.shared.gravest.get()
    }

    /// Signs under a new generation from now on, whose mark is written, and waits in everything that is
    /// here as after a restore: this store was rolled back.
    pub async fn raise(&self, generation: Incarnation) -> Result<(), WriteError> {
        self.write(Queue::Urgent, move |tx| {
            tx.begin_generation(generation)?;
            tx.lock_all(Lock::Restored)
        })
        .await
    }

    /// Somebody else signs as this node: writes nowhere but in documents opened from now on, and warns.
    pub async fn alarm_twin(&self, doc: DocId, evidence: EnvelopeId) -> Result<(), WriteError> {
        tracing::error!(
            %doc, %evidence,
            "somebody else signs as this node: it writes only in new incidents until you run `cuadra unlock`"
        );
        self.write(Queue::Urgent, |tx| {
            tx.lock_all(Lock::Twin)?;
            tx.event(What::Peers, None)
        })
        .await
    }

    /// Lifts every lock, because a person says so, and signs under a new generation from now on.
    pub async fn unlock_all(&self, generation: Incarnation) -> Result<u64, WriteError> {
        let lifted = self
            .write(Queue::Urgent, move |tx| {
                tx.begin_generation(generation)?;
                let lifted = tx.db().execute("DELETE FROM lock", [])?;
                tx.event(What::Peers, None)?;
                Ok::<_, WriteError>(lifted)
            })
            .await?;
        self.look_for_locks()?;
        Ok(u64::try_from(lifted).unwrap_or(u64::MAX))
    }

    /// Looks whether there are locks left, after some may have been lifted.
    pub fn look_for_locks(&self) -> Result<(), WriteError> {
        let gravest = self.read_here(|r| r.gravest_lock())?;
        self.inner.shared.gravest.set(gravest);
        Ok(())
    }

    /// Remembers generations that were drawn here before this store was.
    pub async fn note_drawn(&self, drawn: Vec<Incarnation>) -> Result<(), WriteError> {
        self.write(Queue::Normal, move |tx| drawn.iter().try_for_each(|drawn| tx.note_generation(*drawn)))
            .await
    }
}

impl Tx<'_> {
    /// At opening: under another generation than last time it was restored.
    pub(super) fn open_generation(&mut self) -> Result<(), WriteError> {
        let (now, last) = (self.writing.incarnation, self.reader().incarnation()?);
        self.begin_generation(now)?;
        if last.is_some_and(|last| last != now) {
            self.lock_all(Lock::Restored)?;
        }
        let gravest = self.reader().gravest_lock()?;
        self.shared().gravest.set(gravest);
        Ok(())
    }

    fn begin_generation(&mut self, generation: Incarnation) -> Result<(), WriteError> {
        self.note_generation(generation)?;
        let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES ('incarnation', ?1)";
        self.db().execute(sql, params![generation.0.to_be_bytes()])?;
        // Its mark is on the disk: should this job be undone, the new one is as good as the old.
        self.writing.incarnation = generation;
        Ok(())
    }

    fn note_generation(&mut self, generation: Incarnation) -> Result<(), WriteError> {
        self.db()
            .prepare_cached("INSERT OR IGNORE INTO generation (incarnation) VALUES (?1)")?
            .execute(params![generation.0.to_be_bytes()])?;
        Ok(())
    }

    /// Locks every document that is here and that somebody else may hold too.
    fn lock_all(&mut self, lock: Lock) -> Result<(), WriteError> {
        self.db().execute(
            "INSERT INTO lock (doc, why) SELECT DISTINCT doc, ?1 FROM audience WHERE true
             ON CONFLICT (doc) DO UPDATE SET why = max(why, ?1)",
            params![lock as u8],
        )?;
        self.shared().gravest.raise(lock);
        Ok(())
    }

    /// A peer has shown a document: a restore's lock is lifted.
    pub fn unlock(&mut self, doc: DocId) -> Result<(), WriteError> {
        self.db()
            .prepare_cached("DELETE FROM lock WHERE doc = ?1 AND why = ?2")?
            .execute(params![doc.0, Lock::Restored as u8])?;
        Ok(())
    }

    /// A peer has shown everything that both may hold.
    pub fn unlock_shared(&mut self, peer: MemberId) -> Result<(), WriteError> {
        self.db()
            .prepare_cached(
                "DELETE FROM lock WHERE why = ?2 AND doc IN (SELECT theirs.doc FROM audience AS theirs
                 JOIN document ON document.id = theirs.doc AND document.ours > 0 WHERE theirs.member = ?1)",
            )?
            .execute(params![peer.0, Lock::Restored as u8])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// Why this node does not write in a document for now; none if it may.
    pub fn lock(&self, doc: DocId) -> Result<Option<Lock>, WriteError> {
        let why = self
            .db()
            .prepare_cached("SELECT why FROM lock WHERE doc = ?1")?
            .query_row(params![doc.0], |row| row.get(0))
            .optional()?;
        Ok(why.and_then(lock_of))
    }

    /// In how many documents this node does not write for now.
    pub fn locked_documents(&self) -> Result<u64, WriteError> {
        let count: i64 = self.db().query_row("SELECT count(*) FROM lock", [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The generation under which this node signs; none before its first opening.
    pub fn incarnation(&self) -> Result<Option<Incarnation>, WriteError> {
        let sql = "SELECT value FROM meta WHERE name = 'incarnation'";
        let bytes: Option<[u8; 8]> = self.db().query_row(sql, [], |row| row.get(0)).optional()?;
        Ok(bytes.map(|bytes| Incarnation(u64::from_be_bytes(bytes))))
    }

    /// True for a generation that this node drew itself.
    pub fn drew(&self, generation: Incarnation) -> Result<bool, WriteError> {
        let mut select = self.db().prepare_cached("SELECT 1 FROM generation WHERE incarnation = ?1")?;
        Ok(select.exists(params![generation.0.to_be_bytes()])?)
    }

    /// The greatest counter of a generation under which anything held was signed as this node; where the mark
    /// was lost it may be above all that are remembered.
    pub fn greatest_own_counter(&self) -> Result<u32, WriteError> {
        let mut select = self.db().prepare("SELECT bytes FROM envelope WHERE author = ?1")?;
        let mut rows = select.query(params![self.member().0])?;
        let mut greatest = 0;
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
            let envelope = AdmittedEnvelope::from_log(bytes)
                .map_err(|error| WriteError::Broken(format!("the log holds what does not parse: {error}")))?;
            greatest = greatest.max(envelope.header().incarnation.counter());
        }
        Ok(greatest)
    }

    fn gravest_lock(&self) -> Result<Option<Lock>, WriteError> {
        let why: Option<u8> = self.db().query_row("SELECT max(why) FROM lock", [], |row| row.get(0))?;
        Ok(why.and_then(lock_of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AppendError, Opening};
    use protocol::author::{Draft, Hand, SealError};
    use protocol::fixture::{Federation, code, open as opening, somebody};
    use protocol::ids::Millis;
    use protocol::kind::Kind;
    use protocol::operation::{Operation, Step};

    fn open(folder: &std::path::Path, federation: &Federation, generation: Incarnation) -> Store {
        Store::open(Opening {
            folder: folder.to_owned(),
            clock: std::sync::Arc::new(|| Millis(1_000)),
            hand: Hand { incarnation: generation, ..federation.hand(0) },
            rosters: federation.rosters.clone(),
            time_zone: jiff::tz::TimeZone::UTC,
            ballast_bytes: 0,
            pages_max: None,
        })
        .unwrap()
    }

    async fn write(
        store: &Store,
        doc: Option<DocId>,
        operation: Operation,
    ) -> Result<AdmittedEnvelope, AppendError> {
        let draft = Draft { operation, blobs: Vec::new(), answers: Vec::new(), written_at: Millis(9) };
        store.write(Queue::Urgent, move |tx| tx.append(doc, &draft, None)).await
    }

    async fn incident(store: &Store, federation: &Federation, seed: u64) -> DocId {
        let kind = Kind::by_name("sos").unwrap();
        let operation = opening(code(0), kind, &[federation.id(1)], None, seed);
        write(store, None, operation).await.unwrap().header().doc
    }

    fn step() -> Operation {
        Operation::Step { step: Step::Called, by: somebody(1) }
    }

    fn why(written: Result<AdmittedEnvelope, AppendError>) -> Option<Lock> {
        match written {
            Err(AppendError::Seal(SealError::Locked(lock))) => Some(lock),
            other => {
                other.unwrap();
                None
            }
        }
    }

    #[tokio::test]
    async fn another_generation_at_opening_locks_what_is_older_until_a_peer_has_shown_it() {
        let (federation, folder) = (Federation::new(2), tempfile::tempdir().unwrap());
        let (first, second) = (Incarnation::new(1, 7), Incarnation::new(2, 8));
        let store = open(folder.path(), &federation, first);
        let docs = [incident(&store, &federation, 1).await, incident(&store, &federation, 2).await];
        store.stop();
        let store = open(folder.path(), &federation, first);
        assert_eq!(store.locked(), None, "an ordinary start locks nothing");
        store.stop();
        let store = open(folder.path(), &federation, second);
        assert_eq!(store.locked(), Some(Lock::Restored));
        assert_eq!(why(write(&store, Some(docs[0]), step()).await), Some(Lock::Restored));
        let new = incident(&store, &federation, 3).await;
        assert_eq!(why(write(&store, Some(new), step()).await), None, "what it opens since is never locked");
        store.write(Queue::Normal, move |tx| tx.unlock(docs[0])).await.unwrap();
        let written = write(&store, Some(docs[0]), step()).await.unwrap();
        assert_eq!(written.header().incarnation, second);
        assert_eq!(why(write(&store, Some(docs[1]), step()).await), Some(Lock::Restored));
        let peer = federation.id(1);
        store.write(Queue::Normal, move |tx| tx.unlock_shared(peer)).await.unwrap();
        store.look_for_locks().unwrap();
        assert_eq!((why(write(&store, Some(docs[1]), step()).await), store.locked()), (None, None));
        let drew = |generation| store.read_here(|r| r.drew(generation)).unwrap();
        assert!(drew(first) && drew(second) && !drew(Incarnation::new(2, 9)));
    }

    #[tokio::test]
    async fn rolled_back_store_goes_on_under_the_generation_that_was_drawn() {
        let (federation, folder) = (Federation::new(2), tempfile::tempdir().unwrap());
        let store = open(folder.path(), &federation, Incarnation::new(1, 7));
        let old = incident(&store, &federation, 1).await;
        let raised = Incarnation::new(2, 9);
        store.raise(raised).await.unwrap();
        assert_eq!(why(write(&store, Some(old), step()).await), Some(Lock::Restored));
        let new = incident(&store, &federation, 2).await;
        assert_eq!(store.read_here(|r| r.greatest_own_counter()).unwrap(), 2, "of what it opened since");
        assert_eq!(write(&store, Some(new), step()).await.unwrap().header().incarnation, raised);
        assert_eq!(store.read_here(|r| r.incarnation()).unwrap(), Some(raised));
    }

    #[tokio::test]
    async fn twins_lock_is_lifted_by_a_person_and_by_nobody_else() {
        let (federation, folder) = (Federation::new(2), tempfile::tempdir().unwrap());
        let store = open(folder.path(), &federation, Incarnation::new(1, 7));
        let old = incident(&store, &federation, 1).await;
        store.alarm_twin(old, EnvelopeId([3; 32])).await.unwrap();
        let peer = federation.id(1);
        store
            .write(Queue::Normal, move |tx| {
                tx.unlock(old)?;
                tx.unlock_shared(peer)
            })
            .await
            .unwrap();
        store.look_for_locks().unwrap();
        assert_eq!(why(write(&store, Some(old), step()).await), Some(Lock::Twin));
        incident(&store, &federation, 2).await;
        store.stop();
        let store = open(folder.path(), &federation, Incarnation::new(1, 7));
        assert_eq!(store.locked(), Some(Lock::Twin), "a restart changes nothing");
        assert_eq!(store.unlock_all(Incarnation::new(2, 1)).await.unwrap(), 1);
        let written = write(&store, Some(old), step()).await.unwrap();
        assert_eq!((written.header().incarnation, store.locked()), (Incarnation::new(2, 1), None));
    }
}
