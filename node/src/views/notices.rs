//! Mass messages: what everybody is told, and what waits for a second person.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Mass messages at a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NoticesView {
    /// What people here are told now, the pressing ones first; with what was taken back until it would
    /// have ended.
    pub active: Vec<NoticeView>,
    /// What is over, newest first; for operators.
    pub over: Vec<NoticeView>,
    /// What waits for a second person; for operators.
    pub drafts: Vec<DraftView>,
    /// Areas for which this node may speak; for operators.
    pub areas: Vec<AreaView>,
}

/// A mass message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NoticeView {
    /// The document's id.
    pub id: String,
    /// Name of the node that speaks.
    pub node: String,
    /// True if that is this node.
    pub ours: bool,
    /// The jurisdiction that it is for; number 0 is the country.
    pub code: String,
    /// Its name; empty for the country.
    pub place: String,
    /// True for a drill: nothing has happened.
    pub drill: bool,
    /// `low`, `normal`, `high`, `emergency`.
    pub urgency: String,
    /// When it was sent, or last changed.
    pub opened_ms: u64,
    /// From when it says nothing any more.
    pub expires_ms: u64,
    /// True while it says something and was not taken back.
    pub active: bool,
    /// True once it was taken back.
    pub cancelled: bool,
    /// True if its words were changed since it was first sent.
    pub changed: bool,
    /// False for one of an expelled node that nobody confirmed; neighbours are not shown it.
    pub confirmed: bool,
    /// True while its words have not arrived.
    pub pending: bool,
    /// Its words, one a language.
    pub words: Vec<NoticeWordsView>,
    /// Why it was taken back.
    pub cancel_words: Vec<NoticeWordsView>,
    /// Who drafted what it says now; for operators of the node that speaks.
    pub drafted_by: Option<String>,
    /// Who approved it.
    pub approved_by: Option<String>,
}

/// The words of a mass message in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoticeWordsView {
    /// `es` or `en`.
    pub lang: String,
    /// One line, at most 90 characters.
    pub headline: String,
    /// What it means and what to do; may be empty.
    pub text: String,
}

/// A mass message that only its desk has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DraftView {
    /// Its number at this node.
    pub number: i64,
    /// `open`, `update` or `cancel`.
    pub what: String,
    /// The message that it changes or takes back.
    pub notice: Option<String>,
    /// True for a drill.
    pub drill: bool,
    /// The jurisdiction that it is for; number 0 is the country.
    pub code: String,
    /// Its name; empty for the country.
    pub place: String,
    /// How pressing.
    pub urgency: String,
    /// For how many hours from when it is sent; 0 for taking one back.
    pub hours: u32,
    /// Its words, one a language.
    pub words: Vec<NoticeWordsView>,
    /// Who wrote it.
    pub drafted_by: Option<String>,
    /// When.
    pub drafted_ms: u64,
    /// True if that is who asks: somebody else has to send it.
    pub yours: bool,
    /// Whom it will reach.
    pub reach: ReachView,
}

/// How many registered households a message reaches.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ReachView {
    /// Those counted here, and by the last figures of other nodes.
    pub households: u64,
    /// Jurisdictions that gave no figures; their households come on top.
    pub unknown: Vec<String>,
}

/// An area for which a node may speak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AreaView {
    /// Its code; number 0 is the country.
    pub code: String,
    /// Its name; empty for the country.
    pub name: String,
}
