//! `cuadra rebuild`: drops everything that is derived from the log and makes it again.

use std::path::Path;

use clap::Args;

use super::answer::Tell as _;
use super::{Exit, Trouble, block_on, open, read_config};
use crate::home::Home;

#[derive(Debug, Args)]
pub(super) struct Rebuild {}

impl Rebuild {
    pub(super) fn run(&self, folder: &Path) -> Result<(), Trouble> {
        let config = read_config(folder)?;
        let lock = Home::at(&config.storage.folder).lock();
        let _lock = lock.tell(Exit::Store, "Stop the node first.")?;
        let opened = open(config)?;
        let store = opened.desk.store();
        let failed = "Nothing was changed.";
        let (before, documents, after) = block_on(async {
            let before = store.dump_derived().await?;
            let documents = store.rebuild().await?;
            Ok::<_, crate::store::WriteError>((before, documents, store.dump_derived().await?))
        })
        .tell(Exit::Store, failed)?;
        store.stop();
        println!("{documents} documents were made again from the log.");
        if before == after {
            println!("Everything is exactly as it was.");
        } else {
            println!("The tables differed from the log and are right now. The log itself was not touched.");
        }
        Ok(())
    }
}
