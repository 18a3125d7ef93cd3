//! What this machine can do, measured in the same run by minimal programs that use no code of the
//! project: the figures that everything else is divided by.

mod automerge;
mod quic;
mod signatures;
mod sqlite;

use super::report::{Against, Report, Target};
use super::statistics::{Spread, percentile};

/// Each reference's median, in the units of its name.
#[derive(Debug, Clone, Copy)]
pub struct References {
    /// One Ed25519 signature, µs.
    pub sign_us: f64,
    /// One `verify_strict` on one core, µs.
    pub verify_us: f64,
    /// One durable commit of one row, µs.
    pub commit_us: f64,
    /// The same, 99th percentile.
    pub commit_p99_us: f64,
    /// All rows of one envelope, batched by one writer, µs.
    pub insert_us: f64,
    /// Building and applying the six changes of a document, µs.
    pub document_us: f64,
    /// A small message there and back, µs.
    pub exchange_us: f64,
    /// The same, 99th percentile.
    pub exchange_p99_us: f64,
    /// Bytes a second over one stream.
    pub bytes_per_second: f64,
}

impl References {
    /// What one operation from desk to desk cannot do without, in ms: sign, verify, two documents,
    /// two durable commits, one exchange.
    #[must_use]
    pub fn live_ms(&self) -> f64 {
        let processor = self.sign_us + self.verify_us + 2.0 * self.document_us;
        (processor + 2.0 * self.commit_us + self.exchange_us) / 1_000.0
    }

    /// The same of the references' 99th percentiles, in ms.
    #[must_use]
    pub fn live_p99_ms(&self) -> f64 {
        let processor = self.sign_us + self.verify_us + 2.0 * self.document_us;
        (processor + 2.0 * self.commit_p99_us + self.exchange_p99_us) / 1_000.0
    }

    /// Operations a second from desk to desk on two cores.
    #[must_use]
    pub fn sustained_per_second(&self) -> f64 {
        2e6 / (self.sign_us + self.verify_us + 2.0 * self.document_us + 2.0 * self.insert_us)
    }

    /// Catching up with so many documents of six envelopes and so many bytes, in ms: the largest of one
    /// writer's inserts, the processor's work on two cores, and the bytes.
    #[must_use]
    pub fn catch_up_ms(&self, documents: f64, bytes: f64) -> f64 {
        let inserts = documents * 6.0 * self.insert_us;
        let processor = documents * (6.0 * self.verify_us + self.document_us) / 2.0;
        let wire = bytes / self.bytes_per_second * 1e6;
        inserts.max(processor).max(wire) / 1_000.0
    }
}

/// Measures all of them, each `runs` times.
pub fn measure(report: &mut Report, runs: usize) -> anyhow::Result<References> {
    let signatures: Vec<_> = (0..runs).map(|_| signatures::run()).collect();
    let sign: Vec<f64> = signatures.iter().map(|run| run.sign_us).collect();
    let verify: Vec<f64> = signatures.iter().map(|run| run.verify_us).collect();
    report.add("reference", "Ed25519 signature, one core", "µs", &sign, None);
    report.add(
        "reference",
        "Ed25519 verify_strict, one core",
        "µs",
        &verify,
        at_most("17,000 a second", 58.8),
    );

    let commits = repeat(runs, sqlite::commits)?;
    let commit: Vec<f64> = commits.iter().map(|run| percentile(run, 50.0)).collect();
    let commit_p99: Vec<f64> = commits.iter().map(|run| percentile(run, 99.0)).collect();
    report.add("reference", "SQLite durable commit of one row, median", "µs", &commit, None);
    report.add("reference", "SQLite durable commit of one row, p99", "µs", &commit_p99, None);

    let inserts = repeat(runs, sqlite::inserts)?;
    let insert: Vec<f64> = inserts.iter().map(|run| run.envelope_us).collect();
    let rows: Vec<f64> = inserts.iter().map(|run| run.rows_per_second).collect();
    report.add("reference", "SQLite, all rows of one envelope, batched", "µs", &insert, None);
    report.add(
        "reference",
        "SQLite, rows of those a second",
        "/s",
        &rows,
        at_least("10,000 a second", 10_000.0),
    );

    let document = repeat(runs, automerge::run)?;
    report.add("reference", "Automerge, document of six changes", "µs", &document, at_most("130 µs", 130.0));

    let exchanges = repeat(runs, quic::exchanges)?;
    let exchange: Vec<f64> = exchanges.iter().map(|run| percentile(run, 50.0)).collect();
    let exchange_p99: Vec<f64> = exchanges.iter().map(|run| percentile(run, 99.0)).collect();
    report.add("reference", "QUIC loopback exchange, median", "µs", &exchange, at_most("32 µs", 32.0));
    report.add("reference", "QUIC loopback exchange, p99", "µs", &exchange_p99, None);
    let bytes = repeat(runs, quic::bytes)?;
    report.add("reference", "QUIC loopback bytes", "B/s", &bytes, at_least("0.4 GB/s", 4e8));

    let median = |values: &[f64]| Spread::of(values).median;
    Ok(References {
        sign_us: median(&sign),
        verify_us: median(&verify),
        commit_us: median(&commit),
        commit_p99_us: median(&commit_p99),
        insert_us: median(&insert),
        document_us: median(&document),
        exchange_us: median(&exchange),
        exchange_p99_us: median(&exchange_p99),
        bytes_per_second: median(&bytes),
    })
}

fn repeat<T>(runs: usize, run: fn() -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    (0..runs).map(|_| run()).collect()
}

/// How fast a quiet machine of two cores was: a slower reference is this machine's noise.
fn at_most(what: &str, value: f64) -> Option<Against> {
    Some(Against { what: format!("a quiet machine's {what}"), value, target: Some(Target::AtMost(1.0)) })
}

fn at_least(what: &str, value: f64) -> Option<Against> {
    Some(Against { what: format!("a quiet machine's {what}"), value, target: Some(Target::AtLeast(1.0)) })
}
