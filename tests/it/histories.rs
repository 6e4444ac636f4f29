//! `compat history` with filters, proposals and other gateways than LiteLLM, on the doubles of [`crate::published`].

use std::process::Stdio;

use compat_matrix::env;
use compat_matrix::toolchain::Lock;
use serde_json::{Value, json};

use crate::published::{TRIAL, project};
use crate::support::files::write_program;
use crate::support::loopback::{Server, ok, ready, status};
use crate::support::small_project::Small;
use crate::support::text::{assert_has, assert_lacks};
use crate::support::wait;

/// A finding that no version of the double shows.
const KNOWN: &str = "name: LiteLLM
install: {tool: litellm}
measured: [1.0.0]
findings:
  gone:
    shows: ['request beta gone dropped']
    providers: [anthropic]
    tiers: [haiku]
    versions: '=1.0.0'
    reason: It was repaired.
    loses: Nothing.
    link: https://example.org/issues/1
";

#[tokio::test]
async fn propose_is_refused_for_versions_of_claude_code() {
    let (small, _index) = project().await;
    small.write("gateways/litellm.yaml", KNOWN);
    for propose in ["--propose", "--propose=print", "--propose=write"] {
        for line in [["history", "--claude", propose], ["history", propose, "--claude"]] {
            let ran = small.compat(&line).await;
            ran.exits(2);
            ran.err_has("cannot be used with");
        }
    }
    assert_eq!(small.read("gateways/litellm.yaml"), KNOWN);
}

#[tokio::test]
async fn only_a_run_without_filters_measures_a_version() {
    let (small, _index) = project().await;
    small.write("gateways/litellm.yaml", KNOWN);
    let line = ["history", "--versions", "1.0.0,1.1.0", "--propose"];
    let filtered = small.compat(&[&line[..], &["--exact", TRIAL]].concat()).await;
    filtered.err_has("measured: [1.0.0], as it is: filters left out ");
    assert_lacks(&filtered.err, "gone");
    assert_eq!(small.read("gateways/litellm.yaml"), KNOWN);

    let print = ["history", "--versions", "1.0.0,1.1.0", "--propose=print"];
    let printed = small.compat(&print).await;
    printed.err_has("measured: [1.0.0, 1.1.0]");
    assert_eq!(small.read("gateways/litellm.yaml"), KNOWN);

    let whole = small.compat(&line).await;
    whole.err_has("gone: no measured version shows it: remove it");
    whole.err_has("measured: [1.0.0, 1.1.0]");
    assert_eq!(
        small.read("gateways/litellm.yaml"),
        KNOWN.replace("[1.0.0]", "[1.0.0, 1.1.0]")
    );
}

#[tokio::test]
async fn a_newest_version_of_which_nothing_is_judged_is_an_error() {
    let (small, _index) = project().await;
    small.write(
        "cells/text/anthropic.yaml",
        "expect:\n  asked_once: { requets: { count: 1 } }\n",
    );
    let ran = small
        .compat(&["history", "--versions", "1.0.0,1.1.0", "--exact", TRIAL])
        .await;
    ran.exits(1);
    ran.err_has(
        "error: no trial of the newest version, 1.1.0, could be judged (1 harness), so more findings may be there",
    );
    assert_has(&ran.out, "1.1.0  0 work, 0 do not, 1 could not be judged\n");
}

#[tokio::test]
async fn what_makes_a_trial_not_applicable_is_part_of_its_key() {
    let (small, _index) = project().await;
    let gateway = KNOWN.split("measured").next().unwrap().to_owned();
    small.write("gateways/litellm.yaml", &format!("{gateway}findings: {{}}\n"));
    let history = async || {
        let line = [
            "history",
            "--versions",
            "1.1.0",
            "--format",
            "json",
            "--exact",
            TRIAL,
        ];
        let ran = small.compat(&line).await;
        let table: Value = serde_json::from_str(&ran.out).unwrap();
        (table["cells"][0]["signs"][0].clone(), ran)
    };
    assert_eq!(history().await.0, "✓");
    let lacks = "lacks: [{features: [text], reason: It writes nothing.}]\n";
    small.write(
        "gateways/litellm.yaml",
        &format!("{gateway}{lacks}findings: {{}}\n"),
    );
    assert_eq!(history().await.0, "—");
    small.write("gateways/litellm.yaml", &format!("{gateway}findings: {{}}\n"));
    let (sign, again) = history().await;
    assert_eq!(sign, "✓");
    again.err_has("1.1.0: 0 trials ran, 1 stored");
    let manifest = small.read("manifest.yaml");
    let without = manifest.replacen(
        "model: claude-haiku-4-5",
        "model: claude-haiku-4-5\n    not_on: {anthropic: The model is gone (https://example.com).}",
        1,
    );
    assert_ne!(manifest, without, "{manifest}");
    small.write("manifest.yaml", &without);
    assert_eq!(history().await.0, "—");
}

#[tokio::test]
async fn an_interrupted_history_says_how_to_go_on() {
    let (small, _index) = project().await;
    let line = ["history", "--versions", "1.0.0,1.1.0,1.4.0,1.5.0"];
    let log = small.path("interrupted.log");
    let mut history = small.program(env!("CARGO_BIN_EXE_compat"), &line);
    let mut history = history
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let stored =
        || std::fs::read_dir(small.path("cache/history")).is_ok_and(|mut files| files.next().is_some());
    wait::until("a trial is stored", stored).await;
    let pid = history.id().to_string();
    std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .unwrap();
    history.wait().unwrap();
    let said = small.read("interrupted.log");
    assert_has(&said, "Run the same command again: `");
    assert_lacks(&said, "--rerun-failed");
    assert_lacks(&said, "the run ``");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_noted_once() {
    let (small, _index) = project().await;
    small.write("cache/history", "a file in place of the folder");
    let ran = small
        .compat(&["history", "--versions", "1.0.0,1.1.0", "--exact", TRIAL])
        .await;
    let noted = ran
        .err
        .matches("trials are not stored, so they run again the next time: cannot write `");
    assert_eq!(noted.count(), 1, "{}", ran.err);
    ran.err_has("1.1.0: 1 trial ran, 0 stored");
}

#[tokio::test]
async fn a_gateway_that_no_trial_can_reach_fails_the_comparison() {
    let (small, _index) = project().await;
    let one = small
        .compat(&["compare", "litellm@9.9.9", "--", "--exact", TRIAL])
        .await;
    one.exits(1);
    one.err_has("`litellm@9.9.9` has nothing to be compared with: name another gateway");
    // 1.3.0 does not start.
    let line = [
        "compare",
        "litellm@1.3.0",
        "litellm@1.0.0",
        "--",
        "--exact",
        TRIAL,
    ];
    let one = small.compat(&line).await;
    one.exits(1);
    one.err_has("error: no trial of litellm@1.3.0 could be judged");
    let words = one.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_has(&words, "litellm@1.3.0: ! ");
    assert_has(&words, "the gateway ended before it was ready");
    let two = small
        .compat(&[
            "compare",
            "litellm@1.0.0",
            "litellm@1.1.0",
            "--",
            "--exact",
            TRIAL,
        ])
        .await;
    two.exits(0);
}

#[tokio::test]
async fn a_comparison_checks_every_version_before_it_runs_one() {
    let (mut small, index) = project().await;
    small.write(
        "gateways/transparent.yaml",
        "name: Transparent\ninstall: {built_in: transparent}\nfindings: {}\n",
    );
    small.write("gateways/attached.yaml", "name: Attached\nfindings: {}\n");
    for (other, expected) in [
        (
            "litellm@9.9.9",
            "`litellm@9.9.9` cannot be run: `9.9.9` is not a published version; the newest are `1.5.0`, `1.6.0`, `1.7.0`",
        ),
        (
            "transparent@1.0.0",
            "`transparent@1.0.0` cannot be run: it is part of this program",
        ),
        ("attached", "`gateways/attached.yaml` has no `install`"),
    ] {
        let ran = small.compat(&["compare", "litellm@1.0.0", "none", other]).await;
        ran.exits(1);
        ran.err_has(expected);
        assert_lacks(&ran.err, "running ");
    }
    // What is pinned needs no registry.
    drop(index);
    let pinned = Lock::read(&small.path("toolchain")).unwrap().litellm.version;
    let pinned = format!("litellm@{pinned}");
    let ran = small
        .compat(&["compare", &pinned, "none", "--", "--nosuch"])
        .await;
    ran.err_has(&format!("running {pinned}"));
    let unknown = small.compat(&["compare", "litellm@1.1.0", "none"]).await;
    unknown.err_has("`litellm@1.1.0` cannot be run: ");
    small.set(env::LITELLM_PROXY_BASE_URL, "http://127.0.0.1:1");
    let attached = small.compat(&["compare", "litellm@9.9.9", "none"]).await;
    attached.err_has("names a gateway that already runs, and `compat compare` starts its own");
}

const DEMO: &str = "name: Demo
install: {npm: demo, version: 1.0.0}
start:
  command: ['{{ install }}/node_modules/demo/start', --port, '{{ port }}']
  environment:
    ANTHROPIC_API_BASE: '{{ providers.anthropic.base }}'
    ANTHROPIC_API_KEY: '{{ providers.anthropic.key }}'
ready: /health
findings: {}
";

const NPM: &str = r#"echo "$*" >> LOG
version=$(sed -n 's/.*"demo": "\(.*\)".*/\1/p' package.json | head -1)
case "$1" in
  install)
    cat > package-lock.json <<LOCK
{"name": "x", "lockfileVersion": 3, "packages": {
  "": {"dependencies": {"demo": "$version"}},
  "node_modules/demo": {"version": "$version", "integrity": "sha512-aa"}}}
LOCK
    ;;
  ci)
    mkdir -p node_modules/demo
    echo "$version" > node_modules/demo/version
    echo '{}' > node_modules/demo/package.json
    printf '#!/bin/sh\nexec GATEWAY "$@"\n' > node_modules/demo/start
    chmod +x node_modules/demo/start ;;
esac"#;

/// A registry with three versions of the package of the gateway `demo`, and a double of the npm client.
async fn demo(small: &mut Small) -> Server {
    let versions = ["1.0.0", "1.1.0", "1.2.0-beta.1", "1.2.0"];
    let of = |value: fn(usize, &str) -> Value| -> Value {
        let versions = versions.iter().enumerate();
        versions
            .map(|(day, version)| ((*version).to_owned(), value(day, version)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let package = json!({
        "versions": of(|_, version| json!({"version": version})),
        "time": of(|day, _| json!(format!("2026-02-{:02}T10:00:00Z", day + 1))),
    });
    let registry = Server::start(move |asked, _| {
        ready(match asked.target.as_str() {
            "/demo" => ok(package.to_string()),
            _ => status(404),
        })
    })
    .await;
    small.set("NPM_CONFIG_REGISTRY", &registry.address);
    small.write("gateways/demo.yaml", DEMO);
    let npm = NPM
        .replace("LOG", &small.path("npm.log").display().to_string())
        .replace("GATEWAY", env!("CARGO_BIN_EXE_fake-gateway"));
    write_program(&small.path("bin/npm"), &npm);
    registry
}

#[tokio::test]
async fn the_releases_of_an_npm_gateway_are_listed_and_locked() {
    let (mut small, _index) = project().await;
    let _registry = demo(&mut small).await;
    let line = [
        "history",
        "--gateway",
        "demo",
        "--last",
        "2",
        "--format",
        "json",
        "--exact",
        TRIAL,
    ];
    let ran = small.compat(&line).await;
    ran.exits(0);
    let table: Value = serde_json::from_str(&ran.out).unwrap();
    let versions: Vec<_> = (0..2)
        .map(|index| table["versions"][index]["version"].clone())
        .collect();
    assert_eq!(versions, ["1.1.0", "1.2.0"]);
    assert_eq!(table["cells"][0]["signs"], json!(["✓", "✓"]), "{}", ran.err);
    let calls = small.read("npm.log");
    assert_has(&calls, "--before=2026-02-03T10:00:00");
    assert_has(&calls, "--before=2026-02-05T10:00:00");
}

#[tokio::test]
async fn a_gateway_without_versions_is_explained() {
    let (mut small, _index) = project().await;
    small.write(
        "gateways/transparent.yaml",
        "name: Transparent\ninstall: {built_in: transparent}\nfindings: {}\n",
    );
    small.write("gateways/attached.yaml", "name: Attached\nfindings: {}\n");
    for (gateway, expected) in [
        (
            "tranparent",
            "there is no gateway `tranparent` (did you mean `transparent`?): known are",
        ),
        (
            "transparent",
            "`transparent` is part of this program, so it has no other version",
        ),
        (
            "attached",
            "`gateways/attached.yaml` has no `install`, so its versions cannot be installed",
        ),
        ("none", "`--gateway none` has no versions"),
    ] {
        for line in [
            &["history", "--gateway", gateway][..],
            &[
                "bisect",
                TRIAL,
                "--gateway",
                gateway,
                "--good",
                "1.0.0",
                "--bad",
                "1.1.0",
            ],
        ] {
            let ran = small.compat(line).await;
            ran.exits(1);
            ran.err_has(expected);
        }
    }
    let claude = small
        .compat(&["history", "--claude", "--gateway", "tranparent"])
        .await;
    claude.err_has("there is no gateway `tranparent`");
    for line in [
        &["history", "--claude"][..],
        &["bisect", TRIAL, "--claude", "--good", "2.1.0", "--bad", "2.1.1"],
    ] {
        small.set(env::COMPAT_CLAUDE, "");
        let ran = small
            .compat(&[line, &["--gateway", "litellm@9.9.9"]].concat())
            .await;
        ran.exits(1);
        ran.err_has("`litellm@9.9.9` cannot be run: `9.9.9` is not a published version");
    }
}
