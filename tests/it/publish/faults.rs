//! `compat publish` with failures of the network, the server, the disk and its own process: it never publishes a part.

use std::process::Stdio;

use futures_util::future::join_all;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::MATRIX;
use crate::support::hub::{Fault, Hub, MATRIX_PATH};
use crate::support::loopback::unused_port;
use crate::support::machine::{CLAUDE, Machine};
use crate::support::project::copy_of_this_project;
use crate::support::ran::Ran;
use crate::support::registry;
use crate::support::text::assert_has;

async fn with(fault: Fault) -> (Hub, Machine) {
    let (hub, machine) = (Hub::start().await, Machine::new());
    hub.state().fault = fault;
    (hub, machine)
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let (hub, machine) = with(Fault::RefuseTokens).await;

    let ran = machine.publishes(&hub, &[]).await;

    ran.exits(1);
    ran.err_has("the docs repository refuses the token");
    assert_eq!(hub.state().minted, 2);
    assert_eq!(hub.commits("main"), 1);
}

#[tokio::test]
async fn a_read_only_token_is_reported() {
    let (hub, machine) = with(Fault::ReadOnly).await;
    let ran = machine.publishes(&hub, &[]).await;
    ran.exits(1);
    ran.err_has("refuses the token");
    assert_eq!(hub.commits("main"), 1);
}

#[tokio::test]
async fn a_token_that_expires_before_the_push_is_renewed() {
    let (hub, machine) = with(Fault::Expire).await;

    let ran = machine.publishes(&hub, &[]).await;

    ran.exits(0);
    assert_eq!(hub.state().minted, 2);
    assert_eq!(hub.changed("main"), [MATRIX_PATH]);
}

#[tokio::test]
async fn a_token_near_its_end_is_not_used() {
    let (hub, machine) = with(Fault::Moves(1)).await;
    hub.state().lifetime = 60;

    let ran = machine.publishes(&hub, &[]).await;

    ran.exits(0);
    assert_eq!(hub.state().minted, 2, "one for each attempt");
}

#[tokio::test]
async fn a_rejected_push_shows_the_server_s_words_once() {
    let (hub, machine) = with(Fault::None).await;
    hub.hook(
        "pre-receive",
        "echo 'main is protected: ask an admin' >&2; exit 1",
    );

    let ran = machine.publishes(&hub, &[]).await;

    ran.exits(1);
    ran.err_has("rejects the push");
    ran.err_has("main is protected: ask an admin");
    assert_eq!(hub.commits("main"), 1);
    let pushes = |call: &&String| call.contains("POST") && call.contains("receive-pack");
    assert_eq!(hub.state().calls.iter().filter(pushes).count(), 1);
}

#[tokio::test]
async fn a_moved_branch_keeps_the_commits_of_others() {
    let (hub, machine) = with(Fault::Moves(2)).await;

    let ran = machine.publishes(&hub, &[]).await;

    ran.exits(0);
    ran.err_has("trying again (attempt 3 of 5)");
    assert_eq!(hub.changed("main"), [MATRIX_PATH]);
    assert_eq!(hub.commits("main"), 4);
    assert_eq!(hub.file("main", "docs/1.md"), "news");
    assert_eq!(hub.file("main", "docs/2.md"), "news");
}

#[tokio::test]
async fn a_server_without_partial_clones_works_too() {
    let (hub, machine) = with(Fault::None).await;
    hub.git(&["config", "uploadpack.allowFilter", "false"]);
    hub.put("main", MATRIX_PATH, MATRIX);

    let ran = machine.publishes(&hub, &[]).await;

    ran.exits(0);
    assert_eq!(hub.changed("main"), [MATRIX_PATH]);
}

#[tokio::test]
async fn a_push_is_retried_after_a_network_failure() {
    let (hub, machine) = with(Fault::CutBeforePush(1)).await;

    let ran = machine.publishes(&hub, &[]).await;

    ran.exits(0);
    assert_eq!(hub.commits("main"), 2);
}

#[tokio::test]
async fn a_network_that_stays_broken_ends_the_run() {
    let (hub, machine) = with(Fault::CutBeforePush(100)).await;

    let ran = machine.publishes(&hub, &["--attempts", "2"]).await;

    ran.exits(1);
    ran.err_has("cannot reach the docs repository");
    assert_eq!(hub.commits("main"), 1);
}

#[tokio::test]
async fn a_push_that_breaks_off_leaves_nothing_and_is_retried() {
    let (hub, machine) = with(Fault::CutInPush).await;

    let ran = machine.publishes(&hub, &["--attempts", "1"]).await;
    ran.exits(1);
    assert_eq!(hub.commits("main"), 1);
    is_whole(&hub);

    hub.state().fault = Fault::CutInPush;
    let ran = machine.publishes(&hub, &[]).await;
    ran.exits(0);
    ran.err_has("trying again (attempt 2 of 5)");
    assert_eq!(hub.commits("main"), 2);
    is_whole(&hub);
}

#[tokio::test]
async fn a_push_with_a_lost_answer_is_not_repeated() {
    let (hub, machine) = with(Fault::CutAfterPush).await;

    let ran = machine.publishes(&hub, &[]).await;

    ran.exits(0);
    ran.err_has("an earlier attempt pushed the commit");
    ran.err_has("published as commit");
    assert_eq!(hub.commits("main"), 2);
}

#[tokio::test]
async fn a_repository_that_never_answers_ends_the_run() {
    let (hub, machine) = with(Fault::None).await;
    let address = format!("http://127.0.0.1:{}/x/y.git", unused_port());
    hub.state().tokens.push("ghs_canaryTOKEN".into());
    let token = machine.write("token", "ghs_canaryTOKEN");
    let mut command = machine.publish_to(&hub, &address);
    command.arg("--results").arg(machine.path("results.json")).args([
        "--token-file",
        &token,
        "--attempts",
        "2",
    ]);
    let ran = Ran::of(&mut command).await;
    ran.exits(1);
    ran.err_has("(attempt 2 of 2)");
    ran.err_has("error: publish: cannot reach the docs repository");
}

#[tokio::test]
async fn a_file_in_place_of_a_folder_is_not_changed() {
    let (hub, machine) = with(Fault::None).await;
    hub.put("main", "static", "not a folder\n");
    let before = hub.head("main");

    let ran = machine.publishes(&hub, &[]).await;

    ran.exits(1);
    assert_eq!(hub.head("main"), before);
}

/// `publish` with a full disk. If this user may mount, its temporary folder is a disk of `size` KiB (`ENOSPC`); otherwise no
/// file can grow beyond that size (`EFBIG`).
fn on_full_disk(publish: &tokio::process::Command, size: u32) -> tokio::process::Command {
    let publish = publish.as_std();
    let may_mount = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", "mount -t tmpfs none /mnt"])
        .output()
        .is_ok_and(|output| output.status.success());
    let fill = format!("mount -t tmpfs -o size={size}k none \"$TMPDIR\"; exec \"$0\" \"$@\"");
    let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", size / 4);
    let mut command = match may_mount {
        true => {
            let mut command = tokio::process::Command::new("unshare");
            command.args(["--mount", "/bin/sh", "-c", &fill]);
            command
        }
        false => {
            let mut command = tokio::process::Command::new("/bin/sh");
            command.args(["-c", &limit]);
            command
        }
    };
    let variables = publish
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    command
        .env_clear()
        .envs(variables)
        .arg(publish.get_program())
        .args(publish.get_args());
    command
}

#[tokio::test]
async fn a_full_disk_publishes_nothing() {
    let (hub, machine) = with(Fault::None).await;
    let publish = machine.publish_results(&hub);
    // With one page `compat` cannot create the repository, with three it cannot fetch, with six it cannot commit.
    for size in [4, 12, 24] {
        let ran = Ran::of(&mut on_full_disk(&publish, size)).await;
        ran.exits(1);
        assert!(ran.err.contains("error: "), "{size}: {}", ran.err);
        assert_eq!(hub.commits("main"), 1);
    }
    let ran = machine.publishes(&hub, &[]).await;
    ran.exits(0);
    assert_eq!(hub.commits("main"), 2);
}

#[tokio::test]
async fn a_run_killed_at_any_step_leaves_nothing() {
    let steps = [
        "resolve LiteLLM:",
        "gateway: pulling",
        "gateway: LiteLLM",
        "run: running",
        "validate:",
    ];
    let (hub, registry, machine) = (Hub::start().await, registry::start(CLAUDE).await, Machine::new());
    for step in steps {
        let mut child = machine
            .publish_all(&hub, &registry)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = false;
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with(&format!("compat publish: {step}")) {
                seen = true;
                child.start_kill().unwrap();
                break;
            }
        }
        child.wait().await.unwrap();
        assert!(seen, "no step `{step}`");
        machine.until_tidy().await;
        is_whole(&hub);
    }
    let ran = Ran::of(&mut machine.publish_all(&hub, &registry)).await;
    ran.exits(0);
    assert_eq!(hub.changed("main"), [MATRIX_PATH]);
    assert_eq!(hub.commits("main"), 2);
    assert_eq!(
        machine.containers(),
        Vec::<String>::new(),
        "the containers of killed runs are removed"
    );
}

#[tokio::test]
async fn a_run_killed_at_any_call_of_git_publishes_all_or_nothing() {
    let mut killed = Vec::new();
    // Four at once, because most of the time is spent waiting for processes to end.
    for first in (0..).step_by(4) {
        let runs = join_all((first..first + 4).map(killed_at_git_call)).await;
        let is_last = runs.iter().any(Option::is_none);
        killed.extend(runs.into_iter().flatten());
        if is_last {
            break;
        }
    }
    assert!(killed.len() >= 8, "{killed:?}");
    assert!(killed.iter().any(|call| call.contains(" push ")), "{killed:?}");
}

/// Kills `compat` at a call of git; returns the call, or `None` if there are fewer calls.
async fn killed_at_git_call(number: usize) -> Option<String> {
    let (hub, machine) = with(Fault::None).await;
    machine.kill_at_git_call(number);
    let ran = machine.publishes(&hub, &[]).await;
    if ran.status == Some(0) {
        return None;
    }
    assert_eq!(ran.status, None, "{}", ran.err);
    machine.until_tidy().await;
    is_whole(&hub);
    let call = machine.git_calls().pop().unwrap_or_default();
    if call.contains(" push ") {
        let ran = machine.publishes(&hub, &[]).await;
        ran.exits(0);
        assert_eq!(hub.commits("main"), 2);
        is_whole(&hub);
    }
    Some(call)
}

/// Checks that the docs repository has the base, or the whole commit on it.
fn is_whole(hub: &Hub) {
    hub.git(&["fsck", "--strict", "--connectivity-only"]);
    match hub.commits("main") {
        1 => {}
        2 => {
            assert_eq!(hub.changed("main"), [MATRIX_PATH]);
            compat_matrix::matrix::Matrix::parse(&hub.file("main", MATRIX_PATH)).unwrap();
        }
        more => panic!("{more} commits"),
    }
}

#[tokio::test]
async fn a_run_killed_during_a_push_publishes_all_or_nothing() {
    for after in [false, true] {
        let (hub, machine) = with(Fault::None).await;
        // `pre-receive` runs after the upload and before the branch moves, `post-receive` after that.
        let name = if after { "post-receive" } else { "pre-receive" };
        let flag = machine.path("arrived");
        hub.hook(name, &format!("touch {}; sleep 0.2", flag.display()));
        let mut child = machine
            .publish_results(&hub)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !flag.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            assert!(
                child.try_wait().unwrap().is_none(),
                "the run ended without a push"
            );
        }
        child.kill().await.unwrap();
        machine.until_tidy().await;
        is_whole(&hub);
    }
}

#[tokio::test]
async fn sigterm_ends_the_harness_and_the_container() {
    let (hub, registry, machine) = (Hub::start().await, registry::start(CLAUDE).await, Machine::new());
    machine.program("harness", "sleep 60");
    let mut child = machine
        .publish_all(&hub, &registry)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("run: running") {
            let id = nix::unistd::Pid::from_raw(child.id().unwrap().try_into().unwrap());
            nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
        }
        log += &line;
        log.push('\n');
    }
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    assert_has(&log, "error: run: interrupted by SIGTERM");
    assert_eq!(
        machine.containers(),
        Vec::<String>::new(),
        "the gateway's container ends too"
    );
    machine.until_tidy().await;
}

#[tokio::test]
async fn the_error_for_a_failed_harness_shows_its_last_lines() {
    let (hub, registry, machine) = (Hub::start().await, registry::start(CLAUDE).await, Machine::new());
    machine.program("harness", "echo 'the session cannot start' >&2; exit 2");

    let ran = Ran::of(&mut machine.publish_all(&hub, &registry)).await;

    ran.exits(1);
    ran.err_has("error: run: the harness failed (exit status 2)");
    ran.err_has("the session cannot start");
}

#[tokio::test]
async fn the_cassette_of_a_failed_harness_is_cleaned() {
    let (hub, registry, machine) = (Hub::start().await, registry::start(CLAUDE).await, Machine::new());
    let folder = machine.path("output/cassette");
    let line = format!(
        "mkdir -p '{0}'; echo '{{' > '{0}/cassette.json'; exit 2",
        folder.display()
    );
    machine.program("harness", &line);

    let ran = Ran::of(&mut machine.publish_all(&hub, &registry)).await;

    ran.exits(1);
    ran.err_has("error: run: the harness failed (exit status 2)");
    ran.err_has("cassette.json`, which cannot be cleaned: ");
    assert!(folder.is_dir() && !folder.join("cassette.json").exists());
}

#[tokio::test]
async fn a_claude_with_another_digest_is_not_run() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    let registry = registry::start_tampered(CLAUDE).await;

    let ran = Ran::of(&mut machine.publish_all(&hub, &registry)).await;

    ran.exits(1);
    ran.err_has("error: install Claude Code: the downloaded file");
    assert_eq!(hub.commits("main"), 1);
}

#[tokio::test]
async fn a_rehearsal_that_would_leave_the_simulator_does_not_start() {
    let (hub, mut machine) = (Hub::start().await, Machine::new());
    let project = copy_of_this_project();
    project.write(
        "proxy_config.yaml",
        "model_list:\n  - model_name: claude-*\n    litellm_params:\n      model: anthropic/claude-*\n      api_base: https://api.anthropic.com\n",
    );
    machine.project = project.root().to_owned();
    let mut command = machine.publish(&hub);
    let ran = Ran::of(command.args(["--gateway", "venv", "--simulated", "--skip-publish"])).await;
    ran.exits(1);
    ran.err_has("a simulated run would call `https://api.anthropic.com` instead of the simulator");
    ran.err_has("proxy_config.yaml:5:17");
}
