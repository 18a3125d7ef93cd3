//! What the demo says while it works: one line that changes on a terminal, whole lines elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

/// Progress of the whole demo; clones share it. Everything goes to standard error.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    quiet: bool,
    terminal: bool,
    /// Done and of how many, by node.
    parts: Arc<Mutex<BTreeMap<&'static str, (u64, u64)>>>,
}

impl Progress {
    pub fn new(quiet: bool) -> Self {
        Self { quiet, terminal: std::io::stderr().is_terminal(), parts: Arc::default() }
    }

    /// What is being done now.
    pub fn line(&self, words: &str) {
        if !self.quiet && self.terminal {
            let mut err = std::io::stderr().lock();
            // Nobody reads progress that cannot be written.
            let _ = write!(err, "\r\x1b[2K{words}");
            let _ = err.flush();
        }
    }

    /// What is done.
    pub fn done(&self, words: &str) {
        if self.quiet {
            return;
        }
        if self.terminal {
            eprintln!("\r\x1b[2K{words}");
        } else {
            eprintln!("{words}");
        }
    }

    /// How far one node's filling is.
    pub fn part(&self, name: &'static str, done: u64, of: u64) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let before = parts.insert(name, (done, of));
        let (done_all, of_all) = parts.values().fold((0, 0), |(a, b), (done, of)| (a + done, b + of));
        drop(parts);
        let percent = |done: u64, of: u64| done * 100 / of.max(1);
        self.line(&format!("Filling in invented households and reports: {} %", percent(done_all, of_all)));
        if !self.terminal && done == of && before != Some((done, of)) && of > 0 {
            self.done(&format!("{name} is filled in"));
        }
    }
}
