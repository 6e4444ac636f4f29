//! A double of `claude` for tests.
//!
//! Without a scenario it sends each prompt to `ANTHROPIC_BASE_URL`, or to the base of Microsoft Foundry, and prints the reply as
//! `--output-format stream-json` does. With a scenario (the file that `FAKE_CLAUDE_SCENARIO` names, a JSON array of [`Step`]s) it
//! performs the steps. One step makes it a double of the harness.

#[path = "spy.rs"]
mod spy;

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use compat_matrix::{env, http, process};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::{Value, json};

/// The variable that names the scenario's file.
const SCENARIO: &str = "FAKE_CLAUDE_SCENARIO";

/// The variable that holds a scenario: a confined program cannot read a file elsewhere.
const STEPS: &str = "FAKE_CLAUDE_STEPS";

/// Under this name it hangs.
const HANGING: &str = "hanging-claude";

/// Hidden mode: sleeps in a new session.
const SLEEP: &str = "__fake-sleep";

/// Hidden mode: starts a process that sleeps, and ends.
const FORK: &str = "__fake-fork";

/// The time that a hanging step takes: longer than a test.
const LONG: Duration = Duration::from_secs(120);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    /// Writes argv, environment and working directory to a file, as JSON.
    Dump(PathBuf),
    /// Prints a line.
    Print(String),
    /// Prints a line that is not UTF-8.
    PrintInvalidUtf8,
    /// Prints a line of this length in bytes.
    PrintLong(usize),
    /// Prints on standard error.
    PrintError(String),
    /// Waits, in milliseconds.
    Wait(u64),
    /// Waits until a file exists.
    WaitForFile(PathBuf),
    /// Reads one line of standard input and prints it within `{"type":"read","line":…}`.
    Read,
    /// Waits for the end of standard input.
    ReadToEnd,
    /// Sends the prompts, as `claude` does.
    Answer,
    /// Starts a process that leaves the group, holds standard output open and sleeps; prints its pid.
    SpawnEscapee,
    /// The same with an empty environment, so that only its parent identifies it.
    SpawnEscapeeWithoutTag,
    /// The same, and its parent ends at once.
    SpawnOrphanWithoutTag,
    /// An argument for the next escapees, which identifies them to the test.
    MarkEscapees(String),
    /// Ignores SIGTERM.
    IgnoreSigterm,
    /// Sleeps.
    Hang,
    /// Exits.
    Exit(u8),
    /// Tries everything that a malicious program would, and prints what succeeded within `{"type":"spy","found":…}`.
    Spy(spy::Targets),
    /// Ends itself with a signal.
    Die(i32),
    /// Replaces the harness: starts a watchdog and a child for the run, prints both, and hangs.
    BeHarness {
        /// The run.
        run: uuid::Uuid,
        /// A folder for the watchdog to remove.
        remove: PathBuf,
        /// The child's scenario.
        scenario: PathBuf,
    },
}

fn main() -> ExitCode {
    if let Some(code) = process::run_hidden_mode_if_asked() {
        return code;
    }
    if std::env::args().nth(1).as_deref() == Some(SLEEP) {
        // It fails only for a group's leader, which a plain child is not.
        let _ = nix::unistd::setsid();
        std::thread::sleep(LONG);
        return ExitCode::SUCCESS;
    }
    if std::env::args().nth(1).as_deref() == Some(FORK) {
        spawn_escapee(SLEEP, true, &std::env::args().nth(2).unwrap_or_default());
        return ExitCode::SUCCESS;
    }
    if std::env::args().nth(1).as_deref() == Some("--version") {
        println!("0.0.0 (Fake Claude Code)");
        return ExitCode::SUCCESS;
    }
    let steps: Vec<Step> = match std::env::var_os(SCENARIO) {
        Some(file) => {
            let text = std::fs::read_to_string(file).expect("the scenario can be read");
            serde_json::from_str(&text).expect("the scenario is an array of steps")
        }
        None => match std::env::var(STEPS) {
            Ok(text) => serde_json::from_str(&text).expect("the scenario is an array of steps"),
            Err(_) if is_named(HANGING) => vec![Step::Hang],
            Err(_) => vec![Step::Answer],
        },
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built")
        .block_on(play(steps))
}

async fn play(steps: Vec<Step>) -> ExitCode {
    let mut marker = String::new();
    for step in steps {
        match step {
            Step::Dump(file) => dump(file),
            Step::Print(line) => print(&line),
            Step::PrintInvalidUtf8 => write_out(b"{\"type\":\"broken \xff\xfe\"}\n"),
            Step::PrintLong(length) => write_out(&[vec![b'x'; length], vec![b'\n']].concat()),
            Step::PrintError(line) => eprintln!("{line}"),
            Step::Wait(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
            Step::WaitForFile(file) => {
                while !file.exists() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            Step::Read => print(&json!({ "type": "read", "line": read_line() }).to_string()),
            Step::ReadToEnd => while read_line().is_some() {},
            Step::Answer => {
                let code = Conversation::default().hold().await;
                if code != 0 {
                    return ExitCode::from(code);
                }
            }
            Step::SpawnEscapee => spawn_escapee(SLEEP, false, &marker),
            Step::SpawnEscapeeWithoutTag => spawn_escapee(SLEEP, true, &marker),
            Step::SpawnOrphanWithoutTag => spawn_escapee(FORK, true, &marker),
            Step::MarkEscapees(text) => marker = text,
            Step::IgnoreSigterm => {
                let kind = tokio::signal::unix::SignalKind::terminate();
                // An installed handler stays, even if nothing reads from it.
                drop(tokio::signal::unix::signal(kind).expect("a handler can be installed"));
            }
            Step::Hang => tokio::time::sleep(LONG).await,
            Step::Spy(targets) => {
                let found = spy::spy(&targets).await;
                let token = std::env::var(env::ANTHROPIC_AUTH_TOKEN).ok();
                print(&json!({ "type": "spy", "found": found, "token": token }).to_string());
            }
            Step::Exit(code) => return ExitCode::from(code),
            Step::Die(signal) => {
                let signal = Signal::try_from(signal).expect("a signal's number");
                kill(Pid::this(), signal).expect("a process may signal itself");
                tokio::time::sleep(LONG).await;
            }
            Step::BeHarness {
                run,
                remove,
                scenario,
            } => be_harness(run, remove, scenario).await,
        }
    }
    ExitCode::SUCCESS
}

fn is_named(name: &str) -> bool {
    let own = std::env::args_os().next().map(PathBuf::from);
    own.is_some_and(|own| own.file_name().is_some_and(|own| own == name))
}

fn dump(file: PathBuf) {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let dump = json!({
        "argv": std::env::args().collect::<Vec<_>>(),
        "environment": environment,
        "directory": std::env::current_dir().expect("there is a working directory"),
    });
    std::fs::write(file, dump.to_string()).expect("the dump can be written");
}

fn print(line: &str) {
    write_out(format!("{line}\n").as_bytes());
}

fn write_out(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    // The reader may have closed the pipe.
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

fn read_line() -> Option<String> {
    let mut line = String::new();
    let count = std::io::stdin()
        .lock()
        .read_line(&mut line)
        .expect("standard input can be read");
    (count > 0).then(|| line.trim_end().to_owned())
}

#[expect(clippy::zombie_processes, reason = "it is to outlive this process")]
fn spawn_escapee(mode: &str, without_tag: bool, marker: &str) {
    let mut command = std::process::Command::new(std::env::current_exe().expect("this program has a path"));
    command
        .args([mode, marker])
        .stdin(Stdio::null())
        .stdout(Stdio::inherit());
    if without_tag {
        command.env_clear();
    }
    let child = command.spawn().expect("this program can be started again");
    print(&json!({ "type": "spawned", "pid": child.id() }).to_string());
}

async fn be_harness(run: uuid::Uuid, remove: PathBuf, scenario: PathBuf) {
    let run = process::RunId(run);
    let mut watchdog = process::Watchdog::start(run).expect("the watchdog starts");
    watchdog.remove_at_end(&remove).expect("the watchdog listens");
    let program = std::env::current_exe().expect("this program has a path");
    let launch =
        process::Launch::new(program, process::ProcessTag::run(run)).environment([(SCENARIO, scenario)]);
    let mut child = process::Piped::start(launch, 0).expect("the child starts");
    while let Some(line) = child.stdout.next().await {
        print(&line.text);
    }
}

/// Sends prompts and prints the replies.
#[derive(Default)]
struct Conversation {
    messages: Vec<Value>,
    usage: Value,
    failed: bool,
    /// The wait before the next request.
    retry_after_ms: u64,
}

impl Conversation {
    async fn hold(mut self) -> u8 {
        let arguments: Vec<String> = std::env::args().collect();
        if arguments.iter().any(|argument| argument == "--input-format") {
            while let Some(line) = read_line() {
                let prompt: Value = serde_json::from_str(&line).expect("a prompt is JSON");
                self.prompt(prompt["message"]["content"].clone()).await;
            }
        } else {
            let prompt = arguments.last().expect("there is a prompt").clone();
            self.prompt(json!([{ "type": "text", "text": prompt }])).await;
        }
        u8::from(self.failed)
    }

    async fn prompt(&mut self, content: Value) {
        print(
            &json!({ "type": "system", "subtype": "init", "model": flag("--model"),
                "session_id": flag("--session-id"), "tools": ["Bash"], "claude_code_version": "0.0.0" })
            .to_string(),
        );
        print(&json!({ "type": "system", "subtype": "status", "status": "requesting" }).to_string());
        self.messages.push(json!({ "role": "user", "content": content }));
        let result = match self.ask_with_retries().await {
            Ok(text) => json!({ "type": "result", "subtype": "success", "is_error": false, "result": text,
                "num_turns": 1, "usage": self.usage, "total_cost_usd": 0.0 }),
            Err((status, text)) => {
                self.failed = true;
                json!({ "type": "result", "subtype": "success", "is_error": true, "api_error_status": status,
                    "result": format!("API Error: {status} {text}"), "usage": {}, "total_cost_usd": 0.0 })
            }
        };
        print(&result.to_string());
    }

    async fn ask_with_retries(&mut self) -> Result<String, (u16, String)> {
        let retries: u64 = variable(env::CLAUDE_CODE_MAX_RETRIES).parse().unwrap_or(10);
        let mut attempt = 0;
        loop {
            self.retry_after_ms = 10;
            let (status, text) = match self.ask().await {
                Err((status, text)) if status != 400 && status != 404 => (status, text),
                answered => return answered,
            };
            attempt += 1;
            if attempt > retries {
                return Err((status, text));
            }
            let wait = self.retry_after_ms;
            let retry = json!({ "type": "system", "subtype": "api_retry", "attempt": attempt,
                "max_retries": retries, "retry_delay_ms": wait, "error_status": status, "error": "server_error" });
            print(&retry.to_string());
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    async fn ask(&mut self) -> Result<String, (u16, String)> {
        let body = json!({ "model": flag("--model"), "max_tokens": 32000, "stream": true,
            "metadata": { "user_id": json!({ "session_id": flag("--session-id") }).to_string() },
            "messages": self.messages });
        let request = |base| http::client().post(format!("{}/v1/messages?beta=true", variable(base)));
        let request = match variable(env::CLAUDE_CODE_USE_FOUNDRY).as_str() {
            "" => request(env::ANTHROPIC_BASE_URL).bearer_auth(variable(env::ANTHROPIC_AUTH_TOKEN)),
            _ => request(env::ANTHROPIC_FOUNDRY_BASE_URL)
                .header("x-api-key", variable(env::ANTHROPIC_FOUNDRY_API_KEY)),
        };
        let mut response = request
            .header("anthropic-version", "2023-06-01")
            .header("x-claude-code-session-id", flag("--session-id"))
            .json(&body)
            .send()
            .await
            .map_err(|error| (0, error.to_string()))?;
        let status = response.status().as_u16();
        if status != 200 {
            if let Some(wait) = http::retry_after(response.headers()) {
                self.retry_after_ms = wait.as_millis() as u64;
            }
            return Err((status, response.text().await.unwrap_or_default()));
        }
        let mut answer = Answer::default();
        let mut buffer = String::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| (0, error.to_string()))? {
            buffer.push_str(&String::from_utf8_lossy(&chunk));
            while let Some((event, rest)) = buffer.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data:"));
                if let Some(event) = data.and_then(|data| serde_json::from_str(data).ok()) {
                    answer.event(event);
                }
                buffer = rest.to_owned();
            }
        }
        self.usage = answer.usage.clone();
        let message = json!({ "role": "assistant", "content": [{ "type": "text", "text": answer.text }] });
        self.messages.push(message);
        Ok(answer.text)
    }
}

#[derive(Default)]
struct Answer {
    message: Value,
    text: String,
    usage: Value,
}

impl Answer {
    fn event(&mut self, event: Value) {
        match event["type"].as_str() {
            Some("message_start") => {
                self.message = event["message"].clone();
                self.usage = event["message"]["usage"].clone();
            }
            Some("content_block_delta") => {
                self.text
                    .push_str(event["delta"]["text"].as_str().unwrap_or_default());
            }
            Some("content_block_stop") => {
                let mut message = self.message.clone();
                message["content"] = json!([{ "type": "text", "text": self.text }]);
                print(
                    &json!({ "type": "assistant", "message": message, "parent_tool_use_id": null })
                        .to_string(),
                );
            }
            Some("message_delta") => {
                for (name, count) in event["usage"].as_object().into_iter().flatten() {
                    self.usage[name.as_str()] = count.clone();
                }
            }
            _ => {}
        }
        print(&json!({ "type": "stream_event", "event": event, "parent_tool_use_id": null }).to_string());
    }
}

fn flag(name: &str) -> String {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).unwrap_or_default()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
