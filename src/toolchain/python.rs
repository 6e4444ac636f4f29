//! The Python of this machine, and its installers.
//!
//! The package index comes from the configuration of pip and uv. uv does not read pip's settings, so they are translated
//! where uv has none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;

use super::ToolEnvironment;
use crate::env::{self, Environment};
use crate::process::{self, Launch, ProgramOutput};

/// The oldest Python that LiteLLM runs on (`Requires-Python: >=3.10` in its metadata).
const OLDEST: (u32, u32) = (3, 10);

/// The names to look for, in order.
const NAMES: [&str; 7] = [
    "python3",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python",
];

/// LiteLLM has 150 packages: some hundred megabytes on a slow line.
const LONGEST_INSTALLATION: Duration = Duration::from_secs(20 * 60);

/// A Python that is recent enough.
#[derive(Clone, Debug)]
pub struct Python {
    pub program: PathBuf,
    pub version: String,
}

/// The first Python on the PATH that is recent enough.
pub async fn find(tools: &ToolEnvironment) -> anyhow::Result<Python> {
    let mut too_old = Vec::new();
    for name in NAMES {
        let Some(program) = tools.environment.find_program(name) else {
            continue;
        };
        let Some(version) = version_of(&program, tools).await else {
            continue;
        };
        if is_recent(&version) {
            return Ok(Python { program, version });
        }
        too_old.push(format!("`{name}` {version}"));
    }
    let (major, minor) = OLDEST;
    match too_old.is_empty() {
        true => bail!("there is no `python3` on the PATH: install Python {major}.{minor} or later"),
        false => bail!(
            "LiteLLM needs Python {major}.{minor} or later; the PATH has only {}",
            too_old.join(", ")
        ),
    }
}

/// Makes a virtual environment with pip in `directory`, and returns its Python.
pub async fn make_venv(
    python: &Python,
    directory: &Path,
    tools: &ToolEnvironment,
) -> anyhow::Result<PathBuf> {
    let launch = tools
        .launch(&python.program)
        .arguments(["-m", "venv"])
        .arguments([directory]);
    match run(launch, "python3 -m venv").await {
        Ok(_) => Ok(program(directory, "python")),
        Err(error) => bail!(
            "{error:#}\nhint: Debian and Ubuntu need the package `python3-venv`; with `uv` on the PATH it is not needed"
        ),
    }
}

/// Runs an installer to its end; errors call it `what`.
pub async fn run(launch: Launch, what: &str) -> anyhow::Result<ProgramOutput> {
    let output = process::output(&launch, b"", LONGEST_INSTALLATION).await?;
    if output.timed_out {
        let minutes = LONGEST_INSTALLATION.as_secs() / 60;
        bail!("`{what}` failed: it did not end within {minutes} minutes");
    }
    if !output.is_success() {
        let reason = last_lines(&output);
        bail!("`{what}` failed: {reason}{}", hint(&reason));
    }
    Ok(output)
}

/// The path of the program `name` in the virtual environment `directory`.
pub fn program(directory: &Path, name: &str) -> PathBuf {
    if cfg!(windows) {
        directory.join("Scripts").join(format!("{name}.exe"))
    } else {
        directory.join("bin").join(name)
    }
}

/// The environment for uv: the variables for installers, with pip's settings under uv's names.
pub async fn environment_for_uv(python: &Python, tools: &ToolEnvironment) -> Environment {
    let mut environment = tools.environment.for_installers();
    let launch = tools
        .launch(&python.program)
        .arguments(["-m", "pip", "config", "list"]);
    let settings = match process::output(&launch, b"", Duration::from_secs(60)).await {
        Ok(output) if output.is_success() => pip_settings(&output.stdout_text()),
        // A Python without pip: the variables still apply.
        _ => pip_variables(&environment),
    };
    for (name, value) in translate(&settings, &environment, &|path| path.is_dir()) {
        environment.set(name, value);
    }
    environment.set(env::UV_PYTHON_DOWNLOADS, "never");
    environment
}

/// The settings in the output of `pip config list`, `global.index-url='…'`. A command's settings override global ones;
/// variables override both.
fn pip_settings(listing: &str) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for section in ["global", "install", ":env:"] {
        for line in listing.lines() {
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            if let Some(key) = name.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')) {
                settings.insert(key.to_owned(), unquoted(value));
            }
        }
    }
    settings
}

fn pip_variables(environment: &Environment) -> BTreeMap<String, String> {
    environment
        .iter()
        .filter_map(|(name, value)| {
            let key = name
                .strip_prefix(env::PIP_PREFIX)?
                .to_ascii_lowercase()
                .replace('_', "-");
            Some((key, value.to_owned()))
        })
        .collect()
}

/// A string as Python's `repr` writes it.
fn unquoted(text: &str) -> String {
    let text = text.trim();
    ['\'', '"']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
        .replace("\\n", "\n")
        .replace("\\'", "'")
        .replace("\\\\", "\\")
}

/// pip's settings as variables for uv, except those that uv has a setting of its own for.
fn translate(
    pip: &BTreeMap<String, String>,
    environment: &Environment,
    is_folder: &dyn Fn(&Path) -> bool,
) -> Vec<(&'static str, String)> {
    let words = |key: &str| -> Vec<&str> {
        pip.get(key)
            .map(|value| value.split_whitespace().collect())
            .unwrap_or_default()
    };
    let mut variables = Vec::new();
    let mut offer = |names: &[&'static str], value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty() && !environment.has_any(names)) {
            variables.push((names[0], value));
        }
    };
    offer(
        &[env::UV_DEFAULT_INDEX, env::UV_INDEX_URL],
        pip.get("index-url").cloned(),
    );
    let further = words("extra-index-url").join(" ");
    // pip takes the best version of all indexes; by default uv takes the first index with the package. The hashes decide
    // in either case.
    let strategy = (!further.is_empty()).then(|| "unsafe-best-match".to_owned());
    offer(&[env::UV_INDEX, env::UV_EXTRA_INDEX_URL], Some(further));
    offer(&[env::UV_INDEX_STRATEGY], strategy);
    // pip ignores a missing folder; uv fails.
    let links: Vec<&str> = words("find-links")
        .into_iter()
        .filter(|link| link.contains("://") || is_folder(Path::new(link)))
        .collect();
    offer(&[env::UV_FIND_LINKS], Some(links.join(",")));
    let no_index = pip
        .get("no-index")
        .filter(|value| is_true(value))
        .map(|_| "true".to_owned());
    offer(&[env::UV_NO_INDEX], no_index);
    offer(&[env::UV_INSECURE_HOST], Some(words("trusted-host").join(" ")));
    offer(&[env::HTTPS_PROXY], pip.get("proxy").cloned());
    match pip.get("cert").filter(|file| !file.is_empty()) {
        Some(file) => offer(&[env::SSL_CERT_FILE, env::SSL_CERT_DIR], Some(file.clone())),
        None => {
            // pip uses the platform's certificate store too.
            offer(
                &[
                    env::UV_SYSTEM_CERTS,
                    env::UV_NATIVE_TLS,
                    env::SSL_CERT_FILE,
                    env::SSL_CERT_DIR,
                ],
                Some("true".to_owned()),
            );
        }
    }
    variables
}

fn is_true(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "1" | "true" | "yes" | "on" | "y" | "t"
    )
}

async fn version_of(program: &Path, tools: &ToolEnvironment) -> Option<String> {
    let launch = tools
        .launch(program)
        .arguments(["-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]);
    let output = process::output(&launch, b"", Duration::from_secs(30))
        .await
        .ok()?;
    let version = output.stdout_text().trim().to_owned();
    (output.is_success() && !version.is_empty()).then_some(version)
}

fn is_recent(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= OLDEST
}

/// The last lines of a program's output, without the user and password of an address.
fn last_lines(output: &ProgramOutput) -> String {
    let said = if output.stderr.trim_ascii().is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    let text = String::from_utf8_lossy(said);
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(without_credentials)
        .collect();
    match lines[lines.len().saturating_sub(12)..].join("\n  ") {
        words if words.is_empty() => output.ended.to_string(),
        words => format!("{}\n  {words}", output.ended),
    }
}

fn without_credentials(line: &str) -> String {
    static CREDENTIALS: std::sync::LazyLock<regex::Regex> =
        std::sync::LazyLock::new(|| regex::Regex::new(r"://[^/\s@]+@").expect("the pattern is valid"));
    CREDENTIALS.replace_all(line, "://***@").into_owned()
}

fn hint(reason: &str) -> &'static str {
    let reason = reason.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&["no space left", "disk quota", "os error 28"]) {
        "\nhint: the disk is full; free some space, or set `COMPAT_CACHE_DIR` to a folder on another disk"
    } else if says(&["hash mismatch", "do not match the hashes"]) {
        "\nhint: a downloaded package is not the one that `toolchain/` pins; it was deleted"
    } else if says(&[
        "dns error",
        "failed to fetch",
        "connection",
        "failed to establish",
        "client error",
        "timed out",
    ]) {
        "\nhint: check the network; the package index comes from the configuration of pip or uv (`pip config list`, \
         `PIP_INDEX_URL`, `UV_DEFAULT_INDEX`)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(listing: &str, environment: &[(&str, &str)]) -> Vec<(&'static str, String)> {
        let environment = environment.iter().copied().collect();
        translate(&pip_settings(listing), &environment, &|path| {
            path == Path::new("/wheels")
        })
    }

    #[test]
    fn pip_s_settings_reach_uv_under_its_names() {
        let listing = "global.index-url='https://a.example/simple'\n\
                       global.extra-index-url='\\nhttps://b.example/simple\\nhttps://c.example/simple'\n\
                       global.trusted-host='a.example'\nglobal.cert='/ca.pem'\n:env:.find-links='/wheels /none'";
        assert_eq!(
            translated(listing, &[]),
            [
                (env::UV_DEFAULT_INDEX, "https://a.example/simple".to_owned()),
                (
                    env::UV_INDEX,
                    "https://b.example/simple https://c.example/simple".to_owned()
                ),
                (env::UV_INDEX_STRATEGY, "unsafe-best-match".to_owned()),
                (env::UV_FIND_LINKS, "/wheels".to_owned()),
                (env::UV_INSECURE_HOST, "a.example".to_owned()),
                (env::SSL_CERT_FILE, "/ca.pem".to_owned()),
            ]
        );
    }

    #[test]
    fn uv_s_own_settings_override_those_of_pip() {
        let listing = "global.index-url='https://a.example/simple'";
        let environment = [
            (env::UV_INDEX_URL, "https://own.example"),
            (env::SSL_CERT_FILE, "/own.pem"),
        ];
        assert_eq!(translated(listing, &environment), []);
    }

    #[test]
    fn variables_override_command_settings_and_those_global_ones() {
        let listing = ":env:.index-url='3'\nglobal.index-url='1'\ninstall.index-url='2'\ninstall.cert='x'\nglobal.cert='y'";
        let settings = pip_settings(listing);
        assert_eq!(
            (settings["index-url"].as_str(), settings["cert"].as_str()),
            ("3", "x")
        );
    }

    #[test]
    fn without_a_certificate_file_uv_uses_the_platform_s_store() {
        assert_eq!(translated("", &[]), [(env::UV_SYSTEM_CERTS, "true".to_owned())]);
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(is_recent("3.10.0") && is_recent("3.14.1") && is_recent("4.0.0"));
        assert!(!is_recent("3.9.18") && !is_recent("2.7.18"));
    }

    #[test]
    fn a_password_in_an_installer_s_output_is_not_repeated() {
        assert_eq!(
            without_credentials("GET https://me:secret@a.example/x"),
            "GET https://***@a.example/x"
        );
    }
}
