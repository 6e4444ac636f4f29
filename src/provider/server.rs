//! The simulator's request handler: it reads a request, finds its trial, decides on a reply, records it and sends it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::callers::CallerCredentials;
use super::credentials::Credentials;
use super::incoming::{Incoming, ReceivedBody};
use super::oauth::AccessTokens;
use super::playback::Stage;
use super::response::{self, Outgoing};
use super::rules::{self, SentThinking, Subject};
use super::signature::Signer;
use super::trials::{ScriptProgress, ScriptedTrial, owner};
use super::{Notice, SimulatorOptions, Unscripted, control, metadata, model_list, standalone};
use crate::clock::now_ms;
use crate::drift::tape::Tape;
use crate::ids::TrialKey;
use crate::ledger::{Ledger, TrialMap};
use crate::wire::answer::ProviderAnswer;
use crate::wire::error_reply::{ErrorReply, kind_of, status_of};
use crate::wire::exchange::{Matched, ProviderExchange};
use crate::wire::message::MessageRequest;
use crate::wire::place::ProcessingPlace;
use crate::wire::reply_fields::ReplyFields;
use crate::wire::script::{Reply, ReplyBlock, ReplyMessage, Script};
use crate::wire::secrets::Secrets;
use crate::wire::{Operation, Route, reply_id, tokens};

/// The requests of no trial that are kept: a gateway's checks of its own health never end.
pub(super) const ORPHANS_KEPT: usize = 1000;

pub(super) struct Server {
    pub(super) options: SimulatorOptions,
    pub(super) credentials: Credentials,
    pub(super) trials: TrialMap<ScriptedTrial>,
    pub(super) orphans: Ledger<ProviderExchange>,
    /// The numbers of the orphans that turned out to be a trial's.
    pub(super) claimed: Mutex<HashSet<usize>>,
    /// Whether the observer knows that `orphans` forgets.
    pub(super) forgets: AtomicBool,
    /// What answers requests of no trial, with one prompt cache. Their exchanges are in `orphans`.
    pub(super) standing: Option<ScriptedTrial>,
    pub(super) signer: Signer,
    pub(super) access_tokens: AccessTokens,
    /// The values that no recording may contain.
    pub(super) secret_values: Vec<String>,
    pub(super) secrets: Secrets,
    pub(super) callers: Mutex<CallerCredentials>,
}

/// The reply to a request, and its reason.
struct Decision {
    matched: Matched,
    outgoing: Outgoing,
}

pub(super) async fn handle(State(server): State<Arc<Server>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if metadata::is_asked(&server, &parts) {
        return metadata::handle(&server, &parts);
    }
    let body = ReceivedBody::read(body).await;
    if parts.uri.path().starts_with(control::PREFIX) {
        return control::handle(&server, &parts, &body.into_bytes());
    }
    let incoming = Incoming::read(&parts, body, now_ms());
    server.answer(incoming).await
}

impl Server {
    pub(super) fn register(&self, key: TrialKey, script: Script) {
        self.trials.insert(key, ScriptedTrial::new(script));
    }

    pub(super) fn shown(&self, key: TrialKey, deltas: usize) {
        if let Some(trial) = self.trials.get(key) {
            trial.show(deltas);
        }
    }

    /// The exchanges of a trial so far.
    pub(super) fn exchanges(&self, key: TrialKey) -> Vec<ProviderExchange> {
        let trial = self.trials.get(key);
        trial.map(|trial| trial.ledger.exchanges()).unwrap_or_default()
    }

    /// The exchanges of no trial, without the claimed ones.
    pub(super) fn orphans(&self) -> Vec<ProviderExchange> {
        let claimed = self.claimed.lock();
        let mut orphans = self.orphans.exchanges();
        orphans.retain(|orphan| !claimed.contains(&orphan.number));
        orphans
    }

    /// Gives an exchange of no trial to the caller; `false` if another caller has it.
    pub(super) fn claim(&self, orphan: usize) -> bool {
        self.claimed.lock().insert(orphan)
    }

    pub(super) fn take(&self, key: TrialKey) -> Vec<ProviderExchange> {
        self.trials
            .remove(key)
            .map(|trial| trial.ledger.take())
            .unwrap_or_default()
    }

    /// From now on the requests are searched for `credential`, with which a client calls the gateway. One that is valid here
    /// is the provider's own, which a gateway may pass through.
    pub(super) fn watch(&self, credential: String) {
        if !self.secret_values.contains(&credential) {
            self.callers.lock().add(credential);
        }
    }

    pub(super) async fn answer(&self, incoming: Incoming) -> Response<Body> {
        let is_message = incoming.target.operation == Operation::Messages;
        let trial = owner(&self.trials, &incoming);
        let (turn, decision) = match (&trial, &self.standing) {
            (Some(trial), _) => trial.with_progress(|progress| {
                let is_turn = is_message && !incoming.is_broken_off && !is_probe(&incoming);
                let turn = is_turn.then(|| progress.next_turn());
                (turn, self.decide(&incoming, Some((trial, progress))))
            }),
            (None, Some(standing)) => standing.with_progress(|progress| {
                let decision = self.decide(&incoming, Some((standing, progress)));
                (None, decision)
            }),
            (None, None) => (None, self.decide(&incoming, None)),
        };
        let ledger = trial.as_ref().map_or(&self.orphans, |trial| &trial.ledger);
        let notify = |notice: Notice<'_>| {
            if let Some(observe) = &self.options.observe {
                observe(&self.secrets, notice);
            }
        };
        let recording = ledger.begin(|number| {
            let mut exchange = exchange(number, &incoming, turn, &decision);
            exchange.caller_credential = self.callers.lock().places_in(&incoming);
            let error = decision.outgoing.error();
            notify(Notice::Answered {
                exchange: &exchange,
                error,
            });
            exchange
        });
        if self.orphans.forgotten() > 0 && !self.forgets.swap(true, Ordering::Relaxed) {
            notify(Notice::Forgetting { kept: ORPHANS_KEPT });
        }
        if is_message && self.options.first_byte_delay_ms > 0 {
            sleep(Duration::from_millis(self.options.first_byte_delay_ms)).await;
        }
        decision.outgoing.send(recording, trial).await
    }

    fn decide(&self, incoming: &Incoming, trial: Option<(&ScriptedTrial, &mut ScriptProgress)>) -> Decision {
        if incoming.is_broken_off {
            let rule = "complete_body".to_owned();
            let refusal = ErrorReply::new(400, "the body of the request broke off");
            return refuse(incoming, Matched::Rejected { rule }, &refusal);
        }
        let nothing = SentThinking::new();
        let subject = Subject {
            incoming,
            sent_thinking: trial
                .as_ref()
                .map_or(&nothing, |(_, progress)| &progress.sent_thinking),
            credentials: &self.credentials,
            access_tokens: &self.access_tokens,
            signer: &self.signer,
            now_ms: incoming.recorded.at_ms,
            tiers: &self.options.tiers,
        };
        if let (Unscripted::Tape(tape), None) = (&self.options.unscripted, &trial)
            && incoming.target.operation != Operation::OauthToken
        {
            return match rules::refused_credential(&subject) {
                Some((rule, refusal)) => {
                    let rule = rule.to_owned();
                    refuse(incoming, Matched::Rejected { rule }, &refusal)
                }
                None => play_tape(incoming, tape),
            };
        }
        if let Some((rule, refusal)) = rules::broken(&subject) {
            let matched = if incoming.target.operation == Operation::Unknown {
                let request = &incoming.recorded;
                let why = format!("no provider has `{} {}`", request.method, request.path);
                Matched::Unmatched { why }
            } else {
                let rule = rule.to_owned();
                Matched::Rejected { rule }
            };
            return refuse(incoming, matched, &refusal);
        }
        match incoming.target.operation {
            Operation::OauthToken => self.exchange_token(incoming),
            Operation::CountTokens => count_tokens(incoming),
            Operation::ListModels => list_models(incoming, &self.options.tiers),
            Operation::Messages | Operation::Unknown => self.answer_message(incoming, trial),
        }
    }

    fn exchange_token(&self, incoming: &Incoming) -> Decision {
        let form = String::from_utf8_lossy(&incoming.bytes);
        let now_ms = incoming.recorded.at_ms;
        match self.access_tokens.exchange(&self.credentials, &form, now_ms) {
            Ok(body) => {
                let recorded = json!({"access_token": "[redacted]", "token_type": "Bearer"});
                built_in(Outgoing::secret_json(&body, recorded))
            }
            Err(body) => Decision {
                matched: Matched::Rejected {
                    rule: "oauth_assertion".to_owned(),
                },
                outgoing: Outgoing::json(400, Vec::new(), body),
            },
        }
    }

    fn answer_message(
        &self,
        incoming: &Incoming,
        trial: Option<(&ScriptedTrial, &mut ScriptProgress)>,
    ) -> Decision {
        if is_probe(incoming) {
            let progress = &mut ScriptProgress::default();
            return self.play(incoming, &probe_reply(), progress, Matched::BuiltIn);
        }
        let Some((trial, progress)) = trial else {
            return unmatched(incoming, "the request belongs to no active trial".to_owned());
        };
        if let Some(reply) = &trial.default {
            let forced = standalone::forced(incoming);
            return self.play(
                incoming,
                forced.as_ref().unwrap_or(reply),
                progress,
                Matched::BuiltIn,
            );
        }
        if let (Some(model), Some(request)) = (&trial.model, &incoming.message) {
            let reply = model.answer(incoming.route(), request);
            return self.send(incoming, &reply, progress, Matched::BuiltIn);
        }
        match trial.next_reply(progress, incoming) {
            Err(why) => unmatched(incoming, why),
            Ok((number, reply)) => self.send(incoming, reply, progress, Matched::Script { reply: number }),
        }
    }

    fn send(
        &self,
        incoming: &Incoming,
        reply: &Reply,
        progress: &mut ScriptProgress,
        matched: Matched,
    ) -> Decision {
        match reply {
            Reply::Message(message) => self.play(incoming, message, progress, matched),
            Reply::Error(error) => {
                let kind = error.kind.as_deref().unwrap_or_else(|| kind_of(error.status));
                let refusal = ErrorReply::of_kind(error.status, kind, &error.message);
                let mut decision = refuse(incoming, matched, &refusal);
                decision.outgoing.add_headers(&error.headers);
                decision
            }
        }
    }

    fn play(
        &self,
        incoming: &Incoming,
        reply: &ReplyMessage,
        progress: &mut ScriptProgress,
        matched: Matched,
    ) -> Decision {
        let Some(request) = &incoming.message else {
            return unmatched(incoming, "the request has no messages".to_owned());
        };
        let stage = Stage {
            route: incoming.route(),
            request,
            context_management: asks_for_context_management(incoming),
            has_safeguards: incoming
                .prompt
                .as_ref()
                .is_some_and(|prompt| prompt.get("safeguards").is_some()),
            fields: self.reply_fields(incoming, &request.model),
            signer: &self.signer,
            now_ms: incoming.recorded.at_ms,
        };
        let interrupted = reply
            .interrupt
            .as_ref()
            .and_then(|interrupt| interrupt.error.as_ref());
        if let Some(error) = interrupted.filter(|_| !incoming.stream()) {
            let refusal = ErrorReply::of_kind(status_of(&error.kind), &error.kind, &error.message);
            let mut decision = refuse(incoming, matched, &refusal);
            decision.outgoing.add_headers(&reply.headers);
            return decision;
        }
        let answer = stage.play(reply, progress.caches.entry(incoming.route()).or_default());
        remember_thinking(&answer, &mut progress.sent_thinking);
        match Outgoing::answer(&answer, incoming.route(), incoming.stream(), reply) {
            Ok(outgoing) => Decision { matched, outgoing },
            Err(error) => unmatched(incoming, format!("the reply cannot be framed: {error}")),
        }
    }

    /// The further fields of the reply to `incoming`.
    fn reply_fields(&self, incoming: &Incoming, model: &str) -> ReplyFields {
        let token = incoming.header("authorization");
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        let is_subscription = token.is_some_and(|token| token == self.credentials.oauth_token());
        ReplyFields::of(incoming.route(), model, is_subscription).asked_by(incoming.prompt.as_ref())
    }
}

/// The recorded reply to a request.
fn play_tape(incoming: &Incoming, tape: &Tape) -> Decision {
    match tape.reply(&incoming.recorded) {
        Ok((_, reply)) => match Outgoing::recorded(reply, incoming.route()) {
            Ok(outgoing) => built_in(outgoing),
            Err(error) => unmatched(incoming, format!("the recorded reply cannot be framed: {error}")),
        },
        Err(why) => unmatched(incoming, why),
    }
}

fn is_probe(incoming: &Incoming) -> bool {
    incoming.message.as_ref().is_some_and(MessageRequest::is_probe)
}

fn probe_reply() -> ReplyMessage {
    ReplyMessage {
        stop_reason: Some("max_tokens".to_owned()),
        ..standalone::of_block(ReplyBlock::Text("Yes".to_owned()))
    }
}

/// Remembers the thinking before each tool call.
fn remember_thinking(answer: &ProviderAnswer, sent: &mut SentThinking) {
    let mut signatures = Vec::new();
    for block in &answer.content {
        if block["type"] == "thinking" {
            signatures.extend(block["signature"].as_str().map(str::to_owned));
        } else if let Some(id) = block["id"].as_str().filter(|_| !signatures.is_empty()) {
            sent.insert(id.to_owned(), signatures.clone());
        }
    }
}

fn asks_for_context_management(incoming: &Incoming) -> bool {
    incoming
        .prompt
        .as_ref()
        .is_some_and(|prompt| prompt.get("context_management").is_some_and(Value::is_object))
}

fn count_tokens(incoming: &Incoming) -> Decision {
    let count = incoming.message.as_ref().map_or(0, tokens::of_request);
    let name = match incoming.route() {
        Route::BedrockInvoke | Route::BedrockConverse => "inputTokens",
        Route::Anthropic | Route::VertexAi | Route::Azure | Route::BedrockMantle => "input_tokens",
    };
    let id = reply_id::digits(reply_id::new(Uuid::new_v4));
    let headers = response::headers_of_reply(incoming.route(), &format!("01{id}"));
    let mut outgoing = Outgoing::json(200, headers, json!({name: count}));
    outgoing.reply.usage.input_tokens = count;
    built_in(outgoing)
}

fn list_models(incoming: &Incoming, tiers: &[String]) -> Decision {
    let models = match &incoming.target.model {
        Some(name) => model_list::one(name, tiers),
        None => model_list::page(&incoming.recorded.query, tiers),
    };
    match models {
        Ok(body) => {
            let id = reply_id::digits(reply_id::new(Uuid::new_v4));
            let headers = response::headers_of_reply(incoming.route(), &format!("01{id}"));
            built_in(Outgoing::json(200, headers, body))
        }
        Err(refusal) => refuse(incoming, Matched::BuiltIn, &refusal),
    }
}

fn built_in(outgoing: Outgoing) -> Decision {
    Decision {
        matched: Matched::BuiltIn,
        outgoing,
    }
}

/// Status 400, so that no client retries the request.
fn unmatched(incoming: &Incoming, why: String) -> Decision {
    let refusal = ErrorReply::new(400, format!("provider simulator: {why}"));
    refuse(incoming, Matched::Unmatched { why }, &refusal)
}

fn refuse(incoming: &Incoming, matched: Matched, refusal: &ErrorReply) -> Decision {
    let rendered = refusal.render(incoming.route(), reply_id::new(Uuid::new_v4));
    let outgoing = Outgoing::json(rendered.status, rendered.headers, rendered.body);
    Decision { matched, outgoing }
}

fn exchange(
    number: usize,
    incoming: &Incoming,
    turn: Option<usize>,
    decision: &Decision,
) -> ProviderExchange {
    ProviderExchange {
        number,
        turn,
        route: incoming.target.route,
        operation: incoming.target.operation,
        keyless: false,
        caller_credential: Vec::new(),
        wanted_place: ProcessingPlace::default(),
        request: incoming.recorded.clone(),
        message: incoming.message.clone(),
        matched: decision.matched.clone(),
        reply: decision.outgoing.reply.clone(),
    }
}
