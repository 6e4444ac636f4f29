//! Before the trials of a live run: one minimal request to each alias in use, so that a dead key, an empty account, a
//! missing alias or an unreachable gateway is one finding and not a column of slow red trials.
//!
//! It asks; what an answer means `cause` says.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;

use crate::cause::{self, Diagnosis, ErrorMessage, MessageRoute};
use crate::env::Secret;
use crate::outcome::{Cause, Failure, Mismatch};

/// How many aliases are asked at once.
const AT_ONCE: usize = 12;

/// How long an alias may take to answer with one token.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why an alias cannot be used.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The HTTP status and the body, or why there is none.
    pub answer: String,
    pub diagnosis: Diagnosis,
}

/// Asks each of `aliases` of the gateway at `base_url`, all at once within bounds; what is wrong with those that cannot be
/// used. An answer that may be another one in a moment (a rate limit, an overloaded provider) is no finding.
pub async fn check(base_url: &str, key: &Secret, aliases: Vec<String>) -> BTreeMap<String, Finding> {
    let client = reqwest::Client::new();
    let asked = aliases.into_iter().map(|alias| {
        let client = client.clone();
        async move {
            let finding = ask(&client, base_url, key, &alias).await;
            finding.map(|finding| (alias, finding))
        }
    });
    let found: Vec<_> = futures_util::stream::iter(asked)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    found.into_iter().flatten().collect()
}

async fn ask(client: &reqwest::Client, base_url: &str, key: &Secret, alias: &str) -> Option<Finding> {
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
    let passes = matches!(diagnosis.cause, Cause::RateLimit | Cause::Upstream);
    (!passes).then_some(Finding { answer, diagnosis })
}

/// The innermost error says what the outer ones only wrap: `connection refused`.
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

impl Finding {
    /// The failure of a trial that was not run for it.
    pub fn failure(&self, alias: &str) -> Failure {
        Failure {
            cause: self.diagnosis.cause,
            why: self.diagnosis.why.clone(),
            next: Some(self.diagnosis.next.clone()),
            wire: Vec::new(),
            mismatches: vec![Mismatch {
                expectation: "preflight".into(),
                summary: format!("`{alias}` cannot be used, so nothing was run"),
                expected: "an answer to one minimal request before the trials".into(),
                actual: crate::text::clipped(&self.answer),
                ..Mismatch::default()
            }],
        }
    }
}

/// The findings for people: aliases that got the same answer together, a line each.
pub fn summary(findings: &BTreeMap<String, Finding>) -> Vec<String> {
    let mut by_answer: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (alias, finding) in findings {
        by_answer.entry(&finding.answer).or_default().push(alias);
    }
    by_answer
        .into_values()
        .map(|aliases| {
            let finding = &findings[aliases[0]];
            format!(
                "preflight: {} cannot be used: {} ({}); next: {}",
                aliases
                    .iter()
                    .map(|alias| format!("`{alias}`"))
                    .collect::<Vec<_>>()
                    .join(", "),
                crate::text::clipped(&finding.answer),
                finding.diagnosis.cause.as_str(),
                finding.diagnosis.next
            )
        })
        .collect()
}
