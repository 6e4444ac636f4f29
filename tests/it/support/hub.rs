//! A double of GitHub: a real git server (git's own `http-backend`) that demands a token, and the API of an App that mints
//! it, with the documented answers.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use super::files::{contents, write_program};
use super::loopback::{cut, serve};

pub const REPOSITORY: &str = "BerriAI/litellm-docs";
/// The path of the matrix in the docs repository.
pub const MATRIX_PATH: &str = "static/data/compatibility-matrix.json";
/// The path of the version history in the docs repository.
pub const HISTORY_PATH: &str = "static/data/version-history.json";
pub const APP: &str = "12345";
pub const INSTALLATION: u64 = 77;

/// The failure to produce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    RefuseTokens,
    /// Tokens may read but not write.
    ReadOnly,
    /// Somebody else pushes just before each of the next pushes.
    Moves(usize),
    /// The connection breaks before each of the next pushes.
    CutBeforePush(usize),
    /// The connection breaks after half of the next push.
    CutInPush,
    /// The connection breaks between the next push and its answer.
    CutAfterPush,
    /// The webhook answers 404.
    NoWebhook,
    /// The repository does not allow auto-merge.
    NoAutoMerge,
    /// The first token expires before the push.
    Expire,
}

/// Called before each request is served.
pub type Spy = Arc<dyn Fn() + Send + Sync>;

pub struct Hub {
    pub address: String,
    folder: TempDir,
    state: Arc<Mutex<State>>,
}

/// The App's key. All tests share it, because its generation takes longer than a test.
static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

#[derive(Default)]
pub struct State {
    pub fault: Fault,
    /// The valid tokens.
    pub tokens: Vec<String>,
    pub minted: usize,
    /// The bodies of the calls that minted tokens.
    pub mint_bodies: Vec<Value>,
    /// A permission that tokens get beside the requested ones.
    pub extra_permission: Option<&'static str>,
    /// The lifetime of tokens, in seconds.
    pub lifetime: i64,
    /// Calls of the API and requests of git, in order: `POST /graphql enablePullRequestAutoMerge`.
    pub calls: Vec<String>,
    /// The bearers of the calls of the API.
    pub bearers: Vec<String>,
    pub pull_request: Option<Value>,
    /// The messages to webhooks.
    pub messages: Vec<Value>,
    pub spy: Option<Spy>,
}

impl Hub {
    /// A hub with a docs repository that has two files and no matrix.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_repository(&repository(folder.path()));
        let state = Arc::new(Mutex::new(State {
            lifetime: 3600,
            ..State::default()
        }));
        let served = Arc::new(Served {
            root: folder.path().to_owned(),
            state: Arc::clone(&state),
        });
        let router = Router::new().fallback(move |request: Request| {
            let served = Arc::clone(&served);
            async move { served.answer(request).await }
        });
        Self {
            address: serve(router).await,
            folder,
            state,
        }
    }

    /// The App's private key.
    pub fn private_key(&self) -> String {
        pem(&KEY)
    }

    /// The private key of an unknown App.
    pub fn key_of_another_app(&self) -> String {
        pem(&KeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub fn repository(&self) -> String {
        format!("{}/{REPOSITORY}.git", self.address)
    }

    pub fn api(&self) -> String {
        format!("{}/api", self.address)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The text of the last message to a webhook.
    pub fn message(&self) -> String {
        let message = self.state().messages.pop().unwrap();
        message["text"].as_str().unwrap().to_owned()
    }

    /// Runs git in the docs repository.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&repository(self.folder.path()), arguments)
    }

    /// The commit of `branch`; empty if there is no such branch.
    pub fn head(&self, branch: &str) -> String {
        self.git(&[
            "for-each-ref",
            "--format=%(objectname)",
            &format!("refs/heads/{branch}"),
        ])
    }

    pub fn commits(&self, branch: &str) -> usize {
        self.git(&["rev-list", "--count", branch]).parse().unwrap()
    }

    /// The files that the last commit of `branch` changed.
    pub fn changed(&self, branch: &str) -> Vec<String> {
        let listed = self.git(&["diff", "--name-only", &format!("{branch}~1"), branch]);
        listed.lines().map(str::to_owned).collect()
    }

    /// A file of `branch`.
    pub fn file(&self, branch: &str, path: &str) -> String {
        self.git(&["show", &format!("{branch}:{path}")])
    }

    /// Commits a file to `branch`, as somebody else.
    pub fn put(&self, branch: &str, path: &str, text: &str) {
        commit(&repository(self.folder.path()), branch, &[(path, text)]);
    }

    /// Adds a hook to the docs repository.
    pub fn hook(&self, name: &str, script: &str) {
        let hooks = repository(self.folder.path()).join("hooks");
        std::fs::create_dir_all(&hooks).unwrap();
        let path = hooks.join(name);
        write_program(&path, script);
    }

    /// Every object of the docs repository, and its configuration.
    pub fn everything(&self) -> String {
        let objects = self.git(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]);
        let mut all = self.git(&["config", "--list"]);
        for object in objects.lines() {
            all += &self.git(&["cat-file", "-p", object]);
        }
        all
    }
}

/// A key in GitHub's format: PKCS #1 in PEM.
fn pem(key: &KeyPair) -> String {
    let der: Pkcs8V1Der = key.as_der().unwrap();
    // In PKCS #8 the PKCS #1 key is the last element, after 26 bytes.
    let body = STANDARD.encode(&der.as_ref()[26..]);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n",
        lines.join("\n")
    )
}

/// The docs repository below the server's root.
fn repository(root: &Path) -> PathBuf {
    root.join(format!("{REPOSITORY}.git"))
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    git_with(folder, arguments, b"")
}

fn git_with(folder: &Path, arguments: &[&str], input: &[u8]) -> String {
    let mut child = std::process::Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The files of a new docs repository. All tests share them.
static TEMPLATE: LazyLock<BTreeMap<PathBuf, Vec<u8>>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path();
    let init = "init --quiet --bare --initial-branch=main --template=";
    git(bare, &init.split(' ').collect::<Vec<_>>());
    git(bare, &["config", "http.receivepack", "true"]);
    git(bare, &["config", "uploadpack.allowFilter", "true"]);
    let first = [
        ("README.md", "the docs\n"),
        ("docusaurus.config.ts", "export {}\n"),
    ];
    commit(bare, "main", &first);
    contents(bare)
});

fn copy_repository(to: &Path) {
    for name in ["refs/heads", "refs/tags", "objects/info", "objects/pack"] {
        std::fs::create_dir_all(to.join(name)).unwrap();
    }
    for (name, content) in TEMPLATE.iter() {
        let path = to.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// Commits files to `branch` of a bare repository.
fn commit(bare: &Path, branch: &str, files: &[(&str, &str)]) {
    let from = match git(bare, &["for-each-ref", &format!("refs/heads/{branch}")]).is_empty() {
        true => String::new(),
        false => format!("from refs/heads/{branch}^0\n"),
    };
    let mut stream = format!(
        "commit refs/heads/{branch}\ncommitter Somebody <somebody@example.org> 1700000000 +0000\ndata 4\nNews\n{from}"
    );
    for (path, text) in files {
        stream += &format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len());
    }
    git_with(bare, &["fast-import", "--quiet"], stream.as_bytes());
}

struct Served {
    root: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Served {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn answer(&self, request: Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let target = parts.uri.to_string();
        let spy = self.state().spy.clone();
        if let Some(spy) = spy {
            spy();
        }
        if let Some(path) = target.strip_prefix("/api") {
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            return self.api(&parts.method, path, &parts.headers, &body);
        }
        if target.starts_with("/hook/") {
            self.state().messages.push(serde_json::from_slice(&body).unwrap());
            let is_there = self.state().fault != Fault::NoWebhook;
            return reply(if is_there { 200 } else { 404 }, json!("ok"));
        }
        self.git(&parts.method, &target, &parts.headers, body).await
    }

    fn api(&self, method: &Method, path: &str, headers: &HeaderMap, body: &Value) -> Response<Body> {
        let mutation = ["enablePullRequestAutoMerge", "disablePullRequestAutoMerge"]
            .into_iter()
            .find(|name| body["query"].as_str().is_some_and(|query| query.contains(name)));
        let call = format!("{method} {path} {}", mutation.unwrap_or_default());
        self.state().calls.push(call.trim().to_owned());
        let bearer = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .unwrap_or_default();
        self.state().bearers.push(bearer.to_owned());
        if path.starts_with("/repos/BerriAI/litellm") && path.contains("/releases") {
            return reply(200, releases());
        }
        if path == format!("/repos/{REPOSITORY}/installation") {
            return match self.is_app(bearer) {
                true => reply(200, json!({ "id": INSTALLATION, "app_id": 12345 })),
                false => reply(401, json!({ "message": "A JSON web token could not be decoded" })),
            };
        }
        if path == format!("/app/installations/{INSTALLATION}/access_tokens") {
            return match self.is_app(bearer) {
                true => self.mint(body),
                false => reply(401, json!({ "message": "A JSON web token could not be decoded" })),
            };
        }
        if !self.state().tokens.iter().any(|token| token == bearer) {
            return reply(404, json!({ "message": "Not Found" }));
        }
        let pulls = format!("/repos/{REPOSITORY}/pulls");
        let mut state = self.state();
        match (method.as_str(), path) {
            ("GET", path) if path.starts_with(&pulls) => {
                reply(200, Value::Array(state.pull_request.iter().cloned().collect()))
            }
            ("POST", path) if path == pulls => {
                assert!(state.pull_request.is_none(), "one open pull request at most");
                let mut made = body.clone();
                made["number"] = json!(7);
                made["node_id"] = json!("PR_7");
                made["html_url"] = json!("https://github.example/pull/7");
                made["auto_merge"] = Value::Null;
                state.pull_request = Some(made.clone());
                reply(201, made)
            }
            ("PATCH", path) if path == format!("{pulls}/7") => {
                if body["state"] == "closed" {
                    return reply(200, state.pull_request.take().unwrap());
                }
                let open = state.pull_request.as_mut().unwrap();
                open["title"] = body["title"].clone();
                open["body"] = body["body"].clone();
                reply(200, open.clone())
            }
            ("POST", "/graphql") => {
                assert_eq!(body["variables"]["id"], "PR_7");
                if state.fault == Fault::NoAutoMerge {
                    let message = "Auto merge is not allowed for this repository";
                    return reply(
                        200,
                        json!({ "errors": [{ "type": "UNPROCESSABLE", "message": message }] }),
                    );
                }
                let open = state.pull_request.as_mut().unwrap();
                open["auto_merge"] = match mutation.unwrap() {
                    "enablePullRequestAutoMerge" => json!({ "merge_method": "squash" }),
                    _ => Value::Null,
                };
                reply(200, json!({ "data": {} }))
            }
            _ => reply(404, json!({ "message": "Not Found" })),
        }
    }

    /// Checks a JWT of the App as GitHub does.
    fn is_app(&self, jwt: &str) -> bool {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[APP]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        let key = DecodingKey::from_rsa_der(KEY.public_key().as_ref());
        let now = chrono::Utc::now().timestamp();
        jsonwebtoken::decode::<Value>(jwt, &key, &validation).is_ok_and(|jwt| {
            let (iat, exp) = (jwt.claims["iat"].as_i64(), jwt.claims["exp"].as_i64());
            iat.is_some_and(|iat| iat <= now) && exp.is_some_and(|exp| exp <= now + 600)
        })
    }

    fn mint(&self, body: &Value) -> Response<Body> {
        let mut state = self.state();
        state.minted += 1;
        state.mint_bodies.push(body.clone());
        let token = format!("ghs_canaryTOKEN{}", state.minted);
        state.tokens.push(token.clone());
        let mut permissions = body["permissions"].clone();
        permissions["metadata"] = json!("read");
        if let Some(extra) = state.extra_permission {
            permissions[extra] = json!("write");
        }
        let expires_at = chrono::Utc::now() + chrono::TimeDelta::seconds(state.lifetime);
        reply(
            201,
            json!({
                "token": token,
                "expires_at": expires_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
                "permissions": permissions,
                "repository_selection": "selected",
                "repositories": [{ "id": 1, "name": "litellm-docs", "full_name": REPOSITORY }],
            }),
        )
    }

    async fn git(&self, method: &Method, target: &str, headers: &HeaderMap, body: Bytes) -> Response<Body> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let is_push = path.ends_with("/git-receive-pack");
        let asks_to_push = is_push || query.contains("git-receive-pack");
        let fault = {
            let mut state = self.state();
            state.calls.push(format!("{method} {target}"));
            state.fault
        };
        if !self.is_allowed(headers, fault, asks_to_push) {
            return Response::builder()
                .status(401)
                .header("www-authenticate", "Basic realm=\"GitHub\"")
                .body(Body::from("Invalid username or token."))
                .unwrap();
        }
        if asks_to_push && fault == Fault::ReadOnly {
            return reply(403, json!("Write access to repository not granted."));
        }
        match fault {
            Fault::Moves(times @ 1..) if is_push => {
                self.state().fault = Fault::Moves(times - 1);
                let path = format!("docs/{times}.md");
                commit(&repository(&self.root), "main", &[(&path, "news\n")]);
            }
            Fault::CutBeforePush(times @ 1..) if is_push => {
                self.state().fault = Fault::CutBeforePush(times - 1);
                return broken();
            }
            _ => {}
        }
        if is_push && fault == Fault::CutInPush {
            self.state().fault = Fault::None;
            let half = body.slice(..body.len() / 2);
            self.backend(method, path, query, headers, half).await;
            return broken();
        }
        let response = self.backend(method, path, query, headers, body).await;
        if is_push && fault == Fault::CutAfterPush {
            self.state().fault = Fault::None;
            return broken();
        }
        response
    }

    fn is_allowed(&self, headers: &HeaderMap, fault: Fault, asks_to_push: bool) -> bool {
        let state = self.state();
        let given = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
            .and_then(|value| String::from_utf8(STANDARD.decode(value).ok()?).ok());
        let Some(token) = given
            .as_deref()
            .and_then(|given| given.strip_prefix("x-access-token:"))
        else {
            return false;
        };
        let is_expired = fault == Fault::Expire && asks_to_push && token.ends_with("TOKEN1");
        fault != Fault::RefuseTokens && !is_expired && state.tokens.iter().any(|good| good == token)
    }

    /// git's own server, as CGI (RFC 3875).
    async fn backend(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response<Body> {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let mut child = tokio::process::Command::new("git")
            .arg("http-backend")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_PROTOCOL", header("git-protocol"))
            .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
            .env("REMOTE_USER", "x-access-token")
            .env("REMOTE_ADDR", "127.0.0.1")
            .env("REQUEST_METHOD", method.as_str())
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("CONTENT_TYPE", header("content-type"))
            .env("CONTENT_LENGTH", body.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let written = tokio::spawn(async move {
            // git need not read all of it.
            let _ = stdin.write_all(&body).await;
        });
        let output = child.wait_with_output().await.unwrap();
        written.await.unwrap();
        let head = output.stdout.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(end) = head else { return broken() };
        let mut response = Response::builder();
        for line in std::str::from_utf8(&output.stdout[..end]).unwrap().lines() {
            let (name, value) = line.split_once(": ").unwrap();
            response = match name {
                "Status" => response.status(&value[..3]),
                _ => response.header(name, value),
            };
        }
        response
            .body(Body::from(output.stdout[end + 4..].to_vec()))
            .unwrap()
    }
}

/// A response with a longer length than its body.
fn broken() -> Response<Body> {
    cut(b"001e# service=git-receive-pack\n".to_vec())
}

fn reply(status: u16, body: Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// A release with the fields of GitHub's answer; few are read.
pub fn release(tag: &str, prerelease: bool) -> Value {
    json!({
        "id": 1, "tag_name": tag, "name": tag, "draft": false, "prerelease": prerelease, "target_commitish": "main",
        "created_at": "2026-10-01T00:00:00Z", "published_at": "2026-10-02T00:00:00Z", "assets": [], "body": "## What's new",
    })
}

fn releases() -> Value {
    json!([
        release("v1.84.0-rc1", true),
        release("v1.84.0", false),
        release("v1.83.0-stable", false),
        release("v1.9.5-stable", false),
    ])
}
