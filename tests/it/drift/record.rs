//! `--record` into a cassette of an earlier run.

use axum::Router;
use axum::routing::get;
use compat_matrix::env;
use compat_matrix::files::cassette_files;

use crate::support::loopback::serve;
use crate::support::small_project::{Small, simulator};

#[tokio::test]
async fn a_second_run_adds_its_models_to_the_cassette() {
    let simulator = simulator().await;
    let small = Small::attached(&simulator);
    for tier in ["haiku", "opus"] {
        small
            .run(&["text", "--tier", tier, "--record", "both"])
            .await
            .exits(0);
    }
    let head = cassette_files::read(&small.path("both"))
        .expect("a cassette")
        .head;
    let aliases: Vec<&String> = head.models.keys().collect();
    assert_eq!(aliases, ["claude-haiku-4-5", "claude-opus-4-7"]);
    // The models behind the aliases are the cassette's.
    let config = small.read("proxy_config.yaml");
    let other = config.replace("anthropic/claude-haiku-4-5", "anthropic/claude-sonnet-4-6");
    small.write("proxy_config.yaml", &other);
    let before = small.read("compat-results.json");
    let refused = small.run(&["text", "--record", "both"]).await;
    refused.exits(2);
    refused.err_has(
        "where `claude-haiku-4-5` is the model `claude-haiku-4-5`, and now it is `claude-sonnet-4-6`",
    );
    assert_eq!(small.read("compat-results.json"), before, "no trial ran");
    let same = cassette_files::read(&small.path("both")).expect("a cassette");
    assert_eq!(same.head, head);
    simulator.shutdown().await;
}

#[tokio::test]
async fn another_version_of_the_gateway_starts_no_trial() {
    let simulator = simulator().await;
    let mut small = Small::attached(&simulator);
    small.run(&["text", "--record", "both"]).await.exits(0);
    let results = small.read("compat-results.json");
    let head = small.read("both/cassette.json");
    let named = |name: &str| {
        let version = head.replace("\"gateway_version\": null", "\"gateway_version\": \"0.1.0\"");
        let named = version.replace("\"gateway\": null", &format!("\"gateway\": {name}"));
        assert_ne!(named, head);
        named
    };
    small.write("both/cassette.json", &named("null"));
    let version = get(async || r#"{"litellm_version": "1.2.3"}"#);
    let gateway = serve(Router::new().route("/health/readiness", version)).await;
    small.set(env::LITELLM_PROXY_BASE_URL, &gateway);
    let refused = small.run(&["text", "--record", "both"]).await;
    refused.exits(2);
    refused
        .err_has("whose `gateway_version` is `0.1.0`, and that of this run is `1.2.3`: name another folder");
    refused.err_lacks("no trial could be run");
    assert_eq!(small.read("compat-results.json"), results, "no trial ran");
    // The command line says the version of a gateway that the run would start.
    let own = Small::new();
    own.write("both/cassette.json", &named("\"litellm\""));
    let refused = own
        .run(&["text", "--record", "both", "--gateway", "litellm@1.101.0"])
        .await;
    refused.exits(2);
    refused.err_has("whose `gateway_version` is `0.1.0`, and that of this run is `1.101.0`");
    simulator.shutdown().await;
}
