//! Erasing: what is erased is found on no disk any more, and nobody brings it back.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use rusqlite::{Connection, OpenFlags, params};
use serde_json::{Value, json};
use tests::canaries;
use tests::cluster::places::{BORDER_OF_SAN_MIGUEL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Node, Person, wait_for};

const WORDS: &str = "Una polera amarilla con el nombre Ermelinda";
const NAME: &str = "Herminia Colipi Necul";
const PHONE: &str = "+56 9 6120 7733";

/// A photo that is too large to ride along with its envelope.
fn photo() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(160, 120, |x, y| {
        let noise = x.wrapping_mul(2_654_435_761).wrapping_add(y.wrapping_mul(40_503)) >> 7;
        image::Rgb([noise.to_le_bytes()[0], noise.to_le_bytes()[1], (x ^ y).to_le_bytes()[0]])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).expect("a picture can be written");
    bytes.into_inner()
}

/// Raises an alert with words, adds a photo, and gives the incident and the photo.
async fn told(cluster: &Cluster) -> (String, String) {
    let resident = cluster[SAN_MIGUEL].resident("Ana").await;
    let raised = resident.raise("robbery", BORDER_OF_SAN_MIGUEL, WORDS).await;
    let id = raised["id"].as_str().expect("an id").to_owned();
    let photo = add_photo(&resident, &id).await;
    (id, photo)
}

async fn add_photo(resident: &Person, id: &str) -> String {
    let request = resident.request(Method::POST, &format!("/api/v1/alerts/{id}/media"));
    let part = Part::bytes(photo()).file_name("foto.png");
    let added = resident.send(request.multipart(Form::new().part("file", part))).await.expect(201);
    added["photo"].as_str().expect("the photo's id").to_owned()
}

fn open_read_only(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database is there")
}

/// Everything that a node keeps of a blob: its sealed bytes and its key.
fn kept_of(node: &Node, blob: &str) -> Vec<Vec<u8>> {
    let id = hex::decode(blob).expect("an id is hex");
    let (data, keys) =
        (open_read_only(&node.data().join("node.db")), open_read_only(&node.data().join("keys.db")));
    let sealed: Option<Vec<u8>> = data
        .query_row("SELECT sealed FROM blob WHERE id = ?1", params![id], |row| row.get(0))
        .expect("the blob is here");
    let sealed = sealed.unwrap_or_else(|| {
        let file = node.data().join("blobs").join(&blob[..2]).join(blob);
        std::fs::read(file).expect("a large blob is a file")
    });
    let name: Vec<u8> = data
        .query_row("SELECT key FROM blob WHERE id = ?1", params![id], |row| row.get(0))
        .expect("the name of its key");
    let key: Vec<u8> = keys
        .query_row("SELECT key FROM blob_key WHERE blob = ?1", params![name], |row| row.get(0))
        .expect("its key");
    // Pages of a database cut long values in pieces: any piece of the sealed bytes is looked for.
    let mut kept: Vec<Vec<u8>> = sealed.chunks_exact(48).map(<[u8]>::to_vec).collect();
    kept.push(key);
    kept
}

/// Fails if any of these bytes is in any file of the node.
fn nothing_left(node: &Node, kept: &[Vec<u8>]) {
    // Found by their first eight bytes, so that each file is gone through once.
    let mut pieces: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
    for piece in kept {
        pieces.entry(&piece[..8]).or_default().push(piece);
    }
    for (path, bytes) in canaries::files_below(&node.folder) {
        for (at, start) in bytes.windows(8).enumerate() {
            let found = pieces.get(start).into_iter().flatten().find(|piece| bytes[at..].starts_with(piece));
            assert!(found.is_none(), "{} of it in {path}", hex::encode(start));
        }
    }
}

fn words_of(detail: &Value) -> Option<String> {
    detail["timeline"][0]["words"].as_str().map(str::to_owned)
}

/// Who has confirmed that a blob is gone, and who has not, as this desk shows it.
async fn confirmed(desk: &Person, id: &str, blob: &str) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
    let detail = desk.incident(id).await?;
    let lines = detail["timeline"].as_array()?;
    let gone = lines.iter().flat_map(|line| line["erased"].as_array().expect("a list"));
    let gone = gone.into_iter().find(|gone| gone["id"] == blob)?;
    let names = |field: &str| {
        let names = gone[field].as_array().expect("a list").iter();
        names.map(|name| name.as_str().expect("a name").to_owned()).collect()
    };
    Some((names("gone_at"), names("waiting_for")))
}

fn named(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_is_on_no_disk_any_more_and_a_node_that_was_away_cannot_bring_it_back() {
    let mut cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT]).await;
    let (id, photo) = told(&cluster).await;
    let ours = cluster[SAN_MIGUEL].operator().await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    let words = words_of(&ours.the(&id).await).expect("operators see which blob holds the words");
    wait_for("words and photo next door", async || {
        let detail = theirs.incident(&id).await?;
        let photo = theirs.get(&format!("/media/{photo}")).await;
        (detail["timeline"][0]["text"] == WORDS && photo.status == 200).then_some(())
    })
    .await;
    let kept_here = [kept_of(&cluster[SAN_MIGUEL], &words), kept_of(&cluster[SAN_MIGUEL], &photo)].concat();
    let kept_there =
        [kept_of(&cluster[SAN_JOAQUIN], &words), kept_of(&cluster[SAN_JOAQUIN], &photo)].concat();

    cluster.kill(SAN_JOAQUIN).await;
    let asked = json!({ "blobs": [words, photo], "reason": "No es quien se creía" });
    let path = format!("/api/v1/incidents/{id}/redactions");
    assert_eq!(ours.post(&path, &asked).await.problem(422), "field", "without having confirmed it");
    let mut asked = asked;
    asked["confirmed"] = json!(true);
    ours.post(&path, &asked).await.expect(200);
    for blob in [&words, &photo] {
        wait_for("the receipt of San Miguel", async || {
            let (gone, waiting) = confirmed(&ours, &id, blob).await?;
            (gone == named(&["San Miguel"]) && waiting == named(&["San Joaquín"])).then_some(())
        })
        .await;
    }
    nothing_left(&cluster[SAN_MIGUEL], &kept_here);
    assert_eq!(ours.get(&format!("/media/{photo}")).await.status, 404);

    // It still has both, and does not know yet.
    cluster.restart(SAN_JOAQUIN).await;
    let theirs = cluster[SAN_JOAQUIN].same(&theirs);
    for desk in [&ours, &theirs] {
        for blob in [&words, &photo] {
            wait_for("the receipts of both", async || {
                let (gone, waiting) = confirmed(desk, &id, blob).await?;
                (gone == named(&["San Miguel", "San Joaquín"]) && waiting.is_empty()).then_some(())
            })
            .await;
        }
        assert_eq!(desk.get(&format!("/media/{photo}")).await.status, 404);
        let detail = desk.the(&id).await;
        assert!(!detail.to_string().contains(WORDS), "{detail}");
        assert_eq!(detail["timeline"][0]["detail_pending"], false, "it is not on its way, it is gone");
    }
    cluster.in_step(SAN_MIGUEL, SAN_JOAQUIN).await;
    cluster.in_step(SAN_JOAQUIN, SAN_MIGUEL).await;
    for node in [&cluster[SAN_MIGUEL], &cluster[SAN_JOAQUIN]] {
        nothing_left(node, &kept_here);
        nothing_left(node, &kept_there);
    }
    // Nor does a restart, which looks for whatever is missing.
    cluster.kill(SAN_MIGUEL).await;
    cluster.restart(SAN_MIGUEL).await;
    cluster.in_step(SAN_MIGUEL, SAN_JOAQUIN).await;
    let ours = cluster[SAN_MIGUEL].same(&ours);
    assert_eq!(ours.get(&format!("/media/{photo}")).await.status, 404);
    nothing_left(&cluster[SAN_MIGUEL], &kept_here);
}

/// How long what a person told may still be readable anywhere after they were erased.
const GONE_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_resident_and_what_they_told_in_an_open_incident_is_unreadable_everywhere_within_a_minute()
{
    let mut cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let node = &cluster[SAN_MIGUEL];
    let resident = node.resident_with(NAME, "Pasaje Tranque Lo Ovalle 7712", Some(PHONE)).await;
    let raised = resident.raise("robbery", BORDER_OF_SAN_MIGUEL, WORDS).await;
    let id = raised["id"].as_str().expect("an id").to_owned();
    let photo = add_photo(&resident, &id).await;
    let ours = node.operator().await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    ours.act(&id, "claim", &json!({})).await;
    ours.act(&id, "steps", &json!({ "step": "on_the_way" })).await;
    wait_for("words, place and photo next door", async || {
        let detail = theirs.incident(&id).await?;
        let photo = theirs.get(&format!("/media/{photo}")).await;
        let exact = detail["incident"]["point_exact"] == true && photo.status == 200;
        (exact && detail["timeline"][0]["text"] == WORDS).then_some(())
    })
    .await;
    let shown = ours.the(&id).await;
    assert_eq!(shown["reporter"]["name"], NAME);
    let exact = shown["incident"]["point"].clone();
    let words = words_of(&shown).expect("operators see which blob holds the words");

    // What a thief of disk or backup has: sealed rows and files. What opens them are keys, which are in no
    // backup.
    let (sealed, number, key) = person_of(node);
    assert!(node::store::seal::Key::from_slice(&key).expect("32 bytes").open(&number, &sealed).is_ok());
    let mut kept = vec![key.clone(), sealed.clone()];
    for desk in [SAN_MIGUEL, SAN_JOAQUIN] {
        kept.extend([kept_of(&cluster[desk], &words), kept_of(&cluster[desk], &photo)].concat());
    }
    let backup = cluster.folder().join("before.backup");
    let backup = backup.to_str().expect("a path in ASCII");
    let _said = node.cuadra(&["backup", "--unsealed", backup]);
    let copy = std::fs::read(backup).expect("the backup");
    assert!(canaries::contains(&copy, &sealed), "the person is in the backup, sealed");
    assert!(!canaries::contains(&copy, &key), "and the key is not");

    let not_sure = resident.post("/api/v1/me/erasure", &json!({})).await;
    assert_eq!(not_sure.problem(422), "field");
    let asked = Instant::now();
    resident.post("/api/v1/me/erasure", &json!({ "confirmed": true })).await.expect(204);
    assert_eq!(resident.get("/api/v1/me").await.status, 401);
    let shown = ours.the(&id).await;
    assert!(shown["reporter"].is_null(), "{shown}");
    assert_unreadable(&shown, "at once at their own node");
    assert_eq!(shown["timeline"][0]["erased"][0]["on_request"], true, "the desk reads why");
    for desk in [&ours, &theirs] {
        gone_at_both(desk, &id, [&words, &photo], &exact).await;
        assert_eq!(desk.get(&format!("/media/{photo}")).await.status, 404);
    }
    for town in [SAN_MIGUEL, SAN_JOAQUIN] {
        nothing_left(&cluster[town], &kept);
        for canary in [NAME, PHONE, WORDS] {
            cluster[town].never_saw(canary);
            canaries::absent(&cluster[town].export(&id), canary, "an export");
        }
    }
    assert!(asked.elapsed() < GONE_WITHIN, "it took {:?}", asked.elapsed());
    assert!(cluster[SAN_MIGUEL].cuadra(&["doctor"]).contains("whole"), "and the databases are whole");

    nothing_is_read_from(&mut cluster, backup, &id, &photo).await;
}

/// Waits until both nodes have said that the blobs are gone, as this desk shows it; who is on the way still
/// knows what happened, and the area.
async fn gone_at_both(desk: &Person, id: &str, blobs: [&str; 2], exact: &Value) {
    for blob in blobs {
        wait_for("the receipts of both", async || {
            let (gone, waiting) = confirmed(desk, id, blob).await?;
            (gone == named(&["San Miguel", "San Joaquín"]) && waiting.is_empty()).then_some(())
        })
        .await;
    }
    let detail = desk.the(id).await;
    assert_unreadable(&detail, "at a desk");
    let left = &detail["incident"];
    assert_eq!((&left["kind"], &left["status"]), (&json!("robbery"), &json!("on_the_way")));
    assert!(left["point"].is_object() && left["point"] != *exact && !left["cell"].is_null(), "{left}");
}

/// The backup comes back where nobody else can tell the node what happened since.
async fn nothing_is_read_from(cluster: &mut Cluster, backup: &str, id: &str, photo: &str) {
    cluster.kill(SAN_JOAQUIN).await;
    cluster.kill(SAN_MIGUEL).await;
    let _said = cluster[SAN_MIGUEL].cuadra(&["restore", backup, "--replace"]);
    cluster.restart(SAN_MIGUEL).await;
    let ours = cluster[SAN_MIGUEL].operator().await;
    let restored = ours.the(id).await;
    assert_eq!(restored["incident"]["kind"], "robbery", "the incident is in the backup");
    assert_unreadable(&restored, "in the backup");
    assert!(restored["reporter"].is_null(), "{restored}");
    assert_eq!(ours.get(&format!("/media/{photo}")).await.status, 404);
    assert!(!ours.get(&format!("/console/incidents/{id}")).await.text().contains(WORDS));
}

/// Fails if an answer gives away what the person told or who they are.
fn assert_unreadable(detail: &Value, place: &str) {
    for canary in [NAME, PHONE, WORDS] {
        canaries::absent(detail.to_string().as_bytes(), canary, place);
    }
    assert_eq!(detail["incident"]["point_exact"], false, "{place}: {detail}");
}

/// The only resident's sealed row, what it is sealed for, and their key.
fn person_of(node: &Node) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let (data, keys) =
        (open_read_only(&node.data().join("node.db")), open_read_only(&node.data().join("keys.db")));
    let (number, sealed): (i64, Vec<u8>) = data
        .query_row("SELECT id, sealed FROM person WHERE role = 'resident'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("one resident");
    let key = keys
        .query_row("SELECT key FROM person_key WHERE person = ?1", params![number], |row| row.get(0))
        .expect("their key");
    (sealed, format!("person/{number}").into_bytes(), key)
}
