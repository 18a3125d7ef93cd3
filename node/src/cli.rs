//! The command line: what the one person who runs a node types. It reads and writes files, opens the
//! store and asks the use cases; it decides nothing that they should.

mod answer;
mod backup;
mod doctor;
mod erase;
mod export;
mod fetch;
pub(crate) mod init;
mod invite;
pub(crate) mod join;
mod keys;
mod rebuild;
mod request;
pub(crate) mod roster;
mod rotation;
mod run;
mod settings;
mod unlock;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::open::{NodeError, Opened};
pub(crate) use answer::Tell;
pub use answer::{Exit, Trouble};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "cuadra",
    version,
    about = "Neighbourhood safety: one node per municipality or precinct, joined in a federation.",
    after_help = "The usual way: cuadra init, then cuadra join with the roster file that your federation \
                  sends back, then cuadra run.\nTo look around first: cuadra demo.\n\n\
                  Exit codes: 0 done · 1 it failed · 2 wrong command line · 3 the configuration is wrong · \
                  4 folder, disk or database · 5 keys or roster · 6 network.",
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Folder of the node: cuadra.toml and its data
    #[arg(long, short = 'C', global = true, env = "CUADRA_FOLDER", default_value = ".", value_name = "DIR")]
    folder: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new node in a folder: keys, configuration, empty database
    Init(init::Init),
    /// Start the node
    Run(run::Run),
    /// Ask to join a federation, or take the roster that it sent
    Join(join::Join),
    /// Print a link and QR code for neighbours or operators
    #[command(subcommand)]
    Invite(invite::Invite),
    /// Look at everything and say in plain words what is wrong
    Doctor(doctor::Doctor),
    /// Try a whole federation on this machine, with invented people on real territory
    Demo(crate::demo::Demo),
    /// Make and sign the list of members (for those who hold the root keys)
    #[command(subcommand)]
    Roster(roster::RosterCommand),
    /// Print an example configuration, or check yours
    #[command(subcommand)]
    Config(settings::ConfigCommand),
    /// Write what this node holds to a file
    #[command(subcommand)]
    Export(export::Export),
    /// Copy the node's log, blobs and configuration to a sealed file
    Backup(backup::Backup),
    /// Put a backup back (stop the node first)
    Restore(backup::Restore),
    /// Rotate the node's keys, copy them, and put them back
    #[command(subcommand)]
    Keys(backup::Keys),
    /// Erase a resident, for ever and in old backups too
    Erase(erase::Erase),
    /// Make everything that is derived from the log again (stop the node first)
    Rebuild(rebuild::Rebuild),
    /// Write in older incidents again, after a restore or when somebody else signed as this node
    Unlock(unlock::Unlock),
}

/// Runs the program and gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(say_panic));
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => Exit::Done.into(),
        Err(trouble) => {
            trouble.print();
            trouble.exit().into()
        }
    }
}

/// A mistake of ours, told without a stack trace: what a peer may set off again and again must cost little.
/// Whoever reads a pipe may stop reading: no mistake.
fn say_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let words = panic.payload_as_str().unwrap_or("no words");
    // The library's own words about printing; a panic over what a peer sent never ends the process.
    if words.starts_with("failed printing to std") && words.contains("Broken pipe") {
        std::process::exit(0);
    }
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    eprintln!("cuadra met a mistake of its own: {words} ({place}).");
    eprintln!("What was acknowledged is stored. Please send this line to whoever maintains it.");
}

fn run(cli: Cli) -> Result<(), Trouble> {
    let folder = cli.folder;
    match cli.command {
        Command::Init(init) => init.run(&folder),
        Command::Run(run) => run.run(&folder),
        Command::Invite(invite) => invite.run(&folder),
        Command::Doctor(doctor) => doctor.run(&folder),
        Command::Demo(demo) => block_on(demo.run()),
        Command::Export(export) => export.run(&folder),
        Command::Rebuild(rebuild) => rebuild.run(&folder),
        Command::Unlock(unlock) => unlock.run(&folder),
        Command::Backup(backup) => backup.run(&folder),
        Command::Restore(restore) => restore.run(&folder),
        Command::Keys(keys) => keys.run(&folder),
        Command::Erase(erase) => erase.run(&folder),
        Command::Join(join) => join.run(&folder),
        Command::Roster(command) => command.run(),
        Command::Config(command) => command.run(&folder),
    }
}

/// Reads the node's configuration.
fn read_config(folder: &Path) -> Result<config::Config, Trouble> {
    let path = folder.join("cuadra.toml");
    if !path.exists() {
        let what = format!("There is no node in {}: no cuadra.toml.", folder.display());
        return Err(Trouble::new(Exit::Config, what)
            .hint("Make one with `cuadra init`, or say where it is with --folder."));
    }
    config::Config::load(&path)
        .tell(Exit::Config, "The configuration cannot be used.")
        .map_err(|trouble| trouble.hint("`cuadra config example` shows every setting and what it may be."))
}

/// Opens the node for a command that looks into it.
fn open(config: config::Config) -> Result<Opened, Trouble> {
    Opened::open(config).map_err(|error| {
        let exit = match &error {
            NodeError::Home(_) | NodeError::NoRoster | NodeError::NotListed => Exit::Roster,
            NodeError::TimeZone(..) | NodeError::Territory(_) => Exit::Config,
            NodeError::Store(_) => Exit::Store,
        };
        let trouble = Trouble::new(exit, "The node cannot be opened.").because(&error);
        trouble.hint("`cuadra doctor` looks at everything and says what to do.")
    })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().expect("the system gives threads to a new process");
    runtime.block_on(work)
}
