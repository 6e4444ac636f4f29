//! What the matrix needs to know of the manifest: which rows, columns and tiers there are, in order.

use crate::cells::Manifest;
use crate::ids::{FeatureId, ProviderId, TierId};

/// Rows, columns and tiers, in the manifest's order. Nothing stands in it twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestView {
    /// Each row's id and the name that people read.
    pub features: Vec<(FeatureId, String)>,
    pub providers: Vec<ProviderId>,
    /// The tiers that each cell is tried on.
    pub tiers: Vec<TierId>,
}

impl From<&Manifest> for ManifestView {
    fn from(manifest: &Manifest) -> Self {
        Self {
            features: manifest
                .features
                .iter()
                .map(|feature| (feature.id.clone(), feature.name.clone()))
                .collect(),
            providers: manifest.providers.clone(),
            tiers: manifest.tiers.iter().map(|tier| tier.id.clone()).collect(),
        }
    }
}
