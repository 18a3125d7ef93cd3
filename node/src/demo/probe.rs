//! Reads the precinct's coverage table over HTTP, as anybody may.

use config::precinct::SouthPrecinct;
use protocol::ids::Code;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::plan::Site;

/// More than any coverage table has, in bytes.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Row {
    pub code: Code,
    pub registered_addresses: u64,
    pub population: u64,
    pub target: u64,
    pub missing: u64,
    pub compliance_percent: f64,
    pub reports: u64,
}

impl Row {
    /// True if it equals the published row of its town, to the digit.
    pub fn is_as_published(self) -> bool {
        let table = SouthPrecinct::first_month();
        table.row(self.code).is_some_and(|row| {
            (row.addresses, row.population, row.target, row.missing, row.reports)
                == (self.registered_addresses, self.population, self.target, self.missing, self.reports)
                && format!("{:.1}", self.compliance_percent)
                    == format!("{}.{}", row.compliance_tenths / 10, row.compliance_tenths % 10)
        })
    }
}

#[derive(Deserialize)]
struct Table {
    rows: Vec<Row>,
}

/// The rows of a month; none while the node does not answer with a table.
pub(super) async fn coverage(site: &Site, month: u32) -> Option<Vec<Row>> {
    let mut stream = TcpStream::connect(site.address()).await.ok()?;
    let host = format!("{}.localhost:{}", site.slug, site.port);
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    let request = format!(
        "GET /api/v1/coverage?period={month} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.ok()?;
    body(&answer)
}

fn body(answer: &[u8]) -> Option<Vec<Row>> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?;
    if status != "200" {
        return None;
    }
    serde_json::from_str::<Table>(body).ok().map(|table| table.rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_row_is_recognised_and_any_other_is_not() {
        let row = r#"{"rows":[{"code":"CL-13130","name":"San Miguel","registered_addresses":7733,
            "population":107954,"target":10796,"missing":3063,"compliance_percent":71.6,"reports":956,"as_of_ms":1}]}"#;
        let answer = format!("HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{row}");
        let rows = body(answer.as_bytes()).unwrap();
        assert!(rows[0].is_as_published());
        assert!(!Row { registered_addresses: 7_734, ..rows[0] }.is_as_published());
        assert!(!Row { compliance_percent: 71.7, ..rows[0] }.is_as_published());
        assert_eq!(body(b"HTTP/1.0 503 Busy\r\n\r\n{}"), None);
    }
}
