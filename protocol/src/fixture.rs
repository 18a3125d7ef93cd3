//! A small federation with deterministic keys, for tests and the simulator. Never part of a node.

use ed25519_dalek::SigningKey;

use crate::author::{Draft, Hand, SealError, seal_knowing};
use crate::document::Document;
use crate::envelope::{AdmittedEnvelope, RULES_VERSION};
use crate::ids::{
    Cell, Code, FederationId, Incarnation, KeyIndex, MemberId, Millis, Nonce, Pseudonym, sha256,
};
use crate::kind::{Kind, Urgency};
use crate::operation::{HandoffReason, Open, Operation, Source};
use crate::roster::{
    Algorithm, KeyPurpose, KeyState, Member, MemberKey, Role, RootKey, RosterBody, RosterChain, SignedRoster,
};

/// A federation: `municipal` nodes with one code each, a precinct above them, a national node above that.
#[derive(Debug)]
pub struct Federation {
    /// Its roster chain, one version long until [`Federation::publish`].
    pub rosters: RosterChain,
    /// What the head says, ready to be changed and published.
    pub body: RosterBody,
    /// Municipal nodes, then the precinct, then the national node.
    pub members: Vec<MemberId>,
    municipal: usize,
}

/// The root keys: two of these three sign a roster.
fn root(index: u8) -> SigningKey {
    SigningKey::from_bytes(&sha256(&[b"root", &[index]]))
}

/// A member's signing key: `n` counts members, `generation` counts rotations.
#[must_use]
pub fn member_key(n: usize, generation: u8) -> SigningKey {
    SigningKey::from_bytes(&sha256(&[b"member", &n.to_be_bytes(), &[generation]]))
}

/// The code of municipal node `n`.
#[must_use]
pub fn code(n: usize) -> Code {
    Code::chile(13_101 + u32::try_from(n).expect("fixtures are small"))
}

impl Federation {
    /// With so many municipal nodes; each borders all the others.
    #[must_use]
    pub fn new(municipal: usize) -> Self {
        let count = municipal + 2;
        let members: Vec<MemberId> = (0..count)
            .map(|n| Member::id_of_first_key(&member_key(n, 0).verifying_key().to_bytes()))
            .collect();
        let id = |n: usize| *members.get(n).expect("n is below the count");
        let mut list: Vec<Member> = (0..count)
            .map(|n| {
                let role = if n < municipal { Role::Municipal } else { Role::Aggregator };
                let mut member = Member::new(id(n), &format!("node {n}"), &[role]);
                member.keys.push(active_key(n, 0));
                member.authority = (n + 1 < count).then(|| id(if n < municipal { municipal } else { n + 1 }));
                if n < municipal {
                    member.codes.push(code(n));
                    member.neighbours = (0..municipal).filter(|other| *other != n).map(id).collect();
                    member.neighbours.sort_unstable();
                }
                member
            })
            .collect();
        list.sort_by_key(|member| member.id);
        let mut root_keys: Vec<_> =
            (0..3).map(|index| RootKey::ed25519(root(index).verifying_key().to_bytes())).collect();
        root_keys.sort_unstable();
        let body = RosterBody {
            federation: FederationId([0; 32]),
            version: 1,
            previous: Vec::new(),
            issued: Millis(1_000),
            expires: Millis(1 << 50),
            rules_version: 1,
            threshold: 2,
            root_keys,
            members: list,
        };
        let rosters = RosterChain::start(sign(&body)).expect("the fixture's roster keeps the rules");
        Self { rosters, body, members, municipal }
    }

    /// The id of member `n`.
    #[must_use]
    pub fn id(&self, n: usize) -> MemberId {
        *self.members.get(n).expect("tests name members that exist")
    }

    /// The number of the precinct; the national node is the next one.
    #[must_use]
    pub fn precinct(&self) -> usize {
        self.municipal
    }

    /// What member `n` signs with.
    #[must_use]
    pub fn hand(&self, n: usize) -> Hand {
        Hand {
            member: self.id(n),
            key_index: KeyIndex(0),
            key: member_key(n, 0),
            incarnation: Incarnation::new(0, 7),
        }
    }

    /// Changes the body by `change`, signs it as the next version and adds it.
    pub fn publish(&mut self, change: impl FnOnce(&mut RosterBody)) {
        change(&mut self.body);
        self.body.federation = self.rosters.federation();
        self.body.version += 1;
        self.body.previous = vec![self.rosters.head().hash()];
        self.rosters.add(sign(&self.body)).expect("the fixture's roster keeps the rules");
    }

    /// Adds a version that stands beside the head, and publishes one that joins both.
    pub fn join(&mut self, beside: &SignedRoster) {
        self.rosters.add(beside.clone()).expect("a version beside the head is kept");
        self.body.version += 1;
        self.body.previous = vec![self.rosters.head().hash(), beside.hash()];
        self.body.sort();
        self.rosters.add(sign(&self.body)).expect("the fixture's roster keeps the rules");
    }

    /// Revokes every key of member `n` in a new version.
    pub fn revoke(&mut self, n: usize) {
        let id = self.id(n);
        self.publish(|body| {
            for member in body.members.iter_mut().filter(|member| member.id == id) {
                for key in &mut member.keys {
                    key.state = KeyState::Revoked;
                }
            }
        });
    }
}

/// A member's envelope key of a generation, in use.
#[must_use]
pub fn active_key(n: usize, generation: u8) -> MemberKey {
    MemberKey {
        index: KeyIndex(u16::from(generation)),
        purpose: KeyPurpose::Envelope,
        algorithm: Algorithm::Ed25519,
        state: KeyState::Active,
        public: member_key(n, generation).verifying_key().to_bytes(),
    }
}

fn sign(body: &RosterBody) -> SignedRoster {
    let mut signed = SignedRoster::unsigned(body);
    signed.sign(&root(0));
    signed.sign(&root(1));
    signed
}

/// An incident of kind `kind` in `code`; `seed` makes it unlike any other.
#[must_use]
pub fn open(
    code: Code,
    kind: &Kind,
    involved: &[MemberId],
    offered_to: Option<MemberId>,
    seed: u64,
) -> Operation {
    let mut involved = involved.to_vec();
    involved.sort_unstable();
    Operation::Open(Open {
        urgency: Urgency::Emergency,
        code,
        cell: Cell(0x089b_2c54_0cff_ffff),
        kind: kind.number,
        local_kind: 0,
        nonce: Nonce(sha256(&[b"nonce", &seed.to_be_bytes()])),
        source: Source::App,
        opened: Millis(1_000),
        offered_to,
        involved,
        point: None,
    })
}

/// Somebody's pseudonym.
#[must_use]
pub fn somebody(seed: u8) -> Pseudonym {
    Pseudonym(sha256(&[b"somebody", &[seed]]))
}

/// A document in the making: writes as any member, through [`crate::author::seal`].
#[derive(Debug)]
pub struct Scribe<'a> {
    /// Whose rosters and keys.
    pub federation: &'a Federation,
    /// Everything written so far.
    pub document: Document,
    /// The newest rules that everybody who writes knows.
    pub rules: u16,
    clock: u64,
}

impl<'a> Scribe<'a> {
    /// Nothing written yet.
    #[must_use]
    pub fn new(federation: &'a Federation) -> Self {
        Self { federation, document: Document::default(), rules: RULES_VERSION, clock: 1_000 }
    }

    /// Member `n` writes, having seen everything here. Keeps what was written.
    pub fn write(&mut self, n: usize, operation: Operation) -> Result<AdmittedEnvelope, SealError> {
        let document = self.document.clone();
        let written = self.write_on(&document, n, operation)?;
        self.document.insert(written.clone()).expect("its parents are in a part of this document");
        Ok(written)
    }

    /// Member `n` writes, having seen only `seen`. Keeps nothing.
    pub fn write_on(
        &mut self,
        seen: &Document,
        n: usize,
        operation: Operation,
    ) -> Result<AdmittedEnvelope, SealError> {
        self.clock += 1;
        let answers = operation.answers();
        let draft = Draft { operation, blobs: Vec::new(), answers, written_at: Millis(self.clock) };
        let held = (!seen.is_empty()).then_some(seen);
        let (hand, rosters) = (self.federation.hand(n), &self.federation.rosters);
        seal_knowing(&draft, held, &hand, rosters, self.rules)
    }

    /// Opens an incident in member `n`'s own territory that involves `involved`.
    pub fn open(&mut self, n: usize, involved: &[usize]) -> AdmittedEnvelope {
        let involved: Vec<_> = involved.iter().map(|other| self.federation.id(*other)).collect();
        let kind = Kind::by_name("sos").expect("the federation has it");
        self.write(n, open(code(n), kind, &involved, None, self.clock)).expect("anybody opens at home")
    }

    /// Hands over from `from` to `to`: offer, accept, commit.
    pub fn hand_over(&mut self, from: usize, to: usize) -> AdmittedEnvelope {
        let offer = Operation::Offer { to: self.federation.id(to), reason: HandoffReason::Means };
        let offer = self.write(from, offer).expect("the owner offers").id();
        let accept = self.write(to, Operation::Accept { offer }).expect("the offered node accepts").id();
        self.write(from, Operation::Commit { accept }).expect("the owner commits")
    }
}
