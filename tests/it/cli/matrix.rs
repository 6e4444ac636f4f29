//! The commands `compat matrix` and `compat results`: files, exit statuses, error messages.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::text::assert_has;
use crate::support::{MATRIX, RESULTS};

/// A folder of files that the commands run in.
struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        files
            .iter()
            .for_each(|(name, text)| std::fs::write(folder.path(name), text).unwrap());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn compat(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_compat"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "commit.gpgsign=false",
        ]);
        let output = command
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn manifest() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifest.yaml");
    path.to_str().unwrap().to_owned()
}

/// The sample with its first passing cell red.
fn regressed() -> String {
    let red = r#""status": "fail",
          "error": "haiku: the reply was empty\ncause: upstream (the provider said 529)""#;
    MATRIX.replacen(r#""status": "pass""#, red, 1)
}

#[test]
fn build_writes_the_matrix_and_its_details_beside_it() {
    let folder = Folder::new(&[("compat-results.json", RESULTS)]);
    let output = folder.compat(&["matrix", "build", "--manifest", &manifest()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    assert_has(&stderr(&output), "✓ 72 pass");
    assert_eq!(folder.text("compatibility-matrix.json"), MATRIX);
    let details = folder.text("compatibility-details.json");
    assert_has(&details, "\"litellm_version\": \"v1.106.0\"");

    let shown = folder.compat(&["matrix", "show"]);
    assert!(
        stdout(&shown).contains("simulated providers"),
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
    let arguments = [&["matrix", "build", "--manifest", &manifest][..], &flags, &time].concat();
    let printed = stdout(&folder.compat(&arguments));
    assert_has(&printed, "\"litellm_version\": \"v0.0.0-test\"");
    assert_has(&printed, "\"generated_at\": \"2026-01-02T03:04:05Z\"");
    assert_eq!(printed.lines().count(), MATRIX.lines().count());

    let moved = Folder::new(&[
        ("matrix.json", &printed),
        ("compatibility-details.json", &details),
    ]);
    let shown = stdout(&moved.compat(&["matrix", "show", "matrix.json"]));
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
    assert_eq!(named.status.code(), Some(1));
    assert_has(&stderr(&named), "is not from the same run as `matrix.json`");
}

#[test]
fn a_failed_build_keeps_the_old_matrix() {
    let results = RESULTS.replace("vertex_ai", "vertex_aj");
    let folder = Folder::new(&[
        ("compat-results.json", &results),
        ("compatibility-matrix.json", "old"),
    ]);
    let output = folder.compat(&["matrix", "build", "--manifest", &manifest()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "error: compat-results.json:370:19: results[12].provider: the manifest has no `vertex_aj`, it has `anthropic`, \
         `bedrock_invoke`, `bedrock_converse`, `vertex_ai`, `azure`: did you mean `vertex_ai`?\n"
    );
    assert_eq!(folder.text("compatibility-matrix.json"), "old");
    assert!(!folder.path("compatibility-details.json").exists());
}

#[test]
fn a_manifest_of_another_version_is_an_error_with_position() {
    let other = std::fs::read_to_string(manifest())
        .unwrap()
        .replace("schema_version: \"1\"", "schema_version: \"2\"");
    let folder = Folder::new(&[("compat-results.json", RESULTS), ("manifest.yaml", &other)]);
    let output = folder.compat(&["matrix", "build"]);
    assert_eq!(output.status.code(), Some(1));
    assert_has(&stderr(&output), "manifest.yaml:2:");
}

#[test]
fn the_exit_status_of_diff_shows_regressions() {
    let folder = Folder::new(&[
        ("old.json", MATRIX),
        ("new.json", &regressed()),
        ("cut.json", &MATRIX[..500]),
    ]);
    let diff = |old: &str, new: &str| folder.compat(&["matrix", "diff", old, new]);
    assert_eq!(diff("old.json", "old.json").status.code(), Some(0));
    assert_eq!(
        diff("new.json", "old.json").status.code(),
        Some(0),
        "a fix is no regression"
    );
    let regressed = diff("old.json", "new.json");
    assert_eq!(regressed.status.code(), Some(3));
    assert_has(&stdout(&regressed), "anthropic: pass → fail  [upstream]");
    assert!(
        !stdout(&regressed).contains('\u{1b}'),
        "no colours where nobody sees them"
    );

    for (old, new, said) in [
        ("missing.json", "new.json", "error: reading `missing.json`: "),
        ("old.json", "missing.json", "error: reading `missing.json`: "),
        ("cut.json", "new.json", "error: cut.json:22:22: EOF while parsing"),
        ("old.json", "cut.json", "error: cut.json:22:22: EOF while parsing"),
    ] {
        let output = diff(old, new);
        assert_eq!(output.status.code(), Some(1), "{old} {new}");
        assert!(stderr(&output).starts_with(said), "{}", stderr(&output));
        assert_eq!(
            stderr(&output).matches("EOF").count(),
            usize::from(said.contains("EOF")),
            "said once"
        );
    }
}

#[test]
fn diff_and_show_write_every_format() {
    let folder = Folder::new(&[("old.json", MATRIX), ("new.json", &regressed())]);
    let json = folder.compat(&["matrix", "diff", "old.json", "new.json", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["changes"][0]["kind"], "regression");
    assert_eq!(value["changes"][0]["causes"][0], "upstream");
    let markdown = folder.compat(&["matrix", "diff", "old.json", "new.json", "--format", "markdown"]);
    assert!(stdout(&markdown).starts_with("### Compatibility matrix: 1 regression\n"));
    let html = folder.compat(&[
        "matrix",
        "show",
        "new.json",
        "--format",
        "html",
        "--output",
        "out/matrix.html",
    ]);
    assert!(html.status.success(), "{}", stderr(&html));
    assert!(folder.text("out/matrix.html").starts_with("<!doctype html>"));
}

#[test]
fn the_history_comes_from_git() {
    let folder = Folder::new(&[("matrix.json", MATRIX)]);
    folder.git(&["init", "-q", "."]);
    for (text, message) in [(MATRIX, "one"), (&regressed(), "two"), ("{}", "three")] {
        std::fs::write(folder.path("matrix.json"), text).unwrap();
        folder.git(&["add", "."]);
        folder.git(&["commit", "-q", "-m", message]);
    }
    let output = folder.compat(&["matrix", "history", "matrix.json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_has(&stderr(&output), "`schema_version` is absent");
    let history: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let cell = |index: usize| history["snapshots"][index]["cells"]["tool_use"]["anthropic"].clone();
    let first = |index: usize| {
        history["snapshots"][index]["cells"]["basic_messaging_non_streaming"]["anthropic"].clone()
    };
    assert_eq!([first(0), first(1)], ["pass", "fail"]);
    assert_eq!([cell(0), cell(1)], ["pass", "pass"]);
    assert_eq!(history["unreadable"].as_array().unwrap().len(), 1);

    folder.git(&["rm", "-q", "matrix.json"]);
    folder.git(&["commit", "-q", "-m", "removed"]);
    let last = folder.compat(&["matrix", "history", "matrix.json", "--last", "2"]);
    let last: serde_json::Value = serde_json::from_slice(&last.stdout).unwrap();
    assert_eq!(
        last["snapshots"].as_array().unwrap().len(),
        1,
        "and one that is no matrix"
    );
    assert_eq!(last["unreadable"].as_array().unwrap().len(), 1);

    let unknown = folder.compat(&["matrix", "history", "other.json"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_has(&stderr(&unknown), "`other.json` has no history here");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = Folder::new(&[("matrix.json", MATRIX)]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_compat"));
    let mut child = command
        .args(["matrix", "show", "matrix.json"])
        .current_dir(folder.0.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

/// The golden results cut in two shards.
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
    let folder = Folder::new(&[("1.json", &one), ("2.json", &two)]);
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
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(folder.text("whole.json"), RESULTS);
    assert!(
        folder
            .text("junit.xml")
            .contains("tests=\"90\" skipped=\"18\" failures=\"0\" errors=\"0\"")
    );

    let partial = folder.compat(&["results", "merge", "1.json"]);
    assert_eq!(partial.status.code(), Some(1));
    assert!(stderr(&partial).starts_with("error: the parts have 45 of 90 trials: give the missing parts"));
    assert!(
        folder
            .compat(&["results", "merge", "1.json", "--allow-partial"])
            .status
            .success()
    );

    let twice = folder.compat(&["results", "merge", "1.json", "1.json", "--allow-partial"]);
    assert_has(&stderr(&twice), "is in `1.json` and in `1.json`");
}

#[test]
fn a_partial_run_leaves_cells_not_tested() {
    let [one, _] = shards();
    let folder = Folder::new(&[
        ("compat-results.json", &one),
        ("compatibility-matrix.json", MATRIX),
    ]);
    let output = folder.compat(&["matrix", "build", "--manifest", &manifest()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let matrix = folder.text("compatibility-matrix.json");
    assert_eq!(
        matrix.matches("\"status\": \"not_tested\"").count(),
        30,
        "nothing of the older matrix is left"
    );
}
