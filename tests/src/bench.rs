//! `cargo dev bench`: how fast the system is, told as ratios to what this machine can do.
//!
//! Every work runs several times over the real program as it ships, and is held against references that
//! minimal programs measure in the same run. Nothing that is timed decides whether a change is good.

mod load;
mod references;
mod report;
mod statistics;

use std::path::Path;
use std::process::Command;

use report::Report;

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct Bench {
    /// Which works: references, and those named here; all without any
    #[arg(value_name = "WORK")]
    works: Vec<String>,
    /// Runs of each work
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Write the report as JSON into this file
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

/// Runs the works and prints the report. A build for developers builds the release and runs that.
pub fn run(root: &Path, bench: &Bench) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        return in_release(root);
    }
    let mut report = Report::default();
    references::measure(&mut report, bench.runs)?;
    let (commit, machine) = (commit(root), machine());
    println!("commit {commit}, {machine}\n\n{}", report.table());
    if let Some(path) = &bench.json {
        std::fs::write(path, format!("{:#}\n", report.json(&commit, &machine)))?;
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
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("?");
    format!("{model}, {cores} cores, load at the end {load}")
}
