//! `cargo dev sim`: plays seeds of the protocol's simulator, or one seed again event by event.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use protocol::sim::{Report, Settings, Violation, replay, run};

/// Seeds that failed once, with what was wrong then; every sweep plays them too.
const KEPT_SEEDS: &str = include_str!("../seeds/simulation.txt");

/// Seeds from which on a sweep must have played everything that there is to play.
const SEEDS_THAT_SHOW_ALL: usize = 200;

/// A range of seeds, such as `0..300`.
#[derive(Debug, Clone, Copy)]
pub struct Seeds {
    from: u64,
    to: u64,
}

impl std::str::FromStr for Seeds {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (from, to) = text.split_once("..").context("expected FIRST..PAST, such as 0..300")?;
        let seeds = Seeds { from: from.parse()?, to: to.parse()? };
        anyhow::ensure!(seeds.from < seeds.to, "{text} holds no seed");
        Ok(seeds)
    }
}

/// Plays every seed of the range, and those that failed once.
pub fn sweep(seeds: Seeds, threads: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    let all: Vec<u64> = kept_seeds().into_iter().chain(seeds.from..seeds.to).collect();
    let next = AtomicU64::new(0);
    let ended: Mutex<Vec<Result<Report, Violation>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(seed) = take(&all, &next) {
                    let result = play(seed);
                    if let Err(violation) = &result {
                        println!("{violation}\n  again: cargo dev sim --seed {seed} --replay");
                    }
                    if let Ok(mut ended) = ended.lock() {
                        ended.push(result);
                    }
                }
            });
        }
    });
    let ended = ended.into_inner().map_err(|_| anyhow::anyhow!("a thread of the sweep panicked"))?;
    anyhow::ensure!(ended.len() == all.len(), "{} of {} seeds were played", ended.len(), all.len());
    tell(&ended, began.elapsed().as_secs_f64())
}

/// One seed. A panic inside is a violation like any other.
fn play(seed: u64) -> Result<Report, Violation> {
    let played = std::panic::catch_unwind(|| run(seed, Settings::of_seed(seed)));
    played.unwrap_or_else(|_| Err(Violation { seed, step: 0, what: "it panicked".into() }))
}

fn take(all: &[u64], next: &AtomicU64) -> Option<u64> {
    let place = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok()?;
    all.get(place).copied()
}

fn tell(ended: &[Result<Report, Violation>], seconds: f64) -> anyhow::Result<()> {
    let mut sum = Report::default();
    for report in ended.iter().flatten() {
        sum.add(report);
    }
    let violations: Vec<&Violation> = ended.iter().filter_map(|result| result.as_ref().err()).collect();
    tell_sum(&sum);
    let never: Vec<&str> = Report::everything().filter(|what| sum.times(what) == 0).collect();
    let passed = ended.len() - violations.len();
    println!("simulation: {passed} passed, {} failed in {seconds:.0} s", violations.len());
    anyhow::ensure!(violations.is_empty(), "the simulation found what must never be");
    anyhow::ensure!(
        ended.len() < SEEDS_THAT_SHOW_ALL || never.is_empty(),
        "never played in {} seeds: {}",
        ended.len(),
        never.join(", ")
    );
    Ok(())
}

fn tell_sum(sum: &Report) {
    println!("how often each was played (refused in brackets):");
    let rows: Vec<String> = Report::everything()
        .map(|what| {
            let refused = sum.skipped.get(what).map_or_else(String::new, |count| format!(" ({count})"));
            format!("{what} {}{refused}", sum.times(what))
        })
        .collect();
    for row in rows.chunks(3) {
        println!("  {}", row.iter().map(|cell| format!("{cell:<44}")).collect::<String>().trim_end());
    }
    let of = |what: &str| sum.times(what);
    println!(
        "{} events, {} messages ({} lost), {} operations ({} refused when their turn came)",
        sum.events, sum.messages, sum.lost, sum.written, sum.refused
    );
    println!(
        "{} documents with {} envelopes, {} handoffs, {} takeovers, {} proofs of equivocation",
        sum.documents,
        sum.envelopes,
        of("commit"),
        of("takeover commit"),
        sum.proofs
    );
    let rosters: u64 =
        sum.played.iter().filter(|(what, _)| what.starts_with("roster: ")).map(|(_, count)| count).sum();
    println!(
        "{} crashes, {} restores, {rosters} roster changes, {} hostile members",
        of("crash"),
        of("restore"),
        sum.hostile
    );
    println!(
        "{} copies blamed, {} envelopes rejected, at most {} parked, in step after {} s at the latest",
        sum.blamed,
        sum.rejected,
        sum.parked,
        sum.settled_ms / 1_000
    );
}

fn kept_seeds() -> Vec<u64> {
    let lines = KEPT_SEEDS.lines().filter_map(|line| line.split('#').next());
    lines.filter_map(|line| line.trim().parse().ok()).collect()
}

/// Plays one seed; with `told`, prints every event, and at a terminal waits for Enter after each.
pub fn one(seed: u64, told: bool) -> anyhow::Result<()> {
    let settings = Settings::of_seed(seed);
    println!("{settings:#?}");
    let mut stepping = told && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if stepping {
        println!("Enter: the next event. c and Enter: all the rest.");
    }
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let result = replay(seed, settings, &mut |event| {
        if !told {
            return;
        }
        // A reader that had enough, such as `head`, is no reason to stop.
        _ = writeln!(out, "{event}");
        if stepping {
            _ = out.flush();
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line);
            stepping = read.is_ok_and(|bytes| bytes > 0) && line.trim() != "c";
        }
    });
    _ = out.flush();
    drop(out);
    let report = result?;
    let played: BTreeMap<_, _> = report.played.iter().collect();
    println!("{played:?}");
    println!("{report:?}");
    Ok(())
}
