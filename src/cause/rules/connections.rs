//! Addresses where no server answers, and broken connections.

use super::{CauseRule, GUESS, LIKELY, PLAUSIBLE, SURE, rule};
use crate::cause::MessageRoute;
use crate::outcome::Cause::{Assertion, Config, Gateway, Harness, Upstream};

pub(super) const RULES: &[CauseRule] = &[
    rule("connection_refused", Config, LIKELY)
        .says(&[
            r"failed to connect to .{0,60} port|could(?: not|n't) connect to server",
            r"ECONNREFUSED|ConnectionRefused|connection refused|actively refused|errno 111|FailedToOpenSocket|connect call failed|all connection attempts failed",
            r"could not connect to the endpoint url|EndpointConnectionError",
            r"(?:error sending request|fetch failed|unable to connect|cannot connect|couldn't connect|connect timeout|connection (?:error|failed)|request failed).{0,120}(?:localhost|127\.0\.0\.1|\b0\.0\.0\.0|\[::1\]|host\.docker\.internal)",
        ])
        .why("no server listens at the base")
        .next("check that the gateway runs and that the base in the message is its address")
        .example("API Error: Unable to connect to API (ConnectionRefused)"),
    rule("provider_name_not_resolved", Harness, PLAUSIBLE)
        .says(&[
            r"(?:ENOTFOUND|getaddrinfo|not known|resolve|servname|no such host|nameresolution).{0,120}(?:anthropic\.com|amazonaws\.com|googleapis\.com|openai\.com)",
            r"(?:anthropic\.com|amazonaws\.com|googleapis\.com|openai\.com).{0,200}(?:ENOTFOUND|getaddrinfo|not known|resolve|servname|no such host|nameresolution)",
        ])
        .why("a provider's own host name does not resolve on this machine")
        .next("check the machine's name resolution and its internet access")
        .example("request to https://api.anthropic.com/v1/messages failed, reason: getaddrinfo ENOTFOUND api.anthropic.com"),
    rule("name_not_resolved", Config, LIKELY)
        .says(&[
            r"NXDOMAIN|could(?: not|n't) be resolved",
            r"resolve (?:host|proxy)",
            r"ENOTFOUND|getaddrinfo|name or service not known|failed to resolve|servname|no such host|NameResolution|DNSResolutionFailed",
        ])
        .why("the base's host name does not exist")
        .next("correct the base in the environment or the gateway's configuration")
        .example("API Error: getaddrinfo ENOTFOUND my-gateway.internal"),
    rule("certificate", Config, LIKELY)
        .says(&[
            r"peer certificate|UnknownIssuer|certificate\b.{0,40}(?:invalid|trusted|unknown)",
            r"self[- ]?signed certificate|SELF_SIGNED|CERTIFICATE_VERIFY_FAILED|certificate (?:has expired|verify failed|hostname mismatch|verification failed)",
            r"unable to (?:get|verify) .{0,20}(?:issuer|certificate)|UNABLE_TO_(?:GET|VERIFY)|SSL certificate|\bCERT_[A-Z]+|ERR_TLS_CERT|unknown certificate",
            r"SSL: |SSLError|\bEPROTO\b|wrong version number|TLS handshake",
        ])
        .why("the client does not trust the certificate at that address")
        .next("give the client the certificate authority (`NODE_EXTRA_CA_CERTS`, or the gateway's `ssl_verify`), or correct `https` in the base")
        .example("API Error: Unable to connect to API: Self-signed certificate detected. Check your proxy or corporate SSL certificates"),
    rule("plain_http", Config, SURE)
        .says(&[r"plain HTTP request was sent to (?:an )?HTTPS port|Client sent an HTTP request to an HTTPS server"])
        .why("the server at that address speaks TLS only")
        .next("write `https://` in the base")
        .example("HTTP 400: <title>400 The plain HTTP request was sent to HTTPS port</title>"),
    rule("path_not_served", Config, LIKELY)
        .says(&[
            r"redirect response|30[1278] (?:moved|temporary|permanent|found)",
            r"404 page not found|method not allowed|cannot (?:POST|GET) /|no route matched",
            r#""detail": ?"not found""#,
            r"resource not found|requested API|API not supported|(?:invalid|unknown) (?:url|path|endpoint|route)",
            r"<title>404|404 not found",
        ])
        .why("the base does not serve that path")
        .next("correct the base (too much or too little of `/v1`, `/anthropic`, `/openai`) in the environment or the gateway's configuration")
        .example("API Error: 404 {\"detail\":\"Not Found\"}"),
    rule("stream_stalled", Gateway, PLAUSIBLE)
        .says(&[
            r"socket connection was closed|connection (?:closed|lost) mid-response|before (?:a|the) response (?:was produced|finished)",
            r"stream idle|response stalled|no response from api|part of the response never arrived",
        ])
        .why("claude's stream from the gateway stopped or was cut")
        .next("read the gateway's log at that time; run the trial simulated, where the provider always sends the whole reply")
        .example("API Error: Stream idle timeout - partial response received"),
    rule("connection_broken", Gateway, PLAUSIBLE)
        .says(BROKEN_CONNECTION)
        .on(&[MessageRoute::Gateway, MessageRoute::Direct])
        .why("claude's connection to the gateway broke during the reply")
        .next("read the gateway's log at that time; run the trial simulated, where the provider always sends the whole reply")
        .example("API Error: Unable to connect to API (ECONNRESET)"),
    rule("stream_broken", Upstream, GUESS)
        .says(BROKEN_CONNECTION)
        .on(&[MessageRoute::Unknown])
        .why("a connection broke, and the text names neither claude nor a gateway")
        .next("read the logs of both ends at that time; run the trial again, and simulated if it fails again")
        .example("The pending stream has been canceled (caused by: read ECONNRESET)"),
    rule("cli_ended_with_model_text", Assertion, LIKELY)
        .says(&[r"CLI failed: exit=\d+; text=\S"])
        .unless(&[r#"API Error|api_status|litellm|"error"|\bError: "#])
        .why("claude failed with the model's text instead of an error")
        .next("compare the model's answer with the cell's prompt; run the trial again to rule out chance")
        .example("[claude-opus-4-7] claude CLI failed: exit=1; text=Based on the schema, I need to answer with an integer."),
];

/// How a connection that broke in the middle shows.
const BROKEN_CONNECTION: &[&str] = &[
    r"socket hang up|ECONNRESET|ConnectionReset|connection reset|\bterminated\b|EPIPE|broken pipe|UND_ERR_SOCKET|other side closed",
    r"connection (?:was )?(?:closed|lost|interrupted|dropped)|ConnectionClosed|premature close",
    r"incomplete (?:chunked|read)|peer closed connection|TransferEncoding|payload is not completed|\bh11\b|content-length",
    r"HTTP2|protocol error|stream (?:was )?(?:reset|canceled|cancelled|closed)",
];
