//! Parallel tests: dead workers, and shared state.

use super::{GUESS, LIKELY, LogRule, PLAUSIBLE, SURE, rule};
use crate::ci::FailureCategory::Parallel;

/// Signs of a parallel test run in a log.
const IN_PARALLEL: &[&str] = &[
    r"\[gw\d+\]|\bgw\d+\b|\bxdist\b|-n (?:auto|logical|[2-9]|\d\d)\b|created: \d+/\d+ workers|^\d+ workers \[|--maxWorkers|--test-threads|parallel|concurren|lanes?\b|workers?\b",
];

/// A dead worker outranks the test that it names.
pub(super) const WORKERS: &[LogRule] = &[
    rule("worker_died", Parallel, SURE)
        .says(&[
            r"node down: |worker '?gw\d+'? crashed|replacing crashed worker|maximum crashed workers reached|\[gw\d+\] node down",
            r"INTERNALERROR> .{0,160}(?:execnet|xdist|gateway|dsession)|OSError: cannot send \(already closed",
            r"jest worker (?:process|encountered)|A worker process has (?:failed to exit|quit unexpectedly)|Call retries were exceeded",
            r"worker (?:terminated due to|exited unexpectedly|process .{0,40}(?:crashed|terminated|died|killed)|thread .{0,40}exited)|\[vitest-(?:pool|worker)\]|(?:vitest|tinypool).{0,80}(?:terminated|closed|crash|unexpectedly|heap)|ERR_WORKER_OUT_OF_MEMORY|ERR_IPC_CHANNEL_CLOSED",
            r"BrokenProcessPool|process in the (?:process|executor) pool was terminated|TerminatedWorkerError|DataLoader worker .{0,60}(?:killed|exited)|Worker .{0,30}(?:SIGKILL|SIGSEGV|signal 9)|worker (?:was|has been) (?:killed|terminated)",
        ])
        .whole_job()
        .why("a test worker died, so the named test is a victim, not the cause")
        .do_this("put the heavy tests into one `xdist_group`, or lower `-n` in the CI configuration; then compare the memory")
        .example("[gw5] node down: Not properly terminated")
        .green("[gw5] [ 97%] PASSED tests/test_worker.py::test_crashed_worker"),
    rule("different_collection", Parallel, SURE)
        .says(&[r"different tests were collected between gw\d+ and gw\d+"])
        .whole_job()
        .why("the workers collected different tests: their order or parameters depend on chance")
        .do_this("sort the parameters of the test, so that every worker collects the same list")
        .rerun(true)
        .example("Different tests were collected between gw0 and gw1. The difference is:")
        .green("collected 12 items"),
];

pub(super) const SHARED: &[LogRule] = &[
    rule("shared_lock", Parallel, LIKELY)
        .says(&[
            r"database (?:table )?is locked|SQLITE_BUSY|deadlock (?:detected|found)|deadlocked on lock|chosen as (?:the )?deadlock victim|DeadlockDetected|lock wait timeout exceeded|LockNotAvailable|could not (?:obtain|acquire|serialize) .{0,40}(?:lock|access)|could not serialize access|tuple concurrently updated|could not set lock on file|Conflicting lock is held",
            r"database .{0,60}is being accessed by other users|source database .{0,60}is being accessed|text file busy|ETXTBSY|resource temporarily unavailable.{0,40}lock|unable to acquire .{0,40}lock|\.lock': File exists|another process (?:is|has|holds)",
        ])
        .unless(&["apt|dpkg|/var/lib"])
        .why("tests that run at once wait for the same lock")
        .do_this("give each worker its own database or file, or run these tests in one `xdist_group`")
        .example("E   sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database is locked")
        .green("test_database_is_locked_error PASSED"),
    rule("shared_port", Parallel, LIKELY)
        .says(&[
            r"address already in use|EADDRINUSE|port is already allocated|port \d+ (?:is |was )?(?:already |currently )?(?:in use|taken|occupied|used)|only one usage of each socket address|something is already running on port",
        ])
        .why("two processes take the same port")
        .do_this("let each test take a free port (port 0), or run these tests in one `xdist_group`")
        .example("E   OSError: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8787): Address already in use")
        .green("Uvicorn running on http://127.0.0.1:8787"),
    rule("shared_name", Parallel, PLAUSIBLE)
        .says(&[
            r"^\s*(?:E\s+|FAILED|ERROR|\S*Error\b|Error: |error).{0,200}(?:duplicate key value violates|UniqueViolation|UNIQUE constraint failed|Duplicate entry|already exists|AlreadyExists|FileExistsError|EEXIST)",
            r"database .test_\w+. already exists|relation \S+ already exists|container name \S+ is already in use|pg_type_typname_nsp_index",
        ])
        .with(IN_PARALLEL)
        .why("tests that run at once make a thing of the same name")
        .do_this("use unique names in the tests, or one database for each worker")
        .example("[gw1] x\nE   psycopg.errors.UniqueViolation: duplicate key value violates unique constraint \"pk\"")
        .green("already exists, skipping"),
    rule("shared_state", Parallel, GUESS)
        .says(&[
            r"dictionary changed size during iteration|Set changed size during iteration|list changed size during",
            r"(?:passes|passed|works) (?:alone|in isolation|when run (?:alone|serially)|serially)|fails? (?:only )?(?:under|with) (?:`|.)?-n|polluted by|race condition|order.dependent|test (?:isolation|pollution)",
            r"FileNotFoundError: .{0,80}/tmp/|No such file or directory: '/tmp/",
        ])
        .with(&[r"\[gw\d+\]|xdist|-n (?:auto|logical|[2-9])\b"])
        .why("another test changed the state that this one uses")
        .do_this("reset the shared state in a fixture, or run these tests in one `xdist_group`")
        .example("[gw2] x\nE   RuntimeError: dictionary changed size during iteration")
        .green("test_race_condition PASSED"),
];
