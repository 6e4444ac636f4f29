//! Ranges of versions for `gateways/<name>.yaml`, from what was measured.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

use super::known::{KnownFindings, Versions};
use super::range::{is_same_release, release};
use crate::document::diagnostic::{LineColumn, Span};
use crate::document::node::NodeValue;
use crate::document::render::{Format, render};
use crate::document::yaml;

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

    /// The ranges that differ from the declared ones, of the usual configuration and client format. Versions that are not in
    /// `measured` keep their declaration, and so do the ends of a declared range: a filtered run may have found them. A finding
    /// with several declarations of its name has none.
    pub fn proposals(&self, measured: &Measured) -> Vec<RangeProposal> {
        let known = self.measured_with(measured.iter().map(|(version, _)| version.as_str()));
        let mut proposals = Vec::new();
        for finding in self
            .findings
            .iter()
            .filter(|finding| finding.is_of(Versions::default()))
        {
            let mut all = known.clone();
            let ends = finding.versions.ends();
            all.extend(ends.filter(|end| !known.iter().any(|version| is_same_release(version, end))));
            all.sort_by_key(|version| release(version));
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

/// The text of the gateway's `file` with the proposed ranges and the measured versions. A range with gaps stays: its author
/// splits it. Fails, with what to write by hand, where a value is not written on one line.
pub fn rewritten(
    file: &Path,
    text: &str,
    measured: &[String],
    proposals: &[RangeProposal],
) -> anyhow::Result<String> {
    // The parser's columns are without a byte order mark.
    let (mark, text) = match text.strip_prefix('\u{feff}') {
        Some(rest) => ("\u{feff}", rest),
        None => ("", text),
    };
    let root = yaml::parse(file, text.as_bytes())
        .map_err(|faults| anyhow::anyhow!("{}", render(&faults, Format::Text, false)))?;
    let mut changes = Vec::new();
    if let Some(entry) = root.get("measured") {
        let place = match &entry.value.value {
            NodeValue::List(versions) => versions.first().zip(versions.last()),
            _ => None,
        };
        let place = place.filter(|(first, _)| {
            let line = first.span.source.line(first.span.start.line);
            let before: String = line.chars().take(first.span.start.column - 1).collect();
            before.trim_end().ends_with('[')
        });
        changes.push(("measured".to_owned(), place, measured.join(", ")));
    }
    for proposal in proposals.iter().filter(|proposal| proposal.gaps.is_empty()) {
        let Some(versions) = &proposal.versions else {
            continue;
        };
        let path = ["findings", &proposal.finding].map(str::to_owned);
        let entry = root.at(&path).and_then(|finding| finding.get("versions"));
        // The text behind an alias is another finding's.
        let place = entry.filter(|entry| entry.key_span.start.line == entry.value.span.start.line);
        let place = place.map(|entry| (&entry.value, &entry.value));
        changes.push((
            format!("{}.versions", path.join(".")),
            place,
            format!("'{versions}'"),
        ));
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // The last place of a line first, so that the others stay where they are.
    changes.sort_by_key(|(_, place, _)| place.map(|(first, _)| std::cmp::Reverse(first.span.start)));
    for (name, place, value) in changes {
        let place = place.map(|(first, last)| (first.span.start, end_of(&last.span)));
        let (start, end) = place
            .filter(|(start, end)| start.line == end.line)
            .with_context(|| {
                format!(
                    "`{name}` of `{}` is not written on one line: write {value} there, or put it on one line",
                    file.display()
                )
            })?;
        let line = &mut lines[start.line - 1];
        let letters: Vec<char> = line.chars().collect();
        let (before, after) = (&letters[..start.column - 1], &letters[end.column - 1..]);
        *line = before.iter().collect::<String>() + &value + &after.iter().collect::<String>();
    }
    Ok(mark.to_owned() + &lines.join("\n") + "\n")
}

/// The end of a scalar, without the comment of its line.
fn end_of(span: &Span) -> LineColumn {
    let line = span.source.line(span.start.line);
    let letters: Vec<char> = line.chars().skip(span.start.column - 1).collect();
    let text: String = match span.start.line == span.end.line {
        true => letters[..span.end.column - span.start.column].iter().collect(),
        false => return span.end,
    };
    let length = match text.chars().next() {
        Some(quote @ ('\'' | '"')) => text[1..].find(quote).map_or(text.len(), |at| at + 2),
        _ => text.split(" #").next().unwrap_or_default().trim_end().len(),
    };
    LineColumn {
        line: span.start.line,
        column: span.start.column + text[..length].chars().count(),
    }
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
                client_formats: None,
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
        let filtered = self::known(&["1.3.0"], ">=1.0.0, <=1.3.0");
        let proposals = filtered.proposals(&measured(&[("1.2.0", Some(false)), ("1.3.0", Some(true))]));
        assert_eq!(
            proposals[0].versions.as_deref(),
            Some(">=1.0.0, <=1.3.0"),
            "1.0.0 was found by another run"
        );
        assert_eq!(proposals[0].gaps, ["1.2.0"]);
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

    fn proposal(finding: &str) -> RangeProposal {
        RangeProposal {
            finding: finding.to_owned(),
            versions: Some(">=1.0.0, <=1.1.0".into()),
            gaps: Vec::new(),
        }
    }

    #[test]
    fn only_ranges_and_measured_versions_are_rewritten() {
        let text = "# a comment\nname: X\nmeasured: [1.0.0] # today\nfindings:\n  x: # Bedrock\n    shows: [a]\n    \
                    versions: '=1.0.0' # by hand\n  y: # another\n    versions: '=1.0.0'\n  \"z\": {versions: \"=1.0.0\"}\n";
        let rewrite = |text: &str, findings: &[&str]| {
            let proposals: Vec<RangeProposal> = findings.iter().map(|name| proposal(name)).collect();
            let file = Path::new("gateways/x.yaml");
            rewritten(file, text, &["1.0.0".into(), "1.1.0".into()], &proposals)
        };
        let expected = text.replace("[1.0.0]", "[1.0.0, 1.1.0]");
        let first = expected.replacen("'=1.0.0'", "'>=1.0.0, <=1.1.0'", 1);
        assert_eq!(rewrite(text, &["x"]).unwrap(), first);
        let both = first.replace("\"=1.0.0\"", "'>=1.0.0, <=1.1.0'");
        assert_eq!(rewrite(text, &["x", "z"]).unwrap(), both);
        let in_lines = text.replace("[1.0.0]", "[1.0.0,\n  1.0.1]");
        let error = rewrite(&in_lines, &["x"]).unwrap_err().to_string();
        assert!(
            error.contains("`measured` of `gateways/x.yaml` is not written on one line"),
            "{error}"
        );
        assert!(rewrite(text, &["absent"]).is_err());
        let with_mark = "\u{feff}measured: [1.0.0]\n";
        let expected = "\u{feff}measured: [1.0.0, 1.1.0]\n";
        assert_eq!(rewrite(with_mark, &[]).unwrap(), expected);
        assert!(rewrite("measured:\n  - 1.0.0\n", &[]).is_err(), "a list of lines");
        let alias = "measured: [1.0.0]\nfindings:\n  x: {versions: &r '=1.0.0'}\n  y:\n    versions: *r\n";
        assert!(rewrite(alias, &["y"]).is_err());
    }
}
