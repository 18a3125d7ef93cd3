//! How a command ends: an exit code for programs, and for people what happened and what to do now.

use std::error::Error;
use std::process::ExitCode;

/// Exit codes; they are documented in the help and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong or missing.
    Config = 3,
    /// A folder, the disk or the database. A supervisor restarts the node.
    Store = 4,
    /// The node's keys or its roster.
    Roster = 5,
    /// A port is taken or the network does not answer.
    Network = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it was asked: told to a person on standard error.
#[derive(Debug)]
pub struct Trouble {
    exit: Exit,
    what: String,
    why: Vec<String>,
    hint: Option<String>,
}

impl Trouble {
    /// What happened, in a sentence.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), why: Vec::new(), hint: None }
    }
    /// And why, with the causes below it.
    #[must_use]
    pub fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.why.push(error.to_string());
            next = error.source();
        }
        self
    }
    /// What to do now, unless that was said already.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert(hint.into());
        self
    }
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }
    /// Prints it to standard error.
    pub fn print(&self) {
        eprintln!("{}", self.what);
        for why in &self.why {
            eprintln!("  {why}");
        }
        if let Some(hint) = &self.hint {
            eprintln!("{hint}");
        }
    }
}

/// Turns an error into something to tell a person.
pub(crate) trait Tell<T> {
    /// Says `what` happened; the error and its causes say why.
    fn tell(self, exit: Exit, what: impl Into<String>) -> Result<T, Trouble>;
}

impl<T, E: Error> Tell<T> for Result<T, E> {
    fn tell(self, exit: Exit, what: impl Into<String>) -> Result<T, Trouble> {
        self.map_err(|error| Trouble::new(exit, what).because(&error))
    }
}
