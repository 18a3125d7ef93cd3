//! A scripted member of the federation: it holds a valid key and speaks the real protocol over real
//! QUIC, and says whatever a scenario wants. It remembers every frame that it was sent, decrypted.

mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ed25519_dalek::{Signer as _, SigningKey};
use protocol::envelope::{Header, RULES_VERSION, SignedEnvelope};
use protocol::ids::{DocId, EnvelopeId, Incarnation, KeyIndex, MemberId, Millis, Seq, sha256};
use protocol::message::{BlobWant, Item, Items, Message, Want, Welcome};
use protocol::operation::Operation;
use protocol::roster::{KeyPurpose, RosterChain};
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;

use crate::cluster::node::data_of;
use crate::cluster::{Node, wait_for};

/// First bytes of streams, as the protocol numbers them.
const CONTROL_STREAM: u8 = 0;
/// The urgent lane.
pub const URGENT: u8 = 1;
/// The normal lane.
pub const NORMAL: u8 = 2;

/// The member: its keys and the roster, as they lie in a folder that `cuadra init` made.
#[derive(Debug)]
pub struct Identity {
    /// Its id.
    pub member: MemberId,
    /// Signs envelopes.
    pub envelope_key: SigningKey,
    /// Proves who it is on a connection.
    pub tls_key: SigningKey,
    /// The roster that it took.
    pub rosters: RosterChain,
}

impl Identity {
    /// Reads the keys and the roster of a node that does not run.
    #[must_use]
    pub fn of(folder: &Path) -> Identity {
        let home = node::home::Home::at(&data_of(folder));
        let keys = home.keys().expect("the node has keys");
        let rosters = home.rosters().expect("the node has a roster");
        let rosters = rosters.chain().expect("it took one").clone();
        Identity { member: keys.first_member_id(), envelope_key: keys.envelope, tls_key: keys.tls, rosters }
    }

    /// The header of an envelope that continues a document after these heads, as an honest member
    /// would fill it in for its first envelope there.
    #[must_use]
    pub fn header(&self, doc: DocId, parents: &[EnvelopeId], operation: &Operation) -> Header {
        let bytes = operation.encode();
        let head = self.rosters.head();
        let own = head.member(&self.member).expect("it is listed");
        let key = own.active_key(KeyPurpose::Envelope).expect("it has a key");
        let mut parents = parents.to_vec();
        parents.sort_unstable();
        Header {
            federation: self.rosters.federation(),
            doc,
            rules_version: RULES_VERSION,
            roster: head.hash(),
            author: self.member,
            key_index: KeyIndex(key.index.0),
            incarnation: Incarnation::new(1, 7),
            seq: Seq(1),
            parents,
            prev_at: 0,
            op_type: operation.op_type(),
            op_len: u32::try_from(bytes.len()).expect("operations are small"),
            op_hash: sha256(&[&bytes]),
            blobs: Vec::new(),
            written_at: Millis(1_790_000_000_000),
        }
    }

    /// What it answers to a node's welcome.
    #[must_use]
    pub fn welcome(&self, theirs: Welcome) -> Welcome {
        let head = self.rosters.head();
        Welcome { member: self.member, roster_version: head.version, roster: head.hash(), ..theirs }
    }

    /// Signs a header as it stands, true or not.
    #[must_use]
    pub fn sign(&self, header: &Header, operation: &Operation) -> SignedEnvelope {
        let signature = self.envelope_key.sign(&header.sig_input()).to_bytes();
        assemble(header, &operation.encode(), &signature)
    }

    /// An honest envelope: this operation after these heads.
    #[must_use]
    pub fn honest(&self, doc: DocId, parents: &[EnvelopeId], operation: &Operation) -> SignedEnvelope {
        self.sign(&self.header(doc, parents, operation), operation)
    }
}

/// An envelope of these parts, whatever they are.
#[must_use]
pub fn assemble(header: &Header, op_bytes: &[u8], signature: &[u8]) -> SignedEnvelope {
    let bytes = envelope_bytes(&header.sig_input(), op_bytes, signature);
    SignedEnvelope::decode(&bytes).expect("it has the layout of an envelope")
}

/// The bytes of an envelope of these parts, also where no envelope has such a layout.
#[must_use]
pub fn envelope_bytes(signed: &[u8], op_bytes: &[u8], signature: &[u8]) -> Vec<u8> {
    const DOMAIN_BYTES: usize = b"cuadra/envelope/v1\0".len();
    let length = u16::try_from(signature.len()).expect("a signature is short").to_be_bytes();
    [&signed[DOMAIN_BYTES..], op_bytes, &length, signature].concat()
}

/// What a scripted member answers when a node asks it for a blob; nothing at all if it gives none.
pub type BlobAnswer = fn(&BlobWant) -> Vec<Message>;

/// The same envelope with one bit of its signature changed.
#[must_use]
pub fn spoil_signature(envelope: &SignedEnvelope) -> SignedEnvelope {
    let mut bytes = envelope.bytes().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    SignedEnvelope::decode(&bytes).expect("the layout is the same")
}

/// Envelopes of a document in one message.
#[must_use]
pub fn body(doc: DocId, envelopes: &[SignedEnvelope]) -> Message {
    let item =
        |envelope: &SignedEnvelope| Item { age: Millis(0), envelope: envelope.clone(), blobs: Vec::new() };
    Message::Body(Items { doc, items: envelopes.iter().map(item).collect() })
}

/// A connection of the scripted member to a node.
#[derive(Debug)]
pub struct Peer {
    connection: Connection,
    _endpoint: Endpoint,
    lanes: AsyncMutex<Vec<(u8, SendStream)>>,
    control: Arc<AsyncMutex<SendStream>>,
    blob_answer: Arc<Mutex<Option<BlobAnswer>>>,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    _readers: JoinSet<()>,
}

impl Peer {
    /// Connects to a node and exchanges the welcomes.
    pub async fn connect(identity: &Identity, node: &Node) -> Peer {
        Knock::at(identity, node).await.enter(identity).await
    }

    /// What this connection answers from now on when the node asks it for a blob.
    pub fn answer_blobs(&self, answer: BlobAnswer) {
        *self.blob_answer.lock().expect("nobody panics with it") = Some(answer);
    }

    /// The connection below, for what no message can do.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends any bytes as a frame on the control stream.
    pub async fn send_control(&self, bytes: &[u8]) {
        write_frame(&mut *self.control.lock().await, bytes).await;
    }

    /// Ends a lane's stream as if nothing more were to come.
    pub async fn finish(&self, lane: u8) {
        let mut lanes = self.lanes.lock().await;
        if let Some((_, stream)) = lanes.iter_mut().find(|(number, _)| *number == lane) {
            let _the_node_may_have_closed = stream.finish();
        }
    }

    /// Breaks a lane's stream off.
    pub async fn reset(&self, lane: u8) {
        let mut lanes = self.lanes.lock().await;
        if let Some((_, stream)) = lanes.iter_mut().find(|(number, _)| *number == lane) {
            let _the_node_may_have_closed = stream.reset(quinn::VarInt::from_u32(0));
        }
    }

    /// Sends a message on a lane.
    pub async fn send(&self, lane: u8, message: &Message) {
        self.send_bytes(lane, &message.encode()).await;
    }

    /// Sends any bytes as a frame on a lane.
    pub async fn send_bytes(&self, lane: u8, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).expect("a frame is small").to_be_bytes();
        self.send_raw(lane, &[&length, bytes].concat()).await;
    }

    /// Sends bytes on a lane's stream, without a length in front.
    pub async fn send_raw(&self, lane: u8, bytes: &[u8]) {
        let mut lanes = self.lanes.lock().await;
        if !lanes.iter().any(|(number, _)| *number == lane) {
            let Ok(mut stream) = self.connection.open_uni().await else { return };
            if stream.write_all(&[lane]).await.is_err() {
                return;
            }
            lanes.push((lane, stream));
        }
        if let Some((_, stream)) = lanes.iter_mut().find(|(number, _)| *number == lane) {
            let _the_node_may_have_closed = stream.write_all(bytes).await;
        }
    }

    /// Asks for a blob by itself and gives the first frame of the answer.
    pub async fn ask_blob(&self, want: &Message) -> Vec<u8> {
        let (mut send, mut receive) = self.connection.open_bi().await.expect("a stream");
        send.write_all(&[5]).await.expect("the first byte");
        write_frame(&mut send, &want.encode()).await;
        read_frame(&mut receive).await.expect("an answer")
    }

    /// Every frame that the node sent so far, decrypted.
    #[must_use]
    pub fn frames(&self) -> Vec<Vec<u8>> {
        self.received.lock().expect("nobody panics with it").clone()
    }

    /// Every message that the node sent so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.frames().iter().filter_map(|frame| Message::decode(frame).ok()).collect()
    }

    /// Every envelope of this document that the node sent so far.
    #[must_use]
    pub fn envelopes(&self, doc: DocId) -> Vec<SignedEnvelope> {
        let items = self.messages().into_iter().filter_map(|message| {
            let (Message::Body(items) | Message::Answer(items)) = message else { return None };
            (items.doc == doc).then_some(items.items)
        });
        items.flatten().map(|item| item.envelope).collect()
    }

    /// Waits until the node has sent envelopes of this document; asks for them where it only says
    /// that it has them.
    pub async fn wait_for_envelopes(&self, doc: DocId) -> Vec<SignedEnvelope> {
        let mut asked = false;
        wait_for("envelopes for the scripted peer", async || {
            let has = self.messages().into_iter().find_map(|message| {
                let Message::Have(have) = message else { return None };
                (have.doc == doc).then_some(have.heads)
            });
            if let Some(ids) = has.filter(|_| !asked) {
                asked = true;
                self.send(URGENT, &Message::Want(Want { doc, ids, held: Vec::new() })).await;
            }
            Some(self.envelopes(doc)).filter(|envelopes| !envelopes.is_empty())
        })
        .await
    }

    /// Waits until the node has closed the connection; gives its code, or none if it was lost.
    pub async fn closed(&self) -> Option<u64> {
        let error = self.connection.closed().await;
        let quinn::ConnectionError::ApplicationClosed(close) = error else { return None };
        Some(close.error_code.into_inner())
    }

    /// True while the node keeps the connection.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.connection.close_reason().is_none()
    }
}

/// A connection whose handshake is done and whose welcome is not.
#[derive(Debug)]
pub struct Knock {
    /// The connection.
    pub connection: Connection,
    endpoint: Endpoint,
}

impl Knock {
    /// Shakes hands with a node.
    pub async fn at(identity: &Identity, node: &Node) -> Knock {
        Knock::reach(identity, node.listens()).await
    }

    /// The same by address.
    pub async fn reach(identity: &Identity, address: SocketAddr) -> Knock {
        let knock = Knock::with(tls::client(&identity.tls_key), address).await;
        knock.expect("the node accepts a member's key")
    }

    /// Shakes hands with this key and protocol name; the error if the node will not.
    pub async fn strange(
        key: &SigningKey,
        protocol: &[u8],
        node: &Node,
    ) -> Result<Knock, quinn::ConnectionError> {
        Knock::with(tls::client_of(key, protocol), node.listens()).await
    }

    /// Connects twice, keeping all that the node gave for next time; true if the second time could begin
    /// before the handshake was done.
    pub async fn early(identity: &Identity, node: &Node) -> bool {
        let mut endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        endpoint.set_default_client_config(tls::eager_client(&identity.tls_key));
        let dial = || endpoint.connect(node.listens(), "cuadra").expect("an address to dial");
        let connection = dial().await.expect("the node accepts a member's key");
        let peer = Knock { connection, endpoint: endpoint.clone() }.enter(identity).await;
        // Tickets come right behind the handshake: whatever the node says later comes after them.
        wait_for("the first frame of a lane", async || (!peer.frames().is_empty()).then_some(())).await;
        peer.connection.close(0u32.into(), b"");
        dial().into_0rtt().is_ok()
    }

    async fn with(config: quinn::ClientConfig, address: SocketAddr) -> Result<Knock, quinn::ConnectionError> {
        let mut endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        endpoint.set_default_client_config(config);
        let connection = endpoint.connect(address, "cuadra").expect("an address to dial").await?;
        Ok(Knock { connection, endpoint })
    }

    /// The control stream with the node's welcome read from it.
    pub async fn welcomed(&self) -> (SendStream, RecvStream, Welcome) {
        let (send, mut receive) =
            self.connection.accept_bi().await.expect("the accepting end opens the control stream");
        let mut first = [0];
        receive.read_exact(&mut first).await.expect("a first byte");
        assert_eq!(first, [CONTROL_STREAM]);
        let theirs = read_frame(&mut receive).await.expect("a welcome");
        let Ok(Message::Welcome(theirs)) = Message::decode(&theirs) else {
            panic!("not a welcome: {theirs:?}")
        };
        (send, receive, theirs)
    }

    /// Answers the node's welcome with these bytes as a frame and keeps the stream.
    pub async fn answer(&self, bytes: &[u8]) -> (SendStream, RecvStream) {
        let (mut send, receive, _) = self.welcomed().await;
        write_frame(&mut send, bytes).await;
        (send, receive)
    }

    /// Exchanges honest welcomes, and then never reads a lane.
    pub async fn enter_deaf(self, identity: &Identity) -> Peer {
        self.enter_as(identity, false).await
    }

    /// Exchanges honest welcomes.
    pub async fn enter(self, identity: &Identity) -> Peer {
        self.enter_as(identity, true).await
    }

    async fn enter_as(self, identity: &Identity, listens: bool) -> Peer {
        let (mut send, receive, theirs) = self.welcomed().await;
        let ours = identity.welcome(theirs);
        write_frame(&mut send, &Message::Welcome(ours).encode()).await;
        let received = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let control = Arc::new(AsyncMutex::new(send));
        let blob_answer = Arc::<Mutex<Option<BlobAnswer>>>::default();
        let mut readers = JoinSet::new();
        if listens {
            readers.spawn(read_lanes(self.connection.clone(), received.clone()));
        }
        readers.spawn(answer_pings(control.clone(), receive));
        readers.spawn(answer_blobs(self.connection.clone(), blob_answer.clone()));
        Peer {
            connection: self.connection,
            _endpoint: self.endpoint,
            lanes: AsyncMutex::default(),
            control,
            blob_answer,
            received,
            _readers: readers,
        }
    }
}

/// Keeps the connection: a peer that answers no ping is dropped.
async fn answer_pings(send: Arc<AsyncMutex<SendStream>>, mut receive: RecvStream) {
    while let Some(frame) = read_frame(&mut receive).await {
        if let Ok(Message::Ping(nonce)) = Message::decode(&frame) {
            write_frame(&mut *send.lock().await, &Message::Pong(nonce).encode()).await;
        }
    }
}

/// Answers the node's requests for blobs as the scenario says.
async fn answer_blobs(connection: Connection, answer: Arc<Mutex<Option<BlobAnswer>>>) {
    let mut requests = JoinSet::new();
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        let answer = answer.clone();
        requests.spawn(async move {
            let mut first = [0];
            let begun = receive.read_exact(&mut first).await;
            let Some(request) = read_frame(&mut receive).await.filter(|_| begun.is_ok()) else { return };
            let Ok(Message::BlobWant(want)) = Message::decode(&request) else { return };
            let answer = *answer.lock().expect("nobody panics with it");
            for message in answer.map(|answer| answer(&want)).unwrap_or_default() {
                write_frame(&mut send, &message.encode()).await;
            }
            let _the_node_may_have_closed = send.finish();
            // Until the node has read it.
            let _stopped = send.stopped().await;
        });
    }
}

async fn read_lanes(connection: Connection, received: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut lanes = JoinSet::new();
    while let Ok(mut stream) = connection.accept_uni().await {
        let received = received.clone();
        lanes.spawn(async move {
            let mut lane = [0];
            if stream.read_exact(&mut lane).await.is_err() {
                return;
            }
            while let Some(frame) = read_frame(&mut stream).await {
                received.lock().expect("nobody panics with it").push(frame);
            }
        });
    }
}

async fn read_frame(stream: &mut RecvStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).await.ok()?;
    Some(frame)
}

async fn write_frame(stream: &mut SendStream, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a frame is small").to_be_bytes();
    let _the_node_may_have_closed = stream.write_all(&[&length, bytes].concat()).await;
}
