//! The commands `compat matrix` and `compat results`: files, exit statuses, error messages.

use std::process::Command;

use compat_matrix::env;

use crate::support::evidence::gateway_file;
use crate::support::files::Folder;
use crate::support::project::{copy_of_this_project, manifest_of_v0};
use crate::support::ran::Ran;
use crate::support::root;
use crate::support::text::{assert_has, assert_starts};
use crate::support::{MATRIX, RESULTS};

/// Runs git in `folder`, with an author.
fn git(folder: &Folder, arguments: &[&str]) {
    let author = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
    let mut command = Command::new("git");
    command
        .args(author)
        .args(["-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(folder.root());
    Ran::new(command.output().unwrap()).exits(0);
}

fn manifest() -> String {
    root().join("manifest.yaml").to_str().unwrap().to_owned()
}

/// The sample with its first passing cell red.
fn regressed() -> String {
    let red = r#""status": "fail",
          "error": "haiku: the reply was empty\ncause: upstream (the provider said 529)""#;
    MATRIX.replacen(r#""status": "pass""#, red, 1)
}

#[test]
fn build_writes_the_matrix_and_its_details_beside_it() {
    let folder = Folder::with(&[("compat-results.json", RESULTS)]);
    let missing = folder.compat(&["matrix", "show"]);
    missing.err_has("there is no matrix in `compatibility-matrix.json`: `");
    missing.err_has("matrix build` writes one from the last results");
    let output = folder.compat(&["matrix", "build", "--matrix", "v0", "--manifest", &manifest()]);
    output.exits(0);
    assert_eq!(output.out, "");
    output.err_has("✓ 72 pass");
    assert_eq!(folder.read("compatibility-matrix.json"), MATRIX);
    let details = folder.read("compatibility-details.json");
    assert_has(&details, "\"litellm_version\": \"v1.106.0\"");

    let shown = folder.compat(&["matrix", "show"]);
    assert!(
        shown.out.contains("simulated providers"),
        "the details beside the matrix are used"
    );

    let flags = [
        "--litellm-version",
        "v0.0.0-test",
        "--claude-code-version",
        "2.1.test",
    ];
    let time = ["--generated-at", "2026-01-02T03:04:05Z", "--output", "-"];
    let manifest = manifest();
    let arguments = [
        &["matrix", "build", "--matrix", "v0", "--manifest", &manifest][..],
        &flags,
        &time,
    ]
    .concat();
    let printed = folder.compat(&arguments).out;
    let both = folder.compat(&[&arguments[..], &["--details", "more.json"]].concat());
    both.err_has("wrote `more.json` from `compat-results.json`");
    assert_eq!(both.out, printed);
    assert_has(&printed, "\"litellm_version\": \"v0.0.0-test\"");
    assert_has(&printed, "\"generated_at\": \"2026-01-02T03:04:05Z\"");
    assert_eq!(printed.lines().count(), MATRIX.lines().count());

    let moved = Folder::with(&[
        ("matrix.json", &printed),
        ("compatibility-details.json", &details),
    ]);
    let shown = moved.compat(&["matrix", "show", "matrix.json"]).out;
    assert!(
        !shown.contains("simulated"),
        "the details of another run are not used: {shown}"
    );
    let named = moved.compat(&[
        "matrix",
        "show",
        "matrix.json",
        "--details",
        "compatibility-details.json",
    ]);
    named.exits(1);
    named.err_has("is not from the same run as `matrix.json`");
}

#[test]
fn a_failed_build_keeps_the_old_matrix() {
    let results = RESULTS.replace("vertex_ai", "vertex_aj");
    let folder = Folder::with(&[
        ("compat-results.json", &results),
        ("compatibility-matrix.json", "old"),
    ]);
    let output = folder.compat(&["matrix", "build", "--matrix", "v0", "--manifest", &manifest()]);
    output.exits(1);
    assert_eq!(
        output.err,
        "error: compat-results.json:370:19: results[12].provider: the manifest has no `vertex_aj`, it has `anthropic`, \
         `bedrock_invoke`, `bedrock_converse`, `vertex_ai`, `azure`: did you mean `vertex_ai`?\n"
    );
    assert_eq!(folder.read("compatibility-matrix.json"), "old");
    assert!(!folder.path("compatibility-details.json").exists());
}

#[test]
fn a_manifest_of_another_version_is_an_error_with_position() {
    let other = std::fs::read_to_string(manifest())
        .unwrap()
        .replace("schema_version: \"1\"", "schema_version: \"2\"");
    let folder = Folder::with(&[("compat-results.json", RESULTS), ("manifest.yaml", &other)]);
    let output = folder.compat(&["matrix", "build"]);
    output.exits(1);
    output.err_has("manifest.yaml:2:");
}

#[test]
fn the_exit_status_of_diff_shows_regressions() {
    let folder = Folder::with(&[
        ("old.json", MATRIX),
        ("new.json", &regressed()),
        ("cut.json", &MATRIX[..500]),
    ]);
    let diff = |old: &str, new: &str| folder.compat(&["matrix", "diff", old, new]);
    assert_eq!(diff("old.json", "old.json").status, Some(0));
    assert_eq!(
        diff("new.json", "old.json").status,
        Some(0),
        "a fix is no regression"
    );
    let regressed = diff("old.json", "new.json");
    regressed.exits(3);
    assert_has(&regressed.out, "anthropic: pass → fail  [upstream]");
    assert!(!regressed.out.contains('\u{1b}'), "a pipe gets no colours");

    for (old, new, said) in [
        (
            "missing.json",
            "new.json",
            "error: there is no matrix in `missing.json`: ",
        ),
        (
            "old.json",
            "missing.json",
            "error: there is no matrix in `missing.json`: ",
        ),
        ("cut.json", "new.json", "error: cut.json:22:22: EOF while parsing"),
        ("old.json", "cut.json", "error: cut.json:22:22: EOF while parsing"),
    ] {
        let output = diff(old, new);
        assert_eq!(output.status, Some(1), "{old} {new}");
        assert_starts(&output.err, said);
        assert_eq!(
            output.err.matches("EOF").count(),
            usize::from(said.contains("EOF")),
            "the error is printed once"
        );
    }
}

#[test]
fn diff_and_show_write_every_format() {
    let folder = Folder::with(&[("old.json", MATRIX), ("new.json", &regressed())]);
    let json = folder.compat(&["matrix", "diff", "old.json", "new.json", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(value["changes"][0]["kind"], "regression");
    assert_eq!(value["changes"][0]["causes"][0], "upstream");
    let markdown = folder.compat(&["matrix", "diff", "old.json", "new.json", "--format", "markdown"]);
    assert_starts(&markdown.out, "### Compatibility matrix: 1 regression\n");
}

#[test]
fn the_history_comes_from_git() {
    let folder = Folder::with(&[("matrix.json", MATRIX)]);
    git(&folder, &["init", "-q", "."]);
    for (text, message) in [(MATRIX, "one"), (&regressed(), "two"), ("{}", "three")] {
        folder.write("matrix.json", text);
        git(&folder, &["add", "."]);
        git(&folder, &["commit", "-q", "-m", message]);
    }
    let output = folder.compat(&["matrix", "history", "matrix.json"]);
    output.exits(0);
    output.err_has("`schema_version` is absent");
    let history: serde_json::Value = serde_json::from_str(&output.out).unwrap();
    let cell = |index: usize| history["snapshots"][index]["cells"]["tool_use"]["anthropic"].clone();
    let first = |index: usize| {
        history["snapshots"][index]["cells"]["basic_messaging_non_streaming"]["anthropic"].clone()
    };
    assert_eq!([first(0), first(1)], ["pass", "fail"]);
    assert_eq!([cell(0), cell(1)], ["pass", "pass"]);
    assert_eq!(history["unreadable"].as_array().unwrap().len(), 1);

    let page = "https://docs.example.org/matrix";
    let feed = folder.compat(&[
        "matrix",
        "history",
        "matrix.json",
        "--format",
        "atom",
        "--page",
        page,
    ]);
    feed.exits(0);
    feed.out_has("<entry>", 2);
    feed.out_has("basic_messaging_non_streaming on anthropic: pass → fail", 1);
    feed.out_has(&format!("<id>{page}</id>"), 1);
    let without = folder.compat(&["matrix", "history", "matrix.json", "--format", "atom"]);
    without.exits(2);
    without.err_has("--page <URL>");

    git(&folder, &["rm", "-q", "matrix.json"]);
    git(&folder, &["commit", "-q", "-m", "removed"]);
    let last = folder.compat(&["matrix", "history", "matrix.json", "--last", "2"]);
    let last: serde_json::Value = serde_json::from_str(&last.out).unwrap();
    assert_eq!(
        last["snapshots"].as_array().unwrap().len(),
        1,
        "the other revision is no matrix"
    );
    assert_eq!(last["unreadable"].as_array().unwrap().len(), 1);

    for zero in [
        &["matrix", "history", "matrix.json", "--last", "0"][..],
        &["matrix", "show", "matrix.json", "--width", "0"],
    ] {
        folder.compat(zero).exits(2);
    }
    let cut = ["--last", "2", "--format", "atom", "--page", page];
    let cut = folder.compat(&[&["matrix", "history", "matrix.json"][..], &cut].concat());
    cut.out_has("<entry>", 0);
    let unknown = folder.compat(&["matrix", "history", "other.json"]);
    unknown.exits(1);
    unknown.err_has("`other.json` has no history here");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = Folder::with(&[("matrix.json", MATRIX)]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_compat"));
    let mut child = command
        .args(["matrix", "show", "matrix.json"])
        .current_dir(folder.root())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = Ran::new(child.wait_with_output().unwrap());
    output.exits(0);
    assert_eq!(output.err, "");
}

/// The results, split into two shards.
fn shards() -> [String; 2] {
    let whole: serde_json::Value = serde_json::from_str(RESULTS).unwrap();
    let shard = |remainder: usize| {
        let mut part = whole.clone();
        let entries = whole["results"].as_array().unwrap().iter().enumerate();
        let own: Vec<_> = entries
            .filter(|(index, _)| index % 2 == remainder)
            .map(|(_, entry)| entry.clone())
            .collect();
        part["run"]["selected"] = own.len().into();
        part["results"] = own.into();
        part.to_string()
    };
    [shard(0), shard(1)]
}

#[test]
fn merged_shards_are_the_whole_run() {
    let [one, two] = shards();
    let folder = Folder::with(&[("1.json", &one), ("2.json", &two)]);
    let output = folder.compat(&[
        "results",
        "merge",
        "2.json",
        "1.json",
        "--output",
        "whole.json",
        "--junit",
        "junit.xml",
    ]);
    output.exits(0);
    assert_eq!(folder.read("whole.json"), RESULTS);
    assert_has(
        &folder.read("junit.xml"),
        "tests=\"90\" skipped=\"18\" failures=\"0\" errors=\"0\"",
    );

    let partial = folder.compat(&["results", "merge", "1.json"]);
    partial.exits(1);
    assert_starts(
        &partial.err,
        "error: the parts have 45 of 90 trials: give the missing parts",
    );
    folder
        .compat(&["results", "merge", "1.json", "--allow-partial"])
        .exits(0);

    let twice = folder.compat(&["results", "merge", "1.json", "1.json", "--allow-partial"]);
    twice.err_has("is in `1.json` and in `1.json`");
}

#[test]
fn merged_shards_tell_that_a_known_finding_is_stale() {
    let of_example = |shard: String| {
        let mut shard: serde_json::Value = serde_json::from_str(&shard).unwrap();
        shard["run"]["gateway"] =
            serde_json::json!({ "kind": "attached", "name": "example", "version": "1.2.3" });
        for entry in shard["results"].as_array_mut().unwrap() {
            if entry["result"]["status"] == "pass" {
                entry["verdict"] = "clean".into();
            }
        }
        shard.to_string()
    };
    let [one, two] = shards().map(of_example);
    let folder = copy_of_this_project();
    folder.write("manifest.yaml", &manifest_of_v0());
    folder.write("1.json", &one);
    folder.write("2.json", &two);
    folder.write(
        "gateways/example.yaml",
        &gateway_file("request beta x dropped", "anthropic", "haiku"),
    );
    let merge = |arguments: &[&str]| folder.compat(&[&["results", "merge"], arguments].concat());
    let whole = merge(&["1.json", "2.json", "--output", "whole.json"]);
    whole.exits(3);
    whole.err_has("error: gateways/example.yaml:3:3: the known finding `forgotten` no longer shows on anthropic (haiku)");
    assert_has(&folder.read("whole.json"), "\"complete\": true");
    let part = merge(&["1.json", "--allow-partial"]);
    part.exits(0);
    part.err_lacks("no longer shows");
    folder.write("gateways/example.yaml", "name: [");
    merge(&["1.json", "2.json"]).exits(3);
    std::fs::remove_file(folder.path("manifest.yaml")).unwrap();
    let elsewhere = merge(&["1.json", "2.json"]);
    elsewhere.exits(0);
    elsewhere.err_has("note: stale known findings were not looked for");
}

#[test]
fn a_partial_run_leaves_cells_not_tested() {
    let [one, _] = shards();
    let folder = Folder::with(&[
        ("compat-results.json", &one),
        ("compatibility-matrix.json", MATRIX),
    ]);
    let output = folder.compat(&["matrix", "build", "--matrix", "v0", "--manifest", &manifest()]);
    output.exits(0);
    let matrix = folder.read("compatibility-matrix.json");
    assert_eq!(
        matrix.matches("\"status\": \"not_tested\"").count(),
        30,
        "the older matrix is replaced"
    );
}

#[test]
fn results_are_found_from_below_the_project() {
    let folder = Folder::with(&[("manifest.yaml", &manifest_of_v0()), ("below/x", "")]);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_compat"));
        command
            .args(arguments)
            .current_dir(folder.root().join("below"))
            .env_remove(env::CARGO_PKG_NAME);
        Ran::new(command.output().unwrap())
    };
    let all = [
        &["results", "show"][..],
        &["matrix", "build", "--output", "-"],
        &["report"],
    ];
    for arguments in all {
        let missing = run(arguments);
        missing.exits(1);
        missing.err_has("compat-results.json`: `compat run` writes them");
    }
    folder.write("compat-results.json", RESULTS);
    folder.write(
        "target/compat/runs/20261127-162417-3f9c2b/compat-results.json",
        RESULTS,
    );
    for arguments in all.into_iter().chain([&["report", "--results", "3f9c2b"][..]]) {
        run(arguments).exits(0);
    }
}
