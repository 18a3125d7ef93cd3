//! Federations that hold much, laid down once and kept in `target/bench` for the works and runs that
//! follow. What they hold depends on what was asked for, not on the commit that laid it down: a newer
//! program opens it as it would any node's folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::cluster::places::{BORDER_OF_SAN_MIGUEL, MIDDLE_OF_SAN_MIGUEL, SAN_JOAQUIN, SAN_MIGUEL, Town};
use tests::cluster::{Cluster, Plan};

use super::fill::{self, Filled, Story};
use super::report::Report;

/// What was laid down before a change here is not used any more.
const LAYOUT: u32 = 1;
/// Written last, with what was laid down.
const DONE: &str = "laid-down";
/// The towns of a pair: the first one writes.
pub const PAIR: [Town; 2] = [SAN_MIGUEL, SAN_JOAQUIN];

/// Who holds what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// One node that has no other.
    Alone,
    /// The first of two, the second lacks it.
    ByOne,
    /// Both.
    ByBoth,
}

/// Where federations are kept.
#[derive(Debug, Clone)]
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// Below this folder.
    pub fn in_folder(folder: PathBuf) -> Kept {
        Kept { folder }
    }

    /// Forgets everything that was laid down.
    pub fn forget(&self) -> anyhow::Result<()> {
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder)?;
        }
        Ok(())
    }

    /// The folder of a federation that holds this, laid down now if it is not there.
    pub async fn laid(&self, report: &mut Report, held: Held, story: Story) -> anyhow::Result<PathBuf> {
        let Story { incidents, operations, words, past } = story;
        let words = if words { "-words" } else { "" };
        let past = if past { "-past" } else { "" };
        let name = format!("{LAYOUT}-{held:?}-{incidents}x{operations}{words}{past}").to_lowercase();
        let folder = self.folder.join(name);
        if folder.join(DONE).exists() {
            return Ok(folder);
        }
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let filled = lay(&folder, held, story).await?;
        std::fs::write(folder.join(DONE), format!("{filled:?}\n"))?;
        if filled.took.as_secs() > 0 {
            let what = format!("{incidents} incidents × {operations} laid down, {held:?}").to_lowercase();
            report.add("filling", what, "/s", &[filled.per_second()], None);
        }
        Ok(folder)
    }
}

async fn lay(folder: &Path, held: Held, story: Story) -> anyhow::Result<Filled> {
    let cluster = plan(folder, held, Wires::Relayed).found().await;
    let first = cluster[SAN_MIGUEL].folder.clone();
    match held {
        Held::Alone => fill::one(&first, MIDDLE_OF_SAN_MIGUEL, story).await,
        Held::ByOne => fill::one(&first, BORDER_OF_SAN_MIGUEL, story).await,
        Held::ByBoth => fill::both(&first, &cluster[SAN_JOAQUIN].folder, BORDER_OF_SAN_MIGUEL, story).await,
    }
}

/// What lies between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wires {
    /// Relays that count bytes.
    Relayed,
    /// Nothing.
    Direct,
}

/// The federation in this folder; none of its nodes runs.
pub async fn found(folder: &Path, held: Held, wires: Wires) -> Cluster {
    plan(folder, held, wires).found().await
}

/// The same, each node started by these words.
pub async fn found_under(folder: &Path, held: Held, wires: Wires, words: &[&str]) -> Cluster {
    let mut plan = plan(folder, held, wires);
    plan.run_under(words);
    plan.found().await
}

fn plan(folder: &Path, held: Held, wires: Wires) -> Plan {
    let towns: &[Town] = if held == Held::Alone { &[SAN_MIGUEL] } else { &PAIR };
    let mut plan = Cluster::kept_in(folder, towns);
    if wires == Wires::Direct {
        plan.direct();
    }
    plan
}

/// A copy that may be changed. It goes with what is returned.
pub fn copy(folder: &Path) -> anyhow::Result<tempfile::TempDir> {
    let beside = folder.parent().unwrap_or(folder);
    let copy = tempfile::Builder::new().prefix("copy-").tempdir_in(beside)?;
    let from = folder.join(".");
    let copied = Command::new("cp").args(["-r", "--reflink=auto"]).arg(from).arg(copy.path()).status()?;
    anyhow::ensure!(copied.success(), "{} could not be copied", folder.display());
    Ok(copy)
}
