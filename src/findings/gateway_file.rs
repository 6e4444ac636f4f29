//! `gateways/<name>.yaml`, a gateway of the catalogue with its known findings: its form, and the errors of a file.

use std::path::Path;
use std::sync::LazyLock;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::KnownFindings;
use super::known::KnownFinding;
use super::range::{RANGE_FORM, VersionRange, is_release, is_same_release};
use super::subject::SubjectPattern;
use crate::catalogue::{
    self, CatalogueEntry, ClientForm, Configuration, Configurations, EntryForm, InstallForm, Lack, Lacks,
    Need, StartForm,
};
use crate::document::form::drop_damaged;
use crate::document::{Diagnostic, Form, KeyPath, Reader, without_errors, yaml};
use crate::ids::{FeatureId, ProviderId, TierNames};
use crate::text::{is_name, listed};
use crate::wire::client_format::ClientFormat;

/// The form of `gateways/<name>.yaml`.
pub static GATEWAY_FORM: LazyLock<Form> = LazyLock::new(Form::of::<GatewayFile>);

/// A gateway of the catalogue: how it is started, and what it is known to break. The name of the file is the gateway's name
/// (`--gateway`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A gateway")]
struct GatewayFile {
    /// The gateway's name for readers.
    #[schemars(length(min = 1), extend("examples" = ["LiteLLM"]))]
    name: String,
    /// Where the gateway comes from. Without it, the gateway can only be attached.
    install: Option<InstallForm>,
    /// Services on loopback that the gateway needs. A run starts them first.
    #[serde(default)]
    needs: Vec<Need>,
    /// Files that are written into the gateway's own folder before it starts, by their paths. Each text is a Jinja template.
    #[serde(default)]
    configure: IndexMap<String, String>,
    /// The program and its environment.
    start: Option<StartForm>,
    /// The path that answers with success when the gateway is ready.
    #[schemars(length(min = 1), extend("examples" = ["/health"]))]
    ready: Option<String>,
    /// How Claude Code authenticates.
    client: Option<ClientForm>,
    /// Settings that decide results, in place of the usual ones, by name.
    #[serde(default)]
    configurations: IndexMap<String, Configuration>,
    /// What the gateway cannot do by design. These cells are not applicable, with the reason.
    #[serde(default)]
    lacks: Vec<LackForm>,
    /// The versions of the gateway that were measured: on any other, also between two of them, a known finding is a note. If
    /// not given, the ranges alone decide.
    #[schemars(length(min = 1), extend("examples" = [["1.98.0", "1.104.2"]]))]
    measured: Option<Vec<String>>,
    /// The known findings by name.
    findings: IndexMap<String, FindingForm>,
}

/// A part of the matrix that the gateway cannot serve by design: columns, rows, or these rows of these columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LackForm {
    /// The columns; all of them if not given.
    #[schemars(length(min = 1))]
    providers: Option<Vec<String>>,
    /// The rows; all of them if not given.
    #[schemars(length(min = 1))]
    features: Option<Vec<String>>,
    /// Why, for readers.
    #[schemars(length(min = 1))]
    reason: String,
}

/// A file of `gateways/`, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatewayDescription {
    /// How it is started. `None` if it can only be attached.
    pub entry: Option<CatalogueEntry>,
    pub configurations: Configurations,
    pub lacks: Lacks,
    pub known: KnownFindings,
}

/// The names of the manifest that a file of `gateways/` may use.
#[derive(Clone, Copy, Debug)]
pub struct MatrixNames<'a> {
    pub providers: &'a [ProviderId],
    pub features: &'a [FeatureId],
    /// A set's name stands for its tiers.
    pub tiers: &'a TierNames,
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
    /// The versions of the gateway that break it, by `=`, `>`, `>=`, `<` or `<=`. Measured versions only: on others it is a note.
    #[schemars(length(min = 1), extend("examples" = [">=1.98.0, <=1.106.2"]))]
    versions: String,
    /// The versions of Claude Code with which it shows; all of them if not given.
    #[schemars(length(min = 1), extend("examples" = [">=2.1.300"]))]
    claude_code: Option<String>,
    /// The configurations with which it shows; all of them if not given. `default` is the usual one.
    #[schemars(length(min = 1))]
    configurations: Option<Vec<String>>,
    /// The APIs in which Claude Code calls the gateway (`--client-format`) with which it shows; all of them if not given.
    #[schemars(length(min = 1))]
    client_formats: Option<Vec<ClientFormat>>,
    /// Why it breaks, for readers.
    #[schemars(length(min = 1))]
    reason: String,
    /// What the user of Claude Code loses, in one sentence.
    #[schemars(length(min = 1))]
    loses: String,
    /// A public report, or a page of this repository (`docs/findings/<name>.md`) with a reproduction.
    #[schemars(length(min = 1), extend("examples" = ["https://github.com/BerriAI/litellm/issues/1"]))]
    link: String,
    /// What avoids it today, in one sentence, if something was seen to do so.
    #[schemars(length(min = 1))]
    workaround: Option<String>,
}

impl GatewayDescription {
    /// Reads the bytes of `file`.
    pub fn parse(file: &Path, bytes: &[u8], names: MatrixNames<'_>) -> Result<Self, Vec<Diagnostic>> {
        without_errors(Self::read(file, bytes, names))
    }

    /// All errors in the bytes of `file`, and the gateway without them, to compare it with the cells: `None` if too little is left.
    pub fn read(file: &Path, bytes: &[u8], names: MatrixNames<'_>) -> (Option<Self>, Vec<Diagnostic>) {
        let node = match yaml::parse(file, bytes) {
            Ok(node) => node,
            Err(errors) => return (None, errors),
        };
        let (mut errors, read) = GATEWAY_FORM.read::<GatewayFile>(&node);
        let Some((form, repaired)) = read else {
            return (None, errors);
        };
        let is_damaged = |key: &str| repaired.is_damaged(&[key]);
        let mut resolver = Resolver {
            reader: Reader::new(&repaired.node),
            providers: names.providers.iter().map(ProviderId::as_str).collect(),
            tiers: names.tiers,
            configurations: Configurations::default(),
            has_all_configurations: !is_damaged("configurations"),
            measured: form
                .measured
                .filter(|_| !is_damaged("measured"))
                .unwrap_or_default(),
            findings: Vec::new(),
        };
        resolver.check_measured();
        if form.install.is_none() && !form.configurations.is_empty() && !is_damaged("install") {
            resolver.reader.hinted(
                &KeyPath::of("configurations"),
                "`configurations` needs `install`",
                "say where the gateway comes from: a gateway without `install` is attached as it is",
            );
        }
        let lacks = form.lacks.into_iter().enumerate();
        let lacks = lacks.map(|(index, lack)| resolver.lack(index, lack, names.features));
        let lacks = Lacks(lacks.collect());
        let entry = EntryForm {
            install: form.install,
            needs: form.needs,
            configure: form.configure,
            start: form.start,
            ready: form.ready,
            client: form.client,
        };
        let entry = catalogue::resolve(entry, &lacks, &is_damaged, &mut resolver.reader);
        resolver.configurations = catalogue::resolve_configurations(
            form.configurations,
            entry.as_ref(),
            &lacks,
            &mut resolver.reader,
        );
        for (name, form) in form.findings {
            resolver.add(name, form);
        }
        let id = file.file_stem().unwrap_or_default().to_string_lossy();
        let gateway = Self {
            entry,
            configurations: resolver.configurations,
            lacks,
            known: KnownFindings {
                gateway: form.name,
                id: id.into_owned(),
                measured: resolver.measured,
                findings: resolver.findings,
            },
        };
        let mut of_meaning = resolver.reader.diagnostics;
        drop_damaged(&repaired.damaged, &mut of_meaning);
        errors.extend(of_meaning);
        (Some(gateway), errors)
    }
}

struct Resolver<'a> {
    reader: Reader<'a>,
    providers: Vec<&'a str>,
    tiers: &'a TierNames,
    configurations: Configurations,
    has_all_configurations: bool,
    measured: Vec<String>,
    findings: Vec<KnownFinding>,
}

impl Resolver<'_> {
    fn lack(&mut self, index: usize, form: LackForm, features: &[FeatureId]) -> Lack {
        let path = KeyPath::of("lacks").then(index);
        if form.providers.is_none() && form.features.is_none() {
            let error = self
                .reader
                .at(&path.then("reason"), "this lacks the whole matrix");
            self.reader
                .report(error.hint("name the `providers`, the `features` or both"));
        }
        let (columns, rows) = (self.providers.clone(), features.iter().map(FeatureId::as_str));
        let named = |names: &Option<Vec<String>>| names.clone().unwrap_or_default();
        self.names(
            &path.then("providers"),
            &named(&form.providers),
            "provider",
            &columns,
        );
        self.names(
            &path.then("features"),
            &named(&form.features),
            "feature",
            &rows.collect::<Vec<_>>(),
        );
        Lack {
            providers: form
                .providers
                .map(|names| names.iter().map(ProviderId::new).collect()),
            features: form
                .features
                .map(|names| names.iter().map(FeatureId::new).collect()),
            reason: form.reason.trim().to_owned(),
        }
    }

    fn check_measured(&mut self) {
        for (index, version) in self.measured.iter().enumerate() {
            let path = KeyPath::of("measured").then(index);
            let is_again = |other: &String| is_same_release(other, version);
            if !is_release(version) {
                let error = self.reader.at(&path, format!("`{version}` is not a version"));
                self.reader
                    .report(error.allowed("the numbers of a release, such as `1.98.0`"));
            } else if self.measured[..index].iter().any(is_again) {
                self.reader
                    .error(&path, format!("the version `{version}` is there twice"));
            }
        }
    }

    /// Reports a range without any measured version.
    fn spans_measured(&mut self, path: &KeyPath, range: &VersionRange, text: &str) {
        if !self.measured.is_empty() && !self.measured.iter().any(|version| range.contains(version)) {
            let error = self.reader.at(path, "no measured version is in this range");
            let error = error.found(format!("`{text}`"));
            let allowed = listed(self.measured.iter().map(String::as_str));
            self.reader.report(
                error
                    .allowed(allowed)
                    .hint("measure a version, and add it to `measured`"),
            );
        }
    }

    /// Adds the finding. If its range has errors, it has all versions, and is not compared with other declarations.
    fn add(&mut self, name: String, form: FindingForm) {
        let path = KeyPath::of("findings").then(&name);
        if !is_name(&name) {
            let diagnostic = self.reader.at_key(&path, format!("`{name}` is not a name"));
            self.reader
                .report(diagnostic.allowed("lower-case letters, digits and `_`, a letter first"));
        }
        let shows = self.shows(&path.then("shows"), &form.shows);
        let providers = self.providers.clone();
        self.names(&path.then("providers"), &form.providers, "provider", &providers);
        let tiers = self.tiers.all();
        self.names(
            &path.then("tiers"),
            form.tiers.as_deref().unwrap_or_default(),
            "tier",
            &tiers,
        );
        let versions = self.range(&path.then("versions"), &form.versions);
        if let Some(range) = &versions {
            self.spans_measured(&path.then("versions"), range, &form.versions);
        }
        let claude_code = form.claude_code.as_ref();
        let claude_code = claude_code.map(|range| self.range(&path.then("claude_code"), range));
        let is_ranged = versions.is_some() && claude_code != Some(None);
        let configurations: Vec<String> = self.configurations.names().map(str::to_owned).collect();
        let named = form.configurations.as_deref().unwrap_or_default();
        if self.has_all_configurations {
            self.names(
                &path.then("configurations"),
                named,
                "configuration",
                &configurations.iter().map(String::as_str).collect::<Vec<_>>(),
            );
        }
        self.link(&path.then("link"), &form.link);
        let finding = KnownFinding {
            shows,
            providers: form.providers.iter().map(ProviderId::new).collect(),
            tiers: form
                .tiers
                .map(|names| names.iter().flat_map(|name| self.tiers.called(name)).collect()),
            versions: versions.unwrap_or(VersionRange::ALL),
            claude_code: claude_code.flatten(),
            configurations: form.configurations,
            client_formats: form.client_formats,
            reason: form.reason.trim().to_owned(),
            loses: form.loses.trim().to_owned(),
            link: form.link,
            workaround: form.workaround.map(|text| text.trim().to_owned()),
            place: self.reader.node.key_span_at(&path.0).place(),
            name,
        };
        if is_ranged {
            self.declared_before(&path, &finding);
        }
        self.findings.push(finding);
    }

    fn shows(&mut self, path: &KeyPath, texts: &[String]) -> Vec<SubjectPattern> {
        let mut shows: Vec<SubjectPattern> = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let path = path.then(index);
            match text.parse::<SubjectPattern>() {
                Ok(pattern) if shows.iter().any(|other| other.overlaps(&pattern)) => {
                    let error = self.reader.at(&path, format!("`{text}` is there twice"));
                    self.reader
                        .report(error.hint("name each subject once; `*` stands for any text"));
                }
                Ok(pattern) => shows.push(pattern),
                Err(error) => {
                    let diagnostic = self.reader.at(&path, error.message);
                    let diagnostic = diagnostic.found(format!("`{text}`")).allowed(error.allowed);
                    self.reader.report(match error.word {
                        Some((word, words)) => diagnostic.did_you_mean(&word, words),
                        None => diagnostic,
                    });
                }
            }
        }
        shows
    }

    fn range(&mut self, path: &KeyPath, text: &str) -> Option<VersionRange> {
        text.parse()
            .map_err(|error: String| {
                let diagnostic = self.reader.at(path, error);
                self.reader
                    .report(diagnostic.found(format!("`{text}`")).allowed(RANGE_FORM));
            })
            .ok()
    }

    fn names(&mut self, path: &KeyPath, names: &[String], what: &str, known: &[&str]) {
        for (index, name) in names.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let owner = if what == "configuration" {
                    "gateway"
                } else {
                    "manifest"
                };
                let message = format!("the {owner} has no {what} `{name}`");
                let diagnostic = self.reader.at(&path.then(index), message);
                let diagnostic = diagnostic.allowed(listed(known.iter().copied()));
                self.reader
                    .report(diagnostic.did_you_mean(name, known.iter().copied()));
            } else if names[..index].contains(name) {
                self.reader
                    .error(&path.then(index), format!("the {what} `{name}` is there twice"));
            }
        }
    }

    fn link(&mut self, path: &KeyPath, link: &str) {
        let host = ["https://", "http://"]
            .iter()
            .find_map(|scheme| link.strip_prefix(scheme))
            .map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let page = link.strip_prefix(PAGES).and_then(|page| page.strip_suffix(".md"));
        let message = match (host, page) {
            _ if link.contains(char::is_whitespace) => "a link has no spaces",
            (Some(""), _) => "the link has no host",
            (Some(_), _) => return,
            (None, Some(page)) if !page.is_empty() && !page.contains('/') => return,
            (None, _) => "this is neither a public address nor a page of this repository",
        };
        let error = self.reader.at(path, message).found(format!("`{link}`"));
        self.reader.report(error.allowed(
            "the address of a public report, `https://…`, or a page of this repository, `docs/findings/<name>.md`",
        ));
    }

    /// Reports an earlier declaration of the same subject, for a provider, a tier, a configuration, a client format and a version of
    /// both.
    fn declared_before(&mut self, path: &KeyPath, finding: &KnownFinding) {
        let mut errors = Vec::new();
        for other in &self.findings {
            let Some(index) = finding.declared_by(other) else {
                continue;
            };
            if !finding.versions.overlaps(&other.versions) {
                continue;
            }
            let again = &finding.shows[index];
            let message = format!("`{}` declares the same finding for a version of both", other.name);
            let error = self.reader.at(&path.then("shows").then(index), message);
            errors.push(
                error
                    .found(format!("`{again}`"))
                    .related(other.place.clone(), "the first declaration is here")
                    .hint("make the ranges, the providers, the tiers, the configurations or the client formats disjoint"),
            );
        }
        self.reader.diagnostics.extend(errors);
    }
}

/// The folder of the pages about findings without a public report.
pub const PAGES: &str = "docs/findings/";

#[cfg(test)]
mod tests;
