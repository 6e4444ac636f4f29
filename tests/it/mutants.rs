//! Mutants: their files, the errors of a bad file, and which trials they can change.

use std::collections::BTreeMap;
use std::path::Path;

use compat_matrix::document::Diagnostic;
use compat_matrix::files::Project;
use compat_matrix::files::mutant_files;
use compat_matrix::ids::{CellId, FeatureId, ProviderId, TierId};
use compat_matrix::mutants::{self, Known, Mutant, MutantName};
use compat_matrix::wire::Operation;
use compat_matrix::wire::exchange::{Body, GatewayExchange, GatewayReply, RecordedRequest, SentEvent};
use serde_json::{Value, json};

fn read(yaml: &str) -> Result<Mutant, Vec<Diagnostic>> {
    let cell = |feature: &str| CellId {
        feature: FeatureId::new(feature),
        provider: ProviderId::new("anthropic"),
    };
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let known = Known {
        providers: &[ProviderId::new("anthropic")],
        tiers: &[TierId::new("haiku")],
        cells: &[
            (cell("tool_use"), names(&["called", "run"])),
            (cell("vision"), names(&["run"])),
        ],
    };
    let whole = format!("description: A bug.\nsources: [\"https://example.com\"]\n{yaml}\n");
    mutants::resolve(
        MutantName::new("tools", "lost"),
        Path::new("mutants/tools/lost.yaml"),
        whole.as_bytes(),
        &known,
    )
}

#[test]
fn every_mutant_is_valid_and_every_class_has_one() {
    let project = Project::open(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (mutants, faults) = mutant_files::read(&project);
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(mutants.len() >= 60, "{}", mutants.len());
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for mutant in &mutants {
        let (class, _) = mutant.name.as_str().split_once('/').unwrap();
        *classes.entry(class).or_default() += 1;
        assert!(!mutant.sources.is_empty() && !mutant.killed_by.is_empty());
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
    ] {
        assert!(classes.contains_key(class), "no mutant of the class `{class}`");
    }
    assert!(mutants.iter().any(|mutant| mutant.quick));
}

#[test]
fn errors_of_a_mutant_are_reported_at_their_places() {
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
            format!("reply:\n  headers: [{{ drop_entry: {{ name: x, find: (a }} }}]\n{killed}"),
            "not a regular expression",
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
            format!("reply:\n  buffer: true\ntier: haku\n{killed}"),
            "the manifest has no tier `haku`",
            5,
        ),
    ];
    for (yaml, message, line) in cases {
        let faults = read(&yaml).expect_err(message);
        assert!(
            faults
                .iter()
                .any(|fault| fault.message.contains(message) && fault.place.line == line),
            "{message}: {faults:#?}"
        );
    }
}

fn passage(body: Value, events: Vec<Value>) -> GatewayExchange {
    GatewayExchange {
        number: 1,
        turn: Some(1),
        operation: Operation::Messages,
        request: RecordedRequest {
            at_ms: 0,
            method: "POST".into(),
            path: "/v1/messages".into(),
            query: String::new(),
            headers: vec![("anthropic-beta".into(), "a-2025-01-01".into())],
            body: Body::Json(body),
        },
        reply: Some(GatewayReply {
            at_ms: 0,
            status: 200,
            headers: Vec::new(),
            stream: true,
            events: events
                .into_iter()
                .map(|data| SentEvent { at_ms: 0, data })
                .collect(),
            cut_off: false,
        }),
    }
}

#[test]
fn can_touch_tells_whether_a_mutant_changes_a_trial() {
    let sent = [passage(
        json!({"stream": true, "messages": []}),
        vec![json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}})],
    )];
    let killed = "killed_by: { called: [tool_use] }";
    let cases = [
        ("request:\n  headers: [{ drop: anthropic-beta }]", true),
        ("request:\n  headers: [{ drop: x-other }]", false),
        ("request:\n  body: [{ drop: $.thinking }]", false),
        ("request: { send_twice: true }", true),
        ("when: { turn: 2 }\nrequest: { send_twice: true }", false),
        ("when: { stream: false }\nrequest: { send_twice: true }", false),
        ("reply: { buffer: true }", true),
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
        let mutant = read(&format!("{yaml}\n{killed}")).unwrap();
        assert_eq!(mutant.can_touch(&sent, &[]), can, "{yaml}");
    }
}
