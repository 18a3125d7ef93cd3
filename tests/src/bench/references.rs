//! What this machine can do, measured in the same run by minimal programs that use no code of the
//! project: the figures that everything else is divided by.

mod automerge;
mod busy;
mod chain;
mod quic;
mod signatures;
mod sqlite;

use busy::{Timed, timed};
use quic::Ends;
use sqlite::Rows;

use super::report::{Against, Report, Target};
use super::statistics::{Spread, percentile};

/// A verification on a quiet machine, µs.
const VERIFY_US: f64 = 58.8;
/// An exchange there, µs.
const EXCHANGE_US: f64 = 32.0;
/// Bytes a second there.
const BYTES_PER_SECOND: f64 = 4e8;
/// Where the two ends of a connection run.
const ENDS: [&str; 2] = ["one thread", "two threads"];

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

    /// What the processor has to do for that on two cores if the writer's inserts are counted as work of it too, as
    /// [`References::sustained_per_second`] counts them, in ms.
    #[must_use]
    pub fn catch_up_processor_ms(&self, documents: f64) -> f64 {
        documents * (6.0 * (self.verify_us + self.insert_us) + self.document_us) / 2_000.0
    }
}

/// Measures all of them, each `runs` times.
pub fn measure(report: &mut Report, runs: usize) -> anyhow::Result<References> {
    let (sign, verify) = signatures(report, runs)?;
    let commits = timed(runs, sqlite::commits)?.values;
    let commit: Vec<f64> = commits.iter().map(|run| percentile(run, 50.0)).collect();
    let commit_p99: Vec<f64> = commits.iter().map(|run| percentile(run, 99.0)).collect();
    report.add("reference", "SQLite durable commit of one row, median", "µs", &commit, None);
    report.add("reference", "SQLite durable commit of one row, p99", "µs", &commit_p99, None);

    let inserts = timed(runs, sqlite::inserts)?;
    let insert: Vec<f64> = inserts.values.iter().map(|run| run.envelope_us).collect();
    let rows: Vec<f64> = inserts.values.iter().map(|run| run.rows_per_second).collect();
    report.add("reference", "SQLite, all rows of one envelope, batched", "µs", &insert, None);
    let what = "SQLite, rows of those a second";
    report.add("reference", what, "/s", &rows, at_least("10,000 a second", 10_000.0));
    inserts.explain(report, what, median(&rows) < 10_000.0);

    let documents = timed(runs, automerge::run)?;
    let what = "Automerge, document of six changes";
    report.add("reference", what, "µs", &documents.values, at_most("130 µs", 130.0));
    documents.explain(report, what, median(&documents.values) > 130.0);

    let (exchange, exchange_p99) = exchanges(report, runs)?;
    let bytes = bytes(report, runs)?;
    let references = References {
        sign_us: median(&sign),
        verify_us: median(&verify),
        commit_us: median(&commit),
        commit_p99_us: median(&commit_p99),
        insert_us: median(&insert),
        document_us: median(&documents.values),
        exchange_us: median(&exchange),
        exchange_p99_us: median(&exchange_p99),
        bytes_per_second: median(&bytes),
    };
    chains(report, &references, runs)?;
    Ok(references)
}

/// What two bare programs need for W1: so far is what can be reached on this machine from the sum of the parts.
fn chains(report: &mut Report, references: &References, runs: usize) -> anyhow::Result<()> {
    for (rows, stores) in [(Rows::One, "one row"), (Rows::Envelope, "the rows of an envelope")] {
        let runs = timed(runs, || chain::run(rows))?.values;
        for (percent, name, least) in
            [(50.0, "median", references.live_ms()), (99.0, "p99", references.live_p99_ms())]
        {
            let values: Vec<f64> = runs.iter().map(|run| percentile(run, percent) / 1_000.0).collect();
            let what = format!("the parts of W1 in a row by bare programs that store {stores}, {name}");
            let against = Against { what: format!("their sum, {name}"), value: least, target: None };
            report.add("reference", what, "ms", &values, Some(against));
        }
    }
    Ok(())
}

fn signatures(report: &mut Report, runs: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let timed = timed(runs, || Ok(signatures::run()))?;
    let sign: Vec<f64> = timed.values.iter().map(|run| run.sign_us).collect();
    let verify: Vec<f64> = timed.values.iter().map(|run| run.verify_us).collect();
    report.add("reference", "Ed25519 signature, one core", "µs", &sign, None);
    let what = "Ed25519 verify_strict, one core";
    report.add("reference", what, "µs", &verify, at_most("17,000 a second", VERIFY_US));
    timed.explain(report, what, median(&verify) > VERIFY_US);
    Ok((sign, verify))
}

/// The faster of both ends on one thread and on a thread each; the other is told.
fn exchanges(report: &mut Report, runs: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let of = |ends| timed(runs, move || quic::exchanges(ends));
    let (one, two) = (of(Ends::OneThread)?, of(Ends::TwoThreads)?);
    let medians = |runs: &Timed<Vec<f64>>, percent| -> Vec<f64> {
        runs.values.iter().map(|run| percentile(run, percent)).collect()
    };
    let is_one = median(&medians(&one, 50.0)) <= median(&medians(&two, 50.0));
    let (best, other) = if is_one { (one, two) } else { (two, one) };
    let [of_best, of_other] = if is_one { ENDS } else { [ENDS[1], ENDS[0]] };
    let (exchange, exchange_p99) = (medians(&best, 50.0), medians(&best, 99.0));
    let what = format!("QUIC loopback exchange, {of_best}, median");
    report.add("reference", what.clone(), "µs", &exchange, at_most("32 µs", EXCHANGE_US));
    report.add("reference", format!("QUIC loopback exchange, {of_best}, p99"), "µs", &exchange_p99, None);
    let slower = medians(&other, 50.0);
    report.add("reference", format!("the same, {of_other}, median"), "µs", &slower, None);
    let datagrams = timed(runs, quic::datagrams)?.values;
    let datagram: Vec<f64> = datagrams.iter().map(|run| percentile(run, 50.0)).collect();
    report.add("reference", "UDP alone, two threads that block, median", "µs", &datagram, None);
    let slow = median(&exchange) > EXCHANGE_US;
    best.explain(report, &what, slow);
    if slow {
        report.note(format!(
            "of a QUIC exchange, the kernel's part (a datagram there and back, a thread woken twice) is \
             {:.0} µs on this machine; QUIC sends three or four datagrams for it",
            median(&datagram)
        ));
    }
    Ok((exchange, exchange_p99))
}

fn bytes(report: &mut Report, runs: usize) -> anyhow::Result<Vec<f64>> {
    let of = |ends| timed(runs, move || quic::bytes(ends));
    let (one, two) = (of(Ends::OneThread)?, of(Ends::TwoThreads)?);
    let is_one = median(&one.values) >= median(&two.values);
    let [of_best, of_other] = if is_one { ENDS } else { [ENDS[1], ENDS[0]] };
    let (best, other) = if is_one { (one, two) } else { (two, one) };
    let what = format!("QUIC loopback bytes, {of_best}");
    report.add("reference", what.clone(), "B/s", &best.values, at_least("0.4 GB/s", BYTES_PER_SECOND));
    report.add("reference", format!("the same, {of_other}"), "B/s", &other.values, None);
    best.explain(report, &what, median(&best.values) < BYTES_PER_SECOND);
    Ok(best.values)
}

fn median(values: &[f64]) -> f64 {
    Spread::of(values).median
}

/// How fast a quiet machine of two cores was: a slower reference is this machine's noise.
fn at_most(what: &str, value: f64) -> Option<Against> {
    Some(Against { what: format!("a quiet machine's {what}"), value, target: Some(Target::AtMost(1.0)) })
}

fn at_least(what: &str, value: f64) -> Option<Against> {
    Some(Against { what: format!("a quiet machine's {what}"), value, target: Some(Target::AtLeast(1.0)) })
}
