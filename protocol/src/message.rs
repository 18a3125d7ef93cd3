//! Every message that two nodes exchange: its number, its layout, who sends it when, and its limits.
//!
//! A message is one byte of number and then its body, big-endian, every list bounded. [`TABLE`] is the
//! whole list; the documentation's table is compared with it. What a message leads to is decided in
//! [`crate::replica`]; nothing here believes anything.

mod table;

pub use table::{Row, TABLE};

use crate::digest::{DocMark, Fingerprint, Mark};
use crate::envelope::SignedEnvelope;
use crate::ids::{BlobId, DocId, EnvelopeId, FederationId, MemberId, Millis, RosterHash, sha256};
use crate::kind::Urgency;
use crate::limits::{
    BLOB_INLINE_BYTES_MAX, BLOB_PIECE_BYTES, BLOBS_MAX, CONTACT_BYTES_MAX, DIGEST_LEAF_MAX,
    DIGEST_PREFIX_NIBBLES_MAX, ENVELOPE_BYTES_MAX, FRAME_BYTES_MAX, HAVE_PAGES_MAX, HEADS_MAX, HELD_IDS_MAX,
    ITEMS_MAX, PROOF_PAGES_MAX, ROSTER_PIECE_BYTES, ROSTER_PIECES_MAX, SOFTWARE_BYTES_MAX,
    STATEMENT_BYTES_MAX, STATEMENTS_MAX, WANT_IDS_MAX,
};
use crate::proof::{Proof, Statement};
use crate::wire::{Reader, WireError, Writer};

/// The version of these layouts; two nodes that open with different ones part.
pub const PROTOCOL_VERSION: u16 = 1;

/// The stream that a message goes on. The order is their priority: an alarm never waits behind the
/// rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Live alarms, and what keeps a connection judged alive.
    Urgent,
    /// Live, but nobody waits by the second; rosters and digests.
    Normal,
    /// Catching up.
    Backfill,
    /// Contents of blobs that are too large to ride along.
    Blobs,
}

impl Lane {
    /// Every lane, the most pressing first.
    pub const ALL: [Lane; 4] = [Lane::Urgent, Lane::Normal, Lane::Backfill, Lane::Blobs];

    /// The lane for a document of this urgency, live or catching up.
    #[must_use]
    pub fn of(urgency: Urgency, live: bool) -> Lane {
        match (live, urgency.rings()) {
            (true, true) => Lane::Urgent,
            (true, false) => Lane::Normal,
            (false, true | false) => Lane::Backfill,
        }
    }
}

/// A blob small enough to travel with the envelope that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineBlob {
    /// Its commitment.
    pub id: BlobId,
    /// The salt of its commitment.
    pub salt: [u8; 32],
    /// Its content, at most [`BLOB_INLINE_BYTES_MAX`].
    pub content: Vec<u8>,
}

/// An envelope on its way, with what travels beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// How long ago it was written, as the nodes on the way counted: each adds how long it held it.
    pub age: Millis,
    /// The envelope.
    pub envelope: SignedEnvelope,
    /// Small blobs that it names.
    pub blobs: Vec<InlineBlob>,
}

/// Envelopes of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Items {
    /// The document. Every envelope says it again, signed; one that says another is dropped.
    pub doc: DocId,
    /// The envelopes, ancestors first.
    pub items: Vec<Item>,
}

/// The opening message of both sides, before any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// [`PROTOCOL_VERSION`] of the sender.
    pub protocol: u16,
    /// The federation that this connection is about.
    pub federation: FederationId,
    /// The sender.
    pub member: MemberId,
    /// Version of the newest roster that the sender holds.
    pub roster_version: u64,
    /// Its hash.
    pub roster: RosterHash,
    /// Newest rules version that the sender's software knows.
    pub rules: u16,
    /// Name and version of the sender's software, for people; at most [`SOFTWARE_BYTES_MAX`].
    pub software: String,
}

/// A piece of a signed roster version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterPiece {
    /// The version.
    pub version: u64,
    /// Which piece, from 0.
    pub piece: u16,
    /// Of how many.
    pub pieces: u16,
    /// At most [`ROSTER_PIECE_BYTES`].
    pub bytes: Vec<u8>,
}

/// What the sender holds of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Have {
    /// The document.
    pub doc: DocId,
    /// Which page of the heads this is, from 0.
    pub page: u8,
    /// True on the last page.
    pub last: bool,
    /// True if an answer is owed even when nothing is new.
    pub asks: bool,
    /// Heads, ascending; none for "no such document here, or not yours".
    pub heads: Vec<EnvelopeId>,
}

/// What the sender would like of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The document.
    pub doc: DocId,
    /// These and their ancestors.
    pub ids: Vec<EnvelopeId>,
    /// But not these and their ancestors.
    pub held: Vec<EnvelopeId>,
}

/// The first hexadecimal digits of a document's id: a place in the digest tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Prefix(pub Vec<u8>);

/// The hash over everything that both sides may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestRoot {
    /// The hash.
    pub hash: Fingerprint,
    /// How many documents it is over.
    pub documents: u64,
    /// False when this answers an equal hash and needs no answer itself.
    pub asks: bool,
}

/// Marks of the sixteen hashes below a place in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestChildren {
    /// The place.
    pub prefix: Prefix,
    /// What the marks are under.
    pub salt: u64,
    /// One for each next digit.
    pub marks: Box<[Mark; 16]>,
}

/// The documents below a place in the tree, one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestLeaf {
    /// The place.
    pub prefix: Prefix,
    /// What the marks are under.
    pub salt: u64,
    /// True if it answers a leaf, and is not answered by one.
    pub answers: bool,
    /// Documents, ascending, with the mark of what is held of them.
    pub documents: Vec<(DocMark, Mark)>,
}

/// Statements that prove an equivocation, or some of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofPage {
    /// The document.
    pub doc: DocId,
    /// Which page, from 0.
    pub page: u8,
    /// True on the last page.
    pub last: bool,
    /// What was signed, at most [`STATEMENTS_MAX`].
    pub statements: Vec<Statement>,
}

impl ProofPage {
    /// The pages that tell a proof.
    #[must_use]
    pub fn pages(proof: &Proof) -> Vec<ProofPage> {
        let chunks = proof.statements().chunks(STATEMENTS_MAX);
        let count = chunks.len();
        let page = |(page, statements): (u8, &[Statement])| ProofPage {
            doc: proof.doc(),
            page,
            last: usize::from(page) + 1 == count,
            statements: statements.to_vec(),
        };
        (0..).zip(chunks).map(page).collect()
    }
}

/// The sender has dropped the contents of a retired document after their retention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The document.
    pub doc: DocId,
    /// Its smallest retire, as signed: it is worth what any envelope is worth.
    pub retire: SignedEnvelope,
}

/// Asks for a blob from a piece on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobWant {
    /// A document that names it.
    pub doc: DocId,
    /// Its commitment.
    pub blob: BlobId,
    /// The first piece wanted: pieces before it are here already.
    pub from_piece: u32,
}

/// A piece of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobPiece {
    /// Its commitment.
    pub blob: BlobId,
    /// The salt of its commitment.
    pub salt: [u8; 32],
    /// Length of the whole content.
    pub total_bytes: u32,
    /// Which piece, from 0; each but the last has [`BLOB_PIECE_BYTES`].
    pub piece: u32,
    /// The piece.
    pub bytes: Vec<u8>,
}

/// An envelope of a message that does not parse: SHA-256 of its bytes, for want of an id, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spoiled(pub [u8; 32], pub WireError);

/// Everything that two nodes say to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Opens a connection.
    Welcome(Welcome),
    /// Are you there?
    Ping(u64),
    /// I am.
    Pong(u64),
    /// A member's signed addresses, as [`crate::contact::SignedContact`] writes them.
    Contact(Vec<u8>),
    /// Send me the roster versions after this one.
    RosterWant(u64),
    /// A piece of a signed roster version.
    Roster(RosterPiece),
    /// New envelopes, pushed.
    Body(Items),
    /// Heads held.
    Have(Have),
    /// Envelopes wanted.
    Want(Want),
    /// Envelopes that were wanted.
    Answer(Items),
    /// The contents of a retired document were dropped.
    Gone(Gone),
    /// What proves an equivocation, wanted by its name.
    Proof(ProofPage),
    /// The hash over everything shared.
    DigestRoot(DigestRoot),
    /// The hashes below a place.
    DigestChildren(DigestChildren),
    /// The documents below a place.
    DigestLeaf(DigestLeaf),
    /// A blob wanted.
    BlobWant(BlobWant),
    /// A piece of a blob.
    BlobPiece(BlobPiece),
    /// No such blob here, or not yours.
    BlobNone(BlobId),
}

impl Message {
    /// Its number: the first byte on the wire.
    #[must_use]
    pub fn number(&self) -> u8 {
        match self {
            Message::Welcome(_) => 1,
            Message::Ping(_) => 2,
            Message::Pong(_) => 3,
            Message::Contact(_) => 4,
            Message::RosterWant(_) => 5,
            Message::Roster(_) => 6,
            Message::Body(_) => 10,
            Message::Have(_) => 11,
            Message::Want(_) => 12,
            Message::Answer(_) => 13,
            Message::Gone(_) => 14,
            Message::Proof(_) => 15,
            Message::DigestRoot(_) => 20,
            Message::DigestChildren(_) => 21,
            Message::DigestLeaf(_) => 22,
            Message::BlobWant(_) => 30,
            Message::BlobPiece(_) => 31,
            Message::BlobNone(_) => 32,
        }
    }

    /// Its name in the table of messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let number = self.number();
        TABLE.iter().find(|row| row.number == number).map_or("unknown", |row| row.name)
    }

    /// Its bytes, without the length in front (see [`crate::frame`]).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(self.number());
        match self {
            Message::Welcome(m) => {
                w.u16(m.protocol)
                    .raw(&m.federation.0)
                    .raw(&m.member.0)
                    .u64(m.roster_version)
                    .raw(&m.roster.0)
                    .u16(m.rules)
                    .bytes(m.software.as_bytes());
            }
            Message::Ping(value) | Message::Pong(value) | Message::RosterWant(value) => _ = w.u64(*value),
            Message::Contact(bytes) => _ = w.bytes(bytes),
            Message::Roster(m) => _ = w.u64(m.version).u16(m.piece).u16(m.pieces).bytes(&m.bytes),
            Message::Body(items) | Message::Answer(items) => write_items(&mut w, items),
            Message::Have(m) => {
                w.raw(&m.doc.0).u8(m.page).u8(u8::from(m.last)).u8(u8::from(m.asks));
                w.list(&m.heads, |w, id| _ = w.raw(&id.0));
            }
            Message::Want(m) => {
                w.raw(&m.doc.0)
                    .list(&m.ids, |w, id| _ = w.raw(&id.0))
                    .list(&m.held, |w, id| _ = w.raw(&id.0));
            }
            Message::Gone(m) => _ = w.raw(&m.doc.0).bytes(m.retire.bytes()),
            Message::Proof(m) => {
                w.raw(&m.doc.0).u8(m.page).u8(u8::from(m.last));
                w.list(&m.statements, |w, statement| _ = w.bytes(&statement.encode()));
            }
            Message::DigestRoot(m) => _ = w.raw(&m.hash.0).u64(m.documents).u8(u8::from(m.asks)),
            Message::DigestChildren(m) => {
                write_prefix(&mut w, &m.prefix);
                w.u64(m.salt);
                m.marks.iter().for_each(|mark| _ = w.raw(&mark.0));
            }
            Message::DigestLeaf(m) => {
                write_prefix(&mut w, &m.prefix);
                w.u64(m.salt).u8(u8::from(m.answers));
                w.list(&m.documents, |w, (doc, held)| _ = w.raw(&doc.0).raw(&held.0));
            }
            Message::BlobWant(m) => _ = w.raw(&m.doc.0).raw(&m.blob.0).u32(m.from_piece),
            Message::BlobPiece(m) => {
                w.raw(&m.blob.0).raw(&m.salt).u32(m.total_bytes).u32(m.piece).bytes(&m.bytes);
            }
            Message::BlobNone(blob) => _ = w.raw(&blob.0),
        }
        w.into_bytes()
    }

    /// Parses one message, everything in it included.
    pub fn decode(bytes: &[u8]) -> Result<Message, WireError> {
        let (message, spoiled) = Self::decode_sparing(bytes)?;
        spoiled.first().map_or(Ok(message), |first| Err(first.1))
    }

    /// The same, but an envelope that does not parse is left out and told of: it costs the honest ones
    /// beside it nothing. Other bytes that do not parse close the connection that sent them.
    pub fn decode_sparing(bytes: &[u8]) -> Result<(Message, Vec<Spoiled>), WireError> {
        let mut spoiled = Vec::new();
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(WireError::TooLong);
        }
        let mut r = Reader::new(bytes);
        let message = match r.u8()? {
            1 => Message::Welcome(read_welcome(&mut r)?),
            2 => Message::Ping(r.u64()?),
            3 => Message::Pong(r.u64()?),
            4 => Message::Contact(r.bytes(CONTACT_BYTES_MAX)?.to_vec()),
            5 => Message::RosterWant(r.integer()?),
            6 => Message::Roster(read_roster(&mut r)?),
            10 => Message::Body(read_items(&mut r, &mut spoiled)?),
            11 => Message::Have(read_have(&mut r)?),
            12 => Message::Want(read_want(&mut r)?),
            13 => Message::Answer(read_items(&mut r, &mut spoiled)?),
            14 => Message::Gone(Gone {
                doc: r.doc_id()?,
                retire: SignedEnvelope::decode(r.bytes(ENVELOPE_BYTES_MAX)?)?,
            }),
            15 => Message::Proof(read_proof(&mut r)?),
            20 => Message::DigestRoot(DigestRoot {
                hash: Fingerprint(r.array()?),
                documents: r.integer()?,
                asks: r.flag()?,
            }),
            21 => Message::DigestChildren(read_children(&mut r)?),
            22 => Message::DigestLeaf(read_leaf(&mut r)?),
            30 => Message::BlobWant(BlobWant { doc: r.doc_id()?, blob: r.blob_id()?, from_piece: r.u32()? }),
            31 => Message::BlobPiece(BlobPiece {
                blob: r.blob_id()?,
                salt: r.array()?,
                total_bytes: r.u32()?,
                piece: r.u32()?,
                bytes: r.bytes(BLOB_PIECE_BYTES)?.to_vec(),
            }),
            32 => Message::BlobNone(r.blob_id()?),
            _ => return Err(WireError::Value),
        };
        r.end()?;
        Ok((message, spoiled))
    }
}

impl Item {
    /// Bytes that it takes in a message.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        let blobs: usize = self.blobs.iter().map(|blob| 32 + 32 + 4 + blob.content.len()).sum();
        8 + 4 + self.envelope.bytes().len() + 2 + blobs
    }
}

impl Items {
    /// Bytes of a message of items before the first item.
    const HEAD_BYTES: usize = 1 + 32 + 2;

    /// Takes items from the front for as long as they fit one message; the rest stays.
    pub fn fill(doc: DocId, rest: &mut std::collections::VecDeque<Item>) -> Items {
        let (mut items, mut bytes) = (Vec::new(), Self::HEAD_BYTES);
        while let Some(item) = rest.front() {
            bytes += item.wire_bytes();
            if bytes > FRAME_BYTES_MAX || items.len() == ITEMS_MAX {
                break;
            }
            items.extend(rest.pop_front());
        }
        Items { doc, items }
    }
}

impl Have {
    /// The pages that tell `heads` (ascending). What is past the last page is left to the next time.
    #[must_use]
    pub fn pages(doc: DocId, heads: &[EnvelopeId], asks: bool) -> Vec<Have> {
        let mut pages: Vec<Have> = heads
            .chunks(HEADS_MAX)
            .take(HAVE_PAGES_MAX)
            .zip(0..)
            .map(|(heads, page)| Have { doc, page, last: false, asks, heads: heads.to_vec() })
            .collect();
        if pages.is_empty() {
            pages.push(Have { doc, page: 0, last: false, asks, heads: Vec::new() });
        }
        if let Some(page) = pages.last_mut() {
            page.last = true;
        }
        pages
    }
}

fn write_items(w: &mut Writer, items: &Items) {
    w.raw(&items.doc.0).list(&items.items, |w, item| {
        w.u64(item.age.0).bytes(item.envelope.bytes()).list(&item.blobs, |w, blob| {
            w.raw(&blob.id.0).raw(&blob.salt).bytes(&blob.content);
        });
    });
}

fn read_items(r: &mut Reader<'_>, spoiled: &mut Vec<Spoiled>) -> Result<Items, WireError> {
    let doc = r.doc_id()?;
    let items = r.list(ITEMS_MAX, |r| {
        let age = Millis(r.integer()?);
        let bytes = r.bytes(ENVELOPE_BYTES_MAX)?;
        let blobs = r.list(BLOBS_MAX, |r| {
            let (id, salt) = (r.blob_id()?, r.array()?);
            Ok(InlineBlob { id, salt, content: r.bytes(BLOB_INLINE_BYTES_MAX)?.to_vec() })
        })?;
        Ok(match SignedEnvelope::decode(bytes) {
            Ok(envelope) => Some(Item { age, envelope, blobs }),
            Err(error) => {
                spoiled.push(Spoiled(sha256(&[bytes]), error));
                None
            }
        })
    })?;
    Ok(Items { doc, items: items.into_iter().flatten().collect() })
}

fn read_welcome(r: &mut Reader<'_>) -> Result<Welcome, WireError> {
    Ok(Welcome {
        protocol: r.u16()?,
        federation: FederationId(r.array()?),
        member: r.member_id()?,
        roster_version: r.integer()?,
        roster: RosterHash(r.array()?),
        rules: r.u16()?,
        software: r.text(SOFTWARE_BYTES_MAX)?,
    })
}

fn read_roster(r: &mut Reader<'_>) -> Result<RosterPiece, WireError> {
    let piece = RosterPiece {
        version: r.integer()?,
        piece: r.u16()?,
        pieces: r.u16()?,
        bytes: r.bytes(ROSTER_PIECE_BYTES)?.to_vec(),
    };
    let within = piece.piece < piece.pieces && usize::from(piece.pieces) <= ROSTER_PIECES_MAX;
    if within { Ok(piece) } else { Err(WireError::Value) }
}

fn read_have(r: &mut Reader<'_>) -> Result<Have, WireError> {
    let have = Have {
        doc: r.doc_id()?,
        page: r.u8()?,
        last: r.flag()?,
        asks: r.flag()?,
        heads: r.sorted(HEADS_MAX, Reader::envelope_id)?,
    };
    if usize::from(have.page) < HAVE_PAGES_MAX { Ok(have) } else { Err(WireError::TooLong) }
}

fn read_want(r: &mut Reader<'_>) -> Result<Want, WireError> {
    Ok(Want {
        doc: r.doc_id()?,
        ids: r.sorted(WANT_IDS_MAX, Reader::envelope_id)?,
        held: r.sorted(HELD_IDS_MAX, Reader::envelope_id)?,
    })
}

fn read_proof(r: &mut Reader<'_>) -> Result<ProofPage, WireError> {
    let (doc, page, last) = (r.doc_id()?, r.u8()?, r.flag()?);
    let read = |r: &mut Reader<'_>| Statement::decode(r.bytes(STATEMENT_BYTES_MAX)?);
    let statements = r.list(STATEMENTS_MAX, read)?;
    let within = usize::from(page) < PROOF_PAGES_MAX;
    if within { Ok(ProofPage { doc, page, last, statements }) } else { Err(WireError::TooLong) }
}

fn write_prefix(w: &mut Writer, prefix: &Prefix) {
    w.u8(u8::try_from(prefix.0.len()).expect("a prefix has at most 64 digits")).raw(&prefix.0);
}

fn read_prefix(r: &mut Reader<'_>) -> Result<Prefix, WireError> {
    let length = usize::from(r.u8()?);
    if length > DIGEST_PREFIX_NIBBLES_MAX {
        return Err(WireError::TooLong);
    }
    let digits = r.raw(length)?;
    if digits.iter().all(|digit| *digit < 16) { Ok(Prefix(digits.to_vec())) } else { Err(WireError::Value) }
}

fn read_children(r: &mut Reader<'_>) -> Result<DigestChildren, WireError> {
    let prefix = read_prefix(r)?;
    let salt = r.u64()?;
    let mut marks = Box::new([Mark::default(); 16]);
    for mark in marks.iter_mut() {
        *mark = Mark(r.array()?);
    }
    Ok(DigestChildren { prefix, salt, marks })
}

fn read_leaf(r: &mut Reader<'_>) -> Result<DigestLeaf, WireError> {
    let prefix = read_prefix(r)?;
    let (salt, answers) = (r.u64()?, r.flag()?);
    let documents = r.list(DIGEST_LEAF_MAX, |r| Ok((DocMark(r.array()?), Mark(r.array()?))))?;
    if documents.is_sorted_by_key(|(doc, _)| *doc) {
        Ok(DigestLeaf { prefix, salt, answers, documents })
    } else {
        Err(WireError::Order)
    }
}

#[cfg(test)]
mod tests;
