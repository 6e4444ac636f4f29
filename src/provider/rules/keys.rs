//! Keys and tags at any depth of a request: those of the Messages API's own types.
//!
//! The types are the parameters of the official SDK (<https://github.com/anthropics/anthropic-sdk-python>, `types/` and
//! `types/beta/`) and of the reference (<https://platform.claude.com/docs/en/api/messages>). A value without a type here is
//! open: a tool's `input_schema`, the `input` of a call, citations. Converse checks nothing but the fields that it
//! forwards to the model.

use serde_json::{Map, Value};

use super::{Rule, Subject};
use crate::wire::Route;
use crate::wire::error_reply::ErrorReply;
use crate::wire::model::Generation;

pub(super) const RULES: &[Rule] = rules![known_keys, eager_input_streaming,];

/// Each type: its name and its keys. `key!` is required, `key:type` has a type of its own, of a value or of each value in a
/// list. A type that ends with `|` is a union: `block|` is `block.text` for `"type": "text"`. A key `*` leaves a type open, and
/// `{}` is any object.
#[rustfmt::skip]
const TYPES: &[(&str, &str)] = &[
    ("request", "messages:message system:system tools:tool| tool_choice:tool_choice| thinking:thinking| \
        output_config:output_config context_management:context_management cache_control:cache| metadata:metadata *"),
    // https://github.com/BerriAI/litellm/pull/24661
    ("metadata", "user_id"),
    ("message", "role! content!:block| clear_at output_config:output_config"),
    ("system", "type text! cache_control:cache| citations"),
    ("block.text", "type text! cache_control:cache| citations"),
    ("block.image", "type source!:image_source| cache_control:cache| transformations"),
    ("block.document", "type source!:document_source| cache_control:cache| citations context title"),
    ("block.search_result", "type content!:block| source! title! cache_control:cache| citations"),
    ("block.thinking", "type thinking! signature!"),
    ("block.redacted_thinking", "type data!"),
    ("block.tool_use", "type id! name! input!:{} cache_control:cache| caller toolset_name"),
    ("block.tool_result", "type tool_use_id! content:block| is_error cache_control:cache| toolset_name"),
    ("block.tool_reference", "type tool_name! cache_control:cache|"),
    ("block.server_tool_use", "type id! name! input!:{} cache_control:cache| caller"),
    ("block.web_search_tool_result", "*"),
    ("block.web_fetch_tool_result", "*"),
    ("block.code_execution_tool_result", "*"),
    ("block.bash_code_execution_tool_result", "*"),
    ("block.text_editor_code_execution_tool_result", "*"),
    ("block.tool_search_tool_result", "*"),
    ("block.container_upload", "type file_id! cache_control:cache|"),
    ("block.mcp_tool_use", "*"),
    ("block.mcp_tool_result", "*"),
    ("block.mcp_tool_listing", "*"),
    ("block.advisor_tool_result", "*"),
    ("block.compaction", "*"),
    ("block.fallback", "*"),
    ("block.tool_addition", "*"),
    ("block.tool_removal", "*"),
    ("image_source.base64", "type media_type! data!"),
    ("image_source.url", "type url!"),
    ("image_source.file", "type file_id!"),
    ("document_source.base64", "type media_type! data!"),
    ("document_source.text", "type media_type! data!"),
    ("document_source.content", "type content!:block|"),
    ("document_source.url", "type url!"),
    ("document_source.file", "type file_id!"),
    // Claude Code sends `scope` with a beta.
    ("cache.ephemeral", "type ttl scope"),
    ("tool.custom", "type name! input_schema! description cache_control:cache| strict defer_loading allowed_callers \
        input_examples eager_input_streaming"),
    ("tool_choice.auto", "type disable_parallel_tool_use"),
    ("tool_choice.any", "type disable_parallel_tool_use"),
    ("tool_choice.tool", "type name! disable_parallel_tool_use"),
    ("tool_choice.none", "type"),
    ("thinking.enabled", "type budget_tokens display block_binding"),
    ("thinking.adaptive", "type display block_binding"),
    // https://github.com/anthropics/claude-code/issues/69618
    ("thinking.disabled", "type"),
    ("output_config", "effort format task_budget"),
    ("context_management", "edits"),
];

/// The message for an unknown key names the tags of the unions on its path.
///
/// Source: https://github.com/theopenco/llmgateway/issues/2068 (a message), https://github.com/anthropics/claude-code/issues/4378
/// (a block), https://github.com/BerriAI/litellm/issues/17816 (an unknown tag),
/// https://github.com/anthropics/anthropic-sdk-typescript/issues/648 (an `input` that is no object)
fn known_keys(subject: &Subject) -> Option<ErrorReply> {
    let fields = subject.model_fields()?.as_object()?;
    subject.invalid(in_object(fields, "request", "")?)
}

/// Source: https://github.com/anthropics/claude-code/issues/33180; newer models accept it there
fn eager_input_streaming(subject: &Subject) -> Option<ErrorReply> {
    if subject.route() != Route::BedrockInvoke || subject.is_since(Generation::Five) {
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

fn keys_of(name: &str) -> Option<&'static str> {
    let (_, keys) = TYPES.iter().find(|(known, _)| *known == name)?;
    Some(keys)
}

/// The first fault in a value of type `kind` at `place`. A value of another form has none.
fn in_value(value: &Value, kind: &str, place: &str) -> Option<String> {
    match value {
        Value::Object(_) if kind == ANY_OBJECT => None,
        _ if kind == ANY_OBJECT => Some(format!("{place}: Input should be a valid dictionary")),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| in_value(item, kind, &format!("{place}.{index}"))),
        Value::Object(fields) => match kind.strip_suffix('|') {
            None => in_object(fields, kind, place),
            Some(union) => in_union(fields, union, place),
        },
        _ => None,
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
    // Tools of Anthropic have a date; `thinking` has a rule of its own.
    if union == "thinking" || (union == "tool" && tag.ends_with(|last: char| last.is_ascii_digit())) {
        return None;
    }
    let of_union = |name: &'static str| name.strip_prefix(union)?.strip_prefix('.');
    let mut tags: Vec<&str> = TYPES.iter().filter_map(|(name, _)| of_union(name)).collect();
    if union == "tool" {
        if tag.starts_with("mcp_") || tag.starts_with("tool_search_") {
            return None;
        }
        tags.extend(["bash_20250124", "text_editor_20250728", "web_search_20250305"]);
    }
    tags.sort_unstable();
    let tags: Vec<String> = tags.iter().map(|tag| format!("'{tag}'")).collect();
    Some(format!(
        "{place}: Input tag '{tag}' found using 'type' does not match any of the expected tags: {}",
        tags.join(", ")
    ))
}

fn in_object(fields: &Map<String, Value>, name: &str, place: &str) -> Option<String> {
    let at = |key: &str| match place {
        "" => key.to_owned(),
        place => format!("{place}.{key}"),
    };
    let mut open = false;
    let mut known = Vec::new();
    for key in keys_of(name)?.split_ascii_whitespace() {
        let (key, kind) = key.split_once(':').unwrap_or((key, ""));
        open |= key == "*";
        let required = key.ends_with('!');
        let key = key.trim_end_matches('!');
        if required && !fields.contains_key(key) {
            return Some(format!("{}: Field required", at(key)));
        }
        known.push((key, kind));
    }
    fields.iter().find_map(
        |(key, value)| match known.iter().find(|(known, _)| known == key) {
            None if open => None,
            None => Some(format!("{}: Extra inputs are not permitted", at(key))),
            Some((_, "")) => None,
            Some((_, kind)) => in_value(value, kind, &at(key)),
        },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_named_type_exists() {
        for (name, keys) in TYPES {
            for key in keys.split_ascii_whitespace() {
                let Some((_, kind)) = key.split_once(':') else {
                    continue;
                };
                let exists = |known: &&str| match kind.strip_suffix('|') {
                    Some(union) => known.starts_with(&format!("{union}.")),
                    None => *known == kind,
                };
                let is_known = kind == ANY_OBJECT || TYPES.iter().any(|(known, _)| exists(known));
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
                json!({"tools": [{"name": "x", "input_schema": {}, "parameters": {}}]}),
                "tools.0.custom.parameters: Extra inputs are not permitted",
            ),
            (
                json!({"tools": [{"type": "function", "function": {}}]}),
                "tools.0: Input tag 'function' found using 'type' does not match any of the expected tags: 'bash_20250124', \
                 'custom', 'text_editor_20250728', 'web_search_20250305'",
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
        ] {
            let found = in_object(body.as_object().unwrap(), "request", "");
            assert_eq!(found.as_deref(), Some(fault));
        }
    }

    #[test]
    fn open_values_and_new_tools_have_no_fault() {
        let body = json!({
            "metadata": {"user_id": "u"},
            "surprise": {"at": "the top level is another rule's"},
            "thinking": {"type": "novelty"},
            "tools": [
                {"name": "x", "input_schema": {"type": "object", "x-y": 1}},
                {"type": "bash_20300101", "name": "bash", "z": 1},
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
