//! The types of a request of the Messages API: which key stands where, with which kind of value.
//!
//! The types are the parameters of the official SDK (<https://github.com/anthropics/anthropic-sdk-python>, `types/` and
//! `types/beta/`) and of the reference (<https://platform.claude.com/docs/en/api/messages>). A value without a kind here is
//! open. So are the properties of a tool's schema, the `input` of a call and the keys of a citation. Converse checks nothing
//! but the fields that it forwards to the model. A key that the SDK does not mark as `Optional` takes no `null`.

/// Each type: its names and its keys. `key!` is required. `key:kind` has a kind of value:
///
/// | kind | values |
/// | --- | --- |
/// | `str`, `bool`, `num`, `int` | a text, a flag, a number, a number without a fraction |
/// | `'tokens'` | that text |
/// | `{}` | any object |
/// | `name` | an object of the type `name` |
/// | `name\|` | an object of the union `name`: `block.text` for `"type": "text"` |
/// | `[kind]`, `str/[kind]` | a list, a text or a list |
/// | `?kind` | the kind or `null` |
///
/// A key without a kind has any value. A key `*` leaves a type open.
#[rustfmt::skip]
pub const TYPES: &[(&str, &str)] = &[
    ("request", "messages:[message] system:str/[text_block] tools:[tool|] tool_choice:tool_choice| thinking:thinking| \
        output_config:output_config output_format:?output_format context_management:?context_management \
        cache_control:?cache| metadata:metadata diagnostics:?diagnostics stop_sequences:[str] stream:bool temperature:num \
        top_p:num top_k:int mcp_servers:[mcp_server] *"),
    // https://github.com/BerriAI/litellm/pull/24661
    ("metadata", "user_id:?str"),
    ("message", "role!:str content!:str/[block|] clear_at output_config:?output_config"),
    ("text_block", "type!:'text' text!:str cache_control:?cache| citations:?[{}]"),
    ("block.text result_block.text source_block.text", "type text!:str cache_control:?cache| citations:?[{}]"),
    ("block.image result_block.image source_block.image", "type source!:image_source| cache_control:?cache| \
        transformations:?{}"),
    ("block.document result_block.document", "type source!:document_source| cache_control:?cache| citations:?citations \
        context:?str title:?str"),
    ("citations", "enabled:?bool"),
    ("block.search_result result_block.search_result", "type content!:[text_block] source!:str title!:str \
        cache_control:?cache| citations:?citations"),
    ("block.thinking", "type thinking!:str signature!:str"),
    ("block.redacted_thinking", "type data!:str"),
    ("block.tool_use", "type id!:str name!:str input!:{} cache_control:?cache| caller toolset_name:?str"),
    ("block.tool_result", "type tool_use_id!:str content:str/[result_block|] is_error:bool cache_control:?cache| \
        toolset_name:?str"),
    ("result_block.tool_reference", "type tool_name!:str cache_control:?cache|"),
    ("result_block.browser_state", "type tabs!:[browser_tab] state_changes:?[browser_change|] cache_control:?cache|"),
    ("browser_tab", "tab_id!:str title!:str url!:str active:bool"),
    ("browser_change.tab_opened", "type tab_id!:str"),
    ("browser_change.download_started", "type download_id!:str url!:str"),
    ("browser_change.download_completed", "type download_id!:str url!:str path:?str size_bytes:?int"),
    ("browser_change.download_failed", "type download_id!:str url!:str error:?str"),
    ("block.server_tool_use", "type id!:str name!:str input!:{} cache_control:?cache| caller"),
    ("block.web_search_tool_result", "*"),
    ("block.web_fetch_tool_result", "*"),
    ("block.code_execution_tool_result", "*"),
    ("block.bash_code_execution_tool_result", "*"),
    ("block.text_editor_code_execution_tool_result", "*"),
    ("block.tool_search_tool_result", "*"),
    ("block.container_upload", "type file_id!:str cache_control:?cache|"),
    ("block.mcp_tool_use", "*"),
    ("block.mcp_tool_result", "*"),
    ("block.mcp_tool_listing", "*"),
    ("block.advisor_tool_result", "*"),
    ("block.compaction", "*"),
    ("block.fallback", "*"),
    ("block.tool_addition", "*"),
    ("block.tool_removal", "*"),
    ("image_source.base64", "type media_type!:str data!:str"),
    ("image_source.url", "type url!:str"),
    ("image_source.file", "type file_id!:str"),
    ("document_source.base64", "type media_type!:str data!:str"),
    ("document_source.text", "type media_type!:str data!:str"),
    ("document_source.content", "type content!:str/[source_block|]"),
    ("document_source.url", "type url!:str"),
    ("document_source.file", "type file_id!:str"),
    ("cache.ephemeral", "type ttl"),
    ("tool.custom", "type name!:str input_schema!:input_schema description:str cache_control:?cache| strict:bool \
        defer_loading:bool allowed_callers:[str] input_examples:[{}] eager_input_streaming:?bool"),
    ("input_schema", "type!:'object' *"),
    ("tool.bash_20241022 tool.bash_20250124", "type name!:'bash' cache_control:?cache| strict:bool defer_loading:bool \
        allowed_callers:[str] input_examples:[{}]"),
    ("tool.memory_20250818", "type name!:'memory' cache_control:?cache| strict:bool defer_loading:bool allowed_callers:[str] \
        input_examples:[{}]"),
    ("tool.text_editor_20241022 tool.text_editor_20250124", "type name!:'str_replace_editor' cache_control:?cache| strict:bool \
        defer_loading:bool allowed_callers:[str] input_examples:[{}]"),
    ("tool.text_editor_20250429", "type name!:'str_replace_based_edit_tool' cache_control:?cache| strict:bool \
        defer_loading:bool allowed_callers:[str] input_examples:[{}]"),
    ("tool.text_editor_20250728", "type name!:'str_replace_based_edit_tool' cache_control:?cache| strict:bool \
        defer_loading:bool allowed_callers:[str] input_examples:[{}] max_characters:?int"),
    ("tool.computer_20241022 tool.computer_20250124", "type name!:'computer' display_height_px!:int display_width_px!:int \
        display_number:?int cache_control:?cache| strict:bool defer_loading:bool allowed_callers:[str] input_examples:[{}]"),
    ("tool.computer_20251124", "type name!:'computer' display_height_px!:int display_width_px!:int display_number:?int \
        enable_zoom:bool cache_control:?cache| strict:bool defer_loading:bool allowed_callers:[str] input_examples:[{}]"),
    ("tool.computer_toolset_20260801 tool.browser_toolset_20260801", "type cache_control:?cache| configs:?{}"),
    ("tool.code_execution_20250522 tool.code_execution_20250825 tool.code_execution_20260120 tool.code_execution_20260521",
        "type name!:'code_execution' cache_control:?cache| strict:bool defer_loading:bool allowed_callers:[str]"),
    ("tool.tool_search_tool_bm25 tool.tool_search_tool_bm25_20251119", "type name!:'tool_search_tool_bm25' \
        cache_control:?cache| strict:bool defer_loading:bool allowed_callers:[str]"),
    ("tool.tool_search_tool_regex tool.tool_search_tool_regex_20251119", "type name!:'tool_search_tool_regex' \
        cache_control:?cache| strict:bool defer_loading:bool allowed_callers:[str]"),
    ("tool.web_search_20250305 tool.web_search_20260209", "type name!:'web_search' cache_control:?cache| strict:bool \
        defer_loading:bool allowed_callers:[str] allowed_domains:?[str] blocked_domains:?[str] max_uses:?int \
        user_location:?user_location"),
    ("tool.web_search_20260318", "type name!:'web_search' cache_control:?cache| strict:bool defer_loading:bool \
        allowed_callers:[str] allowed_domains:?[str] blocked_domains:?[str] max_uses:?int user_location:?user_location response_inclusion"),
    ("user_location", "type!:'approximate' city:?str country:?str region:?str timezone:?str"),
    ("tool.web_fetch_20250910 tool.web_fetch_20260209", "type name!:'web_fetch' cache_control:?cache| strict:bool \
        defer_loading:bool allowed_callers:[str] allowed_domains:?[str] blocked_domains:?[str] max_uses:?int citations:?citations \
        max_content_tokens:?int url_sources:?{}"),
    ("tool.web_fetch_20260309", "type name!:'web_fetch' cache_control:?cache| strict:bool defer_loading:bool \
        allowed_callers:[str] allowed_domains:?[str] blocked_domains:?[str] max_uses:?int citations:?citations max_content_tokens:?int \
        url_sources:?{} use_cache:bool"),
    ("tool.web_fetch_20260318", "type name!:'web_fetch' cache_control:?cache| strict:bool defer_loading:bool \
        allowed_callers:[str] allowed_domains:?[str] blocked_domains:?[str] max_uses:?int citations:?citations max_content_tokens:?int \
        url_sources:?{} use_cache:bool response_inclusion"),
    ("tool.advisor_20260301", "type name!:'advisor' model!:str cache_control:?cache| strict:bool defer_loading:bool \
        allowed_callers:[str] caching:?cache| max_tokens:?int max_uses:?int"),
    ("tool.mcp_toolset", "type mcp_server_name!:str cache_control:?cache| configs:?{} default_config:{} tools:?[{}]"),
    ("mcp_server", "type!:'url' name!:str url!:str authorization_token:?str tool_configuration:?mcp_tools"),
    ("mcp_tools", "allowed_tools:?[str] enabled:?bool"),
    ("tool_choice.auto", "type disable_parallel_tool_use:bool"),
    ("tool_choice.any", "type disable_parallel_tool_use:bool"),
    ("tool_choice.tool", "type name!:str disable_parallel_tool_use:bool"),
    ("tool_choice.none", "type"),
    ("thinking.enabled", "type budget_tokens:int display:?str block_binding"),
    ("thinking.adaptive", "type display:?str block_binding"),
    ("thinking.between_tools", "type"),
    // https://github.com/anthropics/claude-code/issues/69618
    ("thinking.disabled", "type"),
    ("output_config", "effort:?str format:?output_format task_budget:?task_budget"),
    ("output_format", "type!:'json_schema' schema!:{}"),
    ("task_budget", "type!:'tokens' total!:int remaining:?int"),
    ("context_management", "edits:[edit|]"),
    ("edit.clear_tool_uses_20250919", "type clear_at_least:?of_tokens clear_tool_inputs exclude_tools:?[str] \
        keep:of_tool_uses trigger:trigger|"),
    ("edit.clear_thinking_20251015", "type keep"),
    ("edit.compact_20260112", "type instructions:?str pause_after_compaction:bool trigger:?of_tokens"),
    ("of_tokens", "type!:'input_tokens' value!:int"),
    ("of_tool_uses", "type!:'tool_uses' value!:int"),
    ("trigger.input_tokens trigger.tool_uses", "type value!:int"),
    ("diagnostics", "previous_message_id:?str"),
];

/// A key of a type.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// `*` in an open type.
    pub name: &'static str,
    pub is_required: bool,
    /// Empty for any value.
    pub kind: &'static str,
}

/// The keys of a type.
pub fn keys_of(name: &str) -> Option<impl Iterator<Item = Key> + use<>> {
    let mut types = TYPES.iter();
    let (_, keys) = types.find(|(names, _)| names.split_ascii_whitespace().any(|known| known == name))?;
    Some(read(keys))
}

fn read(keys: &'static str) -> impl Iterator<Item = Key> {
    keys.split_ascii_whitespace().map(|key| {
        let (name, kind) = key.split_once(':').unwrap_or((key, ""));
        Key {
            name: name.trim_end_matches('!'),
            is_required: name.ends_with('!'),
            kind,
        }
    })
}

/// The tags of a union.
pub fn tags_of(union: &str) -> impl Iterator<Item = &'static str> {
    let names = TYPES.iter().flat_map(|(names, _)| names.split_ascii_whitespace());
    names.filter_map(move |name| name.strip_prefix(union)?.strip_prefix('.'))
}

/// Whether a key of any type has this name.
pub fn has_key(name: &str) -> bool {
    TYPES
        .iter()
        .flat_map(|(_, keys)| read(keys))
        .any(|key| key.name == name)
}
