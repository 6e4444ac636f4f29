//! The requests at the provider that belong to no trial.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tokio::runtime::Runtime;

use crate::session::Session;
use crate::text::counted;
use crate::wire::Operation;
use crate::wire::exchange::ProviderExchange;

/// The warnings and the errors about the provider's requests that belong to no trial: they lost the trial's key, or the gateway
/// made them. No trial judges the caller's key in one of them, so it is an error of the run.
pub(super) fn reports(session: Option<&Session>, runtime: &Runtime) -> (Vec<String>, Vec<String>) {
    let Some((session, provider)) = session.and_then(|session| Some((session, session.provider.as_ref()?)))
    else {
        return Default::default();
    };
    // If the provider has ended, the trials report it.
    let orphans = runtime.block_on(provider.orphans()).unwrap_or_default();
    descriptions(&orphans, |path| session.secrets.removed(path))
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
) -> (Vec<String>, Vec<String>) {
    let [mut unexpected, mut leaks] = [BTreeMap::<String, usize>::new(), BTreeMap::new()];
    for orphan in orphans {
        let (request, status) = (&orphan.request, orphan.reply.status);
        let text = format!("{} {} → {status}", request.method, without_secrets(&request.path));
        let places = orphan.caller_credential.join(", ");
        match places.is_empty() {
            true if is_unexpected(orphan) => *unexpected.entry(text).or_default() += 1,
            true => {}
            false => *leaks.entry(format!("{text} ({places})")).or_default() += 1,
        }
    }
    let warning = |(request, count)| match count {
        1 => format!("the provider received a request that belongs to no trial: {request}"),
        _ => format!("the provider received {count} requests that belong to no trial: {request}"),
    };
    let error = |(request, count)| {
        let requests = counted(count, "request");
        format!(
            "error: the gateway passed the caller's key on to the provider, in {requests} outside all trials: {request}"
        )
    };
    (
        unexpected.into_iter().map(warning).collect(),
        leaks.into_iter().map(error).collect(),
    )
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
        let (warnings, errors) = descriptions(&orphans, Cow::Borrowed);
        assert_eq!(
            warnings,
            ["the provider received 2 requests that belong to no trial: POST /token → 400"]
        );
        assert!(errors.is_empty());
    }
}
