//! `cargo dev sim`: plays seeds of the protocol's simulator, or one seed again with every event told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use protocol::sim::{Report, Settings, Violation, replay, run};

/// Seeds that failed once, with what was wrong then; every sweep plays them too.
const KEPT_SEEDS: &str = include_str!("../seeds/simulation.txt");

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

/// Plays every seed of the range, and those that failed once, over all cores.
pub fn sweep(seeds: Seeds) -> anyhow::Result<()> {
    let kept = kept_seeds();
    let all: Vec<u64> = kept.iter().copied().chain(seeds.from..seeds.to).collect();
    let next = AtomicU64::new(0);
    let ended: Mutex<Vec<Result<Report, Violation>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = take(&all, &next) {
                    let result = run(seed, Settings::of_seed(seed));
                    if let Ok(mut ended) = ended.lock() {
                        ended.push(result);
                    }
                }
            });
        }
    });
    let ended = ended.into_inner().map_err(|_| anyhow::anyhow!("a thread of the sweep panicked"))?;
    anyhow::ensure!(ended.len() == all.len(), "{} of {} seeds were played", ended.len(), all.len());
    tell(&ended)
}

fn take(all: &[u64], next: &AtomicU64) -> Option<u64> {
    let place = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok()?;
    all.get(place).copied()
}

fn tell(ended: &[Result<Report, Violation>]) -> anyhow::Result<()> {
    let mut sum = Report::default();
    for report in ended.iter().flatten() {
        sum.events += report.events;
        sum.messages += report.messages;
        sum.lost += report.lost;
        sum.crashes += report.crashes;
        sum.written += report.written;
        sum.handoffs += report.handoffs;
    }
    println!(
        "{} events, {} messages ({} lost), {} crashes, {} operations, {} handoffs",
        sum.events, sum.messages, sum.lost, sum.crashes, sum.written, sum.handoffs
    );
    let violations: Vec<&Violation> = ended.iter().filter_map(|result| result.as_ref().err()).collect();
    for violation in &violations {
        println!("{violation}\n  again: cargo dev sim --seed {} --replay", violation.seed);
    }
    println!("simulation: {} passed, {} failed", ended.len() - violations.len(), violations.len());
    anyhow::ensure!(violations.is_empty(), "the simulation found what must never be");
    Ok(())
}

fn kept_seeds() -> Vec<u64> {
    let lines = KEPT_SEEDS.lines().filter_map(|line| line.split('#').next());
    lines.filter_map(|line| line.trim().parse().ok()).collect()
}

/// Plays one seed; with `told`, prints every event.
pub fn one(seed: u64, told: bool) -> anyhow::Result<()> {
    let settings = Settings::of_seed(seed);
    println!("{settings:?}");
    let result = replay(seed, settings, &mut |event| {
        if told {
            println!("{event}");
        }
    });
    println!("{:?}", result?);
    Ok(())
}
