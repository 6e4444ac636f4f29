//! The index of Python packages that pip and uv use: the releases of a package, and when each was published.
//!
//! No address is built in: it comes from the configuration of uv and pip, or from pip itself. The format is the simple
//! repository API in JSON (Python packaging's PEP 691), with versions and times (PEP 700).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, Utc};
use reqwest::Method;
use reqwest::header::ACCEPT;
use serde::Deserialize;

use super::ToolEnvironment;
use super::python::Python;
use crate::env::{self, Environment};
use crate::http::{Client, parse_url, redacted};
use crate::process;

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// One release of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageRelease {
    pub version: String,
    /// When its first file was published.
    pub published: DateTime<Utc>,
    /// Whether its author withdrew it (PEP 592).
    pub yanked: bool,
}

#[derive(Deserialize)]
struct Listing {
    files: Vec<ListedFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ListedFile {
    filename: String,
    upload_time: Option<DateTime<Utc>>,
    /// A reason, or whether there is one.
    #[serde(default)]
    yanked: serde_json::Value,
}

/// The releases of `package`, the oldest first. `environment` is the one for uv.
pub(super) async fn releases(
    package: &str,
    python: &Python,
    environment: &Environment,
    tools: &ToolEnvironment,
) -> anyhow::Result<Vec<PackageRelease>> {
    let address = address(python, environment, tools).await?;
    let base =
        parse_url(&address).context("the address of the package index is not an `http` or `https` URL")?;
    let mut url = base.clone();
    url.set_path(&format!("{}/{package}/", base.path().trim_end_matches('/')));
    let roots = environment
        .path(env::SSL_CERT_FILE)
        .and_then(|file| std::fs::read(file).ok());
    let client = Client::new(tools.retry, roots.as_deref())?;
    let request = client.request(Method::GET, &url).header(ACCEPT, JSON).build();
    let response = client.send(&request.context("cannot ask the package index")?).await.map_err(|error| {
        anyhow!("{error}\nhint: the address comes from the configuration of pip or uv (`pip config list`, `UV_DEFAULT_INDEX`)")
    })?;
    let listing: Listing = response.json().with_context(|| {
        format!(
            "the response of `{}` is not a list of releases in JSON",
            redacted(&url)
        )
    })?;
    let releases = of_files(package, listing.files);
    anyhow::ensure!(
        !releases.is_empty(),
        "`{}` lists no release with a time of publication: use an index that has them",
        redacted(&url)
    );
    Ok(releases)
}

/// The index that uv would ask. Without configuration, pip says what it asks.
async fn address(
    python: &Python,
    environment: &Environment,
    tools: &ToolEnvironment,
) -> anyhow::Result<String> {
    let configured = [env::UV_DEFAULT_INDEX, env::UV_INDEX_URL];
    if let Some(address) = configured.iter().find_map(|name| environment.get(name)) {
        return Ok(address.to_owned());
    }
    let ask = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)";
    let launch = tools.launch(&python.program).arguments(["-c", ask]);
    let output = process::output(&launch, b"", Duration::from_secs(60)).await?;
    match output.stdout_text().trim() {
        address if output.is_success() && !address.is_empty() => Ok(address.to_owned()),
        _ => Err(anyhow!(
            "no package index is configured, and this Python has no pip to ask: set `{}` to its address",
            env::UV_DEFAULT_INDEX
        )),
    }
}

fn of_files(package: &str, files: Vec<ListedFile>) -> Vec<PackageRelease> {
    let mut found: BTreeMap<String, PackageRelease> = BTreeMap::new();
    for file in files {
        let (Some(version), Some(published)) = (version_of(package, &file.filename), file.upload_time) else {
            continue;
        };
        let yanked = !matches!(
            file.yanked,
            serde_json::Value::Null | serde_json::Value::Bool(false)
        );
        let release = found.entry(version.to_owned()).or_insert_with(|| PackageRelease {
            version: version.to_owned(),
            published,
            yanked,
        });
        release.published = release.published.min(published);
        release.yanked &= yanked;
    }
    let mut releases: Vec<PackageRelease> = found.into_values().collect();
    releases.sort_by_key(|release| release.published);
    releases
}

/// The version in the name of a wheel (`NAME-VERSION-….whl`) or of a source distribution (`NAME-VERSION.tar.gz`).
fn version_of<'a>(package: &str, file: &'a str) -> Option<&'a str> {
    let rest = file.strip_prefix(&package.replace('-', "_"))?.strip_prefix('-')?;
    match rest.strip_suffix(".tar.gz") {
        Some(version) => Some(version),
        None => rest.strip_suffix(".whl")?.split('-').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_release_are_one_release() {
        let listing: Listing = serde_json::from_value(serde_json::json!({"files": [
            {"filename": "litellm-1.9.0.tar.gz", "upload-time": "2026-01-02T00:00:10Z", "yanked": false},
            {"filename": "litellm-1.9.0-py3-none-any.whl", "upload-time": "2026-01-02T00:00:00Z"},
            {"filename": "litellm-1.8.0rc1-py3-none-any.whl", "upload-time": "2026-01-01T00:00:00Z", "yanked": "bad"},
            {"filename": "litellm-1.7.0-py3-none-any.whl"},
            {"filename": "other-1.0.0.tar.gz", "upload-time": "2026-01-01T00:00:00Z"}
        ]}))
        .unwrap();
        let found = of_files("litellm", listing.files);
        let found: Vec<(&str, String, bool)> = found
            .iter()
            .map(|release| {
                (
                    release.version.as_str(),
                    release.published.to_rfc3339(),
                    release.yanked,
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("1.8.0rc1", "2026-01-01T00:00:00+00:00".to_owned(), true),
                ("1.9.0", "2026-01-02T00:00:00+00:00".to_owned(), false)
            ]
        );
    }
}
