//! How messages follow each other on a stream: a four-byte length, then the message.
//!
//! Owns the length rule and its limit; knows nothing of what a message says.

use crate::limits::FRAME_BYTES_MAX;
use crate::message::Message;

/// Bytes of the length in front of every message.
pub const LENGTH_BYTES: usize = 4;

/// A length that no honest node writes. The connection that sent it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes, where 1 to {FRAME_BYTES_MAX} are allowed")]
pub struct FrameLength(pub u32);

/// Reads the length in front of a message: 1 to `FRAME_BYTES_MAX`.
pub fn length(prefix: [u8; LENGTH_BYTES]) -> Result<usize, FrameLength> {
    let length = u32::from_be_bytes(prefix);
    match usize::try_from(length) {
        Ok(bytes) if (1..=FRAME_BYTES_MAX).contains(&bytes) => Ok(bytes),
        Ok(_) | Err(_) => Err(FrameLength(length)),
    }
}

/// The bytes of `message` with its length in front.
///
/// Panics if the message is larger than a frame: whoever builds a message keeps to its limits.
#[must_use]
pub fn encode(message: &Message) -> Vec<u8> {
    let body = message.encode();
    assert!(body.len() <= FRAME_BYTES_MAX, "a {} of {} bytes", message.name(), body.len());
    let length = u32::try_from(body.len()).expect("a frame is far below 4 GiB");
    [length.to_be_bytes().as_slice(), &body].concat()
}

/// Cuts a stream of bytes into messages' bytes, however the stream was chopped.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    /// Starts at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }
    /// The next whole message's bytes; `None` until more bytes came.
    pub fn poll(&mut self) -> Result<Option<Vec<u8>>, FrameLength> {
        let Some(prefix) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let end = LENGTH_BYTES + length(*prefix)?;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let rest = self.buffer.split_off(end);
        let mut frame = std::mem::replace(&mut self.buffer, rest);
        frame.drain(..LENGTH_BYTES);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DocId;
    use crate::message::{Have, Message};

    fn have() -> Message {
        Message::Have(Have { doc: DocId([7; 32]), page: 0, last: true, asks: true, heads: Vec::new() })
    }

    #[test]
    fn stream_is_cut_into_frames_wherever_it_was_chopped() {
        let bytes = [encode(&have()), encode(&Message::Ping(3)), encode(&have())].concat();
        for chop in 1..bytes.len() {
            let (mut frames, mut out) = (Frames::new(), Vec::new());
            for piece in bytes.chunks(chop) {
                frames.feed(piece);
                while let Some(frame) = frames.poll().unwrap() {
                    out.push(Message::decode(&frame).unwrap());
                }
            }
            assert_eq!(out, [have(), Message::Ping(3), have()], "chopped every {chop} bytes");
        }
    }

    #[test]
    fn frame_above_its_limit_is_refused_before_it_is_read() {
        let over = u32::try_from(FRAME_BYTES_MAX).unwrap() + 1;
        for bad in [0, over, u32::MAX] {
            let mut frames = Frames::new();
            frames.feed(&bad.to_be_bytes());
            assert_eq!(frames.poll(), Err(FrameLength(bad)));
        }
        assert_eq!(length((over - 1).to_be_bytes()), Ok(FRAME_BYTES_MAX));
    }
}
