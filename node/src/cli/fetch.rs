//! Fetching a roster over plain HTTP. Nothing about the way is trusted: every version proves itself by its
//! signatures, and the first one by the id that a person compares.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// A roster file from elsewhere; more is not read.
const FETCHED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// For connecting, and for each wait for more.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// Where a node serves its roster.
const PLACE: &str = "/federation.roster";

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// Only plain HTTP is spoken here.
    #[error("only http:// addresses can be fetched; save others to a file first")]
    Address,
    /// The network.
    #[error("the network failed")]
    Network(#[from] io::Error),
    /// Another answer than a file.
    #[error("the answer was: {0}")]
    Answer(String),
    /// Larger than a roster can be.
    #[error("the answer is longer than a roster can be")]
    TooLong,
}

/// True for what is no path.
pub(super) fn is_address(text: &str) -> bool {
    text.contains("://")
}

/// Gets a file; an address without a path means the roster of the node there.
pub(super) fn fetch(address: &str) -> Result<Vec<u8>, FetchError> {
    let rest = address.strip_prefix("http://").ok_or(FetchError::Address)?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.len() < 2 { PLACE } else { path };
    let dialled = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    if host.is_empty() || address.chars().any(|c| c.is_control() || c == ' ') {
        return Err(FetchError::Address);
    }
    let target = dialled.to_socket_addrs()?.next().ok_or(FetchError::Address)?;
    let mut stream = TcpStream::connect_timeout(&target, WAIT_MAX)?;
    stream.set_read_timeout(Some(WAIT_MAX))?;
    stream.set_write_timeout(Some(WAIT_MAX))?;
    // HTTP/1.0: the answer ends where the connection ends, and comes in one piece.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(FETCHED_BYTES_MAX + 1).read_to_end(&mut answer)?;
    if answer.len() as u64 > FETCHED_BYTES_MAX {
        return Err(FetchError::TooLong);
    }
    body(&answer).map(<[u8]>::to_vec)
}

/// What follows the headers of an answer that is a file.
fn body(answer: &[u8]) -> Result<&[u8], FetchError> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len());
    let (headers, body) = answer.split_at(end);
    let first = headers.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first).into_owned();
    let mut words = first.split_whitespace();
    let good = words.next().is_some_and(|word| word.starts_with("HTTP/1.")) && words.next() == Some("200");
    if good { Ok(body.get(4..).unwrap_or_default()) } else { Err(FetchError::Answer(first)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_its_body_and_anything_but_a_file_is_told() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nroster").unwrap(), b"roster");
        let refused = body(b"HTTP/1.1 404 Not Found\r\n\r\nno").unwrap_err();
        assert_eq!(refused.to_string(), "the answer was: HTTP/1.1 404 Not Found");
        assert!(matches!(body(b"rubbish"), Err(FetchError::Answer(_))));
        assert!(matches!(body(b""), Err(FetchError::Answer(_))));
    }

    #[test]
    fn only_plain_http_is_fetched() {
        for address in ["https://a.example/x", "file:///etc/passwd", "http://", "http://a b/"] {
            assert!(is_address(address));
            assert!(matches!(fetch(address), Err(FetchError::Address)), "{address}");
        }
        assert!(!is_address("federation.roster"));
    }
}
