//! Hints where no known shape matched: words, then error types and classes, then the status alone.

use super::{
    CauseRule, DIRECT, GUESS, LIKELY, NEXT_REFUSED_CLI, NEXT_REFUSED_GATEWAY, NEXT_UPSTREAM, NEXT_WAIT,
    PLAUSIBLE, THROUGH_GATEWAY, rule,
};
use crate::cause::MessageRoute;
use crate::outcome::Cause::{Account, Auth, Cli, Config, Gateway, Harness, RateLimit, Upstream};

pub(super) const RULES: &[CauseRule] = &[
    rule("words_of_account", Account, GUESS)
        .says(&[
            r"\bbilling\b|\binvoices?\b|\bpayments?\b|\b(?:spend|spending|budget)\b.{0,30}(?:limit|cap|exceeded|reached)|\brecharge\b|\bsubscription (?:is|has|required)|\bupgrade your plan",
        ])
        .unless(&[r"budget tokens|billing header"])
        .why("words about money")
        .next("check the plan, balance and limits of the account that the message names")
        .example("see the billing page of your organization"),
    rule("words_of_auth", Auth, GUESS)
        .says(&[r"authenticat|authori[sz]|\bcredentials?\b|\bpermissions?\b|\bsign in\b|\blog in\b"])
        .why("words about credentials or permissions")
        .next("find out which credential it is (claude's for the gateway, or the gateway's for the provider) and renew it")
        .example("the role lacks permissions on that project"),
    rule("words_of_rate_limit", RateLimit, GUESS)
        .says(&[
            r"retry after|try again in \d|limit (?:has been |was )?(?:reached|exceeded|hit)|exceed(?:s|ed|ing)? .{0,30}(?:(?:rate|request|usage|call) limit|quota)|too many",
        ])
        .unless(&[r"max_tokens|output limit|context|token limit of"])
        .why("words about a limit and a time to wait")
        .next(NEXT_WAIT)
        .example("Please retry after 30 seconds"),
    rule("words_of_config", Config, GUESS)
        .says(&[
            r"\bbase ?url\b|/v1/v1\b",
            r"\b(?-i:[A-Z][A-Z0-9]*_[A-Z0-9_]{3,})\b.{0,40}(?:not set|unset|missing|empty|undefined|required)",
            r"\bfile\b.{0,80}(?:does not exist|not found|missing)|\b(?:region|url|host|hostname|address|path|version|profile)\b.{0,40}(?:invalid|wrong|unknown|unsupported|not (?:set|valid|found|supported))",
            r"not configured|misconfigur|configuration (?:error|file|is)|environment variable|config\.ya?ml|\.env\b",
            r"(?:model|deployment|provider|endpoint|resource|entity|region|route|alias)\b.{0,60}(?:not found|does not exist|not available|not enabled|unknown|unrecogni[sz]ed|not registered)",
            r"(?:unknown|no such|nonexistent|unrecogni[sz]ed) (?:model|deployment|provider|endpoint|resource|region|route|alias)",
        ])
        .why("words about something that is not set up")
        .next("compare base, path, alias and model id in the gateway's configuration with what exists")
        .example("the provider for this request is not configured"),
    rule("words_of_machine", Harness, GUESS)
        .says(&[
            r"\bgit (?:clone|fetch|checkout)\b|remote repository",
            r"\b(?:disk|memory|swap|file ?system|inode|container|docker|pod|runner|sandbox|workspace|working directory)\b.{0,60}(?:full|exceeded|exhausted|not found|missing|denied|failed|killed|error)",
            r"(?:failed|unable|could not|cannot) .{0,30}\b(?:install|download|extract|unpack|checkout|clone|mount|fork|write file|open file|create (?:directory|folder|file))\b",
            r"\bsignal \d+|core dumped|exit code 1\d\d\b",
        ])
        .unless(&[r"litellm\.\w"])
        .why("words about the machine or the installation")
        .next("check the machine: disk, memory, files, installation")
        .example("the working directory is full"),
    // Error types and classes.
    rule("gateway_refused_request", Gateway, PLAUSIBLE)
        .says(REFUSAL_TYPES)
        .on(&[MessageRoute::Gateway])
        .why("a request that the gateway sent was refused as invalid")
        .next(NEXT_REFUSED_GATEWAY)
        .example("litellm.BadRequestError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"something new\"}}"),
    rule("cli_refused_request", Cli, PLAUSIBLE)
        .says(REFUSAL_TYPES)
        .on(DIRECT)
        .why("a request was refused as invalid, and the text shows no gateway")
        .next(NEXT_REFUSED_CLI)
        .example("API Error: 400 {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"something new\"},\"request_id\":\"req_1\"}"),
    rule("refused_route_unknown", Gateway, GUESS)
        .says(REFUSAL_TYPES)
        .on(&[MessageRoute::Unknown])
        .why("a request was refused as invalid, which in a trial comes from the gateway")
        .next(NEXT_REFUSED_GATEWAY)
        .example("Bad Request: something new"),
    rule("gateway_failed", Gateway, PLAUSIBLE)
        .says(&[r"internal_server_error|litellm\.InternalServerError: "])
        .unless(&[r"\w(?:Exception|Error) - |overloaded|unavailable|server had an error"])
        .on(THROUGH_GATEWAY)
        .why("LiteLLM's type for an unexpected exception, without a provider's name")
        .next("find the exception behind it in the gateway's log")
        .example("{\"error\":{\"message\":\"Internal server error\",\"type\":\"internal_server_error\"}}"),
    rule("provider_failed", Upstream, LIKELY)
        .says(&[
            r"\bapi_error\b|timeout_error|internal server error|InternalServerError|ServiceUnavailable|BadGateway",
            r"bad gateway|gateway time-?out|service (?:is )?(?:temporarily )?unavailable|upstream (?:connect|request|error)|cloudflare",
            r"server_error|server had an error|something went wrong",
        ])
        .unless(&[r"\b4(?:00|22)\b"])
        .why("the provider failed; the text adds nothing")
        .next(NEXT_UPSTREAM)
        .example("API Error: 500 {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"Internal server error\"}}"),
    rule("words_of_outage", Upstream, GUESS)
        .says(&[
            r"\b(?:outage|maintenance|degraded|brownout)\b|(?:is|are|was) (?:currently |temporarily )?(?:down|unavailable|offline)\b|high load|try again (?:later|in a (?:moment|few))|server-side issue|unknown error",
        ])
        .why("words about a service that is down")
        .next(NEXT_UPSTREAM)
        .example("the service is down for maintenance"),
    rule("gateway_traceback", Gateway, PLAUSIBLE)
        .says(&[r"Traceback \(most recent call last\)"])
        .why("a traceback of a Python program, such as the gateway")
        .next("find the last line of the traceback in the gateway's log and report it to the gateway's project with its version")
        .example("Traceback (most recent call last): File \"proxy_server.py\", line 1, in main"),
    rule("gateway_wrapped_unknown", Gateway, GUESS)
        .says(&[r"APIConnectionError|litellm\.APIError|MidStreamFallback"])
        .on(&[MessageRoute::Gateway])
        .why("LiteLLM's class for unexpected exceptions, without a provider's text")
        .next("find the exception behind it in the gateway's log")
        .example("API Error: 500 litellm.APIConnectionError: something odd"),
    rule("network", Upstream, GUESS)
        .says(&[
            r"request timed out|error sending request|stream disconnected|fetch failed|connection error|ETIMEDOUT|connect timeout|connection timed out|(?:read|connect) timeout|RemoteDisconnected|connection aborted|server disconnected|unable to connect|cannot connect|couldn't connect|API request timeout",
        ])
        .why("no connection or no answer, without a reason")
        .next("check that the base answers from this machine (`curl`), then the provider's status page, and run again")
        .example("API Error: Request timed out."),
    // The status alone.
    rule("status_gateway", Gateway, GUESS)
        .status(&[(400, 400), (409, 409), (422, 422), (500, 501)])
        .unless(&[r"\wException - \W*\{"])
        .on(&[MessageRoute::Gateway])
        .why("the gateway answered with this status, without a provider's text")
        .next("find the request in the gateway's log; run the trial simulated to see what the provider answered")
        .example("[m] claude CLI failed: exit=1; api_status=500; text="),
    rule("status_refused", Gateway, GUESS)
        .status(&[(400, 400), (409, 409), (422, 422)])
        .on(THROUGH_GATEWAY)
        .why("the status says that the request was refused; the text adds nothing")
        .next(NEXT_REFUSED_GATEWAY)
        .example("400 {}"),
    rule("status_cli", Cli, GUESS)
        .status(&[(400, 400), (409, 409), (413, 413), (422, 422)])
        .why("the status says that the request was refused, and the text shows no gateway")
        .next(NEXT_REFUSED_CLI)
        .example("API Error: 400 {}"),
    rule("status_upstream", Upstream, PLAUSIBLE)
        .status(&[(408, 408), (500, 599)])
        .why("the status says that a server failed; the text adds nothing")
        .next(NEXT_UPSTREAM)
        .example("API Error: 503 {}"),
    rule("gateway_error_unknown", Gateway, GUESS)
        .says(&[r"litellm\.\w+|\w(?:Exception|Error)\b|Traceback"])
        .unless(&[r"claude CLI (?:failed|timed out)|timed? ?out"])
        .on(&[MessageRoute::Gateway])
        .why("an unknown error, wrapped by the gateway, without a status")
        .next("find the error and the provider's answer before it in the gateway's log")
        .example("litellm.proxy.utils: an odd thing happened in SomethingError"),
];

/// The kinds of error that say `the request is invalid`, without saying how.
const REFUSAL_TYPES: &[&str] = &[
    r"invalid_request|BadRequestError|ValidationException|INVALID_ARGUMENT|FAILED_PRECONDITION|UnprocessableEntity|bad request|invalid request",
];
