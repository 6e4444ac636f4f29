//! `compat up`: keeps gateway and provider simulator running for the runs to come.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::Runtime;

use super::check;
use super::print::{output, status};
use crate::env::{self, Environment};
use crate::warm::{self, Description, Fingerprint, Found, Hosting, Place, WarmError};
use crate::{process, progress};

/// Keep gateway and provider simulator running for the runs to come
///
/// Starts LiteLLM and the provider simulator in a process of their own and returns when they answer. From then on
/// `cargo test --test compat` finds them by itself, says so, and starts in a second instead of ten. It takes them only where
/// it would start the very same: this build, the pinned LiteLLM, `proxy_config.yaml` as it is. What does not fit any more is
/// ended and started anew by the next `compat up`, unless a run is using it.
///
/// It ends by `compat down`, and by itself: when no run has used it for a while, when its gateway ends, and when its folder
/// is removed.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  compat up
  cargo test --test compat -- tool_use::anthropic::haiku
  compat down

  Stay in the terminal until interrupted:
    compat up --foreground")]
pub struct Arguments {
    /// Seconds without a run after which it ends by itself
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub idle: u64,
    /// Stay in this process until interrupted
    #[arg(long)]
    pub foreground: bool,
    /// The folder that holds `manifest.yaml` [default: the nearest one upwards]
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
    /// Be the process that keeps the session of this folder: how this program starts itself
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub host: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.host.is_some() {
        process::leave_session();
    }
    let environment = Environment::from_process();
    let current = std::env::current_dir().context("the working directory is gone")?;
    let root = check::root(arguments.root.as_deref(), &current)?;
    anyhow::ensure!(
        environment.get(env::LITELLM_PROXY_BASE_URL).is_none(),
        "`{}` names a gateway that already runs: there is nothing to keep",
        env::LITELLM_PROXY_BASE_URL
    );
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    let hosting = Hosting {
        place: match &arguments.host {
            Some(folder) => Place::at(folder),
            None => Place::of(&environment, &root)?,
        },
        environment,
        root,
        idle: Duration::from_secs(arguments.idle),
    };
    runtime.block_on(async {
        if arguments.host.is_some() {
            host(&hosting).await
        } else if arguments.foreground {
            in_the_foreground(&hosting).await
        } else {
            in_the_background(&hosting).await
        }
    })
}

/// Is the host, for whoever started it.
async fn host(hosting: &Hosting) -> anyhow::Result<ExitCode> {
    let end = warm::serve(hosting, progress::on_standard_error().as_ref(), |_| ()).await?;
    status!("{end}");
    Ok(ExitCode::SUCCESS)
}

async fn in_the_foreground(hosting: &Hosting) -> anyhow::Result<ExitCode> {
    hosting.place.prepare()?;
    let start = hosting.place.lock_start()?;
    let wanted = Fingerprint::of(&hosting.root)?;
    match warm::find(&hosting.place, &wanted).await? {
        Found::Fits(guest) => {
            announce(&guest.description, "is kept warm already");
            return Ok(ExitCode::SUCCESS);
        }
        Found::Unfit(why) if hosting.place.nobody().is_none() => {
            return Err(WarmError::InUse { why }.into());
        }
        Found::Unfit(why) => {
            status!("ending the session that is kept warm: {why}");
            warm::end(&hosting.place).await;
        }
        Found::Nothing => {}
    }
    let end = warm::serve(hosting, progress::on_standard_error().as_ref(), |description| {
        announce(description, "is kept warm here, until interrupted");
        drop(start);
    })
    .await?;
    status!("{end}");
    Ok(ExitCode::SUCCESS)
}

async fn in_the_background(hosting: &Hosting) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let started = warm::ensure(
        &hosting.place,
        &hosting.root,
        &hosting.environment,
        &program,
        hosting.idle,
        progress::on_standard_error().as_ref(),
    )
    .await?;
    announce(
        &started.guest.description,
        if started.was_there {
            "is kept warm already"
        } else {
            "is kept warm"
        },
    );
    Ok(ExitCode::SUCCESS)
}

fn announce(description: &Description, what: &str) {
    output!("the session {what}");
    output!(
        "  gateway    LiteLLM {} at {}",
        description.made_of.litellm,
        description.gateway
    );
    output!("  simulator  {}", description.provider);
    output!("  process    {}", description.pid);
    output!("  log        {}", description.gateway_log.display());
    output!(
        "it ends by `compat down`, or {} s after the last run",
        description.idle_seconds
    );
}
