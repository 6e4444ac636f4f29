//! Live trials: what is judged, which attempts are repeated, and what their waits count for.

use std::time::{Duration, Instant};

use compat_matrix::evidence::Behind;
use compat_matrix::expectation::Check;
use compat_matrix::expectation::kinds::ExitCheck;
use compat_matrix::outcome::{Cause, Verdict};
use compat_matrix::provider::{self, Simulator};
use compat_matrix::results::TrialResult;
use compat_matrix::session::Session;
use serde_json::json;

use super::{Finished, attached, session, text_test};
use crate::support::claude::sse;
use crate::support::loopback::{self, Server};
use crate::support::provider_client::{script, text};
use crate::support::text::assert_has;

/// A live session, as far as its environment tells, on a simulator with these replies.
async fn live_session(unscripted: provider::Unscripted) -> (Simulator, Session) {
    let options = provider::SimulatorOptions {
        unscripted,
        ..provider::SimulatorOptions::default()
    };
    let simulator = Simulator::start(options).await.expect("the simulator starts");
    let key = simulator.credentials().anthropic_api_key.clone();
    let variables = attached(simulator.base_url(), &key, None);
    (simulator, session(variables).await.expect("a session"))
}

#[tokio::test]
async fn a_live_run_judges_only_the_side_of_claude() {
    let (_simulator, session) = live_session(provider::Unscripted::Reply(provider::standalone_reply())).await;
    assert_eq!(session.behind(), Behind::Live);
    let mut test = text_test();
    test.expectations[0].check = Check::Exit(ExitCheck(0));
    let finished = Finished::of(&test, session).await;
    finished.passes();
    assert_eq!(finished.verdict("check"), Some(Verdict::Held));
    assert_eq!(finished.verdict("requests"), Some(Verdict::NotJudged));
    assert_eq!(finished.verdict("prompt"), Some(Verdict::NotJudged));
    assert_eq!(finished.verdict("unmatched_requests"), None);
}

#[tokio::test]
async fn a_transient_error_is_retried_in_a_live_run() {
    let gateway = Server::start(|_, _| {
        let error = json!({ "type": "overloaded_error", "message": "Overloaded" });
        let body = json!({ "type": "error", "error": error });
        let response = axum::http::Response::builder().status(529);
        loopback::ready(response.body(body.to_string().into()).unwrap())
    })
    .await;
    let session = session(attached(&gateway.address, "any key", None))
        .await
        .expect("a session");
    let finished = Finished::of(&text_test(), session).await;
    assert_eq!(
        finished.failure().cause,
        Cause::Upstream,
        "{:#?}",
        finished.record
    );
    assert_eq!(finished.record.attempts.len(), 4);
    assert!(
        finished
            .record
            .evidence
            .as_ref()
            .is_some_and(|folder| folder.ends_with("attempt-4"))
    );
    assert!(!finished.evidence("transcript.jsonl").is_empty());
}

/// A session with a provider that answers the first `limits` requests with 429 and `retry-after: wait`.
async fn limited(limits: usize, wait: &'static str) -> (Server, Session) {
    let gateway = Server::start(move |asked, _| {
        let error = json!({ "type": "rate_limit_error", "message": "Too many requests." });
        let body = json!({ "type": "error", "error": error }).to_string();
        let response = axum::http::Response::builder();
        loopback::ready(match asked.before < limits {
            true => response
                .status(429)
                .header("retry-after", wait)
                .body(body.into())
                .unwrap(),
            false => response
                .header("content-type", "text/event-stream")
                .body(sse("msg_1", &["pong"]).into())
                .unwrap(),
        })
    })
    .await;
    let session = session(attached(&gateway.address, "any key", None)).await;
    (gateway, session.expect("a session"))
}

fn messages(gateway: &Server) -> usize {
    let targets = gateway.targets();
    targets
        .iter()
        .filter(|target| target.starts_with("/v1/messages"))
        .count()
}

#[tokio::test]
async fn a_limit_of_the_provider_uses_up_no_attempt() {
    // Claude Code sends three requests in an attempt, and the third attempt passes.
    let (gateway, session) = limited(6, "0.5").await;
    let begun = Instant::now();
    let record = Finished::of(&text_test(), session).await.record;
    assert_eq!(record.result, TrialResult::Pass {}, "{record:#?}");
    assert_eq!((record.attempts.len(), record.flaky), (3, true));
    assert!(
        begun.elapsed() >= Duration::from_millis(2_900),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(messages(&gateway), 7);
    // Of the six waits, Claude Code itself waited four, and the first request of the next attempt two: one second. On a busy
    // machine, a wait is partly over when the next request comes.
    assert!((1_500..8_000).contains(&record.waited_ms), "{}", record.waited_ms);
}

#[tokio::test]
async fn the_own_waits_of_claude_code_are_not_the_trial_s_time() {
    let (_gateway, session) = limited(1, "3").await;
    let mut test = text_test();
    test.timeout_seconds = 2;
    let record = Finished::of(&test, session).await.record;
    assert_eq!(record.result, TrialResult::Pass {}, "{record:#?}");
    assert_eq!(record.attempts.len(), 1);
    assert!((3_000..4_000).contains(&record.waited_ms), "{}", record.waited_ms);
    assert!(record.duration_ms < 2_000, "{}", record.duration_ms);
}

#[tokio::test]
async fn a_provider_that_asks_for_a_day_is_asked_once() {
    let (gateway, session) = limited(usize::MAX, "86400").await;
    let record = Finished::of(&text_test(), session).await.record;
    assert_eq!(record.cause, Some(Cause::RateLimit), "{record:#?}");
    assert_eq!((record.attempts.len(), messages(&gateway)), (1, 1));
    assert_eq!(record.waited_ms, 0);
}

#[tokio::test]
async fn a_live_model_that_did_not_follow_gets_a_second_attempt() {
    for (answers, passes) in [(["no", "pong"], true), (["no", "never"], false)] {
        let script = script(answers.map(text));
        let (_simulator, session) = live_session(provider::Unscripted::Script(script)).await;
        let record = Finished::of(&text_test(), session).await.record;
        assert_eq!(record.attempts.len(), 2, "{record:#?}");
        let first = record.attempts[0].failure.as_ref().expect("it failed");
        assert_eq!(first.cause, Cause::Assertion, "never the gateway's fault");
        assert_eq!(record.flaky, passes);
        assert_eq!(record.cause, (!passes).then_some(Cause::Assertion));
        if !passes {
            assert_has(&record.mismatches[0].actual, "never");
        }
    }
}
