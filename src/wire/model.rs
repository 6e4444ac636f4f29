//! The Claude models that providers list: their spellings and limits, from one table.

use super::Route;
use super::exchange::Matched;
use crate::text::closest;

/// A model, and how it differs from others.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// The Messages API's name, without its date.
    pub name: &'static str,
    /// The date of its snapshot, for names with a date: `claude-haiku-4-5-20251001`, `claude-haiku-4-5@20251001`. Empty if
    /// there is none.
    pub date: &'static str,
    /// Bedrock's id, after `anthropic.`.
    pub bedrock: &'static str,
    pub generation: Generation,
    pub max_output_tokens: u64,
    pub context_window: u64,
    /// The fewest tokens that a prefix must have to be cached.
    pub cached_from_tokens: u64,
    /// The levels of `output_config.effort`. Empty for a model without the parameter.
    pub efforts: &'static [&'static str],
    /// What the model refuses although the API has it.
    pub refuses: &'static [Refused],
}

/// A part of the API that some models refuse. The simulator's rules name the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// `thinking` of the type `enabled`, with a budget.
    Budget,
    /// `thinking` of the type `disabled`.
    NoThinking,
    /// `tool_choice` of the types `any` and `tool`.
    ForcedTool,
    /// The tool `computer_20251124`.
    OlderComputerUse,
}

/// A model without `output_config.effort`.
const NO_EFFORT: &[&str] = &[];
const UP_TO_HIGH: &[&str] = &["high", "low", "medium"];
const WITH_MAX: &[&str] = &["high", "low", "max", "medium"];
const ANY_EFFORT: &[&str] = &["high", "low", "max", "medium", "xhigh"];

/// The generations whose APIs differ, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    Three,
    Four,
    FourFive,
    FourSix,
    FourSeven,
    FourEight,
    Five,
}

/// The end of the name of a Foundry deployment that runs on Azure's own infrastructure. A deployment's name is free; this is
/// the simulator's choice. The others are hosted on Anthropic's.
pub const HOSTED_ON_AZURE: &str = "-hosted-on-azure";

/// The geographies of Bedrock's inference profiles.
///
/// Source: <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html>
const GEOGRAPHIES: [&str; 7] = ["us", "eu", "apac", "jp", "au", "us-gov", "global"];

/// The models of the three providers' own lists, of the list in Claude Code 2.1.327, and of the official SDK
/// (`types/model_param.py`).
///
/// Sources: <https://platform.claude.com/docs/en/about-claude/models/overview>,
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/models-supported.html>,
/// <https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude>; limits:
/// <https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json> and
/// <https://platform.claude.com/docs/en/build-with-claude/prompt-caching#cache-limitations>; levels of effort:
/// <https://platform.claude.com/docs/en/build-with-claude/effort>.
#[rustfmt::skip]
pub const MODELS: [Model; 29] = {
    use Generation::{Five, Four, FourEight, FourFive, FourSeven, FourSix, Three};
    use Refused::{Budget, ForcedTool, NoThinking, OlderComputerUse};
    [
        model("claude-3-haiku", "20240307", "claude-3-haiku-20240307-v1:0", Three, [4_096, 200_000, 2048], NO_EFFORT),
        model("claude-3-sonnet", "20240229", "claude-3-sonnet-20240229-v1:0", Three, [4_096, 200_000, 1024], NO_EFFORT),
        model("claude-3-opus", "20240229", "claude-3-opus-20240229-v1:0", Three, [4_096, 200_000, 1024], NO_EFFORT),
        model("claude-3-5-haiku", "20241022", "claude-3-5-haiku-20241022-v1:0", Three, [8_192, 200_000, 2048], NO_EFFORT),
        model("claude-3-5-sonnet", "20240620", "claude-3-5-sonnet-20240620-v1:0", Three, [8_192, 200_000, 1024], NO_EFFORT),
        model("claude-3-5-sonnet", "20241022", "claude-3-5-sonnet-20241022-v2:0", Three, [8_192, 200_000, 1024], NO_EFFORT),
        model("claude-3-7-sonnet", "20250219", "claude-3-7-sonnet-20250219-v1:0", Three, [128_000, 200_000, 1024], NO_EFFORT),
        model("claude-opus-4", "20250514", "claude-opus-4-20250514-v1:0", Four, [32_000, 200_000, 1024], NO_EFFORT),
        model("claude-sonnet-4", "20250514", "claude-sonnet-4-20250514-v1:0", Four, [64_000, 200_000, 1024], NO_EFFORT),
        model("claude-opus-4-1", "20250805", "claude-opus-4-1-20250805-v1:0", Four, [32_000, 200_000, 1024], NO_EFFORT),
        model("claude-haiku-4-5", "20251001", "claude-haiku-4-5-20251001-v1:0", FourFive, [64_000, 200_000, 4096], NO_EFFORT),
        model("claude-sonnet-4-5", "20250929", "claude-sonnet-4-5-20250929-v1:0", FourFive, [64_000, 200_000, 1024], NO_EFFORT),
        model("claude-opus-4-5", "20251101", "claude-opus-4-5-20251101-v1:0", FourFive, [64_000, 200_000, 4096], UP_TO_HIGH),
        model("claude-sonnet-4-6", "", "claude-sonnet-4-6", FourSix, [128_000, 1_000_000, 1024], WITH_MAX),
        model("claude-opus-4-6", "20260205", "claude-opus-4-6-v1", FourSix, [128_000, 1_000_000, 4096], WITH_MAX),
        model("claude-mythos-preview", "", "claude-mythos-preview", FourSeven, [128_000, 1_000_000, 512], WITH_MAX),
        model("claude-opus-4-7", "20260416", "claude-opus-4-7", FourSeven, [128_000, 1_000_000, 2048], ANY_EFFORT)
            .refusing(&[Budget]),
        model("claude-opus-4-8", "", "claude-opus-4-8", FourEight, [128_000, 1_000_000, 1024], ANY_EFFORT)
            .refusing(&[Budget]),
        model("claude-sonnet-5", "", "claude-sonnet-5", Five, [128_000, 1_000_000, 1024], ANY_EFFORT)
            .refusing(&[Budget]),
        model("claude-opus-5", "", "claude-opus-5", Five, [128_000, 1_000_000, 512], ANY_EFFORT)
            .refusing(&[Budget]),
        model("claude-fable-5", "", "claude-fable-5", Five, [128_000, 1_000_000, 512], ANY_EFFORT)
            .refusing(&[Budget, NoThinking]),
        model("claude-mythos-5", "", "claude-mythos-5", Five, [128_000, 1_000_000, 512], ANY_EFFORT)
            .refusing(&[Budget, NoThinking]),
        model("claude-fable-5-1", "", "claude-fable-5-1", Five, [128_000, 1_000_000, 512], ANY_EFFORT)
            .refusing(&[Budget, NoThinking, ForcedTool]),
        model("claude-mythos-5-1", "", "claude-mythos-5-1", Five, [128_000, 1_000_000, 512], ANY_EFFORT),
        model("claude-haiku-5-5", "", "claude-haiku-5-5", Five, [128_000, 1_000_000, 512], ANY_EFFORT),
        model("claude-sonnet-5-5", "", "claude-sonnet-5-5", Five, [128_000, 1_000_000, 512], ANY_EFFORT)
            .refusing(&[Budget, ForcedTool, OlderComputerUse]),
        model("claude-opus-5-5", "", "claude-opus-5-5", Five, [128_000, 1_000_000, 512], ANY_EFFORT)
            .refusing(&[Budget, NoThinking, ForcedTool, OlderComputerUse]),
        model("claude-fable-5-2", "", "claude-fable-5-2", Five, [128_000, 1_000_000, 512], ANY_EFFORT)
            .refusing(&[NoThinking, OlderComputerUse]),
        model("claude-mythos-5-2", "", "claude-mythos-5-2", Five, [128_000, 1_000_000, 512], ANY_EFFORT)
            .refusing(&[NoThinking, OlderComputerUse]),
    ]
};

/// `limits` are the most output tokens, the context window and the fewest cached tokens; `efforts` are the levels of effort.
const fn model(
    name: &'static str,
    date: &'static str,
    bedrock: &'static str,
    generation: Generation,
    limits: [u64; 3],
    efforts: &'static [&'static str],
) -> Model {
    Model {
        name,
        date,
        bedrock,
        generation,
        max_output_tokens: limits[0],
        context_window: limits[1],
        cached_from_tokens: limits[2],
        efforts,
        refuses: &[],
    }
}

impl Model {
    /// Whether Anthropic's own API and Foundry no longer have it. Bedrock and Vertex AI have dates of their own.
    ///
    /// Source: <https://platform.claude.com/docs/en/about-claude/model-deprecations> (all before Claude 4.5, the last on 5 August
    /// 2026), <https://github.com/mnfst/modelparams.dev/pull/94> (the answer is that of an unknown model)
    pub fn is_retired(&self) -> bool {
        self.generation < Generation::FourFive
    }

    const fn refusing(mut self, refuses: &'static [Refused]) -> Self {
        self.refuses = refuses;
        self
    }
}

/// The simulator's rules about the id of a model.
pub const RULES_OF_MODELS: [&str; 3] = ["model_required", "known_model", "inference_profile"];

/// Whether the provider refused a request for its model.
pub fn is_refused(matched: &Matched) -> bool {
    matches!(matched, Matched::Rejected { rule } if RULES_OF_MODELS.contains(&rule.as_str()))
}

/// The model of the table with this name, in any provider's spelling.
pub fn find(spelling: &str) -> Option<&'static Model> {
    let name = canonical_name(spelling);
    MODELS.iter().find(|model| model.name == name)
}

/// Whether `route` has a model under `spelling`. `tiers` are names of further models, without a date.
pub fn is_offered(route: Route, spelling: &str, tiers: &[String]) -> bool {
    let is_listed = |model: &Model| match route {
        Route::Anthropic => !model.is_retired() && is_name_in_the_api(model, spelling),
        Route::VertexAi => is_name_on_vertex(model, spelling),
        Route::BedrockInvoke | Route::BedrockConverse => is_bedrock_id(spelling, |id| id == model.bedrock),
        Route::BedrockMantle => {
            is_on_mantle(model) && spelling.strip_prefix("anthropic.") == Some(model.name)
        }
        Route::Azure => is_deployment(model, spelling),
    };
    // The date and version of an unlisted model are unknown.
    let is_tier = |name: &String| {
        canonical_name(spelling) == name
            && match route {
                Route::Anthropic => !spelling.contains(['@', ':', '.', '/']),
                Route::VertexAi => !spelling.contains([':', '.', '/']),
                Route::BedrockInvoke | Route::BedrockConverse => {
                    is_bedrock_id(spelling, |id| !id.contains('@'))
                }
                Route::BedrockMantle => spelling.starts_with("anthropic."),
                Route::Azure => !spelling.contains(['@', ':', '.', '/']),
            }
    };
    let is_unlisted = |name: &&String| find(name).is_none();
    MODELS.iter().any(is_listed) || tiers.iter().filter(is_unlisted).any(is_tier)
}

/// The id on `route` that `spelling` probably means: of the model with its name, else with the most similar name. `None`
/// also for a retired model, and for an unlisted model of `tiers` on Bedrock, where the date and version are unknown.
pub fn closest_id(route: Route, spelling: &str, tiers: &[String]) -> Option<String> {
    let name = canonical_name(spelling);
    let names = MODELS.iter().map(|model| model.name);
    let has_retired = matches!(route, Route::Anthropic | Route::Azure);
    let name = match find(name) {
        Some(model) if has_retired && model.is_retired() => return None,
        Some(model) => model.name,
        None => closest(name, names.chain(tiers.iter().map(String::as_str)))?,
    };
    match route {
        Route::Anthropic | Route::VertexAi | Route::Azure => Some(name.to_owned()),
        Route::BedrockMantle => Some(format!("anthropic.{name}")),
        Route::BedrockInvoke | Route::BedrockConverse => {
            let geography = spelling.split_once(".anthropic.").map(|(geography, _)| geography);
            let geography = GEOGRAPHIES.into_iter().find(|known| geography == Some(known));
            Some(format!(
                "{}.anthropic.{}",
                geography.unwrap_or("us"),
                find(name)?.bedrock
            ))
        }
    }
}

/// Source: <https://platform.claude.com/docs/en/about-claude/models/overview> (aliases)
fn is_name_in_the_api(model: &Model, spelling: &str) -> bool {
    let Some(rest) = spelling.strip_prefix(model.name) else {
        return false;
    };
    rest.is_empty() || (!model.date.is_empty() && rest.strip_prefix('-') == Some(model.date))
}

/// Whether the API has or had a model under `spelling`.
pub fn is_named_in_the_api(spelling: &str) -> bool {
    MODELS.iter().any(|model| is_name_in_the_api(model, spelling))
}

/// Models that no Foundry deployment hosts on Azure's own infrastructure.
const NOT_HOSTED_ON_AZURE: [&str; 2] = ["claude-opus-4-7", "claude-sonnet-4-6"];

/// The simulated resource has a deployment under the default name of each model, which is the model's.
///
/// Source: <https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry> (deployments, hosting options);
/// models: <https://learn.microsoft.com/azure/foundry/foundry-models/concepts/claude-models>
fn is_deployment(model: &Model, spelling: &str) -> bool {
    let name = match spelling.strip_suffix(HOSTED_ON_AZURE) {
        Some(name) if NOT_HOSTED_ON_AZURE.contains(&name) => return false,
        Some(name) => name,
        None => spelling,
    };
    name == model.name && !model.is_retired()
}

/// Whether Bedrock's Messages API has the model.
///
/// Source: <https://github.com/earendil-works/pi/issues/8573> (its list of models in September 2026),
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-cards.html>
fn is_on_mantle(model: &Model) -> bool {
    model.generation >= Generation::FourSeven || model.name == "claude-haiku-4-5"
}

/// Source: <https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude>
fn is_name_on_vertex(model: &Model, spelling: &str) -> bool {
    let (name, version) = spelling.split_once('@').unwrap_or((spelling, "default"));
    let is_named = name == model.name || (name == "claude-3-5-sonnet-v2" && model.date == "20241022");
    is_named && canonical_name(name) == model.name && (version == "default" || version == model.date)
}

/// Whether `spelling` is a foundation model, an inference profile or an ARN whose model `is_id` accepts. The last part of
/// some ARNs says nothing about the model.
///
/// Source: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html> (modelId)
fn is_bedrock_id(spelling: &str, is_id: impl Fn(&str) -> bool) -> bool {
    if let Some(arn) = spelling.strip_prefix("arn:") {
        let parts: Vec<&str> = arn.splitn(5, ':').collect();
        let [_, "bedrock", _, _, resource] = parts[..] else {
            return false;
        };
        return match resource.split_once('/') {
            Some(("inference-profile" | "foundation-model", id)) => is_bedrock_id(id, is_id),
            Some((_, id)) => !id.is_empty(),
            None => false,
        };
    }
    let id = match spelling.split_once(".anthropic.") {
        Some((geography, id)) if GEOGRAPHIES.contains(&geography) => Some(id),
        Some(_) => None,
        None => spelling.strip_prefix("anthropic."),
    };
    id.is_some_and(is_id)
}

/// The Messages API's name of a model without its date: `claude-haiku-4-5` for
/// `us.anthropic.claude-haiku-4-5-20251001-v1:0`, for `claude-haiku-4-5@20251001` and for ARNs with these.
pub fn canonical_name(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.strip_suffix(HOSTED_ON_AZURE).unwrap_or(name);
    let name = name.rsplit_once("anthropic.").map_or(name, |(_, name)| name);
    let name = name.split(['@', ':']).next().unwrap_or(name);
    let name = match name.rsplit_once("-v") {
        Some((stem, version)) if version.chars().all(|c| c.is_ascii_digit()) => stem,
        _ => name,
    };
    without_date(name)
}

/// `claude-haiku-4-5` for `claude-haiku-4-5-20251001`.
pub fn without_date(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((stem, date)) if date.len() == 8 && date.chars().all(|c| c.is_ascii_digit()) => stem,
        _ => name,
    }
}

/// The model's name in replies, with a date if it has one.
pub fn reply_name(model: &str) -> &str {
    match canonical_name(model) {
        "claude-haiku-4-5" => "claude-haiku-4-5-20251001",
        name => name,
    }
}

/// The fewest tokens that a prefix must have to be cached.
pub fn minimum_cacheable_tokens(model: &str) -> u64 {
    find(model).map_or(1024, |model| model.cached_from_tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_model_has_one_canonical_name() {
        for spelling in [
            "claude-haiku-4-5",
            "claude-haiku-4-5-20251001",
            "claude-haiku-4-5@20251001",
            "anthropic.claude-haiku-4-5-20251001-v1:0",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
        ] {
            assert_eq!(canonical_name(spelling), "claude-haiku-4-5", "{spelling}");
        }
        assert_eq!(canonical_name("us.anthropic.claude-opus-4-7"), "claude-opus-4-7");
        assert_eq!(canonical_name(""), "");
    }

    #[test]
    fn a_wrong_id_has_its_nearest_right_one() {
        let tiers = ["claude-haiku-9".to_owned()];
        let close = |route, spelling| closest_id(route, spelling, &tiers);
        for (route, spelling, expected) in [
            (Route::Anthropic, "claude-sonet-4-6", Some("claude-sonnet-4-6")),
            (
                Route::Anthropic,
                "claude-haiku-4-5-20250101",
                Some("claude-haiku-4-5"),
            ),
            (Route::Anthropic, "claude-haiku9", Some("claude-haiku-9")),
            (
                Route::VertexAi,
                "claude-opus-4-7@20200101",
                Some("claude-opus-4-7"),
            ),
            (
                Route::BedrockInvoke,
                "eu.anthropic.claude-opus-47",
                Some("eu.anthropic.claude-opus-4-7"),
            ),
            (
                Route::BedrockConverse,
                "us.anthropic.claude-haiku-4-5",
                Some("us.anthropic.claude-haiku-4-5-20251001-v1:0"),
            ),
            (Route::BedrockInvoke, "us.anthropic.claude-haiku9", None),
            (Route::Anthropic, "gpt-4o", None),
            (Route::Azure, "claude-opus-4-1", None),
            (
                Route::VertexAi,
                "claude-opus-4-1@20250101",
                Some("claude-opus-4-1"),
            ),
        ] {
            assert_eq!(close(route, spelling).as_deref(), expected, "{spelling}");
        }
    }

    #[test]
    fn each_route_offers_its_own_spellings() {
        let tiers = ["claude-haiku-9".to_owned()];
        let offering = |spelling: &str| -> Vec<Route> {
            let routes = Route::ALL.into_iter();
            routes
                .filter(|route| is_offered(*route, spelling, &tiers))
                .collect()
        };
        const BEDROCK: [Route; 2] = [Route::BedrockInvoke, Route::BedrockConverse];
        const OTHERS: [Route; 3] = [Route::Anthropic, Route::VertexAi, Route::Azure];
        for (spelling, routes) in [
            ("claude-haiku-4-5", &OTHERS[..]),
            ("claude-haiku-4-5-20251001", &OTHERS[..1]),
            ("claude-haiku-4-5@20251001", &OTHERS[1..2]),
            ("claude-sonnet-4-6@default", &OTHERS[1..2]),
            ("claude-3-5-sonnet-v2@20241022", &OTHERS[1..2]),
            // Retired.
            ("claude-3-7-sonnet-20250219", &[]),
            ("claude-opus-4-1", &OTHERS[1..2]),
            ("us.anthropic.claude-opus-4-1-20250805-v1:0", &BEDROCK[..]),
            ("claude-haiku-9", &OTHERS[..]),
            ("claude-haiku-9@20270101", &OTHERS[1..2]),
            ("anthropic.claude-haiku-4-5-20251001-v1:0", &BEDROCK[..]),
            ("us.anthropic.claude-haiku-4-5-20251001-v1:0", &BEDROCK[..]),
            ("global.anthropic.claude-opus-4-6-v1", &BEDROCK[..]),
            ("us.anthropic.claude-haiku-9-20270101-v1:0", &BEDROCK[..]),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-4-7",
                &BEDROCK[..],
            ),
            (
                "arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
                &BEDROCK[..],
            ),
            ("claude-opus-5-hosted-on-azure", &OTHERS[2..]),
            ("claude-opus-4-7-hosted-on-azure", &[]),
            ("claude-sonnet-4-6-hosted-on-azure", &[]),
            ("anthropic.claude-haiku-4-5", &[Route::BedrockMantle]),
            ("anthropic.claude-sonnet-4-6", &BEDROCK[..]),
            ("claude-nonexistent-9", &[]),
            ("claude-haiku-4-5-20250101", &[]),
            ("claude-haiku-4-5@20250101", &[]),
            ("us.anthropic.claude-haiku-4-5", &[]),
            ("us.anthropic.claude-haiku-4-5-20251001-v1%3A0", &[]),
            ("xx.anthropic.claude-opus-4-7", &[]),
            ("us.anthropic.claude-nonexistent-9-v1:0", &[]),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-nonexistent-9",
                &[],
            ),
            ("", &[]),
        ] {
            assert_eq!(offering(spelling), routes, "{spelling}");
        }
    }
}
