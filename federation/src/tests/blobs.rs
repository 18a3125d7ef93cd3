//! Large blobs: resumed, checked, and the same "no" for everybody who may not.

use bytes::Bytes;
use protocol::ids::{BlobId, DocId, commitment};
use protocol::limits::BLOB_PIECE_BYTES;
use protocol::message::{BlobPiece, BlobWant, Message};

use super::kit::*;
use crate::FetchError;
use crate::frame;
use crate::handlers::Blob;
use crate::lane::BLOB_STREAM;

const DOC: DocId = DocId([5; 32]);

fn blob(pieces: usize) -> (BlobId, Blob) {
    let content: Vec<u8> = (0..pieces * BLOB_PIECE_BYTES + 123).map(|i| (i % 251) as u8).collect();
    let salt = [6; 32];
    (commitment(&salt, &content), Blob { salt, content: Bytes::from(content) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blob_is_fetched_from_whoever_has_it() {
    let (one, two, three) = (Node::start(1), Node::start(2), Node::start(3));
    for holder in [&two, &three] {
        holder.dials(one.member, one.address());
        one.until_connected(holder.member).await;
    }
    let holders = [two.member, three.member];
    for pieces in [0, 1, 40] {
        let (id, blob) = blob(pieces);
        three.blobs.0.lock().unwrap().insert(id, blob.clone());
        three.may_have(one.member, id);
        let fetched = one.handle.fetch(DOC, id, &holders);
        assert_eq!(soon("the blob", fetched).await, Ok(blob));
    }
    let (unknown, _) = blob(2);
    let fetched = one.handle.fetch(DOC, unknown, &holders);
    assert_eq!(soon("the answer", fetched).await, Err(FetchError::NotHere));
    for node in [one, two, three] {
        node.federation.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absent_and_not_entitled_are_the_same_bytes() {
    let node = Node::start(1);
    let (id, content) = blob(1);
    let link = Raw::new(2).dial(&node).await;
    node.until_connected(member(2)).await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        let (mut send, mut receive) = link.connection.open_bi().await.unwrap();
        send.write_all(&[BLOB_STREAM]).await.unwrap();
        let want = BlobWant { doc: DOC, blob: id, from_piece: 0 };
        frame::write(&mut send, Message::BlobWant(want).encode()).await.unwrap();
        answers.push(soon("the answer", receive.read_to_end(1_000)).await.unwrap());
        node.blobs.0.lock().unwrap().insert(id, content.clone());
    }
    assert_eq!(answers[0], answers[1]);
    let none = Message::BlobNone(id).encode();
    assert_eq!(answers[0], [&u32::try_from(none.len()).unwrap().to_be_bytes(), none.as_slice()].concat());
    node.federation.stop().await;
}

/// The next blob request to a raw peer.
async fn request(link: &RawLink) -> (BlobWant, quinn::SendStream) {
    let (send, mut receive) = soon("a request", link.connection.accept_bi()).await.unwrap();
    let mut first = [0];
    receive.read_exact(&mut first).await.unwrap();
    assert_eq!(first, [BLOB_STREAM]);
    let bytes = frame::read(&mut receive).await.unwrap();
    let Ok(Message::BlobWant(want)) = Message::decode(&bytes) else { panic!("not a request") };
    (want, send)
}

fn piece(id: BlobId, blob: &Blob, piece: usize) -> Vec<u8> {
    let bytes = blob.content.chunks(BLOB_PIECE_BYTES).nth(piece).unwrap().to_vec();
    let total_bytes = u32::try_from(blob.content.len()).unwrap();
    let piece = u32::try_from(piece).unwrap();
    Message::BlobPiece(BlobPiece { blob: id, salt: blob.salt, total_bytes, piece, bytes }).encode()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_resumes_at_the_last_whole_piece_after_a_reconnect() {
    let node = Node::start(1);
    let (id, blob) = blob(4);
    let raw = Raw::new(2);
    let first = raw.dial(&node).await;
    node.until_connected(member(2)).await;
    let handle = node.handle.clone();
    let fetch = tokio::spawn(async move { handle.fetch(DOC, id, &[member(2)]).await });
    let (want, mut send) = request(&first).await;
    assert_eq!(want, BlobWant { doc: DOC, blob: id, from_piece: 0 });
    for index in 0..3 {
        frame::write(&mut send, piece(id, &blob, index)).await.unwrap();
    }
    // Half a piece, and the connection is gone once the whole ones have arrived.
    let half = piece(id, &blob, 3);
    send.write_all(&u32::try_from(half.len()).unwrap().to_be_bytes()).await.unwrap();
    send.write_all(&half[..half.len() / 2]).await.unwrap();
    send.finish().unwrap();
    assert_eq!(soon("the pieces are acknowledged", send.stopped()).await, Ok(None));
    first.connection.close(0u32.into(), b"");
    let second = raw.dial(&node).await;
    let (want, mut send) = request(&second).await;
    assert_eq!(want, BlobWant { doc: DOC, blob: id, from_piece: 3 });
    for index in 3..5 {
        frame::write(&mut send, piece(id, &blob, index)).await.unwrap();
    }
    assert_eq!(soon("the blob", fetch).await.unwrap(), Ok(blob));
    node.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lying_holder_is_named_and_an_honest_one_asked() {
    let (node, honest) = (Node::start(1), Node::start(3));
    honest.dials(node.member, node.address());
    node.until_connected(honest.member).await;
    let liar = Raw::new(2).dial(&node).await;
    node.until_connected(member(2)).await;
    let (id, blob) = blob(1);
    honest.blobs.0.lock().unwrap().insert(id, blob.clone());
    honest.may_have(node.member, id);
    let lie = Blob { content: Bytes::from(vec![0; blob.content.len()]), ..blob.clone() };
    let foolish = Blob { salt: [9; 32], ..blob.clone() };
    for (lie, holders, expected) in [
        (&lie, vec![member(2)], Err(FetchError::Lied(vec![member(2)]))),
        (&foolish, vec![member(2)], Err(FetchError::Lied(vec![member(2)]))),
        (&lie, vec![member(2), member(3)], Ok(blob.clone())),
    ] {
        let handle = node.handle.clone();
        let fetch = tokio::spawn(async move { handle.fetch(DOC, id, &holders).await });
        let (_, mut send) = request(&liar).await;
        for index in 0..2 {
            frame::write(&mut send, piece(id, lie, index)).await.unwrap();
        }
        assert_eq!(soon("the answer", fetch).await.unwrap(), expected);
    }
    // Pieces out of turn, too.
    let handle = node.handle.clone();
    let fetch = tokio::spawn(async move { handle.fetch(DOC, id, &[member(2)]).await });
    let (_, mut send) = request(&liar).await;
    frame::write(&mut send, piece(id, &blob, 1)).await.unwrap();
    assert_eq!(soon("the answer", fetch).await.unwrap(), Err(FetchError::Lied(vec![member(2)])));
    honest.federation.stop().await;
    node.federation.stop().await;
}
