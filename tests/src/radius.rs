//! `cargo dev blast`: how much slower everybody else's alerts get while one node attacks, as ratios of
//! medians from one run, batches with and without the attack in turn. Fails above [`RATIO_MAX`].

use std::path::Path;
use std::process::Command;

use tests::blast::{Attack, MEMORY_MIB_MAX, Scene};

/// The most that an attack may cost.
const RATIO_MAX: f64 = 1.2;

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Blast {
    /// Batches with the attack, each beside one without
    #[arg(long, default_value_t = 6)]
    batches: usize,
    /// Alerts in a batch
    #[arg(long, default_value_t = 60)]
    alerts: usize,
    /// Measure the build for developers as it is, without building a release
    #[arg(long)]
    as_built: bool,
}

/// Measures every attack and prints the ratios.
pub fn run(root: &Path, blast: &Blast) -> anyhow::Result<()> {
    if cfg!(debug_assertions) && !blast.as_built {
        return in_release(root);
    }
    tokio::runtime::Runtime::new()?.block_on(measure(blast))
}

async fn measure(blast: &Blast) -> anyhow::Result<()> {
    let dev = std::env::current_exe()?;
    let mut too_slow = Vec::new();
    println!("{:<8} {:>12} {:>12} {:>7} {:>9}", "attack", "without, ms", "with, ms", "ratio", "peak MiB");
    for attack in Attack::ALL {
        let mut scene = Scene::set(&dev).await;
        let _warm = scene.alerts(blast.alerts).await;
        let (mut quiet, mut attacked) = (Vec::new(), Vec::new());
        for _ in 0..blast.batches {
            quiet.extend(scene.alerts(blast.alerts).await);
            let running = scene.begin(attack).await;
            attacked.extend(scene.alerts(blast.alerts).await);
            running.end().await;
        }
        let (without, with) = (median(&mut quiet), median(&mut attacked));
        let (ratio, memory) = (with / without, scene.memory_mib());
        println!("{:<8} {without:>12.2} {with:>12.2} {ratio:>7.2} {memory:>9}", format!("{attack:?}"));
        if ratio > RATIO_MAX || memory >= MEMORY_MIB_MAX {
            too_slow.push(format!("{attack:?}"));
        }
    }
    anyhow::ensure!(
        too_slow.is_empty(),
        "above {RATIO_MAX} or {MEMORY_MIB_MAX} MiB: {}",
        too_slow.join(", ")
    );
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Builds the release with the faults that tests plant, and runs that with the same arguments.
fn in_release(root: &Path) -> anyhow::Result<()> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--package", "node", "--package", "tests", "--bins"])
        .args(["--features", "node/planted-faults", "--target-dir", "target/planted"])
        .current_dir(root)
        .status()?;
    anyhow::ensure!(built.success(), "the release does not build");
    let release = root.join("target/planted/release");
    let ran = Command::new(release.join("dev"))
        .args(std::env::args_os().skip(1))
        .env("CUADRA_BINARY", release.join("cuadra"))
        .status()?;
    anyhow::ensure!(ran.success(), "an attack costs the others too much");
    Ok(())
}
