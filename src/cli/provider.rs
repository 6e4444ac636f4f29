//! `compat provider`: a standalone provider simulator, for people who test their own gateway.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::Local;
use clap::{Args, Subcommand};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::print::{output, status};
use crate::env::{self, Variables};
use crate::files::private_folder;
use crate::provider::{Observer, Simulator, SimulatorOptions, Unscripted, new_control_key, standalone_reply};
use crate::wire::exchange::Matched;

/// A standalone provider simulator
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  compat provider serve")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve all four provider routes until interrupted
    ///
    /// Replaces Anthropic, Amazon Bedrock and Vertex AI behind a gateway. It writes random credentials to files and never
    /// prints them. Like the providers, it refuses a request without credentials. A request that belongs to no trial gets
    /// a short greeting.
    ///
    /// Standard output shows its address and the gateway's settings; standard error shows a line for each request.
    #[command(after_help = "\
Examples:
  Serve on any free port, with the credentials in a folder:
    compat provider serve --write-credentials ./provider

  Start LiteLLM with it, to run the matrix against that gateway:
    set -a; . ./provider/gateway.env; set +a
    litellm --config proxy_config.yaml --port 4000")]
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Serve {
    /// Address to listen on; port 0 is any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File with the key for the control routes; created if it does not exist [default: `control-key` in the
    /// credentials' folder]
    #[arg(long, value_name = "FILE")]
    control_key_file: Option<PathBuf>,
    /// Folder for the credentials; created if it does not exist [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "FOLDER")]
    write_credentials: Option<PathBuf>,
    /// Milliseconds before the first byte of every reply
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    first_byte_delay: u64,
}

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
        let folder = self.write_credentials.as_deref().unwrap_or(temporary.path());
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        let folder =
            &fs::canonicalize(folder).with_context(|| format!("cannot find `{}`", folder.display()))?;
        let key_file = self
            .control_key_file
            .clone()
            .unwrap_or_else(|| folder.join("control-key"));
        let simulator = Simulator::start(SimulatorOptions {
            first_byte_delay_ms: self.first_byte_delay,
            unscripted: Unscripted::Reply(standalone_reply()),
            listen: self.listen,
            control_key: Some(control_key(&key_file)?),
            observe: Some(request_lines()),
        })
        .await?;
        let environment = write_credentials(&simulator, folder)?;
        announce(&simulator, folder, &key_file, &environment);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        simulator.shutdown().await;
        status!("the provider simulator was stopped");
        Ok(ExitCode::SUCCESS)
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
            let value = value.to_string_lossy().replace('\'', r"'\''");
            format!("{}='{value}'\n", name.display())
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

fn announce(simulator: &Simulator, folder: &Path, key_file: &Path, environment: &Variables) {
    let base_url = simulator.base_url();
    output!("provider simulator  {base_url}");
    output!("control routes      {base_url}/__compat/");
    output!("control key         {}", key_file.display());
    output!(
        "\nFor the gateway (credentials are in {}):",
        folder.join("gateway.env").display()
    );
    for (name, value) in environment {
        if name == env::VERTEXAI_CREDENTIALS || !env::is_credential(name) {
            output!("  {}={}", name.display(), value.display());
        }
    }
    output!("\nFor the harness, to test both sides of that gateway:");
    output!("  {}={base_url}", env::COMPAT_PROVIDER_URL);
    output!(
        "  {}={}",
        env::COMPAT_PROVIDER_CONTROL_KEY_FILE,
        key_file.display()
    );
}

fn request_lines() -> Observer {
    Arc::new(|request, route, status, matched| {
        let time = Local::now().format("%H:%M:%S%.3f");
        let route = route.map_or("-", |route| route.as_str());
        let why = match matched {
            Matched::Script { reply } => format!("reply {reply} of the trial's script"),
            Matched::BuiltIn => "built-in reply".to_owned(),
            Matched::Rejected { rule } => format!("breaks the provider's rule `{rule}`"),
            Matched::Unmatched { why } => why.clone(),
        };
        status!(
            "{time} {route} {} {} -> {status}: {why}",
            request.method,
            request.path
        );
    })
}
