//! Whatever versions are handed to a roster chain, only enough distinct root keys move its head, and only
//! one further at a time.

use ed25519_dalek::SigningKey;

use super::{FEDERATION, Result, Unstructured};
use crate::ids::{Millis, sha256};
use crate::roster::{Added, KeyState, RootKey, Roster, RosterBody, RosterChain, SignedRoster};

/// Root keys that a version may have.
const ROOT_KEYS: u8 = 4;

fn root(n: u8) -> SigningKey {
    SigningKey::from_bytes(&sha256(&[b"target root", &[n]]))
}

fn public(n: u8) -> RootKey {
    RootKey::ed25519(root(n).verifying_key().to_bytes())
}

/// The target of this file's name.
pub fn roster(u: &mut Unstructured<'_>) -> Result<()> {
    let mut body: RosterBody = FEDERATION.body.clone();
    body.root_keys = vec![public(0), public(1)];
    body.sort();
    let mut genesis = SignedRoster::unsigned(&body);
    genesis.sign(&root(0));
    genesis.sign(&root(1));
    let Ok(mut chain) = RosterChain::start(genesis) else { panic!("a good first version is refused") };
    for _ in 0..u.int_in_range(1..=8)? {
        let signed = any_version(u, &chain)?;
        check_layout(&signed);
        let before = chain.clone();
        let outcome = chain.add(signed.clone());
        let (old, new) = (before.head(), chain.head());
        match outcome {
            Ok(Added::Head) => {
                assert_eq!(new.hash(), signed.hash());
                assert!(new.previous.contains(&old.hash()), "the head follows something else");
                assert!(new.version > old.version, "the head went back");
                check_signed(&signed, old);
                check_signed(&signed, new);
                check_nobody_came_back(old, new);
            }
            Ok(Added::Fork) => assert_eq!(new.hash(), old.hash(), "a branch became the head"),
            Ok(Added::AlreadyHeld) => {
                assert!(before.get(&signed.hash()).is_some(), "what is new counts as held");
                assert_eq!(new.hash(), old.hash());
            }
            Err(_) => {
                assert_eq!(new.hash(), old.hash(), "a refusal changed the head");
                let count = |chain: &RosterChain| chain.versions_after(0).len();
                assert_eq!(count(&before), count(&chain), "a refused version was kept");
            }
        }
    }
    Ok(())
}

/// A version that follows one of those held, changed here and there, signed by some.
fn any_version(u: &mut Unstructured<'_>, chain: &RosterChain) -> Result<SignedRoster> {
    let held = chain.versions_after(0);
    let follows = *u.choose(&held)?;
    let before = chain.get(&follows.hash()).unwrap_or(chain.head());
    let mut body = RosterBody {
        federation: chain.federation(),
        version: before.version + 1,
        previous: vec![before.hash()],
        ..(**before).clone()
    };
    if u.ratio(1, 4)? {
        body.previous.push(u.choose(&held)?.hash());
        body.previous.sort_unstable();
        body.previous.dedup();
        let versions = body.previous.iter().filter_map(|hash| chain.get(hash)).map(|roster| roster.version);
        body.version = versions.max().unwrap_or(0) + 1;
    }
    for _ in 0..u.int_in_range(0..=2)? {
        change(u, &mut body)?;
    }
    body.sort();
    let mut signed = SignedRoster::unsigned(&body);
    for n in 0..ROOT_KEYS {
        if u.ratio(3, 4)? {
            signed.sign(&root(n));
        }
    }
    if u.ratio(1, 6)? {
        // One signature twice, on the wire as in memory.
        signed.signatures.extend(signed.signatures.first().cloned());
    }
    if u.ratio(1, 6)? && !signed.bytes.is_empty() {
        let at = u.choose_index(signed.bytes.len())?;
        if let Some(byte) = signed.bytes.get_mut(at) {
            *byte = u.arbitrary()?;
        }
    }
    Ok(signed)
}

fn change(u: &mut Unstructured<'_>, body: &mut RosterBody) -> Result<()> {
    let member = u.choose_index(body.members.len().max(1))?;
    match u.int_in_range(0..=6)? {
        0 => body.version = u.int_in_range(0..=6)?,
        1 => body.threshold = u.int_in_range(0..=4)?,
        2 => {
            body.root_keys.clear();
            for n in 0..ROOT_KEYS {
                if u.arbitrary()? {
                    body.root_keys.push(public(n));
                }
            }
        }
        3 => body.issued = Millis(u.int_in_range(0..=9)?),
        4 => {
            if let Some(key) = body.members.get_mut(member).and_then(|member| member.keys.first_mut()) {
                key.state = *u.choose(&[KeyState::Active, KeyState::Retired, KeyState::Revoked])?;
            }
        }
        5 => _ = body.members.pop(),
        _ => {
            if let Some(found) = body.members.get_mut(member) {
                found.authority = u.arbitrary::<bool>()?.then_some(found.id);
            }
        }
    }
    Ok(())
}

/// What parses is written back as it came.
fn check_layout(signed: &SignedRoster) {
    let bytes = signed.encode();
    assert_eq!(SignedRoster::decode(&bytes).as_ref(), Ok(signed));
    if let Ok(body) = signed.unverified_body() {
        assert_eq!(body.encode(), signed.bytes, "a version is written otherwise than it came");
    }
}

/// Enough different keys of a version signed, counted here in another way than the chain does.
fn check_signed(signed: &SignedRoster, by: &Roster) {
    let mut good = by.root_keys.clone();
    good.dedup();
    good.retain(|key| {
        signed.signatures.iter().any(|s| s.key == *key)
            && signed.signers(std::slice::from_ref(key)).len() == 1
    });
    assert!(by.threshold > 0 && good.len() >= usize::from(by.threshold), "too few keys signed");
}

/// Members stay listed, and keys only ever get worse.
fn check_nobody_came_back(old: &Roster, new: &Roster) {
    for member in old.members() {
        let now = new.member(&member.id);
        assert!(now.is_some(), "a member was dropped");
        for key in &member.keys {
            let state = now.and_then(|now| now.key(key.index)).map(|key| key.state);
            assert!(state.is_some_and(|state| state >= key.state), "a key came back to life");
        }
    }
}
