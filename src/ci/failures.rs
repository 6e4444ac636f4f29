//! The failures of a red job: one for each failed test, or one for the job, each with its category and its fingerprint.

use std::sync::LazyLock;

use regex::Regex;

use super::log::CiLog;
use super::model::{CiJob, FailedTest, JobDetails, JobState};
use super::sort::{SortedLog, quoted, sort};
use super::{FailureCategory, pattern};
use crate::outcome::Cause;
use crate::report::causes_in_short;
use crate::text::one_line;

/// One failure of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobFailure {
    pub job: String,
    pub test: Option<String>,
    pub sorted: SortedLog,
    /// The same for failures of the same cause.
    pub fingerprint: String,
}

/// The jobs of compat's own gate: their failures already have a cause.
const OWN_GATE: &str = "claude_code_compat";

/// The failures of a red job. Never empty.
pub fn failures_of(job: &CiJob, details: &JobDetails) -> Vec<JobFailure> {
    if job.name.contains(OWN_GATE)
        && let Some(failures) = of_own_gate(job, details)
    {
        return failures;
    }
    let words = match details.log.contains("Exited with") {
        true if job.state == JobState::Failed => "",
        _ => words_of(job),
    };
    let of_job = match words {
        "" | EXITED => sort(&CiLog::new(&format!("{}\n{words}", details.log))),
        words => sort(&CiLog::new(words)),
    };
    let tests = match details.tests.is_empty() {
        true => tests_in(&details.log),
        false => details.tests.clone(),
    };
    let failure = |test: Option<&FailedTest>, sorted: SortedLog| {
        let test = test.map(|test| quoted(&test.name));
        let fingerprint = fingerprint(&sorted, test.as_deref());
        JobFailure {
            job: job.name.clone(),
            test,
            sorted,
            fingerprint,
        }
    };
    if tests.is_empty() {
        return vec![failure(None, of_job)];
    }
    let is_alone = tests.len() == 1;
    let sorted = tests.iter().map(|test| {
        let of_test = sort(&CiLog::new(&format!("{}\nFAILED {}", test.message, test.name)));
        let is_vague = of_test.rule.is_empty() || of_test.rule == VAGUE;
        // A dead worker or a full disk outranks the tests that it broke.
        let sorted = match of_job.is_whole_job || (is_vague && is_alone && !of_job.rule.is_empty()) {
            true => of_job.clone(),
            false => of_test,
        };
        failure(Some(test), sorted)
    });
    sorted.collect()
}

/// The rule that knows only that a test failed.
const VAGUE: &str = "failed_test";

/// What the job's state says, as a line for the rules.
fn words_of(job: &CiJob) -> &'static str {
    match job.state {
        JobState::Unauthorized => "unauthorized",
        JobState::InfrastructureFailed => "infrastructure_fail",
        JobState::TimedOut => "Too long with no output (exceeded the limit of the service)",
        _ => EXITED,
    }
}

const EXITED: &str = "Exited with code exit status 1";

/// compat's own gate names the cause of each failed trial. It is never sorted again.
fn of_own_gate(job: &CiJob, details: &JobDetails) -> Option<Vec<JobFailure>> {
    let failures = details.tests.iter().flat_map(|test| {
        let causes = causes_in_short(&test.message);
        causes.into_iter().map(|cause| {
            let category = of_cause(cause);
            let line = test.message.lines().next().unwrap_or_default();
            JobFailure {
                job: job.name.clone(),
                test: Some(quoted(&test.name)),
                fingerprint: format!("gate:{}:{}", cause.as_str(), normalized(line)),
                sorted: SortedLog {
                    category,
                    confidence: 1.0,
                    rule: "own_gate",
                    why: format!("the gate's own cause: {}", cause.as_str()),
                    action: format!("docs/why-red.md#{} says what to do", cause.as_str()),
                    rerun_helps: Some(category.rerun_helps()),
                    is_cut: false,
                    is_whole_job: false,
                    line: quoted(line),
                    line_number: 0,
                    tail: Vec::new(),
                },
            }
        })
    });
    let failures: Vec<JobFailure> = failures.collect();
    (!failures.is_empty()).then_some(failures)
}

fn of_cause(cause: Cause) -> FailureCategory {
    match cause {
        Cause::Gateway | Cause::Assertion => FailureCategory::Code,
        Cause::Config | Cause::Cli => FailureCategory::Config,
        Cause::Auth => FailureCategory::Auth,
        Cause::Account | Cause::RateLimit | Cause::Upstream => FailureCategory::ExternalApi,
        Cause::Harness => FailureCategory::Infrastructure,
    }
}

/// The failed tests that a log names, each with its part of the log.
pub fn tests_in(log: &str) -> Vec<FailedTest> {
    let clean = CiLog::new(log).all().text;
    let mut tests: Vec<FailedTest> = Vec::new();
    for found in TEST.captures_iter(&clean) {
        let name = found
            .iter()
            .skip(1)
            .flatten()
            .next()
            .map_or("", |name| name.as_str())
            .trim();
        let line = found.get(0).map_or("", |line| line.as_str()).trim();
        if name.is_empty() || tests.iter().any(|test| test.name == name) {
            continue;
        }
        tests.push(FailedTest {
            name: name.to_owned(),
            message: format!("{}\n{line}", section_of(&clean, name)),
        });
    }
    tests
}

/// pytest's part about one test, from its title to the next one.
fn section_of<'l>(log: &'l str, test: &str) -> &'l str {
    let short = test.rsplit("::").next().unwrap_or(test);
    let mut titles = TITLE.captures_iter(log);
    let own = titles.find(|title| title[1].rsplit(['.', ':']).next() == Some(short));
    let Some(start) = own.and_then(|own| own.get(0)).map(|title| title.end()) else {
        return "";
    };
    let rest = &log[start..];
    let end = END.find(rest).map_or(rest.len(), |end| end.start());
    &rest[..end]
}

/// pytest, Vitest and Jest, Go, cargo, Playwright.
static TEST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?m)^(?:FAILED|ERROR) (\S+::\S.*?)(?: - .*)?$",
        r"|^\s*(?:FAIL|×)\s+(\S+ > .+?)(?: \d+ ?ms)?$|^\s*● (.+ › .+)$",
        r"|^\s*--- FAIL: (\S+)|^test (\S+) \.\.\. FAILED|^\s*\d+\) (\[?\S.*›.*?)[ ─]*$",
    ))
});
static TITLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^_{3,} (?:ERROR at \w+ of )?(\S+) _{3,}$"));
static END: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?m)^_{3,} .* _{3,}$|^={3,}|^(?:FAILED|ERROR) \S+::"));

fn fingerprint(sorted: &SortedLog, test: Option<&str>) -> String {
    let rule = match sorted.rule {
        "" => sorted.category.as_str(),
        rule => rule,
    };
    let detail = match () {
        () if sorted.rule.is_empty() || sorted.rule == VAGUE => test.map_or_else(
            || normalized(sorted.tail.last().map_or("", |line| line)),
            str::to_owned,
        ),
        () if sorted.category.is_external() || sorted.is_whole_job => {
            let provider = PROVIDER.captures(&sorted.line);
            provider.map_or_else(String::new, |found| found[1].to_lowercase())
        }
        () => normalized(&sorted.line),
    };
    format!("{rule}:{detail}")
}

static PROVIDER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(anthropic|openai|azure|bedrock|vertex|gemini|google|mistral|groq|cohere|perplexity|together|fireworks|replicate|huggingface|databricks|deepseek|openrouter)",
    )
});

/// A line without what differs between two failures of the same cause: names of tests, numbers, ids, times, paths, workers.
pub(super) fn normalized(line: &str) -> String {
    let line = LEAD.replace(line, "");
    let line = VARIABLE.replace_all(&line, "#");
    one_line(&line, 160)
}

static LEAD: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s*(?:(?:FAILED|ERROR) \S+::.*? - |E\s+|Error: )"));
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b[0-9a-f]{8}-[0-9a-f-]{20,}\b|\b0x[0-9a-f]+\b|\b[0-9a-f]{12,}\b|\bgw\d+\b|\b\d+\.\d+(?:s|ms)?\b|\b\d{4,}\b|:\d+\b|(?:/[\w.-]+){2,}",
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, state: JobState) -> CiJob {
        CiJob {
            number: Some(1),
            name: name.into(),
            state,
            status: String::new(),
            seconds: None,
            after: Vec::new(),
            url: None,
        }
    }

    fn details(log: &str) -> JobDetails {
        JobDetails {
            log: log.into(),
            ..JobDetails::default()
        }
    }

    #[test]
    fn each_test_of_a_log_gets_its_own_part() {
        let log = "____ test_a ____\nE   assert 401 == 200\n____ TestB.test_b ____\nE   ValueError: x\n==== short ====\n\
                   FAILED t.py::test_a - assert 401 == 200\nFAILED t.py::TestB::test_b - ValueError: x\n";
        let failures = failures_of(&job("unit", JobState::Failed), &details(log));
        let found: Vec<_> = failures
            .iter()
            .map(|failure| (failure.test.as_deref().unwrap(), failure.sorted.category))
            .collect();
        assert_eq!(
            found,
            [
                ("t.py::test_a", FailureCategory::Auth),
                ("t.py::TestB::test_b", FailureCategory::Code)
            ]
        );
    }

    #[test]
    fn a_dead_worker_outranks_the_tests_that_it_names() {
        let log = "[gw5] node down: Not properly terminated\nFAILED t.py::test_a\nFAILED t.py::test_b - assert 1 == 2\n";
        let failures = failures_of(&job("unit", JobState::Failed), &details(log));
        assert_eq!(failures.len(), 2);
        assert!(
            failures
                .iter()
                .all(|failure| failure.sorted.category == FailureCategory::Parallel)
        );
        assert_eq!(failures[0].fingerprint, failures[1].fingerprint);
    }

    #[test]
    fn the_state_of_a_job_decides_without_a_log() {
        use FailureCategory::{Auth, Config, Infrastructure, Unknown};
        for (state, expected) in [
            (JobState::Unauthorized, Auth),
            (JobState::InfrastructureFailed, Infrastructure),
            (JobState::TimedOut, Config),
            (JobState::Failed, Unknown),
        ] {
            let failures = failures_of(&job("unit", state), &details(""));
            assert_eq!(failures[0].sorted.category, expected, "{state:?}");
        }
        let log = "E   anthropic.AuthenticationError: invalid x-api-key\nFAILED t.py::test_a\n";
        let refused = failures_of(&job("unit", JobState::Unauthorized), &details(log));
        assert_eq!(refused[0].sorted.rule, "context_refused");
    }

    #[test]
    fn the_own_gate_keeps_its_causes() {
        let mut details = details("E   assert 401 == 200\n");
        details.tests = vec![FailedTest {
            name: "vision::vertex_ai".into(),
            message: "the provider did not receive the image\ncause: gateway (lost)".into(),
        }];
        let failures = failures_of(&job("claude_code_compat_pr_gate", JobState::Failed), &details);
        assert_eq!(failures[0].sorted.why, "the gate's own cause: gateway");
    }

    #[test]
    fn a_fingerprint_ignores_what_differs_between_runs() {
        assert_eq!(
            normalized(
                "FAILED a.py::test_x[1] - OSError: [Errno 98] port 41234 on gw3 at /a/b/c.py:12 in 3.21s"
            ),
            normalized("E   OSError: [Errno 98] port 53111 on gw1 at /x/y/z.py:99 in 4.01s"),
        );
        assert_ne!(
            normalized("E   assert 401 == 200"),
            normalized("E   assert 500 == 200")
        );
    }
}
