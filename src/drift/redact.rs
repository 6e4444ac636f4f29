//! Removes private values from recordings: credentials, account ids, ARNs, mail addresses and names of projects.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Captures, Regex};
use serde_json::Value;

use super::{CassetteHead, Recording, encoded};
use crate::wire::exchange::{Body, RecordedRequest, SentEvent};
use crate::wire::redaction;
use crate::wire::secrets::{self, Secrets};

/// What stands for a private value.
const REDACTED: &str = encoded::PLACEHOLDER;
const NO_ACCOUNT: &str = "000000000000";
pub(super) const NO_ARN: &str = "arn-redacted";

/// A value that counts by itself has at least so many characters. A shorter one is replaced only after a name of its kind.
const SHORTEST: usize = 6;

/// The values of a run that are no credentials and still private: names of projects and resources.
#[derive(Clone, Debug, Default)]
pub struct PrivateValues {
    values: Option<Regex>,
}

impl PrivateValues {
    pub fn new(values: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let values = values.into_iter();
        let values: BTreeSet<String> = values
            .filter(|value| value.as_ref().chars().count() >= SHORTEST)
            .flat_map(|value| secrets::forms(value.as_ref()))
            .map(|form| regex::escape(&form))
            .collect();
        // Of two forms with the same beginning, the longer one counts.
        let values: Vec<String> = values.into_iter().rev().collect();
        let pattern = format!("(?i){}", values.join("|"));
        Self {
            values: Regex::new(&pattern).ok().filter(|_| !values.is_empty()),
        }
    }

    /// Removes the private values and `secrets` from a recording.
    pub fn remove_from(&self, recording: &mut Recording, secrets: &[&Secrets]) {
        let clean = |text: &str| self.removed(text, secrets);
        request(&mut recording.request, &clean);
        let Some(reply) = &mut recording.reply else {
            return;
        };
        headers(&mut reply.headers, &clean);
        across_deltas(&mut reply.events, &clean);
        for event in &mut reply.events {
            value(&mut event.data, &clean);
        }
    }

    /// Removes the private values and `secrets` from the head of a cassette: a model may be an ARN.
    pub fn remove_from_head(&self, head: &mut CassetteHead, secrets: &[&Secrets]) {
        let clean = |text: &str| self.removed(text, secrets);
        let models = std::mem::take(&mut head.models).into_iter();
        head.models = models
            .map(|(alias, model)| (clean(&alias), clean(&model)))
            .collect();
        let texts = [
            &mut head.gateway,
            &mut head.gateway_version,
            &mut head.claude_code_version,
            &mut head.missing,
        ];
        for text in texts.into_iter().flatten() {
            *text = clean(text);
        }
    }

    fn removed(&self, text: &str, secrets: &[&Secrets]) -> String {
        let mut clean = text.to_owned();
        for secrets in secrets {
            secrets.remove(&mut clean);
        }
        if let Some(values) = &self.values {
            clean = values.replace_all(&clean, REDACTED).into_owned();
        }
        by_form(&clean, &|inner| self.removed(inner, secrets))
    }
}

/// The same request without private values that a form shows, for the comparison with a recorded one.
pub fn of_request(found: &RecordedRequest) -> RecordedRequest {
    let mut found = found.clone();
    request(&mut found, &of_text);
    found
}

/// `text` without private values that a form shows.
fn of_text(text: &str) -> String {
    by_form(text, &of_text)
}

/// `text` without ARNs, account ids, names of projects and resources, mail addresses, session ids and credentials. `clean` cleans a
/// text that is encoded in it.
fn by_form(text: &str, clean: &dyn Fn(&str) -> String) -> String {
    static PRIVATE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html, also as a part of a path
            (r#"(?i)arn%(?:25)*3aaws[^/\s"'\\]*"#, NO_ARN),
            (r#"(?i)arn:aws[\w-]*:(?:\\+/|[^\s"'<>,;&?\\])+"#, NO_ARN),
            // https://cloud.google.com/resource-manager/docs/creating-managing-projects
            (
                r#"(?i)\b(projects(?:/|%2f))[^/\s"'%?&\\`,)]+"#,
                "${1}project-redacted",
            ),
            // The same in a query, and in the words of an error.
            (
                r#"(?i)\b((?:consumer_|resource_)?(?:project|subscription|account|tenant|organi[sz]ation)(?:[-_]?(?:id|number|name))?(?:=|%3d)|\bproject_number:)[^\s"'%&\\`,;)]+"#,
                "${1}redacted",
            ),
            (
                r#"(?i)\b((?:in|for|of|on|from|to|resource|consumer) project[:\s]\s*[`'"\\]*)[a-z][a-z0-9.]{0,29}[0-9:-][a-z0-9:.-]*[a-z0-9]"#,
                "${1}project-redacted",
            ),
            // https://learn.microsoft.com/azure/azure-resource-manager/management/overview
            (
                r#"(?i)\b((?:subscriptions|resourceGroups|CognitiveServices/accounts)(?:/|%2f))[^/\s"'%?&\\`,)]+"#,
                "${1}redacted",
            ),
            // The resource of https://learn.microsoft.com/azure/ai-foundry/
            (r"(?i)[\w-]+(\.[\w.]+\.azure\.com)\b", "resource-redacted$1"),
            // https://www.rfc-editor.org/rfc/rfc7617
            (
                r"(?i)\bbasic\s+(?:[a-z0-9+/]{20,}|[a-z0-9+/]{6,}=)={0,2}",
                "Basic [redacted]",
            ),
            // A mail address in a query, and one in JSON.
            (
                r"(?i)[\w.+-](?:[\w.+'-]*[\w.+-])?(?:%(?:25)*40|\\+u0040)(?:[\w-]+\.)+[a-z]{2,}\b",
                "[redacted]",
            ),
            // The device of Claude Code's older `metadata.user_id`.
            (r"\buser_[0-9a-f]{64}", "user_redacted"),
        ]
        .into_iter()
        .map(|(pattern, replacement)| (Regex::new(pattern).expect("a constant expression"), replacement))
        .collect()
    });
    let plain = PRIVATE
        .iter()
        .fold(without_named(text), |text, (pattern, replacement)| {
            pattern.replace_all(&text, *replacement).into_owned()
        });
    let plain = redaction::of_named_values(&redaction::of_text(&without_accounts(&plain)));
    encoded::cleaned(plain, clean)
}

/// `text` without the values of private names, in JSON and in JSON within a text.
fn without_named(text: &str) -> String {
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r#"\\*"([\w.-]+)\\*"\s*:\s*(\\*)""#;
        Regex::new(pattern).expect("a constant expression")
    });
    let (mut clean, mut rest) = (String::new(), text);
    while let Some(found) = NAMED.captures(rest) {
        let begin = found.get_match().end();
        clean += &rest[..begin];
        let value = &rest[begin..];
        let end = closing_quote(value, found[2].len());
        let is_hidden = end > 0 && is_private_name(&found[1]);
        clean += if is_hidden { REDACTED } else { &value[..end] };
        rest = &value[end..];
    }
    clean + rest
}

/// Where the text `value` ends, if its opening quote has `depth` backslashes. Its own quotes and backslashes have more of them.
fn closing_quote(value: &str, depth: usize) -> usize {
    let slashes = |end: usize| {
        value[..end]
            .bytes()
            .rev()
            .take_while(|byte| *byte == b'\\')
            .count()
    };
    let mut quotes = value.match_indices('"').map(|(at, _)| (at, slashes(at)));
    let is_closing = |slashes: usize| slashes < depth || slashes % (2 * (depth + 1)) == depth;
    let closing = quotes.find(|(_, slashes)| is_closing(*slashes));
    closing.map_or(value.len(), |(at, slashes)| at - slashes.min(depth))
}

/// `text` without numbers of exactly twelve digits, whatever stands around them, also in three groups of four digits:
/// https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-identifiers.html
fn without_accounts(text: &str) -> Cow<'_, str> {
    static NUMBER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("[0-9]+(?:-[0-9]+)*").expect("a constant expression"));
    NUMBER.replace_all(text, |found: &Captures<'_>| {
        let groups: Vec<&str> = found[0].split('-').collect();
        match groups.iter().map(|group| group.len()).collect::<Vec<_>>()[..] {
            [4, 4, 4] => "0000-0000-0000".to_owned(),
            _ => {
                let clean = groups.iter().map(|group| match group.len() {
                    12 => NO_ACCOUNT,
                    _ => group,
                });
                clean.collect::<Vec<_>>().join("-")
            }
        }
    })
}

/// Whether a header or a key of this name has a credential, or the id of an account, an organization or a project. A `signature` is
/// that of a model's thinking.
fn is_private_name(name: &str) -> bool {
    static NAME: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r"(?i)(?:device|account|organi[sz]ation|org|project|subscription|tenant)s?(?:[-_]?(?:id|uuid|number|name)s?)?$";
        Regex::new(pattern).expect("a constant expression")
    });
    NAME.is_match(name) || (redaction::is_credential_name(name) && name != "signature")
}

fn request(request: &mut RecordedRequest, clean: &impl Fn(&str) -> String) {
    // A raw ARN may have a slash, as the path has before its last part.
    request.path = match request.path.rsplit_once('/') {
        Some((model, operation)) if model.starts_with("/model/") => format!("{}/{operation}", clean(model)),
        _ => clean(&request.path),
    };
    request.query = clean(&request.query);
    headers(&mut request.headers, clean);
    match &mut request.body {
        Body::Json(body) => {
            counted_request(body, clean);
            value(body, clean);
        }
        Body::Text(text) => *text = clean(text),
        Body::Empty => {}
    }
}

fn headers(headers: &mut [(String, String)], clean: &impl Fn(&str) -> String) {
    for (name, value) in headers {
        *value = match is_private_name(name) {
            true => REDACTED.to_owned(),
            false => clean(value),
        };
        *name = clean(name);
    }
}

fn value(found: &mut Value, clean: &impl Fn(&str) -> String) {
    match found {
        Value::String(text) => *text = clean(text),
        Value::Array(items) => items.iter_mut().for_each(|item| value(item, clean)),
        Value::Object(fields) => {
            for (key, mut field) in std::mem::take(fields) {
                match is_private_name(&key) {
                    true => hide(&mut field, clean),
                    false => value(&mut field, clean),
                }
                // Two keys must not become one.
                let mut name = clean(&key);
                while fields.contains_key(&name) {
                    name.push('+');
                }
                fields.insert(name, field);
            }
        }
        // An account id is a number of twelve digits.
        Value::Number(number) if clean(&number.to_string()) != number.to_string() => *found = 0.into(),
        Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// Hides the value of a private name. Its type stays.
fn hide(found: &mut Value, clean: &impl Fn(&str) -> String) {
    match found {
        Value::String(text) if text.is_empty() => {}
        Value::String(_) => *found = REDACTED.into(),
        Value::Number(_) => *found = 0.into(),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, clean)),
        Value::Object(_) | Value::Bool(_) | Value::Null => value(found, clean),
    }
}

/// Bedrock's token count has the request in base64.
fn counted_request(body: &mut Value, clean: &impl Fn(&str) -> String) {
    let Some(Value::String(encoded)) = body.pointer_mut("/input/invokeModel/body") else {
        return;
    };
    let decoded = STANDARD.decode(&*encoded).unwrap_or_default();
    *encoded = match serde_json::from_slice::<Value>(&decoded) {
        Ok(mut inner) => {
            value(&mut inner, clean);
            STANDARD.encode(inner.to_string())
        }
        Err(_) => REDACTED.to_owned(),
    };
}

/// The places of a text in the start of a block and in its deltas, and that of the block's index.
const DELTAS: [(&[&str], &str); 8] = [
    (&["/content_block/text", "/delta/text"], "/index"),
    (&["/content_block/thinking", "/delta/thinking"], "/index"),
    (&["/content_block/signature", "/delta/signature"], "/index"),
    (&["/delta/partial_json"], "/index"),
    (&["/contentBlockDelta/delta/text"], CONVERSE_INDEX),
    (&["/contentBlockDelta/delta/toolUse/input"], CONVERSE_INDEX),
    (
        &["/contentBlockDelta/delta/reasoningContent/text"],
        CONVERSE_INDEX,
    ),
    (
        &["/contentBlockDelta/delta/reasoningContent/signature"],
        CONVERSE_INDEX,
    ),
];
const CONVERSE_INDEX: &str = "/contentBlockDelta/contentBlockIndex";

/// A private value may be split over several events. Then the first one with a text gets the clean text, and the others become
/// empty.
fn across_deltas(events: &mut [SentEvent], clean: &impl Fn(&str) -> String) {
    for (texts, index) in DELTAS {
        let mut blocks: BTreeMap<u64, Vec<(usize, &str)>> = BTreeMap::new();
        let mut whole: BTreeMap<u64, String> = BTreeMap::new();
        for (at, event) in events.iter().enumerate() {
            for place in texts {
                let part = event.data.pointer(place).and_then(Value::as_str);
                if let Some(part) = part.filter(|part| !part.is_empty()) {
                    let block = event.data.pointer(index).and_then(Value::as_u64);
                    let block = block.unwrap_or_default();
                    blocks.entry(block).or_default().push((at, place));
                    *whole.entry(block).or_default() += part;
                }
            }
        }
        for (block, parts) in blocks {
            let whole = &whole[&block];
            let mut rest = clean(whole);
            if rest == *whole {
                continue;
            }
            for (at, place) in parts {
                if let Some(part) = events[at].data.pointer_mut(place) {
                    *part = std::mem::take(&mut rest).into();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;
    use crate::text::hex;

    #[test]
    fn private_values_are_found_by_their_form() {
        for (text, clean) in [
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/x y",
                "arn-redacted y",
            ),
            ("account 123456789012.", "account 000000000000."),
            ("bucket_123456789012_logs", "bucket_000000000000_logs"),
            ("123456789012 123456789012x", "000000000000 000000000000x"),
            (
                "/model/arn%253Aaws%253Abedrock%253Aus-east-1%253A123456789012%253Aprofile/x",
                "/model/arn-redacted/x",
            ),
            ("at 1764273234123 ms", "at 1764273234123 ms"),
            ("account 1234-5678-9012.", "account 0000-0000-0000."),
            ("123456789012-1", "000000000000-1"),
            ("1234-5678-9012-3456 2026-11-27", "1234-5678-9012-3456 2026-11-27"),
            ("1024-2048 of 4096, 12-34", "1024-2048 of 4096, 12-34"),
            ("?project=my-shop&x=1", "?project=redacted&x=1"),
            ("project_id=my-shop x", "project_id=redacted x"),
            (
                "not used in project my-shop-7 before",
                "not used in project project-redacted before",
            ),
            (
                "denied on resource project `my-shop`.",
                "denied on resource project `project-redacted`.",
            ),
            (
                "for consumer 'project_number:4242'",
                "for consumer 'project_number:redacted'",
            ),
            ("in project 12", "in project 12"),
            ("for project planning", "for project planning"),
            (
                "/subscriptions/7f-1/resourceGroups/my-shop/providers/Microsoft.CognitiveServices/accounts/shop-ai/x",
                "/subscriptions/redacted/resourceGroups/redacted/providers/Microsoft.CognitiveServices/accounts/redacted/x",
            ),
            ("2 subscriptions, 3 accounts", "2 subscriptions, 3 accounts"),
            (
                "/v1/projects/my-shop/locations/x",
                "/v1/projects/project-redacted/locations/x",
            ),
            (
                "https://my-shop.services.ai.azure.com/anthropic",
                "https://resource-redacted.services.ai.azure.com/anthropic",
            ),
            ("mail a.b@shop.example now", "mail [redacted] now"),
            ("?to=a.b%40shop.example&x=1", "?to=[redacted]&x=1"),
            (r#"{"account_uuid":"x-1"}"#, r#"{"account_uuid":"redacted"}"#),
            (r#"{\"device_id\":\"77\"}"#, r#"{\"device_id\":\"redacted\"}"#),
            (
                r#"{\"client_secret\":\"x\"}"#,
                r#"{\"client_secret\":\"redacted\"}"#,
            ),
            ("a password=hunter2 b", "a password=[redacted] b"),
            ("sent Basic dXNlcjpodW50ZXI=", "sent Basic [redacted]"),
            ("the basic principles", "the basic principles"),
        ] {
            assert_eq!(of_text(text), clean);
        }
    }

    #[test]
    fn a_value_that_is_split_over_deltas_is_removed() {
        let delta = |text: &str| SentEvent {
            at_ms: 0,
            data: json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": text}}),
        };
        let mut events = vec![delta("me@sh"), delta("op.exa"), delta("mple"), delta(" ok")];
        across_deltas(&mut events, &of_text);
        let texts: Vec<&str> = events
            .iter()
            .filter_map(|event| event.data.pointer("/delta/text")?.as_str())
            .collect();
        assert_eq!(texts, ["[redacted] ok", "", "", ""]);
        for name in ["text", "thinking", "signature"] {
            let event = |data| SentEvent { at_ms: 0, data };
            let mut events = vec![
                event(
                    json!({"type": "content_block_start", "index": 0, "content_block": {name: "by me@sh"}}),
                ),
                event(json!({"type": "content_block_delta", "index": 0, "delta": {name: "op.example"}})),
            ];
            across_deltas(&mut events, &of_text);
            assert_eq!(events[0].data["content_block"][name], "by [redacted]");
            assert_eq!(events[1].data["delta"][name], "");
        }
    }

    #[test]
    fn values_of_private_names_are_removed() {
        let mut found = json!({
            "api_key": "k", "client_secret": "s", "password": "p", "organization_id": 4242, "project_ids": ["shop", 7],
            "signature": "of a thought", "max_tokens": 5, "account": {"plan": "x"}, "token": "",
        });
        value(&mut found, &of_text);
        assert_eq!(
            found,
            json!({
                "api_key": "redacted", "client_secret": "redacted", "password": "redacted", "organization_id": 0,
                "project_ids": ["redacted", 0], "signature": "of a thought", "max_tokens": 5, "account": {"plan": "x"}, "token": "",
            })
        );
    }

    #[test]
    fn a_private_value_is_found_in_an_encoded_text() {
        let role = "arn:aws:iam::123456789012:role/canary";
        let named = r#"{"tenant_id":"canary"}"#;
        for private in [role, "123456789012", "by canary@shop.example", named] {
            let twice = STANDARD.encode(private);
            for text in [private, &twice].map(str::as_bytes) {
                for encoded in [STANDARD.encode(text), URL_SAFE_NO_PAD.encode(text), hex(text)] {
                    let clean = of_text(&format!("/x?a={encoded}&b"));
                    assert!(!clean.contains(&encoded), "{private}: {clean}");
                    assert!(clean.starts_with("/x?a=") && clean.ends_with("&b"), "{clean}");
                }
            }
        }
        assert_eq!(of_text(&STANDARD.encode(role)), STANDARD.encode(NO_ARN));
        // In lines of 64 characters, as MIME and PEM have them, and in JSON.
        let long = STANDARD.encode(format!("{}{role} {}", ".".repeat(40), ".".repeat(40)));
        for line_break in ["\n", "\r\n", r"\n", r"\\r\\n"] {
            let lines = long.as_bytes().chunks(64);
            let lines: Vec<&str> = lines.map(|line| str::from_utf8(line).unwrap()).collect();
            let clean = of_text(&lines.join(line_break));
            let decoded = STANDARD.decode(&clean).unwrap();
            assert!(String::from_utf8(decoded).unwrap().contains(NO_ARN), "{clean}");
            // The word after it may look like base64.
            let unpadded = lines.join(line_break).replace('=', "");
            let clean = of_text(&format!("{unpadded}{line_break}Hello world"));
            assert!(!clean.contains(lines[1]), "{clean}");
        }
        let image = STANDARD.encode((0..=255).collect::<Vec<u8>>());
        for other in ["plain-text_of_a_cell", "toolu_01ABCDEFGHIJKLMN", &image] {
            assert_eq!(of_text(other), other);
        }
    }

    #[test]
    fn data_with_a_private_value_is_replaced() {
        let chunk = [
            &[0, 0, 0, 30][..],
            b"tEXtAuthor\0canary@shop.example",
            &[0x9c, 0xf1, 0x07, 0xee],
        ]
        .concat();
        let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &chunk, b"\0\0\0\0IEND\xaeB`\x82"].concat();
        let pdf = [
            b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n<< /Author (",
            "arn:aws:iam::123456789012:role/canary".as_bytes(),
            b") >>",
        ]
        .concat();
        for data in [png, pdf] {
            assert_eq!(of_text(&STANDARD.encode(&data)), REDACTED);
            assert_eq!(of_text(&hex(&data)), REDACTED);
        }
    }

    #[test]
    fn two_keys_do_not_become_one() {
        let mut found = json!({"a@shop.example": 1, "b@shop.example": 2});
        value(&mut found, &of_text);
        assert_eq!(found, json!({"[redacted]": 1, "[redacted]+": 2}));
    }

    #[test]
    fn a_credential_in_two_encodings_is_removed() {
        let key = "canary-key/of 2 encodings";
        let secrets = Secrets::new([key]);
        let percent = key.replace('/', "%2F").replace(' ', "%20");
        for inner in [STANDARD.encode(key), hex(key.as_bytes()), percent] {
            for outer in [STANDARD.encode(&inner), hex(inner.as_bytes())] {
                let clean = PrivateValues::default().removed(&format!("x={outer}"), &[&secrets]);
                assert!(!clean.contains(&outer), "{inner}: {clean}");
            }
        }
    }

    /// Each text ends within quotes, in which other quotes may stand.
    #[test]
    fn a_private_value_is_removed_to_its_end() {
        for (text, clean) in [
            (
                r#"{"password":"a\"CANARY\\","x":"y"}"#,
                r#"{"password":"redacted","x":"y"}"#,
            ),
            (
                r#"{\"password\": \"a\\\"CANARY\", \"x\": \"y\"}"#,
                r#"{\"password\": \"redacted\", \"x\": \"y\"}"#,
            ),
            (r#"{"password":"","x":"a\"b"}"#, r#"{"password":"","x":"a\"b"}"#),
            (r#"{"tenant_id":"never ends"#, r#"{"tenant_id":"redacted"#),
        ] {
            assert_eq!(without_named(text), clean);
        }
        assert_eq!(
            of_text(r"arn:aws:bedrock:us-east-1:1:profile\/CANARY x"),
            "arn-redacted x"
        );
        assert_eq!(
            of_text(r"by a\u0040shop.example, b%2540shop.example"),
            "by [redacted], [redacted]"
        );
    }

    #[test]
    fn a_name_of_the_run_is_removed_in_each_encoding() {
        let values = PrivateValues::new(["canary-project"]);
        let encoded = STANDARD.encode(r#"{"project":"canary-project"}"#);
        for text in ["canary-project", "CANARY-PROJECT", "canary%2Dproject", &encoded] {
            let clean = values.removed(text, &[]);
            assert!(clean.contains(REDACTED), "{text}: {clean}");
        }
    }

    #[test]
    fn a_path_keeps_its_operation() {
        let mut found = RecordedRequest {
            at_ms: 0,
            method: "POST".into(),
            path: "/model/arn:aws:bedrock:us-east-1:123456789012:inference-profile/x/invoke".into(),
            query: String::new(),
            headers: vec![("x-goog-user-project".into(), "shop".into())],
            body: Body::Json(json!({"project_id": "shop", "n": 123_456_789_012_u64, "m": 7})),
        };
        found = of_request(&found);
        assert_eq!(found.path, "/model/arn-redacted/invoke");
        assert_eq!(found.headers[0].1, REDACTED);
        assert_eq!(
            found.body,
            Body::Json(json!({"project_id": "redacted", "n": 0, "m": 7}))
        );
        found.path = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aprofile%2Fx/converse".into();
        assert_eq!(of_request(&found).path, "/model/arn-redacted/converse");
    }
}
