//! Results: `compat-results.json`, JUnit, merged shards.

use compat_matrix::evidence::Behind;
use compat_matrix::expectation::RUN;
use compat_matrix::findings::{Finding, FindingStatus, Level};
use compat_matrix::ids::{FeatureId, ProviderId, TierId, TrialName};
use compat_matrix::outcome::{Cause, CheckResult, Outcome, TrialVerdict, Verdict};
use compat_matrix::results::last::LastFilter;
use compat_matrix::results::merge::merge;
use compat_matrix::results::stale::stale;
use compat_matrix::results::{RecordTexts, Results, Spending, junit};

use crate::support::RESULTS;
use crate::support::evidence::known_finding_of;
use crate::support::sample_run::{self, failure, finding, records, results, run, trial};
use crate::support::text::{assert_has, assert_starts};

#[test]
fn results_survive_writing_and_reading() {
    let text = results().to_text();
    let read = Results::parse(&text).unwrap();
    assert_eq!(read.to_text(), text);
    assert!(text.ends_with("}\n"));
    insta::assert_snapshot!(text);
}

#[test]
fn growing_results_have_the_text_of_whole_ones() {
    let all = records();
    let mut results = Results::new(run(all.len()), Vec::new());
    let mut texts = RecordTexts::default();
    assert_eq!(texts.of(&results), results.to_text());
    // The second time, each trial is repeated and its record changes.
    for record in all.iter().chain(&all) {
        results.finish(record.clone());
        texts.forget(&record.nodeid);
        assert_eq!(texts.of(&results), results.to_text());
    }
}

#[test]
fn the_order_of_finished_trials_does_not_matter() {
    let mut records = records();
    let text = Results::new(run(records.len()), records.clone()).to_text();
    records.reverse();
    assert_eq!(Results::new(run(records.len()), records.clone()).to_text(), text);
}

#[test]
fn unfinished_trials_are_listed_and_retries_keep_attempts() {
    let failed = sample_run::failure(Cause::Gateway, "lost");
    let first = trial("vision::vertex_ai::haiku", Outcome::Fail(failed));
    let second = trial("vision::vertex_ai::haiku", Outcome::Pass);
    let names = [
        first.nodeid.clone(),
        "vision::vertex_ai::opus".parse::<TrialName>().unwrap(),
    ];
    let mut results = Results::new(run(0), Vec::new());
    results.begin(&names);
    assert_eq!((results.run.selected, results.run.unfinished.len()), (2, 2));
    results.finish(first);
    results.begin(&names);
    results.settle(true);
    assert_eq!((results.run.selected, results.run.complete), (2, false));
    assert_eq!(results.run.unfinished, names[1..]);
    assert_eq!(Results::parse(&results.to_text()).unwrap(), results);
    results.finish(second);
    let entry = &results.results[0];
    assert_eq!(
        (results.results.len(), entry.attempts.len(), entry.flaky),
        (1, 2, true)
    );
    results.finish(trial("vision::vertex_ai::opus", Outcome::Pass));
    results.settle(true);
    assert!(results.run.complete);
    let contradiction = results.to_text().replace(
        "\"selected\": 2\n",
        "\"selected\": 2,\n    \"unfinished\": [\"a::b::c\"]\n",
    );
    let error = Results::parse(&contradiction).unwrap_err().to_string();
    assert_has(&error, ": run.unfinished: 1 trials, and 2 results, of 2 selected");
}

#[test]
fn a_repetition_does_not_hide_a_contract_finding() {
    let name = "vision::vertex_ai::haiku";
    let lost = Outcome::Unfaithful(sample_run::failure(Cause::Gateway, "a beta was lost"));
    let mut results = Results::new(run(1), Vec::new());
    results.finish(trial(name, lost.clone()));
    assert!(!results.results[0].flaky);
    results.finish(trial(name, Outcome::Pass));
    let entry = &results.results[0];
    assert_eq!(entry.verdict, Some(TrialVerdict::Unfaithful));
    assert_eq!(entry.findings, [finding(Level::Contract, FindingStatus::Known)]);
    assert_eq!((entry.cause, entry.flaky), (Some(Cause::Gateway), true));
    assert_eq!(Results::parse(&results.to_text()).unwrap(), results);
    // What a model did not do says nothing about the gateway; what changed on the wire does.
    let refused = Outcome::Fail(sample_run::failure(Cause::Assertion, "no tool was called"));
    for (subject, verdict) in [
        ("expectation vision::pieces", TrialVerdict::Clean),
        (
            "request beta colours-2026-01-01 dropped",
            TrialVerdict::Unfaithful,
        ),
    ] {
        results.results.clear();
        let mut first = trial(name, refused.clone());
        let of_contract = Finding {
            subject: subject.parse().unwrap(),
            ..finding(Level::Contract, FindingStatus::New)
        };
        first.attempts[0].findings = vec![finding(Level::Feature, FindingStatus::New), of_contract];
        let mut unfaithful = first.clone();
        results.finish(first);
        results.finish(trial(name, Outcome::Pass));
        let entry = &results.results[0];
        assert_eq!((entry.verdict, entry.flaky), (Some(verdict), true), "{subject}");
        // An attempt that broke nothing but the contract is not the model's fault.
        results.results.clear();
        unfaithful.attempts[0].findings.remove(0);
        results.finish(unfaithful);
        results.finish(trial(name, Outcome::Pass));
        assert_eq!(
            results.results[0].verdict,
            Some(TrialVerdict::Unfaithful),
            "{subject}"
        );
    }
    // The same finding twice is not flaky.
    results.results.clear();
    results.finish(trial(name, lost.clone()));
    results.finish(trial(name, lost));
    assert!(!results.results[0].flaky);
    assert_eq!(results.results[0].findings.len(), 1);
}

#[test]
fn a_trial_without_verdict_fails_despite_known_findings() {
    let mut refused = trial(
        "vision::vertex_ai::haiku",
        Outcome::Fail(sample_run::failure(Cause::Auth, "no key")),
    );
    refused.findings = vec![finding(Level::Contract, FindingStatus::Known)];
    assert!(refused.fails_run() && !refused.has_new_finding());
}

#[test]
fn the_fixture_of_results_has_the_current_layout() {
    assert_eq!(Results::parse(RESULTS).unwrap().to_text(), RESULTS);
}

#[test]
fn each_error_in_a_results_file_has_its_position() {
    let once = |from: &str, to: &str| {
        assert!(RESULTS.contains(from), "{from}");
        RESULTS.replacen(from, to, 1)
    };
    let first = "basic_messaging_non_streaming::anthropic::haiku";
    let second = "basic_messaging_non_streaming::anthropic::opus";
    let tried = [
        ("{".to_owned(), "line 1, column 1: EOF while parsing an object"),
        (
            "[]".to_owned(),
            "line 1, column 1: found a list, expected a JSON object with a `schema_version`",
        ),
        (
            once(r#""schema_version": "1""#, r#""schema_version": "2""#),
            r#"`schema_version` is `"2"`, and"#,
        ),
        (
            once(r#""schema_version": "1""#, r#""schema_version": 1"#),
            "`schema_version` is `1`, and",
        ),
        (
            once(r#""schema_version": "1","#, ""),
            "`schema_version` is absent, and",
        ),
        (
            once(r#""trials": 90"#, r#""trials": "90""#),
            "line 13, column 18: invalid type: string \"90\", expected usize",
        ),
        (
            once(r#""trials": 90,"#, r#""trials": 90, "shard": 1,"#),
            "unknown field `shard`, expected one of `name`, `behind`",
        ),
        (
            once(r#""trials": 90"#, r#""trials": 89"#),
            "run.selected: 90 trials of 89 selected",
        ),
        (
            once(r#""selected": 90"#, r#""selected": 60"#),
            "line 14, column 17: run.selected: 90 results of 60 selected trials",
        ),
        (
            once("2026-11-21T09:00:00Z", "2026-11-21 09:00"),
            "`2026-11-21 09:00` is not a UTC time such as",
        ),
        (
            once("2026-11-21T09:00:00Z", "2026-11-21T09:00:00+01:00"),
            "is not a UTC time such as",
        ),
        (
            once(r#""status": "pass""#, r#""status": "weird""#),
            "unknown status `weird`, expected one of `pass`",
        ),
        (
            once(r#""status": "pass""#, r#""status": "fail""#),
            "`fail` has an `error`, not empty",
        ),
        (
            once(r#""status": "pass""#, r#""status": "pass", "error": "x""#),
            "`pass` has no other keys",
        ),
        (
            once(r#""status": "pass""#, r#""status": "not_tested""#),
            "a trial is never `not_tested`",
        ),
        (
            once(r#""status": "pass""#, r#""status": "fail", "error": "x""#),
            "results[0].cause: a trial that is broken or unfaithful has a `cause`",
        ),
        (
            once(second, first),
            "results[1].tier: `opus` is not the `haiku` of the nodeid",
        ),
        (
            once(r#""provider": "azure""#, r#""provider": "azores""#),
            "results[3].provider: `azores`",
        ),
    ];
    for (text, expected) in tried {
        let error = Results::parse(&text).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\n  not\n{expected}");
    }
}

#[test]
fn a_duplicate_trial_is_named() {
    let twice = vec![trial("a::b::c", Outcome::Pass), trial("a::b::c", Outcome::Pass)];
    let text = Results::new(run(2), twice).to_text();
    let error = Results::parse(&text).unwrap_err().to_string();
    let line = text.lines().position(|line| line.contains("a::b::c")).unwrap();
    let second = text
        .lines()
        .skip(line + 1)
        .position(|line| line.contains("a::b::c"))
        .unwrap()
        + line
        + 2;
    assert_eq!(
        error,
        format!("line {second}, column 17: results[1].nodeid: `a::b::c` is there twice")
    );
}

#[test]
fn junit_distinguishes_failures_errors_and_flaky_passes() {
    let xml = junit::to_xml(&results());
    assert_eq!(xml.matches("<failure").count(), 2, "{xml}");
    assert_eq!(xml.matches("<error").count(), 1);
    assert_eq!(xml.matches("<flakyError").count(), 1);
    assert_eq!(xml.matches("<skipped").count(), 3);
    assert!(!xml.contains(['\u{1b}', '\u{0}']));
    insta::assert_snapshot!(xml);
}

#[test]
fn junit_skips_a_trial_that_is_broken_only_as_known() {
    let mut known = trial(
        "a::b::known",
        Outcome::Fail(failure(Cause::Gateway, "no colours")),
    );
    known.findings = vec![finding(Level::Feature, FindingStatus::Known)];
    let unfaithful = trial(
        "a::b::unfaithful",
        Outcome::Unfaithful(failure(Cause::Gateway, "no beta")),
    );
    let new = trial("a::b::new", Outcome::Fail(failure(Cause::Gateway, "no image")));
    assert!(new.fails_run() && !known.fails_run() && !unfaithful.fails_run());
    let results = Results::new(run(3), vec![known, unfaithful, new]);
    // The same finding of the same column is one finding, known and new apart.
    let found: Vec<_> = results
        .findings
        .iter()
        .map(|finding| (finding.level, finding.status, finding.tiers.len()))
        .collect();
    assert_eq!(
        found,
        [
            (Level::Feature, FindingStatus::New, 1),
            (Level::Feature, FindingStatus::Known, 2)
        ]
    );
    let xml = junit::to_xml(&results);
    assert_eq!(xml.matches("<failure").count(), 1, "{xml}");
    assert_eq!(xml.matches("<skipped").count(), 1, "{xml}");
    assert_has(
        &xml,
        "The model sees no colours. It is known as colours (https://example.org/issues/1): the gateway forgets colours",
    );
    assert_has(&xml, r#"<property name="verdict" value="unfaithful"/>"#);
    assert_has(
        &xml,
        "contract: request beta colours-2026-01-01 dropped: The model sees no colours. Status: known as colours (https",
    );
    assert_eq!(Results::parse(&results.to_text()).unwrap(), results);
}

#[test]
fn junit_names_the_gateway_and_its_version() {
    let xml = junit::to_xml(&results());
    for property in [
        r#"name="gateway" value="litellm""#,
        r#"name="gateway_version" value="1.106.0""#,
    ] {
        assert_has(&xml, property);
    }
    let mut unknown = results();
    unknown.run.gateway.name = None;
    assert_has(&junit::to_xml(&unknown), r#"name="gateway" value="unknown""#);
}

/// The results of the trials `a::b::haiku` and `c::b::haiku`, on version 1.2.3. A trial in `shows` has the known finding.
fn colours(names: &[&str], shows: &[&str]) -> Results {
    let records = names.iter().map(|name| {
        let mut record = trial(name, Outcome::Pass);
        record.expectations.clear();
        if shows.contains(name) {
            record.findings = vec![finding(Level::Contract, FindingStatus::Known)];
        }
        record
    });
    let records: Vec<_> = records.collect();
    let mut results = Results::new(run(records.len()), records);
    results.run.trials = 2;
    results.run.gateway.version = Some("1.2.3".into());
    results
}

/// The errors about known findings that no longer show in `results`.
fn stale_in(results: &Results, subject: &str) -> Vec<String> {
    let (providers, tiers) = ([ProviderId::new("b")], [TierId::new("haiku")]);
    let known = known_finding_of(subject, &providers, &tiers);
    let applicable: Vec<TrialName> = ["a::b::haiku", "c::b::haiku"]
        .map(|name| name.parse().unwrap())
        .to_vec();
    let stale = stale(results, &known, &applicable);
    stale.iter().map(ToString::to_string).collect()
}

#[test]
fn a_known_finding_is_stale_if_no_trial_of_its_column_shows_it() {
    let (both, beta) = (
        ["a::b::haiku", "c::b::haiku"],
        "request beta colours-2026-01-01 dropped",
    );
    assert_eq!(
        stale_in(&colours(&both, &[]), beta),
        [
            "gateways/example.yaml:3:3: the known finding `forgotten` no longer shows on b (haiku): narrow its `versions`, \
             `providers` or `tiers`"
        ]
    );
    assert!(
        stale_in(&colours(&both, &both[..1]), beta).is_empty(),
        "one trial shows it"
    );
    assert!(
        stale_in(&colours(&both[..1], &[]), beta).is_empty(),
        "the run did not select the other trial"
    );
    let change = |change: &dyn Fn(&mut Results)| {
        let mut results = colours(&both, &[]);
        change(&mut results);
        stale_in(&results, beta)
    };
    assert!(
        change(&|results| results.run.gateway.version = Some("1.3.0".into())).is_empty(),
        "another version"
    );
    assert!(
        change(&|results| results.run.gateway.version = None).is_empty(),
        "an unknown version"
    );
    assert!(
        change(&|results| results.results[1].verdict = None).is_empty(),
        "a trial was not judged"
    );
    let ended_early = |status: FindingStatus| {
        change(&|results| {
            let trial = &mut results.results[1];
            trial.expectations = vec![CheckResult {
                name: RUN.into(),
                verdict: Verdict::Broken,
                level: Level::Feature,
                clause: None,
            }];
            let mut failure = finding(Level::Feature, status);
            failure.expectation = RUN.into();
            failure.subject = "expectation run".parse().unwrap();
            trial.findings = vec![failure];
        })
    };
    assert!(
        ended_early(FindingStatus::New).is_empty(),
        "a new failure ended a trial early"
    );
    assert_eq!(
        ended_early(FindingStatus::Known).len(),
        1,
        "a known failure ends it as ever"
    );
    let reason = "the provider has no such model";
    let without_model = change(&|results| {
        for trial in &mut results.results {
            trial.result = compat_matrix::results::TrialResult::NotApplicable {
                reason: reason.into(),
            };
        }
    });
    assert!(without_model.is_empty(), "a column without the model");
    let live = change(&|results| results.run.behind = Behind::Live);
    assert!(live.is_empty(), "a live run records no change on the wire");
}

#[test]
fn a_subject_that_shows_in_no_column_is_stale() {
    let both = ["a::b::haiku", "c::b::haiku"];
    let subjects = "request beta colours-2026-01-01 dropped', 'request beta other dropped";
    let gone = "gateways/example.yaml:3:3: the known finding `forgotten` no longer shows `request beta other dropped` anywhere: \
                remove it from `shows`, or declare it in a finding of its own, with the versions that show it";
    let mut shown = colours(&both, &both[..1]);
    assert_eq!(stale_in(&shown, subjects), [gone]);
    let whole = stale_in(&colours(&both, &[]), subjects);
    assert_eq!(whole.len(), 1, "{whole:#?}");
    assert!(whole[0].contains("no longer shows on b (haiku)"), "{whole:#?}");
    let unfinished = colours(&both[..1], &both[..1]);
    assert!(stale_in(&unfinished, subjects).is_empty());
    // The other column of the declaration has not run.
    let (providers, tiers) = (["b", "d"].map(ProviderId::new), [TierId::new("haiku")]);
    let mut known = known_finding_of(subjects, &providers, &tiers);
    known.findings[0].providers = providers.to_vec();
    let applicable: Vec<TrialName> = ["a::b::haiku", "c::b::haiku", "a::d::haiku"]
        .map(|name| name.parse().unwrap())
        .to_vec();
    assert!(stale(&shown, &known, &applicable).is_empty());
    assert_eq!(stale(&shown, &known, &applicable[..2]).len(), 1);
    shown.run.behind = Behind::Live;
    assert!(stale_in(&shown, subjects).is_empty());
}

#[test]
fn an_expectation_that_was_not_judged_makes_nothing_stale() {
    let subject = "expectation a::colour";
    let mut results = colours(&["a::b::haiku", "c::b::haiku"], &[]);
    results.run.behind = Behind::Live;
    assert_eq!(stale_in(&results, subject).len(), 1);
    results.results[0].expectations = trial("a::b::haiku", Outcome::Pass).expectations;
    assert!(stale_in(&results, subject).is_empty());
}

#[test]
fn shards_show_together_that_a_known_finding_is_stale() {
    let beta = "request beta colours-2026-01-01 dropped";
    let shards = |shows: &[&str]| {
        ["a::b::haiku", "c::b::haiku"].map(|name| (format!("{name}.json"), colours(&[name], shows)))
    };
    for (_, shard) in shards(&[]) {
        assert!(stale_in(&shard, beta).is_empty());
    }
    assert_eq!(
        stale_in(&merge(shards(&[]).to_vec(), false).unwrap(), beta).len(),
        1
    );
    let shown = merge(shards(&["c::b::haiku"]).to_vec(), false).unwrap();
    assert!(stale_in(&shown, beta).is_empty());
}

fn part(names: &[&str]) -> (String, Results) {
    let records: Vec<_> = names.iter().map(|name| trial(name, Outcome::Pass)).collect();
    let mut run = run(records.len());
    run.trials = 3;
    (format!("{}.json", names[0]), Results::new(run, records))
}

#[test]
fn the_money_of_the_parts_is_added_up() {
    let spent = |spent: &[(&str, f64)]| {
        let mut sum = Spending::default();
        for (provider, usd) in spent {
            sum.add(&ProviderId::new(*provider), *usd);
        }
        Some(sum)
    };
    let mut parts = vec![part(&["a::a::a"]), part(&["b::b::b"]), part(&["c::c::c"])];
    assert_eq!(merge(parts.clone(), false).unwrap().run.spent, None);
    parts[0].1.run.spent = spent(&[("azure", 1.5)]);
    parts[2].1.run.spent = spent(&[("anthropic", 0.25), ("azure", 0.5)]);
    let merged = merge(parts, false).unwrap();
    assert_eq!(merged.run.spent, spent(&[("anthropic", 0.25), ("azure", 2.0)]));
    assert_has(
        &junit::to_xml(&merged),
        "<property name=\"spent_usd\" value=\"2.250000\"/>",
    );
}

#[test]
fn shards_become_one_run() {
    let mut parts = vec![part(&["b::b::b", "a::a::a"]), part(&["c::c::c"])];
    for (part, provider) in parts.iter_mut().zip(["azure", "anthropic"]) {
        let cells = [(ProviderId::new(provider), "It needs a script.".to_owned())].into();
        part.1.run.left_out.insert(FeatureId::new("d"), cells);
    }
    parts[1].1.run.started_at = sample_run::time("2026-11-21T08:57:00Z");
    let merged = merge(parts.clone(), false).unwrap();
    let names: Vec<&TrialName> = merged.results.iter().map(|entry| &entry.nodeid).collect();
    assert_eq!(
        names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["a::a::a", "b::b::b", "c::c::c"]
    );
    assert!(merged.is_whole());
    assert_eq!(merged.run.left_out[&FeatureId::new("d")].len(), 2);
    assert_eq!(merged.run.started_at, parts[1].1.run.started_at);
    assert_eq!(Results::parse(&merged.to_text()).unwrap(), merged);
    parts.reverse();
    assert_eq!(merge(parts, false).unwrap(), merged);
}

#[test]
fn parts_of_different_runs_are_not_merged() {
    let whole = || vec![part(&["a::a::a", "b::b::b"]), part(&["c::c::c"])];
    let error = |parts, partial| merge(parts, partial).unwrap_err().to_string();

    assert!(error(Vec::new(), true).starts_with("nothing to merge"));
    let missing = error(vec![part(&["a::a::a"])], false);
    assert_starts(&missing, "the parts have 1 of 3 trials: give the missing parts");
    assert!(merge(vec![part(&["a::a::a"])], true).is_ok());

    let twice = error(vec![part(&["a::a::a"]), part(&["b::b::b", "a::a::a"])], true);
    assert_eq!(twice, "`a::a::a` is in `a::a::a.json` and in `b::b::b.json`");

    let mut versions = whole();
    versions[1].1.run.claude_code_version = Some("2.1.327".into());
    let versions = error(versions, true);
    assert_has(
        &versions,
        "`claude_code_version` is `2.1.326` in the first and `2.1.327`",
    );

    let mut settings = whole();
    for ((_, part), value) in settings.iter_mut().zip([true, false]) {
        let name = "litellm_settings.drop_params".to_owned();
        part.run.gateway.settings.insert(name, value.into());
    }
    assert_has(
        &error(settings, true),
        "`gateway.settings` is `litellm_settings.drop_params: true` in the first and `litellm_settings.drop_params: false`",
    );

    let mut broken_off = whole();
    broken_off[0].1.run.complete = false;
    let broken_off = error(broken_off, false);
    assert_has(&broken_off, "`a::a::a.json` was interrupted");
}

#[test]
fn a_part_without_attempts_needs_no_versions() {
    let mut parts = vec![part(&["a::a::a", "b::b::b"]), part(&["c::c::c"])];
    let (_, idle) = &mut parts[1];
    idle.results = Results::new(
        run(1),
        vec![trial("c::c::c", Outcome::NotApplicable("not there".into()))],
    )
    .results;
    idle.run.claude_code_version = None;
    idle.run.gateway.version = None;
    parts.reverse();
    let merged = merge(parts, false).unwrap();
    assert_eq!(merged.run.claude_code_version.as_deref(), Some("2.1.326"));
}

#[test]
fn a_rerun_takes_what_works_with_a_new_finding() {
    let lost = || Outcome::Unfaithful(failure(Cause::Gateway, "no beta"));
    let known = trial("a::b::known", lost());
    let mut new = trial("a::b::new", lost());
    new.findings = vec![finding(Level::Contract, FindingStatus::New)];
    let names = vec![known.nodeid.clone(), new.nodeid.clone()];
    let results = Results::new(run(2), vec![known, new]);
    let filter = LastFilter {
        failed: Some(None),
        ..LastFilter::default()
    };
    let selected = filter.select(&results, names.clone());
    assert_eq!(selected, names[1..]);
}
