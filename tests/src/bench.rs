//! `cargo dev bench`: how fast the system is, told as ratios to what this machine can do.
//!
//! Every work runs several times over the real program as it ships, and is held against references that
//! minimal programs measure in the same run. Nothing that is timed decides whether a change is good.

mod fill;
mod idle;
mod inside;
mod intake;
mod live;
mod load;
mod peers;
mod references;
mod report;
mod statistics;
mod together;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use peers::Shared;
use references::References;
use report::Report;

/// A work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Work {
    /// What the machine can do; always measured
    References,
    /// W5: alerts at a steady rate on one node
    Intake,
    /// W9: memory, start and size of a node that does nothing
    Idle,
    /// W1: from a request at one node to the event at the other
    Live,
    /// W2, W3, W3a: one node was away
    Together,
    /// W1, W2 and W3 beside what others have published; only if named
    Peers,
}

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Bench {
    /// Which works, beside the references; all if none is named
    #[arg(value_enum, value_name = "WORK")]
    works: Vec<Work>,
    /// Runs of each work
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Incidents that two nodes share, or one holds, at each size
    #[arg(long, value_delimiter = ',', default_values_t = [200, 400, 800, 1_600])]
    sizes: Vec<usize>,
    /// Residents who post at a steady rate
    #[arg(long, default_value_t = 500)]
    accounts: usize,
    /// Seconds of each steady rate
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Alerts of one run, one after another
    #[arg(long, default_value_t = 300)]
    alerts: usize,
    /// Write the report as JSON into this file
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
    #[command(flatten)]
    peers: peers::Peers,
}

/// Runs the works and prints the report. A build for developers builds the release and runs that.
pub fn run(root: &Path, bench: &Bench) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        if bench.works.contains(&Work::Peers) {
            peers::build(root)?;
        }
        return in_release(root);
    }
    let mut report = Report::default();
    report.note(format!("load before the first measurement {}", load_average()));
    let references = references::measure(&mut report, bench.runs.max(5))?;
    let done = tokio::runtime::Runtime::new()?.block_on(works(root, &mut report, &references, bench));
    // What was measured before something failed is told all the same.
    let (commit, machine) = (commit(root), machine());
    println!("commit {commit}, {machine}\n\n{}", report.table());
    if let Some(path) = &bench.json {
        std::fs::write(path, format!("{:#}\n", report.json(&commit, &machine)))?;
    }
    done
}

async fn works(
    root: &Path,
    report: &mut Report,
    references: &References,
    bench: &Bench,
) -> anyhow::Result<()> {
    let wanted = |work| bench.works.is_empty() || bench.works.contains(&work);
    let beside = bench.works.contains(&Work::Peers).then_some(&bench.peers);
    let runs = bench.runs;
    if wanted(Work::Intake) {
        let lasting = Duration::from_secs(bench.seconds);
        let intake = intake::Intake { accounts: bench.accounts, lasting, runs };
        intake::run(report, references, intake).await?;
    }
    if wanted(Work::Idle) {
        idle::run(report, &bench.sizes, runs).await?;
    }
    if wanted(Work::Live) || beside.is_some_and(|peers| peers.wants(Shared::W1)) {
        let live = live::Live { alerts: bench.alerts, sustained: bench.alerts * 3, runs };
        live::run(report, references, live).await?;
    }
    if wanted(Work::Together) {
        together::run(report, references, &bench.sizes, runs).await?;
    }
    if let Some(peers) = beside {
        together::run(report, references, &peers.sizes(), runs).await?;
        peers::run(root, report, peers, bench.alerts, runs).await?;
    }
    Ok(())
}

/// Builds the release of the node and of this program, and runs that with the same arguments.
fn in_release(root: &Path) -> anyhow::Result<()> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--package", "node", "--package", "tests", "--bins"])
        .current_dir(root)
        .status()?;
    anyhow::ensure!(built.success(), "the release does not build");
    let this = std::env::current_exe()?;
    let target = this.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    let release = target.join("release");
    let ran = Command::new(release.join("dev"))
        .args(std::env::args_os().skip(1))
        .env("CUADRA_BINARY", release.join("cuadra"))
        .status()?;
    anyhow::ensure!(ran.success(), "the bench did not end well");
    Ok(())
}

fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    if changed { format!("{commit} with changes") } else { commit }
}

/// The processor, its cores and how busy they are: figures of a busy machine are worth less.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo");
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{model}, {cores} cores, load at the end {}", load_average())
}

/// Processes that wanted to run in the last minute, on average.
fn load_average() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("?").to_owned()
}
