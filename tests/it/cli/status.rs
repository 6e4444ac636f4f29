//! `compat status`: the age of the published matrix.

use serde_json::Value;

use crate::support::MATRIX;
use crate::support::loopback::{Server, ok, ready, status as code};
use crate::support::ran::{Ran, compat};
use crate::support::root;

fn status(matrix: &str, arguments: &[&str]) -> Ran {
    compat(root(), &[&["status", matrix], arguments].concat())
}

const SAMPLE: &str = "sample_compatibility-matrix.json";

#[test]
fn the_exit_status_shows_whether_a_matrix_is_fresh() {
    let fresh = status(SAMPLE, &["--max-age", "2d", "--at", "2026-11-23T09:00:00Z"]);
    assert_eq!(
        fresh.out,
        "the published matrix is 2 d old (2026-11-21T09:00:00Z, LiteLLM v1.106.0, Claude Code 2.1.326)\n"
    );
    fresh.exits(0);

    let old = status(SAMPLE, &["--max-age", "2d", "--at", "2026-11-23T09:00:01Z"]);
    old.exits(3);
    assert!(
        old.out
            .contains("older than 2 d: the daily run has not published since"),
        "{}",
        old.out
    );

    let future = status(SAMPLE, &["--at", "2026-11-20T09:00:00Z"]);
    future.exits(3);
    assert!(future.out.contains("a clock is wrong"));
}

#[test]
fn the_json_format_has_the_age() {
    let output = status(SAMPLE, &["--format", "json", "--at", "2026-11-22T09:00:00Z"]);
    let freshness: Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!(freshness["fresh"], true);
    assert_eq!(freshness["age_seconds"], 86_400);
}

#[tokio::test]
async fn the_published_matrix_is_fetched_over_http() {
    let server = Server::start(|asked, _| {
        ready(match asked.target.as_str() {
            "/matrix.json" => ok(MATRIX),
            "/other.json" => ok("{}"),
            _ => code(404),
        })
    })
    .await;
    let ask = |path: &str| {
        let address = format!("{}{path}", server.address);
        tokio::task::spawn_blocking(move || status(&address, &["--at", "2026-11-22T09:00:00Z"]))
    };
    ask("/matrix.json").await.unwrap().exits(0);
    for path in ["/other.json", "/gone.json"] {
        let output = ask(path).await.unwrap();
        output.exits(1);
        assert!(output.out.is_empty() && !output.err.is_empty());
    }
}
