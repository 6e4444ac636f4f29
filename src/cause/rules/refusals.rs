//! A refused part of the request: the fault of the program that made the request.

use super::{CauseRule, DIRECT, LIKELY, NEXT_REFUSED_CLI, NEXT_REFUSED_GATEWAY, PLAUSIBLE, rule};
use crate::cause::MessageRoute;
use crate::outcome::Cause::{Cli, Gateway};

pub(super) const RULES: &[CauseRule] = &[
    rule("gateway_translation_refused", Gateway, LIKELY)
        .says(&[
            r"function_?declarations|toolConfig|toolSpec|inputSchema|additionalModelRequestFields|generationConfig|systemInstruction|contents\[\d+\]",
            r"chat[-_ ]completions?|max_completion_tokens|max_tokens_to_sample|reasoning_content|reasoning_effort|tool_calls|tool_call_id|Responses API",
        ])
        .why("the refused part has a name of another protocol, so the gateway translated the request")
        .next(NEXT_REFUSED_GATEWAY)
        .example("API Error: 400 {\"error\":{\"code\":400,\"message\":\"Invalid value at 'tools[0].function_declarations[3].parameters'\",\"status\":\"INVALID_ARGUMENT\"}}"),
    rule("gateway_request_refused", Gateway, LIKELY)
        .says(REFUSED_PARTS)
        .on(&[MessageRoute::Gateway])
        .why("the provider refused a part of the request that the gateway sent")
        .next(NEXT_REFUSED_GATEWAY)
        .example("litellm.BadRequestError: BedrockException - {\"message\":\"context_management: Extra inputs are not permitted\"}"),
    rule("cli_request_refused", Cli, LIKELY)
        .says(REFUSED_PARTS)
        .on(DIRECT)
        .why("the provider refused a part of the request, and the text shows no gateway")
        .next(NEXT_REFUSED_CLI)
        .example("API Error: 400 tools.3.custom.input_examples: Extra inputs are not permitted"),
    rule("request_refused_route_unknown", Gateway, PLAUSIBLE)
        .says(REFUSED_PARTS)
        .on(&[MessageRoute::Unknown])
        .why("the provider refused a part of the request, which in a trial comes from the gateway")
        .next(NEXT_REFUSED_GATEWAY)
        .example("text.0.cache_control: Extra inputs are not permitted"),
];

/// What providers say when they refuse a part of a request.
const REFUSED_PARTS: &[&str] = &[
    r"extra inputs are not permitted|extraneous key|malformed input request|cannot find field|unknown (?:parameter|field)|unrecognized (?:request argument|field|key)|unsupported[_ ]parameter|additional propert",
    r"invalid beta flag|unexpected value\(s\)|anthropic[-_]beta",
    r"input tag .{0,120}found using|does not match any of the expected tags",
    r"tool_use.{0,80}(?:without|ids were found|must have)|tool_result.{0,80}(?:without|unexpected|corresponding|must)|unexpected .?tool_use_id|duplicate tool|tool_use_id",
    r"expected .?(?:thinking|redacted_thinking)|thinking.{0,10}blocks?.{0,80}(?:cannot be modified|must|latest)|invalid .{0,3}signature|signature.{0,40}(?:invalid|required|missing)",
    r"text field in the ContentBlock|text content blocks must|must (?:have|contain|be) non-?(?:empty|whitespace)|non-empty content|is blank",
    r"roles must alternate|must alternate|toolConfig field|conversation must|final assistant content|prefill",
    r"cache_control|cachepoint|cache ?point|prompt caching",
    r"max_tokens.{0,80}(?:must|greater|exceed|maximum)|budget_tokens|thinking\.(?:type|enabled|adaptive|budget)",
    r"output_config|context_management|reasoning_effort|tool_choice|defer_loading|input_schema|tools\.\d+|messages\.\d+|system\.\d+",
    r"invalid value: |supported values are|is not (?:supported|allowed|permitted)|not supported|unsupported|must be (?:one of|a|an|at|less|greater)|field required|required key|is required|should be a|schema (?:violation|mismatch)|against schema|(?:input|json|invalid|output)[_ ]schema|could not process image|invalid base64",
    r"unexpected role|role .{0,20}system",
    r"match(?:es)? (?:the )?pattern|(?:tools|messages|contents)\[\d+\]|failed to satisfy constraint",
];
