//! What the matrix needs to know of the manifest: which rows, columns and tiers there are, in order.

use crate::ids::{FeatureId, ProviderId, TierId};

/// Rows, columns and tiers, in the manifest's order. Nothing stands in it twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestView {
    /// Each row's id and the name that people read.
    pub features: Vec<(FeatureId, String)>,
    /// The columns.
    pub providers: Vec<ProviderId>,
    /// The tiers that each cell is tried on.
    pub tiers: Vec<TierId>,
}
