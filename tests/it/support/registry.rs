//! A double of the package registry, with one version of Claude Code.

use compat_matrix::digest::Sha512;
use compat_matrix::toolchain::platform::{CLAUDE_PACKAGE, Platform};
use serde_json::{Value, json};

use crate::support::loopback::{Server, ok, ready, status};

pub const VERSION: &str = "2.1.327";

/// Starts one; each platform's package has `script` as its binary.
pub async fn start(script: &'static str) -> Server {
    serve(package(script), package(script)).await
}

/// Starts one whose packages do not match their digests.
pub async fn start_tampered(script: &'static str) -> Server {
    serve(package(script), package("#!/bin/sh\necho evil\n")).await
}

async fn serve(package: Vec<u8>, sent: Vec<u8>) -> Server {
    Server::start(move |asked, own| {
        let path = asked.target.replace("%2f", "/");
        ready(if path.ends_with(".tgz") {
            ok(sent.clone())
        } else if path == format!("/{CLAUDE_PACKAGE}") {
            ok(wrapper().to_string())
        } else if Platform::ALL
            .iter()
            .any(|platform| path == format!("/{}", platform.package()))
        {
            ok(metadata(&path[1..], &own, &package).to_string())
        } else {
            status(404)
        })
    })
    .await
}

fn wrapper() -> Value {
    json!({
        "name": CLAUDE_PACKAGE,
        "dist-tags": {"latest": VERSION},
        "versions": {VERSION: {"name": CLAUDE_PACKAGE, "version": VERSION, "dist": {"tarball": "x", "integrity": "sha512-x"}}},
        "time": {"created": "2025-02-24T00:00:00.000Z", "modified": "2026-11-17T20:33:30.000Z", VERSION: "2026-11-17T20:33:19.000Z"},
    })
}

fn metadata(name: &str, own: &str, package: &[u8]) -> Value {
    json!({
        "name": name,
        "dist-tags": {"latest": VERSION},
        "versions": {VERSION: {"name": name, "version": VERSION, "dist": {
            "integrity": Sha512::of(package).to_string(), "tarball": format!("{own}/{name}/-/claude.tgz"),
        }}},
    })
}

fn package(script: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    for (path, content) in [("package/package.json", "{}"), ("package/claude", script)] {
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
