//! Compares a recorded reply with the simulator's answers to the same request.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::question::is_refusal;
use super::shape::{BODY, Fields, NULL, ReplyShape};
use super::{RecordedReply, RecordedSide, Recording, answer};
use crate::wire::Route;
use crate::wire::betas;
use crate::wire::error_reply::message_in;
use crate::wire::exchange::{Matched, ProviderExchange, ProviderReply};
use crate::wire::messages;

/// How the simulator differs from what was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// A request with this beta was accepted, and the simulator refuses the beta.
    BetaAccepted,
    /// The request was accepted, and the simulator refuses it.
    Accepted,
    /// The request was refused, and the simulator accepts it.
    Refused,
    OtherStatus,
    /// The type or the name of an error.
    OtherError,
    NewEvent,
    MissingEvent,
    OtherOrder,
    NewField,
    MissingField,
    OtherType,
    NewHeader,
    MissingHeader,
    OtherHeader,
}

impl DriftKind {
    /// Whether the statuses differ, so that the recorded reply has no counterpart.
    pub fn hides_the_reply(self) -> bool {
        matches!(
            self,
            Self::BetaAccepted | Self::Accepted | Self::Refused | Self::OtherStatus
        )
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::BetaAccepted => "beta accepted",
            Self::Accepted => "request accepted",
            Self::Refused => "request refused",
            Self::OtherStatus => "other status",
            Self::OtherError => "other error",
            Self::NewEvent => "new event",
            Self::MissingEvent => "missing event",
            Self::OtherOrder => "other order",
            Self::NewField => "new field",
            Self::MissingField => "missing field",
            Self::OtherType => "other type",
            Self::NewHeader => "new header",
            Self::MissingHeader => "missing header",
            Self::OtherHeader => "other header",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    pub kind: DriftKind,
    /// Where it is: `message_start: message.usage.tier`, `header retry-after`, the name of a rule.
    pub place: String,
    /// What was recorded; empty for nothing.
    pub recorded: String,
    /// What the simulator has; empty for nothing.
    pub simulated: String,
}

impl Drift {
    fn new(
        kind: DriftKind,
        place: impl Into<String>,
        recorded: impl Into<String>,
        simulated: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            place: place.into(),
            recorded: recorded.into(),
            simulated: simulated.into(),
        }
    }
}

/// The differences between a recording and the simulator's `answers` to its request, one for each scripted reply.
pub(super) fn compare(recording: &Recording, answers: &[ProviderExchange]) -> Vec<Drift> {
    let (Some(reply), Some(answer)) = (&recording.reply, answers.first()) else {
        return Vec::new();
    };
    let simulated = &answer.reply;
    if is_refusal(reply.status) && simulated.status < 400 {
        let words = message_in(&reply.events);
        let place = format!("status {}: {}", reply.status, generic(words));
        return vec![Drift::new(DriftKind::Refused, place, "refused", "accepted")];
    }
    if let (true, Some(rule)) = (reply.status < 400, broken_rule(&answer.matched)) {
        return accepted(recording, answer, rule);
    }
    if reply.status != simulated.status {
        let (recorded, simulated) = (reply.status.to_string(), simulated.status.to_string());
        return vec![Drift::new(DriftKind::OtherStatus, "status", recorded, simulated)];
    }
    let route = recording.route.unwrap_or(Route::Anthropic);
    let mut found = headers(recording.side, reply, simulated);
    found.extend(shapes(route, reply, answers));
    found
}

fn broken_rule(matched: &Matched) -> Option<&str> {
    match matched {
        Matched::Rejected { rule } => Some(rule),
        Matched::Unmatched { why } => Some(why),
        Matched::Script { .. } | Matched::BuiltIn => None,
    }
}

/// The provider accepted what the simulator's `rule` refuses. Each beta that the simulator does not know is a fault of its own.
fn accepted(recording: &Recording, answer: &ProviderExchange, rule: &str) -> Vec<Drift> {
    let route = recording.route.unwrap_or(Route::Anthropic);
    let words = message_in(&answer.reply.events);
    let betas: BTreeSet<String> = match (rule, &answer.message) {
        ("known_betas", Some(message)) => message.betas.iter().cloned().collect(),
        ("known_betas", None) => messages::betas(recording.request.header("anthropic-beta")).collect(),
        _ => BTreeSet::new(),
    };
    let unknown = betas.into_iter().filter(|beta| !betas::is_accepted(route, beta));
    let found: Vec<Drift> = unknown
        .map(|beta| Drift::new(DriftKind::BetaAccepted, beta, "accepted", "refused"))
        .collect();
    match found.is_empty() {
        true => {
            let refused = format!("refused: {}", generic(words));
            vec![Drift::new(DriftKind::Accepted, rule, "accepted", refused)]
        }
        false => found,
    }
}

/// `words` without the parts that differ from request to request.
fn generic(words: &str) -> String {
    let line = words.lines().next().unwrap_or_default();
    let mut generic = String::new();
    let mut in_number = false;
    for character in line.chars().take(160) {
        let is_digit = character.is_ascii_digit();
        match (is_digit, in_number) {
            (true, true) => {}
            (true, false) => generic.push('N'),
            (false, _) => generic.push(character),
        }
        in_number = is_digit;
    }
    generic
}

const CONTENT_TYPE: &str = "content-type";

/// Headers of the connection, of the network in front of a provider, or with the time: they say nothing about its API.
const NOT_OF_THE_API: [&str; 25] = [
    "access-control-allow-origin",
    "access-control-expose-headers",
    "alt-svc",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    CONTENT_TYPE,
    "date",
    "expires",
    "keep-alive",
    "nel",
    "pragma",
    "referrer-policy",
    "report-to",
    "server",
    "server-timing",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
    "via",
    "x-content-type-options",
    "x-robots-tag",
];

/// Whether a header is a part of the provider's API, and not of the network in front of it.
fn is_of_the_api(name: &str) -> bool {
    let is_of_network = |start: &&str| name.starts_with(*start);
    !NOT_OF_THE_API.contains(&name)
        && ![
            "cf-",
            "x-frame-",
            "x-xss-",
            "x-envoy-",
            "x-cloud-trace",
            "traceresponse",
        ]
        .iter()
        .any(is_of_network)
}

/// The names of the headers of an API. A family of limits counts once.
fn names(headers: &[(String, String)]) -> BTreeSet<String> {
    let families = ["anthropic-ratelimit-", "x-ratelimit-", "x-ms-"];
    let names = headers.iter().map(|(name, _)| name.as_str());
    names
        .filter(|name| is_of_the_api(name))
        .map(
            |name| match families.iter().find(|family| name.starts_with(**family)) {
                Some(family) => format!("{family}*"),
                None => name.to_owned(),
            },
        )
        .collect()
}

/// Compares the headers. On the client's side they are the gateway's own, but for the content type.
fn headers(side: RecordedSide, reply: &RecordedReply, simulated: &ProviderReply) -> Vec<Drift> {
    let of = |headers: &[(String, String)], wanted: &str| -> String {
        let mut found = headers.iter().filter(|(name, _)| name == wanted);
        found.next().map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let mut found = Vec::new();
    // The content type without parameters, and the error's name without its namespace.
    let mut values = vec![(CONTENT_TYPE, ';', DriftKind::OtherHeader)];
    if side == RecordedSide::Provider {
        values.push(("x-amzn-errortype", ':', DriftKind::OtherError));
        let (recorded, own) = (names(&reply.headers), names(&simulated.headers));
        let header = |name: &String| format!("header {name}");
        let new = recorded.difference(&own);
        found.extend(new.map(|name| Drift::new(DriftKind::NewHeader, header(name), "present", "")));
        let missing = own.difference(&recorded);
        found.extend(missing.map(|name| Drift::new(DriftKind::MissingHeader, header(name), "", "present")));
    }
    for (name, end, kind) in values {
        let essence = |headers: &[(String, String)]| {
            let value = of(headers, name);
            value.split(end).next().unwrap_or_default().trim().to_lowercase()
        };
        let (recorded, own) = (essence(&reply.headers), essence(&simulated.headers));
        // Other headers of the API were compared by their names.
        let is_alone = name == CONTENT_TYPE;
        let kind = match (recorded.is_empty(), own.is_empty()) {
            (false, false) if recorded != own => kind,
            (false, true) if is_alone => DriftKind::NewHeader,
            (true, false) if is_alone => DriftKind::MissingHeader,
            _ => continue,
        };
        found.push(Drift::new(kind, format!("header {name}"), recorded, own));
    }
    found
}

fn shapes(route: Route, reply: &RecordedReply, answers: &[ProviderExchange]) -> Vec<Drift> {
    let recorded = ReplyShape::of(&reply.events, reply.stream);
    let mut simulated = ReplyShape::default();
    for (index, answer) in answers.iter().enumerate() {
        let shape = ReplyShape::of(&answer.reply.events, answer.reply.stream);
        match index {
            0 => simulated = shape,
            _ => simulated.add(shape),
        }
    }
    // A simulator never answers without content.
    if reply.status < 400 && !answer::has_content(route, reply) {
        simulated = simulated.without_content();
    }
    let is_whole = !answer::is_partial(route, reply);
    let mut found = Vec::new();
    for (label, fields) in &recorded.parts {
        match simulated.parts.get(label) {
            Some(own) => differing_fields(label, fields, own, &mut found),
            None => found.push(Drift::new(DriftKind::NewEvent, label, "sent", "")),
        }
    }
    if is_whole {
        let missing = simulated
            .parts
            .keys()
            .filter(|label| !recorded.parts.contains_key(*label));
        // A provider sends any number of pings, or none.
        let missing = missing.filter(|label| *label != "ping");
        found.extend(missing.map(|label| Drift::new(DriftKind::MissingEvent, label, "", "sent")));
    }
    found.extend(order(&recorded, &simulated, is_whole));
    found
}

fn differing_fields(label: &str, recorded: &Fields, own: &Fields, found: &mut Vec<Drift>) {
    let place = |path: &str| match label {
        BODY => path.to_owned(),
        label => format!("{label}: {path}"),
    };
    let words = |types: &BTreeSet<String>| types.iter().cloned().collect::<Vec<_>>().join(" or ");
    // A field within a new or missing one is no fault of its own.
    let is_within = |path: &str, others: &Fields| {
        let parents = path
            .char_indices()
            .filter(|(_, character)| matches!(character, '.' | '['));
        parents
            .into_iter()
            .any(|(at, _)| !others.contains_key(&path[..at]))
    };
    for (path, types) in recorded {
        let Some(known) = own.get(path) else {
            if !is_within(path, own) && !may_be_empty(path, own) {
                found.push(Drift::new(DriftKind::NewField, place(path), words(types), ""));
            }
            continue;
        };
        let is_open = |types: &BTreeSet<String>| types.contains(NULL);
        if types.is_subset(known) || is_open(types) || is_open(known) {
            continue;
        }
        let kind = match path.starts_with("error.") {
            true => DriftKind::OtherError,
            false => DriftKind::OtherType,
        };
        found.push(Drift::new(kind, place(path), words(types), words(known)));
    }
    for (path, types) in own {
        if !recorded.contains_key(path) && !is_within(path, recorded) && !may_be_empty(path, recorded) {
            found.push(Drift::new(DriftKind::MissingField, place(path), "", words(types)));
        }
    }
}

/// Whether `path` is the item of a list, or a field of a value that is null on the other side: both may be empty there.
fn may_be_empty(path: &str, others: &Fields) -> bool {
    let is_null = |parent: &str| others.get(parent).is_some_and(|types| types.contains(NULL));
    let parent = path.rfind(['.', '[']).map_or("", |at| &path[..at]);
    // An item with a type is a kind of its own; a plain one shows only that the list is not empty.
    path.ends_with("[]") || is_null(parent)
}

/// The events that end a message.
const ENDS: [&str; 2] = ["message_stop", "messageStop"];

/// The first event at another place. A reply that is not whole ends early: by a cut, or by an error in place of any event.
fn order(recorded: &ReplyShape, simulated: &ReplyShape, is_whole: bool) -> Option<Drift> {
    let common = |shape: &ReplyShape, other: &ReplyShape| -> Vec<String> {
        let known = |label: &&String| other.parts.contains_key(*label);
        let mut order: Vec<String> = shape.order.iter().filter(known).cloned().collect();
        order.dedup();
        order
    };
    let (mut before, mut after) = (common(recorded, simulated), common(simulated, recorded));
    if !is_whole {
        let is_error = |label: &String| label == "error" || label.ends_with("Exception");
        let has_end = |order: &[String]| order.iter().any(|label| ENDS.contains(&label.as_str()));
        if before.last().is_some_and(is_error) && !has_end(&before) {
            before.pop();
        }
        after.truncate(before.len());
    }
    let at = before
        .iter()
        .zip(&after)
        .position(|(one, other)| one != other)
        .or_else(|| (before.len() != after.len()).then(|| before.len().min(after.len())))?;
    let event = |order: &[String]| order.get(at).cloned().unwrap_or_else(|| "the end".to_owned());
    let place = match at.checked_sub(1).and_then(|at| before.get(at)) {
        Some(last) => format!("after {last}"),
        None => "at the beginning".to_owned(),
    };
    Some(Drift::new(
        DriftKind::OtherOrder,
        place,
        event(&before),
        event(&after),
    ))
}
