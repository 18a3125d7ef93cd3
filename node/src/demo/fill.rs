//! Fills one node through its own use cases: exactly the published number of households, and exactly
//! the published number of reports in the last complete month, each raised, answered and closed at the
//! time at which it is said to have happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use config::places::{invented_address, invented_name};
use config::precinct::SouthPrecinct;
use protocol::ids::{Code, DocId, Millis};
use serde::{Deserialize, Serialize};

use super::invent::{Act, Invented, invent};
use super::plan::Site;
use super::probe::Row;
use super::progress::Progress;
use crate::cli::{Exit, Tell as _, Trouble};
use crate::desk::{ActError, Desk, FilledHousehold, Fix, NewAlert, Viewer};
use crate::home::write_whole;
use crate::open::Opened;
use crate::store::{Clock, PersonId, Visibility, machine_clock};
use crate::views::IncidentDetailView;

/// Households in one transaction.
const HOUSEHOLDS_AT_ONCE: u64 = 250;
/// How long the printed links can be used.
const LINK_LIFETIME: Millis = Millis(24 * 60 * 60 * 1000);
/// Where invented places of reports begin among the invented points of a town; homes come before.
const REPORT_PLACES: u64 = 1_000_000;

/// What a node was filled with; kept beside it so that a kept demo is filled once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    month: u32,
    addresses: u64,
    reports: u64,
    neighbour: Option<i64>,
    operator: i64,
}

/// A filled node, with codes that sign in.
#[derive(Debug)]
pub(super) struct Filled {
    pub site: Site,
    /// The month of the reports, `yyyymm`.
    pub month: u32,
    /// Households and reports; none for an office above the towns.
    pub figures: Option<(u64, u64)>,
    pub neighbour: Option<String>,
    pub operator: String,
}

impl Filled {
    /// True once a row of the precinct's table has everything that was filled in.
    pub fn has_reached(&self, row: Row) -> bool {
        self.figures.is_some_and(|(addresses, reports)| {
            row.registered_addresses >= addresses && row.reports >= reports
        })
    }
}

/// The clock of a node that is being filled: what it is told, else the machine's.
#[derive(Clone, Default)]
struct ToldClock(Arc<AtomicU64>);

impl ToldClock {
    fn tell(&self, at: Millis) {
        self.0.store(at.0, Ordering::Relaxed);
    }
    fn clock(&self) -> Clock {
        let (told, machine) = (self.0.clone(), machine_clock());
        Arc::new(move || match told.load(Ordering::Relaxed) {
            0 => machine(),
            told => Millis(told),
        })
    }
}

/// One node to be filled.
pub(super) struct Filling {
    site: Site,
    share: u8,
    progress: Progress,
    clock: ToldClock,
}

impl Filling {
    pub fn new(site: Site, share: u8, progress: Progress) -> Self {
        Self { site, share, progress, clock: ToldClock::default() }
    }

    /// Fills it unless that was done, makes the codes, and closes it again.
    pub async fn run(self) -> Result<Filled, Trouble> {
        let failed = || format!("{} could not be filled.", self.site.name);
        let config = config::Config::load(&self.site.folder.join("cuadra.toml"));
        let config = config.tell(Exit::Config, failed())?;
        let clock = self.clock.clock();
        let opened = tokio::task::spawn_blocking(move || Opened::open_at(config, clock)).await;
        let opened = opened.tell(Exit::Failed, failed())?.tell(Exit::Store, failed())?;
        let filled = self
            .fill(&opened.desk)
            .await
            .map_err(|error| Trouble::new(Exit::Failed, failed()).because(error.as_ref()));
        let store = opened.desk.store().clone();
        tokio::task::spawn_blocking(move || store.stop()).await.tell(Exit::Store, failed())?;
        filled
    }

    async fn fill(&self, desk: &Desk) -> Result<Filled, Box<dyn std::error::Error + Send + Sync>> {
        let path = self.site.folder.join("filled.json");
        let memory = match std::fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)?,
            Err(_) => {
                let memory = self.fill_now(desk).await?;
                write_whole(&path, &serde_json::to_vec(&memory)?)?;
                memory
            }
        };
        self.clock.tell(Millis(0));
        let neighbour = match memory.neighbour {
            Some(person) => Some(desk.sign_in_code(PersonId(person), LINK_LIFETIME).await?),
            None => None,
        };
        let operator = desk.sign_in_code(PersonId(memory.operator), LINK_LIFETIME).await?;
        let figures = self.site.code.map(|_| (memory.addresses, memory.reports));
        Ok(Filled { site: self.site.clone(), month: memory.month, figures, neighbour, operator })
    }

    async fn fill_now(&self, desk: &Desk) -> Result<Memory, Box<dyn std::error::Error + Send + Sync>> {
        let calendar = desk.store().calendar();
        let month = calendar.previous(calendar.period(desk.store().now()));
        let span = (calendar.start(month), calendar.start(calendar.next(month)));
        self.clock.tell(span.0);
        let operator = desk.add_operator("Turno de demostración").await?;
        let mut memory = Memory { month, addresses: 0, reports: 0, neighbour: None, operator: operator.0 };
        let table = SouthPrecinct::first_month();
        let Some((code, row)) = self.site.code.and_then(|code| Some((code, table.row(code)?))) else {
            return Ok(memory);
        };
        memory.addresses = row.addresses * u64::from(self.share) / 100;
        memory.reports = row.reports * u64::from(self.share) / 100;
        let residents = self.households(desk, code, memory.addresses, span).await?;
        memory.neighbour = residents.first().map(|person| person.0);
        let reports = invent(code, memory.reports, span);
        self.reports(desk, code, &reports, &residents, operator, memory.addresses).await?;
        Ok(memory)
    }

    /// Registers households, evenly over the month.
    async fn households(
        &self,
        desk: &Desk,
        code: Code,
        count: u64,
        (from, until): (Millis, Millis),
    ) -> Result<Vec<PersonId>, Box<dyn std::error::Error + Send + Sync>> {
        let (name, territory) = (self.site.name, desk.territory().clone());
        let apart = until.since(from).0 / (count + 1);
        let mut residents = Vec::new();
        let mut done = 0;
        while done < count {
            let next = (done + HOUSEHOLDS_AT_ONCE).min(count);
            let list = (done..next).map(|index| FilledHousehold {
                name: invented_name(code, index),
                address: invented_address(code, index),
                home: territory.invented_point(code, index),
                code,
                registered: from.plus(Millis(apart * (index + 1))),
            });
            residents.extend(desk.add_households(list.collect()).await?);
            done = next;
            self.progress.part(name, done / 10, count / 10 + self.reports_of(code));
        }
        Ok(residents)
    }

    fn reports_of(&self, code: Code) -> u64 {
        let row = SouthPrecinct::first_month().row(code).map(|row| row.reports);
        row.unwrap_or_default() * u64::from(self.share) / 100
    }

    /// Lives the month: every report is raised and answered in the order of time.
    async fn reports(
        &self,
        desk: &Desk,
        code: Code,
        reports: &[Invented],
        residents: &[PersonId],
        operator: PersonId,
        addresses: u64,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut acts: Vec<(Millis, usize, Act)> = Vec::new();
        for (number, report) in reports.iter().enumerate() {
            acts.extend(report.acts.iter().map(|(at, act)| (*at, number, *act)));
        }
        acts.sort_by_key(|(at, number, _)| (*at, *number));
        let mut documents: BTreeMap<usize, DocId> = BTreeMap::new();
        let now = machine_clock()();
        let whole = addresses / 10 + u64::try_from(reports.len())?;
        for (at, number, act) in acts {
            let Some(report) = reports.get(number) else { continue };
            self.clock.tell(at.min(now));
            let desk_viewer = Viewer::Operator(operator);
            let doc = documents.get(&number).copied();
            match (act, doc) {
                (Act::Raise, _) => {
                    let place = REPORT_PLACES + u64::try_from(number)?;
                    let reporter = usize::try_from(report.reporter)?.checked_rem(residents.len());
                    let viewer = reporter.and_then(|place| residents.get(place)).copied();
                    let viewer = viewer.map_or(desk_viewer, Viewer::Resident);
                    let point = desk.territory().invented_point(code, place);
                    let raised = desk.raise_alert(viewer, alert(report, point)).await?;
                    documents.insert(number, raised.id.parse()?);
                    let done = addresses / 10 + u64::try_from(documents.len())?;
                    self.progress.part(self.site.name, done, whole);
                }
                (Act::Claim, Some(doc)) => unless_done(desk.claim(desk_viewer, doc).await)?,
                (Act::Step(step), Some(doc)) => unless_done(desk.step(desk_viewer, doc, step).await)?,
                (Act::Close(outcome), Some(doc)) => unless_done(desk.close(desk_viewer, doc, outcome).await)?,
                (Act::Claim | Act::Step(_) | Act::Close(_), None) => {}
            }
        }
        Ok(())
    }
}

fn alert(report: &Invented, point: Option<protocol::operation::Point>) -> NewAlert {
    NewAlert {
        secret: report.secret,
        kind: report.kind,
        urgency: None,
        fix: point.map(|point| Fix { point, accuracy_m: Some(15) }),
        text: report.text.to_owned(),
        silent: false,
        visibility: Visibility::Operator,
    }
}

/// A fill that was interrupted is gone through again from its beginning: what is answered already stays.
fn unless_done(answered: Result<IncidentDetailView, ActError>) -> Result<(), ActError> {
    match answered {
        Ok(_) | Err(ActError::NotNow) => Ok(()),
        Err(error) => Err(error),
    }
}
