//! Runs the whole matrix: the harness as a separate process, against a gateway that already runs.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::write;
use crate::files::run_folders;
use crate::process::{Launch, Service};
use crate::results::{Results, junit};
use crate::wire::secrets::Secrets;

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
pub struct Harness<'a> {
    pub launch: Launch,
    /// The file that the harness writes.
    pub results: &'a Path,
    /// The project, in whose folder of kept runs the harness writes the results too.
    pub project: &'a Path,
    /// The file for its output.
    pub log: &'a Path,
    /// The secrets to remove from both: the gateway may repeat a credential in an error, the harness its environment.
    pub secrets: Secrets,
}

impl Harness<'_> {
    /// Runs the matrix; `relay` gets each line of the harness's output.
    pub async fn run(self, relay: impl Fn(&str) + Clone + Send + 'static) -> anyhow::Result<Results> {
        let (results, log) = (self.results.display(), self.log.display());
        // The results of an earlier run must not count as this run's.
        match std::fs::remove_file(self.results) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                bail!("cannot remove `{results}`: {error}")
            }
            _ => {}
        }
        let file = File::create(self.log).with_context(|| format!("cannot write `{log}`"))?;
        let output = Arc::new(Mutex::new((file, Vec::new())));
        let sink = Arc::clone(&output);
        let secrets = self.secrets.clone();
        let mut service = Service::start(self.launch, move |_, line| {
            let text = secrets.removed(&line.text).into_owned();
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
        read_results(self.results, self.project, &self.secrets)
    }
}

/// Reads the results and removes `secrets` from their file, and from the results and JUnit of the kept run.
fn read_results(file: &Path, project: &Path, secrets: &Secrets) -> anyhow::Result<Results> {
    let path = file.display();
    let written = std::fs::read_to_string(file).with_context(|| format!("cannot read `{path}`"))?;
    let mut results = Results::parse(&written).with_context(|| format!("`{path}` has no results"))?;
    if secrets.are_in(&written) {
        secrets.remove_from(&mut results)?;
        write(file, &results.to_text())?;
        if let Some(name) = &results.run.name {
            let folder = project.join(run_folders::folder(name));
            write(&folder.join(run_folders::RESULTS), &results.to_text())?;
            write(&folder.join(run_folders::JUNIT), &junit::to_xml(&results))?;
        }
    }
    Ok(results)
}
