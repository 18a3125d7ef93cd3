//! Every key that the node holds, old and new, each in a file of its own. Which of them is used is for the
//! roster to say; nothing is ever replaced here, and only a person removes one.

use std::path::{Path, PathBuf};

use curve25519_dalek::MontgomeryPoint;
use ed25519_dalek::SigningKey;
use protocol::roster::KeyPurpose;
use zeroize::Zeroizing;

use super::files::HomeError;
use super::keys::{read_secret, write_secret};

/// Keys of one purpose that a folder may hold; more are not made.
const KEYS_OF_PURPOSE_MAX: u16 = 999;

/// A purpose and the name of its key files: `envelope.key`, then `envelope-2.key` and so on.
const NAMES: [(KeyPurpose, &str); 4] = [
    (KeyPurpose::Envelope, "envelope"),
    (KeyPurpose::Tls, "tls"),
    (KeyPurpose::Box, "box"),
    (KeyPurpose::Credential, "credential"),
];

/// What people and files call the keys of a purpose.
#[must_use]
pub fn purpose_name(purpose: KeyPurpose) -> &'static str {
    NAMES.iter().find(|(one, _)| *one == purpose).map_or("", |(_, name)| name)
}

/// One key. Prints no secret.
#[derive(Clone)]
pub struct HeldKey {
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Its public half, as the roster lists it.
    pub public: [u8; 32],
    /// Its file.
    pub path: PathBuf,
    number: u16,
    secret: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for HeldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HeldKey").field(&self.path).finish()
    }
}

impl HeldKey {
    fn new(purpose: KeyPurpose, number: u16, path: PathBuf, secret: Zeroizing<[u8; 32]>) -> Self {
        let public = match purpose {
            KeyPurpose::Box => MontgomeryPoint::mul_base_clamped(*secret).to_bytes(),
            KeyPurpose::Envelope | KeyPurpose::Tls | KeyPurpose::Credential => {
                SigningKey::from_bytes(&secret).verifying_key().to_bytes()
            }
        };
        Self { purpose, public, path, number, secret }
    }

    /// To sign with; none for a key that only receives.
    #[must_use]
    pub fn signing(&self) -> Option<SigningKey> {
        (self.purpose != KeyPurpose::Box).then(|| SigningKey::from_bytes(&self.secret))
    }
}

/// Every key in the node's folder, oldest first within a purpose.
#[derive(Debug, Clone)]
pub struct Keyring {
    folder: PathBuf,
    keys: Vec<HeldKey>,
}

impl Keyring {
    /// Reads every key file; refuses one that other users may read, and a folder that lacks what a node
    /// cannot be without.
    pub(super) fn read(folder: &Path) -> Result<Self, HomeError> {
        let mut keys = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(HomeError::read(folder))? {
            let path = entry.map_err(HomeError::read(folder))?.path();
            let Some((purpose, number)) = path.file_name().and_then(|name| meaning(name.to_str()?)) else {
                continue;
            };
            let secret = read_secret(&path)?;
            keys.push(HeldKey::new(purpose, number, path, secret));
        }
        keys.sort_by_key(|key| (key.purpose, key.number));
        for needed in [KeyPurpose::Envelope, KeyPurpose::Tls] {
            if !keys.iter().any(|key| key.purpose == needed) {
                let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
                return Err(HomeError::read(&folder.join(format!("{}.key", purpose_name(needed))))(missing));
            }
        }
        Ok(Self { folder: folder.to_owned(), keys })
    }

    /// All of them.
    #[must_use]
    pub fn keys(&self) -> &[HeldKey] {
        &self.keys
    }

    /// Those for one purpose, oldest first.
    pub fn of(&self, purpose: KeyPurpose) -> impl DoubleEndedIterator<Item = &HeldKey> {
        self.keys.iter().filter(move |key| key.purpose == purpose)
    }

    /// The key with this public half.
    #[must_use]
    pub fn holding(&self, public: &[u8; 32]) -> Option<&HeldKey> {
        self.keys.iter().find(|key| key.public == *public)
    }

    /// What may sign envelopes.
    #[must_use]
    pub fn envelope_keys(&self) -> Vec<SigningKey> {
        self.of(KeyPurpose::Envelope).filter_map(HeldKey::signing).collect()
    }

    /// Makes one more key for a purpose. It is on the disk when this returns.
    pub fn make(&mut self, purpose: KeyPurpose) -> Result<HeldKey, HomeError> {
        let last = self.of(purpose).next_back().map_or(0, |key| key.number);
        let number = last.saturating_add(1).min(KEYS_OF_PURPOSE_MAX);
        let name = purpose_name(purpose);
        let file = if number == 1 { format!("{name}.key") } else { format!("{name}-{number}.key") };
        let path = self.folder.join(file);
        let secret = write_secret(&path)?;
        let made = HeldKey::new(purpose, number, path, secret);
        self.keys.push(made.clone());
        self.keys.sort_by_key(|key| (key.purpose, key.number));
        Ok(made)
    }
}

/// True if the folder holds a key that signs envelopes, readable or not.
pub(super) fn any_envelope_key(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| {
        let purpose = entry.file_name().to_str().and_then(meaning).map(|(purpose, _)| purpose);
        purpose == Some(KeyPurpose::Envelope)
    })
}

/// What a file is by its name; none for what is no key of the node, such as a draft left by a crash.
fn meaning(file: &str) -> Option<(KeyPurpose, u16)> {
    let name = file.strip_suffix(".key")?;
    let (name, number) = match name.split_once('-') {
        Some((name, number)) => (name, number.parse().ok().filter(|number| *number > 1)?),
        None => (name, 1),
    };
    NAMES.iter().find(|(_, one)| *one == name).map(|(purpose, _)| (*purpose, number))
}

#[cfg(test)]
mod tests {
    use super::super::Home;
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        home.make_folders().unwrap();
        home.make_keys().unwrap();
        (folder, home)
    }

    #[test]
    fn new_key_stands_beside_the_old_one_and_is_on_the_disk_at_once() {
        let (_folder, home) = home();
        let mut ring = home.keyring().unwrap();
        let before: Vec<[u8; 32]> = ring.of(KeyPurpose::Envelope).map(|key| key.public).collect();
        let made = ring.make(KeyPurpose::Envelope).unwrap();
        assert!(made.path.ends_with("envelope-2.key"));
        let read = home.keyring().unwrap();
        let now: Vec<[u8; 32]> = read.of(KeyPurpose::Envelope).map(|key| key.public).collect();
        assert_eq!(now, [before, vec![made.public]].concat());
        assert_eq!(read.of(KeyPurpose::Tls).count(), 1);
        assert!(ring.make(KeyPurpose::Box).unwrap().signing().is_none());
        assert_eq!(home.keyring().unwrap().keys().len(), 4);
    }

    #[test]
    fn what_is_no_key_file_is_left_alone_and_numbers_go_on_after_a_gap() {
        let (_folder, home) = home();
        let secrets = home.secrets();
        for other in
            ["https-key.pem", "envelope-2.key.part", "envelope-x.key", "envelope-1.key", "offline.key"]
        {
            std::fs::write(secrets.join(other), "no key").unwrap();
        }
        let mut ring = home.keyring().unwrap();
        assert_eq!(ring.keys().len(), 2);
        assert!(ring.make(KeyPurpose::Tls).unwrap().path.ends_with("tls-2.key"));
        std::fs::remove_file(secrets.join("tls.key")).unwrap();
        let mut ring = home.keyring().unwrap();
        assert!(ring.make(KeyPurpose::Tls).unwrap().path.ends_with("tls-3.key"));
    }

    #[test]
    fn folder_without_an_envelope_or_a_tls_key_is_no_node() {
        let (_folder, home) = home();
        assert!(any_envelope_key(&home.secrets()));
        std::fs::remove_file(home.secrets().join("envelope.key")).unwrap();
        assert!(matches!(home.keyring(), Err(HomeError::Read { .. })));
        assert!(!any_envelope_key(&home.secrets()));
    }
}
