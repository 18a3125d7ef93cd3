//! Roster files as people hand them around: versions that are in force, and at the end perhaps one that
//! lacks signatures.

use std::path::Path;

use protocol::ids::Millis;
use protocol::roster::{Added, RosterBody, RosterChain, RosterError, SignedRoster};

use super::edit::next_version;
use super::{DAY_MS, now};
use crate::cli::answer::Tell as _;
use crate::cli::{Exit, Trouble};
use crate::home::{decode_chain_file, encode_chain_file, write_whole};

/// A roster file: versions that are in force, and at its end perhaps one that lacks signatures.
pub(super) struct ChainFile {
    pub(super) chain: RosterChain,
    pub(super) draft: Option<SignedRoster>,
}

/// What came of another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Taken {
    /// There was something new.
    pub(super) new: bool,
    /// The draft that was here follows what is no longer in force and is gone.
    pub(super) dropped: bool,
}

impl ChainFile {
    pub(super) fn read(path: &Path) -> Result<Self, Trouble> {
        let mut versions = read_chain(path)?.into_iter();
        let spoiled = || Trouble::new(Exit::Roster, format!("{} is not a valid roster.", path.display()));
        let genesis = versions.next().ok_or_else(spoiled)?;
        let mut chain = RosterChain::start(genesis).map_err(|error| spoiled().because(&error))?;
        let mut draft = None;
        while let Some(signed) = versions.next() {
            match chain.add(signed.clone()) {
                Ok(_) => {}
                Err(RosterError::Signatures { .. }) if versions.len() == 0 => {
                    draft = Some(signed);
                }
                Err(error) => return Err(spoiled().because(&error)),
            }
        }
        Ok(Self { chain, draft })
    }

    /// Takes what another file has and this one lacks: versions, and signatures of the same draft.
    pub(super) fn take(&mut self, other: Self) -> Result<Taken, RosterError> {
        let mut taken = Taken::default();
        for signed in other.chain.versions_after(0) {
            taken.new |= self.chain.add(signed.clone())? != Added::AlreadyHeld;
        }
        if let Some(theirs) = other.draft.filter(|theirs| self.chain.get(&theirs.hash()).is_none()) {
            match &mut self.draft {
                Some(ours) => taken.new |= ours.take_signatures(&theirs),
                None => {
                    self.draft = Some(theirs);
                    taken.new = true;
                }
            }
        }
        if let Some(draft) = self.draft.take()
            && self.chain.add(draft.clone()).is_err()
        {
            // It follows the version that was in force before: nobody needs it any more.
            let head = self.chain.head().hash();
            let follows = draft.unverified_body().is_ok_and(|body| body.previous.contains(&head));
            taken.dropped = !follows;
            self.draft = Some(draft).filter(|_| follows);
        }
        Ok(taken)
    }

    pub(super) fn next_body(&self, days: u64) -> Result<RosterBody, Trouble> {
        if self.draft.is_some() {
            let what = "This file ends in a version that still lacks signatures; nothing was changed.";
            return Err(
                Trouble::new(Exit::Failed, what).hint("Sign that one first: cuadra roster sign --key FILE")
            );
        }
        Ok(next_version(&self.chain, now(), Millis(days.max(1) * DAY_MS)))
    }

    /// Puts a version at the end of the file that nobody has signed yet. Refused at once if no signature
    /// could bring it into force.
    pub(super) fn add_draft(&mut self, mut body: RosterBody, path: &Path) -> Result<(), Trouble> {
        body.sort();
        let draft = SignedRoster::unsigned(&body);
        self.chain.check_unsigned(&draft).map_err(|error| {
            Trouble::new(Exit::Failed, "The new version was not made: it would never be in force.")
                .because(&error)
        })?;
        self.draft = Some(draft);
        self.write(path)
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), Trouble> {
        let held = self.chain.versions_after(0).into_iter().cloned();
        write_chain(path, &held.chain(self.draft.clone()).collect::<Vec<_>>())
    }

    pub(super) fn say_what_is_missing(&self, path: &Path) {
        let Some(draft) = &self.draft else { return };
        if self.chain.clone().add(draft.clone()).is_ok() {
            println!(
                "It is signed. Send it to every member; they take it with: cuadra join {}",
                path.display()
            );
            return;
        }
        let Ok(body) = draft.unverified_body() else { return };
        println!("Not in force yet:");
        for before in body.previous.iter().filter_map(|hash| self.chain.get(hash)) {
            let signed = draft.signers(&before.root_keys).len();
            let version = before.version;
            println!(
                "  {signed} of the {} root keys needed of version {version} signed it",
                before.threshold
            );
        }
        let new: Vec<_> =
            body.root_keys.iter().filter(|key| !self.chain.head().root_keys.contains(key)).collect();
        let signed = draft.signers(&body.root_keys).len();
        if !new.is_empty() || body.threshold != self.chain.head().threshold {
            println!("  {signed} of the {} root keys needed of its own signed it", body.threshold);
        }
        println!(
            "Each holder of a root key signs with: cuadra roster sign --key FILE --roster {}",
            path.display()
        );
    }
}

/// Reads the versions in a roster file, unverified.
pub(crate) fn read_chain(path: &Path) -> Result<Vec<SignedRoster>, Trouble> {
    let bytes = std::fs::read(path).tell(Exit::Roster, format!("{} cannot be read.", path.display()))?;
    decode_chain_file(&bytes).tell(Exit::Roster, format!("{} is not a roster file.", path.display()))
}

pub(super) fn write_chain(path: &Path, versions: &[SignedRoster]) -> Result<(), Trouble> {
    write_whole(path, &encode_chain_file(versions)).tell(Exit::Store, "The roster could not be written.")
}
