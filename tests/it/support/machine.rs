//! The machine of one test: programs on its `PATH`, a home, and a folder with a record of every child process.

use compat_matrix::cells::Manifest;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use compat_matrix::matrix::ManifestView;
use compat_matrix::matrix::builder::{Stamp, build};
use compat_matrix::results::Results;
use serde_json::Value;
use tokio::process::Command;

use super::files::{Folder, files_below, write_program};
use super::hub::{APP, Hub};
use super::loopback::Server;
use super::ran::Ran;
use super::root;
use super::wait::until;

/// The binary of Claude Code in these tests: it records its environment and prints a version.
pub const CLAUDE: &str = "#!/bin/sh\n/usr/bin/env >>\"$0.saw\"\necho '2.1.327 (Claude Code)'\n";
/// A credential of a provider, for the gateway only.
pub const PROVIDER_CANARY: &str = "canaryPROVIDER";
/// Separates a program's arguments from its environment in a record.
const ENVIRONMENT: &str = "--- environment";
/// Ends a record.
const END: &str = "--- end";
/// The token for the list of releases.
pub const RESOLVER_CANARY: &str = "canaryRESOLVER";
/// The token for the package registry.
pub const NPM_CANARY: &str = "canaryREGISTRY";
/// A part of the webhook's address.
pub const WEBHOOK_CANARY: &str = "canaryWEBHOOK";

pub struct Machine {
    /// The project to run.
    pub project: PathBuf,
    folder: Folder,
}

impl Machine {
    /// A machine with doubles of `docker` and the harness, and the real `git`.
    pub fn new() -> Self {
        let machine = Self {
            project: root().to_owned(),
            folder: Folder::new(),
        };
        for name in ["bin", "home", "tmp", "spy", "output", "containers"] {
            std::fs::create_dir(machine.path(name)).unwrap();
        }
        std::os::unix::fs::symlink(real("git"), machine.path("bin/git")).unwrap();
        machine.program("docker", &docker());
        machine.program(
            "harness",
            "cp \"$(dirname \"$0\")/../results.json\" \"$COMPAT_RESULTS_PATH\"",
        );
        machine.results(|_| ());
        machine
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        self.folder.write(name, text).to_str().unwrap().to_owned()
    }

    pub fn read(&self, name: &str) -> String {
        self.folder.read(name)
    }

    /// Adds a program that records its arguments and environment and then runs `script`.
    pub fn program(&self, name: &str, script: &str) {
        let spy = self.path("spy");
        let text = format!(
            "file={}/{name}.$$\n{{ printf '%s\\n' \"$0\" \"$@\" '{ENVIRONMENT}'; /usr/bin/env; echo '{END}'; }} >>\"$file\"\n{script}",
            spy.display()
        );
        write_program(&self.path(&format!("bin/{name}")), &text);
    }

    /// Sets the harness's results: a complete live run without failures, after `change`.
    pub fn results(&self, change: impl FnOnce(&mut Value)) -> String {
        self.write("results.json", &results(change))
    }

    /// The matrix of results without failures.
    pub fn matrix(&self) -> String {
        let results = Results::parse(&results(|_| ())).unwrap();
        let manifest = std::fs::read(root().join("manifest.yaml")).unwrap();
        let manifest = Manifest::parse(Path::new("manifest.yaml"), &manifest).unwrap();
        let version = Some("v1.83.0-stable".to_owned());
        let stamp = Stamp::new(&results, version, None, None).unwrap();
        build(&ManifestView::of_part(&manifest, Some("v0")), &results, &stamp)
            .unwrap()
            .to_text()
    }

    /// `compat publish` on this machine, without arguments.
    pub fn publish(&self, hub: &Hub) -> Command {
        self.publish_to(hub, &hub.repository())
    }

    /// The same, to another docs repository.
    pub fn publish_to(&self, hub: &Hub, repository: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_compat"));
        command
            .arg("publish")
            .env_clear()
            .envs(self.environment())
            .env("GITHUB_API_URL", hub.api())
            .args(["--docs-repo", repository])
            // The fixtures are of the first version's matrix.
            .args(["--matrix", "v0"])
            .arg("--project")
            .arg(&self.project)
            .args(["--first-wait", "1"])
            .arg("--output")
            .arg(self.path("output"))
            .kill_on_drop(true);
        command
    }

    /// The whole daily run: newest release in a container, newest `claude`, whole matrix, App.
    pub fn publish_all(&self, hub: &Hub, registry: &Server) -> Command {
        let mut command = self.publish(hub);
        command
            .env("NPM_CONFIG_REGISTRY", &registry.address)
            .args(["--gateway", "docker"])
            .arg("--harness")
            .arg(self.path("bin/harness"))
            .args(self.app(hub));
        command
    }

    /// Publishes the harness's results without a run.
    pub fn publish_results(&self, hub: &Hub) -> Command {
        let mut command = self.publish(hub);
        command
            .arg("--results")
            .arg(self.path("results.json"))
            .args(["--litellm-version", "v1.83.0-stable"])
            .args(self.app(hub));
        command
    }

    /// Runs [`Machine::publish_results`] with `arguments`.
    pub async fn publishes(&self, hub: &Hub, arguments: &[&str]) -> Ran {
        Ran::of(self.publish_results(hub).args(arguments)).await
    }

    /// The App's credentials.
    pub fn app(&self, hub: &Hub) -> [String; 4] {
        let key = self.write("app-key.pem", &hub.private_key());
        ["--app-id".into(), APP.into(), "--app-key-file".into(), key]
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        [
            ("PATH", format!("{}:/usr/bin:/bin", path("bin"))),
            ("HOME", path("home")),
            ("TMPDIR", path("tmp")),
            ("COMPAT_CACHE_DIR", path("cache")),
            ("ANTHROPIC_API_KEY", PROVIDER_CANARY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", PROVIDER_CANARY.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// At each request to the server, records every process of this machine with arguments and environment, and every temporary
    /// file: git's configuration and the token's file are among them.
    pub fn watch(&self, hub: &Hub) {
        self.program("git", &real_git());
        let folder = self.folder.root().to_owned();
        let number = AtomicUsize::new(0);
        hub.state().spy = Some(Arc::new(move || {
            let number = number.fetch_add(1, Ordering::Relaxed);
            let write = |name: &str, content: &[u8]| {
                let path = folder.join(format!("spy/{name}.{number}"));
                let mut file = std::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .unwrap();
                file.write_all(content).unwrap();
            };
            write("proc", &processes(&folder));
            for path in files_below(&folder.join("tmp")) {
                // The file may be gone already.
                let Ok(content) = std::fs::read(&path) else {
                    continue;
                };
                let is_token = path.file_name().is_some_and(|name| name == "credentials");
                if is_token {
                    let mode = path.metadata().map_or(0, |metadata| metadata.mode());
                    write("token", format!("mode {mode:o}\n").as_bytes());
                }
                write(if is_token { "token" } else { "temporary" }, &content);
            }
        }));
    }

    /// Makes the git call number `call` (from 0) kill `compat` first. The call is recorded before, because the watchdog may end
    /// this `git` as soon as `compat` is dead.
    pub fn kill_at_git_call(&self, call: usize) {
        let script = format!(
            "calls=${{0%/*}}/../calls\nnumber=$(cat \"$calls\" 2>/dev/null | wc -l)\necho \"$*\" >>\"$calls\"\n\
             [ \"$number\" = {call} ] && kill -KILL $PPID\n{}",
            real_git()
        );
        self.program("git", &script);
    }

    /// The calls of git, in order, since [`Machine::kill_at_git_call`].
    pub fn git_calls(&self) -> Vec<String> {
        self.read("calls").lines().map(str::to_owned).collect()
    }

    pub fn containers(&self) -> Vec<String> {
        let names = files_below(&self.path("containers")).into_iter();
        names
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    /// The recorded arguments of programs, without environments.
    pub fn arguments(&self, name: &str) -> String {
        let mut is_argument = true;
        let mut arguments = String::new();
        for line in self.seen(name).lines() {
            match line {
                ENVIRONMENT => is_argument = false,
                END => is_argument = true,
                line if is_argument => arguments += &format!("{line}\n"),
                _ => {}
            }
        }
        arguments
    }

    /// The records of programs whose name begins with `name`.
    pub fn seen(&self, name: &str) -> String {
        let mut seen = String::new();
        for entry in std::fs::read_dir(self.path("spy")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with(name) {
                seen += &String::from_utf8_lossy(&std::fs::read(path).unwrap());
            }
        }
        seen
    }

    /// Waits until the watchdog has removed all temporary files and processes.
    pub async fn until_tidy(&self) {
        until("no temporary file and no process", || {
            std::fs::read_dir(self.path("tmp")).unwrap().next().is_none()
                && processes(self.folder.root()).is_empty()
        })
        .await;
    }
}

/// The results of a complete live run without failures, after `change`.
pub fn results(change: impl FnOnce(&mut Value)) -> String {
    let mut results: Value = serde_json::from_str(super::RESULTS).unwrap();
    let run = &mut results["run"];
    run["behind"] = "live".into();
    run["gateway"] = serde_json::json!({ "kind": "attached", "version": "1.83.0" });
    run["claude_code_version"] = "2.1.327".into();
    change(&mut results);
    results.to_string()
}

/// Makes trial `index` of the results fail with `cause`.
pub fn fail(results: &mut Value, index: usize, cause: &str) {
    let entry = &mut results["results"][index];
    entry["result"] = serde_json::json!({ "status": "fail", "error": format!("it broke\ncause: {cause}") });
    entry["cause"] = cause.into();
}

/// A double of `docker`: it pulls nothing and runs a gateway on the published port. Containers are files, so they outlive a
/// killed client.
fn docker() -> String {
    let gateway = env!("CARGO_BIN_EXE_fake-gateway");
    format!(
        r#"
containers=${{0%/*}}/../containers
case "$1" in
pull) echo "$3" ;;
image) echo 'ghcr.io/berriai/litellm@sha256:0123' ;;
run)
    echo "$6" >"$containers/$4"
    for argument; do case $argument in 127.0.0.1:*:4000) port=${{argument#127.0.0.1:}} port=${{port%:4000}} ;; esac; done
    exec {gateway} "$@" --port "$port"
    ;;
ps) cd "$containers" && grep -l "^${{5#label=}}" * || true ;;
stop) rm "$containers/$4" ;;
rm) shift 2; cd "$containers" && rm "$@" ;;
esac
"#
    )
}

/// A script that runs the real git.
pub fn real_git() -> String {
    format!("exec {} \"$@\"", real("git").display())
}

fn real(program: &str) -> PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .unwrap()
}

/// Arguments and environment of every process with `folder` in its environment, except `compat` itself.
fn processes(folder: &Path) -> Vec<u8> {
    // In a test build a plain search over all processes is slow; the regex crate is optimized.
    let folder = regex::bytes::Regex::new(&regex::escape(folder.to_str().unwrap())).unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let (arguments, environment) = (read("cmdline"), read("environ"));
        let own = env!("CARGO_BIN_EXE_compat").as_bytes();
        if folder.is_match(&environment) && !arguments.starts_with(own) {
            found.extend(arguments);
            found.push(b'\n');
            found.extend(environment);
            found.push(b'\n');
        }
    }
    found
}
