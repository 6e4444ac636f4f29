//! The names of the fields of events.

/// The fields of all events of recorded runs of Claude Code 2.1.327, and those that
/// <https://docs.claude.com/en/api/agent-sdk/typescript> describes besides. A later version may have more.
const FIELDS: &str = "\
    abandoned_blocks additional_directories agent_id agents all_uuids analytics_disabled anchor_uuid api_error \
    api_error_params api_error_status api_error_type api_message_id apiKeySource applied_edits args attempt auto \
    background betas budget by_type cache_creation cache_creation_input_tokens cache_read_input_tokens \
    cacheCreationInputTokens cacheReadInputTokens caller canonicalModel capabilities citations \
    claude_code_version command compact_error compact_metadata compact_output_chars compact_result completed \
    concurrency_limit container content content_block context_management contextWindow costBasis costUSD \
    cumulative_dropped_tokens cwd data decision decision_reason decision_reason_code decision_reason_type delta \
    depth_limit description diagnostics display_name duration_api_ms duration_ms elapsed_time_seconds end_time \
    ephemeral_1h_input_tokens ephemeral_5m_input_tokens error error_status errors estimated_tokens \
    estimated_tokens_delta event exit_code explanation failed fallback_credit fast_mode_disabled_reason \
    fast_mode_state first_content_frame_ms foreground from_block_index head_uuid hook_event hook_id hook_name id \
    index inference_geo input input_tokens inputTokens is_api_error_message is_backgrounded is_error isMeta \
    isReplay isSynthetic isUsingOverage iterations killed last_tool_name level local_command local_command_run \
    local_command_source logical_parent_uuid max_depth max_retries maxOutputTokens mcp_servers media \
    media_reason media_type memory_paths message messaging_socket_path model model_usage_since_last_result \
    modelUsage name non_execution_kind num_turns original_cwd outcome output_file output_style output_tokens \
    output_tokens_details outputTokens parent parent_tool_use_id partial_json patch path per_turn_effort_active \
    permission_decision permission_denials permissionMode plugins post_tokens pre_tokens preserved_messages \
    preserved_segment product_feedback_disabled prompt provider queued_turn_count rate_limit_info rateLimitType \
    reason_type refused refused_message_id request_id requested resetsAt result result_index retry_delay_ms role \
    run_id safeguard_results safety_stops server_display_name server_tool_use service_tier session_id signature \
    skills slash_commands source spawn_depth spawned spawned_by_subagents speed started_in_background status \
    stderr stdout stop_details stop_reason stop_sequence structured_output subagent_stats subagent_type subtype \
    summary surpassedThreshold system tag tail_uuid task_description task_id task_type terminal_reason \
    terminal_slash_commands text thinking thinking_display thinking_duration_ms thinking_tokens thinkingTokens \
    time_to_request_ms timestamp tool_input tool_name tool_result_meta tool_use_id tool_use_meta tool_use_result \
    tool_uses tools total_cost_usd total_tokens trigger ttft_ms ttft_stream_ms type ultrathink_available \
    ultrathink_typed_raises unset usage user utilization uuid uuids view_mode web_fetch_requests \
    web_search_requests webSearchRequests";

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
    let mut is_free = false;
    let mut rest = path;
    while let Some(at) = rest.find(['.', '\'', '"', ' ', '&', '|', ',']) {
        let (sign, after) = (&rest[at..=at], &rest[at + 1..]);
        match sign {
            "'" | "\"" => {
                let end = after.find(sign)?;
                rest = &after[end + 1..];
            }
            "." => {
                let is_of_name = |character: char| character.is_alphanumeric() || character == '_';
                let end = after
                    .find(|character| !is_of_name(character))
                    .unwrap_or(after.len());
                let (name, then) = after.split_at(end);
                if let Some(right) = meant(name).filter(|_| !is_free) {
                    return Some((name, right));
                }
                is_free |= FREE.contains(&name);
                rest = then;
            }
            // Another path of a filter begins.
            _ => {
                is_free = false;
                rest = after;
            }
        }
    }
    None
}

/// The field that an unknown `name` is likely to mean: two letters are wrong at most.
fn meant(name: &str) -> Option<&'static str> {
    let fields = || FIELDS.split_whitespace();
    if name.len() < 3 || fields().any(|field| field == name) {
        return None;
    }
    let most = if name.len() < 7 { 1 } else { 2 };
    let wrong = |field: &&str| strsim::osa_distance(&name.to_lowercase(), &field.to_lowercase());
    fields().min_by_key(wrong).filter(|field| wrong(field) <= most)
}

#[cfg(test)]
mod tests {
    use super::misspelt;

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
