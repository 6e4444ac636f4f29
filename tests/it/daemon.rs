//! `compat up`, `down` and `watch`, and runs that use the warm session, with doubles of LiteLLM and `claude`.

use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use compat_matrix::env::{self, Environment};
use compat_matrix::session::daemon::StateDir;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::claude::hanging_claude;
use crate::support::evidence::gateway_file;
use crate::support::files::mode;
use crate::support::ran::Ran;
use crate::support::small_project::{MANIFEST, Small};
use crate::support::text::{assert_has, assert_lacks, assert_starts};
use crate::support::wait::{eventually, is_alive, until};

/// A small project with a double of the pinned LiteLLM in its cache.
struct WarmProject {
    small: Small,
}

impl WarmProject {
    async fn new() -> Self {
        let small = Small::with_double_of_litellm().await;
        Self { small }
    }

    fn state(&self) -> StateDir {
        let cache = self.small.root().join("cache");
        let environment: Environment = [(env::COMPAT_CACHE_DIR, cache)].into_iter().collect();
        StateDir::of(&environment, self.small.root()).unwrap()
    }

    async fn compat(&self, arguments: &[&str]) -> Ran {
        self.small.compat(arguments).await
    }

    /// Runs one trial, which passes. Returns the standard error.
    async fn run(&self, arguments: &[&str]) -> String {
        let ran = self.small.run(arguments).await;
        ran.exits(0);
        ran.err
    }

    async fn up(&self) -> Ran {
        let ran = self.compat(&["up", "--idle", "60"]).await;
        ran.exits(0);
        ran
    }

    fn daemon(&self) -> u32 {
        self.state().read().expect("a session").pid
    }
}

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// Sends SIGINT to `child`, which then exits with status 0.
async fn interrupt(mut child: Child) {
    send(child.id(), Signal::SIGINT);
    let status = tokio::task::spawn_blocking(move || child.wait()).await;
    assert!(status.unwrap().unwrap().success());
}

const HAIKU: &[&str] = &["text::anthropic::haiku"];
const USING: &str = "using the warm session started at";

#[tokio::test]
async fn a_run_uses_the_warm_session() {
    let warm = WarmProject::new().await;
    assert_starts(&warm.up().await.out, "the warm session is ready\n");
    let daemon = warm.daemon();
    for path in [
        warm.state().folder().to_owned(),
        warm.state().folder().join("session.json"),
        warm.state().log(),
    ] {
        assert_eq!(mode(&path) & 0o077, 0, "`{}` holds keys, or may", path.display());
    }
    for _ in 0..2 {
        let err = warm.run(&["text::anthropic"]).await;
        assert_has(&err, USING);
        assert_lacks(&err, "starting LiteLLM");
        assert_lacks(&err, "belongs to no trial");
    }
    let results = warm.small.results();
    assert_eq!(results.run.gateway.kind, "litellm");
    assert!(results.run.gateway.version.is_some());
    let judged = &results.results[0].expectations;
    assert!(
        judged.iter().any(|judged| judged.name == "asked_once"),
        "{judged:?}"
    );
    let evidence = warm.small.path(&results.results[0].evidence.clone().unwrap());
    let log = std::fs::read_to_string(evidence.join("gateway.log")).unwrap();
    assert_has(&log, "POST /v1/messages");

    assert_has(&warm.up().await.out, "is already running");
    assert_eq!(warm.daemon(), daemon);
    let cold = warm.run(&["--cold", "text::anthropic::opus"]).await;
    assert_has(&cold, "starting LiteLLM");
    assert_lacks(&cold, USING);

    let down = warm.compat(&["down"]).await;
    down.err_has(&format!("the warm session of process {daemon} was stopped"));
    until("the end of the daemon", || !is_alive(daemon)).await;
    let down = warm.compat(&["down"]).await;
    down.err_has("no warm session is running");
}

#[tokio::test]
async fn a_session_with_other_inputs_is_replaced() {
    let warm = WarmProject::new().await;
    warm.up().await;
    let daemon = warm.daemon();
    let config = warm.small.read("proxy_config.yaml");
    warm.small.write("proxy_config.yaml", &(config + "# changed\n"));
    let err = warm.run(HAIKU).await;
    let not_used = "not using the warm session: `proxy_config.yaml` changed";
    assert_has(&err, not_used);
    let lease = warm.state().lease().unwrap();
    let refused = warm.compat(&["up"]).await;
    refused.exits(1);
    refused.err_has("and a run uses it");
    assert!(is_alive(daemon));
    drop(lease);
    let renewed = warm.up().await;
    renewed.err_has("ending the warm session");
    until("the end of the old daemon", || !is_alive(daemon)).await;
    assert_has(&warm.run(HAIKU).await, USING);
    warm.compat(&["down"]).await;
}

#[tokio::test]
async fn a_killed_daemon_leaves_no_process_and_is_not_used() {
    let warm = WarmProject::new().await;
    warm.up().await;
    let info = warm.state().read().expect("a session");
    let gateways = children_of(info.pid);
    assert!(!gateways.is_empty());
    send(info.pid, Signal::SIGKILL);
    until("the gateway's end", || !gateways.iter().any(|pid| is_alive(*pid))).await;
    until("the scratch folder's end", || !info.gateway_log.exists()).await;
    assert!(warm.state().read().is_some(), "the file is still there");
    let err = warm.run(HAIKU).await;
    assert_has(&err, "starting LiteLLM");
    assert_lacks(&err, "warm session");
    assert!(warm.state().read().is_none());
}

fn children_of(parent: u32) -> Vec<u32> {
    let children = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        (fields.nth(1)? == parent.to_string()).then_some(pid)
    });
    children.collect()
}

#[tokio::test]
async fn an_idle_session_ends_and_one_in_use_stays() {
    let warm = WarmProject::new().await;
    assert_eq!(warm.compat(&["up", "--idle", "1"]).await.status, Some(0));
    until("the end of the session", || warm.state().read().is_none()).await;
    warm.state().prepare().unwrap();
    // A lease from before its start keeps the daemon.
    let lease = warm.state().lease().unwrap();
    assert_eq!(warm.compat(&["up", "--idle", "0"]).await.status, Some(0));
    let daemon = warm.daemon();
    assert_has(&warm.run(HAIKU).await, USING);
    assert!(is_alive(daemon));
    drop(lease);
    until("the end of the daemon", || !is_alive(daemon)).await;
    assert!(warm.state().read().is_none());
}

#[tokio::test]
async fn removing_the_folder_or_ctrl_c_ends_a_session() {
    let warm = WarmProject::new().await;
    warm.up().await;
    let daemon = warm.daemon();
    std::fs::remove_dir_all(warm.state().folder()).unwrap();
    until("the end of the daemon", || !is_alive(daemon)).await;

    let foreground = warm
        .small
        .program(env!("CARGO_BIN_EXE_compat"), &["up", "--foreground"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the session", || warm.state().read().is_some()).await;
    assert_eq!(warm.daemon(), foreground.id());
    assert_has(&warm.run(HAIKU).await, USING);
    interrupt(foreground).await;
    assert!(warm.state().read().is_none());
}

/// A running `compat watch` and its output.
struct Watching {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Watching {
    fn start(warm: &WarmProject, arguments: &[&str]) -> Self {
        let arguments = [&["watch", "--harness", env!("CARGO_BIN_EXE_harness")], arguments].concat();
        let mut child = warm
            .small
            .program(env!("CARGO_BIN_EXE_compat"), &arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        listen(child.stdout.take().unwrap(), &said);
        listen(child.stderr.take().unwrap(), &said);
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has printed `what` this many times.
    async fn says(&self, what: &str, times: usize) {
        until(what, || self.said().matches(what).count() >= times).await;
    }
}

fn listen(source: impl std::io::Read + Send + 'static, said: &Arc<Mutex<String>>) {
    use std::io::BufRead as _;
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in std::io::BufReader::new(source).lines().map_while(Result::ok) {
            said.lock().unwrap().push_str(&(line + "\n"));
        }
    });
}

#[tokio::test]
async fn a_watcher_runs_the_trials_of_a_saved_file() {
    let warm = WarmProject::new().await;
    let watching = Watching::start(&warm, &["--tier", "haiku"]);
    watching.says("watching `", 1).await;
    let daemon = warm.daemon();
    let save = |file: &str, text: &str| warm.small.write(file, text);
    let cell = "cells/text/anthropic.yaml";
    save(
        cell,
        "expect:\n  asked_once:\n    requests: { count: 1 }\n# saved\n",
    );
    watching.says("results: ", 1).await;
    assert_has(&watching.said(), &format!("`{cell}`: 1 trial\n"));
    assert_has(&watching.said(), USING);
    assert_eq!(warm.small.results().run.selected, 1);

    save(cell, "expect:\n  asked_once:\n    request: { count: 1 }\n");
    watching.says("cells/text/anthropic.yaml:3", 1).await;
    save("manifest.yaml", "schema_version: [\n");
    watching.says("manifest.yaml:", 1).await;
    save(
        "cells/text/_shared.yaml",
        "prompt: ping\nreplies:\n  - content:\n      - text: pong\nexpect:\n  reply:\n    text: { equals: pong }\n",
    );
    save(cell, "expect:\n  asked_once:\n    requests: { count: 1 }\n");
    save("manifest.yaml", MANIFEST);
    // The manifest touches all trials of the tier.
    until("the whole tier", || warm.small.results().run.selected == 4).await;
    until("its end", || warm.small.results().run.complete).await;
    interrupt(watching.child).await;
    until("the end of the daemon", || !is_alive(daemon)).await;
    assert!(warm.state().read().is_none());
}

/// Sets the environment of the processes of one nextest run.
fn nextest(warm: &mut WarmProject) -> StateDir {
    let run = uuid::Uuid::new_v4().to_string();
    warm.small.set(env::NEXTEST_RUN_ID, &run);
    warm.small.set(env::NEXTEST_EXECUTION_MODE, "process-per-test");
    let cache = warm.small.path("cache");
    let environment: Environment = [(env::COMPAT_CACHE_DIR, cache)].into_iter().collect();
    StateDir::of_run(&environment, warm.small.root(), &run).unwrap()
}

/// Ends the session of a nextest run, which otherwise ends after a while.
async fn ended(state: &StateDir) {
    let daemon = state.read().expect("a session").pid;
    state.remove();
    until("the end of the daemon", || !is_alive(daemon)).await;
}

#[tokio::test]
async fn processes_of_one_run_share_a_session_and_its_results() {
    let mut warm = WarmProject::new().await;
    let state = nextest(&mut warm);
    let names = [
        "text::anthropic::haiku",
        "text::anthropic::opus",
        "words::anthropic::haiku",
        "words::anthropic::opus",
        "text::azure::haiku",
    ];
    let exact = |name: &'static str| {
        let small = &warm.small;
        async move { small.run(&["--exact", name, "--nocapture"]).await }
    };
    let (a, b, c, d, e) = tokio::join!(
        exact(names[0]),
        exact(names[1]),
        exact(names[2]),
        exact(names[3]),
        exact(names[4])
    );
    let statuses = [&a, &b, &c, &d, &e].map(|ran| ran.status);
    assert_eq!(
        statuses,
        [0, 0, 101, 101, 0].map(Some),
        "{a:?}{b:?}{c:?}{d:?}{e:?}"
    );
    let started = [&a, &b, &c, &d, &e].map(|ran| ran.err.matches("starting LiteLLM").count() / 2);
    assert_eq!(started.iter().sum::<usize>(), 1, "{started:?} {}", a.err);
    assert!(
        !a.out.contains("not tested"),
        "a single process prints no matrix: {}",
        a.out
    );
    let results = warm.small.results();
    // The first process records every trial that is not applicable, because nextest skips them.
    assert_eq!((results.run.selected, results.run.complete), (8, true));
    assert!(results.run.gateway.version.is_some() && results.run.claude_code_version.is_some());
    let junit = warm.small.read("test-results/junit.xml");
    for name in names {
        assert_eq!(junit.matches(&format!("name=\"{name}\"")).count(), 1, "{name}");
    }

    // A retry is another attempt at the same trial.
    let shared = "cells/words/_shared.yaml";
    let mended = warm.small.read(shared);
    warm.small.write(shared, &mended.replace("other", "pong"));
    assert_eq!(exact("words::anthropic::opus").await.status, Some(0));
    let results = warm.small.results();
    let entry = results
        .results
        .iter()
        .find(|entry| entry.nodeid.to_string() == "words::anthropic::opus");
    let entry = entry.expect("a result");
    assert_eq!(
        (results.results.len(), entry.attempts.len(), entry.flaky),
        (8, 2, true)
    );
    ended(&state).await;

    let state = nextest(&mut warm);
    assert_eq!(warm.small.run(&["--exact", names[0]]).await.status, Some(0));
    assert_eq!(
        warm.small.results().results.len(),
        5,
        "a new run has its own results"
    );
    ended(&state).await;
}

#[tokio::test]
async fn the_process_that_ends_a_column_reports_a_stale_finding() {
    let mut warm = WarmProject::new().await;
    let shared = "cells/words/_shared.yaml";
    let mended = warm.small.read(shared).replace("other", "pong");
    warm.small.write(shared, &mended);
    let declared = gateway_file("expectation text::asked_once", "anthropic", "haiku");
    let declared = declared.replace(">=1.2.0, <=1.2.9", ">=0.0.1");
    warm.small.write("gateways/litellm.yaml", &declared);
    let state = nextest(&mut warm);
    let stale = "error: gateways/litellm.yaml:3:3: the known finding `forgotten` no longer shows on anthropic (haiku)";
    for (name, status) in [
        ("text::anthropic::haiku", 0),
        ("text::anthropic::opus", 0),
        ("words::anthropic::haiku", 101),
        ("words::anthropic::opus", 0),
    ] {
        let ran = warm.small.run(&["--exact", name, "--nocapture"]).await;
        ran.exits(status);
        assert_eq!(
            ran.err.matches(stale).count(),
            usize::from(status == 101),
            "{name}: {}",
            ran.err
        );
    }
    ended(&state).await;
}

#[tokio::test]
async fn a_killed_process_leaves_its_trial_unfinished() {
    let mut warm = WarmProject::new().await;
    let state = nextest(&mut warm);
    warm.up().await;
    let hanging = hanging_claude(warm.small.root());
    warm.small.set(env::COMPAT_CLAUDE, &hanging);
    let mut harness = warm
        .small
        .harness(&["--exact", "text::anthropic::haiku"])
        .spawn()
        .unwrap();
    let claude = eventually("claude", || {
        children_of(harness.id()).into_iter().find(|pid| {
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains("--session-id")
        })
    })
    .await;
    harness.kill().unwrap();
    harness.wait().unwrap();
    until("claude's end", || !is_alive(claude)).await;
    let results = warm.small.results();
    assert_eq!((results.run.unfinished.len(), results.run.complete), (1, false));
    // It used the session of `compat up`, which continues to run.
    assert!(state.read().is_none() && is_alive(warm.daemon()));
    warm.compat(&["down"]).await;
}
