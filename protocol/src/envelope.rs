//! The signed envelope: its fixed layout, its identity, and the three types that it passes through.
//!
//! [`SignedEnvelope`] parses, [`VerifiedEnvelope`] has a good signature and matching operation bytes,
//! [`AdmittedEnvelope`] satisfies the rules. Only the last is ever stored. Nothing here signs bytes
//! that somebody else supplied; see [`crate::author`].

use std::sync::Arc;

use crate::ids::{
    BlobId, DocId, EnvelopeId, FederationId, Incarnation, KeyIndex, MemberId, Millis, RosterHash, Seq, sha256,
};
use crate::limits::{BLOBS_MAX, ENVELOPE_BYTES_MAX, OPERATION_BYTES_MAX, PARENTS_MAX, SIGNATURE_BYTES_MAX};
use crate::operation::{Operation, doc_id_of, read_blob_ref};
use crate::roster::{KeyPurpose, RosterChain};
use crate::strict::{self, Claim};
use crate::wire::{Reader, WireError, Writer};

/// Domain of an envelope's signature and id.
const DOMAIN: &[u8] = b"cuadra/envelope/v1\0";

/// The rules version that this release knows.
pub const RULES_VERSION: u16 = 1;

/// Who may hold a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum BlobClass {
    /// Owner and involved nodes: words, exact points, photos.
    Responders = 1,
    /// Everybody who holds the document.
    Shared = 2,
}

/// A blob that an envelope names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobRef {
    /// Who may hold it.
    pub class: BlobClass,
    /// Its commitment.
    pub id: BlobId,
}

/// Everything that is signed besides the operation's own bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The federation.
    pub federation: FederationId,
    /// The document.
    pub doc: DocId,
    /// The rules under which the document lives.
    pub rules_version: u16,
    /// The roster version that the author acted under.
    pub roster: RosterHash,
    /// The author, by member id.
    pub author: MemberId,
    /// Which of the author's keys signed.
    pub key_index: KeyIndex,
    /// The author's generation.
    pub incarnation: Incarnation,
    /// Position on the author's chain in this document, from 1.
    pub seq: Seq,
    /// What the author had seen: sorted, unique, at most [`PARENTS_MAX`].
    pub parents: Vec<EnvelopeId>,
    /// 0, or which parent (from 1) is the author's previous envelope here.
    pub prev_at: u8,
    /// Number of the operation.
    pub op_type: u16,
    /// Length of the operation's bytes.
    pub op_len: u32,
    /// SHA-256 of the operation's bytes.
    pub op_hash: [u8; 32],
    /// Blobs that belong to it, at most [`BLOBS_MAX`].
    pub blobs: Vec<BlobRef>,
    /// When it was written by the author's clock; shown to people, never used in a rule.
    pub written_at: Millis,
}

impl Header {
    /// The author's previous envelope in this document.
    #[must_use]
    pub fn prev(&self) -> Option<EnvelopeId> {
        let place = usize::from(self.prev_at).checked_sub(1)?;
        self.parents.get(place).copied()
    }

    /// True for the first envelope of a document.
    #[must_use]
    pub fn is_genesis(&self) -> bool {
        self.parents.is_empty()
    }

    /// The document id that this header must carry if it is a genesis.
    #[must_use]
    pub fn genesis_doc_id(&self) -> DocId {
        let mut zeroed = self.clone();
        zeroed.doc = DocId([0; 32]);
        doc_id_of(&zeroed.sig_input())
    }

    /// The bytes that are signed; their SHA-256 is the envelope's id.
    #[must_use]
    pub fn sig_input(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(DOMAIN);
        self.write(&mut w);
        w.into_bytes()
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        let count = |n: usize| u8::try_from(n).expect("parents and blobs are bounded below 256");
        w.raw(&self.federation.0).raw(&self.doc.0).u16(self.rules_version).raw(&self.roster.0);
        w.raw(&self.author.0).u16(self.key_index.0).u64(self.incarnation.0).u32(self.seq.0);
        w.u8(count(self.parents.len()));
        for parent in &self.parents {
            w.raw(&parent.0);
        }
        w.u8(self.prev_at).u16(self.op_type).u32(self.op_len).raw(&self.op_hash);
        w.u8(count(self.blobs.len()));
        for blob in &self.blobs {
            w.u8(blob.class as u8).raw(&blob.id.0);
        }
        w.u64(self.written_at.0);
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Header, WireError> {
        let header = Header {
            federation: FederationId(r.array()?),
            doc: r.doc_id()?,
            rules_version: r.u16()?,
            roster: RosterHash(r.array()?),
            author: r.member_id()?,
            key_index: KeyIndex(r.u16()?),
            incarnation: Incarnation(r.u64()?),
            seq: Seq(r.u32()?),
            parents: short_list(r, PARENTS_MAX, |r| r.envelope_id())?,
            prev_at: r.u8()?,
            op_type: r.u16()?,
            op_len: r.u32()?,
            op_hash: r.array()?,
            blobs: short_list(r, BLOBS_MAX, read_blob)?,
            written_at: Millis(r.integer()?),
        };
        if !header.parents.is_sorted_by(|a, b| a < b) {
            return Err(WireError::Order);
        }
        if usize::from(header.prev_at) > header.parents.len() || header.seq.0 == 0 {
            return Err(WireError::Value);
        }
        Ok(header)
    }
}

fn read_blob(r: &mut Reader<'_>) -> Result<BlobRef, WireError> {
    let (class, id) = read_blob_ref(r)?;
    let class = match class {
        1 => BlobClass::Responders,
        2 => BlobClass::Shared,
        _ => return Err(WireError::Value),
    };
    Ok(BlobRef { class, id })
}

fn short_list<T>(
    r: &mut Reader<'_>,
    items_max: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let count = usize::from(r.u8()?);
    if count > items_max {
        return Err(WireError::TooLong);
    }
    (0..count).map(|_| read(r)).collect()
}

/// An envelope that parses; nothing about it is believed yet.
/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedEnvelope(Arc<Parsed>);

#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    id: EnvelopeId,
    header: Header,
    /// The header's bytes, the operation's, then the signature behind its u16 length.
    bytes: Box<[u8]>,
    /// Where the operation begins.
    header_len: usize,
}

/// Why a copy of an envelope is dropped without a verdict on its id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It names a roster version that is not held yet; it may be judged once that is here.
    #[error("the roster version that it names is not held")]
    UnknownRoster(SignedEnvelope),
    /// The roster that it names has no such author or key.
    #[error("the roster that it names has no such author or key")]
    UnknownKey,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    BadSignature,
    /// The operation's bytes are not the ones that were signed.
    #[error("the operation's bytes are not the ones that were signed")]
    OperationHash,
}

impl SignedEnvelope {
    /// Parses the layout of [`SignedEnvelope::bytes`].
    pub fn decode(bytes: &[u8]) -> Result<SignedEnvelope, WireError> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(WireError::TooLong);
        }
        let mut r = Reader::new(bytes);
        let header = Header::read(&mut r)?;
        let header_len = bytes.len() - r.left();
        let op_len = usize::try_from(header.op_len).map_err(|_| WireError::TooLong)?;
        if op_len > OPERATION_BYTES_MAX {
            return Err(WireError::TooLong);
        }
        r.raw(op_len)?;
        let signature_len = usize::from(r.u16()?);
        if signature_len > SIGNATURE_BYTES_MAX {
            return Err(WireError::TooLong);
        }
        r.raw(signature_len)?;
        r.end()?;
        Ok(Self::whole(header, header_len, bytes.into()))
    }

    pub(crate) fn assemble(header: Header, op_bytes: &[u8], signature: &[u8]) -> Self {
        let mut w = Writer::new();
        header.write(&mut w);
        let header_len = w.len();
        w.raw(op_bytes);
        w.u16(u16::try_from(signature.len()).expect("signatures are bounded by SIGNATURE_BYTES_MAX"));
        w.raw(signature);
        Self::whole(header, header_len, w.into_bytes().into())
    }

    /// Of a header and the bytes that begin with it. What parses is written the same, so these are what was signed.
    fn whole(header: Header, header_len: usize, bytes: Box<[u8]>) -> Self {
        let signed = bytes.get(..header_len).unwrap_or_default();
        let id = EnvelopeId(sha256(&[DOMAIN, signed]));
        Self(Arc::new(Parsed { id, header, bytes, header_len }))
    }

    /// The header, the operation's bytes, then the signature behind its u16 length.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// SHA-256 of the signed bytes.
    #[must_use]
    pub fn id(&self) -> EnvelopeId {
        self.0.id
    }

    /// What was signed.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// The operation's bytes as they came.
    #[must_use]
    pub fn op_bytes(&self) -> &[u8] {
        self.part(self.0.header_len, self.op_len())
    }

    /// The signature as it came.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        self.0.bytes.get(self.0.header_len + self.op_len() + 2..).unwrap_or_default()
    }

    /// The header's bytes: what is signed, without its domain.
    fn header_bytes(&self) -> &[u8] {
        self.part(0, self.0.header_len)
    }

    fn op_len(&self) -> usize {
        self.0.header.op_len as usize
    }

    fn part(&self, from: usize, length: usize) -> &[u8] {
        self.0.bytes.get(from..from + length).unwrap_or_default()
    }

    /// Checks the operation's hash and the signature under the key that the named roster gives the
    /// author. Costs one Ed25519 verification (`verify_strict`, so every node agrees).
    pub fn verify(self, rosters: &RosterChain) -> Result<VerifiedEnvelope, VerifyError> {
        verify_all(vec![self], rosters, &strictly).pop().unwrap_or(Err(VerifyError::BadSignature))
    }

    /// The signature to be verified, or why it need not be looked at.
    fn claim<'a>(&'a self, rosters: &'a RosterChain) -> Result<Signed<'a>, Flaw> {
        let header = self.header();
        let roster = rosters.get(&header.roster).ok_or(Flaw::UnknownRoster)?;
        let key = roster
            .member(&header.author)
            .and_then(|member| member.key(header.key_index))
            .filter(|key| key.purpose == KeyPurpose::Envelope)
            .ok_or(Flaw::UnknownKey)?;
        if sha256(&[self.op_bytes()]) != header.op_hash {
            return Err(Flaw::OperationHash);
        }
        let (public, signature) = (&key.public, self.signature());
        Ok(Signed { id: self.id(), header: self.header_bytes(), public, signature })
    }
}

/// What keeps an envelope's signature from being looked at.
enum Flaw {
    UnknownRoster,
    UnknownKey,
    OperationHash,
}

/// As [`SignedEnvelope::verify`] for each, in order, with the verdicts on their signatures from `verdicts`.
pub(crate) fn verify_all(
    envelopes: Vec<SignedEnvelope>,
    rosters: &RosterChain,
    verdicts: &Verdicts<'_>,
) -> Vec<Result<VerifiedEnvelope, VerifyError>> {
    let mut signed = Vec::with_capacity(envelopes.len());
    let claims = envelopes.iter().map(|envelope| envelope.claim(rosters).map(|claim| signed.push(claim)));
    let claims: Vec<Result<(), Flaw>> = claims.collect();
    let mut verdicts = verdicts(&signed).into_iter();
    let judged = envelopes.into_iter().zip(claims).map(|(envelope, claim)| match claim {
        Ok(()) if verdicts.next() == Some(true) => Ok(VerifiedEnvelope(envelope)),
        Ok(()) => Err(VerifyError::BadSignature),
        Err(Flaw::UnknownRoster) => Err(VerifyError::UnknownRoster(envelope)),
        Err(Flaw::UnknownKey) => Err(VerifyError::UnknownKey),
        Err(Flaw::OperationHash) => Err(VerifyError::OperationHash),
    });
    judged.collect()
}

/// A signature and what it is over.
pub(crate) struct Signed<'a> {
    #[cfg_attr(
        not(any(test, feature = "sim")),
        expect(dead_code, reason = "the simulator remembers verdicts by it")
    )]
    pub id: EnvelopeId,
    /// The header's bytes.
    pub header: &'a [u8],
    pub public: &'a [u8; 32],
    pub signature: &'a [u8],
}

/// Says of each signature, in order, whether it holds.
pub(crate) type Verdicts<'f> = dyn Fn(&[Signed<'_>]) -> Vec<bool> + 'f;

/// Strict Ed25519, so that every node agrees.
pub(crate) fn strictly(signed: &[Signed<'_>]) -> Vec<bool> {
    let claims = signed.iter().map(|one| {
        let Signed { header, public, signature, .. } = *one;
        Claim { public, message: [DOMAIN, header], signature }
    });
    strict::verify(&claims.collect::<Vec<_>>())
}

/// An envelope whose signature and operation hash hold. It can be judged; it is not judged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEnvelope(SignedEnvelope);

impl VerifiedEnvelope {
    /// What the node itself just signed needs no second verification.
    pub(crate) fn just_signed(signed: SignedEnvelope) -> Self {
        Self(signed)
    }
    /// SHA-256 of the signed bytes.
    #[must_use]
    pub fn id(&self) -> EnvelopeId {
        self.0.id()
    }
    /// What was signed.
    #[must_use]
    pub fn header(&self) -> &Header {
        self.0.header()
    }
    /// The operation's bytes.
    #[must_use]
    pub fn op_bytes(&self) -> &[u8] {
        self.0.op_bytes()
    }
    /// The bytes as they travel and are stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
    /// As it came.
    #[must_use]
    pub fn signed(&self) -> &SignedEnvelope {
        &self.0
    }
}

/// An envelope that satisfies the rules. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedEnvelope(Arc<Admitted>);

#[derive(Debug, PartialEq, Eq)]
struct Admitted {
    signed: SignedEnvelope,
    operation: Operation,
}

impl AdmittedEnvelope {
    pub(crate) fn new(verified: VerifiedEnvelope, operation: Operation) -> Self {
        Self(Arc::new(Admitted { signed: verified.0, operation }))
    }

    /// Reads back what this node admitted and stored itself. Not for bytes from anywhere else: neither
    /// signature nor rules are looked at again.
    pub fn from_log(bytes: &[u8]) -> Result<Self, WireError> {
        let signed = SignedEnvelope::decode(bytes)?;
        let operation = Operation::decode(signed.header().op_type, signed.op_bytes())?;
        Ok(Self(Arc::new(Admitted { signed, operation })))
    }

    /// SHA-256 of the signed bytes.
    #[must_use]
    pub fn id(&self) -> EnvelopeId {
        self.0.signed.id()
    }
    /// What was signed.
    #[must_use]
    pub fn header(&self) -> &Header {
        self.0.signed.header()
    }
    /// What it says.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.0.operation
    }
    /// The bytes as they travel and are stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.signed.bytes()
    }
    /// As it came, for sending on.
    #[must_use]
    pub fn signed(&self) -> &SignedEnvelope {
        &self.0.signed
    }
    /// Place on its author's chain: generation, then position.
    #[must_use]
    pub fn chain_place(&self) -> (Incarnation, Seq) {
        (self.header().incarnation, self.header().seq)
    }
}

#[cfg(test)]
mod tests;
