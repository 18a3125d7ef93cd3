//! Founding the federation of a scenario, as those who hold its root keys would.

use std::path::Path;

use super::node::Node;
use super::process::cuadra;

/// Lists every node in a first roster and gives it, with everybody's first address, to all.
pub fn found(folder: &Path, nodes: &[Node]) {
    let office = folder.join("root-keys");
    let office_text = office.display().to_string();
    let requests: Vec<String> =
        nodes.iter().map(|node| node.folder.join("member-request.json").display().to_string()).collect();
    let mut arguments = vec!["roster", "create", "--out", &office_text];
    arguments.extend(requests.iter().map(String::as_str));
    let said = cuadra(folder, &arguments);
    let federation = said
        .split_whitespace()
        .find(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .unwrap_or_else(|| panic!("no id of the federation: {said}"));
    let roster = office.join("federation.roster").display().to_string();
    for node in nodes {
        let others = nodes.iter().filter(|other| other.town != node.town);
        let peers: Vec<String> =
            others.map(|other| format!("{}={}", other.town.name, other.address())).collect();
        let mut arguments = vec!["join", &roster, "--federation", federation];
        for peer in &peers {
            arguments.extend(["--peer", peer]);
        }
        let _said = cuadra(&node.folder, &arguments);
    }
}
