//! The node: use cases, storage, pages and the command line of one municipality or precinct.

pub mod cli;
pub mod desk;
pub mod home;
pub mod http;
pub mod insight;
pub mod pages;
pub mod store;
pub mod views;
