//! QUIC, the welcome, streams and frames: what costs a connection, and nothing but that connection.

use ed25519_dalek::SigningKey;
use federation::close::CloseCode;
use protocol::digest::{Fingerprint, Mark};
use protocol::ids::{DocId, EnvelopeId, FederationId, MemberId};
use protocol::limits::{
    DIGEST_LEAF_MAX, FRAME_BYTES_MAX, HAVE_PAGES_MAX, HEADS_MAX, HELD_IDS_MAX, ITEMS_MAX, WANT_IDS_MAX,
};
use protocol::message::{DigestChildren, DigestLeaf, Have, Message, Prefix, RosterPiece, Want, Welcome};
use protocol::wire::WireError;
use tests::cluster::wait_for;
use tests::peer::{Knock, NORMAL, Peer, URGENT};

use super::stage::Stage;
use super::{Breaks, Case, deed};

const DOC: DocId = DocId([6; 32]);

pub fn cases() -> Vec<Case> {
    let mut cases = handshakes();
    cases.extend(welcomes());
    cases.extend(streams());
    cases.extend(control());
    cases.extend(messages());
    cases.extend(lists());
    cases
}

/// Waits until the connection is closed with this code and the node has counted it.
async fn closed(stage: &Stage, peer: &Peer, code: CloseCode, before: u64) -> String {
    assert_eq!(peer.closed().await, Some(u64::from(code.number())), "another code than {code:?}");
    counted(stage, code, before).await
}

async fn counted(stage: &Stage, code: CloseCode, before: u64) -> String {
    let label = format!("code=\"{code:?}\"");
    wait_for(&format!("{code:?} on record"), async || {
        (stage.gauge("cuadra_peer_closed_total", &label).await > before).then_some(())
    })
    .await;
    format!("closed: {code:?}")
}

async fn count(stage: &Stage, code: CloseCode) -> u64 {
    stage.gauge("cuadra_peer_closed_total", &format!("code=\"{code:?}\"")).await
}

/// A frame that breaks one rule, and the nearest one that breaks none: what is refused is refused for that.
pub struct Twins {
    bad: Vec<u8>,
    good: Vec<u8>,
    why: Why,
}

/// Why a frame costs its connection.
pub enum Why {
    /// It is not laid out as a message is.
    Layout(WireError),
    /// The message of this name belongs on another stream.
    Elsewhere(&'static str),
}

/// Sends a frame that is no honest node's, and waits until the connection is closed over it, for its own
/// reason, which the node's log names.
pub async fn costs_the_connection(stage: &Stage, twins: &Twins) -> String {
    let decoded = |bytes: &[u8]| Message::decode_sparing(bytes).map(|(message, _)| message);
    decoded(&twins.good).expect("its twin is a message");
    let reason = match twins.why {
        Why::Layout(error) => {
            assert_eq!(decoded(&twins.bad), Err(error), "it breaks another rule");
            error.to_string()
        }
        Why::Elsewhere(name) => {
            assert_eq!(decoded(&twins.bad).expect("a message").name(), name);
            format!("a {name} belongs on another stream")
        }
    };
    let before = count(stage, CloseCode::FrameRefused).await;
    let said = || {
        let text = stage.log_text();
        text.lines().filter(|line| line.contains("a frame was refused") && line.contains(&reason)).count()
    };
    let said_before = said();
    stage.peer.send_bytes(URGENT, &twins.bad).await;
    let outcome = closed(stage, &stage.peer, CloseCode::FrameRefused, before).await;
    wait_for(&format!("«{reason}» in the log"), async || (said() > said_before).then_some(())).await;
    format!("{outcome}: {reason}")
}

/// A case about the shared connection: does something to it and names the code that it must bring.
macro_rules! on_connection {
    ($family:literal, $rule:literal, $code:ident, |$peer:ident| $act:block) => {
        deed($family, $rule, |stage| {
            Box::pin(async move {
                let before = count(stage, CloseCode::$code).await;
                {
                    let $peer = &stage.peer;
                    $act
                }
                closed(stage, &stage.peer, CloseCode::$code, before).await
            })
        })
    };
}

/// A case about a welcome: changes an honest one.
macro_rules! welcome {
    ($rule:literal, |$welcome:ident| $change:block) => {
        deed("quic", $rule, |stage| {
            Box::pin(async move {
                refused_welcome(stage, |mut $welcome| {
                    $change
                    Message::Welcome($welcome).encode()
                })
                .await
            })
        })
    };
}

fn handshakes() -> Vec<Case> {
    vec![
        deed("quic", "another protocol name is not spoken", |stage| {
            Box::pin(async move {
                let key = stage.cast.hostile.tls_key.clone();
                refused_handshake(stage, &key, b"cuadra/0").await
            })
        }),
        deed("quic", "a stranger's key does not enter", |stage| {
            Box::pin(
                async move { refused_handshake(stage, &SigningKey::from_bytes(&[9; 32]), b"cuadra/1").await },
            )
        }),
        deed("quic", "a key that signs envelopes opens no connection", |stage| {
            Box::pin(async move {
                let key = stage.cast.hostile.envelope_key.clone();
                refused_handshake(stage, &key, b"cuadra/1").await
            })
        }),
        deed("quic", "rubbish and web requests to the port of nodes are nothing", |stage| {
            Box::pin(async move {
                let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
                let to = stage.node().listens();
                for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 1_200], &[0; 1], &[0x40; 40]]
                {
                    socket.send_to(bytes, to).expect("it can be sent");
                }
                "dropped".to_owned()
            })
        }),
    ]
}

async fn refused_handshake(stage: &Stage, key: &SigningKey, protocol: &[u8]) -> String {
    let name = "cuadra_handshakes_refused_total";
    let before = stage.gauges().await.get(name).copied().unwrap_or_default();
    if let Ok(knock) = Knock::strange(key, protocol, stage.node()).await {
        // The dialling end believes itself connected before its key is judged.
        let ended = knock.connection.closed().await;
        assert!(matches!(ended, quinn::ConnectionError::ConnectionClosed(_)), "{ended}");
    }
    wait_for("a refused handshake on record", async || {
        (stage.gauges().await.get(name).copied()? > before).then_some(())
    })
    .await;
    "handshake refused".to_owned()
}

fn welcomes() -> Vec<Case> {
    vec![
        welcome!("a welcome is of a protocol version that is known", |welcome| {
            welcome.protocol += 1;
        }),
        welcome!("a welcome is of this federation", |welcome| {
            welcome.federation = FederationId([9; 32]);
        }),
        welcome!("a welcome is of the member whose key connected", |welcome| {
            welcome.member = MemberId([9; 32]);
        }),
        deed("quic", "a connection begins with a welcome", |stage| {
            Box::pin(async move { refused_welcome(stage, |_| Message::Ping(1).encode()).await })
        }),
        deed("quic", "a welcome parses", |stage| {
            Box::pin(async move { refused_welcome(stage, |_| vec![1, 2, 3]).await })
        }),
        deed("quic", "who says no welcome within 5 seconds is sent away", |stage| {
            Box::pin(async move {
                let before = count(stage, CloseCode::WelcomeLate).await;
                let knock = Knock::at(&stage.cast.hostile, stage.node()).await;
                let _kept = knock.welcomed().await;
                // What comes before the welcome is not read.
                if let Ok(mut lane) = knock.connection.open_uni().await {
                    let _the_node_may_have_closed = lane.write_all(&[1, 0, 0, 0, 1, 200]).await;
                }
                let ended = knock.connection.closed().await;
                let quinn::ConnectionError::ApplicationClosed(close) = ended else { panic!("{ended}") };
                assert_eq!(close.error_code.into_inner(), u64::from(CloseCode::WelcomeLate.number()));
                counted(stage, CloseCode::WelcomeLate, before).await
            })
        }),
    ]
}

async fn refused_welcome(stage: &Stage, answer: impl FnOnce(Welcome) -> Vec<u8>) -> String {
    let before = count(stage, CloseCode::WelcomeRefused).await;
    let knock = Knock::at(&stage.cast.hostile, stage.node()).await;
    let (mut send, _receive, theirs) = knock.welcomed().await;
    let bytes = answer(stage.cast.hostile.welcome(theirs));
    let length = u32::try_from(bytes.len()).expect("short").to_be_bytes();
    let _the_node_may_have_closed = send.write_all(&[&length[..], &bytes].concat()).await;
    let ended = knock.connection.closed().await;
    let quinn::ConnectionError::ApplicationClosed(close) = ended else { panic!("{ended}") };
    assert_eq!(close.error_code.into_inner(), u64::from(CloseCode::WelcomeRefused.number()));
    counted(stage, CloseCode::WelcomeRefused, before).await
}

fn streams() -> Vec<Case> {
    vec![
        on_connection!("frames", "a frame has at least one byte", FrameTooLarge, |peer| {
            peer.send_raw(URGENT, &[0; 4]).await;
        }),
        on_connection!("frames", "a frame has at most 64 KiB", FrameTooLarge, |peer| {
            let length = u32::try_from(FRAME_BYTES_MAX + 1).expect("it fits").to_be_bytes();
            peer.send_raw(URGENT, &length).await;
        }),
        on_connection!("frames", "a stream's first byte names a lane", UnknownLane, |peer| {
            peer.send_raw(17, b"x").await;
        }),
        on_connection!("frames", "a lane is opened once", OutOfOrder, |peer| {
            peer.send(NORMAL, &Message::RosterWant(9)).await;
            let mut second = peer.connection().open_uni().await.expect("a stream");
            second.write_all(&[NORMAL]).await.expect("a byte");
            let _the_node_may_have_closed = second.stopped().await;
        }),
        on_connection!("frames", "a lane does not end", OutOfOrder, |peer| {
            peer.send(NORMAL, &Message::RosterWant(9)).await;
            peer.finish(NORMAL).await;
        }),
        on_connection!("frames", "a lane does not end inside a frame", OutOfOrder, |peer| {
            peer.send_raw(NORMAL, &[0, 0, 0, 100, 11, 1, 2]).await;
            peer.finish(NORMAL).await;
        }),
        on_connection!("frames", "a lane is not broken off", OutOfOrder, |peer| {
            peer.send(NORMAL, &Message::RosterWant(9)).await;
            peer.reset(NORMAL).await;
        }),
        on_connection!("frames", "a two-way stream asks for a blob", UnknownLane, |peer| {
            let (mut send, mut receive) = peer.connection().open_bi().await.expect("a stream");
            send.write_all(&[9]).await.expect("a byte");
            let _closed = receive.read_to_end(64).await;
        }),
        on_connection!("frames", "what asks for a blob is a blob want", FrameRefused, |peer| {
            let (mut send, mut receive) = peer.connection().open_bi().await.expect("a stream");
            send.write_all(&[5, 0, 0, 0, 9, 2, 0, 0, 0, 0, 0, 0, 0, 1]).await.expect("a frame");
            let _closed = receive.read_to_end(64).await;
        }),
        deed("frames", "a peer has four lanes and two requests, and more wait at its end", |stage| {
            Box::pin(async move {
                let connection = stage.peer.connection();
                let mut opened = Vec::new();
                // Opening never waits as long as the other end allows more.
                while let Some(Ok(stream)) = futures_util::FutureExt::now_or_never(connection.open_uni()) {
                    opened.push(stream);
                }
                assert!(opened.len() <= 4, "{} streams at once", opened.len());
                let mut asked = Vec::new();
                while let Some(Ok(stream)) = futures_util::FutureExt::now_or_never(connection.open_bi()) {
                    asked.push(stream);
                }
                assert!(asked.len() <= 3, "{} requests at once", asked.len());
                let outcome = format!("{} and {} streams, the next waits", opened.len(), asked.len());
                connection.close(quinn::VarInt::from_u32(0), b"");
                outcome
            })
        }),
    ]
}

fn control() -> Vec<Case> {
    vec![
        on_connection!("frames", "envelopes do not come on the control stream", OutOfOrder, |peer| {
            peer.send_control(&super::frame(DOC, &[])).await;
        }),
        on_connection!("frames", "a welcome is said once", OutOfOrder, |peer| {
            let welcome = Welcome {
                protocol: 1,
                federation: FederationId([1; 32]),
                member: MemberId([1; 32]),
                roster_version: 1,
                roster: protocol::ids::RosterHash([1; 32]),
                rules: 1,
                software: String::new(),
            };
            peer.send_control(&Message::Welcome(welcome).encode()).await;
        }),
        on_connection!("frames", "rubbish on the control stream is no message", FrameRefused, |peer| {
            peer.send_control(&[250, 1, 2]).await;
        }),
        on_connection!("roster", "the pieces of a roster come in their order", OutOfOrder, |peer| {
            let piece = RosterPiece { version: 3, piece: 1, pieces: 2, bytes: vec![1; 10] };
            peer.send_control(&Message::Roster(piece).encode()).await;
        }),
        on_connection!("roster", "a roster has at most 1 MiB", OutOfOrder, |peer| {
            for piece in 0..33 {
                let bytes = vec![1; protocol::limits::ROSTER_PIECE_BYTES];
                let piece = RosterPiece { version: 3, piece, pieces: 33, bytes };
                peer.send_control(&Message::Roster(piece).encode()).await;
            }
        }),
    ]
}

fn refused(rule: &'static str, make: fn(&Stage) -> Twins) -> Case {
    Case { family: "frames", rule, breaks: Breaks::Frame(make) }
}

/// A frame that is laid out wrongly, and its twin.
pub fn layout(why: WireError, bad: Vec<u8>, good: Vec<u8>) -> Twins {
    Twins { bad, good, why: Why::Layout(why) }
}

/// A frame that is an honest message on the wrong stream.
fn elsewhere(message: &Message) -> Twins {
    Twins { bad: message.encode(), good: roster_want(), why: Why::Elsewhere(message.name()) }
}

fn roster_want() -> Vec<u8> {
    Message::RosterWant(1).encode()
}

fn messages() -> Vec<Case> {
    vec![
        refused("a message has a known number", |_| {
            let mut unknown = roster_want();
            unknown[0] = 99;
            layout(WireError::Value, unknown, roster_want())
        }),
        refused("a raw Automerge chunk is no message", |_| {
            layout(WireError::Value, vec![0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 1, 2], roster_want())
        }),
        refused("a compressed Automerge chunk is no message", |_| {
            let chunk = [vec![0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 2], vec![0; 60_000]].concat();
            layout(WireError::Value, chunk, roster_want())
        }),
        refused("a message ends where its layout ends", |_| {
            layout(WireError::Trailing, [roster_want(), vec![0]].concat(), roster_want())
        }),
        refused("a message is whole", |_| {
            layout(WireError::Short, roster_want()[..5].to_vec(), roster_want())
        }),
        refused("a ping does not come on a lane", |_| elsewhere(&Message::Ping(1))),
        refused("a piece of a blob does not come on a lane", |_| {
            elsewhere(&Message::BlobNone(protocol::ids::BlobId([1; 32])))
        }),
        refused("a flag is 0 or 1", |_| {
            let have = Have { doc: DOC, page: 0, last: true, asks: true, heads: Vec::new() };
            let good = Message::Have(have).encode();
            let mut bad = good.clone();
            let at = bad.len() - 3;
            bad[at] = 2;
            layout(WireError::Value, bad, good)
        }),
        refused("a number that people count with is below 2^53 in messages too", |_| {
            layout(WireError::Integer, Message::RosterWant(u64::MAX).encode(), roster_want())
        }),
    ]
}

fn ids(count: usize) -> Vec<EnvelopeId> {
    let id = |number: usize| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&u64::try_from(number).expect("few").to_be_bytes());
        EnvelopeId(id)
    };
    (0..count).map(id).collect()
}

fn have(page: u8, heads: Vec<EnvelopeId>) -> Vec<u8> {
    Message::Have(Have { doc: DOC, page, last: true, asks: false, heads }).encode()
}

fn want(asked: usize, held: usize) -> Vec<u8> {
    Message::Want(Want { doc: DOC, ids: ids(asked), held: ids(held) }).encode()
}

fn children(prefix: Vec<u8>) -> Vec<u8> {
    let marks = Box::new([Mark::default(); 16]);
    Message::DigestChildren(DigestChildren { prefix: Prefix(prefix), salt: 1, marks }).encode()
}

fn leaf(count: usize) -> Vec<u8> {
    let documents: Vec<_> = ids(count).into_iter().map(|id| (DocId(id.0), Fingerprint::EMPTY)).collect();
    Message::DigestLeaf(DigestLeaf::of(Prefix::default(), 1, false, &documents)).encode()
}

/// A body of one item that is no envelope, of this many bytes.
fn item(bytes: usize) -> Vec<u8> {
    super::frame(DOC, &[super::Bad::malformed(vec![1; bytes])])
}

fn piece(pieces: u16) -> Vec<u8> {
    let bytes = vec![1; protocol::limits::ROSTER_PIECE_BYTES];
    Message::Roster(RosterPiece { version: 3, piece: 0, pieces, bytes }).encode()
}

fn lists() -> Vec<Case> {
    vec![
        refused("a have has at most 256 heads a page", |_| {
            layout(WireError::TooLong, have(0, ids(HEADS_MAX + 1)), have(0, ids(HEADS_MAX)))
        }),
        refused("a have has at most 16 pages", |_| {
            let pages = u8::try_from(HAVE_PAGES_MAX).expect("few");
            layout(WireError::TooLong, have(pages, Vec::new()), have(pages - 1, Vec::new()))
        }),
        refused("heads are sorted and named once", |_| {
            let (one, two) = (EnvelopeId([1; 32]), EnvelopeId([2; 32]));
            layout(WireError::Order, have(0, vec![two, one]), have(0, vec![one, two]))
        }),
        refused("a want asks for at most 256 envelopes", |_| {
            layout(WireError::TooLong, want(WANT_IDS_MAX + 1, 0), want(WANT_IDS_MAX, 0))
        }),
        refused("a want tells of at most 512 held", |_| {
            layout(WireError::TooLong, want(0, HELD_IDS_MAX + 1), want(0, HELD_IDS_MAX))
        }),
        refused("a frame holds at most 256 envelopes", |_| {
            let items = |count| super::frame(DOC, &vec![super::Bad::malformed(vec![1]); count]);
            layout(WireError::TooLong, items(ITEMS_MAX + 1), items(ITEMS_MAX))
        }),
        refused("a place in the digest is told in hexadecimal digits", |_| {
            layout(WireError::Value, children(vec![16]), children(vec![15]))
        }),
        refused("a place in the digest has at most 16 digits", |_| {
            layout(WireError::TooLong, children(vec![1; 17]), children(vec![1; 16]))
        }),
        refused("a digest lists at most 16 documents at a place", |_| {
            layout(WireError::TooLong, leaf(DIGEST_LEAF_MAX + 1), leaf(DIGEST_LEAF_MAX))
        }),
        refused("an envelope has at most 20 KiB", |_| {
            let max = protocol::limits::ENVELOPE_BYTES_MAX;
            layout(WireError::TooLong, item(max + 1), item(max))
        }),
        refused("a roster comes in at most 33 pieces", |_| layout(WireError::Value, piece(34), piece(33))),
        refused("a contact record has at most 4 KiB", |_| {
            let contact = |bytes| Message::Contact(vec![1; bytes]).encode();
            let max = protocol::limits::CONTACT_BYTES_MAX;
            layout(WireError::TooLong, contact(max + 1), contact(max))
        }),
    ]
}
