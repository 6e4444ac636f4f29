//! The cage around an untrusted program: `claude`, and all that it starts.
//!
//! The cage has layers, and a run uses each layer that the machine has ([`CageLayers`]). Without namespaces, the program's
//! parent is the *keeper*: this executable in a hidden mode. The keeper adopts every descendant, so none outlives it. With
//! namespaces, `bwrap` starts this executable inside them; it becomes the program.
//!
//! The layers' limits are those of the kernel: <https://docs.kernel.org/userspace-api/landlock.html>.

#[cfg(target_os = "linux")]
mod door;
#[cfg(target_os = "linux")]
mod enter;
mod layers;
#[cfg(target_os = "linux")]
mod rules;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
pub use door::Door;
pub use layers::{CageLayer, CageLayers};

use super::{Ended, Launch};
use crate::isolation::IsolationLevel;

/// First argument of the hidden mode: no user types it, and no program of ours has such a flag.
pub(super) const HIDDEN_MODE: &str = "__compat-cage";

/// The folder, the file or the device that every program may read and execute, where it exists. No user's files are in it.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/opt",
    "/nix/store",
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/protocols",
    "/etc/services",
    "/etc/shells",
    "/etc/ssl",
    "/etc/terminfo",
    "/etc/timezone",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
];

/// How to confine each program of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cage {
    /// The executable whose `main` calls [`super::run_hidden_mode_if_asked`].
    keeper: PathBuf,
    layers: CageLayers,
    /// The folders and files that every program may read.
    readable: Vec<PathBuf>,
    /// The TCP port on loopback that a program may connect to.
    port: Option<u16>,
}

/// The confinement of one program, as the hidden mode gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Confinement {
    /// The ABI of Landlock to use; 0 for none.
    landlock: u8,
    readable: Vec<PathBuf>,
    /// The only folder that the program may write to.
    writable: PathBuf,
    port: Option<u16>,
    namespaces: bool,
    /// The socket that takes the listener of the namespaces.
    door: Option<PathBuf>,
}

impl Cage {
    /// A cage of all `layers`. A confined program reads the system's files and `also`, but nothing below `hidden`. It connects
    /// to `port` on loopback only. `keeper` is this executable unless it is set.
    pub fn new(
        keeper: Option<&Path>,
        layers: CageLayers,
        also: &[PathBuf],
        hidden: &[PathBuf],
        port: Option<u16>,
    ) -> std::io::Result<Self> {
        let keeper = match keeper {
            Some(keeper) => keeper.to_owned(),
            None => std::env::current_exe()?,
        };
        let mut readable: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        readable.extend_from_slice(also);
        readable.retain(|path| path.exists());
        for hidden in hidden {
            readable = readable
                .into_iter()
                .flat_map(|path| without(path, hidden))
                .collect();
        }
        Ok(Self {
            keeper,
            layers,
            readable,
            port,
        })
    }

    /// The executable that confines each program.
    pub(super) fn keeper(&self) -> &Path {
        &self.keeper
    }

    pub fn level(&self) -> IsolationLevel {
        self.layers.level()
    }

    /// Whether a program needs a [`Door`] to the port, because it runs in namespaces.
    pub fn has_door(&self) -> bool {
        self.has_namespaces() && self.port.is_some()
    }

    fn has_namespaces(&self) -> bool {
        self.layers.bubblewrap.is_some()
    }

    /// The start of `launch` inside the cage. It may write below `folder` only.
    pub(super) fn confine(&self, launch: &Launch, folder: &Path) -> (PathBuf, Vec<OsString>) {
        let mut readable = self.readable.clone();
        readable.extend(program_files(&launch.program));
        // Claude Code starts the servers of its tools from it.
        readable.push(self.keeper.clone());
        let confinement = Confinement {
            landlock: self.layers.landlock,
            writable: folder.to_owned(),
            port: self.port,
            namespaces: self.has_namespaces(),
            door: self.has_door().then(|| door_path(folder)),
            readable: readable.clone(),
        };
        let confinement =
            serde_json::to_string(&confinement).expect("paths of a cage are Unicode or escaped");
        let mut inner: Vec<OsString> = vec![HIDDEN_MODE.into(), confinement.into()];
        inner.push(launch.program.clone().into());
        inner.extend(launch.arguments.iter().cloned());
        match &self.layers.bubblewrap {
            None => (self.keeper.clone(), inner),
            Some(bubblewrap) => {
                let mut arguments = layers::namespaces();
                for path in readable {
                    arguments.extend(["--ro-bind-try".into(), path.clone().into(), path.into()]);
                }
                arguments.extend(["--bind".into(), folder.into(), folder.into()]);
                arguments.extend(["--ro-bind".into(), self.keeper.clone().into(), INSIDE.into()]);
                if let Some(directory) = &launch.directory {
                    arguments.extend(["--chdir".into(), directory.into()]);
                }
                arguments.extend(["--".into(), INSIDE.into()]);
                arguments.extend(inner);
                (bubblewrap.clone(), arguments)
            }
        }
    }

    /// `bwrap` exits with 128 and the number of the signal that ended the program.
    pub(super) fn ended(&self, ended: Ended) -> Ended {
        match ended.code {
            Some(code @ 129..=192) if self.has_namespaces() => Ended {
                code: None,
                signal: Some(code - 128),
            },
            _ => ended,
        }
    }
}

/// The path of this executable inside the namespaces.
const INSIDE: &str = "/.compat";

/// The socket in a program's folder that takes the listener of its namespaces.
fn door_path(folder: &Path) -> PathBuf {
    folder.join("door")
}

/// `path`, or its parts if `hidden` is below it: all of them but `hidden`. Landlock cannot forbid a part of an allowed
/// folder.
fn without(path: PathBuf, hidden: &Path) -> Vec<PathBuf> {
    if !hidden.starts_with(&path) {
        // A path below `hidden` was named on purpose, such as a file of certificates.
        return vec![path];
    }
    if path == *hidden {
        return Vec::new();
    }
    let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
    entries.flat_map(|entry| without(entry.path(), hidden)).collect()
}

/// The program's own file, and for a script of an npm package the package.
fn program_files(program: &Path) -> Vec<PathBuf> {
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let packages = |folder: &&Path| folder.file_name() == Some(OsStr::new("node_modules"));
    let package = real.ancestors().find(packages).map(Path::to_owned);
    [program.to_owned(), real].into_iter().chain(package).collect()
}

/// If this process was started as a keeper: does its work and returns the status for `main`.
pub(super) fn run_hidden_mode_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != OsStr::new(HIDDEN_MODE) {
        return None;
    }
    #[cfg(target_os = "linux")]
    return Some(enter::run(arguments));
    #[cfg(not(target_os = "linux"))]
    return Some(ExitCode::FAILURE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_folder_below_a_readable_one_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a/b/secret", "a/c", "d"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        let mut parts = without(folder.path().to_owned(), &path("a/b"));
        parts.sort();
        assert_eq!(parts, [path("a/c"), path("d")]);
        assert_eq!(without(path("d"), &path("a")), [path("d")]);
        assert!(without(path("d"), &path("d")).is_empty());
    }
}
