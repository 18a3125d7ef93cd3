//! Where the node stands in the rotation of its own keys: which key it uses under a roster, and what a
//! person has to do next. Decides, reads nothing and writes nothing.
//!
//! A new key is made beside the old one and asked for; once a roster lists it, both are good and the new
//! one is used; once a later roster retires the old one, nothing is signed with it any more.

use std::path::PathBuf;

use ed25519_dalek::SigningKey;
use protocol::roster::{KeyPurpose, KeyState, Member, MemberKey, RosterChain};

use crate::home::{HeldKey, Keyring};

/// Every purpose that a key may have.
pub const PURPOSES: [KeyPurpose; 4] =
    [KeyPurpose::Envelope, KeyPurpose::Tls, KeyPurpose::Box, KeyPurpose::Credential];

/// The member of the newest roster that has one of this node's envelope keys, in whatever state.
#[must_use]
pub fn own_member<'a>(chain: &'a RosterChain, ring: &Keyring) -> Option<&'a Member> {
    let ours = |key: &MemberKey| {
        key.purpose == KeyPurpose::Envelope
            && ring.of(KeyPurpose::Envelope).any(|held| held.public == key.public)
    };
    chain.head().members().iter().find(|member| member.keys.iter().any(ours))
}

/// How far the rotation of one purpose has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One key, listed and here.
    Settled,
    /// A new key is here that the roster does not list yet. The old one is used.
    AskedFor,
    /// The roster lists two or more as active. The newest that is here is used.
    Overlap,
    /// The newest that the roster lists is not here; an older one that is still active is used.
    NewestLost,
    /// None of the active keys that the roster lists is here.
    Lost,
}

/// How the keys of one purpose stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What they are for.
    pub purpose: KeyPurpose,
    /// How far it has come.
    pub place: Place,
    /// Files of keys that the roster retired or revoked.
    pub done: Vec<PathBuf>,
}

/// How the keys of each purpose stand that the roster lists for this member or that lie here.
#[must_use]
pub fn standings(member: &Member, ring: &Keyring) -> Vec<Standing> {
    let used = |purpose: &KeyPurpose| {
        member.keys.iter().any(|key| key.purpose == *purpose) || ring.of(*purpose).next().is_some()
    };
    PURPOSES.into_iter().filter(used).map(|purpose| standing(member, ring, purpose)).collect()
}

fn standing(member: &Member, ring: &Keyring, purpose: KeyPurpose) -> Standing {
    let state = |held: &HeldKey| listed(member, held).map(|key| key.state);
    let active: Vec<&MemberKey> = active(member, purpose).collect();
    let held = |key: &&MemberKey| ring.holding(&key.public).is_some();
    let place = if ring.of(purpose).any(|held| state(held).is_none()) {
        Place::AskedFor
    } else if !active.iter().any(held) {
        Place::Lost
    } else if !active.first().is_some_and(held) {
        Place::NewestLost
    } else if active.len() > 1 {
        Place::Overlap
    } else {
        Place::Settled
    };
    let done = |held: &&HeldKey| matches!(state(held), Some(KeyState::Retired | KeyState::Revoked));
    let done = ring.of(purpose).filter(done).map(|key| key.path.clone()).collect();
    Standing { purpose, place, done }
}

/// The active keys of a purpose, newest first.
fn active(member: &Member, purpose: KeyPurpose) -> impl Iterator<Item = &MemberKey> {
    member.keys.iter().rev().filter(move |key| key.purpose == purpose && key.state == KeyState::Active)
}

/// What the roster says about a key that is here.
#[must_use]
pub fn listed<'a>(member: &'a Member, held: &HeldKey) -> Option<&'a MemberKey> {
    member.keys.iter().find(|key| key.public == held.public && key.purpose == held.purpose)
}

/// The newest active key of a purpose that is here.
#[must_use]
pub fn in_use<'a>(member: &Member, ring: &'a Keyring, purpose: KeyPurpose) -> Option<&'a HeldKey> {
    active(member, purpose).find_map(|key| ring.holding(&key.public))
}

/// The TLS keys to show to peers, the best first: active ones, then one that this node's roster does not
/// list yet but a peer's may, then retired ones, by which a node that slept still knows this one. A
/// revoked key is never shown.
#[must_use]
pub fn to_show(member: &Member, ring: &Keyring) -> Vec<SigningKey> {
    let rank = |held: &HeldKey| match listed(member, held).map(|key| key.state) {
        Some(KeyState::Active) => Some(0),
        None => Some(1),
        Some(KeyState::Retired) => Some(2),
        Some(KeyState::Revoked) => None,
    };
    let mut shown: Vec<(u8, &HeldKey)> =
        ring.of(KeyPurpose::Tls).rev().filter_map(|held| Some((rank(held)?, held))).collect();
    // Stable: among equals the newest stays first.
    shown.sort_by_key(|(rank, _)| *rank);
    shown.into_iter().filter_map(|(_, held)| held.signing()).collect()
}

#[cfg(test)]
mod tests {
    use protocol::ids::{KeyIndex, MemberId};
    use protocol::roster::{Algorithm, Role};

    use super::*;
    use crate::home::Home;

    struct Bench {
        _folder: tempfile::TempDir,
        ring: Keyring,
        member: Member,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let home = Home::at(folder.path());
            home.make_folders().unwrap();
            home.make_keys().unwrap();
            let ring = home.keyring().unwrap();
            let mut bench = Self {
                _folder: folder,
                ring,
                member: Member::new(MemberId([1; 32]), "San Miguel", &[Role::Municipal]),
            };
            for key in bench.ring.keys().to_vec() {
                bench.list(&key);
            }
            bench
        }
        fn list(&mut self, held: &HeldKey) {
            let index = KeyIndex(u16::try_from(self.member.keys.len()).unwrap() + 1);
            self.member.keys.push(MemberKey {
                index,
                purpose: held.purpose,
                algorithm: Algorithm::Ed25519,
                state: KeyState::Active,
                public: held.public,
            });
        }
        fn set(&mut self, held: &HeldKey, state: KeyState) {
            let key = self.member.keys.iter_mut().find(|key| key.public == held.public);
            key.unwrap().state = state;
        }
        fn place(&self) -> Place {
            let all = standings(&self.member, &self.ring);
            all.iter().find(|standing| standing.purpose == KeyPurpose::Tls).unwrap().place
        }
        fn shown(&self) -> Vec<[u8; 32]> {
            to_show(&self.member, &self.ring).iter().map(|key| key.verifying_key().to_bytes()).collect()
        }
    }

    #[test]
    fn rotation_goes_from_asked_for_over_the_overlap_to_settled() {
        let mut bench = Bench::new();
        let old = bench.ring.of(KeyPurpose::Tls).next().unwrap().clone();
        assert_eq!((bench.place(), bench.shown()), (Place::Settled, vec![old.public]));
        let new = bench.ring.make(KeyPurpose::Tls).unwrap();
        assert_eq!((bench.place(), bench.shown()), (Place::AskedFor, vec![old.public, new.public]));
        bench.list(&new);
        assert_eq!((bench.place(), bench.shown()), (Place::Overlap, vec![new.public, old.public]));
        assert_eq!(in_use(&bench.member, &bench.ring, KeyPurpose::Tls).unwrap().public, new.public);
        bench.set(&old, KeyState::Retired);
        assert_eq!(bench.place(), Place::Settled);
        assert_eq!(bench.shown(), [new.public, old.public], "those who slept know the retired one alone");
        let done = standings(&bench.member, &bench.ring).into_iter().flat_map(|standing| standing.done);
        assert_eq!(done.collect::<Vec<_>>(), [old.path]);
    }

    #[test]
    fn revoked_key_is_never_shown_and_a_lost_one_is_noticed() {
        let mut bench = Bench::new();
        let old = bench.ring.of(KeyPurpose::Tls).next().unwrap().clone();
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = Home::at(folder.path());
        elsewhere.make_folders().unwrap();
        elsewhere.make_keys().unwrap();
        let lost = elsewhere.keyring().unwrap().of(KeyPurpose::Tls).next().unwrap().clone();
        bench.list(&lost);
        assert_eq!((bench.place(), bench.shown()), (Place::NewestLost, vec![old.public]));
        bench.set(&old, KeyState::Revoked);
        assert_eq!((bench.place(), bench.shown()), (Place::Lost, vec![]));
    }
}
