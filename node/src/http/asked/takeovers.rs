//! What the desk asks for when a node is lost.

use jiff::civil::DateTime;
use protocol::ids::{DocId, MemberId, Millis};
use protocol::operation::HandoffReason;
use serde::Serialize;
use utoipa::ToSchema;

use super::handoff_names;
use crate::desk;
use crate::http::error::{Fault, Why};
use crate::http::fields::Fields;
use crate::pages::TIME_ZONE;

/// Taking over what a lost node has open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewTakeover {
    /// Member id of the lost node.
    #[schema(value_type = String)]
    pub node: MemberId,
    /// Member id of who is to answer from now on; this node itself takes at once.
    #[schema(value_type = String)]
    pub to: MemberId,
    /// One incident alone; absent for all that it has open.
    #[schema(value_type = Option<String>)]
    pub incident: Option<DocId>,
    /// Why, for this node's audit.
    pub reason: String,
}

impl NewTakeover {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        Ok(Self {
            node: fields.member("node")?,
            to: fields.member("to")?,
            incident: fields.id("incident")?.map(DocId),
            reason: Fields::required("reason", fields.line("reason")?)?,
        })
    }

    /// As `desk` takes it.
    pub(in crate::http) fn for_desk(self) -> desk::TakeOver {
        desk::TakeOver { node: self.node, to: self.to, incident: self.incident, why: self.reason }
    }
}

/// Answering everything of a lost node that is offered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct TakeoverAnswer {
    /// Member id of the lost node.
    #[schema(value_type = String)]
    pub node: MemberId,
    /// Absent to accept; why it is declined otherwise.
    #[schema(schema_with = handoff_names, required = false)]
    pub declined: Option<HandoffReason>,
}

impl TakeoverAnswer {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        Ok(Self { node: fields.member("node")?, declined: fields.choice("declined")? })
    }
}

/// Vouching for what an expelled node wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewVouch {
    /// Member id of the expelled node.
    #[schema(value_type = String)]
    pub node: MemberId,
    /// Only what had arrived at this node by then, in ms; a form sends `until`, a local time.
    #[schema(value_type = u64)]
    pub until_ms: Millis,
    /// Why, for this node's audit.
    pub reason: String,
}

impl NewVouch {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let until = match fields.whole("until_ms")? {
            Some(until) => Some(Millis(until)),
            None => fields.line("until")?.map(|text| local_time(&text)).transpose()?,
        };
        Ok(Self {
            node: fields.member("node")?,
            until_ms: Fields::required("until", until)?,
            reason: Fields::required("reason", fields.line("reason")?)?,
        })
    }

    /// As `desk` takes it.
    pub(in crate::http) fn for_desk(self) -> desk::Vouch {
        desk::Vouch { node: self.node, until: self.until_ms, why: self.reason }
    }
}

/// The end of the minute that a form's field of date and time names, in the zone in which times are shown.
fn local_time(text: &str) -> Result<Millis, Fault> {
    let wrong = || Fault { field: "until", why: Why::Wrong };
    let time: DateTime = text.parse().map_err(|_| wrong())?;
    let at = time.in_tz(TIME_ZONE).map_err(|_| wrong())?.timestamp().as_millisecond();
    u64::try_from(at).map(|at| Millis(at + 59_999)).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_names_its_instant_in_milliseconds_or_as_a_local_time() {
        let parse = |until: &str| {
            let node = "07".repeat(32);
            let json = format!(r#"{{"node":"{node}","reason":"called them",{until}}}"#);
            NewVouch::parse(&Fields::from_json(json.as_bytes()).unwrap()).map(|asked| asked.until_ms.0)
        };
        assert_eq!(parse(r#""until_ms":7"#), Ok(7));
        // Summer in Santiago: three hours behind.
        assert_eq!(parse(r#""until":"2026-11-23T12:03""#), Ok(1_795_446_180_000 + 59_999));
        assert_eq!(parse(r#""until":"yesterday""#), Err(Fault { field: "until", why: Why::Wrong }));
        assert_eq!(parse(r#""until":"""#), Err(Fault { field: "until", why: Why::Missing }));
    }
}
