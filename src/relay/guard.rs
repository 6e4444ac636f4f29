//! Who may pass the relay in front of the gateway, and with what.
//!
//! `claude` gets a token of its own in each trial. The relay replaces it by the gateway's credential, which `claude` never
//! sees. A request without a valid token does not pass, nor does one that a Claude Code client does not need: LiteLLM's key
//! also opens its admin routes.

use std::collections::HashMap;

use axum::http::StatusCode;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::catalogue::KeyHeader;
use crate::env::Secret;
use crate::ids::TrialKey;
use crate::mutants::PassingRequest;
use crate::wire::Operation;
use crate::wire::client_format::below_pass_through;

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
    tokens: Mutex<HashMap<String, (TrialKey, GatewayLogin)>>,
}

/// What a gateway wants to see in a request.
#[derive(Clone, Debug)]
pub struct GatewayLogin {
    pub credential: Secret,
    /// The header of the credential.
    pub header: KeyHeader,
    /// Further headers. They replace those that `claude` sends.
    pub further: Vec<(String, String)>,
}

impl From<Secret> for GatewayLogin {
    fn from(credential: Secret) -> Self {
        Self {
            credential,
            header: KeyHeader::Authorization,
            further: Vec::new(),
        }
    }
}

impl GatewayLogin {
    /// Adds it to the headers of a request that has its token at `place`.
    fn insert(&self, headers: &mut Vec<(String, Vec<u8>)>, place: usize, token: &str) {
        let (name, value) = &mut headers[place];
        let text = String::from_utf8_lossy(value).replace(token, self.credential.expose());
        *value = match self.header {
            KeyHeader::ApiKey if name.eq_ignore_ascii_case("authorization") => {
                "x-api-key".clone_into(name);
                self.credential.expose().into()
            }
            _ => text.into_bytes(),
        };
        for (name, value) in &self.further {
            headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            headers.push((name.clone(), value.clone().into_bytes()));
        }
    }
}

/// Why a request does not pass.
pub(super) type Refusal = (StatusCode, &'static str, &'static str);

impl Guard {
    /// A new token for the trial, in exchange for `login`.
    pub(super) fn admit(&self, key: TrialKey, login: GatewayLogin) -> Secret {
        let [first, second] = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::simple);
        let token = format!("sk-{first}{second}");
        self.tokens.lock().insert(token.clone(), (key, login));
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
        let names: Vec<String> = request.headers.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            let mut headers = request.headers.iter();
            let Some(place) =
                headers.position(|(other, value)| *other == name && tokens.contains_key(last_part(value)))
            else {
                continue;
            };
            let token = last_part(&request.headers[place].1).to_owned();
            if let Some((key, login)) = tokens.get(&token) {
                owner = Some(*key);
                login.insert(&mut request.headers, place, &token);
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

/// The text after the last space of a header's value: the token after `Bearer`. Empty if the value is no text.
fn last_part(value: &[u8]) -> &str {
    let text = str::from_utf8(value).unwrap_or_default();
    text.rsplit(' ').next().unwrap_or(text)
}

fn is_needed(method: &str, path: &str, operation: Operation) -> bool {
    let path = below_pass_through(without_pass_through(path));
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
        let token = guard.admit(key, Secret::new("sk-master").into());
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
    fn a_login_moves_the_key_and_adds_headers() {
        let guard = Guard::default();
        let login = GatewayLogin {
            credential: Secret::new("sk-master"),
            header: KeyHeader::ApiKey,
            further: vec![("x-route".to_owned(), "azure".to_owned())],
        };
        let token = guard.admit(TrialKey(Uuid::new_v4()), login);
        let mut request = asked("/v1/messages", &format!("Bearer {}", token.expose()));
        request.headers.push(("X-Route".to_owned(), b"other".to_vec()));
        let passed = guard.exchange("POST", Operation::Messages, &mut request);
        assert!(passed.is_ok());
        let expected = [("x-api-key", "sk-master"), ("x-route", "azure")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        assert_eq!(request.headers, expected);
    }

    #[test]
    fn admin_routes_do_not_exist_for_a_trial() {
        let guard = Guard::default();
        let token = guard.admit(TrialKey(Uuid::new_v4()), Secret::new("sk-master").into());
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
        assert_eq!(status("GET", "/anthropic/v1/models"), 200);
        assert_eq!(status("GET", "/anthropic/key/list"), 404);
        assert_eq!(status("HEAD", "/api/hello"), 200);
        assert_eq!(status("POST", "/v1/models"), 404);
    }
}
