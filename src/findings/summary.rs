//! The findings of a run: each once, with the cells and tiers in which it shows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::known::{KnownFindings, Versions};
use super::{Finding, FindingStatus, Level, Subject};
use crate::ids::{FeatureId, ProviderId, TierId, TrialName};
use crate::wire_diff::{Fate, Part};

/// A finding of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunFinding {
    /// The column.
    pub provider: ProviderId,
    /// What it is about: `request beta NAME dropped`, `expectation NAME` or `expectation FEATURE::NAME`.
    #[schemars(with = "String")]
    pub subject: Subject,
    /// Who notices it.
    pub level: Level,
    /// Whether the gateway is known to break it.
    pub status: FindingStatus,
    /// What broke, in one line.
    pub summary: String,
    /// What the user of Claude Code loses, in one sentence.
    pub loses: String,
    /// The rows in which it shows.
    pub features: Vec<FeatureId>,
    /// The tiers on which it shows.
    pub tiers: Vec<TierId>,
    /// The name of its declaration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
    /// Of a declared finding: why it breaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of a declared finding: the page about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// Groups the findings of trials: in the order of their first trials, broken features first.
pub fn of_trials<'a>(
    trials: impl IntoIterator<Item = (&'a TrialName, &'a [Finding])>,
    known: &KnownFindings,
) -> Vec<RunFinding> {
    let mut grouped: Vec<RunFinding> = Vec::new();
    for (trial, findings) in trials {
        for finding in findings {
            let (provider, tier) = (&trial.cell.provider, &trial.tier);
            let is_same = |other: &&mut RunFinding| {
                other.provider == *provider
                    && other.subject == finding.subject
                    && other.status == finding.status
            };
            match grouped.iter_mut().find(is_same) {
                Some(group) => {
                    push_once(&mut group.features, &trial.cell.feature);
                    push_once(&mut group.tiers, tier);
                    group.level = group.level.min(finding.level);
                }
                None => grouped.push(first(trial, finding, known)),
            }
        }
    }
    grouped.sort_by_key(|finding| (finding.level, finding.status));
    grouped
}

fn first(trial: &TrialName, finding: &Finding, known: &KnownFindings) -> RunFinding {
    let declared = finding.known_as.as_deref().and_then(|name| known.get(name));
    RunFinding {
        provider: trial.cell.provider.clone(),
        subject: finding.subject.clone(),
        level: finding.level,
        status: finding.status,
        summary: finding.summary.clone(),
        loses: declared.map_or_else(|| loses(&finding.subject).to_owned(), |known| known.loses.clone()),
        features: vec![trial.cell.feature.clone()],
        tiers: vec![trial.tier.clone()],
        known_as: finding.known_as.clone(),
        reason: declared.map(|known| known.reason.clone()),
        link: declared.map(|known| known.link.clone()),
    }
}

fn push_once<T: Clone + PartialEq>(list: &mut Vec<T>, value: &T) {
    if !list.contains(value) {
        list.push(value.clone());
    }
}

/// What the user of Claude Code loses by a finding that no one has described yet.
fn loses(subject: &Subject) -> &'static str {
    let Subject::Change { part, fate, .. } = subject else {
        return "The feature does not do what the row says.";
    };
    match (part, fate) {
        (Part::Request, Fate::Repeated) => {
            "The provider answers, and charges, the same request more than once."
        }
        (Part::Request, _) => "The provider does not get the request.",
        (Part::Status | Part::Error, _) => "Claude Code cannot react to the error that the provider gave.",
        (Part::Block | Part::Event, _) => "The conversation is not the one that was sent.",
        (Part::Signature, _) => "The provider refuses the conversation's thinking in a later turn.",
        (Part::Tool, _) => "The model sees other tools than Claude Code offers.",
        (Part::Breakpoint | Part::Prefix, _) => {
            "The provider caches less, so requests are slower and cost more."
        }
        (Part::Pace, _) => "The reply appears late or in bursts.",
        (Part::Usage, _) => "The counts of tokens, and the cost, are wrong.",
        (Part::StopReason, _) => "Claude Code does not learn why the reply ended.",
        (Part::Field, _) => "The provider works with another setting than Claude Code asked for.",
        (Part::Beta, Fate::Dropped) => "A feature that Claude Code turned on stays off.",
        (Part::Beta, _) => "A feature that Claude Code did not ask for is on.",
        (Part::Header, _) => "The other side lacks a header that the contract asks for.",
    }
}

/// The declarations that no longer show, each with the tiers on which it does not: every trial of their columns on these
/// tiers was judged, in their range of versions, and none has the finding.
///
/// `judged` tells whether every trial of a column on a tier was judged.
pub fn stale<'k>(
    trials: &[(&TrialName, &[Finding])],
    known: &'k KnownFindings,
    tiers: &[TierId],
    versions: Versions<'_>,
    judged: impl Fn(&ProviderId, &TierId) -> bool,
) -> Vec<StaleFinding<'k>> {
    let shows = |name: &str, provider: &ProviderId, tier: &TierId| {
        trials.iter().any(|(trial, findings)| {
            trial.cell.provider == *provider
                && trial.tier == *tier
                && findings
                    .iter()
                    .any(|finding| finding.known_as.as_deref() == Some(name))
        })
    };
    let mut stale = Vec::new();
    for known in known.findings.iter().filter(|known| known.covers(versions)) {
        for provider in &known.providers {
            let gone: Vec<TierId> = tiers
                .iter()
                .filter(|tier| known.applies_to(provider, tier))
                .filter(|tier| judged(provider, tier) && !shows(&known.name, provider, tier))
                .cloned()
                .collect();
            if !gone.is_empty() {
                stale.push(StaleFinding {
                    known,
                    provider: provider.clone(),
                    tiers: gone,
                });
            }
        }
    }
    stale
}

/// A declaration that no longer shows.
#[derive(Clone, Debug, PartialEq)]
pub struct StaleFinding<'a> {
    pub known: &'a super::KnownFinding,
    pub provider: ProviderId,
    pub tiers: Vec<TierId>,
}
