//! `compat provider serve`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::files::{Folder, mode};
use compat_matrix::provider::RemoteSimulator;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::provider_client::{new_key, prompt, script, text};
use crate::support::text::assert_has;

/// A running `compat provider serve`, killed when it is dropped.
struct Serving {
    child: Child,
    output: BufReader<ChildStdout>,
    folder: Folder,
    announced: String,
}

impl Serving {
    fn start() -> Self {
        let folder = Folder::new();
        let mut child = Command::new(env!("CARGO_BIN_EXE_compat"))
            .args(["provider", "serve", "--write-credentials"])
            .arg(folder.root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut announced = String::new();
        while !announced.contains("CONTROL_KEY_FILE=") {
            assert_ne!(
                output.read_line(&mut announced).unwrap(),
                0,
                "ended early: {announced}"
            );
        }
        Self {
            child,
            output,
            folder,
            announced,
        }
    }

    fn read(&self, file: &str) -> String {
        self.folder.read(file)
    }

    fn variable(&self, name: &str) -> String {
        let environment = self.read("gateway.env");
        let start = format!("{name}='");
        let line = environment.lines().find(|line| line.starts_with(&start)).unwrap();
        line[start.len()..].trim_end_matches('\'').to_owned()
    }

    /// Ends it with `signal`. Returns its exit status and its standard error.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (status.code(), said)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_server_answers_requests_and_ends_on_a_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let serving = Serving::start();
        let base_url = serving.variable("ANTHROPIC_API_BASE");
        let remote = RemoteSimulator::connect(&base_url, serving.read("control-key").trim())
            .await
            .unwrap();
        let key = new_key();
        remote.register(key, &script([text("ok")])).await.unwrap();
        let mut body = prompt(key);
        body["model"] = "claude-haiku-4-5".into();
        let reply = reqwest::Client::new()
            .post(format!("{base_url}/v1/messages"))
            .header("x-api-key", serving.variable("ANTHROPIC_API_KEY"))
            .header("anthropic-version", "2023-06-01")
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(remote.take(key).await.unwrap().len(), 1);
        let (code, said) = serving.end(signal);
        assert_eq!(code, Some(0), "{said}");
        assert_has(
            &said,
            "anthropic POST /v1/messages -> 200: reply 1 of the trial's script",
        );
    }
}

#[tokio::test]
async fn credentials_are_only_in_private_files() {
    let serving = Serving::start();
    for file in ["control-key", "gateway.env", "vertex-service-account.json"] {
        assert_eq!(mode(serving.folder.path(file)), 0o600, "{file}");
    }
    for name in ["ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        assert!(
            !serving.announced.contains(&serving.variable(name)),
            "{name} is printed"
        );
    }
    assert!(!serving.announced.contains(serving.read("control-key").trim()));
    let wrong = RemoteSimulator::connect(&serving.variable("ANTHROPIC_API_BASE"), "wrong").await;
    let refused = wrong.unwrap_err();
    assert_has(&refused.to_string(), "refuses the control key");
}
