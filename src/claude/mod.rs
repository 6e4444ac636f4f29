//! One `claude` process: its argv and environment, its output line by line, and its end.
//!
//! [`Invocation`] is pure and describes the start. [`run`] starts the process, sends the prompts, reports progress and
//! returns the output. This module does not judge and does not know the provider behind the endpoint.
//!
//! This module relies on the following behaviour, measured with Claude Code 2.1.326:
//! - `--input-format stream-json` accepts several prompts in one process and one session. Each user message yields `init`,
//!   the events and one `result`. Closing standard input then ends the process. `result.usage` is that prompt's;
//!   `result.total_cost_usd` is cumulative.
//! - `{"type":"system","subtype":"status","status":"requesting"}` comes about 40 ms (2.1.327) before each request, but not
//!   before a retry. Each delta of a stream shows on standard output at once.
//! - `api_retry` announces each retry after a 5xx, 401, 408, 409 or 429, with the wait that `retry-after` asks for. Retries
//!   of a 400 and a 404 are not announced. A 400 is retried up to five times: without the betas `thinking-token-count` and
//!   `thinking-display-updates`, then without deferred tools. A 404 is retried once, without streaming.
//! - Only the debug log shows the unannounced retries, and the gateway's message for a 401, 404 or 413. Therefore we pass
//!   `--debug-file` and merge its warnings and errors into the transcript. The log is not buffered: the line about a
//!   failed request is written before its `api_retry` shows.
//! - A stream that breaks off within a block is requested again, announced by an `api_retry` without a status. A stream that
//!   breaks off between blocks is continued by another request, unannounced. Both runs end as a success. `claude` itself
//!   prints the missing `content_block_stop` and `message_stop`, but no `message_delta`, and logs it.
//! - A stream without any event is requested again without streaming, unless
//!   `CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK` is set.
//! - Processes of the Bash tool inherit our environment variables, even in another session.
//! - Subagents use the model of `CLAUDE_CODE_SUBAGENT_MODEL`, else of `--model`. No request of a print run used another
//!   model: tried with a plain prompt, a Bash call, a failed `WebFetch`, `--resume` and `--continue`. The end of a subagent
//!   causes one more request and one more `result`.

mod debug_log;
mod invocation;
mod mcp_server;
mod progress;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

pub use invocation::{Endpoint, Invocation, stdin_message};
pub use mcp_server::run_hidden_mode_if_asked;
pub use progress::ClaudeProgress;

use crate::clock::{WaitClock, now_ms};
use crate::evidence::{Exit, Killed};
use crate::process::{Line, Piped};
use crate::transcript::{ApiRetry, Event, TimedEvent, Transcript};
use crate::wire::script::PromptBlock;
use progress::ProgressTracker;

/// The most bytes of standard error that are kept, from its end.
pub const STDERR_BYTES: usize = 64 << 10;

/// The longest time to read the rest of standard output after `claude` ended.
const DRAIN: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq)]
pub struct ClaudeRun {
    /// Its output, with the warnings and errors of its debug log.
    pub transcript: Transcript,
    pub exit: Exit,
    /// The end of its standard error.
    pub stderr: String,
}

/// Whether a retry of an unchanged request cannot succeed after `status`: any 4xx except 408 (timeout), 409 (conflict),
/// 425 (too early) and 429 (too many requests).
pub fn is_permanent(status: u16) -> bool {
    (400..500).contains(&status) && ![408, 409, 425, 429].contains(&status)
}

/// Runs `claude` to its end. It sends each prompt after the reply to the previous prompt, and none after a failure that the
/// cell does not expect.
///
/// It kills `claude` and all its children at the deadline. It kills them earlier if `claude` announces a wait past the
/// deadline or a retry that cannot succeed. No process is left when this returns.
pub async fn run(
    invocation: &Invocation,
    mut on_progress: impl FnMut(ClaudeProgress),
) -> anyhow::Result<ClaudeRun> {
    prepare(invocation)?;
    let started = Instant::now();
    let mut piped = Piped::start(invocation.launch(), STDERR_BYTES)?;
    let mut prompts = Prompts::start(piped.stdin.take(), invocation);
    prompts.send_next();
    let mut watch = Watch {
        transcript: Transcript::default(),
        progress: ProgressTracker::default(),
        started,
        budget: invocation.deadline,
        waits: Arc::clone(&invocation.waits),
    };
    let killed = loop {
        match timeout_at(watch.deadline(), piped.next()).await {
            Ok(Some(line)) => {
                let seen = watch.line(line, &mut on_progress);
                match seen.succeeded {
                    Some(true) => prompts.send_next(),
                    Some(false) if invocation.expects_failures => prompts.send_next(),
                    // Later prompts depend on this one.
                    Some(false) => prompts.close(),
                    None => {}
                }
                if seen.kill.is_some() {
                    break seen.kill;
                }
            }
            Ok(None) => break None,
            Err(_) if watch.deadline() <= Instant::now() => break Some(Killed::Deadline),
            Err(_) => {}
        }
    };
    drop(prompts);
    let killed = end(&mut piped, killed, &mut watch, &mut on_progress).await;
    let duration_ms = started.elapsed().as_millis() as u64;
    let (ended, stderr) = piped.finish().await?;
    let mut transcript = watch.transcript;
    debug_log::merge(&mut transcript, &invocation.debug_log());
    Ok(ClaudeRun {
        transcript,
        exit: Exit {
            code: ended.code,
            signal: ended.signal,
            killed,
            duration_ms,
        },
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// Creates the folders and files of an invocation, and the files of its workspace.
pub fn prepare(invocation: &Invocation) -> anyhow::Result<()> {
    let failed = |path: &Path| format!("cannot create `{}`", path.display());
    for folder in invocation.folders() {
        std::fs::create_dir_all(&folder).with_context(|| failed(&folder))?;
    }
    for block in &invocation.workspace.files {
        if let PromptBlock::Image { file, bytes, .. } | PromptBlock::Document { file, bytes, .. } = block {
            let path = invocation.working_directory().join(file);
            std::fs::write(&path, bytes).with_context(|| failed(&path))?;
        }
    }
    let marker = invocation.cleanup_marker();
    std::fs::write(&marker, "").with_context(|| failed(&marker))
}

/// Waits for the end of the process, or kills it, and reads the rest of its output.
async fn end(
    piped: &mut Piped,
    killed: Option<Killed>,
    watch: &mut Watch,
    on_progress: &mut impl FnMut(ClaudeProgress),
) -> Option<Killed> {
    let killed = match killed {
        None if timeout_at(watch.deadline(), piped.ended()).await.is_err() => Some(Killed::Deadline),
        killed => killed,
    };
    piped.kill().await;
    let drained = Instant::now() + DRAIN;
    while let Ok(Some(line)) = timeout_at(drained, piped.stdout.next()).await {
        watch.line(line, on_progress);
    }
    killed
}

/// The state of a run, updated line by line.
struct Watch {
    transcript: Transcript,
    progress: ProgressTracker,
    started: Instant,
    budget: Duration,
    waits: Arc<WaitClock>,
}

#[derive(Default)]
struct Seen {
    /// Set when a prompt is finished.
    succeeded: Option<bool>,
    kill: Option<Killed>,
}

impl Watch {
    /// The deadline, later by what its requests have waited so far.
    fn deadline(&self) -> Instant {
        self.started + self.budget + self.waits.total()
    }

    fn line(&mut self, line: Line, on_progress: &mut impl FnMut(ClaudeProgress)) -> Seen {
        let event = event(&line);
        let mut seen = Seen::default();
        if let Some(value) = event.json() {
            if let Some(progress) = self.progress.next(value) {
                on_progress(progress);
            }
            seen.succeeded = succeeded(value);
        }
        self.transcript.events.push(TimedEvent {
            at_ms: now_ms(),
            event,
        });
        seen.kill = self.last_retry().and_then(|retry| self.must_kill(&retry));
        seen
    }

    fn last_retry(&self) -> Option<ApiRetry> {
        ApiRetry::from_event(
            self.transcript.events.len(),
            self.transcript.events.last()?.event.json()?,
        )
    }

    fn must_kill(&self, retry: &ApiRetry) -> Option<Killed> {
        if retry.status.is_some_and(is_permanent) {
            return Some(Killed::PermanentError);
        }
        let resumes = Instant::now() + Duration::from_millis(retry.delay_ms);
        (resumes >= self.deadline()).then_some(Killed::Deadline)
    }
}

/// Whether a prompt succeeded, if `event` is its result.
fn succeeded(event: &Value) -> Option<bool> {
    (event.get("type")? == "result").then(|| event["is_error"] != true)
}

/// A line that is too long or not UTF-8 is kept as evidence and not parsed.
fn event(line: &Line) -> Event {
    match line.cut_from {
        Some(length) => Event::Unparsable(format!(
            "[a line of {length} bytes, cut] {}",
            line.text.chars().take(CUT_LINE_CHARACTERS).collect::<String>()
        )),
        None if !line.is_utf8 => Event::Unparsable(line.text.clone()),
        None => Event::from_line(&line.text),
    }
}

/// The number of characters kept of a line that is too long.
const CUT_LINE_CHARACTERS: usize = 4096;

/// Writes the prompts to standard input in the background, because `claude` may be busy printing.
struct Prompts {
    messages: std::vec::IntoIter<String>,
    writer: Option<mpsc::UnboundedSender<String>>,
}

impl Prompts {
    fn start(stdin: Option<ChildStdin>, invocation: &Invocation) -> Self {
        let (writer, messages) = mpsc::unbounded_channel();
        if let Some(stdin) = stdin {
            tokio::spawn(write(stdin, messages));
        }
        Self {
            messages: invocation.stdin_messages().into_iter(),
            writer: Some(writer),
        }
    }

    /// Sends the next prompt; closes standard input if there is none.
    fn send_next(&mut self) {
        match (self.messages.next(), &self.writer) {
            // Without a writer `claude` has ended, and its output ends as well.
            (Some(message), Some(writer)) => drop(writer.send(message)),
            _ => self.close(),
        }
    }

    /// Closes standard input after the sent prompts are written.
    fn close(&mut self) {
        self.writer = None;
    }
}

async fn write(mut stdin: ChildStdin, mut messages: mpsc::UnboundedReceiver<String>) {
    while let Some(message) = messages.recv().await {
        if stdin.write_all(message.as_bytes()).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}
