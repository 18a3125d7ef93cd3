//! A whole federation on one thread in virtual time: real replicas, real signatures, disks that forget
//! what was not written, clocks that are wrong, members that lie, a roster that changes meanwhile, and a
//! network that loses, delays, reorders, repeats and cuts.
//!
//! [`run`] plays one seed. After every event the invariants are checked on what it touched; when the
//! faults stop, everybody must come to hold the same. A violation names its seed and step, and the same
//! seed with the same settings always plays the same.

mod actions;
mod checks;
pub mod dice;
pub mod disk;
mod ends;
mod hostile;
pub mod kept;
mod league;
mod machine;
pub mod node;
mod releases;
mod retention;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod scripts;
mod settings;
mod signatures;
mod tally;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod threats;
mod twins;
mod weather;
mod world;

pub use league::Size;
pub use settings::{Settings, Shape};
pub use tally::{Report, TROUBLE};

use world::World;

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
    play(seed, settings, None)
}

/// Plays one seed and tells every event, for somebody who looks for a mistake.
pub fn replay(seed: u64, settings: Settings, tell: &mut dyn FnMut(&str)) -> Result<Report, Violation> {
    play(seed, settings, Some(tell))
}

fn play(seed: u64, settings: Settings, tell: Option<&mut dyn FnMut(&str)>) -> Result<Report, Violation> {
    let mut world = World::new(seed, settings);
    let result = world.play(tell);
    let step = world.report.events;
    result.map(|()| world.report.clone()).map_err(|what| Violation { seed, step, what })
}
