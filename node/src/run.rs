//! The running node: everything wired together, started in order, and stopped and joined in the
//! opposite order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use federation::{Federation, Handlers, Identity, Settings as LinkSettings, StartError, Timing};
use protocol::envelope::RULES_VERSION;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::desk::Desk;
use crate::home::{HomeError, write_private};
use crate::http;
use crate::http::serve::{Listening, ServeError, Settings as PageSettings};
use crate::open::{NodeError, Opened, address_file, base_url};
use crate::replication::{
    Blobs, Bridge, Carrier, Checker, Contacts, NodeRosters, OwnKeyError, OwnSide, Works,
};
use crate::store::Store;

/// How often the roster folder is looked at for versions that `cuadra join` put there. Expelled nodes
/// are to be out within five seconds.
const ROSTER_LOOK_EVERY: Duration = Duration::from_secs(1);

/// How a node is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Running {
    /// Print a line of JSON with the addresses once everything is ready.
    pub announce: bool,
    /// End when standard input ends, so that a node never outlives the program that started it.
    pub with_parent: bool,
}

/// Why a node did not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its folder, keys, roster or databases.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Its pages.
    #[error("the pages cannot be served")]
    Pages(#[from] ServeError),
    /// The link to other nodes.
    #[error("the link to other nodes cannot be started")]
    Link(#[from] StartError),
    /// Its keys under the newest roster.
    #[error("the node's keys cannot be used")]
    OwnKeys(#[from] OwnKeyError),
    /// A small file of its own.
    #[error("the node's folder cannot be written")]
    Home(#[from] HomeError),
    /// The system refused something basic.
    #[error("the system refused: {0}")]
    System(&'static str, #[source] std::io::Error),
    /// The pages ended by themselves.
    #[error("the pages ended by themselves")]
    PagesEnded,
    /// The disk failed while it ran. What had been acknowledged is stored.
    #[error("the disk failed; the node ended so that nothing more is promised")]
    Disk,
}

/// Runs a node until it is told to stop.
///
/// # Errors
/// As [`RunError`] says; everything that was started is stopped.
pub async fn run(config: Config, running: Running) -> Result<(), RunError> {
    let _lock = crate::home::Home::at(&config.storage.folder).lock()?;
    let opened = tokio::task::spawn_blocking(move || Opened::open(config)).await;
    let opened = opened.expect("opening a node does not panic")?;
    let store = opened.desk.store().clone();
    let ended = serve(opened, running).await;
    // Last: whatever was still asking for writes has ended.
    if tokio::task::spawn_blocking(move || store.stop()).await.is_err() {
        tracing::error!("the store did not stop cleanly");
    }
    ended
}

async fn serve(opened: Opened, running: Running) -> Result<(), RunError> {
    let desk = opened.desk.clone();
    if let Err(error) = desk.store().note_drawn(opened.home.drawn()?).await {
        tracing::error!(%error, "the generations that were drawn here could not be noted");
    }
    let settings = PageSettings::from_config(desk.config(), &opened.home.secrets());
    let listening = Listening::start(&settings)?;
    let pages = listening.address().map_err(|error| RunError::System("the address of the pages", error))?;
    let (link, replication) = start_link(&opened)?;
    let place = Place::of(&desk, pages, link.handle().local_address());
    let mark = Mark::write(address_file(opened.home.folder()), &place)?;
    let (stop, stopping) = watch::channel(false);
    let mut tasks = JoinSet::new();
    replication.spawn(&mut tasks, &stopping);
    tasks.spawn(desk.clone().keep_erasing(stopping.clone()));
    tasks.spawn(desk.clone().keep_retiring(stopping.clone()));
    tasks.spawn(crate::insight::keep_figures(desk.clone(), stopping.clone()));
    let mut serving = tokio::spawn(http::serve(listening, settings, desk.clone(), until(stopping)));
    if running.announce {
        println!("{}", place.json());
    }
    tracing::info!(pages = %place.http, link = %place.federation, "the node is ready");
    let ended = tokio::select! {
        told = told_to_stop(running.with_parent) => told,
        () = disk_failed(desk.store()) => Err(RunError::Disk),
        ended = &mut serving => Err(match ended {
            Ok(Err(error)) => RunError::Pages(error),
            Ok(Ok(())) | Err(_) => RunError::PagesEnded,
        }),
    };
    drop(mark);
    stop.send_replace(true);
    if !serving.is_finished() {
        match serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the pages did not stop cleanly"),
            Err(error) => tracing::error!(%error, "the pages failed"),
        }
    }
    link.stop().await;
    while let Some(task) = tasks.join_next().await {
        if let Err(error) = task {
            tracing::error!(%error, "a task of the node failed");
        }
    }
    ended
}

/// What carries out replication beside the federation's own loop.
struct Replication {
    carrier: Carrier,
    works: Works,
    rosters: NodeRosters,
}

impl Replication {
    fn spawn(self, tasks: &mut JoinSet<()>, stopping: &watch::Receiver<bool>) {
        tasks.spawn(self.carrier.clone().run(self.works));
        tasks.spawn(self.carrier.clone().tell_written(stopping.clone()));
        tasks.spawn(self.carrier.clone().tell_rosters(stopping.clone()));
        tasks.spawn(self.carrier.clone().keep_digests(stopping.clone()));
        tasks.spawn(self.carrier.clone().drop_retired(stopping.clone()));
        tasks.spawn(self.carrier.tell_peers(stopping.clone()));
        tasks.spawn(look_for_rosters(self.rosters, stopping.clone()));
    }
}

fn start_link(opened: &Opened) -> Result<(Federation<Bridge>, Replication), RunError> {
    let (desk, store) = (&opened.desk, opened.desk.store().clone());
    let folder = opened.home.folder().join("contacts");
    let contacts = Contacts::open(&folder).map_err(|error| RunError::System("the contact records", error))?;
    let own = OwnSide::start(opened.home.clone(), store.clone(), &opened.keys)?;
    let rosters = NodeRosters::new(opened.home.rosters()?, store.clone(), own.clone());
    let (bridge, works) = Bridge::new(store.clone(), contacts.clone(), desk.gauges().clone());
    let identity = Identity {
        member: store.member(),
        federation: store.rosters().federation(),
        software: concat!("cuadra ", env!("CARGO_PKG_VERSION")).to_owned(),
        rules: RULES_VERSION,
    };
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(HomeError::Random)?;
    let settings = LinkSettings {
        listen: desk.config().federation.listen,
        identity,
        own_keys: own.link_keys(),
        timing: Timing::default(),
        seed: u64::from_be_bytes(seed),
    };
    let handlers = Handlers {
        rosters: Arc::new(rosters.clone()),
        decode: Checker(store.clone()),
        blobs: Arc::new(Blobs(store)),
    };
    let link = Federation::start(settings, rosters.keys(), handlers, bridge)?;
    // Set once: this is the only start.
    let _ = desk.gauges().door.set(link.handle().door());
    own.keep_contact(&contacts, own_addresses(desk, link.handle().local_address()))?;
    let carrier = Carrier::new(desk.clone(), link.handle(), rosters.clone(), contacts);
    carrier.dial();
    Ok((link, Replication { carrier, works, rosters }))
}

/// Where other nodes reach this one.
fn own_addresses(desk: &Desk, local: SocketAddr) -> Vec<String> {
    match &desk.config().federation.advertise {
        Some(address) => vec![address.as_str().to_owned()],
        // An address that means "everywhere" leads nowhere.
        None if local.ip().is_unspecified() => Vec::new(),
        None => vec![local.to_string()],
    }
}

/// Where the node is, for the program that started it and for commands beside it.
struct Place {
    http: String,
    federation: SocketAddr,
    member: String,
    name: String,
}

impl Place {
    fn of(desk: &Desk, pages: SocketAddr, federation: SocketAddr) -> Self {
        let node = desk.node();
        Self { http: base_url(desk.config(), pages.port()), federation, member: node.id, name: node.name }
    }
    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "ready": true,
            "http": self.http,
            "federation": self.federation.to_string(),
            "member": self.member,
            "name": self.name,
        })
    }
}

/// The file that says where the node is; gone once it stops.
struct Mark(PathBuf);

impl Mark {
    fn write(path: PathBuf, place: &Place) -> Result<Self, HomeError> {
        write_private(&path, format!("{}\n", place.json()).as_bytes())?;
        Ok(Self(path))
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // A node that was killed leaves it behind too; nothing hangs on it.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn until(mut stopping: watch::Receiver<bool>) {
    // If the sender is gone, the node is stopping as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Ends on SIGINT, SIGTERM, or the end of standard input if that is wanted.
async fn told_to_stop(with_parent: bool) -> Result<(), RunError> {
    let listen = |kind| signal(kind).map_err(|error| RunError::System("signals", error));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = parent_gone(), if with_parent => {}
    }
    tracing::info!("stopping");
    Ok(())
}

/// A thread of its own: a read of standard input cannot be cancelled, and must not hold up the end.
async fn parent_gone() {
    let (gone, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        // Whatever it says; its end or a failure is the sign.
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        let _ = gone.send(());
    });
    let _ = wait.await;
}

async fn disk_failed(store: &Store) {
    if store.fatal().wait_for(|failed| *failed).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Takes roster versions that `cuadra join` put into the folder of this running node.
async fn look_for_rosters(rosters: NodeRosters, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(ROSTER_LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = rosters.read_files().await {
            tracing::error!(%error, "a roster in the folder was not taken");
        }
    }
}
