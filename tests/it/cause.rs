//! The rules against labelled messages from public issue threads, some of which were unseen when the rules were written.
//!
//! The rules were mended after each `unseen-` file was first measured, so what the files show today is that nothing learnt was lost.
//! How the rules do on the next unseen message is for the next file to show: add it, and measure before mending.

use std::fs;
use std::path::Path;

use compat_matrix::cause;
use compat_matrix::outcome::Cause;
use serde::Deserialize;

/// The share of a file's messages that the rules have to get right.
const NEEDED: f64 = 0.95;

#[derive(Deserialize)]
struct Labelled {
    cause: Cause,
    message: String,
}

#[test]
fn labelled_messages_get_their_causes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cause");
    let mut report = String::new();
    let mut poor = false;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let labelled = read(&path);
        let wrong: Vec<_> = labelled.iter().filter_map(wrong).collect();
        let share = 1.0 - wrong.len() as f64 / labelled.len() as f64;
        poor |= share < NEEDED;
        report += &format!(
            "{}: {share:.3} of {}\n{}\n",
            path.display(),
            labelled.len(),
            wrong.join("\n")
        );
    }
    println!("{report}");
    assert!(!poor, "{report}");
}

fn read(path: &Path) -> Vec<Labelled> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What is wrong about the diagnosis, if anything is.
fn wrong(labelled: &Labelled) -> Option<String> {
    let found = cause::of_message(&labelled.message);
    (found.cause != labelled.cause).then(|| {
        format!(
            "{} taken for {} by {}, {}: {}",
            labelled.cause.as_str(),
            found.cause.as_str(),
            found.rule,
            found.why,
            labelled.message
        )
    })
}
