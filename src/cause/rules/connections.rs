//! Addresses where nobody answers, and connections that break.
//!
//! Never looks at anything but the message.
#![warn(clippy::disallowed_methods)]

use super::When::Says;
use super::{GUESS, LIKELY, PLAUSIBLE, Rule};
use crate::cause::Route;
use crate::outcome::Cause::{Assertion, Config, Gateway, Harness, Upstream};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "nobody_listens",
        cause: Config,
        confidence: LIKELY,
        when: Says(&[
            r"failed to connect to .{0,60} port|could(?: not|n't) connect to server",
            r"ECONNREFUSED|ConnectionRefused|connection refused|actively refused|errno 111|FailedToOpenSocket|connect call failed|all connection attempts failed",
            r"could not connect to the endpoint url|EndpointConnectionError",
            r"(?:error sending request|fetch failed|unable to connect|cannot connect|couldn't connect|connect timeout|connection (?:error|failed)|request failed).{0,120}(?:localhost|127\.0\.0\.1|\b0\.0\.0\.0|\[::1\]|host\.docker\.internal)",
        ]),
        unless: &[],
        on: &[],
        why: "nobody listens at the base that was called",
        next: "check that the gateway runs and that the base in the message is its address",
        example: "API Error: Unable to connect to API (ConnectionRefused)",
    },
    Rule {
        name: "provider_name_not_resolved",
        cause: Harness,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"(?:ENOTFOUND|getaddrinfo|not known|resolve|servname|no such host|nameresolution).{0,120}(?:anthropic\.com|amazonaws\.com|googleapis\.com|openai\.com)",
            r"(?:anthropic\.com|amazonaws\.com|googleapis\.com|openai\.com).{0,200}(?:ENOTFOUND|getaddrinfo|not known|resolve|servname|no such host|nameresolution)",
        ]),
        unless: &[],
        on: &[],
        why: "a provider's own host name does not resolve on this machine",
        next: "whoever runs the matrix checks name resolution and the way out to the internet of the machine",
        example: "request to https://api.anthropic.com/v1/messages failed, reason: getaddrinfo ENOTFOUND api.anthropic.com",
    },
    Rule {
        name: "name_not_resolved",
        cause: Config,
        confidence: LIKELY,
        when: Says(&[
            r"NXDOMAIN|could(?: not|n't) be resolved",
            r"resolve (?:host|proxy)",
            r"ENOTFOUND|getaddrinfo|name or service not known|failed to resolve|servname|no such host|NameResolution|DNSResolutionFailed",
        ]),
        unless: &[],
        on: &[],
        why: "the base's host name does not exist",
        next: "correct the base in the environment or the gateway's configuration",
        example: "API Error: getaddrinfo ENOTFOUND my-gateway.internal",
    },
    Rule {
        name: "certificate",
        cause: Config,
        confidence: LIKELY,
        when: Says(&[
            r"peer certificate|UnknownIssuer|certificate\b.{0,40}(?:invalid|trusted|unknown)",
            r"self[- ]?signed certificate|SELF_SIGNED|CERTIFICATE_VERIFY_FAILED|certificate (?:has expired|verify failed|hostname mismatch|verification failed)",
            r"unable to (?:get|verify) .{0,20}(?:issuer|certificate)|UNABLE_TO_(?:GET|VERIFY)|SSL certificate|\bCERT_[A-Z]+|ERR_TLS_CERT|unknown certificate",
            r"SSL: |SSLError|\bEPROTO\b|wrong version number|TLS handshake",
        ]),
        unless: &[],
        on: &[],
        why: "the certificate at that address is not one that the client trusts",
        next: "give the client the certificate authority in use (`NODE_EXTRA_CA_CERTS`, or the gateway's `ssl_verify`), or correct `https` in the base",
        example: "API Error: Unable to connect to API: Self-signed certificate detected. Check your proxy or corporate SSL certificates",
    },
    Rule {
        name: "path_not_served",
        cause: Config,
        confidence: LIKELY,
        when: Says(&[
            r"redirect response|30[1278] (?:moved|temporary|permanent|found)",
            r"404 page not found|method not allowed|cannot (?:POST|GET) /|no route matched",
            r#""detail": ?"not found""#,
            r"resource not found|requested API|API not supported|(?:invalid|unknown) (?:url|path|endpoint|route)",
            r"<title>404|404 not found",
        ]),
        unless: &[],
        on: &[],
        why: "the base does not serve that path",
        next: "correct the base (too much or too little of `/v1`, `/anthropic`, `/openai`) in the environment or the gateway's configuration",
        example: "API Error: 404 {\"detail\":\"Not Found\"}",
    },
    Rule {
        name: "stream_stalled",
        cause: Gateway,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"socket connection was closed|connection (?:closed|lost) mid-response|before (?:a|the) response (?:was produced|finished)",
            r"stream idle|response stalled|no response from api|part of the response never arrived",
        ]),
        unless: &[],
        on: &[],
        why: "claude says that its stream, whose other end is the gateway, stopped or was cut",
        next: "read the gateway's log at that moment; run the trial simulated, where the reply is whole on the provider's side",
        example: "API Error: Stream idle timeout - partial response received",
    },
    Rule {
        name: "connection_broken",
        cause: Gateway,
        confidence: PLAUSIBLE,
        when: Says(BROKEN_CONNECTION),
        unless: &[],
        on: &[Route::Gateway, Route::Direct],
        why: "the connection that claude had, which is the gateway's end, broke in the reply",
        next: "read the gateway's log at that moment; run the trial simulated, where the reply is whole on the provider's side",
        example: "API Error: Unable to connect to API (ECONNRESET)",
    },
    Rule {
        name: "stream_broken",
        cause: Upstream,
        confidence: GUESS,
        when: Says(BROKEN_CONNECTION),
        unless: &[],
        on: &[Route::Unknown],
        why: "a connection broke, and the text shows neither claude nor a gateway at its ends",
        next: "look at both ends' logs at that moment; run the trial again, and simulated if it comes back",
        example: "The pending stream has been canceled (caused by: read ECONNRESET)",
    },
    Rule {
        name: "claude_ended_with_the_models_words",
        cause: Assertion,
        confidence: LIKELY,
        when: Says(&[r"CLI failed: exit=\d+; text=\S"]),
        unless: &[r#"API Error|api_status|litellm|"error"|\bError: "#],
        on: &[],
        why: "claude failed with words of the model, not with an error",
        next: "read what the model answered against what the cell asked for; run the trial again to tell chance from fault",
        example: "[claude-opus-4-7] claude CLI failed: exit=1; text=Based on the schema, I need to answer with an integer.",
    },
];

/// How a connection that broke in the middle shows.
const BROKEN_CONNECTION: &[&str] = &[
    r"socket hang up|ECONNRESET|ConnectionReset|connection reset|\bterminated\b|EPIPE|broken pipe|UND_ERR_SOCKET|other side closed",
    r"connection (?:was )?(?:closed|lost|interrupted|dropped)|ConnectionClosed|premature close",
    r"incomplete (?:chunked|read)|peer closed connection|TransferEncoding|payload is not completed|\bh11\b|content-length",
    r"HTTP2|protocol error|stream (?:was )?(?:reset|canceled|cancelled|closed)",
];
