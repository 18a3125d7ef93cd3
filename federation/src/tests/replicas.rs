//! Real replicas over real QUIC, with disks in memory: a border incident reaches a neighbour through the
//! precinct alone, catches up after a restart, and brings its large blob along a direct link.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use protocol::author::Draft;
use protocol::envelope::{BlobClass, BlobRef};
use protocol::fixture::{self, code, open, somebody};
use protocol::ids::{BlobId, DocId, MemberId, Millis, commitment};
use protocol::kind::Kind;
use protocol::message::{BlobWant, InlineBlob, Message};
use protocol::operation::{Operation, Response, Step};
use protocol::replica::{Arrived, Input as Told, Output as Wanted, Replica};
use protocol::roster::RosterChain;
use protocol::sim::disk::Disk;
use tokio::sync::{mpsc, watch};

use super::kit::{Chain, DEADLINE, head, key, soon, timing};
use crate::handlers::{Blob, BlobShelf, Decode, Later, Refusal};
use crate::keys::{AcceptedKeys, OwnKeys, TlsKey};
use crate::{Contacts, Core, Federation, Handle, Handlers, Identity, Input, Lane, Output, Settings};

/// Fingerprint of every document held, and the blobs held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    documents: BTreeMap<DocId, [u8; 32]>,
    blobs: BTreeSet<BlobId>,
}

enum Command {
    Write { doc: Option<DocId>, operation: Operation, blobs: Vec<(BlobRef, InlineBlob)> },
    Fetched(BlobId, Option<Blob>),
}

/// A replica over a disk in memory whose transactions are over at once.
struct Island {
    number: usize,
    federation: Arc<fixture::Federation>,
    replica: Replica,
    disk: Arc<Mutex<Disk>>,
    seen: Arc<watch::Sender<Seen>>,
    wrote: mpsc::UnboundedSender<DocId>,
    fetches: mpsc::UnboundedSender<(DocId, BlobId, Vec<MemberId>)>,
    out: VecDeque<Output>,
}

impl Island {
    fn tell(&mut self, now: Millis, told: Told) {
        let disk = self.disk.clone();
        let mut told = VecDeque::from([told]);
        while let Some(next) = told.pop_front() {
            self.replica.handle(now, next, &*disk.lock().unwrap());
            while let Some(wanted) = self.replica.poll_output() {
                told.extend(self.carry_out(now, wanted, &mut disk.lock().unwrap()));
            }
        }
        let disk = disk.lock().unwrap();
        let prints = disk.documents.iter().map(|(doc, document)| (*doc, document.fingerprint()));
        let seen = Seen { documents: prints.collect(), blobs: disk.blobs.keys().copied().collect() };
        self.seen.send_if_modified(|before| std::mem::replace(before, seen.clone()) != seen);
    }

    fn carry_out(&mut self, now: Millis, wanted: Wanted, disk: &mut Disk) -> Option<Told> {
        match wanted {
            Wanted::Send { peer, lane, message } => {
                self.out.push_back(Output::Send { peer, lane, frame: Bytes::from(message.encode()) });
            }
            Wanted::Store { doc, envelopes, blobs, .. } => {
                disk.store(now, doc, &envelopes, blobs);
                return Some(Told::Stored { doc });
            }
            Wanted::ClearDue { peer, doc, at } => disk.clear_due(peer, doc, at),
            Wanted::SetDue { peer, docs } => docs.into_iter().for_each(|doc| disk.set_due(now, peer, doc)),
            Wanted::FetchBlob { doc, blob, candidates } => {
                self.fetches.send((doc, blob.id, candidates)).unwrap();
            }
            Wanted::RecordRefusal { refusal, .. } => panic!("an honest envelope was refused: {refusal:?}"),
            Wanted::Blame { fault, .. } => panic!("an honest peer was blamed: {fault}"),
            Wanted::Hold(held) => panic!("an envelope of today's rules was held: {:?}", held.envelope.id()),
            Wanted::InStep { .. }
            | Wanted::LetGo { .. }
            | Wanted::NoteGone { .. }
            | Wanted::NoteHolder { .. }
            | Wanted::ForgetGone { .. }
            | Wanted::ForgetDigest { .. }
            | Wanted::ServeBlob { .. }
            | Wanted::OfferRoster { .. }
            | Wanted::StoreContact(_)
            | Wanted::AutoCommit { .. }
            | Wanted::Unlock { .. }
            | Wanted::UnlockShared { .. }
            | Wanted::Raise { .. }
            | Wanted::Twin { .. }
            | Wanted::Disconnect { .. } => {}
        }
        None
    }

    fn write(
        &mut self,
        now: Millis,
        doc: Option<DocId>,
        operation: Operation,
        blobs: Vec<(BlobRef, InlineBlob)>,
    ) {
        let (named, contents) = blobs.into_iter().unzip();
        let answers = operation.answers();
        let draft = Draft { operation, blobs: named, answers, written_at: now };
        let hand = self.federation.hand(self.number);
        let envelope = self.disk.lock().unwrap().write(now, doc, &draft, contents, &hand).unwrap();
        let doc = envelope.header().doc;
        self.tell(now, Told::Wrote { doc, envelopes: vec![envelope] });
        self.wrote.send(doc).unwrap();
    }
}

impl Core for Island {
    type Frame = Arrived;
    type Command = Command;
    fn handle(&mut self, now: Millis, input: Input<Arrived, Command>) {
        match input {
            Input::Connected { peer, roster_version } => {
                self.tell(now, Told::Connected { peer, roster_version });
            }
            Input::Disconnected(peer) => self.tell(now, Told::Disconnected { peer }),
            Input::Frame { peer, lane, frame } => {
                self.tell(now, Told::Arrived { peer, lane, message: frame })
            }
            Input::Command(Command::Write { doc, operation, blobs }) => {
                self.write(now, doc, operation, blobs)
            }
            Input::Command(Command::Fetched(blob, Some(Blob { salt, content }))) => {
                let stored = InlineBlob { id: blob, salt, content: content.to_vec() };
                self.disk.lock().unwrap().blobs.insert(blob, stored);
                self.tell(now, Told::BlobStored { blob });
            }
            Input::Command(Command::Fetched(blob, None)) => self.tell(now, Told::FetchFailed { blob }),
            Input::Woken => self.tell(now, Told::Tick),
        }
    }
    fn may_have_blob(&mut self, now: Millis, peer: MemberId, want: &BlobWant) -> bool {
        let message = Arrived::Plain(Message::BlobWant(want.clone()));
        self.replica.handle(
            now,
            Told::Arrived { peer, lane: Lane::Blobs, message },
            &*self.disk.lock().unwrap(),
        );
        std::iter::from_fn(|| self.replica.poll_output())
            .any(|wanted| matches!(wanted, Wanted::ServeBlob { blob, .. } if blob == want.blob))
    }
    fn congested(&self, lane: Lane) -> bool {
        self.replica.congested(lane)
    }
    fn restart(&mut self) {
        panic!("nothing goes wrong here");
    }
    fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }
    fn wake_at(&self) -> Option<Millis> {
        Some(self.replica.next_wake())
    }
}

struct Check(RosterChain);

impl Decode for Check {
    type Frame = Arrived;
    fn decode(&self, _peer: MemberId, _lane: Lane, bytes: &[u8]) -> Result<Arrived, Refusal> {
        let message = Message::decode(bytes).map_err(Refusal::new)?;
        Ok(Arrived::check(message, &self.0))
    }
}

struct DiskBlobs(Arc<Mutex<Disk>>);

impl BlobShelf for DiskBlobs {
    fn read(&self, blob: BlobId) -> Later<'_, Option<Blob>> {
        let found = self.0.lock().unwrap().blobs.get(&blob).cloned();
        let found = found.map(|blob| Blob { salt: blob.salt, content: Bytes::from(blob.content) });
        Box::pin(std::future::ready(found))
    }
}

/// Federations of the fixture, number by number.
struct World {
    federation: Arc<fixture::Federation>,
    disks: Vec<Arc<Mutex<Disk>>>,
}

struct Node {
    number: usize,
    running: Federation<Island>,
    handle: Handle<Island>,
    seen: watch::Receiver<Seen>,
    wrote: mpsc::UnboundedReceiver<DocId>,
    fetching: tokio::task::JoinHandle<()>,
}

fn tls(number: usize) -> crate::keys::NodeKey {
    key(100 + u8::try_from(number).unwrap())
}

impl World {
    fn new(municipal: usize) -> World {
        let federation = Arc::new(fixture::Federation::new(municipal));
        let disk = |number| Disk::new(federation.id(number), federation.rosters.clone());
        let disks = (0..municipal + 2).map(|number| Arc::new(Mutex::new(disk(number)))).collect();
        World { federation, disks }
    }

    /// Starts node `number` over what its disk holds.
    fn start(&self, number: usize, listen: SocketAddr) -> Node {
        let member = self.federation.id(number);
        let rosters = self.federation.rosters.clone();
        let (seen, seen_by_test) = watch::channel(Seen::default());
        let (wrote, wrote_by_test) = mpsc::unbounded_channel();
        let (fetches, mut fetches_taken) = mpsc::unbounded_channel();
        let disk = self.disks[number].clone();
        let core = Island {
            number,
            federation: self.federation.clone(),
            replica: Replica::new(member, rosters.clone()),
            disk: disk.clone(),
            seen: Arc::new(seen),
            wrote,
            fetches,
            out: VecDeque::new(),
        };
        let identity =
            Identity { member, federation: rosters.federation(), software: "island".into(), rules: 1 };
        let all = 0..self.federation.members.len();
        let keys: BTreeMap<TlsKey, MemberId> =
            all.map(|n| (tls(n).public(), self.federation.id(n))).collect();
        let chain = Chain::new(head(1), Arc::new(watch::Sender::new(Vec::new())));
        let handlers =
            Handlers { rosters: Arc::new(chain), decode: Check(rosters), blobs: Arc::new(DiskBlobs(disk)) };
        let settings = Settings {
            listen,
            identity,
            own_keys: OwnKeys::one(tls(number)),
            timing: timing(),
            seed: number as u64,
        };
        let running = Federation::start(settings, AcceptedKeys::new(keys), handlers, core).unwrap();
        let handle = running.handle();
        let fetcher = running.handle();
        let fetching = tokio::spawn(async move {
            while let Some((doc, blob, holders)) = fetches_taken.recv().await {
                let fetched = fetcher.fetch(doc, blob, &holders).await.ok();
                if fetcher.command(Command::Fetched(blob, fetched)).await.is_err() {
                    return;
                }
            }
        });
        Node { number, running, handle, seen: seen_by_test, wrote: wrote_by_test, fetching }
    }

    fn anywhere(&self, number: usize) -> Node {
        self.start(number, "127.0.0.1:0".parse().unwrap())
    }

    fn links(&self, from: &Node, to: &Node) {
        let to = (self.federation.id(to.number), vec![to.handle.local_address().to_string()]);
        from.handle.set_contacts(Contacts::from([to]));
    }

    fn incident(&self, involved: &[usize]) -> Operation {
        let involved: Vec<MemberId> = involved.iter().map(|n| self.federation.id(*n)).collect();
        open(code(0), Kind::by_name("sos").unwrap(), &involved, None, 1)
    }
}

impl Node {
    async fn write(
        &mut self,
        doc: Option<DocId>,
        operation: Operation,
        blobs: Vec<(BlobRef, InlineBlob)>,
    ) -> DocId {
        self.handle.command(Command::Write { doc, operation, blobs }).await.unwrap();
        soon("the write", self.wrote.recv()).await.unwrap()
    }

    fn print(&self, doc: DocId) -> Option<[u8; 32]> {
        self.seen.borrow().documents.get(&doc).copied()
    }

    /// Waits until this node holds exactly what `other` holds of a document.
    async fn until_like(&self, other: &Node, doc: DocId) {
        let print = other.print(doc).expect("the other holds it");
        let mut seen = self.seen.clone();
        let like = seen.wait_for(|seen| seen.documents.get(&doc) == Some(&print));
        let like = tokio::time::timeout(DEADLINE, like).await;
        assert!(like.is_ok(), "node {} did not get what node {} holds", self.number, other.number);
    }

    async fn stop(self) {
        self.running.stop().await;
        drop(self.handle);
        soon("the fetches end", self.fetching).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn border_incident_reaches_a_neighbour_through_the_precinct_alone_and_after_its_restart() {
    let world = World::new(2);
    let (mut owner, mut neighbour, precinct) = (world.anywhere(0), world.anywhere(1), world.anywhere(2));
    world.links(&owner, &precinct);
    world.links(&neighbour, &precinct);
    let doc = owner.write(None, world.incident(&[1]), Vec::new()).await;
    neighbour.until_like(&owner, doc).await;
    let respond = Operation::Respond { response: Response::OnTheWay, crew: somebody(1) };
    neighbour.write(Some(doc), respond, Vec::new()).await;
    owner.until_like(&neighbour, doc).await;

    let address = precinct.handle.local_address();
    precinct.stop().await;
    let step = Operation::Step { step: Step::OnSite, by: somebody(2) };
    owner.write(Some(doc), step, Vec::new()).await;
    assert_ne!(owner.print(doc), neighbour.print(doc), "nobody is between them");
    let precinct = world.start(2, address);
    neighbour.until_like(&owner, doc).await;
    precinct.until_like(&owner, doc).await;
    for node in [owner, neighbour, precinct] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_blob_follows_its_incident_to_an_involved_node_and_no_other() {
    let world = World::new(3);
    let (mut owner, involved) = (world.anywhere(0), world.anywhere(1));
    world.links(&involved, &owner);
    let content: Vec<u8> = (0..300_000u32).map(|n| (n % 253) as u8).collect();
    let salt = [4; 32];
    let id = commitment(&salt, &content);
    let photo = (BlobRef { class: BlobClass::Responders, id }, InlineBlob { id, salt, content });
    let doc = owner.write(None, world.incident(&[1]), vec![photo]).await;
    involved.until_like(&owner, doc).await;
    let mut seen = involved.seen.clone();
    soon("the photo", seen.wait_for(|seen| seen.blobs.contains(&id))).await.unwrap();

    let bystander = world.anywhere(2);
    world.links(&bystander, &owner);
    let fetched = soon("the answer", bystander.handle.fetch(doc, id, &[world.federation.id(0)])).await;
    assert_eq!(fetched, Err(crate::FetchError::NotHere));
    for node in [owner, involved, bystander] {
        node.stop().await;
    }
}
