//! The cause and the verdict of a failure that a difference explains.

use compat_matrix::cause;
use compat_matrix::evidence::Evidence;
use compat_matrix::expectation::kinds::{
    CacheCheck, GatewayRequestCheck, RequestCheck, StreamCheck, TextCheck, UnchangedCheck,
};
use compat_matrix::expectation::{Check, Turn};
use compat_matrix::findings::FindingStatus;
use compat_matrix::outcome::{Cause, Verdict};
use compat_matrix::wire::exchange::{Body, HARNESS_AGENT, SentEvent};
use compat_matrix::wire::{Direction, Operation};
use serde_json::json;

use super::{Wire, remove};
use crate::support::evidence::{
    Builder, equals, expectation, judge, judge_known, nothing, query, refused, test, text_message,
};
use crate::support::text::assert_starts;

/// The cause that a broken `check` has.
fn cause_of(check: Check, wire: Wire, evidence: Evidence) -> (Cause, &'static str, String) {
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..evidence
    };
    let judgement = judge(&test(check), &evidence);
    assert_ne!(judgement.mismatches, [], "nothing failed");
    let diagnosis = cause::of_trial(&evidence, &judgement);
    (diagnosis.cause, diagnosis.rule, diagnosis.why)
}

fn request_check(field: &str) -> Check {
    Check::Request(RequestCheck {
        turn: Turn::Every,
        operation: Operation::Messages,
        route: None,
        model: None,
        stream: None,
        headers: Vec::new(),
        body: vec![(query(field), equals(100))],
    })
}

#[test]
fn a_stream_that_claude_showed_late_is_the_machines_fault() {
    let incremental = || {
        Check::Stream(StreamCheck {
            incremental: true,
            ..StreamCheck::default()
        })
    };
    let answered = || nothing().answered(text_message("a b c")).ended("a b c");
    let (cause, rule, why) = cause_of(incremental(), Wire::shown_late(150), answered());
    assert_eq!((cause, rule), (Cause::Harness, "stream_shown_late"), "{why}");
    let (cause, _, why) = cause_of(incremental(), Wire::shown_late(10_120), answered());
    assert_eq!(cause, Cause::Gateway, "{why}");
}

#[test]
fn the_cause_follows_from_both_sides_of_the_gateway() {
    let showed = |text: &str| nothing().answered(text_message(text)).ended(text);
    let back = |text: &'static str| {
        move |events: &mut Vec<SentEvent>| {
            events[3].data["delta"]["text"] = json!(text);
            events.drain(4..6);
        }
    };
    let max_tokens = || request_check("$.max_tokens");
    let cache = |breakpoints, read| {
        Check::Cache(CacheCheck {
            turn: Turn::Last,
            breakpoints,
            created_tokens: None,
            read_tokens: read,
        })
    };
    let rows = [
        (
            "sent, and lost",
            max_tokens(),
            Wire::one().arrives(|body| body["max_tokens"] = json!(1)),
            showed("a b c"),
            (Cause::Gateway, "lost_on_the_way"),
        ),
        (
            "never sent",
            request_check("$.top_k"),
            Wire::one(),
            showed("a b c"),
            (Cause::Cli, "never_sent"),
        ),
        (
            "a path that no request can have",
            request_check("$.messages[0].contnt"),
            Wire::one(),
            showed("a b c"),
            (Cause::Harness, "cell_cannot_match"),
        ),
        (
            "never sent, after a reply that was changed",
            request_check("$.top_k"),
            Wire::one().comes_back(back("x")),
            showed("a b c"),
            (Cause::Gateway, "misled_by_a_reply"),
        ),
        (
            "a breakpoint lost",
            cache(Some(2), None),
            Wire::one().arrives(|body| drop(remove(body, "/system/0", "cache_control"))),
            showed("a b c"),
            (Cause::Gateway, "lost_on_the_way"),
        ),
        (
            "nothing read from the cache, and the prompt was changed",
            cache(None, Some(5)),
            Wire::one().arrives(|body| body["system"][0]["text"] = json!("x")),
            showed("a b c"),
            (Cause::Gateway, "lost_on_the_way"),
        ),
        (
            "nothing read from the cache, and nothing was changed",
            cache(None, Some(5)),
            Wire::one(),
            showed("a b c"),
            (Cause::Assertion, "promise_not_kept"),
        ),
        (
            "the answer was changed on the way back",
            Check::Text(TextCheck(equals("a b c"))),
            Wire::one().comes_back(back("x")),
            showed("x"),
            (Cause::Gateway, "changed_on_the_way_back"),
        ),
        (
            "the answer came back right and was shown wrong",
            Check::Text(TextCheck(equals("a b c"))),
            Wire::one(),
            showed("x"),
            (Cause::Cli, "shown_otherwise"),
        ),
        (
            "the answer is what the provider gave, which is not what the cell expects",
            Check::Text(TextCheck(equals("y"))),
            Wire::one(),
            showed("a b c"),
            (Cause::Assertion, "promise_not_kept"),
        ),
    ];
    for (what, check, wire, evidence, expected) in rows {
        let (cause, rule, why) = cause_of(check, wire, evidence);
        assert_eq!((cause, rule), expected, "{what}: {why}");
    }
}

#[test]
fn the_reason_names_the_nearest_difference() {
    let wire = Wire::one().arrives(|body| body["max_tokens"] = json!(1));
    let evidence = nothing().answered(text_message("a b c")).ended("a b c");
    let (_, _, why) = cause_of(request_check("$.max_tokens"), wire, evidence);
    assert_eq!(
        why,
        "sent by claude, absent or changed at the provider: request 1: field `max_tokens` changed: 100 → 1"
    );
}

#[test]
fn a_request_of_the_harness_is_not_sent_by_claude() {
    let mut wire = Wire::one().arrives(|body| body["max_tokens"] = json!(1));
    let agent = ("user-agent".to_owned(), HARNESS_AGENT.to_owned());
    wire.sent[0].request.headers.push(agent);
    let evidence = nothing().answered(text_message("a b c")).ended("a b c");
    let (_, _, why) = cause_of(request_check("$.max_tokens"), wire, evidence);
    assert_starts(&why, "sent by the harness, absent or changed at the provider: ");
}

#[test]
fn a_refused_request_that_did_not_change_has_the_cause_cli() {
    let rule = || compat_matrix::wire::exchange::Matched::Rejected {
        rule: "beta_fields".into(),
    };
    let run = |changed: bool| {
        let mut wire = Wire::one();
        wire.exchanges[0].matched = rule();
        wire.exchanges[0].reply = refused(400, rule()).reply;
        if changed {
            wire = wire.arrives(|body| body["top_k"] = json!(1));
        }
        let evidence = nothing().ended_with_error(Some(400), "API Error: 400 no");
        let (cause, rule, _) = cause_of(Check::Text(TextCheck(equals("a b c"))), wire, evidence);
        (cause, rule)
    };
    assert_eq!(run(true), (Cause::Gateway, "rejected_request"));
    assert_eq!(run(false), (Cause::Cli, "refused_as_sent"));
}

#[test]
fn another_model_comes_before_all_that_follows_from_it() {
    let wire = Wire::one().arrives(|body| {
        body["max_tokens"] = json!(1);
        body["model"] = json!("claude-other");
    });
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..nothing().answered(text_message("a b c")).ended("a b c")
    };
    let mut test = test(request_check("$.max_tokens"));
    let Check::Request(check) = request_check("$.max_tokens") else {
        unreachable!()
    };
    let of_model = RequestCheck {
        model: Some(equals("alias")),
        body: Vec::new(),
        ..check
    };
    test.expectations
        .push(expectation("model", Check::Request(of_model)));
    let judgement = judge(&test, &evidence);
    let failure = cause::failure_of_trial(&evidence, &judgement);
    assert_eq!(failure.mismatches[0].expectation, "model");
    assert_eq!((failure.cause, failure.headline), (Cause::Gateway, None));
    assert_eq!(
        failure.why,
        "the gateway asked the provider for another model than claude had asked for"
    );
}

/// The verdict of `unchanged` on requests, and its findings, when `known` is a known finding.
fn request_unchanged(wire: Wire, known: &str) -> (Verdict, Vec<(String, FindingStatus)>) {
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..nothing().answered(text_message("a b c")).ended("a b c")
    };
    let test = test(Check::Unchanged(UnchangedCheck(Direction::Request)));
    let judgement = judge_known(&test, &evidence, known);
    let findings = judgement.findings.iter();
    let findings = findings.map(|finding| (finding.subject.to_string(), finding.status));
    (judgement.judged.last().unwrap().verdict, findings.collect())
}

#[test]
fn each_change_is_one_finding_known_or_new() {
    let lost = || {
        Wire::one().arrives(|body| {
            drop(body["max_tokens"].take());
            drop(body["thinking"].take());
        })
    };
    let max_tokens = "request field max_tokens dropped";
    let (verdict, findings) = request_unchanged(lost(), max_tokens);
    assert_eq!(verdict, Verdict::Broken);
    let status = |subject: &str| findings.iter().find(|one| one.0 == subject).map(|one| one.1);
    assert_eq!(status(max_tokens), Some(FindingStatus::Known), "{findings:?}");
    assert_eq!(
        request_unchanged(lost(), "request beta x dropped").1[0],
        (max_tokens.to_owned(), FindingStatus::New)
    );
    assert_eq!(
        request_unchanged(Wire::one(), max_tokens),
        (Verdict::Held, vec![])
    );
}

#[test]
fn a_wrong_list_of_models_is_the_gateways_answer() {
    let mut wire = Wire::one();
    let mut listed = wire.sent[0].clone();
    listed.operation = Operation::Unknown;
    listed.turn = None;
    listed.request.method = "GET".into();
    listed.request.path = "/v1/models".into();
    wire.sent.push(listed);
    let check = |path: &str| {
        Check::GatewayRequest(GatewayRequestCheck {
            method: "GET".into(),
            path: path.into(),
            status: equals(404),
            body: Vec::new(),
            names_model: None,
        })
    };
    let evidence = || nothing().answered(text_message("a b c")).ended("a b c");
    let (cause, rule, why) = cause_of(check("/v1/models"), wire, evidence());
    assert_eq!((cause, rule), (Cause::Gateway, "answered_otherwise"));
    assert_eq!(
        why,
        "claude asked the gateway itself, and the gateway's answer is not the expected one"
    );
    // Claude Code never asked.
    let (cause, rule, _) = cause_of(check("/v1/models"), Wire::one(), evidence());
    assert_ne!((cause, rule), (Cause::Gateway, "answered_otherwise"));
}

#[test]
fn a_body_that_nobody_can_read_heads_the_report() {
    let mut wire = Wire::one();
    let request = &mut wire.exchanges[0].request;
    request.body = Body::Text("\u{1f}".into());
    request.headers.push(("content-encoding".into(), "gzip".into()));
    wire.exchanges[0].message = None;
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..nothing().ended_with_error(Some(400), "API Error: 400 no")
    };
    let mut test = test(request_check("$.max_tokens"));
    let model = Check::Request(RequestCheck {
        turn: Turn::Every,
        operation: Operation::Messages,
        route: None,
        model: Some(equals("alias")),
        stream: None,
        headers: Vec::new(),
        body: Vec::new(),
    });
    test.expectations.push(expectation("model", model));
    let judgement = judge(&test, &evidence);
    let failure = cause::failure_of_trial(&evidence, &judgement);
    assert_eq!(
        failure.headline.as_deref(),
        Some("request 1: field `body` changed: \"JSON\" → \"no JSON; `content-encoding` is gzip\"")
    );
}

#[test]
fn a_swallowed_token_count_asked_for_no_other_model() {
    for (operation, rule) in [
        (Operation::CountTokens, "lost_on_the_way"),
        (Operation::Messages, "other_model"),
    ] {
        let mut wire = Wire::one();
        let mut count = wire.sent[0].clone();
        count.operation = Operation::CountTokens;
        wire.sent.push(count);
        if operation == Operation::Messages {
            wire = wire.arrives(|body| body["model"] = json!("other"));
        }
        let of_model = Check::Request(RequestCheck {
            turn: Turn::Number(1),
            operation,
            route: None,
            model: Some(equals("alias")),
            stream: None,
            headers: Vec::new(),
            body: Vec::new(),
        });
        let (cause, found, why) = cause_of(
            of_model,
            wire,
            nothing().answered(text_message("a b c")).ended("a b c"),
        );
        assert_eq!((cause, found), (Cause::Gateway, rule), "{why}");
    }
}
