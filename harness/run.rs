//! From the command line to the exit status: trials, session, files, matrix.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use compat_matrix::cli::progress;
use compat_matrix::diagnostic;
use compat_matrix::env::{self, Environment};
use compat_matrix::evidence::Behind;
use compat_matrix::ids::TrialName;
use compat_matrix::matrix::baseline::Verdict;
use compat_matrix::matrix::{Matrix, terminal};
use compat_matrix::outcome::{Cause, Failure, Mismatch, Outcome, RunRecord, TrialRecord};
use compat_matrix::plan::selection;
use compat_matrix::plan::{self, Planned};
use compat_matrix::preflight::{self, Finding};
use compat_matrix::report::{self, Paint};
use compat_matrix::results::{Entry, Results};
use compat_matrix::schedule::Line;
use compat_matrix::session::{self, Session, SessionError};
use compat_matrix::spec::fault::Fault;
use compat_matrix::spec::proxy_config::ProxyConfig;
use compat_matrix::spec_files::Project;
use compat_matrix::trial;
use compat_matrix::warm::{Place, SharedRun, Warmth};
use compat_matrix::watch;
use compat_matrix::wire::Operation;
use libtest_mimic::{ColorSetting, Completion, Failed, FormatSetting, Trial};
use once_cell::sync::OnceCell;
use tokio::runtime::Runtime;

use super::arguments::{CommandLine, GatewayChoice, Libtest};
use super::recorder::Recorder;

/// Exit status of a run that could not begin, or whose session broke.
pub const BROKEN: u8 = 2;
/// Exit status of a run in which a trial failed.
const FAILED: u8 = 101;
/// Exit status of a run in which no trial failed by fault of gateway, feature or CLI, but some could not be judged.
const NOT_JUDGED: u8 = 102;

/// Trials that are under way at once, unless `--test-threads` says otherwise: most of them wait for a provider, which
/// costs nothing but memory (about 250 MB each, measured with Claude Code 2.1.326).
const UNDER_WAY: usize = 32;

/// What the trials of a run share.
struct Run {
    project: Project,
    proxy_config: Option<ProxyConfig>,
    environment: Environment,
    runtime: OnceCell<Runtime>,
    /// Started by the first trial that needs it; that it cannot be started is every later trial's answer too.
    session: OnceLock<Result<Session, SessionError>>,
    /// The trials that are to begin.
    line: Line,
    recorder: Recorder,
    paint: Paint,
    /// The matrix of a state that is put up with.
    baseline: Option<Matrix>,
    /// Whether what libtest prints is its long form, which the matrix may follow on standard output.
    is_for_people: bool,
    /// Whether other processes run other trials of the same run: then the matrix is not this one's to show.
    is_one_of_many: bool,
    selected: Vec<TrialName>,
    control: bool,
    /// Which session that is kept warm the run may use.
    warmth: Warmth,
    /// Whether a live run begins without asking each alias.
    no_preflight: bool,
    aliases: Vec<String>,
    /// What is wrong with those that cannot be used; set with the session.
    preflight: OnceLock<BTreeMap<String, Finding>>,
    /// The faults of cells that were told, and of which trial: those of a shared file are each of its trials'.
    told: Mutex<HashMap<String, TrialName>>,
}

pub fn run(command_line: &CommandLine) -> anyhow::Result<ExitCode> {
    let arguments = &command_line.libtest;
    let environment = Environment::from_process();
    let threads = threads(arguments, &environment)?;
    let root = root(&environment)?;
    let project = Project::open(&root).map_err(|faults| broken_project(&faults))?;
    let results_path = environment
        .path(env::COMPAT_RESULTS_PATH)
        .unwrap_or_else(|| root.join("compat-results.json"));
    let all = project.trials();
    let all_trials = all.len();
    let control = command_line.gateway == GatewayChoice::None;
    let mut names = part(command_line, all)?;
    if control && !arguments.list {
        names = of_the_control(&project, names)?;
    }
    let offered = names.len();
    let selected = selected(command_line, &project, &results_path, names)?;
    let mimic = arguments.of_the_selected(threads);
    if arguments.list {
        if selected.is_empty() && !arguments.bench && !arguments.ignored {
            anstream::eprintln!(
                "nothing to list: {}",
                selection::why_nothing(&command_line.names(), &project.trials())
            );
        }
        list(&selected, arguments.logfile.as_deref())?;
        return Ok(ExitCode::SUCCESS);
    }
    if selected.is_empty() && command_line.last().is_set() {
        // The results that say so are left as they are.
        anstream::eprintln!(
            "nothing to run: no trial in `{}` is as asked for",
            results_path.display()
        );
        return Ok(ExitCode::SUCCESS);
    }
    let left_out = offered - selected.len();
    // A part that is empty is a part: whoever puts the parts together looks for its results.
    if selected.is_empty() && command_line.is_whole() {
        let _ = libtest_mimic::run(&mimic, (0..left_out).map(uncounted).collect());
        anstream::eprintln!("{}", nothing_to_run(command_line, &project, &results_path));
        is_whole(&project)?;
        return Ok(ExitCode::SUCCESS);
    }
    // A gateway that already runs has a configuration of its own.
    let proxy_config = match environment.get(env::LITELLM_PROXY_BASE_URL) {
        None => Some(project.proxy_config().map_err(|faults| broken_project(&faults))?),
        Some(_) => None,
    };
    let baseline = command_line.baseline.as_deref().map(baseline).transpose()?;
    let warmth = warmth(command_line, &environment)?;
    let first = changed_since_the_last_run(&root, &results_path, selected.clone());
    let recorder = Recorder::start(
        results_path.clone(),
        root.join("test-results/junit.xml"),
        shared_run(&environment, &root)?,
        &record(&environment, control, all_trials),
        &selected,
    )?;
    let aliases = aliases(&project, &selected);
    let run = Arc::new(Run {
        project,
        proxy_config,
        is_one_of_many: one_of_many(&environment).is_some(),
        environment,
        runtime: OnceCell::new(),
        session: OnceLock::new(),
        line: Line::default(),
        recorder,
        paint: paint(arguments),
        baseline,
        is_for_people: !arguments.quiet
            && !matches!(arguments.format, Some(FormatSetting::Json | FormatSetting::Terse)),
        selected: selected.clone(),
        control,
        warmth,
        no_preflight: command_line.no_preflight,
        aliases,
        preflight: OnceLock::new(),
        told: Mutex::default(),
    });
    let trials = trials(&run, selected, &first, left_out);
    let conclusion = while_somebody_reads(|| libtest_mimic::run(&mimic, trials));
    let run = Arc::into_inner(run).context("a trial is still running")?;
    match conclusion {
        Some(conclusion) => run.end(&results_path, conclusion.has_failed()),
        None => run.end_unread(&results_path),
    }
}

/// libtest-mimic panics when what it prints cannot be written: with one thread at once, with more when they have run all
/// trials. Whoever ran `… | head` has read enough, and is told no panic.
fn while_somebody_reads<T>(run: impl FnOnce() -> T) -> Option<T> {
    fn is_unread(text: Option<&str>) -> bool {
        text.is_some_and(|text| text.contains("BrokenPipe"))
    }
    let printing = std::thread::current().id();
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() != printing || !is_unread(info.payload_as_str()) {
            told(info);
        }
    }));
    match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(done) => Some(done),
        Err(payload) if is_unread(payload.downcast_ref::<String>().map(String::as_str)) => None,
        Err(payload) => panic::resume_unwind(payload),
    }
}

/// The project that cargo runs the harness for, else the one that the working directory is in.
fn root(environment: &Environment) -> anyhow::Result<PathBuf> {
    let start = environment
        .path(env::CARGO_MANIFEST_DIR)
        .map_or_else(std::env::current_dir, Ok)
        .context("there is no working directory")?;
    Project::find_root(&start)
        .with_context(|| format!("no `manifest.yaml` in `{}` or above it", start.display()))
}

/// What this process is to run of all trials.
fn part(command_line: &CommandLine, names: Vec<TrialName>) -> anyhow::Result<Vec<TrialName>> {
    let listed = match &command_line.trials {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the trials in `{}`", file.display()))?;
            selection::listed(&text, names)?
        }
        None => names,
    };
    Ok(match command_line.shard {
        Some(shard) => shard.of(listed),
        None => listed,
    })
}

fn baseline(file: &Path) -> anyhow::Result<Matrix> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the baseline `{}`", file.display()))?;
    Matrix::parse(&text).with_context(|| format!("the baseline `{}` is no matrix", file.display()))
}

fn broken_project(faults: &[Fault]) -> anyhow::Error {
    let rendered = diagnostic::render(faults, diagnostic::Format::Text, false);
    anyhow::anyhow!("the project cannot be read\n\n{}", rendered.trim_end())
}

/// That every file below `cells` is one that some trial finds.
fn is_whole(project: &Project) -> anyhow::Result<()> {
    anyhow::ensure!(
        project.layout_faults.is_empty(),
        "files stand where no trial finds them, so the matrix is not whole\n\n{}",
        diagnostic::render(&project.layout_faults, diagnostic::Format::Text, false).trim_end()
    );
    Ok(())
}

/// The trials that Claude Code can run against the provider simulator itself, of which it says how many that leaves out.
fn of_the_control(project: &Project, names: Vec<TrialName>) -> anyhow::Result<Vec<TrialName>> {
    anyhow::ensure!(
        Environment::from_process()
            .get(env::LITELLM_PROXY_BASE_URL)
            .is_none(),
        "`--gateway none` and `{}` contradict each other",
        env::LITELLM_PROXY_BASE_URL
    );
    let speaks = |name: &TrialName| match name.cell.provider.as_str() {
        "anthropic" => true,
        "bedrock_invoke" | "vertex_ai" => match project.plan(None, name) {
            Planned::Run(planned) => planned.test().direct.is_none(),
            Planned::Broken(_) | Planned::NotApplicable(_) => true,
        },
        _ => false,
    };
    let (kept, left_out): (Vec<TrialName>, Vec<TrialName>) = names.into_iter().partition(speaks);
    anstream::eprintln!(
        "the control leaves out {} trials: Claude Code speaks Messages, Bedrock InvokeModel and Vertex AI, and a cell's \
         direct request Messages alone",
        left_out.len()
    );
    Ok(kept)
}

fn record(environment: &Environment, control: bool, trials: usize) -> RunRecord {
    let now = chrono::Utc::now();
    let attached = environment.get(env::LITELLM_PROXY_BASE_URL).is_some();
    let live = attached && environment.get(env::COMPAT_PROVIDER_URL).is_none();
    RunRecord {
        behind: if live { Behind::Live } else { Behind::Simulated },
        gateway: match (control, attached) {
            (true, _) => "none",
            (false, true) => "attached",
            (false, false) => "litellm",
        }
        .into(),
        gateway_version: None,
        claude_code_version: None,
        started_at: now,
        written_at: now,
        trials,
        selected: 0,
        complete: false,
    }
}

/// What the filters let through of `names`.
fn selected(
    command_line: &CommandLine,
    project: &Project,
    results_path: &Path,
    mut names: Vec<TrialName>,
) -> anyhow::Result<Vec<TrialName>> {
    if command_line.libtest.bench {
        return Ok(Vec::new());
    }
    let (by_name, axes, last) = (
        command_line.names(),
        command_line.axes.clone(),
        command_line.last(),
    );
    axes.check(&project.manifest)?;
    names.retain(|name| by_name.select(name) && axes.select(name));
    if command_line.libtest.ignored {
        let cells = project.not_applicable(names.iter().map(|name| name.cell.clone()));
        names.retain(|name| cells.contains(&name.cell));
    }
    if last.is_set() {
        names = last.select(&last_results(results_path)?, names);
    }
    Ok(names)
}

/// The results that an earlier run left.
fn last_results(path: &Path) -> anyhow::Result<Results> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => anyhow::bail!(
            "there are no results yet to select from: `cargo test --test compat` writes `{}`",
            path.display()
        ),
        read => read.with_context(|| format!("cannot read the last results in `{}`", path.display()))?,
    };
    Results::parse(&text).with_context(|| format!("`{}` holds no results", path.display()))
}

/// Lists the trials as libtest does, a line each; libtest-mimic would panic where nobody reads to the end.
fn list(names: &[TrialName], logfile: Option<&str>) -> anyhow::Result<()> {
    let lines: String = names.iter().map(|name| format!("{name}: test\n")).collect();
    let written = match logfile {
        Some(file) => std::fs::write(file, lines),
        None => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush())
        }
    };
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the list of trials"),
    }
}

/// The gateway's aliases that the selected trials ask for.
fn aliases(project: &Project, selected: &[TrialName]) -> Vec<String> {
    let aliases: BTreeSet<String> = selected
        .iter()
        .filter_map(|name| match project.plan(None, name) {
            Planned::Run(planned) => Some(planned.alias.clone()),
            Planned::Broken(_) | Planned::NotApplicable(_) => None,
        })
        .collect();
    aliases.into_iter().collect()
}

/// Which session that is kept warm the run may use.
fn warmth(command_line: &CommandLine, environment: &Environment) -> anyhow::Result<Warmth> {
    if command_line.cold {
        return Ok(Warmth::Cold);
    }
    Ok(match one_of_many(environment) {
        Some(run) => Warmth::Shared {
            program: compat()?,
            run,
        },
        None => Warmth::IfThere,
    })
}

/// The run that this process is one trial of, where a runner starts a process a trial, as nextest does.
fn one_of_many(environment: &Environment) -> Option<String> {
    let run = environment.get(env::NEXTEST_RUN_ID)?;
    Some(run.to_owned()).filter(|_| environment.get(env::NEXTEST_EXECUTION_MODE) == Some("process-per-test"))
}

/// What the processes of the run share, if there are more than this one.
fn shared_run(environment: &Environment, root: &Path) -> anyhow::Result<Option<SharedRun>> {
    let Some(run) = one_of_many(environment) else {
        return Ok(None);
    };
    let place = Place::of_run(environment, root, &run)?;
    Ok(Some(SharedRun::new(place)?))
}

/// The `compat` that cargo has built with this program.
fn compat() -> anyhow::Result<PathBuf> {
    if let Some(program) = option_env!("CARGO_BIN_EXE_compat") {
        return Ok(program.into());
    }
    let own = std::env::current_exe().context("cannot find this program")?;
    Ok(own.with_file_name("compat"))
}

/// How many trials are under way at once.
fn threads(arguments: &Libtest, environment: &Environment) -> anyhow::Result<usize> {
    if let Some(threads) = arguments.test_threads {
        return Ok(threads.get());
    }
    let Some(text) = environment.get(env::RUST_TEST_THREADS) else {
        return Ok(UNDER_WAY);
    };
    match text.parse() {
        Ok(threads @ 1..) => Ok(threads),
        _ => anyhow::bail!(
            "`{}` is `{text}`, expected a number from 1",
            env::RUST_TEST_THREADS
        ),
    }
}

fn paint(arguments: &Libtest) -> Paint {
    let coloured = match arguments.color {
        Some(ColorSetting::Always) => true,
        Some(ColorSetting::Never) => false,
        Some(ColorSetting::Auto) | None => {
            anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
        }
    };
    if coloured { Paint::Ansi } else { Paint::Plain }
}

/// Those that rest on a file that is younger than the last results: whoever has just changed it waits for them.
fn changed_since_the_last_run(root: &Path, results: &Path, names: Vec<TrialName>) -> HashSet<TrialName> {
    match results.metadata().and_then(|metadata| metadata.modified()) {
        Ok(time) => selection::touched(&watch::changed_since(root, time), names)
            .into_iter()
            .collect(),
        Err(_) => HashSet::new(),
    }
}

/// The trials, `first` those, then those that wait for the most answers: what begins last should not take longest; and as
/// many more as were left out, to be counted.
fn trials(
    run: &Arc<Run>,
    mut names: Vec<TrialName>,
    first: &HashSet<TrialName>,
    left_out: usize,
) -> Vec<Trial> {
    let answers = |name: &TrialName| match run.project.plan(run.proxy_config.as_ref(), name) {
        Planned::Run(planned) => planned.test().script.replies.len(),
        Planned::Broken(_) | Planned::NotApplicable(_) => 0,
    };
    names.sort_by_cached_key(|name| (!first.contains(name), std::cmp::Reverse(answers(name))));
    names
        .into_iter()
        .enumerate()
        .map(|(rank, name)| {
            let run = Arc::clone(run);
            Trial::ignorable_test(name.to_string(), move || run.trial(&name, rank)).with_ignored_flag(true)
        })
        .chain((0..left_out).map(uncounted))
        .collect()
}

/// One that libtest-mimic counts as filtered out.
fn uncounted(_: usize) -> Trial {
    Trial::test("left out", || Ok(()))
}

/// That the filters let nothing through, and why.
fn nothing_to_run(command_line: &CommandLine, project: &Project, results_path: &Path) -> String {
    format!(
        "nothing to run: {}; `{}` is left as it was",
        selection::why_nothing(&command_line.names(), &project.trials()),
        results_path.display()
    )
}

impl Run {
    /// One trial, as libtest-mimic sees it.
    fn trial(&self, name: &TrialName, rank: usize) -> Result<Completion, Failed> {
        let record = match self.project.plan(self.proxy_config.as_ref(), name) {
            Planned::NotApplicable(reason) => not_applicable(name, reason),
            Planned::Broken(faults) => return self.broken(name, &faults),
            Planned::Run(planned) => self.run(name, &planned, rank)?,
        };
        let completion = self.completion(&record);
        self.recorder.add(&record);
        completion
    }

    /// The record of a trial of which there is something to run.
    fn run(
        &self,
        name: &TrialName,
        planned: &plan::PlannedTrial,
        rank: usize,
    ) -> Result<TrialRecord, Failed> {
        // Before the session is awaited, which lets all go at once.
        let standing = self.line.stand(rank);
        let session = self.session().map_err(|error| {
            // Told once, at the end, and not again by each of ninety trials.
            self.recorder.add(&no_session(name, &planned.alias, &error));
            Failed::from("nothing was run: the session could not be started, for the reason at the end")
        })?;
        if self.blocked(&planned.alias).is_some() {
            return Ok(self.blocked_trial(name, &planned.alias));
        }
        let trial = trial::Trial {
            name,
            test: planned.test(),
            alias: self.model(&planned.alias),
            root: &self.project.root,
            standing: &standing,
            mutation: None,
        };
        Ok(match self.runtime() {
            Ok(runtime) => runtime.block_on(trial::run(trial, session)),
            Err(error) => no_session(name, &planned.alias, &error.to_string()),
        })
    }

    /// A trial whose cell cannot be read, told as `compat check` tells it.
    fn broken(&self, name: &TrialName, faults: &[Fault]) -> Result<Completion, Failed> {
        self.recorder.add(&broken(name, faults));
        let colour = self.paint == Paint::Ansi;
        let told = diagnostic::render(faults, diagnostic::Format::Text, colour);
        let mut known = self.told.lock();
        if let Some(first) = known.get(&told) {
            return Err(Failed::from(format!("the cell cannot be read, as of {first}\n")));
        }
        known.insert(told.clone(), name.clone());
        Err(Failed::from(format!(
            "{told}hint: `cargo run -- check` looks at all files at once, without running anything\n"
        )))
    }

    fn completion(&self, record: &TrialRecord) -> Result<Completion, Failed> {
        match &record.outcome {
            Outcome::Pass => Ok(Completion::Completed),
            Outcome::NotApplicable(reason) => Ok(Completion::ignored_with(reason)),
            Outcome::Fail(failure) => Err(Failed::from(report::failure(
                &record.name,
                failure,
                record.evidence.as_deref(),
                self.paint,
            ))),
        }
    }

    /// What the preflight found wrong with an alias.
    fn blocked(&self, alias: &str) -> Option<&Finding> {
        self.preflight.get()?.get(alias)
    }

    fn blocked_trial(&self, name: &TrialName, alias: &str) -> TrialRecord {
        let finding = self.blocked(alias).expect("asked before");
        trial::not_run(name, alias, Outcome::Fail(finding.failure(alias)))
    }

    /// One minimal request to each alias in use, in a live run.
    fn preflight(&self, session: &Session, runtime: &Runtime) {
        if self.no_preflight || session.behind() != Behind::Live {
            return;
        }
        let findings = runtime.block_on(preflight::check(
            session.gateway.base_url(),
            session.gateway.key(),
            self.aliases.clone(),
        ));
        for line in preflight::summary(&findings) {
            anstream::eprintln!("{line}");
        }
        let _ = self.preflight.set(findings);
    }

    /// What to ask for: the gateway's alias, or without a gateway what the provider calls the model.
    fn model<'a>(&'a self, alias: &'a str) -> &'a str {
        let config = self.proxy_config.as_ref().filter(|_| self.control);
        config.and_then(|config| config.model(alias)).unwrap_or(alias)
    }

    fn runtime(&self) -> std::io::Result<&Runtime> {
        self.runtime.get_or_try_init(Runtime::new)
    }

    fn session(&self) -> Result<&Session, String> {
        let runtime = self.runtime().map_err(|error| error.to_string())?;
        let session = self.session.get_or_init(|| {
            let options = session::Options {
                environment: self.environment.clone(),
                root: self.project.root.clone(),
                first_byte_delay_ms: 0,
                relays: session::Relays::default(),
                control: self.control,
                warmth: self.warmth.clone(),
                watchdog: None,
            };
            let progress = progress::on_standard_error();
            let session = runtime.block_on(Session::start(&options, progress.as_ref()));
            if let Ok(session) = &session {
                self.preflight(session, runtime);
                self.recorder.update_run(|run| {
                    run.behind = session.behind();
                    run.gateway.version.clone_from(&session.gateway_version);
                    run.claude_code_version.clone_from(&session.claude_version);
                });
            }
            session
        });
        session.as_ref().map_err(ToString::to_string)
    }

    /// Requests that reached the provider on no trial's behalf: one that lost its marks, or one of the gateway's own.
    fn tell_orphans(&self) {
        let (Some(runtime), Some(Ok(session))) = (self.runtime.get(), self.session.get()) else {
            return;
        };
        let Some(provider) = &session.provider else {
            return;
        };
        // Access tokens are asked for on nobody's behalf; a provider that is gone has been told of elsewhere.
        let orphans = runtime.block_on(provider.orphans()).unwrap_or_default();
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for orphan in orphans
            .iter()
            .filter(|orphan| orphan.operation != Operation::OauthToken)
        {
            let (request, status) = (&orphan.request, orphan.reply.status);
            let told = format!("{} {} → {status}", request.method, request.path);
            *times.entry(told).or_default() += 1;
        }
        for (request, times) in times {
            let often = if times == 1 {
                String::new()
            } else {
                format!(" ({times} times)")
            };
            anstream::eprintln!("a request reached the provider on no trial's behalf: {request}{often}");
        }
    }

    fn show(&self, results: &Results) {
        let manifest = (&self.project.manifest).into();
        let grid = terminal::of_run(&manifest, results, terminal_width(), self.paint);
        if self.is_for_people {
            anstream::println!("{grid}");
        } else {
            anstream::eprintln!("{grid}");
        }
    }

    /// Ends the session, which may be one that could not be started.
    fn close(&mut self) -> anyhow::Result<(Results, Option<SessionError>)> {
        let results = self.recorder.finish()?;
        self.tell_orphans();
        let broken = match std::mem::take(&mut self.session).into_inner() {
            Some(Ok(session)) => {
                if let Some(runtime) = self.runtime.get() {
                    runtime.block_on(session.end());
                }
                None
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        Ok((results, broken))
    }

    /// Ends a run of which nobody has read to the end.
    fn end_unread(mut self, results_path: &Path) -> anyhow::Result<ExitCode> {
        self.close()?;
        anyhow::bail!(
            "nobody reads what the run prints: what it has come to is in `{}` (`--logfile FILE` has it written)",
            results_path.display()
        );
    }

    /// Ends the session, and says what the run came to.
    fn end(mut self, results_path: &Path, failed: bool) -> anyhow::Result<ExitCode> {
        let (results, broken) = self.close()?;
        if !self.is_one_of_many {
            self.show(&results);
            anstream::eprintln!("results: {}", results_path.display());
        }
        if let Some(error) = broken {
            anyhow::bail!("no trial could be run: {error}");
        }
        is_whole(&self.project)?;
        if let Some(baseline) = &self.baseline {
            let verdict = Verdict::new(baseline, &(&self.project.manifest).into(), &results)?;
            anstream::println!("{}", terminal::of_verdict(&verdict, terminal_width(), self.paint));
            return Ok(status_of(&verdict));
        }
        let own = |entry: &&Entry| !self.is_one_of_many || self.selected.contains(&entry.nodeid);
        let causes = results.results.iter().filter(own).filter_map(|entry| entry.cause);
        Ok(status(failed, causes))
    }
}

/// The exit status of a run without a baseline.
fn status(failed: bool, mut causes: impl Iterator<Item = Cause>) -> ExitCode {
    ExitCode::from(match failed {
        false => 0,
        true if causes.any(Cause::is_judged) => FAILED,
        true => NOT_JUDGED,
    })
}

/// The exit status of a run with a baseline: what the baseline puts up with does not count.
fn status_of(verdict: &Verdict) -> ExitCode {
    if verdict.stale.is_empty() {
        let causes = verdict.regressions.iter().flat_map(|change| &change.causes);
        status(!verdict.is_accepted(), causes.copied())
    } else {
        ExitCode::from(FAILED)
    }
}

/// Columns of the terminal; 100 where there is none.
fn terminal_width() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}

fn not_applicable(name: &TrialName, reason: String) -> TrialRecord {
    trial::not_run(name, "", Outcome::NotApplicable(reason))
}

fn broken(name: &TrialName, faults: &[Fault]) -> TrialRecord {
    let mismatches = faults
        .iter()
        .map(|fault| Mismatch {
            expectation: fault.path.clone(),
            clause: None,
            place: Some(fault.place.clone()),
            summary: fault.message.clone(),
            expected: fault.allowed.clone().unwrap_or_default(),
            actual: fault.found.clone().unwrap_or_default(),
            evidence: None,
        })
        .collect();
    trial::not_run(name, "", of_harness("the cell cannot be read", mismatches))
}

fn no_session(name: &TrialName, alias: &str, error: &str) -> TrialRecord {
    let mismatch = Mismatch {
        expectation: "session".into(),
        clause: None,
        place: None,
        summary: "the session could not be started".into(),
        expected: "a gateway that answers, and a `claude` to run".into(),
        actual: error.to_owned(),
        evidence: None,
    };
    trial::not_run(name, alias, of_harness("nothing was run", vec![mismatch]))
}

/// A failure that is no fault of anything that is judged.
fn of_harness(why: &str, mismatches: Vec<Mismatch>) -> Outcome {
    Outcome::Fail(Failure {
        cause: Cause::Harness,
        why: why.to_owned(),
        next: String::new(),
        wire: Vec::new(),
        mismatches,
    })
}
