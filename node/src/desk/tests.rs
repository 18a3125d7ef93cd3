//! The use cases on real files: what a neighbour, an operator and a neighbouring node get.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use config::settings::Config;
use config::territory::Territory;
use protocol::admission::Refusal;
use protocol::author::SealError;
use protocol::fixture::{Federation, active_key, code, member_key};
use protocol::fold::Fold;
use protocol::ids::{DocId, Millis};
use protocol::kind::Kind;
use protocol::operation::{ContributionKind, HandoffReason, Operation, Outcome, Point, Response, Step};
use tempfile::TempDir;

use super::*;
use crate::store::{Arrival, IncidentQuery, Opening, Queue, Visibility};
use crate::views::IncidentDetailView;

pub(super) const START: u64 = 1_790_000_000_000;

/// One node of a small federation, on a folder of its own.
pub(super) struct Node {
    pub(super) desk: Desk,
    pub(super) clock: Arc<AtomicU64>,
    pub(super) folder: TempDir,
}

/// Member `n` of the federation; its territory is commune 13101 + n.
pub(super) fn node(federation: &Federation, n: usize) -> Node {
    node_with(federation, n, None)
}

fn node_with(federation: &Federation, n: usize, pages_max: Option<u32>) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicU64::new(START));
    let ticking = clock.clone();
    let store = Store::open(Opening {
        folder: folder.path().to_owned(),
        clock: Arc::new(move || Millis(ticking.fetch_add(1, Ordering::SeqCst))),
        hand: federation.hand(n),
        rosters: federation.rosters.clone(),
        time_zone: jiff::tz::TimeZone::UTC,
        ballast_bytes: 4_096,
        pages_max,
    })
    .unwrap();
    let mut config = Config::default();
    config.node.jurisdictions = vec![config::Jurisdiction {
        code: code(n),
        name: config::values::Name::parse(&format!("Town {n}")).unwrap(),
        population: 100_000,
        target_percent: config::values::Percent::default(),
    }];
    Node { desk: Desk::new(store, config, Territory::built_in()), clock, folder }
}

impl Node {
    pub(super) async fn resident(&self, name: &str, home: Option<Point>) -> Viewer {
        let code = self.desk.create_invitation(1, Millis(60_000)).await.unwrap();
        let form = JoinForm {
            code,
            name: name.into(),
            address: format!("{name} street 1"),
            lang: "es".into(),
            phone: Some("+56 9 1111 2222".into()),
            home,
        };
        let token = self.desk.join(form).await.unwrap().token;
        self.desk.session(&token).await.unwrap()
    }

    pub(super) async fn operator(&self, name: &str) -> Viewer {
        let person = self.desk.add_operator(name).await.unwrap();
        let code = self.desk.sign_in_code(person, Millis(60_000)).await.unwrap();
        let token = self.desk.sign_in(&code).await.unwrap().token;
        self.desk.session(&token).await.unwrap()
    }

    /// As the federation's driver would: everything of `doc` that the other node lacks.
    pub(super) async fn send(&self, doc: DocId, to: &Node) {
        let document = self.desk.store().read_here(|r| r.document(doc)).unwrap().unwrap();
        let from = self.desk.store().member();
        let envelopes: Vec<_> = document.envelopes().cloned().collect();
        to.desk
            .store()
            .write(Queue::Urgent, move |tx| {
                for envelope in &envelopes {
                    tx.take_in(envelope, Arrival { from, age: Millis(5) })?;
                }
                Ok::<_, WriteError>(())
            })
            .await
            .unwrap();
    }

    pub(super) async fn show(&self, viewer: Viewer, doc: DocId) -> IncidentDetailView {
        self.desk.incident(viewer, doc).await.unwrap()
    }
}

pub(super) fn inside(n: usize) -> Point {
    Territory::built_in().invented_point(code(n), 7).unwrap()
}

pub(super) fn sos(secret: u8, point: Option<Point>) -> NewAlert {
    NewAlert {
        secret: [secret; 32],
        kind: Kind::by_name("sos").unwrap(),
        urgency: None,
        fix: point.map(|point| Fix { point, accuracy_m: Some(20) }),
        text: "Canary help me".into(),
        silent: false,
        visibility: Visibility::Operator,
    }
}

pub(super) fn doc_of(id: &str) -> DocId {
    id.parse().unwrap()
}

fn reached(detail: &IncidentDetailView) -> Vec<&str> {
    detail.steps.iter().filter(|step| step.at_ms.is_some()).map(|step| step.step.as_str()).collect()
}

#[tokio::test]
async fn the_same_alert_twice_is_one_incident() {
    let federation = Federation::new(2);
    let home = node(&federation, 0);
    let rosa = home.resident("Rosa", Some(inside(0))).await;
    let (first, second) = tokio::join!(
        home.desk.raise_alert(rosa, sos(1, Some(inside(0)))),
        home.desk.raise_alert(rosa, sos(1, Some(inside(0))))
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.id, second.id);
    assert_eq!([first.already, second.already].iter().filter(|already| **already).count(), 1);
    let other = home.desk.raise_alert(rosa, sos(2, Some(inside(0)))).await.unwrap();
    assert_ne!(other.id, first.id, "two alerts are two incidents");
    assert_eq!(home.desk.my_alerts(rosa).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_incident_goes_from_ringing_to_closed_and_the_reporter_sees_only_what_is_true() {
    let federation = Federation::new(2);
    let home = node(&federation, 0);
    let rosa = home.resident("Rosa", Some(inside(0))).await;
    let ana = home.operator("Ana").await;
    let raised = home.desk.raise_alert(rosa, sos(1, None)).await.unwrap();
    assert!(!raised.outside, "home stands in for a missing position");
    let doc = doc_of(&raised.id);

    let queue = home.desk.queue(ana, IncidentQuery::Open).await.unwrap();
    assert!(queue[0].ringing && queue[0].ours && queue[0].point_exact);
    assert_eq!(queue[0].text.as_deref(), Some("Canary help me"));
    assert_eq!(reached(&home.show(rosa, doc).await), ["stored"]);

    let claimed = home.desk.claim(ana, doc).await.unwrap();
    assert_eq!(claimed.incident.claimed_by.as_deref(), Some("Ana"));
    assert!(!claimed.incident.ringing);
    assert_eq!(claimed.reporter.unwrap().name.as_deref(), Some("Rosa"));
    home.desk.step(ana, doc, Step::OnTheWay).await.unwrap();
    assert!(matches!(home.desk.step(ana, doc, Step::Called).await, Err(ActError::NotNow)));
    home.desk.respond(ana, doc, Response::OnTheWay, "Móvil 3").await.unwrap();
    home.desk.note(ana, doc, "for the desks only", false).await.unwrap();
    home.desk.close(ana, doc, Outcome::Helped).await.unwrap();

    let seen = home.show(rosa, doc).await;
    assert_eq!(reached(&seen), ["stored", "seen", "on_the_way"]);
    assert_eq!((seen.incident.status.as_str(), seen.incident.crews), ("closed", 1));
    assert!(seen.timeline.iter().all(|line| line.what != "note" && line.by.is_none()));
    assert!(seen.reporter.is_none());

    let answered = home.desk.answer_solved(rosa, doc, Solved::No).await.unwrap();
    assert_eq!(answered.incident.status, "on_the_way", "the reporter opened it again");
    let Viewer::Resident(person) = rosa else { panic!("a resident") };
    let reads = home.desk.store().read_here(|r| r.audit_of(person, 10)).unwrap();
    assert!(reads.iter().any(|row| row.entry.as_ref().unwrap().what == "read reporter"));
}

#[tokio::test]
async fn an_sos_is_kept_whatever_is_wrong_with_it_and_other_kinds_get_a_clear_answer() {
    let federation = Federation::new(2);
    let home = node(&federation, 0);
    let nowhere = home.desk.raise_alert(Viewer::Nobody, sos(1, None)).await.unwrap();
    assert!(nowhere.outside);
    let ocean = Point::from_degrees(-30.0, -100.0);
    let at_sea = home.desk.raise_alert(Viewer::Nobody, sos(2, ocean)).await.unwrap();
    assert!(at_sea.outside);
    let mut long = sos(3, Some(inside(0)));
    long.text = "é".repeat(10_000);
    home.desk.raise_alert(Viewer::Nobody, long.clone()).await.unwrap();
    let ana = home.operator("Ana").await;
    let queue = home.desk.queue(ana, IncidentQuery::Open).await.unwrap();
    assert_eq!(queue.len(), 3);
    assert!(queue.iter().all(|row| row.ringing));

    let noise = |alert: NewAlert| NewAlert { kind: Kind::by_name("noise").unwrap(), ..alert };
    let refused = home.desk.raise_alert(Viewer::Nobody, noise(sos(4, None))).await;
    assert!(matches!(refused, Err(ActError::NotForYou)), "{refused:?}");
    let rosa = home.resident("Rosa", None).await;
    let placeless = home.desk.raise_alert(rosa, noise(sos(5, None))).await.unwrap();
    assert!(placeless.outside, "a place that nobody gave is marked as such");
    let refused = home.desk.raise_alert(rosa, noise(long)).await;
    assert!(matches!(refused, Err(ActError::Field("text"))), "{refused:?}");
}

#[tokio::test]
async fn a_node_without_any_valid_key_keeps_its_peoples_alerts_and_they_count_under_its_next_key() {
    let mut federation = Federation::new(2);
    let (town, precinct) = (node(&federation, 0), node(&federation, 2));
    let (rosa, marta) = (town.resident("Rosa", Some(inside(0))).await, town.operator("Marta").await);
    federation.revoke(0);
    town.desk.store().set_rosters(federation.rosters.clone()).await.unwrap();
    let raised = town.desk.raise_alert(rosa, sos(1, Some(inside(0)))).await.unwrap();
    let doc = doc_of(&raised.id);
    assert_eq!(town.desk.queue(marta, IncidentQuery::Open).await.unwrap().len(), 1);
    let refused = town.desk.step(marta, doc, Step::Received).await;
    let no_key = SealError::Refused(Refusal::Key);
    assert!(matches!(&refused, Err(ActError::Rules(why)) if *why == no_key), "{refused:?}");

    // Listed with a new key, it goes on where it stopped, and others believe the whole of it.
    let own = federation.id(0);
    federation.publish(|body| {
        let member = body.members.iter_mut().find(|member| member.id == own).unwrap();
        member.keys.push(active_key(0, 1));
    });
    town.desk.store().set_own_keys(vec![member_key(0, 0), member_key(0, 1)]);
    for node in [&town, &precinct] {
        node.desk.store().set_rosters(federation.rosters.clone()).await.unwrap();
    }
    town.desk.step(marta, doc, Step::Received).await.unwrap();
    town.send(doc, &precinct).await;
    for node in [&town, &precinct] {
        let document = node.desk.store().read_here(|r| r.document(doc)).unwrap().unwrap();
        let fold = Fold::of(&document, &node.desk.store().rosters()).unwrap();
        assert_eq!((fold.owner, fold.answering, fold.step), (own, own, Some(Step::Received)));
    }
}

#[tokio::test]
async fn a_border_incident_is_worked_on_by_both_desks_and_handed_over() {
    let federation = Federation::new(2);
    let (a, b) = (node(&federation, 0), node(&federation, 1));
    let (ana, beto) = (a.operator("Ana").await, b.operator("Beto").await);
    let rosa = a.resident("Rosa", None).await;
    // Roaming: the place is in the other's territory; the home node keeps the identity.
    let raised = a.desk.raise_alert(rosa, sos(1, Some(inside(1)))).await.unwrap();
    assert!(raised.offered_to.is_some());
    let doc = doc_of(&raised.id);
    a.send(doc, &b).await;
    let at_b = b.desk.queue(beto, IncidentQuery::Open).await.unwrap();
    assert!(at_b[0].offered_to_us && !at_b[0].ours && at_b[0].ringing);
    assert!(b.show(beto, doc).await.reporter.is_none(), "who reported never leaves home");
    assert!(b.show(beto, doc).await.timeline[0].detail_pending, "the words are not here yet");
    assert!(matches!(b.desk.step(beto, doc, Step::OnTheWay).await, Err(ActError::NotNow)));

    let accepted = b.desk.accept(beto, doc).await.unwrap();
    assert!(!accepted.incident.ours, "it is the old owner's until the commit");
    b.send(doc, &a).await;
    let accept = a.show(ana, doc).await.timeline.last().unwrap().id.parse().unwrap();
    let commit = Operation::Commit { accept };
    assert!(a.desk.auto_commit(doc, commit.clone()).await.unwrap());
    assert!(!a.desk.auto_commit(doc, commit).await.unwrap(), "once");
    a.send(doc, &b).await;
    let (at_a, at_b) = (a.show(ana, doc).await, b.show(beto, doc).await);
    assert!(at_b.incident.ours && !at_a.incident.ours);
    assert_eq!(at_a.heads, at_b.heads);
    b.desk.step(beto, doc, Step::OnSite).await.unwrap();
    b.send(doc, &a).await;
    assert_eq!(reached(&a.show(rosa, doc).await), ["stored", "seen", "on_site"]);
    assert!(matches!(
        a.desk.offer(ana, doc, federation.id(1), HandoffReason::Means).await,
        Err(ActError::NotNow)
    ));
}

#[tokio::test]
async fn what_is_near_is_shown_as_a_cell_and_private_kinds_are_not() {
    let federation = Federation::new(2);
    let home = node(&federation, 0);
    let place = inside(0);
    let (rosa, luis) = (home.resident("Rosa", Some(place)).await, home.resident("Luis", Some(place)).await);
    let raised = home.desk.raise_alert(rosa, sos(1, Some(place))).await.unwrap();
    let private = NewAlert { kind: Kind::by_name("domestic_violence").unwrap(), ..sos(2, Some(place)) };
    let private = doc_of(&home.desk.raise_alert(rosa, private).await.unwrap().id);
    let near = home.desk.near(luis).await.unwrap();
    assert_eq!(near.iter().map(|row| &row.id).collect::<Vec<_>>(), [&raised.id]);
    assert!(!near[0].point_exact && near[0].text.is_none());
    assert!(matches!(home.desk.incident(luis, private).await, Err(ActError::NotFound)));
    assert!(home.desk.incident(rosa, private).await.is_ok());
    let doc = doc_of(&raised.id);
    let shown = home.desk.contribute(luis, doc, ContributionKind::SawItToo, "").await.unwrap();
    assert_eq!(shown.incident.saw_it_too, 1);
    home.desk.contribute(luis, doc, ContributionKind::SawItToo, "").await.unwrap();
    assert_eq!(home.show(luis, doc).await.incident.saw_it_too, 1, "a person counts once");
    home.desk.contribute(luis, doc, ContributionKind::Information, "a red car").await.unwrap();
    let texts = |detail: IncidentDetailView| detail.timeline.into_iter().filter_map(|line| line.text).count();
    assert_eq!(texts(home.show(rosa, doc).await), 1, "what others told is for the desk");
    let ana = home.operator("Ana").await;
    assert_eq!(texts(home.show(ana, doc).await), 2);
}

#[tokio::test]
async fn words_points_and_people_are_found_in_no_file() {
    let federation = Federation::new(2);
    let home = node(&federation, 0);
    let rosa = home.resident("Rosacanary", Some(inside(0))).await;
    let mut alert = sos(1, Some(inside(0)));
    alert.text = format!("Canary {}", "long words ".repeat(250));
    let doc = doc_of(&home.desk.raise_alert(rosa, alert).await.unwrap().id);
    let ana = home.operator("Anacanary").await;
    home.desk.note(ana, doc, "canary note", false).await.unwrap();
    let point = inside(0);
    let needles =
        ["anary".to_owned(), "1111 2222".into(), point.lat_e7.to_string(), point.lon_e7.to_string()];
    let mut folders = vec![home.folder.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            for needle in &needles {
                let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
                assert!(!found, "{needle} is in {}", path.display());
            }
        }
    }
    assert!(files >= 4);
}

#[tokio::test]
async fn rebuilding_gives_equal_tables() {
    let federation = Federation::new(2);
    let (a, b) = (node(&federation, 0), node(&federation, 1));
    let (rosa, ana) = (a.resident("Rosa", None).await, a.operator("Ana").await);
    for n in 0..5 {
        let raised = a.desk.raise_alert(rosa, sos(n, Some(inside(usize::from(n % 2))))).await.unwrap();
        let doc = doc_of(&raised.id);
        a.desk.step(ana, doc, Step::OnSite).await.unwrap();
        a.desk.respond(ana, doc, Response::OnSite, "Móvil 1").await.unwrap();
        if n > 2 {
            a.desk.close(ana, doc, Outcome::FalseAlarm).await.unwrap();
        }
        if a.show(ana, doc).await.incident.offered_to.is_some() {
            a.send(doc, &b).await;
        }
    }
    for node in [&a, &b] {
        let store = node.desk.store();
        let before = store.dump_derived().await.unwrap();
        assert!(store.rebuild().await.unwrap() > 0);
        assert_eq!(store.dump_derived().await.unwrap(), before);
    }
}

#[tokio::test]
async fn a_full_database_takes_nothing_half_and_tells() {
    let federation = Federation::new(2);
    let home = node_with(&federation, 0, Some(160));
    let ana = home.operator("Ana").await;
    let mut stored = 0_u8;
    let error = loop {
        match home.desk.raise_alert(Viewer::Nobody, sos(stored, Some(inside(0)))).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ActError::Store(WriteError::Full)), "{error:?}");
    assert_eq!(home.desk.queue(ana, IncidentQuery::All).await.unwrap().len(), usize::from(stored));
    let refused =
        home.desk.store().read_here(|r| r.alert(protocol::ids::alert_nonce(&[stored; 32]))).unwrap();
    assert_eq!(refused, None);
    let photo = home.desk.add_media(ana, DocId([0; 32]), Vec::new()).await;
    assert!(photo.is_err());
}

#[tokio::test]
async fn an_old_alarm_rings_nobody_and_a_flood_goes_to_the_bulk_queue() {
    let federation = Federation::new(2);
    let (a, b) = (node(&federation, 0), node(&federation, 1));
    let beto = b.operator("Beto").await;
    let mut docs = Vec::new();
    for n in 0..62_u8 {
        let raised = a.desk.raise_alert(Viewer::Nobody, sos(n, Some(inside(1)))).await.unwrap();
        docs.push(doc_of(&raised.id));
    }
    for doc in &docs {
        a.send(*doc, &b).await;
    }
    let queue = b.desk.queue(beto, IncidentQuery::Open).await.unwrap();
    assert_eq!(queue.len(), 62, "none is dropped");
    assert_eq!(queue.iter().filter(|row| row.ringing).count(), 60);
    assert!(queue.iter().take(60).all(|row| row.ringing), "what rings comes first");

    let late = a.desk.raise_alert(Viewer::Nobody, sos(99, Some(inside(1)))).await.unwrap();
    let doc = doc_of(&late.id);
    let document = a.desk.store().read_here(|r| r.document(doc)).unwrap().unwrap();
    let (genesis, from) = (document.genesis().unwrap().clone(), federation.id(0));
    b.clock.fetch_add(3_600_000, Ordering::SeqCst);
    b.desk
        .store()
        .write(Queue::Urgent, move |tx| tx.take_in(&genesis, Arrival { from, age: Millis(16 * 60 * 1_000) }))
        .await
        .unwrap();
    let shown = b.show(beto, doc).await.incident;
    assert!(shown.late && !shown.ringing);
}

#[tokio::test]
async fn a_photo_is_pixels_only_sealed_on_disk_and_shown_to_who_may_see_it() {
    let federation = Federation::new(2);
    let (a, b) = (node(&federation, 0), node(&federation, 1));
    let (rosa, luis) = (a.resident("Rosa", None).await, a.resident("Luis", None).await);
    let (ana, beto) = (a.operator("Ana").await, b.operator("Beto").await);
    let doc = doc_of(&a.desk.raise_alert(rosa, sos(1, Some(inside(1)))).await.unwrap().id);
    let mut noisy = image::RgbImage::new(300, 200);
    for (x, y, pixel) in noisy.enumerate_pixels_mut() {
        *pixel = image::Rgb([(x * 7 + y * 13) as u8, (x * y) as u8, (x ^ y) as u8]);
    }
    let mut file = Vec::new();
    noisy.write_to(&mut std::io::Cursor::new(&mut file), image::ImageFormat::Png).unwrap();
    let refused = a.desk.add_media(luis, doc, file.clone()).await;
    assert!(matches!(refused, Err(MediaError::Act(ActError::NotFound))), "{refused:?}");
    let refused = a.desk.add_media(rosa, doc, b"GIF89a no".to_vec()).await;
    assert!(matches!(refused, Err(MediaError::Picture(PictureFault::NotAPicture))), "{refused:?}");
    let limit = usize::try_from(a.desk.config().limits.photo_bytes_max.get()).unwrap();
    let refused = a.desk.add_media(rosa, doc, vec![0; limit + 1]).await;
    assert!(matches!(refused, Err(MediaError::Picture(PictureFault::TooLarge))), "{refused:?}");
    let blob = a.desk.add_media(rosa, doc, file).await.unwrap();

    for viewer in [rosa, ana] {
        let media = a.desk.media(viewer, blob).await.unwrap();
        assert!(media.bytes.starts_with(b"\xff\xd8\xff"));
        assert_eq!(a.show(viewer, doc).await.timeline[1].photos, [blob.to_string()]);
    }
    for viewer in [luis, Viewer::Nobody] {
        assert!(matches!(a.desk.media(viewer, blob).await, Err(ActError::NotFound)));
    }
    let path = a.folder.path().join("blobs").join(&blob.to_string()[..2]).join(blob.to_string());
    let sealed = std::fs::read(path).unwrap();
    assert!(!sealed.windows(3).any(|window| window == b"\xff\xd8\xff"));

    // The other node gets the document first and the photo later.
    a.send(doc, &b).await;
    assert!(b.show(beto, doc).await.timeline[1].detail_pending);
    let missing = b.desk.store().read_here(|r| r.missing_blobs(10)).unwrap();
    assert_eq!(missing.len(), 2, "the words and the photo");
    let content = a.desk.store().read_here(|r| r.blob(&blob)).unwrap().unwrap();
    let staged = b.desk.store().stage(content.salt, content.content).await.unwrap();
    assert_eq!(staged.id(), blob, "the commitment holds");
    b.desk.store().write(Queue::Bulk, move |tx| tx.keep_blob(&staged, Some(doc))).await.unwrap();
    assert!(!b.show(beto, doc).await.timeline[1].detail_pending);
    assert_eq!(b.desk.media(beto, blob).await.unwrap(), a.desk.media(ana, blob).await.unwrap());
}

#[tokio::test]
async fn the_country_shows_of_a_private_incident_only_that_it_is() {
    let federation = Federation::new(2);
    let (a, nation) = (node(&federation, 0), node(&federation, federation.precinct() + 1));
    let rosa = a.resident("Rosa", None).await;
    for (secret, kind) in [(1, "domestic_violence"), (2, "robbery")] {
        let alert = NewAlert { kind: Kind::by_name(kind).unwrap(), ..sos(secret, Some(inside(0))) };
        let doc = doc_of(&a.desk.raise_alert(rosa, alert).await.unwrap().id);
        a.send(doc, &nation).await;
        let shown = nation.desk.incident(Viewer::Nobody, doc).await;
        assert!(matches!(shown, Err(ActError::NotFound)), "lists only");
    }
    let country = nation.desk.country(None).await.unwrap();
    assert_eq!((country.ticker.len(), country.open_now), (2, 2));
    for row in country.ticker {
        assert_eq!(row.point.is_some(), row.kind == "robbery");
        assert_eq!(row.cell.is_empty(), row.kind != "robbery");
        assert!(row.text.is_none() && !row.point_exact && !row.ringing);
    }
}

#[tokio::test]
async fn a_neighbour_who_comes_back_stays_signed_in_and_a_shift_ends() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    let federation = Federation::new(2);
    let home = node(&federation, 0);
    let code = home.desk.create_invitation(1, Millis(60_000)).await.unwrap();
    let form = JoinForm {
        code: code.clone(),
        name: "Rosa".into(),
        address: "Los Olmos 1".into(),
        ..JoinForm::default()
    };
    let rosa = home.desk.join(form.clone()).await.unwrap();
    assert!(matches!(home.desk.join(form).await, Err(SignInError::CodeUnusable)), "spent");
    let person = home.desk.add_operator("Ana").await.unwrap();
    let code = home.desk.sign_in_code(person, Millis(60_000)).await.unwrap();
    let ana = home.desk.sign_in(&code).await.unwrap();
    assert!(matches!(home.desk.sign_in(&code).await, Err(SignInError::CodeUnusable)), "spent");
    let days = u64::from(home.desk.config().limits.session_days.get());
    for _ in 0..3 {
        home.clock.fetch_add((days - 1) * DAY_MS, Ordering::SeqCst);
        assert!(matches!(home.desk.session(&rosa.token).await.unwrap(), Viewer::Resident(_)));
        assert_eq!(home.desk.session(&ana.token).await.unwrap(), Viewer::Nobody);
    }
    home.clock.fetch_add((days + 1) * DAY_MS, Ordering::SeqCst);
    assert_eq!(home.desk.session(&rosa.token).await.unwrap(), Viewer::Nobody);
}
