//! `cuadra roster`: for those who hold the root keys. Everything happens in files, so that it can be
//! done on a machine that never sees a network.

mod edit;
mod file;
mod keys;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use protocol::ids::{FederationId, Millis};
use protocol::roster::{KeyState, MemberKey, Role, RootKey, RosterBody, RosterChain, SignedRoster};

use super::answer::Tell as _;
use super::request::MemberRequest;
use super::{Exit, Trouble};
use crate::home::{purpose_name, read_signing_key, write_signing_key};
pub(crate) use edit::{Candidate, admit};
pub(crate) use file::read_chain;
use file::{ChainFile, write_chain};

/// The rules that new federations start with.
const RULES_VERSION: u16 = 1;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Subcommand)]
pub(super) enum RosterCommand {
    /// Start a federation: makes the root keys and the first, signed roster
    Create(Create),
    /// Write the next version with new members in it, for signing
    Admit(Admit),
    /// Write the next version with a member expelled: all its keys revoked
    Expel(Expel),
    /// Write the next version with new keys of a member beside its old ones
    Rotate(keys::Rotate),
    /// Write the next version with the old keys of a member retired
    Retire(keys::Retire),
    /// Write the next version unchanged but for its dates; joins versions that contradict each other
    Renew(keys::Renew),
    /// Make one more root key, for somebody who will hold it
    Key(keys::Key),
    /// Write the next version with other root keys or another threshold
    Root(keys::Root),
    /// Add one signature to the newest version
    Sign(Sign),
    /// Take versions and signatures from other roster files into this one
    Add(keys::Add),
    /// Show what a roster file says and who signed it
    Show(Show),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Member requests, as `cuadra init` writes them
    requests: Vec<PathBuf>,
    /// How many root keys to make
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    keys: u8,
    /// How many of them must sign each version
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    threshold: u8,
    /// A federation of one node and one root key, for a town without others
    #[arg(long, conflicts_with_all = ["keys", "threshold"])]
    alone: bool,
    /// Folder for the keys and the roster file
    #[arg(long, default_value = ".", value_name = "DIR")]
    out: PathBuf,
    /// Days until people are reminded to renew it
    #[arg(long, default_value_t = 365, value_name = "DAYS")]
    days: u64,
}

#[derive(Debug, Args)]
pub(super) struct Admit {
    /// Member requests
    #[arg(required = true)]
    requests: Vec<PathBuf>,
    /// The roster file; the new version is added to it
    #[arg(long, default_value = "federation.roster")]
    roster: PathBuf,
    /// Name of the precinct or office above them, if their requests do not say
    #[arg(long)]
    under: Option<String>,
    /// Days until people are reminded to renew it
    #[arg(long, default_value_t = 365, value_name = "DAYS")]
    days: u64,
}

#[derive(Debug, Args)]
pub(super) struct Expel {
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
pub(super) struct Sign {
    /// The file of one root key
    #[arg(long)]
    key: PathBuf,
    /// The roster file
    #[arg(long, default_value = "federation.roster")]
    roster: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The roster file
    #[arg(default_value = "federation.roster")]
    roster: PathBuf,
}

impl RosterCommand {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        match self {
            Self::Create(create) => create.run(),
            Self::Admit(admit) => admit.run(),
            Self::Expel(expel) => expel.run(),
            Self::Rotate(rotate) => rotate.run(),
            Self::Retire(retire) => retire.run(),
            Self::Renew(renew) => renew.run(),
            Self::Key(key) => key.run(),
            Self::Root(root) => root.run(),
            Self::Sign(sign) => sign.run(),
            Self::Add(add) => add.run(),
            Self::Show(show) => show.run(),
        }
    }
}

impl Create {
    fn run(&self) -> Result<(), Trouble> {
        let (keys, threshold) = if self.alone { (1, 1) } else { (self.keys, self.threshold) };
        let Founding { chain, file } = found(&self.out, &self.requests, keys, threshold, self.days)?;
        println!("The federation {} exists.", chain.federation());
        println!(
            "Its roster is {}; {threshold} of {keys} root keys must sign each later version.",
            file.display()
        );
        if !self.alone {
            println!("Now give each root-*.key to another person and delete it here: whoever holds");
            println!("{threshold} of them decides who belongs to the federation.");
        }
        println!("Send the roster to every member; they take it with: cuadra join {}", file.display());
        Ok(())
    }
}

/// A federation that was just founded.
pub(crate) struct Founding {
    /// Its first version.
    pub chain: RosterChain,
    /// The file that everybody is sent.
    pub file: PathBuf,
}

/// Makes root keys and the first roster, signed by all of them, in the folder `out`.
pub(crate) fn found(
    out: &Path,
    requests: &[PathBuf],
    keys: u8,
    threshold: u8,
    days: u64,
) -> Result<Founding, Trouble> {
    if threshold > keys {
        let what = format!("{threshold} of {keys} keys cannot sign: the threshold is above the keys.");
        return Err(Trouble::new(Exit::Usage, what));
    }
    let file = out.join("federation.roster");
    if file.exists() {
        let what = format!("{} is there already; nothing was changed.", file.display());
        return Err(Trouble::new(Exit::Failed, what).hint("Choose another folder with --out."));
    }
    let candidates = read_requests(requests)?;
    let now = now();
    let mut body = RosterBody {
        federation: FederationId([0; 32]),
        version: 1,
        previous: Vec::new(),
        threshold,
        root_keys: Vec::new(),
        issued: now,
        expires: now.plus(Millis(days.max(1) * DAY_MS)),
        rules_version: RULES_VERSION,
        members: Vec::new(),
    };
    admit(&mut body, candidates, None).map_err(refuse)?;
    std::fs::create_dir_all(out).tell(Exit::Store, "The folder could not be made.")?;
    let mut signers = Vec::new();
    for number in 1..=keys {
        let path = out.join(format!("root-{number}.key"));
        let key = write_signing_key(&path).tell(Exit::Store, "A root key could not be made.")?;
        body.root_keys.push(RootKey::ed25519(key.verifying_key().to_bytes()));
        signers.push(key);
    }
    body.sort();
    let mut signed = SignedRoster::unsigned(&body);
    signers.iter().for_each(|key| signed.sign(key));
    let chain = RosterChain::start(signed.clone()).tell(Exit::Roster, "This roster would not be valid.")?;
    write_chain(&file, &[signed])?;
    Ok(Founding { chain, file })
}

impl Admit {
    fn run(&self) -> Result<(), Trouble> {
        let mut file = ChainFile::read(&self.roster)?;
        let mut body = file.next_body(self.days)?;
        let candidates = read_requests(&self.requests)?;
        let names: Vec<String> = candidates.iter().map(|candidate| candidate.member.name.clone()).collect();
        admit(&mut body, candidates, self.under.as_deref()).map_err(refuse)?;
        file.add_draft(body, &self.roster)?;
        println!("Version {} lists {} too.", file.chain.head().version + 1, names.join(", "));
        file.say_what_is_missing(&self.roster);
        Ok(())
    }
}

impl Expel {
    fn run(&self) -> Result<(), Trouble> {
        let mut file = ChainFile::read(&self.roster)?;
        let mut body = file.next_body(self.days)?;
        let member = edit::named(&mut body, &self.member).map_err(refuse)?;
        member.codes.clear();
        member.keys.iter_mut().for_each(|key| key.state = KeyState::Revoked);
        file.add_draft(body, &self.roster)?;
        println!("Version {} expels {}.", file.chain.head().version + 1, self.member);
        file.say_what_is_missing(&self.roster);
        Ok(())
    }
}

impl Sign {
    fn run(&self) -> Result<(), Trouble> {
        let mut file = ChainFile::read(&self.roster)?;
        let Some(draft) = &mut file.draft else {
            let what = "Every version in this file is signed already; nothing was changed.";
            return Err(Trouble::new(Exit::Failed, what));
        };
        let key = read_signing_key(&self.key).tell(Exit::Roster, "The root key cannot be used.")?;
        let root = RootKey::ed25519(key.verifying_key().to_bytes());
        let own = draft.unverified_body().map(|body| body.root_keys).unwrap_or_default();
        if !file.chain.head().root_keys.contains(&root) && !own.contains(&root) {
            let what = "This key is none of the federation's root keys; nothing was changed.";
            return Err(Trouble::new(Exit::Roster, what));
        }
        draft.sign(&key);
        file.write(&self.roster)?;
        file.say_what_is_missing(&self.roster);
        Ok(())
    }
}

impl Show {
    fn run(&self) -> Result<(), Trouble> {
        let file = ChainFile::read(&self.roster)?;
        println!("Federation {}", file.chain.federation());
        for signed in file.chain.versions_after(0) {
            if let Some(roster) = file.chain.get(&signed.hash()) {
                show_version(roster, signed, "");
            }
        }
        if let Some(draft) = &file.draft
            && let Ok(body) = draft.unverified_body()
        {
            show_version(&body, draft, ", NOT SIGNED YET");
            file.say_what_is_missing(&self.roster);
        }
        let newest = file.draft.as_ref().and_then(|draft| draft.unverified_body().ok());
        let newest = newest.as_ref().unwrap_or(file.chain.head());
        keys::show_roots(newest);
        show_members(newest);
        for fork in file.chain.forks().iter().filter_map(|hash| file.chain.get(hash)) {
            println!();
            println!("WARNING: the root keys signed another version {} too: {}", fork.version, fork.hash());
        }
        Ok(())
    }
}

fn show_version(body: &RosterBody, signed: &SignedRoster, note: &str) {
    let signers = signed.signers(&body.root_keys).len();
    println!(
        "Version {}{note}: made {}, renew by {}, signed by {signers} of {} root keys ({} needed for the next)",
        body.version,
        day(body.issued),
        day(body.expires),
        body.root_keys.len(),
        body.threshold,
    );
}

fn show_members(body: &RosterBody) {
    println!();
    for member in &body.members {
        let roles: Vec<&str> = member.roles.iter().map(Role::name).collect();
        let codes: Vec<String> = member.codes.iter().map(ToString::to_string).collect();
        let above = body.members.iter().find(|other| Some(other.id) == member.authority);
        let under = above.map(|above| format!(", under {}", above.name)).unwrap_or_default();
        let near: Vec<&str> = body
            .members
            .iter()
            .filter(|m| member.neighbours.contains(&m.id))
            .map(|m| m.name.as_str())
            .collect();
        let state = if member.is_good() { "" } else { " EXPELLED" };
        println!("{}{state}", member.name);
        println!("  {} {}{under}", roles.join(", "), codes.join(" "));
        if !near.is_empty() {
            println!("  neighbours: {}", near.join(", "));
        }
        let keys: Vec<String> = member.keys.iter().map(key_words).collect();
        println!("  keys: {}", keys.join(", "));
        println!("  {}", member.id);
    }
}

fn key_words(key: &MemberKey) -> String {
    let state = match key.state {
        KeyState::Active => "",
        KeyState::Retired => " (retired)",
        KeyState::Revoked => " (revoked)",
    };
    format!("{} {}{state}", purpose_name(key.purpose), key.index.0)
}

fn read_requests(paths: &[PathBuf]) -> Result<Vec<Candidate>, Trouble> {
    let mut candidates = Vec::new();
    for path in paths {
        let what = || format!("{} cannot be used.", path.display());
        let bytes = std::fs::read(path).tell(Exit::Failed, what())?;
        let (request, member) = MemberRequest::read(&bytes).tell(Exit::Failed, what())?;
        candidates.push(Candidate { member, under: request.under });
    }
    Ok(candidates)
}

fn refuse(error: edit::EditError) -> Trouble {
    Trouble::new(Exit::Failed, "The new version was not made.").because(&error)
}

fn now() -> Millis {
    Millis(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default())
}

/// The date for people, as UTC has it.
fn day(at: Millis) -> String {
    let stamp =
        jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(i64::MAX)).unwrap_or_default();
    stamp.strftime("%Y-%m-%d").to_string()
}
