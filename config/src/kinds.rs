//! A municipality's own words and rules for the federation's kinds: it may rename one, leave it out,
//! choose who answers and how far it is shared, and tighten its privacy. It can never loosen it.

use protocol::kind::{Kind, Service, Urgency};
use serde::{Deserialize, Serialize};

use crate::settings::Config;
use crate::values::Name;

/// The widest buffer that a municipality may choose, in metres: beyond it half a city would be told.
pub const BUFFER_M_MAX: u32 = 5_000;

/// `[[kinds]]`: what this municipality changes about one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct KindEdit {
    kind: &'static Kind,
    label: Option<Name>,
    enabled: bool,
    private: bool,
    buffer_m: Option<u32>,
    service: Option<Service>,
}

/// A kind as this node uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalKind {
    /// The federation's kind.
    pub kind: &'static Kind,
    /// The municipality's own word for it, shown in every language.
    pub label: Option<String>,
    /// False if it is not offered to residents here. An SOS always is.
    pub enabled: bool,
    /// How pressing it is.
    pub urgency: Urgency,
    /// Who answers first.
    pub service: Service,
    /// Neighbours join only by invitation.
    pub private: bool,
    /// Jurisdictions within this distance are involved, in metres; 0 for a private kind.
    pub buffer_m: u32,
}

impl KindEdit {
    /// The kind that is changed.
    #[must_use]
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }
}

impl Config {
    /// One of the federation's kinds, as this node uses it.
    #[must_use]
    pub fn kind(&self, kind: &'static Kind) -> LocalKind {
        let edit = self.kinds.iter().find(|edit| edit.kind.number == kind.number);
        let private = kind.private || edit.is_some_and(|edit| edit.private);
        let buffer_m = edit.and_then(|edit| edit.buffer_m).unwrap_or(kind.buffer_m);
        LocalKind {
            kind,
            label: edit.and_then(|edit| edit.label.as_ref()).map(|label| label.as_str().to_owned()),
            enabled: edit.is_none_or(|edit| edit.enabled),
            urgency: kind.urgency,
            service: edit.and_then(|edit| edit.service).unwrap_or(kind.service),
            private,
            buffer_m: if private { 0 } else { buffer_m },
        }
    }

    /// Every kind of the federation, as this node uses it, by number.
    pub fn local_kinds(&self) -> impl Iterator<Item = LocalKind> + '_ {
        protocol::kind::KINDS.iter().map(|kind| self.kind(kind))
    }
}

/// A `[[kinds]]` entry as it is written, before it has been judged.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kind: KindName,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<Name>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    private: Option<Tightened>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buffer_m: Option<BufferM>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
}

/// The name of a kind that the federation has.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
struct KindName(&'static Kind);

/// `true`, and nothing else.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "bool", into = "bool")]
struct Tightened;

/// A buffer within its limit.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct BufferM(u32);

/// Why a `[[kinds]]` entry was refused.
#[derive(Debug, thiserror::Error)]
enum BadKind {
    #[error("expected a kind of the federation: {}", names())]
    Unknown,
    #[error("expected `private = true` or no `private` at all: privacy can only be tightened")]
    Loosens,
    #[error("expected a distance from 0 to {BUFFER_M_MAX} metres")]
    TooWide,
    #[error("expected no buffer_m for {0}: a private kind is never shared by distance")]
    PrivateBuffer(&'static str),
    #[error("expected sos without `enabled = false`: an SOS is always taken")]
    NoSos,
}

impl TryFrom<String> for KindName {
    type Error = BadKind;
    fn try_from(name: String) -> Result<Self, BadKind> {
        Kind::by_name(&name).map(KindName).ok_or(BadKind::Unknown)
    }
}

impl From<KindName> for &'static str {
    fn from(name: KindName) -> Self {
        name.0.name
    }
}

impl TryFrom<bool> for Tightened {
    type Error = BadKind;
    fn try_from(private: bool) -> Result<Self, BadKind> {
        if private { Ok(Tightened) } else { Err(BadKind::Loosens) }
    }
}

impl From<Tightened> for bool {
    fn from(_: Tightened) -> Self {
        true
    }
}

impl TryFrom<u32> for BufferM {
    type Error = BadKind;
    fn try_from(metres: u32) -> Result<Self, BadKind> {
        if metres <= BUFFER_M_MAX { Ok(BufferM(metres)) } else { Err(BadKind::TooWide) }
    }
}

impl From<BufferM> for u32 {
    fn from(metres: BufferM) -> Self {
        metres.0
    }
}

impl TryFrom<Written> for KindEdit {
    type Error = BadKind;

    fn try_from(written: Written) -> Result<Self, BadKind> {
        let Written { kind: KindName(kind), label, enabled, private, buffer_m, service } = written;
        let private = private.is_some();
        let buffer_m = buffer_m.map(|BufferM(metres)| metres);
        if (private || kind.private) && buffer_m.is_some_and(|metres| metres > 0) {
            return Err(BadKind::PrivateBuffer(kind.name));
        }
        if kind.name == "sos" && !enabled {
            return Err(BadKind::NoSos);
        }
        Ok(KindEdit { kind, label, enabled, private, buffer_m, service })
    }
}

impl From<KindEdit> for Written {
    fn from(edit: KindEdit) -> Self {
        let KindEdit { kind, label, enabled, private, buffer_m, service } = edit;
        let private = private.then_some(Tightened);
        Written { kind: KindName(kind), label, enabled, private, buffer_m: buffer_m.map(BufferM), service }
    }
}

fn yes() -> bool {
    true
}

fn names() -> String {
    let names: Vec<&str> = protocol::kind::KINDS.iter().map(|kind| kind.name).collect();
    names.join(", ")
}
