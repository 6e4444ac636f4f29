//! What a live run has cost.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::ProviderId;

/// Money, in US dollars.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spending {
    /// In all.
    pub usd: f64,
    /// By column.
    pub by_provider: BTreeMap<ProviderId, f64>,
}

impl Spending {
    pub fn add(&mut self, provider: &ProviderId, usd: f64) {
        self.usd += usd;
        *self.by_provider.entry(provider.clone()).or_default() += usd;
    }

    /// The sum of both.
    pub fn with(mut self, other: Self) -> Self {
        for (provider, usd) in &other.by_provider {
            self.add(provider, *usd);
        }
        self
    }
}

impl fmt::Display for Spending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "US$ {:.2} in all", self.usd)?;
        for (index, (provider, usd)) in self.by_provider.iter().enumerate() {
            let before = if index == 0 { ": " } else { ", " };
            write!(f, "{before}{provider} {usd:.2}")?;
        }
        Ok(())
    }
}
