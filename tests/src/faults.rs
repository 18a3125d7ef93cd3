//! `cargo dev faults`: does it bite? Each planted fault breaks one rule in a scratch copy of the sources,
//! and names the test that must then fail, with words of that failure that show that it failed for this
//! reason. The faults themselves are exact replacements in `tests/faults/*.toml`, so that a change of
//! the code that moves one shows at once.

mod scratch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use scratch::Scratch;

/// Where the faults are written down, from the root of the project.
const FOLDER: &str = "tests/faults";

/// One planted fault.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What people call it.
    pub name: String,
    /// What is wrong with a program that has it, as one clause.
    pub breaks: String,
    /// The crate whose tests notice.
    pub package: String,
    /// The test that must fail, by its whole path in the crate.
    pub test: String,
    /// Words of the failure that a failure for another reason would not have.
    pub says: String,
    /// What is changed.
    pub edit: Vec<Edit>,
}

/// One replacement in one file.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Path from the root of the project.
    pub file: String,
    /// Stands there exactly once.
    pub find: String,
    /// Takes its place.
    pub write: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    fault: Vec<Fault>,
}

/// Every fault, by the crate whose tests notice it, then by name.
pub fn read(root: &Path) -> anyhow::Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(root.join(FOLDER))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        let page: Page = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        faults.extend(page.fault);
    }
    faults.sort_by(|a, b| (&a.package, &a.name).cmp(&(&b.package, &b.name)));
    Ok(faults)
}

impl Fault {
    /// The changed files, by path: every place to change stands there once and the change is one.
    pub fn plant(
        &self,
        read: &dyn Fn(&str) -> anyhow::Result<String>,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let mut changed: BTreeMap<String, String> = BTreeMap::new();
        for edit in &self.edit {
            let text = match changed.get(&edit.file) {
                Some(text) => text.clone(),
                None => read(&edit.file)?,
            };
            let places = text.matches(&edit.find).count();
            ensure!(
                places == 1,
                "{}: {} holds {:?} {places} times, not once",
                self.name,
                edit.file,
                edit.find
            );
            let written = text.replace(&edit.find, &edit.write);
            ensure!(written != text, "{}: {} stays as it is", self.name, edit.file);
            changed.insert(edit.file.clone(), written);
        }
        ensure!(!changed.is_empty(), "{}: changes nothing", self.name);
        Ok(changed)
    }

    /// The last part of the test's path: the name of its function.
    #[must_use]
    pub fn test_function(&self) -> &str {
        self.test.rsplit("::").next().unwrap_or(&self.test)
    }
}

/// What became of one planted fault.
#[derive(Debug, Clone)]
pub struct Played {
    /// The fault.
    pub fault: Fault,
    /// Nothing if its test failed and said why; else what went wrong.
    pub missed: Option<String>,
    /// How long building and testing took.
    pub took: Duration,
}

/// Plants every fault of `only` (all, if that is empty) one at a time, after the clean tree has passed
/// the same tests. `told` hears of each as it is done.
pub fn play(root: &Path, only: &[String], told: &mut dyn FnMut(&Played)) -> anyhow::Result<Vec<Played>> {
    let all = read(root)?;
    for name in only {
        ensure!(all.iter().any(|fault| fault.name == *name), "there is no fault called {name}");
    }
    let wanted: Vec<Fault> =
        all.into_iter().filter(|fault| only.is_empty() || only.contains(&fault.name)).collect();
    let scratch = Scratch::copy_of(root)?;
    check_clean(&scratch, &wanted)?;
    let mut played = Vec::new();
    for fault in wanted {
        let began = Instant::now();
        let missed = missed(&scratch, &fault)?;
        let one = Played { fault, missed, took: began.elapsed() };
        told(&one);
        played.push(one);
    }
    Ok(played)
}

/// Without a fault, every named test is there and passes.
fn check_clean(scratch: &Scratch, faults: &[Fault]) -> anyhow::Result<()> {
    let mut tests: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for fault in faults {
        tests.entry(&fault.package).or_default().insert(&fault.test);
    }
    for (package, tests) in tests {
        let run = scratch.test(package, &tests.iter().copied().collect::<Vec<_>>())?;
        for test in tests {
            if !run.said.contains(&format!("test {test} ... ok")) {
                bail!("without any fault, {package} {test} does not pass:\n{}", run.said);
            }
        }
    }
    Ok(())
}

/// Plants one fault, runs its test and takes the fault out again. Why it was not noticed, if it was not.
fn missed(scratch: &Scratch, fault: &Fault) -> anyhow::Result<Option<String>> {
    let planted = match scratch.plant(fault) {
        Ok(planted) => planted,
        Err(error) => return Ok(Some(format!("{error:#}"))),
    };
    let run = scratch.test(&fault.package, &[&fault.test])?;
    drop(planted);
    let failed = run.said.contains(&format!("test {} ... FAILED", fault.test));
    Ok(if run.said.contains("could not compile") {
        Some(format!("it does not compile:\n{}", run.said))
    } else if run.out_of_time {
        Some("its test ran out of time".into())
    } else if !failed {
        Some(format!("{} did not fail", fault.test))
    } else if !run.said.contains(&fault.says) {
        Some(format!("{} failed without saying {:?}:\n{}", fault.test, fault.says, run.said))
    } else {
        None
    })
}

/// Plays the faults and prints a table; an error unless every one was noticed.
pub fn run(root: &Path, only: &[String]) -> anyhow::Result<()> {
    println!("{:<44} {:>5}  {:<8} noticed by", "fault", "s", "");
    let mut tell = |one: &Played| {
        let result = if one.missed.is_none() { "noticed" } else { "MISSED" };
        let seconds = one.took.as_secs();
        println!("{:<44} {seconds:>5}  {result:<8} {} {}", one.fault.name, one.fault.package, one.fault.test);
        if let Some(why) = &one.missed {
            println!("  {}\n  {why}", one.fault.breaks);
        }
    };
    let played = play(root, only, &mut tell)?;
    let noticed = played.iter().filter(|one| one.missed.is_none()).count();
    println!("planted faults: {noticed} of {} noticed", played.len());
    ensure!(noticed == played.len(), "a test that should have failed did not");
    Ok(())
}
