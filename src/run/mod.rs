//! A run of the matrix: it selects trials, starts the session, runs and records the trials, and decides the exit status.
//!
//! It knows no test runner and prints nothing: the harness does both.

pub mod campaign;
pub mod choice;
mod gateway_name;
mod interrupt;
mod options;
mod place;
mod recorder;
mod selected;
mod shared;
mod status;
pub mod trial;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::cells::ProxyConfig;
use crate::claude::ClientFormat;
use crate::document::{Diagnostic, render};
use crate::env::{self, Environment};
use crate::evidence::Behind;
use crate::files::project::broken_project;
use crate::findings::{FindingStatus, KnownFindings, KnownForRun};
use crate::ids::TrialName;
use crate::matrix::baseline::{Baseline, BaselineComparison};
use crate::matrix::details::DETAILS;
use crate::matrix::{Details, ManifestView, Matrix, terminal};
use crate::outcome::{Failure, Mismatch, Outcome};
use crate::plan::{Planned, PlannedTrial, selection};
use crate::progress::ProgressSink;
use crate::report::{self, Paint};
use crate::results::faults;
use crate::results::json::JsonError;
use crate::results::stale::{self, StaleFinding};
use crate::results::{GatewayRecord, Results, RunRecord, TrialRecord, TrialResult};
use crate::session::daemon::DaemonUse;
use crate::session::preflight::{self, UnusableAlias};
use crate::session::schedule::Queue;
use crate::session::{Session, SessionOptions, WantedIsolation};
use crate::watch;
use crate::wire::Operation;
use gateway_name::{gateway_name, note_unknown_gateway};
pub use options::RunOptions;
use place::RunPlace;
use recorder::Recorder;
pub use selected::SelectedTrials;
use shared::SharedResults;
use status::{gives_verdict, status, status_of_verdict};
use trial::{TrialTask, not_run};

/// The default number of trials that run at once. Most wait for a provider, which only takes memory (about 250 MB each,
/// measured with Claude Code 2.1.326).
const CONCURRENT: usize = 32;

/// Exit status of a run that could not start, or whose session failed.
pub const BROKEN: u8 = 2;
/// Exit status of a run in which a trial failed.
pub const FAILED: u8 = 101;
/// Exit status of a run in which trials failed, but none because of gateway, feature or Claude Code.
pub const NOT_JUDGED: u8 = 102;

/// A run that has started. Its trials may run in parallel.
pub struct MatrixRun {
    options: RunOptions,
    paint: Paint,
    environment: Environment,
    selected: SelectedTrials,
    proxy_config: Option<ProxyConfig>,
    /// The same for any gateway: the project's file says where an attached gateway's requests are processed too.
    configured: Option<ProxyConfig>,
    baseline: Option<Baseline>,
    /// What the gateway is known to break.
    known: KnownFindings,
    /// Whether other processes run other trials of this run.
    is_shared: bool,
    daemon: DaemonUse,
    runtime: Runtime,
    /// The first trial that needs it starts it. Its error is the result of all these trials.
    session: OnceLock<anyhow::Result<Session>>,
    /// The aliases that failed the preflight.
    unusable: OnceLock<BTreeMap<String, UnusableAlias>>,
    queue: Queue,
    recorder: Arc<Recorder>,
    place: RunPlace,
    progress: Box<dyn ProgressSink>,
    /// The trials with the same report, by what they share. Only the first one prints it.
    reported: Mutex<IndexMap<String, Vec<TrialName>>>,
}
pub enum TrialEnd {
    Passed,
    /// Not applicable, or broken only as known; with the reason.
    Ignored(String),
    /// It has a new finding or could not be judged; with the report.
    Failed(String),
}

/// The texts and the exit status at the end of a run.
pub struct RunEnd {
    pub warnings: Vec<String>,
    /// The matrix; `None` if this process ran only some trials of the run.
    pub matrix: Option<String>,
    pub comparison: Option<String>,
    /// An error if no trial could run, or if the matrix is incomplete.
    pub status: anyhow::Result<u8>,
}

impl MatrixRun {
    /// Reads the remaining files, and replaces the results of the last run. It starts no process. `compat` is the program
    /// that cargo built with the harness; `None` is the one beside this program.
    pub fn start(
        options: RunOptions,
        paint: Paint,
        compat: Option<&'static str>,
        environment: Environment,
        mut selected: SelectedTrials,
        progress: Box<dyn ProgressSink>,
    ) -> anyhow::Result<Self> {
        let project = &selected.project;
        // An attached gateway has its own configuration.
        let proxy_config = match environment.get(env::LITELLM_PROXY_BASE_URL) {
            None => Some(project.proxy_config().map_err(broken_project)?),
            Some(_) => None,
        };
        let configured = proxy_config.clone().or_else(|| project.proxy_config().ok());
        if let (Some(config), false) = (&proxy_config, options.is_control()) {
            project.ensure_inside(config, &selected.names)?;
        }
        let baseline = options.baseline.as_deref().map(read_baseline).transpose()?;
        let gateway = gateway_name(&options, &environment);
        let known = match &gateway {
            Some(name) => {
                note_unknown_gateway(project, name, progress.as_ref())?;
                project.known_findings(name).map_err(broken_project)?
            }
            None => KnownFindings::default(),
        };
        let run = shared::nextest_run(&environment);
        let shared = run
            .map(|run| SharedResults::of(&environment, &project.root, run))
            .transpose()?;
        let is_shared = shared.is_some();
        let daemon = match run {
            _ if options.cold => DaemonUse::Never,
            Some(run) => DaemonUse::Shared {
                program: compat_program(compat)?,
                run: run.to_owned(),
            },
            None => DaemonUse::IfRunning,
        };
        let order = start_order(&selected, proxy_config.as_ref());
        let (root, results) = (&project.root, &selected.results_path);
        let place = match is_shared {
            true => RunPlace::newest(root, results),
            false => RunPlace::take(root, results, &environment, progress.as_ref())?,
        };
        let recorder = Recorder::start(
            place.results.clone(),
            place.junit.clone(),
            shared,
            RunRecord {
                client_format: (options.client_format() != ClientFormat::Messages)
                    .then(|| options.client_format().name().to_owned()),
                ..record(&environment, options.is_control(), gateway, selected.in_scope)
            },
            &selected.names,
        )?;
        let recorder = Arc::new(recorder);
        let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
        runtime.spawn(interrupt::flush_on_signals(Arc::clone(&recorder)));
        selected.names = order;
        Ok(Self {
            options,
            paint,
            environment,
            selected,
            proxy_config,
            configured,
            baseline,
            known,
            is_shared,
            daemon,
            runtime,
            place,
            session: OnceLock::new(),
            unusable: OnceLock::new(),
            queue: Queue::default(),
            recorder,
            progress,
            reported: Mutex::default(),
        })
    }

    /// The file of the results.
    pub fn results_path(&self) -> &Path {
        &self.place.results
    }

    /// The trials, in the order in which they start. The position of a trial is its rank.
    pub fn trials(&self) -> &[TrialName] {
        &self.selected.names
    }

    pub fn trial(&self, name: &TrialName, rank: usize) -> TrialEnd {
        match self.selected.project.plan(self.proxy_config.as_ref(), name) {
            Planned::NotApplicable(reason) => {
                self.finished(not_run(name, "", &Outcome::NotApplicable(reason)))
            }
            Planned::Broken(faults) => self.broken(name, &faults),
            Planned::Run(planned) => self.planned(name, &planned, rank),
        }
    }

    fn planned(&self, name: &TrialName, planned: &PlannedTrial, rank: usize) -> TrialEnd {
        // Before the session: its start releases all waiting trials at once.
        let ticket = self.queue.join(rank);
        let alias = &planned.alias;
        let session = match self.session() {
            Ok(session) => session,
            Err(error) => return self.no_session(name, alias, &format!("{error:#}")),
        };
        if let Some(unusable) = self.unusable.get().and_then(|aliases| aliases.get(alias)) {
            return self.finished(not_run(name, alias, &Outcome::Fail(unusable.failure(alias))));
        }
        // Without a gateway or through a pass-through, `claude` needs the provider's name of the model.
        let format = self.options.client_format();
        let is_direct = self.options.is_control()
            || format == ClientFormat::Passthrough
            || !format.is_messages_api(&name.cell.provider);
        let config = self.proxy_config.as_ref().filter(|_| is_direct);
        let model = config.and_then(|config| config.model(alias));
        let task = TrialTask {
            name,
            test: planned.test(),
            alias: model.as_deref().unwrap_or(alias),
            root: &self.selected.project.root,
            evidence: &self.place.evidence,
            ticket: &ticket,
            mutation: None,
            known: KnownForRun {
                findings: &self.known,
                versions: session.versions(),
            },
            proxy_config: self.configured.as_ref(),
        };
        self.finished(self.runtime.block_on(task.run(session)))
    }

    fn finished(&self, record: TrialRecord) -> TrialEnd {
        let end = match (&record.result, record.failure()) {
            (TrialResult::NotApplicable { reason }, _) => TrialEnd::Ignored(reason.clone()),
            (_, Some(failure)) if record.fails_run() => {
                let evidence = record.evidence.as_deref().map(Path::new);
                let text = report::failure(&record.nodeid, &failure, evidence, self.paint);
                TrialEnd::Failed(self.once(&record.nodeid, faults::of_trial(&record, &failure), text))
            }
            (TrialResult::Fail { .. }, _) => TrialEnd::Ignored(record.known_in_words().unwrap_or_default()),
            (TrialResult::Pass {}, _) => TrialEnd::Passed,
        };
        self.recorder.add(record);
        end
    }

    /// Fails a trial whose cell cannot be read, with the texts of `compat check`.
    fn broken(&self, name: &TrialName, faults: &[Diagnostic]) -> TrialEnd {
        let mismatches = faults.iter().map(mismatch_of_fault).collect();
        let failure = Failure::of_harness("the cell cannot be read", mismatches);
        self.recorder.add(not_run(name, "", &Outcome::Fail(failure)));
        let colour = self.paint == Paint::Ansi;
        let text = render::render(faults, render::Format::Text, colour);
        let hint = "hint: `cargo run -- check` checks all files at once and runs nothing\n";
        TrialEnd::Failed(self.once(name, text.clone(), format!("{text}{hint}")))
    }

    /// `text` for the first trial with `fault`, and a reference to that trial for the others.
    fn once(&self, name: &TrialName, fault: String, text: String) -> String {
        let mut reported = self.reported.lock();
        let trials = reported.entry(fault).or_default();
        let first = trials.first().cloned();
        trials.push(name.clone());
        first.map_or(text, |first| format!("the same as in {first}\n"))
    }

    /// The reports that several trials share, each with its trials.
    fn shared_reports(&self) -> Vec<String> {
        let reported = self.reported.lock();
        let shared = reported.values().filter(|trials| trials.len() > 1);
        let line = |trials: &Vec<TrialName>| {
            let names: Vec<String> = trials.iter().map(ToString::to_string).collect();
            format!(
                "{} trials have the report of {}: {}",
                names.len(),
                names[0],
                names.join(", ")
            )
        };
        shared.map(line).collect()
    }

    /// Fails a trial without a session. The error itself is reported once, at the end of the run.
    fn no_session(&self, name: &TrialName, alias: &str, error: &str) -> TrialEnd {
        let mismatch = Mismatch::of_harness(
            "session",
            "the session could not be started",
            "a gateway that answers, and a `claude` to run",
            error,
        );
        let failure = Failure::of_harness("no trial ran", vec![mismatch]);
        self.recorder.add(not_run(name, alias, &Outcome::Fail(failure)));
        let text = "the session could not be started, so the trial did not run; see the error at the end\n";
        TrialEnd::Failed(self.once(name, error.to_owned(), text.to_owned()))
    }

    /// The session, started if this is the first call.
    fn session(&self) -> &anyhow::Result<Session> {
        self.session.get_or_init(|| {
            let options = SessionOptions {
                environment: self.environment.clone(),
                root: self.selected.project.root.clone(),
                mutants: false,
                control: self.options.is_control(),
                client_format: self.options.client_format(),
                daemon: self.daemon.clone(),
                watchdog: None,
                isolation: WantedIsolation {
                    at_least: self.options.require_isolation,
                    at_most: self.options.isolation,
                },
            };
            let start = Session::start(&options, self.progress.as_ref());
            let session = self.runtime.block_on(start)?;
            let is_attached = self.environment.get(env::LITELLM_PROXY_BASE_URL).is_some();
            if !self.options.no_preflight && is_attached {
                self.runtime.block_on(self.preflight(&session));
            }
            self.recorder.update(|Results { run, .. }| {
                run.behind = session.behind();
                run.isolation = Some(session.isolation());
                run.gateway.version.clone_from(&session.gateway_version);
                run.claude_code_version.clone_from(&session.claude_version);
            });
            Ok(session)
        })
    }

    /// Sends one minimal request to each alias of the run.
    async fn preflight(&self, session: &Session) {
        let project = &self.selected.project;
        let aliases: BTreeSet<String> = (self.trials().iter())
            .filter_map(|name| match project.plan(None, name) {
                Planned::Run(planned) => Some(planned.alias),
                Planned::Broken(_) | Planned::NotApplicable(_) => None,
            })
            .collect();
        let (base_url, key) = (&session.gateway.base_url, &session.gateway.key);
        let unusable = preflight::check(
            base_url,
            key,
            aliases,
            session.provider.as_ref(),
            &session.secrets,
        )
        .await;
        for line in preflight::summary(&unusable) {
            self.progress.note(&line);
        }
        let _ = self.unusable.set(unusable);
    }

    /// Ends the session and compares the results with the baseline. `failed` tells whether a trial failed.
    pub fn end(mut self, failed: bool) -> anyhow::Result<RunEnd> {
        let results = self.recorder.finish()?;
        let mut warnings = self.orphan_warnings();
        if let Some(Ok(session)) = self.session.get()
            && let Some(gateway) = session.gateway.watched()
        {
            warnings.extend(gateway.reports());
        }
        warnings.extend(self.shared_reports());
        let stale = self.stale(&results);
        let is_stale = !stale.is_empty();
        warnings.extend(stale);
        let broken = match self.session.take() {
            Some(Ok(session)) => {
                self.runtime.block_on(session.end());
                None
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        let manifest = &self.selected.project.manifest;
        let manifest = ManifestView::of_part(manifest, self.options.axes.matrix.as_deref());
        let (width, paint) = (terminal_width(), self.paint);
        let verdict =
            (self.baseline.as_ref()).map(|baseline| BaselineComparison::new(baseline, &manifest, &results));
        let verdict = verdict.transpose()?;
        Ok(RunEnd {
            warnings,
            matrix: (!self.is_shared).then(|| terminal::of_run(&manifest, &results, width, paint)),
            status: match broken {
                Some(error) => Err(error.context("no trial could be run")),
                None => self.selected.check_layout().map(|()| match &verdict {
                    _ if is_stale => FAILED,
                    Some(verdict) => status_of_verdict(verdict),
                    None => self.status(failed, &results),
                }),
            },
            comparison: verdict.map(|verdict| terminal::of_baseline(&verdict, width, paint)),
        })
    }

    fn status(&self, failed: bool, results: &Results) -> u8 {
        let is_own = |entry: &&TrialRecord| !self.is_shared || self.selected.names.contains(&entry.nodeid);
        let mut own = results
            .results
            .iter()
            .filter(is_own)
            .filter(|entry| entry.fails_run());
        status(failed, own.any(gives_verdict))
    }

    /// The errors about known findings that no longer show. Of several processes, the one that finishes a column reports it.
    fn stale(&self, results: &Results) -> Vec<String> {
        if self.known.findings.is_empty() || self.options.client_format() != ClientFormat::Messages {
            return Vec::new();
        }
        let project = &self.selected.project;
        let is_own = |stale: &StaleFinding<'_>| {
            self.selected
                .names
                .iter()
                .any(|name| name.cell.provider == stale.provider && stale.tiers.contains(&name.tier))
        };
        stale::stale(results, &self.known, &project.applicable_trials())
            .iter()
            .filter(|stale| !self.is_shared || is_own(stale))
            .map(|stale| format!("error: {stale}"))
            .collect()
    }

    /// Describes the provider's requests that belong to no trial: they lost the trial's key, or the gateway made them.
    fn orphan_warnings(&self) -> Vec<String> {
        let session = self.session.get().and_then(|session| session.as_ref().ok());
        let Some(provider) = session.and_then(|session| session.provider.as_ref()) else {
            return Vec::new();
        };
        // If the provider has ended, the trials report it.
        let orphans = self.runtime.block_on(provider.orphans()).unwrap_or_default();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        // A gateway shares access tokens between trials.
        let unexpected = orphans
            .iter()
            .filter(|orphan| orphan.operation != Operation::OauthToken);
        for orphan in unexpected {
            let (request, status) = (&orphan.request, orphan.reply.status);
            let path = session.map_or(Cow::Borrowed(request.path.as_str()), |session| {
                session.secrets.removed(&request.path)
            });
            let request = format!("{} {path} → {status}", request.method);
            *counts.entry(request).or_default() += 1;
        }
        let warning = |(request, count)| match count {
            1 => format!("the provider received a request that belongs to no trial: {request}"),
            _ => format!("the provider received {count} requests that belong to no trial: {request}"),
        };
        counts.into_iter().map(warning).collect()
    }
}

/// The number of trials that run at once: `asked`, else `RUST_TEST_THREADS`, else 32.
pub fn concurrency(asked: Option<NonZeroUsize>, environment: &Environment) -> anyhow::Result<usize> {
    let variable = env::RUST_TEST_THREADS;
    match (asked, environment.get(variable)) {
        (Some(threads), _) => Ok(threads.get()),
        (None, None) => Ok(CONCURRENT),
        (None, Some(text)) => match text.parse() {
            Ok(threads @ 1..) => Ok(threads),
            _ => anyhow::bail!("`{variable}` is `{text}`, expected a number from 1"),
        },
    }
}

/// First the trials of files that changed after the last results: their author waits. Then the trials with the most replies:
/// a long trial should not start last.
fn start_order(selected: &SelectedTrials, proxy_config: Option<&ProxyConfig>) -> Vec<TrialName> {
    let project = &selected.project;
    let written = selected
        .results_path
        .metadata()
        .and_then(|metadata| metadata.modified());
    let changed = written.map_or_else(
        |_| Vec::new(),
        |time| selection::touched(&watch::changed_since(&project.root, time), selected.names.clone()),
    );
    let replies = |name: &TrialName| match project.plan(proxy_config, name) {
        Planned::Run(planned) => planned.test().script.replies.len(),
        Planned::Broken(_) | Planned::NotApplicable(_) => 0,
    };
    let mut names = selected.names.clone();
    names.sort_by_cached_key(|name| (!changed.contains(name), std::cmp::Reverse(replies(name))));
    names
}

fn record(environment: &Environment, control: bool, name: Option<String>, trials: usize) -> RunRecord {
    let now = chrono::Utc::now();
    let is_attached = environment.get(env::LITELLM_PROXY_BASE_URL).is_some();
    let is_live = is_attached && environment.get(env::COMPAT_PROVIDER_URL).is_none();
    RunRecord {
        behind: if is_live { Behind::Live } else { Behind::Simulated },
        gateway: GatewayRecord {
            kind: match (control, is_attached) {
                (true, _) => "none",
                (false, true) => "attached",
                (false, false) => "litellm",
            }
            .to_owned(),
            name,
            version: None,
        },
        claude_code_version: None,
        isolation: None,
        started_at: now,
        written_at: now,
        trials,
        selected: 0,
        complete: false,
        unfinished: Vec::new(),
        client_format: None,
    }
}

/// The matrix in `file`, and its details if `compatibility-details.json` beside it belongs to it.
fn read_baseline(file: &Path) -> anyhow::Result<Baseline> {
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

fn compat_program(built: Option<&'static str>) -> anyhow::Result<PathBuf> {
    match built {
        Some(program) => Ok(program.into()),
        None => {
            let own = std::env::current_exe().context("cannot find this program")?;
            Ok(own.with_file_name("compat"))
        }
    }
}

fn mismatch_of_fault(fault: &Diagnostic) -> Mismatch {
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

/// The columns of the terminal; 100 if there is none.
fn terminal_width() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}
