//! What every page needs beside its own view: language, node, viewer, time.

use super::chart::{self, Bar};
use super::format;
use super::icons;
use super::lang::{self, Lang};
use crate::views::{DayCount, IncidentDetailView, NodeView, NoticeView, WhoView};
use protocol::kind::{KINDS, Service, Urgency};
use protocol::operation::{Disputed, Outcome};
use std::borrow::Borrow;
use std::collections::BTreeMap;

/// The frame of a page: who looks at it, in which language, on which node, when.
#[derive(Debug, Clone)]
pub struct Chrome {
    /// Language of the page.
    pub lang: Lang,
    /// This node.
    pub node: NodeView,
    /// Who is signed in.
    pub who: Option<WhoView>,
    /// Path of the request, to come back to.
    pub path: String,
    /// Now, for ages.
    pub now_ms: u64,
    /// What everybody is told now at this node, the pressing ones first.
    pub notices: Vec<NoticeView>,
    /// 32 random bytes in hex, made for this page: the id of an alert sent from its plain form, so
    /// that sending the form twice makes one alert.
    pub fresh: String,
}

/// What a person had typed into a form that has to be shown again, by field name.
#[derive(Debug, Clone, Default)]
pub struct Filled(BTreeMap<String, String>);

impl Filled {
    /// The value of a field, empty if there is none.
    #[must_use]
    pub fn get(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }
    /// True if a field has this value.
    #[must_use]
    pub fn is(&self, field: &str, value: &str) -> bool {
        self.get(field) == value
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Filled {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(fields: I) -> Self {
        Self(fields.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

impl Chrome {
    /// The words of a key.
    #[must_use]
    pub fn t<'a>(&self, key: &'a str) -> &'a str {
        self.lang.words(key)
    }
    /// The words of a key with `{n}` filled in.
    #[must_use]
    pub fn f(&self, key: &str, value: impl std::fmt::Display) -> String {
        self.t(key).replace("{n}", &value.to_string())
    }
    /// The words of a code of a family: `c.word("outcome", "helped")`. A code that this version does
    /// not know yet shows itself.
    #[must_use]
    pub fn word(&self, family: &str, code: impl AsRef<str>) -> String {
        let code = code.as_ref();
        self.lang.find(&format!("{family}.{code}")).map_or_else(|| code.replace('_', " "), str::to_owned)
    }
    /// A whole number.
    #[must_use]
    pub fn n(&self, value: impl Borrow<u64>) -> String {
        self.lang.number(*value.borrow())
    }
    /// A share in percent: `71,6 %`.
    #[must_use]
    pub fn percent(&self, value: impl Borrow<f64>) -> String {
        format!("{}\u{a0}%", self.lang.decimal(*value.borrow()))
    }
    /// A month in words.
    #[must_use]
    pub fn month(&self, period: impl Borrow<u32>) -> String {
        self.lang.month(*period.borrow())
    }
    /// A length of time.
    #[must_use]
    pub fn span(&self, length_ms: impl Borrow<u64>) -> String {
        self.lang.span(*length_ms.borrow())
    }
    /// A distance.
    #[must_use]
    pub fn distance(&self, metres: impl Borrow<u32>) -> String {
        self.lang.distance(*metres.borrow())
    }
    /// A time as clock and as age, as a `time` element.
    #[must_use]
    pub fn time(&self, at_ms: impl Borrow<u64>) -> String {
        let at_ms = *at_ms.borrow();
        format!(
            "<time datetime=\"{}\" data-at=\"{at_ms}\"><b>{}</b> <span>{}</span></time>",
            format::machine_time(at_ms),
            format::clock(at_ms, self.now_ms),
            self.lang.age(at_ms, self.now_ms)
        )
    }
    /// A time as clock alone.
    #[must_use]
    pub fn clock(&self, at_ms: impl Borrow<u64>) -> String {
        format::clock(*at_ms.borrow(), self.now_ms)
    }
    /// A time as a form's field of date and time takes it; now if there is none.
    #[must_use]
    pub fn local_input(&self, at_ms: impl Borrow<Option<u64>>) -> String {
        format::local_input(at_ms.borrow().unwrap_or(self.now_ms))
    }
    /// A time to the second.
    #[must_use]
    pub fn clock_seconds(&self, at_ms: impl Borrow<u64>) -> String {
        format::clock_seconds(*at_ms.borrow())
    }
    /// An icon as inline SVG.
    #[must_use]
    pub fn icon(&self, name: impl AsRef<str>) -> String {
        icons::svg(name.as_ref())
    }
    /// The address of a built file.
    #[must_use]
    pub fn asset(&self, name: &str) -> &'static str {
        super::assets::address(name).unwrap_or("/assets/missing")
    }
    /// The `head` elements of a page's script: itself, and what it loads, asked for at the same time.
    #[must_use]
    pub fn script(&self, name: &str) -> String {
        let mut elements = format!("<script type=\"module\" src=\"{}\"></script>", self.asset(name));
        for file in super::assets::loads(name) {
            elements.push_str(&format!("<link rel=\"modulepreload\" href=\"{file}\">"));
        }
        elements
    }
    /// True for a signed-in operator.
    #[must_use]
    pub fn operator(&self) -> bool {
        matches!(self.who, Some(WhoView::Operator { .. }))
    }
    /// True for a signed-in neighbour.
    #[must_use]
    pub fn resident(&self) -> bool {
        matches!(self.who, Some(WhoView::Resident { .. }))
    }
    /// Name of who is signed in, empty for nobody.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.who {
            Some(WhoView::Resident { name, .. } | WhoView::Operator { name, .. }) => name,
            None => "",
        }
    }
    /// True if this node answers alerts itself.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.node.roles.iter().any(|role| role == "municipal" || role == "service")
    }
    /// True if this node keeps figures of others.
    #[must_use]
    pub fn aggregates(&self) -> bool {
        self.node.roles.iter().any(|role| role == "aggregator")
    }
    /// True if the request's path begins so.
    #[must_use]
    pub fn at(&self, path: &str) -> bool {
        self.path == path
    }
    /// The other languages: tag and own name.
    #[must_use]
    pub fn other_languages(&self) -> Vec<(&'static str, &'static str)> {
        Lang::ALL.into_iter().filter(|l| *l != self.lang).map(|l| (l.tag(), l.words("lang.name"))).collect()
    }
    /// The words for the islands of a page, as JSON.
    #[must_use]
    pub fn words_json(&self, prefixes: &[&str]) -> String {
        self.lang.words_json(prefixes)
    }
    /// A value for the islands of a page, as JSON.
    #[must_use]
    pub fn json(&self, value: &impl serde::Serialize) -> String {
        lang::script_json(value)
    }
    /// What islands must know about the page itself, as JSON.
    #[must_use]
    pub fn page_json(&self) -> String {
        let role = match &self.who {
            Some(WhoView::Resident { .. }) => "resident",
            Some(WhoView::Operator { .. }) => "operator",
            None => "nobody",
        };
        lang::script_json(&serde_json::json!({
            "lang": self.lang.tag(),
            "time_zone": format::TIME_ZONE,
            "now_ms": self.now_ms,
            "role": role,
            "node": self.node,
        }))
    }
    /// The icon of a status.
    #[must_use]
    pub fn status_icon(&self, status: impl AsRef<str>) -> String {
        format!("status_{}", status.as_ref())
    }
    /// The icon of a connection's state.
    #[must_use]
    pub fn peer_icon(&self, state: impl AsRef<str>) -> &'static str {
        match state.as_ref() {
            "connected" => "status_resolved",
            "connecting" => "pending",
            _ => "offline",
        }
    }
    /// What a line of a timeline says: the step, the outcome, the contribution, else the operation.
    #[must_use]
    pub fn event(&self, what: &str, detail: &Option<String>) -> String {
        let operation = self.word("event", what);
        let family = match what {
            "step" => "step",
            "close" => "outcome",
            "contribution" => "contribution",
            "respond" => "response",
            "reopen" => "reopen",
            "offer" | "decline" => "reason",
            "refer" => "service",
            "answer_referral" => "referral",
            "dispute" => "disputed",
            _ => return operation,
        };
        let Some(code) = detail else { return operation };
        let detail = self.word(family, code);
        if matches!(what, "step" | "contribution" | "respond") {
            detail
        } else {
            format!("{operation}: {detail}")
        }
    }
    /// True if a line was received so long after it was written that both times have to be shown.
    #[must_use]
    pub fn apart(&self, written_ms: &u64, received_ms: &u64) -> bool {
        received_ms.abs_diff(*written_ms) >= APART_MS
    }
    /// True if the viewer may do this.
    #[must_use]
    pub fn may(&self, may: &[String], what: &str) -> bool {
        may.iter().any(|m| m == what)
    }
    /// The words with which it was opened, in full where this viewer may read them.
    #[must_use]
    pub fn opening<'a>(&self, detail: &'a IncidentDetailView) -> Option<&'a str> {
        let open = detail.timeline.iter().find(|line| line.what == "open");
        open.and_then(|line| line.text.as_deref()).or(detail.incident.text.as_deref())
    }
    /// True if this is the viewer's own alert.
    #[must_use]
    pub fn own(&self, detail: &IncidentDetailView) -> bool {
        self.may(&detail.may, "media")
    }
    /// What of a family the viewer may do: `step` → `called`, `on_the_way`.
    #[must_use]
    pub fn may_family<'a>(&self, may: &'a [String], family: &str) -> Vec<&'a str> {
        may.iter().filter_map(|m| m.strip_prefix(family)?.strip_prefix(':')).collect()
    }
    /// True if services were asked, none has accepted, and the incident is this node's.
    #[must_use]
    pub fn still_ours(&self, detail: &IncidentDetailView) -> bool {
        let accepted = detail.referrals.iter().any(|asked| asked.state == "accepted");
        detail.incident.ours && detail.incident.outcome.is_none() && !accepted
    }
    /// True if the viewer may do any of what stands under "correct".
    #[must_use]
    pub fn may_correct(&self, detail: &IncidentDetailView) -> bool {
        ["refer", "link", "reclassify", "relocate", "dispute"].iter().any(|act| self.may(&detail.may, act))
    }
    /// True if there is something that may be released, or was.
    #[must_use]
    pub fn any_release(&self, detail: &IncidentDetailView) -> bool {
        detail.timeline.iter().any(|line| !line.releasable.is_empty() || !line.released.is_empty())
    }
    /// Every service, by name.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        super::codes::names(&Service::ALL)
    }
    /// Every kind, by name.
    #[must_use]
    pub fn kinds(&self) -> Vec<&'static str> {
        KINDS.iter().map(|kind| kind.name).collect()
    }
    /// Every urgency, by name.
    #[must_use]
    pub fn urgencies(&self) -> Vec<String> {
        super::codes::names(&Urgency::ALL)
    }
    /// What can be disputed, by name.
    #[must_use]
    pub fn disputed(&self) -> Vec<String> {
        super::codes::names(Disputed::ALL)
    }
    /// Every outcome, by name.
    #[must_use]
    pub fn outcomes(&self) -> Vec<String> {
        super::codes::names(Outcome::ALL)
    }
    /// The days of a month as bars.
    #[must_use]
    pub fn days(&self, days: &[DayCount]) -> Vec<(DayCount, Bar)> {
        chart::bars(days)
    }
}

/// From this difference on, a line shows when it was written and when it was received.
const APART_MS: u64 = 120_000;
