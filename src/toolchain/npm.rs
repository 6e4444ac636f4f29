//! The package registry that the npm client uses.
//!
//! No address is built in: it comes from the npm client's environment variables, its configuration files, or the client
//! itself. A token is sent only to its configured host and never shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request, StatusCode, Url};
use serde::Deserialize;

use super::platform::CLAUDE_PACKAGE;
use super::{ToolEnvironment, cache, npmrc, proxy};
use crate::digest::Sha512;
use crate::env::{self, Environment};
use crate::http::{Client, FetchError, RequestError, parse_url, redacted};
use crate::process;
use crate::text::listed;

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

/// A package's metadata: the response to `GET /<name>`.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    #[serde(default)]
    pub versions: BTreeMap<String, Version>,
    /// When each version was published, withdrawn ones too; also has `created` and `modified`.
    #[serde(default)]
    pub time: BTreeMap<String, String>,
}
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

impl Settings {
    /// The settings of an npm client that runs in `directory` with `environment`.
    pub fn read(environment: &Environment, directory: &Path) -> Self {
        let file = |path: Option<PathBuf>| {
            let text = path.and_then(|path| std::fs::read_to_string(path).ok());
            npmrc::parse(&text.unwrap_or_default(), environment)
        };
        let path = |layer: &BTreeMap<String, String>, key: &str| layer.get(key).map(PathBuf::from);
        let variables = from_variables(environment);
        let user = path(&variables, "userconfig").or_else(|| Some(environment.home()?.join(".npmrc")));
        let user = file(user);
        let prefix = path(&variables, "prefix")
            .or_else(|| path(&user, "prefix"))
            .or_else(|| Some(environment.find_program("npm")?.parent()?.parent()?.to_owned()));
        let global = path(&variables, "globalconfig").or_else(|| Some(prefix?.join("etc/npmrc")));
        let project = file(Some(directory.join(".npmrc")));
        Self {
            layers: vec![variables, project, user, file(global)],
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.layers
            .iter()
            .find_map(|layer| layer.get(key))
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The credentials for `url`. npm stores them by address without scheme; the longest match counts.
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
    /// The registry that the npm client uses for Claude Code.
    pub async fn find(tools: &ToolEnvironment) -> anyhow::Result<Self> {
        Self::of(CLAUDE_PACKAGE, tools).await
    }

    /// The registry that the npm client uses for `package`: a scope may have its own.
    pub async fn of(package: &str, tools: &ToolEnvironment) -> anyhow::Result<Self> {
        proxy::ensure_answers(&tools.environment).await?;
        let directory = std::env::current_dir().unwrap_or_default();
        let settings = Settings::read(&tools.environment, &directory);
        let scope = package
            .split_once('/')
            .map(|(scope, _)| format!("{scope}:registry"));
        let configured = scope
            .as_deref()
            .into_iter()
            .chain(["registry"])
            .find_map(|key| Some((format!("the npm setting `{key}`"), settings.get(key)?.to_owned())));
        let (origin, address) = match configured {
            Some(configured) => configured,
            None => ("the npm client's answer".to_owned(), ask_npm(tools).await?),
        };
        Ok(Self {
            base: http_url(&address, &origin)?,
            client: client(tools, &settings)?,
            settings,
        })
    }

    pub fn address(&self) -> String {
        redacted(&self.base)
    }

    /// The whole metadata of the package `name`.
    pub async fn package(&self, name: &str) -> anyhow::Result<Package> {
        self.metadata(name, "application/json").await
    }

    /// The metadata of one version of the package `name`.
    pub async fn version(&self, name: &str, version: &str) -> anyhow::Result<Version> {
        // The abbreviated form has no `time`, and is a sixth of the size.
        let accept = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8";
        let mut package = self.metadata(name, accept).await?;
        match package.versions.remove(version) {
            Some(version) => Ok(version),
            None => bail!(
                "the registry has no `{name}` {version}{}",
                newest(package.versions.keys())
            ),
        }
    }

    /// Downloads `version`'s archive into `file` as [`Client::download`] does. Returns its digest and its address.
    pub async fn download(
        &self,
        version: &Version,
        file: &Path,
        advance: &(dyn Fn(u64, Option<u64>) + Sync),
    ) -> anyhow::Result<(Sha512, String)> {
        let address = version.dist.tarball.as_deref().unwrap_or_default();
        let published = http_url(address, "`dist.tarball` of the package's metadata")?;
        let failed = |error| match error {
            FetchError {
                reason: RequestError::Write(error),
                ..
            } => cache::failed("write", file)(error),
            error => with_hint(error),
        };
        let download = async |url: &Url| {
            let downloaded = self.client.download(&self.request(url), file, advance).await;
            downloaded.map(|digest| (digest, redacted(url)))
        };
        if let Some(mirrored) = self.mirrored(&published) {
            match download(&mirrored).await {
                // The registry stores its files elsewhere, at the published address.
                Err(error) if error.status().is_some_and(|status| status.is_client_error()) => {}
                downloaded => return downloaded.map_err(failed),
            }
        }
        download(&published).await.map_err(failed)
    }

    async fn metadata(&self, name: &str, accept: &'static str) -> anyhow::Result<Package> {
        let url = self.below(&name.replace('/', "%2f"));
        let mut request = self.request(&url);
        request
            .headers_mut()
            .insert(ACCEPT, HeaderValue::from_static(accept));
        let response = self.client.send(&request).await.map_err(with_hint)?;
        response
            .json()
            .with_context(|| format!("the response of `{}` is not a package's metadata", redacted(&url)))
    }

    /// A tarball's address at the configured registry, if it was published for another host. A mirror may pass on metadata
    /// unchanged to a network that reaches only the mirror. npm does the same (`replace-registry-host`).
    fn mirrored(&self, published: &Url) -> Option<Url> {
        (published.host() != self.base.host()).then(|| self.below(published.path().trim_start_matches('/')))
    }

    fn below(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    fn request(&self, url: &Url) -> Request {
        let mut request = Request::new(Method::GET, url.clone());
        let authorization = self.settings.authorization(url);
        request
            .headers_mut()
            .extend(authorization.map(|value| (AUTHORIZATION, value)));
        request
    }
}

fn http_url(address: &str, origin: &str) -> anyhow::Result<Url> {
    parse_url(address)
        // The address may hold a password, so the error does not show it.
        .with_context(|| format!("the registry's address in {origin} is not an `http` or `https` URL"))
}

/// npm's settings in environment variables: in any case, `_` for `-` except in keys that name a host.
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

async fn ask_npm(tools: &ToolEnvironment) -> anyhow::Result<String> {
    let npm = tools.environment.find_program("npm").context(
        "no package registry is configured, and there is no `npm` on the PATH to ask: set `NPM_CONFIG_REGISTRY` to its \
         address, or put a line `registry=ADDRESS` into `~/.npmrc`",
    )?;
    let launch = tools.launch(npm).arguments(["config", "get", "registry"]);
    let output = process::output(&launch, b"", Duration::from_secs(60)).await?;
    match output.stdout_text().trim() {
        answer if output.is_success() && !matches!(answer, "" | "undefined" | "null") => {
            Ok(answer.to_owned())
        }
        _ => bail!(
            "`npm config get registry` printed no address ({}): set `NPM_CONFIG_REGISTRY` to the registry's",
            match output.timed_out {
                true => "no answer within a minute".to_owned(),
                false => output.ended.to_string(),
            }
        ),
    }
}

fn client(tools: &ToolEnvironment, settings: &Settings) -> anyhow::Result<Client> {
    let file = settings
        .get("cafile")
        .or_else(|| tools.environment.get(env::NODE_EXTRA_CA_CERTS));
    let Some(file) = file else {
        return Client::new(tools.retry, None);
    };
    let roots = std::fs::read(file).map_err(anyhow::Error::from);
    roots
        .and_then(|roots| Client::new(tools.retry, Some(&roots)))
        .with_context(|| format!("cannot use the certificate authorities in `{file}`"))
}

/// The registry sends `deprecated` as a text, seldom as a flag; an empty text takes a deprecation back.
fn deprecation<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) if !text.is_empty() => Some(text),
        serde_json::Value::Bool(true) => Some("deprecated".to_owned()),
        _ => None,
    })
}

fn with_hint(error: FetchError) -> anyhow::Error {
    let hint = match (&error.reason, error.status()) {
        (RequestError::Unreachable(_) | RequestError::TimedOut, _) => {
            "\nhint: check the network; the registry's address comes from `NPM_CONFIG_REGISTRY` or `.npmrc`, a proxy's from \
             `HTTPS_PROXY`, certificates from `SSL_CERT_FILE`"
        }
        (_, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
            "\nhint: does this registry need a token? `.npmrc` holds it as `//HOST/:_authToken=${NAME_OF_A_VARIABLE}`"
        }
        (_, Some(StatusCode::NOT_FOUND)) => {
            "\nhint: does this registry carry the package? its address comes from `NPM_CONFIG_REGISTRY` or `.npmrc`"
        }
        _ => "",
    };
    anyhow!("{error}{hint}")
}

fn newest<'a>(known: impl Iterator<Item = &'a String>) -> String {
    let mut known: Vec<semver::Version> = known.filter_map(|version| version.parse().ok()).collect();
    known.sort();
    let newest: Vec<String> = known.iter().rev().take(3).map(ToString::to_string).collect();
    match newest.is_empty() {
        true => String::new(),
        false => format!("; the newest are {}", listed(newest.iter().map(String::as_str))),
    }
}
