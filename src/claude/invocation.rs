//! The start of `claude`: argv, environment and standard input, made from a trial's data. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::mcp_server;
use crate::clock::WaitClock;
use crate::env::{self, Secret, Variables};
use crate::ids::TrialKey;
use crate::process::{Cage, Launch, ProcessTag, RunId};
use crate::wire::script::{Prompt, PromptBlock, Workspace};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A gateway, or any other server of the Messages API.
    Gateway {
        /// `http://host:port`, without a path.
        base_url: String,
        token: Secret,
    },
    /// A gateway that forwards the token of a Claude subscription
    /// (<https://docs.litellm.ai/docs/tutorials/claude_code_max_subscription>).
    Subscription {
        /// `http://host:port`, without a path.
        base_url: String,
        /// Sent as `Authorization: Bearer …`.
        oauth_token: Secret,
        /// The gateway's own credential, in [`Self::KEY_HEADER`].
        token: Secret,
    },
    /// `claude` itself calls Bedrock InvokeModel. Before the first request it sends `GET /inference-profiles`, which may
    /// fail.
    Bedrock {
        /// `http://host:port`, without a path.
        base_url: String,
        region: String,
        /// Sent as `Authorization: Bearer …`, as a Bedrock API key is.
        token: Secret,
    },
    /// `claude` itself calls Bedrock's Messages API.
    Mantle {
        /// `http://host:port/anthropic`.
        base_url: String,
        region: String,
        /// Sent as `Authorization: Bearer …`, as a Bedrock API key is.
        token: Secret,
    },
    /// `claude` itself calls Microsoft Foundry.
    Foundry {
        /// `http://host:port/anthropic`.
        base_url: String,
        /// Sent as the resource's key.
        key: Secret,
    },
    Vertex {
        /// `http://host:port/v1`.
        base_url: String,
        region: String,
        project: String,
        /// Sent as `Authorization: Bearer …`, as an OAuth access token is.
        token: Secret,
    },
}

#[derive(Clone, Debug)]
pub struct Invocation {
    pub program: PathBuf,
    pub run: RunId,
    /// The session id and the name of the working directory. Each attempt needs a new one: `claude` refuses a session id
    /// that its folder contains.
    pub key: TrialKey,
    /// The gateway's alias. It should contain the model's own name (`claude-haiku-4-5-bedrock`): otherwise `claude` warns on
    /// standard error and frames its requests differently.
    pub model: String,
    pub prompts: Vec<Prompt>,
    pub workspace: Workspace,
    /// The executable that serves the tools of the workspace; its `main` calls [`super::run_hidden_mode_if_asked`].
    pub mcp_program: PathBuf,
    pub flags: Vec<String>,
    /// Whether a failed answer does not end the run: the next prompt is sent as after any other.
    pub expects_failures: bool,
    /// The cell's variables. They override the harness's, but not the variables that tag our processes. Its headers are
    /// added to the harness's.
    pub variables: BTreeMap<String, String>,
    pub endpoint: Endpoint,
    /// A new folder for all its files. It must be outside any repository, because `claude` searches the parents for
    /// `CLAUDE.md` and `.git`. Its path must be short: `claude` makes a socket in it. If the socket's path has more than
    /// about 100 bytes, `claude` uses a folder in `/tmp` and never removes it.
    pub folder: PathBuf,
    pub inherited: Variables,
    pub deadline: Duration,
    /// The time in which its requests wait for a limit does not count.
    pub waits: Arc<WaitClock>,
    /// The cage to run it in; `None` for no confinement.
    pub cage: Option<Arc<Cage>>,
}

/// The longest prompt in argv, in bytes; Linux allows 128 KiB for one argument.
const MAX_ARGUMENT_BYTES: usize = 64 << 10;

/// How often `claude` retries a request. With 2, a gateway that always answers 500 fails a trial after 2.3 s; with the
/// default of 10, after minutes.
const MAX_RETRIES: &str = "2";

impl Invocation {
    /// Flags of Claude Code that its `--help` does not name (version 2.1.327).
    const HIDDEN_FLAGS: [&str; 6] = [
        "--append-system-prompt-file",
        "--max-thinking-tokens",
        "--max-turns",
        "--permission-prompt-tool",
        "--system-prompt-file",
        "--thinking",
    ];

    /// The flags of the harness itself.
    pub const FLAGS: [&str; 10] = [
        "--print",
        "--output-format",
        "--verbose",
        "--include-partial-messages",
        "--input-format",
        "--model",
        "--session-id",
        "--debug-file",
        "--strict-mcp-config",
        "--mcp-config",
    ];

    /// The first of a cell's `flags` that a `claude` with the flags `own` does not have.
    pub fn missing_flag<'a>(flags: &'a [String], own: &BTreeSet<String>) -> Option<&'a str> {
        let names = flags
            .iter()
            .map(|flag| flag.split('=').next().unwrap_or_default());
        let mut names = names.filter(|name| name.starts_with("--") && !Self::HIDDEN_FLAGS.contains(name));
        names.find(|name| !own.contains(*name))
    }

    /// The arguments, without the program's name.
    pub fn argv(&self) -> Vec<OsString> {
        let printing = "-p --output-format stream-json --verbose --include-partial-messages";
        let mut argv: Vec<OsString> = printing.split(' ').map(OsString::from).collect();
        if self.single_text().is_none() {
            argv.extend(["--input-format", "stream-json"].map(OsString::from));
        }
        argv.extend(["--model".into(), OsString::from(&self.model)]);
        argv.extend(["--session-id".into(), OsString::from(self.key.to_string())]);
        argv.extend(["--debug-file".into(), self.debug_log().into_os_string()]);
        if !self.workspace.mcp_servers.is_empty() {
            let config = mcp_server::configuration(&self.mcp_program, &self.workspace.mcp_servers);
            argv.extend(["--strict-mcp-config", "--mcp-config", &config].map(OsString::from));
        }
        argv.extend(self.flags.iter().map(OsString::from));
        if let Some(text) = self.single_text() {
            // Without `--`, a flag that takes a list would consume the prompt.
            argv.extend(["--".into(), OsString::from(text)]);
        }
        argv
    }

    /// The whole environment, without the variables that tag our processes.
    pub fn environment(&self) -> Variables {
        let mut variables = self.inherited.clone();
        let mut set = |name: &str, value: OsString| variables.insert(name.into(), value);
        set(env::HOME, self.home().into());
        set(env::CLAUDE_CONFIG_DIR, self.config().into());
        set(env::TMPDIR, self.temporary().into());
        set(env::CLAUDE_CODE_TMPDIR, self.temporary().into());
        set(env::XDG_CONFIG_HOME, self.home().join(".config").into());
        set(env::XDG_CACHE_HOME, self.home().join(".cache").into());
        set(env::XDG_DATA_HOME, self.home().join(".local/share").into());
        set(env::XDG_STATE_HOME, self.home().join(".local/state").into());
        for name in ON {
            set(name, "1".into());
        }
        set(env::CLAUDE_CODE_MAX_RETRIES, MAX_RETRIES.into());
        set(env::CLAUDE_CODE_DEBUG_LOG_LEVEL, "warn".into());
        for name in MODELS {
            set(name, OsString::from(&self.model));
        }
        for (name, value) in self.endpoint.variables() {
            set(name, value);
        }
        if !self.workspace.mcp_servers.is_empty() {
            set(env::MCP_CONNECTION_NONBLOCKING, "0".into());
        }
        for (name, value) in &self.variables {
            let own = variables
                .get(OsStr::new(name))
                .filter(|_| name == env::ANTHROPIC_CUSTOM_HEADERS);
            let mut value = OsString::from(value);
            if let Some(own) = own {
                value.push("\n");
                value.push(own);
            }
            variables.insert(name.into(), value);
        }
        variables
    }

    /// The lines for standard input, one for each prompt; empty if the prompt is an argument.
    pub fn stdin_messages(&self) -> Vec<String> {
        if self.single_text().is_some() {
            return Vec::new();
        }
        let messages = self.prompts.iter().map(stdin_message);
        messages.map(|message| format!("{message}\n")).collect()
    }

    pub fn folders(&self) -> [PathBuf; 4] {
        [
            self.home(),
            self.config(),
            self.temporary(),
            self.working_directory(),
        ]
    }

    /// A file that marks the last cleanup of the folder. Without it, `claude` looks for old sessions, logs and caches five
    /// seconds after its start, which takes 50 ms of processor time (measured with 2.1.327).
    pub fn cleanup_marker(&self) -> PathBuf {
        self.config().join(".last-cleanup")
    }

    /// The working directory, named after the trial's key.
    pub fn working_directory(&self) -> PathBuf {
        self.folder.join(self.key.to_string())
    }

    pub fn debug_log(&self) -> PathBuf {
        self.folder.join("debug.log")
    }

    pub fn launch(&self) -> Launch {
        Launch::new(&self.program, ProcessTag::trial(self.run, self.key))
            .arguments(self.argv())
            .environment(self.environment())
            .directory(self.working_directory())
            .confined(self.cage.as_ref(), &self.folder)
    }

    fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    fn temporary(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    fn single_text(&self) -> Option<&str> {
        let [prompt] = &self.prompts[..] else { return None };
        match &prompt.blocks[..] {
            [PromptBlock::Text(text)] if text.len() <= MAX_ARGUMENT_BYTES => Some(text),
            _ => None,
        }
    }
}

/// The variables that are set to `1`.
const ON: [&str; 6] = [
    env::CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC,
    env::CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK,
    env::DISABLE_TELEMETRY,
    env::DISABLE_ERROR_REPORTING,
    env::DISABLE_AUTOUPDATER,
    env::BUN_GC_TIMER_DISABLE,
];

/// Each of these names a model for a special purpose. All are set to the requested model.
const MODELS: [&str; 5] = [
    env::ANTHROPIC_DEFAULT_HAIKU_MODEL,
    env::ANTHROPIC_DEFAULT_SONNET_MODEL,
    env::ANTHROPIC_DEFAULT_OPUS_MODEL,
    env::ANTHROPIC_SMALL_FAST_MODEL,
    env::CLAUDE_CODE_SUBAGENT_MODEL,
];

impl Endpoint {
    /// The header in which LiteLLM takes its key if another credential is in `Authorization`.
    pub const KEY_HEADER: &str = "x-litellm-api-key";

    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let bearer = |token: &Secret| OsString::from(format!("Authorization: Bearer {}", token.expose()));
        match self {
            Self::Gateway { base_url, token } => vec![
                (env::ANTHROPIC_BASE_URL, base_url.into()),
                (env::ANTHROPIC_AUTH_TOKEN, token.expose().into()),
            ],
            Self::Subscription {
                base_url,
                oauth_token,
                token,
            } => vec![
                (env::ANTHROPIC_BASE_URL, base_url.into()),
                (env::CLAUDE_CODE_OAUTH_TOKEN, oauth_token.expose().into()),
                (
                    env::ANTHROPIC_CUSTOM_HEADERS,
                    format!("{}: Bearer {}", Self::KEY_HEADER, token.expose()).into(),
                ),
            ],
            Self::Bedrock {
                base_url,
                region,
                token,
            } => vec![
                (env::CLAUDE_CODE_USE_BEDROCK, "1".into()),
                (env::CLAUDE_CODE_SKIP_BEDROCK_AUTH, "1".into()),
                (env::ANTHROPIC_BEDROCK_BASE_URL, base_url.into()),
                (env::AWS_REGION, region.into()),
                (env::ANTHROPIC_CUSTOM_HEADERS, bearer(token)),
            ],
            Self::Mantle {
                base_url,
                region,
                token,
            } => vec![
                (env::CLAUDE_CODE_USE_MANTLE, "1".into()),
                (env::CLAUDE_CODE_SKIP_MANTLE_AUTH, "1".into()),
                (env::ANTHROPIC_BEDROCK_MANTLE_BASE_URL, base_url.into()),
                (env::AWS_REGION, region.into()),
                (env::ANTHROPIC_CUSTOM_HEADERS, bearer(token)),
            ],
            Self::Foundry { base_url, key } => vec![
                (env::CLAUDE_CODE_USE_FOUNDRY, "1".into()),
                (env::ANTHROPIC_FOUNDRY_BASE_URL, base_url.into()),
                (env::ANTHROPIC_FOUNDRY_API_KEY, key.expose().into()),
            ],
            Self::Vertex {
                base_url,
                region,
                project,
                token,
            } => vec![
                (env::CLAUDE_CODE_USE_VERTEX, "1".into()),
                (env::CLAUDE_CODE_SKIP_VERTEX_AUTH, "1".into()),
                (env::ANTHROPIC_VERTEX_BASE_URL, base_url.into()),
                (env::CLOUD_ML_REGION, region.into()),
                (env::ANTHROPIC_VERTEX_PROJECT_ID, project.into()),
                (env::ANTHROPIC_CUSTOM_HEADERS, bearer(token)),
            ],
        }
    }
}

/// A prompt in the format of `--input-format stream-json`.
pub fn stdin_message(prompt: &Prompt) -> Value {
    let content: Vec<Value> = prompt.blocks.iter().map(content_block).collect();
    json!({ "type": "user", "message": { "role": "user", "content": content } })
}

fn content_block(block: &PromptBlock) -> Value {
    let file = |kind: &str, media_type: &str, bytes: &[u8]| {
        let source = json!({ "type": "base64", "media_type": media_type, "data": STANDARD.encode(bytes) });
        json!({ "type": kind, "source": source })
    };
    match block {
        PromptBlock::Text(text) => json!({ "type": "text", "text": text }),
        PromptBlock::Image {
            media_type, bytes, ..
        } => file("image", media_type, bytes),
        PromptBlock::Document {
            media_type, bytes, ..
        } => file("document", media_type, bytes),
    }
}
