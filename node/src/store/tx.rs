//! What the writer's thread holds, and the transaction that a job sees of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::envelope::AdmittedEnvelope;
use protocol::ids::{DocId, EnvelopeId, Incarnation, MemberId, Millis, Pseudonym};
use protocol::roster::RosterChain;
use rusqlite::{Connection, params};
use tokio::sync::{broadcast, watch};

use crate::store::checkpoint::Checkpoints;
use crate::store::events::{Committed, Event, What};
use crate::store::keys::Keys;
use crate::store::limits::EVENTS_KEPT_MAX;
use crate::store::parsed::Cache;
use crate::store::reader::Reader;
use crate::store::writer::Queue;
use crate::store::{Clock, Shared, WriteError};

/// The writer's connections and state; lives on its thread.
pub(super) struct Writing {
    pub(super) db: Connection,
    pub(super) keys: Connection,
    pub(super) shared: Arc<Shared>,
    /// This node's generation.
    pub(super) incarnation: Incarnation,
    pub(super) documents: Cache,
    /// Until when incidents of a member ring no more, for those that have had their share.
    pub(super) shares_end: BTreeMap<MemberId, Millis>,
    pub(super) clock: Clock,
    pub(super) commits: broadcast::Sender<Committed>,
    pub(super) fatal: watch::Sender<bool>,
    pub(super) checkpoints: Arc<Checkpoints>,
    pub(super) ballast: PathBuf,
    pub(super) group: Effects,
    pub(super) job: Effects,
    /// From which queue the job is.
    pub(super) queue: Queue,
    /// Where the next job is to fail half-way.
    #[cfg(test)]
    pub(super) fail_at: Option<String>,
}

/// What a commit will tell to the rest of the node.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) events: Vec<Event>,
    /// Those of a job behind everything else.
    pub(super) bulk: Vec<Event>,
    pub(super) wrote: Vec<AdmittedEnvelope>,
    /// Documents that were changed in the cache; forgotten if the job is undone.
    pub(super) touched: Vec<DocId>,
    /// When envelopes that are not bulk were written, on this node's own clock.
    pub(super) written: Vec<(EnvelopeId, Millis)>,
    /// True if something is to be erased now.
    pub(super) erased: bool,
}

impl Writing {
    pub(super) fn begin(&mut self) -> Result<(), WriteError> {
        self.group = Effects::default();
        step(&self.db, "BEGIN IMMEDIATE")?;
        // At once, not at the first write: what is made ahead is stored by another connection, and a key
        // that was read before that could then not be followed by one that is written.
        step(&self.keys, "BEGIN IMMEDIATE")?;
        Ok(())
    }

    /// Keys first: a key without data is harmless, data without its key would be lost.
    pub(super) fn commit(&mut self) -> Result<(), WriteError> {
        step(&self.keys, "COMMIT")?;
        step(&self.db, "COMMIT")?;
        let mut effects = std::mem::take(&mut self.group);
        // Before anybody is told: who is told looks here.
        self.shared.recent.committed(&effects, &self.documents);
        if effects.erased {
            self.shared.erasure.notify_one();
        }
        let mut wrote = std::mem::take(&mut effects.wrote);
        if let Some(tell) = self.shared.tell_wrote.get() {
            wrote = wrote.into_iter().filter_map(tell).collect();
        }
        let Effects { events, bulk, .. } = effects;
        if !events.is_empty() || !bulk.is_empty() || !wrote.is_empty() {
            let committed = Committed { events: events.into(), bulk: bulk.into(), wrote: wrote.into() };
            // Nobody listening is no error: the events are in their table, the rest in the log.
            let _ = self.commits.send(committed);
        }
        Ok(())
    }

    pub(super) fn roll_back(&mut self) {
        self.group = Effects::default();
        self.job = Effects::default();
        self.documents.clear();
        self.shares_end.clear();
        for db in [&self.db, &self.keys] {
            if !db.is_autocommit()
                && let Err(error) = db.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a transaction could not be undone");
            }
        }
    }

    /// Rows changed so far, in both databases.
    pub(super) fn changes(&self) -> u64 {
        self.db.total_changes() + self.keys.total_changes()
    }

    pub(super) fn start_job(&mut self, queue: Queue) {
        (self.job, self.queue) = (Effects::default(), queue);
    }

    /// The job's effects are to be told with the commit.
    pub(super) fn keep_job(&mut self) {
        self.group.events.append(&mut self.job.events);
        self.group.bulk.append(&mut self.job.bulk);
        self.group.wrote.append(&mut self.job.wrote);
        self.group.touched.append(&mut self.job.touched);
        self.group.written.append(&mut self.job.written);
        self.group.erased |= self.job.erased;
    }

    /// What the job left in memory is forgotten; in the databases it left nothing, or that is undone.
    pub(super) fn forget_job(&mut self) {
        for doc in std::mem::take(&mut self.job).touched {
            self.documents.forget(doc);
        }
    }

    pub(super) fn savepoint(&mut self, queue: Queue) -> Result<(), WriteError> {
        self.start_job(queue);
        step(&self.db, "SAVEPOINT job")?;
        step(&self.keys, "SAVEPOINT job")?;
        Ok(())
    }

    pub(super) fn keep_savepoint(&mut self) -> Result<(), WriteError> {
        step(&self.db, "RELEASE job")?;
        step(&self.keys, "RELEASE job")?;
        self.keep_job();
        Ok(())
    }

    pub(super) fn undo_savepoint(&mut self) -> Result<(), WriteError> {
        self.forget_job();
        self.shares_end.clear();
        self.db.execute_batch("ROLLBACK TO job; RELEASE job")?;
        self.keys.execute_batch("ROLLBACK TO job; RELEASE job")?;
        Ok(())
    }

    pub(super) fn with_tx<T>(&mut self, work: impl FnOnce(&mut Tx<'_>) -> T) -> T {
        let now = (self.clock)();
        work(&mut Tx { writing: self, now })
    }

    /// Gives the reserved room back to the disk, so that the next alert still fits.
    pub(super) fn free_ballast(&mut self) {
        match std::fs::remove_file(&self.ballast) {
            Ok(()) => tracing::error!("the disk is full: the reserve was freed, make room now"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::error!("the disk is full and the reserve is used up");
            }
            Err(error) => tracing::error!(%error, "the reserve could not be freed"),
        }
    }

    pub(super) fn report_fatal(&mut self, fault: &WriteError) {
        tracing::error!(%fault, "the store stops; the process must end");
        self.fatal.send_replace(true);
    }
}

/// One step of a transaction, parsed once.
pub(super) fn step(db: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// One job's view of the transaction. Everything it does is kept or undone together.
pub struct Tx<'a> {
    pub(super) writing: &'a mut Writing,
    now: Millis,
}

impl Tx<'_> {
    /// The node's time when the job began.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.now
    }

    /// This node.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.writing.shared.member
    }

    /// The roster chain in force.
    #[must_use]
    pub fn rosters(&self) -> Arc<RosterChain> {
        self.writing.shared.rosters()
    }

    /// A crew of this node inside one document: equal names, equal pseudonyms there and nowhere else.
    #[must_use]
    pub fn crew_pseudonym(&self, crew: &str, doc: DocId) -> Pseudonym {
        Pseudonym(self.writing.shared.lookup.mark("crew", &[crew.as_bytes(), &doc.0]))
    }

    /// This node itself inside one document, for what it does without a person.
    #[must_use]
    pub fn own_pseudonym(&self, doc: DocId) -> Pseudonym {
        Pseudonym(self.writing.shared.lookup.mark("node", &[&doc.0]))
    }

    /// What is stored, this job's own changes included.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(&self.writing.db, &self.writing.keys, &self.writing.shared)
    }

    pub(super) fn db(&self) -> &Connection {
        &self.writing.db
    }

    pub(super) fn keys(&self) -> Keys<'_> {
        Keys::new(&self.writing.keys)
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.writing.shared
    }

    /// As [`Tx::event`], about a document of whatever class.
    pub fn event_about(&mut self, doc: DocId) -> Result<(), WriteError> {
        let notice = self.reader().notice(doc)?.is_some();
        self.event(if notice { What::Notice } else { What::Incident }, Some(doc))
    }

    /// Numbers an event and tells it to who listens, once committed.
    pub fn event(&mut self, what: What, doc: Option<DocId>) -> Result<(), WriteError> {
        self.event_of_kind(what, doc, None)
    }

    /// As [`Tx::event`], about an incident of this kind.
    pub(super) fn event_of_kind(
        &mut self,
        what: What,
        doc: Option<DocId>,
        kind: Option<u16>,
    ) -> Result<(), WriteError> {
        let number = {
            let db = self.db();
            let mut insert = db.prepare_cached("INSERT INTO event (what, doc) VALUES (?1, ?2)")?;
            insert.execute(params![what.name(), doc.map(|doc| doc.0)])?;
            let number = u64::try_from(db.last_insert_rowid()).unwrap_or_default();
            if number % 100 == 0 {
                let oldest = i64::try_from(number.saturating_sub(EVENTS_KEPT_MAX)).unwrap_or_default();
                db.execute("DELETE FROM event WHERE number <= ?1", params![oldest])?;
            }
            number
        };
        let job = &mut self.writing.job;
        let events = if self.writing.queue == Queue::Bulk { &mut job.bulk } else { &mut job.events };
        events.push(Event { number, what, doc, kind });
        Ok(())
    }
}
