//! `cargo dev fuzz`: builds the fuzzers of `tests/fuzz` and runs them for a while. They are found inputs
//! for the promises that property tests try with chosen ones.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use protocol::targets::TARGETS;

/// Makes the compiler count which branches an input takes, for libFuzzer. No sanitizer is needed: the
/// code under test has no `unsafe`.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];
/// Flags with a target named are not for build scripts.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Longest input, in bytes; what is longer only repeats itself.
const INPUT_BYTES_MAX: u32 = 4_096;

/// What one fuzzer did.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Which.
    pub target: &'static str,
    /// Inputs played.
    pub executions: u64,
    /// How long, with loading the corpus.
    pub took: Duration,
    /// Branches reached, as libFuzzer counts them.
    pub coverage: u64,
    /// The input that broke the promise, if one did.
    pub finding: Option<PathBuf>,
}

/// Builds every fuzzer.
pub fn build(root: &Path) -> anyhow::Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--target", TRIPLE])
        .current_dir(root.join("tests/fuzz"))
        .env("CARGO_TARGET_DIR", root.join("target/fuzz"))
        .env("RUSTFLAGS", FLAGS.join(" "))
        .status()
        .context("running cargo for the fuzzers")?;
    ensure!(status.success(), "the fuzzers do not build");
    Ok(())
}

/// Runs one for so many seconds, from its committed corpus and from what earlier runs found.
pub fn run(root: &Path, target: &'static str, seconds: u64) -> anyhow::Result<Ran> {
    let found = root.join("target/fuzz/corpus").join(target);
    let findings = root.join("target/fuzz/findings").join(target);
    std::fs::create_dir_all(&found)?;
    std::fs::create_dir_all(&findings)?;
    let before = files(&findings)?;
    let began = Instant::now();
    let output = Command::new(root.join("target/fuzz").join(TRIPLE).join("release").join(target))
        .arg(&found)
        .arg(root.join("tests/fuzz/corpus").join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .args(["-print_final_stats=1", "-timeout=25", "-rss_limit_mb=2048", "-len_control=0"])
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .output()
        .with_context(|| format!("running the fuzzer {target}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let finding = files(&findings)?.into_iter().find(|file| !before.contains(file));
    ensure!(output.status.success() || finding.is_some(), "{target} ended without a finding:\n{said}");
    Ok(Ran {
        target,
        executions: number_after(&said, "stat::number_of_executed_units:"),
        took: began.elapsed(),
        coverage: said
            .lines()
            .rev()
            .find_map(|line| line.split_once(" cov: "))
            .map_or(0, |(_, rest)| first_number(rest)),
        finding,
    })
}

/// Keeps as few inputs as reach the same branches, and the shortest of those, in the committed corpus.
fn keep(root: &Path, target: &str) -> anyhow::Result<()> {
    let kept = root.join("tests/fuzz/corpus").join(target);
    let merged = root.join("target/fuzz/merged").join(target);
    if merged.exists() {
        std::fs::remove_dir_all(&merged)?;
    }
    std::fs::create_dir_all(&merged)?;
    std::fs::create_dir_all(&kept)?;
    let status = Command::new(root.join("target/fuzz").join(TRIPLE).join("release").join(target))
        .arg("-merge=1")
        .args([&merged, &kept, &root.join("target/fuzz/corpus").join(target)])
        .output()?
        .status;
    ensure!(status.success(), "the corpus of {target} cannot be merged");
    let mut inputs: Vec<(u64, PathBuf)> = Vec::new();
    for file in files(&merged)? {
        inputs.push((std::fs::metadata(&file)?.len(), file));
    }
    inputs.sort();
    for old in files(&kept)? {
        std::fs::remove_file(old)?;
    }
    for (_, file) in inputs.into_iter().take(KEPT_INPUTS_MAX) {
        std::fs::copy(&file, kept.join(file.file_name().context("an input is a file")?))?;
    }
    Ok(())
}

/// Inputs kept of a target: the shortest ones, a few kilobytes in all.
const KEPT_INPUTS_MAX: usize = 24;

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn number_after(text: &str, name: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0, first_number)
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// What one fuzzer did when it last ran, for `cargo dev goals`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Recorded {
    /// Which.
    pub target: String,
    /// The commit that it played.
    pub commit: String,
    /// How long.
    pub seconds: u64,
    /// Inputs played.
    pub executions: u64,
    /// Branches reached.
    pub coverage: u64,
    /// Promises broken: 0 or 1, it stops at the first.
    pub findings: u64,
}

/// Where what the fuzzers did is kept.
fn record_of(root: &Path) -> PathBuf {
    root.join("target/goals/fuzz.json")
}

/// What each fuzzer did when it last ran; none for one that never did.
#[must_use]
pub fn recorded(root: &Path) -> Vec<Recorded> {
    let text = std::fs::read_to_string(record_of(root)).unwrap_or_default();
    let left: Vec<Recorded> = serde_json::from_str(&text).unwrap_or_default();
    let known = |one: &Recorded| TARGETS.iter().any(|(name, _)| *name == one.target);
    left.into_iter().filter(known).collect()
}

/// Keeps what a fuzzer did in place of what it did before.
pub fn record(root: &Path, commit: &str, ran: &Ran) -> anyhow::Result<()> {
    let mut all = recorded(root);
    all.retain(|one| one.target != ran.target);
    all.push(Recorded {
        target: ran.target.to_owned(),
        commit: commit.to_owned(),
        seconds: ran.took.as_secs(),
        executions: ran.executions,
        coverage: ran.coverage,
        findings: u64::from(ran.finding.is_some()),
    });
    let path = record_of(root);
    std::fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
    std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    Ok(())
}

/// Which fuzzers, and for how long.
#[derive(Debug, clap::Args)]
pub struct Fuzz {
    /// Only this one; may be given several times
    #[arg(long)]
    only: Vec<String>,
    /// For how long each runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Keep a small corpus of what was found in tests/fuzz/corpus
    #[arg(long)]
    keep: bool,
}

/// Runs them one after another and prints a table; an error if a promise was broken.
pub fn command(root: &Path, fuzz: &Fuzz) -> anyhow::Result<()> {
    build(root)?;
    println!("{:<12} {:>8} {:>12} {:>9}  finding", "target", "seconds", "executions", "branches");
    let mut findings = 0;
    for (target, _) in
        TARGETS.iter().filter(|(name, _)| fuzz.only.is_empty() || fuzz.only.iter().any(|n| n == name))
    {
        let ran = run(root, target, fuzz.seconds)?;
        findings += usize::from(ran.finding.is_some());
        record(root, &crate::goals::commit(root)?, &ran)?;
        let finding = ran.finding.map_or_else(|| "none".into(), |file| file.display().to_string());
        println!(
            "{target:<12} {:>8} {:>12} {:>9}  {finding}",
            ran.took.as_secs(),
            ran.executions,
            ran.coverage
        );
        if fuzz.keep {
            keep(root, target)?;
        }
    }
    ensure!(findings == 0, "{findings} promises do not hold");
    Ok(())
}
