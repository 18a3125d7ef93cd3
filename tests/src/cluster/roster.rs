//! What those who hold the root keys of a scenario's federation do: found it, and write and sign the
//! versions that come after.

use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use protocol::roster::{RosterBody, RosterChain, SignedRoster};

use super::node::Node;
use super::process::cuadra;

/// The holders of the root keys, with one copy of the roster.
#[derive(Debug, Clone)]
pub struct Office {
    folder: PathBuf,
    file: PathBuf,
}

impl Office {
    /// The one that founded the federation whose folders lie in `folder`.
    #[must_use]
    pub fn of(folder: &Path) -> Office {
        let folder = folder.join("root-keys");
        Office { file: folder.join("federation.roster"), folder }
    }

    /// The same people with a copy of the roster as it is now, in which they can write something else.
    #[must_use]
    pub fn apart(&self, name: &str) -> Office {
        let file = self.folder.join(format!("{name}.roster"));
        std::fs::copy(&self.file, &file).expect("a copy of the roster");
        Office { folder: self.folder.clone(), file }
    }

    /// The roster file, as a member is sent it.
    #[must_use]
    pub fn file(&self) -> &str {
        self.file.to_str().expect("a path in ASCII")
    }

    /// Runs `cuadra roster` with these words on this copy.
    pub fn run(&self, words: &[&str]) -> String {
        let arguments = [&["roster"], words, &["--roster", self.file()]].concat();
        cuadra(&self.folder, &arguments)
    }

    /// The file of one root key.
    #[must_use]
    pub fn key(&self, number: u8) -> String {
        let path = self.folder.join(format!("root-{number}.key"));
        path.to_str().expect("a path in ASCII").to_owned()
    }

    /// Writes the next version and signs it with these root keys; gives what was said about it.
    pub fn publish(&self, words: &[&str], signers: &[u8]) -> String {
        let said = self.run(words);
        for signer in signers {
            let _said = self.run(&["sign", "--key", &self.key(*signer)]);
        }
        said
    }

    /// The chain in this copy.
    #[must_use]
    pub fn chain(&self) -> RosterChain {
        let bytes = std::fs::read(&self.file).expect("the roster file");
        let mut versions = node::home::decode_chain_file(&bytes).expect("a roster file").into_iter();
        let mut chain = RosterChain::start(versions.next().expect("a first version")).expect("it is signed");
        for version in versions {
            let _taken = chain.add(version).expect("every version is signed");
        }
        chain
    }

    /// Writes a next version that no command would write, signed by the first two root keys.
    pub fn publish_body(&self, change: impl FnOnce(&mut RosterBody)) {
        let chain = self.chain();
        let head = chain.head();
        let mut body: RosterBody = (**head).clone();
        body.federation = head.federation();
        (body.version, body.previous) = (head.version + 1, vec![head.hash()]);
        change(&mut body);
        body.sort();
        let mut signed = SignedRoster::unsigned(&body);
        for number in [1, 2] {
            signed.sign(&self.secret(number));
        }
        let held = chain.versions_after(0).into_iter().chain([&signed]);
        std::fs::write(&self.file, node::home::encode_chain_file(held)).expect("the roster file");
    }

    fn secret(&self, number: u8) -> SigningKey {
        node::home::read_signing_key(Path::new(&self.key(number))).expect("a root key")
    }
}

/// Lists every node in a first roster and gives it, with everybody's first address, to all.
pub fn found(folder: &Path, nodes: &[Node]) {
    let office = folder.join("root-keys");
    let office_text = office.display().to_string();
    let requests: Vec<String> =
        nodes.iter().map(|node| node.folder.join("member-request.json").display().to_string()).collect();
    let mut arguments = vec!["roster", "create", "--out", &office_text];
    arguments.extend(requests.iter().map(String::as_str));
    let said = cuadra(folder, &arguments);
    let federation = said
        .split_whitespace()
        .find(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .unwrap_or_else(|| panic!("no id of the federation: {said}"));
    let roster = office.join("federation.roster").display().to_string();
    for node in nodes {
        let others = nodes.iter().filter(|other| other.town != node.town);
        let peers: Vec<String> =
            others.map(|other| format!("{}={}", other.town.name, other.address())).collect();
        let mut arguments = vec!["join", &roster, "--federation", federation];
        for peer in &peers {
            arguments.extend(["--peer", peer]);
        }
        let _said = cuadra(&node.folder, &arguments);
    }
}

/// Signs the version that expels a member, with two of the root keys, and hands it to one node.
pub fn expel(folder: &Path, name: &str, told: &Node) {
    let office = folder.join("root-keys");
    let roster = office.join("federation.roster").display().to_string();
    let _said = cuadra(folder, &["roster", "expel", name, "--roster", &roster]);
    for key in ["root-1.key", "root-2.key"] {
        let key = office.join(key).display().to_string();
        let _said = cuadra(folder, &["roster", "sign", "--roster", &roster, "--key", &key]);
    }
    let said = cuadra(folder, &["roster", "show", &roster]);
    let federation = said.split_whitespace().nth(1).expect("it names the federation").to_owned();
    let _said = cuadra(&told.folder, &["join", &roster, "--federation", &federation]);
}
