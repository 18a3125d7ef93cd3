//! What a node is for, as its operator says it. The roster alone decides what a node may do; this
//! chooses the questions of `init` and the first screen.

use serde::{Deserialize, Serialize};

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// Takes the alerts of its own territory.
    Municipal,
    /// A police precinct, fire brigade or other service that incidents are referred to.
    Service,
    /// Sees the municipal nodes of one precinct.
    Precinct,
    /// Sees one region.
    Regional,
    /// Sees the country.
    National,
}

impl NodeRole {
    /// True for nodes that see others' incidents as cells and figures and have no residents.
    #[must_use]
    pub fn is_aggregator(self) -> bool {
        match self {
            NodeRole::Municipal | NodeRole::Service => false,
            NodeRole::Precinct | NodeRole::Regional | NodeRole::National => true,
        }
    }
}
