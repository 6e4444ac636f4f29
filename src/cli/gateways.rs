//! `compat gateways`: the catalogue of gateways.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::print::{TextOrJson, output_json, output_wrapped};
use super::project::{InvalidFiles, RootFlag};
use crate::catalogue::Install;
use crate::env::Environment;
use crate::files::Project;
use crate::findings::GatewayDescription;
use crate::process::RunId;
use crate::progress;
use crate::text::counted;
use crate::toolchain::{Installer, Lock, lock};

/// List the gateways that `--gateway` knows
///
/// Reads `gateways/` and `toolchain/`; starts and installs nothing. For each gateway it prints the source, the pinned version and
/// whether that is installed. Then come the columns that it serves, its configurations (`--config`) and what it needs. Last are
/// what it lacks, with the reason, and the number of its known findings.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  compat gateways\n  compat gateways --format json")]
pub struct Arguments {
    /// How to print it
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    format: TextOrJson,
    #[command(flatten)]
    root: RootFlag,
}

/// A gateway as the command prints it.
#[derive(Serialize)]
struct ListedGateway {
    name: String,
    title: String,
    /// `npm`, `PyPI`, `tool`, `built in`, or `attached` if it cannot be started from here.
    kind: &'static str,
    version: Option<String>,
    installed: bool,
    /// What a run starts beside it.
    needs: Vec<&'static str>,
    columns: Vec<String>,
    configurations: Vec<ListedConfiguration>,
    lacks: Vec<ListedLack>,
    known_findings: usize,
}

/// A value of `--config` beside `default`.
#[derive(Serialize)]
struct ListedConfiguration {
    name: String,
    about: String,
}

#[derive(Serialize)]
struct ListedLack {
    what: String,
    reason: String,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let root = arguments.root.find()?;
    let project = arguments.root.open()?;
    let progress = progress::on_standard_error();
    let installer = Installer::new(Environment::from_process(), RunId::mint(), &*progress)?;
    let lock = Lock::read(&root.join(lock::FOLDER))?;
    let mut listed = Vec::new();
    for name in project.gateways() {
        let description = project.gateway(&name).map_err(InvalidFiles)?;
        listed.push(ListedGateway::new(
            &name,
            &description,
            &project,
            &installer,
            &lock,
        )?);
    }
    if arguments.format == TextOrJson::Json {
        output_json(&listed)?;
        return Ok(ExitCode::SUCCESS);
    }
    for gateway in &listed {
        output_wrapped(&gateway.text());
    }
    Ok(ExitCode::SUCCESS)
}

impl ListedGateway {
    fn new(
        name: &str,
        description: &GatewayDescription,
        project: &Project,
        installer: &Installer<'_>,
        lock: &Lock,
    ) -> anyhow::Result<Self> {
        let providers = project.manifest.providers.iter();
        let columns = providers.filter(|provider| !description.lacks.lacks_column(provider));
        let names = |names: Vec<&str>| names.join(", ");
        let lacks = description.lacks.0.iter().map(|lack| {
            let columns = lack.providers.iter().flatten().map(|name| name.as_str());
            let rows = lack.features.iter().flatten().map(|name| name.as_str());
            let (columns, rows) = (names(columns.collect()), names(rows.collect()));
            ListedLack {
                what: match (columns.is_empty(), rows.is_empty()) {
                    (false, true) => columns,
                    (true, _) => rows,
                    (false, false) => format!("{rows} on {columns}"),
                },
                reason: lack.reason.clone(),
            }
        });
        let needs = description.entry.iter().flat_map(|entry| &entry.needs);
        let install = description.entry.as_ref().map(|entry| &entry.install);
        let (version, installed) = match install {
            None => (None, false),
            Some(Install::BuiltIn(_)) => (Some(env!("CARGO_PKG_VERSION").to_owned()), true),
            Some(install) => {
                let folder = project.root.join(lock::FOLDER);
                let entry = installer.pinned_entry(name, install, &folder, lock)?;
                let is_installed = entry.as_ref().is_some_and(|entry| entry.installed().is_some());
                (entry.map(|entry| entry.version), is_installed)
            }
        };
        Ok(Self {
            name: name.to_owned(),
            title: description.known.gateway.clone(),
            kind: install.map_or("attached", Install::kind),
            version,
            installed,
            needs: needs.map(|need| need.as_str()).collect(),
            columns: columns.map(|provider| provider.as_str().to_owned()).collect(),
            configurations: description
                .configurations
                .0
                .iter()
                .map(|one| ListedConfiguration {
                    name: one.name.clone(),
                    about: one.about.clone(),
                })
                .collect(),
            lacks: lacks.collect(),
            known_findings: description.known.findings.len(),
        })
    }

    fn text(&self) -> String {
        let version = self.version.as_deref().unwrap_or("no pinned version");
        let installed = if self.installed {
            "installed"
        } else {
            "not installed"
        };
        let mut lines = vec![
            format!(
                "{}  {} ({}), {version}, {installed}, {}",
                self.name,
                self.title,
                self.kind,
                counted(self.known_findings, "known finding")
            ),
            format!("    columns: {}", self.columns.join(", ")),
        ];
        let configurations = self.configurations.iter();
        lines.extend(configurations.map(|one| format!("    --config {}: {}", one.name, one.about)));
        if !self.needs.is_empty() {
            lines.push(format!("    needs: {}", self.needs.join("; ")));
        }
        let lacks = self.lacks.iter();
        lines.extend(lacks.map(|lack| format!("    lacks {}: {}", lack.what, lack.reason)));
        lines.join("\n")
    }
}
