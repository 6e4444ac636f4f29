//! The providers of LiteLLM's models, and the settings with which a deployment does not call the simulator.

use std::sync::LazyLock;

use regex::Regex;
use serde_yaml::Value;

use super::proxy_files::Merged;
use crate::document::{Diagnostic, KeyPath};
use crate::text::{closest, listed, meant};
use crate::wire::Route;
use crate::wire::model::{self, Model};

/// The variables by which a gateway reaches the simulator of a simulated run.
#[derive(Clone, Copy, Debug)]
pub struct SimulatorVariables {
    pub anthropic_base: &'static str,
    /// LiteLLM reads it if there is no `anthropic_base`.
    pub anthropic_other_base: &'static str,
    pub anthropic_key: &'static str,
    pub azure_base: &'static str,
    pub azure_key: &'static str,
    pub bedrock_base: &'static str,
    pub mantle_base: &'static str,
    pub aws_key_id: &'static str,
    pub aws_secret_key: &'static str,
    pub aws_session_token: &'static str,
    pub vertex_base: &'static str,
    pub vertex_credentials: &'static str,
    pub vertex_project: &'static str,
    pub vertex_location: &'static str,
}

/// What a simulated run offers to the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Simulated<'a> {
    pub variables: &'a SimulatorVariables,
    /// The models of the manifest's tiers.
    pub models: &'a [String],
}

impl SimulatorVariables {
    /// The variables of credentials.
    fn keys(&self) -> [&'static str; 6] {
        [
            self.anthropic_key,
            self.azure_key,
            self.aws_key_id,
            self.aws_secret_key,
            self.aws_session_token,
            self.vertex_credentials,
        ]
    }
}

/// Notes on the deployment's credentials whose variable is named almost like one that runs set.
pub(super) fn misnamed(
    merged: &Merged<'_>,
    path: &KeyPath,
    params: &Value,
    variables: &SimulatorVariables,
) -> Vec<Diagnostic> {
    let note = |key: &str| {
        let variable = params.get(key)?.as_str()?.strip_prefix(FROM_ENVIRONMENT)?;
        let close = closest(variable, variables.keys()).filter(|close| *close != variable)?;
        let message = format!("a simulated run does not set the variable `{variable}`");
        let note = merged.error(&path.then(key), message);
        let note = Diagnostic { span: None, ..note };
        Some(note.hint(format!("did you mean `{close}`?")).note())
    };
    KEYS.iter().filter_map(|key| note(key)).collect()
}

/// The value of a variable, in LiteLLM's configuration.
pub(super) const FROM_ENVIRONMENT: &str = "os.environ/";

/// LiteLLM's names of the providers that the simulator replaces, each with a route.
const PROVIDERS: [(&str, Route); 5] = [
    ("anthropic", Route::Anthropic),
    ("bedrock", Route::BedrockInvoke),
    ("vertex_ai", Route::VertexAi),
    ("azure_ai", Route::Azure),
    ("bedrock_mantle", Route::BedrockMantle),
];

/// Parameters with the address of a provider.
const BASES: [&str; 3] = ["api_base", "base_url", "aws_bedrock_runtime_endpoint"];

/// Parameters with a credential.
const KEYS: [&str; 6] = [
    "api_key",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "vertex_ai_credentials",
    "vertex_credentials",
];

/// Parameters that make LiteLLM ask AWS for a credential first, at an address of its own.
const EXCHANGES: [&str; 3] = ["aws_role_name", "aws_web_identity_token", "aws_profile_name"];

/// The parameter that takes address and credential from an entry of `credential_list`:
/// <https://docs.litellm.ai/docs/proxy/configs>.
const NAMED_CREDENTIAL: &str = "litellm_credential_name";

/// The provider's name of a model: `model` without LiteLLM's prefixes. An ARN keeps its `/`.
pub(super) fn provider_model(model: &str) -> &str {
    match model.find("arn:") {
        Some(start) if model.starts_with("bedrock/") => &model[start..],
        _ => model.rsplit('/').next().unwrap_or(model),
    }
}

/// The provider that LiteLLM finds for a model without a prefix.
///
/// Source: `fallback_generalizations` in `model_prices_and_context_window.json` of LiteLLM 1.98.0 and 1.104.2.
pub(super) fn of_name(name: &str) -> Option<&'static str> {
    static RULES: LazyLock<[(Regex, &str); 2]> = LazyLock::new(|| {
        let regex = |pattern| Regex::new(pattern).expect("the pattern is valid");
        [
            (regex(r"^(?:[a-z-]+\.)?anthropic\.claude-"), "bedrock"),
            (regex(r"^claude-[a-z]+-\d+(?:[-.]\d+)?(?:-\d{8})?$"), "anthropic"),
        ]
    });
    let rule = RULES.iter().find(|(pattern, _)| pattern.is_match(name));
    rule.map(|(_, provider)| *provider)
        .or_else(|| model::is_named_in_the_api(name).then_some("anthropic"))
}

/// The error and the hint for a model whose provider LiteLLM does not know, by its prefix or by its name. A name that is
/// like none of Claude may be one of another provider.
pub(super) fn unknown(model: &str) -> Option<(String, String)> {
    let Some((prefix, _)) = model.split_once('/') else {
        let close = model::closest_id(Route::Anthropic, model, &[]);
        let is_claude = of_name(model).is_none() && (close.is_some() || model.contains("claude"));
        let hint = format!(
            "{}write the provider before the name, such as `anthropic/…`, `bedrock/…` or `vertex_ai/…`",
            meant(close.map(|close| format!("anthropic/{close}")).as_deref())
        );
        return is_claude.then(|| (format!("LiteLLM knows no provider of `{model}`"), hint));
    };
    if PREFIXES.contains(&prefix) {
        return None;
    }
    let close = closest(prefix, PREFIXES.iter().copied()).map(|close| format!("{close}/…"));
    let hint = format!(
        "{}the text before the first `/` is a provider, such as `anthropic`, `bedrock` or `vertex_ai`",
        meant(close.as_deref())
    );
    Some((format!("LiteLLM has no provider `{prefix}`"), hint))
}

/// The lines of the deployment's parameters with which it does not call the simulator, or not with its credential.
pub(super) fn outside(
    merged: &Merged<'_>,
    path: &KeyPath,
    params: &Value,
    model: &str,
    simulated: Simulated<'_>,
) -> Vec<Diagnostic> {
    let variables = simulated.variables;
    let text = |key: &str| params.get(key)?.as_str();
    let model_path = path.then("model");
    if let Some(variable) = model.strip_prefix(FROM_ENVIRONMENT) {
        let message = format!("the gateway of a simulated run does not get the variable `{variable}`");
        let error = merged.error(&model_path, message);
        return vec![error.hint("write the model in this file")];
    }
    let provider = text("custom_llm_provider")
        .or_else(|| model.split_once('/').map(|(prefix, _)| prefix))
        .or_else(|| of_name(model));
    let route = provider.and_then(|provider| PROVIDERS.iter().find(|(name, _)| *name == provider));
    let Some((provider, route)) = route.copied() else {
        let message = match provider {
            Some(provider) => format!("a simulated run has no provider `{provider}`"),
            None => "a simulated run has no provider of this model".to_owned(),
        };
        let error = merged.error(&model_path, message).found(format!("`{model}`"));
        let known = listed(PROVIDERS.map(|(name, _)| name));
        return vec![error.hint(format!("the simulator stands for {known}"))];
    };
    let literal = |key: &str| text(key).filter(|value| !value.starts_with(FROM_ENVIRONMENT));
    let variable = match provider {
        "bedrock" => variables.bedrock_base,
        "bedrock_mantle" => variables.mantle_base,
        "vertex_ai" => variables.vertex_base,
        "azure_ai" => variables.azure_base,
        _ => variables.anthropic_base,
    };
    let mut errors = Vec::new();
    let id = provider_model(model);
    if !id.contains('*') && !model::is_offered(route, id, simulated.models) {
        let is_retired = matches!(route, Route::Anthropic | Route::Azure)
            && model::find(id).is_some_and(Model::is_retired);
        let lacks = if is_retired {
            "has retired the model"
        } else {
            "has no model"
        };
        let error = merged.error(&model_path, format!("`{provider}` {lacks} `{id}`"));
        let close = model::closest_id(route, id, simulated.models);
        let close = meant(close.as_deref());
        errors.push(error.hint(format!(
            "{close}a simulated run knows the models that the providers list, and those of the manifest's tiers"
        )));
    }
    let ids = errors.len();
    for key in BASES {
        if let Some(base) = literal(key) {
            let message = format!("a simulated run would call `{base}` instead of the simulator");
            let error = merged.error(&path.then(key), message);
            errors.push(error.hint(format!("write `{key}: {FROM_ENVIRONMENT}{variable}`")));
        }
    }
    // LiteLLM's Messages API reads no variable for Vertex AI: without a base it calls Google (measured with 1.106.2).
    let own_base = format!("{FROM_ENVIRONMENT}{variable}");
    if provider == "vertex_ai" && errors.len() == ids && text("api_base") != Some(&own_base) {
        let key = match params.get("api_base") {
            Some(_) => path.then("api_base"),
            None => model_path,
        };
        let message = "a simulated run would call Google instead of the simulator";
        errors.push(
            merged
                .error(&key, message)
                .hint(format!("write `api_base: {own_base}`")),
        );
    }
    // The values of these lines are secrets, so no message contains them.
    for key in KEYS {
        if params.get(key).is_some_and(is_literal) {
            let message =
                format!("a simulated run would send this `{key}`, which the simulator does not know");
            let error = merged.error(&path.then(key), message);
            let hint = match (provider, key) {
                ("bedrock", "api_key") => "remove it: the run signs with AWS keys".to_owned(),
                _ => format!(
                    "write `{key}: {FROM_ENVIRONMENT}{}`",
                    variables.of_key(provider, key)
                ),
            };
            errors.push(Diagnostic { span: None, ..error }.hint(hint));
        }
    }
    if params.get(NAMED_CREDENTIAL).is_some() {
        let message =
            "a simulated run would use the address and the credential of this name in `credential_list`";
        let error = merged.error(&path.then(NAMED_CREDENTIAL), message);
        errors.push(error.hint("remove it from the deployments that simulated runs use"));
    }
    for key in EXCHANGES {
        if literal(key).is_some() {
            let message = format!("a simulated run would ask AWS for a credential by this `{key}`");
            let error = merged.error(&path.then(key), message);
            errors.push(error.hint("remove it from the deployments that simulated runs use"));
        }
    }
    // LiteLLM lays a fallback over the deployment's parameters; a text is a model (`litellm_core_utils/fallback_utils.py`).
    let fallbacks = params.get("fallbacks").and_then(Value::as_sequence);
    for (index, fallback) in fallbacks.into_iter().flatten().enumerate() {
        let path = path.then("fallbacks").then(index);
        let mut whole = params.as_mapping().cloned().unwrap_or_default();
        whole.remove("fallbacks");
        let own = fallback.as_mapping().into_iter().flatten();
        whole.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        let other = fallback.as_str().or_else(|| fallback.get("model")?.as_str());
        let of_fallback = outside(merged, &path, &whole.into(), other.unwrap_or(model), simulated);
        errors.extend(of_fallback);
    }
    errors
}

impl SimulatorVariables {
    /// The variable with the credential of parameter `key` of `provider`.
    fn of_key(&self, provider: &str, key: &str) -> &'static str {
        match key {
            "api_key" if provider == "azure_ai" => self.azure_key,
            "aws_access_key_id" => self.aws_key_id,
            "aws_secret_access_key" => self.aws_secret_key,
            "aws_session_token" => self.aws_session_token,
            "vertex_ai_credentials" | "vertex_credentials" => self.vertex_credentials,
            _ => self.anthropic_key,
        }
    }
}

/// Entries of `environment_variables` that replace the variables of a run, and a `master_key` that replaces its key.
pub(super) fn settings_outside(merged: &Merged<'_>, variables: &SimulatorVariables) -> Vec<Diagnostic> {
    let replaced = [
        variables.anthropic_base,
        variables.anthropic_other_base,
        variables.anthropic_key,
        variables.azure_base,
        variables.azure_key,
        variables.bedrock_base,
        variables.mantle_base,
        variables.aws_key_id,
        variables.aws_secret_key,
        variables.aws_session_token,
        variables.vertex_base,
        variables.vertex_credentials,
    ];
    let section = "environment_variables";
    let is_set = |name: &&str| merged.at(&[section, name]).is_some();
    let set = replaced.into_iter().filter(is_set);
    let variables = set.map(|name| {
        let message = format!("this replaces the `{name}` with which a simulated run reaches the simulator");
        let error = merged.error(&KeyPath::of(section).then(name), message);
        Diagnostic { span: None, ..error }.hint("set it in the environment of the gateway instead")
    });
    let key = ["general_settings", "master_key"];
    let is_literal = |value: &&Value| {
        value
            .as_str()
            .is_none_or(|value| !value.starts_with(FROM_ENVIRONMENT))
    };
    let literal = merged
        .at(&key)
        .filter(|value| !value.is_null())
        .filter(is_literal);
    let literal = literal.map(|_| {
        let message = "this replaces the key with which a simulated run calls the gateway";
        let error = merged.error(&KeyPath::of(key[0]).then(key[1]), message);
        Diagnostic { span: None, ..error }.hint("remove it: LiteLLM reads `LITELLM_MASTER_KEY`")
    });
    let defaults = ["router_settings", "default_litellm_params"];
    let path = KeyPath::of(defaults[0]).then(defaults[1]);
    let defaults = merged.at(&defaults).into_iter();
    let defaults = defaults.flat_map(|params| literals(merged, &path, params));
    let guardrails = merged.at(&["guardrails"]).and_then(Value::as_sequence);
    let guardrails = guardrails
        .into_iter()
        .flatten()
        .enumerate()
        .flat_map(|(index, guardrail)| {
            let path = KeyPath::of("guardrails").then(index).then("litellm_params");
            let params = guardrail.get("litellm_params");
            params.map_or_else(Vec::new, |params| literals(merged, &path, params))
        });
    let global = merged.at(&["litellm_settings"]).into_iter();
    let global = global.flat_map(|params| literals(merged, &KeyPath::of("litellm_settings"), params));
    variables
        .chain(literal)
        .chain(defaults)
        .chain(guardrails)
        .chain(global)
        .collect()
}

/// Whether a parameter has its value in the file, as a text or as a map.
fn is_literal(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.starts_with(FROM_ENVIRONMENT),
        value => value.is_mapping(),
    }
}

/// Addresses and credentials that stand outside a deployment, and that LiteLLM uses beside those of the run.
fn literals(merged: &Merged<'_>, path: &KeyPath, params: &Value) -> Vec<Diagnostic> {
    let literal = BASES.iter().chain(&KEYS);
    literal
        .filter(|key| params.get(**key).is_some_and(is_literal))
        .map(|key| {
            let message = format!("a simulated run would use this `{key}` beside those of the simulator");
            let error = merged.error(&path.then(key), message);
            Diagnostic { span: None, ..error }
                .hint("remove it from the configuration that simulated runs use")
        })
        .collect()
}

/// LiteLLM's providers: `LlmProviders` and `providers.json` of LiteLLM 1.106.2.
#[rustfmt::skip]
pub(super) const PREFIXES: &[&str] = &[
    "a2a", "a2a_agent", "abliteration", "ai21", "ai21_chat", "aihubmix", "aiml",
    "aiohttp_openai", "amazon_nova", "anthropic", "anthropic_text", "apertis", "assemblyai", "auto_router",
    "aws_polly", "aws_textract", "azure", "azure_ai", "azure_speech", "azure_text", "baseten",
    "bedrock", "bedrock_mantle", "black_forest_labs", "bytez", "cerebras", "charity_engine", "chatgpt",
    "chutes", "clarifai", "cloudflare", "codestral", "cognition", "cohere", "cohere_chat",
    "cometapi", "compactifai", "cortecs", "crusoe", "cursor", "custom", "custom_openai",
    "darkbloom", "dashscope", "databricks", "datarobot", "deepgram", "deepinfra", "deepseek",
    "docker_model_runner", "dotprompt", "edenai", "elevenlabs", "empiriolabs", "empower", "fal_ai",
    "featherless_ai", "fireworks_ai", "friendliai", "galadriel", "gdc", "gemini", "gigachat",
    "github", "github_copilot", "gmi", "gradient_ai", "groq", "helicone", "heroku",
    "hosted_vllm", "huggingface", "humanloop", "hyperbolic", "inception", "infinity", "jina_ai",
    "lambda_ai", "langflow", "langfuse", "langgraph", "lemonade", "libertai", "litellm_agent",
    "litellm_proxy", "llamafile", "llamagate", "lm_studio", "manus", "maritalk", "meta",
    "meta_llama", "milvus", "minimax", "mistral", "modelscope", "mongodb", "moonshot",
    "morph", "nadir", "nano-gpt", "nebius", "neosantara", "nlp_cloud", "novita",
    "nscale", "nvidia_nim", "nvidia_riva", "oci", "ollama", "ollama_chat", "oobabooga",
    "openai", "openai_like", "openrouter", "ovhcloud", "parasail", "perplexity", "petals",
    "pg_vector", "pinstripes", "poe", "predibase", "prism", "publicai", "qwen_ai_platform",
    "qwencloud", "ragflow", "recraft", "reducto", "reka", "replicate", "runwayml",
    "s3_vectors", "sagemaker", "sagemaker_chat", "sagemaker_nova", "sail", "sambanova", "sap",
    "sarvam", "scaleway", "scx-ai", "snowflake", "soniox", "stability", "strands_decider",
    "synthetic", "tencent", "tensormesh", "text-completion-codestral", "text-completion-inception", "text-completion-openai", "together_ai",
    "topaz", "transcribe", "triton", "typesafe", "v0", "valkey", "veniceai",
    "vercel_ai_gateway", "vertex_ai", "vertex_ai_beta", "vllm", "volcengine", "voyage", "wandb",
    "watsonx", "watsonx_text", "xai", "xiaomi_mimo", "xinference", "zai",
];
