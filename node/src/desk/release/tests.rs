//! What becomes of words and photos that the owner lets everybody see, and what it may not let out.

use protocol::fixture::Federation;
use protocol::operation::ContributionKind;

use super::*;
use crate::desk::tests::*;
use crate::desk::{Fix, NewAlert};

fn texts(shown: &IncidentDetailView) -> Vec<&str> {
    shown.timeline.iter().filter_map(|line| line.text.as_deref()).collect()
}

#[tokio::test]
async fn what_a_neighbour_told_the_desk_is_read_by_others_only_once_it_is_released() {
    let federation = Federation::new(2);
    let town = node(&federation, 0);
    let ana = town.operator("Ana").await;
    let (rosa, luis) =
        (town.resident("Rosa", Some(inside(0))).await, town.resident("Luis", Some(inside(0))).await);
    let doc = doc_of(&town.desk.raise_alert(rosa, sos(1, Some(inside(0)))).await.unwrap().id);
    town.desk.contribute(luis, doc, ContributionKind::Information, "a red car").await.unwrap();
    let shown = town.show(ana, doc).await;
    let told = shown.timeline.iter().find(|line| line.what == "contribution").unwrap();
    let blob: BlobId = told.words.as_ref().unwrap().parse().unwrap();
    assert_eq!(told.releasable, [blob.to_string()]);
    assert!(!texts(&town.show(rosa, doc).await).contains(&"a red car"));

    let by_luis = town.desk.release(luis, doc, vec![blob]).await;
    assert!(matches!(by_luis, Err(ActError::NotForYou)), "{by_luis:?}");
    let released = town.desk.release(ana, doc, vec![blob]).await.unwrap();
    let told = released.timeline.iter().find(|line| line.what == "contribution").unwrap();
    assert!(told.releasable.is_empty() && told.released == [blob.to_string()]);
    assert!(texts(&town.show(rosa, doc).await).contains(&"a red car"));
    let again = town.desk.release(ana, doc, vec![blob]).await.unwrap();
    assert_eq!(again.heads, released.heads);
}

#[tokio::test]
async fn words_with_an_exact_place_private_kinds_and_what_is_not_here_are_not_released() {
    let federation = Federation::new(2);
    let town = node(&federation, 0);
    let (ana, rosa) = (town.operator("Ana").await, town.resident("Rosa", Some(inside(0))).await);
    let opened = async |secret: u8, kind: &str| {
        let fix = Some(Fix { point: inside(0), accuracy_m: None });
        let alert = NewAlert { kind: Kind::by_name(kind).unwrap(), fix, ..sos(secret, None) };
        let doc = doc_of(&town.desk.raise_alert(rosa, alert).await.unwrap().id);
        let blob: BlobId = town.show(ana, doc).await.timeline[0].words.as_ref().unwrap().parse().unwrap();
        (doc, blob)
    };
    let (robbery, where_it_was) = opened(1, "robbery").await;
    let (lamp, words) = opened(2, "street_light").await;
    let (private, _) = opened(3, "domestic_violence").await;
    let note = town.desk.note(ana, private, "she is safe", false).await.unwrap();
    let noted: BlobId = note.timeline.last().unwrap().words.as_ref().unwrap().parse().unwrap();
    for (doc, blobs) in [
        (robbery, vec![where_it_was]),
        (private, vec![noted]),
        (lamp, vec![BlobId([7; 32])]),
        (lamp, Vec::new()),
        (lamp, vec![BlobId([7; 32]); BLOBS_NAMED_MAX + 1].into_iter().enumerate().map(numbered).collect()),
    ] {
        let refused = town.desk.release(ana, doc, blobs).await;
        assert!(matches!(refused, Err(ActError::Field("blobs"))), "{refused:?}");
    }
    assert!(town.show(ana, robbery).await.timeline[0].releasable.is_empty());
    let shown = town.desk.release(ana, lamp, vec![words]).await.unwrap();
    assert_eq!(shown.timeline[0].released, [words.to_string()], "a lamp's place is no secret");
}

fn numbered((n, _): (usize, BlobId)) -> BlobId {
    BlobId([u8::try_from(n).unwrap(); 32])
}
