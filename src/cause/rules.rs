//! The rules that say whose fault a message is: data, in order, the first that fits decides.
//!
//! The order is the precedence. What a body says outranks the status it came with; what a person has to pay, set or
//! sign outranks what a program did wrong; any error outranks a timeout, for a timeout hides its reason.
//! Each rule carries an example that the tests feed back to the whole table. Wordings come from the providers'
//! error references, from the sources of LiteLLM and Claude Code, and from public issue threads.
//! Never looks at anything but the message.
#![warn(clippy::disallowed_methods)]

use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};

use super::message::{Message, Route};
use crate::outcome::Cause::{self, *};

/// Words that only this fault produces: right nearly always.
pub const SURE: f64 = 0.95;
/// Words that nearly always mean this fault.
pub const LIKELY: f64 = 0.8;
/// A status or an error type alone, or words that another fault produces now and then.
pub const PLAUSIBLE: f64 = 0.6;
/// More likely this fault than any other, no more.
pub const GUESS: f64 = 0.4;
/// No rule fits: no fault is proven.
pub const NOTHING: f64 = 0.1;

/// One rule: a message that `when` fits is `cause`'s fault.
#[derive(Debug)]
pub struct Rule {
    /// Its name, unique, for reports and tests.
    pub name: &'static str,
    /// Whose fault it says it is.
    pub cause: Cause,
    /// How often it may be expected to be right, from 0 to 1.
    pub confidence: f64,
    /// What has to show in the message.
    pub when: When,
    /// Patterns that keep the rule from fitting.
    pub unless: &'static [&'static str],
    /// The routes on which it holds; empty for all.
    pub on: &'static [Route],
    /// The shape it recognizes, for a reader.
    pub why: &'static str,
    /// What to do next, and who does it.
    pub next: &'static str,
    /// A message that it, and no rule before it, fits.
    pub example: &'static str,
}

/// What has to show in a message.
#[derive(Debug)]
pub enum When {
    /// One of these regular expressions fits the plain text; case does not matter.
    Says(&'static [&'static str]),
    /// The HTTP status is in one of these inclusive ranges.
    Status(&'static [(u16, u16)]),
    /// Nothing: it always fits.
    Always,
}

use When::{Always, Says, Status};

/// A message whose route is unknown is taken for one that came through a gateway: that is what a trial does.
const THROUGH_GATEWAY: &[Route] = &[Route::Gateway, Route::Unknown];
const DIRECT: &[Route] = &[Route::Direct];

const NEXT_REFUSED_GATEWAY: &str = "compare what claude sent with what the gateway sent on (the wire diff of a simulated run \
     shows it); if the gateway added, kept or dropped the named part wrongly, report it to the gateway's project";
const NEXT_REFUSED_CLI: &str = "run the same prompt with an older and a newer Claude Code; if one of them passes, report \
     the version to Claude Code's issue tracker and pin the one that works";
const NEXT_WAIT: &str = "wait for the limit to reset and run the trial again; if it comes back, lower the number of \
     trials at once or ask the account's owner for a higher quota";
const NEXT_UPSTREAM: &str =
    "look at the provider's status page, wait, and run the trial again; nothing of ours has to change";

/// The rules, in order.
pub const RULES: &[Rule] = &[
    // A test's own words, with no error in them: they may quote anything.
    Rule {
        name: "assertion_failed",
        cause: Assertion,
        confidence: LIKELY,
        when: Says(&[
            r"^(?:\[[^\]]+\] )?(?:assertion ?error|assertion failed|assert |expected |expect\[)",
            r"^(?:\[[^\]]+\] )?(?:claude |the model |assistant |response )?(?:returned (?:empty|no|only)|did not|didn't|does not|never|produced no|emitted no)",
            r"^(?:\[[^\]]+\] )?(?:no|missing|zero) (?:tool|thinking|text|cache|assistant|block|image|stream|event|delta|usage|result|search|citation)",
        ]),
        unless: &[
            r#"API Error|litellm|"error"|api_status|exception\b|timed out|error code"#,
            r"redacted_thinking|NoneType|bytes-like",
        ],
        on: &[],
        why: "an expectation that did not hold, and no error beside it",
        next: "read the expectation and the transcript side by side: did the model not do it, or did it not arrive; \
               run the trial again to tell chance from fault",
        example: "AssertionError: expected a tool_use block named Bash, got text only",
    },
    // Money.
    Rule {
        name: "gateway_budget",
        cause: Account,
        confidence: SURE,
        when: Says(&[
            r"exceeded ?budget",
            r"budget has been exceeded",
            r"budget ?_?exceeded",
            r"exceeded (?:\w+ )?budget",
            r"crossed budget",
            r"\bover (?:\w+ )?budget",
            r"budget (?:limit )?(?:was |is )?(?:reached|used up|exhausted)",
        ]),
        unless: &[r"budget_tokens", r"thinking.budget"],
        on: &[],
        why: "the gateway's budget for a key, user, team or deployment is used up",
        next: "the gateway's administrator raises or resets the budget named in the message, or the run uses another key",
        example: "400 Budget has been exceeded! Key=sk-...ab12 Current cost: 12.5, Max budget: 10.0",
    },
    Rule {
        name: "no_credit",
        cause: Account,
        confidence: SURE,
        when: Says(&[
            r"credit balance (?:is )?too low",
            r"insufficient[_ ](?:credits?|balance|funds|account balance)",
            r"(?:out of|no|not enough|requires more|run out of) (?:usage )?credits?\b",
            r"payment[_ ]?required",
            r"billing_error",
            r"billing[_ ](?:hard[_ ]limit|not[_ ]active)",
            r"check your billing details",
            r"past due|overdue|unpaid invoice|payment (?:method|failed|declined)|trial (?:has )?(?:expired|ended)|top[ -]?up (?:your|at|the)|欠费",
            r"insufficient (?:user )?quota|quota (?:is )?not enough|token quota .{0,20}exhausted|余额不足|预扣费额度失败|额度不足",
        ]),
        unless: &[r"exceeded your current quota"],
        on: &[],
        why: "the account behind the key has no credit",
        next: "the account's owner adds credit or a payment method; then run the column again",
        example: "API Error: 400 {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.\"}}",
    },
    Rule {
        name: "spend_limit",
        cause: Account,
        confidence: SURE,
        when: Says(&[
            r"reached your specified (?:workspace )?API usage limits",
            r"(?:monthly|daily|workspace|organization'?s?) (?:spend|spending|usage|credit)s? (?:limit|cap)",
            r"spend(?:ing)? (?:limit|cap) (?:reached|exceeded|has been)",
            r"you will regain access on",
        ]),
        unless: &[],
        on: &[],
        why: "the spending limit of the organization or workspace is reached",
        next: "the organization's administrator raises the spending limit, or wait for the day named in the message",
        example: "API Error: 400 {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.\"}}",
    },
    Rule {
        name: "quota_of_plan",
        cause: Account,
        confidence: LIKELY,
        when: Says(&[
            r"insufficient_quota",
            r"exceeded your current quota, please check your plan",
        ]),
        unless: &[
            r"RESOURCE_EXHAUSTED",
            r"quota metric",
            r"per_?(?:minute|day)",
            r"retry in \d",
        ],
        on: &[],
        why: "the plan's quota is used up, which waiting does not mend",
        next: "the account's owner checks plan and billing and adds credit",
        example: "litellm.RateLimitError: OpenAIException - You exceeded your current quota, please check your plan and billing details.",
    },
    Rule {
        name: "billing_off",
        cause: Account,
        confidence: SURE,
        when: Says(&[
            r"BILLING_DISABLED",
            r"requires billing to be enabled",
            r"billing (?:account|is|has been|to be) .{0,60}(?:disabled|closed|not enabled|not found|delinquent|not active)",
            r"INVALID_PAYMENT_INSTRUMENT",
            r"valid payment instrument",
            r"ReadOnlyDisabledSubscription",
            r"subscription .{0,80}(?:is disabled|was disabled|has been disabled|is suspended|expired)",
        ]),
        unless: &[],
        on: &[],
        why: "billing is off for the cloud project or account",
        next: "the owner of the cloud account enables billing or sets a valid payment method, then waits some minutes",
        example: "{\"error\":{\"code\":403,\"message\":\"This API method requires billing to be enabled. Please enable billing on project #1234.\",\"status\":\"PERMISSION_DENIED\",\"details\":[{\"reason\":\"BILLING_DISABLED\"}]}}",
    },
    Rule {
        name: "account_disabled",
        cause: Account,
        confidence: LIKELY,
        when: Says(&[
            r"(?:organization|account|workspace) (?:has been|is|was) (?:currently )?(?:disabled|suspended|deactivated|closed|on hold|archived)",
            r"account_deactivated",
            r"not available with the Claude \w+ plan",
        ]),
        unless: &[r"disabled API key", r"on-?hold for model"],
        on: &[],
        why: "the account or organization is closed to this use",
        next: "the organization's owner asks the provider why it is closed, or the run uses another account",
        example: "API Error: 400 {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"This organization has been disabled.\"}}",
    },
    // Names that do not exist, first where the gateway itself made the name up.
    Rule {
        name: "gateway_took_route_for_model",
        cause: Gateway,
        confidence: LIKELY,
        when: Says(&[r"invalid model name passed in model=(?:messages|count_tokens|none|anthropic|v1)\b"]),
        unless: &[],
        on: &[],
        why: "the gateway took a part of the path, or nothing, for the model's name",
        next: "check whether the request named a model; it did, so report the route to the gateway's project",
        example: "400: {'error': 'allm_passthrough_route: Invalid model name passed in model=messages. Call `/v1/models` to view available models for your key.'}",
    },
    Rule {
        name: "gateway_lacks_route",
        cause: Gateway,
        confidence: LIKELY,
        when: Says(&[
            r"not supported for token counting",
            r"provider config not found",
            r"(?:model|this model) isn't mapped yet",
            r"count[_-]tokens .{0,60}(?:not (?:supported|implemented)|failed)",
            r"NotImplementedError",
        ]),
        unless: &[r"^claude "],
        on: &[],
        why: "the gateway has no working route for this call on this provider",
        next: "report it to the gateway's project with its version; try a newer version of the gateway",
        example: "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"claude-opus-4-5@20251101 is not supported for token counting\"}}",
    },
    Rule {
        name: "key_may_not_use_model",
        cause: Config,
        confidence: SURE,
        when: Says(&[
            r"_model_access_denied",
            r"not allowed to access (?:this )?model",
            r"can only access models ?=",
            r"not allowed to access model due to tags",
            r"invalid model for (?:team|key|user)",
            r"model .{0,80} is not allowed for (?:this )?(?:key|team|user|token)",
            r"(?:token|key|group|令牌|分组).{0,40}(?:no access to|无权访问)(?: the)? ?(?:model|模型)",
        ]),
        unless: &[],
        on: &[],
        why: "the gateway's key is good, but not for this model name",
        next: "compare the alias that was asked for with the models the key may use; the gateway's administrator adds \
               the alias to the key or the manifest names another",
        example: "{\"error\":{\"message\":\"team not allowed to access model. This team can only access models=['a']. Tried to access b\",\"type\":\"team_model_access_denied\",\"param\":\"model\",\"code\":\"401\"}}",
    },
    Rule {
        name: "alias_unknown_to_gateway",
        cause: Config,
        confidence: SURE,
        when: Says(&[
            r"invalid model name passed in",
            r"ProxyModelNotFound",
            r"no models configured on proxy",
            r"there are no healthy deployments for this model",
            r"LLM Provider NOT provided",
            r"Unmapped LLM provider",
            r"model .{0,100} not found in (?:the )?(?:config|router|model[_ ]list|proxy)",
            r"no available channels?|无可用渠道",
            r"no (?:[\w-]+ ){0,4}(?:support|supports|supporting|serve) .{0,40}model",
            r"no endpoints? (?:found|available)|no_available_\w*(?:endpoint|model)|group only allows",
            r"unknown provider for model|provider .{0,40}not found",
        ]),
        unless: &[],
        on: &[],
        why: "the gateway's configuration does not know this alias or deployment",
        next: "compare the alias in the manifest with the model list of the gateway's configuration and add what is missing",
        example: "API Error: 400 {\"error\":{\"message\":\"{'error': '/v1/messages: Invalid model name passed in model=claude-haiku-x. Call `/v1/models` to view available models for your key.'}\",\"type\":\"None\",\"param\":\"None\",\"code\":\"400\"}}",
    },
    Rule {
        name: "azure_deployment_missing",
        cause: Config,
        confidence: SURE,
        when: Says(&[
            r"DeploymentNotFound",
            r"API deployment for this resource does not exist",
            r"deployment .{0,80}(?:does not exist|not found|could not be found)",
            r"OperationNotSupported",
            r"api[ -]version .{0,60}(?:not supported|not enabled|invalid|unsupported)",
            r"missing .{0,30}api-version",
            r"InvalidResourcePath",
            r"unknown_model",
        ]),
        unless: &[],
        on: &[],
        why: "the Azure deployment, operation or API version does not exist",
        next: "list the deployments of the Azure resource and correct the name, base or API version in the gateway's \
               configuration; a new deployment takes some minutes",
        example: "litellm.NotFoundError: AzureException NotFoundError - {'error': {'code': 'DeploymentNotFound', 'message': 'The API deployment for this resource does not exist.'}}",
    },
    Rule {
        name: "bedrock_needs_inference_profile",
        cause: Config,
        confidence: SURE,
        when: Says(&[
            r"with on-demand throughput",
            r"on-demand throughput is(?:n't| not) supported",
        ]),
        unless: &[],
        on: &[],
        why: "Bedrock serves this model id only through an inference profile",
        next: "put the inference profile's id (`us.`, `eu.` or `global.` before the model id) into the gateway's configuration",
        example: "ValidationException: Invocation of model ID anthropic.claude-opus-4-20250514-v1:0 with on-demand throughput isn\u{2019}t supported.",
    },
    Rule {
        name: "model_use_case_missing",
        cause: Auth,
        confidence: LIKELY,
        when: Says(&[
            r"use case details",
            r"unsupported (?:countries|country|region, or territor)",
            r"unsupported_country|not available in your (?:country|region)",
            r"user location is not supported",
            r"operation not allowed",
            r"(?:complete|accept|agree to) .{0,40}(?:terms|agreement|EULA)",
            r"data retention mode .{0,40}not available",
        ]),
        unless: &[],
        on: &[],
        why: "the provider has not admitted this account to the model",
        next: "the cloud account's owner fills in the provider's form or asks its support for admission, then waits some minutes",
        example: "API Error: 404 Model use case details have not been submitted for this account. Fill out the Anthropic use case details form before using the model.",
    },
    Rule {
        name: "bedrock_model_missing",
        cause: Config,
        confidence: SURE,
        when: Says(&[
            r"provided model identifier is invalid",
            r"could not resolve the foundation model",
            r"model (?:id |identifier )?(?:is )?(?:marked by provider as legacy|has reached (?:the )?end of)",
            r"marked by provider as legacy",
            r"reached the end of its life",
            r"ResourceNotFoundException",
            r"(?:model|inference profile|model id|modelId) .{0,100}(?:is not|isn't|not) (?:supported|available|found) (?:in|for) (?:this|the|your)? ?.{0,40}(?:region|location|account)",
            r"(?:malformed|invalid) (?:ARN|model (?:arn|identifier))",
        ]),
        unless: &[],
        on: &[],
        why: "Bedrock does not have this model id in this region",
        next: "list the inference profiles of the region and correct the model id or the region in the gateway's configuration",
        example: "litellm.BadRequestError: BedrockException - {\"message\":\"The provided model identifier is invalid.\"}",
    },
    Rule {
        name: "vertex_model_missing",
        cause: Config,
        confidence: SURE,
        when: Says(&[
            r"publisher model .{0,300}(?:not found|does not exist|is not (?:available|servable|supported))",
            r"not servable in region",
            r"publishers/\w+/models/.{0,80}(?:not found|is not found)",
            r"is not supported in (?:the )?(?:region|location)",
            r"is not supported in the \w+ API",
            r"cannot be accessed through .{0,40}(?:API|Predict)",
        ]),
        unless: &[],
        on: &[],
        why: "Vertex AI does not have this model for the project in this location",
        next: "enable the model in Model Garden for the project, or correct model id and location in the gateway's configuration",
        example: "{\"error\":{\"code\":404,\"message\":\"Publisher Model `projects/p/locations/us-east5/publishers/anthropic/models/claude-x` not found.\",\"status\":\"NOT_FOUND\"}}",
    },
    Rule {
        name: "google_project_not_set_up",
        cause: Config,
        confidence: LIKELY,
        when: Says(&[
            r"SERVICE_DISABLED",
            r"API has not been used in project",
            r"CONSUMER_INVALID",
            r"project .{0,60}(?:is )?(?:not found|invalid|does not exist)",
            r"invalid (?:resource )?project",
        ]),
        unless: &[],
        on: &[],
        why: "the Google Cloud project is wrong, or has the Vertex AI API switched off",
        next: "the project's owner enables `aiplatform.googleapis.com`, or the gateway's configuration names the right project",
        example: "Vertex AI API has not been used in project 1234 before or it is disabled. Enable it then retry. reason: \"SERVICE_DISABLED\"",
    },
    Rule {
        name: "address_not_filled_in",
        cause: Config,
        confidence: SURE,
        when: Says(&[
            r"\b(?:undefined|null|none)\.(?:amazonaws|googleapis|anthropic|openai)",
            r"\.(?:undefined|null|none)\.",
            r"(?:undefined|null|none)-aiplatform",
            r"://(?:undefined|null|none)\b",
            r"ENOTFOUND (?:undefined|null|none|your-|<|\$)",
            r"NoRegion",
            r"must specify a region",
            r"region (?:is )?(?:missing|not set|required|not specified)",
            r"(?:missing|no) (?:aws|vertex)?[_ ]?(?:region|location|project)\b",
            r"invalid (?:aws region|vertex_location)",
            r"config profile .{0,60}could not be found",
            r"invalid [\w ]{0,25}(?:endpoint (?:format|url)|base[ _]?url)",
            r"invalid url|only absolute urls|failed to parse url|unsupported protocol|missing an? .{0,20}protocol",
            r"ERR_INVALID_URL|InvalidURL",
        ]),
        unless: &[],
        on: &[],
        why: "a region, project or base is not set, so the address is none",
        next: "set the region, project or base that the address lacks, in the environment or the gateway's configuration",
        example: "getaddrinfo ENOTFOUND bedrock-runtime.undefined.amazonaws.com",
    },
    Rule {
        name: "model_missing",
        cause: Config,
        confidence: LIKELY,
        when: Says(&[
            r"issue with the selected model",
            r"model_not_found",
            r#"not_found_error.{0,40}model:"#,
            r"\bmodels?[:/ ].{0,100}(?:does not exist|doesn't exist|not found|is not available|is not supported$|was not found|has been (?:deprecated|retired|removed|decommissioned|shut down))",
            r"(?:invalid|unknown|unsupported|unrecognized) model\b",
            r"supported (?:API )?model names are",
            r"not a valid model",
            r"requested model is not supported",
            r"no such model",
            r"model .{0,60}not exist",
        ]),
        unless: &[],
        on: &[],
        why: "the model that was asked for does not exist, or not for this account",
        next: "compare the model id in the gateway's configuration with the provider's list of models, and the alias with the manifest",
        example: "API Error: 404 {\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"model: claude-sonnet-9\"}}",
    },
    // Credentials.
    Rule {
        name: "aws_permission",
        cause: Auth,
        confidence: SURE,
        when: Says(&[
            r"AccessDenied",
            r"not (?:authorized|allowed) to (?:perform|invoke|use|call)|not authorized to access",
            r"aws-marketplace:",
            r"model access is denied",
            r"have access to the model",
            r"explicit deny",
            r"no identity-based policy",
            r"access (?:to the model )?is (?:denied|restricted|not allowed)",
            r"account is not authorized",
        ]),
        unless: &[],
        on: &[],
        why: "the AWS identity may not use the model",
        next: "the AWS account's administrator grants the action named in the message and requests access to the model, \
               then waits two minutes",
        example: "502 User: arn:aws:iam::123456789012:user/proxy is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-1::foundation-model/m",
    },
    Rule {
        name: "aws_credentials",
        cause: Auth,
        confidence: SURE,
        when: Says(&[
            r"UnrecognizedClient",
            r"security token included in the request",
            r"ExpiredToken",
            r"InvalidClientToken",
            r"InvalidSignature",
            r"SignatureDoesNotMatch",
            r"request signature we calculated",
            r"signature expired",
            r"(?:unable to locate|no aws|partial|could not load|could not resolve|unable to load) .{0,20}credentials",
            r"NoCredentials|CredentialsProviderError|CredentialRetrieval",
            r"IncompleteSignature",
            r"missing ?authentication ?token",
            r"aws sso login|SSO session|SSOToken|SSO token",
            r"bearer token (?:has expired|is invalid)",
            r"credentials (?:have|has) expired|expired credentials",
            r"token is expired",
        ]),
        unless: &[],
        on: &[],
        why: "the AWS credentials are missing, wrong or expired",
        next: "renew the AWS credentials of the gateway (or of claude in its Bedrock mode) and check its clock",
        example: "BedrockException Invalid Authentication - {\"message\":\"The security token included in the request is invalid.\"}",
    },
    Rule {
        name: "google_credentials",
        cause: Auth,
        confidence: SURE,
        when: Says(&[
            r"UNAUTHENTICATED",
            r"invalid authentication credentials",
            r"invalid_grant|invalid_rapt|invalid_scope|unauthorized_client|invalid_client",
            r"default credentials|application-default login|DefaultCredentials",
            r"ACCESS_TOKEN_\w+|insufficient authentication scopes",
            r"RefreshError",
            r"unable to load vertex credentials",
            r"API_KEY_INVALID|API_KEY_SERVICE_BLOCKED|API key (?:not valid|expired|not found)",
            r"could not resolve credentials",
            r"JWT signature|invalid JWT",
        ]),
        unless: &[],
        on: &[],
        why: "the Google credentials are missing, wrong or expired",
        next: "renew the service account's key (or run `gcloud auth application-default login`) and give it to the gateway",
        example: "litellm.AuthenticationError: Vertex_aiException - {\"error\":{\"code\":401,\"message\":\"Request had invalid authentication credentials.\",\"status\":\"UNAUTHENTICATED\"}}",
    },
    Rule {
        name: "google_permission",
        cause: Auth,
        confidence: LIKELY,
        when: Says(&[
            r"PERMISSION_DENIED",
            r"permission '.{0,80}' denied",
            r"permission denied on resource",
            r"caller does not have permission",
            r"constraints/\w+",
            r"organization'?s? policy|VPC_SERVICE_CONTROLS",
        ]),
        unless: &[],
        on: &[],
        why: "the Google identity may not use the model or the project",
        next: "the project's owner gives the service account the role `roles/aiplatform.user` in the project named in the configuration",
        example: "{\"error\":{\"code\":403,\"message\":\"Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/p' (or it may not exist).\",\"status\":\"PERMISSION_DENIED\"}}",
    },
    Rule {
        name: "azure_credentials",
        cause: Auth,
        confidence: SURE,
        when: Says(&[
            r"invalid subscription key",
            r"principal does not have access|does not have access to api/operation",
            r"PermissionDenied|AuthorizationFailed|AuthenticationTypeDisabled",
            r"public access is disabled|virtual network/firewall rules",
            r"AADSTS\d+",
            r"ClientAuthenticationError|DefaultAzureCredential",
        ]),
        unless: &[],
        on: &[],
        why: "the Azure key or identity is wrong, or may not use the resource",
        next: "copy the key and the endpoint of the same Azure resource into the gateway's configuration, or grant its identity the role",
        example: "litellm.AuthenticationError: AzureException AuthenticationError - Access denied due to invalid subscription key or wrong API endpoint.",
    },
    Rule {
        name: "gateway_key",
        cause: Auth,
        confidence: SURE,
        when: Says(&[
            r"invalid proxy server token",
            r"virtual key expected|expected to start with 'sk-",
            r"expired key|key (?:is |has )?expired",
            r"no api key passed in|no api key provided",
            r"malformed api key",
            r"token_not_found_in_db|no connected db|no_db_connection",
            r"invalid (?:user |virtual )?key\b",
            r"key is blocked|(?:team|user)=\S+ (?:is blocked|has been deactivated)",
            r"only (?:be used to generate|proxy admin|for MASTER KEY)",
            r"LiteLLM .{0,30}Authentication Error|^Authentication Error",
            r"无效的令牌|令牌(?:已过期|状态不可用)",
        ]),
        unless: &[],
        on: &[],
        why: "the gateway does not accept the key that claude sent",
        next: "give the run a key that the gateway knows (its master key or a valid virtual key)",
        example: "{\"error\":{\"message\":\"Authentication Error, LiteLLM Virtual Key expected. Received=abc****, expected to start with 'sk-'.\",\"type\":\"auth_error\",\"param\":\"None\",\"code\":\"401\"}}",
    },
    Rule {
        name: "bedrock_front_door",
        cause: Auth,
        confidence: PLAUSIBLE,
        when: Says(&[r#"BedrockException - (?:b')?\{"(?-i:M)essage":"#]),
        unless: &[],
        on: &[],
        why: "AWS's own front door spells `Message` with a capital, the model service does not: refused before the model",
        next: "read the gateway's log for the rest of the message; then renew the AWS credentials or grant the action it names",
        example: "litellm.APIConnectionError: BedrockException - {\"Message\":\"A",
    },
    Rule {
        name: "credential_refused",
        cause: Auth,
        confidence: LIKELY,
        when: Says(&[
            r"authentication_?error|permission_error|permission_?denied_?error",
            r"x-api-key",
            r"(?:invalid|incorrect|missing|wrong|no|expired|bad) .{0,20}(?:api[ _-]?key|bearer token|auth(?:entication|orization)?[ _](?:token|credentials?|header))",
            r"api[ _-]?key .{0,30}(?:invalid|incorrect|missing|expired|required|revoked|rejected|denied|disabled|deactivated|not (?:set|found|valid|provided|recognized))",
            r"/login\b|setup-token",
            r"OAuth (?:access )?token|OAuth authentication",
            r"login (?:has )?expired|not logged in|login reached its time limit",
            r"could not resolve authentication method|no key is set|api_key client option must be set",
            r"\bunauthori[sz]ed|\bforbidden|unauthenticated|not authenticated",
            r"apiKeyHelper|auth_unavailable|no auth available",
            r"(?:missing|not set|required|set the|unset).{0,60}_(?:API_KEY|AUTH_TOKEN|API_TOKEN)\b|_(?:API_KEY|AUTH_TOKEN)\b.{0,40}(?:missing|not set|required|is empty)",
            r"authentication (?:failed|failure|required|is required)|failed to authenticate",
            r"disabled API key authentication",
            r"request not allowed|access denied|permission denied for|not have permission|no auth credentials",
            r"token (?:has )?(?:expired|been revoked|been invalidated)|invalid (?:access )?token|token_expired",
        ]),
        unless: &[r"permission denied \(os error"],
        on: &[],
        why: "the provider or a gateway refused the credential",
        next: "find out whose credential it is (claude's for the gateway, or the gateway's for the provider) and renew that one",
        example: "API Error: 401 {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key\"}}",
    },
    // Too much for now.
    Rule {
        name: "subscription_limit",
        cause: RateLimit,
        confidence: LIKELY,
        when: Says(&[
            r"usage limit (?:has been )?reached|reached your (?:\S+ )?usage limit",
            r"hit your (?:\S+ )?limit",
            r"(?:5-hour|weekly|session|opus|sonnet|daily) limit (?:has been )?(?:reached|exceeded)",
            r"limit reached.{0,30}resets",
        ]),
        unless: &[],
        on: &[],
        why: "the subscription's limit for these hours is reached",
        next: "wait for the reset that the message names, or run with an API key instead of a subscription",
        example: "You've hit your session limit \u{b7} resets 3pm (UTC)",
    },
    Rule {
        name: "gateway_rate_limit",
        cause: RateLimit,
        confidence: SURE,
        when: Says(&[
            r"crossed TPM|max parallel request|parallel request limit|max_parallel_requests",
            r"user-defined ratelimit",
            r"rate limit exceeded for|limit type: (?:tokens|requests|max_parallel)",
            r"model capacity reached|priority-based rate limit",
            r"over available [TR]PM|[TR]PM limit|over limit for",
            r"(?:are|is|in) (?:a )?cool(?:ing )?down|model_cooldown",
        ]),
        unless: &[],
        on: &[],
        why: "the gateway's own limit on requests or tokens, or its rest after the provider's",
        next: NEXT_WAIT,
        example: "litellm.RateLimitError: Rate limit exceeded for api_key: 88dc. Limit type: requests. Current limit: 2, Remaining: 0.",
    },
    Rule {
        name: "gateway_has_no_deployment_left",
        cause: RateLimit,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"no deployments available",
            r"RouterRateLimitError",
            r"no healthy deployments?",
            r"no available (?:accounts?|claude accounts?|credentials|providers?)",
        ]),
        unless: &[],
        on: &[],
        why: "every deployment of the alias rests after earlier errors",
        next: "read the gateway's log for the error before this one: it is the real one; then wait out the rest and run again",
        example: "429: No deployments available for selected model, Try again in 5 seconds. Passed model=claude-haiku. pre-call-checks=False, cooldown_list=['a']",
    },
    Rule {
        name: "aws_throttling",
        cause: RateLimit,
        confidence: SURE,
        when: Says(&[
            r"Throttl(?:ing|ed)",
            r"too many (?:tokens|requests|connections|concurrent)",
            r"TooManyRequests",
            r"ServiceQuotaExceeded",
            r"SlowDown",
        ]),
        unless: &[],
        on: &[],
        why: "the provider throttles this account",
        next: NEXT_WAIT,
        example: "An error occurred (ThrottlingException) when calling the ConverseStream operation: Too many tokens, please wait before trying again.",
    },
    Rule {
        name: "google_quota",
        cause: RateLimit,
        confidence: SURE,
        when: Says(&[
            r"RESOURCE_EXHAUSTED|resource (?:has been )?exhausted|ResourceExhausted",
            r"quota exceeded|quotas? .{0,60}exceeded|exceeded .{0,40}quota|QuotaFailure",
            r"rateLimitExceeded",
        ]),
        unless: &[],
        on: &[],
        why: "a quota per minute or day is used up",
        next: NEXT_WAIT,
        example: "{\"error\":{\"code\":429,\"message\":\"Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model with base model: anthropic-claude-haiku.\",\"status\":\"RESOURCE_EXHAUSTED\"}}",
    },
    Rule {
        name: "rate_limit",
        cause: RateLimit,
        confidence: SURE,
        when: Says(&[
            r"rate_?limit_?error|rate[ _-]?limit(?:s|ed|ing)?\b|ratelimited",
            r"(?:tokens?|requests?|messages) per (?:minute|day|second|hour)",
            r"concurrent (?:connections|requests)",
            r"temporarily limiting requests",
            r"exceeded .{0,40}(?:call rate|token rate)",
            r"acceleration limit|slow down",
        ]),
        unless: &[],
        on: &[],
        why: "a limit on requests or tokens for a time",
        next: NEXT_WAIT,
        example: "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"This request would exceed your organization's limit of 30,000 input tokens per minute\"}}",
    },
    // The provider is down, in its own words.
    Rule {
        name: "overloaded",
        cause: Upstream,
        confidence: SURE,
        when: Says(&[
            r"overloaded",
            r"\b529\b",
            r"at capacity|experiencing high (?:load|demand|traffic)|high demand",
            r"currently (?:overloaded|unavailable|experiencing)",
            r"insufficient capacity|no capacity|capacity_exhausted",
        ]),
        unless: &[r"overloaded (?:method|function|operator)"],
        on: &[],
        why: "the provider says it is overloaded",
        next: NEXT_UPSTREAM,
        example: "litellm.InternalServerError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
    },
    Rule {
        name: "cloud_unavailable",
        cause: Upstream,
        confidence: LIKELY,
        when: Says(&[
            r"ServiceUnavailableException|ModelNotReady|ModelTimeout|ModelErrorException|ModelStreamError|InternalServerException|InternalFailure|InternalServiceError",
            r"bedrock is unable to process|unable to process your request",
            r"unexpected error during processing|system encountered an unexpected error",
            r#"status"?'?: ?["'](?:UNAVAILABLE|DEADLINE_EXCEEDED|INTERNAL)["']"#,
            r"503 UNAVAILABLE|DEADLINE_EXCEEDED|api_core\.exceptions\.RetryError|service is currently unavailable|internal error encountered",
            r"temporarily unavailable|try your request again",
        ]),
        unless: &[],
        on: &[],
        why: "the provider says that it, not the request, is at fault",
        next: NEXT_UPSTREAM,
        example: "BedrockException - An error occurred (ServiceUnavailableException) when calling the InvokeModel operation: Bedrock is unable to process your request.",
    },
    // The gateway's own faults.
    Rule {
        name: "gateway_adapter",
        cause: Gateway,
        confidence: LIKELY,
        when: Says(&[
            r"content block (?:is )?not (?:a|an|found)|content block is not",
            r"unexpected event order",
            r"mismatched content block",
            r"no content block (?:found|at index)",
            r"stream (?:ended|has ended|completed|closed) (?:without|before)|without (?:sending|receiving) any (?:chunks|events)",
            r"could not parse message into JSON",
            r"empty or malformed response|malformed (?:response|stream|SSE)",
            r"received (?:no|empty) .{0,20}(?:events|message_start)",
            r"error building chunks",
            r"unable to (?:get|parse) json|error parsing (?:chunk|response)",
            r"unexpected token '?<",
            r"JSON Parse error|is not valid JSON|unterminated string in JSON|unexpected end of JSON",
            r"(?:usage|input_tokens|output_tokens|cache_\w+_tokens)'?\)?.{0,40}(?:undefined|null)|(?:undefined|null).{0,60}(?:usage|input_tokens|output_tokens)",
        ]),
        unless: &[r"request body is not valid"],
        on: &[],
        why: "the reply that reached claude is not a stream of the Messages API",
        next: "replay the trial simulated and read the events that the gateway sent; report the first wrong one to the gateway's project",
        example: "API Error: Content block is not an input_json block",
    },
    Rule {
        name: "provider_connection_of_gateway",
        cause: Upstream,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"(?:litellm|\wException|\wError)\b.{0,160}(?:server disconnected|connection error|connecterror|readtimeout|read timed out|connecttimeout|remoteprotocolerror|connection (?:reset|aborted|timed out)|peer closed connection|incomplete chunked|timed? ?out|read timeout|EOF occurred|cannot connect to host)",
            r"litellm\.Timeout|APITimeoutError",
        ]),
        unless: &[r"object has no attribute|NoneType", r"claude CLI timed out"],
        on: &[Route::Gateway],
        why: "the gateway lost the provider, or waited for it in vain",
        next: "look at the provider's status page and at the network between gateway and provider, and run the trial again",
        example: "litellm.Timeout: AnthropicException - litellm.Timeout: Connection timed out. Timeout passed=600.0, time taken=600.1 seconds",
    },
    Rule {
        name: "gateway_not_installed_whole",
        cause: Config,
        confidence: PLAUSIBLE,
        when: Says(&[r"missing (?:import )?(?:boto3|google)|pip install|import failed"]),
        unless: &[],
        on: &[],
        why: "the gateway was installed without a package that this route needs",
        next: "install the package named in the message beside the gateway and start it again",
        example: "litellm.InternalServerError: Missing boto3 to call bedrock. Run 'pip install boto3'.",
    },
    Rule {
        name: "gateway_setting",
        cause: Config,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"violated .{0,20}guardrail|blocked by .{0,40}guardrail|guardrail_intervened|guardrail raised",
            r"LiteLLM Enterprise|enterprise (?:only )?feature|premium user",
            r"prisma\.errors|ClientNotConnected|database .{0,40}(?:unreachable|not reachable|not connected)|can't reach database",
        ]),
        unless: &[],
        on: &[],
        why: "a guardrail, a license or a database that the gateway's configuration asks for",
        next: "the gateway's administrator removes the setting for this alias or supplies what it needs",
        example: "{\"error\":{\"message\":\"Violated guardrail policy\",\"type\":\"None\",\"param\":\"None\",\"code\":\"400\"}}",
    },
    Rule {
        name: "gateway_crashed",
        cause: Gateway,
        confidence: SURE,
        when: Says(&[
            r"'\w+' object|object has no attribute|has no attribute '",
            r"no module named|ModuleNotFoundError|ImportError|AttributeError|KeyError|IndexError|UnboundLocalError|NameError|RecursionError|AssertionError.*litellm",
            r"TypeError: .*(?:argument|NoneType|unsupported operand|unhashable|expected str|must be)",
            r"ValidationError|validation errors? for|pydantic",
            r"JSONDecodeError|Expecting (?:value|property name|.{0,5} delimiter)|not JSON serializable",
            r"not enough values to unpack|list index out of range|missing \d+ required (?:positional|keyword)|unexpected keyword argument",
            r"referenced before assignment|cannot access local variable",
            r"Exception in ASGI|RuntimeError: |dictionary changed size",
            r"without having called .?read\(",
            r"panic: runtime error|nil pointer dereference|java\.lang\.\w+Exception",
        ]),
        unless: &[r"TypeError: (?:fetch failed|terminated)"],
        on: &[],
        why: "an exception inside the gateway's program",
        next: "find the traceback in the gateway's log and report it to the gateway's project with its version; try the version before",
        example: "API Error: 500 litellm.APIConnectionError: 'NoneType' object has no attribute 'get'",
    },
    Rule {
        name: "gateway_parameters",
        cause: Gateway,
        confidence: LIKELY,
        when: Says(&[r"UnsupportedParams|does not support parameters|drop_params"]),
        unless: &[],
        on: &[],
        why: "the gateway refuses a parameter before it asks the provider",
        next: "try `drop_params: true` or `allowed_openai_params` in the gateway's configuration; if the provider takes the \
               parameter, report it to the gateway's project",
        example: "litellm.UnsupportedParamsError: bedrock does not support parameters: ['tool_choice'], for model=m.",
    },
    // Claude Code's own faults, in words of its own.
    Rule {
        name: "cli_history",
        cause: Cli,
        confidence: LIKELY,
        when: Says(&[r"due to tool use concurrency issues|in conversation history"]),
        unless: &[],
        on: &[],
        why: "Claude Code says that its own history of tool calls does not fit together",
        next: NEXT_REFUSED_CLI,
        example: "API Error: 400 due to tool use concurrency issues. Run /rewind to recover the conversation.",
    },
    Rule {
        name: "too_long",
        cause: Cli,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"prompt is too long|input is too long|too long for requested model",
            r"exceed(?:s|ed)? (?:the )?(?:model's )?(?:maximum )?context|maximum context length|ContextWindowExceeded|context window",
            r"request_too_large|request (?:entity )?too large|payload too large|exceeds the maximum (?:allowed )?(?:size|number of bytes)",
            r"exceeded the \d+ output token maximum",
            r"image (?:exceeds|dimensions)|image was too large",
        ]),
        unless: &[],
        on: &[],
        why: "Claude Code sent more than the model takes",
        next: "shorten the cell's prompt or its files; if it is short, report the size of the request to Claude Code's issue tracker",
        example: "API Error: 400 {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 204810 tokens > 200000 maximum\"}}",
    },
    // The cell, the harness, the machine.
    Rule {
        name: "content_refused",
        cause: Harness,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"content[_ ](?:management policy|filter(?:ing)?(?: policy)?|policy)|ContentPolicyViolation|ResponsibleAIPolicy",
            r"violate our usage policy|usage policies",
        ]),
        unless: &[],
        on: &[],
        why: "the provider's filter refused what the cell asks or what the model said",
        next: "word the cell's prompt differently; the cell's author does that",
        example: "litellm.ContentPolicyViolationError: AzureException - The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    },
    Rule {
        name: "harness_call",
        cause: Harness,
        confidence: LIKELY,
        when: Says(&[
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
            r"GLIBC|illegal instruction|SIGILL|lacks AVX|cannot find module|checksum mismatch|integrity check|requires node",
            r"maximum budget \(|max_budget_usd|invalid (?:MCP config|settings|JSON provided)",
            r"permission denied \(os error|\bEACCES\b|\bEPERM\b|exec format error|cannot execute binary",
            r"address already in use|\bEADDRINUSE\b",
            r"failed to (?:spawn|start|execute) |could not (?:spawn|start) |\bspawn(?:Sync)? ",
            r"\bEAI_AGAIN\b|temporary failure in name resolution|network is unreachable|\bENETUNREACH\b|\bEHOSTUNREACH\b|no route to host",
        ]),
        unless: &[],
        on: &[],
        why: "the way the run started claude, or the machine it ran on",
        next: "whoever runs the matrix corrects the command line or the machine (binary, disk, memory, network) and runs again",
        example: "error: unknown option '--image'",
    },
    Rule {
        name: "cli_crashed",
        cause: Cli,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"cannot read propert|undefined is not an? (?:object|function)|is not a function|is not iterable|null is not an object",
            r"ReferenceError|RangeError|Maximum call stack|JavaScript heap out of memory",
            r"Bun has crashed|bun will .{0,20}crash|Segmentation fault|SIGSEGV|SIGABRT",
            r"Claude Code process (?:exited|aborted)|error_during_execution",
        ]),
        unless: &[],
        on: &[],
        why: "an exception inside Claude Code",
        next: NEXT_REFUSED_CLI,
        example: "TypeError: undefined is not an object (evaluating 'A.content.map')",
    },
    // Addresses where nobody answers.
    Rule {
        name: "nobody_listens",
        cause: Config,
        confidence: LIKELY,
        when: Says(&[
            r"ECONNREFUSED|ConnectionRefused|connection refused|actively refused|errno 111|FailedToOpenSocket|connect call failed|all connection attempts failed",
            r"could not connect to the endpoint url|EndpointConnectionError",
            r"(?:error sending request|fetch failed|unable to connect|cannot connect|couldn't connect|connect timeout|connection (?:error|failed)|request failed).{0,120}(?:localhost|127\.0\.0\.1|\b0\.0\.0\.0|\[::1\]|host\.docker\.internal)",
        ]),
        unless: &[],
        on: &[],
        why: "nobody listens at the base that was called",
        next: "check that the gateway runs and that the base in the message is its address",
        example: "API Error: Unable to connect to API (ConnectionRefused)",
    },
    Rule {
        name: "provider_name_not_resolved",
        cause: Harness,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"(?:ENOTFOUND|getaddrinfo|not known|resolve|servname|no such host|nameresolution).{0,120}(?:anthropic\.com|amazonaws\.com|googleapis\.com|openai\.com)",
            r"(?:anthropic\.com|amazonaws\.com|googleapis\.com|openai\.com).{0,200}(?:ENOTFOUND|getaddrinfo|not known|resolve|servname|no such host|nameresolution)",
        ]),
        unless: &[],
        on: &[],
        why: "a provider's own host name does not resolve on this machine",
        next: "whoever runs the matrix checks name resolution and the way out to the internet of the machine",
        example: "request to https://api.anthropic.com/v1/messages failed, reason: getaddrinfo ENOTFOUND api.anthropic.com",
    },
    Rule {
        name: "name_not_resolved",
        cause: Config,
        confidence: LIKELY,
        when: Says(&[
            r"ENOTFOUND|getaddrinfo|name or service not known|failed to resolve|servname|no such host|NameResolution|DNSResolutionFailed",
        ]),
        unless: &[],
        on: &[],
        why: "the base's host name does not exist",
        next: "correct the base in the environment or the gateway's configuration",
        example: "API Error: getaddrinfo ENOTFOUND my-gateway.internal",
    },
    Rule {
        name: "certificate",
        cause: Config,
        confidence: LIKELY,
        when: Says(&[
            r"self[- ]?signed certificate|SELF_SIGNED|CERTIFICATE_VERIFY_FAILED|certificate (?:has expired|verify failed|hostname mismatch|verification failed)",
            r"unable to (?:get|verify) .{0,20}(?:issuer|certificate)|UNABLE_TO_(?:GET|VERIFY)|SSL certificate|\bCERT_[A-Z]+|ERR_TLS_CERT|unknown certificate",
            r"SSL: |SSLError|\bEPROTO\b|wrong version number|TLS handshake",
        ]),
        unless: &[],
        on: &[],
        why: "the certificate at that address is not one that the client trusts",
        next: "give the client the certificate authority in use (`NODE_EXTRA_CA_CERTS`, or the gateway's `ssl_verify`), or correct `https` in the base",
        example: "API Error: Unable to connect to API: Self-signed certificate detected. Check your proxy or corporate SSL certificates",
    },
    Rule {
        name: "path_not_served",
        cause: Config,
        confidence: LIKELY,
        when: Says(&[
            r"404 page not found|method not allowed|cannot (?:POST|GET) /|no route matched",
            r#""detail": ?"not found""#,
            r"resource not found|requested API|API not supported|(?:invalid|unknown) (?:url|path|endpoint|route)",
            r"<title>404|404 not found",
        ]),
        unless: &[],
        on: &[],
        why: "the base does not serve that path",
        next: "correct the base (too much or too little of `/v1`, `/anthropic`, `/openai`) in the environment or the gateway's configuration",
        example: "API Error: 404 {\"detail\":\"Not Found\"}",
    },
    Rule {
        name: "stream_stalled",
        cause: Gateway,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"socket connection was closed|connection (?:closed|lost) mid-response|before (?:a|the) response (?:was produced|finished)",
            r"stream idle|response stalled|no response from api|part of the response never arrived",
        ]),
        unless: &[],
        on: &[],
        why: "claude says that its stream, whose other end is the gateway, stopped or was cut",
        next: "read the gateway's log at that moment; run the trial simulated, where the reply is whole on the provider's side",
        example: "API Error: Stream idle timeout - partial response received",
    },
    Rule {
        name: "connection_broken",
        cause: Gateway,
        confidence: PLAUSIBLE,
        when: Says(BROKEN_CONNECTION),
        unless: &[],
        on: &[Route::Gateway, Route::Direct],
        why: "the connection that claude had, which is the gateway's end, broke in the reply",
        next: "read the gateway's log at that moment; run the trial simulated, where the reply is whole on the provider's side",
        example: "API Error: Unable to connect to API (ECONNRESET)",
    },
    Rule {
        name: "stream_broken",
        cause: Upstream,
        confidence: GUESS,
        when: Says(BROKEN_CONNECTION),
        unless: &[],
        on: &[Route::Unknown],
        why: "a connection broke, and the text shows neither claude nor a gateway at its ends",
        next: "look at both ends' logs at that moment; run the trial again, and simulated if it comes back",
        example: "The pending stream has been canceled (caused by: read ECONNRESET)",
    },
    Rule {
        name: "claude_ended_with_the_models_words",
        cause: Assertion,
        confidence: LIKELY,
        when: Says(&[r"CLI failed: exit=\d+; text=\S"]),
        unless: &[r#"API Error|api_status|litellm|"error"|\bError: "#],
        on: &[],
        why: "claude failed with words of the model, not with an error",
        next: "read what the model answered against what the cell asked for; run the trial again to tell chance from fault",
        example: "[claude-opus-4-7] claude CLI failed: exit=1; text=Based on the schema, I need to answer with an integer.",
    },
    // A kind of error or a status that means one thing, whatever else is said.
    Rule {
        name: "not_found",
        cause: Config,
        confidence: PLAUSIBLE,
        when: Says(&[r"not_found_error|NotFoundError|\bNOT_FOUND\b"]),
        unless: &[],
        on: &[],
        why: "an error of the kind `not found`",
        next: "compare base, path and model id in the gateway's configuration with what the provider offers",
        example: "litellm.NotFoundError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"Not Found\"}}",
    },
    Rule {
        name: "status_auth",
        cause: Auth,
        confidence: PLAUSIBLE,
        when: Status(&[(401, 401), (403, 403), (407, 407)]),
        unless: &[],
        on: &[],
        why: "the status says that the credential was refused, the text says no more",
        next: "find out whose credential it is (claude's for the gateway, or the gateway's for the provider) and renew that one",
        example: "[m] claude CLI failed: exit=1; api_status=403; text=",
    },
    Rule {
        name: "status_account",
        cause: Account,
        confidence: PLAUSIBLE,
        when: Status(&[(402, 402)]),
        unless: &[],
        on: &[],
        why: "the status asks for payment, the text says no more",
        next: "the account's owner adds credit",
        example: "API Error: 402 {}",
    },
    Rule {
        name: "status_config",
        cause: Config,
        confidence: PLAUSIBLE,
        when: Status(&[(404, 405), (410, 410)]),
        unless: &[],
        on: &[],
        why: "the status says that there is nothing at that address, the text says no more",
        next: "compare base, path and model id in the gateway's configuration with what the provider offers",
        example: "API Error: 404 {}",
    },
    Rule {
        name: "status_rate_limit",
        cause: RateLimit,
        confidence: PLAUSIBLE,
        when: Status(&[(429, 429)]),
        unless: &[],
        on: &[],
        why: "the status says `too many requests`, the text says no more",
        next: NEXT_WAIT,
        example: "API Error: 429 {}",
    },
    // The request refused, and by nothing better known: whose request was it.
    Rule {
        name: "gateway_translation_refused",
        cause: Gateway,
        confidence: LIKELY,
        when: Says(&[
            r"function_?declarations|toolConfig|toolSpec|inputSchema|additionalModelRequestFields|generationConfig|systemInstruction|contents\[\d+\]",
            r"chat[-_ ]completions?|max_completion_tokens|max_tokens_to_sample|reasoning_content|reasoning_effort|tool_calls|tool_call_id|Responses API",
        ]),
        unless: &[],
        on: &[],
        why: "the refused part has a name that only another protocol knows: the gateway translated the request",
        next: NEXT_REFUSED_GATEWAY,
        example: "API Error: 400 {\"error\":{\"code\":400,\"message\":\"Invalid value at 'tools[0].function_declarations[3].parameters'\",\"status\":\"INVALID_ARGUMENT\"}}",
    },
    Rule {
        name: "gateway_request_refused",
        cause: Gateway,
        confidence: LIKELY,
        when: Says(REFUSED_PARTS),
        unless: &[],
        on: THROUGH_GATEWAY,
        why: "the provider refused a part of the request that passed through the gateway",
        next: NEXT_REFUSED_GATEWAY,
        example: "litellm.BadRequestError: BedrockException - {\"message\":\"context_management: Extra inputs are not permitted\"}",
    },
    Rule {
        name: "cli_request_refused",
        cause: Cli,
        confidence: LIKELY,
        when: Says(REFUSED_PARTS),
        unless: &[],
        on: DIRECT,
        why: "the provider refused a part of a request that shows no gateway: Claude Code's own",
        next: NEXT_REFUSED_CLI,
        example: "API Error: 400 tools.3.custom.input_examples: Extra inputs are not permitted",
    },
    // Words that lean one way, where no shape was known.
    Rule {
        name: "words_of_auth",
        cause: Auth,
        confidence: GUESS,
        when: Says(&[r"authenticat|authori[sz]|\bcredentials?\b|\bpermissions?\b|\bsign in\b|\blog in\b"]),
        unless: &[],
        on: &[],
        why: "words about credentials or permissions",
        next: "find out whose credential it is (claude's for the gateway, or the gateway's for the provider) and renew that one",
        example: "the role lacks permissions on that project",
    },
    Rule {
        name: "words_of_rate_limit",
        cause: RateLimit,
        confidence: GUESS,
        when: Says(&[
            r"retry after|try again in \d|limit (?:has been |was )?(?:reached|exceeded|hit)|exceed(?:s|ed|ing)? .{0,30}(?:(?:rate|request|usage|call) limit|quota)|too many",
        ]),
        unless: &[r"max_tokens|output limit|context|token limit of"],
        on: &[],
        why: "words about a limit and a time to wait",
        next: NEXT_WAIT,
        example: "Please retry after 30 seconds",
    },
    Rule {
        name: "words_of_config",
        cause: Config,
        confidence: GUESS,
        when: Says(&[
            r"not configured|misconfigur|configuration (?:error|file|is)|environment variable|config\.ya?ml|\.env\b",
            r"(?:model|deployment|provider|endpoint|resource|entity|region|route|alias)\b.{0,60}(?:not found|does not exist|not available|not enabled|unknown|unrecogni[sz]ed|not registered)",
            r"(?:unknown|no such|nonexistent|unrecogni[sz]ed) (?:model|deployment|provider|endpoint|resource|region|route|alias)",
        ]),
        unless: &[],
        on: &[],
        why: "words about something that is not set up",
        next: "compare base, path, alias and model id in the gateway's configuration with what exists",
        example: "the provider for this request is not configured",
    },
    // Types and classes of errors, where no words said more.
    Rule {
        name: "gateway_refused_request",
        cause: Gateway,
        confidence: PLAUSIBLE,
        when: Says(REFUSAL_TYPES),
        unless: &[],
        on: THROUGH_GATEWAY,
        why: "a request that passed through the gateway was refused as invalid",
        next: NEXT_REFUSED_GATEWAY,
        example: "litellm.BadRequestError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"something new\"}}",
    },
    Rule {
        name: "cli_refused_request",
        cause: Cli,
        confidence: PLAUSIBLE,
        when: Says(REFUSAL_TYPES),
        unless: &[],
        on: DIRECT,
        why: "a request that shows no gateway was refused as invalid: Claude Code's own",
        next: NEXT_REFUSED_CLI,
        example: "API Error: 400 {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"something new\"},\"request_id\":\"req_1\"}",
    },
    Rule {
        name: "gateway_failed",
        cause: Gateway,
        confidence: PLAUSIBLE,
        when: Says(&[r"internal_server_error"]),
        unless: &[r"\wException - \W*\{"],
        on: THROUGH_GATEWAY,
        why: "LiteLLM's own type for an exception that it did not expect",
        next: "find the exception behind it in the gateway's log",
        example: "{\"error\":{\"message\":\"Internal server error\",\"type\":\"internal_server_error\"}}",
    },
    Rule {
        name: "provider_failed",
        cause: Upstream,
        confidence: LIKELY,
        when: Says(&[
            r"\bapi_error\b|timeout_error|internal server error|InternalServerError|ServiceUnavailable|BadGateway",
            r"bad gateway|gateway time-?out|service (?:is )?(?:temporarily )?unavailable|upstream (?:connect|request|error)|cloudflare",
            r"server_error|server had an error|something went wrong",
        ]),
        unless: &[],
        on: &[],
        why: "the provider failed and says no more",
        next: NEXT_UPSTREAM,
        example: "API Error: 500 {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"Internal server error\"}}",
    },
    Rule {
        name: "gateway_traceback",
        cause: Gateway,
        confidence: PLAUSIBLE,
        when: Says(&[r"Traceback \(most recent call last\)"]),
        unless: &[],
        on: &[],
        why: "a traceback of a Python program, which the gateway is",
        next: "find the last line of the traceback in the gateway's log and report it to the gateway's project with its version",
        example: "Traceback (most recent call last): File \"proxy_server.py\", line 1, in main",
    },
    Rule {
        name: "gateway_wrapped_nothing_known",
        cause: Gateway,
        confidence: GUESS,
        when: Says(&[r"APIConnectionError|litellm\.APIError|MidStreamFallback"]),
        unless: &[],
        on: &[Route::Gateway],
        why: "LiteLLM's class for whatever it did not expect, and no provider's words in it",
        next: "find the exception behind it in the gateway's log",
        example: "API Error: 500 litellm.APIConnectionError: something odd",
    },
    Rule {
        name: "network",
        cause: Upstream,
        confidence: GUESS,
        when: Says(&[
            r"request timed out|error sending request|stream disconnected|fetch failed|connection error|ETIMEDOUT|connect timeout|connection timed out|(?:read|connect) timeout|RemoteDisconnected|connection aborted|server disconnected|unable to connect|cannot connect|couldn't connect|API request timeout",
        ]),
        unless: &[],
        on: &[],
        why: "no connection, or no answer on it, and no reason given",
        next: "check that the base answers from this machine (`curl`), then the provider's status page, and run again",
        example: "API Error: Request timed out.",
    },
    // The status alone.
    Rule {
        name: "status_gateway",
        cause: Gateway,
        confidence: GUESS,
        when: Status(&[(400, 400), (409, 409), (422, 422), (500, 501)]),
        unless: &[r"\wException - \W*\{"],
        on: &[Route::Gateway],
        why: "the gateway answered with this status and no provider's words are in it",
        next: "find the request in the gateway's log; run the trial simulated to see what the provider answered",
        example: "[m] claude CLI failed: exit=1; api_status=500; text=",
    },
    Rule {
        name: "status_refused",
        cause: Gateway,
        confidence: GUESS,
        when: Status(&[(400, 400), (409, 409), (422, 422)]),
        unless: &[],
        on: THROUGH_GATEWAY,
        why: "the status says that the request was refused, the text says no more",
        next: NEXT_REFUSED_GATEWAY,
        example: "400 {}",
    },
    Rule {
        name: "status_cli",
        cause: Cli,
        confidence: GUESS,
        when: Status(&[(400, 400), (409, 409), (413, 413), (422, 422)]),
        unless: &[],
        on: &[],
        why: "the status says that the request was refused, and nothing shows a gateway",
        next: NEXT_REFUSED_CLI,
        example: "API Error: 400 {}",
    },
    Rule {
        name: "status_upstream",
        cause: Upstream,
        confidence: PLAUSIBLE,
        when: Status(&[(408, 408), (500, 599)]),
        unless: &[],
        on: &[],
        why: "the status says that a server failed, the text says no more",
        next: NEXT_UPSTREAM,
        example: "API Error: 503 {}",
    },
    // No error at all.
    Rule {
        name: "harness_timeout",
        cause: Harness,
        confidence: LIKELY,
        when: Says(&[r"timed? ?out|time limit|deadline (?:exceeded|reached)|no output for \d+|killed after"]),
        unless: &[],
        on: &[],
        why: "the harness stopped waiting, and the text names no error before that",
        next: "read the retries in the transcript and the gateway's log: the reason is there; run again with claude's retries off",
        example: "[claude-haiku-4-5-vertex] claude CLI timed out after 120.0s",
    },
    Rule {
        name: "promise_not_kept",
        cause: Assertion,
        confidence: LIKELY,
        when: Says(&[
            r"empty (?:assistant )?(?:text|response|reply|answer|message|output)|no (?:assistant )?(?:text|reply|answer|output)",
            r"expected|\bassert|did not|does not|didn't|doesn't|was not|were not|wasn't|mismatch|not found in|never ",
            r"\bno \w+(?: \w+){0,3} (?:was|were|in|from|block|blocks|call|calls|events?|seen|found|returned)",
            r"missing|without|instead of|\b0 (?:tool|thinking|cache)|lacks",
        ]),
        unless: &[],
        on: &[],
        why: "the feature's promise was not kept, and the text proves no fault",
        next: "read the expectation and the transcript side by side, and the sibling trials of the column; run again to tell chance from fault",
        example: "[claude-haiku-4-5-bedrock-invoke] cache_read_input_tokens was not above 0 in the second turn",
    },
    Rule {
        name: "nothing_known",
        cause: Assertion,
        confidence: NOTHING,
        when: Always,
        unless: &[],
        on: &[],
        why: "no rule knows this message: no fault is proven",
        next: "read the trial's evidence; if the message has a shape of its own, add a rule for it with this example",
        example: "",
    },
];

/// How a connection that broke in the middle shows.
const BROKEN_CONNECTION: &[&str] = &[
    r"socket hang up|ECONNRESET|ConnectionReset|connection reset|\bterminated\b|EPIPE|broken pipe|UND_ERR_SOCKET|other side closed",
    r"connection (?:was )?(?:closed|lost|interrupted|dropped)|ConnectionClosed|premature close",
    r"incomplete (?:chunked|read)|peer closed connection|TransferEncoding|payload is not completed|\bh11\b|content-length",
    r"HTTP2|protocol error|stream (?:was )?(?:reset|canceled|cancelled|closed)",
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
];

/// The kinds of error that say `the request is invalid`, without saying how.
const REFUSAL_TYPES: &[&str] = &[
    r"invalid_request|BadRequestError|ValidationException|INVALID_ARGUMENT|FAILED_PRECONDITION|UnprocessableEntity|bad request|invalid request",
];

/// The first rule that fits `message`, and the words of the message that made it fit, if words did.
pub(super) fn first_that_fits(message: &Message) -> (&'static Rule, Option<String>) {
    RULES
        .iter()
        .zip(PATTERNS.iter())
        .find_map(|(rule, patterns)| Some((rule, patterns.fit(rule, message)?)))
        .expect("the last rule always fits")
}

/// A rule's regular expressions, compiled once.
struct Patterns {
    says: Option<Regex>,
    unless: Option<Regex>,
}

static PATTERNS: LazyLock<Vec<Patterns>> = LazyLock::new(|| RULES.iter().map(Patterns::of).collect());

impl Patterns {
    fn of(rule: &Rule) -> Self {
        let says = match rule.when {
            Says(patterns) => any_of(patterns),
            Status(_) | Always => None,
        };
        Self {
            says,
            unless: any_of(rule.unless),
        }
    }

    /// `None` if `rule` does not fit; else the words that made it fit, if words did.
    fn fit(&self, rule: &Rule, message: &Message) -> Option<Option<String>> {
        let on_route = rule.on.is_empty() || rule.on.contains(&message.route);
        if !on_route
            || self
                .unless
                .as_ref()
                .is_some_and(|unless| unless.is_match(&message.text))
        {
            return None;
        }
        match rule.when {
            Says(_) => Some(Some(excerpt(self.says.as_ref()?.find(&message.text)?.as_str()))),
            Status(ranges) => {
                let status = message.status?;
                let fits = ranges.iter().any(|&(low, high)| (low..=high).contains(&status));
                fits.then(|| Some(status.to_string()))
            }
            Always => Some(None),
        }
    }
}

/// What a space in a pattern stands for: words of an error are parted by spaces in one program, by `_` or `-` in another.
const SEPARATOR: &str = "[ _-]";

fn any_of(patterns: &[&str]) -> Option<Regex> {
    if patterns.is_empty() {
        return None;
    }
    let pattern = patterns
        .iter()
        .map(|pattern| format!("(?:{})", pattern.replace(' ', SEPARATOR)))
        .collect::<Vec<_>>()
        .join("|");
    Some(
        RegexBuilder::new(&pattern)
            .case_insensitive(true)
            .build()
            .expect("the tests compile every rule"),
    )
}

/// The longest that a quotation in `why` gets, in characters.
const LONGEST_QUOTATION: usize = 80;

/// The beginning of `words`, short enough to quote.
fn excerpt(words: &str) -> String {
    let words = words.trim();
    match words.char_indices().nth(LONGEST_QUOTATION) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_decides_its_own_example() {
        let astray: Vec<_> = RULES
            .iter()
            .map(|rule| (rule.name, first_that_fits(&Message::new(rule.example)).0.name))
            .filter(|(expected, found)| expected != found)
            .collect();
        assert!(
            astray.is_empty(),
            "(rule, what decided its example instead): {astray:#?}"
        );
    }

    #[test]
    fn names_are_unique_and_confidence_is_a_share() {
        for (index, rule) in RULES.iter().enumerate() {
            assert!(
                RULES[..index].iter().all(|other| other.name != rule.name),
                "{} twice",
                rule.name
            );
            assert!((0.0..=1.0).contains(&rule.confidence), "{}", rule.name);
        }
    }
}
