//! The credentials that a gateway must send: random for each simulator, and valid for it alone.

use std::collections::BTreeMap;

use anyhow::Context as _;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use once_cell::sync::OnceCell;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::oauth::AccessTokens;
use crate::clock::now_ms;
use crate::digest::Sha512;
use crate::env::{self, Variables};
use crate::text::hex;
use crate::wire::redaction::SUBSCRIPTION_PREFIX;
use crate::wire::target::TOKEN_PATH;

/// The key of all service accounts of this process: making one is slow. An assertion is still valid for one simulator only,
/// because it names the account and the `token_uri`.
static SERVICE_ACCOUNT_KEY: OnceCell<KeyPair> = OnceCell::new();

/// Credentials of one simulator, for every provider that it replaces. It has no `Debug`, so no log can show them.
#[derive(Clone)]
pub struct Credentials {
    pub anthropic_api_key: String,
    /// The key of the simulated resource of Microsoft Foundry.
    pub azure_api_key: String,
    /// A token of Microsoft Entra, which replaces the key.
    pub entra_token: String,
    pub aws_access_key_id: String,
    pub aws_secret_access_key: String,
    /// An Amazon Bedrock API key: a bearer token that replaces a signature.
    pub bedrock_api_key: String,
    /// The region of signatures.
    pub aws_region: String,
    /// A service account's JSON with its private key; its `token_uri` is the simulator's.
    pub vertex_service_account: String,
    pub vertex_project: String,
    pub vertex_location: String,
    /// The service account's address, which is the issuer of its assertions.
    pub(super) vertex_client_email: String,
    /// The audience of its assertions.
    pub(super) vertex_token_uri: String,
    /// The public half of its key, PKCS #1 in DER.
    pub(super) vertex_public_key: Vec<u8>,
    /// Signs access tokens and thinking.
    pub(super) secret: Vec<u8>,
}

/// The form in which credentials are saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedCredentials {
    anthropic_api_key: String,
    azure_api_key: String,
    entra_token: String,
    aws_access_key_id: String,
    aws_secret_access_key: String,
    bedrock_api_key: String,
    aws_region: String,
    vertex_service_account: Value,
    vertex_location: String,
    secret: String,
}

impl Credentials {
    /// Makes credentials for a simulator at `base_url`. The first call makes an RSA key, which is slow.
    pub(super) fn mint(base_url: &str) -> Result<Self, Unspecified> {
        let key = SERVICE_ACCOUNT_KEY.get_or_try_init(|| KeyPair::generate(KeySize::Rsa2048))?;
        let private_key: Pkcs8V1Der<'_> = key.as_der()?;
        let project = format!("compat-{}", random_hex(4)?);
        let email = format!("simulator@{project}.iam.gserviceaccount.com");
        let token_uri = format!("{base_url}{TOKEN_PATH}");
        let service_account = json!({
            "type": "service_account",
            "project_id": project,
            "private_key_id": random_hex(20)?,
            "private_key": pem("PRIVATE KEY", private_key.as_ref()),
            "client_email": email,
            "client_id": "100000000000000000000",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        });
        Ok(Self {
            anthropic_api_key: format!("sk-ant-api03-{}AA", random_text(69)?),
            azure_api_key: random_text(63)?,
            entra_token: format!("eyJ{}", random_text(90)?),
            aws_access_key_id: format!("AKIA{}", random_hex(8)?.to_uppercase()),
            aws_secret_access_key: STANDARD.encode(random_bytes(30)?),
            bedrock_api_key: format!("ABSK{}", STANDARD.encode(random_bytes(60)?)),
            aws_region: "us-east-1".to_owned(),
            vertex_service_account: service_account.to_string(),
            vertex_project: project,
            vertex_location: "us-east5".to_owned(),
            vertex_client_email: email,
            vertex_token_uri: token_uri,
            vertex_public_key: key.public_key().as_ref().to_vec(),
            secret: random_bytes(32)?,
        })
    }

    /// The credentials as JSON, for [`Credentials::from_saved`].
    pub fn saved(&self) -> String {
        let saved = SavedCredentials {
            anthropic_api_key: self.anthropic_api_key.clone(),
            azure_api_key: self.azure_api_key.clone(),
            entra_token: self.entra_token.clone(),
            aws_access_key_id: self.aws_access_key_id.clone(),
            aws_secret_access_key: self.aws_secret_access_key.clone(),
            bedrock_api_key: self.bedrock_api_key.clone(),
            aws_region: self.aws_region.clone(),
            vertex_service_account: serde_json::from_str(&self.vertex_service_account).unwrap_or_default(),
            vertex_location: self.vertex_location.clone(),
            secret: STANDARD.encode(&self.secret),
        };
        format!("{:#}\n", json!(saved))
    }

    /// The saved credentials of another simulator, for one at `base_url`.
    pub(super) fn from_saved(text: &str, base_url: &str) -> anyhow::Result<Self> {
        let saved: SavedCredentials = serde_json::from_str(text)?;
        let mut account = saved.vertex_service_account;
        let field = |name: &str| {
            let text = account[name].as_str().map(str::to_owned);
            text.with_context(|| format!("`vertex_service_account` has no `{name}`"))
        };
        let (project, email) = (field("project_id")?, field("client_email")?);
        let key: String = field("private_key")?
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        let key = KeyPair::from_pkcs8(&STANDARD.decode(key)?)
            .map_err(|error| anyhow::anyhow!("`private_key` is no RSA key: {error}"))?;
        let token_uri = format!("{base_url}{TOKEN_PATH}");
        account["token_uri"] = token_uri.clone().into();
        Ok(Self {
            anthropic_api_key: saved.anthropic_api_key,
            azure_api_key: saved.azure_api_key,
            entra_token: saved.entra_token,
            aws_access_key_id: saved.aws_access_key_id,
            aws_secret_access_key: saved.aws_secret_access_key,
            bedrock_api_key: saved.bedrock_api_key,
            aws_region: saved.aws_region,
            vertex_service_account: account.to_string(),
            vertex_project: project,
            vertex_location: saved.vertex_location,
            vertex_client_email: email,
            vertex_token_uri: token_uri,
            vertex_public_key: key.public_key().as_ref().to_vec(),
            secret: STANDARD.decode(saved.secret)?,
        })
    }

    /// The environment of a gateway with this project's `proxy_config.yaml` and a simulator at `base_url`. It contains the
    /// service account's JSON, not the name of a file.
    pub fn for_gateway(&self, base_url: &str) -> Variables {
        let access_token = AccessTokens::new(&self.secret).mint(now_ms());
        [
            (env::ANTHROPIC_API_BASE, base_url),
            (env::ANTHROPIC_API_KEY, &self.anthropic_api_key),
            (env::AZURE_AI_API_BASE, base_url),
            (env::AZURE_AI_API_KEY, &self.azure_api_key),
            (env::AWS_BEDROCK_RUNTIME_ENDPOINT, base_url),
            (env::BEDROCK_MANTLE_API_BASE, base_url),
            (env::AWS_ACCESS_KEY_ID, &self.aws_access_key_id),
            (env::AWS_SECRET_ACCESS_KEY, &self.aws_secret_access_key),
            (env::BEDROCK_API_KEY, &self.bedrock_api_key),
            (env::AWS_REGION_NAME, &self.aws_region),
            (env::VERTEXAI_API_BASE, base_url),
            (env::VERTEXAI_CREDENTIALS, &self.vertex_service_account),
            (env::VERTEXAI_ACCESS_TOKEN, &access_token),
            (env::VERTEXAI_PROJECT, &self.vertex_project),
            (env::VERTEXAI_LOCATION, &self.vertex_location),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
    }

    /// The variables of [`Credentials::for_gateway`] that say where requests are processed.
    pub(super) fn place(&self) -> BTreeMap<String, String> {
        [
            (env::VERTEXAI_PROJECT, &self.vertex_project),
            (env::VERTEXAI_LOCATION, &self.vertex_location),
        ]
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .into()
    }

    /// The token of a Claude subscription. It follows from the other secrets, so saved credentials do not contain it.
    pub fn oauth_token(&self) -> String {
        let digest = Sha512::of(&[b"oauth ", &self.secret[..]].concat()).to_string();
        let text: String = digest.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("{SUBSCRIPTION_PREFIX}{text}")
    }

    /// The values that no recording may contain.
    pub(super) fn secrets(&self) -> Vec<String> {
        // Without `..`: a new field must be a secret, or be named here.
        let Self {
            anthropic_api_key,
            azure_api_key,
            entra_token,
            aws_access_key_id,
            aws_secret_access_key,
            bedrock_api_key,
            aws_region: _,
            vertex_service_account,
            vertex_project: _,
            vertex_location: _,
            vertex_client_email: _,
            vertex_token_uri: _,
            vertex_public_key: _,
            secret,
        } = self;
        let shown = [
            anthropic_api_key,
            azure_api_key,
            entra_token,
            aws_access_key_id,
            aws_secret_access_key,
            bedrock_api_key,
            vertex_service_account,
        ];
        let derived = [self.oauth_token(), STANDARD.encode(secret)];
        shown.into_iter().cloned().chain(derived).collect()
    }
}

fn random_bytes(count: usize) -> Result<Vec<u8>, Unspecified> {
    let mut bytes = vec![0; count];
    rand::fill(&mut bytes)?;
    Ok(bytes)
}

fn random_hex(count: usize) -> Result<String, Unspecified> {
    Ok(hex(&random_bytes(count)?))
}

/// A random key for the control routes.
pub fn new_control_key() -> Result<String, Unspecified> {
    random_text(32)
}

/// Letters, digits, `-` and `_` for `count` random bytes.
pub(super) fn random_text(count: usize) -> Result<String, Unspecified> {
    Ok(URL_SAFE_NO_PAD.encode(random_bytes(count)?))
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|start| &text[start..text.len().min(start + 64)])
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
