//! A copy of the tracked sources below `target/faults`, where faults are planted. It has a build folder
//! of its own, kept for the next time; the copied sources are removed at the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::Fault;

/// Longest time for building and running one test, in seconds; past it the fault made it hang.
const TEST_SECONDS_MAX: u32 = 600;

/// The copy. Removed when dropped.
pub(super) struct Scratch {
    tree: PathBuf,
    build: PathBuf,
}

/// What a run of tests printed.
pub(super) struct Run {
    pub said: String,
    pub out_of_time: bool,
}

/// A fault in the copy; taken out when dropped.
pub(super) struct Planted<'a> {
    scratch: &'a Scratch,
    before: BTreeMap<String, String>,
}

impl Scratch {
    pub fn copy_of(root: &Path) -> anyhow::Result<Scratch> {
        let folder = root.join("target/faults");
        let scratch = Scratch { tree: folder.join("tree"), build: folder.join("build") };
        scratch.clean()?;
        let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output()?;
        ensure!(listed.status.success(), "git does not list the sources");
        let listed = String::from_utf8(listed.stdout)?;
        for path in listed.split('\0').filter(|path| !path.is_empty() && root.join(path).is_file()) {
            let to = scratch.tree.join(path);
            std::fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
            std::fs::copy(root.join(path), to)?;
        }
        Ok(scratch)
    }

    /// What a run that was ended left behind.
    fn clean(&self) -> anyhow::Result<()> {
        if self.tree.exists() {
            std::fs::remove_dir_all(&self.tree).context("removing the scratch copy")?;
        }
        Ok(())
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.tree.join(file)).with_context(|| format!("reading {file}"))
    }

    pub fn plant(&self, fault: &Fault) -> anyhow::Result<Planted<'_>> {
        let mut before = BTreeMap::new();
        for (file, text) in fault.plant(&|file| self.read(file))? {
            before.insert(file.clone(), self.read(&file)?);
            std::fs::write(self.tree.join(file), text)?;
        }
        Ok(Planted { scratch: self, before })
    }

    /// Builds a crate's own tests and runs these.
    pub fn test(&self, package: &str, tests: &[&str]) -> anyhow::Result<Run> {
        let output = Command::new("timeout")
            .args(["--kill-after=10", &TEST_SECONDS_MAX.to_string(), env!("CARGO")])
            .args(["test", "--locked", "--package", package, "--lib", "--", "--exact"])
            .args(tests)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.build)
            .env("CARGO_TERM_COLOR", "never")
            // A backtrace names half the program, also the words that a failure is known by.
            .env("RUST_BACKTRACE", "0")
            .output()
            .context("running cargo in the scratch copy")?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(Run { said, out_of_time: output.status.code() == Some(124) })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = self.clean() {
            eprintln!("{error:#}");
        }
    }
}

impl Drop for Planted<'_> {
    fn drop(&mut self) {
        for (file, text) in &self.before {
            if let Err(error) = std::fs::write(self.scratch.tree.join(file), text) {
                eprintln!("{file} keeps its fault: {error}");
            }
        }
    }
}
