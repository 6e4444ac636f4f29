//! The manifest: which rows, columns and tiers the matrix has, in order, and how a model alias is made.

use crate::text::{as_name, closest, is_name, listed};
use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::forms;
use super::raw::{FeatureForm, ManifestForm, TierForm};
use crate::document::{Diagnostic, Node, NodeValue, Span, written, yaml};
use crate::ids::{CellId, FeatureId, ProviderId, TierId};

#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    pub features: Vec<Feature>,
    pub providers: Vec<ProviderId>,
    pub tiers: Vec<Tier>,
    /// Of each column, in the same order, the alias pattern with `{model}` in it.
    patterns: Vec<(String, Span)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name in paths, filters and results.
    pub id: FeatureId,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its name in filters and results.
    pub id: TierId,
    /// Its name for readers: `Haiku 4.5`.
    pub name: String,
    /// The model that goes into every alias: `claude-haiku-4-5`.
    pub model: String,
}

/// The version of the manifest's form.
pub const SCHEMA_VERSION: &str = "1";

impl Manifest {
    /// Reads the manifest from the bytes of `file`.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let node = yaml::parse(file, bytes)?;
        let form: Vec<Diagnostic> = forms::MANIFEST.diagnostics(&node);
        if !form.is_empty() {
            return Err(form);
        }
        let mirror = ManifestForm::deserialize(node.to_json())
            .map_err(|error| vec![Diagnostic::of_file(file, error.to_string())])?;
        let faults = meaning(&mirror, &node);
        if faults.is_empty() {
            Ok(Self::resolve(mirror, &node))
        } else {
            Err(faults)
        }
    }

    fn resolve(mirror: ManifestForm, node: &Node) -> Self {
        let aliases: HashMap<String, String> = mirror.aliases.into_iter().collect();
        let pattern = |provider: &String| {
            let span = node.span_at(&["aliases".to_owned(), provider.clone()]);
            (aliases[provider].clone(), span.clone())
        };
        let patterns = mirror.providers.iter().map(pattern).collect();
        let feature = |entry: FeatureForm| Feature {
            id: FeatureId::new(entry.id),
            name: entry.name,
        };
        let tier = |entry: TierForm| Tier {
            id: TierId::new(entry.id),
            name: entry.name,
            model: entry.model,
        };
        Self {
            features: mirror.features.into_iter().map(feature).collect(),
            providers: mirror.providers.into_iter().map(ProviderId::new).collect(),
            tiers: mirror.tiers.into_iter().map(tier).collect(),
            patterns,
        }
    }

    /// Every pair of a row and a column, in order, whether or not it has a file.
    pub fn cells(&self) -> impl Iterator<Item = CellId> {
        self.features.iter().flat_map(|feature| {
            self.providers.iter().map(|provider| CellId {
                feature: feature.id.clone(),
                provider: provider.clone(),
            })
        })
    }

    /// How the gateway calls the model of `tier` on `provider`; `None` if the manifest lacks either.
    pub fn alias(&self, provider: &ProviderId, tier: &TierId) -> Option<String> {
        let column = self.providers.iter().position(|known| known == provider)?;
        let tier = self.tiers.iter().find(|known| known.id == *tier)?;
        Some(self.patterns[column].0.replace(MODEL, &tier.model))
    }

    /// Where the alias pattern of `provider` stands.
    pub fn alias_span(&self, provider: &ProviderId) -> Option<&Span> {
        let column = self.providers.iter().position(|known| known == provider)?;
        Some(&self.patterns[column].1)
    }

    pub fn feature(&self, id: &FeatureId) -> Option<&Feature> {
        self.features.iter().find(|feature| feature.id == *id)
    }

    pub fn tier(&self, id: &TierId) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.id == *id)
    }
}

/// What stands for the model in an alias pattern.
const MODEL: &str = "{model}";

fn meaning(mirror: &ManifestForm, node: &Node) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    let features = mirror.features.iter().map(|feature| feature.id.as_str());
    let tiers = mirror.tiers.iter().map(|tier| tier.id.as_str());
    let providers = mirror.providers.iter().map(String::as_str);
    names(node, "features", Some("id"), features, &mut faults);
    names(node, "providers", None, providers.clone(), &mut faults);
    names(node, "tiers", Some("id"), tiers, &mut faults);
    for (list, name) in [("features", "name"), ("tiers", "name"), ("tiers", "model")] {
        unwritten(node, list, name, &mut faults);
    }
    for (provider, pattern) in &mirror.aliases {
        let path = ["aliases".to_owned(), provider.clone()];
        if !mirror.providers.contains(provider) {
            faults.push(
                Diagnostic::at(
                    node.key_span_at(&path),
                    format!("`{provider}` is no provider of this manifest"),
                )
                .path(written(&path))
                .allowed(listed(providers.clone()))
                .did_you_mean(provider, providers.clone()),
            );
        }
        if !pattern.contains(MODEL) {
            faults.push(
                Diagnostic::at(node.span_at(&path), format!("the alias pattern lacks `{MODEL}`"))
                    .path(written(&path))
                    .found(format!("`{pattern}`"))
                    .hint("without it all tiers would be the same model"),
            );
        }
    }
    for provider in &mirror.providers {
        if !mirror.aliases.iter().any(|(known, _)| known == provider) {
            faults.push(missing_alias(node, provider, mirror));
        }
    }
    same_patterns(mirror, node, &mut faults);
    told_apart(
        node,
        ("features", "name"),
        "readers could not tell the two rows apart",
        &mut faults,
    );
    told_apart(
        node,
        ("tiers", "name"),
        "readers could not tell the two tiers apart",
        &mut faults,
    );
    told_apart(
        node,
        ("tiers", "model"),
        "two tiers with one model would be one deployment shown twice",
        &mut faults,
    );
    faults
}

fn missing_alias(node: &Node, provider: &str, mirror: &ManifestForm) -> Diagnostic {
    let path = ["aliases".to_owned()];
    let fault = Diagnostic::at(
        node.span_at(&path),
        format!("the provider `{provider}` has no alias pattern"),
    )
    .path("aliases");
    match closest(provider, mirror.aliases.iter().map(|(known, _)| known.as_str())) {
        Some(close) if !mirror.providers.iter().any(|known| known == close) => {
            fault.hint(format!("is `{close}` meant to be `{provider}`?"))
        }
        _ => fault.hint(format!(
            "add `{provider}: \"{MODEL}-{}\"`",
            provider.replace('_', "-")
        )),
    }
}

fn same_patterns(mirror: &ManifestForm, node: &Node, faults: &mut Vec<Diagnostic>) {
    let mut known: HashMap<&str, &str> = HashMap::new();
    for (provider, pattern) in &mirror.aliases {
        if let Some(other) = known.insert(pattern, provider) {
            let path = ["aliases".to_owned(), provider.clone()];
            faults.push(
                Diagnostic::at(
                    node.span_at(&path),
                    format!("`{provider}` and `{other}` have the same alias"),
                )
                .path(written(&path))
                .hint("two columns with one alias would be one deployment shown twice"),
            );
        }
    }
}

/// Faults of the names in a list: not a name, or there twice.
fn names<'a>(
    node: &Node,
    list: &str,
    key: Option<&str>,
    names: impl Iterator<Item = &'a str>,
    faults: &mut Vec<Diagnostic>,
) {
    let mut known: HashMap<&str, Vec<String>> = HashMap::new();
    for (index, name) in names.enumerate() {
        let mut path = vec![list.to_owned(), index.to_string()];
        path.extend(key.map(str::to_owned));
        let span = node.span_at(&path);
        if !is_name(name) {
            faults.push(
                Diagnostic::at(span, format!("`{name}` is not a name"))
                    .path(written(&path))
                    .allowed("a lower-case letter, then lower-case letters, digits and `_`")
                    .hint(match as_name(name) {
                        Some(usable) => {
                            format!(
                                "write `{usable}`: names stand in paths, filters and the published matrix"
                            )
                        }
                        None => "names stand in paths, filters and the published matrix".to_owned(),
                    }),
            );
        }
        if let Some(first) = known.get(name) {
            faults.push(
                Diagnostic::at(span, format!("`{name}` is there twice"))
                    .path(written(&path))
                    .related(node.span_at(first).place(), "it stands here already"),
            );
        } else {
            known.insert(name, path);
        }
    }
}

/// Faults of entries of a list that have the same text under a key.
fn told_apart(node: &Node, (list, key): (&str, &str), why: &str, faults: &mut Vec<Diagnostic>) {
    let mut known: HashMap<&str, &Span> = HashMap::new();
    for (path, text, span) in texts(node, list, key) {
        if let Some(first) = known.insert(text, span) {
            faults.push(
                Diagnostic::at(span, format!("`{text}` is there twice"))
                    .path(path)
                    .related(first.place(), "it stands here already")
                    .hint(why),
            );
        }
    }
}

fn unwritten(node: &Node, list: &str, key: &str, faults: &mut Vec<Diagnostic>) {
    let empty = texts(node, list, key).filter(|(_, text, _)| text.trim().is_empty());
    faults.extend(empty.map(|(path, _, span)| Diagnostic::at(span, "the text is empty").path(path)));
}

/// What the entries of a list have under a key, where it is a text: its path, the text, and where it stands.
fn texts<'a>(node: &'a Node, list: &str, key: &str) -> impl Iterator<Item = (String, &'a str, &'a Span)> {
    let items = match node.get(list).map(|entry| &entry.value.value) {
        Some(NodeValue::List(items)) => &items[..],
        _ => &[],
    };
    items.iter().enumerate().filter_map(move |(index, item)| {
        let value = &item.get(key)?.value;
        let NodeValue::Text(text) = &value.value else {
            return None;
        };
        let path = [list.to_owned(), index.to_string(), key.to_owned()];
        Some((written(&path), text.as_str(), &value.span))
    })
}
