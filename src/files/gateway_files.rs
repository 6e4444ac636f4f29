//! Checks the files in `gateways/` against the project: their names, links and expectations.

use std::path::Path;

use super::Project;
use super::project::GATEWAYS;
use crate::document::Diagnostic;
use crate::expectation::IMPLIED;
use crate::findings::{KnownFinding, Subject};
use crate::ids::{CellId, FeatureId};
use crate::text::{is_name, listed};

/// The errors of all files in `gateways/`.
pub(super) fn check(project: &Project) -> Vec<Diagnostic> {
    let mut errors = strange_files(project);
    for gateway in project.gateways() {
        match project.known_findings(&gateway) {
            Err(found) => errors.extend(found),
            Ok(known) => {
                for (index, finding) in known.findings.iter().enumerate() {
                    errors.extend(broken_link(project, finding));
                    errors.extend(unknown_expectations(project, finding));
                    errors.extend(doubled(finding, &known.findings[..index]));
                }
            }
        }
    }
    errors
}

/// Files that are not read: their names are wrong.
fn strange_files(project: &Project) -> Vec<Diagnostic> {
    let entries = std::fs::read_dir(project.root.join(GATEWAYS))
        .into_iter()
        .flatten();
    let error = |entry: std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let stem = name.strip_suffix(".yaml");
        let is_right = name.starts_with('_') || stem.is_some_and(is_name) && entry.path().is_file();
        (!is_right).then(|| {
            let file = Path::new(GATEWAYS).join(&name);
            let error = Diagnostic::of_file(&file, "this is not the file of a gateway");
            error.allowed(
                "`gateways/<name>.yaml`; the name has lower-case letters, digits and `_`, a letter first",
            )
        })
    };
    entries.flatten().filter_map(error).collect()
}

fn at(finding: &KnownFinding, key: &str, message: String) -> Diagnostic {
    let error = Diagnostic::of_file(&finding.place.file, message);
    Diagnostic {
        place: finding.place.clone(),
        ..error
    }
    .path(format!("findings.{}.{key}", finding.name))
}

/// A page of this repository must exist.
fn broken_link(project: &Project, finding: &KnownFinding) -> Option<Diagnostic> {
    let link = &finding.link;
    if let Some((_, host)) = link.split_once("://") {
        let message = || format!("the link `{link}` has no host");
        return host.is_empty().then(|| at(finding, "link", message()));
    }
    let is_page = !link.contains("..") && project.root.join(link).is_file();
    (!is_page).then(|| {
        let error = at(finding, "link", format!("there is no page `{link}`"));
        error.hint("write the page, with a reproduction, or link to a public report")
    })
}

/// Expectations that no cell of the finding's providers has.
fn unknown_expectations(project: &Project, finding: &KnownFinding) -> Vec<Diagnostic> {
    let shows = finding
        .shows
        .iter()
        .filter(|pattern| !pattern.to_string().contains('*'));
    let subjects = shows.filter_map(|pattern| pattern.to_string().parse().ok());
    let expectations = subjects.filter_map(|subject| match subject {
        Subject::Expectation { feature, name } => Some((feature, name)),
        Subject::Change { .. } => None,
    });
    let error = |(feature, name): (Option<FeatureId>, String)| {
        let known = names(project, finding, feature.as_ref());
        let is_known = known.contains(&name);
        let of = feature
            .as_ref()
            .map_or("a row".to_owned(), |feature| format!("`{feature}`"));
        (!is_known).then(|| {
            let error = at(
                finding,
                "shows",
                format!("no cell of {of} has the expectation `{name}`"),
            );
            let error = match known.is_empty() {
                true => error.hint("write `expectation FEATURE::NAME` for an expectation of a row"),
                false => error.allowed(listed(known.iter().map(String::as_str))),
            };
            error.did_you_mean(&name, known.iter().map(String::as_str))
        })
    };
    expectations.filter_map(error).collect()
}

/// The names of the expectations of `feature`, or of every row, in the finding's columns.
fn names(project: &Project, finding: &KnownFinding, feature: Option<&FeatureId>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let cells = project.cells().into_iter().filter(|cell: &CellId| {
        finding.providers.contains(&cell.provider) && feature.is_none_or(|feature| *feature == cell.feature)
    });
    for cell in cells {
        let Ok(cell) = project.cell(&cell) else { continue };
        let expectations = cell.test().map_or(&[][..], |test| &test.expectations);
        // An expectation of every row has no row in its name.
        let of_its_kind = expectations
            .iter()
            .filter(|one| one.is_of_every_row() == feature.is_none());
        names.extend(of_its_kind.map(|one| one.name.clone()));
        if feature.is_some() {
            names.extend(IMPLIED.map(str::to_owned));
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// An earlier declaration of the same subject, for a provider and a tier of both, in the same range.
fn doubled(finding: &KnownFinding, earlier: &[KnownFinding]) -> Option<Diagnostic> {
    let shares = |other: &&KnownFinding| {
        let provider = finding.providers.iter().any(|one| other.providers.contains(one));
        let tiers = match (&finding.tiers, &other.tiers) {
            (Some(one), Some(other)) => one.iter().any(|tier| other.contains(tier)),
            _ => true,
        };
        let subject = finding.shows.iter().any(|one| other.shows.contains(one));
        provider && tiers && subject && finding.versions == other.versions
    };
    let other = earlier.iter().find(shares)?;
    let error = at(
        finding,
        "shows",
        format!("`{}` declares the same finding", other.name),
    );
    Some(error.related(other.place.clone(), "the first declaration is here"))
}
