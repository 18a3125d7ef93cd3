//! A whole federation on one thread in virtual time: real replicas, real signatures, disks that forget
//! what was not written, and a network that loses, delays, reorders, repeats and cuts.
//!
//! [`run`] plays one seed. After every event the invariants are checked; when the faults stop, everybody
//! must come to hold the same. A violation names its seed and step, and the same seed with the same
//! settings always plays the same.

mod actions;
mod checks;
pub mod dice;
pub mod disk;
mod hostile;
pub mod node;
#[cfg(test)]
mod tests;
mod world;

use world::World;

/// How rough a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Municipal nodes; a precinct and a national node come on top.
    pub municipal: usize,
    /// How long people act and things break, in ms of virtual time.
    pub busy_ms: u64,
    /// How long the rest may take to come into step afterwards, in ms of virtual time.
    pub settle_ms: u64,
    /// Mean time between two operations anywhere, in ms.
    pub action_every_ms: u64,
    /// Messages lost although their connection lives, of 1,000.
    pub loss_per_mille: u64,
    /// Messages delivered twice, of 1,000.
    pub duplicates_per_mille: u64,
    /// Mean time between two changes of the weather (a link cut or healed, a node crashed), in ms.
    pub weather_every_ms: u64,
    /// Of those, crashes, of 1,000.
    pub crashes_per_mille: u64,
    /// Store requests that fail, of 1,000.
    pub store_failures_per_mille: u64,
    /// True if municipal nodes reach only the precinct, and everybody else each other through it.
    pub star: bool,
    /// True if the last municipal node does not follow the rules, although its key is good.
    pub hostile: bool,
}

impl Settings {
    /// Settings that follow from a seed, so that a range of seeds sees many kinds of trouble.
    #[must_use]
    pub fn of_seed(seed: u64) -> Settings {
        let mut dice = dice::Dice::new(seed ^ 0xfeed);
        let rough = [0, 0, 20, 100];
        let mut pick = |all: [u64; 4]| *dice.pick(&all).unwrap_or(&0);
        Settings {
            municipal: usize::try_from(pick([2, 3, 4, 5])).unwrap_or(2),
            busy_ms: pick([20_000, 40_000, 60_000, 90_000]),
            settle_ms: 30 * 60 * 1_000,
            action_every_ms: pick([300, 1_000, 1_500, 3_000]),
            loss_per_mille: pick(rough),
            duplicates_per_mille: pick(rough),
            weather_every_ms: pick([1_000, 4_000, 10_000, 1 << 40]),
            crashes_per_mille: pick([0, 100, 300, 700]),
            store_failures_per_mille: pick([0, 0, 0, 50]),
            star: pick([0, 0, 0, 1]) == 1,
            hostile: pick([0, 0, 0, 1]) == 1,
        }
    }
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events played.
    pub events: u64,
    /// Messages sent.
    pub messages: u64,
    /// Messages lost, with connections or without.
    pub lost: u64,
    /// Crashes.
    pub crashes: u64,
    /// Operations that were sealed and stored.
    pub written: u64,
    /// Operations that the rules refused when their turn came.
    pub refused: u64,
    /// Documents.
    pub documents: usize,
    /// Handoffs committed.
    pub handoffs: u64,
    /// Envelopes rejected by a receiver.
    pub rejected: u64,
    /// Times that the hostile member said two things in one place of its chain.
    pub forks: u64,
    /// Copies that were dropped and blamed on the hostile member.
    pub blamed: u64,
    /// Equal digests.
    pub in_step: u64,
    /// Virtual time from the end of the faults until everybody held the same, in ms.
    pub settled_ms: u64,
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, step {step}: {what}")]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// The event after which it did not hold.
    pub step: u64,
    /// What.
    pub what: String,
}

/// Plays one seed.
pub fn run(seed: u64, settings: Settings) -> Result<Report, Violation> {
    play(seed, settings, &mut |_| {})
}

/// Plays one seed and tells every event, for somebody who looks for a mistake.
pub fn replay(seed: u64, settings: Settings, tell: &mut dyn FnMut(&str)) -> Result<Report, Violation> {
    play(seed, settings, tell)
}

fn play(seed: u64, settings: Settings, tell: &mut dyn FnMut(&str)) -> Result<Report, Violation> {
    let mut world = World::new(seed, settings);
    let result = world.play(tell);
    let step = world.report.events;
    result.map(|()| world.report.clone()).map_err(|what| Violation { seed, step, what })
}
