//! `cargo dev goals`: runs everything that shows that the rules hold on the worst day, and prints one
//! table: what was to be shown, what ran, how much of it, what failed. What did not run says so; a run of
//! some rows keeps the others that the same commit showed before.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::{faults, fuzz};

/// Every row of the table: its name, and what it shows.
pub const GOALS: [(&str, &str); 7] = [
    ("simulation", "whole federations on their worst days keep every invariant and come into step"),
    ("hostile corpus", "a member with a good key breaks every rule against the real program"),
    ("oracle", "who may do what, by hand: operation, role, state of ownership, audience"),
    ("planted faults", "a broken rule is noticed by the test that is named for it"),
    ("properties", "promises over arbitrary input, the same each time"),
    ("fuzzing", "the same promises over input that fuzzers found"),
    ("blast radius", "one member's harm costs nobody else more than a fifth of their latency"),
];

/// Seconds after which something that hangs is ended.
const ROW_SECONDS_MAX: u32 = 7_200;

/// How much is run.
#[derive(Debug, clap::Args)]
pub struct Goals {
    /// Small slices of the quick ones; nothing that needs real processes
    #[arg(long)]
    quick: bool,
    /// Only this row; may be given several times
    #[arg(long)]
    only: Vec<String>,
    /// Seeds of the simulation
    #[arg(long, default_value = "0..200")]
    seeds: String,
    /// Run each fuzzer for so long; without this the row is what the last `cargo dev fuzz` recorded
    #[arg(long)]
    fuzz_seconds: Option<u64>,
    /// Measure the blast radius with this build as it is, without building a release
    #[arg(long)]
    as_built: bool,
    /// Where the table goes as JSON
    #[arg(long, default_value = "target/goals/goals.json")]
    json: PathBuf,
}

/// One row: what ran, how much, what failed.
struct Row {
    ran: String,
    count: u64,
    failures: u64,
}

struct Told {
    goal: &'static str,
    row: Option<Row>,
    seconds: u64,
}

/// Runs them, prints the table, writes the JSON; an error if anything failed.
pub fn run(root: &Path, goals: &Goals) -> anyhow::Result<()> {
    for name in &goals.only {
        ensure!(GOALS.iter().any(|(goal, _)| goal == name), "there is no goal called {name}");
    }
    let commit = commit(root)?;
    let path = root.join(&goals.json);
    let before = earlier(&path, &commit);
    let mut told = Vec::new();
    for (goal, _) in GOALS {
        let began = Instant::now();
        let wanted = goals.only.is_empty() || goals.only.iter().any(|name| name == goal);
        let row =
            if wanted { play(root, goals, goal).with_context(|| format!("for «{goal}»"))? } else { None };
        let seconds = began.elapsed().as_secs();
        eprintln!("{goal}: {seconds} s");
        let kept = || before.iter().find(|row| row["goal"] == goal).and_then(from_json);
        let shown = row.map(|row| (row, seconds)).or_else(kept);
        let seconds = shown.as_ref().map_or(0, |(_, seconds)| *seconds);
        told.push(Told { goal, row: shown.map(|(row, _)| row), seconds });
    }
    println!("commit {commit}\n");
    println!("| goal | what ran | count | failures | seconds |\n|---|---|---|---|---|");
    for Told { goal, row, seconds } in &told {
        match row {
            Some(row) => {
                println!("| {goal} | {} | {} | {} | {} |", row.ran, row.count, row.failures, seconds)
            }
            None => println!("| {goal} | not run | – | – | – |"),
        }
    }
    let rows: Vec<Value> = told.iter().map(as_json).collect();
    std::fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
    std::fs::write(&path, format!("{:#}\n", json!({ "commit": commit, "goals": rows })))?;
    let failures: u64 = told.iter().filter_map(|told| told.row.as_ref()).map(|row| row.failures).sum();
    ensure!(failures == 0, "{failures} failures");
    Ok(())
}

fn as_json(told: &Told) -> Value {
    let row = told.row.as_ref();
    json!({
        "goal": told.goal,
        "ran": row.map(|row| &row.ran),
        "count": row.map(|row| row.count),
        "failures": row.map(|row| row.failures),
        "seconds": told.seconds,
    })
}

/// The rows that an earlier run of this commit left; none of a tree that was changed.
fn earlier(path: &Path, commit: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let left: Value = serde_json::from_str(&text).unwrap_or_default();
    let same = left["commit"] == commit && !commit.contains(' ');
    left["goals"].as_array().filter(|_| same).cloned().unwrap_or_default()
}

fn from_json(row: &Value) -> Option<(Row, u64)> {
    let ran = row["ran"].as_str()?.to_owned();
    let kept = Row { ran, count: row["count"].as_u64()?, failures: row["failures"].as_u64()? };
    Some((kept, row["seconds"].as_u64()?))
}

fn play(root: &Path, goals: &Goals, goal: &str) -> anyhow::Result<Option<Row>> {
    match goal {
        "simulation" => simulation(root, if goals.quick { "0..5" } else { &goals.seeds }).map(Some),
        "oracle" => oracle(root).map(Some),
        "properties" => properties(root).map(Some),
        "planted faults" => planted(root, goals.quick).map(Some),
        "fuzzing" => fuzzing(root, goals.fuzz_seconds),
        "hostile corpus" if !goals.quick => hostile(root).map(Some),
        "blast radius" if !goals.quick => blast(root, goals.as_built).map(Some),
        _ => Ok(None),
    }
}

/// Runs something in the project's folder and gives what it printed and whether it went well.
fn said_by(command: &mut Command, root: &Path) -> anyhow::Result<(String, bool)> {
    let output = command.current_dir(root).env("CARGO_TERM_COLOR", "never").output()?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok((said, output.status.success()))
}

fn cargo_test(root: &Path, arguments: &[&str]) -> anyhow::Result<(String, bool)> {
    let mut command = Command::new("timeout");
    command.args([&ROW_SECONDS_MAX.to_string(), env!("CARGO"), "test", "--locked"]).args(arguments);
    said_by(&mut command, root)
}

/// The number that stands in front of these words, summed over what was printed.
fn sum_before(said: &str, words: &str) -> u64 {
    let before = said.split(words).collect::<Vec<_>>();
    let numbers = before.iter().take(before.len().saturating_sub(1));
    numbers.filter_map(|text| text.split_whitespace().next_back()?.parse::<u64>().ok()).sum()
}

fn simulation(root: &Path, seeds: &str) -> anyhow::Result<Row> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let mut command = Command::new(std::env::current_exe()?);
    let (said, good) = said_by(command.args(["sim", "--seeds", seeds, "--threads", &threads]), root)?;
    let last = said.lines().find_map(|line| line.strip_prefix("simulation: ")).unwrap_or_default();
    let (passed, failed) = (sum_before(last, " passed"), sum_before(last, " failed"));
    ensure!(passed + failed > 0 && (good || failed > 0), "the simulation did not end:\n{said}");
    let events = sum_before(&said, " events,");
    Ok(Row {
        ran: format!("seeds {seeds} and those kept, {events} events"),
        count: passed + failed,
        failures: failed,
    })
}

fn oracle(root: &Path) -> anyhow::Result<Row> {
    let (said, good) =
        cargo_test(root, &["-p", "protocol", "--lib", "admission::oracle", "--", "--nocapture"])?;
    let cells = sum_before(&said, " cells judged");
    ensure!(cells > 0, "the oracle judged nothing:\n{said}");
    Ok(Row { ran: "cells of the hand-written tables".into(), count: cells, failures: u64::from(!good) })
}

fn properties(root: &Path) -> anyhow::Result<Row> {
    let tests = ["targets", "properties", "random", "arbitrary", "spoiled_bytes", "permut"];
    let arguments = [&["-p", "protocol", "--lib", "--"][..], &tests[..], &["--nocapture"][..]].concat();
    let (said, _) = cargo_test(root, &arguments)?;
    let (passed, failed) = (sum_before(&said, " passed;"), sum_before(&said, " failed;"));
    ensure!(passed + failed > 0, "no property was tested:\n{said}");
    let inputs = sum_before(&said, " inputs tried");
    Ok(Row { ran: format!("{passed} tests, {inputs} inputs and graphs"), count: inputs, failures: failed })
}

fn planted(root: &Path, quick: bool) -> anyhow::Result<Row> {
    let all = faults::read(root)?;
    let of = all.len();
    let protocol = all.into_iter().filter(|fault| fault.package == "protocol");
    let only: Vec<String> =
        if quick { protocol.take(3).map(|fault| fault.name).collect() } else { Vec::new() };
    let played = faults::play(root, &only, &mut |_| {})?;
    let names = played.iter().filter(|one| one.missed.is_some()).map(|one| one.fault.name.as_str());
    let names: Vec<&str> = names.collect();
    let missed = names.len();
    let noticed = played.len() - missed;
    let named = if names.is_empty() { String::new() } else { format!("; missed: {}", names.join(", ")) };
    Ok(Row {
        ran: format!("{noticed} of {} noticed, {of} there are{named}", played.len()),
        count: u64::try_from(played.len())?,
        failures: u64::try_from(missed)?,
    })
}

/// What the fuzzers did: now, if a time is given, else when they last ran. None if they never did.
fn fuzzing(root: &Path, seconds: Option<u64>) -> anyhow::Result<Option<Row>> {
    if let Some(seconds) = seconds {
        fuzz::build(root)?;
        for (target, _) in protocol::targets::TARGETS {
            let ran = fuzz::run(root, target, seconds)?;
            fuzz::record(root, &commit(root)?, &ran)?;
        }
    }
    let recorded = fuzz::recorded(root);
    if recorded.is_empty() {
        return Ok(None);
    }
    let told = recorded.iter().map(|one| {
        let finding = if one.findings == 0 { "" } else { ", with a finding" };
        format!("{} {} s {} at {}{finding}", one.target, one.seconds, one.executions, one.commit)
    });
    let missing = protocol::targets::TARGETS.len() - recorded.len();
    let missing = if missing == 0 { String::new() } else { format!("; {missing} targets not run") };
    Ok(Some(Row {
        ran: format!("{}{missing}", told.collect::<Vec<_>>().join(", ")),
        count: recorded.iter().map(|one| one.executions).sum(),
        failures: recorded.iter().map(|one| one.findings).sum(),
    }))
}

/// Runs the hostile corpus of the suite, which leaves what it did beside the build.
fn hostile(root: &Path) -> anyhow::Result<Row> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let path = target.join("goals/hostile.json");
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    let (said, good) = cargo_test(root, &["-p", "tests", "--test", "suite", "hostile_corpus"])?;
    let left = std::fs::read_to_string(&path)
        .with_context(|| format!("the corpus failed before it told what it did:\n{said}"))?;
    let left: Value = serde_json::from_str(&left)?;
    let cases = left["cases"].as_array().map_or(0, Vec::len);
    let (strict, reasons) = (&left["reasons_by_family"], left["reasons"].as_array().map_or(0, Vec::len));
    Ok(Row {
        ran: format!(
            "rules broken over QUIC and HTTP against the real program; {strict} counted strictly, {reasons} reasons on record"
        ),
        count: u64::try_from(cases)?,
        failures: u64::from(!good),
    })
}

/// Measures what each attack costs everybody else.
fn blast(root: &Path, as_built: bool) -> anyhow::Result<Row> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("blast").args(as_built.then_some("--as-built"));
    let (said, good) = said_by(&mut command, root)?;
    let attack = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [attack, without, with, .., ratio, _, _, tail, _, memory] = words.as_slice() else { return None };
        ratio.parse::<f64>().ok()?;
        Some(format!("{attack} × {ratio}, p99 × {tail} ({without} and {with} alerts, {memory} MiB)"))
    };
    let attacks: Vec<String> = said.lines().filter_map(attack).collect();
    ensure!(!attacks.is_empty(), "no attack was measured:\n{said}");
    let build = if as_built { ", build for developers" } else { "" };
    Ok(Row {
        ran: format!("{}{build}", attacks.join(", ")),
        count: u64::try_from(attacks.len())?,
        failures: u64::from(!good),
    })
}

/// The commit that is built, and whether anything was changed since.
pub fn commit(root: &Path) -> anyhow::Result<String> {
    let (hash, good) = said_by(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]), root)?;
    ensure!(good, "git does not say which commit this is");
    let (changes, _) =
        said_by(Command::new("git").args(["status", "--porcelain", "--untracked-files=no"]), root)?;
    let changed = if changes.trim().is_empty() { "" } else { " with changes" };
    Ok(format!("{}{changed}", hash.trim()))
}
