//! `compat status`, the dead man's switch.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::MATRIX;
use crate::support::loopback::{Server, ok, ready, status as code};

fn status(matrix: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compat"))
        .args(["status", matrix])
        .args(arguments)
        .output()
        .unwrap()
}

fn file() -> String {
    format!("{}/sample_compatibility-matrix.json", env!("CARGO_MANIFEST_DIR"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_exit_status_shows_whether_a_matrix_is_fresh() {
    let fresh = status(&file(), &["--max-age", "2d", "--at", "2026-11-23T09:00:00Z"]);
    assert_eq!(
        text(&fresh.stdout),
        "the published matrix is 2 d old (2026-11-21T09:00:00Z, LiteLLM v1.106.0, Claude Code 2.1.326)\n"
    );
    assert!(fresh.status.success());

    let old = status(&file(), &["--max-age", "2d", "--at", "2026-11-23T09:00:01Z"]);
    assert_eq!(old.status.code(), Some(3));
    assert!(
        text(&old.stdout).contains("older than 2 d: the daily run has not published since"),
        "{}",
        text(&old.stdout)
    );

    let future = status(&file(), &["--at", "2026-11-20T09:00:00Z"]);
    assert_eq!(future.status.code(), Some(3));
    assert!(text(&future.stdout).contains("a clock is wrong"));
}

#[test]
fn the_json_format_has_the_age() {
    let output = status(&file(), &["--format", "json", "--at", "2026-11-22T09:00:00Z"]);
    let freshness: Value = serde_json::from_slice(&output.stdout).unwrap();
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
    assert!(ask("/matrix.json").await.unwrap().status.success());
    for path in ["/other.json", "/gone.json"] {
        let output = ask(path).await.unwrap();
        assert_eq!(output.status.code(), Some(1), "{path}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}
