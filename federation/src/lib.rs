//! How nodes talk: a QUIC endpoint with mutual raw public keys, one connection a pair of nodes, lanes
//! with priorities, the one loop that drives replication, and the transfer of large blobs.
//!
//! This crate decides nothing about incidents. It knows no SQL, no HTTP and no configuration file; what
//! it needs of the node around it stands in [`handlers`].

pub mod close;
pub mod handlers;
pub mod keys;
pub mod limits;
pub mod peers;

mod accept;
mod blob;
mod connection;
mod context;
mod control;
mod dial;
mod driver;
mod endpoint;
mod frame;
mod lane;
mod links;
mod node;
mod resets;

pub use blob::FetchError;
pub use context::{Identity, Timing};
pub use dial::Contacts;
pub use driver::{Core, Fruit, Input, Output};
pub use endpoint::StartError;
pub use lane::Lane;
pub use node::{Federation, Handle, Handlers, Settings};

#[cfg(test)]
mod tests;
