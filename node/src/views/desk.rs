//! What operators see of an incident beside its own story: who was asked, what it may be the same as,
//! what somebody disputes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::NodeNameView;

/// A service that was asked to answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReferralView {
    /// The envelope that asks.
    pub id: String,
    /// `police`, `fire`, `ambulance`, `municipal_security`, `urban_services`.
    pub service: String,
    /// Its node, if it has one.
    pub node: Option<NodeNameView>,
    /// `waiting`, `accepted`, `declined`, `no_answer`.
    pub state: String,
    /// When it was asked.
    pub asked_ms: u64,
    /// When it answered.
    pub answered_ms: Option<u64>,
    /// What this viewer may answer now: `accepted`, `declined`, `no_answer`.
    pub may: Vec<String>,
}

/// Another incident that is, or may be, the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RelatedView {
    /// The document.
    pub id: String,
    /// Its short number.
    pub short: String,
    /// The kind's name.
    pub kind: String,
    /// As in the queue.
    pub status: String,
    /// The node that answers for it.
    pub owner: String,
    /// When it was opened.
    pub opened_ms: u64,
    /// How far apart the two are, in metres, if both places are known.
    pub distance_m: Option<u32>,
    /// First words of the report.
    pub text: Option<String>,
    /// True if it is the same alert, which reached two nodes.
    pub same_alert: bool,
    /// True once the owner of the one that stays took the other in.
    pub absorbed: bool,
    /// True if this viewer may take it in (a duplicate) or take the link back (one that stays).
    pub may: bool,
}

/// What an incident is the same as.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DuplicatesView {
    /// Incidents of which its owner says that it is the same.
    pub links: Vec<RelatedView>,
    /// Incidents whose owners say that they are the same as this one.
    pub here: Vec<RelatedView>,
    /// Incidents that may be the same, the likeliest first.
    pub suggested: Vec<RelatedView>,
}

/// The incident below which another one is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MergedView {
    /// Its document; absent if this viewer does not see it.
    pub id: Option<String>,
    /// Its short number.
    pub short: String,
}

/// Something that an involved node says is not so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DisputeView {
    /// `kind`, `place`, `outcome`, `owner`.
    pub what: String,
    /// Who says so.
    pub node: String,
    /// Why, if the words are here.
    pub text: Option<String>,
    /// When.
    pub at_ms: u64,
}
