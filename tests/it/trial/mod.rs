//! A trial from its session to its record. A double replaces `claude`; the provider simulator, or a double that refuses all
//! requests, replaces the gateway.

mod live;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use compat_matrix::cells::Test;
use compat_matrix::env::{self, Environment};
use compat_matrix::evidence::Behind;
use compat_matrix::expectation::kinds::{RequestCheck, RequestsCheck, TextCheck};
use compat_matrix::expectation::{Check, Turn};
use compat_matrix::findings::KnownForRun;
use compat_matrix::http;
use compat_matrix::ids::TrialName;
use compat_matrix::outcome::{Cause, Failure, Verdict};
use compat_matrix::progress::Silent;
use compat_matrix::provider::Simulator;
use compat_matrix::results::{TrialRecord, TrialResult};
use compat_matrix::run::trial::TrialTask;
use compat_matrix::session::daemon::DaemonUse;
use compat_matrix::session::schedule::Queue;
use compat_matrix::session::{Session, SessionOptions, WantedIsolation};
use compat_matrix::wire::Operation;
use compat_matrix::wire::exchange::ProviderExchange;
use compat_matrix::wire::place::ProcessingPlace;
use compat_matrix::wire::script::{Reply, ReplyBlock};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Barrier;

use crate::support::claude::fake_claude;
use crate::support::evidence::{equals, expectation, query, test};
use crate::support::loopback::{self, Server};
use crate::support::provider_client::{script, text};
use crate::support::small_project::{CONTROL_KEY, simulator};
use crate::support::text::assert_has;
use crate::support::wait::{is_alive, until, with_argument};

const ALIAS: &str = "claude-haiku-4-5";

/// The environment of a run attached to `gateway`, with `provider` behind the gateway.
fn attached(gateway: &str, key: &str, provider: Option<&str>) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        (env::COMPAT_CLAUDE, fake_claude().display().to_string()),
        (env::LITELLM_PROXY_BASE_URL, gateway.to_owned()),
        (env::LITELLM_PROXY_API_KEY, key.to_owned()),
    ];
    if let Some(provider) = provider {
        variables.push((env::COMPAT_PROVIDER_URL, provider.to_owned()));
        variables.push((env::COMPAT_PROVIDER_CONTROL_KEY, CONTROL_KEY.to_owned()));
    }
    variables
}

async fn session(variables: Vec<(&'static str, String)>) -> anyhow::Result<Session> {
    let options = SessionOptions {
        records: false,
        limits: Default::default(),
        shares: 1,
        mutants: false,
        wanted: compat_matrix::gateway::WantedTools::pinned(),
        client_format: compat_matrix::wire::client_format::ClientFormat::Messages,
        daemon: DaemonUse::Never,
        environment: variables.into_iter().collect::<Environment>(),
        root: PathBuf::from("/nonexistent"),
        watchdog: Some(fake_claude()),
        isolation: WantedIsolation::default(),
    };
    Session::start(&options, &Silent).await
}

/// A session with `simulator` for gateway and provider.
async fn session_on(simulator: &Simulator) -> Session {
    let (base, key) = (simulator.base_url(), &simulator.credentials().anthropic_api_key);
    session(attached(base, key, Some(base))).await.expect("a session")
}

/// A prompt with the reply `pong`, and expectations of both sides.
fn text_test() -> Test {
    let mut test = test(Check::Text(TextCheck(equals("pong"))));
    test.script = script([text("pong")]);
    test.expectations.push(expectation(
        "requests",
        Check::Requests(RequestsCheck {
            operation: Operation::Messages,
            count: 1,
        }),
    ));
    test.expectations.push(expectation(
        "prompt",
        Check::Request(RequestCheck {
            model: None,
            turn: Turn::Number(1),
            operation: Operation::Messages,
            route: None,
            stream: Some(true),
            headers: Vec::new(),
            body: vec![(query("$.messages[-1].content[-1].text"), equals("ping"))],
        }),
    ));
    test
}

fn name() -> TrialName {
    "text::anthropic::haiku".parse().unwrap()
}

/// A finished trial, and the folder with its evidence.
struct Finished {
    record: TrialRecord,
    root: TempDir,
}

impl Finished {
    /// Runs `test`, and ends the session.
    async fn of(test: &Test, session: Session) -> Self {
        let finished = Self::in_session(test, ALIAS, &session).await;
        session.end().await;
        finished
    }

    /// Runs `test` with the model `alias`.
    async fn in_session(test: &Test, alias: &str, session: &Session) -> Self {
        let root = TempDir::new().unwrap();
        let task = TrialTask {
            cassette: None,
            mutation: None,
            known: KnownForRun::NOTHING,
            wanted_place: &ProcessingPlace::default(),
            name: &name(),
            test,
            alias,
            root: root.path(),
            evidence: std::path::Path::new(compat_matrix::files::evidence_files::EVIDENCE),
            ticket: &Queue::default().join(0),
            after_limits: &[0; 3],
        };
        let record = task.run(session, |_| true).await;
        Self { record, root }
    }

    #[track_caller]
    fn passes(&self) {
        assert_eq!(self.record.result, TrialResult::Pass {}, "{:#?}", self.record);
    }

    fn verdict(&self, name: &str) -> Option<Verdict> {
        let mut judged = self.record.expectations.iter();
        Some(judged.find(|judged| judged.name == name)?.verdict)
    }

    fn failure(&self) -> Failure {
        self.record.failure().expect("the trial failed")
    }

    fn evidence(&self, file: &str) -> String {
        let folder = self.record.evidence.as_ref().expect("there is evidence");
        std::fs::read_to_string(self.root.path().join(folder).join(file)).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_text_trial_passes_and_writes_its_evidence() {
    let simulator = simulator().await;
    let session = session_on(&simulator).await;
    assert_eq!(session.behind(), Behind::Simulated);
    assert_eq!(session.claude_version.as_deref(), Some("0.0.0"));
    let scratch = session.scratch().to_owned();
    let finished = Finished::of(&text_test(), session).await;
    finished.passes();
    for name in [
        "check",
        "requests",
        "prompt",
        "run",
        "transcript",
        "workarounds",
        "unmatched_requests",
        "refused_requests",
    ] {
        assert_eq!(finished.verdict(name), Some(Verdict::Held), "{name}");
    }
    assert_eq!(
        (finished.record.model.as_str(), finished.record.attempts.len()),
        (ALIAS, 1)
    );
    assert!(finished.record.usage.input_tokens > 0, "{:#?}", finished.record);
    let exchanges = finished.evidence("exchanges.jsonl");
    assert_eq!(exchanges.lines().count(), 1);
    let key = &simulator.credentials().anthropic_api_key;
    assert!(!exchanges.contains(key), "the evidence contains a key");
    assert!(finished.evidence("transcript.jsonl").contains("pong"));
    let exit: Value = serde_json::from_str(&finished.evidence("exit.json")).unwrap();
    assert_eq!(exit["code"], 0);
    assert!(!scratch.exists(), "the session removes its folder");
}

#[tokio::test]
async fn a_killed_watchdog_is_replaced_before_the_next_trial() {
    let simulator = simulator().await;
    let session = session_on(&simulator).await;
    let watchdogs = || with_argument(&format!("__compat-watchdog\0{}", session.run.0));
    let first = watchdogs();
    assert_eq!(first.len(), 1);
    kill(Pid::from_raw(first[0] as i32), Signal::SIGKILL).unwrap();
    // A process that is ending has no arguments any more, but its parent cannot wait for it yet.
    until("the watchdog is dead", || !is_alive(first[0])).await;
    Finished::in_session(&text_test(), ALIAS, &session).await.passes();
    let second = watchdogs();
    assert_eq!(second.len(), 1);
    assert_ne!(first, second);
    session.end().await;
}

#[tokio::test]
async fn a_provider_in_lockstep_gets_the_shown_deltas() {
    let simulator = simulator().await;
    let session = session_on(&simulator).await;
    let mut test = text_test();
    test.expectations[0].check = Check::Text(TextCheck(equals("one two three")));
    let Reply::Message(message) = &mut test.script.replies[0] else {
        panic!("a text is a message");
    };
    message.content = vec![ReplyBlock::Text("one two three".into())];
    message.pace.lockstep = true;
    let finished = Finished::of(&test, session).await;
    finished.passes();
    let exchange: ProviderExchange = serde_json::from_str(&finished.evidence("exchanges.jsonl")).unwrap();
    let lockstep = exchange.reply.lockstep.expect("a lockstep reply");
    assert_eq!((lockstep.seen, lockstep.deltas), (2, 3));
}

#[tokio::test]
async fn a_broken_expectation_fails_the_trial() {
    let simulator = simulator().await;
    let session = session_on(&simulator).await;
    let mut test = text_test();
    test.expectations[0].check = Check::Text(TextCheck(equals("something else")));
    let finished = Finished::of(&test, session).await;
    let failure = finished.failure();
    assert_eq!(failure.cause, Cause::Assertion);
    assert_eq!(failure.mismatches.len(), 1, "{failure:#?}");
    assert_eq!(failure.mismatches[0].actual, "\"pong\"");
    assert_eq!(finished.verdict("check"), Some(Verdict::Broken));
    assert_eq!(finished.verdict("requests"), Some(Verdict::Held));
}

#[tokio::test]
async fn a_gateway_error_is_reported_with_its_message() {
    let simulator = simulator().await;
    let gateway = Server::start(|_, _| loopback::ready(loopback::status(500))).await;
    let variables = attached(&gateway.address, "any key", Some(simulator.base_url()));
    let session = session(variables).await.expect("a session");
    let finished = Finished::of(&text_test(), session).await;
    let failure = finished.failure();
    assert_eq!(failure.cause, Cause::Gateway, "{failure:#?}");
    assert_has(&failure.why, "no Messages request reached the provider");
    let first = &failure.mismatches[0];
    assert_eq!(first.expectation, "run");
    assert!(first.actual.contains("the double says no"), "{first:#?}");
    assert_eq!(finished.verdict("requests"), Some(Verdict::Broken));
    assert_eq!(finished.evidence("exchanges.jsonl"), "");
    let asked = gateway.targets();
    assert!(
        asked.iter().any(|target| target.starts_with("/v1/messages")),
        "{asked:?}"
    );
}

/// A gateway in front of `simulator` that passes on no key of a trial, and puts a full stop after the user's text. It waits
/// until `together` requests have come.
async fn keyless_gateway(simulator: &Simulator, together: usize) -> String {
    let (base, key) = (
        simulator.base_url().to_owned(),
        simulator.credentials().anthropic_api_key.clone(),
    );
    let all = Arc::new(Barrier::new(together));
    let pass = move |request: Request| {
        let (base, key, all) = (base.clone(), key.clone(), Arc::clone(&all));
        async move {
            if request.method() != "POST" {
                return loopback::ok("");
            }
            let bytes = to_bytes(request.into_body(), usize::MAX).await.unwrap();
            let mut body: Value = serde_json::from_slice(&bytes).unwrap();
            body.as_object_mut().unwrap().remove("metadata");
            let text = &mut body["messages"][0]["content"][0]["text"];
            *text = format!("{}.", text.as_str().unwrap()).into();
            all.wait().await;
            let sent = http::client().post(format!("{base}/v1/messages")).json(&body);
            let sent = sent.header("anthropic-version", "2023-06-01");
            let reply = sent.header("x-api-key", key).send().await.unwrap();
            let mut response = axum::http::Response::builder().status(reply.status());
            response = response.header("content-type", reply.headers()["content-type"].clone());
            let body = reply.bytes().await.unwrap();
            // All requests are at the provider before the first client goes on.
            all.wait().await;
            response.body(body.into()).unwrap()
        }
    };
    loopback::serve(Router::new().fallback(pass)).await
}

async fn keyless_session(simulator: &Simulator, together: usize) -> Session {
    let gateway = keyless_gateway(simulator, together).await;
    let variables = attached(&gateway, "any key", Some(simulator.base_url()));
    session(variables).await.expect("a session")
}

#[tokio::test]
async fn a_request_without_key_is_found_by_time_and_content() {
    let simulator = simulator().await;
    let session = keyless_session(&simulator, 1).await;
    let finished = Finished::of(&text_test(), session).await;
    let failure = finished.failure();
    assert_eq!(failure.cause, Cause::Gateway, "{failure:#?}");
    assert_eq!(
        failure.headline.as_deref(),
        Some("request 1: block `messages[0] user block 0 (text).text` changed: \"ping\" → \"ping.\"")
    );
    assert_has(
        &failure.why,
        "block `messages[0] user block 0 (text).text` changed: \"ping\" → \"ping.\"",
    );
    assert_eq!(failure.wire[0], failure.headline.clone().unwrap());
    assert!(
        failure
            .wire
            .iter()
            .any(|line| line.contains("`metadata` dropped")),
        "{failure:#?}"
    );
    assert_eq!(finished.verdict("requests"), Some(Verdict::Held));
    assert_eq!(finished.evidence("exchanges.jsonl").lines().count(), 1);
    assert_eq!(simulator.orphans(), [], "the trial has claimed it");
}

#[tokio::test]
async fn trials_without_keys_find_their_own_requests() {
    let simulator = simulator().await;
    let session = keyless_session(&simulator, 2).await;
    let test = text_test();
    let (haiku, opus) = tokio::join!(
        Finished::in_session(&test, ALIAS, &session),
        Finished::in_session(&test, "claude-opus-4-7", &session)
    );
    session.end().await;
    for (finished, model) in [(haiku, ALIAS), (opus, "claude-opus-4-7")] {
        let exchange: ProviderExchange = serde_json::from_str(&finished.evidence("exchanges.jsonl")).unwrap();
        assert_eq!(exchange.message.unwrap().model, model);
        assert!(exchange.keyless);
    }
}

#[tokio::test]
async fn a_request_that_fits_two_trials_is_ambiguous() {
    let simulator = simulator().await;
    let session = keyless_session(&simulator, 2).await;
    let test = text_test();
    let (one, other) = tokio::join!(
        Finished::in_session(&test, ALIAS, &session),
        Finished::in_session(&test, ALIAS, &session)
    );
    session.end().await;
    for finished in [one, other] {
        let failure = finished.failure();
        assert_eq!(failure.cause, Cause::Gateway, "{failure:#?}");
        assert_has(&failure.why, "fit this trial and another one equally well");
        assert_has(
            failure.headline.as_deref().unwrap_or_default(),
            "request 1: this request, or a like one of another trial, was forwarded in a changed form",
        );
        assert_eq!(finished.evidence("exchanges.jsonl"), "");
        assert_eq!(finished.evidence("ambiguous.jsonl").lines().count(), 2);
        assert_has(failure.next.as_deref().unwrap_or_default(), "`ambiguous.jsonl`");
    }
}

#[tokio::test]
async fn an_incomplete_environment_is_refused_with_a_hint() {
    let simulator = simulator().await;
    let stranger = Server::start(|_, _| loopback::ready(loopback::ok("{}"))).await;
    let base = simulator.base_url();
    let complete = || attached(base, "key", Some(base));
    let without = |name: &str| {
        let mut variables = complete();
        variables.retain(|(variable, _)| *variable != name);
        variables
    };
    let with = |name: &'static str, value: &str| {
        let mut variables = without(name);
        variables.push((name, value.to_owned()));
        variables
    };
    let unused = format!("http://127.0.0.1:{}", loopback::unused_port());
    for (variables, expected) in [
        (
            without(env::LITELLM_PROXY_API_KEY),
            "`LITELLM_PROXY_BASE_URL` is set but `LITELLM_PROXY_API_KEY` is not",
        ),
        (
            without(env::LITELLM_PROXY_BASE_URL),
            "`COMPAT_PROVIDER_URL` is set but `LITELLM_PROXY_BASE_URL` is not",
        ),
        (
            without(env::COMPAT_PROVIDER_CONTROL_KEY),
            "neither `COMPAT_PROVIDER_CONTROL_KEY` nor `COMPAT_PROVIDER_CONTROL_KEY_FILE` is",
        ),
        (
            with(env::COMPAT_CLAUDE, "/nonexistent/claude"),
            "there is no `claude` at `/nonexistent/claude`: set `COMPAT_CLAUDE`",
        ),
        (
            with(env::COMPAT_CLAUDE, "path"),
            "there is no `claude` in any folder of the `PATH`",
        ),
        (
            with(env::COMPAT_PROVIDER_CONTROL_KEY, "wrong"),
            "refuses the control key",
        ),
        (
            with(env::COMPAT_PROVIDER_URL, &unused),
            "cannot reach the provider simulator at",
        ),
        (
            with(env::COMPAT_PROVIDER_URL, &stranger.address),
            "is not a provider simulator",
        ),
    ] {
        let error = session(variables).await.expect_err(expected).to_string();
        assert_has(&error, expected);
    }
    let mut variables = without(env::COMPAT_PROVIDER_CONTROL_KEY);
    variables.push((
        env::COMPAT_PROVIDER_CONTROL_KEY_FILE,
        "/nonexistent/key".to_owned(),
    ));
    let error = session(variables).await.expect_err("there is no key").to_string();
    assert_has(&error, "cannot read the control key from `/nonexistent/key`");
}

#[tokio::test]
async fn a_token_count_keeps_the_system_prompt_of_its_cell() {
    let simulator = simulator().await;
    let session = session_on(&simulator).await;
    let systems = [
        Value::Null,
        json!("be brief"),
        json!([{"type": "text", "text": "be brief"}]),
    ];
    for system in systems {
        let mut test = text_test();
        let mut body = json!({"messages": [{"role": "user", "content": "ping"}]});
        if !system.is_null() {
            body["system"] = system.clone();
        }
        test.count_tokens = Some(body);
        let finished = Finished::in_session(&test, ALIAS, &session).await;
        finished.passes();
        let exchanges = finished.evidence("exchanges.jsonl");
        let exchanges = exchanges
            .lines()
            .map(|line| serde_json::from_str::<ProviderExchange>(line).unwrap());
        let count = exchanges.filter(|exchange| exchange.operation == Operation::CountTokens);
        let counts: Vec<ProviderExchange> = count.collect();
        let arrived = &counts[0].request.body.json().unwrap()["system"];
        let texts: Vec<&str> = match arrived {
            Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).collect(),
            text => text.as_str().unwrap().lines().collect(),
        };
        assert!(texts[0].starts_with("Session "), "{texts:?}");
        let own: &[&str] = if system.is_null() { &[] } else { &["be brief"] };
        assert_eq!(texts[1..], *own);
        assert_eq!(arrived.is_array(), system.is_array());
    }
    session.end().await;
}
