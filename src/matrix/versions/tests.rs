//! Tests of the history of versions.

use super::*;
use crate::findings::{Declared, FindingStatus};
use crate::outcome::{Cause, Failure, Outcome};

fn record(trial: &str, subjects: &[&str], fails: Option<Cause>) -> TrialRecord {
    let name: TrialName = trial.parse().unwrap();
    let outcome = match fails {
        Some(cause) => Outcome::Fail(Failure {
            cause,
            ..Failure::of_harness("it broke", Vec::new())
        }),
        None => Outcome::Pass,
    };
    let mut record = TrialRecord::new(&name, "alias", &outcome, chrono::DateTime::UNIX_EPOCH);
    record.cause = fails;
    record.findings = subjects
        .iter()
        .map(|subject| Finding {
            subject: subject.parse().unwrap(),
            level: Level::Contract,
            expectation: "request_unchanged".into(),
            summary: String::new(),
            loses: "A feature stays off.".into(),
            status: FindingStatus::New,
            known: None,
        })
        .collect();
    record
}

fn run(version: &str, records: Vec<TrialRecord>) -> VersionRecords {
    VersionRecords {
        version: version.to_owned(),
        beside: Some("2.1.0".into()),
        records: Ok(records),
    }
}

const X: &str = "request beta x dropped";
const Y: &str = "request beta y dropped";

fn history() -> VersionHistory {
    VersionHistory::new("litellm", "Claude Code", None, &runs())
}

fn runs() -> [VersionRecords; 5] {
    let broken = VersionRecords {
        version: "1.2.0".into(),
        beside: None,
        records: Err("it does not start".into()),
    };
    [
        run("1.0.0", vec![record("a::p::haiku", &[X], None)]),
        run("1.1.0", vec![record("a::p::haiku", &[X], Some(Cause::Harness))]),
        broken,
        run(
            "1.3.0",
            vec![
                record("a::p::haiku", &[], None),
                record("a::p::opus", &[], Some(Cause::Gateway)),
            ],
        ),
        run("1.4.0", vec![record("a::p::haiku", &[Y], None)]),
    ]
}

#[test]
fn a_finding_has_its_first_and_last_version() {
    let history = history();
    let x = &history.findings[0];
    assert_eq!(
        (x.name.as_str(), x.first_seen.as_str(), x.last_seen.as_str()),
        (X, "1.0.0", "1.1.0")
    );
    assert_eq!(x.shows, [Some(true), Some(true), None, Some(false), Some(false)]);
    assert_eq!(x.cells, ["a::p"]);
    assert_eq!(history.cells[0].signs, ["✓*", "!", "?", "✗", "✓*"]);
    assert_eq!(history.tiers, ["haiku", "opus"].map(TierId::new));
    let json = serde_json::to_value(&history.versions).unwrap();
    assert_eq!(json[3].get("unjudged"), None, "zero stays out");
}

#[test]
fn trials_that_could_not_be_judged_are_counted_apart() {
    let not_applicable = TrialRecord::new(
        &"b::p::haiku".parse().unwrap(),
        "alias",
        &Outcome::NotApplicable("the gateway lacks it".into()),
        chrono::DateTime::UNIX_EPOCH,
    );
    let failed = |trial: &str, cause| record(trial, &[], Some(cause));
    let unjudged = run(
        "1.0.0",
        vec![
            failed("a::p::haiku", Cause::Auth),
            failed("a::p::opus", Cause::Auth),
            failed("a::q::haiku", Cause::Config),
            not_applicable.clone(),
        ],
    );
    let mixed = run(
        "1.1.0",
        vec![
            failed("a::p::haiku", Cause::Upstream),
            failed("a::p::opus", Cause::Gateway),
            record("a::q::haiku", &[X], None),
        ],
    );
    assert_eq!(unjudged.why_unjudged().as_deref(), Some("2 auth, 1 config"));
    assert_eq!(mixed.why_unjudged(), None);
    assert_eq!(run("1.2.0", vec![not_applicable]).why_unjudged(), None);
    let history = VersionHistory::new("litellm", "Claude Code", None, &[unjudged, mixed]);
    let text = history.to_text(80);
    assert!(
        text.contains("1.0.0  0 work, 0 do not, 3 could not be judged\n"),
        "{text}"
    );
    assert!(
        text.contains("1.1.0  1 work, 1 do not, 1 could not be judged\n"),
        "{text}"
    );
    let markdown = history.to_markdown();
    assert!(
        markdown.contains("| 1.1.0 | 1 | 1 | 1 could not be judged |"),
        "{markdown}"
    );
    let json = serde_json::to_value(&history).unwrap();
    assert_eq!(json["versions"][0]["unjudged"], 3);
}

#[test]
fn the_other_tool_is_named_once_or_beside_each_version() {
    let one = history();
    assert_eq!(one.beside.as_ref().unwrap().version, "2.1.0");
    assert!(one.versions.iter().all(|column| column.claude_code.is_none()));
    assert!(
        one.to_text(80)
            .starts_with("5 versions of litellm with Claude Code 2.1.0, ")
    );
    let mut runs = [run("1.0.0", vec![]), run("1.1.0", vec![])];
    runs[1].beside = Some("2.1.7".into());
    let pairs = VersionHistory::new("litellm", "Claude Code", None, &runs);
    assert_eq!(pairs.beside, None);
    assert_eq!(pairs.versions[1].title(), "1.1.0 with Claude Code 2.1.7");
}

#[test]
fn only_findings_that_the_version_before_lacks_are_new() {
    let names = |runs: &[VersionRecords]| {
        let new = new_in_newest(runs).into_iter();
        new.map(|finding| finding.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&runs()), [Y]);
    let pair = |before: Vec<TrialRecord>, newest: Vec<TrialRecord>| {
        names(&[run("1.0.0", before), run("1.1.0", newest)])
    };
    let x = || vec![record("a::p::haiku", &[X], None)];
    assert_eq!(pair(x(), x()), [""; 0]);
    // The trial that shows it was not run on the version before.
    assert_eq!(pair(vec![], x()), [""; 0]);
    // One declaration has both subjects, and one of them is new.
    let mut both = record("a::p::haiku", &[X, Y], None);
    let mut before = record("a::p::haiku", &[X], None);
    for finding in both.findings.iter_mut().chain(&mut before.findings) {
        finding.known = Some(Declared {
            name: "one_name".into(),
            reason: String::new(),
            link: String::new(),
            versions: None,
            workaround: None,
        });
    }
    assert_eq!(pair(vec![before], vec![both]), [Y]);
}

#[test]
fn both_texts_name_versions_findings_and_cells() {
    let history = history();
    for text in [history.to_text(80), history.to_markdown()] {
        for expected in [
            "1.2.0",
            "could not be run: it does not start",
            "●●?··",
            X,
            "A feature stays off.",
            "a::p",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}

#[test]
fn the_text_fits_the_terminal_and_numbers_the_versions() {
    let text = history().to_text(50);
    for expected in [
        "   3  1.2.0  could not be run: it does not start\n",
        "\n\nFindings (● shows, · does not, ? not known), one\n  sign for each version:\n12345\n●●?··  request beta x dropped\n       A feature stays off. (contract)\n",
        "1  2  3  4  5\n✓* !  ?  ✗  ✓* a::p\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let long = text.lines().find(|line| line.chars().count() > 50);
    assert_eq!(long, None, "{text}");
    let empty = VersionHistory::new("litellm", "Claude Code", None, &[run("1.0.0", vec![])]).to_text(80);
    assert!(empty.starts_with("1 version of litellm"), "{empty}");
    assert!(!empty.contains("Findings") && !empty.contains("Cells"), "{empty}");
}

#[test]
fn the_schema_knows_every_sign() {
    let schema = serde_json::from_str(&crate::matrix::schema::text::<VersionHistory>()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let mut history = serde_json::to_value(history()).unwrap();
    history["cells"][0]["signs"] = CellMark::ALL.map(CellMark::sign).to_vec().into();
    assert!(schema.is_valid(&history));
    history["cells"][0]["signs"][0] = "ok".into();
    assert!(!schema.is_valid(&history));
}

/// A record of `a::PROVIDER::haiku`.
fn of_provider(provider: &str, subjects: &[&str]) -> TrialRecord {
    record(&format!("a::{provider}::haiku"), subjects, None)
}

#[test]
fn each_provider_has_its_own_history_of_a_finding() {
    let of_providers = |subjects: [&[&str]; 3]| {
        let records = ["p", "q", "r"].into_iter().zip(subjects);
        records
            .map(|(provider, subjects)| of_provider(provider, subjects))
            .collect()
    };
    let runs = [
        run("1.0.0", of_providers([&[X], &[], &[X]])),
        run("1.1.0", of_providers([&[X], &[X], &[X]])),
    ];
    let history = VersionHistory::new("litellm", "Claude Code", None, &runs);
    let found = history.findings.iter();
    let found: Vec<_> = found
        .map(|one| (one.providers.join(" "), one.first_seen.as_str(), one.strip()))
        .collect();
    assert_eq!(
        found,
        [
            ("p r".into(), "1.0.0", "●●".into()),
            ("q".into(), "1.1.0", "·●".into())
        ]
    );
    let new = new_in_newest(&runs);
    let new: Vec<String> = new.iter().map(|finding| finding.title()).collect();
    assert_eq!(new, [format!("{X} (q)")]);
    assert!(
        history.to_text(80).contains("1.1.0 to 1.1.0; q: a"),
        "{}",
        history.to_text(80)
    );
}

#[test]
fn a_trial_that_ended_early_does_not_say_what_is_absent() {
    let broken = |subjects: &[&str]| record("a::p::haiku", subjects, Some(Cause::Gateway));
    let not_applicable = TrialRecord::new(
        &"a::p::haiku".parse().unwrap(),
        "alias",
        &Outcome::NotApplicable("the gateway lacks it".into()),
        chrono::DateTime::UNIX_EPOCH,
    );
    let shows = |records: Vec<TrialRecord>| {
        let names = ["1.0.0", "1.1.0", "1.2.0"];
        let runs: Vec<_> = names
            .into_iter()
            .zip(records)
            .map(|(name, one)| run(name, vec![one]))
            .collect();
        let history = VersionHistory::new("litellm", "Claude Code", None, &runs);
        (history.findings[0].strip(), new_in_newest(&runs).len())
    };
    let x = || record("a::p::haiku", &[X], None);
    let clean = || record("a::p::haiku", &[], None);
    for (records, expected) in [
        (vec![x(), broken(&[]), x()], ("●?●", 0)),
        (vec![clean(), broken(&[]), x()], ("·?●", 1)),
        (vec![broken(&[]), broken(&[]), x()], ("??●", 0)),
        // It ends early there too, and shows nevertheless.
        (vec![broken(&[X]), broken(&[]), broken(&[X])], ("●·●", 1)),
        (vec![x(), not_applicable, x()], ("●?●", 0)),
    ] {
        let (strip, new) = shows(records);
        assert_eq!((strip.as_str(), new), expected);
    }
}
