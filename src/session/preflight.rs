//! The preflight of a live run: one minimal request to each alias in use. An invalid key, an empty account, a missing alias or
//! an unreachable gateway is then one error, and not a column of slow failures.
//!
//! `cause` classifies the replies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;

use crate::cause::{self, Diagnosis, ErrorMessage, MessageRoute};
use crate::env::Secret;
use crate::http;
use crate::outcome::{Cause, Failure, Mismatch};
use crate::text;

/// The most requests at once.
const AT_ONCE: usize = 12;

/// The longest wait for a reply of one token.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why an alias cannot be used.
#[derive(Clone, Debug)]
pub struct UnusableAlias {
    /// The HTTP status and the body, or the reason why there is no reply.
    pub answer: String,
    pub diagnosis: Diagnosis,
}

/// Sends a request for each of `aliases` to the gateway, and returns the unusable ones. A transient error (a rate limit, an
/// overloaded provider) does not make an alias unusable.
pub async fn check(
    base_url: &str,
    key: &Secret,
    aliases: BTreeSet<String>,
) -> BTreeMap<String, UnusableAlias> {
    let client = &http::client();
    let requests = aliases.into_iter().map(|alias| async move {
        let unusable = ask(client, base_url, key, &alias).await?;
        Some((alias, unusable))
    });
    let replies: Vec<_> = futures_util::stream::iter(requests)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    replies.into_iter().flatten().collect()
}

async fn ask(client: &reqwest::Client, base_url: &str, key: &Secret, alias: &str) -> Option<UnusableAlias> {
    let body = json!({
        "model": alias,
        "max_tokens": 1,
        "messages": [{ "role": "user", "content": "ping" }],
    });
    let sent = client
        .post(format!("{base_url}/v1/messages"))
        .bearer_auth(key.expose())
        .header("anthropic-version", "2023-06-01")
        .timeout(PATIENCE)
        .json(&body)
        .send()
        .await;
    let (answer, message) = match sent {
        Ok(reply) => {
            let status = reply.status();
            let text = reply.text().await.unwrap_or_default();
            if status.is_success() {
                return None;
            }
            let message = ErrorMessage::new(&text).with_status(Some(status.as_u16()));
            (format!("HTTP {}: {}", status.as_u16(), text.trim()), message)
        }
        Err(error) => {
            let words = unreachable(&error, base_url);
            (words.clone(), ErrorMessage::new(&words))
        }
    };
    let diagnosis = cause::diagnose(&message.with_route(MessageRoute::Gateway));
    let is_transient = matches!(diagnosis.cause, Cause::RateLimit | Cause::Upstream);
    (!is_transient).then_some(UnusableAlias { answer, diagnosis })
}

/// The innermost error has the reason, such as `connection refused`.
fn unreachable(error: &reqwest::Error, base_url: &str) -> String {
    if error.is_timeout() {
        return format!("{base_url} did not answer within {} s", PATIENCE.as_secs());
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("{base_url} cannot be reached: {innermost}")
}

impl UnusableAlias {
    /// The failure of a trial that was not run.
    pub fn failure(&self, alias: &str) -> Failure {
        Failure {
            cause: self.diagnosis.cause,
            why: self.diagnosis.why.clone(),
            next: Some(self.diagnosis.next.clone()),
            wire: Vec::new(),
            mismatches: vec![Mismatch::of_harness(
                "preflight",
                &format!("`{alias}` cannot be used, so the trial did not run"),
                "a reply to one minimal request before the trials",
                &text::clipped(&self.answer),
            )],
        }
    }
}

/// A line for each different reply, with all its aliases.
pub fn summary(unusable: &BTreeMap<String, UnusableAlias>) -> Vec<String> {
    let mut by_answer: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (alias, reason) in unusable {
        by_answer.entry(&reason.answer).or_default().push(alias);
    }
    by_answer
        .into_values()
        .map(|aliases| {
            let reason = &unusable[aliases[0]];
            format!(
                "preflight: {} cannot be used: {} ({}); next: {}",
                text::listed(aliases.iter().copied()),
                text::clipped(&reason.answer),
                reason.diagnosis.cause.as_str(),
                reason.diagnosis.next
            )
        })
        .collect()
}
