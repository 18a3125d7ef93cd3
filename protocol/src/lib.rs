//! What two nodes must agree on, and nothing else: identities, signed envelopes, typed operations,
//! admission, documents and their fold, the roster, the messages of the wire and the replication
//! state machine.
//!
//! This crate is pure. It is handed the time and every random byte; it opens no file and no socket,
//! starts no thread and reads no clock. `clippy.toml` beside `Cargo.toml` holds that.

pub mod admission;
pub mod audience;
pub mod author;
pub mod contact;
pub mod derive;
pub mod digest;
pub mod document;
pub mod envelope;
#[cfg(any(test, feature = "sim"))]
pub mod fixture;
pub mod fold;
pub mod frame;
pub mod ids;
pub mod kind;
pub mod limits;
pub mod message;
pub mod operation;
pub mod proof;
pub mod replica;
pub mod roster;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod strict;
#[cfg(any(test, feature = "fuzz"))]
pub mod targets;
pub mod wire;
