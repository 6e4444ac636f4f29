//! Who may pass the relay in front of the gateway, and with what.
//!
//! `claude` gets a token of its own in each trial. The relay replaces it by the gateway's credential, which `claude` never
//! sees. A request without a valid token does not pass, nor does one that a Claude Code client does not need: LiteLLM's key
//! also opens its admin routes.

use std::collections::HashMap;

use axum::http::StatusCode;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::env::Secret;
use crate::ids::TrialKey;
use crate::mutants::PassingRequest;
use crate::wire::Operation;

/// The paths that Claude Code reads besides the operations on models: the checks of a connection, the list of models, the
/// contract of a gateway, and Bedrock's inference profiles (measured with Claude Code 2.1.326).
const READ_PATHS: [&str; 5] = [
    "/",
    "/api/hello",
    "/v1/models",
    "/protocol",
    "/inference-profiles",
];

#[derive(Default)]
pub(super) struct Guard {
    tokens: Mutex<HashMap<String, (TrialKey, Secret)>>,
}

/// Why a request does not pass.
pub(super) type Refusal = (StatusCode, &'static str, &'static str);

impl Guard {
    /// A new token for the trial, in exchange for `credential`.
    pub(super) fn admit(&self, key: TrialKey, credential: Secret) -> Secret {
        let [first, second] = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::simple);
        let token = format!("sk-{first}{second}");
        self.tokens.lock().insert(token.clone(), (key, credential));
        Secret::new(token)
    }

    pub(super) fn tokens(&self, key: TrialKey) -> Vec<Secret> {
        let tokens = self.tokens.lock();
        let own = tokens.iter().filter(|(_, (owner, _))| *owner == key);
        own.map(|(token, _)| Secret::new(token)).collect()
    }

    pub(super) fn dismiss(&self, key: TrialKey) {
        self.tokens.lock().retain(|_, (owner, _)| *owner != key);
    }

    /// Replaces the token in the headers of `request`, and returns its trial. `Err` if the request may not pass; its trial
    /// is set if the token is valid.
    pub(super) fn exchange(
        &self,
        method: &str,
        operation: Operation,
        request: &mut PassingRequest,
    ) -> Result<TrialKey, (Option<TrialKey>, Refusal)> {
        let tokens = self.tokens.lock();
        let mut owner = None;
        for (_, value) in &mut request.headers {
            let Ok(text) = str::from_utf8(value) else { continue };
            let token = text.rsplit(' ').next().unwrap_or(text);
            if let Some((key, credential)) = tokens.get(token) {
                owner = Some(*key);
                *value = text.replace(token, credential.expose()).into_bytes();
            }
        }
        let path = request.path.split('?').next().unwrap_or_default();
        match owner {
            None => Err((
                None,
                (
                    StatusCode::UNAUTHORIZED,
                    "authentication_error",
                    "the request has no token of a trial",
                ),
            )),
            Some(key) if !is_needed(method, path, operation) => Err((
                Some(key),
                (
                    StatusCode::NOT_FOUND,
                    "not_found_error",
                    "Claude Code does not need this path",
                ),
            )),
            Some(key) => Ok(key),
        }
    }
}

/// The path that a provider gets if a gateway passes requests in the provider's format through.
/// Source: <https://docs.litellm.ai/docs/pass_through/intro>.
pub(super) fn without_pass_through(path: &str) -> &str {
    let rest = ["/bedrock", "/vertex_ai"]
        .into_iter()
        .find_map(|prefix| path.strip_prefix(prefix));
    rest.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

fn is_needed(method: &str, path: &str, operation: Operation) -> bool {
    let path = without_pass_through(path);
    let is_read = matches!(method, "GET" | "HEAD");
    let is_model = || {
        path.strip_prefix("/v1/models/")
            .is_some_and(|model| !model.contains(".."))
    };
    match operation {
        Operation::Messages | Operation::CountTokens => true,
        _ => is_read && (READ_PATHS.contains(&path) || is_model()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, header: &str) -> PassingRequest {
        PassingRequest {
            path: path.to_owned(),
            headers: vec![("authorization".to_owned(), header.as_bytes().to_vec())],
            body: bytes::Bytes::new(),
        }
    }

    #[test]
    fn a_token_becomes_the_credential_until_its_trial_ends() {
        let guard = Guard::default();
        let key = TrialKey(Uuid::new_v4());
        let token = guard.admit(key, Secret::new("sk-master"));
        let mut request = asked("/v1/messages?beta=true", &format!("Bearer {}", token.expose()));
        let passed = guard.exchange("POST", Operation::Messages, &mut request);
        assert!(passed.is_ok_and(|owner| owner == key));
        assert_eq!(request.headers[0].1, b"Bearer sk-master");
        // The credential itself is no token.
        let refused = guard
            .exchange("POST", Operation::Messages, &mut request)
            .unwrap_err();
        assert_eq!((refused.0, refused.1.0), (None, StatusCode::UNAUTHORIZED));
        guard.dismiss(key);
        let mut request = asked("/v1/messages", token.expose());
        assert!(guard.exchange("POST", Operation::Messages, &mut request).is_err());
    }

    #[test]
    fn admin_routes_do_not_exist_for_a_trial() {
        let guard = Guard::default();
        let token = guard.admit(TrialKey(Uuid::new_v4()), Secret::new("sk-master"));
        let status = |method, path| {
            let mut request = asked(path, token.expose());
            let passed = guard.exchange(method, Operation::Unknown, &mut request);
            passed.map_or_else(|(_, refusal)| refusal.0.as_u16(), |_| 200)
        };
        for path in [
            "/key/generate",
            "/model/info",
            "/config/update",
            "/v1/models/../key/list",
        ] {
            assert_eq!(status("POST", path), 404, "{path}");
            assert_eq!(status("GET", path), 404, "{path}");
        }
        assert_eq!(status("GET", "/v1/models?limit=1000"), 200);
        assert_eq!(
            status("GET", "/bedrock/inference-profiles?type=SYSTEM_DEFINED"),
            200
        );
        assert_eq!(status("GET", "/bedrock/key/list"), 404);
        assert_eq!(status("HEAD", "/api/hello"), 200);
        assert_eq!(status("POST", "/v1/models"), 404);
    }
}
