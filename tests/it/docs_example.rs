//! The example data of the docs page.

use std::path::Path;

use compat_matrix::cells::Manifest;
use compat_matrix::evidence::Behind;
use compat_matrix::expectation::Expectation;
use compat_matrix::files::Project;
use compat_matrix::ids::FeatureId;
use compat_matrix::matrix::feed;
use compat_matrix::matrix::history::History;
use compat_matrix::matrix::{Details, Matrix};
use compat_matrix::outcome::TrialVerdict;
use compat_matrix::plan::Planned;
use compat_matrix::results::StatusWord;
use compat_matrix::toolchain::{Lock, lock};
use serde_json::Value;

use crate::support::root;
use crate::support::text::assert_has;

#[test]
fn the_example_of_the_docs_page_is_one_simulated_run() {
    let read = |name: &str| std::fs::read_to_string(Path::new("docs/site/static/data").join(name)).unwrap();
    let matrix = Matrix::parse(&read("compatibility-matrix.json")).unwrap();
    let details = Details::parse(&read("compatibility-details.json")).unwrap();
    assert!(details.belongs_to(&matrix));
    assert!(details.complete);
    assert_eq!(details.evidence, Behind::Simulated);
    let renew = "the example is stale: docs/site/README.md says how to renew it";
    let lock = Lock::read(&root().join(lock::FOLDER)).unwrap();
    assert_eq!(matrix.claude_code_version, lock.claude.version, "{renew}");
    assert_eq!(
        matrix.litellm_version,
        format!("v{}", lock.litellm.version),
        "{renew}"
    );
    let manifest = std::fs::read(root().join("manifest.yaml")).unwrap();
    let manifest = Manifest::parse(Path::new("manifest.yaml"), &manifest).unwrap();
    let rows: Vec<&FeatureId> = matrix.features.iter().map(|row| &row.id).collect();
    assert_eq!(
        rows,
        manifest.features.iter().map(|row| &row.id).collect::<Vec<_>>(),
        "{renew}"
    );
    assert_eq!(matrix.providers, manifest.providers, "{renew}");

    let history = History::parse(&read("compatibility-history.json")).unwrap();
    let newest = serde_json::to_value(history.snapshots.last()).unwrap();
    let snapshots = History::new([(newest["commit"].as_str().unwrap(), &*matrix.to_text())]).snapshots;
    assert_eq!(
        newest,
        serde_json::to_value(snapshots.first()).unwrap(),
        "{renew}"
    );
    let published = read("compatibility-feed.xml");
    let page = published
        .split(['<', '>'])
        .skip_while(|part| *part != "id")
        .nth(1);
    assert_eq!(
        published,
        feed::of_history(&history, false, page.unwrap()),
        "{renew}"
    );
    let versions: Value = serde_json::from_str(&read("version-history.json")).unwrap();
    let newest = versions["versions"]
        .as_array()
        .and_then(|all| all.last())
        .unwrap();
    assert_eq!(newest["version"], *lock.litellm.version, "{renew}");
    assert_eq!(versions["beside"]["version"], *lock.claude.version, "{renew}");
}

#[test]
fn the_example_of_the_docs_page_is_of_the_cells_of_today() {
    let path = Path::new("docs/site/static/data/compatibility-details.json");
    let details = Details::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let project = Project::open(root()).unwrap();
    let known = project.known_findings("litellm").unwrap();
    let known: Vec<&str> = known.findings.iter().map(|known| known.name.as_str()).collect();
    let unknown = details
        .findings
        .iter()
        .filter_map(|finding| finding.known.as_ref());
    let mut stale: Vec<String> = unknown
        .filter(|finding| !known.contains(&finding.name.as_str()))
        .map(|finding| format!("the finding `{}` is no longer declared", finding.name))
        .collect();
    let lock = Lock::read(&root().join(lock::FOLDER)).unwrap();
    let shows = |name: &str| {
        let mut shown = details
            .findings
            .iter()
            .filter_map(|finding| finding.known.as_ref());
        shown.any(|known| known.name == name)
    };
    let declared = project.known_findings("litellm").unwrap().findings;
    let declared = declared.iter().filter(|known| {
        known.configurations.is_none()
            && known.client_formats.is_none()
            && known.versions.contains(&lock.litellm.version)
            && !shows(&known.name)
    });
    stale.extend(declared.map(|known| format!("it lacks the finding `{}`", known.name)));
    for name in project.trials() {
        let tiers = details.tiers(&name.cell);
        let Some(shown) = tiers.iter().find(|tier| tier.tier == name.tier) else {
            stale.push(format!("`{name}` is new"));
            continue;
        };
        match project.plan(None, &name) {
            Planned::NotApplicable(reason) if shown.reason.as_ref() != Some(&reason) => {
                stale.push(format!("`{name}` is not applicable: {reason}"));
            }
            Planned::Run(_) if shown.status == StatusWord::NotApplicable => {
                stale.push(format!("`{name}` is applicable"));
            }
            Planned::Run(planned) => {
                let judged: Vec<&str> = shown
                    .expectations
                    .iter()
                    .map(|check| check.name.as_str())
                    .collect();
                let expectations = planned.test().expectations.iter();
                let mut of_tier = expectations.filter(|expectation| {
                    let tiers = expectation.tiers.as_ref();
                    tiers.is_none_or(|tiers| tiers.contains(&name.tier))
                });
                let is_missing = |wanted: &&Expectation| !judged.contains(&wanted.name.as_str());
                if let Some(missing) = of_tier.find(is_missing) {
                    stale.push(format!("`{name}` did not judge `{}`", missing.name));
                }
            }
            _ => {}
        }
    }
    assert!(
        stale.is_empty(),
        "the example is stale: docs/site/README.md says how to renew it\n{}",
        stale.join("\n")
    );
}

/// The totals at the head of the README are those of the example, on the tiers of a run without flags.
#[test]
fn the_totals_of_the_readme_are_those_of_the_example() {
    let path = Path::new("docs/site/static/data/compatibility-details.json");
    let details = Details::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let project = Project::open(root()).unwrap();
    let trials = project.trials();
    let default = trials
        .iter()
        .filter(|name| ["haiku", "sonnet", "opus"].contains(&name.tier.as_str()));
    let (mut clean, mut unfaithful, mut broken, mut not_applicable) = (0, 0, 0, 0);
    for name in default {
        let tiers = details.tiers(&name.cell);
        let shown = tiers.iter().find(|tier| tier.tier == name.tier).unwrap();
        *match (shown.status, shown.verdict) {
            (StatusWord::NotApplicable, _) => &mut not_applicable,
            (_, Some(TrialVerdict::Clean)) => &mut clean,
            (_, Some(TrialVerdict::Unfaithful)) => &mut unfaithful,
            _ => &mut broken,
        } += 1;
    }
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let total = clean + unfaithful + broken + not_applicable;
    assert_has(
        &readme,
        &format!(
            "✓ {clean} pass   ✓* {unfaithful} works, unfaithful   ✗ {broken} fail   — {not_applicable} not applicable   of {total} trials"
        ),
    );
    assert_has(&readme, &format!("every one of these {broken} is known"));
}
