//! Kills every process that carries a cookie in its environment, whatever group or session it is in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::RunId;
use crate::env;
use crate::ids::TrialKey;

/// What a process carries in its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// That it belongs to a run.
    Run(RunId),
    /// That it belongs to a trial.
    Trial(TrialKey),
}

impl Cookie {
    fn assignment(self) -> String {
        match self {
            Self::Run(run) => format!("{}={}", env::COMPAT_RUN, run.0),
            Self::Trial(trial) => format!("{}={trial}", env::COMPAT_TRIAL),
        }
    }
}

/// How often the processes are looked through before the sweep gives up on one that does not die.
const ROUNDS: usize = 500;

/// Kills every process that carries `cookie`, and all their descendants, until a look finds none. Returns
/// how many it found. This process is never among them. Where there is no `/proc` it finds none.
///
/// A process that is killed may have started another one just before; hence the repeated look.
pub fn sweep(cookie: Cookie) -> usize {
    let mut killed = BTreeSet::new();
    for _ in 0..ROUNDS {
        let found = carriers(cookie);
        if found.is_empty() {
            break;
        }
        for pid in found {
            // It fails only where the process is gone already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            killed.insert(pid);
        }
        thread::sleep(Duration::from_millis(2));
    }
    killed.len()
}

/// The ids of the processes that carry `cookie`, and of all their descendants, but for this process.
pub fn carriers(cookie: Cookie) -> BTreeSet<i32> {
    let assignment = cookie.assignment();
    let own = i32::try_from(std::process::id()).ok();
    let processes = processes();
    let mut found: BTreeSet<i32> = processes
        .keys()
        .filter(|pid| carries(**pid, assignment.as_bytes()))
        .copied()
        .collect();
    // Descendants that were started with another environment.
    loop {
        let more: Vec<i32> = processes
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    found.retain(|pid| Some(*pid) != own);
    found
}

/// Each living process and its parent.
fn processes() -> BTreeMap<i32, i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, living_parent(pid)?))
        })
        .collect()
}

/// The parent of `pid`; `None` for a zombie, which is dead already and only waits to be reaped.
fn living_parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state ppid …`; the name may hold anything, so what counts is what follows its last `)`.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z" && state != "X").then(|| fields.next()?.parse().ok())?
}

/// Whether the environment that `pid` was started with holds the cookie. That of another user's process cannot be read,
/// and such a process is none of ours.
fn carries(pid: i32, assignment: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == assignment)
    })
}
