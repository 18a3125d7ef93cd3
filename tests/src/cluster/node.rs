//! One node of a scenario: its folder, its process, and the people at it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::disk::SmallDisk;
use super::link::{Relay, SharedWiring};
use super::person::Person;
use super::places::Town;
use super::process::{Process, cuadra, cuadra_after};
use crate::canaries;

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Which.
    pub town: Town,
    /// Its member id, hex.
    pub member: String,
    /// Its folder.
    pub folder: PathBuf,
    number: usize,
    /// None for a node that others reach without a relay in between.
    _relay: Option<Relay>,
    address: SocketAddr,
    wiring: SharedWiring,
    disk: Option<SmallDisk>,
    /// Words in front of the program's own, where it has no disk of its own.
    under: Vec<String>,
    process: Option<Process>,
}

impl Node {
    /// Makes the node's folder with `cuadra init`; nothing runs yet.
    pub async fn new(
        town: Town,
        under: Option<&str>,
        number: usize,
        folder: PathBuf,
        disk: Option<SmallDisk>,
        wiring: SharedWiring,
        direct: bool,
    ) -> Node {
        let relay = if direct { None } else { Some(Relay::start(number, wiring.clone()).await) };
        let address = relay.as_ref().map_or_else(free_address, |relay| relay.address);
        let advertise = address.to_string();
        let listen = if direct { &advertise } else { "127.0.0.1:0" };
        let population = town.population.to_string();
        let mut arguments =
            vec!["init", "--yes", "--plain-http", "--http", "127.0.0.1:0", "--name", town.name];
        arguments.extend(["--federation", listen, "--advertise", &advertise, "--role", town.role]);
        arguments.extend(["--origin", "http://127.0.0.1"]);
        if let Some(under) = under {
            arguments.extend(["--under", under]);
        }
        if let Some(code) = town.code {
            arguments.extend(["--code", code, "--population", &population]);
        }
        std::fs::create_dir_all(&folder).expect("a folder for the node");
        let _said = cuadra(&folder, &arguments);
        Node {
            town,
            member: String::new(),
            folder,
            number,
            _relay: relay,
            address,
            wiring,
            disk,
            under: Vec::new(),
            process: None,
        }
    }

    /// A node that was laid out in this folder before, with a relay of its own again; nothing runs yet.
    pub async fn again(
        town: Town,
        number: usize,
        folder: PathBuf,
        wiring: SharedWiring,
        direct: bool,
    ) -> Node {
        let relay = if direct { None } else { Some(Relay::start(number, wiring.clone()).await) };
        let address = relay.as_ref().map_or_else(free_address, |relay| relay.address);
        Node {
            town,
            member: String::new(),
            folder,
            number,
            _relay: relay,
            address,
            wiring,
            disk: None,
            under: Vec::new(),
            process: None,
        }
    }

    /// The address that other nodes dial.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the process by these words from now on.
    pub fn run_under(&mut self, words: &[String]) {
        self.under = words.to_vec();
    }

    /// Starts the process and waits until it is ready.
    pub async fn start(&mut self) {
        let under = Some(self.under.clone()).filter(|words| !words.is_empty());
        let wrapper = self.disk.as_ref().map(SmallDisk::wrapper).or(under);
        let process = Process::start(&self.folder, wrapper.as_deref()).await;
        let port =
            process.ready["federation"].as_str().and_then(|address| address.parse::<SocketAddr>().ok());
        let port = port.unwrap_or_else(|| panic!("no address of the federation: {}", process.ready)).port();
        self.wiring.lock().expect("no relay panics").listens(self.number, port);
        self.member = process.ready["member"].as_str().expect("the ready line names the member").to_owned();
        if let Some(disk) = &self.disk {
            disk.of_process(process.number());
        }
        self.process = Some(process);
    }

    /// Writes the port of its pages into its configuration, so that it has the same after a restart.
    pub fn keep_port(&self) {
        let path = self.folder.join("cuadra.toml");
        let text = std::fs::read_to_string(&path).expect("the configuration is there");
        let port = self.base().rsplit(':').next().expect("a base has a port").to_owned();
        let (before, after) = text.split_once("[http]").expect("the configuration has a part for pages");
        let after = after.replacen("\"127.0.0.1:0\"", &format!("\"127.0.0.1:{port}\""), 1);
        let after = after.replacen("\"http://127.0.0.1\"", &format!("\"http://127.0.0.1:{port}\""), 1);
        std::fs::write(&path, format!("{before}[http]{after}")).expect("the configuration can be written");
    }

    /// The address on which its process takes other nodes, without the relay in between.
    #[must_use]
    pub fn listens(&self) -> SocketAddr {
        listens(self.process.as_ref().unwrap_or_else(|| panic!("{} does not run", self.town.name)))
    }

    /// The number of its process.
    #[must_use]
    pub fn process_number(&self) -> u32 {
        self.process.as_ref().unwrap_or_else(|| panic!("{} does not run", self.town.name)).number()
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        self.process.take().expect("it runs").kill().await;
    }

    /// True while its process runs.
    pub fn alive(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::alive)
    }

    /// Where its pages are.
    #[must_use]
    pub fn base(&self) -> String {
        let process = self.process.as_ref().unwrap_or_else(|| panic!("{} does not run", self.town.name));
        process.ready["http"].as_str().expect("the ready line says where its pages are").to_owned()
    }

    /// Somebody who is not signed in.
    #[must_use]
    pub fn stranger(&self) -> Person {
        Person::stranger(&self.base())
    }

    /// The same person after the node moved to another port.
    #[must_use]
    pub fn same(&self, person: &Person) -> Person {
        person.at(&self.base())
    }

    /// Runs a command of the program at this node.
    #[must_use]
    pub fn cuadra(&self, arguments: &[&str]) -> String {
        let before = self.disk.as_ref().map(SmallDisk::enter).unwrap_or_default();
        cuadra_after(&before, &self.folder, arguments)
    }

    /// Runs a command of the program at this node that must fail; gives all that it said.
    #[must_use]
    pub fn cuadra_refused(&self, arguments: &[&str]) -> String {
        let before = self.disk.as_ref().map(SmallDisk::enter).unwrap_or_default();
        super::process::cuadra_refused(&before, &self.folder, arguments)
    }

    /// A code that makes a resident.
    #[must_use]
    pub fn resident_code(&self) -> String {
        code_in(&self.cuadra(&["invite", "resident"]))
    }

    /// A code that makes so many residents.
    #[must_use]
    pub fn community_code(&self, uses: usize) -> String {
        code_in(&self.cuadra(&["invite", "resident", "--uses", &uses.to_string()]))
    }

    /// A code that signs an operator in.
    #[must_use]
    pub fn operator_code(&self, name: &str) -> String {
        code_in(&self.cuadra(&["invite", "operator", "--name", name]))
    }

    /// Somebody at the desk.
    pub async fn operator(&self) -> Person {
        let mut person = self.stranger();
        person.sign_in("/api/v1/enter", &json!({ "code": self.operator_code("Operadora de turno") })).await;
        person
    }

    /// A registered neighbour.
    pub async fn resident(&self, name: &str) -> Person {
        self.resident_with(name, &format!("Calle de {name} 100"), None).await
    }

    /// A registered neighbour with this address and phone.
    pub async fn resident_with(&self, name: &str, address: &str, phone: Option<&str>) -> Person {
        let mut person = self.stranger();
        let code = self.resident_code();
        let mut form = json!({ "code": code, "name": name, "address": address, "lang": "es" });
        if let Some(phone) = phone {
            form["phone"] = json!(phone);
        }
        person.sign_in("/api/v1/join", &form).await;
        person
    }

    /// What `cuadra export incident` gives.
    #[must_use]
    pub fn export(&self, incident: &str) -> Vec<u8> {
        self.cuadra(&["export", "incident", incident]).into_bytes()
    }

    /// Fails if these words are in any file of the node, in any form.
    pub fn never_saw(&self, secret: &str) {
        canaries::absent_below(&self.folder, secret);
    }

    /// Fails if the node has said this in its log.
    pub fn never_logged(&self, words: &str) {
        let said = super::process::tail(&self.folder);
        assert!(!said.to_lowercase().contains(words), "{} said: {said}", self.town.name);
    }

    /// Fails if any file of the node has this document's id, as bytes or in hex.
    pub fn holds_no(&self, id: &str) {
        let raw = hex::decode(id).expect("an id is hex");
        for (path, bytes) in canaries::files_below(&self.folder) {
            assert!(!canaries::contains(&bytes, &raw), "{id} is in {path}");
            assert!(!canaries::contains(&bytes, id.as_bytes()), "{id} is in {path}, in hex");
        }
    }

    /// The folder of databases, keys and blobs.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data_of(&self.folder)
    }
}

/// The folder of databases, keys and blobs of the node in `folder`.
#[must_use]
pub fn data_of(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// Writes the addresses that nodes have now into the configurations of all, where others stood.
pub fn move_all(nodes: &[Node]) {
    let path = |node: &Node| node.folder.join("cuadra.toml");
    let read = |node: &Node| std::fs::read_to_string(path(node)).expect("the configuration is there");
    let value = |text: &str, name: &str| {
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = ")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("the configuration has no {name}"))
    };
    let moved: Vec<(String, String)> =
        nodes.iter().map(|node| (value(&read(node), "advertise"), format!("\"{}\"", node.address))).collect();
    for node in nodes {
        let mut text = read(node);
        for (old, new) in &moved {
            text = text.replace(old, new);
        }
        let (before, after) = text.split_once("[federation]").expect("a part for other nodes");
        let listen = if node._relay.is_some() { "127.0.0.1:0".to_owned() } else { node.address.to_string() };
        let (old, new) = (value(after, "listen"), format!("\"{listen}\""));
        let after = after.replacen(&format!("listen = {old}"), &format!("listen = {new}"), 1);
        std::fs::write(path(node), format!("{before}[federation]{after}")).expect("it can be written");
    }
}

/// An address on loopback that nobody listens on, to be written into a configuration.
fn free_address() -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port on loopback");
    socket.local_addr().expect("it is bound")
}

fn listens(process: &Process) -> SocketAddr {
    let address = process.ready["federation"].as_str().and_then(|address| address.parse().ok());
    address.unwrap_or_else(|| panic!("no address of the federation: {}", process.ready))
}

/// The code in what `cuadra invite` printed: the last word after a `#` or `=`.
fn code_in(printed: &str) -> String {
    let code = printed.split_whitespace().rev().find_map(|word| word.rsplit_once(['#', '=']));
    code.unwrap_or_else(|| panic!("no link with a code: {printed}")).1.to_owned()
}
