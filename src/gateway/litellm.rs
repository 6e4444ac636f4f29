//! LiteLLM as a program on loopback, with the project's `proxy_config.yaml` unchanged.
//!
//! It gets an allow-listed environment, its own home and a random key. It uses the tables that it ships (prices, beta
//! headers, …), and downloads none.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context as _, anyhow};
use regex::Regex;

use super::catalogued::providers;
use super::process::{free_port, new_key, write_private};
use super::{GatewayOptions, GatewayProcess, NotReady};
use crate::catalogue::Configuration;
use crate::catalogue::template::fill_from_providers;
use crate::cells::proxy_text_with;
use crate::document::Diagnostic;
use crate::env::{self, Secret, Variables};
use crate::process::{Launch, ProcessTag};
use crate::toolchain::{Installer, Lock, lock, update};

/// How many ports are tried: another process may take a free port before LiteLLM does.
const PORT_TRIES: usize = 4;

/// Starts `program` and waits until it answers.
pub async fn start_litellm(options: &GatewayOptions<'_>, program: &Path) -> anyhow::Result<GatewayProcess> {
    let key = new_key();
    let log = options.prepare(&key)?;
    let mut tries = 1;
    loop {
        let port = free_port()?;
        let launch = launch(options, program, port, &key);
        match GatewayProcess::start(launch, port, key.clone(), log.clone(), None).await {
            Err(error) if tries < PORT_TRIES && NotReady::is_port_taken(&error) => tries += 1,
            started => return started,
        }
    }
}

fn launch(options: &GatewayOptions<'_>, program: &Path, port: u16, key: &Secret) -> Launch {
    let path = |name: &str| options.folder.join(name).into_os_string();
    Launch::new(program, ProcessTag::run(options.run))
        .arguments(["--config".as_ref(), options.config.as_os_str()])
        .arguments(["--host", "127.0.0.1", "--port", &port.to_string()])
        .environment(options.environment.inherited())
        .environment(options.providers.clone())
        .environment([
            (env::HOME, path("home")),
            (env::TMPDIR, path("tmp")),
            (env::LITELLM_MASTER_KEY, key.expose().into()),
            (env::PYTHONUNBUFFERED, "1".into()),
            (env::PYTHONDONTWRITEBYTECODE, "1".into()),
            (env::NO_PROXY, "127.0.0.1,localhost".into()),
        ])
        .environment(super::local_tables())
        .directory(options.folder)
}

/// Changes `variables` as `configuration` says, and writes `config` with its settings into `folder`. Returns the file to use.
pub fn configure_litellm(
    configuration: &Configuration,
    config: &Path,
    variables: &mut Variables,
    folder: &Path,
) -> anyhow::Result<PathBuf> {
    let providers = providers(variables, folder)?;
    variables.retain(|name, _| !configuration.unset.iter().any(|unset| name == unset.as_str()));
    for (name, text) in &configuration.environment {
        let value =
            fill_from_providers(text, &providers).map_err(|error| anyhow!("`{name}`: {}", error.message))?;
        variables.insert(name.into(), value.into());
    }
    if configuration.settings.is_empty() {
        return Ok(config.to_owned());
    }
    let root = config.parent().unwrap_or(Path::new(""));
    let name = Path::new(config.file_name().unwrap_or_default());
    let read = |file: &Path| {
        let bytes = std::fs::read(root.join(file));
        bytes.map_err(|error| vec![Diagnostic::of_file(file, error.to_string())])
    };
    let text = read(name).and_then(|bytes| proxy_text_with(name, &bytes, &read, &configuration.settings));
    let text = text.map_err(|errors| anyhow!("{}", errors.first().map_or("", |error| &error.message)))?;
    let file = folder.join(name);
    write_private(&file, &text)?;
    Ok(file)
}

/// Installs the Python package of a release, pinned by hashes: `version`, else the version that `tag` names. Returns the
/// program.
pub async fn install_release(
    tag: &str,
    version: Option<&str>,
    installer: &Installer<'_>,
    lock_folder: &Path,
) -> anyhow::Result<PathBuf> {
    let version = match version {
        Some(version) => version.to_owned(),
        None => package_version(tag).with_context(|| {
            format!("`{tag}` is not a tag of a LiteLLM release: expected a tag such as `v1.83.3-stable`")
        })?,
    };
    let lock = Lock::read(lock_folder)?;
    let pin = if lock.litellm.version == version {
        lock.litellm.clone()
    } else {
        let source = lock::read(&lock_folder.join(lock::LITELLM_SOURCE))?;
        let wanted = update::with_version(&source, &lock.litellm.package, Some(&version));
        update::pin_python(installer, &lock.uv, &lock.litellm.package, &wanted, None, None).await?
    };
    installer.ensure_litellm(&pin, &lock.uv).await
}

/// The package's version of a tag: `1.83.3` of `v1.83.3-stable`, `1.83.3.post2` of `v1.83.3-stable.patch.2`.
fn package_version(tag: &str) -> Option<String> {
    static TAG: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^v(\d+\.\d+\.\d+)(?:-stable)?(?:[.-](?:patch[.-]?)?(\d+))?$")
            .expect("the pattern is valid")
    });
    let found = TAG.captures(tag)?;
    Some(match found.get(2) {
        Some(patch) => format!("{}.post{}", &found[1], patch.as_str()),
        None => found[1].to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_package() {
        for (tag, version) in [
            ("v1.83.3-stable", Some("1.83.3")),
            ("v1.106.2", Some("1.106.2")),
            ("v1.83.3-stable.patch.2", Some("1.83.3.post2")),
            ("v1.80.5-stable.1", Some("1.80.5.post1")),
            ("v1.83.3-nightly", None),
            ("main", None),
        ] {
            assert_eq!(package_version(tag).as_deref(), version, "{tag}");
        }
    }
}
