//! Child processes: their environment, their output, and that all of them end.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use compat_matrix::ids::TrialKey;
use compat_matrix::process::{
    Launch, MAX_OUTPUT_BYTES, Piped, ProcessTag, RunId, Service, Stream, Watchdog, output, output_blocking,
    sweep, tagged,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::claude::{fake_claude, scenario};
use crate::support::text::assert_starts;
use crate::support::wait::{PATIENCE, is_alive, until};

fn launch(tag: ProcessTag, folder: &TempDir, steps: Value) -> Launch {
    Launch::new(fake_claude(), tag).environment([("FAKE_CLAUDE_SCENARIO", scenario(folder.path(), steps))])
}

fn trial_tag() -> ProcessTag {
    ProcessTag::trial(RunId::mint(), TrialKey(Uuid::new_v4()))
}

fn run_tag() -> ProcessTag {
    ProcessTag::run(RunId::mint())
}

#[tokio::test]
async fn a_child_gets_only_its_own_environment() {
    let folder = TempDir::new().unwrap();
    let dump = folder.path().join("dump");
    let tag = trial_tag();
    let launch = launch(tag, &folder, json!([{ "dump": dump }]));
    let output = output(&launch, b"", PATIENCE).await.unwrap();
    assert!(output.is_success(), "{output:?}");
    let dump: Value = serde_json::from_str(&std::fs::read_to_string(dump).unwrap()).unwrap();
    let names: Vec<&str> = dump["environment"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(names, ["COMPAT_RUN", "COMPAT_TRIAL", "FAKE_CLAUDE_SCENARIO"]);
    assert_eq!(dump["environment"]["COMPAT_RUN"], tag.run.0.to_string());
}

#[tokio::test]
async fn output_is_bounded_and_the_exit_status_kept() {
    let folder = TempDir::new().unwrap();
    let steps = json!([{ "print_long": MAX_OUTPUT_BYTES + 1 }, { "print_error": "oh" }, { "exit": 7 }]);
    let output = output(&launch(run_tag(), &folder, steps), b"", PATIENCE)
        .await
        .unwrap();
    assert_eq!(output.ended.code, Some(7));
    assert_eq!((output.stdout.len(), output.truncated), (MAX_OUTPUT_BYTES, true));
    assert_eq!(output.stderr_text(), "oh\n");
}

#[test]
fn a_synchronous_caller_can_pass_input() {
    let folder = TempDir::new().unwrap();
    let launch = launch(run_tag(), &folder, json!(["read", "read_to_end"]));
    let output = output_blocking(&launch, b"hello\n", PATIENCE).unwrap();
    assert_eq!(output.stdout_text().trim(), r#"{"type":"read","line":"hello"}"#);
}

#[tokio::test]
async fn a_program_past_its_deadline_is_killed_and_its_output_kept() {
    let folder = TempDir::new().unwrap();
    let launch = launch(
        run_tag(),
        &folder,
        json!([{ "print": "so far" }, "ignore_sigterm", "hang"]),
    );
    // The deadline includes the start of the program, which is slow on a busy machine, so longer ones follow.
    for deadline in [300, 3000, 20_000] {
        let deadline = Duration::from_millis(deadline);
        let output = output(&launch, b"", deadline).await.unwrap();
        assert!(output.timed_out && output.ended.signal == Some(9), "{output:?}");
        if output.stdout_text() == "so far\n" {
            return;
        }
    }
    panic!("the output before the deadline is lost");
}

#[tokio::test]
async fn the_error_for_a_missing_program_names_it() {
    let launch = Launch::new("/no/such/program", run_tag());
    let error = output(&launch, b"", PATIENCE).await.unwrap_err();
    assert_starts(&error.to_string(), "cannot start `/no/such/program`: ");
}

#[tokio::test]
async fn a_descendant_outside_the_group_dies_with_its_trial() {
    let folder = TempDir::new().unwrap();
    let tag = trial_tag();
    let launch = launch(tag, &folder, json!(["spawn_escapee", "spawn_escapee"]));
    let output = output(&launch, b"", PATIENCE).await.unwrap();
    assert!(output.is_success(), "{output:?}");
    assert_eq!(output.stdout_text().lines().count(), 2);
    assert!(tagged(tag).is_empty());
}

#[tokio::test]
async fn a_descendant_without_the_tag_dies_with_its_parent() {
    let folder = TempDir::new().unwrap();
    let tag = trial_tag();
    let launch = launch(tag, &folder, json!(["spawn_escapee_without_tag", "hang"]));
    let mut piped = Piped::start(launch, 0).unwrap();
    let line = piped.stdout.next().await.unwrap();
    let spawned: Value = serde_json::from_str(&line.text).unwrap();
    let pid = i32::try_from(spawned["pid"].as_i64().unwrap()).unwrap();
    until("the escapee is seen", || tagged(tag).contains(&pid)).await;
    assert_eq!(sweep(tag), 2);
    let (ended, _) = piped.finish().await.unwrap();
    assert_eq!(ended.signal, Some(9));
    assert!(!is_alive(pid.try_into().unwrap()), "{pid} lives");
}

#[tokio::test]
async fn dropping_a_child_kills_its_descendants_in_other_groups() {
    let folder = TempDir::new().unwrap();
    let tag = trial_tag();
    let mut piped = Piped::start(launch(tag, &folder, json!(["spawn_escapee", "hang"])), 0).unwrap();
    piped.stdout.next().await.unwrap();
    drop(piped);
    until("all processes are dead", || tagged(tag).is_empty()).await;
}

#[tokio::test]
async fn a_service_passes_on_its_lines_and_stops() {
    let folder = TempDir::new().unwrap();
    let steps = json!([{ "print": "out" }, { "print_error": "err" }, "hang"]);
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let lines = lines.clone();
        move |stream: Stream, line: compat_matrix::process::Line| {
            lines.lock().unwrap().push((stream, line.text))
        }
    };
    let service = Service::start(launch(run_tag(), &folder, steps), sink).unwrap();
    until("both lines", || lines.lock().unwrap().len() == 2).await;
    let ended = service.stop(PATIENCE).await.unwrap();
    assert_eq!(ended.signal, Some(15));
    let lines = lines.lock().unwrap();
    assert!(lines.contains(&(Stream::Stdout, "out".to_owned())), "{lines:?}");
    assert!(lines.contains(&(Stream::Stderr, "err".to_owned())), "{lines:?}");
}

#[tokio::test]
async fn a_service_that_ignores_sigterm_is_killed() {
    let folder = TempDir::new().unwrap();
    let ready = folder.path().join("ready");
    let steps = json!(["ignore_sigterm", { "dump": ready }, "hang"]);
    let service = Service::start(launch(run_tag(), &folder, steps), |_, _| {}).unwrap();
    until("the service is ready", || ready.exists()).await;
    let ended = service.stop(Duration::from_millis(50)).await.unwrap();
    assert_eq!(ended.signal, Some(9));
}

#[tokio::test]
async fn a_service_that_ends_by_itself_reports_how() {
    let folder = TempDir::new().unwrap();
    let mut service = Service::start(launch(run_tag(), &folder, json!([{ "exit": 3 }])), |_, _| {}).unwrap();
    assert_eq!(service.ended().await.unwrap().code, Some(3));
    assert_eq!(service.try_ended().unwrap().to_string(), "exit status 3");
}

#[tokio::test]
async fn a_killed_harness_leaves_no_process_and_no_folder_behind() {
    let folder = TempDir::new().unwrap();
    let run = RunId::mint();
    let removed = folder.path().join("of the run");
    std::fs::create_dir_all(removed.join("deep")).unwrap();
    let child = scenario(
        folder.path(),
        json!(["ignore_sigterm", "spawn_escapee", { "print": "child is up" }, "hang"]),
    );
    let steps = json!([{ "be_harness": { "run": run.0, "remove": removed, "scenario": child } }]);
    let mut harness = Piped::start(launch(run_tag(), &folder, steps), 4096).unwrap();
    let mut printed = Vec::new();
    while let Some(line) = harness.stdout.next().await {
        printed.push(line.text);
        if printed.last().is_some_and(|line| line == "child is up") {
            break;
        }
    }
    assert_eq!(tagged(ProcessTag::run(run)).len(), 2, "{printed:?}");
    harness.kill().await;
    let (ended, _) = harness.finish().await.unwrap();
    assert_eq!(ended.signal, Some(9));
    until("every process of the run is dead", || {
        tagged(ProcessTag::run(run)).is_empty()
    })
    .await;
    until("the folder is gone", || !removed.exists()).await;
}

#[tokio::test]
async fn a_finished_watchdog_has_ended_all_processes() {
    let folder = TempDir::new().unwrap();
    let run = RunId::mint();
    let watchdog = Watchdog::start_from(&fake_claude(), run).unwrap();
    let mut piped = Piped::start(
        launch(ProcessTag::run(run), &folder, json!([{ "print": "up" }, "hang"])),
        0,
    )
    .unwrap();
    piped.stdout.next().await.unwrap();
    watchdog.finish().unwrap();
    assert!(tagged(ProcessTag::run(run)).is_empty());
}

#[test]
fn a_program_without_the_hidden_mode_is_refused() {
    let error = Watchdog::start_from(Path::new("/bin/echo"), RunId::mint()).unwrap_err();
    assert_starts(
        &error.to_string(),
        "the watchdog did not start: `/bin/echo` printed",
    );
}
