//! A lean HTTP client for load: connections stay open, as those of a proxy in front of a node do, and a
//! request costs its sender little, because sender and node share one machine.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use ::tests::cluster::Person;
use ::tests::cluster::places::Place;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes of an answer's head that are read before giving up.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Open connections to one node.
pub struct Wire {
    address: SocketAddr,
    idle: Mutex<Vec<TcpStream>>,
}

impl Wire {
    /// To the node that serves `base`, such as `http://127.0.0.1:8443`.
    pub fn to(base: &str) -> anyhow::Result<Wire> {
        let address = base.strip_prefix("http://").unwrap_or(base).parse()?;
        Ok(Wire { address, idle: Mutex::default() })
    }

    /// Sends a whole request and reads the whole answer; its status.
    pub async fn send(&self, request: &[u8]) -> anyhow::Result<u16> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(request).await?;
        let status = read_answer(&mut stream).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        Ok(status)
    }
}

/// Somebody who raises alerts.
pub struct Poster {
    /// A request as their own page sends it, without its length and its body.
    head: String,
}

impl Poster {
    /// Somebody who is signed in.
    pub fn of(person: &Person) -> Poster {
        let (base, cookie) = (&person.base, person.cookie.as_deref().unwrap_or_default());
        let host = base.strip_prefix("http://").unwrap_or(base);
        let head = format!(
            "POST /api/v1/alerts HTTP/1.1\r\nHost: {host}\r\nOrigin: {base}\r\nSec-Fetch-Site: same-origin\r\n\
             Cookie: {cookie}\r\nContent-Type: application/json\r\n"
        );
        Poster { head }
    }

    /// Raises an alert at this place; the status of the answer.
    pub async fn post(&self, wire: &Wire, at: Place) -> anyhow::Result<u16> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
        let alert = serde_json::json!({
            "alert": hex::encode(secret), "kind": "robbery", "point": at.json(),
            "text": "Two people on a motorbike took a bag and left to the south",
        });
        let body = alert.to_string();
        let request = format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        wire.send(request.as_bytes()).await
    }
}

async fn read_answer(stream: &mut TcpStream) -> anyhow::Result<u16> {
    let mut read = Vec::with_capacity(1_024);
    loop {
        anyhow::ensure!(stream.read_buf(&mut read).await? > 0, "the node closed the connection");
        if let Some((status, whole)) = parse(&read)? {
            let mut left = whole.saturating_sub(read.len());
            let mut rest = [0; 4_096];
            while left > 0 {
                let most = left.min(rest.len());
                let part = rest.get_mut(..most).unwrap_or_default();
                let got = stream.read(part).await?;
                anyhow::ensure!(got > 0, "the node closed the connection within an answer");
                left -= got;
            }
            return Ok(status);
        }
        anyhow::ensure!(read.len() < HEAD_BYTES_MAX, "the head of the answer does not end");
    }
}

/// Status and length of the whole answer, once its head is there.
fn parse(read: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(read.get(..end).unwrap_or_default())?;
    let status = head.split(' ').nth(1).unwrap_or_default().parse()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.ok_or_else(|| anyhow::anyhow!("an answer without its length"))?;
    Ok(Some((status, end + 4 + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_to_the_end_that_its_head_names() {
        let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(parse(answer).unwrap(), Some((201, answer.len())));
        assert_eq!(parse(answer.get(..20).unwrap()).unwrap(), None);
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
