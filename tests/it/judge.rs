//! The implied expectations of every trial, and known findings.

use compat_matrix::cause::{failure_of_trial, of_trial};
use compat_matrix::document::Place;
use compat_matrix::evidence::{Behind, Evidence, Killed};
use compat_matrix::expectation::kinds::{
    BetaCheck, EventCheck, ExitCheck, ImageArrivedCheck, RequestCheck, RequestsCheck, StopReasonCheck,
    TextCheck,
};
use compat_matrix::expectation::{Check, IMPLIED, REFUSED, RUN, TRANSCRIPT, Turn, UNMATCHED, WORKAROUNDS};
use compat_matrix::findings::{FindingStatus, Level};
use compat_matrix::ids::TierId;
use compat_matrix::judge::Evaluation;
use compat_matrix::outcome::Cause;
use compat_matrix::outcome::Verdict::{Broken as BROKEN, Held as HELD, NotJudged as NOT_JUDGED};
use compat_matrix::report;
use compat_matrix::transcript::{Event, Transcript};
use compat_matrix::wire::Operation;
use compat_matrix::wire::exchange::{Body, Matched, ProviderExchange, SentEvent};
use compat_matrix::wire::script::{Reply, ReplyBlock};
use serde_json::json;

use crate::support::evidence::{
    Builder as _, equals, expectation, gateway_exchange, judge, judge_known, nothing, pong, query, refused,
    scripted_error, stream, test, text_exchange, verdict_of,
};
use crate::support::provider_client::{message, script};
use crate::support::text::{assert_has, assert_starts};

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

#[test]
fn a_stray_count_of_tokens_leaves_the_feature_working() {
    let stray = |operation| ProviderExchange {
        operation,
        keyless: true,
        ..refused(400, Matched::Unmatched { why: "no key".into() })
    };
    let level = |operations: &[Operation]| {
        let strays = operations.iter().copied().map(stray);
        let evidence = strays.fold(pong(), |evidence, exchange| evidence.reached(exchange));
        let judgement = judge(&test(Check::Text(TextCheck(equals("pong")))), &evidence);
        let mut findings = judgement.findings.iter();
        findings
            .find(|finding| finding.expectation == UNMATCHED)
            .unwrap()
            .level
    };
    assert_eq!(level(&[Operation::CountTokens]), Level::Contract);
    assert_eq!(level(&[Operation::Messages]), Level::Feature);
    assert_eq!(
        level(&[Operation::CountTokens, Operation::Messages]),
        Level::Feature
    );
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
    let mut refused = failed;
    refused.behind = Behind::Simulated;
    refused.exchanges.clear();
    let beta = BetaCheck {
        turn: Turn::Every,
        name: "some-beta".into(),
    };
    test.expectations.push(expectation("beta", Check::Beta(beta)));
    let judgement = judge(&test, &refused);
    assert_eq!(verdict_of("beta", &judgement), Some(BROKEN));
    let subjects = judgement.findings.iter().map(|one| one.subject.to_string());
    assert_eq!(subjects.collect::<Vec<_>>(), ["expectation feature::run"]);
}

#[test]
fn a_known_broken_run_does_not_hide_what_a_request_shows() {
    let mut test = test(Check::Text(TextCheck(equals("pong"))));
    let model = Check::Request(RequestCheck {
        turn: Turn::Number(1),
        operation: Operation::Messages,
        route: None,
        stream: None,
        model: Some(equals("another")),
        headers: Vec::new(),
        body: Vec::new(),
    });
    test.expectations.push(expectation("model", model));
    let failed = nothing()
        .reached(text_exchange())
        .ended_with_error(Some(500), "API Error: 500");
    let subjects = |judgement: &Evaluation| -> Vec<String> {
        let findings = judgement.findings.iter();
        findings.map(|one| one.subject.to_string()).collect()
    };
    let unknown = judge(&test, &failed);
    assert_eq!(subjects(&unknown), ["expectation feature::run"]);
    let known = judge_known(&test, &failed, "expectation feature::run");
    assert_eq!(
        subjects(&known),
        ["expectation feature::run", "expectation feature::model"]
    );
    assert_eq!(known.findings[1].status, FindingStatus::New);
    let failure = failure_of_trial(&failed, &known);
    let text = report::findings(&failure, None, report::Paint::Plain);
    assert_starts(&text, "error: the request is for another model\n");
    assert_has(&text, "\nknown: Claude Code ended with an error\n");
    assert_has(&text, "= failed too: check\n");
}

#[test]
fn what_claude_does_not_send_follows_from_a_known_broken_run() {
    let mut test = test(Check::Text(TextCheck(equals("pong"))));
    let count = |count| {
        let operation = Operation::Messages;
        Check::Requests(RequestsCheck { operation, count })
    };
    // Claude Code sends one request, and it reaches the provider twice.
    test.expectations.push(expectation("three", count(3)));
    test.expectations.push(expectation("one", count(1)));
    let mut failed = nothing()
        .reached(text_exchange())
        .reached(text_exchange())
        .ended_with_error(Some(500), "API Error: 500");
    failed.sent = vec![gateway_exchange(&text_exchange(), "application/json")];
    let known = judge_known(&test, &failed, "expectation feature::run");
    let findings = known.findings.iter();
    let subjects: Vec<String> = findings.map(|one| one.subject.to_string()).collect();
    assert_eq!(subjects, ["expectation feature::run", "expectation feature::one"]);
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

#[test]
fn a_tool_that_claude_code_does_not_offer_is_the_cells_fault() {
    let mut test = test(Check::Text(TextCheck(equals("done"))));
    let call = |name: &str| {
        let block = ReplyBlock::ToolUse {
            name: name.into(),
            input: json!({}),
        };
        script([Reply::Message(message(vec![block]))])
    };
    let place = Place {
        file: "cells/tool_use/_shared.yaml".into(),
        line: 7,
        column: 21,
    };
    let mut exchange = text_exchange();
    if let Body::Json(body) = &mut exchange.request.body {
        body["tools"] = json!([{ "name": "Bash", "input_schema": {} }]);
    }
    let mut evidence = nothing().reached(exchange).ended("pong");
    // The token count is the cell's own request.
    let mut counted = evidence.exchanges[0].clone();
    counted.operation = Operation::CountTokens;
    if let Body::Json(body) = &mut counted.request.body {
        body["tools"] = json!([{ "name": "Bsh", "input_schema": {} }]);
    }
    evidence.sent = [&evidence.exchanges[0], &counted]
        .map(|exchange| gateway_exchange(exchange, "application/json"))
        .to_vec();
    for (name, is_offered) in [("Bsh", false), ("Bash", true)] {
        test.script = call(name);
        test.called_tools = vec![(name.into(), place.clone())];
        let judgement = judge(&test, &evidence);
        let diagnosis = of_trial(&evidence, &judgement);
        assert_eq!(diagnosis.cause != Cause::Harness, is_offered, "{diagnosis:?}");
        if !is_offered {
            assert_has(
                &diagnosis.why,
                "the tool `Bsh`, which no request of Claude Code offers",
            );
            assert_has(
                &diagnosis.next,
                "`cells/tool_use/_shared.yaml:7:21` (did you mean `Bash`?); allowed: `Bash`",
            );
        }
    }
}

#[test]
fn repeating_after_a_failure_of_the_provider_is_right() {
    let cell = test(Check::Text(TextCheck(equals("pong"))));
    let judged = |evidence: Evidence| verdict_of(WORKAROUNDS, &judge(&cell, &evidence));
    let stream = "API error: retrying streaming";
    let betas = "API error: sending the request again without betas";
    assert_eq!(judged(pong().logged(stream)), Some(BROKEN));
    assert_eq!(judged(pong().retried(Some(529), "overloaded")), Some(BROKEN));
    let failed = || pong().reached(scripted_error(529));
    assert_eq!(judged(failed().logged(stream)), Some(HELD));
    assert_eq!(judged(failed().retried(Some(529), "overloaded")), Some(HELD));
    // No failure of the provider explains a reduced request.
    assert_eq!(judged(failed().logged(betas)), Some(BROKEN));
    // The provider broke the reply off.
    let mut cut = text_exchange();
    cut.reply.message = None;
    assert_eq!(judged(pong().reached(cut).logged(stream)), Some(HELD));
}

#[test]
fn a_silent_repair_of_the_gateways_refusal_is_a_failure() {
    let cell = test(Check::Text(TextCheck(equals("pong"))));
    let reached_at = |at_ms: u64, status: u16| {
        let mut exchange = text_exchange();
        exchange.request.at_ms = at_ms;
        exchange.reply.status = status;
        let mut good = gateway_exchange(&exchange, "application/json");
        (good.number, good.request.at_ms) = (2, 110);
        let reply = good.reply.as_mut().unwrap();
        (reply.at_ms, reply.status) = (120, 200);
        let mut first = good.clone();
        (first.number, first.request.at_ms) = (1, 100);
        let reply = first.reply.as_mut().unwrap();
        (reply.at_ms, reply.status) = (105, 400);
        let refusal = json!({"error": {"message": "context_management: Extra inputs are not permitted"}});
        reply.events = vec![SentEvent {
            at_ms: 105,
            data: refusal,
        }];
        let mut evidence = pong().reached(exchange);
        evidence.exchanges[0].number = 1;
        evidence.sent = vec![first, good];
        judge(&cell, &evidence)
    };
    let judgement = reached_at(112, 200);
    assert_eq!(verdict_of(WORKAROUNDS, &judgement), Some(BROKEN));
    let deviation = &judgement.mismatches[0];
    assert_has(&deviation.actual, "HTTP 400 from the gateway: context_management");
    // The provider's own refusal is judged by itself.
    assert_eq!(verdict_of(WORKAROUNDS, &reached_at(102, 400)), Some(HELD));
}

#[test]
fn what_a_broken_expectation_costs_fits_its_kind() {
    let request = |operation, turn| RequestCheck {
        turn: Turn::Number(turn),
        operation,
        route: None,
        stream: None,
        model: None,
        headers: Vec::new(),
        body: Vec::new(),
    };
    let message = |turn| request(Operation::Messages, turn);
    let event = |path: &str| {
        Check::Event(EventCheck {
            path: query(path),
            prompt: None,
            first_turn: 1,
            value: equals("nothing"),
        })
    };
    let counted = ProviderExchange {
        operation: Operation::CountTokens,
        ..text_exchange()
    };
    let rows = [
        (Check::Text(TextCheck(equals("pang"))), "does not read the reply"),
        (Check::Exit(ExitCheck(1)), "a wrong exit status"),
        (
            Check::StopReason(StopReasonCheck {
                turn: None,
                value: equals("refusal"),
            }),
            "why the reply ended",
        ),
        (
            Check::Requests(RequestsCheck {
                operation: Operation::Messages,
                count: 4,
            }),
            "A request is lost, or the provider answers",
        ),
        (
            Check::ImageArrived(ImageArrivedCheck {
                turn: Turn::Number(7),
            }),
            "The provider does not get the request.",
        ),
        (
            Check::Request(RequestCheck {
                model: Some(equals("another")),
                headers: vec![("x-app".into(), equals("cli"))],
                ..message(1)
            }),
            "Another model answers",
        ),
        (
            Check::Request(RequestCheck {
                model: Some(equals("another")),
                ..request(Operation::CountTokens, 1)
            }),
            "counted for another model",
        ),
        (
            Check::Request(RequestCheck {
                model: Some(equals("another")),
                ..message(7)
            }),
            "The provider does not get the request.",
        ),
        (
            Check::Request(RequestCheck {
                headers: vec![("x-app".into(), equals("cli"))],
                ..message(1)
            }),
            "A header does not reach the provider",
        ),
        (
            Check::Request(RequestCheck {
                stream: Some(true),
                ..message(1)
            }),
            "asks for a stream",
        ),
        (
            Check::Request(RequestCheck {
                body: vec![(query("$.thinking"), equals("on"))],
                ..message(1)
            }),
            "A part of the request",
        ),
        (
            event("$[?@.type == 'result'].usage.input_tokens"),
            "a wrong count of tokens",
        ),
        (
            event("$[?@.type == 'rate_limit_event'].rate_limit_info"),
            "how much of a limit",
        ),
        (
            event("$[?@.type == 'result'].structured_output.rank"),
            "in the form that it asked for",
        ),
        (
            event("$[?@.type == 'stream_event'].event.type"),
            "Claude Code's output",
        ),
    ];
    for (check, sentence) in rows {
        let what = format!("{check:?}");
        let judgement = judge(&test(check), &pong().reached(counted.clone()));
        let of_check = judgement
            .findings
            .iter()
            .find(|finding| finding.expectation == "check");
        let loses = &of_check.unwrap_or_else(|| panic!("{what} holds")).loses;
        assert_has(loses, sentence);
    }
    let failed = nothing().ended_with_error(Some(500), "API Error: 500");
    let judgement = judge(&test(Check::Text(TextCheck(equals("pong")))), &failed);
    assert_has(&judgement.findings[0].loses, "ends with an error");
}
