//! A small project in a temporary folder, and the programs that run in it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use compat_matrix::env;
use compat_matrix::progress::Silent;
use compat_matrix::provider::{self, Simulator};
use compat_matrix::results::Results;
use compat_matrix::toolchain::platform::Platform;
use compat_matrix::toolchain::{Cache, Lock, inventory, litellm};

use super::claude::fake_claude;
use super::files::{Folder, copy_folder};
use super::ran::Ran;
use super::root;

/// The small project's manifest.
pub const MANIFEST: &str = "schema_version: \"1\"\nproviders: [anthropic, azure]\nfeatures:\n  - id: text\n    name: Text\n  - id: words\n    \
         name: Words\ntiers:\n  - id: haiku\n    name: Haiku\n    model: claude-haiku-4-5\n  - id: opus\n    name: Opus\n    \
         model: claude-opus-4-7\naliases:\n  anthropic: \"{model}\"\n  azure: \"{model}-azure\"\n";

const NO_AZURE: &str = "not_applicable: no Claude there (https://example.com)\n";

/// The feature `text` passes and `words` fails; the provider `azure` is not applicable.
const FILES: [(&str, &str); 8] = [
    ("manifest.yaml", MANIFEST),
    (
        "proxy_config.yaml",
        "model_list:\n  - { model_name: claude-haiku-4-5, litellm_params: { model: anthropic/claude-haiku-4-5 } }\n  - { \
         model_name: claude-opus-4-7, litellm_params: { model: anthropic/claude-opus-4-7 } }\n",
    ),
    (
        "cells/text/_shared.yaml",
        "prompt: ping\nreplies:\n  - content:\n      - text: pong\nexpect:\n  reply:\n    text: { equals: pong }\n",
    ),
    (
        "cells/text/anthropic.yaml",
        "expect:\n  asked_once:\n    requests: { count: 1 }\n",
    ),
    ("cells/text/azure.yaml", NO_AZURE),
    (
        "cells/words/_shared.yaml",
        "prompt: ping\nreplies:\n  - content:\n      - text: pong\nexpect:\n  reply:\n    text: { equals: other }\n",
    ),
    (
        "cells/words/anthropic.yaml",
        "expect:\n  asked_once:\n    requests: { count: 1 }\n",
    ),
    ("cells/words/azure.yaml", NO_AZURE),
];

/// A project in a temporary folder, and the environment of the harness.
pub struct Small {
    folder: Folder,
    variables: Vec<(OsString, OsString)>,
}

impl Small {
    /// The project without a gateway: a trial that needs a session fails.
    pub fn new() -> Self {
        let folder = Folder::with(&FILES);
        let root = folder.root().as_os_str().to_owned();
        let cache = folder.path("cache").into_os_string();
        Self {
            folder,
            variables: vec![
                (env::CARGO_MANIFEST_DIR.into(), root),
                (env::COMPAT_CACHE_DIR.into(), cache),
                (env::COMPAT_CLAUDE.into(), fake_claude().into()),
                (env::PATH.into(), std::env::var_os(env::PATH).unwrap_or_default()),
            ],
        }
    }

    /// The project with the double of LiteLLM as the pinned one.
    pub async fn with_double_of_litellm() -> Self {
        let small = Self::new();
        copy_folder(&root().join("toolchain"), &small.path("toolchain"));
        let pin = Lock::read(&small.path("toolchain")).unwrap().litellm;
        let platform = Platform::current().unwrap();
        let entry = Cache::at(small.path("cache")).entry("litellm", &pin.version, platform, pin.digest());
        let install = async |directory: &Path| {
            let program = PathBuf::from("bin/litellm");
            let file = directory.join(&program);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fake-gateway"), file).unwrap();
            inventory::take(directory).unwrap();
            Ok((program, None))
        };
        let entry = entry.in_layout(litellm::LAYOUT);
        entry.ensure(&Silent, install).await.unwrap();
        small
    }

    /// The project with `simulator` as gateway and provider.
    pub fn attached(simulator: &Simulator) -> Self {
        let mut small = Self::new();
        let base = simulator.base_url();
        small.set(env::LITELLM_PROXY_BASE_URL, base);
        small.set(
            env::LITELLM_PROXY_API_KEY,
            &simulator.credentials().anthropic_api_key,
        );
        small.set(env::COMPAT_PROVIDER_URL, base);
        small.set(env::COMPAT_PROVIDER_CONTROL_KEY, CONTROL_KEY);
        small
    }

    pub fn root(&self) -> &Path {
        self.folder.root()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    pub fn read(&self, file: &str) -> String {
        self.folder.read(file)
    }

    pub fn write(&self, file: &str, text: &str) {
        self.folder.write(file, text);
    }

    /// Sets a variable for the harness.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.into(), value.into()));
    }

    pub fn harness(&self, arguments: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_harness"), arguments)
    }

    /// A program with the environment of the harness.
    pub fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().cloned())
            .current_dir(self.root());
        command
    }

    /// Runs the harness beside the simulator of this process.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        Ran::beside(self.harness(arguments)).await
    }

    /// Runs `compat` beside the simulator of this process.
    pub async fn compat(&self, arguments: &[&str]) -> Ran {
        Ran::beside(self.program(env!("CARGO_BIN_EXE_compat"), arguments)).await
    }

    /// The results of the last run.
    pub fn results(&self) -> Results {
        Results::parse(&self.read("compat-results.json")).unwrap()
    }

    /// The causes of the failed trials, each once.
    pub fn causes(&self) -> Vec<String> {
        let results = self.results().results;
        let causes: BTreeSet<&str> = (results.iter())
            .filter_map(|entry| Some(entry.cause?.as_str()))
            .collect();
        causes.into_iter().map(str::to_owned).collect()
    }

    /// The trials that have a result.
    pub fn finished(&self) -> Vec<String> {
        let results = self.results().results;
        results.iter().map(|entry| entry.nodeid.to_string()).collect()
    }
}

impl Ran {
    /// The names that `--list` prints.
    pub fn listed(&self) -> BTreeSet<&str> {
        self.exits(0);
        let names = self.out.lines();
        names
            .map(|line| line.strip_suffix(": test").expect("a test"))
            .collect()
    }
}

/// The control key of [`simulator`].
pub const CONTROL_KEY: &str = "control-key-of-this-test";

/// A simulator with control routes, as gateway and provider in one.
pub async fn simulator() -> Simulator {
    Simulator::start(provider::SimulatorOptions {
        control_key: Some(CONTROL_KEY.into()),
        ..provider::SimulatorOptions::default()
    })
    .await
    .expect("the simulator starts")
}
