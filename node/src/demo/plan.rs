//! Which nodes the demo has, what each answers for, and where each is.

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use config::precinct::SouthPrecinct;
use protocol::ids::Code;

use crate::cli::init::Purpose;
use crate::cli::{Exit, Tell as _, Trouble};

/// The office above the towns.
const PRECINCT: &str = "Prefectura Sur";
/// The office above that.
const NATIONAL: &str = "Nacional";
/// The towns of the small demo: two that touch and one far from both.
const SMALL: [u32; 3] = [13_130, 13_129, 13_112];

/// All nodes, towns first.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub folder: PathBuf,
    pub sites: Vec<Site>,
}

/// One node.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub name: &'static str,
    /// Its folder.
    pub folder: PathBuf,
    /// Host name, and so the name of its folder.
    pub slug: String,
    pub roles: Vec<Purpose>,
    /// Its territory; none for the offices above.
    pub code: Option<Code>,
    pub population: u64,
    pub under: Option<&'static str>,
    /// TCP for pages, UDP for other nodes.
    pub port: u16,
}

impl Plan {
    /// In `folder`; a demo that lives there already keeps its nodes and its ports.
    pub fn new(folder: &Path, nodes: u8, port_base: u16) -> Result<Self, Trouble> {
        let memory = folder.join("demo.json");
        let (nodes, port_base) = match std::fs::read(&memory) {
            Ok(json) => serde_json::from_slice(&json)
                .tell(Exit::Failed, format!("{} is damaged.", memory.display()))?,
            Err(_) => (nodes, port_base),
        };
        let json =
            serde_json::to_vec(&(nodes, port_base)).tell(Exit::Failed, "The demo has no form in JSON.")?;
        crate::home::write_whole(&memory, &json).tell(Exit::Store, "The demo's folder cannot be written.")?;
        Ok(Self { folder: folder.to_owned(), sites: sites(folder, nodes, port_base) })
    }
}

impl Plan {
    /// Looks whether every port can be taken, before anything takes long.
    pub fn check_ports(&self) -> Result<(), Trouble> {
        for site in &self.sites {
            let (tcp, udp) = (TcpListener::bind(site.address()), UdpSocket::bind(site.address()));
            let what = format!("Port {} of this machine cannot be used for {}.", site.port, site.name);
            let hint = "Choose others with --port-base.";
            tcp.tell(Exit::Network, what.clone()).map_err(|trouble| trouble.hint(hint))?;
            udp.tell(Exit::Network, what).map_err(|trouble| trouble.hint(hint))?;
        }
        Ok(())
    }
}

fn sites(folder: &Path, nodes: u8, port_base: u16) -> Vec<Site> {
    let table = SouthPrecinct::first_month();
    let mut sites: Vec<Site> = Vec::new();
    let mut add = |name: &'static str, roles: &[Purpose], under, town: Option<(Code, u64)>| {
        let slug = slug(name);
        let number = u16::try_from(sites.len() + 1).unwrap_or(u16::MAX);
        sites.push(Site {
            name,
            folder: folder.join(&slug),
            slug,
            roles: roles.to_vec(),
            code: town.map(|(code, _)| code),
            population: town.map(|(_, population)| population).unwrap_or_default(),
            under,
            port: port_base.saturating_add(number),
        });
    };
    for row in &table.rows {
        if nodes == 9 || SMALL.contains(&row.code.number) {
            add(row.name, &[Purpose::Municipal], Some(PRECINCT), Some((row.code, row.population)));
        }
    }
    add(PRECINCT, &[Purpose::Service, Purpose::Precinct], Some(NATIONAL), None);
    add(NATIONAL, &[Purpose::National], None, None);
    sites
}

impl Site {
    pub fn is_precinct(&self) -> bool {
        self.roles.contains(&Purpose::Precinct)
    }
    /// What people type.
    pub fn base(&self) -> String {
        format!("http://{}.localhost:{}", self.slug, self.port)
    }
    /// Pages and link listen here.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// A name as a host name has it.
fn slug(name: &str) -> String {
    let plain = |c: char| match c {
        'á' => 'a',
        'é' => 'e',
        'í' => 'i',
        'ó' => 'o',
        'ú' => 'u',
        'ñ' => 'n',
        ' ' => '-',
        other => other,
    };
    name.to_lowercase().chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_nodes_have_distinct_hosts_and_ports() {
        let sites = sites(Path::new("/demo"), 9, 7_300);
        let names: Vec<&str> = sites.iter().map(|site| site.slug.as_str()).collect();
        assert_eq!(
            names,
            [
                "san-miguel",
                "la-cisterna",
                "san-joaquin",
                "la-pintana",
                "san-ramon",
                "la-granja",
                "el-bosque",
                "prefectura-sur",
                "nacional"
            ]
        );
        assert_eq!(
            sites.iter().map(|site| site.port).collect::<Vec<_>>(),
            (7_301..=7_309).collect::<Vec<_>>()
        );
        assert_eq!(sites[0].base(), "http://san-miguel.localhost:7301");
        assert!(sites[7].is_precinct() && sites[7].under == Some(NATIONAL));
    }

    #[test]
    fn small_demo_has_three_towns_and_both_offices() {
        let sites = sites(Path::new("/demo"), 3, 7_300);
        let names: Vec<&str> = sites.iter().map(|site| site.name).collect();
        assert_eq!(names, ["San Miguel", "San Joaquín", "La Pintana", PRECINCT, NATIONAL]);
    }
}
