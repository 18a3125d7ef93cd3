//! `cuadra run`: the node itself.

use std::path::Path;

use clap::Args;
use config::settings::Log;
use tracing_subscriber::EnvFilter;

use super::{Exit, Trouble, block_on, read_config};
use crate::home::HomeError;
use crate::open::NodeError;
use crate::run::{RunError, Running, run};

/// Twice as much is kept at the end of each of the allocator's heaps.
const LARGEST_FREED_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Print one line of JSON with the addresses once the node is ready
    #[arg(long)]
    announce: bool,
    /// End when standard input ends
    #[arg(long)]
    with_parent: bool,
}

impl Run {
    pub(super) fn run(&self, folder: &Path) -> Result<(), Trouble> {
        let config = read_config(folder)?;
        start_log(&config.log);
        keep_freed_memory();
        let running = Running { announce: self.announce, with_parent: self.with_parent };
        block_on(run(config, running)).map_err(|error| explain(&error))
    }
}

/// Has the allocator keep a few MB of what is freed instead of giving them back to the kernel and asking for
/// them again, which many short-lived documents would make it do all the time. It learns that from the
/// largest block of its own mapping that was freed (`M_TRIM_THRESHOLD` in mallopt(3)); elsewhere than in
/// glibc this does nothing. The block is never touched and costs no memory.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGEST_FREED_BYTES)));
}

/// Logs go to standard error, where systemd and containers expect them.
fn start_log(log: &Log) {
    // The libraries below say much that helps nobody who runs a node.
    let level = log.level.as_str();
    let filter = EnvFilter::try_from_env("CUADRA_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,node={level},federation={level},protocol={level}")));
    let log_lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if log.json {
        log_lines.json().init();
    } else {
        log_lines.with_ansi(false).init();
    }
}

fn explain(error: &RunError) -> Trouble {
    let (exit, hint) = match error {
        RunError::OwnKeys(_)
        | RunError::Node(NodeError::Home(_) | NodeError::NoRoster | NodeError::NotListed) => {
            (Exit::Roster, "`cuadra doctor` looks at everything and says what to do.")
        }
        RunError::Node(NodeError::Territory(_) | NodeError::TimeZone(..)) => {
            (Exit::Config, "Correct cuadra.toml; `cuadra config example` shows every setting.")
        }
        RunError::Home(HomeError::Running(_)) => (Exit::Store, "Stop that one first."),
        RunError::Node(NodeError::Store(_)) | RunError::Home(_) => {
            (Exit::Store, "`cuadra doctor` looks at the folder, the disk and the databases.")
        }
        RunError::Disk => {
            (Exit::Store, "Everything acknowledged is stored. Look at the disk, then start again.")
        }
        RunError::Pages(_) | RunError::Link(_) => (
            Exit::Network,
            "Another program may use the port (ss -lnp); cuadra.toml says which ports are used.",
        ),
        RunError::System(..) | RunError::PagesEnded => {
            (Exit::Failed, "Start it again; if that does not help, `cuadra doctor` may.")
        }
    };
    Trouble::new(exit, "The node is not running.").because(error).hint(hint)
}
