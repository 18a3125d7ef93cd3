//! Keys that sign often, each with the multiples that are kept of it: few of most, many of those that sign the most.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ed25519_dalek::VerifyingKey;

use super::multiples::{Few, Kept, Many};

/// Keys of which multiples are kept, 15 KiB each. More: all are made anew.
const SIGNERS_MAX: usize = 512;
/// Signatures under a key after which many multiples of it are kept, if it is one of those that sign the most.
const SIGNATURES_BEFORE_MANY: u32 = 1_000;
/// Keys of which many multiples are kept, 480 KiB each.
const MANY_MAX: usize = 8;

static SIGNERS: RwLock<Signers> = RwLock::new(Signers(BTreeMap::new()));

/// A key that signs often.
pub(super) struct Signer {
    key: VerifyingKey,
    pub kept: Kept,
    /// Signatures under it since its multiples were made; halved now and then.
    seen: AtomicU32,
}

/// A key whose multiples are kept, for another signature under it.
pub(super) fn find(public: &[u8; 32]) -> Option<Arc<Signer>> {
    let signer = SIGNERS.read().unwrap_or_else(PoisonError::into_inner).0.get(public).cloned()?;
    let seen = signer.seen.fetch_add(1, Ordering::Relaxed);
    if seen == SIGNATURES_BEFORE_MANY && matches!(signer.kept, Kept::Few(_)) {
        let many = Signer::with_many(signer.key);
        SIGNERS.write().unwrap_or_else(PoisonError::into_inner).promote(public, many);
    }
    Some(signer)
}

/// Keeps few multiples of a key.
pub(super) fn keep(public: &[u8; 32], key: VerifyingKey) -> Arc<Signer> {
    let signer = Arc::new(Signer::with_few(key));
    SIGNERS.write().unwrap_or_else(PoisonError::into_inner).add(public, signer.clone());
    signer
}

impl Signer {
    fn with_few(key: VerifyingKey) -> Self {
        Self { key, kept: Kept::Few(Few::of(&key.to_edwards())), seen: AtomicU32::new(0) }
    }

    fn with_many(key: VerifyingKey) -> Self {
        let kept = Kept::Many(Many::of(&key.to_edwards()));
        Self { key, kept, seen: AtomicU32::new(SIGNATURES_BEFORE_MANY) }
    }

    fn seen(&self) -> u32 {
        self.seen.load(Ordering::Relaxed)
    }
}

struct Signers(BTreeMap<[u8; 32], Arc<Signer>>);

impl Signers {
    fn add(&mut self, public: &[u8; 32], signer: Arc<Signer>) {
        if self.0.len() >= SIGNERS_MAX {
            self.0.clear();
        }
        self.0.insert(*public, signer);
    }

    fn with_many(&self) -> impl Iterator<Item = (&[u8; 32], &Arc<Signer>)> {
        self.0.iter().filter(|(_, signer)| matches!(signer.kept, Kept::Many(_)))
    }

    /// Keeps many multiples of a key that has signed much, where there is room, or instead of the key that has signed
    /// least lately.
    fn promote(&mut self, public: &[u8; 32], many: Signer) {
        if self.with_many().count() >= MANY_MAX {
            // Who signs no more gives way in time.
            for signer in self.0.values() {
                signer.seen.store(signer.seen() / 2, Ordering::Relaxed);
            }
            let least = self.with_many().min_by_key(|(_, signer)| signer.seen());
            let least = least.filter(|(_, signer)| signer.seen() < SIGNATURES_BEFORE_MANY);
            let Some((other, key)) = least.map(|(other, signer)| (*other, signer.key)) else { return };
            self.0.insert(other, Arc::new(Signer::with_few(key)));
        }
        self.0.insert(*public, Arc::new(many));
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn key(seed: u8) -> VerifyingKey {
        SigningKey::from_bytes(&[seed; 32]).verifying_key()
    }

    #[test]
    fn many_multiples_are_kept_of_those_keys_that_sign_the_most() {
        let mut signers = Signers(BTreeMap::new());
        let promote = |signers: &mut Signers, seed: u8| {
            signers.promote(&key(seed).to_bytes(), Signer::with_many(key(seed)));
        };
        let count = u8::try_from(MANY_MAX).unwrap();
        for seed in 0..count {
            promote(&mut signers, seed);
            let signer = &signers.0[&key(seed).to_bytes()];
            signer.seen.store(2 * SIGNATURES_BEFORE_MANY + u32::from(seed), Ordering::Relaxed);
        }
        let of_many = |signers: &Signers| signers.with_many().map(|(public, _)| *public).collect::<Vec<_>>();
        let first = of_many(&signers);
        assert_eq!(first.len(), MANY_MAX);
        promote(&mut signers, count);
        assert_eq!(of_many(&signers), first, "all of them sign as much");
        promote(&mut signers, count);
        let then = of_many(&signers);
        assert_eq!(then.len(), MANY_MAX);
        assert!(then.contains(&key(count).to_bytes()), "it signs more than the others did lately");
        assert!(!then.contains(&key(0).to_bytes()), "that one signed least");
        assert!(matches!(signers.0[&key(0).to_bytes()].kept, Kept::Few(_)), "and is as quick as most");
    }

    #[test]
    fn many_multiples_of_a_key_are_made_once() {
        let (public, key) = (key(200).to_bytes(), key(200));
        keep(&public, key);
        for _ in 0..=SIGNATURES_BEFORE_MANY {
            assert!(matches!(find(&public).unwrap().kept, Kept::Few(_)));
        }
        let many = find(&public).unwrap();
        assert!(matches!(many.kept, Kept::Many(_)));
        assert!(Arc::ptr_eq(&many, &find(&public).unwrap()));
    }

    #[test]
    fn keys_of_which_multiples_are_kept_are_bounded() {
        let mut signers = Signers(BTreeMap::new());
        let signer = Arc::new(Signer::with_few(key(1)));
        for n in 0..2 * SIGNERS_MAX {
            let mut public = [0; 32];
            public[..8].copy_from_slice(&n.to_be_bytes());
            signers.add(&public, signer.clone());
            assert!(signers.0.len() <= SIGNERS_MAX);
        }
    }
}
