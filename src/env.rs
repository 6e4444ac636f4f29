//! The environment: every variable that the project reads or sets, by name, with what it means.
//!
//! The only place that names environment variables. What the project reads is read once, at the edge, into an
//! [`Environment`] that a test can build by hand. Children never inherit: each is given its variables one by one,
//! and of the parent's only those in [`INHERITED`] (and, for package clients, [`PACKAGE_CLIENT_PREFIXES`]).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// Names and values for a child.
pub type Variables = BTreeMap<OsString, OsString>;

// ---- Read: what a user sets for `compat` and for `cargo test --test compat`. ----

/// Address of a gateway that already runs: `http://host:port`, without a path. Unset: one is started.
pub const LITELLM_PROXY_BASE_URL: &str = "LITELLM_PROXY_BASE_URL";
/// Key for the gateway that already runs.
pub const LITELLM_PROXY_API_KEY: &str = "LITELLM_PROXY_API_KEY";
/// Where to write the results, instead of `compat-results.json` in the project's root.
pub const COMPAT_RESULTS_PATH: &str = "COMPAT_RESULTS_PATH";
/// Folder of downloaded tools, instead of `compat-matrix` below the user's cache folder.
pub const COMPAT_CACHE_DIR: &str = "COMPAT_CACHE_DIR";
/// The `claude` to run instead of the pinned one: a file's path, or `path` for the one on the `PATH`.
pub const COMPAT_CLAUDE: &str = "COMPAT_CLAUDE";
/// Address of a running `compat provider serve` behind the gateway: both sides are then judged.
pub const COMPAT_PROVIDER_URL: &str = "COMPAT_PROVIDER_URL";
/// Key for the control routes of [`COMPAT_PROVIDER_URL`].
pub const COMPAT_PROVIDER_CONTROL_KEY: &str = "COMPAT_PROVIDER_CONTROL_KEY";
/// File that holds the key for the control routes of [`COMPAT_PROVIDER_URL`].
pub const COMPAT_PROVIDER_CONTROL_KEY_FILE: &str = "COMPAT_PROVIDER_CONTROL_KEY_FILE";
/// Set by continuous integration services: no progress bars, no writing of snapshots.
pub const CI: &str = "CI";
/// How many tests run at once, as libtest reads it.
pub const RUST_TEST_THREADS: &str = "RUST_TEST_THREADS";
/// The run that nextest starts a process of.
pub const NEXTEST_RUN_ID: &str = "NEXTEST_RUN_ID";
/// How nextest runs tests: `process-per-test`.
pub const NEXTEST_EXECUTION_MODE: &str = "NEXTEST_EXECUTION_MODE";
/// The user's home folder.
pub const HOME: &str = "HOME";
/// The user's cache folder, `~/.cache` by default (XDG base directory specification).
pub const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
/// The user's configuration folder, `~/.config` by default (XDG base directory specification).
pub const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// Where programs are looked for.
pub const PATH: &str = "PATH";
/// Registry of npm packages, as npm itself reads it (in either case).
pub const NPM_CONFIG_REGISTRY: &str = "NPM_CONFIG_REGISTRY";
/// npm's user configuration file, `~/.npmrc` by default.
pub const NPM_CONFIG_USERCONFIG: &str = "NPM_CONFIG_USERCONFIG";
/// Index of Python packages, as pip reads it.
pub const PIP_INDEX_URL: &str = "PIP_INDEX_URL";
/// pip's configuration file.
pub const PIP_CONFIG_FILE: &str = "PIP_CONFIG_FILE";
/// Index of Python packages, as uv reads it.
pub const UV_DEFAULT_INDEX: &str = "UV_DEFAULT_INDEX";
/// Index of Python packages, as older versions of uv read it.
pub const UV_INDEX_URL: &str = "UV_INDEX_URL";

// ---- Read and set for package clients: npm, pip, uv. ----

/// What the names of the npm client's settings begin with, in any case: `NPM_CONFIG_REGISTRY`.
pub const NPM_CONFIG_PREFIX: &str = "npm_config_";
/// A PEM file with certificate authorities that Node, and so the npm client, trusts beside its own.
pub const NODE_EXTRA_CA_CERTS: &str = "NODE_EXTRA_CA_CERTS";
/// A PEM file with the certificate authorities to trust: OpenSSL's name, which rustls and uv follow.
pub const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// A folder of such files.
pub const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
/// What the names of uv's settings begin with.
pub const UV_PREFIX: &str = "UV_";
/// What the names of pip's settings begin with.
pub const PIP_PREFIX: &str = "PIP_";
/// Which further package indexes uv asks, separated by blanks.
pub const UV_INDEX: &str = "UV_INDEX";
/// The older name of [`UV_INDEX`].
pub const UV_EXTRA_INDEX_URL: &str = "UV_EXTRA_INDEX_URL";
/// Which index's answer uv takes when several know a package.
pub const UV_INDEX_STRATEGY: &str = "UV_INDEX_STRATEGY";
/// Folders and pages with packages for uv, separated by commas.
pub const UV_FIND_LINKS: &str = "UV_FIND_LINKS";
/// Whether uv asks no index at all.
pub const UV_NO_INDEX: &str = "UV_NO_INDEX";
/// Hosts whose certificates uv does not check, separated by blanks.
pub const UV_INSECURE_HOST: &str = "UV_INSECURE_HOST";
/// Whether uv trusts the platform's certificate store.
pub const UV_SYSTEM_CERTS: &str = "UV_SYSTEM_CERTS";
/// The older name of [`UV_SYSTEM_CERTS`].
pub const UV_NATIVE_TLS: &str = "UV_NATIVE_TLS";
/// Whether uv may download a Python of its own.
pub const UV_PYTHON_DOWNLOADS: &str = "UV_PYTHON_DOWNLOADS";
/// The proxy of `https` addresses.
pub const HTTPS_PROXY: &str = "HTTPS_PROXY";

/// What every child gets from the parent's environment, where it is set: how to find programs, which language and
/// time zone, and which certificates to trust. No name in it is one that holds a credential.
pub const INHERITED: [&str; 10] = [
    "PATH",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "SHELL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
];

/// Keeps pip from asking its index for a newer pip.
pub const PIP_DISABLE_PIP_VERSION_CHECK: &str = "PIP_DISABLE_PIP_VERSION_CHECK";
/// Base of the GitHub API, as GitHub's own runners set it.
pub const GITHUB_API_URL: &str = "GITHUB_API_URL";
/// Tokens for the GitHub API: the first that is set counts.
pub const GITHUB_TOKENS: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];

/// What an installer (`npm`, `pip`, `uv`) may see beside the variables of its own prefix: where it is, how it
/// reaches the network, whom it trusts. No credential of a provider or of GitHub is among them.
const INSTALLER_NAMES: &[&str] = &[
    "ALL_PROXY",
    "APPDATA",
    "CURL_CA_BUNDLE",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "LOCALAPPDATA",
    "NETRC",
    "NODE_EXTRA_CA_CERTS",
    "NO_PROXY",
    "PATH",
    "PYENV_ROOT",
    "PYENV_VERSION",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
    "USERPROFILE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
];

// ---- Read and set for publishing. ----

/// File that a job of GitHub Actions appends its summary to, in Markdown.
pub const GITHUB_STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";
/// git's configuration of the user; `/dev/null` for none.
pub const GIT_CONFIG_GLOBAL: &str = "GIT_CONFIG_GLOBAL";
/// Whether git leaves the machine's configuration unread.
pub const GIT_CONFIG_NOSYSTEM: &str = "GIT_CONFIG_NOSYSTEM";
/// Whether git may ask a terminal for credentials.
pub const GIT_TERMINAL_PROMPT: &str = "GIT_TERMINAL_PROMPT";
/// The file of git's index.
pub const GIT_INDEX_FILE: &str = "GIT_INDEX_FILE";
/// Who wrote a commit, and when; the same for who committed it.
pub const GIT_AUTHOR: [&str; 3] = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE"];
/// Who committed a commit, and when.
pub const GIT_COMMITTER: [&str; 3] = ["GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_DATE"];
/// The language and encoding of a program's messages, above all other settings.
pub const LC_ALL: &str = "LC_ALL";

/// How a client reaches the network.
const PROXIES: [&str; 4] = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"];
/// What `cargo test` needs beside [`INHERITED`] to find its toolchain, packages, build and caches.
const BUILD_NAMES: [&str; 10] = [
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "CI",
    "COMPAT_CACHE_DIR",
    "HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "TERM",
    "TMPDIR",
    "XDG_CACHE_HOME",
];
/// What the `docker` client needs beside [`INHERITED`] to find its daemon and its configuration.
const DOCKER_NAMES: [&str; 7] = [
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "HOME",
    "XDG_RUNTIME_DIR",
];

// ---- Set for every child. ----

/// Cookie of a run: its UUID, in the environment of each process that the run starts. What carries it is killed
/// when the run ends, however it ends.
pub const COMPAT_RUN: &str = "COMPAT_RUN";
/// Cookie of a trial: its key, in the environment of each process that the trial starts.
pub const COMPAT_TRIAL: &str = "COMPAT_TRIAL";
/// Where a child puts temporary files and sockets.
pub const TMPDIR: &str = "TMPDIR";

// ---- Set for a LiteLLM proxy that a run starts. ----

/// The key that its clients show.
pub const LITELLM_MASTER_KEY: &str = "LITELLM_MASTER_KEY";
/// `True`: prices come from the package, not from a download at start-up.
pub const LITELLM_LOCAL_MODEL_COST_MAP: &str = "LITELLM_LOCAL_MODEL_COST_MAP";
/// `1`: Python hands on its log lines as they come.
pub const PYTHONUNBUFFERED: &str = "PYTHONUNBUFFERED";
/// Hosts that no proxy stands before.
pub const NO_PROXY: &str = "NO_PROXY";
/// Key for Anthropic's API, and its base.
pub const ANTHROPIC_API_KEY: &str = "ANTHROPIC_API_KEY";
/// Base of Anthropic's API.
pub const ANTHROPIC_API_BASE: &str = "ANTHROPIC_API_BASE";
/// Id of the AWS key for Bedrock.
pub const AWS_ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
/// Secret of the AWS key for Bedrock.
pub const AWS_SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
/// AWS region for Bedrock.
pub const AWS_REGION_NAME: &str = "AWS_REGION_NAME";
/// Base of Bedrock's runtime API.
pub const AWS_BEDROCK_RUNTIME_ENDPOINT: &str = "AWS_BEDROCK_RUNTIME_ENDPOINT";
/// Service account for Vertex AI: its JSON, or the file that holds it.
pub const VERTEXAI_CREDENTIALS: &str = "VERTEXAI_CREDENTIALS";
/// Google Cloud project for Vertex AI.
pub const VERTEXAI_PROJECT: &str = "VERTEXAI_PROJECT";
/// Google Cloud location for Vertex AI.
pub const VERTEXAI_LOCATION: &str = "VERTEXAI_LOCATION";
/// Base of Vertex AI's API.
pub const VERTEXAI_API_BASE: &str = "VERTEXAI_API_BASE";

/// Whether the value of variable `name` is one that no log may show.
pub fn is_credential(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_uppercase();
    ["KEY", "SECRET", "TOKEN", "CREDENTIALS", "PASSWORD"]
        .iter()
        .any(|word| name.contains(word))
}

// ---- Set for `claude` (names and effects measured with Claude Code 2.1.326). ----

/// Where `claude` keeps its settings, sessions and state, instead of `~/.claude`.
pub const CLAUDE_CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";
/// Where `claude` puts its own temporary files.
pub const CLAUDE_CODE_TMPDIR: &str = "CLAUDE_CODE_TMPDIR";
/// Where the user's data is (XDG base directory specification).
pub const XDG_DATA_HOME: &str = "XDG_DATA_HOME";
/// Where the user's state is (XDG base directory specification).
pub const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// Base of the Messages API that `claude` talks to.
pub const ANTHROPIC_BASE_URL: &str = "ANTHROPIC_BASE_URL";
/// Sent to [`ANTHROPIC_BASE_URL`] as `Authorization: Bearer …`.
pub const ANTHROPIC_AUTH_TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
/// Headers for each request to a model, `Name: value`, a line each.
pub const ANTHROPIC_CUSTOM_HEADERS: &str = "ANTHROPIC_CUSTOM_HEADERS";
/// Model for side requests such as summaries. Given the trial's own alias, so that no request goes to an alias that
/// the gateway lacks.
pub const ANTHROPIC_DEFAULT_HAIKU_MODEL: &str = "ANTHROPIC_DEFAULT_HAIKU_MODEL";
/// What `sonnet` stands for; given the trial's own alias.
pub const ANTHROPIC_DEFAULT_SONNET_MODEL: &str = "ANTHROPIC_DEFAULT_SONNET_MODEL";
/// What `opus` stands for; given the trial's own alias.
pub const ANTHROPIC_DEFAULT_OPUS_MODEL: &str = "ANTHROPIC_DEFAULT_OPUS_MODEL";
/// The older name of [`ANTHROPIC_DEFAULT_HAIKU_MODEL`].
pub const ANTHROPIC_SMALL_FAST_MODEL: &str = "ANTHROPIC_SMALL_FAST_MODEL";
/// Model of subagents; given the trial's own alias.
pub const CLAUDE_CODE_SUBAGENT_MODEL: &str = "CLAUDE_CODE_SUBAGENT_MODEL";
/// No request but those to the model: no telemetry, error reports, updates, feature flags.
pub const CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: &str = "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC";
/// How often a request that failed for now is repeated; 10 by default, which takes minutes.
pub const CLAUDE_CODE_MAX_RETRIES: &str = "CLAUDE_CODE_MAX_RETRIES";
/// A stream that breaks is an error; by default it is asked for again without streaming, which hides the break.
pub const CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK: &str = "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK";
/// From which level on the debug log is written: with `warn` it costs nothing, with all of it 4 % more CPU.
pub const CLAUDE_CODE_DEBUG_LOG_LEVEL: &str = "CLAUDE_CODE_DEBUG_LOG_LEVEL";
/// No telemetry.
pub const DISABLE_TELEMETRY: &str = "DISABLE_TELEMETRY";
/// No error reports.
pub const DISABLE_ERROR_REPORTING: &str = "DISABLE_ERROR_REPORTING";
/// No update of itself.
pub const DISABLE_AUTOUPDATER: &str = "DISABLE_AUTOUPDATER";
/// Bun, which `claude` is built with, collects no garbage by the clock, only when memory asks for it. By the clock a
/// `claude` that waits for its provider works: 0.07 s of processor time after one second and again after two (measured).
pub const BUN_GC_TIMER_DISABLE: &str = "BUN_GC_TIMER_DISABLE";
/// Talk to Amazon Bedrock instead of the Messages API.
pub const CLAUDE_CODE_USE_BEDROCK: &str = "CLAUDE_CODE_USE_BEDROCK";
/// Base of the Bedrock runtime API.
pub const ANTHROPIC_BEDROCK_BASE_URL: &str = "ANTHROPIC_BEDROCK_BASE_URL";
/// Send requests to Bedrock without a signature. With one, `claude` first tries about 15 models, each with a request.
pub const CLAUDE_CODE_SKIP_BEDROCK_AUTH: &str = "CLAUDE_CODE_SKIP_BEDROCK_AUTH";
/// The AWS region.
pub const AWS_REGION: &str = "AWS_REGION";
/// Whether AWS clients ask the machine for credentials (`true`: no), which takes seconds where there are none.
pub const AWS_EC2_METADATA_DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
/// Talk to Vertex AI instead of the Messages API.
pub const CLAUDE_CODE_USE_VERTEX: &str = "CLAUDE_CODE_USE_VERTEX";
/// Base of the Vertex AI API.
pub const ANTHROPIC_VERTEX_BASE_URL: &str = "ANTHROPIC_VERTEX_BASE_URL";
/// The Google Cloud project.
pub const ANTHROPIC_VERTEX_PROJECT_ID: &str = "ANTHROPIC_VERTEX_PROJECT_ID";
/// Send requests to Vertex AI without asking for a token: `claude` asks Google for one, whatever `token_uri` a service
/// account names.
pub const CLAUDE_CODE_SKIP_VERTEX_AUTH: &str = "CLAUDE_CODE_SKIP_VERTEX_AUTH";
/// The Vertex AI region.
pub const CLOUD_ML_REGION: &str = "CLOUD_ML_REGION";

/// A value that never shows in a debug print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A snapshot of environment variables, taken once at the edge, or built by hand in a test. A variable that is set to
/// nothing counts as not set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl fmt::Debug for Environment {
    /// Names only: a value may be a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Which `claude` to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaudeChoice {
    /// The one on the `PATH`.
    OnPath,
    /// This file.
    File(PathBuf),
}

impl ClaudeChoice {
    /// Reads the value of [`COMPAT_CLAUDE`].
    pub fn from_value(value: &OsStr) -> Self {
        if value == "path" {
            Self::OnPath
        } else {
            Self::File(PathBuf::from(value))
        }
    }
}

impl Environment {
    /// The variables of this process.
    pub fn from_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The value of `name`.
    pub fn get_os(&self, name: &str) -> Option<&OsStr> {
        self.0
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    /// The value of `name`, if it is Unicode.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_os(name)?.to_str()
    }

    /// The value of `name`, as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get_os(name).map(PathBuf::from)
    }

    /// The value of `name`, never to be shown.
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.get(name).map(Secret::new)
    }

    /// Whether any of `names` is set.
    pub fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.get_os(name).is_some())
    }

    /// The variables whose name and value are Unicode.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
    }

    /// Sets one variable of the snapshot, not of the process.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.insert(name.into(), value.into());
    }

    /// The user's folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.path(HOME)
    }

    /// Which `claude` was asked for; `None` for the pinned one.
    pub fn claude(&self) -> Option<ClaudeChoice> {
        self.get_os(COMPAT_CLAUDE).map(ClaudeChoice::from_value)
    }

    /// Whether a continuous integration service runs this.
    pub fn is_ci(&self) -> bool {
        self.get(CI).is_some_and(|value| value != "false" && value != "0")
    }

    /// The file of the program `name` on the `PATH`.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(self.get_os(PATH)?)
            .map(|folder| folder.join(name))
            .find(|candidate| is_executable(candidate))
    }

    /// For every child: what is set of [`INHERITED`].
    pub fn inherited(&self) -> Variables {
        self.select(|name| INHERITED.contains(&name))
    }

    /// For git: how it is found, and how it reaches the network. No credential is among it.
    pub fn for_git(&self) -> Variables {
        self.select(|name| INHERITED.contains(&name) || PROXIES.contains(&name.to_ascii_uppercase().as_str()))
    }

    /// For the harness and the cargo that builds it. No credential is among it.
    pub fn for_harness(&self) -> Variables {
        self.select(|name| {
            INHERITED.contains(&name)
                || BUILD_NAMES.contains(&name)
                || PROXIES.contains(&name.to_ascii_uppercase().as_str())
        })
    }

    /// For the `docker` client, beside what it is to hand on to a container.
    pub fn for_docker(&self) -> Variables {
        self.select(|name| INHERITED.contains(&name) || DOCKER_NAMES.contains(&name))
    }

    /// What an installer may see.
    pub fn for_installers(&self) -> Self {
        let allowed = |name: &str| {
            let name = name.to_ascii_uppercase();
            INSTALLER_NAMES.contains(&name.as_str())
                || [UV_PREFIX, PIP_PREFIX, &NPM_CONFIG_PREFIX.to_ascii_uppercase()]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
        };
        Self(self.select(allowed))
    }

    /// The variables, for a child that may see them all.
    pub fn variables(&self) -> &Variables {
        &self.0
    }

    fn select(&self, wanted: impl Fn(&str) -> bool) -> Variables {
        self.0
            .iter()
            .filter(|(name, _)| name.to_str().is_some_and(&wanted))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

/// The folder of the package that cargo runs a test of.
pub const CARGO_MANIFEST_DIR: &str = "CARGO_MANIFEST_DIR";

/// The values of variables that a file of the project names (`os.environ/NAME` in `proxy_config.yaml`), where set:
/// how a gateway that the harness starts gets the credentials of a live run. No other child is given them.
pub fn named_by_a_file<'a>(names: impl IntoIterator<Item = &'a str>) -> Variables {
    names
        .into_iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
        .collect()
}

/// Whether this is a file that may be run: on Unix one with an execute bit.
#[cfg(unix)]
pub fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Whether this is a file that may be run: on Unix one with an execute bit.
#[cfg(not(unix))]
pub fn is_executable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let environment: Environment = [(LITELLM_PROXY_BASE_URL, ""), (CI, "")].into_iter().collect();
        assert_eq!(environment.get(LITELLM_PROXY_BASE_URL), None);
        assert!(!environment.is_ci());
    }

    #[test]
    fn credentials_reach_no_child_and_no_debug_print() {
        let environment: Environment = [
            ("ANTHROPIC_API_KEY", "sk-secret"),
            ("AWS_SECRET_ACCESS_KEY", "sk-secret"),
            (LITELLM_PROXY_API_KEY, "sk-secret"),
            (COMPAT_PROVIDER_CONTROL_KEY, "sk-secret"),
            (PATH, "/bin"),
        ]
        .into_iter()
        .collect();
        assert!(!format!("{environment:?}").contains("sk-secret"));
        assert_eq!(environment.inherited().len(), 1);
        assert_eq!(environment.for_installers().variables().len(), 1);
    }

    #[test]
    fn installers_get_their_own_settings_in_either_case() {
        let environment: Environment = [("npm_config_registry", "http://a"), ("PIP_INDEX_URL", "http://b")]
            .into_iter()
            .collect();
        assert_eq!(environment.for_installers().variables().len(), 2);
        assert!(environment.inherited().is_empty());
    }

    #[test]
    fn the_choice_of_claude_is_a_file_or_the_one_on_the_path() {
        let choice = |value: &str| {
            [(COMPAT_CLAUDE, value)]
                .into_iter()
                .collect::<Environment>()
                .claude()
        };
        assert_eq!(choice("path"), Some(ClaudeChoice::OnPath));
        assert_eq!(choice("./claude"), Some(ClaudeChoice::File("./claude".into())));
    }
}
