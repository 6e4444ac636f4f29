//! Which headers of a reply are compared.

use super::Wire;

#[test]
fn only_headers_that_claude_code_reads_are_compared() {
    let of_limit = "anthropic-ratelimit-unified-status";
    let needed = ["retry-after", "x-should-retry"];
    let free = [
        "request-id",
        "anthropic-ratelimit-requests-limit",
        "retry-after-ms",
    ];
    let dropped = |name: &str, token: Option<&str>| {
        let mut wire = Wire::one();
        let header = (name.to_owned(), "1".to_owned());
        wire.exchanges[0].reply.headers.push(header.clone());
        let token = token.map(|token| ("authorization".to_owned(), token.to_owned()));
        wire.exchanges[0].request.headers.extend(token.clone());
        wire.sent[0].request.headers.extend(token);
        let changes = wire.changes();
        wire.sent[0].reply.as_mut().unwrap().headers.push(header);
        assert_eq!(wire.changes(), [""; 0], "{name}");
        changes
    };
    for name in needed.iter().chain(&free).chain([&of_limit]) {
        let expected = match needed.contains(name) {
            true => vec![format!("reply 1: header `{name}` dropped: \"1\"")],
            false => Vec::new(),
        };
        assert_eq!(dropped(name, None), expected, "{name}");
    }
    // With a subscription of its user, the limit is the user's. Any other credential is the gateway's own.
    assert_eq!(dropped(of_limit, Some("[redacted, 40 bytes]")), [""; 0]);
    assert_eq!(
        dropped(of_limit, Some("[redacted, 40 bytes, sk-ant-oat01-…]")),
        [format!("reply 1: header `{of_limit}` dropped: \"1\"")]
    );
}

#[test]
fn an_encoding_that_a_reply_only_claims_is_a_difference() {
    let mut wire = Wire::one();
    let reply = wire.sent[0].reply.as_mut().unwrap();
    reply.headers.push(("content-encoding".into(), "gzip".into()));
    assert_eq!(wire.changes(), [""; 0]);
    let reply = wire.sent[0].reply.as_mut().unwrap();
    reply.wrong_encoding = Some("the body is not encoded as `gzip`".into());
    assert_eq!(
        wire.changes(),
        ["reply 1: the header `content-encoding` says `gzip`, but the body is not encoded as `gzip`"]
    );
    let reply = wire.sent[0].reply.as_mut().unwrap();
    reply.headers.pop();
    reply.wrong_encoding = Some("the body is encoded as `br`".into());
    assert_eq!(
        wire.changes(),
        ["reply 1: no header names an encoding, but the body is encoded as `br`"]
    );
}
