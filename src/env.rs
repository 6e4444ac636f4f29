//! Every environment variable that the project reads or sets, with its meaning. No other module names one.
//!
//! The process's variables are read once, at the edge, into an [`Environment`], which a test can build by hand. A child
//! inherits nothing: it gets explicit variables and those in [`INHERITED`]; some clients get further lists below.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::cells::SimulatorVariables;

/// Variables for a child.
pub type Variables = BTreeMap<OsString, OsString>;

// ---- Set by users of `compat` and `cargo test --test compat`. ----

/// Address of a running gateway: `http://host:port`, without a path. If unset, a run starts one.
pub const LITELLM_PROXY_BASE_URL: &str = "LITELLM_PROXY_BASE_URL";
/// Key for the running gateway.
pub const LITELLM_PROXY_API_KEY: &str = "LITELLM_PROXY_API_KEY";
/// File for the results, instead of `compat-results.json` in the project's root.
pub const COMPAT_RESULTS_PATH: &str = "COMPAT_RESULTS_PATH";
/// Folder of installed tools, instead of `compat-matrix` in the user's cache folder.
pub const COMPAT_CACHE_DIR: &str = "COMPAT_CACHE_DIR";
/// The `claude` to run instead of the pinned one: a file's path, or `path` for the one on the `PATH`.
pub const COMPAT_CLAUDE: &str = "COMPAT_CLAUDE";
/// Address of a running `compat provider serve` behind the gateway: the run then judges both sides.
pub const COMPAT_PROVIDER_URL: &str = "COMPAT_PROVIDER_URL";
/// The name of an attached gateway: its known findings are those of `gateways/<name>.yaml`.
pub const COMPAT_GATEWAY_NAME: &str = "COMPAT_GATEWAY_NAME";
/// Key for the control routes of [`COMPAT_PROVIDER_URL`].
pub const COMPAT_PROVIDER_CONTROL_KEY: &str = "COMPAT_PROVIDER_CONTROL_KEY";
/// File that holds the key for the control routes of [`COMPAT_PROVIDER_URL`].
pub const COMPAT_PROVIDER_CONTROL_KEY_FILE: &str = "COMPAT_PROVIDER_CONTROL_KEY_FILE";
/// How many tests run at once (libtest's variable).
pub const RUST_TEST_THREADS: &str = "RUST_TEST_THREADS";
/// Id of the nextest run.
pub const NEXTEST_RUN_ID: &str = "NEXTEST_RUN_ID";
/// How nextest runs tests: `process-per-test`.
pub const NEXTEST_EXECUTION_MODE: &str = "NEXTEST_EXECUTION_MODE";
/// The user's home folder.
pub const HOME: &str = "HOME";
/// The user's cache folder, `~/.cache` by default (XDG base directory specification).
pub const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
/// The user's configuration folder, `~/.config` by default (XDG base directory specification).
pub const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// Folders of programs.
pub const PATH: &str = "PATH";
/// Registry of npm packages (npm reads the name in either case).
pub const NPM_CONFIG_REGISTRY: &str = "NPM_CONFIG_REGISTRY";
/// npm's user configuration file, `~/.npmrc` by default.
pub const NPM_CONFIG_USERCONFIG: &str = "NPM_CONFIG_USERCONFIG";
/// Index of Python packages for pip.
pub const PIP_INDEX_URL: &str = "PIP_INDEX_URL";
/// Index of Python packages for uv.
pub const UV_DEFAULT_INDEX: &str = "UV_DEFAULT_INDEX";
/// Index of Python packages for older versions of uv.
pub const UV_INDEX_URL: &str = "UV_INDEX_URL";

// ---- For package clients: npm, pip, uv. ----

/// Prefix of the npm client's settings, in any case: `NPM_CONFIG_REGISTRY`.
pub const NPM_CONFIG_PREFIX: &str = "npm_config_";
/// PEM file with further certificate authorities for Node, and so for the npm client.
pub const NODE_EXTRA_CA_CERTS: &str = "NODE_EXTRA_CA_CERTS";
/// PEM file with the certificate authorities to trust: OpenSSL's name, which rustls and uv use too.
pub const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// Folder of such files.
pub const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
/// Prefix of uv's settings.
pub const UV_PREFIX: &str = "UV_";
/// Prefix of pip's settings.
pub const PIP_PREFIX: &str = "PIP_";
/// Further package indexes for uv, separated by blanks.
pub const UV_INDEX: &str = "UV_INDEX";
/// The older name of [`UV_INDEX`].
pub const UV_EXTRA_INDEX_URL: &str = "UV_EXTRA_INDEX_URL";
/// Which index uv uses if several have a package.
pub const UV_INDEX_STRATEGY: &str = "UV_INDEX_STRATEGY";
/// Folders and pages with packages for uv, separated by commas.
pub const UV_FIND_LINKS: &str = "UV_FIND_LINKS";
/// Whether uv uses no index at all.
pub const UV_NO_INDEX: &str = "UV_NO_INDEX";
/// Hosts whose certificates uv does not check, separated by blanks.
pub const UV_INSECURE_HOST: &str = "UV_INSECURE_HOST";
/// Whether uv trusts the platform's certificate store.
pub const UV_SYSTEM_CERTS: &str = "UV_SYSTEM_CERTS";
/// The older name of [`UV_SYSTEM_CERTS`].
pub const UV_NATIVE_TLS: &str = "UV_NATIVE_TLS";
/// Whether uv may download a Python.
pub const UV_PYTHON_DOWNLOADS: &str = "UV_PYTHON_DOWNLOADS";
/// The proxy of `https` addresses.
pub const HTTPS_PROXY: &str = "HTTPS_PROXY";
/// Every child gets these of the parent's variables: programs, language, time zone, certificates. None holds a credential.
const INHERITED: &[&str] = &[
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
/// Address of CircleCI, `https://circleci.com` by default; a self-hosted server has another (CircleCI's CLI reads it too).
pub const CIRCLECI_CLI_HOST: &str = "CIRCLECI_CLI_HOST";
/// Tokens for CircleCI's API; the first set one counts.
pub const CIRCLECI_TOKENS: [&str; 3] = ["CIRCLECI_TOKEN", "CIRCLE_TOKEN", "CIRCLECI_CLI_TOKEN"];
/// Tokens for the GitHub API; the first set one counts.
pub const GITHUB_TOKENS: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];

/// Variables of an installer (`npm`, `pip`, `uv`) besides [`INHERITED`], [`PROXIES`] and the settings with its own prefix. None
/// holds a credential of a provider or of GitHub.
const INSTALLER_NAMES: &[&str] = &[
    "APPDATA",
    "CURL_CA_BUNDLE",
    "HOME",
    "LOCALAPPDATA",
    "NETRC",
    "PYENV_ROOT",
    "PYENV_VERSION",
    "REQUESTS_CA_BUNDLE",
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

// ---- For publishing. ----

/// File for the summary of a GitHub Actions job, in Markdown.
pub const GITHUB_STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";
/// git's user configuration; `/dev/null` for none.
pub const GIT_CONFIG_GLOBAL: &str = "GIT_CONFIG_GLOBAL";
/// Whether git ignores the machine's configuration.
pub const GIT_CONFIG_NOSYSTEM: &str = "GIT_CONFIG_NOSYSTEM";
/// Whether git may ask a terminal for credentials.
pub const GIT_TERMINAL_PROMPT: &str = "GIT_TERMINAL_PROMPT";
/// File of git's index.
pub const GIT_INDEX_FILE: &str = "GIT_INDEX_FILE";
/// Author of a commit, and the time.
pub const GIT_AUTHOR: [&str; 3] = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE"];
/// Committer of a commit, and the time.
pub const GIT_COMMITTER: [&str; 3] = ["GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_DATE"];
/// Language and encoding of a program's messages; overrides all other settings.
pub const LC_ALL: &str = "LC_ALL";
/// Proxies for network clients, in either case.
const PROXIES: &[&str] = &["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"];
/// Variables of `cargo test` besides [`INHERITED`]: its toolchain, packages, build and caches.
const BUILD_NAMES: &[&str] = &[
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
/// Variables of the `docker` client besides [`INHERITED`]: its daemon and its configuration.
const DOCKER_NAMES: &[&str] = &[
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "HOME",
    "XDG_RUNTIME_DIR",
];

// ---- Set for every child. ----

/// Tag of a run: its UUID, in the environment of each of its processes. All processes with it are killed at the run's end.
pub const COMPAT_RUN: &str = "COMPAT_RUN";
/// Tag of a trial: its key, in the environment of each of its processes.
pub const COMPAT_TRIAL: &str = "COMPAT_TRIAL";
/// Folder for temporary files and sockets.
pub const TMPDIR: &str = "TMPDIR";

// ---- Set for a LiteLLM proxy. ----

/// Key of its clients.
pub const LITELLM_MASTER_KEY: &str = "LITELLM_MASTER_KEY";
/// `True`: LiteLLM (1.104.2, 1.106.2) uses the tables in its package: prices, `anthropic-beta` headers by provider, router presets,
/// blog posts, policy templates. Else it downloads each from GitHub, so the same version gives other results on another day.
pub const LITELLM_LOCAL_TABLES: [&str; 5] = [
    "LITELLM_LOCAL_MODEL_COST_MAP",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS",
    "LITELLM_LOCAL_BLOG_POSTS",
    "LITELLM_LOCAL_POLICY_TEMPLATES",
];
/// The seconds that LiteLLM waits before it repeats a request, since a simulated provider recovers at once. By default (1.106.2,
/// `constants.py`) 0.5 s, doubled with each try, and up to 0.75 s more.
pub const LITELLM_SHORT_WAITS: [(&str, &str); 2] = [("INITIAL_RETRY_DELAY", "0.05"), ("JITTER", "0.05")];
/// `1`: Python writes no compiled files, so that an installation does not change.
pub const PYTHONDONTWRITEBYTECODE: &str = "PYTHONDONTWRITEBYTECODE";
/// `1`: Python writes its log lines at once.
pub const PYTHONUNBUFFERED: &str = "PYTHONUNBUFFERED";
/// Hosts that need no proxy.
pub const NO_PROXY: &str = "NO_PROXY";
/// Key for Anthropic's API.
pub const ANTHROPIC_API_KEY: &str = "ANTHROPIC_API_KEY";
/// Base of Anthropic's API.
pub const ANTHROPIC_API_BASE: &str = "ANTHROPIC_API_BASE";
/// Key of a resource of Microsoft Foundry.
pub const AZURE_AI_API_KEY: &str = "AZURE_AI_API_KEY";
/// Base of a resource of Microsoft Foundry.
pub const AZURE_AI_API_BASE: &str = "AZURE_AI_API_BASE";
/// Id of the AWS key for Bedrock.
pub const AWS_ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
/// Secret of the AWS key for Bedrock.
pub const AWS_SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
/// Session token of a temporary AWS key for Bedrock.
pub const AWS_SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
/// Bedrock's API key, for configurations that use it in place of the AWS key. LiteLLM does not read this variable.
pub const BEDROCK_API_KEY: &str = "BEDROCK_API_KEY";
/// AWS region for Bedrock.
pub const AWS_REGION_NAME: &str = "AWS_REGION_NAME";
/// Base of Bedrock's runtime API.
pub const AWS_BEDROCK_RUNTIME_ENDPOINT: &str = "AWS_BEDROCK_RUNTIME_ENDPOINT";
/// Base of Bedrock's Messages API.
pub const BEDROCK_MANTLE_API_BASE: &str = "BEDROCK_MANTLE_API_BASE";
/// Host and port of the metadata server that Google's libraries ask for access tokens.
pub const GCE_METADATA_HOST: &str = "GCE_METADATA_HOST";
/// The same, which Google's library for Python asks whether there is such a server.
pub const GCE_METADATA_IP: &str = "GCE_METADATA_IP";
/// Service account for Vertex AI: its JSON, or the file that holds it.
pub const VERTEXAI_CREDENTIALS: &str = "VERTEXAI_CREDENTIALS";
/// An access token of that account, for a gateway that asks for none itself.
pub const VERTEXAI_ACCESS_TOKEN: &str = "VERTEXAI_ACCESS_TOKEN";
/// Google Cloud project for Vertex AI.
pub const VERTEXAI_PROJECT: &str = "VERTEXAI_PROJECT";
/// Google Cloud location for Vertex AI.
pub const VERTEXAI_LOCATION: &str = "VERTEXAI_LOCATION";
/// Base of Vertex AI's API.
pub const VERTEXAI_API_BASE: &str = "VERTEXAI_API_BASE";

/// The variables by which a gateway reaches the simulator.
pub const SIMULATOR_VARIABLES: SimulatorVariables = SimulatorVariables {
    anthropic_base: ANTHROPIC_API_BASE,
    anthropic_other_base: ANTHROPIC_BASE_URL,
    anthropic_key: ANTHROPIC_API_KEY,
    azure_base: AZURE_AI_API_BASE,
    azure_key: AZURE_AI_API_KEY,
    mantle_base: BEDROCK_MANTLE_API_BASE,
    bedrock_base: AWS_BEDROCK_RUNTIME_ENDPOINT,
    aws_key_id: AWS_ACCESS_KEY_ID,
    aws_secret_key: AWS_SECRET_ACCESS_KEY,
    aws_session_token: AWS_SESSION_TOKEN,
    vertex_base: VERTEXAI_API_BASE,
    vertex_credentials: VERTEXAI_CREDENTIALS,
    vertex_project: VERTEXAI_PROJECT,
    vertex_location: VERTEXAI_LOCATION,
};

/// Whether the value of variable `name` is a credential, which no log may show.
pub fn is_credential(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_uppercase();
    ["KEY", "SECRET", "TOKEN", "CREDENTIALS", "PASSWORD"]
        .iter()
        .any(|word| name.contains(word))
}

// ---- Set for `claude` (names and effects measured with Claude Code 2.1.326). ----

/// Folder for the settings, sessions and state of `claude`, instead of `~/.claude`.
pub const CLAUDE_CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";
/// Folder for the temporary files of `claude`.
pub const CLAUDE_CODE_TMPDIR: &str = "CLAUDE_CODE_TMPDIR";
/// The user's data folder (XDG base directory specification).
pub const XDG_DATA_HOME: &str = "XDG_DATA_HOME";
/// The user's state folder (XDG base directory specification).
pub const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// Base of the Messages API for `claude`.
pub const ANTHROPIC_BASE_URL: &str = "ANTHROPIC_BASE_URL";
/// Sent to [`ANTHROPIC_BASE_URL`] as `Authorization: Bearer …`.
pub const ANTHROPIC_AUTH_TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
/// The token of a Claude subscription, sent to [`ANTHROPIC_BASE_URL`] as `Authorization: Bearer …`.
pub const CLAUDE_CODE_OAUTH_TOKEN: &str = "CLAUDE_CODE_OAUTH_TOKEN";
/// Headers for each request to a model, one `Name: value` per line.
pub const ANTHROPIC_CUSTOM_HEADERS: &str = "ANTHROPIC_CUSTOM_HEADERS";
/// Model for side requests such as summaries. It is the trial's alias: the gateway may lack others.
pub const ANTHROPIC_DEFAULT_HAIKU_MODEL: &str = "ANTHROPIC_DEFAULT_HAIKU_MODEL";
/// Model behind `sonnet`: the trial's alias.
pub const ANTHROPIC_DEFAULT_SONNET_MODEL: &str = "ANTHROPIC_DEFAULT_SONNET_MODEL";
/// Model behind `opus`: the trial's alias.
pub const ANTHROPIC_DEFAULT_OPUS_MODEL: &str = "ANTHROPIC_DEFAULT_OPUS_MODEL";
/// The older name of [`ANTHROPIC_DEFAULT_HAIKU_MODEL`].
pub const ANTHROPIC_SMALL_FAST_MODEL: &str = "ANTHROPIC_SMALL_FAST_MODEL";
/// Model of subagents: the trial's alias.
pub const CLAUDE_CODE_SUBAGENT_MODEL: &str = "CLAUDE_CODE_SUBAGENT_MODEL";
/// Requests to the model only: no telemetry, error reports, updates, feature flags.
pub const CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: &str = "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC";
/// How often a failed request is retried; the default of 10 takes minutes.
pub const CLAUDE_CODE_MAX_RETRIES: &str = "CLAUDE_CODE_MAX_RETRIES";
/// A broken stream is an error; by default `claude` retries without streaming, which hides the break.
pub const CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK: &str = "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK";
/// Lowest level in the debug log. `warn` costs nothing; the whole log costs 4 % more CPU.
pub const CLAUDE_CODE_DEBUG_LOG_LEVEL: &str = "CLAUDE_CODE_DEBUG_LOG_LEVEL";
/// No telemetry.
pub const DISABLE_TELEMETRY: &str = "DISABLE_TELEMETRY";
/// No error reports.
pub const DISABLE_ERROR_REPORTING: &str = "DISABLE_ERROR_REPORTING";
/// No automatic update.
pub const DISABLE_AUTOUPDATER: &str = "DISABLE_AUTOUPDATER";
/// `0`: Claude Code waits for the tools of its servers before the first request.
pub const MCP_CONNECTION_NONBLOCKING: &str = "MCP_CONNECTION_NONBLOCKING";
/// Bun, the runtime of `claude`, then collects garbage only when it needs memory. Its timer costs a waiting `claude` 0.07 s of
/// CPU after one second and again after two.
pub const BUN_GC_TIMER_DISABLE: &str = "BUN_GC_TIMER_DISABLE";
/// Talk to Amazon Bedrock instead of the Messages API.
pub const CLAUDE_CODE_USE_BEDROCK: &str = "CLAUDE_CODE_USE_BEDROCK";
/// Base of the Bedrock runtime API.
pub const ANTHROPIC_BEDROCK_BASE_URL: &str = "ANTHROPIC_BEDROCK_BASE_URL";
/// Send requests to Bedrock without a signature. With one, `claude` first probes about 15 models.
pub const CLAUDE_CODE_SKIP_BEDROCK_AUTH: &str = "CLAUDE_CODE_SKIP_BEDROCK_AUTH";
/// The AWS region.
pub const AWS_REGION: &str = "AWS_REGION";
/// Talk to Bedrock's Messages API instead of Anthropic's.
pub const CLAUDE_CODE_USE_MANTLE: &str = "CLAUDE_CODE_USE_MANTLE";
/// Base of Bedrock's Messages API.
pub const ANTHROPIC_BEDROCK_MANTLE_BASE_URL: &str = "ANTHROPIC_BEDROCK_MANTLE_BASE_URL";
/// Send requests to Bedrock's Messages API without a signature.
pub const CLAUDE_CODE_SKIP_MANTLE_AUTH: &str = "CLAUDE_CODE_SKIP_MANTLE_AUTH";
/// Talk to Microsoft Foundry instead of the Messages API.
pub const CLAUDE_CODE_USE_FOUNDRY: &str = "CLAUDE_CODE_USE_FOUNDRY";
/// Base of Microsoft Foundry.
pub const ANTHROPIC_FOUNDRY_BASE_URL: &str = "ANTHROPIC_FOUNDRY_BASE_URL";
/// Key of Microsoft Foundry.
pub const ANTHROPIC_FOUNDRY_API_KEY: &str = "ANTHROPIC_FOUNDRY_API_KEY";
/// Send requests to Microsoft Foundry without a credential.
pub const CLAUDE_CODE_SKIP_FOUNDRY_AUTH: &str = "CLAUDE_CODE_SKIP_FOUNDRY_AUTH";
/// Talk to Vertex AI instead of the Messages API.
pub const CLAUDE_CODE_USE_VERTEX: &str = "CLAUDE_CODE_USE_VERTEX";
/// Base of the Vertex AI API.
pub const ANTHROPIC_VERTEX_BASE_URL: &str = "ANTHROPIC_VERTEX_BASE_URL";
/// The Google Cloud project.
pub const ANTHROPIC_VERTEX_PROJECT_ID: &str = "ANTHROPIC_VERTEX_PROJECT_ID";
/// Send requests to Vertex AI without a token: `claude` would ask Google, and ignore the service account's `token_uri`.
pub const CLAUDE_CODE_SKIP_VERTEX_AUTH: &str = "CLAUDE_CODE_SKIP_VERTEX_AUTH";
/// The Vertex AI region.
pub const CLOUD_ML_REGION: &str = "CLOUD_ML_REGION";

/// A value that no debug print shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, to send it or to remove it from a text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A snapshot of environment variables. A variable with an empty value counts as not set.
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
    File(PathBuf),
}

impl ClaudeChoice {
    /// Parses the value of [`COMPAT_CLAUDE`].
    pub fn from_value(value: &OsStr) -> Self {
        if value == "path" {
            Self::OnPath
        } else {
            Self::File(PathBuf::from(value))
        }
    }
}

/// The variables of this process before its credentials were erased.
static SNAPSHOT: OnceLock<Environment> = OnceLock::new();

/// Keeps the variables of this process for [`Environment::from_process`]: `process::hide` erases credentials.
pub fn keep_snapshot() {
    SNAPSHOT.get_or_init(|| std::env::vars_os().collect());
}

impl Environment {
    /// The variables of this process, with the hidden ones.
    pub fn from_process() -> Self {
        let snapshot = SNAPSHOT.get().cloned();
        snapshot.unwrap_or_else(|| std::env::vars_os().collect())
    }

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

    /// The variable with the proxy of downloads, and its value. `None` if there are exceptions (`NO_PROXY`).
    pub fn proxy(&self) -> Option<(&'static str, &str)> {
        let mut names = "NO_PROXY no_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY".split(' ');
        let first = names.find_map(|name| Some((name, self.get(name)?)))?;
        (!first.0.eq_ignore_ascii_case(NO_PROXY)).then_some(first)
    }

    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get_os(name).map(PathBuf::from)
    }

    /// The variable without blanks and line breaks around it: a file or a command may end with one.
    pub fn secret(&self, name: &str) -> Option<Secret> {
        let value = self.get(name).map(str::trim);
        value.filter(|value| !value.is_empty()).map(Secret::new)
    }

    pub fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.get_os(name).is_some())
    }

    /// The variables whose name and value are Unicode.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
    }

    /// Sets a variable of the snapshot, not of the process.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.insert(name.into(), value.into());
    }

    pub fn home(&self) -> Option<PathBuf> {
        self.path(HOME)
    }

    /// The wanted `claude`; `None` for the pinned one.
    pub fn claude(&self) -> Option<ClaudeChoice> {
        self.get_os(COMPAT_CLAUDE).map(ClaudeChoice::from_value)
    }

    /// The path of the program `name` on the `PATH`.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(self.get_os(PATH)?)
            .map(|folder| folder.join(name))
            .find(|candidate| is_executable(candidate))
    }

    /// The variables for every child.
    pub fn inherited(&self) -> Variables {
        self.select(&[INHERITED], &[])
    }

    /// For git, without a credential.
    pub fn for_git(&self) -> Variables {
        self.select(&[INHERITED, PROXIES], &[])
    }

    /// For the harness and the cargo that builds it, without a credential.
    pub fn for_harness(&self) -> Variables {
        self.select(&[INHERITED, BUILD_NAMES, PROXIES], &[])
    }

    /// For the `docker` client, without the container's variables.
    pub fn for_docker(&self) -> Variables {
        self.select(&[INHERITED, DOCKER_NAMES], &[])
    }

    /// For an installer.
    pub fn for_installers(&self) -> Self {
        let names = [INHERITED, PROXIES, INSTALLER_NAMES];
        Self(self.select(&names, &[UV_PREFIX, PIP_PREFIX, NPM_CONFIG_PREFIX]))
    }

    /// All variables, for a child that may have them all.
    pub fn variables(&self) -> &Variables {
        &self.0
    }

    /// The variables with one of the names or prefixes, in any case.
    fn select(&self, names: &[&[&str]], prefixes: &[&str]) -> Variables {
        let is_selected = |name: &OsString| {
            let name = name.to_string_lossy().to_ascii_uppercase();
            names.iter().any(|names| names.contains(&name.as_str()))
                || prefixes
                    .iter()
                    .any(|prefix| name.starts_with(&prefix.to_ascii_uppercase()))
        };
        let variables = self.0.iter().filter(|(name, _)| is_selected(name));
        variables
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let owned = |(name, value): (N, V)| (name.into(), value.into());
        Self(variables.into_iter().map(owned).collect())
    }
}

/// Folder of the package whose program cargo runs.
pub const CARGO_MANIFEST_DIR: &str = "CARGO_MANIFEST_DIR";
/// Its name.
pub const CARGO_PKG_NAME: &str = "CARGO_PKG_NAME";

/// The values of the variables that `proxy_config.yaml` names (`os.environ/NAME`). They are the credentials of a live run, and
/// only its gateway gets them.
pub fn named_by_a_file<'a>(names: impl IntoIterator<Item = &'a str>) -> Variables {
    let environment = Environment::from_process();
    let value = |name| Some((OsString::from(name), environment.0.get(OsStr::new(name))?.clone()));
    names.into_iter().filter_map(value).collect()
}

/// Whether this is a file with an execute bit.
pub fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let environment = Environment::from_iter([(LITELLM_PROXY_BASE_URL, "")]);
        assert_eq!(environment.get(LITELLM_PROXY_BASE_URL), None);
    }

    #[test]
    fn credentials_reach_no_child_and_no_debug_print() {
        let environment = Environment::from_iter([
            ("ANTHROPIC_API_KEY", "sk-secret"),
            ("AWS_SECRET_ACCESS_KEY", "sk-secret"),
            (LITELLM_PROXY_API_KEY, "sk-secret"),
            (COMPAT_PROVIDER_CONTROL_KEY, "sk-secret"),
            (PATH, "/bin"),
        ]);
        assert!(!format!("{environment:?}").contains("sk-secret"));
        assert_eq!(environment.inherited().len(), 1);
        assert_eq!(environment.for_installers().variables().len(), 1);
    }

    #[test]
    fn installers_get_their_own_settings_in_either_case() {
        let settings = [("npm_config_registry", "http://a"), ("PIP_INDEX_URL", "http://b")];
        let environment = Environment::from_iter(settings);
        assert_eq!(environment.for_installers().variables().len(), 2);
        assert!(environment.inherited().is_empty());
    }

    #[test]
    fn compat_claude_names_a_file_or_the_path() {
        let choice = |value| Environment::from_iter([(COMPAT_CLAUDE, value)]).claude();
        assert_eq!(choice("path"), Some(ClaudeChoice::OnPath));
        assert_eq!(choice("./claude"), Some(ClaudeChoice::File("./claude".into())));
    }
}
