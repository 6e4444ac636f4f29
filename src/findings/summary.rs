//! The findings of a run: each once, with the cells and tiers in which it shows.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Declared, Finding, FindingStatus, KnownFinding, KnownForRun, Level, Subject};
use crate::ids::{FeatureId, ProviderId, TierId, TrialName};
use crate::wire_diff::{Fate, Part};

/// A finding of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunFinding {
    /// The column.
    pub provider: ProviderId,
    /// What it is about: `request beta NAME dropped`, `expectation NAME` or `expectation FEATURE::NAME`. A declaration may
    /// name several.
    #[schemars(with = "Vec<String>")]
    pub subjects: Vec<Subject>,
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
    /// The declaration in `gateways/<name>.yaml`, if one matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Declared>,
}

/// Groups the findings of trials: broken features first, then in the order of their first trials.
pub fn of_trials<'a>(trials: impl IntoIterator<Item = (&'a TrialName, &'a [Finding])>) -> Vec<RunFinding> {
    let mut grouped: Vec<RunFinding> = Vec::new();
    for (trial, findings) in trials {
        for finding in findings {
            match grouped.iter_mut().find(|group| group.is_same(trial, finding)) {
                Some(group) => group.add(trial, finding),
                None => grouped.push(RunFinding::first(trial, finding)),
            }
        }
    }
    grouped.sort_by_key(|finding| (finding.level, finding.status));
    grouped
}

impl RunFinding {
    fn first(trial: &TrialName, finding: &Finding) -> Self {
        Self {
            provider: trial.cell.provider.clone(),
            subjects: vec![finding.subject.clone()],
            level: finding.level,
            status: finding.status,
            summary: finding.summary.clone(),
            loses: finding.loses.clone(),
            features: vec![trial.cell.feature.clone()],
            tiers: vec![trial.tier.clone()],
            known: finding.known.clone(),
        }
    }

    fn is_same(&self, trial: &TrialName, finding: &Finding) -> bool {
        self.provider == trial.cell.provider
            && self.status == finding.status
            && match (&self.known, &finding.known) {
                (Some(one), Some(other)) => one.name == other.name,
                (None, None) => self.subjects.contains(&finding.subject),
                _ => false,
            }
    }

    fn add(&mut self, trial: &TrialName, finding: &Finding) {
        push_once(&mut self.subjects, &finding.subject);
        push_once(&mut self.features, &trial.cell.feature);
        push_once(&mut self.tiers, &trial.tier);
        self.level = self.level.min(finding.level);
    }
}

fn push_once<T: Clone + PartialEq>(list: &mut Vec<T>, value: &T) {
    if !list.contains(value) {
        list.push(value.clone());
    }
}

/// What the user of Claude Code loses: as the declaration says, else by the part that changed.
pub fn loses(subject: &Subject, known: Option<&KnownFinding>) -> String {
    known.map_or_else(|| by_part(subject).to_owned(), |known| known.loses.clone())
}

fn by_part(subject: &Subject) -> &'static str {
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
    known: KnownForRun<'k>,
    tiers: &[TierId],
    judged: impl Fn(&ProviderId, &TierId) -> bool,
) -> Vec<StaleFinding<'k>> {
    let shows = |declared: &KnownFinding, provider: &ProviderId, tier: &TierId| {
        trials.iter().any(|(trial, findings)| {
            trial.cell.provider == *provider
                && trial.tier == *tier
                && findings.iter().any(|finding| declared.matches(&finding.subject))
        })
    };
    let mut stale = Vec::new();
    let versions = known.versions;
    for known in known
        .findings
        .findings
        .iter()
        .filter(|known| known.covers(versions))
    {
        for provider in &known.providers {
            let gone: Vec<TierId> = tiers
                .iter()
                .filter(|tier| known.applies_to(provider, tier))
                .filter(|tier| judged(provider, tier) && !shows(known, provider, tier))
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
    pub known: &'a KnownFinding,
    pub provider: ProviderId,
    pub tiers: Vec<TierId>,
}

/// `error: gateways/litellm.yaml:12:3: NAME no longer shows on PROVIDER (TIERS): …`
impl fmt::Display for StaleFinding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tiers: Vec<&str> = self.tiers.iter().map(TierId::as_str).collect();
        let place = &self.known.place;
        write!(
            f,
            "error: {}:{}:{}: the known finding `{}` no longer shows on {} ({}): narrow its `versions`, `providers` or `tiers`",
            place.file.display(),
            place.line,
            place.column,
            self.known.name,
            self.provider,
            tiers.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::findings::{KnownFindings, Versions};

    const FILE: &str = "\
name: Example
findings:
  effort_dropped:
    shows: [request beta effort-2025-11-24 dropped]
    providers: [vertex_ai]
    versions: '>=1.2.0, <=1.2.9'
    reason: its table lacks the beta
    loses: The effort has no effect.
    link: https://example.com/1
";

    fn tiers() -> Vec<TierId> {
        ["haiku", "opus"].map(TierId::new).to_vec()
    }

    fn known() -> KnownFindings {
        let providers = [ProviderId::new("vertex_ai")];
        let file = Path::new("gateways/example.yaml");
        KnownFindings::parse(file, FILE.as_bytes(), &providers, &tiers().into_iter().collect()).unwrap()
    }

    fn found(known: &KnownFindings) -> Finding {
        let subject: Subject = "request beta effort-2025-11-24 dropped".parse().unwrap();
        Finding {
            level: Level::Contract,
            expectation: "request_unchanged".into(),
            summary: "request 1: beta dropped".into(),
            loses: String::new(),
            status: FindingStatus::Known,
            known: Some((&known.findings[0]).into()),
            subject,
        }
    }

    #[test]
    fn a_declaration_is_stale_if_no_judged_trial_shows_it() {
        let known = known();
        let (haiku, opus): (TrialName, TrialName) = (
            "a::vertex_ai::haiku".parse().unwrap(),
            "a::vertex_ai::opus".parse().unwrap(),
        );
        let shows = [found(&known)];
        let trials: Vec<(&TrialName, &[Finding])> = vec![(&haiku, &shows), (&opus, &[])];
        let stale_tiers = |version: Option<&str>, judged: bool| {
            let run = KnownForRun {
                findings: &known,
                versions: Versions {
                    gateway: version,
                    claude_code: None,
                },
            };
            let stale = stale(&trials, run, &tiers(), |_, _| judged);
            stale.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let expected = "error: gateways/example.yaml:3:3: the known finding `effort_dropped` no longer shows on vertex_ai (opus): \
                        narrow its `versions`, `providers` or `tiers`";
        assert_eq!(stale_tiers(Some("1.2.3"), true), [expected]);
        assert!(
            stale_tiers(Some("1.2.3"), false).is_empty(),
            "some trials were not judged"
        );
        assert!(stale_tiers(Some("1.3.0"), true).is_empty(), "another version");
        assert!(stale_tiers(None, true).is_empty(), "an unknown version");
    }

    #[test]
    fn the_same_finding_of_a_column_is_one() {
        let known = known();
        let shows = [found(&known)];
        let names: Vec<TrialName> = [
            "a::vertex_ai::haiku",
            "b::vertex_ai::haiku",
            "a::vertex_ai::opus",
            "a::azure::opus",
        ]
        .map(|name| name.parse().unwrap())
        .to_vec();
        let grouped = of_trials(names.iter().map(|name| (name, &shows[..])));
        assert_eq!(grouped.len(), 2);
        assert_eq!((grouped[0].features.len(), grouped[0].tiers.len()), (2, 2));
    }
}
