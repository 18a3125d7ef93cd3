//! Large blobs: one request and its pieces on a stream of the lowest priority, resumed at the last
//! whole piece after a break, and handed over only once the content matches its commitment.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use protocol::ids::{BlobId, DocId, MemberId, commitment};
use protocol::limits::{BLOB_BYTES_MAX, BLOB_PIECE_BYTES};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::close::CloseCode;
use crate::context::Context;
use crate::frame;
use crate::handlers::{Blob, Decode};
use crate::lane::{BLOB_PRIORITY, BLOB_STREAM};
use crate::limits::{BLOB_SILENCE_MAX, FETCH_TRIES_MAX, HOLDER_WAIT_MAX};
use crate::links::Connections;
use protocol::message::{BlobPiece, BlobWant, Message};

/// Why a blob could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Every holder was asked and none has it for us.
    #[error("no holder has it for us")]
    NotHere,
    /// What these holders sent does not match the commitment.
    #[error("{} of its holders sent something else", .0.len())]
    Lied(Vec<MemberId>),
    /// No holder was connected for long enough.
    #[error("none of its holders could be reached for long enough")]
    Unreachable,
}

/// Serves one request. An error closes the connection; a peer that goes away in the middle is no error.
pub(crate) async fn serve<D: Decode>(
    context: &Context<D>,
    peer: MemberId,
    mut send: quinn::SendStream,
    mut receive: quinn::RecvStream,
) -> Result<(), CloseCode> {
    _ = send.set_priority(BLOB_PRIORITY);
    let request = timeout(BLOB_SILENCE_MAX, frame::read(&mut receive)).await;
    let Ok(request) = request else { return Err(CloseCode::OutOfOrder) };
    let request = request.map_err(frame::ReadEnd::code)?;
    let Ok(Message::BlobWant(want)) = Message::decode(&request) else {
        return Err(CloseCode::FrameRefused);
    };
    let _place = context.serves.acquire().await.map_err(|_| CloseCode::Goodbye)?;
    let blob = if may_have(context, peer, &want).await { context.blobs.read(want.blob).await } else { None };
    // "Not here" and "not yours" are the same bytes. A peer that stops reading keeps its place only for
    // as long as one write may take.
    match blob {
        Some(blob) => _ = write_pieces(&mut send, &want, &blob).await,
        None => _ = write(&mut send, &Message::BlobNone(want.blob)).await,
    }
    _ = send.finish();
    Ok(())
}

/// What a peer asks the loop before it is served a blob.
#[derive(Debug)]
pub(crate) struct BlobAsk {
    pub peer: MemberId,
    pub want: BlobWant,
    pub answer: oneshot::Sender<bool>,
}

async fn may_have<D: Decode>(context: &Context<D>, peer: MemberId, want: &BlobWant) -> bool {
    let (answer, answered) = oneshot::channel();
    let ask = BlobAsk { peer, want: want.clone(), answer };
    context.blob_asks.send(ask).await.is_ok() && answered.await.unwrap_or(false)
}

/// The stream cannot be written on.
struct Stopped;

async fn write(send: &mut quinn::SendStream, message: &Message) -> Result<(), Stopped> {
    match timeout(BLOB_SILENCE_MAX, frame::write(send, message.encode())).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => {
            _ = send.reset(quinn::VarInt::from_u32(0));
            Err(Stopped)
        }
    }
}

async fn write_pieces(send: &mut quinn::SendStream, want: &BlobWant, blob: &Blob) -> Result<(), Stopped> {
    let total_bytes = u32::try_from(blob.content.len()).expect("a blob is at most BLOB_BYTES_MAX");
    let first = usize::try_from(want.from_piece).unwrap_or(usize::MAX);
    let mut pieces = blob.content.chunks(BLOB_PIECE_BYTES).zip(0u32..).skip(first).peekable();
    if pieces.peek().is_none() {
        // An empty blob, or nothing left: the salt and the length are still an answer.
        let (blob_id, salt) = (want.blob, blob.salt);
        let piece = want.from_piece;
        let end = BlobPiece { blob: blob_id, salt, total_bytes, piece, bytes: Vec::new() };
        return write(send, &Message::BlobPiece(end)).await;
    }
    for (bytes, piece) in pieces {
        let (blob_id, salt) = (want.blob, blob.salt);
        let piece = BlobPiece { blob: blob_id, salt, total_bytes, piece, bytes: bytes.to_vec() };
        write(send, &Message::BlobPiece(piece)).await?;
    }
    Ok(())
}

/// A blob that is being fetched from one holder: whole pieces only.
#[derive(Debug, Default)]
struct Partial {
    salt: [u8; 32],
    total_bytes: Option<usize>,
    content: Vec<u8>,
}

/// What one request came to.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// All pieces are here; whether they are the blob is not judged yet.
    Whole,
    /// The holder says that it has no such blob for us.
    None,
    /// The connection broke off or fell silent; what came is kept.
    Broken,
    /// The holder's answer makes no sense.
    Nonsense,
}

impl Partial {
    fn add(&mut self, blob: BlobId, piece: &BlobPiece) -> Result<bool, Asked> {
        let total = usize::try_from(piece.total_bytes).map_err(|_| Asked::Nonsense)?;
        let first = self.total_bytes.is_none();
        let next = self.content.len() / BLOB_PIECE_BYTES;
        let fits = piece.blob == blob
            && total <= BLOB_BYTES_MAX
            && (first || (self.salt == piece.salt && self.total_bytes == Some(total)))
            && usize::try_from(piece.piece) == Ok(next)
            && piece.bytes.len() == BLOB_PIECE_BYTES.min(total.saturating_sub(self.content.len()));
        if !fits {
            return Err(Asked::Nonsense);
        }
        self.salt = piece.salt;
        self.total_bytes = Some(total);
        self.content.extend_from_slice(&piece.bytes);
        Ok(self.content.len() == total)
    }
}

/// Asks one holder for what is missing of `partial`.
async fn ask(connection: &quinn::Connection, doc: DocId, blob: BlobId, partial: &mut Partial) -> Asked {
    let whole_pieces = partial.content.len() / BLOB_PIECE_BYTES;
    let from_piece = u32::try_from(whole_pieces).expect("a blob has few pieces");
    let request = Message::BlobWant(BlobWant { doc, blob, from_piece });
    let opened = timeout(BLOB_SILENCE_MAX, async {
        let (mut send, receive) = connection.open_bi().await.ok()?;
        _ = send.set_priority(BLOB_PRIORITY);
        send.write_all(&[BLOB_STREAM]).await.ok()?;
        frame::write(&mut send, request.encode()).await.ok()?;
        _ = send.finish();
        Some(receive)
    });
    let Ok(Some(mut receive)) = opened.await else { return Asked::Broken };
    loop {
        let Ok(Ok(bytes)) = timeout(BLOB_SILENCE_MAX, frame::read(&mut receive)).await else {
            return Asked::Broken;
        };
        match Message::decode(&bytes) {
            Ok(Message::BlobNone(none)) if none == blob => return Asked::None,
            Ok(Message::BlobPiece(piece)) => match partial.add(blob, &piece) {
                Ok(true) => return Asked::Whole,
                Ok(false) => {}
                Err(asked) => return asked,
            },
            Ok(_) | Err(_) => return Asked::Nonsense,
        }
    }
}

/// Fetches a blob from whichever of `holders` is connected, waiting for them up to `patience` in all.
pub(crate) async fn fetch(
    connections: &mut watch::Receiver<Connections>,
    doc: DocId,
    blob: BlobId,
    holders: &[MemberId],
    patience: Duration,
) -> Result<Blob, FetchError> {
    let give_up = Instant::now() + patience;
    let mut without = BTreeSet::new();
    let mut liars = BTreeSet::new();
    // Pieces of two holders are never mixed: a bad one would spoil the honest one's, and nobody could
    // tell whose fault it was.
    let mut partial = (MemberId([0; 32]), Partial::default());
    for _ in 0..FETCH_TRIES_MAX {
        let left: Vec<MemberId> = holders
            .iter()
            .copied()
            .filter(|holder| !without.contains(holder) && !liars.contains(holder))
            .collect();
        if left.is_empty() {
            break;
        }
        let until = give_up.min(Instant::now() + HOLDER_WAIT_MAX);
        let found = timeout_at(until, connected(connections, &left, partial.0)).await;
        let Ok(Some((holder, connection))) = found else { return Err(FetchError::Unreachable) };
        if holder != partial.0 {
            partial = (holder, Partial::default());
        }
        let asked = timeout_at(give_up, ask(&connection, doc, blob, &mut partial.1)).await;
        match asked.unwrap_or(Asked::Broken) {
            Asked::Whole => {
                let Partial { salt, content, .. } = std::mem::take(&mut partial.1);
                if commitment(&salt, &content) == blob {
                    return Ok(Blob { salt, content: Bytes::from(content) });
                }
                liars.insert(holder);
            }
            Asked::Nonsense => _ = liars.insert(holder),
            Asked::None => _ = without.insert(holder),
            Asked::Broken => wait_for_end(connections, holder, &connection, give_up).await,
        }
    }
    match (liars.is_empty(), without.is_empty()) {
        (false, _) => Err(FetchError::Lied(liars.into_iter().collect())),
        (true, false) => Err(FetchError::NotHere),
        (true, true) => Err(FetchError::Unreachable),
    }
}

/// The connection of a holder, of `before` if it is connected, waiting until there is one.
async fn connected(
    connections: &mut watch::Receiver<Connections>,
    holders: &[MemberId],
    before: MemberId,
) -> Option<(MemberId, quinn::Connection)> {
    let find = |all: &Connections| {
        let preferred = holders.iter().filter(|holder| **holder == before);
        let mut candidates = preferred.chain(holders);
        candidates.find_map(|holder| Some((*holder, all.get(holder)?.clone())))
    };
    let all = connections.wait_for(|all| find(all).is_some()).await.ok()?;
    find(&all)
}

/// After a break: waits until that very connection is no longer listed, so that it is not tried again.
/// One that only fell silent is tried again after a while.
async fn wait_for_end(
    connections: &mut watch::Receiver<Connections>,
    holder: MemberId,
    connection: &quinn::Connection,
    give_up: Instant,
) {
    let same = connection.stable_id();
    let gone = connections.wait_for(|all| all.get(&holder).is_none_or(|now| now.stable_id() != same));
    let until = give_up.min(Instant::now() + BLOB_SILENCE_MAX);
    _ = timeout_at(until, gone).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(piece: u32, total: usize, bytes: usize) -> BlobPiece {
        BlobPiece {
            blob: BlobId([1; 32]),
            salt: [2; 32],
            total_bytes: u32::try_from(total).unwrap(),
            piece,
            bytes: vec![0; bytes],
        }
    }

    #[test]
    fn only_whole_pieces_in_order_are_kept() {
        let total = BLOB_PIECE_BYTES + 5;
        let mut partial = Partial::default();
        let blob = BlobId([1; 32]);
        assert_eq!(partial.add(blob, &piece(1, total, 5)), Err(Asked::Nonsense));
        assert_eq!(partial.add(blob, &piece(0, total, BLOB_PIECE_BYTES - 1)), Err(Asked::Nonsense));
        assert_eq!(partial.add(blob, &piece(0, BLOB_BYTES_MAX + 1, BLOB_PIECE_BYTES)), Err(Asked::Nonsense));
        assert_eq!(partial.add(BlobId([9; 32]), &piece(0, total, BLOB_PIECE_BYTES)), Err(Asked::Nonsense));
        assert_eq!(partial.add(blob, &piece(0, total, BLOB_PIECE_BYTES)), Ok(false));
        assert_eq!(partial.add(blob, &piece(1, total + 1, 6)), Err(Asked::Nonsense));
        let other_salt = BlobPiece { salt: [3; 32], ..piece(1, total, 5) };
        assert_eq!(partial.add(blob, &other_salt), Err(Asked::Nonsense));
        assert_eq!(partial.add(blob, &piece(1, total, 5)), Ok(true));
    }
}
