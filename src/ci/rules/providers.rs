//! What a live provider says. `compat cause` knows these words; the rules here come before it.

use std::sync::LazyLock;

use regex::Regex;

use super::{LIKELY, LogRule, PLAUSIBLE, SURE, rule};
use crate::cause::{Diagnosis, of_message};
use crate::ci::FailureCategory::{self, Auth, Code, Config, ExternalApi};
use crate::outcome::Cause;

/// An error of a provider's client or of LiteLLM in front of it.
const FROM_PROVIDER: &str = r"litellm\.(?:exceptions\.)?\w+(?:Error|Exception)|\b(?:anthropic|openai|mistralai|cohere|groq|together|google\.(?:genai|api_core|generativeai)|vertexai|replicate|huggingface_hub|ollama|botocore|boto3|azure\.core|fireworks)\S*\.\w*(?:Error|Exception|Unavailable|Exhausted|NotFound|Timeout)\w*|\w+Exception - |Error code: \d{3}|api\.(?:openai|anthropic|mistral|groq|cohere|together|perplexity|deepseek|x)\.|generativelanguage|aiplatform|bedrock-runtime|openai\.azure|LLM error|API Error|(?:RateLimit|InternalServer|ServiceUnavailable|APIConnection|APITimeout|APIStatus|Overloaded|Throttling)\w*(?:Error|Exception)";

pub(super) const RULES: &[LogRule] = &[
    rule("provider_key", Auth, SURE)
        .says(&[
            r"invalid x-api-key|API key not valid|API_KEY_INVALID|API key expired|Incorrect API key provided|invalid_api_key|invalid api key|invalid subscription key|Your API key (?:is|has been) (?:invalid|disabled|revoked)|This API key (?:is|has been)|API_KEY_SERVICE_BLOCKED|key has been (?:disabled|revoked|deactivated)|account (?:has been|is) (?:deactivated|disabled|suspended)|organization has been disabled",
        ])
        .unless(&[r"DID NOT RAISE|mock|expected|quota|credit balance"])
        .why("the provider refused the CI's key")
        .do_this("renew the provider's key in the CI settings")
        .example("E   anthropic.AuthenticationError: Error code: 401 - {'error': {'message': 'invalid x-api-key'}}")
        .green("test_invalid_api_key PASSED"),
    rule("model_access", Auth, LIKELY)
        .says(&[r"(?:\b403\b|PermissionDenied).{0,240}(?:does not|doesn't|do not) have access"])
        .unless(&[r"DID NOT RAISE|mock"])
        .why("the CI's key has no access to the model or the project")
        .do_this("grant the access to the key's project, or move the test to a model that it has")
        .example("E   openai.PermissionDeniedError: Error code: 403 - {'error': {'message': 'Project `p` does not have access to model `m`'}}")
        .green("test_403_does_not_have_access PASSED"),
    rule("provider_money", ExternalApi, SURE)
        .says(&[
            r"insufficient_quota|exceeded your current quota|credit balance (?:is )?too low|credit_balance_exhausted|no credits remaining|(?:insufficient|not enough|out of) (?:credits?|balance|funds)|payment required|billing (?:hard limit|details|is disabled|not enabled|account)|requires billing|spending limit|check your plan and billing|402 .{0,30}(?:payment|credits)",
        ])
        .unless(&[r"DID NOT RAISE|mock"])
        .why("the provider's account has no credit or quota left")
        .do_this("pay, or skip these tests while the account is empty")
        .rerun(false)
        .example("LLM error: insufficient_quota: You exceeded your current quota")
        .green("test_insufficient_quota PASSED"),
    rule("provider_limit", ExternalApi, SURE)
        .says(&[
            r"^\s*(?:E\s+|FAILED|ERROR|Error: |error|\S*(?:Error|Exception|Exhausted|Requests)\b|\{|\s*\x22?message|●|.{0,60}LLM error).{0,300}(?:RateLimitError|rate_limit_error|rate limit (?:exceeded|reached|hit)|RESOURCE_EXHAUSTED|ResourceExhausted|ThrottlingException|Too Many Requests|TooManyRequests|quota exceeded|Throttled|\b429\b|tokens per (?:minute|day)|requests per (?:minute|day))",
            r"API rate limit exceeded for|secondary rate limit|You have exceeded a secondary",
        ])
        .unless(&[r"DID NOT RAISE|mock|assert (?:\d+|.{0,80}) ==|simulat|!= 429|== 429|expected|Virtual Key|max_parallel|Crossed TPM|user api key|key_rpm|No deployments available"])
        .why("a provider limits requests or tokens")
        .do_this("run fewer live tests at once, let them wait and retry, or run again later")
        .example("E   litellm.RateLimitError: AnthropicException - Number of request tokens has exceeded your per-minute rate limit")
        .green("test_rate_limit_error PASSED"),
    rule("provider_outage", ExternalApi, SURE)
        .says(&[
            r"^\s*(?:E\s+|FAILED|ERROR|Error: |error|\S*(?:Error|Exception|Unavailable)\b|.{0,80}LLM error).{0,300}(?:InternalServerError|ServiceUnavailable|overloaded_error|OverloadedError|\bOverloaded\b|model is overloaded|at capacity|experiencing high (?:demand|traffic|volume)|high demand|ModelNotReady|BadGateway|Bad Gateway|GatewayTimeout|Gateway Timeout|APIConnectionError|APITimeoutError|APIStatusError|unexpected error during processing|Error code: (?:5\d\d)|\b(?:500|502|503|504|520|522|524|529)\b.{0,30}(?:error|unavailable|gateway|overloaded|server|timeout|\{))",
            r"^.{0,80}(?:api|status)\.(?:openai|anthropic|mistral|groq|cohere|perplexity|deepseek)\..{0,120}(?:timed? ?out|ReadTimeout|ConnectTimeout|50[0-4])|(?:litellm|openai|anthropic|httpx|httpcore)\S*\.(?:Timeout|APITimeoutError|ReadTimeout)\b.{0,160}(?:litellm\.Timeout|APITimeout|provider|model|anthropic|openai|bedrock|vertex|gemini)",
            r#"Provider returned error|"code": ?50[0-4]"#,
            r"API Error:? (?:\(?)(?:500|502|503|504|529)\b|litellm\.Timeout: |litellm\.exceptions\.Timeout|(?:Gemini|VertexAI|Anthropic|OpenAI|Azure|Bedrock|Groq|Mistral|Cohere|Perplexity|Replicate|Huggingface|Together\w*|Fireworks\w*|Databricks|Watsonx|Deepseek)Exception - .{0,160}(?:timed? ?out|unavailable|overloaded|internal server error|server error|try again later|Connection (?:error|reset)|disconnected)",
        ])
        .unless(&[
            r"<Response \[|DID NOT RAISE|mock|simulat|assert (?:\d+|.{0,80}) ==|== 5\d\d|!= 5\d\d|localhost|127\.0\.0\.1|0\.0\.0\.0|No module|unexpected keyword|object has no attribute|NoneType|is not (?:callable|iterable|subscriptable)|Expecting value|validation error|JSON|postgres|redis|database|playwright|registry|docker|\.whl|install|download",
        ])
        .why("a provider was out, overloaded or too slow to answer")
        .do_this("run again later; let the test retry (`@pytest.mark.flaky(retries=3, delay=5)`) or skip while the provider is out")
        .example("E   litellm.InternalServerError: BedrockException - {\"message\":\"The system encountered an unexpected error during processing. Try your request again.\"}")
        .green("test_internal_server_error_fallback PASSED"),
    rule("model_gone", Config, PLAUSIBLE)
        .says(&[
            in_error!(r"(?:model|Publisher Model|deployment|models/\S+).{0,160}(?:was not found|not found|does not exist|no longer (?:available|supported)|has been (?:deprecated|retired|decommissioned|removed|sunset)|is (?:deprecated|decommissioned|retired|not available)|end of (?:its )?life|not supported for|DeploymentNotFound)|model_not_found|model_decommissioned|ResourceNotFoundException.{0,120}(?:end of life|Legacy|model)|invalid model (?:name|identifier)|unknown model"),
        ])
        .unless(&[r"DID NOT RAISE|mock|No module|test_\w*model_not_found\w* PASSED|/key|node_modules|assert "])
        .why("the provider does not have the named model any more, or not for this account")
        .do_this("move the test to a current model")
        .example("google.genai.errors.ClientError: 404 NOT_FOUND Publisher Model `gemini-2.0-flash-001` was not found or your project does not have access to it.")
        .green("test_model_not_found PASSED"),
    rule("provider_connection", ExternalApi, PLAUSIBLE)
        .says(&[
            r"^(?:E\s+)?(?:httpx|httpcore|aiohttp\S*|requests\S*|urllib3\S*)\.\w*(?:Timeout|RemoteProtocolError|ServerDisconnected\w*|ReadError|ConnectError|ConnectionError|ChunkedEncodingError)\w*",
            r"(?:Server disconnected without sending|peer closed connection without sending complete message|Connection aborted|RemoteDisconnected|upstream (?:connect error|request timeout))",
        ])
        .unless(&[r"localhost|127\.0\.0\.1|0\.0\.0\.0|host='(?:db|redis|postgres|api|web|app|server)'|connection refused|All connection attempts failed|mock|files\.|/simple/"])
        .with(&[FROM_PROVIDER, r"live|provider|llm_translation|integration|e2e|upstream"])
        .why("the connection to a live service broke or timed out")
        .example("E   httpx.ReadTimeout: The read operation timed out\nlitellm.exceptions.APIError: x")
        .green("httpx INFO request done"),
    rule("provider_refused", Code, PLAUSIBLE)
        .says(&[
            r"^\s*(?:E\s+|FAILED|ERROR|\S*(?:Error|Exception)\b).{0,200}(?:BadRequestError|invalid_request_error|UnprocessableEntity|UnsupportedParamsError|ValidationException|INVALID_ARGUMENT|Error code: 4(?:00|22))",
        ])
        .unless(&["DID NOT RAISE|mock|No connected db|credit|key not valid"])
        .why("the provider refused the request that the code made")
        .do_this("correct the request; if it was right before, look at the provider's changes")
        .example("E   litellm.BadRequestError: AnthropicException - {\"error\":{\"type\":\"invalid_request_error\",\"message\":\"messages: at least one message is required\"}}")
        .green("test_bad_request PASSED"),
];

/// A test that compares an error's text, or expects an error.
static OWN_WORDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"DID NOT RAISE|^E\s+\+ +(?:where|and) |assert .{0,200}(?: == | in )|(?i:mock)")
        .expect("the pattern is valid")
});

/// What the rules of `compat cause` say about a provider's error in `line`, if it is one.
pub(in crate::ci) fn provider_words(line: &str) -> Option<(FailureCategory, Diagnosis)> {
    static FORM: LazyLock<Regex> = LazyLock::new(|| Regex::new(FROM_PROVIDER).expect("the pattern is valid"));
    if !FORM.is_match(line) || OWN_WORDS.is_match(line) {
        return None;
    }
    let diagnosis = of_message(line);
    let category = match diagnosis.cause {
        Cause::RateLimit | Cause::Upstream | Cause::Account => ExternalApi,
        Cause::Auth => Auth,
        Cause::Config => Config,
        _ => return None,
    };
    Some((category, diagnosis))
}
