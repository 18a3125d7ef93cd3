//! Changing keys in the roster: those of a member, old beside new and then the old ones away, and the root
//! keys themselves.

use std::path::PathBuf;

use clap::Args;
use protocol::roster::{KeyState, RootKey};

use super::edit::{self, add_keys, change_roots, retire_old};
use super::file::ChainFile;
use super::{refuse, write_signing_key};
use crate::cli::answer::Tell as _;
use crate::cli::rotation::RotationRequest;
use crate::cli::{Exit, Trouble};

#[derive(Debug, Args)]
pub(in crate::cli) struct Rotate {
    /// The request, as `cuadra keys rotate` writes it
    request: PathBuf,
    /// The old keys were stolen: revoke them in the same version, so that they count for nothing
    #[arg(long)]
    stolen: bool,
    /// The roster file; the new version is added to it
    #[arg(long, default_value = "federation.roster")]
    roster: PathBuf,
    /// Days until people are reminded to renew it
    #[arg(long, default_value_t = 365, value_name = "DAYS")]
    days: u64,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Retire {
    /// Name or id of the member
    member: String,
    /// The roster file; the new version is added to it
    #[arg(long, default_value = "federation.roster")]
    roster: PathBuf,
    /// Days until people are reminded to renew it
    #[arg(long, default_value_t = 365, value_name = "DAYS")]
    days: u64,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Key {
    /// The file to keep the secret half in, offline
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Root {
    /// A new root key: the 64 digits that `cuadra roster key` printed; may be given several times
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    add: Vec<RootKey>,
    /// A root key that goes; may be given several times
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    remove: Vec<RootKey>,
    /// How many of them must sign each version from then on
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=16))]
    threshold: Option<u8>,
    /// The roster file; the new version is added to it
    #[arg(long, default_value = "federation.roster")]
    roster: PathBuf,
    /// Days until people are reminded to renew it
    #[arg(long, default_value_t = 365, value_name = "DAYS")]
    days: u64,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Renew {
    /// The roster file; the new version is added to it
    #[arg(long, default_value = "federation.roster")]
    pub(super) roster: PathBuf,
    /// Days until people are reminded to renew it
    #[arg(long, default_value_t = 365, value_name = "DAYS")]
    pub(super) days: u64,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    /// Roster files of others: with versions that this one lacks, or signatures of the same new version
    #[arg(required = true)]
    pub(super) from: Vec<PathBuf>,
    /// The roster file that takes them
    #[arg(long, default_value = "federation.roster")]
    pub(super) roster: PathBuf,
}

impl Rotate {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let mut file = ChainFile::read(&self.roster)?;
        let mut body = file.next_body(self.days)?;
        let what = || format!("{} cannot be used.", self.request.display());
        let bytes = std::fs::read(&self.request).tell(Exit::Failed, what())?;
        let (member, keys) = RotationRequest::read(&bytes, file.chain.head()).tell(Exit::Failed, what())?;
        let old = if self.stolen { KeyState::Revoked } else { KeyState::Active };
        add_keys(&mut body, member, &keys, old).map_err(refuse)?;
        let request: RotationRequest = serde_json::from_slice(&bytes).tell(Exit::Failed, what())?;
        let name = file.chain.head().member(&member).map(|member| member.name.clone()).unwrap_or_default();
        file.add_draft(body, &self.roster)?;
        println!("Version {} lists {} new key(s) of {name}.", file.chain.head().version + 1, keys.len());
        println!("Before you sign, call {name} and compare: {}", request.spoken());
        if self.stolen {
            println!(
                "Its old keys are revoked: what they signed counts only where somebody else vouches for it."
            );
        } else {
            println!(
                "Its old keys stay good. When every node has this version: cuadra roster retire \"{name}\""
            );
        }
        file.say_what_is_missing(&self.roster);
        Ok(())
    }
}

impl Retire {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let mut file = ChainFile::read(&self.roster)?;
        let mut body = file.next_body(self.days)?;
        let retired = retire_old(&mut body, &self.member).map_err(refuse)?;
        file.add_draft(body, &self.roster)?;
        println!("Version {} retires {retired} key(s) of {}.", file.chain.head().version + 1, self.member);
        file.say_what_is_missing(&self.roster);
        Ok(())
    }
}

impl Key {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let key = write_signing_key(&self.file).tell(Exit::Store, "A root key could not be made.")?;
        println!("The secret half is {}. Keep it offline.", self.file.display());
        println!("Give the holders of the other root keys this half, and read it to them by telephone:");
        println!("{}", hex::encode(key.verifying_key().to_bytes()));
        Ok(())
    }
}

impl Root {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let mut file = ChainFile::read(&self.roster)?;
        let mut body = file.next_body(self.days)?;
        let threshold = self.threshold.unwrap_or(body.threshold);
        change_roots(&mut body, &self.add, &self.remove, threshold).map_err(refuse)?;
        let (needed, keys) = (body.threshold, body.root_keys.len());
        file.add_draft(body, &self.roster)?;
        println!(
            "From version {} on, {needed} of {keys} root keys must sign. Enough of the old ones and enough of \
             the new ones sign this version.",
            file.chain.head().version + 1
        );
        file.say_what_is_missing(&self.roster);
        Ok(())
    }
}

impl Renew {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let mut file = ChainFile::read(&self.roster)?;
        let body = file.next_body(self.days)?;
        let joined = body.previous.len();
        file.add_draft(body, &self.roster)?;
        println!("Version {} changes nothing but the dates.", file.chain.head().version + 1);
        if joined > 1 {
            println!("It follows {joined} versions that contradicted each other, and so ends the alarm.");
        }
        file.say_what_is_missing(&self.roster);
        Ok(())
    }
}

impl Add {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let mut file = ChainFile::read(&self.roster)?;
        let before = file.chain.forks().len();
        let (mut new, mut dropped) = (false, false);
        for from in &self.from {
            let other = ChainFile::read(from)?;
            let refused = format!("{} was not taken.", from.display());
            let taken =
                file.take(other).map_err(|error| Trouble::new(Exit::Roster, refused).because(&error))?;
            new |= taken.new;
            dropped |= taken.dropped;
        }
        file.write(&self.roster)?;
        println!("{}", if new { "Taken." } else { "There was nothing new." });
        if dropped {
            println!(
                "The version that lacked signatures here follows an older one and is gone: write it again."
            );
        }
        if file.chain.forks().len() > before {
            println!(
                "The root keys signed two different versions of one number. Find out why, then join them:"
            );
            println!("  cuadra roster renew --roster {}", self.roster.display());
        }
        file.say_what_is_missing(&self.roster);
        Ok(())
    }
}

/// Root keys as people copy them: the list of them and what each is.
pub(super) fn show_roots(body: &protocol::roster::RosterBody) {
    println!();
    println!("{} of these root keys must sign the next version:", body.threshold);
    for key in &body.root_keys {
        println!("  {}", hex::encode(key.public));
    }
}

fn public_key(text: &str) -> Result<RootKey, edit::EditError> {
    let mut public = [0; 32];
    hex::decode_to_slice(text.trim(), &mut public).map_err(|_| edit::EditError::NoRootKey)?;
    Ok(RootKey::ed25519(public))
}

#[cfg(test)]
mod made {
    use std::path::Path;

    use super::*;

    impl Rotate {
        pub fn of(request: &Path, roster: &Path, stolen: bool) -> Self {
            Self { request: request.to_owned(), stolen, roster: roster.to_owned(), days: 30 }
        }
    }
    impl Retire {
        pub fn of(member: &str, roster: &Path) -> Self {
            Self { member: member.to_owned(), roster: roster.to_owned(), days: 30 }
        }
    }
    impl Root {
        pub fn of(add: &[RootKey], remove: &[RootKey], threshold: Option<u8>, roster: &Path) -> Self {
            let (add, remove) = (add.to_vec(), remove.to_vec());
            Self { add, remove, threshold, roster: roster.to_owned(), days: 30 }
        }
    }
    impl Renew {
        pub fn of(roster: &Path) -> Self {
            Self { roster: roster.to_owned(), days: 30 }
        }
    }
    impl Add {
        pub fn of(from: &[PathBuf], roster: &Path) -> Self {
            Self { from: from.to_vec(), roster: roster.to_owned() }
        }
    }
}
