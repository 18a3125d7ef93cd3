//! A roster version as it travels: its bytes, and signatures by root keys over exactly those bytes.

use std::collections::BTreeSet;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::body::{Algorithm, RootKey, RosterBody};
use crate::ids::{RosterHash, sha256};
use crate::limits::{ROOT_KEYS_MAX, ROSTER_BYTES_MAX, ROSTER_PREVIOUS_MAX, SIGNATURE_BYTES_MAX};
use crate::wire::{Reader, WireError, Writer};

/// Goes in front of a roster version wherever it is hashed or signed.
const DOMAIN: &[u8] = b"cuadra/roster/v1\0";

/// Signatures that one version may carry: each key of every version before it, and of its own.
const SIGNATURES_MAX: usize = ROOT_KEYS_MAX * (ROSTER_PREVIOUS_MAX + 1);

/// A roster version and who signed it. Nothing about it is true until a
/// [`RosterChain`](super::RosterChain) takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRoster {
    pub(crate) bytes: Vec<u8>,
    pub(crate) signatures: Vec<RootSignature>,
}

/// One signature. It names the key itself, not a place in a list: the lists of two versions differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootSignature {
    /// The root key that signed.
    pub key: RootKey,
    /// The signature.
    pub signature: Vec<u8>,
}

impl SignedRoster {
    /// A version that nobody has signed yet.
    #[must_use]
    pub fn unsigned(body: &RosterBody) -> Self {
        Self { bytes: body.encode(), signatures: Vec::new() }
    }

    /// Parses the outer layout only; the version's own bytes are read after their signatures.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        let inner = r.bytes(ROSTER_BYTES_MAX)?.to_vec();
        let signatures = r.list(SIGNATURES_MAX, |r| {
            if r.u8()? != Algorithm::Ed25519 as u8 {
                return Err(WireError::Value);
            }
            let key = RootKey::ed25519(r.array()?);
            Ok(RootSignature { key, signature: r.bytes(SIGNATURE_BYTES_MAX)?.to_vec() })
        })?;
        r.end()?;
        Ok(Self { bytes: inner, signatures })
    }

    /// The layout, as files and messages carry it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(&self.bytes).list(&self.signatures, |w, signed| {
            w.u8(signed.key.algorithm as u8).raw(&signed.key.public).bytes(&signed.signature);
        });
        w.into_bytes()
    }

    /// Adds one signature, or replaces the one that this key gave before.
    pub fn sign(&mut self, key: &SigningKey) {
        let root = RootKey::ed25519(key.verifying_key().to_bytes());
        let signature = key.sign(&self.message()).to_bytes().to_vec();
        self.signatures.retain(|signed| signed.key != root);
        self.signatures.push(RootSignature { key: root, signature });
        self.signatures.sort_unstable_by_key(|signed| signed.key);
    }

    /// Takes good signatures that another copy of the same version has and this one lacks; true if there
    /// were any.
    pub fn take_signatures(&mut self, other: &SignedRoster) -> bool {
        let message = self.message();
        let good = |signed: &&RootSignature| verifies(signed, &message);
        let mut grown = false;
        for theirs in other.signatures.iter().filter(good) {
            if !self.signatures.iter().filter(good).any(|held| held.key == theirs.key) {
                self.signatures.retain(|held| held.key != theirs.key);
                self.signatures.push(theirs.clone());
                grown = true;
            }
        }
        self.signatures.sort_unstable_by_key(|signed| signed.key);
        grown
    }

    /// SHA-256 of the signed bytes; signatures do not change it.
    #[must_use]
    pub fn hash(&self) -> RosterHash {
        RosterHash(sha256(&[DOMAIN, &self.bytes]))
    }

    /// What it says, before anybody has verified it: for showing to the people who sign it.
    pub fn unverified_body(&self) -> Result<RosterBody, WireError> {
        RosterBody::decode(&self.bytes)
    }

    /// The signatures, good or bad.
    #[must_use]
    pub fn signatures(&self) -> &[RootSignature] {
        &self.signatures
    }

    /// Which of `keys` have signed these bytes. A key counts once, however often it signed or is listed.
    #[must_use]
    pub fn signers(&self, keys: &[RootKey]) -> BTreeSet<RootKey> {
        let message = self.message();
        self.signatures
            .iter()
            .filter(|signed| keys.contains(&signed.key) && verifies(signed, &message))
            .map(|signed| signed.key)
            .collect()
    }

    fn message(&self) -> Vec<u8> {
        [DOMAIN, &self.bytes].concat()
    }
}

fn verifies(signed: &RootSignature, message: &[u8]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(&signed.key.public) else { return false };
    let Ok(signature) = Signature::from_slice(&signed.signature) else { return false };
    key.verify_strict(message, &signature).is_ok()
}
