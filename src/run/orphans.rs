//! The requests at the provider that belong to no trial.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tokio::runtime::Runtime;

use crate::session::Session;
use crate::wire::Operation;

/// Describes the provider's requests that belong to no trial: they lost the trial's key, or the gateway made them.
pub(super) fn warnings(session: Option<&Session>, runtime: &Runtime) -> Vec<String> {
    let Some(provider) = session.and_then(|session| session.provider.as_ref()) else {
        return Vec::new();
    };
    // If the provider has ended, the trials report it.
    let orphans = runtime.block_on(provider.orphans()).unwrap_or_default();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    // A gateway shares access tokens between trials, and may look for models.
    let unexpected = orphans
        .iter()
        .filter(|orphan| ![Operation::OauthToken, Operation::ListModels].contains(&orphan.operation));
    for orphan in unexpected {
        let (request, status) = (&orphan.request, orphan.reply.status);
        let path = session.map_or(Cow::Borrowed(request.path.as_str()), |session| {
            session.secrets.removed(&request.path)
        });
        let request = format!("{} {path} → {status}", request.method);
        *counts.entry(request).or_default() += 1;
    }
    let warning = |(request, count)| match count {
        1 => format!("the provider received a request that belongs to no trial: {request}"),
        _ => format!("the provider received {count} requests that belong to no trial: {request}"),
    };
    counts.into_iter().map(warning).collect()
}
