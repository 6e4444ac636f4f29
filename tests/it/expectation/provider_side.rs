//! The checks of the requests that reach the provider.

use super::*;
use base64::engine::general_purpose::STANDARD;
use compat_matrix::expectation::kinds::{
    CacheCheck, DocumentArrivedCheck, ImageArrivedCheck, RequestsCheck, ThinkingArrivedCheck,
    ToolResultArrivedCheck,
};
use compat_matrix::wire::exchange::Matched;

use crate::support::evidence::refused;

#[test]
fn a_requests_check_counts_by_kind_and_without_probes() {
    let check = |operation, count| Check::Requests(RequestsCheck { operation, count });
    let mut count_tokens = text_exchange();
    (count_tokens.operation, count_tokens.turn) = (Operation::CountTokens, None);
    let all = || pong().reached(probe()).reached(count_tokens.clone());
    table(&[
        ("turns", check(Operation::Messages, 1), all(), HELD),
        ("too few", check(Operation::Messages, 2), all(), BROKEN),
        ("too many", check(Operation::Messages, 0), all(), BROKEN),
        ("token counts", check(Operation::CountTokens, 1), all(), HELD),
        ("none of a kind", check(Operation::Unknown, 0), all(), HELD),
        ("live", check(Operation::Messages, 1), all().live(), NOT_JUDGED),
    ]);
}

fn anything_of(turn: Turn) -> RequestCheck {
    RequestCheck {
        model: None,
        turn,
        operation: Operation::Messages,
        route: None,
        stream: None,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

#[test]
fn a_refused_request_and_its_repetition_are_one_turn() {
    let rejected = |text: &str| {
        let matched = Matched::Rejected {
            rule: "known_betas".into(),
        };
        ProviderExchange {
            message: exchange(request(text), text_message("")).message,
            ..refused(400, matched)
        }
    };
    let answered = |text: &str| exchange(request(text), text_message("pong"));
    let count = |count| {
        Check::Requests(RequestsCheck {
            operation: Operation::Messages,
            count,
        })
    };
    let second = Check::Request(RequestCheck {
        body: vec![(query("$.messages[0].content[0].text"), equals("b"))],
        ..anything_of(Turn::Number(2))
    });
    let sent = |exchanges: Vec<ProviderExchange>| exchanges.into_iter().fold(nothing(), Builder::reached);
    let repaired = || sent(vec![rejected("a"), rejected("a"), answered("a"), answered("b")]);
    let given_up = || sent(vec![rejected("a"), answered("b")]);
    table(&[
        ("sent again", count(2), repaired(), HELD),
        ("the turn after it", second.clone(), repaired(), HELD),
        ("given up", count(2), given_up(), HELD),
        ("the turn after a request given up", second, given_up(), HELD),
        ("refused to the end", count(1), sent(vec![rejected("a")]), HELD),
    ]);
}

#[test]
fn a_turn_names_one_request_or_every_request() {
    let texts = |texts: &[&str]| {
        texts.iter().fold(nothing().reached(probe()), |evidence, text| {
            evidence.reached(exchange(request(text), text_message("pong")))
        })
    };
    let check = |turn| {
        Check::Request(RequestCheck {
            model: None,
            body: vec![(query("$.messages[0].content[0].text"), equals("a"))],
            ..anything_of(turn)
        })
    };
    table(&[
        ("the first", check(Turn::Number(1)), texts(&["a", "b"]), HELD),
        ("the second", check(Turn::Number(2)), texts(&["a", "b"]), BROKEN),
        ("one past the last", check(Turn::Number(2)), texts(&["a"]), BROKEN),
        ("far past the last", check(Turn::Number(9)), texts(&["a"]), BROKEN),
        ("the last", check(Turn::Last), texts(&["b", "a"]), HELD),
        ("not the last", check(Turn::Last), texts(&["a", "b"]), BROKEN),
        ("every", check(Turn::Every), texts(&["a", "a"]), HELD),
        ("all but one", check(Turn::Every), texts(&["a", "b"]), BROKEN),
        ("the last of none", check(Turn::Last), texts(&[]), BROKEN),
        ("every of none", check(Turn::Every), texts(&[]), BROKEN),
        ("live", check(Turn::Every), texts(&["a"]).live(), NOT_JUDGED),
    ]);
}

#[test]
fn a_token_count_of_bedrock_is_read_within_its_wrapping() {
    let wrapped = STANDARD.encode(request("a").to_string());
    let body = json!({ "input": { "invokeModel": { "body": wrapped } } });
    let mut count = exchange(body, text_message("pong"));
    (count.operation, count.turn) = (Operation::CountTokens, None);
    count.route = Some(Route::BedrockInvoke);
    let check = |text: &'static str| {
        Check::Request(RequestCheck {
            operation: Operation::CountTokens,
            body: vec![(query("$.messages[0].content[0].text"), equals(text))],
            ..anything_of(Turn::Number(1))
        })
    };
    let counted = || nothing().reached(count.clone());
    table(&[
        ("its text", check("a"), counted(), HELD),
        ("another text", check("b"), counted(), BROKEN),
    ]);
}

#[test]
fn a_request_check_compares_route_streaming_headers_and_body() {
    let check = |edit: &dyn Fn(&mut RequestCheck)| {
        let mut check = anything_of(Turn::Number(1));
        edit(&mut check);
        Check::Request(check)
    };
    let header = |name: &'static str, matcher: Matcher| {
        check(&move |check| check.headers.push((name.into(), matcher.clone())))
    };
    let exists = |exists| Matcher {
        exists: Some(exists),
        ..Matcher::default()
    };
    let (present, absent) = (|| exists(true), || exists(false));
    let mut twice = text_exchange();
    twice.request.headers.push(("anthropic-beta".into(), "a".into()));
    twice.request.headers.push(("anthropic-beta".into(), "b".into()));
    let twice = nothing().reached(twice);
    let mut text = text_exchange();
    text.request.body = Body::Text("<html>".into());
    let text = nothing().reached(text);
    let nowhere = |evidence: Evidence| Evidence {
        exchanges: evidence
            .exchanges
            .into_iter()
            .map(|exchange| ProviderExchange {
                route: None,
                ..exchange
            })
            .collect(),
        ..evidence
    };
    let route = |route| check(&move |check| check.route = Some(route));
    let stream = |stream| check(&move |check| check.stream = Some(stream));
    let version = |value: &str| header("anthropic-version", equals(value));
    let beta = |matcher| header("anthropic-beta", matcher);
    let body = check(&|check| check.body.push((query("$.x"), absent())));
    table(&[
        ("its route", route(Route::Anthropic), pong(), HELD),
        ("another route", route(Route::VertexAi), pong(), BROKEN),
        ("no route", route(Route::Anthropic), nowhere(pong()), BROKEN),
        ("in one piece", stream(false), pong(), HELD),
        ("not as a stream", stream(true), pong(), BROKEN),
        ("a header", version("2023-06-01"), pong(), HELD),
        ("another value", version("2024-01-01"), pong(), BROKEN),
        ("a missing header", beta(present()), pong(), BROKEN),
        ("a forbidden header", beta(absent()), twice.clone(), BROKEN),
        ("a header sent twice", beta(equals("a,b")), twice, HELD),
        ("a body that is not JSON", body, text, BROKEN),
    ]);
}

const PNG: &[u8] = b"not really a png";

/// What Claude Code did not send cannot arrive. What it sent in any request is judged.
#[test]
fn what_was_not_sent_is_not_judged() {
    let name = "interleaved-thinking-2025-05-14";
    let sent = |headers: &[(&str, &str)]| {
        let mut passage = gateway_exchange(&text_exchange(), "application/json");
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        passage.request.headers.extend(headers);
        Evidence {
            sent: vec![passage],
            ..pong()
        }
    };
    let beta = |name: &str| {
        Check::Beta(BetaCheck {
            turn: Turn::Every,
            name: name.into(),
        })
    };
    let header = |matcher: Matcher, route: Option<Route>| {
        let headers = vec![("x-hint".to_owned(), matcher)];
        Check::Request(RequestCheck {
            headers,
            route,
            ..anything_of(Turn::Number(1))
        })
    };
    let exists = |exists| Matcher {
        exists: Some(exists),
        ..Matcher::default()
    };
    let field = |path: &str| {
        Check::Request(RequestCheck {
            body: vec![(path.to_owned().try_into().unwrap(), exists(true))],
            ..anything_of(Turn::Number(1))
        })
    };
    let of_other_claude = || Evidence {
        other_claude: true,
        ..sent(&[])
    };
    let mut lost = of_other_claude();
    let sent_body = json!({"safeguards": [], "messages": []});
    lost.sent[0].request.body = Body::Json(sent_body);
    let unsent = || sent(&[("anthropic-beta", "effort-2025-11-24")]);
    let of_the_api = sent(&[("anthropic-beta", "advanced-tool-use-2025-11-20")]);
    let hinted = || sent(&[("x-hint", "1")]);
    let wrong = Some(Route::VertexAi);
    table(&[
        ("a beta that was not sent", beta(name), unsent(), NOT_JUDGED),
        (
            "a beta that was lost",
            beta(name),
            sent(&[("anthropic-beta", &format!("a,{name}"))]),
            BROKEN,
        ),
        (
            "a beta of a cloud",
            beta("tool-search-tool-2025-10-19"),
            of_the_api,
            BROKEN,
        ),
        ("without a gateway", beta(name), pong(), BROKEN),
        (
            "a header that was not sent",
            header(exists(true), None),
            unsent(),
            NOT_JUDGED,
        ),
        (
            "a header that was lost",
            header(exists(true), None),
            hinted(),
            BROKEN,
        ),
        (
            "a header that must be absent",
            header(exists(false), None),
            unsent(),
            HELD,
        ),
        (
            "the other conditions",
            header(exists(true), wrong),
            unsent(),
            BROKEN,
        ),
        (
            "a field that another Claude Code does not send",
            field("$.safeguards"),
            of_other_claude(),
            NOT_JUDGED,
        ),
        (
            "a field that no Claude Code sends",
            field("$.safeguards"),
            sent(&[]),
            BROKEN,
        ),
        (
            "a field of another Claude Code that was lost",
            field("$.safeguards"),
            lost,
            BROKEN,
        ),
    ]);
}

fn image_test() -> Test {
    let mut test = test(Check::ImageArrived(ImageArrivedCheck {
        turn: Turn::Number(1),
    }));
    test.prompts = vec![Prompt {
        blocks: vec![PromptBlock::Image {
            file: "red.png".into(),
            media_type: "image/png".into(),
            bytes: PNG.to_vec(),
        }],
    }];
    test
}

fn with_image(media_type: &str, data: &str) -> Evidence {
    let mut body = request("which colour?");
    body["messages"][0]["content"].as_array_mut().unwrap().push(
        json!({ "type": "image", "source": { "type": "base64", "media_type": media_type, "data": data } }),
    );
    nothing().reached(exchange(body, text_message("red")))
}

#[test]
fn an_image_arrives_byte_for_byte() {
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    for (what, evidence, expected) in [
        ("the same", with_image("image/png", &encode(PNG)), HELD),
        ("other bytes", with_image("image/png", &encode(b"other")), BROKEN),
        ("another type", with_image("image/jpeg", &encode(PNG)), BROKEN),
        ("no base64", with_image("image/png", "???"), BROKEN),
        ("none", pong(), BROKEN),
        ("no request", nothing(), BROKEN),
        ("live", with_image("image/png", "???").live(), NOT_JUDGED),
    ] {
        rules_on(what, &image_test(), &evidence, expected);
    }
}

/// A tool call of the provider, and the next request, whose user message has these blocks.
fn called_back(blocks: Value) -> Evidence {
    let call = tool_call("toolu_1", "ls");
    let mut body = request("list");
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": call["content"] }),
        json!({ "role": "user", "content": blocks }),
    ]);
    nothing()
        .reached(exchange(request("list"), call))
        .reached(exchange(body, text_message("done")))
}

#[test]
fn a_tool_result_must_answer_the_call_of_the_provider() {
    let check = |turn, text: Option<&str>| {
        Check::ToolResultArrived(ToolResultArrivedCheck {
            turn,
            name: "Bash".into(),
            text: text.map(equals),
            call: None,
            blocks: None,
            is_error: false,
        })
    };
    let fails = Check::ToolResultArrived(ToolResultArrivedCheck {
        turn: Turn::Number(2),
        name: "Bash".into(),
        text: None,
        call: None,
        blocks: None,
        is_error: true,
    });
    let failed = || called_back(json!([tool_result("toolu_1", "a.txt", true)]));
    let answered = || called_back(json!([tool_result("toolu_1", "a.txt", false)]));
    let second = Turn::Number(2);
    table(&[
        ("any", check(second, None), answered(), HELD),
        ("its text", check(second, Some("a.txt")), answered(), HELD),
        ("changed", check(second, Some("b.txt")), answered(), BROKEN),
        ("an error instead", check(second, None), failed(), BROKEN),
        ("an expected error", fails.clone(), failed(), HELD),
        ("an error lost", fails, answered(), BROKEN),
        (
            "for another call",
            check(second, None),
            called_back(json!([tool_result("toolu_x", "a.txt", false)])),
            BROKEN,
        ),
        (
            "none",
            check(second, None),
            called_back(json!([{ "type": "text", "text": "a.txt" }])),
            BROKEN,
        ),
        (
            "before any call",
            check(Turn::Number(1), None),
            answered(),
            BROKEN,
        ),
        ("live", check(second, None), answered().live(), NOT_JUDGED),
    ]);
}

fn thought_again(content: Value) -> Evidence {
    let mut body = request("think");
    let assistant = json!({ "role": "assistant", "content": content });
    body["messages"].as_array_mut().unwrap().push(assistant);
    nothing()
        .reached(exchange(request("think"), thinking_message("hm", "sig")))
        .reached(exchange(body, text_message("done")))
}

#[test]
fn thinking_comes_back_unchanged_and_first_in_its_message() {
    let check = |turn| Check::ThinkingArrived(ThinkingArrivedCheck { turn });
    let answer = json!({ "type": "text", "text": "pong" });
    let again = |blocks: &[Value]| thought_again(json!(blocks));
    let last = || check(Turn::Last);
    let thinking = |text: &str, signature: &str| again(&[thinking_block(text, signature), answer.clone()]);
    let behind = again(&[answer.clone(), thinking_block("hm", "sig")]);
    table(&[
        ("as sent", last(), thinking("hm", "sig"), HELD),
        ("its text changed", last(), thinking("hmm", "sig"), BROKEN),
        ("another signature", last(), thinking("hm", "gis"), BROKEN),
        ("behind the text", last(), behind, BROKEN),
        ("dropped", last(), again(std::slice::from_ref(&answer)), BROKEN),
        ("before any was sent", check(Turn::Number(1)), again(&[]), BROKEN),
        ("live", last(), again(&[]).live(), NOT_JUDGED),
    ]);
}

#[test]
fn redacted_thinking_comes_back_with_its_data() {
    let redacted = |data: &str| json!({ "type": "redacted_thinking", "data": data });
    let again = |blocks: Value| {
        let mut body = request("think");
        let assistant = json!({ "role": "assistant", "content": blocks });
        body["messages"].as_array_mut().unwrap().push(assistant);
        let mut sent = thinking_message("hm", "sig");
        sent["content"].as_array_mut().unwrap().insert(1, redacted("abc"));
        nothing()
            .reached(exchange(request("think"), sent))
            .reached(exchange(body, text_message("done")))
    };
    let check = || Check::ThinkingArrived(ThinkingArrivedCheck { turn: Turn::Last });
    let thought = || thinking_block("hm", "sig");
    table(&[
        (
            "as sent",
            check(),
            again(json!([thought(), redacted("abc")])),
            HELD,
        ),
        (
            "other data",
            check(),
            again(json!([thought(), redacted("abd")])),
            BROKEN,
        ),
        ("dropped", check(), again(json!([thought()])), BROKEN),
    ]);
}

#[test]
fn a_cache_check_compares_breakpoints_writes_and_reads() {
    let check = |breakpoints, created_tokens, read_tokens| {
        Check::Cache(CacheCheck {
            turn: Turn::Number(1),
            breakpoints,
            created_tokens,
            read_tokens,
        })
    };
    let mut body = request("ping");
    body["system"] = json!([{ "type": "text", "text": "s", "cache_control": { "type": "ephemeral" } }]);
    body["tools"] = json!([{ "name": "Bash", "input_schema": {}, "cache_control": { "type": "ephemeral" } }]);
    body["messages"][0]["content"][0]["cache_control"] = json!({ "type": "ephemeral" });
    let mut cached = exchange(body, text_message("pong"));
    cached.reply.usage = Usage {
        cache_creation_input_tokens: 1000,
        cache_read_input_tokens: 50,
        ..cached.reply.usage
    };
    let cached = || nothing().reached(cached.clone());
    let mut unreadable = text_exchange();
    unreadable.message = None;
    let breakpoints = |count| check(Some(count), None, None);
    let rejected = || {
        refused(
            400,
            Matched::Rejected {
                rule: "known_betas".into(),
            },
        )
    };
    let mut after_refusal = nothing().reached(rejected());
    let sent_again = ProviderExchange {
        number: 2,
        turn: Some(2),
        ..cached().exchanges[0].clone()
    };
    after_refusal.exchanges.push(sent_again);
    let mut refused_at_last = cached();
    refused_at_last = refused_at_last.reached(rejected());
    let last = |breakpoints| {
        Check::Cache(CacheCheck {
            turn: Turn::Last,
            breakpoints: Some(breakpoints),
            created_tokens: None,
            read_tokens: Some(1),
        })
    };
    table(&[
        ("all three", check(Some(3), Some(1000), Some(50)), cached(), HELD),
        ("too few breakpoints", breakpoints(4), cached(), BROKEN),
        (
            "too little written",
            check(None, Some(1001), None),
            cached(),
            BROKEN,
        ),
        ("too little read", check(None, None, Some(51)), cached(), BROKEN),
        ("sent again", check(Some(3), None, Some(50)), after_refusal, HELD),
        ("refused", breakpoints(1), nothing().reached(rejected()), BROKEN),
        ("refused for good", last(1), refused_at_last, BROKEN),
        (
            "nothing to read",
            breakpoints(1),
            nothing().reached(unreadable),
            BROKEN,
        ),
        ("live", breakpoints(3), cached().live(), NOT_JUDGED),
    ]);
}

#[test]
fn a_document_arrives_byte_for_byte_and_as_a_document() {
    let bytes = b"%PDF-1.4 heron".to_vec();
    let mut test = test(Check::DocumentArrived(DocumentArrivedCheck {
        turn: Turn::Number(1),
    }));
    test.prompts = vec![Prompt {
        blocks: vec![PromptBlock::Document {
            file: "_letter.pdf".into(),
            media_type: "application/pdf".into(),
            bytes: bytes.clone(),
        }],
    }];
    let arrived = |kind: &str, media_type: &str, bytes: &[u8]| {
        let data = base64::engine::general_purpose::STANDARD.encode(bytes);
        let block =
            json!({ "type": kind, "source": { "type": "base64", "media_type": media_type, "data": data } });
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": [block] }] });
        pong_of(exchange(body, text_message("pong")))
    };
    let pdf = "application/pdf";
    let rows = [
        ("the same", arrived("document", pdf, &bytes), HELD),
        ("other bytes", arrived("document", pdf, b"%PDF-1.4 crane"), BROKEN),
        ("an image", arrived("image", pdf, &bytes), BROKEN),
        ("none", pong(), BROKEN),
    ];
    for (what, evidence, expected) in rows {
        rules_on(what, &test, &evidence, expected);
    }
}

fn pong_of(exchange: ProviderExchange) -> Evidence {
    let mut evidence = pong();
    evidence.exchanges = vec![ProviderExchange {
        turn: Some(1),
        number: 1,
        ..exchange
    }];
    evidence
}
