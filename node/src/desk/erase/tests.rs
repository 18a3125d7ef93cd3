//! Erasing on real files: what goes, what stays, and who cannot have it gone.

use protocol::author::Draft;
use protocol::envelope::{BlobClass, BlobRef};
use protocol::fixture::{Federation, code, open};
use protocol::ids::{BlobId, Incarnation};
use protocol::kind::Kind;
use protocol::operation::Operation;

use crate::desk::tests::*;
use crate::desk::*;
use crate::store::{Arrival, Queue};

/// The blob with the words of an incident's opening.
fn words_of(node: &Node, doc: DocId) -> BlobId {
    let document = node.desk.store().read_here(|r| r.document(doc)).unwrap().unwrap();
    document.genesis().unwrap().header().blobs[0].id
}

#[tokio::test]
async fn erased_words_are_gone_with_their_key_and_the_receipt_says_so() {
    let federation = Federation::new(2);
    let home = node(&federation, 0);
    let (rosa, ana) = (home.resident("Rosa", Some(inside(0))).await, home.operator("Ana").await);
    let raised = home.desk.raise_alert(rosa, sos(1, Some(inside(0)))).await.unwrap();
    let (doc, store) = (doc_of(&raised.id), home.desk.store());
    let words = words_of(&home, doc);
    let without = home.desk.redact(ana, doc, vec![words], " ").await;
    assert!(matches!(without, Err(ActError::Field("reason"))), "{without:?}");
    let by_resident = home.desk.redact(rosa, doc, vec![words], "mine").await;
    assert!(matches!(by_resident, Err(ActError::NotForYou)), "{by_resident:?}");
    let foreign = home.desk.redact(ana, doc, vec![BlobId([7; 32])], "not named here").await;
    assert!(matches!(foreign, Err(ActError::Rules(_))), "{foreign:?}");

    let shown = home.desk.redact(ana, doc, vec![words], "it names a child").await.unwrap();
    assert_eq!(shown.timeline[0].text, None);
    assert_eq!(shown.timeline[0].erased[0].gone_at, Vec::<String>::new(), "not before it is done");
    assert!(!store.read_here(|r| r.has_blob(&words)).unwrap());
    assert!(store.finish_erasures().await.unwrap());
    let shown = home.show(ana, doc).await;
    assert_eq!(shown.timeline[0].erased[0].gone_at.len(), 1);
    assert!(shown.timeline[0].erased[0].waiting_for.is_empty(), "{shown:?}");
    let heads = shown.heads.clone();
    assert!(store.finish_erasures().await.unwrap());
    home.desk.redact(ana, doc, vec![words], "once more").await.unwrap();
    assert_eq!(home.show(ana, doc).await.heads, heads, "one word and one receipt are enough");

    // Whoever sends it again sends it for nothing.
    let staged = store.stage([1; 32], b"the same".to_vec()).await.unwrap();
    let id = staged.id();
    let note = Draft {
        operation: Operation::Note { by: protocol::fixture::somebody(3) },
        blobs: vec![BlobRef { class: BlobClass::Responders, id }],
        answers: Vec::new(),
        written_at: Millis(START),
    };
    store.write(Queue::Bulk, move |tx| tx.append(Some(doc), &note, None).map(|_| ())).await.unwrap();
    home.desk.redact(ana, doc, vec![id], "before it came").await.unwrap();
    store.write(Queue::Bulk, move |tx| tx.keep_blob(&staged, Some(doc))).await.unwrap();
    assert!(!store.read_here(|r| r.has_blob(&id)).unwrap());
    assert!(store.read_here(|r| r.missing_blobs(9)).unwrap().is_empty(), "nor is it asked for");
}

#[tokio::test]
async fn nobody_has_a_blob_erased_by_naming_it_in_a_document_of_their_own() {
    let federation = Federation::new(2);
    let home = node(&federation, 0);
    let (rosa, ana) = (home.resident("Rosa", Some(inside(0))).await, home.operator("Ana").await);
    let raised = home.desk.raise_alert(rosa, sos(1, Some(inside(0)))).await.unwrap();
    let doc = doc_of(&raised.id);
    let words = words_of(&home, doc);

    let thief = node(&federation, 1);
    let opening = open(code(1), Kind::by_name("sos").unwrap(), &[federation.id(0)], None, 9);
    let draft = |operation: Operation, blobs: Vec<BlobId>| Draft {
        operation,
        blobs: blobs.into_iter().map(|id| BlobRef { class: BlobClass::Responders, id }).collect(),
        answers: Vec::new(),
        written_at: Millis(START),
    };
    let (named, redacted) =
        (draft(opening, vec![words]), draft(Operation::Redact { blobs: vec![words] }, Vec::new()));
    let written = thief.desk.store().write(Queue::Bulk, move |tx| {
        let bait = tx.append(None, &named, None)?;
        let redact = tx.append(Some(bait.header().doc), &redacted, None)?;
        Ok::<_, AppendError>([bait, redact])
    });
    let written = written.await.unwrap();
    let from = federation.id(1);
    home.desk
        .store()
        .write(Queue::Bulk, move |tx| {
            written.iter().try_for_each(|e| tx.take_in(e, Arrival { from, age: Millis(1) }).map(|_| ()))
        })
        .await
        .unwrap();
    assert!(home.desk.store().finish_erasures().await.unwrap());
    assert_eq!(home.show(ana, doc).await.timeline[0].text.as_deref(), Some("Canary help me"));
}

#[tokio::test]
async fn what_an_erased_person_told_is_gone_at_once_and_asked_of_all_as_soon_as_the_document_takes_a_word() {
    let federation = Federation::new(2);
    let home = node(&federation, 0);
    let (rosa, ana) = (home.resident("Rosa", Some(inside(0))).await, home.operator("Ana").await);
    let mut alert = sos(1, Some(inside(0)));
    alert.text = "Canary of Rosa".into();
    let raised = home.desk.raise_alert(rosa, alert).await.unwrap();
    let (doc, store) = (doc_of(&raised.id), home.desk.store());
    let words = words_of(&home, doc);
    home.desk.note(ana, doc, "what the desk wrote", false).await.unwrap();
    assert!(home.show(ana, doc).await.incident.point_exact);

    // After a restore nothing may be written in it until a peer has shown it.
    store.raise(Incarnation::new(9, 9)).await.unwrap();
    assert!(store.read_here(|r| r.lock(doc)).unwrap().is_some(), "somebody else holds it too");
    home.desk.erase_me(rosa).await.unwrap();
    assert!(!store.read_here(|r| r.has_blob(&words)).unwrap(), "gone here whatever is locked");
    store.erase_wanted().await.unwrap();
    assert!(store.finish_erasures().await.unwrap());
    let shown = home.show(ana, doc).await;
    assert!(shown.timeline[0].erased[0].on_request && shown.timeline[0].erased[0].gone_at.is_empty());
    assert!(!shown.incident.point_exact && shown.incident.point.is_some(), "the area is left");
    assert_eq!(shown.incident.status, "open", "it is still to be answered");

    store.write(Queue::Bulk, move |tx| tx.unlock(doc)).await.unwrap();
    store.erase_wanted().await.unwrap();
    assert!(store.finish_erasures().await.unwrap());
    let shown = home.show(ana, doc).await;
    assert_eq!(shown.timeline[0].erased[0].gone_at.len(), 1, "the word and this node's receipt: {shown:?}");
    let note = shown.timeline.iter().find(|line| line.what == "note").unwrap();
    assert_eq!(note.text.as_deref(), Some("what the desk wrote"), "others' words are not theirs");
    let heads = shown.heads;
    store.erase_wanted().await.unwrap();
    assert_eq!(home.show(ana, doc).await.heads, heads, "asked for once");
}

#[tokio::test]
async fn somebody_who_called_can_be_erased_like_a_resident() {
    let federation = Federation::new(2);
    let home = node(&federation, 0);
    let ana = home.operator("Ana").await;
    let call = |number: u8, phone: &str| NewCall {
        secret: [number; 32],
        kind: Kind::by_name("fire").unwrap(),
        urgency: None,
        address: "Calle Uno 7".into(),
        point: Some(inside(0)),
        text: "smoke at the neighbour's".into(),
        phone: Some(phone.into()),
    };
    let raised = home.desk.take_call(ana, call(1, "+56 9 7777 1234")).await.unwrap();
    let without = home.desk.take_call(ana, call(2, " ")).await.unwrap();
    let doc = doc_of(&raised.id);
    let reporter = home.show(ana, doc).await.reporter.unwrap();
    assert_eq!((reporter.name, reporter.phone.as_deref()), (None, Some("+56 9 7777 1234")));
    assert_eq!(
        home.desk.residents_by_phone("977771234").await.unwrap().len(),
        1,
        "found for the command line"
    );
    assert!(home.show(ana, doc_of(&without.id)).await.reporter.is_none());
    let nobody = home.desk.erase_reporter(ana, doc_of(&without.id), "asked for it").await;
    assert!(matches!(nobody, Err(ActError::NotFound)), "{nobody:?}");

    home.desk.erase_reporter(ana, doc, "asked for it").await.unwrap();
    home.desk.store().erase_wanted().await.unwrap();
    let shown = home.show(ana, doc).await;
    assert!(shown.reporter.is_none() && shown.timeline[0].text.is_none(), "{shown:?}");
    assert!(home.desk.residents_by_phone("977771234").await.unwrap().is_empty());
}
