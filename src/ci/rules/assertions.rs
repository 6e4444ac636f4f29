//! Failed assertions and uncaught exceptions: the code is the best guess.

use super::{GUESS, LogRule, PLAUSIBLE, rule};
use crate::ci::FailureCategory::{Auth, Code};

pub(super) const RULES: &[LogRule] = &[
    rule("wrong_status", Code, GUESS)
        .says(&[r"^(?:E\s+)?(?:AssertionError: )?assert \d{3} (?:==|in|!=) [\[(]?\d{3}|expected (?:status )?(?:code )?\d{3}.{0,20}(?:got|received).{0,8}\d{3}|Expected: 20\d,? .{0,30}Received: [45]\d\d"])
        .weak()
        .why("a request of the test got another status than expected")
        .example("E   assert 500 == 200")
        .green("assert_status PASSED"),
    rule("event_loop", Code, PLAUSIBLE)
        .says(&[r"(?:bound|attached) to a different (?:event )?loop|Event loop is closed|no running event loop|cannot be called from a running event loop|got Future .{0,80} attached to"])
        .why("an object of the product is bound to another event loop")
        .do_this("make the object in the loop that uses it")
        .example("E   RuntimeError: <asyncio.locks.Event object at 0x7f [unset]> is bound to a different event loop")
        .green("test_event_loop PASSED"),
    rule("collection_error", Code, PLAUSIBLE)
        .says(&[r"^ERROR collecting |_ ERROR collecting \S+|Interrupted: \d+ errors? during collection|fixture '\w+' not found|Test suite failed to run|import file mismatch|ImportError while (?:importing|loading)|ReferenceError: |is not defined\b"])
        .why("a test file does not load")
        .example("E       fixture 'client_of_team' not found")
        .green("collected 12 items"),
    rule("python_exception", Code, PLAUSIBLE)
        .says(&[r"^(?:E\s+)?(?:\w+\.)*(?:TypeError|AttributeError|NameError|UnboundLocalError|KeyError|IndexError|ValueError|ZeroDivisionError|NotImplementedError|RecursionError|UnicodeDecodeError|JSONDecodeError|ValidationError|StopIteration|LookupError)\b(?::|$)|ValidationError: \d+ validation error|pydantic_core\S*ValidationError|^(?:E\s+)?Failed: DID NOT RAISE|DID NOT (?:RAISE|WARN)"])
        .why("the code raised an exception")
        .example("E   AttributeError: 'NoneType' object has no attribute 'usage'")
        .green("test_type_error PASSED"),
    rule("assertion", Code, PLAUSIBLE)
        .says(&[
            r"^(?:E\s+)(?:AssertionError|assert |Failed: )|^(?:\S+: )?AssertionError\b|^\s*(?:Error: )?expect\(|AssertionError \[|Expected .{0,60}to (?:equal|be|have|match|contain)|expected .{1,120} to (?:equal|be|have|match|contain|deeply)|^\s*Expected: |^\s*- Expected|expected:<|but was:<",
            r"thread '.{1,160}' .{0,12}panicked at|assertion (?:`.{1,80}` )?failed|^test result: FAILED|^\s+\S+\.go:\d+: |^--- FAIL: |^\s*--- FAIL: |Expected .{0,100} Received|^\s*left: |^\s*\d+\) .{1,200}$|^\[ +FAILED +\]|^not ok \d+|org\.junit|java\.lang\.\w+(?:Error|Exception)|Failures: [1-9]|Failure/Error:",
        ])
        .why("an assertion failed")
        .example("E   AssertionError: wrong total")
        .green("0 failed, 12 passed"),
    rule("failed_test", Code, GUESS)
        .says(&[
            r"^(?:\S+ )?(?:FAILED|ERROR|SUBFAIL) .{0,12}\S+(?:::| > )|\bFAILED\s*(?:\[ *\d+%\])?$|^\s*(?:FAIL|✗|×|✘|❌|⨯)\s+\S|^\s*● .+ › |FAILED CONSISTENTLY: |tests? failed\b|^FAIL\s|^\S+\.\.\. FAILED|: test failed|FAIL: test|[1-9]\d* failed\b|failed! *$|^ERROR: test_|^FAIL: test_",
        ])
        .unless(&[r"\b0 \S+ failed"])
        .weak()
        .why("a test failed without a known reason")
        .example("FAILED tests/test_a.py::test_b")
        .green("tests/test_a.py::test_b PASSED"),
    rule("uncaught_exception", Code, GUESS)
        .says(&[r"^(?:E\s+)?(?:\w+\.)*\w*(?:Error|Exception)\b: .+|^Exception: |Unhandled (?:rejection|error|exception)|Uncaught \w*(?:Error|Exception)|^panic: "])
        .unless(&["^Error: |npm|warning"])
        .why("a program ended with an exception")
        .example("RuntimeError: the tool gave up")
        .green("no exception"),
    rule("secret_not_set", Auth, PLAUSIBLE)
        .says(&[r"^\W*\w*(?:API_?KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)\w*\W{0,3} (?:is (?:not set|missing|required|empty|unset)|must be (?:set|provided)|not (?:set|found|provided))"])
        .why("a secret is not set in the job")
        .do_this("set the secret in the CI settings, and check its scope")
        .example("DEPLOY_TOKEN is not set")
        .green("DEPLOY_TOKEN is set"),
];
