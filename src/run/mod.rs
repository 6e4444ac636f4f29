//! A run of the matrix: it selects trials, starts the session, runs and records the trials, and decides the exit status.
//!
//! It knows no test runner and prints nothing: the harness does both.

pub mod bisect;
mod budget;
pub mod campaign;
mod checks;
mod fail_fast;
pub mod choice;
mod gateway_name;
pub mod history;
mod interrupt;
pub mod launch;
mod model_costs;
mod options;
mod orphans;
mod order;
mod pace;
mod place;
mod record;
mod recorder;
mod selected;
mod shared;
mod start;
mod status;
pub mod trial;
pub mod versioned;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::cells::ProxyConfig;
use crate::commands;
use crate::document::{Diagnostic, render};
use crate::env::{self, Environment};
use crate::evidence::Behind;
use crate::files::project::broken_project;
use crate::files::run_folders;
use crate::findings::{KnownFindings, KnownForRun};
use crate::gateway::{CatalogueGateway, WantedTools, WatchedGateway};
use crate::ids::TrialName;
use crate::matrix::baseline::{Baseline, BaselineComparison};
use crate::matrix::{ManifestView, terminal};
use crate::outcome::{Failure, Mismatch, Outcome};
use crate::plan::{Planned, PlannedTrial};
use crate::progress::ProgressSink;
use crate::progress::output::SAME_AS;
use crate::report::{self, Paint};
use crate::results::{Results, RunRecord, TrialRecord, TrialResult, faults};
use crate::session::daemon::DaemonUse;
use crate::session::preflight::PreflightReport;
use crate::session::schedule::Queue;
use crate::session::{Session, SessionOptions, WantedIsolation};
use crate::text::{first_names, printable};
use budget::Budget;
use fail_fast::FailFast;
use gateway_name::{gateway_name, note_unknown_gateway};
pub use options::{RunOptions, dollars, parsed};
pub use order::concurrency;
use order::start_order;
use pace::Pace;
use place::{RunPlace, Wanted};
use record::RunCassette;
use recorder::Recorder;
pub use selected::{SelectedTrials, ensure_known};
use shared::SharedResults;
use start::{
    aliases, compat_program, ensure_same_conditions, executed, executes_nothing, gateway_version,
    mismatch_of_fault, not_applicable, read_baseline, record, wanted_place,
};
pub use status::{BROKEN, FAILED, NO_TRIALS, NOT_JUDGED, RunEnd, TrialEnd};
use status::{REHEARSAL, as_rehearsal, of_results, status_of_verdict, terminal_width, with_level};
use trial::{AFTER_LIMITS, TrialTask, not_run};

/// A run that has started. Its trials may run in parallel.
pub struct MatrixRun {
    options: RunOptions,
    paint: Paint,
    environment: Environment,
    selected: SelectedTrials,
    proxy_config: Option<ProxyConfig>,
    /// The gateway, if it is another one of the catalogue than LiteLLM.
    catalogue: Option<CatalogueGateway>,
    baseline: Option<Baseline>,
    /// What the gateway is known to break.
    known: KnownFindings,
    /// Whether other processes run other trials of this run.
    is_shared: bool,
    daemon: DaemonUse,
    runtime: Runtime,
    /// The first trial that needs it starts it. Its error is the result of all these trials.
    session: OnceLock<anyhow::Result<Session>>,
    /// What the preflight found, of an attached gateway.
    preflight: OnceLock<PreflightReport>,
    /// The money of a live run.
    budget: Option<Budget>,
    fail_fast: Option<FailFast>,
    /// Whether a simulator that answers like a model is known to stand behind the gateway.
    rehearses: AtomicBool,
    queue: Queue,
    recorder: Arc<Recorder>,
    /// Where it keeps what passes on the sides of the gateway.
    cassette: Option<RunCassette>,
    /// The run that this one reruns and merges into.
    rerun: Option<RunRecord>,
    progress: Arc<dyn ProgressSink>,
    pace: Mutex<Pace>,
    /// The trials with the same report, by what they share. Only the first one prints it.
    reported: Mutex<IndexMap<String, Vec<TrialName>>>,
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
        progress: Arc<dyn ProgressSink>,
    ) -> anyhow::Result<Self> {
        let project = &selected.project;
        let gateway = gateway_name(&options, &environment);
        let is_attached = environment.get(env::LITELLM_PROXY_BASE_URL).is_some();
        let entry = gateway.as_deref().filter(|_| !is_attached);
        let catalogue =
            entry.and_then(|name| CatalogueGateway::new(name, &selected.gateway, &project.manifest));
        let mut catalogue = catalogue.filter(|gateway| !gateway.entry.is_litellm());
        let configuration = selected.configuration.as_ref();
        if let (Some(gateway), Some(configuration)) = (&mut catalogue, configuration) {
            gateway.entry = configuration.applied_to(gateway.entry.clone());
        }
        // Another gateway than LiteLLM has its own configuration.
        let proxy_config = match is_attached || catalogue.is_some() {
            false => Some(project.proxy_config_with(configuration).map_err(broken_project)?),
            true => None,
        };
        if let (Some(config), false) = (&proxy_config, options.is_control()) {
            project.ensure_inside(config, &selected.names)?;
        }
        let baseline = options.baseline.as_deref().map(read_baseline).transpose()?;
        if let Some(name) = &gateway {
            note_unknown_gateway(project, name, progress.as_ref())?;
        }
        let known = selected.gateway.known.clone();
        shared::ensure_one_process(&selected.limits(&options), &environment)?;
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
        let mut order = start_order(&selected, proxy_config.as_ref());
        let budget = Budget::of_run(&options, &environment, &selected, &mut order)?;
        let fail_fast = options.fail_fast.then(|| FailFast::of_run(&mut order));
        let mut results = Results::new(
            record(
                &environment,
                &options,
                &selected,
                gateway,
                catalogue.as_ref(),
                proxy_config.as_ref(),
            ),
            Vec::new(),
        );
        let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
        let rerun = selected.rerun.take().filter(|_| !is_shared);
        let mut now = results.run.clone();
        if rerun.is_some() || options.record.is_some() {
            let version = gateway_version(&environment, &options, catalogue.as_ref(), &project.root);
            now.gateway.version = runtime.block_on(version);
        }
        if let Some(earlier) = rerun {
            // The preflight shows what stands behind an attached gateway.
            if earlier.run.rehearsal && now.behind == Behind::Live {
                now.behind = earlier.run.behind;
            }
            ensure_same_conditions(&earlier.run, &now)?;
            results = earlier;
        }
        let rerun = (!results.results.is_empty()).then(|| results.run.clone());
        let cassette = options.record.as_deref();
        let cassette = cassette.map(|folder| -> anyhow::Result<RunCassette> {
            let cassette = RunCassette::start(folder, &now, &environment)?;
            let aliases = aliases(&selected, proxy_config.as_ref());
            let configured = proxy_config.clone().or_else(|| project.proxy_config().ok());
            cassette.name_models(aliases, configured.as_ref(), &project.manifest)?;
            Ok(cassette)
        });
        let cassette = cassette.transpose()?;
        let fresh = run_folders::new_name(chrono::Utc::now());
        let name = match &shared {
            Some(shared) => shared.run_name(&fresh)?,
            None => results.run.name.clone().unwrap_or(fresh),
        };
        let wanted = Wanted {
            root: &project.root,
            results: &selected.results_path,
            run: &name,
            environment: &environment,
        };
        let place = match &options.folder {
            Some(folder) => RunPlace::within(&project.root, folder),
            None if is_shared => wanted.share()?,
            None if executes_nothing(&options, &environment, &selected) => wanted.nowhere(),
            None => wanted.take(progress.as_ref())?,
        };
        results.run.name = options.folder.is_none().then_some(name);
        let recorder = Recorder::start(place, shared, results, &selected.names, options.conditions())?;
        if is_shared {
            // nextest skips these trials, so no process of the run gets them.
            recorder.begin_with(|| not_applicable(&selected, &options));
        }
        let recorder = Arc::new(recorder);
        let pace = Pace::of(executed(&selected, proxy_config.as_ref()));
        let said = (!is_shared).then(|| Arc::clone(&progress));
        runtime.spawn(interrupt::flush_on_signals(Arc::clone(&recorder), said));
        selected.names = order;
        if let Some(budget) = &budget {
            progress.note(&budget.estimate());
        }
        Ok(Self {
            options,
            paint,
            environment,
            selected,
            proxy_config,
            catalogue,
            baseline,
            known,
            is_shared,
            daemon,
            runtime,
            rerun,
            session: OnceLock::new(),
            preflight: OnceLock::new(),
            rehearses: AtomicBool::new(false),
            fail_fast,
            budget,
            cassette,
            queue: Queue::default(),
            recorder,
            progress,
            pace: Mutex::new(pace),
            reported: Mutex::default(),
        })
    }

    /// The file of the results; `None` if no trial is executed, so that the last results stay.
    pub fn results_path(&self) -> Option<PathBuf> {
        self.recorder.place().results()
    }

    /// The trials, in the order in which they start. The position of a trial is its rank.
    pub fn trials(&self) -> &[TrialName] {
        &self.selected.names
    }

    pub fn trial(&self, name: &TrialName, rank: usize) -> TrialEnd {
        let end = self.end_of(name, rank);
        if let Some(fail_fast) = &self.fail_fast {
            fail_fast.ended(name, matches!(end, TrialEnd::Failed(_)));
        }
        end
    }

    fn end_of(&self, name: &TrialName, rank: usize) -> TrialEnd {
        match self.selected.plan(self.proxy_config.as_ref(), name) {
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
        let skips = self.options.no_preflight;
        let report = (self.preflight.get()).filter(|report| !skips || report.is_unanswered);
        if let Some(unusable) = report.and_then(|report| report.unusable.get(alias)) {
            return self.finished(not_run(name, alias, &Outcome::Fail(unusable.failure(alias))));
        }
        let column = self.fail_fast.as_ref();
        let column = column.map_or(Ok(()), |column| column.may_start(name, || ticket.leave()));
        if let Err(failed) = column {
            return TrialEnd::NotStarted(format!("not started: {failed} failed (`--fail-fast`)"));
        }
        let may_start = (self.budget.as_ref()).is_none_or(|budget| budget.reserve(name, || ticket.leave()));
        if !may_start {
            // It stays among the unfinished trials of the results.
            return TrialEnd::NotStarted("not started: the budget ends here (`--max-cost`)".to_owned());
        }
        // Without a gateway or through a pass-through, `claude` needs the provider's name of the model.
        let format = self.options.client_format();
        let is_direct = self.options.is_control() || !format.has_alias(&name.cell.provider);
        let config = self.proxy_config.as_ref();
        let model = config
            .filter(|_| is_direct)
            .and_then(|config| config.model(alias));
        let task = TrialTask {
            name,
            test: planned.test(),
            alias: model.as_deref().unwrap_or(alias),
            root: &self.selected.project.root,
            evidence: &self.recorder.place().folder,
            ticket: &ticket,
            mutation: None,
            known: KnownForRun {
                findings: &self.known,
                versions: session.versions(),
            },
            wanted_place: &wanted_place(config, self.catalogue.as_ref(), session, alias),
            cassette: self.cassette.as_ref(),
            after_limits: &AFTER_LIMITS,
        };
        let affords = |record: &TrialRecord| self.budget.iter().all(|budget| budget.affords_again(record));
        let record = self.runtime.block_on(task.run(session, affords));
        let is_rehearsal = session.has_met_simulator() && self.is_first_of_rehearsal();
        self.finished_with(record, |run, record| {
            if is_rehearsal {
                as_rehearsal(run);
            }
            if let Some(budget) = &self.budget {
                budget.settle(record, run.spent.get_or_insert_default());
            }
        })
    }

    /// Whether this is the first sign that a simulator stands behind the gateway. It is noted once.
    fn is_first_of_rehearsal(&self) -> bool {
        let is_first = !self.rehearses.swap(true, Ordering::Relaxed);
        if is_first {
            self.progress.note(REHEARSAL);
            self.cassette.iter().for_each(RunCassette::mark_as_rehearsal);
        }
        is_first
    }

    fn finished(&self, record: TrialRecord) -> TrialEnd {
        self.finished_with(record, |_, _| {})
    }

    /// Records a trial, and `change` in the same write.
    fn finished_with(
        &self,
        record: TrialRecord,
        change: impl FnOnce(&mut RunRecord, &TrialRecord),
    ) -> TrialEnd {
        let end = match (&record.result, record.failure()) {
            (TrialResult::NotApplicable { reason }, _) => TrialEnd::NotApplicable(reason.clone()),
            (_, Some(failure)) if record.fails_run() => {
                let evidence = record.evidence.as_deref().map(Path::new);
                let (name, flags) = (&record.nodeid, self.recorder.flags());
                let text = report::failure(name, flags, &failure, evidence, self.paint);
                let text = with_level(text, &record);
                TrialEnd::Failed(self.once(&record.nodeid, faults::of_trial(&record, &failure), text))
            }
            (TrialResult::Fail { .. }, _) => {
                TrialEnd::Known(printable(&record.known_in_words().unwrap_or_default()))
            }
            (TrialResult::Pass {}, _) => TrialEnd::Passed,
        };
        self.recorder.add(record, change);
        if !matches!(end, TrialEnd::NotApplicable(_)) {
            self.pass(matches!(end, TrialEnd::Failed(_)));
        }
        end
    }

    /// Counts a trial that was executed, and shows how far the run is.
    fn pass(&self, failed: bool) {
        let mut pace = self.pace.lock();
        pace.finish(failed);
        if !self.is_shared {
            self.progress.trials(Some(&pace.to_line()));
        }
    }

    /// Fails a trial whose cell cannot be read, with the texts of `compat check`.
    fn broken(&self, name: &TrialName, faults: &[Diagnostic]) -> TrialEnd {
        let mismatches = faults.iter().map(mismatch_of_fault).collect();
        let failure = Failure::of_harness("the cell cannot be read", mismatches);
        self.recorder
            .add(not_run(name, "", &Outcome::Fail(failure)), |_, _| {});
        self.pass(true);
        let colour = self.paint == Paint::Ansi;
        let text = render::render(faults, render::Format::Text, colour);
        let check = commands::compat("check");
        let hint = format!("hint: `{check}` checks all files at once and runs nothing\n");
        TrialEnd::Failed(self.once(name, text.clone(), format!("{text}{hint}")))
    }

    /// `text` for the first trial with `fault`, and a reference to that trial for the others.
    fn once(&self, name: &TrialName, fault: String, text: String) -> String {
        let mut reported = self.reported.lock();
        let trials = reported.entry(fault).or_default();
        let first = trials.first().cloned();
        trials.push(name.clone());
        first.map_or(text, |first| format!("{SAME_AS}{first}\n"))
    }

    /// The reports that several trials share, each with its trials.
    fn shared_reports(&self) -> Vec<String> {
        let reported = self.reported.lock();
        let shared = reported.values().filter(|trials| trials.len() > 1);
        let line = |trials: &Vec<TrialName>| {
            let (count, names) = (trials.len(), first_names(trials));
            format!("{count} trials have the report of {}: {names}", trials[0])
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
        // A trial that is rerun keeps its earlier result.
        if self.rerun.is_none() {
            self.recorder
                .add(not_run(name, alias, &Outcome::Fail(failure)), |_, _| {});
        }
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
                wanted: WantedTools {
                    catalogue: self.catalogue.clone(),
                    configuration: self.selected.configuration.clone(),
                    ..self.options.wanted()
                },
                client_format: self.options.client_format(),
                daemon: self.daemon.clone(),
                watchdog: None,
                isolation: WantedIsolation {
                    at_least: self.options.require_isolation,
                    at_most: self.options.isolation,
                },
                records: self.cassette.is_some(),
                limits: self.selected.limits(&self.options),
                shares: self.options.shard.map_or(1, |shard| shard.parts()),
            };
            let start = Session::start(&options, &*self.progress);
            if !self.is_shared {
                self.progress.trials(Some(&self.pace.lock().to_line()));
            }
            let session = self.runtime.block_on(start)?;
            self.pace.lock().start();
            session.report_waits(&self.progress);
            let is_attached = self.environment.get(env::LITELLM_PROXY_BASE_URL).is_some();
            // It also tells whether the run is a rehearsal.
            if is_attached && (!self.options.no_preflight || session.behind() == Behind::Live) {
                self.runtime.block_on(self.preflight(&session));
            }
            let report = self.preflight.get();
            let behind = match report.is_some_and(|report| report.is_rehearsal) {
                true => Behind::Simulated,
                false => session.behind(),
            };
            let is_known = report.is_none_or(|report| !report.is_unanswered);
            if let Err(error) = self.ensure_same_session(&session, is_known.then_some(behind)) {
                self.runtime.block_on(session.end());
                return Err(error);
            }
            if let Some(Err(error)) = self.cassette.as_ref().map(|cassette| cassette.begin(&session)) {
                self.runtime.block_on(session.end());
                return Err(error);
            }
            let is_rehearsal = behind != session.behind() && self.is_first_of_rehearsal();
            self.recorder.update(|run| {
                if is_rehearsal {
                    as_rehearsal(run);
                }
                // Another process of the run, or the run that this one reruns, may have met a simulator.
                run.behind = match run.rehearsal {
                    true => Behind::Simulated,
                    false => behind,
                };
                run.isolation = Some(session.isolation());
                run.gateway.version.clone_from(&session.gateway_version);
                run.claude_code_version.clone_from(&session.claude_version);
            });
            Ok(session)
        })
    }

    /// Fails if this run would merge results of other versions, or of other providers, into the run that it reruns.
    fn ensure_same_session(&self, session: &Session, behind: Option<Behind>) -> anyhow::Result<()> {
        let Some(earlier) = &self.rerun else {
            return Ok(());
        };
        let mut now = earlier.clone();
        now.behind = behind.unwrap_or(earlier.behind);
        now.gateway.version.clone_from(&session.gateway_version);
        now.claude_code_version.clone_from(&session.claude_version);
        ensure_same_conditions(earlier, &now)
    }

    /// Ends the session, and returns the results.
    fn results(mut self) -> anyhow::Result<Results> {
        let results = self.recorder.finish()?;
        if let Some(Ok(session)) = self.session.take() {
            self.runtime.block_on(session.end());
        }
        Ok(results)
    }

    /// Ends the session and compares the results with the baseline. `failed` tells whether a trial failed.
    pub fn end(mut self, failed: bool) -> anyhow::Result<RunEnd> {
        let results = self.recorder.finish()?;
        self.cassette.as_ref().map_or(Ok(()), RunCassette::finish)?;
        if let (Some(name), false) = (&results.run.name, self.is_shared) {
            self.recorder.place().prune(name);
        }
        self.progress.trials(None);
        let session = self.session.get().and_then(|session| session.as_ref().ok());
        let (mut warnings, mut errors) = orphans::reports(session, &self.runtime);
        if let Some(session) = session {
            let watched = session.gateway.watched();
            warnings.extend(watched.into_iter().flat_map(WatchedGateway::reports));
            warnings.extend(session.pacing_reports());
        }
        warnings.extend(self.budget.iter().flat_map(Budget::reports));
        warnings.extend(self.fail_fast.iter().flat_map(FailFast::reports));
        warnings.extend(self.shared_reports());
        errors.extend(self.stale(&results));
        let has_errors = !errors.is_empty();
        warnings.extend(errors);
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
        let is_whole = !self.is_shared && self.rerun.is_none();
        let is_own = |name: &TrialName| is_whole || self.selected.names.contains(name);
        Ok(RunEnd {
            warnings,
            matrix: (!self.is_shared).then(|| terminal::of_run(&manifest, &results, width, paint)),
            status: match broken {
                Some(error) => Err(error.context("no trial could be run")),
                None => self.selected.check_layout().map(|()| match &verdict {
                    _ if has_errors => FAILED,
                    Some(verdict) => status_of_verdict(verdict),
                    None => of_results(failed, &results, is_own),
                }),
            }
            .map(|status| Budget::status(self.budget.as_ref(), status)),
            comparison: verdict.map(|verdict| terminal::of_baseline(&verdict, width, paint)),
        })
    }
}
