//! The cause and the verdict of a failure that a difference explains.

use compat_matrix::cause;
use compat_matrix::evidence::Evidence;
use compat_matrix::expectation::kinds::{
    CacheCheck, GatewayRequestCheck, RequestCheck, StreamCheck, TextCheck, UnchangedCheck,
};
use compat_matrix::expectation::{Check, Turn};
use compat_matrix::findings::FindingStatus;
use compat_matrix::outcome::{Cause, Failure, Verdict};
use compat_matrix::report::failure_in_short;
use compat_matrix::wire::exchange::{Body, HARNESS_AGENT, Matched, SentEvent};
use compat_matrix::wire::{Direction, Operation, Route};
use serde_json::json;

use super::{Wire, remove};
use crate::support::evidence::{
    Builder, equals, expectation, judge, judge_known, nothing, query, refused, test, text_message,
};
use crate::support::text::{assert_has, assert_starts};

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
    let rule = || Matched::Rejected {
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
    let wire = || {
        Wire::one().arrives(|body| {
            body["max_tokens"] = json!(1);
            body["model"] = json!("claude-other");
        })
    };
    let answered = || nothing().answered(text_message("a b c")).ended("a b c");
    another_model_heads(wire(), answered(), "model");
    let mut refusal = wire();
    let rule = "thinking_type".to_owned();
    let no = refused(400, Matched::Rejected { rule });
    (refusal.exchanges[0].matched, refusal.exchanges[0].reply) = (no.matched, no.reply);
    another_model_heads(refusal, nothing().ended_with_error(Some(400), "no"), "run");
    let mut wire = wire();
    let Wire {
        mut sent,
        mut exchanges,
    } = gone_astray();
    sent[0].operation = Operation::CountTokens;
    sent[0].number += 1;
    exchanges[0].number += 1;
    wire.sent.append(&mut sent);
    wire.exchanges.append(&mut exchanges);
    // The token count went to a path that the provider does not have.
    another_model_heads(wire, answered(), "model");
}

#[test]
fn a_refusal_before_the_simulator_comes_before_another_model() {
    let mut wire = Wire::one();
    wire.exchanges.clear();
    let words = "API error (attempt 1/3): 403 403 You invoked an unsupported model.";
    let failure = failure_with_model(wire, nothing().logged(words).ended("a b c"));
    assert_eq!(failure.cause, Cause::Config, "{}", failure.why);
}

fn another_model_heads(wire: Wire, evidence: Evidence, first: &str) {
    let failure = failure_with_model(wire, evidence);
    assert_eq!(failure.mismatches[0].expectation, first);
    assert_eq!((failure.cause, failure.headline), (Cause::Gateway, None));
    assert_eq!(
        failure.why,
        "the gateway asked the provider for another model than claude had asked for"
    );
}

/// The failure of a test that expects a field and the model.
fn failure_with_model(wire: Wire, evidence: Evidence) -> Failure {
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..evidence
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
    cause::failure_of_trial(&evidence, &judgement)
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
        Some("request 1: the body that arrived is no JSON; `content-encoding` is gzip")
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

/// The report's first line, cause and rule, of a trial that should answer `a b c` without a change of its reply.
fn report_of(wire: Wire, evidence: Evidence) -> (String, String, &'static str) {
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..evidence
    };
    let mut test = test(Check::Text(TextCheck(equals("a b c"))));
    let unchanged = Check::Unchanged(UnchangedCheck(Direction::Reply));
    test.expectations.push(expectation("reply_unchanged", unchanged));
    let judgement = judge(&test, &evidence);
    let failure = cause::failure_of_trial(&evidence, &judgement);
    let text = failure_in_short(&failure);
    let first = text.lines().next().unwrap_or_default().to_owned();
    let rule = cause::of_trial(&evidence, &judgement).rule;
    (
        first,
        format!("{}: {}", failure.cause.as_str(), failure.why),
        rule,
    )
}

fn gone_astray() -> Wire {
    let mut wire = Wire::one();
    let exchange = &mut wire.exchanges[0];
    (exchange.operation, exchange.turn, exchange.route) = (Operation::Unknown, None, None);
    exchange.request.path = "/chat/completions".into();
    exchange.reply.status = 404;
    wire.sent[0].reply.as_mut().unwrap().status = 404;
    wire
}

#[test]
fn a_path_that_no_provider_has_is_the_gateways_own() {
    let failed = || {
        let words = r#"404 {"type":"error","error":{"type":"not_found_error","message":"Not Found"}}"#;
        nothing()
            .logged(&format!("API error (attempt 1/3): 404 {words}"))
            .ended_with_error(Some(404), words)
    };
    let (first, cause, rule) = report_of(gone_astray(), failed());
    let change = r#"request 1: the request went to a path that the provider does not have: "/v1/messages" → "/chat/completions""#;
    assert_has(&first, change);
    assert_eq!(rule, "asked_elsewhere");
    assert_eq!(
        cause,
        "gateway: the gateway sent the request to a path that the provider does not have: POST /chat/completions"
    );
    // The base of an attached gateway may be wrong.
    let attached = Evidence {
        attached: true,
        ..failed()
    };
    let (_, cause, _) = report_of(gone_astray(), attached);
    assert_starts(&cause, "config");
}

#[test]
fn an_error_within_a_stream_is_the_providers_own() {
    let broken = |words: &str| {
        let mut wire = Wire::one();
        let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "overloaded by herons"}});
        let given = &mut wire.exchanges[0].reply;
        given.message = None;
        given.events.truncate(4);
        given.events.push(SentEvent {
            at_ms: 30,
            data: error,
        });
        wire.sent[0].reply.as_mut().unwrap().events = given.events.clone();
        let evidence = nothing()
            .logged(&format!("API error (attempt 1/3): 529 {words}"))
            .ended("x");
        report_of(wire, evidence).2
    };
    assert_ne!(broken("529 overloaded by herons"), "refused_once");
    assert_eq!(broken("529 no capacity"), "refused_once");
}

/// A request that the provider refuses because of its beta, and then the request without it.
fn refused_then_answered() -> Wire {
    let turns = [
        (super::body(), json!([{"type": "text", "text": "a"}])),
        (super::body(), json!([{"type": "text", "text": "a b c"}])),
    ];
    let mut wire = Wire::of(&turns);
    for exchange in &mut wire.exchanges {
        exchange.route = Some(Route::BedrockInvoke);
    }
    let exchange = &mut wire.exchanges[0];
    exchange.matched = Matched::Rejected {
        rule: "known_betas".into(),
    };
    exchange.message.as_mut().unwrap().betas =
        vec!["effort-2025-11-24".into(), "a-new-one-2026-01-01".into()];
    (exchange.reply.status, exchange.reply.message) = (400, None);
    exchange.reply.events = vec![SentEvent {
        at_ms: 20,
        data: json!({"message": "invalid beta flag"}),
    }];
    let reply = wire.sent[0].reply.as_mut().unwrap();
    (reply.status, reply.stream) = (400, false);
    reply.events = vec![SentEvent {
        at_ms: 20,
        data: json!({"message": "rejected"}),
    }];
    wire
}

#[test]
fn a_refusal_heads_the_report_with_the_beta_at_fault() {
    let answered = || nothing().answered(text_message("a b c")).ended("a b c");
    let (first, _, rule) = report_of(refused_then_answered(), answered());
    let refusal =
        "request 1 as the gateway sent it, with the beta `a-new-one-2026-01-01` (`known_betas`, HTTP 400)";
    assert_starts(
        &first,
        "the provider refused a request by its rule `known_betas`: ",
    );
    assert_has(&first, refusal);
    assert_eq!(rule, "rejected_request");
    // Claude Code did without the beta, so the refusal explains no later reply.
    let lost = refused_then_answered().comes_back(|events| {
        events[3].data["delta"]["text"] = json!("x");
        events.drain(4..6);
    });
    let (first, _, rule) = report_of(lost, nothing().answered(text_message("x")).ended("x"));
    assert_has(&first, "reply 1: block ");
    assert_eq!(rule, "changed_on_the_way_back");
}

#[test]
fn a_lost_answer_comes_before_an_error_in_other_words() {
    let turns = [
        (super::body(), json!([])),
        (super::body(), json!([{"type": "text", "text": "a b c"}])),
    ];
    let mut wire = Wire::of(&turns);
    let exchange = &mut wire.exchanges[0];
    (exchange.reply.status, exchange.reply.message) = (400, None);
    exchange.reply.events = vec![SentEvent {
        at_ms: 20,
        data: json!({"type": "error", "error": {"type": "invalid_request_error", "message": "no herons"}}),
    }];
    let reply = wire.sent[0].reply.as_mut().unwrap();
    (reply.status, reply.stream) = (400, false);
    reply.events = vec![SentEvent {
        at_ms: 20,
        data: json!({"error": {"message": "no herons"}}),
    }];
    let lost = wire.sent[1].reply.as_mut().unwrap();
    (lost.status, lost.events) = (500, Vec::new());
    let (first, ..) = report_of(wire, nothing().ended("x"));
    assert_has(&first, "reply 2: the status changed: 200 → 500");
}

/// The headline of a trial in which nothing may change.
fn headline_of(wire: Wire) -> String {
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..nothing().answered(text_message("a b c")).ended("a b c")
    };
    let unchanged = |direction| Check::Unchanged(UnchangedCheck(direction));
    let mut test = test(unchanged(Direction::Request));
    let reply = expectation("reply", unchanged(Direction::Reply));
    test.expectations.push(reply);
    let failure = cause::failure_of_trial(&evidence, &judge(&test, &evidence));
    failure.headline.unwrap_or_default()
}

#[test]
fn a_changed_reply_explains_only_its_own_blocks_later() {
    let thinking = json!([{"type": "thinking", "thinking": "hm", "signature": "signed"}]);
    let turns = [
        (super::body(), thinking),
        (super::body(), json!([{"type": "text", "text": "a"}])),
    ];
    let without_thinking =
        |wire: Wire| wire.arrives(|body| drop(super::list(body, "/messages/1/content").remove(0)));
    // The gateway itself drops it.
    let headline = headline_of(without_thinking(Wire::of(&turns)));
    assert_starts(&headline, "request 2: ");
    // Claude Code had it without a signature.
    let mut wire = Wire::of(&turns);
    for event in &mut wire.sent[0].reply.as_mut().unwrap().events {
        if event.data["delta"]["type"] == "signature_delta" {
            event.data["delta"]["signature"] = json!("");
        }
    }
    let headline = headline_of(without_thinking(wire));
    assert_starts(&headline, "reply 1: thinking signature ");
    // A usage figure has nothing to do with it.
    let mut wire = Wire::of(&turns);
    let events = &mut wire.sent[0].reply.as_mut().unwrap().events;
    events[0].data["message"]["usage"]["input_tokens"] = json!(1);
    let headline = headline_of(without_thinking(wire));
    assert_starts(&headline, "request 2: ");
}
