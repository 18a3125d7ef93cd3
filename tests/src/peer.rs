//! A scripted member of the federation: it holds a valid key and speaks the real protocol over real
//! QUIC, and says whatever a scenario wants. It remembers every frame that it was sent, decrypted.

mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ed25519_dalek::{Signer as _, SigningKey};
use protocol::envelope::{Header, RULES_VERSION, SignedEnvelope};
use protocol::ids::{DocId, EnvelopeId, Incarnation, KeyIndex, MemberId, Millis, Seq, sha256};
use protocol::message::{Item, Items, Message, Want, Welcome};
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
    const DOMAIN_BYTES: usize = b"cuadra/envelope/v1\0".len();
    let signed = header.sig_input();
    let length = u16::try_from(signature.len()).expect("a signature is short").to_be_bytes();
    let bytes = [&signed[DOMAIN_BYTES..], op_bytes, &length, signature].concat();
    SignedEnvelope::decode(&bytes).expect("it has the layout of an envelope")
}

/// The same envelope with one bit of its signature changed.
#[must_use]
pub fn spoil_signature(envelope: &SignedEnvelope) -> SignedEnvelope {
    let mut bytes = envelope.encode();
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
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    _readers: JoinSet<()>,
}

impl Peer {
    /// Connects to a node and exchanges the welcomes.
    pub async fn connect(identity: &Identity, node: &Node) -> Peer {
        let address = node.listens();
        let mut endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        endpoint.set_default_client_config(tls::client(&identity.tls_key));
        let connecting = endpoint.connect(address, "cuadra").expect("an address to dial");
        let connection = connecting.await.expect("the node accepts a member's key");
        let mut control = connection.accept_bi().await.expect("the accepting end opens the control stream");
        let mut first = [0];
        control.1.read_exact(&mut first).await.expect("a first byte");
        assert_eq!(first, [CONTROL_STREAM]);
        let theirs = read_frame(&mut control.1).await.expect("a welcome");
        let Ok(Message::Welcome(theirs)) = Message::decode(&theirs) else {
            panic!("not a welcome: {theirs:?}")
        };
        let head = identity.rosters.head();
        let ours =
            Welcome { member: identity.member, roster_version: head.version, roster: head.hash(), ..theirs };
        write_frame(&mut control.0, &Message::Welcome(ours).encode()).await;
        let received = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let mut readers = JoinSet::new();
        readers.spawn(read_lanes(connection.clone(), received.clone()));
        readers.spawn(answer_pings(control.0, control.1));
        Peer { connection, _endpoint: endpoint, lanes: AsyncMutex::default(), received, _readers: readers }
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

/// Keeps the connection: a peer that answers no ping is dropped.
async fn answer_pings(mut send: SendStream, mut receive: RecvStream) {
    while let Some(frame) = read_frame(&mut receive).await {
        if let Ok(Message::Ping(nonce)) = Message::decode(&frame) {
            write_frame(&mut send, &Message::Pong(nonce).encode()).await;
        }
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
