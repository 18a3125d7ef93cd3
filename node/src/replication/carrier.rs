//! Carries out what the replica asks for: transactions, fetches, rosters. Small writes are gathered in
//! their order into one transaction; everything larger runs beside them.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use federation::handlers::Rosters as _;
use federation::peers::{PeerState, Peers};
use federation::{FetchError, Handle};
use protocol::envelope::SignedEnvelope;
use protocol::ids::{BlobId, DocId, Incarnation, MemberId, Millis, commitment};
use protocol::replica::{Fault, Input as ReplicaInput, Output as ReplicaOutput};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::{Bridge, Contacts, NodeRosters, Work, Works};
use crate::desk::{Desk, Link, LinkState};
use crate::home::Home;
use crate::store::limits::{DIGEST_ASKED_AGAIN_MS, DIGEST_REFRESH_MS, RETENTION_LOOK_MS};
use crate::store::{Queue, Tx, WriteError};

/// Small writes in one transaction.
const SMALL_WRITES_MAX: usize = 256;
/// How long a small write waits for others, so that an alert rarely waits behind a transaction for
/// one receipt. A receipt that is lost with the process costs one `have` more.
const SMALL_WRITES_GATHERED: Duration = Duration::from_millis(100);

/// What carrying out needs; cheap to clone.
#[derive(Clone)]
pub struct Carrier {
    desk: Desk,
    handle: Handle<Bridge>,
    rosters: NodeRosters,
    contacts: Contacts,
    links: Arc<Mutex<BTreeMap<MemberId, Link>>>,
}

impl Carrier {
    /// For a running federation.
    #[must_use]
    pub fn new(desk: Desk, handle: Handle<Bridge>, rosters: NodeRosters, contacts: Contacts) -> Self {
        Self { desk, handle, rosters, contacts, links: Arc::default() }
    }

    /// Carries out until the loop has ended and everything asked for is done.
    pub async fn run(self, mut works: Works) {
        let in_flight = works.counter();
        let mut running = JoinSet::new();
        // Bounded like everything in flight: above that, the loop takes no more frames.
        let (small, gathered) = mpsc::unbounded_channel();
        running.spawn(self.clone().write_gathered(gathered, Arc::clone(&in_flight)));
        while let Some(work) = works.next().await {
            if is_small(&work) {
                // It ends with the channel, after this loop.
                let _ = small.send(work);
            } else {
                let (carrier, in_flight) = (self.clone(), Arc::clone(&in_flight));
                running.spawn(async move {
                    carrier.carry_out(work).await;
                    in_flight.fetch_sub(1, Ordering::Relaxed);
                });
            }
            while let Some(ended) = running.try_join_next() {
                report(ended);
            }
        }
        drop(small);
        while let Some(ended) = running.join_next().await {
            report(ended);
        }
    }

    /// Writes small things in their order, as many in one transaction as come within a moment.
    async fn write_gathered(self, mut small: mpsc::UnboundedReceiver<Work>, in_flight: Arc<AtomicUsize>) {
        while let Some(first) = small.recv().await {
            let write_at = Instant::now() + SMALL_WRITES_GATHERED;
            let mut works = vec![first];
            while works.len() < SMALL_WRITES_MAX
                && let Ok(Some(work)) = timeout_at(write_at, small.recv()).await
            {
                works.push(work);
            }
            let count = works.len();
            self.write_small(works).await;
            in_flight.fetch_sub(count, Ordering::Relaxed);
        }
    }

    async fn carry_out(&self, work: Work) {
        match work {
            ReplicaOutput::FetchBlob { doc, blob, candidates } => self.fetch(doc, blob.id, &candidates).await,
            ReplicaOutput::OfferRoster { peer, bytes } => {
                if let Err(error) = self.rosters.take(peer, bytes).await {
                    tracing::warn!(%peer, %error, "a roster that a peer sent was refused");
                    self.blame(peer, Fault::Roster);
                }
            }
            ReplicaOutput::StoreContact(record) => {
                if let Err(error) = self.contacts.keep(record) {
                    tracing::warn!(%error, "a contact record could not be kept");
                }
                self.dial();
            }
            ReplicaOutput::AutoCommit { doc, operation } => {
                if let Err(error) = self.desk.auto_commit(doc, operation).await {
                    tracing::warn!(%doc, %error, "an accepted handoff was not committed yet");
                }
            }
            ReplicaOutput::Raise { forgotten } => self.raise(forgotten).await,
            ReplicaOutput::Twin { doc, evidence } => {
                if let Err(error) = self.desk.store().alarm_twin(doc, evidence).await {
                    tracing::error!(%error, "the alarm about a twin could not be kept");
                }
            }
            ReplicaOutput::InStep { peer, at, documents } => {
                let documents = u64::try_from(documents).unwrap_or(u64::MAX);
                self.link(peer, |link| {
                    link.in_step = Some(at);
                    link.shared_documents = documents;
                });
            }
            ReplicaOutput::Blame { peer, id, fault } => {
                if self.blame(peer, fault) {
                    tracing::warn!(%peer, %id, %fault, "a peer passed on a copy that is worth nothing");
                }
            }
            // Sent or queued by the loop, served on the stream that asked, or gathered above.
            ReplicaOutput::Store { .. }
            | ReplicaOutput::ServeBlob { .. }
            | ReplicaOutput::Send { .. }
            | ReplicaOutput::Disconnect { .. }
            | ReplicaOutput::ClearDue { .. }
            | ReplicaOutput::SetDue { .. }
            | ReplicaOutput::ForgetDigest { .. }
            | ReplicaOutput::RecordRefusal { .. }
            | ReplicaOutput::Hold(_)
            | ReplicaOutput::LetGo { .. }
            | ReplicaOutput::NoteGone { .. }
            | ReplicaOutput::NoteHolder { .. }
            | ReplicaOutput::ForgetGone { .. }
            | ReplicaOutput::Unlock { .. }
            | ReplicaOutput::UnlockShared { .. } => {}
        }
    }

    /// The mark first, then the store: nothing is signed under a generation that could be drawn again.
    async fn raise(&self, forgotten: Incarnation) {
        let store = self.desk.store();
        tracing::error!(
            "this node forgot what it had signed: it was rolled back, and goes on under a new generation"
        );
        let home = Home::at(store.folder());
        let raised = match home.draw_incarnation(forgotten.counter()) {
            Ok(drawn) => store.raise(drawn).await,
            Err(error) => Err(WriteError::Broken(format!("the mark could not be written: {error}"))),
        };
        if let Err(error) = raised {
            tracing::error!(%error, "the generation could not be raised: stop the node and run `cuadra unlock`");
        }
    }

    async fn fetch(&self, doc: DocId, blob: BlobId, candidates: &[MemberId]) {
        let answer = match self.try_fetch(doc, blob, candidates).await {
            Ok(()) => ReplicaInput::BlobStored { blob },
            Err(error) => {
                tracing::debug!(%blob, %error, "a blob was not fetched");
                if let Some(FetchError::Lied(liars)) = error.downcast_ref() {
                    liars.iter().for_each(|liar| _ = self.blame(*liar, Fault::Commitment));
                }
                ReplicaInput::FetchFailed { blob }
            }
        };
        self.tell(answer).await;
    }

    async fn try_fetch(
        &self,
        doc: DocId,
        blob: BlobId,
        candidates: &[MemberId],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let fetched = self.handle.fetch(doc, blob, candidates).await?;
        debug_assert_eq!(commitment(&fetched.salt, &fetched.content), blob);
        let staged = self.desk.store().stage(fetched.salt, fetched.content.to_vec()).await?;
        let keep = move |tx: &mut Tx<'_>| -> Result<(), WriteError> {
            tx.keep_blob(&staged, Some(doc))?;
            tx.event_about(doc)
        };
        self.desk.store().write(Queue::Bulk, keep).await?;
        Ok(())
    }

    async fn write_small(&self, works: Vec<Work>) {
        if works.is_empty() {
            return;
        }
        let unlocks = works
            .iter()
            .any(|work| matches!(work, ReplicaOutput::Unlock { .. } | ReplicaOutput::UnlockShared { .. }));
        let write = move |tx: &mut Tx<'_>| -> Result<(), WriteError> {
            works.iter().try_for_each(|work| write_one(tx, work))
        };
        let store = self.desk.store();
        let written = store.write(Queue::Normal, write).await;
        let written = written.and_then(|()| if unlocks { store.look_for_locks() } else { Ok(()) });
        if let Err(error) = written {
            // Nothing is lost by it: what is due stays due, and is confirmed anew at the next digest.
            tracing::warn!(%error, "what peers confirmed could not be stored");
        }
    }

    /// Tells the loop; without it there is nobody to tell.
    pub async fn tell(&self, input: ReplicaInput) {
        if self.handle.command(input).await.is_err() {
            tracing::debug!("the federation has stopped");
        }
    }

    /// Dials whoever is listed now.
    pub fn dial(&self) {
        let store = self.desk.store();
        let configured = &self.desk.config().federation.peers;
        self.handle.set_contacts(self.contacts.to_dial(store.rosters().head(), configured, store.member()));
    }

    /// Tells the replica of every envelope that this node writes, after its commit: at once from the
    /// writer's thread, and of those for which the loop had no room then, from here.
    pub async fn tell_written(self, mut stop: watch::Receiver<bool>) {
        let mut commits = self.desk.commits();
        let handle = self.handle.clone();
        self.desk.store().tell_wrote(Box::new(move |envelope| {
            let doc = envelope.header().doc;
            match handle.try_command(ReplicaInput::Wrote { doc, envelopes: vec![envelope] }) {
                Err(ReplicaInput::Wrote { mut envelopes, .. }) => envelopes.pop(),
                Ok(()) | Err(_) => None,
            }
        }));
        loop {
            let committed = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                committed = commits.recv() => committed,
            };
            match committed {
                Ok(committed) => {
                    for envelope in committed.wrote.iter() {
                        let doc = envelope.header().doc;
                        self.tell(ReplicaInput::Wrote { doc, envelopes: vec![envelope.clone()] }).await;
                    }
                }
                // What was missed is due, and goes with the next comparison.
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "commits came faster than they were told")
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Tells the replica and the dialler of every newer roster.
    pub async fn tell_rosters(self, mut stop: watch::Receiver<bool>) {
        use federation::handlers::Rosters as _;
        let mut head = self.rosters.head();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                changed = head.changed() => if changed.is_err() { return },
            }
            self.dial();
            let chain = self.desk.store().rosters().as_ref().clone();
            self.tell(ReplicaInput::RosterChanged(chain)).await;
        }
    }

    /// Keeps the hashes of what is shared with each peer, so that a comparison reads them and makes none.
    pub async fn keep_digests(self, mut stop: watch::Receiver<bool>) {
        let store = self.desk.store().clone();
        let mut commits = self.desk.commits();
        let mut asked = false;
        loop {
            if let Err(error) = store.refresh_digests().await {
                tracing::warn!(%error, "hashes of what is shared with a peer were not kept");
            }
            let mut soonest = Instant::now();
            if asked {
                self.tell(ReplicaInput::DigestsMade).await;
                soonest += Duration::from_millis(DIGEST_ASKED_AGAIN_MS);
            }
            let mut ask = pin!(async {
                tokio::time::sleep_until(soonest).await;
                store.digests_asked().await;
            });
            asked = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = &mut ask => true,
                () = tokio::time::sleep(Duration::from_millis(DIGEST_REFRESH_MS)) => false,
            };
            // One refresh for all that was committed meanwhile.
            let mut changed = 0;
            while matches!(commits.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {
                changed += 1;
            }
            if changed == 0 && !asked {
                asked = tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = ask => true,
                    committed = commits.recv() => {
                        if matches!(committed, Err(RecvError::Closed)) {
                            return;
                        }
                        false
                    }
                };
            }
        }
    }

    /// Drops the contents of retired documents once their retention is over, and tells the replica.
    pub async fn drop_retired(self, mut stop: watch::Receiver<bool>) {
        let store = self.desk.store().clone();
        let days = u64::from(self.desk.config().storage.retired_days.get());
        loop {
            match store.drop_retired(Millis(days * 24 * 60 * 60 * 1_000)).await {
                Ok(dropped) => {
                    for doc in dropped {
                        self.tell(ReplicaInput::Dropped { doc }).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "retired documents were not looked for"),
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(Duration::from_millis(RETENTION_LOOK_MS)) => {}
            }
        }
    }

    /// Tells the screens how each peer is reached.
    pub async fn tell_peers(self, mut stop: watch::Receiver<bool>) {
        let mut peers = self.handle.peers();
        loop {
            let now: Peers = peers.borrow_and_update().clone();
            for (peer, status) in now.iter() {
                let state = match status.state {
                    PeerState::Connected => LinkState::Connected,
                    PeerState::Connecting => LinkState::Connecting,
                    PeerState::Away => LinkState::Away,
                };
                self.link(*peer, |link| {
                    link.state = state;
                    link.since = status.since;
                    link.counters = status.counters.clone();
                });
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                changed = peers.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Counts a fault. True while it is worth a line in the log: a peer that sends nothing else must not
    /// fill the disk with them.
    fn blame(&self, peer: MemberId, fault: Fault) -> bool {
        let mut count = 0;
        self.link(peer, |link| {
            let faults = link.faults.entry(fault).or_default();
            *faults = faults.saturating_add(1);
            count = *faults;
            link.last_fault = Some(fault);
        });
        count.is_power_of_two()
    }

    fn link(&self, peer: MemberId, change: impl FnOnce(&mut Link)) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let link = links.entry(peer).or_default();
        change(link);
        self.desk.set_link(peer, link.clone());
    }
}

/// Receipts and the like: worth no transaction each.
fn is_small(work: &Work) -> bool {
    matches!(
        work,
        ReplicaOutput::ClearDue { .. }
            | ReplicaOutput::SetDue { .. }
            | ReplicaOutput::ForgetDigest { .. }
            | ReplicaOutput::RecordRefusal { .. }
            | ReplicaOutput::Hold(_)
            | ReplicaOutput::LetGo { .. }
            | ReplicaOutput::NoteGone { .. }
            | ReplicaOutput::NoteHolder { .. }
            | ReplicaOutput::ForgetGone { .. }
            | ReplicaOutput::Unlock { .. }
            | ReplicaOutput::UnlockShared { .. }
    )
}

fn write_one(tx: &mut Tx<'_>, work: &Work) -> Result<(), WriteError> {
    if let ReplicaOutput::ClearDue { peer, doc, at } = work {
        tx.clear_due_at(*peer, *doc, at)?;
    }
    if let ReplicaOutput::ForgetDigest { peer } = work {
        tx.forget_digest(peer)?;
    }
    if let ReplicaOutput::SetDue { peer, docs } = work {
        for doc in docs {
            tx.set_due_to(*peer, *doc)?;
        }
    }
    if let ReplicaOutput::Hold(held) = work
        && !tx.hold(held)?
    {
        tracing::debug!(doc = %held.envelope.header().doc, "what a later release wrote is not kept: no room");
    }
    if let ReplicaOutput::LetGo { ids } = work {
        ids.iter().try_for_each(|id| tx.let_go(id))?;
    }
    if let ReplicaOutput::NoteGone { peer, doc, retired } = work {
        tx.note_gone(*peer, *doc, *retired)?;
    }
    if let ReplicaOutput::NoteHolder { peer, doc } = work {
        tx.note_holder(*peer, *doc)?;
    }
    if let ReplicaOutput::ForgetGone { peer, doc } = work {
        tx.forget_gone(*peer, *doc)?;
    }
    if let ReplicaOutput::Unlock { doc } = work {
        tx.unlock(*doc)?;
    }
    if let ReplicaOutput::UnlockShared { peer } = work {
        tx.unlock_shared(*peer)?;
    }
    if let ReplicaOutput::RecordRefusal { peer, refusal, bytes, .. } = work
        && let Ok(envelope) = SignedEnvelope::decode(bytes)
    {
        tx.refuse(&envelope, *peer, *refusal)?;
    }
    Ok(())
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a task of the replication failed");
    }
}
