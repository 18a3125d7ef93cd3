//! What the sources themselves must be: crate edges, licences, file shapes, leftovers, and where the
//! database, the web framework and the transport may be named.
//!
//! It reads tracked files and `cargo metadata`; it never starts the product.

mod documents;
mod operations;
mod signing;
pub(crate) mod tree;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tree::{Source, cargo_metadata, sources, sources_under};

/// Longest source file, in lines: past this a file has more than one idea.
const FILE_LINES_MAX: usize = 600;
/// Longest line of code, in characters; rustfmt wraps code at 110, this holds its comments and texts too.
const LINE_CHARS_MAX: usize = 125;
/// Who may depend on whom inside the workspace.
const CRATE_EDGES: [(&str, &[&str]); 5] = [
    ("protocol", &[]),
    ("config", &["protocol"]),
    ("federation", &["protocol"]),
    ("node", &["protocol", "config", "federation"]),
    ("tests", &["protocol", "config", "federation", "node"]),
];
/// Crates that have a better counterpart here: one TLS provider, no C library for it.
const BANNED_CRATES: [&str; 7] =
    ["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys", "rustls-native-certs", "serde_yaml"];
/// Licences that go with AGPL-3.0-or-later. A crate needs one of its alternatives to consist of these.
const LICENCES: [&str; 13] = [
    "0BSD",
    "AGPL-3.0-or-later",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
/// Names that say nothing about what a file owns.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "manager", "misc", "mod"];
/// What must not be left behind. Split, so that this list does not find itself.
const LEFTOVERS: [&str; 9] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("XX", "X:"),
    concat!("HA", "CK"),
    concat!("#[ign", "ore"),
    concat!(".ski", "p("),
];
/// Waiting for time instead of for a condition.
const SLEEPS: [&str; 3] =
    [concat!("thread::sl", "eep"), concat!("time::sl", "eep"), concat!("waitForTime", "out")];

fn check(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn crates_depend_only_along_the_drawn_edges() {
    let allowed: BTreeMap<_, _> = CRATE_EDGES.into_iter().collect();
    let metadata = cargo_metadata(&["--no-deps"]);
    let mut violations = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name");
        let Some(edges) = allowed.get(name) else {
            violations.push(format!("{name}: a crate that the drawing does not have"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let to = dependency["name"].as_str().expect("name");
            if allowed.contains_key(to) && !edges.contains(&to) {
                violations.push(format!("{name} → {to}: no such edge"));
            }
        }
    }
    check(&violations);
}

#[test]
fn every_dependency_is_allowed_and_freely_licensed() {
    let metadata = cargo_metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let resolved: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter_map(|node| node["id"].as_str())
        .collect();
    let mut violations = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        if !package["id"].as_str().is_some_and(|id| resolved.contains(id)) {
            continue;
        }
        let name = package["name"].as_str().expect("name");
        if BANNED_CRATES.contains(&name) {
            violations.push(format!("{name}: banned"));
        }
        let licence = package["license"].as_str().unwrap_or("none");
        if !licence_is_free(licence) {
            violations.push(format!("{name}: licence {licence}"));
        }
    }
    check(&violations);
}

/// True if one alternative of the expression needs only licences of the list.
fn licence_is_free(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    expression.split(" AND ").all(|part| part.split(" OR ").any(|choice| LICENCES.contains(&choice.trim())))
}

#[test]
fn a_licence_expression_needs_one_free_alternative() {
    for (expression, free) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("MIT AND GPL-3.0-only", false),
        ("none", false),
    ] {
        assert_eq!(licence_is_free(expression), free, "{expression}");
    }
}

fn is_code(source: &Source) -> bool {
    // What a program writes is as long as it is.
    !source.path.contains("/generated/")
        && ["rs", "ts", "tsx", "js", "mjs", "css", "html"].contains(&source.extension())
}

#[test]
fn files_and_lines_stay_short() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| is_code(source)) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            violations.push(format!("{}: {lines} lines, {FILE_LINES_MAX} at most", source.path));
        }
        // Templates: a line break is a space on the page.
        let lines = source.text.lines().filter(|_| source.extension() != "html");
        for (number, line) in lines.enumerate() {
            let characters = line.chars().count();
            // Words that a person reads are not broken for the sake of a column.
            let only_words = line.trim_start().starts_with('"') || source.path.ends_with("/tests.rs");
            if characters > LINE_CHARS_MAX && !only_words {
                violations.push(format!("{}:{}: {characters} characters", source.path, number + 1));
            }
        }
    }
    check(&violations);
}

#[test]
fn every_file_is_named_after_what_it_owns() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| is_code(source)) {
        let parts = source.path.split('/').map(|part| part.split('.').next().unwrap_or(part));
        for part in parts.filter(|part| EMPTY_NAMES.contains(part)) {
            violations.push(format!("{}: «{part}» says nothing", source.path));
        }
    }
    check(&violations);
}

#[test]
fn every_rust_file_says_what_it_owns() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| source.extension() == "rs") {
        // A file of tests belongs to the file that it tests.
        if !source.text.starts_with("//!") && !source.path.ends_with("/tests.rs") {
            violations.push(format!("{}: does not start with //!", source.path));
        }
    }
    check(&violations);
}

#[test]
fn nothing_is_left_for_later_and_no_test_is_switched_off() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| is_code(source)) {
        for (number, line) in source.text.lines().enumerate() {
            // An iterator's `skip` takes a number; the test runner's takes a reason.
            let switched_off =
                |marker: &str| marker != LEFTOVERS[8] || source.path.starts_with("tests/browser");
            for marker in LEFTOVERS.iter().filter(|marker| line.contains(**marker) && switched_off(marker)) {
                violations.push(format!("{}:{}: {marker}", source.path, number + 1));
            }
        }
    }
    check(&violations);
}

#[test]
fn tests_wait_for_conditions_and_never_for_time() {
    let mut violations = Vec::new();
    // A bench sends at a fixed rate and lets a process come to rest: there time is what is measured.
    let bench = |source: &&Source| source.path.starts_with("tests/src/bench");
    for source in sources().iter().filter(|source| is_code(source) && !bench(source)) {
        let whole_file = source.path.starts_with("tests/") || source.path.contains("/tests");
        let mut in_tests = whole_file;
        for (number, line) in source.text.lines().enumerate() {
            in_tests |= line.trim_start().starts_with("#[cfg(test)]");
            if in_tests && SLEEPS.iter().any(|sleep| line.contains(sleep)) {
                violations.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    check(&violations);
}

/// A word of a dependency, and the only places that may say it.
const HOMES: [(&str, &[&str]); 4] = [
    ("rusqlite", &["node/src/store", "tests/"]),
    ("quinn", &["federation/", "tests/"]),
    ("axum", &["node/src/http", "node/src/serve", "tests/"]),
    ("automerge", &["protocol/src/", "tests/"]),
];

#[test]
fn database_web_framework_and_transport_stay_in_their_places() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| source.extension() == "rs") {
        for (word, homes) in HOMES {
            if homes.iter().any(|home| source.path.starts_with(home)) {
                continue;
            }
            let named = [format!("{word}::"), format!("use {word};")];
            for (number, line) in source.text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or(line);
                if named.iter().any(|name| contains_word(code, name)) {
                    violations.push(format!("{}:{}: {word}", source.path, number + 1));
                }
            }
        }
    }
    check(&violations);
}

/// True if `needle` stands in `line` and no letter, digit or underscore stands before it.
fn contains_word(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(at, _)| {
        line.get(..at)
            .and_then(|before| before.chars().next_back())
            .is_none_or(|character| !character.is_alphanumeric() && character != '_')
    })
}

#[test]
fn sql_is_written_only_in_the_store() {
    let words = ["SELECT ", "INSERT INTO ", "DELETE FROM ", "CREATE TABLE ", "PRAGMA "];
    let mut violations = Vec::new();
    for source in sources_under("node/src/").iter().filter(|source| source.extension() == "rs") {
        if source.path.starts_with("node/src/store") {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            if words.iter().any(|word| contains_word(line, word)) {
                violations.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    check(&violations);
}

#[test]
fn no_file_names_a_machine_or_a_registry_host() {
    let hosts = [
        concat!("registry.npm", "js.org"),
        concat!("static.cra", "tes.io"),
        concat!("index.cra", "tes.io"),
        concat!("deb.deb", "ian.org"),
        concat!("py", "pi.org"),
    ];
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| source.path != "LICENSE") {
        for (number, line) in source.text.lines().enumerate() {
            for word in hosts.iter().chain(paths.iter()).filter(|word| line.contains(**word)) {
                violations.push(format!("{}:{}: {word}", source.path, number + 1));
            }
        }
    }
    check(&violations);
}

#[test]
fn npm_packages_are_pinned_without_saying_where_they_came_from() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| source.path.ends_with("package-lock.json")) {
        let lock: Value = serde_json::from_str(&source.text).expect("a lock file is JSON");
        let packages = lock["packages"].as_object().expect("packages");
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            if package.get("resolved").is_some() {
                violations.push(format!("{}: {name} says where it was fetched", source.path));
            }
            if package.get("integrity").is_none() && package.get("inBundle").is_none() {
                violations.push(format!("{}: {name} has no integrity", source.path));
            }
        }
    }
    check(&violations);
}
