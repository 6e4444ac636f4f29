//! The hidden mode: it starts the program of a cage, confined, and ends all that the program leaves.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::thread;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use super::{Confinement, door, rules};
use crate::process::sweep;

/// The status of a keeper that cannot start its program; the shell uses it for the same.
const NOT_STARTED: u8 = 126;

pub(super) fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let confinement: Option<Confinement> = arguments
        .next()
        .and_then(|text| serde_json::from_str(text.to_str()?).ok());
    let (Some(confinement), Some(program)) = (confinement, arguments.next()) else {
        return failed("the arguments of the hidden mode are wrong");
    };
    let mut command = Command::new(&program);
    command.args(arguments);
    let started = match confinement.namespaces {
        true => become_the_program(command, &confinement),
        false => keep(command, &confinement),
    };
    match started {
        Ok(code) => code,
        Err(error) => failed(&format!("cannot start `{}`: {error}", program.to_string_lossy())),
    }
}

/// Writes to the program's standard error, which is evidence.
fn failed(why: &str) -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(io::stderr(), "compat: {why}");
    ExitCode::from(NOT_STARTED)
}

/// Inside namespaces, whose end ends every process in them.
fn become_the_program(mut command: Command, confinement: &Confinement) -> io::Result<ExitCode> {
    if let (Some(door), Some(port)) = (&confinement.door, confinement.port) {
        door::open_from_inside(door, port)?;
    }
    restrict(confinement)?;
    Err(command.exec())
}

/// Starts the program from a thread that is restricted, waits for it, and ends all its descendants.
fn keep(mut command: Command, confinement: &Confinement) -> io::Result<ExitCode> {
    // What loses its parent gets this process as its parent.
    prctl::set_child_subreaper(true)?;
    let child = thread::scope(|scope| {
        let start = || restrict(confinement).and_then(|()| command.spawn());
        scope.spawn(start).join().expect("the thread does not panic")
    })?;
    // The program's outputs end with the program.
    detach_streams()?;
    let program = Pid::from_raw(child.id() as i32);
    let ended = loop {
        match wait() {
            Ok(status) if status.pid() == Some(program) => match status {
                WaitStatus::Exited(_, code) => break Ok(code),
                WaitStatus::Signaled(_, signal, _) => break Err(signal),
                _ => {}
            },
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    sweep::descendants(&[]);
    match ended {
        Ok(code) => Ok(ExitCode::from(code as u8)),
        Err(signal) => Ok(die_by(signal)),
    }
}

/// Ends this process by `signal`, so that its parent sees how the program ended.
fn die_by(by: Signal) -> ExitCode {
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    // The standard library's own handler of SIGSEGV and SIGBUS only restores the default.
    for _ in 0..2 {
        let _ = raise(by);
    }
    ExitCode::from(128 + by as u8)
}

fn detach_streams() -> io::Result<()> {
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    Ok(())
}

/// Takes the rights away from this thread, and from all that it starts.
fn restrict(confinement: &Confinement) -> io::Result<()> {
    set_no_new_privs(true)?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    set_capabilities(None, none)?;
    rules::restrict_this_thread(confinement).map_err(io::Error::other)
}
