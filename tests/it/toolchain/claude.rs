//! The pinned `claude`: download, verification, cache.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use compat_matrix::digest::{Hasher, Sha512};
use compat_matrix::http::{Client, RequestError, RetryPolicy};
use compat_matrix::progress::{ProgressSink, Silent};
use compat_matrix::toolchain::{Cache, cache, claude_version, stamp};
use reqwest::{Method, Request};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::*;
use crate::support::claude::fake_claude;
use crate::support::loopback::{Server, compressed, cut, ok, ready, status};
use crate::support::registry::archive;
use crate::support::text::assert_has;

#[tokio::test]
async fn the_pinned_claude_is_installed_once() {
    let (machine, server, pin) = with_registry().await;

    let program = machine.install(&pin).await.unwrap();

    assert_eq!(
        claude_version(&program, &machine.tools(), Some(&fake_claude()))
            .await
            .unwrap(),
        VERSION
    );
    assert_eq!(files(&machine.cache()), ["claude", "receipt.json", "stamp.json"]);
    let name = Platform::current().unwrap().package().replace('/', "%2f");
    assert_eq!(server.targets(), [format!("/{name}"), tarball_path()]);

    drop(server);
    assert_eq!(machine.install(&pin).await.unwrap(), program);
}

#[tokio::test]
async fn a_file_with_another_digest_is_refused_and_deleted() {
    let (pinned, other) = (real_package(), package("#!/bin/sh\necho evil\n"));
    let served = other.clone();
    let server = Server::start(registry(other.clone(), move |_| ready(ok(served.clone())))).await;
    let machine = Machine::new().registry(&server);

    let error = machine.install(&pin_of(&pinned)).await.unwrap_err();

    assert_has(&error, &format!("file:     {}{}", server.address, tarball_path()));
    assert_has(&error, &format!("expected: {}", Sha512::of(&pinned)));
    assert_has(&error, &format!("actual:   {}", Sha512::of(&other)));
    assert_eq!(files(&machine.cache()), [""; 0]);
}

#[tokio::test]
async fn a_cut_body_and_a_server_error_are_retried() {
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
async fn a_server_that_always_fails_leaves_no_file() {
    let package = real_package();
    let server = Server::start(registry(package.clone(), |_| ready(cut(real_package())))).await;
    let machine = Machine::new().registry(&server);

    let error = machine.install(&pin_of(&package)).await.unwrap_err();

    assert_has(&error, "(3 attempts): the connection broke off");
    assert_eq!(files(&machine.cache()), [""; 0]);
}

#[tokio::test]
async fn an_archive_without_the_binary_is_refused() {
    let package = archive(&[("package/README.md", "")]);
    let served = package.clone();
    let server = Server::start(registry(package.clone(), move |_| ready(ok(served.clone())))).await;
    let machine = Machine::new().registry(&server);

    let error = machine.install(&pin_of(&package)).await.unwrap_err();

    assert_has(&error, "it has no `package/claude`");
    assert_eq!(files(&machine.cache()), [""; 0]);
}

/// Stores the notes and notifies about each.
#[derive(Default)]
struct Notes {
    lines: Mutex<Vec<String>>,
    came: Arc<Notify>,
}

impl ProgressSink for Notes {
    fn note(&self, line: &str) {
        self.lines.lock().unwrap().push(line.to_owned());
        self.came.notify_one();
    }
}

#[tokio::test]
async fn a_second_installation_waits_and_says_so() {
    let (first, second) = (Notes::default(), Notes::default());
    let waits = [first.came.clone(), second.came.clone()];
    let package = real_package();
    // The file is served once the other run has said that it waits.
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
async fn the_rest_of_an_interrupted_installation_is_removed() {
    let (machine, _server, pin) = with_registry().await;
    let directory = machine.install(&pin).await.unwrap().parent().unwrap().to_owned();
    std::fs::remove_file(directory.join("receipt.json")).unwrap();
    std::fs::write(directory.join("claude"), "half").unwrap();
    std::fs::write(directory.join("package.tgz"), "half").unwrap();

    let program = machine.install(&pin).await.unwrap();

    assert_eq!(
        claude_version(&program, &machine.tools(), Some(&fake_claude()))
            .await
            .unwrap(),
        VERSION
    );
    assert_eq!(files(&machine.cache()), ["claude", "receipt.json", "stamp.json"]);
}

#[tokio::test]
async fn a_cut_binary_is_reinstalled_and_a_changed_one_refused() {
    let (machine, _server, pin) = with_registry().await;
    let program = machine.install(&pin).await.unwrap();
    let whole = std::fs::read(&program).unwrap();
    std::fs::write(&program, &whole[..10]).unwrap();

    let program = machine.install(&pin).await.unwrap();
    assert_eq!(std::fs::read(&program).unwrap(), whole);

    let installed = Cache::at(machine.cache()).installed().unwrap();
    stamp::check_digest(&installed[0]).unwrap();
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
    // A touched but unchanged file passes.
    write(&whole);
    assert_eq!(machine.install(&pin).await.unwrap(), program);
}

/// Touches a file until its time of change (`ctime`) differs.
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
async fn an_unchanged_binary_is_not_read_again() {
    let (machine, _server, pin) = with_registry().await;
    let program = machine.install(&pin).await.unwrap();
    // With another digest in the receipt, an installation fails exactly when the program is read.
    let receipt = program.with_file_name("receipt.json");
    let text = std::fs::read_to_string(&receipt).unwrap();
    let digest = Sha512::of(&std::fs::read(&program).unwrap()).to_string();
    std::fs::write(&receipt, text.replace(&digest, &Sha512::of(b"other").to_string())).unwrap();

    machine.install(&pin).await.unwrap();

    touch(&program);
    let error = machine.install(&pin).await.unwrap_err();
    assert_has(&error, "was changed since it was installed");
}

#[tokio::test]
async fn clean_removes_all_versions_but_the_kept_one() {
    let (machine, _server, pin) = with_registry().await;
    let kept = machine.install(&pin).await.unwrap();
    let cache = Cache::at(machine.cache());
    let older = cache.entry(
        "claude",
        "2.1.326",
        Platform::current().unwrap(),
        Sha512::of(b"older"),
    );
    let mut left_over = PathBuf::new();
    let interrupted = older.ensure(&Silent, async |directory: &Path| {
        left_over = directory.to_owned();
        std::future::pending().await
    });
    assert!(tokio::time::timeout(Duration::ZERO, interrupted).await.is_err());

    let removed = cache.clean(|directory| kept.starts_with(directory)).unwrap();

    assert_eq!(removed.removed, [left_over]);
    assert!(kept.is_file());
}

#[tokio::test]
async fn a_compressed_download_is_decoded() {
    let server = Server::start(|asked, _| {
        let mut response = compressed(200, "the file");
        if asked.target == "/plain" {
            *response.body_mut() = "this body is not compressed".into();
        }
        ready(response)
    })
    .await;
    let client = Client::new(RetryPolicy::default(), None).unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    let get = |path: &str| Request::new(Method::GET, format!("{}{path}", server.address).parse().unwrap());

    let digest = client.download(&get("/"), &file, &|_, _| {}).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the file");
    let mut hasher = Hasher::default();
    hasher.update(b"the file");
    assert_eq!(digest, hasher.finish());
    assert_eq!(client.send(&get("/")).await.unwrap().body, "the file");

    let error = client.send(&get("/plain")).await.unwrap_err().to_string();
    assert_has(&error, "the body is not encoded as `gzip`");
}

#[tokio::test]
async fn the_error_for_a_full_disk_says_what_to_do() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let server = Server::start(|_, _| ready(ok(real_package()))).await;
    let url = server.address.parse().unwrap();
    let client = Client::new(RetryPolicy::default(), None).unwrap();

    let error = client
        .download(&Request::new(Method::GET, url), full, &|_, _| {})
        .await
        .unwrap_err();

    assert_has(&error.to_string(), "No space left on device");
    let RequestError::Write(error) = error.reason else {
        panic!("{error}")
    };
    let error = cache::failed("write", full)(error).to_string();
    assert_has(&error, "the disk is full");
    assert_has(&error, "set `COMPAT_CACHE_DIR`");
}
