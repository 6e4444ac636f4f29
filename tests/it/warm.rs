//! `compat up` and what runs make of it, with doubles of LiteLLM and `claude`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::Utc;
use compat_matrix::env::{self, Environment};
use compat_matrix::toolchain::cache::{Claim, Receipt};
use compat_matrix::toolchain::platform::Platform;
use compat_matrix::toolchain::{Cache, Lock, Silent};
use compat_matrix::warm::Place;

use crate::harness_command::{Ran, Small};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A small project with a LiteLLM that is installed, as far as anybody can tell.
struct Warm {
    small: Small,
}

impl Warm {
    async fn new() -> Self {
        let small = Small::new();
        let root = small.root();
        std::fs::create_dir(root.join("toolchain")).unwrap();
        for file in ["claude.json", "litellm.txt", "uv.txt"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("toolchain").join(file);
            std::fs::copy(from, root.join("toolchain").join(file)).unwrap();
        }
        install_double(root).await;
        Self { small }
    }

    fn place(&self) -> Place {
        let cache = self.small.root().join("cache");
        let environment: Environment = [(env::COMPAT_CACHE_DIR, cache)].into_iter().collect();
        Place::of(&environment, self.small.root()).unwrap()
    }

    async fn compat(&self, arguments: &[&str]) -> Ran {
        let mut command = self.small.program(env!("CARGO_BIN_EXE_compat"), arguments);
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        Ran::new(output.unwrap().expect("compat starts"))
    }

    async fn up(&self) -> Ran {
        let ran = self.compat(&["up", "--idle", "60"]).await;
        assert_eq!(ran.status, Some(0), "{ran:?}");
        ran
    }

    fn host(&self) -> u32 {
        self.place().read().expect("a session").pid
    }
}

/// Puts the gateway's double where the pinned LiteLLM would be.
async fn install_double(root: &Path) {
    let pin = Lock::read(&root.join("toolchain")).unwrap().litellm;
    let platform = Platform::current().unwrap();
    let entry =
        Cache::at(root.join("cache")).entry("litellm", &pin.version, platform.as_str(), &pin.digest());
    let Claim::Reserved(reservation) = entry.claim(&Silent).await.unwrap() else {
        panic!("the cache is not empty");
    };
    let program = PathBuf::from("bin/litellm");
    let file = reservation.directory().join(&program);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fake-gateway"), file).unwrap();
    let receipt = Receipt {
        tool: "litellm".into(),
        version: pin.version.clone(),
        locked: pin.digest(),
        program,
        file: None,
        installed_at: Utc::now(),
    };
    reservation.finish(receipt).unwrap();
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what} never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const USING: &str = "using the session that is kept warm since";

#[tokio::test]
async fn a_run_finds_what_is_kept_warm_says_so_and_judges_both_sides() {
    let warm = Warm::new().await;
    assert!(warm.up().await.out.starts_with("the session is kept warm\n"));
    let host = warm.host();
    for _ in 0..2 {
        let ran = warm.small.run(&["text::anthropic"]).await;
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert!(
            ran.err.contains(USING) && !ran.err.contains("starting LiteLLM"),
            "{}",
            ran.err
        );
        assert!(!ran.err.contains("on no trial's behalf"), "{}", ran.err);
    }
    let results = warm.small.results();
    assert_eq!(results.run.gateway.kind, "litellm");
    assert!(results.run.gateway.version.is_some());
    let judged = &results.results[0].expectations;
    assert!(
        judged.iter().any(|judged| judged.name == "asked_once"),
        "{judged:?}"
    );
    let evidence = warm.small.root().join("target/compat/text/anthropic/haiku");
    let log = std::fs::read_to_string(evidence.join("gateway.log")).unwrap();
    assert!(log.contains("POST /v1/messages"), "{log}");

    assert!(warm.up().await.out.contains("is kept warm already"));
    assert_eq!(warm.host(), host);
    let cold = warm.small.run(&["--cold", "text::anthropic::opus"]).await;
    assert_eq!(cold.status, Some(0), "{cold:?}");
    assert!(
        cold.err.contains("starting LiteLLM") && !cold.err.contains(USING),
        "{}",
        cold.err
    );

    let down = warm.compat(&["down"]).await;
    assert!(
        down.err
            .contains(&format!("the session of process {host} has ended")),
        "{down:?}"
    );
    until("the host's end", || !is_alive(host)).await;
    assert!(
        warm.compat(&["down"])
            .await
            .err
            .contains("no session is kept warm")
    );
}

#[tokio::test]
async fn what_does_not_fit_is_not_used_and_is_renewed() {
    let warm = Warm::new().await;
    warm.up().await;
    let host = warm.host();
    let config = warm.small.root().join("proxy_config.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + "# changed\n").unwrap();
    let ran = warm.small.run(&["text::anthropic::haiku"]).await;
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(
        ran.err
            .contains("not using the session that is kept warm: `proxy_config.yaml` has changed"),
        "{}",
        ran.err
    );
    let renewed = warm.up().await;
    assert!(
        renewed.err.contains("ending the session that is kept warm"),
        "{}",
        renewed.err
    );
    until("the old host's end", || !is_alive(host)).await;
    assert!(
        warm.small
            .run(&["text::anthropic::haiku"])
            .await
            .err
            .contains(USING)
    );
    warm.compat(&["down"]).await;
}

#[tokio::test]
async fn a_host_that_was_killed_leaves_no_process_and_nothing_that_a_run_would_take_for_it() {
    let warm = Warm::new().await;
    warm.up().await;
    let description = warm.place().read().expect("a session");
    let host = i32::try_from(description.pid).unwrap();
    let gateways = children_of(description.pid);
    assert!(!gateways.is_empty());
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(host),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    until("the gateway's end", || !gateways.iter().any(|pid| is_alive(*pid))).await;
    until("the scratch folder's end", || !description.gateway_log.exists()).await;
    assert!(warm.place().read().is_some(), "nobody took the file away");
    let ran = warm.small.run(&["text::anthropic::haiku"]).await;
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(
        ran.err.contains("starting LiteLLM") && !ran.err.contains("kept warm"),
        "{}",
        ran.err
    );
    assert!(warm.place().read().is_none());
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
async fn a_session_that_nobody_uses_ends_by_itself_and_one_in_use_stays() {
    let warm = Warm::new().await;
    assert_eq!(warm.compat(&["up", "--idle", "1"]).await.status, Some(0));
    until("the end of the session", || warm.place().read().is_none()).await;
    warm.place().prepare().unwrap();
    // A lease that is there before the host keeps it.
    let lease = warm.place().lease().unwrap();
    assert_eq!(warm.compat(&["up", "--idle", "1"]).await.status, Some(0));
    let host = warm.host();
    let ran = warm.small.run(&["text::anthropic::haiku"]).await;
    assert!(ran.err.contains(USING), "{}", ran.err);
    assert!(is_alive(host));
    drop(lease);
    until("the host's end", || !is_alive(host)).await;
    assert!(warm.place().read().is_none());
}

#[tokio::test]
async fn a_session_whose_folder_is_gone_ends_and_one_in_the_foreground_by_interruption() {
    let warm = Warm::new().await;
    warm.up().await;
    let host = warm.host();
    std::fs::remove_dir_all(warm.place().folder()).unwrap();
    until("the host's end", || !is_alive(host)).await;

    let mut foreground = warm
        .small
        .program(env!("CARGO_BIN_EXE_compat"), &["up", "--foreground"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("the session", || warm.place().read().is_some()).await;
    assert_eq!(warm.host(), foreground.id());
    assert!(
        warm.small
            .run(&["text::anthropic::haiku"])
            .await
            .err
            .contains(USING)
    );
    let pid = nix::unistd::Pid::from_raw(i32::try_from(foreground.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let status = tokio::task::spawn_blocking(move || foreground.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}");
    assert!(warm.place().read().is_none());
}

/// `compat watch` under way, its lines as they come.
struct Watching {
    child: std::process::Child,
    said: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Watching {
    fn start(warm: &Warm, arguments: &[&str]) -> Self {
        let arguments = [&["watch", "--harness", env!("CARGO_BIN_EXE_harness")], arguments].concat();
        let mut child = warm
            .small
            .program(env!("CARGO_BIN_EXE_compat"), &arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let said = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        listen(child.stdout.take().unwrap(), &said);
        listen(child.stderr.take().unwrap(), &said);
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said `what` once more than `before`.
    async fn says(&self, what: &str, times: usize) {
        let until = Instant::now() + PATIENCE;
        while self.said().matches(what).count() < times {
            assert!(
                Instant::now() < until,
                "`{what}` was not said {times} times:\n{}",
                self.said()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn interrupt(mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
        let status = tokio::task::spawn_blocking(move || self.child.wait())
            .await
            .unwrap()
            .unwrap();
        assert!(status.success(), "{status}");
    }
}

fn listen(source: impl std::io::Read + Send + 'static, said: &std::sync::Arc<std::sync::Mutex<String>>) {
    use std::io::BufRead as _;
    let said = std::sync::Arc::clone(said);
    std::thread::spawn(move || {
        for line in std::io::BufReader::new(source).lines().map_while(Result::ok) {
            said.lock().unwrap().push_str(&(line + "\n"));
        }
    });
}

#[tokio::test]
async fn a_watcher_runs_what_a_saved_file_touches_and_survives_faults() {
    let warm = Warm::new().await;
    let watching = Watching::start(&warm, &["--tier", "haiku"]);
    watching.says("watching `", 1).await;
    let host = warm.host();
    let save = |file: &str, text: &str| std::fs::write(warm.small.root().join(file), text).unwrap();
    let cell = "cells/text/anthropic.yaml";
    save(
        cell,
        "expect:\n  asked_once:\n    requests: { count: 1 }\n# saved\n",
    );
    watching.says("results: ", 1).await;
    assert!(
        watching.said().contains(&format!("`{cell}`: 1 trial\n")),
        "{}",
        watching.said()
    );
    assert!(watching.said().contains(USING), "{}", watching.said());
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
    save("manifest.yaml", crate::harness_command::MANIFEST);
    watching.says("results: ", 2).await;
    assert_eq!(
        warm.small.results().run.selected,
        4,
        "the manifest touches all of the tier"
    );
    watching.interrupt().await;
    until("the host's end", || !is_alive(host)).await;
    assert!(warm.place().read().is_none());
}
