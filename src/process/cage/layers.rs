//! The layers of the cage that this machine has.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::isolation::IsolationLevel;

/// The ABI of Landlock that confines files, TCP, signals and abstract sockets (Linux 6.12).
const WHOLE_LANDLOCK: u8 = 6;

/// The layers of the cage. Each is used where the machine has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CageLayers {
    /// Whether the kernel can take away capabilities and adopt descendants: on Linux.
    pub process: bool,
    /// The ABI of Landlock; 0 if the kernel has none.
    pub landlock: u8,
    /// The program `bwrap`, if it can make namespaces here.
    pub bubblewrap: Option<PathBuf>,
    /// Why there are no namespaces.
    pub no_namespaces: Option<String>,
}

/// One layer, for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CageLayer {
    pub name: &'static str,
    pub holds: bool,
    /// What it does here, or what is missing.
    pub state: String,
}

impl CageLayers {
    /// The layers of this machine. `bubblewrap` is the `bwrap` on the `PATH`; trying it takes some 20 ms.
    pub fn of_this_machine(bubblewrap: Option<PathBuf>) -> Self {
        if !cfg!(target_os = "linux") {
            return Self::default();
        }
        let (bubblewrap, no_namespaces) = match bubblewrap.map(tried) {
            None => (
                None,
                Some("there is no `bwrap` on the `PATH`: install bubblewrap".to_owned()),
            ),
            Some(Ok(program)) => (Some(program), None),
            Some(Err(why)) => (None, Some(why)),
        };
        Self {
            process: true,
            landlock: landlock_abi(),
            bubblewrap,
            no_namespaces,
        }
    }

    /// The layers without those above `level`.
    pub fn at_most(mut self, level: IsolationLevel) -> Self {
        let not_wanted = || Some("the run asks for a lower level".to_owned());
        if level < IsolationLevel::Full && self.bubblewrap.take().is_some() {
            self.no_namespaces = not_wanted();
        }
        if level < IsolationLevel::Landlock {
            self.landlock = 0;
        }
        self.process &= level >= IsolationLevel::Process;
        self
    }

    /// The level that all layers together reach.
    pub fn level(&self) -> IsolationLevel {
        match (self.process, self.landlock, &self.bubblewrap) {
            (false, _, _) => IsolationLevel::None,
            (true, WHOLE_LANDLOCK.., Some(_)) => IsolationLevel::Full,
            (true, WHOLE_LANDLOCK.., None) => IsolationLevel::Landlock,
            (true, _, _) => IsolationLevel::Process,
        }
    }

    /// Each layer, with its state here.
    pub fn described(&self) -> Vec<CageLayer> {
        let process = match self.process {
            true => "no capabilities, no new privileges; the harness hides its memory and its credentials",
            false => "needs Linux",
        };
        let landlock = match self.landlock {
            0 => "the kernel has no Landlock: it needs Linux 5.13 or later, with `landlock` in `CONFIG_LSM` or `lsm=`".into(),
            abi @ 1..4 => format!("ABI {abi} confines files only: TCP needs Linux 6.7, signals need Linux 6.12"),
            abi @ 4..WHOLE_LANDLOCK => {
                format!("ABI {abi} confines files and TCP: signals and abstract sockets need Linux 6.12")
            }
            abi @ WHOLE_LANDLOCK..9 => format!("ABI {abi} confines files, TCP, signals and abstract sockets"),
            abi => format!("ABI {abi} confines files, TCP, signals and all Unix sockets"),
        };
        let namespaces = match (&self.bubblewrap, &self.no_namespaces) {
            (Some(program), _) => format!("`{}` makes namespaces", program.display()),
            (None, why) => why.clone().unwrap_or_else(|| "needs Linux".to_owned()),
        };
        [
            ("process", self.process, process.to_owned()),
            ("landlock", self.landlock >= WHOLE_LANDLOCK, landlock),
            ("namespaces", self.bubblewrap.is_some(), namespaces),
        ]
        .into_iter()
        .map(|(name, holds, state)| CageLayer { name, holds, state })
        .collect()
    }
}

/// The flags of `bwrap` without its files. The root folder is empty, and nothing has a capability.
pub(super) fn namespaces() -> Vec<OsString> {
    let flags = "--unshare-pid --unshare-net --unshare-ipc --unshare-uts --unshare-cgroup-try --new-session --cap-drop ALL \
                 --proc /proc --dev /dev";
    flags.split_whitespace().map(OsString::from).collect()
}

/// `program` if it can make the namespaces here, else the reason.
fn tried(program: PathBuf) -> Result<PathBuf, String> {
    let output = Command::new(&program)
        .args(namespaces())
        .args([
            "--ro-bind",
            "/",
            "/host",
            "--chdir",
            "/",
            "--symlink",
            "/host/usr",
            "/usr",
        ])
        .args([
            "--ro-bind-try",
            "/lib",
            "/lib",
            "--ro-bind-try",
            "/lib64",
            "/lib64",
        ])
        .args(["--ro-bind-try", "/bin", "/bin", "--", "/bin/true"])
        .env_clear()
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(program),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let reason = text.lines().next().unwrap_or_default();
            Err(format!(
                "`{}` fails here (`{reason}`): allow unprivileged user namespaces, or run as root",
                program.display()
            ))
        }
        Err(error) => Err(format!("`{}` cannot be started: {error}", program.display())),
    }
}

#[cfg(target_os = "linux")]
fn landlock_abi() -> u8 {
    super::rules::abi_of_this_kernel()
}

#[cfg(not(target_os = "linux"))]
fn landlock_abi() -> u8 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(landlock: u8, bubblewrap: bool) -> CageLayers {
        CageLayers {
            process: true,
            landlock,
            bubblewrap: bubblewrap.then(|| "bwrap".into()),
            no_namespaces: None,
        }
    }

    #[test]
    fn the_level_is_that_of_all_layers_together() {
        for (landlock, bubblewrap, level) in [
            (0, false, IsolationLevel::Process),
            (0, true, IsolationLevel::Process),
            (5, true, IsolationLevel::Process),
            (6, false, IsolationLevel::Landlock),
            (7, true, IsolationLevel::Full),
        ] {
            assert_eq!(layers(landlock, bubblewrap).level(), level);
        }
        assert_eq!(CageLayers::default().level(), IsolationLevel::None);
    }

    #[test]
    fn a_lower_level_removes_the_layers_above_it() {
        for level in IsolationLevel::ALL {
            assert_eq!(layers(7, true).at_most(level).level(), level);
        }
    }

    #[test]
    fn an_older_landlock_says_what_it_lacks() {
        let state = |abi| layers(abi, false).described()[1].state.clone();
        assert!(state(0).contains("Linux 5.13"));
        assert!(state(3).contains("TCP needs Linux 6.7"));
        assert!(state(5).contains("signals and abstract sockets need"));
        assert!(!layers(5, false).described()[1].holds);
    }
}
