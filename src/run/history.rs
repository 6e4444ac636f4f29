//! The results of many versions, from a store of finished trials: only what changed runs again.
//!
//! A record's key is a digest of the gateway's name, version, lock and configuration, Claude Code, the cell, what the manifest and
//! the gateway's file say about it, and this program with its simulator. Each trial is stored when it ends, so a history that was killed continues where it was.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;

use super::versioned::{VersionedRuns, VersionedTool};
use super::{MatrixRun, versioned};
use crate::catalogue::{Configuration, Install, Lacks, OwnTool};
use crate::digest::Sha512;
use crate::files::project::{CELLS, PROXY_CONFIG, broken_project};
use crate::files::{Project, atomic_write};
use crate::findings::{KnownFindings, KnownForRun, Versions};
use crate::gateway::{self, CatalogueGateway, WantedTools};
use crate::ids::{CellId, TrialName};
use crate::matrix::versions::VersionRecords;
use crate::process::{RunId, Watchdog};
use crate::progress::{self, ProgressSink};
use crate::results::{TrialRecord, TrialResult};
use crate::session::{daemon, own_claude};
use crate::toolchain::{self, Cache, Installer, Lock, ToolVersion};

/// The folder of the store in the cache.
const STORE: &str = "history";

/// A history in the making.
pub struct HistoryRun<'a> {
    runs: &'a VersionedRuns,
    project: Project,
    trials: Vec<TrialName>,
    configuration: Option<Configuration>,
    lacks: Lacks,
    known: KnownFindings,
    store: PathBuf,
    /// Set when a trial could not be stored. It is noted once.
    is_unstored: AtomicBool,
}

/// A version whose stored trials were read, and whose other trials are ready to run.
struct Prepared {
    /// The key of each trial, in the order of the trials.
    keys: Vec<PathBuf>,
    stored: Vec<TrialRecord>,
    /// Set if trials are missing.
    run: Option<MatrixRun>,
    gateway: Option<String>,
    claude: Option<String>,
}

/// What all trials of a version depend on, and the versions of gateway and Claude Code.
type Inputs = (String, Option<String>, Option<String>);

/// What identifies the gateway of a version's trials.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct GatewayIdentity {
    name: String,
    version: Option<String>,
    /// The digest of its lock; of this program's source for a part of it; empty for a control run.
    lock: String,
    /// Its entry in the catalogue, with the models that it serves.
    entry: String,
}

impl<'a> HistoryRun<'a> {
    pub fn new(runs: &'a VersionedRuns) -> anyhow::Result<Self> {
        let selected = runs.selected()?;
        anyhow::ensure!(!selected.names.is_empty(), "no trial matches the filters");
        let project = selected.project;
        Ok(Self {
            lacks: selected.gateway.lacks,
            known: selected.gateway.known,
            store: Cache::of(&runs.environment)?.root().join(STORE),
            is_unstored: AtomicBool::new(false),
            trials: selected.names,
            configuration: selected.configuration,
            project,
            runs,
        })
    }

    /// The name of the gateway's configuration; `None` for the usual one.
    pub fn configuration(&self) -> Option<&str> {
        self.configuration.as_ref().map(|one| one.name.as_str())
    }

    pub fn trials(&self) -> usize {
        self.trials.len()
    }

    /// Runs what is not stored, one version after the other. The next version installs and boots meanwhile. `done` gets each
    /// finished version, and how many of its trials ran.
    pub fn run(
        &self,
        versions: &[ToolVersion],
        mut done: impl FnMut(&VersionRecords, usize),
    ) -> Vec<VersionRecords> {
        let mut finished = Vec::new();
        std::thread::scope(|scope| {
            let mut coming = versions.iter();
            let mut prepare = || {
                coming
                    .next()
                    .map(|version| (version, scope.spawn(move || self.prepare(version))))
            };
            let mut next = prepare();
            while let Some((version, preparing)) = next {
                let prepared = preparing.join();
                next = prepare();
                let prepared = prepared.unwrap_or_else(|_| Err(anyhow::anyhow!("the preparation failed")));
                let ran = prepared
                    .as_ref()
                    .ok()
                    .and_then(|prepared| Some(prepared.run.as_ref()?.trials().len()));
                let pair = self.runs.pairs.get(version);
                let pair = pair.and_then(|pair| pair.as_ref().ok().map(ToString::to_string));
                let beside = prepared.as_ref().ok().and_then(|prepared| match self.runs.tool {
                    VersionedTool::Gateway => prepared.claude.clone(),
                    VersionedTool::Claude => prepared.gateway.clone(),
                });
                let records = prepared.and_then(|prepared| self.finish(prepared));
                let records = VersionRecords {
                    version: version.to_string(),
                    beside: beside.or(pair),
                    records: records.map_err(|error| self.why(&error)),
                };
                done(&records, ran.unwrap_or(0));
                finished.push(records);
            }
        });
        finished
    }

    /// Why a version could not be run, in one line without the folders of this machine: a history is published.
    fn why(&self, error: &anyhow::Error) -> String {
        let cache = self.store.parent().unwrap_or(&self.store);
        let root = std::path::absolute(&self.project.root).unwrap_or_default();
        let folders = [cache, &root].map(|folder| format!("{}/", folder.display()));
        let why = versioned::in_short(&format!("{error:#}"));
        folders.iter().fold(why, |why, folder| why.replace(folder, ""))
    }

    /// Installs `version`, reads its stored trials, and boots its gateway if a trial is missing.
    fn prepare(&self, version: &ToolVersion) -> anyhow::Result<Prepared> {
        if let Some(Err(why)) = self.runs.pairs.get(version) {
            anyhow::bail!("{why}");
        }
        // Held until the session has its own, so that the end of another run spares these processes.
        let run = RunId::mint();
        let _watchdog = Watchdog::start(run)?;
        let (inputs, gateway, claude) = self.inputs(version, run)?;
        let keys: Vec<PathBuf> = self.trials.iter().map(|trial| self.key(&inputs, trial)).collect();
        let stored: Vec<TrialRecord> = keys.iter().filter_map(|key| read(key)).collect();
        let missing = |name: &TrialName| !stored.iter().any(|record| record.nodeid == *name);
        let run = match self.trials.iter().any(missing) {
            true => {
                let run = self
                    .runs
                    .start(version, missing, progress::on_standard_error().into())?;
                run.prepare().map_err(anyhow::Error::msg)?;
                Some(run)
            }
            false => None,
        };
        Ok(Prepared {
            keys,
            stored,
            run,
            gateway,
            claude,
        })
    }

    fn finish(&self, prepared: Prepared) -> anyhow::Result<Vec<TrialRecord>> {
        let mut records = prepared.stored;
        if let Some(run) = prepared.run {
            let results = run.run_all(|record| {
                let key = self
                    .trials
                    .iter()
                    .position(|trial| *trial == record.nodeid)
                    .map(|at| &prepared.keys[at]);
                // A trial that is not stored runs again the next time.
                if let Some(key) = key.filter(|_| is_lasting(record))
                    && let Err(error) = write(key, record)
                    && !self.is_unstored.swap(true, Ordering::Relaxed)
                {
                    progress::on_standard_error().note(&format!(
                        "trials are not stored, so they run again the next time: {error:#}"
                    ));
                }
            })?;
            records.extend(results.results);
        }
        let versions = Versions {
            gateway: prepared.gateway.as_deref(),
            claude_code: prepared.claude.as_deref(),
            configuration: self.configuration(),
            ..Versions::default()
        };
        // The declarations may have changed after a trial was stored.
        let known = KnownForRun {
            findings: &self.known,
            versions,
        };
        for record in &mut records {
            for finding in &mut record.findings {
                let (status, declared) = known.status(&finding.subject, &record.nodeid);
                finding.status = status;
                if let Some(declared) = declared {
                    finding.loses.clone_from(&declared.loses);
                }
                finding.known = declared.map(Into::into);
            }
        }
        records.sort_by(|one, other| one.nodeid.cmp(&other.nodeid));
        Ok(records)
    }

    fn inputs(&self, version: &ToolVersion, run: RunId) -> anyhow::Result<Inputs> {
        let progress = progress::on_standard_error();
        let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
        let (gateway, digest, claude) = runtime.block_on(self.pins(version, run, progress.as_ref()))?;
        let config = self.runs.root.join(PROXY_CONFIG);
        let config = gateway::config_files(&config)
            .iter()
            .map(|file| content(file))
            .collect::<Vec<_>>();
        let inputs = json!([gateway, digest, config, self.configuration, daemon::SOURCE]);
        Ok((inputs.to_string(), gateway.version, claude))
    }

    /// The gateway, and digest and version of Claude Code.
    async fn pins(
        &self,
        version: &ToolVersion,
        run: RunId,
        progress: &dyn ProgressSink,
    ) -> anyhow::Result<(GatewayIdentity, String, Option<String>)> {
        let tools = self.runs.tools_at(version);
        let folder = self.runs.root.join(toolchain::lock::FOLDER);
        let lock = Lock::read(&folder)?;
        let installer = Installer::new(self.runs.environment.clone(), run, progress)?;
        let gateway = identity(&installer, &folder, &lock, &self.project, &tools).await?;
        Ok(match own_claude(&self.runs.environment)? {
            Some(program) => {
                let version = toolchain::claude_version(&program, &installer.tools, None).await;
                (gateway, content(&program), version.ok())
            }
            None => {
                let pin = installer.claude_pin(&lock, tools.claude.as_ref()).await?;
                (gateway, json!(pin.sha512).to_string(), Some(pin.version))
            }
        })
    }

    /// The file of a trial's record.
    fn key(&self, inputs: &str, trial: &TrialName) -> PathBuf {
        let tier = self.project.manifest.tier(&trial.tier);
        let provider = &trial.cell.provider;
        let without = tier.and_then(|tier| tier.not_on.iter().find(|(other, _)| other == provider));
        let inputs = json!([
            inputs,
            trial.to_string(),
            tier.map(|tier| [&tier.model, &tier.set]),
            without.map(|(_, reason)| reason),
            self.lacks.reason(&trial.cell),
            self.project.manifest.alias(provider, &trial.tier),
            self.cell_digest(&trial.cell)
        ]);
        let digest = Sha512::of(inputs.to_string().as_bytes()).short();
        self.store
            .join(format!("{trial}-{digest}.json").replace("::", "-"))
    }

    /// A digest of the files that a cell is merged from, and of its attachments.
    fn cell_digest(&self, cell: &CellId) -> String {
        let root = &self.project.root;
        let mut files: Vec<PathBuf> = Project::files_of(cell).map(|file| root.join(file)).to_vec();
        let attachments = std::fs::read_dir(root.join(CELLS).join(cell.feature.as_str()));
        let attachments = attachments
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        let is_cell = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
        files.extend(attachments.filter(|path| path.is_file() && !is_cell(path)));
        files.sort();
        let digests: Vec<String> = files.iter().map(|file| content(file)).collect();
        digests.join("\n")
    }
}

/// Identifies the gateway of `tools`: a published package by its lock, a part of this program by its source.
async fn identity(
    installer: &Installer<'_>,
    folder: &Path,
    lock: &Lock,
    project: &Project,
    tools: &WantedTools,
) -> anyhow::Result<GatewayIdentity> {
    let (name, version) = (tools.gateway.file_name(), tools.gateway.version.as_ref());
    if tools.gateway.is_none() {
        let (lock, entry) = (String::new(), String::new());
        return Ok(GatewayIdentity {
            name,
            version: None,
            lock,
            entry,
        });
    }
    let catalogued = match name == gateway::LITELLM {
        true => None,
        false => {
            let description = project.gateway(&name).map_err(broken_project)?;
            CatalogueGateway::new(&name, &description, &project.manifest)
        }
    };
    let entry = format!("{catalogued:?}");
    let (version, lock) = match catalogued.map(|gateway| gateway.entry.install) {
        None | Some(Install::Tool(OwnTool::Litellm)) => {
            let pin = installer
                .litellm_pin(folder, lock, version, tools.overrides.as_deref())
                .await?;
            (pin.version.clone(), pin.digest().to_string())
        }
        Some(Install::Tool(OwnTool::Claude)) => {
            let pin = installer.claude_pin(lock, version).await?;
            (pin.version, json!(pin.sha512).to_string())
        }
        Some(Install::BuiltIn(_)) => (env!("CARGO_PKG_VERSION").to_owned(), daemon::SOURCE.to_owned()),
        Some(install @ (Install::Npm { .. } | Install::Pypi { .. })) => {
            let pin = installer
                .package_pin(folder, &name, &install, version, lock)
                .await?;
            let pin = pin.with_context(|| format!("the gateway `{name}` has no lock"))?;
            (pin.version().to_owned(), pin.digest().to_string())
        }
    };
    let version = Some(version);
    Ok(GatewayIdentity {
        name,
        version,
        lock,
        entry,
    })
}

/// Whether the result would be the same the next time: a fault of this machine may pass.
fn is_lasting(record: &TrialRecord) -> bool {
    record.cause.is_none_or(|cause| cause.is_judged()) || !matches!(record.result, TrialResult::Fail { .. })
}

/// The digest of a file, or nothing if there is no file.
fn content(file: &Path) -> String {
    std::fs::read(file).map_or_else(|_| String::new(), |bytes| Sha512::of(&bytes).to_string())
}

fn read(file: &Path) -> Option<TrialRecord> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

fn write(file: &Path, record: &TrialRecord) -> anyhow::Result<()> {
    let text = serde_json::to_string(record)?;
    atomic_write::write(file, &text).with_context(|| format!("cannot write `{}`", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::progress::Silent;

    /// The pinned gateways need no network: their locks are committed.
    #[tokio::test]
    async fn each_gateway_has_its_own_identity() {
        let root = Path::new(".");
        let (folder, project) = (root.join(toolchain::lock::FOLDER), Project::open(root).unwrap());
        let lock = Lock::read(&folder).unwrap();
        let cache = tempfile::tempdir().unwrap();
        let environment = [("HOME", cache.path())].into_iter().collect::<Environment>();
        let installer = Installer::new(environment, RunId::mint(), &Silent).unwrap();
        let of = async |name: &str| {
            let tools = WantedTools {
                gateway: name.parse().unwrap(),
                ..WantedTools::pinned()
            };
            identity(&installer, &folder, &lock, &project, &tools)
                .await
                .unwrap()
        };
        let litellm = of("litellm").await;
        assert_eq!(litellm.version.as_deref(), Some(lock.litellm.version.as_str()));
        let portkey = of("portkey").await;
        let pinned = portkey.version.clone().unwrap();
        assert_eq!(of(&format!("portkey@{pinned}")).await, portkey);
        let transparent = of("transparent").await;
        assert_eq!(transparent.lock, daemon::SOURCE);
        let locks = [
            litellm.lock,
            portkey.lock,
            transparent.lock,
            of("none").await.lock,
        ];
        let different: std::collections::HashSet<&String> = locks.iter().collect();
        assert_eq!(different.len(), locks.len());
    }
}
