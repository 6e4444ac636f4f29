//! Installing the pinned tools, from a registry double on loopback and with doubles of `uv`, `python3` and `npm`.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use compat_matrix::env::Environment;
use compat_matrix::process::RunId;
use compat_matrix::toolchain::cache::{CacheError, Claim};
use compat_matrix::toolchain::http::{Client, Fault, Patience, Request};
use compat_matrix::toolchain::integrity::Sha512;
use compat_matrix::toolchain::npm::Registry;
use compat_matrix::toolchain::platform::Platform;
use compat_matrix::toolchain::{
    Cache, ClaudePin, Installer, Lock, Progress, PythonPin, Silent, Surroundings, claude_version, stamp,
    update,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::loopback::{Answer, Asked, Server, cut, ok, ready, status};

const VERSION: &str = "2.1.327";

/// A platform package as the registry serves it, with a script for a binary.
fn package(script: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    let mut add = |path: &str, content: &[u8], mode: u32| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_cksum();
        archive.append_data(&mut header, path, content).unwrap();
    };
    add("package/package.json", b"{}", 0o644);
    add("package/claude", script.as_bytes(), 0o644);
    add("package/README.md", b"read me", 0o644);
    archive.into_inner().unwrap().finish().unwrap()
}

fn real_package() -> Vec<u8> {
    package("#!/bin/sh\necho '2.1.327 (Claude Code)'\n")
}

fn pin_of(package: &[u8]) -> ClaudePin {
    let platform = Platform::current().unwrap();
    ClaudePin {
        version: VERSION.to_owned(),
        sha512: [(platform.to_string(), Sha512::of(package))].into(),
    }
}

/// Metadata as the registry answers it, abbreviated.
fn metadata(tarball: &str, package: &[u8]) -> String {
    let name = Platform::current().unwrap().package();
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

fn tarball_path() -> String {
    let name = Platform::current().unwrap().package();
    let bare = name.split('/').next_back().unwrap();
    format!("/{name}/-/{bare}-{VERSION}.tgz")
}

/// Answers metadata, and for the package's file what `file` says.
fn registry(
    package: Vec<u8>,
    file: impl Fn(Asked) -> Answer + Send + Sync + 'static,
) -> impl Fn(Asked, String) -> Answer {
    move |asked, own| {
        if asked.target.ends_with(".tgz") {
            file(asked)
        } else {
            ready(ok(metadata(&format!("{own}{}", tarball_path()), &package)))
        }
    }
}

/// A home, a cache and a folder of programs of one test.
struct Machine {
    folder: TempDir,
    environment: Environment,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "bin"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let path = |name: &str| folder.path().join(name).display().to_string();
        let environment = [("HOME", path("home")), ("PATH", path("bin"))]
            .into_iter()
            .collect();
        Self { folder, environment }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.set(name, value);
        self
    }

    fn registry(self, server: &Server) -> Self {
        let address = server.address.clone();
        self.with("NPM_CONFIG_REGISTRY", &address)
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(path);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.write(
            &format!("bin/{name}"),
            &format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n"),
        );
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            environment: self.environment.clone(),
            patience: Patience {
                attempts: 3,
                first_wait: Duration::ZERO,
                silence: Duration::from_secs(20),
            },
            run: RunId::mint(),
        }
    }

    fn installer<'a>(&self, progress: &'a dyn Progress) -> Installer<'a> {
        Installer {
            cache: Cache::at(self.cache()),
            surroundings: self.surroundings(),
            progress,
        }
    }

    async fn install(&self, pin: &ClaudePin) -> Result<PathBuf, String> {
        let installed = self.installer(&Silent).ensure_claude(pin).await;
        installed.map_err(|error| error.to_string())
    }
}

/// Every file below `folder`, without the lock files.
fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with(".locks"))
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path.file_name().unwrap().to_string_lossy().into_owned()],
        })
        .collect()
}

#[tokio::test]
async fn the_pinned_claude_is_fetched_verified_unpacked_and_found_again_without_network() {
    let package = real_package();
    let server = Server::start(registry(package.clone(), move |_| ready(ok(real_package())))).await;
    let machine = Machine::new().registry(&server);

    let program = machine.install(&pin_of(&package)).await.unwrap();

    assert_eq!(
        claude_version(&program, &machine.surroundings()).await.unwrap(),
        VERSION
    );
    let mut found = files(&machine.cache());
    found.sort();
    assert_eq!(found, ["claude", "receipt.json", "stamp.json"]);
    let name = Platform::current().unwrap().package().replace('/', "%2f");
    assert_eq!(server.targets(), [format!("/{name}"), tarball_path()]);

    drop(server);
    assert_eq!(machine.install(&pin_of(&package)).await.unwrap(), program);
}

#[tokio::test]
async fn a_file_that_is_not_the_pinned_one_is_refused_with_both_digests_and_deleted() {
    let (pinned, other) = (real_package(), package("#!/bin/sh\necho evil\n"));
    let served = other.clone();
    let server = Server::start(registry(other.clone(), move |_| ready(ok(served.clone())))).await;
    let machine = Machine::new().registry(&server);

    let error = machine.install(&pin_of(&pinned)).await.unwrap_err();

    assert!(
        error.contains(&format!("file:     {}{}", server.address, tarball_path())),
        "{error}"
    );
    assert!(
        error.contains(&format!("expected: {}", Sha512::of(&pinned))),
        "{error}"
    );
    assert!(
        error.contains(&format!("actual:   {}", Sha512::of(&other))),
        "{error}"
    );
    assert_eq!(files(&machine.cache()), [""; 0]);
}

#[tokio::test]
async fn a_body_that_breaks_off_and_a_server_error_are_tried_again() {
    let package = real_package();
    let server = Server::start(registry(package.clone(), |asked| {
        ready(match asked.before {
            0 => status(500),
            1 => cut(real_package()),
            _ => ok(real_package()),
        })
    }))
    .await;
    let machine = Machine::new().registry(&server);

    let program = machine.install(&pin_of(&package)).await.unwrap();

    assert!(program.is_file());
    assert_eq!(server.targets().len(), 4);
}

#[tokio::test]
async fn a_server_that_only_fails_is_given_up_on_and_nothing_is_left() {
    let package = real_package();
    let server = Server::start(registry(package.clone(), |_| ready(cut(real_package())))).await;
    let machine = Machine::new().registry(&server);

    let error = machine.install(&pin_of(&package)).await.unwrap_err();

    assert!(
        error.contains("(3 attempts): the connection broke off"),
        "{error}"
    );
    assert_eq!(files(&machine.cache()), [""; 0]);
}

#[tokio::test]
async fn what_the_registry_does_not_have_is_asked_for_once_and_explained() {
    let server = Server::start(|_, _| ready(status(404))).await;
    let machine = Machine::new().registry(&server);

    let error = machine.install(&pin_of(b"")).await.unwrap_err();

    assert!(
        error.contains("404 Not Found") && error.contains("does this registry carry the package?"),
        "{error}"
    );
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn a_version_that_the_registry_does_not_have_is_an_error_that_names_the_newest() {
    let server = Server::start(registry(real_package(), |_| ready(status(404)))).await;
    let machine = Machine::new().registry(&server);
    let mut pin = pin_of(b"");
    pin.version = "9.9.9".to_owned();

    let error = machine.install(&pin).await.unwrap_err();

    assert!(error.contains("9.9.9; the newest are `2.1.327`"), "{error}");
}

#[tokio::test]
async fn metadata_that_is_no_json_is_an_error_that_names_the_address() {
    let server = Server::start(|_, _| ready(ok("<html>"))).await;
    let machine = Machine::new().registry(&server);

    let error = machine.install(&pin_of(b"")).await.unwrap_err();

    assert!(
        error.contains("not a package's metadata") && error.contains(&server.address),
        "{error}"
    );
}

#[tokio::test]
async fn without_a_network_the_error_says_what_to_look_at() {
    let server = Server::start(|_, _| ready(status(500))).await;
    let machine = Machine::new().registry(&server);
    drop(server);

    let error = machine.install(&pin_of(b"")).await.unwrap_err();

    assert!(
        error.contains("hint: is there a network?") && error.contains("NPM_CONFIG_REGISTRY"),
        "{error}"
    );
}

#[tokio::test]
async fn an_archive_without_the_binary_is_refused() {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_cksum();
    builder
        .append_data(&mut header, "package/README.md", &b""[..])
        .unwrap();
    let package = builder.into_inner().unwrap().finish().unwrap();
    let served = package.clone();
    let server = Server::start(registry(package.clone(), move |_| ready(ok(served.clone())))).await;
    let machine = Machine::new().registry(&server);

    let error = machine.install(&pin_of(&package)).await.unwrap_err();

    assert!(error.contains("there is no `package/claude` in it"), "{error}");
    assert_eq!(files(&machine.cache()), [""; 0]);
}

/// Remembers the notes, and tells when one comes.
#[derive(Default)]
struct Notes {
    lines: Mutex<Vec<String>>,
    came: Arc<Notify>,
}

impl Progress for Notes {
    fn note(&self, line: &str) {
        self.lines.lock().unwrap().push(line.to_owned());
        self.came.notify_one();
    }
    fn begin(&self, _label: &str) {}
    fn advance(&self, _label: &str, _done: u64, _total: Option<u64>) {}
    fn end(&self, _label: &str) {}
}

#[tokio::test]
async fn of_two_first_runs_one_installs_and_the_other_waits_for_it_and_says_so() {
    let (first, second) = (Notes::default(), Notes::default());
    let waits = [first.came.clone(), second.came.clone()];
    let package = real_package();
    // The file comes only once the other run has said that it waits.
    let server = Server::start(registry(package.clone(), move |_| {
        let waits = waits.clone();
        Box::pin(async move {
            tokio::select! {
                () = waits[0].notified() => {}
                () = waits[1].notified() => {}
            }
            ok(real_package())
        })
    }))
    .await;
    let machine = Machine::new().registry(&server);
    let pin = pin_of(&package);

    let (one, other) = (machine.installer(&first), machine.installer(&second));
    let (one, other) = tokio::join!(one.ensure_claude(&pin), other.ensure_claude(&pin));

    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(server.targets().len(), 2);
    let notes = [
        first.lines.into_inner().unwrap(),
        second.lines.into_inner().unwrap(),
    ]
    .concat();
    let holder = format!("waiting for process {} (since ", std::process::id());
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].starts_with(&holder) && notes[0].ends_with("which installs claude 2.1.327"),
        "{notes:?}"
    );
}

#[tokio::test]
async fn what_an_interrupted_installation_left_is_cleared_away() {
    let package = real_package();
    let server = Server::start(registry(package.clone(), |_| ready(ok(real_package())))).await;
    let machine = Machine::new().registry(&server);
    let pin = pin_of(&package);
    let directory = machine.install(&pin).await.unwrap().parent().unwrap().to_owned();
    std::fs::remove_file(directory.join("receipt.json")).unwrap();
    std::fs::write(directory.join("claude"), "half").unwrap();
    std::fs::write(directory.join("package.tgz"), "half").unwrap();

    let program = machine.install(&pin).await.unwrap();

    assert_eq!(
        claude_version(&program, &machine.surroundings()).await.unwrap(),
        VERSION
    );
    let mut found = files(&machine.cache());
    found.sort();
    assert_eq!(found, ["claude", "receipt.json", "stamp.json"]);
}

#[tokio::test]
async fn a_binary_that_lost_its_end_is_installed_again_and_one_that_changed_is_not_run() {
    let package = real_package();
    let server = Server::start(registry(package.clone(), |_| ready(ok(real_package())))).await;
    let machine = Machine::new().registry(&server);
    let pin = pin_of(&package);
    let program = machine.install(&pin).await.unwrap();
    let whole = std::fs::read(&program).unwrap();
    std::fs::write(&program, &whole[..10]).unwrap();

    let program = machine.install(&pin).await.unwrap();
    assert_eq!(std::fs::read(&program).unwrap(), whole);

    let installed = Cache::at(machine.cache()).installed().unwrap();
    stamp::read(&installed[0]).unwrap();
    // Another content of the same size, with the old time of modification.
    let modified = program.metadata().unwrap().modified().unwrap();
    let write = |content: &[u8]| {
        std::fs::write(&program, content).unwrap();
        let file = std::fs::File::options().write(true).open(&program).unwrap();
        file.set_modified(modified).unwrap();
        touch(&program);
    };
    let other = vec![b'x'; whole.len()];
    write(&other);
    let error = machine.install(&pin).await.unwrap_err();
    for part in [
        format!("`{}` was changed since it was installed", program.display()),
        format!("expected: {}", Sha512::of(&whole)),
        format!("actual:   {}", Sha512::of(&other)),
        "install it again with `compat toolchain clean`".to_owned(),
    ] {
        assert!(error.contains(&part), "no `{part}` in {error}");
    }
    // What was merely touched is read, and is what it was.
    write(&whole);
    assert_eq!(machine.install(&pin).await.unwrap(), program);
}

/// Touches a file, as often as it takes for the system's clock of changes to move on.
fn touch(path: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let changed = || {
        path.metadata()
            .map(|now| (now.ctime(), now.ctime_nsec()))
            .unwrap()
    };
    let before = changed();
    while changed() == before {
        std::fs::set_permissions(path, path.metadata().unwrap().permissions()).unwrap();
    }
}

#[tokio::test]
async fn a_binary_that_nobody_touched_is_not_read_again() {
    let package = real_package();
    let server = Server::start(registry(package.clone(), |_| ready(ok(real_package())))).await;
    let machine = Machine::new().registry(&server);
    let pin = pin_of(&package);
    let program = machine.install(&pin).await.unwrap();
    // A receipt with another digest shows whether the program is read: its own stamp says nothing of the receipt.
    let receipt = program.with_file_name("receipt.json");
    let text = std::fs::read_to_string(&receipt).unwrap();
    let digest = Sha512::of(&std::fs::read(&program).unwrap()).to_string();
    std::fs::write(&receipt, text.replace(&digest, &Sha512::of(b"other").to_string())).unwrap();

    machine.install(&pin).await.unwrap();

    touch(&program);
    let error = machine.install(&pin).await.unwrap_err();
    assert!(error.contains("was changed since it was installed"), "{error}");
}

#[tokio::test]
async fn versions_live_side_by_side_and_clean_removes_all_but_what_is_kept() {
    let package = real_package();
    let server = Server::start(registry(package.clone(), |_| ready(ok(real_package())))).await;
    let machine = Machine::new().registry(&server);
    let kept = machine.install(&pin_of(&package)).await.unwrap();
    let cache = Cache::at(machine.cache());
    let older = cache.entry("claude", "2.1.326", "linux-x64", &Sha512::of(b"older"));
    let left_over = match older.claim(&Silent).await.unwrap() {
        Claim::Reserved(reservation) => reservation.directory().to_owned(),
        Claim::Installed(installed) => panic!("{installed:?}"),
    };

    let removed = cache.clean(|directory| kept.starts_with(directory)).unwrap();

    assert_eq!(removed, [left_over]);
    assert!(kept.is_file());
}

#[tokio::test]
async fn a_token_goes_to_its_own_host_and_into_no_error() {
    let server = Server::start(|_, _| ready(status(403))).await;
    let host = server.address.strip_prefix("http://").unwrap().to_owned();
    let machine = Machine::new().with("REGISTRY_TOKEN", "s3cret-token");
    machine.write(
        "home/.npmrc",
        &format!(
            "registry={}/npm/\n//{host}/npm/:_authToken=${{REGISTRY_TOKEN}}\n",
            server.address
        ),
    );

    let error = machine.install(&pin_of(b"")).await.unwrap_err();

    let asked = &server.asked()[0];
    assert!(
        asked.target.starts_with("/npm/@anthropic-ai%2fclaude-code-"),
        "{}",
        asked.target
    );
    assert_eq!(asked.headers["authorization"], "Bearer s3cret-token");
    assert!(
        error.contains("does this registry want a token?") && !error.contains("s3cret"),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_of_another_host_or_path_is_not_sent() {
    let server = Server::start(|_, _| ready(status(404))).await;
    let host = server.address.strip_prefix("http://").unwrap().to_owned();
    let machine = Machine::new().registry(&server);
    machine.write(
        "home/.npmrc",
        &format!("//{host}/other/:_authToken=a\n//registry.example/:_authToken=b\n_authToken=c\n"),
    );

    machine.install(&pin_of(b"")).await.unwrap_err();

    assert!(!server.asked()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_mirror_that_passes_on_foreign_addresses_is_asked_for_the_file_itself() {
    let package = real_package();
    let served = package.clone();
    let server = Server::start(move |asked, _| {
        ready(match asked.target.ends_with(".tgz") {
            true => ok(served.clone()),
            false => ok(metadata(
                &format!("https://registry.invalid{}", tarball_path()),
                &served,
            )),
        })
    })
    .await;
    let address = format!("{}/mirror/", server.address);
    let machine = Machine::new().with("npm_config_registry", &address);

    machine.install(&pin_of(&package)).await.unwrap();

    assert_eq!(server.targets()[1], format!("/mirror{}", tarball_path()));
}

#[tokio::test]
async fn a_registry_that_keeps_its_files_elsewhere_is_believed() {
    let package = real_package();
    let files = Server::start(|_, _| ready(ok(real_package()))).await;
    // Another name of the same address is another host.
    let elsewhere = files.address.replace("127.0.0.1", "localhost") + &tarball_path();
    let server = Server::start(move |asked, _| {
        ready(match asked.target.ends_with(".tgz") {
            true => status(404),
            false => ok(metadata(&elsewhere, &real_package())),
        })
    })
    .await;
    let machine = Machine::new().registry(&server);

    machine.install(&pin_of(&package)).await.unwrap();

    assert_eq!(files.targets(), [tarball_path()]);
}

#[tokio::test]
async fn a_full_disk_says_so_and_what_to_do() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let server = Server::start(|_, _| ready(ok(real_package()))).await;
    let url = server.address.parse().unwrap();
    let client = Client::new(Patience::default(), &[]).unwrap();

    let error = client
        .download(&Request::to(url), full, &|_, _| {})
        .await
        .unwrap_err();

    assert!(error.to_string().contains("No space left on device"), "{error}");
    let Fault::Write(error) = error.fault else {
        panic!("{error}")
    };
    let error = CacheError::of("write", full)(error).to_string();
    assert!(
        error.contains("the disk is full") && error.contains("set `COMPAT_CACHE_DIR`"),
        "{error}"
    );
}

async fn found(machine: &Machine) -> Result<String, String> {
    let registry = Registry::find(&machine.surroundings()).await;
    registry
        .map(|registry| registry.address())
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_scope_s_registry_counts_before_the_general_one_and_variables_before_files() {
    let machine = Machine::new();
    machine.write("home/.npmrc", "registry=https://user.example/\n");
    assert_eq!(found(&machine).await.unwrap(), "https://user.example/");

    let machine = machine.with("npm_config_registry", "https://me:pw@variable.example/");
    assert_eq!(found(&machine).await.unwrap(), "https://variable.example/");

    machine.write("home/.npmrc", "@anthropic-ai:registry=https://scope.example/\n");
    assert_eq!(found(&machine).await.unwrap(), "https://scope.example/");

    let elsewhere = machine.write("home/other", "@anthropic-ai:registry=https://other.example/\n");
    let machine = machine.with("NPM_CONFIG_USERCONFIG", elsewhere.to_str().unwrap());
    assert_eq!(found(&machine).await.unwrap(), "https://other.example/");
}

#[tokio::test]
async fn where_nothing_is_configured_the_npm_client_is_asked_and_sees_no_foreign_credential() {
    let machine = Machine::new().with("ANTHROPIC_API_KEY", "sk-secret");
    machine.program(
        "npm",
        r#"test "$*" = "config get registry" && echo "https://client.example/${ANTHROPIC_API_KEY}""#,
    );
    assert_eq!(found(&machine).await.unwrap(), "https://client.example/");
}

#[tokio::test]
async fn where_nothing_is_configured_and_no_client_is_there_the_error_names_the_variable() {
    let error = found(&Machine::new()).await.unwrap_err();
    assert!(
        error.contains("set `NPM_CONFIG_REGISTRY`") && error.contains(".npmrc"),
        "{error}"
    );
}

#[tokio::test]
async fn a_pin_is_made_from_the_registry_s_digests_of_every_platform() {
    let server = Server::start(registry(b"all the same".to_vec(), |_| ready(status(404)))).await;
    let machine = Machine::new().registry(&server);
    let registry = Registry::find(&machine.surroundings()).await.unwrap();

    let pin = update::pin_claude(&registry, VERSION).await.unwrap();

    assert_eq!(pin.sha512.len(), Platform::ALL.len());
    assert!(
        pin.sha512
            .values()
            .all(|digest| *digest == Sha512::of(b"all the same"))
    );
}

fn python_pin(package: &str) -> PythonPin {
    let text = format!("{package}==1.0 \\\n    --hash=sha256:aa\n");
    PythonPin::parse(text, package, Path::new("requirements")).unwrap()
}

/// A `python3` that knows its version and a configuration of pip, and makes virtual environments whose `pip` installs `uv`.
const PYTHON: &str = r#"
case "$*" in
  "-c "*) echo 3.12.1 ;;
  "-m pip config list") echo "global.index-url='https://index.example/simple'" ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip install --require-hashes --only-binary :all: --requirement "*)
    cp "$(dirname "$0")/../../../../uv" "$(dirname "$0")/uv" ;;
  *) echo "unexpected: $*" >&2; exit 9 ;;
esac"#;

/// A `uv` that writes down what it was given, and makes what it was asked for.
const UV: &str = r#"
case "$1" in
  venv) for folder; do :; done; mkdir -p "$folder/bin"; touch "$folder/bin/python" ;;
  pip) env >> "$PWD/bin/environment"; echo "$*" >> "$PWD/bin/arguments"; touch "$PWD/bin/litellm" ;;
esac"#;

#[tokio::test]
async fn litellm_is_installed_by_the_uv_on_the_path_with_pip_s_configuration_and_no_credential() {
    let machine = Machine::new()
        .with("AWS_SECRET_ACCESS_KEY", "sk-secret")
        .with("GITHUB_TOKEN", "sk-secret");
    machine.program("python3", PYTHON);
    machine.program("uv", UV);
    let installer = machine.installer(&Silent);

    let install = installer
        .ensure_litellm(&python_pin("litellm"), &python_pin("uv"))
        .await
        .unwrap();

    let folder = install.bin.parent().unwrap();
    assert_eq!(install.python, folder.join("python"));
    let environment = std::fs::read_to_string(folder.join("environment")).unwrap();
    assert!(
        environment.contains("UV_DEFAULT_INDEX=https://index.example/simple"),
        "{environment}"
    );
    assert!(
        environment.contains("UV_PYTHON_DOWNLOADS=never") && !environment.contains("sk-secret"),
        "{environment}"
    );
    let arguments = std::fs::read_to_string(folder.join("arguments")).unwrap();
    assert!(
        arguments.starts_with("pip install --require-hashes --no-build"),
        "{arguments}"
    );

    // A second time nothing is run, not even Python.
    machine.program("uv", "exit 1");
    machine.program("python3", "exit 1");
    let again = installer
        .ensure_litellm(&python_pin("litellm"), &python_pin("uv"))
        .await;
    assert_eq!(again.unwrap(), install);
}

#[tokio::test]
async fn without_uv_the_pinned_one_is_installed_first_by_venv_and_pip() {
    let machine = Machine::new();
    machine.program("python3", PYTHON);
    machine.program("uv-to-be-installed", UV);
    std::fs::rename(
        machine.folder.path().join("bin/uv-to-be-installed"),
        machine.folder.path().join("uv"),
    )
    .unwrap();
    let installer = machine.installer(&Silent);

    let install = installer
        .ensure_litellm(&python_pin("litellm"), &python_pin("uv"))
        .await;

    assert!(install.unwrap().bin.is_file());
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
async fn an_installer_that_fails_is_quoted_without_passwords_and_leaves_nothing() {
    let machine = Machine::new();
    machine.program("python3", PYTHON);
    machine.program(
        "uv",
        r#"if test "$1" = pip; then echo "error: Failed to fetch: https://me:s3cret@index.example/x" >&2; exit 2; fi"#,
    );
    let installer = machine.installer(&Silent);

    let error = installer
        .ensure_litellm(&python_pin("litellm"), &python_pin("uv"))
        .await;

    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("cannot install litellm 1.0: `uv pip install` failed: exit status 2"),
        "{error}"
    );
    assert!(
        error.contains("https://***@index.example/x") && error.contains("is there a network?"),
        "{error}"
    );
    assert_eq!(files(&machine.cache()), [""; 0]);
}

#[tokio::test]
async fn no_python_and_an_old_python_are_told_apart() {
    let machine = Machine::new();
    let installer = machine.installer(&Silent);
    let install = async || {
        let install = installer
            .ensure_litellm(&python_pin("litellm"), &python_pin("uv"))
            .await;
        install.unwrap_err().to_string()
    };
    assert!(
        install()
            .await
            .contains("there is no `python3` on the PATH: install Python 3.10 or later")
    );

    machine.program("python3", "echo 3.8.18");
    assert!(
        install()
            .await
            .contains("on the PATH there is only `python3` 3.8.18")
    );
}

#[tokio::test]
async fn a_python_that_cannot_make_environments_is_explained() {
    let machine = Machine::new();
    machine.program(
        "python3",
        r#"case "$*" in "-c "*) echo 3.11.2 ;; *) echo "ensurepip is not available" >&2; exit 1 ;; esac"#,
    );
    let installer = machine.installer(&Silent);

    let error = installer
        .ensure_litellm(&python_pin("litellm"), &python_pin("uv"))
        .await;

    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("ensurepip is not available") && error.contains("`python3-venv` is missing"),
        "{error}"
    );
}

#[test]
fn the_committed_lock_pins_every_platform_and_names_no_registry() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("toolchain");
    let lock = Lock::read(&folder).unwrap();
    assert!(
        Platform::ALL
            .into_iter()
            .all(|platform| lock.claude.digest(platform).is_ok())
    );
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("://"), "{} has an address in it", path.display());
    }
}
