//! `cuadra keys rotate` and `cuadra keys tidy`: new keys beside the old ones, and away with those that are
//! used no more. The running node takes up what the roster names; nothing here stops it.

use std::path::Path;

use clap::{Args, ValueEnum};
use protocol::roster::{KeyPurpose, KeyState};

use super::answer::Tell as _;
use super::rotation::RotationRequest;
use super::{Exit, Trouble};
use crate::home::{HeldKey, Home, Keyring, Rosters, purpose_name, write_whole};
use crate::rotation::{PURPOSES, in_use, listed, own_member};

/// The file that goes to the holders of the root keys.
const REQUEST: &str = "rotation-request.json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Purpose {
    Envelope,
    Tls,
    Box,
    Credential,
}

impl Purpose {
    fn of_roster(self) -> KeyPurpose {
        match self {
            Self::Envelope => KeyPurpose::Envelope,
            Self::Tls => KeyPurpose::Tls,
            Self::Box => KeyPurpose::Box,
            Self::Credential => KeyPurpose::Credential,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// Only the keys for this; may be given several times. Without it, each that the roster lists
    #[arg(long, value_name = "PURPOSE")]
    only: Vec<Purpose>,
}

#[derive(Debug, Args)]
pub(super) struct Tidy {
    /// Retired TLS keys too: a node that has slept since then needs the roster as a file
    #[arg(long)]
    tls: bool,
}

impl Rotate {
    pub(super) fn run(&self, folder: &Path, home: &Home) -> Result<(), Trouble> {
        let (rosters, mut ring) = read(home)?;
        let chain = rosters.chain().ok_or_else(no_federation)?;
        let member = own_member(chain, &ring).ok_or_else(no_federation)?;
        let signer =
            in_use(member, &ring, KeyPurpose::Envelope).and_then(HeldKey::signing).ok_or_else(|| {
                let what = "None of the keys that the roster lists as active is here; nothing was changed.";
                Trouble::new(Exit::Roster, what)
                    .hint("Call the holders of the root keys: this node must join anew.")
            })?;
        let mut purposes: Vec<KeyPurpose> = self.only.iter().map(|purpose| purpose.of_roster()).collect();
        if purposes.is_empty() {
            purposes = PURPOSES.into_iter().filter(|purpose| member.active_key(*purpose).is_some()).collect();
        }
        let mut new = Vec::new();
        for purpose in purposes {
            // One that was made and is not listed yet is asked for again: a second would help nobody.
            let waiting = ring.of(purpose).rev().find(|held| listed(member, held).is_none()).cloned();
            new.push(match waiting {
                Some(waiting) => waiting,
                None => ring.make(purpose).tell(Exit::Store, "A new key could not be made.")?,
            });
        }
        new.sort_by_key(|key| key.purpose);
        new.dedup_by_key(|key| key.purpose);
        let request = RotationRequest::make(chain.federation(), member, &new, &signer);
        let path = folder.join(REQUEST);
        write_whole(&path, request.to_json().as_bytes())
            .tell(Exit::Store, "The request could not be written.")?;
        let names: Vec<&str> = new.iter().map(|key| purpose_name(key.purpose)).collect();
        println!(
            "New keys lie beside the old ones ({}). The node goes on with the old ones.",
            names.join(", ")
        );
        println!("Copy them now, as all keys: cuadra keys copy FILE");
        println!("Send {} to those who hold the root keys and tell them by telephone:", path.display());
        println!("  {}", request.spoken());
        println!("They run: cuadra roster rotate {REQUEST}");
        println!(
            "Once the roster lists them, the node uses them by itself; `cuadra doctor` says how far it is."
        );
        Ok(())
    }
}

impl Tidy {
    pub(super) fn run(&self, home: &Home) -> Result<(), Trouble> {
        let (rosters, ring) = read(home)?;
        let chain = rosters.chain().ok_or_else(no_federation)?;
        let member = own_member(chain, &ring).ok_or_else(no_federation)?;
        let mut removed = 0;
        for purpose in PURPOSES {
            // Without a key that takes its place, nothing goes.
            if in_use(member, &ring, purpose).is_none() {
                continue;
            }
            for held in ring.of(purpose) {
                let gone = match listed(member, held).map(|key| key.state) {
                    Some(KeyState::Retired) => self.tls || purpose != KeyPurpose::Tls,
                    Some(KeyState::Revoked) => true,
                    Some(KeyState::Active) | None => false,
                };
                if gone {
                    let failed = format!("{} could not be removed.", held.path.display());
                    std::fs::remove_file(&held.path).tell(Exit::Store, failed)?;
                    println!("Removed {}.", held.path.display());
                    removed += 1;
                }
            }
        }
        println!("{removed} key(s) removed that sign nothing any more.");
        Ok(())
    }
}

fn read(home: &Home) -> Result<(Rosters, Keyring), Trouble> {
    let rosters = home.rosters().tell(Exit::Roster, "The roster that is held cannot be read.")?;
    let ring = home.keyring().tell(Exit::Roster, "The node's keys cannot be used.")?;
    Ok((rosters, ring))
}

fn no_federation() -> Trouble {
    let what = "No roster lists this node yet; nothing was changed.";
    Trouble::new(Exit::Roster, what)
        .hint("Its first keys are asked for with member-request.json: cuadra join")
}
