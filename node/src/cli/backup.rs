//! `cuadra backup`, `cuadra restore` and `cuadra keys`: copies of a node, and putting them back.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use protocol::ids::Millis;

use super::answer::Tell as _;
use super::keys::{Rotate, Tidy};
use super::{Exit, Trouble, read_config};
use crate::backup::{self, CopyError, OfflineKey};
use crate::home::{Home, write_whole};
use crate::store::machine_clock;

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to write; without one, a new file in the folder `storage.backups` of the configuration
    to: Option<PathBuf>,
    /// Write it without sealing it, for a disk that is encrypted itself
    #[arg(long)]
    unsealed: bool,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup
    from: PathBuf,
    /// The offline key, if it is sealed
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Put it in the place of a log that is there
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make new keys of the node beside the old ones, and the request for those who hold the root keys
    Rotate(Rotate),
    /// Remove the node's keys that the roster retired or revoked
    Tidy(Tidy),
    /// Make the offline key that opens sealed copies; keep its file away from this machine
    Offline {
        /// Folder for the secret half: a USB stick, not this disk
        #[arg(value_name = "DIR")]
        stick: PathBuf,
    },
    /// Copy the keys, sealed to the offline key; takes the place of the copy before
    Copy {
        /// The file to write, apart from the backups
        to: PathBuf,
    },
    /// Put a key copy back into a folder that has no keys
    PutBack {
        /// The key copy
        from: PathBuf,
        /// The offline key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
}

impl Backup {
    pub(super) fn run(&self, folder: &Path) -> Result<(), Trouble> {
        let config = read_config(folder)?;
        let (home, now) = (Home::at(&config.storage.folder), machine_clock()());
        let seal = backup::seal_to(&home).map_err(trouble)?;
        if seal.is_none() && !self.unsealed {
            let what = "There is no offline key to seal the backup to; nothing was written.";
            return Err(Trouble::new(Exit::Failed, what).hint(
                "Make one with `cuadra keys offline DIR`, or say --unsealed if the disk is encrypted.",
            ));
        }
        let to = match &self.to {
            Some(to) => to.clone(),
            None => {
                let folder = &config.storage.backups;
                std::fs::create_dir_all(folder)
                    .tell(Exit::Store, "The folder for backups cannot be made.")?;
                folder.join(format!("cuadra-{}.backup", stamp(now)))
            }
        };
        let seal = seal.filter(|_| !self.unsealed);
        backup::back_up(&home, &folder.join("cuadra.toml"), &to, seal, now).map_err(trouble)?;
        println!(
            "The backup is {}. It holds no keys: copy those apart with `cuadra keys copy`.",
            to.display()
        );
        Ok(())
    }
}

impl Restore {
    pub(super) fn run(&self, folder: &Path) -> Result<(), Trouble> {
        let key = self.key.as_deref().map(backup::read_offline_key).transpose().map_err(trouble)?;
        self.restore_config(folder, key.as_ref())?;
        let config = read_config(folder)?;
        let home = Home::at(&config.storage.folder);
        let _lock = home.lock().tell(Exit::Store, "Stop the node first.")?;
        if home.folder().join("node.db").exists() && !self.replace {
            let what = "There is a log in this folder already; nothing was changed.";
            return Err(
                Trouble::new(Exit::Failed, what).hint("Say --replace to put the backup in its place.")
            );
        }
        let done = backup::put_back(&home, &self.from, key.as_ref(), machine_clock()()).map_err(trouble)?;
        println!("The node is as it was on {}.", day(Millis(done.manifest.made_ms)));
        println!(
            "It writes under a new incarnation ({}), so that nobody takes it for two.",
            done.incarnation
        );
        println!(
            "What happened since comes back from the other nodes; {} words or photos too.",
            done.missing_blobs
        );
        println!("Start it with: cuadra run");
        Ok(())
    }

    /// On a new machine the configuration comes out of the backup too.
    fn restore_config(&self, folder: &Path, key: Option<&OfflineKey>) -> Result<(), Trouble> {
        let path = folder.join("cuadra.toml");
        if path.exists() {
            return Ok(());
        }
        let config = backup::config_in(&self.from, key).map_err(trouble)?;
        write_whole(&path, &config).tell(Exit::Store, "The configuration cannot be written.")
    }
}

impl Keys {
    pub(super) fn run(&self, folder: &Path) -> Result<(), Trouble> {
        let home = home_of(folder)?;
        match self {
            Self::Rotate(rotate) => rotate.run(folder, &home)?,
            Self::Tidy(tidy) => tidy.run(&home)?,
            Self::Offline { stick } => {
                let secret = backup::make_offline_key(&home, stick).map_err(trouble)?;
                println!("The offline key is {}. Keep it away from this machine, twice:", secret.display());
                println!("without it no sealed backup and no copy of the keys can ever be opened.");
            }
            Self::Copy { to } => {
                let seal = backup::seal_to(&home).map_err(trouble)?.ok_or_else(|| {
                    Trouble::new(
                        Exit::Failed,
                        "There is no offline key to seal the copy to; nothing was written.",
                    )
                    .hint("Make one with `cuadra keys offline DIR`.")
                })?;
                backup::copy_keys(&home, to, seal, machine_clock()()).map_err(trouble)?;
                println!(
                    "The keys are in {}. Keep it apart from the backups, and only the newest:",
                    to.display()
                );
                println!("what was erased can be read again with an older copy of the keys.");
            }
            Self::PutBack { from, key } => {
                let key = backup::read_offline_key(key).map_err(trouble)?;
                home.make_folders().tell(Exit::Store, "The node's folder cannot be made.")?;
                let _lock = home.lock().tell(Exit::Store, "Stop the node first.")?;
                let manifest =
                    backup::put_keys_back(&home, from, &key, machine_clock()()).map_err(trouble)?;
                println!("The keys of {} are back.", day(Millis(manifest.made_ms)));
            }
        }
        Ok(())
    }
}

/// The node's folder; where there is no configuration yet, where `cuadra init` puts it.
fn home_of(folder: &Path) -> Result<Home, Trouble> {
    if !folder.join("cuadra.toml").exists() {
        return Ok(Home::at(&folder.join("data")));
    }
    Ok(Home::at(&read_config(folder)?.storage.folder))
}

fn trouble(error: CopyError) -> Trouble {
    let (exit, hint) = match &error {
        CopyError::File(..) | CopyError::Database(_) => {
            (Exit::Store, "See whether the disk works and has room.")
        }
        CopyError::Spoiled(_) => (Exit::Failed, "Take another copy, or the right key."),
        CopyError::KeyNeeded => (Exit::Failed, "Say --key FILE with the file of the offline key."),
        CopyError::OtherKind { .. } => {
            (Exit::Failed, "`restore` takes backups, `keys put-back` takes key copies.")
        }
        CopyError::There(_) => (Exit::Failed, "Nothing was changed."),
        CopyError::NoKeys(_) => {
            (Exit::Roster, "Put the key copy back first: cuadra keys put-back FILE --key OFFLINE-KEY")
        }
        CopyError::Home(_) => (Exit::Roster, "`cuadra doctor` looks at everything and says what to do."),
    };
    Trouble::new(exit, "It was not done.").because(&error).hint(hint)
}

fn stamp(at: Millis) -> String {
    time(at).strftime("%Y-%m-%d-%H%M%S").to_string()
}

fn day(at: Millis) -> String {
    time(at).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn time(at: Millis) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(i64::MAX)).unwrap_or_default()
}
