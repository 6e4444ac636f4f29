//! Differences between a request of Claude Code and the request that reached the provider.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::conversation::{self, Prompt};
use super::pairing::Pair;
use super::{Difference, Fate, Part, delay, unknown, values};
use crate::wire::exchange::{Body, ProviderExchange, ProviderReply, RecordedRequest, TOO_LARGE};
use crate::wire::place::ProcessingPlace;
use crate::wire::{Operation, Route, betas, body_fields, converse, error_reply, messages, pointer, target};

/// Fields that `conversation` compares by their meaning.
const COMPARED_BY_MEANING: [&str; 3] = ["messages", "system", "tools"];

pub(super) fn differences(pair: &Pair) -> Vec<Difference> {
    if pair.exchanges.is_empty() {
        return match offers_no_counts(pair) {
            true => Vec::new(),
            false => vec![never_forwarded(pair)],
        };
    }
    let mut found: Vec<Difference> = repeated(pair).into_iter().collect();
    found.extend(delay::of_request(pair));
    // The gateway's own repetition may have another form, and go another way.
    for attempt in &pair.exchanges {
        let mut new = of_attempt(pair, attempt);
        new.retain(|one| !found.contains(one));
        found.extend(new);
    }
    found
}

/// The differences of one request at the provider.
fn of_attempt(pair: &Pair, exchange: &ProviderExchange) -> Vec<Difference> {
    let mut found: Vec<Difference> = exchange
        .keyless
        .then(|| without_key("the request"))
        .into_iter()
        .collect();
    found.extend(headers(&pair.passage.request, &exchange.request));
    found.extend(credentials(exchange));
    found.extend(place(exchange));
    if let Some(route) = other_route(exchange) {
        // Its body is not read as what it is.
        found.push(route);
        return found;
    }
    found.extend(beta_flags(&pair.passage.request, exchange));
    found.extend(form_of_reply(&pair.passage.request, exchange));
    found.extend(query(&pair.passage.request, &exchange.request));
    found.extend(unreadable(&pair.passage.request, &exchange.request));
    let body = exchange.request.body.json();
    let body = body.and_then(|body| target::prompt(exchange.operation, exchange.route, body));
    let (sent, arrived) = (pair.passage.request.body.json(), body.as_ref());
    let is_converse = exchange.route == Some(Route::BedrockConverse);
    if let (Some(sent), Some(arrived)) = (sent, arrived) {
        found.extend(fields(exchange.route, sent, arrived));
        if is_converse {
            found.extend(unknown::on_converse(sent, arrived));
        }
    }
    if let (Some(message), Some(other)) = (&pair.message, &exchange.message) {
        let arrived = arrived.filter(|_| !is_converse);
        let [sent, arrived] = [(message, sent), (other, arrived)].map(|(message, body)| Prompt {
            message,
            body: body.unwrap_or(&Value::Null),
        });
        found.extend(conversation::differences(sent, arrived));
    }
    found
}

/// The path says whether the reply shall be a stream, and asks for none where Claude Code wants one.
fn form_of_reply(sent: &RecordedRequest, arrived: &ProviderExchange) -> Option<Difference> {
    let is_in_path = arrived.operation == Operation::Messages
        && arrived.reply.status < 400
        && matches!(
            arrived.route,
            Some(Route::BedrockInvoke | Route::BedrockConverse | Route::VertexAi)
        );
    let asked = sent.body.json()?["stream"] == true;
    let is_lost = is_in_path && asked && !arrived.reply.stream;
    is_lost.then(|| Difference::of(Part::Field, "stream", true, false))
}

/// The gateway made another body of a JSON body, such as a compressed one.
fn unreadable(sent: &RecordedRequest, arrived: &RecordedRequest) -> Option<Difference> {
    let is_other = match &arrived.body {
        Body::Json(_) => false,
        Body::Empty => true,
        Body::Text(text) => text != TOO_LARGE,
    };
    let encoding: Vec<&str> = arrived.header("content-encoding").collect();
    let after = match encoding[..] {
        [] => "no JSON".to_owned(),
        _ => format!("no JSON; `content-encoding` is {}", encoding.join(", ")),
    };
    (sent.body.json().is_some() && is_other).then(|| Difference::of(Part::Field, "body", "JSON", after))
}

/// Compares the parameters of the query, decoded, in any order.
fn query(sent: &RecordedRequest, arrived: &RecordedRequest) -> Vec<Difference> {
    let parameters = |request: &RecordedRequest| -> Value {
        let pairs = request.query.split('&').filter(|pair| !pair.is_empty());
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let parameters: Map<String, Value> = pairs
            .map(|(name, value)| (decoded(name), decoded(value).into()))
            .collect();
        parameters.into()
    };
    values::differences(Part::Query, "", &parameters(sent), &parameters(arrived))
}

/// The name of a whole request in a change.
pub(super) fn name_of(operation: Operation) -> &'static str {
    match operation {
        Operation::CountTokens => "the token count",
        _ => "the request",
    }
}

/// Whether the gateway answered that it has no token counts. The row about them says what is lost.
fn offers_no_counts(pair: &Pair) -> bool {
    let reply = pair.passage.reply.as_ref();
    reply.is_some_and(|reply| pair.passage.operation.is_not_offered(reply.status))
}

fn never_forwarded(pair: &Pair) -> Difference {
    let answer = pair.passage.reply.as_ref().map(|reply| {
        match error_reply::words_in(&reply.events).filter(|_| reply.status >= 400) {
            Some(words) => format!("the gateway itself answered (HTTP {}): {words}", reply.status),
            None => format!("the gateway itself answered with HTTP {}", reply.status),
        }
    });
    let path = pair.passage.request.path.as_str();
    Difference::of(Part::Request, name_of(pair.passage.operation), path, answer).with_fate(Fate::Dropped)
}

/// The gateway forwarded `what` without the key of its trial.
pub(super) fn without_key(what: &str) -> Difference {
    Difference::of(Part::Request, what, Value::Null, Value::Null).with_fate(Fate::Changed)
}

fn repeated(pair: &Pair) -> Option<Difference> {
    let exchanges = pair.exchanges.iter();
    let statuses: Vec<u16> = exchanges.map(|exchange| exchange.reply.status).collect();
    let times = json!({"times": statuses.len(), "statuses": statuses});
    // To ask again after an error is another fault than to ask again after an answer.
    let earlier = pair.exchanges.iter().rev().skip(1);
    let what = match earlier
        .map(|exchange| &exchange.reply)
        .any(ProviderReply::is_answer)
    {
        true => ANSWERED_REQUEST,
        false => "the request",
    };
    let difference = || Difference::of(Part::Request, what, 1, times);
    (statuses.len() > 1).then(|| difference().with_fate(Fate::Repeated))
}

/// Without `anthropic-beta`: [`beta_flags`] compares each.
fn headers(sent: &RecordedRequest, arrived: &RecordedRequest) -> Vec<Difference> {
    values::differences(Part::Header, "", &header_values(sent), &header_values(arrived))
}

/// The headers that carry the provider's credential on a route. Foundry has `api-key` too:
/// <https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry>.
fn credential_headers(arrived: &ProviderExchange) -> &'static [&'static str] {
    match arrived.route {
        Some(Route::Azure) => &["x-api-key", "authorization", "api-key"],
        Some(Route::Anthropic) | None => &["x-api-key", "authorization"],
        Some(Route::BedrockInvoke | Route::BedrockConverse | Route::BedrockMantle) => {
            &["authorization", "x-amz-security-token"]
        }
        Some(Route::VertexAi) => &["authorization"],
    }
}

/// The name of a request that the provider answered before it came again.
pub(super) const ANSWERED_REQUEST: &str = "the answered request";

/// The name of a second header with a credential, where a provider needs one.
pub const SECOND_HEADER: &str = "a second header";

/// A provider needs one credential, in a header of its route. Any other one is the caller's or the gateway's own, which the
/// gateway must not forward (<https://github.com/BerriAI/litellm/pull/37905>).
fn credentials(arrived: &ProviderExchange) -> Vec<Difference> {
    let of_route = credential_headers(arrived);
    let has = |name: &str| arrived.request.header(name).next().is_some();
    let is_credential = |name: &str| {
        let last = name.rsplit('-').next().unwrap_or_default();
        ["authorization", "auth", "cookie"].contains(&last)
            || name.ends_with("api-key")
            || name == "x-amz-security-token"
    };
    let by_name = arrived.request.headers.iter().map(|(name, _)| name.as_str());
    let by_name = by_name.filter(|name| is_credential(name) && !of_route.contains(name));
    let mut found: Vec<Difference> = by_name
        .map(|name| added_credential(format!("header {name}")))
        .collect();
    // Foundry has two names for the header of one key.
    let has_key = ["x-api-key", "api-key"].into_iter().any(has);
    let has_many = matches!(arrived.route, Some(Route::Anthropic | Route::Azure));
    if has_many && has_key && has("authorization") {
        found.push(added_credential(SECOND_HEADER.to_owned()));
    }
    found.extend(callers_key(arrived));
    found
}

/// The key with which Claude Code calls the gateway, by its value.
pub(super) fn callers_key(arrived: &ProviderExchange) -> impl Iterator<Item = Difference> {
    let places = arrived.caller_credential.iter();
    places.map(|place| added_credential(format!("the caller's key in the {place}")))
}

fn added_credential(path: String) -> Difference {
    Difference::of(Part::Credential, path, Value::Null, Value::Null).with_fate(Fate::Added)
}

/// Compares where the request is processed with the gateway's configuration, as far as both are known.
fn place(arrived: &ProviderExchange) -> Vec<Difference> {
    let (wanted, named) = (&arrived.wanted_place, ProcessingPlace::of(arrived));
    let parts = [
        ("project", &wanted.project, &named.project),
        ("location", &wanted.location, &named.location),
        ("geography", &wanted.geography, &named.geography),
    ];
    let differs = |(_, wanted, named): &(_, &Option<String>, &Option<String>)| {
        wanted.is_some() && named.is_some() && wanted != named
    };
    let changed = parts
        .into_iter()
        .filter(differs)
        .map(|(name, wanted, named)| Difference::of(Part::Place, name, wanted.clone(), named.clone()));
    let quota = named
        .quota_project
        .as_ref()
        .filter(|quota| wanted.project.as_ref().is_some_and(|wanted| wanted != *quota));
    let quota = quota.map(|quota| {
        Difference::of(
            Part::Place,
            "quota project",
            named.project.clone(),
            quota.as_str(),
        )
    });
    changed.chain(quota).collect()
}

/// The gateway sent a body in the form of Converse to a path of another API, or the other way round.
pub(super) fn other_route(arrived: &ProviderExchange) -> Option<Difference> {
    let route = arrived
        .route
        .filter(|_| arrived.operation == Operation::Messages)?;
    let is_converse = converse::has_its_form(arrived.request.body.json()?)?;
    let of_body = match is_converse {
        true => Route::BedrockConverse,
        false => Route::BedrockInvoke,
    };
    (is_converse != (route == Route::BedrockConverse))
        .then(|| Difference::of(Part::Place, ROUTE, of_body.as_str(), route.as_str()))
}

/// The name of the API to whose path a request went.
pub(super) const ROUTE: &str = "route";

/// The values of a repeated header are joined (RFC 9110, section 5.3).
fn header_values(request: &RecordedRequest) -> Value {
    let mut values = Map::new();
    for (name, _) in request
        .headers
        .iter()
        .filter(|(name, _)| name != "anthropic-beta")
    {
        let joined: Vec<&str> = request.header(name).collect();
        values.insert(name.clone(), joined.join(", ").into());
    }
    values.into()
}

fn beta_flags(sent: &RecordedRequest, arrived: &ProviderExchange) -> Vec<Difference> {
    let (fine_pieces, field) = betas::FINE_PIECES;
    let asks = |request: &RecordedRequest| {
        let tools = request.body.json().and_then(|body| body["tools"].as_array());
        tools.into_iter().flatten().any(|tool| tool[field] == true)
    };
    let asks_by_field = asks(sent);
    // Where the provider refuses the field, the beta must stand for it.
    let is_refused = matches!(arrived.route, Some(Route::BedrockInvoke | Route::BedrockConverse));
    let answers = arrived.operation == Operation::Messages;
    let needs_beta = answers && asks_by_field && is_refused && !asks(&arrived.request);
    let (sent, route, arrived) = (header_betas(sent), arrived.route, arrived_betas(arrived));
    let missing = |of: &[String], among: &[String]| -> Vec<String> {
        of.iter().filter(|beta| !among.contains(beta)).cloned().collect()
    };
    let (dropped, added) = (missing(&sent, &arrived), missing(&arrived, &sent));
    let dropped = dropped.iter().map(|beta| {
        // Its name on this route, unless that arrived.
        let own = route.and_then(|route| betas::name_on(route, beta));
        let name = own.filter(|own| !arrived.iter().any(|beta| beta == own));
        Difference::of(Part::Beta, name.unwrap_or(beta), beta.as_str(), Value::Null)
    });
    // A beta that the provider calls otherwise has its name in Anthropic's API as the value before, and one that stands for a
    // field of a tool the field's name.
    let added = added.iter().map(|beta| {
        let original = sent
            .iter()
            .map(String::as_str)
            .find(|sent| *sent == betas::name_in_the_api(beta))
            .or_else(|| (beta.as_str() == fine_pieces && asks_by_field).then_some(field));
        Difference::of(Part::Beta, beta, original, beta.as_str())
    });
    let is_lost = needs_beta && sent.iter().chain(&arrived).all(|beta| beta != fine_pieces);
    let lost = is_lost.then(|| Difference::of(Part::Beta, fine_pieces, field, Value::Null));
    dropped.chain(added).chain(lost).collect()
}

fn header_betas(request: &RecordedRequest) -> Vec<String> {
    messages::betas(request.header("anthropic-beta")).collect()
}

/// The beta flags of a request at the provider. Bedrock reads them only in the body
/// (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html>).
pub fn arrived_betas(exchange: &ProviderExchange) -> Vec<String> {
    let body = exchange.request.body.json().unwrap_or(&Value::Null);
    let in_body = match exchange.route {
        Some(Route::BedrockConverse) => "/additionalModelRequestFields/anthropic_beta",
        _ => "/anthropic_beta",
    };
    let mut betas = pointer::texts(body, in_body);
    if !matches!(
        exchange.route,
        Some(Route::BedrockInvoke | Route::BedrockConverse)
    ) {
        betas.extend(header_betas(&exchange.request));
    }
    betas
}

fn fields(route: Option<Route>, sent: &Value, arrived: &Value) -> Vec<Difference> {
    let arrived = match route {
        Some(Route::BedrockConverse) => &fields_of_converse(arrived),
        _ => arrived,
    };
    // On a route that has betas in the body, `beta_flags` compares them.
    let has_betas = route.is_some_and(|route| body_fields::is_known(route, false, "anthropic_beta"));
    let [sent, arrived] = [sent, arrived].map(|body| {
        let mut fields = body.as_object().cloned().unwrap_or_default();
        fields.retain(|name, _| match name.as_str() {
            "anthropic_beta" => !has_betas,
            name => !COMPARED_BY_MEANING.contains(&name),
        });
        fields.into()
    });
    values::differences(Part::Field, "", &sent, &arrived)
}

/// The fields of a `converse` request under the names of the Messages API
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>).
pub fn fields_of_converse(body: &Value) -> Value {
    let mut fields = Map::new();
    for (name, value) in body.as_object().into_iter().flatten() {
        match name.as_str() {
            "inferenceConfig" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    fields.insert(name_of_inference(name).to_owned(), value.clone());
                }
            }
            "additionalModelRequestFields" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    merge(&mut fields, name, value);
                }
            }
            "outputConfig" => {
                let format = json!({"format": format_of_converse(&value["textFormat"])});
                merge(&mut fields, "output_config", &format);
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

/// Writes a field, or adds the keys of `value` to those of the object that is there.
fn merge(fields: &mut Map<String, Value>, name: &str, value: &Value) {
    match (
        fields.get_mut(name).and_then(Value::as_object_mut),
        value.as_object(),
    ) {
        (Some(there), Some(more)) => there.extend(more.clone()),
        _ => {
            fields.insert(name.to_owned(), value.clone());
        }
    }
}

/// Converse has the schema of an answer as a text, with a name that the Messages API lacks
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_JsonSchemaDefinition.html>).
fn format_of_converse(format: &Value) -> Value {
    let schema = format
        .pointer("/structure/jsonSchema/schema")
        .and_then(Value::as_str);
    let schema: Option<Value> = schema.and_then(|schema| serde_json::from_str(schema).ok());
    schema.map_or_else(
        || format.clone(),
        |schema| json!({"type": format["type"], "schema": schema}),
    )
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
