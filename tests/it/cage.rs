//! The cage: a spy and a tamperer in place of `claude` read, write, reach and leave nothing; each lower level lacks what it
//! says.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compat_matrix::env::{self, Environment};
use compat_matrix::ids::TrialKey;
use compat_matrix::isolation::IsolationLevel;
use compat_matrix::process::{Cage, CageLayers, Launch, Piped, ProcessTag, RunId, tagged};
use compat_matrix::toolchain::confinement;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::claude::fake_claude;
use crate::support::files::files_below;
use crate::support::small_project::{Small, simulator};
use crate::support::text::assert_has;
use crate::support::wait::{until, with_argument};

/// The user's things, and servers on this machine.
struct Victim {
    folder: TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    _unix: UnixListener,
    _abstract: UnixListener,
    abstract_name: String,
    /// A process of the user with a credential in its environment.
    process: std::process::Child,
}

const PLANTED: &str = "planted-credential-0815";

const FILES: [&str; 5] = [
    "project/cells/text/anthropic.yaml",
    "project/.git/hooks/pre-commit",
    "home/.aws/credentials",
    "cache/litellm/site-packages/x.py",
    "other-trial/transcript",
];

impl Victim {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for file in FILES {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, PLANTED).unwrap();
        }
        std::fs::create_dir(folder.path().join("trial")).unwrap();
        let abstract_name = format!("compat-test-{}", Uuid::new_v4());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let echo = udp.try_clone().unwrap();
        std::thread::spawn(move || {
            while let Ok((_, from)) = echo.recv_from(&mut [0; 16]) {
                let _ = echo.send_to(b"echo", from);
            }
        });
        Self {
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            udp,
            _unix: UnixListener::bind(folder.path().join("socket")).unwrap(),
            _abstract: UnixListener::bind_addr(&address).unwrap(),
            abstract_name,
            process: std::process::Command::new("sleep")
                .arg("100")
                .env("SOME_KEY", PLANTED)
                .spawn()
                .unwrap(),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn targets(&self) -> Value {
        let files: Vec<PathBuf> = FILES.iter().map(|file| self.path(file)).collect();
        json!({
            "planted_backwards": PLANTED.chars().rev().collect::<String>(),
            "read": files,
            "write": files.iter().chain(&[self.path("project/cells"), self.path("project")]).collect::<Vec<_>>(),
            "tcp": [self.tcp.local_addr().unwrap()],
            "udp": self.udp.local_addr().unwrap().to_string(),
            "unix": self.path("socket"),
            "abstract_unix": self.abstract_name,
        })
    }

    fn is_untouched(&self) -> bool {
        let files = FILES
            .iter()
            .all(|file| std::fs::read_to_string(self.path(file)).is_ok_and(|text| text == PLANTED));
        files && std::fs::read_dir(self.path("project")).unwrap().count() == 2
    }

    fn environment(&self) -> Environment {
        let text = |path: PathBuf| path.into_os_string();
        Environment::from_iter([
            (env::HOME, text(self.path("home"))),
            (env::COMPAT_CACHE_DIR, text(self.path("cache"))),
            (env::PATH, std::env::var_os(env::PATH).unwrap_or_default()),
        ])
    }

    fn cage(&self, level: IsolationLevel) -> Option<Arc<Cage>> {
        let environment = self.environment();
        let layers = confinement::layers(&environment).at_most(level);
        let (root, keeper) = (self.path("project"), fake_claude());
        let cage = confinement::cage(&environment, layers, Some(&root), Some(&keeper), None).unwrap()?;
        (cage.level() == level).then_some(cage)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the double prints with these steps, with its tag.
async fn run(cage: &Arc<Cage>, folder: &Path, steps: Value) -> (Vec<Value>, ProcessTag) {
    let tag = ProcessTag::trial(RunId::mint(), TrialKey(Uuid::new_v4()));
    let launch = Launch::new(fake_claude(), tag)
        .environment([("FAKE_CLAUDE_STEPS", steps.to_string())])
        .directory(folder)
        .confined(Some(cage), folder);
    let mut piped = Piped::start(launch, 4096).unwrap();
    let mut lines = Vec::new();
    while let Some(line) = piped.next().await {
        lines.push(serde_json::from_str(&line.text).unwrap_or(json!(line.text)));
    }
    let (ended, stderr) = piped.finish().await.unwrap();
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    assert!(ended.is_success(), "{ended}: {stderr} {lines:?}");
    (lines, tag)
}

async fn spied(victim: &Victim, level: IsolationLevel) -> Option<BTreeSet<String>> {
    let cage = victim.cage(level)?;
    let (lines, _) = run(&cage, &victim.path("trial"), json!([{ "spy": victim.targets() }])).await;
    let found = lines[0]["found"].as_array().unwrap().iter();
    Some(found.map(|what| what.as_str().unwrap().to_owned()).collect())
}

/// The levels that confine `claude`, the weakest first.
const CONFINED: [IsolationLevel; 3] = [
    IsolationLevel::Process,
    IsolationLevel::Landlock,
    IsolationLevel::Full,
];

#[tokio::test]
async fn at_the_full_level_a_spy_finds_nothing() {
    let victim = Victim::new();
    // This machine may have no bubblewrap; `compat doctor` says so.
    if let Some(found) = spied(&victim, IsolationLevel::Full).await {
        assert_eq!(found, BTreeSet::new());
        assert!(victim.is_untouched());
    }
}

#[tokio::test]
async fn at_the_level_landlock_a_spy_finds_only_what_it_lacks() {
    let victim = Victim::new();
    if let Some(mut found) = spied(&victim, IsolationLevel::Landlock).await {
        for lacking in ["UDP", "Unix socket with a path"] {
            found.remove(lacking);
        }
        assert_eq!(found, BTreeSet::new());
        assert!(victim.is_untouched());
        assert_eq!(IsolationLevel::Landlock.lacks().len(), 3);
    }
}

#[tokio::test]
async fn at_the_level_process_a_spy_reads_no_memory_of_root() {
    let victim = Victim::new();
    let Some(found) = spied(&victim, IsolationLevel::Process).await else {
        return;
    };
    // Files and networks are not confined.
    assert!(found.iter().any(|what| what.starts_with("read")));
    assert!(found.contains("TCP"));
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        // `claude` of another trial, of this run or another run, has as few rights as this one.
        let leaks = |what: &String| what.ends_with(" (root)") && !what.starts_with("signal");
        assert!(!found.iter().any(leaks), "{found:?}");
    }
}

#[tokio::test]
async fn nothing_outlives_the_program_at_any_level() {
    for level in CONFINED {
        let victim = Victim::new();
        let Some(cage) = victim.cage(level) else { continue };
        let steps: Vec<&str> = [
            "spawn_escapee",
            "spawn_escapee_without_tag",
            "spawn_orphan_without_tag",
        ]
        .repeat(4);
        let marker = format!("compat-escapee-{}", Uuid::new_v4());
        let mut steps = json!(steps);
        steps
            .as_array_mut()
            .unwrap()
            .insert(0, json!({ "mark_escapees": marker }));
        let (lines, tag) = run(&cage, &victim.path("trial"), steps).await;
        assert!(lines.len() >= 12, "{lines:?}");
        assert_eq!(tagged(tag), BTreeSet::new(), "{level}");
        assert_eq!(with_argument(&marker), Vec::<u32>::new(), "{level}");
    }
}

#[tokio::test]
async fn a_confined_program_keeps_its_output_and_its_end() {
    for level in CONFINED {
        let victim = Victim::new();
        let Some(cage) = victim.cage(level) else { continue };
        for (step, code, signal) in [
            (json!({ "exit": 7 }), Some(7), None),
            (json!({ "die": 9 }), None, Some(9)),
            (json!({ "die": 6 }), None, Some(6)),
            (json!({ "die": 15 }), None, Some(15)),
        ] {
            let tag = ProcessTag::trial(RunId::mint(), TrialKey(Uuid::new_v4()));
            let steps = json!([{ "print": "hello" }, { "print_error": "oh" }, step]);
            let launch = Launch::new(fake_claude(), tag)
                .environment([("FAKE_CLAUDE_STEPS", steps.to_string())])
                .directory(victim.path("trial"))
                .confined(Some(&cage), &victim.path("trial"));
            let mut piped = Piped::start(launch, 4096).unwrap();
            assert_eq!(piped.next().await.unwrap().text, "hello");
            let (ended, stderr) = piped.finish().await.unwrap();
            assert_eq!((ended.code, ended.signal), (code, signal), "{level} {step}");
            assert_eq!(stderr, b"oh\n");
        }
    }
}

#[test]
fn an_executable_that_was_removed_during_a_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = folder.path().join("compat");
    std::fs::copy(fake_claude(), &keeper).unwrap();
    let layers = confinement::layers(&Environment::default()).at_most(IsolationLevel::Process);
    let cage = Cage::new(Some(&keeper), layers, &[], &[], None).unwrap();
    std::fs::remove_file(&keeper).unwrap();
    let tag = ProcessTag::trial(RunId::mint(), TrialKey(Uuid::new_v4()));
    let launch = Launch::new(fake_claude(), tag)
        .directory(folder.path())
        .confined(Some(&Arc::new(cage)), folder.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(async { Piped::start(launch, 4096).err().unwrap().to_string() });
    assert_has(&error, "/compat`, which confines it, is gone");
}

#[tokio::test]
async fn a_kill_from_outside_ends_the_whole_cage() {
    let victim = Victim::new();
    let level = CageLayers::level(&confinement::layers(&victim.environment()));
    let Some(cage) = victim.cage(level) else { return };
    let tag = ProcessTag::trial(RunId::mint(), TrialKey(Uuid::new_v4()));
    let launch = Launch::new(fake_claude(), tag)
        .environment([(
            "FAKE_CLAUDE_STEPS",
            json!(["spawn_orphan_without_tag", "hang"]).to_string(),
        )])
        .directory(victim.path("trial"))
        .confined(Some(&cage), &victim.path("trial"));
    let mut piped = Piped::start(launch, 4096).unwrap();
    piped.next().await.unwrap();
    piped.kill().await;
    let (ended, _) = piped.finish().await.unwrap();
    assert_eq!(ended.signal, Some(9));
    until("nothing is left", || tagged(tag).is_empty()).await;
}

/// What the spy found in a run of the harness, whose environment has a credential.
async fn spied_in_a_run(level: &str) -> String {
    let simulator = simulator().await;
    let mut small = Small::attached(&simulator);
    small.set("AWS_SECRET_ACCESS_KEY", PLANTED);
    let targets = json!({
        "planted_backwards": PLANTED.chars().rev().collect::<String>(),
        "read": [small.path("manifest.yaml"), small.path("compat-results.json")],
        "write": [small.path("cells"), small.path("compat-results.json"), small.path("cache")],
        "tcp": [simulator.base_url().trim_start_matches("http://")],
    });
    let steps = json!([{ "spy": targets }, "answer"]).to_string();
    let cell = "expect:\n  asked_once:\n    requests: { count: 1 }\n";
    small.write(
        "cells/text/anthropic.yaml",
        &format!("{cell}env:\n  FAKE_CLAUDE_STEPS: '{steps}'\n"),
    );
    let ran = small.run(&["--isolation", level, "text::anthropic::haiku"]).await;
    ran.exits(0);
    let run = small.results().run;
    assert_eq!(run.isolation.map(IsolationLevel::as_str), Some(level));
    let evidence = files_below(&small.path("target/compat"));
    let lines = evidence.iter().flat_map(|file| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines()
            .filter(|line| line.contains("\"spy\""))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    lines.collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn in_a_run_the_spy_sees_no_credential_and_no_admin_route() {
    let environment = Environment::from_process();
    let reached = confinement::layers(&environment).level();
    for level in CONFINED {
        if level > reached {
            continue;
        }
        let found = spied_in_a_run(level.as_str()).await;
        assert!(found.contains("found"), "the evidence has no report: {found}");
        assert!(found.contains("\"token\":\"[redacted]\""), "{found}");
        assert!(
            !found.contains("credential in the environment of harness"),
            "{found}"
        );
        for never in ["master key", " from /", "no answer from"] {
            assert!(!found.contains(never), "{level}: {never} in {found}");
        }
        // The keeper is the same program. An ordinary user's keeper has no more rights than the spy.
        assert!(found.matches("memory of harness").count() <= 1, "{found}");
        if level > IsolationLevel::Process {
            assert!(found.contains("\"found\":[]"), "{level}: {found}");
        }
    }
}

#[tokio::test]
async fn a_run_below_the_required_level_starts_no_trial() {
    let simulator = simulator().await;
    let small = Small::attached(&simulator);
    let ran = small
        .run(&["--isolation", "process", "--require-isolation", "full", "text"])
        .await;
    ran.exits(2);
    ran.err_has("the run requires isolation level `full` and reaches only `process`; `compat doctor` says");
}
