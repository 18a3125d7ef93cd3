//! Lanes: prioritised one-way streams between two nodes, each with a bounded queue in front of it, so
//! that an alarm never waits behind catching up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::frame;
use crate::limits::{FRAME_OVERHEAD_BYTES, FRAMES_PER_WRITE_MAX, LANE_QUEUE_BYTES_MAX};
use crate::peers::PeerCounters;

pub use protocol::message::Lane;

/// First byte of the bidirectional stream that the accepting end opens.
pub(crate) const CONTROL_STREAM: u8 = 0;
/// First byte of a bidirectional stream that asks for a blob.
pub(crate) const BLOB_STREAM: u8 = 5;

/// Priority of the control stream: before every lane.
pub(crate) const CONTROL_PRIORITY: i32 = 5;
/// Priority of a blob's pieces: after every lane.
pub(crate) const BLOB_PRIORITY: i32 = 0;

/// First byte of a lane's stream.
pub(crate) fn number(lane: Lane) -> u8 {
    match lane {
        Lane::Urgent => 1,
        Lane::Normal => 2,
        Lane::Backfill => 3,
        Lane::Blobs => 4,
    }
}

/// The lane that a stream's first byte names.
pub(crate) fn of_number(first: u8) -> Option<Lane> {
    Lane::ALL.into_iter().find(|lane| number(*lane) == first)
}

/// Its place in arrays by lane.
pub(crate) fn index(lane: Lane) -> usize {
    usize::from(number(lane)) - 1
}

fn priority(lane: Lane) -> i32 {
    CONTROL_PRIORITY - i32::from(number(lane))
}

/// The queue of a lane is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue of this lane is full")]
pub(crate) struct LaneFull;

/// The sending end of one lane's queue. Bounded by bytes; never waits.
#[derive(Debug)]
pub(crate) struct LaneQueue {
    frames: mpsc::UnboundedSender<Bytes>,
    queued_bytes: Arc<AtomicUsize>,
}

impl LaneQueue {
    /// A queue and what the lane's writer takes from.
    pub fn new() -> (Self, LaneOutlet) {
        // The channel itself has no bound: `queued_bytes` is checked before every frame instead, as a
        // count of frames would bound nothing that matters.
        let (frames, outlet) = mpsc::unbounded_channel();
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        (Self { frames, queued_bytes: queued_bytes.clone() }, LaneOutlet { frames: outlet, queued_bytes })
    }

    /// Queues a frame, or says that the queue is full. A frame for a connection that has just ended
    /// is dropped: its end is already on the way to the loop.
    pub fn push(&self, frame: Bytes) -> Result<(), LaneFull> {
        let cost = cost(&frame);
        if self.queued_bytes.load(Ordering::Relaxed) + cost > LANE_QUEUE_BYTES_MAX {
            return Err(LaneFull);
        }
        self.queued_bytes.fetch_add(cost, Ordering::Relaxed);
        _ = self.frames.send(frame);
        Ok(())
    }

    /// Bytes waiting, overhead included.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed)
    }
}

/// The writer's end of a lane's queue.
#[derive(Debug)]
pub(crate) struct LaneOutlet {
    frames: mpsc::UnboundedReceiver<Bytes>,
    queued_bytes: Arc<AtomicUsize>,
}

impl LaneOutlet {
    /// Opens the lane's stream and writes what is queued until the queue or the connection ends.
    pub async fn write_all(
        mut self,
        lane: Lane,
        connection: quinn::Connection,
        counters: Arc<PeerCounters>,
    ) -> Result<(), quinn::WriteError> {
        let mut stream = connection.open_uni().await?;
        _ = stream.set_priority(priority(lane));
        stream.write_all(&[number(lane)]).await?;
        let mut batch = Vec::with_capacity(FRAMES_PER_WRITE_MAX);
        loop {
            if self.frames.recv_many(&mut batch, FRAMES_PER_WRITE_MAX).await == 0 {
                return Ok(());
            }
            let bytes: usize = batch.iter().map(Bytes::len).sum();
            let freed: usize = batch.iter().map(cost).sum();
            let frames = batch.len();
            let mut chunks: Vec<Bytes> =
                batch.drain(..).flat_map(|frame| [frame::prefix(&frame), frame]).collect();
            let written = stream.write_all_chunks(&mut chunks).await;
            self.queued_bytes.fetch_sub(freed, Ordering::Relaxed);
            written?;
            counters.sent(frames, bytes);
        }
    }
}

fn cost(frame: &Bytes) -> usize {
    frame.len() + FRAME_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_byte_names_one_lane() {
        for lane in Lane::ALL {
            assert_eq!(of_number(number(lane)), Some(lane));
        }
        for other in [CONTROL_STREAM, BLOB_STREAM, 6, 255] {
            assert_eq!(of_number(other), None);
        }
        assert!(Lane::ALL.is_sorted_by(|a, b| priority(*a) > priority(*b)));
    }

    #[test]
    fn full_queue_refuses_and_small_frames_count_too() {
        let (queue, _outlet) = LaneQueue::new();
        let tiny = Bytes::from_static(b"x");
        let mut taken = 0;
        while queue.push(tiny.clone()).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, LANE_QUEUE_BYTES_MAX / (FRAME_OVERHEAD_BYTES + 1));
    }
}
