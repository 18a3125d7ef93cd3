//! Whole nodes over real QUIC on loopback, and scripted peers with valid keys that break the rules.

mod blobs;
mod kit;
mod lanes;
mod pairs;
mod refused;
mod replicas;
mod rosters;
mod rotation;
