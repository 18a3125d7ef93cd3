//! A document as a hostile member tells it: honest groundwork that every node admits, and on top of it
//! envelopes that break one rule each.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::{Signer as _, SigningKey};
use protocol::admission::Refusal;
use protocol::envelope::{Header, SignedEnvelope};
use protocol::ids::{Cell, Code, DocId, EnvelopeId, MemberId, Millis, Nonce, Pseudonym, Seq, sha256};
use protocol::kind::Urgency;
use protocol::message::InlineBlob;
use protocol::operation::{Open, Operation, Response, Source};
use protocol::replica::Fault;
use tests::peer::{Identity, envelope_bytes};

/// Everybody who acts, and what they know of each other.
pub struct Cast {
    /// San Joaquín: a member with a valid key that keeps no rule. Next to San Miguel.
    pub hostile: Identity,
    /// San Ramón: a member that is honest, or the hostile one's accomplice.
    pub other: Identity,
    /// The national office, the authority of all.
    pub office: Identity,
    /// San Miguel: the real node that is attacked.
    pub target: MemberId,
    /// La Pintana: a real node that looks on.
    pub witness: MemberId,
    /// The federation's offline keys.
    pub roots: Vec<SigningKey>,
    /// Of the roster version before the one in force.
    pub older_roster: protocol::ids::RosterHash,
}

impl Cast {
    /// The jurisdiction of the hostile member.
    pub fn own_code(&self) -> Code {
        self.code_of(&self.hostile.member)
    }
    /// The jurisdiction of the node that is attacked.
    pub fn target_code(&self) -> Code {
        self.code_of(&self.target)
    }
    fn code_of(&self, member: &MemberId) -> Code {
        let listed = self.hostile.rosters.head().member(member).expect("it is listed");
        *listed.codes.first().expect("a town has a code")
    }
}

/// What must become of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A rule is broken; the refusal is stored.
    Refused(Refusal),
    /// The copy proves nothing; its sender is blamed and the id keeps no verdict.
    Blamed(Fault),
    /// What it names is not here; kept aside, no verdict.
    Parked,
    /// Admitted: what it says has no force, or the rules do not mind it.
    Admitted,
    /// One of several that prove its author a liar: the proof is kept, and of them what others built on.
    Proven,
}

/// Something to send beside honest envelopes.
#[derive(Debug, Clone)]
pub struct Bad {
    pub bytes: Vec<u8>,
    pub blobs: Vec<InlineBlob>,
    pub fate: Fate,
}

impl Bad {
    /// An envelope that parses.
    pub fn of(envelope: &SignedEnvelope, fate: Fate) -> Bad {
        Bad { bytes: envelope.bytes().to_vec(), blobs: Vec::new(), fate }
    }
    /// Bytes that are no envelope.
    pub fn malformed(bytes: Vec<u8>) -> Bad {
        Bad { bytes, blobs: Vec::new(), fate: Fate::Blamed(Fault::Malformed) }
    }
    /// The envelope's id, if it is one.
    pub fn id(&self) -> Option<EnvelopeId> {
        SignedEnvelope::decode(&self.bytes).ok().map(|envelope| envelope.id())
    }
}

/// A document and what its authors have written so far.
pub struct Story<'a> {
    pub cast: &'a Cast,
    pub doc: DocId,
    pub genesis: EnvelopeId,
    /// Honest envelopes that go in front, in order.
    pub before: Vec<SignedEnvelope>,
    heads: BTreeSet<EnvelopeId>,
    tips: BTreeMap<MemberId, (EnvelopeId, Seq)>,
}

/// Somebody, as a pseudonym.
pub fn somebody(number: u8) -> Pseudonym {
    Pseudonym([number; 32])
}

/// What an involved node may always say.
pub fn respond() -> Operation {
    Operation::Respond { response: Response::OnTheWay, crew: somebody(9) }
}

impl<'a> Story<'a> {
    /// A document that the attacked node opened.
    pub fn theirs(cast: &'a Cast, genesis: &SignedEnvelope) -> Story<'a> {
        let (doc, id) = (genesis.header().doc, genesis.id());
        let tips = BTreeMap::from([(genesis.header().author, (id, Seq(1)))]);
        Story { cast, doc, genesis: id, before: Vec::new(), heads: BTreeSet::from([id]), tips }
    }

    /// A document that the hostile member opens in its own town, with every other member but the office
    /// involved.
    pub fn ours(cast: &'a Cast, number: u8) -> Story<'a> {
        let genesis = open(&cast.hostile, &open_operation(cast, number));
        let mut story = Story::theirs(cast, &genesis);
        story.before.push(genesis);
        story
    }

    /// The header that an honest author would write next.
    pub fn header(&self, who: &Identity, operation: &Operation) -> Header {
        let tip = self.tips.get(&who.member);
        let parents: BTreeSet<EnvelopeId> =
            self.heads.iter().copied().chain(tip.map(|(id, _)| *id)).collect();
        let parents: Vec<EnvelopeId> = parents.into_iter().collect();
        let mut header = who.header(self.doc, &parents, operation);
        if let Some((prev, seq)) = tip {
            let place = parents.iter().position(|id| id == prev).expect("it is among them") + 1;
            header.prev_at = u8::try_from(place).expect("few parents");
            header.seq = Seq(seq.0 + 1);
        }
        header
    }

    /// Adds honest groundwork; gives its id.
    pub fn say(&mut self, who: &Identity, operation: &Operation) -> EnvelopeId {
        let envelope = who.sign(&self.header(who, operation), operation);
        self.note(&envelope);
        self.before.push(envelope.clone());
        envelope.id()
    }

    /// Takes note of an envelope that the node holds.
    pub fn note(&mut self, envelope: &SignedEnvelope) {
        let (header, id) = (envelope.header(), envelope.id());
        for parent in &header.parents {
            self.heads.remove(parent);
        }
        self.heads.insert(id);
        self.tips.insert(header.author, (id, header.seq));
    }

    /// An envelope that is right but for what it says.
    pub fn tries(&self, who: &Identity, operation: &Operation, refusal: Refusal) -> Bad {
        let envelope = who.sign(&self.header(who, operation), operation);
        Bad::of(&envelope, Fate::Refused(refusal))
    }

    /// An honest deed of the hostile member with something changed before it is signed.
    pub fn altered(&self, fate: Fate, alter: impl FnOnce(&mut Header)) -> Bad {
        let who = &self.cast.hostile;
        let mut header = self.header(who, &respond());
        alter(&mut header);
        Bad::of(&who.sign(&header, &respond()), fate)
    }

    /// The same where no envelope has such a layout.
    pub fn misshapen(&self, alter: impl FnOnce(&mut Header)) -> Bad {
        let who = &self.cast.hostile;
        let mut header = self.header(who, &respond());
        alter(&mut header);
        let signed = header.sig_input();
        let signature = who.envelope_key.sign(&signed).to_bytes();
        Bad::malformed(envelope_bytes(&signed, &respond().encode(), &signature))
    }

    /// An operation's number and bytes as they stand, rightly signed.
    pub fn with_operation_bytes(&self, op_type: u16, bytes: &[u8], refusal: Refusal) -> Bad {
        let who = &self.cast.hostile;
        let mut header = self.header(who, &respond());
        header.op_type = op_type;
        header.op_len = u32::try_from(bytes.len()).expect("few bytes");
        header.op_hash = sha256(&[bytes]);
        let signature = who.envelope_key.sign(&header.sig_input()).to_bytes();
        Bad {
            bytes: envelope_bytes(&header.sig_input(), bytes, &signature),
            blobs: Vec::new(),
            fate: Fate::Refused(refusal),
        }
    }

    /// One honest deed that continues everything honest.
    pub fn honest(&self, who: &Identity) -> SignedEnvelope {
        who.sign(&self.header(who, &respond()), &respond())
    }
}

/// What the hostile member opens in its own town.
pub fn open_operation(cast: &Cast, number: u8) -> Operation {
    let mut involved = vec![cast.target, cast.witness, cast.other.member];
    involved.sort_unstable();
    let mut nonce = [number; 32];
    getrandom::fill(&mut nonce).expect("random bytes");
    Operation::Open(Open {
        urgency: Urgency::High,
        code: cast.own_code(),
        cell: Cell(0x0892_ad68_b6bf_ffff),
        kind: 10,
        local_kind: 0,
        nonce: Nonce(nonce),
        source: Source::Radio,
        opened: Millis(1_790_000_000_000),
        offered_to: None,
        involved,
        point: None,
    })
}

/// A genesis of this author, with the document id that goes with it.
pub fn open(who: &Identity, operation: &Operation) -> SignedEnvelope {
    let mut header = who.header(DocId([0; 32]), &[], operation);
    header.doc = header.genesis_doc_id();
    who.sign(&header, operation)
}
