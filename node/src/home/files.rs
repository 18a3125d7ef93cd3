//! Writing small files so that they are whole or not there, and private where they must be.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Something about the node's folder.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A file could not be read.
    #[error("{path} cannot be read")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file or folder could not be written.
    #[error("{path} cannot be written")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{0} is damaged: it does not hold what it should")]
    Spoiled(PathBuf),
    /// A key is there already and is never replaced.
    #[error("{0} is there already; keys are never replaced")]
    KeyThere(PathBuf),
    /// A secret that others may read.
    #[error("{0} can be read by other users of this machine; chmod 600 it")]
    Open(PathBuf),
    /// A roster version in the folder does not follow the ones before it.
    #[error("{0} does not fit the roster versions before it")]
    Roster(PathBuf, #[source] protocol::roster::RosterError),
    /// Another process has the node's folder.
    #[error("another process runs this node already ({0} is taken)")]
    Running(PathBuf),
    /// The operating system gave no randomness.
    #[error("the operating system gave no random numbers")]
    Random(#[source] getrandom::Error),
}

impl HomeError {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }
    fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }
}

/// Makes a folder that only this user can enter; one that is there is left as it is.
pub(super) fn make_private_folder(path: &Path) -> Result<(), HomeError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(HomeError::write(path))
}

/// Writes a file that everybody may read, whole or not at all, and waits until the disk has it.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), HomeError> {
    replace(path, content, 0o644).map_err(HomeError::write(path))
}

/// As [`write_whole`], for the node's user only.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), HomeError> {
    replace(path, content, 0o600).map_err(HomeError::write(path))
}

fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".part");
    let draft = PathBuf::from(draft);
    let _left_by_a_crash = std::fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    match path.parent() {
        Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// True if only the file's owner may read it.
pub(super) fn is_private(path: &Path) -> io::Result<bool> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o077 == 0)
}

/// Takes a file for this process alone.
pub(super) fn lock(path: &Path) -> Result<File, HomeError> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = file.map_err(HomeError::write(path))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(HomeError::Running(path.to_owned())),
        Err(error) => Err(HomeError::write(path)(error.into())),
    }
}
