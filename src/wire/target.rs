//! The route and operation of a request, by its method and path.
//!
//! The paths are the providers' own: <https://platform.claude.com/docs/en/api/messages>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html>,
//! <https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai>,
//! <https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-messages-api.html>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Operation, Route};

/// The simulator's path for Google's token endpoint.
pub const TOKEN_PATH: &str = "/token";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTarget {
    /// The route, where the path belongs to one.
    pub route: Option<Route>,
    pub operation: Operation,
    /// Whether the path asks for a stream; `None` if the body decides.
    pub stream: Option<bool>,
    /// The model that the path names, decoded.
    pub model: Option<String>,
}

impl RequestTarget {
    /// `path` is percent-encoded and without the query.
    pub fn of(method: &str, path: &str) -> Self {
        if (method, path) == ("GET", "/v1/models") {
            return Self::new(Route::Anthropic, Operation::ListModels, Some(false), None);
        }
        let model = path
            .strip_prefix("/v1/models/")
            .filter(|model| !model.is_empty() && !model.contains('/'));
        if method == "GET" && model.is_some() {
            return Self::new(Route::Anthropic, Operation::ListModels, Some(false), model);
        }
        if method != "POST" {
            return Self::unknown(path);
        }
        match path {
            "/v1/messages" => Self::new(Route::Anthropic, Operation::Messages, None, None),
            "/v1/messages/count_tokens" => {
                Self::new(Route::Anthropic, Operation::CountTokens, Some(false), None)
            }
            // Bedrock's Messages API has the same path on another host; the simulator reads more of the request to decide.
            "/anthropic/v1/messages" => Self::new(Route::Azure, Operation::Messages, None, None),
            "/anthropic/v1/messages/count_tokens" => {
                Self::new(Route::Azure, Operation::CountTokens, Some(false), None)
            }
            TOKEN_PATH => Self::new(Route::VertexAi, Operation::OauthToken, Some(false), None),
            _ => Self::bedrock(path)
                .or_else(|| Self::vertex(path))
                .unwrap_or_else(|| Self::unknown(path)),
        }
    }

    fn new(route: Route, operation: Operation, stream: Option<bool>, model: Option<&str>) -> Self {
        Self {
            route: Some(route),
            operation,
            stream,
            model: model.map(decoded),
        }
    }

    /// An unknown operation on the route whose paths begin like `path`.
    fn unknown(path: &str) -> Self {
        let route = if path.starts_with("/model/") {
            Some(Route::BedrockInvoke)
        } else if path.starts_with("/v1/projects/") || path.starts_with("/v1beta1/projects/") {
            Some(Route::VertexAi)
        } else if path.starts_with("/anthropic/") {
            Some(Route::Azure)
        } else if path.starts_with("/v1/") {
            Some(Route::Anthropic)
        } else {
            None
        };
        Self {
            route,
            operation: Operation::Unknown,
            stream: Some(false),
            model: None,
        }
    }

    fn bedrock(path: &str) -> Option<Self> {
        use Operation::{CountTokens, Messages};
        let (model, operation) = path.strip_prefix("/model/")?.rsplit_once('/')?;
        if model.is_empty() {
            return None;
        }
        let (route, operation, stream) = match operation {
            "invoke" => (Route::BedrockInvoke, Messages, false),
            "invoke-with-response-stream" => (Route::BedrockInvoke, Messages, true),
            "converse" => (Route::BedrockConverse, Messages, false),
            "converse-stream" => (Route::BedrockConverse, Messages, true),
            // The body decides between InvokeModel and Converse.
            "count-tokens" => (Route::BedrockInvoke, CountTokens, false),
            _ => return None,
        };
        Some(Self::new(route, operation, Some(stream), Some(model)))
    }

    fn vertex(path: &str) -> Option<Self> {
        use Operation::{CountTokens, Messages};
        let segments: Vec<&str> = path.strip_prefix("/v1/projects/")?.split('/').collect();
        let [
            project,
            "locations",
            location,
            "publishers",
            "anthropic",
            "models",
            model,
        ] = segments[..]
        else {
            return None;
        };
        if project.is_empty() || location.is_empty() {
            return None;
        }
        let (operation, stream, model) = match model.rsplit_once(':')? {
            ("count-tokens", "rawPredict") => (CountTokens, false, None),
            (model, "rawPredict") => (Messages, false, Some(model)),
            (model, "streamRawPredict") => (Messages, true, Some(model)),
            _ => return None,
        };
        Some(Self::new(Route::VertexAi, operation, Some(stream), model))
    }
}

/// The request to the model in `body`: the body itself, or the body within a token count. Bedrock wraps the request to
/// count, InvokeModel's in base64.
pub fn prompt(operation: Operation, route: Option<Route>, body: &Value) -> Option<Value> {
    match (operation, route) {
        (Operation::CountTokens, Some(Route::BedrockInvoke | Route::BedrockConverse)) => {
            let input = &body["input"];
            if let Some(converse) = input.get("converse") {
                return Some(converse.clone());
            }
            let bytes = STANDARD.decode(input["invokeModel"]["body"].as_str()?).ok()?;
            serde_json::from_slice(&bytes).ok()
        }
        (Operation::CountTokens | Operation::Messages, _) => Some(body.clone()),
        _ => None,
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_its_paths() {
        use Operation::{CountTokens, Messages, Unknown};
        use Route::{Anthropic, Azure, BedrockConverse, BedrockInvoke, VertexAi};
        let haiku = Some("us.anthropic.claude-haiku-4-5-20251001-v1:0");
        let profile = Some("arn:aws:bedrock:us-east-1:1:inference-profile/x");
        let cases = [
            ("/v1/messages", Some(Anthropic), Messages, None),
            (
                "/model/us.anthropic.claude-haiku-4-5-20251001-v1:0/invoke",
                Some(BedrockInvoke),
                Messages,
                haiku,
            ),
            (
                "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse-stream",
                Some(BedrockConverse),
                Messages,
                haiku,
            ),
            (
                "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse",
                Some(BedrockConverse),
                Messages,
                profile,
            ),
            (
                "/v1/projects/p/locations/global/publishers/anthropic/models/claude-haiku-4-5@20251001:streamRawPredict",
                Some(VertexAi),
                Messages,
                Some("claude-haiku-4-5@20251001"),
            ),
            (
                "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict",
                Some(VertexAi),
                CountTokens,
                None,
            ),
            ("/anthropic/v1/messages", Some(Azure), Messages, None),
            (
                "/anthropic/v1/messages/count_tokens",
                Some(Azure),
                CountTokens,
                None,
            ),
            ("/anthropic/v1/models", Some(Azure), Unknown, None),
            ("/v1/models", Some(Anthropic), Unknown, None),
            ("/model//invoke", Some(BedrockInvoke), Unknown, None),
            ("/health", None, Unknown, None),
        ];
        for (path, route, operation, model) in cases {
            let target = RequestTarget::of("POST", path);
            assert_eq!(
                (target.route, target.operation, target.model.as_deref()),
                (route, operation, model),
                "{path}"
            );
        }
        assert_eq!(RequestTarget::of("GET", "/v1/messages").operation, Unknown);
        let models = RequestTarget::of("GET", "/v1/models");
        assert_eq!(
            (models.route, models.operation),
            (Some(Anthropic), Operation::ListModels)
        );
        let model = RequestTarget::of("GET", "/v1/models/claude-haiku-4-5");
        assert_eq!(
            (model.operation, model.model.as_deref()),
            (Operation::ListModels, Some("claude-haiku-4-5"))
        );
        for path in ["/v1/models/", "/v1/models/a/b"] {
            assert_eq!(RequestTarget::of("GET", path).operation, Unknown, "{path}");
        }
    }
}
