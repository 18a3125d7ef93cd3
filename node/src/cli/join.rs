//! `cuadra join`: writes the member request again, or takes the roster that the federation sent.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use clap::Args;
use protocol::ids::FederationId;
use protocol::roster::{Added, RosterChain, RosterError, SignedRoster};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::answer::Tell as _;
use super::fetch::{fetch, is_address};
use super::init::roster_roles;
use super::request::MemberRequest;
use super::roster::read_chain;
use super::{Exit, Trouble, read_config};
use crate::home::{Home, Rosters, decode_chain_file, write_whole};
use crate::rotation::own_member;

#[derive(Debug, Args)]
pub(super) struct Join {
    /// The roster file that the federation sent, or http://HOST:PORT of a node that has it; without it,
    /// the member request is written
    roster: Option<String>,
    /// The federation's id, as you were told it (by telephone, on paper): 64 hexadecimal digits
    #[arg(long, value_name = "ID")]
    federation: Option<FederationId>,
    /// Where to find another member: NAME=HOST:PORT; may be given several times
    #[arg(long, value_name = "NAME=HOST:PORT")]
    peer: Vec<String>,
    /// Name of the precinct or office above this node, for the request
    #[arg(long, conflicts_with = "roster")]
    under: Option<String>,
}

impl Join {
    pub(super) fn run(&self, folder: &Path) -> Result<(), Trouble> {
        let config = read_config(folder)?;
        let home = Home::at(&config.storage.folder);
        match &self.roster {
            None => self.write_request(folder, &config, &home),
            Some(roster) => {
                let mut peers = Vec::new();
                for peer in &self.peer {
                    let bad = || Trouble::new(Exit::Usage, format!("“{peer}” is not NAME=HOST:PORT."));
                    peers.push(peer.split_once('=').ok_or_else(bad)?);
                }
                let versions = versions_in(roster)?;
                confirm(&home, &versions, self.federation)?;
                let taken = take_roster(&home, versions)?;
                add_peers(&folder.join("cuadra.toml"), &peers)?;
                say_result(&home, &taken)
            }
        }
    }

    fn write_request(&self, folder: &Path, config: &config::Config, home: &Home) -> Result<(), Trouble> {
        let keys = home.keys().tell(Exit::Roster, "The node's keys cannot be used.")?;
        let codes: Vec<_> = config.node.jurisdictions.iter().map(|territory| territory.code).collect();
        let roles = roster_roles(&config.node.roles);
        let name = config.node.name.as_str();
        let request = MemberRequest::make(name, &roles, &codes, self.under.as_deref(), &keys);
        let path = folder.join("member-request.json");
        write_whole(&path, request.to_json().as_bytes())
            .tell(Exit::Store, "The request could not be written.")?;
        println!("Send {} to those who hold your federation's root keys.", path.display());
        println!("When they send the roster back: cuadra join ROSTER-FILE");
        Ok(())
    }
}

/// Adds first addresses of other members to a configuration, comments and all else as they are.
pub(crate) fn add_peers(path: &Path, peers: &[(&str, &str)]) -> Result<(), Trouble> {
    if peers.is_empty() {
        return Ok(());
    }
    let failed = "The addresses could not be added to the configuration.";
    let text = std::fs::read_to_string(path).tell(Exit::Config, failed)?;
    let mut document: DocumentMut = text.parse().tell(Exit::Config, failed)?;
    let federation = document.entry("federation").or_insert_with(toml_edit::table);
    let list = federation.as_table_mut().map(|table| {
        table.entry("peers").or_insert(Item::ArrayOfTables(ArrayOfTables::new())).as_array_of_tables_mut()
    });
    let Some(Some(list)) = list else {
        return Err(
            Trouble::new(Exit::Config, failed).hint("Write federation.peers as [[federation.peers]].")
        );
    };
    for (name, address) in peers {
        let mut entry = Table::new();
        entry.insert("member", value(*name));
        entry.insert("address", value(*address));
        list.push(entry);
    }
    let text = document.to_string();
    config::Config::parse(&text, "cuadra.toml").tell(Exit::Usage, failed)?;
    write_whole(path, text.as_bytes()).tell(Exit::Store, failed)
}

/// The versions in a file or at an address.
fn versions_in(roster: &str) -> Result<Vec<SignedRoster>, Trouble> {
    if !is_address(roster) {
        return read_chain(Path::new(roster));
    }
    let bytes = fetch(roster)
        .tell(Exit::Network, format!("The roster at {roster} could not be fetched; nothing was changed."))?;
    decode_chain_file(&bytes).tell(Exit::Roster, format!("What is at {roster} is not a roster file."))
}

/// What came of a roster file.
pub(crate) struct TakenRoster {
    rosters: Rosters,
    new: usize,
    forks: usize,
}

/// Takes the versions of a roster file that are not held yet. Whoever calls has compared the
/// federation's id.
pub(crate) fn take_roster(home: &Home, versions: Vec<SignedRoster>) -> Result<TakenRoster, Trouble> {
    let rosters = home.rosters().tell(Exit::Roster, "The roster that is held cannot be read.")?;
    let mut taken = TakenRoster { rosters, new: 0, forks: 0 };
    for version in versions {
        match taken.rosters.add(version).tell(Exit::Store, "The roster could not be stored.")? {
            Ok(Added::Head) => taken.new += 1,
            Ok(Added::AlreadyHeld) => {}
            Ok(Added::Fork) => taken.forks += 1,
            Err(error) => return Err(refused(&error)),
        }
    }
    Ok(taken)
}

fn say_result(home: &Home, taken: &TakenRoster) -> Result<(), Trouble> {
    let Some(chain) = taken.rosters.chain() else { return Ok(()) };
    let ring = home.keyring().tell(Exit::Roster, "The node's keys cannot be used.")?;
    if taken.forks > 0 {
        println!(
            "Warning: the file has versions that contradict those that are held. The one in force stays;"
        );
        println!("tell the holders of the root keys.");
    }
    println!("{} new version(s) taken; version {} is in force.", taken.new, chain.head().version);
    match own_member(chain, &ring) {
        Some(member) => println!("This node is listed as “{}”. It can start: cuadra run", member.name),
        None => {
            println!("This node is not listed in it yet: send member-request.json to the holders of the");
            println!("root keys.");
        }
    }
    Ok(())
}

/// The first roster decides which federation a node belongs to, so a person compares its id.
fn confirm(home: &Home, versions: &[SignedRoster], named: Option<FederationId>) -> Result<(), Trouble> {
    let held = home.rosters().tell(Exit::Roster, "The roster that is held cannot be read.")?;
    if held.chain().is_some() {
        return Ok(());
    }
    let genesis = versions.first().ok_or_else(|| Trouble::new(Exit::Roster, "The roster file is empty."))?;
    let federation = RosterChain::start(genesis.clone()).map_err(|error| refused(&error))?.federation();
    if let Some(named) = named {
        if named == federation {
            return Ok(());
        }
        let what = format!("This is the roster of another federation: {federation}. Nothing was changed.");
        return Err(Trouble::new(Exit::Roster, what));
    }
    let hint = format!("If this is the id that you were told, run again with --federation {federation}");
    let unsure = Trouble::new(Exit::Roster, "The federation's id must be compared once.").hint(hint);
    if !std::io::stdin().is_terminal() {
        return Err(unsure);
    }
    println!("This is the roster of the federation\n  {federation}");
    print!("Is that the id that you were told, by telephone or on paper? [yes/no]: ");
    let failed = "The question could not be asked.";
    std::io::stdout().flush().tell(Exit::Failed, failed)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).tell(Exit::Failed, failed)?;
    if line.trim().eq_ignore_ascii_case("yes") { Ok(()) } else { Err(unsure) }
}

fn refused(error: &RosterError) -> Trouble {
    let trouble =
        Trouble::new(Exit::Roster, "The roster was refused; the one in force stays.").because(error);
    trouble.hint("Ask the holders of the root keys for the whole file, with every version.")
}
