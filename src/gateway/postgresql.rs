//! A PostgreSQL server for one gateway: the machine's own programs, with a data folder and a password of this run.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;

use super::process::{PORT_TRIES, free_port, new_key, wait_until_ready, write_private};
use super::{GatewayOptions, LogFile, NotReady};
use crate::env::Environment;
use crate::process::{Ended, Launch, ProcessTag, Service, output};
use crate::wire::secrets::Secrets;

/// Debian's folders, by major version: <https://manpages.debian.org/postgresql-common/pg_wrapper.1.en.html>.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The longest first start. Making the data folder takes 2 s on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The time that it has to end before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
const USER: &str = "gateway";
const UNSHARE: &str = "unshare";

#[derive(Debug)]
pub(super) struct Postgresql {
    service: Service,
    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/postgres`.
    pub(super) url: String,
}

impl Postgresql {
    /// Starts it on a free port and waits until it accepts connections.
    pub(super) async fn start(options: &GatewayOptions<'_>) -> anyhow::Result<Self> {
        let programs = programs(options.environment, Path::new(DEBIAN))?;
        let folder = options.folder.join("postgresql");
        let password = new_key();
        let password_file = options.folder.join("postgresql-password");
        write_private(&password_file, password.expose())?;
        let launch = |program: &str, arguments: Vec<String>| {
            launch(options, &programs.join(program), arguments, &folder)
        };
        let make = launch(
            "initdb",
            vec![
                format!("--username={USER}"),
                format!("--pwfile={}", password_file.display()),
                "--auth=scram-sha-256".into(),
                "--encoding=UTF8".into(),
                "--no-locale".into(),
                "--no-sync".into(),
            ],
        )?;
        let made = output(&make, &[], PATIENCE).await?;
        let errors = made.stderr_text();
        ensure!(
            made.is_success(),
            "`{}` cannot make the data folder of PostgreSQL{}: {}",
            programs.join("initdb").display(),
            namespace_hint(&make.program),
            errors.trim()
        );
        let secrets = Secrets::new(vec![password.expose().to_owned()]);
        let log = LogFile::create(&options.folder.join("postgresql.log"), secrets)
            .context("cannot make the log of PostgreSQL")?;
        let mut tries = 1;
        loop {
            let port = free_port()?;
            let settings = [
                "listen_addresses=127.0.0.1".to_owned(),
                format!("port={port}"),
                "unix_socket_directories=".to_owned(),
                "fsync=off".to_owned(),
            ];
            let arguments = settings
                .into_iter()
                .flat_map(|setting| ["-c".to_owned(), setting]);
            let serve = launch("postgres", arguments.collect())?;
            let url = format!(
                "postgres://{USER}:{}@127.0.0.1:{port}/postgres",
                password.expose()
            );
            match Self::run(serve, &folder, &log, url).await {
                Err(error) if tries < PORT_TRIES && NotReady::is_port_taken(&error) => tries += 1,
                started => return started,
            }
        }
    }

    async fn run(serve: Launch, folder: &Path, log: &LogFile, url: String) -> anyhow::Result<Self> {
        let sink = log.clone();
        let mut service = Service::start(serve, move |_, line| sink.push(&line.text))?;
        // The eighth line of its file is its state: <https://doxygen.postgresql.org/pidfile_8h.html>.
        let state = folder.join("postmaster.pid");
        let probe = || {
            let text = std::fs::read_to_string(&state).unwrap_or_default();
            let is_ready = text.lines().nth(7).is_some_and(|state| state.trim() == "ready");
            std::future::ready(is_ready.then_some(()))
        };
        match wait_until_ready("PostgreSQL", PATIENCE, log, || service.try_ended(), probe).await {
            Ok(()) => Ok(Self { service, url }),
            Err(error) => {
                let _ = stop(service).await;
                Err(error.into())
            }
        }
    }

    pub(super) async fn stop(self) {
        // If this fails, the watchdog ends the process.
        let _ = stop(self.service).await;
    }
}

/// SIGINT ends its connections at once; SIGTERM waits for them. A killed PostgreSQL leaves its shared memory behind:
/// <https://www.postgresql.org/docs/current/server-shutdown.html>.
async fn stop(service: Service) -> anyhow::Result<Ended> {
    service.stop_by(Signal::SIGINT, STOP_PATIENCE).await
}

/// The folder of `initdb` and `postgres`: the one on the PATH, else the newest version in `debian`.
fn programs(environment: &Environment, debian: &Path) -> anyhow::Result<PathBuf> {
    if let Some(found) = environment.find_program("initdb") {
        return Ok(found.parent().unwrap_or(Path::new("/")).to_owned());
    }
    let versions = std::fs::read_dir(debian).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse::<u32>().ok()?, version.path())))
        .map(|(version, folder)| (version, folder.join("bin")))
        .filter(|(_, folder)| folder.join("initdb").is_file())
        .max();
    let (_, folder) = newest.with_context(|| {
        format!(
            "the gateway needs PostgreSQL, and there is no `initdb` on the PATH or in `{}`: install PostgreSQL \
             (Debian: `apt-get install postgresql`; Homebrew: `brew install postgresql`), and put its `bin` on the PATH",
            debian.display()
        )
    })?;
    Ok(folder)
}

/// PostgreSQL refuses to run as root. There it runs in a user namespace, in which it is another user.
fn launch(
    options: &GatewayOptions<'_>,
    program: &Path,
    arguments: Vec<String>,
    data: &Path,
) -> anyhow::Result<Launch> {
    let folder = options.folder;
    let is_root = folder.metadata().is_ok_and(|metadata| metadata.uid() == 0);
    let tag = ProcessTag::run(options.run);
    let launch = match is_root {
        false => Launch::new(program, tag),
        true => {
            let unshare = options.environment.find_program(UNSHARE);
            let unshare = unshare.context(
                "PostgreSQL does not run as root, and there is no `unshare` on the PATH: run as another user",
            )?;
            Launch::new(unshare, tag)
                // A namespace of its own for System V memory: the kernel frees it with the last process.
                .arguments(["--user", "--ipc", "--map-user=65534", "--map-group=65534", "--"])
                .arguments([program])
        }
    };
    Ok(launch
        .arguments(["-D".as_ref(), data])
        .arguments(arguments)
        .environment(options.environment.inherited())
        .directory(folder))
}

/// What else may be the cause if `program` started `initdb`.
fn namespace_hint(program: &Path) -> &'static str {
    match program.ends_with(UNSHARE) {
        true => " in a user namespace (this machine may forbid them: then run as another user than root)",
        false => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_namespace_is_named_as_a_cause() {
        assert_eq!(namespace_hint(Path::new("/usr/bin/initdb")), "");
        let hint = namespace_hint(Path::new("/usr/bin/unshare"));
        assert!(hint.contains("may forbid them"), "{hint}");
    }

    #[test]
    fn the_newest_programs_of_the_machine_are_taken() {
        let debian = tempfile::tempdir().unwrap();
        let nothing = Environment::default();
        let error = programs(&nothing, debian.path()).unwrap_err().to_string();
        assert!(error.contains("apt-get install postgresql"), "{error}");
        for version in ["9", "15", "broken"] {
            let folder = debian.path().join(version).join("bin");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("initdb"), "").unwrap();
        }
        assert_eq!(
            programs(&nothing, debian.path()).unwrap(),
            debian.path().join("15/bin")
        );
    }
}
