//! What one roster version says, and its binary layout. Nothing here is verified yet: see
//! [`Roster`](super::Roster) for one that is.

use crate::ids::{Code, FederationId, KeyIndex, MemberId, Millis, RosterHash, sha256};
use crate::limits::{
    CODES_MAX, KEYS_MAX, MEMBERS_MAX, NAME_BYTES_MAX, NEIGHBOURS_MAX, ROOT_KEYS_MAX, ROSTER_PREVIOUS_MAX,
};
use crate::wire::{Reader, WireError, Writer};

/// First byte of every roster version.
const LAYOUT: u8 = 1;

/// What a key is computed with; every key and every signature names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Algorithm {
    /// Ed25519 signatures (RFC 8032), strict verification.
    Ed25519 = 1,
    /// X25519 key agreement (RFC 7748); for boxes only.
    X25519 = 2,
}

/// What a member's key is for. A key of one purpose never serves another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum KeyPurpose {
    /// Signs envelopes.
    Envelope = 1,
    /// Proves who is at the other end of a connection.
    Tls = 2,
    /// Receives sealed messages.
    Box = 3,
    /// Signs credentials of its people.
    Credential = 4,
}

/// How far a key counts. It only ever moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum KeyState {
    /// In use.
    Active = 1,
    /// Routine rotation: signs nothing new, all that it signed counts.
    Retired = 2,
    /// Lost or stolen: what it signed counts only where others vouch for it.
    Revoked = 3,
}

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Role {
    /// Receives the alerts of its jurisdiction codes.
    Municipal = 1,
    /// A police precinct or a fire brigade with a node of its own.
    Service = 2,
    /// Precinct, regional or national overview.
    Aggregator = 4,
}

impl Algorithm {
    const ALL: [Self; 2] = [Self::Ed25519, Self::X25519];
}

impl KeyPurpose {
    const ALL: [Self; 4] = [Self::Envelope, Self::Tls, Self::Box, Self::Credential];
}

impl KeyState {
    const ALL: [Self; 3] = [Self::Active, Self::Retired, Self::Revoked];
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Municipal, Self::Service, Self::Aggregator];

    /// Its name in the API and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Municipal => "municipal",
            Self::Service => "service",
            Self::Aggregator => "aggregator",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A set of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// The set of these roles.
    #[must_use]
    pub fn of(roles: &[Role]) -> Self {
        Self(roles.iter().fold(0, |set, role| set | *role as u8))
    }
    /// True if the set has this role.
    #[must_use]
    pub fn has(self, role: Role) -> bool {
        self.0 & role as u8 != 0
    }
    /// The roles in the set.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
    fn from_byte(byte: u8) -> Result<Self, WireError> {
        if byte & !Self::of(&Role::ALL).0 == 0 { Ok(Self(byte)) } else { Err(WireError::Value) }
    }
}

/// An offline key that signs rosters. Ordered, so that a set has one layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RootKey {
    /// Ed25519 only, for now.
    pub algorithm: Algorithm,
    /// The public key.
    pub public: [u8; 32],
}

impl RootKey {
    /// An Ed25519 root key.
    #[must_use]
    pub fn ed25519(public: [u8; 32]) -> Self {
        Self { algorithm: Algorithm::Ed25519, public }
    }
}

/// One key of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberKey {
    /// Names the key in envelopes; never used again, not even after the key is gone.
    pub index: KeyIndex,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// What it is computed with.
    pub algorithm: Algorithm,
    /// How far it counts.
    pub state: KeyState,
    /// The public key.
    pub public: [u8; 32],
}

/// A member of the federation: one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Outlives its keys.
    pub id: MemberId,
    /// Name shown to people.
    pub name: String,
    /// What it does.
    pub roles: Roles,
    /// Jurisdictions that it answers for; sorted.
    pub codes: Vec<Code>,
    /// Its keys by index; never removed, only retired or revoked.
    pub keys: Vec<MemberKey>,
    /// The aggregator above it.
    pub authority: Option<MemberId>,
    /// Who runs the machine, if that is another member.
    pub operated_by: Option<MemberId>,
    /// Members whose territory touches its own; sorted.
    pub neighbours: Vec<MemberId>,
}

impl Member {
    /// A member without keys, codes or relations.
    #[must_use]
    pub fn new(id: MemberId, name: &str, roles: &[Role]) -> Self {
        Self {
            id,
            name: name.to_owned(),
            roles: Roles::of(roles),
            codes: Vec::new(),
            keys: Vec::new(),
            authority: None,
            operated_by: None,
            neighbours: Vec::new(),
        }
    }
    /// The id that goes with a member's first envelope key, so that nobody can claim another's.
    #[must_use]
    pub fn id_of_first_key(public: &[u8; 32]) -> MemberId {
        MemberId(sha256(&[b"cuadra/member/v1\0", public]))
    }
    /// The key of this index.
    #[must_use]
    pub fn key(&self, index: KeyIndex) -> Option<&MemberKey> {
        self.keys.iter().find(|key| key.index == index)
    }
    /// The newest active key for a purpose.
    #[must_use]
    pub fn active_key(&self, purpose: KeyPurpose) -> Option<&MemberKey> {
        self.keys.iter().rev().find(|key| key.purpose == purpose && key.state == KeyState::Active)
    }
    /// True while it has an active envelope key, that is, while it is not expelled.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.active_key(KeyPurpose::Envelope).is_some()
    }
}

/// Everything that one roster version says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterBody {
    /// All zero in version 1, whose hash is the federation's id; that id in every later one.
    pub federation: FederationId,
    /// From 1; one above the highest of `previous`.
    pub version: u64,
    /// The versions that this one follows: none for version 1, one as a rule, up to four to join forks; sorted.
    pub previous: Vec<RosterHash>,
    /// How many distinct root keys must sign the next version.
    pub threshold: u8,
    /// The offline keys; sorted.
    pub root_keys: Vec<RootKey>,
    /// When it was made.
    pub issued: Millis,
    /// From when people are warned. Nothing ever stops.
    pub expires: Millis,
    /// The rules that new documents use.
    pub rules_version: u16,
    /// Everybody, expelled members too; sorted by id.
    pub members: Vec<Member>,
}

impl RosterBody {
    /// The layout. Sorts nothing: what is not in order will not parse again.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(LAYOUT).raw(&self.federation.0).u64(self.version);
        w.list(&self.previous, |w, hash| {
            w.raw(&hash.0);
        });
        w.u8(self.threshold).list(&self.root_keys, |w, key| {
            w.u8(key.algorithm as u8).raw(&key.public);
        });
        w.u64(self.issued.0).u64(self.expires.0).u16(self.rules_version);
        w.list(&self.members, write_member);
        w.into_bytes()
    }

    /// Parses the layout; sorted lists must be sorted, every length within its limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let (roots, mut r) = Roots::decode(bytes)?;
        let body = Self {
            federation: roots.federation,
            version: roots.version,
            previous: roots.previous,
            threshold: roots.threshold,
            root_keys: roots.root_keys,
            issued: Millis(r.integer()?),
            expires: Millis(r.integer()?),
            rules_version: r.u16()?,
            members: r.list(MEMBERS_MAX, read_member)?,
        };
        r.end()?;
        if body.members.is_sorted_by(|a, b| a.id < b.id) { Ok(body) } else { Err(WireError::Order) }
    }

    /// Puts every list in the order that the layout asks for.
    pub fn sort(&mut self) {
        self.previous.sort_unstable();
        self.root_keys.sort_unstable();
        self.members.sort_unstable_by_key(|member| member.id);
        for member in &mut self.members {
            member.codes.sort_unstable();
            member.neighbours.sort_unstable();
            member.keys.sort_unstable_by_key(|key| key.index);
        }
    }
}

/// The start of a roster version: as much as it takes to know whose signatures it needs.
pub(super) struct Roots {
    pub federation: FederationId,
    pub version: u64,
    pub previous: Vec<RosterHash>,
    pub threshold: u8,
    pub root_keys: Vec<RootKey>,
}

impl Roots {
    /// Also gives the reader over the rest.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Reader<'_>), WireError> {
        let mut r = Reader::new(bytes);
        if r.u8()? != LAYOUT {
            return Err(WireError::Value);
        }
        let roots = Self {
            federation: FederationId(r.array()?),
            version: r.integer()?,
            previous: r.sorted(ROSTER_PREVIOUS_MAX, |r| Ok(RosterHash(r.array()?)))?,
            threshold: r.u8()?,
            root_keys: r.sorted(ROOT_KEYS_MAX, |r| {
                Ok(RootKey { algorithm: read_one(r, Algorithm::ALL, |a| a as u8)?, public: r.array()? })
            })?,
        };
        Ok((roots, r))
    }
}

/// Stands where a member is not named; no member may have this id.
pub(super) const NOBODY: MemberId = MemberId([0; 32]);

fn write_member(w: &mut Writer, member: &Member) {
    w.raw(&member.id.0).bytes(member.name.as_bytes()).u8(member.roles.0);
    w.list(&member.codes, |w, code| {
        w.code(*code);
    });
    w.list(&member.keys, |w, key| {
        w.u16(key.index.0).u8(key.purpose as u8).u8(key.algorithm as u8).u8(key.state as u8).raw(&key.public);
    });
    w.raw(&member.authority.unwrap_or(NOBODY).0).raw(&member.operated_by.unwrap_or(NOBODY).0);
    w.list(&member.neighbours, |w, id| {
        w.raw(&id.0);
    });
}

fn read_member(r: &mut Reader<'_>) -> Result<Member, WireError> {
    let member = Member {
        id: r.member_id()?,
        name: r.text(NAME_BYTES_MAX)?,
        roles: Roles::from_byte(r.u8()?)?,
        codes: r.sorted(CODES_MAX, Reader::code)?,
        keys: r.list(KEYS_MAX, read_key)?,
        authority: Some(r.member_id()?).filter(|id| *id != NOBODY),
        operated_by: Some(r.member_id()?).filter(|id| *id != NOBODY),
        neighbours: r.sorted(NEIGHBOURS_MAX, Reader::member_id)?,
    };
    if member.keys.is_sorted_by(|a, b| a.index < b.index) { Ok(member) } else { Err(WireError::Order) }
}

fn read_key(r: &mut Reader<'_>) -> Result<MemberKey, WireError> {
    Ok(MemberKey {
        index: KeyIndex(r.u16()?),
        purpose: read_one(r, KeyPurpose::ALL, |p| p as u8)?,
        algorithm: read_one(r, Algorithm::ALL, |a| a as u8)?,
        state: read_one(r, KeyState::ALL, |s| s as u8)?,
        public: r.array()?,
    })
}

/// One byte that must be the number of one of `all`.
fn read_one<T: Copy, const N: usize>(
    r: &mut Reader<'_>,
    all: [T; N],
    number: impl Fn(T) -> u8,
) -> Result<T, WireError> {
    let byte = r.u8()?;
    all.into_iter().find(|item| number(*item) == byte).ok_or(WireError::Value)
}
