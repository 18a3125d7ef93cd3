//! `cuadra doctor`: looks at everything that a node needs and says in plain words what is wrong and
//! what to do. It changes nothing, and works while the node runs.

mod checks;

use std::path::Path;

use clap::Args;

use super::{Exit, Trouble};

/// How one thing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// In order; what was looked at.
    Good(String),
    /// It works, but somebody should do something.
    Warning(String, String),
    /// It does not work; what to do.
    Bad(String, String),
}

#[derive(Debug, Args)]
pub(super) struct Doctor {}

impl Doctor {
    pub(super) fn run(&self, folder: &Path) -> Result<(), Trouble> {
        let found = checks::all(folder);
        let mut bad = 0;
        for found in &found {
            match found {
                Found::Good(what) => println!("  ok       {what}"),
                Found::Warning(what, todo) => {
                    println!("  WARNING  {what}");
                    println!("           {todo}");
                }
                Found::Bad(what, todo) => {
                    bad += 1;
                    println!("  WRONG    {what}");
                    println!("           {todo}");
                }
            }
        }
        println!();
        if bad == 0 {
            println!("Nothing is wrong.");
            return Ok(());
        }
        Err(Trouble::new(Exit::Failed, format!("{bad} thing(s) are wrong; see above.")))
    }
}
