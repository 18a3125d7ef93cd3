//! The roster versions on disk: one file each, numbered by arrival. Arrival matters: of two versions
//! with one number the first stays in force.

use std::path::{Path, PathBuf};

use protocol::limits::ROSTER_BYTES_MAX;
use protocol::roster::{Added, RosterChain, RosterError, SignedRoster};
use protocol::wire::{Reader, WireError, Writer};

use super::files::{HomeError, write_private};

/// Versions that a chain file may hold; more: it is refused.
const CHAIN_VERSIONS_MAX: usize = 10_000;
/// First bytes of a chain file.
const CHAIN_MARK: &[u8] = b"cuadra roster\0\x01";

/// The roster folder, and the chain that its files make.
#[derive(Debug)]
pub struct Rosters {
    folder: PathBuf,
    files: usize,
    chain: Option<RosterChain>,
}

impl Rosters {
    pub(super) fn open(folder: &Path) -> Result<Self, HomeError> {
        let mut rosters = Self { folder: folder.to_owned(), files: 0, chain: None };
        rosters.read_new()?;
        Ok(rosters)
    }

    /// The chain; none before this node has joined a federation.
    #[must_use]
    pub fn chain(&self) -> Option<&RosterChain> {
        self.chain.as_ref()
    }

    /// Reads files that arrived since, for example from `cuadra join`. True if there were any.
    pub fn read_new(&mut self) -> Result<bool, HomeError> {
        let before = self.files;
        loop {
            let path = self.path(self.files + 1);
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
                Err(error) => return Err(HomeError::read(&path)(error)),
            };
            let signed = SignedRoster::decode(&bytes).map_err(|_| HomeError::Spoiled(path.clone()))?;
            take(&mut self.chain, signed).map_err(|error| HomeError::Roster(path, error))?;
            self.files += 1;
        }
        Ok(self.files > before)
    }

    /// Judges a version and keeps it, on the disk before anything relies on it. The first one starts
    /// the chain: whoever calls has compared the federation's id.
    pub fn add(&mut self, signed: SignedRoster) -> Result<Result<Added, RosterError>, HomeError> {
        self.read_new()?;
        let mut chain = self.chain.clone();
        let bytes = signed.encode();
        let added = match take(&mut chain, signed) {
            Ok(added) => added,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if added != Added::AlreadyHeld {
            write_private(&self.path(self.files + 1), &bytes)?;
            self.files += 1;
        }
        self.chain = chain;
        Ok(Ok(added))
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{number:06}.roster"))
    }
}

fn take(chain: &mut Option<RosterChain>, signed: SignedRoster) -> Result<Added, RosterError> {
    match chain {
        Some(chain) => chain.add(signed),
        None => {
            *chain = Some(RosterChain::start(signed)?);
            Ok(Added::Head)
        }
    }
}

/// Versions in one file, oldest first, as people hand them around.
#[must_use]
pub fn encode_chain_file<'a>(versions: impl IntoIterator<Item = &'a SignedRoster>) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(CHAIN_MARK);
    for version in versions {
        w.bytes(&version.encode());
    }
    w.into_bytes()
}

/// Reads what [`encode_chain_file`] wrote. Nothing is verified yet.
pub fn decode_chain_file(bytes: &[u8]) -> Result<Vec<SignedRoster>, WireError> {
    let mut r = Reader::new(bytes.strip_prefix(CHAIN_MARK).ok_or(WireError::Value)?);
    let mut versions = Vec::new();
    while r.left() > 0 {
        if versions.len() >= CHAIN_VERSIONS_MAX {
            return Err(WireError::TooLong);
        }
        versions.push(SignedRoster::decode(r.bytes(ROSTER_BYTES_MAX * 2)?)?);
    }
    Ok(versions)
}
