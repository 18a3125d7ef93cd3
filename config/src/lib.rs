//! What a node is told before it starts: its typed configuration, its secrets, its territory and the
//! figures that its coverage is measured by.
//!
//! This crate reads the files that it is pointed at and nothing else: it opens no socket, starts no
//! task and knows no clock.

pub mod cells;
pub mod coverage;
pub mod example;
pub mod file;
pub mod kinds;
pub mod places;
pub mod precinct;
pub mod roles;
pub mod secret;
pub mod settings;
pub mod territory;
pub mod values;

pub use example::example;
pub use file::{ConfigError, Mistake};
pub use secret::{Secret, SecretError, SecretText};
pub use settings::{Config, Jurisdiction, Peer, PeerName};
pub use territory::Territory;
