//! The whole matrix, run by the harness as a process of its own, against a gateway that runs already.
//!
//! The harness is told where gateway and `claude` are and is given no credential but the gateway's key.

use parking_lot::Mutex;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::atomic_write;
use crate::env::{self, Environment, Secret};
use crate::process::{Ended, Launch, ProcessError, ProcessTag, RunId, Service};
use crate::results::Results;
use crate::results::json::JsonError;

/// How long the whole matrix may take: a live run of ninety trials takes half an hour.
const DEADLINE: Duration = Duration::from_secs(3 * 60 * 60);
/// How long the harness has to end what it started.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// What the harness is run with.
#[derive(Debug)]
pub struct Options<'a> {
    /// The harness; none for `cargo test --test compat`.
    pub program: Option<&'a Path>,
    pub project: &'a Path,
    pub environment: &'a Environment,
    pub base_url: &'a str,
    pub key: &'a Secret,
    pub claude: &'a Path,
    /// Where the provider simulator behind the gateway is, and its control key; none in a live run.
    pub simulator: Option<(&'a str, &'a Secret)>,
    /// What the harness does not know and must not show if a gateway tells it: the providers' credentials.
    pub secrets: Vec<Secret>,
    pub results: &'a Path,
    pub log: &'a Path,
    pub run: RunId,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file cannot be written or read.
    #[error("cannot use `{}`: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("the harness did not end within {} minutes; its output is in `{}`", DEADLINE.as_secs() / 60, log.display())]
    TimedOut { log: PathBuf },
    #[error("the harness broke ({ended}); its output is in `{}`, at its end:\n{tail}", log.display())]
    Broken {
        ended: Ended,
        log: PathBuf,
        tail: String,
    },
    /// What it wrote is no results file.
    #[error("`{}` has no results: {reason}", path.display())]
    Results { path: PathBuf, reason: JsonError },
}

/// Runs the matrix; `told` hears each line that the harness prints.
pub async fn run(
    options: &Options<'_>,
    told: impl Fn(&str) + Clone + Send + 'static,
) -> Result<Results, RunError> {
    let of_file = |path: &Path| {
        let path = path.to_owned();
        move |source| RunError::File { path, source }
    };
    // What an earlier run left must not be taken for this one's.
    match std::fs::remove_file(options.results) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(of_file(options.results)(error));
        }
        _ => {}
    }
    let file = File::create(options.log).map_err(of_file(options.log))?;
    let output = Arc::new(Mutex::new((file, Vec::new())));
    let sink = Arc::clone(&output);
    let secrets = options.all_secrets();
    let mut service = Service::start(launch(options), move |_, line| {
        let text = redacted(&line.text, &secrets);
        told(&text);
        let mut output = sink.lock();
        // A log that cannot be written is no reason to stop the run.
        let _ = writeln!(output.0, "{text}");
        output.1.push(text);
        if output.1.len() > 20 {
            output.1.remove(0);
        }
    })?;
    let ended = timeout(DEADLINE, service.ended()).await;
    service.stop(STOP_PATIENCE).await?;
    let Ok(ended) = ended else {
        return Err(RunError::TimedOut {
            log: options.log.to_owned(),
        });
    };
    let ended = ended?;
    if !matches!(ended.code, Some(0 | FAILED | NOT_JUDGED)) {
        let output = output.lock();
        return Err(RunError::Broken {
            ended,
            log: options.log.to_owned(),
            tail: output.1.join("\n"),
        });
    }
    let written = std::fs::read_to_string(options.results).map_err(of_file(options.results))?;
    let text = redacted(&written, &options.all_secrets());
    if text != written {
        atomic_write::write(options.results, &text).map_err(of_file(options.results))?;
    }
    Results::parse(&text).map_err(|reason| RunError::Results {
        path: options.results.to_owned(),
        reason,
    })
}

impl Options<'_> {
    fn all_secrets(&self) -> Vec<Secret> {
        let of_simulator = self.simulator.map(|(_, key)| key);
        let own = std::iter::once(self.key).chain(of_simulator).cloned();
        own.chain(self.secrets.iter().cloned()).collect()
    }
}

/// A gateway may repeat a credential in an error, and a harness its environment.
fn redacted(text: &str, secrets: &[Secret]) -> String {
    secrets
        .iter()
        .map(Secret::expose)
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"))
}

/// The harness's exit status where a trial failed.
const FAILED: i32 = 101;
/// The harness's exit status where trials could not be judged.
const NOT_JUDGED: i32 = 102;

fn launch(options: &Options) -> Launch {
    let launch = match options.program {
        Some(program) => Launch::new(program, ProcessTag::run(options.run)),
        None => Launch::new("cargo", ProcessTag::run(options.run))
            .arguments(["test", "--locked", "--test", "compat"]),
    };
    let mut variables: Vec<(&str, OsString)> = vec![
        (env::CARGO_MANIFEST_DIR, options.project.into()),
        (env::LITELLM_PROXY_BASE_URL, options.base_url.into()),
        (env::LITELLM_PROXY_API_KEY, options.key.expose().into()),
        (env::COMPAT_CLAUDE, options.claude.into()),
        (env::COMPAT_RESULTS_PATH, options.results.into()),
    ];
    if let Some((url, key)) = options.simulator {
        variables.push((env::COMPAT_PROVIDER_URL, url.into()));
        variables.push((env::COMPAT_PROVIDER_CONTROL_KEY, key.expose().into()));
    }
    launch
        .environment(options.environment.for_harness())
        .environment(variables)
        .directory(options.project)
}
