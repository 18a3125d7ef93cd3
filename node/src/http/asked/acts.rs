//! What the desk asks for less often: erasing, correcting, passing on.

use protocol::ids::{BlobId, EnvelopeId, MemberId};
use protocol::kind::{Kind, Service, Urgency};
use protocol::operation::{Disputed, Point, ReferralAnswer};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use super::{Fix, kind_name, kind_names, names, urgency_names};
use crate::http::error::{Fault, Why};
use crate::http::fields::Fields;

fn service_names() -> Object {
    names(&Service::ALL)
}

fn answer_names() -> Object {
    names(ReferralAnswer::ALL)
}

fn disputed_names() -> Object {
    names(Disputed::ALL)
}

/// Asking a service to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewReferral {
    /// Which service.
    #[schema(schema_with = service_names)]
    pub service: Service,
    /// Member id of its node, if it has one.
    #[schema(value_type = Option<String>)]
    pub node: Option<MemberId>,
}

impl NewReferral {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let service = Fields::required("service", fields.choice("service")?)?;
        Ok(Self { service, node: fields.id("node")?.map(MemberId) })
    }
}

/// What a service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewReferralAnswer {
    /// The referral.
    #[schema(value_type = String)]
    pub referral: EnvelopeId,
    /// The answer.
    #[schema(schema_with = answer_names)]
    pub answer: ReferralAnswer,
}

impl NewReferralAnswer {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let referral = Fields::required("referral", fields.id("referral")?).map(EnvelopeId)?;
        Ok(Self { referral, answer: Fields::required("answer", fields.choice("answer")?)? })
    }
}

/// Correcting what an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct NewKind {
    /// The kind's name.
    #[schema(schema_with = kind_names)]
    #[serde(serialize_with = "kind_name")]
    pub kind: &'static Kind,
    /// If it is not as the kind usually is.
    #[schema(schema_with = urgency_names, required = false)]
    pub urgency: Option<Urgency>,
}

impl NewKind {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let kind = Fields::required("kind", fields.line("kind")?)?;
        let kind = Kind::by_name(&kind).ok_or(Fault { field: "kind", why: Why::Wrong })?;
        Ok(Self { kind, urgency: fields.choice("urgency")? })
    }
}

/// Correcting where an incident is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct NewPlace {
    /// Where, on the map.
    pub point: Fix,
    /// Where, in words.
    pub address: Option<String>,
}

impl NewPlace {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let point = Fields::required("point", fields.point()?.map(Fix::new))?;
        Ok(Self { point, address: fields.line("address")? })
    }

    /// As `desk` takes it.
    pub(in crate::http) fn for_desk(&self) -> Result<Point, Fault> {
        let point = Point::from_degrees(self.point.lat, self.point.lon);
        point.ok_or(Fault { field: "point", why: Why::Wrong })
    }
}

/// The other incident: by its id, or by its short number as the desk sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewLink {
    /// Its id or short number.
    pub target: String,
}

impl NewLink {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        // A form offers a list and a line for the number; what is written counts.
        let written = fields.line("number")?;
        let target = written.map_or_else(|| fields.line("target"), |number| Ok(Some(number)))?;
        Ok(Self { target: Fields::required("target", target)? })
    }
}

/// Saying that something about a neighbour's incident is not so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewDispute {
    /// What.
    #[schema(schema_with = disputed_names)]
    pub what: Disputed,
    /// Why, for both desks.
    pub text: String,
}

impl NewDispute {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let what = Fields::required("what", fields.choice("what")?)?;
        Ok(Self { what, text: Fields::required("text", fields.text("text")?)? })
    }
}

/// Letting everybody who holds the incident see words or photos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewRelease {
    /// The blobs: photos by their ids, words by the id beside them.
    #[schema(value_type = Vec<String>)]
    pub blobs: Vec<BlobId>,
    /// Must be true: it cannot be taken back.
    pub confirmed: bool,
}

impl NewRelease {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let confirmed = confirmed(fields)?;
        Ok(Self { blobs: fields.ids("blobs")?.into_iter().map(BlobId).collect(), confirmed })
    }
}

/// Erasing words or photos at every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewRedaction {
    /// The blobs: photos by their ids, words by the id beside them.
    #[schema(value_type = Vec<String>)]
    pub blobs: Vec<BlobId>,
    /// Why, for this node's audit.
    pub reason: String,
    /// Must be true: it cannot be taken back.
    pub confirmed: bool,
}

impl NewRedaction {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let confirmed = confirmed(fields)?;
        Ok(Self {
            blobs: fields.ids("blobs")?.into_iter().map(BlobId).collect(),
            reason: Fields::required("reason", fields.line("reason")?)?,
            confirmed,
        })
    }
}

/// Erasing a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewErasure {
    /// Why, for this node's audit.
    pub reason: String,
    /// Must be true: it cannot be taken back.
    pub confirmed: bool,
}

impl NewErasure {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        let confirmed = confirmed(fields)?;
        Ok(Self { reason: Fields::required("reason", fields.line("reason")?)?, confirmed })
    }
}

/// Being erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct EraseMe {
    /// Must be true: it cannot be taken back.
    pub confirmed: bool,
}

impl EraseMe {
    pub(in crate::http) fn parse(fields: &Fields) -> Result<Self, Fault> {
        Ok(Self { confirmed: confirmed(fields)? })
    }
}

fn confirmed(fields: &Fields) -> Result<bool, Fault> {
    let confirmed = fields.flag("confirmed")?;
    Fields::required("confirmed", confirmed.then_some(confirmed))
}
