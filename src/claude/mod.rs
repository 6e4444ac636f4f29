//! One `claude` process: its argv and environment, its lines as they come, its end.
//!
//! [`Invocation`] says, purely, how it is started; [`run`] starts it, sends the prompts, tells of progress and returns
//! what it left behind. Nothing here judges, and nothing here knows what stands behind the endpoint.
//!
//! What is built on was measured with Claude Code 2.1.326:
//! - `--input-format stream-json` takes several prompts in one process and one session: each user message is answered by
//!   `init`, the events and one `result`; closing standard input then ends the process. `result.usage` is that
//!   prompt's, `result.total_cost_usd` is cumulative.
//! - `{"type":"system","subtype":"status","status":"requesting"}` comes before each request, about 40 ms (2.1.327), not
//!   before a repeated one. Each delta of a stream shows on standard output at once.
//! - A 5xx, 401, 408, 409 or 429 is announced by `api_retry` before each repetition (with the wait that a `retry-after`
//!   asks for). A 400 is repeated without any announcement, up to five times, without the `thinking-token-count` and
//!   `thinking-display-updates` betas and then without deferred tools; a 404 once, without streaming. Only the debug log
//!   tells of these, and for a 401, 404 or 413 only it has the gateway's words, hence `--debug-file`, whose warnings
//!   and errors are merged into the transcript. It is written through: the line about a failed request is there before
//!   its `api_retry` shows.
//! - A stream that breaks off within a block is asked for again, announced by an `api_retry` without a status; one that
//!   breaks off between blocks is asked to go on in another request, unannounced. Either run ends as a success; `claude`
//!   itself prints the missing `content_block_stop` and `message_stop`, but no `message_delta`, and logs what it does.
//! - A reply without any event of a stream is asked for again without streaming, unless
//!   `CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK` is set.
//! - What the Bash tool starts carries the cookies, in a session of its own too.
//! - Subagents ask for the model named by `CLAUDE_CODE_SUBAGENT_MODEL`, else for that of `--model`. No request of a print
//!   run went to any other model: tried with a plain prompt, a Bash call, a failed `WebFetch`, `--resume` and
//!   `--continue`. A subagent's end asks for one more answer and prints one more `result`.

mod debug_log;
mod invocation;
mod progress;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

pub use invocation::{Endpoint, Invocation, stdin_message};
pub use progress::Progress;

use crate::clock::now_ms;
use crate::evidence::{Exit, Killed};
use crate::process::{Ended, Line, Next, Piped, ProcessError};
use crate::transcript::{ApiRetry, Event, TimedEvent, Transcript};
use progress::Follower;

/// How much of standard error is kept: its end, in bytes.
pub const STDERR_BYTES: usize = 64 << 10;

/// How long the rest of standard output is read once `claude` has ended.
const DRAIN: Duration = Duration::from_secs(1);

/// What a `claude` process left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaudeRun {
    /// What it printed, with the warnings and errors of its debug log.
    pub transcript: Transcript,
    pub exit: Exit,
    /// The end of what it printed on standard error.
    pub stderr: String,
}

/// `claude` could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum ClaudeError {
    /// A folder or a file of the trial could not be made.
    #[error("cannot make `{}`: {source}", path.display())]
    Files { path: PathBuf, source: io::Error },
    /// The process could not be started or was lost.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// Whether a request that was refused with `status` cannot succeed when it is repeated unchanged: any 4xx but
/// 408 (timeout), 409 (conflict), 425 (too early) and 429 (too many requests).
pub fn is_permanent(status: u16) -> bool {
    (400..500).contains(&status) && ![408, 409, 425, 429].contains(&status)
}

/// Runs `claude` to its end. Its folders are made; its prompts are sent one after the other, each when the one before is
/// answered (none after one that failed); `on_progress` is told what shows, as it shows.
///
/// It is killed, with everything it started, when its time is up, when it is about to wait past that time, and when it is
/// about to repeat a request that cannot succeed. Nothing of it is left when this returns.
pub async fn run(
    invocation: &Invocation,
    mut on_progress: impl FnMut(Progress),
) -> Result<ClaudeRun, ClaudeError> {
    prepare(invocation)?;
    let started = Instant::now();
    let mut piped = Piped::start(invocation.launch(), STDERR_BYTES)?;
    let mut prompts = Prompts::start(piped.stdin.take(), invocation);
    prompts.send_next();
    let mut watch = Watch {
        transcript: Transcript::default(),
        follower: Follower::default(),
        deadline: started + invocation.deadline,
    };
    let killed = loop {
        match timeout_at(watch.deadline, piped.next()).await {
            Ok(Next::Line(line)) => {
                let seen = watch.line(line, &mut on_progress);
                match seen.answered {
                    Some(Answered::Well) => prompts.send_next(),
                    Some(Answered::Badly) => prompts.close(),
                    None => {}
                }
                if seen.kill.is_some() {
                    break seen.kill;
                }
            }
            Ok(Next::Closed | Next::Ended) => break None,
            Err(_) => break Some(Killed::Deadline),
        }
    };
    drop(prompts);
    let killed = end(&mut piped, killed, &mut watch, &mut on_progress).await;
    let duration_ms = milliseconds(started.elapsed());
    let (ended, stderr) = piped.finish().await?;
    let mut transcript = watch.transcript;
    debug_log::merge(&mut transcript, &invocation.debug_log());
    Ok(ClaudeRun {
        transcript,
        exit: exit(ended, killed, duration_ms),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// Makes what an invocation needs on disk.
pub fn prepare(invocation: &Invocation) -> Result<(), ClaudeError> {
    for folder in invocation.folders() {
        std::fs::create_dir_all(&folder).map_err(|source| ClaudeError::Files { path: folder, source })?;
    }
    let swept = invocation.swept();
    std::fs::write(&swept, "").map_err(|source| ClaudeError::Files { path: swept, source })
}

/// Has the process end, and reads the rest of what it printed.
async fn end(
    piped: &mut Piped,
    killed: Option<Killed>,
    watch: &mut Watch,
    on_progress: &mut impl FnMut(Progress),
) -> Option<Killed> {
    let killed = match killed {
        Some(killed) => Some(killed),
        None => match timeout_at(watch.deadline, piped.ended()).await {
            Ok(_) => None,
            Err(_) => Some(Killed::Deadline),
        },
    };
    piped.kill().await;
    let drained = Instant::now() + DRAIN;
    while let Ok(Some(line)) = timeout_at(drained, piped.stdout.next()).await {
        watch.line(line, on_progress);
    }
    killed
}

fn exit(ended: Ended, killed: Option<Killed>, duration_ms: u64) -> Exit {
    Exit {
        code: ended.code,
        signal: ended.signal,
        killed,
        duration_ms,
    }
}

/// What is followed line by line.
struct Watch {
    transcript: Transcript,
    follower: Follower,
    deadline: Instant,
}

#[derive(Default)]
struct Seen {
    answered: Option<Answered>,
    kill: Option<Killed>,
}

enum Answered {
    Well,
    /// What comes after a prompt that failed has nothing to stand on.
    Badly,
}

impl Watch {
    fn line(&mut self, line: Line, on_progress: &mut impl FnMut(Progress)) -> Seen {
        let event = event(&line);
        let mut seen = Seen::default();
        if let Some(value) = event.json() {
            if let Some(progress) = self.follower.follow(value) {
                on_progress(progress);
            }
            seen.answered = answered(value);
        }
        self.transcript.events.push(TimedEvent {
            at_ms: now_ms(),
            event,
        });
        seen.kill = self.last_retry().and_then(|retry| self.is_useless(&retry));
        seen
    }

    fn last_retry(&self) -> Option<ApiRetry> {
        ApiRetry::from_event(
            self.transcript.events.len(),
            self.transcript.events.last()?.event.json()?,
        )
    }

    fn is_useless(&self, retry: &ApiRetry) -> Option<Killed> {
        if retry.status.is_some_and(is_permanent) {
            return Some(Killed::PermanentError);
        }
        let resumes = Instant::now() + Duration::from_millis(retry.delay_ms);
        (resumes >= self.deadline).then_some(Killed::Deadline)
    }
}

fn answered(event: &Value) -> Option<Answered> {
    if event.get("type")? != "result" {
        return None;
    }
    let is_error = event.get("is_error").and_then(Value::as_bool).unwrap_or(false);
    Some(if is_error { Answered::Badly } else { Answered::Well })
}

/// A line that is too long or not UTF-8 is evidence, however it would parse.
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

/// How much of a line that is too long is kept as evidence.
const CUT_LINE_CHARACTERS: usize = 4096;

/// The prompts that go to standard input, written in the background: `claude` may be busy printing.
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
            // The writer is gone where `claude` is: then its output ends as well.
            (Some(message), Some(writer)) => drop(writer.send(message)),
            _ => self.close(),
        }
    }

    /// Closes standard input once what was sent is written.
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

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
