//! Resolving versions, with doubles of the package registry and of GitHub's API on loopback.

use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use compat_matrix::toolchain::ToolEnvironment;
use compat_matrix::versions::github::releases;
use serde_json::{Value, json};

use crate::support::hub::release;
use crate::support::loopback::{Server, ok, ready, status};
use crate::support::ran::Ran;
use crate::support::registry::tool_environment;
use crate::support::text::{assert_has, assert_lacks};

const NOW: &str = "2026-11-21T09:00:00Z";

fn tools(server: &Server, variables: &[(&str, &str)]) -> ToolEnvironment {
    let mut variables = variables.to_vec();
    variables.push(("GITHUB_API_URL", &server.address));
    tool_environment(variables.into_iter().collect())
}

async fn tags(server: &Server, variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
    listed(&tools(server, variables)).await
}

async fn listed(tools: &ToolEnvironment) -> Result<Vec<String>, String> {
    releases(tools, "BerriAI/litellm", NOW.parse().unwrap())
        .await
        .map(|releases| releases.into_iter().map(|release| release.tag_name).collect())
        .map_err(|error| format!("{error:#}"))
}

fn page(tags: &[&str]) -> String {
    Value::Array(tags.iter().map(|tag| release(tag, false)).collect()).to_string()
}

fn linked(body: String, link: &str) -> Response<Body> {
    let mut response = ok(body);
    response.headers_mut().insert("link", link.parse().unwrap());
    response
}

fn limited(code: u16, headers: &[(&'static str, &str)]) -> Response<Body> {
    let mut response = status(code);
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

#[tokio::test]
async fn every_page_of_releases_is_read() {
    let server = Server::start(|asked, own| {
        let first = "/repos/BerriAI/litellm/releases?per_page=100";
        ready(match asked.target.as_str() {
            target if target == first => linked(
                page(&["v3"]),
                &format!("<{own}/repositories/1/releases?page=2>; rel=\"next\", <{own}/x>; rel=\"last\""),
            ),
            "/repositories/1/releases?page=2" => {
                linked(page(&["v2"]), "</repositories/1/releases?page=3>; rel=\"next\"")
            }
            "/repositories/1/releases?page=3" => linked(page(&["v1"]), &format!("<{own}/x>; rel=\"first\"")),
            _ => status(404),
        })
    })
    .await;

    assert_eq!(tags(&server, &[]).await.unwrap(), ["v3", "v2", "v1"]);
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| asked.headers["accept"] == "application/vnd.github+json")
    );
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| !asked.headers.contains_key("authorization"))
    );
}

#[tokio::test]
async fn a_token_is_sent_only_to_the_api() {
    let other = Server::start(|_, _| ready(ok(page(&["v1"])))).await;
    let next = format!("<{}/page2>; rel=\"next\"", other.address);
    let server = Server::start(move |_, _| ready(linked(page(&["v2"]), &next))).await;

    tags(&server, &[("GITHUB_TOKEN", "ghs_s3cret")]).await.unwrap();

    assert_eq!(server.asked()[0].headers["authorization"], "Bearer ghs_s3cret");
    assert!(!other.asked()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn the_error_for_a_rate_limit_names_its_end() {
    let reset = ("x-ratelimit-reset", "1795253400");
    let server =
        Server::start(move |_, _| ready(limited(403, &[("x-ratelimit-remaining", "0"), reset]))).await;

    let error = tags(&server, &[]).await.unwrap_err();

    let expected = "GitHub's rate limit is used up until 2026-11-21T09:30:00Z (for another 30 m): wait until then, or set \
                    `GITHUB_TOKEN` to a token, which has a higher limit";
    assert_eq!(error, expected);
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn a_long_retry_after_is_an_error_at_once() {
    let server = Server::start(|_, _| ready(limited(429, &[("retry-after", "3600")]))).await;

    let error = tags(&server, &[("GH_TOKEN", "ghs_s3cret")]).await.unwrap_err();

    assert_eq!(
        error,
        "GitHub's rate limit is used up until 2026-11-21T10:00:00Z (for another 1 h): wait until then"
    );
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn the_error_for_a_refused_token_names_its_variable() {
    let server = Server::start(|_, _| ready(status(401))).await;

    let error = tags(&server, &[("GH_TOKEN", "ghs_s3cret")]).await.unwrap_err();

    assert_has(&error, "refused the token in `GH_TOKEN`");
    assert_lacks(&error, "s3cret");
}

#[tokio::test]
async fn server_errors_are_retried_three_times() {
    let server = Server::start(|asked, _| {
        ready(match asked.before {
            0 => status(502),
            1 => status(503),
            _ => ok(page(&["v1"])),
        })
    })
    .await;
    assert_eq!(tags(&server, &[]).await.unwrap(), ["v1"]);

    let server = Server::start(|_, _| ready(status(503))).await;
    let error = tags(&server, &[]).await.unwrap_err();
    assert_has(&error, "(3 attempts): the server answered 503");
    assert_has(&error, "try again later");
    assert_eq!(server.targets().len(), 3);
}

#[tokio::test]
async fn a_silent_server_is_an_error() {
    let server = Server::start(|_, _| Box::pin(std::future::pending())).await;

    let mut tools = tools(&server, &[]);
    tools.retry.read_timeout = Duration::from_millis(50);

    let error = listed(&tools).await.unwrap_err();

    assert_has(&error, "(3 attempts): the server did not answer in time");
}

#[tokio::test]
async fn an_answer_without_releases_is_an_error() {
    for body in [
        r#"{"message":"hello"}"#,
        "<html>",
        "",
        r#"[{"name":"without a tag"}]"#,
    ] {
        let server = Server::start(move |_, _| ready(ok(body))).await;
        let error = tags(&server, &[]).await.unwrap_err();
        assert_has(&error, "not a list of releases");
        assert_has(&error, "GITHUB_API_URL");
    }
}

#[tokio::test]
async fn pages_without_end_are_an_error() {
    let server =
        Server::start(|_, own| ready(linked(page(&["v1"]), &format!("<{own}/again>; rel=\"next\"")))).await;

    let error = tags(&server, &[]).await.unwrap_err();

    assert_has(&error, "more pages than GitHub ever lists");
}

#[tokio::test]
async fn an_invalid_address_is_refused() {
    let server = Server::start(|_, _| ready(status(500))).await;
    let mut tools = tools(&server, &[]);
    tools.environment.set("GITHUB_API_URL", "api");
    let error = listed(&tools).await.unwrap_err();
    assert_eq!(
        error,
        "`GITHUB_API_URL` is `api`, which is not an `http` or `https` URL"
    );
}

/// Runs `compat versions` with `arguments` against `server`.
async fn compat(server: &Server, arguments: &[&str]) -> Ran {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_compat"));
    command
        .arg("versions")
        .args(arguments)
        .env_clear()
        .env("NPM_CONFIG_REGISTRY", &server.address)
        .env("GITHUB_API_URL", &server.address)
        .env("GITHUB_TOKEN", "ghs_s3cret");
    Ran::of(&mut command).await
}

/// The registry's answer of 2026-11-21, shortened to a few versions.
fn claude_code() -> String {
    let times = [
        ("2.1.327", "2026-11-17T20:33:19.000Z"),
        ("created", "2025-02-24T00:00:00.000Z"),
        ("2.1.329", "2026-11-19T18:40:25.000Z"),
        ("modified", "2026-11-19T18:40:30.000Z"),
        ("2.1.326", "2026-11-16T18:43:39.000Z"),
        ("2.1.328", "2026-11-18T23:09:39.000Z"),
        ("2.1.999", "2026-11-01T00:00:00.000Z"),
    ];
    let mut package = json!({"name": "@anthropic-ai/claude-code", "dist-tags": {"latest": "2.1.329"}, "versions": {}, "time": {}});
    for (name, time) in times {
        package["time"][name] = json!(time);
        if name.starts_with('2') && name != "2.1.999" {
            package["versions"][name] =
                json!({"version": name, "dist": {"tarball": "x", "integrity": "sha512-x"}});
        }
    }
    package.to_string()
}

#[tokio::test]
async fn the_version_is_on_standard_output_and_its_reason_is_not() {
    let server = Server::start(|_, _| ready(ok(claude_code()))).await;

    let output = compat(&server, &["claude-code", "--at", NOW]).await;

    assert_eq!(output.out, "2.1.327\n", "{}", output.err);
    assert_eq!(
        output.err,
        "compat versions: selected @anthropic-ai/claude-code@2.1.327, published 2026-11-17T20:33:19Z (3 d 12 h ago): the \
         newest that is at least 3 d old; too young: 2.1.329 (1 d 14 h), 2.1.328 (2 d 9 h)\n"
    );
    assert_eq!(server.targets(), ["/@anthropic-ai%2fclaude-code"]);
    output.exits(0);
}

#[tokio::test]
async fn without_a_minimum_age_the_newest_version_is_selected() {
    let server = Server::start(|_, _| ready(ok(claude_code()))).await;
    let output = compat(&server, &["claude-code", "--min-age", "0", "--at", NOW]).await;
    assert_eq!(output.out, "2.1.329\n");
}

#[tokio::test]
async fn the_error_for_too_young_versions_lists_them() {
    let server = Server::start(|_, _| ready(ok(claude_code()))).await;

    let output = compat(&server, &["claude-code", "--min-age", "30d", "--at", NOW]).await;

    let error = output.err;
    assert!(output.status != Some(0) && output.out.is_empty());
    assert_has(
        &error,
        "at least 30 d old; the youngest are 2.1.329 (1 d 14 h), 2.1.328 (2 d 9 h)",
    );
    assert_has(&error, "2.1.326 will be the first, in 25 d 9 h");
}

#[tokio::test]
async fn the_stable_tag_is_printed_without_the_token() {
    let tags = [
        "v1.106.2",
        "v1.9.5-stable",
        "v1.10.0-stable",
        "v1.10.0-stable.patch.2",
        "v1.11.0-nightly",
    ];
    let server = Server::start(move |_, _| ready(ok(page(&tags)))).await;

    let output = compat(&server, &["litellm"]).await;

    assert_eq!(output.out, "v1.10.0-stable.patch.2\n", "{}", output.err);
    assert_eq!(
        output.err,
        "compat versions: selected LiteLLM v1.10.0-stable.patch.2, published 2026-10-02T00:00:00Z: the highest of 3 that are \
         like `v*-stable`, of 5 releases\n"
    );
    assert_eq!(server.asked()[0].headers["authorization"], "Bearer ghs_s3cret");
    let last = compat(&server, &["litellm", "--channel", "final"]).await;
    assert_eq!(last.out, "v1.106.2\n");
}

#[tokio::test]
async fn the_error_without_a_match_lists_the_tags() {
    let server = Server::start(|_, _| ready(ok("[]"))).await;
    let output = compat(&server, &["litellm"]).await;
    assert!(output.status != Some(0) && output.err.contains("the repository has no releases"));

    let server = Server::start(|_, _| ready(ok(page(&["v1.106.2"])))).await;
    let output = compat(&server, &["litellm"]).await;
    let error = output.err;
    assert!(output.status != Some(0) && output.out.is_empty());
    assert_has(&error, "`v1.106.2`");
    assert_has(&error, "--channel final");
}
