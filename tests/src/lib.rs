//! Federations of real processes for scenarios, journeys and developers: how they are laid out,
//! started, cut, killed and looked into. No product code.

pub mod canaries;
pub mod cluster;
pub mod peer;
