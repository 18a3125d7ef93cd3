//! Nodes with a core that only records, and raw peers that say whatever a test wants.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::ids::{BlobId, FederationId, MemberId, Millis, RosterHash};
use protocol::message::{BlobWant, Message, PROTOCOL_VERSION, Welcome};
use tokio::sync::watch;

use crate::close::CloseCode;
use crate::endpoint::Endpoint;
use crate::handlers::{Blob, BlobShelf, Decode, Later, Refusal, RosterHead, Rosters, Worth};
use crate::keys::{AcceptedKeys, NodeKey, OwnKeys, TlsKey};
use crate::lane::{CONTROL_STREAM, number};
use crate::peers::{PeerState, PeerStatus};
use crate::{
    Contacts, Core, Federation, Fruit, Handle, Handlers, Identity, Input, Lane, Output, Settings, Timing,
    frame,
};

pub const DEADLINE: Duration = Duration::from_secs(20);
pub const FEDERATION: FederationId = FederationId([77; 32]);

/// A frame that nobody asked for and that keeps the loop busy for so long.
pub const COSTLY: &[u8] = b"costly";
pub const COSTS: Duration = Duration::from_millis(5);
/// Nobody asks for it, and reading it costs that much; the loop has words for it.
pub const UNASKED: &[u8] = b"unasked";
/// The same, and the loop wanted it.
pub const NEWS: &[u8] = b"news";

pub fn member(number: u8) -> MemberId {
    MemberId([number; 32])
}

pub fn key(number: u8) -> NodeKey {
    NodeKey::from_seed(&[number; 32]).unwrap()
}

/// The keys of members 1 to 9.
pub fn keys() -> BTreeMap<TlsKey, MemberId> {
    (1..10).map(|n| (key(n).public(), member(n))).collect()
}

pub fn keys_without(gone: u8) -> BTreeMap<TlsKey, MemberId> {
    keys().into_iter().filter(|(_, owner)| *owner != member(gone)).collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Connected(MemberId, u64),
    Disconnected(MemberId),
    Frame(MemberId, Lane, Vec<u8>),
    TookRoster(Vec<u8>),
    Restarted,
}

pub type Events = watch::Sender<Vec<Event>>;

pub enum Command {
    Send(MemberId, Lane, Vec<u8>),
    /// Takes nothing from these lanes any more.
    Congest(&'static [Lane]),
}

/// A core that records what comes in and sends what it is told to.
pub struct Recorder {
    events: Arc<Events>,
    may_have: Arc<Mutex<BTreeSet<(MemberId, BlobId)>>>,
    congested: &'static [Lane],
    out: VecDeque<Output>,
    fruit: Fruit,
}

impl Core for Recorder {
    type Frame = Vec<u8>;
    type Command = Command;
    fn handle(&mut self, _now: Millis, input: Input<Vec<u8>, Command>) {
        let event = match input {
            Input::Connected { peer, roster_version } => Event::Connected(peer, roster_version),
            Input::Disconnected(peer) => Event::Disconnected(peer),
            Input::Frame { frame, .. } if frame == b"core panics" => panic!("a test says so"),
            Input::Frame { peer, lane, frame } => {
                let began = Instant::now();
                while frame == COSTLY && began.elapsed() < COSTS {}
                self.fruit = match frame.as_slice() {
                    COSTLY => Fruit::Nothing,
                    UNASKED => Fruit::Words,
                    _other => Fruit::Deeds,
                };
                Event::Frame(peer, lane, frame)
            }
            Input::Command(Command::Send(peer, lane, frame)) => {
                return self.out.push_back(Output::Send { peer, lane, frame: Bytes::from(frame) });
            }
            Input::Command(Command::Congest(congested)) => return self.congested = congested,
            Input::Woken => return,
        };
        self.events.send_modify(|events| events.push(event));
    }
    fn may_have_blob(&mut self, _now: Millis, peer: MemberId, want: &BlobWant) -> bool {
        self.may_have.lock().unwrap().contains(&(peer, want.blob))
    }
    fn fruit(&self) -> Fruit {
        self.fruit
    }
    fn congested(&self, lane: Lane) -> bool {
        self.congested.contains(&lane)
    }
    fn restart(&mut self) {
        self.events.send_modify(|events| events.push(Event::Restarted));
    }
    fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }
    fn wake_at(&self) -> Option<Millis> {
        None
    }
}

/// A chain of rosters in which a version's bytes are its number, over and over.
pub struct Chain {
    head: watch::Sender<RosterHead>,
    events: Arc<Events>,
}

#[derive(Debug, thiserror::Error)]
#[error("a test says so")]
pub struct SaysTheTest;

pub const ROSTER_BYTES: usize = 70_000;

impl Chain {
    pub fn new(head: RosterHead, events: Arc<Events>) -> Self {
        Self { head: watch::Sender::new(head), events }
    }
}

impl Rosters for Chain {
    fn head(&self) -> watch::Receiver<RosterHead> {
        self.head.subscribe()
    }
    fn after(&self, version: u64) -> Vec<(u64, Vec<u8>)> {
        let last = self.head.borrow().version;
        (version + 1..=last).map(|v| (v, vec![u8::try_from(v).unwrap(); ROSTER_BYTES])).collect()
    }
    fn take(&self, _from: MemberId, signed: Vec<u8>) -> Later<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let version = u64::from(signed[0]);
            if version == 13 {
                return Err(Refusal::new(SaysTheTest));
            }
            // As in a real chain: what does not follow the head is not taken, and that is no crime.
            if version == self.head.borrow().version + 1 {
                self.events.send_modify(|events| events.push(Event::TookRoster(signed)));
                self.head.send_replace(head(version));
            }
            Ok(())
        })
    }
}

pub fn head(version: u64) -> RosterHead {
    RosterHead { version, hash: RosterHash([u8::try_from(version).unwrap(); 32]) }
}

/// Frames are what they are, except two words.
pub struct Plain;

impl Decode for Plain {
    type Frame = Vec<u8>;
    fn decode(&self, _peer: MemberId, _lane: Lane, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        match bytes {
            b"refuse" => Err(Refusal::new(SaysTheTest)),
            b"panic" => panic!("a test says so"),
            other => {
                let began = Instant::now();
                while matches!(other, UNASKED | NEWS) && began.elapsed() < COSTS {}
                Ok(other.to_vec())
            }
        }
    }
    fn worth(&self, frame: &Vec<u8>) -> Worth {
        if matches!(frame.as_slice(), UNASKED | NEWS) { Worth::Pushed } else { Worth::Asked }
    }
}

#[derive(Default)]
pub struct Blobs(pub Mutex<BTreeMap<BlobId, Blob>>);

impl BlobShelf for Blobs {
    fn read(&self, blob: BlobId) -> Later<'_, Option<Blob>> {
        let found = self.0.lock().unwrap().get(&blob).cloned();
        Box::pin(std::future::ready(found))
    }
}

pub struct Node {
    pub member: MemberId,
    pub keys: AcceptedKeys,
    pub own_keys: OwnKeys,
    pub federation: Federation<Recorder>,
    pub handle: Handle<Recorder>,
    pub blobs: Arc<Blobs>,
    pub may_have: Arc<Mutex<BTreeSet<(MemberId, BlobId)>>>,
    events: Arc<Events>,
}

/// Short, so that tests need not wait; the shipped times are the limits'.
pub fn timing() -> Timing {
    Timing {
        larger_waits: Duration::from_millis(100),
        redial_first: Duration::from_millis(20),
        redial_cap: Duration::from_millis(200),
        ..Timing::default()
    }
}

pub fn quick_pings() -> Timing {
    Timing { ping_every: Duration::from_millis(300), ping_answer_max: Duration::from_millis(150), ..timing() }
}

impl Node {
    pub fn start(number: u8) -> Node {
        Self::start_with(number, "127.0.0.1:0".parse().unwrap(), timing(), 1)
    }

    pub fn start_with(number: u8, listen: SocketAddr, timing: Timing, roster_version: u64) -> Node {
        let events = Arc::new(Events::new(Vec::new()));
        let may_have = Arc::new(Mutex::new(BTreeSet::new()));
        let keys = AcceptedKeys::new(keys());
        let blobs = Arc::new(Blobs::default());
        let identity = Identity {
            member: member(number),
            federation: FEDERATION,
            software: format!("test {number}"),
            rules: 1,
        };
        let own_keys = OwnKeys::one(key(number));
        let settings =
            Settings { listen, identity, own_keys: own_keys.clone(), timing, seed: u64::from(number) };
        let chain = Chain::new(head(roster_version), events.clone());
        let handlers = Handlers { rosters: Arc::new(chain), decode: Plain, blobs: blobs.clone() };
        let core = Recorder {
            events: events.clone(),
            may_have: may_have.clone(),
            congested: &[],
            fruit: Fruit::Deeds,
            out: VecDeque::new(),
        };
        let federation = Federation::start(settings, keys.clone(), handlers, core).unwrap();
        let handle = federation.handle();
        Node { member: member(number), keys, own_keys, federation, handle, blobs, may_have, events }
    }

    pub fn address(&self) -> SocketAddr {
        self.handle.local_address()
    }

    pub fn dials(&self, peer: MemberId, address: SocketAddr) {
        self.handle.set_contacts(Contacts::from([(peer, vec![address.to_string()])]));
    }

    pub async fn send(&self, peer: MemberId, lane: Lane, frame: &[u8]) {
        self.handle.command(Command::Send(peer, lane, frame.to_vec())).await.unwrap();
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.borrow().clone()
    }

    /// Waits until the events fulfil `condition`.
    pub async fn until(&self, what: &str, condition: impl Fn(&[Event]) -> bool) {
        let mut events = self.events.subscribe();
        let met = tokio::time::timeout(DEADLINE, events.wait_for(|events| condition(events))).await;
        assert!(met.is_ok(), "{what}: {:?}", short(&self.events()));
    }

    pub async fn until_event(&self, event: Event) {
        self.until(&format!("{event:?}"), |events| events.contains(&event)).await;
    }

    pub async fn until_connected(&self, peer: MemberId) {
        self.until_peer(peer, |status| status.state == PeerState::Connected).await;
    }

    pub async fn until_peer(&self, peer: MemberId, condition: impl Fn(&PeerStatus) -> bool) -> PeerStatus {
        let mut peers = self.handle.peers();
        let met = peers.wait_for(|peers| peers.get(&peer).is_some_and(&condition));
        match tokio::time::timeout(DEADLINE, met).await {
            Ok(met) => met.unwrap().get(&peer).unwrap().clone(),
            Err(_) => panic!("waited for {peer:?} in vain: {:?}", self.handle.peers().borrow().get(&peer)),
        }
    }

    pub fn may_have(&self, peer: MemberId, blob: BlobId) {
        self.may_have.lock().unwrap().insert((peer, blob));
    }
}

fn short(events: &[Event]) -> Vec<String> {
    let text = |event: &Event| format!("{event:?}").chars().take(120).collect();
    events.iter().map(text).collect()
}

/// Looks at a condition that nothing announces until it holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, met).await.is_ok(), "waited in vain until {what}");
}

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// A peer whose every byte the test chooses.
pub struct Raw {
    pub member: MemberId,
    pub endpoint: Endpoint,
}

impl Raw {
    pub fn new(number: u8) -> Raw {
        Self::with_key(number, key(number))
    }

    pub fn with_key(number: u8, key: NodeKey) -> Raw {
        Self::bind(number, key, "127.0.0.1:0".parse().unwrap())
    }

    /// Listening where another one did.
    pub fn at(number: u8, listen: SocketAddr) -> Raw {
        Self::bind(number, key(number), listen)
    }

    fn bind(number: u8, key: NodeKey, listen: SocketAddr) -> Raw {
        let accepted = AcceptedKeys::new(keys());
        let endpoint = Endpoint::bind(listen, OwnKeys::one(key), accepted, member(number)).unwrap();
        Raw { member: member(number), endpoint }
    }

    pub fn address(&self) -> SocketAddr {
        self.endpoint.quinn.local_addr().unwrap()
    }

    /// Dials without a word of the welcome.
    pub async fn dial_silently(&self, node: &Node) -> quinn::Connection {
        let connecting = self.endpoint.dial(node.member, node.address(), 0).unwrap();
        soon("the raw peer's handshake", connecting).await.unwrap()
    }

    /// Accepts the next dial that comes through the handshake, without a word of the welcome.
    pub async fn accept_silently(&self) -> quinn::Connection {
        soon("a dial to the raw peer", async {
            loop {
                let incoming = self.endpoint.quinn.accept().await.unwrap();
                if incoming.remote_address_validated() {
                    if let Ok(connection) = incoming.accept().unwrap().await {
                        return connection;
                    }
                } else {
                    incoming.retry().unwrap();
                }
            }
        })
        .await
    }

    pub async fn dial(&self, node: &Node) -> RawLink {
        let connection = self.dial_silently(node).await;
        let (send, receive) = soon("the control stream", connection.accept_bi()).await.unwrap();
        let mut link = RawLink { connection, send, receive };
        let mut first = [0];
        link.receive.read_exact(&mut first).await.unwrap();
        assert_eq!(first, [CONTROL_STREAM]);
        assert!(matches!(link.read().await, Some(Message::Welcome(_))));
        link.write(&Message::Welcome(welcome(self.member))).await;
        link
    }

    pub async fn accept(&self) -> RawLink {
        let connection = self.accept_silently().await;
        let (mut send, receive) = connection.open_bi().await.unwrap();
        send.write_all(&[CONTROL_STREAM]).await.unwrap();
        let mut link = RawLink { connection, send, receive };
        link.write(&Message::Welcome(welcome(self.member))).await;
        assert!(matches!(link.read().await, Some(Message::Welcome(_))));
        link
    }
}

pub fn welcome(member: MemberId) -> Welcome {
    Welcome {
        protocol: PROTOCOL_VERSION,
        federation: FEDERATION,
        member,
        roster_version: 1,
        roster: head(1).hash,
        rules: 1,
        software: "raw".into(),
    }
}

/// A raw peer's connection, through the welcome.
pub struct RawLink {
    pub connection: quinn::Connection,
    pub send: quinn::SendStream,
    pub receive: quinn::RecvStream,
}

impl RawLink {
    pub async fn write(&mut self, message: &Message) {
        // The node may have closed the connection by now.
        _ = frame::write(&mut self.send, message.encode()).await;
    }

    pub async fn read(&mut self) -> Option<Message> {
        let bytes = soon("a control frame", frame::read(&mut self.receive)).await.ok()?;
        Some(Message::decode(&bytes).unwrap())
    }

    /// Opens a lane as the node's own writer would.
    pub async fn open_lane(&self, lane: Lane) -> quinn::SendStream {
        let mut stream = self.connection.open_uni().await.unwrap();
        stream.write_all(&[number(lane)]).await.unwrap();
        stream
    }

    /// Waits until the node closes the connection; the code.
    pub async fn closed(&self) -> u32 {
        closed(&self.connection).await
    }
}

pub async fn closed(connection: &quinn::Connection) -> u32 {
    let error = soon("the node closes the connection", connection.closed()).await;
    let quinn::ConnectionError::ApplicationClosed(close) = error else { panic!("closed otherwise: {error}") };
    u32::try_from(close.error_code.into_inner()).unwrap()
}

pub fn code(code: CloseCode) -> u32 {
    code.number()
}
