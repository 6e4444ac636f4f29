//! The pinned LiteLLM and `uv`, with doubles of `python3` and `uv`.

use std::path::Path;

use compat_matrix::progress::Silent;
use compat_matrix::toolchain::PythonPin;

use super::*;

use crate::support::text::{assert_has, assert_lacks, assert_starts};

fn python_pin(package: &str) -> PythonPin {
    let text = format!("{package}==1.0 \\\n    --hash=sha256:aa\n");
    PythonPin::parse(text, package, Path::new("requirements")).unwrap()
}

async fn install_litellm(installer: &Installer<'_>) -> anyhow::Result<PathBuf> {
    let (litellm, uv) = (python_pin("litellm"), python_pin("uv"));
    installer.ensure_litellm(&litellm, &uv).await
}

/// A `python3` with a version, a configuration of pip, and virtual environments whose `pip` installs `uv`.
const PYTHON: &str = r#"
case "$*" in
  "-c "*) echo 3.12.1 ;;
  "-m pip config list") echo "global.index-url='https://index.example/simple'" ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip install --require-hashes --only-binary :all: --requirement "*)
    cp "$(dirname "$0")/../../../../uv" "$(dirname "$0")/uv" ;;
  *) echo "unexpected: $*" >&2; exit 9 ;;
esac"#;

/// A `uv` that records its arguments and environment, and creates the files it is asked for.
const UV: &str = r#"
case "$1" in
  venv) for folder; do :; done; mkdir -p "$folder/bin"; touch "$folder/bin/python" ;;
  pip) env >> "$PWD/bin/environment"; echo "$*" >> "$PWD/bin/arguments"; touch "$PWD/bin/litellm" ;;
esac"#;

#[tokio::test]
async fn the_uv_on_the_path_gets_pip_s_settings_and_no_credential() {
    let machine = Machine::new()
        .with("AWS_SECRET_ACCESS_KEY", "sk-secret")
        .with("GITHUB_TOKEN", "sk-secret");
    machine.program("python3", PYTHON);
    machine.program("uv", UV);
    let installer = machine.installer(&Silent);

    let install = install_litellm(&installer).await.unwrap();

    let folder = install.parent().unwrap();
    let environment = std::fs::read_to_string(folder.join("environment")).unwrap();
    assert_has(&environment, "UV_DEFAULT_INDEX=https://index.example/simple");
    assert_has(&environment, "UV_PYTHON_DOWNLOADS=never");
    assert_lacks(&environment, "sk-secret");
    let arguments = std::fs::read_to_string(folder.join("arguments")).unwrap();
    assert_starts(&arguments, "pip install --require-hashes --no-build");

    // The second time no program runs, not even Python.
    machine.program("uv", "exit 1");
    machine.program("python3", "exit 1");
    let again = install_litellm(&installer).await;
    assert_eq!(again.unwrap(), install);
}

#[tokio::test]
async fn without_uv_the_pinned_one_is_installed_first() {
    let machine = Machine::new();
    machine.program("python3", PYTHON);
    machine.program("uv-to-be-installed", UV);
    std::fs::rename(
        machine.folder.path("bin/uv-to-be-installed"),
        machine.folder.path("uv"),
    )
    .unwrap();
    let installer = machine.installer(&Silent);

    let install = install_litellm(&installer).await;

    assert!(install.unwrap().is_file());
    let tools: Vec<String> = installer
        .cache
        .installed()
        .unwrap()
        .into_iter()
        .map(|found| found.receipt.tool)
        .collect();
    assert_eq!(tools, ["litellm", "uv"]);
}

#[tokio::test]
async fn a_failed_installer_s_output_is_shown_without_passwords() {
    let machine = Machine::new();
    machine.program("python3", PYTHON);
    machine.program(
        "uv",
        r#"if test "$1" = pip; then echo "error: Failed to fetch: https://me:s3cret@index.example/x" >&2; exit 2; fi"#,
    );
    let installer = machine.installer(&Silent);

    let error = install_litellm(&installer).await;

    let error = format!("{:#}", error.unwrap_err());
    assert_has(
        &error,
        "cannot install litellm 1.0: `uv pip install` failed: exit status 2",
    );
    assert_has(&error, "https://***@index.example/x");
    assert_has(&error, "check the network");
    assert_eq!(files(&machine.cache()), [""; 0]);
}

#[tokio::test]
async fn a_missing_and_an_old_python_have_their_own_errors() {
    let machine = Machine::new();
    let installer = machine.installer(&Silent);
    let install = async || {
        let install = install_litellm(&installer).await;
        format!("{:#}", install.unwrap_err())
    };
    assert!(
        install()
            .await
            .contains("there is no `python3` on the PATH: install Python 3.10.0 or later")
    );

    machine.program("python3", "echo 3.8.18");
    assert_has(&install().await, "the PATH has only `python3` 3.8.18");
}

#[tokio::test]
async fn a_python_that_cannot_make_environments_is_explained() {
    let machine = Machine::new();
    machine.program(
        "python3",
        r#"case "$*" in "-c "*) echo 3.11.2 ;; *) echo "ensurepip is not available" >&2; exit 1 ;; esac"#,
    );
    let installer = machine.installer(&Silent);

    let error = install_litellm(&installer).await;

    let error = format!("{:#}", error.unwrap_err());
    assert_has(&error, "ensurepip is not available");
    assert_has(&error, "need the package `python3-venv`");
}
