//! Reading a node's event stream.

use futures_util::{Stream, StreamExt as _};
use std::pin::Pin;

use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;

use super::waiting::DEADLINE;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its growing number.
    pub id: Option<u64>,
    /// `incident`, `figures`, `peers`.
    pub name: String,
    /// What it says.
    pub data: Value,
}

/// A stream of events.
#[expect(missing_debug_implementations, reason = "it holds a stream, which has nothing to print")]
pub struct Events {
    bytes: Pin<Box<dyn Stream<Item = Vec<u8>> + Send>>,
    unread: String,
}

impl Events {
    /// Reads the body of this answer.
    pub fn read(response: Response) -> Events {
        let bytes = response.bytes_stream();
        let pieces = bytes.take_while(|piece| std::future::ready(piece.is_ok()));
        let pieces = pieces.map(|piece| piece.map(|bytes| bytes.to_vec()).unwrap_or_default());
        Events { bytes: Box::pin(pieces), unread: String::new() }
    }

    /// The next event; `None` once the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.unread.find("\n\n") {
                let rest = self.unread.split_off(end + 2);
                let block = std::mem::replace(&mut self.unread, rest);
                if let Some(event) = parse(&block) {
                    return Some(event);
                }
                continue;
            }
            let piece = timeout(DEADLINE, self.bytes.next()).await.expect("an event in time")?;
            self.unread.push_str(&String::from_utf8(piece).expect("events are UTF-8"));
        }
    }

    /// Reads on until an event fits.
    pub async fn until(&mut self, fits: impl Fn(&Event) -> bool) -> Event {
        timeout(DEADLINE, async {
            loop {
                let event = self.next().await.expect("the stream goes on");
                if fits(&event) {
                    return event;
                }
            }
        })
        .await
        .expect("the event in time")
    }
}

/// A block of lines; comments and empty blocks are no events.
fn parse(block: &str) -> Option<Event> {
    let mut event = Event { id: None, name: "message".to_owned(), data: Value::Null };
    let mut any = false;
    for line in block.lines() {
        let Some((field, value)) = line.split_once(':') else { continue };
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => event.id = value.parse().ok(),
            "event" => event.name = value.to_owned(),
            "data" => {
                event.data = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
                any = true;
            }
            _ => {}
        }
    }
    any.then_some(event)
}
