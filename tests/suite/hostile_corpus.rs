//! What a member with a valid key can try, one rule a case, against the real program over QUIC. After
//! every case: the node is up, the document is what its honest envelopes make it, what was honest beside
//! the rest was taken, and the reason is on record. The table of all cases is printed at the end and
//! left as JSON for `cargo dev goals`.

mod blobs;
mod chain;
mod envelopes;
mod floods;
mod frames;
mod later;
mod operations;
mod roster;
mod stage;
mod story;
mod transfers;
mod web;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Instant;

use protocol::envelope::SignedEnvelope;
use protocol::ids::{DocId, EnvelopeId};
use protocol::wire::Writer;
use serde_json::{Value, json};
use tests::cluster::wait_for;
use tests::peer::{NORMAL, URGENT};

use stage::Stage;
use story::{Bad, Fate, Story};

/// The fewest different rules that the corpus must break.
const RULES_MIN: usize = 80;

/// Which document a case plays in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// One that the attacked node opened and owns; the hostile member is involved.
    Theirs,
    /// One that the hostile member opened and owns; the attacked node is involved.
    Ours,
}

/// Something that a case does by itself; it gives what it saw.
pub type Deed = for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = String> + 'a>>;

/// How a rule is broken.
pub enum Breaks {
    /// By envelopes, in a frame that holds an honest one too.
    Envelopes(Ground, fn(&mut Story<'_>) -> Vec<Bad>),
    /// By bytes that cost the connection: on a lane, in a frame.
    Frame(fn(&Stage) -> frames::Twins),
    /// In any other way.
    Deed(Deed),
}

/// One rule and how it is broken.
pub struct Case {
    pub family: &'static str,
    pub rule: &'static str,
    pub breaks: Breaks,
}

/// A case of envelopes.
pub fn envelopes(
    family: &'static str,
    rule: &'static str,
    ground: Ground,
    make: fn(&mut Story<'_>) -> Vec<Bad>,
) -> Case {
    Case { family, rule, breaks: Breaks::Envelopes(ground, make) }
}

/// A case that does everything itself.
pub fn deed(family: &'static str, rule: &'static str, deed: Deed) -> Case {
    Case { family, rule, breaks: Breaks::Deed(deed) }
}

fn corpus() -> Vec<Case> {
    let families = [
        // First, while what this member opens may still ring.
        later::cases(),
        envelopes::automerge(),
        envelopes::fields(),
        chain::cases(),
        operations::cases(),
        transfers::cases(),
        blobs::cases(),
        frames::cases(),
        roster::cases(),
        web::cases(),
        floods::cases(),
    ];
    families.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_that_a_hostile_member_breaks_is_refused_on_record_and_costs_nobody_else() {
    let began = Instant::now();
    let mut stage = Stage::set().await;
    let mut lines = Vec::new();
    let only = std::env::var("CUADRA_HOSTILE_ONLY").unwrap_or_default();
    let wanted = |case: &Case| case.rule.contains(&only) || case.family == only;
    let cases: Vec<Case> = corpus().into_iter().filter(wanted).collect();
    for case in &cases {
        let started = Instant::now();
        let outcome = play(&mut stage, case).await;
        let took_ms = u64::try_from(started.elapsed().as_millis()).expect("not that long");
        println!("{:<13} {:<86} {outcome} ({took_ms} ms)", case.family, case.rule);
        lines.push(json!({ "family": case.family, "rule": case.rule, "outcome": outcome, "ms": took_ms }));
        assert!(stage.node().stranger().get("/health").await.status == 200, "after {}", case.rule);
    }
    let rules: BTreeSet<(&str, &str)> = cases.iter().map(|case| (case.family, case.rule)).collect();
    assert_eq!(rules.len(), cases.len(), "a rule is listed twice");
    let strict = Strict::count(&lines);
    let seconds = began.elapsed().as_secs();
    println!(
        "{} rules broken in {seconds} s, every one held; {} reasons on record, {} by family; {} cases by their effect",
        rules.len(),
        strict.reasons.len(),
        strict.by_family.len(),
        strict.by_effect
    );
    if only.is_empty() {
        leave(&json!({
            "cases": lines,
            "rules": rules.len(),
            "reasons": strict.reasons,
            "reasons_by_family": strict.by_family.len(),
            "by_effect": strict.by_effect,
            "seconds": seconds,
        }));
        let counted = strict.by_family.len();
        assert!(
            counted >= RULES_MIN,
            "{counted} rules with a reason of their own are fewer than {RULES_MIN}"
        );
    }
}

/// What the corpus amounts to if rules that leave the same words on record count once.
struct Strict {
    /// Different words on record: refusals, faults, what costs a connection, statuses.
    reasons: BTreeSet<String>,
    /// The same, each family for itself.
    by_family: BTreeSet<(String, String)>,
    /// Cases that nothing refuses and whose rule shows in what becomes of them: kept aside, without force,
    /// bounded.
    by_effect: usize,
}

impl Strict {
    fn count(lines: &[Value]) -> Strict {
        let mut strict = Strict { reasons: BTreeSet::new(), by_family: BTreeSet::new(), by_effect: 0 };
        for line in lines {
            let (family, outcome) = (line["family"].as_str(), line["outcome"].as_str());
            let (family, outcome) = (family.expect("a text"), outcome.expect("a text"));
            let on_record = ["refused", "blamed", "closed", "handshake refused", "answered"];
            if !on_record.iter().any(|kind| outcome.starts_with(kind)) {
                strict.by_effect += 1;
                continue;
            }
            for reason in outcome.split(" | ") {
                strict.reasons.insert(words_of(reason));
            }
            strict.by_family.insert((family.to_owned(), words_of(outcome)));
        }
        strict
    }
}

/// A reason without the ids and numbers in it, which would make one reason look like many; a status stays.
fn words_of(reason: &str) -> String {
    if reason.starts_with("answered") {
        return reason.to_owned();
    }
    let word = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let id = bare.len() == 64 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
        if id || number { "…".to_owned() } else { word.to_owned() }
    };
    reason.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Leaves the result where `cargo dev goals` looks.
fn leave(result: &Value) {
    let beside = || {
        let this = std::env::current_exe().expect("this test has a path");
        let target = this.ancestors().nth(3).expect("target/PROFILE/deps/suite").to_owned();
        target.join("goals").join("hostile.json")
    };
    let path = std::env::var_os("CUADRA_HOSTILE_RESULT").map_or_else(beside, PathBuf::from);
    std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
    std::fs::write(&path, format!("{result:#}\n")).expect("the result can be written");
}

async fn play(stage: &mut Stage, case: &Case) -> String {
    stage.reconnect().await;
    match case.breaks {
        Breaks::Envelopes(ground, make) => play_envelopes(stage, case.rule, ground, make).await,
        Breaks::Frame(make) => {
            let twins = make(stage);
            let outcome = frames::costs_the_connection(stage, &twins).await;
            stage.still_takes_what_is_honest(case.rule).await;
            outcome
        }
        Breaks::Deed(deed) => {
            let outcome = deed(stage).await;
            stage.still_takes_what_is_honest(case.rule).await;
            outcome
        }
    }
}

async fn play_envelopes(
    stage: &mut Stage,
    rule: &str,
    ground: Ground,
    make: fn(&mut Story<'_>) -> Vec<Bad>,
) -> String {
    let genesis = match ground {
        Ground::Theirs => Some(stage.raise().await),
        Ground::Ours => None,
    };
    let mut story = genesis
        .as_ref()
        .map_or_else(|| Story::ours(&stage.cast, 1), |genesis| Story::theirs(&stage.cast, genesis));
    let bad = make(&mut story);
    // Whoever forks its own chain here has nothing honest left to say.
    let author = match ground {
        Ground::Theirs => &stage.cast.hostile,
        Ground::Ours => &stage.cast.other,
    };
    let honest = story.honest(author);
    let (doc, before) = (story.doc, story.before.clone());
    let asides = stage.asides().await;
    let mut items: Vec<Bad> = before.iter().map(|e| Bad::of(e, Fate::Admitted)).collect();
    items.extend(bad.iter().cloned());
    items.push(Bad::of(&honest, Fate::Admitted));
    stage.peer.send_bytes(URGENT, &frame(doc, &items)).await;

    let held = |id| stage.ids(doc).contains(&id);
    wait_for(&format!("the honest envelope beside: {rule}"), async || held(honest.id()).then_some(())).await;
    let mut outcomes = BTreeSet::new();
    for bad in &bad {
        outcomes.insert(stage.met_its_fate(rule, bad, doc, &asides).await);
    }
    let admitted = bad.iter().filter(|bad| bad.fate == Fate::Admitted).filter_map(Bad::id);
    let mut expected: BTreeSet<EnvelopeId> = before.iter().map(SignedEnvelope::id).chain(admitted).collect();
    expected.extend(genesis.iter().map(SignedEnvelope::id).chain([honest.id()]));
    assert_eq!(stage.ids(doc), expected, "{rule}: the document is not what its honest envelopes make it");
    let (stored, computed) = stage.fingerprints(doc);
    assert_eq!(stored, Some(computed), "{rule}: the document's hash");
    assert!(stage.peer.connected(), "{rule}: the connection is gone, and the honest rest with it");
    outcomes.into_iter().collect::<Vec<_>>().join(" | ")
}

impl Stage {
    /// Faults and parked envelopes so far.
    async fn asides(&self) -> std::collections::BTreeMap<String, u64> {
        self.gauges().await
    }

    /// Waits until the reason is on record; gives it.
    async fn met_its_fate(
        &self,
        rule: &str,
        bad: &Bad,
        doc: DocId,
        before: &std::collections::BTreeMap<String, u64>,
    ) -> String {
        let what = format!("{:?} on record: {rule}", bad.fate);
        match bad.fate {
            Fate::Refused(refusal) => {
                let id = bad.id().expect("only what parses is refused");
                let reason = wait_for(&what, async || self.refusal(id)).await;
                assert_eq!(reason, refusal.to_string(), "{rule}");
                format!("refused: {refusal:?}")
            }
            Fate::Blamed(fault) => {
                let peer = self.cast.hostile.member;
                let name = format!("cuadra_peer_faults_total{{peer=\"{peer}\",fault=\"{}\"}}", fault.name());
                let earlier = before.get(&name).copied().unwrap_or_default();
                wait_for(&what, async || {
                    (self.gauges().await.get(&name).copied().unwrap_or_default() > earlier).then_some(())
                })
                .await;
                let verdict = bad.id().and_then(|id| self.refusal(id));
                assert_eq!(verdict, None, "{rule}: a bad copy has no verdict");
                format!("blamed: {fault:?}")
            }
            Fate::Parked => {
                let earlier = before.get("cuadra_parked").copied().unwrap_or_default();
                wait_for(&what, async || {
                    (self.gauges().await.get("cuadra_parked").copied()? > earlier).then_some(())
                })
                .await;
                let id = bad.id().expect("only what parses is parked");
                assert_eq!(self.refusal(id), None, "{rule}: it has no verdict");
                "parked".to_owned()
            }
            Fate::Admitted => {
                let id = bad.id().expect("only what parses is admitted");
                wait_for(&what, async || self.ids(doc).contains(&id).then_some(())).await;
                "admitted, without force".to_owned()
            }
            Fate::Proven => {
                wait_for(&what, async || self.proofs(doc).first().map(|_| ())).await;
                "a proof is kept".to_owned()
            }
        }
    }

    /// The generic check after what is not about envelopes: a document that was there before is as it
    /// was, and what is honest is still taken from the same member.
    async fn still_takes_what_is_honest(&mut self, rule: &str) {
        self.reconnect().await;
        let mut story = Story::ours(&self.cast, 2);
        let honest = story.honest(&self.cast.other);
        let mut items: Vec<Bad> = story.before.iter().map(|e| Bad::of(e, Fate::Admitted)).collect();
        items.push(Bad::of(&honest, Fate::Admitted));
        story.note(&honest);
        self.peer.send_bytes(NORMAL, &frame(story.doc, &items)).await;
        wait_for(&format!("an honest envelope after: {rule}"), async || {
            self.ids(story.doc).contains(&honest.id()).then_some(())
        })
        .await;
    }
}

/// A `body` of these envelopes, whatever they are.
pub fn frame(doc: DocId, items: &[Bad]) -> Vec<u8> {
    let mut w = Writer::new();
    w.u8(10).raw(&doc.0).list(items, |w, item| {
        w.u64(0).bytes(&item.bytes).list(&item.blobs, |w, blob| {
            w.raw(&blob.id.0).raw(&blob.salt).bytes(&blob.content);
        });
    });
    w.into_bytes()
}
