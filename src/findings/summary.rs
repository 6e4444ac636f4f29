//! The findings of a run: each once, with the cells and tiers in which it shows.

use std::collections::HashSet;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Declared, Finding, FindingStatus, Level, Subject};
use crate::ids::{CellId, FeatureId, ProviderId, TierId, TrialName};

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
    /// Those of the rows that still work, if it breaks others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub works_in: Vec<FeatureId>,
    /// The tiers on which it shows, in any row.
    pub tiers: Vec<TierId>,
    /// The tiers of each row in which it does not show on all of `tiers`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub tiers_of: IndexMap<FeatureId, Vec<TierId>>,
    /// The declaration in `gateways/<name>.yaml`, if one matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Declared>,
}

/// Groups the findings of trials: broken features first, then in the order of their first trials.
pub fn of_trials<'a>(trials: impl IntoIterator<Item = (&'a TrialName, &'a [Finding])>) -> Vec<RunFinding> {
    let mut grouped: Vec<RunFinding> = Vec::new();
    let mut broken: HashSet<&CellId> = HashSet::new();
    for (trial, findings) in trials {
        for finding in findings {
            if finding.level == Level::Feature {
                broken.insert(&trial.cell);
            }
            let at = grouped.iter().position(|group| group.is_same(trial, finding));
            let at = at.unwrap_or_else(|| {
                grouped.push(RunFinding::new(trial, finding));
                grouped.len() - 1
            });
            grouped[at].add(trial, finding);
        }
    }
    for finding in &mut grouped {
        let tiers = &finding.tiers;
        finding.tiers_of.retain(|_, own| own.len() < tiers.len());
    }
    for finding in grouped
        .iter_mut()
        .filter(|finding| finding.level == Level::Feature)
    {
        // Another finding may break a row that this one leaves working.
        let works = |row: &&FeatureId| !broken.contains(&CellId::new(row, &finding.provider));
        finding.works_in = finding.features.iter().filter(works).cloned().collect();
    }
    grouped.sort_by_key(|finding| (finding.level, finding.status));
    grouped
}

impl RunFinding {
    /// A finding without a place.
    fn new(trial: &TrialName, finding: &Finding) -> Self {
        Self {
            provider: trial.cell.provider.clone(),
            subjects: Vec::new(),
            level: finding.level,
            status: finding.status,
            summary: finding.summary.clone(),
            loses: finding.loses.clone(),
            features: Vec::new(),
            works_in: Vec::new(),
            tiers: Vec::new(),
            tiers_of: IndexMap::new(),
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
        let of_row = self.tiers_of.entry(trial.cell.feature.clone());
        push_once(of_row.or_default(), &trial.tier);
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
        (self.level, self.status) == (other.level, other.status)
            && match (&self.known, &other.known) {
                // Two declarations of the same words may differ in providers and versions.
                (Some(one), Some(two)) => {
                    let is_shared = |subject| other.subjects.contains(subject);
                    one.name == two.name
                        || (self.subjects.iter().any(is_shared)
                            && self.loses == other.loses
                            && (&one.reason, &one.link) == (&two.reason, &two.link))
                }
                (None, None) => {
                    self.subjects == other.subjects
                        || (self.is_of_a_row() && other.is_of_a_row() && self.texts() == other.texts())
                }
                _ => false,
            }
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
        for finding in &self.findings {
            push_once(&mut lines, &finding.status.in_words(finding.known.as_ref()));
        }
        lines
    }

    /// What helps against it, once each.
    pub fn workarounds(&self) -> Vec<&str> {
        let known = self.findings.iter().filter_map(|finding| finding.known.as_ref());
        let mut found = Vec::new();
        known
            .filter_map(|known| known.workaround.as_deref())
            .for_each(|text| push_once(&mut found, &text));
        found
    }

    /// The providers, rows and tiers, each row once: `anthropic, azure: tool_use, vision (still works) (haiku, opus)`.
    fn places(&self) -> Vec<String> {
        let mut of_row: IndexMap<(&ProviderId, String), Vec<&str>> = IndexMap::new();
        for finding in &self.findings {
            for feature in &finding.features {
                let row = match finding.works_in.contains(feature) {
                    true => format!("{feature} (still works)"),
                    false => feature.to_string(),
                };
                let tiers = of_row.entry((&finding.provider, row)).or_default();
                let own = finding.tiers_of.get(feature).unwrap_or(&finding.tiers);
                own.iter().for_each(|tier| push_once(tiers, &tier.as_str()));
            }
        }
        let mut of_provider: IndexMap<(&ProviderId, Vec<&str>), Vec<String>> = IndexMap::new();
        for ((provider, feature), tiers) in of_row {
            of_provider.entry((provider, tiers)).or_default().push(feature);
        }
        let mut providers: IndexMap<(Vec<String>, Vec<&str>), Vec<&str>> = IndexMap::new();
        for ((provider, tiers), rows) in of_provider {
            providers
                .entry((rows, tiers))
                .or_default()
                .push(provider.as_str());
        }
        let line = |((rows, tiers), providers): ((Vec<String>, Vec<&str>), Vec<&str>)| {
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
                workaround: Some("Route it elsewhere.".into()),
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
    fn a_finding_that_breaks_a_row_says_which_others_still_work() {
        let works = found(Some("failed_tool"));
        let breaks = Finding {
            level: Level::Feature,
            ..works.clone()
        };
        let trials: Vec<TrialName> = ["a::p::haiku", "b::p::haiku", "b::p::opus"]
            .iter()
            .map(|name| name.parse().unwrap())
            .collect();
        let found = [&works, &works, &breaks].map(std::slice::from_ref);
        let findings = of_trials(trials.iter().zip(found));
        assert_eq!(findings[0].level, Level::Feature);
        assert_eq!(
            by_change(&findings)[0].lines()[2..4],
            ["p: a (still works) (haiku)", "p: b (haiku, opus)"]
        );
        // Another finding breaks the row.
        let other = Finding {
            subject: "reply block content (text) dropped".parse().unwrap(),
            known: None,
            ..breaks.clone()
        };
        let with_other = [works.clone(), other];
        let found_too = [&with_other[..], found[1], found[2]];
        let findings = of_trials(trials.iter().zip(found_too));
        let known = findings.iter().find(|finding| finding.known.is_some());
        assert_eq!(known.unwrap().works_in, []);
        let of_contract = of_trials(trials.iter().zip(found).take(2));
        assert_eq!(by_change(&of_contract)[0].lines()[2], "p: a, b (haiku)");
    }

    #[test]
    fn readers_see_a_change_of_several_providers_once() {
        let names = ["a::p::haiku", "a::q::haiku", "a::r::haiku", "b::r::opus"];
        let findings = of_names(&names, &found(Some("effort_dropped")));
        let groups = by_change(&findings);
        assert_eq!((findings.len(), groups.len()), (3, 1));
        assert_eq!(groups[0].workarounds(), ["Route it elsewhere."]);
        assert_eq!(
            groups[0].lines(),
            [
                "The effort has no effect.",
                "request 1: beta dropped",
                "p, q, r: a (haiku)",
                "r: b (opus)",
                "known as effort_dropped (https://example.org/1): its table lacks the beta"
            ]
        );
        let mut findings = of_names(&names[..2], &found(None));
        assert_eq!(by_change(&findings).len(), 1);
        findings.extend(of_names(&names[..1], &found(Some("other"))));
        findings.extend(of_names(&names[1..2], &found(Some("effort_dropped"))));
        let groups = by_change(&findings);
        assert_eq!(
            groups.len(),
            2,
            "two declarations of the same words are one change"
        );
        let known = groups[1].lines()[3..].join("\n");
        assert!(known.contains("as other (") && known.contains("as effort_dropped ("));
        findings[2].known.as_mut().unwrap().reason = "another reason".into();
        assert_eq!(by_change(&findings).len(), 3);
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
    #[test]
    fn a_row_of_several_findings_is_named_once() {
        let of_row = |name: &str, tier: &str| {
            let finding = Finding {
                subject: format!("expectation a::{name}").parse().unwrap(),
                ..found(None)
            };
            of_names(&[&format!("a::p::{tier}")], &finding)
        };
        let each = [("one", "haiku"), ("two", "haiku"), ("three", "opus")];
        let findings: Vec<RunFinding> = each
            .into_iter()
            .flat_map(|(name, tier)| of_row(name, tier))
            .collect();
        let groups = by_change(&findings);
        assert_eq!((findings.len(), groups.len()), (3, 1));
        assert_eq!(groups[0].lines()[2..], ["p: a (haiku, opus)", "new"]);
    }
}
