//! The findings of a run: each once, with the cells and tiers in which it shows.

use std::collections::HashSet;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Declared, Finding, FindingStatus, Level, Subject};
use crate::ids::{CellId, FeatureId, ProviderId, TierId, TrialName};
use crate::wire::Direction;
use crate::wire_diff::{
    CUT_MADE_END, CUT_MADE_ERROR, CUT_MADE_WHOLE, Fate, LOST_ANSWER, Part, SECOND_HEADER,
};

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

/// What the user of Claude Code loses by a change on the wire, in one sentence.
pub fn loses(direction: Direction, part: Part, path: &str, fate: Fate) -> &'static str {
    use Direction::Reply;
    // The field of a name such as `message_start.usage.service_tier`.
    let field = path.rsplit('.').next().unwrap_or(path);
    match (part, fate) {
        (Part::Request, Fate::Repeated) => {
            "The provider answers, and charges, the same request more than once."
        }
        (Part::Request, Fate::Added) => {
            "The provider answers, and charges, a request that Claude Code did not make."
        }
        (Part::Request, Fate::Changed) => "The provider gets the request in another form.",
        (Part::Request, _) => "The provider does not get the request.",
        (Part::Status, _) if path == LOST_ANSWER => {
            "The provider answered, and Claude Code gets an error instead."
        }
        (Part::Status | Part::Error, _) => "Claude Code cannot react to the error that the provider gave.",
        (Part::Event, _) if path == "pings of a silence" => {
            "A proxy may end a long silence, because nothing fills it."
        }
        (Part::Event, _) if path == CUT_MADE_WHOLE => "Claude Code takes half of a reply for the whole one.",
        (Part::Event, _) if path == CUT_MADE_ERROR => {
            "Claude Code does not repeat a request whose reply broke off, as it does after a cut."
        }
        (Part::Event, _) if path == CUT_MADE_END => {
            "Claude Code learns only from the missing end that the reply broke off."
        }
        (Part::Event, _) if path == "the answer" => "Claude Code gets no answer that it can read.",
        (Part::Event, Fate::Dropped) => "A part of the reply is lost.",
        (Part::Event, Fate::Added) => "Claude Code reads an event that the provider did not send.",
        (Part::Event, Fate::Repeated) => "Claude Code gets a part of the reply more than once.",
        (Part::Event, Fate::Merged | Fate::Split) => {
            "The reply appears in other pieces than the model wrote it."
        }
        (Part::Event, _) => "The events of the reply do not arrive as the provider sent them.",
        (Part::Block, _) if direction == Reply => "Claude Code gets another reply than the model gave.",
        (Part::Block, _) if path.starts_with("system") && path.contains("(attribution)") => {
            "Nothing in Claude Code. The provider does not see which version of Claude Code asks."
        }
        (Part::Block, _) if path.starts_with("system") => {
            "The model gets other instructions than Claude Code gave it."
        }
        (Part::Block, _) => "The model reads another conversation than Claude Code sent.",
        (Part::Signature, _) => "The provider refuses the conversation's thinking in a later turn.",
        (Part::Tool, _) => "The model sees other tools than Claude Code offers.",
        (Part::Breakpoint, Fate::Added) => {
            "The provider caches, and charges, what Claude Code did not ask for."
        }
        (Part::Breakpoint | Part::Prefix, _) => {
            "The provider caches less, so requests are slower and cost more."
        }
        (Part::Pace, _) => "The reply appears late or in bursts.",
        (Part::Usage, _) if !is_count(path) => {
            "Claude Code does not learn how the provider worked on the request, such as by which tier or where."
        }
        (Part::Usage, Fate::Added) => "The reply has a count that the provider did not send.",
        (Part::Usage, Fate::Dropped) => "Claude Code does not learn a count, so its totals can be too low.",
        (Part::Usage, _) => "A count is wrong, and so is what Claude Code shows of tokens or cost.",
        (Part::StopReason, _) => "Claude Code does not learn why the reply ended.",
        (Part::Field, _) if field == "model" && direction == Reply => {
            "Claude Code does not learn which model answered."
        }
        (Part::Field, _) if field == "model" => "Another model answers than Claude Code asked for.",
        (Part::Field, Fate::Dropped) if direction == Reply => {
            "Claude Code does not get all that the provider said."
        }
        (Part::Field, Fate::Added) if direction == Reply => {
            "The reply says something that the provider did not say."
        }
        (Part::Field, _) if direction == Reply => "The reply says something else than the provider said.",
        (Part::Field, _) if path == "body" => "The provider cannot read the request.",
        (Part::Field, _) if path == "stream" => {
            "The gateway asks for a stream where Claude Code does not, or the other way round."
        }
        (Part::Field, _) if path.starts_with("count_tokens.") => {
            "The provider counts the tokens of another request than Claude Code's."
        }
        (Part::Field | Part::Query, Fate::Dropped) => {
            "What Claude Code asked for does not reach the provider."
        }
        (Part::Field | Part::Query, Fate::Added) => {
            "The provider works with a setting that Claude Code did not ask for."
        }
        (Part::Field | Part::Query, _) => {
            "The provider works with another setting than Claude Code asked for."
        }
        (Part::Beta, Fate::Dropped) => "A feature that Claude Code turned on stays off.",
        (Part::Beta, _) => "A feature that Claude Code did not ask for is on.",
        (Part::Credential, _) if path == SECOND_HEADER => {
            "The provider gets two credentials, and may refuse the request or use the wrong one."
        }
        (Part::Credential, _) => "The provider, and its logs, get a credential that is not for them.",
        (Part::Place, _) if path == "route" => "The provider cannot read the request as what it is.",
        (Part::Place, _) => {
            "The request is processed or paid for at another place than the gateway's configuration says."
        }
        (Part::Header, _) => header(direction, path, fate),
    }
}

/// Whether a name of the part `usage` is about counts. The others are texts, such as `service_tier` and `inference_geo`.
fn is_count(path: &str) -> bool {
    let is_of_counts = |step: &str| {
        let groups = ["usage", "cache_creation", "server_tool_use", "iterations"];
        groups.contains(&step) || step.ends_with("_tokens") || step.ends_with("_requests")
    };
    let last = path.rsplit('.').next().unwrap_or(path);
    is_of_counts(last.split('[').next().unwrap_or(last))
}

fn header(direction: Direction, name: &str, fate: Fate) -> &'static str {
    match (direction, name, fate) {
        (_, "anthropic-version", _) => {
            "The provider works by another version of its API than Claude Code, or refuses the request."
        }
        (_, "retry-after" | "x-should-retry", Fate::Added) => {
            "The gateway tells Claude Code whether, or when, to repeat a request, where the provider does not."
        }
        (_, "retry-after" | "x-should-retry", _) => {
            "Claude Code does not learn from the provider whether, or when, to repeat the request."
        }
        (_, "content-encoding" | "content-type", _) => "Claude Code cannot read the reply as what it is.",
        (_, name, _) if name.starts_with("anthropic-ratelimit-") => {
            "Claude Code does not know how much of a limit is used."
        }
        (_, name, Fate::Changed | Fate::Added) if name.starts_with("x-claude-code-") => {
            "Another session, agent or kind of request is named than Claude Code's."
        }
        (Direction::Request, _, _) => "The provider does not get the headers that it should.",
        (Direction::Reply, _, _) => "Claude Code does not get the headers that it should.",
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

    #[test]
    fn what_a_change_costs_fits_its_part_and_path() {
        for (change, sentence) in [
            ("request request the request dropped", "does not get the request"),
            (
                "request request a request that Claude Code did not make added",
                "a request that Claude Code did not make",
            ),
            ("request request the request repeated", "more than once"),
            (
                "reply status HTTP status of an answer changed",
                "gets an error instead",
            ),
            (
                "reply error the shape of error 400 changed",
                "cannot react to the error",
            ),
            ("reply event text deltas dropped", "part of the reply is lost"),
            (
                "reply event content_block_stop added",
                "that the provider did not send",
            ),
            ("reply event a cut stream made whole changed", "half of a reply"),
            ("reply event text deltas merged", "in other pieces"),
            (
                "reply block content (text) changed",
                "another reply than the model gave",
            ),
            (
                "request block messages[*] user block * (text) changed",
                "another conversation",
            ),
            ("request block system[*] (text) changed", "other instructions"),
            ("request block system[*] (attribution) dropped", "which version"),
            ("request breakpoint system[*] (text) dropped", "caches less"),
            ("request breakpoint system[*] (text) added", "did not ask for"),
            (
                "reply usage message_start.usage.input_tokens changed",
                "A count is wrong",
            ),
            (
                "reply usage message_delta.usage.cache_creation dropped",
                "does not learn a count",
            ),
            ("reply usage usage dropped", "does not learn a count"),
            (
                "reply usage usage.output_tokens added",
                "a count that the provider did not send",
            ),
            (
                "reply usage message_delta.usage.server_tool_use.web_search_requests changed",
                "A count is wrong",
            ),
            (
                "reply usage message_start.usage.service_tier dropped",
                "by which tier or where",
            ),
            (
                "reply usage usage.inference_geo changed",
                "by which tier or where",
            ),
            ("reply field model changed", "which model answered"),
            ("reply field message.model dropped", "which model answered"),
            ("reply field id dropped", "all that the provider said"),
            ("request field model changed", "Another model answers"),
            ("request field stream changed", "asks for a stream"),
            ("request field thinking dropped", "does not reach the provider"),
            ("request field thinking added", "did not ask for"),
            (
                "request field count_tokens.thinking dropped",
                "counts the tokens of another request",
            ),
            ("request beta x dropped", "stays off"),
            ("request beta x added", "is on"),
            ("request credential a second header added", "two credentials"),
            ("request credential header x-api-key added", "not for them"),
            ("reply header retry-after dropped", "whether, or when, to repeat"),
            (
                "reply header anthropic-ratelimit-unified-status dropped",
                "how much of a limit",
            ),
            ("reply header content-type changed", "cannot read the reply"),
            (
                "request header anthropic-version dropped",
                "another version of its API",
            ),
            (
                "request header x-claude-code-agent-id changed",
                "Another session, agent",
            ),
        ] {
            let Ok(Subject::Change {
                direction,
                part,
                path,
                fate,
            }) = change.parse::<Subject>()
            else {
                panic!("{change} is not a change");
            };
            let found = loses(direction, part, &path, fate);
            assert!(
                found.contains(sentence) && found.ends_with('.'),
                "{change}: {found}"
            );
        }
    }
}
