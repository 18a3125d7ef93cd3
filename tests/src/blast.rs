//! What an attacker costs everybody else: alerts of one town at the desk next door, while a member of
//! the federation floods, stands still, never reads, or sends what breaks the program.

pub mod flood;

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use protocol::ids::{Cell, DocId, Millis, Nonce};
use protocol::kind::Urgency;
use protocol::operation::{Open, Operation, Source};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::cluster::events::Events;
use crate::cluster::places::{
    BORDER_OF_SAN_MIGUEL, NATIONAL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL, SAN_RAMON, Town,
};
use crate::cluster::{Cluster, Person, wait_for};
use crate::peer::{Identity, Knock, Peer, URGENT, body};

/// The most memory that a node may take, in MiB.
pub const MEMORY_MIB_MAX: u64 = 512;
/// The variable that names where the program is to panic.
const PLANTED: &str = "CUADRA_PLANTED_PANIC";
/// An envelope that says it was written at this time is the one that breaks the program.
const BREAKS_AT_MS: u64 = 666_000_666_000;
#[cfg(debug_assertions)]
const _: () = assert!(BREAKS_AT_MS == node::planted::WRITTEN_AT_MS);

/// What the attacker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Frames on every lane as fast as they are taken: worthless copies, envelopes without parents,
    /// haves and wants of nothing.
    Flood,
    /// A node that is owed every alert stands still, as one whose disk does not answer.
    Stuck,
    /// A member that is owed every alert acknowledges pings and never reads a lane.
    Deaf,
    /// A document over which the program panics comes again and again.
    Panic,
}

impl Attack {
    /// Every attack.
    pub const ALL: [Attack; 4] = [Attack::Flood, Attack::Stuck, Attack::Deaf, Attack::Panic];
}

/// San Miguel, where alerts are raised; San Joaquín next door, where they must ring; the precinct above,
/// which may stand still; and two members that are played.
pub struct Scene {
    cluster: Cluster,
    resident: Person,
    events: Events,
    attacker: Identity,
    office: Identity,
    /// The program that floods, if it is not this one.
    dev: std::path::PathBuf,
}

/// An attack that goes on until it is ended.
pub enum Running {
    /// Another process floods.
    Flood(Child),
    /// This process stands still.
    Stuck(u32),
    /// This connection is not read.
    Deaf(Peer),
    /// This task sends the document, and counts how often the program panicked.
    Panic(tokio::task::JoinHandle<()>, Arc<AtomicUsize>),
}

impl Scene {
    /// Starts the federation; `dev` is the program `dev`, which plays the flooding member in a process
    /// of its own.
    pub async fn set(dev: &std::path::Path) -> Scene {
        let mut plan = Cluster::laid_out(&[SAN_MIGUEL, SAN_JOAQUIN, PRECINCT, SAN_RAMON, NATIONAL]);
        plan.scripted(SAN_RAMON);
        plan.scripted(NATIONAL);
        plan.direct();
        plan.run_under(&["env", &format!("{PLANTED}=core")]);
        let cluster = plan.run().await;
        cluster.in_step(SAN_MIGUEL, SAN_JOAQUIN).await;
        let resident = cluster[SAN_MIGUEL].resident("Ana").await;
        let desk = cluster[SAN_JOAQUIN].operator().await;
        let events = desk.events(None).await;
        let played = |town: Town| Identity::of(&cluster[town].folder);
        let (attacker, office) = (played(SAN_RAMON), played(NATIONAL));
        Scene { cluster, resident, events, attacker, office, dev: dev.to_owned() }
    }

    /// Raises alerts one after another; gives the milliseconds from each request until the desk next
    /// door has the event.
    pub async fn alerts(&mut self, count: usize) -> Vec<f64> {
        let mut took = Vec::new();
        for _ in 0..count {
            let began = Instant::now();
            let raised = self.resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "A bag was taken").await;
            let fits = |data: &Value| data.get("id") == raised.get("id");
            self.events.until(|event| event.name == "incident" && fits(&event.data)).await;
            took.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        took
    }

    /// Begins an attack.
    pub async fn begin(&self, attack: Attack) -> Running {
        let target = &self.cluster[SAN_MIGUEL];
        match attack {
            Attack::Flood => {
                // The attacker has a machine of its own as a rule: here it gets what others leave.
                let child = Command::new("nice")
                    .args(["-n", "19"])
                    .arg(&self.dev)
                    .arg("flood")
                    .arg(&self.cluster[SAN_RAMON].folder)
                    .arg(target.listens().to_string())
                    .stdin(Stdio::null())
                    .kill_on_drop(true)
                    .spawn()
                    .expect("the flooding program starts");
                Running::Flood(child)
            }
            Attack::Stuck => {
                let process = self.cluster[PRECINCT].process_number();
                signal("-STOP", process);
                Running::Stuck(process)
            }
            Attack::Deaf => Running::Deaf(
                Knock::reach(&self.office, target.listens()).await.enter_deaf(&self.office).await,
            ),
            Attack::Panic => {
                let (address, folder) = (target.listens(), self.cluster[SAN_RAMON].folder.clone());
                let (document, panics) = (self.breaking_document(), Arc::<AtomicUsize>::default());
                let counted = panics.clone();
                let attack = async move {
                    let attacker = Identity::of(&folder);
                    loop {
                        let peer = Knock::reach(&attacker, address).await.enter(&attacker).await;
                        peer.send(URGENT, &document).await;
                        let code = peer.closed().await;
                        assert_eq!(code, Some(12), "the planted panic did not come");
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                };
                Running::Panic(tokio::spawn(attack), panics)
            }
        }
    }

    /// A document of the attacker that breaks the program where that was planted.
    fn breaking_document(&self) -> protocol::message::Message {
        let who = &self.attacker;
        let roster = who.rosters.head();
        let own = roster.member(&who.member).expect("it is listed");
        let target = self.cluster[SAN_MIGUEL].member.parse().expect("an id");
        let operation = Operation::Open(Open {
            urgency: Urgency::High,
            code: *own.codes.first().expect("a town has a code"),
            cell: Cell(1),
            kind: 10,
            local_kind: 0,
            nonce: Nonce([1; 32]),
            source: Source::Radio,
            opened: Millis(1),
            offered_to: None,
            involved: vec![target],
            point: None,
        });
        let mut header = who.header(DocId([0; 32]), &[], &operation);
        header.written_at = Millis(BREAKS_AT_MS);
        header.doc = header.genesis_doc_id();
        let genesis = who.sign(&header, &operation);
        body(genesis.header().doc, &[genesis])
    }

    /// Waits until what an attack held up is made good: the node that stood still has everything.
    pub async fn settle(&self) {
        self.cluster.in_step(SAN_MIGUEL, PRECINCT).await;
        self.cluster.in_step(SAN_MIGUEL, SAN_JOAQUIN).await;
    }

    /// The most memory that any node has had, in MiB.
    #[must_use]
    pub fn memory_mib(&self) -> u64 {
        let running = [SAN_MIGUEL, SAN_JOAQUIN, PRECINCT];
        running.iter().map(|town| peak_mib(self.cluster[*town].process_number())).max().unwrap_or(0)
    }

    /// What the attacked node counts, in its own words.
    pub async fn gauges(&self) -> String {
        self.cluster[SAN_MIGUEL].stranger().get("/metrics").await.text()
    }
}

impl Running {
    /// Ends the attack.
    pub async fn end(self) {
        match self {
            Running::Flood(mut child) => {
                assert!(matches!(child.try_wait(), Ok(None)), "the flood ended before it was to");
                child.kill().await.expect("it can be killed");
            }
            Running::Stuck(process) => signal("-CONT", process),
            Running::Deaf(peer) => peer.connection().close(0u32.into(), b""),
            Running::Panic(task, panics) => {
                wait_for("a panic", async || (panics.load(Ordering::Relaxed) > 0).then_some(())).await;
                assert!(!task.is_finished(), "the planted panic did not come");
                task.abort();
            }
        }
    }
}

fn signal(name: &str, process: u32) {
    let done = std::process::Command::new("kill").args([name, &process.to_string()]).status();
    assert!(done.is_ok_and(|status| status.success()), "kill {name} {process}");
}

fn peak_mib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<u64>().ok());
    kib.map_or(0, |kib| kib / 1024)
}
