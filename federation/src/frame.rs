//! Frames on a QUIC stream: a four-byte length, then that many bytes.

use bytes::Bytes;
use protocol::limits::FRAME_BYTES_MAX;

use crate::close::CloseCode;

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    /// The peer ended the stream between two frames.
    Finished,
    /// The connection ended, or the peer broke the stream off inside a frame.
    Broken,
    /// A length of 0 or above its limit.
    TooLarge,
}

impl ReadEnd {
    /// What to tell a peer whose stream must not end.
    pub fn code(self) -> CloseCode {
        match self {
            ReadEnd::Finished | ReadEnd::Broken => CloseCode::OutOfOrder,
            ReadEnd::TooLarge => CloseCode::FrameTooLarge,
        }
    }
}

/// Reads the next frame. Nothing is allocated for a length above the limit.
pub(crate) async fn read(stream: &mut quinn::RecvStream) -> Result<Vec<u8>, ReadEnd> {
    let mut prefix = [0; 4];
    if let Err(error) = stream.read_exact(&mut prefix).await {
        return Err(match error {
            quinn::ReadExactError::FinishedEarly(0) => ReadEnd::Finished,
            quinn::ReadExactError::FinishedEarly(_) | quinn::ReadExactError::ReadError(_) => ReadEnd::Broken,
        });
    }
    let length = usize::try_from(u32::from_be_bytes(prefix)).map_err(|_| ReadEnd::TooLarge)?;
    if !(1..=FRAME_BYTES_MAX).contains(&length) {
        return Err(ReadEnd::TooLarge);
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await.map_err(|_| ReadEnd::Broken)?;
    Ok(frame)
}

/// The length that goes in front of a frame.
pub(crate) fn prefix(frame: &[u8]) -> Bytes {
    assert!((1..=FRAME_BYTES_MAX).contains(&frame.len()), "a frame of {} bytes", frame.len());
    let length = u32::try_from(frame.len()).expect("a frame is far below 4 GiB");
    Bytes::copy_from_slice(&length.to_be_bytes())
}

/// Writes one frame.
pub(crate) async fn write(stream: &mut quinn::SendStream, frame: Vec<u8>) -> Result<(), quinn::WriteError> {
    let mut chunks = [prefix(&frame), Bytes::from(frame)];
    stream.write_all_chunks(&mut chunks).await
}
