//! `proxy_config.yaml`, the gateway's own configuration, read as LiteLLM reads it.
//!
//! The facts are those of LiteLLM 1.104.2 and 1.106.2: `proxy_server.py` and `config_includes.py` for the file,
//! `pattern_match_deployments.py` and `common_utils.py` of the router for the names of models.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use regex::Regex;
use serde_yaml::Value;

use super::manifest::Manifest;
use super::proxy_files::{Files, Merged};
use super::proxy_providers::{self as providers, Simulated};
use crate::document::{Diagnostic, KeyPath};
use crate::ids::{ProviderId, TierId};
use crate::text::{closest, listed};
use crate::wire::place::{ProcessingPlace, geography};

/// Returns the content of a file, by its path relative to the project's root.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>, Vec<Diagnostic>>;

/// The models of the gateway's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    deployments: Vec<Deployment>,
    /// `router_settings.model_group_alias`: the group that each alias stands for.
    aliases: IndexMap<String, String>,
    /// The groups to which a group falls back; `*` for every group.
    fallbacks: Vec<(String, Vec<String>)>,
    /// Settings outside of `model_list` with which the gateway would not call the simulator.
    outside: Vec<Diagnostic>,
    /// The switches and numbers of `general_settings`, `litellm_settings` and `router_settings`.
    settings: BTreeMap<String, serde_json::Value>,
    /// What LiteLLM accepts, and what its author may not mean.
    notes: Vec<Diagnostic>,
    files: Vec<PathBuf>,
}

/// An entry of `model_list`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Deployment {
    /// `model_name`; with `*` it is a pattern.
    name: String,
    /// `litellm_params.model`, with LiteLLM's prefix.
    model: String,
    /// `litellm_params.vertex_project` and `vertex_location`. Without them, LiteLLM reads variables:
    /// <https://docs.litellm.ai/docs/providers/vertex>.
    google: [String; 2],
    /// The lines with which it would not call the simulator.
    outside: Vec<Diagnostic>,
}

/// A deployment that serves a requested model.
struct Served<'a> {
    deployment: &'a Deployment,
    /// [`Deployment::model`] with the wildcards replaced.
    model: String,
}

impl ProxyConfig {
    /// Reads `bytes`, the content of `file`, and the files that it includes. `simulated` is what a simulated run offers.
    pub fn parse(
        file: &Path,
        bytes: &[u8],
        read: ReadFile<'_>,
        simulated: Simulated<'_>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let files = Files::read(file, bytes, read)?;
        let merged = files.merged();
        let Some(Value::Sequence(entries)) = merged.value("model_list") else {
            let error = Diagnostic::of_file(file, "`model_list` is not a list")
                .hint("each entry is a `model_name` and its `litellm_params`");
            return Err([vec![error], merged.misnamed()].concat());
        };
        let mut errors = Vec::new();
        let custom = merged.at(&["litellm_settings", "custom_provider_map"]).is_some();
        let mut deployments = Vec::new();
        let mut misnamed = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            match deployment(&merged, index, entry, custom, simulated) {
                Ok(deployment) => deployments.push(deployment),
                Err(error) => errors.push(*error),
            }
            if let Some(params) = entry.get("litellm_params") {
                let path = KeyPath::of("model_list").then(index).then("litellm_params");
                misnamed.extend(providers::misnamed(&merged, &path, params, simulated.variables));
            }
        }
        let settings = settings(&merged);
        if settings.get("router_settings.disable_cooldowns") != Some(&true.into()) {
            misnamed.extend(cooldown(&merged, &deployments));
        }
        let aliases = aliases(&merged);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            deployments,
            aliases,
            fallbacks: fallbacks(&merged),
            outside: providers::settings_outside(&merged, simulated.variables),
            settings,
            notes: [files.notes(), merged.misnamed(), misnamed].concat(),
            files: files.names(),
        })
    }

    /// The file and the files that it includes, relative to the project's root.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What LiteLLM accepts, and what its author may not mean.
    pub fn notes(&self) -> &[Diagnostic] {
        &self.notes
    }

    /// Its settings that are a switch or a number, by section and name: `litellm_settings.drop_params`. A text, or a number in
    /// place of a key, may be secret.
    pub fn settings(&self) -> &BTreeMap<String, serde_json::Value> {
        &self.settings
    }

    /// The provider's name of the model behind `alias`: that of the first deployment, without LiteLLM's prefix. `None` also
    /// if the environment names the model.
    pub fn model(&self, alias: &str) -> Option<String> {
        let served = self.serving(self.group(alias)).into_iter().next()?;
        if served.model.starts_with(providers::FROM_ENVIRONMENT) {
            return None;
        }
        Some(providers::provider_model(&served.model).to_owned())
    }

    /// Where the gateway's configuration wants the requests of `alias` to be processed: what all its deployments have in common,
    /// with `variables`, the gateway's environment.
    pub fn place(&self, alias: &str, variables: &BTreeMap<String, String>) -> ProcessingPlace {
        let value = |setting: &String| match setting.strip_prefix(providers::FROM_ENVIRONMENT) {
            None => Some(setting.clone()),
            Some(variable) => variables.get(variable).cloned(),
        };
        let place = |served: Served<'_>| {
            let [project, location] = &served.deployment.google;
            ProcessingPlace {
                project: value(project),
                location: value(location),
                geography: geography(providers::provider_model(&served.model)),
                quota_project: None,
            }
        };
        let places = self.serving(self.group(alias)).into_iter().map(place);
        places.reduce(ProcessingPlace::in_common).unwrap_or_default()
    }

    /// The group of `alias`. LiteLLM resolves an alias once: an alias of an alias has no deployment.
    fn group<'a>(&'a self, alias: &'a str) -> &'a str {
        self.aliases.get(alias).map_or(alias, String::as_str)
    }

    /// The deployments of `group`: those of that name, else those of the most specific pattern that matches.
    fn serving<'a>(&'a self, group: &str) -> Vec<Served<'a>> {
        let named = self.deployments.iter().filter(|each| each.name == group);
        let named: Vec<_> = named
            .map(|deployment| Served {
                deployment,
                model: deployment.model.clone(),
            })
            .collect();
        if !named.is_empty() {
            return named;
        }
        match self.matching(group) {
            matching if !matching.is_empty() => matching,
            _ if providers::of_name(group) == Some("anthropic") => {
                self.matching(&format!("anthropic/{group}"))
            }
            none => none,
        }
    }

    fn matching<'a>(&'a self, group: &str) -> Vec<Served<'a>> {
        let mut patterns: Vec<&str> = self.deployments.iter().map(|each| each.name.as_str()).collect();
        patterns.retain(|name| name.contains('*'));
        // LiteLLM's order: the longest pattern first, then the one with the most special characters.
        patterns.sort_by_key(|name| {
            let pattern = pattern(name);
            let special = pattern.chars().filter(|c| "*+?\\^$|()".contains(*c)).count();
            std::cmp::Reverse((pattern.len(), special))
        });
        let found = patterns.into_iter().find_map(|name| {
            let regex = Regex::new(&pattern(name)).ok()?;
            let segments: Vec<String> = regex
                .captures(group)?
                .iter()
                .skip(1)
                .map(|segment| segment.map_or("", |segment| segment.as_str()).to_owned())
                .collect();
            Some((name, segments))
        });
        let Some((name, segments)) = found else {
            return Vec::new();
        };
        let served = self.deployments.iter().filter(|each| each.name == name);
        served
            .map(|deployment| Served {
                deployment,
                model: filled(&deployment.model, &segments, group),
            })
            .collect()
    }

    /// The error that the gateway does not have the alias of `tier` on `provider`; `None` if it does.
    pub fn lacks(&self, manifest: &Manifest, provider: &ProviderId, tier: &TierId) -> Option<Diagnostic> {
        let alias = manifest.alias(provider, tier)?;
        let group = self.group(&alias);
        if !self.serving(group).is_empty() {
            return None;
        }
        let known = || {
            let names = self.deployments.iter().map(|each| &each.name);
            let mut known: Vec<&str> = names.chain(self.aliases.keys()).map(String::as_str).collect();
            let mut seen = std::collections::HashSet::new();
            known.retain(|name| seen.insert(*name));
            known
        };
        let through = match group == alias {
            true => String::new(),
            false => format!(", which `model_group_alias` names for `{alias}`"),
        };
        let message = format!("`proxy_config.yaml` has no model `{group}`{through}");
        let error = Diagnostic::at(manifest.alias_span(provider)?, message)
            .path(format!("aliases.{provider}"))
            .allowed(listed(known()));
        let close = closest(group, known());
        let close = close.map_or_else(String::new, |close| format!("did you mean `{close}`? "));
        Some(error.hint(format!(
            "{close}the alias is this pattern with the model of the tier `{tier}`"
        )))
    }

    /// The lines with which a gateway in front of the simulator would call another server for one of `aliases`, or would
    /// send a credential that the simulator does not accept.
    pub fn outside<'a>(&self, aliases: impl IntoIterator<Item = &'a str>) -> Vec<Diagnostic> {
        let mut groups: Vec<&str> = Vec::new();
        let mut errors = Vec::new();
        let mut next: Vec<&str> = aliases.into_iter().collect();
        while let Some(alias) = next.pop() {
            if groups.contains(&alias) {
                continue;
            }
            groups.push(alias);
            let served = self.serving(self.group(alias));
            errors.extend(
                served
                    .iter()
                    .flat_map(|each| each.deployment.outside.iter().cloned()),
            );
            let falls_back = |group: &str| group == "*" || group == alias || group == self.group(alias);
            let fallbacks = self.fallbacks.iter().filter(|(group, _)| falls_back(group));
            next.extend(fallbacks.flat_map(|(_, to)| to.iter().map(String::as_str)));
        }
        if !groups.is_empty() {
            errors.extend(self.outside.iter().cloned());
        }
        errors.sort_by_key(|error| (error.place.file.clone(), error.place.line, error.place.column));
        errors.dedup();
        errors
    }
}

fn deployment(
    merged: &Merged<'_>,
    index: usize,
    entry: &Value,
    custom_providers: bool,
    simulated: Simulated<'_>,
) -> Result<Deployment, Box<Diagnostic>> {
    let path = KeyPath::of("model_list").then(index);
    let text = |path: &KeyPath, value: Option<&Value>| {
        let key = path.0.last().map_or("", String::as_str);
        let error = |message: String| Box::new(merged.error(path, message));
        match value {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            None | Some(Value::Null) => Err(error(format!("`{key}` is missing"))),
            Some(_) => Err(error(format!("`{key}` is not a text"))),
        }
    };
    let name = text(&path.then("model_name"), entry.get("model_name"))?;
    let params = entry.get("litellm_params");
    let params_path = path.then("litellm_params");
    if !params.is_some_and(Value::is_mapping) {
        let error = merged.error(&params_path, format!("`{name}` has no `litellm_params`"));
        return Err(Box::new(
            error.hint("write at least `litellm_params: { model: … }`"),
        ));
    }
    let model_path = params_path.then("model");
    let param = |key: &str| params.and_then(|params| params.get(key));
    let model = text(&model_path, param("model"))?;
    let is_literal = |key: &str| {
        let value = param(key).and_then(Value::as_str);
        value.is_some_and(|value| !value.starts_with(providers::FROM_ENVIRONMENT))
    };
    // LiteLLM knows some providers by their address.
    let can_guess = custom_providers || param("custom_llm_provider").is_some() || is_literal("api_base");
    let is_free = can_guess || model.contains('*') || model.starts_with(providers::FROM_ENVIRONMENT);
    if let Some((message, hint)) = providers::unknown(&model).filter(|_| !is_free) {
        let error = merged.error(&model_path, message);
        return Err(Box::new(error.found(format!("`{model}`")).hint(hint)));
    }
    let is_opaque = model.starts_with("bedrock/invoke/arn:") && !model.contains("anthropic");
    if is_opaque {
        let error = merged.error(&model_path, "LiteLLM cannot tell whose model this ARN is");
        return Err(Box::new(error.found(format!("`{model}`")).hint(
            "`bedrock/converse/arn:…` works; `bedrock/invoke/…` needs a name that contains `anthropic`",
        )));
    }
    // LiteLLM asks Bedrock for the `model_id`, and reads route and company from `model`.
    let id = param("model_id")
        .and_then(Value::as_str)
        .filter(|_| model.starts_with("bedrock/"));
    let asked = match (id, model.rsplit_once('/')) {
        (Some(id), Some((route, _))) if !id.starts_with(providers::FROM_ENVIRONMENT) => {
            format!("{route}/{id}")
        }
        (Some(id), _) => id.to_owned(),
        (None, _) => model.clone(),
    };
    let outside = providers::outside(
        merged,
        &params_path,
        params.unwrap_or(&Value::Null),
        &asked,
        simulated,
    );
    let setting = |names: [&str; 2], variable: &str| {
        let mut values = names.into_iter().filter_map(|name| param(name)?.as_str());
        values.next().map_or_else(
            || format!("{}{variable}", providers::FROM_ENVIRONMENT),
            str::to_owned,
        )
    };
    let variables = simulated.variables;
    let google = [
        setting(["vertex_project", "vertex_ai_project"], variables.vertex_project),
        setting(
            ["vertex_location", "vertex_ai_location"],
            variables.vertex_location,
        ),
    ];
    Ok(Deployment {
        name,
        model: asked,
        google,
        outside,
    })
}

/// Several deployments of one alias: LiteLLM stops each of them for a while after its errors.
fn cooldown(merged: &Merged<'_>, deployments: &[Deployment]) -> Option<Diagnostic> {
    let names: Vec<&str> = deployments.iter().map(|each| each.name.as_str()).collect();
    let again = (1..names.len()).find(|index| names[..*index].contains(&names[*index]))?;
    let path = KeyPath::of("model_list").then(again);
    let message = format!(
        "`{}` has several deployments, and LiteLLM uses none of them for a while after errors, which some rows provoke",
        names[again]
    );
    let hint =
        "write `router_settings: { disable_cooldowns: true }`, so that trials do not disturb each other";
    Some(merged.error(&path, message).hint(hint).note())
}

fn settings(merged: &Merged<'_>) -> BTreeMap<String, serde_json::Value> {
    let mut found = BTreeMap::new();
    for section in ["general_settings", "litellm_settings", "router_settings"] {
        let entries = merged.value(section).and_then(Value::as_mapping);
        for (name, value) in entries.into_iter().flatten() {
            let Some(name) = name.as_str() else { continue };
            let is_credential = ["key", "password", "secret", "token"]
                .iter()
                .any(|word| name.to_lowercase().contains(word));
            if value.is_bool() || (value.is_number() && !is_credential) {
                // JSON has no infinity.
                let value = serde_json::to_value(value).ok().filter(|value| !value.is_null());
                found.extend(value.map(|value| (format!("{section}.{name}"), value)));
            }
        }
    }
    found
}

/// The alias and its group; the value is a text or a map with `model`. LiteLLM ignores other values.
fn aliases(merged: &Merged<'_>) -> IndexMap<String, String> {
    let Some(Value::Mapping(map)) = merged.at(&["router_settings", "model_group_alias"]) else {
        return IndexMap::new();
    };
    map.iter()
        .filter_map(|(alias, value)| {
            let group = value.as_str().or_else(|| value.get("model")?.as_str())?;
            Some((alias.as_str()?.to_owned(), group.to_owned()))
        })
        .collect()
}

fn fallbacks(merged: &Merged<'_>) -> Vec<(String, Vec<String>)> {
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_sequence().into_iter().flatten();
        texts
            .filter_map(|text| text.as_str().or_else(|| text.get("model")?.as_str()))
            .map(str::to_owned)
            .collect()
    };
    let mut found = Vec::new();
    for section in ["router_settings", "litellm_settings"] {
        for key in [
            "fallbacks",
            "context_window_fallbacks",
            "content_policy_fallbacks",
        ] {
            let entries = merged.at(&[section, key]).and_then(Value::as_sequence);
            let maps = entries.into_iter().flatten().filter_map(Value::as_mapping);
            found.extend(
                maps.flatten()
                    .filter_map(|(group, to)| Some((group.as_str()?.to_owned(), texts(to)))),
            );
        }
        if let Some(to) = merged.at(&[section, "default_fallbacks"]) {
            found.push(("*".to_owned(), texts(to)));
        }
    }
    found
}

/// The regular expression of a `model_name` with wildcards. Python's `re.match` anchors it at its beginning only.
fn pattern(name: &str) -> String {
    format!("^{}", regex::escape(name).replace(r"\*", "(.*)"))
}

/// `model` with its wildcards replaced by what those of the name matched.
fn filled(model: &str, segments: &[String], group: &str) -> String {
    match model.matches('*').count() {
        0 => model.to_owned(),
        wildcards if segments.len() > wildcards => group.to_owned(),
        _ => segments
            .iter()
            .fold(model.to_owned(), |model, segment| model.replacen('*', segment, 1)),
    }
}
