//! The works: two ends, what they are asked to do, and what of it is timed. Each ends by comparing what
//! both ends have on the disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::Instant;

use crate::clock::ms_between;
use crate::disk;
use crate::node::Side;
use crate::process::Process;

/// What two ends are put through.
#[derive(Debug, Clone)]
pub struct Link {
    /// Where their folders are made.
    pub folder: PathBuf,
    /// Longest time for one measurement, and for making ready for it.
    pub within: Duration,
    /// Stored means what the system calls stored, though the disk may not have it.
    pub lazy: bool,
}

/// How far a work had come when its time was over.
#[derive(Debug, Clone, Copy)]
pub struct Reached(pub usize);

/// What one run gave, or how far it came.
pub type Outcome<T> = anyhow::Result<Result<T, Reached>>;

/// Time and bytes of one run.
#[derive(Debug, Clone, Copy)]
pub struct Caught {
    /// From before dialling until the disk of B had the last of it.
    pub ms: f64,
    /// Both ways, since before dialling.
    pub bytes: u64,
}

impl Link {
    /// W1: alerts at A, one after another; ms of each from before it was written until it was on both
    /// disks and B's subscriber was told.
    pub async fn live(&self, alerts: u32) -> Outcome<Vec<f64>> {
        let (a, b) = (self.folder.join("live-a"), self.folder.join("live-b"));
        let mut times = Vec::new();
        let done = self.alert(&a, &b, alerts, &mut times).await;
        remove(&[&a, &b])?;
        Ok(in_time(done)?.map(|()| times.clone()).ok_or(Reached(times.len())))
    }

    async fn alert(&self, a: &Path, b: &Path, alerts: u32, times: &mut Vec<f64>) -> anyhow::Result<()> {
        let mut a = Process::start(a, Side::A, self.lazy, self.until()).await?;
        let mut b = Process::start(b, Side::B, self.lazy, self.until()).await?;
        let address = a.ask("serve", "address").await?.concat();
        b.ask("want each", "wanting").await?;
        b.ask(&format!("connect {address}"), "connected").await?;
        (a.until, b.until) = (self.until(), self.until());
        for alert in 0..alerts {
            let raised = a.ask(&format!("raise {alert}"), "raised").await?;
            let [key, began, durable] = raised.as_slice() else { anyhow::bail!("raised {raised:?}") };
            let told_ns = loop {
                let told = b.next("told").await?;
                let [told_key, told_ns] = told.as_slice() else { anyhow::bail!("told {told:?}") };
                if told_key == key {
                    break told_ns.parse::<u64>()?;
                }
            };
            times.push(ms_between(began.parse()?, told_ns.max(durable.parse()?)));
        }
        equal(&mut a, &mut b, alerts as usize, self.until()).await?;
        b.close().await?;
        a.close().await
    }

    /// A folder of an end A with so many documents, closed in good order. None if it took too long.
    pub async fn filled(&self, documents: u32, changes: u32) -> anyhow::Result<Option<PathBuf>> {
        let folder = self.folder.join(format!("filled-{documents}-{changes}"));
        let made = async {
            let mut a = Process::start(&folder, Side::A, self.lazy, self.until()).await?;
            a.ask(&format!("make 0..{documents} {changes}"), "made").await?;
            a.until = self.until();
            a.close().await
        };
        Ok(in_time(made.await)?.map(|()| folder))
    }

    /// W2: B has nothing, A all of the filled folder.
    pub async fn catch_up(&self, filled: &Path, documents: u32, changes: u32) -> Outcome<Caught> {
        let (a, b) = (self.folder.join("away-a"), self.folder.join("away-b"));
        disk::copy(filled, &a)?;
        let run = self.meet(&a, &b, documents, 0..0, (documents, changes)).await;
        remove(&[&a, &b])?;
        run
    }

    /// W3: both have all of the filled folder, and A adds a change to some.
    pub async fn difference(&self, filled: &Path, documents: u32, changed: u32) -> Outcome<Caught> {
        let (a, b) = (self.folder.join("shared-a"), self.folder.join("shared-b"));
        disk::copy(filled, &a)?;
        disk::copy(filled, &b)?;
        let run = self.meet(&a, &b, documents, 0..changed, (changed, 1)).await;
        remove(&[&a, &b])?;
        run
    }

    async fn meet(
        &self,
        a: &Path,
        b: &Path,
        documents: u32,
        changed: std::ops::Range<u32>,
        missing: (u32, u32),
    ) -> Outcome<Caught> {
        let mut a = Process::start(a, Side::A, self.lazy, self.until()).await?;
        let mut b = Process::start(b, Side::B, self.lazy, self.until()).await?;
        let ready = async {
            let address = a.ask("serve", "address").await?.concat();
            if !changed.is_empty() {
                let change = format!("change {}..{} 1", changed.start, changed.end);
                a.ask(&change, "changed").await?;
            }
            b.ask(&format!("want {} {}", missing.0, missing.1), "wanting").await?;
            let bytes: u64 = a.ask("bytes", "bytes").await?.concat().parse()?;
            anyhow::Ok((address, bytes))
        };
        let Some((address, before)) = in_time(ready.await)? else { return Ok(Err(Reached(0))) };
        (a.until, b.until) = (self.until(), self.until());
        let caught = async {
            let began = b.ask(&format!("connect {address}"), "connected").await?.concat().parse()?;
            let all: u64 = b.next("all").await?.concat().parse()?;
            let bytes: u64 = a.ask("bytes", "bytes").await?.concat().parse()?;
            anyhow::Ok(Caught { ms: ms_between(began, all), bytes: bytes - before })
        };
        let Some(caught) = in_time(caught.await)? else {
            let reached = b.reached;
            b.kill().await?;
            a.kill().await?;
            return Ok(Err(Reached(reached)));
        };
        equal(&mut a, &mut b, documents as usize, self.until()).await?;
        b.close().await?;
        a.close().await?;
        Ok(Ok(caught))
    }

    fn until(&self) -> Instant {
        Instant::now() + self.within
    }
}

/// Fails unless both disks hold the same, and as many documents as they should.
async fn equal(a: &mut Process, b: &mut Process, documents: usize, until: Instant) -> anyhow::Result<()> {
    (a.until, b.until) = (until, until);
    let (ours, theirs) = (a.ask("digest", "digest").await?, b.ask("digest", "digest").await?);
    let held: usize = ours.first().context("a digest begins with a count")?.parse()?;
    ensure!(held == documents, "A holds {held} documents instead of {documents}");
    ensure!(ours == theirs, "the two ends do not hold the same: {ours:?} and {theirs:?}");
    Ok(())
}

/// None where the time was over; every other error stays one.
fn in_time<T>(result: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is::<crate::process::TooLate>() => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove(folders: &[&Path]) -> std::io::Result<()> {
    folders.iter().filter(|folder| folder.exists()).try_for_each(std::fs::remove_dir_all)
}
