//! The package registry that the npm client uses, and what it says about a package.
//!
//! No address is built in: it comes from the npm client's environment variables, its configuration files, or the
//! client itself. A token is sent to the host it is configured for alone, and never shown.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;

use super::http::{Client, FetchError, Patience, Request, redacted};
use super::integrity::Sha512;
use super::{Surroundings, npmrc};
use crate::env::{self, Environment};
use crate::process::{self, Bounds};

/// The scope whose registry may be set apart from the others'.
const SCOPE: &str = "@anthropic-ai:registry";

/// The npm client's settings, in order of precedence.
#[derive(Clone, Debug)]
pub struct Settings {
    layers: Vec<BTreeMap<String, String>>,
}

#[derive(Clone, Debug)]
pub struct Registry {
    base: Url,
    settings: Settings,
    client: Client,
}

/// A package's metadata, as the registry answers `GET /<name>`.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    #[serde(default)]
    pub versions: BTreeMap<String, Version>,
    /// When each version was published; `created`, `modified` and withdrawn versions are among them.
    #[serde(default)]
    pub time: BTreeMap<String, String>,
}

/// What the metadata says about one version.
#[derive(Clone, Debug, Deserialize)]
pub struct Version {
    #[serde(default)]
    pub dist: Distribution,
    /// Why not to use it any more.
    #[serde(default, deserialize_with = "deprecation")]
    pub deprecated: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Distribution {
    /// Its digest, `sha512-…`; very old versions have none.
    pub integrity: Option<String>,
    pub tarball: Option<String>,
}

/// The registry cannot be found or asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(
        "no package registry is configured, and there is no `npm` on the PATH to ask: set `NPM_CONFIG_REGISTRY` to \
         its address, or put a line `registry=ADDRESS` into `~/.npmrc`"
    )]
    NotConfigured,
    /// The npm client was asked and did not say.
    #[error(
        "`npm config get registry` did not say an address ({0}): set `NPM_CONFIG_REGISTRY` to the registry's"
    )]
    ClientFailed(String),
    /// What is configured is not an address.
    #[error("the registry's address in {whence} is not an `http` or `https` URL")]
    Address { whence: String },
    /// A configured file of certificate authorities cannot be used.
    #[error("cannot use the certificate authorities in `{}`: {reason}", file.display())]
    Certificates { file: PathBuf, reason: String },
    #[error("{0}{hint}", hint = hint(.0))]
    Fetch(FetchError),
    /// The registry's answer is not a package's metadata.
    #[error("`{url}` answered something that is not a package's metadata: {reason}")]
    Malformed { url: String, reason: serde_json::Error },
    #[error("the registry has no `{package}` {version}{}", newest(.known))]
    NoVersion {
        package: String,
        version: String,
        /// The versions there are, oldest first.
        known: Vec<String>,
    },
    /// A version without the one digest that is accepted.
    #[error("the registry gives no sha512 for `{package}` {version}")]
    NoDigest { package: String, version: String },
}

impl From<FetchError> for RegistryError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl Settings {
    /// Reads the settings that an npm client run in `directory` with `environment` would have.
    pub fn read(environment: &Environment, directory: &Path) -> Self {
        let variables = from_variables(environment);
        let file = |path: Option<PathBuf>| match path.map(std::fs::read_to_string) {
            Some(Ok(text)) => npmrc::parse(&text, environment),
            _ => BTreeMap::new(),
        };
        let user = variables
            .get("userconfig")
            .map(PathBuf::from)
            .or_else(|| Some(environment.home()?.join(".npmrc")));
        let user = file(user);
        let prefix = variables
            .get("prefix")
            .or_else(|| user.get("prefix"))
            .map(PathBuf::from)
            .or_else(|| Some(environment.find_program("npm")?.parent()?.parent()?.to_owned()));
        let global = variables
            .get("globalconfig")
            .map(PathBuf::from)
            .or_else(|| Some(prefix?.join("etc/npmrc")));
        Self {
            layers: vec![
                variables.clone(),
                file(Some(directory.join(".npmrc"))),
                user,
                file(global),
            ],
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.layers
            .iter()
            .find_map(|layer| layer.get(key))
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The credentials for `url`: npm keeps them by address without scheme, the longest that fits counts.
    fn authorization(&self, url: &Url) -> Option<HeaderValue> {
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str()?),
            None => url.host_str()?.to_owned(),
        };
        let mut path = url.path();
        while let Some(end) = path.rfind('/') {
            path = &path[..end];
            let of = |name: &str| self.get(&format!("//{host}{path}/:{name}"));
            let value = of("_authToken")
                .map(|token| format!("Bearer {token}"))
                .or_else(|| Some(format!("Basic {}", of("_auth")?)));
            if let Some(mut value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                value.set_sensitive(true);
                return Some(value);
            }
        }
        None
    }
}

impl Registry {
    /// The registry that the npm client uses for Claude Code, as configured in `surroundings`.
    pub async fn find(surroundings: &Surroundings) -> Result<Self, RegistryError> {
        let environment = &surroundings.environment;
        let directory = std::env::current_dir().unwrap_or_default();
        let settings = Settings::read(environment, &directory);
        let (whence, address) = match [SCOPE, "registry"]
            .into_iter()
            .find_map(|key| Some((key, settings.get(key)?)))
        {
            Some((key, address)) => (format!("the npm setting `{key}`"), address.to_owned()),
            None => ("the npm client's answer".to_owned(), ask_npm(surroundings).await?),
        };
        let base = Url::parse(&address)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or(RegistryError::Address { whence })?;
        let client = client(environment, &settings, surroundings.patience)?;
        Ok(Self {
            base,
            settings,
            client,
        })
    }

    pub fn address(&self) -> String {
        redacted(&self.base)
    }

    /// All that the registry says about the package `name`.
    pub async fn package(&self, name: &str) -> Result<Package, RegistryError> {
        self.metadata(name, "application/json").await
    }

    /// What the registry says about one version of the package `name`.
    pub async fn version(&self, name: &str, version: &str) -> Result<Version, RegistryError> {
        // The abbreviated form has no `time`, and is a sixth of the size.
        let mut package = self
            .metadata(
                name,
                "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8",
            )
            .await?;
        package
            .versions
            .remove(version)
            .ok_or_else(|| RegistryError::NoVersion {
                package: name.to_owned(),
                version: version.to_owned(),
                known: package.versions.into_keys().collect(),
            })
    }

    /// Fetches `version`'s file, as [`Client::download`], and says its digest and where it came from.
    pub async fn download(
        &self,
        version: &Version,
        file: &Path,
        told: &(dyn Fn(u64, Option<u64>) + Sync),
    ) -> Result<(Sha512, String), RegistryError> {
        let address = version.dist.tarball.as_deref().unwrap_or_default();
        let published = Url::parse(address).map_err(|_| RegistryError::Address {
            whence: "`dist.tarball` of the package's metadata".to_owned(),
        })?;
        if let Some(mirrored) = self.mirrored(&published) {
            match self
                .client
                .download(&self.request(mirrored.clone()), file, told)
                .await
            {
                Ok(digest) => return Ok((digest, redacted(&mirrored))),
                // It keeps its files elsewhere, and says where.
                Err(error) if error.is_refusal() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let digest = self
            .client
            .download(&self.request(published.clone()), file, told)
            .await?;
        Ok((digest, redacted(&published)))
    }

    async fn metadata(&self, name: &str, accept: &'static str) -> Result<Package, RegistryError> {
        let mut request = self.request(self.below(&name.replace('/', "%2f")));
        request.headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let response = self.client.get(&request).await?;
        response.json().map_err(|reason| RegistryError::Malformed {
            url: redacted(&request.url),
            reason,
        })
    }

    /// A tarball's address at the configured registry, if its own is at another host: a mirror may pass on metadata
    /// as published, from a network that reaches the mirror alone. npm does the same (`replace-registry-host`).
    fn mirrored(&self, published: &Url) -> Option<Url> {
        (published.host() != self.base.host()).then(|| self.below(published.path().trim_start_matches('/')))
    }

    fn below(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    fn request(&self, url: Url) -> Request {
        let mut headers = HeaderMap::new();
        if let Some(value) = self.settings.authorization(&url) {
            headers.insert(AUTHORIZATION, value);
        }
        Request { url, headers }
    }
}

/// npm's settings in environment variables: any case, `_` for `-` except in keys that address a host.
fn from_variables(environment: &Environment) -> BTreeMap<String, String> {
    environment
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| {
            let prefix = name.get(..env::NPM_CONFIG_PREFIX.len())?;
            let key = &name[prefix.len()..];
            prefix.eq_ignore_ascii_case(env::NPM_CONFIG_PREFIX).then(|| {
                if key.starts_with("//") || key.starts_with('@') {
                    (key.to_owned(), value.to_owned())
                } else {
                    (key.to_ascii_lowercase().replace('_', "-"), value.to_owned())
                }
            })
        })
        .collect()
}

async fn ask_npm(surroundings: &Surroundings) -> Result<String, RegistryError> {
    let npm = surroundings
        .environment
        .find_program("npm")
        .ok_or(RegistryError::NotConfigured)?;
    let launch = surroundings.launch(npm).arguments(["config", "get", "registry"]);
    let output = process::output(&launch, b"", Bounds::deadline(Duration::from_secs(60)))
        .await
        .map_err(|error| RegistryError::ClientFailed(error.to_string()))?;
    match output.stdout_text().trim() {
        answer if output.is_success() && !matches!(answer, "" | "undefined" | "null") => {
            Ok(answer.to_owned())
        }
        _ if output.timed_out => Err(RegistryError::ClientFailed("no answer in a minute".to_owned())),
        _ => Err(RegistryError::ClientFailed(output.ended.to_string())),
    }
}

fn client(
    environment: &Environment,
    settings: &Settings,
    patience: Patience,
) -> Result<Client, RegistryError> {
    let file = settings
        .get("cafile")
        .or_else(|| environment.get(env::NODE_EXTRA_CA_CERTS));
    let failed = |file: &str, reason: String| RegistryError::Certificates {
        file: PathBuf::from(file),
        reason,
    };
    let mut roots = Vec::new();
    if let Some(file) = file {
        roots.push(std::fs::read(file).map_err(|error: io::Error| failed(file, error.to_string()))?);
    }
    Client::new(patience, &roots).map_err(|fault| failed(file.unwrap_or_default(), fault.to_string()))
}

/// The registry answers `deprecated` with a text, seldom with a flag; an empty text takes a deprecation back.
fn deprecation<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) if !text.is_empty() => Some(text),
        serde_json::Value::Bool(true) => Some("deprecated".to_owned()),
        _ => None,
    })
}

fn hint(error: &FetchError) -> String {
    use super::http::Fault;
    use reqwest::StatusCode;
    match &error.fault {
        Fault::Unreachable(_) | Fault::TimedOut => {
            "\nhint: is there a network? the registry's address comes from `NPM_CONFIG_REGISTRY` or `.npmrc`, a proxy's \
             from `HTTPS_PROXY`, certificates from `SSL_CERT_FILE`"
        }
        Fault::Status { status, .. } if matches!(*status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            "\nhint: does this registry want a token? `.npmrc` holds it as `//HOST/:_authToken=${NAME_OF_A_VARIABLE}`"
        }
        Fault::Status { status, .. } if *status == StatusCode::NOT_FOUND => {
            "\nhint: does this registry carry the package? its address comes from `NPM_CONFIG_REGISTRY` or `.npmrc`"
        }
        _ => "",
    }
    .to_owned()
}

fn newest(known: &[String]) -> String {
    let mut known: Vec<semver::Version> = known.iter().filter_map(|version| version.parse().ok()).collect();
    known.sort();
    let newest: Vec<String> = known
        .iter()
        .rev()
        .take(3)
        .map(|version| format!("`{version}`"))
        .collect();
    if newest.is_empty() {
        String::new()
    } else {
        format!("; the newest are {}", newest.join(", "))
    }
}
