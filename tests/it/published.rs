//! Versions that the project does not pin: `--gateway litellm@VERSION`, `compat history`. Doubles replace the package index,
//! `python3`, `uv`, LiteLLM and `claude`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;

use compat_matrix::claude::Invocation;
use compat_matrix::env;
use compat_matrix::results::{Results, TrialResult};
use compat_matrix::toolchain::platform::CLAUDE_PACKAGE;
use serde_json::{Value, json};

use crate::support::claude::fake_claude;
use crate::support::evidence::gateway_file;
use crate::support::files::{copy_folder, write_program};
use crate::support::loopback::{Server, ok, ready, status};
use crate::support::registry;
use crate::support::root;
use crate::support::small_project::Small;
use crate::support::text::{assert_has, assert_lacks};
use crate::support::wait;

/// The releases of the double of LiteLLM. From 1.4.0 on, each request gets an error. 1.3.0 and 1.7.0 do not start, and 1.2.0
/// has no solution without an override.
const RELEASES: [&str; 9] = [
    "1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0", "1.6.0rc1", "1.6.0", "1.7.0",
];

const PYTHON: &str = r#"case "$*" in
  "-c "*) echo 3.12.1 ;;
  "-m pip config list") echo "global.index-url='INDEX/simple'" ;;
  *) echo "unexpected: $*" >&2; exit 9 ;;
esac"#;

const UV: &str = r#"echo "$*" >> LOG
case "$1 $2" in
  "venv "*) for folder; do :; done; mkdir -p "$folder/bin"; touch "$folder/bin/python" ;;
  "pip compile")
    for argument; do
      case "$argument" in *requirements.in) input="$argument" ;; --override=*) override=yes ;; esac
    done
    version=$(sed -n 's/^litellm.*==//p' "$input")
    if test "$version $override" = "1.2.0 "; then echo "no solution found" >&2; exit 1; fi
    printf 'litellm==%s \\\n    --hash=sha256:aa\n' "$version" ;;
  "pip install")
    version=$(sed -n 's/^litellm==\([^ ]*\).*/\1/p' requirements.txt)
    mkdir -p lib/python3/site-packages/litellm
    echo "VERSION = '$version'" > lib/python3/site-packages/litellm/version.py
    echo "same" > lib/python3/site-packages/litellm/same.py
    cat > bin/litellm <<'SCRIPT'
#!/bin/sh
version=$(sed -n "s/^VERSION = '\(.*\)'/\1/p" "$(dirname "$0")/../lib/python3/site-packages/litellm/version.py")
for argument; do
  case "$argument" in *proxy_config.yaml) cp "$argument" STARTED ;; esac
done
echo "bearer $AWS_BEARER_TOKEN_BEDROCK, key $AWS_ACCESS_KEY_ID." >> STARTED
case "$version" in
  1.3.0|1.7.0)
    echo 'Traceback (most recent call last):'
    echo '  File "/litellm/utils.py", line 10, in <module>'
    echo "ImportError: cannot import name 'Gone'"
    exit 1 ;;
  1.4.0|1.5.0|1.6.0)
    FAKE_ANSWER='500 {"error":{"message":"Internal Server Error","code":"500"}}' exec GATEWAY "$@" ;;
  *) exec GATEWAY "$@" ;;
esac
SCRIPT
    chmod +x bin/litellm ;;
esac"#;

/// A project, and an index with [`RELEASES`], each published a day after the one before.
pub async fn project() -> (Small, Server) {
    let files = RELEASES.iter().enumerate().map(|(day, version)| {
        json!({"filename": format!("litellm-{version}.tar.gz"), "upload-time": format!("2026-01-{:02}T10:00:00Z", day + 1)})
    });
    let listing = json!({"files": files.collect::<Vec<Value>>()}).to_string();
    let index = Server::start(move |asked, _| {
        ready(match asked.target.as_str() {
            "/simple/litellm/" => ok(listing.clone()),
            _ => status(404),
        })
    })
    .await;
    let mut small = Small::new();
    copy_folder(&root().join("toolchain"), &small.path("toolchain"));
    std::fs::create_dir(small.path("bin")).unwrap();
    write_program(
        &small.path("bin/python3"),
        &PYTHON.replace("INDEX", &index.address),
    );
    let log = small.path("uv.log").display().to_string();
    let uv = UV
        .replace("LOG", &log)
        .replace("STARTED", &small.path("started.yaml").display().to_string())
        .replace("GATEWAY", env!("CARGO_BIN_EXE_fake-gateway"));
    write_program(&small.path("bin/uv"), &uv);
    let path = format!("{}:/usr/bin:/bin", small.path("bin").display());
    small.set(env::PATH, &path);
    (small, index)
}

pub const TRIAL: &str = "text::anthropic::haiku";

#[tokio::test]
async fn a_published_version_is_locked_as_of_its_own_day() {
    let (small, index) = project().await;
    let committed = small.read("toolchain/litellm.txt");
    for _ in 0..2 {
        let ran = small.run(&["--gateway", "litellm@1.1.0", "--exact", TRIAL]).await;
        ran.exits(0);
    }
    let gateway = small.results().run.gateway;
    assert_eq!(gateway.version.as_deref(), Some("1.1.0"));
    let calls = small.read("uv.log");
    assert_has(&calls, "--exclude-newer=2026-01-03T10:00:00");
    assert_eq!(
        calls.matches("pip compile").count(),
        1,
        "the lock is kept: {calls}"
    );
    assert_eq!(index.targets().len(), 1);
    assert_eq!(small.read("toolchain/litellm.txt"), committed);
}

#[tokio::test]
async fn an_override_is_part_of_the_lock() {
    let (small, _index) = project().await;
    let refused = small.run(&["--gateway", "litellm@1.2.0", "--exact", TRIAL]).await;
    refused.exits(2);
    refused.err_has("no solution found");
    small.write("override.txt", "openai<2\n");
    let line = [
        "--gateway",
        "litellm@1.2.0",
        "--override",
        "override.txt",
        "--exact",
        TRIAL,
    ];
    small.run(&line).await.exits(0);
    assert_has(&small.read("uv.log"), "--override=");
}

#[tokio::test]
async fn a_version_that_cannot_be_run_is_explained() {
    let (mut small, _index) = project().await;
    for (gateway, expected) in [
        (
            "litellm@9.9.9",
            "the package index has no `litellm` 9.9.9; the newest is 1.7.0",
        ),
        (
            "litellm@1.3.0",
            "its first exception:\n  File \"/litellm/utils.py\", line 10, in <module>\n  ImportError: cannot import name 'Gone'",
        ),
        ("litellm@newest", "`newest` is not a version"),
        ("other", "there is no gateway `other`"),
    ] {
        let ran = small.run(&["--gateway", gateway, "--exact", TRIAL]).await;
        ran.exits(2);
        ran.err_has(expected);
    }
    let ran = small.run(&["--claude", "2.1.228", "--exact", TRIAL]).await;
    ran.err_has("`--claude` and `COMPAT_CLAUDE` name two programs");
    small.set(env::LITELLM_PROXY_BASE_URL, "http://127.0.0.1:1");
    let ran = small.run(&["--gateway", "litellm@1.1.0", "--exact", TRIAL]).await;
    ran.err_has("`--gateway litellm@1.1.0` contradicts `LITELLM_PROXY_BASE_URL`");
}

#[tokio::test]
async fn history_runs_only_what_is_not_stored() {
    let (small, _index) = project().await;
    let line = [
        "history",
        "--versions",
        "1.1.0..1.4.0",
        "--tier",
        "haiku",
        "--provider",
        "anthropic",
        "--format",
        "json",
    ];
    let first = small.compat(&line).await;
    first.err_has("1.1.0: 2 trials ran, 0 stored");
    let table: Value = serde_json::from_str(&first.out).unwrap();
    let unusable = |index: usize| {
        table["versions"][index]["unusable"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    // The fourth boots while the first ends, and outlives it.
    assert_eq!((unusable(0), unusable(3)), (String::new(), String::new()));
    assert_has(
        &unusable(1),
        "no solution found; replace the requirement with `--override FILE`",
    );
    assert_has(&unusable(2), "ImportError: cannot import name 'Gone'");
    assert_eq!(table["cells"][0]["cell"], "text::anthropic");
    assert_eq!(
        table["beside"],
        json!({"name": "Claude Code", "version": "0.0.0"}),
        "the program that ran, not the pinned one"
    );
    let again = small.compat(&line).await;
    again.err_has("1.1.0: 0 trials ran, 2 stored");
    assert_eq!(again.out, first.out);
    // A change of one cell runs that cell again, on each version.
    let cell = small.read("cells/text/anthropic.yaml");
    small.write("cells/text/anthropic.yaml", &format!("# changed\n{cell}"));
    let changed = small.compat(&line).await;
    changed.err_has("1.1.0: 1 trial ran, 1 stored");
    let results = small.read("target/compat/versions/litellm/1.1.0/compat-results.json");
    assert_eq!(Results::parse(&results).unwrap().results.len(), 1);
}

const CONFIGURATIONS: &str = "name: LiteLLM
install: {tool: litellm}
configurations:
  bearer:
    about: A bearer token.
    environment: {AWS_BEARER_TOKEN_BEDROCK: '<{{ providers.bedrock_invoke.api_key }}>'}
    unset: [AWS_ACCESS_KEY_ID]
    settings: {litellm_settings: {drop_params: false}}
findings: {}
";

#[tokio::test]
async fn a_configuration_changes_settings_and_variables() {
    let (mut small, _index) = project().await;
    small.write("gateways/litellm.yaml", CONFIGURATIONS);
    let run = async |small: &Small, config: &str| {
        small
            .run(&["--gateway", "litellm@1.1.0", "--config", config, "--exact", TRIAL])
            .await
    };
    run(&small, "bearer").await.exits(0);
    let gateway = small.results().run.gateway;
    assert_eq!(gateway.configuration.as_deref(), Some("bearer"));
    let started = small.read("started.yaml");
    assert_has(&started, "\"drop_params\": false");
    assert_eq!(gateway.settings["litellm_settings.drop_params"], false);
    assert_eq!(gateway.models["claude-haiku-4-5"], "claude-haiku-4-5");
    assert_has(&started, "\"model_name\": \"claude-haiku-4-5\"");
    assert_lacks(&started, "bearer <>");
    assert_has(&started, ">, key .");

    run(&small, "default").await.exits(0);
    assert_eq!(small.results().run.gateway.configuration, None);
    let started = small.read("started.yaml");
    assert_lacks(&started, "drop_params");
    assert_has(&started, "bearer , key ");

    let unknown = run(&small, "baerer").await;
    unknown.exits(2);
    unknown.err_has("`--config baerer`: the gateway has no configuration `baerer` (did you mean `bearer`?)");
    small.set(env::LITELLM_PROXY_BASE_URL, "http://127.0.0.1:1");
    let attached = small.run(&["--config", "bearer", "--exact", TRIAL]).await;
    attached.exits(2);
    attached.err_has("`--config bearer` contradicts `LITELLM_PROXY_BASE_URL`");
}

#[tokio::test]
async fn gateways_are_compared_with_each_configuration() {
    let (small, _index) = project().await;
    small.write("gateways/litellm.yaml", CONFIGURATIONS);
    let line = [
        "compare",
        "litellm@1.1.0",
        "--config",
        "default",
        "--config",
        "bearer",
        "--format",
        "html",
    ];
    let ran = small
        .compat(&[&line[..], &["--", "--exact", TRIAL]].concat())
        .await;
    ran.exits(0);
    assert_has(
        &ran.out,
        "<th scope=\"col\">litellm@1.1.0 (configuration bearer)</th>",
    );
    assert_has(&ran.out, "<h1>Gateways side by side</h1>");
    assert_has(&ran.out, "There is no difference.");
    let none = small.compat(&["compare", "none", "--config", "bearer"]).await;
    none.exits(1);
    none.err_has("`--config bearer` of `none`: the gateway has no configuration `bearer`");
}

#[tokio::test]
async fn a_killed_history_continues_where_it_was() {
    let (small, _index) = project().await;
    let line = ["history", "--versions", "1.0.0,1.1.0", "--format", "json"];
    let stored = || -> BTreeSet<PathBuf> {
        let files = std::fs::read_dir(small.path("cache/history"));
        let files = files.into_iter().flatten().flatten().map(|entry| entry.path());
        files
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect()
    };
    let mut killed = small.program(env!("CARGO_BIN_EXE_compat"), &line);
    let mut killed = killed
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait::until("a trial is stored", || !stored().is_empty()).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    let done = stored();
    let texts: Vec<Vec<u8>> = done.iter().map(|path| std::fs::read(path).unwrap()).collect();

    let resumed = small.compat(&line).await;

    // Each line is `VERSION: N trials ran, M stored`.
    let count = |word: usize| -> usize {
        let lines = resumed.err.lines().filter(|line| line.contains(" ran, "));
        lines
            .map(|line| line.split(' ').nth(word).unwrap().parse::<usize>().unwrap())
            .sum()
    };
    let (ran, kept) = (count(1), count(4));
    assert_eq!(kept, done.len(), "{}", resumed.err);
    assert!(ran > 0, "the kill came too late: {}", resumed.err);
    assert_eq!(ran + kept, stored().len());
    let after: Vec<Vec<u8>> = done.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert_eq!(after, texts, "a stored trial was written again");
    let whole = small.compat(&line).await;
    assert_eq!(whole.out, resumed.out);
    whole.err_has("1.0.0: 0 trials ran");
    whole.err_has("1.1.0: 0 trials ran");
}

#[tokio::test]
async fn a_release_is_paired_with_the_claude_code_of_its_day() {
    let (mut small, _index) = project().await;
    let versions = ["2.1.0", "2.1.1", "2.1.2"];
    let times = [
        "2026-01-02T12:00:00Z",
        "2026-01-08T09:00:00Z",
        "2026-01-30T00:00:00Z",
    ];
    let of = |value: fn(&str, &str) -> Value| -> Value {
        versions
            .iter()
            .zip(times)
            .map(|(version, time)| ((*version).to_owned(), value(version, time)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let package = json!({
        "name": CLAUDE_PACKAGE,
        "dist-tags": {"latest": "2.1.2"},
        "versions": of(|version, _| json!({"name": CLAUDE_PACKAGE, "version": version, "dist": {"tarball": "http://127.0.0.1:1/x.tgz"}})),
        "time": of(|_, time| json!(time)),
    });
    let registry = Server::start(move |_, _| ready(ok(package.to_string()))).await;
    small.set("NPM_CONFIG_REGISTRY", &registry.address);
    small.set(env::COMPAT_CLAUDE, "");
    let line = [
        "history",
        "--versions",
        "1.0.0,1.1.0,1.6.0",
        "--pairs",
        "contemporary",
        "--format",
        "json",
        "--exact",
        TRIAL,
    ];
    let ran = small.compat(&line).await;
    let table: Value = serde_json::from_str(&ran.out).unwrap();
    // 1.0.0 is of January 1st, and 1.6.0 of January 8th.
    for (index, expected) in [Value::Null, json!("2.1.0"), json!("2.1.1")].iter().enumerate() {
        assert_eq!(table["versions"][index]["claude_code"], *expected, "{}", ran.err);
    }
    ran.err_has("1.0.0: could not be run: there was no Claude Code when 1.0.0 was released");
}

#[tokio::test]
async fn a_cell_whose_flag_claude_code_lacks_is_not_applicable() {
    let mut small = Small::with_double_of_litellm().await;
    let lock = small.read("toolchain/claude.json");
    small.write("toolchain/claude.json", &lock.replace(registry::VERSION, "2.1.0"));
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in --help) echo '{}' ;; *) exec '{}' \"$@\" ;; esac\n",
        Invocation::FLAGS.join(" "),
        fake_claude().display()
    );
    let registry = registry::start(&script).await;
    small.set("NPM_CONFIG_REGISTRY", &registry.address);
    small.set(env::COMPAT_CLAUDE, "");
    let shared = "cells/words/_shared.yaml";
    let cell = small.read(shared);
    small.write(
        shared,
        &format!("flags: [--append-system-prompt, Be brief.]\n{cell}"),
    );
    let finding = gateway_file("expectation words::reply", "anthropic", "haiku");
    small.write(
        "gateways/litellm.yaml",
        &finding.replace(">=1.2.0, <=1.2.9", ">=0.0.1"),
    );

    // The script starts a program that no cage lets it read.
    let line = ["--claude", registry::VERSION, "--isolation", "none"];
    let ran = small.run(&line).await;

    ran.exits(0);
    assert_lacks(&ran.err, "no longer shows");
    let results = small.results().results;
    let result_of = |name: &str| {
        let mut own = results.iter().filter(|entry| entry.nodeid.to_string() == name);
        &own.next().unwrap().result
    };
    assert!(matches!(result_of(TRIAL), TrialResult::Pass {}), "{}", ran.err);
    let TrialResult::NotApplicable { reason } = result_of("words::anthropic::haiku") else {
        panic!("{}", ran.out);
    };
    let expected = "The help of Claude Code 2.1.327 does not name `--append-system-prompt`.";
    assert_eq!(reason, expected);
}

#[tokio::test]
async fn history_names_the_versions_that_it_cannot_judge() {
    let (small, _index) = project().await;
    let history = async |versions: &[&str]| {
        let mut line = vec!["history"];
        line.extend_from_slice(versions);
        line.extend(["--format", "json", "--exact", TRIAL]);
        small.compat(&line).await
    };
    let sorted = history(&["--versions", "1.1.0,1.0.0"]).await;
    sorted.exits(0);
    let table: Value = serde_json::from_str(&sorted.out).unwrap();
    assert_eq!(table["versions"][0]["version"], "1.0.0");
    let newest = history(&["--versions", "1.3.0,1.1.0"]).await;
    newest.exits(1);
    newest.err_has("the newest version, 1.3.0, could not be run");
    let after_others = history(&["--versions", "1.1.0,1.6.0,1.7.0"]).await;
    after_others.exits(1);
    after_others.err_has("the newest version, 1.7.0, could not be run");
    let unknown = history(&["--versions", "1.1.0,9.9.9"]).await;
    unknown.exits(1);
    unknown.err_has("`9.9.9` is not a published version; the newest are `1.5.0`, `1.6.0`, `1.7.0`");
    assert_lacks(&unknown.err, "1.1.0: ");
    history(&["--last", "0"]).await.exits(2);
}

#[tokio::test]
async fn a_wrong_gateway_or_override_is_refused_at_once() {
    let (small, _index) = project().await;
    let compared = small.compat(&["compare", "litellm", "nonne"]).await;
    compared.exits(1);
    compared.err_has("there is no gateway `nonne` (did you mean `none`?): known are");
    assert_lacks(&compared.err, "running litellm");
    let lock = small.read("toolchain/litellm.txt");
    let pinned = lock.lines().find_map(|line| line.strip_prefix("litellm=="));
    let pinned = pinned
        .and_then(|rest| rest.split([' ', '[']).next())
        .expect("a pinned version");
    let pinned = format!("litellm@{pinned}");
    for (line, expected) in [
        (&["none", "none"][..], "the gateway `none` is there twice"),
        (&["litellm", &pinned], "is there twice: name each one once"),
        (
            &["none", "--config", "default", "--config", "default"],
            "the configuration `default` is there twice",
        ),
        (&["none", "--output", "cells"], "cannot write `cells`"),
    ] {
        let refused = small.compat(&[&["compare"], line].concat()).await;
        refused.exits(1);
        refused.err_has(expected);
        assert_lacks(&refused.err, "running none");
    }
    let updated = small
        .compat(&["toolchain", "update", "--gateway", "nosuch"])
        .await;
    updated.exits(1);
    updated.err_has("there is no `gateways/nosuch.yaml`; known are ");
    let other = small
        .run(&["--gateway", "none", "--override", "x.txt", "--exact", TRIAL])
        .await;
    other.exits(2);
    other.err_has("`--override` replaces packages of `litellm` alone, not of `none`: remove it");
    let missing = small
        .run(&[
            "--gateway",
            "litellm@1.1.0",
            "--override",
            "x.txt",
            "--exact",
            TRIAL,
        ])
        .await;
    missing.exits(2);
    missing.err_has("cannot read the requirements of `--override` in `x.txt`");
}
