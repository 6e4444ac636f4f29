//! Keys and tags at any depth of a request: those of the Messages API's own types.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Rule, Subject};
use crate::wire::Route;
use crate::wire::error_reply::ErrorReply;
use crate::wire::model::Generation;
use crate::wire::request_types::{Key, keys_of, tags_of};

pub(super) const RULES: &[Rule] = rules![known_keys, compaction, eager_input_streaming,];

/// The message for an unknown key names the tags of the unions on its path. InvokeModel and Vertex AI have a list of betas in the body.
///
/// Source: https://github.com/theopenco/llmgateway/issues/2068 (a message), https://github.com/anthropics/claude-code/issues/4378
/// (a block), https://github.com/BerriAI/litellm/issues/17816 (an unknown tag), https://github.com/vercel/ai/pull/16643 (an
/// `input` that is no object), https://github.com/lidge-jun/opencodex/issues/75 (a schema without a type),
/// https://github.com/simonw/llm-anthropic/issues/23 (a text),
/// https://github.com/diegosouzapw/OmniRoute/issues/677 (a flag),
/// https://github.com/kangminlee-maker/local-OAuth-CLI-API-adapter (`docs/conformance-matrix.md`: answers of the API to wrong
/// kinds of values); the betas:
/// https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html
fn known_keys(subject: &Subject) -> Option<ErrorReply> {
    let mut body = Cow::Borrowed(subject.model_fields()?);
    if subject.route() == Route::Anthropic && subject.has_beta("prompt-caching-scope-") {
        remove_scopes(body.to_mut());
    }
    let fields = body.as_object()?;
    let in_betas = || {
        let betas = fields.get("anthropic_beta")?;
        let is_read = subject.is_on(&[Route::BedrockInvoke, Route::BedrockConverse, Route::VertexAi]);
        is_read.then(|| in_value(betas, "[str]", "anthropic_beta"))?
    };
    subject.invalid(in_object(fields, "request", "").or_else(in_betas)?)
}

/// Removes the `scope` of each cache breakpoint. Only Anthropic's API knows it, with its beta.
///
/// Source: https://github.com/Portkey-AI/gateway/pull/1592 (Anthropic without the beta),
/// https://github.com/BerriAI/litellm/pull/22867 (Bedrock, Foundry), https://github.com/BerriAI/litellm/pull/23183 (Vertex AI)
fn remove_scopes(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(remove_scopes),
        Value::Object(fields) => {
            let breakpoint = fields.get_mut("cache_control").and_then(Value::as_object_mut);
            breakpoint.map(|breakpoint| breakpoint.remove("scope"));
            fields.values_mut().for_each(remove_scopes);
        }
        _ => {}
    }
}

/// Compaction is an edit only with its beta.
///
/// Source: https://platform.claude.com/docs/en/build-with-claude/compaction (beta header)
fn compaction(subject: &Subject) -> Option<ErrorReply> {
    if subject.has_beta("compact-") {
        return None;
    }
    let edits = subject.model_fields()?["context_management"]["edits"].as_array()?;
    let index = edits.iter().position(|edit| edit["type"] == COMPACTION)?;
    let tags = tags_of("edit").filter(|tag| *tag != COMPACTION);
    let place = format!("context_management.edits.{index}");
    subject.invalid(unknown_tag(&place, COMPACTION, tags.collect()))
}

/// Source: https://github.com/anthropics/claude-code/issues/33180; newer models accept it there
fn eager_input_streaming(subject: &Subject) -> Option<ErrorReply> {
    if subject.route() != Route::BedrockInvoke || subject.may_be_since(Generation::Five) {
        return None;
    }
    let tools = &subject.message()?.tools;
    let index = tools
        .iter()
        .position(|tool| tool.definition.get("eager_input_streaming").is_some())?;
    subject.invalid(format!(
        "tools.{index}.custom.eager_input_streaming: Extra inputs are not permitted"
    ))
}

const ANY_OBJECT: &str = "{}";
const COMPACTION: &str = "compact_20260112";

fn unknown_tag(place: &str, tag: &str, mut tags: Vec<&str>) -> String {
    tags.sort_unstable();
    let tags: Vec<String> = tags.iter().map(|tag| format!("'{tag}'")).collect();
    format!(
        "{place}: Input tag '{tag}' found using 'type' does not match any of the expected tags: {}",
        tags.join(", ")
    )
}

/// The name and the date of a tag such as `web_search_20250305`.
fn dated(tag: &str) -> Option<(&str, &str)> {
    let is_date = |date: &str| date.len() == 8 && date.chars().all(|digit| digit.is_ascii_digit());
    tag.rsplit_once('_').filter(|(_, date)| is_date(date))
}

/// Whether `tag` may be younger than the sources: it has a new name, or a later date than all tags of its name.
fn is_younger(union: &str, tag: &str) -> bool {
    dated(tag).is_some_and(|(name, date)| {
        let mut known = tags_of(union).filter_map(dated);
        known.all(|(known, of)| known != name || of < date)
    })
}

/// The first fault in a value of `kind` at `place`.
fn in_value(value: &Value, kind: &str, place: &str) -> Option<String> {
    let kind = match kind.strip_prefix('?') {
        Some(_) if value.is_null() => return None,
        Some(kind) => kind,
        None => kind,
    };
    let kind = match kind.strip_prefix("str/") {
        Some(_) if value.is_string() => return None,
        Some(kind) => kind,
        None => kind,
    };
    let wrong = |wanted: &str| Some(format!("{place}: Input should be {wanted}"));
    let item = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']'));
    match (value, item.unwrap_or(kind)) {
        (Value::Array(items), kind) if item.is_some() => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| in_value(item, kind, &format!("{place}.{index}"))),
        _ if item.is_some() => wrong("a valid array"),
        (Value::String(_), "str") | (Value::Bool(_), "bool") | (Value::Number(_), "num") => None,
        (Value::Number(number), "int") if number.as_f64().is_some_and(|number| number.fract() == 0.0) => None,
        (_, "str") => wrong("a valid string"),
        (_, "bool") => wrong("a valid boolean"),
        (_, "num") => wrong("a valid number"),
        (_, "int") => wrong("a valid integer"),
        (Value::String(text), literal) if literal.strip_prefix('\'') == Some(&format!("{text}'")) => None,
        (_, literal) if literal.starts_with('\'') => wrong(literal),
        (Value::Object(_), ANY_OBJECT) => None,
        (Value::Object(fields), kind) => match kind.strip_suffix('|') {
            None => in_object(fields, kind, place),
            Some(union) => in_union(fields, union, place),
        },
        (_, kind) if kind == ANY_OBJECT || kind.ends_with('|') => wrong("an object"),
        _ => Some(format!("{place}: Input does not match the expected shape.")),
    }
}

fn in_union(fields: &Map<String, Value>, union: &str, place: &str) -> Option<String> {
    let tag = match (fields.get("type"), union) {
        (Some(Value::String(tag)), _) => tag.as_str(),
        (None | Some(Value::Null), "tool") => "custom",
        (None, "thinking") => return None,
        (None, _) => {
            return Some(format!(
                "{place}: Unable to extract tag using discriminator 'type'"
            ));
        }
        (Some(_), _) => return Some(format!("{place}.type: Input should be a valid string")),
    };
    let name = format!("{union}.{tag}");
    if keys_of(&name).is_some() {
        return in_object(fields, &name, &format!("{place}.{tag}"));
    }
    // `thinking` has a rule of its own. Anthropic's tools and edits have a date.
    if union == "thinking" || (matches!(union, "tool" | "edit") && is_younger(union, tag)) {
        return None;
    }
    Some(unknown_tag(place, tag, tags_of(union).collect()))
}

fn in_object(fields: &Map<String, Value>, name: &str, place: &str) -> Option<String> {
    let at = |key: &str| match place {
        "" => key.to_owned(),
        place => format!("{place}.{key}"),
    };
    let known: Vec<Key> = keys_of(name)?.collect();
    let is_missing =
        |key: &&Key| key.is_required && !fields.contains_key(key.name) && !may_lack(name, key.name, fields);
    if let Some(key) = known.iter().find(is_missing) {
        return Some(format!("{}: Field required", at(key.name)));
    }
    let open = known.iter().any(|key| key.name == "*");
    fields.iter().find_map(
        |(key, value)| match known.iter().find(|known| known.name == key) {
            None if open => None,
            None => Some(format!("{}: Extra inputs are not permitted", at(key))),
            Some(Key { kind: "", .. }) => None,
            Some(known) => in_value(value, known.kind, &at(key)),
        },
    )
}

/// A system entry may have its own `output_config` in place of content (`BetaSystemMessageParam` of the SDK).
fn may_lack(name: &str, key: &str, fields: &Map<String, Value>) -> bool {
    let config = fields.get("output_config").and_then(Value::as_object);
    let has_config = config.is_some_and(|config| !config.is_empty());
    (name, key) == ("message", "content") && fields["role"] == "system" && has_config
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::request_types::TYPES;

    #[test]
    fn every_named_type_exists() {
        for (name, keys) in TYPES {
            for key in keys.split_ascii_whitespace() {
                let Some((_, kind)) = key.split_once(':') else {
                    continue;
                };
                let kind = kind.trim_start_matches('?').trim_start_matches("str/");
                let kind = kind.trim_start_matches('[').trim_end_matches(']');
                let is_known = match kind.strip_suffix('|') {
                    Some(union) => tags_of(union).next().is_some(),
                    None => {
                        let is_simple = ["str", "bool", "num", "int", ANY_OBJECT].contains(&kind);
                        is_simple || kind.starts_with('\'') || keys_of(kind).is_some()
                    }
                };
                assert!(is_known, "{name}: {key}");
            }
        }
    }

    #[test]
    fn a_fault_is_named_with_its_whole_path() {
        let message = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
        for (body, fault) in [
            (
                json!({"messages": [{"role": "user"}]}),
                "messages.0.content: Field required",
            ),
            (
                json!({"messages": [{"role": "user", "content": "x", "reasoning_content": "y"}]}),
                "messages.0.reasoning_content: Extra inputs are not permitted",
            ),
            (
                message(json!([{"type": "text", "text": "x", "foo": 1}])),
                "messages.0.content.0.text.foo: Extra inputs are not permitted",
            ),
            (
                message(json!([{"type": "tool_result", "tool_use_id": "t", "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "m", "data": "d", "x": 1}}]}])),
                "messages.0.content.0.tool_result.content.0.image.source.base64.x: Extra inputs are not permitted",
            ),
            (
                message(
                    json!([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "x": 1}}]),
                ),
                "messages.0.content.0.text.cache_control.ephemeral.x: Extra inputs are not permitted",
            ),
            (
                json!({"system": [{"type": "text", "text": "x", "cache_control": {"type": "persistent"}}]}),
                "system.0.cache_control: Input tag 'persistent' found using 'type' does not match any of the expected tags: \
                 'ephemeral'",
            ),
            (
                json!({"tools": [{"name": "x"}]}),
                "tools.0.custom.input_schema: Field required",
            ),
            (
                json!({"tools": [{"name": "x", "input_schema": {"type": "object"}, "parameters": {}}]}),
                "tools.0.custom.parameters: Extra inputs are not permitted",
            ),
            (
                json!({"tools": [{"name": "x", "input_schema": {}}]}),
                "tools.0.custom.input_schema.type: Field required",
            ),
            (
                json!({"tools": [{"name": "x", "input_schema": {"type": "array"}}]}),
                "tools.0.custom.input_schema.type: Input should be 'object'",
            ),
            (
                json!({"tools": [{"type": "computer_20250124", "name": "computer", "display_height_px": 1,
                    "display_width_px": 1, "enable_zoom": true}]}),
                "tools.0.computer_20250124.enable_zoom: Extra inputs are not permitted",
            ),
            (
                json!({"tools": [{"type": "web_search_20250305", "name": "web_search", "user_location":
                    {"type": "approximate", "foo": 1}}]}),
                "tools.0.web_search_20250305.user_location.foo: Extra inputs are not permitted",
            ),
            (
                json!({"mcp_servers": [{"type": "url", "name": "x", "url": "x", "foo": 1}]}),
                "mcp_servers.0.foo: Extra inputs are not permitted",
            ),
            (
                json!({"tools": [{"type": "function", "function": {}}]}),
                "tools.0: Input tag 'function' found using 'type' does not match any of the expected tags: 'advisor_20260301', ",
            ),
            (
                json!({"tools": [{"type": "web_search_20250502", "name": "web_search"}]}),
                "tools.0: Input tag 'web_search_20250502' found using 'type' does not match any of the expected tags: ",
            ),
            (
                json!({"tools": [{"type": "web_search_20250305"}]}),
                "tools.0.web_search_20250305.name: Field required",
            ),
            (
                json!({"tools": [{"type": "web_search_20250305", "name": "web_search", "input_schema": {}}]}),
                "tools.0.web_search_20250305.input_schema: Extra inputs are not permitted",
            ),
            (
                json!({"tool_choice": {"type": "required"}}),
                "tool_choice: Input tag 'required' found using 'type' does not match any of the expected tags: 'any', 'auto', \
                 'none', 'tool'",
            ),
            (
                json!({"thinking": {"type": "adaptive", "effort": "high"}}),
                "thinking.adaptive.effort: Extra inputs are not permitted",
            ),
            (
                json!({"output_config": {"reasoning": "high"}}),
                "output_config.reasoning: Extra inputs are not permitted",
            ),
            (
                json!({"metadata": {"user_id": "u", "tags": ["team-a"]}}),
                "metadata.tags: Extra inputs are not permitted",
            ),
            (
                json!({"output_config": {"format": {"type": "json_schema", "schema": {}, "name": "x"}}}),
                "output_config.format.name: Extra inputs are not permitted",
            ),
            (
                json!({"output_config": {"format": {"type": "object", "schema": {}}}}),
                "output_config.format.type: Input should be 'json_schema'",
            ),
            (
                json!({"output_config": {"format": {"type": "json_schema"}}}),
                "output_config.format.schema: Field required",
            ),
            (
                json!({"context_management": {"edits": [{"type": "clear_thinking_20251015", "trigger": {}}]}}),
                "context_management.edits.0.clear_thinking_20251015.trigger: Extra inputs are not permitted",
            ),
            (
                json!({"context_management": {"edits": [{"type": "truncate"}]}}),
                "context_management.edits.0: Input tag 'truncate' found using 'type' does not match any of the expected tags: \
                 'clear_thinking_20251015', 'clear_tool_uses_20250919', 'compact_20260112'",
            ),
            (
                json!({"context_management": {"edits": [{"type": "clear_tool_uses_20250919", "trigger":
                    {"type": "input_tokens", "value": 1, "foo": 1}}]}}),
                "context_management.edits.0.clear_tool_uses_20250919.trigger.input_tokens.foo: Extra inputs are not permitted",
            ),
            (
                message(
                    json!([{"type": "document", "source": {"type": "url", "url": "x"}, "citations": {"foo": true}}]),
                ),
                "messages.0.content.0.document.citations.foo: Extra inputs are not permitted",
            ),
            (
                json!({"diagnostics": {"previous_message_id": null, "level": 1}}),
                "diagnostics.level: Extra inputs are not permitted",
            ),
        ] {
            let found = in_object(body.as_object().unwrap(), "request", "").unwrap_or_default();
            assert!(found.starts_with(fault), "{found}, wanted {fault}");
        }
    }

    #[test]
    fn a_value_of_another_kind_is_a_fault() {
        let message = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
        let result = |content: Value| {
            message(json!([{"type": "tool_result", "tool_use_id": "t", "content": content}]))
        };
        let data = json!({"type": "base64", "media_type": "image/png", "data": 5});
        for (body, fault) in [
            (
                json!({"tool_choice": "auto"}),
                "tool_choice: Input should be an object",
            ),
            (
                json!({"tool_choice": null}),
                "tool_choice: Input should be an object",
            ),
            (json!({"thinking": null}), "thinking: Input should be an object"),
            (json!({"system": null}), "system: Input should be a valid array"),
            (json!({"tools": null}), "tools: Input should be a valid array"),
            (
                json!({"stop_sequences": null}),
                "stop_sequences: Input should be a valid array",
            ),
            (json!({"stream": null}), "stream: Input should be a valid boolean"),
            (
                json!({"tools": [{"name": "x", "input_schema": {"type": "object"}, "description": null}]}),
                "tools.0.custom.description: Input should be a valid string",
            ),
            (
                message(json!([{"type": "tool_result", "tool_use_id": "t", "is_error": null}])),
                "messages.0.content.0.tool_result.is_error: Input should be a valid boolean",
            ),
            (
                json!({"tools": [{"type": "bash_20250124", "name": "Bash"}]}),
                "tools.0.bash_20250124.name: Input should be 'bash'",
            ),
            (
                json!({"cache_control": "ephemeral"}),
                "cache_control: Input should be an object",
            ),
            (
                json!({"metadata": "x"}),
                "metadata: Input does not match the expected shape.",
            ),
            (
                json!({"output_config": null}),
                "output_config: Input does not match the expected shape.",
            ),
            (json!({"system": 5}), "system: Input should be a valid array"),
            (
                json!({"system": ["hi"]}),
                "system.0: Input does not match the expected shape.",
            ),
            (json!({"tools": "x"}), "tools: Input should be a valid array"),
            (json!({"tools": {}}), "tools: Input should be a valid array"),
            (
                json!({"stop_sequences": "x"}),
                "stop_sequences: Input should be a valid array",
            ),
            (
                json!({"stop_sequences": [1]}),
                "stop_sequences.0: Input should be a valid string",
            ),
            (
                json!({"stream": "nope"}),
                "stream: Input should be a valid boolean",
            ),
            (
                json!({"temperature": "hot"}),
                "temperature: Input should be a valid number",
            ),
            (
                json!({"temperature": null}),
                "temperature: Input should be a valid number",
            ),
            (json!({"top_k": 1.5}), "top_k: Input should be a valid integer"),
            (
                message(json!(["hi"])),
                "messages.0.content.0: Input should be an object",
            ),
            (
                message(json!(5)),
                "messages.0.content: Input should be a valid array",
            ),
            (
                message(json!([{"type": "text", "text": 5}])),
                "messages.0.content.0.text.text: Input should be a valid string",
            ),
            (
                message(json!([{"type": "text", "text": null}])),
                "messages.0.content.0.text.text: Input should be a valid string",
            ),
            (
                message(json!([{"type": "text", "text": "x", "cache_control": "ephemeral"}])),
                "messages.0.content.0.text.cache_control: Input should be an object",
            ),
            (
                message(json!([{"type": "image", "source": data}])),
                "messages.0.content.0.image.source.base64.data: Input should be a valid string",
            ),
            (
                message(json!([{"type": "tool_result", "tool_use_id": "t", "is_error": "maybe"}])),
                "messages.0.content.0.tool_result.is_error: Input should be a valid boolean",
            ),
            (
                result(json!(5)),
                "messages.0.content.0.tool_result.content: Input should be a valid array",
            ),
            (
                message(json!([{"type": "tool_use", "id": "t", "name": "x", "input": "{}"}])),
                "messages.0.content.0.tool_use.input: Input should be an object",
            ),
            // Blocks in places that have none.
            (
                message(json!([{"type": "tool_reference", "tool_name": "x"}])),
                "messages.0.content.0: Input tag 'tool_reference' found using 'type' does not match",
            ),
            (
                result(json!([{"type": "tool_use", "id": "t", "name": "x", "input": {}}])),
                "messages.0.content.0.tool_result.content.0: Input tag 'tool_use' found using 'type' does not match",
            ),
            (
                result(json!([{"type": "redacted_thinking", "data": "x"}])),
                "messages.0.content.0.tool_result.content.0: Input tag 'redacted_thinking' found using 'type' does not match",
            ),
            (
                message(
                    json!([{"type": "search_result", "source": "s", "title": "t", "content": [{"type": "image"}]}]),
                ),
                "messages.0.content.0.search_result.content.0.text: Field required",
            ),
            (
                json!({"system": [{"type": "image", "text": "x"}]}),
                "system.0.type: Input should be 'text'",
            ),
        ] {
            let found = in_object(body.as_object().unwrap(), "request", "").unwrap_or_default();
            assert!(found.starts_with(fault), "{found}, wanted {fault}");
        }
    }

    #[test]
    fn open_values_and_new_tools_have_no_fault() {
        let body = json!({
            "metadata": {"user_id": null},
            "system": "be brief",
            "temperature": 1,
            "top_k": 5.0,
            "surprise": {"at": "the top level is another rule's"},
            "thinking": {"type": "novelty"},
            "output_config": {"effort": "high", "format": null, "task_budget": {"type": "tokens", "total": 1}},
            "context_management": {"edits": [
                {"type": "clear_thinking_20251015", "keep": "all"},
                {"type": "clear_tool_uses_20250919", "trigger": {"type": "tool_uses", "value": 1}, "clear_tool_inputs": ["x"]},
                {"type": "clear_tool_uses_20300101", "any": 1},
                {"type": "summarize_20300101", "any": 1},
            ]},
            "diagnostics": null,
            "tools": [
                {"name": "x", "input_schema": {"type": "object", "x-y": 1}},
                {"type": "bash_20300101", "name": "bash", "z": 1},
                {"type": "novelty_20200101"},
                {"type": "tool_search_tool_regex", "name": "tool_search_tool_regex"},
                {"type": "mcp_toolset", "mcp_server_name": "m"},
            ],
            "messages": [{"role": "assistant", "content": [
                {"type": "tool_use", "id": "t", "name": "x", "input": {"any": 1}, "caller": {"type": "direct"}},
                {"type": "text", "text": "x", "citations": [{"any": 1}]},
                {"type": "compaction", "content": "x", "any": 1},
            ]}, {"role": "user", "content": "text"}],
        });
        assert_eq!(in_object(body.as_object().unwrap(), "request", ""), None);
    }
}
