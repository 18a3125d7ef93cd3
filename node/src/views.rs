//! What a person is shown: the shapes that `desk` answers with, `http` serves as JSON and `pages`
//! renders. No SQL, no wire types; every time is Unix milliseconds, every id lowercase hex.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod desk;
mod notices;
mod takeovers;

pub use desk::{DisputeView, DuplicatesView, MergedView, ReferralView, RelatedView};
pub use notices::{AreaView, DraftView, NoticeView, NoticeWordsView, NoticesView, ReachView};
pub use takeovers::{BatchView, LostNodeView, OfferedHereView, TakeoversView, TargetView, WaitingView};

/// A point on the map, WGS84 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PointView {
    /// Latitude.
    pub lat: f64,
    /// Longitude.
    pub lon: f64,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum WhoView {
    /// A registered neighbour.
    Resident {
        /// Number on this node; means nothing elsewhere.
        id: i64,
        /// Name or nickname.
        name: String,
        /// Registered address.
        address: String,
        /// Home, if known.
        home: Option<PointView>,
    },
    /// Somebody at the desk.
    Operator {
        /// Number on this node.
        id: i64,
        /// Name.
        name: String,
    },
}

/// One step of an answer, reached or not, in the order that people are shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// `stored`, `seen`, `called`, `on_the_way`, `on_site`, `resolved`.
    pub step: String,
    /// When; absent while it is not true.
    pub at_ms: Option<u64>,
    /// Which node said so.
    pub node: Option<String>,
    /// Photos that came with it (blob ids that `/media/ID` serves to this viewer).
    pub photos: Vec<String>,
}

/// One line of an incident's timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimelineView {
    /// The envelope.
    pub id: String,
    /// The operation's name: `open`, `step`, `note`, …
    pub what: String,
    /// Its code, where it has one: the step, the outcome, the contribution, the response, the reason.
    pub detail: Option<String>,
    /// The node that wrote it.
    pub node: String,
    /// The person there, if this viewer may know: an operator's name on their own node, else absent.
    pub by: Option<String>,
    /// When it was written, as that node's clock said.
    pub written_ms: u64,
    /// When this node stored it.
    pub received_ms: u64,
    /// The words that came with it, if this viewer may read them and they are here.
    pub text: Option<String>,
    /// True while words or photos named by it have not arrived.
    pub detail_pending: bool,
    /// Photos that came with it.
    pub photos: Vec<String>,
    /// The blob that holds the words, for operators.
    pub words: Option<String>,
    /// Words and photos that came with it and that are erased everywhere.
    pub erased: Vec<ErasedView>,
    /// Words and photos for responders that an operator here may let everybody see, by blob.
    pub releasable: Vec<String>,
    /// Those that the owner let everybody see.
    pub released: Vec<String>,
    /// The other node that it names (invited, offered to).
    pub other_node: Option<String>,
    /// False for what an expelled node wrote and nobody confirmed.
    pub confirmed: bool,
}

/// Words or a photo that is erased at every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErasedView {
    /// The blob.
    pub id: String,
    /// Nodes that have said that nothing of it is left with them; for operators.
    pub gone_at: Vec<String>,
    /// Nodes that may have held it and have not said so yet; for operators.
    pub waiting_for: Vec<String>,
    /// True if whoever told it asked to be erased; known at their own node only.
    pub on_request: bool,
}

/// An incident as a row of the queue, a card near home, a line of the ticker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentView {
    /// The document's id.
    pub id: String,
    /// Short number for speech, from the id: four letters or digits.
    pub short: String,
    /// The kind's name; `unknown` where a newer version of the program wrote it.
    pub kind: String,
    /// Whether this node can show all of it: `here`; `newer` (a newer version of the program wrote it, and
    /// this one can read no more of it than this row); for one incident in full also `dropped` (its contents
    /// were dropped here after their retention) and `incomplete` (another node has dropped them, so that
    /// something may be missing).
    pub contents: String,
    /// `low`, `normal`, `high`, `emergency`.
    pub urgency: String,
    /// Jurisdiction code of the place (`CL-13130`, or `outside`).
    pub code: String,
    /// Name of that jurisdiction.
    pub place: String,
    /// The cell of the place, hex H3 index, empty if none.
    pub cell: String,
    /// The exact point, where this viewer may know it; otherwise the centre of the cell.
    pub point: Option<PointView>,
    /// True if `point` is exact.
    pub point_exact: bool,
    /// How it came in: `app`, `phone_call`, …
    pub source: String,
    /// `open`, `received`, `called`, `on_the_way`, `on_site`, `resolved`, `closed`.
    pub status: String,
    /// How it ended, once closed.
    pub outcome: Option<String>,
    /// Name of the node that answers for it.
    pub owner: String,
    /// Member id of that node.
    pub owner_id: String,
    /// True if this node answers for it.
    pub ours: bool,
    /// Node to which it is offered and which has not answered.
    pub offered_to: Option<String>,
    /// True if the offer is to this node and waits for its answer.
    pub offered_to_us: bool,
    /// True if a referral to this node waits for its answer.
    pub referred_to_us: bool,
    /// When it was opened.
    pub opened_ms: u64,
    /// When something last happened.
    pub changed_ms: u64,
    /// True if it arrived here too late to ring.
    pub late: bool,
    /// True while it rings here: urgent, ours or near, not claimed, not late.
    pub ringing: bool,
    /// Operator who claimed it here.
    pub claimed_by: Option<String>,
    /// Alerts that belong to it at this node.
    pub alerts: u32,
    /// "I saw it too".
    pub saw_it_too: u32,
    /// Crews on the way or on site.
    pub crews: u32,
    /// Distance from the viewer's home in metres, for a neighbour.
    pub distance_m: Option<u32>,
    /// First words of the report, if the viewer may read them.
    pub text: Option<String>,
}

/// Everything about one incident that a viewer may see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentDetailView {
    /// The row.
    pub incident: IncidentView,
    /// The steps in order.
    pub steps: Vec<StepView>,
    /// Oldest first.
    pub timeline: Vec<TimelineView>,
    /// Nodes that see it in full.
    pub involved: Vec<NodeNameView>,
    /// Nodes that it may be offered to or that may be invited: neighbours and services.
    pub reachable: Vec<NodeNameView>,
    /// Heads of the document, hex: equal lists on two nodes prove equal content.
    pub heads: Vec<String>,
    /// What this viewer may do now: `claim`, `step:called`, `respond:on_the_way`, `invite`, `offer`,
    /// `accept`, `decline`, `close`, `reopen`, `note`, `contribute`, `solved`, `media` (a neighbour to their
    /// own alert); `refer`, `reclassify`, `relocate`, `link`, `dispute`, `redact`, `release`.
    pub may: Vec<String>,
    /// Services that were asked, oldest first; for operators.
    pub referrals: Vec<ReferralView>,
    /// Nodes of services, to which it may be referred.
    pub services: Vec<NodeNameView>,
    /// The service that answers its kind first.
    pub service: String,
    /// What it is the same as; for operators.
    pub duplicates: DuplicatesView,
    /// The incident below which it is shown. Its reporter sees that one's steps.
    pub merged: Option<MergedView>,
    /// What involved nodes dispute; for operators.
    pub disputes: Vec<DisputeView>,
    /// True once its owner ended it for good: nothing more can be added.
    pub retired: bool,
    /// The reporter's name and phone at this node, for its operators only.
    pub reporter: Option<ReporterView>,
}

/// The reporter, as their own node's operators see them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReporterView {
    /// Name; absent for a sealed reporter.
    pub name: Option<String>,
    /// Phone.
    pub phone: Option<String>,
    /// Registered address.
    pub address: Option<String>,
    /// `public`, `neighbours`, `operator`, `nobody`.
    pub visibility: String,
}

/// A node by id and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeNameView {
    /// Member id.
    pub id: String,
    /// Name in the roster.
    pub name: String,
}

/// What a node answers to a new alert, after the commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RaisedView {
    /// The incident's document.
    pub id: String,
    /// Its short number.
    pub short: String,
    /// When it was stored.
    pub stored_ms: u64,
    /// True if this same alert was here already; nothing was made.
    pub already: bool,
    /// Name of the node whose territory the place is in, if it is another's.
    pub offered_to: Option<String>,
    /// True if the place lies in no known territory or was missing: kept here, and marked so.
    pub outside: bool,
}

/// One row of the coverage table, by the South Precinct's formulae.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CoverageRow {
    /// Jurisdiction code; empty in the row of totals.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Registered addresses.
    pub registered_addresses: u64,
    /// Inhabitants.
    pub population: u64,
    /// ceil(10 % of the inhabitants); in the totals the sum of the rows.
    pub target: u64,
    /// target − registered, not below zero.
    pub missing: u64,
    /// registered ÷ target in percent, one decimal, half up.
    pub compliance_percent: f64,
    /// Reports in the period.
    pub reports: u64,
    /// When the figures were written, as their node's clock said.
    pub as_of_ms: u64,
}

/// The coverage table of a month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CoverageView {
    /// Month, `yyyymm`.
    pub period: u32,
    /// Months for which there are figures, newest first.
    pub periods: Vec<u32>,
    /// By compliance, highest first.
    pub rows: Vec<CoverageRow>,
    /// The totals.
    pub totals: CoverageRow,
}

/// One figure of one jurisdiction, for the map of the country.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TerritoryFigureView {
    /// Jurisdiction code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Registered addresses.
    pub registered_addresses: u64,
    /// Inhabitants.
    pub population: u64,
    /// Compliance in percent.
    pub compliance_percent: f64,
    /// Reports in the period.
    pub reports: u64,
    /// Incidents open now.
    pub open_now: u64,
    /// Reports by kind name.
    pub by_kind: Vec<KindCount>,
}

/// A count of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KindCount {
    /// Kind name.
    pub kind: String,
    /// How many.
    pub count: u64,
}

/// The page of a precinct or of the country.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CountryView {
    /// Month.
    pub period: u32,
    /// Nodes known to the roster that report.
    pub territories: Vec<TerritoryFigureView>,
    /// Incidents open now.
    pub open_now: u64,
    /// Incidents opened in the last 24 hours.
    pub last_day: u64,
    /// Reports in the period.
    pub reports: u64,
    /// Registered addresses.
    pub registered_addresses: u64,
    /// Newest incidents, newest first, at most 50; places are cells.
    pub ticker: Vec<IncidentView>,
    /// Reports per day of the period, as far as incidents are held: (yyyymmdd, count).
    pub per_day: Vec<DayCount>,
}

/// A count of one day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DayCount {
    /// Day, `yyyymmdd`.
    pub day: u32,
    /// How many.
    pub count: u64,
}

/// Another node, as this node's operators see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerView {
    /// Member id.
    pub id: String,
    /// Name.
    pub name: String,
    /// `municipal`, `service`, `aggregator`.
    pub roles: Vec<String>,
    /// `connected`, `connecting`, `away`.
    pub state: String,
    /// Since when it is in that state.
    pub since_ms: u64,
    /// Documents of which it has not confirmed the newest.
    pub due: u64,
    /// Age of the oldest of those.
    pub lag_ms: u64,
    /// When an equal digest last proved both in step.
    pub in_step_ms: Option<u64>,
    /// Documents that the digest covers.
    pub shared_documents: u64,
    /// Envelopes refused from it.
    pub refused: u64,
    /// Last reason for which one was refused.
    pub last_refusal: Option<String>,
    /// Documents in which it is proven to have said two things in one place of its chain.
    pub equivocations: u64,
}

/// The state of this node, for health checks and the foot of every page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    /// Member id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Role names.
    pub roles: Vec<String>,
    /// Codes that it answers for.
    pub codes: Vec<String>,
    /// Emergency telephone number to call when nothing else works.
    pub emergency_number: String,
    /// Version of the software.
    pub version: String,
    /// Version of the roster.
    pub roster_version: u64,
    /// True when the roster has expired: a warning, nothing stops.
    pub roster_expired: bool,
    /// From when it counts as expired, in Unix milliseconds.
    pub roster_expires_ms: u64,
    /// True while the root keys have signed two versions that contradict each other: an alarm, nothing stops.
    pub roster_forked: bool,
    /// True if the places on this node are invented, as in the demo.
    pub invented_places: bool,
    /// Where it writes: `everywhere`, or only in what it opens itself, `restored` until other nodes have
    /// shown what it had said, `twin` until a person has found out who else signs as this node.
    pub writes: String,
}
