//! Words planted in every personal field, and where they must never be found.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tests::canaries;
use tests::cluster::places::{BORDER_OF_SAN_MIGUEL, NATIONAL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Person, wait_for};

/// What is the node's alone.
const LOCAL: [&str; 8] = [
    "Eduviges Llancapichun",
    "Pasaje Los Quillayes 40771",
    "+56 9 4417 0982",
    "56944170982",
    "Operadora Zunilda",
    "Caller Remigio 2280",
    "+56 2 2871 6655",
    "GPS-EXIF-CANARY-77120",
];
/// What goes to the owner and to involved nodes, and to nobody above.
const RESPONDERS: [&str; 3] =
    ["Un hombre con parka verde", "Patente KRLX 42 vista", "Vi lo mismo desde la terraza"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_personal_is_found_in_no_other_database_log_export_or_answer() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT, NATIONAL]).await;
    let (resident, operator, id) = plant(&cluster).await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    for words in [RESPONDERS[0], RESPONDERS[1]] {
        wait_for("the involved node to have what responders need", async || {
            theirs.incident(&id).await?.to_string().contains(words).then_some(())
        })
        .await;
    }
    cluster.in_step(SAN_MIGUEL, PRECINCT).await;
    cluster.in_step(PRECINCT, NATIONAL).await;

    let path = format!("/api/v1/incidents/{id}");
    let public = [cluster[PRECINCT].stranger(), cluster[NATIONAL].stranger()];
    for secret in LOCAL {
        for node in cluster.nodes() {
            // The node's own files too: there it is under the person's key, or was never written.
            node.never_saw(secret);
        }
        canaries::absent(&theirs.get(&path).await.body, secret, "San Joaquín's answer");
        canaries::absent(&cluster[SAN_JOAQUIN].export(&id), secret, "San Joaquín's export");
        canaries::absent(&cluster[SAN_MIGUEL].export(&id), secret, "the owner's own export");
    }
    for secret in RESPONDERS {
        for above in [PRECINCT, NATIONAL] {
            cluster[above].never_saw(secret);
        }
        for node in cluster.nodes() {
            let databases = canaries::files_below(&node.data()).into_iter();
            for (file, bytes) in databases.filter(|(file, _)| file.contains(".db")) {
                canaries::absent(&bytes, secret, &file);
            }
        }
    }
    for person in &public {
        for page in ["/api/v1/country", "/api/v1/coverage", "/api/v1/node", "/country", "/metrics"] {
            let answer = person.get(page).await;
            for secret in LOCAL.iter().chain(&RESPONDERS) {
                canaries::absent(&answer.body, secret, page);
            }
        }
    }
    // The test can see: the words are where they belong.
    let own = operator.the(&id).await.to_string();
    assert!(own.contains(LOCAL[0]) && own.contains(RESPONDERS[0]), "{own}");
    assert!(resident.get("/api/v1/me").await.text().contains(LOCAL[1]));
}

/// Puts every secret into the field that it is for; gives the resident, the operator, the incident.
async fn plant(cluster: &Cluster) -> (Person, Person, String) {
    let node = &cluster[SAN_MIGUEL];
    let resident = node.resident_with(LOCAL[0], LOCAL[1], Some(LOCAL[2])).await;
    let mut operator = node.stranger();
    operator.sign_in("/api/v1/enter", &json!({ "code": node.operator_code(LOCAL[4]) })).await;
    let raised = resident.raise("robbery", BORDER_OF_SAN_MIGUEL, RESPONDERS[0]).await;
    let id = raised["id"].as_str().expect("an id").to_owned();
    let photo = Part::bytes(jpeg_with(LOCAL[7])).file_name(format!("{}.jpg", LOCAL[7]));
    let request = resident.request(Method::POST, &format!("/api/v1/alerts/{id}/media"));
    resident.send(request.multipart(Form::new().part("file", photo))).await.expect(201);
    operator.act(&id, "claim", &json!({})).await;
    operator.act(&id, "notes", &json!({ "text": RESPONDERS[1], "shared": false })).await;
    let saw_it = json!({ "what": "information", "text": RESPONDERS[2] });
    resident.post(&format!("/api/v1/incidents/{id}/contributions"), &saw_it).await;
    let call = json!({
        "kind": "noise", "address": LOCAL[5], "phone": LOCAL[6], "text": "Llamada", "point": BORDER_OF_SAN_MIGUEL.json()
    });
    operator.post("/api/v1/calls", &call).await.expect(201);
    (resident, operator, id)
}

/// A picture of one colour whose metadata carries words.
fn jpeg_with(words: &str) -> Vec<u8> {
    let picture = image::RgbImage::from_pixel(64, 48, image::Rgb([40, 90, 200]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Jpeg).expect("a picture can be written");
    let plain = bytes.into_inner();
    let (start, rest) = plain.split_at(2);
    let payload = [b"Exif\0\0".as_slice(), words.as_bytes()].concat();
    let length = u16::try_from(payload.len() + 2).expect("short words").to_be_bytes();
    [start, &[0xff, 0xe1], &length, &payload, &[0xff, 0xfe], &length, &payload, rest].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_is_served_to_whom_it_concerns_without_its_metadata() {
    let cluster = Cluster::start(&[SAN_MIGUEL, SAN_JOAQUIN]).await;
    let (resident, operator, id) = plant(&cluster).await;
    let theirs = cluster[SAN_JOAQUIN].operator().await;
    let photo_of = async |person: &Person| -> Option<String> {
        let detail = person.incident(&id).await?;
        let lines = detail["timeline"].as_array()?.clone();
        let first = |line: &Value| line["photos"].as_array()?.first()?.as_str().map(str::to_owned);
        lines.iter().find_map(first)
    };
    for person in [&operator, &theirs] {
        let photo = wait_for("the photo", async || photo_of(person).await).await;
        let answer = person.get(&format!("/media/{photo}")).await;
        assert_eq!(answer.status, 200);
        assert!(answer.media_type.starts_with("image/"), "{}", answer.media_type);
        canaries::absent(&answer.body, LOCAL[7], "the photo");
        image::load_from_memory(&answer.body).expect("it is a picture still");
    }
    let photo = photo_of(&operator).await.expect("seen above");
    assert_eq!(resident.get(&format!("/media/{photo}")).await.status, 200, "the reporter's own photo");
    let stranger = cluster[SAN_MIGUEL].stranger().get(&format!("/media/{photo}")).await;
    let nothing = cluster[SAN_MIGUEL].stranger().get(&format!("/media/{}", "ab".repeat(32))).await;
    assert_eq!((stranger.status, &stranger.body), (nothing.status, &nothing.body));
    assert!(stranger.status == 404 || stranger.status == 401, "{}", stranger.status);
}
