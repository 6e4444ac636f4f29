//! The cell, the harness and the machine; and crashes of Claude Code.

use super::{CauseRule, LIKELY, NEXT_REFUSED_CLI, PLAUSIBLE, rule};
use crate::outcome::Cause::{Cli, Harness};

pub(super) const RULES: &[CauseRule] = &[
    rule("content_refused", Harness, PLAUSIBLE)
        .says(&[
            r"content[_ ](?:management policy|filter(?:ing)?(?: policy)?|policy)|ContentPolicyViolation|ResponsibleAIPolicy",
            r"violate our usage policy|usage policies",
        ])
        .why("the provider's filter refused the prompt or the answer")
        .next("change the words of the cell's prompt")
        .example("litellm.ContentPolicyViolationError: AzureException - The response was filtered due to the prompt triggering Azure OpenAI's content management policy."),
    rule("harness_call", Harness, LIKELY)
        .says(&[
            r"required arguments? (?:was|were) not provided",
            r"resource temporarily unavailable|\bEAGAIN\b",
            r"disk quota|os error (?:2|13|17|20|24|28|122)\b|\bcell (?:file )?\S+\.ya?ml",
            r"/\S+: permission denied|permission denied: \W?/",
            r"error_max_turns|max(?:imum)? (?:number of )?turns",
            r"unknown (?:option|argument|command|flag)|unexpected argument|error: option",
            r"requires --\w+|when using --\w+|input must be provided either",
            r"cannot be used with root|root/sudo privileges",
            r"error: .{0,20}--[a-z][\w-]+ (?:can|cannot|must|may|requires?|is|needs|expects)",
            r"command not found|no such file or directory|\bENOENT\b|not recognized as an internal",
            r"\bENOSPC\b|no space left|\bEMFILE\b|too many open files|out of memory|cannot allocate memory|\bENOMEM\b|\bEROFS\b|read-only file system",
            r"\bkilled\b|SIGKILL|SIGTERM|exit(?:ed)?(?: with)?(?: status| code)?[= :]+(?:126|127|130|137|143)\b",
            r"did not become (?:healthy|ready)|not ready (?:after|within)",
            r"haven't granted|requested permissions? to (?:use|write|edit|read)",
            r"session ID .{0,60}(?:already in use|not found)|no conversation found|invalid session id",
            r"GLIBC|illegal instruction|SIGILL|lacks AVX|cannot find (?:module|package)|checksum mismatch|integrity check|requires node",
            r"maximum budget \(|max_budget_usd|invalid (?:MCP config|settings|JSON provided)",
            r"permission denied \(os error|\bEACCES\b|\bEPERM\b|exec format error|cannot execute binary",
            r"address already in use|\bEADDRINUSE\b",
            r"failed to (?:spawn|start|execute) |could not (?:spawn|start) |\bspawn(?:Sync)? ",
            r"\bEAI_AGAIN\b|temporary failure in name resolution|network is unreachable|\bENETUNREACH\b|\bEHOSTUNREACH\b|no route to host",
        ])
        .why("the command line of claude or the machine is wrong")
        .next("correct the command line or the machine (binary, disk, memory, network) and run again")
        .example("error: unknown option '--image'"),
    rule("cli_crashed", Cli, PLAUSIBLE)
        .says(&[
            r"Claude Code (?:could not|failed to|was unable)|\bSyntaxError\b",
            r"API Error: \w+ is not (?:defined|a function|iterable)|ReferenceError",
            r"cannot read propert|undefined is not an? (?:object|function)|is not a function|is not iterable|null is not an object",
            r"ReferenceError|RangeError|Maximum call stack|JavaScript heap out of memory",
            r"Bun has crashed|bun will .{0,20}crash|Segmentation fault|SIGSEGV|SIGABRT",
            r"Claude Code process (?:exited|aborted)|error_during_execution",
        ])
        .why("an exception in Claude Code")
        .next(NEXT_REFUSED_CLI)
        .example("TypeError: undefined is not an object (evaluating 'A.content.map')"),
];
