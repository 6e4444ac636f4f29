//! `cargo bench --bench schedule`: compares the harness with a plain process pool.
//!
//! The pool makes the same `claude` calls through the same gateway, at its best width, and reads only what the next prompt
//! needs. The harness is attached to that gateway. Both run with a provider that replies at once, and with one that takes 3 s
//! to its first byte. In the second case no schedule can be faster than the processors' work (the first pool's time), or than
//! the longest trial.

use std::collections::{HashSet, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use compat_matrix::claude::{self, Endpoint, Invocation};
use compat_matrix::env::{self, Environment, Secret};
use compat_matrix::files::Project;
use compat_matrix::gateway::{self, GatewayOptions, GatewayProcess};
use compat_matrix::ids::TrialKey;
use compat_matrix::plan::{Planned, PlannedTrial};
use compat_matrix::process::RunId;
use compat_matrix::progress;
use compat_matrix::provider::{self, Simulator};
use compat_matrix::results::Results;
use compat_matrix::toolchain::{Installer, Lock, lock};
use compat_matrix::wire::script::{Reply, Script};
use nix::sys::resource::{UsageWho, getrusage};
use uuid::Uuid;

/// Milliseconds to the first byte of the slow provider.
const SLOW: u64 = 3000;
/// The number of rounds; in each, the best pools and the harness run in turn. Times are compared within a round, because a
/// machine's speed drifts within minutes. An odd number has a median.
const ROUNDS: usize = 3;

fn main() -> anyhow::Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let project = Project::open(&root)
        .ok()
        .context("run `compat check`: the project cannot be read")?;
    let plan: Vec<Box<PlannedTrial>> = project
        .trials()
        .iter()
        .filter_map(|trial| match project.plan(None, trial) {
            Planned::Run(run) => Some(run),
            _ => None,
        })
        .collect();
    let harness = build_harness(&root)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let cores = std::thread::available_parallelism()?.get();

    println!("{} trials on {cores} cores\n", plan.len());
    println!("provider    what                    wall s   CPU s of claude and harness");
    let quick = runtime.block_on(Bench::start(&root, 0))?;
    let slow = runtime.block_on(Bench::start(&root, SLOW))?;
    quick.warm_up(&plan, cores)?;
    slow.warm_up(&plan, cores)?;
    let width = quick.best_width(&plan, &[cores, cores + 1, cores * 2])?;
    let slow_width = slow.best_width(&plan, &[cores * 6, cores * 12])?;
    let (mut at_once, mut waiting, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (wall, _) = quick.harness(&harness, &root)?;
        let pool = quick.timed_pool(&plan, width)?;
        at_once.push(ratio(wall, pool));
        let (wall, longest_trial) = slow.harness(&harness, &root)?;
        waiting.push(ratio(wall, pool.max(longest_trial)));
        beside.push(ratio(wall, slow.timed_pool(&plan, slow_width)?));
    }
    runtime.block_on(quick.end());
    runtime.block_on(slow.end());

    println!("\neach round, and the median:");
    print_ratios("at 0 s: harness / pool (aim: at most 1.10)", at_once);
    print_ratios(
        "at 3 s: harness / max(pool at 0 s, longest trial) (aim: at most 1.15)",
        waiting,
    );
    print_ratios("at 3 s: harness / pool at 3 s", beside);
    Ok(())
}

fn ratio(wall: Duration, bound: Duration) -> f64 {
    wall.as_secs_f64() / bound.as_secs_f64()
}

fn print_ratios(what: &str, mut ratios: Vec<f64>) {
    let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "{what}: {}; median {:.2}",
        each.join(", "),
        ratios[ratios.len() / 2]
    );
}

/// Wall-clock time, and processor time of the children that have ended.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    cpu: Duration,
}

fn measured(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Cost> {
    let (cpu, start) = (cpu_of_children()?, Instant::now());
    work()?;
    Ok(Cost {
        wall: start.elapsed(),
        cpu: cpu_of_children()? - cpu,
    })
}

fn cpu_of_children() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64;
    Ok(Duration::from_micros(
        micros(usage.user_time()) + micros(usage.system_time()),
    ))
}

/// A gateway with a simulator behind it, and the `claude` to run.
struct Bench {
    first_byte_delay_ms: u64,
    simulator: Simulator,
    control_key: String,
    gateway: GatewayProcess,
    claude: PathBuf,
    environment: Environment,
    run: RunId,
    scratch: tempfile::TempDir,
}

impl Bench {
    async fn start(root: &Path, first_byte_delay_ms: u64) -> anyhow::Result<Self> {
        let environment = Environment::from_process();
        let run = RunId::mint();
        let scratch = tempfile::tempdir()?;
        let progress = progress::on_standard_error();
        let installer = Installer::new(environment.clone(), run, progress.as_ref())?;
        let lock = Lock::read(&root.join(lock::FOLDER))?;
        let claude = installer.ensure_claude(&lock.claude).await?;
        let litellm = installer.ensure_litellm(&lock.litellm, &lock.uv).await?;
        let control_key = provider::new_control_key()
            .ok()
            .context("cannot make a control key")?;
        let simulator = Simulator::start(provider::SimulatorOptions {
            first_byte_delay_ms,
            control_key: Some(control_key.clone()),
            ..provider::SimulatorOptions::default()
        })
        .await?;
        let options = GatewayOptions {
            config: &root.join("proxy_config.yaml"),
            folder: &scratch.path().join("gateway"),
            environment: &environment,
            providers: simulator.credentials().for_gateway(simulator.base_url()),
            run,
        };
        let gateway = gateway::start_litellm(&options, &litellm).await?;
        Ok(Self {
            first_byte_delay_ms,
            simulator,
            control_key,
            gateway,
            claude,
            environment,
            run,
            scratch,
        })
    }

    async fn end(self) {
        self.gateway.stop().await;
        self.simulator.shutdown().await;
    }

    /// The width of the fastest pool.
    fn best_width(&self, plan: &[Box<PlannedTrial>], widths: &[usize]) -> anyhow::Result<usize> {
        let mut best = (Duration::MAX, 0);
        for &width in widths {
            best = best.min((self.timed_pool(plan, width)?, width));
        }
        Ok(best.1)
    }

    fn timed_pool(&self, plan: &[Box<PlannedTrial>], width: usize) -> anyhow::Result<Duration> {
        let cost = measured(|| self.pool(plan.iter().map(Box::as_ref), width))?;
        self.print_row(&format!("pool of {width}"), cost);
        Ok(cost.wall)
    }

    fn print_row(&self, what: &str, cost: Cost) {
        println!(
            "{:<11} {what:<22} {:>7.1} {:>7.1}",
            format!("{} s", self.first_byte_delay_ms / 1000),
            cost.wall.as_secs_f64(),
            cost.cpu.as_secs_f64()
        );
    }

    /// Calls each alias once, so that the measurements do not include the gateway's work for a new model.
    fn warm_up(&self, plan: &[Box<PlannedTrial>], width: usize) -> anyhow::Result<()> {
        let mut aliases = HashSet::new();
        let first = plan
            .iter()
            .map(Box::as_ref)
            .filter(|run| aliases.insert(&run.alias));
        self.pool(first, width)
    }

    /// Runs all trials with `width` threads, each of which runs one process at a time.
    fn pool<'a>(&self, plan: impl IntoIterator<Item = &'a PlannedTrial>, width: usize) -> anyhow::Result<()> {
        let queue: VecDeque<Invocation> = plan.into_iter().map(|run| self.invocation(run)).collect();
        let queue = Arc::new(Mutex::new(queue));
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..width)
                .map(|_| {
                    scope.spawn(|| {
                        while let Some(invocation) = next(&queue) {
                            call(&invocation)?;
                            let _ = self.simulator.take(invocation.key);
                        }
                        anyhow::Ok(())
                    })
                })
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().expect("a thread of the pool panicked"))
        })
    }

    fn invocation(&self, run: &PlannedTrial) -> Invocation {
        let key = TrialKey(Uuid::new_v4());
        let test = run.test();
        self.simulator.register(key, without_lockstep(&test.script));
        Invocation {
            program: self.claude.clone(),
            run: self.run,
            key,
            model: run.alias.clone(),
            prompts: test.prompts.clone(),
            workspace: test.workspace.clone(),
            mcp_program: "compat".into(),
            flags: test.flags.clone(),
            variables: test.env.clone(),
            endpoint: Endpoint::Gateway {
                base_url: self.gateway.base_url().to_owned(),
                token: Secret::new(self.gateway.key().expose()),
            },
            folder: self.scratch.path().join(key.0.simple().to_string()),
            inherited: self.environment.inherited(),
            deadline: Duration::from_secs(test.timeout_seconds),
            waits: Default::default(),
            cage: None,
            expects_failures: false,
        }
    }

    /// The time of the attached harness for all trials, and of its longest trial.
    fn harness(&self, harness: &Path, root: &Path) -> anyhow::Result<(Duration, Duration)> {
        let results = self.scratch.path().join("results.json");
        let cost = measured(|| {
            let status = Command::new(harness)
                .current_dir(root)
                .env(env::LITELLM_PROXY_BASE_URL, self.gateway.base_url())
                .env(env::LITELLM_PROXY_API_KEY, self.gateway.key().expose())
                .env(env::COMPAT_PROVIDER_URL, self.simulator.base_url())
                .env(env::COMPAT_PROVIDER_CONTROL_KEY, &self.control_key)
                .env(env::COMPAT_RESULTS_PATH, &results)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            ensure!(
                status.success(),
                "trials failed: see test-results/junit.xml ({status})"
            );
            Ok(())
        })?;
        self.print_row("harness", cost);
        let results = Results::parse(&std::fs::read_to_string(results)?)?;
        let longest = results.results.iter().map(|entry| entry.duration_ms).max();
        let longest = Duration::from_millis(longest.unwrap_or_default());
        println!("{:<11} its longest trial      {:>7.1}", "", longest.as_secs_f64());
        Ok((cost.wall, longest))
    }
}

/// The pool does not report shown deltas, so a lockstep stream would time out.
fn without_lockstep(script: &Script) -> Script {
    let mut script = script.clone();
    for reply in &mut script.replies {
        if let Reply::Message(message) = reply {
            message.pace.lockstep = false;
        }
    }
    script
}

fn next(queue: &Mutex<VecDeque<Invocation>>) -> Option<Invocation> {
    queue.lock().expect("no holder panics").pop_front()
}

/// Runs one `claude`. It reads the output only to find the end of each reply, if another prompt follows.
fn call(invocation: &Invocation) -> anyhow::Result<()> {
    claude::prepare(invocation)?;
    let launch = invocation.launch();
    let messages = invocation.stdin_messages();
    let piped = |needed: bool| if needed { Stdio::piped() } else { Stdio::null() };
    let mut child = Command::new(&launch.program)
        .args(&launch.arguments)
        .env_clear()
        .envs(&launch.environment)
        .current_dir(launch.directory.as_deref().unwrap_or(Path::new(".")))
        .stdin(piped(!messages.is_empty()))
        .stdout(piped(!messages.is_empty()))
        .stderr(Stdio::null())
        .spawn()?;
    if let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) {
        let mut lines = BufReader::new(stdout).lines();
        for message in &messages {
            stdin.write_all(message.as_bytes())?;
            for line in lines.by_ref() {
                if line?.contains("\"type\":\"result\"") {
                    break;
                }
            }
        }
        drop(stdin);
        lines.try_for_each(|line| line.map(drop))?;
    }
    let status = child.wait()?;
    ensure!(status.success(), "`claude` ended with {status}");
    Ok(())
}

/// Builds the harness in the users' profile, and returns its path.
fn build_harness(root: &Path) -> anyhow::Result<PathBuf> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .current_dir(root)
        .args(["test", "--test", "compat", "--no-run", "--message-format=json"])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the harness does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "compat" && message["target"]["kind"][0] == "test")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo did not say where the harness is")
}
