//! `cuadra init`: makes a node. Asks what it was not told, with answers ready to be taken.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use config::roles::NodeRole;
use protocol::ids::Code;
use protocol::roster::Role;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use super::answer::Tell as _;
use super::request::MemberRequest;
use super::{Exit, Trouble};
use crate::home::{Home, write_whole};

/// What a node is for, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// A municipality: takes the alerts of its territory
    Municipal,
    /// A police precinct or fire brigade that incidents are referred to
    Service,
    /// Sees the municipal nodes of one precinct
    Precinct,
    /// Sees one region
    Regional,
    /// Sees the country
    National,
}

/// Answers of `cuadra init`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Init {
    /// Name of the municipality or precinct, as people know it
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What the node is for; may be given twice
    #[arg(long, value_enum)]
    pub(crate) role: Vec<Purpose>,
    /// Official code of its territory, such as CL-13130; may be given several times
    #[arg(long)]
    pub(crate) code: Vec<Code>,
    /// Inhabitants of the territory (the base of the coverage target)
    #[arg(long)]
    pub(crate) population: Option<u64>,
    /// Name of the precinct or office above it
    #[arg(long)]
    pub(crate) under: Option<String>,
    /// What people type in their browser, such as https://alerta.example.cl
    #[arg(long, value_name = "URL")]
    pub(crate) origin: Option<String>,
    /// Address and port of the pages [default: 0.0.0.0:8443]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<String>,
    /// UDP address and port for the other nodes [default: 0.0.0.0:8444]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) federation: Option<String>,
    /// Host and port that other nodes dial, if it is another one
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<String>,
    /// Plain HTTP, behind a proxy or on this machine only
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Telephone number shown wherever something fails [default: 133]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) emergency_number: Option<String>,
    /// Say on every page that places and people are invented
    #[arg(long)]
    pub(crate) invented_places: bool,
    /// Ask nothing; take the defaults for what is not given
    #[arg(long, short)]
    pub(crate) yes: bool,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Municipal => "municipal",
            Self::Service => "service",
            Self::Precinct => "precinct",
            Self::Regional => "regional",
            Self::National => "national",
        }
    }
}

/// The roster's roles for what the configuration says.
pub(crate) fn roster_roles(roles: &[NodeRole]) -> Vec<Role> {
    let one = |role: &NodeRole| match role {
        NodeRole::Municipal => Role::Municipal,
        NodeRole::Service => Role::Service,
        NodeRole::Precinct | NodeRole::Regional | NodeRole::National => Role::Aggregator,
    };
    let listed: Vec<Role> = roles.iter().map(one).collect();
    Role::ALL.into_iter().filter(|role| listed.contains(role)).collect()
}

impl Init {
    pub(crate) fn run(mut self, folder: &Path) -> Result<(), Trouble> {
        let path = folder.join("cuadra.toml");
        if path.exists() {
            let what = format!("There is a node in {} already; nothing was changed.", folder.display());
            return Err(Trouble::new(Exit::Failed, what).hint("Choose another folder with --folder."));
        }
        if !self.yes && std::io::stdin().is_terminal() {
            self.ask()?;
        }
        let request = self.make(folder)?;
        println!("The node “{}” is ready in {}.", self.name_or_default(), folder.display());
        println!();
        println!("Next:");
        println!("  1. Send {} to those who hold your federation's root keys.", request.display());
        println!("  2. When they send the roster back: cuadra join ROSTER-FILE");
        println!("  3. Then: cuadra run");
        println!();
        println!("For one town alone, without others: cuadra roster create --alone {}", request.display());
        Ok(())
    }

    /// Makes everything; gives the member request's file.
    pub(crate) fn make(&self, folder: &Path) -> Result<PathBuf, Trouble> {
        let text = self.config_text()?;
        let path = folder.join("cuadra.toml");
        let mut config = config::Config::parse(&text, "cuadra.toml")
            .tell(Exit::Usage, "One of the answers cannot be used.")?;
        config.storage.folder = folder.join(&config.storage.folder);
        let home = Home::at(&config.storage.folder);
        let failed = "The node could not be made.";
        home.make_folders().tell(Exit::Store, failed)?;
        let keys = home.make_keys().tell(Exit::Store, failed)?;
        home.draw_incarnation(0).tell(Exit::Store, failed)?;
        let codes: Vec<Code> = config.node.jurisdictions.iter().map(|territory| territory.code).collect();
        let roles = roster_roles(&config.node.roles);
        let name = config.node.name.as_str();
        let request = MemberRequest::make(name, &roles, &codes, self.under.as_deref(), &keys);
        let request_path = folder.join("member-request.json");
        write_whole(&request_path, request.to_json().as_bytes()).tell(Exit::Store, failed)?;
        // Last, so that a folder with a configuration is a whole node.
        write_whole(&path, text.as_bytes()).tell(Exit::Store, failed)?;
        Ok(request_path)
    }

    /// This machine, by the port and the encryption that were chosen.
    fn usual_origin(&self) -> String {
        let scheme = if self.plain_http { "http" } else { "https" };
        let port = self.http.as_deref().and_then(|listen| listen.rsplit_once(':'));
        match port.map_or("8443", |(_, port)| port) {
            "0" => format!("{scheme}://localhost"),
            port => format!("{scheme}://localhost:{port}"),
        }
    }

    fn name_or_default(&self) -> &str {
        self.name.as_deref().unwrap_or("cuadra")
    }

    fn ask(&mut self) -> Result<(), Trouble> {
        println!("A few questions; press Enter to take what stands in [brackets].");
        if self.name.is_none() {
            self.name = Some(question("Name of the municipality or precinct", "cuadra")?);
        }
        if self.role.is_empty() {
            let known = "municipal, service, precinct, regional or national";
            let answer = question(&format!("What is it for? ({known})"), "municipal")?;
            let role = Purpose::from_str(&answer, true)
                .map_err(|_| Trouble::new(Exit::Usage, format!("“{answer}” is none of {known}.")))?;
            self.role.push(role);
        }
        if self.code.is_empty() && self.role.contains(&Purpose::Municipal) {
            let answer = question("Official code of its territory (for San Miguel CL-13130)", "none")?;
            if answer != "none" {
                self.code.push(answer.parse().tell(Exit::Usage, format!("“{answer}” is not a code."))?);
            }
        }
        if self.population.is_none() && !self.code.is_empty() {
            let answer = question("How many people live there?", "0")?;
            let digits: String = answer.chars().filter(char::is_ascii_digit).collect();
            self.population = Some(digits.parse().tell(Exit::Usage, format!("“{answer}” is not a number."))?);
        }
        if self.origin.is_none() {
            self.origin = Some(question("What do people type in their browser?", &self.usual_origin())?);
        }
        Ok(())
    }

    /// The commented example with the answers in it.
    fn config_text(&self) -> Result<String, Trouble> {
        let mut document: DocumentMut =
            config::example().parse().expect("the example is TOML; a test reads it");
        let roles: Array = if self.role.is_empty() {
            Array::from_iter(["municipal"])
        } else {
            self.role.iter().map(|role| role.name()).collect()
        };
        let node = table(&mut document, "node");
        set(node, "name", self.name_or_default());
        put(node, "roles", value(roles));
        if let Some(number) = &self.emergency_number {
            set(node, "emergency_number", number);
        }
        if self.invented_places {
            put(node, "invented_places", value(true));
        }
        if !self.code.is_empty() {
            let population = i64::try_from(self.population.unwrap_or_default())
                .tell(Exit::Usage, "That many people do not live there.")?;
            let mut list = ArrayOfTables::new();
            for code in &self.code {
                let mut territory = Table::new();
                territory.insert("code", value(code.to_string()));
                territory.insert("name", value(self.name_or_default()));
                territory.insert("population", value(population));
                list.push(territory);
            }
            node.insert("jurisdiction", Item::ArrayOfTables(list));
        }
        let http = table(&mut document, "http");
        if let Some(listen) = &self.http {
            set(http, "listen", listen);
        }
        set(http, "origin", &self.origin.clone().unwrap_or_else(|| self.usual_origin()));
        if self.plain_http {
            set(http, "tls", "off");
        }
        let federation = table(&mut document, "federation");
        if let Some(listen) = &self.federation {
            set(federation, "listen", listen);
        }
        if let Some(advertise) = &self.advertise {
            set(federation, "advertise", advertise);
        }
        Ok(document.to_string())
    }
}

fn table<'a>(document: &'a mut DocumentMut, name: &str) -> &'a mut Table {
    let item = document.entry(name).or_insert_with(toml_edit::table);
    item.as_table_mut().expect("the example has a table of this name")
}

fn set(table: &mut Table, key: &str, text: &str) {
    put(table, key, value(text));
}

/// Replaces a value and keeps the comment above it.
fn put(table: &mut Table, key: &str, item: Item) {
    match table.get_mut(key) {
        Some(there) => *there = item,
        None => {
            table.insert(key, item);
        }
    }
}

fn question(words: &str, ready: &str) -> Result<String, Trouble> {
    print!("{words} [{ready}]: ");
    let failed = "The question could not be asked.";
    std::io::stdout().flush().tell(Exit::Failed, failed)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).tell(Exit::Failed, failed)?;
    let answer = line.trim();
    Ok(if answer.is_empty() { ready.to_owned() } else { answer.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn answers() -> Init {
        Init {
            name: Some("San Miguel".into()),
            role: vec![Purpose::Municipal],
            code: vec![Code::chile(13130)],
            population: Some(107_954),
            under: Some("Prefectura Sur".into()),
            origin: Some("http://san-miguel.localhost:8443".into()),
            http: Some("127.0.0.1:0".into()),
            federation: Some("127.0.0.1:0".into()),
            advertise: None,
            plain_http: true,
            emergency_number: Some("1406".into()),
            invented_places: true,
            yes: true,
        }
    }

    #[test]
    fn answers_become_a_commented_configuration() {
        let text = answers().config_text().unwrap();
        let config = config::Config::parse(&text, "test").unwrap();
        assert_eq!(config.node.name.as_str(), "San Miguel");
        assert_eq!(config.node.jurisdictions[0].population, 107_954);
        assert_eq!(config.node.emergency_number.as_str(), "1406");
        assert_eq!(config.http.tls, config::settings::Tls::Off);
        assert!(config.node.invented_places);
        assert!(text.contains("# Address and port of the pages"), "the comments are gone");
        let plain = Init { name: None, role: vec![], code: vec![], http: None, ..answers() };
        let config = config::Config::parse(&plain.config_text().unwrap(), "test").unwrap();
        assert_eq!(config.node.roles, [NodeRole::Municipal]);
    }

    #[test]
    fn second_init_in_a_folder_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        answers().run(folder.path()).unwrap();
        let before = std::fs::read(folder.path().join("data/secrets/envelope.key")).unwrap();
        let refused = answers().run(folder.path()).unwrap_err();
        assert_eq!(refused.exit(), Exit::Failed);
        assert_eq!(std::fs::read(folder.path().join("data/secrets/envelope.key")).unwrap(), before);
    }

    #[test]
    fn answer_that_cannot_be_used_leaves_no_node_behind() {
        let folder = tempfile::tempdir().unwrap();
        let bad = Init { http: Some("nowhere".into()), ..answers() };
        assert_eq!(bad.run(folder.path()).unwrap_err().exit(), Exit::Usage);
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
    }
}
