//! Tools, their calls and their results.

use std::collections::HashSet;

use serde_json::Value;

use super::{Rule, Subject, converse, placed};
use crate::wire::Route;
use crate::wire::error_reply::ErrorReply;
use crate::wire::message::{Block, Content, Message, Tool};
use crate::wire::model::Refused;

pub(super) const RULES: &[Rule] = rules![
    tool_names,
    server_tools,
    deferred_loading,
    deferred_tools,
    tool_reference,
    tool_types,
    tool_choice,
    forcing_model,
    forced_tool,
    tool_name_form,
    tool_id_form,
    tool_config,
    tool_spec,
    tool_roles,
    tool_ids,
    tool_results_missing,
    tool_results_surplus,
    tool_error_content,
    server_results_missing,
    server_results_surplus,
];

/// Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools (name); wording:
/// https://github.com/tailcallhq/forgecode/issues/892
fn tool_names(subject: &Subject) -> Option<ErrorReply> {
    let mut names = HashSet::new();
    let twice = subject
        .message()?
        .tools
        .iter()
        .any(|tool| !tool.name.is_empty() && !names.insert(&tool.name));
    if !twice {
        return None;
    }
    subject.invalid_or(
        "The tool names in toolConfig must be unique.",
        "tools: Tool names must be unique.",
    )
}

/// Tools that Anthropic runs: Bedrock has none, Vertex AI has only web search and tool search. Foundry has no advisor, and the
/// others only in a deployment that is hosted on Anthropic.
///
/// Source: https://github.com/BerriAI/litellm/issues/26252, https://github.com/BerriAI/litellm/issues/28083;
/// https://platform.claude.com/docs/en/build-with-claude/claude-in-amazon-bedrock (features not supported),
/// https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry (hosting options); wording:
/// https://github.com/anthropics/claude-quickstarts/issues/251
fn server_tools(subject: &Subject) -> Option<ErrorReply> {
    let refused: &[&str] = match subject.route() {
        Route::Azure if subject.is_hosted_on_azure() => &[
            "web_search_",
            "web_fetch_",
            "code_execution_",
            "tool_search_tool_",
            "mcp_toolset",
            "advisor_",
        ],
        Route::Azure => &["advisor_"],
        Route::Anthropic => return None,
        Route::BedrockInvoke | Route::BedrockConverse | Route::BedrockMantle => &[
            "web_search_",
            "web_fetch_",
            "code_execution_",
            "mcp_toolset",
            "advisor_",
        ],
        Route::VertexAi => &["web_fetch_", "code_execution_", "mcp_toolset", "advisor_"],
    };
    let tools = &subject.message()?.tools;
    let (index, kind) = tools.iter().enumerate().find_map(|(index, tool)| {
        let kind = tool.definition["type"].as_str()?;
        let is_refused = refused.iter().any(|prefix| kind.starts_with(prefix))
            || (kind.starts_with("tool_search_tool_") && lacks_tool_search(subject));
        is_refused.then_some((index, kind))
    })?;
    subject.invalid(format!(
        "tools.{index}: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'bash_20250124', \
         'custom', 'memory_20250818', 'text_editor_20250124', 'text_editor_20250429', 'text_editor_20250728'"
    ))
}

/// Tool search on InvokeModel needs a beta flag.
fn lacks_tool_search(subject: &Subject) -> bool {
    subject.route() == Route::BedrockInvoke && !subject.has_beta("tool-search-tool-")
}

/// A tool that only a search loads is part of tool search.
///
/// Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool (beta header on Bedrock),
/// https://github.com/BerriAI/litellm/issues/28083
fn deferred_loading(subject: &Subject) -> Option<ErrorReply> {
    if !lacks_tool_search(subject) {
        return None;
    }
    let mut tools = placed("tools", &subject.message()?.tools);
    let (place, tool) = tools.find(|(_, tool)| tool.definition.get("defer_loading").is_some())?;
    let kind = tool.definition["type"].as_str().unwrap_or("custom");
    subject.invalid(format!(
        "{place}.{kind}.defer_loading: Extra inputs are not permitted"
    ))
}

/// A deferred tool is not cached, and one tool must not be deferred. No source has the rule for token counts.
///
/// Source: https://github.com/Wei-Shaw/sub2api/issues/4990, https://github.com/router-for-me/CLIProxyAPI/issues/4561 (a cached
/// one); https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool (error handling: all)
fn deferred_tools(subject: &Subject) -> Option<ErrorReply> {
    let tools = &subject.message()?.tools;
    let is_deferred = |tool: &&Tool| tool.definition["defer_loading"] == true;
    if subject.is_count() {
        return None;
    }
    if let Some(tool) = tools.iter().filter(is_deferred).find(|tool| tool.cache.is_some()) {
        return subject.invalid(format!(
            "Tool '{}' cannot have both defer_loading=true and cache_control set. Tools with defer_loading cannot use \
             prompt caching.",
            tool.name
        ));
    }
    if tools.is_empty() || !tools.iter().all(|tool| is_deferred(&tool)) {
        return None;
    }
    subject.invalid("At least one tool must have defer_loading=false. All tools cannot be deferred.")
}

/// A tool result may refer only to a tool of the request. The names in a toolset, and tools that a message adds, are not in
/// the list of tools.
///
/// Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool (error handling)
fn tool_reference(subject: &Subject) -> Option<ErrorReply> {
    let message = subject.message()?;
    let is_toolset = |tool: &Tool| {
        let kind = tool.definition["type"].as_str();
        kind.is_some_and(|kind| kind.contains("_toolset"))
    };
    let adds_tools = || {
        message
            .blocks()
            .iter()
            .any(|block| block.content.kind() == "tool_addition")
    };
    let is_known = |name: &str| message.tools.iter().any(|tool| tool.name == name);
    let blocks = message.blocks();
    let unknown = blocks.iter().find_map(|block| match &block.content {
        Content::Other(value) if value["type"] == "tool_reference" => {
            value["tool_name"].as_str().filter(|name| !is_known(name))
        }
        _ => None,
    })?;
    if message.tools.iter().any(is_toolset) || adds_tools() {
        return None;
    }
    subject.invalid(format!("Tool reference '{unknown}' not found in available tools"))
}

/// Source: https://github.com/BerriAI/litellm/issues/25477
fn tool_choice(subject: &Subject) -> Option<ErrorReply> {
    let prompt = subject.prompt()?;
    let (choice, tools) = match subject.route() {
        Route::BedrockConverse => (
            &prompt["toolConfig"]["toolChoice"],
            &prompt["toolConfig"]["tools"],
        ),
        _ => (&prompt["tool_choice"], &prompt["tools"]),
    };
    let has_tools = tools.as_array().is_some_and(|tools| !tools.is_empty());
    if choice.is_null() || has_tools || choice["type"] == "none" {
        return None;
    }
    subject.invalid("tool_choice: tool_choice may only be specified while providing tools.")
}

/// Whether the request forces a tool.
fn is_forced(subject: &Subject) -> bool {
    let forces = |prompt: &Value| match subject.route() {
        Route::BedrockConverse => {
            let choice = &prompt["toolConfig"]["toolChoice"];
            // AWS takes null for an absent member.
            ["any", "tool"]
                .iter()
                .any(|kind| choice.get(*kind).is_some_and(|value| !value.is_null()))
        }
        _ => matches!(prompt["tool_choice"]["type"].as_str(), Some("any" | "tool")),
    };
    subject.prompt().is_some_and(forces)
}

/// Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking (tool choice); wording:
/// https://github.com/mastra-ai/mastra/issues/7507
fn forced_tool(subject: &Subject) -> Option<ErrorReply> {
    if !is_forced(subject) || !subject.message()?.thinks() {
        return None;
    }
    subject.invalid("Thinking may not be enabled when tool_choice forces tool use.")
}

/// Some models take no forced tool at all, in a token count too.
///
/// Source: https://platform.claude.com/docs/en/models/opus-5-5/migration-guide,
/// https://platform.claude.com/docs/en/models/sonnet-5-5/migration-guide,
/// https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5 (Fable 5.1),
/// https://github.com/can1357/oh-my-pi/issues/12939 (a request without thinking),
/// https://github.com/stdapi-ai/stdapi.ai/issues/284 (Bedrock)
fn forcing_model(subject: &Subject) -> Option<ErrorReply> {
    if !subject.model_refuses(Refused::ForcedTool) || !is_forced(subject) {
        return None;
    }
    subject.invalid("tool_choice: type \"tool\" and \"any\" are not supported for this model.")
}

/// The Claude API and Google Cloud no longer accept the older tool for these models. Bedrock still does.
///
/// Source: https://platform.claude.com/docs/en/models/opus-5-5/migration-guide,
/// https://platform.claude.com/docs/en/models/sonnet-5-5/migration-guide,
/// https://platform.claude.com/docs/en/models/fable-5-2/whats-new-fable-5-2
fn tool_types(subject: &Subject) -> Option<ErrorReply> {
    const GONE: &str = "computer_20251124";
    let is_concerned = subject.model_refuses(Refused::OlderComputerUse);
    if !subject.is_on(&[Route::Anthropic, Route::VertexAi]) || !is_concerned {
        return None;
    }
    let model = subject.model();
    let tools = &subject.message()?.tools;
    let is_asked_for = tools.iter().any(|tool| tool.definition["type"] == GONE);
    is_asked_for.then(|| subject.invalid(format!("'{model}' does not support tool types: {GONE}.")))?
}

/// The longest name of a tool.
const LONGEST_NAME: usize = 128;

fn is_word(text: &str) -> bool {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    !text.is_empty() && text.chars().all(is_allowed)
}

/// Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools (name); wording:
/// https://github.com/apify/actors-mcp-server/issues/11,
/// https://github.com/kangminlee-maker/local-OAuth-CLI-API-adapter (`docs/conformance-matrix.md`: an empty name); Converse, also
/// for calls and for the choice of a tool:
/// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html
fn tool_name_form(subject: &Subject) -> Option<ErrorReply> {
    if subject.route() == Route::BedrockConverse {
        return converse::text_refusal(subject, "name");
    }
    let is_custom = |tool: &Tool| tool.definition.get("type").is_none_or(|kind| kind == "custom");
    let is_wrong = |name: &str| !is_word(name) || name.len() > LONGEST_NAME;
    let (place, tool) = placed("tools", &subject.message()?.tools)
        .filter(|(_, tool)| is_custom(tool) && tool.definition.get("name").is_some())
        .find(|(_, tool)| is_wrong(&tool.name))?;
    subject.invalid(match tool.name.is_empty() {
        true => format!("{place}.custom.name: String should have at least 1 character"),
        false => {
            format!("{place}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,{LONGEST_NAME}}}$'")
        }
    })
}

/// Source: https://github.com/maximhq/bifrost/issues/5097, https://github.com/tailcallhq/forgecode/issues/1142; Converse:
/// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolUseBlock.html
fn tool_id_form(subject: &Subject) -> Option<ErrorReply> {
    if subject.route() == Route::BedrockConverse {
        return converse::text_refusal(subject, "toolUseId");
    }
    let (place, _) = subject
        .blocks()
        .find(|(_, block)| matches!(&block.content, Content::ToolUse { id, .. } if !is_word(id)))?;
    subject.invalid(format!(
        "{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
    ))
}

/// Converse needs the tools of a conversation with tool calls.
///
/// Source: https://github.com/langgenius/dify/issues/16421
fn tool_config(subject: &Subject) -> Option<ErrorReply> {
    if subject.route() != Route::BedrockConverse {
        return None;
    }
    let uses_tools = subject.blocks().any(|(_, block)| {
        matches!(
            block.content,
            Content::ToolUse { .. } | Content::ToolResult { .. }
        )
    });
    let has_config = subject.prompt()?.get("toolConfig").is_some_and(Value::is_object);
    (uses_tools && !has_config).then(|| {
        ErrorReply::new(
            400,
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        )
    })
}

/// Converse needs the schema of a tool's arguments. The wording is AWS's for an absent member.
///
/// Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html (inputSchema)
fn tool_spec(subject: &Subject) -> Option<ErrorReply> {
    if subject.route() != Route::BedrockConverse {
        return None;
    }
    let tools = &subject.message()?.tools;
    let lacks_schema = |tool: &Tool| {
        let spec = tool.definition.get("toolSpec");
        spec.is_some_and(|spec| spec["inputSchema"]["json"].is_null())
    };
    let position = tools.iter().position(lacks_schema)? + 1;
    Some(ErrorReply::new(
        400,
        format!(
            "1 validation error detected: Value null at 'toolConfig.tools.{position}.member.toolSpec.inputSchema' failed to \
             satisfy constraint: Member must not be null"
        ),
    ))
}

/// No source has the rule for token counts. Converse quotes the model.
///
/// Source: https://github.com/microsoft/agent-framework/issues/4328, https://github.com/V1ki/dsh-plugin-subscriptions/issues/22
/// (a call), https://github.com/aegis-gateway/aegis-ai-gateway (`scripts/dev/probe_anthropic_tools.py`: a result)
fn tool_roles(subject: &Subject) -> Option<ErrorReply> {
    let messages = &subject.message()?.messages;
    let (index, (kind, role)) = messages.iter().enumerate().find_map(|(index, message)| {
        let mut kinds = message.content.iter().map(|block| block.content.kind());
        let wrong = match message.role.as_str() {
            "user" => ("tool_use", "assistant"),
            "assistant" => ("tool_result", "user"),
            _ => return None,
        };
        kinds.any(|kind| kind == wrong.0).then_some((index, wrong))
    })?;
    if subject.is_count() {
        return None;
    }
    subject.invalid(format!(
        "messages.{index}: `{kind}` blocks can only be in `{role}` messages"
    ))
}

/// Source: https://github.com/anthropics/claude-code/issues/21317
fn tool_ids(subject: &Subject) -> Option<ErrorReply> {
    let mut ids = HashSet::new();
    let (place, _) = subject.blocks().find(|(_, block)| match &block.content {
        Content::ToolUse { id, .. } => !ids.insert(id),
        _ => false,
    })?;
    subject.invalid(format!("{place}: `tool_use` ids must be unique"))
}

fn calls(message: &Message) -> Vec<&str> {
    message
        .content
        .iter()
        .filter_map(|block| match &block.content {
            Content::ToolUse { id, .. } => Some(id.as_str()),
            _ => None,
        })
        .collect()
}

fn results(message: &Message) -> Vec<(usize, &str)> {
    message
        .content
        .iter()
        .enumerate()
        .filter_map(|(index, block)| match &block.content {
            Content::ToolResult { tool_use_id, .. } => Some((index, tool_use_id.as_str())),
            _ => None,
        })
        .collect()
}

/// Each block, with the index of its message and its index there.
fn indexed_blocks(messages: &[Message]) -> impl Iterator<Item = ((usize, usize), &Block)> {
    let messages = messages.iter().enumerate();
    messages.flat_map(|(index, message)| {
        let blocks = message.content.iter().enumerate();
        blocks.map(move |(place, block)| ((index, place), block))
    })
}

/// Where the last `compaction` block stands. What stands before it is ignored.
///
/// Source: https://platform.claude.com/docs/en/build-with-claude/compaction
fn last_summary(messages: &[Message]) -> Option<(usize, usize)> {
    let summaries = indexed_blocks(messages).filter(|(_, block)| block.content.kind() == "compaction");
    summaries.map(|(at, _)| at).last()
}

/// The messages from the one with the last `compaction` block, with their indexes.
fn kept_messages(messages: &[Message]) -> impl Iterator<Item = (usize, &Message)> {
    let from = last_summary(messages).map_or(0, |(index, _)| index);
    messages.iter().enumerate().skip(from)
}

/// The blocks after the last `compaction` block.
fn kept_blocks(messages: &[Message]) -> impl Iterator<Item = ((usize, usize), &Block)> {
    let summary = last_summary(messages);
    indexed_blocks(messages).filter(move |(at, _)| Some(*at) > summary)
}

/// Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls; Converse:
/// https://github.com/camel-ai/camel/issues/3954
fn tool_results_missing(subject: &Subject) -> Option<ErrorReply> {
    let messages = &subject.message()?.messages;
    let (index, missing) = kept_messages(messages).find_map(|(index, message)| {
        let answered = messages.get(index + 1).map(results).unwrap_or_default();
        let missing: Vec<&str> = calls(message)
            .into_iter()
            .filter(|id| !answered.iter().any(|(_, answer)| answer == id))
            .collect();
        (!missing.is_empty()).then_some((index, missing))
    })?;
    let ids = missing.join(", ");
    subject.invalid_or(
        format!("Expected toolResult blocks at messages.{}.content for the following Ids: {ids}", index + 1),
        format!(
            "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}. Each \
             `tool_use` block must have a corresponding `tool_result` block in the next message."
        ),
    )
}

/// Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls
fn tool_results_surplus(subject: &Subject) -> Option<ErrorReply> {
    let messages = &subject.message()?.messages;
    for (index, message) in kept_messages(messages) {
        let called = match index.checked_sub(1) {
            Some(previous) => calls(&messages[previous]),
            None => Vec::new(),
        };
        let mut seen = HashSet::new();
        for (block, id) in results(message) {
            if !called.contains(&id) {
                return surplus(subject, index, block, id);
            }
            if !seen.insert(id) {
                return subject.invalid(format!(
                    "messages.{index}.content.{block}: each tool_use must have a single result. Found multiple \
                     `tool_result` blocks with id: {id}"
                ));
            }
        }
    }
    None
}

fn surplus(subject: &Subject, message: usize, block: usize, id: &str) -> Option<ErrorReply> {
    subject.invalid_or(
        format!(
            "The number of toolResult blocks at messages.{message}.content exceeds the number of toolUse blocks of \
             previous turn."
        ),
        format!(
            "messages.{message}.content.{block}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each \
             `tool_result` block must have a corresponding `tool_use` block in the previous message."
        ),
    )
}

/// The result of a failed tool must not be empty.
///
/// Source: https://github.com/aws-samples/sample-multi-agent-orchestration-chat-on-agentcore/issues/15
fn tool_error_content(subject: &Subject) -> Option<ErrorReply> {
    let (place, _) = subject.blocks().find(|(_, block)| {
        matches!(&block.content, Content::ToolResult { content, is_error: true, .. } if content.is_empty())
    })?;
    subject.invalid_or(
        format!("The content field at {place}.toolResult cannot be empty when status value is error."),
        format!("{place}: content cannot be empty if `is_error` is true"),
    )
}

/// The id of a call of Anthropic's own tool.
fn server_call(block: &Block) -> Option<&str> {
    match &block.content {
        Content::Other(value) if value["type"] == "server_tool_use" => value["id"].as_str(),
        _ => None,
    }
}

/// The id that a result of Anthropic's own tool answers. A tool of MCP has calls of another kind.
fn server_result(block: &Block) -> Option<&str> {
    let kind = block.content.kind();
    match &block.content {
        Content::Other(value) if kind.ends_with("_tool_result") && kind != "mcp_tool_result" => {
            value["tool_use_id"].as_str()
        }
        _ => None,
    }
}

/// The provider may still owe the result: the turn goes on until a user's message has more than results of tools. No source
/// has the rule for token counts.
///
/// Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/server-tools (mixing server tools and client tools),
/// https://github.com/AnswerDotAI/lisette/issues/90, https://github.com/anthropics/anthropic-sdk-python/issues/1339 (wording)
fn server_results_missing(subject: &Subject) -> Option<ErrorReply> {
    let messages = &subject.message()?.messages;
    let is_other = |block: &Block| !matches!(block.content, Content::ToolResult { .. });
    let ends_turn = |message: &Message| message.role == "user" && message.content.iter().any(is_other);
    let last = messages.iter().rposition(ends_turn)?;
    let answered: HashSet<&str> = subject
        .blocks()
        .filter_map(|(_, block)| server_result(block))
        .collect();
    let is_owed = |block: &Block| server_call(block).is_some_and(|id| !answered.contains(id));
    let ((index, _), call) =
        kept_blocks(messages).find(|((index, _), block)| *index < last && is_owed(block))?;
    let Content::Other(call) = &call.content else {
        return None;
    };
    let (id, name) = (call["id"].as_str()?, call["name"].as_str()?);
    if subject.is_count() {
        return None;
    }
    let tool = match name.starts_with("tool_search_tool_") {
        true => "tool_search",
        false => name,
    };
    subject.invalid(format!(
        "messages.{index}: `{name}` tool use with id `{id}` was found without a corresponding `{tool}_tool_result` block"
    ))
}

/// No source has the rule for token counts.
///
/// Source: https://github.com/anthropics/claude-code/issues/65726
fn server_results_surplus(subject: &Subject) -> Option<ErrorReply> {
    let mut called = HashSet::new();
    let ((index, place), block, id) = kept_blocks(&subject.message()?.messages).find_map(|(at, block)| {
        called.extend(server_call(block));
        let id = server_result(block).filter(|id| !called.contains(id))?;
        Some((at, block, id))
    })?;
    if subject.is_count() {
        return None;
    }
    let kind = block.content.kind();
    subject.invalid(format!(
        "messages.{index}.content.{place}: unexpected `tool_use_id` found in `{kind}` blocks: {id}. Each `{kind}` block must have a corresponding \
         `server_tool_use` block before it."
    ))
}
