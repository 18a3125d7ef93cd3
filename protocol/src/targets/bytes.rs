//! What comes off the wire as bytes: frames, envelopes, operations. Whatever parses is written back as
//! the same bytes, and nothing panics.

use super::{FEDERATION, Result, Unstructured, any_operation};
use crate::envelope::{AdmittedEnvelope, SignedEnvelope};
use crate::fixture::Scribe;
use crate::frame::{self, FrameLength, Frames};
use crate::ids::{DocId, EnvelopeId};
use crate::message::{Have, Items, Lane, Message, Want};
use crate::operation::{Operation, peek_genesis};

/// A stream is cut into the same frames however it was chopped, and a frame that parses is written back
/// as it came.
pub fn frames(u: &mut Unstructured<'_>) -> Result<()> {
    let mut stream = Vec::new();
    for _ in 0..u.int_in_range(0..=6)? {
        match u.int_in_range(0..=5)? {
            0 => stream.extend(any_bytes(u, 40)?),
            1 => {
                let body = any_bytes(u, 200)?;
                stream.extend(u32::try_from(body.len()).unwrap_or(0).to_be_bytes());
                stream.extend(body);
            }
            _ => stream.extend(frame::encode(&any_message(u)?)),
        }
    }
    let whole = cut(std::iter::once(stream.as_slice()));
    let mut pieces = Vec::new();
    let mut rest = stream.as_slice();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(u.int_in_range(1..=rest.len().min(300))?);
        pieces.push(piece);
        rest = after;
    }
    assert_eq!(whole, cut(pieces.into_iter()), "chopping changed what was read");
    for bytes in whole.0 {
        if let Ok(message) = Message::decode(&bytes) {
            assert_eq!(message.encode(), bytes, "a {} is written otherwise than it came", message.name());
        }
    }
    Ok(())
}

type Cut = (Vec<Vec<u8>>, Option<FrameLength>);

fn cut<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Cut {
    let (mut frames, mut read) = (Frames::new(), Vec::new());
    for piece in pieces {
        frames.feed(piece);
        loop {
            match frames.poll() {
                Ok(Some(bytes)) => read.push(bytes),
                Ok(None) => break,
                // The connection ends here, whatever comes after.
                Err(length) => return (read, Some(length)),
            }
        }
    }
    (read, None)
}

fn any_message(u: &mut Unstructured<'_>) -> Result<Message> {
    let doc = DocId([u.arbitrary()?; 32]);
    let ids = |u: &mut Unstructured<'_>| {
        let mut ids = Vec::new();
        for _ in 0..u.int_in_range(0..=5)? {
            ids.push(EnvelopeId([u.arbitrary()?; 32]));
        }
        ids.sort_unstable();
        ids.dedup();
        Ok::<_, arbitrary::Error>(ids)
    };
    Ok(match u.int_in_range(0..=4)? {
        0 => Message::Ping(u.arbitrary()?),
        1 => Message::Have(Have { doc, page: 0, last: u.arbitrary()?, asks: u.arbitrary()?, heads: ids(u)? }),
        2 => Message::Want(Want { doc, ids: ids(u)?, held: ids(u)? }),
        3 => Message::Answer(Items { doc, items: Vec::new() }),
        _ => {
            let bytes = any_bytes(u, 300)?;
            Message::decode(&bytes).unwrap_or(Message::Pong(u64::from(Lane::ALL.len() == bytes.len())))
        }
    })
}

/// Bytes of any length up to `most`.
fn any_bytes(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<u8>> {
    let length = u.int_in_range(0..=most.min(u.len()))?;
    Ok(u.bytes(length)?.to_vec())
}

/// Changes, cuts or lengthens bytes here and there; may leave them as they are.
fn spoil(u: &mut Unstructured<'_>, bytes: &mut Vec<u8>) -> Result<()> {
    for _ in 0..u.int_in_range(0..=4)? {
        if bytes.is_empty() {
            break;
        }
        let at = u.choose_index(bytes.len())?;
        match u.int_in_range(0..=7)? {
            0 => bytes.truncate(at),
            1 => bytes.push(u.arbitrary()?),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u.arbitrary()?;
                }
            }
        }
    }
    Ok(())
}

/// An envelope that parses is written back as it came, and only the signed bytes themselves verify.
pub fn envelope(u: &mut Unstructured<'_>) -> Result<()> {
    let federation = &*FEDERATION;
    let mut scribe = Scribe::new(federation);
    let mut written = scribe.open(0, &[1]);
    if u.arbitrary()? {
        let operation = any_operation(u, &[written.id()], &federation.members)?;
        written = scribe.write(0, operation).unwrap_or(written);
    }
    let honest = written.bytes().to_vec();
    let mut bytes = honest.clone();
    if u.ratio(1, 4)? {
        bytes = any_bytes(u, 600)?;
    } else {
        spoil(u, &mut bytes)?;
    }
    let Ok(signed) = SignedEnvelope::decode(&bytes) else { return Ok(()) };
    let again = SignedEnvelope::assemble(signed.header().clone(), signed.op_bytes(), signed.signature());
    assert_eq!(again.bytes(), bytes, "an envelope is written otherwise than it came");
    assert_eq!(again, signed);
    // What a node reads back from its own log does not panic, whatever happened to the disk.
    let _read = AdmittedEnvelope::from_log(&bytes);
    let id = signed.id();
    if let Ok(verified) = signed.verify(&federation.rosters) {
        assert_eq!(verified.bytes(), honest, "bytes verify that nobody signed");
        assert_eq!(id, written.id());
    }
    Ok(())
}

/// An operation that parses is written back as it came, under its own number, and a genesis still says
/// enough to ring.
pub fn operations(u: &mut Unstructured<'_>) -> Result<()> {
    let honest = any_operation(u, &[EnvelopeId([7; 32])], &FEDERATION.members)?;
    let mut bytes = honest.encode();
    assert_eq!(Operation::decode(honest.op_type(), &bytes).as_ref(), Ok(&honest), "it does not come back");
    let number = if u.ratio(1, 3)? { u.int_in_range(0..=40)? } else { honest.op_type() };
    if u.ratio(1, 3)? {
        bytes = any_bytes(u, 400)?;
    } else {
        spoil(u, &mut bytes)?;
    }
    let peeked = peek_genesis(&bytes);
    let Ok(operation) = Operation::decode(number, &bytes) else { return Ok(()) };
    assert_eq!(operation.op_type(), number);
    assert_eq!(operation.encode(), bytes, "a {} is written otherwise than it came", operation.name());
    if let Some(class) = operation.genesis_class() {
        assert_eq!(peeked.map(|(peeked, ..)| peeked), Ok(class), "an older node could not ring");
    }
    Ok(())
}
