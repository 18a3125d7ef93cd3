//! `cargo dev bench`: how fast the system is, told as ratios to what this machine can do.
//!
//! Every work runs several times over the real program as it ships, and is held against references that
//! minimal programs measure in the same run. Nothing that is timed decides whether a change is good.

mod backfill;
mod catch_up;
pub mod counts;
mod desk_log;
mod differ;
mod fill;
mod idle;
mod inside;
mod intake;
mod laid;
mod live;
mod load;
mod opened;
mod peers;
mod prove;
mod references;
mod report;
mod sizes;
mod statistics;
mod two;
mod wire;

use std::path::{Path, PathBuf};
use std::process::Command;

use laid::Kept;
use peers::Shared;
use references::References;
use report::Report;
use sizes::Sizes;

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
    /// W4: alerts while the same link catches up
    Backfill,
    /// W2: one node was away while the other wrote much
    CatchUp,
    /// W3, W3a, W3b: two nodes share much and few of it differs
    Differ,
    /// Instructions of the parts that every envelope goes through, beside what was recorded; needs
    /// valgrind, and fails if one has crept up
    Counts,
    /// W1, W2 and W3 beside what others have published; only if named
    Peers,
}

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Bench {
    /// Which works, beside the references; all if none is named
    #[arg(value_enum, value_name = "WORK")]
    works: Vec<Work>,
    /// Smaller sizes, one run: a look of some minutes
    #[arg(long)]
    quick: bool,
    /// Run a little of every work, as this program is built, for what must hold at its end; tell no times
    #[arg(long, conflicts_with = "quick")]
    slice: bool,
    /// Runs of each work
    #[arg(long)]
    runs: Option<usize>,
    /// Alerts of one run, one after another (W1)
    #[arg(long)]
    alerts: Option<usize>,
    /// Incidents that one of two nodes lacks (W2)
    #[arg(long, value_delimiter = ',')]
    missing: Option<Vec<usize>>,
    /// Incidents that two nodes share (W3)
    #[arg(long, value_delimiter = ',')]
    shared: Option<Vec<usize>>,
    /// Envelopes that a link catches up with while alerts are raised (W4)
    #[arg(long)]
    backlog: Option<usize>,
    /// Residents who post at a steady rate (W5)
    #[arg(long)]
    accounts: Option<usize>,
    /// Seconds of each steady rate (W5)
    #[arg(long)]
    seconds: Option<u64>,
    /// Incidents that an idle node holds (W9)
    #[arg(long, value_delimiter = ',')]
    held: Option<Vec<usize>>,
    /// Lay everything down anew instead of using what an earlier run left in target/bench
    #[arg(long)]
    fresh: bool,
    /// Write what was counted as the new record, and do nothing else
    #[arg(long)]
    record: bool,
    /// Write the report as JSON into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    peers: peers::Peers,
}

impl Bench {
    fn wants(&self, work: Work) -> bool {
        self.works.is_empty() || self.works.contains(&work)
    }

    fn sizes(&self) -> Sizes {
        let mut sizes = match (self.quick, self.slice) {
            (_, true) => Sizes::slice(),
            (true, _) => Sizes::quick(),
            (false, false) => Sizes::full(),
        };
        let Bench { runs, alerts, missing, shared, backlog, accounts, seconds, held, .. } = self.clone();
        sizes.runs = runs.unwrap_or(sizes.runs);
        sizes.alerts = alerts.unwrap_or(sizes.alerts);
        sizes.missing = missing.unwrap_or(sizes.missing);
        sizes.shared = shared.unwrap_or(sizes.shared);
        sizes.backlog = backlog.unwrap_or(sizes.backlog);
        sizes.accounts = accounts.unwrap_or(sizes.accounts);
        sizes.seconds = seconds.unwrap_or(sizes.seconds);
        sizes.held = held.unwrap_or(sizes.held);
        sizes
    }
}

/// Runs the works and prints the report. A build for developers builds the release and runs that, but
/// for a slice.
pub fn run(root: &Path, bench: &Bench) -> anyhow::Result<()> {
    if bench.slice {
        return slice(root, bench);
    }
    if cfg!(debug_assertions) {
        if bench.works.contains(&Work::Peers) {
            peers::build(root)?;
        }
        return in_release(root);
    }
    if bench.record {
        return counts::record(root, counted);
    }
    let mut report = Report::default();
    report.note(format!("load before the first measurement {}", load_average()));
    let done = measured(root, &mut report, bench);
    // What was measured before something failed is told all the same.
    let (commit, machine) = (commit(root), machine());
    println!("commit {commit}, {machine}\n\n{}", report.table());
    if let Some(path) = &bench.json {
        std::fs::write(path, format!("{:#}\n", report.json(&commit, &machine)))?;
    }
    done
}

fn measured(root: &Path, report: &mut Report, bench: &Bench) -> anyhow::Result<()> {
    let sizes = bench.sizes();
    let crept = if bench.wants(Work::Counts) { !counts::run(report, counted)? } else { false };
    if bench.works != [Work::Counts] {
        let references = references::measure(report, sizes.reference_runs)?;
        let kept = Kept::in_folder(target().join("bench"));
        if bench.fresh {
            kept.forget()?;
        }
        let works = works(root, report, &references, &kept, bench, &sizes);
        tokio::runtime::Runtime::new()?.block_on(works)?;
    }
    anyhow::ensure!(!crept, "a part needs more instructions than was recorded: mend it, or record anew");
    Ok(())
}

/// Every work at its smallest, for what it ensures at its end.
fn slice(root: &Path, bench: &Bench) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (kept, sizes) = (Kept::in_folder(folder.path().to_owned()), bench.sizes());
    let mut report = Report::silent();
    let references = references::measure(&mut report, sizes.reference_runs)?;
    let works = works(root, &mut report, &references, &kept, bench, &sizes);
    tokio::runtime::Runtime::new()?.block_on(works)?;
    println!("Every work ended as it must: {} figures, of which none is told.", report.figures());
    Ok(())
}

async fn works(
    root: &Path,
    report: &mut Report,
    references: &References,
    kept: &Kept,
    bench: &Bench,
    sizes: &Sizes,
) -> anyhow::Result<()> {
    let runs = sizes.runs;
    let beside = bench.works.contains(&Work::Peers).then_some(&bench.peers);
    if bench.wants(Work::Intake) {
        intake::run(report, references, sizes).await?;
    }
    if bench.wants(Work::Idle) {
        idle::run(report, kept, &sizes.held, runs).await?;
    }
    if bench.wants(Work::Live) || beside.is_some_and(|peers| peers.wants(Shared::W1)) {
        let live = live::Live { alerts: sizes.alerts, sustained: sizes.sustained, runs };
        live::run(report, references, live).await?;
    }
    if bench.wants(Work::Backfill) {
        backfill::run(report, kept, sizes.backlog, runs).await?;
    }
    if bench.wants(Work::CatchUp) {
        catch_up::run(report, references, kept, &sizes.missing, runs).await?;
    }
    if bench.wants(Work::Differ) {
        differ::run(report, kept, &sizes.shared, runs).await?;
    }
    if let Some(peers) = beside {
        if peers.wants(Shared::W2) {
            catch_up::run(report, references, kept, &[peers.missing], runs).await?;
        }
        if peers.wants(Shared::W3) {
            differ::run(report, kept, &[peers.shared], runs).await?;
        }
        peers::run(root, report, peers, sizes.alerts, runs).await?;
    }
    Ok(())
}

/// What callgrind is to look at: this program, doing one part so many times.
fn counted(part: counts::Part, rounds: u32) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    let part = clap::ValueEnum::to_possible_value(&part).map(|value| value.get_name().to_owned());
    command.args(["counted", &part.unwrap_or_default(), &rounds.to_string()]);
    command
}

/// Does one part so many times; callgrind counts.
pub fn drive(part: counts::Part, rounds: u32) -> anyhow::Result<()> {
    counts::drive(part, rounds)
}

/// Builds the release of the node and of this program, and runs that with the same arguments.
fn in_release(root: &Path) -> anyhow::Result<()> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--package", "node", "--package", "tests", "--bins"])
        .current_dir(root)
        .status()?;
    anyhow::ensure!(built.success(), "the release does not build");
    let release = target().join("release");
    let ran = Command::new(release.join("dev"))
        .args(std::env::args_os().skip(1))
        .env("CUADRA_BINARY", release.join("cuadra"))
        .status()?;
    anyhow::ensure!(ran.success(), "the bench did not end well");
    Ok(())
}

/// The folder of what is built, in which this program lies.
fn target() -> PathBuf {
    let this = std::env::current_exe().ok();
    let target = this.as_deref().and_then(Path::parent).and_then(Path::parent);
    target.unwrap_or(Path::new("target")).to_owned()
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
