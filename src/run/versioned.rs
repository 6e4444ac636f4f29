//! Runs the same trials on several versions of a gateway or of Claude Code, without a test runner.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, bail, ensure};

use super::order::CONCURRENT;
use super::{MatrixRun, RunOptions, SelectedTrials, ensure_known};
use crate::catalogue::{Install, OwnTool};
use crate::env::{self, Environment};
use crate::files::Project;
use crate::files::project::{GATEWAYS, broken_project};
use crate::gateway::{self, LITELLM, NO_GATEWAY, WantedGateway, WantedTools};
use crate::ids::TrialName;
use crate::plan::selection::{Axes, Names};
use crate::process::RunId;
use crate::progress::ProgressSink;
use crate::report::Paint;
use crate::results::{Results, TrialRecord};
use crate::toolchain::published::{BY_OVERRIDE, RELEASE_TIME, Releases};
use crate::toolchain::{self, Installer, Lock, ToolVersion};
use crate::versions::published::PublishedVersions;

/// The tool whose versions are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionedTool {
    Gateway,
    Claude,
}

/// An installed version of a gateway.
#[derive(Clone, Debug)]
pub struct InstalledGateway {
    pub folder: PathBuf,
    /// The folder of its own source files, among those of the packages.
    pub package: String,
    /// All its packages, as a file of requirements.
    pub packages: String,
}

/// What all runs share.
#[derive(Clone, Debug)]
pub struct VersionedRuns {
    pub root: PathBuf,
    pub environment: Environment,
    pub tool: VersionedTool,
    /// The tools of all runs, but for the version of `tool`.
    pub tools: WantedTools,
    /// The Claude Code of each version of the gateway, if it is not the same for all, or why there is none.
    pub pairs: BTreeMap<ToolVersion, Result<ToolVersion, String>>,
    /// The gateway's configuration.
    pub config: String,
    pub axes: Axes,
    pub names: Names,
    /// The parent of the folders with results and evidence, one for each version.
    pub folder: PathBuf,
}

impl VersionedRuns {
    /// Fails for an unknown gateway, one without other versions, and if the environment names programs of its own.
    pub fn check(&self) -> anyhow::Result<()> {
        let project = Project::open(&self.root).map_err(broken_project)?;
        ensure_known(&self.tools.gateway, &project.gateways())?;
        for name in [env::LITELLM_PROXY_BASE_URL, env::COMPAT_CLAUDE] {
            ensure!(
                self.environment.get_os(name).is_none()
                    || (name == env::COMPAT_CLAUDE && self.tool == VersionedTool::Gateway),
                "`{name}` names a program of your own, and this command starts published versions: unset the variable"
            );
        }
        if self.tool == VersionedTool::Gateway
            && let Install::BuiltIn(_) = self.install()?
        {
            bail!(
                "`{}` is part of this program, so it has no other version",
                self.tools.gateway.name
            );
        }
        Ok(())
    }

    fn install(&self) -> anyhow::Result<Install> {
        install_of(
            &self.tools.gateway,
            &Project::open(&self.root).map_err(broken_project)?,
        )
    }

    /// What the registries know about the gateway's versions.
    async fn releases(&self, installer: &Installer<'_>) -> anyhow::Result<Releases> {
        let releases = installer.releases(&self.install()?, &self.lock()?).await;
        releases.with_context(|| format!("the versions of `{}` cannot be listed", self.tools.gateway.name))
    }

    /// The tools with `tool` at `version`.
    pub fn tools_at(&self, version: &ToolVersion) -> WantedTools {
        let mut tools = self.tools.clone();
        match self.tool {
            VersionedTool::Gateway => {
                tools.gateway.version = Some(version.clone());
                if let Some(Ok(pair)) = self.pairs.get(version) {
                    tools.claude = Some(pair.clone());
                }
            }
            VersionedTool::Claude => tools.claude = Some(version.clone()),
        }
        tools
    }

    /// The published versions of the tool. Fails if another tool of the runs cannot be installed.
    pub async fn published(&self, progress: &dyn ProgressSink) -> anyhow::Result<PublishedVersions> {
        // With versions of Claude Code, the gateway is the same in all runs.
        let gateway = std::slice::from_ref(&self.tools.gateway);
        let project = Project::open(&self.root).map_err(broken_project)?;
        ensure_published(gateway, &project, &self.environment, progress).await?;
        let installer = Installer::new(self.environment.clone(), RunId::mint(), progress)?;
        let releases = match self.tool {
            VersionedTool::Gateway => self.releases(&installer).await?,
            VersionedTool::Claude => Releases::Npm(installer.claude_package().await?),
        };
        Ok(PublishedVersions::of(&releases))
    }

    /// `wanted`, the oldest first. Fails if one was never published. It asks a registry only if one is not pinned.
    pub async fn named(
        &self,
        wanted: &[ToolVersion],
        progress: &dyn ProgressSink,
    ) -> anyhow::Result<Vec<ToolVersion>> {
        let installer = Installer::new(self.environment.clone(), RunId::mint(), progress)?;
        let (name, install) = match self.tool {
            VersionedTool::Gateway => (self.tools.gateway.file_name(), self.install()?),
            VersionedTool::Claude => (String::new(), Install::Tool(OwnTool::Claude)),
        };
        let lock = self.lock()?;
        let is_pinned = |version: &ToolVersion| installer.is_pinned(&name, &install, version, &lock);
        if !wanted.iter().all(is_pinned) {
            return self.published(progress).await?.named(wanted);
        }
        let mut versions = wanted.to_vec();
        versions.sort_by_cached_key(ToolVersion::order);
        versions.dedup();
        Ok(versions)
    }

    /// Pairs each of `versions` of the gateway with the newest Claude Code of its release day.
    pub async fn pair_contemporary(
        &mut self,
        versions: &[ToolVersion],
        progress: &dyn ProgressSink,
    ) -> anyhow::Result<()> {
        ensure!(
            self.environment.claude().is_none(),
            "`{}` names one Claude Code, and `--pairs` needs several: unset the variable",
            env::COMPAT_CLAUDE
        );
        let installer = Installer::new(self.environment.clone(), RunId::mint(), progress)?;
        let releases = self.releases(&installer).await?;
        let claude = installer.claude_package().await?;
        for version in versions {
            let pair = match releases.published(version.as_str()) {
                None => Err(format!("the registry has no time of publication of {version}")),
                Some(time) => {
                    let published = PublishedVersions::of_claude_by(&claude, time + RELEASE_TIME);
                    let newest = published.last(1).first().cloned();
                    newest.ok_or_else(|| format!("there was no Claude Code when {version} was released"))
                }
            };
            self.pairs.insert(version.clone(), pair);
        }
        Ok(())
    }

    /// The folder of the results and the evidence of `version`.
    pub fn folder_of(&self, version: &ToolVersion) -> PathBuf {
        self.folder.join(version.as_str())
    }

    /// `version` of the gateway. Installs it if it is missing.
    pub async fn installed(
        &self,
        version: &ToolVersion,
        progress: &dyn ProgressSink,
    ) -> anyhow::Result<InstalledGateway> {
        let (tools, lock) = (self.tools_at(version), self.lock()?);
        let installer = Installer::new(self.environment.clone(), RunId::mint(), progress)?;
        let folder = self.root.join(toolchain::lock::FOLDER);
        let (name, install) = (tools.gateway.file_name(), self.install()?);
        if let Install::Npm { package, .. } | Install::Pypi { package, .. } = &install {
            let pin = installer
                .package_pin(&folder, &name, &install, tools.gateway.version.as_ref(), &lock)
                .await?;
            let pin = pin.with_context(|| format!("the gateway `{name}` has no lock"))?;
            let module = package.split('[').next().unwrap_or(package);
            return Ok(InstalledGateway {
                folder: installer.ensure_package(&name, &pin, &lock.uv).await?,
                packages: pin.listing(),
                package: match &install {
                    Install::Npm { .. } => module.to_owned(),
                    _ => module.replace('-', "_"),
                },
            });
        }
        ensure!(
            install == Install::Tool(OwnTool::Litellm),
            "`{name}` is one program, so there are no files to compare"
        );
        let overrides = tools.overrides.as_deref();
        let pin = installer
            .litellm_pin(&folder, &lock, tools.gateway.version.as_ref(), overrides)
            .await?;
        let program = installer.ensure_litellm(&pin, &lock.uv).await?;
        let installed = program.ancestors().nth(2).unwrap_or(Path::new("/"));
        Ok(InstalledGateway {
            folder: installed.to_owned(),
            packages: pin.requirements,
            package: pin.package,
        })
    }

    fn lock(&self) -> anyhow::Result<Lock> {
        Lock::read(&self.root.join(toolchain::lock::FOLDER))
    }

    /// The trials that the filters select.
    pub fn selected(&self) -> anyhow::Result<SelectedTrials> {
        SelectedTrials::in_project(
            &self.options(self.tools.clone(), None),
            &self.environment,
            &self.root,
        )
    }

    /// The same runs without filters: all trials of their set of tiers.
    pub fn without_filters(&self) -> Self {
        let axes = Axes {
            set: self.axes.set.clone(),
            ..Axes::default()
        };
        Self {
            axes,
            names: Names::default(),
            ..self.clone()
        }
    }

    /// A run of those trials of `version` that `keep` accepts. It starts nothing.
    pub fn start(
        &self,
        version: &ToolVersion,
        keep: impl Fn(&TrialName) -> bool,
        progress: Arc<dyn ProgressSink>,
    ) -> anyhow::Result<MatrixRun> {
        let options = self.options(self.tools_at(version), Some(self.folder_of(version)));
        let mut selected = SelectedTrials::in_project(&options, &self.environment, &self.root)?;
        selected.names.retain(keep);
        let environment = self.environment.clone();
        MatrixRun::start(options, Paint::Plain, None, environment, selected, progress)
    }

    fn options(&self, tools: WantedTools, folder: Option<PathBuf>) -> RunOptions {
        RunOptions {
            gateway: tools.gateway,
            claude: tools.claude,
            overrides: tools.overrides,
            config: self.config.clone(),
            axes: self.axes.clone(),
            names: self.names.clone(),
            cold: true,
            folder,
            ..RunOptions::default()
        }
    }
}

/// Where `gateway` comes from. Fails if the project cannot install it.
fn install_of(gateway: &WantedGateway, project: &Project) -> anyhow::Result<Install> {
    let name = gateway.file_name();
    if name == LITELLM {
        return Ok(Install::Tool(OwnTool::Litellm));
    }
    ensure!(
        !gateway.is_none(),
        "`--gateway {NO_GATEWAY}` has no versions: name a gateway, or compare versions of Claude Code with `--claude`"
    );
    let entry = project.gateway(&name).map_err(broken_project)?.entry;
    let entry = entry.with_context(|| {
        format!("`{GATEWAYS}/{name}.yaml` has no `install`, so its versions cannot be installed")
    })?;
    Ok(entry.install)
}

/// The version of `gateway` that the project pins, if it can be installed.
pub fn pinned_version(gateway: &WantedGateway, project: &Project) -> anyhow::Result<Option<String>> {
    let lock = Lock::read(&project.root.join(toolchain::lock::FOLDER))?;
    let install = install_of(gateway, project).ok();
    let version = install
        .as_ref()
        .and_then(|install| toolchain::published::pinned_version(install, &lock));
    Ok(version.map(str::to_owned))
}

/// Fails if one of `gateways` cannot be installed, or never had the wanted version. It asks a registry only about versions that are
/// not pinned.
pub async fn ensure_published(
    gateways: &[WantedGateway],
    project: &Project,
    environment: &Environment,
    progress: &dyn ProgressSink,
) -> anyhow::Result<()> {
    let installer = Installer::new(environment.clone(), RunId::mint(), progress)?;
    for gateway in gateways.iter().filter(|gateway| !gateway.is_none()) {
        let install = install_of(gateway, project)?;
        let Some(version) = &gateway.version else { continue };
        let lock = Lock::read(&project.root.join(toolchain::lock::FOLDER))?;
        if installer.is_pinned(&gateway.file_name(), &install, version, &lock) {
            continue;
        }
        let releases = installer.releases(&install, &lock).await;
        let named = releases
            .and_then(|releases| PublishedVersions::of(&releases).named(std::slice::from_ref(version)));
        named.with_context(|| format!("`{gateway}` cannot be run"))?;
    }
    Ok(())
}

/// The reason why a version cannot be run, in one line: the first exception of a gateway's log, the cause that `uv` gives, or
/// else the first two lines.
pub fn in_short(why: &str) -> String {
    if let Some((head, rest)) = why.split_once(gateway::FIRST_EXCEPTION) {
        let exception = rest.split("\n; the end of `").next().unwrap_or_default();
        return format!("{head}: {}", exception.lines().last().unwrap_or_default().trim());
    }
    let head = why.split("; the end of `").next().unwrap_or_default();
    let mut lines = head.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let second = lines.clone().find_map(|line| line.strip_prefix("cause: "));
    let way_out = lines.clone().find(|line| *line == BY_OVERRIDE);
    let way_out = way_out.map_or_else(String::new, |line| format!("; {line}"));
    let second = second.or(lines.next()).map(|line| line.trim_end_matches('.'));
    second.map_or_else(
        || first.to_owned(),
        |second| format!("{first}: {second}{way_out}"),
    )
}

impl MatrixRun {
    /// Starts the session. Fails as each trial would.
    pub fn prepare(&self) -> Result<(), String> {
        self.session()
            .as_ref()
            .map(drop)
            .map_err(|error| format!("{error:#}"))
    }

    /// Runs all trials and ends the session. `done` gets the record of each finished trial.
    pub fn run_all(self, done: impl Fn(&TrialRecord) + Sync) -> anyhow::Result<Results> {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..CONCURRENT.min(self.trials().len()) {
                scope.spawn(|| {
                    loop {
                        let rank = next.fetch_add(1, Ordering::Relaxed);
                        let Some(name) = self.trials().get(rank) else {
                            break;
                        };
                        self.trial(name, rank);
                        if let Some(record) = self.recorder.record_of(name) {
                            done(&record);
                        }
                    }
                });
            }
        });
        self.results()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_in_short_has_the_first_exception() {
        for (why, expected) in [
            (
                "the gateway ended before it was ready (exit status 1); its first exception:\n  File \"x.py\", line 1\n  ImportError: \
                 no\n; the end of `/tmp/gateway.log`:\n  ModuleNotFoundError: other",
                "the gateway ended before it was ready (exit status 1): ImportError: no",
            ),
            (
                "the gateway was not ready; the end of `/tmp/gateway.log`:\n  INFO",
                "the gateway was not ready",
            ),
            (
                "cannot pin litellm: `uv pip compile` failed: exit status 1\n  no solution",
                "cannot pin litellm: `uv pip compile` failed: exit status 1: no solution",
            ),
            (
                "cannot pin x: `uv pip compile` failed: exit status 1\nerror: No solution found for split (python >= 3.15)\n  \
                 cause: Because there is no version of y==2",
                "cannot pin x: `uv pip compile` failed: exit status 1: Because there is no version of y==2",
            ),
            (
                &format!("cannot pin x: exit status 1\n  no solution found\n{BY_OVERRIDE}"),
                "cannot pin x: exit status 1: no solution found; replace the requirement with `--override FILE` \
                 (docs/versions.md)",
            ),
        ] {
            assert_eq!(in_short(why), expected);
        }
    }
}
