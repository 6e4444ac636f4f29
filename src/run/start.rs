//! What a run reads and decides before its first trial.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::trial::not_run;
use super::{RunOptions, SelectedTrials};
use crate::cells::ProxyConfig;
use crate::document::Diagnostic;
use crate::env::{self, Environment};
use crate::evidence::Behind;
use crate::findings::FindingStatus;
use crate::gateway::{self, CatalogueGateway};
use crate::ids::{TierId, TrialName};
use crate::matrix::baseline::Baseline;
use crate::matrix::details::DETAILS;
use crate::matrix::{Details, Matrix};
use crate::outcome::{Mismatch, Outcome};
use crate::plan::Planned;
use crate::provider::Provider;
use crate::results::json::JsonError;
use crate::results::{GatewayRecord, RunRecord, TrialRecord, merge};
use crate::session::Session;
use crate::toolchain::lock::{self, Lock};
use crate::wire::client_format::ClientFormat;
use crate::wire::place::ProcessingPlace;

/// The records of the trials in the run's scope that are not applicable.
pub(super) fn not_applicable(selected: &SelectedTrials, options: &RunOptions) -> Vec<TrialRecord> {
    let project = &selected.project;
    let scope = options.axes.in_scope(&project.manifest, project.trials());
    let plan = |name: &TrialName| match selected.plan(None, name) {
        Planned::NotApplicable(reason) => Some(not_run(name, "", &Outcome::NotApplicable(reason))),
        Planned::Broken(_) | Planned::Run(_) => None,
    };
    let names = selected.not_applicable(&scope);
    names.iter().filter_map(plan).collect()
}

/// The number of selected trials that are applicable.
pub(super) fn executed(selected: &SelectedTrials, proxy_config: Option<&ProxyConfig>) -> usize {
    let plan = |name: &&TrialName| selected.plan(proxy_config, name);
    let names = selected.names.iter();
    names
        .filter(|name| !matches!(plan(name), Planned::NotApplicable(_)))
        .count()
}

/// Whether no trial is executed: every one is not applicable. A part of a run still writes its results, and so does a run that
/// names their file.
pub(super) fn executes_nothing(
    options: &RunOptions,
    environment: &Environment,
    selected: &SelectedTrials,
) -> bool {
    let is_executed = |name: &TrialName| !matches!(selected.plan(None, name), Planned::NotApplicable(_));
    (options.is_whole() || options.ignored)
        && environment.get_os(env::COMPAT_RESULTS_PATH).is_none()
        && !selected.names.iter().any(is_executed)
}

/// Fails if results of a run like `now` do not belong to the run `earlier`.
pub(super) fn ensure_same_conditions(earlier: &RunRecord, now: &RunRecord) -> anyhow::Result<()> {
    let Some((fact, then, now)) = merge::differing_fact(earlier, now) else {
        return Ok(());
    };
    let name = earlier.name.as_deref().unwrap_or("last");
    anyhow::bail!(
        "`--rerun-failed` merges into the run `{name}`, whose `{fact}` was `{then}` and is now `{now}`: run all trials again, or \
         use `--status fail` for a run of its own"
    )
}

/// The gateway's version, as far as it is known before the session starts. A run that would add to results or recordings of
/// another version then ends before its first trial.
pub(super) async fn gateway_version(
    environment: &Environment,
    options: &RunOptions,
    catalogue: Option<&CatalogueGateway>,
    root: &Path,
) -> Option<String> {
    if let Some(address) = environment.get(env::LITELLM_PROXY_BASE_URL) {
        let key = environment.secret(env::LITELLM_PROXY_API_KEY)?;
        let address = gateway::checked_address(env::LITELLM_PROXY_BASE_URL, address).ok()?;
        return gateway::version_of(&address, &key).await;
    }
    let wanted = options.wanted().gateway.version;
    match (wanted, catalogue) {
        (Some(version), _) => Some(version.as_str().to_owned()),
        (None, None) if !options.is_control() => {
            let lock = Lock::read(&root.join(lock::FOLDER)).ok()?;
            Some(lock.litellm.version)
        }
        (None, _) => None,
    }
}

/// The gateway's alias and the tier of each trial that runs.
pub(super) fn aliases(
    selected: &SelectedTrials,
    proxy_config: Option<&ProxyConfig>,
) -> impl Iterator<Item = (String, TierId)> {
    let names = selected.names.iter();
    names.filter_map(move |name| match selected.plan(proxy_config, name) {
        Planned::Run(planned) => Some((planned.alias, name.tier.clone())),
        Planned::Broken(_) | Planned::NotApplicable(_) => None,
    })
}

/// Where the gateway's configuration has the requests of `alias` processed. Unknown for an attached gateway, whose configuration
/// is another one.
pub(super) fn wanted_place(
    proxy_config: Option<&ProxyConfig>,
    catalogue: Option<&CatalogueGateway>,
    session: &Session,
    alias: &str,
) -> ProcessingPlace {
    let variables = session.provider.as_ref().map(Provider::place);
    let variables = variables.unwrap_or_default();
    match (proxy_config, catalogue) {
        (Some(config), _) => config.place(alias, &variables),
        (None, Some(gateway)) => gateway.place(alias, &variables),
        (None, None) => ProcessingPlace::default(),
    }
}

pub(super) fn record(
    environment: &Environment,
    options: &RunOptions,
    selected: &SelectedTrials,
    gateway: Option<String>,
    catalogue: Option<&CatalogueGateway>,
    proxy_config: Option<&ProxyConfig>,
) -> RunRecord {
    let proxy_config = proxy_config.filter(|_| !options.is_control());
    let now = chrono::Utc::now();
    let is_attached = environment.get(env::LITELLM_PROXY_BASE_URL).is_some();
    let is_live = is_attached && environment.get(env::COMPAT_PROVIDER_URL).is_none();
    let format = options.client_format();
    let mut record = RunRecord {
        name: None,
        rehearsal: false,
        spent: None,
        behind: if is_live { Behind::Live } else { Behind::Simulated },
        gateway: GatewayRecord {
            kind: match (options.is_control(), is_attached) {
                (true, _) => "none",
                (false, true) => "attached",
                (false, false) if catalogue.is_some() => "catalogue",
                (false, false) => "litellm",
            }
            .to_owned(),
            name: gateway,
            version: None,
            configuration: selected.configuration.as_ref().map(|one| one.name.clone()),
            settings: BTreeMap::new(),
            models: catalogue.map_or_else(BTreeMap::new, CatalogueGateway::models_by_alias),
        },
        claude_code_version: None,
        isolation: None,
        started_at: now,
        written_at: now,
        ran_ms: None,
        trials: selected.in_scope,
        selected: 0,
        complete: false,
        unfinished: Vec::new(),
        client_format: (format != ClientFormat::Messages).then(|| format.name().to_owned()),
        left_out: selected.left_out.clone(),
    };
    if let Some(config) = proxy_config {
        record.gateway.configured_by(config, &selected.project.manifest);
    }
    record
}

/// The matrix in `file`, and its details if `compatibility-details.json` beside it belongs to it.
pub(super) fn read_baseline(file: &Path) -> anyhow::Result<Baseline> {
    fn read<T>(file: &Path, what: &str, parse: fn(&str) -> Result<T, JsonError>) -> anyhow::Result<T> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the baseline `{}`", file.display()))?;
        parse(&text).with_context(|| format!("the baseline `{}` is not {what}", file.display()))
    }
    let matrix = read(file, "a matrix", Matrix::parse)?;
    let beside = file.with_file_name(DETAILS);
    let details = match beside.is_file() {
        true => Some(read(&beside, "the details of a matrix", Details::parse)?),
        false => None,
    };
    let details = details.filter(|details| details.belongs_to(&matrix));
    Ok(Baseline { matrix, details })
}

pub(super) fn compat_program(built: Option<&'static str>) -> anyhow::Result<PathBuf> {
    match built {
        Some(program) => Ok(program.into()),
        None => {
            let own = std::env::current_exe().context("cannot find this program")?;
            Ok(own.with_file_name("compat"))
        }
    }
}

/// A fault of a broken cell, as the report of its trials has it.
pub(super) fn mismatch_of_fault(fault: &Diagnostic) -> Mismatch {
    Mismatch {
        expectation: fault.path.clone(),
        clause: None,
        place: Some(fault.place.clone()),
        status: FindingStatus::New,
        summary: fault.message.clone(),
        expected: fault.allowed.clone().unwrap_or_default(),
        actual: fault.found.clone().unwrap_or_default(),
        evidence: None,
    }
}
