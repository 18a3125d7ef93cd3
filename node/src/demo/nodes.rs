//! The processes of the demo: each a `cuadra run` of this same program, ended with it for certain.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::plan::{Plan, Site};
use super::progress::Progress;
use crate::cli::{Exit, Tell as _, Trouble};

/// How long a node may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a node may take to end before it is killed.
const END_WITHIN: Duration = Duration::from_secs(15);

/// The running nodes. If this program dies in any way, their standard input ends and they end too.
pub(super) struct Nodes {
    children: Vec<(Site, Child)>,
}

impl Nodes {
    /// Starts every node and waits until all are ready.
    pub async fn start(plan: &Plan, progress: &Progress) -> Result<Self, Trouble> {
        let mut nodes = Self { children: Vec::new() };
        for site in &plan.sites {
            nodes.children.push((site.clone(), spawn(site)?));
        }
        let count = nodes.children.len();
        for number in 0..count {
            progress.line(&format!("Starting nodes: {number} of {count}"));
            let Some((site, child)) = nodes.children.get_mut(number) else { continue };
            if let Err(trouble) = ready(site, child).await {
                nodes.stop().await;
                return Err(trouble);
            }
        }
        progress.done(&format!("{count} nodes are running"));
        Ok(nodes)
    }

    /// Says which node ended, and how to start it again; never ends by itself.
    pub async fn watch(&mut self, plan: &Plan) {
        let mut looks = tokio::time::interval(Duration::from_millis(500));
        loop {
            looks.tick().await;
            self.say_ended(plan);
        }
    }

    fn say_ended(&mut self, plan: &Plan) {
        self.children.retain_mut(|(site, child)| {
            let Ok(Some(status)) = child.try_wait() else { return true };
            println!("{} has ended ({status}). The other {} go on.", site.name, plan.sites.len() - 1);
            println!("Start it again in another window, and see it catch up:");
            println!("  {} --folder {} run", program(), site.folder.display());
            false
        });
    }

    /// Tells all nodes to end and waits for them.
    pub async fn stop(&mut self) {
        for (_, child) in &mut self.children {
            drop(child.stdin.take());
        }
        for (site, child) in &mut self.children {
            if timeout(END_WITHIN, child.wait()).await.is_err() {
                eprintln!("{} did not end in time and is killed.", site.name);
                if let Err(error) = child.kill().await {
                    eprintln!("{} could not be killed: {error}", site.name);
                }
            }
        }
    }
}

/// Resolves on Ctrl-C or when the system asks to end.
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        // Without a handler the signal itself ends the program.
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn program() -> String {
    std::env::current_exe().map_or_else(|_| "cuadra".to_owned(), |path| path.display().to_string())
}

fn spawn(site: &Site) -> Result<Child, Trouble> {
    let failed = || format!("{} could not be started.", site.name);
    let log = site.folder.join("node.log");
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).tell(Exit::Store, failed())?;
    let program = std::env::current_exe().tell(Exit::Failed, failed())?;
    Command::new(program)
        .arg("--folder")
        .arg(&site.folder)
        .args(["run", "--announce", "--with-parent"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        // Ctrl-C at the terminal is for this program, which ends the nodes in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .tell(Exit::Failed, failed())
}

async fn ready(site: &Site, child: &mut Child) -> Result<(), Trouble> {
    let log = site.folder.join("node.log");
    let failed = || {
        let what = format!("{} did not start.", site.name);
        let hint =
            format!("Its log is {}. If a port is taken, choose others with --port-base.", log.display());
        Trouble::new(Exit::Network, what).hint(hint)
    };
    let Some(output) = child.stdout.take() else { return Err(failed()) };
    let mut lines = BufReader::new(output).lines();
    match timeout(READY_WITHIN, lines.next_line()).await {
        Ok(Ok(Some(_))) => Ok(()),
        Ok(Ok(None) | Err(_)) | Err(_) => {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let last: Vec<&str> = text.lines().rev().take(4).collect();
            last.iter().rev().for_each(|line| eprintln!("  {line}"));
            Err(failed())
        }
    }
}
