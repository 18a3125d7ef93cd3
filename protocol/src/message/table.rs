//! The table of messages: what the documentation's table is compared with.

/// One row of the table of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its first byte.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// Who sends it.
    pub from: &'static str,
    /// To whom.
    pub to: &'static str,
    /// When.
    pub when: &'static str,
    /// Its largest list or body.
    pub limit: &'static str,
}

const fn row(
    number: u8,
    name: &'static str,
    [from, to]: [&'static str; 2],
    when: &'static str,
    limit: &'static str,
) -> Row {
    Row { number, name, from, to, when, limit }
}

const BOTH: [&str; 2] = ["either side", "the other"];
const HOLDER: [&str; 2] = ["a holder", "an entitled peer"];
const LACKING: [&str; 2] = ["who lacks something", "a holder"];

/// All messages.
pub const TABLE: [Row; 18] = [
    row(1, "welcome", BOTH, "first, once the keys are judged", "SOFTWARE_BYTES_MAX"),
    row(2, "ping", BOTH, "to tell whether a kept connection lives", "fixed size"),
    row(3, "pong", BOTH, "answers ping", "fixed size"),
    row(4, "contact", BOTH, "after welcome, and when a newer record is learnt", "CONTACT_BYTES_MAX"),
    row(5, "roster want", BOTH, "the other holds a newer roster, or an envelope names one", "fixed size"),
    row(
        6,
        "roster",
        BOTH,
        "answers roster want; when a version was added",
        "ROSTER_PIECES_MAX pieces of ROSTER_PIECE_BYTES",
    ),
    row(
        10,
        "body",
        ["the author", "an entitled peer"],
        "at once after its commit",
        "ITEMS_MAX in FRAME_BYTES_MAX",
    ),
    row(
        11,
        "have",
        HOLDER,
        "a receipt after commit; something is due; answers a have that asks",
        "HEADS_MAX a page, HAVE_PAGES_MAX pages",
    ),
    row(
        12,
        "want",
        LACKING,
        "a have or a parked envelope names what is not here",
        "WANT_IDS_MAX wanted, HELD_IDS_MAX held",
    ),
    row(
        13,
        "answer",
        HOLDER,
        "answers want; empty when there is nothing for that peer",
        "ITEMS_MAX in FRAME_BYTES_MAX",
    ),
    row(
        14,
        "gone",
        HOLDER,
        "answers want: the contents were dropped after their retention",
        "ENVELOPE_BYTES_MAX",
    ),
    row(
        15,
        "proof",
        HOLDER,
        "answers want: a proof of equivocation, before the answer",
        "STATEMENTS_MAX a page, PROOF_PAGES_MAX pages",
    ),
    row(
        20,
        "digest root",
        BOTH,
        "on connect and every DIGEST_INTERVAL_MS, sooner after a difference",
        "fixed size",
    ),
    row(21, "digest children", BOTH, "hashes differ above DIGEST_LEAF_MAX documents", "16 marks"),
    row(
        22,
        "digest leaf",
        BOTH,
        "hashes differ over few documents; answers a leaf that names what is not here",
        "DIGEST_LEAF_MAX documents",
    ),
    row(30, "blob want", ["an entitled node", "a holder"], "a blob did not ride along", "fixed size"),
    row(31, "blob piece", HOLDER, "answers blob want", "BLOB_PIECE_BYTES"),
    row(32, "blob none", BOTH, "answers blob want: not here, or not yours", "fixed size"),
];
