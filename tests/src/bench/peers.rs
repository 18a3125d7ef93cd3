//! Others beside it: programs on published crates (`tests/bench/peers`) do W1, W2 and W3, and each of their
//! figures is held against the project's own of the same run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::report::{Against, Report};

/// Where the workspace of the programs lies, below the project's.
const WORKSPACE: &str = "tests/bench/peers";
/// A program stops its own works. One that does not even do that is stopped after so many times their bound.
const PATIENCE: u64 = 40;

/// A system to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum System {
    /// Automerge's own sync protocol, documents in SQLite
    Automerge,
    /// samod, over TCP, its storage in SQLite
    Samod,
    /// iroh-docs, in its own stores
    IrohDocs,
    /// PostgreSQL's logical replication; left out where it is not installed
    Postgres,
}

/// What to compare with, and in which sizes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options of the work «peers»")]
pub struct Peers {
    /// Only these systems
    #[arg(id = "peer_systems", long = "peer", value_enum, value_name = "SYSTEM")]
    systems: Vec<System>,
    /// Only these works: W1, W2, W3
    #[arg(id = "peer_works", long = "peer-work", value_enum, value_name = "WORK", ignore_case = true)]
    works: Vec<Shared>,
    /// W2: documents of six changes that one side lacks
    #[arg(id = "peer_missing", long = "peer-missing", value_name = "DOCUMENTS", default_value_t = 10_000)]
    pub missing: usize,
    /// W3: documents that both sides hold
    #[arg(id = "peer_shared", long = "peer-shared", value_name = "DOCUMENTS", default_value_t = 50_000)]
    pub shared: usize,
    /// Seconds after which a measurement of a peer, or making ready for it, is stopped
    #[arg(id = "peer_within", long = "peer-within", value_name = "SECONDS", default_value_t = 60)]
    within: u64,
}

/// A work that all of them do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shared {
    /// Alerts, one after another
    W1,
    /// One side was away while the other wrote
    W2,
    /// Few of many shared documents differ
    W3,
}

impl Shared {
    const ALL: [Shared; 3] = [Shared::W1, Shared::W2, Shared::W3];

    fn name(self) -> &'static str {
        match self {
            Shared::W1 => "W1",
            Shared::W2 => "W2",
            Shared::W3 => "W3",
        }
    }
}

impl System {
    const ALL: [System; 4] = [System::Automerge, System::Samod, System::IrohDocs, System::Postgres];

    fn program(self) -> &'static str {
        match self {
            System::Automerge => "peer_automerge",
            System::Samod => "peer_samod",
            System::IrohDocs => "peer_iroh_docs",
            System::Postgres => "peer_postgres",
        }
    }
}

/// What a program prints.
#[derive(Debug, Deserialize)]
struct Told {
    system: String,
    versions: Vec<String>,
    transport: String,
    store: String,
    /// Why nothing was measured.
    left_out: Option<String>,
    figures: Vec<Figure>,
    unfinished: Vec<Unfinished>,
}

#[derive(Debug, Deserialize)]
struct Figure {
    work: String,
    what: String,
    unit: String,
    values: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct Unfinished {
    work: String,
    doing: String,
    seconds: u64,
    reached: usize,
    of: usize,
}

impl Peers {
    /// True if this work is to be compared.
    pub fn wants(&self, work: Shared) -> bool {
        self.works.is_empty() || self.works.contains(&work)
    }

    fn systems(&self) -> Vec<System> {
        let named = |system: &System| self.systems.is_empty() || self.systems.contains(system);
        System::ALL.into_iter().filter(named).collect()
    }
}

/// Builds the release of the programs.
pub fn build(root: &Path) -> anyhow::Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked"])
        .current_dir(root.join(WORKSPACE))
        .env("CARGO_TARGET_DIR", target(root))
        .status()
        .context("running cargo for the peers")?;
    ensure!(status.success(), "the programs of {WORKSPACE} do not build");
    Ok(())
}

fn target(root: &Path) -> PathBuf {
    root.join("target/peers")
}

/// Runs every program and adds what it measured beside the figures that the report holds already.
pub async fn run(
    root: &Path,
    report: &mut Report,
    peers: &Peers,
    alerts: usize,
    runs: usize,
) -> anyhow::Result<()> {
    for system in peers.systems() {
        let program = target(root).join("release").join(system.program());
        let told = one(&program, peers, alerts, runs).await;
        tell(report, peers, told.with_context(|| format!("comparing with {system:?}"))?)?;
    }
    Ok(())
}

async fn one(program: &Path, peers: &Peers, alerts: usize, runs: usize) -> anyhow::Result<Told> {
    let works = Shared::ALL.into_iter().filter(|work| peers.wants(*work)).map(Shared::name);
    let child = tokio::process::Command::new(program)
        .arg("measure")
        .args(works)
        .args(["--runs", &runs.to_string(), "--alerts", &alerts.to_string()])
        .args(["--documents", &peers.missing.to_string(), "--shared", &peers.shared.to_string()])
        .args(["--within", &peers.within.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} is not built", program.display()))?;
    let patience = Duration::from_secs(peers.within * PATIENCE);
    let output = tokio::time::timeout(patience, child.wait_with_output()).await;
    let output = output.with_context(|| format!("it did not end within {} s", patience.as_secs()))??;
    ensure!(output.status.success(), "it did not end well; its own words are above");
    serde_json::from_slice(&output.stdout).context("it printed something else than its figures")
}

fn tell(report: &mut Report, peers: &Peers, told: Told) -> anyhow::Result<()> {
    let Told { system, versions, transport, store, left_out, figures, unfinished } = told;
    if let Some(why) = left_out {
        report.note(format!("{system} was left out: {why}"));
        return Ok(());
    }
    report.note(format!("{system}: {}; {transport}; {store}", versions.join(", ")));
    for figure in figures {
        let (work, unit) = (known(&figure.work, ["W1", "W2", "W3"])?, known(&figure.unit, ["ms", "B", "B"])?);
        let own = own(peers, &figure);
        let value = report
            .median(work, &own)
            .with_context(|| format!("the project's own figure for {work} «{own}» is not in the report"))?;
        let against = Against { what: "cuadra's".into(), value, target: None };
        report.add(work, format!("{system}: {}", figure.what), unit, &figure.values, Some(against));
    }
    for Unfinished { work, doing, seconds, reached, of } in unfinished {
        report.note(format!("{work} {system}: {doing}: not finished in {seconds} s, {reached} of {of} done"));
    }
    Ok(())
}

/// How the words of the project's own figure end that this one is held against.
fn own(peers: &Peers, figure: &Figure) -> String {
    let last = |ends: &[&str]| {
        let found = ends.iter().find(|end| figure.what.contains(**end));
        found.map_or_else(|| figure.what.clone(), |end| (*end).to_owned())
    };
    match figure.work.as_str() {
        "W1" => format!("at B, {}", last(&["median", "p99"])),
        "W2" => format!("{} incidents × 6, {}", peers.missing, last(&["time", "bytes"])),
        _ => format!("of {} differ, {}", peers.shared, last(&["time", "bytes"])),
    }
}

/// The one of these words that a program said.
fn known(said: &str, words: [&'static str; 3]) -> anyhow::Result<&'static str> {
    words.into_iter().find(|word| *word == said).with_context(|| format!("it said «{said}»"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> Peers {
        Peers { systems: Vec::new(), works: Vec::new(), missing: 500, shared: 900, within: 60 }
    }

    fn told(figures: &str, unfinished: &str) -> Told {
        let text = format!(
            r#"{{ "system": "raw automerge", "versions": ["automerge 1"], "transport": "QUIC", "store": "SQLite",
                  "figures": [{figures}], "unfinished": [{unfinished}] }}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_peers_figure_is_held_against_our_own_of_the_same_work_and_size() {
        let mut report = Report::default();
        report.add("W2", "1500 incidents × 6, time", "ms", &[1.0], None);
        report.add("W2", "500 incidents × 6, time", "ms", &[200.0], None);
        let figure =
            r#"{ "work": "W2", "what": "500 documents × 6, time", "unit": "ms", "values": [300.0] }"#;
        tell(&mut report, &peers(), told(figure, "")).unwrap();
        let json = report.json("c", "m");
        assert_eq!(json["figures"][2]["what"], "raw automerge: 500 documents × 6, time");
        assert_eq!(json["figures"][2]["ratio"], 1.5);
    }

    #[test]
    fn a_figure_that_has_no_counterpart_is_an_error_and_not_a_row_without_a_ratio() {
        let mut report = Report::default();
        report.add("W2", "1500 incidents × 6, time", "ms", &[1.0], None);
        let figure =
            r#"{ "work": "W2", "what": "500 documents × 6, time", "unit": "ms", "values": [300.0] }"#;
        assert!(tell(&mut report, &peers(), told(figure, "")).is_err());
    }

    #[test]
    fn a_work_that_was_stopped_is_told_with_how_far_it_came() {
        let mut report = Report::default();
        let stopped =
            r#"{ "work": "W2", "doing": "500 documents × 6", "seconds": 60, "reached": 7, "of": 500 }"#;
        tell(&mut report, &peers(), told("", stopped)).unwrap();
        assert!(report.table().contains("not finished in 60 s, 7 of 500 done"), "{}", report.table());
    }
}
