//! What must hold inside one roster version, and between a version and the one before it.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::VerifyingKey;

use super::body::{Algorithm, KeyPurpose, Member, MemberKey, NOBODY, Role, RosterBody};
use super::{Roster, RosterError};
use crate::ids::{Code, MemberId};
use crate::limits::AUTHORITY_DEPTH_MAX;

/// What is wrong with one member of a roster version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemberFault {
    /// Its id is all zero, which stands for nobody.
    #[error("its id is all zero")]
    Id,
    /// A name that is empty or has line breaks or other control characters.
    #[error("its name is empty or has control characters")]
    Name,
    /// No role.
    #[error("it has no role")]
    NoRole,
    /// Another municipal member has one of its codes.
    #[error("another member receives the alerts of {0}")]
    CodeTaken(Code),
    /// The code for places outside every territory belongs to nobody.
    #[error("a place outside every territory belongs to nobody")]
    CodeOutside,
    /// A key is not a usable key of its algorithm, or that algorithm does not fit its purpose.
    #[error("key {} is not a usable key for its purpose", .0)]
    Key(u16),
    /// Another key of the federation has the same public key.
    #[error("key {} is listed twice in the roster", .0)]
    KeyTwice(u16),
    /// Its authority is not a listed aggregator.
    #[error("its authority is not a listed aggregator")]
    Authority,
    /// The authorities above it form a circle or are too many levels.
    #[error("the authorities above it form a circle or are too many levels")]
    AuthorityDepth,
    /// It names a neighbour or an operator that is not listed, or itself.
    #[error("it names a member that is not listed, or itself")]
    Unlisted,
    /// The version before listed it and this one does not.
    #[error("it was listed before and is not any more; revoke its keys instead")]
    Dropped,
    /// A key that the version before listed is missing, differs, or came back to an earlier state.
    #[error("key {} is missing, was changed or came back to life", .0)]
    KeyChanged(u16),
}

/// Everything that can be judged without the version before.
pub(super) fn check_body(body: &RosterBody) -> Result<(), RosterError> {
    if body.threshold == 0 || usize::from(body.threshold) > body.root_keys.len() {
        return Err(RosterError::Threshold);
    }
    if !body.root_keys.iter().all(|key| key.algorithm == Algorithm::Ed25519 && usable_ed25519(&key.public)) {
        return Err(RosterError::RootKey);
    }
    if body.rules_version == 0 || body.expires <= body.issued {
        return Err(RosterError::Dates);
    }
    let listed: BTreeMap<MemberId, &Member> = body.members.iter().map(|member| (member.id, member)).collect();
    let mut codes = BTreeSet::new();
    let mut publics: BTreeSet<[u8; 32]> = body.root_keys.iter().map(|key| key.public).collect();
    for member in &body.members {
        check_member(member, &listed)
            .and_then(|()| check_codes(member, &mut codes))
            .and_then(|()| check_keys(member, &mut publics))
            .map_err(|fault| RosterError::Member(member.id, fault))?;
    }
    Ok(())
}

/// A member is never dropped and a key never reused, so that whatever names them can still be judged.
pub(super) fn check_continues(before: &Roster, after: &Roster) -> Result<(), RosterError> {
    for old in before.members() {
        let fault = |fault| RosterError::Member(old.id, fault);
        let new = after.member(&old.id).ok_or(fault(MemberFault::Dropped))?;
        for key in &old.keys {
            let same = new.key(key.index).filter(|now| MemberKey { state: key.state, ..**now } == *key);
            if same.is_none_or(|now| now.state < key.state) {
                return Err(fault(MemberFault::KeyChanged(key.index.0)));
            }
        }
    }
    Ok(())
}

fn check_member(member: &Member, listed: &BTreeMap<MemberId, &Member>) -> Result<(), MemberFault> {
    if member.id == NOBODY {
        return Err(MemberFault::Id);
    }
    if member.name.trim().is_empty() || member.name.chars().any(char::is_control) {
        return Err(MemberFault::Name);
    }
    if member.roles.iter().next().is_none() {
        return Err(MemberFault::NoRole);
    }
    let mut named = member.neighbours.iter().chain(&member.operated_by);
    if !named.all(|id| *id != member.id && listed.contains_key(id)) {
        return Err(MemberFault::Unlisted);
    }
    let mut above = member.authority;
    for _ in 0..AUTHORITY_DEPTH_MAX {
        let Some(id) = above else { return Ok(()) };
        let authority = listed.get(&id).ok_or(MemberFault::Authority)?;
        if !authority.roles.has(Role::Aggregator) {
            return Err(MemberFault::Authority);
        }
        above = authority.authority;
    }
    if above.is_none() { Ok(()) } else { Err(MemberFault::AuthorityDepth) }
}

fn check_codes(member: &Member, taken: &mut BTreeSet<Code>) -> Result<(), MemberFault> {
    for code in &member.codes {
        if *code == Code::OUTSIDE {
            return Err(MemberFault::CodeOutside);
        }
        if member.roles.has(Role::Municipal) && !taken.insert(*code) {
            return Err(MemberFault::CodeTaken(*code));
        }
    }
    Ok(())
}

fn check_keys(member: &Member, publics: &mut BTreeSet<[u8; 32]>) -> Result<(), MemberFault> {
    for key in &member.keys {
        let usable = match key.purpose {
            KeyPurpose::Envelope | KeyPurpose::Tls | KeyPurpose::Credential => {
                key.algorithm == Algorithm::Ed25519 && usable_ed25519(&key.public)
            }
            KeyPurpose::Box => key.algorithm == Algorithm::X25519 && key.public != [0; 32],
        };
        if !usable {
            return Err(MemberFault::Key(key.index.0));
        }
        if !publics.insert(key.public) {
            return Err(MemberFault::KeyTwice(key.index.0));
        }
    }
    Ok(())
}

fn usable_ed25519(public: &[u8; 32]) -> bool {
    VerifyingKey::from_bytes(public).is_ok_and(|key| !key.is_weak())
}
