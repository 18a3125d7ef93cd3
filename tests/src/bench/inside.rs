//! Looking into a node from outside: its database, read only, and its process, as the system counts it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::statistics::count;

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

    /// Bytes of the envelopes of incidents after this number.
    pub fn envelope_bytes_after(&self, number: u64) -> anyhow::Result<f64> {
        let sql = "SELECT coalesce(sum(length(bytes)), 0) FROM envelope
             WHERE number > ?1 AND doc IN (SELECT doc FROM incident)";
        let bytes: i64 = self.db.query_row(sql, [i64::try_from(number)?], |row| row.get(0))?;
        Ok(count(usize::try_from(bytes)?))
    }

    /// Bytes of words and photos of incidents.
    pub fn word_bytes(&self) -> anyhow::Result<f64> {
        Ok(count(usize::try_from(self.number("SELECT coalesce(sum(bytes), 0) FROM blob")?)?))
    }

    /// Envelopes of incidents after this number.
    pub fn envelopes_after(&self, number: u64) -> anyhow::Result<u64> {
        self.number_after(
            "SELECT count(*) FROM envelope WHERE number > ?1 AND doc IN (SELECT doc FROM incident)",
            number,
        )
    }

    /// When the last envelope of an incident after this number was stored, in ms since 1970.
    pub fn last_stored_ms(&self, number: u64) -> anyhow::Result<u64> {
        self.number_after(
            "SELECT coalesce(max(received_ms), 0) FROM envelope
             WHERE number > ?1 AND doc IN (SELECT doc FROM incident)",
            number,
        )
    }

    /// Heads of every incident.
    pub fn heads(&self) -> anyhow::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let sql = "SELECT id, heads FROM document JOIN incident ON incident.doc = document.id ORDER BY id";
        let mut select = self.db.prepare(sql)?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// So many incidents, in hex, from all over the ids: those next to each other would be cheaper to find
    /// again than those that really change.
    pub fn spread(&self, wanted: usize) -> anyhow::Result<Vec<String>> {
        let mut select =
            self.db.prepare("SELECT lower(hex(doc)) FROM incident WHERE doc >= ?1 ORDER BY doc")?;
        let mut found = std::collections::BTreeSet::new();
        for place in 0..wanted {
            let first = u16::try_from(place * 0x1_0000 / wanted)?.to_be_bytes();
            // The next one that was not found yet; behind the last comes the first.
            for from in [first, [0, 0]] {
                let mut rows = select.query([from])?;
                let mut new = false;
                while !new && let Some(row) = rows.next()? {
                    new = found.insert(row.get::<_, String>(0)?);
                }
                if new {
                    break;
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    fn number_after(&self, sql: &str, number: u64) -> anyhow::Result<u64> {
        let number: i64 = self.db.query_row(sql, [i64::try_from(number)?], |row| row.get(0))?;
        Ok(u64::try_from(number)?)
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
    /// Time of the processor, ms, of the threads that are alive.
    pub processor_ms: f64,
    /// How long those threads could have run but waited for a processor, ms.
    pub waited_ms: f64,
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
    let (processor_ms, waited_ms) = scheduled_ms(process)?;
    Ok(Usage { memory_mib: mib("VmRSS"), memory_peak_mib: mib("VmHWM"), processor_ms, waited_ms })
}

/// Time on a processor and time waiting for one, of all threads that are alive, to the nanosecond.
fn scheduled_ms(process: u32) -> anyhow::Result<(f64, f64)> {
    let (mut ran, mut waited) = (0.0, 0.0);
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end while it is looked at.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let mut fields = text.split_whitespace();
        let mut next = || fields.next().unwrap_or_default().parse::<f64>();
        ran += next()?;
        waited += next()?;
    }
    Ok((ran / 1e6, waited / 1e6))
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
