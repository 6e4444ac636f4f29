//! What a gateway is known to break: `gateways/<name>.yaml`.

use std::path::Path;
use std::str::FromStr;
use std::sync::LazyLock;

use indexmap::IndexMap;
use schemars::JsonSchema;
use semver::{Version, VersionReq};
use serde::Deserialize;

use super::subject::SubjectPattern;
use super::{Declared, FindingStatus, Subject};
use crate::document::{Diagnostic, Form, KeyPath, Place, Reader, yaml};
use crate::ids::{ProviderId, TierId, TierNames, TrialName};
use crate::text::{is_name, listed};

/// The form of `gateways/<name>.yaml`.
pub static GATEWAY_FORM: LazyLock<Form> = LazyLock::new(Form::of::<GatewayFile>);

/// What a gateway is known to break, keyed by finding. The name of the file is the gateway's name (`--gateway-name`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Known findings of a gateway")]
struct GatewayFile {
    /// The gateway's name for readers.
    #[schemars(length(min = 1), extend("examples" = ["LiteLLM"]))]
    name: String,
    /// The known findings by name.
    findings: IndexMap<String, FindingForm>,
}

/// One thing that the gateway breaks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FindingForm {
    /// What shows, as reports name it; `*` stands for any text.
    #[schemars(length(min = 1), extend("examples" = [["request beta effort-2025-11-24 dropped"]]))]
    shows: Vec<String>,
    /// The columns in which it shows.
    #[schemars(length(min = 1))]
    providers: Vec<String>,
    /// The tiers on which it shows, or sets of tiers; all of them if not given.
    #[schemars(length(min = 1))]
    tiers: Option<Vec<String>>,
    /// The versions of the gateway that break it. Measured versions only: on others it is a note.
    #[schemars(length(min = 1), extend("examples" = [">=1.98.0, <=1.106.2"]))]
    versions: String,
    /// The versions of Claude Code with which it shows; all of them if not given.
    #[schemars(length(min = 1), extend("examples" = [">=2.1.300"]))]
    claude_code: Option<String>,
    /// Why it breaks, for readers.
    #[schemars(length(min = 1))]
    reason: String,
    /// What the user of Claude Code loses, in one sentence.
    #[schemars(length(min = 1))]
    loses: String,
    /// A public report, or a page of this repository (`docs/findings/<name>.md`) with a reproduction.
    #[schemars(extend("pattern" = "^(https?://|docs/findings/)", "examples" = ["https://github.com/BerriAI/litellm/issues/1"]))]
    link: String,
}

/// What a gateway is known to break.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownFindings {
    /// The gateway's name for readers.
    pub gateway: String,
    pub findings: Vec<KnownFinding>,
}

/// One thing that a gateway is known to break.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownFinding {
    pub name: String,
    pub shows: Vec<SubjectPattern>,
    pub providers: Vec<ProviderId>,
    /// `None` for all.
    pub tiers: Option<Vec<TierId>>,
    pub versions: VersionReq,
    pub claude_code: Option<VersionReq>,
    pub reason: String,
    /// What the user of Claude Code loses.
    pub loses: String,
    pub link: String,
    /// Where the declaration stands.
    pub place: Place,
}

/// The versions that a run used, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions<'a> {
    pub gateway: Option<&'a str>,
    pub claude_code: Option<&'a str>,
}

/// The known findings of the run's gateway, and the versions of the run.
#[derive(Clone, Copy, Debug)]
pub struct KnownForRun<'a> {
    pub findings: &'a KnownFindings,
    pub versions: Versions<'a>,
}

impl KnownForRun<'_> {
    /// Nothing is known.
    pub const NOTHING: KnownForRun<'static> = KnownForRun {
        findings: &KnownFindings::NONE,
        versions: Versions {
            gateway: None,
            claude_code: None,
        },
    };

    /// The status of a finding in a trial, and the declaration that matches it.
    pub fn status(&self, subject: &Subject, trial: &TrialName) -> (FindingStatus, Option<&KnownFinding>) {
        self.findings
            .status(subject, &trial.cell.provider, &trial.tier, self.versions)
    }
}

impl From<&KnownFinding> for Declared {
    fn from(known: &KnownFinding) -> Self {
        Self {
            name: known.name.clone(),
            reason: known.reason.clone(),
            link: known.link.clone(),
        }
    }
}

impl KnownFinding {
    pub fn applies_to(&self, provider: &ProviderId, tier: &TierId) -> bool {
        self.providers.contains(provider) && self.tiers.as_ref().is_none_or(|tiers| tiers.contains(tier))
    }

    /// Whether both versions are known and in its ranges.
    pub fn covers(&self, versions: Versions<'_>) -> bool {
        let within = |range: &VersionReq, version: Option<&str>| {
            version
                .and_then(release)
                .is_some_and(|version| range.matches(&version))
        };
        within(&self.versions, versions.gateway)
            && self
                .claude_code
                .as_ref()
                .is_none_or(|range| within(range, versions.claude_code))
    }

    pub fn matches(&self, subject: &Subject) -> bool {
        self.shows.iter().any(|pattern| pattern.matches(subject))
    }
}

impl KnownFindings {
    /// Nothing is known.
    pub const NONE: Self = Self {
        gateway: String::new(),
        findings: Vec::new(),
    };

    /// The status of a finding, and the declaration that matches it: one that covers the versions before one that does not.
    pub fn status(
        &self,
        subject: &Subject,
        provider: &ProviderId,
        tier: &TierId,
        versions: Versions<'_>,
    ) -> (FindingStatus, Option<&KnownFinding>) {
        let matching: Vec<&KnownFinding> = self
            .findings
            .iter()
            .filter(|known| known.applies_to(provider, tier) && known.matches(subject))
            .collect();
        match matching.iter().find(|known| known.covers(versions)) {
            Some(known) => (FindingStatus::Known, Some(known)),
            None => match matching.first() {
                Some(known) => (FindingStatus::OutsideRange, Some(known)),
                None => (FindingStatus::New, None),
            },
        }
    }

    /// Reads the bytes of `file`. `providers` and `tiers` are those of the manifest; a set's name stands for its tiers.
    pub fn parse(
        file: &Path,
        bytes: &[u8],
        providers: &[ProviderId],
        tiers: &TierNames,
    ) -> Result<Self, Vec<Diagnostic>> {
        let node = yaml::parse(file, bytes)?;
        let errors = GATEWAY_FORM.diagnostics(&node);
        if !errors.is_empty() {
            return Err(errors);
        }
        let form = GatewayFile::deserialize(node.to_json())
            .map_err(|error| vec![Diagnostic::at(&node.span, error.to_string())])?;
        let mut resolver = Resolver {
            reader: Reader::new(&node),
            providers: providers.iter().map(ProviderId::as_str).collect(),
            tiers,
        };
        let findings: Vec<KnownFinding> = form
            .findings
            .into_iter()
            .filter_map(|(name, form)| resolver.finding(name, form))
            .collect();
        match resolver.reader.diagnostics.is_empty() {
            true => Ok(Self {
                gateway: form.name,
                findings,
            }),
            false => Err(resolver.reader.diagnostics),
        }
    }
}

struct Resolver<'a> {
    reader: Reader<'a>,
    providers: Vec<&'a str>,
    tiers: &'a TierNames,
}

impl Resolver<'_> {
    /// The finding, unless its form has an error.
    fn finding(&mut self, name: String, form: FindingForm) -> Option<KnownFinding> {
        let path = KeyPath::of("findings").then(&name);
        if !is_name(&name) {
            let diagnostic = self.reader.at_key(&path, format!("`{name}` is not a name"));
            self.reader
                .report(diagnostic.allowed("lower-case letters, digits and `_`, a letter first"));
        }
        let shows: Vec<SubjectPattern> = form
            .shows
            .iter()
            .enumerate()
            .filter_map(|(index, text)| self.parsed(&path.then("shows").then(index), text, "not a finding"))
            .collect();
        self.names(
            &path.then("providers"),
            &form.providers,
            "provider",
            &self.providers.clone(),
        );
        let tiers = form.tiers.as_deref();
        self.names(
            &path.then("tiers"),
            tiers.unwrap_or_default(),
            "tier",
            &self.tiers.all(),
        );
        let not_a_range = "not a range of versions";
        let versions = self.parsed(&path.then("versions"), &form.versions, not_a_range);
        let claude_code = form
            .claude_code
            .as_ref()
            .map(|range| self.parsed(&path.then("claude_code"), range, not_a_range));
        Some(KnownFinding {
            shows,
            providers: form.providers.iter().map(ProviderId::new).collect(),
            tiers: form
                .tiers
                .map(|names| names.iter().flat_map(|name| self.tiers.called(name)).collect()),
            versions: versions?,
            claude_code: match claude_code {
                Some(range) => Some(range?),
                None => None,
            },
            reason: form.reason.trim().to_owned(),
            loses: form.loses.trim().to_owned(),
            link: form.link,
            place: self.reader.node.key_span_at(&path.0).place(),
            name,
        })
    }

    fn parsed<T: FromStr<Err: ToString>>(&mut self, path: &KeyPath, text: &str, wrong: &str) -> Option<T> {
        text.parse()
            .map_err(|error: T::Err| {
                let diagnostic = self.reader.at(path, format!("{wrong}: {}", error.to_string()));
                self.reader.report(diagnostic.found(format!("`{text}`")));
            })
            .ok()
    }

    fn names(&mut self, path: &KeyPath, names: &[String], what: &str, known: &[&str]) {
        for (index, name) in names.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let message = format!("the manifest has no {what} `{name}`");
                let diagnostic = self.reader.at(&path.then(index), message);
                let diagnostic = diagnostic.allowed(listed(known.iter().copied()));
                self.reader
                    .report(diagnostic.did_you_mean(name, known.iter().copied()));
            }
        }
    }
}

/// The release that `version` belongs to: `1.83.3` of `v1.83.3-stable.patch.2` and of `1.83.3.post2`. Gateways number their
/// versions in ways of their own; their first three numbers order them.
fn release(version: &str) -> Option<Version> {
    let mut numbers = version
        .trim_start_matches('v')
        .split(|character: char| !character.is_ascii_digit())
        .map_while(|number| number.parse::<u64>().ok());
    Some(Version::new(
        numbers.next()?,
        numbers.next()?,
        numbers.next().unwrap_or(0),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
name: Example
findings:
  effort_dropped:
    shows: [request beta effort-2025-11-24 dropped]
    providers: [vertex_ai]
    tiers: [sonnet]
    versions: '>=1.98.0, <=1.106.2'
    reason: its table lacks the beta
    loses: The effort that the user chose has no effect.
    link: https://example.com/1
";

    fn parse(text: &str) -> Result<KnownFindings, Vec<Diagnostic>> {
        let providers = ["anthropic", "vertex_ai"].map(ProviderId::new);
        let tiers = ["haiku", "sonnet"].map(TierId::new);
        KnownFindings::parse(
            Path::new("gateways/example.yaml"),
            text.as_bytes(),
            &providers,
            &tiers.into_iter().collect(),
        )
    }

    #[test]
    fn a_finding_is_known_within_its_range_only() {
        let known = parse(FILE).unwrap();
        let status = |subject: &str, provider: &str, tier: &str, version: Option<&str>| {
            let versions = Versions {
                gateway: version,
                claude_code: None,
            };
            let subject = subject.parse().unwrap();
            known
                .status(&subject, &ProviderId::new(provider), &TierId::new(tier), versions)
                .0
        };
        let dropped = "request beta effort-2025-11-24 dropped";
        for (subject, provider, tier, version, expected) in [
            (
                dropped,
                "vertex_ai",
                "sonnet",
                Some("1.98.0"),
                FindingStatus::Known,
            ),
            (
                dropped,
                "vertex_ai",
                "sonnet",
                Some("v1.106.2-stable.patch.1"),
                FindingStatus::Known,
            ),
            (
                dropped,
                "vertex_ai",
                "sonnet",
                Some("1.106.3"),
                FindingStatus::OutsideRange,
            ),
            (dropped, "vertex_ai", "sonnet", None, FindingStatus::OutsideRange),
            (dropped, "vertex_ai", "haiku", Some("1.98.0"), FindingStatus::New),
            (dropped, "anthropic", "sonnet", Some("1.98.0"), FindingStatus::New),
            (
                "request beta other dropped",
                "vertex_ai",
                "sonnet",
                Some("1.98.0"),
                FindingStatus::New,
            ),
        ] {
            assert_eq!(
                status(subject, provider, tier, version),
                expected,
                "{subject} {provider} {tier} {version:?}"
            );
        }
    }

    #[test]
    fn mistakes_are_reported_at_their_place() {
        let changed = FILE
            .replace("beta effort-2025-11-24 dropped", "bet effort dropped")
            .replace("vertex_ai", "vertex")
            .replace("'>=1.98.0, <=1.106.2'", "newest");
        let found: Vec<String> = parse(&changed)
            .unwrap_err()
            .iter()
            .map(|diagnostic| format!("{}: {}", diagnostic.place.line, diagnostic.message))
            .collect();
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(
            found[0].starts_with("4: not a finding: unknown variant `bet`"),
            "{found:#?}"
        );
        assert_eq!(found[1], "5: the manifest has no provider `vertex`");
        assert!(found[2].starts_with("7: not a range of versions"), "{found:#?}");
    }
}
