//! The catalogue of gateways: a start without a registry, the cells that a gateway lacks, and the comparison.

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use compat_matrix::catalogue::{BuiltIn, CatalogueEntry, ClientAuth, Install, KeyHeader, OwnTool};
use compat_matrix::env::{self, Environment};
use compat_matrix::files::Project;
use compat_matrix::gateway::{CatalogueGateway, GatewayOptions, InstalledParts};
use compat_matrix::http;
use compat_matrix::ids::{CellId, FeatureId, ProviderId};
use compat_matrix::matrix::compare::GatewayComparison;
use compat_matrix::process::RunId;
use compat_matrix::results::{Results, TrialResult};

use crate::support::loopback::serve;
use crate::support::text::assert_has;

fn project() -> Project {
    Project::open(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("the project")
}

/// A gateway of which `script` is the whole program.
fn scripted(script: &str) -> CatalogueGateway {
    CatalogueGateway {
        name: "scripted".into(),
        entry: CatalogueEntry {
            install: Install::Tool(OwnTool::Claude),
            needs: Vec::new(),
            files: vec![(
                "home/config".into(),
                "{{ key }} {{ providers.anthropic.base }}".into(),
            )],
            command: vec!["sh".into(), "-c".into(), script.into()],
            environment: vec![("GATEWAY_PORT".into(), "{{ port }}".into())],
            ready: "/ready".into(),
            client: ClientAuth {
                key: KeyHeader::ApiKey,
                headers: vec![("x-column".into(), "{{ column }}".into())],
            },
        },
        models: vec![compat_matrix::catalogue::template::NeutralModel {
            provider: "anthropic".into(),
            ..Default::default()
        }],
    }
}

async fn start(script: &str, folder: &Path) -> anyhow::Result<compat_matrix::gateway::RunningGateway> {
    let environment = Environment::from_process();
    let options = GatewayOptions {
        config: Path::new("/nonexistent"),
        folder,
        environment: &environment,
        providers: [(env::ANTHROPIC_API_BASE.into(), "http://127.0.0.1:1".into())].into(),
        run: RunId::mint(),
    };
    scripted(script).start(&options, &InstalledParts::default()).await
}

#[tokio::test]
async fn a_gateway_is_configured_started_and_asked() {
    let server = "exec python3 -c \"\nimport http.server, os\nclass H(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n        \
                  self.send_response(200 if self.path == '/ready' else 404)\n        self.end_headers()\n        \
                  self.wfile.write(open(os.environ['HOME'] + '/config', 'rb').read())\n\
                  http.server.HTTPServer(('127.0.0.1', int(os.environ['GATEWAY_PORT'])), H).serve_forever()\"";
    let folder = tempfile::tempdir().unwrap();
    let gateway = start(server, folder.path()).await.unwrap();
    let reply = reqwest::get(format!("{}/ready", gateway.base_url)).await.unwrap();
    let text = reply.text().await.unwrap();
    assert_eq!(text, format!("{} http://127.0.0.1:1", gateway.key.expose()));
    let column = ProviderId::new("anthropic");
    assert_eq!(
        gateway.client.of(Some(&column)),
        [("x-column".to_owned(), "anthropic".to_owned())]
    );
    tokio::time::timeout(Duration::from_secs(10), gateway.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_gateway_that_ends_at_once_shows_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let started = start("echo the port is wrong >&2; exit 3", folder.path()).await;
    let error = started.err().expect("it ended").to_string();
    assert_has(&error, "ended before it was ready");
    assert_has(&error, "the port is wrong");
}

#[tokio::test]
async fn the_transparent_gateway_takes_its_key_in_two_headers() {
    let shown = |headers: HeaderMap| async move {
        let of = |name| headers.get(name).map_or("none", |value| value.to_str().unwrap());
        format!("{} {}", of("x-api-key"), of("authorization"))
    };
    let provider = serve(Router::new().fallback(shown)).await;
    let (folder, environment) = (tempfile::tempdir().unwrap(), Environment::from_process());
    let options = GatewayOptions {
        config: Path::new("/nonexistent"),
        folder: folder.path(),
        environment: &environment,
        providers: [
            (env::ANTHROPIC_API_BASE.into(), provider.into()),
            (env::ANTHROPIC_API_KEY.into(), "theirs".into()),
        ]
        .into(),
        run: RunId::mint(),
    };
    let mut transparent = scripted("");
    transparent.entry.install = Install::BuiltIn(BuiltIn::Transparent);
    let gateway = transparent.start(&options, &InstalledParts::default()).await;
    let gateway = gateway.unwrap();
    let key = gateway.key.expose();
    let bearer = format!("Bearer {key}");
    for (header, value, expected) in [
        ("authorization", bearer.as_str(), "theirs none"),
        ("x-api-key", key, "theirs none"),
        ("x-api-key", "another", "no valid key"),
    ] {
        let request = http::client().post(format!("{}/v1/messages", gateway.base_url));
        let reply = request.header(header, value).send().await.unwrap();
        assert_has(&reply.text().await.unwrap(), expected);
    }
    gateway.stop().await;
}

/// `proxy_config.yaml` is another gateway's configuration.
#[test]
fn a_gateway_of_the_catalogue_has_the_place_of_its_own_models() {
    let mut gateway = scripted("");
    gateway.models[0].alias = "haiku".into();
    gateway.models[0].model = "eu.anthropic.claude-haiku-4-5-20251001-v1:0".into();
    let variables = [(env::VERTEXAI_LOCATION.to_owned(), "global".to_owned())].into();
    let place = gateway.place("haiku", &variables);
    assert_eq!(place.geography.as_deref(), Some("eu"));
    assert_eq!((place.location.as_deref(), place.project), (Some("global"), None));
    assert_eq!(gateway.place("opus", &variables).geography, None);
}

#[test]
fn every_gateway_of_the_catalogue_serves_or_lacks_a_cell() {
    let project = project();
    for name in project.gateways() {
        let gateway = project.gateway(&name).expect("a valid file");
        let columns = project.manifest.providers.iter();
        let served = columns
            .filter(|provider| !gateway.lacks.lacks_column(provider))
            .count();
        assert!(served > 0, "{name} serves no column");
        for lack in &gateway.lacks.0 {
            assert!(lack.reason.ends_with('.'), "{name}: {}", lack.reason);
        }
    }
    let lacks = project.gateway("transparent").unwrap().lacks;
    let vision = FeatureId::new("vision");
    let reason = lacks.reason(&CellId::new(&vision, &ProviderId::new("vertex_ai")));
    assert_has(reason.unwrap_or_default(), "translates nothing");
    assert_eq!(
        lacks.reason(&CellId::new(&vision, &ProviderId::new("azure"))),
        None
    );
}

#[test]
fn a_comparison_shows_each_difference_with_its_explanation() {
    let text = include_str!("../fixtures/results-of-90-trials.json");
    let mut first = Results::parse(text).unwrap();
    first.results[0].result = TrialResult::Fail {
        error: "it broke".into(),
    };
    let mut second = first.clone();
    let name = second.results.remove(0).nodeid.to_string();
    let comparison = GatewayComparison::new(&[("one".to_owned(), first), ("two@1.0".to_owned(), second)]);
    let different: Vec<String> = (comparison.trials.iter())
        .filter(|trial| trial.differs)
        .map(|trial| trial.nodeid.to_string())
        .collect();
    assert_eq!(different.join(", "), name);
    for shown in [
        comparison.to_terminal(400, compat_matrix::report::Paint::Plain),
        comparison.to_markdown().replace("<!-- -->", ""),
    ] {
        assert_has(&shown, &name);
        assert_has(&shown, "two@1.0: ? not tested");
        assert_has(&shown, "one 1.106.0: ✗ it broke");
    }
    assert_has(&comparison.to_json(), "\"explanations\"");
}
