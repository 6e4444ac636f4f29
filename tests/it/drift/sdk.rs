//! Requests and replies that an official SDK recorded at the provider: what the simulator differs in today.

use compat_matrix::files::cassette_files;

use super::{faults_of, report_of};
use crate::support::root;

#[tokio::test]
async fn recordings_of_the_official_sdk_are_compared() {
    let folder = root().join("tests/fixtures/cassette-of-anthropic-sdk");
    let cassette = cassette_files::read(&folder).expect("a cassette");
    // The model of some recordings is not in the simulator's table.
    let report = report_of(&cassette, &["claude-sonnet-4-5"]).await;
    assert_eq!((report.compared, report.not_compared.len()), (15, 0));
    // What is left: code that the provider itself runs (`container`, `caller`, a short usage), limits that only one of the
    // recordings has, and `stop_details`, which Anthropic's API sends since April 2026.
    insta::assert_snapshot!(faults_of(&report).join("\n"));
}
