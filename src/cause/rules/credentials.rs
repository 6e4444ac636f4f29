//! Credentials and permissions, of each cloud and of the gateway, then those without an owner in the text.

use super::{CauseRule, LIKELY, PLAUSIBLE, SURE, rule};
use crate::outcome::Cause::Auth;

pub(super) const RULES: &[CauseRule] = &[
    rule("aws_permission", Auth, SURE)
        .says(&[
            r"AccessDenied",
            r"not (?:authorized|allowed|permitted) to (?:perform|invoke|use|call|access)",
            r"aws-marketplace:",
            r"model access is denied",
            r"have access to the model",
            r"explicit deny",
            r"no identity-based policy",
            r"access (?:to the model )?is (?:denied|restricted|not allowed)",
            r"account is not authorized",
        ])
        .why("the AWS identity may not use the model")
        .next("the AWS account's administrator grants the action named in the message and requests access to the model, then waits two minutes")
        .example("502 User: arn:aws:iam::123456789012:user/proxy is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-1::foundation-model/m"),
    rule("aws_credentials", Auth, SURE)
        .says(&[
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
        ])
        .why("the AWS credentials are missing, wrong or expired")
        .next("renew the AWS credentials of the gateway (or of claude in its Bedrock mode) and check its clock")
        .example("BedrockException Invalid Authentication - {\"message\":\"The security token included in the request is invalid.\"}"),
    rule("google_credentials", Auth, SURE)
        .says(&[
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
        ])
        .why("the Google credentials are missing, wrong or expired")
        .next("renew the service account's key (or run `gcloud auth application-default login`) and give it to the gateway")
        .example("litellm.AuthenticationError: Vertex_aiException - {\"error\":{\"code\":401,\"message\":\"Request had invalid authentication credentials.\",\"status\":\"UNAUTHENTICATED\"}}"),
    rule("google_permission", Auth, LIKELY)
        .says(&[
            r"PERMISSION_DENIED",
            r"permission '.{0,80}' denied",
            r"permission denied on resource",
            r"caller does not have permission",
            r"constraints/\w+",
            r"organization'?s? policy|VPC_SERVICE_CONTROLS",
        ])
        .why("the Google identity may not use the model or the project")
        .next("the project's owner gives the service account the role `roles/aiplatform.user` in the project named in the configuration")
        .example("{\"error\":{\"code\":403,\"message\":\"Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/p' (or it may not exist).\",\"status\":\"PERMISSION_DENIED\"}}"),
    rule("azure_credentials", Auth, SURE)
        .says(&[
            r"principal lacks|lacks the required|\bdata action\b",
            r"invalid subscription key",
            r"principal does not have access|does not have access to api/operation",
            r"PermissionDenied|AuthorizationFailed|AuthenticationTypeDisabled",
            r"public access is disabled|virtual network/firewall rules",
            r"AADSTS\d+",
            r"ClientAuthenticationError|DefaultAzureCredential",
        ])
        .why("the Azure key or identity is wrong, or may not use the resource")
        .next("copy the key and the endpoint of the same Azure resource into the gateway's configuration, or grant its identity the role")
        .example("litellm.AuthenticationError: AzureException AuthenticationError - Access denied due to invalid subscription key or wrong API endpoint."),
    rule("gateway_key", Auth, SURE)
        .says(&[
            r"invalid proxy server token",
            r"virtual key expected|expected to start with 'sk-",
            r"expired key|key (?:is |has )?expired",
            r"no api key passed in|no api key provided",
            r"malformed api key",
            r"token_not_found_in_db|no connected db|no_db_connection",
            r"invalid (?:user |virtual )?key\b",
            r"key is blocked|(?:team|user)=\S+ (?:is blocked|has been deactivated)",
            r"only (?:be used to generate|proxy admin|for MASTER KEY)",
            r"LiteLLM .{0,30}Authentication Error|^Authentication Error|Authentication Error, |ExpiredKey|Key Expiry",
            r"无效的令牌|令牌(?:已过期|状态不可用)",
        ])
        .why("the gateway does not accept the key that claude sent")
        .next("give the run a key that the gateway knows (its master key or a valid virtual key)")
        .example("{\"error\":{\"message\":\"Authentication Error, LiteLLM Virtual Key expected. Received=abc****, expected to start with 'sk-'.\",\"type\":\"auth_error\",\"param\":\"None\",\"code\":\"401\"}}"),
    rule("aws_front_end", Auth, PLAUSIBLE)
        .says(&[r#"BedrockException - (?:b')?\{"(?-i:M)essage":"#])
        .why("AWS refused the request before it reached the model (only AWS's front end spells `Message` with a capital)")
        .next("read the gateway's log for the rest of the message; then renew the AWS credentials or grant the action it names")
        .example("litellm.APIConnectionError: BedrockException - {\"Message\":\"A"),
    rule("credential_refused", Auth, LIKELY)
        .says(&[
            r"(?:api_key|client_secret|client_id|token|secret|credentials?)\b.{0,30} must be (?:provided|set)",
            r"(?:does not|doesn't|do not|don't) have access to",
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
        ])
        .unless(&[r"permission denied \(os error"])
        .why("the provider or a gateway refused the credential")
        .next("find out which credential it is (claude's for the gateway, or the gateway's for the provider) and renew it")
        .example("API Error: 401 {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key\"}}"),
];
