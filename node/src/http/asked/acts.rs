//! What the desk asks for less often: erasing, correcting, passing on.

use protocol::ids::BlobId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::Fault;
use crate::http::fields::Fields;

/// Erasing words or photos at every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewRedaction {
    /// The blobs: photos by their ids, words by the id beside them.
    #[schema(value_type = Vec<String>)]
    #[serde(skip)]
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
