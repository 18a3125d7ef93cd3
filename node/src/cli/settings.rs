//! `cuadra config`: the example, and a check of the file that is there.

use std::path::Path;

use clap::Subcommand;

use super::{Trouble, read_config};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print a configuration with every setting, its meaning and its default
    Example,
    /// Check cuadra.toml: says what is wrong and in which line
    Check,
}

impl ConfigCommand {
    pub(super) fn run(&self, folder: &Path) -> Result<(), Trouble> {
        match self {
            Self::Example => print!("{}", config::example()),
            Self::Check => {
                let config = read_config(folder)?;
                println!("The configuration of “{}” is in order.", config.node.name);
            }
        }
        Ok(())
    }
}
