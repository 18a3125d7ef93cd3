//! The federation of a run: who is in it, its roster versions as they are published one after another,
//! and the keys that everybody signs with.

use ed25519_dalek::SigningKey;

use crate::author::Hand;
use crate::fixture::{active_key, code, member_key};
use crate::ids::{FederationId, Incarnation, MemberId, Millis, RosterHash, sha256};
use crate::roster::{KeyPurpose, KeyState, Member, Role, RootKey, RosterBody, RosterChain, SignedRoster};

/// How many of each kind of member a run begins with. The national node comes on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Municipal nodes.
    pub towns: usize,
    /// Police and fire nodes of their own.
    pub services: usize,
    /// Precincts between the towns and the national node.
    pub precincts: usize,
}

impl Size {
    /// All of them, the national node included.
    #[must_use]
    pub fn nodes(self) -> usize {
        self.towns + self.services + self.precincts + 1
    }
}

/// One change of the roster. Applied to a body it may be applied again to a sibling of that body, so
/// that a version can join both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing but a later expiry.
    Longer(u64),
    /// A further envelope key of a member, beside the old one.
    AddKey(usize),
    /// The member's oldest active envelope key is retired, where a newer one is active.
    RetireKey(usize),
    /// The member's active keys were lost or stolen: they are revoked and a new one is listed.
    ReplaceKey(usize),
    /// Every key of a member is revoked.
    Expel(usize),
    /// A town joins.
    Join(usize),
    /// Two towns border each other, or do no longer.
    Border(usize, usize),
    /// A town answers to another precinct, or directly to the national node.
    Move(usize, usize),
    /// Another set of root keys and another threshold.
    Roots(u8),
    /// Rules of a later release are in force.
    Rules(u16),
}

impl Change {
    /// Its name in the table of what was played.
    pub fn name(&self) -> &'static str {
        match self {
            Change::Longer(_) => "roster: longer",
            Change::AddKey(_) => "roster: key added",
            Change::RetireKey(_) => "roster: key retired",
            Change::ReplaceKey(_) => "roster: key revoked and replaced",
            Change::Expel(_) => "roster: expelled",
            Change::Join(_) => "roster: joined",
            Change::Border(..) => "roster: neighbours changed",
            Change::Move(..) => "roster: authority changed",
            Change::Roots(_) => "roster: root keys changed",
            Change::Rules(_) => "roster: later rules",
        }
    }
}

/// The federation of a run.
#[derive(Debug)]
pub(super) struct League {
    pub size: Size,
    /// Members by number: towns, services, precincts, the national node, then towns that joined later.
    pub members: Vec<MemberId>,
    /// Every version ever published. Its head is the newest that follows the first of each fork.
    pub chain: RosterChain,
    /// The chain as it stood at each version of that line, for those who pretend to live in the past.
    pub past: Vec<RosterChain>,
    body: RosterBody,
    /// The version beside the head, with what it changed, while a fork is open.
    fork: Option<(RosterHash, Change)>,
}

/// Root keys that a run may ever use.
pub(super) const ROOTS_EVER: u8 = 12;

fn root(index: u8) -> SigningKey {
    SigningKey::from_bytes(&sha256(&[b"root of the league", &[index]]))
}

/// Root keys `first`, `first + 1`, `first + 2`.
fn roots(first: u8) -> Vec<RootKey> {
    let mut keys: Vec<RootKey> =
        (first..first + 3).map(|index| RootKey::ed25519(root(index).verifying_key().to_bytes())).collect();
    keys.sort_unstable();
    keys
}

fn member_id(n: usize) -> MemberId {
    Member::id_of_first_key(&member_key(n, 0).verifying_key().to_bytes())
}

impl League {
    pub fn new(size: Size) -> League {
        let members: Vec<MemberId> = (0..size.nodes()).map(member_id).collect();
        let id = |n: usize| members.get(n).copied();
        let national = size.nodes() - 1;
        let precinct = |n: usize| size.towns + size.services + n.checked_rem(size.precincts).unwrap_or(0);
        let mut list: Vec<Member> = Vec::new();
        for (n, member) in members.iter().enumerate() {
            let role = if n < size.towns {
                Role::Municipal
            } else if n < size.towns + size.services {
                Role::Service
            } else {
                Role::Aggregator
            };
            let mut entry = Member::new(*member, &format!("node {n}"), &[role]);
            entry.keys.push(active_key(n, 0));
            let above = if role == Role::Aggregator { national } else { precinct(n) };
            entry.authority = id(above).filter(|_| n != national);
            if n < size.towns {
                entry.codes.push(code(n));
                // A ring of towns, so that a takeover is a neighbour's; the smallest rings are pairs.
                let beside = [(n + 1) % size.towns, (n + size.towns - 1) % size.towns];
                entry.neighbours = beside.into_iter().filter(|other| *other != n).filter_map(id).collect();
                entry.neighbours.sort_unstable();
                entry.neighbours.dedup();
            }
            list.push(entry);
        }
        let mut body = RosterBody {
            federation: FederationId([0; 32]),
            version: 1,
            previous: Vec::new(),
            issued: Millis(1_000),
            expires: Millis(1 << 50),
            rules_version: 1,
            threshold: 2,
            root_keys: roots(0),
            members: list,
        };
        body.sort();
        let chain = RosterChain::start(sign(&body, &body)).expect("the first version keeps the rules");
        let past = vec![chain.clone()];
        League { size, members, chain, past, body, fork: None }
    }

    pub fn id(&self, n: usize) -> MemberId {
        *self.members.get(n).expect("members are numbered by the league itself")
    }

    /// The number of the national node.
    pub fn national(&self) -> usize {
        self.size.nodes() - 1
    }

    /// The precinct that the first town answers to, or the national node if there is none.
    pub fn hub(&self) -> usize {
        if self.size.precincts > 0 { self.size.towns + self.size.services } else { self.national() }
    }

    /// True for a town, one that joined later too.
    pub fn is_town(&self, n: usize) -> bool {
        n < self.size.towns || n >= self.size.nodes()
    }

    /// The numbers of all towns.
    pub fn towns(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.members.len()).filter(|n| self.is_town(*n))
    }

    /// What member `n` signs with, as its own roster says; none once that lists no active key of it.
    pub fn hand(&self, n: usize, rosters: &RosterChain, incarnation: Incarnation) -> Option<Hand> {
        let id = self.id(n);
        let index = rosters.head().member(&id)?.active_key(KeyPurpose::Envelope)?.index;
        let generation = u8::try_from(index.0).ok()?;
        Some(Hand { member: id, key_index: index, key: member_key(n, generation), incarnation })
    }

    /// What member `n` writes with, and the roster that it names: what begins a document needs no key that
    /// is still good.
    pub fn hand_and_roster(
        &self,
        n: usize,
        begins: bool,
        rosters: &RosterChain,
        (rules, incarnation): (u16, Incarnation),
    ) -> Option<(Hand, RosterHash)> {
        if let Some(hand) = self.hand(n, rosters, incarnation) {
            let named = if begins { rosters.newest_under(rules) } else { rosters.head() };
            return Some((hand, named.hash()));
        }
        let listed = rosters.head().member(&self.id(n)).filter(|_| begins)?;
        let signing = listed.keys.iter().filter(|key| key.purpose == KeyPurpose::Envelope);
        let generations = signing.filter_map(|key| u8::try_from(key.index.0).ok());
        let held: Vec<_> = generations.map(|generation| member_key(n, generation)).collect();
        let (hand, named) = Hand::to_begin(rosters, self.id(n), &held, incarnation, rules)?;
        Some((hand, named.hash()))
    }

    /// True while a version stands beside the head.
    pub fn forked(&self) -> bool {
        self.fork.is_some()
    }

    fn changed(&self, body: &RosterBody, change: &Change) -> RosterBody {
        let mut body = body.clone();
        if let Change::Longer(ms) = change {
            body.expires = body.expires.plus(Millis(*ms));
        } else if let Change::Roots(first) = change {
            (body.root_keys, body.threshold) = (roots(*first), 2 + *first % 2);
        } else if let Change::Rules(rules) = change {
            body.rules_version = *rules;
        } else if let Change::Join(n) = change {
            self.join(&mut body, *n);
        } else {
            self.change_member(&mut body, change);
        }
        body.sort();
        body
    }

    fn join(&self, body: &mut RosterBody, n: usize) {
        let mut entry = Member::new(self.id(n), &format!("node {n}"), &[Role::Municipal]);
        entry.keys.push(active_key(n, 0));
        entry.codes.push(code(n));
        entry.authority = Some(self.id(self.hub()));
        entry.neighbours.push(self.id(0));
        body.members.push(entry);
    }

    fn change_member(&self, body: &mut RosterBody, change: &Change) {
        let (n, other) = match change {
            Change::AddKey(n) | Change::RetireKey(n) | Change::ReplaceKey(n) | Change::Expel(n) => (*n, *n),
            Change::Border(n, other) | Change::Move(n, other) => (*n, *other),
            Change::Longer(_) | Change::Join(_) | Change::Roots(_) | Change::Rules(_) => return,
        };
        let (id, other) = (self.id(n), self.id(other));
        let Some(member) = body.members.iter_mut().find(|member| member.id == id) else { return };
        let next = u8::try_from(member.keys.len()).unwrap_or(u8::MAX);
        let mut active = member.keys.iter_mut().filter(|key| key.state == KeyState::Active);
        match change {
            Change::AddKey(_) => member.keys.push(active_key(n, next)),
            Change::RetireKey(_) => {
                if let (Some(oldest), Some(_)) = (active.next(), active.next()) {
                    oldest.state = KeyState::Retired;
                }
            }
            Change::ReplaceKey(_) => {
                active.for_each(|key| key.state = KeyState::Revoked);
                member.keys.push(active_key(n, next));
            }
            Change::Expel(_) => member.keys.iter_mut().for_each(|key| key.state = KeyState::Revoked),
            Change::Border(..) => {
                if member.neighbours.contains(&other) {
                    member.neighbours.retain(|id| *id != other);
                } else {
                    member.neighbours.push(other);
                }
            }
            Change::Move(..) => member.authority = Some(other),
            Change::Longer(_) | Change::Join(_) | Change::Roots(_) | Change::Rules(_) => {}
        }
    }

    /// A new member's number; it is in no roster yet.
    pub fn enrol(&mut self) -> usize {
        let n = self.members.len();
        self.members.push(member_id(n));
        n
    }

    /// Publishes the next version; one that joins, if a fork is open.
    pub fn publish(&mut self, change: &Change) {
        let head = self.chain.head();
        let mut body = self.changed(&self.body, change);
        (body.federation, body.version) = (self.chain.federation(), head.version + 1);
        body.previous = vec![head.hash()];
        if let Some((beside, theirs)) = self.fork.take() {
            body = RosterBody { previous: vec![head.hash(), beside], ..self.changed(&body, &theirs) };
            body.sort();
        }
        let signed = sign(&self.body, &body);
        self.chain.add(signed).expect("the league publishes valid versions");
        self.body = body;
        self.past.push(self.chain.clone());
    }

    /// Publishes two valid versions of one number. Gives the chain with only the second of them.
    pub fn publish_two(&mut self, first: &Change, second: &Change) -> RosterChain {
        let before = self.chain.clone();
        let mut other = self.changed(&self.body, second);
        let head = before.head();
        (other.federation, other.version) = (before.federation(), head.version + 1);
        other.previous = vec![head.hash()];
        let signed = sign(&self.body, &other);
        self.publish(first);
        let mut beside = before;
        beside.add(signed.clone()).expect("the league publishes valid versions");
        if beside.head().hash() != self.chain.head().hash() {
            self.fork = Some((beside.head().hash(), second.clone()));
            self.chain.add(signed).expect("a version beside the head is kept");
        }
        beside
    }
}

/// By enough root keys of the version before and of its own.
fn sign(before: &RosterBody, body: &RosterBody) -> SignedRoster {
    let mut signed = SignedRoster::unsigned(body);
    for index in 0..ROOTS_EVER {
        let key = RootKey::ed25519(root(index).verifying_key().to_bytes());
        if before.root_keys.contains(&key) || body.root_keys.contains(&key) {
            signed.sign(&root(index));
        }
    }
    signed
}
