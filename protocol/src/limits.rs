//! Every limit of the protocol, with its unit, its reason and what happens when it is reached.
//! The relations between them are asserted when this file is compiled.

/// Largest number people count with: exact in JSON, SQLite and Automerge. Larger: does not parse.
pub const INTEGER_MAX: u64 = 1 << 53;
/// A frame on a message lane: small enough that an alarm never waits behind one for long.
/// Larger: the connection that sent it is closed.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// A whole envelope as sent. Larger: does not parse.
pub const ENVELOPE_BYTES_MAX: usize = 20 * 1024;
/// The typed operation inside an envelope: codes, numbers, ids and cells only. Larger: does not parse.
pub const OPERATION_BYTES_MAX: usize = 4 * 1024;
/// Automerge operations that one envelope derives to, so a document's size follows its envelopes.
pub const AUTOMERGE_OPERATIONS_MAX: usize = 64;
/// Parents that one envelope may name. More: does not parse; the writer names the ones that matter first.
pub const PARENTS_MAX: usize = 16;
/// Blobs that one envelope may name. More: does not parse.
pub const BLOBS_MAX: usize = 8;
/// Blobs that one `release`, `redact` or `erased` names. More: does not parse; write another.
pub const BLOBS_NAMED_MAX: usize = 64;
/// Cells of one notice. More: does not parse; name the whole jurisdiction.
pub const NOTICE_CELLS_MAX: usize = 256;
/// Signature bytes; Ed25519 has 64, the field leaves room for what follows it. More: does not parse.
pub const SIGNATURE_BYTES_MAX: usize = 128;
/// Envelopes of one author in one document. More: rejected.
pub const SEQ_MAX: u32 = 1_500;
/// Of those, the owner's last ones, kept for ending things: close, reopen, offer.
pub const SEQ_RESERVED: u32 = 50;
/// Incarnations of one author in one document. More are a proof that it equivocates.
pub const INCARNATIONS_MAX: usize = 64;
/// A statement of a proof of equivocation: a header with its signature. Larger: does not parse.
pub const STATEMENT_BYTES_MAX: usize = 1_280;
/// Statements in one page of a proof. More: does not parse.
pub const STATEMENTS_MAX: usize = 32;
/// Pages of one proof: enough for one statement of every generation and one more. More: does not parse.
pub const PROOF_PAGES_MAX: usize = 3;
/// Members named by one `open` as involved. More: does not parse.
pub const INVOLVED_MAX: usize = 24;
/// Figures in one `summary`. More: does not parse; the node writes another.
pub const SUMMARY_VALUES_MAX: usize = 256;
/// Heads in one `have`; more are paged.
pub const HEADS_MAX: usize = 256;
/// Pages of one `have`. The heads past them are told once the others are in.
pub const HAVE_PAGES_MAX: usize = 16;
/// Envelopes in one `body` or `answer`. More go into the next; a frame is full before that as a rule.
pub const ITEMS_MAX: usize = 256;
/// Envelope ids asked for in one `want`. More: does not parse; the rest is asked for next.
pub const WANT_IDS_MAX: usize = 256;
/// Envelope ids told as held in one `want`. More: does not parse; the newest are told.
pub const HELD_IDS_MAX: usize = 512;
/// A roster version as signed. Larger: does not parse.
pub const ROSTER_BYTES_MAX: usize = 1024 * 1024;
/// A piece of a roster version on its way, so that an alarm does not wait behind a large one.
pub const ROSTER_PIECE_BYTES: usize = 32 * 1024;
/// Pieces of one roster version. More: does not parse.
pub const ROSTER_PIECES_MAX: usize = 33;
/// Name and version of a node's software in its welcome, in bytes. Longer: does not parse.
pub const SOFTWARE_BYTES_MAX: usize = 64;
/// Members of a federation: every commune of a large country and the offices above. More: does not parse.
pub const MEMBERS_MAX: usize = 1_024;
/// Keys of one member, retired ones included. More: does not parse.
pub const KEYS_MAX: usize = 32;
/// Jurisdiction codes of one member. More: does not parse.
pub const CODES_MAX: usize = 400;
/// Neighbours of one member. More: does not parse.
pub const NEIGHBOURS_MAX: usize = 64;
/// Root keys of a federation. More: does not parse.
pub const ROOT_KEYS_MAX: usize = 16;
/// Predecessors that one roster version may name, to join forks. More: does not parse.
pub const ROSTER_PREVIOUS_MAX: usize = 4;
/// A name in the roster, in bytes of UTF-8. Longer: does not parse.
pub const NAME_BYTES_MAX: usize = 96;
/// Levels of authority above a member. A longer or circular chain: the roster is refused.
pub const AUTHORITY_DEPTH_MAX: usize = 8;
/// A blob on the blobs lane. Larger content is split by whoever wrote it. Larger: refused.
pub const BLOB_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A blob small enough to ride along with its envelope. Larger ones are fetched.
pub const BLOB_INLINE_BYTES_MAX: usize = 4 * 1024;
/// A piece of a blob on the blobs lane; a fetch resumes at the last whole piece.
pub const BLOB_PIECE_BYTES: usize = 32 * 1024;
/// Parked envelopes of one peer. More: that peer's oldest goes.
pub const PARKED_PER_PEER_MAX: usize = 256;
/// Parked envelopes of one document. More: the largest user's oldest goes.
pub const PARKED_PER_DOCUMENT_MAX: usize = 1_000;
/// Parked bytes in all. More: the largest user's oldest goes.
pub const PARKED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long an envelope stays parked, in ms. Expiry is no verdict: it may come again.
pub const PARKED_AGE_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Envelopes of one peer held under rules that this release does not know. More: not kept; they stay due
/// at that peer and come again.
pub const HELD_PER_PEER_MAX: usize = 4_096;
/// The same of one document. More: not kept.
pub const HELD_PER_DOCUMENT_MAX: usize = 1_000;
/// Bytes held so in all. More: the newest of whoever has most there goes, so that what begins documents
/// stays. There is no age at which they go.
pub const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Held envelopes judged in one round after an upgrade. More: a moment later.
pub const HELD_JUDGED_AT_ONCE: usize = 256;
/// Retired documents of one peer of which it is known that it has dropped the contents. More: not noted,
/// and digests with that peer differ in them.
pub const GONE_PER_PEER_MAX: usize = 65_536;
/// How long a `have` that is not urgent is gathered with others, in ms.
pub const HAVE_GATHER_MS: u64 = 1_000;
/// Time between digest comparisons with a connected peer, in ms.
pub const DIGEST_INTERVAL_MS: u64 = 30_000;
/// After a comparison that found a difference the next one begins this much later, in ms; each one more
/// doubles it, up to the interval.
pub const DIGEST_AGAIN_MS: u64 = 1_000;
/// A digest leaf: at most so many documents are listed one by one instead of split further.
pub const DIGEST_LEAF_MAX: usize = 16;
/// Digits of a document's id that the digest tree uses: enough that no two honest ids agree in all.
pub const DIGEST_PREFIX_NIBBLES_MAX: usize = 16;
/// Digest messages answered to one peer in one `DIGEST_INTERVAL_MS`, and as many lists of documents looked
/// at. More: left to the next.
pub const DIGEST_WALK_MAX: u32 = 512;
/// Comparisons without an equal one after which the hashes kept for a peer are dropped and made anew.
pub const DIGESTS_UNEQUAL_MAX: u32 = 4;
/// Documents offered to one peer and not confirmed yet. More wait their turn, urgent and newest first.
pub const OFFERS_IN_FLIGHT_MAX: usize = 256;
/// Room among them from which on more are offered, so that what is due is read many rows at a time.
pub const OFFERS_AT_ONCE: usize = 32;
/// What is sent of one due document without being asked for, in bytes with its small blobs: all that is offered to
/// one peer at once then fits its lane many times over. More: the peer is told of it, and asks.
pub const PUSHED_BYTES_MAX: usize = 8 * 1024;
/// Due documents of which something is sent unasked on a connection before its peer has shown that it lacks them.
/// More: it is told of them, and asks, so that one that has them from somebody else is not sent them all again. Twice
/// what is offered at once, because it shows that only when all of that has come.
pub const PUSHED_DOCUMENTS_MAX: usize = 2 * OFFERS_IN_FLIGHT_MAX;
/// Documents sent unasked that nothing has shown the peer to lack, from which on one in [`PUSHED_PER_TOLD`] is told
/// of instead. Fewer: all are sent, because who was away for a short time lacks them as a rule.
pub const PUSHED_UNPROVEN_MAX: usize = OFFERS_IN_FLIGHT_MAX / 2;
/// Documents of which one is told of instead of sent: what the peer asks of it shows whether it lacks the others.
pub const PUSHED_PER_TOLD: usize = 16;
/// Documents that count as proven to be lacking for one that the peer was told of and asked for: more than were sent
/// between two of those, so that a peer that lacks all is sent nearly all.
pub const PUSHED_PER_ASKED: usize = 2 * PUSHED_PER_TOLD;
/// An offered document that was not confirmed gives its place to the next one after this long, in ms.
pub const OFFER_TIMEOUT_MS: u64 = 10_000;
/// Rejected envelopes remembered until the store shows them as rejected. More: the oldest goes.
pub const REFUSALS_KEPT_MAX: usize = 256;
/// Rows of `due` cleared when a digest is equal, and documents of one place compared one by one. More: at
/// the next equal digest; or the place is compared in parts.
pub const DUE_CLEARED_MAX: usize = 1_024;
/// Documents that one peer and this node are talking about. More: the one quiet for longest is
/// forgotten, and the digest finds it again.
pub const TALKS_MAX: usize = 1_024;
/// Wants to one peer that are not answered. More: not asked; the next digest finds what is missing.
pub const WANTS_IN_FLIGHT_MAX: usize = 1_024;
/// Documents kept loaded between messages: those offered to one peer, until it has asked and confirmed. More:
/// the one unused for longest is dropped and loaded again.
pub const DOCUMENTS_LOADED_MAX: usize = 2 * OFFERS_IN_FLIGHT_MAX;
/// Envelopes in them, so that long documents take no more memory than short ones. More: as above.
pub const ENVELOPES_LOADED_MAX: usize = 8 * 1_024;
/// Documents whose envelopes wait for the store and did not come on the urgent lane. More: no other lane is read
/// until some are in.
pub const STORES_IN_FLIGHT_MAX: usize = 256;
/// Documents of which something that came on the urgent lane waits for the store. More: that lane is not read
/// until some are in.
pub const URGENT_STORES_IN_FLIGHT_MAX: usize = 64;
/// Blobs being fetched from all peers. More wait until one has come.
pub const FETCHES_MAX: usize = 64;
/// A fetch of a blob that brought nothing is tried again after this long, in ms.
pub const FETCH_RETRY_MS: u64 = 30_000;
/// A member's signed contact record. Larger: does not parse.
pub const CONTACT_BYTES_MAX: usize = 4 * 1024;
/// Addresses in a contact record. More: does not parse.
pub const ADDRESSES_MAX: usize = 8;
/// One address, `host:port`, in bytes. Longer: does not parse.
pub const ADDRESS_BYTES_MAX: usize = 261;
/// A `want` without an answer is asked again after this long, in ms.
pub const WANT_RETRY_MS: u64 = 5_000;
/// New incidents per peer and hour that may page people; the rest queue as "bulk from" that peer.
pub const PAGING_INCIDENTS_PER_HOUR_MAX: u32 = 60;
/// An alarm older than this on arrival rings nobody, in ms; it enters the queue marked late.
pub const RING_AGE_MS_MAX: u64 = 15 * 60 * 1000;

const _: () = {
    assert!(ENVELOPE_BYTES_MAX + BLOB_INLINE_BYTES_MAX * BLOBS_MAX < FRAME_BYTES_MAX);
    assert!(OPERATION_BYTES_MAX + PARENTS_MAX * 32 + BLOBS_MAX * 33 + 1024 < ENVELOPE_BYTES_MAX);
    assert!(SUMMARY_VALUES_MAX * 12 + 64 < OPERATION_BYTES_MAX);
    assert!(INVOLVED_MAX * 32 + 256 < OPERATION_BYTES_MAX);
    assert!(BLOBS_NAMED_MAX * 32 + 64 < OPERATION_BYTES_MAX);
    assert!(NOTICE_CELLS_MAX * 8 + 256 < OPERATION_BYTES_MAX);
    assert!((WANT_IDS_MAX + HELD_IDS_MAX) * 32 + 256 < FRAME_BYTES_MAX);
    assert!(BLOB_PIECE_BYTES * 2 <= FRAME_BYTES_MAX);
    assert!(HEADS_MAX * 32 + 64 < FRAME_BYTES_MAX);
    assert!(DIGEST_LEAF_MAX * 64 + 64 < FRAME_BYTES_MAX);
    assert!(ROSTER_PIECE_BYTES * ROSTER_PIECES_MAX > ROSTER_BYTES_MAX);
    assert!(ADDRESSES_MAX * (ADDRESS_BYTES_MAX + 4) + 256 < CONTACT_BYTES_MAX);
    assert!(PARENTS_MAX * 32 + BLOBS_MAX * 33 + SIGNATURE_BYTES_MAX + 256 < STATEMENT_BYTES_MAX);
    assert!(STATEMENTS_MAX * (STATEMENT_BYTES_MAX + 4) + 64 < FRAME_BYTES_MAX);
    assert!(STATEMENTS_MAX * PROOF_PAGES_MAX > INCARNATIONS_MAX);
    assert!(SEQ_RESERVED < SEQ_MAX);
    assert!(PUSHED_PER_ASKED > PUSHED_PER_TOLD);
    assert!(PUSHED_UNPROVEN_MAX + OFFERS_IN_FLIGHT_MAX < PUSHED_DOCUMENTS_MAX);
    assert!(PARKED_PER_PEER_MAX * ENVELOPE_BYTES_MAX > PARKED_BYTES_MAX);
    assert!(HELD_PER_PEER_MAX * ENVELOPE_BYTES_MAX > HELD_BYTES_MAX);
    assert!(HELD_PER_DOCUMENT_MAX < HELD_PER_PEER_MAX);
};
