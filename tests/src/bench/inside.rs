//! Looking into a node from outside: its database, read only, and its process, as the system counts it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::statistics::count;

/// Clock ticks a second in /proc, on every Linux that we know.
const TICKS_PER_SECOND: f64 = 100.0;

/// A node's database.
pub struct Database {
    db: Connection,
}

impl Database {
    /// Of the node with this folder of data.
    pub fn open(data: &Path) -> anyhow::Result<Database> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(data.join("node.db"), flags)?;
        db.busy_timeout(Duration::from_secs(5))?;
        Ok(Database { db })
    }

    /// Envelopes of incidents.
    pub fn envelopes(&self) -> anyhow::Result<u64> {
        self.number("SELECT count(*) FROM envelope WHERE doc IN (SELECT doc FROM incident)")
    }

    /// Number of the newest envelope of any kind; growing, and cheap to ask.
    pub fn newest(&self) -> anyhow::Result<u64> {
        self.number("SELECT coalesce(max(number), 0) FROM envelope")
    }

    /// Alerts that people here raised.
    pub fn alerts(&self) -> anyhow::Result<u64> {
        self.number("SELECT count(*) FROM alert")
    }

    /// Bytes of the envelopes after this number.
    pub fn envelope_bytes_after(&self, number: u64) -> anyhow::Result<f64> {
        let sql = "SELECT coalesce(sum(length(bytes)), 0) FROM envelope WHERE number > ?1";
        let bytes: i64 = self.db.query_row(sql, [i64::try_from(number)?], |row| row.get(0))?;
        Ok(count(usize::try_from(bytes)?))
    }

    /// When the last envelope was stored, in ms since 1970.
    pub fn last_stored_ms(&self) -> anyhow::Result<u64> {
        self.number(
            "SELECT coalesce(max(received_ms), 0) FROM envelope WHERE doc IN (SELECT doc FROM incident)",
        )
    }

    /// Heads of every incident.
    pub fn heads(&self) -> anyhow::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let sql = "SELECT id, heads FROM document JOIN incident ON incident.doc = document.id ORDER BY id";
        let mut select = self.db.prepare(sql)?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Some incidents, in hex.
    pub fn incidents(&self, most: usize) -> anyhow::Result<Vec<String>> {
        let mut select = self.db.prepare("SELECT lower(hex(doc)) FROM incident ORDER BY doc LIMIT ?1")?;
        let rows = select.query_map([i64::try_from(most)?], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn number(&self, sql: &str) -> anyhow::Result<u64> {
        let number: i64 = self.db.query_row(sql, [], |row| row.get(0))?;
        Ok(u64::try_from(number)?)
    }
}

/// Fails unless two nodes hold the same incidents with the same heads, and as many as there should be.
pub fn equal(one: &Database, other: &Database, incidents: usize) -> anyhow::Result<()> {
    let (ours, theirs) = (one.heads()?, other.heads()?);
    anyhow::ensure!(ours.len() == incidents, "{} incidents instead of {incidents}", ours.len());
    anyhow::ensure!(ours == theirs, "the two nodes do not hold the same");
    Ok(())
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Memory in use now, MiB.
    pub memory_mib: f64,
    /// Most memory that was ever in use, MiB.
    pub memory_peak_mib: f64,
    /// Time of the processor, ms, in steps of ten.
    pub processor_ms: f64,
}

/// Of this process.
pub fn usage(process: u32) -> anyhow::Result<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let mib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib =
            line.and_then(|line| line.trim_start_matches(':').split_whitespace().next()?.parse::<f64>().ok());
        kib.map_or(f64::NAN, |kib| kib / 1024.0)
    };
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may hold spaces: state is the first, user and system time the 12th and 13th.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks =
        |place: usize| fields.split_whitespace().nth(place).and_then(|field| field.parse::<f64>().ok());
    let ticks = ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default();
    Ok(Usage {
        memory_mib: mib("VmRSS"),
        memory_peak_mib: mib("VmHWM"),
        processor_ms: ticks * 1_000.0 / TICKS_PER_SECOND,
    })
}

/// Looks until `probe` gives something; an error with `what` when it is too late.
pub async fn until<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let began = tokio::time::Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(found) = probe().await? {
            return Ok(found);
        }
        anyhow::ensure!(began.elapsed() < within, "not within {} s: {what}", within.as_secs());
    }
}
