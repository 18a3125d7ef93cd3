//! A federation of real nodes on loopback: their folders, their processes, and the wires between them.

pub mod disk;
pub mod events;
pub mod link;
pub mod node;
pub mod person;
pub mod places;
pub mod process;
pub mod roster;
pub mod waiting;

use std::ops::Index;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

pub use node::Node;
pub use person::{Answer, Person, timeline};
pub use places::Town;
pub use waiting::{wait_for, within};

use disk::SmallDisk;
use link::{SharedWiring, Wiring};

/// Folders and keys of a federation whose nodes do not run yet.
#[derive(Debug)]
pub struct Plan {
    folder: Folder,
    towns: Vec<Town>,
    wiring: SharedWiring,
    disks: Vec<Option<SmallDisk>>,
    keep_ports: bool,
    scripted: Vec<Town>,
    direct: bool,
    under: Vec<String>,
}

/// A running federation. Its processes end with it, and its folder goes.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    wiring: SharedWiring,
    folder: Folder,
}

/// Where a federation lies.
#[derive(Debug)]
enum Folder {
    /// It goes with the federation.
    Passing(TempDir),
    /// It stays, for the next one that is laid out there.
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Folder::Passing(folder) => folder.path(),
            Folder::Kept(folder) => folder,
        }
    }
}

impl Plan {
    /// Two nodes that hear nothing of each other from the start.
    pub fn cut(&self, one: Town, other: Town) {
        let (one, other) = (place(&self.towns, one), place(&self.towns, other));
        self.wiring.lock().expect("no relay panics").cut(one, other);
    }

    /// Gives a node a disk of its own that can be filled.
    pub fn small_disk(&mut self, town: Town) -> SmallDisk {
        let number = place(&self.towns, town);
        let disk = SmallDisk::new(&folder_of(&self.folder, number));
        if let Some(place) = self.disks.get_mut(number) {
            *place = Some(disk.clone());
        }
        disk
    }

    /// Lets every node keep the port of its pages over a restart, as browsers need it.
    pub fn keep_ports(&mut self) {
        self.keep_ports = true;
    }

    /// Lets nodes reach each other without relays in between: nothing can be cut, nothing is counted,
    /// and nothing but the nodes takes time.
    pub fn direct(&mut self) {
        self.direct = true;
    }

    /// Starts every node by these words, with the program's own after them.
    pub fn run_under(&mut self, words: &[&str]) {
        self.under = words.iter().map(|word| (*word).to_owned()).collect();
    }

    /// Lists this member but does not start it: a scenario plays it itself.
    pub fn scripted(&mut self, town: Town) {
        self.scripted.push(town);
    }

    /// Starts every node and waits until all of them are ready.
    pub async fn run(self) -> Cluster {
        let (scripted, keep_ports) = (self.scripted.clone(), self.keep_ports);
        let mut cluster = self.found().await;
        for node in cluster.nodes.iter_mut().filter(|node| !scripted.contains(&node.town)) {
            node.start().await;
            if keep_ports {
                node.keep_port();
            }
        }
        cluster
    }

    /// The federation's folders, keys and roster; nothing runs. What lies in a kept folder already is
    /// taken as it is, at new addresses.
    pub async fn found(self) -> Cluster {
        let mut nodes = Vec::new();
        let again = folder_of(&self.folder, 0).join("cuadra.toml").exists();
        for (number, (town, disk)) in self.towns.iter().zip(&self.disks).enumerate() {
            let folder = folder_of(&self.folder, number);
            let under = above(&self.towns, *town);
            let (disk, wiring) = (disk.clone(), self.wiring.clone());
            nodes.push(if again {
                Node::again(*town, number, folder, wiring, self.direct).await
            } else {
                Node::new(*town, under, number, folder, disk, wiring, self.direct).await
            });
        }
        if again {
            node::move_all(&nodes);
        } else {
            roster::found(self.folder.path(), &nodes);
        }
        for node in &mut nodes {
            node.run_under(&self.under);
        }
        Cluster { nodes, wiring: self.wiring, folder: self.folder }
    }
}

/// The office above a town in this federation.
fn above(towns: &[Town], town: Town) -> Option<&'static str> {
    let offices = [places::PRECINCT, places::NATIONAL];
    let higher = offices.iter().skip_while(|office| town.code.is_none() && **office != town);
    let mut higher = higher.filter(|office| **office != town && towns.contains(office));
    higher.next().map(|office| office.name)
}

fn folder_of(folder: &Folder, number: usize) -> PathBuf {
    folder.path().join(format!("node-{number}"))
}

fn place(towns: &[Town], town: Town) -> usize {
    towns
        .iter()
        .position(|one| *one == town)
        .unwrap_or_else(|| panic!("{} is not in this federation", town.name))
}

impl Cluster {
    /// A federation of these towns, not running yet. All know each other's addresses; municipal nodes
    /// stand under the precinct if there is one, that under the national node.
    #[must_use]
    pub fn laid_out(towns: &[Town]) -> Plan {
        let folder = tempfile::Builder::new().prefix("cuadra-").tempdir().expect("a folder for the test");
        Self::plan(towns, Folder::Passing(folder))
    }

    /// The same in a folder that stays. If these towns were laid out there before, they are found again
    /// with everything that they hold.
    #[must_use]
    pub fn kept_in(folder: &Path, towns: &[Town]) -> Plan {
        Self::plan(towns, Folder::Kept(folder.to_owned()))
    }

    fn plan(towns: &[Town], folder: Folder) -> Plan {
        let wiring = Arc::new(Mutex::new(Wiring::default()));
        let disks = vec![None; towns.len()];
        Plan {
            folder,
            towns: towns.to_vec(),
            wiring,
            disks,
            keep_ports: false,
            scripted: Vec::new(),
            direct: false,
            under: Vec::new(),
        }
    }

    /// A running federation of these towns.
    pub async fn start(towns: &[Town]) -> Cluster {
        Cluster::laid_out(towns).run().await
    }

    /// Every node.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The folder of all nodes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Those who hold the root keys.
    #[must_use]
    pub fn office(&self) -> roster::Office {
        roster::Office::of(self.folder())
    }

    fn number(&self, town: Town) -> usize {
        self.nodes
            .iter()
            .position(|node| node.town == town)
            .unwrap_or_else(|| panic!("{} is not in this federation", town.name))
    }

    /// Cuts the link between two nodes, both ways.
    pub fn cut(&self, one: Town, other: Town) {
        self.wiring.lock().expect("no relay panics").cut(self.number(one), self.number(other));
    }

    /// Mends it.
    pub fn mend(&self, one: Town, other: Town) {
        self.wiring.lock().expect("no relay panics").mend(self.number(one), self.number(other));
    }

    /// Bytes of all datagrams between nodes so far, both ways, as relays carried them.
    #[must_use]
    pub fn carried_bytes(&self) -> u64 {
        self.wiring.lock().expect("no relay panics").carried()
    }

    /// Signs a roster that expels a town and gives it to one node, which learns it at its next start and
    /// tells the others.
    pub fn expel(&self, town: Town, told: Town) {
        roster::expel(self.folder.path(), town.name, &self[told]);
    }

    /// SIGKILL.
    pub async fn kill(&mut self, town: Town) {
        let number = self.number(town);
        self.nodes[number].kill().await;
    }

    /// Starts a node that does not run: one that was killed, at another port, or one that was only laid out.
    pub async fn restart(&mut self, town: Town) {
        let number = self.number(town);
        self.nodes[number].start().await;
    }

    /// Waits until `from` is connected to `to` and has nothing that `to` has not confirmed.
    pub async fn in_step(&self, from: Town, to: Town) {
        let operator = self[from].operator().await;
        let member = self[to].member.clone();
        wait_for("two nodes in step", async || {
            let peers = operator.get("/api/v1/peers").await.expect(200);
            let peer = peers.as_array()?.iter().find(|peer| peer["id"] == member.as_str())?.clone();
            (peer["state"] == "connected" && peer["due"] == 0).then_some(())
        })
        .await;
    }
}

impl Index<Town> for Cluster {
    type Output = Node;
    fn index(&self, town: Town) -> &Node {
        &self.nodes[self.number(town)]
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in &self.nodes {
                eprintln!("--- the last of {}\n{}", node.town.name, process::tail(&node.folder));
            }
        }
    }
}
