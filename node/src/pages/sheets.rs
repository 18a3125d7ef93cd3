//! One function a page: takes its view, gives its HTML.

use super::chrome::{Chrome, Filled};
use super::codes;
use super::lang::Lang;
use super::problem::{Problem, problem};
use crate::views::{
    CountryView, CoverageView, IncidentDetailView, IncidentView, PeerView, RaisedView, TerritoryFigureView,
};
use askama::Template;
use protocol::kind::{KINDS, Kind, Urgency};
use serde::Serialize;
use utoipa::ToSchema;

pub(super) fn render(page: &impl Template) -> String {
    page.render().expect("writing to a string does not fail")
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage<'a> {
    c: &'a Chrome,
}

/// For somebody who is not signed in: SOS all the same, and how to join.
#[must_use]
pub fn welcome(chrome: &Chrome) -> String {
    render(&WelcomePage { c: chrome })
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    c: &'a Chrome,
    mine: Vec<&'a IncidentDetailView>,
    near: &'a [IncidentView],
    kinds: &'static [Kind],
}

/// The neighbour's first page: SOS, kinds, their own open alerts, what is near.
#[must_use]
pub fn home(chrome: &Chrome, mine: &[IncidentDetailView], near: &[IncidentView]) -> String {
    let mine = mine.iter().take(MINE_SHOWN).collect();
    render(&HomePage { c: chrome, mine, near, kinds: KINDS.get(1..).unwrap_or_default() })
}

/// Own alerts on the first page.
const MINE_SHOWN: usize = 5;

#[derive(Template)]
#[template(path = "join.html")]
struct JoinPage<'a> {
    c: &'a Chrome,
    code: &'a str,
    filled: &'a Filled,
    problem: Option<&'a Problem>,
}

/// Joining with an invitation's code. POST /join: `code`, `name`, `address`, `phone`, `lang`, `lat`, `lon`.
#[must_use]
pub fn join(chrome: &Chrome, code: &str, filled: &Filled, problem: Option<&Problem>) -> String {
    render(&JoinPage { c: chrome, code, filled, problem })
}

#[derive(Template)]
#[template(path = "enter.html")]
struct EnterPage<'a> {
    c: &'a Chrome,
    code: &'a str,
    problem: Option<&'a Problem>,
}

/// Signing in with a code; the code is spent by the button, never by opening the page. POST /enter: `code`.
#[must_use]
pub fn enter(chrome: &Chrome, code: Option<&str>, problem: Option<&Problem>) -> String {
    render(&EnterPage { c: chrome, code: code.unwrap_or_default(), problem })
}

#[derive(Template)]
#[template(path = "alert.html")]
struct AlertPage<'a> {
    c: &'a Chrome,
    d: &'a IncidentDetailView,
    problem: Option<&'a Problem>,
}

/// One alert as a neighbour sees it: its steps, photos, what others add. POST /alerts/ID/media
/// (multipart `file`), /incidents/ID/contributions (`what`, `text`), /incidents/ID/solved (`answer`).
#[must_use]
pub fn alert(chrome: &Chrome, detail: &IncidentDetailView, problem: Option<&Problem>) -> String {
    render(&AlertPage { c: chrome, d: detail, problem })
}

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage<'a> {
    c: &'a Chrome,
    kind: &'a str,
    rings: bool,
    private: bool,
    filled: &'a Filled,
    problem: Option<&'a Problem>,
}

/// The form of one kind. POST /alerts: `alert`, `kind`, `text`, `lat`, `lon`, `accuracy_m`,
/// `visibility`, `silent`.
#[must_use]
pub fn report(chrome: &Chrome, kind: &str, filled: &Filled, problem: Option<&Problem>) -> String {
    let rules = Kind::by_name(kind);
    let rings = rules.is_some_and(|k| k.urgency == Urgency::Emergency);
    let private = rules.is_some_and(|k| k.private);
    render(&ReportPage { c: chrome, kind, rings, private, filled, problem })
}

#[derive(Template)]
#[template(path = "me.html")]
struct MePage<'a> {
    c: &'a Chrome,
    mine: &'a [IncidentDetailView],
    /// True if one of them is open: who erases themselves then is told what that means.
    open: bool,
}

/// The neighbour's own data and all their alerts. POST /leave signs out.
#[must_use]
pub fn me(chrome: &Chrome, mine: &[IncidentDetailView]) -> String {
    let open = mine.iter().any(|detail| detail.incident.outcome.is_none());
    render(&MePage { c: chrome, mine, open })
}

#[derive(Template)]
#[template(path = "console.html")]
struct ConsolePage<'a> {
    c: &'a Chrome,
    queue: &'a [IncidentView],
    open: Option<&'a IncidentDetailView>,
    ringing: usize,
    problem: Option<&'a Problem>,
}

/// The operator's console: queue, and one incident if one is opened. Forms POST to
/// /incidents/ID/claim · steps · responses · notes · invitations · offers · offers/accept ·
/// offers/decline · close · reopen, with the fields of the API.
#[must_use]
pub fn console(
    chrome: &Chrome,
    queue: &[IncidentView],
    open: Option<&IncidentDetailView>,
    problem: Option<&Problem>,
) -> String {
    let ringing = queue.iter().filter(|i| i.ringing).count();
    render(&ConsolePage { c: chrome, queue, open, ringing, problem })
}

#[derive(Template)]
#[template(path = "more.html")]
struct MorePage<'a> {
    c: &'a Chrome,
    d: &'a IncidentDetailView,
}

/// What the desk does to an incident less often. Forms POST to /incidents/ID/acts/redactions.
#[must_use]
pub fn more(chrome: &Chrome, detail: &IncidentDetailView) -> String {
    render(&MorePage { c: chrome, d: detail })
}

#[derive(Template)]
#[template(path = "call.html")]
struct CallPage<'a> {
    c: &'a Chrome,
    kinds: &'static [Kind],
    filled: &'a Filled,
    problem: Option<&'a Problem>,
}

/// Taking a phone call. POST /calls: `kind`, `address`, `text`, `phone`, `urgency`, `lat`, `lon`.
#[must_use]
pub fn call(chrome: &Chrome, filled: &Filled, problem: Option<&Problem>) -> String {
    render(&CallPage { c: chrome, kinds: &KINDS, filled, problem })
}

#[derive(Template)]
#[template(path = "country.html")]
struct CountryPage<'a> {
    c: &'a Chrome,
    v: &'a CountryView,
    by_kind: Vec<(String, u64)>,
    territories: Vec<&'a TerritoryFigureView>,
}

/// The page of a precinct or of the country.
#[must_use]
pub fn country(chrome: &Chrome, view: &CountryView) -> String {
    let mut sums = std::collections::BTreeMap::<&str, u64>::new();
    for count in view.territories.iter().flat_map(|t| &t.by_kind) {
        *sums.entry(count.kind.as_str()).or_default() += count.count;
    }
    let mut by_kind: Vec<(String, u64)> = sums.into_iter().map(|(k, n)| (k.to_owned(), n)).collect();
    by_kind.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut territories: Vec<&TerritoryFigureView> = view.territories.iter().collect();
    territories.sort_by(|a, b| b.reports.cmp(&a.reports).then_with(|| a.name.cmp(&b.name)));
    render(&CountryPage { c: chrome, v: view, by_kind, territories })
}

#[derive(Template)]
#[template(path = "coverage.html")]
struct CoveragePage<'a> {
    c: &'a Chrome,
    v: &'a CoverageView,
}

/// The coverage table, in the columns of the South Precinct's own.
#[must_use]
pub fn coverage(chrome: &Chrome, view: &CoverageView) -> String {
    render(&CoveragePage { c: chrome, v: view })
}

#[derive(Template)]
#[template(path = "nodes.html")]
struct NodesPage<'a> {
    c: &'a Chrome,
    peers: &'a [PeerView],
}

/// The other nodes: lag, and the proof of being in step.
#[must_use]
pub fn nodes(chrome: &Chrome, peers: &[PeerView]) -> String {
    render(&NodesPage { c: chrome, peers })
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    c: &'a Chrome,
    problem: Problem,
}

/// A page for what did not work, by the code of the problem.
#[must_use]
pub fn error(chrome: &Chrome, code: &str) -> String {
    let problem = problem(chrome.lang, code, &chrome.node.emergency_number);
    render(&ErrorPage { c: chrome, problem })
}

#[derive(Template)]
#[template(path = "kept.html")]
struct KeptPage<'a> {
    c: &'a Chrome,
    raised: &'a RaisedView,
}

/// For somebody who sent an SOS without being signed in: that it is stored, and under which number.
#[must_use]
pub fn kept(chrome: &Chrome, raised: &RaisedView) -> String {
    render(&KeptPage { c: chrome, raised })
}

/// A kind with its words, as the API lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KindView {
    /// Name in the API.
    pub kind: &'static str,
    /// Words in the language asked for.
    pub words: String,
    /// How pressing it is by default: `low`, `normal`, `high`, `emergency`.
    pub urgency: String,
    /// True if neighbours join only by invitation.
    pub private: bool,
    /// True if it is about a place rather than people.
    pub place: bool,
}

/// Every kind with its words.
#[must_use]
pub fn kinds(lang: Lang) -> Vec<KindView> {
    let view = |kind: &Kind| KindView {
        kind: kind.name,
        words: lang.words(&format!("kind.{}", kind.name)).to_owned(),
        urgency: codes::names(&[kind.urgency]).concat(),
        private: kind.private,
        place: kind.place,
    };
    KINDS.iter().map(view).collect()
}
