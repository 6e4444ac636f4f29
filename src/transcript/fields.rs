//! The names of the fields of events, and their types.

use std::sync::LazyLock;

use regex::Regex;

/// The fields of all events of recorded runs of Claude Code 2.1.327, those that
/// <https://docs.claude.com/en/api/agent-sdk/typescript> describes besides, and those of messages and their events in the official
/// SDK (`anthropic` 2.14.0 for Python). A later version may have more.
const FIELDS: &str = "\
    abandoned_blocks additional_directories agent_id agents all_uuids allowed_callers allowed_domains \
    analytics_disabled anchor_uuid api_error api_error_params api_error_status api_error_type api_message_id \
    apiKeySource applied_edits args attempt auto background betas blocked_domains budget by_type \
    cache_control cache_creation cache_creation_input_tokens cache_miss_reason cache_missed_input_tokens \
    cache_read_input_tokens cacheCreationInputTokens cacheReadInputTokens caching caller canonicalModel \
    capabilities category citation citations cited_text city claude_code_version cleared_input_tokens \
    cleared_thinking_turns cleared_tool_uses client_tool_results close_tab command compact_error \
    compact_metadata compact_output_chars compact_result completed concurrency_limit configs container \
    content content_block context_management contextWindow costBasis costUSD country \
    cumulative_dropped_tokens cursor_position cwd data decision decision_reason decision_reason_code \
    decision_reason_type default_config defer_loading definition delta depth_limit description diagnostics \
    display_height_px display_name display_number display_width_px document_index document_title double_click \
    duration_api_ms duration_ms eager_input_streaming elapsed_time_seconds enable_zoom enabled \
    encrypted_content encrypted_index encrypted_stdout end_block_index end_char_index end_page_number \
    end_time ephemeral_1h_input_tokens ephemeral_5m_input_tokens error error_code error_message error_status \
    errors estimated_tokens estimated_tokens_delta event exit_code expires_at explanation failed \
    fallback_credit fallback_credit_token fallback_has_prefill_claim fast_mode_disabled_reason \
    fast_mode_state file_id file_type file_upload find first_content_frame_ms foreground form_input from \
    from_block_index get_page_text head_uuid hold_key hook_event hook_id hook_name hover id index \
    inference_geo input input_examples input_schema input_tokens input_transformations inputTokens \
    is_api_error_message is_backgrounded is_error is_file_update isMeta isReplay isSynthetic isUsingOverage \
    iterations javascript_exec key killed last_tool_name left_click left_click_drag left_mouse_down \
    left_mouse_up level lines list_tabs local_command local_command_run local_command_source \
    logical_parent_uuid max_characters max_content_tokens max_depth max_retries max_tokens max_uses \
    maxOutputTokens mcp_server_name mcp_servers media media_reason media_type memory_paths message \
    messaging_socket_path middle_click model model_usage_since_last_result modelUsage mouse_move name \
    navigate new_lines new_start new_tab non_execution_kind num_lines num_turns old_lines old_start \
    original_cwd outcome output_file output_style output_tokens output_tokens_details outputTokens page_age \
    parent parent_tool_use_id partial_json patch path per_turn_effort_active permission_decision \
    permission_denials permissionMode plugins post_tokens pre_tokens preserved_messages preserved_segment \
    product_feedback_disabled prompt properties provider queued_turn_count rate_limit_info rateLimitType \
    read_console read_network read_page reason reason_type recommended_model refused refused_message_id \
    region remove_to_redeem request_id requested required resetsAt response_inclusion result result_index \
    retrieved_at retry_delay_ms return_code right_click role run_id safeguard_results safety_stops screenshot \
    scroll scroll_to search_result_index server_display_name server_name server_tool_results server_tool_use \
    service_tier session_id signature skill_id skills slash_commands source spawn_depth spawned \
    spawned_by_subagents speed start_block_index start_char_index start_line start_page_number \
    started_in_background status stderr stdout stop_details stop_reason stop_sequence strict \
    structured_output subagent_stats subagent_type subtype summary surpassedThreshold switch_tab system tag \
    tail_uuid task_description task_id task_type terminal_reason terminal_slash_commands text thinking \
    thinking_display thinking_duration_ms thinking_tokens thinkingTokens time_to_request_ms timestamp \
    timezone title to tool tool_changes tool_id tool_input tool_name tool_references tool_result_meta \
    tool_use_id tool_use_meta tool_use_result tool_uses tools toolset_name total_cost_usd total_lines \
    total_tokens trigger triple_click ttft_ms ttft_stream_ms ttl type ultrathink_available \
    ultrathink_typed_raises unset url url_sources usage use_cache user user_input user_location utilization \
    uuid uuids version view_mode wait web_fetch_requests web_search_requests webSearchRequests zoom";

/// The types and subtypes of events, blocks and deltas, from the same sources.
const TYPES: &str = "\
    api_retry assistant auth_status auto_mode base64 citations_delta compact_boundary content_block_delta \
    content_block_start content_block_stop document error error_during_execution error_max_budget_usd \
    error_max_structured_output_retries error_max_turns files_persisted hook_progress hook_response hook_started image init \
    input_json_delta message message_delta message_start message_stop ping rate_limit_event redacted_thinking result \
    server_tool_use signature_delta status stream_event success system task_notification task_progress task_started \
    text text_delta thinking thinking_delta tool_progress tool_reference tool_result tool_use tool_use_summary \
    user web_search_tool_result";

/// The fields below which a tool, a schema or a gateway chooses the names.
const FREE: [&str; 7] = [
    "input",
    "tool_input",
    "tool_use_result",
    "structured_output",
    "modelUsage",
    "model_usage_since_last_result",
    "by_type",
];

/// The first field of the JSONPath `path` that Claude Code does not print and that is a misspelt one, with the right one. A
/// name in quotes (`$['name']`) is not checked.
pub fn misspelt(path: &str) -> Option<(&str, &'static str)> {
    // How many brackets are open, and how many were where a field began below which all names are free.
    let (mut depth, mut free_at) = (0_usize, None);
    let mut rest = path;
    while let Some(at) = rest.find(['.', '\'', '"', '[', ']', ' ', '&', '|', ',']) {
        let (sign, after) = (&rest[at..=at], &rest[at + 1..]);
        rest = after;
        match sign {
            "'" | "\"" => rest = &after[after.find(sign)? + 1..],
            "[" => depth += 1,
            "]" => {
                depth = depth.saturating_sub(1);
                free_at = free_at.filter(|free| depth >= *free);
            }
            "." => {
                let is_of_name = |character: char| character.is_alphanumeric() || character == '_';
                let end = after
                    .find(|character| !is_of_name(character))
                    .unwrap_or(after.len());
                let (name, then) = after.split_at(end);
                if let Some(right) = meant(name, FIELDS).filter(|_| free_at.is_none()) {
                    return Some((name, right));
                }
                if FREE.contains(&name) {
                    free_at = free_at.or(Some(depth));
                }
                rest = then;
            }
            // Another path of a filter begins.
            _ => free_at = free_at.filter(|free| depth > *free),
        }
    }
    None
}

/// The first type or subtype that a filter of the JSONPath `path` compares with and that is a misspelt one, with the right one. A
/// type in double quotes is not checked.
pub fn misspelt_type(path: &str) -> Option<(&str, &'static str)> {
    static COMPARED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\.(?:sub)?type\s*==\s*'([^']*)'").expect("a constant expression"));
    let mut types = COMPARED.captures_iter(path).filter_map(|found| found.get(1));
    types.find_map(|found| Some((found.as_str(), meant(found.as_str(), TYPES)?)))
}

/// The name of `known` that an unknown `name` is likely to mean: two letters are wrong at most.
fn meant(name: &str, known: &'static str) -> Option<&'static str> {
    let fields = || known.split_whitespace();
    if name.len() < 3 || fields().any(|field| field == name) {
        return None;
    }
    let most = if name.len() < 7 { 1 } else { 2 };
    let wrong = |field: &&str| strsim::osa_distance(&name.to_lowercase(), &field.to_lowercase());
    fields().min_by_key(wrong).filter(|field| wrong(field) <= most)
}

#[cfg(test)]
mod tests {
    use super::{misspelt, misspelt_type};

    #[test]
    fn only_a_misspelt_type_is_found() {
        for (path, found) in [
            ("$[?@.type == 'reslt'].result", Some(("reslt", "result"))),
            (
                "$[?@.type == 'system' && @.subtype == 'api_rety']",
                Some(("api_rety", "api_retry")),
            ),
            ("$[?@.type == \"reslt\"].result", None),
            ("$[?@.type == 'heron'].result", None),
            (
                "$[?@.type == 'stream_event'].event.delta[?@.type == 'text_delta']",
                None,
            ),
            ("$[?@.name == 'reslt']", None),
        ] {
            assert_eq!(misspelt_type(path), found, "{path}");
        }
    }

    #[test]
    fn only_a_misspelt_field_is_found() {
        for (path, found) in [
            (
                "$[?@.type == 'result' && @.is_eror == true].result",
                Some(("is_eror", "is_error")),
            ),
            ("$[?@.typ == 'result'].result", Some(("typ", "type"))),
            (
                "$[?@.type == 'result'].uage.input_tokens",
                Some(("uage", "usage")),
            ),
            ("$..sesion_id", Some(("sesion_id", "session_id"))),
            (
                "$[?@.type == 'result'].usage.input_token",
                Some(("input_token", "input_tokens")),
            ),
            // A new field, a name in quotes, and the names of a schema and of a tool.
            ("$[?@.type == 'result'].heron_count", None),
            ("$[?@['is_eror'] == true].result", None),
            ("$[?@.type == 'a.is_eror'].result", None),
            ("$[?@.type == 'result'].structured_output.names[*].reslt", None),
            ("$[?@.type == 'user'].tool_use_result.file.typee", None),
            (
                "$[?@.type == 'result'].structured_output.items[?@.kind == 'a' && @.date].date",
                None,
            ),
            ("$[?@.type == 'stream_event'].event.delta.citation.url", None),
            ("$[?@.input.todos[?@.id == 1]].reslt", Some(("reslt", "result"))),
            ("$[?@.type == 'result'].modelUsage.*.inputTokens", None),
            (
                "$[?@.tool_input.comand == 'ls' && @.is_eror]",
                Some(("is_eror", "is_error")),
            ),
        ] {
            let found_here = misspelt(path);
            assert_eq!(found_here, found, "{path}");
        }
    }
}
