//! The findings of a run: each once, with the cells and tiers in which it shows.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Declared, Finding, FindingStatus, Level, Subject};
use crate::ids::{FeatureId, ProviderId, TierId, TrialName};
use crate::wire::Direction;
use crate::wire_diff::{Fate, LOST_ANSWER, Part};

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

/// The findings about one change, one for each provider on which it shows. Readers see its texts once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingGroup<'a> {
    /// Never empty.
    findings: Vec<&'a RunFinding>,
}

/// `findings` by what changed, in their order.
pub fn by_change(findings: &[RunFinding]) -> Vec<FindingGroup<'_>> {
    let mut groups: Vec<FindingGroup<'_>> = Vec::new();
    for finding in findings {
        match groups
            .iter_mut()
            .find(|group| group.findings[0].is_same_change(finding))
        {
            Some(group) => group.findings.push(finding),
            None => groups.push(FindingGroup {
                findings: vec![finding],
            }),
        }
    }
    groups
}

impl RunFinding {
    /// Whether both are about the same change, on whatever provider.
    fn is_same_change(&self, other: &Self) -> bool {
        let name = |finding: &Self| finding.known.as_ref().map(|known| known.name.clone());
        (self.level, self.status, name(self)) == (other.level, other.status, name(other))
            && (self.known.is_some()
                || self.subjects == other.subjects
                || (self.is_of_a_row() && other.is_of_a_row() && self.texts() == other.texts()))
    }

    /// Whether it is about what a row expects, not about a change on the wire.
    fn is_of_a_row(&self) -> bool {
        let mut subjects = self.subjects.iter();
        subjects.all(|subject| matches!(subject, Subject::Expectation { .. }))
    }

    fn texts(&self) -> (&str, &str) {
        (&self.loses, &self.summary)
    }
}

impl FindingGroup<'_> {
    pub fn level(&self) -> Level {
        self.findings[0].level
    }

    /// What the user of Claude Code loses, what broke, where it shows, and whether it is known.
    pub fn lines(&self) -> Vec<String> {
        let first = self.findings[0];
        let mut lines = vec![first.loses.clone()];
        for finding in &self.findings {
            push_once(&mut lines, &finding.summary);
        }
        lines.extend(self.places());
        lines.push(first.status.in_words(first.known.as_ref()));
        lines
    }

    /// The providers, rows and tiers: `anthropic, azure: tool_use, vision (haiku, opus)`.
    fn places(&self) -> Vec<String> {
        let mut of_provider: IndexMap<(&ProviderId, &[TierId]), Vec<&str>> = IndexMap::new();
        for finding in &self.findings {
            let rows = of_provider
                .entry((&finding.provider, &finding.tiers))
                .or_default();
            rows.extend(finding.features.iter().map(FeatureId::as_str));
        }
        let mut providers: IndexMap<(Vec<&str>, &[TierId]), Vec<&str>> = IndexMap::new();
        for ((provider, tiers), rows) in of_provider {
            providers
                .entry((rows, tiers))
                .or_default()
                .push(provider.as_str());
        }
        let line = |((rows, tiers), providers): ((Vec<&str>, &[TierId]), Vec<&str>)| {
            let tiers: Vec<&str> = tiers.iter().map(TierId::as_str).collect();
            let (providers, rows) = (providers.join(", "), rows.join(", "));
            format!("{providers}: {rows} ({})", tiers.join(", "))
        };
        providers.into_iter().map(line).collect()
    }
}

fn push_once<T: Clone + PartialEq>(list: &mut Vec<T>, value: &T) {
    if !list.contains(value) {
        list.push(value.clone());
    }
}

/// What the user of Claude Code loses, by the part that changed.
pub fn loses(subject: &Subject) -> &'static str {
    let Subject::Change {
        direction,
        part,
        path,
        fate,
    } = subject
    else {
        return "The feature does not do what the row says.";
    };
    match (part, fate) {
        (Part::Request, Fate::Repeated) => {
            "The provider answers, and charges, the same request more than once."
        }
        (Part::Request, _) => "The provider does not get the request.",
        (Part::Status, _) if path == LOST_ANSWER => {
            "The provider answered, and Claude Code gets an error instead."
        }
        (Part::Status | Part::Error, _) => "Claude Code cannot react to the error that the provider gave.",
        (Part::Event, _) if path == "pings of a silence" => {
            "A proxy may end a long silence, because nothing fills it."
        }
        (Part::Block | Part::Event, _) => "The conversation is not the one that was sent.",
        (Part::Signature, _) => "The provider refuses the conversation's thinking in a later turn.",
        (Part::Tool, _) => "The model sees other tools than Claude Code offers.",
        (Part::Breakpoint | Part::Prefix, _) => {
            "The provider caches less, so requests are slower and cost more."
        }
        (Part::Pace, _) => "The reply appears late or in bursts.",
        (Part::Usage, _) => "The counts of tokens, and the cost, are wrong.",
        (Part::StopReason, _) => "Claude Code does not learn why the reply ended.",
        (Part::Field, _) if *direction == Direction::Reply => {
            "The reply says more or less than the provider said."
        }
        (Part::Field | Part::Query, _) => {
            "The provider works with another setting than Claude Code asked for."
        }
        (Part::Beta, Fate::Dropped) => "A feature that Claude Code turned on stays off.",
        (Part::Beta, _) => "A feature that Claude Code did not ask for is on.",
        (Part::Credential, _) => "The provider, and its logs, get a credential that is not for them.",
        (Part::Place, _) => {
            "The request is processed or paid for at another place than the gateway's configuration says."
        }
        (Part::Header, Fate::Changed) if path.starts_with("x-claude-code-") => {
            "Another session, agent or kind of request is named than Claude Code's."
        }
        (Part::Header, Fate::Added) => "The other side gets a header that it must not get.",
        (Part::Header, _) => "The other side lacks a header that the contract asks for.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(known: Option<&str>) -> Finding {
        Finding {
            level: Level::Contract,
            expectation: "request_unchanged".into(),
            summary: "request 1: beta dropped".into(),
            loses: "The effort has no effect.".into(),
            status: known.map_or(FindingStatus::New, |_| FindingStatus::Known),
            known: known.map(|name| Declared {
                name: name.to_owned(),
                reason: "its table lacks the beta".into(),
                link: "https://example.org/1".into(),
                versions: None,
                workaround: None,
            }),
            subject: "request beta x dropped".parse().unwrap(),
        }
    }

    fn of_names(names: &[&str], finding: &Finding) -> Vec<RunFinding> {
        let names: Vec<TrialName> = names.iter().map(|name| name.parse().unwrap()).collect();
        let findings = std::slice::from_ref(finding);
        of_trials(names.iter().map(|name| (name, findings)))
    }

    #[test]
    fn the_same_finding_of_a_column_is_one() {
        let names = [
            "a::vertex_ai::haiku",
            "b::vertex_ai::haiku",
            "a::vertex_ai::opus",
            "a::azure::opus",
        ];
        let grouped = of_names(&names, &found(Some("effort_dropped")));
        assert_eq!(grouped.len(), 2);
        assert_eq!((grouped[0].features.len(), grouped[0].tiers.len()), (2, 2));
    }

    #[test]
    fn readers_see_a_change_of_several_providers_once() {
        let names = ["a::p::haiku", "a::q::haiku", "a::r::haiku", "b::r::opus"];
        let findings = of_names(&names, &found(Some("effort_dropped")));
        let groups = by_change(&findings);
        assert_eq!((findings.len(), groups.len()), (3, 1));
        assert_eq!(
            groups[0].lines(),
            [
                "The effort has no effect.",
                "request 1: beta dropped",
                "p, q: a (haiku)",
                "r: a, b (haiku, opus)",
                "known as effort_dropped (https://example.org/1): its table lacks the beta"
            ]
        );
        let mut findings = of_names(&names[..2], &found(None));
        assert_eq!(by_change(&findings).len(), 1);
        findings.extend(of_names(&names[..1], &found(Some("other"))));
        findings.extend(of_names(&names[..1], &found(Some("effort_dropped"))));
        assert_eq!(
            by_change(&findings).len(),
            3,
            "another declaration is another change"
        );
    }

    #[test]
    fn readers_see_the_same_broken_expectation_of_several_rows_once() {
        let of_row = |row: &str| {
            let finding = Finding {
                subject: format!("expectation {row}::run").parse().unwrap(),
                ..found(None)
            };
            of_names(&[&format!("{row}::p::haiku")], &finding)
        };
        let findings: Vec<RunFinding> = ["a", "b"].into_iter().flat_map(of_row).collect();
        let groups = by_change(&findings);
        assert_eq!((findings.len(), groups.len()), (2, 1));
        assert_eq!(groups[0].lines()[2], "p: a, b (haiku)");
    }
}
