//! Nodes that do not answer any more and what becomes of their incidents.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::IncidentView;

/// What an operator is shown of lost nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TakeoversView {
    /// Lost nodes for which this one answers, or in whose incidents it may vouch for what they wrote.
    pub lost: Vec<LostNodeView>,
    /// Incidents of lost nodes that are offered to this one.
    pub offered: Vec<OfferedHereView>,
}

/// A node that was lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LostNodeView {
    /// Member id.
    pub id: String,
    /// Name.
    pub name: String,
    /// `expelled`, `proven` (it said two things in one place) or `silent`.
    pub why: String,
    /// Since when it is silent, or was expelled.
    pub since_ms: Option<u64>,
    /// True if this node is its authority and may take its incidents over.
    pub ours_to_take: bool,
    /// Its open incidents, as far as this node holds them.
    pub open: u64,
    /// Those of them that are offered to nobody.
    pub unoffered: u64,
    /// Those that are offered and not answered, by the node that was asked.
    pub waiting: Vec<WaitingView>,
    /// Those that are accepted; this node commits them by itself.
    pub accepted: u64,
    /// Those in which this node does not write for now.
    pub locked: u64,
    /// To whom they may be offered: its neighbours, and the aggregators, this one too.
    pub targets: Vec<TargetView>,
    /// Incidents in which somebody expelled wrote what nobody has vouched for, and this node may.
    pub to_vouch: u64,
    /// Its first open incidents, the most urgent first; only where one node is asked for.
    pub incidents: Vec<IncidentView>,
}

/// How many incidents wait for the answer of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingView {
    /// Name of the node that was asked.
    pub node: String,
    /// How many.
    pub count: u64,
}

/// A node that may take incidents of a lost one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetView {
    /// Member id.
    pub id: String,
    /// Name.
    pub name: String,
    /// `here` for this node, else `connected`, `connecting`, `away`.
    pub state: String,
}

/// Incidents of one lost node that are offered to this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferedHereView {
    /// Member id of the lost node.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How many wait for this node's answer.
    pub count: u64,
}

/// What one request did with many incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct BatchView {
    /// In how many it was done.
    pub done: u64,
    /// In how many the rules did not allow it, or this node does not write for now.
    pub refused: u64,
    /// How many are left for the next request.
    pub left: u64,
}
