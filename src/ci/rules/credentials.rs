//! Missing secrets, refused credentials, and the own application that refuses a test.

use super::{GUESS, LIKELY, LogRule, PLAUSIBLE, rule};
use crate::ci::FailureCategory::Auth;

const MEND: &str = "set or renew the secret in the CI settings, and check its scope";
const OVERRIDE: &str = "set `app.dependency_overrides[user_api_key_auth]` in the test and remove it in `finally`; \
     `unittest.mock.patch` does not reach FastAPI's dependencies";

pub(super) const RULES: &[LogRule] = &[
    rule("job_credentials", Auth, LIKELY)
        .says(&[
            r"Credentials could not be loaded|Could not load credentials|Could not assume role|(?:not|isn't) authorized to perform:? ?(?:sts|ecr|s3|iam|secretsmanager|kms|ssm|bedrock|lambda|ecs|cloudformation|dynamodb|ec2)|failed to (?:generate|get|fetch) .{0,60}(?:OIDC|id token|ID token|access token|credential)|Unable to get ACTIONS_ID_TOKEN|must specify exactly one of .?workload_identity|google-github-actions/auth failed|azure/login failed|Login failed with Error|AADSTS\d+|DefaultCredentialsError|default credentials were not found|^E\s+.{0,80}NoCredentialsError|botocore\.exceptions\.NoCredentialsError|Unable to locate credentials\. You can configure|ExpiredToken|InvalidClientTokenId|UnrecognizedClientException|SignatureDoesNotMatch|security token included in the request is|invalid_grant|invalid_client|token has expired|Token is expired|JWT expired",
            r"Bad credentials\b|Resource not accessible by (?:integration|personal access token)|Permission to \S+ denied|refusing to allow|Authentication failed for '?https|could not read (?:Username|Password) for|terminal prompts disabled|Permission denied \(publickey|Host key verification failed|remote: (?:Invalid username|Write access|Permission|Support for password)|fatal: Authentication|The requested URL returned error: 40[13]|gh: HTTP 40[13]|gh: (?:To use GitHub CLI|Not Found|Bad)|set the GH_TOKEN|GH_TOKEN environment|GITHUB_TOKEN .{0,60}(?:not|missing|required|permission)|Repository not found",
            r"ENEEDAUTH|(?:ERR!|error) (?:code )?(?:E401|E403|EOTP)|40[13] (?:Client Error|Forbidden|Unauthorized).{0,80}(?:upload|legacy|publish|registry|package)|(?:upload|publish|push|deploy).{0,80}\b40[13]\b|Invalid or non-existent authentication|trusted publish\w* .{0,80}(?:fail|invalid)|invalid-publisher|no token found|Token required|Input required and not supplied: \S*(?:token|key|secret|password|credential)|secret .{0,60}(?:is required|not provided|not found|not supplied|missing)|(?:codecov|coveralls|sonar).{0,80}(?:token|401|403|unauthorized)|Missing .{0,20}(?:token|credentials|api.?key|secret)\b|VaultError|permission denied.{0,40}vault|is missing or (?:invalid|incorrect).{0,20}(?:token|key)",
        ])
        .unless(&[
            r"upload(?:ing)? artifacts?|test reports|sccache|storage write check|failed to upload (?:artifacts|json|logs|stats)|PutObject|CSRF",
        ])
        .why("a credential of the job is missing, wrong or too narrow")
        .do_this(MEND)
        .example("Error: Credentials could not be loaded, please check your action inputs: Could not load credentials from any providers")
        .green("Failed to upload artifacts: Unable to locate credentials"),
    rule("missing_secret", Auth, LIKELY)
        .says(&[
            r"^(?:E\s+)?KeyError: '(?:\w*_)?(?:KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)'",
            in_error!(r"\b\w*(?:API_?KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS|ACCESS_KEY|ACCESS_KEY_ID|LICENSE)\w*\b['\x22`]?.{0,80}\b(?:is (?:not set|missing|required|undefined|empty|unset)|not (?:set|found|defined|provided|configured)|must be (?:set|defined|provided)|unbound variable|needs to be set|env(?:ironment)? variable)|KeyError: '\w*(?:KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)\w*'"),
            in_error!(r"api_key client option must be set|Did not find \w*(?:api_key|token)|No api.?key (?:passed|provided|found|set)|(?:no|missing) (?:API key|credentials|token) (?:was |were )?(?:found|provided|set|passed|supplied|in)|Missing credentials|please (?:set|provide|pass) .{0,60}(?:API.?KEY|TOKEN|SECRET|credentials)|(?:set|export) the \S*(?:API_KEY|TOKEN|SECRET)|environment variable.{0,40}(?:KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)\b.{0,60}(?:not|missing|required|must|unset)|(?:required|missing) .{0,40}(?:secrets?|credentials?|API keys?)\b"),
        ])
        .unless(&[r"dependency_overrides|skipp|documented|docs:|mentioned nowhere"])
        .why("a secret is not set in the job")
        .do_this(MEND)
        .example("E   openai.OpenAIError: The api_key client option must be set either by passing api_key to the client")
        .green("ANTHROPIC_API_KEY: ****"),
    rule("own_app_refused", Auth, LIKELY)
        .says(&[
            r"assert 40[13] (?:==|in|<) |assert .{0,40}\bstatus(?:_code)?\b.{0,20} == 40[13]\b.{0,4}$|expected (?:status )?(?:code )?20\d\b.{0,40}\b(?:got|received|but was|found|actual).{0,12}40[13]\b|Expected: 20\d,? .{0,40}40[13]|(?:Request|Response)? ?(?:did not return a 20\d|status code:?).{0,40}\b40[13]\b|^E\s+.{0,120}(?:HTTPException|HTTPStatusError|ProxyException|HTTPError).{0,40}40[13]\b",
            in_error!(r"Invalid proxy server token passed|LiteLLM Virtual Key expected|No api key passed in|Authentication Error, (?:Invalid|Only|No|LiteLLM|.{0,40}key)|Only proxy admin can|user not allowed to access|CSRF (?:token|verification)|Not authenticated|Invalid token|Signature verification failed|token_not_valid"),
        ])
        .unless(&[r"quota|rate limit|credit|billing|x-api-key|Connect Proxy to database|assert 40[13] (?:==|in) \(?\[?(?:400|404|422|5)"])
        .why("the application under test refused the test's credential")
        .do_this(OVERRIDE)
        .example("E   assert 401 == 200")
        .green("\"GET /key/info HTTP/1.1\" 401 Unauthorized (expected) PASSED"),
    rule("refused", Auth, PLAUSIBLE)
        .says(&[
            r"^\s*(?:E\s+|FAILED|ERROR|Error: |error|fatal|\S*(?:Error|Exception)\b).{0,200}\b(?:401|403)\b.{0,60}(?:Unauthorized|Forbidden|Client Error|permission|denied|not authorized)",
            r"^\s*(?:E\s+|FAILED|ERROR|Error: |error|\S*(?:Error|Exception)\b).{0,160}(?:AuthenticationError|PermissionDenied|AccessDenied|NotAuthorized|Unauthorized|InvalidToken|invalid (?:api|access|auth)\w*[ _]?(?:key|token))",
        ])
        .unless(&[r"quota|rate.?limit|credit|billing|test_\w*(?:auth|denied|unauthorized|forbidden)\w*$|DID NOT RAISE"])
        .why("somebody refused a credential")
        .do_this(MEND)
        .example("E   google.api_core.exceptions.PermissionDenied: 403 Permission 'predict' denied on resource 'x'")
        .green("test_unauthorized PASSED"),
    rule("access_denied", Auth, GUESS)
        .says(&[
            r"^Error: User: \S+ is not authorized to perform|^(?:E\s+|Error: |error|fatal|\S*Error\b).{0,120}(?:AccessDenied|access denied|permission denied|not authorized|forbidden\b)",
        ])
        .unless(&["Failed to parse and upload|sccache|DID NOT RAISE"])
        .why("somebody refused an access")
        .do_this(MEND)
        .example("Error: User: arn:aws:sts::123456789012:assumed-role/x is not authorized to perform: s3:PutObject")
        .green("Failed to parse and upload json test reports: An error occurred (AccessDenied) when calling the PutObject operation"),
];
