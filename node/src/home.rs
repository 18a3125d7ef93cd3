//! The node's folder apart from its databases: its own keys, the roster versions it holds, and the
//! mark of its incarnation. The last two lie outside the backup set, so that a restore cannot roll
//! them back.
//!
//! ```text
//! secrets/   envelope.key, tls.key      32 secret bytes in hex, readable by the node's user only
//!            envelope-2.key, …          those that came later; the roster says which one is used
//! roster/    000001.roster, …           versions in the order in which they arrived
//!            incarnation                counter and random part of each incarnation, newest first
//! ```

mod files;
mod keyring;
mod keys;
mod rosters;

use std::path::{Path, PathBuf};

pub use files::{HomeError, write_private, write_whole};
pub use keyring::{HeldKey, Keyring, purpose_name};
pub use keys::{NodeKeys, read_signing_key, write_signing_key};
pub use rosters::{Rosters, decode_chain_file, encode_chain_file};

use protocol::ids::Incarnation;

/// Incarnations that the mark remembers: enough to know one's own for years.
const INCARNATIONS_REMEMBERED: usize = 256;

/// The folder of one node.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// The node that lives in `folder`; nothing is read yet.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }
    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
    /// Where the node's keys lie.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.folder.join("secrets")
    }

    /// Makes the folders, for the node's user only.
    pub fn make_folders(&self) -> Result<(), HomeError> {
        for folder in [&self.folder, &self.secrets(), &self.folder.join("roster")] {
            files::make_private_folder(folder)?;
        }
        Ok(())
    }

    /// Reads the two keys that the node began with.
    pub fn keys(&self) -> Result<NodeKeys, HomeError> {
        NodeKeys::read(&self.secrets())
    }
    /// Reads every key of the node, old and new.
    pub fn keyring(&self) -> Result<Keyring, HomeError> {
        Keyring::read(&self.secrets())
    }
    /// The names of all files among the secrets, in order: whether a key came or went.
    pub fn secret_names(&self) -> Result<Vec<std::ffi::OsString>, HomeError> {
        let folder = self.secrets();
        let entries = std::fs::read_dir(&folder).map_err(HomeError::read(&folder))?;
        let mut names = entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(HomeError::read(&folder))?;
        names.sort_unstable();
        Ok(names)
    }
    /// True if there is a key that signs envelopes, readable or not.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        keyring::any_envelope_key(&self.secrets())
    }
    /// Makes the node's keys. Never replaces any that are there.
    pub fn make_keys(&self) -> Result<NodeKeys, HomeError> {
        NodeKeys::make(&self.secrets())
    }
    /// The roster versions that are kept here.
    pub fn rosters(&self) -> Result<Rosters, HomeError> {
        Rosters::open(&self.folder.join("roster"))
    }

    /// The newest incarnation that was drawn here.
    pub fn incarnation(&self) -> Result<Incarnation, HomeError> {
        let path = self.incarnation_mark();
        self.drawn()?.first().copied().ok_or(HomeError::Spoiled(path))
    }

    /// Every incarnation that was drawn here, as far as they are remembered, newest first.
    pub fn drawn(&self) -> Result<Vec<Incarnation>, HomeError> {
        let path = self.incarnation_mark();
        let text = std::fs::read_to_string(&path).map_err(HomeError::read(&path))?;
        let parse = |line: &str| u64::from_str_radix(line.trim(), 16).map(Incarnation);
        text.lines().map(parse).collect::<Result<_, _>>().map_err(|_| HomeError::Spoiled(path))
    }

    /// Draws the next incarnation, above `at_least` and above every earlier one, and writes its mark
    /// to the disk before anything can be signed with it.
    pub fn draw_incarnation(&self, at_least: u32) -> Result<Incarnation, HomeError> {
        let mut drawn = match self.drawn() {
            Ok(drawn) => drawn,
            Err(HomeError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let before = drawn.first().map_or(0, |newest| newest.counter());
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(HomeError::Random)?;
        let counter = before.max(at_least).saturating_add(1);
        let newest = Incarnation::new(counter, u32::from_be_bytes(random));
        drawn.insert(0, newest);
        drawn.truncate(INCARNATIONS_REMEMBERED);
        let lines: String = drawn.iter().map(|drawn| format!("{:016x}\n", drawn.0)).collect();
        write_private(&self.incarnation_mark(), lines.as_bytes())?;
        Ok(newest)
    }

    /// Takes the folder for one process, until the lock is dropped or the process ends in any way.
    pub fn lock(&self) -> Result<Lock, HomeError> {
        files::lock(&self.folder.join("lock")).map(Lock)
    }

    fn incarnation_mark(&self) -> PathBuf {
        self.folder.join("roster").join("incarnation")
    }
}

/// The folder is this process's own while this lives: two nodes of one folder would fork its chains.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, never read: its end gives the lock back")] std::fs::File);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incarnation_only_grows_and_survives_reading() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        home.make_folders().unwrap();
        let first = home.draw_incarnation(0).unwrap();
        assert_eq!((first.counter(), home.incarnation().unwrap()), (1, first));
        let second = home.draw_incarnation(0).unwrap();
        let third = home.draw_incarnation(40).unwrap();
        assert_eq!((second.counter(), third.counter()), (2, 41));
        assert_eq!(home.drawn().unwrap(), [third, second, first]);
    }

    #[test]
    fn folder_belongs_to_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let lock = home.lock().unwrap();
        assert!(matches!(home.lock(), Err(HomeError::Running(_))));
        drop(lock);
        home.lock().unwrap();
    }

    #[test]
    fn spoiled_mark_is_an_error_and_no_new_start() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        home.make_folders().unwrap();
        std::fs::write(folder.path().join("roster/incarnation"), "gibberish").unwrap();
        assert!(matches!(home.draw_incarnation(0), Err(HomeError::Spoiled(_))));
    }
}
