//! The cause of a failed trial.

use compat_matrix::cause::{failure_of_trial, of_trial};
use compat_matrix::evidence::{Behind, Evidence, Killed, file};
use compat_matrix::expectation::Check;
use compat_matrix::expectation::kinds::{ExitCheck, TextCheck, UnchangedCheck};
use compat_matrix::files::evidence_files;
use compat_matrix::judge::Evaluation;
use compat_matrix::outcome::Cause;
use compat_matrix::wire::exchange::{Body, GatewayExchange, Matched, ProviderExchange, SentEvent};
use compat_matrix::wire::reply_id;
use compat_matrix::wire::{Direction, Usage};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::evidence::{
    Builder as _, equals, exchange, expectation, gateway_exchange, in_lockstep, judge, nothing, pong, probe,
    refused, request, scripted_error, test, text_exchange, text_message,
};
use crate::support::text::{assert_has, assert_starts};

/// The cause of a trial that should answer `pong`, and its rule.
fn cause_of(evidence: &Evidence) -> (Cause, &'static str) {
    let judgement = judge(&test(Check::Text(TextCheck(equals("pong")))), evidence);
    assert_ne!(judgement.mismatches, [], "nothing failed: {evidence:#?}");
    let diagnosis = of_trial(evidence, &judgement);
    assert!(
        !diagnosis.why.is_empty() && !diagnosis.next.is_empty(),
        "{diagnosis:?}"
    );
    hints_have_content(evidence, &judgement);
    (diagnosis.cause, diagnosis.rule)
}

/// Each file that the report names exists, and each line in it.
#[track_caller]
fn hints_have_content(evidence: &Evidence, judgement: &Evaluation) {
    let folder = TempDir::new().unwrap();
    evidence_files::write(evidence, judgement.whole_diff.as_ref(), folder.path()).unwrap();
    let text = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap_or_default();
    let failure = failure_of_trial(evidence, judgement);
    let next = failure.next.expect("an advice");
    for file in file::ALL {
        let is_named = next.contains(&format!("`{file}`"));
        assert!(!is_named || !text(file).is_empty(), "{next}: no `{file}`");
    }
    for hint in failure.mismatches.iter().filter_map(|one| one.evidence.as_ref()) {
        assert!(
            (1..=text(&hint.file).lines().count()).contains(&hint.line),
            "{hint:?}"
        );
    }
}

fn api_error(status: u16, words: &str) -> String {
    format!("API error (attempt 1/3): {status} {status} {words}")
}

fn failed(evidence: Evidence, status: u16, words: &str) -> Evidence {
    evidence
        .logged(&api_error(status, words))
        .ended_with_error(Some(status), &format!("API Error: {status} {words}"))
}

fn rejected() -> ProviderExchange {
    let rule = "unknown_beta".into();
    refused(400, Matched::Rejected { rule })
}

#[test]
fn the_cause_of_a_simulated_failure_follows_from_both_sides() {
    let unmatched = || {
        let why = "the script has 1 reply".into();
        refused(400, Matched::Unmatched { why })
    };
    let mut cut_off = text_exchange();
    cut_off.reply.cut_off = true;
    let server_error = r#"{"error":{"message":"Internal Server Error","code":"500"}}"#;
    let no_model = r#"{"error":{"message":"litellm.BadRequestError: Invalid model name passed in model=x. Call `/v1/models` to view available models for your key.","code":"400"}}"#;
    let rows: Vec<(&str, Evidence, (Cause, &str))> = vec![
        (
            "the request never arrived: the gateway's own error",
            failed(nothing(), 500, server_error),
            (Cause::Gateway, "never_forwarded"),
        ),
        (
            "only a probe arrived",
            failed(nothing().reached(probe()), 500, server_error),
            (Cause::Gateway, "never_forwarded"),
        ),
        (
            "no request arrived and no reply",
            nothing().killed(Killed::Deadline),
            (Cause::Gateway, "never_answered"),
        ),
        (
            "the request never arrived: an error, then the deadline",
            nothing()
                .retried(Some(500), "server_error")
                .killed(Killed::Deadline),
            (Cause::Gateway, "never_forwarded"),
        ),
        ("no request", nothing().exited(2), (Cause::Cli, "never_asked")),
        (
            "the provider answered 200 and the CLI saw 500",
            failed(nothing().reached(text_exchange()), 500, server_error),
            (Cause::Gateway, "answer_lost"),
        ),
        (
            "the provider answered 200 and the CLI saw 500 until the deadline",
            nothing()
                .reached(text_exchange())
                .retried(Some(500), "server_error")
                .killed(Killed::Deadline),
            (Cause::Gateway, "answer_lost"),
        ),
        (
            "the provider answered 403 and the gateway 500",
            failed(nothing().reached(scripted_error(403)), 500, server_error),
            (Cause::Gateway, "status_changed"),
        ),
        (
            "the gateway's request was refused",
            failed(nothing().reached(rejected()), 400, "{}"),
            (Cause::Gateway, "rejected_request"),
        ),
        (
            "the gateway's request was refused with another status",
            failed(nothing().reached(rejected()), 500, "{}"),
            (Cause::Gateway, "rejected_request"),
        ),
        (
            "more requests than replies",
            failed(nothing().reached(text_exchange()).reached(unmatched()), 400, "{}"),
            (Cause::Assertion, "more_requests_than_replies"),
        ),
        (
            "the answer never came",
            nothing().reached(text_exchange()).killed(Killed::Deadline),
            (Cause::Gateway, "answer_never_came"),
        ),
        (
            "the answer never came after an error that was overcome",
            nothing()
                .reached(scripted_error(529))
                .retried(Some(529), "overloaded")
                .reached(text_exchange())
                .killed(Killed::Deadline),
            (Cause::Gateway, "answer_never_came"),
        ),
        (
            "the connection broke",
            nothing()
                .reached(text_exchange())
                .logged("API error (attempt 1/3): undefined Connection error.")
                .ended_with_error(None, "API Error: Connection error."),
            (Cause::Gateway, "answer_broken_off"),
        ),
        (
            "the gateway closed the connection",
            nothing().reached(cut_off).exited(1),
            (Cause::Gateway, "answer_broken_off"),
        ),
        (
            "no other cause",
            nothing().reached(text_exchange()).exited(1),
            (Cause::Cli, "ended_without_a_word"),
        ),
        (
            "Claude Code's own limit",
            nothing()
                .reached(text_exchange())
                .ended_with_error(None, "Reached maximum number of turns (1)"),
            (Cause::Cli, "ended_without_a_word"),
        ),
    ];
    for (what, evidence, expected) in rows {
        assert_eq!(cause_of(&evidence), expected, "{what}");
    }
    let (cause, _) = cause_of(&failed(nothing(), 400, no_model));
    assert_eq!(cause, Cause::Config, "the gateway has no such alias");
}

#[test]
fn the_answer_of_another_trial_is_the_gateway_s_fault() {
    let id = |random: &str| format!("msg_01{}", reply_id::digits(random.parse().unwrap()));
    let (own, other) = (
        id("5f0c6a2e-3c1d-4b5e-9a57-0d8f4f1c2b3a"),
        id("6f0c6a2e-3c1d-4b5e-9a57-0d8f4f1c2b3a"),
    );
    let with_reply = |id: &str, request_id: &str| {
        let mut exchange = text_exchange();
        exchange.reply.message.as_mut().unwrap()["id"] = json!(own);
        let mut sent = gateway_exchange(&exchange, "application/json");
        let reply = sent.reply.as_mut().unwrap();
        reply
            .headers
            .push(("llm_provider-request-id".into(), request_id.into()));
        let mut body = text_message("other");
        body["id"] = json!(id);
        reply.stream = false;
        reply.events = vec![SentEvent { at_ms: 0, data: body }];
        let mut evidence = nothing().reached(exchange);
        evidence.sent.push(sent);
        evidence
    };
    let of_gateway = "chatcmpl-1";
    for (id, request_id, is_other) in [
        (other.as_str(), "", true),
        (of_gateway, &other.replace("msg", "req"), true),
        (own.as_str(), &own.replace("msg", "req"), false),
        (of_gateway, "req_1", false),
    ] {
        let (cause, rule) = cause_of(&with_reply(id, request_id));
        assert_eq!(
            rule == "answer_of_another_trial",
            is_other,
            "{id} {request_id}: {rule}"
        );
        assert!(!is_other || cause == Cause::Gateway);
    }
    // A token count has no id but that of its header.
    let mut evidence = with_reply(of_gateway, &other.replace("msg", "req"));
    let header = ("request-id".to_owned(), other.replace("msg", "req"));
    evidence.exchanges[0].reply.headers.push(header);
    assert_ne!(cause_of(&evidence).1, "answer_of_another_trial");
    // The stream broke off, so its id stands in its first event only.
    let mut evidence = with_reply(&own, "");
    evidence.exchanges[0].reply.message = None;
    evidence.exchanges[0].reply.events = vec![SentEvent {
        at_ms: 0,
        data: json!({"type": "message_start", "message": {"id": own}}),
    }];
    let (_, rule) = cause_of(&evidence);
    assert_ne!(rule, "answer_of_another_trial");
    let evidence = with_reply(&other, "");
    let judgement = judge(&test(Check::Text(TextCheck(equals("pong")))), &evidence);
    let failure = failure_of_trial(&evidence, &judgement);
    assert_eq!(
        failure.headline.as_deref(),
        Some("the reply is the answer to another trial")
    );
}

#[test]
fn a_refused_model_and_a_limit_of_the_gateway_are_named() {
    let diagnosis = |evidence: &Evidence| {
        let judgement = judge(&test(Check::Text(TextCheck(equals("pong")))), evidence);
        of_trial(evidence, &judgement)
    };
    let rule = "known_model".to_owned();
    let wrong = failed(
        nothing().reached(refused(404, Matched::Rejected { rule })),
        404,
        "{}",
    );
    let wrong = diagnosis(&wrong);
    assert_eq!((wrong.cause, wrong.rule), (Cause::Gateway, "rejected_model"));
    assert_starts(
        &wrong.why,
        "the gateway asked for the model `claude-haiku-4-5`, which the provider",
    );
    let limited = r#"{"error":{"type":"rate_limit_error","message":"too many requests for this key"}}"#;
    let limited = diagnosis(&failed(nothing(), 429, limited));
    assert_eq!(limited.cause, Cause::RateLimit);
    assert_starts(
        &limited.why,
        "the gateway itself refused, because of too many requests: HTTP 429",
    );
}

#[test]
fn a_limit_in_a_conversation_is_its_own_or_follows_an_error() {
    let cause_after = |first: ProviderExchange, status: u16, error: Value| {
        let mut refused = gateway_exchange(&text_exchange(), "application/json");
        refused.request.at_ms = 5_000;
        let reply = refused.reply.as_mut().unwrap();
        (reply.status, reply.at_ms) = (status, 5_010);
        reply.events = vec![SentEvent {
            at_ms: 5_010,
            data: error.clone(),
        }];
        let mut evidence = failed(nothing().reached(first.clone()), status, &error.to_string());
        evidence.sent = vec![gateway_exchange(&first, "application/json"), refused];
        let mut test = test(Check::Text(TextCheck(equals("pong"))));
        let unchanged = Check::Unchanged(UnchangedCheck(Direction::Request));
        test.expectations
            .push(expectation("request_unchanged", unchanged));
        of_trial(&evidence, &judge(&test, &evidence)).cause
    };
    let of_kind = |kind: &str, words: &str| json!({"error": {"type": kind, "message": words}});
    let credit = of_kind(
        "budget_exceeded",
        "Budget has been exceeded! Current cost: 2, Max budget: 1",
    );
    assert_eq!(cause_after(text_exchange(), 402, credit), Cause::Account);
    // The gateway does not ask its only deployment for a while, because the provider was overloaded.
    let cooldown = of_kind(
        "None",
        "No deployments available for selected model, Try again in 5 seconds.",
    );
    assert_eq!(cause_after(scripted_error(529), 429, cooldown), Cause::Gateway);
}

#[test]
fn an_unchanged_error_of_the_provider_has_the_cause_upstream() {
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let passed_on = failed(nothing().reached(scripted_error(529)), 529, overloaded);
    assert_eq!(cause_of(&passed_on).0, Cause::Upstream);
    let until_the_end = nothing()
        .reached(scripted_error(529))
        .logged(&api_error(529, overloaded))
        .retried(Some(529), "overloaded")
        .reached(scripted_error(529))
        .killed(Killed::Deadline);
    assert_eq!(cause_of(&until_the_end).0, Cause::Upstream);
}

#[test]
fn the_cause_of_a_live_failure_follows_from_its_message() {
    let error = |kind: &str, words: &str| json!({ "error": { "type": kind, "message": words } }).to_string();
    for (status, words, expected) in [
        (
            401,
            error("authentication_error", "invalid x-api-key"),
            Cause::Auth,
        ),
        (
            429,
            error("rate_limit_error", "This request would exceed your rate limit"),
            Cause::RateLimit,
        ),
        (529, error("overloaded_error", "Overloaded"), Cause::Upstream),
        (
            400,
            error(
                "invalid_request_error",
                "Your credit balance is too low to access the API",
            ),
            Cause::Account,
        ),
    ] {
        let live = failed(nothing(), status, &words).live();
        assert_eq!(cause_of(&live).0, expected, "{words}");
        let late = nothing()
            .logged(&api_error(status, &words))
            .live()
            .killed(Killed::Deadline);
        assert_eq!(cause_of(&late).0, expected, "{words}, then the deadline");
        let timed_out = nothing()
            .logged(&api_error(status, &words))
            .logged("API error (attempt 2/3): undefined Request timed out.")
            .live()
            .killed(Killed::Deadline);
        assert_eq!(cause_of(&timed_out).0, expected, "{words}, then a timeout");
    }
    let refused =
        json!({ "type": "error", "error": { "type": "rate_limit_error", "message": "Too many requests" } });
    let refused_directly = nothing().ended("other").live().direct(429, refused);
    assert_eq!(cause_of(&refused_directly).0, Cause::RateLimit);
    let usage = json!({ "usage": { "input_tokens": 7, "output_tokens": 2 } });
    assert_eq!(nothing().direct(200, usage).direct_usage().input_tokens, 7);
    assert_eq!(
        nothing().direct(500, json!("gone")).direct_usage(),
        Usage::default()
    );
    let only_announced = nothing()
        .retried(Some(529), "overloaded")
        .live()
        .killed(Killed::Deadline);
    assert_eq!(cause_of(&only_announced).0, Cause::Upstream);
    assert_eq!(
        cause_of(&nothing().live().killed(Killed::Deadline)),
        (Cause::Harness, "deadline")
    );
    assert_eq!(
        cause_of(&nothing().live().exited(3)),
        (Cause::Cli, "ended_without_a_word")
    );
}

/// A live error reached Claude Code through a gateway, whether or not its words show it.
#[test]
fn a_live_error_always_counts_as_one_through_a_gateway() {
    use compat_matrix::cause::{ErrorMessage, MessageRoute, diagnose};
    for words in ["Internal server error", "Bad gateway", "{\"type\":\"error\"}"] {
        let live = failed(nothing(), 500, words).live();
        let judgement = judge(&test(Check::Text(TextCheck(equals("pong")))), &live);
        let expected = diagnose(
            &ErrorMessage::new(words)
                .with_route(MessageRoute::Gateway)
                .with_status(Some(500)),
        );
        assert_eq!(of_trial(&live, &judgement), expected);
    }
}

#[test]
fn the_gateway_is_the_cause_only_if_both_sides_prove_it() {
    let wrong = |evidence: Evidence| evidence.answered(text_message("ping")).ended("ping");
    let same = exchange(request("ping"), text_message("ping"));
    let mut held_back = in_lockstep(3, 0);
    held_back.reply.message = same.reply.message.clone();
    let rows: Vec<(&str, Evidence, (Cause, &str))> = vec![
        (
            "no proof",
            wrong(nothing().reached(same.clone())),
            (Cause::Assertion, "promise_not_kept"),
        ),
        (
            "a changed answer",
            wrong(nothing().reached(text_exchange())),
            (Cause::Gateway, "answer_changed"),
        ),
        (
            "a stream held back",
            wrong(nothing().reached(held_back)),
            (Cause::Gateway, "stream_held_back"),
        ),
        (
            "a request refused on the way to the answer",
            wrong(nothing().reached(rejected()).reached(same.clone())),
            (Cause::Gateway, "rejected_request"),
        ),
        (
            "an error that the provider did not send",
            wrong(nothing().retried(Some(500), "server_error").reached(same.clone())),
            (Cause::Gateway, "refused_once"),
        ),
        (
            "an error of the provider",
            wrong(
                nothing()
                    .retried(Some(529), "overloaded")
                    .reached(scripted_error(529))
                    .reached(same.clone()),
            ),
            (Cause::Assertion, "promise_not_kept"),
        ),
        (
            "live",
            wrong(nothing()).live(),
            (Cause::Assertion, "promise_not_kept"),
        ),
        (
            "live, after an error that was overcome",
            wrong(nothing().retried(Some(529), "overloaded")).live(),
            (Cause::Assertion, "promise_not_kept"),
        ),
    ];
    for (what, evidence, expected) in rows {
        assert_eq!(cause_of(&evidence), expected, "{what}");
    }
}

#[test]
fn a_grave_change_comes_before_a_lost_header() {
    let beta = ("anthropic-beta".to_owned(), "new-beta-2026-01-01".to_owned());
    let unchanged = |direction| Check::Unchanged(UnchangedCheck(direction));
    let judged = |change: &dyn Fn(&mut ProviderExchange, &mut GatewayExchange)| {
        let mut arrived = text_exchange();
        arrived.number = 1;
        arrived.reply.events = vec![SentEvent {
            at_ms: 0,
            data: text_message("pong"),
        }];
        let mut sent = gateway_exchange(&arrived, "application/json");
        sent.request.headers.push(beta.clone());
        change(&mut arrived, &mut sent);
        let mut evidence = pong();
        evidence.exchanges[0] = arrived;
        evidence.sent = vec![sent];
        let mut test = test(unchanged(Direction::Request));
        test.expectations
            .push(expectation("reply", unchanged(Direction::Reply)));
        let failure = failure_of_trial(&evidence, &judge(&test, &evidence));
        (failure.headline.unwrap_or_default(), failure.why)
    };
    let (headline, _) = judged(&|_, _| {});
    assert_has(&headline, "beta `new-beta-2026-01-01` dropped");
    let (headline, why) = judged(&|arrived, _| arrived.caller_credential = vec!["body".into()]);
    assert_has(&headline, "credential `the caller's key in the body` added");
    assert_has(
        &why,
        "the gateway sends a credential to a side that must not get it",
    );
    let (headline, _) = judged(&|_, sent| sent.reply.as_mut().unwrap().status = 500);
    assert_has(&headline, "the status changed: 200 → 500");
    // The added beta comes first: the provider refuses it, and the gateway hides the refusal.
    let (headline, _) = judged(&|arrived, sent| {
        let added = sent.request.headers.pop().expect("the beta");
        arrived.request.headers.push(added);
        arrived.reply.status = 400;
        sent.reply.as_mut().unwrap().status = 200;
    });
    assert_has(&headline, "beta `new-beta-2026-01-01` added");
}

#[test]
fn a_lost_stream_flag_comes_before_the_reply_in_another_form() {
    let mut arrived = text_exchange();
    arrived.reply.events = vec![SentEvent {
        at_ms: 0,
        data: text_message("pong"),
    }];
    let mut sent = gateway_exchange(&arrived, "text/event-stream");
    let mut asked = request("ping");
    asked["stream"] = json!(true);
    sent.request.body = Body::Json(asked);
    let reply = sent.reply.as_mut().unwrap();
    (reply.stream, reply.events[0].data) = (true, json!({"type": "ping"}));
    let mut evidence = nothing().reached(arrived);
    evidence.sent = vec![sent];
    let test = test(Check::Unchanged(UnchangedCheck(Direction::Reply)));
    let failure = failure_of_trial(&evidence, &judge(&test, &evidence));
    assert_eq!(
        (failure.cause, failure.headline.as_deref()),
        (Cause::Gateway, Some("request 1: field `stream` dropped: true"))
    );
}

#[test]
fn a_scripted_error_that_the_gateway_changes_has_its_own_cause() {
    let mut test = test(Check::Exit(ExitCheck(1)));
    test.expectations.push(expectation(
        "words",
        Check::Text(TextCheck(equals("something else"))),
    ));
    let cause_of = |evidence: Evidence| {
        let judgement = judge(&test, &evidence);
        of_trial(&evidence, &judgement).rule
    };
    let answered_with = |status| failed(nothing().reached(scripted_error(403)), status, "{}");
    assert_eq!(cause_of(answered_with(403)), "promise_not_kept");
    assert_eq!(cause_of(answered_with(500)), "status_changed");
    assert_eq!(answered_with(500).behind, Behind::Simulated);
}

#[test]
fn a_refusal_shows_its_message_first_and_is_cut() {
    let long = "no such model, ".repeat(40);
    let body = json!({ "type": "error", "request_id": "x".repeat(400), "error": { "message": long } });
    let shown = compat_matrix::expectation::matcher::refusal_shown(&format!("400 {body}"));
    assert_starts(&shown, "no such model, no such");
    assert!(shown.ends_with("… (299 more characters)"), "{shown}");
    assert_eq!(
        compat_matrix::expectation::matcher::refusal_shown(" bad {gateway} \n"),
        "bad {gateway}"
    );
}

/// An earlier refusal by the same rule, for another fault, was overcome.
#[test]
fn the_first_of_the_last_equal_refusals_is_named() {
    let says = |turn: usize, words: &str, exchange: ProviderExchange| {
        let data = json!({"type": "error", "error": {"type": "invalid_request_error", "message": words}});
        let mut exchange = ProviderExchange {
            turn: Some(turn),
            number: turn,
            ..exchange
        };
        exchange.reply.events = vec![SentEvent { at_ms: 1, data }];
        exchange
    };
    let answered = ProviderExchange {
        turn: Some(2),
        number: 2,
        ..text_exchange()
    };
    let evidence = nothing()
        .reached(says(1, "tags: Extra inputs", rejected()))
        .reached(answered)
        .reached(says(3, "user: Extra inputs", rejected()))
        .reached(says(4, "user: Extra inputs", rejected()))
        .exited(1);
    let judgement = judge(&test(Check::Text(TextCheck(equals("pong")))), &evidence);
    let why = of_trial(&evidence, &judgement).why;
    assert_has(&why, "request 3 as the gateway sent it");
    assert_has(&why, "user: Extra inputs");
}
