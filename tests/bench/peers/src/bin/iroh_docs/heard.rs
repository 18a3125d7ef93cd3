//! The subscriber of an iroh-docs namespace: an entry counts once its value has come, and is told once
//! both are on the disk. Entries that come together are flushed together.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::{Stream, StreamExt as _};
use iroh_blobs::Hash;
use iroh_docs::ContentStatus;
use iroh_docs::engine::LiveEvent;
use tests_peers::heard::Heard;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Disk;

/// So many entries in one flush are a flood.
const FLOOD: usize = 8;
/// In a flood, entries are gathered so long before the next flush.
const GATHER_TIME: Duration = Duration::from_millis(250);
/// In a flood, no entry for so long is its end.
const QUIET_TIME: Duration = Duration::from_millis(10);

type Events = Pin<Box<dyn Stream<Item = anyhow::Result<LiveEvent>> + Send>>;

/// Listens from now on, and returns once the other end is a neighbour and the first comparison is over.
pub async fn listen(mut events: Events, disk: Option<Disk>, heard: Heard) -> anyhow::Result<()> {
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let (ready, is_ready) = oneshot::channel();
    tokio::spawn(tell(arrivals, disk, heard));
    tokio::spawn(async move {
        let (mut neighbour, mut compared, mut ready) = (false, false, Some(ready));
        let mut awaited: HashMap<Hash, String> = HashMap::new();
        while let Some(event) = events.next().await {
            let here = match event {
                Ok(LiveEvent::InsertRemote { entry, content_status, .. }) => {
                    let name = document(entry.key()).to_owned();
                    if content_status == ContentStatus::Complete {
                        Some(name)
                    } else {
                        awaited.insert(entry.content_hash(), name);
                        None
                    }
                }
                Ok(LiveEvent::ContentReady { hash }) => awaited.remove(&hash),
                Ok(LiveEvent::NeighborUp(_)) => {
                    neighbour = true;
                    None
                }
                Ok(LiveEvent::SyncFinished(_)) => {
                    compared = true;
                    None
                }
                Ok(_) => None,
                Err(error) => {
                    eprintln!("the subscription failed: {error:#}");
                    return;
                }
            };
            if let Some(name) = here
                && arrived.send(name).is_err()
            {
                return;
            }
            if neighbour
                && compared
                && let Some(ready) = ready.take()
            {
                let _gone = ready.send(());
            }
        }
    });
    is_ready.await.context("the subscription ended")
}

async fn tell(mut arrivals: mpsc::UnboundedReceiver<String>, disk: Option<Disk>, heard: Heard) {
    let mut flood = false;
    while let Some(first) = arrivals.recv().await {
        let mut names = vec![first];
        let until = Instant::now() + GATHER_TIME;
        while disk.is_some() && flood {
            let next_until = until.min(Instant::now() + QUIET_TIME);
            match tokio::time::timeout_at(next_until, arrivals.recv()).await {
                Ok(Some(name)) => names.push(name),
                Ok(None) | Err(_) => break,
            }
        }
        while let Ok(name) = arrivals.try_recv() {
            names.push(name);
        }
        if let Some(disk) = &disk
            && let Err(error) = disk.flush().await
        {
            eprintln!("a flush failed: {error:#}");
            return;
        }
        flood = names.len() >= FLOOD;
        for name in names {
            heard.stored(&name, 1);
        }
    }
}

/// The document that an entry's key names.
pub fn document(key: &[u8]) -> &str {
    let key = std::str::from_utf8(key).unwrap_or("not text");
    key.split_once('/').map_or(key, |(document, _)| document)
}
