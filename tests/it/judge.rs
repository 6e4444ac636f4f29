//! The implied expectations of every trial, and known findings.

use compat_matrix::evidence::{Evidence, Killed};
use compat_matrix::expectation::kinds::{ExitCheck, RequestsCheck, TextCheck};
use compat_matrix::expectation::{Check, IMPLIED, REFUSED, RUN, TRANSCRIPT, UNMATCHED, WORKAROUNDS};
use compat_matrix::findings::{FindingStatus, Level};
use compat_matrix::ids::TierId;
use compat_matrix::outcome::Verdict::{Broken as BROKEN, Held as HELD, NotJudged as NOT_JUDGED};
use compat_matrix::transcript::{Event, Transcript};
use compat_matrix::wire::Operation;
use compat_matrix::wire::exchange::{Matched, ProviderExchange};
use serde_json::json;

use crate::support::evidence::{
    Builder as _, equals, expectation, judge, judge_known, nothing, pong, refused, stream, test, verdict_of,
};

#[test]
fn each_failure_breaks_its_own_implied_expectation() {
    let unmatched = refused(
        400,
        Matched::Unmatched {
            why: "the script has 1 reply".into(),
        },
    );
    let line = |text: &str| Event::Unparsable(text.into());
    let mut torn = pong();
    torn.transcript.events.extend(
        Transcript::from_jsonl(
            &json!({ "at_ms": 1, "event": { "type": "stream_event", "event":
            { "type": "content_block_delta", "index": 0, "delta": {} } } })
            .to_string(),
        )
        .events,
    );
    let around = "API error: sending the request again without betas";
    let rows: [(&str, Evidence, &[&str]); 12] = [
        ("no failure", pong(), &[]),
        (
            "an error at the end",
            nothing().ended_with_error(Some(500), "API Error: 500"),
            &[RUN],
        ),
        ("no answer", nothing(), &[RUN]),
        ("a status", pong().exited(1), &[RUN]),
        ("a timeout", pong().killed(Killed::Deadline), &[RUN]),
        (
            "a permanent error",
            nothing().killed(Killed::PermanentError),
            &[RUN],
        ),
        (
            "a signal",
            Evidence {
                exit: nothing().killed(Killed::Deadline).exit,
                ..nothing()
            },
            &[RUN],
        ),
        (
            "a line that is not JSON",
            pong().printed_at(0, line("oops")),
            &[TRANSCRIPT],
        ),
        ("a torn stream", torn, &[TRANSCRIPT]),
        ("a workaround", pong().logged(around), &[WORKAROUNDS]),
        (
            "a refusal that Claude Code repaired",
            pong().reached(rejected("known_betas")),
            &[REFUSED],
        ),
        (
            "a request without a reply",
            pong().reached(unmatched.clone()),
            &[UNMATCHED],
        ),
    ];
    for (what, evidence, broken) in rows {
        let judgement = judge(
            &test(Check::Requests(RequestsCheck {
                operation: Operation::Unknown,
                count: 0,
            })),
            &evidence,
        );
        for name in IMPLIED {
            let expected = if broken.contains(&name) { BROKEN } else { HELD };
            assert_eq!(
                verdict_of(name, &judgement),
                Some(expected),
                "{what}: `{name}`: {judgement:#?}"
            );
        }
    }
    let live = judge(&test(Check::Text(TextCheck(equals("pong")))), &pong().live());
    assert_eq!(verdict_of(UNMATCHED, &live), None);
}

/// A refusal by a rule of the provider.
fn rejected(rule: &str) -> ProviderExchange {
    refused(400, Matched::Rejected { rule: rule.into() })
}

#[test]
fn a_cell_may_allow_a_refusal_by_name() {
    let mut cell = test(Check::Requests(RequestsCheck {
        operation: Operation::Unknown,
        count: 0,
    }));
    cell.refusals
        .insert("known_betas".into(), "the row is about it".into());
    let one = pong().reached(rejected("known_betas"));
    assert_eq!(verdict_of(REFUSED, &judge(&cell, &one)), Some(HELD));
    let another = one.reached(rejected("fields")).reached(rejected("fields"));
    let judgement = judge(&cell, &another);
    assert_eq!(verdict_of(REFUSED, &judgement), Some(BROKEN));
    let mismatch = judgement
        .mismatches
        .iter()
        .find(|one| one.expectation == REFUSED)
        .unwrap();
    assert_eq!(
        mismatch.summary,
        "the provider refused a request by its rule `fields`"
    );
    assert!(mismatch.actual.contains("2 times"), "{}", mismatch.actual);
    let finding = judgement
        .findings
        .iter()
        .find(|one| one.expectation == REFUSED)
        .unwrap();
    assert_eq!(finding.level, Level::Contract);
}

#[test]
fn an_interrupted_run_is_not_blamed_for_its_open_stream() {
    let open = stream(&["a"], 1)
        .into_iter()
        .take(3)
        .fold(nothing(), |evidence, (at_ms, event)| {
            evidence.printed_at(at_ms, event)
        });
    let judged =
        |evidence: Evidence| verdict_of(TRANSCRIPT, &judge(&test(Check::Exit(ExitCheck(0))), &evidence));
    assert_eq!(judged(open.clone()), Some(BROKEN));
    assert_eq!(judged(open.clone().killed(Killed::Deadline)), Some(HELD));
    assert_eq!(judged(open.ended_with_error(Some(500), "x")), Some(HELD));
}

#[test]
fn two_prompts_need_two_answers() {
    let mut test = test(Check::Text(TextCheck(equals("pong"))));
    test.prompts.push(test.prompts[0].clone());
    let judged = |evidence| verdict_of(RUN, &judge(&test, &evidence));
    assert_eq!(judged(pong()), Some(BROKEN));
    assert_eq!(judged(pong().ended("pong")), Some(HELD));
}

#[test]
fn a_run_that_should_fail_needs_no_answer() {
    let failed = nothing().ended_with_error(Some(403), "API Error: 403");
    let judgement = judge(&test(Check::Exit(ExitCheck(1))), &failed);
    assert_eq!(verdict_of(RUN, &judgement), None);
    assert_eq!(judgement.mismatches, []);
}

#[test]
fn a_known_finding_is_broken_and_known() {
    let mut test = test(Check::Text(TextCheck(equals("ping"))));
    test.expectations
        .push(expectation("other", Check::Text(TextCheck(equals("pang")))));
    let judgement = judge_known(&test, &pong(), "expectation feature::check");
    assert_eq!(verdict_of("check", &judgement), Some(BROKEN));
    let found: Vec<(String, FindingStatus)> = judgement
        .findings
        .iter()
        .map(|finding| (finding.subject.to_string(), finding.status))
        .collect();
    let expected = [
        ("expectation feature::check".to_owned(), FindingStatus::Known),
        ("expectation feature::other".to_owned(), FindingStatus::New),
    ];
    assert_eq!(found, expected);
    // The report begins with the new one.
    let names: Vec<&str> = judgement
        .mismatches
        .iter()
        .map(|one| one.expectation.as_str())
        .collect();
    assert_eq!(names, ["other", "check"]);
    assert_eq!(judgement.findings[0].loses, "The answer is empty.");
}

#[test]
fn a_run_with_an_error_has_no_findings_about_its_consequences() {
    let mut test = test(Check::Text(TextCheck(equals("pong"))));
    let count = RequestsCheck {
        operation: Operation::Messages,
        count: 1,
    };
    test.expectations
        .push(expectation("count", Check::Requests(count)));
    let failed = nothing().ended_with_error(Some(500), "API Error: 500").live();
    let judgement = judge_known(&test, &failed, "expectation feature::run");
    assert_eq!(verdict_of("check", &judgement), Some(BROKEN));
    assert_eq!(verdict_of("count", &judgement), Some(NOT_JUDGED), "in a live run");
    let findings = judgement.findings.iter();
    let subjects: Vec<String> = findings.map(|one| one.subject.to_string()).collect();
    assert_eq!(subjects, ["expectation feature::run"]);
    assert_eq!(judgement.findings[0].status, FindingStatus::Known);
}

#[test]
fn an_expectation_of_other_tiers_is_not_judged() {
    let mut test = test(Check::Text(TextCheck(equals("ping"))));
    test.expectations[0].tiers = Some(vec![TierId::new("opus")]);
    test.expectations
        .push(expectation("other", Check::Text(TextCheck(equals("pong")))));
    let judgement = judge(&test, &pong());
    assert_eq!(verdict_of("check", &judgement), None);
    assert_eq!(verdict_of("other", &judgement), Some(HELD));
}
