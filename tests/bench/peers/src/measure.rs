//! The command line of every program, and the order of its works.

use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::figures::{Figures, Unfinished, percentile};
use crate::node::{self, Node, Setup};
use crate::works::{Caught, Link, Outcome, Reached};

#[derive(Parser)]
struct Program {
    #[command(subcommand)]
    doing: Doing,
}

#[derive(Subcommand)]
enum Doing {
    /// Run two ends and print what was measured, as JSON
    Measure(Measure),
    /// Be one end
    #[command(hide = true)]
    Node(Setup),
}

/// A work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Work {
    /// Alerts, one after another
    W1,
    /// One end was away while the other wrote
    W2,
    /// Few of many shared documents differ
    W3,
}

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Measure {
    /// Which works; all if none is named
    #[arg(value_enum, ignore_case = true)]
    pub works: Vec<Work>,
    /// Runs of each
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// W1: alerts of a run
    #[arg(long, default_value_t = 1_000)]
    pub alerts: u32,
    /// W2: documents that the other end lacks
    #[arg(long, default_value_t = 10_000)]
    pub documents: u32,
    /// W2: changes of each
    #[arg(long, default_value_t = 6)]
    pub changes: u32,
    /// W3: documents that both ends have, of one change each
    #[arg(long, default_value_t = 50_000)]
    pub shared: u32,
    /// W3: of these, so many get another change
    #[arg(long, default_value_t = 100)]
    pub changed: u32,
    /// Seconds after which a measurement, or making ready for it, is stopped
    #[arg(long, default_value_t = 60)]
    pub within: u64,
}

/// Runs the program of this system.
pub fn main<N: Node>() -> anyhow::Result<()> {
    match Program::parse().doing {
        Doing::Node(setup) => tokio::runtime::Runtime::new()?.block_on(node::run::<N>(&setup)),
        Doing::Measure(measure) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let figures = runtime.block_on(works::<N>(&measure))?;
            println!("{}", figures.json(&N::ABOUT));
            Ok(())
        }
    }
}

async fn works<N: Node>(measure: &Measure) -> anyhow::Result<Figures> {
    let folder = tempfile::tempdir()?;
    let within = Duration::from_secs(measure.within);
    let link = Link { folder: folder.path().to_owned(), within, lazy: false };
    let wanted = |work| measure.works.is_empty() || measure.works.contains(&work);
    let mut figures = Figures::default();
    if wanted(Work::W1) {
        live(&mut figures, measure, &link, "").await?;
        if N::ABOUT.lazy_as_shipped {
            let link = Link { lazy: true, ..link.clone() };
            live(&mut figures, measure, &link, ", as it ships: not yet on the disk").await?;
        }
    }
    if wanted(Work::W2) {
        let Measure { documents, changes, .. } = *measure;
        let what = format!("{documents} documents × {changes}");
        if let Some(filled) = filled(&mut figures, &link, "W2", measure, (documents, changes)).await? {
            let run = async || link.catch_up(&filled, documents, changes).await;
            caught(&mut figures, "W2", &what, measure, documents, run).await?;
            std::fs::remove_dir_all(&filled)?;
        }
    }
    if wanted(Work::W3) {
        let Measure { shared, changed, .. } = *measure;
        let changed = changed.min(shared);
        let what = format!("{changed} of {shared} differ");
        if let Some(filled) = filled(&mut figures, &link, "W3", measure, (shared, 1)).await? {
            let run = async || link.difference(&filled, shared, changed).await;
            caught(&mut figures, "W3", &what, measure, changed, run).await?;
            std::fs::remove_dir_all(&filled)?;
        }
    }
    Ok(figures)
}

async fn live(figures: &mut Figures, measure: &Measure, link: &Link, how: &str) -> anyhow::Result<()> {
    let (mut medians, mut tails) = (Vec::new(), Vec::new());
    for _ in 0..measure.runs {
        match link.live(measure.alerts).await? {
            Ok(times) => {
                medians.push(percentile(&times, 50.0));
                tails.push(percentile(&times, 99.0));
            }
            Err(Reached(reached)) => {
                let doing = format!("alerts one after another{how}");
                let (seconds, of) = (measure.within, measure.alerts as usize);
                figures.stopped(Unfinished { work: "W1", doing, seconds, reached, of });
                break;
            }
        }
    }
    if !medians.is_empty() {
        figures.add("W1", format!("median{how}"), "ms", medians);
        figures.add("W1", format!("p99{how}"), "ms", tails);
    }
    Ok(())
}

async fn filled(
    figures: &mut Figures,
    link: &Link,
    work: &'static str,
    measure: &Measure,
    (documents, changes): (u32, u32),
) -> anyhow::Result<Option<std::path::PathBuf>> {
    let filled = link.filled(documents, changes).await?;
    if filled.is_none() {
        let doing = format!("making {documents} documents × {changes}");
        let of = documents as usize;
        figures.stopped(Unfinished { work, doing, seconds: measure.within, reached: 0, of });
    }
    Ok(filled)
}

async fn caught(
    figures: &mut Figures,
    work: &'static str,
    what: &str,
    measure: &Measure,
    of: u32,
    run: impl AsyncFn() -> Outcome<Caught>,
) -> anyhow::Result<()> {
    let (mut times, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..measure.runs {
        match run().await? {
            Ok(caught) => {
                times.push(caught.ms);
                bytes.push(f64::from(u32::try_from(caught.bytes)?));
            }
            // Another run would only take as long again.
            Err(Reached(reached)) => {
                let (doing, seconds, of) = (what.to_owned(), measure.within, of as usize);
                figures.stopped(Unfinished { work, doing, seconds, reached, of });
                break;
            }
        }
    }
    if !times.is_empty() {
        figures.add(work, format!("{what}, time"), "ms", times);
        figures.add(work, format!("{what}, bytes"), "B", bytes);
    }
    Ok(())
}
