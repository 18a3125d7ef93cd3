//! The node's first two keys, and key files in general: 32 secret bytes in hex.

use std::path::Path;

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::files::{HomeError, is_private, write_private};

/// The two keys that a node begins with. Prints no secret.
#[derive(Clone)]
pub struct NodeKeys {
    /// Signs envelopes.
    pub envelope: SigningKey,
    /// Proves who this node is to other nodes.
    pub tls: SigningKey,
}

impl std::fmt::Debug for NodeKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeKeys(not shown)")
    }
}

impl NodeKeys {
    pub(super) fn read(folder: &Path) -> Result<Self, HomeError> {
        Ok(Self {
            envelope: read_signing_key(&folder.join("envelope.key"))?,
            tls: read_signing_key(&folder.join("tls.key"))?,
        })
    }

    pub(super) fn make(folder: &Path) -> Result<Self, HomeError> {
        Ok(Self {
            envelope: write_signing_key(&folder.join("envelope.key"))?,
            tls: write_signing_key(&folder.join("tls.key"))?,
        })
    }

    /// The id that goes with the envelope key, when this is the node's first.
    #[must_use]
    pub fn first_member_id(&self) -> protocol::ids::MemberId {
        protocol::roster::Member::id_of_first_key(&self.envelope.verifying_key().to_bytes())
    }
}

/// Reads an Ed25519 key. Refuses a file that other users may read.
pub fn read_signing_key(path: &Path) -> Result<SigningKey, HomeError> {
    Ok(SigningKey::from_bytes(&*read_secret(path)?))
}

/// Makes an Ed25519 key and keeps it in a new file.
pub fn write_signing_key(path: &Path) -> Result<SigningKey, HomeError> {
    Ok(SigningKey::from_bytes(&*write_secret(path)?))
}

/// Reads the 32 secret bytes of a key.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, HomeError> {
    if !is_private(path).map_err(HomeError::read(path))? {
        return Err(HomeError::Open(path.to_owned()));
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(HomeError::read(path))?);
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), secret.as_mut()).map_err(|_| HomeError::Spoiled(path.to_owned()))?;
    Ok(secret)
}

/// Draws 32 secret bytes and keeps them in a new file, on the disk before this returns.
pub(super) fn write_secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, HomeError> {
    if path.exists() {
        return Err(HomeError::KeyThere(path.to_owned()));
    }
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut()).map_err(HomeError::Random)?;
    let text = Zeroizing::new(format!("{}\n", hex::encode(secret.as_ref())));
    write_private(path, text.as_bytes())?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        let made = write_signing_key(&path).unwrap();
        assert_eq!(read_signing_key(&path).unwrap().to_bytes(), made.to_bytes());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(write_signing_key(&path), Err(HomeError::KeyThere(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_signing_key(&path), Err(HomeError::Open(_))));
    }
}
