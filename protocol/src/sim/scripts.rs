//! What scripts are played with: how long everything takes on the way, and when nodes are handed ticks, is left
//! to chance. What a script says with one seed alone may be luck, so all are played with several.

use std::cell::Cell;

use super::{scenarios, threats};

/// Seeds that every script is played with, beside the one that each has as a test of its own.
const SEEDS: std::ops::Range<u64> = 2..6;

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(1) };
}

/// The seed of the stage that a script sets up.
pub fn seed() -> u64 {
    SEED.get()
}

/// Scripts by their names.
pub type Scripts = &'static [(&'static str, fn())];

/// Every script of a file.
macro_rules! scripts {
    ($($script:ident)*) => {
        pub(super) const SCRIPTS: super::scripts::Scripts = &[$((stringify!($script), $script)),*];
    };
}
pub(super) use scripts;

#[test]
fn scripts_hold_whatever_chance_does() {
    for (scripts, file) in
        [(scenarios::SCRIPTS, include_str!("scenarios.rs")), (threats::SCRIPTS, include_str!("threats.rs"))]
    {
        assert_eq!(scripts.len(), file.matches("#[test]").count(), "a script is not in the list");
        for (seed, (name, script)) in SEEDS.flat_map(|seed| scripts.iter().map(move |script| (seed, script)))
        {
            SEED.set(seed);
            assert!(std::panic::catch_unwind(script).is_ok(), "{name} fails with seed {seed}");
        }
    }
}
