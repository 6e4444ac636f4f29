//! The LiteLLM that a run starts: its environment, and the connections that it opens.

use std::path::Path;

use compat_matrix::env::{Environment, LITELLM_LOCAL_TABLES, Variables};
use compat_matrix::gateway::{GatewayOptions, start_litellm};
use compat_matrix::process::RunId;
use compat_matrix::progress::Silent;
use compat_matrix::provider::{Simulator, SimulatorOptions};
use compat_matrix::toolchain::{Installer, Lock, litellm};
use serde_json::json;

use crate::support::files::{Folder, write_program};
use crate::support::loopback::Server;
use crate::support::root;
use crate::support::text::assert_has;

fn options<'a>(
    folder: &'a Path,
    environment: &'a Environment,
    config: &'a Path,
    providers: Variables,
) -> GatewayOptions<'a> {
    GatewayOptions {
        config,
        folder,
        environment,
        providers,
        run: RunId::mint(),
    }
}

#[tokio::test]
async fn litellm_is_told_to_use_its_own_tables() {
    let folder = Folder::new();
    let program = folder.path("litellm");
    let script = format!(
        "/usr/bin/env >\"$0.saw\"\nexec {} \"$@\"",
        env!("CARGO_BIN_EXE_fake-gateway")
    );
    write_program(&program, &script);
    let (environment, config) = (Environment::from_process(), folder.path("proxy_config.yaml"));
    let gateway_folder = folder.path("gateway");
    let options = options(&gateway_folder, &environment, &config, Variables::new());
    let gateway = start_litellm(&options, &program).await.unwrap();
    gateway.stop().await;
    let saw = folder.read("litellm.saw");
    for name in LITELLM_LOCAL_TABLES {
        assert_has(&saw, &format!("{name}=True\n"));
    }
}

/// Every request to another host goes through the proxy of the environment, and the proxy records it. Python's HTTP clients
/// use the proxy that these variables name.
#[tokio::test]
async fn the_pinned_litellm_connects_to_no_other_host() {
    let environment = Environment::from_process();
    let lock = Lock::read(&root().join("toolchain")).unwrap();
    let installer = Installer::new(environment.clone(), RunId::mint(), &Silent).unwrap();
    let entry = installer.python_entry(litellm::TOOL, &lock.litellm).unwrap();
    let Some(installed) = entry.installed() else {
        // These tests install nothing; `compat toolchain install` does.
        return;
    };
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let proxy = Server::start(|_, _| Box::pin(async { axum::http::Response::default() })).await;
    let mut providers = simulator.credentials().for_gateway(simulator.base_url());
    for name in [
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "https_proxy",
        "http_proxy",
    ] {
        providers.insert(name.into(), proxy.address.clone().into());
    }
    let folder = Folder::new();
    let (config, gateway_folder) = (root().join("proxy_config.yaml"), folder.path("gateway"));
    let options = options(&gateway_folder, &environment, &config, providers);
    let gateway = start_litellm(&options, &installed.program()).await.unwrap();
    let client = reqwest::Client::new();
    for alias in [
        "claude-haiku-4-5",
        "claude-haiku-4-5-bedrock-invoke",
        "claude-haiku-4-5-vertex-ai",
    ] {
        let body = json!({
            "model": alias,
            "max_tokens": 1,
            "messages": [{ "role": "user", "content": "ping" }],
        });
        let request = client
            .post(format!("{}/v1/messages", gateway.base_url()))
            .bearer_auth(gateway.key().expose())
            .header("anthropic-version", "2023-06-01")
            .header("anthropic-beta", "context-1m-2025-08-07")
            .json(&body);
        let reply = request.send().await.unwrap();
        assert!(
            reply.status().is_success(),
            "{alias}: {}",
            reply.text().await.unwrap()
        );
    }
    gateway.stop().await;
    assert_eq!(proxy.targets(), [""; 0]);
}
