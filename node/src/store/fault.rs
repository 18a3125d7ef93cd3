//! What can go wrong below a use case, sorted by what the node must do about it.

use rusqlite::ErrorCode;

/// Opening the store failed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A folder or a file of the store.
    #[error("could not open {path}")]
    Path {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database refused.
    #[error("the database could not be opened")]
    Sql(#[from] rusqlite::Error),
    /// A secret could not be read or made.
    #[error("the key store could not be opened")]
    Keys(#[from] WriteError),
    /// The files were written by a newer release.
    #[error("the files are at step {found}, this program knows {known}: install the newer release")]
    Newer {
        /// Step of the files.
        found: usize,
        /// Last step of this program.
        known: usize,
    },
    /// The SQLite inside this program has a known defect.
    #[error("SQLite {0} may lose committed pages; 3.51.3 or later, and not 3.52.0, is needed")]
    Sqlite(String),
}

/// Nothing of the job was stored.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// No room. Everything is as it was before; the node stays up.
    #[error("the database or its disk is full")]
    Full,
    /// The disk failed. The process must end: what it believes to be stored may not be.
    #[error("the disk failed")]
    Io,
    /// The store is shut down.
    #[error("the store is shut down")]
    Stopped,
    /// A promise of our own was broken: wrong SQL, a broken constraint, a panic inside a job.
    #[error("the job broke a promise of the store: {0}")]
    Broken(String),
}

impl WriteError {
    pub(super) fn again(&self) -> WriteError {
        match self {
            WriteError::Full => WriteError::Full,
            WriteError::Io => WriteError::Io,
            WriteError::Stopped => WriteError::Stopped,
            WriteError::Broken(why) => WriteError::Broken(why.clone()),
        }
    }
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => WriteError::Full,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly,
            ) => WriteError::Io,
            _ => WriteError::Broken(error.to_string()),
        }
    }
}

impl From<std::io::Error> for WriteError {
    fn from(error: std::io::Error) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's kinds are not ours")]
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => WriteError::Full,
            _ => WriteError::Io,
        }
    }
}
