//! The session that the trials of a run share: the provider simulator, the gateway in front of it, and the `claude` to run.
//!
//! It starts once, with the first trial that needs it, and stops everything that it started. It judges nothing.

mod boot;
mod confinement;
mod machine;
pub mod pacing;
pub mod daemon;
pub mod preflight;
mod recorded;
mod slowdowns;
pub mod schedule;

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::cells::limits::Limits;
use crate::claude::{Endpoint, Invocation};
use crate::clock::WaitClock;
use crate::env::{Environment, Secret, Variables};
use crate::evidence::{Behind, Evidence};
use crate::files::project::PROXY_CONFIG;
use crate::findings::Versions;
use crate::gateway::{self, GatewayKind, RunningGateway, WantedTools};
use crate::http;
use crate::ids::{ProviderId, TrialKey, TrialName};
use crate::isolation::IsolationLevel;
use crate::outcome::WITHOUT_FLAG;
use crate::process::{Cage, CpuWaits, RunId};
use crate::progress::ProgressSink;
use crate::provider::{Provider, Simulator};
use crate::relay::{GatewayLogin, Mutation, Relay, TRIAL_PREFIX};
use crate::wire::Route;
use crate::wire::client_format::{ClientFormat, PASS_THROUGH};
use crate::wire::secrets::Secrets;
pub use boot::own_claude;
use boot::{Backend, RunGuard};
pub use confinement::WantedIsolation;
use daemon::DaemonUse;
use pacing::Pacing;
use recorded::Ambiguous;
pub use recorded::Recorded;
use schedule::{ProviderPace, Schedule, SlotHandle};
use slowdowns::Slowdowns;

/// Claude Code wants a region for Bedrock; the gateway has its own.
const UNUSED_REGION: &str = "us-east-1";

#[derive(Debug)]
pub struct SessionOptions {
    /// The environment of this process, read once.
    pub environment: Environment,
    /// The project's root, with `proxy_config.yaml` and `toolchain/`.
    pub root: PathBuf,
    /// Whether mutants are applied. The gateway then has a relay behind it too, so the run must start the gateway.
    pub mutants: bool,
    pub wanted: WantedTools,
    /// The API in which `claude` calls the gateway.
    pub client_format: ClientFormat,
    pub daemon: DaemonUse,
    /// The executable to use as the watchdog and the keeper; its `main` calls
    /// [`crate::process::run_hidden_mode_if_asked`]. `None` for the program that runs now.
    pub watchdog: Option<PathBuf>,
    pub isolation: WantedIsolation,
    /// The limits of the providers, for a live run.
    pub limits: Limits,
    /// The number of parts of the run that share the limits.
    pub shares: usize,
    /// Whether a live run records the requests of Claude Code too. A simulated one always does.
    pub records: bool,
}

pub struct Session {
    /// `None` in a live run.
    pub provider: Option<Provider>,
    pub gateway: RunningGateway,
    /// The gateway's version, if it is known.
    pub gateway_version: Option<String>,
    /// The gateway's configuration, unless it is the usual one.
    pub configuration: Option<String>,
    /// The relay in front of the gateway. It knows the gateway's credential, and `claude` does not.
    pub front: Relay,
    /// The relay between gateway and provider.
    pub back: Option<Relay>,
    pub claude: PathBuf,
    /// `None` if `claude` is not the pinned one and does not report a version.
    pub claude_version: Option<String>,
    /// Its flags, if it is another version than the pinned one.
    claude_flags: Option<BTreeSet<String>>,
    pub run: RunId,
    /// The executable of the watchdog, the keeper and the servers of tools.
    pub own_program: PathBuf,
    /// The cage of every `claude`.
    pub cage: Option<Arc<Cage>>,
    /// The part of the environment that every child gets.
    pub inherited: Variables,
    pub schedule: Arc<Schedule>,
    pacing: Pacing,
    records: bool,
    /// Whether a reply of this live run came from a simulator.
    met_simulator: AtomicBool,
    pub client_format: ClientFormat,
    /// Sends the cells' direct requests. All trials share it, because a new client reads the system's certificates.
    pub client: reqwest::Client,
    /// The values that no evidence and no report may contain.
    pub secrets: Secrets,
    /// The running trials, each with the route to its provider.
    running: Mutex<HashMap<TrialKey, Option<Route>>>,
    ambiguous: Ambiguous,
    /// When the gateway, the relays and the simulator waited for a CPU. `None` in a live run, which compares no times.
    cpu_waits: Option<CpuWaits>,
    guard: RunGuard,
    /// Keeps the daemon, if the session uses one.
    lease: Option<File>,
}

impl Session {
    /// Starts all parts that the run needs and reports slow steps to `progress`. An error contains no secret.
    pub async fn start(options: &SessionOptions, progress: &dyn ProgressSink) -> anyhow::Result<Self> {
        let secrets = secrets_of_project(&options.environment, &options.root);
        let started = Self::start_with(&secrets, options, progress).await;
        started.map_err(|error| Secrets::new(secrets).removed_from_error(error))
    }

    async fn start_with(
        known: &[String],
        options: &SessionOptions,
        progress: &dyn ProgressSink,
    ) -> anyhow::Result<Self> {
        let run = RunId::mint();
        let guard = RunGuard::start(run, options.watchdog.as_deref())?;
        let ((claude, claude_version), backend) = tokio::try_join!(
            boot::claude_program(options, run, progress),
            boot::backend(options, run, guard.scratch(), progress)
        )?;
        let claude_flags = boot::claude_flags(options, run, &claude).await?;
        let Backend {
            provider,
            back,
            gateway,
            version: gateway_version,
            lease,
        } = backend;
        if let (Some(provider), false) = (&provider, matches!(gateway.kind, GatewayKind::Absent)) {
            provider.watch(gateway.key.expose()).await?;
        }
        let mut secrets = known.to_vec();
        secrets.extend(provider.iter().flat_map(Provider::secrets));
        secrets.push(gateway.key.expose().to_owned());
        secrets.extend(options.wanted.headers.iter().map(|(_, value)| value.clone()));
        let front = Relay::start_guarded(&gateway.base_url).await?;
        let cage = confinement::cage(options, front.base_url())?;
        let shared = match gateway.is_attached() {
            true => gateway.base_url.as_str().into(),
            // Each run has another port.
            false => options.root.to_string_lossy(),
        };
        let slowdowns = Slowdowns::of(&options.environment, &shared);
        let own_program = options.watchdog.clone().map_or_else(std::env::current_exe, Ok)?;
        Ok(Self {
            pacing: Pacing::new(options.limits.clone(), options.shares, slowdowns),
            records: options.records,
            met_simulator: AtomicBool::new(false),
            schedule: Schedule::new(cores(), pace(options.mutants, provider.as_ref())),
            cpu_waits: provider.is_some().then(|| cpu_waits(&gateway)),
            provider,
            front,
            back,
            gateway_version,
            configuration: options.wanted.configuration.as_ref().map(|one| one.name.clone()),
            gateway,
            claude,
            own_program,
            claude_version,
            claude_flags,
            run,
            client_format: options.client_format,
            inherited: options.environment.inherited(),
            client: http::client(),
            secrets: Secrets::new(secrets),
            cage,
            running: Mutex::default(),
            ambiguous: Ambiguous::default(),
            guard,
            lease,
        })
    }

    /// Why this Claude Code cannot run a cell with these `flags`, if it has not all of them.
    pub fn lacks(&self, flags: &[String]) -> Option<String> {
        let missing = Invocation::missing_flag(flags, self.claude_flags.as_ref()?)?;
        let version = self.claude_version.as_deref().unwrap_or("of this run");
        Some(format!("{WITHOUT_FLAG} {version} does not name `{missing}`."))
    }

    /// Whether Claude Code is a version that the run asks for, and not the pinned one.
    pub fn has_other_claude(&self) -> bool {
        self.claude_flags.is_some()
    }

    /// How strongly each `claude` is confined.
    pub fn isolation(&self) -> IsolationLevel {
        self.cage
            .as_ref()
            .map_or(IsolationLevel::None, |cage| cage.level())
    }

    /// The versions of gateway and Claude Code, as far as they are known.
    pub fn versions(&self) -> Versions<'_> {
        Versions {
            gateway: self.gateway_version.as_deref(),
            claude_code: self.claude_version.as_deref(),
            configuration: self.configuration.as_deref(),
            client_format: self.client_format,
        }
    }

    pub fn behind(&self) -> Behind {
        match self.provider {
            Some(_) => Behind::Simulated,
            None => Behind::Live,
        }
    }

    pub fn meet_simulator(&self) {
        self.met_simulator.store(true, Ordering::Relaxed);
    }

    /// Whether a simulator stands behind the gateway of a live run.
    pub fn has_met_simulator(&self) -> bool {
        let is_live = self.behind() == Behind::Live;
        self.met_simulator.load(Ordering::Relaxed) || (is_live && self.front.has_met_simulator())
    }

    /// From now on `progress` gets a line when a request waits long for a limit.
    pub fn report_waits(&self, progress: &Arc<dyn ProgressSink>) {
        self.pacing.report_waits(progress);
    }

    /// What the limits of the providers cost.
    pub fn pacing_reports(&self) -> Vec<String> {
        self.pacing.reports()
    }

    /// Whether there is a gateway between `claude` and the provider.
    pub fn has_gateway(&self) -> bool {
        !matches!(self.gateway.kind, GatewayKind::Absent)
    }

    /// The base URL for requests to the gateway.
    pub fn entrance(&self) -> &str {
        self.front.base_url()
    }

    /// A token that opens the entrance for a trial's own requests, until [`Session::take`].
    pub fn token(&self, key: TrialKey) -> Secret {
        let route = self.running.lock().get(&key).copied().flatten();
        let column = route.map(|route| ProviderId::new(route.as_str()));
        let client = &self.gateway.client;
        let login = GatewayLogin {
            credential: self.gateway.key.clone(),
            header: client.key,
            further: client.of(column.as_ref()),
        };
        self.front.admit(key, login)
    }

    /// The tokens of a trial, until [`Session::take`]. Its evidence must not contain them.
    pub fn tokens(&self, key: TrialKey) -> Secrets {
        let tokens = self.front.tokens(key);
        Secrets::new(tokens.iter().map(Secret::expose))
    }

    /// The entrance for one trial. Not every request of `claude` contains the key: its request for the list of models does not.
    fn entrance_of(&self, key: TrialKey) -> String {
        format!("{}{TRIAL_PREFIX}{key}", self.entrance())
    }

    /// How the `claude` of a trial reaches Anthropic with a subscription. `None` without a simulator that makes one.
    pub fn subscription(&self, key: TrialKey) -> Option<Endpoint> {
        let oauth_token = self.provider.as_ref()?.oauth_token()?;
        Some(Endpoint::Subscription {
            base_url: self.entrance_of(key),
            oauth_token: self.front.admit(key, Secret::new(oauth_token)),
            token: self.token(key),
        })
    }

    /// How the `claude` of a trial reaches `provider`: through the gateway, or in the provider's own protocol if there is
    /// none. Its token is the trial's own.
    pub fn endpoint(&self, key: TrialKey, provider: &ProviderId) -> Endpoint {
        let route = Route::called(provider.as_str());
        if let (false, Some(Provider::Embedded(simulator))) = (self.has_gateway(), &self.provider)
            && let Some(endpoint) = self.endpoint_of_provider(key, route, simulator)
        {
            return endpoint;
        }
        let (base_url, token) = (self.entrance_of(key), self.token(key));
        match (self.client_format, route) {
            (ClientFormat::Passthrough, _) => Endpoint::Gateway {
                base_url: base_url + PASS_THROUGH,
                token,
            },
            (ClientFormat::Provider, Some(Route::Azure)) => Endpoint::Foundry { base_url, key: token },
            (ClientFormat::Provider, Some(Route::BedrockMantle)) => Endpoint::Mantle {
                base_url,
                region: UNUSED_REGION.to_owned(),
                token,
            },
            (ClientFormat::Provider, Some(Route::BedrockInvoke)) => Endpoint::Bedrock {
                base_url: format!("{base_url}/bedrock"),
                region: UNUSED_REGION.to_owned(),
                token,
            },
            (ClientFormat::Provider, Some(Route::VertexAi)) => Endpoint::Vertex {
                base_url: format!("{base_url}/vertex_ai/v1"),
                region: "global".to_owned(),
                project: "project".to_owned(),
                token,
            },
            _ => Endpoint::Gateway { base_url, token },
        }
    }

    /// The endpoint of a provider's own protocol, without a gateway. `None` if it is the Messages API, or if Claude Code does
    /// not have the protocol.
    fn endpoint_of_provider(
        &self,
        key: TrialKey,
        route: Option<Route>,
        simulator: &Simulator,
    ) -> Option<Endpoint> {
        let credentials = simulator.credentials();
        let base_url = self.entrance();
        let admit = |credential: &str| self.front.admit(key, Secret::new(credential));
        Some(match route? {
            Route::BedrockInvoke => Endpoint::Bedrock {
                base_url: base_url.to_owned(),
                region: credentials.aws_region.clone(),
                token: admit(&credentials.bedrock_api_key),
            },
            Route::BedrockMantle => Endpoint::Mantle {
                base_url: format!("{base_url}/anthropic"),
                region: credentials.aws_region.clone(),
                token: admit(&credentials.bedrock_api_key),
            },
            Route::Azure => Endpoint::Foundry {
                base_url: format!("{base_url}/anthropic"),
                key: admit(&credentials.azure_api_key),
            },
            Route::VertexAi => Endpoint::Vertex {
                base_url: format!("{base_url}/v1"),
                region: credentials.vertex_location.clone(),
                project: credentials.vertex_project.clone(),
                token: admit(&simulator.access_token()),
            },
            Route::Anthropic | Route::BedrockConverse => return None,
        })
    }

    /// Whether both sides of the gateway can be compared for `provider`.
    pub fn is_compared(&self, provider: &ProviderId) -> bool {
        self.has_gateway() && self.client_format.is_messages_api(provider)
    }

    /// Registers a trial at the relays. The front relay delays each reply until the trial has a slot. The exchanges of a live run
    /// are not judged: its relay passes them at the pace of the provider, and records them for a cassette only. `waits` counts the
    /// time.
    pub fn register(
        &self,
        key: TrialKey,
        name: &TrialName,
        mutation: Option<&Arc<Mutation>>,
        slot: &SlotHandle,
        waits: &Arc<WaitClock>,
    ) {
        let provider = &name.cell.provider;
        self.running.lock().insert(key, Route::called(provider.as_str()));
        let front = (self.behind() == Behind::Simulated).then_some(&self.front);
        if front.is_none() {
            let pace = self.pacing.hold(provider, &name.tier, waits);
            self.front.register_paced(key, pace, self.records);
        }
        for relay in [front, self.back.as_ref()].into_iter().flatten() {
            let slot = slot.clone();
            let hold = move || {
                let slot = slot.clone();
                Box::pin(async move { slot.reacquire().await }) as _
            };
            relay.register(key, mutation, Some(Arc::new(hold)));
        }
    }

    /// Whether the provider asked the trial's requests to wait for longer than a run waits.
    pub fn is_closed(&self, name: &TrialName) -> bool {
        self.pacing.is_closed(&name.cell.provider, &name.tier)
    }

    /// Fails if `claude` failed because a gateway that this process did not start accepts no connection.
    pub async fn ensure_reached(&self, evidence: Evidence) -> anyhow::Result<Evidence> {
        let failed = evidence.exit.code != Some(0);
        if failed && self.front.refused_connections() > 0 && self.has_gateway() {
            gateway::ensure_answers(&self.gateway.base_url).await?;
        }
        Ok(evidence)
    }

    /// Serves the network of a trial's confined `claude`, until the future is dropped. The trial's folder is `folder`.
    pub fn door(&self, folder: &Path) -> anyhow::Result<impl Future<Output = Infallible>> {
        confinement::door(self.cage.as_deref(), folder, &self.front)
    }

    /// Starts another watchdog if the run has lost its own.
    pub fn ensure_watchdog(&self) -> anyhow::Result<()> {
        self.guard.ensure_watchdog()
    }

    /// A temporary folder that ends with the session.
    pub fn scratch(&self) -> &Path {
        self.guard.scratch()
    }

    /// Stops everything that the session started, and waits for it.
    pub async fn end(self) {
        self.gateway.stop().await;
        for relay in [Some(self.front), self.back].into_iter().flatten() {
            relay.shutdown().await;
        }
        if let Some(provider) = self.provider {
            provider.shutdown().await;
        }
        drop(self.lease);
        self.guard.end().await;
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

/// The secrets that are known before a session starts: those of the environment and of `proxy_config.yaml`.
pub fn secrets_of_project(environment: &Environment, root: &Path) -> Vec<String> {
    gateway::secrets(environment.variables(), &root.join(PROXY_CONFIG))
}

fn cpu_waits(gateway: &RunningGateway) -> CpuWaits {
    let others = gateway.processes();
    CpuWaits::measure(move || others().into_iter().chain([std::process::id()]).collect())
}

fn pace(mutants: bool, provider: Option<&Provider>) -> ProviderPace {
    match provider {
        // A mutant may delay replies.
        Some(provider) if !mutants && provider.first_byte_delay_ms() == 0 => ProviderPace::Immediate,
        _ => ProviderPace::Thinking,
    }
}

/// The processor cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
