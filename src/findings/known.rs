//! What a gateway is known to break.

use super::range::{VersionRange, is_same_release};
use super::subject::SubjectPattern;
use super::{Declared, FindingStatus, Subject};
use crate::catalogue::DEFAULT;
use crate::document::Place;
use crate::evidence::UnderTest;
use crate::ids::{ProviderId, TierId, TrialName};
use crate::wire::client_format::ClientFormat;

/// What a gateway is known to break.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownFindings {
    /// The gateway's name for readers.
    pub gateway: String,
    /// The name of its file, without the extension, whether there is one or not; empty if the gateway is unknown.
    pub id: String,
    /// The measured versions of the gateway; on any other, a known finding is a note. Without one, the ranges decide.
    pub measured: Vec<String>,
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
    pub versions: VersionRange,
    pub claude_code: Option<VersionRange>,
    /// The configurations with which it shows; `None` for all.
    pub configurations: Option<Vec<String>>,
    /// The formats of Claude Code's requests with which it shows; `None` for all.
    pub client_formats: Option<Vec<ClientFormat>>,
    pub reason: String,
    /// What the user of Claude Code loses.
    pub loses: String,
    pub link: String,
    /// What avoids it.
    pub workaround: Option<String>,
    /// Where the declaration stands.
    pub place: Place,
}

/// The versions that a run used, as far as they are known, the gateway's configuration, and the API in which Claude Code calls it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions<'a> {
    pub gateway: Option<&'a str>,
    pub claude_code: Option<&'a str>,
    /// `None` for the usual one.
    pub configuration: Option<&'a str>,
    pub client_format: ClientFormat,
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
            configuration: None,
            client_format: ClientFormat::Messages,
        },
    };

    /// The gateway and the versions, for the evidence.
    pub fn under_test(&self) -> UnderTest {
        let (id, versions) = (&self.findings.id, self.versions);
        UnderTest {
            gateway: (!id.is_empty()).then(|| id.clone()),
            gateway_version: versions.gateway.map(str::to_owned),
            claude_code_version: versions.claude_code.map(str::to_owned),
            configuration: versions.configuration.map(str::to_owned),
            client_format: versions.client_format,
        }
    }

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
            versions: Some(known.versions.to_string()),
            workaround: known.workaround.clone(),
        }
    }
}

impl KnownFinding {
    pub fn applies_to(&self, provider: &ProviderId, tier: &TierId) -> bool {
        self.providers.contains(provider) && self.tiers.as_ref().is_none_or(|tiers| tiers.contains(tier))
    }

    /// The first of its subjects that `other` declares too, for a provider, a tier, a configuration, a client format and a Claude
    /// Code of both.
    /// Their versions of the gateway may differ.
    pub(super) fn declared_by(&self, other: &Self) -> Option<usize> {
        fn share<T: PartialEq>(one: Option<&Vec<T>>, other: Option<&Vec<T>>) -> bool {
            one.zip(other)
                .is_none_or(|(one, other)| one.iter().any(|each| other.contains(each)))
        }
        let is_beside = share(Some(&self.providers), Some(&other.providers))
            && share(self.tiers.as_ref(), other.tiers.as_ref())
            && share(self.configurations.as_ref(), other.configurations.as_ref())
            && share(self.client_formats.as_ref(), other.client_formats.as_ref())
            && (self.claude_code.zip(other.claude_code)).is_none_or(|(one, other)| one.overlaps(&other));
        let is_again = |one: &SubjectPattern| other.shows.iter().any(|other| other.overlaps(one));
        self.shows.iter().position(is_again).filter(|_| is_beside)
    }

    /// Whether it is declared for the configuration and the client format of a run.
    pub fn is_of(&self, run: Versions<'_>) -> bool {
        let name = run.configuration.unwrap_or(DEFAULT);
        let (configurations, formats) = (self.configurations.as_ref(), self.client_formats.as_ref());
        configurations.is_none_or(|all| all.iter().any(|one| one == name))
            && formats.is_none_or(|all| all.contains(&run.client_format))
    }

    /// Whether both versions are known and in its ranges.
    fn covers(&self, versions: Versions<'_>) -> bool {
        let within = |range: &VersionRange, version: Option<&str>| {
            version.is_some_and(|version| range.contains(version))
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
        id: String::new(),
        measured: Vec::new(),
        findings: Vec::new(),
    };

    /// The declarations for `versions`: those whose ranges contain them, if the gateway's version was measured.
    pub fn covering(&self, versions: Versions<'_>) -> Vec<&KnownFinding> {
        let is_same = |version: &str| self.measured.iter().any(|one| is_same_release(one, version));
        let is_measured = self.measured.is_empty() || versions.gateway.is_some_and(is_same);
        let covers = |known: &&KnownFinding| is_measured && known.covers(versions) && known.is_of(versions);
        self.findings.iter().filter(covers).collect()
    }

    /// Without the declarations for other versions. A mutant that breaks what another version breaks is caught only so.
    pub fn only(&self, versions: Versions<'_>) -> Self {
        let findings = self.covering(versions).into_iter().cloned().collect();
        Self {
            findings,
            ..self.clone()
        }
    }

    /// The status of a finding, and the declaration that matches it: one that covers the versions, or else the one whose range is
    /// nearest to the gateway's version.
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
            .filter(|known| known.is_of(versions))
            .collect();
        let distance = |known: &&KnownFinding| known.versions.distance(versions.gateway?);
        let is_matching = |known: &&KnownFinding| matching.iter().any(|one| std::ptr::eq(*one, *known));
        match self.covering(versions).into_iter().find(is_matching) {
            Some(known) => (FindingStatus::Known, Some(known)),
            None => match matching.iter().min_by_key(|known| distance(known)) {
                Some(known) => (FindingStatus::OutsideRange, Some(known)),
                None => (FindingStatus::New, None),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::findings::{GatewayDescription, MatrixNames};

    const DROPPED: &str = "request beta x dropped";

    fn example() -> String {
        include_str!("../../tests/fixtures/gateway-with-one-finding.yaml")
            .replace("SUBJECT", DROPPED)
            .replace("PROVIDER", "vertex_ai")
            .replace("TIER", "sonnet")
    }

    fn parsed(text: &str) -> KnownFindings {
        let (providers, tiers) = ([ProviderId::new("vertex_ai")], [TierId::new("sonnet")]);
        let names = MatrixNames {
            providers: &providers,
            features: &[],
            tiers: &tiers.into_iter().collect(),
        };
        let file = Path::new("gateways/example.yaml");
        GatewayDescription::parse(file, text.as_bytes(), names)
            .unwrap()
            .known
    }

    #[test]
    fn the_nearest_declaration_of_a_subject_counts() {
        let text = example();
        let (_, first) = text.split_once("findings:\n").unwrap();
        let second = first
            .replace("forgotten:", "wrapped:")
            .replace(">=1.2.0, <=1.2.9", "=1.4.0");
        let known = parsed(&format!("{text}{second}"));
        for (version, expected) in [
            ("1.0.0", "forgotten"),
            ("1.2.10", "forgotten"),
            ("1.3.9", "wrapped"),
            ("1.4.1", "wrapped"),
            ("1.106.2", "wrapped"),
            ("2.0.0", "wrapped"),
        ] {
            let versions = Versions {
                gateway: Some(version),
                ..Versions::default()
            };
            let (vertex, sonnet) = (ProviderId::new("vertex_ai"), TierId::new("sonnet"));
            let (status, declared) = known.status(&DROPPED.parse().unwrap(), &vertex, &sonnet, versions);
            assert_eq!(status, FindingStatus::OutsideRange, "{version}");
            assert_eq!(declared.unwrap().name, expected, "{version}");
        }
    }

    #[test]
    fn a_finding_is_known_within_its_range_only() {
        let (dropped, text) = (DROPPED, example());
        // Within the range, but not measured.
        let measured = parsed(&format!("measured: [1.2.0, 1.2.9]\n{text}"));
        for (version, expected) in [
            ("1.2.0", FindingStatus::Known),
            ("v1.2.9-stable.patch.1", FindingStatus::Known),
            ("1.2.5", FindingStatus::OutsideRange),
        ] {
            let versions = Versions {
                gateway: Some(version),
                ..Versions::default()
            };
            let (vertex, sonnet) = (ProviderId::new("vertex_ai"), TierId::new("sonnet"));
            let (status, _) = measured.status(&dropped.parse().unwrap(), &vertex, &sonnet, versions);
            assert_eq!(status, expected, "{version}");
            assert_eq!(
                measured.covering(versions).len(),
                usize::from(status.is_known()),
                "{version}"
            );
        }
        // Of another client format than it is declared for, it is new.
        let of_format = parsed(&format!("{text}    client_formats: [passthrough]\n"));
        for (client_format, expected) in [
            (ClientFormat::Passthrough, FindingStatus::Known),
            (ClientFormat::Messages, FindingStatus::New),
        ] {
            let versions = Versions {
                gateway: Some("1.2.0"),
                client_format,
                ..Versions::default()
            };
            let (vertex, sonnet) = (ProviderId::new("vertex_ai"), TierId::new("sonnet"));
            let (status, _) = of_format.status(&dropped.parse().unwrap(), &vertex, &sonnet, versions);
            assert_eq!(status, expected, "{client_format:?}");
            assert_eq!(of_format.covering(versions).len(), usize::from(status.is_known()));
        }
        // In a configuration for which it is not declared, it is new.
        let limited = parsed(&format!(
            "install: {{tool: litellm}}\nconfigurations: {{bearer: {{about: A key., unset: [X]}}}}\n{text}    configurations: [bearer]\n"
        ));
        for (configuration, expected) in [
            (Some("bearer"), FindingStatus::Known),
            (None, FindingStatus::New),
            (Some("other"), FindingStatus::New),
        ] {
            let versions = Versions {
                gateway: Some("1.2.0"),
                configuration,
                ..Versions::default()
            };
            let (vertex, sonnet) = (ProviderId::new("vertex_ai"), TierId::new("sonnet"));
            let (status, _) = limited.status(&dropped.parse().unwrap(), &vertex, &sonnet, versions);
            assert_eq!(status, expected, "{configuration:?}");
        }
        let known = parsed(&text);
        let other = "request beta other dropped";
        for (subject, provider, tier, version, expected) in [
            (
                dropped,
                "vertex_ai",
                "sonnet",
                Some("1.2.0"),
                FindingStatus::Known,
            ),
            (
                dropped,
                "vertex_ai",
                "sonnet",
                Some("v1.2.9-stable.patch.1"),
                FindingStatus::Known,
            ),
            (
                dropped,
                "vertex_ai",
                "sonnet",
                Some("1.2.10"),
                FindingStatus::OutsideRange,
            ),
            (dropped, "vertex_ai", "sonnet", None, FindingStatus::OutsideRange),
            (dropped, "vertex_ai", "haiku", Some("1.2.0"), FindingStatus::New),
            (dropped, "anthropic", "sonnet", Some("1.2.0"), FindingStatus::New),
            (other, "vertex_ai", "sonnet", Some("1.2.0"), FindingStatus::New),
        ] {
            let versions = Versions {
                gateway: version,
                ..Versions::default()
            };
            let subject = subject.parse().unwrap();
            let (status, _) =
                known.status(&subject, &ProviderId::new(provider), &TierId::new(tier), versions);
            assert_eq!(status, expected, "{subject} {provider} {tier} {version:?}");
        }
    }
}
