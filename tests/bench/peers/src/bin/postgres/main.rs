//! PostgreSQL's logical replication: two servers of the installed release, one subscribed to the other.
//! Central and unsigned: the subscriber only copies what the publisher has committed.

mod proxy;
mod server;

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use server::{Server, Told};
use tests_peers::clock::{ms_between, now_ns};
use tests_peers::content;
use tests_peers::figures::{Figures, Unfinished, percentile};
use tests_peers::measure::{Measure, Work};
use tests_peers::node::About;
use tests_peers::works::Caught;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

const ABOUT: About = About {
    system: "PostgreSQL logical replication",
    crates: &["tokio-postgres"],
    transport: "TCP without TLS, bytes through a relay",
    store: "its own, fsync on; a transaction a document",
    lazy_as_shipped: false,
};
/// When a subscriber's commit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commits {
    /// Each waits for the disk.
    Durable,
    /// As the release ships: they do not wait, and the subscriber reports when the disk has them.
    Reported,
}

/// How often is asked whether something is so.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Longest that anything else may take: starting, filling, comparing.
const READY_WITHIN: Duration = Duration::from_secs(120);

#[derive(Parser)]
enum Program {
    /// Run both servers and print what was measured, as JSON
    Measure(Measure),
}

fn main() -> anyhow::Result<()> {
    let Program::Measure(measure) = Program::parse();
    let figures = match server::programs() {
        Some(programs) => tokio::runtime::Runtime::new()?.block_on(works(&measure, &programs))?,
        None => Figures::left_out("PostgreSQL is not installed (Debian: apt-get install postgresql)"),
    };
    println!("{}", figures.json(&ABOUT));
    Ok(())
}

async fn works(measure: &Measure, programs: &Path) -> anyhow::Result<Figures> {
    let wanted = |work| measure.works.is_empty() || measure.works.contains(&work);
    let mut figures = Figures::default();
    for (work, run) in [("W1", Work::W1), ("W2", Work::W2), ("W3", Work::W3)] {
        if !wanted(run) {
            continue;
        }
        let folder = tempfile::tempdir()?;
        let pair = Pair::start(programs, folder.path()).await?;
        match run {
            Work::W1 => pair.live(&mut figures, measure).await?,
            Work::W2 => {
                let Measure { documents, changes, .. } = *measure;
                let what = format!("{documents} documents × {changes}");
                pair.times(&mut figures, work, &what, measure, |run| {
                    (run * documents..(run + 1) * documents, 0..changes)
                })
                .await?;
            }
            Work::W3 => {
                let Measure { shared, changed, .. } = *measure;
                pair.a.insert(0..shared, 0..1).await?;
                let has = async || pair.b.has(shared - 1, 0).await;
                until(READY_WITHIN, has).await?.context("the shared rows did not come")?;
                let what = format!("{changed} of {shared} differ");
                pair.times(&mut figures, work, &what, measure, |run| (0..changed, run + 1..run + 2)).await?;
            }
        }
        pair.stop().await?;
    }
    Ok(figures)
}

/// A publisher and its subscriber, with a relay between them.
struct Pair {
    a: Server,
    b: Server,
    relay: proxy::Relay,
}

impl Pair {
    async fn start(programs: &Path, folder: &Path) -> anyhow::Result<Pair> {
        let a = Server::start(programs, &folder.join("a")).await?;
        let b = Server::start(programs, &folder.join("b")).await?;
        let relay = proxy::Relay::start(a.port).await?;
        a.client.batch_execute("CREATE PUBLICATION ours FOR TABLE change").await?;
        let subscribe = format!(
            "CREATE SUBSCRIPTION theirs CONNECTION 'host=127.0.0.1 port={} user=peer dbname=postgres sslmode=disable'
             PUBLICATION ours WITH (copy_data = false, synchronous_commit = on)",
            relay.port
        );
        b.client.batch_execute(&subscribe).await?;
        Ok(Pair { a, b, relay })
    }

    async fn live(&self, figures: &mut Figures, measure: &Measure) -> anyhow::Result<()> {
        let mut told = self.b.listen().await?;
        let (mut medians, mut tails) = (Vec::new(), Vec::new());
        for run in 0..u32::try_from(measure.runs)? {
            let mut times = Vec::new();
            let until = Instant::now() + Duration::from_secs(measure.within);
            for alert in 0..measure.alerts {
                let Some(ms) = self.alert(&mut told, run * measure.alerts + alert, until).await? else {
                    break;
                };
                times.push(ms);
            }
            if times.len() < measure.alerts as usize {
                let (seconds, reached, of) = (measure.within, times.len(), measure.alerts as usize);
                let doing = "alerts one after another".to_owned();
                figures.stopped(Unfinished { work: "W1", doing, seconds, reached, of });
                break;
            }
            medians.push(percentile(&times, 50.0));
            tails.push(percentile(&times, 99.0));
        }
        if !medians.is_empty() {
            figures.add("W1", "median", "ms", medians);
            figures.add("W1", "p99", "ms", tails);
        }
        self.equal().await
    }

    /// Of one alert; none if it is too late.
    async fn alert(&self, told: &mut Told, document: u32, until: Instant) -> anyhow::Result<Option<f64>> {
        let began = now_ns();
        self.a.insert_one(document, 0).await?;
        let durable = now_ns();
        let wanted = server::uuid(document);
        loop {
            match timeout_at(until, told.heard.recv()).await {
                Err(_) => return Ok(None),
                Ok(None) => anyhow::bail!("the subscriber's subscriber went away"),
                Ok(Some((name, at))) if name == wanted => {
                    return Ok(Some(ms_between(began, at.max(durable))));
                }
                Ok(Some(_)) => {}
            }
        }
    }

    /// One run after another: what each writes while the subscription is off.
    async fn times(
        &self,
        figures: &mut Figures,
        work: &'static str,
        what: &str,
        measure: &Measure,
        writes: impl Fn(u32) -> (Range<u32>, Range<u32>),
    ) -> anyhow::Result<()> {
        let runs = u32::try_from(measure.runs)?;
        for (place, commits) in [(0, Commits::Reported), (1, Commits::Durable)] {
            let (mut times, mut bytes) = (Vec::new(), Vec::new());
            let (setting, how) = match commits {
                Commits::Reported => ("off", "as it ships"),
                Commits::Durable => ("on", "each commit waits for the disk"),
            };
            let set = format!("ALTER SUBSCRIPTION theirs SET (synchronous_commit = {setting})");
            self.b.client.batch_execute(&set).await?;
            for run in 0..runs {
                let (documents, changes) = writes(place * runs + run);
                let of = documents.len();
                let within = Duration::from_secs(measure.within);
                let Some(caught) = self.catch_up(documents, changes, commits, within).await? else {
                    let (doing, seconds) = (format!("{what}, {how}"), measure.within);
                    figures.stopped(Unfinished { work, doing, seconds, reached: 0, of });
                    // What is under way comes first in the next run, and would be measured with it.
                    return Ok(());
                };
                times.push(caught.ms);
                bytes.push(f64::from(u32::try_from(caught.bytes)?));
            }
            figures.add(work, format!("{what}, time, {how}"), "ms", times);
            figures.add(work, format!("{what}, bytes, {how}"), "B", bytes);
        }
        self.equal().await
    }

    async fn catch_up(
        &self,
        documents: Range<u32>,
        changes: Range<u32>,
        commits: Commits,
        within: Duration,
    ) -> anyhow::Result<Option<Caught>> {
        let last = (documents.end - 1, changes.end - 1);
        self.b.client.batch_execute("ALTER SUBSCRIPTION theirs DISABLE").await?;
        self.a.nobody_reads().await?;
        self.a.insert(documents, changes).await?;
        let end = self.a.end_of_log().await?;
        let (began, before) = (now_ns(), self.relay.carried());
        self.b.client.batch_execute("ALTER SUBSCRIPTION theirs ENABLE").await?;
        let has = async || {
            let reported = commits == Commits::Durable || self.a.subscriber_flushed(&end).await?;
            anyhow::Ok(reported && self.b.has(last.0, last.1).await?)
        };
        let Some(at) = until(within, has).await? else { return Ok(None) };
        Ok(Some(Caught { ms: ms_between(began, at), bytes: self.relay.carried() - before }))
    }

    async fn equal(&self) -> anyhow::Result<()> {
        let (ours, theirs) = (self.a.digest().await?, self.b.digest().await?);
        anyhow::ensure!(ours == theirs, "the two do not hold the same: {ours:?} and {theirs:?}");
        Ok(())
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.b.stop().await?;
        self.a.stop().await
    }
}

/// When this became true.
async fn until(
    within: Duration,
    mut is: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Option<u64>> {
    let until = Instant::now() + within;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < until {
        looks.tick().await;
        if is().await? {
            return Ok(Some(now_ns()));
        }
    }
    Ok(None)
}

/// The value of one change.
fn fields(document: u32, change: u32) -> anyhow::Result<String> {
    Ok(String::from_utf8(content::bytes(document, change))?)
}
