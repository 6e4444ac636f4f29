//! Credentials of the providers: the variables that a configuration names, and the texts that no log may contain.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Context as _;
use regex::Regex;

use crate::cells::ProxyConfig;
use crate::document::Diagnostic;
use crate::env::{self, Secret, Variables};

/// Shorter values are not treated as credentials: they would match ordinary words.
pub const SHORTEST_SECRET: usize = 8;

/// The values of the variables that `config` names (`os.environ/NAME`), as far as this process has them.
pub fn live_providers(config: &Path) -> anyhow::Result<Variables> {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"os\.environ/([A-Za-z0-9_]+)").expect("the pattern is valid"));
    let mut text =
        std::fs::read_to_string(config).with_context(|| format!("cannot read `{}`", config.display()))?;
    for included in config_files(config).iter().skip(1) {
        text.push_str(&std::fs::read_to_string(included).unwrap_or_default());
    }
    let names = NAME.captures_iter(&text).filter_map(|found| found.get(1));
    Ok(env::named_by_a_file(names.map(|name| name.as_str())))
}

/// `config` and the files that it includes.
pub fn config_files(config: &Path) -> Vec<PathBuf> {
    let folder = config.parent().unwrap_or(Path::new(""));
    let name = Path::new(config.file_name().unwrap_or_default());
    let read = |file: &Path| {
        let path = folder.join(file);
        std::fs::read(&path).map_err(|error| vec![Diagnostic::of_file(file, error.to_string())])
    };
    let parsed =
        read(name).and_then(|bytes| ProxyConfig::parse(name, &bytes, &read, &env::SIMULATOR_VARIABLES));
    match parsed {
        Ok(parsed) => parsed.files().iter().map(|file| folder.join(file)).collect(),
        // Its errors are reported where the project is read.
        Err(_) => vec![config.to_owned()],
    }
}

/// The credentials among `variables`, and the private key inside a service account's credential. No log and no results may
/// contain them.
pub fn secrets(variables: &Variables) -> Vec<Secret> {
    let credentials = variables.iter().filter(|(name, _)| env::is_credential(name));
    credentials
        .flat_map(|(_, value)| with_key_inside(&value.to_string_lossy()))
        .filter(|value| value.len() >= SHORTEST_SECRET)
        .map(Secret::new)
        .collect()
}

/// `value`, and the private key inside it if it is a service account's JSON, or the name of a file with such JSON. The key
/// is listed with JSON's escapes, and line by line: a log may contain either.
fn with_key_inside(value: &str) -> Vec<String> {
    let text = std::fs::read_to_string(value).unwrap_or_else(|_| value.to_owned());
    let account = serde_json::from_str::<serde_json::Value>(&text).ok();
    let key = account.and_then(|account| Some(account.get("private_key")?.as_str()?.to_owned()));
    let in_json = key.as_ref().map(|key| key.replace('\n', "\\n"));
    let lines = key
        .iter()
        .flat_map(|key| key.lines())
        .filter(|line| !line.starts_with("-----"));
    std::iter::once(value.to_owned())
        .chain(in_json)
        .chain(lines.map(str::to_owned))
        .collect()
}
