//! A member that sends as fast as it is let, on every lane at once, until its process is ended.

use std::net::SocketAddr;
use std::path::Path;

use protocol::envelope::SignedEnvelope;
use protocol::ids::{DocId, EnvelopeId, Millis, Pseudonym, sha256};
use protocol::message::{Have, Message, Want};
use protocol::operation::{Operation, Response};
use tokio::task::JoinSet;

use crate::peer::{Identity, Knock, body, spoil_signature};

/// Different frames of each kind, made before the flood begins.
const FRAMES: u64 = 40;
/// Envelopes in a frame.
const ENVELOPES: u64 = 120;

/// Floods the node at this address as the member in this folder.
pub async fn run(folder: &Path, address: SocketAddr) {
    let who = Identity::of(folder);
    let lanes = [worthless(&who), orphans(&who), haves(), wants()];
    let lanes = lanes.map(|frames| frames.into_iter().flatten().collect::<Vec<u8>>());
    loop {
        let peer = Knock::reach(&who, address).await.enter_deaf(&who).await;
        let mut writers = JoinSet::new();
        for (lane, bytes) in (1u8..).zip(lanes.clone()) {
            let connection = peer.connection().clone();
            writers.spawn(async move {
                let Ok(mut stream) = connection.open_uni().await else { return };
                let mut more = stream.write_all(&[lane]).await;
                while more.is_ok() {
                    more = stream.write_all(&bytes).await;
                }
            });
        }
        while writers.join_next().await.is_some() {}
    }
}

fn framed(message: &Message) -> Vec<u8> {
    protocol::frame::encode(message)
}

fn id(kind: u8, number: u64) -> [u8; 32] {
    sha256(&[&[kind], &number.to_be_bytes()])
}

/// An envelope with a good signature whose parent nobody has.
fn orphan(who: &Identity, doc: DocId, number: u64) -> SignedEnvelope {
    let operation = Operation::Respond { response: Response::OnTheWay, crew: Pseudonym([9; 32]) };
    let mut header = who.header(doc, &[EnvelopeId(id(1, number))], &operation);
    header.written_at = Millis(number);
    who.sign(&header, &operation)
}

fn envelopes(kind: u8, make: impl Fn(DocId, u64) -> SignedEnvelope) -> Vec<Vec<u8>> {
    let frame = |frame| {
        let doc = DocId(id(kind, frame));
        let items: Vec<SignedEnvelope> = (0..ENVELOPES).map(|n| make(doc, frame * ENVELOPES + n)).collect();
        framed(&body(doc, &items))
    };
    (0..FRAMES).map(frame).collect()
}

/// Each costs a verification, and proves nothing.
fn worthless(who: &Identity) -> Vec<Vec<u8>> {
    envelopes(2, |doc, number| spoil_signature(&orphan(who, doc, number)))
}

/// Each costs a verification, and wants to be kept.
fn orphans(who: &Identity) -> Vec<Vec<u8>> {
    envelopes(3, |doc, number| orphan(who, doc, number))
}

fn haves() -> Vec<Vec<u8>> {
    let have = |number| {
        let (doc, heads) = (DocId(id(4, number)), vec![EnvelopeId(id(5, number))]);
        framed(&Message::Have(Have { doc, page: 0, last: true, asks: true, heads }))
    };
    (0..FRAMES * 100).map(have).collect()
}

fn wants() -> Vec<Vec<u8>> {
    let want = |number| {
        let mut ids: Vec<EnvelopeId> = (0..200).map(|n| EnvelopeId(id(6, number * 200 + n))).collect();
        ids.sort_unstable();
        framed(&Message::Want(Want { doc: DocId(id(7, number)), ids, held: Vec::new() }))
    };
    (0..FRAMES).map(want).collect()
}
