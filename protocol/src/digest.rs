//! A SHA-256 tree over document ids, by hexadecimal digit: two nodes compare one hash to know that they
//! hold the same of everything both may hold, and walk down to what differs.
//!
//! A place's hash is over its documents one by one where they are few, else over its sixteen children's
//! hashes. Never a sum of hashes: sums can be forged. Hashes are computed when asked for, and again
//! only where something changed.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::ids::{DocId, sha256};
use crate::limits::{DIGEST_LEAF_MAX, DIGEST_PREFIX_NIBBLES_MAX};
use crate::message::{DigestLeaf, Prefix};

/// A hash over heads or over a part of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a place without documents.
    pub const EMPTY: Fingerprint = Fingerprint([0; 32]);
}

/// What is said of a hash while a tree is walked down: eight bytes of it under a number that whoever says it
/// draws anew each time. Two hashes can be made whose marks agree under one number, but not under every
/// number to come, so what differs cannot be hidden for longer than one walk. Equality is proven by whole
/// hashes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mark(pub [u8; 8]);

impl Mark {
    /// Of a hash under a number.
    #[must_use]
    pub fn of(salt: u64, hash: &Fingerprint) -> Mark {
        let whole = sha256(&[b"cuadra/digest/mark/v1\0", &salt.to_be_bytes(), &hash.0]);
        Mark(*whole.first_chunk().expect("eight of thirty-two bytes"))
    }
}

/// All digits of a document's id that the tree uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocMark(pub [u8; 8]);

impl DocMark {
    /// Of a document.
    #[must_use]
    pub fn of(doc: &DocId) -> DocMark {
        DocMark(*doc.0.first_chunk().expect("eight of thirty-two bytes"))
    }
}

/// What lies below some digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The hash over it.
    pub hash: Fingerprint,
    /// How many documents there are.
    pub documents: u64,
}

impl Place {
    /// Without documents.
    pub const EMPTY: Place = Place { hash: Fingerprint::EMPTY, documents: 0 };

    /// Of few documents, one by one, in ascending order.
    #[must_use]
    pub fn leaf(documents: &[(DocId, Fingerprint)]) -> Place {
        if documents.is_empty() {
            return Place::EMPTY;
        }
        let mut parts = Vec::with_capacity(documents.len() * 64);
        for (doc, fingerprint) in documents {
            parts.extend_from_slice(&doc.0);
            parts.extend_from_slice(&fingerprint.0);
        }
        let hash = Fingerprint(sha256(&[b"cuadra/digest/leaf/v1\0", &parts]));
        Place { hash, documents: u64::try_from(documents.len()).unwrap_or(u64::MAX) }
    }

    /// Of its sixteen children.
    #[must_use]
    pub fn node(children: &[Place; 16]) -> Place {
        let parts: Vec<u8> = children.iter().flat_map(|child| child.hash.0).collect();
        let hash = Fingerprint(sha256(&[b"cuadra/digest/node/v1\0", &parts]));
        Place { hash, documents: children.iter().map(|child| child.documents).sum() }
    }
}

/// The documents that this node shares with one peer.
#[derive(Debug, Clone, Default)]
pub struct Digest {
    documents: BTreeMap<DocId, Fingerprint>,
    /// Hashes of places, dropped along the path of whatever changes.
    hashes: RefCell<BTreeMap<Prefix, Fingerprint>>,
}

impl Digest {
    /// Over the given documents.
    #[must_use]
    pub fn of(documents: impl IntoIterator<Item = (DocId, Fingerprint)>) -> Digest {
        Digest { documents: documents.into_iter().collect(), hashes: RefCell::default() }
    }

    /// Sets what is held of a document.
    pub fn set(&mut self, doc: DocId, fingerprint: Fingerprint) {
        if self.documents.insert(doc, fingerprint) != Some(fingerprint) {
            self.forget_path(&doc);
        }
    }

    /// Takes a document out.
    pub fn remove(&mut self, doc: &DocId) {
        if self.documents.remove(doc).is_some() {
            self.forget_path(doc);
        }
    }

    /// What is held of a document.
    #[must_use]
    pub fn fingerprint(&self, doc: &DocId) -> Option<Fingerprint> {
        self.documents.get(doc).copied()
    }

    /// How many documents there are in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// True without any document.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// The hash over everything.
    #[must_use]
    pub fn root(&self) -> Fingerprint {
        self.hash(&Prefix::default())
    }

    /// True if the documents below `prefix` are few enough to be listed.
    #[must_use]
    pub fn is_leaf(&self, prefix: &Prefix) -> bool {
        prefix.0.len() >= DIGEST_PREFIX_NIBBLES_MAX || self.below(prefix).nth(DIGEST_LEAF_MAX).is_none()
    }

    /// The documents below `prefix`, ascending.
    pub fn below(&self, prefix: &Prefix) -> impl Iterator<Item = (DocId, Fingerprint)> + '_ {
        let range = prefix.bounds().map(|(first, last)| self.documents.range(first..=last));
        range.into_iter().flatten().map(|(doc, fingerprint)| (*doc, *fingerprint))
    }

    /// The hash of a place. It depends on the documents below it alone, so that both sides compute the
    /// same.
    #[must_use]
    pub fn hash(&self, prefix: &Prefix) -> Fingerprint {
        if let Some(hash) = self.hashes.borrow().get(prefix) {
            return *hash;
        }
        let hash = self.rehash(prefix);
        if hash != Fingerprint::EMPTY {
            self.hashes.borrow_mut().insert(prefix.clone(), hash);
        }
        hash
    }

    /// The hashes of the sixteen places below `prefix`.
    #[must_use]
    pub fn children(&self, prefix: &Prefix) -> [Fingerprint; 16] {
        std::array::from_fn(|digit| self.hash(&prefix.child(digit)))
    }

    /// What lies below `prefix`.
    #[must_use]
    pub fn place(&self, prefix: &Prefix) -> Place {
        let documents = u64::try_from(self.below(prefix).count()).unwrap_or(u64::MAX);
        Place { hash: self.hash(prefix), documents }
    }

    fn rehash(&self, prefix: &Prefix) -> Fingerprint {
        if self.is_leaf(prefix) {
            let documents: Vec<_> = self.below(prefix).collect();
            return Place::leaf(&documents).hash;
        }
        let child = |hash| Place { hash, documents: 0 };
        Place::node(&self.children(prefix).map(child)).hash
    }

    fn forget_path(&mut self, doc: &DocId) {
        let hashes = self.hashes.get_mut();
        let digits = Prefix::of(doc);
        for length in 0..=DIGEST_PREFIX_NIBBLES_MAX {
            let Some(place) = digits.0.get(..length) else { break };
            hashes.remove(&Prefix(place.to_vec()));
        }
    }
}

impl Prefix {
    /// All digits of a document's id that the tree uses.
    #[must_use]
    pub fn of(doc: &DocId) -> Prefix {
        let digits = doc.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        Prefix(digits.take(DIGEST_PREFIX_NIBBLES_MAX).collect())
    }

    /// The first and the last document id that the place can have; none for digits that are no digits.
    #[must_use]
    pub fn bounds(&self) -> Option<(DocId, DocId)> {
        bounds(&self.0)
    }

    /// The place one digit further down.
    #[must_use]
    pub fn child(&self, digit: usize) -> Prefix {
        let digit = u8::try_from(digit & 15).expect("four bits fit a byte");
        Prefix(self.0.iter().copied().chain([digit]).collect())
    }
}

impl DigestLeaf {
    /// Tells of these documents.
    #[must_use]
    pub fn of(prefix: Prefix, salt: u64, answers: bool, documents: &[(DocId, Fingerprint)]) -> DigestLeaf {
        let told = documents.iter().map(|(doc, held)| (DocMark::of(doc), Mark::of(salt, held)));
        DigestLeaf { prefix, salt, answers, documents: told.collect() }
    }
}

const _: () = assert!(DIGEST_PREFIX_NIBBLES_MAX == 16, "a document's mark has all digits of the tree");

fn bounds(digits: &[u8]) -> Option<(DocId, DocId)> {
    let (mut first, mut last) = ([0u8; 32], [0xffu8; 32]);
    for (place, digit) in digits.iter().enumerate() {
        let (high, byte) = (place % 2 == 0, place / 2);
        let (first, last) = (first.get_mut(byte)?, last.get_mut(byte)?);
        if *digit > 15 {
            return None;
        }
        if high {
            (*first, *last) = (digit << 4, digit << 4 | 15);
        } else {
            (*first, *last) = (*first & 0xf0 | digit, *last & 0xf0 | digit);
        }
    }
    Some((DocId(first), DocId(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(n: u32) -> DocId {
        DocId(sha256(&[&n.to_be_bytes()]))
    }
    fn print(n: u32) -> Fingerprint {
        Fingerprint(sha256(&[b"print", &n.to_be_bytes()]))
    }
    fn digest(numbers: impl IntoIterator<Item = u32>) -> Digest {
        Digest::of(numbers.into_iter().map(|n| (doc(n), print(n))))
    }

    #[test]
    fn equal_documents_have_equal_roots_whatever_their_history() {
        arbtest::arbtest(|u| {
            let (mut built, mut plain) = (Digest::default(), BTreeMap::new());
            for _ in 0..u.int_in_range(0..=200)? {
                let (n, value) = (u.int_in_range(0..=80u32)?, u.int_in_range(0..=3u32)?);
                if u.ratio(1, 4)? {
                    built.remove(&doc(n));
                    plain.remove(&doc(n));
                } else {
                    built.set(doc(n), print(value));
                    plain.insert(doc(n), print(value));
                }
                if u.ratio(1, 3)? {
                    _ = built.root();
                }
            }
            assert_eq!(built.root(), Digest::of(plain).root());
            Ok(())
        });
    }

    #[test]
    fn marks_that_agree_under_one_number_differ_under_another() {
        // Made to agree in the bytes that are compared here, as somebody could with 2³² tries in all eight.
        let short = |salt, n| Mark::of(salt, &print(n)).0[0];
        let twin = (1..).find(|n| short(7, *n) == short(7, 0)).expect("one of a few hundred");
        assert_eq!((1..=8).filter(|salt| short(*salt, twin) != short(*salt, 0)).count(), 7);
        assert_ne!(Mark::of(7, &print(0)), Mark::of(7, &print(1)));
    }

    #[test]
    fn any_difference_changes_the_root() {
        let whole = digest(0..300);
        for n in [0, 17, 299] {
            let mut other = whole.clone();
            other.set(doc(n), print(n + 1));
            assert_ne!(other.root(), whole.root(), "changed {n}");
            other.set(doc(n), print(n));
            assert_eq!(other.root(), whole.root());
            other.remove(&doc(n));
            assert_ne!(other.root(), whole.root(), "without {n}");
        }
        assert_eq!(Digest::default().root(), Fingerprint::EMPTY);
    }

    #[test]
    fn leaf_lists_what_lies_below_its_digits() {
        let whole = digest(0..300);
        assert!(!whole.is_leaf(&Prefix::default()));
        let mut seen = 0;
        for high in 0..16 {
            for low in 0..16 {
                let place = Prefix::default().child(high).child(low);
                for (doc, _) in whole.below(&place) {
                    assert_eq!(Prefix::of(&doc).0[..2], place.0[..]);
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, 300);
    }
}
