//! The names of features, providers, tiers, cells and trials.
//!
//! Pure. These types do not check whether a name exists; the manifest does.
#![warn(clippy::disallowed_methods)]

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $type(String);

        impl $type {
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// A row of the matrix, `tool_use`: the name of its folder below `cells/`.
    FeatureId
);
name!(
    /// A column of the matrix, `bedrock_invoke`: the stem of a cell's file name.
    ProviderId
);
name!(
    /// A class of models, `haiku`. Each cell has one trial on each tier.
    TierId
);

/// The tiers of a manifest in order, each with the name of its set; empty if it is in none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierNames(pub Vec<(TierId, String)>);

impl TierNames {
    /// The tiers that `name` stands for: one tier, or those of a set. None if nothing has this name.
    pub fn called(&self, name: &str) -> Vec<TierId> {
        let tiers = self.0.iter();
        let called = tiers.filter(|(tier, set)| tier.as_str() == name || (set == name && !set.is_empty()));
        called.map(|(tier, _)| tier.clone()).collect()
    }

    /// The names of the tiers, then those of their sets.
    pub fn all(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.iter().map(|(tier, _)| tier.as_str()).collect();
        names.extend(self.sets().into_iter().filter(|set| !set.is_empty()));
        names
    }

    /// The names of the sets, in order.
    pub fn sets(&self) -> Vec<&str> {
        let mut sets: Vec<&str> = self.0.iter().map(|(_, set)| set.as_str()).collect();
        let mut seen = std::collections::HashSet::new();
        sets.retain(|set| seen.insert(*set));
        sets
    }
}

impl FromIterator<TierId> for TierNames {
    /// Tiers without sets.
    fn from_iter<I: IntoIterator<Item = TierId>>(tiers: I) -> Self {
        Self(tiers.into_iter().map(|tier| (tier, String::new())).collect())
    }
}

/// A feature on a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CellId {
    pub feature: FeatureId,
    pub provider: ProviderId,
}

impl CellId {
    pub fn new(feature: &FeatureId, provider: &ProviderId) -> Self {
        Self {
            feature: feature.clone(),
            provider: provider.clone(),
        }
    }
    pub fn trial(&self, tier: &TierId) -> TrialName {
        TrialName {
            cell: self.clone(),
            tier: tier.clone(),
        }
    }
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.feature, self.provider)
    }
}

/// A cell on a tier: one entry of the test run, written `feature::provider::tier`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrialName {
    pub cell: CellId,
    pub tier: TierId,
}

impl fmt::Display for TrialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.cell, self.tier)
    }
}

/// A text that is not `feature::provider::tier`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a trial name, expected `feature::provider::tier`")]
pub struct TrialNameError(String);

impl FromStr for TrialName {
    type Err = TrialNameError;

    fn from_str(text: &str) -> Result<Self, TrialNameError> {
        let parts: Vec<&str> = text.split("::").collect();
        match parts[..] {
            [feature, provider, tier] if parts.iter().all(|part| !part.is_empty()) => Ok(CellId {
                feature: FeatureId::new(feature),
                provider: ProviderId::new(provider),
            }
            .trial(&TierId::new(tier))),
            _ => Err(TrialNameError(text.to_owned())),
        }
    }
}

impl Serialize for TrialName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TrialName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Identifies a trial's requests on every route. It is the session id of `claude` and the name of its working directory. So each
/// request has it in a header, in `metadata.user_id` or in the prompt's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialKey(pub Uuid);

impl TrialKey {
    /// All UUIDs in `bytes`, in order: the possible keys.
    pub fn all_in(bytes: &[u8]) -> impl Iterator<Item = Self> {
        static KEY: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new("(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").expect("a constant expression")
        });
        KEY.find_iter(bytes)
            .filter_map(|found| Uuid::try_parse_ascii(found.as_bytes()).ok())
            .map(Self)
    }
}

impl fmt::Display for TrialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
