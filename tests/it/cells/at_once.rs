//! Errors of form hide no other errors: what can be read is judged.

use crate::support::files::Folder;
use crate::support::project::two_features;
use crate::support::ran::compat;

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
    ] {
        let errors = errors(&project(&ROW.replace(right, wrong)));
        assert_eq!(errors.len(), 1, "{wrong}: {errors:#?}");
    }
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
