//! The tracked files of the project and what cargo says of it, read once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// A tracked text file: its path from the root of the project, with slashes, and its text.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path from the root.
    pub path: String,
    /// Contents.
    pub text: String,
}

impl Source {
    /// What follows the last dot of the name, or nothing.
    pub fn extension(&self) -> &str {
        Path::new(&self.path).extension().and_then(|extension| extension.to_str()).unwrap_or("")
    }
}

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the project").to_owned()
}

/// Every tracked text file that is on disk.
pub fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(read_sources);
    assert!(SOURCES.len() > 20, "only {} tracked files were found", SOURCES.len());
    &SOURCES
}

/// Those whose path starts with `prefix`.
pub fn sources_under(prefix: &str) -> Vec<&'static Source> {
    sources().iter().filter(|source| source.path.starts_with(prefix)).collect()
}

/// The file of this path, or an explanation that it is missing.
pub fn source(path: &str) -> &'static Source {
    sources().iter().find(|source| source.path == path).unwrap_or_else(|| panic!("{path} is not tracked"))
}

fn read_sources() -> Vec<Source> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .expect("git lists the tracked files");
    assert!(output.status.success(), "git ls-files failed");
    let listed = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let paths = listed.split('\0').filter(|path| !path.is_empty());
    paths
        .filter_map(|path| {
            let bytes = std::fs::read(root().join(path)).ok()?;
            Some(Source { path: path.to_owned(), text: String::from_utf8(bytes).ok()? })
        })
        .collect()
}

/// `cargo metadata` with these further arguments.
pub fn cargo_metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}
