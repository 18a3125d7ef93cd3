//! `cargo dev blast`: how much slower everybody else's alerts get while one node attacks. One run plays
//! phases without and with the attack in turn (A B A B ...), so that what else the machine does weighs on
//! both alike; what each phase leaves behind is settled before the next. The figure that is held to
//! [`RATIO_MAX`] is the median of all alerts with the attack over the median of all without; the same for
//! the 99th percentile is printed beside it, with the middle of the ratios pair by pair.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tests::blast::{Attack, MEMORY_MIB_MAX, Scene};

/// The most that an attack may cost.
const RATIO_MAX: f64 = 1.2;
/// Alerts of each kind of phase below which a figure is not believed.
const ALERTS_MIN: usize = 200;
/// Longer than a peer that broke the program is muted.
const HEARD_AGAIN: Duration = Duration::from_secs(11);

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Blast {
    /// Only this attack: flood, stuck, deaf or panic; may be given several times
    #[arg(long)]
    only: Vec<String>,
    /// Pairs of a phase without and a phase with the attack
    #[arg(long, default_value_t = 6)]
    pairs: usize,
    /// How long a phase goes on, in milliseconds
    #[arg(long, default_value_t = 2_000)]
    phase_ms: u64,
    /// Measure the build for developers as it is, without building a release
    #[arg(long)]
    as_built: bool,
    /// Build what is needed and measure nothing
    #[arg(long)]
    build_only: bool,
}

/// Measures every attack and prints the ratios.
pub fn run(root: &Path, blast: &Blast) -> anyhow::Result<()> {
    if cfg!(debug_assertions) && !blast.as_built {
        return in_release(root, blast.build_only);
    }
    tokio::runtime::Runtime::new()?.block_on(measure(blast))
}

/// Latencies of alerts, in milliseconds, phase by phase.
#[derive(Default)]
struct Phases(Vec<Vec<f64>>);

impl Phases {
    fn all(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.0.iter().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        all
    }
}

async fn measure(blast: &Blast) -> anyhow::Result<()> {
    let dev = std::env::current_exe()?;
    let wanted = |attack: &Attack| {
        let name = format!("{attack:?}").to_lowercase();
        blast.only.is_empty() || blast.only.contains(&name)
    };
    let attacks: Vec<Attack> = Attack::ALL.into_iter().filter(wanted).collect();
    anyhow::ensure!(!attacks.is_empty(), "there is no such attack");
    let mut failed = Vec::new();
    println!(
        "{:<7} {:>7} {:>6} {:>9} {:>9} {:>6} {:>9} {:>9} {:>6} {:>6} {:>5}",
        "attack", "without", "with", "p50", "p50 with", "ratio", "p99", "p99 with", "p99 r.", "pairs", "MiB"
    );
    for attack in attacks {
        let mut scene = Scene::set(&dev).await;
        let (without, with) = phases(&mut scene, attack, blast).await;
        let (quiet, attacked) = (without.all(), with.all());
        let ratio = |q| at(&attacked, q) / at(&quiet, q);
        let mut pairs: Vec<f64> = without.0.iter().zip(&with.0).map(|(a, b)| middle(b) / middle(a)).collect();
        pairs.sort_by(f64::total_cmp);
        let memory = scene.memory_mib();
        println!(
            "{:<7} {:>7} {:>6} {:>9.2} {:>9.2} {:>6.2} {:>9.2} {:>9.2} {:>6.2} {:>6.2} {memory:>5}",
            format!("{attack:?}").to_lowercase(),
            quiet.len(),
            attacked.len(),
            at(&quiet, 0.5),
            at(&attacked, 0.5),
            ratio(0.5),
            at(&quiet, 0.99),
            at(&attacked, 0.99),
            ratio(0.99),
            at(&pairs, 0.5),
        );
        let few = quiet.len().min(attacked.len()) < ALERTS_MIN;
        if ratio(0.5) > RATIO_MAX || memory >= MEMORY_MIB_MAX || few {
            failed.push(format!("{attack:?}"));
        }
    }
    anyhow::ensure!(
        failed.is_empty(),
        "above {RATIO_MAX} or {MEMORY_MIB_MAX} MiB, or fewer than {ALERTS_MIN} alerts: {}",
        failed.join(", ")
    );
    Ok(())
}

/// All phases of one attack, in turn, those without it first.
async fn phases(scene: &mut Scene, attack: Attack, blast: &Blast) -> (Phases, Phases) {
    // Whoever broke the program is not heard for a while: a shorter phase might see no panic at all.
    let heard_again = if attack == Attack::Panic { HEARD_AGAIN } else { Duration::ZERO };
    let long = Duration::from_millis(blast.phase_ms).max(heard_again);
    // What is cold at first is warm in neither phase.
    let _warm = for_a_while(scene, long).await;
    let (mut without, mut with) = (Phases::default(), Phases::default());
    for _ in 0..blast.pairs {
        without.0.push(for_a_while(scene, long).await);
        let running = scene.begin(attack).await;
        with.0.push(for_a_while(scene, long).await);
        running.end().await;
        scene.settle().await;
    }
    (without, with)
}

async fn for_a_while(scene: &mut Scene, long: Duration) -> Vec<f64> {
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < long {
        took.extend(scene.alerts(1).await);
    }
    took
}

/// The value below which this share of sorted values lies.
fn at(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list of some thousand"
    )]
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place).or(sorted.last()).copied().unwrap_or(f64::NAN)
}

fn middle(phase: &[f64]) -> f64 {
    let mut sorted = phase.to_vec();
    sorted.sort_by(f64::total_cmp);
    at(&sorted, 0.5)
}

/// Builds the release with the faults that tests plant, and runs that with the same arguments.
fn in_release(root: &Path, build_only: bool) -> anyhow::Result<()> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--package", "node", "--package", "tests", "--bins"])
        .args(["--features", "node/planted-faults", "--target-dir", "target/planted"])
        .current_dir(root)
        .status()?;
    anyhow::ensure!(built.success(), "the release does not build");
    if build_only {
        return Ok(());
    }
    let release = root.join("target/planted/release");
    let ran = Command::new(release.join("dev"))
        .args(std::env::args_os().skip(1))
        .env("CUADRA_BINARY", release.join("cuadra"))
        .status()?;
    anyhow::ensure!(ran.success(), "an attack costs the others too much");
    Ok(())
}
