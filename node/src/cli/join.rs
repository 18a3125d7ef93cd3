//! `cuadra join`: writes the member request again, or takes the roster that the federation sent.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use protocol::ids::FederationId;
use protocol::roster::{Added, RosterChain, RosterError, SignedRoster};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::answer::Tell as _;
use super::init::roster_roles;
use super::request::MemberRequest;
use super::roster::read_chain;
use super::{Exit, Trouble, read_config};
use crate::home::{Home, Rosters, write_whole};

#[derive(Debug, Args)]
pub(super) struct Join {
    /// The roster file that the federation sent; without it, the member request is written
    roster: Option<PathBuf>,
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
                take_roster(&home, roster, self.federation)?;
                self.add_peers(&folder.join("cuadra.toml"))
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

    /// Adds the first addresses of others to the configuration, comments and all else as they are.
    fn add_peers(&self, path: &Path) -> Result<(), Trouble> {
        if self.peer.is_empty() {
            return Ok(());
        }
        let failed = "The addresses could not be added to the configuration.";
        let text = std::fs::read_to_string(path).tell(Exit::Config, failed)?;
        let mut document: DocumentMut = text.parse().tell(Exit::Config, failed)?;
        let federation = document.entry("federation").or_insert_with(toml_edit::table);
        let federation = federation.as_table_mut().expect("the configuration was read just now");
        let peers = federation.entry("peers").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        let Some(peers) = peers.as_array_of_tables_mut() else {
            return Err(
                Trouble::new(Exit::Config, failed).hint("Write federation.peers as [[federation.peers]].")
            );
        };
        for peer in &self.peer {
            let Some((name, address)) = peer.split_once('=') else {
                return Err(Trouble::new(Exit::Usage, format!("“{peer}” is not NAME=HOST:PORT.")));
            };
            let mut entry = Table::new();
            entry.insert("member", value(name));
            entry.insert("address", value(address));
            peers.push(entry);
        }
        let text = document.to_string();
        config::Config::parse(&text, "cuadra.toml").tell(Exit::Usage, failed)?;
        write_whole(path, text.as_bytes()).tell(Exit::Store, failed)
    }
}

/// Takes the versions of a roster file that are not held yet. A first one only of the federation that
/// was named, or that the person at the keyboard confirms.
pub(crate) fn take_roster(home: &Home, file: &Path, named: Option<FederationId>) -> Result<(), Trouble> {
    let versions = read_chain(file)?;
    let mut rosters = home.rosters().tell(Exit::Roster, "The roster that is held cannot be read.")?;
    if rosters.chain().is_none() {
        confirm(&versions, named)?;
    }
    let mut taken = 0;
    for version in versions {
        let judged = rosters.add(version).tell(Exit::Store, "The roster could not be stored.")?;
        match judged {
            Ok(Added::Head) => taken += 1,
            Ok(Added::AlreadyHeld) => {}
            Ok(Added::Fork) => println!(
                "Warning: this file has a second, different version of a roster that is held. Tell the holders of the root keys."
            ),
            Err(error) => return Err(refused(&error)),
        }
    }
    say_result(home, &rosters, taken)
}

fn say_result(home: &Home, rosters: &Rosters, taken: usize) -> Result<(), Trouble> {
    let Some(chain) = rosters.chain() else { return Ok(()) };
    let keys = home.keys().tell(Exit::Roster, "The node's keys cannot be used.")?;
    let own = own_member(chain, &keys.envelope.verifying_key().to_bytes());
    println!("{taken} new version(s) taken; version {} is in force.", chain.head().version);
    match own {
        Some(member) => println!("This node is listed as “{}”. It can start: cuadra run", member.name),
        None => println!(
            "This node is not listed in it yet. Send member-request.json to the holders of the root keys."
        ),
    }
    Ok(())
}

/// The member that has this envelope key.
pub(crate) fn own_member<'a>(
    chain: &'a RosterChain,
    envelope: &[u8; 32],
) -> Option<&'a protocol::roster::Member> {
    chain.head().members().iter().find(|member| member.keys.iter().any(|key| key.public == *envelope))
}

fn confirm(versions: &[SignedRoster], named: Option<FederationId>) -> Result<(), Trouble> {
    let genesis = versions.first().ok_or_else(|| Trouble::new(Exit::Roster, "The roster file is empty."))?;
    let chain = RosterChain::start(genesis.clone()).map_err(|error| refused(&error))?;
    let federation = chain.federation();
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
