//! The only place that names environment variables.
//!
//! Code takes an [`Environment`], a snapshot, instead of asking the process, so that a test can pass its own and
//! what a child process gets is a choice. Nothing here says what a value means to the code that asks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where installed tools are kept; the default is [`XDG_CACHE_HOME`]`/compat-matrix`.
pub const COMPAT_CACHE_DIR: &str = "COMPAT_CACHE_DIR";
/// The user's folder for caches; the default is `~/.cache`.
pub const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
/// The user's folder.
pub const HOME: &str = "HOME";
/// The folders in which programs are looked for.
pub const PATH: &str = "PATH";
/// What the names of the npm client's settings begin with, in any case: `NPM_CONFIG_REGISTRY`.
pub const NPM_CONFIG_PREFIX: &str = "npm_config_";
/// A PEM file with certificate authorities that Node, and so the npm client, trusts beside its own.
pub const NODE_EXTRA_CA_CERTS: &str = "NODE_EXTRA_CA_CERTS";
/// A PEM file with the certificate authorities to trust: OpenSSL's name, which rustls and uv follow.
pub const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// A folder of such files.
pub const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
/// What the names of uv's settings begin with.
pub const UV_PREFIX: &str = "UV_";
/// What the names of pip's settings begin with.
pub const PIP_PREFIX: &str = "PIP_";
/// Which package index uv asks first.
pub const UV_DEFAULT_INDEX: &str = "UV_DEFAULT_INDEX";
/// The older name of [`UV_DEFAULT_INDEX`].
pub const UV_INDEX_URL: &str = "UV_INDEX_URL";
/// Which further package indexes uv asks, separated by blanks.
pub const UV_INDEX: &str = "UV_INDEX";
/// The older name of [`UV_INDEX`].
pub const UV_EXTRA_INDEX_URL: &str = "UV_EXTRA_INDEX_URL";
/// Which index's answer uv takes when several know a package.
pub const UV_INDEX_STRATEGY: &str = "UV_INDEX_STRATEGY";
/// Folders and pages with packages for uv, separated by commas.
pub const UV_FIND_LINKS: &str = "UV_FIND_LINKS";
/// Whether uv asks no index at all.
pub const UV_NO_INDEX: &str = "UV_NO_INDEX";
/// Hosts whose certificates uv does not check, separated by blanks.
pub const UV_INSECURE_HOST: &str = "UV_INSECURE_HOST";
/// Whether uv trusts the platform's certificate store.
pub const UV_SYSTEM_CERTS: &str = "UV_SYSTEM_CERTS";
/// The older name of [`UV_SYSTEM_CERTS`].
pub const UV_NATIVE_TLS: &str = "UV_NATIVE_TLS";
/// Whether uv may download a Python of its own.
pub const UV_PYTHON_DOWNLOADS: &str = "UV_PYTHON_DOWNLOADS";
/// The proxy of `https` addresses.
pub const HTTPS_PROXY: &str = "HTTPS_PROXY";

/// What an installer (`npm`, `pip`, `uv`) may see beside the variables of its own prefix: where it is, how it
/// reaches the network, whom it trusts. No credential of a provider or of GitHub is among them.
const INSTALLER_NAMES: &[&str] = &[
    "ALL_PROXY",
    "APPDATA",
    "CURL_CA_BUNDLE",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "LOCALAPPDATA",
    "NETRC",
    "NODE_EXTRA_CA_CERTS",
    "NO_PROXY",
    "PATH",
    "PYENV_ROOT",
    "PYENV_VERSION",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
    "USERPROFILE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
];

/// A snapshot of environment variables.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process; one that is not Unicode is left out.
    pub fn of_this_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// The value of `name`; an empty one counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Whether any of `names` is set.
    pub fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.get(name).is_some())
    }

    /// Every name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets one variable of the snapshot, not of the process.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// The user's folder.
    pub fn home(&self) -> Option<&Path> {
        self.get(HOME).map(Path::new)
    }

    /// The file of the program `name` on the `PATH`.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(self.get(PATH)?)
            .map(|folder| folder.join(name))
            .find(|candidate| is_executable(candidate))
    }

    /// What an installer may see.
    pub fn for_installers(&self) -> Self {
        let allowed = |name: &str| {
            let name = name.to_ascii_uppercase();
            INSTALLER_NAMES.contains(&name.as_str())
                || [UV_PREFIX, PIP_PREFIX, &NPM_CONFIG_PREFIX.to_ascii_uppercase()]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
        };
        self.iter().filter(|(name, _)| allowed(name)).collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}
