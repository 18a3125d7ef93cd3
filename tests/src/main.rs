//! `cargo dev`: what a developer of cuadra runs beside the tests.

mod bench;
mod federation;
mod limits;
mod radius;
mod simulation;

use std::path::Path;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo dev", about = "Tools for developing cuadra", disable_help_subcommand = true)]
struct Dev {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Run a small federation for journeys in a browser, until standard input ends
    Federation,
    /// Make the pictures of the README anew, in docs/pictures
    Pictures,
    /// Measure the release over real processes, beside what this machine can do
    Bench(bench::Bench),
    /// Measure how much slower alerts get while one node floods, stands still, never reads or breaks
    /// the program
    Blast(radius::Blast),
    /// Do one part of the work so many times, for callgrind
    #[command(hide = true)]
    Counted {
        /// Which part
        #[arg(value_enum)]
        part: bench::counts::Part,
        /// How often
        rounds: u32,
    },
    /// Play the member that floods, for `blast` and the suite, until the process is ended
    #[command(hide = true)]
    Flood {
        /// Its folder
        folder: std::path::PathBuf,
        /// The node that it attacks
        address: std::net::SocketAddr,
    },
    /// Play seeds of the simulator
    Sim {
        /// Which, such as 0..300
        #[arg(long, default_value = "0..300", conflicts_with = "seed")]
        seeds: simulation::Seeds,
        /// Play this one alone
        #[arg(long)]
        seed: Option<u64>,
        /// Step through it event by event
        #[arg(long, requires = "seed")]
        replay: bool,
        /// Play so many seeds side by side
        #[arg(long, default_value_t = 1, conflicts_with = "seed")]
        threads: usize,
    },
    /// Plant faults one at a time in a scratch copy and see that the tests notice each
    Faults {
        /// Plant only this one; may be given several times
        #[arg(long)]
        only: Vec<String>,
    },
    /// Build the fuzzers of tests/fuzz and run each for a while
    Fuzz(tests::fuzz::Fuzz),
    /// Run everything that shows that the rules hold on the worst day, and print one table
    Goals(tests::goals::Goals),
    /// Write docs/limits.md anew from the limits in the code
    Limits {
        /// Write nothing; fail if the page is out of date
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    let dev = Dev::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    match dev.tool {
        Tool::Federation => tokio::runtime::Runtime::new()?.block_on(federation::serve()),
        Tool::Pictures => pictures(root),
        Tool::Bench(bench) => bench::run(root, &bench),
        Tool::Counted { part, rounds } => bench::drive(part, rounds),
        Tool::Blast(blast) => radius::run(root, &blast),
        Tool::Flood { folder, address } => {
            tokio::runtime::Runtime::new()?.block_on(tests::blast::flood::run(&folder, address));
            Ok(())
        }
        Tool::Sim { seed: Some(seed), replay, .. } => simulation::one(seed, replay),
        Tool::Sim { seeds, threads, .. } => simulation::sweep(seeds, threads),
        Tool::Faults { only } => tests::faults::run(root, &only),
        Tool::Fuzz(fuzz) => tests::fuzz::command(root, &fuzz),
        Tool::Goals(goals) => tests::goals::run(root, &goals),
        Tool::Limits { check } => limits::write(root, check),
    }
}

/// Runs the script that makes the pictures; `tests/run browser` has installed what it needs.
fn pictures(root: &Path) -> anyhow::Result<()> {
    let script = root.join("tests/browser/pictures.mjs");
    let status = std::process::Command::new("node")
        .arg(script)
        .env("CUADRA_DEV", std::env::current_exe()?)
        .status()?;
    anyhow::ensure!(status.success(), "the pictures were not made");
    Ok(())
}
