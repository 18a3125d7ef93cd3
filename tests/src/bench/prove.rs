//! The work of W3a alone: two replicas over the two nodes' own databases, in this process, from the
//! welcome until each has seen that both hold the same. No network, no waiting, nothing else at work.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use node::open::Opened;
use node::replication::{Contacts, NodeShelf};
use protocol::ids::{MemberId, Millis};
use protocol::limits::DIGEST_INTERVAL_MS;
use protocol::message::{Lane, Message};
use protocol::replica::{Arrived, Input, Output, Replica};

use super::laid::{self, Held, Wires};
use super::opened;

/// Messages between two ends that agree; more is no agreement.
const MESSAGES_MAX: usize = 64;

/// One end.
struct End {
    replica: Replica,
    shelf: NodeShelf,
    member: MemberId,
    roster_version: u64,
    worked: Duration,
    proven: bool,
}

/// ms that the busier end of this pair worked, for each run.
pub async fn work_ms(folder: &Path, runs: usize) -> anyhow::Result<Vec<f64>> {
    let pair = laid::found(folder, Held::ByBoth, Wires::Direct).await;
    let mut nodes = Vec::new();
    for node in pair.nodes() {
        let opened = opened::open_as_shipped(&node.folder).await?;
        // As a node does by itself soon after something has changed.
        opened.desk.store().refresh_digests().await?;
        nodes.push(opened);
    }
    let worked = (0..runs).map(|_| {
        let [one, other] = nodes.as_slice() else { anyhow::bail!("a pair is two nodes") };
        prove([End::of(one)?, End::of(other)?])
    });
    let worked = worked.collect::<anyhow::Result<Vec<_>>>();
    for node in nodes {
        opened::close(node).await?;
    }
    worked
}

fn prove([mut one, mut other]: [End; 2]) -> anyhow::Result<f64> {
    let now = one.now();
    let last = now.plus(Millis(2 * DIGEST_INTERVAL_MS));
    let connected = |to: &End| Input::Connected { peer: to.member, roster_version: to.roster_version };
    let (to_other, to_one) = (connected(&one), connected(&other));
    let mut on_the_way = VecDeque::new();
    let first = one.handle(now, to_one);
    on_the_way.extend(first.into_iter().map(|sent| (true, sent)));
    let second = other.handle(now, to_other);
    on_the_way.extend(second.into_iter().map(|sent| (false, sent)));
    let (mut messages, mut now) = (0, now);
    loop {
        while let Some((to_the_other, (lane, message))) = on_the_way.pop_front() {
            messages += 1;
            anyhow::ensure!(messages <= MESSAGES_MAX, "the two do not agree");
            let (from, to) = if to_the_other { (&one, &mut other) } else { (&other, &mut one) };
            let peer = from.member;
            let answers = to.take(now, peer, lane, message);
            on_the_way.extend(answers.into_iter().map(|sent| (!to_the_other, sent)));
        }
        if (one.proven && other.proven) || now >= last {
            break;
        }
        // A comparison waits while something is offered; what the clock then brings is work too.
        now = one.next_wake().min(other.next_wake()).max(now.plus(Millis(1)));
        let (first, second) = (one.handle(now, Input::Tick), other.handle(now, Input::Tick));
        on_the_way.extend(first.into_iter().map(|sent| (true, sent)));
        on_the_way.extend(second.into_iter().map(|sent| (false, sent)));
    }
    anyhow::ensure!(one.proven && other.proven, "an end has not seen that both hold the same");
    Ok(one.worked.max(other.worked).as_secs_f64() * 1_000.0)
}

impl End {
    fn of(opened: &Opened) -> anyhow::Result<End> {
        let store = opened.desk.store().clone();
        let rosters = store.rosters().as_ref().clone();
        let contacts = Contacts::open(&opened.home.folder().join("contacts"))?;
        Ok(End {
            member: store.member(),
            roster_version: rosters.head().version,
            replica: Replica::new(store.member(), rosters),
            shelf: NodeShelf::new(store, contacts),
            worked: Duration::ZERO,
            proven: false,
        })
    }

    fn now(&self) -> Millis {
        node::store::machine_clock()()
    }

    fn next_wake(&self) -> Millis {
        self.replica.next_wake()
    }

    /// A message as it comes from the wire: encoded, decoded and looked at.
    fn take(&mut self, now: Millis, peer: MemberId, lane: Lane, message: Message) -> Vec<(Lane, Message)> {
        let began = Instant::now();
        let decoded = Message::decode(&message.encode());
        self.worked += began.elapsed();
        let Ok(message) = decoded else { return Vec::new() };
        let message = Arrived::Plain(message);
        self.handle(now, Input::Arrived { peer, lane, message })
    }

    fn handle(&mut self, now: Millis, input: Input) -> Vec<(Lane, Message)> {
        let began = Instant::now();
        self.replica.handle(now, input, &self.shelf.open());
        let outputs: Vec<Output> = std::iter::from_fn(|| self.replica.poll_output()).collect();
        self.worked += began.elapsed();
        self.proven |= outputs.iter().any(|output| matches!(output, Output::InStep { .. }));
        let sent = outputs.into_iter().filter_map(|output| {
            // Whatever else there is, the carrier does.
            if let Output::Send { lane, message, .. } = output { Some((lane, message)) } else { None }
        });
        sent.collect()
    }
}
