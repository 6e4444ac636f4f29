//! The layers of a cell: precedence, origins, `${model}`, and diagnostics.

use compat_matrix::cells::Test;
use compat_matrix::expectation::Check;
use compat_matrix::ids::TierId;
use compat_matrix::plan::Planned;
use compat_matrix::wire::script::{Reply, ReplyBlock};
use serde_json::json;

use crate::support::cell::{GOOD, brief, diagnostics, found, with};
use crate::support::files::Folder;
use crate::support::project::{has, open, summary, two_features};
use crate::support::text::{assert_has, assert_lacks, assert_starts};

/// The files of `first::here`. Later ones win.
const LAYERS: [&str; 4] = [
    "cells/_shared.yaml",
    "cells/_providers/here.yaml",
    "cells/first/_shared.yaml",
    "cells/first/here.yaml",
];

/// The test of `first::here::<tier>`.
fn test(folder: &Folder, tier: &str) -> Test {
    let name = format!("first::here::{tier}").parse().expect("a trial's name");
    match open(folder).plan(None, &name) {
        Planned::Run(run) => run.test().clone(),
        other => panic!("{other:?}"),
    }
}

/// The matcher of the `text` expectation `name` on `tier`, in words.
fn text_matcher(test: &Test, tier: &str, name: &str) -> String {
    let found: Vec<String> = test
        .expectations_on(&TierId::new(tier))
        .filter(|expectation| expectation.name == name)
        .map(|expectation| match &expectation.check {
            Check::Text(text) => text.0.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(found.len(), 1, "`{name}` on {tier}: {found:?}");
    found.concat()
}

/// The keys that `compat explain` shows for `first::here`, each with its file and line.
fn origins(folder: &Folder) -> Vec<(String, String)> {
    let explained = folder.compat(&["explain", "first::here", "--json"]);
    let explained: serde_json::Value = serde_json::from_str(&explained.out).expect("JSON");
    let keys = explained["keys"].as_array().expect("keys").iter();
    keys.map(|key| {
        let place = format!("{}:{}", key["file"].as_str().expect("a file"), key["line"]);
        (key["key"].as_str().expect("a key").to_owned(), place)
    })
    .collect()
}

#[test]
fn the_later_of_two_layers_wins() {
    for (index, later) in LAYERS.iter().enumerate() {
        for earlier in &LAYERS[..index] {
            let folder = two_features();
            folder.write("cells/first/here.yaml", "description: one cell\n");
            let rest = "replies:\n  - content: [{ text: pong }]\n";
            folder.write(
                earlier,
                &format!("{rest}prompts: [[{{ text: first }}]]\ntimeout_seconds: 11\nexpect:\n  named:\n    text: {{ contains: earlier }}\n  only_earlier:\n    text: {{ contains: p }}\n"),
            );
            folder.write(
                later,
                "prompt: second\ntimeout_seconds: 22\nexpect:\n  named:\n    text: { contains: later }\n  only_later:\n    text: { contains: q }\n",
            );
            let test = test(&folder, "one");
            let pair = format!("{earlier} < {later}");
            assert_eq!(test.timeout_seconds, 22, "{pair}");
            assert_eq!(test.prompts.len(), 1, "{pair}");
            let prompt = format!("{:?}", test.prompts);
            assert!(
                prompt.contains("second") && !prompt.contains("first"),
                "{pair}: {prompt}"
            );
            for (name, wanted) in [("named", "later"), ("only_earlier", "p"), ("only_later", "q")] {
                let matcher = text_matcher(&test, "one", name);
                assert_eq!(matcher, format!("contains {wanted:?}"), "{pair}: {name}");
            }
        }
    }
}

#[test]
fn explain_shows_the_file_and_line_of_each_layer() {
    let folder = two_features();
    let expect = |name: &str| format!("expect:\n  {name}:\n    text: {{ contains: p }}\n");
    folder.write(LAYERS[0], &format!("timeout_seconds: 1\n{}", expect("project")));
    folder.write(LAYERS[1], &format!("env: {{ A: \"1\" }}\n{}", expect("provider")));
    folder.write(
        LAYERS[2],
        &format!(
            "prompt: Say pong\nreplies:\n  - content: [{{ text: pong }}]\n{}",
            expect("feature")
        ),
    );
    folder.write(
        LAYERS[3],
        &format!("# the cell\ntimeout_seconds: 4\n{}", expect("cell")),
    );
    let origins = origins(&folder);
    for (key, place) in [
        ("expect.project", "cells/_shared.yaml:3"),
        ("env", "cells/_providers/here.yaml:1"),
        ("expect.provider", "cells/_providers/here.yaml:3"),
        ("prompt", "cells/first/_shared.yaml:1"),
        ("replies", "cells/first/_shared.yaml:2"),
        ("expect.feature", "cells/first/_shared.yaml:5"),
        ("timeout_seconds", "cells/first/here.yaml:2"),
        ("expect.cell", "cells/first/here.yaml:4"),
    ] {
        assert!(
            origins.contains(&(key.to_owned(), place.to_owned())),
            "no `{key}` at {place} in {origins:?}"
        );
    }
    let names: Vec<&str> = origins
        .iter()
        .map(|(key, _)| &**key)
        .filter(|key| key.starts_with("expect."))
        .collect();
    assert_eq!(
        names,
        [
            "expect.feature",
            "expect.cell",
            "expect.provider",
            "expect.project"
        ]
    );
}

#[test]
fn a_cell_file_lifts_not_applicable_of_its_column() {
    let folder = two_features();
    folder.write(
        "cells/_providers/here.yaml",
        "not_applicable: no such provider here (https://example.com)\n",
    );
    for feature in ["first", "second"] {
        folder.write(&format!("cells/{feature}/_shared.yaml"), GOOD);
    }
    folder.write("cells/first/here.yaml", "timeout_seconds: 7\n");
    assert_eq!(test(&folder, "one").timeout_seconds, 7);
    let plan = |name: &str| open(&folder).plan(None, &name.parse().expect("a trial's name"));
    match plan("second::here::one") {
        Planned::NotApplicable(reason) => assert_eq!(reason, "no such provider here (https://example.com)"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(plan("second::there::one"), Planned::Run(_)));
}

#[test]
fn the_model_stands_for_that_of_each_tier() {
    let folder = two_features();
    folder.write(
        "cells/_shared.yaml",
        "expect:\n  named:\n    text: { contains: \"a ${model}\", one_of: [\"a ${model}\", b] }\n",
    );
    folder.write("cells/first/here.yaml", GOOD);
    let test = test(&folder, "one");
    for tier in ["one", "two"] {
        assert_eq!(
            text_matcher(&test, tier, "named"),
            format!("one of \"a model-{tier}\", \"b\" and contains \"a model-{tier}\"")
        );
    }
}

#[test]
fn a_model_is_literal_in_a_regular_expression() {
    let folder = two_features();
    let manifest = folder
        .read("manifest.yaml")
        .replace("model: model-one", "model: model+1.5");
    folder.write("manifest.yaml", &manifest);
    folder.write(
        "cells/first/here.yaml",
        &with("contains: pong", "matches: \"^${model}$\""),
    );
    let test = test(&folder, "one");
    let tier = TierId::new("one");
    let mut texts = test.expectations_on(&tier).map(|one| match &one.check {
        Check::Text(text) => &text.0,
        other => panic!("{other:?}"),
    });
    let matcher = texts.next().expect("an expectation");
    assert_eq!(matcher.check(&[&json!("model+1.5")]), Ok(()));
    for other in ["modell1.5", "model+1x5"] {
        assert!(matcher.check(&[&json!(other)]).is_err(), "{other}");
    }
}

#[test]
fn an_unknown_placeholder_of_a_matcher_is_reported() {
    for matcher in [
        "contains: \"${modle}\"",
        "not_contains: \"${modle}\"",
        "equals: \"${modle}\"",
        "matches: \"a ${modle}\"",
        "one_of: [a, \"${modle}\"]",
    ] {
        let shown = found(&with("contains: pong", matcher));
        assert_has(
            &shown,
            "unknown placeholder `${modle}` | allowed: `${model}` | hint: did you mean `${model}`?",
        );
    }
    assert_has(
        &found(&with("contains: pong", "contains: \"${PATH}\"")),
        r"use `matches`, with `\$\{`",
    );
    assert_eq!(found(&with("contains: pong", r"matches: '\$\{HOME\}'")), "");
    assert_eq!(found(&with("contains: pong", "contains: \"a ${\"")), "");
}

#[test]
fn an_error_of_some_cells_names_them() {
    let folder = two_features();
    folder.write(
        "cells/_shared.yaml",
        "expect:\n  twice:\n    request: { turn: 2, stream: true }\n",
    );
    folder.write("cells/first/here.yaml", GOOD);
    folder.write("cells/second/there.yaml", &format!("# also one reply\n{GOOD}"));
    let faults = open(&folder).check(&[]);
    has(
        &faults,
        "cells/_shared.yaml:3 there is no request 2: the script has 1 reply",
    );
    let fault = faults
        .iter()
        .find(|fault| fault.message.contains("request 2"))
        .expect("a fault");
    let related: Vec<String> = fault
        .related
        .iter()
        .map(|(place, what)| format!("{what}: {}:{}", place.file.display(), place.line))
        .collect();
    assert_eq!(
        related,
        [
            "the `replies` of a cell: cells/first/here.yaml:2",
            "the `replies` of a cell: cells/second/there.yaml:3"
        ],
        "{}",
        summary(&faults)
    );
    let own = found(&format!(
        "{GOOD}  twice:\n    request: {{ turn: 2, stream: true }}\n"
    ));
    assert_lacks(&own, "of a cell");
}

#[test]
fn a_mistake_in_a_shared_layer_has_its_place_there() {
    let shared = "prompt: Say pong\nexpect:\n  reply:\n    text: { matches: '(' }\n";
    let own = "replies:\n  - content: [{ text: pong }]\n";
    let found = brief(&diagnostics(Some(shared), own.as_bytes()));
    assert_starts(
        &found,
        "_shared.yaml 4:23 expect.reply.text.matches: not a regular expression",
    );
}

#[test]
fn an_own_expectation_replaces_the_shared_one() {
    let shared = "prompt: Say pong\nreplies:\n  - content: [{ text: pong }]\nexpect:\n  reply:\n    text: { matches: '(' }\n";
    let own = "expect:\n  reply:\n    text: { contains: pong }\n";
    assert_eq!(brief(&diagnostics(Some(shared), own.as_bytes())), "");
}

#[test]
fn a_gap_of_all_cells_is_reported_for_the_shared_file() {
    let found = brief(&diagnostics(
        Some("prompt: Say pong\n"),
        b"expect:\n  r:\n    text: { contains: pong }\n",
    ));
    assert_starts(&found, "_shared.yaml 1:1 : the simulated provider has no reply");
    assert!(found.ends_with("a cell that lacks it: 1:1"), "{found}");
}

#[test]
fn not_applicable_cannot_be_shared() {
    let shared = "not_applicable: never\nprompt: a\n";
    let found = brief(&diagnostics(Some(shared), GOOD.as_bytes()));
    assert_starts(
        &found,
        "_shared.yaml 1:1 not_applicable: `not_applicable` cannot be shared",
    );
    assert_eq!(found.lines().count(), 1, "{found}");
}

#[test]
fn a_repeated_text_of_a_reply_is_written_out() {
    let folder = two_features();
    let repeat = |text: &str, times: usize| {
        format!(
            "prompt: Say pong\nreplies:\n  - content: [{{ repeat: {{ text: {text}, times: {times} }} }}]\nexpect:\n  reply:\n    \
             text: {{ contains: pong }}\n"
        )
    };
    folder.write("cells/first/here.yaml", &repeat("pong", 3));
    let script = test(&folder, "one").script;
    let Reply::Message(message) = &script.replies[0] else {
        panic!("{script:?}")
    };
    assert_eq!(message.content, [ReplyBlock::Text("pongpongpong".into())]);
    let found = found(&repeat("heron heron heron heron", 1_000_000));
    assert_has(&found, "the whole text has 23000000 bytes");
}
