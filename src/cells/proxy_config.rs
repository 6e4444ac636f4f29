//! The model aliases of `proxy_config.yaml`, the gateway's own configuration, which is read for nothing else here.

use crate::text::{closest, listed};
use std::path::Path;

use super::manifest::Manifest;
use crate::document::{Diagnostic, Node, NodeValue, yaml};
use crate::ids::{ProviderId, TierId};

/// What the gateway's configuration says of its models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Each `model_name` of `model_list`, in order.
    pub aliases: Vec<String>,
    /// For each of them what the provider calls the model: `litellm_params.model` without what LiteLLM puts before it.
    models: Vec<Option<String>>,
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
        let mut faults = Vec::new();
        let mut named: Vec<(String, &Node)> = Vec::new();
        let mut models = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("model_list[{index}]");
            let name = entry.get("model_name").map(|name| &name.value);
            match name.map(|name| (name, &name.value)) {
                Some((node, NodeValue::Text(name))) => {
                    match named.iter().find(|(known, _)| known == name) {
                        None => {}
                        Some((_, first)) => faults.push(
                            Diagnostic::at(&node.span, format!("the alias `{name}` is there twice"))
                                .path(format!("{path}.model_name"))
                                .related(first.span.place(), "it stands here already")
                                .hint("LiteLLM would spread the requests over both deployments"),
                        ),
                    }
                    named.push((name.clone(), node));
                    models.push(provider_model(entry));
                }
                Some((node, _)) => faults.push(
                    Diagnostic::at(&node.span, "`model_name` is not a text")
                        .path(path)
                        .found(node.describe()),
                ),
                None => faults.push(Diagnostic::at(&entry.span, "`model_name` is missing").path(path)),
            }
        }
        if faults.is_empty() {
            let aliases = named.into_iter().map(|(name, _)| name).collect();
            Ok(Self { aliases, models })
        } else {
            Err(faults)
        }
    }

    /// What the provider calls the model behind `alias`.
    pub fn model(&self, alias: &str) -> Option<&str> {
        let index = self.aliases.iter().position(|known| known == alias)?;
        self.models[index].as_deref()
    }

    /// The fault that the alias of `tier` on `provider` is not among the gateway's, if it is not.
    pub fn lacks(&self, manifest: &Manifest, provider: &ProviderId, tier: &TierId) -> Option<Diagnostic> {
        let alias = manifest.alias(provider, tier)?;
        if self.aliases.contains(&alias) {
            return None;
        }
        let known = self.aliases.iter().map(String::as_str);
        let fault = Diagnostic::at(
            manifest.alias_span(provider)?,
            format!("`proxy_config.yaml` has no model `{alias}`"),
        )
        .path(format!("aliases.{provider}"))
        .allowed(listed(known.clone()));
        Some(match closest(&alias, known) {
            Some(close) => fault.hint(format!("did you mean `{close}`? the alias is made from this pattern and the model of the tier `{tier}`")),
            None => fault.hint(format!("the alias is made from this pattern and the model of the tier `{tier}`")),
        })
    }
}

fn provider_model(entry: &Node) -> Option<String> {
    match &entry.get("litellm_params")?.value.get("model")?.value.value {
        NodeValue::Text(model) => model.rsplit('/').next().map(str::to_owned),
        _ => None,
    }
}
