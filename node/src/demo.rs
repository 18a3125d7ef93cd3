//! `cuadra demo`: a whole federation on this machine, each node a process of this same program, on real
//! territory and real figures with invented people. Nothing here is special to it but the invention:
//! folders come from `init`, the roster from `roster create`, people and incidents from the use cases.

mod fill;
mod found;
mod invent;
mod nodes;
mod plan;
mod probe;
mod progress;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinSet;

use crate::cli::{Exit, Tell as _, Trouble};
use fill::{Filled, Filling};
use nodes::Nodes;
use plan::Plan;
use probe::Row;
use progress::Progress;

/// How long the figures of the towns may take to reach the precinct before the table is printed without.
const FIGURES_WITHIN: Duration = Duration::from_secs(300);

/// Options of the demo.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// 9: seven towns, their precinct and the country; 3: three of the towns, with both above them
    #[arg(long, default_value_t = 9, value_name = "9|3", value_parser = three_or_nine)]
    nodes: u8,
    /// Keep everything in this folder, or go on with what is there [default: a folder that goes at the end]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Each node takes one port number above this one: TCP for its pages, UDP for the other nodes
    #[arg(long, default_value_t = 7300, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_000))]
    port_base: u16,
    /// How much of the real figures to fill in, in percent (less is quicker)
    #[arg(long, default_value_t = 100, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    share: u8,
    /// Print the table and nothing else
    #[arg(long, short)]
    quiet: bool,
}

fn three_or_nine(text: &str) -> Result<u8, String> {
    match text {
        "3" => Ok(3),
        "9" => Ok(9),
        _ => Err("3 or 9".into()),
    }
}

impl Demo {
    /// Runs the federation until Ctrl-C.
    pub(crate) async fn run(self) -> Result<(), Trouble> {
        let folder = DemoFolder::new(self.keep.as_deref())?;
        let progress = Progress::new(self.quiet);
        let interrupted = nodes::interrupted();
        tokio::pin!(interrupted);
        let started = tokio::select! {
            started = self.start(&folder, &progress) => Some(started?),
            () = &mut interrupted => None,
        };
        let Some((plan, mut nodes)) = started else {
            // Whatever was started ends with its handle.
            progress.done("Interrupted.");
            return Ok(());
        };
        tokio::select! {
            () = nodes.watch(&plan) => {}
            () = &mut interrupted => {}
        }
        progress.done("Ending all nodes…");
        nodes.stop().await;
        Ok(())
    }

    async fn start(&self, folder: &DemoFolder, progress: &Progress) -> Result<(Plan, Nodes), Trouble> {
        let plan = Plan::new(&folder.path, self.nodes, self.port_base)?;
        plan.check_ports()?;
        found::found(&plan, progress)?;
        let filled = fill_all(&plan, self.share, progress).await?;
        let nodes = Nodes::start(&plan, progress).await?;
        let equal = figures_arrive(&plan, &filled, progress).await;
        println!("{}", table(&filled));
        if !self.quiet {
            println!("{}", verdict(equal, self.share));
            println!("Borders and figures are real; people, addresses and places are invented.");
            println!("Press Ctrl-C to end all {} nodes.", plan.sites.len());
        }
        Ok((plan, nodes))
    }
}

/// Fills every town that is not filled yet, and makes sign-in links for every node.
async fn fill_all(plan: &Plan, share: u8, progress: &Progress) -> Result<Vec<Filled>, Trouble> {
    let mut tasks = JoinSet::new();
    for site in &plan.sites {
        tasks.spawn(Filling::new(site.clone(), share, progress.clone()).run());
    }
    let mut all = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        all.push(ended.tell(Exit::Failed, "Filling failed.")??);
    }
    all.sort_by_key(|filled| filled.site.port);
    progress.done("Households and reports are in");
    Ok(all)
}

/// Waits until the precinct has heard of everything that was filled in. True if its rows equal the
/// published ones; none if they did not come in time.
async fn figures_arrive(plan: &Plan, filled: &[Filled], progress: &Progress) -> Option<bool> {
    let precinct = plan.sites.iter().find(|site| site.is_precinct())?;
    let towns: Vec<&Filled> = filled.iter().filter(|filled| filled.figures.is_some()).collect();
    let month = towns.first()?.month;
    let began = Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis(500));
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while began.elapsed() < FIGURES_WITHIN {
        looks.tick().await;
        let rows = probe::coverage(precinct, month).await.unwrap_or_default();
        let row = |town: &Filled| rows.iter().find(|row| Some(row.code) == town.site.code).copied();
        let there = towns.iter().filter(|town| row(town).is_some_and(|row| town.has_reached(row))).count();
        progress.line(&format!("Figures of {there} of {} towns are at {}", towns.len(), precinct.name));
        if there == towns.len() {
            progress.done(&format!("The figures of all towns are at {}", precinct.name));
            return Some(towns.iter().all(|town| row(town).is_some_and(Row::is_as_published)));
        }
    }
    None
}

fn verdict(equal: Option<bool>, share: u8) -> String {
    match equal {
        Some(true) => "The precinct's table equals the published one to the digit.".into(),
        Some(false) if share < 100 => format!("Only {share} % of the published figures were filled in."),
        Some(false) => "The precinct's table is ahead of the published one: more has happened since.".into(),
        None => {
            "Some figures are still on their way to the precinct; its page shows them as they come.".into()
        }
    }
}

/// One block a node: its pages, with links that sign in once.
fn table(filled: &[Filled]) -> String {
    let mut text = String::new();
    for node in filled {
        text += &format!("\n{}\n", node.site.name);
        for (what, path) in pages(node) {
            text += &format!("  {what:<12} {}{path}\n", node.site.base());
        }
    }
    text
}

fn pages(node: &Filled) -> Vec<(&'static str, String)> {
    let desk = format!("/enter#{}", node.operator);
    if let Some(code) = &node.neighbour {
        return vec![("neighbour", format!("/enter#{code}")), ("console", desk)];
    }
    let month = node.month;
    if node.site.is_precinct() {
        // The month that was filled in, as published; and this month, which changes as people join.
        return vec![
            ("coverage", format!("/coverage?period={month}")),
            ("this month", "/coverage".to_owned()),
            ("map", format!("/country?period={month}")),
            ("nodes", desk),
        ];
    }
    vec![
        ("country", format!("/country?period={month}")),
        ("this month", "/country".to_owned()),
        ("nodes", desk),
    ]
}

/// Where the demo lives. One that nobody asked to keep goes at the end.
struct DemoFolder {
    path: PathBuf,
    kept: bool,
}

impl DemoFolder {
    fn new(keep: Option<&std::path::Path>) -> Result<Self, Trouble> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).tell(Exit::Failed, "The system gave no random numbers.")?;
        let fresh = || std::env::temp_dir().join(format!("cuadra-demo-{}", hex::encode(random)));
        let path = keep.map_or_else(fresh, std::path::Path::to_path_buf);
        std::fs::create_dir_all(&path).tell(Exit::Store, "The demo's folder could not be made.")?;
        Ok(Self { path, kept: keep.is_some() })
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}
