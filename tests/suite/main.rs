//! The whole-system suite: one test binary, one module a family. A test's name is the claim it makes.

#![expect(clippy::indexing_slicing, reason = "a scenario that finds nothing where it looks has failed")]

mod bad_input;
mod blast_radius;
mod border;
mod coverage;
mod demo;
mod erasure;
mod faults;
mod fuzz;
mod hostile;
mod hostile_corpus;
mod live;
mod network;
mod nothing_lost;
mod notices;
mod privacy;
mod restore;
mod roster;
mod roster_worst;
mod takeover;
mod tidy;
mod together;
