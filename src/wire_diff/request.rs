//! What differs between a request that Claude Code sent and the one that reached the provider.

use serde_json::{Map, Value, json};

use super::pairing::Pair;
use super::{Difference, Fate, Part, conversation, values};
use crate::wire::Route;
use crate::wire::exchange::{ProviderExchange, RecordedRequest};

/// Fields that are compared as what they mean: conversation, tools and betas.
const COMPARED_BY_MEANING: [&str; 4] = ["messages", "system", "tools", "anthropic_beta"];

pub(super) fn differences(pair: &Pair) -> Vec<Difference> {
    let Some(exchange) = pair.exchanges.first() else {
        return vec![never_forwarded(pair)];
    };
    let mut found: Vec<Difference> = repeated(pair).into_iter().collect();
    found.extend(headers(&pair.passage.request, &exchange.request));
    found.extend(surplus_credential(exchange));
    found.extend(betas(&pair.passage.request, exchange));
    found.extend(fields(&pair.passage.request, exchange));
    if let (Some(sent), Some(arrived)) = (&pair.message, &exchange.message) {
        found.extend(conversation::differences(sent, arrived));
    }
    found
}

fn never_forwarded(pair: &Pair) -> Difference {
    let status = pair.passage.reply.as_ref().map(|reply| reply.status);
    Difference::with_fate(
        Part::Request,
        Fate::Dropped,
        "the request",
        Some(json!(pair.passage.request.path)),
        status.map(|status| json!(format!("the gateway itself answered with HTTP {status}"))),
    )
}

fn repeated(pair: &Pair) -> Option<Difference> {
    let statuses: Vec<u16> = pair
        .exchanges
        .iter()
        .map(|exchange| exchange.reply.status)
        .collect();
    (statuses.len() > 1).then(|| {
        Difference::with_fate(
            Part::Request,
            Fate::Repeated,
            "the request",
            Some(json!(1)),
            Some(json!({"times": statuses.len(), "statuses": statuses})),
        )
    })
}

/// `anthropic-beta` is compared flag by flag.
fn headers(sent: &RecordedRequest, arrived: &RecordedRequest) -> Vec<Difference> {
    let (sent, arrived) = (header_values(sent), header_values(arrived));
    values::differences("", &sent, &arrived)
        .into_iter()
        .map(|found| Difference::of(Part::Header, found.path, found.before, found.after))
        .collect()
}

/// A provider needs one credential. A key beside it is the caller's, and the gateway's to keep
/// (<https://github.com/BerriAI/litellm/pull/37905>).
fn surplus_credential(arrived: &ProviderExchange) -> Option<Difference> {
    let has = |name| arrived.request.header(name).next().is_some();
    let surplus = match arrived.route? {
        Route::Anthropic => has("x-api-key") && has("authorization"),
        Route::BedrockInvoke | Route::BedrockConverse | Route::VertexAi => has("x-api-key"),
    };
    surplus.then(|| {
        Difference::with_fate(
            Part::Header,
            Fate::Added,
            "a second credential",
            None,
            Some(json!("`authorization` and `x-api-key`")),
        )
    })
}

/// A header that is sent twice counts as its values joined (RFC 9110, section 5.3).
fn header_values(request: &RecordedRequest) -> Value {
    let mut values = Map::new();
    let named = request
        .headers
        .iter()
        .filter(|(name, _)| name != "anthropic-beta");
    for (name, _) in named {
        let joined: Vec<&str> = request.header(name).collect();
        values.insert(name.clone(), joined.join(", ").into());
    }
    values.into()
}

fn betas(sent: &RecordedRequest, arrived: &ProviderExchange) -> Vec<Difference> {
    let (sent, arrived) = (header_betas(sent), arrived_betas(arrived));
    let missing = |of: &[String], among: &[String]| -> Vec<String> {
        of.iter().filter(|beta| !among.contains(beta)).cloned().collect()
    };
    let dropped = missing(&sent, &arrived)
        .into_iter()
        .map(|beta| Difference::of(Part::Beta, beta.clone(), Some(json!(beta)), None));
    let added = missing(&arrived, &sent)
        .into_iter()
        .map(|beta| Difference::of(Part::Beta, beta.clone(), None, Some(json!(beta))));
    dropped.chain(added).collect()
}

fn header_betas(request: &RecordedRequest) -> Vec<String> {
    let values = request.header("anthropic-beta");
    let betas = values
        .flat_map(|value| value.split(','))
        .map(|beta| beta.trim().to_owned());
    betas.filter(|beta| !beta.is_empty()).collect()
}

/// The beta flags of a request at the provider. Bedrock reads them in the body alone
/// (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html>).
pub fn arrived_betas(exchange: &ProviderExchange) -> Vec<String> {
    let body = exchange.request.body.json().unwrap_or(&Value::Null);
    let in_body = match exchange.route {
        Some(Route::BedrockConverse) => &body["additionalModelRequestFields"]["anthropic_beta"],
        _ => &body["anthropic_beta"],
    };
    let mut betas: Vec<String> = in_body
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|beta| beta.as_str().map(str::to_owned))
        .collect();
    if !is_bedrock(exchange.route) {
        betas.extend(header_betas(&exchange.request));
    }
    betas
}

fn is_bedrock(route: Option<Route>) -> bool {
    matches!(route, Some(Route::BedrockInvoke | Route::BedrockConverse))
}

fn fields(sent: &RecordedRequest, arrived: &ProviderExchange) -> Vec<Difference> {
    let (Some(before), Some(body)) = (sent.body.json(), arrived.request.body.json()) else {
        return Vec::new();
    };
    let after = match arrived.route {
        Some(Route::BedrockConverse) => fields_of_converse(body),
        _ => body.clone(),
    };
    values::differences("", &without_meaning(before), &without_meaning(&after))
        .into_iter()
        .map(|found| Difference::of(Part::Field, found.path, found.before, found.after))
        .collect()
}

fn without_meaning(body: &Value) -> Value {
    let fields = body.as_object().into_iter().flatten();
    fields
        .filter(|(name, _)| !COMPARED_BY_MEANING.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<Map<_, _>>()
        .into()
}

/// The fields of a `converse` request under the names of the Messages API
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>).
fn fields_of_converse(body: &Value) -> Value {
    let mut fields = Map::new();
    for (name, value) in body.as_object().into_iter().flatten() {
        match name.as_str() {
            "inferenceConfig" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    fields.insert(name_of_inference(name).to_owned(), value.clone());
                }
            }
            "additionalModelRequestFields" => {
                let extra = value.as_object().into_iter().flatten();
                fields.extend(extra.map(|(name, value)| (name.clone(), value.clone())));
            }
            "toolConfig" => {
                if let Some(choice) = value.get("toolChoice") {
                    fields.insert("tool_choice".to_owned(), tool_choice(choice));
                }
            }
            _ => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
    fields.into()
}

fn name_of_inference(name: &str) -> &str {
    match name {
        "maxTokens" => "max_tokens",
        "topP" => "top_p",
        "stopSequences" => "stop_sequences",
        other => other,
    }
}

fn tool_choice(choice: &Value) -> Value {
    match choice.as_object().and_then(|choice| choice.iter().next()) {
        Some((kind, value)) => match value.get("name") {
            Some(name) => json!({"type": kind, "name": name}),
            None => json!({"type": kind}),
        },
        None => choice.clone(),
    }
}
