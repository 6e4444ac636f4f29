//! The requests at the provider that belong to no trial.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tokio::runtime::Runtime;

use crate::session::Session;
use crate::wire::Operation;
use crate::wire::exchange::ProviderExchange;

/// Describes the provider's requests that belong to no trial: they lost the trial's key, or the gateway made them.
pub(super) fn warnings(session: Option<&Session>, runtime: &Runtime) -> Vec<String> {
    let Some(provider) = session.and_then(|session| session.provider.as_ref()) else {
        return Vec::new();
    };
    // If the provider has ended, the trials report it.
    let orphans = runtime.block_on(provider.orphans()).unwrap_or_default();
    let without_secrets = |path| session.map_or(Cow::Borrowed(path), |session| session.secrets.removed(path));
    descriptions(&orphans, without_secrets)
}

/// A gateway shares access tokens between trials, and may look for models. Without an access token no trial can work.
fn is_unexpected(orphan: &ProviderExchange) -> bool {
    match orphan.operation {
        Operation::OauthToken => orphan.reply.status >= 400,
        operation => operation != Operation::ListModels,
    }
}

fn descriptions<'a>(
    orphans: &'a [ProviderExchange],
    without_secrets: impl Fn(&'a str) -> Cow<'a, str>,
) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for orphan in orphans.iter().filter(|orphan| is_unexpected(orphan)) {
        let (request, status) = (&orphan.request, orphan.reply.status);
        let path = without_secrets(&request.path);
        let request = format!("{} {path} → {status}", request.method);
        *counts.entry(request).or_default() += 1;
    }
    let warning = |(request, count)| match count {
        1 => format!("the provider received a request that belongs to no trial: {request}"),
        _ => format!("the provider received {count} requests that belong to no trial: {request}"),
    };
    counts.into_iter().map(warning).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;
    use crate::wire::exchange::ProviderReply;

    #[test]
    fn a_refused_token_request_is_a_warning() {
        let orphan = |operation: &str, path: &str, status: u16| -> ProviderExchange {
            from_value(json!({
                "number": 1, "turn": null, "route": null, "operation": operation, "message": null, "matched": "built_in",
                "request": {"at_ms": 0, "method": "POST", "path": path, "query": "", "headers": [], "body": "empty"},
                "reply": ProviderReply::unsent(status),
            }))
            .unwrap()
        };
        let orphans = [
            orphan("oauth_token", "/token", 200),
            orphan("oauth_token", "/token", 400),
            orphan("oauth_token", "/token", 400),
            orphan("list_models", "/v1/models", 401),
        ];
        assert_eq!(
            descriptions(&orphans, Cow::Borrowed),
            ["the provider received 2 requests that belong to no trial: POST /token → 400"]
        );
    }
}
