//! The limits of providers in a live run, from the manifest and from the command line.

use std::num::NonZeroU32;
use std::str::FromStr;

use crate::ids::{ProviderId, TierId};

/// What a provider allows for one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    pub requests_per_minute: Option<NonZeroU32>,
    pub tokens_per_minute: Option<NonZeroU32>,
}

/// A limit and the requests that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedLimit {
    /// `any`, a provider, or a provider and a tier (`anthropic/opus`).
    pub name: String,
    pub limit: Limit,
}

/// The limits of a run. Of two for the same name, the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(pub Vec<NamedLimit>);

/// The name of a limit for every provider and tier.
pub const ANY: &str = "any";

impl Limits {
    /// The limit for the requests of a provider on a tier: the one with the most exact name.
    pub fn of(&self, provider: &ProviderId, tier: &TierId) -> Limit {
        let exact = format!("{provider}/{tier}");
        let names = [exact.as_str(), provider.as_str(), ANY];
        let mut found = names
            .iter()
            .filter_map(|name| self.0.iter().find(|limit| limit.name == *name));
        found.next().map_or_else(Limit::default, |found| found.limit)
    }
}

impl NamedLimit {
    /// What is wrong with its name, if it has no such provider or tier.
    pub fn unknown<'a>(
        &self,
        mut providers: impl Iterator<Item = &'a ProviderId>,
        mut tiers: impl Iterator<Item = &'a TierId>,
    ) -> Option<String> {
        let (provider, tier) = match self.name.split_once('/') {
            Some((provider, tier)) => (provider, Some(tier)),
            None => (self.name.as_str(), None),
        };
        let is_any = provider == ANY && tier.is_none();
        if !is_any && !providers.any(|known| known.as_str() == provider) {
            return Some(format!("the manifest has no provider `{provider}`"));
        }
        let tier = tier.filter(|tier| !tiers.any(|known| known.as_str() == *tier))?;
        Some(format!("the manifest has no tier `{tier}`"))
    }
}

impl FromStr for NamedLimit {
    type Err = String;

    /// `NAME=REQUESTS` or `NAME=REQUESTS/TOKENS`, each a minute.
    fn from_str(text: &str) -> Result<Self, String> {
        let error = || {
            format!(
                "`{text}` is no limit: expected `NAME=REQUESTS` or `NAME=REQUESTS/TOKENS` a minute, such as `any=50` or \
                 `anthropic/opus=20/40000`"
            )
        };
        let (name, numbers) = text.split_once('=').ok_or_else(error)?;
        let number = |text: &str| text.parse::<NonZeroU32>().map(Some).map_err(|_| error());
        let (requests, tokens) = match numbers.split_once('/') {
            Some((requests, tokens)) => (number(requests)?, number(tokens)?),
            None => (number(numbers)?, None),
        };
        match name.is_empty() {
            true => Err(error()),
            false => Ok(Self {
                name: name.to_owned(),
                limit: Limit {
                    requests_per_minute: requests,
                    tokens_per_minute: tokens,
                },
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(texts: &[&str]) -> Limits {
        Limits(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn the_most_exact_name_wins_and_then_the_first() {
        let limits = limits(&["any=50", "anthropic=20/9000", "anthropic/opus=5", "anthropic=30"]);
        let requests = |provider: &str, tier: &str| {
            let limit = limits.of(&ProviderId::new(provider), &TierId::new(tier));
            limit.requests_per_minute.map(NonZeroU32::get)
        };
        assert_eq!(requests("anthropic", "opus"), Some(5));
        assert_eq!(requests("anthropic", "haiku"), Some(20));
        assert_eq!(requests("azure", "haiku"), Some(50));
        assert_eq!(
            Limits::default().of(&ProviderId::new("azure"), &TierId::new("haiku")),
            Limit::default()
        );
    }

    #[test]
    fn a_wrong_limit_says_what_is_allowed() {
        for wrong in ["", "any", "any=", "any=0", "any=-1", "any=1/0", "=5", "any=x/5"] {
            let error = wrong.parse::<NamedLimit>().unwrap_err();
            assert!(error.contains("expected `NAME=REQUESTS`"), "{wrong}: {error}");
        }
        let providers = [ProviderId::new("azure")];
        let tiers = [TierId::new("haiku")];
        let unknown = |text: &str| {
            text.parse::<NamedLimit>()
                .unwrap()
                .unknown(providers.iter(), tiers.iter())
        };
        assert_eq!(unknown("azure/haiku=1"), None);
        assert_eq!(unknown("any=1"), None);
        assert_eq!(
            unknown("azur=1").as_deref(),
            Some("the manifest has no provider `azur`")
        );
        assert_eq!(
            unknown("azure/opus=1").as_deref(),
            Some("the manifest has no tier `opus`")
        );
    }
}
