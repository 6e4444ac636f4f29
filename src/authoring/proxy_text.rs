//! Adds the deployments of a new tier to the text of `proxy_config.yaml`: a copy of another tier's in each column.

use std::path::Path;

use super::manifest_text::{inserted, last_line, list};
use crate::cells::Manifest;
use crate::document::yaml;
use crate::ids::ProviderId;

/// The text with the new deployments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WithDeployments {
    pub text: String,
    /// The aliases that were added, each with the provider's name of its model.
    pub added: Vec<(String, String)>,
    /// The columns without a deployment to copy.
    pub left_out: Vec<ProviderId>,
}

/// The configuration `text` with a deployment of `model` for each provider of `manifest`. The copied deployment is the last
/// one whose name of the model ends with the model's own name: other names have a date or a version.
pub fn with_model(text: &str, manifest: &Manifest, model: &str) -> WithDeployments {
    let mut edited = WithDeployments {
        text: text.to_owned(),
        ..WithDeployments::default()
    };
    for provider in &manifest.providers {
        match copied(&edited.text, manifest, provider, model) {
            Some((text, alias, name)) => {
                edited.text = text;
                edited.added.push((alias, name));
            }
            None => edited.left_out.push(provider.clone()),
        }
    }
    edited
}

/// The new text, the new alias and the provider's name of the model.
fn copied(
    text: &str,
    manifest: &Manifest,
    provider: &ProviderId,
    model: &str,
) -> Option<(String, String, String)> {
    let (node, _) = yaml::parse_leniently(Path::new("proxy_config.yaml"), text.as_bytes()).ok()?;
    let deployments = list(&node, "model_list");
    manifest.tiers.iter().rev().find_map(|tier| {
        let alias = manifest.alias(provider, &tier.id)?;
        let deployment = deployments.iter().find(|item| {
            let name = item.get("model_name").map(|entry| entry.value.to_json());
            name.is_some_and(|name| name == alias.as_str())
        })?;
        let params = &deployment.get("litellm_params")?.value;
        let known = params.get("model")?.value.to_json();
        let name = format!("{}{model}", known.as_str()?.strip_suffix(&tier.model)?);
        let new_alias = manifest.alias_of(provider, model)?;
        let (first, last) = (deployment.span.start.line, last_line(deployment));
        let lines: Vec<&str> = text.lines().skip(first - 1).take(last + 1 - first).collect();
        let copy = lines
            .join("\n")
            .replace(&alias, &new_alias)
            .replace(known.as_str()?, &name);
        Some((inserted(text, last, &copy), new_alias, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "\
schema_version: \"1\"
providers: [anthropic, vertex_ai, azure]
features:
  - { id: vision, name: Vision }
tiers:
  - { id: opus, name: Opus 5.5, model: claude-opus-5-5 }
  - { id: haiku, name: Haiku 4.5, model: claude-haiku-4-5 }
aliases:
  anthropic: \"{model}\"
  vertex_ai: \"{model}-vertex-ai\"
  azure: \"{model}-azure\"
";
    const CONFIG: &str = "\
model_list:
  - model_name: claude-opus-5-5
    litellm_params:
      model: anthropic/claude-opus-5-5
      api_key: os.environ/KEY
  # Vertex AI
  - model_name: claude-opus-5-5-vertex-ai
    litellm_params: { model: vertex_ai/claude-opus-5-5 }
  - model_name: claude-haiku-4-5-vertex-ai
    litellm_params: { model: vertex_ai/claude-haiku-4-5@20251001 }

general_settings: {}
";

    #[test]
    fn each_column_gets_a_copy_of_a_deployment_without_a_date() {
        let manifest = Manifest::parse("manifest.yaml".as_ref(), MANIFEST.as_bytes()).unwrap();
        let edited = with_model(CONFIG, &manifest, "claude-opus-6");
        let new = "  - model_name: claude-opus-6
    litellm_params:
      model: anthropic/claude-opus-6
      api_key: os.environ/KEY
";
        let on_vertex = "  - model_name: claude-opus-6-vertex-ai
    litellm_params: { model: vertex_ai/claude-opus-6 }
";
        // A merge key elsewhere in the file, which LiteLLM takes.
        let merged = CONFIG.replace(
            "general_settings: {}",
            "litellm_settings: &a {}\ngeneral_settings: { <<: *a }",
        );
        let of_merged = with_model(&merged, &manifest, "claude-opus-6");
        assert_eq!(of_merged.added, edited.added);
        let expected = CONFIG
            .replace("  # Vertex AI\n", &format!("{new}  # Vertex AI\n"))
            .replace(
                "vertex_ai/claude-opus-5-5 }\n",
                &format!("vertex_ai/claude-opus-5-5 }}\n{on_vertex}"),
            );
        assert_eq!(edited.text, expected);
        assert_eq!(edited.left_out, [ProviderId::new("azure")]);
        assert_eq!(edited.added[1].1, "vertex_ai/claude-opus-6");
    }
}
