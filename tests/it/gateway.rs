//! The LiteLLM that a run starts: its environment. `ci/check-connections` watches its connections.

use std::path::Path;

use compat_matrix::env::{Environment, LITELLM_LOCAL_TABLES, Variables};
use compat_matrix::gateway::{GatewayOptions, start_litellm};
use compat_matrix::process::RunId;

use crate::support::files::{Folder, write_program};
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
