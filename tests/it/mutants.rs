//! Mutants: the files of the project, the diagnostics of a bad file, and the requests that a mutant can change.

use std::collections::BTreeMap;

use compat_matrix::files::Project;
use compat_matrix::files::mutant_files;
use compat_matrix::mutants::RelayPosition;
use compat_matrix::wire::exchange::SentEvent;
use serde_json::json;

use crate::support::evidence::{exchange, gateway_exchange};
use crate::support::mutant::mutant;
use crate::support::project::copy_of_this_project;
use crate::support::root;
use crate::support::text::assert_has;

#[test]
fn every_mutant_is_valid_and_no_class_is_empty() {
    let project = Project::open(root()).unwrap();
    let (mutants, faults) = mutant_files::read(&project);
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(mutants.len() >= 60, "{}", mutants.len());
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for mutant in &mutants {
        let (class, _) = mutant.name.as_str().split_once('/').unwrap();
        *classes.entry(class).or_default() += 1;
        assert!(!mutant.sources.is_empty());
        assert_eq!(mutant.is_neutral, class == "neutral", "{}", mutant.name);
        assert_eq!(mutant.is_neutral, mutant.killed_by.is_empty(), "{}", mutant.name);
    }
    for class in [
        "headers",
        "body",
        "cache",
        "thinking",
        "tools",
        "stream",
        "usage",
        "count_tokens",
        "errors",
        "requests",
        "encoding",
        "neutral",
    ] {
        assert!(classes.contains_key(class), "no mutant of the class `{class}`");
    }
    assert!(mutants.iter().any(|mutant| mutant.quick));
}

/// Two mutants show that a row can be red, one of them by what reaches the provider, or leaves it.
#[test]
fn each_row_has_two_mutants_and_one_behind_the_gateway() {
    let project = Project::open(root()).unwrap();
    let (mutants, _) = mutant_files::read(&project);
    for row in &project.manifest.features {
        let named: Vec<_> = mutants
            .iter()
            .filter(|mutant| (mutant.killed_by.iter()).any(|kill| kill.cell.feature == row.id))
            .collect();
        let behind = (named.iter().flat_map(|mutant| &mutant.sides))
            .filter(|side| side.position == RelayPosition::Behind);
        assert!(
            named.len() >= 2 && behind.count() >= 1,
            "{}: {}",
            row.id,
            named.len()
        );
    }
}

#[test]
fn an_expectation_of_all_tiers_is_listed_once() {
    let project = copy_of_this_project();
    project.write(
        "mutants/requests/twice.yaml",
        "description: Twice.\nsources: [https://example.com]\nproviders: [anthropic]\nrequest: { send_twice: true }\nkilled_by: { caled: [tool_use] }\n",
    );
    let checked = project.compat(&["check", "mutants"]);
    checked.exits(3);
    let shown = checked.out + &checked.err;
    assert_has(&shown, "`tool_use::anthropic` has no expectation `caled`");
    assert_eq!(shown.matches("`model_asked_for`").count(), 1, "{shown}");
}

#[test]
fn a_star_stands_for_the_main_rows() {
    let request = "request: { send_twice: true }";
    let named = |cells: &str| {
        let mutant = mutant(&format!("{request}\nkilled_by: {{ run: [{cells}] }}")).unwrap();
        let cells = mutant.killed_by.iter().map(|kill| kill.cell.to_string());
        cells.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(named("\"*::anthropic\""), "tool_use::anthropic vision::anthropic");
    assert_eq!(named("web_search"), "web_search::anthropic");
}

#[test]
fn each_mistake_in_a_mutant_has_its_line() {
    let killed = "killed_by: { called: [tool_use] }";
    let cases = [
        (
            format!("request: {{ send_twice: true }}\nproviders: [antropic]\n{killed}"),
            "no cell of the provider `antropic` is run",
            4,
        ),
        (
            "request: { send_twice: true }\nkilled_by: { caled: [tool_use] }".into(),
            "`tool_use::anthropic` has no expectation `caled`",
            4,
        ),
        (
            "request: { send_twice: true }\nkilled_by: { called: [tool_uses] }".into(),
            "the mutant runs in no cell `tool_uses`",
            4,
        ),
        (
            "request: { send_twice: true }\nkilled_by: { called: [\"*\"] }".into(),
            "`vision::anthropic` has no expectation `called`",
            4,
        ),
        (killed.to_owned(), "the mutant does nothing", 1),
        (
            format!("request:\n  body: [{{ drop: messages }}]\n{killed}"),
            "not a JSONPath",
            4,
        ),
        (
            format!("reply:\n  events: [{{ name: content_block_dleta, drop: true }}]\n{killed}"),
            "a stream has no event `content_block_dleta`",
            4,
        ),
        (
            format!("reply:\n  events: [{{ name: ping, drop: true, duplicate: true }}]\n{killed}"),
            "it is not clear what happens to these events",
            4,
        ),
        (
            format!("reply:\n  events: [{{ name: ping }}]\n{killed}"),
            "it is not clear what happens to these events",
            4,
        ),
        (
            format!("reply:\n  headers: [{{ drop_entry: {{ name: x, find: (a }} }}]\n{killed}"),
            "not a regular expression",
            4,
        ),
        (
            format!("reply:\n  answer: {{ status: 200 }}\n{killed}"),
            "the answer has no body or two",
            4,
        ),
        (
            format!("reply:\n  bufer: true\n{killed}"),
            "unknown key `bufer`",
            4,
        ),
        (
            format!("other_side: {{ when: {{ turn: 1 }} }}\nreply: {{ buffer: true }}\n{killed}"),
            "the mutant does nothing",
            3,
        ),
        (
            "reply: { buffer: true }".into(),
            "it is not clear whether a cell must fail",
            1,
        ),
        (
            format!("reply: {{ buffer: true }}\nmust_stay: green\n{killed}"),
            "it is not clear whether a cell must fail",
            1,
        ),
        (
            "reply: { buffer: true }\nmust_stay: green\ncause: auth".into(),
            "a neutral mutant causes no failure",
            5,
        ),
        (
            format!("reply:\n  events: [{{ insert_before: {{ name: ping }} }}]\n{killed}"),
            "it is not clear what the inserted event is",
            4,
        ),
        (
            format!("reply:\n  buffer: true\ntier: haku\n{killed}"),
            "the manifest has no tier `haku`",
            5,
        ),
    ];
    for (yaml, message, line) in cases {
        let faults = mutant(&yaml).expect_err(message);
        assert!(
            faults
                .iter()
                .any(|fault| fault.message.contains(message) && fault.place.line == line),
            "{message}: {faults:#?}"
        );
    }
}

#[test]
fn a_wrong_name_in_a_mutant_is_one_error() {
    for (killed, message, hint) in [
        (
            "caled: [tool_use, vision]",
            "has no expectation `caled`",
            "did you mean `called`?",
        ),
        (
            "called: [tool_uses]",
            "the mutant runs in no cell `tool_uses`",
            "did you mean `tool_use`?",
        ),
    ] {
        let faults = mutant(&format!(
            "request: {{ send_twice: true }}\nkilled_by: {{ {killed} }}"
        ))
        .expect_err(killed);
        assert_eq!(faults.len(), 1, "{faults:#?}");
        assert!(faults[0].message.ends_with(message), "{faults:#?}");
        assert_eq!(faults[0].hint.as_deref(), Some(hint));
    }
}

#[test]
fn a_mutant_knows_the_requests_that_it_can_change() {
    let mut exchange = exchange(json!({"stream": true, "messages": []}), json!({}));
    (exchange.number, exchange.turn) = (1, Some(1));
    exchange.request.headers = vec![
        ("anthropic-beta".into(), "a-2025-01-01".into()),
        ("authorization".into(), "[redacted, 9 bytes]".into()),
    ];
    exchange.reply.stream = true;
    exchange.reply.events = vec![SentEvent {
        at_ms: 0,
        data: json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}),
    }];
    let sent = [gateway_exchange(&exchange, "text/event-stream")];
    let killed = "killed_by: { called: [tool_use] }";
    let cases = [
        ("request:\n  headers: [{ drop: anthropic-beta }]", true),
        ("request:\n  headers: [{ drop: x-other }]", false),
        (
            "request:\n  headers: [{ replace_text: { name: authorization, find: a, with: b } }]",
            true,
        ),
        (
            "request:\n  headers: [{ replace_text: { name: anthropic-beta, find: z, with: b } }]",
            false,
        ),
        ("request:\n  body: [{ drop: $.thinking }]", false),
        ("request: { send_twice: true }", true),
        ("when: { turn: 2 }\nrequest: { send_twice: true }", false),
        ("when: { stream: false }\nrequest: { send_twice: true }", false),
        ("reply: { buffer: true }", true),
        ("reply: { compress: gzip }", true),
        ("request: { reverse_headers: true }", true),
        (
            "request:\n  headers: [{ drop: x-other }]\nother_side: { request: { send_twice: true } }",
            false,
        ),
        ("when: { replied: error }\nreply: { buffer: true }", false),
        (
            "reply:\n  events: [{ where: \"$.delta[?@ == 'text_delta']\", drop: true }]",
            true,
        ),
        (
            "reply:\n  events: [{ where: \"$.delta[?@ == 'signature_delta']\", drop: true }]",
            false,
        ),
        (
            "reply:\n  events: [{ name: content_block_delta, nth: 2, drop: true }]",
            false,
        ),
    ];
    for (yaml, can) in cases {
        let mutant = mutant(&format!("{yaml}\n{killed}")).unwrap();
        assert_eq!(mutant.can_touch(&sent, &[]), can, "{yaml}");
    }
}

#[test]
fn a_report_must_begin_with_what_the_mutant_changed() {
    let killed = "killed_by: { called: [tool_use] }";
    let drop_thinking = "request:\n  body: [{ drop: $.thinking }]";
    let drop_image = "request:\n  body: [{ drop: \"$.messages[*].content[?@.type == 'image']\" }]";
    let drop_beta = "request:\n  headers: [{ drop_entry: { name: anthropic-beta, find: '^effort-' } }]";
    let delta_lost = "reply:\n  events: [{ name: content_block_delta, nth: 7, drop: true }]";
    let thought_lost = "reply:\n  events: [{ name: content_block_delta, where: \"$.delta[?@ == 'thinking_delta']\", drop: true }]";
    let made_up = "request:\n  answer: { status: 500, text: It broke. }";
    let header = "request:\n  headers: [{ set: { name: x-goog-user-project, value: other } }]";
    let named = format!("{header}\nnames: [quota project]");
    let bound = "request:\n  body: [{ set: { path: $.inferenceConfig.maxTokens, value: 1 } }]";
    let cases = [
        (
            drop_thinking,
            "request 1: field `thinking` dropped: {\"type\":\"enabled\"}",
            true,
        ),
        // The right side, but another change.
        (
            "request:\n  body: [{ drop: $.output_config.effort }]",
            "request 1: field `output_config.format` dropped: {}",
            false,
        ),
        (
            "request:\n  body: [{ set: { path: \"$.tools[?@.name == 'Bash'].description\", value: x } }]",
            "request 1: tool `Read` changed: \"not for Bash\"",
            false,
        ),
        // The words of its request are none of its reply.
        (
            "request:\n  body: [{ drop: $.thinking }]\nreply:\n  headers: [{ drop: retry-after }]",
            "reply 1: field `thinking` dropped",
            false,
        ),
        (
            drop_thinking,
            "request 1: field `metadata` dropped: {\"thinking\":1}",
            false,
        ),
        (
            drop_thinking,
            "reply 1: block `content[0] (thinking)` dropped",
            false,
        ),
        (
            drop_image,
            "request 1: block `messages[0] user block 9 (image)` dropped: {}",
            true,
        ),
        (
            drop_image,
            "request 2: block `messages[2] user block 0 (tool_result).content` changed: [{\"media_type\":\"image/png\"}] → []",
            true,
        ),
        (
            drop_image,
            "request 1: block `messages[0] user block 8 (text)` dropped: {}",
            false,
        ),
        (drop_beta, "request 1: beta `effort-2025-11-24` dropped", true),
        (
            drop_beta,
            "request 1: beta `context-management-2025-06-27` dropped: \"\"",
            false,
        ),
        (delta_lost, "reply 1: event `text deltas` merged: 206 → 205", true),
        (
            delta_lost,
            "reply 1: content deltas held back: 6 instead of 205 deltas",
            true,
        ),
        (
            delta_lost,
            "reply 1: event `content_block_stop` dropped: 1 → 0",
            false,
        ),
        (delta_lost, "reply 1: usage `output_tokens` changed: 1 → 2", false),
        (
            thought_lost,
            "reply 1: event `thinking deltas` dropped: 3 → 0",
            true,
        ),
        (
            thought_lost,
            "reply 1: block `content[1] (tool_use).input` changed: 1 → 2",
            false,
        ),
        (
            made_up,
            "request 1: the request was never forwarded: \"it answered itself\"",
            true,
        ),
        (made_up, "reply 1: the status changed: 200 → 500", true),
        (made_up, "reply 1: header `retry-after` dropped: \"1\"", false),
        (
            header,
            "request 1: place `quota project` changed: \"a\" → \"b\"",
            false,
        ),
        (
            &named,
            "request 1: place `quota project` changed: \"a\" → \"b\"",
            true,
        ),
        (bound, "request 1: field `max_tokens` changed: 32000 → 1", true),
        (
            bound,
            "request 6 as the gateway sent it (`max_tokens_required`, HTTP 400)",
            true,
        ),
        (
            bound,
            "request 6 as the gateway sent it (`known_betas`, HTTP 400)",
            false,
        ),
    ];
    for (yaml, line, is_named) in cases {
        let mutant = mutant(&format!("{yaml}\n{killed}")).unwrap();
        assert_eq!(mutant.is_named_in(line), is_named, "{yaml}\n{line}");
    }
    let neutral = mutant("request: { send_twice: true }\nnames: [twice]\nmust_stay: green").unwrap_err();
    assert_has(&neutral[0].message, "a neutral mutant causes no failure");
}
