//! Deadlines that were missed, and states that were asked for too early.

use super::{GUESS, LIKELY, LogRule, PLAUSIBLE, rule};
use crate::ci::FailureCategory::Timing;

const POLL: &str = "poll for the state with a deadline instead of a fixed sleep";
const FASTER: &str =
    "make the test faster (`userEvent.setup({ delay: null })` in UI tests), or raise its timeout";

pub(super) const RULES: &[LogRule] = &[
    rule("test_timeout", Timing, LIKELY)
        .says(&[
            r"Test timed out in \d+ ?ms|Hook timed out in|Exceeded timeout of \d+ ?m?s|Timeout of \d+ ?ms exceeded|Test timeout of \d+ ?ms exceeded|Timed out \d+ ?ms waiting|Timeout \d+ ?ms exceeded|Timed out retrying after \d+|CypressError: Timed out|thrown: \x22Exceeded timeout|jasmine.{0,40}timeout",
            r"(?:Failed|E\s+Failed): Timeout [(>]|^\+{5,} Timeout \+{5,}|from pytest-timeout|panic: test timed out after|^\S+ has been running for over \d+ seconds|TIMEOUT \[|\bTIMED OUT: |SIGTERM.{0,40}timeout|test (?:exceeded|hit) (?:its |the )?(?:time ?out|time limit)|(?:test|Process \d+) .{0,40}(?:terminated or )?timed out after|deadline has elapsed|timed out (?:after |\()\d[\d.]* ?(?:s|sec|seconds|ms|minutes)",
        ])
        .unless(&[r"pip|npm |fetch|download|pull|clone|plugins: |rootdir|^timeout: |timeout method|DID NOT RAISE"])
        .why("a test was slower than its timeout")
        .do_this(FASTER)
        .example("Error: Test timed out in 5000ms.")
        .green("timeout: 90.0s"),
    rule("state_not_reached", Timing, PLAUSIBLE)
        .says(&[
            in_error!(r"\b(?:status|state|phase|job|run|batch|task)\b.{0,40}\b(?:was|is|still|got|==|!=|=) ?['\x22]?(?:running|pending|queued|in_progress|processing|starting|created|validating|waiting|not_started)\b|assert '?(?:running|pending|queued|in_progress|processing|starting|waiting|validating)'? ==|(?:received|actual|got|but was):? *['\x22]?(?:running|pending|queued|in_progress|processing)\b"),
            r"TestingLibraryElementError: Timed out in |Timed out in (?:waitFor|findBy|findAllBy)",
            r"(?:condition|predicate|expectation) (?:not|never|was not) (?:met|satisfied|true|fulfilled)|(?:did not|didn't|never) .{0,40}(?:within|in time|before|after) .{0,20}\d|not \w+ (?:within|in time|after) .{0,12}\d|timed? ?out (?:while )?(?:waiting|polling)|gave up (?:waiting )?after|waiting for .{0,80}(?:timed out|failed|exceeded)|Unable to find (?:an element|role).{0,200}waitFor|waitFor.{0,40}timed? ?out|still (?:running|pending) after|eventually.{0,40}(?:never|failed|timed)|Condition never satisfied|max retries .{0,40}(?:waiting|polling)",
        ])
        .unless(&["for url|HTTPSConnectionPool|/simple/|lock|DID NOT RAISE"])
        .why("the test asked before the state was reached")
        .do_this(POLL)
        .example("AssertionError: Status was running. Details: None None")
        .green("status is running"),
    rule("element_not_found", Timing, PLAUSIBLE)
        .says(&[r"Unable to find (?:an? |role|the )?(?:element|accessible|label|role|text)|Expected to find element|but never found it|locator resolved to hidden|element\(s\) not found"])
        .with(&[r"waitFor|findBy|findAllBy|asyncWrapper|timed out|timeout"])
        .why("the page did not show the element in time")
        .do_this(FASTER)
        .example("TestingLibraryElementError: Unable to find an element with the text: /Models/i.\n \u{276f} waitForWrapper wait-for.js:163")
        .green("element found"),
    rule("too_slow", Timing, PLAUSIBLE)
        .says(&[
            in_error!(r"(?:took|elapsed|duration|latency|runtime|execution time|response time|overhead)\b.{0,60}(?:>|exceed\w*|longer than|more than|too (?:slow|long)|expected (?:<|less|under|below|at most))|assert .{0,60}(?:elapsed|duration|took|latency|total_time|time\.time\(\)|perf_counter|end_time).{0,60}(?:<|>)|assert \d+\.\d{4,} <=? \d|too slow|not less than .{0,40}(?:seconds|ms)"),
        ])
        .unless(&["PASSED|deselected|slowest"])
        .why("a test measured a time, and the CI machine was too slow")
        .do_this("compare with a generous limit, or count work instead of time")
        .example("AssertionError: took 5.31 s, expected < 5 s")
        .green("slowest 10 durations"),
    rule("async_not_done", Timing, GUESS)
        .says(&[
            r"(?:async)?TimeoutError\b|asyncio\.exceptions\.(?:TimeoutError|CancelledError)|context deadline exceeded|DeadlineExceeded|wait_for\b.{0,60}(?:timeout|timed)",
        ])
        .unless(&[r"DID NOT RAISE|mock|/simple/|registry"])
        .why("an operation did not finish before its deadline")
        .do_this(POLL)
        .example("E   asyncio.exceptions.TimeoutError")
        .green("test_timeout_error PASSED"),
    rule("asserted_after_sleep", Timing, PLAUSIBLE)
        .says(&[
            r"^(?:E\s+)?(?:AssertionError: )?(?:Expected .{0,80} (?:have been|to be) (?:called|awaited)|assert (?:0|None|\[\]|False|\{\}|''|not .{1,40}|len\(.{1,60}\)) ?(?:==|>|>=|is not|is|!=)?.*|.{0,80}Called 0 times|.{0,80}(?:was not called|not awaited))",
        ])
        .with(&[r"^\s*>?\s*(?:await )?(?:asyncio|time|gevent|anyio)\.sleep\(|setTimeout\(|Thread\.sleep|time\.Sleep\("])
        .why("the test slept for a fixed time, then asserted a state that was not reached")
        .do_this(POLL)
        .example("    await asyncio.sleep(1)\nE   AssertionError: Expected 'log_event' to have been called once. Called 0 times.")
        .green("time.sleep(1)"),
];
