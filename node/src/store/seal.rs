//! The ciphers of the store: XChaCha20-Poly1305 for what is kept, HMAC-SHA256 for looking up.
//!
//! A sealed value is `nonce 24 | ciphertext and tag`, bound to the row it belongs to by its
//! associated data, so that a value copied to another row does not open.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;

/// A 256-bit key; wiped from memory when dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

/// A sealed value did not open: it was changed, moved to another row, or its key is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open with this key")]
pub struct DoesNotOpen;

/// 32 fresh random bytes from the operating system.
///
/// # Panics
/// If the operating system has no randomness to give: nothing safe can be done then.
#[must_use]
pub fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

impl Key {
    /// A fresh random key.
    #[must_use]
    pub fn fresh() -> Key {
        Key(Zeroizing::new(random()))
    }
    /// From its stored bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Key> {
        Some(Key(Zeroizing::new(bytes.try_into().ok()?)))
    }
    /// Its bytes, for the key store only.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// Seals `plain` for the row that `row` names.
    #[must_use]
    pub fn seal(&self, row: &[u8], plain: &[u8]) -> Vec<u8> {
        let [nonce @ .., _, _, _, _, _, _, _, _] = random();
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: row })
            .expect("values are far below the cipher's 256 GiB");
        [&nonce[..], &sealed].concat()
    }
    /// Opens what `seal` gave for the same row.
    pub fn open(&self, row: &[u8], sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(DoesNotOpen)?;
        self.cipher()
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: row })
            .map_err(|_| DoesNotOpen)
    }
    /// A keyed mark of `parts`, for look-ups and pseudonyms: equal input, equal mark, and nothing
    /// is learned from it without the key. `domain` keeps marks of different uses apart.
    #[must_use]
    pub fn mark(&self, domain: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.as_bytes()).expect("any key length");
        mac.update(domain.as_bytes());
        mac.update(&[0]);
        for part in parts {
            mac.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.as_bytes().into())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_value_opens_only_with_its_key_in_its_row() {
        let key = Key::fresh();
        let sealed = key.seal(b"person/1", b"Rosa");
        assert_eq!(key.open(b"person/1", &sealed).unwrap(), b"Rosa");
        assert_eq!(key.open(b"person/2", &sealed), Err(DoesNotOpen));
        assert_eq!(Key::fresh().open(b"person/1", &sealed), Err(DoesNotOpen));
        assert_eq!(key.open(b"person/1", &sealed[..10]), Err(DoesNotOpen));
        let mut changed = sealed;
        changed[30] ^= 1;
        assert_eq!(key.open(b"person/1", &changed), Err(DoesNotOpen));
    }

    #[test]
    fn marks_are_equal_for_equal_input_only() {
        let key = Key::fresh();
        assert_eq!(key.mark("phone", &[b"1", b"2"]), key.mark("phone", &[b"1", b"2"]));
        assert_ne!(key.mark("phone", &[b"12"]), key.mark("phone", &[b"1", b"2"]));
        assert_ne!(key.mark("phone", &[b"1"]), key.mark("address", &[b"1"]));
        assert_ne!(key.mark("phone", &[b"1"]), Key::fresh().mark("phone", &[b"1"]));
    }
}
