//! The places where secrets appear. Every credential holds a canary; the tests search all processes, logs, artifacts, commits, temporary
//! files, requests and messages for it. Each canary must appear where it is needed, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::process::Command;

use crate::support::MATRIX;
use crate::support::files::files_below;
use crate::support::hub::{Fault, Hub, MATRIX_PATH};
use crate::support::loopback::Server;
use crate::support::machine::{
    CLAUDE, Machine, NPM_CANARY, PROVIDER_CANARY, RESOLVER_CANARY, WEBHOOK_CANARY, fail,
};
use crate::support::ran::Ran;
use crate::support::registry;

/// A line of a service account's key.
const ACCOUNT_CANARY: &str = "canaryACCOUNTcanaryACCOUNTcanaryACCOUNTcanaryACCOUNT";

/// A machine with a canary in every credential, which records all child processes.
struct Watched {
    hub: Hub,
    registry: Server,
    machine: Machine,
}

impl Watched {
    async fn new() -> Self {
        let (hub, registry, machine) = (Hub::start().await, registry::start(CLAUDE).await, Machine::new());
        machine.watch(&hub);
        hub.put("main", MATRIX_PATH, MATRIX);
        let registry_host = registry.address.strip_prefix("http:").unwrap();
        machine.write(
            "home/.npmrc",
            &format!("{registry_host}/:_authToken={NPM_CANARY}\n"),
        );
        machine.results(|results| fail(results, 0, "gateway"));
        Self {
            hub,
            registry,
            machine,
        }
    }

    /// A whole daily run, with a webhook and a summary.
    async fn run(&self) -> Ran {
        Ran::of(&mut self.command()).await
    }

    fn command(&self) -> Command {
        let Self {
            hub,
            registry,
            machine,
        } = self;
        let account = json!({
            "type": "service_account", "client_email": "a@example.org",
            "private_key": format!("-----BEGIN PRIVATE KEY-----\n{ACCOUNT_CANARY}\n-----END PRIVATE KEY-----\n"),
        });
        let webhook = machine.write("webhook", &format!("{}/hook/{WEBHOOK_CANARY}\n", hub.address));
        let mut command = machine.publish_all(hub, registry);
        command
            .env("GITHUB_TOKEN", RESOLVER_CANARY)
            .env("VERTEXAI_CREDENTIALS", account.to_string())
            .args(["--webhook-file", &webhook])
            .args(["--details-path", "static/data/compatibility-details.json"])
            .arg("--summary")
            .arg(machine.path("output/summary.md"));
        command
    }

    /// Every secret by name, in all forms that could appear.
    fn secrets(&self) -> BTreeMap<&'static str, Vec<String>> {
        let state = self.hub.state();
        let basic = |token: &String| STANDARD.encode(format!("x-access-token:{token}"));
        let tokens = state.tokens.iter().map(basic).chain(["canaryTOKEN".to_owned()]);
        let jwts = state.bearers.iter().filter(|bearer| bearer.starts_with("ey"));
        let key = self.hub.private_key();
        let key = key.lines().filter(|line| line.len() > 32).map(str::to_owned);
        BTreeMap::from([
            ("token", tokens.collect()),
            ("jwt", jwts.cloned().collect()),
            ("app key", key.collect()),
            ("webhook", vec![WEBHOOK_CANARY.to_owned()]),
            (
                "provider",
                vec![PROVIDER_CANARY.to_owned(), ACCOUNT_CANARY.to_owned()],
            ),
            ("resolver", vec![RESOLVER_CANARY.to_owned()]),
            ("registry", vec![NPM_CANARY.to_owned()]),
            ("gateway", self.gateway_key().into_iter().collect()),
        ])
    }

    /// The gateway's key, from the environment of its container.
    fn gateway_key(&self) -> Option<String> {
        let seen = self.machine.seen("docker");
        let line = seen
            .lines()
            .find_map(|line| line.strip_prefix("LITELLM_MASTER_KEY="));
        line.map(str::to_owned)
    }

    /// All recorded text, by its place.
    fn places(&self, ran: &Ran) -> BTreeMap<String, String> {
        let messages = json!(self.hub.state().messages).to_string();
        let asked = json!(self.hub.state().mint_bodies).to_string();
        let mut places = BTreeMap::from([
            ("standard output".to_owned(), ran.out.clone()),
            ("standard error".to_owned(), ran.err.clone()),
            ("docs repository".to_owned(), self.hub.everything()),
            ("webhook's message".to_owned(), messages),
            ("API bodies".to_owned(), asked),
        ]);
        for (folder, what) in [
            ("spy", ""),
            ("output", "artifact "),
            ("cache", "cache "),
            ("home", "home "),
        ] {
            for path in files_below(&self.machine.path(folder)) {
                let name = path.file_name().unwrap().to_str().unwrap();
                let name = if folder == "spy" {
                    name.split('.').next().unwrap()
                } else {
                    name
                };
                let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                *places.entry(format!("{what}{name}")).or_default() += &content;
            }
        }
        places
    }

    /// The secrets with the places where they appear.
    fn seen(&self, ran: &Ran) -> BTreeSet<(&'static str, String)> {
        let places = self.places(ran);
        let mut seen = BTreeSet::new();
        for (secret, forms) in self.secrets() {
            let forms: Vec<String> = forms.iter().map(|form| regex::escape(form)).collect();
            // An empty pattern would match everywhere.
            let Some(any) = (!forms.is_empty()).then(|| forms.join("|")) else {
                continue;
            };
            let any = regex::Regex::new(&any).unwrap();
            for (place, content) in &places {
                if any.is_match(content) {
                    seen.insert((secret, place.clone()));
                }
            }
        }
        seen
    }
}

/// The necessary places: the token in git's credential file, the providers' credentials and the gateway's key in the
/// environment of the `docker` client, this key in the harness's environment too, and the registry's token in `.npmrc`.
fn needed() -> BTreeSet<(&'static str, String)> {
    [
        ("token", "token"),
        ("provider", "docker"),
        ("gateway", "docker"),
        ("gateway", "harness"),
        ("registry", "home .npmrc"),
    ]
    .map(|(secret, place)| (secret, place.to_owned()))
    .into()
}

#[tokio::test]
async fn a_secret_appears_only_where_it_is_needed() {
    let watched = Watched::new().await;

    let ran = watched.run().await;

    let (hub, machine) = (&watched.hub, &watched.machine);
    ran.exits(0);
    assert_eq!(hub.commits("main"), 3);
    assert_eq!(hub.state().minted, 1);
    assert_eq!(hub.state().messages.len(), 1);
    let seen: BTreeSet<_> = watched.seen(&ran);
    let environment = watched.places(&ran);
    // `/proc` shows the environments of docker, the gateway and the harness again.
    let in_proc: BTreeSet<_> = seen
        .iter()
        .filter(|(_, place)| place == "proc")
        .map(|(secret, _)| *secret)
        .collect();
    assert!(
        in_proc.is_subset(&BTreeSet::from(["provider", "gateway"])),
        "{in_proc:?}"
    );
    let elsewhere: BTreeSet<_> = seen.into_iter().filter(|(_, place)| place != "proc").collect();
    assert_eq!(elsewhere, needed());
    // Secrets are in environments only, never in an argument.
    for name in ["docker", "harness", "git"] {
        for (secret, forms) in watched.secrets() {
            let arguments = machine.arguments(name);
            assert!(
                !forms.iter().any(|form| arguments.contains(form)),
                "{secret} is an argument of {name}"
            );
        }
    }
    // The recording works: it has git's helpers and configuration, and the credential file's mode.
    assert!(environment["proc"].contains("git-remote-http"));
    assert!(environment["temporary"].contains("[core]"));
    assert!(environment["token"].contains("mode 100600"));
    let bearers = hub.state().bearers.clone();
    assert!(
        bearers.iter().any(|bearer| bearer == RESOLVER_CANARY),
        "GitHub's token was used for the releases"
    );
    let to_registry: Vec<_> = watched
        .registry
        .asked()
        .into_iter()
        .filter_map(|asked| Some(asked.headers.get("authorization")?.to_str().unwrap().to_owned()))
        .collect();
    assert!(to_registry.contains(&format!("Bearer {NPM_CANARY}")));
    machine.until_tidy().await;
}

/// A failure: the expected text in the log, and the change that causes it.
type Break = (&'static str, fn(&Watched));

const BREAKS: [Break; 6] = [
    ("the docs repository refuses the token", |watched| {
        watched.hub.state().fault = Fault::RefuseTokens;
    }),
    ("the gateway ended before it was ready", |watched| {
        let script = "[ \"$1\" = run ] || exit 0; /usr/bin/env; exit 1";
        watched.machine.program("docker", script);
    }),
    ("the harness failed", |watched| {
        watched.machine.program("harness", "/usr/bin/env; exit 2");
    }),
    ("published as commit", |watched| {
        // A gateway repeats a credential in its error, and the harness records the error.
        let error = format!("Incorrect API key provided: {PROVIDER_CANARY}, {ACCOUNT_CANARY}");
        watched.machine.results(|results| {
            fail(results, 0, "gateway");
            results["results"][0]["result"]["error"] = error.into();
        });
    }),
    ("the webhook failed: it answered 404", |watched| {
        watched.hub.state().fault = Fault::NoWebhook;
    }),
    ("the App's private key is no RSA key", |watched| {
        let key = watched.hub.private_key().replace('\n', "\n\n");
        watched.machine.write("app-key.pem", &key);
    }),
];

#[tokio::test]
async fn a_failed_run_shows_no_secret() {
    for (says, break_it) in BREAKS {
        let watched = Watched::new().await;
        let mut command = watched.command();
        break_it(&watched);
        let ran = Ran::of(&mut command).await;
        ran.err_has(says);
        let seen = watched.seen(&ran);
        let wrong: Vec<_> = seen
            .iter()
            .filter(|place| place.1 != "proc" && !needed().contains(place))
            .collect();
        assert!(wrong.is_empty(), "{says}: {wrong:?}");
    }
}
