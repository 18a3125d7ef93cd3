use std::collections::VecDeque;

use super::*;
use crate::fixture::{Federation, Scribe, somebody};
use crate::ids::sha256;
use crate::operation::{Operation, Step};

fn id(n: usize) -> EnvelopeId {
    EnvelopeId(sha256(&[&n.to_be_bytes()]))
}
fn ids(count: usize) -> Vec<EnvelopeId> {
    let mut ids: Vec<_> = (0..count).map(id).collect();
    ids.sort_unstable();
    ids
}
fn hash(n: usize) -> Fingerprint {
    Fingerprint(id(n).0)
}
fn documents(count: usize) -> Vec<(DocMark, Mark)> {
    ids(count).into_iter().map(|id| (DocMark::of(&DocId(id.0)), Mark::of(9, &hash(8)))).collect()
}

fn item(blobs: usize) -> Item {
    let federation = Federation::new(2);
    let envelope = Scribe::new(&federation).open(0, &[1]);
    let blob =
        |n: usize| InlineBlob { id: BlobId(id(n).0), salt: [9; 32], content: vec![7; BLOB_INLINE_BYTES_MAX] };
    Item { age: Millis(1_234), envelope: envelope.signed().clone(), blobs: (0..blobs).map(blob).collect() }
}

fn one_of_each() -> Vec<Message> {
    let doc = DocId(id(1).0);
    let blob = BlobId(id(2).0);
    let items = Items { doc, items: vec![item(0), item(BLOBS_MAX)] };
    let member = MemberId(id(3).0);
    vec![
        Message::Welcome(Welcome {
            protocol: PROTOCOL_VERSION,
            federation: FederationId(id(4).0),
            member,
            roster_version: 7,
            roster: RosterHash(id(5).0),
            rules: 1,
            software: "cuadra 0.1.0".into(),
        }),
        Message::Ping(u64::MAX),
        Message::Pong(0),
        Message::Contact(vec![1; CONTACT_BYTES_MAX]),
        Message::RosterWant(3),
        Message::Roster(RosterPiece {
            version: 2,
            piece: 32,
            pieces: 33,
            bytes: vec![5; ROSTER_PIECE_BYTES],
        }),
        Message::Body(items.clone()),
        Message::Have(Have { doc, page: 15, last: true, asks: false, heads: ids(HEADS_MAX) }),
        Message::Want(Want { doc, ids: ids(WANT_IDS_MAX), held: ids(HELD_IDS_MAX) }),
        Message::Answer(items),
        Message::Gone(Gone { doc, retire: item(0).envelope }),
        Message::Proof(proof_page()),
        Message::DigestRoot(DigestRoot { hash: hash(6), documents: 12, asks: true }),
        Message::DigestChildren(DigestChildren {
            prefix: Prefix(vec![15; 16]),
            salt: u64::MAX,
            marks: Box::new([Mark([7; 8]); 16]),
        }),
        Message::DigestLeaf(DigestLeaf {
            prefix: Prefix(vec![0, 3]),
            salt: 9,
            answers: true,
            documents: documents(DIGEST_LEAF_MAX),
        }),
        Message::BlobWant(BlobWant { doc, blob, from_piece: 255 }),
        Message::BlobPiece(BlobPiece {
            blob,
            salt: [3; 32],
            total_bytes: 9,
            piece: 1,
            bytes: vec![2; BLOB_PIECE_BYTES],
        }),
        Message::BlobNone(blob),
    ]
}

/// A full page of the largest statements.
fn proof_page() -> ProofPage {
    let federation = Federation::new(2);
    let envelope = Scribe::new(&federation).open(0, &[1]);
    let mut bytes = Vec::new();
    let mut header = envelope.header().clone();
    header.parents = ids(crate::limits::PARENTS_MAX);
    let blob =
        |n| crate::envelope::BlobRef { class: crate::envelope::BlobClass::Shared, id: BlobId(id(n).0) };
    header.blobs = (0..BLOBS_MAX).map(blob).collect();
    let signature = vec![7; crate::limits::SIGNATURE_BYTES_MAX];
    let largest = SignedEnvelope::assemble(header, &[], &signature);
    bytes.resize_with(STATEMENTS_MAX, || Statement::of(&largest));
    ProofPage { doc: DocId(id(1).0), page: 2, last: true, statements: bytes }
}

#[test]
fn every_message_at_its_limits_survives_the_round_trip_and_fits_a_frame() {
    let all = one_of_each();
    for message in &all {
        let bytes = message.encode();
        assert!(bytes.len() <= FRAME_BYTES_MAX, "{} has {} bytes", message.name(), bytes.len());
        assert_eq!(&Message::decode(&bytes).unwrap(), message);
    }
    let numbers: Vec<u8> = all.iter().map(Message::number).collect();
    let table: Vec<u8> = TABLE.iter().map(|row| row.number).collect();
    assert_eq!(numbers, table, "every row of the table has a message, and the other way round");
}

#[test]
fn message_that_is_cut_or_longer_does_not_parse() {
    for message in one_of_each() {
        let bytes = message.encode();
        for cut in [1, bytes.len() / 2, bytes.len() - 1] {
            assert!(Message::decode(&bytes[..cut]).is_err(), "{} cut at {cut}", message.name());
        }
        if bytes.len() < FRAME_BYTES_MAX {
            assert!(
                Message::decode(&[bytes.as_slice(), &[0]].concat()).is_err(),
                "{} and a byte",
                message.name()
            );
        }
    }
    assert_eq!(Message::decode(&[]), Err(WireError::Short));
    assert_eq!(Message::decode(&vec![2; FRAME_BYTES_MAX + 1]), Err(WireError::TooLong));
}

#[test]
fn list_above_its_limit_does_not_parse() {
    let doc = DocId(id(1).0);
    let want = |wanted, held| Message::Want(Want { doc, ids: ids(wanted), held: ids(held) });
    let have = |page, heads| Message::Have(Have { doc, page, last: true, asks: true, heads: ids(heads) });
    let told = |prefix, count| {
        Message::DigestLeaf(DigestLeaf { prefix, salt: 0, answers: false, documents: documents(count) })
    };
    let leaf = |count| told(Prefix::default(), count);
    let roster = |piece, pieces, bytes| {
        Message::Roster(RosterPiece { version: 2, piece, pieces, bytes: vec![0; bytes] })
    };
    let prefix = |digits| told(Prefix(digits), 0);
    let over = [
        want(WANT_IDS_MAX + 1, 0),
        want(0, HELD_IDS_MAX + 1),
        have(0, HEADS_MAX + 1),
        have(u8::try_from(HAVE_PAGES_MAX).unwrap(), 1),
        leaf(DIGEST_LEAF_MAX + 1),
        prefix(vec![0; DIGEST_PREFIX_NIBBLES_MAX + 1]),
        prefix(vec![16]),
        roster(1, 1, 0),
        roster(0, 34, 0),
        roster(0, 1, ROSTER_PIECE_BYTES + 1),
        Message::Contact(vec![0; CONTACT_BYTES_MAX + 1]),
        Message::RosterWant(crate::limits::INTEGER_MAX + 1),
        Message::Proof(ProofPage { page: 3, ..proof_page() }),
        Message::Proof(ProofPage { statements: vec![proof_page().statements.remove(0); 33], ..proof_page() }),
    ];
    for message in over {
        assert!(Message::decode(&message.encode()).is_err(), "{message:?}");
    }
    let mut unsorted = ids(3);
    unsorted.reverse();
    let unsorted = Message::Have(Have { doc, page: 0, last: true, asks: true, heads: unsorted });
    assert_eq!(Message::decode(&unsorted.encode()), Err(WireError::Order));
}

#[test]
fn random_bytes_never_panic_the_decoder() {
    let all = one_of_each();
    arbtest::arbtest(|u| {
        let bytes: Vec<u8> = u.arbitrary()?;
        if let Ok(message) = Message::decode(&bytes) {
            assert_eq!(message.encode(), bytes, "one message, one encoding");
        }
        let mut mutated = u.choose(&all)?.encode();
        for _ in 0..u.int_in_range(1..=4)? {
            let at = u.choose_index(mutated.len())?;
            mutated[at] = u.arbitrary()?;
        }
        if let Ok(message) = Message::decode(&mutated) {
            assert_eq!(message.encode(), mutated, "one message, one encoding");
        }
        Ok(())
    });
}

#[test]
fn items_fill_one_frame_after_another_in_order() {
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[]);
    for _ in 0..300 {
        scribe.write(0, Operation::Step { step: Step::Called, by: somebody(1) }).unwrap();
    }
    let document = scribe.document;
    let all: Vec<EnvelopeId> = document.envelopes().map(|e| e.id()).collect();
    let mut rest: VecDeque<Item> = document
        .envelopes()
        .map(|e| Item { age: Millis(0), envelope: e.signed().clone(), blobs: Vec::new() })
        .collect();
    let (mut sent, mut frames) = (Vec::new(), 0);
    while !rest.is_empty() {
        let message = Message::Answer(Items::fill(document.id().unwrap(), &mut rest));
        assert!(message.encode().len() <= FRAME_BYTES_MAX);
        let Message::Answer(items) = message else { unreachable!() };
        assert!(!items.items.is_empty());
        sent.extend(items.items.iter().map(|item| item.envelope.id()));
        frames += 1;
    }
    assert_eq!(sent, all);
    assert!(frames > 1);
}

#[test]
fn have_is_paged_and_bounded() {
    let doc = DocId(id(1).0);
    for (heads, pages) in
        [(0, 1), (1, 1), (HEADS_MAX, 1), (HEADS_MAX + 1, 2), (HEADS_MAX * 40, HAVE_PAGES_MAX)]
    {
        let told = Have::pages(doc, &ids(heads), true);
        assert_eq!(told.len(), pages, "{heads} heads");
        assert!(told.iter().rev().skip(1).all(|page| !page.last));
        assert!(told.last().unwrap().last);
    }
}

#[test]
fn messages_have_their_golden_bytes() {
    let doc = DocId([7; 32]);
    let have = Message::Have(Have { doc, page: 0, last: true, asks: true, heads: vec![EnvelopeId([9; 32])] });
    let (seven, nine) = ("07".repeat(32), "09".repeat(32));
    assert_eq!(hex::encode(have.encode()), format!("0b{seven}0001010001{nine}"));
    let digest = crate::digest::Digest::of([(doc, Fingerprint([8; 32]))]);
    assert_eq!(
        hex::encode(digest.root().0),
        "96328d8db7803e848ca90647eaad418589905956816c44110b4ab439ea126ca2"
    );
    let leaf = DigestLeaf::of(Prefix(vec![0, 7]), 5, true, &[(doc, Fingerprint([8; 32]))]);
    assert_eq!(
        hex::encode(Message::DigestLeaf(leaf).encode()),
        "1602000700000000000000050100010707070707070707718be8e6ecbf5e57"
    );
}
