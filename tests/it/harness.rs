//! The harness as a program, on a small project: its flags, its exit status, its files. A double replaces `claude`; the
//! provider simulator replaces gateway and provider.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, SystemTime};

use compat_matrix::results::{Results, TrialResult};
use compat_matrix::{env, gateway};

use crate::support::ran::Ran;
use crate::support::small_project::{Small, simulator};
use crate::support::text::{assert_has, assert_lacks};

#[tokio::test]
async fn listing_applies_the_filters_and_starts_nothing() {
    let small = Small::new();
    let cases = [
        (
            "text::",
            "text::anthropic::haiku text::anthropic::opus text::azure::haiku text::azure::opus",
        ),
        (
            "text::anthropic words::anthropic::opus",
            "text::anthropic::haiku text::anthropic::opus words::anthropic::opus",
        ),
        ("--exact text::anthropic", ""),
        (
            "--exact words::azure::opus text::azure::opus",
            "text::azure::opus words::azure::opus",
        ),
        (
            "--skip azure --skip opus",
            "text::anthropic::haiku words::anthropic::haiku",
        ),
        ("text --exact --skip opus", ""),
        (
            "--ignored",
            "text::azure::haiku text::azure::opus words::azure::haiku words::azure::opus",
        ),
        ("--ignored opus --skip text", "words::azure::opus"),
        (
            "--feature words --provider anthropic --provider azure --tier opus",
            "words::anthropic::opus words::azure::opus",
        ),
    ];
    for (arguments, expected) in cases {
        let mut line = vec!["--list", "--format", "terse"];
        line.extend(arguments.split_whitespace());
        let listed = small.run(&line).await;
        let expected: BTreeSet<&str> = expected.split_whitespace().collect();
        assert_eq!(listed.listed(), expected, "{arguments}");
    }
    for arguments in [&[][..], &["--include-ignored"]] {
        let listed = small.run(&[&["--list"], arguments].concat()).await;
        assert_eq!(listed.listed().len(), 8, "{arguments:?}");
    }
    // nextest lists this way, and broken cells do not matter.
    small.write("cells/text/anthropic.yaml", "expect: [");
    assert_eq!(
        small.run(&["--list", "--format", "terse"]).await.listed().len(),
        8
    );
    assert!(!small.path("compat-results.json").exists());
}

#[tokio::test]
async fn not_applicable_trials_are_ignored_and_start_nothing() {
    let mut small = Small::new();
    // The start of a session would fail.
    small.set(env::LITELLM_PROXY_BASE_URL, "http://127.0.0.1:1");
    let ran = small.run(&["--ignored"]).await;
    ran.exits(0);
    ran.out_has(
        "not applicable: 4 trials of azure (no Claude there (https://example.com))\n",
        1,
    );
    ran.out_has("... ignored", 0);
    ran.out_has("0 passed; 0 failed; 4 ignored; 0 measured; 4 filtered out", 1);
    ran.err_has("no trial was executed, so the last results were not changed");
    assert!(!small.path("compat-results.json").exists() && !small.path("target/compat/runs").exists());
    small.write("compat-results.json", "the last results");
    small.run(&["--ignored"]).await.exits(0);
    small.run(&["azure"]).await.exits(0);
    assert_eq!(small.read("compat-results.json"), "the last results");
    // A file that the user names is written.
    let file = small.path("azure.json");
    small.set(env::COMPAT_RESULTS_PATH, file.to_str().unwrap());
    small.run(&["azure"]).await.exits(0);
    let results = Results::parse(&small.read("azure.json")).unwrap();
    assert_eq!((results.run.selected, results.run.complete), (4, true));
    let refused = small.run(&["--ignored", "--include-ignored"]).await;
    refused.exits(2);
}

#[tokio::test]
async fn unknown_names_are_refused_with_the_known_ones() {
    let small = Small::new();
    for (arguments, expected) in [
        (
            &["--feature", "test"][..],
            "there is no feature `test` (did you mean `text`?): expected one of `text`, `words`",
        ),
        (&["--provider", "bedrock"], "there is no provider `bedrock`"),
        (&["--tier", "haikú"], "(did you mean `haiku`?)"),
        (&["--status", "failed"], "a similar value exists: 'fail'"),
        (&["--cause", "gatevay"], "a similar value exists: 'gateway'"),
        (&["--rerun-failed"], "there are no results to select from"),
        (&["--test-threads", "0"], "expected a number from 1"),
        (&["--test-threads", "x"], "expected a number from 1"),
    ] {
        let ran = small.run(arguments).await;
        ran.exits(2);
        ran.err_has(expected);
    }
    for (arguments, expected) in [
        (
            &["--wrong-flag"][..],
            "error: unexpected argument '--wrong-flag' found\n\nUsage: cargo test --test compat -- [OPTIONS] [FILTER]...\n",
        ),
        (
            &["--gatway", "x"],
            "unexpected argument '--gatway' found\n\n  tip: a similar argument exists: '--gateway'\n\nUsage: ",
        ),
        (&["-w"], "unexpected argument '-w' found\n\nUsage: "),
        (&["--tier"], "a value is required for '--tier <TIER>'"),
        (
            &["--", "--tier", "haiku"],
            "no trial has such a name; a flag stands before `--`",
        ),
    ] {
        let ran = small.run(arguments).await;
        ran.exits(2);
        ran.err_has(expected);
        ran.err_lacks("as a value");
    }
    // Another filter selects trials.
    let ran = small.run(&["azure", "wrods"]).await;
    ran.exits(0);
    ran.err_has("no trial name contains `wrods` (did you mean `words`?)");
    small.write("compat-results.json", "{}");
    let ran = small.run(&["--status", "fail", "--list"]).await;
    ran.err_has("contains no results");
    let mut small = Small::new();
    small.set(env::RUST_TEST_THREADS, "none");
    let ran = small.run(&["--ignored"]).await;
    ran.err_has("`RUST_TEST_THREADS` is `none`, expected a number from 1");
}

#[tokio::test]
async fn a_filter_without_match_keeps_the_last_results() {
    let small = Small::new();
    small.write("compat-results.json", "the last results");
    for (arguments, expected) in [
        (
            &["wrods"][..],
            "no trial name contains `wrods` (did you mean `words`?); `--list` shows all of them",
        ),
        (
            &["0815"],
            "no trial name contains `0815`; `--list` shows all of them",
        ),
        (
            &["--exact", "text"],
            "no trial has exactly this name; without `--exact` a part of a name is enough",
        ),
        (
            &["text", "--feature", "words"],
            "no trial matches all of the filters",
        ),
    ] {
        let ran = small.run(arguments).await;
        ran.exits(4);
        ran.err_has(&format!("error: nothing to run: {expected}"));
        ran.out_has("8 filtered out", 1);
        let left = small.read("compat-results.json");
        assert_eq!(left, "the last results");
    }
    small.write("empty.txt", "");
    small.write("one.txt", "text::anthropic::haiku\n");
    for (arguments, status) in [
        (&["--shard", "1/2", "wrods"][..], 4),
        (&["--trials", "one.txt", "wrods"], 4),
        (&["--trials", "one.txt", "words"], 0),
        (&["--trials", "empty.txt"], 0),
        (
            &[
                "--shard",
                "2/2",
                "--exact",
                "text::anthropic::haiku",
                "--skip",
                "words",
            ],
            0,
        ),
    ] {
        let ran = small.run(arguments).await;
        ran.exits(status);
        ran.err_has("nothing to run: ");
        assert_eq!(small.read("compat-results.json"), "the last results");
    }
    small.write("cells/wrods/anthropic.yaml", "prompt: ping\n");
    small.run(&["--bench"]).await.exits(2);
    let stray = small.run(&["wrods"]).await;
    stray.exits(2);
    stray.err_has("cells/wrods");
}

#[tokio::test]
async fn a_session_error_is_printed_once_and_recorded_for_each_trial() {
    let mut small = Small::new();
    small.set(env::LITELLM_PROXY_BASE_URL, "http://127.0.0.1:1");
    small.set(env::LITELLM_PROXY_API_KEY, "a-key");
    small.set(env::COMPAT_CLAUDE, "/no/such/claude");
    let ran = small.run(&["anthropic"]).await;
    ran.exits(2);
    ran.out_has("see the error at the end", 1);
    ran.out_has("---- ", 1);
    ran.err_has("4 trials have the report of ");
    ran.err_has(" and 1 more\n");
    assert_eq!(
        ran.err.matches("no trial could be run: ").count(),
        1,
        "{}",
        ran.err
    );
    let error = ran.err.split("no trial could be run: ").nth(1).unwrap();
    let reason = error.lines().next().unwrap();
    assert_lacks(&ran.out, reason);
    let recorded = small.read("test-results/junit.xml");
    assert_eq!(recorded.matches("<testcase").count(), 4);
    assert_has(&recorded, "the session could not be started");
}

/// Runs a program with a closed standard output.
async fn with_closed_stdout(mut command: Command) -> Ran {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    Ran::beside(command).await
}

#[tokio::test]
async fn a_closed_stdout_causes_no_panic() {
    let small = Small::new();
    let listed = with_closed_stdout(small.harness(&["--list"])).await;
    assert_eq!((listed.status, listed.err.as_str()), (Some(0), ""));
    let run = with_closed_stdout(small.harness(&["--ignored"])).await;
    run.exits(2);
    let said = run.err.lines().last().unwrap_or_default();
    assert!(said.starts_with("error: stdout was closed"), "{}", run.err);
    run.err_lacks("panicked");
    small.write("cells/text/_shared.yaml", "promt: ping\n");
    let compat = env!("CARGO_BIN_EXE_compat");
    for (arguments, status) in [
        (&["check"][..], 3),
        (&["check", "--format", "json"], 3),
        (&["explain", "words::anthropic"], 0),
        (&["explain", "words::anthropic::haiku", "--json"], 0),
        (&["completions", "bash"], 0),
        (&["schema", "--help"], 0),
    ] {
        let ran = with_closed_stdout(small.program(compat, arguments)).await;
        assert_eq!(ran.status, Some(status), "{arguments:?}: {}", ran.err);
        assert!(!ran.err.contains("panicked"), "{arguments:?}: {}", ran.err);
    }
}

#[tokio::test]
async fn compat_run_is_the_harness() {
    let small = Small::new();
    for arguments in [
        &["--list", "text", "--tier", "opus"][..],
        &["--ignored"],
        &["wrods"],
        &["--tier", "none"],
        &["--gatway"],
    ] {
        let (harness, compat) = (
            small.run(arguments).await,
            small.compat(&[&["run"], arguments].concat()).await,
        );
        assert_eq!(compat.status, harness.status, "{arguments:?}: {}", compat.err);
        let untimed = |out: &str| out.split("; finished in").next().unwrap_or_default().to_owned();
        assert_eq!(untimed(&compat.out), untimed(&harness.out), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_list_can_be_written_to_a_file() {
    let small = Small::new();
    let ran = small.run(&["--list", "--logfile", "list.txt", "words"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), ""));
    let listed = small.read("list.txt");
    assert_eq!(listed.lines().count(), 4, "{listed}");
    let ran = small.run(&["--list", "wrods"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), ""));
    ran.err_has(
        "nothing to list: no trial name contains `wrods` (did you mean `words`?); `--list` shows all of them",
    );
}

#[tokio::test]
async fn mistakes_of_a_shared_file_are_printed_once() {
    let small = Small::new();
    small.write("cells/text/_shared.yaml", "promt: ping\n");
    let ran = small.run(&["text::anthropic"]).await;
    ran.exits(102);
    ran.out_has("unknown key `promt`", 1);
    ran.out_has("---- ", 1);
    ran.err_has("2 trials have the report of text::anthropic::");
    for entry in small.results().results {
        let TrialResult::Fail { error } = entry.result else {
            panic!("{} is not broken", entry.nodeid)
        };
        assert_has(&error, "unknown key `promt`");
    }
}

#[tokio::test]
async fn a_part_of_a_name_gets_suggestions() {
    let small = Small::new();
    std::fs::remove_file(small.path("cells/text/azure.yaml")).unwrap();
    for (arguments, expected) in [
        (
            ["explain", "words"],
            "; did you mean one of `words::anthropic`, `words::azure`?",
        ),
        (
            ["explain", "texts"],
            "; did you mean one of `text::anthropic`, `text::azure`?",
        ),
        (
            ["check", "cells/txt"],
            "there is no `cells/txt` (did you mean `text`?)",
        ),
        (["check", "/"], "`/` is not below `"),
        (
            ["show", "words"],
            "`words` is neither a folder nor a trial, expected `feature::provider::tier`",
        ),
    ] {
        let ran = small.compat(&arguments).await;
        ran.exits(1);
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
    small.write("notes.txt", "");
    let ran = small.compat(&["check", "notes.txt"]).await;
    ran.exits(0);
    ran.err_has("`notes.txt` is not checked");
}

#[tokio::test]
async fn a_watcher_reports_a_filter_without_match() {
    use std::io::BufRead as _;
    let mut small = Small::new();
    // With an attached gateway, no session is started.
    small.set(env::LITELLM_PROXY_BASE_URL, "http://127.0.0.1:9");
    let mut command = small.program(env!("CARGO_BIN_EXE_compat"), &["watch", "wrods"]);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let said = tokio::task::spawn_blocking(move || {
        let mut lines = stderr.lines().map_while(Result::ok);
        lines.find(|line| line.contains("no trial matches") || line.contains("until interrupted"))
    });
    let said = said.await.unwrap().unwrap_or_default();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        said,
        "no trial matches: no trial name contains `wrods` (did you mean `words`?); `--list` shows all of them"
    );
}

#[tokio::test]
async fn changed_cells_start_first() {
    let simulator = simulator().await;
    let small = Small::attached(&simulator);
    let first = || async {
        let ran = small.run(&["anthropic", "--test-threads", "1"]).await;
        let mut lines = ran.out.lines().filter_map(|line| line.strip_prefix("test "));
        let begun = lines.next().and_then(|line| line.split("::").next());
        begun.map(str::to_owned)
    };
    assert_eq!(first().await.as_deref(), Some("text"));
    assert_eq!(first().await.as_deref(), Some("text"));
    let file = std::fs::File::options()
        .append(true)
        .open(small.path("cells/words/anthropic.yaml"));
    let later = SystemTime::now() + Duration::from_secs(600);
    file.unwrap().set_modified(later).unwrap();
    assert_eq!(first().await.as_deref(), Some("words"));
}

/// The user's own mistakes: nothing is judged, and the message says which line to change.
#[tokio::test]
async fn a_wrong_address_ends_the_run_with_the_line_to_change() {
    let simulator = simulator().await;
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", hanging.local_addr().unwrap());
    let bare = simulator.base_url().trim_start_matches("http://").to_owned();
    let encrypted = format!("https://{bare}");
    for (name, value, expected) in [
        (
            env::LITELLM_PROXY_BASE_URL,
            bare.as_str(),
            format!("write `LITELLM_PROXY_BASE_URL=http://{bare}`"),
        ),
        (
            env::LITELLM_PROXY_BASE_URL,
            "http://127.0.0.1:1",
            "cannot reach the gateway at `http://127.0.0.1:1`: start it, or correct `LITELLM_PROXY_BASE_URL`"
                .to_owned(),
        ),
        (
            env::LITELLM_PROXY_BASE_URL,
            silent.as_str(),
            format!("the gateway at `{silent}` does not answer within 3 s"),
        ),
        (
            env::LITELLM_PROXY_BASE_URL,
            encrypted.as_str(),
            format!("does not speak TLS: write `LITELLM_PROXY_BASE_URL=http://{bare}`"),
        ),
        (
            env::LITELLM_PROXY_API_KEY,
            "sk-\n1",
            "`LITELLM_PROXY_API_KEY` has a line break".to_owned(),
        ),
        (
            env::COMPAT_PROVIDER_URL,
            "not a URL",
            "`COMPAT_PROVIDER_URL` is `not a URL`, which is no address of a server".to_owned(),
        ),
        (
            env::COMPAT_PROVIDER_URL,
            bare.as_str(),
            format!("write `COMPAT_PROVIDER_URL=http://{bare}`"),
        ),
        (
            env::COMPAT_PROVIDER_URL,
            silent.as_str(),
            format!("the server at `{silent}` does not answer within 4 s"),
        ),
    ] {
        let mut small = Small::attached(&simulator);
        small.set(name, value);
        let start = std::time::Instant::now();
        let ran = small.run(&["text"]).await;
        assert!(start.elapsed() < Duration::from_secs(10), "{name}={value}");
        ran.exits(2);
        ran.err_has(&expected);
        assert_eq!(small.causes(), ["harness"], "{name}={value}");
    }
}

#[tokio::test]
async fn an_address_is_the_url_that_it_means() {
    for (value, address) in [
        ("http://Gateway.corp:4000", "http://gateway.corp:4000"),
        ("https://gw:443", "https://gw"),
        ("http://gw:80/", "http://gw"),
        ("http:/127.0.0.1:4000", "http://127.0.0.1:4000"),
        ("http://127.1:4000/llm/", "http://127.0.0.1:4000/llm"),
        (" http://gw:4000/ \n", "http://gw:4000"),
    ] {
        assert_eq!(gateway::checked_address("X", value).unwrap(), address);
    }
    let simulator = simulator().await;
    let mut small = Small::attached(&simulator);
    let (_, port) = simulator.base_url().rsplit_once(':').unwrap();
    for name in [env::LITELLM_PROXY_BASE_URL, env::COMPAT_PROVIDER_URL] {
        small.set(name, &format!("HTTP:/127.1:{port}/\n"));
    }
    let key = &simulator.credentials().anthropic_api_key;
    small.set(env::LITELLM_PROXY_API_KEY, &format!("{key}\n"));
    small.run(&["text"]).await.exits(0);
}

#[tokio::test]
async fn a_wrong_model_id_is_told_before_anything_starts() {
    let small = Small::new();
    let right = small.read("proxy_config.yaml");
    small.write(
        "proxy_config.yaml",
        &right.replace("anthropic/claude-haiku-4-5", "anthropic/claude-haku-4-5"),
    );
    let ran = small.run(&["text"]).await;
    ran.exits(2);
    ran.err_has("`anthropic` has no model `claude-haku-4-5`");
    ran.err_has("proxy_config.yaml:2:");
    ran.err_has("did you mean `claude-haiku-4-5`?");
}

#[tokio::test]
async fn a_simulated_run_does_not_start_if_a_line_leaves_it() {
    let small = Small::new();
    small.write(
        "proxy_config.yaml",
        "model_list:\n  - model_name: claude-*\n    litellm_params:\n      model: anthropic/claude-*\n      api_base: https://api.anthropic.com\n",
    );
    small.compat(&["check"]).await.exits(0);
    let ran = small.run(&["text"]).await;
    ran.exits(2);
    ran.err_has("a simulated run would call `https://api.anthropic.com` instead of the simulator");
    ran.err_has("proxy_config.yaml:5:17");
}
