//! The environment: every variable that the project reads or sets, by name, with what it means.
//!
//! The only place that names environment variables. What the project reads is read once, at the edge, into an
//! [`Environment`] that a test can build by hand. Children never inherit: each is given its variables one by one,
//! and of the parent's only those in [`INHERITED`] (and, for package clients, [`PACKAGE_CLIENT_PREFIXES`]).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

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

/// What package clients (`npm`, `pip`, `uv`) get besides: their own settings, by the names' beginnings, compared
/// without regard to case. Registries may need a credential; no other child sees these.
pub const PACKAGE_CLIENT_PREFIXES: [&str; 3] = ["NPM_CONFIG_", "PIP_", "UV_"];

/// What package clients get besides, by name: where their files and caches are, and the way out of the network.
pub const PACKAGE_CLIENT: [&str; 12] = [
    HOME,
    XDG_CACHE_HOME,
    XDG_CONFIG_HOME,
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

// ---- Set for every child. ----

/// Cookie of a run: its UUID, in the environment of each process that the run starts. What carries it is killed
/// when the run ends, however it ends.
pub const COMPAT_RUN: &str = "COMPAT_RUN";
/// Cookie of a trial: its key, in the environment of each process that the trial starts.
pub const COMPAT_TRIAL: &str = "COMPAT_TRIAL";
/// Where a child puts temporary files and sockets.
pub const TMPDIR: &str = "TMPDIR";

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
/// Talk to Amazon Bedrock instead of the Messages API.
pub const CLAUDE_CODE_USE_BEDROCK: &str = "CLAUDE_CODE_USE_BEDROCK";
/// Base of the Bedrock runtime API.
pub const ANTHROPIC_BEDROCK_BASE_URL: &str = "ANTHROPIC_BEDROCK_BASE_URL";
/// Send requests to Bedrock without a signature. With one, `claude` first tries about 15 models, each with a request.
pub const CLAUDE_CODE_SKIP_BEDROCK_AUTH: &str = "CLAUDE_CODE_SKIP_BEDROCK_AUTH";
/// The AWS region.
pub const AWS_REGION: &str = "AWS_REGION";
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

/// What was read from the environment. A variable that is set to nothing counts as not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// [`LITELLM_PROXY_BASE_URL`].
    pub litellm_proxy_base_url: Option<String>,
    /// [`LITELLM_PROXY_API_KEY`].
    pub litellm_proxy_api_key: Option<Secret>,
    /// [`COMPAT_RESULTS_PATH`].
    pub results_path: Option<PathBuf>,
    /// [`COMPAT_CACHE_DIR`].
    pub cache_dir: Option<PathBuf>,
    /// [`COMPAT_CLAUDE`].
    pub claude: Option<ClaudeChoice>,
    /// [`COMPAT_PROVIDER_URL`].
    pub provider_url: Option<String>,
    /// [`COMPAT_PROVIDER_CONTROL_KEY`].
    pub provider_control_key: Option<Secret>,
    /// [`COMPAT_PROVIDER_CONTROL_KEY_FILE`].
    pub provider_control_key_file: Option<PathBuf>,
    /// [`CI`].
    pub ci: bool,
    /// [`HOME`].
    pub home: Option<PathBuf>,
    /// [`XDG_CACHE_HOME`].
    pub xdg_cache_home: Option<PathBuf>,
    /// [`XDG_CONFIG_HOME`].
    pub xdg_config_home: Option<PathBuf>,
    /// [`PATH`].
    pub path: Option<OsString>,
    /// [`NPM_CONFIG_REGISTRY`].
    pub npm_config_registry: Option<String>,
    /// [`NPM_CONFIG_USERCONFIG`].
    pub npm_config_userconfig: Option<PathBuf>,
    /// [`PIP_INDEX_URL`].
    pub pip_index_url: Option<String>,
    /// [`PIP_CONFIG_FILE`].
    pub pip_config_file: Option<PathBuf>,
    /// [`UV_DEFAULT_INDEX`], else [`UV_INDEX_URL`].
    pub uv_index: Option<String>,
    /// For every child: what is set of [`INHERITED`].
    pub inherited: Variables,
    /// For package clients alone, besides `inherited`: what is set of [`PACKAGE_CLIENT`] and what begins with one of
    /// [`PACKAGE_CLIENT_PREFIXES`].
    pub package_client: Variables,
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
    /// Reads the environment of this process.
    pub fn from_process() -> Self {
        Self::from_variables(std::env::vars_os())
    }

    /// Reads `variables` as if they were the environment.
    pub fn from_variables(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let set: Variables = variables
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let value = |name: &str| set.get(OsStr::new(name)).cloned();
        let text = |name: &str| value(name).map(|value| value.to_string_lossy().into_owned());
        let path = |name: &str| value(name).map(PathBuf::from);
        let either_case = |name: &str| value(name).or_else(|| value(&name.to_lowercase()));
        Self {
            litellm_proxy_base_url: text(LITELLM_PROXY_BASE_URL),
            litellm_proxy_api_key: text(LITELLM_PROXY_API_KEY).map(Secret),
            results_path: path(COMPAT_RESULTS_PATH),
            cache_dir: path(COMPAT_CACHE_DIR),
            claude: value(COMPAT_CLAUDE).map(|value| ClaudeChoice::from_value(&value)),
            provider_url: text(COMPAT_PROVIDER_URL),
            provider_control_key: text(COMPAT_PROVIDER_CONTROL_KEY).map(Secret),
            provider_control_key_file: path(COMPAT_PROVIDER_CONTROL_KEY_FILE),
            ci: text(CI).is_some_and(|value| value != "false" && value != "0"),
            home: path(HOME),
            xdg_cache_home: path(XDG_CACHE_HOME),
            xdg_config_home: path(XDG_CONFIG_HOME),
            path: value(PATH),
            npm_config_registry: either_case(NPM_CONFIG_REGISTRY)
                .map(|value| value.to_string_lossy().into_owned()),
            npm_config_userconfig: either_case(NPM_CONFIG_USERCONFIG).map(PathBuf::from),
            pip_index_url: text(PIP_INDEX_URL),
            pip_config_file: path(PIP_CONFIG_FILE),
            uv_index: text(UV_DEFAULT_INDEX).or_else(|| text(UV_INDEX_URL)),
            inherited: select(&set, is_inherited),
            package_client: select(&set, is_for_package_clients),
        }
    }

    /// What a package client gets: `inherited` and `package_client`.
    pub fn for_package_client(&self) -> Variables {
        let mut variables = self.inherited.clone();
        variables.extend(self.package_client.clone());
        variables
    }
}

/// The values of variables that a file of the project names (`os.environ/NAME` in `proxy_config.yaml`), where set:
/// how a gateway that the harness starts gets the credentials of a live run. No other child is given them.
pub fn named_by_a_file<'a>(names: impl IntoIterator<Item = &'a str>) -> Variables {
    names
        .into_iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
        .collect()
}

fn select(set: &Variables, wanted: impl Fn(&str) -> bool) -> Variables {
    set.iter()
        .filter(|(name, _)| name.to_str().is_some_and(&wanted))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_inherited(name: &str) -> bool {
    INHERITED.contains(&name)
}

fn is_for_package_clients(name: &str) -> bool {
    let upper = name.to_uppercase();
    PACKAGE_CLIENT.contains(&name)
        || PACKAGE_CLIENT_PREFIXES
            .iter()
            .any(|prefix| upper.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_variables(
            variables
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into())),
        )
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let environment = environment(&[(LITELLM_PROXY_BASE_URL, ""), (CI, "")]);
        assert_eq!(environment, Environment::default());
    }

    #[test]
    fn credentials_reach_no_child_and_no_debug_print() {
        let environment = environment(&[
            ("ANTHROPIC_API_KEY", "sk-secret"),
            ("AWS_SECRET_ACCESS_KEY", "sk-secret"),
            (LITELLM_PROXY_API_KEY, "sk-secret"),
            (COMPAT_PROVIDER_CONTROL_KEY, "sk-secret"),
            (PATH, "/bin"),
        ]);
        assert!(!format!("{environment:?}").contains("sk-secret"));
        assert_eq!(environment.for_package_client().len(), 1);
    }

    #[test]
    fn package_clients_get_their_own_settings_in_either_case() {
        let environment = environment(&[("npm_config_registry", "http://a"), ("PIP_INDEX_URL", "http://b")]);
        assert_eq!(environment.npm_config_registry.as_deref(), Some("http://a"));
        assert_eq!(environment.package_client.len(), 2);
        assert!(environment.inherited.is_empty());
    }

    #[test]
    fn the_choice_of_claude_is_a_file_or_the_one_on_the_path() {
        assert_eq!(
            environment(&[(COMPAT_CLAUDE, "path")]).claude,
            Some(ClaudeChoice::OnPath)
        );
        assert_eq!(
            environment(&[(COMPAT_CLAUDE, "./claude")]).claude,
            Some(ClaudeChoice::File("./claude".into()))
        );
    }
}
