//! Faults of the gateway: a broken stream, a crash, a setting, a refusal before the provider was asked.

use super::{CauseRule, LIKELY, PLAUSIBLE, SURE, rule};
use crate::cause::MessageRoute;
use crate::outcome::Cause::{Config, Gateway, Upstream};

pub(super) const RULES: &[CauseRule] = &[
    rule("gateway_adapter", Gateway, LIKELY)
        .says(&[
            r"API Error: .{0,40}\b(?:message_(?:start|stop|delta)|content_block)",
            r"unexpected end of (?:stream|file|input|data)|unexpected EOF|while (?:reading|parsing) .{0,20}(?:SSE|stream|chunk)",
            r"content block (?:is )?not (?:a|an|found)|content block is not",
            r"unexpected event order",
            r"mismatched content block",
            r"no content block (?:found|at index)",
            r"stream(?:ing)?(?: response)? (?:ended|has ended|completed|finished|closed) (?:without|before|unexpectedly)|incomplete stream|without (?:sending|receiving) any (?:chunks|events)",
            r"could not parse message into JSON",
            r"empty or malformed response|malformed (?:response|stream|SSE)",
            r"received (?:no|empty) .{0,20}(?:events|message_start)",
            r"error building chunks",
            r"unable to (?:get|parse) json|error parsing (?:chunk|response)",
            r"unexpected token '?<",
            r"JSON Parse error|is not valid JSON|unterminated string in JSON|unexpected end of JSON",
            r"(?:usage|input_tokens|output_tokens|cache_\w+_tokens)'?\)?.{0,40}(?:undefined|null)|(?:undefined|null).{0,60}(?:usage|input_tokens|output_tokens)",
        ])
        .unless(&[r"request body is not valid"])
        .why("claude received a reply that is not a stream of the Messages API")
        .next("run the trial simulated, read the events that the gateway sent, and report the first wrong one to the gateway's project")
        .example("API Error: Content block is not an input_json block"),
    rule("provider_connection_of_gateway", Upstream, PLAUSIBLE)
        .says(&[
            r"(?:litellm|\wException|\wError)\b.{0,160}(?:server disconnected|connection error|connecterror|readtimeout|read timed out|connecttimeout|remoteprotocolerror|connection (?:reset|aborted|timed out)|peer closed connection|incomplete chunked|timed? ?out|read timeout|EOF occurred|cannot connect to host)",
            r"litellm\.Timeout|APITimeoutError",
        ])
        .unless(&[r"object has no attribute|NoneType", r"claude CLI timed out"])
        .on(&[MessageRoute::Gateway])
        .why("the gateway lost its connection to the provider or got no answer")
        .next("look at the provider's status page and at the network between gateway and provider, and run the trial again")
        .example("litellm.Timeout: AnthropicException - litellm.Timeout: Connection timed out. Timeout passed=600.0, time taken=600.1 seconds"),
    rule("gateway_package_missing", Config, PLAUSIBLE)
        .says(&[r"missing (?:import )?(?:boto3|google)|pip install|import failed"])
        .why("the gateway was installed without a package that this route needs")
        .next("install the package that the message names next to the gateway and restart it")
        .example("litellm.InternalServerError: Missing boto3 to call bedrock. Run 'pip install boto3'."),
    rule("gateway_setting", Config, PLAUSIBLE)
        .says(&[
            r"db not connected|database (?:connection )?(?:is )?not (?:available|connected)",
            r"violated .{0,20}guardrail|blocked by .{0,40}guardrail|guardrail_intervened|guardrail raised",
            r"LiteLLM Enterprise|enterprise (?:only )?feature|premium user",
            r"prisma\.errors|ClientNotConnected|database .{0,40}(?:unreachable|not reachable|not connected)|can't reach database",
        ])
        .why("the gateway's configuration needs a guardrail, a license or a database")
        .next("the gateway's administrator removes the setting for this alias or supplies what it needs")
        .example("{\"error\":{\"message\":\"Violated guardrail policy\",\"type\":\"None\",\"param\":\"None\",\"code\":\"400\"}}"),
    rule("gateway_crashed", Gateway, SURE)
        .says(&[
            r"indices must be|must be (?:str|int|bytes|dict|list|integers)\b|not supported between instances|invalid literal for|division by zero|maximum recursion|LocalProtocolError",
            r"\bNoneType\b|cannot unpack|non-iterable|codec can't (?:de|en)code|generator didn't stop",
            r"event loop (?:is )?closed|coroutine|asyncio\.",
            r"argument of type '|object is not (?:iterable|subscriptable|callable)|requires an object with|takes \d+ positional|__\w+__ ",
            r"'\w+' object|object has no attribute|has no attribute '",
            r"no module named|ModuleNotFoundError|ImportError|AttributeError|\bKeyError|IndexError|UnboundLocalError|NameError|RecursionError|AssertionError.*litellm",
            r"TypeError: .*(?:argument|NoneType|unsupported operand|unhashable|expected str|must be)",
            r"ValidationError|validation errors? for|pydantic",
            r"JSONDecodeError|Expecting (?:value|property name|.{0,5} delimiter)|not JSON serializable",
            r"not enough values to unpack|list index out of range|missing \d+ required (?:positional|keyword)|unexpected keyword argument",
            r"referenced before assignment|local variable '",
            r"Exception in ASGI|RuntimeError: |dictionary changed size",
            r"without having called .?read\(",
            r"panic: runtime error|nil pointer dereference|java\.lang\.\w+Exception",
        ])
        .unless(&[r"TypeError: (?:fetch failed|terminated)"])
        .why("an exception in the gateway")
        .next("find the traceback in the gateway's log and report it to the gateway's project with its version; try the previous version")
        .example("API Error: 500 litellm.APIConnectionError: 'NoneType' object has no attribute 'get'"),
    rule("gateway_parameters", Gateway, LIKELY)
        .says(&[r"UnsupportedParams|does not support parameters|drop_params"])
        .why("the gateway refused a parameter before it asked the provider")
        .next("try `drop_params: true` or `allowed_openai_params` in the gateway's configuration; if the provider accepts the parameter, report it to the gateway's project")
        .example("litellm.UnsupportedParamsError: bedrock does not support parameters: ['tool_choice'], for model=m."),
];
