//! The parts of the manifest that the matrix needs.

use std::collections::HashSet;

use super::details::{RowDetails, TierName};
use crate::cells::Manifest;
use crate::ids::{FeatureId, ProviderId, TierId};
use crate::results::Results;

/// Rows, columns and tiers, in the manifest's order and without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestView {
    /// Each row's id and its name for readers.
    pub features: Vec<(FeatureId, String)>,
    /// What readers see about the rows that say more than their name.
    pub rows: Vec<RowDetails>,
    pub providers: Vec<ProviderId>,
    pub tiers: Vec<TierId>,
    /// The set of each tier, in the same order; none if the manifest has no sets.
    pub sets: Vec<String>,
    /// The names of the tiers for readers, in the same order.
    pub tier_names: Vec<String>,
}

impl ManifestView {
    /// The tiers that `results` are about: those of each set with a result, or of the first set if there is no result.
    pub(super) fn tiers_of(&self, results: &Results) -> Vec<&TierId> {
        let tried: HashSet<&TierId> = results.results.iter().map(|trial| &trial.tier).collect();
        let pairs = || self.tiers.iter().zip(&self.sets);
        let with_results = pairs().filter(|(tier, _)| tried.contains(tier));
        let mut sets: HashSet<&String> = with_results.map(|(_, set)| set).collect();
        if sets.is_empty() {
            sets.extend(self.sets.first());
        }
        match self.sets.is_empty() {
            true => self.tiers.iter().collect(),
            false => pairs()
                .filter(|(_, set)| sets.contains(set))
                .map(|(tier, _)| tier)
                .collect(),
        }
    }
}

impl ManifestView {
    /// Without the tiers that have no result; with all tiers if `results` are empty.
    pub fn of_tried_tiers(mut self, results: &Results) -> Self {
        let is_tried = |tier: &TierId| results.results.iter().any(|trial| trial.tier == *tier);
        let tried: Vec<bool> = self.tiers.iter().map(is_tried).collect();
        if tried.contains(&true) {
            keep(&mut self.tiers, &tried);
            keep(&mut self.sets, &tried);
            keep(&mut self.tier_names, &tried);
        }
        self
    }

    /// The names of `tiers` for readers.
    pub(super) fn names_of(&self, tiers: &[&TierId]) -> Vec<TierName> {
        let all = self.tiers.iter().zip(&self.tier_names).enumerate();
        let shown = all.filter(|(_, (id, _))| tiers.contains(id));
        shown
            .map(|(index, (id, name))| TierName {
                id: id.clone(),
                name: name.clone(),
                set: self.sets.get(index).cloned(),
            })
            .collect()
    }

    /// The rows and columns of the manifest's part `name`; all without a name or a part of this name.
    pub fn of_part(manifest: &Manifest, name: Option<&str>) -> Self {
        let mut view = Self::from(manifest);
        let part = name.and_then(|name| manifest.parts.iter().find(|part| part.name == name));
        if let Some(part) = part {
            view.features.retain(|(id, _)| part.features.contains(id));
            view.rows.retain(|row| part.features.contains(&row.id));
            view.providers.retain(|id| part.providers.contains(id));
        }
        view
    }
}

fn keep<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| kept.next() == Some(&true));
}

impl From<&Manifest> for ManifestView {
    fn from(manifest: &Manifest) -> Self {
        Self {
            features: manifest
                .features
                .iter()
                .map(|feature| (feature.id.clone(), feature.name.clone()))
                .collect(),
            rows: manifest.features.iter().filter_map(RowDetails::of).collect(),
            providers: manifest.providers.clone(),
            tiers: manifest.tier_ids(),
            sets: match manifest.tiers.iter().any(|tier| !tier.set.is_empty()) {
                true => manifest.tiers.iter().map(|tier| tier.set.clone()).collect(),
                false => Vec::new(),
            },
            tier_names: manifest.tiers.iter().map(|tier| tier.name.clone()).collect(),
        }
    }
}
