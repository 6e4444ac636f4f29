//! A double of the package registry, with one version of Claude Code.

use std::time::Duration;

use chrono::{DateTime, Utc};
use compat_matrix::digest::Sha512;
use compat_matrix::env::Environment;
use compat_matrix::http::RetryPolicy;
use compat_matrix::process::RunId;
use compat_matrix::toolchain::ToolEnvironment;
use compat_matrix::toolchain::platform::{CLAUDE_PACKAGE, Platform};
use serde_json::{Value, json};

use super::loopback::{Server, ok, ready, status};

pub const VERSION: &str = "2.1.327";

/// Starts a registry; each platform's package has `script` as its binary.
pub async fn start(script: &str) -> Server {
    start_published(script, "2026-11-17T20:33:19Z".parse().unwrap()).await
}

/// The same, with the time at which the version was published.
pub async fn start_published(script: &str, published: DateTime<Utc>) -> Server {
    serve(package(script), package(script), published).await
}

/// Starts a registry whose packages do not match their digests.
pub async fn start_tampered(script: &str) -> Server {
    let evil = package("#!/bin/sh\necho evil\n");
    serve(package(script), evil, "2026-11-17T20:33:19Z".parse().unwrap()).await
}

async fn serve(package: Vec<u8>, sent: Vec<u8>, published: DateTime<Utc>) -> Server {
    Server::start(move |asked, own| {
        let path = asked.target.replace("%2f", "/");
        ready(if path.ends_with(".tgz") {
            ok(sent.clone())
        } else if path == format!("/{CLAUDE_PACKAGE}") {
            ok(wrapper(published).to_string())
        } else if Platform::ALL
            .iter()
            .any(|platform| path == format!("/{}", platform.package()))
        {
            ok(metadata(
                &path[1..],
                &format!("{own}{path}/-/claude.tgz"),
                &package,
            ))
        } else {
            status(404)
        })
    })
    .await
}

fn wrapper(published: DateTime<Utc>) -> Value {
    json!({
        "name": CLAUDE_PACKAGE,
        "dist-tags": {"latest": VERSION},
        "versions": {VERSION: {"name": CLAUDE_PACKAGE, "version": VERSION, "dist": {"tarball": "x", "integrity": "sha512-x"}}},
        "time": {"created": "2025-02-24T00:00:00.000Z", "modified": "2026-11-17T20:33:30.000Z", VERSION: published.to_rfc3339()},
    })
}

/// The metadata of a package in its abbreviated form.
pub fn metadata(name: &str, tarball: &str, package: &[u8]) -> String {
    json!({
        "name": name,
        "dist-tags": {"latest": VERSION},
        "versions": {VERSION: {
            "name": name,
            "version": VERSION,
            "dist": {"integrity": Sha512::of(package).to_string(), "shasum": "0", "tarball": tarball},
        }},
        "modified": "2026-11-17T20:33:19.000Z",
    })
    .to_string()
}

/// A platform package with `script` as its binary.
pub fn package(script: &str) -> Vec<u8> {
    archive(&[
        ("package/package.json", "{}"),
        ("package/claude", script),
        ("package/README.md", "read me"),
    ])
}

pub fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), level));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive
            .append_data(&mut header, path, content.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

/// The environment of a tool that retries twice and at once.
pub fn tool_environment(environment: Environment) -> ToolEnvironment {
    ToolEnvironment {
        environment,
        retry: RetryPolicy {
            attempts: 3,
            first_wait: Duration::ZERO,
            read_timeout: Duration::from_secs(20),
        },
        run: RunId::mint(),
    }
}
