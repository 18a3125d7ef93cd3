//! When alerts entered `desk`, as the node itself logged it: what lies before is HTTP, which the parts that
//! a live alert is held against do not have. Node and bench read the same machine's clock.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ::tests::cluster::process::log_of;

/// What nodes are started by, so that they log it.
pub const LOGGED: [&str; 2] = ["env", "CUADRA_LOG=info,cuadra::timing=debug"];
/// What is in every such line.
const MARK: &str = " cuadra::timing: ";
const DAY_MS: f64 = 24.0 * 60.0 * 60.0 * 1_000.0;

/// The log of one node, read on from where it was read to before.
pub struct DeskLog {
    path: PathBuf,
    read: usize,
}

impl DeskLog {
    /// Of the node in this folder, from now on.
    pub fn from_now(folder: &Path) -> anyhow::Result<DeskLog> {
        let path = log_of(folder);
        let read = std::fs::read(&path)?.len();
        Ok(DeskLog { path, read })
    }

    /// When each alert entered `desk` since it was last asked, in ms of the day.
    pub fn entered(&mut self) -> anyhow::Result<Vec<f64>> {
        let bytes = std::fs::read(&self.path)?;
        let text = String::from_utf8_lossy(bytes.get(self.read..).unwrap_or_default()).into_owned();
        self.read = bytes.len();
        text.lines().filter(|line| line.contains(MARK)).map(ms_of_day).collect()
    }
}

/// Now, in ms of the day.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs_f64() * 1_000.0) % DAY_MS
}

/// From one time of the day to a later one, over midnight too.
pub fn between(from: f64, to: f64) -> f64 {
    if to >= from { to - from } else { to + DAY_MS - from }
}

/// The time of a line that begins `2026-11-27T08:06:18.123456Z`.
fn ms_of_day(line: &str) -> anyhow::Result<f64> {
    let time = line.split_once('T').and_then(|(_, rest)| rest.split_once('Z')).map(|(time, _)| time);
    let parts: Vec<f64> = time
        .unwrap_or_default()
        .split(':')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| anyhow::anyhow!("no time begins this line: {line}"))?;
    match parts.as_slice() {
        [hours, minutes, seconds] => Ok(((hours * 60.0 + minutes) * 60.0 + seconds) * 1_000.0),
        _ => anyhow::bail!("no time begins this line: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_line_is_read_to_the_microsecond_and_midnight_is_no_day_long() {
        let line = "2026-11-27T01:00:02.000250Z DEBUG cuadra::timing: an alert enters the desk";
        assert!((ms_of_day(line).unwrap() - 3_602_000.25).abs() < 1e-6);
        assert!(ms_of_day("not a line").is_err());
        assert!((between(DAY_MS - 1.0, 2.0) - 3.0).abs() < 1e-9);
    }
}
