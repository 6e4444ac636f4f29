//! `--baseline`: a run compared with an accepted matrix, with and without its details.

use compat_matrix::findings::{Finding, FindingStatus, Level};
use compat_matrix::matrix::baseline::{Baseline, BaselineComparison};
use compat_matrix::matrix::builder::build;
use compat_matrix::matrix::{Details, Matrix, terminal};
use compat_matrix::outcome::Cause;
use compat_matrix::report::Paint;
use compat_matrix::results::Results;

use crate::matrix::{one_cell, row, run_of, stamp};
use crate::support::sample_run::{finding, run};
use crate::support::text::assert_has;

fn without_details(matrix: Matrix) -> Baseline {
    Baseline {
        matrix,
        details: None,
    }
}

/// A run of the one cell: each letter is the outcome of a tier as in [`run_of`], or `u` for unfaithful, and each subject is
/// its new finding.
fn run_with(tiers: &str, subjects: [&str; 3]) -> Results {
    let letters = tiers.replace('u', "p");
    let mut results = run_of(&letters).results;
    for ((trial, letter), subject) in results.iter_mut().zip(tiers.chars()).zip(subjects) {
        if letter != 'p' {
            let level = if letter == 'u' {
                Level::Contract
            } else {
                Level::Feature
            };
            let subject = subject.parse().unwrap();
            trial.findings = vec![Finding {
                subject,
                ..finding(level, FindingStatus::New)
            }];
        }
    }
    Results::new(run(results.len()), results)
}

#[test]
fn a_baseline_with_details_accepts_its_own_findings_only() {
    let (image, beta) = ("expectation vision::image", "request beta x dropped");
    let compared = |old: &Results, new: &Results, has_details: bool| {
        let matrix = build(&one_cell(), old, &stamp()).unwrap();
        let details = has_details.then(|| Details::build(&one_cell(), old, &stamp()).unwrap());
        BaselineComparison::new(&Baseline { matrix, details }, &one_cell(), new).unwrap()
    };
    let old = run_with("ffu", [image, image, beta]);
    let same = compared(&old, &old, true);
    assert!(same.is_accepted() && same.accepted == 1 && !same.lacks_details);
    for (tiers, subjects, why) in [
        (
            "ffu",
            [image, "expectation vision::colour", beta],
            "another broken feature",
        ),
        (
            "ffu",
            [image, image, "request beta y dropped"],
            "another broken contract",
        ),
        ("fff", [image, image, image], "the same on another tier"),
        ("fuu", [image, beta, beta], "a contract finding on another tier"),
    ] {
        let new = run_with(tiers, subjects);
        let different = compared(&old, &new, true);
        assert_eq!(different.new_findings.len(), 1, "{why}");
        assert!(!different.is_accepted(), "{why}");
        let text = terminal::of_baseline(&different, 80, Paint::Plain);
        assert_has(&text, "error: a finding is neither known nor in the baseline");
    }
    let mut known = run_with("ffu", [image, "expectation vision::colour", beta]);
    known.results[1].findings[0].status = FindingStatus::Known;
    assert!(compared(&old, &known, true).is_accepted(), "it is known");

    // The published matrix has no findings: it accepts cells, and no contract finding.
    let other = run_with("ffp", [image, "expectation vision::colour", beta]);
    let by_cell = compared(&old, &other, false);
    assert!(by_cell.is_accepted() && by_cell.lacks_details);
    assert_has(
        &terminal::of_baseline(&by_cell, 80, Paint::Plain),
        "the findings of these cells were not compared",
    );
    assert_eq!(compared(&old, &old, false).new_findings[0].level, Level::Contract);
}

#[test]
fn a_cell_that_is_broken_only_as_known_is_no_regression() {
    let mut results = run_of("fpp");
    results.results[0].findings = vec![finding(Level::Feature, FindingStatus::Known)];
    let baseline = without_details(row(&[("anthropic", "+")]));
    let compared = BaselineComparison::new(&baseline, &one_cell(), &results).unwrap();
    assert!(compared.is_accepted());
    let text = terminal::of_baseline(&compared, 80, Paint::Plain);
    assert_has(&text, "1 cell passed in the baseline and is broken only as known");
}

#[test]
fn a_baseline_fails_on_regressions_and_stale_entries_only() {
    let judged = |baseline: &str, tiers: &str| {
        let baseline = without_details(row(&[("anthropic", baseline)]));
        BaselineComparison::new(&baseline, &one_cell(), &run_of(tiers)).unwrap()
    };
    assert!(judged("+", "ppp").is_accepted());
    let known = judged("!known", "fff");
    assert!(known.is_accepted(), "a red cell that the baseline has too");
    insta::assert_snapshot!("baseline_known", terminal::of_baseline(&known, 80, Paint::Plain));
    assert!(
        judged("+", "p--").is_accepted(),
        "a filtered run is no regression"
    );
    let never_green = judged("?", "fff");
    assert!(
        never_green.is_accepted(),
        "a cell that never passed cannot regress"
    );
    insta::assert_snapshot!(
        "baseline_unmeasured",
        terminal::of_baseline(&never_green, 80, Paint::Plain)
    );
    let filtered = judged("!known", "f--");
    assert!(filtered.is_accepted() && filtered.untried == 0 && filtered.accepted == 1);
    assert_eq!(
        judged("!known", "p--").untried,
        1,
        "one passing tier is not a fixed cell"
    );
    let dropped = judged("+", "nnn");
    assert!(dropped.is_accepted());
    assert_eq!(
        dropped.unmeasured.len(),
        1,
        "a passing cell that no longer applies is reported"
    );
    let given_up = judged("!known", "nnn");
    assert_eq!(
        given_up.stale[0].to_string(),
        "`vision::anthropic` fails in the baseline and does not apply now"
    );

    let regressed = judged("+", "pf-");
    assert!(!regressed.is_accepted());
    assert_eq!(regressed.regressions[0].causes, [Cause::Gateway]);

    insta::assert_snapshot!(
        "baseline_regressed",
        terminal::of_baseline(&regressed, 80, Paint::Plain)
    );

    let fixed = judged("!known", "ppp");
    insta::assert_snapshot!("baseline_stale", terminal::of_baseline(&fixed, 80, Paint::Plain));
    assert!(!fixed.is_accepted());
    assert_eq!(
        fixed.stale[0].to_string(),
        "`vision::anthropic` fails in the baseline and passes now"
    );

    let results = Results::new(run(0), Vec::new());
    let baseline = without_details(row(&[("anthropic", "+"), ("gone", "!x")]));
    let gone = BaselineComparison::new(&baseline, &one_cell(), &results).unwrap();
    assert_eq!(gone.stale.len(), 1);
    assert_eq!(
        gone.stale[0].to_string(),
        "`vision::gone` is in the baseline and not in the manifest"
    );
}
