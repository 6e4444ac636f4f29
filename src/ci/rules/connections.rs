//! Connections that failed, without a sign of whose fault it was.

use super::{GUESS, LogRule, PLAUSIBLE, rule};
use crate::ci::FailureCategory::{Infrastructure, Timing};

pub(super) const RULES: &[LogRule] = &[
    rule("service_not_ready", Timing, PLAUSIBLE)
        .says(&[
            in_error!(r"(?:connection refused|ECONNREFUSED|Connect call failed|Cannot connect to host|Failed to (?:establish a new connection|connect to)|All connection attempts failed|could not connect to server|connection to server at).{0,200}"),
            r"(?:container|service|server|proxy|gateway|database|healthcheck|health check|app|port).{0,60}(?:did not (?:become|start|come up|respond)|(?:is|was) (?:unhealthy|not (?:healthy|ready|up|available))|failed to start|never (?:became|came|started)|not ready|timed? ?out waiting)|dependency failed to start|Timed out waiting for: \S+:\d+|wait-on|wait-for-it|dockerize.{0,60}timeout",
        ])
        .unless(&[r"mock|DID NOT RAISE|registry|\.whl|/simple/|github\.com"])
        .why("a service of the job was not up when it was asked")
        .do_this("wait for the service's health check before the tests; look at the service's own log")
        .example("E   aiohttp.client_exceptions.ClientConnectorError: Cannot connect to host 0.0.0.0:4000 ssl:default [Connect call failed ('0.0.0.0', 4000)]")
        .green("postgres is accepting connections"),
    rule("tls", Infrastructure, PLAUSIBLE)
        .says(&[
            r"CERTIFICATE_VERIFY_FAILED|SSLError\(|SSLEOFError|certificate (?:verify failed|has expired|signed by unknown authority)|SSL: |SSL_ERROR|TLS handshake (?:timeout|failed)|UNABLE_TO_VERIFY|self.signed certificate|unable to get local issuer|ssl\.SSL\w*Error|x509: ",
        ])
        .unless(&["DID NOT RAISE|mock"])
        .why("the certificate of a host was not accepted, or the TLS connection failed")
        .do_this("look whether the host's certificate or the image's list of authorities is out of date; then run again")
        .example("E   ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
        .green("SSL certificate verified"),
    rule("connection_lost", Infrastructure, GUESS)
        .says(&[
            r"^\s*(?:E\s+|Error: |error|ERROR|fatal|\S*(?:Error|Exception)\b).{0,200}(?:connection (?:reset|aborted|closed|timed out|was closed|error)|ECONNRESET|ETIMEDOUT|EPIPE|broken pipe|socket hang up|network (?:error|timeout)|i/o timeout|read timed out|50[234] (?:Bad Gateway|Service|Server Error|Gateway))",
        ])
        .unless(&["DID NOT RAISE|mock|assert "])
        .why("a connection broke")
        .example("ConnectionResetError: [Errno 104] Connection reset by peer")
        .green("connection closed cleanly"),
];
