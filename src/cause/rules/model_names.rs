//! Aliases, models, deployments, projects and regions that do not exist; first the names that the gateway made up.

use super::{CauseRule, LIKELY, SURE, rule};
use crate::outcome::Cause::{Auth, Config, Gateway};

pub(super) const RULES: &[CauseRule] = &[
    rule("gateway_used_route_as_model", Gateway, LIKELY)
        .says(&[r"invalid model name passed in model=(?:messages|count_tokens|none|anthropic|v1)\b"])
        .why("the gateway used a part of the path, or nothing, as the model's name")
        .next("check that the request named a model, and report the route to the gateway's project")
        .example("400: {'error': 'allm_passthrough_route: Invalid model name passed in model=messages. Call `/v1/models` to view available models for your key.'}"),
    rule("gateway_route_missing", Gateway, LIKELY)
        .says(&[
            r"not supported for token counting",
            r"provider config not found",
            r"(?:model|this model) isn't mapped yet",
            r"count[_-]tokens .{0,60}(?:not (?:supported|implemented)|failed)",
            r"NotImplementedError",
        ])
        .unless(&[r"^claude "])
        .why("the gateway has no working route for this call on this provider")
        .next("report it to the gateway's project with its version; try a newer version of the gateway")
        .example("{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"claude-opus-4-5@20251101 is not supported for token counting\"}}"),
    rule("key_may_not_use_model", Config, SURE)
        .says(&[
            r"may only (?:use|access)|tried to access",
            r"_model_access_denied",
            r"not allowed to access (?:this )?model",
            r"can only access models ?=",
            r"not allowed to access model due to tags",
            r"invalid model for (?:team|key|user)",
            r"model .{0,80} is not allowed for (?:this )?(?:key|team|user|token)",
            r"(?:token|key|group|令牌|分组).{0,40}(?:no access to|无权访问)(?: the)? ?(?:model|模型)",
        ])
        .why("the gateway accepts the key, but not for this model name")
        .next("compare the requested alias with the models that the key may use; add the alias to the key or use another in the manifest")
        .example("{\"error\":{\"message\":\"team not allowed to access model. This team can only access models=['a']. Tried to access b\",\"type\":\"team_model_access_denied\",\"param\":\"model\",\"code\":\"401\"}}"),
    rule("alias_unknown_to_gateway", Config, SURE)
        .says(&[
            r"there is no 'model_name'|no \W?model(?:_name)?\W? (?:with|for) this",
            r"GetLLMProvider Exception",
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
        ])
        .why("the gateway's configuration does not know this alias or deployment")
        .next("compare the alias in the manifest with the model list of the gateway's configuration and add what is missing")
        .example("API Error: 400 {\"error\":{\"message\":\"{'error': '/v1/messages: Invalid model name passed in model=claude-haiku-x. Call `/v1/models` to view available models for your key.'}\",\"type\":\"None\",\"param\":\"None\",\"code\":\"400\"}}"),
    rule("azure_deployment_missing", Config, SURE)
        .says(&[
            r"(?:has|have|with) no deployments? (?:in|for|of)",
            r"(?:unsupported|invalid|unknown) api[ -]version",
            r"ModelProviderData|for \w+ model deployments",
            r"DeploymentNotFound",
            r"API deployment for this resource does not exist",
            r"deployment .{0,80}(?:does not exist|not found|could not be found)",
            r"OperationNotSupported",
            r"api[ -]version .{0,60}(?:not supported|not enabled|invalid|unsupported)",
            r"missing .{0,30}api-version",
            r"InvalidResourcePath",
            r"unknown_model",
        ])
        .why("the Azure deployment, operation or API version does not exist")
        .next("list the deployments of the Azure resource and correct the name, base or API version in the gateway's configuration; a new deployment takes some minutes")
        .example("litellm.NotFoundError: AzureException NotFoundError - {'error': {'code': 'DeploymentNotFound', 'message': 'The API deployment for this resource does not exist.'}}"),
    rule("bedrock_needs_inference_profile", Config, SURE)
        .says(&[
            r"with on-demand throughput",
            r"on-demand throughput is(?:n't| not) supported",
        ])
        .why("Bedrock serves this model id only through an inference profile")
        .next("put the inference profile's id (`us.`, `eu.` or `global.` before the model id) into the gateway's configuration")
        .example("ValidationException: Invocation of model ID anthropic.claude-opus-4-20250514-v1:0 with on-demand throughput isn\u{2019}t supported."),
    rule("model_use_case_missing", Auth, LIKELY)
        .says(&[
            r"available in your (?:country|region)|supported[ -]countries",
            r"use case details",
            r"unsupported (?:countries|country|region, or territor)",
            r"unsupported_country|not available in your (?:country|region)",
            r"user location is not supported",
            r"operation not allowed",
            r"(?:complete|accept|agree to) .{0,40}(?:terms|agreement|EULA)",
            r"data retention mode .{0,40}not available",
        ])
        .why("the provider has not given this account access to the model")
        .next("the cloud account's owner fills in the provider's form or asks its support for access, then waits some minutes")
        .example("API Error: 404 Model use case details have not been submitted for this account. Fill out the Anthropic use case details form before using the model."),
    rule("bedrock_model_missing", Config, SURE)
        .says(&[
            r"(?:claude|anthropic|model)\S* (?:is|was) not (?:available|supported|offered|served|enabled|found)|not (?:available|supported|offered|served) in (?:this |the |your )?(?:\S+ )?(?:region|location)\b",
            r"provided model identifier is invalid",
            r"could not resolve the foundation model",
            r"model (?:id |identifier )?(?:is )?(?:marked by provider as legacy|has reached (?:the )?end of)",
            r"marked by provider as legacy",
            r"reached the end of its life",
            r"ResourceNotFoundException",
            r"(?:model|inference profile|model id|modelId) .{0,100}(?:is not|isn't|not) (?:supported|available|found) (?:in|for) (?:this|the|your)? ?.{0,40}(?:region|location|account)",
            r"(?:malformed|invalid) (?:ARN|model (?:arn|identifier))",
        ])
        .why("Bedrock does not have this model id in this region")
        .next("list the inference profiles of the region and correct the model id or the region in the gateway's configuration")
        .example("litellm.BadRequestError: BedrockException - {\"message\":\"The provided model identifier is invalid.\"}"),
    rule("vertex_model_missing", Config, SURE)
        .says(&[
            r"\b(?:region|location) \S+ (?:is )?not (?:supported|available|valid)",
            r"publisher model .{0,300}(?:not found|does not exist|is not (?:available|servable|supported))",
            r"not servable in region",
            r"publishers/\w+/models/.{0,80}(?:not found|is not found)",
            r"is not supported in (?:the )?(?:region|location)",
            r"is not supported in the \w+ API",
            r"cannot be accessed through .{0,40}(?:API|Predict)",
        ])
        .why("Vertex AI does not have this model for the project in this location")
        .next("enable the model in Model Garden for the project, or correct model id and location in the gateway's configuration")
        .example("{\"error\":{\"code\":404,\"message\":\"Publisher Model `projects/p/locations/us-east5/publishers/anthropic/models/claude-x` not found.\",\"status\":\"NOT_FOUND\"}}"),
    rule("google_project_wrong", Config, LIKELY)
        .says(&[
            r"SERVICE_DISABLED",
            r"API has not been used in project",
            r"CONSUMER_INVALID",
            r"(?:google|vertex|gcp|cloud|consumer|projects/).{0,120}project .{0,60}(?:is )?(?:not found|invalid|does not exist)",
            r"invalid resource project|(?:google|vertex|gcp|cloud).{0,120}invalid project",
        ])
        .why("the Google Cloud project is wrong, or its Vertex AI API is off")
        .next("the project's owner enables `aiplatform.googleapis.com`, or the gateway's configuration names the right project")
        .example("Vertex AI API has not been used in project 1234 before or it is disabled. Enable it then retry. reason: \"SERVICE_DISABLED\""),
    rule("address_incomplete", Config, SURE)
        .says(&[
            r"must be an? (?:absolute|valid|full) url",
            r"not a valid url",
            r"\b(?:undefined|null|none)\.(?:amazonaws|googleapis|anthropic|openai)",
            r"\.(?:undefined|null|none)\.",
            r"(?:undefined|null|none)-aiplatform",
            r"://(?:undefined|null|none)\b",
            r"ENOTFOUND (?:undefined|null|none|your-|<|\$)",
            r"NoRegion",
            r"must specify a region",
            r"region (?:is )?(?:missing|not set|required|not specified)",
            r"(?:missing|no|set|provide|specify|requires?) (?:an? |the )?\W?(?:\w+_)?(?:region|location|project|api_base|base_url|endpoint)(?:_name|_id)?\b",
            r"invalid (?:aws region|vertex_location)",
            r"config profile .{0,60}could not be found",
            r"invalid [\w ]{0,25}(?:endpoint (?:format|url)|base[ _]?url)",
            r"invalid url|only absolute urls|failed to parse url|unsupported protocol|missing an? .{0,20}protocol",
            r"ERR_INVALID_URL|InvalidURL",
        ])
        // What OpenAI's API says of an unknown path.
        .unless(&[r"invalid url \((?:POST|GET) /"])
        .why("a region, project or base is not set, so the address is invalid")
        .next("set the missing region, project or base in the environment or the gateway's configuration")
        .example("getaddrinfo ENOTFOUND bedrock-runtime.undefined.amazonaws.com"),
    rule("model_missing", Config, LIKELY)
        .says(&[
            r"model (?:id|name|identifier)\b.{0,30}\b(?:invalid|unknown)\b",
            r"model \S+ (?:is )?not (?:supported|available|enabled)\b",
            r"model is blocked",
            r"\bmodel is not (?:supported|available|enabled|allowed)|model .{0,60} is not (?:supported|available|enabled) (?:by|on)",
            r"could(?: not|n't) serve",
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
        ])
        .why("the requested model does not exist, or this account cannot use it")
        .next("compare the model id in the gateway's configuration with the provider's list of models, and the alias with the manifest")
        .example("API Error: 404 {\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"model: claude-sonnet-9\"}}"),
];
