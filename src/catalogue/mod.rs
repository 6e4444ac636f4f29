//! The catalogue of gateways: how each is installed, configured and started, how a client authenticates, and what it lacks.
//!
//! Pure. A [`CatalogueEntry`] is the part of `gateways/<name>.yaml` that starts a gateway. Its texts are templates, which
//! [`template`] fills from one neutral list of models, providers and credentials.
#![warn(clippy::disallowed_methods)]

mod configuration;
mod form;
pub mod template;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ids::{CellId, FeatureId, ProviderId};

pub(crate) use configuration::resolve as resolve_configurations;
pub use configuration::{Configuration, Configurations, ConfiguredValues, DEFAULT};
pub(crate) use form::resolve;
pub use form::{ClientForm, EntryForm, InstallForm, StartForm, is_header_name};

/// How a gateway is installed, configured, started and called.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogueEntry {
    pub install: Install,
    /// What a run starts beside the gateway.
    pub needs: Vec<Need>,
    /// Files that are written before the start: each path in the gateway's own folder, and its text as a template.
    pub files: Vec<(String, String)>,
    /// The program and its arguments, as templates. Empty if the gateway is started by this project's own code.
    pub command: Vec<String>,
    /// Variables of its environment, as templates.
    pub environment: Vec<(String, String)>,
    /// The path that answers with success when the gateway is ready.
    pub ready: String,
    pub client: ClientAuth,
}

/// Where a gateway comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Install {
    /// A package for Node with its dependencies, pinned in `toolchain/gateways/<name>.json`.
    Npm { package: String, version: String },
    /// A package for Python with its dependencies, pinned in `toolchain/gateways/<name>.txt`.
    Pypi {
        package: String,
        version: String,
        /// The oldest Python that it supports.
        python: Option<String>,
    },
    /// A tool that this project pins for itself.
    Tool(OwnTool),
    /// A part of this program.
    BuiltIn(BuiltIn),
}

/// A tool that this project pins in `toolchain/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnTool {
    Claude,
    Litellm,
}

/// A gateway that is part of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuiltIn {
    /// It forwards everything, and changes only the credential, the path and the name of the model.
    Transparent,
}

/// A service on loopback that a gateway needs. A run starts it before the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// A PostgreSQL server, from the machine's own programs. Templates have `postgresql.url`.
    Postgresql,
    /// An identity provider. Templates have `sign_in.issuer`, `.client_id` and `.client_secret`. The run signs in by the
    /// device flow, and the token that the gateway grants is the key.
    SignIn,
}

/// How Claude Code authenticates to a gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientAuth {
    pub key: KeyHeader,
    /// Further headers of each request, as templates.
    pub headers: Vec<(String, String)>,
}

/// The header with the gateway's key.
///
/// Source: <https://code.claude.com/docs/en/llm-gateway-protocol#request-headers>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum KeyHeader {
    /// `Authorization: Bearer KEY`, from `ANTHROPIC_AUTH_TOKEN`.
    #[default]
    #[serde(rename = "authorization")]
    Authorization,
    /// `x-api-key: KEY`, from `ANTHROPIC_API_KEY`.
    #[serde(rename = "x-api-key")]
    ApiKey,
}

/// A part of the matrix that a gateway cannot serve by design.
#[derive(Clone, Debug, PartialEq)]
pub struct Lack {
    /// `None` for every column.
    pub providers: Option<Vec<ProviderId>>,
    /// `None` for every row.
    pub features: Option<Vec<FeatureId>>,
    pub reason: String,
}

impl Lack {
    fn covers(&self, cell: &CellId) -> bool {
        self.has_provider(&cell.provider)
            && self
                .features
                .as_ref()
                .is_none_or(|all| all.contains(&cell.feature))
    }

    fn has_provider(&self, provider: &ProviderId) -> bool {
        self.providers.as_ref().is_none_or(|all| all.contains(provider))
    }
}

/// What a gateway cannot do by design. Its cells are not applicable, each with the reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lacks(pub Vec<Lack>);

impl Lacks {
    /// Why the gateway cannot serve a cell; `None` if it can.
    pub fn reason(&self, cell: &CellId) -> Option<&str> {
        let lack = self.0.iter().find(|lack| lack.covers(cell))?;
        Some(&lack.reason)
    }

    /// Whether the gateway serves no cell of a column.
    pub fn lacks_column(&self, provider: &ProviderId) -> bool {
        self.0
            .iter()
            .any(|lack| lack.features.is_none() && lack.has_provider(provider))
    }
}

impl Need {
    /// What it is, for readers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgresql => "PostgreSQL on this machine",
            Self::SignIn => "a sign-in, on loopback",
        }
    }
}

impl Install {
    /// `npm`, `PyPI`, `tool` or `built in`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Npm { .. } => "npm",
            Self::Pypi { .. } => "PyPI",
            Self::Tool(_) => "tool",
            Self::BuiltIn(_) => "built in",
        }
    }
}

impl CatalogueEntry {
    /// Whether the module `gateway::litellm` starts it.
    pub fn is_litellm(&self) -> bool {
        self.install == Install::Tool(OwnTool::Litellm)
    }
}
