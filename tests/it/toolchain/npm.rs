//! The package registry: its address, its credentials, its errors, and the pins made from it.

use compat_matrix::digest::Sha512;
use compat_matrix::toolchain::npm::Registry;
use compat_matrix::toolchain::platform::Platform;
use compat_matrix::toolchain::{Lock, update};

use super::*;
use crate::support::loopback::{Server, ok, ready, status};
use crate::support::root;
use crate::support::text::{assert_has, assert_lacks, assert_starts};

#[tokio::test]
async fn a_missing_package_is_requested_once_and_explained() {
    let server = Server::start(|_, _| ready(status(404))).await;
    let machine = Machine::new().registry(&server);

    let error = machine.install(&pin_of(b"")).await.unwrap_err();

    assert_has(&error, "404 Not Found");
    assert_has(&error, "does this registry carry the package?");
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn the_error_for_a_missing_version_names_the_newest() {
    let server = Server::start(registry(real_package(), |_| ready(status(404)))).await;
    let machine = Machine::new().registry(&server);
    let mut pin = pin_of(b"");
    pin.version = "9.9.9".to_owned();

    let error = machine.install(&pin).await.unwrap_err();

    assert_has(&error, "9.9.9; the newest are `2.1.327`");
}

#[tokio::test]
async fn the_error_for_malformed_metadata_names_the_address() {
    let server = Server::start(|_, _| ready(ok("<html>"))).await;
    let machine = Machine::new().registry(&server);

    let error = machine.install(&pin_of(b"")).await.unwrap_err();

    assert_has(&error, "not a package's metadata");
    assert_has(&error, &server.address);
}

#[tokio::test]
async fn the_error_without_a_network_says_what_to_check() {
    let server = Server::start(|_, _| ready(status(500))).await;
    let machine = Machine::new().registry(&server);
    drop(server);

    let error = machine.install(&pin_of(b"")).await.unwrap_err();

    assert_has(&error, "hint: check the network");
    assert_has(&error, "NPM_CONFIG_REGISTRY");
}

#[tokio::test]
async fn a_dead_proxy_is_named_without_its_password() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (machine, server, pin) = with_registry().await;
    let machine = machine.with("https_proxy", &format!("user:secret-0815@{closed}"));

    let error = machine.install(&pin).await.unwrap_err();

    assert_has(
        &error,
        &format!("the proxy `{closed}` of `https_proxy` does not answer: Connection refused"),
    );
    assert_has(&error, "start it, or correct or unset `https_proxy`");
    assert_lacks(&error, "secret-0815");
    assert_eq!(server.targets(), Vec::<String>::new());
    let excepted = machine.with("NO_PROXY", "127.0.0.1");
    excepted.install(&pin).await.unwrap();
}

#[tokio::test]
async fn a_token_goes_only_to_its_host_and_into_no_error() {
    let server = Server::start(|_, _| ready(status(403))).await;
    let host = server.address.strip_prefix("http://").unwrap().to_owned();
    let machine = Machine::new().with("REGISTRY_TOKEN", "s3cret-token");
    machine.write(
        "home/.npmrc",
        &format!(
            "registry={}/npm/\n//{host}/npm/:_authToken=${{REGISTRY_TOKEN}}\n",
            server.address
        ),
    );

    let error = machine.install(&pin_of(b"")).await.unwrap_err();

    let asked = &server.asked()[0];
    assert_starts(&asked.target, "/npm/@anthropic-ai%2fclaude-code-");
    assert_eq!(asked.headers["authorization"], "Bearer s3cret-token");
    assert_has(&error, "does this registry need a token?");
    assert_lacks(&error, "s3cret");
}

#[tokio::test]
async fn a_token_of_another_host_or_path_is_not_sent() {
    let server = Server::start(|_, _| ready(status(404))).await;
    let host = server.address.strip_prefix("http://").unwrap().to_owned();
    let machine = Machine::new().registry(&server);
    machine.write(
        "home/.npmrc",
        &format!("//{host}/other/:_authToken=a\n//registry.example/:_authToken=b\n_authToken=c\n"),
    );

    machine.install(&pin_of(b"")).await.unwrap_err();

    assert!(!server.asked()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_mirror_s_files_are_downloaded_from_the_mirror() {
    let package = real_package();
    let served = package.clone();
    let server = Server::start(move |asked, _| {
        ready(match asked.target.ends_with(".tgz") {
            true => ok(served.clone()),
            false => ok(metadata(
                &format!("https://registry.invalid{}", tarball_path()),
                &served,
            )),
        })
    })
    .await;
    let address = format!("{}/mirror/", server.address);
    let machine = Machine::new().with("npm_config_registry", &address);

    machine.install(&pin_of(&package)).await.unwrap();

    assert_eq!(server.targets()[1], format!("/mirror{}", tarball_path()));
}

#[tokio::test]
async fn a_registry_may_store_its_files_elsewhere() {
    let package = real_package();
    let files = Server::start(|_, _| ready(ok(real_package()))).await;
    // Another name of the same address is another host.
    let elsewhere = files.address.replace("127.0.0.1", "localhost") + &tarball_path();
    let server = Server::start(move |asked, _| {
        ready(match asked.target.ends_with(".tgz") {
            true => status(404),
            false => ok(metadata(&elsewhere, &real_package())),
        })
    })
    .await;
    let machine = Machine::new().registry(&server);

    machine.install(&pin_of(&package)).await.unwrap();

    assert_eq!(files.targets(), [tarball_path()]);
}

async fn found(machine: &Machine) -> Result<String, String> {
    let registry = Registry::find(&machine.tools()).await;
    registry
        .map(|registry| registry.address())
        .map_err(|error| format!("{error:#}"))
}

#[tokio::test]
async fn a_scope_s_registry_and_variables_take_precedence() {
    let machine = Machine::new();
    machine.write("home/.npmrc", "registry=https://user.example/\n");
    assert_eq!(found(&machine).await.unwrap(), "https://user.example/");

    let machine = machine.with("npm_config_registry", "https://me:pw@variable.example/");
    assert_eq!(found(&machine).await.unwrap(), "https://variable.example/");

    machine.write("home/.npmrc", "@anthropic-ai:registry=https://scope.example/\n");
    assert_eq!(found(&machine).await.unwrap(), "https://scope.example/");

    let elsewhere = machine.write("home/other", "@anthropic-ai:registry=https://other.example/\n");
    let machine = machine.with("NPM_CONFIG_USERCONFIG", elsewhere.to_str().unwrap());
    assert_eq!(found(&machine).await.unwrap(), "https://other.example/");
}

#[tokio::test]
async fn npm_runs_without_other_credentials() {
    let machine = Machine::new().with("ANTHROPIC_API_KEY", "sk-secret");
    machine.program(
        "npm",
        r#"test "$*" = "config get registry" && echo "https://client.example/${ANTHROPIC_API_KEY}""#,
    );
    assert_eq!(found(&machine).await.unwrap(), "https://client.example/");
}

#[tokio::test]
async fn the_error_without_a_registry_names_the_variable() {
    let error = found(&Machine::new()).await.unwrap_err();
    assert_has(&error, "set `NPM_CONFIG_REGISTRY`");
    assert_has(&error, ".npmrc");
}

#[tokio::test]
async fn a_pin_has_the_digest_of_every_platform() {
    let server = Server::start(registry(b"all the same".to_vec(), |_| ready(status(404)))).await;
    let machine = Machine::new().registry(&server);
    let registry = Registry::find(&machine.tools()).await.unwrap();

    let pin = update::pin_claude(&registry, VERSION, &Platform::ALL)
        .await
        .unwrap();

    assert_eq!(pin.sha512.len(), Platform::ALL.len());
    assert!(
        pin.sha512
            .values()
            .all(|digest| *digest == Sha512::of(b"all the same"))
    );
}

#[tokio::test]
async fn the_error_for_an_old_claude_names_the_oldest() {
    let server = Server::start(registry(b"all the same".to_vec(), |_| ready(status(404)))).await;
    let registry = Registry::find(&Machine::new().registry(&server).tools())
        .await
        .unwrap();
    for (version, is_old) in [
        ("2.0.76", true),
        ("2.1.109", true),
        ("2.1.110", false),
        ("9.9.9", false),
    ] {
        let error = update::pin_claude(&registry, version, &Platform::ALL)
            .await
            .unwrap_err();
        let error = format!("{error:#}");
        assert_eq!(
            error.contains("take that version or a later one"),
            is_old,
            "{error}"
        );
        assert_has(&error, "the registry has no `@anthropic-ai/claude-code-");
    }
}

#[test]
fn the_lock_pins_every_platform_and_names_no_registry() {
    let folder = root().join("toolchain");
    let lock = Lock::read(&folder).unwrap();
    assert!(
        Platform::ALL
            .into_iter()
            .all(|platform| lock.claude.digest(platform).is_ok())
    );
    let files = [folder.join("gateways"), folder].map(|folder| std::fs::read_dir(folder).unwrap());
    let paths = files.into_iter().flatten().map(|file| file.unwrap().path());
    for path in paths.filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("://"), "{} has an address in it", path.display());
    }
}
