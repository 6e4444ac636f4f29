//! Strict doubles of CircleCI, of GitHub Actions and of the store of their logs. An unknown path, a wrong header, a token in the
//! wrong place, a change that nobody asked for, or a fifth request at once is a violation, which fails the test.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::support::loopback::serve;
use crate::support::ran::Ran;

/// The token: no output, address or log may contain it.
pub const CANARY: &str = "canaryCITOKEN0123456789";
/// A commit.
pub const SHA: &str = "9a90490aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

pub fn reply(status: u16, body: impl ToString) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.to_string(),
    }
}

impl Reply {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// What both doubles answer: `GET /path?query` to its replies; the last one repeats. `{store}` stands for the store's address.
#[derive(Clone, Debug, Default)]
pub struct World {
    replies: BTreeMap<String, Vec<Reply>>,
    stored: BTreeMap<String, Reply>,
    lists: BTreeMap<String, Vec<Value>>,
    /// Items of a page.
    pub page: usize,
    /// Time of each reply.
    pub delay: Duration,
    /// Whether the caller has a token.
    pub has_token: bool,
    /// `owner/name`.
    pub project: String,
}

impl World {
    pub fn new() -> Self {
        Self {
            page: 20,
            has_token: true,
            project: "acme/shop".into(),
            ..Self::default()
        }
    }

    pub fn reply(mut self, target: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        self.replies.insert(target.into(), replies.into_iter().collect());
        self
    }

    fn push(mut self, list: &str, item: Value) -> Self {
        self.lists.entry(list.into()).or_default().push(item);
        self
    }

    /// A pipeline of CircleCI on a branch, newest first.
    pub fn pipeline(self, id: &str, number: u64, revision: &str, branch: &str) -> Self {
        let form = json!({
            "id": id, "number": number, "project_slug": format!("gh/{}", self.project), "state": "created", "errors": [],
            "trigger": {"type": "webhook"}, "vcs": {"revision": revision, "branch": branch},
        });
        self.pipeline_form(branch, form)
    }

    pub fn pipeline_form(self, branch: &str, form: Value) -> Self {
        let project = self.project.clone();
        let id = form["id"].as_str().unwrap().to_owned();
        self.push(
            &format!("/api/v2/project/gh/{project}/pipeline?branch={branch}"),
            form.clone(),
        )
        .push(&format!("/api/v2/project/gh/{project}/pipeline"), form)
        .list(&format!("/api/v2/pipeline/{id}/workflow"))
    }

    fn list(mut self, list: &str) -> Self {
        self.lists.entry(list.into()).or_default();
        self
    }

    pub fn workflow(self, pipeline: &str, id: &str, name: &str, status: &str) -> Self {
        let order = self.lists.values().map(Vec::len).sum::<usize>();
        let form = json!({
            "id": id, "name": name, "status": status, "pipeline_id": pipeline, "pipeline_number": 7,
            "project_slug": format!("gh/{}", self.project), "created_at": format!("2026-11-26T10:{:02}:{:02}Z", order / 60 % 60, order % 60), "stopped_at": null,
        });
        self.push(&format!("/api/v2/pipeline/{pipeline}/workflow"), form.clone())
            .reply(&format!("GET /api/v2/workflow/{id}"), [reply(200, form)])
            .list(&format!("/api/v2/workflow/{id}/job"))
    }

    pub fn job(self, workflow: &str, number: u64, name: &str, status: &str) -> Self {
        let form = json!({
            "id": format!("job-{workflow}-{name}"), "name": name, "type": "build", "status": status, "job_number": number,
            "project_slug": format!("gh/{}", self.project), "dependencies": [], "started_at": "2026-11-26T10:00:00Z",
            "stopped_at": "2026-11-26T10:01:20Z",
        });
        self.job_form(workflow, form)
    }

    pub fn job_form(self, workflow: &str, form: Value) -> Self {
        self.push(&format!("/api/v2/workflow/{workflow}/job"), form)
    }

    /// The failed tests of a job.
    pub fn tests(self, number: u64, failed: &[(&str, &str)]) -> Self {
        let project = self.project.clone();
        let list = format!("/api/v2/project/gh/{project}/{number}/tests");
        let world = self.list(&list).push(
            &list,
            json!({"classname": "t", "name": "test_ok", "result": "success", "message": "", "run_time": 0.1}),
        );
        failed.iter().fold(world, |world, (name, message)| {
            let form = json!({"classname": "t", "name": name, "result": "failure", "message": message, "file": null, "run_time": "0.1"});
            world.push(&list, form)
        })
    }

    /// The steps of a job in API v1.1.
    pub fn steps(self, number: u64, steps: Value) -> Self {
        let target = format!("GET /api/v1.1/project/github/{}/{number}", self.project);
        self.reply(
            &target,
            [reply(
                200,
                json!({"status": "failed", "messages": [], "steps": steps}),
            )],
        )
    }

    /// A job with one failed step, whose log is in the store, and without test results.
    pub fn log(self, number: u64, log: &str) -> Self {
        let action = json!({
            "index": 0, "step": 3, "name": "Run tests", "type": "test", "status": "failed", "exit_code": 1, "failed": true,
            "background": false, "has_output": true, "truncated": false, "output_url": format!("{{store}}/out/{number}"),
        });
        let chunks = json!([{"message": log, "time": "2026-11-26T10:00:00Z", "type": "out"}]);
        let list = format!("/api/v2/project/gh/{}/{number}/tests", self.project);
        self.list(&list)
            .steps(number, json!([{"name": "Run tests", "actions": [action]}]))
            .store(&format!("/out/{number}"), reply(200, chunks))
    }

    pub fn store(mut self, path: &str, reply: Reply) -> Self {
        self.stored.insert(path.into(), reply);
        self
    }

    /// A run of GitHub Actions, newest first.
    pub fn run(
        self,
        id: u64,
        name: &str,
        revision: &str,
        branch: &str,
        status: (&str, Option<&str>),
    ) -> Self {
        let form = json!({
            "id": id, "name": name, "workflow_id": name.len(), "head_branch": branch, "head_sha": revision, "event": "push",
            "status": status.0, "conclusion": status.1, "run_attempt": 1, "run_number": 5,
            "html_url": format!("https://github.example/acme/shop/actions/runs/{id}"),
        });
        self.run_form(form)
    }

    pub fn run_form(self, form: Value) -> Self {
        let text = |key: &str| form[key].as_str().unwrap().to_owned();
        let (revision, branch, id) = (
            text("head_sha"),
            text("head_branch"),
            form["id"].as_u64().unwrap(),
        );
        let runs = "/repos/acme/shop/actions/runs";
        self.push(&format!("workflow_runs {runs}?head_sha={revision}"), form.clone())
            .push(&format!("workflow_runs {runs}?branch={branch}"), form.clone())
            .push(
                &format!("workflow_runs {runs}?branch={branch}&event=push"),
                form.clone(),
            )
            .reply(&format!("GET {runs}/{id}"), [reply(200, form)])
            .list(&format!("jobs {runs}/{id}/jobs?filter=latest"))
    }

    pub fn head(self, branch: &str, revision: &str) -> Self {
        let target = format!("GET /repos/acme/shop/commits/{branch}");
        self.reply(&target, [reply(200, json!({ "sha": revision }))])
    }

    pub fn run_job(self, run: u64, id: u64, name: &str, status: (&str, Option<&str>)) -> Self {
        self.attempt_job(&format!("{run}/jobs?filter=latest"), id, name, status)
    }

    pub fn attempt_job(self, list: &str, id: u64, name: &str, status: (&str, Option<&str>)) -> Self {
        let form = json!({
            "id": id, "name": name, "status": status.0, "conclusion": status.1, "started_at": "2026-11-26T10:00:00Z",
            "completed_at": "2026-11-26T10:01:20Z", "html_url": null, "steps": [],
        });
        self.push(&format!("jobs /repos/acme/shop/actions/runs/{list}"), form)
    }

    /// The log of a job of GitHub Actions, behind a redirect to the store.
    pub fn run_log(self, job: u64, log: &str) -> Self {
        let target = format!("GET /repos/acme/shop/actions/jobs/{job}/logs");
        let redirect = reply(302, "").header("location", &format!("{{store}}/log/{job}?sig=secret"));
        self.reply(&target, [redirect])
            .store(&format!("/log/{job}?sig=secret"), reply(200, log))
    }

    /// The replies to the pages of all lists.
    fn pages(&mut self) {
        for (list, items) in std::mem::take(&mut self.lists) {
            let pages: Vec<&[Value]> = match items.is_empty() {
                true => vec![&[]],
                false => items.chunks(self.page).collect(),
            };
            for (index, page) in pages.iter().enumerate() {
                let is_last = index + 1 == pages.len();
                let separator = if list.contains('?') { '&' } else { '?' };
                let (target, body) = match list.split_once(' ') {
                    Some((key, path)) => (
                        format!("{path}{separator}per_page=100&page={}", index + 1),
                        json!({"total_count": items.len(), key: page}),
                    ),
                    None => (
                        match index {
                            0 => list.clone(),
                            index => format!("{list}{separator}page-token=page{index}"),
                        },
                        json!({"items": page, "next_page_token": (!is_last).then(|| format!("page{}", index + 1))}),
                    ),
                };
                self.replies
                    .entry(format!("GET {target}"))
                    .or_insert_with(|| vec![reply(200, body)]);
            }
        }
    }
}

#[derive(Default)]
struct Seen {
    requests: Vec<String>,
    violations: Vec<String>,
    under_way: usize,
}

pub struct Double {
    api: String,
    has_token: bool,
    project: String,
    seen: Arc<Mutex<Seen>>,
}

impl Double {
    pub async fn start(mut world: World) -> Self {
        world.pages();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (stored, log) = (world.stored.clone(), seen.clone());
        let delay = world.delay;
        let store = serve(Router::new().fallback(move |request: Request| {
            let (stored, log) = (stored.clone(), log.clone());
            async move {
                let target = request.uri().to_string();
                enter(&log, format!("STORE {target}"));
                for name in ["authorization", "circle-token", "cookie"] {
                    if request.headers().contains_key(name) {
                        violate(&log, format!("the store got `{name}`"));
                    }
                }
                tokio::time::sleep(delay).await;
                let reply = stored.get(&target).cloned();
                leave(&log);
                reply.map_or_else(|| unknown(&log, &target), |reply| respond(reply, ""))
            }
        }))
        .await;
        let (log, has_token, project) = (seen.clone(), world.has_token, world.project.clone());
        let world = Arc::new(world);
        let api = serve(Router::new().fallback(move |request: Request| {
            let (log, world, store) = (log.clone(), world.clone(), store.clone());
            async move {
                let target = format!("{} {}", request.method(), request.uri());
                let before = enter(&log, target.clone());
                check(&request, &world, &log);
                tokio::time::sleep(world.delay).await;
                leave(&log);
                match world.replies.get(&target) {
                    Some(replies) => respond(replies[before.min(replies.len() - 1)].clone(), &store),
                    None => unknown(&log, &target),
                }
            }
        }))
        .await;
        Self {
            api,
            has_token,
            project,
            seen,
        }
    }

    /// Runs `compat ci` with `arguments`, beside the double. Fails if the double saw a violation or the token got out.
    pub async fn compat(&self, arguments: &[&str]) -> Ran {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_compat"));
        command
            .arg("ci")
            .args(arguments)
            .args(["--project", &self.project])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("CIRCLECI_CLI_HOST", &self.api)
            .env("GITHUB_API_URL", &self.api);
        if self.has_token {
            command.env("CIRCLECI_TOKEN", CANARY).env("GITHUB_TOKEN", CANARY);
        }
        let ran = Ran::beside(command).await;
        let violations = self.seen.lock().unwrap().violations.clone();
        assert!(violations.is_empty(), "{violations:#?}\n{}\n{}", ran.out, ran.err);
        for text in [&ran.out, &ran.err] {
            assert!(!text.contains(CANARY), "{text}");
        }
        ran
    }

    /// `compat ci` on CircleCI only, with its JSON.
    pub async fn circleci(&self, arguments: &[&str]) -> (Ran, Value) {
        self.json("circleci", arguments).await
    }

    pub async fn json(&self, provider: &str, arguments: &[&str]) -> (Ran, Value) {
        let ran = self
            .compat(&[arguments, &["--provider", provider, "--format", "json"]].concat())
            .await;
        let report = serde_json::from_str(&ran.out).unwrap_or(Value::Null);
        (ran, report)
    }

    /// `METHOD /path` of all requests, `STORE /path` of those to the store, in order.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }
}

fn enter(log: &Mutex<Seen>, target: String) -> usize {
    let mut seen = log.lock().unwrap();
    let before = seen.requests.iter().filter(|request| **request == target).count();
    if target.contains(CANARY) {
        seen.violations
            .push(format!("the token is in an address: {target}"));
    }
    seen.requests.push(target);
    seen.under_way += 1;
    if seen.under_way > 4 {
        seen.violations.push("more than four requests at once".into());
    }
    before
}

fn leave(log: &Mutex<Seen>) {
    log.lock().unwrap().under_way -= 1;
}

fn violate(log: &Mutex<Seen>, violation: String) {
    log.lock().unwrap().violations.push(violation);
}

fn check(request: &Request, world: &World, log: &Mutex<Seen>) {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let expected = world.has_token.then(|| format!("Bearer {CANARY}"));
    if header("authorization") != expected {
        violate(log, format!("wrong `authorization` at {}", request.uri()));
    }
    if header("circle-token").is_some() || request.uri().to_string().contains("circle-token") {
        violate(log, "the token is in another place than `authorization`".into());
    }
    if header("accept").as_deref() != Some("application/json") {
        violate(log, format!("`accept` is {:?}", header("accept")));
    }
    let may_change = request.uri().path().contains("rerun");
    if request.method() != "GET" && !may_change {
        violate(log, format!("a change: {} {}", request.method(), request.uri()));
    }
}

fn unknown(log: &Mutex<Seen>, target: &str) -> Response<Body> {
    violate(log, format!("unknown: {target}"));
    respond(reply(404, json!({"message": "unknown"})), "")
}

fn respond(reply: Reply, store: &str) -> Response<Body> {
    let mut builder = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in reply.headers {
        builder = builder.header(name, value.replace("{store}", store));
    }
    builder
        .body(Body::from(reply.body.replace("{store}", store)))
        .unwrap()
}
