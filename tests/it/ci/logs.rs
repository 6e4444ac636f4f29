//! The rules on whole logs: failures of public projects, and green logs.

use compat_matrix::ci::{CiLog, FailureCategory, SortedLog, sort};
use serde::Deserialize;

#[derive(Deserialize)]
struct Labelled {
    log: String,
    category: FailureCategory,
    source: String,
}

/// Failures of public projects, with the category that a person gave them.
const FAILURES: &str = include_str!("../../fixtures/ci/failures.jsonl");

fn labelled(text: &str) -> Vec<Labelled> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn sorted(log: &str) -> SortedLog {
    sort(&CiLog::new(log))
}

fn wrong(logs: &[Labelled], around: impl Fn(&str) -> String) -> Vec<String> {
    let sorted = logs.iter().map(|log| (log, sorted(&around(&log.log))));
    sorted
        .filter(|(log, sorted)| log.category != sorted.category)
        .map(|(log, sorted)| {
            format!(
                "{} is {}, found {} ({}, {}): {}",
                log.source,
                log.category.as_str(),
                sorted.category.as_str(),
                sorted.rule,
                sorted.confidence,
                sorted.line
            )
        })
        .collect()
}

#[test]
fn logs_of_public_failures_are_sorted_right() {
    let wrong = wrong(&labelled(FAILURES), str::to_owned);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Lines of a green job that read like failures, with a number to make them differ.
const NOISE: [&str; 25] = [
    "tests/test_litellm/test_error_{}.py::test_timeout_error PASSED [ 12%]",
    "[gw{}] [ 45%] PASSED tests/test_litellm/proxy/test_auth.py::test_401_unauthorized",
    "2026-11-26T10:33:37.0359288Z [36;1mecho \"No space left on device\" {}[0m",
    "INFO:     127.0.0.1:{} - \"POST /chat/completions HTTP/1.1\" 400 Bad Request",
    "INFO:     127.0.0.1:{} - \"GET /key/info HTTP/1.1\" 401 Unauthorized",
    "WARNING: Retrying (Retry(total={}, connect=None)) after connection broken by 'ReadTimeoutError'",
    "npm warn deprecated inflight@{}: This module is not supported, and leaks memory",
    "Cache read errors                     {}",
    "Cache timeouts                        0 of {}",
    "Failed to upload artifacts: Unable to locate credentials ({})",
    "Failed to parse and upload json test reports: An error occurred (AccessDenied) when calling the PutObject operation {}",
    "tests/llm_translation/test_rate_limit.py::test_{} RERUN",
    "test errors::tests::deadlock_detected_{} ... ok",
    " ✓ src/components/Error{}.test.tsx > shows the timeout error (12 ms)",
    "--- PASS: TestConnectionRefused{} (0.01s)",
    "   Compiling error-chain v0.{}.0",
    "Requirement already satisfied: pytest-timeout>={} in ./venv",
    "DEBUG litellm: RateLimitError was mocked {}",
    "Downloading failure-0.1.{} (12 kB)",
    "drwxr-xr-x 2 root root {} errors",
    "Collecting exceptiongroup>=1.{}",
    "step {} of the build",
    "GITHUB_TOKEN: *** ({})",
    "added {} packages, and audited 813 packages in 12s, found 0 vulnerabilities",
    "Summary: 0 failed, 0 errors, {} skipped",
];

fn noise(lines: usize) -> String {
    let lines = (0..lines).map(|index| NOISE[index % NOISE.len()].replace("{}", &index.to_string()));
    lines.map(|line| line + "\n").collect()
}

#[test]
fn noise_around_a_failure_changes_no_verdict() {
    let noise = noise(2500);
    let wrong = wrong(&labelled(FAILURES), |log| format!("{noise}{log}\n{noise}"));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The ends of green jobs.
const GREEN: [&str; 22] = [
    "============== 2411 passed, 12 skipped in 602.11s (0:10:02) ==============",
    "tests/a.py::test_b RERUN\ntests/a.py::test_b PASSED\n=========== 1 passed, 1 rerun in 3.10s ===========",
    "test result: ok. 168 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 3.90s",
    " Test Files  105 passed (105)\n      Tests  413 passed (413)\n   Duration  80.67s",
    "Tests:       42 passed, 42 total\nSnapshots:   0 total",
    "ok  \tgithub.com/example/project/server\t0.312s\nPASS",
    "Success: no issues found in 310 source files",
    "All checks passed!\n812 files already formatted",
    "added 812 packages in 12s\nfound 0 vulnerabilities",
    "Successfully installed litellm-1.104.2 pytest-8.3.0",
    "No difference detected.\nAll migrations have been successfully applied.",
    "    Finished `test` profile [unoptimized + debuginfo] target(s) in 1m 18s",
    "Failed to upload artifacts: Unable to locate credentials\n=== 303 passed, 7 skipped in 100.10s ===",
    "Cache hits 12\nCache read errors 0\nCache timeouts 0",
    "##[warning]Node.js 20 is deprecated.\nCleaning up orphan processes",
    "##[warning]Failed to restore: Cache service responded with 503\nCache not found for input keys: a\n12 passing (3s)",
    "-------- Captured log call --------\nERROR litellm: 400 Bad Request\nERROR litellm: RateLimitError\n==== 12 passed in 1.0s ====",
    "Retrying in 21 seconds\nfetched\nDone in 31.2s.",
    "Total coverage: 91.20%\nRequired test coverage of 85% reached.\n12 passed in 2.0s",
    "Pulling fs layer\nStatus: Downloaded newer image for postgres:16\nCircleCI received exit code 0",
    "  12 passed (6.3m)\n  1 flaky\n    [chromium] \u{203a} login.spec.ts:5 \u{203a} times out\n",
    "Uploading logs for 91108734172 to S3\nUploading artifacts took 0.26 seconds",
];

#[test]
fn a_green_log_is_no_failure() {
    for log in GREEN {
        for log in [log.to_owned(), format!("{}{log}", noise(500))] {
            let sorted = sorted(&log);
            assert_eq!(
                sorted.category,
                FailureCategory::None,
                "{} at `{}`:\n{}",
                sorted.rule,
                sorted.line,
                log.lines().rev().take(3).collect::<Vec<_>>().join("\n")
            );
        }
    }
}

#[test]
fn an_unknown_failure_shows_its_last_lines() {
    let sorted = sorted("step one\nstep two\n##[error]Process completed with exit code 2.\n");
    assert_eq!(sorted.category, FailureCategory::Unknown);
    assert_eq!(
        sorted.tail,
        [
            "step one",
            "step two",
            "Error: Process completed with exit code 2."
        ]
    );
}

#[test]
fn a_quoted_line_is_short_printable_and_without_keys() {
    let log = format!(
        "E   anthropic.AuthenticationError: invalid x-api-key sk-ant-{} \u{1b}]0;title\u{7}\u{202e} {}\n",
        "a1".repeat(20),
        "x".repeat(4000)
    );
    let sorted = sorted(&log);
    assert_eq!(sorted.category, FailureCategory::Auth);
    assert!(sorted.line.chars().count() < 260, "{}", sorted.line);
    assert!(!sorted.line.contains("sk-ant"), "{}", sorted.line);
    assert!(
        !sorted.line.contains(['\u{1b}', '\u{7}', '\u{202e}']),
        "{}",
        sorted.line
    );
}

#[test]
fn the_last_sign_of_an_end_decides() {
    use FailureCategory::{Code, Infrastructure, None, Unknown};
    let key = "ERROR litellm: AuthenticationError: Error code: 401 - invalid x-api-key\n";
    for (log, category) in [
        ("a line".to_owned(), Unknown),
        ("step\nmake: *** [Makefile:1: a] Error 2\n".to_owned(), Unknown),
        ("done\nFinished: FAILURE\n".to_owned(), Unknown),
        (format!("{key}==== 44 passed in 9.04s ====\n"), None),
        (format!("{key}CircleCI received exit code 0\n"), None),
        (
            "E   AssertionError: assert 1 == 2\n\nRan 3 tests in 1.0s\n\nOK (skipped=1)\n".to_owned(),
            None,
        ),
        (
            "thread 'a' panicked at a.rs:1:1:\ntest result: ok. 3 passed; 0 failed\n".to_owned(),
            None,
        ),
        (
            "test result: FAILED. 1 passed; 1 failed\ntest result: ok. 3 passed; 0 failed\n".to_owned(),
            Code,
        ),
        (
            "=== 3 passed in 0.41s ===\nno space left on device\nExited with code exit status 1\n".to_owned(),
            Infrastructure,
        ),
        (
            "--- FAIL: TestA (0.01s)\nExited with code exit status 1\nno space left on device\n".to_owned(),
            Code,
        ),
    ] {
        assert_eq!(sorted(&log).category, category, "{log}");
    }
}

#[test]
fn the_operands_of_an_assertion_prove_nothing() {
    for log in [
        "E   AssertionError: assert 'No space left on device' in 'write failed'\n",
        "E   assert 400 == 429\nE    +  where 400 = BadRequestError('You exceeded your current quota').status_code\n",
        "FAILED t.py::test_no_space_left_on_device - assert 1 == 2\n",
    ] {
        assert_eq!(sorted(log).category, FailureCategory::Code, "{log}");
    }
}

#[test]
fn a_quoted_line_carries_no_command() {
    let folder = ["", "root", "project", ""].join("/");
    let log = format!("E   AssertionError: a ##[set-output name=x]y ##vso[task.x]z {folder}a/main.py:12:1");
    let sorted = sorted(&log);
    assert!(!sorted.line.contains("##"), "{}", sorted.line);
    assert!(sorted.line.ends_with(" a/main.py:12:1"), "{}", sorted.line);
}
