//! Errors of form hide no other errors: what can be read is judged.

use compat_matrix::files::Project;

use crate::support::files::{Folder, copy_folder};
use crate::support::project::{copy_with_all_rows, summary, two_features};
use crate::support::ran::compat;
use crate::support::root;

const ROW: &str =
    "prompt: a\nreplies:\n  - content: [{ text: a }]\nexpect:\n  reply:\n    text: { equals: a }\n";

/// The places and messages of the errors that `compat check` prints.
fn errors(folder: &Folder) -> Vec<String> {
    let found = compat(folder.root(), &["check", "--format", "json"]).out;
    let found: Vec<serde_json::Value> = serde_json::from_str(&found).expect("JSON");
    let errors = found.iter().filter(|error| error["severity"] == "error");
    let line = |error: &serde_json::Value| {
        format!(
            "{}:{} {}",
            error["file"].as_str().expect("a file"),
            error["line"],
            error["message"].as_str().expect("a message")
        )
    };
    errors.map(line).collect()
}

/// Two rows with a file for all providers, and models for all of them.
fn project(first: &str) -> Folder {
    let folder = two_features();
    folder.write("cells/first/_shared.yaml", first);
    folder.write("cells/second/_shared.yaml", ROW);
    let config = folder.read("proxy_config.yaml");
    let there = config.replace("-here", "-there").replace("model_list:\n", "");
    folder.write("proxy_config.yaml", &format!("{config}{there}"));
    folder
}

#[test]
fn a_wrong_key_of_a_row_hides_no_other_error() {
    assert_eq!(errors(&project(ROW)), [""; 0]);
    let row = format!(
        "{ROW}  b:\n    text: {{ contian: x, mathces: y }}\n  c:\n    levl: contract\n    clause: nope\n    exit: 0\n  d:\n    \
         stop_reason: {{ turn: 9, value: {{ equals: end_turn }} }}\ntimeot: 9\nflags: [--efort, high]\n"
    );
    assert_eq!(
        errors(&project(&row)),
        [
            "cells/first/_shared.yaml:8 unknown key `contian`",
            "cells/first/_shared.yaml:8 unknown key `mathces`",
            "cells/first/_shared.yaml:10 unknown key `levl`",
            "cells/first/_shared.yaml:11 `nope` is no clause of the gateway contract",
            "cells/first/_shared.yaml:14 there is no answer 9: Claude Code gets 1",
            "cells/first/_shared.yaml:15 unknown key `timeot`",
            "cells/first/_shared.yaml:16 `claude` has no flag `--efort`",
        ]
    );
}

#[test]
fn a_wrong_key_of_a_row_is_one_error() {
    for (right, wrong) in [
        ("prompt:", "promt:"),
        ("replies:", "repli:"),
        ("expect:", "expct:"),
        ("    text: {", "    txt: {"),
        ("[{ text: a }]", "[{ txt: a }]"),
        ("  - content:", "  - contents:"),
        ("{ text: a }]", "{ text: a, colour: red }]"),
    ] {
        let errors = errors(&project(&ROW.replace(right, wrong)));
        assert_eq!(errors.len(), 1, "{wrong}: {errors:#?}");
    }
}

#[test]
fn a_misspelt_key_hides_no_error_below_it() {
    let folder = project(&ROW.replace("expect:", "expct:").replace("equals", "eqals"));
    folder.write("cells/_shared.yaml", "expect:\n  ends:\n    exit: 0\n");
    assert_eq!(
        errors(&folder),
        [
            "cells/first/_shared.yaml:4 unknown key `expct`",
            "cells/first/_shared.yaml:6 unknown key `eqals`",
        ]
    );
}

#[test]
fn an_error_in_a_layer_hides_none_in_another() {
    let folder = project(&ROW.replace("equals", "eqals"));
    folder.write(
        "cells/_shared.yaml",
        "expect:\n  asked:\n    request: { turn: 1, rout: x }\n",
    );
    folder.write("cells/first/here.yaml", "env: { HOME: x }\n");
    assert_eq!(
        errors(&folder),
        [
            "cells/_shared.yaml:3 unknown key `rout`",
            "cells/_shared.yaml:3 the text `x` is not known here",
            "cells/first/_shared.yaml:6 unknown key `eqals`",
            "cells/first/here.yaml:1 a cell may not set `HOME`: the harness sets it itself",
        ]
    );
}

#[test]
fn an_error_of_the_manifest_hides_none_of_a_cell() {
    let folder = project(&ROW.replace("equals", "eqals"));
    let manifest = folder.read("manifest.yaml");
    let manifest = manifest.replace("name: First", "name: First, categry: Tools, docs: nowhere");
    folder.write("manifest.yaml", &manifest);
    assert_eq!(
        errors(&folder),
        [
            "manifest.yaml:4 unknown key `categry`",
            "manifest.yaml:4 `nowhere` is not a web address",
            "cells/first/_shared.yaml:6 unknown key `eqals`",
        ]
    );
}

#[test]
fn a_wrong_key_of_a_finding_hides_no_other_finding() {
    let folder = project(ROW);
    let finding = |name: &str, shows: &str, loses: &str| {
        format!(
            "  {name}:\n    shows: [{shows}]\n    providers: [here]\n    versions: '>=1'\n    reason: Why.\n    {loses}: All.\n    \
             link: https://example.com\n"
        )
    };
    let text = finding("one", "request field thinking dropped", "looses")
        + &finding("two", "request bet x dropped", "loses");
    folder.write(
        "gateways/litellm.yaml",
        &format!("name: LiteLLM\nfindings:\n{text}"),
    );
    assert_eq!(
        errors(&folder),
        [
            "gateways/litellm.yaml:8 unknown key `looses`",
            "gateways/litellm.yaml:11 `bet` is not a part of a finding",
        ]
    );
}

/// The project with a row that has the replies `replies`, and these lines after them.
fn with_replies(replies: &str, rest: &str) -> Folder {
    project(&format!(
        "prompt: a\nreplies:\n{replies}expect:\n  reply:\n    exit: 0\n{rest}"
    ))
}

#[test]
fn a_wrong_key_of_a_reply_hides_no_other_error() {
    let folder = with_replies(
        "  - contnt: [{ tool_use: { name: Bahs, input: {} } }]\n    stop_reason: tool_user\n  - content:\n      - text: \
         '${tool_reslt}'\n        colour: red\n      - thinkng: ${a}\n    headers: { Retry: '1', x: 2 }\n  - error: { status: 99, \
         type: overload_error, message: '${tool_reslt}' }\n    usage: { input_tokens: -1, colour: red }\n",
        "flags: [--max-turns, 3, --efort, high]\ntimeout_seconds: '60'\n",
    );
    assert_eq!(
        errors(&folder),
        [
            "cells/first/_shared.yaml:3 unknown key `contnt`",
            "cells/first/_shared.yaml:3 no request offers the tool `Bahs`",
            "cells/first/_shared.yaml:4 there is no stop reason `tool_user`",
            "cells/first/_shared.yaml:6 unknown placeholder `${tool_reslt}`",
            "cells/first/_shared.yaml:7 unknown key `colour`",
            "cells/first/_shared.yaml:8 unknown key `thinkng`",
            "cells/first/_shared.yaml:8 a thinking block takes no placeholders",
            "cells/first/_shared.yaml:9 `Retry` is not a header's name in lower case",
            "cells/first/_shared.yaml:9 expected a text",
            "cells/first/_shared.yaml:10 the number is out of range",
            "cells/first/_shared.yaml:10 the Messages API has no error type `overload_error`",
            "cells/first/_shared.yaml:10 this text is sent as it is, and `${tool_reslt}` looks like a placeholder",
            "cells/first/_shared.yaml:11 the number is out of range",
            "cells/first/_shared.yaml:11 unknown key `colour`",
            "cells/first/_shared.yaml:15 expected a text",
            "cells/first/_shared.yaml:15 `claude` has no flag `--efort`",
            "cells/first/_shared.yaml:16 expected a whole number",
        ]
    );
}

#[test]
fn a_value_without_quotes_hides_no_other_error() {
    let folder = with_replies(
        "  - content: [{ text: 5 }]\n  - content: [{ text: a }]\n",
        "flags: [--max-turns, 3, --efort, high]\ntimeout_seconds: '60'\nenv: { A: 1, HOME: true }\n",
    );
    assert_eq!(
        errors(&folder),
        [
            "cells/first/_shared.yaml:3 expected a text",
            "cells/first/_shared.yaml:4 no request gets this reply",
            "cells/first/_shared.yaml:8 expected a text",
            "cells/first/_shared.yaml:8 `claude` has no flag `--efort`",
            "cells/first/_shared.yaml:9 expected a whole number",
            "cells/first/_shared.yaml:10 expected a text",
            "cells/first/_shared.yaml:10 a cell may not set `HOME`: the harness sets it itself",
            "cells/first/_shared.yaml:10 expected a text",
        ]
    );
}

#[test]
fn an_error_of_a_replaced_value_hides_no_other_error() {
    let folder = with_replies("  - contents: 5\n", "");
    folder.write(
        "cells/first/here.yaml",
        "replies:\n  - content: [{ text: a }]\n    stop_reason: end_trun\n",
    );
    assert_eq!(
        errors(&folder),
        [
            "cells/first/_shared.yaml:3 unknown key `contents`",
            "cells/first/_shared.yaml:3 expected a list",
            "cells/first/here.yaml:3 there is no stop reason `end_trun`",
        ]
    );
}

#[test]
fn a_wrong_name_of_the_manifest_hides_no_error_of_a_cell() {
    for (right, wrong, expected) in [
        (
            "id: first,",
            "id: First,",
            "manifest.yaml:4 `First` is not a name",
        ),
        (
            "name: Second",
            "name: First",
            "manifest.yaml:5 `First` is there twice",
        ),
        ("name: Second", "nam: Second", "manifest.yaml:5 unknown key `nam`"),
        (", name: Second", "", "manifest.yaml:5 `name` is missing"),
        (
            "model: model-two",
            "model: model-one",
            "manifest.yaml:8 `model-one` is there twice",
        ),
        (
            "model: model-two",
            "modle: model-two",
            "manifest.yaml:8 unknown key `modle`",
        ),
        (
            "model: model-two",
            "colour: red",
            "manifest.yaml:8 `model` is missing",
        ),
        (
            "model: model-two }",
            "model: model-two, set: v0 }",
            "manifest.yaml:7 the tier `one` has no `set`",
        ),
        (
            "{model}-there",
            "there",
            "manifest.yaml:11 the alias pattern lacks `{model}`",
        ),
        (
            "  there: \"",
            "  ther: \"",
            "manifest.yaml:11 `ther` is no provider of this manifest",
        ),
        (
            "  there: \"{model}-there\"\n",
            "",
            "manifest.yaml:9 the provider `there` has no alias pattern",
        ),
        (
            "schema_version: \"1\"",
            "schema_version: 1",
            "manifest.yaml:1 expected a text",
        ),
        (
            "schema_version: \"1\"",
            "schema_version: \"2\"",
            "manifest.yaml:1 the text `2` is not known here",
        ),
        (
            "[here, there]",
            "[here, there, here]",
            "manifest.yaml:2 `here` is there twice",
        ),
        (
            "model: model-two }",
            "model: model-two, not_on: { ther: No (https://a.example). } }",
            "no provider `ther`",
        ),
    ] {
        let folder = project(&ROW.replace("equals", "eqals"));
        let manifest = folder.read("manifest.yaml");
        assert!(manifest.contains(right), "{right}");
        folder.write("manifest.yaml", &manifest.replacen(right, wrong, 1));
        let errors = errors(&folder);
        assert!(errors[0].contains(expected), "{wrong}: {errors:#?}");
        let cell = "cells/first/_shared.yaml:6 unknown key `eqals`";
        assert_eq!(
            errors.last().map(String::as_str),
            Some(cell),
            "{wrong}: {errors:#?}"
        );
        let most = if wrong.contains("ther: \"") || wrong.contains("colour") {
            3
        } else {
            2
        };
        assert_eq!(errors.len(), most, "{wrong}: {errors:#?}");
    }
}

#[test]
fn an_error_of_a_gateway_hides_none_of_its_findings() {
    let folder = project(ROW);
    let finding = |name: &str, more: &str| {
        format!(
            "  {name}:\n    shows: [expectation first::repl{name}]\n    providers: [here]\n    versions: '>=1'\n    reason: Why.\n    \
             loses: All.\n    link: docs/findings/{name}.md\n{more}"
        )
    };
    let whole =
        finding("one", "") + &finding("two", "    tiers: one\n") + &finding("three", "    colour: red\n");
    let broken = whole
        .replacen("'>=1'", "1.x.y.z", 1)
        .replacen("[expectation", "[nonsense, expectation", 1);
    folder.write(
        "gateways/litellm.yaml",
        &format!("name: LiteLLM\nfindings:\n{broken}"),
    );
    assert_eq!(
        errors(&folder),
        [
            "gateways/litellm.yaml:4 `nonsense` is not the first word of a finding",
            "gateways/litellm.yaml:4 no cell of `first` has the expectation `replone`",
            "gateways/litellm.yaml:6 not a range of versions: unexpected character after wildcard in version req",
            "gateways/litellm.yaml:9 there is no page `docs/findings/one.md`",
            "gateways/litellm.yaml:11 no cell of `first` has the expectation `repltwo`",
            "gateways/litellm.yaml:16 there is no page `docs/findings/two.md`",
            "gateways/litellm.yaml:17 expected a list",
            "gateways/litellm.yaml:19 no cell of `first` has the expectation `replthree`",
            "gateways/litellm.yaml:24 there is no page `docs/findings/three.md`",
            "gateways/litellm.yaml:25 unknown key `colour`",
        ]
    );
}

#[test]
fn a_reason_names_a_page_that_exists() {
    let folder = project(ROW);
    folder.write("docs/there.md", "# There\n");
    folder.write(
        "cells/first/here.yaml",
        "not_applicable: No (docs/their.md, docs/there.md).\n",
    );
    folder.write(
        "cells/second/here.yaml",
        "not_on: { one: No (docs/gone/a.md). }\n",
    );
    let manifest = folder.read("manifest.yaml");
    let not_on = "model: model-two, not_on: { there: No (docs/there.md)., here: No (docs/thre.md). } }";
    folder.write("manifest.yaml", &manifest.replace("model: model-two }", not_on));
    assert_eq!(
        errors(&folder),
        [
            "cells/first/here.yaml:1 there is no page `docs/their.md`",
            "cells/second/here.yaml:1 there is no page `docs/gone/a.md`",
            "manifest.yaml:8 there is no page `docs/thre.md`",
        ]
    );
}

#[test]
fn one_mistake_is_one_error_though_many_files_depend_on_it() {
    let folder = copy_with_all_rows();
    for name in ["mutants", "gateways", "docs/findings"] {
        copy_folder(&root().join(name), &folder.path(name));
    }
    folder.write(
        "proxy_config.yaml",
        &crate::support::files::read(root().join("proxy_config.yaml")),
    );
    assert_eq!(errors(&folder), [""; 0]);
    let manifest = folder.read("manifest.yaml");
    let shared = folder.read("cells/_shared.yaml");
    std::fs::remove_file(folder.path("cells/_shared.yaml")).expect("a file");
    let missing = "cells/_shared.yaml:0 there is no such file, so no expectation holds in every cell";
    assert_eq!(errors(&folder), [missing]);
    folder.write("cells/_shared.yaml", &shared);
    let (before, rest) = manifest.split_once("  - id: vision\n").expect("the row");
    let (_, after) = rest.split_once("  - id: ").expect("the next row");
    let slip = "the manifest's feature `vison` has no folder in `cells`";
    let unknown = "cells/vision:0 the manifest has no feature `vision`";
    let place = format!("manifest.yaml:{}", before.lines().count() + 1);
    for (manifest, error) in [
        (
            manifest.replacen("id: vision\n", "id: vison\n", 1),
            format!("{place} {slip}"),
        ),
        (
            manifest.replace(" vision\n", " vison\n"),
            format!("{place} {slip}"),
        ),
        (format!("{before}  - id: {after}"), unknown.to_owned()),
    ] {
        folder.write("manifest.yaml", &manifest);
        assert_eq!(errors(&folder), [&*error]);
        let opened = Project::open(folder.root());
        let all = opened.map_or_else(|errors| errors, |project| project.layout_errors);
        assert_eq!(all.len(), 1, "{}", summary(&all));
    }
    folder.write("manifest.yaml", &manifest);
    std::fs::remove_dir_all(folder.path("cells")).expect("a folder");
    assert_eq!(errors(&folder), ["cells:0 there is no such folder"]);
}
