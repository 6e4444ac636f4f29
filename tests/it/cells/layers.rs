//! Diagnostics of a cell that has a shared layer.

use crate::support::cell::{GOOD, brief, diagnostics};
use crate::support::text::{assert_has, assert_starts};

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
    let found = brief(&diagnostics(Some("not_applicable: never\n"), GOOD.as_bytes()));
    assert_has(
        &found,
        "_shared.yaml 1:1 not_applicable: `not_applicable` cannot be shared",
    );
}
