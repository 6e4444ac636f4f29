//! Credentials of the providers: the variables that a configuration names, and the texts that no log may contain.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Context as _;
use percent_encoding::percent_decode_str;
use regex::Regex;
use serde_yaml::Value;

use crate::cells::{ProxyConfig, Simulated, proxy_file_value};
use crate::document::Diagnostic;
use crate::env::{self, Variables};
use crate::wire::redaction;

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
    let simulated = Simulated {
        variables: &env::SIMULATOR_VARIABLES,
        models: &[],
    };
    let parsed = read(name).and_then(|bytes| ProxyConfig::parse(name, &bytes, &read, simulated));
    match parsed {
        Ok(parsed) => parsed.files().iter().map(|file| folder.join(file)).collect(),
        // Its errors are reported where the project is read.
        Err(_) => vec![config.to_owned()],
    }
}

/// The names of projects, accounts and resources among `variables`. They are no credentials, and a recording must not have them.
pub fn private_names(variables: &Variables) -> Vec<String> {
    let value = |name: &str| {
        let value = variables.get(OsStr::new(name))?;
        Some(value.to_string_lossy().into_owned())
    };
    let mut names: Vec<String> = value(env::VERTEXAI_PROJECT).into_iter().collect();
    // `https://RESOURCE.services.ai.azure.com`
    let base = value(env::AZURE_AI_API_BASE).unwrap_or_default();
    let host = base.split_once("://").map_or("", |(_, host)| host);
    names.extend(host.split_once(".").map(|(resource, _)| resource.to_owned()));
    let account = value(env::VERTEXAI_CREDENTIALS).unwrap_or_default();
    let account = match account.trim_start().starts_with('{') {
        true => account,
        false => std::fs::read_to_string(account).unwrap_or_default(),
    };
    if let Ok(account) = serde_json::from_str::<serde_json::Value>(&account) {
        let fields = ["project_id", "client_email", "client_id"];
        names.extend(
            fields
                .iter()
                .filter_map(|name| Some(account[name].as_str()?.to_owned())),
        );
    }
    names
}

/// The credentials in `variables`, and in the configuration `config` and the files that it includes.
pub fn secrets(variables: &Variables, config: &Path) -> Vec<String> {
    let mut secrets = of_variables(variables);
    secrets.extend(literals(config));
    secrets
}

/// The credentials among `variables` and in the files that they name, and the passwords in their URLs.
fn of_variables(variables: &Variables) -> Vec<String> {
    let mut secrets = Vec::new();
    for (name, value) in variables {
        let value = value.to_string_lossy();
        secrets.extend(password(&value));
        if env::is_credential(name) {
            let content = std::fs::read_to_string(value.as_ref()).ok();
            // The name of a file is no secret.
            let named = content.or_else(|| (!is_path(name, &value)).then(|| value.into_owned()));
            secrets.extend(named);
        }
    }
    secrets
}

/// Whether the value of variable `name` can only be the name of a file.
fn is_path(name: &OsStr, value: &str) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    let names_file = ["FILE", "PATH", "CREDENTIALS"]
        .iter()
        .any(|end| name.ends_with(end));
    names_file && value.starts_with(['/', '.', '~'])
}

/// The password in a URL; a user alone may be a token.
fn password(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let secret = user.split_once(':').map_or(user, |(_, password)| password);
    Some(percent_decode_str(secret).decode_utf8_lossy().into_owned())
}

/// The credentials that `config` and the files that it includes contain as texts.
fn literals(config: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in config_files(config) {
        // An error of this file is reported where the project is read.
        let text = std::fs::read(&file).unwrap_or_default();
        if let Some(value) = proxy_file_value(&text) {
            add_literals(&value, false, &mut found);
        }
    }
    found
}

fn add_literals(value: &Value, is_credential: bool, found: &mut Vec<String>) {
    match value {
        Value::Mapping(map) => {
            for (key, value) in map {
                let names_credential = key.as_str().is_some_and(redaction::is_credential_name);
                add_literals(value, names_credential, found);
            }
        }
        Value::Sequence(items) => items
            .iter()
            .for_each(|item| add_literals(item, is_credential, found)),
        Value::String(text) => {
            found.extend(password(text));
            if is_credential && !text.starts_with("os.environ/") {
                found.push(text.clone());
            }
        }
        Value::Tagged(tagged) => add_literals(&tagged.value, is_credential, found),
        Value::Number(number) if is_credential => found.push(number.to_string()),
        Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_from_variables_files_and_urls() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "key-of-file-1\n").unwrap();
        let variables: Variables = [
            ("SOME_API_KEY", "value-of-variable"),
            ("CONTROL_KEY_FILE", key.to_str().unwrap()),
            ("OTHER_KEY_FILE", "/nonexistent/file"),
            ("SOME_URL", "http://user:pass%2Fword-1@proxy:80/"),
            ("HOME", "/home/of/user"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        let mut found = of_variables(&variables);
        found.sort();
        assert_eq!(found, ["key-of-file-1\n", "pass/word-1", "value-of-variable"]);
    }

    #[test]
    fn literal_keys_of_the_configuration_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("proxy_config.yaml");
        let text = "model_list:\n  - model_name: a\n    litellm_params:\n      model: anthropic/a\n      api_key: literal-key-1\n      \
                    api_base: os.environ/BASE\n      extra_headers: { authorization: Bearer literal-2, x-a: b }\n      \
                    vertex_credentials: { private_key: literal-3, project_id: p }\ngeneral_settings:\n  master_key: os.environ/KEY\ngeneral_settings:\n  master_key: literal-4\n";
        std::fs::write(&config, text).unwrap();
        assert_eq!(
            literals(&config),
            ["literal-key-1", "Bearer literal-2", "literal-3", "literal-4"]
        );
    }
}
