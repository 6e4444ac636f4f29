//! `compat provider`: a standalone provider simulator, for people who test their own gateway.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use chrono::Local;
use clap::{Args, Subcommand};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::print::{output, status};
use super::project::{InvalidFiles, RootFlag};
use crate::cells::resolve::script;
use crate::drift::tape::Tape;
use crate::env::{self, Variables};
use crate::files::cassette_files;
use crate::files::private_folder;
use crate::files::project::tier_models;
use crate::ids::CellId;
use crate::provider::as_live::{REFUSES_ONE_IN, refused_tool};
use crate::provider::{
    LiveOptions, METADATA_TOKEN_PATH, Notice, Observer, Simulator, SimulatorOptions, Unscripted,
    new_control_key, standalone_reply,
};
use crate::text::{clipped, counted, number_from_one, shell_word, suggestion};
use crate::wire::exchange::{Matched, ProviderExchange};

/// A standalone provider simulator
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  compat provider serve")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve all provider routes until interrupted
    ///
    /// Replaces Anthropic, Amazon Bedrock, Vertex AI and Microsoft Foundry behind a gateway. It writes random credentials to
    /// files and never prints them. Like the providers, it refuses a request without credentials. A request that belongs to no trial gets
    /// a short greeting, the tool call or the JSON that it forces, or the replies of a cell or a script.
    ///
    /// Standard output shows its address and the gateway's settings; standard error shows a line for each request.
    #[command(after_help = "\
Examples:
  Serve on any free port, with the credentials in a folder; later starts use the same port and credentials:
    compat provider serve --credentials ./provider

  Start LiteLLM with it, to run the matrix against that gateway:
    set -a; . ./provider/gateway.env; set +a
    litellm --config proxy_config.yaml --port 4000

  Answer every client with the replies of a cell:
    compat provider serve --cell tool_use/anthropic

  Answer with what a run recorded:
    compat provider serve --replay recorded")]
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Serve {
    /// Address to listen on; port 0 is any free port [default: that of the last start with these credentials, or a free port of
    /// 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Folder for the credentials. Those of an earlier start are used again, at its address; without any, new ones are written
    /// [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "FOLDER", alias = "write-credentials")]
    credentials: Option<PathBuf>,
    /// File with the key for the control routes; created if it does not exist [default: `control-key` in the
    /// credentials' folder]
    #[arg(long, value_name = "FILE")]
    control_key_file: Option<PathBuf>,
    /// Answer requests of no trial with the replies of this cell, in order and from the first again
    #[arg(long, value_name = "FEATURE/PROVIDER", conflicts_with = "script")]
    cell: Option<String>,
    /// Answer requests of no trial with the `replies` of this YAML file, as in a cell (`schema/script.schema.json`)
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Answer as a cooperative model would, to rehearse a live run: no control route, no script. SEED selects its variations
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true, default_missing_value = "1",
        conflicts_with_all = ["cell", "script", "control_key_file"])]
    as_live: Option<u64>,
    /// Answer from this cassette, which a run with `--record` wrote: a request that was not recorded gets an error that says what
    /// differs
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["cell", "script", "as_live"])]
    replay: Option<PathBuf>,
    /// With `--as-live`: the requests a minute that each route and model gets; more are refused with `retry-after`
    #[arg(long, value_name = "N", requires = "as_live", value_parser = number_from_one::<NonZeroU32>)]
    requests_per_minute: Option<NonZeroU32>,
    /// With `--as-live`: after each N requests, refuse three in a row as overloaded
    #[arg(long, value_name = "N", requires = "as_live", value_parser = number_from_one::<NonZeroU32>)]
    overload_every: Option<NonZeroU32>,
    /// Milliseconds before the first byte of every reply
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    first_byte_delay: u64,
    #[command(flatten)]
    root: RootFlag,
}

/// The file with the credentials, in their folder.
const CREDENTIALS_FILE: &str = "credentials.json";

/// The file with the address of the last start, in the folder of the credentials.
const ADDRESS_FILE: &str = "address";

/// Runs the command. The exit status is 0 after an interrupt.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let Command::Serve(serve) = arguments.command;
    Runtime::new()
        .context("cannot start the asynchronous runtime")?
        .block_on(serve.run())
}

impl Serve {
    async fn run(self) -> Result<ExitCode> {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        // Dropping it removes the folder.
        let temporary = private_folder::make("compat-").context("cannot make a temporary folder")?;
        let unscripted = self.unscripted()?;
        let folder = self.credentials.as_deref().unwrap_or(temporary.path());
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        let folder =
            &fs::canonicalize(folder).with_context(|| format!("cannot find `{}`", folder.display()))?;
        let key_file = self
            .control_key_file
            .clone()
            .unwrap_or_else(|| folder.join("control-key"));
        let saved = folder.join(CREDENTIALS_FILE);
        let last_address = folder.join(ADDRESS_FILE);
        let listen = match self.listen {
            Some(listen) => listen,
            None => usual_address(&last_address)?,
        };
        let options = SimulatorOptions {
            first_byte_delay_ms: self.first_byte_delay,
            unscripted,
            listen,
            control_key: match self.as_live {
                Some(_) => None,
                None => Some(control_key(&key_file)?),
            },
            tiers: self
                .root
                .find()
                .map(|root| tier_models(&root))
                .unwrap_or_default(),
            credentials: read_if_exists(&saved)?,
            metadata_server: listen.ip().is_loopback(),
            observe: Some(request_lines()),
        };
        let simulator = Simulator::start(options)
            .await
            .with_context(|| format!("cannot start with the credentials in `{}`", folder.display()))?;
        write_private(&saved, &simulator.credentials().saved())?;
        write_private(&last_address, simulator.base_url().trim_start_matches("http://"))?;
        let environment = write_credentials(&simulator, folder)?;
        announce(
            &simulator,
            folder,
            self.as_live.map_or(Some(&key_file), |_| None),
            &environment,
        );
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        simulator.shutdown().await;
        status!("the provider simulator was stopped");
        Ok(ExitCode::SUCCESS)
    }
}

impl Serve {
    /// The reply to requests of no trial.
    fn unscripted(&self) -> Result<Unscripted> {
        if let Some(seed) = self.as_live {
            return Ok(Unscripted::AsLive(LiveOptions {
                seed,
                requests_per_minute: self.requests_per_minute,
                overload_every: self.overload_every,
            }));
        }
        if let Some(folder) = &self.replay {
            let tape = Tape::new(&cassette_files::read(folder)?);
            ensure!(
                !tape.is_empty(),
                "`{}` has no reply to play: record again",
                folder.display()
            );
            status!(
                "replaying {} of `{}`",
                counted(tape.len(), "recorded request"),
                folder.display()
            );
            return Ok(Unscripted::Tape(Arc::new(tape)));
        }
        if let Some(file) = &self.script {
            let bytes = fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
            return Ok(Unscripted::Script(script(file, &bytes).map_err(InvalidFiles)?));
        }
        let Some(name) = &self.cell else {
            return Ok(Unscripted::Reply(standalone_reply()));
        };
        let project = self.root.open()?;
        let cells = project.cells();
        let wanted = name.replace("::", "/");
        let is_wanted = |id: &&CellId| format!("{}/{}", id.feature, id.provider) == wanted;
        let Some(id) = cells.iter().find(is_wanted) else {
            let names: Vec<String> = cells
                .iter()
                .map(|id| format!("{}/{}", id.feature, id.provider))
                .collect();
            let similar = suggestion(&wanted, names.iter().map(String::as_str));
            bail!("there is no cell `{wanted}`{similar}");
        };
        match project.cell(id).map_err(InvalidFiles)?.test() {
            Some(test) => Ok(Unscripted::Script(test.script.clone())),
            None => bail!("the cell `{wanted}` is not applicable, so it has no replies"),
        }
    }
}

/// The address of the last start, which is in `file`, if it is free; else any free port.
fn usual_address(file: &Path) -> Result<SocketAddr> {
    let last = read_if_exists(file)?.and_then(|text| text.trim().parse::<SocketAddr>().ok());
    if let Some(last) = last {
        match TcpListener::bind(last) {
            Ok(_) => return Ok(last),
            Err(error) => {
                status!("cannot listen on `{last}` as at the last start: {error}; taking a free port")
            }
        }
    }
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

/// The text of `file`, if it exists.
fn read_if_exists(file: &Path) -> Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", file.display())),
    }
}

/// The key in `file`. If there is no such file, it is created with a new key.
fn control_key(file: &Path) -> Result<String> {
    if file.exists() {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let key = text.trim();
        anyhow::ensure!(!key.is_empty(), "`{}` holds no control key", file.display());
        return Ok(key.to_owned());
    }
    let key = new_control_key().context("cannot make a control key")?;
    write_private(file, &format!("{key}\n"))?;
    Ok(key)
}

/// Writes the service account and the gateway's environment, and returns that environment.
fn write_credentials(simulator: &Simulator, folder: &Path) -> Result<Variables> {
    let credentials = simulator.credentials();
    let service_account = folder.join("vertex-service-account.json");
    write_private(&service_account, &credentials.vertex_service_account)?;
    let mut environment = credentials.for_gateway(simulator.base_url());
    environment.insert(env::VERTEXAI_CREDENTIALS.into(), service_account.into());
    write_private(&folder.join("gateway.env"), &shell_assignments(&environment))?;
    Ok(environment)
}

fn shell_assignments(environment: &Variables) -> String {
    environment
        .iter()
        .map(|(name, value)| {
            let value = shell_word(&value.to_string_lossy());
            format!("{}={value}\n", name.display())
        })
        .collect()
}

/// Writes a file that only its owner may read.
fn write_private(file: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write `{}`", file.display()))
}

/// `key_file` is `None` for a provider without control routes.
fn announce(simulator: &Simulator, folder: &Path, key_file: Option<&PathBuf>, environment: &Variables) {
    let base_url = simulator.base_url();
    output!("provider simulator  {base_url}");
    if let Some(key_file) = key_file {
        output!("control routes      {base_url}/__compat/");
        output!("control key         {}", key_file.display());
    } else {
        output!("answers             like a model; one of {REFUSES_ONE_IN} requests for a tool is refused");
    }
    output!(
        "\nFor the gateway (credentials are in {}):",
        folder.join("gateway.env").display()
    );
    for (name, value) in environment {
        if name == env::VERTEXAI_CREDENTIALS || !env::is_credential(name) {
            output!("  {}={}", name.display(), value.display());
        }
    }
    announce_metadata(simulator);
    let Some(key_file) = key_file else {
        output!("\nThe harness attaches to the gateway alone, as in a live run.");
        return;
    };
    output!("\nFor the harness, to test both sides of that gateway:");
    output!("  {}={base_url}", env::COMPAT_PROVIDER_URL);
    output!(
        "  {}={}",
        env::COMPAT_PROVIDER_CONTROL_KEY_FILE,
        key_file.display()
    );
}

/// How Google's libraries get an access token without a service account.
fn announce_metadata(simulator: &Simulator) {
    let base_url = simulator.base_url();
    let Some(host) = base_url
        .strip_prefix("http://")
        .filter(|_| simulator.is_metadata_server())
    else {
        output!("\nGoogle's metadata server needs a loopback address to listen on.");
        return;
    };
    output!(
        "\nFor a gateway whose library of Google's ignores `token_uri`, such as the one for Node, and without a service account:"
    );
    output!("  {}={host}", env::GCE_METADATA_HOST);
    output!("  {}={host}", env::GCE_METADATA_IP);
    output!("An access token of Google's, valid for an hour:");
    output!("  curl -H 'Metadata-Flavor: Google' {base_url}{METADATA_TOKEN_PATH}");
}

/// A line for each request.
fn request_lines() -> Observer {
    Arc::new(|secrets, notice| {
        let time = Local::now().format("%H:%M:%S%.3f");
        let line = match notice {
            Notice::Answered { exchange, error } => request_line(exchange, error),
            Notice::Metadata { path, status } => format!("metadata server GET {path} -> {status}"),
            Notice::Forgetting { kept } => {
                format!(
                    "only the last {kept} requests that belong to no trial are kept; older ones are forgotten"
                )
            }
        };
        status!("{time} {}", secrets.removed(&line));
    })
}

fn request_line(exchange: &ProviderExchange, error: &str) -> String {
    let route = exchange.route.map_or("-", |route| route.as_str());
    let why = match &exchange.matched {
        Matched::Script { reply } => format!("reply {reply} of the script"),
        Matched::BuiltIn => "built-in reply".to_owned(),
        Matched::Rejected { rule } => {
            let said = error.lines().next().unwrap_or_default();
            format!("breaks the provider's rule `{rule}`: {}", clipped(said))
        }
        Matched::Unmatched { why } => why.clone(),
    };
    let asked = exchange.message.as_ref().map(|message| {
        let streamed = if exchange.reply.stream { ", streamed" } else { "" };
        format!(
            " ({}, messages: {}, tools: {}{streamed})",
            message.model,
            message.messages.len(),
            message.tools.len()
        )
    });
    let refused = exchange.reply.message.as_ref().and_then(refused_tool);
    let refused = refused.map(|tool| format!(", refuses {tool} (declared)"));
    format!(
        "{route} {} {} -> {}: {why}{}{}",
        exchange.request.method,
        exchange.request.path,
        exchange.reply.status,
        refused.unwrap_or_default(),
        asked.unwrap_or_default()
    )
}
