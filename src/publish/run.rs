//! Runs the whole matrix: the harness as a separate process, against a gateway that already runs.
//!
//! The only credentials that the harness gets are the gateway's key and, in a rehearsal, the simulator's control key.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::env::{self, Environment, Secret};
use crate::files::atomic_write;
use crate::process::{Launch, ProcessTag, RunId, Service};
use crate::results::Results;

/// A live run of ninety trials takes half an hour.
const DEADLINE: Duration = Duration::from_secs(3 * 60 * 60);
/// The harness ends its own processes in this time.
const STOP_GRACE: Duration = Duration::from_secs(20);
/// The lines of the harness's output that an error shows.
const TAIL: usize = 20;

/// The harness's exit status if a trial failed.
const FAILED: i32 = 101;
/// The harness's exit status if trials could not be judged.
const NOT_JUDGED: i32 = 102;

#[derive(Debug)]
pub struct HarnessOptions<'a> {
    /// The built harness; `None` for `cargo test --test compat`.
    pub program: Option<&'a Path>,
    pub project: &'a Path,
    pub environment: &'a Environment,
    pub base_url: &'a str,
    pub key: &'a Secret,
    pub claude: &'a Path,
    /// Address and control key of the provider simulator behind the gateway; `None` in a live run.
    pub simulator: Option<(&'a str, &'a Secret)>,
    /// The providers' credentials. The harness does not get them, but a gateway may repeat them in an error.
    pub secrets: Vec<Secret>,
    pub results: &'a Path,
    pub log: &'a Path,
    pub run: RunId,
}

/// Runs the matrix; `relay` gets each line of the harness's output.
pub async fn run(
    options: &HarnessOptions<'_>,
    relay: impl Fn(&str) + Clone + Send + 'static,
) -> anyhow::Result<Results> {
    let (results, log) = (options.results.display(), options.log.display());
    // The results of an earlier run must not count as this run's.
    match std::fs::remove_file(options.results) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("cannot remove `{results}`: {error}")
        }
        _ => {}
    }
    let file = File::create(options.log).with_context(|| format!("cannot write `{log}`"))?;
    let output = Arc::new(Mutex::new((file, Vec::new())));
    let sink = Arc::clone(&output);
    let secrets = options.all_secrets();
    let mut service = Service::start(launch(options), move |_, line| {
        let text = redacted(&line.text, &secrets);
        relay(&text);
        let (file, tail) = &mut *sink.lock();
        // A failure to write the log must not stop the run.
        let _ = writeln!(file, "{text}");
        tail.push(text);
        if tail.len() > TAIL {
            tail.remove(0);
        }
    })?;
    let ended = timeout(DEADLINE, service.ended()).await;
    service.stop(STOP_GRACE).await?;
    let Ok(ended) = ended else {
        let minutes = DEADLINE.as_secs() / 60;
        bail!("the harness did not end within {minutes} minutes; its output is in `{log}`");
    };
    let ended = ended?;
    if !matches!(ended.code, Some(0 | FAILED | NOT_JUDGED)) {
        let tail = output.lock().1.join("\n");
        bail!("the harness failed ({ended}); its output is in `{log}`, at its end:\n{tail}");
    }
    read_results(options)
}

/// Reads the results, and removes the secrets from their file.
fn read_results(options: &HarnessOptions) -> anyhow::Result<Results> {
    let path = options.results.display();
    let written =
        std::fs::read_to_string(options.results).with_context(|| format!("cannot read `{path}`"))?;
    let text = redacted(&written, &options.all_secrets());
    if text != written {
        atomic_write::write(options.results, &text).with_context(|| format!("cannot write `{path}`"))?;
    }
    Results::parse(&text).with_context(|| format!("`{path}` has no results"))
}

impl HarnessOptions<'_> {
    fn all_secrets(&self) -> Vec<Secret> {
        let control_key = self.simulator.map(|(_, key)| key);
        let own = std::iter::once(self.key).chain(control_key).cloned();
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

fn launch(options: &HarnessOptions) -> Launch {
    let tag = ProcessTag::run(options.run);
    let launch = match options.program {
        Some(program) => Launch::new(program, tag),
        None => Launch::new("cargo", tag).arguments(["test", "--locked", "--test", "compat"]),
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
