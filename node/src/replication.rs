//! Replication as this node does it: the pure replica between the federation's loop and the store.
//! What the replica asks for is carried out here and decided nowhere here.

mod carrier;
mod contacts;
mod own;
mod rosters;
mod shelf;
mod taking;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use federation::close::CloseCode;
use federation::handlers::{Blob, BlobShelf, Decode, Later, Refusal, Worth};
use federation::{Core, Fruit, Handle, Input, Lane, Output};
use protocol::ids::{BlobId, MemberId, Millis};
use protocol::message::{BlobWant, Message};
use protocol::replica::{
    Arrived, ArrivedItem, Checked, Input as ReplicaInput, Output as ReplicaOutput, Replica,
};
use tokio::sync::mpsc;

use crate::desk::ReplicationGauges;
use crate::store::{Store, WriteError};

pub use carrier::Carrier;
pub use contacts::Contacts;
pub use own::{OwnKeyError, OwnSide};
pub use rosters::NodeRosters;
pub use shelf::{NodeShelf, OpenShelf};
use taking::{Coming, Taking};

/// Things asked for and not carried out yet, above which no more frames of peers are taken.
pub const WORKS_IN_FLIGHT_MAX: usize = 4_096;

/// One thing that the replica asks for.
pub type Work = ReplicaOutput;

/// The replica as the federation's loop sees it.
pub struct Bridge {
    store: Store,
    replica: Replica,
    shelf: NodeShelf,
    out: VecDeque<Output>,
    works: mpsc::UnboundedSender<Work>,
    in_flight: Arc<AtomicUsize>,
    gauges: Arc<ReplicationGauges>,
    taking: Option<Taking>,
    harvest: Harvest,
}

/// What came of the frame that was handed in last.
#[derive(Debug, Default)]
struct Harvest {
    fruit: Fruit,
    /// Envelopes that it brought.
    brought: usize,
    /// Envelopes that were stored or held because of it.
    kept: usize,
}

impl Harvest {
    fn of(input: &ReplicaInput) -> Self {
        let mut harvest = Self::default();
        if let ReplicaInput::Arrived { message: Arrived::Items(arrived), .. } = input {
            harvest.brought = arrived.items.len();
        }
        harvest
    }

    /// Envelopes that are stored, now or after others of their document.
    fn take(&mut self, envelopes: usize) {
        self.kept += envelopes;
        if envelopes > 0 {
            self.fruit = Fruit::Deeds;
        }
    }

    fn add(&mut self, output: &ReplicaOutput) {
        self.fruit = self.fruit.max(fruit(output));
        self.kept += usize::from(matches!(output, ReplicaOutput::Hold(_)));
    }

    /// One new envelope among many that were known does not pay for all of them.
    fn fruit(&self) -> Fruit {
        if self.kept * 2 < self.brought { self.fruit.min(Fruit::Words) } else { self.fruit }
    }
}

/// The carrier's end of a bridge. The queue has no bound of its own: above
/// [`WORKS_IN_FLIGHT_MAX`] the loop takes no more frames, so nothing adds to it.
pub struct Works {
    queue: mpsc::UnboundedReceiver<Work>,
    in_flight: Arc<AtomicUsize>,
}

impl Works {
    /// Waits for the next; none once the loop has ended.
    pub async fn next(&mut self) -> Option<Work> {
        self.queue.recv().await
    }
    /// Counts what is in flight; whoever carries something out says so here when it is done.
    #[must_use]
    pub fn counter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.in_flight)
    }
}

impl Bridge {
    /// A replica of this store, and the queue of what it asks for.
    #[must_use]
    pub fn new(store: Store, contacts: Contacts, gauges: Arc<ReplicationGauges>) -> (Self, Works) {
        let (works, queue) = mpsc::unbounded_channel();
        let in_flight = Arc::new(AtomicUsize::new(0));
        let replica = replica_of(&store);
        let shelf = NodeShelf::new(store.clone(), contacts);
        let out = VecDeque::new();
        let (taking, harvest, counted) = (None, Harvest::default(), in_flight.clone());
        let bridge = Self { store, replica, shelf, out, works, in_flight: counted, gauges, taking, harvest };
        (bridge, Works { queue, in_flight })
    }

    fn carry(&mut self, output: ReplicaOutput) {
        self.harvest.add(&output);
        match output {
            ReplicaOutput::Send { peer, lane, message } => {
                let frame = Bytes::from(message.encode());
                tracing::trace!(target: "cuadra::wire", %peer, kind = message.name(), bytes = frame.len());
                self.out.push_back(Output::Send { peer, lane, frame });
            }
            ReplicaOutput::Disconnect { peer, why } => {
                tracing::info!(%peer, %why, "closing a connection");
                self.out.push_back(Output::Disconnect { peer, code: CloseCode::KeyNotAccepted });
            }
            ReplicaOutput::Store { doc, envelopes, blobs, proofs, lane } => {
                let taking = self.taking.as_ref().expect("the loop begins with a handle");
                taking.take_in(doc, Coming { envelopes, blobs, proofs }, lane);
            }
            work @ (ReplicaOutput::RecordRefusal { .. }
            | ReplicaOutput::Hold(_)
            | ReplicaOutput::LetGo { .. }
            | ReplicaOutput::NoteGone { .. }
            | ReplicaOutput::NoteHolder { .. }
            | ReplicaOutput::ForgetGone { .. }
            | ReplicaOutput::Blame { .. }
            | ReplicaOutput::ClearDue { .. }
            | ReplicaOutput::SetDue { .. }
            | ReplicaOutput::ForgetDigest { .. }
            | ReplicaOutput::InStep { .. }
            | ReplicaOutput::FetchBlob { .. }
            | ReplicaOutput::ServeBlob { .. }
            | ReplicaOutput::OfferRoster { .. }
            | ReplicaOutput::StoreContact(_)
            | ReplicaOutput::AutoCommit { .. }
            | ReplicaOutput::Unlock { .. }
            | ReplicaOutput::UnlockShared { .. }
            | ReplicaOutput::Raise { .. }
            | ReplicaOutput::Twin { .. }) => {
                self.in_flight.fetch_add(1, Ordering::Relaxed);
                // The carrier ends only after the loop, when nothing is to be done any more.
                let _ = self.works.send(work);
            }
        }
    }
}

fn replica_of(store: &Store) -> Replica {
    Replica::new(store.member(), store.rosters().as_ref().clone()).knowing(store.rules())
}

impl Core for Bridge {
    type Frame = Arrived;
    type Command = ReplicaInput;

    fn begin(&mut self, handle: Handle<Self>) {
        self.taking = Some(Taking::new(self.store.clone(), handle, self.in_flight.clone()));
    }

    fn handle(&mut self, now: Millis, input: Input<Arrived, ReplicaInput>) {
        let input = match input {
            Input::Connected { peer, roster_version } => ReplicaInput::Connected { peer, roster_version },
            Input::Disconnected(peer) => ReplicaInput::Disconnected { peer },
            Input::Frame { peer, lane, frame } => ReplicaInput::Arrived { peer, lane, message: frame },
            Input::Command(command) => command,
            Input::Woken => ReplicaInput::Tick,
        };
        #[cfg(any(debug_assertions, feature = "planted-faults"))]
        if let ReplicaInput::Arrived { message, .. } = &input {
            crate::planted::core(message);
        }
        self.harvest = Harvest::of(&input);
        self.replica.handle(now, input, &self.shelf.open());
        self.harvest.take(self.replica.taken());
        while let Some(output) = self.replica.poll_output() {
            self.carry(output);
        }
        let (parked, bytes) = self.replica.parked();
        self.gauges.parked.store(parked, Ordering::Relaxed);
        self.gauges.parked_bytes.store(bytes, Ordering::Relaxed);
    }

    fn may_have_blob(&mut self, now: Millis, peer: MemberId, want: &BlobWant) -> bool {
        let message = Arrived::Plain(Message::BlobWant(want.clone()));
        self.replica.handle(
            now,
            ReplicaInput::Arrived { peer, lane: Lane::Blobs, message },
            &self.shelf.open(),
        );
        let mut served = false;
        while let Some(output) = self.replica.poll_output() {
            // The stream that asked carries both answers itself.
            if let ReplicaOutput::ServeBlob { peer: to, blob, .. } = &output
                && (*to, *blob) == (peer, want.blob)
            {
                served = true;
            } else if !is_blob_none(&output) {
                self.carry(output);
            }
        }
        served
    }

    fn congested(&self, lane: Lane) -> bool {
        self.replica.congested(lane) || self.in_flight.load(Ordering::Relaxed) >= WORKS_IN_FLIGHT_MAX
    }

    fn fruit(&self) -> Fruit {
        self.harvest.fruit()
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    fn restart(&mut self) {
        // What it knew of peers is in the store or comes again; what it asked for is carried out still.
        self.replica = replica_of(&self.store);
        self.out.clear();
    }

    fn wake_at(&self) -> Option<Millis> {
        Some(self.replica.next_wake())
    }
}

/// Decodes frames and verifies what is signed in them, in the connections' own tasks.
pub struct Checker(pub Store);

impl Decode for Checker {
    type Frame = Arrived;

    fn decode(&self, _peer: MemberId, _lane: Lane, bytes: &[u8]) -> Result<Arrived, Refusal> {
        let (message, spoiled) = Message::decode_sparing(bytes).map_err(Refusal::new)?;
        if elsewhere(&message) {
            return Err(Refusal::new(Elsewhere(message.name())));
        }
        Ok(Arrived::check(message, &self.0.rosters()).with_spoiled(&spoiled))
    }

    fn worth(&self, frame: &Arrived) -> Worth {
        worth(frame)
    }
}

fn worth(frame: &Arrived) -> Worth {
    let Arrived::Items(arrived) = frame else { return Worth::Asked };
    let faulty = |item: &ArrivedItem| item.spoiled_blob || matches!(item.envelope, Checked::Faulty(..));
    if arrived.items.iter().any(faulty) {
        Worth::Worthless
    } else if arrived.answer {
        Worth::Asked
    } else {
        Worth::Pushed
    }
}

/// A message on a lane that belongs on the control stream or on a blob's own.
#[derive(Debug, thiserror::Error)]
#[error("a {0} belongs on another stream")]
struct Elsewhere(&'static str);

fn elsewhere(message: &Message) -> bool {
    matches!(
        message,
        Message::Welcome(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::BlobWant(_)
            | Message::BlobPiece(_)
            | Message::BlobNone(_)
    )
}

/// The store's blobs, for peers that may have them.
pub struct Blobs(pub Store);

impl BlobShelf for Blobs {
    fn read(&self, blob: BlobId) -> Later<'_, Option<Blob>> {
        Box::pin(async move {
            let read = self.0.read::<_, WriteError, _>(move |r| r.blob(&blob)).await;
            match read {
                Ok(found) => found.map(|found| Blob { salt: found.salt, content: found.content.into() }),
                Err(error) => {
                    tracing::warn!(%error, "a blob could not be read for a peer");
                    None
                }
            }
        })
    }
}

/// What it says of the frame that led to it. Whoever asks for the same again and again is answered each time.
fn fruit(output: &ReplicaOutput) -> Fruit {
    match output {
        ReplicaOutput::Disconnect { .. }
        | ReplicaOutput::RecordRefusal { .. }
        | ReplicaOutput::Blame { .. } => Fruit::Nothing,
        ReplicaOutput::Send { .. }
        | ReplicaOutput::ClearDue { .. }
        | ReplicaOutput::SetDue { .. }
        | ReplicaOutput::ForgetDigest { .. }
        | ReplicaOutput::ServeBlob { .. } => Fruit::Words,
        ReplicaOutput::Store { .. }
        | ReplicaOutput::Hold(_)
        | ReplicaOutput::LetGo { .. }
        | ReplicaOutput::NoteGone { .. }
        | ReplicaOutput::NoteHolder { .. }
        | ReplicaOutput::ForgetGone { .. }
        | ReplicaOutput::InStep { .. }
        | ReplicaOutput::FetchBlob { .. }
        | ReplicaOutput::OfferRoster { .. }
        | ReplicaOutput::StoreContact(_)
        | ReplicaOutput::AutoCommit { .. }
        | ReplicaOutput::Unlock { .. }
        | ReplicaOutput::UnlockShared { .. }
        | ReplicaOutput::Raise { .. }
        | ReplicaOutput::Twin { .. } => Fruit::Deeds,
    }
}

fn is_blob_none(output: &ReplicaOutput) -> bool {
    matches!(output, ReplicaOutput::Send { message: Message::BlobNone(_), .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_new_envelope_does_not_pay_for_many_that_were_known() {
        let fruit_of = |brought, kept| Harvest { fruit: Fruit::Deeds, brought, kept }.fruit();
        assert_eq!(fruit_of(10, 4), Fruit::Words);
        assert_eq!(fruit_of(10, 5), Fruit::Deeds);
        assert_eq!(fruit_of(0, 0), Fruit::Deeds, "a blob that was asked for, say");
    }

    #[test]
    fn what_waits_for_others_of_its_document_is_as_good_as_what_is_stored_at_once() {
        let mut harvest = Harvest { fruit: Fruit::Nothing, brought: 2, kept: 0 };
        harvest.take(1);
        assert_eq!(harvest.fruit(), Fruit::Deeds);
    }
}
