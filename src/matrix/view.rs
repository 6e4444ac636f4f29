//! The parts of the manifest that the matrix needs.

use crate::cells::Manifest;
use crate::ids::{FeatureId, ProviderId, TierId};

/// Rows, columns and tiers, in the manifest's order and without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestView {
    /// Each row's id and its name for readers.
    pub features: Vec<(FeatureId, String)>,
    pub providers: Vec<ProviderId>,
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
            tiers: manifest.tier_ids(),
        }
    }
}
