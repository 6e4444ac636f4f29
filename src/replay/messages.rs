//! The HTTP messages of a trial, as text and as `curl` commands.

use std::fmt::Write as _;

use crate::evidence::{Evidence, file};
use crate::text::shell_word;
use crate::wire::exchange::{Body, RecordedRequest, SentEvent};
use crate::wire::{Route, redaction};

/// The messages of a trial (or of its `turn`) on both sides of the gateway: heads and bodies, one event of a stream per line.
pub fn raw(evidence: &Evidence, turn: Option<usize>) -> String {
    let is_wanted = |known: Option<usize>| turn.is_none() || known == turn;
    let mut parts: Vec<(u64, u8, String)> = Vec::new();
    let mut push = |at_ms, rank, arrow, file, line, text| {
        parts.push((at_ms, rank, format!("=== {arrow}  {file}:{line}\n{text}")));
    };
    for passage in evidence.sent.iter().filter(|passage| is_wanted(passage.turn)) {
        let (file, line, request) = (file::GATEWAY_EXCHANGES, passage.number, &passage.request);
        push(
            request.at_ms,
            0,
            "claude → gateway",
            file,
            line,
            request_text(request),
        );
        if let Some(reply) = &passage.reply {
            let text = reply_text(reply.status, &reply.headers, &reply.events, reply.cut_off);
            push(reply.at_ms, 3, "gateway → claude", file, line, text);
        }
    }
    for exchange in evidence
        .exchanges
        .iter()
        .filter(|exchange| is_wanted(exchange.turn))
    {
        let (file, line, request) = (file::PROVIDER_EXCHANGES, exchange.number, &exchange.request);
        push(
            request.at_ms,
            1,
            "gateway → provider",
            file,
            line,
            request_text(request),
        );
        let reply = &exchange.reply;
        let at_ms = reply.events.first().map_or(request.at_ms, |event| event.at_ms);
        let text = reply_text(reply.status, &[], &reply.events, reply.cut_off);
        push(at_ms, 2, "provider → gateway", file, line, text);
    }
    parts.sort_by_key(|(at_ms, rank, _)| (*at_ms, *rank));
    let texts: Vec<String> = parts.into_iter().map(|(_, _, text)| text).collect();
    texts.join("\n")
}

fn request_text(request: &RecordedRequest) -> String {
    let mut out = format!("{} {} HTTP/1.1\n", request.method, request.target());
    headers(&mut out, &request.headers);
    let _ = writeln!(out, "{}", body_text(&request.body));
    out
}

fn reply_text(status: u16, head: &[(String, String)], events: &[SentEvent], cut_off: bool) -> String {
    let mut out = format!("HTTP/1.1 {status}\n");
    headers(&mut out, head);
    for event in events {
        let _ = writeln!(out, "{}", event.data);
    }
    if cut_off {
        out.push_str("(cut off here)\n");
    }
    out
}

fn headers(out: &mut String, headers: &[(String, String)]) {
    for (name, value) in headers {
        let _ = writeln!(out, "{name}: {value}");
    }
    out.push('\n');
}

fn body_text(body: &Body) -> String {
    match body {
        Body::Json(value) => value.to_string(),
        Body::Text(text) => text.clone(),
        Body::Empty => String::new(),
    }
}

/// Headers of one connection, headers that `curl` sends itself, and credentials.
pub(super) const LEFT_OUT: [&str; 14] = [
    "host",
    "content-length",
    "connection",
    "accept-encoding",
    "transfer-encoding",
    "user-agent",
    "authorization",
    "x-api-key",
    "api-key",
    "cookie",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
    "traceparent",
];

/// How a command reaches a server. It names variables and contains no values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The variable that holds its address.
    pub base: &'static str,
    /// Arguments of `curl` for the credentials.
    pub credentials: Vec<String>,
    /// How to set the variables.
    pub hint: String,
}

/// The request of `turn` (from 1) as Claude Code sent it to the gateway.
pub fn to_gateway(evidence: &Evidence, turn: usize) -> Option<&RecordedRequest> {
    let passage = evidence.sent.iter().find(|passage| passage.turn == Some(turn))?;
    Some(&passage.request)
}

/// The request of `turn` (from 1) as the gateway sent it to the provider, and its route.
pub fn to_provider(evidence: &Evidence, turn: usize) -> Option<(&RecordedRequest, Option<Route>)> {
    let mut exchanges = evidence.exchanges.iter();
    let exchange = exchanges.find(|exchange| exchange.turn == Some(turn))?;
    Some((&exchange.request, exchange.route))
}

/// A command for a POSIX shell that sends `request` again, without private values of the run.
pub fn curl(request: &RecordedRequest, reach: &Reach) -> String {
    let mut words = vec![format!(
        "curl -sS -N -i -X {} \"${{{}}}\"{}",
        request.method,
        reach.base,
        shell_word(&redaction::of_text(&request.target()))
    )];
    words.extend(reach.credentials.iter().cloned());
    for (name, value) in &request.headers {
        if !LEFT_OUT.contains(&name.as_str()) {
            let header = format!("{name}: {}", redaction::of_text(value));
            words.push(format!("-H {}", shell_word(&header)));
        }
    }
    words.push("--data-binary @- <<'COMPAT_REQUEST'".to_owned());
    let body = match &request.body {
        Body::Json(value) => redaction::of_value(value).to_string(),
        other => redaction::of_text(&body_text(other)),
    };
    let command = words.join(" \\\n  ");
    format!("# {}\n{command}\n{body}\nCOMPAT_REQUEST\n", reach.hint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request() -> RecordedRequest {
        RecordedRequest {
            at_ms: 0,
            method: "POST".into(),
            path: "/v1/messages".into(),
            query: "beta=true".into(),
            headers: vec![
                ("authorization".into(), "[redacted, 9 bytes]".into()),
                ("anthropic-beta".into(), "it's,b".into()),
                ("host".into(), "127.0.0.1:1".into()),
            ],
            body: Body::Json(json!({ "model": "m", "key": "sk-abcdefghijkl" })),
        }
    }

    #[test]
    fn a_command_has_variables_instead_of_secrets() {
        let request = request();
        let reach = Reach {
            base: "BASE",
            credentials: vec!["-H \"authorization: Bearer ${KEY}\"".into()],
            hint: "Set BASE and KEY.".into(),
        };
        let text = curl(&request, &reach);
        assert_eq!(
            text,
            "# Set BASE and KEY.
curl -sS -N -i -X POST \"${BASE}\"'/v1/messages?beta=true' \\
  -H \"authorization: Bearer ${KEY}\" \\
  -H 'anthropic-beta: it'\\''s,b' \\
  --data-binary @- <<'COMPAT_REQUEST'
{\"model\":\"m\",\"key\":\"[redacted]\"}
COMPAT_REQUEST
"
        );
    }
}
