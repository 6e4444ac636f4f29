//! The Python of this machine, and its installers.
//!
//! The package index comes from the configuration of pip and uv. uv does not read pip's settings, so uv gets them as
//! variables, unless uv itself has the setting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{anyhow, bail};
use regex::Regex;
use semver::Version;

use super::{ToolEnvironment, npmrc};
use crate::env::{self, Environment};
use crate::process::{self, Launch, ProgramOutput};
use crate::progress::Work;

/// The oldest Python for LiteLLM (`Requires-Python: >=3.10` in its metadata).
const OLDEST: Version = Version::new(3, 10, 0);

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
    pub version: Version,
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
        if version >= OLDEST {
            return Ok(Python { program, version });
        }
        too_old.push(format!("`{name}` {version}"));
    }
    match too_old.join(", ") {
        none if none.is_empty() => {
            bail!("there is no `python3` on the PATH: install Python {OLDEST} or later")
        }
        too_old => bail!("LiteLLM needs Python {OLDEST} or later; the PATH has only {too_old}"),
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
    run(launch, "python3 -m venv").await.map_err(|error| {
        anyhow!("{error:#}\nhint: Debian and Ubuntu need the package `python3-venv`; with `uv` on the PATH it is not needed")
    })?;
    Ok(program(directory, "python"))
}

/// Runs an installer to its end; errors call it `what`.
pub async fn run(launch: Launch, what: &str) -> anyhow::Result<ProgramOutput> {
    run_watched(launch, what, |_| {}).await
}

/// [`run`] of an installation by `uv`. `work` shows how much of the announced downloads is there.
pub async fn run_uv(launch: Launch, what: &str, work: &Work<'_>) -> anyhow::Result<ProgramOutput> {
    run_watched(launch, what, |stderr| {
        let (done, total) = downloads(&String::from_utf8_lossy(stderr));
        if total > 0 {
            work.advance(done, Some(total));
        }
    })
    .await
}

/// The bytes of the packages that are there, and of all that `uv` announced. It announces large ones only:
/// ``Downloading numpy (16.1MiB)``, later `` Downloaded numpy``.
fn downloads(stderr: &str) -> (u64, u64) {
    let mut announced = BTreeMap::new();
    let mut done = 0;
    for line in stderr.lines().map(str::trim) {
        if let Some((name, size)) = line
            .strip_prefix("Downloading ")
            .and_then(|rest| rest.split_once(" ("))
        {
            let number = size.trim_end_matches(|last: char| !last.is_ascii_digit());
            let unit = match size.trim_start_matches(number) {
                "KiB)" => 1024.0,
                "MiB)" => 1024.0 * 1024.0,
                "GiB)" => 1024.0 * 1024.0 * 1024.0,
                _ => 1.0,
            };
            let bytes = number.parse().unwrap_or(0.0) * unit;
            announced.insert(name, bytes as u64);
        } else if let Some(name) = line.strip_prefix("Downloaded ") {
            done += announced.get(name).copied().unwrap_or_default();
        }
    }
    (done, announced.values().sum())
}

async fn run_watched(launch: Launch, what: &str, watch: impl Fn(&[u8])) -> anyhow::Result<ProgramOutput> {
    let output = process::watched_output(&launch, b"", LONGEST_INSTALLATION, watch).await?;
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
    directory.join("bin").join(name)
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
        settings.extend(listing.lines().filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            let key = name.strip_prefix(section)?.strip_prefix('.')?;
            Some((key.to_owned(), unquoted(value)))
        }));
    }
    settings
}

fn pip_variables(environment: &Environment) -> BTreeMap<String, String> {
    environment
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(env::PIP_PREFIX)?, value)))
        .map(|(name, value)| (name.to_ascii_lowercase().replace('_', "-"), value.to_owned()))
        .collect()
}

/// A string as Python's `repr` writes it.
fn unquoted(text: &str) -> String {
    npmrc::unquote(text.trim())
        .replace("\\n", "\n")
        .replace("\\'", "'")
        .replace("\\\\", "\\")
}

/// pip's settings as variables for uv, except those that uv itself has.
fn translate(
    pip: &BTreeMap<String, String>,
    environment: &Environment,
    is_folder: &dyn Fn(&Path) -> bool,
) -> Vec<(&'static str, String)> {
    let get = |key: &str| pip.get(key).cloned().unwrap_or_default();
    let words = |key: &str| get(key).split_whitespace().collect::<Vec<_>>().join(" ");
    let when = |condition: bool, value: &str| if condition { value } else { "" }.to_owned();
    let further = words("extra-index-url");
    // pip takes the best version of all indexes; by default uv takes the first index with the package. The hashes decide
    // in either case.
    let strategy = when(!further.is_empty(), "unsafe-best-match");
    // pip ignores a missing folder; uv fails.
    let links = get("find-links")
        .split_whitespace()
        .filter(|link| link.contains("://") || is_folder(Path::new(link)))
        .collect::<Vec<_>>()
        .join(",");
    // pip uses the platform's certificate store too.
    let system_certificates = when(get("cert").is_empty(), "true");
    let own_certificates = [env::SSL_CERT_FILE, env::SSL_CERT_DIR];
    let system_names = [env::UV_SYSTEM_CERTS, env::UV_NATIVE_TLS];
    let settings: [(&[&'static str], String); 9] = [
        (&[env::UV_DEFAULT_INDEX, env::UV_INDEX_URL], get("index-url")),
        (&[env::UV_INDEX, env::UV_EXTRA_INDEX_URL], further),
        (&[env::UV_INDEX_STRATEGY], strategy),
        (&[env::UV_FIND_LINKS], links),
        (&[env::UV_NO_INDEX], when(is_true(&get("no-index")), "true")),
        (&[env::UV_INSECURE_HOST], words("trusted-host")),
        (&[env::HTTPS_PROXY], get("proxy")),
        (&own_certificates, get("cert")),
        (&[system_names, own_certificates].concat(), system_certificates),
    ];
    settings
        .into_iter()
        .filter(|(names, value)| !value.is_empty() && !environment.has_any(names))
        .map(|(names, value)| (names[0], value))
        .collect()
}

fn is_true(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "1" | "true" | "yes" | "on" | "y" | "t"
    )
}

async fn version_of(program: &Path, tools: &ToolEnvironment) -> Option<Version> {
    let launch = tools
        .launch(program)
        .arguments(["-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]);
    let output = process::output(&launch, b"", Duration::from_secs(30))
        .await
        .ok()?;
    let version = output.stdout_text().trim().parse().ok();
    version.filter(|_| output.is_success())
}

/// The last lines of a program's output, without the user and password of an address.
fn last_lines(output: &ProgramOutput) -> String {
    let text = match output.stderr_text() {
        text if text.trim().is_empty() => output.stdout_text(),
        text => text,
    };
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(without_credentials)
        .collect();
    let last = &lines[lines.len().saturating_sub(12)..];
    [&[output.ended.to_string()], last].concat().join("\n  ")
}

fn without_credentials(line: &str) -> String {
    static CREDENTIALS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"://[^/\s@]+@").expect("the pattern is valid"));
    CREDENTIALS.replace_all(line, "://***@").into_owned()
}

fn hint(reason: &str) -> &'static str {
    let reason = reason.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    let network = [
        "dns error",
        "failed to fetch",
        "connection",
        "failed to establish",
        "client error",
        "timed out",
    ];
    if says(&["no space left", "disk quota", "os error 28"]) {
        "\nhint: the disk is full; free some space, or set `COMPAT_CACHE_DIR` to a folder on another disk"
    } else if says(&["hash mismatch", "do not match the hashes"]) {
        "\nhint: a downloaded package is not the one that `toolchain/` pins; it was deleted"
    } else if says(&network) {
        "\nhint: check the network; the package index comes from the configuration of pip or uv (`pip config list`, \
         `PIP_INDEX_URL`, `UV_DEFAULT_INDEX`)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_downloads_that_uv_announces_are_added_up() {
        let output = "Resolved 3 packages in 9ms\nDownloading numpy (16.5MiB)\nDownloading boto (512.0KiB)\n Downloaded boto\n";
        assert_eq!(downloads(output), (512 << 10, (33 << 19) + (512 << 10)));
        assert_eq!(downloads("Resolved 3 packages in 9ms\n"), (0, 0));
    }

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
        let expected = [
            (env::UV_DEFAULT_INDEX, "https://a.example/simple"),
            (env::UV_INDEX, "https://b.example/simple https://c.example/simple"),
            (env::UV_INDEX_STRATEGY, "unsafe-best-match"),
            (env::UV_FIND_LINKS, "/wheels"),
            (env::UV_INSECURE_HOST, "a.example"),
            (env::SSL_CERT_FILE, "/ca.pem"),
        ];
        let expected = expected.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(translated(listing, &[]), expected);
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
        assert_eq!(settings["index-url"], "3");
        assert_eq!(settings["cert"], "x");
    }

    #[test]
    fn without_a_certificate_file_uv_uses_the_platform_s_store() {
        assert_eq!(translated("", &[]), [(env::UV_SYSTEM_CERTS, "true".to_owned())]);
    }

    #[test]
    fn a_password_in_an_installer_s_output_is_not_repeated() {
        assert_eq!(
            without_credentials("GET https://me:secret@a.example/x"),
            "GET https://***@a.example/x"
        );
    }
}
