//! A machine of a test's own: programs on its `PATH`, a home, and a folder in which every child is written down.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::hub::{APP, Hub};
use crate::loopback::Server;

/// What Claude Code's binary is in these tests.
pub const CLAUDE: &str = "#!/bin/sh\necho '2.1.327 (Claude Code)'\n";
/// A credential of a provider: only the gateway may see it.
pub const PROVIDER_CANARY: &str = "canaryPROVIDER";
/// Part of a webhook's address.
pub const WEBHOOK_CANARY: &str = "canaryWEBHOOK";

/// The machine.
pub struct Machine {
    folder: TempDir,
}

impl Machine {
    /// A machine with doubles of `docker` and of the harness, and a `git` that is written down.
    pub fn new() -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for name in ["bin", "home", "tmp", "spy", "output"] {
            std::fs::create_dir(machine.path(name)).unwrap();
        }
        let git = real("git");
        machine.program("git", &format!("exec {} \"$@\"", git.display()));
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
            "file={}/{name}.$$\n{{ printf '%s\\n' \"$0\" \"$@\"; /usr/bin/env; }} >>\"$file\"\n{script}",
            spy.display()
        );
        write_program(&self.path(&format!("bin/{name}")), &text);
    }

    /// What the harness will find: a whole live run in which all is well, as `change` changes it.
    pub fn results(&self, change: impl FnOnce(&mut Value)) -> String {
        self.write("results.json", &results(change))
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
            .args(["--project", env!("CARGO_MANIFEST_DIR")])
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

    /// Writes down, whenever the server is asked, every process of this machine with arguments and environment.
    pub fn watch(&self, hub: &Hub) {
        let folder = self.folder.path().to_owned();
        let number = AtomicUsize::new(0);
        hub.state().spy = Some(Arc::new(move || {
            let number = number.fetch_add(1, Ordering::Relaxed);
            std::fs::write(folder.join(format!("spy/proc.{number}")), processes(&folder)).unwrap();
        }));
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

/// What `docker` does of a container of LiteLLM: pulls nothing, and runs a gateway on the published port.
fn docker() -> String {
    let gateway = env!("CARGO_BIN_EXE_fake-gateway");
    format!(
        r#"
case "$1" in
pull) echo "$3" ;;
image) echo 'ghcr.io/berriai/litellm@sha256:0123' ;;
run)
    port=$(printf '%s\n' "$@" | sed -n 's/^127\.0\.0\.1:\([0-9]*\):4000$/\1/p')
    exec {gateway} "$@" --port "$port"
    ;;
esac
"#
    )
}

/// Writes an executable script.
pub fn write_program(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn real(program: &str) -> PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .unwrap()
}

/// Arguments and environment of every process that knows `folder`, but of `compat` itself.
fn processes(folder: &Path) -> Vec<u8> {
    let folder = folder.to_str().unwrap().as_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let (arguments, environment) = (read("cmdline"), read("environ"));
        let own = env!("CARGO_BIN_EXE_compat").as_bytes();
        let knows = environment.windows(folder.len()).any(|window| window == folder);
        if knows && !arguments.starts_with(own) {
            found.extend(arguments);
            found.push(b'\n');
            found.extend(environment);
            found.push(b'\n');
        }
    }
    found
}

/// A finished program's standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A finished program's standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
