//! Federations of real processes for scenarios, journeys and developers: how they are laid out,
//! started, cut, killed and looked into. No product code.

#![expect(clippy::indexing_slicing, reason = "a scenario that finds nothing where it looks has failed")]

pub mod blast;
pub mod canaries;
pub mod cluster;
pub mod faults;
pub mod fuzz;
pub mod goals;
pub mod peer;
