//! The preflight of an attached gateway: one small request to each alias in use. An invalid key, an empty account, a missing
//! alias or an unreachable gateway is then one finding, and not a column of slow failures.
//!
//! `cause` classifies the replies. A preflight finding is never a verdict on the gateway, the feature or Claude Code: where the
//! reply shows such a fault, the trials run and judge it with evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cause::{self, Diagnosis, ErrorMessage, MessageRoute};
use crate::env::{self, Secret};
use crate::http;
use crate::ids::TrialKey;
use crate::outcome::{Cause, Failure, Mismatch};
use crate::provider::{Provider, as_live, standalone_reply};
use crate::text;
use crate::wire::Operation;
use crate::wire::exchange::ProviderExchange;
use crate::wire::model;
use crate::wire::script::{ReplyBlock, Script};
use crate::wire::secrets::Secrets;

/// The path of the API, below a base.
const MESSAGES: &str = "/v1/messages";

/// The most requests at once: those of all aliases of a usual project, so that no second round waits.
const AT_ONCE: usize = 64;

/// The longest wait for a reply of a few tokens. A user's mistake is reported within ten seconds, and [`gateway::ensure_answers`]
/// waits before.
const PATIENCE: Duration = Duration::from_secs(6);

/// The waits of a live run before it asks again, if no alias answered. Only an answer shows whether the provider is real.
const WAITS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Why an alias cannot be used.
#[derive(Clone, Debug)]
pub struct UnusableAlias {
    /// The HTTP status and the body, or the reason why there is no reply.
    pub answer: String,
    pub diagnosis: Diagnosis,
}

/// The longest `retry-after` for which it waits instead: limits of a minute end within it.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// What came of a request.
enum Probed {
    Answered,
    /// By a simulator that answers like a model.
    Rehearsed,
    /// It is transient, or the trials judge it. With the wait that the provider asks for.
    Failed(UnusableAlias, Option<Duration>),
    /// A success without a message: the address is wrong, or a gateway breaks its replies.
    Strange(UnusableAlias),
    TimedOut(String),
    Unusable(UnusableAlias),
}

/// What the preflight found.
#[derive(Debug, Default)]
pub struct PreflightReport {
    pub unusable: BTreeMap<String, UnusableAlias>,
    /// Whether a simulator that answers like a model stands behind the gateway: the live run is a rehearsal.
    pub is_rehearsal: bool,
    /// Whether no alias of a live run answered. Then nobody knows what stands behind the gateway, and no trial may start.
    pub is_unanswered: bool,
}

/// Sends a request for each of `aliases` to the gateway, and returns the unusable ones. A transient error (a rate limit, an
/// overloaded provider) does not make an alias unusable. In a simulated run, `provider` must receive the requests. The
/// answers contain none of `secrets`. `headers` are those that the gateway wants beside its key.
pub async fn check(
    base_url: &str,
    key: &Secret,
    headers: &[(String, String)],
    aliases: BTreeSet<String>,
    provider: Option<&Provider>,
    secrets: &Secrets,
) -> PreflightReport {
    let client = &client_with(headers);
    let trial = TrialKey(Uuid::new_v4());
    if let Some(provider) = provider
        && provider.register(trial, Script::default()).await.is_err()
    {
        // The first trial reports it.
        return PreflightReport::default();
    }
    let is_simulated = provider.map(|_| trial);
    let ask_all = async || -> Vec<(String, Probed)> {
        let requests = aliases.iter().map(|alias| async move {
            let body = request(is_simulated, alias);
            (alias.clone(), ask(client, base_url, key, alias, body).await)
        });
        futures_util::stream::iter(requests)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    };
    let is_answer = |(_, probed): &(String, Probed)| matches!(probed, Probed::Answered | Probed::Rehearsed);
    let mut probed = ask_all().await;
    for wait in WAITS {
        let failed = probed.iter().filter_map(|(_, probed)| match probed {
            Probed::Failed(_, asked) => Some(asked.unwrap_or(wait).max(wait)),
            _ => None,
        });
        let Some(wait) = failed.max() else { break };
        if provider.is_some() || probed.iter().any(is_answer) {
            break;
        }
        tokio::time::sleep(wait).await;
        probed = ask_all().await;
    }
    let is_unanswered = provider.is_none() && !probed.iter().any(is_answer);
    let exchanges = match provider {
        Some(provider) => provider.take(trial).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let is_rehearsal = probed
        .iter()
        .any(|(_, probed)| matches!(probed, Probed::Rehearsed));
    let arrived = provider.is_none() || !exchanges.is_empty();
    // Without the run's mark, a request may have come from this gateway too: the trials judge that.
    let is_astray = match provider {
        Some(provider) if !arrived => {
            let orphans = provider.orphans().await.unwrap_or_default();
            orphans
                .iter()
                .any(|orphan| orphan.operation == Operation::Messages)
        }
        _ => false,
    };
    // A single slow alias may be a slow model.
    let all_timed_out = (probed.iter()).all(|(_, probed)| matches!(probed, Probed::TimedOut(_)));
    let mut unusable: BTreeMap<_, _> = probed
        .into_iter()
        .filter_map(|(alias, probed)| {
            let why = wrong_model(&exchanges, &alias).or(match probed {
                Probed::Unusable(unusable) => Some(unusable),
                Probed::TimedOut(words) if all_timed_out => Some(hangs(words)),
                Probed::Strange(strange) if is_unanswered || !arrived && !is_astray => Some(strange),
                Probed::Answered if !arrived && !is_astray => Some(other_provider()),
                Probed::Failed(failed, _) if is_unanswered => Some(unanswered(failed)),
                Probed::TimedOut(words) if is_unanswered => Some(hangs(words)),
                Probed::Answered
                | Probed::Rehearsed
                | Probed::Failed(..)
                | Probed::Strange(_)
                | Probed::TimedOut(_) => None,
            })?;
            Some((alias, why))
        })
        .collect();
    // Gateways repeat a refused key.
    for alias in unusable.values_mut() {
        secrets.remove(&mut alias.answer);
        secrets.remove(&mut alias.diagnosis.why);
        secrets.remove(&mut alias.diagnosis.next);
    }
    PreflightReport {
        unusable,
        is_rehearsal,
        is_unanswered,
    }
}

/// The request without its model. A single token is a probe to the simulator, which counts as no turn; a live run sees from
/// more tokens whether a simulator answers.
fn request(trial: Option<TrialKey>, alias: &str) -> Value {
    match trial {
        None => json!({ "max_tokens": 16, "messages": [{ "role": "user", "content": "ping" }] }),
        Some(trial) => json!({
            "max_tokens": 1,
            "messages": [{ "role": "user", "content": format!("ping {trial} {}", marked(alias)) }],
            "metadata": { "user_id": json!({ "session_id": trial }).to_string() },
        }),
    }
}

/// `alias` as the request's text has it, to find the alias of an exchange.
fn marked(alias: &str) -> String {
    format!("({alias})")
}

/// The model that the gateway's configuration gives `alias`, if the provider refused it in every request.
fn wrong_model(exchanges: &[ProviderExchange], alias: &str) -> Option<UnusableAlias> {
    let mark = json!(marked(alias)).to_string();
    let mark = mark.trim_matches('"');
    let is_its = |exchange: &&ProviderExchange| {
        let body = exchange.request.body.json();
        body.is_some_and(|body| body.to_string().contains(mark))
    };
    let own: Vec<&ProviderExchange> = exchanges.iter().filter(is_its).collect();
    if !own.iter().all(|exchange| model::is_refused(&exchange.matched)) {
        return None;
    }
    let refused = own.first()?;
    let model = &refused.message.as_ref()?.model;
    Some(UnusableAlias {
        answer: format!(
            "the gateway asked the provider for the model `{model}`, and the provider refused it"
        ),
        diagnosis: cause::wrong_model(refused, alias)?,
    })
}

/// A client that sends `headers` with each request. It follows no redirect, because the relay of the trials does not either.
fn client_with(headers: &[(String, String)]) -> reqwest::Client {
    let pairs = headers
        .iter()
        .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)));
    let builder = http::client_builder().no_proxy().redirect(Policy::none());
    let client = builder.default_headers(pairs.collect()).build();
    client.expect("the TLS backend starts")
}

/// A reply of the gateway.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn is_page(&self) -> bool {
        self.text.trim_start().starts_with('<')
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Whether it is a message of the Messages API. Some gateways answer each request with a stream.
    fn is_message(&self) -> bool {
        let body = self.json();
        body["type"] == "message" || body["content"].is_array() || self.text.contains("message_start")
    }

    /// Whether a server with the Messages API gave it: an answer, or an error other than that of an unknown path.
    fn is_of_api(&self) -> bool {
        match self.status.is_success() {
            true => self.is_message() || self.json().get("error").is_some(),
            false => self.status != StatusCode::NOT_FOUND && self.json().get("error").is_some(),
        }
    }

    fn to_line(&self) -> String {
        match (self.status.as_u16(), self.text.trim()) {
            (status, "") => format!("HTTP {status} without a body"),
            (status, text) => format!("HTTP {status}: {text}"),
        }
    }
}

async fn post(
    client: &reqwest::Client,
    base_url: &str,
    key: &Secret,
    body: &Value,
) -> reqwest::Result<Reply> {
    let sent = client
        .post(format!("{base_url}{MESSAGES}"))
        .bearer_auth(key.expose())
        .header("anthropic-version", "2023-06-01")
        .timeout(PATIENCE)
        .json(body)
        .send()
        .await?;
    Ok(Reply {
        status: sent.status(),
        headers: sent.headers().clone(),
        // The head of a reply is no answer yet.
        text: http::text(sent).await?,
    })
}

async fn ask(client: &reqwest::Client, base_url: &str, key: &Secret, alias: &str, mut body: Value) -> Probed {
    body["model"] = alias.into();
    let reply = match post(client, base_url, key, &body).await {
        Ok(reply) => reply,
        Err(error) => {
            let words = unreachable(&error, base_url);
            return match error.is_timeout() {
                true => Probed::TimedOut(words),
                false => without_answer(words.clone(), ErrorMessage::new(&words), None),
            };
        }
    };
    if reply.status.is_redirection() {
        return Probed::Unusable(redirected(base_url, &reply));
    }
    if reply.status.is_success() && reply.is_message() {
        return match is_standalone(&reply.text) && body["max_tokens"] != 1 {
            true => Probed::Unusable(forgotten_provider()),
            false if reply.text.contains(as_live::MARK) => Probed::Rehearsed,
            false => Probed::Answered,
        };
    }
    let asked = http::retry_after(&reply.headers).filter(|asked| *asked <= LONGEST_ASKED);
    let message = ErrorMessage::new(&reply.text).with_status(Some(reply.status.as_u16()));
    let failed = without_answer(reply.to_line(), message, asked);
    let is_transient = matches!(&failed, Probed::Failed(failed, _) if failed.is_transient());
    if !is_transient && let Some(base) = meant_base(client, base_url, key, &body, &reply).await {
        return Probed::Unusable(path_in_base(base_url, &base, &reply));
    }
    match reply.status.is_success() {
        true if reply.is_page() => Probed::Unusable(web_page(base_url)),
        true if reply.json()["error"].is_null() => Probed::Strange(no_message(base_url, &reply)),
        _ => failed,
    }
}

/// A request without an answer. `asked` is the wait that the provider asks for.
fn without_answer(answer: String, message: ErrorMessage, asked: Option<Duration>) -> Probed {
    let diagnosis = cause::diagnose(&message.with_route(MessageRoute::Gateway));
    let unusable = UnusableAlias { answer, diagnosis };
    match unusable.is_transient() || unusable.diagnosis.cause.is_judged() {
        true => Probed::Failed(unusable, asked),
        false => Probed::Unusable(unusable),
    }
}

/// The base that the user meant, if `reply` shows that `base_url` has a path below which the gateway serves nothing. It is one
/// without the path of the API, or else the server itself, if that answers as a gateway does.
async fn meant_base(
    client: &reqwest::Client,
    base_url: &str,
    key: &Secret,
    body: &Value,
    reply: &Reply,
) -> Option<String> {
    let mut url = Url::parse(base_url).ok()?;
    let path = url.path().trim_end_matches('/').to_owned();
    let mut above = path.as_str();
    while let Some(rest) = [MESSAGES, "/v1"].iter().find_map(|end| above.strip_suffix(end)) {
        above = rest;
    }
    let of_api = Some(above).filter(|above| *above != path);
    if path.is_empty() && url.query().is_none() {
        return None;
    }
    url.set_path(of_api.unwrap_or_default());
    url.set_query(None);
    let base = url.as_str().trim_end_matches('/').to_owned();
    if of_api.is_some() {
        return Some(base);
    }
    // A server of the API answered below the path, so the key goes nowhere else.
    if reply.is_of_api() {
        return None;
    }
    let other = post(client, &base, key, body).await.ok()?;
    (other.status != reply.status && other.is_of_api()).then_some(base)
}

/// Whether a reply is that of a simulator without a script.
fn is_standalone(reply: &str) -> bool {
    let blocks = standalone_reply().content;
    let texts = blocks.iter().filter_map(|block| match block {
        ReplyBlock::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.into_iter().any(|text| reply.contains(text))
}

fn of_configuration(answer: String, rule: &'static str, why: &str, next: String) -> UnusableAlias {
    UnusableAlias {
        answer,
        diagnosis: Diagnosis::proven(Cause::Config, rule, why, &next),
    }
}

/// A live run without any answer: a transient error keeps its cause, and another one gets no verdict.
fn unanswered(failed: UnusableAlias) -> UnusableAlias {
    if !failed.diagnosis.cause.is_judged() {
        return failed;
    }
    of_configuration(
        failed.answer,
        "no_answer",
        "no alias answers, so nothing shows which provider stands behind the gateway",
        "send the request with `curl`, and correct the gateway's configuration".to_owned(),
    )
}

fn hangs(answer: String) -> UnusableAlias {
    of_configuration(
        answer,
        "gateway_hangs",
        "the gateway accepts requests and does not answer",
        format!(
            "send the request with `curl`: the gateway, or the provider behind it, does not answer. Correct `{}` or the \
             gateway's own configuration",
            env::LITELLM_PROXY_BASE_URL
        ),
    )
}

fn web_page(base_url: &str) -> UnusableAlias {
    of_configuration(
        format!("{base_url} answers `POST /v1/messages` with a web page"),
        "web_page",
        "the address belongs to a server without the Messages API",
        format!("correct `{}`", env::LITELLM_PROXY_BASE_URL),
    )
}

fn no_message(base_url: &str, reply: &Reply) -> UnusableAlias {
    let variable = env::LITELLM_PROXY_BASE_URL;
    let (why, next) = match reply.json()["choices"].is_array() {
        true => (
            "the address answers in the form of OpenAI's API, which Claude Code does not speak",
            format!(
                "correct `{variable}`: a server of OpenAI's API alone needs a gateway before it, and its address belongs there"
            ),
        ),
        false => (
            "the address answers with success, and not with a message of the Messages API",
            format!("correct `{variable}`: below it, `POST {MESSAGES}` must answer as Anthropic's API does"),
        ),
    };
    of_configuration(
        format!("`POST {base_url}{MESSAGES}` got {}", reply.to_line()),
        "no_message",
        why,
        next,
    )
}

fn path_in_base(base_url: &str, meant: &str, reply: &Reply) -> UnusableAlias {
    of_configuration(
        reply.to_line(),
        "path_in_base",
        &format!("the gateway does not serve `{base_url}{MESSAGES}`"),
        format!("write `{}={meant}`", env::LITELLM_PROXY_BASE_URL),
    )
}

fn redirected(base_url: &str, reply: &Reply) -> UnusableAlias {
    let location = reply.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let asked = Url::parse(&format!("{base_url}{MESSAGES}")).ok();
    let target = asked.and_then(|asked| asked.join(location?).ok());
    let target = target.map_or_else(String::new, |url| http::redacted(&url));
    let variable = env::LITELLM_PROXY_BASE_URL;
    of_configuration(
        format!("HTTP {}: a redirect to `{target}`", reply.status.as_u16()),
        "redirect",
        "the address redirects each request, and Claude Code needs the gateway's own address",
        match target.strip_suffix(MESSAGES).filter(|base| *base != base_url) {
            Some(base) => format!("write `{variable}={base}`"),
            None => format!("correct `{variable}`, or the gateway's configuration"),
        },
    )
}

fn forgotten_provider() -> UnusableAlias {
    of_configuration(
        "the reply comes from a provider simulator, and this run is live".to_owned(),
        "provider_url_forgotten",
        "the gateway calls a provider simulator that this run does not know",
        format!(
            "set `{}` to the address that `compat provider serve` prints, and `{}` to its key file",
            env::COMPAT_PROVIDER_URL,
            env::COMPAT_PROVIDER_CONTROL_KEY_FILE
        ),
    )
}

fn other_provider() -> UnusableAlias {
    of_configuration(
        "the gateway answers, but the simulator received no request".to_owned(),
        "other_provider",
        "the gateway calls another provider than the simulator of this run",
        format!(
            "set the provider's base in the gateway's configuration to `{}`, or correct that variable",
            env::COMPAT_PROVIDER_URL
        ),
    )
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
    fn is_transient(&self) -> bool {
        matches!(self.diagnosis.cause, Cause::RateLimit | Cause::Upstream)
    }

    /// The failure of a trial that was not run.
    pub fn failure(&self, alias: &str) -> Failure {
        Failure {
            cause: self.diagnosis.cause,
            headline: None,
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
