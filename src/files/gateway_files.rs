//! Lists the files in `gateways/` and checks them against the project: their names, links and expectations.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Project;
use super::project::{GATEWAYS, PROXY_CONFIG};
use super::reading::{read, visible_entries};
use crate::catalogue::{Configurations, Install, Lacks, OwnTool};
use crate::document::{Diagnostic, KeyPath, Node, NodeValue, Reader, yaml};
use crate::env;
use crate::expectation::IMPLIED;
use crate::findings::{KnownFinding, PAGES, Subject, SubjectPattern};
use crate::ids::{CellId, FeatureId};
use crate::text::{as_name, is_name, listed};

/// The variables of the providers that LiteLLM gets in a simulated run.
const GATEWAY_VARIABLES: [&str; 15] = [
    env::ANTHROPIC_API_BASE,
    env::ANTHROPIC_API_KEY,
    env::AZURE_AI_API_BASE,
    env::AZURE_AI_API_KEY,
    env::AWS_BEDROCK_RUNTIME_ENDPOINT,
    env::BEDROCK_MANTLE_API_BASE,
    env::AWS_ACCESS_KEY_ID,
    env::AWS_SECRET_ACCESS_KEY,
    env::BEDROCK_API_KEY,
    env::AWS_REGION_NAME,
    env::VERTEXAI_API_BASE,
    env::VERTEXAI_CREDENTIALS,
    env::VERTEXAI_ACCESS_TOKEN,
    env::VERTEXAI_PROJECT,
    env::VERTEXAI_LOCATION,
];

/// The names of the gateways with a file, sorted, and an error for each other entry of the folder. The folder may be absent.
pub(super) fn list(root: &Path) -> (Vec<String>, Vec<Diagnostic>) {
    let (mut names, mut errors) = (Vec::new(), Vec::new());
    let folder = Path::new(GATEWAYS);
    if !root.join(folder).exists() {
        return (names, errors);
    }
    for (name, is_folder) in visible_entries(root, folder, &mut errors) {
        match name.strip_suffix(".yaml") {
            Some("none") if !is_folder => errors.push(
                Diagnostic::of_file(
                    &folder.join(&name),
                    "`none` is the run without a gateway, and no gateway's name",
                )
                .hint("give the file another name"),
            ),
            Some(stem) if is_name(stem) && !is_folder => names.push(stem.to_owned()),
            _ => errors.push(strange(&name, is_folder)),
        }
    }
    (names, errors)
}

/// An entry of the folder that is not read.
fn strange(name: &str, is_folder: bool) -> Diagnostic {
    let file = Path::new(GATEWAYS).join(name);
    let allowed = "`gateways/<name>.yaml`; the name has lower-case letters, digits and `_`, a letter first";
    let error = match is_folder {
        true => Diagnostic::of_file(
            &file,
            "this is a folder, and the files of gateways are in no folder",
        ),
        false => Diagnostic::of_file(&file, "this is not the file of a gateway, so nobody reads it"),
    };
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    let hint = match stem.filter(|_| !is_folder).and_then(as_name) {
        Some(right) => format!("rename it to `{GATEWAYS}/{right}.yaml`"),
        None => "pages about findings belong in `docs/findings/`".to_owned(),
    };
    error.allowed(allowed).hint(hint)
}

/// The errors of all files in `gateways/`.
pub(super) fn check(project: &Project) -> Vec<Diagnostic> {
    let (names, mut errors) = list(&project.root);
    for gateway in names {
        let (description, found) = project.gateway_to_check(&gateway);
        errors.extend(found);
        let (Some(description), Ok(node)) = (description, document(project, &gateway)) else {
            continue;
        };
        let mut reader = Reader::new(&node);
        let findings = description.known.findings.iter();
        let lacks = &description.lacks;
        errors.extend(findings.flat_map(|finding| errors_of(project, finding, lacks, &reader)));
        let entry = description.entry.as_ref();
        if entry.is_some_and(|entry| entry.install == Install::Tool(OwnTool::Litellm)) {
            check_litellm(project, &description.configurations, &mut reader);
        }
        errors.extend(reader.diagnostics);
    }
    errors
}

/// The file of a gateway, relative to the root.
pub(super) fn file(gateway: &str) -> PathBuf {
    Path::new(GATEWAYS).join(format!("{gateway}.yaml"))
}

fn document(project: &Project, gateway: &str) -> Result<Node, Vec<Diagnostic>> {
    let file = file(gateway);
    yaml::parse(&file, &read(&project.root, &file)?)
}

/// Reports what a configuration of LiteLLM names, and LiteLLM does not have.
fn check_litellm(project: &Project, configurations: &Configurations, reader: &mut Reader<'_>) {
    let short_waits = env::LITELLM_SHORT_WAITS.map(|(name, _)| name);
    let variables = || GATEWAY_VARIABLES.into_iter().chain(short_waits);
    // An error in that file is reported as its own.
    let sections = project.proxy_map_sections().ok();
    for configuration in &configurations.0 {
        let path = KeyPath::of("configurations").then(&configuration.name);
        for (index, name) in configuration.unset.iter().enumerate() {
            if !variables().any(|known| known == name) {
                let at = path.then("unset").then(index);
                let error = reader.at(&at, format!("LiteLLM gets no variable `{name}`"));
                let error = error.allowed(listed(variables()));
                reader.report(error.did_you_mean(name, variables()));
            }
        }
        for section in configuration.settings.keys() {
            let known = || sections.iter().flatten().map(String::as_str);
            if sections.is_some() && !known().any(|known| known == section) {
                let at = path.then("settings").then(section);
                let message = format!("`{section}` is no map of `{PROXY_CONFIG}`");
                let error = reader.at_key(&at, message).allowed(listed(known()));
                reader.report(error.did_you_mean(section, known()));
            }
        }
    }
}

fn errors_of(
    project: &Project,
    finding: &KnownFinding,
    lacks: &Lacks,
    reader: &Reader<'_>,
) -> Vec<Diagnostic> {
    let path = KeyPath::of("findings").then(&finding.name);
    let mut columns = finding.providers.iter();
    // The columns of a wrong name are not known.
    let mut errors = match columns.all(|column| project.manifest.providers.contains(column)) {
        true => unknown_expectations(project, finding, lacks, reader, &path.then("shows")),
        false => Vec::new(),
    };
    let link = &finding.link;
    let is_page = link.starts_with(PAGES) && link.ends_with(".md");
    if is_page && !project.root.join(link).is_file() {
        let error = reader.at(&path.then("link"), format!("there is no page `{link}`"));
        errors.push(error.hint("write the page, with a reproduction, or link to a public report"));
    }
    errors
}

/// Expectations that no cell of the finding's providers has.
fn unknown_expectations(
    project: &Project,
    finding: &KnownFinding,
    lacks: &Lacks,
    reader: &Reader<'_>,
    shows: &KeyPath,
) -> Vec<Diagnostic> {
    let features: Vec<&str> = project
        .manifest
        .features
        .iter()
        .map(|feature| feature.id.as_str())
        .collect();
    let items = match reader.node.at(&shows.0).map(|list| &list.value) {
        Some(NodeValue::List(items)) => &items[..],
        _ => &[],
    };
    let error = |(index, item): (usize, &Node)| {
        let NodeValue::Text(text) = &item.value else {
            return None;
        };
        let (Ok(Subject::Expectation { feature, name }), Ok(pattern)) =
            (text.parse(), text.parse::<SubjectPattern>())
        else {
            return None;
        };
        let path = shows.then(index);
        let is_row = |row: &FeatureId| {
            let (feature, name) = (Some(row.clone()), name.clone());
            pattern.matches(&Subject::Expectation { feature, name })
        };
        if let Some(feature) = &feature
            && !features.iter().any(|row| is_row(&FeatureId::new(*row)))
        {
            let error = reader.at(&path, format!("the manifest has no feature `{feature}`"));
            let error = error.allowed(listed(features.iter().copied()));
            return Some(error.did_you_mean(feature.as_str(), features.iter().copied()));
        }
        let rows = feature
            .is_some()
            .then_some(&is_row as &dyn Fn(&FeatureId) -> bool);
        // The missing file of all rows is an error of its own.
        if feature.is_none() && project.missing_shared().is_some() {
            return None;
        }
        // A broken cell may have it, and has errors of its own.
        let (known, of_changes) = names(project, finding, lacks, rows)?;
        if known.contains(&name) {
            return None;
        }
        if of_changes.contains(&name) {
            let error = reader.at(
                &path,
                format!("a finding of `{name}` names the change, not the expectation"),
            );
            return Some(
                error.hint("write the change as `compat-results.json` has it: `request beta NAME dropped`"),
            );
        }
        let of = feature
            .as_ref()
            .map_or("a row".to_owned(), |feature| format!("`{feature}`"));
        let error = reader.at(&path, format!("no cell of {of} has the expectation `{name}`"));
        let error = match known.is_empty() {
            true => error.hint("write `expectation FEATURE::NAME` for an expectation of a row"),
            false => error.allowed(listed(known.iter().map(String::as_str))),
        };
        Some(error.did_you_mean(&name, known.iter().map(String::as_str)))
    };
    items.iter().enumerate().filter_map(error).collect()
}

/// The names of the expectations of some rows, or of every row, in the finding's columns, and the names of those whose findings
/// are about changes. `None` if a cell has errors.
fn names(
    project: &Project,
    finding: &KnownFinding,
    lacks: &Lacks,
    is_row: Option<&dyn Fn(&FeatureId) -> bool>,
) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
    let (mut names, mut of_changes) = (BTreeSet::new(), BTreeSet::new());
    let cells = project.cells().into_iter().filter(|cell: &CellId| {
        finding.providers.contains(&cell.provider)
            && lacks.reason(cell).is_none()
            && is_row.is_none_or(|is_row| is_row(&cell.feature))
    });
    for cell in cells {
        let cell = project.cell(&cell).ok()?;
        let Some(test) = cell.test() else { continue };
        for one in &test.expectations {
            // An expectation of every row has no row in its name.
            match one.check.shows_changes() {
                true => of_changes.insert(one.name.clone()),
                false => one.is_of_every_row() == is_row.is_none() && names.insert(one.name.clone()),
            };
        }
        if is_row.is_some() {
            names.extend(IMPLIED.map(str::to_owned));
        }
    }
    Some((names, of_changes))
}
