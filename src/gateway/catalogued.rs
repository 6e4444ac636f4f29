//! A gateway of the catalogue: it is configured and started as its file in `gateways/` says.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::postgresql::Postgresql;
use super::process::{PORT_TRIES, free_port, new_key, write_private};
use super::sign_in::{IdentityProvider, sign_in};
use super::{
    ClientHeaders, GatewayKind, GatewayOptions, GatewayProcess, LogFile, NotReady, RunningGateway,
    transparent,
};
use crate::catalogue::template::{NeutralList, NeutralModel, fill};
use crate::catalogue::{BuiltIn, CatalogueEntry, Install, Need};
use crate::cells::Manifest;
use crate::env::{self, Secret, Variables};
use crate::findings::GatewayDescription;
use crate::ids::ProviderId;
use crate::process::{Launch, ProcessTag};
use crate::wire::Route;
use crate::wire::model::closest_id;
use crate::wire::place::{ProcessingPlace, geography};

/// A gateway of the catalogue, and the models that it serves in this project.
#[derive(Clone, Debug)]
pub struct CatalogueGateway {
    /// The name of its file in `gateways/`, without the extension.
    pub name: String,
    pub entry: CatalogueEntry,
    pub models: Vec<NeutralModel>,
}

/// Where the parts of a gateway are installed.
#[derive(Clone, Debug, Default)]
pub struct InstalledParts {
    /// The folder of its package; `None` if it is no package.
    pub package: Option<PathBuf>,
    /// The pinned `claude`; `None` if the gateway is no part of it.
    pub claude: Option<PathBuf>,
}

/// What a gateway needs beside its providers.
#[derive(Debug, Default)]
pub(super) struct Services {
    postgresql: Option<Postgresql>,
    identity_provider: Option<IdentityProvider>,
}

impl Services {
    /// Starts what `needs` names, and writes into `list` how the gateway finds it.
    async fn start(
        needs: &[Need],
        options: &GatewayOptions<'_>,
        list: &mut NeutralList,
    ) -> anyhow::Result<Self> {
        let mut services = Self::default();
        if needs.contains(&Need::Postgresql) {
            let started = Postgresql::start(options).await?;
            list.postgresql.insert("url".to_owned(), started.url.clone());
            services.postgresql = Some(started);
        }
        if needs.contains(&Need::SignIn) {
            let started = match IdentityProvider::start().await {
                Ok(started) => started,
                Err(error) => {
                    services.stop().await;
                    return Err(error);
                }
            };
            let settings = started.settings().into_iter();
            list.sign_in = settings.map(|(name, value)| (name.to_owned(), value)).collect();
            services.identity_provider = Some(started);
        }
        Ok(services)
    }

    pub(super) async fn stop(self) {
        if let Some(provider) = self.identity_provider {
            provider.stop().await;
        }
        if let Some(postgresql) = self.postgresql {
            postgresql.stop().await;
        }
    }
}

impl CatalogueGateway {
    /// The gateway `name` as `description` has it, for the columns that it does not lack. `None` if it can only be attached.
    pub fn new(name: &str, description: &GatewayDescription, manifest: &Manifest) -> Option<Self> {
        let tiers: Vec<String> = manifest.tiers.iter().map(|tier| tier.model.clone()).collect();
        let columns = manifest.providers.iter();
        let columns = columns.filter(|provider| !description.lacks.lacks_column(provider));
        let models = columns.flat_map(|provider| {
            let tiers = &tiers;
            manifest.tiers.iter().filter_map(move |tier| {
                let route = Route::called(provider.as_str());
                let model = route.and_then(|route| closest_id(route, &tier.model, tiers));
                Some(NeutralModel {
                    alias: manifest.alias(provider, &tier.id)?,
                    provider: provider.as_str().to_owned(),
                    tier: tier.id.as_str().to_owned(),
                    model: model.unwrap_or_else(|| tier.model.clone()),
                })
            })
        });
        Some(Self {
            name: name.to_owned(),
            entry: description.entry.clone()?,
            models: models.collect(),
        })
    }

    /// The provider's name of the model behind each of its aliases.
    pub fn models_by_alias(&self) -> BTreeMap<String, String> {
        let models = self.models.iter();
        models
            .map(|model| (model.alias.clone(), model.model.clone()))
            .collect()
    }

    /// Where the neutral list has the requests of `alias` processed. `variables` are those of [`Provider::place`].
    ///
    /// [`Provider::place`]: crate::provider::Provider::place
    pub fn place(&self, alias: &str, variables: &BTreeMap<String, String>) -> ProcessingPlace {
        let model = self.models.iter().find(|model| model.alias == alias);
        ProcessingPlace {
            project: variables.get(env::VERTEXAI_PROJECT).cloned(),
            location: variables.get(env::VERTEXAI_LOCATION).cloned(),
            geography: model.and_then(|model| geography(&model.model)),
            quota_project: None,
        }
    }

    /// Starts it and waits until it answers.
    pub async fn start(
        &self,
        options: &GatewayOptions<'_>,
        parts: &InstalledParts,
    ) -> anyhow::Result<RunningGateway> {
        let key = new_key();
        let log = options.prepare(&key)?;
        let mut list = NeutralList {
            port: 0,
            key: key.expose().to_owned(),
            folder: text_of(options.folder),
            home: text_of(&options.folder.join("home")),
            install: parts.package.as_deref().map(text_of).unwrap_or_default(),
            claude: parts.claude.as_deref().map(text_of).unwrap_or_default(),
            models: self.models.clone(),
            providers: providers(&options.providers, options.folder)?,
            ..NeutralList::default()
        };
        if let Install::BuiltIn(BuiltIn::Transparent) = self.entry.install {
            let server = transparent::start(&list).await?;
            return Ok(RunningGateway {
                base_url: server.base_url().to_owned(),
                key,
                log: None,
                kind: GatewayKind::BuiltIn(server),
                client: self.client_headers(&list)?,
            });
        }
        let services = Services::start(&self.entry.needs, options, &mut list).await?;
        match self.start_with(&mut list, options, key, log).await {
            Ok((process, client, key)) => Ok(RunningGateway {
                client,
                ..process.with(services, key).into()
            }),
            Err(error) => {
                services.stop().await;
                Err(error)
            }
        }
    }

    /// Starts it after its services. Returns the process, the headers of its clients, and their key.
    async fn start_with(
        &self,
        list: &mut NeutralList,
        options: &GatewayOptions<'_>,
        key: Secret,
        log: LogFile,
    ) -> anyhow::Result<(GatewayProcess, ClientHeaders, Secret)> {
        let mut tries = 1;
        loop {
            list.port = free_port()?;
            self.write_files(list, options.folder)?;
            let launch = self.launch(list, options)?;
            let ready = &self.entry.ready;
            let started =
                GatewayProcess::start_ready_at(launch, list.port, key.clone(), log.clone(), ready).await;
            let process = match started {
                Err(error) if tries < PORT_TRIES && NotReady::is_port_taken(&error) => {
                    tries += 1;
                    continue;
                }
                started => started?,
            };
            let client = self.client_headers(list)?;
            let key = match self.entry.needs.contains(&Need::SignIn) {
                true => sign_in(process.base_url())
                    .await
                    .with_context(|| format!("cannot sign in to the gateway `{}`", self.name))?,
                false => key,
            };
            return Ok((process, client, key));
        }
    }

    fn launch(&self, list: &NeutralList, options: &GatewayOptions<'_>) -> anyhow::Result<Launch> {
        let words = self.entry.command.iter();
        let words: Vec<String> = words
            .map(|word| self.filled(word, list, ""))
            .collect::<Result<_, _>>()?;
        let (program, arguments) = words.split_first().context("the gateway has no command")?;
        let program = match program.contains('/') {
            true => PathBuf::from(program),
            false => options.environment.find_program(program).with_context(|| {
                format!(
                    "there is no `{program}` on the PATH, which the gateway `{}` needs",
                    self.name
                )
            })?,
        };
        let variables = self.entry.environment.iter();
        let variables = variables.map(|(name, value)| Ok((name, self.filled(value, list, "")?)));
        let variables: Vec<(&String, String)> = variables.collect::<anyhow::Result<_>>()?;
        let path = |name: &str| options.folder.join(name).into_os_string();
        Ok(Launch::new(program, ProcessTag::run(options.run))
            .arguments(arguments)
            .environment(options.environment.inherited())
            .environment([
                (env::HOME, path("home")),
                (env::TMPDIR, path("tmp")),
                (env::PYTHONUNBUFFERED, "1".into()),
                (env::PYTHONDONTWRITEBYTECODE, "1".into()),
                (env::NO_PROXY, "127.0.0.1,localhost".into()),
            ])
            .environment(variables)
            .directory(options.folder))
    }

    fn write_files(&self, list: &NeutralList, folder: &Path) -> anyhow::Result<()> {
        for (file, text) in &self.entry.files {
            write_private(&folder.join(file), &self.filled(text, list, "")?)?;
        }
        Ok(())
    }

    /// The headers of the requests of each column.
    fn client_headers(&self, list: &NeutralList) -> anyhow::Result<ClientHeaders> {
        let headers = &self.entry.client.headers;
        let mut columns: BTreeMap<ProviderId, Vec<(String, String)>> = BTreeMap::new();
        for column in self.models.iter().map(|model| model.provider.as_str()) {
            let provider = ProviderId::new(column);
            if columns.contains_key(&provider) {
                continue;
            }
            let filled = headers.iter().map(|(name, value)| {
                // A header is one line.
                let value = self.filled(value, list, column)?;
                Ok((
                    name.clone(),
                    value.split_whitespace().collect::<Vec<_>>().join(" "),
                ))
            });
            columns.insert(provider, filled.collect::<anyhow::Result<_>>()?);
        }
        Ok(ClientHeaders {
            key: self.entry.client.key,
            all: Vec::new(),
            columns,
        })
    }

    fn filled(&self, text: &str, list: &NeutralList, column: &str) -> anyhow::Result<String> {
        fill(text, list, column).map_err(|error| {
            anyhow!(
                "`gateways/{}.yaml`: the template cannot be filled: {}",
                self.name,
                error.message
            )
        })
    }
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Base and credentials of each column, from the variables of `proxy_config.yaml`.
pub(super) fn providers(
    variables: &Variables,
    folder: &Path,
) -> anyhow::Result<BTreeMap<String, BTreeMap<String, String>>> {
    let value = |name: &str| {
        let value = variables.get(OsStr::new(name));
        value
            .map(|value| value.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let file = folder.join("vertex-credentials.json");
    write_private(&file, &value(env::VERTEXAI_CREDENTIALS))?;
    let aws = |base: &str| {
        vec![
            ("base", value(base)),
            ("access_key_id", value(env::AWS_ACCESS_KEY_ID)),
            ("secret_access_key", value(env::AWS_SECRET_ACCESS_KEY)),
            ("api_key", value(env::BEDROCK_API_KEY)),
            ("region", value(env::AWS_REGION_NAME)),
        ]
    };
    let keyed = |base: &str, key: &str| vec![("base", value(base)), ("key", value(key))];
    let columns = [
        (
            Route::Anthropic,
            keyed(env::ANTHROPIC_API_BASE, env::ANTHROPIC_API_KEY),
        ),
        (Route::Azure, keyed(env::AZURE_AI_API_BASE, env::AZURE_AI_API_KEY)),
        (Route::BedrockInvoke, aws(env::AWS_BEDROCK_RUNTIME_ENDPOINT)),
        (Route::BedrockConverse, aws(env::AWS_BEDROCK_RUNTIME_ENDPOINT)),
        (Route::BedrockMantle, aws(env::BEDROCK_MANTLE_API_BASE)),
        (
            Route::VertexAi,
            vec![
                ("base", value(env::VERTEXAI_API_BASE)),
                ("credentials", value(env::VERTEXAI_CREDENTIALS)),
                ("credentials_file", text_of(&file)),
                ("project", value(env::VERTEXAI_PROJECT)),
                ("location", value(env::VERTEXAI_LOCATION)),
                ("access_token", value(env::VERTEXAI_ACCESS_TOKEN)),
            ],
        ),
    ];
    let column = |(route, values): (Route, Vec<(&str, String)>)| {
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value));
        (route.as_str().to_owned(), values.collect())
    };
    Ok(columns.into_iter().map(column).collect())
}
