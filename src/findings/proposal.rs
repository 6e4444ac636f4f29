//! Ranges of versions for `gateways/<name>.yaml`, from what was measured.

use std::collections::BTreeMap;

use super::known::KnownFindings;
use super::range::{is_same_release, release};

/// What a measured version shows of each known finding, by name. A finding that no trial could judge is absent.
pub type Measured = Vec<(String, BTreeMap<String, bool>)>;

/// A proposed range for one known finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeProposal {
    pub finding: String,
    /// The new text of `versions`; `None` if no measured version shows the finding.
    pub versions: Option<String>,
    /// Measured versions within the range that do not show it.
    pub gaps: Vec<String>,
}

impl KnownFindings {
    /// The versions that are measured after `versions` are added, the oldest first.
    pub fn measured_with<'a>(&self, versions: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut all = self.measured.clone();
        for version in versions {
            if !all.iter().any(|known| is_same_release(known, version)) {
                all.push(version.to_owned());
            }
        }
        all.sort_by_key(|version| release(version));
        all
    }

    /// The ranges that differ from the declared ones, of the usual configuration. Versions that are not in `measured` keep their declaration. A finding with
    /// several declarations of its name has none.
    pub fn proposals(&self, measured: &Measured) -> Vec<RangeProposal> {
        let all = self.measured_with(measured.iter().map(|(version, _)| version.as_str()));
        let mut proposals = Vec::new();
        for finding in self.findings.iter().filter(|finding| finding.is_of(None)) {
            let of = |version: &String| {
                let found = measured.iter().find(|(other, _)| is_same_release(other, version));
                found.map(|(_, shows)| shows.get(&finding.name).copied())
            };
            if !all.iter().any(|version| matches!(of(version), Some(Some(_)))) {
                continue;
            }
            let is_of_another = |version: &str| {
                let mut others = self.findings.iter().filter(|other| other.name != finding.name);
                others.any(|other| other.versions.contains(version) && finding.declared_by(other).is_some())
            };
            let shows = |version: &&String| {
                let is_own = finding.versions.contains(version);
                // What another finding declares for a version stays there.
                of(version)
                    .flatten()
                    .map_or(is_own, |shows| shows && (is_own || !is_of_another(version)))
            };
            let shown: Vec<&String> = all.iter().filter(shows).collect();
            let is_declared = all
                .iter()
                .all(|version| shows(&version) == finding.versions.contains(version));
            if is_declared {
                continue;
            }
            let ends = shown.first().zip(shown.last());
            let position = |version: &String| all.iter().position(|other| other == version);
            let gaps = ends
                .and_then(|(first, last)| Some(&all[position(first)?..=position(last)?]))
                .unwrap_or_default();
            proposals.push(RangeProposal {
                finding: finding.name.clone(),
                versions: ends.map(|(first, last)| match first == last {
                    true => format!("={first}"),
                    false => format!(">={first}, <={last}"),
                }),
                gaps: gaps.iter().filter(|version| !shows(version)).cloned().collect(),
            });
        }
        proposals
    }
}

/// The text of `gateways/<name>.yaml` with the proposed ranges and the measured versions. A range with gaps stays: its author
/// splits it.
pub fn rewritten(text: &str, measured: &[String], proposals: &[RangeProposal]) -> String {
    let mut finding = "";
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("measured: [") {
            lines.push(format!("measured: [{}]", measured.join(", ")));
            continue;
        }
        if let Some(name) = line
            .strip_prefix("  ")
            .and_then(|rest| rest.strip_suffix(':'))
            .filter(|name| !name.starts_with(' '))
        {
            finding = name;
        }
        let proposal = proposals
            .iter()
            .find(|proposal| proposal.finding == finding && proposal.gaps.is_empty());
        match proposal.and_then(|proposal| proposal.versions.as_ref()) {
            Some(versions) if line.starts_with("    versions: ") => {
                lines.push(format!("    versions: '{versions}'"))
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::known::KnownFinding;
    use crate::ids::ProviderId;

    fn known(measured: &[&str], range: &str) -> KnownFindings {
        KnownFindings {
            measured: measured.iter().map(ToString::to_string).collect(),
            findings: vec![KnownFinding {
                name: "x".into(),
                shows: Vec::new(),
                providers: Vec::new(),
                tiers: None,
                versions: range.parse().unwrap(),
                claude_code: None,
                configurations: None,
                reason: String::new(),
                loses: String::new(),
                link: String::new(),
                workaround: None,
                place: crate::document::Place::default(),
            }],
            ..KnownFindings::default()
        }
    }

    fn measured(versions: &[(&str, Option<bool>)]) -> Measured {
        let of = |shows: &Option<bool>| shows.iter().map(|shows| ("x".to_owned(), *shows)).collect();
        versions
            .iter()
            .map(|(version, shows)| ((*version).to_owned(), of(shows)))
            .collect()
    }

    #[test]
    fn a_range_ends_where_measured_versions_end() {
        let known = known(&["1.0.0", "1.2.0"], ">=1.0.0, <=1.2.0");
        for (versions, expected) in [
            (&[("1.1.0", Some(true))][..], None),
            (&[("1.3.0", Some(false))], None),
            (&[("1.3.0", Some(true))], Some((">=1.0.0, <=1.3.0", ""))),
            (&[("1.2.0", Some(false))], Some(("=1.0.0", ""))),
            (&[("1.1.0", Some(false))], Some((">=1.0.0, <=1.2.0", "1.1.0"))),
            (&[("1.3.0", None)], None),
        ] {
            let proposals = known.proposals(&measured(versions));
            let found = proposals
                .first()
                .map(|one| (one.versions.as_deref().unwrap(), one.gaps.join(" ")));
            let found = found.as_ref().map(|(versions, gaps)| (*versions, gaps.as_str()));
            assert_eq!(found, expected, "{versions:?}");
        }
        let gone = known.proposals(&measured(&[("1.0.0", Some(false)), ("1.2.0", Some(false))]));
        assert_eq!(gone[0].versions, None);
    }

    #[test]
    fn a_range_stops_at_another_finding_of_the_same_subject() {
        let mut known = known(&["1.0.0", "1.2.0"], "=1.2.0");
        let [own] = &mut known.findings[..] else {
            unreachable!()
        };
        own.shows = vec!["request beta * dropped".parse().unwrap()];
        own.providers = vec![ProviderId::new("azure")];
        let both_show = measured(&[("1.0.0", Some(true)), ("1.2.0", Some(true))]);
        let versions =
            |known: &KnownFindings| known.proposals(&both_show).pop().map(|one| one.versions.unwrap());
        assert_eq!(versions(&known).as_deref(), Some(">=1.0.0, <=1.2.0"));
        let other = KnownFinding {
            name: "y".into(),
            shows: vec!["request beta x dropped".parse().unwrap()],
            versions: "=1.0.0".parse().unwrap(),
            ..known.findings[0].clone()
        };
        known.findings.push(other);
        assert_eq!(versions(&known), None);
    }

    #[test]
    fn only_ranges_and_measured_versions_are_rewritten() {
        let text = "# a comment\nname: X\nmeasured: [1.0.0]\nfindings:\n  x:\n    shows: [a]\n    versions: '=1.0.0'\n  y:\n    versions: '=1.0.0'\n";
        let proposal = RangeProposal {
            finding: "x".into(),
            versions: Some(">=1.0.0, <=1.1.0".into()),
            gaps: Vec::new(),
        };
        let written = rewritten(text, &["1.0.0".into(), "1.1.0".into()], &[proposal]);
        let expected =
            text.replace("[1.0.0]", "[1.0.0, 1.1.0]")
                .replacen("'=1.0.0'", "'>=1.0.0, <=1.1.0'", 1);
        assert_eq!(written, expected);
    }
}
