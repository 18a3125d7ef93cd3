//! The pages above one incident: coverage, the country, the peers, the node itself.

use std::collections::{BTreeMap, BTreeSet};

use config::coverage::Coverage;
use config::values::Percent;
use protocol::author::Lock;
use protocol::ids::{Code, Millis};
use protocol::kind::Kind;
use protocol::operation::Measure;

use super::{ActError, Desk, LinkState, Viewer};
use crate::store::{Figures, Reader, WriteError};
use crate::views::{
    CountryView, CoverageRow, CoverageView, DayCount, KindCount, NodeView, PeerView, TerritoryFigureView,
};

/// Incidents in the ticker.
const TICKER_MAX: u32 = 50;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

impl Desk {
    /// The coverage table of a month (this month without one), from summary documents and nothing else.
    pub async fn coverage(&self, period: Option<u32>) -> Result<CoverageView, ActError> {
        let desk = self.clone();
        let this_month = self.store().calendar().period(self.store().now());
        self.store()
            .read(move |r| {
                let periods = r.figure_periods()?;
                let period = period.or_else(|| periods.first().copied()).unwrap_or(this_month);
                Ok(desk.coverage_of(period, periods, &desk.counting(r.figures(period)?)))
            })
            .await
    }

    /// The country, or the precinct, on one page.
    pub async fn country(&self, period: Option<u32>) -> Result<CountryView, ActError> {
        let now = self.store().now();
        let this_month = self.store().calendar().period(now);
        self.show(Viewer::Nobody, move |showing| {
            let (desk, r) = (showing.desk, showing.r);
            let period = match period {
                Some(period) => period,
                None => r.figure_periods()?.first().copied().unwrap_or(this_month),
            };
            let figures = desk.counting(r.figures(period)?);
            let open: BTreeMap<String, u64> = r.open_by_code()?.into_iter().collect();
            let territories: Vec<TerritoryFigureView> = desk
                .reporting(&figures)
                .into_iter()
                .map(|code| desk.territory_view(code, &figures, &open))
                .collect();
            let mut ticker = Vec::new();
            for row in r.newest_incidents(TICKER_MAX)? {
                ticker.push(showing.incident(&row, None)?);
            }
            let per_day = r.incidents_per_day(period)?;
            Ok(CountryView {
                period,
                open_now: open.values().sum(),
                last_day: r.incidents_since(now.since(Millis(DAY_MS)))?,
                reports: territories.iter().map(|territory| territory.reports).sum(),
                registered_addresses: territories.iter().map(|t| t.registered_addresses).sum(),
                territories,
                ticker,
                per_day: per_day.into_iter().map(|(day, count)| DayCount { day, count }).collect(),
            })
        })
        .await
    }

    /// The other nodes, by name.
    pub async fn peers(&self) -> Result<Vec<PeerView>, ActError> {
        let desk = self.clone();
        let now = self.store().now();
        self.store().read(move |r| desk.peer_views(r, now)).await
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeView {
        let rosters = self.rosters();
        let roster = rosters.head();
        let us = roster.member(&self.us());
        let config = &self.config().node;
        let name = us.map(|member| member.name.clone());
        NodeView {
            id: self.us().to_string(),
            name: name.unwrap_or_else(|| config.name.as_str().to_owned()),
            roles: us
                .map(|member| member.roles.iter().map(|role| role.name().to_owned()).collect())
                .unwrap_or_default(),
            codes: self.own_codes().iter().map(Code::to_string).collect(),
            emergency_number: config.emergency_number.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            roster_version: roster.version,
            roster_expired: roster.expired(self.store().now()),
            roster_expires_ms: roster.expires.0,
            roster_forked: !rosters.forks().is_empty(),
            invented_places: config.invented_places,
            writes: writes(self.store().locked()).to_owned(),
        }
    }

    /// Figures that count: given by the node that the roster names for that code.
    fn counting(&self, figures: Vec<Figures>) -> Vec<Figures> {
        let rosters = self.rosters();
        let given = |figures: &Figures| {
            let member = rosters.head().member(&figures.author);
            member.is_some_and(|member| member.codes.contains(&figures.key.code))
        };
        figures.into_iter().filter(given).collect()
    }

    fn coverage_of(&self, period: u32, periods: Vec<u32>, figures: &[Figures]) -> CoverageView {
        let mut rows: Vec<(Code, Coverage, Millis)> = figures
            .iter()
            .map(|figures| (figures.key.code, self.coverage_row(figures), figures.as_of))
            .collect();
        rows.sort_by_key(|(code, row, _)| (std::cmp::Reverse(row.compliance_tenths), *code));
        let totals = Coverage::totals(rows.iter().map(|(_, row, _)| row));
        let as_of = rows.iter().map(|(_, _, as_of)| *as_of).max().unwrap_or_default();
        let view = |(code, row, as_of): &(Code, Coverage, Millis)| {
            row_view(code.to_string(), self.place_name(*code), row, *as_of)
        };
        CoverageView {
            period,
            periods,
            rows: rows.iter().map(view).collect(),
            totals: row_view(String::new(), String::new(), &totals, as_of),
        }
    }

    fn coverage_row(&self, figures: &Figures) -> Coverage {
        let own = self.config().node.jurisdictions.iter().find(|own| own.code == figures.key.code);
        let share = own.map(|own| own.target_percent).unwrap_or_else(Percent::default);
        let (addresses, population) =
            (figures.total(Measure::RegisteredAddresses), figures.total(Measure::Population));
        Coverage::of(addresses, population, share, figures.total(Measure::Reports))
    }

    /// Codes of the roster's municipal nodes and of every node that gave figures.
    fn reporting(&self, figures: &[Figures]) -> BTreeSet<Code> {
        let rosters = self.rosters();
        let listed = rosters.head().members().iter().flat_map(|member| member.codes.iter().copied());
        listed.chain(figures.iter().map(|figures| figures.key.code)).collect()
    }

    fn territory_view(
        &self,
        code: Code,
        figures: &[Figures],
        open: &BTreeMap<String, u64>,
    ) -> TerritoryFigureView {
        let given = figures.iter().find(|figures| figures.key.code == code);
        let row = given.map(|figures| self.coverage_row(figures)).unwrap_or_default();
        let by_kind =
            given.map(|figures| figures.by_kind(Measure::Reports).collect::<Vec<_>>()).unwrap_or_default();
        let kind_name = |kind: u16| Kind::by_number(kind).map_or("unknown", |kind| kind.name).to_owned();
        TerritoryFigureView {
            code: code.to_string(),
            name: self.place_name(code),
            registered_addresses: row.addresses,
            population: row.population,
            compliance_percent: percent(row.compliance_tenths),
            reports: row.reports,
            open_now: open.get(&code.to_string()).copied().unwrap_or_default(),
            by_kind: by_kind
                .into_iter()
                .map(|(kind, count)| KindCount { kind: kind_name(kind), count })
                .collect(),
        }
    }

    fn peer_views(&self, r: &Reader<'_>, now: Millis) -> Result<Vec<PeerView>, ActError> {
        let rosters = self.rosters();
        let links = self.links();
        let mut views = Vec::new();
        for member in rosters.head().members().iter().filter(|member| member.id != self.us()) {
            let link = links.get(&member.id).cloned().unwrap_or_default();
            let lag = r.due_of(member.id)?;
            let (refused, last_refusal) = r.refusals_of(member.id)?;
            views.push(PeerView {
                id: member.id.to_string(),
                name: member.name.clone(),
                roles: member.roles.iter().map(|role| role.name().to_owned()).collect(),
                state: state_name(link.state).to_owned(),
                since_ms: link.since.0,
                due: lag.0,
                lag_ms: lag.1.map_or(0, |since| now.since(since).0),
                in_step_ms: link.in_step.map(|at| at.0),
                shared_documents: link.shared_documents,
                refused: refused + link.offences(),
                last_refusal: last_refusal.or_else(|| link.last_offence()),
                equivocations: r.equivocations_of(member.id)?,
            });
        }
        views.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(views)
    }
}

/// Where this node writes, by the gravest of its locks.
fn writes(lock: Option<Lock>) -> &'static str {
    match lock {
        None => "everywhere",
        Some(Lock::Restored) => "restored",
        Some(Lock::Twin) => "twin",
    }
}

fn state_name(state: LinkState) -> &'static str {
    match state {
        LinkState::Connected => "connected",
        LinkState::Connecting => "connecting",
        LinkState::Away => "away",
    }
}

fn row_view(code: String, name: String, row: &Coverage, as_of: Millis) -> CoverageRow {
    CoverageRow {
        code,
        name,
        registered_addresses: row.addresses,
        population: row.population,
        target: row.target,
        missing: row.missing,
        compliance_percent: percent(row.compliance_tenths),
        reports: row.reports,
        as_of_ms: as_of.0,
    }
}

fn percent(tenths: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "tenths of a percent are far below 2^53")]
    let tenths = tenths as f64;
    tenths / 10.0
}

impl Desk {
    /// True while the disk takes photos.
    pub async fn has_room(&self) -> Result<bool, WriteError> {
        self.store().has_room().await
    }
}
