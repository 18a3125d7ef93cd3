//! Who belongs to the federation: a chain of signed roster versions, in the manner of TUF's root.
//! Each version is signed by enough of the offline keys of the version before it (and, where those
//! change, by enough of its own), names that version by hash, and counts exactly one further. The
//! first one is the federation: its hash is the federation's id.
//!
//! It is never a document that members merge, and it never reads a clock: expiry is shown, not obeyed.

mod body;
mod rules;
mod signed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

pub use body::{Algorithm, KeyPurpose, KeyState, Member, MemberKey, Role, Roles, RootKey, RosterBody};
pub use rules::MemberFault;
pub use signed::{RootSignature, SignedRoster};

use crate::ids::{Code, FederationId, KeyIndex, MemberId, Millis, RosterHash};
use crate::limits::{AUTHORITY_DEPTH_MAX, ROSTER_PREVIOUS_MAX};
use crate::wire::WireError;
use body::Roots;

/// A roster version that was verified against the versions before it. Reads like its [`RosterBody`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    hash: RosterHash,
    federation: FederationId,
    body: RosterBody,
    receiving: BTreeMap<Code, MemberId>,
    tls: BTreeMap<[u8; 32], MemberId>,
}

impl Deref for Roster {
    type Target = RosterBody;
    fn deref(&self) -> &RosterBody {
        &self.body
    }
}

impl Roster {
    /// SHA-256 of the signed bytes; envelopes name the roster by it.
    #[must_use]
    pub fn hash(&self) -> RosterHash {
        self.hash
    }
    /// The federation, also for version 1, whose own field is zero.
    #[must_use]
    pub fn federation(&self) -> FederationId {
        self.federation
    }
    /// Everybody, by id; expelled members too.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.body.members
    }
    /// The member of this id.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        let found = self.body.members.binary_search_by_key(id, |member| member.id).ok()?;
        self.body.members.get(found)
    }
    /// True if this member is listed and not expelled.
    #[must_use]
    pub fn good(&self, id: &MemberId) -> bool {
        self.member(id).is_some_and(Member::is_good)
    }
    /// True if this member is listed with this role.
    #[must_use]
    pub fn has_role(&self, id: &MemberId, role: Role) -> bool {
        self.member(id).is_some_and(|member| member.roles.has(role))
    }
    /// The node that receives the alerts of a jurisdiction; none if nobody does, or if it is expelled.
    #[must_use]
    pub fn receiving_node(&self, code: Code) -> Option<MemberId> {
        self.receiving.get(&code).copied()
    }
    /// The authorities above a member, nearest first.
    #[must_use]
    pub fn above(&self, id: MemberId) -> Vec<MemberId> {
        let next = |id: &MemberId| self.member(id).and_then(|member| member.authority);
        std::iter::successors(next(&id), next).take(AUTHORITY_DEPTH_MAX).collect()
    }
    /// Who answers in the place of `id`: itself while it is good, else the nearest good authority,
    /// else the good aggregator with the smallest id. None only if no good aggregator is left.
    #[must_use]
    pub fn stand_in(&self, id: MemberId) -> Option<MemberId> {
        let line = std::iter::once(id).chain(self.above(id));
        line.into_iter().find(|id| self.good(id)).or_else(|| {
            let good = self.members().iter().find(|m| m.is_good() && m.roles.has(Role::Aggregator));
            good.map(|member| member.id)
        })
    }
    /// The member at the other end of a connection that proved this key; active keys only.
    #[must_use]
    pub fn tls_key_owner(&self, public: &[u8; 32]) -> Option<MemberId> {
        self.tls.get(public).copied()
    }
    /// A member's envelope key of this index, in whatever state.
    #[must_use]
    pub fn envelope_key(&self, id: &MemberId, index: KeyIndex) -> Option<&MemberKey> {
        self.member(id)?.key(index).filter(|key| key.purpose == KeyPurpose::Envelope)
    }
    /// The members that list this one as a neighbour or that it lists, by id.
    #[must_use]
    pub fn neighbours(&self, id: MemberId) -> Vec<MemberId> {
        let own = self.member(&id).map(|member| member.neighbours.as_slice()).unwrap_or_default();
        let others = self.members().iter().filter(|member| member.neighbours.contains(&id));
        let both: BTreeSet<MemberId> = own.iter().copied().chain(others.map(|member| member.id)).collect();
        both.into_iter().collect()
    }
    /// True once it has expired: people are warned and nothing else happens.
    #[must_use]
    pub fn expired(&self, now: Millis) -> bool {
        now >= self.body.expires
    }

    /// Parses and checks everything but signatures and predecessors.
    fn check(signed: &SignedRoster, federation: FederationId) -> Result<Self, RosterError> {
        let body = RosterBody::decode(&signed.bytes)?;
        rules::check_body(&body)?;
        let mut receiving = BTreeMap::new();
        let mut tls = BTreeMap::new();
        for member in &body.members {
            if member.is_good() && member.roles.has(Role::Municipal) {
                receiving.extend(member.codes.iter().map(|code| (*code, member.id)));
            }
            let open =
                member.keys.iter().filter(|k| k.purpose == KeyPurpose::Tls && k.state == KeyState::Active);
            tls.extend(open.map(|key| (key.public, member.id)));
        }
        Ok(Self { hash: signed.hash(), federation, body, receiving, tls })
    }
}

/// What became of a version that was handed to a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It follows the head and is the head now.
    Head,
    /// It is valid but does not follow the head: kept beside it, an alarm until a later version joins both.
    Fork,
    /// It was here already.
    AlreadyHeld,
}

/// Why a version was refused. The chain is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// Its bytes do not parse.
    #[error("the roster does not parse: {0}")]
    Layout(#[from] WireError),
    /// A version 1 with a predecessor or a federation, or a later one without.
    #[error("only the first version has no version before it")]
    Genesis,
    /// It follows a version that is not held: ask for that one first.
    #[error("it follows a version that is not here")]
    UnknownPrevious,
    /// It is of another federation.
    #[error("it is the roster of another federation")]
    OtherFederation,
    /// Its number is not one above the version before it.
    #[error("its number is {found}, expected {expected}")]
    Version {
        /// One above the highest version that it follows.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// Too few of the root keys signed it.
    #[error("{signed} of the root keys of {whose} signed it, {needed} are needed")]
    Signatures {
        /// Whose keys were counted.
        whose: Whose,
        /// Distinct keys with a good signature.
        signed: usize,
        /// The threshold.
        needed: usize,
    },
    /// The threshold is zero or above the number of root keys.
    #[error("the threshold must be at least 1 and at most the number of root keys")]
    Threshold,
    /// A root key is not a usable Ed25519 key.
    #[error("a root key is not a usable Ed25519 key")]
    RootKey,
    /// The rules version is zero, or it expires before it is issued.
    #[error("its rules version or its dates make no sense")]
    Dates,
    /// Something about one member.
    #[error("member {0}: {1}")]
    Member(MemberId, MemberFault),
    /// Too many versions of this number are held already.
    #[error("too many different versions of this number are held already")]
    TooManyForks,
}

/// Whose root keys a threshold is counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Of the version before.
    Previous,
    /// Its own.
    Own,
}

impl std::fmt::Display for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Previous => "the version before",
            Self::Own => "this version",
        })
    }
}

/// All roster versions held. Clones are cheap.
#[derive(Debug, Clone)]
pub struct RosterChain {
    federation: FederationId,
    head: Arc<Held>,
    held: BTreeMap<RosterHash, Arc<Held>>,
}

#[derive(Debug)]
struct Held {
    roster: Roster,
    signed: SignedRoster,
}

impl RosterChain {
    /// Starts from version 1, signed by enough of its own root keys. Whoever calls has compared the
    /// federation's id with the one that people were given.
    pub fn start(genesis: SignedRoster) -> Result<Self, RosterError> {
        let (roots, _) = Roots::decode(&genesis.bytes)?;
        if roots.version != 1 || !roots.previous.is_empty() || roots.federation != FederationId([0; 32]) {
            return Err(RosterError::Genesis);
        }
        check_signatures(&genesis, Whose::Own, roots.threshold, &roots.root_keys)?;
        let federation = FederationId(genesis.hash().0);
        let roster = Roster::check(&genesis, federation)?;
        let head = Arc::new(Held { roster, signed: genesis });
        let held = BTreeMap::from([(head.roster.hash, Arc::clone(&head))]);
        Ok(Self { federation, head, held })
    }

    /// Takes one more version. Signatures are verified before its members are even parsed.
    pub fn add(&mut self, signed: SignedRoster) -> Result<Added, RosterError> {
        let hash = signed.hash();
        if self.held.contains_key(&hash) {
            return Ok(Added::AlreadyHeld);
        }
        let (roots, _) = Roots::decode(&signed.bytes)?;
        if roots.previous.is_empty() || roots.version <= 1 {
            return Err(RosterError::Genesis);
        }
        if roots.federation != self.federation {
            return Err(RosterError::OtherFederation);
        }
        let find = |hash| self.held.get(hash).map(|held| &held.roster).ok_or(RosterError::UnknownPrevious);
        let previous = roots.previous.iter().map(find).collect::<Result<Vec<&Roster>, _>>()?;
        let expected = previous.iter().map(|roster| roster.version).max().unwrap_or_default() + 1;
        if roots.version != expected {
            return Err(RosterError::Version { expected, found: roots.version });
        }
        // What follows the head always fits, so that branches can never crowd out the next version.
        let follows_head = roots.previous.contains(&self.head.roster.hash);
        let same_number = self.held.values().filter(|held| held.roster.version == expected).count();
        if !follows_head && same_number >= ROSTER_PREVIOUS_MAX {
            return Err(RosterError::TooManyForks);
        }
        for roster in &previous {
            check_signatures(&signed, Whose::Previous, roster.threshold, &roster.root_keys)?;
        }
        check_signatures(&signed, Whose::Own, roots.threshold, &roots.root_keys)?;
        let roster = Roster::check(&signed, self.federation)?;
        for before in previous {
            rules::check_continues(before, &roster)?;
        }
        let held = Arc::new(Held { roster, signed });
        self.held.insert(hash, Arc::clone(&held));
        // A version beside the head never replaces it: otherwise root keys that were rotated out could
        // grow a longer branch and take the federation back.
        if !follows_head {
            return Ok(Added::Fork);
        }
        self.head = held;
        Ok(Added::Head)
    }

    /// Whether a version would be taken once enough root keys have signed it: for those who write one.
    pub fn check_unsigned(&self, draft: &SignedRoster) -> Result<(), RosterError> {
        let roster = Roster::check(draft, self.federation)?;
        for hash in &roster.previous {
            rules::check_continues(self.get(hash).ok_or(RosterError::UnknownPrevious)?, &roster)?;
        }
        Ok(())
    }

    /// The federation.
    #[must_use]
    pub fn federation(&self) -> FederationId {
        self.federation
    }
    /// The version in force: the first held of its number, and everything it follows.
    #[must_use]
    pub fn head(&self) -> &Roster {
        &self.head.roster
    }
    /// The newest version on the head's line that fits; none if there is none.
    pub fn newest_that(&self, fits: impl Fn(&Roster) -> bool) -> Option<&Roster> {
        if fits(self.head()) {
            return Some(self.head());
        }
        let line = self.line_of_head();
        let fitting = self.held.values().map(|held| &held.roster).filter(|roster| fits(roster));
        fitting.filter(|roster| line.contains(&roster.hash)).max_by_key(|roster| roster.version)
    }
    /// The newest version on the head's line whose rules are at most `rules`; the head if there is none.
    #[must_use]
    pub fn newest_under(&self, rules: u16) -> &Roster {
        self.newest_that(|roster| roster.rules_version <= rules).unwrap_or(self.head())
    }
    /// A version by its hash, also one beside the head.
    #[must_use]
    pub fn get(&self, hash: &RosterHash) -> Option<&Roster> {
        self.held.get(hash).map(|held| &held.roster)
    }
    /// A version as signed, for handing on.
    #[must_use]
    pub fn signed(&self, hash: &RosterHash) -> Option<&SignedRoster> {
        self.held.get(hash).map(|held| &held.signed)
    }
    /// Every held version above `version`, lowest first, so that they can be added in this order.
    /// `versions_after(0)` is the whole chain.
    #[must_use]
    pub fn versions_after(&self, version: u64) -> Vec<&SignedRoster> {
        let mut later: Vec<&Arc<Held>> =
            self.held.values().filter(|held| held.roster.version > version).collect();
        later.sort_by_key(|held| (held.roster.version, held.roster.hash));
        later.into_iter().map(|held| &held.signed).collect()
    }
    /// Versions held that the head does not follow: proof that the root keys signed two different
    /// futures. People are alarmed until a later version joins them.
    #[must_use]
    pub fn forks(&self) -> Vec<RosterHash> {
        let line = self.line_of_head();
        self.held.keys().filter(|hash| !line.contains(hash)).copied().collect()
    }
    /// The version at which a key was revoked, on the line of the head; none while it is not.
    #[must_use]
    pub fn revoked_since(&self, member: &MemberId, index: KeyIndex) -> Option<u64> {
        let revoked = |roster: &Roster| {
            let key = roster.member(member).and_then(|member| member.key(index));
            key.is_some_and(|key| key.state == KeyState::Revoked)
        };
        if !revoked(self.head()) {
            return None;
        }
        let line = self.line_of_head();
        let versions = line.iter().filter_map(|hash| self.get(hash)).filter(|roster| revoked(roster));
        versions.map(|roster| roster.version).min()
    }

    /// The head and everything that it follows.
    fn line_of_head(&self) -> BTreeSet<RosterHash> {
        let mut line = BTreeSet::new();
        let mut left = vec![self.head.roster.hash];
        while let Some(hash) = left.pop() {
            if line.insert(hash) {
                left.extend(self.get(&hash).map(|r| r.previous.as_slice()).unwrap_or_default());
            }
        }
        line
    }
}

fn check_signatures(
    signed: &SignedRoster,
    whose: Whose,
    threshold: u8,
    keys: &[RootKey],
) -> Result<(), RosterError> {
    let needed = usize::from(threshold);
    if needed == 0 || needed > keys.len() {
        return Err(RosterError::Threshold);
    }
    let count = signed.signers(keys).len();
    if count < needed { Err(RosterError::Signatures { whose, signed: count, needed }) } else { Ok(()) }
}
