//! What Automerge cannot be given, and every field of an envelope.

use ed25519_dalek::Signer as _;
use protocol::admission::Refusal;
use protocol::envelope::{BlobClass, BlobRef, SignedEnvelope};
use protocol::ids::{BlobId, Cell, EnvelopeId, FederationId, KeyIndex, MemberId, Millis, RosterHash, Seq};
use protocol::operation::{Operation, op_type};
use protocol::replica::Fault;
use protocol::roster::KeyPurpose;
use tests::peer::{assemble, envelope_bytes};

use super::Ground::{Ours, Theirs};
use super::stage::{RETIRED_KEY, REVOKED_KEY};
use super::story::{Bad, Fate, Story, open_operation, respond, somebody};
use super::{Case, envelopes};

/// The first bytes of an Automerge change chunk: magic, a checksum, its kind.
const AUTOMERGE_CHUNK: [u8; 9] = [0x85, 0x6f, 0x4a, 0x83, 1, 2, 3, 4, 1];

/// What is known to break Automerge when a peer may hand it changes, as far as it can be said here.
pub fn automerge() -> Vec<Case> {
    let case = |rule, make| envelopes("automerge", rule, Theirs, make);
    let ours = |rule, make| envelopes("automerge", rule, Ours, make);
    vec![
        ours("two changes of one actor and sequence number make nobody diverge", |story| {
            let cast = story.cast;
            story.say(&cast.hostile, &respond());
            let one = story.altered(Fate::Proven, |_| {});
            let two = story.altered(Fate::Proven, |header| header.written_at = Millis(1));
            vec![one, two]
        }),
        case("a sequence number with a gap before it", |story| {
            let cast = story.cast;
            story.say(&cast.hostile, &respond());
            vec![story.altered(Fate::Refused(Refusal::Chain), |header| header.seq = Seq(5))]
        }),
        case("the greatest sequence number of all", |story| {
            let cast = story.cast;
            story.say(&cast.hostile, &respond());
            vec![story.altered(Fate::Refused(Refusal::Chain), |header| header.seq = Seq(u32::MAX))]
        }),
        case("a predecessor that nobody has", |story| {
            vec![story.altered(Fate::Parked, |header| header.parents = vec![EnvelopeId([7; 32])])]
        }),
        case("a raw Automerge change in place of an operation", |story| {
            vec![story.with_operation_bytes(op_type::NOTE, &AUTOMERGE_CHUNK, Refusal::Operation)]
        }),
        case("a list that claims 65,535 entries and has none", |story| {
            let mut bytes = open_operation(story.cast, 3).encode();
            let at = bytes.len() - 9 - 3 * 32 - 2;
            bytes.truncate(at);
            bytes.extend([0xff, 0xff]);
            vec![story.with_operation_bytes(op_type::OPEN, &bytes, Refusal::Operation)]
        }),
        case("an operation that names an envelope which does not exist", |story| {
            let answer = Operation::AnswerReferral {
                referral: EnvelopeId([8; 32]),
                answer: protocol::operation::ReferralAnswer::Accepted,
                by: somebody(1),
            };
            vec![story.tries(&story.cast.hostile, &answer, Refusal::Names)]
        }),
    ]
}

/// Every field of an envelope, changed before it is signed.
pub fn fields() -> Vec<Case> {
    let mut cases = identities();
    cases.extend(shapes());
    cases.extend(contents());
    cases
}

fn identities() -> Vec<Case> {
    let case = |rule, make| envelopes("envelope", rule, Theirs, make);
    vec![
        case("an envelope is of this federation", |story| {
            let other = FederationId([9; 32]);
            vec![story.altered(Fate::Refused(Refusal::Federation), |header| header.federation = other)]
        }),
        case("an envelope is of the document of its frame", |story| {
            let other = protocol::ids::DocId([9; 32]);
            vec![story.altered(Fate::Blamed(Fault::OtherDocument), |header| header.doc = other)]
        }),
        case("an envelope does not leave the rules of its document for later ones", |story| {
            vec![story.altered(Fate::Refused(Refusal::RulesVersion), |header| header.rules_version = 2)]
        }),
        case("an envelope follows the rules of its document", |story| {
            vec![story.altered(Fate::Refused(Refusal::RulesVersion), |header| header.rules_version = 0)]
        }),
        case("the roster that an envelope names is held", |story| {
            vec![story.altered(Fate::Parked, |header| header.roster = RosterHash([9; 32]))]
        }),
        case("nobody signs in another's name", |story| {
            let target = story.cast.target;
            vec![story.altered(Fate::Blamed(Fault::BadSignature), |header| header.author = target)]
        }),
        case("an author is a member", |story| {
            let stranger = MemberId([9; 32]);
            vec![story.altered(Fate::Blamed(Fault::UnknownKey), |header| header.author = stranger)]
        }),
        case("a key is listed", |story| {
            vec![story.altered(Fate::Blamed(Fault::UnknownKey), |header| header.key_index = KeyIndex(77))]
        }),
        case("a key of connections signs no envelope", |story| {
            let who = &story.cast.hostile;
            let own = who.rosters.head().member(&who.member).expect("it is listed");
            let tls = own.active_key(KeyPurpose::Tls).expect("it connects with one").index;
            let mut header = story.header(who, &respond());
            header.key_index = tls;
            let signature = who.tls_key.sign(&header.sig_input()).to_bytes();
            let envelope = assemble(&header, &respond().encode(), &signature);
            vec![Bad::of(&envelope, Fate::Blamed(Fault::UnknownKey))]
        }),
        case("a retired key signs nothing new", |story| vec![with_key(story, RETIRED_KEY, 40)]),
        case("a revoked key signs nothing", |story| vec![with_key(story, REVOKED_KEY, 41)]),
    ]
}

fn with_key(story: &Story<'_>, index: KeyIndex, seed: u8) -> Bad {
    let mut header = story.header(&story.cast.hostile, &respond());
    header.key_index = index;
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    let signature = key.sign(&header.sig_input()).to_bytes();
    Bad::of(&assemble(&header, &respond().encode(), &signature), Fate::Refused(Refusal::Key))
}

fn shapes() -> Vec<Case> {
    let case = |rule, make| envelopes("envelope", rule, Theirs, make);
    vec![
        case("chains begin at 1", |story| vec![story.misshapen(|header| header.seq = Seq(0))]),
        case("16 parents are the most", |story| {
            vec![story.misshapen(|header| header.parents = (0..17).map(|n| EnvelopeId([n; 32])).collect())]
        }),
        case("parents are sorted", |story| {
            let parents = vec![EnvelopeId([9; 32]), EnvelopeId([3; 32])];
            vec![story.misshapen(|header| header.parents = parents)]
        }),
        case("a parent is named once", |story| {
            let parents = vec![story.genesis, story.genesis];
            vec![story.misshapen(|header| header.parents = parents)]
        }),
        case("the previous one is among the parents", |story| {
            vec![story.misshapen(|header| header.prev_at = 9)]
        }),
        case("an operation has at most 4 KiB", |story| vec![story.misshapen(|header| header.op_len = 4_097)]),
        case("an operation is as long as was signed", |story| {
            vec![story.misshapen(|header| header.op_len -= 1)]
        }),
        case("8 blobs are the most", |story| {
            let blob = |n| BlobRef { class: BlobClass::Responders, id: BlobId([n; 32]) };
            vec![story.misshapen(|header| header.blobs = (0..9).map(blob).collect())]
        }),
        case("a blob is for responders or for all", |story| {
            let who = &story.cast.hostile;
            let mut header = story.header(who, &respond());
            header.blobs = vec![BlobRef { class: BlobClass::Responders, id: BlobId([5; 32]) }];
            let mut signed = header.sig_input();
            let at = signed.len() - 8 - 33;
            signed[at] = 3;
            let signature = who.envelope_key.sign(&signed).to_bytes();
            vec![Bad::malformed(envelope_bytes(&signed, &respond().encode(), &signature))]
        }),
        case("no integer is above 2^53", |story| {
            vec![story.misshapen(|header| header.written_at = Millis(1 << 60))]
        }),
        case("a signature has at most 128 bytes", |story| {
            let header = story.header(&story.cast.hostile, &respond());
            vec![Bad::malformed(envelope_bytes(&header.sig_input(), &respond().encode(), &[1; 129]))]
        }),
        case("nothing follows the signature", |story| {
            let mut bytes = story.honest(&story.cast.hostile).bytes().to_vec();
            bytes.push(0);
            vec![Bad::malformed(bytes)]
        }),
        case("an envelope is whole", |story| {
            let mut bytes = story.altered(Fate::Admitted, |header| header.written_at = Millis(3)).bytes;
            bytes.truncate(100);
            vec![Bad::malformed(bytes), Bad::malformed(Vec::new())]
        }),
    ]
}

fn contents() -> Vec<Case> {
    let case = |rule, make| envelopes("envelope", rule, Theirs, make);
    vec![
        case("operations are the ones that were signed", |story| {
            let header = story.header(&story.cast.hostile, &respond());
            let signature = story.cast.hostile.envelope_key.sign(&header.sig_input()).to_bytes();
            let mut bytes = respond().encode();
            bytes[5] ^= 1;
            vec![Bad::of(&assemble(&header, &bytes, &signature), Fate::Blamed(Fault::OperationHash))]
        }),
        case("a signature is of 64 bytes", |story| {
            let header = story.header(&story.cast.hostile, &respond());
            let signature = story.cast.hostile.envelope_key.sign(&header.sig_input()).to_bytes();
            let envelope = assemble(&header, &respond().encode(), &signature[..63]);
            vec![Bad::of(&envelope, Fate::Blamed(Fault::BadSignature))]
        }),
        case("a signature has one form: not the same plus the order of the group", |story| {
            let envelope = story.altered(Fate::Admitted, |header| header.written_at = Millis(4));
            let envelope = SignedEnvelope::decode(&envelope.bytes).expect("it parses");
            vec![Bad::of(&malleated(&envelope), Fate::Blamed(Fault::BadSignature))]
        }),
        case("an operation is known", |story| vec![story.with_operation_bytes(999, &[], Refusal::Operation)]),
        case("an operation ends where its layout ends", |story| {
            let bytes = [respond().encode(), vec![0]].concat();
            vec![story.with_operation_bytes(op_type::RESPOND, &bytes, Refusal::Operation)]
        }),
        case("a value of an operation is one of its list", |story| {
            let mut bytes = respond().encode();
            bytes[0] = 200;
            vec![story.with_operation_bytes(op_type::RESPOND, &bytes, Refusal::Operation)]
        }),
        case("an incident is of a known kind", |story| {
            let Operation::Open(mut open) = open_operation(story.cast, 4) else { return Vec::new() };
            open.kind = 60_000;
            let bytes = Operation::Open(open).encode();
            vec![story.with_operation_bytes(op_type::OPEN, &bytes, Refusal::Operation)]
        }),
        case("the point of a private kind is not in an operation", |story| {
            let Operation::Open(mut open) = open_operation(story.cast, 5) else { return Vec::new() };
            open.point = Some(protocol::operation::Point { lat_e7: 1, lon_e7: 1 });
            let bytes = Operation::Open(open).encode();
            vec![story.with_operation_bytes(op_type::OPEN, &bytes, Refusal::Operation)]
        }),
        case("an instant of an operation is below 2^53 too", |story| {
            let Operation::Open(mut open) = open_operation(story.cast, 6) else { return Vec::new() };
            open.opened = Millis(u64::MAX);
            let bytes = Operation::Open(open).encode();
            vec![story.with_operation_bytes(op_type::OPEN, &bytes, Refusal::Operation)]
        }),
        case("involved nodes are named once and in order", |story| {
            let Operation::Open(mut open) = open_operation(story.cast, 7) else { return Vec::new() };
            open.involved.reverse();
            open.cell = Cell(1);
            let bytes = Operation::Open(open).encode();
            vec![story.with_operation_bytes(op_type::OPEN, &bytes, Refusal::Operation)]
        }),
        case("a clock that is ten years off is shown and never obeyed", |story| {
            let cast = story.cast;
            let mut header = story.header(&cast.hostile, &respond());
            header.written_at = Millis(2_105_000_000_000);
            let envelope = cast.hostile.sign(&header, &respond());
            story.note(&envelope);
            vec![Bad::of(&envelope, Fate::Admitted)]
        }),
    ]
}

/// The order of the group, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature with the group's order added to its second half: good by careless arithmetic.
fn malleated(envelope: &SignedEnvelope) -> SignedEnvelope {
    let mut bytes = envelope.bytes().to_vec();
    let at = bytes.len() - 32;
    let mut carry = 0u16;
    for (byte, add) in bytes[at..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    SignedEnvelope::decode(&bytes).expect("the layout is the same")
}
