//! The filters by the manifest's own names, as the harness and `compat watch` take them.

use clap::Args;

use crate::selection::Axes;

/// Filters by feature, provider and tier.
#[derive(Args, Clone, Debug, Default)]
pub struct AxisArguments {
    /// Run only this feature; may be given several times
    #[arg(long, value_name = "FEATURE")]
    feature: Vec<String>,
    /// Run only this provider; may be given several times
    #[arg(long, value_name = "PROVIDER")]
    provider: Vec<String>,
    /// Run only this tier; may be given several times
    #[arg(long, value_name = "TIER")]
    tier: Vec<String>,
}

impl AxisArguments {
    /// What they let through.
    pub fn to_axes(&self) -> Axes {
        Axes {
            features: self.feature.clone(),
            providers: self.provider.clone(),
            tiers: self.tier.clone(),
        }
    }
}
