//! An end as the measuring process sees it: lines go in, lines come out, and it ends with its owner.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

use crate::node::Side;

/// A running end.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Lines that nobody has asked for yet.
    waiting: VecDeque<String>,
    /// Documents that it said to be complete.
    pub reached: usize,
    /// When it is too late for any answer.
    pub until: Instant,
}

/// What was wanted took longer than it may.
#[derive(Debug, Clone, Copy)]
pub struct TooLate;

impl std::fmt::Display for TooLate {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        text.write_str("not finished in time")
    }
}

impl std::error::Error for TooLate {}

impl Process {
    /// Starts this program again as an end with this folder.
    pub async fn start(folder: &Path, side: Side, lazy: bool, until: Instant) -> anyhow::Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("node").arg(folder).arg(if side == Side::A { "a" } else { "b" });
        if lazy {
            command.arg("--lazy");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting an end")?;
        let input = child.stdin.take().context("it has an input")?;
        let output = BufReader::new(child.stdout.take().context("it has an output")?).lines();
        let mut process = Process { child, input, output, waiting: VecDeque::new(), reached: 0, until };
        process.next("ready").await?;
        Ok(process)
    }

    /// Sends a command and gives the words of its answer, which begins with `answer`.
    pub async fn ask(&mut self, command: &str, answer: &str) -> anyhow::Result<Vec<String>> {
        self.input.write_all(format!("{command}\n").as_bytes()).await?;
        self.next(answer).await
    }

    /// The words of the next line that begins with `first`, without it.
    pub async fn next(&mut self, first: &str) -> anyhow::Result<Vec<String>> {
        let begins = |line: &str| line.split(' ').next() == Some(first);
        if let Some(place) = self.waiting.iter().position(|line| begins(line)) {
            let line = self.waiting.remove(place).unwrap_or_default();
            return Ok(words(&line));
        }
        loop {
            let line = tokio::time::timeout_at(self.until, self.output.next_line());
            let line = line.await.map_err(|_| TooLate)??.context("an end went away; see what it said")?;
            if let Some(reached) = line.strip_prefix("some ") {
                self.reached = reached.parse()?;
            } else if begins(&line) {
                return Ok(words(&line));
            } else {
                self.waiting.push_back(line);
            }
        }
    }

    /// Lets it close in good order.
    pub async fn close(mut self) -> anyhow::Result<()> {
        self.ask("close", "closed").await?;
        self.ended().await
    }

    /// Ends it at once.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.start_kill()?;
        self.ended().await
    }

    async fn ended(&mut self) -> anyhow::Result<()> {
        tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await.map_err(|_| TooLate)??;
        Ok(())
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').skip(1).map(str::to_owned).collect()
}
