//! The node: use cases, storage, pages and the command line of one municipality or precinct.

pub mod backup;
pub mod cli;
pub mod demo;
pub mod desk;
pub mod home;
pub mod http;
pub mod insight;
pub mod open;
pub mod pages;
#[cfg(any(debug_assertions, feature = "planted-faults"))]
pub mod planted;
pub mod replication;
pub mod rotation;
pub mod run;
pub mod store;
pub mod views;
