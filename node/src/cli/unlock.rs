//! `cuadra unlock`: a person decides that a node writes in its older incidents again, after a restore that no
//! peer could vouch for, or after finding out who else signed as this node.

use std::path::Path;

use clap::Args;

use super::answer::Tell as _;
use super::{Exit, Trouble, block_on, open, read_config};
use crate::home::Home;

#[derive(Debug, Args)]
pub(super) struct Unlock {
    /// You have made sure that no other copy of this node runs anywhere
    #[arg(long)]
    no_other_copy_runs: bool,
}

impl Unlock {
    pub(super) fn run(&self, folder: &Path) -> Result<(), Trouble> {
        let config = read_config(folder)?;
        let home = Home::at(&config.storage.folder);
        let _lock = home.lock().tell(Exit::Store, "Stop the node first.")?;
        if !self.no_other_copy_runs {
            let what = "Two copies of one node destroy each other's word. Nothing was changed.";
            return Err(Trouble::new(Exit::Failed, what).hint(
                "Look for a second machine or folder with this node's keys and stop it. If its keys may be in \
                 somebody else's hands, have them revoked in the roster first. Then say --no-other-copy-runs.",
            ));
        }
        let opened = open(config)?;
        let store = opened.desk.store();
        let signed =
            store.read_here(|r| r.greatest_own_counter()).tell(Exit::Store, "Nothing was changed.")?;
        let drawn = home.draw_incarnation(signed).tell(Exit::Roster, "Nothing was changed.")?;
        let lifted = block_on(store.unlock_all(drawn)).tell(Exit::Store, "Nothing was changed.")?;
        store.stop();
        println!("The node writes again in all its incidents; it had waited in {lifted}.");
        Ok(())
    }
}
