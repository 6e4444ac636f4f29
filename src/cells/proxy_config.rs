//! The models of `proxy_config.yaml`, the gateway's own configuration. The rest of the file is not read here.

use std::collections::HashMap;
use std::path::Path;

use indexmap::IndexMap;

use super::manifest::Manifest;
use crate::document::{Diagnostic, KeyPath, Node, NodeValue, Reader, yaml};
use crate::ids::{ProviderId, TierId};
use crate::text::{closest, listed};

/// The models of the gateway's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// The provider's name of each model, by alias (`model_name`): `litellm_params.model` without LiteLLM's prefix.
    models: IndexMap<String, Option<String>>,
}

impl ProxyConfig {
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let node = yaml::parse(file, bytes)?;
        let Some(NodeValue::List(entries)) = node.get("model_list").map(|entry| &entry.value.value) else {
            return Err(vec![
                Diagnostic::of_file(file, "`model_list` is not a list")
                    .hint("each entry is a `model_name` and its `litellm_params`"),
            ]);
        };
        let mut reader = Reader::new(&node);
        let mut models = IndexMap::new();
        let mut places = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let entry_path = KeyPath::of("model_list").then(index);
            let path = entry_path.then("model_name");
            let Some(name) = entry.get("model_name").map(|name| &name.value) else {
                reader.error(&entry_path, "`model_name` is missing");
                continue;
            };
            let NodeValue::Text(alias) = &name.value else {
                let error = reader.at(&path, "`model_name` is not a text");
                reader.report(error.found(name.describe()));
                continue;
            };
            if let Some(first) = places.insert(alias, name.span.place()) {
                let error = reader.at(&path, format!("the alias `{alias}` is there twice"));
                let error = error.related(first, "the first one is here");
                reader.report(error.hint("LiteLLM would spread the requests over both deployments"));
            }
            models.insert(alias.clone(), provider_model(entry));
        }
        match reader.diagnostics.is_empty() {
            true => Ok(Self { models }),
            false => Err(reader.diagnostics),
        }
    }

    /// The provider's name of the model behind `alias`.
    pub fn model(&self, alias: &str) -> Option<&str> {
        self.models.get(alias)?.as_deref()
    }

    /// The error that the gateway does not have the alias of `tier` on `provider`; `None` if it does.
    pub fn lacks(&self, manifest: &Manifest, provider: &ProviderId, tier: &TierId) -> Option<Diagnostic> {
        let alias = manifest.alias(provider, tier)?;
        if self.models.contains_key(&alias) {
            return None;
        }
        let known = || self.models.keys().map(String::as_str);
        let message = format!("`proxy_config.yaml` has no model `{alias}`");
        let error = Diagnostic::at(manifest.alias_span(provider)?, message)
            .path(format!("aliases.{provider}"))
            .allowed(listed(known()));
        let close = closest(&alias, known());
        let close = close.map_or_else(String::new, |close| format!("did you mean `{close}`? "));
        Some(error.hint(format!(
            "{close}the alias is this pattern with the model of the tier `{tier}`"
        )))
    }
}

fn provider_model(entry: &Node) -> Option<String> {
    match &entry.get("litellm_params")?.value.get("model")?.value.value {
        NodeValue::Text(model) => model.rsplit('/').next().map(str::to_owned),
        _ => None,
    }
}
