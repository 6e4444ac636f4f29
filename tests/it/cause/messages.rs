//! The cause rules against labelled messages: from public issue threads, published matrices and the sources of the
//! programs involved.
//!
//! Add a message that the rules get wrong to `tests/fixtures/labelled-error-messages.jsonl` before you change a rule.

use std::collections::BTreeMap;

use compat_matrix::cause;
use compat_matrix::outcome::Cause;
use serde::Deserialize;

/// The share of a set's messages that the rules have to get right.
const NEEDED: f64 = 0.99;

#[derive(Deserialize)]
struct Labelled {
    /// Where the message is from: `public_issues` (with a `source`) or `samples`.
    set: String,
    cause: Cause,
    message: String,
}

#[test]
fn labelled_messages_get_their_causes() {
    let mut sets: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    for labelled in messages() {
        let error = error(&labelled);
        let (count, errors) = sets.entry(labelled.set).or_default();
        *count += 1;
        errors.extend(error);
    }
    assert_eq!(sets.len(), 2);
    for (set, (count, errors)) in sets {
        let share = 1.0 - errors.len() as f64 / count as f64;
        assert!(
            share >= NEEDED,
            "{set}: {share:.3} of {count}\n{}",
            errors.join("\n")
        );
    }
}

/// A message that only one fault produces must have its cause.
#[test]
fn a_confident_diagnosis_is_right() {
    let mut sure = messages();
    sure.retain(|labelled| cause::of_message(&labelled.message).confidence >= cause::rules::SURE);
    assert!(!sure.is_empty());
    let errors: Vec<_> = sure.iter().filter_map(error).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

fn messages() -> Vec<Labelled> {
    include_str!("../../fixtures/labelled-error-messages.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The difference between the diagnosis and the label.
fn error(labelled: &Labelled) -> Option<String> {
    let found = cause::of_message(&labelled.message);
    (found.cause != labelled.cause).then(|| {
        format!(
            "{} diagnosed as {} by {}, {}: {}",
            labelled.cause.as_str(),
            found.cause.as_str(),
            found.rule,
            found.why,
            labelled.message
        )
    })
}
