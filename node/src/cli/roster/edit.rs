//! Changing a roster: new members, who is above and beside whom, keys of members and of the root. No
//! files, and no secret halves.

use std::collections::BTreeSet;

use config::Territory;
use protocol::ids::{Code, KeyIndex, MemberId, Millis, RosterHash};
use protocol::limits::{KEYS_MAX, ROSTER_PREVIOUS_MAX};
use protocol::roster::{
    Algorithm, KeyPurpose, KeyState, Member, MemberKey, Role, RootKey, Roster, RosterBody, RosterChain,
};

/// Somebody who asked to be listed.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// As the request says, without relations.
    pub member: Member,
    /// The name of the office above it, as the request says.
    pub under: Option<String>,
}

/// Why a roster was not changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditError {
    /// Two members with one id or one name.
    #[error("there is a member called “{0}” already, or one with its keys")]
    Twice(String),
    /// Nobody of that name above it.
    #[error("“{member}” should stand under “{under}”, but no aggregator of that name is listed")]
    NoAuthority {
        /// Who.
        member: String,
        /// Under whom.
        under: String,
    },
    /// Nobody is called so.
    #[error("no member of this roster is called “{0}”")]
    Nobody(String),
    /// A key that some member or the root had before.
    #[error("one of the keys is listed already; a key is never listed twice")]
    KeyListed,
    /// No room for more keys of one member.
    #[error("a member has at most {KEYS_MAX} keys, retired ones included")]
    KeysFull,
    /// There is nothing to retire.
    #[error("“{0}” has one active key for each purpose; there is no older one to retire")]
    NothingToRetire(String),
    /// Not a root key.
    #[error("a root key is 64 hexadecimal digits")]
    NoRootKey,
    /// One that is to go is not there, or one that is to come is there already.
    #[error("a root key that is to go is none, or one that is to come is there already")]
    Roots,
    /// Nothing would change.
    #[error("neither the root keys nor the threshold would change")]
    SameRoots,
}

/// The version that follows the head, equal to it but for number and dates. Versions that contradict the
/// head are joined: it follows them too, lists whom they list and trusts no key that one of them does not.
pub(crate) fn next_version(chain: &RosterChain, issued: Millis, lasts: Millis) -> RosterBody {
    let head = chain.head();
    let mut body = RosterBody {
        federation: chain.federation(),
        version: head.version + 1,
        previous: vec![head.hash()],
        issued,
        expires: issued.plus(lasts),
        ..(**head).clone()
    };
    for fork in branches(chain) {
        if body.previous.len() < ROSTER_PREVIOUS_MAX && join(&mut body, fork) {
            body.previous.push(fork.hash());
        }
    }
    body
}

/// The ends of branches beside the head that its own root keys can join, the newest first.
fn branches(chain: &RosterChain) -> Vec<&Roster> {
    let head = chain.head();
    let forks: Vec<&Roster> = chain.forks().iter().filter_map(|hash| chain.get(hash)).collect();
    let followed: Vec<RosterHash> = forks.iter().flat_map(|fork| fork.previous.iter().copied()).collect();
    let mut ends = forks;
    ends.retain(|fork| {
        // Another set of root keys would have to sign as well, and may be destroyed by now.
        let same_roots = fork.root_keys == head.root_keys && fork.threshold == head.threshold;
        !followed.contains(&fork.hash()) && fork.version <= head.version && same_roots
    });
    ends.sort_by_key(|fork| std::cmp::Reverse((fork.version, fork.hash())));
    ends
}

/// Takes into a body whom and what another version lists besides; false, and nothing changed, where the two
/// gave one index to two keys: such a pair can never be joined.
fn join(body: &mut RosterBody, fork: &Roster) -> bool {
    let mut joined = body.members.clone();
    for theirs in fork.members() {
        let Some(ours) = joined.iter_mut().find(|member| member.id == theirs.id) else {
            let mut newcomer = theirs.clone();
            newcomer.codes.retain(|code| !joined.iter().any(|other| other.codes.contains(code)));
            joined.push(newcomer);
            continue;
        };
        for key in &theirs.keys {
            match ours.keys.iter_mut().find(|known| known.index == key.index) {
                Some(known) if known.public == key.public && known.purpose == key.purpose => {
                    known.state = known.state.max(key.state);
                }
                Some(_) => return false,
                None => ours.keys.push(*key),
            }
        }
    }
    body.members = joined;
    true
}

/// The member of this name or id.
pub(super) fn named<'a>(body: &'a mut RosterBody, name: &str) -> Result<&'a mut Member, EditError> {
    let found = body.members.iter_mut().find(|member| member.name == name || member.id.to_string() == name);
    found.ok_or_else(|| EditError::Nobody(name.to_owned()))
}

/// Lists new keys of a member; its active ones of the same purposes become `old`.
pub(super) fn add_keys(
    body: &mut RosterBody,
    member: MemberId,
    keys: &[(KeyPurpose, [u8; 32])],
    old: KeyState,
) -> Result<(), EditError> {
    let listed = body.members.iter().flat_map(|member| &member.keys).map(|key| key.public);
    let listed: BTreeSet<[u8; 32]> = listed.chain(body.root_keys.iter().map(|key| key.public)).collect();
    if keys.iter().any(|(_, public)| listed.contains(public)) {
        return Err(EditError::KeyListed);
    }
    let found = body.members.iter_mut().find(|one| one.id == member);
    let found = found.ok_or_else(|| EditError::Nobody(member.to_string()))?;
    if found.keys.len() + keys.len() > KEYS_MAX {
        return Err(EditError::KeysFull);
    }
    for (purpose, public) in keys {
        let active = found.keys.iter_mut().filter(|key| key.purpose == *purpose);
        active.filter(|key| key.state == KeyState::Active).for_each(|key| key.state = old);
        // An index is never used again.
        let next = found.keys.iter().map(|key| key.index.0).max().map_or(1, |last| last.saturating_add(1));
        let algorithm = if *purpose == KeyPurpose::Box { Algorithm::X25519 } else { Algorithm::Ed25519 };
        found.keys.push(MemberKey {
            index: KeyIndex(next),
            purpose: *purpose,
            algorithm,
            state: KeyState::Active,
            public: *public,
        });
    }
    Ok(())
}

/// Retires every active key of a member but the newest of each purpose; says how many.
pub(super) fn retire_old(body: &mut RosterBody, name: &str) -> Result<usize, EditError> {
    let member = named(body, name)?;
    let mut newer: BTreeSet<KeyPurpose> = BTreeSet::new();
    let mut retired = 0;
    for key in member.keys.iter_mut().rev().filter(|key| key.state == KeyState::Active) {
        if !newer.insert(key.purpose) {
            key.state = KeyState::Retired;
            retired += 1;
        }
    }
    if retired == 0 { Err(EditError::NothingToRetire(member.name.clone())) } else { Ok(retired) }
}

/// Other root keys, or another threshold.
pub(super) fn change_roots(
    body: &mut RosterBody,
    add: &[RootKey],
    remove: &[RootKey],
    threshold: u8,
) -> Result<(), EditError> {
    let before = (body.root_keys.clone(), body.threshold);
    let has = |keys: &[RootKey], key: &RootKey| keys.contains(key);
    if !remove.iter().all(|key| has(&body.root_keys, key)) || add.iter().any(|key| has(&body.root_keys, key))
    {
        return Err(EditError::Roots);
    }
    body.root_keys.retain(|key| !has(remove, key));
    body.root_keys.extend(add);
    body.root_keys.sort_unstable();
    body.root_keys.dedup();
    body.threshold = threshold;
    if before == (body.root_keys.clone(), threshold) { Err(EditError::SameRoots) } else { Ok(()) }
}

/// Lists the candidates: each under the office that its request names, or else under `under`, and
/// beside every member whose territory touches its own.
pub(crate) fn admit(
    body: &mut RosterBody,
    candidates: Vec<Candidate>,
    under: Option<&str>,
) -> Result<(), EditError> {
    let mut wishes = Vec::new();
    for candidate in candidates {
        let Candidate { member, under: wish } = candidate;
        if body.members.iter().any(|other| other.id == member.id || other.name == member.name) {
            return Err(EditError::Twice(member.name));
        }
        wishes.push((member.id, wish.or_else(|| under.map(str::to_owned))));
        body.members.push(member);
    }
    for (id, wish) in wishes {
        relate(body, id);
        let Some(wish) = wish else { continue };
        let above =
            body.members.iter().find(|m| m.name == wish && m.roles.has(Role::Aggregator) && m.id != id);
        let above = above.map(|above| above.id);
        if let Some(member) = body.members.iter_mut().find(|member| member.id == id) {
            member.authority = above;
            if above.is_none() {
                return Err(EditError::NoAuthority { member: member.name.clone(), under: wish });
            }
        }
    }
    Ok(())
}

/// Makes a member the neighbour of all whose territory touches its own, and them its neighbours.
fn relate(body: &mut RosterBody, id: MemberId) {
    let Some(member) = body.members.iter().find(|member| member.id == id) else { return };
    let territory = Territory::built_in();
    let touched: Vec<Code> = member.codes.iter().flat_map(|code| territory.neighbours(*code)).collect();
    let mut neighbours = Vec::new();
    for other in body.members.iter_mut().filter(|other| other.id != id) {
        if other.codes.iter().any(|code| touched.contains(code)) {
            neighbours.push(other.id);
            other.neighbours.push(id);
            other.neighbours.sort_unstable();
            other.neighbours.dedup();
        }
    }
    if let Some(member) = body.members.iter_mut().find(|member| member.id == id) {
        member.neighbours.extend(neighbours);
        member.neighbours.sort_unstable();
        member.neighbours.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::ids::FederationId;

    fn candidate(seed: u8, name: &str, role: Role, code: Option<u32>, under: Option<&str>) -> Candidate {
        let mut member = Member::new(MemberId([seed; 32]), name, &[role]);
        member.codes = code.map(Code::chile).into_iter().collect();
        Candidate { member, under: under.map(str::to_owned) }
    }

    fn empty() -> RosterBody {
        RosterBody {
            federation: FederationId([0; 32]),
            version: 1,
            previous: vec![],
            threshold: 1,
            root_keys: vec![],
            issued: Millis(1),
            expires: Millis(2),
            rules_version: 1,
            members: vec![],
        }
    }

    #[test]
    fn candidates_stand_under_their_office_and_beside_whom_they_touch() {
        let mut body = empty();
        let towns = vec![
            candidate(1, "San Miguel", Role::Municipal, Some(13130), Some("Sur")),
            candidate(2, "Sur", Role::Aggregator, None, None),
            candidate(3, "La Pintana", Role::Municipal, Some(13112), None),
        ];
        admit(&mut body, towns, Some("Sur").filter(|_| false)).unwrap();
        let joined = vec![candidate(4, "San Joaquín", Role::Municipal, Some(13129), None)];
        admit(&mut body, joined, Some("Sur")).unwrap();
        let of = |seed: u8| body.members.iter().find(|m| m.id == MemberId([seed; 32])).unwrap().clone();
        assert_eq!((of(1).authority, of(4).authority), (Some(MemberId([2; 32])), Some(MemberId([2; 32]))));
        assert_eq!((of(1).neighbours, of(4).neighbours), (vec![MemberId([4; 32])], vec![MemberId([1; 32])]));
        assert_eq!((of(3).authority, of(3).neighbours), (None, vec![]));
    }

    #[test]
    fn nobody_is_listed_twice_or_under_a_stranger() {
        let mut body = empty();
        admit(&mut body, vec![candidate(1, "San Miguel", Role::Municipal, None, None)], None).unwrap();
        let again = vec![candidate(2, "San Miguel", Role::Municipal, None, None)];
        assert_eq!(admit(&mut body, again, None), Err(EditError::Twice("San Miguel".into())));
        let lost = vec![candidate(3, "La Granja", Role::Municipal, None, Some("San Miguel"))];
        assert!(matches!(admit(&mut body, lost, None), Err(EditError::NoAuthority { .. })));
    }
}
