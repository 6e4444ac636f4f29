//! The settings of a run: a group of flags of the harness.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::builder::TypedValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser};

use super::status::BROKEN;
use crate::catalogue::{DEFAULT, is_header_name};
use crate::cells::limits::NamedLimit;
use crate::env;
use crate::gateway::{WantedGateway, WantedTools};
use crate::isolation::IsolationLevel;
use crate::plan::selection::{Axes, Names, Shard};
use crate::results::last::LastFilter;
use crate::text::shell_word;
use crate::toolchain::ToolVersion;
use crate::wire::client_format::ClientFormat;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Matrix")]
pub struct RunOptions {
    /// Run one of N parts, from 1: every N-th of the selected trials
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
    /// Run only the trials that this file lists, one on each line, for services that split by timing
    #[arg(long, value_name = "FILE")]
    pub trials: Option<PathBuf>,
    #[command(flatten)]
    pub axes: Axes,
    #[command(flatten)]
    pub last: LastFilter,
    /// Fail only on regressions against this matrix, on findings that it does not have, and on stale entries of it. Its findings
    /// are those of `compatibility-details.json` beside it
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// The gateway: `litellm` (or the gateway at `LITELLM_PROXY_BASE_URL`), another one of `compat gateways`, or `none`, as a
    /// control of Claude Code, the cells and the simulator. `litellm@1.101.0` is that version instead of the pinned one
    #[arg(long, value_name = "NAME[@VERSION]", default_value = "litellm")]
    pub gateway: WantedGateway,
    /// A configuration of the gateway, as `gateways/NAME.yaml` has it. `compat gateways` lists them
    #[arg(long, value_name = "NAME", default_value = DEFAULT)]
    pub config: String,
    /// This published version of Claude Code instead of the pinned one
    #[arg(long, value_name = "VERSION")]
    pub claude: Option<ToolVersion>,
    /// Requirements that replace those of the gateway's packages, for a version that does not start with its own. In the
    /// format of `uv --override`
    #[arg(long = "override", value_name = "FILE")]
    pub overrides: Option<PathBuf>,
    /// The API in which Claude Code calls the gateway: the Messages API, the gateway's pass-through below `/anthropic`, or the
    /// provider's own API. The last two run the columns that have them
    #[arg(long, value_name = "FORMAT", value_parser = ["messages", "passthrough", "provider"], default_value = "messages")]
    pub client_format: String,
    /// The name of an attached gateway. The known findings are those of `gateways/NAME.yaml`
    #[arg(long, value_name = "NAME", env = env::COMPAT_GATEWAY_NAME)]
    pub gateway_name: Option<String>,
    /// A header that an attached gateway wants in each request beside its key, `NAME: VALUE`. May be given several times
    #[arg(long = "header", value_name = "HEADER", value_parser = HeaderParser)]
    pub headers: Vec<ClientHeader>,
    /// Start a new session, even if `compat up` has started a warm one
    #[arg(long)]
    pub cold: bool,
    /// In a live run, run the trials of an alias even if one minimal request to it fails; another alias must answer
    #[arg(long)]
    pub no_preflight: bool,
    /// Start no trial unless each `claude` is confined at least this strongly: `none`, `process`, `landlock` or `full`
    #[arg(long, value_name = "LEVEL", default_value_t = IsolationLevel::None)]
    pub require_isolation: IsolationLevel,
    /// Confine each `claude` at most this strongly
    #[arg(long, value_name = "LEVEL", default_value_t = IsolationLevel::Full)]
    pub isolation: IsolationLevel,
    /// In a live run, send a provider at most so many requests, and tokens, a minute for each model: `any=50`,
    /// `bedrock_invoke=20`, `anthropic/opus=20/40000`. It goes before the manifest's `limits`
    #[arg(long = "limit", value_name = "NAME=REQUESTS[/TOKENS]")]
    pub limits: Vec<NamedLimit>,
    /// In a live run, start no trial that may pass this sum, by the prices of `prices.yaml`. It is the sum of this run alone,
    /// without an earlier run that it reruns, and with `--shard` that of each part. `--rerun-failed` goes on later
    #[arg(long, value_name = "USD", value_parser = dollars, allow_negative_numbers = true)]
    pub max_cost: Option<f64>,
    /// In each column run one tier first, and the others only if it has no failure. In a live run it is the cheapest tier. After
    /// a failure no trial of its column starts; `--rerun-failed` goes on later
    #[arg(long)]
    pub fail_fast: bool,
    /// Keep what passes on the sides of the gateway in this folder, without private values: a cassette for `compat drift`. A live
    /// run sees only the side of Claude Code
    #[arg(long, value_name = "FOLDER")]
    pub record: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Options")]
    pub names: Names,
    /// Run only the trials that are not applicable: each is reported with its reason and starts nothing
    #[arg(long, conflicts_with = "include_ignored")]
    pub ignored: bool,
    /// Run benchmarks: there are none
    #[arg(long)]
    pub bench: bool,
    /// The folder of results and evidence; `None` for those of the project.
    #[arg(skip)]
    pub folder: Option<PathBuf>,
}

/// The options of a command line without arguments and of an empty environment.
impl Default for RunOptions {
    fn default() -> Self {
        #[derive(Parser)]
        struct CommandLine {
            #[command(flatten)]
            options: RunOptions,
            /// The harness's flag, with which one of the options conflicts.
            #[arg(long)]
            include_ignored: bool,
        }
        let options = CommandLine::parse_from(["compat"]).options;
        Self {
            gateway_name: None,
            ..options
        }
    }
}

/// The command line of this process. If it is wrong, `say` gets the reason, with similar names and the usage. The error is the exit
/// status.
pub fn parsed<T: Parser>(say: impl Fn(&str)) -> Result<T, ExitCode> {
    T::try_parse().map_err(|mut error| {
        if !error.use_stderr() {
            // It fails only if the reader closed the pipe.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
            // No name begins with a dash.
            tips.retain(|tip| !tip.to_string().contains(" as a value, use "));
            if !tips.is_empty() {
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
            }
        }
        say(error.render().to_string().trim_end());
        ExitCode::from(BROKEN)
    })
}

/// A header of each request: `x-portkey-provider: anthropic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHeader(pub (String, String));

impl FromStr for ClientHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once(':')
            .map(|(name, value)| (name.trim(), value.trim()));
        // A text without a name may be a credential, and so may a value: no error shows them.
        let Some((name, value)) = parts.filter(|(name, _)| is_header_name(name)) else {
            return Err(
                "a header has the form `NAME: VALUE`, such as `x-portkey-provider: anthropic`".to_owned(),
            );
        };
        if value.is_empty() || value.contains(|c: char| c.is_control() || !c.is_ascii()) {
            return Err(format!(
                "the value of `{name}` is empty, or has a character that no header may have: it takes printable ASCII"
            ));
        }
        match crate::wire::header_names::reserved(name) {
            Some(why) => Err(format!("`{name}` cannot be set: {why}")),
            None => Ok(Self((name.to_owned(), value.to_owned()))),
        }
    }
}

/// A value may be a credential, and clap's own errors repeat it.
#[derive(Clone)]
struct HeaderParser;

impl TypedValueParser for HeaderParser {
    type Value = ClientHeader;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> clap::error::Result<ClientHeader> {
        let header = value.to_str().unwrap_or_default().parse();
        header.map_err(|error: String| {
            clap::Error::raw(ErrorKind::InvalidValue, format!("`--header`: {error}\n")).with_cmd(command)
        })
    }
}

/// A sum of US dollars on a command line.
pub fn dollars(text: &str) -> Result<f64, String> {
    let dollars = text
        .parse::<f64>()
        .ok()
        .filter(|dollars| dollars.is_finite() && *dollars > 0.0);
    dollars
        .ok_or_else(|| format!("`{text}` is no sum of US dollars: expected a number over 0, such as `12.50`"))
}

impl RunOptions {
    /// The flags that say what was tested, as the user gave them. A header may be a credential, so headers are not among them.
    pub fn conditions(&self) -> String {
        let mut flags = Vec::new();
        if self.gateway != WantedGateway::pinned() {
            flags.push(format!("--gateway {}", self.gateway));
        }
        if self.config != DEFAULT {
            flags.push(format!("--config {}", self.config));
        }
        if let Some(version) = &self.claude {
            flags.push(format!("--claude {version}"));
        }
        if let Some(file) = &self.overrides {
            flags.push(format!("--override {}", shell_word(&file.to_string_lossy())));
        }
        let format = self.client_format();
        if format != ClientFormat::Messages {
            flags.push(format!("--client-format {}", format.name()));
        }
        if let Some(name) = &self.gateway_name {
            flags.push(format!("--gateway-name {name}"));
        }
        flags.join(" ")
    }

    /// Whether the run is a control run, without a gateway.
    pub fn is_control(&self) -> bool {
        self.gateway.is_none()
    }

    pub fn wanted(&self) -> WantedTools {
        WantedTools {
            gateway: self.gateway.clone(),
            claude: self.claude.clone(),
            overrides: self.overrides.clone(),
            catalogue: None,
            configuration: None,
            headers: self.headers.iter().map(|header| header.0.clone()).collect(),
        }
    }

    pub fn client_format(&self) -> ClientFormat {
        ClientFormat::called(&self.client_format)
    }

    /// Whether this is not one part of a run on several machines.
    pub fn is_whole(&self) -> bool {
        self.shard.is_none() && self.trials.is_none()
    }
}
