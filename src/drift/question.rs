//! What a simulator is asked about a recording.

use super::encoded::PLACEHOLDER;
use super::redact::NO_ARN;
use super::{CassetteHead, RecordedReply, RecordedSide, Recording, answer};
use crate::wire::exchange::{BROKEN_OFF, Body, RecordedRequest, TOO_LARGE};
use crate::wire::model::{canonical_name, find};
use crate::wire::script::Reply;
use crate::wire::{Operation, Route};

/// The question about a recording.
#[derive(Debug)]
pub(super) enum Question {
    /// What the simulator answers to this request, scripted with each of these replies.
    Ask {
        request: RecordedRequest,
        route: Route,
        replies: Vec<Reply>,
    },
    /// Nothing: a cassette cannot say what is right. With the reason.
    None(&'static str),
}

/// A status for credentials or permissions.
fn is_about_access(status: u16) -> bool {
    matches!(status, 401 | 403)
}

/// Whether a provider refuses a request for its form or its content.
pub(super) fn is_refusal(status: u16) -> bool {
    (400..500).contains(&status) && !is_about_access(status) && !matches!(status, 402 | 408 | 429)
}

/// Whether an image or a document was replaced.
fn has_lost_data(body: &Body) -> bool {
    let Body::Json(body) = body else {
        return false;
    };
    let body = body.to_string();
    // The keys of the Messages API and of Converse.
    ["data", "bytes"]
        .iter()
        .any(|key| body.contains(&format!(r#""{key}":"{PLACEHOLDER}""#)))
}

/// Whether a gateway passes requests of this column on in their own form.
fn keeps_form(recording: &Recording) -> bool {
    Route::called(recording.trial.cell.provider.as_str()).is_some_and(Route::is_messages_api)
}

/// The question about `recording`, from a cassette with `head`.
pub(super) fn question(head: &CassetteHead, recording: &Recording) -> Question {
    let Some(reply) = &recording.reply else {
        return Question::None("the client hung up before a reply came");
    };
    let is_client = recording.side == RecordedSide::Client;
    let why = match recording.operation {
        _ if recording.request.body == Body::Text(TOO_LARGE.to_owned()) => {
            Some("the request is too large to be recorded")
        }
        _ if recording.request.body == Body::Text(BROKEN_OFF.to_owned()) => Some("the request broke off"),
        _ if recording.request.path.contains(NO_ARN) => Some("the ARN of the model is private"),
        _ if has_lost_data(&recording.request.body) => Some("data of the request had a private value"),
        Operation::OauthToken => Some("a request for an access token is a credential"),
        Operation::ListModels | Operation::Unknown if is_client => Some("only the gateway has this path"),
        _ if is_client && recording.route != Some(Route::Anthropic) => {
            Some("Claude Code called the gateway in another API than the Messages API")
        }
        _ if is_about_access(reply.status) => {
            Some("a cassette has no credentials, so their refusal says nothing")
        }
        _ if is_client && reply.status >= 400 && !keeps_form(recording) => {
            Some("the gateway translates requests of this column, so the refusal may be its own")
        }
        _ => None,
    };
    if let Some(why) = why {
        return Question::None(why);
    }
    let mut request = recording.request.clone();
    if is_client && !name_model(head, &mut request) {
        return Question::None("the model behind the gateway's alias is not known");
    }
    let route = recording.route.unwrap_or(Route::Anthropic);
    Question::Ask {
        request,
        route,
        replies: replies(route, recording.operation, reply),
    }
}

fn replies(route: Route, operation: Operation, reply: &RecordedReply) -> Vec<Reply> {
    match operation {
        // A simulator that would accept the request answers anything.
        _ if is_refusal(reply.status) => vec![answer::any()],
        Operation::CountTokens if reply.status < 400 => vec![answer::any()],
        _ => answer::same_form(route, reply),
    }
}

/// Replaces the gateway's alias by the model's own name. Returns whether it is known.
fn name_model(head: &CassetteHead, request: &mut RecordedRequest) -> bool {
    let Body::Json(body) = &mut request.body else {
        return true;
    };
    let Some(alias) = body["model"].as_str() else {
        return true;
    };
    let name = head.models.get(alias).map_or(alias, String::as_str);
    let name = canonical_name(name).to_owned();
    let is_known = find(&name).is_some();
    body["model"] = name.into();
    is_known
}
