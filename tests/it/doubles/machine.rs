//! A machine of a test's own: programs on its `PATH`, a home, and a folder in which every child is written down.

use compat_matrix::cells::Manifest;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use compat_matrix::matrix::ManifestView;
use compat_matrix::matrix::builder::{Stamp, build};
use compat_matrix::results::Results;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::hub::{APP, Hub};
use crate::loopback::Server;
use crate::ran::Ran;

/// What Claude Code's binary is in these tests.
pub const CLAUDE: &str = "#!/bin/sh\n/usr/bin/env >>\"$0.saw\"\necho '2.1.327 (Claude Code)'\n";
/// A credential of a provider: only the gateway may see it.
pub const PROVIDER_CANARY: &str = "canaryPROVIDER";
/// What stands between a program's arguments and its environment where they are written down.
const ENVIRONMENT: &str = "--- environment";
/// What stands behind its environment.
const END: &str = "--- end";
/// The token for GitHub's API with which releases are listed.
pub const RESOLVER_CANARY: &str = "canaryRESOLVER";
/// The token for the package registry.
pub const NPM_CANARY: &str = "canaryREGISTRY";
/// Part of a webhook's address.
pub const WEBHOOK_CANARY: &str = "canaryWEBHOOK";

/// The machine.
pub struct Machine {
    /// The project that is run.
    pub project: PathBuf,
    folder: TempDir,
}

impl Machine {
    /// A machine with doubles of `docker` and of the harness, and a `git` that is written down.
    pub fn new() -> Self {
        let machine = Self {
            project: env!("CARGO_MANIFEST_DIR").into(),
            folder: tempfile::tempdir().unwrap(),
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
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A program that writes its arguments and its environment down and does what `script` says.
    pub fn program(&self, name: &str, script: &str) {
        let spy = self.path("spy");
        let text = format!(
            "file={}/{name}.$$\n{{ printf '%s\\n' \"$0\" \"$@\" '{ENVIRONMENT}'; /usr/bin/env; echo '{END}'; }} >>\"$file\"\n{script}",
            spy.display()
        );
        write_program(&self.path(&format!("bin/{name}")), &text);
    }

    /// What the harness will find: a whole live run in which all is well, as `change` changes it.
    pub fn results(&self, change: impl FnOnce(&mut Value)) -> String {
        self.write("results.json", &results(change))
    }

    /// The matrix of results in which all is well.
    pub fn matrix(&self) -> String {
        let results = Results::parse(&results(|_| ())).unwrap();
        let manifest = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("manifest.yaml")).unwrap();
        let manifest = Manifest::parse(Path::new("manifest.yaml"), &manifest).unwrap();
        let version = Some("v1.83.0-stable".to_owned());
        let stamp = Stamp::new(&results, version, None, None).unwrap();
        build(&ManifestView::from(&manifest), &results, &stamp)
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
            .arg("--project")
            .arg(&self.project)
            .args(["--first-wait", "1"])
            .arg("--output")
            .arg(self.path("output"))
            .kill_on_drop(true);
        command
    }

    /// The whole of it: newest release in a container, newest `claude`, whole matrix, App.
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

    /// Only the publishing, of the results that the harness would find.
    pub fn publish_results(&self, hub: &Hub) -> Command {
        let mut command = self.publish(hub);
        command
            .arg("--results")
            .arg(self.path("results.json"))
            .args(["--litellm-version", "v1.83.0-stable"])
            .args(self.app(hub));
        command
    }

    /// Runs that, with `arguments`.
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

    /// Writes down, whenever the server is asked, every process of this machine with arguments and environment, and every
    /// temporary file: `git`'s configuration is among them, and the file that the token is in.
    pub fn watch(&self, hub: &Hub) {
        self.program("git", &real_git());
        let folder = self.folder.path().to_owned();
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
            for path in files(&folder.join("tmp")) {
                // It may be gone by now.
                let Ok(content) = std::fs::read(&path) else {
                    continue;
                };
                let is_token = path.file_name().is_some_and(|name| name == "credentials");
                if is_token {
                    let mode = path
                        .metadata()
                        .map_or(0, |metadata| metadata.permissions().mode());
                    write("token", format!("mode {mode:o}\n").as_bytes());
                }
                write(if is_token { "token" } else { "temporary" }, &content);
            }
        }));
    }

    /// Has the git call number `call`, from 0, kill `compat` before it does what it is to do. Each call is written down first:
    /// once `compat` is dead, its watchdog may end the caller at any moment.
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

    /// The containers that there are.
    pub fn containers(&self) -> Vec<String> {
        let names = files(&self.path("containers")).into_iter();
        names
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    /// The arguments alone of what [`Machine::seen`] says of programs.
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

    /// What was written down of programs whose name begins with `name`.
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

    /// Waits until nothing is left in the folder for temporary files; it is the watchdog that removes them.
    pub async fn is_tidy(&self) -> bool {
        for _ in 0..500 {
            if std::fs::read_dir(self.path("tmp")).unwrap().next().is_none()
                && processes(self.folder.path()).is_empty()
            {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        false
    }
}

/// A whole live run in which all is well, as `change` changes it.
pub fn results(change: impl FnOnce(&mut Value)) -> String {
    let mut results: Value =
        serde_json::from_str(include_str!("../../fixtures/matrix/golden-results.json")).unwrap();
    let run = &mut results["run"];
    run["behind"] = "live".into();
    run["gateway"] = serde_json::json!({ "kind": "attached", "version": "1.83.0" });
    run["claude_code_version"] = "2.1.327".into();
    change(&mut results);
    results.to_string()
}

/// Makes trial `index` of the results fail by `cause`.
pub fn fail(results: &mut Value, index: usize, cause: &str) {
    let entry = &mut results["results"][index];
    entry["result"] = serde_json::json!({ "status": "fail", "error": format!("it broke\ncause: {cause}") });
    entry["cause"] = cause.into();
}

/// What `docker` does of a container of LiteLLM: pulls nothing, and runs a gateway on the published port. Containers are
/// files, which outlive a client that is killed.
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

/// Every file below `folder`.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// Writes an executable script.
pub fn write_program(path: &Path, script: &str) {
    // It may be a link to the real one.
    let _ = std::fs::remove_file(path);
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The script that is git.
pub fn real_git() -> String {
    format!("exec {} \"$@\"", real("git").display())
}

fn real(program: &str) -> PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .unwrap()
}

/// Arguments and environment of every process that knows `folder`, but of `compat` itself.
fn processes(folder: &Path) -> Vec<u8> {
    // An unoptimized search would look at each byte by itself, of every process of this machine.
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
