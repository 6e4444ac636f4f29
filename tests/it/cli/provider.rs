//! `compat provider serve`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::files::{Folder, mode};
use crate::support::project::copy_of_this_project;
use compat_matrix::http;
use compat_matrix::provider::RemoteSimulator;
use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

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
        Self::start_in(Folder::new(), &[])
    }

    fn start_in(folder: Folder, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_compat"))
            .args(["provider", "serve", "--credentials"])
            .arg(folder.root())
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut announced = String::new();
        while !announced.contains("CONTROL_KEY_FILE=") && !announced.contains("as in a live run") {
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
        let start = format!("{name}=");
        let line = environment.lines().find(|line| line.starts_with(&start)).unwrap();
        line[start.len()..].trim_matches('\'').to_owned()
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

/// The text that the server at `base_url` answers to a question, or its error.
async fn ask(base_url: &str, key: &str) -> String {
    let body = json!({"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let request = http::client().post(format!("{base_url}/v1/messages"));
    let request = request
        .header("x-api-key", key)
        .header("anthropic-version", "2023-06-01");
    let reply: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
    let text = reply["content"][0]["text"]
        .as_str()
        .or(reply["error"]["message"].as_str());
    text.unwrap().to_owned()
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
        let reply = http::client()
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
            "anthropic POST /v1/messages -> 200: reply 1 of the script (claude-haiku-4-5, messages: 1, tools: 0)",
        );
    }
}

#[tokio::test]
async fn credentials_are_only_in_private_files() {
    let serving = Serving::start();
    for file in [
        "address",
        "control-key",
        "credentials.json",
        "gateway.env",
        "vertex-service-account.json",
    ] {
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

#[tokio::test]
async fn a_second_start_has_the_same_address_and_credentials() {
    let mut serving = Serving::start();
    let names = [
        "ANTHROPIC_API_BASE",
        "ANTHROPIC_API_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "VERTEXAI_PROJECT",
    ];
    let before = names.map(|name| serving.variable(name));
    let account = |serving: &Serving| -> Value {
        let mut account: Value = serde_json::from_str(&serving.read("vertex-service-account.json")).unwrap();
        account.as_object_mut().unwrap().remove("token_uri");
        account
    };
    let first_account = account(&serving);
    let token = access_token(&serving).await;
    let folder = std::mem::replace(&mut serving.folder, Folder::new());
    serving.end(Signal::SIGTERM);
    let serving = Serving::start_in(folder, &[]);
    assert_eq!(names.map(|name| serving.variable(name)), before);
    assert_eq!(account(&serving), first_account);
    assert_eq!(vertex_status(&serving, &token).await, 200);
    assert_eq!(vertex_status(&serving, &format!("{token}x")).await, 401);
}

#[test]
fn another_port_is_taken_if_the_last_one_is_not_free() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let folder = Folder::new();
    folder.write("address", &taken);
    let serving = Serving::start_in(folder, &[]);
    let address = serving.read("address");
    assert_ne!(address, taken);
    assert_eq!(
        serving.variable("ANTHROPIC_API_BASE"),
        format!("http://{address}")
    );
    let (_, said) = serving.end(Signal::SIGTERM);
    assert_has(&said, &format!("cannot listen on `{taken}` as at the last start"));
}

/// The access token of the metadata server.
async fn access_token(serving: &Serving) -> String {
    let url = format!(
        "{}/computeMetadata/v1/instance/service-accounts/default/token",
        serving.variable("ANTHROPIC_API_BASE")
    );
    let client = http::client();
    let refused = client.get(&url).send().await.unwrap();
    assert_eq!(refused.status(), 403, "without the header of Google's libraries");
    let reply = client
        .get(&url)
        .header("metadata-flavor", "Google")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.headers()["metadata-flavor"], "Google");
    let reply: Value = reply.json().await.unwrap();
    assert_eq!(reply["token_type"], "Bearer");
    reply["access_token"].as_str().unwrap().to_owned()
}

async fn vertex_status(serving: &Serving, token: &str) -> u16 {
    let url = format!(
        "{}/v1/projects/{}/locations/us-east5/publishers/anthropic/models/claude-haiku-4-5@20251001:rawPredict",
        serving.variable("VERTEXAI_API_BASE"),
        serving.variable("VERTEXAI_PROJECT")
    );
    let mut body = prompt(new_key());
    body["anthropic_version"] = "vertex-2023-10-16".into();
    let request = http::client().post(url).bearer_auth(token).json(&body);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn googles_libraries_find_a_metadata_server() {
    let serving = Serving::start();
    let base_url = serving.variable("ANTHROPIC_API_BASE");
    let host = base_url.trim_start_matches("http://");
    assert_has(&serving.announced, &format!("GCE_METADATA_HOST={host}"));
    let client = http::client();
    for (path, words) in [
        ("/", "instance/"),
        ("/computeMetadata/v1/instance", "project/"),
        ("/computeMetadata/v1/project/project-id", "compat-"),
        ("/computeMetadata/v1/universe/universe-domain", "googleapis.com"),
        (
            "/computeMetadata/v1/instance/service-accounts/default/?recursive=true",
            "cloud-platform",
        ),
    ] {
        let request = client
            .get(format!("{base_url}{path}"))
            .header("metadata-flavor", "Google");
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        assert_has(&reply.text().await.unwrap(), words);
    }
}

#[tokio::test]
async fn a_script_answers_in_order_and_from_the_first_again() {
    let folder = Folder::new();
    folder.write(
        "script.yaml",
        "replies:\n  - content: [{ text: one }]\n  - error: { status: 529, message: busy }\n",
    );
    let file = folder.path("script.yaml");
    let serving = Serving::start_in(folder, &["--script", file.to_str().unwrap()]);
    let base_url = serving.variable("ANTHROPIC_API_BASE");
    let key = serving.variable("ANTHROPIC_API_KEY");
    for answer in ["one", "busy", "one"] {
        assert_eq!(ask(&base_url, &key).await, answer);
    }
    assert_eq!(ask(&base_url, "wrong").await, "invalid x-api-key");
    let (_, said) = serving.end(Signal::SIGTERM);
    assert_has(&said, "anthropic POST /v1/messages -> 529: reply 2 of the script");
    assert_has(
        &said,
        "anthropic POST /v1/messages -> 401: breaks the provider's rule `anthropic_api_key`: invalid x-api-key",
    );
}

#[tokio::test]
async fn a_declared_refusal_is_in_the_line_of_its_request() {
    let serving = Serving::start_in(Folder::new(), &["--as-live=7"]);
    let url = format!("{}/v1/messages", serving.variable("ANTHROPIC_API_BASE"));
    let key = serving.variable("ANTHROPIC_API_KEY");
    let tool = json!({"name": "Bash", "input_schema": {"type": "object"}});
    let body = json!({"model": "claude-haiku-4-5", "max_tokens": 99, "tools": [tool], "messages": [
        {"role": "user", "content": "Use the Bash tool to run exactly this command: echo pong"}]});
    let answers = join_all((0..300).map(|_| async {
        let request = http::client().post(&url).header("x-api-key", &key);
        let request = request.header("anthropic-version", "2023-06-01").json(&body);
        request.send().await.unwrap().text().await.unwrap()
    }));
    let refused = answers
        .await
        .iter()
        .filter(|answer| answer.contains("rather not"))
        .count();
    assert!(refused > 0, "one of sixty is refused");
    let (_, said) = serving.end(Signal::SIGTERM);
    let declared = said.matches(" -> 200: built-in reply, refuses Bash (declared) (claude-haiku-4-5, ");
    assert_eq!(declared.count(), refused, "{said}");
}

#[tokio::test]
async fn a_cell_answers_an_unknown_client() {
    let cell = [
        "--cell",
        "basic_messaging_streaming/anthropic",
        "--root",
        env!("CARGO_MANIFEST_DIR"),
    ];
    let serving = Serving::start_in(Folder::new(), &cell);
    let base_url = serving.variable("ANTHROPIC_API_BASE");
    let answer = ask(&base_url, &serving.variable("ANTHROPIC_API_KEY")).await;
    assert!(
        !answer.starts_with("Hello from") && !answer.contains("simulator"),
        "{answer}"
    );
}

#[test]
fn a_wrong_cell_script_or_folder_is_named() {
    let folder = Folder::new();
    folder.write("script.yaml", "replies:\n  - contents: []\n");
    folder.write("credentials.json", "{}");
    let script = folder.path("script.yaml");
    let root = env!("CARGO_MANIFEST_DIR");
    let project = copy_of_this_project();
    project.write(
        "cells/tool_use/azure.yaml",
        "not_applicable: no Claude there (https://example.com)\n",
    );
    let other = project.root().to_str().unwrap();
    let cases: [(&[&str], &str); 4] = [
        (
            &["--cell", "tool_uze/anthropic", "--root", root],
            "there is no cell `tool_uze/anthropic` (did you mean `tool_use/anthropic`?)",
        ),
        (
            &["--cell", "tool_use/azure", "--root", other],
            "the cell `tool_use/azure` is not applicable",
        ),
        (&["--script", script.to_str().unwrap()], "script.yaml:2:5"),
        (
            &["--credentials", folder.root().to_str().unwrap()],
            "cannot start with the credentials in",
        ),
    ];
    for (arguments, words) in cases {
        let ran = Command::new(env!("CARGO_BIN_EXE_compat"))
            .args(["provider", "serve"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(!ran.status.success(), "{arguments:?}");
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert_has(&said, words);
    }
}
