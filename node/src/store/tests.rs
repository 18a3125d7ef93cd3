//! What the store promises as a whole, on real files.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::limits::GROUP_MS_MAX;
use super::*;
use protocol::fixture::Federation;
use protocol::ids::Code;
use protocol::message::Prefix;

const LA_PINTANA: Code = Code::chile(13112);

fn open(folder: &Path) -> Store {
    open_with(folder, None)
}

fn open_with(folder: &Path, pages_max: Option<u32>) -> Store {
    open_as(folder, &Federation::new(2), 0, pages_max)
}

pub(crate) fn open_as(folder: &Path, federation: &Federation, n: usize, pages_max: Option<u32>) -> Store {
    Store::open(Opening { pages_max, ..opening(folder, federation, n) }).unwrap()
}

pub(super) fn opening(folder: &Path, federation: &Federation, n: usize) -> Opening {
    Opening {
        folder: folder.to_owned(),
        clock: Arc::new(|| Millis(1_000)),
        hand: federation.hand(n),
        rosters: federation.rosters.clone(),
        time_zone: jiff::tz::TimeZone::UTC,
        ballast_bytes: 4_096,
        pages_max: None,
    }
}

fn rosa() -> Profile {
    Profile {
        name: "Rosa Canario Quispe".into(),
        address: "Pasaje Canario 77".into(),
        phone: Some("+56 9 5555 0199".into()),
        lang: "es".into(),
        home: Some((-33.5912345, -70.6543219)),
    }
}

async fn add(store: &Store, profile: Profile) -> Result<PersonId, WriteError> {
    store
        .write(Queue::Normal, move |tx| {
            let household = Some(tx.household(&profile.address, LA_PINTANA, Millis(5))?);
            tx.add_person(&NewPerson {
                role: Role::Resident,
                household,
                profile: profile.clone(),
                created: Millis(5),
            })
        })
        .await
}

#[tokio::test]
async fn a_failed_job_leaves_nothing_and_its_neighbours_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let failing = store.write(Queue::Normal, |tx| -> Result<(), WriteError> {
        tx.household("Failing 1", LA_PINTANA, Millis(5))?;
        Err(WriteError::Broken("asked for".into()))
    });
    let panicking = store.write(Queue::Normal, |tx| -> Result<(), WriteError> {
        tx.household("Panicking 1", LA_PINTANA, Millis(5))?;
        panic!("asked for")
    });
    let (failed, added, panicked) = tokio::join!(failing, add(&store, rosa()), panicking);
    assert!(matches!(failed, Err(WriteError::Broken(_))), "{failed:?}");
    assert!(matches!(panicked, Err(WriteError::Broken(_))), "{panicked:?}");
    let person = added.unwrap();
    let (households, row, last) = store
        .read(move |r| {
            Ok::<_, WriteError>((
                r.households_before(LA_PINTANA, Millis(6))?,
                r.person(person)?,
                r.last_event()?,
            ))
        })
        .await
        .unwrap();
    assert_eq!(households, 1);
    assert_eq!(row.unwrap().profile, rosa());
    assert_eq!(last, 1, "only the kept job told of itself");
}

#[tokio::test]
async fn everything_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let person = add(&store, rosa()).await.unwrap();
    store.stop();
    let refused = add(&store, rosa()).await;
    assert!(matches!(refused, Err(WriteError::Stopped)));
    drop(store);
    let store = open(folder.path());
    let row = store.read_here(|r| r.person(person)).unwrap();
    assert_eq!(row.unwrap().profile, rosa());
}

#[tokio::test]
async fn full_database_is_told_and_nothing_is_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), Some(64));
    let mut added = 0_u64;
    let full = loop {
        let mut profile = rosa();
        profile.address = format!("Los Olmos {added}");
        match add(&store, profile).await {
            Ok(_) => added += 1,
            Err(fault) => break fault,
        }
        assert!(added < 10_000, "the page limit was not applied");
    };
    assert!(matches!(full, WriteError::Full), "{full:?}");
    assert!(!store.has_room().await.unwrap());
    assert!(!*store.fatal().borrow(), "a full disk does not stop the node");
    let households = store.read_here(|r| r.households_before(LA_PINTANA, Millis(6))).unwrap();
    assert_eq!(households, added);
    // What is there can still be read and what needs no room still be done.
    store.write(Queue::Urgent, |tx| tx.end_session("none")).await.unwrap();
}

#[tokio::test]
async fn personal_fields_are_found_in_no_file_and_erasing_makes_them_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let person = add(&store, rosa()).await.unwrap();
    store
        .write(Queue::Normal, move |tx| {
            let entry = AuditEntry {
                who: "operator 1".into(),
                what: "read resident".into(),
                on: "Rosa Canario Quispe".into(),
                why: "canario purpose".into(),
            };
            tx.audit(Some(person), &entry)
        })
        .await
        .unwrap();
    let canaries = ["Canario", "canario", "5555 0199", "55550199", "-33.59123", "70.65432"];
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for canary in canaries {
            let hex = hex::encode(canary);
            for needle in [canary.as_bytes(), hex.as_bytes()] {
                let found = bytes.windows(needle.len()).any(|window| window == needle);
                assert!(!found, "{canary} is in {}", path.display());
            }
        }
    }
    let found = store.read_here(|r| r.residents_by_phone("955550199")).unwrap();
    assert_eq!(found.len(), 1, "looked up by its mark");
    let kept = store.read_here(|r| r.audit_of(person, 10)).unwrap();
    assert_eq!(kept[0].entry.as_ref().unwrap().why, "canario purpose");

    let key = store.read_here(|r| r.keys().person(person.0)).unwrap().unwrap();
    let holds_key = || {
        let files = ["keys.db", "keys.db-wal", "node.db", "node.db-wal"].map(|name| folder.path().join(name));
        let bytes: Vec<u8> = files.iter().flat_map(|path| std::fs::read(path).unwrap_or_default()).collect();
        bytes.windows(32).any(|window| window == key.as_bytes())
    };
    assert!(holds_key());
    store.erase_person(person).await.unwrap();
    assert!(!holds_key(), "the key is left in a file");
    assert_eq!(store.read_here(|r| r.person(person)).unwrap(), None);
    assert_eq!(store.read_here(|r| r.audit_of(person, 10)).unwrap()[0].entry, None);
    assert_eq!(store.read_here(|r| r.check_audit()).unwrap(), Ok(1), "the chain stays whole");
    assert_eq!(store.read_here(|r| r.households_before(LA_PINTANA, Millis(9))).unwrap(), 0);
}

#[tokio::test]
async fn changed_or_removed_audit_rows_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for n in 0..5 {
        let entry =
            AuditEntry { who: "local".into(), what: "test".into(), on: n.to_string(), why: String::new() };
        store.write(Queue::Normal, move |tx| tx.audit(None, &entry)).await.unwrap();
    }
    assert_eq!(store.read_here(|r| r.check_audit()).unwrap(), Ok(5));
    for (sql, bad) in [
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE number = 4", 4),
        ("UPDATE audit SET commitment = randomblob(32) WHERE number = 3", 3),
        ("DELETE FROM audit WHERE number = 2", 2),
    ] {
        store.write(Queue::Normal, move |tx| Ok::<_, WriteError>(tx.db().execute(sql, [])?)).await.unwrap();
        assert_eq!(store.read_here(|r| r.check_audit()).unwrap(), Err(BrokenChain(bad)));
    }
}

#[tokio::test]
async fn codes_are_spent_once_and_expire() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let person = add(&store, rosa()).await.unwrap();
    store
        .write(Queue::Normal, move |tx| {
            tx.add_code("ONCE", CodeFor::SignIn(person), 1, Millis(2_000))?;
            tx.add_code("LATE", CodeFor::Join, 1, Millis(1_000))?;
            tx.add_code("TWICE", CodeFor::Join, 2, Millis(2_000))
        })
        .await
        .unwrap();
    let spend = |code: &'static str| store.write(Queue::Normal, move |tx| tx.spend_code(code));
    assert_eq!(spend("ONCE").await.unwrap(), Some(CodeFor::SignIn(person)));
    assert_eq!(spend("ONCE").await.unwrap(), None);
    assert_eq!(spend("LATE").await.unwrap(), None);
    assert_eq!(spend("NEVER").await.unwrap(), None);
    for expected in [Some(CodeFor::Join), Some(CodeFor::Join), None] {
        assert_eq!(spend("TWICE").await.unwrap(), expected);
    }
}

#[tokio::test]
async fn events_continue_from_any_number_and_old_ones_ask_for_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut commits = store.commits();
    for _ in 0..3 {
        store.write(Queue::Normal, |tx| tx.event(What::Figures, None)).await.unwrap();
    }
    assert_eq!(commits.recv().await.unwrap().events[0].number, 1);
    let after = |number| store.read_here(move |r| r.events_after(number)).unwrap();
    let Missed::Events(missed) = after(1) else { panic!("kept") };
    assert_eq!(missed.iter().map(|event| event.number).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(after(3), Missed::Events(Vec::new()));
    assert_eq!(after(4), Missed::Reload(3), "a number from another life of this node");
    store
        .write(Queue::Normal, |tx| {
            Ok::<_, WriteError>(tx.db().execute("DELETE FROM event WHERE number < 3", [])?)
        })
        .await
        .unwrap();
    assert_eq!(after(1), Missed::Reload(3));
}

#[test]
fn sqlite_with_the_wal_defect_is_refused() {
    for (version, fine) in
        [("3.51.2", false), ("3.51.3", true), ("3.52.0", false), ("3.52.1", true), ("4.0.0", true)]
    {
        assert_eq!(check_sqlite_version(version).is_ok(), fine, "{version}");
    }
}

#[tokio::test]
async fn a_failure_half_way_through_an_append_leaves_nothing() {
    use protocol::author::Draft;
    let folder = tempfile::tempdir().unwrap();
    let federation = Federation::new(2);
    let store = open_as(folder.path(), &federation, 0, None);
    let kind = protocol::kind::Kind::by_name("sos").unwrap();
    let draft = |seed: u64| Draft {
        operation: protocol::fixture::open(protocol::fixture::code(0), kind, &[federation.id(1)], None, seed),
        blobs: Vec::new(),
        answers: Vec::new(),
        written_at: Millis(1_000),
    };
    let first = draft(1);
    let kept = store.write(Queue::Urgent, move |tx| tx.append(None, &first, None)).await.unwrap();
    let before = store.dump_derived().await.unwrap();
    let doc = kept.header().doc;
    let step = Draft {
        operation: protocol::operation::Operation::Step {
            step: protocol::operation::Step::Received,
            by: protocol::fixture::somebody(1),
        },
        ..draft(0)
    };
    for place in ["envelope", "derive", "event"] {
        let (open, step) = (draft(2), step.clone());
        let failed = store
            .write(Queue::Urgent, move |tx| {
                tx.writing.fail_at = Some(place.into());
                let outcome = tx.append(Some(doc), &step, None).and_then(|_| tx.append(None, &open, None));
                tx.writing.fail_at = None;
                outcome
            })
            .await;
        assert!(matches!(failed, Err(AppendError::Store(WriteError::Broken(_)))), "{failed:?}");
        assert_eq!(store.dump_derived().await.unwrap(), before, "failed at {place}");
    }
    assert_eq!(store.read_here(|r| r.document(doc)).unwrap().unwrap().len(), 1);
    assert_eq!(store.read_here(|r| r.last_event()).unwrap(), 1);
    // The node's chain was not left with a gap: the next step is the second envelope.
    let next = store.write(Queue::Urgent, move |tx| tx.append(Some(doc), &step, None)).await.unwrap();
    assert_eq!(next.header().seq.0, 2);
    assert_eq!(store.read_here(|r| r.due_of(federation.id(1))).unwrap().0, 1);
}

/// Keeps the writer busy with a job until the sender says so, so that others wait together.
async fn keep_busy(
    store: &Store,
) -> (tokio::task::JoinHandle<Result<(), WriteError>>, std::sync::mpsc::Sender<()>) {
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let mut started = Some(started);
    let store = store.clone();
    let busy = tokio::spawn(async move {
        store
            .write(Queue::Bulk, move |_| {
                let _ = started.take().map(|started| started.send(()));
                let _ = released.recv();
                Ok::<_, WriteError>(())
            })
            .await
    });
    has_started.await.unwrap();
    (busy, release)
}

#[tokio::test]
async fn urgent_jobs_go_before_everything_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (busy, release) = keep_busy(&store).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for queue in [Queue::Bulk, Queue::Normal, Queue::Bulk, Queue::Urgent, Queue::Normal, Queue::Urgent] {
        let order = order.clone();
        let mut job = Box::pin(store.write(queue, move |_| {
            order.lock().unwrap().push(queue);
            Ok::<_, WriteError>(())
        }));
        // The first poll queues it.
        let queued = std::future::poll_fn(|context| std::task::Poll::Ready(job.as_mut().poll(context))).await;
        assert!(queued.is_pending());
        waiting.push(job);
    }
    release.send(()).unwrap();
    for job in waiting {
        job.await.unwrap();
    }
    busy.await.unwrap().unwrap();
    let order = order.lock().unwrap().clone();
    assert!(order.is_sorted(), "{order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_gets_its_turn_while_bulk_keeps_the_writer_busy() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let other = connect_one(folder.path(), "node.db").unwrap();
    let (through, is_through) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    // Two, so that one waits while the other is committed.
    let bulk = [(); 2].map(|()| {
        let (store, through, jobs) = (store.clone(), through.clone(), is_through.clone());
        tokio::spawn(async move {
            while !through.load(Ordering::Relaxed) {
                let long = move |_: &mut Tx<'_>| {
                    let began = Instant::now();
                    while began.elapsed() < Duration::from_millis(GROUP_MS_MAX) {
                        std::hint::spin_loop();
                    }
                    Ok::<_, WriteError>(())
                };
                store.write(Queue::Bulk, long).await.unwrap();
                jobs.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    while is_through.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    let turns = tokio::task::spawn_blocking(move || {
        let turn = || other.execute_batch("BEGIN IMMEDIATE; DELETE FROM due; COMMIT");
        (0..5).map(|_| turn()).collect::<Vec<_>>()
    });
    let turns = turns.await.unwrap();
    through.store(true, Ordering::Relaxed);
    for task in bulk {
        task.await.unwrap();
    }
    assert_eq!(turns, [(); 5].map(Ok));
}

#[tokio::test]
async fn only_the_job_that_does_not_fit_fails_on_a_full_database() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), Some(120));
    let large = store.write(Queue::Normal, |tx| -> Result<(), WriteError> {
        for n in 0..5_000 {
            tx.household(&format!("Los Olmos {n}"), LA_PINTANA, Millis(5))?;
        }
        Ok(())
    });
    let other = Profile { address: "Los Robles 1".into(), ..rosa() };
    let (before, full, after) = tokio::join!(add(&store, rosa()), large, add(&store, other));
    assert!(matches!(full, Err(WriteError::Full)), "{full:?}");
    let (before, after) = (before.unwrap(), after.unwrap());
    assert_eq!(store.read_here(|r| r.person(before)).unwrap().unwrap().profile, rosa());
    assert!(store.read_here(|r| r.person(after)).unwrap().is_some());
    assert_eq!(store.read_here(|r| r.households_before(LA_PINTANA, Millis(6))).unwrap(), 2);
    assert!(!folder.path().join("ballast").exists(), "the reserve was freed");
}

#[tokio::test]
async fn a_failed_disk_fails_everybody_who_waits_and_says_that_the_process_must_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (busy, release) = keep_busy(&store).await;
    let failing = store.write(Queue::Normal, |_| Err::<(), _>(WriteError::Io));
    // One goes before the job that meets the failure, mostly into the same transaction, one comes after.
    let released = async { release.send(()).unwrap() };
    let (before, failed, after, ()) =
        tokio::join!(biased; add(&store, rosa()), failing, add(&store, rosa()), released);
    assert!(matches!(failed, Err(WriteError::Io)), "{failed:?}");
    assert!(after.is_err(), "{after:?}");
    let stored = store.read_here(|r| r.households_before(LA_PINTANA, Millis(6))).unwrap();
    assert_eq!(stored, u64::from(before.is_ok()), "nothing is acknowledged from a disk that failed");
    let _ = busy.await.unwrap();
    store.fatal().wait_for(|failed| *failed).await.unwrap();
    assert!(matches!(add(&store, rosa()).await, Err(WriteError::Stopped)));
}

#[tokio::test]
async fn a_command_beside_the_running_node_writes_into_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let (running, beside) = (open(folder.path()), open(folder.path()));
    let (a, b) = tokio::join!(add(&running, rosa()), add(&beside, rosa()));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_ne!(a, b);
    for store in [&running, &beside] {
        for person in [a, b] {
            assert_eq!(store.read_here(|r| r.person(person)).unwrap().unwrap().profile, rosa());
        }
        assert_eq!(store.read_here(|r| r.households_before(LA_PINTANA, Millis(9))).unwrap(), 1);
    }
}

#[tokio::test]
async fn what_is_due_is_paged_in_order_and_cleared_only_for_what_was_confirmed() {
    use protocol::author::Draft;
    use protocol::digest::Fingerprint;
    use protocol::fixture::{code, open as opening, somebody};
    use protocol::operation::{Operation, Step};
    let folder = tempfile::tempdir().unwrap();
    let federation = Federation::new(2);
    let store = open_as(folder.path(), &federation, 0, None);
    let peer = federation.id(1);
    let draft =
        |operation| Draft { operation, blobs: Vec::new(), answers: Vec::new(), written_at: Millis(1_000) };
    let mut docs = Vec::new();
    for (seed, kind) in ["noise", "sos", "rubbish", "fire", "noise", "sos"].into_iter().enumerate() {
        let kind = protocol::kind::Kind::by_name(kind).unwrap();
        let mut operation = opening(code(0), kind, &[peer], None, u64::try_from(seed).unwrap());
        if let Operation::Open(open) = &mut operation {
            open.urgency = kind.urgency;
        }
        let draft = draft(operation);
        let kept = store.write(Queue::Urgent, move |tx| tx.append(None, &draft, None)).await.unwrap();
        docs.push(kept.header().doc);
    }
    // Some were due later than others.
    let later = [docs[0], docs[1]];
    let wait = move |tx: &mut Tx<'_>| -> Result<usize, WriteError> {
        let sql = "UPDATE due SET since_ms = 2000 WHERE doc IN (?1, ?2)";
        Ok(tx.db().execute(sql, later.map(|doc| doc.0))?)
    };
    assert!(store.write(Queue::Normal, wait).await.unwrap() > 0);
    let page = |after, limit| store.read_here(|r| r.due_rows(peer, after, limit)).unwrap();
    let all = page(None, 10);
    assert!(all.is_sorted_by_key(protocol::replica::DueRow::order));
    assert_eq!(all.iter().map(|row| row.rings).collect::<Vec<_>>(), [true, true, true, false, false, false]);
    let mut paged = page(None, 1);
    while let Some(last) = paged.last() {
        let more = page(Some(last.order()), 1);
        if more.is_empty() {
            break;
        }
        paged.extend(more);
    }
    assert_eq!(paged, all);

    let doc = docs[1];
    let seen = store.read_here(|r| r.document(doc)).unwrap().unwrap().fingerprint();
    let step = draft(Operation::Step { step: Step::Received, by: somebody(1) });
    store.write(Queue::Urgent, move |tx| tx.append(Some(doc), &step, None)).await.unwrap();
    let clear = |at| store.write(Queue::Normal, move |tx| tx.clear_due_at(peer, doc, &Fingerprint(at)));
    clear(seen).await.unwrap();
    assert_eq!(page(None, 10).len(), 6, "it confirmed less than there is now");
    clear(store.read_here(|r| r.document(doc)).unwrap().unwrap().fingerprint()).await.unwrap();
    assert_eq!(page(None, 10).len(), 5);
    store.write(Queue::Normal, move |tx| tx.set_due_to(peer, doc)).await.unwrap();
    assert_eq!(page(None, 10).len(), 6);
    let shared = store.read_here(|r| r.digest_below(&peer, &Prefix::default(), usize::MAX)).unwrap();
    assert_eq!(shared.len(), 6);
}

#[tokio::test]
async fn what_is_kept_parsed_is_what_the_log_says() {
    use protocol::author::Draft;
    use protocol::fixture::{code, open as opening, somebody};
    use protocol::operation::Operation;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let draft = |operation| Draft { operation, blobs: vec![], answers: vec![], written_at: Millis(1_000) };
    let begun = draft(opening(code(0), protocol::kind::Kind::by_name("sos").unwrap(), &[], None, 1));
    let begun = store.write(Queue::Urgent, move |tx| tx.append(None, &begun, None)).await.unwrap();
    let doc = begun.header().doc;
    let same = || {
        let logged = store.read_here(|r| r.document(doc)).unwrap().unwrap();
        assert_eq!(store.recent(doc).unwrap().heads(), logged.heads());
        for envelope in logged.envelopes() {
            let written = store.read_here(|r| r.written(&doc, &envelope.id())).unwrap();
            assert_eq!(store.written_lately(&envelope.id()), Some(written.unwrap()));
        }
    };
    same();
    let note = draft(Operation::Note { by: somebody(1) });
    store.write(Queue::Urgent, move |tx| tx.append(Some(doc), &note, None)).await.unwrap();
    same();
    // What a failed job has added is in nobody's memory.
    let note = draft(Operation::Note { by: somebody(2) });
    let failed = store.write(Queue::Urgent, move |tx| -> Result<(), AppendError> {
        tx.append(Some(doc), &note, None)?;
        Err(WriteError::Broken("asked for".into()).into())
    });
    assert!(failed.await.is_err());
    same();
}

#[test]
fn free_room_is_read_from_the_file_system() {
    let folder = tempfile::tempdir().unwrap();
    assert!(free_bytes(folder.path()).unwrap() > 0);
    assert!(free_bytes(&folder.path().join("not here")).is_err());
}

#[tokio::test]
async fn a_job_that_holds_the_last_clone_does_not_wait_for_itself() {
    struct Last(Option<Store>, std::sync::mpsc::Sender<()>);
    impl Drop for Last {
        fn drop(&mut self) {
            drop(self.0.take());
            let _ = self.1.send(());
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (dropped, has_dropped) = std::sync::mpsc::channel();
    let last = Last(Some(store.clone()), dropped);
    let (started, has_started) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let asking = store.clone();
    let mut job = Box::pin(async move {
        asking
            .write(Queue::Bulk, move |_| {
                let _held = &last;
                let _ = started.send(());
                let _ = released.recv();
                Ok::<_, WriteError>(())
            })
            .await
    });
    let queued = std::future::poll_fn(|context| std::task::Poll::Ready(job.as_mut().poll(context))).await;
    assert!(queued.is_pending());
    has_started.recv().unwrap();
    drop((job, store));
    release.send(()).unwrap();
    has_dropped.recv_timeout(Duration::from_secs(10)).unwrap();
}
