//! Folders, keys and the signed roster of the demo, made as anybody would make them.

use std::path::PathBuf;

use super::plan::{Plan, Site};
use super::progress::Progress;
use crate::cli::init::Init;
use crate::cli::join::{add_peers, take_roster};
use crate::cli::roster::{found as found_federation, read_chain};
use crate::cli::{Exit, Tell as _, Trouble};
use crate::home::Home;

/// Days that the demo's roster lasts.
const ROSTER_DAYS: u64 = 365;

/// Makes what is not there yet.
pub(super) fn found(plan: &Plan, progress: &Progress) -> Result<(), Trouble> {
    let keys = plan.folder.join("root-keys");
    let roster = keys.join("federation.roster");
    if !roster.exists() {
        progress.line("Making folders and keys…");
        let mut requests: Vec<PathBuf> = Vec::new();
        for site in &plan.sites {
            requests.push(answers(site).make(&site.folder)?);
        }
        let founding = found_federation(&keys, &requests, 3, 2, ROSTER_DAYS)?;
        progress.done(&format!(
            "A federation of {} nodes, its roster signed by 2 of 3 keys or more: {}",
            founding.chain.head().members().len(),
            founding.chain.federation()
        ));
    }
    for site in &plan.sites {
        join(plan, site, read_chain(&roster)?)?;
    }
    Ok(())
}

fn answers(site: &Site) -> Init {
    Init {
        name: Some(site.name.to_owned()),
        role: site.roles.clone(),
        code: site.code.into_iter().collect(),
        population: Some(site.population),
        under: site.under.map(str::to_owned),
        origin: Some(site.base()),
        http: Some(site.address()),
        federation: Some(site.address()),
        advertise: None,
        plain_http: true,
        emergency_number: None,
        invented_places: true,
        yes: true,
    }
}

fn join(plan: &Plan, site: &Site, versions: Vec<protocol::roster::SignedRoster>) -> Result<(), Trouble> {
    let path = site.folder.join("cuadra.toml");
    let config = config::Config::load(&path).tell(Exit::Config, "A node of the demo is damaged.")?;
    take_roster(&Home::at(&config.storage.folder), versions)?;
    if config.federation.peers.is_empty() {
        let others: Vec<(&str, String)> = plan
            .sites
            .iter()
            .filter(|other| other.port != site.port)
            .map(|o| (o.name, o.address()))
            .collect();
        let others: Vec<(&str, &str)> =
            others.iter().map(|(name, address)| (*name, address.as_str())).collect();
        add_peers(&path, &others)?;
    }
    Ok(())
}
