//! Relays that spoil what others wrote, and blobs: wrong, too large, not entitled to.

use ed25519_dalek::Signer as _;
use protocol::envelope::{BlobClass, BlobRef, SignedEnvelope};
use protocol::ids::{BlobId, DocId, EnvelopeId, Millis, Seq, commitment};
use protocol::limits::{BLOB_BYTES_MAX, BLOB_INLINE_BYTES_MAX, BLOB_PIECE_BYTES};
use protocol::message::{BlobPiece, BlobWant, InlineBlob, Message, Want};
use protocol::operation::Operation;
use protocol::replica::Fault;
use protocol::roster::KeyPurpose;
use protocol::wire::WireError;
use tests::cluster::wait_for;
use tests::peer::{BlobAnswer, URGENT, assemble, spoil_signature};

use super::Ground::Ours;
use super::frames::layout;
use super::stage::Stage;
use super::story::{Bad, Fate, Story, respond, somebody};
use super::{Breaks, Case, deed, envelopes, frame};

const SALT: [u8; 32] = [3; 32];

pub fn cases() -> Vec<Case> {
    let mut cases = relays();
    cases.extend(riding());
    cases.extend(asking());
    cases.extend(fetched());
    cases
}

/// A copy of the other member's envelope is spoiled first, the honest one follows in the same frame.
fn relays() -> Vec<Case> {
    let case = |rule, make| envelopes("relay", rule, Ours, make);
    vec![
        case("a spoiled signature is the relay's fault and the honest copy is taken", |story| {
            let honest = story.honest(&story.cast.other);
            vec![Bad::of(&spoil_signature(&honest), Fate::Blamed(Fault::BadSignature))]
        }),
        case("spoiled contents are the relay's fault and the honest copy is taken", |story| {
            let honest = story.honest(&story.cast.other);
            let mut contents = honest.op_bytes().to_vec();
            contents[3] ^= 1;
            let signature = story.cast.other.envelope_key.sign(&honest.header().sig_input()).to_bytes();
            let copy = assemble(honest.header(), &contents, &signature);
            vec![Bad::of(&copy, Fate::Blamed(Fault::OperationHash))]
        }),
        case("a changed header is another envelope, and nobody's", |story| {
            let honest = story.honest(&story.cast.other);
            let mut header = honest.header().clone();
            header.written_at = Millis(1);
            let signature = story.cast.other.envelope_key.sign(&honest.header().sig_input()).to_bytes();
            let copy = assemble(&header, honest.op_bytes(), &signature);
            vec![Bad::of(&copy, Fate::Blamed(Fault::BadSignature))]
        }),
        case("a copy that was cut off is the relay's fault", |story| {
            let mut bytes = story.honest(&story.cast.other).bytes().to_vec();
            bytes.truncate(bytes.len() - 1);
            vec![Bad::malformed(bytes)]
        }),
        case("a copy without a signature proves nothing", |story| {
            let honest = story.honest(&story.cast.other);
            let copy = assemble(honest.header(), honest.op_bytes(), &[]);
            vec![Bad::of(&copy, Fate::Blamed(Fault::BadSignature))]
        }),
        case("an envelope in the node's own name that it never wrote is not signed by it", |story| {
            let (cast, operation) = (story.cast, respond());
            let mut header = story.header(&cast.hostile, &operation);
            header.author = cast.target;
            let listed = cast.hostile.rosters.head().member(&cast.target).expect("it is listed");
            header.key_index = listed.active_key(KeyPurpose::Envelope).expect("it has a key").index;
            (header.seq, header.prev_at) = (Seq(1), 0);
            let unsigned = assemble(&header, &operation.encode(), &[]);
            vec![Bad::of(&unsigned, Fate::Blamed(Fault::BadSignature))]
        }),
        case("a copy signed by the relay itself proves nothing", |story| {
            let honest = story.honest(&story.cast.other);
            let signature = story.cast.hostile.envelope_key.sign(&honest.header().sig_input()).to_bytes();
            let copy = assemble(honest.header(), honest.op_bytes(), &signature);
            vec![Bad::of(&copy, Fate::Blamed(Fault::BadSignature))]
        }),
    ]
}

/// A note of the hostile member that names this blob, with whatever rides along.
fn note_with(story: &mut Story<'_>, id: BlobId, ride: InlineBlob) -> Bad {
    let cast = story.cast;
    let operation = Operation::Note { by: somebody(1) };
    let mut header = story.header(&cast.hostile, &operation);
    header.blobs = vec![BlobRef { class: BlobClass::Responders, id }];
    let note = cast.hostile.sign(&header, &operation);
    story.note(&note);
    Bad { blobs: vec![ride], ..Bad::of(&note, Fate::Blamed(Fault::Commitment)) }
}

/// Blobs that ride along: the envelope is as good as before, the blob is not taken.
fn riding() -> Vec<Case> {
    vec![
        deed("blob", "content that is not what was committed to is not taken", |stage| {
            Box::pin(async move {
                let ride = |id| InlineBlob { id, salt: SALT, content: b"something else".to_vec() };
                rides(stage, commitment(&SALT, b"the words"), ride).await
            })
        }),
        deed("blob", "a salt that is not the one of the commitment is not taken", |stage| {
            Box::pin(async move {
                let ride = |id| InlineBlob { id, salt: [4; 32], content: b"other words".to_vec() };
                rides(stage, commitment(&SALT, b"other words"), ride).await
            })
        }),
        deed("blob", "a blob that its envelope does not name is not taken", |stage| {
            Box::pin(async move {
                let ride = |_| InlineBlob {
                    id: commitment(&SALT, b"unasked"),
                    salt: SALT,
                    content: b"unasked".to_vec(),
                };
                rides(stage, commitment(&SALT, b"third words"), ride).await
            })
        }),
        Case {
            family: "blob",
            rule: "a blob above 4 KiB does not ride along",
            breaks: Breaks::Frame(|stage| {
                let riding = |bytes| {
                    let mut story = Story::ours(&stage.cast, 40);
                    let content = vec![1; bytes];
                    let id = commitment(&SALT, &content);
                    let note = note_with(&mut story, id, InlineBlob { id, salt: SALT, content });
                    frame(story.doc, &[note])
                };
                layout(WireError::TooLong, riding(BLOB_INLINE_BYTES_MAX + 1), riding(BLOB_INLINE_BYTES_MAX))
            }),
        },
        Case {
            family: "blob",
            rule: "8 blobs ride along with an envelope, no more",
            breaks: Breaks::Frame(|stage| {
                let riding = |count| {
                    let mut story = Story::ours(&stage.cast, 41);
                    let id = commitment(&SALT, b"w");
                    let ride = InlineBlob { id, salt: SALT, content: b"w".to_vec() };
                    let mut note = note_with(&mut story, id, ride.clone());
                    note.blobs = vec![ride; count];
                    frame(story.doc, &[note])
                };
                layout(WireError::TooLong, riding(9), riding(8))
            }),
        },
    ]
}

async fn rides(stage: &Stage, id: BlobId, ride: impl FnOnce(BlobId) -> InlineBlob) -> String {
    let mut story = Story::ours(&stage.cast, 42);
    let bad = note_with(&mut story, id, ride(id));
    let unnamed = bad.blobs[0].id;
    let honest = story.honest(&stage.cast.other);
    let mut items: Vec<Bad> = story.before.iter().map(|e| Bad::of(e, Fate::Admitted)).collect();
    items.extend([bad.clone(), Bad::of(&honest, Fate::Admitted)]);
    let before = stage.gauges().await;
    stage.peer.send_bytes(URGENT, &frame(story.doc, &items)).await;
    let outcome = stage.met_its_fate("a blob that rides along", &bad, story.doc, &before).await;
    wait_for("the envelopes", async || (stage.ids(story.doc).len() == 3).then_some(())).await;
    assert!(!stage.holds_blob(id) && !stage.holds_blob(unnamed), "a wrong blob is kept");
    format!("{outcome}; its envelope admitted")
}

/// Blobs and envelopes that are not the hostile member's to have.
fn asking() -> Vec<Case> {
    vec![
        deed("blob", "a blob of a document that one may not hold looks like none", |stage| {
            Box::pin(async move {
                let genesis = private(stage).await;
                let blob = genesis.header().blobs.first().expect("the words are a blob").id;
                let theirs = none(stage, genesis.header().doc, blob).await;
                let nobodys = none(stage, DocId([0x5a; 32]), blob).await;
                assert_eq!(theirs, nobodys, "the two answers differ");
                "the same bytes as for none".to_owned()
            })
        }),
        deed("blob", "another document that one may hold does not open it", |stage| {
            Box::pin(async move {
                let genesis = private(stage).await;
                let blob = genesis.header().blobs.first().expect("the words are a blob").id;
                let own = stage.raise().await.header().doc;
                let through = none(stage, own, blob).await;
                assert_eq!(through, none(stage, own, BlobId([1; 32])).await, "the two answers differ");
                "the same bytes as for none".to_owned()
            })
        }),
        deed("scope", "a document that one may not hold looks like none", |stage| {
            Box::pin(async move {
                let genesis = private(stage).await;
                let theirs = answer(stage, genesis.header().doc, vec![genesis.id()]).await;
                let nobodys = answer(stage, DocId([0x5b; 32]), vec![genesis.id()]).await;
                assert_eq!((theirs, nobodys), (0, 0), "an envelope for somebody who may not see it");
                "an empty answer, as for none".to_owned()
            })
        }),
    ]
}

/// An incident in the middle of the attacked town, of which the hostile member is nothing.
async fn private(stage: &Stage) -> SignedEnvelope {
    let place = tests::cluster::places::MIDDLE_OF_SAN_MIGUEL;
    let raised = stage.resident.raise("robbery", place, "Nobody else's").await;
    let doc: DocId = raised["id"].as_str().expect("an id").parse().expect("64 digits");
    stage.envelopes(doc)[0].signed().clone()
}

/// The answer to a request for a blob, with the blob's id blanked.
async fn none(stage: &Stage, doc: DocId, blob: BlobId) -> Vec<u8> {
    let want = Message::BlobWant(BlobWant { doc, blob, from_piece: 0 });
    let mut answer = stage.peer.ask_blob(&want).await;
    let at = answer.windows(32).position(|window| window == blob.as_bytes()).expect("it names the blob");
    answer.splice(at..at + 32, [0; 32]);
    answer
}

/// How many envelopes a request for these brings.
async fn answer(stage: &Stage, doc: DocId, ids: Vec<EnvelopeId>) -> usize {
    stage.peer.send(URGENT, &Message::Want(Want { doc, ids, held: Vec::new() })).await;
    wait_for("an answer", async || {
        stage.peer.messages().into_iter().find_map(|message| {
            let Message::Answer(items) = message else { return None };
            (items.doc == doc).then_some(items.items.len())
        })
    })
    .await
}

/// Blobs that the attacked node fetches from the hostile member, which lies.
fn fetched() -> Vec<Case> {
    vec![
        deed("blob", "a holder that sends other contents is blamed", |stage| {
            Box::pin(async move {
                lies(stage, b"a true large blob", |want| vec![piece(want.blob, 0, 4, b"lies".to_vec())]).await
            })
        }),
        deed("blob", "a holder that sends another blob is blamed", |stage| {
            Box::pin(async move {
                lies(stage, b"b true large blob", |_| vec![piece(BlobId([8; 32]), 0, 4, b"lies".to_vec())])
                    .await
            })
        }),
        deed("blob", "a blob has at most 8 MiB", |stage| {
            Box::pin(async move {
                lies(stage, b"c true large blob", |want| {
                    let total = u32::try_from(BLOB_BYTES_MAX + 1).expect("it fits");
                    vec![piece(want.blob, 0, total, vec![0; BLOB_PIECE_BYTES])]
                })
                .await
            })
        }),
        deed("blob", "pieces come in their order", |stage| {
            Box::pin(async move {
                lies(stage, b"d true large blob", |want| {
                    let total = u32::try_from(BLOB_PIECE_BYTES * 2).expect("it fits");
                    vec![piece(want.blob, 1, total, vec![0; BLOB_PIECE_BYTES])]
                })
                .await
            })
        }),
        deed("blob", "the salt and the length do not change between pieces", |stage| {
            Box::pin(async move {
                lies(stage, b"e true large blob", |want| {
                    let total = u32::try_from(BLOB_PIECE_BYTES * 3).expect("it fits");
                    let first = piece(want.blob, 0, total, vec![0; BLOB_PIECE_BYTES]);
                    vec![first, piece(want.blob, 1, total - 1, vec![0; BLOB_PIECE_BYTES])]
                })
                .await
            })
        }),
    ]
}

fn piece(blob: BlobId, piece: u32, total_bytes: u32, bytes: Vec<u8>) -> Message {
    Message::BlobPiece(BlobPiece { blob, salt: SALT, total_bytes, piece, bytes })
}

/// The hostile member writes a note that names a blob, and lies when it is asked for it.
async fn lies(stage: &Stage, content: &[u8], answer: BlobAnswer) -> String {
    let label = format!("fault=\"{}\"", Fault::Commitment.name());
    let before = stage.gauge("cuadra_peer_faults_total", &label).await;
    stage.peer.answer_blobs(answer);
    let cast = &stage.cast;
    let mut story = Story::ours(cast, 43);
    let id = commitment(&SALT, content);
    let operation = Operation::Note { by: somebody(1) };
    let mut header = story.header(&cast.hostile, &operation);
    header.blobs = vec![BlobRef { class: BlobClass::Responders, id }];
    let note = cast.hostile.sign(&header, &operation);
    story.note(&note);
    let honest = cast.other.sign(&story.header(&cast.other, &respond()), &respond());
    let envelopes = story.before.iter().chain([&note, &honest]);
    let items: Vec<Bad> = envelopes.map(|e| Bad::of(e, Fate::Admitted)).collect();
    stage.peer.send_bytes(URGENT, &frame(story.doc, &items)).await;
    wait_for("the blame for a lie about a blob", async || {
        (stage.gauge("cuadra_peer_faults_total", &label).await > before).then_some(())
    })
    .await;
    assert!(!stage.holds_blob(id), "a lie is kept");
    assert!(stage.ids(story.doc).contains(&honest.id()), "the honest envelope is lost");
    "blamed: Commitment; its envelope admitted".to_owned()
}
