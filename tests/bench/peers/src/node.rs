//! One end: a process with a folder that does what is written to its standard input, line by line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::io::AsyncBufReadExt as _;

use crate::clock::now_ns;
use crate::heard::{Heard, Wanted};

/// Which of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Side {
    /// Where people write.
    A,
    /// Where they read, and which is away at times.
    B,
}

/// How an end is set up.
#[derive(Debug, Clone, clap::Args)]
pub struct Setup {
    /// Its folder
    pub folder: PathBuf,
    /// Which end it is
    #[arg(value_enum)]
    pub side: Side,
    /// Say that something is stored when the system says so, not when it is on the disk
    #[arg(long)]
    pub lazy: bool,
}

/// How a system names itself.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its name.
    pub system: &'static str,
    /// The crates whose versions are told.
    pub crates: &'static [&'static str],
    /// What carries its bytes, and who counts them.
    pub transport: &'static str,
    /// What keeps its data.
    pub store: &'static str,
    /// True if it says «stored» before the disk has it unless it is asked to wait.
    pub lazy_as_shipped: bool,
}

/// One end of a system.
#[expect(async_fn_in_trait, reason = "each program runs one of them on one runtime")]
pub trait Node: Sized {
    /// What it is.
    const ABOUT: About;

    /// Opens or makes it in its folder; `heard` is told of what came from the other end and is durable.
    async fn open(setup: &Setup, heard: Heard) -> anyhow::Result<Self>;
    /// Where the other end finds it; it listens from now on.
    async fn address(&self) -> anyhow::Result<String>;
    /// Connects with who listens there. Returns once both ends are ready for what is new.
    async fn connect(&self, address: &str) -> anyhow::Result<()>;
    /// Makes documents with so many changes each. Durable on return.
    async fn make(&self, documents: Range<u32>, changes: u32) -> anyhow::Result<()>;
    /// Makes one document with its first change; its key as the other end says it. Durable on return.
    async fn raise(&self, document: u32) -> anyhow::Result<String>;
    /// Adds the change of this number to each of these documents. Durable on return.
    async fn change(&self, documents: Range<u32>, change: u32) -> anyhow::Result<()>;
    /// Bytes that went over the link, both ways, as this end counts them.
    async fn carried_bytes(&self) -> anyhow::Result<u64>;
    /// What is on the disk: how many documents, and a hash over all that they say.
    async fn digest(&self) -> anyhow::Result<(usize, String)>;
    /// Closes it in good order.
    async fn close(self) -> anyhow::Result<()>;
}

/// Runs an end until it is told to close or standard input ends.
pub async fn run<N: Node>(setup: &Setup) -> anyhow::Result<()> {
    std::fs::create_dir_all(&setup.folder)?;
    let heard = Heard::default();
    let node = N::open(setup, heard.clone()).await?;
    println!("ready");
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["serve"] => println!("address {}", node.address().await?),
            ["connect", address] => {
                let began = now_ns();
                node.connect(address).await?;
                println!("connected {began}");
            }
            ["make", documents, changes] => {
                node.make(range(documents)?, changes.parse()?).await?;
                println!("made");
            }
            ["raise", document] => {
                let document = document.parse()?;
                let began = now_ns();
                let key = node.raise(document).await?;
                println!("raised {key} {began} {}", now_ns());
            }
            ["change", documents, change] => {
                node.change(range(documents)?, change.parse()?).await?;
                println!("changed");
            }
            ["want", "each"] => {
                heard.want(Wanted::Each);
                println!("wanting");
            }
            ["want", documents, changes] => {
                heard.want(Wanted::All { documents: documents.parse()?, changes: changes.parse()? });
                println!("wanting");
            }
            ["bytes"] => println!("bytes {}", node.carried_bytes().await?),
            ["digest"] => {
                let (documents, hash) = node.digest().await?;
                println!("digest {documents} {hash}");
            }
            ["close"] => {
                node.close().await?;
                println!("closed");
                return Ok(());
            }
            _ => bail!("«{line}» is no command"),
        }
    }
    Ok(())
}

fn range(text: &str) -> anyhow::Result<Range<u32>> {
    let (first, end) = text.split_once("..").context("a range is written FIRST..END")?;
    Ok(first.parse()?..end.parse()?)
}

/// A hash over what each document says, whatever the order in which they were read.
#[must_use]
pub fn hash(mut documents: Vec<(Vec<u8>, Vec<u8>)>) -> (usize, String) {
    use sha2::Digest as _;
    documents.sort();
    let mut hash = sha2::Sha256::new();
    for (key, says) in &documents {
        for part in [key, says] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
    }
    let hex = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    (documents.len(), hex)
}

/// The folder of one part of an end's data.
pub fn part(folder: &Path, name: &str) -> std::io::Result<PathBuf> {
    let part = folder.join(name);
    std::fs::create_dir_all(&part)?;
    Ok(part)
}
